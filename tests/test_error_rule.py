from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from strategies import span_frames

import traceanalytics as ta


def one(kind="SERVER", status="UNSET", **attributes):
    frame = pd.DataFrame(
        {
            "trace_id": ["t"],
            "span_id": ["s"],
            "name": ["n"],
            "kind": [kind],
            "status": [status],
            "attributes": [attributes],
        }
    )
    return bool(ta.is_error(ta.conform(frame)).iloc[0])


def rpc(code, kind, key="rpc.grpc.status_code", status="UNSET"):
    return one(kind, status, **{key: code})


def http(code, kind="SERVER", key="http.response.status_code", status="UNSET"):
    return one(kind, status, **{key: code})


@pytest.mark.parametrize(("status", "failed"), [("ERROR", True), ("OK", False), ("UNSET", False), (None, False)])
def test_status_alone(status, failed):
    assert one(status=status) is failed


@pytest.mark.parametrize(
    ("code", "failed"), [(200, False), (399, False), (404, False), (499, False), (500, True), (599, True), (600, False)]
)
def test_http_on_a_server(code, failed):
    assert http(code) is failed


@pytest.mark.parametrize(
    ("code", "failed"), [(100, False), (399, False), (400, True), (404, True), (500, True), (600, False)]
)
def test_http_on_a_client(code, failed):
    assert http(code, "CLIENT") is failed


@pytest.mark.parametrize("kind", ["INTERNAL", "UNSPECIFIED", None])
def test_4xx_is_an_error_on_clients_only(kind):
    assert not http(404, kind)
    assert http(500, kind)


@pytest.mark.parametrize("key", ["http.status_code", "http.response.status_code"])
@pytest.mark.parametrize("code", [503, "503", 503.0, " 503 "])
def test_http_by_both_names_as_number_and_text(key, code):
    assert http(code, key=key)


@pytest.mark.parametrize("code", ["oops", "", "5xx", "٥٠٣", "-500", True])
def test_a_text_that_is_no_code_is_no_error(code):
    assert not http(code)


def test_ok_is_never_overridden():
    assert not http(503, status="OK")
    assert not rpc(14, "CLIENT", status="OK")


def test_missing_status_counts_as_unset():
    assert http(503, status=None)


SERVER_FAULTS = {2, 4, 12, 13, 14, 15}
NAMES = ["OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"]  # fmt: skip


@pytest.mark.parametrize("code", range(17))
def test_grpc_on_server_and_client(code):
    for spelled in (code, str(code), NAMES[code], NAMES[code].lower()):
        for key in ("rpc.grpc.status_code", "rpc.response.status_code"):
            assert rpc(spelled, "SERVER", key) is (code in SERVER_FAULTS)
            assert rpc(spelled, "CLIENT", key) is (code != 0)
            assert rpc(spelled, "INTERNAL", key) is (code in SERVER_FAULTS)


@pytest.mark.parametrize("code", [17, -1, "SOMETHING", "-32602"])
def test_unknown_rpc_codes_are_no_error(code):
    assert not rpc(code, "CLIENT")


def test_result_is_a_named_bool_series_on_the_index():
    spans = ta.conform(
        pd.DataFrame(
            {
                "trace_id": ["t"] * 3,
                "span_id": ["a", "b", "c"],
                "name": ["n"] * 3,
                "status": ["ERROR", None, "OK"],
                "attributes": [{}, {"http.status_code": "500"}, {"http.status_code": 404}],
            },
            index=[5, 3, 9],
        )
    )
    found = ta.is_error(spans)
    assert found.name == "is_error"
    assert found.dtype == bool
    assert found.to_dict() == {5: True, 3: True, 9: False}


def test_codes_in_the_resource_do_not_count():
    frame = pd.DataFrame({"trace_id": ["t"], "span_id": ["s"], "name": ["n"], "resource.http.status_code": [500]})
    assert not ta.is_error(ta.conform(frame)).iloc[0]


def test_no_spans():
    empty = ta.conform(pd.DataFrame({"trace_id": [], "span_id": [], "name": []}))
    assert ta.is_error(empty).tolist() == []


@given(span_frames())
def test_text_columns_give_the_same_answer(spans):
    texts = spans.assign(kind=spans["kind"].astype("str"), status=spans["status"].astype("str"))
    assert ta.is_error(texts).equals(ta.is_error(spans))
    assert ta.is_error(spans)[spans["status"] == "ERROR"].all()
    assert not ta.is_error(spans)[spans["status"] == "OK"].any()
