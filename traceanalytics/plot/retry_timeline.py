"""Retries over time: each attempt, the pauses between them, and how it ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from traceanalytics.analysis.retry_groups import retries as retries_of
from traceanalytics.analysis.trace_rows import counted, duration_text, plain
from traceanalytics.errors import OptionError
from traceanalytics.plot.bars import boxes
from traceanalytics.plot.canvas import size_of
from traceanalytics.plot.chart import Margins, check_title, new_chart, time_axis, write, write_empty, write_title
from traceanalytics.plot.legend import Legend
from traceanalytics.plot.lettering import Lettering
from traceanalytics.plot.style import PALETTE, theme_named
from traceanalytics.spans.error_rule import is_error

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from traceanalytics.plot.style import Theme
    from traceanalytics.weights import Weights

__all__ = ["retries"]

_WIDTH: Final = 10.0
_ROW: Final = 0.3
_LETTERS: Final = 8.0
_WIDEST_LABELS: Final = 3.4
_NOTES: Final = 2.1
_GAP: Final = 0.08
_SUCCESS: Final = PALETTE[2]


class _Attempts(NamedTuple):
    """The attempts whose spans are in the frame; an element each."""

    y: list[float]
    start_ms: list[float]
    end_ms: list[float]
    """Both since the first attempt of the group."""
    failed: list[bool]


def retries(
    spans: pd.DataFrame,
    *,
    max_groups: int = 25,
    weights: Weights = None,
    ax: Axes | None = None,
    title: str | None = None,
    theme: Literal["light", "dark"] = "light",
) -> Axes:
    """Draw which calls were tried again: a row a call, a bar an attempt, from the start of the first one.

    Failed attempts are red and hatched, a successful one is green; the line between them is the time waited before the next.
    Long lines are back-off, bars without lines between them are retries that hammer at once. Where a span only tells in events or
    attributes that it was tried again, it is one bar, and the number of attempts stands beside it.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Select whole traces.
    max_groups
        Calls to show, those whose retries took longest, 1 or more; the note says how many are left out.
    weights
        Sampling weights, for the counts in the title: the name of a column, or a Series on the frame's index.
    ax
        Axes to draw on; part of their place is taken for the labels. Without it, a figure is made that grows with the rows.
    title
        In place of how many calls were tried again; ``""`` for none.
    theme
        ``"dark"``: light letters on a dark figure.

    Returns
    -------
    matplotlib.axes.Axes
        Time in ms on the x axis, the calls at y = 0, 1, 2 ..., those that took longest first.

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is unusable.
    OptionError
        An option is not one of those allowed.

    See Also
    --------
    traceanalytics.retries : The same as a table.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> t = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta([0, 1, 20], unit="ms")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2", "b3"], "parent_span_id": [None, "b1", "b1"],
    ...     "name": ["checkout", "pay", "pay"], "service": "web", "kind": ["SERVER", "CLIENT", "CLIENT"], "start_time": t,
    ...     "duration_ms": [50.0, 9.0, 9.0], "status": ["UNSET", "ERROR", "UNSET"]}))
    >>> ta.plot.retries(spans).get_title(loc="left")
    '1 call tried again · 1 recovered'
    """
    if type(max_groups) is not int or max_groups < 1:
        raise OptionError(f"max_groups={max_groups!r} is no number of calls; give 1 or more")
    check_title(title)
    colors = theme_named(theme)
    found = retries_of(spans, weights=weights)
    attempts, length = _attempts(spans, found)
    order = np.lexsort((np.arange(len(found)), -length))[:max_groups]
    shown = found.iloc[order]
    letters = Lettering(_LETTERS)
    labels = [letters.clean(plain(_label(row))[:300]) for row in shown[["service", "callee"]].itertuples(index=False)]
    left = min(max(map(letters.width, labels), default=0.5) + 2 * _GAP, _WIDEST_LABELS)
    margins = Margins(left=0.15 + left, right=0.15 + _NOTES, top=0.95, bottom=0.45)
    size = (_WIDTH, margins.top + margins.bottom + max(len(labels), 3) * _ROW)
    ax = new_chart(ax, size=size, margins=margins, theme=colors, grid="x")
    ax.set_yticks([])
    above = 0.0
    if len(shown):
        ax.set_ylim(max(len(labels), 3) - 0.5, -0.5)
        place = {int(group): row for row, group in enumerate(order.tolist())}
        above = _draw(ax, [attempts[group] for group in place], float(length[order].max()), colors)
        _write_rows(ax, shown, labels, left, colors)
    else:
        write_empty(ax, "no call was tried again" if len(spans) else "no spans", theme=colors)
    by_outcome = found.groupby("outcome", observed=True)["weight"].sum()
    parts = [f"{counted(round(found['weight'].sum()), 'call')} tried again"]
    parts += [f"{round(by_outcome[o]):,} {o}" for o in ("recovered", "exhausted", "unknown") if o in by_outcome.index]
    note = f"{counted(len(found) - len(shown), 'shorter one')} left out" if len(found) > len(shown) else ""
    write_title(ax, " · ".join(parts) if title is None else title, note, theme=colors, left=left, above=above)
    return ax


def _label(row: tuple[object, ...]) -> str:
    service, callee = row
    return f"{service if isinstance(service, str) else '(no service)'} \N{RIGHTWARDS ARROW} {callee}"


def _attempts(spans: pd.DataFrame, found: pd.DataFrame) -> tuple[list[_Attempts], np.ndarray]:
    """Return the attempts of each group, and how long each group took in ms."""
    members = [(trace_id, json.loads(ids)) for trace_id, ids in zip(found["trace_id"], found["span_ids"], strict=True)]
    wanted = {(trace_id, span_id) for trace_id, ids in members for span_id in ids}
    some = spans[spans["span_id"].isin({span_id for _, span_id in wanted})]
    start = some["start_time"].astype("int64").to_numpy()
    end = start + (some["duration_ms"].to_numpy("float64", na_value=0.0) * 1e6).round().astype("int64")
    failed = is_error(spans).loc[some.index].to_numpy()
    known = some["start_time"].notna().to_numpy()
    place = {
        key: at
        for at, key in enumerate(zip(some["trace_id"].tolist(), some["span_id"].tolist(), strict=True))
        if known[at]
    }
    groups, length = [], np.zeros(len(found))
    for number, (trace_id, ids) in enumerate(members):
        at = [place[trace_id, span_id] for span_id in ids if (trace_id, span_id) in place]
        first = min((int(start[i]) for i in at), default=0)
        begins, ends = [(int(start[i]) - first) / 1e6 for i in at], [(int(end[i]) - first) / 1e6 for i in at]
        groups.append(_Attempts([0.0] * len(at), begins, ends, [bool(failed[i]) for i in at]))
        length[number] = max(ends, default=0.0)
    return groups, length


def _draw(ax: Axes, groups: list[_Attempts], longest: float, theme: Theme) -> float:
    ax.set_xlim(0, (longest or 1.0) * 1.02)
    time_axis(ax.xaxis, longest or 1.0, inches=size_of(ax)[0])
    thinnest = (longest or 1.0) * 0.004
    pauses = []
    bars: dict[bool, list[tuple[float, float, float]]] = {False: [], True: []}
    for y, group in enumerate(groups):
        reached = 0.0
        for start, end, failed in zip(group.start_ms, group.end_ms, group.failed, strict=True):
            if start > reached:
                pauses.append([(reached, y), (start, y)])
            reached = max(reached, end)
            bars[failed].append((start, max(end, start + thinnest), y))
    ax.add_collection(
        LineCollection(pauses, colors=theme.muted, linewidths=1, linestyles=":", label="_pauses", zorder=2),
        autolim=False,
    )
    for failed, fill, hatch in ((True, theme.error, "////"), (False, _SUCCESS, None)):
        starts, ends, rows = np.array(bars[failed], dtype=float).reshape(-1, 3).T
        ax.add_collection(
            PolyCollection(
                boxes(starts, ends, rows, 0.56), facecolors=fill, edgecolors=theme.background if failed else theme.outline(fill),
                linewidths=0.5, hatch=hatch, label="_failed" if failed else "_succeeded", zorder=3,
            ),
            autolim=False,
        )  # fmt: skip
    legend = Legend(theme)
    if bars[True]:
        legend.add("failed attempt", Patch(facecolor=theme.error, edgecolor=theme.background, hatch="////"))
    if bars[False]:
        legend.add("success", Patch(facecolor=_SUCCESS, edgecolor=theme.outline(_SUCCESS)))
    if pauses:
        legend.add("pause", Line2D([], [], color=theme.muted, linewidth=1, linestyle=":"))
    return legend.draw_above(ax, 0.08)


def _write_rows(ax: Axes, shown: pd.DataFrame, labels: list[str], left: float, theme: Theme) -> None:
    figure = ax.get_figure()
    assert figure is not None
    letters, small = Lettering(_LETTERS), Lettering(7.5)
    before = ax.get_yaxis_transform() + ScaledTranslation(-_GAP, 0, figure.dpi_scale_trans)
    after = ax.get_yaxis_transform() + ScaledTranslation(_GAP, 0, figure.dpi_scale_trans)
    columns = ["attempts", "outcome", "backoff_ms", "evidence"]
    for y, (label, (attempts, outcome, backoff, evidence)) in enumerate(
        zip(labels, shown[columns].itertuples(index=False), strict=True)
    ):
        parts = [counted(int(attempts), "attempt"), f"! {outcome}" if outcome == "exhausted" else str(outcome)]
        parts += [f"{duration_text(float(backoff))} pause"] if backoff == backoff and backoff > 0 else []  # noqa: PLR0124 - NaN
        parts += [f"by {evidence}"] if evidence != "siblings" else []
        write(
            ax, 0, y, letters.cut(label, left - 2 * _GAP), color=theme.text, size=_LETTERS, transform=before, ha="right",
            va="center_baseline", clip_on=False,
        )  # fmt: skip
        write(
            ax, 1, y, small.cut(" · ".join(parts), _NOTES), color=theme.error if outcome == "exhausted" else theme.muted,
            size=7.5, transform=after, va="center_baseline", clip_on=False,
        )  # fmt: skip
