"""``summary``: one row a trace."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_traces import at, draw, trace_of

import traceanalytics as ta

SHOP = """
    root   web   0-100   SERVER
      auth  web   0-10
      call  web   10-60   CLIENT
        cart  cart  12-50   SERVER ERROR
          db   cart  20-40   CLIENT
      late  mail  90-150  CONSUMER
"""


def test_one_row_a_trace():
    spans = draw(SHOP, "alone  web  5-6")
    found = ta.summary(spans)
    assert found.index.tolist() == [trace_of(0), trace_of(1)]
    assert found.index.name == "trace_id"
    assert found.index.dtype == spans["trace_id"].dtype
    first = found.iloc[0].to_dict()
    assert first == {
        "root_service": "web",
        "root_name": "root",
        "start_time": at(0),
        "end_time": at(150),
        "duration_ms": 100.0,
        "spans": 6,
        "services": 3,
        "errors": 1,
        "depth": 3,
        "orphans": 0,
        "complete": True,
    }
    assert found.iloc[1][["spans", "services", "depth", "complete"]].tolist() == [1, 1, 0, True]


def test_it_attaches_to_the_spans():
    spans = draw(SHOP, "alone  web  5-6")
    joined = spans.join(ta.summary(spans).add_prefix("trace."), on="trace_id")
    assert joined["trace.spans"].tolist() == [6] * 6 + [1]


@pytest.mark.parametrize(
    ("picture", "orphans", "complete"),
    [
        ("a web 0-5\n  b web 1-2", 0, True),
        ("a web 0-5 parent=gone\n  b web 1-2", 1, False),
        ("a web 0-5\nb web 1-2 parent=gone", 1, False),
        ("a web 0-5\nb web 1-2", 0, False),
        ("a web 0-5 parent=b\nb web 1-2 parent=a", 0, False),
        ("a web 0-5 parent=a", 0, False),
    ],
    ids=["a tree", "no root", "a stray span", "two roots", "a ring", "its own parent"],
)
def test_complete_means_one_root_and_nothing_missing(picture, orphans, complete):
    found = ta.summary(draw(picture)).iloc[0]
    assert (found["orphans"], found["complete"]) == (orphans, complete)


def test_the_main_root_is_the_one_without_a_parent_id():
    found = ta.summary(draw("stray x 0-900 parent=gone\nroot web 0-5")).iloc[0]
    assert (found["root_name"], found["duration_ms"]) == ("root", 5.0)


def test_times_that_are_missing():
    found = ta.summary(draw("a web ?-?\n  b web ?-?", "a web 0-?\n  b web 2-4"))
    assert found["start_time"].isna().tolist() == [True, False]
    assert found["duration_ms"].isna().all()
    assert found["end_time"].iloc[1] == at(4)


def test_an_empty_frame():
    found = ta.summary(draw())
    assert len(found) == 0
    assert found.dtypes.map(str).to_dict() == ta.summary(draw(SHOP)).dtypes.map(str).to_dict()


def test_it_agrees_with_plain_pandas_on_real_traces(corpus):
    spans = ta.read_otlp(corpus / "otlp_json" / "oteldemo_collector_file_exporter_mixed.jsonl")
    found = ta.summary(spans.sample(frac=1, random_state=1)).sort_index()
    groups = spans.groupby("trace_id")
    assert found["spans"].tolist() == groups.size().tolist()
    assert found["services"].tolist() == groups["service"].nunique().tolist()
    assert found["start_time"].tolist() == groups["start_time"].min().tolist()
    ends = ta.end_time(spans).groupby(spans["trace_id"]).max()
    assert found["end_time"].tolist() == ends.tolist()
    errors = ta.is_error(spans).groupby(spans["trace_id"]).sum()
    assert found["errors"].tolist() == errors.tolist()
    lost = spans["parent_span_id"].notna() & ~spans["parent_span_id"].isin(spans["span_id"])
    assert found["orphans"].sum() == lost.sum()


def test_missing_services_are_not_counted():
    spans = draw("a - 0-5\n  b web 1-2\n  c - 2-3")
    assert ta.summary(spans)["services"].tolist() == [1]
    assert pd.isna(ta.summary(spans)["root_service"].iloc[0])


def test_a_repeated_index_is_refused():
    spans = draw(SHOP)
    with pytest.raises(ta.SchemaError, match="the index repeats 5 labels"):
        ta.summary(spans.set_index(np.zeros(6, dtype=int)))
