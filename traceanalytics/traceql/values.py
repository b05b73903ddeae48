"""Values of a field: columns of one type each, and what can be done with them. A missing value fulfils nothing.

A field may have several columns of different types (span and resource, a column and ``other_attributes``): pieces, of
which each span has a value in at most one. Text is looked at once a label, not once a span.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.traceql.arrays import elements
from traceanalytics.traceql.conditions import regex_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = [
    "Mask",
    "Piece",
    "Value",
    "among",
    "arithmetic",
    "compared",
    "is_single",
    "negated",
    "negative",
    "presence",
    "truth",
]

Mask: TypeAlias = Any
"""Bools: an array with one a span, or a single one for all of them."""

_NUMERIC: Final = frozenset({"int", "float", "duration"})
_OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARROW: Final = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_FLIPPED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Values of one type."""

    type: str
    data: Any
    """Numbers and booleans: an array, or one NumPy scalar. Text: an Arrow array, or one str."""
    codes: NDArray[np.int32] | None = None
    """Text: the place in ``data`` of each span's value, -1 where missing; None: ``data`` has one a span."""
    present: NDArray[np.bool_] | None = None
    """Where there is a value; None: wherever ``data`` and ``codes`` have one."""
    arrays: bool = False
    """Text beginning with [ may be an array."""


class Value(NamedTuple):
    """The pieces of a field or a result, and of which items: "event" or "link", or "" for spans."""

    pieces: tuple[Piece, ...]
    items: str = ""


def is_single(piece: Piece) -> bool:
    """Tell whether a piece is one value for all spans."""
    return isinstance(piece.data, str | np.generic)


def presence(piece: Piece) -> Mask:
    """Return where a piece has a value."""
    found: Mask
    if piece.codes is not None:
        found = piece.codes >= 0
    elif isinstance(piece.data, pa.Array):
        found = piece.data.is_valid().to_numpy(zero_copy_only=False)
    else:
        found = np.True_
    return found if piece.present is None else found & piece.present


def truth(pieces: Sequence[Piece]) -> Mask:
    """Return where the value is the boolean true."""
    return _either(_present(p.data, p) for p in pieces if p.type == "boolean")


def negated(pieces: Sequence[Piece]) -> Mask:
    """Return where the value is the boolean false."""
    return _either(_present(~p.data, p) for p in pieces if p.type == "boolean")


def _either(masks: Any) -> Mask:
    found = np.False_
    for mask in masks:
        found = found | mask
    return found


def _present(mask: Mask, *pieces: Piece) -> Mask:
    for piece in pieces:
        if piece.present is not None:
            mask = mask & piece.present
    return mask


def compared(op: str, left: Sequence[Piece], right: Sequence[Piece]) -> Mask:
    """Return where ``left op right`` holds; False where a side is missing or the types differ."""
    return _either(_compared(op, a, b) for a in left for b in right)


def _compared(op: str, left: Piece, right: Piece) -> Mask:
    if is_single(left) and not is_single(right) and op in _OPERATORS:
        return _compared(_FLIPPED.get(op, op), right, left)
    if left.type in _NUMERIC and right.type in _NUMERIC:
        found = _OPERATORS[op](left.data, right.data) if op in _OPERATORS else np.False_
    elif left.arrays and is_single(right):
        found = _spread(_label_hits(op, left, right), left)
    elif left.type != right.type:
        found = np.False_
    elif left.type == "boolean":
        found = _OPERATORS[op](left.data, right.data) if op in ("=", "!=") else np.False_
    elif isinstance(right.data, str):
        found = _spread(_text_hits(op, left.data, right.data), left)
    else:
        found = _flags(_ARROW[op](_texts(left), _texts(right)))
    return _present(found, left, right)


