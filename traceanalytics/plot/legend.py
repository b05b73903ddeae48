"""The legend of a waterfall: services, then the marks that occur."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Final

from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from traceanalytics.plot.canvas import size_of
from traceanalytics.plot.lettering import Lettering
from traceanalytics.plot.style import service_color, service_patterns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes

    from traceanalytics.plot.style import Theme

__all__ = ["ROW_HEIGHT", "Legend", "services_legend"]

ROW_HEIGHT: Final = 0.19
_SIZE: Final = 8.0
_MOST_SERVICES: Final = 40
_HANDLE: Final = 0.42
"""Inches that a mark and the gaps beside it take."""


class Legend:
    """Entries of a legend, and the number of lines they need."""

    def __init__(self, theme: Theme) -> None:
        self._theme = theme
        self._letters = Lettering(_SIZE)
        self._texts: list[str] = []
        self._handles: list[Any] = []
        self._folded = 0

    def add_service(self, name: str, color: str, pattern: str) -> None:
        """Add the colour of a service, and the pattern on it."""
        if len(self._texts) < _MOST_SERVICES:
            self.add(
                self._letters.cut(self._letters.clean(name[:200]), 2.2),
                Patch(facecolor=color, edgecolor=self._theme.outline(color), linewidth=0.5, hatch=pattern),
            )
        else:
            self._folded += 1

    def add_marks(self, *, path: bool, waiting: bool, error: bool, loose: bool, events: bool) -> None:
        """Add those marks that occur in the picture."""
        if self._folded:
            self.add(f"+{self._folded} services", Patch(facecolor="none", edgecolor="none"))
        if path:
            self.add("critical path", Line2D([], [], color=self._theme.path, linewidth=2.5))
        if waiting:
            self.add("waiting on it", Line2D([], [], color=self._theme.wait, linewidth=2.5))
        if error:
            self.add("! error", Patch(facecolor="none", edgecolor=self._theme.error, linewidth=1.4))
        if loose:
            self.add(
                "orphan or detached",
                Patch(facecolor="none", edgecolor=self._theme.text, linewidth=0.9, linestyle=(0, (3, 2))),
            )
        if events:
            self.add(
                "event",
                Line2D(
                    [],
                    [],
                    linestyle="none",
                    marker="d",
                    markersize=4.5,
                    markerfacecolor=self._theme.background,
                    markeredgecolor=self._theme.text,
                ),
            )

    def lines(self, width: float) -> int:
        """Return how many lines the legend takes in a width of inches."""
        return math.ceil(len(self._texts) / max(self._columns(width), 1))

    def draw(self, ax: Axes, left: float, bottom: float, width: float, transform: Any) -> None:
        """Draw it with its lower left corner at a place of the coordinates ``transform``."""
        if not self._texts:
            return
        columns = self._columns(width)
        legend = ax.legend(
            self._handles, [str(at) for at in range(len(self._texts))], loc="lower left", bbox_to_anchor=(left, bottom), bbox_transform=transform, ncols=columns,
            fontsize=_SIZE, frameon=False, borderpad=0, borderaxespad=0, handlelength=1.4, handletextpad=0.5, columnspacing=1.4, labelspacing=0.45, alignment="left",
        )  # fmt: skip
        for text, label in zip(
            legend.get_texts(), self._texts, strict=True
        ):  # here, since a label that begins with "_" would be left out
            text.set_parse_math(False)
            text.set_usetex(False)
            text.set_text(label)
            text.set_color(self._theme.text)

    def draw_above(self, ax: Axes, above: float) -> float:
        """Draw it over the Axes, its lower edge some inches above them; return how many inches above them its upper edge is."""
        figure = ax.get_figure()
        assert figure is not None
        width = size_of(ax)[0]
        transform = figure.dpi_scale_trans + ScaledTranslation(0, 1, ax.transAxes)  # type: ignore[arg-type]
        self.draw(ax, 0, above, width, transform)
        return above + self.lines(width) * ROW_HEIGHT

    def add(self, text: str, handle: Any) -> None:
        """Add an entry: a text, and the artist that shows what it means."""
        self._texts.append(text)
        self._handles.append(handle)

    def _columns(self, width: float) -> int:
        """Return the number of columns with which there are fewest lines, as even as can be.

        A column is as wide as its widest text, and matplotlib fills columns from the top, the first ones with one entry more.
        """
        widths = [self._letters.width(text) + _HANDLE for text in self._texts]
        for lines in range(1, len(widths)):
            columns = math.ceil(len(widths) / lines)
            longer = len(widths) - columns * (len(widths) // columns)
            sizes = [len(widths) // columns + (at < longer) for at in range(columns)]
            stops = list(itertools.accumulate(sizes))
            if sum(max(widths[stop - size : stop]) for stop, size in zip(stops, sizes, strict=True)) <= width:
                return columns
        return min(len(widths), 1)


def services_legend(services: Iterable[str | None], theme: Theme) -> Legend:
    """Return a legend of services in order of appearance."""
    names = list(dict.fromkeys(services))
    patterns = service_patterns(names)
    legend = Legend(theme)
    for service in names:
        legend.add_service("(no service)" if service is None else service, service_color(service), patterns[service])
    return legend
