"""The legend of a waterfall: services, then the marks that occur."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Final

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from traceanalytics.plot.lettering import Lettering
from traceanalytics.plot.style import LIGHT, outline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ROW_HEIGHT", "Legend"]

ROW_HEIGHT: Final = 0.19
_SIZE: Final = 8.0
_MOST_SERVICES: Final = 40
_HANDLE: Final = 0.42
"""Inches that a mark and the gaps beside it take."""


class Legend:
    """Entries of a legend, and the number of lines they need."""

    def __init__(self) -> None:
        self._letters = Lettering(_SIZE)
        self._texts: list[str] = []
        self._handles: list[Any] = []
        self._folded = 0

    def add_service(self, name: str, color: str, pattern: str) -> None:
        """Add the colour of a service, and the pattern on it."""
        if len(self._texts) < _MOST_SERVICES:
            self._add(
                self._letters.cut(self._letters.clean(name[:200]), 2.2),
                Patch(facecolor=color, edgecolor=outline(color), linewidth=0.5, hatch=pattern),
            )
        else:
            self._folded += 1

    def add_marks(self, *, path: bool, waiting: bool, error: bool, loose: bool, events: bool) -> None:
        """Add those marks that occur in the picture."""
        if self._folded:
            self._add(f"+{self._folded} services", Patch(facecolor="none", edgecolor="none"))
        if path:
            self._add("critical path", Line2D([], [], color=LIGHT.path, linewidth=2.5))
        if waiting:
            self._add("waiting on it", Line2D([], [], color=LIGHT.wait, linewidth=2.5))
        if error:
            self._add("! error", Patch(facecolor="none", edgecolor=LIGHT.error, linewidth=1.4))
        if loose:
            self._add(
                "orphan or detached",
                Patch(facecolor="none", edgecolor=LIGHT.text, linewidth=0.9, linestyle=(0, (3, 2))),
            )
        if events:
            self._add(
                "event",
                Line2D(
                    [],
                    [],
                    linestyle="none",
                    marker="d",
                    markersize=4.5,
                    markerfacecolor=LIGHT.background,
                    markeredgecolor=LIGHT.text,
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
            text.set_color(LIGHT.text)

    def _add(self, text: str, handle: Any) -> None:
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
