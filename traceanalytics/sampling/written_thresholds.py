"""Randomness and thresholds written into the tracestates of whole columns: every distinct text is parsed once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.sampling.thresholds import DIGITS, threshold_text
from traceanalytics.sampling.tracestate_codec import parse_tracestate, write_tracestate

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["with_thresholds"]

_LARGEST = "f" * DIGITS
_START = f"ot=rv:{_LARGEST};th:{_LARGEST}"


def with_thresholds(
    states: pd.Series, traces: NDArray[np.intp], randomness: NDArray[np.uint64], thresholds: NDArray[np.uint64]
) -> pd.Series:
    """Return tracestates that tell randomness and threshold of consistent sampling.

    Parameters
    ----------
    states
        The tracestates as they are. Other vendors' members and further pairs of ``ot`` stay; a rejected text goes.
    traces
        Number of its trace for every span.
    randomness
        56 random bits of every trace.
    thresholds
        Threshold of every span.

    Returns
    -------
    pandas.Series
        Of type str, on the index of ``states``.

    Examples
    --------
    >>> states = pd.Series(["vendor=1,ot=th:0", None], dtype="str")
    >>> with_thresholds(states, np.array([0, 0]), np.array([10], np.uint64), np.array([0, 1 << 55], np.uint64)).tolist()
    ['ot=rv:0000000000000a;th:0,vendor=1', 'ot=rv:0000000000000a;th:8']
    """
    levels, of_level = np.unique(thresholds, return_inverse=True)
    codes, texts = pd.factorize(states)
    parts = [
        pa.array(["ot=rv:"], pa.large_string()).take(pa.array(np.zeros(len(states), np.int64))),
        _hex_texts(randomness).take(pa.array(traces)),
        _taken([f";th:{threshold_text(int(level))}" for level in levels], of_level),
        _taken([*map(_rest, texts), ""], np.where(codes < 0, len(texts), codes)),
    ]
    joined = pc.binary_join_element_wise(*parts, pa.scalar("", pa.large_string()))
    return pd.Series(pd.array(joined, dtype="str"), index=states.index, name=states.name)


def _rest(text: object) -> str:
    """Return what follows after randomness and threshold, when the longest ones stand there."""
    state = replace(parse_tracestate(str(text)), rv=_LARGEST, th=_LARGEST, errors=())
    return write_tracestate(state).removeprefix(_START)


def _taken(texts: list[str], codes: NDArray[np.intp]) -> pa.Array:
    return pa.array(texts, pa.large_string()).take(pa.array(codes))


def _hex_texts(numbers: NDArray[np.uint64]) -> pa.Array:
    digits = np.frombuffer(numbers.astype(">u8").tobytes().hex().encode(), "S1").reshape(len(numbers), 16)
    texts = np.ascontiguousarray(digits[:, 16 - DIGITS :]).tobytes()
    offsets = np.arange(len(numbers) + 1, dtype=np.int64) * DIGITS
    return pa.LargeStringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(texts))
