"""Literals of TraceQL: strings, numbers and durations, spelled as in Go."""

from __future__ import annotations

import math
import re
from typing import Final

from traceanalytics.errors import QueryError

__all__ = ["backquoted", "double_quoted", "duration_of", "number_of", "quoted"]

_INT64: Final = 2**63
_SIMPLE: Final = dict(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"', strict=True))
_CODES: Final = {"x": (2, 16), "u": (4, 16), "U": (8, 16)}
_PLAIN: Final = re.compile(r'[^"\\\n]+')
_PARTS: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE: Final = re.compile(
    r"(?:([0-9]+)y)?(?:([0-9]+)w)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?(?:([0-9]+)ms)?"
)
_DAY: Final = 86_400 * 10**9
_UNITS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_WHOLE_UNITS: Final = (365 * _DAY, 7 * _DAY, _DAY, _UNITS["h"], _UNITS["m"], _UNITS["s"], _UNITS["ms"])
_LONGEST_NUMBER: Final = 400


def quoted(text: str) -> str:
    r"""Return the TraceQL literal of a text, whatever the text holds.

    A query made with it cannot be changed by what the text says: use it for every value that comes from data.

    Parameters
    ----------
    text
        Any Unicode text: quotation marks, backslashes, line breaks and control characters included.

    Returns
    -------
    str
        The text in double quotes, escaped as in Go.

    Raises
    ------
    QueryError
        The text has half of a surrogate pair, which no text in UTF-8 can hold.

    Examples
    --------
    >>> from traceanalytics.traceql import quoted
    >>> print("{ name = " + quoted('say "hi"\n') + " }")
    { name = "say \"hi\"\n" }
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QueryError(
            "found half of a surrogate pair, expected Unicode text", query=text, position=error.start
        ) from None
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    number = ord(character)
    return short or (f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}")


def backquoted(query: str, start: int) -> tuple[str, int]:
    """Read a raw string that begins at ``start``; return it and where it ends."""
    end = query.find("`", start + 1)
    if end < 0:
        raise QueryError("found a string without end, expected another `", query=query, position=start)
    return query[start + 1 : end].replace("\r", ""), end + 1


def double_quoted(query: str, start: int) -> tuple[str, int]:
    """Read a string in double quotes that begins at ``start``; return it and where it ends."""
    at, parts = start + 1, bytearray()
    while at < len(query) and query[at] not in '"\n':
        plain = _PLAIN.match(query, at)
        if plain:
            parts += plain[0].encode()
            at = plain.end()
        else:
            piece, at = _escape(query, at)
            parts += piece
    if query[at : at + 1] != '"':
        raise QueryError('found a string without end, expected another "', query=query, position=start)
    try:
        return parts.decode(), at + 1
    except UnicodeDecodeError:
        raise QueryError("found a string whose bytes are no UTF-8", query=query, position=start) from None


def _escape(query: str, at: int) -> tuple[bytes, int]:
    """Read an escape sequence that begins with the backslash at ``at``."""
    kind = query[at + 1 : at + 2]
    if kind in _SIMPLE:
        return _SIMPLE[kind].encode(), at + 2
    begin, (digits, base) = (at + 2, _CODES[kind]) if kind in _CODES else (at + 1, (3, 8))
    text = query[begin : begin + digits]
    allowed = "01234567" if base == 8 else "0123456789abcdefABCDEF"
    if len(text) == digits and all(c in allowed for c in text):
        number = int(text, base)
        if kind not in ("u", "U") and number < 256:
            return bytes([number]), begin + digits
        if kind in ("u", "U") and number <= 0x10FFFF and not 0xD800 <= number < 0xE000:
            return chr(number).encode(), begin + digits
    raise QueryError(
        'found an escape sequence that Go does not know, expected one such as \\n, \\", \\\\ or \\u00e4 (a string in ` has none)',
        query=query,
        position=at,
    )


def number_of(text: str) -> int | float | None:
    """Return an int or float; None where it does not fit into 64 bits."""
    if len(text) > _LONGEST_NUMBER:
        return None
    if text.isdigit():
        whole = int(text)
        return whole if whole < _INT64 else None
    number = float(text)
    return number if math.isfinite(number) else None


def duration_of(text: str) -> int | None:
    """Return nanoseconds; None where the text is no duration.

    >>> duration_of("1h30m"), duration_of("1.5ms"), duration_of("2d"), duration_of("5")
    (5400000000000, 1500000, 172800000000000, None)
    """
    if len(text) > _LONGEST_NUMBER:
        return None
    whole = _WHOLE.fullmatch(text)
    if whole:
        found = sum(int(n) * unit for n, unit in zip(whole.groups(), _WHOLE_UNITS, strict=True) if n)
    else:
        found, at = 0, 0
        while at < len(text):
            part = _PARTS.match(text, at)
            if not part:
                return None
            found += _nanoseconds(part[1], _UNITS[part[2]])
            at = part.end()
    return found if found < _INT64 else None


def _nanoseconds(number: str, unit: int) -> int:
    before, _, after = number.partition(".")
    return int(before or 0) * unit + (int(after) * unit // 10 ** len(after) if after else 0)
