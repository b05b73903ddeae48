"""Rows of a trace as the text of a Mermaid Gantt diagram."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from traceanalytics.analysis.trace_rows import duration_text, fold
from traceanalytics.spans.columns import NAT

if TYPE_CHECKING:
    from traceanalytics.analysis.trace_rows import TraceRows

__all__ = ["gantt"]

_FINE_BELOW_NS: Final = 10_000_000
_SPECIAL: Final = re.compile(r"[#:;<>&\"'`%\\{}\[\]]")
_COMMAND: Final = re.compile(
    r"acc(?:title|descr)|axisformat|callback|call|click|dateformat|displaymode|excludes|gantt|href|includes|inclusiveenddates|interactive|section|style|classdef"
    r"|tickinterval|title|todaymarker|topaxis|weekday|weekend|---|\d{4}-\d\d-\d\d",
    re.IGNORECASE,
)
"""What Mermaid's reader takes for a command, or a date, at the beginning of a line."""


def gantt(rows: TraceRows, max_rows: int) -> str:
    """Return the diagram: services as sections in order of their first span, spans in pre-order within them."""
    kept, _ = fold(rows, max_rows)
    unit, text = (1_000, "%Q µs") if rows.last - rows.first < _FINE_BELOW_NS else (1_000_000, "%Q ms")
    folded = len(rows.row) - len(kept)
    title = rows.title + (f" · {folded:,} folded" if folded else "")
    lines = ["gantt", f"    title {_escaped(title)}", "    dateFormat x", f"    axisFormat {text}"]
    sections: dict[str, list[str]] = {}
    on_path = rows.path_ns > 0
    for at in kept.tolist():
        if rows.start[at] != NAT:
            tasks = sections.setdefault(rows.service[at] or "(no service)", [])
            tasks.append(_task(rows, at, unit, critical=bool(on_path[at])))
    for service, tasks in sections.items():
        lines += [f"    section {_escaped(service)}", *tasks]
    return "\n".join(lines)


def _task(rows: TraceRows, at: int, unit: int, *, critical: bool) -> str:
    begin = round((int(rows.start[at]) - rows.first) / unit)
    end = begin if rows.end[at] == NAT else max(round((int(rows.end[at]) - rows.first) / unit), begin)
    tags = ["crit"] if critical else []
    text = f"{rows.name[at]} ({duration_text(float(rows.duration_ms[at]))})"
    if rows.error[at]:
        text = f"{text} !"
        tags.append("active")
    if end == begin and (rows.end[at] == NAT or rows.end[at] == rows.start[at]):
        tags.append("milestone")
    return f"    {_escaped(text)} :{', '.join([*tags, f's{at}', str(begin), str(max(end, begin + ('milestone' not in tags)))])}"


def _escaped(text: str) -> str:
    """Write as number codes what could end a name, open a comment, a directive or a tag, or be taken for a command."""
    escaped = _SPECIAL.sub(lambda found: f"#{ord(found.group())};", text.strip())
    return f"#{ord(escaped[0])};{escaped[1:]}" if _COMMAND.match(escaped) else escaped
