"""What every reader shares: the builder, the report, and the rule for damage (``on_error``)."""

from __future__ import annotations

import re
from collections import Counter
from contextvars import ContextVar
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal, Protocol, TypeVar

import msgspec

from traceanalytics.errors import FormatError, OptionError, check_option
from traceanalytics.io.builder import SpanBuilder
from traceanalytics.io.source import open_source
from traceanalytics.spans.merging import concat
from traceanalytics.spans.report import MOST_PLACES, Place, ReadReport, join_reports, put_report, read_report

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    import pandas as pd

__all__ = ["Damage", "OnError", "Reading", "progress_listener", "read_documents"]

OnError = Literal["raise", "skip"]

Damage: Final = (FormatError, msgspec.MsgspecError, UnicodeError, RecursionError)
"""What may be wrong with one record; anything else is a fault of the reader and is not caught."""

progress_listener: ContextVar[Callable[[int], None] | None] = ContextVar("progress_listener", default=None)
"""Told the number of spans read so far, every few thousand; the command line shows it."""

_TELL_EVERY: Final = 5_000
T = TypeVar("T")


class Collector(Protocol):
    """Keeps records that cannot be added to the frame before all documents are read."""

    def finish(self) -> None:
        """Add the spans."""


C = TypeVar("C", bound=Collector)


class Reading:
    """One call of a reader: collects spans, findings and losses.

    Parameters
    ----------
    format_name
        The format, for messages and the report.
    on_error
        "raise": the first damage raises. "skip": a damaged record is left out and counted.
    report_to
        File that receives every finding as a JSON line; the report itself keeps the first 50.
    attributes
        Patterns of the attributes that get a column; None: the usual rule.
    """

    def __init__(
        self,
        format_name: str = "",
        on_error: OnError = "raise",
        report_to: str | os.PathLike[str] | None = None,
        attributes: Sequence[str] | None = None,
    ) -> None:
        check_option("on_error", on_error, ("raise", "skip"))
        self.attributes = _patterns(attributes)
        self._tables: list[pd.DataFrame] = []
        self._formats: dict[str, None] = {}
        if format_name:
            self.used(format_name)
        self.skips = on_error == "skip"
        self.builder = SpanBuilder(self._note_column)
        self.source = ""
        self._sources: list[str] = []
        self._skipped = 0
        self._counts: Counter[str] = Counter()
        self._places: list[Place] = []
        self._columns: list[Place] = []
        self._file: IO[bytes] | None = _opened(report_to)
        self._told = 0
        self._collectors: dict[object, Any] = {}

    def begin(self, source: str) -> None:
        """Turn to the next document."""
        self.source = source
        if len(self._sources) < MOST_PLACES:
            self._sources.append(source)

    def used(self, format_name: str) -> None:
        """Record that a document of this format is being read."""
        self._formats[format_name] = None

    def collector(self, make: Callable[[Reading], C]) -> C:
        """Return the one collector that ``make`` makes; it is finished when all documents are read."""
        if make not in self._collectors:
            self._collectors[make] = make(self)
        found: C = self._collectors[make]
        return found

    def ignored(self, name: str) -> None:
        """Record a file of a folder that is left out."""
        self.note("file of the folder, ignored for its ending", "", name)

    def note(self, reason: str, position: str = "", detail: str = "", count: int = 1) -> None:
        """Record a finding that costs no span."""
        self._counts[reason] += count
        place = Place(reason, self.source, position, detail)
        if len(self._places) < MOST_PLACES:
            self._places.append(place)
        if self._file is not None:
            self._file.write(msgspec.json.encode(place) + b"\n")

    def _note_column(self, reason: str, detail: str, count: int) -> None:
        """Record what the builder changed in a column; it is known at the end only, and must not fall behind the 50 places."""
        self._columns.append(Place(reason, "", "", detail))
        self._counts[reason] += count
        if self._file is not None:
            self._file.write(msgspec.json.encode(self._columns[-1]) + b"\n")

    def lost(self, reason: str, position: str, detail: str) -> None:
        """Record that a record is left out."""
        self._skipped += 1
        self.note(reason, position, detail)

    def failed(self, error: Exception, position: str) -> None:
        """Deal with a damaged record: raise, or leave it out and count it."""
        problem = _as_format_error(error, self.source, position)
        if not self.skips:
            raise problem from error
        self.lost("damaged record, left out", ", ".join(p for p in (problem.position,) if p), problem.problem)

    def each(
        self, records: Sequence[T], use: Callable[[T, Callable[[], str]], None], place: Callable[[int], str]
    ) -> None:
        """Call ``use(record, where)`` for every record; damage costs that record only."""
        for i, record in enumerate(records):
            try:
                use(record, lambda i=i: place(i))  # type: ignore[misc]
            except Damage as error:
                self.failed(error, place(i))
        self.tell()

    def tell(self) -> None:
        """Tell the listener of the command line how far the reading has come."""
        listener = progress_listener.get()
        if listener is not None and len(self.builder) - self._told >= _TELL_EVERY:
            self._told = len(self.builder)
            listener(self._told)

    def add_table(self, spans: pd.DataFrame) -> None:
        """Add the spans of a document that holds a whole frame, as Parquet does."""
        self._tables.append(spans)

    def frame(self) -> pd.DataFrame:
        """Return the span frame with its report."""
        for collector in self._collectors.values():
            collector.finish()
        own, ambiguous = self.builder.frame(self.attributes)
        if self._file is not None:
            self._file.close()
        parts = [own, *self._tables] if len(own) or not self._tables else self._tables
        spans = parts[0] if len(parts) == 1 else concat(parts)
        untold = sum(len(t) for t in self._tables if read_report(t) is None)
        report = join_reports([self._report(len(own) + untold, ambiguous), *map(read_report, self._tables)])
        assert report is not None
        put_report(spans, report)
        return spans

    def _report(self, spans: int, ambiguous: tuple[str, ...]) -> ReadReport:
        places = (self._columns + self._places)[:MOST_PLACES]
        return ReadReport(
            tuple(self._formats),
            tuple(self._sources),
            spans,
            self._skipped,
            dict(self._counts),
            tuple(places),
            ambiguous,
        )


