"""Attributes that are arrays: JSON text in a column, compared element by element."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["elements"]

_DECODER: Final = msgspec.json.Decoder()
_INT64: Final = 2**63


def elements(labels: Any) -> tuple[NDArray[np.int64], list[tuple[str, NDArray[np.int64], Any]]]:
    """Return which labels are arrays, and their elements by type: type, the label each belongs to, values."""
    begins = pc.starts_with(labels, "[").fill_null(False).to_numpy(zero_copy_only=False)
    candidates = np.flatnonzero(begins)
    if not len(candidates):
        return candidates, []
    words = labels.take(pa.array(candidates)).dictionary_encode()
    of_word = words.indices.to_numpy(zero_copy_only=False)
    decoded = [_decoded(text) for text in words.dictionary.to_pylist()]
    is_array = np.array([found is not None for found in decoded])
    rows = np.split(candidates[np.argsort(of_word, kind="stable")], np.cumsum(np.bincount(of_word))[:-1])
    owners: dict[str, list[NDArray[np.int64]]] = {}
    values: dict[str, list[Any]] = {}
    for found, owner in zip(decoded, rows, strict=True):
        for value in found or ():
            kind = _type(value)
            if kind:
                owners.setdefault(kind, []).append(owner)
                values.setdefault(kind, []).append((value, len(owner)))
    return candidates[is_array[of_word]], [
        (kind, np.concatenate(owners[kind]), _column(kind, values[kind])) for kind in owners
    ]


def _decoded(text: str) -> list[Any] | None:
    try:
        found = _DECODER.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    return found if isinstance(found, list) else None


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "int" if -_INT64 <= value < _INT64 else ""
    return {str: "string", float: "float"}.get(type(value), "")


def _column(kind: str, values: list[tuple[Any, int]]) -> Any:
    if kind == "string":
        one = pa.array([value for value, _ in values], pa.large_string())
        return one.take(pa.array(np.repeat(np.arange(len(values)), [n for _, n in values])))
    dtype = {"boolean": np.bool_, "int": np.int64, "float": np.float64}[kind]
    return np.repeat(np.array([value for value, _ in values], dtype), [n for _, n in values])
