"""Damaged OTLP and span records: refused with a clear error or skipped, and never at the cost of other records."""

from __future__ import annotations

import json
import random

import pytest
from frames import by_ids
from mutation import damaged, damaged_inside
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData
from otlp_documents import ids_of_frame

import traceanalytics as ta

SAMPLES = {
    "otlp json": (ta.read_otlp, "otlp_json/jaeger_memory_otel_traces_01.json"),
    "otlp json lines": (ta.read_otlp, "otlp_json/jaegerui_otlp2jaeger-multi-in.json.txt"),
    "tempo json": (ta.read_otlp, "tempo_api_json/tempopb_trace.json"),
    "otlp protobuf": (ta.read_otlp, "otlp_proto/tempo_traces_0.pb"),
    "tempo v2 protobuf": (ta.read_otlp, "otlp_proto/tempo_v2_traces_0.pb"),
    "console": (ta.read_records, "sdk_console/console_exporter_our_script.json"),
    "any": (ta.read, "otlp_json/perses_pushbytes_otlp.json"),
}
VARIANTS = 2_000
INSIDE = 150


@pytest.mark.parametrize("name", SAMPLES)
def test_whatever_the_damage_only_our_own_errors_come_out(corpus, name):
    read, file = SAMPLES[name]
    data = (corpus / file).read_bytes()
    refused = 0
    for seed in range(VARIANTS):
        variant = damaged(data, seed)
        try:
            read(variant)
        except ta.TraceAnalyticsError:
            refused += 1
        if seed % 4 == 0:
            spans = read(variant, on_error="skip")
            assert ta.read_report(spans) is not None
    assert refused > VARIANTS // 20


def _json_spans(data, pattern):
    """The byte ranges of the spans of a pretty or compact JSON text, found by decoding at each occurrence of the pattern."""
    text, at, found = data.decode("latin-1"), 0, []
    while (at := text.find(pattern, at)) >= 0:
        start = text.rfind("{", 0, at)
        _, end = json.JSONDecoder().raw_decode(text, start)
        found.append((start, end))
        at = end
    return found


@pytest.mark.parametrize(
    ("file", "read", "first_key"),
    [
        ("otlp_json/jaeger_memory_otel_traces_01.json", ta.read_otlp, '"traceId"'),
        ("otlp_json/jaeger_integration_example_trace.json", ta.read_otlp, '"traceId"'),
        ("otlp_json/jaegerui_otlp2jaeger-multi-in.json.txt", ta.read_otlp, '"traceId"'),
        ("sdk_console/console_exporter_our_script.json", ta.read_records, '"name": '),
    ],
)
def test_damage_inside_one_json_record_costs_that_record_only(corpus, file, read, first_key):
    data = (corpus / file).read_bytes()
    records = [
        r
        for r in _json_spans(data, first_key)
        if json.loads(data[slice(*r)].decode()).get("startTimeUnixNano")
        or "context" in json.loads(data[slice(*r)].decode())
    ]
    whole = read(data)
    all_ids = set(ids_of_frame(whole))
    assert len(records) == len(whole) == len(all_ids)
    for seed in range(INSIDE):
        at = seed % len(records)
        variant = damaged_inside(data, *records[at], seed)
        spans = read(variant, on_error="skip")
        others = all_ids - {_ids(whole, at)}
        missing = others - set(ids_of_frame(spans))
        assert not missing, (seed, at, str(ta.read_report(spans)))
        if len(spans) < len(whole):
            assert ta.read_report(spans).skipped >= 1
            kept = by_ids(spans[[i in others for i in _rows(spans)]])
            expected = by_ids(whole[[i in others for i in _rows(whole)]])
            core = [
                "trace_id",
                "span_id",
                "parent_span_id",
                "name",
                "service",
                "kind",
                "start_time",
                "duration_ms",
                "status",
                "events",
                "scope_name",
            ]
            assert kept[core].astype("str").equals(expected[core].astype("str")), seed


def _rows(spans):
    parents = spans["parent_span_id"].astype("str").fillna("")
    return list(zip(spans["trace_id"].astype("str"), spans["span_id"], parents, strict=True))


def _ids(spans, at):
    return _rows(spans.iloc[[at]])[0]


def test_damage_inside_one_protobuf_span_costs_that_span_only(corpus):
    data = (corpus / "otlp_proto" / "tempo_traces_0.pb").read_bytes()
    whole = ta.read_otlp(data)
    all_ids = set(ids_of_frame(whole))
    payloads = [
        s.SerializeToString()
        for g in TracesData.FromString(data).resource_spans
        for c in g.scope_spans
        for s in c.spans
    ]
    places = [(data.index(p), data.index(p) + len(p)) for p in payloads]
    lost = 0
    for seed in range(INSIDE):
        at = seed % len(places)
        rng, variant = random.Random(seed), bytearray(data)
        for _ in range(rng.choice((1, 3, 10))):
            variant[rng.randrange(*places[at])] = rng.randrange(256)
        spans = ta.read_otlp(bytes(variant), on_error="skip")
        assert all_ids - {_ids(whole, at)} <= set(ids_of_frame(spans)), seed
        report = ta.read_report(spans)
        lost += report.skipped
        if report.skipped:
            assert len(spans) == len(whole) - 1
            assert report.places[-1].position.startswith("byte ")
    assert lost > 10


def test_a_file_that_was_cut_off_gives_the_spans_before_the_cut(corpus):
    data = (corpus / "otlp_proto" / "oteldemo_file_exporter_proto_framing.bin").read_bytes()
    with pytest.raises(ta.FormatError, match=r"the message claims [\d,]+ bytes, and [\d,]+ are left.*cut off"):
        ta.read_otlp(data[:-100])
    spans = ta.read_otlp(data[:-100], on_error="skip")
    assert 400 < len(spans) < 547
    assert ta.read_report(spans).skipped == 1


def test_a_cut_protobuf_request_gives_the_spans_before_the_cut():
    span = Span(trace_id=b"t" * 16, span_id=b"s" * 8, name="n" * 50)
    request = TracesData()
    group = request.resource_spans.add().scope_spans.add()
    group.spans.extend([span] * 5)
    data = request.SerializeToString()
    with pytest.raises(ta.FormatError, match=r"byte 0: a field of [\d,]+ bytes, and [\d,]+ are left"):
        ta.read_otlp(data[:-30])
    spans = ta.read_otlp(data[:-30], on_error="skip")
    assert len(spans) == 4


def test_hopeless_text_is_given_up_in_bounded_work():
    nested = b'{"resourceSpans":' + b'{"a":' * 50_000
    spans = ta.read_otlp(nested, on_error="skip")
    report = ta.read_report(spans)
    assert len(spans) == 0
    assert report.counts == {"damaged JSON, left out": report.skipped}
    assert report.skipped < 1_000  # of 50,000 objects: after that the rest was left out
