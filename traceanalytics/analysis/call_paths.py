"""Call paths: the calling context tree of many traces in one table, and the different shapes that traces have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

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
    rows = np.flatnonzero(paths.of_row >= 0)
    code = paths.of_row[rows].astype(np.int64)
    trace = forest.trace[rows]
    weight = asked.weight[trace]
    inclusive = np.where(forest.timed, forest.end - forest.start, 0)
    calls = group_sums(code, n, np.ones(len(rows)), weight)
    times = {"inclusive_ms": inclusive, "self_ms": self_ns(forest), "critical_ms": asked.critical}
    totals = {name: group_sums(code, n, values[rows], weight) / 1e6 for name, values in times.items()}
    levels = group_quantiles(code, n, np.where(forest.timed, inclusive, np.nan)[rows] / 1e6, weight, [0.5, 0.95])
    ids = hex_ids(paths.identity)
    subtree = group_sums(code, n, asked.critical[rows], weight)  # ns, so that sums are exact in any order
    _add_up(paths.above, subtree)
    order = _tree_order(paths, [subtree, totals["inclusive_ms"], calls])
    columns: dict[str, Any] = {
        "path_id": ids,
        "parent_path_id": ids.take(paths.above, allow_fill=True),
        "depth": forest.depth[paths.first].astype(np.int64),
        "service": spans["service"].array.take(paths.first),
        "name": spans["name"].array.take(paths.first),
        "path": pd.array(_path_texts(paths, forest.depth[paths.first].tolist()), dtype="str"),
        "orphan": paths.cut,
        "calls": calls,
        "traces": distinct_traces(code, n, trace, asked.weight),
        "calls_per_request": calls / calls[_beginnings(paths)],
        "errors": group_sums(code, n, is_error(spans).to_numpy()[rows], weight),
        **totals,
        "critical_subtree_ms": subtree / 1e6,
        "inclusive_p50_ms": levels[:, 0],
        "inclusive_p95_ms": levels[:, 1],
    }
    return pd.DataFrame({name: values.take(order) for name, values in columns.items()}, copy=False)


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
    by_weight = np.lexsort([paths.identity, *(-key for key in reversed(keys))]).astype(np.int32)
    offsets, place = grouped(np.where(paths.above < 0, n, paths.above).astype(np.int32)[by_weight], n + 1)
    order = np.empty(n, dtype=np.int32)
    _pre_order(offsets, by_weight[place], np.empty(n + 1, dtype=np.int32), order)
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


@kernel("beginning")
def _find_beginnings(above: Ints, beginning: Ints) -> None:
    for path in range(len(above)):
        beginning[path] = path if above[path] < 0 else beginning[above[path]]


def _beginnings(paths: CallPaths) -> NDArray[np.int32]:
    beginning = np.empty(len(paths.above), dtype=np.int32)
    _find_beginnings(paths.above, beginning)
    return beginning


def _path_texts(paths: CallPaths, depth: list[int]) -> list[str]:
    """Return a text a path; a chain of n calls would need n * n letters, so that the middle of long ones is left out."""
    above, own = paths.above.tolist(), [paths.operation_texts[operation] for operation in paths.operation.tolist()]
    texts: list[str] = []
    head = list(range(len(above)))  # the path that the first calls of this one make
    for path, up in enumerate(above):
        if up < 0:
            texts.append(f"? > {own[path]}" if paths.cut[path] else own[path])
            continue
        if depth[path] >= _FIRST:
            head[path] = head[up]
        if depth[path] < _WHOLE:
            texts.append(f"{texts[up]} > {own[path]}")
        else:
            tail, at = [], path
            for _ in range(_LAST):
                tail.append(own[at])
                at = above[at]
            left_out = depth[path] + 1 - _FIRST - _LAST
            texts.append(f"{texts[head[path]]} > ... {left_out:,} more ... > {' > '.join(reversed(tail))}")
    return texts
