"""Where the time goes, by group of spans; and rate, errors and duration of operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from traceanalytics.analysis.remote_calls import CLIENT, CONSUMER, PRODUCER, SERVER, kind_codes, remote_calls
from traceanalytics.analysis.request_times import width_ns
from traceanalytics.analysis.requests import Entry, cut_off, distinct_traces, requests
from traceanalytics.analysis.self_time import self_ns
from traceanalytics.analysis.span_groups import By, span_groups
from traceanalytics.spans.columns import NAT, instants
from traceanalytics.spans.error_rule import is_error
from traceanalytics.topology import Forest
from traceanalytics.weights import Weights, group_quantiles, group_sums, span_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["latency_breakdown", "operations"]

_QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_MEASURES: Final = ("inclusive", "self", "critical")
_BREAKDOWN: Final = (
    "calls",
    "traces",
    "calls_per_request",
    "orphans",
    *(f"{measure}{level}_ms" for measure in _MEASURES for level in ("", "_p50", "_p95", "_p99")),
    "share",
    "server_self_ms",
    "client_self_ms",
    "gap_ms",
    "internal_self_ms",
)
_RED: Final = ("bin_start", "calls", "rate_per_s", "errors", "error_rate", "p50_ms", "p95_ms", "p99_ms")


def latency_breakdown(
    spans: pd.DataFrame, *, by: By = ("service", "name"), entry: Entry = None, weights: Weights = None
) -> pd.DataFrame:
    """Answer where the time of the requests goes: one row a group of spans.

    Three times are told apart. *Inclusive* time is a span's duration, children included; added up, it counts the same moment
    once a level. *Self* time is what no child covers; calls that run together are added up, so its total is work, not
    waiting. *Critical* time is the part of the end-to-end time that the span is responsible for; its total over all groups is
    the duration of the requests, exactly.

    Self time is split further, so that no moment counts twice. ``server_self_ms + client_self_ms + gap_ms +
    internal_self_ms`` is ``self_ms`` for every group. The gap of a remote call is the client span's duration minus that of
    the server span below it: network and queue, which neither side owns. It belongs to the group of the client span, is never
    negative (clocks and late servers can make it so; then it is 0), and never more than that client's self time. What is left
    of a client's self time is client self time: above all that of calls whose other end left no span, such as databases.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Select whole traces. Duplicates count nowhere; untimed spans count as
        calls and have no times; a negative duration counts as 0.
    by
        A column of the frame or an attribute key (as for :func:`~traceanalytics.attribute`), or a list of them. A missing
        value is a group of its own, so that the groups add up to the whole.
    entry
        Only the traces whose main root has this name, or this (service, name). None: all traces.
    weights
        Sampling weights: the name of a column, or a Series on the frame's index. Each trace then counts as so many.

    Returns
    -------
    pandas.DataFrame
        Most critical time first (then self time, calls, labels).

        - the keys of ``by``, in the frame's own types
        - ``calls``, ``traces`` (float64): spans, and traces in which there is one
        - ``calls_per_request`` (float64): calls divided by the number of selected traces
        - ``orphans`` (float64): calls whose parent is not in the frame (or is the span itself, or in a ring); their trace is
          cut, and their time may be missing from the critical path
        - ``inclusive_ms``, ``self_ms``, ``critical_ms`` (float64): totals in milliseconds; each with ``_p50_ms``,
          ``_p95_ms``, ``_p99_ms`` (``self_p95_ms``): quantiles over the timed calls, 0 off the path included
        - ``share`` (float64): critical time as a part of the end-to-end time of the selected traces; adds up to 1
        - ``server_self_ms`` (SERVER and CONSUMER spans), ``client_self_ms`` (CLIENT and PRODUCER, without gap), ``gap_ms``,
          ``internal_self_ms`` (all other kinds) (float64): the self time, split

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is unusable.
    OptionError
        ``by`` is neither column nor attribute, no trace has this entry, or there are no such weights.

    Notes
    -----
    Critical time is that of :func:`~traceanalytics.critical_path`. Quantiles are observed values (inverse of the
    distribution function).

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.latency import latency_breakdown
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2", "b3"],
    ...     "parent_span_id": [None, "b1", "b2"], "name": ["checkout", "pay", "pay"], "service": ["shop", "shop", "bank"],
    ...     "kind": ["SERVER", "CLIENT", "SERVER"], "start_time": [t, t + pd.Timedelta("20ms"), t + pd.Timedelta("30ms")],
    ...     "duration_ms": [100.0, 60.0, 40.0]}))
    >>> latency_breakdown(spans)[["service", "name", "critical_ms", "share", "server_self_ms", "client_self_ms", "gap_ms"]]
      service      name  critical_ms  share  server_self_ms  client_self_ms  gap_ms
    0    bank       pay         40.0    0.4            40.0             0.0     0.0
    1    shop  checkout         40.0    0.4            40.0             0.0     0.0
    2    shop       pay         20.0    0.2             0.0             0.0    20.0
    """
    forest = Forest(spans)
    asked = requests(spans, forest, entry=entry, weights=weights)
    groups = span_groups(spans, by, where=(forest.depth >= 0) & asked.chosen[forest.trace], results=_BREAKDOWN)
    rows, code, n = groups.rows, groups.code, groups.size
    trace = forest.trace[rows]
    weight = asked.weight[trace]
    own = self_ns(forest)
    measured = {
        "inclusive": np.where(forest.timed, forest.end - forest.start, 0),
        "self": own,
        "critical": asked.critical,
    }
    made: dict[str, NDArray[Any]] = dict.fromkeys(_BREAKDOWN, np.empty(0))
    made["calls"] = group_sums(code, n, np.ones(len(rows)), weight)
    made["traces"] = distinct_traces(code, n, trace, asked.weight)
    made["calls_per_request"] = _parts(made["calls"], float(asked.weight[asked.chosen].sum()))
    made["orphans"] = group_sums(code, n, cut_off(forest)[rows], weight)
    timed = forest.timed[rows]
    for name, values in measured.items():
        some = values[rows]
        made[f"{name}_ms"] = group_sums(code, n, some, weight) / 1e6
        levels = group_quantiles(code, n, np.where(timed, some, np.nan), weight, list(_QUANTILES.values())) / 1e6
        for at, level in enumerate(_QUANTILES):
            made[f"{name}_{level}_ms"] = levels[:, at]
    whole = float((asked.length * asked.weight)[asked.chosen].sum()) / 1e6
    made["share"] = _parts(made["critical_ms"], whole)
    for name, values in _split(spans, forest, own).items():
        made[name] = group_sums(code, n, values[rows], weight) / 1e6
    order = groups.ranked(made["critical_ms"], made["self_ms"], made["calls"])
    return _table(groups.labels | made, order)


def operations(
    spans: pd.DataFrame,
    *,
    freq: str | pd.Timedelta | None = None,
    by: By = ("service", "name"),
    weights: Weights = None,
) -> pd.DataFrame:
    """Answer how often each operation is called, how often it fails and how long it takes (rate, errors, duration).

    A call of an operation is a span of kind SERVER or CONSUMER, or the root of a trace whatever its kind (a batch job, a
    cron job, a traced client). CLIENT spans below are the same calls seen from the other side, and INTERNAL spans are
    none. A span whose parent was lost is no root in this sense.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order.
    freq
        Width of time bins, a pandas offset alias of fixed length (``"1min"``, ``"2h"``, ``"D"``): one row a group and bin.
        Bins are counted from 1970-01-01 UTC, a call is in the bin that it starts in, and bins without calls are not made up.
    by
        As for :func:`latency_breakdown`.
    weights
        As for :func:`latency_breakdown`.

    Returns
    -------
    pandas.DataFrame
        Most calls first; with ``freq``, by bin and then so.

        - the keys of ``by``, in the frame's own types
        - ``bin_start`` (datetime64[ns, UTC]; only with ``freq``): start of the bin; missing for calls without a start
        - ``calls`` (float64): calls, untimed ones included
        - ``rate_per_s`` (float64): calls a second of the observed time, which is that from the earliest start to the latest
          end of all timed spans of the frame, or with ``freq`` the width of the bin (the first and last one may be cut)
        - ``errors`` (float64): calls that failed, by :func:`~traceanalytics.is_error`; ``error_rate`` (float64): their part
        - ``p50_ms``, ``p95_ms``, ``p99_ms`` (float64): quantiles of the durations of the timed calls

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is unusable.
    OptionError
        ``by`` is neither column nor attribute, ``freq`` is no fixed length of time, or there are no such weights.

    Notes
    -----
    A rate over sampled traces needs ``weights``; without them it is the rate of what was kept.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.latency import operations
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1", "a2"], "span_id": ["b1", "b2"], "name": "checkout",
    ...     "service": "shop", "kind": "SERVER", "start_time": [t, t + pd.Timedelta("1900ms")], "duration_ms": [40.0, 100.0],
    ...     "status": ["UNSET", "ERROR"]}))
    >>> operations(spans).drop(columns=["service", "p99_ms"])
           name  calls  rate_per_s  errors  error_rate  p50_ms  p95_ms
    0  checkout    2.0         1.0     1.0         0.5    40.0   100.0
    """
    width = None if freq is None else width_ns(freq)
    forest = Forest(spans)
    kind = kind_codes(spans)
    roots = (forest.depth == 0) & ~cut_off(forest)
    called = (forest.depth >= 0) & ((kind == SERVER) | (kind == CONSUMER) | roots)
    groups = span_groups(spans, by, where=called, results=_RED)
    rows, cell, n = groups.rows, groups.code, groups.size
    weight = span_weights(spans, weights)[rows]
    labels, ranks = dict(groups.labels), [np.argsort(groups.ranked())]
    if width is not None:
        start = forest.start[rows]
        bins = np.where(start == NAT, NAT, start - start % width)
        cell, group, bin_ns = _cells(groups.code, bins)
        n = len(group)
        labels = {key: values.take(group) for key, values in labels.items()} | {"bin_start": instants(bin_ns)}
        ranks = [ranks[0][group], bin_ns]
    calls = group_sums(cell, n, np.ones(len(rows)), weight)
    errors = group_sums(cell, n, is_error(spans).to_numpy()[rows], weight)
    duration = np.where(forest.timed, forest.end - forest.start, np.nan)[rows] / 1e6
    levels = group_quantiles(cell, n, duration, weight, list(_QUANTILES.values()))
    made: dict[str, NDArray[Any]] = {"calls": calls}
    made["rate_per_s"] = _parts(calls, (_observed_ns(forest) if width is None else width) / 1e9)
    made |= {"errors": errors, "error_rate": errors / calls}
    made |= {f"{name}_ms": levels[:, at] for at, name in enumerate(_QUANTILES)}
    if width is not None:
        made["rate_per_s"][bin_ns == NAT] = np.nan
    order = np.lexsort([ranks[0], -calls, *ranks[1:]])
    if width is not None:  # calls without a start come last: their bin is no instant
        order = order[np.argsort(bin_ns[order] == NAT, kind="stable")]
    return _table(labels | made, order)


def _split(spans: pd.DataFrame, forest: Forest, own: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Part each row's self time into four that add up to it."""
    kind = kind_codes(spans)
    calls = remote_calls(spans, forest)
    gap = np.zeros(forest.n_spans, dtype=np.int64)
    np.add.at(gap, calls.caller[calls.paired], np.maximum(calls.gap_ns[calls.paired], 0))
    gap = np.minimum(gap, own)
    server, client = (kind == SERVER) | (kind == CONSUMER), (kind == CLIENT) | (kind == PRODUCER)
    return {
        "server_self_ms": np.where(server, own, 0),
        "client_self_ms": np.where(client, own - gap, 0),
        "gap_ms": gap,
        "internal_self_ms": np.where(server | client, 0, own),
    }


def _parts(values: NDArray[np.float64], whole: float) -> NDArray[np.float64]:
    return values / whole if whole > 0 else np.full(len(values), np.nan)


def _table(columns: dict[str, Any], order: NDArray[np.intp]) -> pd.DataFrame:
    return pd.DataFrame({name: values.take(order) for name, values in columns.items()}, copy=False)


def _observed_ns(forest: Forest) -> int:
    known = forest.timed & (forest.depth >= 0)
    return int(forest.end[known].max() - forest.start[known].min()) if known.any() else 0


def _cells(
    group: NDArray[np.int64], bins: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return each row's cell of group and bin, and group and bin of each cell that has rows."""
    at, labels = pd.factorize(bins)
    cell, pairs = pd.factorize(group * max(len(labels), 1) + at)
    return cell, pairs // max(len(labels), 1), labels[pairs % max(len(labels), 1)]
