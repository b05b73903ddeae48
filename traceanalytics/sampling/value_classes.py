"""Classes of numbers, such as the buckets of a histogram of durations: their bounds and names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from traceanalytics.errors import OptionError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["class_edges", "class_names"]


def class_names(edges: NDArray[np.float64]) -> list[str]:
    """Return the names of classes.

    >>> class_names(np.array([0.0, 0.5, 10.0]))
    ['0 to 0.5', '0.5 to 10']
    """
    return [f"{low:.6g} to {high:.6g}" for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]


def class_edges(
    spans: pd.DataFrame, reference: pd.Series | pd.DataFrame, by: str, bins: Sequence[float] | None
) -> NDArray[np.float64] | None:
    """Return the bounds of classes: ``bins``, the intervals or the deciles of the reference; None where ``by`` is no number.

    >>> spans = pd.DataFrame({"duration_ms": [1.0, 2.0]})
    >>> class_edges(spans, pd.Series([5, 9]), "duration_ms", [0, 10, 100])
    array([  0.,  10., 100.])
    """
    if not isinstance(reference, pd.Series | pd.DataFrame):
        raise OptionError(
            f"reference is a {type(reference).__name__}: expected a Series of counts or shares by group, or a span frame"
        )
    edges: NDArray[np.float64] | None
    if bins is not None:
        edges = np.asarray(bins, np.float64)
        if edges.ndim != 1 or not _ascend(edges):
            raise OptionError(f"bins={bins!r:.60} are no bounds of classes: expected at least three ascending numbers")
    else:
        edges = _deciles(reference, by) if isinstance(reference, pd.DataFrame) else _interval_edges(reference.index)
        if edges is None:
            if by in spans and pd.api.types.is_float_dtype(spans[by].dtype):
                raise OptionError(f"{by} is a number: give bins, the bounds of the classes that the reference counts")
            return None
    for frame in (spans, reference):
        if isinstance(frame, pd.DataFrame) and by not in frame.columns:
            raise SchemaError(f"no column {by!r} to class; bins are for numbers")
    return edges


def _ascend(edges: NDArray[np.float64]) -> bool:
    return len(edges) >= 3 and bool((np.diff(edges) > 0).all())  # NaN is on no side of anything


def _deciles(reference: pd.DataFrame, by: str) -> NDArray[np.float64] | None:
    """Return the deciles of a column of numbers; None where it is none."""
    if by not in reference or not pd.api.types.is_float_dtype(reference[by].dtype):
        return None
    values = reference[by].dropna().to_numpy("float64")
    edges = np.unique(np.quantile(values, np.linspace(0, 1, 11))) if len(values) else np.zeros(0)
    if not _ascend(edges):
        raise OptionError(f"{by} has too few different values in the reference for classes; give bins")
    return edges


def _interval_edges(index: pd.Index) -> NDArray[np.float64] | None:
    """Return the bounds of intervals that index a reference; value_counts after cut has a categorical index of them."""
    labels = index.categories if isinstance(index, pd.CategoricalIndex) else index
    if not isinstance(labels, pd.IntervalIndex) or not len(index):
        return None
    left = np.array([each.left for each in index], np.float64)
    right = np.array([each.right for each in index], np.float64)
    edges = np.append(left, right[-1])
    if not _ascend(edges) or (left[1:] != right[:-1]).any():
        raise OptionError(
            "the intervals of the reference are no classes: expected two or more, ascending, without gaps"
        )
    return edges
