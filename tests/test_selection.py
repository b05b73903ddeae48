from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import span_frames

import traceanalytics as ta
from traceanalytics.spans.columns import duration_ns, start_ns

INT64_MIN = np.iinfo(np.int64).min


def spans_of(traces=("a", "a", "b", "c"), **columns):
    frame = pd.DataFrame(
        {"trace_id": list(traces), "span_id": [f"s{i}" for i in range(len(traces))], "name": [f"n{t}" for t in traces]}
    )
    return ta.conform(frame.assign(**columns))


@given(st.integers(0, 2**60), st.integers(-(10**15), 10**15))
def test_end_is_exact_to_the_nanosecond(start, duration):
    spans = spans_of(["a"], start_ns=[start], duration_ns=[duration])
    assert ta.end_time(spans).array.asi8.tolist() == [start + duration]


@given(span_frames())
def test_end_of_every_span(spans):
    ends = ta.end_time(spans)
    assert ends.name == "end_time"
    assert str(ends.dtype) == "datetime64[ns, UTC]"
    start, (duration, known) = start_ns(spans["start_time"]), duration_ns(spans["duration_ms"])
    for end, begin, length, sure in zip(ends.array.asi8, start, duration, known, strict=True):
        assert int(end) == (int(begin) + int(length) if sure and begin != INT64_MIN else INT64_MIN)


def test_end_is_unknown_without_start_or_duration():
    spans = spans_of(
        ["a"] * 3, start_ns=pd.Series([1, None, 1], dtype="Int64"), duration_ns=pd.Series([None, 1, 1], dtype="Int64")
    )
    assert ta.end_time(spans).isna().tolist() == [True, True, False]


def test_end_beyond_the_years_of_int64_is_unknown():
    spans = spans_of(["a"], start_ns=[2**63 - 10], duration_ns=[1000])
    assert ta.end_time(spans).isna().all()


def test_whole_traces_of_a_series():
    spans = spans_of(status=["OK", "ERROR", "OK", "ERROR"])
    chosen = ta.whole_traces(spans, spans["status"] == "ERROR")
    assert chosen["span_id"].tolist() == ["s0", "s1", "s3"]
    assert chosen.index.tolist() == [0, 1, 3]


def test_whole_traces_drops_unused_labels_and_keeps_fixed_ones():
    chosen = ta.whole_traces(spans_of(), [False, False, True, False])
    assert chosen["trace_id"].cat.categories.tolist() == ["b"]
    assert chosen["name"].cat.categories.tolist() == ["nb"]
    assert len(chosen["kind"].cat.categories) == 6
    assert len(chosen["status"].cat.categories) == 3


@pytest.mark.parametrize(
    "mask",
    [
        np.array([False, True, False, False]),
        [False, True, False, False],
        pd.array([False, True, None, False], dtype="boolean"),
        [None, True, None, False],
        pd.Series([False, True, None, False], dtype="boolean"),
        pd.Series([None, True, None, False], dtype=object),
        pd.Series([False, True], index=[3, 1]),
        pd.Series([True], index=[0]),
    ],
)
def test_masks_of_every_kind(mask):
    assert ta.whole_traces(spans_of(), mask)["span_id"].tolist() == ["s0", "s1"]


def test_a_mask_of_another_order_is_matched_by_label():
    spans = spans_of()
    mask = pd.Series([True, False, False, False], index=[3, 2, 1, 0])
    assert ta.whole_traces(spans, mask)["span_id"].tolist() == ["s3"]


def test_spans_without_trace_id_belong_to_no_trace():
    spans = spans_of(["a", None, None])
    assert ta.whole_traces(spans, [False, True, False]).empty
    assert ta.whole_traces(spans, [True, True, True])["span_id"].tolist() == ["s0"]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([True], "1 values for 4 spans"),
        (pd.Series([1, 0, 0, 0]), "has the type int64, expected bool"),
        (["x"] * 4, "expected bool"),
        (pd.Series([True, False], index=[0, 99]), r"labels of the mask are no labels of the spans \(99"),
        (pd.Series([True, False], index=[0, 0]), "repeats labels"),
        (pd.DataFrame({"a": [True] * 4}), "the mask is a frame"),
        (lambda spans: spans, "the mask is a function"),
    ],
)
def test_masks_that_do_not_fit_are_refused(mask, message):
    with pytest.raises(ta.SchemaError, match=message):
        ta.whole_traces(spans_of(), mask)


def test_repeated_index_is_refused():
    with pytest.raises(ta.SchemaError, match=r"reset_index\(drop=True\)"):
        ta.whole_traces(spans_of().set_axis([0, 0, 1, 2]), [True] * 4)


@given(span_frames(), st.randoms(use_true_random=False))
def test_whole_traces_is_isin_and_changes_nothing(spans, random):
    mask = pd.Series([random.random() < 0.3 for _ in range(len(spans))], index=spans.index, dtype=bool)
    before, attrs = spans.copy(), dict(spans.attrs)
    chosen = ta.whole_traces(spans, mask)
    expected = spans[spans["trace_id"].isin(spans["trace_id"][mask].tolist())]
    assert chosen.astype("str").equals(expected.astype("str"))
    assert chosen.attrs == attrs
    assert spans.equals(before)
    texts = spans.assign(trace_id=spans["trace_id"].astype("str"))
    assert ta.whole_traces(texts, mask)["span_id"].tolist() == chosen["span_id"].tolist()
