"""From every failed root down to the span to blame, as arrays by row position."""
# ruff: noqa: PLR0917 - kernels take their arrays by position

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from traceanalytics.analysis.failure_signs import failure_signs
from traceanalytics.analysis.remote_calls import CONSUMER, INTERNAL, PRODUCER
from traceanalytics.analysis.superseded_attempts import superseded
from traceanalytics.kernels import kernel, part
from traceanalytics.spans.columns import NAT, codes_of
from traceanalytics.spans.error_rule import is_error
from traceanalytics.spans.schema import KIND
from traceanalytics.topology.order import nearest_timed
from traceanalytics.topology.repeats import fixed_codes

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from traceanalytics.kernels import Ints
    from traceanalytics.topology import Forest

__all__ = ["CAUSES", "Blame", "blame"]

CAUSES: Final = ("error", "timeout", "cancellation", "slow")
_LATEST: Final = np.iinfo(np.int64).max
_ROUNDING_NS: Final = 1_000_000
_ROUNDING_PARTS: Final = 100
"""Up to 1 ms, or a hundredth of the parent, by which a child outlives its parent is rounding or clocks."""


class Blame(NamedTuple):
    """The failed requests of a frame: one element each, but for the masks, which have one element a span."""

    root: NDArray[np.int32]
    """Row of the failed main root; requests without a trace id are left out."""
    stop: NDArray[np.int32]
    """Row where the descent among failed spans ended."""
    row: NDArray[np.int32]
    """Row of the span to blame: the stop, or what was running when the stop gave up."""
    cause: NDArray[np.int8]
    """Place in :data:`CAUSES`."""
    failed: NDArray[np.bool_]
    """A span: failed, is no duplicate, and belongs to a trace that has an id."""
    on_chain: NDArray[np.bool_]
    """A span: lies between a failed root and the span to blame, both included."""


def blame(spans: pd.DataFrame, forest: Forest) -> Blame:
    """Return whom to blame for each failed request; see :func:`~traceanalytics.analysis.error_attribution.attribute_errors`."""
    named = np.asarray(forest.trace_ids.notna(), dtype=bool)
    failed = is_error(spans).to_numpy(bool) & (forest.depth >= 0) & named[forest.trace]
    root = forest.main_root[named]
    root = root[failed[root]]
    stop, row = np.empty((2, len(root)), dtype=np.int32)
    hurried = np.zeros(len(root), dtype=np.uint8)
    on_chain = np.zeros(len(spans), dtype=np.uint8)
    if not len(root):
        return Blame(root, stop, row, hurried.view(np.int8), failed, on_chain.view(bool))
    timed_out, cancelled, mute = np.zeros((3, len(spans)), dtype=bool)
    rows = np.flatnonzero(failed)
    timed_out[rows], cancelled[rows], mute[rows] = failure_signs(spans, rows)
    kind = fixed_codes(spans["kind"], KIND)
    service = codes_of(spans["service"])[0]
    loose = (kind == CONSUMER) & (forest.parent >= 0) & (kind[forest.parent] == PRODUCER)
    following = _following(spans, forest, kind, service, failed, timed_out, cancelled, mute, loose)
    unfinished = ~forest.timed & (forest.start != NAT)
    _descend(
        root,
        following,
        forest.child_offsets,
        forest.children,
        forest.start,
        forest.end,
        forest.timed.view(np.uint8),
        unfinished.view(np.uint8),
        timed_out.view(np.uint8),
        cancelled.view(np.uint8),
        loose.view(np.uint8),
        service,
        stop,
        row,
        hurried,
    )
    _mark_chains(row, forest.parent, on_chain)
    slow = (row != stop) | (cancelled[stop] & hurried.view(bool))
    cause = np.where(slow, 3, np.where(timed_out[stop], 1, np.where(cancelled[stop], 2, 0)))
    return Blame(root, stop, row, cause.astype(np.int8), failed, on_chain.view(bool))


