"""``read``: which format a document is in, told from its content."""

from __future__ import annotations

import pytest
from otlp_documents import ids_of_frame

import traceanalytics as ta

READERS = {
    "otlp_json": (ta.read_otlp, "otlp"),
    "otlp_proto": (ta.read_otlp, "otlp"),
    "jaeger_v3": (ta.read_otlp, "otlp"),
    "tempo_api_json": (ta.read_otlp, "otlp"),
    "jaeger_json": (ta.read_jaeger, "jaeger"),
    "zipkin_v1": (ta.read_zipkin, "zipkin"),
    "zipkin_v2": (ta.read_zipkin, "zipkin"),
    "sdk_console": (ta.read_records, "records"),
}


@pytest.mark.parametrize("folder", READERS)
def test_a_file_of_the_corpus_is_recognised(corpus, folder):
    read, name = READERS[folder]
    compared = 0
    for file in sorted(f for f in (corpus / folder).iterdir() if f.is_file()):
        try:
            expected = read(file)
        except ta.FormatError:
            with pytest.raises(ta.FormatError, match=file.name):
                ta.read(file)
            continue
        spans = ta.read(file)
        assert ta.read_report(spans).formats == (name,), file.name
        assert ids_of_frame(spans) == ids_of_frame(expected), file.name
        compared += 1
    assert compared


def test_a_folder_of_mixed_formats(corpus, tmp_path):
    files = [
        "otlp_json/proto_example_trace.json",
        "jaeger_json/crisp_2.json",
        "zipkin_v2/zipkinlens_messaging.json",
        "otlp_proto/tempo_traces_0.pb",
    ]
    for file in files:
        (tmp_path / file.partition("/")[2]).write_bytes((corpus / file).read_bytes())
    ta.to_parquet(ta.read(corpus / "sdk_console"), tmp_path / "x.parquet")
    spans = ta.read(tmp_path)
    assert len(spans) == sum(len(ta.read(corpus / f)) for f in files) + 15
    assert set(ta.read_report(spans).formats) == {"otlp", "jaeger", "zipkin", "records", "parquet"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "the source is empty"),
        ('{"Traces": []}', "not recognised: its outermost keys are 'Traces'. Expected OTLP"),
        ('[{"a": 1}]', "not recognised: its outermost keys are 'a'"),
        (b"<html>", "protobuf field|bytes|no protobuf"),
        (b"hello", "bytes|protobuf"),
    ],
)
def test_what_is_not_recognised(source, message):
    with pytest.raises(ta.FormatError, match=message):
        ta.read(source)


@pytest.mark.parametrize("empty", ["[]", "{}", '{"resourceSpans": []}', '{"data": []}', "[[]]"])
def test_an_empty_answer_is_an_empty_frame(empty):
    spans = ta.read(empty)
    assert len(spans) == 0
    assert list(spans.columns) == list(ta.read_otlp("{}").columns)


def test_an_attribute_that_is_named_like_a_format_does_not_mislead():
    record = {
        "trace_id": "a" * 32,
        "span_id": "b" * 16,
        "name": "x",
        "attributes": {"resourceSpans": 1, "traceID": "y", "data": 2},
    }
    assert ta.read_report(ta.read([record, record])).formats == ("records",)
