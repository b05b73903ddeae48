"""TraceQL filters against a plain-Python evaluator, hostile text, literals of any text, and filters that name spans."""

from __future__ import annotations

import json
import math
import operator
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from small_traces import draw, id_of, trace_of

from traceanalytics.errors import QueryError, SchemaError
from traceanalytics.spans.conforming import conform
from traceanalytics.traceql import matches, query_of, quoted

# A small frame, and the same values as Python says them: (type, value), or None.

TEXTS = ("GET", "a", "b", "größe", "", 'q"uote')
ROW = st.fixed_dictionaries(
    {
        "parent": st.integers(-1, 3),
        "name": st.sampled_from(TEXTS),
        "service": st.none() | st.sampled_from([t for t in TEXTS if t]),  # conform takes an empty one for missing
        "kind": st.sampled_from(["SERVER", "CLIENT"]),
        "status": st.sampled_from(["UNSET", "OK", "ERROR"]),
        "ns": st.none() | st.integers(0, 5),
        "span.n": st.none() | st.integers(-3, 3) | st.just(2**62),
        "resource.n": st.none() | st.sampled_from(TEXTS),
        "span.x": st.none() | st.sampled_from([0.0, 0.5, -2.0, 3.0, math.inf]),
        "span.b": st.none() | st.booleans(),
        "span.list": st.none() | st.lists(st.integers(-1, 1) | st.sampled_from(["a", "b"]) | st.booleans(), max_size=3),
        "events": st.lists(st.sampled_from(["a", "b"]) | st.integers(-1, 2), max_size=3),
    }
)
ROWS = st.lists(ROW, min_size=1, max_size=4)
TYPES = {"span.n": "int", "resource.n": "string", "span.x": "float", "span.b": "boolean", "span.list": "list"}


def spans_of(rows):
    table = {
        "trace_id": [trace_of(0)] * len(rows),
        "span_id": [id_of(f"s{i}") for i in range(len(rows))],
        "parent_span_id": [id_of(f"s{r['parent']}") if r["parent"] >= 0 else None for r in rows],
        "start_time": pd.to_datetime(["2026-05-14T14:23:45Z"] * len(rows)),
        "duration_ms": [np.nan if r["ns"] is None else r["ns"] / 1e6 for r in rows],
        "span.n": pd.array([r["span.n"] for r in rows], dtype="Int64"),
        "span.b": pd.array([r["span.b"] for r in rows], dtype="boolean"),
        "span.x": pd.array([np.nan if r["span.x"] is None else r["span.x"] for r in rows]).astype("float64"),
        "resource.n": pd.array([r["resource.n"] for r in rows], dtype="str"),
        "span.list": pd.array(
            [None if r["span.list"] is None else json.dumps(r["span.list"], separators=(",", ":")) for r in rows],
            dtype="str",
        ),
        "events": [
            [
                {"time": 0, "name": e} if isinstance(e, str) else {"time": 0, "name": "n", "attributes": {"n": e}}
                for e in r["events"]
            ]
            or None
            for r in rows
        ],
    }
    return conform(pd.DataFrame(table | {k: [r[k] for r in rows] for k in ("name", "service", "kind", "status")}))


def value_of(rows, row, field):
    """The values of a field: one for most, any number for events."""
    if field.startswith("parent."):
        up = row["parent"]
        if not 0 <= up < len(rows) or rows[up] is row or row["ring"]:
            return [None]
        return value_of(rows, rows[up], field.removeprefix("parent."))
    if field in ("event:name", "event.n"):
        wanted = [("string", e if isinstance(e, str) else "n") for e in row["events"]]
        return wanted if field == "event:name" else [("int", e) if isinstance(e, int) else None for e in row["events"]]
    if field in (".n", "n"):
        return [next((typed(row, c) for c in ("span.n", "resource.n") if row[c] is not None), None)]
    return [
        {
            "name": lambda: ("string", row["name"]),
            "resource.service.name": lambda: None if row["service"] is None else ("string", row["service"]),
            "kind": lambda: ("kind", row["kind"]),
            "span:status": lambda: ("status", row["status"]),
            "duration": lambda: None if row["ns"] is None else ("duration", row["ns"]),
            "span.nope": lambda: None,
        }.get(field, lambda: typed(row, field))()
    ]


def typed(row, column):
    return None if row[column] is None else (TYPES[column], row[column])


COMPARE = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
NUMERIC = ("int", "float", "duration")


