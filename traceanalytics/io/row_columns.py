"""The columns of a span frame as lists of plain Python values, a whole column at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import numpy as np
import pandas as pd

from traceanalytics.errors import SchemaError
from traceanalytics.spans.cells import JsonText, is_container_text
from traceanalytics.spans.columns import codes_of, text_array
from traceanalytics.spans.other_attributes import attribute_map
from traceanalytics.spans.schema import OTHER_ATTRIBUTES, scope_and_key
from traceanalytics.spans.values import natural, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "attribute_maps",
    "counts_of",
    "enum_codes",
    "flags_of",
    "items_of",
    "others_of",
    "texts_of",
    "texts_or_none",
]

_PLAIN: Final = (str, bool, int, float)
T = TypeVar("T")

Attributes = dict[str, Any]


def texts_of(column: pd.Series) -> list[str | None]:
    """Return the texts of a column of categories or texts; None is missing."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        found: list[str | None] = text_array(column).to_pylist()
        return found
    codes, labels = codes_of(column)
    words: list[str | None] = [*map(str, labels), None]  # the last one serves the code -1
    return [words[code] for code in codes.tolist()]


def texts_or_none(spans: pd.DataFrame, column: str) -> list[str | None]:
    """Return the texts of a column that need not be there."""
    return texts_of(spans[column]) if column in spans.columns else [None] * len(spans)


def counts_of(spans: pd.DataFrame, column: str) -> list[int]:
    """Return the counts of a column that need not be there; a missing one is 0."""
    if column not in spans.columns:
        return [0] * len(spans)
    found: list[int] = spans[column].fillna(0).astype("int64").tolist()
    return found


def flags_of(column: pd.Series) -> list[int | None]:
    """Return trace flags; None is missing."""
    values = column.astype("UInt32")
    return [None if missing else flag for flag, missing in zip(values.fillna(0).tolist(), values.isna(), strict=True)]


def enum_codes(column: pd.Series, dtype: pd.CategoricalDtype) -> list[int]:
    """Return kinds or statuses as the protocol's numbers; a missing one is 0."""
    if column.dtype == dtype:
        codes = column.cat.codes.to_numpy()
    else:
        words = column.astype("str")
        codes = dtype.categories.get_indexer(pd.Index(words))
        odd = (codes < 0) & words.notna().to_numpy()
        if odd.any():
            at = int(np.argmax(odd))
            raise SchemaError(
                f"{column.name} of the span at index {column.index[at]!r}: found {shown(column.iloc[at])}, expected one of {', '.join(dtype.categories)}"
            )
    found: list[int] = np.maximum(codes, 0).tolist()
    return found


def attribute_maps(
    spans: pd.DataFrame, scope: str, plain: frozenset[str], *, with_others: bool = False
) -> list[Attributes]:
    """Return the attributes of one scope (span, resource, instrumentation) by row; ``plain`` columns hold texts only."""
    made: list[Attributes] = [{} for _ in range(len(spans))]
    for name, column in spans.items():
        of, key = scope_and_key(str(name))
        if of == scope:
            for row, value in zip(*_values(column, is_plain=name in plain), strict=True):
                made[row][key] = value
    if with_others and OTHER_ATTRIBUTES in spans.columns:
        for found, cell, label in zip(made, texts_of(spans[OTHER_ATTRIBUTES]), spans.index, strict=True):
            if cell is not None:
                found.update(others_of(cell, scope, label))
    return made


def _values(column: pd.Series, *, is_plain: bool) -> tuple[list[int], list[Any]]:
    """Return the rows that have a value, and the values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, labels = codes_of(column)
        at = np.flatnonzero(codes >= 0)
        used = codes[at].tolist()
        values = {code: _value(labels[code], column, is_plain=is_plain) for code in set(used)}
        return at.tolist(), [values[code] for code in used]
    at = np.flatnonzero(column.notna().to_numpy())
    cells = column.iloc[at].tolist()  # Python's own numbers, which an array of floats would not give
    if pd.api.types.is_numeric_dtype(column.dtype):  # bools are numbers to pandas
        return at.tolist(), cells
    return at.tolist(), [_value(cell, column, is_plain=is_plain) for cell in cells]


def _value(cell: Any, column: pd.Series, *, is_plain: bool) -> Any:
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, str):
        return cell if is_plain else _decoded(cell)
    return cell if type(cell) in _PLAIN else natural(cell, f"attribute {column.name!r}")


def _decoded(text: str) -> Any:
    """Return the array or map that a text stands for, or the text itself."""
    text = str(text)  # msgspec takes no subclass of str
    return msgspec.json.decode(text) if text[:1] in ("[", "{") and is_container_text(text) else text


def items_of(column: pd.Series, decoder: msgspec.json.Decoder[list[T]], keys: str) -> list[Sequence[T]]:
    """Return the events or links of every row; the cells are decoded with ``decoder``."""
    found: list[Sequence[T]] = []
    for row, cell in enumerate(texts_of(column)):
        try:
            found.append(decoder.decode(cell) if cell is not None else ())
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise SchemaError(
                f"{column.name} of the span at index {column.index[row]!r}: found {shown(cell)}, expected JSON text of a list of objects with {keys} ({error})"
            ) from None
    return found


def others_of(cell: str, scope: str, label: object) -> Attributes:
    """Return the attributes of one scope in a cell of ``other_attributes``; ``label`` names the span in a refusal."""
    named = ((scope_and_key(name), value) for name, value in attribute_map(cell, label).items())
    return {key: _decoded(value) if isinstance(value, JsonText) else value for (of, key), value in named if of == scope}
