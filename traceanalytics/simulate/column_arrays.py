"""From values a node of the template to columns of a span frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.spans.columns import coded, drop_unused

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["attribute_column", "category_or_text", "hex_texts", "text_array_of", "word_column"]


def hex_texts(*words: NDArray[np.uint64], keep: NDArray[np.bool_] | None = None) -> pa.LargeStringArray:
    """Return numbers as 16 hex digits each, several beside each other; missing where not kept."""
    count = len(words[0])
    digits = np.stack([w.astype(">u8") for w in words], 1).tobytes().hex().encode()
    offsets = np.arange(count + 1, dtype=np.int64) * (16 * len(words))
    made = pa.LargeStringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(digits))
    return made if keep is None else pc.if_else(pa.array(keep), made, pa.scalar(None, pa.large_string()))


def text_array_of(values: Any) -> Any:
    """Return a ``str`` array of Arrow texts."""
    return pd.array(values.cast(pa.large_string()), dtype="str")


def word_column(values: list[str], at: NDArray[np.int64]) -> pd.Categorical:
    """Return a category of the texts at some places of a list, labels sorted."""
    words = sorted(set(values))
    number = {word: i for i, word in enumerate(words)}
    return drop_unused(coded(np.array([number[v] for v in values], np.int64)[at], words))


def attribute_column(values: list[Any], at: NDArray[np.int64]) -> Any:
    """Return a column of the values at some places of a list; None where there is none."""
    some = [v for v in values if v is not None]
    has = np.array([v is not None for v in values], dtype=bool)[at]
    if not has.any():
        return None
    if all(type(v) is bool for v in some):
        return pd.arrays.BooleanArray(np.array([bool(v) for v in values])[at], ~has)
    if all(type(v) is int for v in some):
        return pd.arrays.IntegerArray(np.array([v or 0 for v in values], np.int64)[at], ~has)
    if all(type(v) is float for v in some):
        return np.array([np.nan if v is None else v for v in values])[at]
    words = sorted({str(v) for v in some})
    number = {word: i for i, word in enumerate(words)}
    return category_or_text(coded(np.array([-1 if v is None else number[str(v)] for v in values])[at], words))


def category_or_text(values: pd.Categorical) -> Any:
    """Return a category while its labels repeat (distinct <= half), else plain texts: the rule of the readers."""
    used = drop_unused(values)
    return used if 2 * len(used.categories) <= int((used.codes >= 0).sum()) else pd.Series(used).astype("str").array
