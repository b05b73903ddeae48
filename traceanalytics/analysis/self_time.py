"""How long a span worked itself: its duration without what its children cover."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from traceanalytics.kernels import kernel
from traceanalytics.spans.columns import duration_ms
from traceanalytics.topology import Forest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.kernels import Ints

__all__ = ["self_ns", "self_time"]


def self_time(spans: pd.DataFrame) -> pd.Series:
    """Answer how much of a span's duration none of its children was running in.

    Children that run at the same time are counted once (the union of their intervals), and only as far as they lie within the
    span. All direct children count, asynchronous ones too; through an untimed child, its own children do.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. A child that was filtered away covers nothing: select whole traces.

    Returns
    -------
    pandas.Series
        ``self_ms`` (float64) on the index of ``spans``, from 0 to the span's duration; missing for duplicates and untimed spans,
        and 0 where the duration is negative.

    Raises
    ------
    SchemaError
        The frame lacks a column, or its index repeats a label.

    Examples
    --------
    >>> import pandas as pd
    >>> from traceanalytics.analysis.self_time import self_time
    >>> from traceanalytics.spans.conforming import conform
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = conform(
    ...     pd.DataFrame(
    ...         {
    ...             "trace_id": "01",
    ...             "span_id": ["a", "b", "c"],
    ...             "parent_span_id": [None, "a", "a"],
    ...             "name": ["checkout", "stock", "payment"],
    ...             "start_time": [t, t + pd.Timedelta("10ms"), t + pd.Timedelta("20ms")],
    ...             "duration_ms": [100.0, 40.0, 40.0],
    ...         }
    ...     )
    ... )
    >>> self_time(spans).tolist()
    [50.0, 40.0, 40.0]
    """
    forest = Forest(spans)
    known = forest.timed & (forest.depth >= 0)
    return pd.Series(np.where(known, duration_ms(self_ns(forest)), np.nan), index=spans.index, name="self_ms")


def self_ns(forest: Forest) -> NDArray[np.int64]:
    """Return each row's self time in nanoseconds, 0 for duplicates and untimed spans."""
    tree = forest.timed_tree
    own = np.zeros(forest.n_spans, dtype=np.int64)
    counted = (forest.timed & (forest.depth >= 0)).view(np.uint8)
    _uncovered(tree.child_offsets, tree.children, forest.start, forest.end, counted, own)
    return own


@kernel("own")
def _uncovered(  # noqa: PLR0917 - kernels take their arrays by position
    offsets: Ints, children: Ints, start: Ints, end: Ints, counted: Ints, own: Ints
) -> None:
    for row in range(len(counted)):
        if counted[row]:
            covered_until = start[row]
            left = end[row] - covered_until
            for at in range(offsets[row], offsets[row + 1]):  # by start
                child = children[at]
                begin, finish = max(start[child], covered_until), min(end[child], end[row])
                if finish > begin:
                    left -= finish - begin
                    covered_until = finish
            own[row] = left
