"""``read_records``: flat dicts, the SDK's console output, and live spans."""

from __future__ import annotations

import datetime as dt
import json

import pandas as pd
import pytest
from frames import assert_same_spans
from opentelemetry import trace as otel
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import traceanalytics as ta

RECORD = {
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "span_id": "00f067aa0ba902b7",
    "parent_span_id": "a1b2c3d4e5f67890",
    "name": "HTTP GET /api/users/123",
    "kind": "CLIENT",
    "start_time": "2026-05-14T14:23:45.123456Z",
    "end_time": "2026-05-14T14:23:45.189456Z",
    "duration_ms": 66,
    "status": {"code": "OK"},
    "attributes": {"http.method": "GET", "http.status_code": 200, "net.peer.port": 443, "service.name": "cart-service"},
    "events": [
        {
            "name": "cache_miss",
            "timestamp": "2026-05-14T14:23:45.125000Z",
            "attributes": {"cache.key": "user:123", "cache.backend": "redis"},
        }
    ],
}
START = 1778768625123456000


def read_one(**changes):
    record = {k: v for k, v in {**RECORD, **changes}.items() if v is not ...}
    return ta.read_records([record]).iloc[0]


def test_a_flat_record():
    row = read_one()
    assert (row["trace_id"], row["span_id"], row["parent_span_id"]) == (
        RECORD["trace_id"],
        RECORD["span_id"],
        RECORD["parent_span_id"],
    )
    assert (row["name"], row["service"], row["kind"], row["status"]) == (RECORD["name"], "cart-service", "CLIENT", "OK")
    assert (row["start_time"].value, row["duration_ms"]) == (START, 66.0)
    assert (row["span.http.status_code"], row["span.net.peer.port"], row["span.http.method"]) == (200, 443, "GET")
    assert json.loads(row["events"]) == [
        {
            "time": START + 1_544_000,
            "name": "cache_miss",
            "attributes": {"cache.key": "user:123", "cache.backend": "redis"},
        }
    ]
    assert "span.service.name" not in row.index


@pytest.mark.parametrize("form", ["dict", "list", "text", "lines", "run together", "holder", "file"])
def test_every_form_of_records_gives_the_same_frame(form, tmp_path):
    text = json.dumps(RECORD, indent=2)
    (tmp_path / "r.json").write_text(text)
    source = {
        "dict": RECORD,
        "list": [RECORD, RECORD],
        "text": json.dumps([RECORD]),
        "lines": (json.dumps(RECORD) + "\n" + json.dumps(RECORD)).encode(),
        "run together": (text + text + "\n").encode(),
        "holder": {"spans": [RECORD]},
        "file": str(tmp_path / "r.json"),
    }[form]
    for read in (ta.read_records,) if form == "holder" else (ta.read_records, ta.read):
        spans = read(source)
        assert ta.read_report(spans).formats == ("records",)
        for i in range(len(spans)):
            assert_same_spans(spans.iloc[[i]], ta.read_records(RECORD))


