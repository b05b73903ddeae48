"""TraceQL filters: Tempo's own examples and a live Tempo's answers, the semantics one by one, and the messages."""

from __future__ import annotations

import json
import pickle
import re

import numpy as np
import pandas as pd
import pytest
from small_traces import draw, frame

from traceanalytics.errors import QueryError, SchemaError, TraceAnalyticsError
from traceanalytics.io.otlp import read_otlp
from traceanalytics.io.records import read_records
from traceanalytics.spans.conforming import conform
from traceanalytics.traceql import matches
from traceanalytics.traceql.literals import duration_of

ONE_FILTER = "only one filter in braces is understood"
PARENT_ATTRIBUTES = {
    "{ parent.a != 3 }",
    "{ parent.resource.a && true }",
    "{ parent.span.a > 3 }",
    "{ parent.duration = 1h }",
    "{ (-(3 / 2) * .test - parent.blerg + .other)^3 = 2 }",
}
"""Tempo reads these and does not answer them yet; a frame has the parents."""

MIXED = {
    "{ span.http.status_code!=200 }",
    "{ .http.status_code < 300 }",
    "{ span.http.status_code * 2 = 400 }",
    "{ span.http.status_code + 1 > 400 }",
}
"""frontend-proxy writes status codes as texts, which Tempo never compares with ints; the reader has united them with the ints."""

PUSHED_DOWN = "{ kind=server && !(duration > 3ms) }"
"""Tempo's storage looks for spans with duration > 3ms and finds none of which the contrary is true."""


def is_one_filter(query):
    return query.startswith("{") and query.endswith("}") and query.count("{") == 1


@pytest.fixture(scope="module")
def examples(corpus_folder):
    return json.loads((corpus_folder / "tempo_test_examples.json").read_text())


@pytest.fixture(scope="module")
def answers(corpus_folder):
    return json.loads((corpus_folder / "oracle_results.json").read_text())["search"]


@pytest.fixture(scope="module")
def searched(corpus_folder):
    return read_otlp(corpus_folder / "oracle_input_otlp.json")


@pytest.fixture(scope="module")
def corpus_folder(request):
    return request.getfixturevalue("corpus") / "traceql"


def found(spans, query):
    return spans[matches(spans, query)].index.tolist()


def refusal(spans, query):
    """Where a query is refused; None if it is not."""
    try:
        matches(spans, query)
    except QueryError as error:
        return {"query": error.query, "position": error.position}
    return None


def test_what_tempo_accepts(examples):
    spans = draw("r web 0-10")
    accepted = 0
    for query in examples["valid"]:
        if is_one_filter(query):
            assert matches(spans, query).dtype == bool, query
            accepted += 1
        else:
            with pytest.raises(QueryError, match=ONE_FILTER):
                matches(spans, query)
    assert accepted == 108


@pytest.mark.parametrize("part", ["parse_fails", "validate_fails", "unsupported"])
def test_what_tempo_refuses(examples, part):
    spans = draw("r web 0-10")
    accepted = {query for query in examples[part] if refusal(spans, query) is None}
    assert accepted == (PARENT_ATTRIBUTES if part == "unsupported" else set())
    for query in set(examples[part]) - accepted:
        place = refusal(spans, query)
        assert place["query"] == query
        assert 0 <= place["position"] <= len(query)


def test_what_tempo_finds(searched, answers):
    compared, refused = 0, 0
    for answer in answers:
        query = answer["q"]
        if not is_one_filter(query):
            with pytest.raises(QueryError, match=ONE_FILTER):
                matches(searched, query)
            refused += 1
            continue
        assert all(s["matched"] == len(s["spans"]) for s in answer["spansets"]), "nothing was cut off"
        theirs = {(s["traceID"].zfill(32), span[0].zfill(16)) for s in answer["spansets"] for span in s["spans"]}
        mine = searched[matches(searched, query)]
        ids = set(zip(mine.trace_id, mine.span_id, strict=True))
        if query in MIXED:
            assert theirs < ids
            texts = mine[[ids not in theirs for ids in zip(mine.trace_id, mine.span_id, strict=True)]]
            assert set(texts.service) == {"frontend-proxy"}
        elif query == PUSHED_DOWN:
            assert ids
            assert mine.index.equals(searched[matches(searched, "{ kind = server && duration <= 3ms }")].index)
        else:
            assert ids == theirs, query
        compared += 1
    assert (compared, refused) == (42, 80)


