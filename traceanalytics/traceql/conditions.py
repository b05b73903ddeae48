"""The tree of a filter: its nodes, their types, and the refusal of what can never be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.errors import QueryError
from traceanalytics.traceql.intrinsics import ALWAYS_THERE

__all__ = ["Among", "Binary", "Field", "Literal", "Node", "Unary", "binary", "check_filter", "regex_of", "unary"]

_NUMERIC: Final = frozenset({"int", "float", "duration"})
_COMPARISONS: Final = frozenset({"=", "!=", "<", "<=", ">", ">="})
_ARITHMETIC: Final = frozenset("+-*/%^")
_REGEX: Final = frozenset({"=~", "!~"})
_LOGIC: Final = frozenset({"&&", "||"})
_ALLOWED: Final = {
    "boolean": _LOGIC | {"=", "!="},
    "string": _COMPARISONS | _REGEX,
    "status": frozenset({"=", "!="}),
    "kind": frozenset({"=", "!="}),
    "nil": frozenset({"=", "!="}),
} | dict.fromkeys(_NUMERIC, _COMPARISONS | _ARITHMETIC)
"""Operators by the type of an operand; "attribute" is a type that only the spans can tell, and takes all of them."""

_NAMES: Final = {
    "int": "a whole number",
    "float": "a number",
    "boolean": "a boolean",
    "nil": "nil",
    "attribute": "an attribute",
}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Field:
    """An attribute (``scope`` "" is span, then resource) or an intrinsic (``scope`` "intrinsic")."""

    scope: str
    key: str
    parent: bool
    type: str
    items: str
    """"event" or "link" where a span may have several values, else ""."""
    position: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Literal:
    """A value that stands in the query."""

    value: Any
    type: str
    position: int
    items: str = ""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Unary:
    """``-``, ``!``, "missing" (``= nil``) or "present" (``!= nil``)."""

    op: str
    operand: Node
    type: str
    position: int
    items: str = ""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Binary:
    """Two operands; ``position`` is the operator's."""

    op: str
    left: Node
    right: Node
    type: str
    position: int
    items: str = ""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Among:
    """A text field is one of several: an ``||`` of ``=``, however long, read in one pass."""

    field: Field
    texts: tuple[str, ...] | list[str]
    type: str
    position: int
    items: str = ""


Node: TypeAlias = Field | Literal | Unary | Binary | Among


def unary(op: str, operand: Node, position: int, query: str) -> Node:
    """Return ``op operand``, or refuse it."""
    if op == "-" and operand.type not in _NUMERIC | {"attribute"}:
        raise QueryError(
            f"found - before {_shown(operand)}, expected a number or a duration", query=query, position=position
        )
    if op == "!" and operand.type not in ("boolean", "attribute"):
        raise QueryError(f"found ! before {_shown(operand)}, expected a boolean", query=query, position=position)
    if op == "-":
        return Unary(op, operand, operand.type, position, operand.items)
    return Unary(op, operand, "boolean", position)


def binary(op: str, left: Node, right: Node, position: int, query: str) -> Node:
    """Return ``left op right``, or refuse what can be true of no span."""
    types = left.type, right.type
    if "nil" in types and op in ("=", "!="):
        return _with_nil(op, left, right, position, query)
    if not _fit(*types) or not all(t == "attribute" or op in _ALLOWED[t] for t in types):
        raise QueryError(
            f"found {_shown(left)} {op} {_shown(right)}, expected {_expected(op, *types)}",
            query=query,
            position=position,
        )
    if op in _REGEX:
        _check_regex(right, query)
    if left.items and right.items and left.items != right.items:
        raise QueryError(
            f"found an {left.items} beside a {right.items}, expected a comparison of one with a value or with the span's own field",
            query=query,
            position=position,
        )
    if op in _ARITHMETIC:
        kind = right.type if left.type == "attribute" else left.type
        return Binary(op, left, right, kind, position, left.items or right.items)
    return (_merged(left, right) if op == "||" else None) or Binary(op, left, right, "boolean", position)


def _merged(left: Node, right: Node) -> Among | None:
    """Return ``.a = "x" || .a = "y"`` as one node; a list that grows, so that a chain of thousands is linear."""
    first, second = _as_among(left), _as_among(right)
    if not first or not second:
        return None
    if any(getattr(first.field, name) != getattr(second.field, name) for name in ("scope", "key", "parent")):
        return None
    if isinstance(left, Among) and isinstance(left.texts, list):
        left.texts.extend(second.texts)
        return left
    return Among(first.field, [*first.texts, *second.texts], "boolean", first.position)


def _as_among(node: Node) -> Among | None:
    if isinstance(node, Among):
        return node
    if not isinstance(node, Binary) or node.op != "=":
        return None
    field, value = node.left, node.right
    if isinstance(field, Field) and isinstance(value, Literal) and value.type == "string" and not field.items:
        return Among(field, (value.value,), "boolean", node.position)
    return None


def _fit(left: str, right: str) -> bool:
    return left == right or "attribute" in (left, right) or (left in _NUMERIC and right in _NUMERIC)


def _with_nil(op: str, left: Node, right: Node, position: int, query: str) -> Node:
    operand = right if left.type == "nil" else left
    if operand.type == "nil":
        return Literal(op == "=", "boolean", position)
    if op == "!=":
        return Unary("present", operand, "boolean", position)
    if isinstance(operand, Field):
        name = f"{operand.scope}.{operand.key}"
        service = name == "resource.service.name" and not operand.parent
        if service or (operand.scope == "intrinsic" and operand.key in ALWAYS_THERE):
            raise QueryError(
                f"found {_shown(operand)} = nil, which TraceQL refuses: every span of Tempo has one (in a frame, isna() of the column finds those without)",
                query=query,
                position=position,
            )
    return Unary("missing", operand, "boolean", position)


def check_filter(node: Node, query: str) -> None:
    """Refuse a filter that is no condition, such as ``{ 1 + 1 }``."""
    if node.type not in ("boolean", "attribute"):
        raise QueryError(
            f"found {_shown(node)} as the whole filter, expected a condition such as {{ duration > 5ms }}",
            query=query,
            position=node.position,
        )


def regex_of(pattern: str) -> str:
    """Return a pattern that matches whole texts only, line breaks included."""
    return rf"\A(?s:{pattern})\z"


def _check_regex(node: Node, query: str) -> None:
    if not isinstance(node, Literal):
        raise QueryError(
            f"found {_shown(node)}, expected a regular expression in quotes", query=query, position=node.position
        )
    try:  # the bare pattern first: "a)|(b" would be whole with our brackets around it
        for pattern in (node.value, regex_of(node.value)):
            pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        reason = str(error).removeprefix("Invalid regular expression: ")[:200]
        raise QueryError(
            f"found an invalid regular expression ({reason}); the syntax is RE2's", query=query, position=node.position
        ) from None


def _shown(node: Node) -> str:
    if isinstance(node, Field):
        name = node.key if node.scope == "intrinsic" else f"{'parent.' * node.parent}{node.scope}.{node.key}"
        return f"{name[:60]} ({_NAMES.get(node.type, 'a ' + node.type)})" if node.scope == "intrinsic" else name[:60]
    return _NAMES.get(node.type, f"a {node.type}")


def _expected(op: str, left: str, right: str) -> str:
    if not _fit(left, right):
        return "both sides of one type"
    wrong = next(t for t in (left, right) if t != "attribute" and op not in _ALLOWED[t])
    return f"one of {' '.join(sorted(_ALLOWED[wrong]))} beside {_NAMES.get(wrong, 'a ' + wrong)}"
