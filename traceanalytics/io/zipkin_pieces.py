"""Zipkin's JSON as it is written, and the piece: what one report says of one span.

A span may come in several pieces (sent twice, or one half by each side of a call), so nothing is added to the frame before
all of them are there. A piece is checked when it is read, while its place in the source is known.
"""

from __future__ import annotations

import functools
import math
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import msgspec

from traceanalytics.errors import FormatError
from traceanalytics.io.values import INT64_MAX, INT64_MIN, kind_code, shown
from traceanalytics.spans.cells import encode_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from traceanalytics.io.reading import Reading

__all__ = [
    "CLIENT",
    "CONSUMER",
    "PRODUCER",
    "SERVER",
    "Endpoint",
    "Piece",
    "WireSpan",
    "as_text",
    "check_end",
    "endpoint",
    "nanoseconds",
    "new_piece",
]

SERVER: Final = 2
CLIENT: Final = 3
PRODUCER: Final = 4
CONSUMER: Final = 5

_HEX: Final = re.compile(r"[0-9a-fA-F]+\Z")
_NO_SERVICE: Final = ("", "OTLPResourceNoServiceName")  # the latter is what the collector writes for "none"
_MOST_PORT: Final = 65_535

Number = int | float | None


class Endpoint(msgspec.Struct, rename="camel", omit_defaults=True):
    """A side of a call. Never changed once it is read: pieces share it."""

    service_name: str | None = None
    ipv4: str | None = None
    ipv6: str | None = None
    port: int | None = None

    def key(self) -> str | None:
        """Return what tells one side from the other: the service, or else the address."""
        return self.service_name or self.ipv4 or self.ipv6


class WireAnnotation(msgspec.Struct):
    """An annotation; version 1 has an endpoint on each."""

    timestamp: Number = None
    value: Any = ""
    endpoint: Endpoint | None = None


class WireBinaryAnnotation(msgspec.Struct):
    """A tag or an address of version 1."""

    key: str = ""
    value: Any = None
    endpoint: Endpoint | None = None


class WireSpan(msgspec.Struct, rename="camel"):
    """A span of either version."""

    trace_id: str | None = None
    id: str | None = None
    parent_id: str | None = None
    name: str | None = None
    kind: int | str | None = None
    timestamp: Number = None
    duration: Number = None
    local_endpoint: Endpoint | None = None
    remote_endpoint: Endpoint | None = None
    annotations: list[WireAnnotation] | None = None
    binary_annotations: list[WireBinaryAnnotation] | None = None
    tags: dict[str, Any] | None = None
    shared: bool | None = None
    debug: bool | None = None


class Piece(msgspec.Struct):
    """What one report says of one span, checked; times in nanoseconds, annotations as (time, text)."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str | None
    source: str
    debug: bool
    is_long: bool  # the trace id had all its 32 digits
    kind: int = 0
    start: int | None = None
    duration: int | None = None
    local: Endpoint | None = None
    remote: Endpoint | None = None
    annotations: list[tuple[int, str]] = []
    tags: dict[str, str] = {}
    shared: bool = False
    original_id: str | None = None

    def add_v2(self, span: WireSpan, reading: Reading, where: Callable[[], str]) -> None:
        """Take over what version 2 says beyond ids and name."""
        self.kind = kind_code(span.kind or None)
        self.start = nanoseconds(span.timestamp, "timestamp") or None
        self.duration = nanoseconds(span.duration, "duration", negative=True)
        check_end(self.start, self.duration)
        self.local = endpoint(span.local_endpoint, "localEndpoint")
        self.remote = endpoint(span.remote_endpoint, "remoteEndpoint")
        if span.annotations:
            self.annotations = [
                (
                    nanoseconds(a.timestamp, "annotations.timestamp") or 0,
                    a.value if type(a.value) is str else as_text(a.value, "annotation", reading, where),
                )
                for a in span.annotations
            ]
        if span.tags:
            self.tags = _texts(span.tags, reading, where)
        self.shared = bool(span.shared)


def new_piece(span: WireSpan, reading: Reading, where: Callable[[], str]) -> Piece:
    """Return a piece with ids and name, the part that both versions have in common."""
    trace_id, span_id = _id(span.trace_id or "", 32, "traceId"), _id(span.id or "", 16, "id")
    if trace_id is None or span_id is None:
        what, found = ("traceId", span.trace_id) if trace_id is None else ("id", span.id)
        raise FormatError(f"{what}: found {shown(found)}, expected hex digits that are not all zero")
    parent_id = _id(span.parent_id, 16, "parentId") if span.parent_id else None
    if parent_id == span_id:
        reading.note("parentId equal to id, ignored", where(), span_id)
        parent_id = None
    return Piece(
        trace_id, span_id, parent_id, span.name, reading.source, bool(span.debug), len(span.trace_id or "") == 32
    )


@functools.lru_cache(maxsize=65_536)
def _id(text: str, digits: int, what: str) -> str | None:
    """Return an id padded to its full length, None for an empty or all-zero one."""
    if not text:
        return None
    if len(text) > digits or not _HEX.match(text):
        raise FormatError(f"{what}: found {shown(text)}, expected up to {digits} hex digits")
    return text.lower().rjust(digits, "0") if text.strip("0") else None


def nanoseconds(microseconds: Number, what: str, *, negative: bool = False) -> int | None:
    """Return microseconds as nanoseconds, exactly; None for None."""
    if microseconds is None:
        return None
    if type(microseconds) is int:
        found = microseconds * 1000
    elif math.isfinite(microseconds):  # some libraries write fractions
        found = math.floor(Fraction(microseconds) * 1000)
    else:
        raise FormatError(f"{what}: found {shown(microseconds)}, expected microseconds")
    if found < 0 and not negative:
        raise FormatError(
            f"{what}: found {shown(microseconds)}, expected microseconds since 1970, which are not negative"
        )
    if not INT64_MIN < found <= INT64_MAX:
        raise FormatError(
            f"{what}: {shown(microseconds)} microseconds lie outside of what 64 bits of nanoseconds can say",
            hint="Zipkin's times are microseconds; are these nanoseconds?",
        )
    return found


def check_end(start: int | None, duration: int | None) -> None:
    """Refuse a span that would end beyond the year 2262."""
    if start is not None and duration is not None and start + duration > INT64_MAX:
        raise FormatError(f"duration: {duration // 1000} microseconds after its start the year 2262 is over")


def endpoint(found: Endpoint | None, what: str) -> Endpoint | None:
    """Return an endpoint whose empty parts are None, or None for an empty one."""
    if found is None:
        return None
    if found.service_name in _NO_SERVICE:
        found.service_name = None
    found.ipv4, found.ipv6, found.port = found.ipv4 or None, found.ipv6 or None, found.port or None
    if found.port is not None and not 0 < found.port <= _MOST_PORT:
        raise FormatError(f"{what}.port: found {shown(found.port)}, expected 1 to {_MOST_PORT}")
    return found if found.key() is not None or found.port is not None else None


def _texts(tags: dict[str, Any], reading: Reading, where: Callable[[], str]) -> dict[str, str]:
    if set(map(type, tags.values())) == {str}:
        return tags
    texts = {}
    for key, value in tags.items():
        if value is None:
            reading.note("tag without a value, left out", where(), key)
        else:
            texts[key] = value if type(value) is str else as_text(value, key, reading, where)
    return texts


def as_text(value: Any, key: str, reading: Reading, where: Callable[[], str]) -> str:
    """Return the text of a value that should be one and is not: its JSON text."""
    if value is None:
        return ""
    reading.note("value that is no text, read as its JSON text", where(), key)
    return encode_json(value)
