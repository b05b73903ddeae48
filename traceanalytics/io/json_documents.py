"""JSON text as it comes: one document, one a line, or several run together; and what can be saved of a damaged one.

A reader gets pieces of JSON with their places. Where a piece is no JSON, ``fragments`` finds the objects in it that are:
the damage in one record must not cost its neighbours.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from traceanalytics.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Fragment", "Piece", "duplicate_keys", "fragments", "json_error", "json_pieces"]

_BOM: Final = b"\xef\xbb\xbf"
_LINES_TRIED: Final = 20
_KEY_BEFORE: Final = re.compile(r'"((?:[^"\\]|\\.){0,200})"\s*:\s*\Z')
_RAW: Final = msgspec.json.Decoder(msgspec.Raw)
_BYTE: Final = re.compile(r"\(byte (\d+)\)")
_SCANNER: Final = json.JSONDecoder()


@dataclass(frozen=True)
class Piece:
    """One JSON text of a document, with its place for messages."""

    data: bytes
    line: int | None
    offset: int

    def place(self, offset: int | None = None) -> str:
        """Return the place of the piece, or of a byte in it: "line 3", "line 3, byte 120", or "" for a whole document."""
        where = [f"line {self.line}"] if self.line is not None else []
        if offset is not None or (self.line is None and self.offset):
            where.append(self.byte(offset or 0))
        return ", ".join(where)

    def byte(self, offset: int) -> str:
        """Return the place of a byte of the piece, counted in the document."""
        return f"byte {self.offset + offset}"


@dataclass(frozen=True)
class Fragment:
    """An object that decodes inside a piece that does not; ``key`` is the property it stands under, if any."""

    key: str | None
    data: bytes
    offset: int


def json_pieces(data: bytes) -> Iterator[Piece]:
    """Yield the JSON texts of a document; a damaged one is yielded as it is, for the reader to refuse or to save from."""
    start = len(_BOM) if data.startswith(_BOM) else 0
    body = data[start:]
    if not body.strip():
        return
    if _decodes(body):
        yield Piece(body, None, start)
    elif _is_lines(body):
        yield from _lines(body, start)
    else:
        yield from _run_together(body, start)


def _lines(body: bytes, start: int) -> Iterator[Piece]:
    """Yield the lines that are JSON one by one, and broken neighbours as one: a line break inside a record makes two of it."""
    offset, broken = 0, None
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip() or _decodes(line):
            if broken is not None:
                yield Piece(body[broken.offset : offset - 1], broken.line, start + broken.offset)
                broken = None
            if line.strip():
                yield Piece(line, number, start + offset)
        elif broken is None:
            broken = Piece(line, number, offset)
        offset += len(line) + 1
    if broken is not None:
        yield Piece(body[broken.offset :], broken.line, start + broken.offset)


def _decodes(data: bytes) -> bool:
    try:
        _RAW.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _is_lines(body: bytes) -> bool:
    """Tell whether each line is a document: one of the first lines is a whole object or array, and is not indented."""
    lines = body.split(b"\n", _LINES_TRIED)
    if len(lines) < 2:
        return False
    return any(
        line[:1] in (b"{", b"[") and line.rstrip()[-1:] in (b"}", b"]") and len(line) > 2 and _decodes(line)
        for line in lines[:_LINES_TRIED]
    )


def _run_together(body: bytes, start: int) -> Iterator[Piece]:
    """Yield concatenated documents, such as pretty-printed objects one after the other; what is left over as it is."""
    text = _one_char_a_byte(body)
    at = _skip_space(text, 0)
    while at < len(text):
        try:
            _, end = _SCANNER.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError):
            end = len(text)
        yield Piece(body[at:end], None, start + at)
        at = _skip_space(text, end)


def _one_char_a_byte(data: bytes) -> str:
    """Return text whose offsets are those of the bytes: JSON's structure is ASCII, and the strings are not looked at."""
    return data.decode("latin-1")


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n\x1e":  # \x1e parts records in JSON text sequences (RFC 7464)
        at += 1
    return at


def json_error(error: Exception, piece: Piece, expected: str) -> FormatError:
    """Return the FormatError of a decoder's refusal; its position is the byte in the document, as far as it is known."""
    text, hint = str(error), f"Expected {expected}"
    if isinstance(error, msgspec.ValidationError):
        problem, _, keys = text.partition(" - at ")
        return FormatError(f"{problem[:1].lower()}{problem[1:]}", position=keys.strip("`$."), hint=hint)
    if isinstance(error, RecursionError):
        return FormatError("JSON nested too deeply", hint=hint)
    if isinstance(error, UnicodeDecodeError):
        return FormatError("invalid UTF-8", position=piece.byte(error.start), hint=hint)
    if "truncated" in text and not _decodes_otherwise(piece.data):
        return FormatError("JSON ends early: the text was cut off", position=piece.byte(len(piece.data)), hint=hint)
    if "truncated" in text:
        return FormatError("an escape of half a surrogate pair, which is no character", hint=hint)
    found = _BYTE.search(text)
    return FormatError(_BYTE.sub("", text).strip(), position=piece.byte(int(found[1])) if found else "", hint=hint)


def _decodes_otherwise(data: bytes) -> bool:
    """Tell whether a text that msgspec calls truncated is whole: it says so of half a surrogate pair, too."""
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def fragments(data: bytes, damage: Callable[[int, str], None]) -> Iterator[Fragment]:
    """Yield every JSON object that decodes, outermost first, in the order of the text.

    Where an object does not decode, its insides are searched: so an array of records with one damaged record yields the
    others one by one. ``damage`` is told once of each damaged place (byte offset, what is wrong). The work is bounded by a
    multiple of the size; what is left when the bound is reached is reported as damage too.
    """
    text = _one_char_a_byte(data)
    work_left = 40 * len(text) + 100_000
    seen: set[int] = set()
    at = text.find("{")
    while at >= 0:
        try:
            _, end = _SCANNER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            broken, why, end = error.pos, error.msg, at + 1
            work_left -= max(broken - at, 200)
        except RecursionError:
            broken, why, end = at, "nested too deeply", at + 1
            work_left -= 20_000
        else:
            broken = -1
            key = _KEY_BEFORE.search(text, max(0, at - 210), at)
            yield Fragment(key[1] if key else None, data[at:end], at)
        if broken >= 0 and broken not in seen:
            seen.add(broken)
            damage(broken, why)
        if work_left < 0:
            damage(at, "too much damage: the rest was left out")
            return
        at = text.find("{", end)


def duplicate_keys(data: bytes) -> list[str]:
    """Return the keys that stand twice in one object of a JSON text (the last one counts; the reader notes it)."""
    twice: list[str] = []

    def check(pairs: list[tuple[str, object]]) -> dict[str, object]:
        kept = dict(pairs)
        if len(kept) != len(pairs):
            twice.extend(key for key, count in Counter(k for k, _ in pairs).items() if count > 1)
        return kept

    try:
        json.loads(data, object_pairs_hook=check)
    except (ValueError, RecursionError):
        return []
    return twice
