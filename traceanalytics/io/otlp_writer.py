"""``to_otlp``: the span frame as OTLP, in the specification's own JSON or in protobuf."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from traceanalytics.errors import SchemaError, check_option
from traceanalytics.io.otlp_encoding import key_values, protobuf_request
from traceanalytics.io.output import write_or_return
from traceanalytics.io.rows import Event, Link, Resource, Scope, SpanRow, SpanTable, span_table
from traceanalytics.io.values import shown

if TYPE_CHECKING:
    import os

    import pandas as pd

__all__ = ["to_otlp"]

_TRACE: Final = re.compile(r"[0-9a-f]{32}\Z")
_SPAN: Final = re.compile(r"[0-9a-f]{16}\Z")

Json = dict[str, Any]


def to_otlp(
    spans: pd.DataFrame, path: str | os.PathLike[str] | None = None, *, encoding: Literal["json", "protobuf"] = "json"
) -> bytes | None:
    """Write spans as OTLP: one trace request, which every collector, Tempo and Jaeger take.

    Nothing of a span frame is lost, but: the duration of a span without a start (OTLP has start and end); missing flags read
    back as 0; and attributes that the reader had turned into text or integers, because their types were mixed, stay so. Spans are grouped by resource and scope, in the order in which these first appear.

    Parameters
    ----------
    spans
        A span frame.
    path
        File to write (compressed if it ends in ``.gz``); None: the bytes are returned.
    encoding
        "json" (64-bit integers as strings, hex ids, numbers for enums, as the specification has it) or "protobuf".

    Returns
    -------
    bytes or None
        The request, if no path was given.

    Raises
    ------
    SchemaError
        A span has an id that OTLP cannot hold (not 32 or 16 hex digits), or a time before 1970.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> spans = ta.read_records([{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
    ...     "name": "GET /", "start_time": "2026-05-14T14:23:45Z", "duration_ms": 12}])
    >>> ta.to_otlp(spans)[:50]
    b'{"resourceSpans":[{"resource":{},"scopeSpans":[{"s'
    >>> float(ta.read_otlp(ta.to_otlp(spans, encoding="protobuf")).duration_ms[0])
    12.0
    """
    check_option("encoding", encoding, ("json", "protobuf"))
    request = {"resourceSpans": _resource_spans(span_table(spans))}
    data = msgspec.json.encode(request) if encoding == "json" else protobuf_request(request)
    return write_or_return(data, path)


def _resource_spans(table: SpanTable) -> list[Json]:
    groups: dict[int, dict[int, list[Json]]] = {}
    for row in table:
        groups.setdefault(row.resource, {}).setdefault(row.scope, []).append(_span(row))
    return [
        _with_url(
            {
                "resource": _resource(table.resources[resource]),
                "scopeSpans": [
                    _with_url({"scope": _scope(table.scopes[s]), "spans": spans}, table.scopes[s])
                    for s, spans in scopes.items()
                ],
            },
            table.resources[resource],
        )
        for resource, scopes in groups.items()
    ]


def _with_url(group: Json, owner: Resource | Scope) -> Json:
    return group | ({"schemaUrl": owner.schema_url} if owner.schema_url else {})


def _resource(resource: Resource) -> Json:
    return _filled(attributes=key_values(resource.attributes), droppedAttributesCount=resource.dropped_attributes)


def _scope(scope: Scope) -> Json:
    return _filled(
        name=scope.name,
        version=scope.version,
        attributes=key_values(scope.attributes),
        droppedAttributesCount=scope.dropped_attributes,
    )


def _filled(**fields: Any) -> Json:
    """Return the fields that differ from the protocol's defaults, which are not written."""
    return {name: value for name, value in fields.items() if value}


def _span(row: SpanRow) -> Json:
    if (
        not _TRACE.match(row.trace_id)
        or not _SPAN.match(row.span_id)
        or (row.parent_span_id and not _SPAN.match(row.parent_span_id))
    ):
        raise SchemaError(
            f"span {shown(row.span_id)} of trace {shown(row.trace_id)} (parent {shown(row.parent_span_id)}): OTLP takes ids of 32 and 16 hex digits only"
        )
    end = row.start_ns + row.duration_ns if row.start_ns is not None and row.duration_ns is not None else None
    return {
        "traceId": row.trace_id,
        "spanId": row.span_id,
        **_filled(
            traceState=row.trace_state,
            parentSpanId=row.parent_span_id,
            flags=row.trace_flags,
            name=row.name,
            kind=row.kind,
            startTimeUnixNano=_nanoseconds(row.start_ns, row),
            endTimeUnixNano=_nanoseconds(end, row),
            attributes=key_values(row.attributes),
            droppedAttributesCount=row.dropped_attributes,
            events=[_event(e, row) for e in row.events],
            droppedEventsCount=row.dropped_events,
            links=[_link(x) for x in row.links],
            droppedLinksCount=row.dropped_links,
            status=_filled(message=row.status_message, code=row.status),
        ),
    }


def _nanoseconds(value: int | None, row: SpanRow) -> str | None:
    if value is None:
        return None
    if value < 0:
        raise SchemaError(f"span {shown(row.span_id)}: OTLP has no times before 1970 ({value} ns)")
    return str(value) if value else None


def _event(event: Event, row: SpanRow) -> Json:
    return _filled(
        timeUnixNano=_nanoseconds(event.time, row),
        name=event.name,
        attributes=key_values(event.attributes),
        droppedAttributesCount=event.dropped_attributes,
    )


def _link(link: Link) -> Json:
    return _filled(
        traceId=link.trace_id,
        spanId=link.span_id,
        traceState=link.trace_state,
        attributes=key_values(link.attributes),
        droppedAttributesCount=link.dropped_attributes,
        flags=link.flags,
    )
