"""Rules about parents and roots: what is missing from the trees, or twice in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from traceanalytics.analysis.quality_evidence import Found
from traceanalytics.analysis.remote_calls import CLIENT, CONSUMER, PRODUCER, SERVER
from traceanalytics.kernels import kernel
from traceanalytics.topology import Flag

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from traceanalytics.analysis.quality_evidence import Evidence
    from traceanalytics.kernels import Ints

__all__ = [
    "edge_cuts",
    "enclosed_siblings",
    "flagged",
    "missing_callers",
    "missing_ids",
    "orphans",
    "rootless_traces",
    "several_roots",
    "span_limits",
    "truncated_traces",
]

_FEW: Final = 3
"""Fewer traces than this show no limit."""
_SOME_TRACES: Final = 20
_SMALLEST_LIMIT: Final = 10


def flagged(flag: Flag) -> Callable[[Evidence], Found]:
    """Return the rule that finds the spans with a flag of the forest."""

    def find(evidence: Evidence) -> Found:
        if flag is Flag.DUPLICATE:
            return Found(evidence.flagged(flag), np.ones(len(evidence.spans), dtype=bool))
        return Found(evidence.flagged(flag) & evidence.kept, evidence.kept)

    return find


def missing_ids(evidence: Evidence) -> Found:
    """Find spans without a trace id or a span id."""
    spans = evidence.spans
    missing = spans["trace_id"].isna().to_numpy(bool) | spans["span_id"].isna().to_numpy(bool)
    return Found(missing, np.ones(len(spans), dtype=bool))


def orphans(evidence: Evidence) -> Found:
    """Find spans whose parent is missing, in traces that have a root: the other traces are findings themselves."""
    lost = evidence.flagged(Flag.ORPHAN) & evidence.kept
    return Found(lost & ~_rootless(evidence)[evidence.forest.trace], evidence.kept)


def rootless_traces(evidence: Evidence) -> Found:
    """Find traces in which every span names a parent, and which are still in one piece."""
    return Found(_rootless(evidence) & ~_in_pieces(evidence), evidence.real_traces)


def _rootless(evidence: Evidence) -> NDArray[np.bool_]:
    return np.asarray((evidence.per_trace(evidence.parentless) == 0) & evidence.real_traces)


def _in_pieces(evidence: Evidence) -> NDArray[np.bool_]:
    return evidence.per_trace(evidence.flagged(Flag.ORPHAN)) > 1


def several_roots(evidence: Evidence) -> Found:
    """Find traces in which several spans name no parent."""
    return Found((evidence.per_trace(evidence.parentless) > 1) & evidence.real_traces, evidence.real_traces)


def truncated_traces(evidence: Evidence) -> Found:
    """Find traces that lost their root and fell into several pieces."""
    return Found(_rootless(evidence) & _in_pieces(evidence), evidence.real_traces)


def span_limits(evidence: Evidence) -> Found:
    """Find incomplete traces that all have the same, largest number of spans: an export or a query that stops there."""
    real = evidence.real_traces
    size = evidence.per_trace(np.ones(len(evidence.spans), dtype=bool))
    torn = evidence.per_trace(evidence.flagged(Flag.ORPHAN)) > 0
    limit = int(size.max(initial=0, where=real))
    largest = real & (size == limit)
    hit = largest & torn
    several_sizes = bool((size[real] < limit).any())
    stops = limit >= _SMALLEST_LIMIT and several_sizes and hit.sum() >= _FEW and 2 * hit.sum() >= largest.sum()
    detail = {int(code): f"The limit is {limit:,} spans." for code in np.unique(evidence.root_service[hit])}
    return Found(hit if stops else np.zeros_like(hit), real, detail=detail if stops else {})


def edge_cuts(evidence: Evidence) -> Found:
    """Find traces without a root at the beginning of the data, where most are so, when elsewhere few are."""
    real, rootless = evidence.real_traces, _rootless(evidence)
    first, last = _extent(evidence)
    known = real & (first <= last)
    nothing = Found(np.zeros_like(real), real)
    if known.sum() < _SOME_TRACES:
        return nothing
    begin, usual = first[known].min(), np.median(last[known] - first[known])
    edge = known & (first - begin <= usual)
    inside = known & ~edge
    cut = edge & rootless
    if cut.sum() < _FEW or 2 * cut.sum() < edge.sum() or 10 * (rootless & inside).sum() > inside.sum():
        return nothing
    return Found(cut, edge)


def _extent(evidence: Evidence) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the earliest start and latest end of each trace; the start is the later one where nothing is timed."""
    forest, timed = evidence.forest, evidence.timed
    limits = np.iinfo(np.int64)
    first = np.full(forest.n_traces, limits.max // 2, dtype=np.int64)
    last = np.full(forest.n_traces, limits.min // 2, dtype=np.int64)
    np.minimum.at(first, forest.trace[timed], forest.start[timed])
    np.maximum.at(last, forest.trace[timed], forest.end[timed])
    return first, last


def missing_callers(evidence: Evidence) -> Found:
    """Find services most of whose called spans have lost their parent: whoever calls them sends no spans."""
    entry = evidence.kept & ((evidence.kind == SERVER) | (evidence.kind == CONSUMER)) & ~evidence.parentless
    lost = entry & evidence.flagged(Flag.ORPHAN)
    return Found(evidence.where_common(lost, entry, share=0.5, least=_FEW), entry)


def enclosed_siblings(evidence: Evidence) -> Found:
    """Find spans that run within a sibling of the same service and fill at least half of it.

    A sibling that is itself a remote call encloses nothing: two calls at the same time are just that. And it must be so for half
    of the spans of that name or more: what runs side by side is enclosed by chance, now and then.
    """
    tree = evidence.forest.timed_tree
    own = (evidence.timed & evidence.within).view(np.uint8)
    local = ((evidence.kind != CLIENT) & (evidence.kind != PRODUCER)).view(np.uint8)
    name = evidence.name_codes
    found = np.zeros(len(evidence.spans), dtype=np.uint8)
    start, end = evidence.forest.start, evidence.forest.end
    _enclosed(tree.child_offsets[: len(own) + 1], tree.children, start, end, own, local, name, found)
    return Found(_usual(evidence, found.view(bool), own.view(bool)), own.view(bool))


def _usual(evidence: Evidence, found: NDArray[np.bool_], own: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the found spans without those of a service and name of which most are not found."""
    if not found.any():
        return found
    width = int(evidence.name_codes.max()) + 2
    operation = evidence.service.astype(np.int64) * width + evidence.name_codes + 1
    codes, labels = pd.factorize(operation[own])
    hits = np.bincount(codes[found[own]], minlength=len(labels))
    usual = 2 * hits >= np.bincount(codes, minlength=len(labels))
    result = found.copy()
    result[own] &= usual[codes]
    return result


@kernel("found")
def _enclosed(  # noqa: PLR0917 - kernels take their arrays by position
    offsets: Ints, children: Ints, start: Ints, end: Ints, own: Ints, local: Ints, name: Ints, found: Ints
) -> None:
    # In order of start, a span can lie within the sibling before it and within the one that reaches farthest so far; or, within
    # the tolerance, around the one before it.
    for group in range(len(offsets) - 1):
        before = -1
        farthest = -1
        for at in range(offsets[group], offsets[group + 1]):
            span = children[at]
            if not own[span]:
                continue
            for way in range(3):
                outer = before if way == 0 else farthest if way == 1 else span
                inner = span if way < 2 else before
                if outer < 0 or inner < 0 or not local[outer] or name[outer] == name[inner]:
                    continue
                if way == 2 and found[span]:
                    continue  # each would enclose the other
                length = end[outer] - start[outer]
                slack = min(1_000_000, length // 10)
                if (
                    start[inner] >= start[outer] - slack
                    and end[inner] <= end[outer] + slack
                    and 2 * (end[inner] - start[inner]) >= length
                    and end[inner] - start[inner] <= length
                    and length > 0
                ):
                    found[inner] = 1
            before = span
            if local[span] and (farthest < 0 or end[span] > end[farthest]):
                farthest = span
