"""``Forest``: parents, children, roots and order of all traces of a frame, as integer arrays by row position."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from traceanalytics.spans.columns import NAT, codes_of, duration_ns, id_numbers, start_ns
from traceanalytics.spans.schema import check_spans
from traceanalytics.topology.flags import Flag
from traceanalytics.topology.links import MISSING_ID, grouped, numbered_traces, parents
from traceanalytics.topology.order import break_cycles, main_roots, nearest_timed, pre_order, sort_groups
from traceanalytics.topology.repeats import Repeats, repeats

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["COLUMNS", "Forest", "TimedTree"]

COLUMNS = ("trace_id", "span_id", "parent_span_id", "name", "service", "kind", "start_time", "duration_ms", "status")
"""The columns that a forest is built of."""

_LATEST = np.iinfo(np.int64).max
_LONGEST_MS = 9.2e12
"""About 292 years: longer durations have no int64 nanoseconds."""


class TimedTree(NamedTuple):
    """The trees of the timed spans alone: untimed ones are looked through, their children hang on the nearest timed ancestor."""

    parent: NDArray[np.int32]
    """Row of the nearest timed ancestor, or -1; meaningful for every row of the forest, timed or not."""
    child_offsets: NDArray[np.int32]
    """As in :class:`Forest`; group ``n + t`` holds the topmost timed spans of trace t."""
    children: NDArray[np.int32]
    """Timed rows, grouped by ``child_offsets`` and ordered as in :class:`Forest`."""


class Forest:
    """The trees of all traces of a span frame.

    Every array is by row position of the frame (not by index label), and rows are referred to by position. The frame may
    have any row order, any number of traces, missing parents, rings, duplicates and unknown times; nothing recurses.

    The parent of a span is the row of the same trace that bears its parent id. A span whose parent is missing, a span that
    names itself, and the earliest span of a ring are roots, and flagged. Duplicates (same trace, span id, kind, service and
    start) are left out: the row with the longest duration stays (ties: worst status, first row). When several different
    spans bear the id of a parent, the earliest one is it (ties: longest, then kind, service, name), and the child is flagged.
    A row without ``trace_id`` is a trace of its own.

    Parameters
    ----------
    spans
        Span frame with the columns of :data:`COLUMNS`. It is not changed.

    Attributes
    ----------
    n_spans, n_traces
        Number of rows, and of traces.
    trace
        int32: number of the row's trace, 0 to ``n_traces - 1`` in order of first appearance.
    trace_ids
        Index: the id of each trace; missing where a row has none.
    parent
        int32: row of the parent; -1 for roots and duplicates.
    root
        int32: row of the root of the row's tree; -1 for duplicates.
    depth
        int32: 0 for roots; -1 for duplicates.
    order
        int32: all rows but duplicates, parents before children (pre-order); traces by first appearance, siblings and the
        roots of a trace by start (missing last), then span id.
    child_offsets, children
        int32: the children of row r are ``children[child_offsets[r]:child_offsets[r + 1]]``, in the order of ``order``; the
        roots of trace t are the group ``n_spans + t``.
    start, end
        int64 ns: :data:`~traceanalytics.spans.columns.NAT` where unknown. A negative duration counts as zero.
    timed
        bool: start and duration are known. A span that would end after the year 2262, where int64 ends, counts as untimed.
    flags
        uint16: bits of :class:`~traceanalytics.topology.flags.Flag`, those about structure.
    main_root
        int32 a trace: the only span without a parent id if there is exactly one; else the root whose own interval covers
        most time (ties: earliest start, then smallest span id; untimed ones last).
    id_order
        int64: numbers that sort as the span ids do; the smallest int64 where missing.

    Raises
    ------
    SchemaError
        The frame lacks a column, or its index repeats a label.

    Examples
    --------
    >>> import pandas as pd
    >>> from traceanalytics.spans.conforming import conform
    >>> ids = pd.DataFrame({"trace_id": "01", "span_id": ["b", "a", "c"], "parent_span_id": ["a", None, "b"]})
    >>> spans = conform(ids.assign(name="call"))
    >>> forest = Forest(spans)
    >>> forest.parent.tolist(), forest.depth.tolist(), forest.order.tolist()
    ([1, -1, 0], [1, 0, 2], [1, 0, 2])
    """

    n_spans: int
    n_traces: int
    trace: NDArray[np.int32]
    trace_ids: pd.Index
    parent: NDArray[np.int32]
    root: NDArray[np.int32]
    depth: NDArray[np.int32]
    order: NDArray[np.int32]
    child_offsets: NDArray[np.int32]
    children: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    timed: NDArray[np.bool_]
    flags: NDArray[np.uint16]
    main_root: NDArray[np.int32]
    id_order: NDArray[np.int64]

    def __init__(self, spans: pd.DataFrame) -> None:
        check_spans(spans, *COLUMNS)
        self.n_spans = len(spans)
        codes, labels = codes_of(spans["trace_id"])
        self.trace, label = numbered_traces(codes, len(labels))
        self.trace_ids = (
            labels.take(label, allow_fill=True, fill_value=None) if (label < 0).any() else labels.take(label)
        )
        self.n_traces = len(label)
        self._set_times(spans)
        self._set_links(spans)

    def __repr__(self) -> str:
        return f"Forest of {self.n_spans:,} spans in {self.n_traces:,} traces, {int((self.depth == 0).sum()):,} roots"

    def roots_of(self, trace: int) -> NDArray[np.int32]:
        """Return the rows of the roots of a trace, given by its number."""
        return self.children[self.child_offsets[self.n_spans + trace] : self.child_offsets[self.n_spans + trace + 1]]

    def children_of(self, row: int) -> NDArray[np.int32]:
        """Return the rows of the children of a row."""
        return self.children[self.child_offsets[row] : self.child_offsets[row + 1]]

    @functools.cached_property
    def timed_tree(self) -> TimedTree:
        """The trees without the untimed spans; the forest's own arrays where every span is timed."""
        left_out = self.depth < 0
        if (self.timed | left_out).all():
            return TimedTree(self.parent, self.child_offsets, self.children)
        above = np.full(self.n_spans, -1, dtype=np.int32)
        nearest_timed(self.order, self.parent, self.timed.view(np.uint8), above)
        offsets, children = self._families(above, left_out | ~self.timed)
        sort_groups(
            offsets, children, np.empty(len(children), dtype=np.int32), self._late_start, self.id_order, self._tie
        )
        return TimedTree(above, offsets, children)

    def _set_times(self, spans: pd.DataFrame) -> None:
        duration, known = _durations(spans["duration_ms"])
        self.start = start_ns(spans["start_time"])
        self.flags = np.zeros(self.n_spans, dtype=np.uint16)
        negative = duration < 0
        if negative.any():
            self.flags[negative] = Flag.NEGATIVE_DURATION
            duration[negative] = 0
        missing = self.start == NAT
        self._late_start = np.where(missing, _LATEST, self.start) if missing.any() else self.start
        duration += self.start
        self.end = duration
        self.timed = known & (self.end >= self.start) & ~missing
        if not self.timed.all():
            self.end[~self.timed] = NAT
            self.flags[~self.timed] |= np.uint16(Flag.UNTIMED)

    def _set_links(self, spans: pd.DataFrame) -> None:
        own, wanted = id_numbers(spans["span_id"], spans["parent_span_id"])
        own ^= MISSING_ID
        wanted ^= MISSING_ID
        self.id_order = own
        offsets, rows = grouped(self.trace, self.n_traces)
        bearer = (own != MISSING_ID).view(np.uint8)
        self.parent, shared = parents(offsets, rows, own, wanted, bearer)
        self._tie = np.zeros(self.n_spans, dtype=np.int64)
        duplicate = np.zeros(self.n_spans, dtype=bool)
        has_parent_id = wanted != MISSING_ID
        self_parent = has_parent_id & (wanted == own)
        if shared.any():
            found = self._repeats(spans, np.flatnonzero(shared), bearer)
            self._tie, duplicate = found.tie, found.duplicate
            parent = parents(offsets, rows, own, wanted, found.bearer)[0]
            self.parent = np.where(duplicate, np.int32(-1), parent)
            self.flags[duplicate] |= np.uint16(Flag.DUPLICATE)
            self.flags[(self.parent >= 0) & found.several[self.parent]] |= np.uint16(Flag.AMBIGUOUS_PARENT)
        lost = has_parent_id & (self.parent < 0) & ~duplicate
        self.flags[lost & self_parent] |= np.uint16(Flag.SELF_PARENT)
        self.flags[lost & ~self_parent] |= np.uint16(Flag.ORPHAN)
        self._set_order(duplicate)
        self.main_root = np.empty(self.n_traces, dtype=np.int32)
        main_roots(
            self.n_spans,
            self.child_offsets,
            self.children,
            has_parent_id.view(np.uint8),
            self.start,
            self.end,
            self.timed.view(np.uint8),
            self.main_root,
        )

    def _repeats(self, spans: pd.DataFrame, rows: NDArray[np.int64], bearer: NDArray[np.uint8]) -> Repeats:
        duration, known = _durations(spans["duration_ms"].iloc[rows])
        shortness = np.where(known, -duration, _LATEST)
        return repeats(
            spans,
            rows,
            trace=self.trace,
            span_id=self.id_order,
            start=self._late_start,
            shortness=shortness,
            bearer=bearer,
        )

    def _set_order(self, duplicate: NDArray[np.bool_]) -> None:
        if not self._walk(duplicate):
            broken = np.zeros(self.n_spans, dtype=np.uint8)
            break_cycles(
                self.depth,
                self._late_start,
                self.id_order,
                self._tie,
                np.zeros(self.n_spans, dtype=np.int32),
                self.parent,
                broken,
            )
            self.flags[broken.view(bool)] |= np.uint16(Flag.CYCLE)
            self._walk(duplicate)

    def _walk(self, duplicate: NDArray[np.bool_]) -> bool:
        """Set children and order; tell whether every row was reached from a root."""
        self.child_offsets, self.children = self._families(self.parent, duplicate)
        self.order = np.empty(len(self.children), dtype=np.int32)
        self.depth = np.full(self.n_spans, -1, dtype=np.int32)
        self.root = np.full(self.n_spans, -1, dtype=np.int32)
        stack, spare = np.empty((2, self.n_spans + 1), dtype=np.int32)
        reached = np.zeros(1, dtype=np.int32)
        pre_order(
            self.n_spans,
            self.child_offsets,
            self._late_start,
            self.id_order,
            self._tie,
            stack,
            spare,
            self.children,
            self.order,
            self.depth,
            self.root,
            reached,
        )
        return bool(reached[0] == len(self.children))

    def _families(
        self, parent: NDArray[np.int32], left_out: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Group rows by parent, and the roots of a trace behind all of them; siblings are not in order yet."""
        group = np.where(parent < 0, self.trace + np.int32(self.n_spans), parent)
        if left_out.any():
            group[left_out] = -1
        return grouped(group, self.n_spans + self.n_traces)


def _durations(column: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return nanoseconds and which are known; what has no int64 nanoseconds is unknown."""
    ms = column.to_numpy("float64", na_value=np.nan)
    too_long = (ms > _LONGEST_MS) | (ms < -_LONGEST_MS)
    return duration_ns(column.mask(too_long) if too_long.any() else column)
