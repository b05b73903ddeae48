"""From spans to what the front end draws: columns as little-endian bytes, one element a row, and small tables of texts.

A row is a span. Rows stand in pre-order, one trace after the other; duplicates are left out. Times are ms since the start of
the row's own trace (:func:`~traceanalytics.analysis.trace_rows.trace_origins`), NaN where unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.analysis.path_segments import walk
from traceanalytics.analysis.trace_rows import NO_NAME, duration_text, outlives_parent, trace_origins
from traceanalytics.errors import SchemaError
from traceanalytics.spans.columns import NAT
from traceanalytics.spans.error_rule import is_error
from traceanalytics.spans.schema import KIND, STATUS
from traceanalytics.spans.unpacking import unpack_events
from traceanalytics.topology import Forest
from traceanalytics.topology.repeats import fixed_codes
from traceanalytics.widgets.shown_texts import coded_texts, shown_text
from traceanalytics.widgets.span_links import SpanLinks

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Bit", "Rows", "bitset"]


class Bit:
    """The bits of ``_bits`` above the span kind (bits 0 to 2) and the status (bits 3 and 4)."""

    ERROR: Final = 1 << 5
    LOOSE: Final = 1 << 6
    """A root that is not the main one of its trace."""
    DETACHED: Final = 1 << 7
    """The span outlives its parent of the same service, which therefore did not wait for it."""
    EVENTS: Final = 1 << 8
    EXCEPTION: Final = 1 << 9
    LINKS: Final = 1 << 10
    LINKED: Final = 1 << 11
    """Another span here has a link to this one."""


class _Path(NamedTuple):
    """Critical paths: one element a segment, in order of time, one trace after the other."""

    row: NDArray[np.int64]
    trace: NDArray[np.int32]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    waits: NDArray[np.bool_]


class _Events(NamedTuple):
    row: NDArray[np.int64]
    time: NDArray[np.float64]
    exception: NDArray[np.bool_]


class Rows:
    """The spans of a widget as rows; every array has one element a row unless it says otherwise.

    Parameters
    ----------
    spans
        A span frame. It is not changed, and not kept.
    """

    def __init__(self, spans: pd.DataFrame) -> None:
        forest = Forest(spans)
        at = forest.order.astype(np.int64)
        self.forest = forest
        self.position = at
        """Position in the frame."""
        self.place = np.full(len(spans) + 1, -1, dtype=np.int64)
        """The row of each position in the frame, -1 for duplicates; the last element serves the position -1."""
        self.place[at] = np.arange(len(at))
        self.trace = forest.trace[at]
        self.parent = self.place[forest.parent[at]]
        self.depth = forest.depth[at]
        self._origin = trace_origins(forest)
        self.start = self._since_start(forest.start[at], self.trace)
        self.end = self._since_start(forest.end[at], self.trace)
        self.name, self.names = coded_texts(spans["name"], at, NO_NAME)
        self.service, self.services = coded_texts(spans["service"], at, None)
        self.kind = np.maximum(fixed_codes(spans["kind"], KIND)[at], 0)
        self.status = np.maximum(fixed_codes(spans["status"], STATUS)[at], 0)
        self.error = is_error(spans).to_numpy(bool)[at]
        self.path = self._path(spans)
        self.has_readable_events = True
        """Whether every cell of events is a list of events."""
        self.events = self._events(spans)
        self.links = SpanLinks(spans, self.place)
        self.has_events = spans["events"].notna().to_numpy(bool)[at]

    def __len__(self) -> int:
        return len(self.position)

    @property
    def main_row(self) -> NDArray[np.int64]:
        """The row of the main root of each trace."""
        return self.place[self.forest.main_root]

    @property
    def on_path(self) -> NDArray[np.bool_]:
        """Which rows have time on a critical path."""
        found = np.zeros(len(self), dtype=bool)
        found[self.path.row] = True
        return found

    @property
    def path_ms(self) -> NDArray[np.float64]:
        """Time of each row on the critical path of its trace."""
        total = np.zeros(len(self))
        np.add.at(total, self.path.row, self.path.end - self.path.start)
        return total

    @property
    def loose(self) -> NDArray[np.bool_]:
        """Roots that are not the main one of their trace."""
        found = self.parent < 0
        found[self.main_row] = False
        return found

    @property
    def detached(self) -> NDArray[np.bool_]:
        """Spans that outlive their parent of the same service, which therefore did not wait for them."""
        start, end = self.forest.start[self.position], self.forest.end[self.position]
        return outlives_parent(self.parent, start, end, self.service)

    def buffers(self) -> dict[str, bytes]:
        """Return the columns that never change, as bytes by the name of the trait that carries them."""
        path, events = self.path, self.events
        return {
            "_start": _bytes(self.start, "<f8"),
            "_end": _bytes(self.end, "<f8"),
            "_parent": _bytes(self.parent, "<i4"),
            "_name": _bytes(self.name, "<u2" if len(self.names) <= 1 << 16 else "<u4"),
            "_service": _bytes(self.service, _narrowest(len(self.services))),
            "_bits": _bytes(self.bits, "<u2"),
            "_path_row": _bytes(np.where(path.waits, ~path.row, path.row), "<i4"),
            "_path_end": _bytes(path.end, "<f8"),
            "_event_row": _bytes(np.where(events.exception, ~events.row, events.row), "<i4"),
            "_event_time": _bytes(events.time, "<f8"),
        }

    @property
    def bits(self) -> NDArray[np.uint16]:
        """Kind, status and the flags of :class:`Bit`."""
        found = self.kind.astype(np.uint16) | self.status.astype(np.uint16) << np.uint16(3)
        exception = np.zeros(len(self), dtype=bool)
        exception[self.events.row[self.events.exception]] = True
        for bit, mask in (
            (Bit.ERROR, self.error),
            (Bit.LOOSE, self.loose),
            (Bit.DETACHED, self.detached),
            (Bit.EVENTS, self.has_events),
            (Bit.EXCEPTION, exception),
            (Bit.LINKS, self.links.has_links(len(self))),
            (Bit.LINKED, self.links.is_linked(len(self))),
        ):
            found |= np.where(mask, np.uint16(bit), np.uint16(0))
        return found

    def traces(self) -> list[dict[str, Any]]:
        """Return what the front end shows of each trace."""
        n = self.forest.n_traces
        n_rows = np.bincount(self.trace, minlength=n)
        n_segments = np.bincount(self.path.trace, minlength=n)
        errors = np.bincount(self.trace[self.error], minlength=n)
        first_row, first_segment = np.cumsum(n_rows) - n_rows, np.cumsum(n_segments) - n_segments
        found = []
        for t in range(n):
            rows = slice(first_row[t], first_row[t] + n_rows[t])
            services = len(np.unique(self.service[rows][self.service[rows] >= 0]))
            trace_id, origin = self.forest.trace_ids[t], int(self._origin[t])
            start, end = self.start[rows], self.end[rows]
            found.append(
                {
                    "id": shown_text(trace_id) if isinstance(trace_id, str) else "",
                    "title": self._title(int(self.main_row[t]), int(n_rows[t]), services, int(errors[t])),
                    "first_row": int(first_row[t]),
                    "n_rows": int(n_rows[t]),
                    "first_segment": int(first_segment[t]),
                    "n_segments": int(n_segments[t]),
                    "path_start_ms": float(self.path.start[first_segment[t]]) if n_segments[t] else 0.0,
                    "main_row": int(self.main_row[t]),
                    "first_ms": float(np.fmin.reduce(start, initial=0.0)),
                    "last_ms": float(np.fmax.reduce(np.fmax(start, end), initial=0.0)),
                    "started_at": "" if origin == NAT else pd.Timestamp(origin, tz="UTC").isoformat(),
                }
            )
        return found

    def _title(self, main: int, spans: int, services: int, errors: int) -> str:
        name, service = self.names[self.name[main]], int(self.service[main])
        parts = [f"{self.services[service]}: {name}" if service >= 0 else name]
        duration = self.end[main] - self.start[main]
        if not np.isnan(duration):
            parts.append(duration_text(float(duration)))
        parts.append(_count(spans, "span"))
        if services:
            parts.append(_count(services, "service"))
        if errors:
            parts.append(_count(errors, "error"))
        return " · ".join(parts)

    def _since_start(self, instants: NDArray[np.int64], trace: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return instants in ms since the start of their trace: the difference is exact, in 64 bits, before it is a float."""
        origin = self._origin[trace]
        unknown = (instants == NAT) | (origin == NAT)
        return np.where(unknown, np.nan, np.where(unknown, 0, instants - origin) / 1e6)

    def _path(self, spans: pd.DataFrame) -> _Path:
        segments = walk(spans, self.forest)
        timed = (segments.start != NAT) & (segments.end != NAT)
        row, trace = segments.row[timed], self.forest.trace[segments.root[timed]]
        return _Path(
            self.place[row],
            trace,
            self._since_start(segments.start[timed], trace),
            self._since_start(segments.end[timed], trace),
            segments.waiting[timed],
        )

    def _events(self, spans: pd.DataFrame) -> _Events:
        """Return the events with a time; cells that are no lists of events have no marks, and the detail shows their text."""
        cells = spans["events"]
        nothing = np.zeros(0, dtype=np.int64)
        if not cells.notna().any():
            return _Events(nothing, np.zeros(0), np.zeros(0, dtype=bool))
        try:
            found = unpack_events(cells)
        except SchemaError:
            self.has_readable_events = False
            return _Events(nothing, np.zeros(0), np.zeros(0, dtype=bool))
        time = self._since_start(found.time, self.forest.trace[found.row])
        row = self.place[found.row]
        kept = (row >= 0) & ~np.isnan(time)
        exception = np.asarray(found.name == "exception", dtype=bool)
        return _Events(row[kept], time[kept], exception[kept])


def bitset(mask: NDArray[np.bool_]) -> bytes:
    r"""Return a mask as bits: row r is the bit ``r & 7`` of the byte ``r >> 3``.

    >>> bitset(np.array([True, False, False, True, False, False, False, False, True]))
    b'\t\x01'
    """
    return np.packbits(mask, bitorder="little").tobytes()


def _bytes(values: NDArray[Any], dtype: str) -> bytes:
    """Return values as little-endian bytes; -1 becomes the highest number of an unsigned type."""
    return values.astype(dtype).tobytes()


def _narrowest(n: int) -> str:
    """Return the narrowest unsigned type whose highest number is none of n codes."""
    return "<u1" if n <= 0xFF else "<u2" if n <= 0xFFFF else "<u4"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
