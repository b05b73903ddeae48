"""AWS X-Ray's ``X-Amzn-Trace-Id``: ``Root``, ``Parent``, ``Sampled``, and what load balancers and Lambda add."""

from __future__ import annotations

import re
from typing import Final

from traceanalytics.errors import OptionError
from traceanalytics.propagation.context import TraceContext
from traceanalytics.propagation.parsed import Parsed, Problem, shown, text_of

__all__ = ["parse_x_amzn_trace_id", "write_x_amzn_trace_id"]

_LIMIT: Final = 8_192
_ROOT: Final = re.compile(r"1-([0-9a-fA-F]{8})-([0-9a-fA-F]{24})")
_PARENT: Final = re.compile(r"[0-9a-fA-F]{16}")
_SAMPLED: Final = {"1": True, "0": False, "?": None}
_FIELDS: Final = {"root": "Root", "parent": "Parent", "sampled": "Sampled", "self": "Self", "lineage": "Lineage"}


def parse_x_amzn_trace_id(text: str | bytes) -> Parsed[TraceContext]:
    """Parse ``X-Amzn-Trace-Id``: fields in any order and case, blanks around them; the same text as in ``_X_AMZN_TRACE_ID`` and SQS.

    Parameters
    ----------
    text
        The header's value.

    Returns
    -------
    Parsed
        ``value``: a context, or None. The trace id is the root without its ``1`` and dashes; a root alone gives no span id, ``Sampled=?``
        (and none) leaves the decision open; other fields are in ``extra``. ``problems`` with the codes ``encoding``, ``size``, ``field`` (no
        ``=``), ``duplicate``, ``absent`` (no root), ``root``, ``parent``, ``sampled``.

    Examples
    --------
    >>> parsed = parse_x_amzn_trace_id("Root=1-5759e988-bd862e3fe1be46a994272793; Parent=53995c3f42cd8ad8; Sampled=1")
    >>> parsed.value.trace_id, parsed.value.span_id, parsed.value.sampled
    ('5759e988bd862e3fe1be46a994272793', '53995c3f42cd8ad8', True)
    """
    read = text_of(text, limit=_LIMIT)
    if read.value is None:
        return Parsed(None, read.problems)
    fields: dict[str, str] = {}
    problems: list[Problem] = []
    for part in read.value.split(";"):
        if not part.strip(" \t"):
            continue
        key, equals, value = (piece.strip(" \t") for piece in part.partition("="))
        name = _FIELDS.get(key.lower(), key)
        if not equals or not key:
            problems.append(Problem("field", f"the field {shown(part.strip())} is no name=value"))
        elif name in fields:
            problems.append(Problem("duplicate", f"the field {shown(name)} stands more than once"))
        else:
            fields[name] = value
    if problems:
        return Parsed(None, tuple(problems))
    return _checked(fields)


def _checked(fields: dict[str, str]) -> Parsed[TraceContext]:
    root, parent, sampled = (fields.pop(name, None) for name in ("Root", "Parent", "Sampled"))
    problems = []
    found = None
    if root is None:
        problems.append(Problem("absent", "no field Root"))
    else:
        found = _ROOT.fullmatch(root)
        if found is None or not "".join(found.groups()).strip("0"):
            found = None
            problems.append(
                Problem("root", f"Root {shown(root)} is not 1-, 8 hex digits, -, 24 hex digits, not all zero")
            )
    if parent is not None and not (_PARENT.fullmatch(parent) and parent.strip("0")):
        problems.append(Problem("parent", f"Parent {shown(parent)} is not 16 hex digits, not all zero"))
    if sampled is not None and sampled not in _SAMPLED:
        problems.append(Problem("sampled", f"Sampled {shown(sampled)} is none of 0, 1 and ?"))
    if problems or found is None:
        return Parsed(None, tuple(problems))
    decided = None if sampled is None else _SAMPLED[sampled]
    span_id = None if parent is None else parent.lower()
    return Parsed(TraceContext("".join(found.groups()).lower(), span_id, decided, extra=fields))


def write_x_amzn_trace_id(context: TraceContext) -> str:
    """Return ``X-Amzn-Trace-Id`` of a context, with further fields from ``extra``; a decision that is left open is ``?``.

    Raises
    ------
    OptionError
        The context has no trace id, or a further field would not be read back.

    Examples
    --------
    >>> write_x_amzn_trace_id(TraceContext("5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8", sampled=True))
    'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1'
    """
    if context.trace_id is None:
        raise OptionError("an X-Amzn-Trace-Id needs a trace id, and the context has none")
    parts = [f"Root=1-{context.trace_id[:8]}-{context.trace_id[8:]}"]
    if context.span_id is not None:
        parts.append(f"Parent={context.span_id}")
    parts.append(f"Sampled={'?' if context.sampled is None else '01'[context.sampled]}")
    parts += [f"{name}={value}" for name, value in context.extra.items()]
    text = ";".join(parts)
    again = parse_x_amzn_trace_id(text)
    if again.value is None or dict(again.value.extra) != dict(context.extra):
        raise OptionError(
            f"the further fields {shown(';'.join(parts[2:]))} cannot be written: {again.problems[:1] or 'they would not be read back'}"
        )
    return text
