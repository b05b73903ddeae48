"""The waterfall: one row a span, one bar from its start to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import ScaledTranslation

from traceanalytics.analysis.trace_rows import check_max_rows, duration_text, fold, plain, trace_rows
from traceanalytics.errors import OptionError, check_option
from traceanalytics.plot.bars import boxes, dimmed, draw_bars, draw_events, draw_path, milliseconds
from traceanalytics.plot.canvas import make_room, new_axes, size_of
from traceanalytics.plot.legend import ROW_HEIGHT, Legend
from traceanalytics.plot.lettering import Lettering
from traceanalytics.plot.row_labels import RowLabels
from traceanalytics.plot.style import LIGHT, service_color, service_patterns

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from traceanalytics.analysis.trace_rows import TraceRows

__all__ = ["waterfall"]

_WIDTH: Final = 11.0
_MARGIN: Final = 0.15
_TITLE: Final = 0.52
_AXIS: Final = 0.34
_BESIDE_BARS: Final = 0.85
"""Room right of the trace's end for the duration beside the longest bar."""
_WIDEST_LABELS: Final = 4.4
_TICKS_BELOW_FROM: Final = 40


def waterfall(
    trace: pd.DataFrame,
    *,
    highlight: Literal["critical_path", "errors"] | None = "critical_path",
    ax: Axes | None = None,
    max_rows: int = 200,
    title: str | None = None,
) -> Axes:
    """Draw a trace over time: one row a span, parents above their children, the colour that of the service.

    Services whose names give them the same colour are told apart by a pattern; ``ta.options.service_colors`` sets colours.
    Spans without a length, and those whose end is unknown, are ticks. Errors have a red edge and a ``!``; roots other than the
    main one and children that outlive a parent of their service have dashed edges; events are diamonds, exceptions red ones.

    Parameters
    ----------
    trace
        Span frame of one trace: ``ta.trace(spans, trace_id)``.
    highlight
        ``"critical_path"``: a dark strip below the bars wherever the trace's time was spent on this span, a grey one where it
        waited there. ``"errors"``: spans without error are pale. None: neither.
    ax
        Axes to draw on; part of its place is taken for the labels. Without it, a figure is made that grows with the rows.
    max_rows
        Spans to show. Of more, errors, the critical path and the longest ones stay, with their ancestors; the title says how many
        are folded, and ``+3`` beside a name how many below it.
    title
        In place of service, name, duration and counts; ``""`` for none.

    Returns
    -------
    matplotlib.axes.Axes
        Time in ms from the start of the trace; the rows are at y = 0, 1, 2 ... As the last expression of a notebook's cell it shows
        the picture; ``ax.figure.savefig("trace.png")`` writes it. The state of pyplot is not touched.

    Raises
    ------
    OptionError
        The frame does not hold exactly one trace, or an option is not one of those allowed.
    SchemaError
        The frame lacks a column, or its index repeats a label.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2"], "parent_span_id": [None, "b1"],
    ...     "name": ["checkout", "stock"], "start_time": [t, t + pd.Timedelta("10ms")], "duration_ms": [100.0, 40.0]}))
    >>> ax = ta.plot.waterfall(spans)
    >>> ax.get_title(loc="left")
    'checkout · 100 ms · 2 spans'
    """
    check_option("highlight", highlight, ("critical_path", "errors", None))
    check_max_rows(max_rows)
    if title is not None and not isinstance(title, str):
        raise OptionError(f"title={title!r} is no text; give a text, '' for no title, or None for the default one")
    rows = trace_rows(trace)
    kept, hidden = fold(rows, max_rows)
    services = [rows.service[at] for at in kept.tolist()]
    fills = [service_color(service) for service in services]
    loose = ((rows.parent < 0) & (np.arange(len(rows.row)) != rows.main_root) | rows.detached)[kept]
    pale = ~rows.error[kept] if highlight == "errors" else np.zeros(len(kept), dtype=bool)
    legend = Legend()
    pattern_of = service_patterns(services)
    for service in dict.fromkeys(services):
        name = "(no service)" if service is None else service
        legend.add_service(name, service_color(service), pattern_of[service])
    legend.add_marks(
        path=highlight == "critical_path" and len(rows.path) > 0,
        waiting=highlight == "critical_path" and bool(rows.path_waits.any()),
        error=bool(rows.error[kept].any()),
        loose=bool(loose.any()),
        events=bool(trace["events"].iloc[rows.row[kept]].notna().any()),
    )
    layout = _Layout(rows, kept, hidden, legend, ax)
    ax = layout.ax
    _draw_bands(ax, len(kept), layout.label_width)
    draw_bars(
        ax,
        rows,
        kept,
        [dimmed(fill) if faint else fill for fill, faint in zip(fills, pale.tolist(), strict=True)],
        [pattern_of[service] for service in services],
        loose=loose,
        thinnest=0.015 * layout.inch,
    )
    if highlight == "critical_path":
        draw_path(ax, rows, kept, thinnest=0.01 * layout.inch)
    draw_events(ax, trace, rows, kept)
    _draw_durations(ax, rows, kept, layout.letters_size)
    layout.labels.draw(ax, layout.label_width, fills, pale)
    layout.draw_head(trace, rows, len(rows.row) - len(kept), title)
    return ax


