from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from strategies import span_frames

import traceanalytics as ta
from traceanalytics.spans.report import ReadReport, put_report
from traceanalytics.spans.schema import CORE
from traceanalytics.spans.selection import without_unused_labels


def spans_of(prefix, count=2, **columns):
    frame = pd.DataFrame(
        {
            "trace_id": [f"{prefix}trace"] * count,
            "span_id": [f"{prefix}{i}" for i in range(count)],
            "name": ["n"] * count,
        }
    )
    return ta.conform(frame.assign(**columns))


def values(series):
    return [None if pd.isna(v) else v for v in series.tolist()]


@given(span_frames(max_spans=4), span_frames(max_spans=4))
def test_every_value_of_every_frame_is_there(left, right):
    made = ta.concat([left, right])
    assert made.index.equals(pd.RangeIndex(len(left) + len(right)))
    for name in CORE:
        assert str(made[name].dtype) == str(left[name].dtype)
        assert values(made[name].astype(object)) == values(left[name].astype(object)) + values(
            right[name].astype(object)
        )
    assert ta.conform(made).equals(made)
    assert ta.read_report(made).spans == len(made)
    for row, span in enumerate([*left.index, *right.index]):
        old = ta.attributes((left if row < len(left) else right).loc[span])
        new = ta.attributes(made.iloc[row])
        assert new.keys() == old.keys()


