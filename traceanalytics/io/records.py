"""``read_records``: spans as Python has them: the SDK's console JSON, live SDK spans, and flat dicts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from traceanalytics.errors import FormatError
from traceanalytics.io.json_documents import fragments, json_error, json_pieces
from traceanalytics.io.live_spans import add_live_span, is_live_span
from traceanalytics.io.reading import Damage, OnError, Reading, read_documents
from traceanalytics.io.record_times import interval, time_ns
from traceanalytics.io.values import flat_value, kind_code, natural, padded_id, shown, status_code
from traceanalytics.spans.cells import event_cell, link_cell

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd

    from traceanalytics.io.json_documents import Piece

__all__ = ["parse_records", "read_records"]

_EXPECTED: Final = "span records: objects with trace_id, span_id and name"
_HOLDERS: Final = ("spans", "records")
_SAME: Final = {
    "traceId": "trace_id",
    "traceID": "trace_id",
    "spanId": "span_id",
    "spanID": "span_id",
    "parent_id": "parent_span_id",
    "parentId": "parent_span_id",
    "parentSpanId": "parent_span_id",
    "parentSpanID": "parent_span_id",
    "startTime": "start_time",
    "endTime": "end_time",
    "start_time_unix_nano": "start_ns",
    "startTimeUnixNano": "start_ns",
    "start_time_ns": "start_ns",
    "end_time_unix_nano": "end_ns",
    "endTimeUnixNano": "end_ns",
    "end_time_ns": "end_ns",
    "durationMs": "duration_ms",
    "service_name": "service",
    "serviceName": "service",
    "instrumentation_scope": "scope",
    "traceState": "trace_state",
    "flags": "trace_flags",
}
_LISTED_STATE: Final = re.compile(r"\{key=([^,}]+), value=([^}]*)\}")


class _Record(msgspec.Struct):
    """One record, as far as its types are fixed; ids and times are checked where they are converted."""

    trace_id: Any = None
    span_id: Any = None
    parent_span_id: Any = None
    context: dict[str, Any] | None = None
    name: str | None = None
    service: str | None = None
    kind: str | int | None = None
    start_time: Any = None
    end_time: Any = None
    start_ns: int | None = None
    end_ns: int | None = None
    duration_ms: float | None = None
    duration_ns: int | None = None
    status: dict[str, Any] | str | int | None = None
    status_message: str | None = None
    trace_state: str | None = None
    trace_flags: int | None = None
    attributes: dict[str, Any] | None = None
    resource: dict[str, Any] | None = None
    scope: dict[str, Any] | None = None
    events: list[dict[str, Any]] | None = None
    links: list[dict[str, Any]] | None = None


_KNOWN: Final = frozenset(_Record.__struct_fields__)


def read_records(
    source: Any,
    *,
    attributes: Sequence[str] | None = None,
    on_error: OnError = "raise",
    report_to: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Read span records: the SDK's console output, live ``ReadableSpan`` objects, or flat dicts.

    Parameters
    ----------
    source
        A dict or a list of dicts; a list of ``ReadableSpan`` (of an ``InMemorySpanExporter``, say); or a path, glob, folder,
        bytes, file object or JSON text of such records: a list, JSON lines, or objects one after the other as
        ``ConsoleSpanExporter`` prints them. A record has ``trace_id``, ``span_id``, ``name``, and as far as known
        ``parent_span_id``, ``kind``, ``start_time``, ``end_time`` (ISO 8601 with a zone, aware datetimes, or epoch
        nanoseconds), ``duration_ms``, ``status``, ``attributes``, ``events``, ``links``, ``resource``, ``service``. The
        attribute ``service.name`` serves as service where no resource names one.
    attributes, on_error, report_to
        As for :func:`traceanalytics.read_otlp`.

    Returns
    -------
    DataFrame
        A span frame: one row a record, in their order.

    Raises
    ------
    FormatError
        A record lacks an id, or a value is not what its name says; the message names the record.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> spans = ta.read_records([{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
    ...     "name": "HTTP GET /api/users/123", "kind": "CLIENT", "start_time": "2026-05-14T14:23:45.123456Z",
    ...     "end_time": "2026-05-14T14:23:45.189456Z", "attributes": {"http.status_code": 200, "service.name": "cart"}}])
    >>> spans[["service", "kind", "duration_ms", "span.http.status_code"]]
      service    kind  duration_ms  span.http.status_code
    0    cart  CLIENT         66.0                    200
    """
    listed = _listed(source)
    if listed is None:
        return read_documents(
            source, parse_records, format_name="records", attributes=attributes, on_error=on_error, report_to=report_to
        )
    reading = Reading("records", on_error, report_to, attributes)
    reading.begin("<records>")
    _add_all(listed, reading, lambda i: f"record {i}")
    return reading.frame()


