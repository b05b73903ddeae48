"""A trace run again with some spans longer, shorter, earlier or later: what moves along, what does not, and how much slack there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.analysis import replay_kernels
from traceanalytics.analysis.path_segments import asynchronous
from traceanalytics.errors import OptionError
from traceanalytics.spans.columns import codes_of, duration_ms, instants
from traceanalytics.spans.schema import check_spans
from traceanalytics.topology import Forest

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Replayed", "replay", "run_again", "slack"]

_LONGEST_MS: Final = 3.2e12
"""About 100 years: longer changes are mistakes, and sums of them would leave int64."""


class Replayed(NamedTuple):
    """A trace that was run again; one element a row of the frame."""

    start: NDArray[np.int64]
    """ns, as in the forest where nothing changed, and missing where it was."""
    end: NDArray[np.int64]
    slack: NDArray[np.float64]
    """By how many ns the span may end later without its root ending later; infinite where nothing waits for it."""
    awaited: NDArray[np.bool_]
    """The nearest timed span above waits for it."""
    tail: NDArray[np.int64]
    """ns that the span went on alone after the last child that it waited for; all of its duration where there was none."""


def replay(
    spans: pd.DataFrame, *, longer_ms: pd.Series | None = None, later_ms: pd.Series | None = None
) -> pd.DataFrame:
    """Answer how traces would have run had some spans been longer, shorter, earlier or later: the same spans at new times.

    The model has three rules. A child starts as long after the last awaited sibling that had ended before it as it was observed to,
    or as long after its parent's start where there was none: so what came after a longer span moves, and what ran beside it stays.
    A span ends as long after the last child that it waited for as it was observed to, and what is below a span moves with its start.
    Children that their parent does not wait for (asynchronous ones, and those that :func:`~traceanalytics.analysis.critical_path.critical_path`
    takes for detached or outside) move with what launched them and hold nothing up.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Select whole traces: the children of a span that was filtered away stay
        where they are.
    longer_ms
        On the index of ``spans``: by how much each span is longer (negative: shorter) of its own accord; missing is 0. A span
        with awaited children gives or takes it after the last of them; it cannot become shorter than what it waits for, nor
        shorter than nothing.
    later_ms
        By how much each span starts later (negative: earlier) of its own accord. One that is moved to before a sibling's end no
        longer waits for that sibling. It cannot start before its parent, unless it did.

    Returns
    -------
    pandas.DataFrame
        The frame with other values in ``start_time`` and ``duration_ms``; without changes it equals ``spans``, to the nanosecond.
        Untimed spans and duplicates keep theirs; so do the instants of events.

    Raises
    ------
    SchemaError
        The frame lacks a column, or its index repeats a label.
    OptionError
        A change is infinite, above 3.2e12 ms, or for a row that is not in the frame.

    Notes
    -----
    A model, with its limits: that a span began after another had ended is taken for waiting; queues, caches and time that a
    span spends working while its children run do not answer to a change. The replay inside each parent is this package's own;
    CRISP (Zhang et al., USENIX ATC 2022) moves the critical path only.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.replay import replay
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2", "b3"], "parent_span_id": [None, "b1", "b1"],
    ...     "name": ["checkout", "stock", "payment"], "start_time": [t, t + pd.Timedelta("10ms"), t + pd.Timedelta("55ms")],
    ...     "duration_ms": [100.0, 40.0, 40.0]}))
    >>> faster = replay(spans, longer_ms=pd.Series({1: -30.0}))
    >>> faster.duration_ms.tolist(), (faster.start_time - t).dt.total_seconds().tolist()
    ([70.0, 10.0, 40.0], [0.0, 0.01, 0.025])
    """
    forest = Forest(spans)
    found = run_again(spans, forest, _changes(spans, "longer_ms", longer_ms), _changes(spans, "later_ms", later_ms))
    known = forest.timed & (forest.depth >= 0)
    moved = known & (found.start != forest.start)
    resized = known & (found.end - found.start != forest.end - forest.start)
    changed = spans.copy(deep=False)
    if moved.any():
        starts = pd.Series(instants(found.start), index=spans.index)
        changed["start_time"] = spans["start_time"].mask(moved, starts)
    if resized.any():
        lengths = duration_ms(np.where(known, found.end - found.start, 0))
        changed["duration_ms"] = spans["duration_ms"].mask(resized, pd.Series(lengths, index=spans.index))
    return changed


def slack(spans: pd.DataFrame) -> pd.Series:
    """Answer by how much each span could end later without its root ending later, by the model of :func:`replay`.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order; whole traces.

    Returns
    -------
    pandas.Series
        ``slack_ms`` (float64) on the index of ``spans``: 0 on the critical path, infinite where nothing waits for the span,
        missing for duplicates and untimed spans.

    Raises
    ------
    SchemaError
        The frame lacks a column, or its index repeats a label.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.replay import slack
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2", "b3"], "parent_span_id": [None, "b1", "b1"],
    ...     "name": ["checkout", "recommend", "payment"], "start_time": t, "duration_ms": [100.0, 40.0, 90.0]}))
    >>> slack(spans).tolist()
    [0.0, 50.0, 0.0]
    """
    forest = Forest(spans)
    nothing = np.zeros(len(spans), dtype=np.int64)
    found = run_again(spans, forest, nothing, nothing)
    known = forest.timed & (forest.depth >= 0)
    return pd.Series(np.where(known, found.slack / 1e6, np.nan), index=spans.index, name="slack_ms")


def run_again(spans: pd.DataFrame, forest: Forest, longer: NDArray[np.int64], later: NDArray[np.int64]) -> Replayed:
    """Return what :func:`replay` and :func:`slack` show, as arrays; changes are in ns, by position in the frame."""
    check_spans(spans, "kind", "service", "links")
    n, tree = forest.n_spans, forest.timed_tree
    loose = asynchronous(spans, forest, follows_from=True)
    service = codes_of(spans["service"])[0]
    timed = forest.timed.view(np.uint8)
    place = np.zeros(n, dtype=np.int64)
    place[tree.children] = np.arange(len(tree.children))
    awaited = np.zeros(n, dtype=np.uint8)
    offset, length, start, tail, room, need, reach, stop = np.zeros((8, n), dtype=np.int64)
    last = np.full(n, -1, dtype=np.int64)
    by_end = np.zeros(n, dtype=np.int32)
    replay_kernels.lay_out(
        forest.order,
        tree.child_offsets,
        tree.children,
        timed,
        forest.start,
        forest.end,
        service,
        loose.view(np.uint8),
        longer,
        later,
        place,
        np.zeros(n, dtype=np.int32),
        np.zeros(n, dtype=np.int64),
        by_end,
        stop,
        awaited,
        offset,
        length,
        tail,
        reach,
        last,
        need,
    )
    replay_kernels.put_down(
        forest.order,
        tree.parent,
        tree.child_offsets,
        timed,
        forest.start,
        forest.end,
        later,
        by_end,
        stop,
        awaited,
        offset,
        length,
        last,
        need,
        np.zeros(n, dtype=np.int64),
        start,
        room,
    )
    known = forest.timed & (forest.depth >= 0)
    free = np.where(room >= replay_kernels.ENDLESS, np.inf, room)
    return Replayed(
        np.where(known, start, forest.start),
        np.where(known, start + length, forest.end),
        np.where(known, free, np.nan),
        awaited.view(bool),
        tail,
    )


def _changes(spans: pd.DataFrame, name: str, values: pd.Series | None) -> NDArray[np.int64]:
    """Return changes as ns by position."""
    if values is None:
        return np.zeros(len(spans), dtype=np.int64)
    if not isinstance(values, pd.Series):
        raise OptionError(
            f"{name}={values!r}: expected a Series on the index of the spans, such as -0.5 * spans['duration_ms'].where(mask)"
        )
    if not values.index.equals(spans.index):
        if not values.index.is_unique:
            raise OptionError(f"the index of {name} repeats a label; give one change a span")
        unknown = values.index.difference(spans.index)
        if len(unknown):
            raise OptionError(f"{name} has a change for {unknown[0]!r}, which is no label of the spans' index")
        values = values.reindex(spans.index)
    ms = values.to_numpy("float64", na_value=np.nan)
    wrong = np.abs(ms) > _LONGEST_MS
    if wrong.any():
        raise OptionError(f"{name} has the change {ms[wrong][0]!r}; expected milliseconds up to {_LONGEST_MS:.1e}")
    nanoseconds: NDArray[np.int64] = np.rint(np.nan_to_num(ms) * 1e6).astype(np.int64)
    return nanoseconds
