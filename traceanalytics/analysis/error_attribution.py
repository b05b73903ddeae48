"""Which span made a request fail: one row a failed request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.analysis.blame_walk import CAUSES, Blame, blame
from traceanalytics.analysis.failure_signs import evidence_texts
from traceanalytics.spans.columns import coded, drop_unused, text_array
from traceanalytics.topology import Forest
from traceanalytics.weights import span_weights

if TYPE_CHECKING:
    from traceanalytics.weights import Weights

__all__ = ["attribute_errors"]

_SLOW = CAUSES.index("slow")


def attribute_errors(spans: pd.DataFrame, *, weights: Weights = None) -> pd.DataFrame:
    """Answer which span made each failed request fail: one row a trace whose main root failed.

    From the failed root the walk goes down among failed children (:func:`~traceanalytics.is_error`), one level after the
    other, until none is left. Spans of the same service that are internal (or of no kind) and whose status is unset are
    looked through. Left out are

    - attempts that a later success of the same callee made good: same span above, service, kind, name and request (route,
      method, query; neither numbers nor "retry 1" count), starting when the failed attempt had ended (to 1 ms or 1 % of it).
      Instances of one service are one callee where something tells the request, databases and shards are not;
    - failures that came more than 1 ms or 1 % of the parent after its end, and so cannot have caused its failure. A child in
      another service that is no longer than its parent is taken for one with another clock.

    Among the rest, if some were cancelled and some not, the first of the others to end is followed (it is why they were
    cancelled), leaving out what had ended before any of the cancelled ones began; else the one that ends last. A span that says nothing
    of its own was cancelled if all failures below it were. Where the walk stops at a span that ran into a deadline, or was cancelled
    below one that did, or that a child outlives, it goes on to the child that was running at that moment, the last to end if there are several, and so on downwards: that
    one was too slow, even though it may not have failed at all. Consumers below producers are never waited for.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Select whole traces: the failure of a span whose parent was filtered
        away explains nothing.
    weights
        Column name or Series of how many traces each trace stands for.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``trace_id`` in the frame's own type, in order of first appearance; one row a failed request, so that counts
        by service or by operation add up to the failed requests.

        - ``root_service``, ``root_name``: of the main root, in the frame's own types
        - ``blame_span_id`` (str), ``blame_service``, ``blame_name``: of the span to blame
        - ``cause`` (category): ``error``; ``slow`` (it was running when a caller gave up, or was cancelled because of a
          caller's deadline); ``timeout`` (it gave up waiting, and the trace does not show for what); ``cancellation`` (called
          off, and the trace does not show why)
        - ``chain`` (str): JSON list of the span ids from the root to the span to blame, with the spans looked through;
          ``chain_length`` (int64): how many
        - ``handled`` (int64): failed spans of the trace that are not on the chain
        - ``evidence`` (str): what the span says about its failure (HTTP or gRPC status, exception, status message); for ``slow``,
          what gave up on it
        - ``requests`` (float64): the number of failed requests that the row stands for, which is its weight

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is not usable.

    See Also
    --------
    error_rates : How often services and operations fail, and how often that mattered.

    Notes
    -----
    The rule is this package's own. Deadlines are gRPC DEADLINE_EXCEEDED, HTTP 408 and 504, and the words timeout and deadline
    in the status message, error type or exception; cancellations are gRPC CANCELLED, HTTP 499 and the word.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.error_attribution import attribute_errors
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> ms = pd.to_timedelta([0, 5, 30, 60], unit="ms")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2", "b3", "b4"],
    ...     "parent_span_id": [None, "b1", "b1", "b1"], "name": ["checkout", "stock", "stock", "payment"], "kind": "CLIENT",
    ...     "start_time": t + ms, "duration_ms": [100.0, 20.0, 20.0, 20.0], "status": ["ERROR", "ERROR", "OK", "ERROR"]}))
    >>> attribute_errors(spans)[["root_name", "blame_name", "cause", "chain_length", "handled"]].to_dict("records")
    [{'root_name': 'checkout', 'blame_name': 'payment', 'cause': 'error', 'chain_length': 2, 'handled': 1}]
    """
    forest = Forest(spans)
    weight = span_weights(spans, weights)
    found = blame(spans, forest)
    root, row = found.root, found.row
    trace = forest.trace[root]
    off_chain = np.bincount(forest.trace[found.failed & ~found.on_chain], minlength=forest.n_traces)
    columns: dict[str, Any] = {
        "root_service": spans["service"].array.take(root),
        "root_name": spans["name"].array.take(root),
        "blame_span_id": spans["span_id"].astype("str").array.take(row),
        "blame_service": spans["service"].array.take(row),
        "blame_name": spans["name"].array.take(row),
        "cause": drop_unused(coded(found.cause, CAUSES)),
        "chain": _chains(spans["span_id"], forest, found),
        "chain_length": forest.depth[row].astype(np.int64) + 1,
        "handled": off_chain[trace].astype(np.int64),
        "evidence": _evidence(spans, found),
        "requests": weight[root],
    }
    index = pd.Index(spans["trace_id"].array.take(root), name="trace_id")
    return pd.DataFrame(columns, index=index, copy=False)


def _chains(span_id: pd.Series, forest: Forest, found: Blame) -> Any:
    """Return JSON lists of ids; in the forest's order, the spans of a chain stand together, parents first."""
    rows = forest.order[found.on_chain[forest.order]]
    ids = text_array(span_id.iloc[rows])
    if pc.any(pc.match_substring_regex(ids, r'[\x00-\x1f"\\]')).as_py():
        quoted = pa.array([json.dumps(text) for text in ids.to_pylist()], pa.large_string())
    else:
        quoted = _joined('"', ids, '"').fill_null("null")
    bounds = np.r_[0, np.cumsum(forest.depth[found.row].astype(np.int64) + 1)]
    before, after = np.full(len(rows), ""), np.full(len(rows), ",")
    before[bounds[:-1]], after[bounds[1:] - 1] = "[", "]"
    pieces = _joined(before, quoted, after)  # one behind the other in one buffer: a list is the bytes of its pieces
    offsets = np.frombuffer(pieces.buffers()[1], np.int64)[bounds] if len(rows) else bounds
    whole = pa.LargeStringArray.from_buffers(len(bounds) - 1, pa.py_buffer(offsets.copy()), pieces.buffers()[2])
    return pd.array(whole, dtype="str")


def _joined(before: Any, texts: Any, after: Any) -> Any:
    begin, end, nothing = (
        pa.scalar(part, pa.large_string()) if isinstance(part, str) else pa.array(part, pa.large_string())
        for part in (before, after, "")
    )
    return pc.binary_join_element_wise(begin, texts, end, nothing)


def _evidence(spans: pd.DataFrame, found: Blame) -> Any:
    text = evidence_texts(spans, found.row)
    slow = np.flatnonzero((found.cause == _SLOW) & (found.row != found.stop))
    if len(slow):
        text.iloc[slow] = _gave_up(spans.iloc[found.stop[slow]]).to_numpy()
    return text.array


def _gave_up(stop: pd.DataFrame) -> pd.Series:
    service, name = (stop[column].astype("str").fillna("?") for column in ("service", "name"))
    after = stop["duration_ms"].round(3).map("{:g}".format)
    return "running when " + service.str.cat(name, sep=" ").str.cat(after, sep=" ended after ") + " ms"
