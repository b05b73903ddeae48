"""``read_otlp``: the specification's form, the variants in the wild, and what it says of anything else."""

from __future__ import annotations

import base64
import json

import pandas as pd
import pytest
import zstandard
from frames import assert_same_spans
from otlp_documents import ids_of_frame, ids_of_json, ids_of_message, messages

import traceanalytics as ta

TRACE = "5b8efff798038103d269b633813fc60c"
SPAN = "eee19b7ec3c1b174"
PARENT = "eee19b7ec3c1b173"
START = 1544712660000000001


def span(**fields):
    return {
        "traceId": TRACE,
        "spanId": SPAN,
        "name": "GET /",
        "kind": 2,
        "startTimeUnixNano": str(START),
        "endTimeUnixNano": str(START + 7),
        **fields,
    }


def document(*spans, resource=None, scope=None):
    return {
        "resourceSpans": [{"resource": resource or {}, "scopeSpans": [{"scope": scope or {}, "spans": list(spans)}]}]
    }


def read_one(value, **options):
    spans = ta.read_otlp(value, **options)
    assert len(spans) == 1
    return spans.iloc[0]


def attributes(**values):
    return [{"key": k, "value": v} for k, v in values.items()]


def test_every_field_of_a_span_comes_in():
    row = read_one(
        document(
            span(
                traceState="rojo=1",
                parentSpanId=PARENT,
                flags=257,
                attributes=attributes(
                    s={"stringValue": "x"},
                    i={"intValue": "-9223372036854775808"},
                    d={"doubleValue": 1.5},
                    b={"boolValue": False},
                ),
                droppedAttributesCount=1,
                events=[
                    {
                        "timeUnixNano": str(START + 2),
                        "name": "e",
                        "attributes": attributes(k={"intValue": 1}),
                        "droppedAttributesCount": 4,
                    }
                ],
                droppedEventsCount=2,
                links=[
                    {
                        "traceId": TRACE.upper(),
                        "spanId": PARENT,
                        "traceState": "a=b",
                        "attributes": attributes(k={"stringValue": "v"}),
                        "flags": 1,
                    }
                ],
                droppedLinksCount=3,
                status={"code": 2, "message": "boom"},
            ),
            resource={
                "attributes": attributes(
                    **{"service.name": {"stringValue": "web"}, "host.name": {"stringValue": "h1"}}
                ),
                "droppedAttributesCount": 5,
            },
            scope={"name": "lib", "version": "1.0", "attributes": attributes(x={"boolValue": True})},
        )
    )
    assert (row["trace_id"], row["span_id"], row["parent_span_id"], row["trace_state"]) == (
        TRACE,
        SPAN,
        PARENT,
        "rojo=1",
    )
    assert (row["name"], row["service"], row["kind"], row["status"], row["status_message"]) == (
        "GET /",
        "web",
        "SERVER",
        "ERROR",
        "boom",
    )
    assert row["start_time"].value == START
    assert row["duration_ms"] == 7e-6
    assert row["trace_flags"] == 257
    assert (row["span.s"], row["span.i"], row["span.d"], row["span.b"]) == ("x", -(2**63), 1.5, False)
    assert (row["resource.host.name"], row["scope_name"], row["scope_version"], row["instrumentation.x"]) == (
        "h1",
        "lib",
        "1.0",
        True,
    )
    dropped = ["dropped_attributes", "dropped_events", "dropped_links", "resource_dropped_attributes"]
    assert [row[c] for c in dropped] == [1, 2, 3, 5]
    assert json.loads(row["events"]) == [
        {"time": START + 2, "name": "e", "attributes": {"k": 1}, "dropped_attributes": 4}
    ]
    assert json.loads(row["links"]) == [
        {"trace_id": TRACE, "span_id": PARENT, "trace_state": "a=b", "attributes": {"k": "v"}, "flags": 1}
    ]


