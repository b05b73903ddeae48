from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from small_traces import draw
from strategies import span_frames

import traceanalytics as ta


def spans_of(count=3, **columns):
    frame = pd.DataFrame(
        {"trace_id": ["t"] * count, "span_id": [f"s{i}" for i in range(count)], "name": ["n"] * count}
    ).assign(**columns)
    return ta.conform(frame)


def values(series):
    return [None if pd.isna(v) else v for v in series.tolist()]


def test_one_column_keeps_its_type():
    spans = spans_of(attributes=[{"a": 1, "b": 1.5, "c": True, "d": "x"}, {}, {"a": 2}])
    for key, dtype, expected in (
        ("a", "Int64", [1, None, 2]),
        ("b", "float64", [1.5, None, None]),
        ("c", "boolean", [True, None, None]),
        ("d", "str", ["x", None, None]),
    ):
        found = ta.attribute(spans, key)
        assert found.dtype == dtype
        assert values(found) == expected
        assert found.name == key


def test_result_is_on_the_index_and_a_copy():
    spans = spans_of(attributes=[{"a": 1}, {"a": 2}, {"a": 3}]).set_axis(["x", "y", "z"])
    before = spans.copy()
    found = ta.attribute(spans, "a")
    assert found.index.tolist() == ["x", "y", "z"]
    found.iloc[0] = 99
    assert spans.equals(before)


def test_span_comes_before_resource_before_instrumentation():
    spans = spans_of(
        attributes=[{"k": "span"}, {}, {}],
        resource=[{"k": "resource"}, {"k": "resource"}, {}],
        scope_attributes=[{"k": "scope"}] * 3,
    )
    assert values(ta.attribute(spans, "k")) == ["span", "resource", "scope"]
    assert values(ta.attribute(spans, "resource.k")) == ["resource", "resource", None]
    assert values(ta.attribute(spans, "instrumentation.k")) == ["scope"] * 3
    assert values(ta.attribute(spans, "span.k")) == ["span", None, None]


def test_a_key_that_begins_like_a_scope():
    spans = spans_of(**{"span.resource.zone": ["a", None, "b"], "resource.span.http.method": "GET"})
    assert values(ta.attribute(spans, "resource.zone")) == ["a", None, "b"]
    assert values(ta.attribute(spans, "span.resource.zone")) == ["a", None, "b"]
    assert values(ta.attribute(spans, "span.http.request.method")) == [None] * 3  # the newer name of another key
    assert values(ta.attribute(spans, "span.http.method")) == ["GET"] * 3
    own = spans.assign(**{"resource.zone": [None, "c", "d"]})
    assert values(ta.attribute(own, "resource.zone")) == [None, "c", "d"]
    assert values(ta.attribute(own, "span.resource.zone")) == ["a", None, "b"]
    other = spans_of(1, other_attributes=['{"span.resource.zone":"a"}'])
    assert values(ta.attribute(other, "resource.zone")) == ["a"]
    for frame in (spans, other):
        for row in ta.attribute_keys(frame).itertuples():
            assert ta.attribute(frame, row.key).notna().mean() >= row.coverage


def test_a_key_of_one_scope_only_has_the_parts_of_its_target():
    spans = spans_of(1, **{"span.http.target": "/cart?id=1"})
    assert values(ta.attribute(spans, "span.url.path")) == ["/cart"]
    assert values(ta.attribute(spans, "resource.url.path")) == [None]


def test_newer_name_comes_before_older_row_by_row():
    spans = spans_of(attributes=[{"http.method": "GET"}, {"http.request.method": "PUT", "http.method": "put"}, {}])
    for key in ("http.method", "http.request.method", "span.http.method"):
        assert values(ta.attribute(spans, key)) == ["GET", "PUT", None]


def test_newer_name_in_the_resource_comes_before_older_name_of_the_span():
    spans = spans_of(
        1, attributes=[{"deployment.environment": "old"}], resource=[{"deployment.environment.name": "new"}]
    )
    assert values(ta.attribute(spans, "deployment.environment")) == ["new"]


def test_ints_and_texts_of_ints_become_ints_and_other_mixtures_text():
    spans = spans_of(attributes=[{"http.status_code": "404"}, {"http.response.status_code": 2**60 + 1}, {}])
    assert ta.attribute(spans, "http.status_code").dtype == "Int64"
    assert values(ta.attribute(spans, "http.status_code")) == [404, 2**60 + 1, None]
    spans = spans_of(attributes=[{"http.status_code": "4xx"}, {"http.response.status_code": 500}, {}])
    assert values(ta.attribute(spans, "http.status_code")) == ["4xx", "500", None]
    spans = spans_of(attributes=[{"http.status_code": True}, {"http.response.status_code": 1.5}, {}])
    assert values(ta.attribute(spans, "http.status_code")) == ["true", "1.5", None]


