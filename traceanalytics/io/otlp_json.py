"""OTLP JSON into the builder: the specification's form, and the others that are really in the wild.

Accepted besides the specification: base64 ids, names of enums, numbers for 64-bit integers, snake_case keys, the envelopes of
Tempo (``batches``, ``trace``) and Jaeger v3 (``result``), and ``instrumentationLibrarySpans`` from before 2022. Spans are
decoded one by one, so that a damaged one costs itself only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from traceanalytics.errors import FormatError
from traceanalytics.io.json_documents import Piece, duplicate_keys, fragments, json_error, json_pieces
from traceanalytics.io.otlp_values import attribute_map, natural_map
from traceanalytics.io.reading import Damage
from traceanalytics.io.values import hex_or_base64, kind_code, shown, status_code
from traceanalytics.spans.cells import event_cell, link_cell

if TYPE_CHECKING:
    from collections.abc import Callable

    from traceanalytics.io.json_documents import Fragment
    from traceanalytics.io.reading import Reading

__all__ = ["KEYS", "parse_otlp_json"]

KEYS: Final = frozenset({"resourceSpans", "resource_spans", "batches", "trace", "result"})
"""Top-level keys under which spans are found."""

_EXPECTED: Final = "OTLP JSON with resourceSpans"
_OTHER_SIGNALS: Final = {"resourceMetrics": "metrics", "resourceLogs": "logs", "resourceProfiles": "profiles"}
_SNAKE: Final = re.compile(rb'"([a-z]+(?:_[a-z]+)+)"(?=\s*:)')


class _KeyValue(msgspec.Struct):
    key: str = ""
    value: dict[str, Any] | None = None


class _Event(msgspec.Struct, rename="camel"):
    time_unix_nano: int | None = 0
    name: str | None = ""
    attributes: list[_KeyValue] | None = None
    dropped_attributes_count: int | None = 0


class _Link(msgspec.Struct, rename="camel"):
    trace_id: str | None = ""
    span_id: str | None = ""
    trace_state: str | None = ""
    attributes: list[_KeyValue] | None = None
    dropped_attributes_count: int | None = 0
    flags: int | None = 0


class _Status(msgspec.Struct):
    code: int | str | None = 0
    message: str | None = ""


class _Span(msgspec.Struct, rename="camel"):
    trace_id: str | None = ""
    span_id: str | None = ""
    trace_state: str | None = ""
    parent_span_id: str | None = ""
    flags: int | None = 0
    name: str | None = ""
    kind: int | str | None = 0
    start_time_unix_nano: int | None = 0
    end_time_unix_nano: int | None = 0
    attributes: list[_KeyValue] | None = None
    dropped_attributes_count: int | None = 0
    events: list[_Event] | None = None
    dropped_events_count: int | None = 0
    links: list[_Link] | None = None
    dropped_links_count: int | None = 0
    status: _Status | None = None


class _Scope(msgspec.Struct, rename="camel"):
    name: str | None = ""
    version: str | None = ""
    attributes: list[_KeyValue] | None = None
    dropped_attributes_count: int | None = 0


class _ScopeSpans(msgspec.Struct, rename="camel"):
    scope: _Scope | None = None
    instrumentation_library: _Scope | None = None
    spans: list[msgspec.Raw] | None = None
    schema_url: str | None = ""


class _Resource(msgspec.Struct, rename="camel"):
    attributes: list[_KeyValue] | None = None
    dropped_attributes_count: int | None = 0


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_spans: list[msgspec.Raw] | None = None
    instrumentation_library_spans: list[msgspec.Raw] | None = None
    schema_url: str | None = ""


class _Holder(msgspec.Struct, rename="camel"):
    resource_spans: list[msgspec.Raw] | None = None
    batches: list[msgspec.Raw] | None = None


class _Document(_Holder, rename="camel"):
    trace: _Holder | None = None
    result: _Holder | None = None


_document = msgspec.json.Decoder(_Document)
_keys = msgspec.json.Decoder(dict[str, msgspec.Raw])
_resource_spans = msgspec.json.Decoder(_ResourceSpans, strict=False)
_scope_spans = msgspec.json.Decoder(_ScopeSpans, strict=False)
_span = msgspec.json.Decoder(_Span, strict=False)
_resource = msgspec.json.Decoder(_Resource, strict=False)
_scope = msgspec.json.Decoder(_Scope, strict=False)


def parse_otlp_json(data: bytes, reading: Reading) -> None:
    """Add the spans of a document, of JSON lines, or of documents run together."""
    parser = _Parser(reading)
    pieces = 0
    for piece in json_pieces(data):
        pieces += 1
        try:
            parser.piece(piece)
        except Damage as error:
            reading.failed(error, piece.place())
    if not pieces:
        raise FormatError("the source is empty", hint=f"Expected {_EXPECTED}")
    for signal, count in parser.other_signals.items():
        reading.note(f"document of {signal}, which hold no spans", count=count)
    if parser.other_signals and not parser.documents:
        raise FormatError(
            f"it holds {' and '.join(parser.other_signals)} only, and no spans",
            hint="Point the exporter's traces pipeline at this file, or read another one",
        )


def camel_case(data: bytes) -> bytes:
    """Return the JSON text with snake_case property names in lowerCamelCase; values are left alone."""
    return _SNAKE.sub(lambda m: b'"' + re.sub(rb"_([a-z])", lambda c: c[1].upper(), m[1]) + b'"', data)


class _Parser:
    """Walks from documents to spans, and knows where it is."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.documents = 0
        self.other_signals: dict[str, int] = {}

    def piece(self, piece: Piece) -> None:
        data = camel_case(piece.data) if _SNAKE.search(piece.data) else piece.data
        try:
            raw = msgspec.json.decode(data, type=msgspec.Raw)
        except (msgspec.DecodeError, RecursionError) as error:
            if not self.reading.skips:
                raise json_error(error, piece, _EXPECTED) from error
            _Salvage(self, piece).run(data)
            self.documents += 1
            return
        if bytes(raw).lstrip()[:1] == b"[":
            for i, item in enumerate(msgspec.json.decode(data, type=list[msgspec.Raw])):
                self._document(bytes(item), piece, f"[{i}].")
        else:
            self._document(data, piece, "")

    def _document(self, data: bytes, piece: Piece, prefix: str) -> None:
        try:
            keys = _keys.decode(data)
        except msgspec.ValidationError as error:
            raise json_error(error, piece, _EXPECTED) from error
        other = [signal for key, signal in _OTHER_SIGNALS.items() if key in keys]
        if keys and not KEYS & keys.keys() and not other:
            raise FormatError(
                f"no spans here: the top-level keys are {', '.join(map(repr, list(keys)[:6]))}",
                hint=_hint(keys) or f"Expected {_EXPECTED}",
            )
        for signal in other:
            self.other_signals[signal] = self.other_signals.get(signal, 0) + 1
        if other and not KEYS & keys.keys():
            return
        self.documents += 1
        document = _document.decode(data)
        for path, holder in (
            (prefix, document),
            (f"{prefix}trace.", document.trace),
            (f"{prefix}result.", document.result),
        ):
            if holder is None:
                continue
            for name, raws in (("resourceSpans", holder.resource_spans), ("batches", holder.batches)):
                where = ", ".join(part for part in (piece.place(), f"{path}{name}") if part)
                self.reading.each(raws or [], self.resource_spans, lambda i, where=where: f"{where}[{i}]")  # type: ignore[misc]

    def resource_spans(self, raw: msgspec.Raw | bytes, where: Callable[[], str]) -> None:
        group = _resource_spans.decode(raw)
        resource = self.resource(group.resource, group.schema_url, where)
        for name, raws in (
            ("scopeSpans", group.scope_spans),
            ("instrumentationLibrarySpans", group.instrumentation_library_spans),
        ):
            self.reading.each(raws or [], lambda r, w: self.scope_spans(r, w, resource), _indexed(where, name))

    def scope_spans(self, raw: msgspec.Raw | bytes, where: Callable[[], str], resource: int) -> None:
        group = _scope_spans.decode(raw)
        scope = self.scope(group.scope or group.instrumentation_library, group.schema_url, where)
        self.reading.each(group.spans or [], lambda r, w: self.span(r, w, resource, scope), _indexed(where, "spans"))

    def resource(self, resource: _Resource | None, schema_url: str | None, where: Callable[[], str]) -> int:
        found = resource or _Resource()
        attributes = attribute_map(found.attributes, self.reading, where)
        return self.reading.builder.resource(
            attributes, schema_url=schema_url, dropped=found.dropped_attributes_count or 0
        )

    def scope(self, scope: _Scope | None, schema_url: str | None, where: Callable[[], str]) -> int:
        found = scope or _Scope()
        attributes = attribute_map(found.attributes, self.reading, where)
        return self.reading.builder.scope(
            found.name, found.version, attributes, schema_url=schema_url, dropped=found.dropped_attributes_count or 0
        )

    def span(self, raw: msgspec.Raw | bytes, where: Callable[[], str], resource: int, scope: int) -> None:
        span = _span.decode(raw)
        links = span.links or []
        _note_repeated(raw, len(links), self.reading, where)
        start, end = (
            _instant(span.start_time_unix_nano, "startTimeUnixNano"),
            _instant(span.end_time_unix_nano, "endTimeUnixNano"),
        )
        status = span.status or _Status()
        self.reading.builder.add(
            trace_id=hex_or_base64(span.trace_id or "", 32, "traceId"),
            span_id=hex_or_base64(span.span_id or "", 16, "spanId"),
            parent_span_id=hex_or_base64(span.parent_span_id or "", 16, "parentSpanId"),
            name=span.name,
            resource=resource,
            scope=scope,
            kind=kind_code(span.kind),
            start_ns=start,
            duration_ns=end - start if start is not None and end is not None else None,
            status=status_code(status.code),
            status_message=status.message,
            trace_state=span.trace_state,
            trace_flags=span.flags or 0,
            attributes=attribute_map(span.attributes, self.reading, where),
            events=event_cell([self._event(e, where) for e in span.events]) if span.events else None,
            links=link_cell([self._link(x, where) for x in links]) if links else None,
            dropped=(span.dropped_attributes_count or 0, span.dropped_events_count or 0, span.dropped_links_count or 0),
        )

    def _event(self, event: _Event, where: Callable[[], str]) -> dict[str, Any]:
        item: dict[str, Any] = {
            "time": _instant(event.time_unix_nano, "timeUnixNano") or 0,
            "name": event.name or "",
            "attributes": natural_map(event.attributes, self.reading, where),
        }
        if event.dropped_attributes_count:
            item["dropped_attributes"] = event.dropped_attributes_count
        return item

    def _link(self, link: _Link, where: Callable[[], str]) -> dict[str, Any]:
        item: dict[str, Any] = {
            "trace_id": hex_or_base64(link.trace_id or "", 32, "links.traceId"),
            "span_id": hex_or_base64(link.span_id or "", 16, "links.spanId"),
        }
        if link.trace_state:
            item["trace_state"] = link.trace_state
        item["attributes"] = natural_map(link.attributes, self.reading, where)
        if link.flags:
            item["flags"] = link.flags
        if link.dropped_attributes_count:
            item["dropped_attributes"] = link.dropped_attributes_count
        return item


