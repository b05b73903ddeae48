"""``read_jaeger``: every rule of the mapping, real payloads, and damage."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from mutation import damaged, damaged_inside

import traceanalytics as ta

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
START = 1_778_768_625_000_000  # microseconds


def span(**more):
    found = {"traceID": TRACE, "spanID": "00f067aa0ba902b7", "operationName": "GET /", "startTime": START}
    return found | {"duration": 12_000, "processID": "p1"} | more


def trace(*spans, processes=None):
    return {
        "traceID": TRACE,
        "spans": list(spans),
        "processes": {"p1": {"serviceName": "web"}} if processes is None else processes,
    }


def answer(*spans, **more):
    return {"data": [trace(*spans, **more)]}


def tag(key, value, kind="string"):
    return {"key": key, "type": kind, "value": value}


def read_one(**more):
    frame = ta.read_jaeger(answer(span(**more)))
    assert len(frame) == 1
    return frame.iloc[0]


def counts(frame):
    return ta.read_report(frame).counts


def reference(kind, span_id, trace_id=TRACE):
    return {"refType": kind, "traceID": trace_id, "spanID": span_id}


# What the rows of the mapping say


def test_a_span_of_the_usual_kind():
    row = read_one(flags=1, references=[reference("CHILD_OF", "b7ad6b7169203331")])
    assert row["trace_id"] == TRACE
    assert row["span_id"] == "00f067aa0ba902b7"
    assert row["parent_span_id"] == "b7ad6b7169203331"
    assert (row["name"], row["service"], row["kind"], row["status"]) == ("GET /", "web", "UNSPECIFIED", "UNSET")
    assert row["start_time"] == pd.Timestamp("2026-05-14T14:23:45Z")
    assert row["duration_ms"] == 12.0
    assert row["trace_flags"] == 1
    assert row[["status_message", "trace_state", "scope_name", "scope_version", "events", "links"]].isna().all()


def test_ids_are_padded_on_the_left():
    row = read_one(traceID="ABC", spanID="1f", references=[reference("CHILD_OF", "2", "abc")])
    assert row["trace_id"] == "abc".rjust(32, "0")
    assert row["span_id"] == "1f".rjust(16, "0")
    assert row["parent_span_id"] == "2".rjust(16, "0")
    assert pd.isna(row["links"])


def test_foreign_ids_are_kept_and_noted_once():
    spans = [span(traceID="trace-abc", spanID=f"span-{i}") for i in range(5)]
    frame = ta.read_jaeger(answer(*spans))
    assert frame["trace_id"].tolist() == ["trace-abc"] * 5
    assert frame["span_id"].tolist() == [f"span-{i}" for i in range(5)]
    assert counts(frame) == {"ids that are not hex digits of the usual length, kept as they are": 1}


def test_a_span_without_trace_id_has_the_one_of_its_trace():
    one = span()
    del one["traceID"]
    assert ta.read_jaeger(answer(one)).loc[0, "trace_id"] == TRACE


@pytest.mark.parametrize("missing", ["", "0", "0" * 16, None])
def test_a_span_without_span_id_is_damage(missing):
    with pytest.raises(ta.FormatError, match=r"data\[0\]\.spans\[0\]: a span of trace .* has no span id"):
        read_one(spanID=missing)


def test_the_first_child_of_the_own_trace_is_the_parent_and_the_rest_are_links():
    row = read_one(
        references=[
            reference("CHILD_OF", "ff", "ff"),
            reference("FOLLOWS_FROM", "1"),
            reference("CHILD_OF", "2"),
            reference("CHILD_OF", "3"),
        ]
    )
    assert row["parent_span_id"] == "0000000000000002"
    assert json.loads(row["links"]) == [
        {
            "trace_id": "ff".rjust(32, "0"),
            "span_id": "ff".rjust(16, "0"),
            "attributes": {"opentracing.ref_type": "child_of"},
        },
        {"trace_id": TRACE, "span_id": "0000000000000001", "attributes": {"opentracing.ref_type": "follows_from"}},
        {"trace_id": TRACE, "span_id": "0000000000000003", "attributes": {"opentracing.ref_type": "child_of"}},
    ]


def test_a_follows_from_is_the_parent_where_there_is_no_other_and_stays_a_link():
    row = read_one(
        references=[
            reference("FOLLOWS_FROM", "9", "ff"),
            reference("FOLLOWS_FROM", "1"),
            reference("FOLLOWS_FROM", "2"),
        ]
    )
    assert row["parent_span_id"] == "0000000000000001"
    assert [link["span_id"][-1] for link in json.loads(row["links"])] == ["9", "1", "2"]


def test_a_reference_without_its_parts():
    row = read_one(references=[{"spanID": "5"}, {"refType": "CHILD_OF", "traceID": TRACE}])
    assert row["parent_span_id"] == "0000000000000005"
    assert pd.isna(row["links"])


def test_parent_span_id_counts_only_without_references():
    assert read_one(parentSpanID="7", references=[])["parent_span_id"] == "0000000000000007"
    assert read_one(parentSpanID="7", references=None)["parent_span_id"] == "0000000000000007"
    assert read_one(parentSpanID="7", references=[reference("CHILD_OF", "8")])["parent_span_id"] == "0000000000000008"


def test_microseconds_are_exact():
    frame = ta.read_jaeger(
        answer(
            span(startTime=1485467191639875, duration=5), span(spanID="2", startTime="1485467191639875", duration=-3)
        )
    )
    assert frame["start_time"].dt.as_unit("ns").array.asi8.tolist() == [1485467191639875000] * 2
    assert frame["duration_ms"].tolist() == [0.005, -0.003]


@pytest.mark.parametrize("start", [0, -1, -(2**60), None])
def test_no_start_time(start):
    frame = ta.read_jaeger(answer(span(startTime=start), span(spanID="2")))
    assert frame["start_time"].isna().tolist() == [True, False]


def test_times_that_count_from_zero():
    frame = ta.read_jaeger(answer(span(startTime=0), span(spanID="2", startTime=5)))
    assert frame["start_time"].dt.as_unit("ns").array.asi8.tolist() == [0, 5000]


def test_a_span_that_is_marked_to_have_no_start():
    row = read_one(startTime=0, tags=[{"key": "otel.zipkin.absentField.startTime", "type": "bool", "value": True}])
    assert pd.isna(row["start_time"])
    assert not [name for name in row.index if name.startswith("span.")]
    assert row["duration_ms"] == 12.0


def test_no_duration():
    one = span()
    del one["duration"]
    assert np.isnan(ta.read_jaeger(answer(one)).loc[0, "duration_ms"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"startTime": 2**63}, "lies outside of the years 1677 to 2262"),
        ({"startTime": 10**30}, "lies outside of the years 1677 to 2262"),
        ({"duration": 2**63}, "does not fit into 64 bits"),
        ({"duration": 2**53}, "does not fit into 64 bits|would end outside of the years"),
        (
            {"startTime": "soon"},
            r"data\[0\]\.spans\[0\]: startTime: found 'soon', expected a whole number of microseconds",
        ),
        ({"startTime": True}, "startTime: found True"),
        ({"duration": [1]}, r"duration: found \[1\]"),
        ({"logs": [{"timestamp": 2**63, "fields": []}]}, "timestamp of a log: 9223372036854775808 µs lies outside"),
        ({"logs": [{"timestamp": "x"}]}, "timestamp of a log: found 'x'"),
        ({"flags": 2**32}, "trace flags 4294967296 do not fit into 32 bits"),
        ({"flags": -1}, "trace flags -1 do not fit into 32 bits"),
        ({"spanID": 5}, r"spans\[0\], \$\.spanID: expected `str | null`, got `int`"),
        ({"tags": {"a": 1}}, r"\$\.tags: expected `array | null`, got `object`"),
    ],
)
def test_absurd_values_are_damage_with_a_place(more, message):
    with pytest.raises(ta.FormatError, match=message):
        read_one(**more)


def test_processes_are_resources():
    process = {
        "serviceName": "web",
        "tags": [
            tag("hostname", "h1"),
            tag("ip", "10.0.0.1"),
            tag("jaeger.version", "Go-2.30"),
            tag("replicas", 3, "int64"),
        ],
    }
    row = ta.read_jaeger(answer(span(), processes={"p1": process})).iloc[0]
    assert row["service"] == "web"
    assert row["resource.host.name"] == "h1"
    assert row["resource.ip"] == "10.0.0.1"
    assert row["resource.jaeger.version"] == "Go-2.30"
    assert row["resource.replicas"] == 3


@pytest.mark.parametrize("name", ["OTLPResourceNoServiceName", "", None])
def test_no_service(name):
    assert pd.isna(
        ta.read_jaeger(answer(span(), processes={"p1": {"serviceName": name, "tags": None}})).loc[0, "service"]
    )


def test_a_process_within_the_span():
    one = span(process={"serviceName": "cart", "tags": [tag("zone", "b")]})
    assert ta.read_jaeger([one])[["service", "resource.zone"]].to_numpy().tolist() == [["cart", "b"]]
    assert ta.read_jaeger(answer(one, processes={})).loc[0, "service"] == "cart"
    assert ta.read_jaeger(answer(one)).loc[0, "service"] == "web"  # the trace's process comes first


def test_an_unknown_process_costs_the_service_only():
    frame = ta.read_jaeger(answer(span(), span(spanID="2", processID="p9")))
    assert frame["service"].tolist()[0] == "web"
    assert frame["service"].isna().tolist() == [False, True]
    assert counts(frame) == {"span whose process is not given, kept without a service": 1}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (tag("k", "text"), "text"),
        (tag("k", True, "bool"), True),
        (tag("k", "false", "bool"), False),
        (tag("k", 23456, "int64"), 23456),
        (tag("k", "9223372036854775222", "int64"), 9223372036854775222),
        (tag("k", "-9223372036854775808", "int64"), -(2**63)),
        (tag("k", 9007199254740993, "int64"), 9007199254740993),
        (tag("k", 72.5, "float64"), 72.5),
        (tag("k", 16, "float64"), 16.0),
        (tag("k", "72.5", "float64"), 72.5),
        (tag("k", "Infinity", "float64"), float("inf")),
        (tag("k", "AAAwOQ==", "binary"), b"\x00\x0009"),
        (tag("k", '["a","b"]'), '["a","b"]'),
        ({"key": "k", "value": 5}, 5),
        ({"key": "k", "value": "v", "type": "STRING"}, "v"),
    ],
)
def test_types_of_tags(given, expected):
    row = ta.read_jaeger(answer(span(tags=[given])))
    assert counts(row) == {}
    value = ta.attributes(row)["span.k"] if isinstance(expected, bytes) else row["span.k"].tolist()[0]
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (tag("k", "abc", "int64"), "abc"),
        (tag("k", "9223372036854775808", "int64"), "9223372036854775808"),
        (tag("k", 2**63, "int64"), "9223372036854775808"),
        (tag("k", 2**64, "int64"), "18446744073709551616"),
        (tag("k", 1.5, "int64"), "1.5"),
        (tag("k", "yes", "bool"), "yes"),
        (tag("k", 1, "bool"), "1"),
        (tag("k", "much", "float64"), "much"),
        (tag("k", "not base64!", "binary"), "not base64!"),
        (tag("k", 5), "5"),
        (tag("k", {"a": 1}), '{"a":1}'),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_kept_as_text(given, expected):
    frame = ta.read_jaeger(answer(span(tags=[given])))
    assert frame.loc[0, "span.k"] == expected
    assert counts(frame) == {"tag whose value does not fit its type, kept as text": 1}


def test_a_text_that_looks_like_an_array_is_told_from_one():
    frame = ta.read_jaeger(answer(span(tags=[tag("k", '["a"]')])))
    assert ta.read_report(frame).text_like_json == ("span.k",)
    assert ta.attributes(frame)["span.k"] == '["a"]'


def test_a_key_twice_and_a_tag_without_value():
    frame = ta.read_jaeger(answer(span(tags=[tag("k", "1"), tag("k", "2"), tag("n", None)])))
    assert frame.loc[0, "span.k"] == "2"
    assert "span.n" not in frame
    assert counts(frame) == {
        "attribute key twice in one list, the last one kept": 1,
        "attribute without a value, left out": 1,
    }


@pytest.mark.parametrize("kind", ["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"])
def test_kinds(kind):
    row = read_one(tags=[tag("span.kind", kind.lower())])
    assert row["kind"] == kind
    assert "span.span.kind" not in row


def test_an_unknown_kind_stays_an_attribute():
    row = read_one(tags=[tag("span.kind", "broker")])
    assert row["kind"] == "UNSPECIFIED"
    assert row["span.span.kind"] == "broker"


@pytest.mark.parametrize(
    ("tags", "status", "left"),
    [
        ([tag("error", True, "bool")], "ERROR", None),
        ([tag("error", "true")], "ERROR", None),
        ([tag("error", "true", "bool")], "ERROR", None),
        ([tag("error", False, "bool")], "UNSET", None),
        ([tag("error", "false")], "UNSET", None),
        ([tag("error", "unset")], "UNSET", None),
        ([tag("error", "unset"), tag("error", "true")], "ERROR", None),  # VictoriaTraces, in either order
        ([tag("error", "true"), tag("error", "unset")], "ERROR", None),
        ([tag("error", "ClientSideError")], "UNSET", "ClientSideError"),
        ([tag("error", "ClientSideError"), tag("otel.status_code", "ERROR")], "ERROR", "ClientSideError"),
        ([tag("otel.status_code", "OK")], "OK", None),
        ([tag("otel.status_code", "ERROR")], "ERROR", None),
        ([tag("otel.status_code", "UNSET")], "UNSET", None),
        ([tag("otel.status_code", "OK"), tag("error", True, "bool")], "ERROR", None),
        ([tag("otel.status_code", "ERROR"), tag("error", False, "bool")], "ERROR", None),
        ([tag("http.status_code", 500, "int64")], "UNSET", None),
    ],
)
def test_statuses(tags, status, left):
    row = read_one(tags=tags)
    assert row["status"] == status
    assert row.get("span.error") == left
    assert "span.otel.status_code" not in row


def test_an_unknown_status_code_stays_an_attribute():
    row = read_one(tags=[tag("otel.status_code", "MAYBE"), tag("otel.status_description", "disk full")])
    assert (row["status"], row["status_message"], row["span.otel.status_code"]) == ("UNSET", "disk full", "MAYBE")


@pytest.mark.parametrize("prefix", ["otel.scope", "otel.library"])
def test_scopes(prefix):
    row = read_one(
        tags=[tag(f"{prefix}.name", "io.http"), tag(f"{prefix}.version", "1.0"), tag("w3c.tracestate", "a=1")]
    )
    assert (row["scope_name"], row["scope_version"], row["trace_state"]) == ("io.http", "1.0", "a=1")
    assert not [name for name in row.index if name.startswith("span.")]


def test_logs_are_events():
    logs = [
        {
            "timestamp": START + 4,
            "fields": [tag("event", "exception"), tag("n", 5, "int64"), tag("raw", "AQI=", "binary")],
        },
        {"timestamp": START, "fields": [tag("message", "m"), tag("ratio", 0.5, "float64")]},
        {"timestamp": 0, "fields": [tag("a", 1, "int64"), tag("event", 7, "int64"), tag("event", "second")]},
        {"fields": None},
    ]
    frame = ta.read_jaeger(answer(span(logs=logs)))
    assert json.loads(frame.loc[0, "events"]) == [
        {"time": (START + 4) * 1000, "name": "exception", "attributes": {"n": 5, "raw": {"bytesValue": "AQI="}}},
        {"time": START * 1000, "name": "", "attributes": {"message": "m", "ratio": 0.5}},
        {"time": 0, "name": "7", "attributes": {"a": 1, "event": "second"}},
        {"time": 0, "name": "", "attributes": {}},
    ]
    assert counts(frame) == {"name of an event that is no text, read as text": 1}
    assert ta.events(frame)["offset_ms"].tolist()[0] == 0.004


def test_warnings():
    body = answer(span(warnings=["clock skew", "late"]), span(spanID="2", warnings=[]))
    body["data"][0]["warnings"] = ["trace is odd"]
    frame = ta.read_jaeger(body)
    assert frame["span.jaeger.warnings"].tolist()[0] == '["clock skew","late"]'
    assert frame["span.jaeger.warnings"].isna().tolist() == [False, True]
    assert ta.read_report(frame).to_frame().to_numpy().tolist() == [
        ["warning of Jaeger on a trace", "<object>", "data[0]", "trace is odd"]
    ]


@pytest.mark.parametrize("key", ["traceID", "spanID", "operationName", "startTime"])
def test_a_property_twice_is_noted(key):
    text = json.dumps(answer(span())).replace(f'"{key}"', f'"{key}": "1", "{key}"')
    frame = ta.read_jaeger(text)
    places = ta.read_report(frame).to_frame()
    assert places.reason.tolist() == ["property twice in one object, the last one kept"]
    assert places.detail.tolist() == [key]


# What is an answer, and what is not


def test_forms_of_an_answer():
    one, two = trace(span()), trace(span(spanID="2"))
    expected = ["00f067aa0ba902b7", "0000000000000002"]
    lines = f"{json.dumps(one)}\n{json.dumps({'data': [two]})}\n"
    for source in (
        {"data": [one, two]},
        [one, two],
        [{"data": [one]}, two],
        lines,
        lines.encode(),
        json.dumps({"data": [one, two]}, indent=2),
    ):
        assert ta.read_jaeger(source)["span_id"].tolist() == expected
    assert ta.read_jaeger(one)["span_id"].tolist() == expected[:1]
    assert ta.read_jaeger([span(), span(spanID="2")])["span_id"].tolist() == expected


@pytest.mark.parametrize("body", [{"data": []}, {"data": None}, {"data": [], "errors": None}, {"data": [trace()]}, []])
def test_no_spans(body):
    frame = ta.read_jaeger(body)
    assert len(frame) == 0
    assert list(frame.columns)[:3] == ["trace_id", "span_id", "parent_span_id"]


def test_an_answer_with_an_error():
    with pytest.raises(ta.FormatError, match=r"answered with an error and no traces: trace not found \(code 404\)"):
        ta.read_jaeger({"data": None, "errors": [{"code": 404, "msg": "trace not found"}]})
    frame = ta.read_jaeger(answer(span()) | {"errors": [{"code": 500, "msg": "one shard is down"}]})
    assert ta.read_report(frame).to_frame().detail.tolist() == ["one shard is down (code 500)"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "the source is empty"),
        (b" \n ", "the source is empty"),
        (b"hello", "malformed"),
        (b"5", "found '5'"),
        (b"[5]", r"\[0\]: found '5'"),
        (b'"text"', "found '\"text\"'"),
        ("{}", r"no trace of Jaeger: the keys are \(none\)"),
        ({"data": {}}, r"data is '\{\}'"),
        ({"data": ["frontend"]}, r"data\[0\]: found '\"frontend\"'"),
        (
            {"data": [{"parent": "a", "child": "b", "callCount": 1}]},
            r"data\[0\]: no trace of Jaeger: the keys are 'parent', 'child', 'callCount'",
        ),
        ({"resourceSpans": []}, "looks like OTLP JSON .*: ta.read_otlp"),
        ({"result": {"resourceSpans": []}}, "looks like OTLP JSON .*: ta.read_otlp"),
        ([{"traceId": "1", "id": "2", "name": "x"}], "looks like Zipkin JSON: ta.read_zipkin"),
        ([{"name": "x", "context": {"trace_id": "0x1"}}], "looks like records of spans: ta.read_records"),
        (
            {"hits": {"hits": []}},
            "Elasticsearch documents of Jaeger are not read. Export the trace through Jaeger's HTTP API",
        ),
        ([span(startTimeMillis=1)], "Elasticsearch documents of Jaeger are not read"),
        ({"spans": 5, "processes": {}}, "expected `array | null`, got `int`"),
        ({"spans": [], "processes": 5}, "expected `object | null`, got `int`"),
        (b'{"data": [{"traceID": "1"', "JSON ends early: the text was cut off"),
        (b'{"data": [{"traceID": "1", }]}', "malformed"),
        (b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (json.dumps(answer(span(operationName="X"))).encode().replace(b"X", b"\xff"), r"spans\[0\]: invalid UTF-8"),
    ],
)
def test_what_is_no_jaeger_is_refused(source, message):
    with pytest.raises(ta.FormatError, match=message):
        ta.read_jaeger(source)
    frame = ta.read_jaeger(source, on_error="skip") if source not in (b"", b" \n ") else None
    assert frame is None or (len(frame) == 0 and ta.read_report(frame).skipped > 0)


def test_deep_nesting_costs_one_span():
    deep = span(spanID="2", tags=[tag("k", "DEEP")])
    text = json.dumps(answer(span(), deep, span(spanID="3"))).replace('"DEEP"', "[" * 100_000 + "]" * 100_000)
    frame = ta.read_jaeger(text, on_error="skip")
    assert frame["span_id"].str[-1].tolist() == ["7", "3"]
    assert frame["service"].tolist() == ["web"] * 2


def test_a_damaged_span_or_process_costs_itself_only():
    body = answer(
        span(),
        span(spanID=7),
        span(spanID="3", processID="p2"),
        processes={"p1": {"serviceName": "web"}, "p2": {"serviceName": 5}},
    )
    frame = ta.read_jaeger(body, on_error="skip")
    assert frame["span_id"].str[-1].tolist() == ["7", "3"]
    assert frame["service"].isna().tolist() == [False, True]
    report = ta.read_report(frame)
    assert (report.skipped, report.counts["damaged record, left out"]) == (2, 2)
    assert [p.position for p in report.places[:2]] == [
        "data[0].processes.p2, $.serviceName",
        "data[0].spans[1], $.spanID",
    ]


def test_places_are_said_once():
    with pytest.raises(ta.FormatError, match=r"^<text>, byte 9: JSON is malformed"):
        ta.read_jaeger('{"data": x}')
    lines = f"{json.dumps(trace(span()))}\n" * 2 + "{]\n"
    with pytest.raises(ta.FormatError, match=r"^<text>, line 3, byte \d+: JSON is malformed"):
        ta.read_jaeger(lines)


# Real payloads

REFUSED = {"jaeger_es_01.json", "jaeger_es_v2_01_string_tags.json"}


def plain_ids(node):
    """(trace, span, operation, µs, service) of every span of a document, found without the reader."""
    if isinstance(node, list):
        return [found for item in node for found in plain_ids(item)]
    if "data" in node:
        return plain_ids(node["data"])
    spans, processes = node.get("spans", [node]), node.get("processes", {})
    found = []
    for s in spans:
        service = (processes.get(s.get("processID")) or s["process"])["serviceName"]
        ids = [
            i.lower().rjust(n, "0") if set(i.lower()) <= set("0123456789abcdef") else i
            for i, n in ((s["traceID"], 32), (s["spanID"], 16))
        ]
        found.append((*ids, s["operationName"], s["startTime"] * 1000, s["duration"] / 1000, service))
    return found


def test_every_file_of_the_corpus(corpus):
    read = 0
    for path in sorted((corpus / "jaeger_json").glob("*.json")):
        if path.name in REFUSED:
            with pytest.raises(ta.FormatError, match="Elasticsearch documents of Jaeger are not read"):
                ta.read_jaeger(path)
            continue
        frame = ta.read_jaeger(path)
        start = frame["start_time"].dt.as_unit("ns").array.asi8
        found = zip(
            frame["trace_id"],
            frame["span_id"],
            frame["name"],
            np.where(frame["start_time"].isna(), 0, start).tolist(),
            frame["duration_ms"],
            frame["service"],
            strict=True,
        )
        assert list(found) == plain_ids(json.loads(path.read_bytes())), path.name
        read += 1
    assert read > 80


def test_the_model_json_of_the_storage_is_refused(corpus):
    for path in (corpus / "jaeger_model_json").glob("*.json"):
        with pytest.raises(
            ta.FormatError, match=r"the model JSON of Jaeger's storage .* is not read\. Export the trace"
        ):
            ta.read_jaeger(path)


def by_id(frame):
    frame = frame.assign(trace_id=frame["trace_id"].astype("str"))
    return frame.sort_values(["trace_id", "span_id"], kind="stable").reset_index(drop=True)


def as_jaeger_says_it(spans):
    """A frame of OTLP spans less what Jaeger's classic answer loses; see the table of losses."""
    start = spans["start_time"].dt.as_unit("ns").array.asi8
    said = spans.assign(
        start_time=pd.to_datetime(start // 1000 * 1000, utc=True),
        duration_ms=(spans["duration_ms"] * 1e6).round().astype("int64") // 1000 / 1000,
        trace_flags=spans["trace_flags"].where((spans["trace_flags"] & 3) != 0),  # left out where zero
    )
    said["events"] = said["events"].map(in_microseconds, na_action="ignore").astype("str")
    said["links"] = said["links"].map(with_ref_type, na_action="ignore").astype("str")
    if "span.error" in said:
        failed = said["span.error"].astype("str") == "true"
        said["status"] = said["status"].mask(failed, "ERROR")
        said = said.drop(columns="span.error")
    return said.drop(
        columns=[c for c in said if str(c).endswith("schema_url") or str(c).startswith("instrumentation.")]
    )


def in_microseconds(cell):
    items = [item | {"time": item["time"] // 1000 * 1000} for item in json.loads(cell)]
    return json.dumps(items, separators=(",", ":"), ensure_ascii=False).replace("},{", "},\n{")


def with_ref_type(cell):
    items = [
        {"trace_id": i["trace_id"], "span_id": i["span_id"], "attributes": {"opentracing.ref_type": "follows_from"}}
        for i in json.loads(cell)
    ]
    return json.dumps(items, separators=(",", ":")).replace("},{", "},\n{")


@pytest.mark.parametrize(
    ("otlp", "jaeger"),
    [
        ("oteldemo_collector_file_exporter_mixed.jsonl", "oteldemo_via_jaeger_2.20.0_api_traces.json"),
        ("jaeger_otlp2jaeger-in.json", "jaeger_otlp2jaeger-out.json"),
        ("jaeger_otlp2jaeger-in.json", "jaegerui_otlp2jaeger-out.json"),
        ("jaegerui_otlp2jaeger-multi-in.json.txt", "jaegerui_oltp2jaeger-multi-out.json"),
        ("perses_pushbytes_otlp.json", "perses_pushbytes_jaeger.json"),
    ],
)
def test_what_jaeger_made_of_otlp_is_the_same_but_for_its_losses(corpus, otlp, jaeger):
    expected = by_id(as_jaeger_says_it(ta.read_otlp(corpus / "otlp_json" / otlp)))
    found = by_id(ta.read_jaeger(corpus / "jaeger_json" / jaeger))
    pd.testing.assert_frame_equal(found, expected[found.columns], check_categorical=False)
    assert set(expected.columns) == set(found.columns)


def test_victoria_traces_fails_the_same_spans(corpus):
    """VictoriaTraces moved the same demo in time; which spans failed must not depend on its error="unset"."""
    folder = corpus / "jaeger_json"
    theirs = ta.read_jaeger(folder / "oteldemo_shifted_via_victoriatraces_2025-07.json")
    ours = ta.read_jaeger(folder / "oteldemo_via_jaeger_2.20.0_api_traces.json")
    failed = [set(f.loc[f["status"] == "ERROR", "span_id"]) for f in (theirs, ours)]
    assert failed[0] == failed[1]
    assert len(failed[0]) > 40


# Damage

SMALL = (
    "crisp_2.json",
    "crisp_err_pattern1_err1.json",
    "jaeger_anonymizer_trace_success.json",
    "jaeger_otlp2jaeger-out.json",
    "jaeger_ui_01.json",
    "jaegerui_TraceGraph_testTrace.json",
    "perses_pushbytes_jaeger.json",
    "quickwit_jaeger_ui_trace.json",
)


@pytest.mark.parametrize("name", SMALL)
def test_damage_is_an_error_of_ours_or_a_frame(corpus, name):
    data = (corpus / "jaeger_json" / name).read_bytes()
    for seed in range(250):
        worse = damaged(data, seed)
        try:
            frame = ta.read_jaeger(worse, on_error="skip" if seed % 2 else "raise")
        except ta.TraceAnalyticsError:
            continue
        assert frame["trace_id"].notna().all(), seed


def records(frame):
    """Values of every span as texts, for damage in one span may change the type of a column."""
    names = list(frame.columns)
    return {
        (row[0], row[1]): {n: str(v).lower() for n, v in zip(names, row, strict=True) if not pd.isna(v)}
        for row in frame.astype("object").itertuples(index=False, name=None)
    }


@pytest.fixture(scope="module")
def three_traces(corpus):
    files = sorted((corpus / "jaeger_json").glob("traceweaver_nodejs_node_load150_*.json"))[:3]
    return [json.loads(path.read_bytes())["data"][0] for path in files]


@pytest.mark.parametrize("processes_first", [True, False])
@pytest.mark.parametrize("lines", [True, False])
def test_damage_inside_one_span_costs_no_other(three_traces, processes_first, lines):
    order = ("processes", "traceID", "spans") if processes_first else ("traceID", "spans", "processes")
    traces = [json.dumps({key: t[key] for key in order}) for t in three_traces]
    text = "\n".join(traces) if lines else '{"data": [' + ", ".join(traces) + "]}"
    clean = records(ta.read_jaeger(text))
    spans = [s for t in three_traces for s in t["spans"]]
    assert len(clean) == len(spans) == 18
    lost = 0
    for seed in range(120):
        victim = json.dumps(spans[seed % len(spans)])
        start = text.index(victim)
        frame = ta.read_jaeger(damaged_inside(text.encode(), start, start + len(victim), seed), on_error="skip")
        found = records(frame)
        others = {
            key: value
            for key, value in clean.items()
            if key != (spans[seed % 18]["traceID"].rjust(32, "0"), spans[seed % 18]["spanID"].rjust(16, "0"))
        }
        assert len(others) == 17
        assert [key for key in found if key in others] == list(others), seed
        assert {key: found[key] for key in others} == others, seed
        if len(frame) < len(spans):
            lost += 1
            assert ta.read_report(frame).skipped >= 1, seed
    assert lost > 20


@pytest.mark.parametrize("processes_first", [True, False])
def test_a_trace_whose_processes_are_lost_does_not_get_those_of_its_neighbour(processes_first):
    order = ("processes", "traceID", "spans") if processes_first else ("traceID", "spans", "processes")
    traces = []
    for letter in "abc":
        spans = [span(traceID=letter * 32, spanID=f"{i + 1}") for i in range(3)]
        found = {"traceID": letter * 32, "spans": spans, "processes": {"p1": {"serviceName": letter}}}
        traces.append(json.dumps({key: found[key] for key in order}))
    text = '{"data": [' + ", ".join(traces) + "]}"
    spans_at = [found.start() for found in re.finditer('"spanID"', text)]
    lost = text[: spans_at[2] - 5] + text[spans_at[4] + 5 :]  # from the last span of the first trace into the second
    frame = ta.read_jaeger(lost, on_error="skip")
    services = {
        (t[0], s) for t, s in zip(frame["trace_id"], frame["service"].astype("object"), strict=True) if not pd.isna(s)
    }
    assert services <= {("a", "a"), ("b", "b"), ("c", "c")}
    assert ("c", "c") in services
    assert len(frame) == 6  # two, one and three


def test_a_line_break_within_a_span_does_not_part_spans_and_processes():
    lines = [json.dumps(trace(span(), span(spanID=str(i)), processes={"p1": {"serviceName": f"s{i}"}})) for i in (2, 3)]
    broken = "\n".join(lines).replace('"duration"', '"dura\ntion"', 1)
    frame = ta.read_jaeger(broken, on_error="skip")
    assert frame["service"].tolist() == ["s2", "s3", "s3"]
    assert ta.read_report(frame).skipped >= 1
    whole = "\n".join(lines).replace('"duration"', '\n"duration"', 1)
    assert ta.read_jaeger(whole, on_error="skip")["service"].tolist() == ["s2", "s2", "s3", "s3"]