def test_a_column_without_values_has_no_say_in_the_type():
    spans = spans_of(attributes=[{"http.status_code": 1}, {}, {}])
    spans["span.http.response.status_code"] = pd.Series([None] * 3, dtype="str")
    assert ta.attribute(spans, "http.status_code").dtype == "Int64"


def test_categories_are_united():
    spans = spans_of(4, attributes=[{"http.method": "GET"}] * 2 + [{"http.request.method": "PUT"}] * 2)
    found = ta.attribute(spans, "http.method")
    assert isinstance(found.dtype, pd.CategoricalDtype)
    assert values(found) == ["GET", "GET", "PUT", "PUT"]


def test_other_attributes_are_found_and_typed():
    cells = [
        json.dumps({"span.rare": 1, "resource.zone": "a"}),
        None,
        json.dumps({"span.rare": 3, "span.list": {"json": "[1]"}}),
    ]
    spans = spans_of(other_attributes=cells)
    assert ta.attribute(spans, "rare").dtype == "Int64"
    assert values(ta.attribute(spans, "rare")) == [1, None, 3]
    assert values(ta.attribute(spans, "zone")) == ["a", None, None]
    assert values(ta.attribute(spans, "list")) == [None, None, "[1]"]


def test_a_key_in_a_column_and_in_other_attributes_is_found_in_both():
    spans = spans_of(
        attributes=[{"rare": 1}, {}, {}], other_attributes=[None, '{"span.rare":2}', '{"span.schlüssel":true}']
    )
    assert values(ta.attribute(spans, "rare")) == [1, 2, None]
    assert values(ta.attribute(spans, "schlüssel")) == [None, None, True]


def test_special_floats_in_other_attributes():
    spans = spans_of(1, other_attributes=['{"span.x":{"doubleValue":"-Infinity"}}'])
    assert ta.attribute(spans, "x").tolist() == [-np.inf]


def test_damaged_other_attributes_are_named():
    spans = spans_of(other_attributes=[None, '{"span.rare":', None]).set_axis(["a", "b", "c"])
    with pytest.raises(ta.SchemaError, match=r"other_attributes of the span at index 'b': found '\{\"span.rare\":'"):
        ta.attribute(spans, "rare")


def test_service_name_is_the_service_column():
    spans = spans_of(service=["web", None, "db"])
    assert values(ta.attribute(spans, "service.name")) == ["web", None, "db"]
    assert values(ta.attribute(spans, "resource.service.name")) == ["web", None, "db"]
    assert values(ta.attribute(spans, "span.service.name")) == [None] * 3


def test_core_columns_are_no_attributes_and_unknown_keys_are_missing():
    spans = spans_of()
    for key in ("name", "status", "duration_ms", "no.such.key"):
        found = ta.attribute(spans, key)
        assert found.isna().all()
        assert found.dtype == "str"


def test_address_of_the_server_depends_on_the_kind():
    spans = spans_of(
        kind=["CLIENT", "SERVER", None],
        attributes=[{"net.peer.name": "db", "net.host.name": "me"}] * 3,
    )
    assert values(ta.attribute(spans, "server.address")) == ["db", "me", "db"]
    assert values(ta.attribute(spans, "client.address")) == [None, "db", None]
    assert values(ta.attribute(spans, "net.peer.name")) == ["db", "db", "db"]


def test_http_target_and_its_two_halves():
    spans = spans_of(
        4, attributes=[{"http.target": "/cart?id=1"}, {"url.path": "/pay", "url.query": "x=2"}, {"url.path": "/"}, {}]
    )
    assert values(ta.attribute(spans, "http.target")) == ["/cart?id=1", "/pay?x=2", "/", None]
    assert values(ta.attribute(spans, "url.path")) == ["/cart", "/pay", "/", None]
    assert values(ta.attribute(spans, "url.query")) == ["id=1", "x=2", None, None]


def test_a_target_that_is_no_path_is_not_taken_apart():
    spans = spans_of(1, attributes=[{"http.target": "example.com:443"}])
    assert values(ta.attribute(spans, "url.path")) == [None]


def test_works_on_some_columns_and_on_text_in_place_of_categories():
    spans = spans_of(attributes=[{"a": "x"}, {"a": "x"}, {"a": "x"}])[["trace_id", "span.a"]]
    assert values(ta.attribute(spans.astype("str"), "a")) == ["x"] * 3


def test_repeated_index_is_refused():
    spans = spans_of(attributes=[{"a": 1}] * 3).set_axis([0, 0, 1])
    with pytest.raises(ta.SchemaError, match="the index repeats 1 labels"):
        ta.attribute(spans, "a")


def test_key_must_be_a_text():
    with pytest.raises(ta.SchemaError, match=r"is a text such as 'http\.route', found 5"):
        ta.attribute(spans_of(), 5)


