from __future__ import annotations

import uuid

import numpy as np
import pandas as pd
import pytest
from foreign_frames import START, S, T, foreign, one, refusal
from hypothesis import given
from strategies import span_frames

import traceanalytics as ta
from traceanalytics.spans.conforming import empty_frame
from traceanalytics.spans.schema import CORE
from traceanalytics.spans.selection import without_unused_labels

# ---- span frames stay as they are ----


@given(span_frames())
def test_a_span_frame_stays_as_it_is(spans):
    spans = without_unused_labels(spans)
    before = spans.copy()
    made = ta.conform(spans)
    assert made.columns.tolist() == spans.columns.tolist()
    assert made.equals(spans)
    assert made.dtypes.equals(spans.dtypes)
    assert made.attrs == spans.attrs
    assert made is not spans
    assert spans.equals(before)


@given(span_frames())
def test_rows_and_index_are_kept_in_any_order(spans):
    shuffled = spans.sample(frac=1, random_state=3).set_axis([f"row {i}" for i in range(len(spans))])
    before = shuffled.copy()
    made = ta.conform(shuffled[sorted(shuffled.columns)])
    assert made.index.equals(shuffled.index)
    assert made.columns.tolist() == spans.columns.tolist()
    assert made.equals(without_unused_labels(shuffled))
    assert shuffled.equals(before)


def test_every_core_column_has_its_type_even_when_nothing_is_there():
    for frame in (foreign(), foreign(0), empty_frame()):
        made = ta.conform(frame)
        assert made.columns.tolist() == list(CORE)
        assert {name: str(made[name].dtype) for name in made} == {
            name: "category" if isinstance(dtype, pd.CategoricalDtype) else dtype for name, dtype in CORE.items()
        }
        assert made["kind"].dtype == CORE["kind"]
        assert made["status"].cat.ordered
        for name in ("service", "scope_name", "trace_id"):
            assert made[name].cat.categories.dtype == "str"


def test_what_is_not_there_is_missing():
    made = ta.conform(foreign())
    assert made.drop(columns=["trace_id", "span_id", "name"]).isna().all(axis=None)


def test_types_lost_on_the_way_are_mended():
    spans = ta.conform(
        foreign(
            4,
            service=["b", "a", "b", None],
            kind=["SERVER"] * 4,
            status=["OK", "ERROR", None, "UNSET"],
            start_ns=[START] * 4,
        )
    )
    objects = spans.astype(object)
    made = ta.conform(objects)
    assert made.equals(spans)
    assert made.dtypes.equals(spans.dtypes)


def test_all_missing_category_of_floats_is_mended():
    spans = foreign().assign(service=pd.Series([None]).astype("category"))
    assert spans["service"].cat.categories.dtype != "str"
    assert ta.conform(spans)["service"].cat.categories.dtype == "str"


def test_unused_labels_go_and_the_others_keep_their_order():
    frame = foreign(2).assign(service=pd.Categorical(["z", "a"], categories=["z", "unused", "a"]))
    assert ta.conform(frame)["service"].cat.categories.tolist() == ["z", "a"]


def test_columns_without_meaning_stay_at_the_end_unchanged():
    frame = foreign(1, cost=[{"a": 1}], span__b=[1], resource__a=["x"]).assign(other=pd.Series(["q"], dtype="category"))
    frame[7] = 1
    made = ta.conform(frame[[7, "cost", "resource.a", "other", "span.b", "name", "span_id", "trace_id"]])
    assert made.columns.tolist() == [*CORE, "span.b", "resource.a", 7, "cost", "other"]
    assert made["cost"].tolist() == [{"a": 1}]
    assert made["other"].dtype == "category"


def test_attrs_are_kept():
    frame = foreign()
    frame.attrs = {"mine": 1}
    assert ta.conform(frame).attrs == {"mine": 1}


# ---- which column is which ----


