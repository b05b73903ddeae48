"""Where spans stand in their trace, and one trace of a frame."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_traces import draw, frame, id_of, name_of, random_rows, trace_of

from traceanalytics.analysis.structure import hierarchy, trace
from traceanalytics.errors import SchemaError, TraceNotFoundError

XRAY = "5759e988bd862e3fe1be46a994272793"
OTHER = "5759e98800000000000000000000beef"


def some_traces():
    return frame(
        [
            {"trace_id": XRAY, "span_id": id_of("b"), "parent_span_id": id_of("a"), "name": "b", "service": "web"},
            {"trace_id": OTHER, "span_id": id_of("a"), "name": "other", "service": "db"},
            {"trace_id": XRAY, "span_id": id_of("a"), "name": "a", "service": "web", "kind": "SERVER"},
            {"trace_id": "0000000000000000000000000000cafe", "span_id": id_of("a"), "name": "short"},
            {"trace_id": "Foreign/Id", "span_id": id_of("a"), "name": "foreign"},
        ]
    )


# -- hierarchy


def test_hierarchy():
    spans = draw(
        """
        r web 10-90
          a web 20-30
            b web 21-?
          a web 20-25
          c web ?-?
        lost web 5-6 parent=gone
        """
    ).set_axis(list("uvwxyz"))
    found = hierarchy(spans)
    assert found.index.tolist() == list("uvwxyz")
    assert found.dtypes.astype(str).tolist() == ["Int64", "str", "Int64", "float64", "category"]
    assert found["depth"].to_numpy("float64", na_value=-1).tolist() == [0, 1, 2, -1, 1, 0]
    assert [name if pd.isna(name) else name_of(name) for name in found["root_span_id"].fillna("")] == [
        "r",
        "r",
        "r",
        "",
        "r",
        "lost",
    ]
    assert found["n_children"].to_numpy("float64", na_value=-1).tolist() == [2, 1, 0, -1, 0, 0]
    assert found["offset_ms"].fillna(-99).tolist() == [0, 10, 11, 10, -99, -5]
    assert found["flags"].tolist() == ["", "", "untimed", "duplicate", "untimed", "orphan"]


def test_offsets_without_a_start_of_the_main_root():
    assert hierarchy(draw("r web ?-?\n  a web 20-30\n  b web 10-30"))["offset_ms"].fillna(-1).tolist() == [-1, 10, 0]
    assert hierarchy(draw("r web 5-?\n  a web 20-30"))["offset_ms"].tolist() == [0, 15]
    assert hierarchy(draw("r web ?-?"))["offset_ms"].isna().all()


def test_hierarchy_of_nothing():
    found = hierarchy(draw())
    assert found.dtypes.astype(str).tolist() == ["Int64", "str", "Int64", "float64", "category"]
    assert len(found) == 0


# -- one trace


@pytest.mark.parametrize(
    "spelling",
    [
        XRAY,
        XRAY.upper(),
        f"0x{XRAY}",
        f"1-{XRAY[:8]}-{XRAY[8:]}",
        f"{XRAY[:8]}-{XRAY[8:12]}-{XRAY[12:16]}-{XRAY[16:20]}-{XRAY[20:]}",
        XRAY[:9],
        f" {XRAY} ",
        "1-5759e988-bd862e3fe1be46a994272793",
    ],
)
def test_spellings_of_an_id(spelling):
    assert trace(some_traces(), spelling)["name"].tolist() == ["a", "b"]


def test_ids_that_are_no_hex_and_ids_without_leading_zeros():
    assert trace(some_traces(), "Foreign/Id")["name"].tolist() == ["foreign"]
    assert trace(some_traces(), "foreign")["name"].tolist() == ["foreign"]
    assert trace(some_traces(), "cafe")["name"].tolist() == ["short"]


def test_parents_come_first_and_duplicates_last():
    spans = draw("r web 0-9\n  b web 5-6\n    c web 5-6 name=kept\n  a web 1-2\n    c web 5-5 parent=b name=dup").iloc[
        ::-1
    ]
    assert trace(spans, trace_of(0))["name"].tolist() == ["r", "a", "b", "kept", "dup"]


def test_unused_labels_are_dropped_and_the_rest_is_kept():
    spans = some_traces().assign(**{"span.http.route": pd.Categorical(["/a", "/b", "/c", None, None])})
    spans.attrs["traceanalytics"] = "{}"
    found = trace(spans, XRAY)
    assert found["service"].cat.categories.tolist() == ["web"]
    assert found["trace_id"].cat.categories.tolist() == [XRAY]
    assert found["span.http.route"].cat.categories.tolist() == ["/a", "/c"]
    assert found["kind"].dtype == spans["kind"].dtype
    assert found["status"].dtype == spans["status"].dtype
    assert found.attrs == {"traceanalytics": "{}"}
    assert found.columns.tolist() == spans.columns.tolist()
    assert found.index.tolist() == [2, 0]


def test_texts_in_place_of_categories():
    spans = some_traces().astype({"trace_id": "str", "kind": "str", "service": "str"})
    assert trace(spans, XRAY[:9])["name"].tolist() == ["a", "b"]


def test_an_unknown_id_names_near_ones():
    with pytest.raises(
        TraceNotFoundError, match=rf"no trace has the id '{XRAY[:-1]}0'; the frame has 4 traces; did you mean '{XRAY}'"
    ):
        trace(some_traces(), XRAY[:-1] + "0")
    with pytest.raises(TraceNotFoundError, match="the frame has 4 traces, such as"):
        trace(some_traces(), "q")
    with pytest.raises(TraceNotFoundError, match="the frame has no trace"):
        trace(some_traces().iloc[:0], XRAY)
    with pytest.raises(TraceNotFoundError):
        trace(some_traces(), "")


def test_a_label_that_no_row_uses_is_no_trace():
    spans = some_traces()
    with pytest.raises(TraceNotFoundError, match="the frame has 1 trace, such as"):
        trace(spans[spans["trace_id"] == OTHER], XRAY)


def test_a_beginning_of_several_ids_lists_them():
    with pytest.raises(TraceNotFoundError, match=rf"2 traces begin with '5759': {OTHER}, {XRAY}; give more digits"):
        trace(some_traces(), "5759")
    with pytest.raises(TraceNotFoundError, match=r"40 traces begin with '0': .*, \.\.\.; give"):
        trace(frame(random_rows(1, 40)), "0")


def test_a_trace_of_a_frame_that_is_none():
    with pytest.raises(SchemaError):
        trace(some_traces().drop(columns="events"), XRAY)
    assert np.array_equal(trace(some_traces(), OTHER).index, [1])