T1, T2 = "a1".zfill(32), "a2".zfill(32)
B1, B2, B3, B4, B9 = (f"b{i}".zfill(16) for i in (1, 2, 3, 4, 9))
SHOP = {
    "trace_id": [T1, T1, T1, T2],
    "span_id": [B1, B2, B3, B4],
    "parent_span_id": [None, B1, B1, B9],
    "name": ["GET /", "SELECT", "a\nb", "größe"],
    "service": ["web", "db", None, "web"],
    "kind": ["SERVER", "CLIENT", "INTERNAL", "SERVER"],
    "status": ["UNSET", "ERROR", "OK", "UNSET"],
    "status_message": [None, "no route", None, None],
    "start_time": pd.to_datetime(["2026-05-14T14:23:45Z"] * 3 + [None]),
    "duration_ms": [100.0, 5.0, 0.000001, np.nan],
    "scope_name": ["net/http", None, None, None],
    "span.n": pd.array([1, 7, None, -7], dtype="Int64"),
    "span.x": [0.5, np.nan, 2.0, -0.0],
    "span.flag": pd.array([True, False, None, None], dtype="boolean"),
    "span.text": ["1", None, "x", "nil"],
    "resource.text": ["r1", "r2", None, None],
    "span.list": ['["a","b"]', "[1,2]", "[]", "[not json"],
    "span.a b": ["yes", None, None, None],
    "span.one": [1] * 4,
    "resource.one": [2] * 4,
    "events": [
        [{"time": 1778768625004000000, "name": "exception", "attributes": {"exception.type": "KeyError", "n": 1}}],
        [
            {"time": 1778768625000000000, "name": "start"},
            {"time": 1778768625002000000, "name": "end", "attributes": {"n": 7}},
        ],
        None,
        None,
    ],
    "links": [None, None, [{"trace_id": T2, "span_id": B4, "attributes": {"kind": "batch"}}], None],
}


@pytest.fixture(scope="module")
def shop():
    return conform(pd.DataFrame(SHOP))


