"""The picture of the lab of sampling: each quantity beside the truth, as the kept traces say it and as it is estimated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from traceanalytics.lab.sampling_words import LABELS, value_text
from traceanalytics.plot.chart import Margins, new_chart, write, write_title
from traceanalytics.plot.style import PALETTE, theme_named

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from traceanalytics.plot.style import Theme

__all__ = ["estimates_figure"]

_SIZE: Final = (9.0, 3.1)
_COLUMNS: Final = (("truth", 1.6), ("kept traces", 2.5), ("estimate", 3.3))
"""Words over the numbers, and inches from the left edge to their right ends."""
_LEFT: Final = 3.6
_RIGHT: Final = 1.2
_COLOR: Final = PALETTE[3]


def estimates_figure(estimates: pd.DataFrame, *, title: str, note: str, theme: str) -> Figure:
    """Return a figure of the estimates of one sample, in units of the truth: from nothing to twice as much."""
    colors = theme_named(theme)
    ax = new_chart(None, size=_SIZE, margins=Margins(_LEFT, _RIGHT, 0.75, 0.35), theme=colors, grid="x")
    ax.set(xlim=(0, 2), ylim=(len(estimates) - 0.5, -0.5), yticks=[])
    ax.set_xticks([0, 0.5, 1, 1.5, 2], ["0", "50 %", "truth", "150 %", "200 %"])
    ax.axvline(1, color=colors.text, linewidth=1.2, zorder=2)
    width = ax.get_position().width * _SIZE[0]

    def place(inches: float) -> float:
        return (inches - _LEFT) / width * 2

    for name, at in _COLUMNS:
        write(ax, place(at), -0.62, name, color=colors.muted, size=8, ha="right")
    for at, row in enumerate(estimates.to_dict("records")):
        label, unit = LABELS[row["quantity"]]
        write(ax, place(0.1), at, label, color=colors.text, size=9, va="center")
        shown = row["estimate"] if row["verdict"] != "bound only" else math.nan
        for (_, inches), value in zip(_COLUMNS, (row["truth"], row["raw"], shown), strict=True):
            text = value_text(value, unit) if not math.isnan(value) else "\N{EN DASH}"
            write(ax, place(inches), at, text, color=colors.text, size=9, va="center", ha="right")
        write(ax, 2.05, at, str(row["verdict"]).replace("_", " "), color=colors.text, size=9, va="center")
        _draw_row(ax, at, row, colors)
    write_title(
        ax,
        title,
        f"{note}; hollow: the kept traces as they are, filled: weighted, with the 95 % interval",
        theme=colors,
        left=_LEFT - 0.1,
        above=0.14,
    )
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def _draw_row(ax: Axes, at: int, row: Mapping[Any, Any], colors: Theme) -> None:
    def share(value: float) -> float:
        return min(value / row["truth"], 2.0) if row["truth"] else (2.0 if value else 1.0)

    low, high = row["lo"], row["hi"]
    if not math.isnan(low):
        end = 2.0 if math.isnan(high) else share(high)
        ax.plot(
            [share(low), end], [at, at], color=_COLOR, linewidth=4, alpha=0.45, solid_capstyle="butt", label="_interval"
        )
    for name, face in (("raw", colors.background), ("estimate", _COLOR)):
        if not math.isnan(row[name]):
            ax.plot(
                share(row[name]), at, marker="D" if name == "raw" else "o", markersize=6, markerfacecolor=face,
                markeredgecolor=colors.text if name == "raw" else _COLOR, zorder=4, clip_on=False, label=f"_{name}",
            )  # fmt: skip
