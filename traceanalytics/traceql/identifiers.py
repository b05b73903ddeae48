"""Ids as people paste them: Tempo's answers leave out leading zeros, other tools write capitals."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.traceql.conditions import Field, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from traceanalytics.traceql.conditions import Binary
    from traceanalytics.traceql.values import Piece

__all__ = ["spelled", "spellings"]

_DIGITS: Final = {"trace:id": 32, "link:traceID": 32, "span:id": 16, "span:parentID": 16, "link:spanID": 16}
_HEX: Final = re.compile(r"[0-9a-fA-F]+")


def spelled(field: Field, texts: Sequence[str], pieces: Sequence[Piece]) -> list[str]:
    """Return ids with the zeros and small letters of the columns, unless a column has them as they are."""
    digits = _DIGITS.get(field.key, 0) if field.scope == "intrinsic" else 0
    return [_spelled(text, digits, pieces) for text in texts] if digits else list(texts)


def _spelled(text: str, digits: int, pieces: Sequence[Piece]) -> str:
    full = text.lower().zfill(digits) if _HEX.fullmatch(text) else text
    if full == text or any(pc.index(p.data, pa.scalar(text, p.data.type)).as_py() >= 0 for p in pieces):
        return text
    return full


def spellings(node: Binary, left: Sequence[Piece], right: Sequence[Piece]) -> tuple[Sequence[Piece], Sequence[Piece]]:
    """Return the operands of ``=`` or ``!=`` with an id spelled as the columns spell it."""
    if node.op in ("=", "!="):
        if isinstance(node.left, Field) and isinstance(node.right, Literal) and node.right.type == "string":
            right = [replace(p, data=spelled(node.left, [p.data], left)[0]) for p in right]
        elif isinstance(node.right, Field) and isinstance(node.left, Literal) and node.left.type == "string":
            left = [replace(p, data=spelled(node.right, [p.data], right)[0]) for p in left]
    return left, right
