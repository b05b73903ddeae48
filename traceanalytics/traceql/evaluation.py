"""Which spans fulfil a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from traceanalytics.spans.schema import check_spans
from traceanalytics.traceql.columns_of_fields import Columns
from traceanalytics.traceql.conditions import Among, Binary, Field, Literal, Node, Unary
from traceanalytics.traceql.grammar import parse
from traceanalytics.traceql.identifiers import spelled, spellings
from traceanalytics.traceql.values import (
    Piece,
    Value,
    among,
    arithmetic,
    compared,
    negated,
    negative,
    presence,
    truth,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["matches"]

_LITERALS: Final = {"int": np.int64, "duration": np.int64, "float": np.float64, "boolean": np.bool_}


def matches(spans: pd.DataFrame, query: str) -> pd.Series:
    """Return which spans fulfil a TraceQL filter, such as ``{ resource.service.name = "cart" && duration > 5ms }``.

    The language is Grafana Tempo's, restricted to one filter in braces; the answer is what Tempo would find. Pipelines
    (``| count() > 2``), structural operators (``>>``) and several filters are refused with a message that says so.

    Parameters
    ----------
    spans
        A span frame.
    query
        ``{ condition }``; ``{}`` is true of every span.

        *Attributes*: ``span.http.route``, ``resource.k8s.pod.name``, ``.http.route`` (of the span, else of its resource),
        ``instrumentation.x``, ``event.exception.type``, ``link.x``, and with ``parent.`` before them (``parent.span.x``,
        ``parent.resource.x``, ``parent.x``) those of the parent, which Tempo does not answer. A name with spaces or brackets
        is quoted: ``span."a b"``. Names are taken literally: an older semantic-convention name finds the older one only
        (:func:`traceanalytics.attribute` knows both).

        *Other fields*: ``span:name``, ``span:id``, ``span:parentID``, ``span:duration``, ``span:kind``, ``span:status``,
        ``span:statusMessage``, ``span:childCount``, ``trace:id``, ``trace:duration``, ``trace:rootName``,
        ``trace:rootService``, ``event:name``, ``event:timeSinceStart``, ``link:traceID``, ``link:spanID``,
        ``instrumentation:name``, ``instrumentation:version``, ``nestedSetLeft``, ``nestedSetRight``, ``nestedSetParent``
        (-1 at a root), and the older ``name``, ``duration``, ``kind``, ``status``, ``statusMessage``, ``childCount``,
        ``traceDuration``, ``rootName``, ``rootServiceName``.

        *Values*: ``"text"``, ```text```, ``200``, ``0.5``, ``5ms``, ``1h30m``, ``true``, ``nil``, ``error ok unset``,
        ``unspecified internal server client producer consumer``.

        *Operators*, from the strongest: ``^``; ``* / %``; ``!``; ``+ -``; ``= != < <= > >= =~ !~``; ``&& ||``. The last two
        are equally strong, from left to right, as in Tempo: write brackets where both occur. A regular expression (RE2)
        matches whole texts.

    Returns
    -------
    pandas.Series
        Named ``matches``, bool, on the index of ``spans``.

    Raises
    ------
    QueryError
        The query is not understood, or compares what can never be equal; the message shows the place.
    SchemaError
        The frame lacks a column that the query needs.

    Notes
    -----
    A comparison with a missing value, or with one of another type, is false, ``!=`` and ``!~`` too: ``.a = nil`` finds the
    spans without it, and ``!(.a = 1)`` finds them as well as those with another value. A field of events or links fulfils
    a comparison if any of them does, each comparison by itself; an array if any element does (``!=``, ``!~``: if all do).
    Durations count nanoseconds beside plain numbers; division of whole numbers cuts towards zero; ``x ^ y`` is a float.

    A filter cuts traces: ``ta.whole_traces(spans, matches)`` keeps the traces whole. Intrinsics of traces and children look
    at the frame, so ask them before cutting it. Where the reader united ints and texts of ints in one Int64 column, or other
    mixtures in a text column, the filter sees the united type.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> from traceanalytics.traceql import matches
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1", "a1"], "span_id": ["b1", "b2"], "name": ["GET /cart", "SELECT"],
    ...     "service": ["web", "db"], "duration_ms": [12.0, 3.0], "span.http.route": ["/cart", None]}))
    >>> matches(spans, '{ resource.service.name = "web" && duration > 5ms }').tolist()
    [True, False]
    >>> spans[matches(spans, "{ span.http.route = nil }")]["name"].tolist()
    ['SELECT']
    """
    check_spans(spans, "trace_id")
    condition = parse(query)
    nodes = list(_children_first(condition))
    columns = Columns(spans, [node for node in nodes if isinstance(node, Field)])
    values: list[Value] = []
    for node in nodes:
        values.append(_value(node, values, columns))
    found = _truth(values.pop(), columns)
    return pd.Series(np.array(np.broadcast_to(found, len(spans)), bool), index=spans.index, name="matches")


def _children_first(root: Node) -> Iterator[Node]:
    """Yield every node after its operands, the left one first."""
    waiting: list[Node] = [root]
    found: list[Node] = []
    while waiting:
        node = waiting.pop()
        found.append(node)
        if isinstance(node, Binary):
            waiting += [node.left, node.right]
        elif isinstance(node, Unary):
            waiting.append(node.operand)
        elif isinstance(node, Among):
            waiting.append(node.field)
    return reversed(found)


def _value(node: Node, operands: list[Value], columns: Columns) -> Value:
    """Return the value of a node, taking those of its operands off the stack."""
    if isinstance(node, Field):
        return columns.value(node)
    if isinstance(node, Literal):
        return _literal(node)
    if isinstance(node, Among):
        pieces = operands.pop().pieces
        return _condition(among(pieces, spelled(node.field, node.texts, pieces)))
    if isinstance(node, Unary):
        return _unary(node.op, operands.pop(), columns)
    right, left = operands.pop(), operands.pop()
    return _binary(node, left, right, columns)


def _binary(node: Binary, left: Value, right: Value, columns: Columns) -> Value:
    if node.op in ("&&", "||"):
        a, b = _truth(left, columns), _truth(right, columns)
        return _condition(a & b if node.op == "&&" else a | b)
    items = left.items or right.items
    first, second = columns.lifted(left, items), columns.lifted(right, items)
    if node.op in ("+", "-", "*", "/", "%", "^"):
        return Value(arithmetic(node.op, first, second), items)
    return _condition(columns.reduced(compared(node.op, *spellings(node, first, second)), items))


def _literal(node: Literal) -> Value:
    convert: Any = _LITERALS.get(node.type, str)
    return Value((Piece(node.type, convert(node.value)),))


def _condition(mask: Any) -> Value:
    return Value((Piece("boolean", mask),))


def _truth(value: Value, columns: Columns) -> Any:
    return columns.reduced(truth(value.pieces), value.items)


def _unary(op: str, value: Value, columns: Columns) -> Value:
    if op == "-":
        return Value(negative(value.pieces), value.items)
    if op == "!":
        return _condition(columns.reduced(negated(value.pieces), value.items))
    found: Any = np.False_
    for piece in value.pieces:
        found = found | presence(piece)
    found = columns.reduced(found, value.items)
    return _condition(found if op == "present" else ~found)
