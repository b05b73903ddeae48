"""Which traces of complete data a design keeps, under one draw of luck."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from traceanalytics.errors import OptionError, SchemaError
from traceanalytics.sampling.design_probabilities import endpoint_probabilities, endpoint_rules
from traceanalytics.sampling.limiters import admitted_by_budget, first_of_each_second
from traceanalytics.sampling.policy_votes import Luck, Votes, decision_of, streams_of, vote_of
from traceanalytics.sampling.tail_sampling import decision_parts, tail_policies
from traceanalytics.sampling.thresholds import SCALE, threshold
from traceanalytics.spans.columns import NAT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.sampling.designs import Design
    from traceanalytics.sampling.policies import Policy
    from traceanalytics.sampling.trace_facts import TraceFacts

__all__ = ["Choice", "choose"]


class Choice(NamedTuple):
    """What was kept, why, and with which probability."""

    rows: NDArray[np.bool_]
    """The spans that were kept."""
    trace_pi: NDArray[np.float64]
    """Probability that anything of the trace is kept; NaN where the design does not tell."""
    span_pi: NDArray[np.float64]
    """The same for every span: that of its trace, except where services decide for themselves."""
    kept_by: NDArray[np.object_]
    """Name of what kept each trace; empty where nothing did."""
    randomness: NDArray[np.uint64]
    thresholds: NDArray[np.uint64] | None
    """What consistent sampling writes on each span."""


def choose(design: Design, facts: TraceFacts, seed: int) -> Choice:
    """Draw a sample. The same seed gives each trace the same random number under every design."""
    rng = np.random.default_rng(seed)
    randomness = rng.integers(0, SCALE, facts.number, np.uint64)
    u = (np.uint64(SCALE) - randomness) / SCALE
    if design.kind == "unknown":
        raise OptionError("Design.unknown() cannot be simulated: say how traces are to be chosen, as Design.head(0.1)")
    if design.kind == "consistent":
        return _consistent(design, facts, randomness)
    if design.kind in ("tail", "errors_always"):
        return _tail(design, facts, randomness, u, rng)
    pi = design.probabilities(facts)
    if design.kind == "priority":
        pi = endpoint_probabilities(design, facts)  # the sampler knows the endpoint, also where no root is left of it
        kept, by = u <= pi, _names(facts, endpoint_rules(design, facts))
    elif design.kind in ("rate_limit", "reservoir"):
        first = first_of_each_second(facts.first_start, design.per_s)
        kept = first | (u <= design.p) if design.kind == "reservoir" else first
        by = np.where(first, f"first {design.per_s:g}/s", f"{100 * design.p:.6g} %").astype(object)
    else:
        if np.isnan(pi).any():
            raise SchemaError(
                f"{int(np.isnan(pi).sum()):,} of {facts.number:,} traces have no weight of at least 1 in {design.weight_column!r}, "
                "one for all spans of a trace: nothing says with which probability to keep them"
            )
        kept, by = u <= pi, _names(facts, design.name)
    return _by_trace(facts, kept, pi, by, randomness)


def _names(facts: TraceFacts, names: str | NDArray[np.object_]) -> NDArray[np.object_]:
    return np.full(facts.number, names, object) if isinstance(names, str) else names


def _by_trace(
    facts: TraceFacts,
    kept: NDArray[np.bool_],
    pi: NDArray[np.float64],
    by: NDArray[np.object_],
    randomness: NDArray[np.uint64],
) -> Choice:
    rows = np.append(kept, np.False_)[facts.codes]
    return Choice(rows, pi, np.append(pi, np.nan)[facts.codes], np.where(kept, by, ""), randomness, None)


def _consistent(design: Design, facts: TraceFacts, randomness: NDArray[np.uint64]) -> Choice:
    bits = np.append(randomness, np.uint64(0))[facts.codes]
    trace_pi = design.probabilities(facts)
    if design.is_by_span:
        span_pi = design.span_probabilities(facts)
        levels, at = np.unique(span_pi, return_inverse=True)
        limits = np.array([threshold(p) if p > 0 else SCALE for p in levels.tolist()], np.uint64)[at]
    else:
        span_pi = np.append(trace_pi, np.nan)[facts.codes]
        limits = np.full(len(bits), threshold(design.p), np.uint64)
    rows = (facts.codes >= 0) & (bits >= limits)
    by = np.where(facts.having(rows), design.name, "").astype(object)
    return Choice(rows, trace_pi, span_pi, by, randomness, limits)


def _tail(
    design: Design,
    facts: TraceFacts,
    randomness: NDArray[np.uint64],
    u: NDArray[np.float64],
    rng: np.random.Generator,
) -> Choice:
    policies = tail_policies(design)
    streams = streams_of(policies, design.joint)
    numbers = [u, *(1 - rng.random(facts.number) for _ in streams.levels[1:])]
    parts = decision_parts(design, facts)
    rows, by = np.zeros(len(facts.codes), np.bool_), np.full(facts.number, "", object)
    for part in parts:
        luck = Luck(streams, numbers, lambda p, f, offered: _limited(design, p, f, offered))
        votes = [vote_of(policy, part, luck) for policy in policies]
        kept = decision_of(policies, votes, facts.number).sure & (part.n_spans > 0)
        for policy, vote in zip(policies, votes, strict=True):
            by[kept & (by == "") & vote.sure] = policy.name if policy.kind != "drop" else ""
        # Where there is a decision cache, late spans (-1 in the only part) follow their trace.
        codes = facts.codes if design.decision_cache else part.codes
        rows |= np.append(kept, np.False_)[codes]
    pi = design.probabilities(facts)
    return Choice(rows, pi, np.append(pi, np.nan)[facts.codes], by, randomness, None)


def _limited(design: Design, policy: Policy, facts: TraceFacts, offered: NDArray[np.bool_]) -> Votes:
    """Return what a limiter lets through, second by second of the decisions; each round of late spans has a budget of its own."""
    if design.decision_wait_s is None:
        decided = facts.last_arrival
    else:
        decided = np.where(facts.first_arrival == NAT, NAT, facts.first_arrival + round(design.decision_wait_s * 1e9))
    kept = admitted_by_budget(decided, facts.n_spans, offered & (facts.n_spans > 0), policy.low or 0)
    return Votes(kept, kept)
