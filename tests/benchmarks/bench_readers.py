"""Spans a second of every reader and writer, and the ratio to parsing alone: the references of the later bulk decoders."""

from __future__ import annotations

import io
import json

import msgspec
import simdjson
from generate import forest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from timing import report, seconds

import traceanalytics as ta

SPANS = 20_000


def sample():
    """A forest with five attributes a span, and an event on every tenth."""
    spans = forest(SPANS, SPANS // 20)
    count = range(len(spans))
    spans = spans.assign(
        **{
            "span.http.request.method": [("GET", "POST", "PUT")[i % 3] for i in count],
            "span.http.route": [f"/api/{i % 40}" for i in count],
            "span.http.response.status_code": [200 + 100 * (i % 4) for i in count],
            "span.db.query.text": [f"select * from t where id = {i}" for i in count],
            "resource.host.name": [f"host-{i % 20}" for i in count],
            "events": [
                f'[{{"time":{10**18 + i},"name":"e","attributes":{{"n":{i}}}}}]' if i % 10 == 0 else None for i in count
            ],
        }
    )
    return ta.conform(spans)


def main():
    spans = sample()
    print_row = report(f"Readers, {len(spans):,} spans, 5 attributes each; reference: parsing the same bytes")
    simd = simdjson.Parser()
    otlp, protobuf = ta.to_otlp(spans), ta.to_otlp(spans, encoding="protobuf")
    jaeger, zipkin = ta.to_jaeger(spans), ta.to_zipkin(spans)
    records = msgspec.json.encode(
        [
            {
                "trace_id": t,
                "span_id": s,
                "name": n,
                "start_ns": int(b),
                "duration_ms": d,
                "attributes": {"http.route": r, "n": i},
            }
            for i, (t, s, n, b, d, r) in enumerate(
                zip(
                    spans["trace_id"],
                    spans["span_id"],
                    spans["name"],
                    spans["start_time"].array.asi8,
                    spans["duration_ms"],
                    spans["span.http.route"],
                    strict=True,
                )
            )
        ]
    )
    parquet = io.BytesIO()
    ta.to_parquet(spans, parquet)
    cases = [
        ("read_otlp, JSON", "simdjson parse", lambda: ta.read_otlp(otlp), lambda: simd.parse(otlp)),
        ("read_otlp, protobuf", "FromString", lambda: ta.read_otlp(protobuf), lambda: TracesData.FromString(protobuf)),
        ("read_jaeger", "json.loads", lambda: ta.read_jaeger(jaeger), lambda: json.loads(jaeger)),
        ("read_zipkin", "json.loads", lambda: ta.read_zipkin(zipkin), lambda: json.loads(zipkin)),
        ("read_records", "json.loads", lambda: ta.read_records(records), lambda: json.loads(records)),
        (
            "read_parquet",
            "json.loads of the OTLP",
            lambda: ta.read_parquet(parquet.getvalue()),
            lambda: json.loads(otlp),
        ),
        ("to_otlp, JSON", "json.loads of it", lambda: ta.to_otlp(spans), lambda: json.loads(otlp)),
        ("to_jaeger", "json.loads of it", lambda: ta.to_jaeger(spans), lambda: json.loads(jaeger)),
        ("to_zipkin", "json.loads of it", lambda: ta.to_zipkin(spans), lambda: json.loads(zipkin)),
    ]
    for work, reference, own, other in cases:
        own_s, other_s = seconds(own, other, runs=3)
        print_row(
            f"{work:<22}{len(spans) / own_s:>12,.0f} spans/s {own_s:>8.3f} s  {own_s / other_s:>6.1f} x {reference} ({other_s:.4f} s)"
        )


if __name__ == "__main__":
    main()
