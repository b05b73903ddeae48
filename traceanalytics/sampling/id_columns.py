"""Trace ids of frames and columns as numbers, for the checks that look at their bits: every distinct id once, without Python a row."""

from __future__ import annotations

import binascii
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.errors import OptionError
from traceanalytics.sampling.span_thresholds import randomness_of_traces, state_column
from traceanalytics.spans.columns import codes_of, drop_unused, text_array
from traceanalytics.spans.schema import check_spans

if TYPE_CHECKING:
    import numpy.typing as npt
    from numpy.typing import NDArray

__all__ = ["Ids", "TraceBits", "distinct_ids", "hex_words", "trace_bits"]

_DIGITS = 32
_LOW_56 = np.uint64(2**56 - 1)


class Ids(NamedTuple):
    """Distinct trace ids: the two halves of each as numbers, its digits, and how many of what was given is no such id.

    ``given`` counts what was there (missing values left out), ``repeated`` those equal to an earlier one, ``malformed`` the
    distinct ones that are no hex number of at most 32 digits, which are left out of ``words`` and ``digits``.
    """

    words: NDArray[np.uint64]
    digits: NDArray[np.int64]
    given: int
    repeated: int
    malformed: int


class TraceBits(NamedTuple):
    """What decided about each trace of a frame: its random bits and threshold, where both are known."""

    randomness: NDArray[np.uint64]
    threshold: NDArray[np.uint64]
    known: NDArray[np.bool_]
    has_threshold: NDArray[np.bool_]


def distinct_ids(ids: pd.DataFrame | Iterable[str]) -> Ids:
    """Return the distinct trace ids of a span frame, a column, or a list of texts.

    Raises
    ------
    OptionError
        What is given is neither.

    Examples
    --------
    >>> found = distinct_ids(["1", "00ff", "1", "x"])
    >>> found.words.tolist(), found.digits.tolist(), found.repeated, found.malformed
    ([[0, 1], [0, 255]], [1, 4], 1, 1)
    """
    texts, given, repeated = _distinct_texts(ids)
    words, good = hex_words(texts)
    digits = pc.binary_length(texts).to_numpy(zero_copy_only=False)
    return Ids(words[good], digits[good].astype(np.int64), given, repeated, int((~good).sum()))


def _distinct_texts(ids: pd.DataFrame | Iterable[str]) -> tuple[pa.LargeStringArray, int, int]:
    if isinstance(ids, pd.DataFrame):
        check_spans(ids, "trace_id")
        # Spans share the id of their trace: that is no repetition.
        labels = _used_labels(ids["trace_id"])
        return text_array(labels), len(labels), 0
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise OptionError(f"expected a span frame, or trace ids as texts of hex digits; found {type(ids).__name__}")
    column = ids if isinstance(ids, pd.Series) else pd.Series(list(ids) if not isinstance(ids, pd.Index) else ids)
    given = int(column.notna().sum())
    labels = _used_labels(column)
    return text_array(labels), given, given - len(labels)


def _used_labels(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        values = column.array
        assert isinstance(values, pd.Categorical)
        labels = drop_unused(values).categories
    else:
        _, labels = codes_of(column)
    return pd.Series(labels, dtype="str")


def hex_words(texts: pa.LargeStringArray) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return the two 64-bit halves of every text, and which of them are hex numbers of 1 to 32 digits (others are 0).

    >>> words, good = hex_words(pa.array(["ff", "", "0x1"], pa.large_string()))
    >>> words.tolist(), good.tolist()
    ([[0, 255], [0, 0], [0, 0]], [True, False, False])
    """
    good = np.ones(len(texts), np.bool_)
    if not len(texts):
        return np.empty((0, 2), np.uint64), good
    size = pc.binary_length(texts).to_numpy(zero_copy_only=False)
    good = (size > 0) & (size <= _DIGITS) & ~_odd(texts)
    if not good.all():
        texts = pc.if_else(pa.array(good), texts, pa.scalar("0", pa.large_string()))
    if (size != _DIGITS).any():
        texts = pc.utf8_lpad(texts, _DIGITS, "0")
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    _, bounds, data = texts.buffers()
    offsets = np.frombuffer(bounds, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    raw = binascii.unhexlify(memoryview(data)[offsets[0] : offsets[-1]])
    return np.frombuffer(raw, ">u8").astype(np.uint64).reshape(-1, 2), good


_IS_HEX = np.zeros(256, np.bool_)
_IS_HEX[list(b"0123456789abcdefABCDEF")] = True


def _odd(texts: pa.LargeStringArray) -> NDArray[np.bool_]:
    """Return which texts have a byte that is no hex digit."""
    _, bounds, data = texts.buffers()
    offsets = np.frombuffer(bounds, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    if data is None or offsets[-1] == offsets[0]:
        return np.zeros(len(texts), np.bool_)
    wrong = np.flatnonzero(~_IS_HEX[np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]])
    odd = np.zeros(len(texts), np.bool_)
    odd[np.searchsorted(offsets - offsets[0], wrong, side="right") - 1] = True
    return odd


def trace_bits(spans: pd.DataFrame) -> TraceBits:
    """Return randomness and threshold of every trace: those of its first span that has a threshold, else of its first span.

    >>> bits = trace_bits(pd.DataFrame({"trace_id": ["f" * 32, "e" * 32], "trace_state": ["ot=th:8", None]}))
    >>> bits.known.tolist(), bits.has_threshold.tolist(), hex(bits.randomness[1])
    ([True, True], [True, False], '0xeeeeeeeeeeeeee')
    """
    check_spans(spans, "trace_id")
    codes, labels = codes_of(spans["trace_id"])
    count = len(labels)
    if "trace_state" not in spans.columns or not spans["trace_state"].notna().any():
        words, good = hex_words(text_array(pd.Series(labels, dtype="str")))
        used = np.bincount(codes[codes >= 0], minlength=count) > 0
        nothing = np.zeros(int(used.sum()), np.uint64)
        return TraceBits((words[:, 1] & _LOW_56)[used], nothing, good[used], nothing.astype(np.bool_))
    states = state_column(spans)
    values, known = randomness_of_traces(codes.astype(np.intp), labels, states)
    has = states.of_spans(states.has_threshold & ~states.rejected)
    row = _first_rows(codes, count)
    with_threshold = _first_rows(np.where(has, codes, -1), count)
    row = np.where(with_threshold >= 0, with_threshold, row)
    row = row[row >= 0]
    return TraceBits(values[row], states.of_spans(states.threshold)[row], known[row], has[row])


def _first_rows(codes: npt.NDArray[np.integer], count: int) -> NDArray[np.intp]:
    """Return the first row of every code, -1 where it has none."""
    rows = np.flatnonzero(codes >= 0)[::-1]
    first = np.full(count, -1, np.intp)
    first[codes[rows]] = rows
    return first