SEMANTICS = [
    ("{}", [0, 1, 2, 3]),
    ("{ true }", [0, 1, 2, 3]),
    ("{ false }", []),
    # a missing value fulfils nothing, != and !~ neither
    ("{ span.n = 7 }", [1]),
    ("{ span.n != 7 }", [0, 3]),
    ("{ !(span.n = 7) }", [0, 2, 3]),
    ('{ span.text !~ "x" }', [0, 3]),
    ("{ span.n = nil }", [2]),
    ("{ nil = span.n }", [2]),
    ("{ span.n != nil }", [0, 1, 3]),
    ("{ span.nowhere = nil }", [0, 1, 2, 3]),
    ("{ span.nowhere != 1 }", []),
    ("{ nil = nil }", [0, 1, 2, 3]),
    ("{ nil != nil }", []),
    ("{ (span.n + 1) = nil }", [2]),
    ("{ span:parentID = nil }", [0]),
    # types must agree
    ('{ span.text = "1" }', [0]),
    ("{ span.text = 1 }", []),
    ("{ span.text != 1 }", []),
    ('{ span.n != "1" }', []),
    ("{ span.n = 7.0 }", [1]),
    ("{ span.n = 7ns }", [1]),
    ("{ span.x >= 0 }", [0, 2, 3]),
    ("{ span.x = -0.0 }", [3]),
    ("{ span.flag }", [0]),
    ("{ !span.flag }", [1]),
    ("{ span.n }", []),
    ("{ !span.n }", []),
    ("{ span.flag || span.n = 7 }", [0, 1]),
    ("{ span.n || true }", [0, 1, 2, 3]),
    ("{ span.flag = false }", [1]),
    ("{ span.flag = (duration > 50ms) }", [0, 1]),
    # scopes
    ('{ .text = "r2" }', [1]),
    ('{ .text = "r1" }', []),
    ('{ resource.text = "r1" }', [0]),
    ('{ span."a b" = "yes" }', [0]),
    ('{ ."a b" != nil }', [0]),
    ('{ resource.service.name = "web" }', [0, 3]),
    ('{ .service.name != "web" }', [1]),
    ("{ parent.span.n = 1 }", [1, 2]),
    ('{ parent.resource.service.name = "web" }', [1, 2]),
    ("{ parent.n != nil }", [1, 2]),
    ("{ parent.span.n = span.n }", []),
    ("{ parent.span.n < span.n }", [1]),
    ("{ parent.one != nil }", [1, 2]),
    ('{ instrumentation:name = "net/http" }', [0]),
    # intrinsics
    ("{ kind = server }", [0, 3]),
    ("{ kind != server }", [1, 2]),
    ("{ span:status = error }", [1]),
    ("{ server = kind && unset = status }", [0, 3]),
    ('{ statusMessage = "" }', [0, 2, 3]),
    ('{ statusMessage = "no route" }', [1]),
    ("{ duration = 100ms }", [0]),
    ("{ duration < 5ms }", [2]),
    ("{ duration = 1ns }", [2]),
    ("{ duration != 1ns }", [0, 1]),
    ("{ 5ms <= duration }", [0, 1]),
    ("{ traceDuration = 100ms }", [0, 1, 2]),
    ('{ rootName = "GET /" }', [0, 1, 2]),
    ('{ trace:rootService = "web" }', [0, 1, 2]),
    ("{ span:childCount = 2 }", [0]),
    ("{ childCount = 0 }", [1, 2, 3]),
    ("{ nestedSetParent = -1 }", [0]),
    ("{ nestedSetParent = 1 }", [1, 2]),
    ("{ nestedSetLeft = 1 && nestedSetRight = 6 }", [0]),
    ("{ nestedSetLeft = 0 }", [3]),
    ('{ trace:id = "000000000000000000000000000000a1" }', [0, 1, 2]),
    ('{ trace:id = "A1" }', [0, 1, 2]),
    ('{ trace:id != "a1" }', [3]),
    ('{ "b3" = span:id }', [2]),
    ('{ span:id = "b1" || span:id = "0b3" || span:id = "zz" }', [0, 2]),
    # texts
    ('{ name = "a\\nb" }', [2]),
    ("{ name = `größe` }", [3]),
    ('{ name = "gr\\u00f6\\xc3\\x9fe" }', [3]),
    ('{ name =~ "SEL" }', []),
    ('{ name =~ "SEL.*" }', [1]),
    ('{ name =~ "a.b" }', [2]),
    ('{ name !~ "SEL.*|a.b" }', [0, 3]),
    ('{ name =~ "GET /|größe" }', [0, 3]),
    ('{ name > "GET /" }', [1, 2, 3]),
    ('{ "abc" =~ "a.c" && "b" > "a" }', [0, 1, 2, 3]),
    ("{ span.text = resource.text }", []),
    ("{ resource.text = resource.text }", [0, 1]),
    # arrays
    ('{ span.list = "a" }', [0]),
    ('{ "b" = span.list }', [0]),
    ("{ span.list > 1 }", [1]),
    ("{ span.list != 1 }", []),
    ('{ span.list != "c" }', [0, 3]),
    ('{ span.list =~ "[bc]" }', [0]),
    ('{ span.list = "a" || span.list = "[not json" }', [0, 3]),
    # events and links: any of them
    ('{ event:name = "end" }', [1]),
    ('{ event:name != "end" }', [0, 1]),
    ("{ event:name = nil }", [2, 3]),
    ("{ event:timeSinceStart > 1ms }", [0, 1]),
    ("{ event:timeSinceStart <= 2ms }", [1]),
    ('{ event.exception.type = "KeyError" }', [0]),
    ("{ event.n = span.n }", [0, 1]),
    ("{ event.n * 2 = 14 }", [1]),
    ("{ event.nothing != nil }", []),
    ('{ link:traceID = "a2" && link:spanID = "b4" }', [2]),
    ('{ link.kind = "batch" }', [2]),
    # arithmetic
    ("{ span.n + 1 = 8 }", [1]),
    ("{ span.n / 2 = 3 }", [1]),
    ("{ span.n / 2 = -3 }", [3]),
    ("{ span.n % 4 = -3 }", [3]),
    ("{ span.n / 0 = 1 }", []),
    ("{ (span.n / 0) = nil }", [0, 1, 2, 3]),
    ("{ span.n ^ 2 = 49 }", [1, 3]),
    ("{ -span.n = 7 }", [3]),
    ("{ duration * 2 = 10ms }", [1]),
    ("{ duration > 2 * 1ms }", [0, 1]),
    ("{ span.n * 0.5 = 3.5 }", [1]),
    # what binds how strongly
    ("{ true || true && false }", []),
    ("{ true || (true && false) }", [0, 1, 2, 3]),
    ("{ 1 + 2 * 3 = 7 }", [0, 1, 2, 3]),
    ("{ (1 + 2) * 3 = 9 }", [0, 1, 2, 3]),
    ("{ 2 ^ 3 ^ 2 = 512 }", [0, 1, 2, 3]),
    ("{ -2 ^ 2 = -4 }", [0, 1, 2, 3]),
    ("{ 10 - 3 - 2 = 5 }", [0, 1, 2, 3]),
    ("{ 2 * -3 + 1 = -5 }", [0, 1, 2, 3]),
    ("{ !span.flag = true }", [1]),
    ("{ !!span.flag }", [0, 2, 3]),  # a condition is true or false, never missing
    ("{ 1 < 2 = true }", [0, 1, 2, 3]),
    # literals
    ("{ .5 = 0.5 && 1e3 = 1000 && 1. = 1 }", [0, 1, 2, 3]),
    ("{ 1h30m = 5400s && 1.5ms = 1500us && 1d = 24h && 1w = 7d && 1y = 365d }", [0, 1, 2, 3]),
    ("{span.n=7}", [1]),
    ("{\n\tspan.n\r\n= 7\n}", [1]),
]


