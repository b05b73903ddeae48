"""Strict parser of W3C traceparent: which trace, and whether it was sampled and its id is random."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from traceanalytics.sampling.tracestate_codec import Rejection

__all__ = ["TraceParent", "parse_traceparent"]

_FIELDS: Final = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>(?:-.*)?)"
)
_SAMPLED, _RANDOM = 1, 2


class TraceParent(NamedTuple):
    """A parsed traceparent; with ``errors`` everything else is None.

    ``random`` False means that nothing is known: hops of level 1 do not pass the flag on.
    """

    trace_id: str | None = None
    span_id: str | None = None
    sampled: bool | None = None
    random: bool | None = None
    errors: tuple[Rejection, ...] = ()


def parse_traceparent(text: str) -> TraceParent:
    """Parse a W3C traceparent header.

    Blanks around it are allowed. A version above 00 may have further fields after another dash.

    Examples
    --------
    >>> parsed = parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03")
    >>> parsed.sampled, parsed.random
    (True, True)
    >>> parse_traceparent("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03").errors
    (Rejection(code='version', reason="version 'ff' is forbidden"),)
    """
    found = _FIELDS.fullmatch(text.strip(" \t"))
    if found is None:
        return _rejected("syntax", "expected 2, 32, 16 and 2 lower-case hex digits with dashes between")
    version, trace, span, flags, more = found.groups()
    if version == "ff":
        return _rejected("version", "version 'ff' is forbidden")
    if version == "00" and more:
        return _rejected("length", f"version 00 has four fields, and {more[:20]!r} follows them")
    if not trace.strip("0"):
        return _rejected("trace_id", "the trace id is all zeros")
    if not span.strip("0"):
        return _rejected("span_id", "the span id is all zeros")
    bits = int(flags, 16)
    return TraceParent(trace, span, sampled=bool(bits & _SAMPLED), random=bool(bits & _RANDOM))


def _rejected(code: str, reason: str) -> TraceParent:
    return TraceParent(errors=(Rejection(code, reason),))