@pytest.mark.parametrize(
    "change",
    [
        {
            "traceId": base64.b64encode(bytes.fromhex(TRACE)).decode(),
            "spanId": base64.b64encode(bytes.fromhex(SPAN)).decode(),
        },
        {
            "traceId": base64.b64encode(bytes.fromhex(TRACE)).decode().rstrip("="),
            "spanId": base64.b64encode(bytes.fromhex(SPAN)).decode().rstrip("="),
        },
        {"traceId": TRACE.upper()},
        {"kind": "SPAN_KIND_SERVER"},
        {"kind": "SERVER"},
        {"startTimeUnixNano": START, "endTimeUnixNano": START + 7},
        {"parentSpanId": "0000000000000000"},
        {"parentSpanId": None, "status": {}, "attributes": None, "events": [], "unknownKey": {"a": [1]}},
    ],
    ids=[
        "base64",
        "unpadded base64",
        "upper case",
        "enum name",
        "short enum name",
        "numbers",
        "zero parent",
        "nulls and unknown keys",
    ],
)
def test_a_variant_reads_as_the_specifications_form(change):
    assert ta.read_otlp(document(span(**change))).equals(ta.read_otlp(document(span())))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda d: {"batches": d["resourceSpans"]},
        lambda d: {"trace": d, "metrics": {}},
        lambda d: {"result": d},
        lambda d: [d],
        lambda d: (
            json.dumps(d)
            .replace("resourceSpans", "resource_spans")
            .replace("scopeSpans", "scope_spans")
            .replace("traceId", "trace_id")
            .replace("startTimeUnixNano", "start_time_unix_nano")
        ),
        lambda d: (
            json.dumps(d)
            .replace("scopeSpans", "instrumentationLibrarySpans")
            .replace('"scope"', '"instrumentationLibrary"')
        ),
        lambda d: json.dumps(d, indent=2).encode(),
        lambda d: b"\xef\xbb\xbf" + json.dumps(d).encode(),
        lambda d: len(json.dumps(d)).to_bytes(4, "big") + json.dumps(d).encode(),
    ],
    ids=[
        "tempo v1",
        "tempo v2",
        "jaeger v3",
        "list",
        "snake case",
        "before 2022",
        "pretty",
        "byte order mark",
        "framed JSON",
    ],
)
def test_an_envelope_reads_as_the_plain_document(wrap):
    plain = document(span(), scope={"name": "lib"})
    assert ta.read_otlp(wrap(plain)).equals(ta.read_otlp(plain))


def test_json_lines_with_other_signals_are_counted():
    lines = [
        json.dumps(document(span())),
        json.dumps({"resourceMetrics": []}),
        "",
        json.dumps({"resourceLogs": []}),
        json.dumps(document(span(spanId=PARENT))),
    ]
    spans = ta.read_otlp("\n".join(lines).encode())
    assert spans["span_id"].tolist() == [SPAN, PARENT]
    assert ta.read_report(spans).counts == {
        "document of metrics, which hold no spans": 1,
        "document of logs, which hold no spans": 1,
    }


def test_each_message_may_be_compressed_by_itself(corpus):
    plain = ta.read_otlp(corpus / "otlp_proto" / "oteldemo_first_export_request.pb")
    message = zstandard.compress((corpus / "otlp_proto" / "oteldemo_first_export_request.pb").read_bytes())
    framed = (len(message).to_bytes(4, "big") + message) * 2
    spans = ta.read_otlp(framed)
    assert len(spans) == 2
    assert_same_spans(spans.iloc[:1], plain)


@pytest.mark.parametrize(
    ("value", "column", "expected"),
    [
        (
            {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "2"}, {"doubleValue": 2}]}},
            "str",
            '["a",2,2.0]',
        ),
        ({"arrayValue": {}}, "str", "[]"),
        (
            {"kvlistValue": {"values": [{"key": "k", "value": {"arrayValue": {"values": [{"boolValue": True}]}}}]}},
            "str",
            '{"k":[true]}',
        ),
        ({"bytesValue": "AQID"}, "str", '{"bytesValue":"AQID"}'),
        ({"intValue": 9223372036854775807}, "Int64", 2**63 - 1),
        ({"intValue": "007"}, "Int64", 7),
        ({"doubleValue": 3}, "float64", 3.0),
        ({"doubleValue": "Infinity"}, "float64", float("inf")),
        ({"boolValue": True}, "boolean", True),
    ],
)
def test_attribute_values_keep_their_types(value, column, expected):
    spans = ta.read_otlp(document(span(attributes=attributes(k=value))))
    assert spans["span.k"].dtype == column
    assert spans["span.k"][0] == expected


