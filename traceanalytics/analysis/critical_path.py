"""Which spans make a trace take as long as it does: the critical path, as segments and as a time per span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from traceanalytics.analysis.path_segments import walk
from traceanalytics.spans.columns import coded, duration_ms, instants
from traceanalytics.topology import Forest, flag_texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["critical_path", "critical_time"]


def critical_path(
    spans: pd.DataFrame,
    *,
    mode: Literal["partition", "jaeger"] = "partition",
    overrun: Literal["detach", "clip", "ignore"] = "detach",
    tolerance_ms: float = 0.0,
    roots: Literal["main", "all"] = "main",
) -> pd.DataFrame:
    """Answer which span each moment of a trace was spent on: one row a segment, for every trace of the frame.

    From the end of the root backwards, a span waits for the child that finished last before the moment looked at; what no
    such child covers is the span's own time. The segments of a root part its time from start to end exactly, to the
    nanosecond. A child takes part as far as it lies within its parent. Off the path are asynchronous children (kind CONSUMER
    under PRODUCER, and spans whose link to their parent has the attribute ``opentracing.ref_type`` = ``follows_from``).
    Untimed spans are looked through to their children.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Select whole traces: a span whose parent was filtered away is a
        root of its own, flagged ``orphan``.
    mode
        ``"partition"`` as above; ``"jaeger"`` draws the sections of Jaeger's trace view exactly: a child must end strictly
        before the moment looked at (so the earlier of two calls back to back is passed over), follows-from references block,
        children of no length part their parent's time, rows come latest first, and ``overrun`` and ``tolerance_ms`` mean
        nothing. Where Jaeger shows nothing (an orphan root, a ring) there is one row of no length with its flag.
    overrun
        What becomes of a child that ends after its parent. ``"detach"``: within one service it was not waited for, and
        neither it nor what it calls is on the path (flag ``detached_child`` on the parent); across services it is clipped
        (flag ``clipped``). ``"clip"``: always clipped. ``"ignore"``: left out wherever it outlives its parent by more than the
        tolerance. Within one service, up to 1 ms or 1 % of the parent is taken for rounding and clipped.
    tolerance_ms
        By how much a call may end after the start of the call that followed it, and still count as done before.
    roots
        ``"main"``: one path a trace, that of its main root. ``"all"``: the path of every root.

    Returns
    -------
    pandas.DataFrame
        In order of traces (first appearance), roots and time; at least one row a trace.

        - ``trace_id``, ``service``, ``name``: of the span, in the frame's own types
        - ``root_span_id``, ``span_id`` (str): the root of the path, and the span whose time it is
        - ``start_time``, ``end_time`` (datetime64[ns, UTC]), ``segment_ms`` (float64): the segment
        - ``state`` (category): ``self``, or ``wait`` while a child is running that is not the one waited for
        - ``share`` (float64): part of the root's duration; missing where that is 0
        - ``tie_ms`` (float64): how much earlier the next candidate ended than this span; near 0 the choice was a close one;
          missing where there was no other
        - ``flags`` (category): what is odd, comma-separated, "" for nothing. About the root: ``orphan``, ``cycle``,
          ``self_parent``, ``untimed_root``, ``zero_duration``, ``other_roots`` (the trace has roots not shown here). About the
          span: ``clipped``, ``detached_child``, ``child_outside``, ``async_child``, ``untimed_child``, ``untimed``,
          ``negative_duration``, ``ambiguous_parent``; see :class:`~traceanalytics.topology.flags.Flag`.

    Raises
    ------
    SchemaError
        The frame lacks a column, or its index repeats a label.
    OptionError
        An option is not one of the above, or the tolerance is negative.

    Notes
    -----
    Both rules go back to the walk over the last finishing child of jaeger-ui (``mode="jaeger"``) and of CRISP (Zhang et al.,
    USENIX ATC 2022). The exact partition, back-to-back calls, waiting, ties and flags are this package's own.

    Examples
    --------
    >>> import pandas as pd
    >>> from traceanalytics.analysis.critical_path import critical_path
    >>> from traceanalytics.spans.conforming import conform
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = conform(
    ...     pd.DataFrame(
    ...         {
    ...             "trace_id": "01",
    ...             "span_id": ["a", "b", "c"],
    ...             "parent_span_id": [None, "a", "a"],
    ...             "name": ["checkout", "stock", "payment"],
    ...             "start_time": [t, t + pd.Timedelta("10ms"), t + pd.Timedelta("20ms")],
    ...             "duration_ms": [100.0, 40.0, 40.0],
    ...         }
    ...     )
    ... )
    >>> critical_path(spans)[["name", "state", "segment_ms", "share", "tie_ms"]]
           name state  segment_ms  share  tie_ms
    0  checkout  self        10.0    0.1     NaN
    1  checkout  wait        10.0    0.1     NaN
    2   payment  self        40.0    0.4    10.0
    3  checkout  self        40.0    0.4     NaN
    """
    forest = Forest(spans)
    found = walk(spans, forest, mode=mode, overrun=overrun, tolerance_ms=tolerance_ms, roots=roots)
    whole = np.where(forest.timed, forest.end - forest.start, 0)[found.root]
    columns = {
        "trace_id": _taken(spans, "trace_id", found.row),
        "root_span_id": _taken(spans, "span_id", found.root).astype("str"),
        "span_id": _taken(spans, "span_id", found.row).astype("str"),
        "service": _taken(spans, "service", found.row),
        "name": _taken(spans, "name", found.row),
        "start_time": instants(found.start),
        "end_time": instants(found.end),
        "segment_ms": duration_ms(found.length),
        "state": coded(found.waiting.astype(np.int8), ["self", "wait"]),
        "share": np.divide(found.length, whole, out=np.full(len(whole), np.nan), where=whole > 0),
        "tie_ms": np.where(found.lead < 0, np.nan, duration_ms(found.lead)),
        "flags": flag_texts(found.flags),
    }
    return pd.DataFrame(columns, copy=False)


def critical_time(
    spans: pd.DataFrame,
    *,
    mode: Literal["partition", "jaeger"] = "partition",
    overrun: Literal["detach", "clip", "ignore"] = "detach",
    tolerance_ms: float = 0.0,
    roots: Literal["main", "all"] = "main",
) -> pd.Series:
    """Answer how much of its trace's time each span is responsible for: its time on the critical path.

    The sum over a trace is the duration of its root. See :func:`critical_path` for the rule and the parameters.

    Parameters
    ----------
    spans
        Span frame.
    mode, overrun, tolerance_ms, roots
        As for :func:`critical_path`.

    Returns
    -------
    pandas.Series
        ``critical_ms`` (float64) on the index of ``spans``: 0 off the path, missing for duplicates and untimed spans.

    Raises
    ------
    SchemaError
        The frame lacks a column, or its index repeats a label.
    OptionError
        An option is not one of those allowed.

    Examples
    --------
    >>> import pandas as pd
    >>> from traceanalytics.analysis.critical_path import critical_time
    >>> from traceanalytics.spans.conforming import conform
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = conform(
    ...     pd.DataFrame(
    ...         {
    ...             "trace_id": "01",
    ...             "span_id": ["a", "b"],
    ...             "parent_span_id": [None, "a"],
    ...             "name": ["checkout", "payment"],
    ...             "start_time": [t, t + pd.Timedelta("20ms")],
    ...             "duration_ms": [100.0, 70.0],
    ...         }
    ...     )
    ... )
    >>> spans.assign(critical_ms=critical_time(spans))[["name", "critical_ms"]]
           name  critical_ms
    0  checkout         30.0
    1   payment         70.0
    """
    forest = Forest(spans)
    found = walk(spans, forest, mode=mode, overrun=overrun, tolerance_ms=tolerance_ms, roots=roots)
    total = np.zeros(len(spans), dtype=np.int64)
    np.add.at(total, found.row, found.length)
    known = forest.timed & (forest.depth >= 0)
    return pd.Series(np.where(known, duration_ms(total), np.nan), index=spans.index, name="critical_ms")


def _taken(spans: pd.DataFrame, column: str, rows: NDArray[np.int32]) -> Any:
    return spans[column].array.take(rows)
