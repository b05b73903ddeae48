"""The span frame is a plain DataFrame: what pandas itself does with it must work, and give it back."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from strategies import span_frames

import traceanalytics as ta
from traceanalytics.spans.schema import CORE
from traceanalytics.spans.selection import without_unused_labels

START = 1_760_000_000_000_000_000


@pytest.fixture(scope="module")
def spans():
    count = 12
    frame = pd.DataFrame(
        {
            "trace_id": [f"{i // 4 + 1:032x}" for i in range(count)],
            "span_id": [f"{i + 1:016x}" for i in range(count)],
            "parent_span_id": [None if i % 4 == 0 else f"{i:016x}" for i in range(count)],
            "name": [f"op {i % 3}" for i in range(count)],
            "service": ["web", "db", None] * 4,
            "kind": ["SERVER", "CLIENT", "INTERNAL"] * 4,
            "start_ns": [START + 1_000_001 * i for i in range(count)],
            "duration_ns": pd.array([None, *range(123_456_789, 123_456_789 + 11)], dtype="Int64"),
            "status": ["OK", "ERROR", "UNSET"] * 4,
            "status_message": [None, "boom, «ü»", None] * 4,
            "trace_flags": pd.array([1, None, 257] * 4, dtype="UInt32"),
            "events": [[{"time": START, "name": 'e,\n"x"', "attributes": {"k": 1}}], None, []] * 4,
            "links": [None, [{"trace_id": "1" * 32, "span_id": "2" * 16}], None] * 4,
            "ScopeName": ["io.http"] * count,
            "ScopeVersion": ["1", None] * 6,
            "attributes": [
                {"i": 2**60 + i, "s": f"größe {i}", "f": 1.5 * i, "b": True, "l": [1, "a"]} if i % 3 else {}
                for i in range(count)
            ],
            "resource": [{"zone": "a"}] * count,
        }
    )
    return ta.conform(frame)


def same(left, right):
    return left.equals(right) and left.dtypes.astype(str).equals(right.dtypes.astype(str))


def test_parquet_feather_and_pickle_give_it_back(spans, tmp_path):
    spans.to_parquet(tmp_path / "spans.parquet")
    spans.to_feather(tmp_path / "spans.feather")
    assert same(pd.read_parquet(tmp_path / "spans.parquet"), spans)
    assert same(pd.read_feather(tmp_path / "spans.feather"), spans)
    assert same(pickle.loads(pickle.dumps(spans)), spans)


def test_the_report_survives_parquet(spans, tmp_path):
    noted = spans.copy()
    noted.attrs["traceanalytics"] = '{"formats":["x"]}'
    noted.to_parquet(tmp_path / "spans.parquet")
    assert ta.read_report(pd.read_parquet(tmp_path / "spans.parquet")).formats == ("x",)


@given(span_frames())
def test_any_frame_comes_back_from_parquet(spans):
    spans = without_unused_labels(spans)
    file = io.BytesIO()
    spans.to_parquet(file)
    assert same(ta.conform(pd.read_parquet(file)), spans)  # labels of no values return as objects: conform mends them


def test_csv_gives_it_back_through_conform(spans):
    text = spans.to_csv(index=False)
    ids = dict.fromkeys(["trace_id", "span_id", "parent_span_id"], "str")
    back = ta.conform(pd.read_csv(io.StringIO(text), dtype=ids, dtype_backend="numpy_nullable"))
    assert back.columns.tolist() == spans.columns.tolist()
    for name in spans:
        assert back[name].astype(object).equals(spans[name].astype(object)), name
    assert same(back[list(CORE)], spans[list(CORE)])


def test_csv_read_as_text_loses_only_the_types_of_attributes(spans):
    back = ta.conform(pd.read_csv(io.StringIO(spans.to_csv(index=False)), dtype="str"))
    assert same(back[list(CORE)], spans[list(CORE)])


def test_filter_sort_and_shuffle(spans):
    assert len(spans[spans["service"] == "web"]) == 4
    assert same(spans.sample(frac=1, random_state=1).sort_index(), spans)
    assert spans.sort_values("duration_ms")["duration_ms"].isna().tolist()[-1]


def test_query_with_and_without_backticks(spans):
    assert len(spans.query("service == 'web' and duration_ms > 1")) == 3
    assert len(spans.query("`span.i` > 1152921504606846976 and kind == 'CLIENT'")) == 4


def test_drop_duplicates_and_nunique(spans):
    twice = pd.concat([spans, spans])
    assert same(twice.drop_duplicates(), spans)
    assert twice.duplicated().sum() == len(spans)
    assert spans.nunique()["events"] == 1


def test_describe_everything(spans):
    told = spans.describe(include="all")
    assert told.loc["unique", "trace_id"] == 3
    assert told.loc["count", "duration_ms"] == 11


def test_groupby(spans):
    worst = spans.groupby("trace_id")["status"].max()
    assert worst.tolist() == ["ERROR"] * 3
    assert spans.groupby("service")["duration_ms"].mean().index.tolist() == ["db", "web"]
    assert spans.groupby(["service", "kind"]).size().sum() == 8


def test_join_of_a_result_by_trace(spans):
    result = spans.groupby("trace_id").size().rename("n")
    assert spans.join(result, on="trace_id")["n"].tolist() == [4] * 12


def test_concat_of_pandas_keeps_fixed_types(spans):
    joined = pd.concat([spans.iloc[:6], spans.iloc[6:]])
    assert same(joined, spans)
    assert joined["status"].dtype == CORE["status"]


def test_assign_of_results_twice(spans):
    for _ in range(2):
        spans = spans.assign(failed=ta.is_error(spans), ends=ta.end_time(spans))
    assert spans["failed"].sum() == 4
    assert same(ta.conform(spans), spans)


def test_comparison_and_where(spans):
    assert ((spans == spans.copy()) | spans.isna()).all(axis=None)
    assert spans["span.i"].fillna(0).to_numpy("int64").max() == 2**60 + 11
    assert np.isnan(spans["duration_ms"].to_numpy()[0])
