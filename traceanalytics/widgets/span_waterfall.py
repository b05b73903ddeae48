"""``ta.waterfall``: traces over time, one row a span, to look at, filter and select."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import traitlets

from traceanalytics.config import options
from traceanalytics.errors import OptionError, near
from traceanalytics.plot.style import DARK, LIGHT, NO_SERVICE
from traceanalytics.spans.schema import check_spans, matches_any
from traceanalytics.topology.forest import COLUMNS
from traceanalytics.traceql import matches, query_of
from traceanalytics.widgets import trait_values as values
from traceanalytics.widgets.base import Checked, TraceWidget, column
from traceanalytics.widgets.coloring import color_keys, color_table, service_tables
from traceanalytics.widgets.details import Details, most_interesting
from traceanalytics.widgets.linking import compressed, link, read_static
from traceanalytics.widgets.packing import Rows, bitset
from traceanalytics.widgets.page import PageParts
from traceanalytics.widgets.shown_texts import drawable

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["Waterfall", "waterfall"]


def waterfall(
    spans: pd.DataFrame,
    *,
    highlight: Literal["critical_path", "errors"] | None = "critical_path",
    color: str = "service",
    filter: str = "",  # noqa: A002 - what it is called in every trace viewer, and on the widget
    only: bool = False,
    theme: Literal["auto", "light", "dark"] = "auto",
    height: int = 520,
) -> Waterfall:
    """Show traces over time in a notebook, one row a span: zoom, collapse, search, follow links, read details, select.

    Click on a span to select it; ``?`` lists the keys. What is selected and what matches comes back as frames.

    Parameters
    ----------
    spans
        Span frame of 1 to 20 traces: ``ta.trace(spans, trace_id)``, or ``spans[spans["trace_id"].isin(ids)]``. Spans that were
        filtered away are missing from the critical path too, so choose whole traces.
    highlight
        Which spans are in question while no filter is set: those on the ``"critical_path"`` or those with ``"errors"``; None: all.
        The others are dimmed.
    color
        ``"service"``, ``"kind"``, ``"status"`` or an attribute (``"span.http.route"``), of which each value has a colour.
    filter
        Which spans are in question: a TraceQL filter (``'{ resource.service.name = "cart" && duration > 5ms }'``), or plain text
        that the name or service contains, in upper or lower case.
    only
        Hide the spans that are not in question; their ancestors stay.
    theme
        ``"auto"`` follows the notebook.
    height
        In pixels.

    Returns
    -------
    Waterfall
        The widget. As the last expression of a cell it shows itself. ``ta.options.renderer`` says how: live, as a picture, or as
        a page of HTML.

    Raises
    ------
    OptionError
        The frame holds no trace or more than 20, or an option is not one of those allowed.
    SchemaError
        The frame lacks a column, or its index repeats a label.
    QueryError
        The filter begins with ``{`` and is no TraceQL filter.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> from traceanalytics.widgets import waterfall
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2"], "parent_span_id": [None, "b1"],
    ...     "name": ["checkout", "stock"], "start_time": [t, t + pd.Timedelta("10ms")], "duration_ms": [100.0, 40.0]}))
    >>> w = waterfall(spans, filter="stock")
    >>> w
    Waterfall(1 trace, 2 spans)
    >>> w.matches["name"].tolist()
    ['stock']
    """
    return Waterfall(spans, highlight=highlight, color=color, filter=filter, only=only, theme=theme, height=height)


class Waterfall(TraceWidget):
    """A waterfall of 1 to 20 traces, made by :func:`waterfall`, which describes the options.

    Every option can be read and set; ``w.observe(handler, "selected_rows")`` calls a handler when the browser or Python
    changes it. Rows are numbered from the top, everything expanded, one trace after the other.

    Attributes
    ----------
    highlight, color, filter, only, theme, height
        As in :func:`waterfall`.
    selected_rows
        Numbers of the selected rows; the last one has the cursor.
    view
        Stretch of time that is shown, ``[start, end]`` in ms from the start of the trace; None: all of it.
    collapsed
        Numbers of the rows whose descendants are hidden.
    """

    _esm = compressed(link("waterfall.js"))
    _css = read_static("base.css") + read_static("waterfall.css")

    _start, _end, _parent, _name, _service, _bits = (column() for _ in range(6))
    _path_row, _path_end, _event_row, _event_time = (column() for _ in range(4))
    _color_code, _match, _details = column(), column(), column()
    _tables = traitlets.Dict().tag(sync=True)
    _color_table = traitlets.Dict().tag(sync=True)
    _filter_error = traitlets.Unicode("").tag(sync=True)
    _match_count = traitlets.Int(0).tag(sync=True)

    highlight = Checked(values.highlight, "critical_path")
    color = Checked(values.color, "service")
    filter = Checked(values.filter_text, "")
    only = Checked(values.only, default=False)
    theme = Checked(values.theme, "auto")
    height = Checked(values.height, 520)
    selected_rows = Checked(values.rows, [])
    collapsed = Checked(values.rows, [])
    view = Checked(values.view, None)

    def __init__(self, spans: pd.DataFrame, **options_: Any) -> None:
        check_spans(spans, *COLUMNS, "events", "links")
        values.check_number_of_traces(spans)
        self._spans = spans.copy(deep=False)  # a snapshot: pandas copies on write
        self._rows = Rows(spans)
        self._found: tuple[str, NDArray[np.bool_] | None, str] = ("", None, "")
        self._all_details: Details | None = None
        super().__init__(**options_, **self._rows.buffers(), **self._first_tables())

    def __repr__(self) -> str:
        traces, spans = self._rows.forest.n_traces, len(self._rows)
        return f"Waterfall({traces} trace{'' if traces == 1 else 's'}, {spans:,} span{'' if spans == 1 else 's'})"

    def _first_tables(self) -> dict[str, Any]:
        rows = self._rows
        tables = {
            "names": rows.names,
            **service_tables(rows.services),
            "traces": rows.traces(),
            "color_keys": color_keys(self._spans),
            "themes": {"light": LIGHT._asdict(), "dark": DARK._asdict()},
            "no_service": NO_SERVICE,
            "trace_url": options.trace_url,
            "offline": False,
        }
        return {"_tables": tables, "_color_table": color_table(self._spans, rows, "service")[1]}

    # What Python asks.

    @property
    def selected(self) -> pd.DataFrame:
        """The selected spans: rows of the frame as it was given, in its order, with its columns and labels."""
        return self._frame_of(np.array(self.selected_rows, dtype=np.int64))

    @property
    def matches(self) -> pd.DataFrame:
        """The spans in question (those that match the filter, or what is highlighted), in the order of the frame."""
        return self._frame_of(np.flatnonzero(self._in_question))

    @property
    def query(self) -> str:
        """A TraceQL filter that finds the selected spans again; where nothing is selected, the filter."""
        if not self.selected_rows:
            return str(self.filter)
        chosen = np.zeros(len(self._spans), dtype=bool)
        chosen[self._rows.position[self.selected_rows]] = True
        return query_of(self._spans, chosen)

    def select(self, span_ids: Iterable[str]) -> None:
        """Select spans by their ids; the last one has the cursor.

        Raises
        ------
        OptionError
            No span here has one of the ids.
        """
        wanted = [span_ids] if isinstance(span_ids, str) else list(span_ids)
        ids = self._spans["span_id"].to_numpy(object)[self._rows.position]
        rows_of: dict[Any, list[int]] = {}
        for row in np.flatnonzero(np.isin(ids.astype(str), [str(w) for w in wanted])).tolist():
            rows_of.setdefault(ids[row], []).append(row)
        for span_id in wanted:
            if span_id not in rows_of:
                known = [i for i in ids[:2000].tolist() if isinstance(i, str)]
                raise OptionError(f"no span here has the id {span_id!r}{near(str(span_id), known)}")
        self.selected_rows = [row for span_id in wanted for row in rows_of[span_id]]

    def _frame_of(self, rows: NDArray[np.int64]) -> pd.DataFrame:
        return self._spans.iloc[np.sort(self._rows.position[rows])]

    @property
    def _in_question(self) -> NDArray[np.bool_]:
        mask = self._found[1]
        if mask is not None:
            return mask
        if self.highlight == "critical_path":
            return self._rows.on_path
        return self._rows.error if self.highlight == "errors" else np.ones(len(self._rows), dtype=bool)

    # What follows from a change.

    def _find(self, text: str) -> None:
        """Find the spans that a filter means; what is wrong with one from the browser is told there, from Python it is raised."""
        if text == self._found[0] and (self._from_browser or not self._found[2]):
            return
        try:
            self._found = (text, self._mask_of(text), "")
        except (ValueError, RecursionError) as error:
            if not self._from_browser:
                raise
            self._found = (text, None, str(error) or type(error).__name__)

    def _mask_of(self, text: str) -> NDArray[np.bool_] | None:
        rows = self._rows
        if not text:
            return None
        if text.startswith("{"):
            return np.asarray(matches(self._spans, text), dtype=bool)[rows.position]
        wanted = text.lower()
        names = np.array([wanted in name.lower() for name in rows.names], dtype=bool)
        services = np.array([*(wanted in service.lower() for service in rows.services), False])
        return np.asarray(names[rows.name] | services[rows.service])

    @traitlets.observe("filter")
    def _filter_changed(self, _: Any) -> None:
        text, mask, error = self._found
        self._match = bitset(mask) if mask is not None and text.startswith("{") else b""
        self._match_count = 0 if mask is None else int(mask.sum())
        self._filter_error = error

    @traitlets.observe("color")
    def _color_changed(self, _: Any) -> None:
        with self.hold_sync():  # codes and their labels arrive together
            self._color_code, self._color_table = color_table(self._spans, self._rows, self.color)

    def _answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        row, request = message.get("row"), message.get("request")
        if message.get("type") != "detail" or type(row) is not int or not 0 <= row < len(self._rows):
            return None
        if not isinstance(request, int | str | None):
            return None
        if self._all_details is None:
            self._all_details = Details(self._spans, self._rows)
        return {"type": "detail", "row": row, "request": request, "detail": self._all_details.of(np.array([row]))[0]}

    # Pages and pictures.

    def _parts(self, *, attributes: list[str] | None, max_details: int) -> PageParts:
        rows, tables = self._rows, self._tables
        chosen = most_interesting(rows, self._in_question, max_details)
        details = Details(self._spans, rows, attributes=attributes)
        told = {str(row): detail for row, detail in zip(chosen.tolist(), details.of(chosen), strict=True)}
        state = {name: getattr(self, name) for name in self.trait_names() if isinstance(self.traits()[name], Checked)}
        shown = attributes is None or self.color in ("kind", "status") or matches_any(self.color, attributes)
        color = self.color if shown else "service"
        code, table = color_table(self._spans, rows, color)
        state |= {
            "color": color,
            "_color_table": table,
            "_filter_error": self._filter_error,
            "_match_count": self._match_count,
            "_tables": tables | {"color_keys": list(dict.fromkeys(["service", color])), "offline": True},
        }
        names = [*rows.buffers(), "_match"]
        note = f"Details of {len(chosen):,} of {len(rows):,} spans are in this file." if len(chosen) < len(rows) else ""
        traces = tables["traces"]
        return PageParts(
            title=traces[0]["title"] if len(traces) == 1 else f"{len(traces)} traces · {len(rows):,} spans",
            module=link("waterfall.js"),
            css=self._css,
            state=state,
            columns={name: getattr(self, name) for name in names} | {"_color_code": code},
            details=json.dumps(told, separators=(",", ":"), allow_nan=False).encode("ascii"),
            note=note,
            theme=self.theme,
        )

    def _state_key(self) -> Any:
        return self.highlight, self._picture_theme(), tuple(sorted(options.service_colors.items()))

    def _figure(self, *, max_rows: int, theme: str) -> Figure:
        from traceanalytics.plot.timeline import waterfall as drawn  # noqa: PLC0415 - half a second, for pictures only

        spans = drawable(self._spans, readable_events=self._rows.has_readable_events)
        ax = drawn(spans, highlight=self.highlight, max_rows=max_rows, theme=theme)  # type: ignore[arg-type]
        figure = ax.get_figure(root=True)
        assert figure is not None
        return figure