def _listed(source: Any) -> list[Any] | None:
    if isinstance(source, Mapping):
        return _unwrapped(dict(source))
    if isinstance(source, list | tuple):
        return list(source)
    return [source] if is_live_span(source) else None


def _unwrapped(value: dict[str, Any]) -> list[Any]:
    for holder in _HOLDERS:
        if isinstance(value.get(holder), list):
            return list(value[holder])
    return [value]


def parse_records(data: bytes, reading: Reading) -> None:
    """Add the records of a document: a list, JSON lines, or objects run together."""
    pieces = 0
    for piece in json_pieces(data):
        pieces += 1
        try:
            _add_piece(piece, reading)
        except Damage as error:
            reading.failed(error, piece.place())
    if not pieces:
        raise FormatError("the source is empty", hint=f"Expected {_EXPECTED}")


def _add_piece(piece: Piece, reading: Reading) -> None:
    try:
        value = msgspec.json.decode(piece.data)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        if not reading.skips:
            raise json_error(error, piece, _EXPECTED) from error
        for fragment in _saved(piece, reading):
            reading.each([fragment], lambda r, _: _add_record(r, reading), lambda _: piece.place())
        return
    if isinstance(value, dict):
        records = _unwrapped(value)
    elif isinstance(value, list):
        records = value
    else:
        raise FormatError(f"found {shown(value)}, expected {_EXPECTED}")
    _add_all(records, reading, lambda i: f"{piece.place()}, record {i}" if len(records) > 1 else piece.place())


def _saved(piece: Piece, reading: Reading) -> Iterator[dict[str, Any]]:
    for fragment in fragments(piece.data, lambda at, why: reading.lost("damaged JSON, left out", piece.place(at), why)):
        try:
            value = msgspec.json.decode(fragment.data)
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            reading.failed(error, piece.place(fragment.offset))
            continue
        # Inside a broken record stand its attributes, its context and its links: what has no name of its own is no record.
        if (
            fragment.key is None
            and isinstance(value, dict)
            and {"name"} & value.keys()
            and {"context", "span_id", "spanId", "spanID"} & value.keys()
        ):
            yield value


def _add_all(records: list[Any], reading: Reading, place: Callable[[int], str]) -> None:
    reading.each(records, lambda record, _: _add_record(record, reading), place)


def _add_record(record: Any, reading: Reading) -> None:
    if is_live_span(record):
        add_live_span(record, reading.builder)
    elif isinstance(record, Mapping):
        _add_mapping(dict(record), reading)
    else:
        raise FormatError(f"found {shown(record)}, expected a dict or a ReadableSpan", hint=f"Expected {_EXPECTED}")


