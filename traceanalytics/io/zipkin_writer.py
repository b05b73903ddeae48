"""``to_zipkin``: the span frame as Zipkin's JSON, version 2."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from traceanalytics.errors import SchemaError
from traceanalytics.io.output import write_or_return
from traceanalytics.io.rows import Event, Link, SpanRow, SpanTable, span_table
from traceanalytics.io.values import shown
from traceanalytics.io.zipkin_tags import split_event
from traceanalytics.spans.cells import encode_json

if TYPE_CHECKING:
    import os

    import pandas as pd

__all__ = ["to_zipkin"]

_TRACE: Final = re.compile(r"[0-9a-f]{32}\Z")
_SPAN: Final = re.compile(r"[0-9a-f]{16}\Z")
_IPV4: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}\Z", re.ASCII)
_IPV6: Final = re.compile(r"[0-9a-fA-F.]*:[0-9a-fA-F:.]*\Z")
_PORT: Final = re.compile(r"[1-9]\d{0,4}\Z", re.ASCII)
_MOST_PORT: Final = 65_535
_KINDS: Final = ("", "", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_INTERNAL: Final = 1
_STATUSES: Final = ("", "OK", "ERROR")
_SCOPE_PARTS: Final = ("name", "version", "schema_url")

Json = dict[str, Any]
Tags = dict[str, str]


def to_zipkin(spans: pd.DataFrame, path: str | os.PathLike[str] | None = None) -> bytes | None:
    """Write spans as Zipkin's JSON, version 2: a list of spans, as ``/api/v2/spans`` takes it.

    What Zipkin has no word for goes into tags as OpenTelemetry's exporters do it: internal spans (``span.kind``), status
    (``otel.status_code``, ``otel.status_description``, ``error``), scope (``otel.scope.*``), trace state, links
    (``otlp.link.N``), dropped counts; events with attributes become annotations ``name|{json}|dropped``. :func:`read_zipkin`
    takes all of this out again.

    What is lost: times below a microsecond (starts are floored, durations too, but not below 1 if they are positive), starts
    that are not after 1970, negative durations, types (a tag is a text; arrays and maps are JSON text), trace flags, schema
    URLs and dropped counts of resources, flags of links. Resource attributes become tags; reading brings those under
    telemetry.sdk, service, host, os, process, container, k8s, deployment and cloud back, the others as span attributes. Of a
    key on span and resource the span's is written. ``peer.service`` comes back as ``service.peer.name``. An attribute
    ``error`` (other than false) on a span without a status makes it a failed one, for that is what the tag means to Zipkin.

    Parameters
    ----------
    spans
        A span frame. Halves that were split when a shared span id was read stay two ordinary spans.
    path
        File to write (compressed if it ends in ``.gz``); None: the bytes are returned.

    Returns
    -------
    bytes or None
        The JSON, if no path was given.

    Raises
    ------
    SchemaError
        A span has an id that Zipkin cannot hold (not 32 or 16 hex digits).

    Examples
    --------
    >>> import traceanalytics as ta
    >>> spans = ta.read_records([{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
    ...     "name": "GET /", "start_time": "2026-05-14T14:23:45Z", "duration_ms": 12}])
    >>> ta.to_zipkin(spans)
    b'[{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","id":"00f067aa0ba902b7","name":"GET /","timestamp":1778768625000000,"duration":12000}]'
    """
    table = span_table(spans)
    return write_or_return(msgspec.json.encode([_span(row, table) for row in table]), path)


def _span(row: SpanRow, table: SpanTable) -> Json:
    if (
        not _TRACE.match(row.trace_id)
        or not _SPAN.match(row.span_id)
        or (row.parent_span_id and not _SPAN.match(row.parent_span_id))
    ):
        raise SchemaError(
            f"span {shown(row.span_id)} of trace {shown(row.trace_id)} (parent {shown(row.parent_span_id)}): Zipkin takes ids of 32 and 16 hex digits only"
        )
    own = {key: _text(value) for key, value in row.attributes.items()}
    local = _endpoint(row.service, own, "local")
    peer = next((key for key in ("service.peer.name", "peer.service") if row.attributes.get(key)), None)
    peer_service = own.pop(peer) if peer is not None and isinstance(row.attributes[peer], str) else None
    remote = _endpoint(peer_service, own, "peer")
    debug = own.get("zipkin.debug") == "true"
    if debug:
        del own["zipkin.debug"]
    start = row.start_ns // 1000 if row.start_ns is not None else 0
    tags = _resource_tags(table, row) | own | _scope_tags(table, row) | _other_tags(row)
    _set_error(tags, row)
    return _filled(
        traceId=row.trace_id,
        parentId=row.parent_span_id,
        id=row.span_id,
        kind=_KINDS[row.kind],
        name=row.name,
        timestamp=start if start > 0 else None,
        duration=_duration(row.duration_ns),
        localEndpoint=local,
        remoteEndpoint=remote,
        annotations=[_annotation(event) for event in row.events],
        tags=tags,
        debug=debug or None,
    )


def _filled(**fields: Any) -> Json:
    """Return the fields that say something; a duration of 0 does."""
    return {name: value for name, value in fields.items() if value or value == 0}


def _duration(nanoseconds: int | None) -> int | None:
    if nanoseconds is None or nanoseconds < 0:
        return None
    return max(1, nanoseconds // 1000) if nanoseconds else 0


def _text(value: Any) -> str:
    """Return an attribute value as a tag."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"
    return encode_json(value)


