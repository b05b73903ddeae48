"""Zipkin's B3: one header ``b3``, or five ``X-B3-`` headers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from traceanalytics.errors import OptionError
from traceanalytics.propagation.context import TraceContext
from traceanalytics.propagation.parsed import Parsed, Problem, rejected, shown, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HEADERS", "parse_b3", "parse_b3_headers", "write_b3", "write_b3_headers"]

HEADERS: Final = ("X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId", "X-B3-Sampled", "X-B3-Flags")
_LIMIT: Final = 8_192
_TRACE_ID: Final = re.compile(r"[0-9a-f]{16}(?:[0-9a-f]{16})?")
_SPAN_ID: Final = re.compile(r"[0-9a-f]{16}")
_DECISIONS: Final[Mapping[str, tuple[bool, bool]]] = {"0": (False, False), "1": (True, False), "d": (True, True)}
"""Sampled, debug."""
_SAMPLED: Final = {"0": False, "1": True, "false": False, "true": True}
"""The words were sent before there was a specification, and still are."""


def parse_b3(text: str | bytes) -> Parsed[TraceContext]:
    """Parse the single header ``b3``: ``trace-span[-decision[-parent]]``, or a decision alone.

    Parameters
    ----------
    text
        The header's value.

    Returns
    -------
    Parsed
        ``value``: a context, or None. A lone ``0``, ``1`` or ``d`` gives a context without ids; without a decision ``sampled`` is
        None. ``problems`` with the codes ``encoding``, ``size``, ``syntax``, ``trace_id``, ``span_id``, ``sampled``, ``parent_span_id``.

    Examples
    --------
    >>> parse_b3("4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-d").value.debug
    True
    >>> parse_b3("0").value.sampled
    False
    """
    read = text_of(text, limit=_LIMIT)
    if read.value is None:
        return Parsed(None, read.problems)
    if read.value in _DECISIONS:
        sampled, debug = _DECISIONS[read.value]
        return Parsed(TraceContext(None, None, sampled, debug=debug))
    parts = read.value.split("-")
    if not 2 <= len(parts) <= 4:
        return rejected(
            "syntax", f"{len(parts)} fields between dashes, expected trace-span, -decision, -parent, or 0, 1 or d alone"
        )
    decision = parts[2] if len(parts) > 2 else None
    if decision is not None and decision not in _DECISIONS:
        return rejected("sampled", f"the decision {shown(decision)} is none of 0, 1 and d")
    sampled_or_open, debug = (None, False) if decision is None else _DECISIONS[decision]
    return _checked(parts[0], parts[1], parts[3] if len(parts) > 3 else None, sampled=sampled_or_open, debug=debug)


def parse_b3_headers(headers: Mapping[str, str | bytes]) -> Parsed[TraceContext]:
    """Parse the headers ``X-B3-TraceId``, ``-SpanId``, ``-ParentSpanId``, ``-Sampled`` and ``-Flags``, in any case.

    Parameters
    ----------
    headers
        Name to value; other headers are left alone.

    Returns
    -------
    Parsed
        As :func:`parse_b3`; ``Flags`` 1 means debug, which implies sampled. Without any of the headers there is the problem ``absent``;
        a header that is there twice, in two spellings, is ``duplicate``.

    Examples
    --------
    >>> parse_b3_headers({"x-b3-traceid": "a3ce929d0e0e4736", "x-b3-spanid": "00f067aa0ba902b7", "x-b3-sampled": "1"}).value.trace_id
    '0000000000000000a3ce929d0e0e4736'
    """
    names = {name.lower(): name for name in HEADERS}
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for given, value in headers.items():
        name = names.get(given.lower())
        if name is None:
            continue
        read = text_of(value, limit=_LIMIT)
        if name in found:
            problems.append(Problem("duplicate", f"{name} stands more than once"))
        problems += read.problems
        found[name] = read.value or ""
    if problems:
        return Parsed(None, tuple(problems))
    if not found:
        return rejected("absent", "no X-B3- header")
    trace_id, span_id, parent, sampled, flags = (found.get(name) for name in HEADERS)
    if sampled is not None and sampled not in _SAMPLED:
        return rejected("sampled", f"X-B3-Sampled {shown(sampled)} is neither 0 nor 1")
    if flags not in (None, "0", "1"):
        return rejected("flags", f"X-B3-Flags {shown(flags)} is neither 0 nor 1")
    debug = flags == "1"
    decided = True if debug else None if sampled is None else _SAMPLED[sampled]
    if trace_id is None and span_id is None and parent is None:
        return Parsed(TraceContext(None, None, decided, debug=debug))
    return _checked(trace_id or "", span_id or "", parent, sampled=decided, debug=debug)


def _checked(
    trace_id: str, span_id: str, parent: str | None, *, sampled: bool | None, debug: bool
) -> Parsed[TraceContext]:
    problems = []
    if not _TRACE_ID.fullmatch(trace_id) or not trace_id.strip("0"):
        problems.append(
            Problem("trace_id", f"the trace id {shown(trace_id)} is not 16 or 32 lower-case hex digits, not all zero")
        )
    for code, words, value in (("span_id", "span id", span_id), ("parent_span_id", "parent's id", parent)):
        if value is not None and not (_SPAN_ID.fullmatch(value) and value.strip("0")):
            problems.append(Problem(code, f"the {words} {shown(value)} is not 16 lower-case hex digits, not all zero"))
    if problems:
        return Parsed(None, tuple(problems))
    return Parsed(TraceContext(trace_id.rjust(32, "0"), span_id, sampled, debug=debug, parent_span_id=parent))


def write_b3(context: TraceContext) -> str:
    """Return the single header ``b3`` of a context.

    Raises
    ------
    OptionError
        The context has neither ids nor a decision, or one id only.

    Examples
    --------
    >>> write_b3(TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True))
    '4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1'
    """
    decision = "d" if context.debug else None if context.sampled is None else "01"[context.sampled]
    if context.trace_id is None or context.span_id is None:
        if decision is None or (context.trace_id, context.span_id) != (None, None):
            raise OptionError("B3 needs a trace id and a span id, or a decision alone")
        return decision
    parts = [context.trace_id, context.span_id]
    if decision is not None:
        parts.append(decision)
        if context.parent_span_id is not None:
            parts.append(context.parent_span_id)
    return "-".join(parts)


def write_b3_headers(context: TraceContext) -> dict[str, str]:
    """Return the ``X-B3-`` headers of a context.

    Raises
    ------
    OptionError
        As :func:`write_b3`.

    Examples
    --------
    >>> write_b3_headers(TraceContext(None, None, sampled=False))
    {'X-B3-Sampled': '0'}
    """
    write_b3(context)  # raises for what no form of B3 can carry
    ids = (context.trace_id, context.span_id, context.parent_span_id)
    found = {name: value for name, value in zip(HEADERS[:3], ids, strict=True) if value is not None}
    if context.debug:
        found[HEADERS[4]] = "1"  # it implies the decision, which is not to be sent along
    elif context.sampled is not None:
        found[HEADERS[3]] = "01"[context.sampled]
    return found
