"""``to_jaeger``: what is written, and that reading it gives the frame again."""

from __future__ import annotations

import gzip
import json

import pandas as pd
import pytest
import strategies
from frames import assert_same_spans
from hypothesis import given

import traceanalytics as ta
from traceanalytics.io.builder import SpanBuilder
from traceanalytics.spans.cells import encode_json, event_cell, link_cell, to_json

TRACE, OTHER = "a" * 32, "b" * 32
SPAN, PARENT = "1" * 16, "2" * 16


def built(resource=None, scope=(None, None), **more):
    builder = SpanBuilder(lambda *_: None)
    number = builder.resource(resource or {})
    builder.add(
        **{"trace_id": TRACE, "span_id": SPAN, "name": "GET"} | more, resource=number, scope=builder.scope(*scope)
    )
    return builder.frame()[0]


def written(**more):
    document = json.loads(ta.to_jaeger(built(**more)))
    assert list(document) == ["data", "total", "limit", "offset", "errors"]
    (trace,) = document["data"]
    assert trace["traceID"] == TRACE
    (span,) = trace["spans"]
    return span, trace["processes"][span["processID"]]


def tags_of(span):
    return {t["key"]: (t["type"], t["value"]) for t in span["tags"]}


def test_a_span_as_jaeger_writes_it():
    span, process = written(
        parent_span_id=PARENT,
        kind=2,
        start_ns=1_485_467_191_639_875_999,
        duration_ns=5_999,
        trace_flags=0x301,
        resource={"service.name": "web", "host.name": "h1", "replicas": 3},
    )
    assert span == {
        "traceID": TRACE,
        "spanID": SPAN,
        "flags": 1,
        "operationName": "GET",
        "references": [{"refType": "CHILD_OF", "traceID": TRACE, "spanID": PARENT}],
        "startTime": 1_485_467_191_639_875,
        "duration": 5,
        "tags": [{"key": "span.kind", "type": "string", "value": "server"}],
        "logs": [],
        "processID": "p1",
        "warnings": None,
    }
    assert process == {
        "serviceName": "web",
        "tags": [
            {"key": "host.name", "type": "string", "value": "h1"},
            {"key": "replicas", "type": "int64", "value": 3},
        ],
    }


def test_what_is_missing():
    span, process = written()
    assert (span["startTime"], span["duration"], span["references"], "flags" in span) == (0, 0, [], False)
    assert process == {"serviceName": "OTLPResourceNoServiceName", "tags": []}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", ("string", "x")),
        (True, ("bool", True)),
        (5, ("int64", 5)),
        (2**53 - 1, ("int64", 2**53 - 1)),
        (2**53, ("int64", "9007199254740992")),
        (-(2**63), ("int64", "-9223372036854775808")),
        (0.5, ("float64", 0.5)),
        (float("-inf"), ("float64", "-Infinity")),
        (to_json(["a", 1]), ("string", '["a",1]')),
        (to_json({"a": {}}), ("string", '{"a":{}}')),
        (to_json({"bytesValue": "AQI="}), ("binary", "AQI=")),
        (to_json({"bytesValue": "?"}), ("string", '{"bytesValue":"?"}')),
    ],
)
def test_types(value, expected):
    assert tags_of(written(attributes={"k": value})[0])["k"] == expected


def test_tags_for_what_has_no_field():
    span, _ = written(
        start_ns=1_000, scope=("io.http", "1.0"), kind=5, status=2, status_message="disk full", trace_state="a=1"
    )
    assert tags_of(span) == {
        "otel.scope.name": ("string", "io.http"),
        "otel.scope.version": ("string", "1.0"),
        "span.kind": ("string", "consumer"),
        "otel.status_code": ("string", "ERROR"),
        "otel.status_description": ("string", "disk full"),
        "w3c.tracestate": ("string", "a=1"),
        "error": ("bool", True),
    }
    assert tags_of(written(start_ns=1_000, status=1)[0]) == {"otel.status_code": ("string", "OK")}
    assert tags_of(written(start_ns=1_000, status=2, attributes={"error": "ClientSideError"})[0]) == {
        "error": ("string", "ClientSideError"),
        "otel.status_code": ("string", "ERROR"),
    }


