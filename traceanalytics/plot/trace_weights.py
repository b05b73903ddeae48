"""How many traces each kept trace stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pandas as pd
from matplotlib.collections import PolyCollection
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from traceanalytics.analysis.trace_rows import counted
from traceanalytics.errors import OptionError, near
from traceanalytics.plot.bars import rectangles
from traceanalytics.plot.chart import Margins, check_title, new_chart, write_empty, write_title
from traceanalytics.plot.style import PALETTE, theme_named
from traceanalytics.spans.schema import check_spans

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from traceanalytics.plot.style import Theme

__all__ = ["weights"]

_SIZE: Final = (9.0, 3.4)
_BARS_A_DECADE: Final = 12


def weights(
    spans: pd.DataFrame,
    *,
    column: str = "weight",
    ax: Axes | None = None,
    title: str | None = None,
    theme: Literal["light", "dark"] = "light",
) -> Axes:
    """Draw how many kept traces have which weight, and how much of all the traffic each weight stands for.

    Two bars a weight: the share of the *kept* traces that have it, and the share of *all* traces that these stand for. Where the
    first is high and the second low, rare traces (errors, slow ones) were kept on purpose: unweighted numbers are theirs. Where the second is high and the first low, few
    traces carry the estimate, and it is uncertain; the note says how many equal weights would tell as much about the whole.

    Parameters
    ----------
    spans
        Span frame with weights, as :func:`traceanalytics.sampling.attach_weights` returns it.
    column
        The column with the weights. A trace has one; missing ones are left out and counted.
    ax
        Axes to draw on; without it, a figure is made.
    title
        In place of what is shown; ``""`` for none.
    theme
        ``"dark"``: light letters on a dark figure.

    Returns
    -------
    matplotlib.axes.Axes
        Weights (traces that one stands for) on the logarithmic x axis, shares in % on the y axis.

    Raises
    ------
    SchemaError
        The frame lacks ``trace_id``.
    OptionError
        There is no such column, or an option is not one of those allowed.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> spans = pd.DataFrame({"trace_id": ["a", "a", "b", "c"], "weight": [1.0, 1.0, 10.0, None]})
    >>> ta.plot.weights(spans).get_title(loc="left")
    '2 kept traces stand for 11'
    """
    check_title(title)
    colors = theme_named(theme)
    check_spans(spans, "trace_id")
    if column not in spans.columns:
        raise OptionError(
            f"column={column!r} is no column of the frame{near(column, spans.columns)}; attach weights with sampling.attach_weights"
        )
    of_trace = pd.to_numeric(spans[column], errors="coerce").groupby(spans["trace_id"].to_numpy(), sort=False).first()
    known = of_trace.to_numpy("float64", na_value=np.nan)
    known = known[known > 0]
    ax = new_chart(ax, size=_SIZE, margins=Margins(left=0.75, right=0.3, top=0.9, bottom=0.5), theme=colors, grid="y")
    notes = []
    if len(known):
        _draw(ax, known, colors)
        effective = known.sum() ** 2 / (known**2).sum()
        notes.append(f"about the whole they tell as much as {effective:,.0f} traces of equal weight")
    else:
        write_empty(ax, "no trace with a known weight", theme=colors)
    if len(known) < len(of_trace):
        notes.append(f"{counted(len(of_trace) - len(known), 'trace')} without a known weight left out")
    what = f"{counted(len(known), 'kept trace')} stand{'s' if len(known) == 1 else ''} for {known.sum():,.0f}"
    write_title(ax, what if title is None else title, " · ".join(notes), theme=colors, left=0.5, above=0.05)
    return ax


def _draw(ax: Axes, known: NDArray[np.float64], theme: Theme) -> None:
    place = np.round(np.log10(known) * _BARS_A_DECADE).astype(np.int64)
    steps, number = np.unique(place, return_inverse=True)
    kept = np.bincount(number) / len(known)
    stands = np.bincount(number, weights=known) / known.sum()
    # The weight itself where a bar holds one weight only, as it does for most designs.
    middle = np.exp(np.bincount(number, weights=np.log(known)) / np.bincount(number))
    ratio = 10 ** (0.38 / _BARS_A_DECADE)
    for low, high, share, color, hatch, label in (
        (middle / ratio, middle, kept, PALETTE[1], None, "share of the kept traces"),
        (middle, middle * ratio, stands, PALETTE[0], "////", "share of all traces that they stand for"),
    ):
        ax.add_collection(
            PolyCollection(
                rectangles(low, high, np.zeros(len(steps)), share), facecolors=color, edgecolors=theme.outline(color),
                linewidths=0.6, hatch=hatch, label=label, zorder=2,
            ),
            autolim=False,
        )  # fmt: skip
    ax.set_xscale("log")
    ax.set_xlim(max(middle.min() / 2, 1e-12), middle.max() * 2)
    ax.set_ylim(0, float(max(kept.max(), stands.max())) * 1.25)
    ax.xaxis.set_major_locator(
        LogLocator(subs=(1.0, 2.0, 5.0) if middle.max() / middle.min() < 100 else (1.0,), numticks=12)
    )
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda weight, _: f"{weight:,.6g}"))
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share * 100:.4g}%"))
    ax.set_xlabel("weight: traces that one stands for")
    legend = ax.legend(
        loc="upper center",
        ncols=2,
        fontsize=8,
        labelcolor=theme.muted,
        framealpha=1,
        facecolor=theme.background,
        edgecolor="none",
        borderpad=0.2,
    )
    legend.set_zorder(5)
