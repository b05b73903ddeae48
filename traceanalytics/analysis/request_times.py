"""When requests or calls happened, how long they took and whether they failed: what charts of latency are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from traceanalytics.analysis.requests import requests
from traceanalytics.errors import OptionError, check_option
from traceanalytics.spans.error_rule import is_error
from traceanalytics.topology import Forest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.analysis.requests import Entry
    from traceanalytics.weights import Weights

__all__ = ["Of", "RequestTimes", "TimeBins", "duration_edges", "request_times", "time_bins", "width_ns"]

Of: TypeAlias = Literal["requests", "spans"]

_WIDTHS_S: Final = (*(m * 10.0**e for e in range(-6, 0) for m in (1, 2, 5)), 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800)  # fmt: skip


class RequestTimes(NamedTuple):
    """Requests or spans whose start and duration are known; arrays with one element each, in order of the frame's traces."""

    row: NDArray[np.int64]
    """Position in the frame: of the main root, or of the span."""
    start: NDArray[np.int64]
    """Unix time in ns."""
    duration_ms: NDArray[np.float64]
    failed: NDArray[np.bool_]
    weight: NDArray[np.float64]
    trace_id: list[str]
    untimed: int
    """How many are left out, because their start or duration is unknown."""


class TimeBins(NamedTuple):
    """Bins of equal width along the time."""

    edges: NDArray[np.int64]
    """Unix time in ns, one more than there are bins."""
    of: NDArray[np.int64]
    """The bin of each instant."""


def request_times(
    spans: pd.DataFrame, *, of: Of = "requests", entry: Entry = None, weights: Weights = None
) -> RequestTimes:
    """Return start, duration and failure of each request (the main root of each trace), or of each span.

    Raises
    ------
    OptionError
        ``of`` is neither, or no trace has this entry.
    """
    check_option("of", of, ("requests", "spans"))
    forest = Forest(spans)
    asked = requests(spans, forest, entry=entry, weights=weights)
    if of == "requests":
        rows = forest.main_root[asked.chosen].astype(np.int64)
    else:
        rows = np.flatnonzero((forest.depth >= 0) & asked.chosen[forest.trace])
    known = forest.timed[rows]
    kept = rows[known]
    ids = np.asarray(forest.trace_ids.astype("object"))
    return RequestTimes(
        row=kept,
        start=forest.start[kept],
        duration_ms=(forest.end[kept] - forest.start[kept]) / 1e6,
        failed=is_error(spans).to_numpy()[kept],
        weight=asked.weight[forest.trace[kept]],
        trace_id=[str(trace_id) for trace_id in ids[forest.trace[kept]]],
        untimed=int((~known).sum()),
    )


def time_bins(start: NDArray[np.int64], freq: str | pd.Timedelta | None, *, about: int) -> TimeBins:
    """Return bins that hold all instants: of a fixed width, or of a round one so that there are about so many.

    Raises
    ------
    OptionError
        ``freq`` is no fixed length of time, or so short that there are more than 10,000 bins.
    """
    if not len(start):
        return TimeBins(np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64))
    first, last = int(start.min()), int(start.max())
    if freq is None:
        wanted = (last - first) / about / 1e9
        width = round(
            next((s for s in _WIDTHS_S if s >= wanted), _WIDTHS_S[-1] * max(1, wanted // _WIDTHS_S[-1])) * 1e9
        )
    else:
        width = width_ns(freq)
    low = first // width
    n = last // width - low + 1
    if n > 10_000:
        raise OptionError(f"freq={freq!r} makes {n:,} bins, more than 10,000; give a longer one")
    return TimeBins((low + np.arange(n + 1)) * width, start // width - low)


def duration_edges(duration_ms: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Return the edges of bins of equal width on a logarithmic scale, from the shortest duration above 0 to the longest.

    >>> duration_edges(np.array([0.0, 1.0, 100.0]), 2).round(6).tolist()
    [1.0, 10.0, 100.0]
    """
    positive = duration_ms[duration_ms > 0]
    low, high = (float(positive.min()), float(positive.max())) if len(positive) else (0.001, 1.0)
    if high / low < 1.5:
        low, high = low / 1.3, high * 1.3
    return np.geomspace(low, high * (1 + 1e-9), bins + 1)


def width_ns(freq: str | pd.Timedelta) -> int:
    """Return a fixed length of time in nanoseconds.

    Raises
    ------
    OptionError
        It is none, such as a month.
    """
    offset: Any = None
    try:
        offset = to_offset(freq)
        width = pd.Timedelta(offset).as_unit("ns").value
    except (TypeError, ValueError):
        width = 0
    if width <= 0:
        raise OptionError(f"freq={freq!r} is no fixed length of time; give an alias such as '1min', '2h' or 'D'")
    return int(width)