def test_logs_and_warnings():
    events = [
        {"time": 5_999, "name": "e", "attributes": {"n": 1, "a": [1]}},
        {"time": 0, "name": "", "attributes": {"event": "x"}},
    ]
    span, _ = written(start_ns=1_000, events=event_cell(events), attributes={"jaeger.warnings": to_json(["late"])})
    assert span["logs"] == [
        {
            "timestamp": 5,
            "fields": [
                {"key": "event", "type": "string", "value": "e"},
                {"key": "n", "type": "int64", "value": 1},
                {"key": "a", "type": "string", "value": "[1]"},
            ],
        },
        {
            "timestamp": 0,
            "fields": [
                {"key": "event", "type": "string", "value": ""},
                {"key": "event", "type": "string", "value": "x"},
            ],
        },
    ]
    assert (span["warnings"], span["tags"]) == (["late"], [])


def link(trace_id, span_id, kind=None):
    return {
        "trace_id": trace_id,
        "span_id": span_id,
        "attributes": {"opentracing.ref_type": kind} if kind else {"k": 1},
    }


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ([], ["CHILD_OF a2"]),
        ([link(OTHER, "3" * 16)], ["CHILD_OF a2", "FOLLOWS_FROM b3"]),
        ([link(OTHER, "3" * 16, "child_of")], ["CHILD_OF a2", "CHILD_OF b3"]),
        ([link(TRACE, PARENT)], ["CHILD_OF a2", "FOLLOWS_FROM a2"]),
        ([link(TRACE, PARENT, "follows_from")], ["FOLLOWS_FROM a2"]),
        ([link(OTHER, "3" * 16), link(TRACE, PARENT, "follows_from")], ["FOLLOWS_FROM b3", "FOLLOWS_FROM a2"]),
        ([link(TRACE, "3" * 16), link(TRACE, PARENT, "follows_from")], ["FOLLOWS_FROM a2", "FOLLOWS_FROM a3"]),
    ],
)
def test_references(links, expected):
    span, _ = written(parent_span_id=PARENT, links=link_cell(links))
    assert [f"{r['refType']} {r['traceID'][0]}{r['spanID'][0]}" for r in span["references"]] == expected
    assert (
        ta.read_jaeger(ta.to_jaeger(built(parent_span_id=PARENT, links=link_cell(links)))).loc[0, "parent_span_id"]
        == PARENT
    )


def test_files(tmp_path, corpus):
    spans = ta.read_jaeger(corpus / "jaeger_json" / "crisp_10.json")
    data = ta.to_jaeger(spans)
    assert ta.to_jaeger(spans, tmp_path / "a.json") is None
    assert (tmp_path / "a.json").read_bytes() == data
    ta.to_jaeger(spans, str(tmp_path / "a.json.gz"))
    assert gzip.decompress((tmp_path / "a.json.gz").read_bytes()) == data
    assert_same_spans(ta.read_jaeger(tmp_path / "a.json.gz"), spans)


def test_an_empty_frame():
    empty = ta.read_jaeger({"data": []})
    assert json.loads(ta.to_jaeger(empty))["data"] == []
    pd.testing.assert_frame_equal(ta.read_jaeger(ta.to_jaeger(empty)), empty)


def test_what_is_no_span_frame_is_refused():
    with pytest.raises(ta.SchemaError, match="expected a span frame"):
        ta.to_jaeger([{"traceID": "1"}])
    spans = built()
    with pytest.raises(ta.SchemaError, match="the index repeats 1 labels"):
        ta.to_jaeger(pd.concat([spans, spans]))


def in_order_of_traces(spans):
    traces = spans["trace_id"].astype("str")
    rank = traces.map({trace: i for i, trace in enumerate(dict.fromkeys(traces))})
    return spans.iloc[rank.argsort(kind="stable")].reset_index(drop=True)


