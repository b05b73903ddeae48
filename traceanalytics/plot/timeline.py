"""The waterfall: one row a span, one bar from its start to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from traceanalytics.analysis.trace_rows import check_max_rows
from traceanalytics.errors import check_option
from traceanalytics.plot.bars import draw_bands, draw_bars, draw_durations, draw_events, draw_path
from traceanalytics.plot.chart import check_title
from traceanalytics.plot.legend import services_legend
from traceanalytics.plot.style import service_color, service_patterns, theme_named
from traceanalytics.plot.trace_blocks import blocks_of
from traceanalytics.plot.waterfall_layout import WaterfallLayout

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from traceanalytics.plot.legend import Legend
    from traceanalytics.plot.style import Theme
    from traceanalytics.plot.trace_blocks import Block

__all__ = ["waterfall"]


def waterfall(
    traces: pd.DataFrame,
    *,
    highlight: Literal["critical_path", "errors"] | None = "critical_path",
    collapse: Literal["services"] | None = None,
    ax: Axes | None = None,
    max_rows: int = 200,
    title: str | None = None,
    theme: Literal["light", "dark"] = "light",
) -> Axes:
    """Draw traces over time: one row a span, parents above their children, the colour that of the service.

    Services whose names give them the same colour are told apart by a pattern; ``ta.options.service_colors`` sets colours.
    Spans without a length, and those whose end is unknown, are ticks. Errors have a red edge and a ``!``; roots other than the
    main one and children that outlive a parent of their service have dashed edges; events are diamonds, exceptions red ones.

    Several traces stand above each other, each from its own start on, so that their times can be compared.

    Parameters
    ----------
    traces
        Span frame of one trace, ``ta.trace(spans, trace_id)``, or of up to 20.
    highlight
        ``"critical_path"``: a dark strip below the bars wherever the trace's time was spent on this span, a grey one where it
        waited there. ``"errors"``: spans without error are pale. None: neither.
    collapse
        ``"services"``: one row a visit to a service, from the span that came in to the last end of the spans below it in the
        same service; ``+3`` beside the name says how many these are. None: one row a span.
    ax
        Axes to draw on; part of its place is taken for the labels. Without it, a figure is made that grows with the rows.
    max_rows
        Rows to show, shared by the traces. Of more, errors, the critical path and the longest ones stay, with their ancestors;
        the title says how many are folded, and ``+3`` beside a name how many below it.
    title
        In place of service, name, duration and counts; ``""`` for none.
    theme
        ``"dark"``: light letters on a dark figure. The colours of services are the same.

    Returns
    -------
    matplotlib.axes.Axes
        Time in ms from the start of each trace; the rows are at y = 0, 1, 2 ... As the last expression of a notebook's cell it
        shows the picture; ``ax.figure.savefig("trace.png")`` writes it. The state of pyplot is not touched.

    Raises
    ------
    OptionError
        The frame holds no trace or more than 20, or an option is not one of those allowed.
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
    check_option("collapse", collapse, ("services", None))
    check_max_rows(max_rows)
    check_title(title)
    colors = theme_named(theme)
    blocks = blocks_of(traces, max_rows, visits=collapse == "services")
    patterns = service_patterns(service for block in blocks for service in block.services)
    legend = _legend(blocks, highlight, colors)
    layout = WaterfallLayout(blocks, legend, ax, theme=colors)
    for block, labels in zip(blocks, layout.labels, strict=True):
        draw_bands(layout.ax, block, layout.label_width, theme=colors)
        fills = [service_color(service) for service in block.services]
        pale = block.pale(highlight == "errors")
        shown = [colors.dimmed(fill) if faint else fill for fill, faint in zip(fills, pale.tolist(), strict=True)]
        hatches = [patterns[service] for service in block.services]
        draw_bars(layout.ax, block, shown, hatches, thinnest=0.015 * layout.inch, theme=colors)
        if highlight == "critical_path":
            draw_path(layout.ax, block, thinnest=0.01 * layout.inch, theme=colors)
        if collapse is None:
            draw_events(layout.ax, block, theme=colors)
        draw_durations(layout.ax, block, layout.letters_size, theme=colors)
        labels.draw(layout.ax, layout.label_width, fills, pale)
    layout.draw_head(title)
    return layout.ax


def _legend(blocks: list[Block], highlight: str | None, theme: Theme) -> Legend:
    """Return the services in order of appearance, then the marks that occur."""
    legend = services_legend((service for block in blocks for service in block.services), theme)
    path = highlight == "critical_path"
    legend.add_marks(
        path=path and any(len(block.rows.path) for block in blocks),
        waiting=path and any(block.rows.path_waits.any() for block in blocks),
        error=any(block.rows.error[block.kept].any() for block in blocks),
        loose=any(block.loose.any() for block in blocks),
        events=any(block.has_events for block in blocks),
    )
    return legend
