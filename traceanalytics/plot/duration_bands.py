"""Latency over time as bands of percentiles, with the rate of failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from traceanalytics.analysis.request_times import RequestTimes, request_times, time_bins
from traceanalytics.analysis.trace_rows import counted
from traceanalytics.plot.bars import rectangles
from traceanalytics.plot.chart import (
    Margins,
    check_title,
    clock_axis,
    duration_axis,
    entry_text,
    in_days,
    new_chart,
    style_axes,
    write_empty,
    write_title,
)
from traceanalytics.plot.legend import Legend
from traceanalytics.plot.style import PALETTE, mixed, theme_named
from traceanalytics.weights import group_quantiles

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from traceanalytics.analysis.request_times import Of, TimeBins
    from traceanalytics.analysis.requests import Entry
    from traceanalytics.plot.style import Theme
    from traceanalytics.weights import Weights

__all__ = ["latency_bands"]

_WIDTH: Final = 10.0
_HEIGHT: Final = 4.2


def latency_bands(
    spans: pd.DataFrame,
    *,
    of: Of = "requests",
    entry: Entry = None,
    freq: str | pd.Timedelta | None = None,
    weights: Weights = None,
    ax: Axes | None = None,
    title: str | None = None,
    theme: Literal["light", "dark"] = "light",
) -> Axes:
    """Draw the percentiles of durations over time, and below them the part of the requests that failed.

    The line is the median; the bands reach from there to the 90th and to the 99th percentile. Where a column holds fewer than
    100 requests, its 99th percentile is its slowest one; the note says in how many columns that is so.

    Parameters
    ----------
    spans, of, entry, weights, title, theme
        As for :func:`traceanalytics.plot.latency_heatmap`.
    freq
        Width of the columns, a pandas offset alias of fixed length (``"10s"``, ``"1min"``). None: about 40 columns.
    ax
        Axes to draw on; failures are drawn at their lower edge.

    Returns
    -------
    matplotlib.axes.Axes
        Time (days since 1970 in UTC, matplotlib's unit) on the x axis, durations in ms on the logarithmic y axis.

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
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1", "a2"], "span_id": ["b1", "b2"], "name": "checkout",
    ...     "start_time": [t, t + pd.Timedelta("90s")], "duration_ms": [100.0, 40.0]}))
    >>> ta.plot.latency_bands(spans, freq="1min").get_title(loc="left")
    'duration of 2 requests over time'
    """
    check_title(title)
    colors = theme_named(theme)
    times = request_times(spans, of=of, entry=entry, weights=weights)
    columns = time_bins(times.start, freq, about=40)
    margins = Margins(left=0.8, right=0.3, top=0.9, bottom=0.5)
    ax = new_chart(ax, size=(_WIDTH, _HEIGHT), margins=margins, theme=colors, grid="y")
    noun = "request" if of == "requests" else "span"
    above, note = 0.0, []
    if not len(times.start):
        write_empty(ax, f"no {noun} with a known start and duration", theme=colors)
    else:
        above, few = _draw_bands(ax, times, columns, colors)
        note += [f"fewer than 100 {noun}s in {counted(few, 'column')}: their p99 is the slowest"] if few else []
    note += [f"{counted(times.untimed, noun)} without a known time left out"] if times.untimed else []
    what = f"duration of {counted(round(times.weight.sum()), noun)} over time{entry_text(entry)}"
    write_title(ax, what if title is None else title, " · ".join(note), theme=colors, left=0.55, above=above)
    return ax


def _draw_bands(ax: Axes, times: RequestTimes, columns: TimeBins, theme: Theme) -> tuple[float, int]:
    n = len(columns.edges) - 1
    levels = np.maximum(group_quantiles(columns.of, n, times.duration_ms, times.weight, [0.5, 0.9, 0.99]), 1e-6)
    calls = np.bincount(columns.of, minlength=n)
    middle = in_days((columns.edges[:-1] + columns.edges[1:]) // 2)
    fill = PALETTE[3]
    inner, outer = mixed(fill, theme.background, 0.45), mixed(fill, theme.background, 0.75)
    ax.fill_between(middle, levels[:, 1], levels[:, 2], color=outer, linewidth=0, zorder=2, label="_p90_p99")
    ax.fill_between(middle, levels[:, 0], levels[:, 1], color=inner, linewidth=0, zorder=2, label="_p50_p90")
    # Columns between empty ones have no band: whiskers and dots show them.
    alone = np.flatnonzero((calls > 0) & (np.r_[0, calls[:-1]] == 0) & (np.r_[calls[1:], 0] == 0))
    ax.vlines(middle[alone], levels[alone, 0], levels[alone, 2], colors=outer, linewidths=3, zorder=2)
    ax.plot(
        middle, levels[:, 0], color=theme.text, linewidth=1.4, zorder=3, label="_p50", marker="o",
        markersize=2.5, scalex=False, scaley=False,
    )  # fmt: skip
    ax.set_yscale("log")
    low, high = float(np.nanmin(levels)), float(np.nanmax(levels))
    span = max(high / low, 1.5)
    ax.set_ylim(low / span**0.35, high * span**0.06)
    duration_axis(ax.yaxis)
    clock_axis(ax, columns.edges)
    legend = Legend(theme)
    legend.add("p50", Line2D([], [], color=theme.text, linewidth=1.4, marker="o", markersize=2.5))
    legend.add("to p90", Patch(facecolor=inner, edgecolor="none"))
    legend.add("to p99", Patch(facecolor=outer, edgecolor="none"))
    if times.failed.any():
        _draw_failures(ax, times, columns, legend, theme)
    return legend.draw_above(ax, 0.1), int(((calls > 0) & (calls < 100)).sum())


def _draw_failures(ax: Axes, times: RequestTimes, columns: TimeBins, legend: Legend, theme: Theme) -> None:
    """Draw the part that failed as bars at the lower edge."""
    n = len(columns.edges) - 1
    total = np.bincount(columns.of, weights=times.weight, minlength=n)
    failed = np.bincount(columns.of, weights=times.weight * times.failed, minlength=n)
    rate = np.divide(failed, total, out=np.zeros(n), where=total > 0)
    below = ax.inset_axes((0, 0, 1, 0.16))
    style_axes(below, theme, grid=None)
    left, right = in_days(columns.edges[:-1]), in_days(columns.edges[1:])
    corners = rectangles(left, right, 0 * rate, rate)
    below.add_collection(
        PolyCollection(corners, facecolors=theme.error, edgecolors=theme.background, linewidths=0.6, label="_failures"),
        autolim=False,
    )
    below.set_xlim(ax.get_xlim())
    below.set_ylim(0, float(rate.max()))
    below.set_xticks([])
    below.set_yticks([])
    legend.add(f"failed, up to {rate.max():.1%}", Patch(facecolor=theme.error, edgecolor="none"))