def test_frames_of_the_corpus_come_back(corpus):
    """Not one column, row or cell differs: what this reader makes of Jaeger's JSON, Jaeger's JSON can say."""
    for path in sorted((corpus / "jaeger_json").glob("*.json")):
        if path.name.startswith("jaeger_es_"):
            continue
        spans = ta.read_jaeger(path)
        pd.testing.assert_frame_equal(ta.read_jaeger(ta.to_jaeger(spans)), in_order_of_traces(spans), obj=path.name)


def test_attributes_without_columns_are_written_too(corpus):
    path = corpus / "jaeger_json" / "oteldemo_via_jaeger_2.20.0_api_traces.json"
    narrow = ta.read_jaeger(path, attributes=["http.method"])
    assert len(narrow.columns) < 20
    assert_same_spans(ta.read_jaeger(ta.to_jaeger(narrow)), ta.read_jaeger(path))


def as_jaeger_keeps_it(spans):
    """A frame less what the format cannot say; the list of losses in the documentation of ``to_jaeger``."""
    kept = spans.drop(
        columns=[
            c
            for c in spans
            if str(c).startswith(("instrumentation.", "dropped_"))
            or str(c).endswith(("_schema_url", "_dropped_attributes"))
        ]
    )
    kept["duration_ms"] = kept["duration_ms"].fillna(0.0)
    kept["trace_flags"] = kept["trace_flags"] & 0xFF
    kept["events"] = kept["events"].map(flat_events, na_action="ignore").astype("str")
    links = [links_by_id(cell) for cell in kept["links"]]
    parents = [
        parent if not pd.isna(parent) else next((x["span_id"] for x in found if x["trace_id"] == trace), None)
        for parent, trace, found in zip(kept["parent_span_id"], kept["trace_id"], links, strict=True)
    ]
    kept["parent_span_id"] = pd.array(parents, dtype="str")
    kept["links"] = pd.array([link_cell(found) for found in links], dtype="str")
    return in_order_of_traces(kept)


def flat_events(cell):
    return event_cell(
        [
            {"time": e["time"], "name": e["name"], "attributes": {k: flat(v) for k, v in e["attributes"].items()}}
            for e in json.loads(cell)
        ]
    )


def flat(value):
    is_array_or_map = isinstance(value, list) or (
        isinstance(value, dict) and value.keys() not in ({"bytesValue"}, {"doubleValue"})
    )
    return encode_json(value) if is_array_or_map else value


def links_by_id(cell):
    found = [] if pd.isna(cell) else json.loads(cell)
    return [
        {"trace_id": x["trace_id"], "span_id": x["span_id"], "attributes": {"opentracing.ref_type": "follows_from"}}
        for x in found
    ]


@given(strategies.span_frames(microseconds=True))
def test_frames_come_back_but_for_the_documented_losses(spans):
    found = ta.read_jaeger(ta.to_jaeger(spans))
    assert_same_spans(found, as_jaeger_keeps_it(spans))


@given(
    strategies.span_frames(
        microseconds=True, simple_scopes=True, links=False, string_attributes=True, missing_times=False
    )
)
def test_what_the_format_can_say_comes_back_cell_by_cell(spans):
    spans["trace_flags"] = spans["trace_flags"] & 0xFF
    pd.testing.assert_frame_equal(
        ta.read_jaeger(ta.to_jaeger(spans)), in_order_of_traces(spans), check_categorical=False
    )


@given(strategies.span_frames())
def test_nanoseconds_are_cut_as_jaeger_cuts_them(spans):
    found = ta.read_jaeger(ta.to_jaeger(spans))
    expected = in_order_of_traces(spans)
    known = expected["start_time"].notna()
    assert (found["start_time"].isna() == ~known).all()
    assert (
        found["start_time"][known].astype("int64") == expected["start_time"][known].astype("int64") // 1000 * 1000
    ).all()
    nanoseconds = (expected["duration_ms"].fillna(0) * 1e6).round().astype("int64")
    assert (found["duration_ms"] == nanoseconds // 1000 / 1000).all()