def _add_mapping(raw: dict[str, Any], reading: Reading) -> None:
    if "resourceSpans" in raw or "data" in raw:
        raise FormatError(
            "this is an answer of a tracing backend, no span record",
            hint="Use ta.read(source), which tells formats apart",
        )
    named = {_SAME.get(str(key), str(key)): value for key, value in raw.items()}
    for key in named.keys() - _KNOWN:
        reading.note("property of a record that is not known, left out", f"span {named.get('span_id', '')}", key)
    record = msgspec.convert({k: v for k, v in named.items() if k in _KNOWN}, _Record, strict=False)
    context = record.context or {}
    span_id = _identifier(record.span_id if record.span_id is not None else context.get("span_id"), 16, "span_id")
    attributes = {
        str(k): flat_value(v, f"attribute {k}") for k, v in (record.attributes or {}).items() if v is not None
    }
    resource = _resource(record, attributes, reading)
    scope = record.scope or {}
    status, message = _status(record)
    start, duration = interval(record, reading, span_id)
    reading.builder.add(
        trace_id=_identifier(
            record.trace_id if record.trace_id is not None else context.get("trace_id"), 32, "trace_id"
        ),
        span_id=span_id,
        parent_span_id=_identifier(record.parent_span_id, 16, "parent_span_id"),
        name=record.name,
        resource=resource,
        scope=reading.builder.scope(
            scope.get("name"), scope.get("version"), _flat(scope.get("attributes")), schema_url=scope.get("schema_url")
        ),
        kind=kind_code(record.kind),
        start_ns=start,
        duration_ns=duration,
        status=status,
        status_message=message,
        trace_state=_trace_state(record.trace_state or context.get("trace_state")),
        trace_flags=record.trace_flags,
        attributes=attributes,
        events=event_cell([_event(e, span_id) for e in record.events or []]),
        links=link_cell([_link(x) for x in record.links or []]),
    )


def _identifier(value: Any, digits: int, what: str) -> str | None:
    """Return an id from text (with 0x or without, or in the UUID's spelling), from an integer, or from bytes."""
    if value is None or value == "":
        return None
    if isinstance(value, bytes):
        return padded_id(value.hex(), digits)
    if type(value) is int and 0 <= value < 16**digits:
        return padded_id(f"{value:x}", digits)
    if not isinstance(value, str):
        raise FormatError(f"{what}: found {shown(value)}, expected {digits} hex digits")
    text = value.strip()
    if text[:2] in ("0x", "0X"):
        text = text[2:]
    if digits == 32 and len(text) == 36:
        text = text.replace("-", "")
    return padded_id(text, digits)


def _flat(attributes: Any) -> dict[str, Any]:
    return (
        {str(k): flat_value(v, f"attribute {k}") for k, v in attributes.items() if v is not None}
        if isinstance(attributes, Mapping)
        else {}
    )


def _resource(record: _Record, attributes: dict[str, Any], reading: Reading) -> int:
    """Return the resource; without a service of its own it takes the one that the record or its attributes name."""
    resource = record.resource or {}
    nested = isinstance(resource.get("attributes"), Mapping)
    found = _flat(resource["attributes"] if nested else resource)
    if record.service:
        found.setdefault("service.name", record.service)
    if "service.name" not in found and "service.name" in attributes:
        found["service.name"] = attributes.pop("service.name")
    return reading.builder.resource(found, schema_url=resource.get("schema_url") if nested else None)


def _status(record: _Record) -> tuple[int, str | None]:
    status = record.status
    if isinstance(status, dict):
        code = status.get("status_code", status.get("code", status.get("statusCode")))
        return status_code(code), status.get("description") or status.get("message") or record.status_message
    return status_code(status), record.status_message


def _trace_state(value: Any) -> str | None:
    """Return a W3C tracestate; the console exporter prints the text of a Python list in its place."""
    if not isinstance(value, str) or value in ("", "[]"):
        return None
    listed = _LISTED_STATE.findall(value) if value.startswith("[") else []
    return ",".join(f"{key}={member}" for key, member in listed) if listed else value


def _event(event: dict[str, Any], span_id: str | None) -> dict[str, Any]:
    name = event.get("name", "")
    time = next((event[k] for k in ("timestamp", "time", "time_unix_nano", "timeUnixNano") if k in event), None)
    at = time_ns(time, f"event {shown(name)} of span {span_id}")
    return {"time": at or 0, "name": str(name), "attributes": natural(event.get("attributes") or {}, "event attribute")}


def _link(link: dict[str, Any]) -> dict[str, Any]:
    context = link.get("context") if isinstance(link.get("context"), dict) else link
    assert isinstance(context, dict)
    item: dict[str, Any] = {
        "trace_id": _identifier(context.get("trace_id", context.get("traceId")), 32, "trace_id of a link"),
        "span_id": _identifier(context.get("span_id", context.get("spanId")), 16, "span_id of a link"),
    }
    state = _trace_state(context.get("trace_state"))
    if state:
        item["trace_state"] = state
    item["attributes"] = natural(link.get("attributes") or {}, "link attribute")
    return item
