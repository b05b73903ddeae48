"""Figures of our own: made without pyplot, shown by a notebook when their Axes is the last expression of a cell."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from traceanalytics.plot.style import Theme

__all__ = ["Picture", "PictureAxes", "make_room", "new_axes", "size_of"]

_SHARPNESS = 1.5
"""Pixels of the picture in a notebook for each pixel that it is shown on."""


class Picture(Figure):
    """A figure that shows itself in a notebook; ``savefig`` writes it to a file."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=self.dpi * _SHARPNESS)
        width, height = (round(side * self.dpi) for side in self.get_size_inches())
        return buffer.getvalue(), {"width": width, "height": height}


class PictureAxes(Axes):
    """Axes that show their figure in a notebook, when they are the value of a cell."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        figure = self.get_figure(root=True)
        assert isinstance(figure, Picture)
        return figure._repr_png_()


def new_axes(size: tuple[float, float], place: tuple[float, float, float, float], *, theme: Theme) -> Axes:
    """Return the only Axes of a new figure of a size in inches, at a place (left, bottom, width, height) in shares of it."""
    figure = Picture(figsize=size, dpi=100, facecolor=theme.background)
    FigureCanvasAgg(figure)
    return figure.add_axes(place, axes_class=PictureAxes)


def size_of(ax: Axes) -> tuple[float, float]:
    """Return width and height of the Axes in inches."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    box = ax.get_window_extent()
    return box.width / figure.dpi, box.height / figure.dpi


def make_room(ax: Axes, left: float, top: float) -> None:
    """Take room for labels (inches) from the place of Axes that stand in a figure without a layout engine.

    A layout engine makes the room itself, as it knows the labels.
    """
    figure = ax.get_figure(root=True)
    if figure is None or figure.get_layout_engine() is not None:
        return
    width, height = size_of(ax)
    box = ax.get_position()
    x, y = left / width * box.width, top / height * box.height
    ax.set_position((box.x0 + x, box.y0, box.width - x, box.height - y))
