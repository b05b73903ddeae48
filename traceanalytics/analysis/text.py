"""A trace as text: a table, a waterfall of characters, a Mermaid diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from traceanalytics.analysis.characters import character_waterfall
from traceanalytics.analysis.mermaid import gantt
from traceanalytics.analysis.self_time import self_ns
from traceanalytics.analysis.trace_rows import check_max_rows, plain, texts_of, trace_origins, trace_rows
from traceanalytics.errors import OptionError
from traceanalytics.spans.columns import NAT
from traceanalytics.topology import Forest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["to_mermaid", "to_text", "tree"]

_NARROWEST: Final = 60
_DEEPEST: Final = 24
_LONGEST: Final = 120


def tree(spans: pd.DataFrame) -> pd.DataFrame:
    """Answer what a trace did, as a table to read from top to bottom: parents above their children, indented.

    Parameters
    ----------
    spans
        Span frame; meant for one trace, several follow each other. Duplicates are left out.

    Returns
    -------
    pandas.DataFrame
        On the labels of ``spans``, in pre-order (siblings by start).

        - ``label`` (str): the name behind a dot a level (spaces would not survive in the HTML table of a notebook), padded on
          the right; from level 24 on the level stands as a number before the name. Names are cut to 120
          characters, line breaks and control characters replaced
        - ``service``, ``status``: as in the frame
        - ``offset_ms`` (float64): start after that of the trace's main root, as in :func:`~traceanalytics.hierarchy`
        - ``duration_ms``, ``self_ms`` (float64): of the span, and the part of it in which no child was running

    Raises
    ------
    SchemaError
        The frame lacks a column, or its index repeats a label.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2"], "parent_span_id": [None, "b1"],
    ...     "name": ["checkout", "stock"], "start_time": [t, t + pd.Timedelta("10ms")], "duration_ms": [100.0, 40.0]}))
    >>> ta.tree(spans)[["label", "offset_ms", "duration_ms", "self_ms"]]
          label  offset_ms  duration_ms  self_ms
    0  checkout        0.0        100.0     60.0
    1  · stock        10.0         40.0     40.0
    """
    forest = Forest(spans)
    rows = forest.order
    origin = trace_origins(forest)[forest.trace[rows]]
    start = forest.start[rows]
    known = start != NAT
    names = (name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in texts_of(spans["name"], rows))
    labels = [_label(name, depth) for name, depth in zip(names, forest.depth[rows].tolist(), strict=True)]
    width = max(map(len, labels), default=0)
    return pd.DataFrame(
        {
            "label": pd.array([label.ljust(width) for label in labels], dtype="str"),
            "service": spans["service"].array.take(rows),
            "offset_ms": np.where(known, np.where(known, start - origin, 0) / 1e6, np.nan),
            "duration_ms": spans["duration_ms"].array.take(rows),
            "self_ms": np.where(forest.timed, self_ns(forest) / 1e6, np.nan)[rows],
            "status": spans["status"].array.take(rows),
        },
        index=spans.index.take(rows),
    )


def to_text(trace: pd.DataFrame, *, width: int = 100, max_rows: int = 200) -> str:
    """Return a waterfall of characters, to print or to paste into an issue.

    Full blocks are time on the critical path, light ones other time; ``!`` marks errors.

    Parameters
    ----------
    trace
        Span frame; meant for one trace, several follow each other.
    width
        Columns of the text, at least 60.
    max_rows
        Spans to show of a trace; of more, errors, the critical path and the longest ones stay, with their ancestors.

    Returns
    -------
    str
        Lines without control characters, joined by line breaks. Wide characters (Chinese, Japanese, Korean) count as two columns.

    Raises
    ------
    OptionError
        ``width`` or ``max_rows`` is too small.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2"], "parent_span_id": [None, "b1"],
    ...     "name": ["checkout", "stock"], "start_time": [t, t + pd.Timedelta("10ms")], "duration_ms": [100.0, 40.0]}))
    >>> print(ta.to_text(spans, width=60))
    checkout · 100 ms · 2 spans · trace a1
                      0 ms               50 ms            100 ms
    checkout   100 ms ████░░░░░░░░░░░░░░░░░█████████████████████
      stock     40 ms     █████████████████
    █ on the critical path  ░ not on it
    """
    check_max_rows(max_rows)
    if type(width) is not int or width < _NARROWEST:
        raise OptionError(f"width={width!r} is no usable number of columns; give {_NARROWEST} or more")
    blocks = [character_waterfall(trace_rows(one), _trace_id(one), width, max_rows) for one in _each_trace(trace)]
    return "\n\n".join(blocks) if blocks else "no spans"


def to_mermaid(trace: pd.DataFrame, *, max_rows: int = 200) -> str:
    """Return a Mermaid Gantt diagram, which GitHub, GitLab and many wikis draw: one section a service, one bar a span.

    Spans on the critical path are marked ``crit``, errors ``active`` and ``!``; spans of no length are milestones. Times are in
    milliseconds from the start of the trace; of a trace shorter than 10 ms, in microseconds. Spans without a start are left out.

    Parameters
    ----------
    trace
        Span frame of one trace.
    max_rows
        Spans to show; of more, errors, the critical path and the longest ones stay, with their ancestors. Mermaid refuses texts
        of more than 50,000 characters unless configured otherwise.

    Returns
    -------
    str
        The text of the diagram. Names are escaped, so that no name can end a line or begin a command.

    Raises
    ------
    OptionError
        The frame does not hold exactly one trace, or ``max_rows`` is too small.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2"], "parent_span_id": [None, "b1"],
    ...     "name": ["checkout", "GET: stock"], "start_time": [t, t + pd.Timedelta("10ms")], "duration_ms": [100.0, 40.0]}))
    >>> print(ta.to_mermaid(spans))
    gantt
        title checkout · 100 ms · 2 spans
        dateFormat x
        axisFormat %Q ms
        section (no service)
        checkout (100 ms) :crit, s0, 0, 100
        GET#58; stock (40 ms) :crit, s1, 10, 50
    """
    check_max_rows(max_rows)
    return gantt(trace_rows(trace), max_rows)


def _label(name: str, depth: int) -> str:
    return f"{'· ' * depth}{name}" if depth <= _DEEPEST else f"{'· ' * _DEEPEST}[{depth}] {name}"


def _each_trace(spans: pd.DataFrame) -> Iterator[pd.DataFrame]:
    forest = Forest(spans)
    if forest.n_traces == 1:
        yield spans
    elif forest.n_traces:
        bounds = np.searchsorted(forest.trace[forest.order], np.arange(1, forest.n_traces))
        for rows in np.split(forest.order, bounds):
            yield spans.iloc[rows]


def _trace_id(one: pd.DataFrame) -> str:
    trace_id = one["trace_id"].iloc[0]
    return plain(trace_id) if isinstance(trace_id, str) else "(no trace id)"
