"""How long requests take: a histogram on a logarithmic scale, with percentiles and failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from traceanalytics.analysis.request_times import duration_edges, request_times
from traceanalytics.analysis.trace_rows import counted, duration_text
from traceanalytics.errors import OptionError
from traceanalytics.plot.bars import rectangles
from traceanalytics.plot.chart import (
    SMALL,
    Margins,
    check_title,
    duration_axis,
    entry_text,
    new_chart,
    write,
    write_empty,
    write_title,
)
from traceanalytics.plot.lettering import Lettering
from traceanalytics.plot.style import PALETTE, theme_named
from traceanalytics.weights import group_quantiles

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from traceanalytics.analysis.request_times import Of, RequestTimes
    from traceanalytics.analysis.requests import Entry
    from traceanalytics.plot.style import Theme
    from traceanalytics.weights import Weights

__all__ = ["latency_histogram"]

_SIZE: Final = (9.0, 3.6)
_LEVELS: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def latency_histogram(
    spans: pd.DataFrame,
    *,
    of: Of = "requests",
    entry: Entry = None,
    bins: int = 60,
    weights: Weights = None,
    ax: Axes | None = None,
    title: str | None = None,
    theme: Literal["light", "dark"] = "light",
) -> Axes:
    """Draw how long requests take: how many fall into each range of duration, and where the percentiles are.

    The scale of durations is logarithmic, since they spread over powers of ten: two humps are two kinds of requests (a cache
    that was hit or not, a retry, a timeout), which a mean hides. Failed requests are the red part of each bar.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order.
    of
        ``"requests"``: one duration a trace, that of its main root. ``"spans"``: one a span; choose them before, as in
        ``ta.plot.latency_histogram(spans[spans["name"] == "charge"], of="spans")``.
    entry
        Only the traces whose main root has this name, or this (service, name).
    bins
        Number of bars, 1 to 500.
    weights
        Sampling weights: the name of a column, or a Series on the frame's index.
    ax
        Axes to draw on; without it, a figure is made.
    title
        In place of what is shown; ``""`` for none.
    theme
        ``"dark"``: light letters on a dark figure.

    Returns
    -------
    matplotlib.axes.Axes
        Durations in ms on the logarithmic x axis, requests (weighted) on the y axis. Durations of 0 are in the first bar.

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is unusable.
    OptionError
        An option is not one of those allowed, or no trace has this entry.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1", "a2"], "span_id": ["b1", "b2"], "name": "checkout",
    ...     "start_time": pd.Timestamp("2026-01-01", tz="UTC"), "duration_ms": [100.0, 40.0]}))
    >>> ta.plot.latency_histogram(spans).get_title(loc="left")
    'duration of 2 requests'
    """
    if type(bins) is not int or not 1 <= bins <= 500:
        raise OptionError(f"bins={bins!r} is no number of bars; give 1 to 500")
    check_title(title)
    colors = theme_named(theme)
    times = request_times(spans, of=of, entry=entry, weights=weights)
    noun = "request" if of == "requests" else "span"
    margins = Margins(left=0.75, right=0.3, top=0.95, bottom=0.45)
    ax = new_chart(ax, size=_SIZE, margins=margins, theme=colors, grid="y")
    if not len(times.start):
        write_empty(ax, f"no {noun} with a known start and duration", theme=colors)
    else:
        _draw(ax, times, bins, colors)
    what = f"duration of {counted(round(times.weight.sum()), noun)}{entry_text(entry)}" if title is None else title
    failed = times.weight[times.failed].sum()
    note = [f"{failed:,.0f} failed ({failed / times.weight.sum():.1%}), in red"] if failed else []
    note += [f"{counted(times.untimed, noun)} without a known time left out"] if times.untimed else []
    write_title(ax, what, " · ".join(note), theme=colors, left=0.5, above=0.2)
    return ax


def _draw(ax: Axes, times: RequestTimes, bins: int, theme: Theme) -> None:
    edges = duration_edges(times.duration_ms, bins)
    values = np.clip(times.duration_ms, edges[0], edges[-1])
    total = _counts(values, times.weight, edges)
    failed = _counts(values[times.failed], times.weight[times.failed], edges)
    _bars(ax, edges, np.zeros(bins), failed, theme.error, label="_failed", hatch="////", theme=theme)
    _bars(ax, edges, failed, total, PALETTE[3], label="_requests", hatch=None, theme=theme)
    ax.set_xscale("log")
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0, float(total.max()) * 1.05)
    ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    duration_axis(ax.xaxis)
    _mark_percentiles(ax, times, theme)


def _counts(
    values: NDArray[np.float64], weight: NDArray[np.float64], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.histogram(values, bins=edges, weights=weight)[0].astype(np.float64)


def _bars(
    ax: Axes, edges: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], fill: str, *, label: str, hatch: str | None, theme: Theme
) -> None:  # fmt: skip
    some = np.flatnonzero(high > low)
    left, right = edges[some], edges[some + 1]
    corners = rectangles(left, right, low[some], high[some])
    ax.add_collection(
        PolyCollection(
            corners, facecolors=fill, edgecolors=theme.background, linewidths=0.6, hatch=hatch, label=label, zorder=2
        ),
        autolim=False,
    )


def _mark_percentiles(ax: Axes, times: RequestTimes, theme: Theme) -> None:
    """Draw a line at each percentile, with its value above; values that would touch stand one above the other."""
    figure = ax.get_figure()
    assert figure is not None
    found = group_quantiles(
        np.zeros(len(times.start), dtype=np.int64), 1, times.duration_ms, times.weight, list(_LEVELS.values())
    )[0]
    low, high = ax.get_xlim()
    places = np.clip(found, low, high)
    ax.add_collection(
        LineCollection(
            [[(x, 0), (x, 1)] for x in places.tolist()], colors=theme.text, linewidths=1, linestyles=[(0, (3, 2))],
            transform=ax.get_xaxis_transform(), label="_percentiles", zorder=4, clip_on=False,
        ),
        autolim=False,
    )  # fmt: skip
    letters = Lettering(SMALL)
    above = ax.get_xaxis_transform() + ScaledTranslation(0.03, 0.04, figure.dpi_scale_trans)
    inches = ax.get_window_extent().width / figure.dpi
    stop, level = -1.0, 0
    for name, x, value in zip(_LEVELS, places.tolist(), found.tolist(), strict=True):
        text = f"{name} {duration_text(value)}"
        at = float(np.log(x / low) / np.log(high / low)) * inches
        level = level + 1 if at < stop else 0
        room = letters.width(text)
        shift = min(0.0, inches + 0.25 - at - room)
        moved = above + ScaledTranslation(shift, 0.14 * level, figure.dpi_scale_trans)
        write(ax, x, 1, text, color=theme.text, size=SMALL, transform=moved, clip_on=False)
        stop = at + shift + room + 0.1
