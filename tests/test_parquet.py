"""``to_parquet`` and ``read_parquet``: the frame itself, lossless, whole traces together."""

from __future__ import annotations

import io

import pandas as pd
import pyarrow.parquet as pq
import pytest
from frames import assert_same_spans
from hypothesis import given
from strategies import span_frames

import traceanalytics as ta
from traceanalytics.io import parquet

DEMO = "otlp_json/oteldemo_collector_file_exporter_mixed.jsonl"


@given(span_frames())
def test_a_written_frame_reads_back_equal(spans):
    buffer = io.BytesIO()
    ta.to_parquet(spans, buffer)
    back = ta.read_parquet(buffer.getvalue())
    assert_same_spans(back, spans)
    assert list(back.columns) == list(spans.columns)
    before, after = ta.read_report(spans), ta.read_report(back)
    assert (after.counts, after.text_like_json, after.spans) == (before.counts, before.text_like_json, len(spans))


def test_the_spans_of_a_trace_stand_together_and_keep_their_order(corpus, tmp_path):
    spans = ta.read_otlp(corpus / DEMO)
    ta.to_parquet(spans.iloc[::-1], tmp_path / "a.parquet")
    back = ta.read_parquet(tmp_path / "a.parquet")
    runs = (back["trace_id"].astype("str") != back["trace_id"].astype("str").shift()).sum()
    assert runs == spans["trace_id"].nunique() == 141
    assert_same_spans(back, spans)
    for _, trace in back.groupby("trace_id", sort=False):
        expected = spans.iloc[::-1]
        assert (
            trace["span_id"].tolist() == expected["span_id"][expected["trace_id"] == trace["trace_id"].iloc[0]].tolist()
        )


def test_no_trace_is_cut_by_a_row_group(corpus, tmp_path, monkeypatch):
    spans = ta.read_otlp(corpus / DEMO)
    monkeypatch.setattr(parquet, "_SPANS_A_GROUP", 50)
    ta.to_parquet(spans, tmp_path / "a.parquet")
    file = pq.ParquetFile(tmp_path / "a.parquet")
    groups = [
        set(file.read_row_group(i, columns=["trace_id"]).column(0).to_pylist()) for i in range(file.num_row_groups)
    ]
    assert len(groups) > 5
    assert sum(map(len, groups)) == len(set.union(*groups)) == 141


def test_labels_that_no_row_uses_are_not_written(corpus, tmp_path):
    spans = ta.read_otlp(corpus / DEMO)
    ta.to_parquet(spans[spans["trace_id"] == spans["trace_id"].iloc[0]], tmp_path / "a.parquet")
    assert len(ta.read_parquet(tmp_path / "a.parquet")["trace_id"].cat.categories) == 1


def test_attributes_choose_what_is_read(corpus, tmp_path):
    spans = ta.read_otlp(corpus / DEMO)
    ta.to_parquet(spans, tmp_path / "a.parquet")
    back = ta.read_parquet(tmp_path / "a.parquet", attributes=["http.method", "resource.host.*"])
    assert [c for c in back.columns if c.startswith(("span.", "resource."))] == [
        "span.http.method",
        "resource.host.arch",
        "resource.host.name",
    ]


def test_several_files_become_one_frame(corpus, tmp_path):
    spans = ta.read_otlp(corpus / DEMO)
    first = spans["trace_id"].isin(spans["trace_id"].unique()[:70])
    ta.to_parquet(spans[first], tmp_path / "a.parquet")
    ta.to_parquet(spans[~first], tmp_path / "b.parquet")
    for read in (ta.read_parquet, ta.read):
        assert_same_spans(read(tmp_path), spans)


def test_an_empty_frame(tmp_path, corpus):
    spans = ta.read_otlp(corpus / DEMO).iloc[:0]
    ta.to_parquet(spans, tmp_path / "a.parquet")
    back = ta.read_parquet(tmp_path / "a.parquet")
    assert len(back) == 0
    assert list(back.columns) == list(spans.columns)


def test_a_damaged_file_costs_itself_only(corpus, tmp_path):
    spans = ta.read_otlp(corpus / DEMO)
    ta.to_parquet(spans, tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-100])
    for read in (ta.read_parquet, ta.read):
        with pytest.raises(ta.FormatError, match=r"b\.parquet: damaged Parquet file"):
            read(tmp_path)
        kept = read(tmp_path, on_error="skip")
        assert_same_spans(kept, spans)
        assert ta.read_report(kept).skipped == 1
        assert ta.read_report(kept).formats == ("parquet", "otlp")


def test_what_is_refused(tmp_path):
    with pytest.raises(ta.FormatError, match=r"expected (4 bytes|b'PAR1')"):
        ta.read_parquet(b"{}")
    with pytest.raises(ta.FormatError, match="damaged Parquet file"):
        ta.read_parquet(b"PAR1" + b"x" * 100)
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(ta.SchemaError, match="trace_id"):
        ta.read_parquet(tmp_path / "other.parquet")
    with pytest.raises(ta.OptionError, match="cannot be written"):
        ta.to_parquet(ta.read_records([]), tmp_path / "no" / "folder.parquet")
    with pytest.raises(ta.OptionError, match="path=5 is no path"):
        ta.to_parquet(ta.read_records([]), 5)
