"""One trace, changed and run again: the numbers that the lab shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.analysis.path_segments import walk
from traceanalytics.analysis.replay import Replayed, replay, run_again
from traceanalytics.errors import OptionError
from traceanalytics.spans.columns import codes_of
from traceanalytics.spans.schema import check_spans
from traceanalytics.topology import Forest
from traceanalytics.topology.forest import COLUMNS
from traceanalytics.widgets.shown_texts import shown_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Experiment", "Outcome", "Span"]

_MOST_SPANS: Final = 40


class Span(NamedTuple):
    """What never changes of a row of the lab."""

    key: str
    """Its span id; that of its row where it has none or shares it."""
    name: str
    service: str | None
    parent: int
    """Row of the span above; -1 for a root."""
    depth: int
    waited_for: bool
    """Its parent waits for it."""
    shortest: float
    """Least ``longer_ms``: what lies behind its last awaited child, or all of it. Below 0."""
    earliest: float
    """Least ``later_ms``: to the start of its parent. Below 0."""


class Outcome(NamedTuple):
    """The trace after a change; one element a row of the lab."""

    spans: pd.DataFrame
    start: list[float | None]
    """ms since the main root's first start; None where unknown."""
    end: list[float | None]
    slack: list[float | None]
    """ms; None where nothing waits for the span."""
    critical: list[float]
    """ms of its own on the critical path."""
    path: list[tuple[int, str, float, float]]
    """Row, state, start and end of each segment."""
    total: float
    """Duration of the main root."""


class Experiment:
    """A small trace and what can be done to it. Rows are the timed and untimed spans, parents before children.

    Parameters
    ----------
    spans
        Span frame of one trace with at most 40 spans.
    """

    def __init__(self, spans: pd.DataFrame) -> None:
        check_spans(spans, *COLUMNS, "links")
        _check_size(spans)
        self.given = spans.copy(deep=False)
        self.forest = Forest(spans)
        order = self.forest.order
        self.position = order
        self._row = np.full(len(spans) + 1, -1)
        self._row[order] = np.arange(len(order))
        self.main = int(self._row[self.forest.main_root[0]])
        nothing = np.zeros(len(spans), dtype=np.int64)
        self.rows = self._rows(run_again(spans, self.forest, nothing, nothing))
        self.row_of = {span.key: row for row, span in enumerate(self.rows)}
        self.original = self.run({})

    def run(self, changes: Mapping[str, Mapping[str, float]]) -> Outcome:
        """Return the trace with changes, ``{key: {"longer_ms": ..., "later_ms": ...}}``.

        Path and slack are those of the changed trace as anybody would read it, who does not know how it came about.
        """
        longer, later = (self._series(changes, name) for name in ("longer_ms", "later_ms"))
        changed = replay(self.given, longer_ms=longer, later_ms=later) if changes else self.given
        forest, at = Forest(changed), self.position
        nothing = np.zeros(len(changed), dtype=np.int64)
        slack = run_again(changed, forest, nothing, nothing).slack[at]
        segments = walk(changed, forest)
        critical = np.zeros(len(changed))
        np.add.at(critical, segments.row, segments.length / 1e6)
        rows = self._row[segments.row].tolist()
        states = ["wait" if waits else "self" for waits in segments.waiting.tolist()]
        begins = segments.start - self._origin
        instants = (ns.tolist() for ns in (begins / 1e6, (begins + segments.length) / 1e6))
        timed, main = forest.timed[at], forest.main_root[0]
        below_main = forest.root[at] == main
        return Outcome(
            changed,
            _known((forest.start - self._origin)[at] / 1e6, timed),
            _known((forest.end - self._origin)[at] / 1e6, timed),
            _known(slack / 1e6, np.isfinite(slack) & below_main),
            critical[at].tolist(),
            list(zip(rows, states, *instants, strict=True)),
            float(forest.end[main] - forest.start[main]) / 1e6 if forest.timed[main] else 0.0,
        )

    def _rows(self, found: Replayed) -> list[Span]:
        forest, at = self.forest, self.position
        above = forest.timed_tree.parent[at]
        self._origin = _first_instant(forest)
        names, services = (_texts(self.given[column], at) for column in ("name", "service"))
        keys = _keys(self.given["span_id"], at)
        from_parent = np.where(above >= 0, forest.start[at] - forest.start[above], 0)
        earliest = np.where(forest.timed[at], -np.maximum(from_parent, 0) / 1e6, 0.0)
        shortest = np.where(forest.timed[at], -found.tail[at] / 1e6, 0.0)
        return [
            Span(*values)
            for values in zip(
                keys,
                [name or "(no name)" for name in names],
                services,
                self._row[forest.parent[at]].tolist(),
                forest.depth[at].tolist(),
                found.awaited[at].tolist(),
                shortest.tolist(),
                earliest.tolist(),
                strict=True,
            )
        ]

    def _series(self, changes: Mapping[str, Mapping[str, float]], name: str) -> pd.Series:
        found = pd.Series(0.0, index=self.given.index)
        for key, change in changes.items():
            found.iloc[self.position[self.row_of[key]]] = change.get(name, 0.0)
        return found


def _known(values: NDArray[np.float64], known: NDArray[np.bool_]) -> list[float | None]:
    return [value if ok else None for value, ok in zip(values.tolist(), known.tolist(), strict=True)]


def _first_instant(forest: Forest) -> int:
    main = forest.main_root[0]
    if forest.timed[main]:
        return int(forest.start[main])
    return int(forest.start[forest.timed].min(initial=np.iinfo(np.int64).max)) if forest.timed.any() else 0


def _texts(column: pd.Series, at: NDArray[np.int32]) -> list[Any]:
    """Return texts as they may be shown, None where missing."""
    codes, labels = codes_of(column)
    shown = [shown_text(label) for label in labels.tolist()]
    return [shown[code] if code >= 0 else None for code in codes[at].tolist()]


def _keys(ids: pd.Series, at: NDArray[np.int32]) -> list[str]:
    """Return a key for each row: its span id, as far as a message can carry it and no row before it has the same."""
    found: list[str] = []
    for row, span_id in enumerate(ids.iloc[at].tolist()):
        key = span_id.encode("utf-8", "replace").decode() if isinstance(span_id, str) else ""
        found.append(key if key and key not in found else f"row {row}")
    return found


def _check_size(spans: pd.DataFrame) -> None:
    traces = int(spans["trace_id"].nunique()) + int(spans["trace_id"].isna().sum())
    if traces != 1:
        raise OptionError(
            f"the frame holds {traces:,} traces, and the lab shows one: choose it with ta.trace(spans, trace_id); "
            "ta.summary(spans) lists them"
        )
    if len(spans) > _MOST_SPANS:
        raise OptionError(
            f"the trace has {len(spans):,} spans, and the lab shows up to {_MOST_SPANS}, few enough to drag: leave out its deeper "
            "levels with spans[ta.hierarchy(spans)['depth'] < 3], or look at it with ta.waterfall(spans)"
        )