def test_keys_are_listed_with_coverage():
    spans = spans_of(
        4,
        service=["web", "web", "db", None],
        attributes=[{"a": 1, "flag": True, "args": ["x"]}, {"a": 2}, {"a": 2}, {}],
        resource=[{"zone": "é"}] * 4,
        other_attributes=[None, None, '{"span.rare":1.5}', '{"span.a":7}'],
    )
    keys = ta.attribute_keys(spans)
    assert keys.columns.tolist() == ["key", "scope", "type", "coverage", "distinct", "examples"]
    rows = {row.key: row for row in keys.itertuples()}
    assert keys["key"].tolist() == ["a", "zone", "service.name", "args", "flag", "rare"]
    assert (rows["a"].type, rows["a"].coverage, rows["a"].distinct, rows["a"].examples) == ("int", 1.0, 3, "1, 2, 7")
    assert (rows["zone"].scope, rows["zone"].examples) == ("resource", "é")
    assert (rows["service.name"].scope, rows["service.name"].coverage) == ("resource", 0.75)
    assert (rows["args"].type, rows["args"].examples) == ("json", '["x"]')
    assert (rows["flag"].type, rows["flag"].examples) == ("bool", "true")
    assert (rows["rare"].type, rows["rare"].coverage) == ("float", 0.25)


def test_keys_of_no_spans():
    keys = ta.attribute_keys(spans_of(0))
    assert len(keys) == 0
    assert keys.dtypes.astype(str).tolist() == ["str", "str", "str", "float64", "int64", "str"]


def test_long_examples_are_cut():
    spans = spans_of(1, attributes=[{"a": "x" * 500}])
    assert len(ta.attribute_keys(spans)["examples"][0]) == 80


def test_attributes_of_one_span_are_natural_values():
    given = {"i": 2**60 + 1, "f": 1.5, "b": False, "s": "x", "list": [1, "a"], "map": {"k": [True]}, "raw": b"\x01\x02"}
    spans = spans_of(
        2,
        service=["web", "db"],
        attributes=[given, {"other": 1}],
        resource=[{"zone": "z"}, {}],
        other_attributes=['{"span.rare":{"json":"[1.5]"}}', None],
    )
    expected = {f"span.{key}": value for key, value in given.items()} | {
        "resource.zone": "z",
        "resource.service.name": "web",
        "span.rare": [1.5],
    }
    for row in (spans.iloc[0], spans.iloc[[0]]):
        found = ta.attributes(row)
        assert found == expected
        assert {type(v) for v in found.values()} == {int, float, bool, str, list, dict, bytes}
    assert ta.attributes(spans.loc[1]) == {"resource.service.name": "db", "span.other": 1}


@pytest.mark.parametrize("rows", [0, 2])
def test_attributes_take_one_row(rows):
    with pytest.raises(ta.SchemaError, match=f"found {rows} spans, expected one"):
        ta.attributes(spans_of(rows))


def test_attributes_take_a_row_not_a_dict():
    with pytest.raises(ta.SchemaError, match="found dict"):
        ta.attributes({"span.a": 1})


def test_a_text_that_looks_like_json_stays_a_text():
    spans = spans_of(2, attributes=[{"t": "[1,2]"}, {"t": "plain"}])
    assert ta.attributes(spans.iloc[0]) == {"span.t": "[1,2]"}


@given(span_frames())
def test_every_column_is_found_by_its_name(spans):
    for name in [c for c in spans.columns if c.startswith(("span.", "resource.", "instrumentation."))]:
        assert ta.attribute(spans, name).equals(spans[name].rename(name))


@given(span_frames(max_spans=4))
def test_keys_count_what_attributes_return(spans):
    every = [ta.attributes(spans.iloc[i]) for i in range(len(spans))]
    for row in ta.attribute_keys(spans).itertuples():
        share = sum(f"{row.scope}.{row.key}" in found for found in every) / len(spans)
        assert row.coverage == pytest.approx(share)


def test_a_target_that_is_missing_everywhere():
    spans = draw("a web 0-5").assign(**{"span.http.target": pd.array([None], dtype="str")})
    assert ta.attribute(spans, "url.query").isna().all()


def test_whole_floats_beside_texts_of_ints_are_ints():
    frame = {"trace_id": "a1", "span_id": ["b1", "b2", "b3"], "name": "GET"}
    codes = {"span.http.response.status_code": [503.0, None, None], "span.http.status_code": [None, "502", None]}
    spans = ta.conform(pd.DataFrame(frame | codes))
    assert ta.attribute(spans, "http.response.status_code").tolist() == [503, 502, pd.NA]
    assert ta.is_error(spans).tolist() == [True, True, False]
    halves = ta.conform(pd.DataFrame(frame | codes | {"span.http.response.status_code": [503.5, None, None]}))
    assert ta.attribute(halves, "http.response.status_code").tolist()[:2] == ["503.5", "502"]