def _endpoint(service: str | None, tags: Tags, side: str) -> Json | None:
    """Return the endpoint of one side, and take out of the tags what has gone into it."""
    made: Json = {"serviceName": service} if service else {}
    address, port = tags.get(f"network.{side}.address", ""), tags.get(f"network.{side}.port", "")
    family = "ipv4" if _IPV4.match(address) else "ipv6" if _IPV6.match(address) else ""
    if family:
        made[family] = tags.pop(f"network.{side}.address")
    second = tags.get(f"zipkin.{side}.ipv6", "")
    if family == "ipv4" and _IPV6.match(second):
        made["ipv6"] = tags.pop(f"zipkin.{side}.ipv6")
    if _PORT.match(port) and int(port) <= _MOST_PORT:
        made["port"] = int(tags.pop(f"network.{side}.port"))
    return made or None


def _annotation(event: Event) -> Json:
    name = event.name or ""
    text = name
    # A plain name that has the form of one with attributes would be split by any reader.
    if event.attributes or event.dropped_attributes or split_event(name) is not None:
        text = f"{name}|{encode_json(event.attributes)}|{event.dropped_attributes}"
    time = event.time // 1000 if event.time is not None else 0
    return {"timestamp": time, "value": text} if time > 0 else {"value": text}


def _resource_tags(table: SpanTable, row: SpanRow) -> Tags:
    found = table.resources[row.resource].attributes
    return {key: _text(value) for key, value in found.items() if key != "service.name"}


def _scope_tags(table: SpanTable, row: SpanRow) -> Tags:
    scope = table.scopes[row.scope]
    tags = {f"otel.scope.{key}": _text(value) for key, value in scope.attributes.items() if key not in _SCOPE_PARTS}
    for part, value in zip(_SCOPE_PARTS, (scope.name, scope.version, scope.schema_url), strict=True):
        if value:
            tags[f"otel.scope.{part}"] = value
    return tags


def _other_tags(row: SpanRow) -> Tags:
    tags = {f"otlp.link.{i}": _link(link) for i, link in enumerate(row.links)}
    told = {
        "span.kind": "internal" if row.kind == _INTERNAL else None,
        "otel.status_code": _STATUSES[row.status],
        "otel.status_description": row.status_message,
        "w3c.tracestate": row.trace_state,
    }
    tags |= {key: value for key, value in told.items() if value}
    for what in ("attributes", "events", "links"):
        count = getattr(row, f"dropped_{what}")
        if count:
            tags[f"otel.dropped_{what}_count"] = str(count)
    return tags


def _set_error(tags: Tags, row: SpanRow) -> None:
    """Write Zipkin's own mark of failure: any value of the tag ``error`` is one, so that an attribute must not say "false"."""
    if _STATUSES[row.status] == "ERROR":
        tags["error"] = row.status_message or ""
    elif tags.get("error") == "false":
        del tags["error"]


def _link(link: Link) -> str:
    parts = (link.trace_id or "", link.span_id or "", link.trace_state or "", encode_json(link.attributes))
    return "|".join((*parts, str(link.dropped_attributes)))