def _following(
    spans: pd.DataFrame,
    forest: Forest,
    kind: NDArray[np.int32],
    service: NDArray[np.int32],
    failed: NDArray[np.bool_],
    timed_out: NDArray[np.bool_],
    cancelled: NDArray[np.bool_],
    mute: NDArray[np.bool_],
    loose: NDArray[np.bool_],
) -> NDArray[np.int32]:
    """Return for every failed row the failed row below it that explains it, -1 where there is none."""
    through = _looked_through(spans, forest, kind, service, failed)
    above = np.full(len(spans), -1, dtype=np.int32)
    nearest_timed(forest.order, forest.parent, (~through).view(np.uint8), above)
    below_failed = (above >= 0) & failed[above]
    candidates = np.flatnonzero(failed & below_failed)
    following = np.full(len(spans), -1, dtype=np.int32)
    if not len(candidates):
        return following
    holds_failure = np.zeros(len(spans), dtype=bool)
    holds_failure[above[candidates]] = True
    tainted = np.zeros(len(spans), dtype=np.uint8)
    _taint(candidates, forest.parent, through.view(np.uint8), tainted)
    good = forest.timed & ~failed & below_failed & (tainted == 0)
    good[good] = holds_failure[above[good]]
    answered = np.flatnonzero(good)
    kept = ~superseded(
        spans, forest, kind=kind, above=above, failed=candidates, succeeded=answered, cancelled=cancelled
    )
    candidates = candidates[kept & ~_too_late(forest, above, candidates, service, timed_out, loose)]
    chosen = _chosen(forest, above, candidates, _called_off(forest, above, candidates, cancelled, mute))
    following[above[chosen]] = chosen
    return following


