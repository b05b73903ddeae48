"""Where everything stands in a waterfall: letters, labels, headings, legend, the axis of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.transforms import ScaledTranslation

from traceanalytics.analysis.trace_rows import plain
from traceanalytics.plot.canvas import make_room, new_axes, size_of
from traceanalytics.plot.chart import SMALL, style_axes, time_axis, write, write_title
from traceanalytics.plot.legend import ROW_HEIGHT, Legend
from traceanalytics.plot.lettering import Lettering
from traceanalytics.plot.row_labels import RowLabels
from traceanalytics.plot.trace_blocks import title_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from traceanalytics.plot.style import Theme
    from traceanalytics.plot.trace_blocks import Block

__all__ = ["WaterfallLayout"]

_WIDTH: Final = 11.0
_MARGIN: Final = 0.15
_TITLE: Final = 0.52
_AXIS: Final = 0.34
_BESIDE_BARS: Final = 0.85
"""Room right of the trace's end for the duration beside the longest bar."""
_WIDEST_LABELS: Final = 4.4
_TICKS_BELOW_FROM: Final = 40


class WaterfallLayout:
    """Where everything stands, in inches, and how large the letters are; it makes the Axes, or makes room in those given."""

    def __init__(self, blocks: list[Block], legend: Legend, ax: Axes | None, *, theme: Theme) -> None:
        self.n = n = blocks[-1].top + len(blocks[-1].kept)
        width = _WIDTH if ax is None else size_of(ax)[0]
        self._blocks = blocks
        self._theme = theme
        self._legend = legend
        self._legend_lines = legend.lines(width - 2 * _MARGIN)
        head = (_TITLE if len(blocks) == 1 else _TITLE - 0.18) + _AXIS + self._legend_lines * ROW_HEIGHT
        row = (
            float(np.clip(0.27 - (n - 25) * 0.0014, 0.17, 0.27)) if ax is None else max(size_of(ax)[1] - head, 0.5) / n
        )
        self.letters_size = float(np.clip(row * 72 * 0.62, 3, 8.5))
        self.labels = [RowLabels(block, size=self.letters_size, theme=theme) for block in blocks]
        self.label_width = max(labels.needed(min(_WIDEST_LABELS, 0.4 * width)) for labels in self.labels)
        if ax is None:
            below = _AXIS if n >= _TICKS_BELOW_FROM else 0.0
            left, bottom = _MARGIN + self.label_width, below + _MARGIN
            height = head + n * row + bottom + _MARGIN
            place = (left / width, bottom / height, 1 - (left + _MARGIN) / width, n * row / height)
            ax = new_axes((width, height), place, theme=theme)
        else:
            make_room(ax, self.label_width, head)
        self.ax = ax
        self._width = size_of(ax)[0]
        self._set_axes()
        self.inch = (ax.get_xlim()[1] - ax.get_xlim()[0]) / self._width
        """Milliseconds on an inch."""

    def draw_head(self, title: str | None) -> None:
        """Write title, ids and legend above the axis of time, and the headings of several traces above their rows."""
        figure = self.ax.get_figure()
        assert figure is not None
        width = self.label_width + self._width
        above_axes = figure.dpi_scale_trans + ScaledTranslation(0, 1, self.ax.transAxes)  # type: ignore[arg-type]
        self._legend.draw(self.ax, -self.label_width, _AXIS, width, above_axes)
        folded = sum(block.folded for block in self._blocks)
        things = "span" if self._blocks[0].whole else "service visit"
        note = f"+{folded:,} {things}{'s' if folded > 1 else ''} folded" if folded else ""
        text = plain(title_of(self._blocks) if title is None else title)
        if note:
            letters = Lettering(11, weight="bold")
            room = width - letters.width(f" · {note}")
            text = f"{letters.cut(letters.clean(text), room)} · {note}" if text else note
        one = self._blocks[0].trace_id if len(self._blocks) == 1 and title is None else None
        above = _AXIS + self._legend_lines * ROW_HEIGHT
        write_title(self.ax, text, f"trace {one}" if one else "", theme=self._theme, left=self.label_width, above=above)
        if len(self._blocks) > 1:
            for block in self._blocks:
                self._draw_heading(block)

    def _draw_heading(self, block: Block) -> None:
        figure = self.ax.get_figure()
        assert figure is not None
        left = self.ax.get_yaxis_transform() + ScaledTranslation(-self.label_width, 0, figure.dpi_scale_trans)
        letters, small = Lettering(self.letters_size, weight="bold"), Lettering(self.letters_size)
        room = self.label_width + self._width
        text = letters.cut(letters.clean(block.spans.title), room)
        y = block.top - 1.0
        write(
            self.ax, 0, y, text, color=self._theme.text, size=letters.size, transform=left, va="center_baseline",
            fontweight="bold", clip_on=False,
        )  # fmt: skip
        rest = room - letters.width(text) - 0.15
        if block.trace_id and rest > 1:
            beside = left + ScaledTranslation(letters.width(text) + 0.15, 0, figure.dpi_scale_trans)
            one = small.cut(small.clean(plain(f"trace {block.trace_id}")), rest)
            write(
                self.ax, 0, y, one, color=self._theme.muted, size=small.size, transform=beside, va="center_baseline",
                clip_on=False,
            )  # fmt: skip

    def _set_axes(self) -> None:
        """Set limits, ticks and grid; right of the last instant there is room for a duration."""
        ax, width = self.ax, self._width
        first = min(block.rows.first for block in self._blocks) / 1e6
        last = max(block.rows.last for block in self._blocks) / 1e6
        whole = last - first or 1.0
        bars = max(width - _BESIDE_BARS, 0.3 * width)
        ax.set_xlim(first - 0.004 * whole, first + whole * width / bars)
        ax.set_ylim(self.n - 0.5, -0.5)
        style_axes(ax, self._theme, grid="x")
        ax.set_yticks([])
        time_axis(ax.xaxis, whole, inches=width)
        below = self.n >= _TICKS_BELOW_FROM
        ax.tick_params(axis="x", top=True, labeltop=True, bottom=below, labelbottom=below, labelsize=SMALL)
