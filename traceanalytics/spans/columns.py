"""Between pandas columns and arrays: categories, ids, instants, durations, without a Python step a row.

Exactness: a duration in float milliseconds and one in int64 nanoseconds convert into each other without loss below 2^32 ms
(49.7 days); beyond it a double has no longer one value a nanosecond.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = [
    "NAT",
    "categorise",
    "coded",
    "codes_of",
    "drop_unused",
    "duration_ms",
    "duration_ns",
    "id_numbers",
    "instants",
    "start_ns",
    "text_array",
    "unite",
]

NAT = np.iinfo(np.int64).min
"""int64 of a missing instant."""


def coded(codes: Any, labels: Any) -> pd.Categorical:
    """Return a categorical of ``codes`` (-1 is missing) whose labels are ``str`` even when there are none."""
    return pd.Categorical.from_codes(codes, pd.Index(pd.array(labels, dtype="str")), validate=False)


def categorise(values: Iterable[Any] | pd.Series) -> pd.Categorical:
    """Return a categorical of texts, labels in order of first appearance (sorting a million ids costs a second)."""
    return coded(*pd.factorize(pd.Series(values, dtype="str")))


def codes_of(column: pd.Series) -> tuple[NDArray[np.int32], pd.Index]:
    """Return codes (-1 is missing) and labels of a column that is a category or plain text.

    Labels that no row uses are dropped where they outnumber the rows, so that the cost of what follows depends on the rows.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        values = column.array
        assert isinstance(values, pd.Categorical)
        if len(values.categories) > 2 * len(values):
            values = drop_unused(values)
        return np.array(values.codes, dtype=np.int32), values.categories
    codes, labels = pd.factorize(column)
    return codes.astype(np.int32), pd.Index(labels)


def drop_unused(values: pd.Categorical) -> pd.Categorical:
    """Return the categorical without the labels that no row uses; the others keep their order."""
    used = np.zeros(len(values.categories) + 1, dtype=bool)
    used[values.codes] = True
    kept = np.flatnonzero(used[:-1])
    if len(kept) == len(values.categories):
        return values
    to = np.full(len(used), -1)
    to[kept] = np.arange(len(kept))
    return pd.Categorical.from_codes(
        to[values.codes], values.categories.take(kept), ordered=values.ordered, validate=False
    )


def unite(parts: Sequence[pd.Categorical]) -> pd.Categorical:
    """Concatenate categoricals of different labels; labels in order of first appearance."""
    labels = pa.concat_arrays([text_array(p.categories.to_series()) for p in parts])
    words = labels.dictionary_encode()
    at = words.indices.to_numpy()
    codes, low = [], 0
    for p in parts:
        codes.append(np.r_[at[low : low + len(p.categories)], -1][p.codes])
        low += len(p.categories)
    return coded(np.concatenate(codes), words.dictionary)


def text_array(column: pd.Series) -> pa.LargeStringArray:
    """Return one Arrow array of a column of texts, after any mask, slice or concatenation."""
    array = pa.array(column if isinstance(column.dtype, pd.StringDtype) else column.astype("str"))
    return (array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array).cast(pa.large_string())


def id_numbers(*columns: pd.Series) -> tuple[NDArray[np.int64], ...]:
    """Return 64-bit numbers for columns of span ids that are to be compared with each other; 0 is missing.

    16 hex digits become their value (as signed integers, for the kernels); where a column has other ids (Application
    Insights writes ``|a.b.``), all are numbered from 1 in sorted order of their texts, so that results never depend on rows.
    """
    parsed = [_hex64(c) for c in columns]
    if all(p is not None for p in parsed):
        return tuple(p for p in parsed if p is not None)
    texts = pd.concat([c.astype("str") for c in columns], ignore_index=True)
    codes, labels = pd.factorize(texts)
    rank = np.empty(len(labels) + 1, dtype=np.int64)
    rank[np.argsort(np.asarray(labels, dtype=object), kind="stable")] = np.arange(1, len(labels) + 1)
    rank[-1] = 0
    numbers = rank[codes]
    return tuple(np.split(numbers, np.cumsum([len(c) for c in columns])[:-1]))


def _hex64(column: pd.Series) -> NDArray[np.int64] | None:
    array = text_array(column)
    present = array.is_valid().to_numpy(zero_copy_only=False)
    lengths = np.diff(_offsets(array))
    if lengths[~present].any():  # a missing value may hold bytes all the same
        array = array.drop_null()
    if (lengths[present] != 16).any():
        return None
    out = np.zeros(len(present), dtype=np.int64)
    offsets = _offsets(array)
    if len(array) and offsets[-1] > offsets[0]:
        try:
            raw = binascii.unhexlify(memoryview(array.buffers()[2])[offsets[0] : offsets[-1]])
        except binascii.Error:
            return None
        out[present] = np.frombuffer(raw, ">u8").astype(np.uint64).view(np.int64)
    return out


def _offsets(array: pa.LargeStringArray) -> NDArray[np.int64]:
    if not len(array):
        return np.zeros(1, dtype=np.int64)
    return np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]


def instants(nanoseconds: NDArray[np.int64]) -> Any:
    """Return an array of UTC instants; :data:`NAT` is missing."""
    return pd.DatetimeIndex(nanoseconds.view("M8[ns]"), tz="UTC").array


def start_ns(column: pd.Series) -> NDArray[np.int64]:
    """Return a fresh int64 array of epoch nanoseconds; :data:`NAT` where missing."""
    return np.array(column.dt.as_unit("ns").array.asi8, dtype=np.int64)


def duration_ns(column: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return durations in nanoseconds (0 where unknown) and a mask of the known ones."""
    ms = column.to_numpy("float64", na_value=np.nan)
    known = np.isfinite(ms)
    return np.rint(np.where(known, ms, 0) * 1e6).astype(np.int64), known


def duration_ms(nanoseconds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return int64 nanoseconds as float milliseconds, exact below 2^32 ms."""
    return nanoseconds / 1e6
