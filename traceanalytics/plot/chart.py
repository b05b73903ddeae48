"""What all charts share: a figure of their own or the caller's Axes, colours of the theme, titles, axes of time."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from traceanalytics.analysis.trace_rows import duration_text, plain
from traceanalytics.errors import OptionError
from traceanalytics.plot.canvas import Picture, new_axes, size_of
from traceanalytics.plot.lettering import Lettering

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from numpy.typing import NDArray

    from traceanalytics.analysis.requests import Entry
    from traceanalytics.plot.style import Theme

__all__ = [
    "SMALL",
    "Margins",
    "check_title",
    "clock_axis",
    "duration_axis",
    "entry_text",
    "in_days",
    "new_chart",
    "style_axes",
    "time_axis",
    "unit_of",
    "write",
    "write_empty",
    "write_title",
]

SMALL: Final = 8.0
"""Points of the letters of ticks and notes."""
_TITLE: Final = 11.0


class Margins(NamedTuple):
    """Inches around the place where the marks are; the title stands in the upper one."""

    left: float = 0.8
    right: float = 0.25
    top: float = 0.7
    bottom: float = 0.5


def new_chart(
    ax: Axes | None,
    *,
    size: tuple[float, float],
    margins: Margins,
    theme: Theme,
    grid: Literal["x", "y", "both"] | None,
) -> Axes:
    """Return Axes to draw on, in the colours of a theme: those given, or the only ones of a new figure of ``size`` inches."""
    if ax is None:
        place = (
            margins.left / size[0],
            margins.bottom / size[1],
            1 - (margins.left + margins.right) / size[0],
            1 - (margins.top + margins.bottom) / size[1],
        )
        ax = new_axes(size, place, theme=theme)
    style_axes(ax, theme, grid=grid)
    return ax


def style_axes(ax: Axes, theme: Theme, *, grid: Literal["x", "y", "both"] | None) -> None:
    """Set letters, grid and background in the colours of a theme; no frame around the Axes."""
    ax.set_facecolor("none")
    for side in ax.spines.values():
        side.set_visible(False)
    ax.tick_params(length=0, labelsize=SMALL, labelcolor=theme.muted, pad=4)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set(color=theme.muted, fontsize=SMALL, parse_math=False, usetex=False)
    if grid is not None:
        ax.grid(visible=True, axis=grid, color=theme.grid, linewidth=0.7)
    ax.set_axisbelow(True)


def check_title(title: str | None) -> None:
    """Raise :class:`~traceanalytics.errors.OptionError` unless the title is a text or None."""
    if title is not None and not isinstance(title, str):
        raise OptionError(f"title={title!r} is no text; give a text, '' for no title, or None for the default one")


def write_title(ax: Axes, title: str, note: str = "", *, theme: Theme, left: float = 0.0, above: float = 0.0) -> None:
    """Write a title, with a note in small letters below it, over the Axes.

    Parameters
    ----------
    left
        Inches left of the Axes at which they begin.
    above
        Inches between the Axes and the lower line.
    """
    figure = ax.get_figure()
    assert figure is not None
    y = above + 0.1
    transform = figure.dpi_scale_trans + ScaledTranslation(0, 1, ax.transAxes)  # type: ignore[arg-type]
    letters, small = Lettering(_TITLE, weight="bold"), Lettering(SMALL)
    room = left + (_room_right(ax, figure) if isinstance(figure, Picture) else size_of(ax)[0])
    if note:
        below = small.cut(small.clean(plain(note)), room)
        write(ax, -left, y, below, color=theme.muted, size=small.size, transform=transform)
        y += 0.18
    ax.set_title(
        letters.cut(letters.clean(plain(title)), room), loc="left", x=-left, y=y, transform=transform,
        fontsize=letters.size, fontweight=letters.weight, color=theme.text, parse_math=False, usetex=False,
    )  # fmt: skip


def _room_right(ax: Axes, figure: Picture) -> float:
    """Return the inches from the left side of the Axes to the edge of a figure that is theirs alone."""
    return float(figure.get_size_inches()[0] - ax.get_window_extent().x0 / figure.dpi - 0.1)


def write_empty(ax: Axes, text: str, *, theme: Theme) -> None:
    """Write in the middle of Axes without marks why there are none."""
    ax.set_xticks([])
    ax.set_yticks([])
    write(ax, 0.5, 0.5, text, color=theme.muted, size=9, transform=ax.transAxes, ha="center")


def write(ax: Axes, x: float, y: float, text: str, *, color: str, size: float, **more: object) -> None:
    """Write a text as it is: no character of it is markup."""
    ax.text(x, y, text, color=color, fontsize=size, **({"parse_math": False, "usetex": False} | more))  # type: ignore[arg-type]


def unit_of(longest_ms: float) -> tuple[str, float]:
    """Return the unit in which durations up to the longest one read well, and how many of it are 1 ms.

    >>> unit_of(0.4), unit_of(40.0), unit_of(4000.0)
    (('µs', 1000.0), ('ms', 1.0), ('s', 0.001))
    """
    return ("µs", 1e3) if longest_ms < 1 else ("ms", 1.0) if longest_ms < 1_000 else ("s", 1e-3)


def time_axis(axis: Axis, longest_ms: float, *, inches: float) -> None:
    """Mark an axis of milliseconds with round numbers of a fitting unit, about one each 0.8 inches."""
    unit, scale = unit_of(longest_ms)
    axis.set_major_locator(MaxNLocator(min(max(int(inches / 0.8), 2), 10), steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda ms, _: f"{round(ms * scale, 9):,.10g} {unit}"))


def duration_axis(axis: Axis) -> None:
    """Mark a logarithmic axis of milliseconds: 1, 10, 100 ... with units; over less than two powers of ten also between them."""
    low, high = sorted(axis.get_view_interval())
    decades = np.log10(high / low) if low > 0 else 9.0
    subs = (1.0,) if decades >= 2 else (1.0, 2.0, 5.0) if decades >= 0.7 else tuple(np.arange(1.0, 10.0, 0.5))
    axis.set_major_locator(LogLocator(subs=subs, numticks=20))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda ms, _: duration_text(float(f"{ms:.6g}"))))


def in_days(instants: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return instants, given as Unix time in ns, as matplotlib counts them."""
    return instants / 86_400e9


def clock_axis(ax: Axes, edges: NDArray[np.int64]) -> None:
    """Mark the x axis with dates and times of day in UTC, from the first to the last edge of bins (Unix time in ns)."""
    ax.set_xlim(*in_days(edges[[0, -1]]).tolist())
    locator = AutoDateLocator(tz=UTC, minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))  # type: ignore[no-untyped-call]
    ax.xaxis.get_offset_text().set(fontsize=SMALL, color=ax.xaxis.label.get_color())


def entry_text(entry: Entry) -> str:
    """Return the root operation that was asked for as a part of a title, nothing for all.

    >>> entry_text(None), entry_text("GET /"), entry_text(("web", "GET /"))
    ('', ' · GET /', ' · web: GET /')
    """
    if entry is None:
        return ""
    return f" · {entry if isinstance(entry, str) else ': '.join(str(part) for part in entry if part is not None)}"
