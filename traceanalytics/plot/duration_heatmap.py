"""Latency over time as a heat map, with examples to open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.patches import Patch

from traceanalytics.analysis.request_times import RequestTimes, duration_edges, request_times, time_bins
from traceanalytics.analysis.trace_rows import counted, duration_text, plain
from traceanalytics.errors import OptionError
from traceanalytics.plot.bars import rectangles
from traceanalytics.plot.chart import (
    SMALL,
    Margins,
    check_title,
    clock_axis,
    duration_axis,
    entry_text,
    in_days,
    new_chart,
    write,
    write_empty,
    write_title,
)
from traceanalytics.plot.legend import Legend
from traceanalytics.plot.style import PALETTE, mixed, theme_named

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from traceanalytics.analysis.request_times import Of, TimeBins
    from traceanalytics.analysis.requests import Entry
    from traceanalytics.plot.style import Theme
    from traceanalytics.weights import Weights

__all__ = ["latency_heatmap"]

_WIDTH: Final = 10.0
_HEIGHT: Final = 4.2
_LINE: Final = 0.2
_MOST_EXEMPLARS: Final = 20


def latency_heatmap(
    spans: pd.DataFrame,
    *,
    of: Of = "requests",
    entry: Entry = None,
    freq: str | pd.Timedelta | None = None,
    bins: int = 30,
    exemplars: int = 5,
    weights: Weights = None,
    ax: Axes | None = None,
    title: str | None = None,
    theme: Literal["light", "dark"] = "light",
) -> Axes:
    """Draw how long requests took, over time: the stronger the colour of a cell, the more requests fell into it.

    A percentile tells one number a minute; the heat map shows all requests, so that a second hump, a slow minority or a
    timeout's line is seen. The slowest ones are marked with numbers, and their trace ids stand below: examples to open with
    ``ta.trace(spans, trace_id)``. Cells in which at least half of the requests failed have a red edge.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order.
    of
        ``"requests"``: one duration a trace, that of its main root. ``"spans"``: one a span, of those in the frame.
    entry
        Only the traces whose main root has this name, or this (service, name).
    freq
        Width of the columns, a pandas offset alias of fixed length (``"10s"``, ``"1min"``). None: about 60 columns.
    bins
        Number of rows, 2 to 200, equal on the logarithmic scale.
    exemplars
        How many of the slowest to mark, 0 to 20; each in a column of its own.
    weights
        Sampling weights: the name of a column, or a Series on the frame's index.
    ax
        Axes to draw on; the list of ids then needs free room below them.
    title
        In place of what is shown; ``""`` for none.
    theme
        ``"dark"``: light letters on a dark figure.

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
    >>> ax = ta.plot.latency_heatmap(spans, freq="1min", exemplars=1)
    >>> ax.texts[1].get_text()
    '1  100 ms  trace a1'
    """
    for name, value, low, high in (("bins", bins, 2, 200), ("exemplars", exemplars, 0, _MOST_EXEMPLARS)):
        if type(value) is not int or not low <= value <= high:
            raise OptionError(f"{name}={value!r} is not a whole number from {low} to {high}")
    check_title(title)
    colors = theme_named(theme)
    times = request_times(spans, of=of, entry=entry, weights=weights)
    columns = time_bins(times.start, freq, about=60)
    marked = _slowest(times, columns, exemplars)
    margins = Margins(left=0.8, right=0.3, top=0.9, bottom=0.5 + _LINE * len(marked) + (0.1 if len(marked) else 0))
    size = (_WIDTH, _HEIGHT + _LINE * len(marked))
    ax = new_chart(ax, size=size, margins=margins, theme=colors, grid="y")
    noun = "request" if of == "requests" else "span"
    above = 0.0
    if not len(times.start):
        write_empty(ax, f"no {noun} with a known start and duration", theme=colors)
    else:
        above = _draw_cells(ax, times, columns, bins=bins, noun=noun, theme=colors)
        _mark(ax, times, columns, marked, colors)
    what = f"duration of {counted(round(times.weight.sum()), noun)} over time{entry_text(entry)}"
    note = f"{counted(times.untimed, noun)} without a known time left out" if times.untimed else ""
    write_title(ax, what if title is None else title, note, theme=colors, left=0.55, above=above)
    return ax


def _slowest(times: RequestTimes, columns: TimeBins, most: int) -> NDArray[np.int64]:
    """Return the slowest request of each of those columns in which it is slowest, in order of time."""
    if not most or not len(times.start):
        return np.zeros(0, dtype=np.int64)
    order = np.lexsort((times.start, -times.duration_ms))
    _, first = np.unique(columns.of[order], return_index=True)
    chosen = order[np.sort(first)[:most]]
    return chosen[np.argsort(times.start[chosen], kind="stable")]


def _draw_cells(ax: Axes, times: RequestTimes, columns: TimeBins, *, bins: int, noun: str, theme: Theme) -> float:
    rows = duration_edges(times.duration_ms, bins)
    of_row = np.clip(np.searchsorted(rows, times.duration_ms, side="right") - 1, 0, bins - 1)
    cell = columns.of * bins + of_row
    n = (len(columns.edges) - 1) * bins
    total = np.bincount(cell, weights=times.weight, minlength=n)
    failed = np.bincount(cell, weights=times.weight * times.failed, minlength=n)
    some = np.flatnonzero(total)
    x, y = some // bins, some % bins
    left, right = in_days(columns.edges[x]), in_days(columns.edges[x + 1])
    corners = rectangles(left, right, rows[y], rows[y + 1])
    most = float(total.max())
    scale = LinearSegmentedColormap.from_list(
        "counts", [mixed(PALETTE[1], theme.background, 0.75), PALETTE[3], theme.text]
    )
    norm = LogNorm(1, max(most, 1.0 + 1e-9), clip=True)
    bad = failed[some] >= 0.5 * total[some]
    for label, these, edge, width in (("_cells", ~bad, theme.background, 0.6), ("_failed", bad, theme.error, 1.3)):
        ax.add_collection(
            PolyCollection(
                corners[these], facecolors=scale(norm(total[some][these])), edgecolors=edge, linewidths=width, label=label,
                zorder=2 + (label == "_failed"),
            ),
            autolim=False,
        )  # fmt: skip
    ax.set_yscale("log")
    ax.set_ylim(rows[0], rows[-1])
    duration_axis(ax.yaxis)
    clock_axis(ax, columns.edges)
    legend = Legend(theme)
    steps = list(dict.fromkeys(round(step) for step in (1, most**0.5, most)))
    for step in steps:
        legend.add(f"{step:,} {noun}{'s' if step > 1 else ''}", Patch(facecolor=scale(norm(step)), edgecolor="none"))
    if bad.any():
        legend.add("half of them failed", Patch(facecolor="none", edgecolor=theme.error, linewidth=1.4))
    return legend.draw_above(ax, 0.1)


def _mark(ax: Axes, times: RequestTimes, columns: TimeBins, marked: NDArray[np.int64], theme: Theme) -> None:
    """Mark the slowest ones with numbers, and list their ids below the axis."""
    figure = ax.get_figure()
    assert figure is not None
    height = ax.get_window_extent().height / figure.dpi
    for number, at in enumerate(marked.tolist(), start=1):
        x = float(in_days(columns.edges[columns.of[at] : columns.of[at] + 2]).mean())
        ring = {"boxstyle": "circle,pad=0.25", "facecolor": theme.background, "edgecolor": theme.text, "linewidth": 0.8}
        write(
            ax, x, float(times.duration_ms[at]), str(number), color=theme.text, size=6.5, ha="center", va="center",
            bbox=ring, zorder=5, clip_on=False,
        )  # fmt: skip
        text = f"{number}  {duration_text(float(times.duration_ms[at]))}  trace {plain(times.trace_id[at])[:64]}"
        text += "  failed" if times.failed[at] else ""
        y = -(0.45 + _LINE * number) / height
        write(ax, 0, y, text, color=theme.muted, size=SMALL, transform=ax.transAxes, clip_on=False)
