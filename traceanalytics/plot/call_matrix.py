"""The dependency matrix: callers down, callees across, a cell a dependency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.transforms import ScaledTranslation

from traceanalytics.analysis.alike_peers import alike_peers_as_one
from traceanalytics.analysis.dependencies import service_graph
from traceanalytics.analysis.trace_rows import counted, plain
from traceanalytics.errors import OptionError
from traceanalytics.plot.bars import boxes
from traceanalytics.plot.chart import Margins, check_title, new_chart, write, write_empty, write_title
from traceanalytics.plot.lettering import Lettering
from traceanalytics.plot.style import PALETTE, letters_on, mixed, theme_named

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from traceanalytics.plot.style import Theme
    from traceanalytics.weights import Weights

__all__ = ["dependency_matrix"]

_CELL: Final = (0.56, 0.3)
_NAME: Final = 8.0
_COUNT: Final = 7.0
_WIDEST: Final = 2.4
_GAP: Final = 0.08


def dependency_matrix(
    spans: pd.DataFrame,
    *,
    level: Literal["service", "operation"] = "service",
    max_nodes: int = 30,
    weights: Weights = None,
    ax: Axes | None = None,
    title: str | None = None,
    theme: Literal["light", "dark"] = "light",
) -> Axes:
    """Draw what calls what as a table: a row a caller, a column a callee, in each cell the number of calls.

    Where a graph becomes a tangle, the matrix stays readable: a full row calls everybody, a full column is called by everybody.
    Peers without spans that differ by numbers only and have the same callers are one column.
    The stronger the colour, the more calls; a red edge and a ``!`` mark calls that failed.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Select whole traces.
    level
        ``"service"`` or ``"operation"``, as for :func:`traceanalytics.service_graph`.
    max_nodes
        Callers, and callees, to show: those with most calls, 1 or more; the note says how many are left out.
    weights
        Sampling weights: the name of a column, or a Series on the frame's index.
    ax
        Axes to draw on; without it, a figure is made that grows with the table.
    title
        In place of how many dependencies and calls there are; ``""`` for none.
    theme
        ``"dark"``: light letters on a dark figure.

    Returns
    -------
    matplotlib.axes.Axes
        Callers at y = 0, 1, 2 ..., callees at x = 0, 1, 2 ..., both by name.

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is unusable.
    OptionError
        An option is not one of those allowed.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2"], "parent_span_id": [None, "b1"],
    ...     "name": ["checkout", "stock"], "service": ["web", "cart"], "start_time": t, "duration_ms": [100.0, 40.0]}))
    >>> [text.get_text() for text in ta.plot.dependency_matrix(spans).texts]
    ['web', 'cart', '1']
    """
    if type(max_nodes) is not int or max_nodes < 1:
        raise OptionError(f"max_nodes={max_nodes!r} is no number of callers; give 1 or more")
    check_title(title)
    colors = theme_named(theme)
    graph, _ = alike_peers_as_one(service_graph(spans, level=level, merge=True, weights=weights))
    edges = list(graph.edges(data=True))
    callers, callees = (_most_called(edges, side, max_nodes) for side in (0, 1))
    shown = [edge for edge in edges if edge[0] in callers and edge[1] in callees]
    letters = Lettering(_NAME)
    labels = [
        [letters.cut(letters.clean(plain(name)[:300]), _WIDEST) for name in names] for names in (callers, callees)
    ]
    left, head = (max(map(letters.width, texts), default=0.0) + 2 * _GAP for texts in labels)
    width, height = max(len(callees), 1) * _CELL[0], max(len(callers), 2) * _CELL[1]
    margins = Margins(left=0.2 + left, right=max(0.3, 8.0 - left - width), top=0.65 + head, bottom=0.2)
    size = (width + margins.left + margins.right, height + margins.top + margins.bottom)
    ax = new_chart(ax, size=size, margins=margins, theme=colors, grid=None)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlim(-0.5, max(len(callees), 1) - 0.5)
    ax.set_ylim(max(len(callers), 2) - 0.5, -0.5)
    if shown:
        _write_names(ax, *labels, theme=colors)
        _draw_cells(ax, shown, (callers, callees), colors)
    else:
        write_empty(ax, "no calls between services" if len(spans) else "no spans", theme=colors)
    calls = sum(of["calls"] for _, _, of in edges)
    text = f"{len(edges):,} {'dependency' if len(edges) == 1 else 'dependencies'} · {counted(round(calls), 'call')}"
    note = f"{len(edges) - len(shown):,} with fewer calls left out" if len(edges) > len(shown) else ""
    write_title(ax, text if title is None else title, note, theme=colors, left=left, above=head if shown else 0.0)
    return ax


def _most_called(edges: list[tuple[str, str, dict[str, Any]]], side: int, most: int) -> list[str]:
    """Return the names on one side of the edges with most calls, in order of the names."""
    calls: dict[str, float] = {}
    for *ends, of in edges:
        calls[ends[side]] = calls.get(ends[side], 0.0) + of["calls"]
    return sorted(sorted(calls, key=lambda name: (-calls[name], name))[:most])


def _write_names(ax: Axes, callers: list[str], callees: list[str], *, theme: Theme) -> None:
    figure = ax.get_figure()
    assert figure is not None
    beside = ax.get_yaxis_transform() + ScaledTranslation(-_GAP, 0, figure.dpi_scale_trans)
    above = ax.get_xaxis_transform() + ScaledTranslation(0, _GAP, figure.dpi_scale_trans)
    for y, name in enumerate(callers):
        write(
            ax, 0, y, name, color=theme.text, size=_NAME, transform=beside, ha="right", va="center_baseline",
            clip_on=False,
        )  # fmt: skip
    for x, name in enumerate(callees):
        write(
            ax, x, 1, name, color=theme.text, size=_NAME, transform=above, ha="center", va="bottom", rotation=90,
            clip_on=False,
        )  # fmt: skip


def _draw_cells(
    ax: Axes, edges: list[tuple[str, str, dict[str, Any]]], names: tuple[list[str], list[str]], theme: Theme
) -> None:
    rows = {name: at for at, name in enumerate(names[0])}
    columns = {name: at for at, name in enumerate(names[1])}
    y = np.array([rows[a] for a, _, _ in edges], dtype=float)
    x = np.array([columns[b] for _, b, _ in edges], dtype=float)
    calls = np.array([of["calls"] for _, _, of in edges], dtype=float)
    failed = np.array([of.get("error_rate", 0.0) > 0 for _, _, of in edges])
    part = np.log1p(calls) / max(float(np.log1p(calls).max()), 1e-9)
    fills = [mixed(theme.background, PALETTE[3], 0.12 + 0.88 * share) for share in part.tolist()]
    for label, these, edge, thick in (
        ("_cells", ~failed, theme.background, 1.0),
        ("_failed", failed, theme.error, 1.6),
    ):
        some = np.flatnonzero(these)
        ax.add_collection(
            PolyCollection(
                boxes(x[some] - 0.47, x[some] + 0.47, y[some], 0.88), facecolors=[fills[at] for at in some.tolist()],
                edgecolors=edge, linewidths=thick, label=label, zorder=2, clip_on=False,
            ),
            autolim=False,
        )  # fmt: skip
    grid_y, grid_x = (grid.ravel().astype(float) for grid in np.indices((len(rows), len(columns))))
    empty = boxes(grid_x - 0.47, grid_x + 0.47, grid_y, 0.88)
    ax.add_collection(
        PolyCollection(empty, facecolors=theme.band, label="_empty", zorder=1, clip_on=False), autolim=False
    )
    for at, number in enumerate(calls.tolist()):
        text = _short(number)
        write(
            ax, x[at], y[at], f"! {text}" if failed[at] else text, color=letters_on(fills[at]), size=_COUNT, ha="center",
            va="center_baseline", zorder=3,
        )  # fmt: skip


def _short(number: float) -> str:
    """Return a count in at most five characters.

    >>> [_short(n) for n in (7, 12_345, 1_250_000)]
    ['7', '12.3k', '1.25M']
    """
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}" if number < 100 * size else f"{number / size:.0f}{unit}"
    return f"{number:.3g}" if number < 100 else f"{number:.0f}"
