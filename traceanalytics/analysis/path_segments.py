"""The critical paths of a frame as arrays: which roots, which children can hold a span up, and the walk over them."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from traceanalytics.analysis import path_kernels
from traceanalytics.errors import OptionError, check_option
from traceanalytics.spans.columns import NAT, codes_of
from traceanalytics.spans.schema import KIND, check_spans
from traceanalytics.topology import Flag
from traceanalytics.topology.repeats import fixed_codes

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from traceanalytics.topology import Forest

__all__ = ["Segments", "asynchronous", "follow_from_parent", "walk"]

_OVERRUN: Final = {"detach": path_kernels.DETACH, "clip": path_kernels.CLIP, "ignore": path_kernels.IGNORE}
_ABOUT_ROOT: Final = int(Flag.ORPHAN | Flag.CYCLE | Flag.SELF_PARENT)
_ABOUT_SPAN: Final = int(Flag.UNTIMED | Flag.NEGATIVE_DURATION | Flag.AMBIGUOUS_PARENT)
_LONGEST_TOLERANCE_NS: Final = 1 << 62
_PRODUCER: Final = KIND.categories.get_loc("PRODUCER")
_CONSUMER: Final = KIND.categories.get_loc("CONSUMER")


class Segments(NamedTuple):
    """The critical paths of a frame, one element a segment; rows are positions in the frame."""

    row: NDArray[np.int32]
    """The span whose time it is."""
    root: NDArray[np.int32]
    """The root of its path."""
    start: NDArray[np.int64]
    """ns; missing where a root without time stands for its trace. So is the end."""
    end: NDArray[np.int64]
    length: NDArray[np.int64]
    """ns, 0 where an instant is missing."""
    waiting: NDArray[np.bool_]
    """A child is running that is not the one waited for."""
    lead: NDArray[np.int64]
    """By how many ns the span ended after its closest rival; -1 where there was none."""
    flags: NDArray[np.int32]
    """Bits of :class:`~traceanalytics.topology.flags.Flag`, of the span and of its root."""


def walk(
    spans: pd.DataFrame,
    forest: Forest,
    *,
    mode: str = "partition",
    overrun: str = "detach",
    tolerance_ms: float = 0.0,
    roots: str = "main",
) -> Segments:
    """Return what :func:`~traceanalytics.analysis.critical_path.critical_path` shows, for those who go on computing with it."""
    check_option("mode", mode, ["partition", "jaeger"])
    check_option("overrun", overrun, _OVERRUN)
    check_option("roots", roots, ["main", "all"])
    if not (math.isfinite(tolerance_ms) and tolerance_ms >= 0):
        raise OptionError(f"tolerance_ms={tolerance_ms!r} is no length of time; give 0 or more milliseconds")
    check_spans(spans, "kind", "service", "links")
    strict = mode == "jaeger"
    starts = _path_roots(forest, every=roots == "all")
    if strict:
        starts = starts._replace(walkable=starts.walkable & (starts.flags & _ABOUT_ROOT == 0))
    loose = asynchronous(spans, forest, follows_from=not strict)
    service = codes_of(spans["service"])[0]
    tolerance_ns = min(round(tolerance_ms * 1e6), _LONGEST_TOLERANCE_NS)
    return _walked(
        forest, starts, loose, service, (strict, path_kernels.CLIP if strict else _OVERRUN[overrun], tolerance_ns)
    )


class _Roots(NamedTuple):
    """Where paths start: rows, flags about them, and whether they can be walked."""

    row: NDArray[np.int32]
    flags: NDArray[np.int32]
    walkable: NDArray[np.bool_]


def _walked(
    forest: Forest, roots: _Roots, loose: NDArray[np.bool_], service: NDArray[np.int32], rule: tuple[bool, int, int]
) -> Segments:
    n, tree = forest.n_spans, forest.timed_tree
    strict, overrun, tolerance_ns = rule
    tie = np.arange(n, dtype=np.int64) if strict else forest.id_order
    flags = _about_spans(forest)
    lead = np.full(n, -1, dtype=np.int64)
    segments = np.empty(4 * n * path_kernels.SEGMENT, dtype=np.int64)
    stops = np.empty(len(roots.row), dtype=np.int64)
    begins, ends = np.empty((2, n), dtype=np.int64)
    frame = np.empty(path_kernels.FRAME * (int(forest.depth.max(initial=0)) + 2), dtype=np.int64)
    path_kernels.walk_paths(
        roots.row,
        roots.walkable.view(np.uint8),
        int(strict),
        overrun,
        tolerance_ns,
        tree.child_offsets,
        forest.start,
        forest.end,
        tie,
        service,
        loose.view(np.uint8),
        tree.children.copy(),
        np.empty(n, dtype=np.int32),
        begins,
        ends,
        frame,
        flags,
        lead,
        segments,
        stops,
    )
    count = int(stops[-1]) if len(stops) else 0
    root, row = np.empty((2, count), dtype=np.int32)
    waiting = np.empty(count, dtype=np.uint8)
    start, end = np.empty((2, count), dtype=np.int64)
    path_kernels.unpack(
        segments[: path_kernels.SEGMENT * count], stops, roots.row, int(strict), root, row, waiting, start, end
    )
    length = end - start
    known = forest.timed[row]
    if not known.all():
        end[~known] = NAT
    about = np.zeros(n, dtype=np.int32)
    about[roots.row] = roots.flags
    return Segments(row, root, start, end, length, waiting.view(bool), lead[row], flags[row] | about[root])


def _path_roots(forest: Forest, *, every: bool) -> _Roots:
    """Return the rows that paths start from, in the forest's order.

    A root is its own; for an untimed one its topmost timed descendants stand, and it stands for itself where there are none.
    """
    n = forest.n_spans
    roots = forest.children[forest.child_offsets[n] :]
    tops = roots
    if not forest.timed[roots].all():
        tree = forest.timed_tree
        tops = tree.children[tree.child_offsets[n] :]
        hopeless = np.setdiff1d(roots[~forest.timed[roots]], forest.root[tops])
        place = np.empty(n, dtype=np.int32)
        place[forest.order] = np.arange(len(forest.order), dtype=np.int32)
        tops = np.concatenate([tops, hopeless.astype(np.int32)])
        tops = tops[np.argsort(place[tops])]
    chosen = tops if every else _main_of(forest, tops)
    flags = forest.flags[forest.root[chosen]].astype(np.int32) & _ABOUT_ROOT
    flags[forest.root[chosen] != chosen] |= Flag.UNTIMED_ROOT
    moment = forest.timed[chosen] & (forest.end[chosen] == forest.start[chosen])
    flags[moment & (forest.flags[chosen] & Flag.NEGATIVE_DURATION == 0)] |= Flag.ZERO_DURATION
    if not every:
        per_trace = np.bincount(forest.trace[tops], minlength=forest.n_traces)
        flags[per_trace[forest.trace[chosen]] > 1] |= Flag.OTHER_ROOTS
    return _Roots(chosen, flags, forest.timed[chosen])


def _main_of(forest: Forest, tops: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return each trace's main root; where that is untimed, what covers most time: below it, or else in the whole trace."""
    main = forest.main_root.copy()
    lost = ~forest.timed[main]
    if lost.any():
        some = tops[lost[forest.trace[tops]]]
        trace = forest.trace[some]
        elsewhere = forest.root[some] != main[trace]
        shortness = np.where(forest.timed[some], forest.start[some] - forest.end[some], 1)
        order = np.lexsort((forest.id_order[some], forest.start[some], shortness, elsewhere, shortness > 0, trace))
        some, trace = some[order], trace[order]
        first = np.diff(trace, prepend=-1) != 0
        main[trace[first]] = some[first]
    return main


