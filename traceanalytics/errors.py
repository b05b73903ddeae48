"""Exceptions: one small tree under :class:`TraceAnalyticsError`.

::

    ValueError
      TraceAnalyticsError
        SchemaError        the frame is no span frame (column, type, index)
        FormatError        a source cannot be read (file, position, found, expected)
        OptionError        an option has a value that is not one of the allowed ones
        QueryError         a TraceQL filter is not understood (query, position, expected)
        TraceNotFoundError no trace has this id
        MissingExtraError  an optional dependency is not installed

    UserWarning
      SamplingWarning      a result treats traces alike that were sampled with different, or unknown, probabilities
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "FormatError",
    "MissingExtraError",
    "OptionError",
    "QueryError",
    "SamplingWarning",
    "SchemaError",
    "TraceAnalyticsError",
    "TraceNotFoundError",
    "check_option",
    "near",
]


class TraceAnalyticsError(ValueError):
    """Everything that traceanalytics raises on its own account."""


class SamplingWarning(UserWarning):
    """A result treats traces alike that were sampled with different, or with unknown, probabilities."""


class SchemaError(TraceAnalyticsError):
    """The frame is no span frame: a column, a type or the index is not as documented."""


class OptionError(TraceAnalyticsError):
    """An option has a value that is not one of the allowed ones."""


class TraceNotFoundError(TraceAnalyticsError):
    """No trace of the frame has this id."""


class MissingExtraError(TraceAnalyticsError):
    """A function needs an optional dependency that is not installed."""


class FormatError(TraceAnalyticsError):
    """A source cannot be read.

    Parameters
    ----------
    problem
        What was found and what was expected.
    source
        File name, or ``<bytes>`` and the like where there is no file.
    position
        Where in the source: a line, a byte offset, a path of keys.
    hint
        What to do about it.

    Examples
    --------
    >>> print(FormatError("found metrics, expected spans", source="a.json", position="line 3"))
    a.json, line 3: found metrics, expected spans
    """

    def __init__(self, problem: str, *, source: str = "", position: str = "", hint: str = "") -> None:
        self.problem = problem
        self.source = source
        self.position = position
        self.hint = hint
        place = ", ".join(part for part in (source, position) if part)
        super().__init__((f"{place}: " if place else "") + problem + (f". {hint}" if hint else ""))

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the keyword arguments when a worker process sends the error home."""
        return (_rebuild, (self.problem, self.source, self.position, self.hint))


def _rebuild(problem: str, source: str, position: str, hint: str) -> FormatError:
    return FormatError(problem, source=source, position=position, hint=hint)


class QueryError(TraceAnalyticsError):
    """A TraceQL filter is not understood.

    Parameters
    ----------
    problem
        What was found and what was expected.
    query
        The whole query.
    position
        Where in the query, counted in characters from 0; None where no place is to blame. The message counts from 1 and shows
        the neighbourhood with a caret below.

    Examples
    --------
    >>> print(QueryError("found '==', expected '='", query="{ .a == 4 }", position=5))
    found '==', expected '=', at character 6:
      { .a == 4 }
           ^
    """

    def __init__(self, problem: str, *, query: str = "", position: int | None = None) -> None:
        self.problem = problem
        self.query = query
        self.position = position
        super().__init__(problem if position is None else f"{problem}, {_place(query, position)}")

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the keyword arguments when a worker process sends the error home."""
        return (_rebuild_query_error, (self.problem, self.query, self.position))


def _rebuild_query_error(problem: str, query: str, position: int | None) -> QueryError:
    return QueryError(problem, query=query, position=position)


def _place(query: str, position: int) -> str:
    """Return the position in words and, on two more lines, the query around it with a caret."""
    low, high = max(0, position - 40), min(len(query), position + 30)
    shown = "".join(c if c.isprintable() else " " for c in query[low:high])
    before, after = ("..." if low else ""), ("..." if high < len(query) else "")
    caret = " " * (2 + len(before) + position - low) + "^"
    return f"at character {position + 1}:\n  {before}{shown}{after}\n{caret}"


def near(name: str, known: Iterable[object], *, most: int = 3) -> str:
    """Return "; did you mean ...?" with the names closest to ``name``, or an empty text.

    >>> near("servise", ["service", "span_id"])
    "; did you mean 'service'?"
    """
    close = difflib.get_close_matches(str(name), [str(k) for k in known], n=most, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""


def check_option(name: str, value: object, allowed: Iterable[object]) -> None:
    """Raise :class:`OptionError` unless ``value`` is one of ``allowed``.

    >>> check_option("mode", "jaegr", ["partition", "jaeger"])
    Traceback (most recent call last):
        ...
    traceanalytics.errors.OptionError: mode='jaegr' is not one of 'partition', 'jaeger'; did you mean 'jaeger'?
    """
    options = list(allowed)
    if not any(value is option or value == option for option in options):
        known = ", ".join(map(repr, options))
        raise OptionError(f"{name}={value!r} is not one of {known}{near(str(value), options)}")
