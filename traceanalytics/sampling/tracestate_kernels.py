"""The strict grammar of tracestate over the bytes of a whole column: what :func:`parse_tracestate` says of single texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from traceanalytics.kernels import kernel, part

if TYPE_CHECKING:
    from traceanalytics.kernels import Ints

__all__ = ["BYTES", "HAS_RV", "HAS_TH", "MOST_PAIRS", "REJECTED", "low_digits", "read_states"]

HAS_TH: Final = 1
HAS_RV: Final = 2
REJECTED: Final = 4

MOST_PAIRS: Final = 128
"""Pairs of key and value within the 256 characters of a member: the size of the working space."""

_MOST_MEMBERS: Final = 32
_MOST_CHARACTERS: Final = 256
_DIGITS: Final = 14

_COMMA, _EQUALS, _COLON, _SEMICOLON = b",=:;"
_BLANK, _TAB = b" \t"
_H, _O, _R, _T, _V = b"hortv"
_BEFORE_A: Final = ord("a") - 10

_KEY_BEGIN, _KEY, _VALUE, _PAIR_BEGIN, _PAIR_KEY, _PAIR_VALUE, _HEX = (1 << bit for bit in range(7))


def _kinds_of_bytes() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Return where in a tracestate a byte may stand; bytes of characters beyond ASCII may stand nowhere."""
    digits, letters = b"0123456789", b"abcdefghijklmnopqrstuvwxyz"
    kinds = np.zeros(256, np.uint8)
    for kind, allowed in (
        (_KEY_BEGIN, digits + letters),
        (_KEY, digits + letters + b"_-*/@"),
        (_VALUE, bytes(each for each in range(0x20, 0x7F) if each not in (_COMMA, _EQUALS))),
        (_PAIR_BEGIN, letters),
        (_PAIR_KEY, digits + letters),
        (_PAIR_VALUE, digits + letters + letters.upper() + b"._-"),
        (_HEX, digits + b"abcdef"),
    ):
        kinds[list(allowed)] |= kind
    return kinds


BYTES: Final = _kinds_of_bytes()


@kernel("threshold", "rv", "flags", scratch=("kinds", "key_from", "key_to"))
def read_states(  # noqa: PLR0917 - kernels take their arrays by position
    data: Ints, bounds: Ints, kinds: Ints, key_from: Ints, key_to: Ints, threshold: Ints, rv: Ints, flags: Ints
) -> None:
    """Write threshold, randomness and flags of every text; a text without an ``ot`` member has none of them."""
    for row in range(len(flags)):
        begin, end = bounds[row], bounds[row + 1]
        own_from, own_to, void = _own_member(data, begin, end, kinds, key_from, key_to)
        if own_from < 0:
            continue
        if void:
            flags[row] = REJECTED
            continue
        th_from, th_to, rv_from, rv_to, void = _own_pairs(data, own_from, own_to, kinds, key_from, key_to)
        if void:
            flags[row] = REJECTED
            continue
        found = 0
        if th_from >= 0:
            if 1 <= th_to - th_from <= _DIGITS and _is_hex(data, th_from, th_to, kinds):
                threshold[row] = _number(data, th_from, th_to) << 4 * (_DIGITS - th_to + th_from)
                found |= HAS_TH
            else:
                found |= REJECTED
        if rv_from >= 0:
            if rv_to - rv_from == _DIGITS and _is_hex(data, rv_from, rv_to, kinds):
                rv[row] = _number(data, rv_from, rv_to)
                found |= HAS_RV
            else:
                found |= REJECTED
        flags[row] = found


@kernel("low", "known", scratch=("kinds",))
def low_digits(data: Ints, bounds: Ints, kinds: Ints, low: Ints, known: Ints) -> None:
    """Write the number of the last 14 digits of every text of 14 lower-case hex digits or more."""
    for row in range(len(low)):
        begin, end = bounds[row], bounds[row + 1]
        if end - begin >= _DIGITS and _is_hex(data, begin, end, kinds):
            low[row] = _number(data, end - _DIGITS, end)
            known[row] = 1


