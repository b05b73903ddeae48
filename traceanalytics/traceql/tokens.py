"""From the text of a query to tokens: words, literals, attribute names and operators, each with its position."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from traceanalytics.errors import QueryError, near
from traceanalytics.traceql.literals import backquoted, double_quoted, duration_of, number_of

__all__ = ["LONGEST", "Attribute", "Lexer", "Token"]

LONGEST: Final = 100_000
"""Characters of the longest query that is read."""

SCOPES: Final = ("span", "resource", "event", "link", "instrumentation")
_OPERATORS: Final = (
    "!>>",
    "!<<",
    "&>>",
    "&<<",
    "&&",
    "||",
    "!=",
    "!~",
    "!>",
    "!<",
    "=~",
    ">=",
    "<=",
    ">>",
    "<<",
    "&>",
    "&<",
    "&~",
    "=",
    "!",
    ">",
    "<",
    "~",
    "|",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "{",
    "}",
    "(",
    ")",
    ",",
)
_WORD: Final = re.compile(r"[^\W\d]\w*")
_INTRINSIC: Final = re.compile(r":([^\W\d]\w*)")
_NUMBER: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DURATION: Final = re.compile(r"[0-9.]+[nsumhµμdwy][0-9.nsumhµμdwy]*")
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_READERS: Final = {'"': double_quoted, "`": backquoted}
_NO_NAME: Final = frozenset("{}()=~!<>&|^,")


class Token(NamedTuple):
    """One token: ``kind`` is operator, word, attribute, string, int, float, duration or end."""

    kind: str
    value: Any
    position: int


class Attribute(NamedTuple):
    """What an attribute token says: ``span.http.route`` of the span itself or, with ``parent``, of its parent."""

    scope: str
    key: str
    parent: bool


class Lexer:
    """Reads tokens one at a time, so that what follows a filter is looked at only when it is reached."""

    def __init__(self, query: str) -> None:
        self.query = query
        self._at = 0
        if len(query) > LONGEST:
            raise QueryError(f"the query has {len(query):,} characters, expected at most {LONGEST:,}", query=query)
        try:
            query.encode()
        except UnicodeEncodeError as error:
            raise self.refusal("found half of a surrogate pair, expected Unicode text", error.start) from None

    def refusal(self, problem: str, position: int) -> QueryError:
        """Return the error that says ``problem`` and shows the place."""
        return QueryError(problem, query=self.query, position=position)

    def next(self) -> Token:
        """Return the next token; after the last one, tokens of the kind "end"."""
        query = self.query
        start = self._at = self._match(_SPACE)
        if start == len(query):
            return Token("end", None, start)
        first = query[start]
        if first in _READERS:
            text, self._at = _READERS[first](query, start)
            return Token("string", text, start)
        if _NUMBER.match(query, start):
            return self._number()
        if first == ".":
            self._at += 1
            return self._attribute("", start, parent=False)
        if _WORD.match(query, start):
            return self._word()
        return self._operator()

    def _operator(self) -> Token:
        start = self._at
        for operator in _OPERATORS:
            if self.query.startswith(operator, start):
                self._at += len(operator)
                return Token("operator", operator, start)
        raise self.refusal(
            f"found the character {self.query[start]!r}, expected a field, a value or an operator", start
        )

    def _match(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self.query, self._at)
        assert found
        return found.end()

    def _number(self) -> Token:
        start = self._at
        found = _DURATION.match(self.query, start)
        nanoseconds = duration_of(found[0]) if found else None
        if found and nanoseconds is not None:
            self._at = found.end()
            return Token("duration", nanoseconds, start)
        self._at = self._match(_NUMBER)
        number = number_of(self.query[start : self._at])
        if number is None:
            raise self.refusal(f"the number {self.query[start : self._at]} does not fit into 64 bits", start)
        after = _WORD.match(self.query, self._at)
        if after:
            raise self.refusal(
                f"found {self.query[start : after.end()]!r}, expected a number or a duration such as 5ms, 1.5s or 1h30m (units ns us ms s m h, d w y)",
                start,
            )
        return Token("int" if isinstance(number, int) else "float", number, start)

    def _word(self) -> Token:
        start = self._at
        self._at = self._match(_WORD)
        word = self.query[start : self._at]
        scoped = _INTRINSIC.match(self.query, self._at)
        if scoped:
            self._at = scoped.end()
            return Token("word", f"{word}:{scoped[1]}", start)
        if not self.query.startswith(".", self._at):
            return Token("word", word, start)
        if word != "parent" and word not in SCOPES:
            self._skip_name()
            name = self.query[start : self._at]
            raise self.refusal(
                f"found {name!r}, expected an attribute with its scope: span.{name}, resource.{name} or .{name} (span, then resource){near(word, SCOPES)}",
                start,
            )
        self._at += 1
        if word != "parent":
            return self._attribute(word, start, parent=False)
        for scope in ("span", "resource"):
            if self.query.startswith(scope + ".", self._at):
                self._at += len(scope) + 1
                return self._attribute(scope, start, parent=True)
        return self._attribute("", start, parent=True)

    def _attribute(self, scope: str, start: int, *, parent: bool) -> Token:
        """Read the name up to a space, bracket or operator; quoted parts may hold anything."""
        begin, parts = self._at, []
        while (low := self._at) < len(self.query):
            if self.query[low] == '"':
                parts.append(self._quoted_part())
                continue
            self._skip_name()
            if self._at == low:
                break
            parts.append(self.query[low : self._at])
        if begin == self._at:
            raise self.refusal(
                f"found {self.query[start:begin]!r} without a name after it, expected one such as .http.route", start
            )
        return Token("attribute", Attribute(scope, "".join(parts), parent), start)

    def _skip_name(self) -> None:
        query, at = self.query, self._at
        while at < len(query) and query[at] not in _NO_NAME and query[at] != '"' and not query[at].isspace():
            at += 1
        self._at = at

    def _quoted_part(self) -> str:
        query, start = self.query, self._at
        at, parts = start + 1, []
        while at < len(query) and query[at] != '"':
            if query[at] == "\\":
                at += 1
                if query[at : at + 1] not in ("\\", '"'):
                    raise self.refusal(
                        'found a lone backslash in a quoted attribute name, expected \\\\ or \\"', at - 1
                    )
            parts.append(query[at])
            at += 1
        if at == len(query):
            raise self.refusal("found a quoted attribute name without end, expected another quotation mark", start)
        self._at = at + 1
        return "".join(parts)
