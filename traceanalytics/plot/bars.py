"""The marks of a waterfall: bars, ticks, critical path and events, a collection for each kind of mark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection

from traceanalytics.plot.style import LIGHT, mixed, outline
from traceanalytics.spans.columns import NAT
from traceanalytics.spans.items import events

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from traceanalytics.analysis.trace_rows import TraceRows

__all__ = ["BAR_HEIGHT", "boxes", "dimmed", "draw_bars", "draw_events", "draw_path", "is_instant", "milliseconds"]

BAR_HEIGHT: Final = 0.52
_PATH_HEIGHT: Final = 0.15
_DIMMED: Final = 0.7


def draw_bars(
    ax: Axes,
    rows: TraceRows,
    kept: NDArray[np.int64],
    fills: list[str],
    patterns: list[str],
    *,
    loose: NDArray[np.bool_],
    thinnest: float,
) -> None:
    """Draw a bar for each span that has a length, a tick for each that has none or an unknown one.

    Parameters
    ----------
    kept
        The rows to draw, from top to bottom.
    fills, patterns
        A colour and a hatching for each of them.
    loose
        Which of them hang loosely in the trace: dashed edges.
    thinnest
        No bar is thinner than this, in ms.
    """
    error = rows.error[kept]
    start, end = milliseconds(rows.start[kept]), milliseconds(rows.end[kept])
    instant = is_instant(rows)[kept]
    y = np.arange(len(kept), dtype=float)
    edges = [LIGHT.error if failed else outline(fill) for fill, failed in zip(fills, error.tolist(), strict=True)]
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


def draw_path(ax: Axes, rows: TraceRows, kept: NDArray[np.int64], *, thinnest: float) -> bool:
    """Draw the critical path as strips below the bars, waiting in grey; tell whether there is any waiting."""
    y_of = np.full(len(rows.row), -1.0)
    y_of[kept] = np.arange(len(kept))
    y = y_of[rows.path]
    start, end = milliseconds(rows.path_start), milliseconds(rows.path_end)
    for waits, color in ((True, LIGHT.wait), (False, LIGHT.path)):  # own time is drawn over waiting
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
    return bool((rows.path_waits & (y >= 0)).any())


def draw_events(ax: Axes, trace: pd.DataFrame, rows: TraceRows, kept: NDArray[np.int64]) -> bool:
    """Draw a diamond for each event, a red one for exceptions; tell whether there is any."""
    some = trace.iloc[rows.row[kept]]
    with_events = np.flatnonzero(some["events"].notna().to_numpy())
    if not len(with_events):
        return False
    found = events(some.iloc[with_events])
    y = some.index.get_indexer(found.index)
    x = found["offset_ms"].to_numpy() + milliseconds(rows.start[kept])[y]
    raised = (found["name"] == "exception").to_numpy(bool)
    known = np.isfinite(x)
    for exceptions, color in ((False, LIGHT.background), (True, LIGHT.error)):
        these = known & (raised == exceptions)
        if these.any():
            ax.plot(
                x[these],
                y[these],
                linestyle="none",
                marker="d",
                markersize=4.5,
                markerfacecolor=color,
                markeredgecolor=LIGHT.text,
                markeredgewidth=0.6,
                zorder=5,
                label="_exceptions" if exceptions else "_events",
                scalex=False,
                scaley=False,
            )
    return bool(known.any())


def boxes(start: NDArray[np.float64], end: NDArray[np.float64], y: NDArray[np.float64], height: float) -> Any:
    """Return the corners of rectangles, as a collection of polygons takes them."""
    low, high = y - height / 2, y + height / 2
    return np.stack([np.stack([start, start, end, end], 1), np.stack([low, high, high, low], 1)], 2)


def is_instant(rows: TraceRows) -> NDArray[np.bool_]:
    """Tell which spans have no length, or an unknown one."""
    found: NDArray[np.bool_] = (rows.end == NAT) | (rows.start == NAT) | (rows.end == rows.start)
    return found


def milliseconds(nanoseconds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return times in ms, NaN where unknown."""
    return np.where(nanoseconds == NAT, np.nan, nanoseconds / 1e6)


def dimmed(color: str) -> str:
    """Return a colour for what is not in question."""
    return mixed(color, LIGHT.background, _DIMMED)
