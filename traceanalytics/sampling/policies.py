"""Policies of a tail sampler: what a collector looks at in a finished trace when it decides about it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from traceanalytics.errors import OptionError, check_option
from traceanalytics.sampling.given_numbers import MOST, given_number, given_whole
from traceanalytics.sampling.policy_texts import call_text, policy_name, short, value_text
from traceanalytics.spans.schema import STATUS

__all__ = ["Policy"]

_NOT_NEGATIVE: Final = f"[0, {MOST:g}]"
_ANY: Final = f"[-{MOST:g}, {MOST:g}]"


@dataclass(frozen=True, repr=False)
class Policy:
    """One policy of tail sampling: a vote on a trace, by what has arrived of it.

    Make one by a class method: :meth:`status`, :meth:`error`, :meth:`latency`, :meth:`attribute`, :meth:`span_count`,
    :meth:`probabilistic`, :meth:`rate_limiting`, :meth:`always`, and of others :meth:`all_of`, :meth:`any_of`, :meth:`not_`,
    :meth:`drop`. They mean what the OpenTelemetry collector's processor ``tail_sampling`` means by them. Policies are equal when
    they say the same, and can be keys.

    Examples
    --------
    >>> from traceanalytics.sampling.policies import Policy
    >>> slow_and_rare = Policy.all_of(Policy.latency(500), Policy.probabilistic(0.1))
    >>> slow_and_rare
    Policy.all_of(Policy.latency(500), Policy.probabilistic(0.1))
    >>> slow_and_rare.name
    'latency >= 500 ms and 10 %'
    """

    kind: str
    """The class method that made it."""
    parts: tuple[Policy, ...] = ()
    key: str = ""
    """Attribute key; for ``probabilistic`` the salt."""
    texts: tuple[str, ...] = ()
    """Statuses or values of the attribute, as texts; for ``matches`` the one pattern."""
    low: float | None = None
    high: float | None = None
    matches: bool = False

    @classmethod
    def status(cls, *statuses: str) -> Policy:
        """Vote for traces with a span of one of these statuses (``"ERROR"``, ``"OK"``, ``"UNSET"``), as the column says.

        The column alone: a span without a status whose HTTP code says 500 is found by :meth:`error` only.

        >>> Policy.status("ERROR").name
        'status ERROR'
        """
        if not statuses:
            raise OptionError("Policy.status needs a status, such as 'ERROR'")
        for each in statuses:
            check_option("status", each, STATUS.categories)
        return cls("status", texts=statuses)

    @classmethod
    def error(cls) -> Policy:
        """Vote for traces with a span that failed by the package's one rule, :func:`traceanalytics.is_error`.

        >>> Policy.error()
        Policy.error()
        """
        return cls("error")

    @classmethod
    def latency(cls, min_ms: float, max_ms: float | None = None) -> Policy:
        """Vote for slow traces, by the time from the first start to the last end of the spans that arrived.

        The duration votes from ``min_ms`` on; with a ``max_ms``, above ``min_ms`` and up to ``max_ms``, as the collector has it.

        >>> Policy.latency(500, 2_000).name
        'latency > 500 and <= 2000 ms'
        """
        low = given_number("min_ms", min_ms, _NOT_NEGATIVE)
        high = None if max_ms is None else given_number("max_ms", max_ms, _NOT_NEGATIVE)
        return cls("latency", low=low, high=_ordered("min_ms", low, "max_ms", high))

    @classmethod
    def attribute(
        cls,
        key: str,
        *,
        values: object = None,
        matches: str | None = None,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> Policy:
        """Vote for traces with a span whose attribute has one of the values, matches a pattern, or lies in a range.

        Parameters
        ----------
        key
            As for :func:`traceanalytics.attribute`: any scope, newer or older name.
        values
            One value or several; numbers and booleans are compared by what they are, so 200 finds the text "200".
        matches
            A regular expression, found anywhere in the value.
        at_least, at_most
            Ends of a range of numbers, both included; one may be left out.

        Examples
        --------
        >>> Policy.attribute("http.response.status_code", at_least=500).name
        'http.response.status_code >= 500'
        """
        if not key or not isinstance(key, str):
            raise OptionError(f"key={key!r:.60} is no attribute key, a text such as 'http.route'")
        ranged = at_least is not None or at_most is not None
        if (values is not None) + (matches is not None) + ranged != 1:
            raise OptionError(
                f"Policy.attribute({key!r}) needs one of values=, matches=, or a range at_least= and at_most="
            )
        if matches is not None:
            return cls("attribute", key=key, texts=(_pattern(matches),), matches=True)
        if values is not None:
            return cls("attribute", key=key, texts=_texts(key, values))
        low = None if at_least is None else given_number("at_least", at_least, _ANY)
        high = None if at_most is None else given_number("at_most", at_most, _ANY)
        return cls("attribute", key=key, low=low, high=_ordered("at_least", low, "at_most", high))

    @classmethod
    def span_count(cls, min: int, max: int | None = None) -> Policy:  # noqa: A002 - the collector's own words
        """Vote for traces of at least ``min`` and at most ``max`` spans, both included.

        >>> Policy.span_count(3, 20).name
        '3 to 20 spans'
        """
        low = given_whole("min", min, 0)
        high = None if max is None else float(given_whole("max", max, 0))
        return cls("span_count", low=float(low), high=_ordered("min", low, "max", high))

    @classmethod
    def probabilistic(cls, p: float, *, salt: str = "") -> Policy:
        """Vote for a share ``p`` of the traces, by a random number of the trace.

        Two of them with one ``salt`` compare the same number, so that their decisions are nested. Without a salt, that depends on
        the design: one number for all (``joint="consistent"``) or one for each (``"independent"``).

        >>> Policy.probabilistic(0.05).name
        '5 %'
        """
        if not isinstance(salt, str):
            raise OptionError(f"salt={salt!r:.60} is not a text")
        return cls("probabilistic", key=salt, low=given_number("p", p, "(0, 1]"))

    @classmethod
    def rate_limiting(cls, spans_per_s: int) -> Policy:
        """Vote for traces as long as they fit into a budget of spans in each second of decisions, first come, first served.

        A trace that does not fit leaves the rest of the budget to smaller ones after it; one that is larger than the budget never
        passes. The probability depends on what else comes, so it is unknown.

        >>> Policy.rate_limiting(100).name
        'at most 100 spans/s'
        """
        return cls("rate_limiting", low=float(given_whole("spans_per_s", spans_per_s, 1)))

    @classmethod
    def always(cls) -> Policy:
        """Vote for every trace.

        >>> Policy.always().name
        'always'
        """
        return cls("always")

    @classmethod
    def all_of(cls, *policies: Policy) -> Policy:
        """Vote for what all of these vote for; a limiter is only asked about what those before it voted for.

        >>> Policy.all_of(Policy.error(), Policy.rate_limiting(10)).name
        'error and at most 10 spans/s'
        """
        return cls("all_of", parts=_checked("all_of", policies))

    @classmethod
    def any_of(cls, *policies: Policy) -> Policy:
        """Vote for what at least one of these votes for.

        >>> Policy.any_of(Policy.error(), Policy.latency(100)).name
        '(error or latency >= 100 ms)'
        """
        return cls("any_of", parts=_checked("any_of", policies))

    @classmethod
    def not_(cls, policy: Policy) -> Policy:
        """Vote for what the other one does not vote for.

        >>> Policy.not_(Policy.span_count(100)).name
        'not (at least 100 spans)'
        """
        return cls("not_", parts=_checked("not_", (policy,)))

    @classmethod
    def drop(cls, policy: Policy) -> Policy:
        """Drop what the other one votes for, whatever any policy of the design votes.

        >>> Policy.drop(Policy.attribute("http.route", values="/health")).name
        "drop http.route '/health'"
        """
        return cls("drop", parts=_checked("drop", (policy,)))

    @property
    def name(self) -> str:
        """A short text, as results show it."""
        return policy_name(self)

    def __repr__(self) -> str:
        return call_text(self)


def _ordered(low_name: str, low: float | None, high_name: str, high: float | None) -> float | None:
    if low is not None and high is not None and high < low:
        raise OptionError(f"{high_name}={short(high)} lies below {low_name}={short(low)}: no trace would match")
    return high


def _pattern(matches: str) -> str:
    try:
        re.compile(matches)
    except (re.error, TypeError) as error:
        raise OptionError(f"matches={matches!r:.60} is no regular expression: {error}") from None
    return matches


def _texts(key: str, values: object) -> tuple[str, ...]:
    given = list(values) if isinstance(values, Iterable) and not isinstance(values, str) else [values]
    if not given or not all(isinstance(value, str | int | float) for value in given):
        raise OptionError(f"Policy.attribute({key!r}, values={values!r:.60}): expected texts, numbers or booleans")
    return tuple(dict.fromkeys(value_text(value) for value in given))


def _checked(kind: str, policies: tuple[Policy, ...]) -> tuple[Policy, ...]:
    if not policies:
        raise OptionError(f"Policy.{kind} needs at least one policy")
    for each in policies:
        if not isinstance(each, Policy):
            raise OptionError(f"Policy.{kind}({each!r:.60}): expected a policy, such as Policy.status('ERROR')")
        if each.kind == "drop":
            raise OptionError(f"Policy.{kind}({each!r}): Policy.drop stands beside other policies, never inside one")
    return policies
