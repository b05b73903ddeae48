"""The read report: what a reader changed, noted or left out, and where.

It travels in ``DataFrame.attrs`` as one JSON string: pandas copies attrs at every column access, and a string costs nothing.
Some pandas calls (merge, constructors) lose it; it is decoration, and no function depends on it.
"""

from __future__ import annotations

import html
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import pandas as pd

from traceanalytics.spans.schema import REPORT_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MOST_PLACES", "Place", "ReadReport", "join_reports", "put_report", "read_report"]

MOST_PLACES = 50
"""How many places a report keeps; readers write the whole list to a file on request (``report_to=``)."""


@dataclass(frozen=True)
class Place:
    """One finding of a reader: why, where, and what was seen."""

    reason: str
    source: str
    position: str
    detail: str


@dataclass(frozen=True)
class ReadReport:
    """What a reader did: how many spans it read, what it skipped or changed, and the first places of that.

    Attributes
    ----------
    formats, sources
        Formats and file names that were read (the first 50 files).
    spans, skipped
        Spans read, and records that were lost because they were damaged (``on_error="skip"``).
    counts
        Number of findings by reason; skipped records are among them.
    places
        The first 50 findings.
    text_like_json
        Columns in which a plain text looks like the JSON text of an array or map, so that writers can tell them apart.
    """

    formats: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    spans: int = 0
    skipped: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    places: tuple[Place, ...] = ()
    text_like_json: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return the places as a frame: reason, source, position, detail (all str)."""
        rows = [(p.reason, p.source, p.position, p.detail) for p in self.places]
        return pd.DataFrame(rows, columns=["reason", "source", "position", "detail"], dtype="str")

    def __str__(self) -> str:
        files = f"{len(self.sources)} sources" if len(self.sources) != 1 else self.sources[0]
        lines = [
            f"{self.spans:,} spans read from {files} ({', '.join(self.formats)}); {self.skipped:,} records skipped"
        ]
        lines += [f"  {count:>7,}  {reason}" for reason, count in self.counts.items()]
        lines += [f"           {p.source}, {p.position}: {p.detail}" for p in self.places[:5]]
        if len(self.places) > 5:
            lines.append(f"           ... {len(self.places) - 5} more places in .to_frame()")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def put_report(spans: pd.DataFrame, report: ReadReport) -> None:
    """Attach the report to a frame that was just made."""
    spans.attrs[REPORT_KEY] = msgspec.json.encode(report).decode()


def read_report(spans: pd.DataFrame) -> ReadReport | None:
    """Return what the reader of this frame skipped, changed or noted; None on a frame that has lost its report.

    Parameters
    ----------
    spans
        A span frame.

    Returns
    -------
    ReadReport
        With ``spans``, ``skipped``, ``counts`` (by reason), ``places`` (the first 50) and ``to_frame()``.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> spans = ta.read_records([{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
    ...     "name": "GET /", "start_time": "2026-05-14T14:23:45Z", "duration_ms": 12}])
    >>> ta.read_report(spans).spans
    1
    """
    text = spans.attrs.get(REPORT_KEY)
    if not isinstance(text, str):
        return None
    try:
        return msgspec.json.decode(text, type=ReadReport)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # attrs are the user's to change
        return None


def join_reports(reports: Iterable[ReadReport | None]) -> ReadReport | None:
    """Return one report for frames that are put together; None where none has a report."""
    known = [r for r in reports if r is not None]
    if not known:
        return None
    counts: Counter[str] = Counter()
    for report in known:
        counts.update(report.counts)
    return ReadReport(
        formats=tuple(dict.fromkeys(f for r in known for f in r.formats)),
        sources=tuple(dict.fromkeys(s for r in known for s in r.sources))[:MOST_PLACES],
        spans=sum(r.spans for r in known),
        skipped=sum(r.skipped for r in known),
        counts=dict(counts),
        places=tuple(p for r in known for p in r.places)[:MOST_PLACES],
        text_like_json=tuple(dict.fromkeys(c for r in known for c in r.text_like_json)),
    )
