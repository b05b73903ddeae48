"""Trace context in a comment behind an SQL statement, in the form of sqlcommenter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote_to_bytes

from traceanalytics.errors import OptionError
from traceanalytics.propagation.parsed import Parsed, Problem, rejected, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["comment_fields", "with_comment"]

_LIMIT: Final = 1_000_000
_COMMENT: Final = re.compile(r"/\*([^*]*)\*/\s*;?\s*\Z")
"""The last comment of a statement; what is written here never holds an asterisk, since values are encoded."""

_FIELD: Final = re.compile(r"\s*([A-Za-z0-9_.%\-~]+)='((?:[^'\\]|\\.)*)'\s*")
_TUTORIAL: Final = re.compile(r"\s*(trace[_-]?id|span[_-]?id|traceparent)\s*[=:]\s*[^'\s]", re.IGNORECASE)


def comment_fields(statement: str | bytes) -> Parsed[dict[str, str]]:
    r"""Return the fields of the comment at the end of an SQL statement.

    Parameters
    ----------
    statement
        The SQL text.

    Returns
    -------
    Parsed
        ``value``: name to value, both decoded, or None; ``problems`` with the codes ``absent`` (no comment at the end), ``size``,
        ``unquoted`` (the ``/*trace_id=abc*/`` of many tutorials: no tool reads it, as values are quoted and the key is ``traceparent``),
        ``syntax``, ``duplicate``.

    Examples
    --------
    >>> comment_fields("SELECT 1 /*route='%2Fcart',traceparent='00-a-b-01'*/").value
    {'route': '/cart', 'traceparent': '00-a-b-01'}
    >>> comment_fields("SELECT 1 /*trace_id=abc*/").problems[0].code
    'unquoted'
    """
    if not isinstance(statement, str | bytes):
        raise OptionError(f"an SQL statement is text or bytes, and this is a {type(statement).__name__}")
    if len(statement) > _LIMIT:
        return rejected("size", f"{len(statement):,} characters, more than {_LIMIT:,}")
    text = statement.decode("utf-8", "replace") if isinstance(statement, bytes) else statement
    start = text.rfind("/*")
    found = _COMMENT.match(text, start) if start >= 0 else None
    if found is None:
        return rejected("absent", "no comment stands at the end of the statement")
    inside = found.group(1)
    if _TUTORIAL.match(inside):
        return rejected(
            "unquoted",
            f"{shown(found.group().strip())} is a comment that no tool reads: the form is /*traceparent='00-...'*/, with the whole "
            "header as value, in quotes",
        )
    fields: dict[str, str] = {}
    problems = []
    at = 0
    while at <= len(inside):
        field = _FIELD.match(inside, at)
        if field is None:
            problems.append(Problem("syntax", f"{shown(inside[at:])} is no key='value'"))
            break
        key, value = (_decoded(part) for part in field.groups())
        if key in fields:
            problems.append(Problem("duplicate", f"the key {shown(key)} stands more than once"))
        fields[key] = value
        at = field.end()
        if at == len(inside):
            break
        if inside[at] != ",":
            problems.append(Problem("syntax", f"{inside[at]!r} stands behind {shown(key)}, expected a comma"))
            break
        at += 1
    return Parsed(None, tuple(problems)) if problems else Parsed(fields)


def _decoded(text: str) -> str:
    return unquote_to_bytes(re.sub(r"\\(.)", r"\1", text).encode("utf-8", "replace")).decode("utf-8", "replace")


def with_comment(statement: str, fields: Mapping[str, str]) -> str:
    r"""Return a statement with a comment behind it; nothing in a key or a value can end the comment or the quotes.

    Keys are sorted, keys and values percent-encoded, so that the same context gives the same text. A semicolon at the end stays
    at the end.

    Raises
    ------
    OptionError
        The statement holds a comment, or a string or line comment that is not closed: the comment would become part of it.

    Examples
    --------
    >>> with_comment("SELECT 1;", {"traceparent": "00-a-b-01", "route": "*/ DROP"})
    "SELECT 1 /*route='%2A%2F%20DROP',traceparent='00-a-b-01'*/;"
    """
    body = statement.rstrip()
    end = ";" if body.endswith(";") else ""
    body = body.removesuffix(";").rstrip()
    _check_closed(body)
    text = ",".join(f"{_encoded(key)}='{_encoded(value)}'" for key, value in sorted(fields.items()))
    return f"{body} /*{text}*/{end}" if text else statement


def _encoded(text: str) -> str:
    return quote(text.encode("utf-8", "replace"), safe="")


def _check_closed(body: str) -> None:
    """Raise unless a comment may stand behind the statement; one pass over quotes and comments."""
    for found in re.finditer(r"'(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`|/\*|--|['\"`]", body):
        token = found.group()
        if token in ("/*", "--"):
            raise OptionError(
                f"the statement has a comment at offset {found.start()}: a second one is not added, as tools read one only"
            )
        if token in ("'", '"', "`"):
            raise OptionError(
                f"the quote {token} at offset {found.start()} is not closed: a comment would become part of the text"
            )