class _Layout:
    """Where everything stands, in inches, and how large the letters are."""

    def __init__(
        self, rows: TraceRows, kept: NDArray[np.int64], hidden: NDArray[np.int64], legend: Legend, ax: Axes | None
    ) -> None:
        n = len(kept)
        width = _WIDTH if ax is None else size_of(ax)[0]
        self.legend = legend
        self.legend_lines = legend.lines(width - 2 * _MARGIN)
        head = _TITLE + _AXIS + self.legend_lines * ROW_HEIGHT
        row = (
            float(np.clip(0.27 - (n - 25) * 0.0014, 0.17, 0.27)) if ax is None else max(size_of(ax)[1] - head, 0.5) / n
        )
        self.letters_size = float(np.clip(row * 72 * 0.62, 3, 8.5))
        self.labels = RowLabels(rows, kept, hidden, size=self.letters_size)
        self.label_width = self.labels.needed(min(_WIDEST_LABELS, 0.4 * width))
        if ax is None:
            below = _AXIS if n >= _TICKS_BELOW_FROM else 0.0
            ax = new_axes(
                width,
                head + n * row + below + 2 * _MARGIN,
                left=_MARGIN + self.label_width,
                top=head,
                bottom=below,
                margin=_MARGIN,
            )
        else:
            make_room(ax, self.label_width, head)
        self.ax = ax
        self.width, self.height = size_of(ax)
        _set_axes(ax, rows.first / 1e6, rows.last / 1e6, n, self.width)
        self.inch = (ax.get_xlim()[1] - ax.get_xlim()[0]) / self.width
        """Milliseconds on an inch."""

    def draw_head(self, trace: pd.DataFrame, rows: TraceRows, folded: int, title: str | None) -> None:
        """Write title, trace id and legend above the time axis."""
        figure = self.ax.get_figure()
        assert figure is not None
        width = self.label_width + self.width
        above_axes = figure.dpi_scale_trans + ScaledTranslation(0, 1, self.ax.transAxes)  # type: ignore[arg-type]
        self.legend.draw(self.ax, -self.label_width, _AXIS, width, above_axes)
        y = _AXIS + self.legend_lines * ROW_HEIGHT + 0.08
        letters, small = Lettering(11, weight="bold"), Lettering(8)
        note = f"+{folded:,} span{'s' if folded > 1 else ''} folded" if folded else ""
        text = letters.clean(plain(rows.title if title is None else title))
        if note:
            text = f"{letters.cut(text, width - letters.width(f' · {note}'))} · {note}" if text else note
        trace_id = trace["trace_id"].iloc[0]
        if title is None and isinstance(trace_id, str):
            below = small.cut(small.clean(plain(f"trace {trace_id}")), width)
            self.ax.text(
                -self.label_width,
                y,
                below,
                transform=above_axes,
                fontsize=small.size,
                color=LIGHT.muted,
                parse_math=False,
                usetex=False,
            )
            y += 0.17
        self.ax.set_title(
            letters.cut(text, width), loc="left", x=-self.label_width, y=y, transform=above_axes,
            fontsize=letters.size, fontweight=letters.weight, color=LIGHT.text, parse_math=False, usetex=False,
        )  # fmt: skip


def _set_axes(ax: Axes, first: float, last: float, n: int, width: float) -> None:
    """Set limits, ticks and grid; right of the last instant there is room for a duration."""
    whole = last - first or 1.0
    bars = max(width - _BESIDE_BARS, 0.3 * width)
    ax.set_xlim(first - 0.004 * whole, first + whole * width / bars)
    ax.set_ylim(n - 0.5, -0.5)
    ax.set_yticks([])
    unit, scale = ("µs", 1e3) if whole < 1 else ("ms", 1.0) if whole < 1_000 else ("s", 1e-3)
    ax.xaxis.set_major_locator(MaxNLocator(int(np.clip(width / 0.8, 2, 10)), steps=[1, 2, 2.5, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{round(ms * scale, 9):,.10g} {unit}"))
    below = n >= _TICKS_BELOW_FROM
    ax.tick_params(
        axis="x",
        top=True,
        labeltop=True,
        bottom=below,
        labelbottom=below,
        length=0,
        labelsize=8,
        labelcolor=LIGHT.muted,
        pad=4,
    )
    ax.grid(visible=True, axis="x", color=LIGHT.grid, linewidth=0.7)
    ax.set_axisbelow(True)
    ax.set_facecolor("none")  # the bands are behind
    for side in ax.spines.values():
        side.set_visible(False)


def _draw_bands(ax: Axes, n: int, label_width: float) -> None:
    """Draw a pale band behind every other row, through labels and bars, so that the eye keeps the line."""
    y = np.arange(0, n, 2, dtype=float)
    left = np.full(len(y), -label_width / size_of(ax)[0])
    bands = PolyCollection(
        boxes(left, np.ones(len(y)), y, 1.0),
        facecolors=LIGHT.band,
        edgecolors="none",
        transform=ax.get_yaxis_transform(),
        clip_on=False,
        label="_bands",
        zorder=0,
    )
    ax.add_collection(bands, autolim=False)


def _draw_durations(ax: Axes, rows: TraceRows, kept: NDArray[np.int64], size: float) -> None:
    """Write each span's duration right of its bar, with a "!" for an error."""
    figure = ax.get_figure()
    assert figure is not None
    beside = ax.transData + ScaledTranslation(0.06, 0, figure.dpi_scale_trans)
    start, end = milliseconds(rows.start[kept]), milliseconds(rows.end[kept])
    stop = np.where(np.isnan(end), start, end)
    for y, (at, x) in enumerate(zip(kept.tolist(), stop.tolist(), strict=True)):
        failed = bool(rows.error[at])
        text = (
            "no start"
            if np.isnan(start[y])
            else "no duration"
            if np.isnan(end[y])
            else duration_text(float(rows.duration_ms[at]))
        )
        ax.text(
            0.0 if np.isnan(x) else x, y, f"! {text}" if failed else text, transform=beside, va="center_baseline", fontsize=size, clip_on=True,
            color=LIGHT.error if failed else LIGHT.muted, fontweight="bold" if failed else "normal", parse_math=False, usetex=False,
        )  # fmt: skip
