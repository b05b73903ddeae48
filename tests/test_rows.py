"""``span_table``: frames as records for the writers."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
import strategies
from hypothesis import given

import traceanalytics as ta
from traceanalytics.io.builder import SpanBuilder
from traceanalytics.io.output import write_or_return
from traceanalytics.io.rows import span_table
from traceanalytics.spans.cells import event_cell, link_cell, to_json


def built(*adds, attributes=None, resources=(), scopes=()):
    builder = SpanBuilder(lambda *_: None)
    for found in resources:
        builder.resource(found)
    for name, found in scopes:
        builder.scope(name, None, found)
    for i, more in enumerate(adds):
        builder.add(**{"trace_id": "a" * 32, "span_id": f"{i + 1:016x}", "name": "GET"} | more)
    return builder.frame(attributes)[0]


def test_a_whole_row():
    event = {"time": 7, "name": "e", "attributes": {"n": 1}, "dropped_attributes": 2}
    link = {"trace_id": "b" * 32, "span_id": "c" * 16, "trace_state": "x=1", "attributes": {}, "flags": 3}
    spans = built(
        {
            "parent_span_id": "f" * 16,
            "resource": 1,
            "scope": 1,
            "kind": 2,
            "start_ns": 1_700_000_000_000_000_001,
            "duration_ns": 12_345_678,
            "status": 2,
            "status_message": "disk full",
            "trace_state": "a=1",
            "trace_flags": 0x101,
            "attributes": {
                "i": 2**63 - 1,
                "b": True,
                "f": 0.5,
                "s": "x",
                "a": to_json([1, "z"]),
                "raw": to_json({"bytesValue": "AQI="}),
            },
            "events": event_cell([event]),
            "links": link_cell([link]),
            "dropped": (1, 2, 3),
        },
        resources=[{"service.name": "web", "pid": 7}],
        scopes=[("io.http", {"k": "v"})],
    )
    table = span_table(spans)
    (row,) = table
    assert row[:13] == (
        "a" * 32,
        "0" * 15 + "1",
        "f" * 16,
        "GET",
        "web",
        2,
        1_700_000_000_000_000_001,
        12_345_678,
        2,
        "disk full",
        "a=1",
        0x101,
        0,
    )
    assert row.attributes == {
        "i": 2**63 - 1,
        "b": True,
        "f": 0.5,
        "s": "x",
        "a": [1, "z"],
        "raw": {"bytesValue": "AQI="},
    }
    assert {type(v) for v in row.attributes.values()} == {int, bool, float, str, list, dict}
    assert [(e.time, e.name, e.attributes, e.dropped_attributes) for e in row.events] == [(7, "e", {"n": 1}, 2)]
    assert [(x.trace_id, x.span_id, x.trace_state, x.attributes, x.flags) for x in row.links] == [
        ("b" * 32, "c" * 16, "x=1", {}, 3)
    ]
    assert (row.dropped_attributes, row.dropped_events, row.dropped_links) == (1, 2, 3)
    assert table.resources[row.resource] == ({"pid": 7, "service.name": "web"}, None, 0)
    assert table.scopes[row.scope] == ("io.http", None, {"k": "v"}, None, 0)


def test_what_is_missing_is_none():
    (row,) = span_table(built({}))
    assert row[2:13] == (None, "GET", None, 0, None, None, 0, None, None, None, 0)
    assert (row.attributes, list(row.events), list(row.links)) == ({}, [], [])


def test_traces_stay_together_in_order_of_first_appearance():
    traces = ["b" * 32, "a" * 32, "b" * 32, "c" * 32, "a" * 32]
    rows = list(span_table(built(*({"trace_id": t} for t in traces))))
    assert [(r.trace_id[0], r.span_id[-1]) for r in rows] == [
        ("b", "1"),
        ("b", "3"),
        ("a", "2"),
        ("a", "5"),
        ("c", "4"),
    ]


def test_resources_differ_by_every_value_and_its_type():
    found = [
        {"service.name": "web", "k": 1},
        {"service.name": "web", "k": 2},
        {"service.name": "web"},
        {"service.name": "cart", "k": 1},
    ]
    spans = built(*({"resource": r} for r in (0, 1, 2, 1, 3, 4)), resources=found)
    table = span_table(spans)
    assert [table.resources[row.resource].attributes for row in table] == [
        {},
        *({"k": 1, "service.name": "web"}, {"k": 2, "service.name": "web"}, {"k": 1, "service.name": "web"}),
        {"service.name": "web"},
        {"k": 1, "service.name": "cart"},
    ]
    assert len(table.resources) == 5


def test_other_attributes_are_attributes():
    found = {"s": "x", "n": 5, "a": to_json([1]), "t": "[1]", "inf": float("inf")}
    spans = built(
        {"attributes": found, "resource": 1, "scope": 1},
        {"resource": 2},
        attributes=[],
        resources=[{"k": 1}, {"k": True}],
        scopes=[("lib", {"z": 0.5})],
    )
    assert "span.s" not in spans
    table = span_table(spans)
    first, second = table
    assert first.attributes == {"s": "x", "n": 5, "a": [1], "t": "[1]", "inf": float("inf")}
    assert table.resources[first.resource].attributes == {"k": 1}
    assert table.resources[second.resource].attributes == {"k": True}
    assert table.scopes[first.scope].attributes == {"z": 0.5}


def test_a_text_that_only_looks_like_an_array_stays_text():
    frame = ta.read_jaeger(
        [{"traceID": "a", "spanID": "1", "process": {}, "tags": [{"key": "k", "type": "string", "value": "[1]"}]}]
    )
    (row,) = span_table(frame)
    assert row.attributes == {"k": "[1]"}
    frame.attrs.clear()  # without its report nothing tells the two apart
    (row,) = span_table(frame)
    assert row.attributes == {"k": [1]}


def test_frames_of_other_types():
    spans = built({"kind": 3, "status": 2, "trace_flags": 1}, {})
    plain = spans.astype(
        {"trace_id": "str", "kind": "str", "status": "str", "name": "object", "trace_flags": "float64"}
    )
    plain["start_time"] = spans["start_time"].astype("datetime64[us, UTC]")
    plain["span.k"] = pd.Series([np.int64(5), None], dtype="object")
    plain.index = ["x", "y"]
    rows = list(span_table(plain))
    assert [(r.kind, r.status, r.trace_flags) for r in rows] == [(3, 2, 1), (0, 0, None)]
    assert [r.attributes for r in rows] == [{"k": 5}, {}]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("trace_id", None, r"1 spans have no trace_id \(index 1 is the first\).*spans\[spans\.trace_id\.notna\(\)\]"),
        ("span_id", None, "1 spans have no span_id"),
        ("kind", "SERVANT", "kind of the span at index 1: found 'SERVANT', expected one of UNSPECIFIED, INTERNAL"),
        ("events", "{]", "events of the span at index 1: found '{]', expected JSON text of a list"),
        ("links", '[{"trace_id":5}]', "links of the span at index 1"),
    ],
)
def test_what_is_no_span_frame_is_refused(column, value, message):
    spans = built({"kind": 1}, {"kind": 1})
    spans[column] = spans[column].astype("str")
    spans.loc[1, column] = value
    with pytest.raises(ta.SchemaError, match=message):
        list(span_table(spans))


@given(strategies.span_frames())
def test_every_span_comes_once(spans):
    rows = list(span_table(spans))
    assert sorted((r.trace_id, r.span_id) for r in rows) == sorted(
        zip(spans["trace_id"], spans["span_id"], strict=True)
    )


def test_output(tmp_path):
    assert write_or_return(b"abc", None) == b"abc"
    assert write_or_return(b"abc", tmp_path / "a.json") is None
    assert (tmp_path / "a.json").read_bytes() == b"abc"
    assert write_or_return(b"abc", str(tmp_path / "a.json.gz")) is None
    assert gzip.decompress((tmp_path / "a.json.gz").read_bytes()) == b"abc"
    with pytest.raises(ta.OptionError, match="path=5 is no path"):
        write_or_return(b"abc", 5)
    with pytest.raises(ta.OptionError, match="cannot be written: No such file or directory"):
        write_or_return(b"abc", tmp_path / "no" / "a.json")
