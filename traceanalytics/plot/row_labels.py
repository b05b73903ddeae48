"""The column of labels beside the bars of a waterfall: the tree, names, services, notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

from traceanalytics.plot.bars import BAR_HEIGHT, boxes
from traceanalytics.plot.chart import write
from traceanalytics.plot.lettering import Lettering
from traceanalytics.topology import Flag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from traceanalytics.plot.style import Theme
    from traceanalytics.plot.trace_blocks import Block

__all__ = ["RowLabels"]

_STEP: Final = 0.13
_CHIP: Final = 0.05
_GAP: Final = 0.1
_NOTES: Final = ((Flag.ORPHAN, "orphan"), (Flag.CYCLE, "ring"), (Flag.SELF_PARENT, "own parent"))


class RowLabels:
    """Labels of rows: how much room they need, and drawing them in the room that they get (inches left of the axes).

    Parameters
    ----------
    block
        The rows to label, and how many are folded below each of them.
    size
        Size of the letters in points.
    theme
        The colours of texts and lines.
    """

    def __init__(self, block: Block, *, size: float, theme: Theme) -> None:
        rows, kept = block.rows, block.kept
        self._theme = theme
        self._letters = letters = Lettering(size)
        self._depth = rows.depth[kept].tolist()
        self._names = [letters.clean(rows.name[at][:500]) for at in kept.tolist()]
        self._services = [letters.clean((rows.service[at] or "")[:200]) for at in kept.tolist()]
        self._notes = [
            _note(flags, below) for flags, below in zip(rows.flags[kept].tolist(), block.hidden.tolist(), strict=True)
        ]
        place = np.full(len(rows.row) + 1, -1)
        place[kept] = np.arange(len(kept))
        self._parent = place[rows.parent[kept]]
        self._y = block.y

    def needed(self, widest: float) -> float:
        """Return the width in inches with which nothing is cut, but no more than ``widest``."""
        step = self._step(widest)
        found = (
            depth * step + _GAP + self._width(texts)
            for depth, texts in zip(
                self._depth, zip(self._names, self._services, self._notes, strict=True), strict=True
            )
        )
        return min(max(found, default=0) + 2 * _GAP, widest)

    def draw(self, ax: Axes, width: float, fills: Sequence[str], muted: NDArray[np.bool_]) -> None:
        """Write the labels; ``muted`` says which of them are of second rank."""
        figure = ax.get_figure()
        assert figure is not None
        left_of_axes = figure.dpi_scale_trans + ScaledTranslation(0, 0, ax.transAxes)  # type: ignore[arg-type]
        transform = blended_transform_factory(left_of_axes, ax.transData)
        step = self._step(width)
        x = np.array(self._depth) * step - width
        self._draw_tree(ax, transform, x, fills)
        of_rows = zip(self._names, self._services, self._notes, strict=True)
        for left, y, texts, faint in zip(x.tolist(), self._y.tolist(), of_rows, muted.tolist(), strict=True):
            at = left + _GAP
            for text, color in zip(
                self._fitted(texts, -_GAP - at),
                (self._theme.muted if faint else self._theme.text, self._theme.muted, self._theme.text),
                strict=True,
            ):
                if text:
                    write(
                        ax, at, y, text, color=color, size=self._letters.size, transform=transform,
                        va="center_baseline", clip_on=False,
                    )  # fmt: skip
                    at += self._letters.width(text) + _GAP

    def _step(self, width: float) -> float:
        return float(min(_STEP, 0.4 * width / max(1, *self._depth, 1)))

    def _width(self, texts: Sequence[str]) -> float:
        return sum(self._letters.width(text) + _GAP for text in texts if text)

    def _fitted(self, texts: tuple[str, str, str], room: float) -> tuple[str, str, str]:
        """Cut name and service so that they fit beside the note; the name gets two thirds if both are long."""
        name, service, note = texts
        letters = self._letters
        if self._width(texts) - _GAP <= room:
            return texts
        if note:
            room -= letters.width(note) + _GAP
        own = letters.width(service) + _GAP if service else 0.0
        name = letters.cut(name, max(room - own, room * 0.67))
        service = letters.cut(service, room - letters.width(name) - _GAP)
        return name, service, note

    def _draw_tree(self, ax: Axes, transform: Any, x: NDArray[np.float64], fills: Sequence[str]) -> None:
        y = self._y
        child = np.flatnonzero(self._parent >= 0)
        up = self._parent[child]
        middle = x[up] + _CHIP / 2
        last = np.full(len(x), -1)
        last[up] = child  # children come in order, so the last one stays
        trunks = np.flatnonzero(last >= 0)
        lines = [
            [(a, b), (c, b)] for a, b, c in zip(middle.tolist(), y[child].tolist(), x[child].tolist(), strict=True)
        ]
        lines += [[(x[at] + _CHIP / 2, y[at]), (x[at] + _CHIP / 2, y[last[at]])] for at in trunks.tolist()]
        ax.add_collection(
            LineCollection(
                lines,
                colors=self._theme.guide,
                linewidths=0.7,
                transform=transform,
                clip_on=False,
                label="_tree",
                zorder=1,
            ),
            autolim=False,
        )
        chips = PolyCollection(
            boxes(x, x + _CHIP, y, BAR_HEIGHT + 0.08),
            facecolors=list(fills),
            edgecolors="none",
            transform=transform,
            clip_on=False,
            label="_chips",
            zorder=2,
        )
        ax.add_collection(chips, autolim=False)


def _note(flags: int, below: int) -> str:
    found = [text for flag, text in _NOTES if flags & flag]
    if below:
        found.append(f"+{below:,}")
    return " ".join(found)
