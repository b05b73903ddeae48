"""From pieces to spans: pieces of one span united, and span ids that two sides of a call share told apart.

Zipkin's B3 lets a server continue its client's span, so that one id may stand for two spans. The rules follow Zipkin's own
clean-up of a trace: within an id, what is not shared comes first, and a client before the others; pieces whose shared flag
and endpoint agree are one span; a server after a client is shared, whether it says so or not. Beyond that, a tree needs one
id a span: the server's half gets an id of its own, under the shared one, and takes its own service's children along.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from traceanalytics.errors import FormatError
from traceanalytics.io.zipkin_pieces import CLIENT, CONSUMER, PRODUCER, SERVER, Endpoint, Piece, check_end

if TYPE_CHECKING:
    from traceanalytics.io.reading import Reading

__all__ = ["spans_of_pieces"]

_CALLERS: Final = (CLIENT, PRODUCER)
_CALLED: Final = {SERVER: CLIENT, CONSUMER: PRODUCER}
_HALF: Final = 16

Id = tuple[str, str]
"""Trace id and span id."""

Halves = dict[object, str]
"""The ids of the halves of a shared id, by address and by service."""


def spans_of_pieces(pieces: list[Piece], reading: Reading) -> list[Piece]:
    """Return one piece a span, in the order in which the spans first appear; the pieces are changed."""
    _unite_trace_ids(pieces, reading)
    groups = _groups(pieces)
    kept: list[Piece | None] = list(pieces)
    moved: dict[Id, Halves] = {}
    taken = {(p.trace_id, p.span_id) for p in pieces} if groups else set()
    for at, rows in groups.items():
        group = [(row, pieces[row]) for row in rows]
        for row in rows:
            kept[row] = None
        spans = _merged(group, reading)
        for row, span in spans:
            kept[row] = span
        if len(spans) > 1:
            moved[at] = _split([span for _, span in spans], taken, reading)
    found = [p for p in kept if p is not None]
    if moved:
        _move_children(found, moved)
    return found


def _unite_trace_ids(pieces: list[Piece], reading: Reading) -> None:
    """Give spans with a 64-bit trace id the 128-bit one whose low half it is: some libraries cut ids when they pass them on."""
    long: defaultdict[str, set[str]] = defaultdict(set)
    short: set[str] = set()
    zeros = "0" * _HALF
    for trace_id, is_long in {(p.trace_id, p.is_long) for p in pieces}:
        if trace_id.startswith(zeros):
            short.add(trace_id)
        elif is_long:
            long[trace_id[_HALF:]].add(trace_id)
    whole = {s: long[s[_HALF:]] for s in short if s[_HALF:] in long}
    if not whole:
        return
    for piece in pieces:
        candidates = whole.get(piece.trace_id, ())
        if len(candidates) == 1:
            _note(reading, piece, "64-bit trace id, read as the 128-bit one that it is the end of")
            (piece.trace_id,) = candidates
        elif candidates:
            _note(reading, piece, "64-bit trace id that is the end of several 128-bit ones, kept")


def _groups(pieces: list[Piece]) -> dict[Id, list[int]]:
    """Return the rows of every id that more than one piece has."""
    first: dict[Id, int] = {}
    groups: dict[Id, list[int]] = {}
    for row, piece in enumerate(pieces):
        at = (piece.trace_id, piece.span_id)
        before = first.setdefault(at, row)
        if before != row:
            groups.setdefault(at, [before]).append(row)
    return groups


def _merged(group: list[tuple[int, Piece]], reading: Reading) -> list[tuple[int, Piece]]:
    """Return the spans of the pieces with one id: first the one that owns the id, last those that share it."""
    _mark_shared([piece for _, piece in group])
    group.sort(key=lambda item: _order(item[1]))
    spans: list[tuple[int, Piece]] = []
    changed: set[int] = set()
    for row, piece in group:
        before = spans[-1][1] if spans else None
        if before is None or before.shared != piece.shared or not _fit(before, piece):
            spans.append((row, piece))
            continue
        try:
            _merge(before, piece)
        except FormatError as error:  # the pieces together say what no span can be
            reading.source = piece.source
            reading.failed(error, f"span {piece.span_id} of trace {piece.trace_id}")
            continue
        _note(reading, piece, "pieces of one span, united")
        spans[-1] = (min(row, spans[-1][0]), before)
        changed.add(id(before))
    for _, span in spans:
        if id(span) in changed:
            span.annotations = sorted(dict.fromkeys(span.annotations), key=lambda item: item[0])
    return spans


def _mark_shared(group: list[Piece]) -> None:
    """Set the shared flag where it must be: on the called side of a caller, and on pieces of a side that has it already."""
    callers = {p.kind: p for p in group if p.kind in _CALLERS and not p.shared}
    for piece in group:
        if _CALLED.get(piece.kind) in callers:
            piece.shared = True
    sides = {_side(p) for p in group if p.shared and p.kind in _CALLED}
    of_callers = {_side(p) for p in group if p.kind in _CALLERS}
    for piece in group:
        if not piece.shared and piece.kind in _CALLED:
            piece.shared = bool(sides) and (_side(piece) in sides or _side(piece) is None or None in sides)
        elif not piece.shared and piece.kind == 0:
            piece.shared = _side(piece) in sides - of_callers - {None}


def _side(piece: Piece) -> str | None:
    return piece.local.key() if piece.local is not None else None


def _order(piece: Piece) -> tuple[Any, ...]:
    """Return the sort key: pieces without an endpoint first, so that they go to the first span that they fit to."""
    side = piece.local
    if side is None:
        return (piece.shared, piece.kind not in _CALLERS, 0)
    parts = [(part is None, part or "") for part in (side.service_name, side.ipv4, side.ipv6)]
    return (piece.shared, piece.kind not in _CALLERS, 1, *parts, side.port or 0, piece.kind)


def _fit(a: Piece, b: Piece) -> bool:
    """Tell whether two pieces may be of one span: nothing that both say of their side and kind differs."""
    if a.kind and b.kind and a.kind != b.kind:
        return False
    if a.local is None or b.local is None:
        return True
    return not any(x and y and x != y for x, y in zip(_parts(a.local), _parts(b.local), strict=True))


def _parts(side: Endpoint) -> tuple[Any, ...]:
    return (side.service_name, side.ipv4, side.ipv6, side.port)


def _merge(into: Piece, piece: Piece) -> None:
    """Unite two pieces of a span: the earliest start, the longest duration, all tags and annotations, what is missing filled."""
    start = min((t for t in (into.start, piece.start) if t is not None), default=None)
    duration = max((t for t in (into.duration, piece.duration) if t is not None), default=None)
    check_end(start, duration)
    into.start, into.duration = start, duration
    into.parent_id = into.parent_id or piece.parent_id
    into.name = into.name or piece.name
    into.kind = into.kind or piece.kind
    into.local = _filled(into.local, piece.local)
    into.remote = _filled(into.remote, piece.remote)
    into.debug = into.debug or piece.debug
    into.tags.update(piece.tags)
    into.annotations += piece.annotations


def _filled(side: Endpoint | None, other: Endpoint | None) -> Endpoint | None:
    if side is None or other is None or side == other:
        return side or other
    return Endpoint(*(x or y for x, y in zip(_parts(side), _parts(other), strict=True)))


def _split(spans: list[Piece], taken: set[Id], reading: Reading) -> Halves:
    """Give every span but the owner of the id an id of its own, if it says that it shares it; return the new ids by side."""
    owner, trace_id, shared_id = spans[0], spans[0].trace_id, spans[0].span_id
    moved: Halves = {}
    halves = 0
    for span in spans[1:]:
        if not span.shared:
            _note(reading, span, "span id of several spans that do not say that they share it, kept")
            continue
        role = "consumer" if span.kind == CONSUMER else "server"
        span.span_id = _new_id(f"{trace_id}{shared_id}{role}{halves or ''}", trace_id, taken)
        halves += 1
        span.original_id = shared_id
        span.parent_id = shared_id if not owner.shared else span.parent_id or owner.parent_id
        for side in _sides(span):
            moved.setdefault(side, span.span_id)
        _note(reading, span, "shared span id, the called side under an id of its own", shared_id)
    if owner.shared:
        moved |= dict.fromkeys(_sides(owner), shared_id)
    return moved


def _new_id(text: str, trace_id: str, taken: set[Id]) -> str:
    """Return an id that depends on the text alone, unless the trace has it already."""
    while True:
        found = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        if (trace_id, found) not in taken:
            taken.add((trace_id, found))
            return found
        text += "+"


def _sides(piece: Piece) -> list[object]:
    """Return what tells a side from others, the most exact first: its address and service, or its service."""
    return [_parts(piece.local)[:3], piece.local.key()] if piece.local is not None and piece.local.key() else []


def _move_children(spans: list[Piece], moved: dict[Id, Halves]) -> None:
    """Hang children of a shared id under the half that is their own service."""
    for span in spans:
        parent = span.parent_id
        if parent is None or parent == span.original_id:
            continue
        halves = moved.get((span.trace_id, parent))
        if halves:
            span.parent_id = next((halves[side] for side in _sides(span) if side in halves), parent)


def _note(reading: Reading, piece: Piece, reason: str, detail: str = "") -> None:
    reading.source = piece.source
    reading.note(reason, f"span {piece.span_id} of trace {piece.trace_id}", detail)
