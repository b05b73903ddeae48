"""Votes of policies on traces: in a given state of luck, and the probability over all states.

A probabilistic policy compares a random number u in (0, 1] with its p. Policies that share the number are nested, others
independent. Between two neighbouring levels of u nothing changes, so a few states stand for all, and the probability of any
combination of policies (and, or, not, drop) is a sum over them, exact for nested and for independent policies alike. What a
limiter does is not known from the trace, so votes have two bounds: certain, and possible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from traceanalytics.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from traceanalytics.sampling.policies import Policy
    from traceanalytics.sampling.trace_facts import TraceFacts

__all__ = ["Luck", "Streams", "Votes", "decision_of", "probabilities_of", "streams_of", "vote_of"]

_MOST_STATES = 4096


class Votes(NamedTuple):
    """Of each trace: whether it is voted for for certain, and whether it may be."""

    sure: NDArray[np.bool_]
    possible: NDArray[np.bool_]


Limiter: TypeAlias = "Callable[[Policy, TraceFacts, NDArray[np.bool_]], Votes]"


class Streams(NamedTuple):
    """Which random number each probabilistic policy compares, in the order of asking; and the levels of each number."""

    of_leaf: tuple[int, ...]
    levels: tuple[tuple[float, ...], ...]


class Luck:
    """One state of luck: a random number for each stream (one for all traces, or one a trace), and what limiters do."""

    def __init__(
        self, streams: Streams, numbers: Sequence[float | NDArray[np.float64]], limiter: Limiter | None = None
    ) -> None:
        self._leaves: Iterator[int] = iter(streams.of_leaf)
        self._numbers = numbers
        self._limiter = limiter or _unknown

    def drawn(self, p: float, number: int) -> Votes:
        """Return the votes of the next probabilistic policy."""
        kept = np.broadcast_to(np.asarray(self._numbers[next(self._leaves)] <= p), (number,))
        return Votes(kept, kept)

    def limited(self, policy: Policy, facts: TraceFacts, offered: NDArray[np.bool_]) -> Votes:
        """Return the votes of a limiter on the traces that are offered to it."""
        return self._limiter(policy, facts, offered)


def _unknown(policy: Policy, facts: TraceFacts, offered: NDArray[np.bool_]) -> Votes:
    return Votes(np.zeros(facts.number, np.bool_), offered & (facts.n_spans <= (policy.low or 0)))


def streams_of(policies: Sequence[Policy], joint: str) -> Streams:
    """Return which policies share a random number: those of one salt; without a salt all (consistent) or none."""
    keys: list[object] = []
    levels: dict[object, set[float]] = {}
    for leaf in _leaves(policies):
        keys.append(leaf.key or ("" if joint == "consistent" else len(keys)))
        levels.setdefault(keys[-1], {1.0}).add(leaf.low or 0)
    names = list(levels)
    if np.prod([float(len(each)) for each in levels.values()]) > _MOST_STATES:
        raise OptionError(
            f"{len(keys)} probabilistic policies with {len(names)} random numbers have more than {_MOST_STATES:,} combinations: "
            "let some share a salt, or use joint='consistent'"
        )
    return Streams(tuple(names.index(key) for key in keys), tuple(tuple(sorted(each)) for each in levels.values()))


def _leaves(policies: Sequence[Policy]) -> Iterator[Policy]:
    for policy in policies:
        if policy.kind == "probabilistic":
            yield policy
        yield from _leaves(policy.parts)


def vote_of(policy: Policy, facts: TraceFacts, luck: Luck, offered: NDArray[np.bool_] | None = None) -> Votes:
    """Return the votes of a policy; of a drop policy, what it drops."""
    offered = np.ones(facts.number, np.bool_) if offered is None else offered
    if policy.kind == "probabilistic":
        return luck.drawn(policy.low or 0, facts.number)
    if policy.kind == "rate_limiting":
        return luck.limited(policy, facts, offered)
    if policy.kind == "all_of":
        return _all(policy.parts, facts, luck, offered)
    found = [vote_of(part, facts, luck, offered) for part in policy.parts]
    if policy.kind == "not_":
        return Votes(~found[0].possible, ~found[0].sure)
    return _any(found, facts.number) if found else _certain(policy, facts)


def _all(parts: Sequence[Policy], facts: TraceFacts, luck: Luck, offered: NDArray[np.bool_]) -> Votes:
    sure, possible = np.ones(facts.number, np.bool_), offered
    for part in parts:
        votes = vote_of(part, facts, luck, possible)
        sure, possible = sure & votes.sure, possible & votes.possible
    return Votes(sure, possible)


def _certain(policy: Policy, facts: TraceFacts) -> Votes:
    if policy.kind == "always":
        kept = np.ones(facts.number, np.bool_)
    elif policy.kind == "span_count":
        kept = _within(facts.n_spans, policy, open_below=False)
    elif policy.kind == "latency":
        kept = _within(facts.extent_ms, policy, open_below=policy.high is not None)
    else:
        kept = facts.matching(policy)
    return Votes(kept, kept)


def _within(values: NDArray[np.int64] | NDArray[np.float64], policy: Policy, *, open_below: bool) -> NDArray[np.bool_]:
    low, high = policy.low or 0, np.inf if policy.high is None else policy.high
    above = values > low if open_below else values >= low
    return np.asarray(above & (values <= high))


def _any(found: Sequence[Votes], number: int) -> Votes:
    sure, possible = np.zeros(number, np.bool_), np.zeros(number, np.bool_)
    for votes in found:
        sure, possible = sure | votes.sure, possible | votes.possible
    return Votes(sure, possible)


def decision_of(policies: Sequence[Policy], found: Sequence[Votes], number: int) -> Votes:
    """Return what becomes of the traces: dropped if a drop policy matches, else kept if any policy votes for it."""
    dropped = _any([v for p, v in zip(policies, found, strict=True) if p.kind == "drop"], number)
    sampled = _any([v for p, v in zip(policies, found, strict=True) if p.kind != "drop"], number)
    return Votes(sampled.sure & ~dropped.possible, sampled.possible & ~dropped.sure)


def probabilities_of(
    policies: Sequence[Policy], joint: str, parts: Sequence[TraceFacts], number: int
) -> NDArray[np.float64]:
    """Return with which probability any of the parts of each trace is kept; NaN where a limiter decides.

    ``parts`` are the facts at each decision: one for a trace that is decided once, as a whole.
    """
    streams = streams_of(policies, joint)

    def of(numbers: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the bounds of the probability when the first random numbers are these."""
        if len(numbers) == len(streams.levels):
            sure, possible = np.zeros(number, np.bool_), np.zeros(number, np.bool_)
            for facts in parts:
                luck = Luck(streams, numbers)
                votes = decision_of(policies, [vote_of(p, facts, luck) for p in policies], number)
                arrived = facts.n_spans > 0
                sure, possible = sure | (votes.sure & arrived), possible | (votes.possible & arrived)
            return sure.astype(np.float64), possible.astype(np.float64)
        levels = streams.levels[len(numbers)]
        at = [of((*numbers, level)) for level in levels]
        bounds = []
        for bound in range(2):
            # By parts: what is kept up to a level gets that level itself, not a sum that is off in its last digit.
            steps = [at[k][bound] - (at[k + 1][bound] if k + 1 < len(levels) else 0.0) for k in range(len(levels))]
            bounds.append(np.asarray(sum(level * step for level, step in zip(levels, steps, strict=True))))
        return bounds[0], bounds[1]

    low, high = of(())
    return np.where(np.abs(high - low) < 1e-12, low, np.nan)
