"""The marks of a waterfall: bars, ticks, critical path and events, a collection for each kind of mark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.transforms import ScaledTranslation

from traceanalytics.analysis.trace_rows import duration_text
from traceanalytics.plot.canvas import size_of
from traceanalytics.plot.chart import write
from traceanalytics.spans.columns import NAT
from traceanalytics.spans.items import events

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from traceanalytics.analysis.trace_rows import TraceRows
    from traceanalytics.plot.style import Theme
    from traceanalytics.plot.trace_blocks import Block

__all__ = [
    "BAR_HEIGHT",
    "boxes",
    "draw_bands",
    "draw_bars",
    "draw_durations",
    "draw_events",
    "draw_path",
    "is_instant",
    "milliseconds",
    "rectangles",
]

BAR_HEIGHT: Final = 0.52
_PATH_HEIGHT: Final = 0.15


def draw_bars(ax: Axes, block: Block, fills: list[str], patterns: list[str], *, thinnest: float, theme: Theme) -> None:
    """Draw a bar for each span that has a length, a tick for each that has none or an unknown one.

    Parameters
    ----------
    fills, patterns
        A colour and a hatching for each row of the block.
    thinnest
        No bar is thinner than this, in ms.
    """
    rows, kept, y, loose = block.rows, block.kept, block.y, block.loose
    error = rows.error[kept]
    start, end = milliseconds(rows.start[kept]), milliseconds(rows.end[kept])
    instant = is_instant(rows)[kept]
    edges = [theme.error if failed else theme.outline(fill) for fill, failed in zip(fills, error.tolist(), strict=True)]
    long = ~instant & np.isfinite(start)
    for pattern in sorted(set(patterns)):  # a collection has one hatching
        some = np.flatnonzero(long & (np.array(patterns) == pattern))
        ax.add_collection(
            PolyCollection(
                boxes(start[some], np.maximum(end[some], start[some] + thinnest), y[some], BAR_HEIGHT),
                facecolors=[fills[at] for at in some.tolist()],
                edgecolors=[edges[at] for at in some.tolist()],
                linewidths=np.where(error[some], 1.4, np.where(loose[some], 0.9, 0.5)),
                linestyles=[(0, (3, 2)) if dashed else "-" for dashed in loose[some].tolist()],
                hatch=pattern or None,
                label="_bars",
                zorder=3,
            ),
            autolim=False,
        )
    short = np.flatnonzero(instant & np.isfinite(start))
    if len(short):
        ax.add_collection(
            LineCollection(
                [
                    [(x, at - BAR_HEIGHT / 2), (x, at + BAR_HEIGHT / 2)]
                    for x, at in zip(start[short], y[short], strict=True)
                ],
                colors=[edges[at] for at in short.tolist()],
                linewidths=2,
                linestyles=[(0, (2, 1)) if dashed else "-" for dashed in loose[short].tolist()],
                label="_instants",
                zorder=3,
            ),
            autolim=False,
        )


def draw_path(ax: Axes, block: Block, *, thinnest: float, theme: Theme) -> None:
    """Draw the critical path as strips below the bars, waiting in grey."""
    rows = block.rows
    y_of = np.full(len(rows.row), -1.0)
    y_of[block.kept] = block.y
    y = y_of[rows.path]
    start, end = milliseconds(rows.path_start), milliseconds(rows.path_end)
    for waits, color in ((True, theme.wait), (False, theme.path)):  # own time is drawn over waiting
        some = (rows.path_waits == waits) & (y >= 0)
        ax.add_collection(
            PolyCollection(
                boxes(
                    start[some],
                    np.maximum(end[some], start[some] + thinnest),
                    y[some] + (BAR_HEIGHT + _PATH_HEIGHT) / 2 + 0.03,
                    _PATH_HEIGHT,
                ),
                facecolors=color,
                edgecolors="none",
                label="_waiting" if waits else "_path",
                zorder=4,
            ),
            autolim=False,
        )


def draw_events(ax: Axes, block: Block, *, theme: Theme) -> None:
    """Draw a diamond for each event, a red one for exceptions."""
    some = block.trace.iloc[block.rows.row[block.kept]]
    with_events = np.flatnonzero(some["events"].notna().to_numpy())
    if not len(with_events):
        return
    found = events(some.iloc[with_events])
    place = some.index.get_indexer(found.index)
    x = found["offset_ms"].to_numpy() + milliseconds(block.rows.start[block.kept])[place]
    y = block.y[place]
    raised = (found["name"] == "exception").to_numpy(bool)
    known = np.isfinite(x)
    for exceptions, color in ((False, theme.background), (True, theme.error)):
        these = known & (raised == exceptions)
        if these.any():
            ax.plot(
                x[these],
                y[these],
                linestyle="none",
                marker="d",
                markersize=4.5,
                markerfacecolor=color,
                markeredgecolor=theme.text,
                markeredgewidth=0.6,
                zorder=5,
                label="_exceptions" if exceptions else "_events",
                scalex=False,
                scaley=False,
            )


def draw_bands(ax: Axes, block: Block, label_width: float, *, theme: Theme) -> None:
    """Draw a pale band behind every other row, through labels and bars, so that the eye keeps the line."""
    y = block.y[::2]
    left = np.full(len(y), -label_width / size_of(ax)[0])
    bands = PolyCollection(
        boxes(left, np.ones(len(y)), y, 1.0),
        facecolors=theme.band,
        edgecolors="none",
        transform=ax.get_yaxis_transform(),
        clip_on=False,
        label="_bands",
        zorder=0,
    )
    ax.add_collection(bands, autolim=False)


def draw_durations(ax: Axes, block: Block, size: float, *, theme: Theme) -> None:
    """Write each span's duration right of its bar, with a "!" for an error."""
    figure = ax.get_figure()
    assert figure is not None
    rows, kept = block.rows, block.kept
    beside = ax.transData + ScaledTranslation(0.06, 0, figure.dpi_scale_trans)
    start, end = milliseconds(rows.start[kept]), milliseconds(rows.end[kept])
    stop = np.nan_to_num(np.where(np.isnan(end), start, end), nan=0.0)
    for at, y, x in zip(kept.tolist(), block.y.tolist(), stop.tolist(), strict=True):
        failed = bool(rows.error[at])
        text = (
            "no start" if rows.start[at] == NAT
            else "no duration" if rows.end[at] == NAT
            else duration_text(float(rows.duration_ms[at]))
        )  # fmt: skip
        write(
            ax, x, y, f"! {text}" if failed else text, color=theme.error if failed else theme.muted, size=size,
            transform=beside, va="center_baseline", clip_on=True, fontweight="bold" if failed else "normal",
        )  # fmt: skip


def boxes(start: NDArray[np.float64], end: NDArray[np.float64], y: NDArray[np.float64], height: float) -> Any:
    """Return the corners of rectangles, as a collection of polygons takes them."""
    return rectangles(start, end, y - height / 2, y + height / 2)


def rectangles(
    left: NDArray[np.float64], right: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> Any:
    """Return the corners of rectangles given by their sides, as a collection of polygons takes them."""
    return np.stack([np.stack([left, left, right, right], 1), np.stack([low, high, high, low], 1)], 2)


def is_instant(rows: TraceRows) -> NDArray[np.bool_]:
    """Tell which spans have no length, or an unknown one."""
    found: NDArray[np.bool_] = (rows.end == NAT) | (rows.start == NAT) | (rows.end == rows.start)
    return found


def milliseconds(nanoseconds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return times in ms, NaN where unknown."""
    return np.where(nanoseconds == NAT, np.nan, nanoseconds / 1e6)