@pytest.mark.parametrize(
    "names",
    [
        ("traceId", "spanId", "parentSpanId", "name", "serviceName", "kind", "status"),
        ("TraceId", "SpanId", "ParentSpanId", "SpanName", "ServiceName", "SpanKind", "StatusCode"),
        ("traceID", "spanID", "parentSpanID", "operationName", "service.name", "span_kind", "status.code"),
        ("trace_id", "span_id", "parent_id", "operation_name", "service", "spanKind", "status_code"),
        ("Trace ID", "Span ID", "Parent ID", "Name", "resource.service.name", "Kind", "Status"),
        ("traceId", "id", "parentId", "name", "service_name", "kind", "otel.status_code"),
    ],
)
def test_common_spellings_are_recognised(names):
    ours = ["trace_id", "span_id", "parent_span_id", "name", "service", "kind", "status"]
    values = [T, S, "00000000000000ff", "GET", "web", "Server", "Error"]
    frame = pd.DataFrame({name: [value] for name, value in zip(names, values, strict=True)})
    row = ta.conform(frame).iloc[0]
    assert row[ours].tolist() == [*values[:5], "SERVER", "ERROR"]
    assert ta.conform(frame).columns.tolist() == list(CORE)


def test_a_mapping_names_what_is_not_recognised():
    frame = pd.DataFrame({"tr": [T], "sp": [S], "op": ["GET"], "took": [3], "route": ["/"], "Duration": [5]})
    columns = {"tr": "trace_id", "sp": "span_id", "op": "name", "took": "duration_us", "route": "span.http.route"}
    made = ta.conform(frame, columns=columns)
    assert made["duration_ms"].tolist() == [0.003]
    assert made["span.http.route"].tolist() == ["/"]
    assert made.columns.tolist() == [*CORE, "span.http.route", "Duration"]


def test_our_own_name_goes_before_a_spelling():
    made = ta.conform(foreign(1, operation=["other"]))
    assert made["name"].tolist() == ["n"]
    assert made["operation"].tolist() == ["other"]


def test_attributes_named_like_core_columns_stay_attributes():
    made = ta.conform(foreign(1, span__kind=["x"], span__name=["y"]))
    assert made["kind"].isna().all()
    assert made["span.kind"].tolist() == ["x"]


@pytest.mark.parametrize(
    ("frame", "columns", "message"),
    [
        (
            pd.DataFrame({"trace_id": [T]}),
            None,
            "among the columns 'trace_id' there is none for span_id and name; name it with",
        ),
        (pd.DataFrame({"trace": [T], "spam_id": [S], "name": ["n"]}), None, "did you mean 'spam_id'"),
        (foreign(), {"trase_id": "trace_id"}, "no column 'trase_id'; did you mean 'trace_id'"),
        (foreign(1, x=[1]), {"x": "servise"}, "'servise' is no column of a span frame; did you mean 'service'"),
        (foreign(1, x=["a"]), {"x": "name"}, "the frame has a column 'name' too"),
        (foreign(1, x=["a"], y=["b"]), {"x": "service", "y": "service"}, "gives 'service' twice, as 'x' and as 'y'"),
        (foreign(1, start=[1], timestamp=[2]), None, "the columns 'start' and 'timestamp' could all be start_time"),
        (foreign(2).set_axis([0, 0]), None, "the index repeats 1 labels"),
        (foreign().rename(columns={"name": "span_id"}), None, "column 'span_id' stands more than once"),
        ([1], None, "found list"),
    ],
)
def test_what_is_wrong_with_the_columns_is_named(frame, columns, message):
    assert message in refusal(frame, columns=columns)


# ---- ids ----


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (T.upper(), T),
        (f"0x{T}", T),
        (f" {T} ", T),
        (str(uuid.UUID(T)), T),
        (uuid.UUID(T), T),
        (bytes.fromhex(T), T),
        ("a3ce929d0e0e4736", "0000000000000000a3ce929d0e0e4736"),
        ("|aBc.1.", "|aBc.1."),
        ("1-67891233-abcdef012345678912345678", "1-67891233-abcdef012345678912345678"),
        ("", None),
        ("0" * 32, None),
        ("0x0", None),
        (None, None),
    ],
)
def test_trace_ids(given, expected):
    found = one("trace_id", given)["trace_id"]
    assert found == expected or (expected is None and pd.isna(found))