class _Salvage:
    """Takes what decodes out of a piece that does not, with the resource and scope that precede it."""

    def __init__(self, parser: _Parser, piece: Piece) -> None:
        self.parser = parser
        self.piece = piece
        self.resource = 0
        self.scope = 0

    def run(self, data: bytes) -> None:
        reading = self.parser.reading
        for fragment in fragments(
            data, lambda at, why: reading.lost("damaged JSON, left out", self.piece.place(at), why)
        ):
            place = self.piece.place(fragment.offset)
            reading.each([fragment], self._use, lambda _, place=place: place)  # type: ignore[misc]

    def _use(self, fragment: Fragment, where: Callable[[], str]) -> None:
        keys = _keys.decode(fragment.data)
        parser = self.parser
        if KEYS & keys.keys():
            parser._document(fragment.data, self.piece, "")  # noqa: SLF001 - one module, two halves
        elif keys.keys() & {"scopeSpans", "instrumentationLibrarySpans"}:
            parser.resource_spans(fragment.data, where)
        elif fragment.key == "resource":
            self.resource = parser.resource(_resource.decode(fragment.data), "", where)
        elif fragment.key in ("scope", "instrumentationLibrary"):
            self.scope = parser.scope(_scope.decode(fragment.data), "", where)
        elif "spans" in keys:
            parser.scope_spans(fragment.data, where, self.resource)
        elif "spanId" in keys and keys.keys() & {"name", "startTimeUnixNano", "endTimeUnixNano"}:
            parser.span(fragment.data, where, self.resource, self.scope)


