"""The flame graph: call paths of one trace or of many, each as wide as the time that it and all below it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.collections import PolyCollection

from traceanalytics.analysis.call_paths import call_tree
from traceanalytics.analysis.trace_rows import counted, duration_text, plain, texts_of
from traceanalytics.errors import check_option
from traceanalytics.plot.bars import boxes
from traceanalytics.plot.canvas import size_of
from traceanalytics.plot.chart import (
    Margins,
    check_title,
    new_chart,
    time_axis,
    write,
    write_empty,
    write_title,
)
from traceanalytics.plot.legend import ROW_HEIGHT, services_legend
from traceanalytics.plot.lettering import Lettering
from traceanalytics.plot.style import letters_on, service_color, service_patterns, theme_named
from traceanalytics.spans.columns import codes_of
from traceanalytics.weights import span_weights

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from traceanalytics.plot.style import Theme
    from traceanalytics.weights import Weights

__all__ = ["flame"]

_WIDTH: Final = 11.0
_LEVEL: Final = 0.26
_AXIS: Final = 0.34
_NARROWEST: Final = 1 / 1_500
"""Frames below this part of the whole are not drawn: they would be thinner than a pixel."""
_DEEPEST: Final = 60
_LETTERS: Final = 8.0
_PAD: Final = 0.05
_LEAST_ROOM: Final = 0.2
"""Inches; a letter and an ellipsis."""


class _Frames(NamedTuple):
    """What is drawn, in order of the call tree."""

    x: NDArray[np.float64]
    width: NDArray[np.float64]
    """In ms a request, as ``x``."""
    depth: NDArray[np.int64]
    name: list[str]
    service: list[str | None]
    orphan: NDArray[np.bool_]
    left_out: int


def flame(
    spans: pd.DataFrame,
    *,
    value: Literal["critical", "self"] = "critical",
    orient: Literal["icicle", "flame"] = "icicle",
    weights: Weights = None,
    ax: Axes | None = None,
    title: str | None = None,
    theme: Literal["light", "dark"] = "light",
) -> Axes:
    """Draw through which calls the time goes: a frame a call path, its callees side by side below it.

    All traces are laid upon each other, so that one picture serves a trace and a million. A frame is as wide as the time of its
    path and all that prolong it, in milliseconds a request; what its callees leave free is its own. The costliest callee stands
    on the left: the order is no time. The colour is that of the service, with a pattern where services share one.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Select whole traces.
    value
        ``"critical"``: time on the critical path, so that the picture is as wide as the request takes. ``"self"``: time that no
        callee covers; work done at the same time adds up.
    orient
        ``"icicle"``: callers above their callees. ``"flame"``: below them.
    weights
        Sampling weights: the name of a column, or a Series on the frame's index.
    ax
        Axes to draw on; without it, a figure is made that grows with the depth.
    title
        In place of what is shown and how much it is; ``""`` for none.
    theme
        ``"dark"``: light letters on a dark figure.

    Returns
    -------
    matplotlib.axes.Axes
        Time in ms on the x axis, a level of calls for each whole number on the y axis. A frame with a dashed edge begins at a
        span whose parent is missing. Frames narrower than 1/1500 of the whole and calls deeper than 60 are left out; the note
        below the title says how many these are.

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is unusable.
    OptionError
        An option is not one of those allowed.

    See Also
    --------
    traceanalytics.call_tree : The same as a table.
    traceanalytics.folded_stacks : The same for other flame graph tools.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2"], "parent_span_id": [None, "b1"],
    ...     "name": ["checkout", "stock"], "service": ["web", "db"], "start_time": t, "duration_ms": [100.0, 40.0]}))
    >>> ta.plot.flame(spans).get_title(loc="left")
    'critical time · 100 ms a request'
    """
    check_option("value", value, ("critical", "self"))
    check_option("orient", orient, ("icicle", "flame"))
    check_title(title)
    colors = theme_named(theme)
    frames = _frames(call_tree(spans, weights=weights), value, requests := _requests(spans, weights))
    legend = services_legend(frames.service, colors)
    levels = max(int(frames.depth.max(initial=0)) + 1, 3)
    top = orient == "icicle"
    head = 0.6 + legend.lines(_WIDTH - 0.5) * ROW_HEIGHT + (_AXIS if top else 0.05)
    margins = Margins(left=0.25, right=0.25, top=head, bottom=0.15 if top else 0.15 + _AXIS)
    size = (_WIDTH, margins.top + margins.bottom + levels * _LEVEL)
    ax = new_chart(ax, size=size, margins=margins, theme=colors, grid=None)
    whole = float(frames.width[frames.depth == 0].sum())
    if not whole:
        write_empty(ax, "no span has any time" if len(spans) else "no spans", theme=colors)
        write_title(ax, f"{value} time" if title is None else title, theme=colors)
        return ax
    ax.set_xlim(0, whole)
    ax.set_ylim((levels - 0.5, -0.5) if top else (-0.5, levels - 0.5))
    ax.set_yticks([])
    time_axis(ax.xaxis, whole, inches=size_of(ax)[0])
    ax.tick_params(axis="x", top=top, labeltop=top, bottom=not top, labelbottom=not top)
    _draw_frames(ax, frames, colors)
    _draw_names(ax, frames, whole)
    above = legend.draw_above(ax, _AXIS if top else 0.05)
    note = [counted(round(requests), "request")] if requests > 1 else []
    if frames.left_out:
        note.append(f"{counted(frames.left_out, 'path')} too narrow or too deep to draw")
    text = f"{value} time · {duration_text(whole)} a request" if title is None else title
    write_title(ax, text, " · ".join(note), theme=colors, above=above)
    return ax


def _requests(spans: pd.DataFrame, weights: Weights) -> float:
    """Return how many requests the traces of the frame stand for."""
    codes, _ = codes_of(spans["trace_id"])
    return float(span_weights(spans, weights)[np.unique(codes, return_index=True)[1]].sum())


def _frames(tree: pd.DataFrame, value: str, requests: float) -> _Frames:
    """Return the frames that are wide enough, the callees of each packed to its left."""
    parent = pd.Index(tree["path_id"]).get_indexer(pd.Index(tree["parent_path_id"]))
    width = tree[f"{value}_subtree_ms" if value == "critical" else "self_ms"].to_numpy(copy=True)
    depth = tree["depth"].to_numpy()
    if value == "self":
        for at in range(len(tree) - 1, 0, -1):  # callers come first
            if parent[at] >= 0:
                width[parent[at]] += width[at]
    width = width / max(requests, 1e-9)
    whole = width[depth == 0].sum()
    kept = np.flatnonzero((width > whole * _NARROWEST) & (depth < _DEEPEST))
    place = np.full(len(tree) + 1, -1)  # the last one serves the parent -1
    place[kept] = np.arange(len(kept))
    x = np.zeros(len(kept))
    free = np.zeros(len(kept) + 1)  # where the next callee of each frame begins; the last one: the next root
    for at, up in enumerate(place[parent[kept]].tolist()):
        x[at] = free[at] = free[up]
        free[up] += width[kept[at]]
    codes, labels = codes_of(tree["service"])
    return _Frames(
        x=x,
        width=width[kept],
        depth=depth[kept],
        name=texts_of(tree["name"], kept),
        service=[plain(str(labels[code])) if code >= 0 else None for code in codes[kept].tolist()],
        orphan=tree["orphan"].to_numpy()[kept] & (depth[kept] == 0),
        left_out=int((width > 0).sum()) - len(kept),
    )


def _draw_frames(ax: Axes, frames: _Frames, theme: Theme) -> None:
    corners = boxes(frames.x, frames.x + frames.width, frames.depth.astype(np.float64), 0.94)
    patterns = service_patterns(frames.service)
    hatches = np.array([patterns[service] for service in frames.service])
    fills = [service_color(service) for service in frames.service]
    for pattern in sorted(set(hatches.tolist())):  # a collection has one hatching
        some = np.flatnonzero(hatches == pattern)
        ax.add_collection(
            PolyCollection(
                corners[some],
                facecolors=[fills[at] for at in some.tolist()],
                edgecolors=[theme.text if frames.orphan[at] else theme.background for at in some.tolist()],
                linestyles=[(0, (3, 2)) if frames.orphan[at] else "-" for at in some.tolist()],
                linewidths=0.8,
                hatch=pattern or None,
                label="_frames",
                zorder=2,
            ),
            autolim=False,
        )


def _draw_names(ax: Axes, frames: _Frames, whole: float) -> None:
    """Write into each frame what fits: the name, then the part of the whole."""
    letters = Lettering(_LETTERS)
    patterns = service_patterns(frames.service)
    inch = size_of(ax)[0] / whole
    for at, (x, width, depth) in enumerate(
        zip(frames.x.tolist(), frames.width.tolist(), frames.depth.tolist(), strict=True)
    ):
        room = width * inch - 2 * _PAD
        if room < _LEAST_ROOM:
            continue
        share = f"{width / whole:.0%}"
        name = letters.clean(frames.name[at][:300])
        wide = letters.width(name) + letters.width(share) + 0.15 <= room
        fill = service_color(frames.service[at])
        # Letters on a hatching stand on a plate.
        plate = {"facecolor": fill, "edgecolor": "none", "pad": 0.8} if patterns[frames.service[at]] else None
        write(
            ax, x + _PAD / inch, depth, name if wide else letters.cut(name, room), color=letters_on(fill), size=_LETTERS,
            va="center_baseline", zorder=3, bbox=plate,
        )  # fmt: skip
        if wide:
            write(
                ax, x + width - _PAD / inch, depth, share, color=letters_on(fill), size=_LETTERS, va="center_baseline", ha="right", zorder=3,
                bbox=plate,
            )  # fmt: skip