def test_integer_texts_among_integers_become_integers_and_other_mixtures_text():
    values = [({"intValue": "200"}, {"intValue": 1}), ({"stringValue": "404"}, {"stringValue": "x"})]
    spans = ta.read_otlp(document(*(span(attributes=attributes(code=a, mix=b)) for a, b in values)))
    assert spans["span.code"].tolist() == [200, 404]
    assert spans["span.code"].dtype == "Int64"
    assert spans["span.mix"].tolist() == ["1", "x"]
    assert ta.read_report(spans).counts == {
        "integer texts among integers, read as integers": 1,
        "values of several types under one key, read as text": 2,
    }


def test_rare_keys_share_one_column_and_stay_readable():
    many = [
        span(spanId=f"{i + 1:016x}", attributes=attributes(**{f"k{j}": {"intValue": j} for j in range(200)}))
        for i in range(1001)
    ]
    many.append(span(attributes=attributes(rare={"stringValue": "x"})))
    spans = ta.read_otlp(document(*many))
    assert "span.rare" not in spans.columns
    assert ta.attribute(spans, "rare").tolist()[-1] == "x"
    chosen = ta.read_otlp(document(*many), attributes=["rare", "span.k1?"])
    assert [c for c in chosen.columns if c.startswith("span.")] == [f"span.k{i}" for i in range(10, 20)] + ["span.rare"]
    assert ta.attribute(chosen, "k7")[0] == 7


def test_unknown_start_and_end_are_missing():
    spans = ta.read_otlp(
        document(span(startTimeUnixNano="0"), span(endTimeUnixNano=None), span(endTimeUnixNano=str(START - 5)))
    )
    assert spans["start_time"].isna().tolist() == [True, False, False]
    assert spans["duration_ms"].isna().tolist() == [True, True, False]
    assert spans["duration_ms"][2] == -5e-6