@pytest.mark.parametrize(("query", "expected"), SEMANTICS)
def test_semantics(shop, query, expected):
    assert found(shop, query) == expected


def test_attributes_without_a_column(shop):
    rare = shop.drop(columns=["span.n", "span.text"]).assign(
        other_attributes=['{"span.n":1,"span.text":"1"}', '{"span.n":7}', '{"span.text":"x"}', None]
    )
    assert found(rare, "{ span.n > 1 }") == [1]
    assert found(rare, '{ .text = "x" || .text = "r2" }') == [1, 2]
    both = shop.assign(other_attributes=[None, None, '{"span.n":"seven"}', '{"span.n":"never"}'])
    assert found(both, '{ span.n = "seven" || span.n = 7 }') == [1, 2]
    assert found(both, '{ span.n = "never" }') == []
    assert found(both, "{ span.n + 1 = 8 || span.n = nil }") == [1]


def test_text_that_only_looks_like_an_array():
    record = {
        "trace_id": "1" * 32,
        "span_id": "1" * 16,
        "name": "x",
        "start_time": "2026-05-14T14:23:45Z",
        "duration_ms": 1,
    }
    text = read_records([{**record, "attributes": {"a": '["x"]'}}])
    array = read_records([{**record, "attributes": {"a": ["x"]}}])
    assert [found(s, '{ .a = "x" }') for s in (text, array)] == [[], [0]]
    assert [found(s, '{ .a = `["x"]` }') for s in (text, array)] == [[0], []]