@part
def _own_member(  # noqa: PLR0917 - as above
    data: Ints, begin: int, end: int, kinds: Ints, key_from: Ints, key_to: Ints
) -> tuple[int, int, int]:
    """Return where the value of the member ``ot`` stands (-1: there is none), and whether the text is void as a whole."""
    own_from, own_to, void, count, at = -1, -1, 0, 0, begin
    while at < end:
        while at < end and (data[at] == _BLANK or data[at] == _TAB):
            at += 1
        first = at
        while at < end and data[at] != _COMMA and data[at] != _EQUALS:
            at += 1
        equals = at
        while at < end and data[at] != _COMMA:
            at += 1
        last = at
        at += 1
        while last > first and (data[last - 1] == _BLANK or data[last - 1] == _TAB):
            last -= 1
        if last == first:  # the grammar allows empty members
            continue
        if equals < last and equals == first + 2 and data[first] == _O and data[first + 1] == _T:
            own_from, own_to = equals + 1, last
        count += 1
        if void:
            continue
        if count > _MOST_MEMBERS or not _is_member(data, first, equals, last, kinds):
            void = 1
            continue
        void = _stands(data, first, equals, key_from, key_to, count - 1)
        key_from[count - 1], key_to[count - 1] = first, equals
    return own_from, own_to, void


@part
def _is_member(data: Ints, first: int, equals: int, last: int, kinds: Ints) -> int:
    """Tell whether key and value are what the grammar allows."""
    good = 1
    if (
        not (0 < equals - first <= _MOST_CHARACTERS and 0 < last - equals - 1 <= _MOST_CHARACTERS)
        or not kinds[data[first]] & _KEY_BEGIN
    ):
        good = 0
    else:
        for at in range(first + 1, equals):
            if not kinds[data[at]] & _KEY:
                good = 0
                break
        for at in range(equals + 1, last):
            if not kinds[data[at]] & _VALUE:
                good = 0
                break
    return good


@part
def _own_pairs(  # noqa: C901, PLR0917 - one state machine
    data: Ints, begin: int, end: int, kinds: Ints, key_from: Ints, key_to: Ints
) -> tuple[int, int, int, int, int]:
    """Return where the values of ``th`` and ``rv`` stand (-1: nowhere), and whether the member is rejected as a whole."""
    th_from, th_to, rv_from, rv_to, void, count, at = -1, -1, -1, -1, 0, 0, begin
    while not void:
        first = at
        if at >= end or not kinds[data[at]] & _PAIR_BEGIN:
            void = 1
            break
        while at < end and kinds[data[at]] & _PAIR_KEY:
            at += 1
        colon = at
        if at >= end or data[at] != _COLON:
            void = 1
            break
        at += 1
        while at < end and kinds[data[at]] & _PAIR_VALUE:
            at += 1
        void = _stands(data, first, colon, key_from, key_to, count)
        key_from[count], key_to[count] = first, colon
        count += 1
        if colon == first + 2:
            if data[first] == _T and data[first + 1] == _H:
                th_from, th_to = colon + 1, at
            elif data[first] == _R and data[first + 1] == _V:
                rv_from, rv_to = colon + 1, at
        if at >= end:
            break
        if data[at] != _SEMICOLON:
            void = 1
        at += 1
    return th_from, th_to, rv_from, rv_to, void


@part
def _stands(data: Ints, first: int, end: int, key_from: Ints, key_to: Ints, count: int) -> int:  # noqa: PLR0917 - as above
    """Tell whether the key is among the first ones noted."""
    found = 0
    for other in range(count):
        begin = key_from[other]
        if key_to[other] - begin != end - first or data[begin] != data[first]:
            continue
        same = 1
        for at in range(1, end - first):
            if data[begin + at] != data[first + at]:
                same = 0
                break
        if same:
            found = 1
            break
    return found


@part
def _is_hex(data: Ints, begin: int, end: int, kinds: Ints) -> int:
    good = 1
    for at in range(begin, end):
        if not kinds[data[at]] & _HEX:
            good = 0
            break
    return good


@part
def _number(data: Ints, begin: int, end: int) -> int:
    value = 0
    for at in range(begin, end):
        digit = data[at]
        value = value << 4 | (digit - _BEFORE_A if digit >= _BEFORE_A else digit & 15)
    return value
