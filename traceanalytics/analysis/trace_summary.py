"""What a trace is, in one row: root, time, size, errors, completeness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from traceanalytics.spans.columns import NAT, codes_of, instants
from traceanalytics.spans.error_rule import is_error
from traceanalytics.topology import Flag, Forest

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["summary"]


def summary(spans: pd.DataFrame) -> pd.DataFrame:
    """Answer which traces there are: one row a trace.

    Duplicates count nowhere, and spans without a trace id belong to no trace.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``trace_id`` in the frame's own type, in order of first appearance; attaches to the spans by
        ``spans.join(ta.summary(spans)[["duration_ms"]], on="trace_id", rsuffix="_of_trace")``.

        - ``root_service``, ``root_name``: of the main root (the only span without a parent id, else the root that covers most
          time), in the frame's own types
        - ``start_time``, ``end_time`` (datetime64[ns, UTC]): earliest start and latest end of the timed spans
        - ``duration_ms`` (float64): duration of the main root, which is what its caller waited for; work that goes on
          afterwards makes ``end_time - start_time`` longer. Missing if the main root is untimed; 0 if its duration is negative
        - ``spans``, ``services``, ``errors`` (int64): how many; ``errors`` counts spans by :func:`~traceanalytics.is_error`
        - ``depth`` (int64): greatest depth; a root alone has 0
        - ``orphans`` (int64): spans whose parent is not in the frame
        - ``complete`` (bool): exactly one root, which has no parent id; so there are no orphans and no rings

    Raises
    ------
    SchemaError
        The frame lacks a column, or its index repeats a label.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2"], "parent_span_id": [None, "b1"],
    ...     "name": ["checkout", "stock"], "start_time": [t, t], "duration_ms": [100.0, 40.0], "status": ["UNSET", "ERROR"]}))
    >>> ta.summary(spans)[["root_name", "duration_ms", "spans", "errors", "depth", "complete"]].to_dict("records")
    [{'root_name': 'checkout', 'duration_ms': 100.0, 'spans': 2, 'errors': 1, 'depth': 1, 'complete': True}]
    """
    forest = Forest(spans)
    failed = is_error(spans).to_numpy()
    order = forest.order
    bounds = np.searchsorted(forest.trace[order], np.arange(forest.n_traces))
    flags = forest.flags[order]
    root = forest.main_root
    odd_root = (forest.flags[root] & (Flag.ORPHAN | Flag.CYCLE | Flag.SELF_PARENT)) != 0
    columns: dict[str, Any] = {
        "root_service": spans["service"].array.take(root),
        "root_name": spans["name"].array.take(root),
        "start_time": instants(_earliest(forest, bounds)),
        "end_time": instants(_reduced(np.maximum, forest.end[order], bounds)),  # unknown ends are the smallest number
        "duration_ms": np.where(forest.timed[root], (forest.end[root] - forest.start[root]) / 1e6, np.nan),
        "spans": np.diff(bounds, append=len(order)),
        "services": _distinct(forest, codes_of(spans["service"])[0]),
        "errors": _reduced(np.add, failed[order].astype(np.int64), bounds),
        "depth": _reduced(np.maximum, forest.depth[order], bounds).astype(np.int64),
        "orphans": _reduced(np.add, ((flags & Flag.ORPHAN) != 0).astype(np.int64), bounds),
        "complete": (_reduced(np.add, (forest.depth[order] == 0).astype(np.int64), bounds) == 1) & ~odd_root,
    }
    index = pd.Index(spans["trace_id"].array.take(root), name="trace_id")
    found = pd.DataFrame(columns, index=index, copy=False)
    return found if not index.hasnans else found[~index.isna()]


def _reduced(function: np.ufunc, values: NDArray[Any], bounds: NDArray[np.intp]) -> NDArray[Any]:
    return function.reduceat(values, bounds) if len(bounds) else values[:0]


def _earliest(forest: Forest, bounds: NDArray[np.intp]) -> NDArray[np.int64]:
    latest = np.iinfo(np.int64).max
    first = _reduced(np.minimum, np.where(forest.timed, forest.start, latest)[forest.order], bounds)
    return np.where(first == latest, NAT, first)


def _distinct(forest: Forest, codes: NDArray[np.int32]) -> NDArray[np.int64]:
    """Count the different codes of each trace; a missing one is none."""
    known = (codes >= 0) & (forest.depth >= 0)
    width = int(codes.max(initial=0)) + 1
    pairs = pd.unique(forest.trace[known].astype(np.int64) * width + codes[known])
    return np.bincount(pairs // width, minlength=forest.n_traces)