def test_large_ints_are_exact():
    spans = draw("r web 0-1", "r web 0-1").assign(**{"span.big": pd.array([2**63 - 1, 2**53 + 1], dtype="Int64")})
    assert found(spans, f"{{ span.big = {2**63 - 1} }}") == [0]
    assert found(spans, f"{{ span.big = {2**53 + 1} }}") == [1]
    assert found(spans, f"{{ span.big > {2**63 - 2} }}") == [0]


def test_text_columns_in_place_of_categories(shop):
    plain = shop.astype({c: "str" for c in shop.columns if isinstance(shop[c].dtype, pd.CategoricalDtype)})
    for query, expected in SEMANTICS:
        assert found(plain, query) == expected, query


def test_row_order_and_index_do_not_matter(shop):
    mixed = shop.iloc[[2, 0, 3, 1]].set_axis(["c", "a", "d", "b"])
    for query, expected in SEMANTICS:
        assert sorted(found(mixed, query)) == ["abcd"[i] for i in expected], query


def test_the_result(shop):
    before = shop.copy(deep=True)
    result = matches(shop, "{ kind = server }")
    assert result.name == "matches"
    assert result.dtype == bool
    assert result.index.equals(shop.index)
    pd.testing.assert_frame_equal(shop, before)


def test_no_spans(shop):
    for query, _ in SEMANTICS:
        result = matches(shop.iloc[:0], query)
        assert len(result) == 0, query
        assert result.dtype == bool
    assert matches(frame([{}]).iloc[:0], "{ event.a = 1 || link.a = 1 }").dtype == bool


def test_duplicates_and_rings():
    spans = draw("""
        r web 0-100
          a web 0-20
    """)
    spans = pd.concat([spans, spans.iloc[[1]].assign(duration_ms=1.0)], ignore_index=True)
    assert found(spans, "{ childCount = 0 }") == [1]
    assert found(spans, '{ name = "a" }') == [1, 2]
    ring = draw("r web 0-10").assign(parent_span_id=lambda s: s.span_id)
    assert found(ring, "{ nestedSetParent = -1 }") == []
    assert found(ring, "{ nestedSetParent = 0 }") == [0]
    assert found(ring, '{ rootName = "r" }') == []


MESSAGES = [
    ("", "found the end of the query, expected {", 0),
    ("status = error", "found status, expected {", 0),
    ("{ .a == 4 }", "found =, expected a field or a value (equality is =, not ==)", 6),
    ("{ http.method = 1 }", "span.http.method, resource.http.method or .http.method", 2),
    ('{ nmae = "x" }', "found the unknown field 'nmae'; did you mean 'name'", 2),
    ("{ span:nam = 1 }", "did you mean 'span:name'", 2),
    ("{ name = cart }", "a text stands in quotes", 9),
    ("{ .a = 5x }", "found '5x', expected a number or a duration", 7),
    ("{ .a = 9223372036854775808 }", "does not fit into 64 bits", 7),
    ("{ .a = 1e999 }", "does not fit into 64 bits", 7),
    ('{ .a = "x }', "found a string without end", 7),
    ("{ .a = `x }", "found a string without end", 7),
    ('{ .a = "\\q" }', "found an escape sequence that Go does not know", 8),
    ('{ .a = "\\ud800" }', "found an escape sequence that Go does not know", 8),
    ('{ .a = "\\xff" }', "found a string whose bytes are no UTF-8", 7),
    ('{ ."a\\n" = 1 }', "found a lone backslash", 5),
    ('{ ."a = 1 }', "found a quoted attribute name without end", 3),
    ("{ span. }", "found 'span.' without a name after it", 2),
    ("{ .a 1 }", "found an int, expected an operator or }", 5),
    ("{ (.a = 1 }", "found } within brackets, expected )", 10),
    ("{ .a = 1) }", "found ) without a ( before it", 8),
    ("{ .a = 1", "found the end of the query, expected an operator or }", 8),
    ("{ .a = 1 ; }", "found the character ';'", 9),
    ("{ 1 = true }", "found a whole number = a boolean, expected both sides of one type", 4),
    ("{ status > ok }", "expected one of != = beside a status", 9),
    ("{ duration }", "found span:duration (a duration) as the whole filter", 2),
    ('{ -"a" = 1 }', "found - before a string", 2),
    ("{ !1 }", "found ! before a whole number", 2),
    ("{ name = nil }", "which TraceQL refuses", 7),
    ('{ name =~ "a)|(b" }', "found an invalid regular expression", 10),
    ("{ name =~ .a }", "expected a regular expression in quotes", 10),
    ("{ parent }", "found parent alone", 2),
    ("{ count() > 1 }", "found count, a function of pipelines", 2),
    ("{ event.a = link.a }", "found an event beside a link", 10),
    ("{ } | count() > 1", "found | after the filter, which begins a pipeline", 4),
    ("{ } && { }", "found && after the filter, which makes a spanset expression", 4),
    ("{ } >> { }", "found >> after the filter, which makes a spanset expression", 4),
    ("{ } x", "found x after the filter, expected nothing", 4),
    ("({ }) && ({ })", "found (, which can only begin a spanset expression or a pipeline", 0),
    ("{" + "(" * 201, "more than 200 brackets and signs", 201),
    ("{" + "!" * 201, "more than 200 brackets and signs", 201),
    ("{ \ud800 }", "half of a surrogate pair", 2),
]


