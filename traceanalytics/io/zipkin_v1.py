"""Zipkin's version 1: from annotations to pieces as version 2 would have written them.

Version 1 has no kinds, but annotations: ``cs`` and ``cr`` (client sent, received), ``sr`` and ``ss`` (server), ``ms`` and
``ws`` (message sent, on the wire), ``wr`` and ``mr`` (from the wire, received). One span may hold both sides of a call; it
becomes two pieces, of which the second is marked as shared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from traceanalytics.io.zipkin_pieces import (
    CLIENT,
    CONSUMER,
    PRODUCER,
    SERVER,
    Endpoint,
    Piece,
    WireSpan,
    as_text,
    check_end,
    endpoint,
    nanoseconds,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from traceanalytics.io.reading import Reading

__all__ = ["is_v1", "pieces_of_v1"]

_KINDS: Final = {
    "cs": CLIENT,
    "cr": CLIENT,
    "sr": SERVER,
    "ss": SERVER,
    "ms": PRODUCER,
    "mr": CONSUMER,
    "ws": 0,
    "wr": 0,
}
_ADDRESSES: Final = ("sa", "ca", "ma")
_YES: Final = (True, "1", "true")


class _Mark(NamedTuple):
    """A core annotation: when, and on which side."""

    time: int
    side: Endpoint


def is_v1(span: WireSpan) -> bool:
    """Tell whether a span is of version 1: only its annotations have endpoints."""
    if span.kind or span.local_endpoint or span.tags:
        return False
    return bool(span.binary_annotations) or any(a.endpoint is not None for a in span.annotations or ())


def pieces_of_v1(span: WireSpan, first: Piece, reading: Reading, where: Callable[[], str]) -> list[Piece]:
    """Return the pieces of a span of version 1; ``first`` has its ids and name."""
    conversion = _Conversion(span, first, reading, where)
    conversion.annotations()
    conversion.calls()
    conversion.messages()
    conversion.binary_annotations()
    pieces = conversion.pieces
    if len(pieces) > 1:
        reading.note("version 1 span with several sides, read as one span a side", where(), first.span_id)
    for piece in pieces:
        check_end(piece.start, piece.duration)
    return pieces


class _Conversion:
    """The pieces of one span, by the service on whose side something happened."""

    def __init__(self, span: WireSpan, first: Piece, reading: Reading, where: Callable[[], str]) -> None:
        self.span = span
        self.reading = reading
        self.where = where
        self.start = nanoseconds(span.timestamp, "timestamp") or None
        self.duration = nanoseconds(span.duration, "duration", negative=True) or None
        self.first = first
        self.blank = msgspec.structs.replace(first)
        self.pieces = [first]
        self.by_service: dict[str | None, Piece] = {}
        self.marks: dict[str, _Mark] = {}

    def side(self, found: Endpoint | None) -> Piece:
        """Return the piece of an endpoint; what has no endpoint belongs to the first piece."""
        if found is None:
            return self.first
        if self.first.local is None:
            self.first.local = found
            self.by_service[found.service_name] = self.first
        piece = self.by_service.get(found.service_name)
        return piece if piece is not None else self.new_side(found)

    def new_side(self, found: Endpoint) -> Piece:
        piece = msgspec.structs.replace(self.blank, local=found, annotations=[], tags={})
        self.by_service[found.service_name] = piece
        self.pieces.append(piece)
        return piece

    def annotations(self) -> None:
        """Take core annotations as marks, the others as events."""
        for found in self.span.annotations or ():
            text = (
                found.value
                if type(found.value) is str
                else as_text(found.value, "annotation", self.reading, self.where)
            )
            side, time = (
                endpoint(found.endpoint, "annotations.endpoint"),
                nanoseconds(found.timestamp, "annotations.timestamp"),
            )
            piece = self.side(side)
            if side is None or text not in _KINDS:
                piece.annotations.append((time or 0, text))
                continue
            piece.kind = _KINDS[text] or piece.kind
            if time:
                self.marks[text] = _Mark(time, side)
        self._derive_start("cs", "cr")
        self._derive_start("sr", "ss")

    def _derive_start(self, begin: str, end: str) -> None:
        """Make up a missing start mark where the span's own times say that the end mark is its end."""
        mark = self.marks.get(end)
        if begin in self.marks or mark is None or self.duration is None:
            return
        if self.start is None:
            if begin == "cs" or "cr" not in self.marks:  # the duration is the client's, if there is one
                self.marks[begin] = _Mark(mark.time - self.duration, mark.side)
        elif self.start + self.duration == mark.time:
            self.marks[begin] = _Mark(self.start, mark.side)

    def calls(self) -> None:
        """Set times and the shared flag of client and server."""
        cs, cr, sr, ss = (self.marks.get(m) for m in ("cs", "cr", "sr", "ss"))
        if cs and sr:
            self._both_sides(cs, cr, sr, ss)
        elif cs and cr:
            self._time(cs, cr)
        elif sr and ss:
            self._time(sr, ss)
        else:
            self._incomplete()
        if not cs and sr and (self.start is None or (ss and self.duration is None)):
            # A server that takes part in a client's span leaves the span's own times to the client.
            self.side(sr.side).shared = True

    def _both_sides(self, cs: _Mark, cr: _Mark | None, sr: _Mark, ss: _Mark | None) -> None:
        self._time(cs, cr)
        client = self.side(cs.side)
        if cs.side.service_name == sr.side.service_name:  # a service that calls itself
            client.kind = CLIENT
            server = self.new_side(sr.side)
            self.by_service[cs.side.service_name] = client
            server.kind = SERVER
        else:
            server = self.side(sr.side)
        server.shared = True
        server.start, server.duration = sr.time, ss.time - sr.time if ss else None
        if not cr and self.duration is None:  # one way: nobody waited
            client.duration = None

    def _time(self, begin: _Mark, end: _Mark | None) -> None:
        piece = self.side(begin.side)
        if self.start is not None and self.duration is not None:
            piece.start, piece.duration = self.start, self.duration
        else:
            piece.start, piece.duration = begin.time, end.time - begin.time if end else None

    def _incomplete(self) -> None:
        for kind, begin, end in ((CLIENT, "cs", "cr"), (SERVER, "sr", "ss")):
            if begin in self.marks:
                self.side(self.marks[begin].side).start = self.marks[begin].time
            if end in self.marks:
                piece = self.side(self.marks[end].side)
                if piece.kind == kind:
                    piece.annotations.append((self.marks[end].time, end))
        if self.start is not None:
            self.first.start = self.start
        if self.duration is not None:
            self.first.duration = self.duration

    def messages(self) -> None:
        """Set times of producer and consumer."""
        ms, mr, ws, wr = (self.marks.get(m) for m in ("ms", "mr", "ws", "wr"))
        if ms and mr:
            producer = self.side(ms.side)
            if ms.side.service_name == mr.side.service_name:
                producer.kind = PRODUCER
                consumer = self.new_side(mr.side)
                self.by_service[ms.side.service_name] = producer
                consumer.kind = CONSUMER
            else:
                consumer = self.side(mr.side)
            consumer.shared = True
            consumer.start, consumer.duration = (wr.time, mr.time - wr.time) if wr else (mr.time, None)
            producer.start, producer.duration = ms.time, ws.time - ms.time if ws else None
        elif ms:
            self._time(ms, ws)
        elif mr:
            self._time(wr or mr, mr if wr else None)
        else:
            for name, mark in (("ws", ws), ("wr", wr)):
                if mark:
                    self.side(mark.side).annotations.append((mark.time, name))

    def binary_annotations(self) -> None:
        """Take tags, and the addresses of the other side."""
        addresses: dict[str, Endpoint] = {}
        for found in self.span.binary_annotations or ():
            side = endpoint(found.endpoint, "binaryAnnotations.endpoint")
            if found.key in _ADDRESSES and found.value in _YES:
                if side is not None:
                    addresses[found.key] = side
            elif found.value is None:
                self.reading.note("tag without a value, left out", self.where(), found.key)
            elif found.key != "lc" or found.value != "":  # an empty one only says "this is a local span"
                text = (
                    found.value
                    if type(found.value) is str
                    else as_text(found.value, found.key, self.reading, self.where)
                )
                self.side(side).tags[found.key] = text
        self._addresses(addresses.get("ca"), addresses.get("sa"), addresses.get("ma"))

    def _addresses(self, ca: Endpoint | None, sa: Endpoint | None, ma: Endpoint | None) -> None:
        client = self.marks.get("cs") or self.marks.get("cr")
        server = self.marks.get("sr") or self.marks.get("ss")
        if not client and not server:
            if sa is not None:
                self.side(ca).remote = sa
            elif ca is not None:  # only a server knows its client's address
                self.first.kind, self.first.remote = SERVER, ca
        if ca is not None and server and ca != server.side:
            if ca.service_name == server.side.service_name:
                # Finagle writes the server's own name there; kept, it would look as if the service called itself.
                ca = msgspec.structs.replace(ca, service_name=None)
            self.side_of(server, SERVER).remote = ca
        if sa is not None and client:
            self.side_of(client, CLIENT).remote = sa
        if ma is not None:
            for mark, kind in (("ms", PRODUCER), ("mr", CONSUMER)):
                if mark in self.marks:
                    self.side_of(self.marks[mark], kind).remote = ma

    def side_of(self, mark: _Mark, kind: int) -> Piece:
        """Return the piece of a mark; where a service called itself, the one of this kind."""
        piece = self.side(mark.side)
        if piece.kind == kind:
            return piece
        return next((p for p in self.pieces if p.kind == kind), piece)
