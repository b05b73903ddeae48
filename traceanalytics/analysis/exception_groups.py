"""Which exceptions were recorded, grouped by what is the same about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from traceanalytics.analysis.message_patterns import message_patterns
from traceanalytics.analysis.stack_traces import stack_hashes
from traceanalytics.semconv import spellings
from traceanalytics.spans.columns import coded, codes_of
from traceanalytics.spans.items import events
from traceanalytics.spans.schema import check_spans
from traceanalytics.topology import Forest
from traceanalytics.weights import group_sums, span_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.weights import Weights

__all__ = ["exceptions"]

_NEEDED: Final = ("trace_id", "span_id", "service", "start_time", "events")
_IN_LOGS: Final = {"exception.message": "message", "exception.stacktrace": "stack"}
"""OpenTracing's keys; they mean this on events named ``error``."""


def exceptions(spans: pd.DataFrame, *, weights: Weights = None) -> pd.DataFrame:
    """Answer which exceptions were recorded: one row a type, message and stack, particulars masked.

    Exceptions are events named ``exception`` and any other event with an exception's type (OpenTracing's ``error.kind`` too) or
    message. In messages URLs, quoted texts, ids, paths and numbers are masked; of stacks the innermost five frames count,
    without line numbers. An exception that passes through several spans is recorded by each of them: ``traces`` counts it once.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. The events of duplicates are left out.
    weights
        Column name or Series of how many traces each trace stands for.

    Returns
    -------
    pandas.DataFrame
        The commonest group first.

        - ``type``, ``message`` (category; masked), ``stack_hash`` (category): what makes the group; each may be missing
        - ``example_message`` (str): the message of the earliest occurrence as it was, missing where it has none
        - ``count``, ``spans``, ``traces`` (float64, weighted): occurrences, spans and traces with one
        - ``services`` (int64): how many different services recorded it
        - ``first_time``, ``last_time`` (datetime64[ns, UTC]): of the events; missing if none has a time
        - ``example_trace_id``, ``example_span_id``, ``example_service``: of the earliest occurrence
        - ``escaped_share`` (float64, 0 to 1): part of the occurrences that left the span (``exception.escaped``), among those
          that say; missing where none does

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, a cell of ``events`` is no list of events, or a weight is not usable.

    Notes
    -----
    Masking and fingerprint are this package's own; the attributes are those of OpenTelemetry's semantic conventions for
    exceptions.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.exception_groups import exceptions
    >>> def event(user):
    ...     said = {"exception.type": "KeyError", "exception.message": f"user {user}"}
    ...     return [{"time": 1767225600000000000, "name": "exception", "attributes": said}]
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1", "a2"], "span_id": ["b1", "b2"], "name": "GET", "service": "web",
    ...     "start_time": pd.Timestamp("2026-01-01", tz="UTC"), "duration_ms": 1.0, "events": [event(17), event(4)]}))
    >>> exceptions(spans)[["type", "message", "count", "traces"]].to_dict("records")
    [{'type': 'KeyError', 'message': 'user <number>', 'count': 2.0, 'traces': 2.0}]
    """
    check_spans(spans, *_NEEDED)
    weight = span_weights(spans, weights)
    row, found = _occurrences(spans)
    masked = message_patterns(found["message"])
    parts = {
        "type": coded(*pd.factorize(found["type"])),
        "message": coded(*pd.factorize(pd.Series(pd.array(masked, dtype="str")))),
        "stack_hash": coded(*pd.factorize(stack_hashes(found["stack"]))),
    }
    group, groups = _grouped([np.asarray(part.codes) for part in parts.values()])
    first = _earliest(spans, row, found["time"], group, groups)
    said = found["escaped"].notna().to_numpy()
    escaped = found["escaped"].fillna(0.0).to_numpy()
    weight = weight[row]
    ones = np.ones(len(row))
    time = found["time"].groupby(group)
    service = codes_of(spans["service"])[0].astype(np.int64)[row]
    trace = pd.factorize(spans["trace_id"])[0].astype(np.int64)[row]
    columns: dict[str, Any] = {name: part.take(first) for name, part in parts.items()}
    columns |= {
        "example_message": found["message"].array.take(first),
        "count": group_sums(group, groups, ones, weight),
        "spans": group_sums(group, groups, _new(group, row.astype(np.int64)), weight),
        "traces": group_sums(group, groups, _new(group, trace), weight),
        "services": np.bincount(group, weights=_new(group, service), minlength=groups).astype(np.int64),
        "first_time": time.min().array,
        "last_time": time.max().array,
        "example_trace_id": spans["trace_id"].array.take(row[first]),
        "example_span_id": spans["span_id"].astype("str").array.take(row[first]),
        "example_service": spans["service"].array.take(row[first]),
        "escaped_share": _share(group, groups, escaped, weight * said),
    }
    return _commonest_first(pd.DataFrame(columns, copy=False))