@pytest.mark.parametrize(("query", "message", "position"), MESSAGES)
def test_messages(shop, query, message, position):
    with pytest.raises(QueryError, match=re.escape(message)) as caught:
        matches(shop, query)
    assert caught.value.query == query
    assert caught.value.position == position


def test_the_caret_stands_below_the_place(shop):
    query = f"{{ {' || '.join(['name = `x`'] * 20)} || naem = `x` || {' || '.join(['name = `x`'] * 20)} }}"
    with pytest.raises(QueryError, match="at character") as caught:
        matches(shop, query)
    _, line, caret = str(caught.value).splitlines()
    assert line[caret.index("^") :].startswith("naem")
    assert len(line) < 90
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.query, again.position) == (str(caught.value), query, caught.value.position)


def test_what_is_no_query(shop):
    for thing in (None, 5, b"{}", ["{}"]):
        with pytest.raises(QueryError, match="expected a query such as"):
            matches(shop, thing)
    with pytest.raises(QueryError, match="expected at most 100,000") as caught:
        matches(shop, "{" + " " * 100_000 + "}")
    assert len(str(caught.value)) < 200
    assert issubclass(QueryError, TraceAnalyticsError)
    with pytest.raises(SchemaError, match="expected a span frame"):
        matches([], "{}")
    with pytest.raises(SchemaError, match="lacks the column 'events'"):
        matches(shop.drop(columns="events"), "{ event.a = 1 }")


@pytest.mark.parametrize(
    "query",
    [
        "{ " + " || ".join([".n = 1"] * 8000) + " }",
        "{ " + " && ".join(["true"] * 12000) + " }",
        "{ " + "1+" * 40000 + "1 = 40001 }",
        "{ " + "1^" * 40000 + "1 = 1 }",
        "{ " + "(" * 200 + "true" + ")" * 200 + " }",
        "{ " + "!(" * 100 + "true" + ")" * 100 + " }",
    ],
)
def test_long_and_deep_queries(query):
    assert matches(draw("r web 0-1"), query).tolist() == [".n" not in query]


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("5ns", 5),
        ("1.5us", 1500),
        ("2µs", 2000),
        ("2μs", 2000),
        (".5s", 500_000_000),
        ("1h2m3s4ms", 3_723_004_000_000),
        ("1m1h", 3_660_000_000_000),
        ("2w", 1_209_600_000_000_000),
        ("0.0000000009s", 0),
        ("106751d", 106_751 * 86_400 * 10**9),
        ("106752d", None),
        ("1.5d", None),
        ("5", None),
        ("5mm", None),
    ],
)
def test_durations(text, nanoseconds):
    assert duration_of(text) == nanoseconds
