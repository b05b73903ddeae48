"""Rules about times: children beside their parents, clocks, durations and timestamps that cannot be right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from traceanalytics.analysis.clock_offsets import host_pairs
from traceanalytics.analysis.quality_evidence import Found
from traceanalytics.topology import Flag

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from traceanalytics.analysis.clock_offsets import HostPairs
    from traceanalytics.analysis.quality_evidence import Evidence

__all__ = [
    "begins_after",
    "begins_before",
    "begins_slightly_before",
    "clock_drifts",
    "clock_skews",
    "ends_after",
    "ends_slightly_after",
    "millisecond_times",
    "zero_durations",
]

_SLIGHT_NS: Final = 1_000_000
_SOME_SPANS: Final = 20
_SOME_CALLS: Final = 3
"""Fewer calls between two hosts say more of the calls than of the clocks."""
_MANY_ZEROS: Final = 0.2
_NEARLY_ALL: Final = 0.95


def begins_before(evidence: Evidence) -> Found:
    """Find spans that begin more than 1 ms before their parent."""
    return Found(evidence.early_ns > _SLIGHT_NS, evidence.waited_for)


def begins_slightly_before(evidence: Evidence) -> Found:
    """Find spans that begin before their parent by 1 ms or less."""
    early = evidence.early_ns
    return Found((early > 0) & (early <= _SLIGHT_NS), evidence.waited_for)


def ends_after(evidence: Evidence) -> Found:
    """Find spans that end more than 1 ms after their parent, but began before its end."""
    return Found((evidence.late_ns > _SLIGHT_NS) & ~_begins_late(evidence), evidence.waited_for)


def ends_slightly_after(evidence: Evidence) -> Found:
    """Find spans that end after their parent by 1 ms or less, but began before its end."""
    late = evidence.late_ns
    return Found((late > 0) & (late <= _SLIGHT_NS) & ~_begins_late(evidence), evidence.waited_for)


def begins_after(evidence: Evidence) -> Found:
    """Find spans that begin when their parent has ended, but for calls between hosts whose clocks are known to disagree."""
    clocks = clock_skews(slight=False)(evidence).hit | clock_drifts(slight=False)(evidence).hit
    return Found(_begins_late(evidence) & ~clocks, evidence.waited_for)


def _begins_late(evidence: Evidence) -> NDArray[np.bool_]:
    forest = evidence.forest
    ended = evidence.of_parent(forest.end, np.iinfo(np.int64).max)
    return np.asarray(evidence.waited_for & (forest.start > ended))


def clock_skews(*, slight: bool) -> Callable[[Evidence], Found]:
    """Return the rule that finds calls which stick out of their callers by an offset of the clocks, of at most 1 ms or of more."""

    def find(evidence: Evidence) -> Found:
        pairs = _pairs(evidence)
        size = np.abs(pairs.nearest)
        off = _enough(pairs) & pairs.consistent & (size > 0) & ((size <= _SLIGHT_NS) == slight)
        return _of_calls(evidence, pairs, off, size, _skew_text)

    return find


def clock_drifts(*, slight: bool) -> Callable[[Evidence], Found]:
    """Return the rule that finds calls between hosts that no single offset explains, but for 1 ms or by more."""

    def find(evidence: Evidence) -> Found:
        pairs = _pairs(evidence)
        size = pairs.pair_low - pairs.pair_high
        off = _enough(pairs) & ~pairs.consistent & ((size <= _SLIGHT_NS) == slight)
        return _of_calls(evidence, pairs, off, size, _drift_text)

    return find


def _enough(pairs: HostPairs) -> NDArray[np.bool_]:
    return pairs.calls >= _SOME_CALLS


def _skew_text(pairs: HostPairs, at: int) -> str:
    low, high = int(pairs.pair_low[at]), int(pairs.pair_high[at])
    small, large = sorted((abs(low), abs(high)))
    hosts = _hosts_of(pairs, at)
    return (
        f"{hosts[1]} is {'ahead of' if low > 0 else 'behind'} {hosts[0]} by {small / 1e6:,.3g} to {large / 1e6:,.3g} ms"
    )


def _drift_text(pairs: HostPairs, at: int) -> str:
    hosts = _hosts_of(pairs, at)
    return (
        f"{hosts[1]} would have to be ahead of {hosts[0]} by at least {pairs.pair_low[at] / 1e6:,.3g} ms "
        f"and by at most {pairs.pair_high[at] / 1e6:,.3g} ms"
    )


def _hosts_of(pairs: HostPairs, at: int) -> tuple[str, str]:
    return str(pairs.hosts[pairs.caller_host[at]]), str(pairs.hosts[pairs.callee_host[at]])


def _pairs(evidence: Evidence) -> HostPairs:
    return evidence.memo("host_pairs", lambda: host_pairs(evidence.spans, evidence.forest))


def _of_calls(
    evidence: Evidence,
    pairs: HostPairs,
    off: NDArray[np.bool_],
    size: NDArray[np.int64],
    text: Callable[[HostPairs, int], str],
) -> Found:
    """Return the calls of the pairs in ``off`` that stick out, and for each service its pair of the greatest size."""
    hit, among = np.zeros((2, len(evidence.spans)), dtype=bool)
    among[pairs.callee] = True
    sticks_out = off[pairs.pair] & ((pairs.low > 0) | (pairs.high < 0))
    hit[pairs.callee[sticks_out]] = True
    # Pairs of hosts and services, each once: the largest size of a service comes first.
    both = np.unique((evidence.service[pairs.callee[sticks_out]] + 1) * np.int64(len(off)) + pairs.pair[sticks_out])
    owner, pair = both // max(len(off), 1) - 1, both % max(len(off), 1)
    order = np.lexsort((pair, -size[pair], owner))
    first = np.flatnonzero(np.r_[True, np.diff(owner[order]) > 0][: len(order)])
    more = np.diff(np.append(first, len(order))) - 1
    detail = {
        int(
            owner[order[at]]
        ): f"{text(pairs, int(pair[order[at]]))}{f', and {others:,} more pairs of hosts' if others else ''}."
        for at, others in zip(first.tolist(), more.tolist(), strict=True)
    }
    return Found(hit, among, detail=detail)


def zero_durations(evidence: Evidence) -> Found:
    """Find spans without any duration, in services where a fifth of the spans or more are so."""
    forest = evidence.forest
    zero = evidence.timed & (forest.end == forest.start) & ~evidence.flagged(Flag.NEGATIVE_DURATION)
    return Found(evidence.where_common(zero, evidence.timed, share=_MANY_ZEROS, least=_SOME_SPANS), evidence.timed)


def millisecond_times(evidence: Evidence) -> Found:
    """Find services nearly all of whose spans start on a whole millisecond."""
    whole = evidence.timed & (evidence.forest.start % 1_000_000 == 0)
    return Found(evidence.where_common(whole, evidence.timed, share=_NEARLY_ALL, least=_SOME_SPANS), evidence.timed)