def compare(op, a, b):
    if a is None or b is None:
        return False
    if "list" in (a[0], b[0]):
        return compare_lists(op, a, b)
    x, y = a[1], b[1]
    if a[0] in NUMERIC and b[0] in NUMERIC:
        return op in COMPARE and COMPARE[op](*(map(float, (x, y)) if "float" in (a[0], b[0]) else (x, y)))
    if a[0] != b[0] or (a[0] in ("boolean", "status", "kind") and op not in ("=", "!=")):
        return False
    if op in ("=~", "!~"):
        return (re.fullmatch(y, x, re.DOTALL) is not None) == (op == "=~")
    return COMPARE[op](x.encode(), y.encode()) if isinstance(x, str) else COMPARE[op](x, y)


def compare_lists(op, a, b):
    if a[0] == b[0]:  # as our columns say it, two texts
        return op in COMPARE and COMPARE[op](*(json.dumps(x[1], separators=(",", ":")) for x in (a, b)))
    many, one = (a, b) if a[0] == "list" else (b, a)
    each = [({bool: "boolean", int: "int", str: "string"}[type(e)], e) for e in many[1]]
    results = [compare(op, e, one) if many is a else compare(op, one, e) for e in each]
    return bool(results) and all(results) if op in ("!=", "!~") else any(results)


def calculate(op, a, b):
    if a is None or b is None or a[0] not in NUMERIC or b[0] not in NUMERIC:
        return None
    x, y = a[1], b[1]
    if a[0] == b[0] == "int" and op != "^":
        if op in "/%":
            if y == 0:
                return None
            cut = abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)
            return ("int", cut if op == "/" else x - cut * y)
        exact = {"+": x + y, "-": x - y, "*": x * y}[op]
        return ("int", (exact + 2**63) % 2**64 - 2**63)
    with np.errstate(all="ignore"):
        names = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.fmod, "^": np.power}
        return ("float", float(names[op](np.float64(x), np.float64(y))))


# A tree is (text, function of (rows, row) -> list of values); a condition's function returns a bool.


def literal(text, kind, value):
    return text, lambda _rows, _row: [(kind, value)], kind


def field(name, kind="attribute"):
    return name, lambda rows, row: value_of(rows, row, name), kind


FIELDS = [
    field(n) for n in ("span.n", ".n", "span.x", "span.nope", "span.list", "parent.span.n", "parent.n", "resource.n")
]
EVENTS = [field("event:name", "string"), field("event.n")]
STRINGS = st.sampled_from(TEXTS).map(lambda t: literal(quoted(t), "string", t))
NUMBERS = st.one_of(
    st.integers(0, 4).map(lambda n: literal(str(n), "int", n)),
    st.sampled_from([0.5, 2.0]).map(lambda x: literal(repr(x), "float", x)),
    st.integers(0, 5).map(lambda n: literal(f"{n}ns", "duration", n)),
    st.just(field("duration", "duration")),
    st.sampled_from(FIELDS + EVENTS[1:]),
)


def combined(parts):
    (left, value, _), op, (right, other, _) = parts

    def of(rows, row):
        a, b = value(rows, row), other(rows, row)
        return [calculate(op, x, y) for x, y in pairs(a, b)]

    return f"({left} {op} {right})", of, "number"


def pairs(a, b):
    """Values item by item; those of the span stand beside each item."""
    if len(a) == len(b):
        return list(zip(a, b, strict=True))
    return [(x, y) for x in a for y in b]


def minus(tree):
    text, value, _ = tree
    return (
        f"-({text})",
        lambda rows, row: [None if v is None or v[0] not in NUMERIC else (v[0], -v[1]) for v in value(rows, row)],
        "number",
    )


ARITHMETIC = st.recursive(
    NUMBERS,
    lambda inner: st.tuples(inner, st.sampled_from("+-*/%^"), inner).map(combined) | inner.map(minus),
    max_leaves=4,
)


def comparison(parts):
    (left, value, _), op, (right, other, _) = parts
    return f"{left} {op} {right}", lambda rows, row: any(
        compare(op, x, y) for x, y in pairs(value(rows, row), other(rows, row))
    )


def presence(parts):
    (text, value, _), op = parts
    return f"{text} {op} nil", lambda rows, row: any(v is not None for v in value(rows, row)) == (op == "!=")


