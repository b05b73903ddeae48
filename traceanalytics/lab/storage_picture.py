"""The picture of the lab of storage: what a day sends and keeps, a row a strategy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.collections import PolyCollection

from traceanalytics.lab.storage_words import bytes_text, money_text, number_text
from traceanalytics.plot.bars import boxes
from traceanalytics.plot.chart import Margins, new_chart, write, write_title
from traceanalytics.plot.style import PALETTE, mixed, theme_named

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["storage_bars"]

_DAY: Final = 86_400
_SIZE: Final = (9.0, 2.9)
_KEPT: Final = PALETTE[3]
_COLUMNS: Final = (("a day", 0.78), ("on disk", 1.6), ("a month", 2.5), ("in memory", 3.35))
"""Words over the numbers, and inches from the bars to their right ends."""


def storage_bars(table: pd.DataFrame, *, units: str, note: str, days: float, theme: str) -> Figure:
    """Return a figure with the bars of a table of ``storage_cost`` with its numbers.

    Parameters
    ----------
    table
        One row a strategy.
    units
        ``"decimal"`` or ``"binary"``.
    note
        The line below the title.
    days
        For how long traces are kept.
    theme
        ``"light"`` or ``"dark"``.
    """
    colors = theme_named(theme)
    ax = new_chart(None, size=_SIZE, margins=Margins(1.2, 3.55, 0.6, 0.3), theme=colors, grid=None)
    rows = np.arange(len(table), dtype=np.float64)
    zero, sent = np.zeros(len(table)), table["collector_bytes_per_s"].to_numpy() * _DAY
    kept = table["bytes_per_s"].to_numpy() * _DAY
    most = max(float(sent.max()), 1.0)
    for end, fill, label in ((sent, mixed(_KEPT, colors.background, 0.75), "_sent"), (kept, _KEPT, "_kept")):
        ax.add_collection(
            PolyCollection(boxes(zero, end, rows, 0.5), facecolors=fill, edgecolors="none", label=label), autolim=False
        )
    ax.set(xlim=(0, most), ylim=(len(table) - 0.5, -0.75), xticks=[])
    ax.set_yticks(rows, table["strategy"].tolist())
    ax.tick_params(labelcolor=colors.text, labelsize=9)
    width = ax.get_position().width * _SIZE[0]
    for name, at in _COLUMNS:
        write(ax, most * (1 + at / width), -0.68, name, color=colors.muted, size=8, ha="right")
    for row, values in zip(rows, table.to_dict("records"), strict=True):
        cost, memory = values["monthly_cost"], values["buffer_gb"]
        texts = (
            bytes_text(values["bytes_per_s"] * _DAY, units),
            bytes_text(values["stored_gb"] * 1e9, units),
            "" if np.isnan(cost) else money_text(cost),
            bytes_text(memory * 1e9, units) if memory else "",
        )
        for (_, at), text in zip(_COLUMNS, texts, strict=True):
            write(ax, most * (1 + at / width), float(row), text, color=colors.text, size=9, ha="right", va="center")
    ax.text(
        0, -0.02, f"dark: kept, pale: sent to a collector and not kept; on disk for {number_text(days)} days",
        transform=ax.transAxes, va="top", color=colors.muted, fontsize=8,
    )  # fmt: skip
    write_title(ax, "What it costs to keep traces", note, theme=colors, left=1.1, above=0.02)
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure
