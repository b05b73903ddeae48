"""Sampling weights: whose they are, which are refused, and sums, means and quantiles under them.

A trace is sampled as a whole, so its spans share one weight: the number of traces that it stands for. A weight that is not
known is refused, never guessed.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from traceanalytics.errors import OptionError, SamplingWarning, SchemaError, near

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from numpy.typing import NDArray

__all__ = ["Weights", "group_quantiles", "group_sums", "span_weights"]

Weights = str | pd.Series | None
"""What functions take: the name of a column, a Series on the frame's index, or None for "every trace stands for itself"."""


_UNUSABLE: Final = ("unknown", "inconsistent")
"""Values of ``weight_status``, as ``sampling.attach_weights`` writes it, that leave a trace without a weight."""

_PACKAGE: Final = str(Path(__file__).parent)


def span_weights(spans: pd.DataFrame, weights: Weights) -> NDArray[np.float64]:
    """Return the weight of every span, 1.0 where none are given.

    Without ``weights``, columns that ``sampling.attach_weights`` left behind are looked at: where they say that traces were
    sampled with different or unknown probabilities, a :class:`~traceanalytics.errors.SamplingWarning` tells so. What the spans
    themselves say about their sampling (tracestate, attributes) is not read here: attach it.

    Raises
    ------
    OptionError
        There is no such column, or the Series has another index.
    SchemaError
        A weight is missing, not finite or not positive, or differs within a trace.

    Examples
    --------
    >>> spans = pd.DataFrame({"trace_id": ["a", "a", "b"], "weight": [2, 2, 10]})
    >>> span_weights(spans, "weight")
    array([ 2.,  2., 10.])
    """
    if weights is None:
        _warn_of_unequal(spans)
        return np.ones(len(spans))
    values = _column(spans, weights).to_numpy("float64", na_value=np.nan)
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise SchemaError(
            f"{int(bad.sum()):,} spans have no usable weight (index {spans.index[row]!r} has {values[row]:g}{_unusable(spans)}): a weight is a positive number, "
            "and one that is not known is not guessed; leave those traces out with ta.whole_traces, or find their sampling design"
        )
    codes = pd.factorize(spans["trace_id"], use_na_sentinel=False)[0]
    _, first = np.unique(codes, return_index=True)
    differs = values != values[first][codes]
    if differs.any():
        row = int(np.argmax(differs))
        raise SchemaError(
            f"the weights of trace {spans['trace_id'].iloc[row]!r} differ ({values[first][codes[row]]:g} and {values[row]:g}): a trace is sampled as a whole and has one weight"
        )
    return values


def _warn_of_unequal(spans: pd.DataFrame) -> None:
    """Warn where attached columns tell that the traces do not stand for equal numbers of traces; a look at two columns."""
    if "weight_status" not in spans.columns or not len(spans):
        return
    found = [text] if (text := _unusable(spans).removeprefix("; ")) else []
    if "weight" in spans.columns:
        weight = pd.to_numeric(spans["weight"], errors="coerce").to_numpy("float64", na_value=np.nan)
        known = weight[np.isfinite(weight)]
        if len(known) and known.min() < known.max():
            found.append(f"the weights of the others go from {known.min():g} to {known.max():g}")
    if found:
        warnings.warn(
            f"{', and '.join(found)}, but every trace counts as one here: where weight_status is known or certain, "
            'weights="weight" makes the result one of the complete traffic; leave the other traces out first with '
            "ta.whole_traces, and the columns of attach_weights too where the sample itself is the subject",
            SamplingWarning,
            stacklevel=_level_of_caller(),
        )


def _unusable(spans: pd.DataFrame) -> str:
    """Return how many traces attached columns call unknown or inconsistent; empty where none are, or nothing is attached."""
    if "weight_status" not in spans.columns:
        return ""
    traces = {status: spans["trace_id"][spans["weight_status"] == status].nunique() for status in _UNUSABLE}
    counts = [
        f"{count:,} of unknown weight" if status == "unknown" else f"{count:,} inconsistent"
        for status, count in traces.items()
        if count
    ]
    return f"; of {spans['trace_id'].nunique():,} traces, {' and '.join(counts)}" if counts else ""


def _level_of_caller() -> int:
    """Return the stack level, as warnings count it, of the first caller outside the package."""
    level = 0
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - what warnings.warn itself does with a stacklevel
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level + 1


def _column(spans: pd.DataFrame, weights: str | pd.Series) -> pd.Series:
    if isinstance(weights, str):
        if weights not in spans.columns:
            raise OptionError(f"weights={weights!r} is no column of the frame{near(weights, spans.columns)}")
        return pd.to_numeric(spans[weights], errors="coerce")
    if not isinstance(weights, pd.Series):
        raise OptionError(
            f"weights is a {type(weights).__name__}, expected the name of a column, a Series on the frame's index, or None"
        )
    if not weights.index.equals(spans.index):
        weights = weights.reindex(spans.index)
    return pd.to_numeric(weights, errors="coerce")


def group_sums(
    codes: NDArray[Any], groups: int, values: NDArray[Any], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weighted sum of the values of each group; code -1 belongs to none."""
    known = codes >= 0
    return np.bincount(codes[known], weights=(values * weights)[known], minlength=groups).astype(np.float64)


def group_quantiles(
    codes: NDArray[Any], groups: int, values: NDArray[Any], weights: NDArray[np.float64], levels: Sequence[float]
) -> NDArray[np.float64]:
    """Return weighted quantiles, one row a group, one column a level; NaN where a group has no values.

    A quantile is the smallest observed value at or below which at least this share of the weight lies (the inverse of the
    distribution function): it needs no assumption between values, belongs to a real span, and equal weights change nothing.

    Examples
    --------
    >>> group_quantiles(np.array([0, 0, 0, 1]), 3, np.array([1.0, 2.0, 3.0, 9.0]), np.ones(4), [0.5, 0.99])
    array([[ 2.,  3.],
           [ 9.,  9.],
           [nan, nan]])
    """
    known = (codes >= 0) & ~np.isnan(np.asarray(values, dtype=np.float64))
    codes, values, weights = codes[known], np.asarray(values, dtype=np.float64)[known], weights[known]
    order = np.lexsort((values, codes))
    codes, values, running = codes[order], values[order], np.cumsum(weights[order])
    bounds = np.searchsorted(codes, np.arange(groups + 1))
    before = np.r_[0.0, running][bounds]
    total = before[1:] - before[:-1]
    found = np.full((groups, len(levels)), np.nan)
    filled = bounds[1:] > bounds[:-1]
    for at, level in enumerate(levels):
        # The last digit of a running sum is noise; without the allowance, a level that is met exactly would be passed.
        target = before[:-1] + level * total * (1 - 1e-12)
        place = np.clip(np.searchsorted(running, target), bounds[:-1], np.maximum(bounds[1:] - 1, bounds[:-1]))
        found[filled, at] = values[place[filled]]
    return found
