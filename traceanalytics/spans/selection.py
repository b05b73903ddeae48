"""Parts of a span frame: whole traces, and when spans end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from traceanalytics.errors import SchemaError
from traceanalytics.spans.columns import NAT, codes_of, drop_unused, duration_ns, instants, start_ns
from traceanalytics.spans.schema import KIND, STATUS, check_spans
from traceanalytics.spans.values import shown

__all__ = ["end_time", "whole_traces", "without_unused_labels"]


def end_time(spans: pd.DataFrame) -> pd.Series:
    """Return when spans ended, exact to the nanosecond.

    ``start_time + pd.to_timedelta(duration_ms, unit="ms")`` is off by a nanosecond in one row of a hundred.

    Parameters
    ----------
    spans
        A span frame.

    Returns
    -------
    pandas.Series
        Named ``end_time``, datetime64[ns, UTC], on the index of ``spans``; NaT where start or duration is unknown, and where the
        end lies outside of the years 1677 to 2262.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1"], "span_id": ["b1"], "name": ["GET"],
    ...     "start_time": pd.to_datetime(["2026-05-14T14:23:45Z"]), "duration_ms": [12.000001]}))
    >>> ta.end_time(spans)[0]
    Timestamp('2026-05-14 14:23:45.012000001+0000', tz='UTC')
    """
    check_spans(spans, "start_time", "duration_ms")
    start = start_ns(spans["start_time"])
    duration, known = duration_ns(spans["duration_ms"])
    end = start + duration
    known &= (start != NAT) & ((duration < 0) == (end < start))
    return pd.Series(instants(np.where(known, end, NAT)), index=spans.index, name="end_time")


def whole_traces(spans: pd.DataFrame, mask: Any) -> pd.DataFrame:
    """Return all spans of the traces in which ``mask`` is true for at least one span.

    Filtering spans cuts traces: children lose their parents. This selects traces instead.

    Parameters
    ----------
    spans
        A span frame.
    mask
        True or False a span: a bool Series whose labels are those of ``spans`` (spans without a label in it count as False), or
        an array or list as long as ``spans``. A missing value counts as False.

    Returns
    -------
    pandas.DataFrame
        Rows of ``spans`` in their order, categories without labels that nothing uses. Spans without trace id belong to no trace.

    Raises
    ------
    SchemaError
        If the mask is not of bools, or does not fit the spans.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1", "a1", "a2"], "span_id": ["b1", "b2", "b3"], "name": ["GET"] * 3,
    ...     "status": ["OK", "ERROR", "OK"]}))
    >>> ta.whole_traces(spans, spans.status == "ERROR")["span_id"].tolist()
    ['b1', 'b2']
    """
    check_spans(spans, "trace_id")
    chosen = _fitted(mask, spans.index)
    codes, labels = codes_of(spans["trace_id"])
    wanted = np.zeros(len(labels) + 1, bool)
    wanted[codes[chosen]] = True
    wanted[-1] = False  # serves the code -1: no trace id
    return without_unused_labels(spans[wanted[codes]])


def _fitted(mask: Any, index: pd.Index) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if callable(mask):
        raise SchemaError(
            "the mask is a function, expected a bool a span; call it: ta.whole_traces(spans, function(spans))"
        )
    if isinstance(mask, pd.DataFrame):
        raise SchemaError("the mask is a frame, expected one bool a span; choose a column, or use .any(axis=1)")
    given = mask if isinstance(mask, pd.Series) else pd.Series(list(mask) if not hasattr(mask, "dtype") else mask)
    if given.dtype == object and given.dropna().map(lambda value: isinstance(value, bool | np.bool_)).all():
        given = given.astype("boolean")
    if not pd.api.types.is_bool_dtype(given.dtype):
        raise SchemaError(
            f"the mask has the type {given.dtype}, expected bool: a comparison such as spans.status == 'ERROR'"
        )
    values = given.fillna(False).to_numpy(bool)
    if not isinstance(mask, pd.Series):
        if len(values) != len(index):
            raise SchemaError(f"the mask has {len(values):,} values for {len(index):,} spans; give one a span")
        return values
    if given.index.equals(index):
        return values
    if not given.index.is_unique:
        raise SchemaError(
            "the index of the mask repeats labels, so it cannot be matched with the spans; give one value a span"
        )
    at = given.index.get_indexer(index)
    unknown = len(given) - int((at >= 0).sum())
    if unknown:
        stray = given.index[~given.index.isin(index)][0]
        raise SchemaError(
            f"{unknown:,} labels of the mask are no labels of the spans ({shown(stray)} is the first); make the mask from the same frame, or give an array in the order of the spans"
        )
    return np.where(at >= 0, values[at], False) if len(values) else np.zeros(len(index), bool)


def without_unused_labels(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its categories reduced to the labels in use; fixed and ordered ones keep all of theirs."""
    made = frame.copy(deep=False)
    for name, column in frame.items():
        dtype = column.dtype
        if isinstance(dtype, pd.CategoricalDtype) and not dtype.ordered and dtype not in (KIND, STATUS):
            made[name] = drop_unused(column.array)
    return made