@pytest.mark.parametrize(
    ("given", "expected"),
    [("00F067AA0BA902B7", S), ("0x00f067aa0ba902b7", S), ("", None), ("0" * 16, None), ("root", "root")],
)
def test_span_and_parent_ids(given, expected):
    for column in ("span_id", "parent_span_id"):
        found = one(column, given)[column]
        assert found == expected or (expected is None and pd.isna(found))


def test_categories_of_ids_are_cleaned_too():
    frame = foreign(3).assign(trace_id=pd.Categorical([T.upper(), T, "0" * 32]))
    made = ta.conform(frame)["trace_id"]
    assert made.tolist()[:2] == [T, T]
    assert made.cat.categories.tolist() == [T]
    assert pd.isna(made[2])


@pytest.mark.parametrize(
    "ids", [[1234], [1.5e20], np.array([2**63], dtype="uint64"), pd.Series([2**127], dtype=object)]
)
def test_numbers_are_no_ids(ids):
    message = refusal(foreign().assign(span_id=ids))
    assert "column 'span_id': found" in message
    assert "at index 0, expected hex digits as text" in message


# ---- kinds, statuses, flags, texts ----


@pytest.mark.parametrize(
    "given", ["SERVER", "Server", "server", "SPAN_KIND_SERVER", "SpanKind.SERVER", 2, 2.0, "2", "2.0", np.int8(2)]
)
def test_kinds_in_any_spelling(given):
    assert one("kind", given)["kind"] == "SERVER"


@pytest.mark.parametrize(
    "given", ["ERROR", "Error", "STATUS_CODE_ERROR", "StatusCode.ERROR", 2, "2", {"code": 2}, {"status_code": "ERROR"}]
)
def test_statuses_in_any_spelling(given):
    assert one("status", given)["status"] == "ERROR"


def test_status_with_its_message_in_one_cell():
    made = ta.conform(foreign(3, status=[{"code": 2, "message": "boom"}, {}, None]))
    assert made["status"].tolist()[:2] == ["ERROR", "UNSET"]
    assert made["status_message"].tolist()[0] == "boom"
    assert made["status_message"].isna().tolist() == [False, True, True]


def test_missing_kinds_and_statuses_stay_missing():
    made = ta.conform(foreign(2, kind=[None, ""], status=[np.nan, "OK"]))
    assert made["kind"].isna().all()
    assert made["status"].tolist()[1] == "OK"


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("kind", "SERVICE", "column 'kind': found 'SERVICE' at index 'r', expected one of UNSPECIFIED, INTERNAL"),
        ("kind", 6, "found 6 at index 'r'"),
        ("kind", ["a"], "column 'kind': found ['a'] at index 'r'"),
        ("StatusCode", 404, "column 'StatusCode': found 404 at index 'r', expected one of UNSET, OK, ERROR"),
        (
            "trace_flags",
            -1,
            "column 'trace_flags': found -1 at index 'r', expected a whole number from 0 to 4294967295",
        ),
        ("trace_flags", 2**32, "found 4294967296 at index 'r'"),
        ("trace_flags", "x", "found 'x' at index 'r'"),
        ("trace_flags", 1.5, "found 1.5 at index 'r'"),
        ("name", {"a": 1}, "column 'name': found {'a': 1} at index 'r', expected a text"),
        ("dropped_events", -3, "column 'dropped_events': found -3"),
    ],
)
def test_wrong_values_are_named(column, value, message):
    frame = foreign(2, **({} if column == "name" else {column: [None, None]})).astype(object).set_axis(["q", "r"])
    frame.at["r", column] = value  # noqa: PD008 - loc would take a list apart
    assert message in refusal(frame)