@given(span_frames())
def test_one_frame_and_its_parts_give_it_back(spans):
    spans = without_unused_labels(spans)
    assert ta.concat([spans]).equals(spans)
    parts = [spans.iloc[: len(spans) // 2], spans.iloc[len(spans) // 2 :]]
    joined = ta.concat(parts)
    assert joined.equals(spans)
    assert joined.dtypes.astype(str).equals(spans.dtypes.astype(str))


def test_categories_stay_categories_with_the_labels_in_use():
    one, two = spans_of("a", service=["web", "db"]), spans_of("b", service=["db", None])
    made = ta.concat([one.iloc[1:], two])
    assert isinstance(made["service"].dtype, pd.CategoricalDtype)
    assert made["service"].cat.categories.tolist() == ["db"]
    assert values(made["service"]) == ["db", "db", None]
    assert made["kind"].dtype == CORE["kind"]
    assert made["status"].dtype == CORE["status"]


@pytest.mark.parametrize(
    ("left", "right", "dtype", "expected"),
    [
        ([1, 2], [3, 4], "Int64", [1, 2, 3, 4]),
        ([1, 2], ["3", "2"], "Int64", [1, 2, 3, 2]),
        ([1, 2], ["x", "2"], "str", ["1", "2", "x", "2"]),
        ([1, 2], ["007", "2"], "str", ["1", "2", "007", "2"]),
        ([1, 2], ["9223372036854775808", "2"], "str", ["1", "2", "9223372036854775808", "2"]),
        ([1, 2], [1.5, 2.0], "str", ["1", "2", "1.5", "2.0"]),
        ([True, False], [1, 1], "str", ["true", "false", "1", "1"]),
        ([1.5, 2.5], [3.5, np.nan], "float64", [1.5, 2.5, 3.5, None]),
        (["a", "b"], ["c", "d"], "str", ["a", "b", "c", "d"]),
        (["a", "a"], ["b", "c"], "str", ["a", "a", "b", "c"]),
        (["a", "a"], ["b", "b"], "category", ["a", "a", "b", "b"]),
        (["x", "y"], ["y", "x"], "category", ["x", "y", "y", "x"]),
    ],
)
def test_types_of_attributes(left, right, dtype, expected):
    made = ta.concat(
        [
            spans_of("a", **{"span.k": pd.Series(left, dtype=object)}),
            spans_of("b", **{"span.k": pd.Series(right, dtype=object)}),
        ]
    )
    assert made["span.k"].dtype == dtype
    assert values(made["span.k"]) == expected


def test_columns_that_a_frame_lacks_are_missing():
    one = spans_of("a", dropped_events=[1, 2], **{"span.i": [1, 2], "resource.z": ["x", "x"]})
    two = spans_of("b", mine=[5, 6], other_attributes=['{"span.rare":1}', None], **{"span.b": [True, False]})
    made = ta.concat([one, two])
    assert made.columns.tolist() == [
        *CORE,
        "dropped_events",
        "span.b",
        "span.i",
        "resource.z",
        "other_attributes",
        "mine",
    ]
    assert made["dropped_events"].dtype == "Int64"
    assert values(made["dropped_events"]) == [1, 2, None, None]
    assert made["span.i"].dtype == "Int64"
    assert made["span.b"].dtype == "boolean"
    assert made["resource.z"].dtype == "category"
    assert values(made["mine"]) == [None, None, 5, 6]
    assert values(ta.attribute(made, "rare")) == [None, None, 1, None]


def test_an_attribute_missing_everywhere_in_one_frame_has_no_say():
    one = spans_of("a", **{"span.k": pd.Series([None, None], dtype="str")})
    two = spans_of("b", **{"span.k": [1, 2]})
    for made in (ta.concat([one, two]), ta.concat([two, one])):
        assert made["span.k"].dtype == "Int64"


def test_text_in_place_of_categories_and_kinds():
    one, two = spans_of("a", kind=["SERVER", None], status=["OK", "ERROR"]), spans_of("b")
    texts = one.astype({"trace_id": "str", "name": "str", "kind": "str", "status": "str"})
    assert ta.concat([texts, two]).equals(ta.concat([one, two]))


def test_a_kind_that_is_none_is_refused():
    broken = spans_of("a").assign(kind="SERVICE")
    with pytest.raises(ta.SchemaError, match="kind 'SERVICE' at index 0 is none of UNSPECIFIED"):
        ta.concat([spans_of("b"), broken])


def test_reports_and_attrs_are_joined():
    one, two = spans_of("a"), spans_of("b")
    put_report(one, ReadReport(("otlp",), ("a.json",), 2, 1, {"x": 1}, text_like_json=("span.a",)))
    put_report(two, ReadReport(("zipkin",), ("b.json",), 2, 0, {"x": 2, "y": 1}))
    for frame, own in ((one, 1), (two, 2)):
        frame.attrs |= {"same": "s", "own": own}
    made = ta.concat([one, two])
    report = ta.read_report(made)
    assert (report.formats, report.sources, report.spans, report.skipped) == (
        ("otlp", "zipkin"),
        ("a.json", "b.json"),
        4,
        1,
    )
    assert report.counts == {"x": 3, "y": 1}
    assert report.text_like_json == ("span.a",)
    assert made.attrs["same"] == "s"
    assert "own" not in made.attrs
    assert ta.read_report(ta.concat([spans_of("a")])) is None


def test_any_iterable_and_no_change_of_the_inputs():
    one, two = spans_of("a", service=["x", "y"]), spans_of("b")
    before = one.copy()
    assert len(ta.concat(frame for frame in (one, two))) == 4
    assert one.equals(before)


def test_repeated_labels_between_frames_are_no_problem_but_within_one_are():
    assert ta.concat([spans_of("a"), spans_of("b")]).index.is_unique
    with pytest.raises(ta.SchemaError, match=r"frame 1 \(counted from 0\): the index repeats"):
        ta.concat([spans_of("a"), spans_of("b").set_axis([0, 0])])


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "there is no frame to concatenate"),
        (pd.DataFrame({"a": [1]}), r"found one frame; write ta\.concat\(\[a, b\]\)"),
        ([pd.DataFrame({"a": [1]})], r"frame 0 \(counted from 0\): the frame lacks the columns"),
        ([5], r"frame 0 .*found int"),
    ],
)
def test_what_cannot_be_put_together_is_refused(frames, message):
    with pytest.raises(ta.SchemaError, match=message):
        ta.concat(frames)


def test_empty_frames_take_part():
    empty = spans_of("a", 0)
    made = ta.concat([empty, spans_of("b"), empty])
    assert made.equals(spans_of("b"))
    assert ta.concat([empty, empty]).equals(empty)
