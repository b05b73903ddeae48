"""Requests: which traces an analysis is about, how long each took, what each counts for, and its time a span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from traceanalytics.analysis.path_segments import walk
from traceanalytics.errors import OptionError, near
from traceanalytics.spans.columns import codes_of
from traceanalytics.topology import Flag
from traceanalytics.weights import span_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.topology import Forest
    from traceanalytics.weights import Weights

__all__ = ["Entry", "Requests", "cut_off", "distinct_traces", "requests"]

Entry: TypeAlias = str | tuple[str | None, str] | None
"""What functions take: the name of a root operation, (service, name), or None for every trace."""


class Requests(NamedTuple):
    """The traces of a frame as requests; arrays a trace are by the forest's numbers, arrays a span by row position."""

    chosen: NDArray[np.bool_]
    """A trace: its main root is the wanted entry."""
    weight: NDArray[np.float64]
    """A trace: how many traces it stands for."""
    timed: NDArray[np.bool_]
    """A trace: something in it has a start and a duration, so that it has a critical path."""
    length: NDArray[np.int64]
    """A trace, ns: end-to-end time, which is the duration of the root of its critical path; 0 where not timed."""
    critical: NDArray[np.int64]
    """A span, ns: time on the critical path of its trace. The sum over a trace is its length, exactly."""


def requests(spans: pd.DataFrame, forest: Forest, *, entry: Entry = None, weights: Weights = None) -> Requests:
    """Return the requests of a frame; an entry that no trace has is an error, unless there are no traces."""
    weight = span_weights(spans, weights)[forest.main_root]
    chosen = _chosen(spans, forest, entry)
    found = walk(spans, forest)
    critical = np.zeros(forest.n_spans, dtype=np.int64)
    np.add.at(critical, found.row, found.length)
    length = np.zeros(forest.n_traces, dtype=np.int64)
    trace = forest.trace[found.root]
    np.add.at(length, trace, found.length)
    timed = np.zeros(forest.n_traces, dtype=bool)
    timed[trace] = forest.timed[found.root]
    return Requests(chosen, weight, timed, length, critical)


def distinct_traces(
    group: NDArray[np.int64], n_groups: int, trace: NDArray[np.int32], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return for each group the weight of the different traces that it occurs in; ``weight`` is a trace."""
    width = max(len(weight), 1)
    pairs = pd.unique(group * width + trace)
    return np.bincount(pairs // width, weights=weight[pairs % width], minlength=n_groups).astype(np.float64)


def cut_off(forest: Forest) -> NDArray[np.bool_]:
    """Mark the roots that have a parent somewhere, only not in the frame (or in a ring)."""
    return np.asarray(forest.flags & np.uint16(Flag.ORPHAN | Flag.CYCLE | Flag.SELF_PARENT), dtype=bool)


def _chosen(spans: pd.DataFrame, forest: Forest, entry: Entry) -> NDArray[np.bool_]:
    if entry is None:
        return np.ones(forest.n_traces, dtype=bool)
    given: Any = entry  # whatever the annotation says
    if isinstance(given, str):
        given = (None, given)
    if not (isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], str)):
        raise OptionError(
            f"entry={entry!r} is no root operation; give its name, or (service, name), or None for every trace"
        )
    chosen = _bears(spans["name"], forest.main_root, given[1])
    if not isinstance(entry, str):
        chosen &= _bears(spans["service"], forest.main_root, given[0])
    if forest.n_traces and not chosen.any():
        known = pd.unique(spans["name"].iloc[forest.main_root].astype("str").dropna())
        raise OptionError(
            f"entry={entry!r} is the main root of none of the {forest.n_traces:,} traces{near(given[1], known)}; "
            "ta.summary(spans) shows root_service and root_name of every trace"
        )
    return chosen


def _bears(column: pd.Series, rows: NDArray[np.int32], wanted: str | None) -> NDArray[np.bool_]:
    codes, labels = codes_of(column)
    if wanted is None:
        return np.less(codes[rows], 0)
    place = int(labels.get_indexer(pd.Index([wanted], dtype="object"))[0])
    return np.equal(codes[rows], place) & (place >= 0)
