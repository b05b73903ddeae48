"""``ta.lab.critical_path``: drag the spans of a small trace and see what the whole waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import traitlets

from traceanalytics.analysis.critical_path import critical_path as path_of
from traceanalytics.config import options
from traceanalytics.errors import OptionError, check_option, near
from traceanalytics.lab.checkout import checkout_trace
from traceanalytics.lab.experiment import Experiment
from traceanalytics.lab.wording import about_change, about_span, step_of, total_text
from traceanalytics.plot.style import DARK, LIGHT, NO_SERVICE
from traceanalytics.widgets.base import Checked, TraceWidget
from traceanalytics.widgets.coloring import service_tables
from traceanalytics.widgets.linking import compressed, link, read_static
from traceanalytics.widgets.page import PageParts
from traceanalytics.widgets.shown_texts import drawable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["CriticalPathLab", "critical_path"]

_KINDS_OF_CHANGE: Final = ("longer_ms", "later_ms")
_LARGEST_MS: Final = 1e9
_ENTRY: Final = "lab_path.js"
_ROW_PX: Final = 32
_REST_PX: Final = 270


def critical_path(
    spans: pd.DataFrame | None = None,
    *,
    predict: bool = False,
    theme: Literal["auto", "light", "dark"] = "auto",
) -> CriticalPathLab:
    """Try out the critical path: make the spans of a small trace longer, shorter, earlier or later, and see what changes.

    Drag the end of a bar to change its length, its middle to move it with all below it; the keyboard does the same, and ``?``
    lists the keys. At once there are the new critical path, the slack of every span, and the total against what it was. The trace
    is run again by the model of :func:`~traceanalytics.analysis.replay.replay`: what came after a span keeps its distance to it, what ran
    beside it stays where it is. A span ends as long after the last child that it waits for as before, and its children move with its
    start. A span that is moved to before another one's end no longer waits for it; one that is moved later keeps its new distance
    to what it waited for before.

    Parameters
    ----------
    spans
        Span frame of one trace with at most 40 spans. None: a checkout of nine spans with calls one after the other, calls at the
        same time, and one that nobody waits for.
    predict
        Keep what a change does hidden until it is asked for, so that there is time to guess.
    theme
        ``"auto"`` follows the notebook.

    Returns
    -------
    CriticalPathLab
        The widget. As the last expression of a cell it shows itself; ``ta.options.renderer`` says how.

    Raises
    ------
    OptionError
        The frame holds more than one trace or more than 40 spans, or an option is not one of those allowed.
    SchemaError
        The frame lacks a column, or its index repeats a label.

    Examples
    --------
    >>> from traceanalytics.lab import critical_path
    >>> lab = critical_path()
    >>> lab
    CriticalPathLab(9 spans)
    >>> lab.changes = {"0000000000000005": {"longer_ms": -30.0}}
    >>> lab.original_total_ms, lab.total_ms
    (120.0, 90.0)
    >>> lab.effect
    '\N{MINUS SIGN}30 ms: 120 \N{RIGHTWARDS ARROW} 90 ms. checkout waited for charge payment, so its 30 ms count in full.'
    """
    return CriticalPathLab(checkout_trace() if spans is None else spans, predict=predict, theme=theme)


def _check_theme(_: CriticalPathLab, value: Any) -> Any:
    check_option("theme", value, ("auto", "light", "dark"))
    return value


def _check_predict(_: CriticalPathLab, value: Any) -> bool:
    check_option("predict", value, (True, False))
    return bool(value)


def _check_selected(owner: CriticalPathLab, value: Any) -> str:
    if value == "" or (isinstance(value, str) and value in owner._trial.row_of):  # noqa: SLF001 - ours
        return str(value)
    raise OptionError(f"no span here has the id {value!r}{near(str(value), owner._trial.row_of)}")  # noqa: SLF001 - ours


def _check_changes(owner: CriticalPathLab, value: Any) -> dict[str, dict[str, float]]:
    """Return changes that can be made: within what each span allows, and without those that are none."""
    if not isinstance(value, dict):
        raise OptionError(
            f"changes={value!r}: expected a dict such as {{span_id: {{'longer_ms': -30, 'later_ms': 5}}}}"
        )
    found: dict[str, dict[str, float]] = {}
    for key, change in value.items():
        span_id = _check_selected(owner, key)
        if not span_id or not isinstance(change, dict):
            raise OptionError(f"changes[{key!r}]={change!r}: expected {{'longer_ms': ..., 'later_ms': ...}}")
        span = owner._trial.rows[owner._trial.row_of[span_id]]  # noqa: SLF001 - ours
        least = {"longer_ms": span.shortest, "later_ms": span.earliest}
        made = {}
        for name, amount in change.items():
            check_option("a change", name, _KINDS_OF_CHANGE)
            made[name] = max(_amount(key, name, amount), least[name])
        if kept := {name: made[name] for name in _KINDS_OF_CHANGE if made.get(name)}:
            found[span_id] = kept
    return found


def _amount(key: str, name: str, amount: Any) -> float:
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not abs(amount) <= _LARGEST_MS:
        raise OptionError(
            f"changes[{key!r}][{name!r}]={amount!r}: expected milliseconds from {-_LARGEST_MS:.0e} to {_LARGEST_MS:.0e}"
        )
    return float(amount)


class CriticalPathLab(TraceWidget):
    """A small trace to change by hand, made by :func:`critical_path`, which describes the options and the model.

    Attributes
    ----------
    changes
        What has been changed, ``{span_id: {"longer_ms": -30.0, "later_ms": 5.0}}``: by how much a span is longer, and by how much it
        starts later, of its own accord. Can be set; a change that a span does not allow is made as far as it does.
    selected
        Id of the selected span; ``""`` for none.
    predict, theme
        As in :func:`critical_path`.
    """

    _esm = compressed(link(_ENTRY))
    _css = read_static("base.css") + read_static("lab_path.css")

    _tables = traitlets.Dict().tag(sync=True)
    _now = traitlets.Dict().tag(sync=True)

    changes = Checked(_check_changes, None)
    selected = Checked(_check_selected, "")
    predict = Checked(_check_predict, default=False)
    theme = Checked(_check_theme, "auto")

    def __init__(self, spans: pd.DataFrame, **values: Any) -> None:
        self._trial = Experiment(spans)
        self._outcome = self._trial.original
        self._step = step_of(self._outcome.total or max((end or 0.0 for end in self._outcome.end), default=0.0))
        super().__init__(**({"changes": {}} | values), _tables=self._first_tables())
        self._tell()

    def __repr__(self) -> str:
        spans = len(self._trial.rows)
        return f"CriticalPathLab({spans} span{'' if spans == 1 else 's'})"

    # What Python asks.

    @property
    def spans(self) -> pd.DataFrame:
        """The trace with the changes made: the columns of the frame as it was given."""
        return self._outcome.spans.copy(deep=False)

    @property
    def path(self) -> pd.DataFrame:
        """The critical path of the changed trace, as ``ta.critical_path`` gives it."""
        return path_of(self._outcome.spans)

    @property
    def total_ms(self) -> float:
        """How long the main root takes now."""
        return self._outcome.total

    @property
    def original_total_ms(self) -> float:
        """How long the main root took."""
        return self._trial.original.total

    @property
    def effect(self) -> str:
        """What the changes have done to the total, in words."""
        return " ".join(text for text in self._about_change() if text)

    def _about_change(self) -> tuple[str, str]:
        """Return what the changes have done to the total, and why."""
        return about_change(self._trial, self._outcome, self.changes, self.selected, self._step)

    @property
    def height(self) -> int:
        """Height of the view in pixels; it shows all rows."""
        return _REST_PX + _ROW_PX * len(self._trial.rows)

    # What follows from a change.

    @traitlets.observe("changes")
    def _changed(self, _: Any) -> None:
        self._outcome = self._trial.run(self.changes)
        self._tell()

    @traitlets.observe("selected")
    def _selected(self, _: Any) -> None:
        self._tell()

    def _tell(self) -> None:
        trial, now, told = self._trial, self._outcome, self._about_change()
        self._now = {
            "start": now.start,
            "end": now.end,
            "slack": now.slack,
            "critical": now.critical,
            "path": now.path,
            "total": now.total,
            "texts": [about_span(trial, now, row, self._step) for row in range(len(trial.rows))],
            "effect": " ".join(text for text in told if text),
            "why": told[1],
        }

    def _first_tables(self) -> dict[str, Any]:
        rows = self._trial.rows
        first = self._trial.original
        services = list(dict.fromkeys(span.service for span in rows if span.service is not None))
        code = {service: number for number, service in enumerate(services)}
        return {
            **service_tables(services),
            "rows": [
                {
                    "key": span.key,
                    "name": span.name,
                    "service": code.get(span.service, -1) if span.service is not None else -1,
                    "parent": span.parent,
                    "depth": span.depth,
                    "awaited": span.waited_for or row == self._trial.main,
                    "shortest": span.shortest,
                    "earliest": span.earliest,
                    "start": first.start[row],
                    "end": first.end[row],
                }
                for row, span in enumerate(rows)
            ],
            "main": self._trial.main,
            "total": first.total,
            "step": self._step,
            "themes": {"light": LIGHT._asdict(), "dark": DARK._asdict()},
            "no_service": NO_SERVICE,
            "offline": False,
        }

    def _answer(self, message: dict[str, Any]) -> dict[str, Any] | None:  # noqa: ARG002 - every value is a trait
        return None

    # Pages and pictures.

    def _parts(self, *, attributes: list[str] | None, max_details: int) -> PageParts:  # noqa: ARG002 - none are shown
        names = [name for name in self.trait_names() if isinstance(self.traits()[name], Checked)]
        return PageParts(
            title=f"{self._trial.rows[self._trial.main].name} · critical path",
            module=link("lab_path.js"),
            css=self._css,
            state={name: getattr(self, name) for name in names}
            | {"_tables": self._tables | {"offline": True}, "_now": self._now},
            columns={},
            details=b"",
            theme=self.theme,
        )

    def _state_key(self) -> Any:
        changes = tuple((key, tuple(change.items())) for key, change in self.changes.items())
        return changes, self._picture_theme(), tuple(sorted(options.service_colors.items()))

    def _figure(self, *, max_rows: int, theme: str) -> Figure:
        from traceanalytics.plot.timeline import waterfall as drawn  # noqa: PLC0415 - half a second, for pictures only

        spans = drawable(self._outcome.spans, readable_events=False)  # events did not move with their spans
        before, after = self.original_total_ms, self.total_ms
        name = self._trial.rows[self._trial.main].name
        title = f"{name} · {total_text(before, after, self._step)}" if self.changes else None
        figure = drawn(spans, title=title, max_rows=max_rows, theme=theme).get_figure(root=True)  # type: ignore[arg-type]
        assert figure is not None
        return figure
