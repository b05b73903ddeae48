"""Which span is blamed for a failed request: drawn cases, known culprits, and a plain Python reference."""

from __future__ import annotations

import itertools
import json

import error_scenarios
import numpy as np
import pandas as pd
import pytest
from error_scenarios import SCENARIOS, attributed, spans_of
from reference_blame import blamed
from small_traces import draw, frame, id_of, name_of, random_rows, trace_of

import traceanalytics as ta
from traceanalytics.analysis.error_attribution import attribute_errors
from traceanalytics.errors import OptionError, SchemaError
from traceanalytics.kernels import forced

CAUSES = ["error", "timeout", "cancellation", "slow"]


def culprit(*texts, **columns):
    """Name of the blamed span and cause of the first of some drawn traces."""
    found = attribute_errors(draw(*texts).assign(**columns)).iloc[0]
    return name_of(found["blame_span_id"]), found["cause"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenarios_with_a_known_culprit(scenario):
    spans, cause = spans_of(scenario, range(300))
    found = attribute_errors(spans)
    assert len(found) == 300
    assert set(found["blame_name"]) == {"culprit"}
    assert set(found["cause"]) == {cause}


def test_every_kind_of_sign_occurs_in_the_scenarios():
    for scenario, signs in (
        ("timeout", error_scenarios.DEADLINES),
        ("cancelled siblings", error_scenarios.CANCELLATIONS),
    ):
        spans, _ = spans_of(scenario, range(300))
        for sign in signs:
            [(column, value)] = sign.items()
            assert (spans[column].astype("str") == str(value)).any() or (spans[column] == value).any()


def test_a_failed_root_alone():
    spans = draw("root web 0-100 ERROR")
    found = attribute_errors(spans)
    assert found.index.tolist() == [trace_of(0)]
    row = found.iloc[0]
    assert (row["root_service"], row["root_name"], row["blame_service"], row["blame_name"]) == ("web", "root") * 2
    assert (row["blame_span_id"], row["cause"], row["chain_length"], row["handled"]) == (id_of("root"), "error", 1, 0)
    assert json.loads(row["chain"]) == [id_of("root")]
    assert row["requests"] == 1.0


def test_no_failed_request_gives_no_row():
    spans = draw("root web 0-100\n  call db 10-50 CLIENT ERROR", "root web 0-100 OK")
    found = attribute_errors(spans)
    assert found.empty
    assert found.index.dtype == spans["trace_id"].dtype
    full = attribute_errors(draw("root web 0-100 ERROR"))
    own = ["blame_span_id", "cause", "chain", "chain_length", "handled", "evidence", "requests"]
    assert found[own].dtypes.astype(str).equals(full[own].dtypes.astype(str))  # categories are those that occur
    assert list(found) == list(full)
    assert attribute_errors(spans.iloc[:0]).dtypes.equals(found.dtypes)


def test_unmarked_spans_of_the_same_service_are_looked_through_and_stand_in_the_chain():
    text = """
        root web 0-100 ERROR
          mid web 10-90
            call web 20-80 CLIENT ERROR
    """
    assert culprit(text) == ("call", "error")
    row = attribute_errors(draw(text)).iloc[0]
    assert [name_of(i) for i in json.loads(row["chain"])] == ["root", "mid", "call"]
    assert row["chain_length"] == 3


@pytest.mark.parametrize("middle", ["mid db 10-90", "mid web 10-90 OK", "mid web 10-90 CLIENT", "mid - 10-90"])
def test_what_is_not_looked_through(middle):
    assert culprit(f"root web 0-100 ERROR\n  {middle}\n    call web 20-80 CLIENT ERROR") == ("root", "error")


def test_spans_without_kind_are_internal():
    text = "root web 0-100 ERROR\n  mid web 10-90 UNSPECIFIED\n    call web 20-80 CLIENT ERROR"
    assert culprit(text) == ("call", "error")
    assert culprit(text.replace("web", "-")) == ("call", "error")


def test_an_attempt_made_good_is_left_out():
    text = """
        root  web 0-100 ERROR
          one web 10-20 CLIENT ERROR name=get
          two web 30-40 CLIENT {} name=get
    """
    assert culprit(text.format("")) == ("root", "error")
    assert culprit(text.format("ERROR")) == ("two", "error")


@pytest.mark.parametrize(
    "second",
    [
        "two web 15-40 CLIENT name=get",  # at the same time: no retry
        "two web 0-5 CLIENT name=get",  # before
        "two web 30-40 CLIENT name=put",
        "two web 30-40 SERVER name=get",
        "two db 30-40 CLIENT name=get",
        "two web 30-? CLIENT name=get parent=one",  # not beside it
    ],
)
def test_what_makes_no_attempt_good(second):
    assert culprit(f"root web 0-100 ERROR\n  one web 10-20 CLIENT ERROR name=get\n  {second}") == ("one", "error")


def test_a_call_that_never_ended_is_no_success():
    text = "root web 0-100 ERROR\n  one web 10-20 CLIENT ERROR name=get\n  two web 30-? CLIENT name=get"
    assert culprit(text) == ("one", "error")


def test_callees_that_differ_are_no_attempts_of_one_call():
    text = """
        root   web 0-100 ERROR
          one  web 10-20 CLIENT ERROR name=GET
            s1 {} 11-19 SERVER ERROR
          two  web 30-40 CLIENT name=GET
            s2 stock 31-39 SERVER
    """
    assert culprit(text.format("cart")) == ("s1", "error")
    assert culprit(text.format("stock")) == ("root", "error")
    without = "\n".join(line for line in text.splitlines() if "s1" not in line)
    assert culprit(without) == ("root", "error")  # the connection was refused: no server to see


@pytest.mark.parametrize(
    "key", ["span.server.address", "span.net.peer.name", "span.service.peer.name", "span.peer.service"]
)
def test_callees_by_attribute(key):
    text = "root web 0-100 ERROR\n  one web 10-20 CLIENT ERROR name=GET\n  two web 30-40 CLIENT name=GET"
    assert culprit(text, **{key: [None, "cart", "stock"]}) == ("one", "error")
    assert culprit(text, **{key: [None, "cart", "cart"]}) == ("root", "error")
    assert culprit(text, **{key: [None, "cart", None]}) == ("root", "error")


@pytest.mark.parametrize(
    ("key", "one", "other", "same"),
    [
        ("span.http.route", "/pay", "/log", False),
        ("span.url.full", "http://a:1/pay?x=1", "http://b:2/pay?x=2", True),
        ("span.http.url", "http://a:1/pay", "http://a:1/log", False),
        ("span.url.path", "/cart/1234", "/cart/77", True),
        ("span.db.statement", "SELECT 1 FROM a WHERE b = ?", "SELECT 1 FROM a WHERE c = ?", False),
        ("span.db.query.text", "SELECT * FROM a WHERE b = 5", "SELECT * FROM a WHERE b = 6", True),
    ],
)
def test_what_is_asked_for_tells_calls_apart(key, one, other, same):
    text = "root web 0-100 ERROR\n  one web 10-20 CLIENT ERROR name=GET\n  two web 30-40 CLIENT name=GET"
    assert culprit(text, **{key: [None, one, other]}) == (("root" if same else "one"), "error")


def test_numbers_in_names_do_not_tell_attempts_apart():
    text = "root web 0-100 ERROR\n  one web 10-20 ERROR name=try-1\n  two web 30-40 name=try-2"
    assert culprit(text) == ("root", "error")


def test_a_wrapper_with_a_failure_inside_is_no_success():
    text = """
        root   web 0-100 ERROR
          one  web 10-20 ERROR name=attempt
          two  web 30-40 name=attempt
            in web 31-39 CLIENT ERROR
    """
    assert culprit(text) == ("in", "error")


def test_the_last_failure_before_the_end_is_followed():
    text = "root web 0-100 ERROR\n  a web 10-60 CLIENT ERROR\n  b web 20-50 CLIENT ERROR"
    assert culprit(text) == ("a", "error")


def test_the_first_to_end_among_the_not_cancelled():
    text = """
        root web 0-100 ERROR
          a  web 10-60 CLIENT ERROR
          b  web 20-50 CLIENT ERROR
          c  web 5-40  CLIENT ERROR status_message=canceled
    """
    assert culprit(text) == ("b", "error")


def test_all_cancelled():
    text = "root web 0-100 ERROR\n  a web 10-60 CLIENT ERROR status_message=canceled"
    assert culprit(text) == ("a", "cancellation")
    assert culprit(text.replace("0-100 ERROR", "0-100 ERROR status_message=deadline")) == ("a", "slow")


def test_nested_deadlines():
    inner_first = """
        root  web 0-100 ERROR
          out web 5-90 CLIENT ERROR status_message=deadline
            sv1 cart 6-89 SERVER ERROR
              in cart 10-50 CLIENT ERROR status_message=deadline
                sv2 db 11-300 SERVER
                  sql db 12-290 CLIENT
                  aft db 95-299 CLIENT
    """
    assert culprit(inner_first) == ("sql", "slow")
    outer_first = inner_first.replace("6-89", "6-260").replace("10-50", "10-250")
    assert culprit(outer_first) == ("sql", "slow")
    assert culprit(outer_first.replace("12-290", "12-80")) == ("sv2", "slow")
    assert culprit(outer_first.replace("95-299", "70-299")) == ("aft", "slow")  # of two, the one that took longer


def test_a_deadline_without_anything_running():
    text = "root web 0-100 ERROR\n  c web 10-60 CLIENT ERROR status_message=deadline\n    s db 11-30 SERVER"
    assert culprit(text) == ("c", "timeout")


def test_a_child_that_outlives_a_failed_span_was_too_slow():
    assert culprit("root web 0-100 ERROR\n  call web 10-300 CLIENT") == ("call", "slow")
    assert culprit("root web 0-100 ERROR\n  call web 10-100.5 CLIENT") == ("root", "error")  # rounding
    assert culprit("root web 0-100 ERROR\n  call web 10-? CLIENT") == ("call", "slow")  # never ended
    assert culprit("root web 0-100 ERROR\n  call web 200-300 CLIENT") == ("root", "error")  # began later
    assert culprit("root web 0-100 ERROR\n  call db 40-130 SERVER") == ("root", "error")  # another clock
    assert culprit("root web 0-100 PRODUCER ERROR\n  take web 40-500 CONSUMER") == ("root", "error")


def test_a_failure_after_the_end_explains_nothing():
    text = "root web 0-100 ERROR\n  call web 10-300 CLIENT ERROR\n    a db 20-290 SERVER\n    b db 120-299 SERVER ERROR"
    assert culprit(text) == ("a", "slow")
    other_clock = "root web 0-100 ERROR\n  call db 40-130 SERVER ERROR"
    assert culprit(other_clock) == ("call", "error")
    assert culprit(other_clock.replace("0-100 ERROR", "0-100 ERROR status_message=deadline")) == ("call", "slow")


def test_what_ended_before_the_cancelled_began_did_not_cancel_them():
    text = """
        root   web 0-100 ERROR
          old  web 5-10 CLIENT ERROR
          bad  web 20-60 CLIENT ERROR
          off  web 20-62 CLIENT ERROR status_message=canceled
    """
    assert culprit(text) == ("bad", "error")
    assert culprit(text.replace("5-10", "5-25")) == ("old", "error")


def test_a_caller_that_says_nothing_was_cancelled_if_its_callee_was():
    text = """
        root   web 0-100 ERROR
          bad  web 20-60 CLIENT ERROR
          off  web 20-64 CLIENT ERROR {}
            s  db  21-63 SERVER ERROR status_message=canceled
    """
    assert culprit(text.format("")) == ("bad", "error")
    assert culprit(text.format("status_message=boom"))[0] == "s"


def test_what_ran_below_a_call_cancelled_by_a_deadline_was_too_slow():
    text = """
        root     web  0-100 ERROR
          call   web  10-90 CLIENT ERROR status_message={}
            mid  cart 12-89 SERVER ERROR status_message=canceled
              sub  db 14-90 SERVER
    """
    assert culprit(text.format("deadline")) == ("sub", "slow")
    assert culprit(text.format("boom")) == ("mid", "cancellation")


def test_attempts_at_other_instances_and_under_other_names():
    text = "root web 0-100 ERROR\n  one web 10-20 CLIENT ERROR name={}\n  two web {} CLIENT name={}"
    same, late = text.format("POST_/pay", "30-40", "POST_/pay"), text.format("POST_/pay", "19.5-40", "POST_/pay")
    assert culprit(late) == ("root", "error")  # clocks differ
    assert culprit(text.format("pay", "15-40", "pay"))[0] == "one"
    assert culprit(text.format("pay", "30-40", "pay_(retry:1)"))[0] == "root"
    for one, other, expected in [
        ("10.0.0.1", "10.0.0.2", "root"),
        ("pay-1.svc", "pay-2.svc", "root"),
        ("shard-1", "shard-2", "one"),
        ("pay", "log", "one"),
    ]:
        assert culprit(same, **{"span.server.address": [None, one, other]})[0] == expected
    bare = same.replace("POST_/pay", "POST")
    addresses = {"span.server.address": [None, "10.0.0.1", "10.0.0.2"]}
    assert culprit(bare, **addresses)[0] == "one"  # nothing says that the same was asked
    assert culprit(bare, **addresses, **{"span.url.path": [None, "/pay", "/pay"]})[0] == "root"
    assert culprit(same, **addresses, **{"span.db.system": [None, "mysql", "mysql"]})[0] == "one"


def test_the_causes_are_those_that_occur():
    found = attribute_errors(draw("root web 0-9 ERROR"))
    assert found["cause"].cat.categories.tolist() == ["error"]


def test_a_timeout_text_wins_over_a_cancellation():
    text = "root web 0-100 ERROR\n  a web 10-60 CLIENT ERROR status_message=canceled_due_to_Timeout"
    assert culprit(text) == ("a", "timeout")


@pytest.mark.parametrize(
    ("kind", "status", "fails"), [("SERVER", "UNSET", False), ("CLIENT", "UNSET", True), ("CLIENT", "OK", False)]
)
def test_http_404_is_an_error_of_the_client_only(kind, status, fails):
    text = f"root web 0-100 ERROR\n  call web 10-50 {kind} {status}"
    expected = ("call", "error") if fails else ("root", "error")
    assert culprit(text, **{"span.http.response.status_code": pd.array([None, 404], "Int64")}) == expected
    root = draw(f"root web 0-100 {kind} {status}").assign(**{"span.http.status_code": [404]})
    assert len(attribute_errors(root)) == fails


def test_orphans_cycles_and_further_roots_explain_nothing():
    spans = draw(
        """
        root web 0-100 ERROR
        lost web 10-50 ERROR parent=elsewhere
        one  web 10-50 ERROR parent=two
        two  web 20-40 ERROR parent=one
        """
    )
    row = attribute_errors(spans).iloc[0]
    assert (name_of(row["blame_span_id"]), row["chain_length"], row["handled"]) == ("root", 1, 3)


def test_untimed_spans():
    assert culprit("root web ?-? ERROR\n  a web 10-50 CLIENT ERROR\n  b web 20-90 CLIENT ERROR") == ("b", "error")
    assert culprit("root web 0-100 ERROR\n  a web ?-? CLIENT ERROR\n  b web 20-30 CLIENT ERROR") == ("b", "error")
    assert culprit("root web 0-100 ERROR\n  a web ?-? CLIENT ERROR") == ("a", "error")
    assert culprit("root web ?-? ERROR") == ("root", "error")


def test_duplicates_and_spans_without_trace_id_are_left_out():
    spans = draw("root web 0-100 ERROR\n  call web 10-50 CLIENT ERROR")
    doubled = pd.concat([spans, spans], ignore_index=True)
    pd.testing.assert_frame_equal(attribute_errors(doubled), attribute_errors(spans))
    spans["trace_id"] = spans["trace_id"].astype("str").where([False, False])
    assert attribute_errors(spans).empty


def test_chains_of_strange_ids_are_json():
    spans = draw("root web 0-100 ERROR\n  call web 10-50 CLIENT ERROR")
    spans["span_id"] = ['a"b\\c', "|x.\n1."]
    spans["parent_span_id"] = [None, 'a"b\\c']
    assert json.loads(attribute_errors(spans)["chain"].iloc[0]) == ['a"b\\c', "|x.\n1."]


def test_evidence():
    def of(**columns):
        spans = draw("root web 0-100 CLIENT ERROR")
        return attribute_errors(spans.assign(**columns))["evidence"].iloc[0]

    event = (
        '[{"time":1,"name":"exception","attributes":{"exception.type":"%s","exception.message":"refused\\nby peer"}}]'
    )
    assert of() == "status ERROR"
    assert of(status_message="boom") == "boom"
    assert of(**{"span.http.status_code": [503]}) == "HTTP 503"
    assert of(**{"span.rpc.grpc.status_code": [14], "status_message": "no route"}) == "gRPC 14: no route"
    assert of(events=event % "KeyError", status_message="boom") == "KeyError: refused by peer"
    assert of(**{"span.error.type": ["java.io.IOException"]}) == "java.io.IOException"
    assert of(status_message="x" * 500) == "x" * 157 + "..."
    assert of(events='[{"time":1,"name":"exception","attributes":{"exception.type":"A"}}]') == "A"
    slow = draw("root web 0-100 ERROR\n  call db 10-300 CLIENT")
    assert attribute_errors(slow)["evidence"].iloc[0] == "running when web root ended after 100 ms"


def test_weights():
    spans = draw("root web 0-100 ERROR", "root web 0-100 ERROR", "root web 0-100")
    plain = attribute_errors(spans)
    pd.testing.assert_frame_equal(attribute_errors(spans.assign(w=1), weights="w"), plain)
    weighted = attribute_errors(spans, weights=pd.Series([2.0, 3.0, 7.0], spans.index))
    assert weighted["requests"].tolist() == [2.0, 3.0]
    pd.testing.assert_frame_equal(weighted.drop(columns="requests"), plain.drop(columns="requests"))
    with pytest.raises(OptionError, match="is no column"):
        attribute_errors(spans, weights="wait")
    with pytest.raises(SchemaError, match="no usable weight"):
        attribute_errors(spans.assign(w=0), weights="w")


def random_spans(seed, n_traces, **options):
    """Random trees, most of them failing, with deadlines and cancellations in the status message."""
    rows = random_rows(seed, n_traces, **options)
    rng = np.random.default_rng(seed)
    for row in rows:
        row["status"] = str(rng.choice(["UNSET", "OK", "ERROR"], p=[0.25, 0.1, 0.65]))
        row["status_message"] = [None, "deadline", "canceled"][int(rng.choice(3, p=[0.6, 0.2, 0.2]))]
        row["name"] = f"op{'ab'[int(rng.integers(2))]}"
        row["kind"] = str(
            rng.choice(
                ["INTERNAL", "UNSPECIFIED", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"],
                p=[0.3, 0.05, 0.3, 0.2, 0.05, 0.1],
            )
        )
        if rng.random() < 0.04:
            row["duration_ns"] = None
        if rng.random() < 0.02:
            row["start_ns"] = None
    return frame(rows)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("unit_ns", [1, 1_000_000])
def test_against_the_plain_reference(seed, unit_ns):
    spans = random_spans(seed, 120, unit_ns=unit_ns)
    found = attribute_errors(spans)
    expected = blamed(spans)
    assert len(expected) > 30
    assert dict(zip(found.index, zip(found["blame_span_id"], found["cause"], strict=True), strict=True)) == expected


def test_random_traces_reach_every_cause_and_deep_chains():
    found = pd.concat([attribute_errors(random_spans(seed, 120, unit_ns=1_000_000)) for seed in range(12)])
    counts = found["cause"].value_counts()
    assert (counts.reindex(CAUSES) > 20).all()
    assert found["chain_length"].max() >= 5


def test_compiled_and_plain_kernels_agree():
    spans = random_spans(99, 200, unit_ns=1_000_000)
    with forced(True):
        compiled = attribute_errors(spans)
    with forced(False):
        pd.testing.assert_frame_equal(attribute_errors(spans), compiled)


def test_order_and_labels_of_rows_do_not_matter():
    spans = random_spans(5, 100, unit_ns=1_000_000)
    expected = attribute_errors(spans).sort_index()
    other = spans.sample(frac=1, random_state=1).set_axis([f"r{i}" for i in range(len(spans))])
    other["trace_id"] = other["trace_id"].astype("str")
    found = attribute_errors(other).sort_index()
    pd.testing.assert_frame_equal(found.set_axis(expected.index), expected)
    plain = other.assign(
        name=other["name"].astype("str"), service=other["service"].astype("str"), kind=other["kind"].astype("str")
    )
    assert attribute_errors(plain)["blame_span_id"].to_dict() == found["blame_span_id"].to_dict()


def test_totals_and_chains_hold_together():
    spans = random_spans(6, 200, unit_ns=1_000_000)
    found = attribute_errors(spans)
    failed = spans[ta.is_error(spans)]
    roots = ta.hierarchy(spans).query("depth == 0").index
    assert found.index.isin(failed.loc[failed.index.isin(roots), "trace_id"]).all()
    by_id = spans.set_index(["trace_id", "span_id"])
    for trace_id, row in found.iterrows():
        chain = json.loads(row["chain"])
        assert len(chain) == row["chain_length"]
        assert chain[-1] == row["blame_span_id"]
        for above, below in itertools.pairwise(chain):
            assert by_id.loc[(trace_id, below), "parent_span_id"] == above
        erring = failed[failed["trace_id"] == trace_id]["span_id"]
        assert row["handled"] == (~erring.isin(chain)).sum()


def test_the_frame_is_not_changed():
    spans = random_spans(7, 20)
    before = spans.copy(deep=True)
    attribute_errors(spans)
    pd.testing.assert_frame_equal(spans, before)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_chain_of_100000_spans(compiled):
    n = 100_000
    rows = pd.DataFrame({"trace_id": trace_of(0), "span_id": [f"{i + 1:016x}" for i in range(n)], "name": "call"})
    rows["parent_span_id"] = [None, *rows["span_id"].iloc[:-1]]
    rows["start_time"] = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(n), unit="ns")
    rows["duration_ms"] = (2 * n - 2 * np.arange(n)) / 1e6
    rows["status"] = np.where(np.arange(n) % 3 == 1, "UNSET", "ERROR")
    with forced(compiled):
        found = attribute_errors(ta.conform(rows)).iloc[0]
    assert found["blame_span_id"] == f"{n:016x}"
    assert found["chain_length"] == len(json.loads(found["chain"])) == n


def test_a_star_of_failed_calls():
    n = 30_000
    rows = pd.DataFrame({"trace_id": trace_of(0), "span_id": [f"{i + 1:016x}" for i in range(n)], "name": "GET"})
    rows["parent_span_id"] = [None, *[f"{1:016x}"] * (n - 1)]
    rows["start_time"] = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(n), unit="ms")
    rows["duration_ms"] = 0.5
    rows.loc[0, "duration_ms"] = n * 1.0
    rows["kind"] = "CLIENT"
    rows["status"] = np.where(np.arange(n) % 2 == 1, "UNSET", "ERROR")
    rows["span.server.address"] = [f"host{i // 4}.example" for i in range(n)]
    found = attribute_errors(ta.conform(rows)).iloc[0]
    # Of four calls a host the 1st and 3rd failed, and the 4th succeeded; the root was the 1st of its four.
    assert (found["blame_span_id"], found["handled"]) == (f"{1:016x}", n // 2 - 1)


@pytest.mark.parametrize("name", ["wild_samples/zipkin", "wild_samples/opensearch_demo", "deathstar_traceweaver/hotel"])
def test_real_traces(shared, name):
    # Some of the times are missing, which as plain integers would have become floats.
    spans = ta.conform(pd.read_parquet(shared / "datasets" / f"{name}.parquet", dtype_backend="numpy_nullable"))
    found = attribute_errors(spans)
    summary = ta.summary(spans)
    assert found.index.isin(summary.index[summary["errors"] > 0]).all()
    assert (found["chain_length"] - 1 <= summary.loc[found.index, "depth"]).all()
    assert (found["handled"] < summary.loc[found.index, "errors"]).all()
    assert found["evidence"].notna().all()
    if name.endswith("opensearch_demo"):
        assert len(found) > 5


def test_attributes_may_stand_anywhere():
    rows = [
        {
            "trace_id": trace_of(0),
            "span_id": id_of("root"),
            "name": "root",
            "status": "ERROR",
            "start_ns": 0,
            "duration_ns": 9,
            "kind": "CLIENT",
        },
    ]
    spans = attributed(rows).assign(other_attributes=['{"span.rpc.grpc.status_code":"4"}'])
    assert attribute_errors(spans).iloc[0][["cause", "evidence"]].tolist() == ["timeout", "gRPC 4"]


def test_the_slower_half_of_a_hedged_request_is_nobodys_reason():
    spans = draw(
        """
        get web 0-100 SERVER ERROR
          pay web 5-20 CLIENT ERROR
          ask web 30-50 CLIENT
          ask web 35-50 CLIENT ERROR id=slow status_message=canceled
        """
    )
    (found,) = attribute_errors(spans).itertuples()
    assert (found.blame_name, found.cause) == ("pay", "error")