@pytest.mark.parametrize(
    ("changes", "column", "expected"),
    [
        ({"trace_id": "0x4BF92F3577B34DA6A3CE929D0E0E4736"}, "trace_id", RECORD["trace_id"]),
        ({"trace_id": "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"}, "trace_id", RECORD["trace_id"]),
        ({"trace_id": int(RECORD["trace_id"], 16)}, "trace_id", RECORD["trace_id"]),
        ({"span_id": bytes.fromhex(RECORD["span_id"])}, "span_id", RECORD["span_id"]),
        ({"span_id": "|a.b."}, "span_id", "|a.b."),
        ({"parent_span_id": "0000000000000000"}, "parent_span_id", None),
        ({"kind": "SpanKind.SERVER"}, "kind", "SERVER"),
        ({"kind": 5}, "kind", "CONSUMER"),
        ({"status": "ERROR", "status_message": "boom"}, "status_message", "boom"),
        ({"status": {"status_code": "ERROR", "description": "bang"}}, "status_message", "bang"),
        ({"status": None}, "status", "UNSET"),
        ({"end_time": ...}, "duration_ms", 66.0),
        ({"end_time": ..., "duration_ms": 0.000001}, "duration_ms", 0.000001),
        ({"end_time": ..., "duration_ms": ...}, "duration_ms", None),
        ({"start_time": ..., "end_time": "2026-05-14T14:23:45.189456Z"}, "duration_ms", 66.0),
        ({"start_time": "2026-05-14T16:23:45.123456789+02:00"}, "duration_ms", 65.999211),
        ({"start_time": dt.datetime(2026, 5, 14, 14, 23, 45, 123456, dt.UTC)}, "duration_ms", 66.0),
        ({"start_time": pd.Timestamp(START + 1, tz="UTC")}, "duration_ms", 65.999999),
        ({"start_time": START + 3}, "duration_ms", 65.999997),
        ({"start_time": ..., "startTimeUnixNano": START}, "duration_ms", 66.0),
        ({"resource": {"service.name": "web"}}, "service", "web"),
        ({"resource": {"attributes": {"service.name": "web"}}}, "service", "web"),
        ({"service": "web"}, "service", "web"),
        ({"trace_state": "['{key=vendor, value=abc}', '{key=b, value=1}']"}, "trace_state", "vendor=abc,b=1"),
        ({"attributes": {"a": [1, "x", 2.0], "service.name": "web"}}, "span.a", '[1,"x",2.0]'),
        ({"attributes": {"a": b"\x01\x02\x03"}}, "span.a", '{"bytesValue":"AQID"}'),
        ({"links": [{"context": {"trace_id": "0x" + "a" * 32, "span_id": "0x" + "b" * 16}}]}, "links", f'[{{"trace_id":"{"a" * 32}","span_id":"{"b" * 16}","attributes":{{}}}}]'),
    ],
)  # fmt: skip
def test_spellings(changes, column, expected):
    value = read_one(**changes)[column]
    assert (None if pd.isna(value) else value) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trace_id": ...}, "has no trace id"),
        ({"span_id": None}, "has no span id"),
        ({"span_id": 1.5}, "span_id: found 1.5, expected 16 hex digits"),
        ({"start_time": "2026-05-14T14:23:45"}, "has no time zone. Append Z if it is UTC"),
        ({"start_time": dt.datetime(2026, 5, 14)}, "has no time zone"),  # noqa: DTZ001 - the very point
        ({"start_time": "yesterday"}, "found 'yesterday', expected a time in ISO 8601"),
        ({"start_time": "2026-13-14T14:23:45Z"}, "is no time"),
        ({"start_time": 1_778_768_625}, "Numbers are taken as start_ns"),
        ({"end_time": ..., "duration_ms": "x"}, r"\$.duration_ms: expected `float"),
        ({"end_time": ..., "duration_ms": float("inf")}, "expected a"),
        ({"end_time": ..., "duration_ms": 1e300}, "does not fit into 64 bits"),
        ({"attributes": {"a": 2**63}}, "attribute a: 9223372036854775808 does not fit into 64 bits"),
        ({"attributes": [1]}, r"\$.attributes: expected `object"),
        ({"kind": "SIDEWAYS"}, "span kind: found 'SIDEWAYS'"),
        ({"events": [{"name": "x", "timestamp": "z"}]}, "event 'x' of span 00f067aa0ba902b7"),
    ],
)
def test_what_is_refused(changes, message):
    with pytest.raises(ta.FormatError, match=f"^<records>, record 0.*{message}"):
        read_one(**changes)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([1], "record 0: found 1, expected a dict or a ReadableSpan"),
        ([{"resourceSpans": []}], r"ta.read\(source\), which tells formats apart"),
        (b"", "the source is empty"),
        (b"5", "found 5, expected span records"),
        (b'{"trace_id": ', "JSON ends early"),
        (5, "cannot read from int"),
    ],
)
def test_sources_that_are_no_records(source, message):
    with pytest.raises(ta.FormatError, match=message):
        ta.read_records(source)


