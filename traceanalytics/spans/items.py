"""Events and links of spans as frames: one row an event, one row a link."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from traceanalytics.spans.columns import NAT, categorise, instants, start_ns
from traceanalytics.spans.schema import check_spans
from traceanalytics.spans.unpacking import as_text, attribute_columns, unpack_events, unpack_links

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["events", "links"]


def events(spans: pd.DataFrame) -> pd.DataFrame:
    """Return the events of spans (exceptions, messages, log records), one row an event.

    Parameters
    ----------
    spans
        A span frame. To save time, filter first: ``spans[spans.events.str.contains('"name":"exception"', regex=False)]``.

    Returns
    -------
    pandas.DataFrame
        In the order of the spans and, within a span, of its list. The index repeats the span's label, as ``explode`` does, so
        that ``events.join(spans[["service"]])`` works. Columns: ``trace_id``, ``span_id`` (of the span), ``time``
        (datetime64[ns, UTC]), ``offset_ms`` (since the start of the span; NaN where either is unknown), ``name`` (category),
        one ``event.<key>`` an attribute (typed as span attributes are), and ``dropped_attributes`` where any event lost some.

    Raises
    ------
    SchemaError
        If a cell is no JSON text of a list of events; the message names the span.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1"], "span_id": ["b1"], "name": ["GET"],
    ...     "start_time": pd.to_datetime(["2026-05-14T14:23:45Z"]), "events": [[
    ...         {"time": 1778768625004000000, "name": "exception", "attributes": {"exception.type": "KeyError"}}]]}))
    >>> ta.events(spans)[["span_id", "offset_ms", "name", "event.exception.type"]]
                span_id  offset_ms       name event.exception.type
    0  b1        4.0  exception             KeyError
    """
    check_spans(spans, "trace_id", "span_id", "start_time", "events")
    found = unpack_events(spans["events"])
    columns = _owners(spans, found.row) | {
        "time": instants(found.time),
        "offset_ms": _offset_ms(found.time, start_ns(spans["start_time"])[found.row]),
        "name": found.name,
    }
    columns |= attribute_columns("event", found.attributes)
    if found.dropped.any():
        columns["dropped_attributes"] = found.dropped
    return pd.DataFrame(columns, index=spans.index.take(found.row), copy=False)


def links(spans: pd.DataFrame) -> pd.DataFrame:
    """Return the links of spans to other spans, one row a link.

    Parameters
    ----------
    spans
        A span frame.

    Returns
    -------
    pandas.DataFrame
        In the order of the spans and, within a span, of its list; the index repeats the span's label. Columns: ``trace_id``,
        ``span_id`` (of the span that has the link), ``linked_trace_id`` (category), ``linked_span_id`` (str), one
        ``link.<key>`` an attribute, and where any link has them ``trace_state``, ``trace_flags`` (UInt32) and
        ``dropped_attributes``, all three the link's own.

    Raises
    ------
    SchemaError
        If a cell is no JSON text of a list of links; the message names the span.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1"], "span_id": ["b1"], "name": ["consume"], "links": [[
    ...     {"trace_id": "a2", "span_id": "b7", "attributes": {"messaging.batch": 1}}]]}))
    >>> ta.links(spans)[["span_id", "linked_span_id", "link.messaging.batch"]]
                span_id    linked_span_id  link.messaging.batch
    0  b1  b7                     1
    """
    check_spans(spans, "trace_id", "span_id", "links")
    found = unpack_links(spans["links"])
    items = found.items
    columns = _owners(spans, found.row) | {
        "linked_trace_id": categorise([x.trace_id for x in items]),
        "linked_span_id": as_text([x.span_id for x in items]),
    }
    if any(x.trace_state for x in items):
        columns["trace_state"] = as_text([x.trace_state or None for x in items])
    if any(x.flags is not None for x in items):
        columns["trace_flags"] = pd.array([x.flags for x in items], dtype="UInt32")
    columns |= attribute_columns("link", found.attributes)
    dropped = np.array([x.dropped_attributes for x in items], np.int64)
    if dropped.any():
        columns["dropped_attributes"] = dropped
    return pd.DataFrame(columns, index=spans.index.take(found.row), copy=False)


def _owners(spans: pd.DataFrame, row: NDArray[np.int64]) -> dict[str, Any]:
    return {name: spans[name].array.take(row) for name in ("trace_id", "span_id")}


def _offset_ms(time: NDArray[np.int64], start: NDArray[np.int64]) -> NDArray[np.float64]:
    unknown = (time == NAT) | (start == NAT)
    offset = np.where(unknown, 0, time) - np.where(unknown, 0, start)
    exact: NDArray[np.float64] = offset / 1e6
    far = ((time < start) != (offset < 0)) & ~unknown  # farther apart than 64 bits of nanoseconds can say
    exact[far] = time[far] / 1e6 - start[far] / 1e6
    exact[unknown] = np.nan
    return exact
