from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from foreign_frames import START, S, T, foreign, refusal

import traceanalytics as ta

# ---- attributes ----


@pytest.mark.parametrize("wrap", [lambda a: a, json.dumps, lambda a: list(a.items())], ids=["dict", "JSON", "pairs"])
def test_maps_of_attributes_become_columns(wrap):
    frame = foreign(
        2,
        SpanAttributes=[wrap({"http.route": "/", "n": 2**60 + 1, "list": [1, "a"]}), wrap({"n": 1, "none": None})],
        ResourceAttributes=[wrap({"service.name": "web", "zone": "z"}), wrap({})],
        scope_attributes=[wrap({"s": True}), None],
    )
    made = ta.conform(frame)
    assert made.columns.tolist()[16:] == [
        "span.http.route",
        "span.list",
        "span.n",
        "resource.zone",
        "instrumentation.s",
    ]
    assert made["service"].tolist()[0] == "web"
    assert made["span.n"].dtype == "Int64"
    assert made["span.n"].tolist() == [2**60 + 1, 1]
    assert made["span.list"].tolist()[0] == '[1,"a"]'
    assert made["instrumentation.s"].dtype == "boolean"
    assert ta.conform(made).equals(made)


def test_values_of_every_python_type():
    given = {
        "b": b"\x01",
        "np": np.int64(3),
        "f": np.float64(2.5),
        "arr": np.array([1, 2]),
        "tup": (1, None),
        "d": dt.date(2026, 5, 14),
    }
    found = ta.attributes(ta.conform(foreign(1, attributes=[given])).iloc[0])
    assert found == {
        "span.b": b"\x01",
        "span.np": 3,
        "span.f": 2.5,
        "span.arr": [1, 2],
        "span.tup": [1, None],
        "span.d": "2026-05-14",
    }


def test_wrapped_resources_and_services_of_their_own():
    frame = foreign(
        2, resource=[{"attributes": {"service.name": "a", "x": 1}, "schema_url": ""}, {"service.name": "b"}]
    )
    assert ta.conform(frame)["service"].tolist() == ["a", "b"]
    assert ta.conform(frame)["resource.x"].tolist()[0] == 1
    both = ta.conform(frame.assign(service=["own", None]))
    assert both["service"].tolist() == ["own", "b"]
    column = ta.conform(foreign(2, service=["own", None], resource__service__name=["x", "y"]))
    assert column["service"].tolist() == ["own", "y"]
    assert "resource.service.name" not in column


def test_a_map_and_a_column_of_the_same_key_are_united():
    made = ta.conform(foreign(2, span__a=pd.array([1, None], dtype="Int64"), attributes=[{"a": 9}, {"a": 2}]))
    assert made["span.a"].tolist() == [1, 2]


def test_mixed_values_under_one_key():
    made = ta.conform(foreign(3, attributes=[{"a": 1, "b": 1}, {"a": "2", "b": "x"}, {"a": 3, "b": True}]))
    assert made["span.a"].tolist() == [1, 2, 3]
    assert made["span.a"].dtype == "Int64"
    assert made["span.b"].tolist() == ["1", "x", "true"]
    counted = ta.read_report(made).counts
    assert counted == {
        "integer texts among integers, read as integers": 1,
        "values of several types under one key, read as text": 3,
    }


@pytest.mark.parametrize(
    ("given", "dtype", "expected"),
    [
        (np.array([1, 2], dtype="int32"), "Int64", [1, 2]),
        (np.array([2**64 - 1, 1], dtype="uint64"), "str", ["18446744073709551615", "1"]),
        (np.array([1.5, np.nan], dtype="float32"), "float64", [1.5, None]),
        (pd.array([1.5, None], dtype="Float64"), "float64", [1.5, None]),
        (np.array([True, False]), "boolean", [True, False]),
        (pd.Series([True, None], dtype=object), "boolean", [True, None]),
        (pd.Series([1, "2"], dtype=object), "Int64", [1, 2]),
        (pd.Series([[1], {"a": 2}], dtype=object), "str", ["[1]", '{"a":2}']),
        (pd.Series(["a", "a"], dtype=object), "category", ["a", "a"]),
        (pd.Categorical([1, 2]), "Int64", [1, 2]),
        (pd.Series(["x", None], dtype="string"), "str", ["x", None]),
        (pd.Series([1, None], dtype="int64[pyarrow]"), "Int64", [1, None]),
        (pd.Series([[1, 2], None], dtype=pd.ArrowDtype(pa.list_(pa.int64()))), "str", ["[1,2]", None]),
        (pd.Series([2**70, None], dtype=object), "str", [str(2**70), None]),
    ],
)
def test_attribute_columns_of_any_type(given, dtype, expected):
    made = ta.conform(foreign(2).assign(**{"span.a": given}))["span.a"]
    assert made.dtype == dtype
    assert [None if pd.isna(v) else v for v in made.tolist()] == expected
    assert ta.conform(foreign(2).assign(**{"span.a": made}))["span.a"].equals(made)