def test_what_is_changed_is_noted():
    spans = ta.read_records([{**RECORD, "duration_ms": 99, "colour": "red"}])
    assert spans["duration_ms"][0] == 66.0
    assert ta.read_report(spans).counts == {
        "property of a record that is not known, left out": 1,
        "duration that contradicts start and end, which are kept": 1,
    }


def test_a_damaged_record_costs_itself_only():
    spans = ta.read_records([RECORD, {"trace_id": "x"}, 5, {**RECORD, "span_id": "1"}], on_error="skip")
    assert spans["span_id"].tolist() == [RECORD["span_id"], "0000000000000001"]
    assert ta.read_report(spans).skipped == 2


def test_the_consoles_output_reads(corpus):
    file = corpus / "sdk_console" / "console_exporter_our_script.json"
    text, at, expected = file.read_text(), 0, []
    while text[at:].strip():
        record, end = json.JSONDecoder().raw_decode(text[at:].lstrip())
        at = len(text) - len(text[at:].lstrip()) + end
        expected.append((record["context"]["trace_id"][2:], record["context"]["span_id"][2:]))
    spans = ta.read_records(file)
    assert list(zip(spans["trace_id"], spans["span_id"], strict=True)) == expected
    assert len(spans) == 15
    assert spans["service"].notna().all()


@pytest.fixture
def exporter_and_tracer():
    exporter = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource({"service.name": "live", "host.name": "h"}, schema_url="https://example.com/r")
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter, provider.get_tracer("lib", "1.2", schema_url="https://example.com/s", attributes={"x": 1})


def test_live_spans_of_the_sdk(exporter_and_tracer):
    exporter, tracer = exporter_and_tracer
    with tracer.start_as_current_span("parent", kind=otel.SpanKind.SERVER) as parent:
        link = otel.Link(parent.get_span_context(), {"why": "test"})
        with tracer.start_as_current_span(
            "child", kind=otel.SpanKind.CLIENT, links=[link], attributes={"n": 1, "f": 1.5, "l": [1, 2]}
        ) as child:
            child.add_event("e", {"k": True}, timestamp=START)
            child.set_status(otel.Status(otel.StatusCode.ERROR, "boom"))
        running = ta.read_records(parent)
    spans = ta.read(exporter.get_finished_spans())
    child_row, parent_row = spans.iloc[0], spans.iloc[1]
    assert spans["kind"].tolist() == ["CLIENT", "SERVER"]
    assert child_row["parent_span_id"] == parent_row["span_id"]
    assert parent_row["duration_ms"] >= child_row["duration_ms"]
    assert (child_row["status"], child_row["status_message"], child_row["span.n"], child_row["span.l"]) == (
        "ERROR",
        "boom",
        1,
        "[1,2]",
    )
    assert (child_row["scope_name"], child_row["scope_version"], child_row["instrumentation.x"]) == ("lib", "1.2", 1)
    assert (child_row["scope_schema_url"], child_row["resource_schema_url"]) == (
        "https://example.com/s",
        "https://example.com/r",
    )
    assert json.loads(child_row["events"]) == [{"time": START, "name": "e", "attributes": {"k": True}}]
    assert json.loads(child_row["links"])[0]["attributes"] == {"why": "test"}
    assert running["duration_ms"].isna().all()
    assert running["span_id"][0] == parent_row["span_id"]


def test_the_consoles_output_equals_the_live_spans_but_for_its_losses(exporter_and_tracer):
    exporter, tracer = exporter_and_tracer
    with tracer.start_as_current_span("a", attributes={"n": 1}) as span:
        span.add_event("e", {"k": 2})
    live = exporter.get_finished_spans()
    printed = ta.read_records("".join(s.to_json() + "\n" for s in live).encode())
    losses = [
        "start_time",
        "duration_ms",
        "events",
        "trace_flags",
        "scope_name",
        "scope_version",
        "scope_schema_url",
        "instrumentation.x",
    ]
    direct = ta.read_records(live)
    assert_same_spans(printed, direct, ignore=losses)
    assert abs(printed["start_time"][0] - direct["start_time"][0]) <= pd.Timedelta(
        1, "us"
    )  # the console rounds through a float
