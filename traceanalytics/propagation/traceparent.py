"""W3C ``traceparent``: version, trace id, parent id, flags."""

from __future__ import annotations

from typing import Final

from traceanalytics.errors import OptionError
from traceanalytics.propagation.context import TraceContext
from traceanalytics.propagation.parsed import Parsed, Problem, rejected, shown, text_of

__all__ = ["FIELDS", "parse_traceparent", "write_traceparent"]

FIELDS: Final = (("version", 0, 2), ("trace_id", 3, 32), ("span_id", 36, 16), ("flags", 53, 2))
"""Name, offset and size of the fields of version 00; a dash stands between them."""

_SIZE: Final = 55
_LIMIT: Final = 8_192
_SAMPLED, _RANDOM = 1, 2


def parse_traceparent(text: str | bytes) -> Parsed[TraceContext]:
    """Parse a W3C ``traceparent`` header, strictly, and say why it is rejected.

    A header of a later version is read as far as version 00 goes, and may have more behind another dash. Of the flags, bit 0
    is ``sampled`` and bit 1 ``random`` (level 2); the others are left out, as they must not be passed on.

    Parameters
    ----------
    text
        The header's value.

    Returns
    -------
    Parsed
        ``value``: a :class:`~traceanalytics.propagation.context.TraceContext`, or None; ``problems`` with the codes ``encoding``,
        ``size``, ``length``, ``syntax``, ``version``, ``trace_id``, ``span_id``.

    Examples
    --------
    >>> parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").value.sampled
    True
    >>> parse_traceparent("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01").problems[0].reason
    "'B' at offset 4 of the trace_id is no lower-case hex digit"
    """
    read = text_of(text, limit=_LIMIT)
    if read.value is None:
        return Parsed(None, read.problems)
    header = read.value
    problems = tuple(_problems(header))
    if problems:
        return Parsed(None, problems)
    version, trace_id, span_id, flags = (header[start : start + size] for _, start, size in FIELDS)
    if version == "ff":
        return rejected("version", "version 'ff' is forbidden")
    more = header[_SIZE:]
    if version == "00" and more:
        return rejected("length", f"version 00 ends after {_SIZE} characters, and {shown(more)} follows")
    if more and more[0] != "-":
        return rejected("syntax", f"{more[0]!r} at offset {_SIZE}: further fields of a later version begin with a dash")
    bits = int(flags, 16)
    return Parsed(TraceContext(trace_id, span_id, bool(bits & _SAMPLED), bool(bits & _RANDOM)))


def _problems(header: str) -> list[Problem]:
    """Return what is wrong with the first 55 characters, field by field."""
    if len(header) < _SIZE:
        return [Problem("length", f"{len(header)} characters, expected {_SIZE}")]
    found = [
        Problem("syntax", f"{header[offset]!r} at offset {offset}, expected a dash")
        for offset in (2, 35, 52)
        if header[offset] != "-"
    ]
    for name, start, size in FIELDS:
        part = header[start : start + size]
        wrong = next((at for at, digit in enumerate(part) if digit not in "0123456789abcdef"), None)
        if wrong is not None:
            code = name if name in ("trace_id", "span_id", "version") else "syntax"
            found.append(
                Problem(code, f"{part[wrong]!r} at offset {start + wrong} of the {name} is no lower-case hex digit")
            )
        elif name in ("trace_id", "span_id") and not part.strip("0"):
            found.append(Problem(name, f"the {name} is all zeros"))
    return found


def write_traceparent(context: TraceContext) -> str:
    """Return the ``traceparent`` header of a context, in version 00.

    A decision that is left open is written as not sampled: the format has no third state.

    Raises
    ------
    OptionError
        The context has no trace id or no span id.

    Examples
    --------
    >>> write_traceparent(TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True))
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    """
    if context.trace_id is None or context.span_id is None:
        raise OptionError("a traceparent needs a trace id and a span id, and the context lacks one of them")
    flags = (_SAMPLED if context.sampled else 0) | (_RANDOM if context.random else 0)
    return f"00-{context.trace_id}-{context.span_id}-{flags:02x}"
