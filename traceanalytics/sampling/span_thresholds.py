"""Thresholds and randomness of whole columns: the bytes of a column are read in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.sampling.text_bytes import bytes_of
from traceanalytics.sampling.tracestate_kernels import (
    BYTES,
    HAS_RV,
    HAS_TH,
    MOST_PAIRS,
    REJECTED,
    low_digits,
    read_states,
)
from traceanalytics.spans.columns import codes_of, text_array
from traceanalytics.spans.schema import check_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "StateColumn",
    "randomness_of",
    "randomness_of_traces",
    "randomness_under",
    "state_column",
    "thresholds_of",
]


class StateColumn(NamedTuple):
    """The tracestates of a frame: the number of a text for every span, -1 for none, and what each text holds.

    Neighbours with the same text share a number; a text further on may have another one.

    ``rejected`` marks texts with an ``ot`` member of which any part is rejected; a malformed text of other vendors claims nothing.
    """

    codes: NDArray[np.intp]
    threshold: NDArray[np.uint64]
    has_threshold: NDArray[np.bool_]
    rv: NDArray[np.uint64]
    has_rv: NDArray[np.bool_]
    rejected: NDArray[np.bool_]

    def of_spans(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a value of the texts for every span: zero or False where a span has none."""
        return np.append(values, values.dtype.type(0))[self.codes]


def thresholds_of(spans: pd.DataFrame) -> pd.Series:
    """Return the sampling threshold of every span, from its tracestate.

    Parameters
    ----------
    spans
        A span frame.

    Returns
    -------
    pandas.Series
        UInt64, named ``threshold``: 0 (everything is kept) to 2**56 - 1; missing where a tracestate has no ``th`` or any part
        of it is rejected. The probability is ``1 - threshold / 2**56``.

    Raises
    ------
    SchemaError
        The frame is no span frame.

    Examples
    --------
    >>> spans = pd.DataFrame({"trace_id": ["a", "b", "c"], "trace_state": ["ot=th:8", None, "ot=th:0x8"]})
    >>> thresholds_of(spans).tolist()
    [36028797018963968, <NA>, <NA>]
    """
    check_spans(spans, "trace_id", "trace_state")
    states = state_column(spans)
    known = states.of_spans(states.has_threshold & ~states.rejected)
    return _numbers(states.of_spans(states.threshold), known, spans.index, "threshold")


def randomness_of(spans: pd.DataFrame) -> pd.Series:
    """Return the 56 random bits that decided about every span.

    Parameters
    ----------
    spans
        A span frame.

    Returns
    -------
    pandas.Series
        UInt64, named ``randomness``: the tracestate's ``rv`` where it has one, else the low 56 bits of the trace id; missing
        where a tracestate has an ``ot`` member of which any part is rejected, or the id is no lower-case hex number of 14 digits or more.

    Raises
    ------
    SchemaError
        The frame is no span frame.

    Examples
    --------
    >>> spans = pd.DataFrame({"trace_id": ["4bf92f3577b34da6a3ce929d0e0e4736", "x"], "trace_state": [None, "ot=rv:00000000000001"]})
    >>> [hex(value) for value in randomness_of(spans)]
    ['0xce929d0e0e4736', '0x1']
    """
    check_spans(spans, "trace_id", "trace_state")
    return randomness_under(spans, state_column(spans))


def randomness_under(spans: pd.DataFrame, states: StateColumn) -> pd.Series:
    """Return what :func:`randomness_of` does, for tracestates that are parsed already."""
    values, known = randomness_of_traces(*pd.factorize(spans["trace_id"]), states)
    return _numbers(values, known, spans.index, "randomness")


def randomness_of_traces(
    codes: NDArray[np.intp], ids: pd.Index, states: StateColumn
) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return the randomness of every span, and where it is known, for traces that are numbered already."""
    texts = pa.array(ids.astype("str"), pa.large_string())
    low, hexadecimal = np.zeros(len(ids), np.int64), np.zeros(len(ids), np.uint8)
    low_digits(*bytes_of(texts), BYTES.copy(), low, hexadecimal)
    explicit = states.of_spans(states.has_rv)
    values = np.where(explicit, states.of_spans(states.rv), np.append(low.view(np.uint64), np.uint64(0))[codes])
    known = (explicit | np.append(hexadecimal.view(np.bool_), np.False_)[codes]) & ~states.of_spans(states.rejected)
    return values, known


def state_column(spans: pd.DataFrame) -> StateColumn:
    """Parse the tracestates of a frame, each text once where neighbours share it or the column is a category."""
    codes, texts = _texts(spans["trace_state"])
    threshold, rv = np.zeros((2, len(texts)), np.int64)
    flags = np.zeros(len(texts), np.uint8)
    working = np.zeros((2, MOST_PAIRS), np.int64)
    read_states(*bytes_of(texts), BYTES.copy(), working[0], working[1], threshold, rv, flags)
    return StateColumn(
        codes,
        threshold.view(np.uint64),
        (flags & HAS_TH).astype(np.bool_),
        rv.view(np.uint64),
        (flags & HAS_RV).astype(np.bool_),
        (flags & REJECTED).astype(np.bool_),
    )


def _texts(column: pd.Series) -> tuple[NDArray[np.intp], pa.LargeStringArray]:
    """Return the number of its text for every row, -1 for none, and the texts: spans of one trace lie together, and share one."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, labels = codes_of(column)
        return codes.astype(np.intp), text_array(pd.Series(labels, dtype="str"))
    cells = text_array(column)
    if not len(cells):
        return np.empty(0, np.intp), cells
    missing = cells.is_null().to_numpy(zero_copy_only=False)
    begins = np.ones(len(cells), np.bool_)
    begins[1:] = _flags(pc.not_equal(cells[1:], cells[:-1])) | missing[:-1]
    begins &= ~missing
    texts = cells.filter(pa.array(begins)) if not begins.all() else cells
    return np.where(missing, -1, np.cumsum(begins) - 1), texts


def _flags(found: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(found, fill_value=False), dtype=np.bool_)


def _numbers(values: NDArray[np.uint64], known: NDArray[np.bool_], index: pd.Index, name: str) -> pd.Series:
    return pd.Series(pd.arrays.IntegerArray(np.where(known, values, np.uint64(0)), ~known), index=index, name=name)
