"""Rows of a trace as a waterfall of characters."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

import numpy as np

from traceanalytics.analysis.trace_rows import duration_text, fold, indented
from traceanalytics.spans.columns import NAT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from traceanalytics.analysis.trace_rows import TraceRows

__all__ = ["character_waterfall", "columns_of", "cut"]

_ON_PATH: Final = "█"
_OFF_PATH: Final = "░"
_INSTANT: Final = "▏"
_LEGEND: Final = f"{_ON_PATH} on the critical path  {_OFF_PATH} not on it"
_WIDEST_SERVICE: Final = 16


def character_waterfall(rows: TraceRows, trace_id: str, width: int, max_rows: int) -> str:
    """Return title, time axis, one line a span, and a legend; no line is longer than ``width`` columns."""
    kept, hidden = fold(rows, max_rows)
    folded = len(rows.row) - len(kept)
    service = [cut(rows.service[at] or "", min(_WIDEST_SERVICE, width // 6)) for at in kept.tolist()]
    duration = [duration_text(float(rows.duration_ms[at])) for at in kept.tolist()]
    marked = ["!" if failed else " " for failed in rows.error[kept].tolist()]
    marked = [f"{mark} {text}" for mark, text in zip(marked, _aligned(duration, right=True), strict=True)]
    columns = [_aligned(_labels(rows, kept, hidden, width * 2 // 5)), _aligned(service), marked]
    left = [" ".join(texts) for texts in zip(*(c for c in columns if c[0]), strict=True)]
    indent = columns_of(left[0]) + 1
    bars = _bars(rows, kept, width - indent)
    legend = (
        _LEGEND + ("  ! error" if rows.error[kept].any() else "") + (f"  +{folded:,} spans folded" if folded else "")
    )
    return "\n".join(
        [
            cut(f"{rows.title} · trace {trace_id}", width),
            (" " * indent + _axis(rows.first, rows.last, width - indent)).rstrip(),
            *(f"{text} {bar}".rstrip() for text, bar in zip(left, bars, strict=True)),
            cut(legend, width),
        ]
    )


def _labels(rows: TraceRows, kept: NDArray[np.int64], hidden: NDArray[np.int64], widest: int) -> list[str]:
    depth = rows.depth[kept].tolist()
    found = []
    for at, level, below in zip(kept.tolist(), depth, hidden.tolist(), strict=True):
        note = f" (+{below:,})" if below else ""
        found.append(cut(indented(rows.name[at], level, widest // 5), widest - len(note)) + note)
    return found


def _axis(first: int, last: int, cells: int) -> str:
    begin, middle, end = (duration_text(instant / 1e6) for instant in (first, (first + last) / 2, last))
    gap = cells // 2 - len(begin) - len(middle) // 2
    text = f"{begin}{' ' * gap}{middle}" if gap > 0 else begin
    return f"{text}{end:>{max(cells - len(text), 0)}}" if last > first else begin


def _bars(rows: TraceRows, kept: NDArray[np.int64], cells: int) -> list[str]:
    """Draw one bar a row; every bar and every stretch of the path takes one character at least.

    A stretch that begins or ends with its span does so in the bar, too, whatever is lost in rounding.
    """
    scale = cells / max(rows.last - rows.first, 1)
    low = np.minimum(((rows.start - rows.first) * scale).astype(np.int64), cells - 1)
    high = np.clip(np.ceil((rows.end - rows.first) * scale).astype(np.int64), low + 1, cells)
    path: dict[int, list[tuple[int, int]]] = {}
    first = np.minimum(((rows.path_start - rows.first) * scale).round().astype(np.int64), cells - 1)
    stop = np.maximum(((rows.path_end - rows.first) * scale).round().astype(np.int64), first + 1)
    first = np.where(rows.path_start == rows.start[rows.path], low[rows.path], first)
    stop = np.where(rows.path_end == rows.end[rows.path], high[rows.path], stop)
    for at, begin, end in zip(rows.path.tolist(), first.tolist(), stop.tolist(), strict=True):
        path.setdefault(at, []).append((begin, end))
    found = []
    for at in kept.tolist():
        if rows.start[at] == NAT:
            found.append("")
            continue
        begin, end = int(low[at]), int(high[at])
        bar = [_INSTANT if rows.end[at] in (NAT, rows.start[at]) else _OFF_PATH] * (end - begin)
        for one, other in path.get(at, ()):
            left = min(max(one, begin), end - 1)
            right = max(min(other, end), left + 1)
            bar[left - begin : right - begin] = _ON_PATH * (right - left)
        found.append(" " * begin + "".join(bar))
    return found


def _aligned(texts: Sequence[str], *, right: bool = False) -> list[str]:
    width = max(map(columns_of, texts))
    return [" " * (width - columns_of(t)) + t if right else t + " " * (width - columns_of(t)) for t in texts]


def columns_of(text: str) -> int:
    """Return how many columns a terminal needs for a text.

    >>> columns_of("ab"), columns_of("日本")
    (2, 4)
    """
    return len(text) if text.isascii() else sum(map(_columns, text))


def cut(text: str, columns: int) -> str:
    """Return as much of a text as fits, with an ellipsis where something is missing.

    >>> cut("checkout", 5), cut("日本語", 4)
    ('chec…', '日…')
    """
    if columns_of(text) <= columns:
        return text
    used, found = 1, []
    for character in text:
        used += _columns(character)
        if used > columns:
            break
        found.append(character)
    return "".join(found) + "…"


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