def test_rare_keys_go_into_other_attributes():
    frame = foreign(1500, attributes=[{f"k{j}": 1 for j in range(201)} if i == 0 else {} for i in range(1500)])
    made = ta.conform(frame)
    assert sum(c.startswith("span.") for c in made) == 200
    assert ta.attribute(made, made.columns[16]).notna().sum() == 1
    assert len(ta.attributes(made.iloc[0])) == 201


@pytest.mark.parametrize(("value", "shown"), [(5, "5"), ("[1", r"'\[1'"), ("[1]", r"'\[1\]'"), ([1], r"\[1\]")])
def test_cells_that_are_no_maps_are_named(value, shown):
    with pytest.raises(ta.SchemaError, match=rf"column 'attributes': found {shown} at index 'r', expected a dict"):
        ta.conform(foreign(1, attributes=[value]).set_axis(["r"]))


def test_a_text_that_looks_like_json_is_noted_for_the_writers():
    made = ta.conform(foreign(1, attributes=[{"t": "[1]", "l": [1]}]))
    assert ta.read_report(made).text_like_json == ("span.t",)


# ---- events and links ----


@pytest.mark.parametrize(
    "wrap", [lambda e: e, json.dumps, lambda e: json.dumps(e, indent=2)], ids=["dicts", "JSON", "indented"]
)
def test_events_become_cells(wrap):
    given = [{"name": "e", "time": START, "attributes": {"k": [1]}}, {"timeUnixNano": str(START), "name": "f"}]
    made = ta.conform(foreign(3, Events=[wrap(given), wrap([]), None]))
    assert made["events"].tolist()[0] == (
        f'[{{"time":{START},"name":"e","attributes":{{"k":[1]}}}},\n{{"time":{START},"name":"f","attributes":{{}}}}]'
    )
    assert made["events"].isna().tolist() == [False, True, True]
    assert ta.conform(made).equals(made)


@pytest.mark.parametrize("time", ["2026-05-14T14:23:45.012345678Z", pd.Timestamp(START, tz="UTC"), np.int64(START)])
def test_times_of_events(time):
    made = ta.conform(foreign(1, events=[[{"name": "e", "time": time}]]))
    assert ta.events(made)["time"].array.asi8.tolist() == [START]


def test_events_of_arrow_and_numpy():
    struct = pa.array([[{"name": "e", "time": START}], None])
    made = ta.conform(foreign(2).assign(events=pd.Series(struct, dtype=pd.ArrowDtype(struct.type))))
    assert ta.events(made)["time"].array.asi8.tolist() == [START]
    numpy = np.empty(1, dtype=object)
    numpy[0] = np.array([{"name": "e", "time": START}], dtype=object)
    assert len(ta.events(ta.conform(foreign().assign(events=numpy)))) == 1


def test_links_become_cells():
    given = [
        {"traceId": T.upper(), "spanId": S, "traceState": "a=1", "attributes": {"k": 1}, "flags": 1},
        {"context": {"trace_id": f"0x{T}", "span_id": f"0x{S}", "trace_state": ""}},
    ]
    made = ta.conform(foreign(1, links=[given]))
    assert json.loads(made["links"][0]) == [
        {"trace_id": T, "span_id": S, "trace_state": "a=1", "attributes": {"k": 1}, "flags": 1},
        {"trace_id": T, "span_id": S, "attributes": {}},
    ]
    assert ta.conform(made).equals(made)


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("events", "[", "JSON"),
        ("events", "{}", "expected a list of dicts, or JSON text of one, not dict"),
        ("events", [5], "found 5 in the list"),
        ("events", [{"name": "e"}], "an event without time"),
        ("events", [{"name": "e", "time": 1.5e18}], "float64 has lost nanoseconds"),
        ("events", [{"name": "e", "time": "2026-05-14T14:23:45"}], "add Z or"),
        ("events", [{"name": "e", "timestamp": 5}], "in which unit"),
        ("events", [{"name": "e", "time": 2**63}], "does not fit into 64 bits"),
        ("events", [{"name": "e", "time": 1, "attributes": [1]}], "expected a dict of key to value"),
        ("events", [{"name": "e", "time": 1, "extra": 1}], "unknown key 'extra'"),
        ("links", [{"trace_id": T, "span_id": S, "flags": 2**32}], "at most 32 bits"),
        ("links", [{"trace_id": 5, "span_id": S}], "expected hex digits"),
    ],
)
def test_items_that_are_wrong_are_named(column, cell, message):
    frame = foreign(2, **{column: [None, cell]}).set_axis(["q", "r"])
    found = refusal(frame)
    assert found.startswith(f"column '{column}': found ")
    assert "at index 'r'" in found
    assert message in found