ORDER = st.sampled_from(list(COMPARE))
TEXT_FIELDS = st.sampled_from([*FIELDS, EVENTS[0], field("name", "string"), field("resource.service.name")])
CONDITIONS = st.one_of(
    st.tuples(ARITHMETIC, ORDER, ARITHMETIC).map(comparison),
    st.tuples(TEXT_FIELDS, ORDER, STRINGS).map(comparison),
    st.tuples(STRINGS, ORDER, TEXT_FIELDS).map(comparison),
    st.tuples(
        TEXT_FIELDS,
        st.sampled_from(["=~", "!~"]),
        st.sampled_from(["a|b", "G.*", "", ".*", "[ab]+"]).map(lambda t: literal(quoted(t), "string", t)),
    ).map(comparison),
    st.tuples(
        st.just(field("kind", "kind")),
        st.sampled_from(["=", "!="]),
        st.sampled_from(["server", "client"]).map(lambda w: literal(w, "kind", w.upper())),
    ).map(comparison),
    st.tuples(
        st.just(field("span:status", "status")),
        st.sampled_from(["=", "!="]),
        st.sampled_from(["ok", "error"]).map(lambda w: literal(w, "status", w.upper())),
    ).map(comparison),
    st.tuples(st.sampled_from(FIELDS + EVENTS), st.sampled_from(["=", "!="])).map(presence),
    st.just(("span.b", lambda _rows, row: row["span.b"] is True)),
    st.just(("!span.b", lambda _rows, row: row["span.b"] is False)),
)


def joined(parts):
    (left, one), op, (right, other) = parts
    if op == "&&":
        return f"({left} && {right})", lambda rows, row: one(rows, row) and other(rows, row)
    return f"({left} || {right})", lambda rows, row: one(rows, row) or other(rows, row)


def opposite(condition):
    text, holds = condition
    return f"!({text})", lambda rows, row: not holds(rows, row)


TREES = st.recursive(
    CONDITIONS,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(joined)
        | inner.filter(lambda c: c[0] != "span.b").map(opposite)
    ),
    max_leaves=6,
)


def in_a_ring(rows, at):
    seen = set()
    while 0 <= at < len(rows) and at not in seen:
        seen.add(at)
        at = rows[at]["parent"]
    return 0 <= at < len(rows)


@given(ROWS, TREES)
def test_a_plain_evaluator_says_the_same(rows, tree):
    assume(not any(in_a_ring(rows, i) for i in range(len(rows))))
    text, holds = tree
    rows = [row | {"ring": False} for row in rows]
    expected = [bool(holds(rows, row)) for row in rows]
    assert matches(spans_of(rows), f"{{ {text} }}").tolist() == expected


PIECES = st.sampled_from(
    [
        *"{}(){}(){}!-+*/%^=<>~&|,.;:\"`'\\ 1a\n\0é",
        *("span.", "span.n", "event:name", "event.n", "link.x", "parent.", "duration", "status", "kind", "name", "nil"),
        *(
            "true",
            "error",
            "server",
            "5ms",
            "1e9",
            '"a"',
            '"["',
            '"(?i)a"',
            "`(a`",
            "&&",
            "||",
            "=~",
            "!~",
            "!=",
            ">=",
            "\\xff",
        ),
        *(
            "9223372036854775807",
            "{ name =~ ",
            "nestedSetLeft",
            "traceDuration",
            "childCount",
            "rootName",
            ' = "',
            "count()",
        ),
    ]
)
HOSTILE = st.one_of(
    st.lists(PIECES, max_size=12).map("".join),
    st.lists(PIECES, max_size=12).map(lambda p: "{ " + " ".join(p) + " }"),
    st.text(max_size=20),
    st.text(st.characters(), max_size=12).map(lambda t: f"{{ name =~ {t} }}"),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=12).map(lambda t: f"{{ name =~ {quoted(t)} }}"),
)
FEW = draw("""
    r web 0-10
      a db 1-5 CLIENT ERROR
""").assign(**{"span.n": pd.array([1, None], dtype="Int64")})


def outcome(query):
    """The query that a refusal is about, or the type of the answer."""
    try:
        return matches(FEW, query).dtype
    except QueryError as error:
        return error.query


@given(HOSTILE)
def test_hostile_text_raises_nothing_else(query):
    assert outcome(query) in (query, bool)


