"""From a query to the tree of its one filter. Nothing recurses, so depth costs no stack.

Operators from the weakest to the strongest: ``&& ||`` (equally strong, from left to right, as in Tempo), comparisons,
``+ -`` (the sign ``-`` too), ``!``, ``* / %``, ``^`` (from right to left).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from traceanalytics.errors import QueryError, near
from traceanalytics.traceql.conditions import Field, Literal, Node, binary, check_filter, unary
from traceanalytics.traceql.intrinsics import INTRINSICS, LITERAL_WORDS, UNDERSTOOD
from traceanalytics.traceql.tokens import Attribute, Lexer, Token

__all__ = ["DEEPEST", "parse"]

DEEPEST: Final = 200
"""Brackets and signs within each other."""

_STRENGTH: Final = {
    **dict.fromkeys(("&&", "||"), 1),
    **dict.fromkeys(("=", "!=", "<", "<=", ">", ">=", "=~", "!~"), 2),
    **dict.fromkeys("+-", 3),
    **dict.fromkeys("*/%", 5),
    "^": 6,
}
_SIGNS: Final = {"-": 3, "!": 4}
_SPANSET_OPERATORS: Final = frozenset(
    (
        "&&",
        "||",
        ">",
        "<",
        ">>",
        "<<",
        "~",
        "!>",
        "!<",
        "!>>",
        "!<<",
        "!~",
        "&>",
        "&<",
        "&>>",
        "&<<",
        "&~",
        "=",
        "!=",
        ">=",
        "<=",
        "+",
        "-",
        "*",
        "/",
        "%",
        "^",
    )
)
_FUNCTIONS: Final = frozenset(("count", "avg", "max", "min", "sum", "by", "coalesce", "select", "rate", "compare"))
_ONE_FILTER: Final = (
    'only one filter in braces is understood, such as { resource.service.name = "cart" && duration > 5ms }'
)


class _Pending(NamedTuple):
    """An operator, sign or bracket whose right side has not been read yet."""

    op: str
    position: int
    strength: int
    sign: bool = False


def parse(query: str) -> Node:
    """Return the condition of a query ``{ ... }``; ``{}`` is true of every span.

    >>> parse("{ duration > 5ms }").type
    'boolean'
    """
    if not isinstance(query, str):
        raise QueryError(f"expected a query such as '{{ duration > 5ms }}', found {type(query).__name__}")
    lexer = Lexer(query)
    _open(lexer)
    reader = _Reader(lexer)
    node = reader.read()
    _close(lexer)
    check_filter(node, query)
    return node


def _open(lexer: Lexer) -> None:
    first = lexer.next()
    if first.value == "{" and first.kind == "operator":
        return
    function = first.kind == "word" and (first.value in _FUNCTIONS or str(first.value).endswith("_over_time"))
    arithmetic = first.kind in ("int", "float") or first.value in ("(", "-")
    if function or (arithmetic and first.kind != "string"):
        raise lexer.refusal(
            f"found {_found(first)}, which can only begin a spanset expression or a pipeline; {_ONE_FILTER}",
            first.position,
        )
    raise lexer.refusal(f"found {_found(first)}, expected {{: {_ONE_FILTER}", first.position)


def _close(lexer: Lexer) -> None:
    after = lexer.next()
    if after.kind == "end":
        return
    if after.kind == "operator" and after.value == "|":
        raise lexer.refusal(f"found | after the filter, which begins a pipeline; {_ONE_FILTER}", after.position)
    if after.kind == "operator" and after.value in _SPANSET_OPERATORS:
        raise lexer.refusal(
            f"found {after.value} after the filter, which makes a spanset expression; {_ONE_FILTER} (&& and || may stand inside)",
            after.position,
        )
    raise lexer.refusal(f"found {_found(after)} after the filter, expected nothing: {_ONE_FILTER}", after.position)


class _Reader:
    """Reads the condition between braces with a stack of operands and one of pending operators."""

    def __init__(self, lexer: Lexer) -> None:
        self.lexer = lexer
        self.operands: list[Node] = []
        self.pending: list[_Pending] = []
        self.depth = 0

    def read(self) -> Node:
        """Return the condition; the closing brace has been read."""
        token = self.lexer.next()
        if token.kind == "operator" and token.value == "}":
            return Literal(True, "boolean", token.position)
        while True:
            token = self._operand(token)
            token = self._closed(token)
            if token.kind == "operator" and token.value == "}":
                self._reduce(0)
                if self.pending:
                    raise self.lexer.refusal("found } within brackets, expected )", token.position)
                return self.operands[0]
            self._binary(token)
            token = self.lexer.next()

    def _operand(self, token: Token) -> Token:
        """Read brackets and signs, then a field or a value; return the token after it."""
        while token.kind == "operator" and token.value in ("(", "-", "!"):
            self.depth += 1
            if self.depth > DEEPEST:
                raise self.lexer.refusal(
                    f"found more than {DEEPEST} brackets and signs within each other", token.position
                )
            strength = _SIGNS.get(token.value, 0)
            self.pending.append(_Pending(token.value, token.position, strength, sign=strength > 0))
            token = self.lexer.next()
        self.operands.append(self._field_or_value(token))
        return self.lexer.next()

    def _field_or_value(self, token: Token) -> Node:
        if token.kind == "attribute":
            return _attribute(token.value, token.position)
        if token.kind in ("string", "int", "float", "duration"):
            return Literal(token.value, token.kind, token.position)
        if token.kind != "word":
            more = " (equality is =, not ==)" if token.value == "=" else ""
            raise self.lexer.refusal(f"found {_found(token)}, expected a field or a value{more}", token.position)
        if token.value in LITERAL_WORDS:
            kind, value = LITERAL_WORDS[token.value]
            return Literal(value, kind, token.position)
        name = UNDERSTOOD.get(token.value)
        if name is None:
            raise self._unknown(token)
        scope = name.partition(":")[0]
        return Field("intrinsic", name, False, INTRINSICS[name], scope * (scope in ("event", "link")), token.position)

    def _unknown(self, token: Token) -> QueryError:
        word = str(token.value)
        if word == "parent":
            problem = "found parent alone, expected an attribute of it such as parent.span.http.route"
        elif word in _FUNCTIONS:
            problem = f"found {word}, a function of pipelines; {_ONE_FILTER}"
        else:
            close = near(word, [*UNDERSTOOD, *LITERAL_WORDS])
            problem = f"found the unknown field {word[:60]!r}{close}; an attribute has its scope before it (span.{word[:60]}, resource.{word[:60]}, .{word[:60]}), a text stands in quotes, and the other fields are {', '.join(sorted(INTRINSICS))}"
        return self.lexer.refusal(problem, token.position)

    def _closed(self, token: Token) -> Token:
        """Close brackets after an operand; return the first token that is none."""
        while token.kind == "operator" and token.value == ")":
            self._reduce(0)
            if not self.pending:
                raise self.lexer.refusal("found ) without a ( before it", token.position)
            self.pending.pop()
            self.depth -= 1
            token = self.lexer.next()
        return token

    def _binary(self, token: Token) -> None:
        strength = _STRENGTH.get(token.value) if token.kind == "operator" else None
        if strength is None:
            what = ")" if any(not p.strength for p in self.pending) else "}"
            raise self.lexer.refusal(f"found {_found(token)}, expected an operator or {what}", token.position)
        self._reduce(strength + (token.value == "^"))
        self.pending.append(_Pending(token.value, token.position, strength))

    def _reduce(self, strength: int) -> None:
        """Finish the pending operators that are at least so strong, up to the innermost bracket."""
        query = self.lexer.query
        while self.pending and self.pending[-1].strength >= max(strength, 1):
            op = self.pending.pop()
            right = self.operands.pop()
            if op.sign:
                self.depth -= 1
                self.operands.append(unary(op.op, right, op.position, query))
            else:
                self.operands.append(binary(op.op, self.operands.pop(), right, op.position, query))


def _attribute(named: Attribute, position: int) -> Field:
    items = named.scope if named.scope in ("event", "link") else ""
    return Field(named.scope, named.key, named.parent, "attribute", items, position)


def _found(token: Token) -> str:
    if token.kind == "end":
        return "the end of the query"
    if token.kind == "attribute":
        return f"the attribute {token.value.key[:60]!r}"
    if token.kind == "string":
        return "a text"
    return (
        str(token.value)[:60]
        if token.kind in ("operator", "word")
        else f"{'an' * (token.kind == 'int') or 'a'} {token.kind}"
    )
