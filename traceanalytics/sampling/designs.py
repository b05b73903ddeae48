"""Sampling designs: which traces a sampler keeps, with which probability, and to what it is blind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from traceanalytics.errors import OptionError, check_option
from traceanalytics.sampling.design_probabilities import probabilities_by_design, probabilities_by_service
from traceanalytics.sampling.design_texts import blind_text, call_of, design_name
from traceanalytics.sampling.given_numbers import MOST, given_number
from traceanalytics.sampling.policies import Policy
from traceanalytics.sampling.trace_facts import TraceFacts, trace_facts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Design"]

_JOINTS: Final = ("consistent", "independent")
_RATE: Final = f"(0, {MOST:g}]"


@dataclass(frozen=True, repr=False)
class Design:
    """A sampling design: how traces are chosen, as far as anybody can say.

    Make one by a class method: :meth:`head`, :meth:`consistent`, :meth:`tail`, :meth:`errors_always`, :meth:`rate_limit`,
    :meth:`priority`, :meth:`reservoir`, :meth:`dynamic`, :meth:`unknown`. It serves :func:`attach_weights` and all estimates of
    data that was sampled like this, and :func:`simulate` to sample complete data. Designs are equal when they say the same.

    Examples
    --------
    >>> from traceanalytics.sampling.designs import Design
    >>> from traceanalytics.sampling.policies import Policy
    >>> design = Design.tail([Policy.status("ERROR"), Policy.latency(500)], p_default=0.01)
    >>> design
    Design.tail([Policy.status('ERROR'), Policy.latency(500)], p_default=0.01)
    >>> design.name
    'tail: status ERROR, latency >= 500 ms, 1 %'
    """

    kind: str
    """The class method that made it."""
    p: float = 1.0
    p_default: float = 0.0
    rules: tuple[tuple[str, float], ...] = ()
    """Endpoint patterns (``priority``) or services (``consistent``), each with its probability."""
    policies: tuple[Policy, ...] = ()
    joint: str = "consistent"
    decision_wait_s: float | None = None
    decision_cache: bool = True
    per_s: float = 0.0
    weight_column: str = ""

    @classmethod
    def head(cls, p: float) -> Design:
        """Keep a share ``p``, decided at the start of a trace and written nowhere.

        >>> Design.head(0.1).name
        'head 10 %'
        """
        return cls("head", p=given_number("p", p, "(0, 1]"))

    @classmethod
    def consistent(cls, p: float | Mapping[str, float], *, p_default: float = 1.0) -> Design:
        """Keep a share by OpenTelemetry's consistent probability sampling, the threshold written into the tracestate.

        Parameters
        ----------
        p
            The share of the traces; or of each service: then every service decides about its own spans, by the random number
            of the trace, and traces come in parts.
        p_default
            For services that the mapping leaves out.

        Examples
        --------
        >>> Design.consistent({"web": 0.5, "db": 0.1})
        Design.consistent({'web': 0.5, 'db': 0.1})
        """
        if not isinstance(p, Mapping):
            return cls("consistent", p=given_number("p", p, "(0, 1]"))
        rules = tuple((str(name), given_number(f"p[{name!r}]", each, "[0, 1]")) for name, each in p.items())
        if not rules:
            raise OptionError("p is a mapping without a service: expected a probability, or one for each service")
        return cls("consistent", rules=rules, p_default=given_number("p_default", p_default, "[0, 1]"))

    @classmethod
    def tail(
        cls,
        policies: Iterable[Policy],
        p_default: float = 0.0,
        joint: str = "consistent",
        decision_wait_s: float | None = None,
        *,
        decision_cache: bool = True,
    ) -> Design:
        """Keep what policies vote for when (most of) the trace is there, and a share of everything.

        Parameters
        ----------
        policies
            A trace is kept when one of them votes for it and no :meth:`Policy.drop` matches.
        p_default
            A last policy, probabilistic, after all others.
        joint
            What the probabilistic policies compare: ``consistent`` one random number of the trace (nested decisions),
            ``independent`` each its own. See :meth:`Policy.probabilistic` about salts.
        decision_wait_s
            Seconds from the first span received to the decision; a span is received when it ends. None: decided when all is there.
        decision_cache
            Later spans follow the decision. If not, they are a trace of their own to the collector, and parts of traces are kept.

        Examples
        --------
        >>> Design.tail([Policy.error()], p_default=0.05, decision_wait_s=10).name
        'tail: error, 5 %'
        """
        check_option("joint", joint, _JOINTS)
        unchecked: Any = policies
        given: tuple[Any, ...] = tuple(unchecked) if isinstance(unchecked, Iterable) else (unchecked,)
        for each in given:
            if not isinstance(each, Policy):
                raise OptionError(f"policies holds {each!r:.60}, expected policies such as Policy.status('ERROR')")
        rest = given_number("p_default", p_default, "[0, 1]")
        if not rest and not any(each.kind != "drop" for each in given):
            raise OptionError("a tail design without a policy that keeps anything: give one, or p_default above 0")
        wait = None if decision_wait_s is None else given_number("decision_wait_s", decision_wait_s, "[0, 1e6]")
        return cls(
            "tail",
            p_default=rest,
            policies=given,
            joint=joint,
            decision_wait_s=wait,
            decision_cache=bool(decision_cache),
        )

    @classmethod
    def errors_always(cls, p: float) -> Design:
        """Keep every trace with an error (:func:`traceanalytics.is_error`) and a share ``p`` of the others; 0: errors alone.

        >>> Design.errors_always(0.01).name, Design.errors_always(0).blind_to
        ('errors + 1 %', 'traces for which no policy votes: error')
        """
        return cls("errors_always", p_default=given_number("p", p, "[0, 1]"), policies=(Policy.error(),))

    @classmethod
    def rate_limit(cls, traces_per_s: float) -> Design:
        """Keep the first traces of each second, by their start. The probability of a trace depends on what else came.

        >>> Design.rate_limit(10).name
        'at most 10 traces/s'
        """
        return cls("rate_limit", per_s=given_number("traces_per_s", traces_per_s, _RATE))

    @classmethod
    def priority(cls, rules: Mapping[str, float] | Iterable[tuple[str, float]], p_default: float) -> Design:
        """Keep a share that depends on the endpoint, decided at the start of a trace: the first rule that matches counts.

        Parameters
        ----------
        rules
            Pattern to probability, in order. A pattern is compared with the root span's ``http.route`` and with its name, as it
            stands and as a glob (``"GET /products/*"``).
        p_default
            For all other endpoints, and for traces without a root.

        Examples
        --------
        >>> Design.priority({"POST /checkout": 1, "GET /health": 0}, 0.1).name
        'priority: POST /checkout 100 %, GET /health 0 %, others 10 %'
        """
        pairs: list[Any] = list(rules.items()) if isinstance(rules, Mapping) else list(rules)
        if not pairs or not all(
            isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs
        ):
            raise OptionError(
                f"rules={rules!r:.60} are no endpoint rules: expected {{'POST /checkout': 1.0, 'GET *': 0.1}}"
            )
        checked = tuple((pattern, given_number(f"rules[{pattern!r}]", p, "[0, 1]")) for pattern, p in pairs)
        return cls("priority", rules=checked, p_default=given_number("p_default", p_default, "[0, 1]"))

    @classmethod
    def reservoir(cls, per_s: float, p: float) -> Design:
        """Keep the first traces of each second and a share ``p`` of the rest, as AWS X-Ray does; which was which is not recorded.

        >>> Design.reservoir(1, 0.05).name
        'first 1/s + 5 %'
        """
        return cls("reservoir", p=given_number("p", p, "[0, 1]"), per_s=given_number("per_s", per_s, _RATE))

    @classmethod
    def dynamic(cls, weight_column: str) -> Design:
        """Keep traces with a probability that a column or attribute tells, as one over it: rates by key, as in Refinery.

        >>> Design.dynamic("SampleRate").name
        'dynamic by SampleRate'
        """
        if not weight_column or not isinstance(weight_column, str):
            raise OptionError(f"weight_column={weight_column!r:.60} is no name of a column or attribute")
        return cls("dynamic", weight_column=weight_column)

    @classmethod
    def unknown(cls) -> Design:
        """Say that nobody knows how the traces were chosen.

        >>> Design.unknown().name
        'unknown'
        """
        return cls("unknown")

    @property
    def name(self) -> str:
        """A short text, as tables show it."""
        return design_name(self)

    @property
    def blind_to(self) -> str:
        """Which traces are kept with probability 0, so that no weight brings them back; empty if there are none."""
        return blind_text(self)

    @property
    def is_constant(self) -> bool:
        """Tell whether all traces have one probability, which is known."""
        return self.kind == "head" or (self.kind == "consistent" and not self.rules)

    @property
    def is_by_span(self) -> bool:
        """Tell whether spans of one trace have different probabilities."""
        return self.kind == "consistent" and bool(self.rules)

    def trace_probabilities(self, spans: pd.DataFrame) -> pd.Series:
        """Return with which probability each trace of a frame is kept, as far as the frame tells.

        On kept traces the rules are applied again: exact as long as what they look at has been kept. Policies that share a
        random number are nested (the largest counts), independent ones unite (1 - prod(1 - p)).

        Parameters
        ----------
        spans
            A span frame, complete or sampled.

        Returns
        -------
        pandas.Series
            Named ``incl_prob``, 0 to 1, indexed by trace id in order of first appearance. NaN where nothing tells: limiters and
            reservoirs, an unknown design, a trace without a root under endpoint rules, a weight that is missing or below 1.
            With a probability for each service: that of the trace appearing at all.

        Raises
        ------
        SchemaError
            The frame lacks what the design looks at.

        Examples
        --------
        >>> spans = pd.DataFrame({"trace_id": ["a", "a", "b"], "status": ["OK", "ERROR", "OK"]})
        >>> design = Design.tail([Policy.status("ERROR"), Policy.probabilistic(0.2)], p_default=0.1)
        >>> design.trace_probabilities(spans).tolist()
        [1.0, 0.2]
        """
        facts, ids = trace_facts(spans)
        return pd.Series(self.probabilities(facts), index=ids, name="incl_prob")

    def probabilities(self, facts: TraceFacts) -> NDArray[np.float64]:
        """Return what :meth:`trace_probabilities` does, for facts that are there already."""
        return probabilities_by_design(self, facts)

    def span_probabilities(self, facts: TraceFacts) -> NDArray[np.float64]:
        """Return the probability of every span under probabilities for services."""
        return probabilities_by_service(self, facts)

    def __repr__(self) -> str:
        return call_of(self)