@given(TREES, st.data())
def test_damaged_queries_raise_nothing_else(tree, data):
    query = f"{{ {tree[0]} }}"
    low = data.draw(st.integers(0, len(query)))
    high = data.draw(st.integers(low, min(len(query), low + 3)))
    damaged = query[:low] + data.draw(PIECES) + query[high:]
    assert outcome(damaged) in (damaged, bool)


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_a_quoted_text_is_found_and_nothing_else(text):
    spans = draw("r web 0-1", "r web 0-1")
    spans["status_message"] = pd.array([text, text + "x"], dtype="str")
    assert matches(spans, f"{{ statusMessage = {quoted(text)} }}").tolist() == [True, False]
    assert matches(spans, f"{{ {quoted(text)} != statusMessage }}").tolist() == [False, True]
    assert "\n" not in quoted(text)


def test_half_a_surrogate_pair_cannot_be_quoted():
    with pytest.raises(QueryError, match="half of a surrogate pair"):
        quoted("a\ud800")


# Filters that name spans.

ID = st.sampled_from([id_of(n) for n in "abc"])
FRAMES = st.lists(
    st.tuples(st.integers(0, 2), ID, st.sampled_from(["SERVER", "CLIENT"]), st.booleans()), min_size=1, max_size=8
)


@given(FRAMES)
def test_query_of_finds_the_chosen_spans_again(rows):
    trace, ids, kinds, chosen = zip(*rows, strict=True)
    spans = conform(
        pd.DataFrame({"trace_id": [trace_of(t) for t in trace], "span_id": ids, "name": "x", "kind": kinds})
    )
    mask = pd.Series(chosen, index=spans.index)
    expected = mask.groupby([list(trace), list(ids), list(kinds)]).transform("any")
    assert matches(spans, query_of(spans, mask)).tolist() == expected.tolist()


def test_query_of_says_it_shortly():
    spans = draw(
        """
        r web 0-10
          a db 1-2
          b db 3-4
        """,
        """
        r web 0-10
          a db 1-2
        """,
    )
    a, b = id_of("a"), id_of("b")
    one = f'trace:id = "{trace_of(0)}"'
    assert query_of(spans, [False] * 5) == "{ false }"
    assert query_of(spans, [True] * 5) == "{}"
    assert query_of(spans, np.array([1, 1, 1, 0, 0], bool)) == f"{{ {one} }}"
    assert query_of(spans, [False, True, True, False, False]) == f'{{ {one} && (span:id = "{a}" || span:id = "{b}") }}'
    halves = spans.assign(
        span_id=[id_of("r"), a, a, id_of("r"), a], kind=["SERVER", "CLIENT", "SERVER", "SERVER", "CLIENT"]
    )
    text = query_of(halves, [False, False, True, False, False])
    assert text == f'{{ {one} && span:id = "{a}" && span:kind = server }}'
    mask = pd.Series([True, None], index=[4, 1], dtype="boolean").reindex([4, 1, 0, 2, 3])
    assert matches(spans, query_of(spans, mask)).tolist() == [False, False, False, False, True]


def test_query_of_hostile_ids():
    ids = ['x" || true || span:id = "', "\\", "b\n"]
    spans = draw("r web 0-1\n  a web 0-1\n  b web 0-1").assign(span_id=ids)
    for i in range(3):
        assert np.flatnonzero(matches(spans, query_of(spans, [j == i for j in range(3)]))).tolist() == [i]


def test_query_of_many_spans():
    count = 2500
    spans = pd.concat([draw("r web 0-1")] * count, ignore_index=True).assign(
        span_id=[f"{i + 1:016x}" for i in range(count)]
    )
    mask = np.arange(count) % 2 == 0
    assert (matches(spans, query_of(spans, mask)).to_numpy() == mask).all()
    more = pd.concat([spans, spans.assign(span_id=[f"{i + count + 1:016x}" for i in range(count)])], ignore_index=True)
    with pytest.raises(QueryError, match="expected at most 100,000"):
        query_of(more, np.arange(2 * count) > 1)


def test_query_of_refuses():
    spans = draw("r web 0-1", "r web 0-1")
    with pytest.raises(SchemaError, match="labels of the mask"):
        query_of(spans, pd.Series([True], index=[7]))
    with pytest.raises(SchemaError, match="3 values for 2 spans"):
        query_of(spans, [True, False, True])
    with pytest.raises(SchemaError, match="expected bool"):
        query_of(spans, [1.0, 2.0])
    with pytest.raises(SchemaError, match="no trace id or no span id"):
        query_of(spans.assign(span_id=[None, "b"]).astype({"span_id": "str"}), [True, False])
