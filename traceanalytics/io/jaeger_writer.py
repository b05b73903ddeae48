"""``to_jaeger``: span frames as the JSON of Jaeger's UI."""

from __future__ import annotations

import base64
import binascii
import itertools
from typing import TYPE_CHECKING, Any, Final

import msgspec

from traceanalytics.io.jaeger_spans import NO_SERVICE, NO_START, REF_TYPE, WARNINGS
from traceanalytics.io.output import write_or_return
from traceanalytics.io.rows import span_table
from traceanalytics.spans.cells import encode_json, natural_float
from traceanalytics.spans.natural_values import float_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    import pandas as pd

    from traceanalytics.io.rows import Event, Link, Resource, Scope, SpanRow, SpanTable

__all__ = ["to_jaeger"]

_KINDS: Final = ("", "internal", "server", "client", "producer", "consumer")
_OK: Final = 1
_ERROR: Final = 2
_LARGEST_OF_JAVASCRIPT: Final = 2**53 - 1
_W3C_FLAGS: Final = 0xFF
_ENCODER: Final = msgspec.json.Encoder()


def to_jaeger(spans: pd.DataFrame, path: str | os.PathLike[str] | None = None) -> bytes | None:
    """Write spans as Jaeger's JSON, which its UI opens ("JSON File") and :func:`traceanalytics.read_jaeger` reads.

    Parameters
    ----------
    spans
        A span frame. Traces are written whole, in the order in which they first appear.
    path
        The file to write; compressed with gzip if its name ends in ``.gz``. None: the bytes are returned.

    Returns
    -------
    bytes or None
        The JSON text, if no path is given.

    Raises
    ------
    SchemaError
        ``spans`` is no span frame, or a span has no trace id or span id.

    Notes
    -----
    The format cannot say everything. Lost are: what is below a microsecond (starts and durations are cut, each on its own, as
    Jaeger does), whether a duration of 0 was unknown, starts before 1970, attributes and schema URLs of scopes, attributes,
    states and flags of links, dropped counts, and the upper bits of ``trace_flags``. Arrays and maps become texts. A span
    without parent that links to its own trace becomes a child, for a reference is either. Attributes whose names are those of
    Jaeger's own tags (``error``, ``span.kind``, ``otel.status_code``, ...) are read back as what these say.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> spans = ta.read_records([{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
    ...     "name": "GET /", "start_time": "2026-05-14T14:23:45Z", "duration_ms": 12}])
    >>> ta.read_jaeger(ta.to_jaeger(spans))[["span_id", "name", "duration_ms"]]
                span_id   name  duration_ms
    0  00f067aa0ba902b7  GET /         12.0
    """
    table = span_table(spans)
    traces = [
        _ENCODER.encode(_trace(trace_id, rows, table))
        for trace_id, rows in itertools.groupby(table, key=lambda row: row.trace_id)
    ]
    data = b'{"data":[' + b",\n".join(traces) + b'],"total":0,"limit":0,"offset":0,"errors":null}\n'
    return write_or_return(data, path)


def _trace(trace_id: str, rows: Iterable[SpanRow], table: SpanTable) -> dict[str, Any]:
    numbers: dict[int, str] = {}
    spans = [
        _span(row, numbers.setdefault(row.resource, f"p{len(numbers) + 1}"), table.scopes[row.scope]) for row in rows
    ]
    processes = {pid: _process(table.resources[number]) for number, pid in numbers.items()}
    return {"traceID": trace_id, "spans": spans, "processes": processes, "warnings": None}


def _process(resource: Resource) -> dict[str, Any]:
    tags = [_tag(key, value) for key, value in resource.attributes.items() if key != "service.name"]
    return {"serviceName": resource.attributes.get("service.name") or NO_SERVICE, "tags": tags}


def _span(row: SpanRow, process: str, scope: Scope) -> dict[str, Any]:
    warnings = row.attributes.get(WARNINGS)
    made = {
        "traceID": row.trace_id,
        "spanID": row.span_id,
        "flags": row.trace_flags & _W3C_FLAGS if row.trace_flags is not None else None,
        "operationName": row.name,
        "references": _references(row),
        "startTime": row.start_ns // 1000 if row.start_ns is not None else 0,
        "duration": row.duration_ns // 1000 if row.duration_ns is not None else 0,
        "tags": _tags(row, scope),
        "logs": [_log(event) for event in row.events],
        "processID": process,
        "warnings": warnings if isinstance(warnings, list) else None,
    }
    if row.trace_flags is None:
        del made["flags"]
    return made


