"""Call paths: the calling context tree of many traces in one table, and the different shapes that traces have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.analysis.call_path_numbers import CallPaths, hex_ids, mixed, numbered_paths
from traceanalytics.analysis.requests import cut_off, distinct_traces, requests
from traceanalytics.analysis.self_time import self_ns
from traceanalytics.kernels import kernel
from traceanalytics.spans.columns import coded
from traceanalytics.spans.error_rule import is_error
from traceanalytics.topology import Forest
from traceanalytics.topology.links import grouped
from traceanalytics.weights import Weights, group_quantiles, group_sums

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    from numpy.typing import NDArray

    from traceanalytics.kernels import Ints

__all__ = ["call_tree", "shape_of", "trace_shapes"]

_WHOLE: Final = 30
"""Paths of up to so many calls are written in full; of longer ones the first and the last."""
_FIRST, _LAST = 8, 16


def call_tree(spans: pd.DataFrame, *, weights: Weights = None) -> pd.DataFrame:
    """Answer through which calls the time goes: one row a call path, all traces laid upon each other.

    A call path is the (service, name) of every span from the root down. Calls of one path are added up, in a trace and over
    traces, so that 200 queries in a loop are one row with 200 calls per request.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Select whole traces. Duplicates count nowhere; untimed spans count
        as calls and have no times.
    weights
        Sampling weights: the name of a column, or a Series on the frame's index. Each trace then counts as so many.

    Returns
    -------
    pandas.DataFrame
        Callers before what they call; siblings by the critical time in them and below, then by inclusive time and calls,
        greatest first.

        - ``path_id``, ``parent_path_id`` (str): 16 hex digits made of the services and names alone, the same in every frame
          and on every machine; the parent is missing where a path begins
        - ``depth`` (int64): 0 where a path begins
        - ``service``, ``name``: of the last call of the path, in the frame's own types
        - ``path`` (str): ``"web:GET / > db:SELECT"``; ``?`` is a missing service or an unknown caller; of more than 30 calls
          the first 8 and the last 16 are written
        - ``orphan`` (bool): the path begins at a span whose parent is not in the frame (or is the span itself, or in a
          ring), and is kept apart from the same calls below a root
        - ``calls``, ``traces``, ``errors`` (float64): spans, traces in which there is one, and spans that failed by
          :func:`~traceanalytics.is_error`
        - ``calls_per_request`` (float64): calls divided by the calls of the span that the path begins with
        - ``inclusive_ms``, ``self_ms``, ``critical_ms`` (float64): totals of the durations, of what no child covers, and of the
          time on the critical path, in milliseconds
        - ``critical_subtree_ms`` (float64): critical time of this path and of all that prolong it; where a path begins with
          the main roots, their end-to-end time
        - ``inclusive_p50_ms``, ``inclusive_p95_ms`` (float64): quantiles of the durations of the timed calls

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is unusable.
    OptionError
        There are no such weights.

    Notes
    -----
    The table is the calling context tree of Ammons, Ball and Larus (PLDI 1997), which CRISP draws for traces, with
    critical time beside the usual times.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.call_paths import call_tree
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2", "b3"],
    ...     "parent_span_id": [None, "b1", "b1"], "name": ["GET /", "SELECT", "SELECT"], "service": ["web", "db", "db"],
    ...     "start_time": [t, t + pd.Timedelta("10ms"), t + pd.Timedelta("40ms")], "duration_ms": [100.0, 20.0, 30.0]}))
    >>> call_tree(spans)[["depth", "path", "calls_per_request", "self_ms", "critical_ms"]]
       depth                   path  calls_per_request  self_ms  critical_ms
    0      0              web:GET /                1.0     50.0         50.0
    1      1  web:GET / > db:SELECT                2.0     50.0         50.0
    """
    forest = Forest(spans)
    asked = requests(spans, forest, weights=weights)
    paths = numbered_paths(spans, forest)
    n = len(paths.first)
    depth = forest.depth[paths.first].astype(np.int64)
    rows = np.flatnonzero(paths.of_row >= 0)
    code = paths.of_row[rows].astype(np.int64)
    trace = forest.trace[rows]
    weight = asked.weight[trace]
    inclusive = np.where(forest.timed, forest.end - forest.start, 0)
    calls = group_sums(code, n, np.ones(len(rows)), weight)
    times = {"inclusive_ms": inclusive, "self_ms": self_ns(forest), "critical_ms": asked.critical}
    totals = {name: group_sums(code, n, values[rows], weight) / 1e6 for name, values in times.items()}
    levels = group_quantiles(code, n, np.where(forest.timed, inclusive, np.nan)[rows] / 1e6, weight, [0.5, 0.95])
    subtree = group_sums(code, n, asked.critical[rows], weight)  # ns, so that sums are exact in any order
    _add_up(paths.above, subtree)
    order = _tree_order(paths, [subtree, totals["inclusive_ms"], calls])
    above, first = paths.above[order], paths.first[order]
    numbers: dict[str, Any] = {
        "orphan": paths.cut,
        "calls": calls,
        "traces": distinct_traces(code, n, trace, asked.weight),
        "calls_per_request": calls / calls[_ancestors(paths, depth, 0)],
        "errors": group_sums(code, n, is_error(spans).to_numpy()[rows], weight),
        **totals,
        "critical_subtree_ms": subtree / 1e6,
        "inclusive_p50_ms": levels[:, 0],
        "inclusive_p95_ms": levels[:, 1],
    }
    columns: dict[str, Any] = {
        "path_id": hex_ids(paths.identity[order]),
        "parent_path_id": hex_ids(paths.identity[above], known=above >= 0),
        "depth": depth[order],
        "service": spans["service"].array.take(first),
        "name": spans["name"].array.take(first),
        "path": _path_texts(paths, depth, order),
        **{name: values[order] for name, values in numbers.items()},
    }
    return pd.DataFrame(columns, copy=False)


def trace_shapes(spans: pd.DataFrame, *, weights: Weights = None) -> pd.DataFrame:
    """Answer how many different things the traces do: one row a shape.

    Two traces have the same shape if they consist of the same call paths, each equally often, in whatever order and time.
    A retry, a cache miss or one more row in a loop makes another shape.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Select whole traces.
    weights
        As for :func:`call_tree`.

    Returns
    -------
    pandas.DataFrame
        The most frequent shape first (ties by ``shape_id``).

        - ``shape_id`` (str): 16 hex digits made of the call paths alone, the same in every frame
        - ``root_service``, ``root_name``: of the example's main root, in the frame's own types
        - ``traces`` (float64): traces of this shape; ``share`` (float64): their part of all traces
        - ``spans``, ``depth`` (int64): spans of one such trace, and its greatest depth
        - ``complete`` (bool): exactly one root, which has no parent id; otherwise the shape is that of the pieces at hand
        - ``duration_p50_ms``, ``duration_p95_ms`` (float64): quantiles of the end-to-end time of the timed traces
        - ``example_trace_id``: the trace that took the median time (ties: the smallest id), in the frame's own type

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is unusable.
    OptionError
        There are no such weights.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.call_paths import trace_shapes
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1", "a1", "a2", "a3", "a3"], "span_id": ["b1", "b2", "b3", "b4", "b5"],
    ...     "parent_span_id": [None, "b1", None, None, "b4"], "service": "web", "name": ["GET", "SELECT", "GET", "GET", "SELECT"]}))
    >>> trace_shapes(spans)[["root_name", "traces", "share", "spans", "complete"]]
      root_name  traces     share  spans  complete
    0       GET     2.0  0.666667      2      True
    1       GET     1.0  0.333333      1      True
    """
    forest = Forest(spans)
    asked = requests(spans, forest, weights=weights)
    code, hashes = _shapes(spans, forest)
    n = len(hashes)
    traces = group_sums(code, n, np.ones(len(code)), asked.weight)
    duration = np.where(asked.timed, asked.length, np.nan) / 1e6
    levels = group_quantiles(code, n, duration, asked.weight, [0.5, 0.95])
    ids = pd.factorize(pd.Series(forest.trace_ids).astype("str"), sort=True)[0]
    typical = np.lexsort([ids, ~(duration == levels[code, 0]), code])
    example = typical[np.diff(code[typical], prepend=-1) != 0]
    root = forest.main_root[example]
    kept = forest.depth >= 0
    depth = np.zeros(forest.n_traces, dtype=np.int64)
    np.maximum.at(depth, forest.trace[kept], forest.depth[kept])
    columns: dict[str, Any] = {
        "shape_id": hex_ids(hashes),
        "root_service": spans["service"].array.take(root),
        "root_name": spans["name"].array.take(root),
        "traces": traces,
        "share": traces / traces.sum(),
        "spans": np.bincount(forest.trace[kept], minlength=forest.n_traces)[example],
        "depth": depth[example],
        "complete": _complete(forest)[example],
        "duration_p50_ms": levels[:, 0],
        "duration_p95_ms": levels[:, 1],
        "example_trace_id": spans["trace_id"].array.take(root),
    }
    order = np.lexsort([hashes, -traces])
    return pd.DataFrame({name: values.take(order) for name, values in columns.items()}, copy=False)


def shape_of(spans: pd.DataFrame) -> pd.Series:
    """Return the shape of each trace: ``shape_id`` (category) by ``trace_id``, in order of first appearance."""
    forest = Forest(spans)
    code, hashes = _shapes(spans, forest)
    index = pd.Index(spans["trace_id"].array.take(forest.main_root), name="trace_id")
    return pd.Series(coded(code, hex_ids(hashes)), index=index, name="shape_id")


def _shapes(spans: pd.DataFrame, forest: Forest) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return the number of each trace's shape, and the identity of each shape: a sum, so that order does not matter."""
    paths = numbered_paths(spans, forest)
    kept = paths.of_row >= 0
    total = np.zeros(forest.n_traces, dtype=np.uint64)
    np.add.at(total, forest.trace[kept], mixed(paths.identity)[paths.of_row[kept]])
    code, hashes = pd.factorize(total)
    return code.astype(np.int64), hashes