def _opened(report_to: str | os.PathLike[str] | None) -> IO[bytes] | None:
    if report_to is None:
        return None
    try:
        return Path(report_to).open("wb")
    except OSError as error:
        raise OptionError(f"report_to={str(report_to)!r} cannot be written: {error.strerror}") from error


def _patterns(attributes: Sequence[str] | None) -> Sequence[str] | None:
    if isinstance(attributes, str) or (attributes is not None and not all(isinstance(p, str) for p in attributes)):
        raise OptionError(
            f"attributes={attributes!r} is no list of patterns; give e.g. attributes=['http.*', 'resource.k8s.*'], or None for all"
        )
    return attributes


_PLACE_IN_TEXT: Final = re.compile(r" - at `(?P<path>[^`]*)`")


def _as_format_error(error: Exception, source: str, position: str) -> FormatError:
    if isinstance(error, FormatError):
        if error.source:  # it has been placed already, by the level of nesting that is nearest to the damage
            return error
        where = ", ".join(p for p in (position, error.position) if p)
        return FormatError(error.problem, source=source, position=where, hint=error.hint)
    if isinstance(error, UnicodeDecodeError):
        return FormatError(f"invalid UTF-8 at byte {error.start} of the record", source=source, position=position)
    if isinstance(error, RecursionError):
        return FormatError("nested too deeply", source=source, position=position)
    text = str(error)
    found = _PLACE_IN_TEXT.search(text)
    problem = _PLACE_IN_TEXT.sub("", text)
    return FormatError(
        f"{problem[:1].lower()}{problem[1:]}",
        source=source,
        position=", ".join(p for p in (position, found["path"] if found else "") if p and p != "$"),
    )


def read_documents(
    source: Any,
    parse: Callable[[bytes, Reading], None],
    *,
    attributes: Sequence[str] | None,
    on_error: OnError,
    report_to: str | os.PathLike[str] | None = None,
    format_name: str = "",
) -> pd.DataFrame:
    """Read every document of a source with one parser, and return the span frame.

    ``parse`` adds the spans of a document to ``reading.builder``; what it raises is damage to the whole document.
    """
    reading = Reading(format_name, on_error, report_to, attributes)
    for document in open_source(source, reading.ignored):
        reading.begin(document.name)
        try:
            parse(document.load(), reading)
        except Damage as error:
            reading.failed(error, "")
    return reading.frame()