def _about_spans(forest: Forest) -> NDArray[np.int32]:
    """Return the flags about spans that are known before the walk."""
    flags = forest.flags.astype(np.int32) & _ABOUT_SPAN
    untimed = np.flatnonzero(~forest.timed & (forest.depth > 0))
    above = forest.timed_tree.parent[untimed]
    flags[above[above >= 0]] |= Flag.UNTIMED_CHILD
    return flags


def asynchronous(spans: pd.DataFrame, forest: Forest, *, follows_from: bool) -> NDArray[np.bool_]:
    """Mark the spans that the nearest timed span above them does not wait for."""
    kind = fixed_codes(spans["kind"], KIND)
    consumers = np.flatnonzero((kind == _CONSUMER) & (forest.parent >= 0))
    loose = np.zeros(forest.n_spans, dtype=bool)
    loose[consumers[kind[forest.parent[consumers]] == _PRODUCER]] = True
    if follows_from:
        loose[follow_from_parent(spans, forest)] = True
    if loose.any() and not forest.timed.all():
        path_kernels.spread_loose(forest.order, forest.parent, forest.timed.view(np.uint8), loose.view(np.uint8))
    return loose


def follow_from_parent(spans: pd.DataFrame, forest: Forest) -> list[int]:
    """Return the rows that have a link to their own parent which says that they follow from it."""
    column = spans["links"]
    if not column.notna().any():
        return []
    mentioned = column.astype("str").str.contains("follows_from", regex=False, na=False).to_numpy(bool)
    rows = np.flatnonzero(mentioned & (forest.parent >= 0))
    some = spans.iloc[rows]
    cells = zip(rows.tolist(), some["links"], some["trace_id"], some["parent_span_id"], strict=True)
    return [row for row, text, trace_id, parent_id in cells if _says_follows_from(text, trace_id, parent_id)]


def _says_follows_from(text: str, trace_id: object, parent_id: str) -> bool:
    try:
        links = json.loads(text)
    except (TypeError, ValueError, RecursionError):  # not ours: whatever it is, it says nothing about the parent
        return False
    return isinstance(links, list) and any(_is_follows_from(link, trace_id, parent_id) for link in links)


def _is_follows_from(link: Any, trace_id: object, parent_id: str) -> bool:
    if not isinstance(link, dict) or link.get("span_id") != parent_id or link.get("trace_id", trace_id) != trace_id:
        return False
    attributes = link.get("attributes")
    return isinstance(attributes, dict) and attributes.get("opentracing.ref_type") == "follows_from"
