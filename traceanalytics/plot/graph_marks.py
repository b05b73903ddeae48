"""Boxes and arrows: how graphs are drawn once their layout is known."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.patches import BoxStyle
from matplotlib.path import Path
from matplotlib.transforms import IdentityTransform

from traceanalytics.plot.bars import boxes
from traceanalytics.plot.canvas import size_of
from traceanalytics.plot.chart import Margins, new_chart, write
from traceanalytics.plot.layered_layout import layered_layout
from traceanalytics.plot.lettering import Lettering

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from traceanalytics.plot.layered_layout import Layout
    from traceanalytics.plot.style import Theme

__all__ = ["EdgeMark", "NodeMark", "draw_graph"]

_NAME: Final = 8.5
_NOTE: Final = 7.0
_BOX_HEIGHT: Final = 0.4
_ROW: Final = 0.56
_GAP: Final = 0.75
"""Inches between two layers, for the arrows."""
_CHIP: Final = 0.07
_PAD: Final = 0.07
_ARROW: Final = 0.11
_LEAST: Final = (9.0, 1.2)


class NodeMark(NamedTuple):
    """A box: a name, a note in small letters below it, a colour at its left side."""

    name: str
    note: str
    fill: str
    failed: bool = False
    """Red letters and a red edge."""
    dashed: bool = False
    widest: float = 2.3
    """Inches of the longest text; what is longer is cut."""


class EdgeMark(NamedTuple):
    """An arrow."""

    first: int
    last: int
    width: float
    """In points."""
    color: str
    note: str = ""
    dashed: bool = False


def draw_graph(nodes: list[NodeMark], edges: list[EdgeMark], *, ax: Axes | None, top: float, theme: Theme) -> Axes:
    """Draw a graph on Axes, given ones or the only ones of a new figure, whose coordinates are inches of the graph.

    Parameters
    ----------
    top
        Inches above it, for title and legend.
    """
    layout = layered_layout(len(nodes), [(edge.first, edge.last) for edge in edges])
    letters, small = Lettering(_NAME), Lettering(_NOTE)
    texts = [
        (letters.cut(letters.clean(node.name), node.widest), small.cut(small.clean(node.note), node.widest))
        for node in nodes
    ]
    widths = np.array([max(letters.width(a), small.width(b)) + _CHIP + 2 * _PAD for a, b in texts])
    left, right = _columns(layout, widths)
    rows = max([layout.height.max(initial=0.0)] + [y for way in layout.ways for _, y in way]) + 1
    size = (max(right[-1] if len(right) else 0.0, _LEAST[0]), max(rows * _ROW, _LEAST[1]))
    free = size[0] - (right[-1] if len(right) else 0.0)
    spread = np.arange(len(left)) * (free / max(len(left) - 1, 1) if len(left) > 1 else 0.0)
    left, right = left + spread, right + spread
    margins = Margins(left=0.25, right=0.25, top=top, bottom=0.2)
    whole = (size[0] + margins.left + margins.right, size[1] + margins.top + margins.bottom)
    ax = new_chart(ax, size=whole, margins=margins, theme=theme, grid=None)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlim(0, size[0])
    ax.set_ylim(size[1], 0)
    width, height = size_of(ax)
    scale = min(1.0, width / size[0], height / size[1])
    x = left[layout.layer] if len(nodes) else np.zeros(0)
    y = (layout.height + 0.5) * _ROW
    _draw_edges(ax, edges, layout, (left, right, x, x + widths, y), theme)
    _draw_boxes(ax, nodes, (x, widths, y), theme)
    for node, (name, note), x0, y0 in zip(nodes, texts, x.tolist(), y.tolist(), strict=True):
        at = x0 + _CHIP + _PAD
        write(
            ax, at, y0 - (0.07 if note else 0), name, color=theme.error if node.failed else theme.text,
            size=_NAME * scale, va="center_baseline", zorder=5, clip_on=False,
        )  # fmt: skip
        write(
            ax, at, y0 + 0.11, note, color=theme.error if node.failed else theme.muted, size=_NOTE * scale,
            va="center_baseline", zorder=5, clip_on=False,
        )  # fmt: skip
    return ax


def _columns(layout: Layout, widths: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the left and right side of each layer, as wide as its widest box."""
    n = int(layout.layer.max(initial=-1)) + 1
    wide = np.zeros(n)
    np.maximum.at(wide, layout.layer, widths)
    left = np.cumsum(wide + _GAP) - wide - _GAP
    return left, left + wide


def _draw_boxes(ax: Axes, nodes: list[NodeMark], places: tuple[NDArray[np.float64], ...], theme: Theme) -> None:
    x, widths, y = places
    style = BoxStyle.Round(pad=0, rounding_size=0.06)
    outlines = [
        style(x0, y0 - _BOX_HEIGHT / 2, w, _BOX_HEIGHT, 1.0)
        for x0, w, y0 in zip(x.tolist(), widths.tolist(), y.tolist(), strict=True)
    ]
    ax.add_collection(
        PathCollection(
            outlines,
            facecolors=theme.band,
            edgecolors=[theme.error if node.failed else theme.guide for node in nodes],
            linewidths=[1.3 if node.failed else 0.9 for node in nodes],
            linestyles=[(0, (3, 2)) if node.dashed else "-" for node in nodes],
            transform=ax.transData,
            label="_nodes",
            zorder=3,
            clip_on=False,
        ),
        autolim=False,
    )
    ax.add_collection(
        PolyCollection(
            boxes(x + 0.02, x + 0.02 + _CHIP, y, _BOX_HEIGHT - 0.08),
            facecolors=[node.fill for node in nodes],
            edgecolors=[theme.outline(node.fill) for node in nodes],
            linewidths=0.4,
            label="_chips",
            zorder=4,
            clip_on=False,
        ),
        autolim=False,
    )