def _complete(forest: Forest) -> NDArray[np.bool_]:
    roots = forest.depth == 0
    lost = roots & cut_off(forest)
    one = np.bincount(forest.trace[roots], minlength=forest.n_traces) == 1
    return np.asarray(one & (np.bincount(forest.trace[lost], minlength=forest.n_traces) == 0))


def _tree_order(paths: CallPaths, keys: list[NDArray[np.float64]]) -> NDArray[np.int32]:
    """Return the paths in pre-order, siblings by the keys, greatest first, then by identity."""
    n = len(paths.above)
    up = np.where(paths.above < 0, n, paths.above).astype(np.int32)
    by_weight = np.argsort(-keys[0]).astype(np.int32)
    offsets, place = grouped(up[by_weight], n + 1)
    children = by_weight[place]
    # The further keys are looked at only where the first one leaves siblings equal: sorting by all costs four times as much.
    same = (np.diff(up[children]) == 0) & (np.diff(keys[0][children]) == 0)
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    run = np.cumsum(~np.append(False, same)[:n])[tied]
    some = children[tied]
    children[tied] = some[np.lexsort([paths.identity[some], *(-key[some] for key in keys[:0:-1]), run])]
    order = np.empty(n, dtype=np.int32)
    _pre_order(offsets, children, np.empty(n + 1, dtype=np.int32), order)
    return order


