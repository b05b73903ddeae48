"""Do intervals hold what they promise? Measured coverage beside the nominal one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import ScaledTranslation

from traceanalytics.analysis.trace_rows import counted, plain
from traceanalytics.errors import OptionError, SchemaError
from traceanalytics.plot.chart import SMALL, Margins, check_title, new_chart, write, write_empty, write_title
from traceanalytics.plot.lettering import Lettering
from traceanalytics.plot.style import PALETTE, theme_named

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from traceanalytics.plot.style import Theme

__all__ = ["coverage"]

_NEEDED: Final = ("cell", "estimator", "nominal", "coverage", "coverage_lo", "coverage_hi")
_ROW: Final = 0.26
_WIDEST: Final = 3.6
_ROOM: Final = 0.9
"""Inches right of the Axes for the numbers."""


def coverage(
    table: pd.DataFrame,
    *,
    max_rows: int = 60,
    ax: Axes | None = None,
    title: str | None = None,
    theme: Literal["light", "dark"] = "light",
) -> Axes:
    """Draw how often intervals held the truth in repeated samples, beside how often they promise to.

    A dot a row, with the interval of the measurement; the line is the promise. Dots left of it by more than their interval are
    intervals that are too narrow (marked with a cross): the usual fault of counting spans as if they were independent.

    Parameters
    ----------
    table
        One row a cell and estimator, as :func:`traceanalytics.sampling.coverage_study` returns it, with columns ``cell``,
        ``estimator``, ``nominal``, ``coverage``, ``coverage_lo`` and ``coverage_hi`` (shares, 0 to 1).
    max_rows
        Rows to show, the first ones; the note says how many are left out.
    ax
        Axes to draw on; without it, a figure is made that grows with the table.
    title
        In place of what is shown; ``""`` for none.
    theme
        ``"dark"``: light letters on a dark figure.

    Returns
    -------
    matplotlib.axes.Axes
        Coverage in % on the x axis, one row of the table at y = 0, 1, 2 ... from above.

    Raises
    ------
    SchemaError
        The table lacks a column.
    OptionError
        An option is not one of those allowed.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> table = pd.DataFrame({"cell": ["10 %"], "estimator": ["error rate"], "nominal": [0.95], "coverage": [0.5],
    ...     "coverage_lo": [0.48], "coverage_hi": [0.52]})
    >>> ta.plot.coverage(table).get_title(loc="left")
    'coverage of 1 interval, 1 too narrow'
    """
    if type(max_rows) is not int or max_rows < 1:
        raise OptionError(f"max_rows={max_rows!r} is no number of rows; give 1 or more")
    check_title(title)
    colors = theme_named(theme)
    if missing := [name for name in _NEEDED if name not in table.columns]:
        raise SchemaError(f"the table lacks {', '.join(missing)}: give what sampling.coverage_study returns")
    known = table[table["coverage"].notna()]
    shown = known.iloc[:max_rows]
    letters = Lettering(SMALL)
    labels = [
        letters.cut(letters.clean(plain(f"{cell} · {estimator}")[:300]), _WIDEST)
        for cell, estimator in zip(shown["cell"].tolist(), shown["estimator"].tolist(), strict=True)
    ]
    left = max(map(letters.width, labels), default=0.0) + 0.2
    margins = Margins(left=0.15 + left, right=_ROOM, top=0.8, bottom=0.5)
    size = (9.0, max(len(shown), 3) * _ROW + margins.top + margins.bottom)
    ax = new_chart(ax, size=size, margins=margins, theme=colors, grid="x")
    ax.set_yticks([])
    ax.set_ylim(max(len(shown), 3) - 0.5, -0.5)
    narrow = (known["coverage_hi"] < known["nominal"]).to_numpy(bool)
    if len(shown):
        _draw(ax, shown, labels, colors)
    else:
        write_empty(ax, "no coverage was measured", theme=colors)
    what = f"coverage of {counted(len(known), 'interval')}" + (f", {narrow.sum():,} too narrow" if narrow.any() else "")
    note = f"{len(known) - len(shown):,} more rows left out" if len(known) > len(shown) else ""
    write_title(ax, what if title is None else title, note, theme=colors, left=left, above=0.05)
    return ax


def _draw(ax: Axes, table: pd.DataFrame, labels: list[str], theme: Theme) -> None:
    figure = ax.get_figure()
    assert figure is not None
    y = np.arange(len(table), dtype=np.float64)
    found, low, high, promised = (
        table[name].to_numpy("float64") for name in ("coverage", "coverage_lo", "coverage_hi", "nominal")
    )
    narrow = high < promised
    for name, ends, width, color in (
        ("_distance", (promised, found), 1.0, theme.guide),
        ("_intervals", (low, high), 2.2, theme.muted),
    ):
        ax.add_collection(
            LineCollection(_lines(*ends, y, y), colors=color, linewidths=width, label=name, zorder=2), autolim=False
        )
    ax.add_collection(
        LineCollection(
            _lines(promised, promised, y - 0.5, y + 0.5),
            colors=theme.text, linewidths=1.0, linestyles=[(0, (3, 2))], label="_nominal", zorder=3,
        ),
        autolim=False,
    )  # fmt: skip
    for these, marker, color, label in ((~narrow, "o", PALETTE[2], "_fine"), (narrow, "X", theme.error, "_narrow")):
        ax.plot(
            found[these], y[these], linestyle="none", marker=marker, markersize=6, color=color, markeredgecolor=theme.background,
            markeredgewidth=0.6, label=label, zorder=4, clip_on=False, scalex=False, scaley=False,
        )  # fmt: skip
    least = float(min(np.nanmin(low), promised.min()))
    ax.set_xlim(0.0 if least < 0.5 else np.floor(least * 20 - 0.5) / 20, 1.0)
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share * 100:.4g}%"))
    ax.set_xlabel("samples whose interval held the truth")
    before, after = (
        ax.get_yaxis_transform() + ScaledTranslation(shift, 0, figure.dpi_scale_trans) for shift in (-0.12, 0.12)
    )
    for at, label in enumerate(labels):
        write(
            ax,
            0,
            at,
            label,
            color=theme.text,
            size=SMALL,
            transform=before,
            ha="right",
            va="center_baseline",
            clip_on=False,
        )
        write(
            ax, 1, at, f"{found[at] * 100:.1f}%", color=theme.error if narrow[at] else theme.muted, size=SMALL,
            transform=after, va="center_baseline", clip_on=False,
        )  # fmt: skip


def _lines(*sides: NDArray[np.float64]) -> Any:
    """Return straight lines from (left, low) to (right, high), as a collection of lines takes them."""
    left, right, low, high = sides
    return np.stack([np.stack([left, right], 1), np.stack([low, high], 1)], 2)