def _looked_through(
    spans: pd.DataFrame,
    forest: Forest,
    kind: NDArray[np.int32],
    service: NDArray[np.int32],
    failed: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Mark the spans inside a service that say nothing of success or failure; without a kind, a span counts as internal."""
    status = spans["status"]
    unmarked = ~failed & (status.isna() | (status == "UNSET")).to_numpy(bool)
    inside = (kind <= INTERNAL) & (forest.parent >= 0)
    found: NDArray[np.bool_] = unmarked & inside & (service == service[forest.parent])
    return found


def _too_late(
    forest: Forest,
    above: NDArray[np.int32],
    rows: NDArray[np.int64],
    service: NDArray[np.int32],
    timed_out: NDArray[np.bool_],
    loose: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Mark the rows that failed when the span above had ended, and so cannot have made it fail.

    A child in another service that is no longer than its parent fits into it: then the clocks differ, unless the parent says
    that it did not wait.
    """
    up = above[rows]
    both = forest.timed[rows] & forest.timed[up]
    length, room = forest.end[rows] - forest.start[rows], forest.end[up] - forest.start[up]
    slack = np.maximum(_ROUNDING_NS, room // _ROUNDING_PARTS)
    over = forest.end[rows] - slack > forest.end[up]
    sure = timed_out[up] | loose[rows] | (service[rows] == service[up]) | (length > room)
    late: NDArray[np.bool_] = both & over & sure
    return late


def _called_off(
    forest: Forest,
    above: NDArray[np.int32],
    candidates: NDArray[np.int64],
    cancelled: NDArray[np.bool_],
    mute: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Mark what was cancelled, and what says nothing of its own and has nothing but cancelled failures below."""
    found, others = cancelled.copy().view(np.uint8), np.zeros(len(above), dtype=np.uint8)
    place = np.empty(forest.n_spans, dtype=np.int64)
    place[forest.order] = np.arange(len(forest.order))
    upwards = candidates[np.argsort(-place[candidates])]
    _hand_up(upwards, above, mute.view(np.uint8), others, found)
    return found.view(bool)


def _chosen(
    forest: Forest, above: NDArray[np.int32], candidates: NDArray[np.int64], cancelled: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return one candidate for each span above: the first to fail if it had others cancelled, else the last one.

    What had ended before any of the cancelled ones began is not why they were cancelled.
    """
    up = above[candidates]
    some_cancelled, some_not = np.zeros((2, forest.n_spans), dtype=bool)
    some_cancelled[up[cancelled[candidates]]] = True
    begun = np.full(forest.n_spans, _LATEST)
    np.minimum.at(begun, up[cancelled[candidates]], forest.start[candidates[cancelled[candidates]]])
    over = forest.timed[candidates] & (forest.end[candidates] < begun[up])
    some_not[up[~cancelled[candidates] & ~over]] = True
    first = some_cancelled & some_not
    kept = ~(first[up] & (cancelled[candidates] | over))
    candidates, up = candidates[kept], up[kept]
    end = forest.end[candidates]
    within = np.minimum(end, np.where(forest.timed[up], forest.end[up], _LATEST))
    key = np.where(first[up], end, -np.where(forest.timed[candidates], within, 0))
    key[~forest.timed[candidates]] = _LATEST
    place = np.empty(forest.n_spans, dtype=np.int64)  # by start and id, whatever the order of the rows
    place[forest.order] = np.arange(len(forest.order))
    order = np.lexsort((place[candidates], key, up))
    sorted_up = up[order]
    is_first = np.r_[True, sorted_up[1:] != sorted_up[:-1]][: len(order)]
    chosen: NDArray[np.int64] = candidates[order[is_first]]
    return chosen


@kernel("tainted")
def _taint(candidates: Ints, parent: Ints, through: Ints, tainted: Ints) -> None:
    """Mark the spans looked through that have a failure inside: they are no proof of success."""
    for candidate in candidates:
        row = parent[candidate]
        while row >= 0 and through[row] and not tainted[row]:
            tainted[row] = 1
            row = parent[row]


@kernel("others", "found")
def _hand_up(rows: Ints, above: Ints, mute: Ints, others: Ints, found: Ints) -> None:
    """Let those that say nothing take over what all their failures below say; ``rows`` come from the leaves up."""
    for row in rows:
        up = above[row]
        if others[row] == 2 and mute[row]:
            found[row] = 1
        others[up] = 2 if found[row] and others[up] != 1 else 1


@part
def running_child(
    node: int,
    stop: int,
    strict: int,
    offsets: Ints,
    children: Ints,
    start: Ints,
    end: Ints,
    timed: Ints,
    unfinished: Ints,
    loose: Ints,
    service: Ints,
) -> int:
    """Return the child of ``node`` that was running when ``stop`` ended, the one that ended last; -1 if there is none."""
    deadline = end[stop]
    room = deadline - start[stop]
    slack = max(_ROUNDING_NS, room // _ROUNDING_PARTS)
    best = -1
    for at in range(offsets[node], offsets[node + 1]):
        child = children[at]
        if loose[child] or start[child] >= deadline:
            continue
        if unfinished[child]:
            runs = best < 0 or not unfinished[best]
        elif not timed[child]:
            runs = False
        elif strict and node == stop:
            outlives = end[child] - slack > deadline
            runs = outlives and (service[child] == service[stop] or end[child] - start[child] > room)
        else:
            runs = end[child] + slack >= deadline
        if runs and (best < 0 or unfinished[child] or (not unfinished[best] and end[child] > end[best])):
            best = child
    return best


@kernel("stop", "blamed", "hurried")
def _descend(
    root: Ints,
    following: Ints,
    offsets: Ints,
    children: Ints,
    start: Ints,
    end: Ints,
    timed: Ints,
    unfinished: Ints,
    timed_out: Ints,
    cancelled: Ints,
    loose: Ints,
    service: Ints,
    stop: Ints,
    blamed: Ints,
    hurried: Ints,
) -> None:
    """Follow the failures down; then, from where they end, what was still running."""
    for request in range(len(root)):
        row = root[request]
        while following[row] >= 0:
            if timed_out[row]:
                hurried[request] = 1
            row = following[row]
        stop[request] = row
        blamed[request] = row
        if timed[row]:
            last = row
            gave_up = timed_out[row] or (cancelled[row] and hurried[request])
            strict = 0 if gave_up else 1
            below = row
            while below >= 0:
                blamed[request] = below
                below = running_child(
                    below, last, strict, offsets, children, start, end, timed, unfinished, loose, service
                )


@kernel("on_chain")
def _mark_chains(blamed: Ints, parent: Ints, on_chain: Ints) -> None:
    """Mark the spans from each blamed one up to its root."""
    for row in blamed:
        at = row
        while at >= 0:
            on_chain[at] = 1
            at = parent[at]