def _instant(nanoseconds: int | None, what: str) -> int | None:
    """Return an instant, None for 0, which the protocol uses for "unknown"."""
    if nanoseconds is not None and nanoseconds < 0:
        raise FormatError(
            f"{what}: found {shown(nanoseconds)}, expected nanoseconds since 1970, which are not negative"
        )
    return nanoseconds or None


def _indexed(where: Callable[[], str], name: str) -> Callable[[int], str]:
    """Return the place of each item of a list; it is put into words for findings only."""
    return lambda i: f"{where()}.{name}[{i}]"


def _note_repeated(raw: msgspec.Raw | bytes, links: int, reading: Reading, where: Callable[[], str]) -> None:
    """Note a property that stands twice in a span: decoders keep the last, and that must not go unseen."""
    text = bytes(raw)
    if (
        text.count(b'"spanId"') > 1 + links
        or text.count(b'"startTimeUnixNano"') > 1
        or text.count(b'"parentSpanId"') > 1
    ):
        for key in duplicate_keys(text):
            reading.note("property twice in one object, the last one kept", where(), key)


def _hint(keys: dict[str, Any]) -> str:
    if "traces" in keys or "series" in keys or "tagNames" in keys or "tagValues" in keys or "scopes" in keys:
        return "This looks like a search or metrics answer of Tempo: fetch the traces themselves, /api/v2/traces/{id}"
    if "data" in keys:
        return "This looks like a Jaeger answer: ta.read_jaeger"
    return ""