@pytest.mark.parametrize(("given", "expected"), [(1, 1), (257.0, 257), ("1", 1), (2**32 - 1, 2**32 - 1)])
def test_flags(given, expected):
    assert one("flags", given)["trace_flags"] == expected


def test_texts_are_texts_and_empty_ones_are_missing_but_for_the_name():
    made = ta.conform(
        foreign(2, service=["", 7], status_message=["", "x"], trace_state=["a=1", None]).assign(name=["", 5])
    )
    assert made["name"].tolist() == ["", "5"]
    assert made["service"].isna().tolist() == [True, False]
    assert made["service"][1] == "7"
    assert made["status_message"].isna().tolist() == [True, False]


def test_lone_surrogates_are_replaced():
    made = ta.conform(foreign().assign(status_message=pd.Series(["a\ud800b"], dtype=object)))
    assert made["status_message"].tolist() == ["a\ufffdb"]


# ---- frames as they come ----


def test_the_table_of_a_column_store():
    frame = pd.DataFrame(
        {
            "Timestamp": pd.to_datetime([START], utc=True),
            "TraceId": [T],
            "SpanId": [S],
            "ParentSpanId": [""],
            "TraceState": [""],
            "SpanName": ["GET /"],
            "SpanKind": ["Server"],
            "ServiceName": ["web"],
            "ResourceAttributes": [{"service.name": "web", "host.name": "h"}],
            "ScopeName": ["io.http"],
            "ScopeVersion": [""],
            "SpanAttributes": [{"http.route": "/"}],
            "Duration": [1_234_567],
            "StatusCode": ["STATUS_CODE_ERROR"],
            "StatusMessage": ["boom"],
        }
    )
    made = ta.conform(frame, columns={"Duration": "duration_ns"})
    assert made.columns.tolist() == [*CORE, "span.http.route", "resource.host.name"]
    row = made.iloc[0]
    assert row["start_time"].value == START
    assert row["duration_ms"] == 1.234567
    assert (row["kind"], row["status"], row["status_message"], row["scope_name"]) == (
        "SERVER",
        "ERROR",
        "boom",
        "io.http",
    )
    assert made[["parent_span_id", "trace_state", "scope_version"]].isna().all(axis=None)


def test_spans_of_the_console_exporter():
    span = {
        "name": "GET",
        "context": {"trace_id": f"0x{T}", "span_id": f"0x{S}", "trace_state": "[]"},
        "kind": "SpanKind.CLIENT",
        "parent_id": None,
        "start_time": "2026-05-14T14:23:45.000001Z",
        "end_time": "2026-05-14T14:23:45.500001Z",
        "status": {"status_code": "ERROR", "description": "boom"},
        "attributes": {"k": 1},
        "events": [{"name": "e", "timestamp": "2026-05-14T14:23:45.1Z", "attributes": {}}],
        "links": [],
        "resource": {"attributes": {"service.name": "web"}, "schema_url": ""},
    }
    frame = pd.DataFrame([span | {"trace_id": span["context"]["trace_id"], "span_id": span["context"]["span_id"]}])
    row = ta.conform(frame.drop(columns="context")).iloc[0]
    assert (row["trace_id"], row["span_id"], row["kind"], row["service"]) == (T, S, "CLIENT", "web")
    assert (row["duration_ms"], row["status"], row["status_message"], row["span.k"]) == (500.0, "ERROR", "boom", 1)


def test_real_traces_stay_as_they_are(corpus):
    frames = []
    for path in ("oteldemo_collector_file_exporter_mixed.jsonl", "jaeger_integration_scope_attributes_trace.json"):
        spans = without_unused_labels(ta.read_otlp(corpus / "otlp_json" / path))
        assert ta.conform(spans).equals(spans)
        frames.append(spans)
    united = ta.concat(frames)
    assert ta.conform(united).equals(united)
    assert ta.is_error(united).sum() == 147
    assert set(ta.attribute(united, "http.request.method").dropna()) == {"GET", "POST"}
    assert len(ta.events(united)) == sum(cell.count('{"time":') for cell in united["events"].dropna())
