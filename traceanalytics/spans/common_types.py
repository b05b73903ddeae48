"""Columns of one attribute that come from several places: one type for all, then one below the other or the first that has a value.

The rule is the readers': the same type stays, ints and texts of ints become Int64, any other mixture becomes text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from traceanalytics.spans.attribute_columns import canonical_ints, text_of_scalar, text_or_category
from traceanalytics.spans.columns import coded, codes_of, drop_unused, text_array, unite

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["coalesced", "concatenated", "family", "united"]

Family = Literal["int", "float", "bool", "text"]
_DTYPES: dict[Family, Any] = {"int": "Int64", "float": "float64", "bool": "boolean", "text": "str"}


def family(column: pd.Series) -> Family:
    """Return the kind of values that a column holds; everything that is no number and no bool is text.

    >>> family(pd.Series([1, None], dtype="Int64")), family(pd.Series(["a"], dtype="category"))
    ('int', 'text')
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "text"
    if pd.api.types.is_bool_dtype(column.dtype):
        return "bool"
    if pd.api.types.is_integer_dtype(column.dtype):
        return "int"
    return "float" if pd.api.types.is_float_dtype(column.dtype) else "text"


def concatenated(parts: Sequence[pd.Series]) -> Any:
    """Return the array of the parts one below the other."""
    same = _in_one_type(parts)
    if _all_categories(same):
        return united([p.array for p in same])
    joined = pd.concat(same, ignore_index=True)
    return text_or_category(joined) if family(joined) == "text" else joined.array


def united(parts: Sequence[Any]) -> pd.Categorical:
    """Return categoricals one below the other, without labels that nothing uses."""
    return drop_unused(unite([_in_one_chunk(part) for part in parts]))


def _in_one_chunk(values: pd.Categorical) -> pd.Categorical:
    """Return the categorical with its labels in one Arrow array: none at all are no chunk, concatenated ones are several."""
    labels = text_array(pd.Series(values.categories, dtype="str"))
    return coded(values.codes, labels)


def coalesced(parts: Sequence[pd.Series]) -> Any:
    """Return the array of the first value that a row has, in the order of the parts."""
    voting = [p for p in parts if p.notna().any()] or list(parts[:1])
    if len(voting) == 1:
        return voting[0].array
    same = _in_one_type(voting)
    if _all_categories(same):
        both = united([p.array for p in same])
        codes = both.codes.reshape(len(same), -1)
        first = np.argmax(codes >= 0, axis=0)
        chosen = codes[first, np.arange(codes.shape[1])]
        return drop_unused(pd.Categorical.from_codes(chosen, both.categories, validate=False))
    found = same[0]
    for part in same[1:]:
        found = found.where(found.notna(), part)
    return text_or_category(found) if family(found) == "text" else found.array


def _all_categories(parts: Sequence[pd.Series]) -> bool:
    return all(isinstance(p.dtype, pd.CategoricalDtype) for p in parts)


def _in_one_type(parts: Sequence[pd.Series]) -> list[pd.Series]:
    """Return the parts in one type; a part without values follows the others."""
    voting = [p for p in parts if p.notna().any()] or list(parts)
    families = {family(p) for p in voting}
    if families == {"text"} and _all_categories(voting):
        return [p if isinstance(p.dtype, pd.CategoricalDtype) else p.astype("str").astype("category") for p in parts]
    if families == {"int", "text"} and all(family(p) == "int" or canonical_ints(_words(p)) for p in voting):
        return [_ints(p) for p in parts]
    if len(families) == 1:
        dtype = _DTYPES[families.pop()]
        return [p.astype(dtype) if p.notna().any() else _missing(p, dtype) for p in parts]
    return [_texts(p) for p in parts]


def _missing(part: pd.Series, dtype: Any) -> pd.Series:
    empty: pd.Series = pd.Series(np.nan, index=part.index, dtype=dtype)
    return empty


def _words(part: pd.Series) -> list[str]:
    codes, labels = codes_of(part)
    return [str(labels[i]) for i in np.unique(codes[codes >= 0])]


def _ints(part: pd.Series) -> pd.Series:
    if family(part) == "int":
        return part.astype("Int64")
    codes, labels = codes_of(part)
    used = np.unique(codes[codes >= 0])
    numbers = np.zeros(len(labels) + 1, np.int64)  # the last one serves the code -1
    numbers[used] = [int(labels[i]) for i in used]
    return pd.Series(pd.arrays.IntegerArray(numbers[codes], codes < 0), index=part.index)


def _texts(part: pd.Series) -> pd.Series:
    if family(part) == "text":
        return part.astype("str")
    texts = [None if pd.isna(v) else text_of_scalar(v) for v in part.tolist()]
    return pd.Series(texts, index=part.index, dtype="str")