def _occurrences(spans: pd.DataFrame) -> tuple[NDArray[np.intp], pd.DataFrame]:
    """Return row and time, type, message, stack and escaped (1, 0 or missing) of every exception."""
    keys = [*spellings("exception.type"), "exception"]
    text = spans["events"].astype("str")
    holding = np.zeros(len(spans), dtype=bool)
    for key in keys:
        holding |= text.str.contains(key, regex=False, na=False).to_numpy(bool)
    holding |= text.str.contains('"error"', regex=False, na=False).to_numpy(bool)
    if holding.any():
        holding &= Forest(spans).depth >= 0
    rows = np.flatnonzero(holding)
    found = events(spans[list(_NEEDED)].iloc[rows].set_axis(rows))
    in_logs = (found["name"] == "error").to_numpy(bool)
    made = pd.DataFrame({"time": found["time"], "type": _texts(found, *spellings("exception.type"))})
    for name, key in (("message", "exception.message"), ("stack", "exception.stacktrace")):
        made[name] = _texts(found, key).fillna(_texts(found, _IN_LOGS[key]).where(in_logs))
    made["escaped"] = _escaped(found)
    is_one = (
        (found["name"] == "exception").to_numpy(bool)
        | made["type"].notna()
        | _texts(found, "exception.message").notna()
    )
    is_one |= in_logs & (made["message"].notna() | made["stack"].notna())
    made = made[np.asarray(is_one, dtype=bool)]
    return np.asarray(made.index, dtype=np.intp), made.reset_index(drop=True)


def _texts(found: pd.DataFrame, *keys: str) -> pd.Series:
    text = pd.Series([None] * len(found), index=found.index, dtype="str")
    for key in keys:
        if f"event.{key}" in found.columns:
            text = pd.Series(text.array, index=found.index).where(
                text.notna().to_numpy(), found[f"event.{key}"].astype("str").array
            )
    return text


def _escaped(found: pd.DataFrame) -> Any:
    said = _texts(found, "exception.escaped").str.lower()
    return said.map({"true": 1.0, "false": 0.0}).astype("float64").array


def _grouped(codes: list[NDArray[Any]]) -> tuple[NDArray[np.int64], int]:
    group = np.zeros(len(codes[0]), dtype=np.int64)
    for code in codes:
        own = code.astype(np.int64) + 1
        group = pd.factorize(group * (int(own.max(initial=0)) + 1) + own)[0].astype(np.int64)
    return group, int(group.max(initial=-1)) + 1


def _earliest(
    spans: pd.DataFrame, row: NDArray[np.intp], time: pd.Series, group: NDArray[np.int64], groups: int
) -> NDArray[np.intp]:
    """Return the first occurrence of each group; ties by ids, so that the order of rows does not matter."""
    ties = [
        spans[name].astype("str").iloc[row].rank(method="dense", na_option="bottom").to_numpy()
        for name in ("span_id", "trace_id")
    ]
    known = time.fillna(pd.Timestamp.max.tz_localize("UTC")).to_numpy()
    order = np.lexsort([*ties, known, group])
    bounds = np.searchsorted(group[order], np.arange(groups))
    return order[bounds]


def _new(group: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1.0 for the first occurrence of each pair of group and other, 0.0 for the rest; a missing other is none."""
    pair = pd.Series(group * (int(other.max(initial=0)) + 2) + other + 1)
    return (~pair.duplicated().to_numpy() & (other >= 0)).astype(np.float64)


def _share(
    group: NDArray[np.int64], groups: int, values: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    whole = group_sums(group, groups, np.ones(len(group)), weight)
    share: NDArray[np.float64] = np.divide(
        group_sums(group, groups, values, weight), whole, out=np.full(groups, np.nan), where=whole > 0
    )
    return share


def _commonest_first(made: pd.DataFrame) -> pd.DataFrame:
    ties = made[["type", "message", "stack_hash"]].astype("str").assign(count=-made["count"])
    order = ties.sort_values(["count", "type", "message", "stack_hash"], kind="stable").index
    return made.loc[order].reset_index(drop=True)
