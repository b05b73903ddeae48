"""From attribute values to typed columns: which type a key gets, and which keys get a column.

Rules: all ints Int64, all floats float64, all bools boolean, texts category while they repeat (distinct <= half), else str;
arrays, maps and bytes JSON text. Ints mixed with canonical integer texts become Int64; any other mixture becomes text. The
200 commonest keys and those on at least 0.1 % of the spans get a column, the others one JSON text a span.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from traceanalytics.spans.cells import JsonText, encode_json, is_container_text, natural_float
from traceanalytics.spans.columns import coded
from traceanalytics.spans.schema import OTHER_ATTRIBUTES, matches_any
from traceanalytics.spans.values import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    Note = Callable[[str, str, int], None]

__all__ = [
    "AttributeStore",
    "canonical_ints",
    "no_note",
    "sorted_category",
    "spread_attributes",
    "text_column",
    "text_of_scalar",
    "text_or_category",
    "typed_column",
]

COMMON_KEYS: Final = 200
COMMON_SHARE: Final = 0.001
_CANONICAL_INT: Final = re.compile(r"(?:0|-?[1-9]\d{0,18})\Z", re.ASCII)


class AttributeStore:
    """The values of every key, with the rows they belong to."""

    def __init__(self) -> None:
        self._rows: defaultdict[str, list[int]] = defaultdict(list)
        self._values: defaultdict[str, list[Any]] = defaultdict(list)

    def add(self, row: int, attributes: dict[str, Any]) -> None:
        """Add one span's attributes."""
        rows, values = self._rows, self._values
        for key, value in attributes.items():
            if value is not None:
                rows[key].append(row)
                values[key].append(value)

    def columns(
        self,
        count: int,
        *,
        per_row: Iterable[tuple[str, list[dict[str, Any]], NDArray[np.int64]]],
        chosen: Sequence[str] | None,
        note: Note,
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return the attribute columns, sorted by name within span, resource and instrumentation, and the ambiguous ones."""
        keyed = {f"span.{key}": (np.array(self._rows[key], np.int64), self._values[key]) for key in sorted(self._rows)}
        for scope, owners, owner in per_row:
            keyed |= spread_attributes(scope, owners, owner)
        wide = _chosen_columns({name: len(rows) for name, (rows, _) in keyed.items()}, count, chosen)
        made: dict[str, Any] = {}
        ambiguous: list[str] = []
        rare: list[tuple[str, NDArray[np.int64], list[Any]]] = []
        for name, (rows, values) in keyed.items():
            if name in wide:
                made[name], unclear = typed_column(name, rows, values, count, note)
                if unclear:
                    ambiguous.append(name)
            else:
                rare.append((name, rows, values))
        if rare:
            made[OTHER_ATTRIBUTES] = _rare_column(rare, count, note)
        return made, tuple(ambiguous)


def spread_attributes(
    scope: str, owners: list[dict[str, Any]], owner: NDArray[np.int64]
) -> dict[str, tuple[NDArray[np.int64], list[Any]]]:
    """Return the rows and values of attributes that are stored once a resource or scope."""
    keys = sorted({key for attributes in owners for key in attributes})
    spread = {}
    for key in keys:
        values = np.empty(len(owners), dtype=object)
        values[:] = [attributes.get(key) for attributes in owners]
        has = np.array([v is not None for v in values], dtype=bool)[owner]
        rows = np.flatnonzero(has)
        if len(rows):
            spread[f"{scope}.{key}"] = (rows, values[owner[rows]].tolist())
    return spread


def _chosen_columns(sizes: dict[str, int], count: int, chosen: Sequence[str] | None) -> set[str]:
    """Return the names that get a column of their own."""
    if chosen is not None:
        return {name for name in sizes if matches_any(name, chosen)}
    by_size = sorted(sizes, key=lambda name: (-sizes[name], name))
    return set(by_size[:COMMON_KEYS]) | {name for name in by_size[COMMON_KEYS:] if sizes[name] >= COMMON_SHARE * count}


def _rare_column(rare: list[tuple[str, NDArray[np.int64], list[Any]]], count: int, note: Note) -> Any:
    """Return JSON text of the attributes without a column, one map a span, keys as the columns would be named."""
    maps: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for name, rows, values in rare:
        for row, value in zip(rows.tolist(), values, strict=True):
            if isinstance(value, JsonText):
                maps[row][name] = {"json": str(value)}
            else:
                maps[row][name] = natural_float(value) if isinstance(value, float) else value
    cells: list[str | None] = [None] * count
    for row, found in maps.items():
        cells[row] = encode_json(found)
    return text_column(cells, note=note)


def typed_column(name: str, rows: NDArray[np.int64], values: list[Any], count: int, note: Note) -> tuple[Any, bool]:
    """Return the column of one key, and whether a plain text in it looks like the JSON text of an array or map."""
    types = set(map(type, values))
    if types == {float}:
        nan = sum(v != v for v in values)  # noqa: PLR0124 - NaN alone differs from itself
        if nan:
            note("attribute value NaN, read as missing", name, nan)
        data = np.full(count, np.nan)
        data[rows] = values
        return data, False
    if types == {bool}:
        return _masked(pd.arrays.BooleanArray, rows, values, count, np.bool_), False
    if types == {int}:
        return _masked(pd.arrays.IntegerArray, rows, values, count, np.int64), False
    if types == {int, str} and all(type(v) is int or _is_canonical_int(v) for v in values):
        note("integer texts among integers, read as integers", name, sum(type(v) is str for v in values))
        return _masked(pd.arrays.IntegerArray, rows, [int(v) for v in values], count, np.int64), False
    if not types <= {str, JsonText}:
        note("values of several types under one key, read as text", name, len(values))
        values = [v if isinstance(v, str) else text_of_scalar(v) for v in values]
    unclear = _looks_like_json(values)
    return _text_or_category(rows, values, count, note), unclear


def no_note(_reason: str, _detail: str, _count: int) -> None:
    """Take a finding that nobody asked for."""


def canonical_ints(texts: Iterable[str]) -> bool:
    """Tell whether every text is a 64-bit integer as it is printed, so that reading it as one loses nothing."""
    return all(_is_canonical_int(text) for text in texts)


def _is_canonical_int(text: str) -> bool:
    return bool(_CANONICAL_INT.match(text)) and INT64_MIN <= int(text) <= INT64_MAX


def text_of_scalar(value: Any) -> str:
    """Return an integer, float or bool as text, as its JSON text is."""
    return encode_json(natural_float(value) if isinstance(value, float) else value)


def _looks_like_json(values: list[Any]) -> bool:
    suspects = {v for v in values if type(v) is str and v[:1] in ("[", "{")}
    return any(is_container_text(v) for v in suspects)


def _masked(array: Any, rows: NDArray[np.int64], values: list[Any], count: int, dtype: Any) -> Any:
    data, missing = np.zeros(count, dtype), np.ones(count, bool)
    data[rows], missing[rows] = np.array(values, dtype), False
    return array(data, missing)


def _text_or_category(rows: NDArray[np.int64], values: list[str], count: int, note: Note) -> Any:
    texts = text_column(values, note=note)
    codes, words = pd.factorize(texts)
    if _repeats(words, len(values)):
        at = np.full(count, -1, np.int64)
        at[rows] = codes
        return sorted_category(at, words)
    spread = np.full(count, len(values), np.int64)
    spread[rows] = np.arange(len(values))
    return pd.array(texts, dtype="str").take(np.where(spread == len(values), -1, spread), allow_fill=True)


def text_or_category(column: pd.Series) -> Any:
    """Return the array of a column of texts: a category while they repeat (distinct <= half), else str."""
    codes, words = pd.factorize(column.astype("str"))
    if _repeats(words, int((codes >= 0).sum())):
        return sorted_category(codes, words)
    return column.astype("str").array


def _repeats(words: Any, filled: int) -> bool:
    return 2 * len(words) <= filled


def sorted_category(codes: NDArray[np.int64], words: Any) -> pd.Categorical:
    """Return a categorical of codes (-1 is missing) with its labels sorted."""
    order = np.argsort(np.asarray(words, dtype=object), kind="stable")
    rank = np.full(len(words) + 1, -1, np.int64)  # the last one serves the code -1
    rank[order] = np.arange(len(words))
    return coded(rank[codes], words.take(order))


def text_column(values: Sequence[str | None], *, note: Note) -> Any:
    """Return a ``str`` array; lone surrogates, which no encoding can store, become the replacement character."""
    try:
        return pd.array(pa.array(values, pa.large_string()), dtype="str")
    except UnicodeEncodeError:
        mended = [v if v is None else v.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for v in values]
        note(
            "text with lone surrogates, replaced by U+FFFD",
            "",
            sum(a != b for a, b in zip(values, mended, strict=True)),
        )
        return pd.array(pa.array(mended, pa.large_string()), dtype="str")
