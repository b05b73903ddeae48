"""One trace as rows of a picture: pre-order, times from the trace's start, critical path; and which rows to show when all are too many."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from traceanalytics.analysis.path_segments import walk
from traceanalytics.errors import OptionError
from traceanalytics.spans.columns import NAT, codes_of
from traceanalytics.spans.error_rule import is_error
from traceanalytics.topology import Forest

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = [
    "NO_NAME",
    "TraceRows",
    "check_max_rows",
    "counted",
    "duration_text",
    "fold",
    "indented",
    "outlives_parent",
    "plain",
    "texts_of",
    "trace_origins",
    "trace_rows",
]

NO_NAME = "(no name)"

_ROUNDING_NS = 1_000_000


class TraceRows(NamedTuple):
    """The spans of one trace in pre-order, duplicates left out; every array has one element a row, but for those of the path.

    Instants are int64 ns since the trace's start (:func:`trace_origins`), :data:`~traceanalytics.spans.columns.NAT` where unknown.
    """

    row: NDArray[np.int64]
    """Position in the frame."""
    parent: NDArray[np.int64]
    """The parent's place among these rows, -1 for roots; parents come before children."""
    depth: NDArray[np.int32]
    name: list[str]
    service: list[str | None]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    duration_ms: NDArray[np.float64]
    error: NDArray[np.bool_]
    flags: NDArray[np.uint16]
    detached: NDArray[np.bool_]
    """The span outlives its parent of the same service, which therefore did not wait for it."""
    main_root: int
    first: int
    """The earliest instant: 0, or less where spans begin before the main root."""
    last: int
    """The latest instant."""
    path: NDArray[np.int64]
    """Places of the segments of the critical path of the main root; the next three arrays go with it."""
    path_start: NDArray[np.int64]
    path_end: NDArray[np.int64]
    path_waits: NDArray[np.bool_]

    @property
    def path_ns(self) -> NDArray[np.int64]:
        """Time of each row on the critical path."""
        total = np.zeros(len(self.row), dtype=np.int64)
        np.add.at(total, self.path, self.path_end - self.path_start)
        return total

    @property
    def title(self) -> str:
        """Service, name and duration of the main root, and the counts."""
        service = self.service[self.main_root]
        found = [f"{service}: {self.name[self.main_root]}" if service else self.name[self.main_root]]
        if not np.isnan(duration := self.duration_ms[self.main_root]):
            found.append(duration_text(float(duration)))
        found.append(counted(len(self.row), "span"))
        if services := len({s for s in self.service if s is not None}):
            found.append(counted(services, "service"))
        if errors := int(self.error.sum()):
            found.append(counted(errors, "error"))
        return " · ".join(found)


def trace_origins(forest: Forest) -> NDArray[np.int64]:
    """Return where the clock of each trace begins: at the start of its main root, or of its earliest span where that is unknown.

    :data:`~traceanalytics.spans.columns.NAT` where no start is known.
    """
    origin = forest.start[forest.main_root]
    if (origin == NAT).any():
        latest = np.iinfo(np.int64).max
        first = np.full(forest.n_traces, latest, dtype=np.int64)
        np.minimum.at(first, forest.trace, np.where(forest.start == NAT, latest, forest.start))
        origin = np.where(origin == NAT, np.where(first == latest, NAT, first), origin)
    return origin


def trace_rows(spans: pd.DataFrame) -> TraceRows:
    """Return the rows of a frame that holds one trace.

    Raises
    ------
    OptionError
        The frame holds no span, or several traces.
    """
    forest = Forest(spans)
    if forest.n_traces != 1:
        raise OptionError(_not_one_trace(forest))
    rows = forest.order.astype(np.int64)
    place = np.full(len(spans) + 1, -1, dtype=np.int64)  # the last one serves the parent -1
    place[rows] = np.arange(len(rows))
    parent = place[forest.parent[rows]]
    origin = int(trace_origins(forest)[0])
    start, end = _since(forest.start[rows], origin), _since(forest.end[rows], origin)
    segments = walk(spans, forest)
    timed = (segments.start != NAT) & (segments.end != NAT)
    codes, services = codes_of(spans["service"])
    shown = [*(plain(str(service)) for service in services), None]  # None serves the code -1
    return TraceRows(
        row=rows,
        parent=parent,
        depth=forest.depth[rows],
        name=texts_of(spans["name"], rows),
        service=[shown[code] for code in codes[rows].tolist()],
        start=start,
        end=end,
        duration_ms=spans["duration_ms"].to_numpy("float64", na_value=np.nan)[rows],
        error=is_error(spans).to_numpy()[rows],
        flags=forest.flags[rows],
        detached=outlives_parent(parent, start, end, codes[rows]),
        main_root=int(place[forest.main_root[0]]),
        first=int(start.min(initial=0, where=start != NAT)),
        last=int(max(end.max(initial=0), start.max(initial=0))),
        path=place[segments.row[timed]],
        path_start=_since(segments.start[timed], origin),
        path_end=_since(segments.end[timed], origin),
        path_waits=segments.waiting[timed],
    )


def _not_one_trace(forest: Forest) -> str:
    if not forest.n_traces:
        return "the frame holds no spans, expected those of one trace; choose a trace with ta.trace(spans, trace_id)"
    known = ", ".join(repr(trace_id) for trace_id in forest.trace_ids[:2])
    return f"the frame holds {forest.n_traces:,} traces ({known}, ...), expected one; choose it with ta.trace(spans, trace_id)"


