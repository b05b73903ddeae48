"""OTLP protobuf into the builder: a plain request, Tempo's answers, and the collector's length-prefixed messages.

The envelope is walked field by field on the wire, so that every span has a byte offset and a damaged one costs itself only;
spans, resources and scopes are decoded by the official classes.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from traceanalytics.errors import FormatError
from traceanalytics.io.reading import Damage
from traceanalytics.io.source import inflate
from traceanalytics.io.values import shown
from traceanalytics.spans.cells import event_cell, link_cell, natural_float, to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from traceanalytics.io.reading import Reading

__all__ = ["frames", "is_framed", "parse_otlp_protobuf"]

_PREFIX: Final = 4
_LENGTH_DELIMITED: Final = 2
_FIXED: Final = {1: 8, 5: 4}
_EXPECTED: Final = "Expected an OTLP trace request (protobuf), or the collector's length-prefixed messages"

Field = tuple[int, int, int]


def is_framed(data: bytes) -> bool:
    """Tell whether content is a series of messages, each after its length in 4 big-endian bytes.

    A plain message begins with the tag of field 1 (byte 0x0a), a length below 160 MiB with another byte.
    """
    if len(data) <= _PREFIX:
        return False
    if data[0] != 0x0A:
        return data[0] < 0x0A and data[_PREFIX : _PREFIX + 1] in (b"\x0a", b"{", b"\x28")
    at = 0
    while at + _PREFIX <= len(data):
        at += _PREFIX + int.from_bytes(data[at : at + _PREFIX])
    return at == len(data)


def frames(data: bytes, reading: Reading) -> Iterator[tuple[int, bytes]]:
    """Yield the messages with their byte offsets, inflated where they are Zstandard; the last may be cut off."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + _PREFIX])
        start, end = at + _PREFIX, at + _PREFIX + size
        if end > len(data) or start > len(data):
            problem = FormatError(
                f"the message claims {size:,} bytes, and {max(len(data) - start, 0):,} are left",
                position=f"byte {at}",
                hint="The file was cut off",
            )
            reading.failed(problem, "")
            return
        try:
            yield start, inflate(data[start:end], reading.source)
        except FormatError as error:
            reading.failed(error, f"message at byte {start}")
        at = end


def parse_otlp_protobuf(data: bytes, reading: Reading, base: int) -> None:
    """Add the spans of one message; ``base`` is its offset in the file, for error messages."""
    parser = _Parser(data, reading, base)
    groups = list(parser.fields(0, len(data), wanted=1))
    if not groups:
        raise FormatError(f"{len(data):,} bytes without a list of spans", hint=_EXPECTED)
    if not any(parser.has_field(start, end, 2) for _, start, end in groups):
        # Tempo's v2 answer wraps the trace into field 1; a trace is again a list of resource spans.
        inner = [g for _, start, end in groups for g in parser.fields(start, end, wanted=1)]
        if any(parser.has_field(start, end, 2) for _, start, end in inner):
            groups = inner
    for _, start, end in groups:
        parser.guarded(parser.resource_spans, start, end)