def _tags(row: SpanRow, scope: Scope) -> list[dict[str, Any]]:
    """Return the attributes, and behind them the tags for what Jaeger has no field for."""
    tags = [
        _tag(key, value)
        for key, value in row.attributes.items()
        if key != WARNINGS or not isinstance(value, list)  # these have a field of their own
    ]
    more: dict[str, str | bool | None] = {
        "otel.scope.name": scope.name,
        "otel.scope.version": scope.version,
        "span.kind": _KINDS[row.kind] or None,
        "otel.status_code": {_OK: "OK", _ERROR: "ERROR"}.get(row.status),
        "otel.status_description": row.status_message,
        "w3c.tracestate": row.trace_state,
    }
    if row.start_ns is None:
        more[NO_START] = True
    if row.status == _ERROR and "error" not in row.attributes:
        more["error"] = True
    return tags + [_tag(key, value) for key, value in more.items() if value is not None]


def _tag(key: str, value: Any) -> dict[str, Any]:
    kind, said = _typed(value)
    return {"key": key, "type": kind, "value": said}


def _typed(value: Any) -> tuple[str, Any]:
    """Return Jaeger's type of a value, and the value as its JSON has it."""
    if isinstance(value, str):
        return "string", value
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, int):  # JavaScript has no larger ones, so that Jaeger writes them as text
        return "int64", value if abs(value) <= _LARGEST_OF_JAVASCRIPT else str(value)
    special = float_of(value)
    if special is not None or isinstance(value, float):
        said = natural_float(special if special is not None else float(value))
        return "float64", said["doubleValue"] if isinstance(said, dict) else said
    if isinstance(value, dict) and value.keys() == {"bytesValue"} and _is_base64(value["bytesValue"]):
        return "binary", value["bytesValue"]
    return "string", encode_json(value)


def _is_base64(text: Any) -> bool:
    try:
        return isinstance(text, str) and base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except (binascii.Error, ValueError):
        return False


def _log(event: Event) -> dict[str, Any]:
    fields = [_tag(key, value) for key, value in event.attributes.items() if value is not None]
    if event.name or "event" in event.attributes:  # an attribute of that name must not be taken for the event's name
        fields.insert(0, _tag("event", event.name or ""))
    return {"timestamp": event.time // 1000 if event.time is not None else 0, "fields": fields}


def _references(row: SpanRow) -> list[dict[str, str]]:
    """Return the parent, first, and the links; a link that only says how the span hangs on its parent is the parent's."""
    links = [link for link in row.links if link.trace_id and link.span_id]
    if row.parent_span_id is None:
        return [_reference(_ref_type(link), link.trace_id, link.span_id) for link in links]
    follows = next((i for i, link in enumerate(links) if _is_follower(link, row)), None)
    if follows is None:
        made = [_reference("CHILD_OF", row.trace_id, row.parent_span_id)]
    else:
        made = []
        rivals = [
            i for i, link in enumerate(links) if link.trace_id == row.trace_id and _ref_type(link) == "FOLLOWS_FROM"
        ]
        if rivals[0] != follows:  # readers take the first one for the parent
            links.insert(0, links.pop(follows))
    return made + [_reference(_ref_type(link), link.trace_id, link.span_id) for link in links]


def _is_follower(link: Link, row: SpanRow) -> bool:
    return (
        link.trace_id == row.trace_id
        and link.span_id == row.parent_span_id
        and link.attributes.get(REF_TYPE) == "follows_from"
    )


def _ref_type(link: Link) -> str:
    return "CHILD_OF" if link.attributes.get(REF_TYPE) == "child_of" else "FOLLOWS_FROM"


def _reference(ref_type: str, trace_id: str | None, span_id: str | None) -> dict[str, str]:
    return {"refType": ref_type, "traceID": trace_id or "", "spanID": span_id or ""}