def _label_hits(op: str, labels: Piece, value: Piece) -> NDArray[np.bool_]:
    """Compare labels, of which some are arrays, with one value: any element counts, for != and !~ all of them."""
    same = isinstance(value.data, str) and value.type == labels.type
    hits = _text_hits(op, labels.data, value.data) if same else np.zeros(len(labels.data), bool)
    which, found = elements(labels.data)
    if not len(which):
        return hits
    every = op in ("!=", "!~")
    count = np.zeros(len(labels.data), np.int64)
    sizes = np.zeros(len(labels.data), np.int64)
    for kind, owner, data in found:
        held = np.broadcast_to(_compared(op, Piece(kind, data), value), len(owner))
        count += np.bincount(owner[held], minlength=len(count))
        sizes += np.bincount(owner, minlength=len(sizes))
    hits = hits.copy()
    hits[which] = ((count == sizes) & (sizes > 0) if every else count > 0)[which]
    return hits


def _text_hits(op: str, texts: Any, value: str) -> Any:
    """Compare an Arrow array of texts, or one text, with a text."""
    given = pa.array([texts], pa.large_string()) if isinstance(texts, str) else texts
    if op in ("=~", "!~"):
        hits = pc.match_substring_regex(given, regex_of(value))
        hits = pc.invert(hits) if op == "!~" else hits
    else:
        hits = _ARROW[op](given, pa.scalar(value, pa.large_string()))
    found = _flags(hits)
    return found[0] if isinstance(texts, str) else found


def _flags(mask: Any) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
    return found


def _spread(hits: Any, piece: Piece) -> Mask:
    """From one bool a label to one a span."""
    return hits if piece.codes is None else np.append(hits, False)[piece.codes]


def _texts(piece: Piece) -> Any:
    if piece.codes is None:
        return piece.data
    return piece.data.take(pa.array(piece.codes, mask=piece.codes < 0))


def among(pieces: Sequence[Piece], texts: Sequence[str]) -> Mask:
    """Return where a field is one of the texts."""
    wanted = pa.array(texts, pa.large_string())
    found = []
    for piece in pieces:
        if piece.type == "string":
            hits = _flags(pc.is_in(piece.data, wanted))
            if piece.arrays:
                which, parts = elements(piece.data)
                hits = hits.copy()
                hits[which] = False
                for kind, owner, data in parts:
                    if kind == "string":
                        hits[owner[_flags(pc.is_in(data, wanted))]] = True
            found.append(_present(_spread(hits, piece), piece))
    return _either(found)


def negative(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Return the numbers with the other sign."""
    with np.errstate(all="ignore"):
        return tuple(replace(p, data=-p.data) for p in pieces if p.type in _NUMERIC)


def arithmetic(op: str, left: Sequence[Piece], right: Sequence[Piece]) -> tuple[Piece, ...]:
    """Return ``left op right``: at most one piece of whole numbers and one of floats."""
    made: dict[str, Piece] = {}
    with np.errstate(all="ignore"):
        for a in left:
            for b in right:
                if a.type in _NUMERIC and b.type in _NUMERIC:
                    piece = _calculated(op, a, b)
                    made[piece.type] = _united(made[piece.type], piece) if piece.type in made else piece
    return tuple(made.values())


def _calculated(op: str, left: Piece, right: Piece) -> Piece:
    present = _present(np.True_, left, right)
    a, b = left.data, right.data
    whole = left.type == right.type == "int"
    if whole and op in "+-*":
        data = a + b if op == "+" else a - b if op == "-" else a * b
    elif whole and op in "/%":  # Go cuts towards zero
        rest = np.fmod(a, b)
        data = rest if op == "%" else (a - rest) // np.where(b == 0, 1, b)
        present = present & (b != 0)
    else:
        whole = False
        x, y = np.asarray(a, np.float64)[()], np.asarray(b, np.float64)[()]
        data = _FLOAT[op](x, y)
    shown = (
        None
        if present is np.True_
        else np.broadcast_to(present, np.broadcast_shapes(np.shape(present), np.shape(data)))
    )
    return Piece("int" if whole else "float", data, None, shown)


_FLOAT: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
}


def _united(first: Piece, second: Piece) -> Piece:
    """Unite results of which each span has at most one."""
    here = presence(first)
    return replace(first, data=np.where(here, first.data, second.data), present=here | presence(second))