def _since(instants: NDArray[np.int64], origin: int) -> NDArray[np.int64]:
    return np.where(instants == NAT, NAT, instants - origin)


def outlives_parent(
    parent: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64], service: NDArray[Any]
) -> NDArray[np.bool_]:
    """Tell which spans the critical path takes for detached: same service, later by more than 1 ms and 1 % of the parent.

    ``parent`` holds places in these arrays, -1 for roots; ``service`` codes, -1 where it is missing.
    """
    known = (parent >= 0) & (end != NAT) & (end[parent] != NAT) & (service >= 0) & (service == service[parent])
    late = np.where(known, end - end[parent], 0)
    return np.asarray((late > _ROUNDING_NS) & (late > (end[parent] - start[parent]) // 100), dtype=np.bool_)


def texts_of(names: pd.Series, rows: NDArray[Any]) -> list[str]:
    """Return the names of rows, made :func:`plain`; never an empty one."""
    codes, labels = codes_of(names)
    texts = [plain(str(label)) or NO_NAME for label in labels]
    texts.append(NO_NAME)  # serves the code -1
    return [texts[code] for code in codes[rows].tolist()]


def indented(name: str, depth: int, deepest: int) -> str:
    """Return the name after two spaces a level; below the deepest level the level is said as a number instead.

    >>> indented("a", 2, 9), indented("a", 57, 1)
    ('    a', '  [57] a')
    """
    return f"{'  ' * depth}{name}" if depth <= deepest else f"{'  ' * deepest}[{depth}] {name}"


def fold(rows: TraceRows, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose the ``most`` rows to show, and count for each how many rows are folded below it.

    Errors come first, for up to half of the rows, then the spans with most time on the critical path, then the longest; a row
    is never shown without all of its ancestors.
    """
    n = len(rows.row)
    if n <= most:
        return np.arange(n), np.zeros(n, dtype=np.int64)
    path_ns, length = rows.path_ns, np.nan_to_num(rows.duration_ms, nan=0.0)
    tier = (rows.error | (path_ns > 0)).astype(np.int8)
    failed = np.flatnonzero(rows.error)
    tier[failed[np.lexsort((length[failed], path_ns[failed]))][-(most // 2) :]] = 2  # half of the rows are for them
    rank = np.empty(n, dtype=np.int64)
    rank[np.lexsort((length, path_ns, tier))] = np.arange(n)
    best, parent = rank.tolist(), rows.parent.tolist()
    best[rows.main_root] = n
    for at in range(n - 1, -1, -1):  # a row is as important as the most important one below it
        if (up := parent[at]) >= 0 and best[up] < best[at]:
            best[up] = best[at]
    kept = np.sort(np.lexsort((rows.depth, -np.array(best)))[:most])
    shown = np.full(n, -1, dtype=np.int64)
    shown[kept] = np.arange(len(kept))
    above = shown.tolist()
    for at, up in enumerate(parent):
        if above[at] < 0 <= up:
            above[at] = above[up]
    hidden = np.array(above)[shown < 0]
    return kept, np.bincount(hidden[hidden >= 0], minlength=len(kept))


def check_max_rows(max_rows: int) -> None:
    """Raise :class:`~traceanalytics.errors.OptionError` unless at least one row may be shown."""
    if type(max_rows) is not int or max_rows < 1:
        raise OptionError(f"max_rows={max_rows!r} is no number of rows; give 1 or more")


def plain(text: str) -> str:
    r"""Return a text that no terminal, font or file format stumbles over: one line, no control and no invisible characters.

    >>> plain("GET\n/cart\x1b[31m")
    'GET /cart�[31m'
    """
    if text.isascii() and text.isprintable():
        return text
    found = []
    for character in text:
        kind = unicodedata.category(character)
        if kind in ("Cc", "Zl", "Zp"):
            found.append(" " if character.isspace() else "\N{REPLACEMENT CHARACTER}")
        elif kind in ("Cs", "Cn"):
            found.append("\N{REPLACEMENT CHARACTER}")
        elif kind != "Cf":  # among them the marks that turn the direction of writing
            found.append(character)
    return "".join(found)


def duration_text(ms: float) -> str:
    """Return a duration with three digits and a fitting unit, "?" where it is unknown.

    >>> [duration_text(ms) for ms in (0, 0.0421, 12, 1234.5, 754_000, float("nan"))]
    ['0 ms', '42.1 µs', '12 ms', '1.23 s', '12 min 34 s', '?']
    """
    size = abs(ms)
    if size != size:  # noqa: PLR0124 - NaN
        return "?"
    if size >= 59_999.5:
        minutes, seconds = divmod(round(ms / 1000), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {seconds} s"
    unit, scale = (
        ("s", 1e-3)
        if size >= 999.5
        else ("ms", 1)
        if size >= 0.9995 or not size
        else ("µs", 1e3)
        if size >= 0.0009995
        else ("ns", 1e6)
    )
    value = ms * scale
    digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    text = f"{value:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if digits else text} {unit}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, which gets an s unless the number is 1.

    >>> counted(1, "span"), counted(1200, "span")
    ('1 span', '1,200 spans')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
