"""The critical path's profile: what share of the latency each group of spans has, with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import ScaledTranslation

from traceanalytics.analysis.path_profile import critical_path_profile as profile_of
from traceanalytics.analysis.trace_rows import duration_text, plain
from traceanalytics.errors import OptionError
from traceanalytics.plot.bars import boxes
from traceanalytics.plot.chart import Margins, check_title, entry_text, new_chart, write, write_empty, write_title
from traceanalytics.plot.lettering import Lettering
from traceanalytics.plot.style import PALETTE, service_color, theme_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from traceanalytics.analysis.requests import Entry
    from traceanalytics.plot.style import Theme
    from traceanalytics.weights import Weights

__all__ = ["critical_path_profile"]

_WIDTH: Final = 10.0
_ROW: Final = 0.3
_LETTERS: Final = 8.5
_WIDEST_LABELS: Final = 3.8
_NOTES: Final = 1.6
_GAP: Final = 0.1


def critical_path_profile(
    spans: pd.DataFrame,
    *,
    by: str | Sequence[str] = ("service", "name"),
    band: tuple[float, float] | None = None,
    entry: Entry = None,
    top: int = 15,
    weights: Weights = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    ax: Axes | None = None,
    title: str | None = None,
    theme: Literal["light", "dark"] = "light",
) -> Axes:
    """Draw what the latency of a request is made of: a bar a group of spans, with how sure its share is.

    The bars add up to the end-to-end time. The line on a bar is the interval of its share: where two intervals overlap widely,
    the traces do not say which of the two costs more. Beside it stand the share, the mean in each request, and how many of the
    requests have the group on their path.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Select whole traces.
    by, band, entry, weights, confidence, resamples, seed
        As for :func:`traceanalytics.critical_path_profile`, which is drawn.
    top
        Number of bars; the others are one more, in grey, without an interval.
    ax
        Axes to draw on; part of their place is taken for the labels. Without it, a figure is made that grows with the bars.
    title
        In place of what is shown; ``""`` for none.
    theme
        ``"dark"``: light letters on a dark figure.

    Returns
    -------
    matplotlib.axes.Axes
        Shares (0 to 1) on the x axis, the groups at y = 0, 1, 2 ..., the greatest share first.

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is unusable.
    OptionError
        An option is not one of those allowed, or no trace has this entry.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2"], "parent_span_id": [None, "b1"],
    ...     "name": ["checkout", "stock"], "service": ["web", "db"], "start_time": t, "duration_ms": [100.0, 40.0]}))
    >>> ta.plot.critical_path_profile(spans).get_title(loc="left")
    'critical path · 100 ms a request'
    """
    if type(top) is not int or top < 1:
        raise OptionError(f"top={top!r} is no number of bars; give 1 or more")
    check_title(title)
    colors = theme_named(theme)
    options = {"weights": weights, "confidence": confidence, "resamples": resamples, "seed": seed}
    profile = profile_of(spans, by=by, band=band, entry=entry, **options)  # type: ignore[arg-type]
    profile = profile[profile["share"] > 0]
    keys = [by] if isinstance(by, str) else list(by)
    shown, more = profile.iloc[:top], profile.iloc[top:]
    letters = Lettering(_LETTERS)
    labels = [letters.clean(plain(_label(row))[:300]) for row in shown[keys].itertuples(index=False)]
    if len(more):
        labels.append(f"{len(more):,} more")
    left = min(max(map(letters.width, labels), default=0.5) + 2 * _GAP, _WIDEST_LABELS)
    margins = Margins(left=left + 0.15, right=_NOTES + 0.15, top=0.75, bottom=0.45)
    size = (_WIDTH, margins.top + margins.bottom + max(len(labels), 2) * _ROW)
    ax = new_chart(ax, size=size, margins=margins, theme=colors, grid="x")
    if not len(profile):
        write_empty(ax, "no trace has any time", theme=colors)
    else:
        _draw_bars(ax, shown, more, _fills(shown, keys), colors)
        _write_rows(ax, shown, more, labels, left=left, theme=colors)
    per_request = float(profile["critical_mean_ms"].sum())
    parts = [f"critical path{entry_text(entry)}"]
    if len(profile):
        parts.append(f"{duration_text(per_request)} a request")
    if band is not None:
        parts.append(f"p{band[0] * 100:g} to p{band[1] * 100:g}")
    interval = f" and its {confidence:.0%} interval" if resamples else ""
    note = f"share of the end-to-end time{interval} · mean a request · part of the requests that have it on their path"
    write_title(ax, " · ".join(parts) if title is None else title, note, theme=colors, left=left)
    return ax


def _label(row: tuple[object, ...]) -> str:
    return "  ".join("(none)" if pd.isna(part) else str(part) for part in row)  # type: ignore[call-overload]


def _fills(shown: pd.DataFrame, keys: list[str]) -> list[str]:
    """Return a colour for each bar: that of the service, if the groups have one."""
    if "service" not in keys:
        return [PALETTE[3]] * len(shown)
    return [service_color(None if pd.isna(service) else str(service)) for service in shown["service"]]


def _draw_bars(ax: Axes, shown: pd.DataFrame, more: pd.DataFrame, fills: list[str], theme: Theme) -> None:
    share = [*shown["share"], *([more["share"].sum()] if len(more) else [])]
    fills = [*fills, theme.grid][: len(share)]
    y = np.arange(len(share), dtype=float)
    ax.add_collection(
        PolyCollection(
            boxes(np.zeros(len(share)), np.array(share), y, 0.62),
            facecolors=fills,
            edgecolors=[theme.outline(fill) for fill in fills],
            linewidths=0.5,
            label="_shares",
            zorder=2,
        ),
        autolim=False,
    )
    low, high = shown["share_low"].to_numpy(), shown["share_high"].to_numpy()
    known = np.flatnonzero(np.isfinite(low))
    lines = [[(low[at], float(at)), (high[at], float(at))] for at in known.tolist()]
    caps = [[(x, at - 0.14), (x, at + 0.14)] for at in known.tolist() for x in (low[at], high[at])]
    for width, color in ((2.6, theme.background), (1.3, theme.text)):  # the line is seen on any fill
        ax.add_collection(
            LineCollection(lines + caps, colors=color, linewidths=width, label="_intervals", zorder=3), autolim=False
        )
    most = max([*share, *high[known]], default=1.0) or 1.0
    ax.set_xlim(0, most * 1.02)
    ax.set_ylim(len(share) - 0.5, -0.5)
    ax.set_yticks([])
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda part, _: f"{part * 100:.10g} %"))


def _write_rows(
    ax: Axes, shown: pd.DataFrame, more: pd.DataFrame, labels: list[str], *, left: float, theme: Theme
) -> None:
    figure = ax.get_figure()
    assert figure is not None
    letters, small = Lettering(_LETTERS), Lettering(8.0)
    side = ax.get_yaxis_transform()
    before = side + ScaledTranslation(-_GAP, 0, figure.dpi_scale_trans)
    after = side + ScaledTranslation(_GAP, 0, figure.dpi_scale_trans)
    notes = [
        f"{share:.1%} · {duration_text(mean)} · on {part:.0%}"
        for share, mean, part in zip(shown["share"], shown["critical_mean_ms"], shown["path_probability"], strict=True)
    ]
    if len(more):
        notes.append(f"{more['share'].sum():.1%} · {duration_text(float(more['critical_mean_ms'].sum()))}")
    for y, (label, note) in enumerate(zip(labels, notes, strict=True)):
        write(
            ax, 0, y, letters.cut(label, left - 2 * _GAP), color=theme.text, size=_LETTERS, transform=before,
            ha="right", va="center_baseline", clip_on=False,
        )  # fmt: skip
        write(
            ax, 1, y, small.cut(note, _NOTES), color=theme.muted, size=8.0, transform=after, va="center_baseline",
            clip_on=False,
        )  # fmt: skip