class _Parser:
    def __init__(self, data: bytes, reading: Reading, base: int) -> None:
        self.data = data
        self.reading = reading
        self.base = base

    def place(self, at: int) -> str:
        return f"byte {self.base + at}"

    def guarded(self, use: Any, start: int, end: int, *rest: int) -> None:
        try:
            use(start, end, *rest)
        except DecodeError:
            self.reading.failed(
                FormatError(f"{end - start} bytes that are no OTLP span, resource or scope", hint=_EXPECTED),
                self.place(start),
            )
        except Damage as error:
            self.reading.failed(error, self.place(start))

    def fields(self, start: int, end: int, *, wanted: int) -> Iterator[Field]:
        """Yield (number, start, end) of the length-delimited fields with this number."""
        for number, kind, low, high in self.walk(start, end):
            if number == wanted and kind == _LENGTH_DELIMITED:
                yield number, low, high

    def has_field(self, start: int, end: int, wanted: int) -> bool:
        try:
            return any(
                number == wanted and kind == _LENGTH_DELIMITED
                for number, kind, _, _ in self.walk(start, end, quiet=True)
            )
        except FormatError:
            return False

    def walk(self, start: int, end: int, *, quiet: bool = False) -> Iterator[tuple[int, int, int, int]]:
        """Yield (number, wire type, start, end) of every field; what runs beyond the end is cut when damage is skipped."""
        at = start
        while at < end:
            tag, body = self._varint(at, end)
            number, kind = tag >> 3, tag & 7
            if kind == 0:
                _, stop = self._varint(body, end)
            elif kind == _LENGTH_DELIMITED:
                size, body = self._varint(body, end)
                stop = body + size
            elif kind in _FIXED:
                stop = body + _FIXED[kind]
            else:
                raise FormatError(
                    f"no protobuf field begins with {shown(self.data[at : at + 4].hex())}",
                    position=self.place(at),
                    hint=_EXPECTED,
                )
            if number == 0:
                raise FormatError("a protobuf field with the number 0", position=self.place(at), hint=_EXPECTED)
            if stop > end:
                problem = FormatError(
                    f"a field of {stop - body:,} bytes, and {end - body:,} are left",
                    position=self.place(at),
                    hint="The data was cut off",
                )
                if not self.reading.skips:
                    raise problem
                if not quiet:
                    self.reading.lost("message cut off, its last part left out", self.place(at), problem.problem)
                stop = end
            yield number, kind, body, stop
            at = stop

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        for i in range(at, min(at + 10, end)):
            byte = self.data[i]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, i + 1
            shift += 7
        raise FormatError("a protobuf number without an end", position=self.place(at), hint=_EXPECTED)

    def resource_spans(self, start: int, end: int) -> None:
        resource, schema_url, groups = Resource(), "", []
        for number, _, low, high in self.walk(start, end):
            if number == 1:
                resource.MergeFromString(self.data[low:high])
            elif number in (2, 1000):  # 1000: instrumentation_library_spans, before 2022
                groups.append((low, high))
            elif number == 3:
                schema_url = self.data[low:high].decode()
        at = self.reading.builder.resource(
            _attributes(resource.attributes, self.reading, self.place(start)),
            schema_url=schema_url,
            dropped=resource.dropped_attributes_count,
        )
        for low, high in groups:
            self.guarded(self.scope_spans, low, high, at)

    def scope_spans(self, start: int, end: int, resource: int) -> None:
        scope, schema_url, spans = InstrumentationScope(), "", []
        for number, _, low, high in self.walk(start, end):
            if number == 1:
                scope.MergeFromString(self.data[low:high])
            elif number == 2:
                spans.append((low, high))
            elif number == 3:
                schema_url = self.data[low:high].decode()
        attributes = _attributes(scope.attributes, self.reading, self.place(start))
        at = self.reading.builder.scope(
            scope.name, scope.version, attributes, schema_url=schema_url, dropped=scope.dropped_attributes_count
        )
        for low, high in spans:
            self.guarded(self.span, low, high, resource, at)
        self.reading.tell()

    def span(self, start: int, end: int, resource: int, scope: int) -> None:
        span = Span.FromString(self.data[start:end])
        place = self.place(start)
        begin, finish = span.start_time_unix_nano, span.end_time_unix_nano
        self.reading.builder.add(
            trace_id=_identifier(span.trace_id, 16, "trace_id"),
            span_id=_identifier(span.span_id, 8, "span_id"),
            parent_span_id=_identifier(span.parent_span_id, 8, "parent_span_id"),
            name=span.name,
            resource=resource,
            scope=scope,
            kind=_number(span.kind, 6, "span kind"),
            start_ns=begin or None,
            duration_ns=finish - begin if begin and finish else None,
            status=_number(span.status.code, 3, "status code"),
            status_message=span.status.message,
            trace_state=span.trace_state,
            trace_flags=span.flags,
            attributes=_attributes(span.attributes, self.reading, place),
            events=event_cell([_event(e) for e in span.events]) if span.events else None,
            links=link_cell([_link(x) for x in span.links]) if span.links else None,
            dropped=(span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count),
        )


def _number(value: int, below: int, what: str) -> int:
    if not 0 <= value < below:
        raise FormatError(f"{what}: found {value}, expected 0 to {below - 1}")
    return value


def _identifier(raw: bytes, size: int, what: str) -> str | None:
    if not raw.strip(b"\0"):
        return None
    if len(raw) != size:
        raise FormatError(f"{what}: found {len(raw)} bytes, expected {size}")
    return raw.hex()


def _attributes(pairs: Iterable[Any], reading: Reading, place: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        if pair.key in found:
            reading.note("attribute key twice in one list, the last one kept", place, pair.key)
        kind = pair.value.WhichOneof("value")
        if kind in ("string_value", "int_value", "bool_value", "double_value"):
            found[pair.key] = getattr(pair.value, kind)
        else:
            natural = _natural(pair.value)
            if natural is None:
                reading.note("attribute without a value, left out", place, pair.key)
            found[pair.key] = None if natural is None else to_json(natural)
    return found


def _natural(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "double_value":
        return natural_float(value.double_value)
    if kind == "bytes_value":
        return {"bytesValue": base64.b64encode(value.bytes_value).decode()}
    if kind == "array_value":
        return [_natural(v) for v in value.array_value.values]
    if kind == "kvlist_value":
        return _natural_map(value.kvlist_value.values)
    return getattr(value, kind) if kind in ("string_value", "int_value", "bool_value") else None


def _natural_map(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: _natural(pair.value) for pair in pairs}


def _event(event: Any) -> dict[str, Any]:
    item = {"time": event.time_unix_nano, "name": event.name, "attributes": _natural_map(event.attributes)}
    if event.dropped_attributes_count:
        item["dropped_attributes"] = event.dropped_attributes_count
    return item


def _link(link: Any) -> dict[str, Any]:
    item: dict[str, Any] = {
        "trace_id": _identifier(link.trace_id, 16, "links.trace_id"),
        "span_id": _identifier(link.span_id, 8, "links.span_id"),
    }
    if link.trace_state:
        item["trace_state"] = link.trace_state
    item["attributes"] = _natural_map(link.attributes)
    if link.flags:
        item["flags"] = link.flags
    if link.dropped_attributes_count:
        item["dropped_attributes"] = link.dropped_attributes_count
    return item