@kernel("order", scratch=("stack",))
def _pre_order(offsets: Ints, children: Ints, stack: Ints, order: Ints) -> None:
    stack[0] = len(order)  # stands for what is above all of them
    waiting, found = 1, 0
    while waiting > 0:
        waiting -= 1
        node = stack[waiting]
        if node < len(order):
            order[found] = node
            found += 1
        for at in range(offsets[node + 1] - 1, offsets[node] - 1, -1):
            stack[waiting] = children[at]
            waiting += 1


@kernel("total")
def _add_up(above: Ints, total: MutableSequence[float]) -> None:
    for path in range(len(above) - 1, -1, -1):
        if above[path] >= 0:
            total[above[path]] += total[path]


@kernel("ancestor")
def _find_ancestors(above: Ints, depth: Ints, wanted: int, ancestor: Ints) -> None:
    for path in range(len(above)):
        ancestor[path] = path if depth[path] <= wanted else ancestor[above[path]]


def _ancestors(paths: CallPaths, depth: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """Return the path that the first ``wanted + 1`` calls of each path make; of shorter ones, itself."""
    ancestor = np.empty(len(paths.above), dtype=np.int64)
    _find_ancestors(paths.above, depth, wanted, ancestor)
    return ancestor


def _path_texts(paths: CallPaths, depth: NDArray[np.int64], order: NDArray[np.int32]) -> Any:
    """Return the text of each path, in the order asked for; depth by depth, made of the texts above, all at once.

    A chain of n calls would need n * n letters, so that the middle of long paths is left out.
    """
    names = pa.array(paths.operation_texts, pa.large_string())

    def own(some: NDArray[Any]) -> pa.LargeStringArray:
        return names.take(pa.array(paths.operation[some]))

    by_depth = np.argsort(depth, kind="stable")
    place = np.empty(len(depth), dtype=np.int64)
    place[by_depth] = np.arange(len(depth))
    bounds = np.searchsorted(depth[by_depth], np.arange(_WHOLE + 1))
    top = by_depth[: bounds[1]]
    levels = [pc.if_else(pa.array(paths.cut[top]), _joined("?", own(top)), own(top))]
    for level in range(1, _WHOLE):
        some = by_depth[bounds[level] : bounds[level + 1]]
        above = levels[-1].take(pa.array(place[paths.above[some]] - bounds[level - 1]))
        levels.append(_joined(above, own(some)))
    long = by_depth[bounds[_WHOLE] :]
    if len(long):
        ancestor = _ancestors(paths, depth, _FIRST - 1)[long]
        head = levels[_FIRST - 1].take(pa.array(place[ancestor] - bounds[_FIRST - 1]))
        depths, which = np.unique(depth[long], return_inverse=True)
        omitted = [f"... {at:,} more ..." for at in (depths + 1 - _FIRST - _LAST).tolist()]
        tail: list[NDArray[Any]] = [long]
        for _ in range(_LAST - 1):
            tail.append(paths.above[tail[-1]])
        middle = pa.array(omitted, pa.large_string()).take(pa.array(which))
        levels.append(_joined(head, middle, *(own(path) for path in reversed(tail))))
    return pd.array(pa.concat_arrays(levels).take(pa.array(place[order])), dtype="str")


def _joined(*texts: Any) -> pa.LargeStringArray:
    typed = [pa.scalar(text, pa.large_string()) if isinstance(text, str) else text for text in (*texts, " > ")]
    return pc.binary_join_element_wise(*typed)
