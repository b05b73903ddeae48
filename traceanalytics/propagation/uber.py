"""Jaeger's ``uber-trace-id``: trace, span, parent and flags as hex numbers of any length, with colons between."""

from __future__ import annotations

import re
from typing import Final

from traceanalytics.errors import OptionError
from traceanalytics.propagation.context import TraceContext
from traceanalytics.propagation.parsed import Parsed, Problem, rejected, shown, text_of

__all__ = ["parse_uber_trace_id", "write_uber_trace_id"]

_LIMIT: Final = 8_192
_COLON: Final = re.compile("%3a", re.IGNORECASE)
_SAMPLED, _DEBUG = 1, 2
_SIZES: Final = (("trace_id", 32), ("span_id", 16), ("parent_span_id", 16), ("flags", 2))


def parse_uber_trace_id(text: str | bytes) -> Parsed[TraceContext]:
    """Parse Jaeger's ``uber-trace-id``; colons may be URL-encoded, as many clients send them.

    Parameters
    ----------
    text
        The header's value.

    Returns
    -------
    Parsed
        ``value``: a context, or None; ids are padded with zeros and in lower case. A parent ``0`` means none. ``problems`` with the
        codes ``encoding``, ``size``, ``syntax``, ``trace_id``, ``span_id``, ``parent_span_id``, ``flags``.

    Examples
    --------
    >>> parsed = parse_uber_trace_id("a3ce929d0e0e4736%3A53ce%3A0%3A3").value
    >>> parsed.span_id, parsed.sampled, parsed.debug
    ('00000000000053ce', True, True)
    """
    read = text_of(text, limit=_LIMIT)
    if read.value is None:
        return Parsed(None, read.problems)
    parts = _COLON.sub(":", read.value).split(":")
    if len(parts) != len(_SIZES):
        return rejected("syntax", f"{len(parts)} fields between colons, expected trace:span:parent:flags")
    problems = [
        Problem(name, f"the {name} {shown(part)} is not 1 to {size} hex digits")
        for part, (name, size) in zip(parts, _SIZES, strict=True)
        if not re.fullmatch(f"[0-9a-fA-F]{{1,{size}}}", part)
    ]
    problems += [
        Problem(name, f"the {name} is zero")
        for part, (name, _) in zip(parts[:2], _SIZES[:2], strict=True)
        if part and not part.strip("0")
    ]
    if problems:
        return Parsed(None, tuple(problems))
    trace_id, span_id, parent = (
        part.lower().rjust(size, "0") for part, (_, size) in zip(parts[:3], _SIZES[:3], strict=True)
    )
    bits = int(parts[3], 16)
    return Parsed(
        TraceContext(
            trace_id,
            span_id,
            bool(bits & _SAMPLED),
            debug=bool(bits & _DEBUG),
            parent_span_id=parent if parent.strip("0") else None,
        )
    )


def write_uber_trace_id(context: TraceContext) -> str:
    """Return Jaeger's ``uber-trace-id`` of a context; the parent is written as 0 where there is none.

    Raises
    ------
    OptionError
        The context has no trace id or no span id.

    Examples
    --------
    >>> write_uber_trace_id(TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True))
    '4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7:0:1'
    """
    if context.trace_id is None or context.span_id is None:
        raise OptionError("an uber-trace-id needs a trace id and a span id, and the context lacks one of them")
    flags = (_SAMPLED if context.sampled or context.debug else 0) | (_DEBUG if context.debug else 0)
    return f"{context.trace_id}:{context.span_id}:{context.parent_span_id or 0}:{flags:x}"
