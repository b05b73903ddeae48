"""The sampling unit: traces, their inclusion probabilities, and sums over their spans, by group."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.errors import SchemaError
from traceanalytics.sampling.design_weights import STATUSES, attach_weights
from traceanalytics.spans.schema import check_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.sampling.designs import Design

__all__ = ["GroupedTraces", "TraceUnits", "grouped_traces", "trace_units"]


class TraceUnits(NamedTuple):
    """The traces of a frame: the number of its trace for every span (-1: none), and what each trace's probability is.

    ``pi`` is NaN where a trace's probability is unknown or inconsistent; ``status`` is the code of ``STATUSES``.
    """

    codes: NDArray[np.intp]
    number: int
    pi: NDArray[np.float64]
    status: NDArray[np.int8]


class GroupedTraces(NamedTuple):
    """One row for every group and trace that has a span there, ordered by group: the units of an estimate by group.

    ``group`` and ``trace`` number them; ``spans`` counts the trace's spans in the group, ``sums`` their values (one column each).
    """

    group: NDArray[np.intp]
    trace: NDArray[np.intp]
    spans: NDArray[np.float64]
    sums: NDArray[np.float64]


def trace_units(spans: pd.DataFrame, design: Design | float | pd.Series | None = None) -> TraceUnits:
    """Return the traces and their probabilities: from the attached columns, else as :func:`attach_weights` finds them.

    Raises
    ------
    SchemaError
        The frame is no span frame, or an attached probability is not in (0, 1] or differs within a trace.

    Examples
    --------
    >>> spans = pd.DataFrame({"trace_id": ["a", "a", "b"]})
    >>> trace_units(spans, 0.25).pi
    array([0.25, 0.25])
    """
    check_spans(spans, "trace_id")
    if design is not None or not {"incl_prob", "weight_status"} <= set(spans.columns):
        spans = attach_weights(spans, design=design)
    codes, ids = pd.factorize(spans["trace_id"])
    pi = spans["incl_prob"].to_numpy("float64", na_value=np.nan)
    labels = spans["weight_status"].astype(STATUSES)
    status = labels.cat.codes.to_numpy()
    pi = np.where(status >= STATUSES.categories.get_loc("unknown"), np.nan, pi)
    wrong = (pi <= 0) | (pi > 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise SchemaError(
            f"{int(wrong.sum()):,} spans have an incl_prob outside (0, 1] (index {spans.index[row]!r} has {pi[row]:g}): "
            "a probability of being kept is above 0 and at most 1; attach the weights anew with sampling.attach_weights"
        )
    inside = np.flatnonzero(codes >= 0)[::-1]
    of_trace, state = np.full(len(ids), np.nan), np.full(len(ids), -1, np.int8)
    of_trace[codes[inside]], state[codes[inside]] = pi[inside], status[inside]  # the first span's
    differs = (codes >= 0) & ~np.isclose(pi, np.append(of_trace, np.nan)[codes], rtol=1e-9, atol=0, equal_nan=True)
    if differs.any():
        row = int(np.argmax(differs))
        raise SchemaError(
            f"the spans of trace {spans['trace_id'].iloc[row]!r} have different incl_prob ({pi[row]:g} and {of_trace[codes[row]]:g}): "
            "a trace is sampled as a whole; for spans sampled one by one use sampling.estimate_partial"
        )
    return TraceUnits(codes, len(ids), of_trace, state)


def grouped_traces(
    units: TraceUnits,
    group: NDArray[np.intp] | None,
    values: NDArray[np.float64],
    keep: NDArray[np.bool_] | None = None,
) -> GroupedTraces:
    """Return the units of an estimate: sums of the values (spans x columns) for every pair of group and trace.

    Spans of no trace, of no group (-1), or where ``keep`` is False belong to none. ``group`` None: all spans are one group.

    Examples
    --------
    >>> units = trace_units(pd.DataFrame({"trace_id": ["a", "a", "b"]}), 0.5)
    >>> grouped_traces(units, None, np.array([[1.0], [2.0], [5.0]])).sums.ravel()
    array([3., 5.])
    """
    inside = units.codes >= 0
    if keep is not None:
        inside &= keep
    if group is not None:
        inside &= group >= 0
    rows = slice(None) if inside.all() else np.flatnonzero(inside)
    key = units.codes[rows] if group is None else group[rows] * units.number + units.codes[rows]
    code, pairs = pd.factorize(key, sort=True)
    sums = (
        np.column_stack([np.bincount(code, weights=column, minlength=len(pairs)) for column in values[rows].T])
        if values.shape[1]
        else np.empty((len(pairs), 0))
    )
    return GroupedTraces(
        pairs // max(units.number, 1),
        pairs % max(units.number, 1),
        np.bincount(code, minlength=len(pairs)).astype(np.float64),
        sums,
    )