def _draw_edges(
    ax: Axes, edges: list[EdgeMark], layout: Layout, sides: tuple[NDArray[np.float64], ...], theme: Theme
) -> None:
    curves, heads, notes = [], [], []
    for edge, way in zip(edges, layout.ways, strict=True):
        curve, tip, before = _curve(edge, way, sides)
        curves.append(curve)
        heads.append(_head(tip, before, 1 + edge.width / 6))
        if edge.note:
            notes.append((edge, curve))
    colors = [edge.color for edge in edges]
    ax.add_collection(
        PathCollection(
            curves, facecolors="none", edgecolors=colors, linewidths=[edge.width for edge in edges],
            linestyles=[(0, (4, 2)) if edge.dashed else "-" for edge in edges], transform=ax.transData, label="_edges",
            zorder=1, capstyle="butt",
        ),
        autolim=False,
    )  # fmt: skip
    ax.add_collection(
        PolyCollection(heads, facecolors=colors, edgecolors="none", label="_arrows", zorder=2), autolim=False
    )
    plate = {"facecolor": theme.background, "edgecolor": "none", "pad": 0.6}
    _, _, x0, x1, heights = sides
    taken = [(a, y - _BOX_HEIGHT / 2, b, y + _BOX_HEIGHT / 2) for a, b, y in zip(x0, x1, heights, strict=True)]
    small = Lettering(_NOTE)
    for edge, curve in notes:
        place = _free_place(curve, small.width(edge.note) + 0.04, taken)
        if place is None:  # the node bears the rate of its calls anyway
            continue
        write(
            ax, *place, edge.note, color=edge.color, size=_NOTE, ha="center", va="center", zorder=2.5, bbox=plate,
            clip_on=False,
        )  # fmt: skip


def _free_place(
    curve: Path, width: float, taken: list[tuple[float, float, float, float]]
) -> tuple[float, float] | None:
    """Return a place on the curve where a note covers neither a box nor another note, and take it."""
    points = np.concatenate([np.asarray(part) for part in curve.to_polygons(IdentityTransform(), closed_only=False)])
    steps = np.r_[0.0, np.cumsum(np.hypot(*np.diff(points, axis=0).T))]
    for part in (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8):
        x, y = (float(np.interp(steps[-1] * part, steps, points[:, side])) for side in (0, 1))
        room = (x - width / 2, y - 0.07, x + width / 2, y + 0.07)
        if all(room[2] < a or c < room[0] or room[3] < b or d < room[1] for a, b, c, d in taken):
            taken.append(room)
            return x, y
    return None


def _curve(
    edge: EdgeMark, way: list[tuple[float, float]], sides: tuple[NDArray[np.float64], ...]
) -> tuple[Path, tuple[float, float], tuple[float, float]]:
    """Return the line from box to box, where its tip is, and a point from which it comes there."""
    left, right, x0, x1, _ = sides
    heights = [(y + 0.5) * _ROW for _, y in way]
    if len(way) == 1:
        x, y = float(x1[edge.first]), heights[0]
        points = [(x, y - 0.08), (x + 0.45, y - 0.22), (x + 0.45, y + 0.22), (x + _ARROW, y + 0.08)]
        codes = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
        return Path(points, codes), (x, y + 0.08), (x + _ARROW, y + 0.09)
    ahead = way[0][0] < way[-1][0]
    begin = float(x1[edge.first] if ahead else x0[edge.first])
    end = float(x0[edge.last] if ahead else x1[edge.last])
    stops = [(begin, heights[0])]
    for (layer, _), y in zip(way[1:-1], heights[1:-1], strict=True):
        near, far = (left, right) if ahead else (right, left)
        stops += [(float(near[int(layer)]), y), (float(far[int(layer)]), y)]
    tip = (end, heights[-1])
    stops.append((end - _ARROW if ahead else end + _ARROW, heights[-1]))
    points, codes = [stops[0]], [Path.MOVETO]
    for at, ((ax_, ay), (bx, by)) in enumerate(itertools.pairwise(stops)):
        if at % 2:  # through a layer
            points.append((bx, by))
            codes.append(Path.LINETO)
        else:
            middle = (ax_ + bx) / 2
            points += [(middle, ay), (middle, by), (bx, by)]
            codes += [Path.CURVE4] * 3
    return Path(points, codes), tip, stops[-1]


def _head(tip: tuple[float, float], before: tuple[float, float], size: float) -> Any:
    sign = 1.0 if before[0] < tip[0] else -1.0
    half = 0.035 * size
    return [tip, (tip[0] - sign * _ARROW, tip[1] - half), (tip[0] - sign * _ARROW, tip[1] + half)]
