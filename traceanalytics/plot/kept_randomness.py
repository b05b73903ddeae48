"""Which random numbers the kept traces have: the picture that shows a sampler at work, or one that is not what it claims."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from traceanalytics.analysis.trace_rows import counted
from traceanalytics.errors import OptionError
from traceanalytics.plot.bars import rectangles
from traceanalytics.plot.chart import SMALL, Margins, check_title, new_chart, write, write_empty, write_title
from traceanalytics.plot.style import PALETTE, theme_named

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from traceanalytics.plot.style import Theme

__all__ = ["kept_ids"]

_SIZE: Final = (9.0, 3.4)
_SCALE: Final = 2.0**56
"""The deciding number has 56 bits."""

_SPREAD: Final = 2.0
"""Standard deviations of a count around the law that the band shows."""


def kept_ids(
    randomness: pd.Series,
    *,
    p: float | None = None,
    bins: int = 50,
    ax: Axes | None = None,
    title: str | None = None,
    theme: Literal["light", "dark"] = "light",
) -> Axes:
    """Draw the random numbers that decided about the kept traces, beside the law of a sampler with probability ``p``.

    OpenTelemetry keeps a trace when its 56 random bits are at least the threshold ``(1 - p) * 2**56``. So no kept trace may lie
    left of ``1 - p``, and right of it all numbers are as frequent as each other: bars that end within the grey band. Bars on the left were kept by something
    else (another rule, another service, ids that are not random); a slope or a comb means ids that are not random.

    Parameters
    ----------
    randomness
        One number a span or a trace, from 0 to 2**56 - 1, as :func:`traceanalytics.sampling.randomness_of` returns; missing
        ones are left out and counted. A number that occurs again is the same trace and counts once.
    p
        The probability that is claimed, above 0 and up to 1. None: 1, the law of ids before sampling.
    bins
        Number of bars, 1 to 500.
    ax
        Axes to draw on; without it, a figure is made.
    title
        In place of what is shown; ``""`` for none.
    theme
        ``"dark"``: light letters on a dark figure.

    Returns
    -------
    matplotlib.axes.Axes
        Randomness as a share of its range on the x axis, kept traces on the y axis.

    Raises
    ------
    OptionError
        An option is not one of those allowed, or a number is not in the range.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> ta.plot.kept_ids(pd.Series([2**55, 2**55 + 1], dtype="UInt64"), p=0.5).get_title(loc="left")
    'randomness of 2 kept traces · claimed: 50%'
    """
    if type(bins) is not int or not 1 <= bins <= 500:
        raise OptionError(f"bins={bins!r} is no number of bars; give 1 to 500")
    claimed = 1.0 if p is None else p
    if not _is_probability(claimed):
        raise OptionError(f"p={p!r} is no probability above 0 and up to 1")
    check_title(title)
    colors = theme_named(theme)
    shares, missing = _shares(randomness)
    ax = new_chart(ax, size=_SIZE, margins=Margins(left=0.75, right=0.3, top=0.9, bottom=0.5), theme=colors, grid="y")
    below = int((shares < 1 - claimed).sum())
    if len(shares):
        _draw(ax, shares, float(claimed), bins, colors)
    else:
        write_empty(ax, "no trace with a known random number", theme=colors)
    claim = "" if p is None else f" · claimed: {claimed * 100:.4g}%"
    what = f"randomness of {counted(len(shares), 'kept trace')}{claim}"
    notes = [f"{counted(below, 'trace')} below the threshold, which this sampler would have dropped"] if below else []
    notes += [f"{missing:,} without a known random number left out"] if missing else []
    write_title(ax, what if title is None else title, " · ".join(notes), theme=colors, left=0.5, above=0.05)
    return ax


def _is_probability(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and 0 < float(value) <= 1


def _shares(randomness: pd.Series) -> tuple[NDArray[np.float64], int]:
    """Return each distinct number as a share of the range, and how many are missing."""
    known = randomness.dropna()
    numbers = known.drop_duplicates().to_numpy("float64")
    if ((numbers < 0) | (numbers > _SCALE)).any():
        raise OptionError("randomness holds numbers outside 0 to 2**56 - 1; give what sampling.randomness_of returns")
    return numbers / _SCALE, len(randomness) - len(known)


def _draw(ax: Axes, shares: NDArray[np.float64], p: float, bins: int, theme: Theme) -> None:
    edges = np.linspace(0, 1, bins + 1)
    count = np.histogram(shares, bins=edges)[0].astype(np.float64)
    # What a bin expects: the part of it that lies above the threshold.
    room = np.clip(edges[1:] - np.maximum(edges[:-1], 1 - p), 0, None) / p
    expected = room * (shares >= 1 - p).sum()
    spread = _SPREAD * np.sqrt(expected * (1 - room))
    ax.add_collection(
        PolyCollection(
            rectangles(edges[:-1], edges[1:], np.maximum(expected - spread, 0), expected + spread),
            facecolors=theme.text, alpha=0.18, edgecolors="none", label="_law", zorder=3,
        ),
        autolim=False,
    )  # fmt: skip
    within = np.histogram(shares[shares >= 1 - p], bins=edges)[0].astype(np.float64)
    inset = 0.12 / bins
    for low, high, color, hatch, label in (
        (np.zeros(bins), within, PALETTE[3], None, "_kept"),
        (within, count, theme.error, "////", "_below"),
    ):
        some = high > low
        ax.add_collection(
            PolyCollection(
                rectangles(edges[:-1][some] + inset, edges[1:][some] - inset, low[some], high[some]),
                facecolors=color, edgecolors=theme.background, linewidths=0.3, hatch=hatch, label=label, zorder=2,
            ),
            autolim=False,
        )  # fmt: skip
    top = float(max(count.max(), (expected + spread).max())) * 1.12
    ax.set_xlim(0, 1)
    ax.set_ylim(0, top)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlabel("randomness, as a share of its range")
    if p < 1:
        ax.axvline(1 - p, color=theme.text, linewidth=1, linestyle=(0, (3, 2)), label="_threshold", zorder=3)
        left = p > 0.5
        write(
            ax, 1 - p, 1.0, "  threshold  ", color=theme.text, size=SMALL, transform=ax.get_xaxis_transform(),
            ha="left" if left else "right", va="top",
        )  # fmt: skip
