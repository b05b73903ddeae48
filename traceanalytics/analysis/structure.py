"""Where a span stands in its trace, and one trace of a frame."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from traceanalytics.errors import TraceNotFoundError, near
from traceanalytics.spans.columns import NAT, codes_of, duration_ms
from traceanalytics.spans.schema import check_spans
from traceanalytics.spans.selection import without_unused_labels
from traceanalytics.topology import Flag, Forest, flag_texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["hierarchy", "trace"]

_SHOWN = 3
"""How many ids a message lists."""

_COMPARED = 2_000
"""Among how many ids a message looks for near ones."""


def hierarchy(spans: pd.DataFrame) -> pd.DataFrame:
    """Answer where each span stands in its trace, and what is odd about its place.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order.

    Returns
    -------
    pandas.DataFrame
        On the index of ``spans``:

        - ``depth`` (Int64): 0 for roots; missing for duplicates
        - ``root_span_id`` (str): the root of the span's tree; missing for duplicates
        - ``n_children`` (Int64): direct children; missing for duplicates
        - ``offset_ms`` (float64): start of the span after the start of the trace's main root (or of its earliest span, where the
          main root has no start); missing where the span has no start
        - ``flags`` (category): comma-separated, "" for nothing: ``orphan`` (the parent is missing), ``cycle`` (a ring of parents
          was broken here), ``self_parent``, ``duplicate`` (left out of every analysis), ``untimed``, ``negative_duration``,
          ``ambiguous_parent`` (several spans bear the parent's id); see :class:`~traceanalytics.topology.flags.Flag`

    Raises
    ------
    SchemaError
        The frame lacks a column, or its index repeats a label.

    Notes
    -----
    The main root is the only span without a parent id if there is exactly one, else the root that covers most time.

    Examples
    --------
    >>> import pandas as pd
    >>> from traceanalytics.analysis.structure import hierarchy
    >>> from traceanalytics.spans.conforming import conform
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = conform(
    ...     pd.DataFrame(
    ...         {
    ...             "trace_id": "01",
    ...             "span_id": ["a", "b", "c"],
    ...             "parent_span_id": [None, "a", "f"],
    ...             "name": ["checkout", "stock", "lost"],
    ...             "start_time": [t, t + pd.Timedelta("10ms"), t + pd.Timedelta("20ms")],
    ...             "duration_ms": [100.0, 40.0, 40.0],
    ...         }
    ...     )
    ... )
    >>> hierarchy(spans)[["depth", "n_children", "offset_ms", "flags"]]
       depth  n_children  offset_ms   flags
    0      0           1        0.0
    1      1           0       10.0
    2      0           0       20.0  orphan
    """
    forest = Forest(spans)
    left_out = forest.depth < 0
    columns = {
        "depth": _counts(forest.depth, left_out),
        "root_span_id": pd.array(spans["span_id"].array.take(forest.root, allow_fill=True), dtype="str"),
        "n_children": _counts(np.diff(forest.child_offsets[: forest.n_spans + 1]), left_out),
        "offset_ms": _offsets(forest),
        "flags": flag_texts(forest.flags),
    }
    return pd.DataFrame(columns, index=spans.index, copy=False)


def _counts(numbers: NDArray[np.int32], missing: NDArray[np.bool_]) -> Any:
    return pd.arrays.IntegerArray(numbers.astype(np.int64), missing.copy())


def _offsets(forest: Forest) -> NDArray[np.float64]:
    origin = forest.start[forest.main_root]
    known = forest.start != NAT
    if (origin == NAT).any():
        earliest = np.full(forest.n_traces, np.iinfo(np.int64).max, dtype=np.int64)
        np.minimum.at(earliest, forest.trace[known], forest.start[known])
        origin = np.where(origin == NAT, earliest, origin)
    return np.where(known, duration_ms(np.where(known, forest.start - origin[forest.trace], 0)), np.nan)


def trace(spans: pd.DataFrame, trace_id: str) -> pd.DataFrame:
    """Return the spans of one trace, parents before children.

    Parameters
    ----------
    spans
        Span frame.
    trace_id
        The id as the frame has it; or in upper case, with ``0x`` before it, with dashes as a UUID has them, as AWS X-Ray writes
        it (``1-5759e988-bd862e3fe1be46a994272793``), or without leading zeros; or its first digits, when no other trace begins
        with them.

    Returns
    -------
    pandas.DataFrame
        The rows of ``spans`` of that trace, all columns: parents before children, siblings by start, duplicates last. Category
        columns keep only the labels in use (``kind`` and ``status`` keep all of theirs). ``attrs`` are those of ``spans``.

    Raises
    ------
    TraceNotFoundError
        No trace has this id, or several begin with it.
    SchemaError
        The frame lacks a column, or its index repeats a label.

    Examples
    --------
    >>> import pandas as pd
    >>> from traceanalytics.analysis.structure import trace
    >>> from traceanalytics.spans.conforming import conform
    >>> spans = conform(
    ...     pd.DataFrame(
    ...         {
    ...             "trace_id": ["5759e988bd862e3fe1be46a994272793"] * 2 + ["0af7651916cd43dd8448eb211c80319c"],
    ...             "span_id": ["b", "a", "c"],
    ...             "parent_span_id": ["a", None, None],
    ...             "name": ["stock", "checkout", "other"],
    ...         }
    ...     )
    ... )
    >>> trace(spans, "1-5759e988-bd862e3fe1be46a994272793")["name"].tolist()
    ['checkout', 'stock']
    >>> len(trace(spans, "0af7"))
    1
    """
    check_spans(spans)
    codes, labels = codes_of(spans["trace_id"])
    rows = _rows_of(codes, labels, trace_id)
    some = spans.iloc[rows]
    forest = Forest(some)
    duplicates = np.flatnonzero(forest.flags & Flag.DUPLICATE)
    return without_unused_labels(some.iloc[np.concatenate([forest.order, duplicates])])


def _rows_of(codes: NDArray[np.int32], labels: pd.Index, trace_id: str) -> NDArray[np.intp]:
    for spelling in _spellings(trace_id):
        at = labels.get_indexer(pd.Index([spelling]))[0]
        rows = np.flatnonzero(codes == at) if at >= 0 else np.empty(0, dtype=np.intp)
        if len(rows):
            return rows
    used = np.unique(codes)
    used = used[used >= 0]
    texts = labels.take(used).astype("str")
    begun = _begun_with(texts, _spellings(trace_id)[1])
    if len(begun) == 1:
        return np.flatnonzero(codes == used[begun[0]])
    raise TraceNotFoundError(_problem(trace_id, texts, begun))


def _spellings(trace_id: str) -> list[str]:
    """Return the id as given, as the frame would spell it, and with leading zeros."""
    text = str(trace_id)
    bare = text.strip().lower().removeprefix("0x")
    if re.fullmatch(r"1-[0-9a-f]{8}-[0-9a-f]{24}", bare):
        bare = bare[2:]
    bare = bare.replace("-", "")
    padded = [bare.zfill(32)] if re.fullmatch(r"[0-9a-f]{1,31}", bare) else []
    return [text, bare, *padded]


def _begun_with(texts: pd.Index, beginning: str) -> NDArray[np.intp]:
    if not beginning:
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero(texts.str.lower().str.replace("-", "", regex=False).str.startswith(beginning))


def _problem(trace_id: str, texts: pd.Index, begun: NDArray[np.intp]) -> str:
    if len(begun):
        some = ", ".join(texts.take(begun[:_SHOWN]))
        return f"{len(begun):,} traces begin with {trace_id!r}: {some}{', ...' if len(begun) > _SHOWN else ''}; give more digits"
    count = (
        "the frame has no trace"
        if not len(texts)
        else f"the frame has {len(texts):,} trace{'s' if len(texts) > 1 else ''}"
    )
    similar = texts[texts.str.startswith(_spellings(trace_id)[1][:4])][:_COMPARED]
    hint = near(trace_id, similar if len(similar) else texts[:_COMPARED])
    examples = "" if hint or not len(texts) else f", such as {', '.join(texts[:_SHOWN])}"
    return f"no trace has the id {trace_id!r}; {count}{examples}{hint}"
