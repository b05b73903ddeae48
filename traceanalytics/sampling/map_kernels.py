"""JSON maps over the bytes of a whole column: where the values of some keys stand, without decoding the rest.

What is out of the ordinary (malformed, a key with an escape, a key twice, a wanted value that is an array, a map or a bool) is
left to the decoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from traceanalytics.kernels import kernel, part

if TYPE_CHECKING:
    from traceanalytics.kernels import Ints

__all__ = ["MOST_NAMES", "find_values"]

MOST_NAMES: Final = 60
"""Names looked for at once: one bit of an integer each."""

_DEEPEST: Final = 60

_QUOTE, _ESCAPE, _COLON, _COMMA, _POINT, _MINUS, _PLUS, _ZERO, _NINE = b'"\\:,.-+09'
_OPEN_MAP, _CLOSE_MAP, _OPEN_LIST, _CLOSE_LIST = b"{}[]"
_SPACE, _TAB, _LINE, _RETURN = b" \t\n\r"
_A, _B, _E, _F, _L, _N, _R, _S, _T, _U, _SLASH, _D, _UPPER_A, _UPPER_D, _UPPER_E, _UPPER_F = b"abeflnrstu/dADEF"
_PRINTABLE: Final = 0x20

_VALUE, _VALUE_OR_END, _KEY, _KEY_OR_END, _AFTER = range(5)


@kernel("cell", "name", "value_from", "value_to", "odd", "progress", scratch=("cell", "name", "value_from", "value_to"))
def find_values(  # noqa: PLR0917 - kernels take their arrays by position
    data: Ints,
    bounds: Ints,
    names: Ints,
    name_bounds: Ints,
    cell: Ints,
    name: Ints,
    value_from: Ints,
    value_to: Ints,
    odd: Ints,
    progress: Ints,
) -> None:
    """Note the values of the names in the outer map of every cell, from the cell ``progress[0]`` while there is room.

    ``progress`` says which cell comes next and how many values were noted. Texts are noted without their quotes.
    """
    row, noted, room, most = progress[0], 0, len(cell), len(name_bounds) - 1
    while row < len(odd) and noted + most <= room:
        count = _walk(data, bounds[row], bounds[row + 1], names, name_bounds, name, value_from, value_to, noted)
        if count < 0:
            odd[row] = 1
        else:
            for at in range(noted, count):
                cell[at] = row
            noted = count
        row += 1
    progress[0], progress[1] = row, noted


@part
def _walk(  # noqa: C901, PLR0912, PLR0915, PLR0917 - one state machine
    data: Ints,
    begin: int,
    end: int,
    names: Ints,
    name_bounds: Ints,
    name: Ints,
    value_from: Ints,
    value_to: Ints,
    noted: int,
) -> int:
    """Return how many values are noted after this cell; -1 where it is out of the ordinary."""
    at, depth, maps, seen, wanted, expected = begin, 0, 0, 0, -1, _VALUE
    while at < end:
        byte = data[at]
        if byte in (_SPACE, _TAB, _LINE, _RETURN):
            at += 1
            continue
        if (expected in (_AFTER, _KEY_OR_END, _VALUE_OR_END)) and (byte in (_CLOSE_MAP, _CLOSE_LIST)):
            if depth == 0 or (maps & 1) != (byte == _CLOSE_MAP):
                noted = -1
                break
            depth -= 1
            maps >>= 1
            expected = _AFTER
            at += 1
        elif expected == _AFTER:
            if byte != _COMMA or depth == 0:
                noted = -1
                break
            expected = _KEY if maps & 1 else _VALUE
            at += 1
        elif expected in (_KEY, _KEY_OR_END):
            stop = _end_of_text(data, at + 1, end, 0) if byte == _QUOTE else -1
            if stop < 0:
                noted = -1
                break
            wanted = _which(data, at + 1, stop, names, name_bounds) if depth == 1 else -1
            if wanted >= 0:
                if seen >> wanted & 1:
                    noted = -1
                    break
                seen |= 1 << wanted
            at = stop + 1
            while at < end and (data[at] == _SPACE or data[at] == _TAB or data[at] == _LINE or data[at] == _RETURN):
                at += 1
            if at >= end or data[at] != _COLON:
                noted = -1
                break
            at += 1
            expected = _VALUE
        elif byte in (_OPEN_MAP, _OPEN_LIST):
            if wanted >= 0 or depth >= _DEEPEST or (depth == 0 and byte == _OPEN_LIST):
                noted = -1
                break
            depth += 1
            maps = maps << 1 | (1 if byte == _OPEN_MAP else 0)
            expected = _KEY_OR_END if byte == _OPEN_MAP else _VALUE_OR_END
            at += 1
        else:
            text = 1 if byte == _QUOTE else 0
            at += text
            stop = _end_of_text(data, at, end, 1 if wanted < 0 else 0) if text else _end_of_scalar(data, at, end)
            if stop < 0 or depth == 0:
                noted = -1
                break
            if wanted >= 0:
                if not text and (byte in (_T, _F)):
                    noted = -1
                    break
                if text or byte != _N:  # null is no value
                    name[noted], value_from[noted], value_to[noted] = wanted, at, stop
                    noted += 1
                wanted = -1
            at = stop + text
            expected = _AFTER
    return noted if depth == 0 and expected == _AFTER else -1


@part
def _end_of_text(data: Ints, at: int, end: int, escapes: int) -> int:  # noqa: C901 - one state machine
    """Return where the closing quote of a text stands; -1: nowhere, or an escape where none is to be."""
    found = -1
    while at < end:
        byte = data[at]
        if byte == _QUOTE:
            found = at
            break
        if byte < _PRINTABLE:
            break
        at += 1
        if byte != _ESCAPE:
            continue
        if not escapes or at >= end:
            break
        byte = data[at]
        at += 1
        if byte == _U:
            # Surrogates come in pairs: the decoder knows.
            if at + 4 > end or ((data[at] == _D or data[at] == _UPPER_D) and data[at + 1] > _ZERO + 7):
                break
            digits = 0
            for place in range(at, at + 4):
                each = data[place]
                digits += (_ZERO <= each <= _NINE) or (_A <= each <= _F) or (_UPPER_A <= each <= _UPPER_F)
            if digits < 4:
                break
            at += 4
        elif byte not in (_QUOTE, _ESCAPE, _SLASH, _B, _F, _N, _R, _T):
            break
    return found


@part
def _end_of_scalar(data: Ints, begin: int, end: int) -> int:
    """Return where a number, bool or null ends; -1: it is none."""
    byte = data[begin]
    if byte == _T:
        good = end - begin >= 4 and data[begin + 1] == _R and data[begin + 2] == _U and data[begin + 3] == _E
        found = begin + 4 if good else -1
    elif byte == _N:
        good = end - begin >= 4 and data[begin + 1] == _U and data[begin + 2] == _L and data[begin + 3] == _L
        found = begin + 4 if good else -1
    elif byte == _F:
        good = end - begin >= 5 and data[begin + 1] == _A and data[begin + 2] == _L and data[begin + 3] == _S
        found = begin + 5 if good and data[begin + 4] == _E else -1
    else:
        found = _end_of_number(data, begin, end)
    return found


@part
def _end_of_number(data: Ints, begin: int, end: int) -> int:
    first = begin + 1 if data[begin] == _MINUS else begin
    found = _after_digits(data, first, end)
    if found - first > 1 and data[first] == _ZERO:
        found = -1
    if 0 <= found < end and data[found] == _POINT:
        found = _after_digits(data, found + 1, end)
    if 0 <= found < end and data[found] in (_E, _UPPER_E):
        found += 1
        if found < end and data[found] in (_MINUS, _PLUS):
            found += 1
        first = found
        found = _after_digits(data, first, end)
        if found - first > 2:  # it may be too large a number: the decoder knows
            found = -1
    return found


@part
def _after_digits(data: Ints, begin: int, end: int) -> int:
    """Return where digits end; -1: there are none."""
    at = begin
    while at < end and _ZERO <= data[at] <= _NINE:
        at += 1
    return at if at > begin else -1


@part
def _which(data: Ints, begin: int, end: int, names: Ints, name_bounds: Ints) -> int:
    """Return the number of the name that stands there, -1: none of them."""
    found = -1
    for number in range(len(name_bounds) - 1):
        first = name_bounds[number]
        length = name_bounds[number + 1] - first
        if length != end - begin:
            continue
        same = 1
        for at in range(length - 1, -1, -1):  # names begin alike
            if data[begin + at] != names[first + at]:
                same = 0
                break
        if same:
            found = number
            break
    return found