def test_what_is_lost_or_changed_is_noted():
    twice = json.dumps(
        document(
            span(
                attributes=[
                    *attributes(k={"intValue": 1}),
                    *attributes(k={"intValue": 2}),
                    {"key": "empty", "value": {}},
                ]
            )
        )
    )
    twice = twice.replace('"startTimeUnixNano"', '"startTimeUnixNano": "1", "startTimeUnixNano"')
    spans = ta.read_otlp(twice)
    assert spans["span.k"][0] == 2
    assert ta.read_report(spans).counts == {
        "property twice in one object, the last one kept": 1,
        "attribute key twice in one list, the last one kept": 1,
        "attribute without a value, left out": 1,
    }
    assert ta.read_report(spans).places[0].detail == "startTimeUnixNano"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "5b8e', r"<text>, byte 63: JSON ends early"),
        ('{"resourceSpans": [}', r"byte 19: JSON is malformed"),
        ("[1, 2]", "expected `object`, got `int`"),
        ('{"traces": []}', "search or metrics answer of Tempo: fetch the traces"),
        ('{"data": []}', "Jaeger answer: ta.read_jaeger"),
        ('{"resourceMetrics": []}', "it holds metrics only, and no spans"),
        ('{"resourceSpans": 5}', "(?i)expected `array"),
        (json.dumps(document(span(traceId="xyz"))), r"resourceSpans\[0\].scopeSpans\[0\].spans\[0\]: traceId: found 'xyz', expected 32 hex"),
        (json.dumps(document(span(spanId=""))), "has no span id"),
        (json.dumps(document(span(startTimeUnixNano="-5"))), "startTimeUnixNano: found -5"),
        (json.dumps(document(span(startTimeUnixNano=2**63))), "outside of the years 1677 to 2262"),
        (json.dumps(document(span(startTimeUnixNano="1.5"))), "startTimeUnixNano"),
        (json.dumps(document(span(attributes=attributes(k={"intValue": 2**63})))), "does not fit into 64 bits"),
        (json.dumps(document(span(attributes=attributes(k={"intValue": 1.5})))), "expected a 64-bit integer"),
        (json.dumps(document(span(kind=9))), "span kind: found 9"),
        (json.dumps(document(span(status={"code": "BAD"}))), "status code: found 'BAD'"),
        (json.dumps(document(span(flags=2**32))), "trace flags"),
        (json.dumps(document(span(name="AAAA"))).encode().replace(b"AAAA", b"A\xffAA"), "(?i)utf-8"),
        (b"", "the source is empty"),
        (b"  \n ", "the source is empty"),
        ('{"resourceSpans":' + "[" * 100_000, "(?i)nested|recursion"),
        (b"hello world, this is no trace", "no protobuf field|bytes"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "protobuf number without an end"),
        (b"\x00\x00\x10\x00\x0a\x00", "claims 4,096 bytes"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place(source, message):
    with pytest.raises(ta.FormatError, match=message):
        ta.read_otlp(source)


def test_only_the_damaged_record_is_lost():
    bad = [
        span(traceId="xyz"),
        span(attributes=attributes(k={"intValue": "x"})),
        span(startTimeUnixNano=2**64),
        span(events=[{"name": 5}]),
        17,
    ]
    good = [span(spanId=f"{i + 1:016x}") for i in range(6)]
    mixed = [item for pair in zip(good, bad, strict=False) for item in pair] + good[5:]
    spans = ta.read_otlp(document(*mixed), on_error="skip")
    assert spans.equals(ta.read_otlp(document(*good)))
    report = ta.read_report(spans)
    assert report.skipped == 5
    assert report.places[0].position == "resourceSpans[0].scopeSpans[0].spans[1]"


def test_broken_syntax_costs_the_record_it_is_in_only():
    good = [span(spanId=f"{i + 1:016x}") for i in range(5)]
    resource = {"attributes": attributes(**{"service.name": {"stringValue": "web"}})}
    text = json.dumps(document(*good, resource=resource, scope={"name": "lib"}))
    broken = text.replace('"spanId": "0000000000000003"', '"spanId": "0000000000000003')
    spans = ta.read_otlp(broken, on_error="skip")
    assert spans.equals(ta.read_otlp(document(*good[:2], *good[3:], resource=resource, scope={"name": "lib"})))
    assert ta.read_report(spans).skipped == 1


def test_every_finding_goes_to_a_file_on_request(tmp_path):
    spans = ta.read_otlp(
        document(*([span(traceId="x")] * 70), span()), on_error="skip", report_to=tmp_path / "findings.jsonl"
    )
    assert len(spans) == 1
    assert len(ta.read_report(spans).places) == 50
    findings = [json.loads(line) for line in (tmp_path / "findings.jsonl").read_text().splitlines()]
    assert len(findings) == 70
    assert findings[69]["position"] == "resourceSpans[0].scopeSpans[0].spans[69]"


def test_options_are_checked():
    with pytest.raises(ta.OptionError, match="on_error='ignore' is not one of 'raise', 'skip'"):
        ta.read_otlp({}, on_error="ignore")
    with pytest.raises(ta.OptionError, match="is no list of patterns"):
        ta.read_otlp({}, attributes="http.*")


JSON_FILES = ["otlp_json", "jaeger_v3", "tempo_api_json"]
REFUSED = {"perses_example_otlp.json": "spanId: found 'sid1', expected 16 hex digits"}


def test_every_json_file_of_the_corpus_reads(corpus):
    files = [f for folder in JSON_FILES for f in sorted((corpus / folder).glob("*.*"))]
    assert len(files) > 35
    for file in files:
        if file.name in REFUSED:
            with pytest.raises(ta.FormatError, match=REFUSED[file.name]):
                ta.read_otlp(file)
            continue
        assert ids_of_frame(ta.read_otlp(file)) == ids_of_json(file.read_text()), file.name


def test_every_protobuf_file_of_the_corpus_reads(corpus):
    files = sorted((corpus / "otlp_proto").iterdir())
    assert len(files) == 6
    for file in files:
        expected = sorted(i for m in messages(file.read_bytes()) for i in ids_of_message(m))
        assert ids_of_frame(ta.read_otlp(file)) == expected, file.name


def test_search_answers_of_tempo_are_refused_with_the_way_out(corpus):
    files = sorted((corpus / "tempo_api_json" / "search").iterdir())
    assert len(files) == 9
    for file in files:
        with pytest.raises(ta.FormatError, match=r"fetch the traces themselves, /api/v2/traces/\{id\}"):
            ta.read(file)


def test_the_frame_is_a_span_frame(corpus):
    spans = ta.read_otlp(corpus / "otlp_json" / "oteldemo_collector_file_exporter_mixed.jsonl")
    assert ta.conform(spans).equals(spans)
    assert isinstance(spans.index, pd.RangeIndex)
