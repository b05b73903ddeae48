"""Latency by group of spans; rate, errors and duration of operations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_traces import at, draw, frame, random_rows

import traceanalytics as ta
from traceanalytics.analysis.critical_path import critical_time
from traceanalytics.analysis.latency import latency_breakdown, operations
from traceanalytics.analysis.self_time import self_time
from traceanalytics.errors import OptionError, SchemaError

SPLIT = ["server_self_ms", "client_self_ms", "gap_ms", "internal_self_ms"]


def by_name(result):
    return result.set_index("name")


def whole_ns(series):
    return (series * 1e6).round().astype("int64")


def shuffled(spans, seed=0):
    order = np.random.default_rng(seed).permutation(len(spans))
    return spans.iloc[order].set_axis([f"row {i}" for i in order])


def untyped(spans):
    return spans.astype(dict.fromkeys(("trace_id", "name", "service", "kind", "status"), "str"))


CALL = """
web-get  web  0-100  SERVER
  ask    web  10-60  CLIENT
    do   db   20-50  SERVER
  plan   web  60-70
"""


# -- breakdown


def test_the_three_times_and_the_gap_of_a_call():
    found = by_name(latency_breakdown(draw(CALL)))
    assert found["inclusive_ms"].to_dict() == {"web-get": 100, "ask": 50, "do": 30, "plan": 10}
    assert found["self_ms"].to_dict() == {"web-get": 40, "ask": 20, "do": 30, "plan": 10}
    assert found["critical_ms"].to_dict() == {"web-get": 40, "ask": 20, "do": 30, "plan": 10}
    assert found["share"].to_dict() == {"web-get": 0.4, "ask": 0.2, "do": 0.3, "plan": 0.1}
    assert found.loc["web-get", SPLIT].tolist() == [40, 0, 0, 0]
    assert found.loc["ask", SPLIT].tolist() == [0, 0, 20, 0]
    assert found.loc["do", SPLIT].tolist() == [30, 0, 0, 0]
    assert found.loc["plan", SPLIT].tolist() == [0, 0, 0, 10]


@pytest.mark.parametrize(
    ("picture", "client", "gap"),
    [
        ("c web 0-100 CLIENT", 100, 0),  # nobody answered: a database
        ("c web 0-100 CLIENT\n  s db 20-80 SERVER", 0, 40),
        ("c web 0-100 CLIENT\n  d web 0-10\n  s db 20-80 SERVER", 0, 30),  # what a child covers is no gap
        ("c web 0-100 CLIENT\n  s db 200-260 SERVER", 60, 40),  # the clocks differ: lengths still tell
        ("c web 0-100 CLIENT\n  s db 50-200 SERVER", 50, 0),  # longer than the client: no negative gap
        ("c web 0-100 CLIENT\n  s db 10-50 SERVER\n  t db 20-60 SERVER", 0, 50),  # a broadcast
        ("c web 0-100 CLIENT\n  s db 10-50 SERVER\n  t db 50-90 SERVER", 0, 20),  # one after the other
        ("c web 0-100 PRODUCER\n  s db 20-80 CONSUMER", 40, 0),  # asynchronous: nobody waits
        ("c web 0-100 CLIENT\n  s db ?-? SERVER", 100, 0),
    ],
)
def test_the_split_of_a_clients_self_time(picture, client, gap):
    found = by_name(latency_breakdown(draw(picture))).loc["c"]
    assert (found["client_self_ms"], found["gap_ms"]) == (client, gap)
    assert found["client_self_ms"] + found["gap_ms"] == found["self_ms"]


def test_quantiles_count_the_calls_off_the_path_and_leave_untimed_ones_out():
    spans = draw("r web 0-100\n  a1 web 0-40 name=a\n  a2 web 10-50 name=a\n  a3 web ?-? name=a")
    a = by_name(latency_breakdown(spans)).loc["a"]
    assert (a["calls"], a["traces"], a["calls_per_request"]) == (3, 1, 3)
    assert (a["inclusive_ms"], a["critical_ms"]) == (80, 40)
    assert (a["critical_p50_ms"], a["critical_p95_ms"], a["inclusive_p99_ms"]) == (0, 40, 40)


def test_an_entry_selects_whole_traces():
    spans = draw("r web 0-100\n  x db 0-50", "r api 0-10\n  x db 0-5", "q web 0-1\n  r web 0-1 id=r2")
    assert latency_breakdown(spans, entry="r")["critical_ms"].sum() == 110
    found = latency_breakdown(spans, entry=("web", "r"))
    assert found[["name", "critical_ms", "calls_per_request"]].to_numpy().tolist() == [["x", 50, 1], ["r", 50, 1]]
    assert latency_breakdown(spans, entry=("web", "q"))["calls"].sum() == 2
    with pytest.raises(OptionError, match="entry='x' is the main root of none of the 3 traces"):
        latency_breakdown(spans, entry="x")
    with pytest.raises(OptionError, match=r"none of the 3 traces; did you mean 'checkout'\?"):
        latency_breakdown(draw(*["checkout web 0-1"] * 3), entry="chekout")
    with pytest.raises(OptionError, match="is no root operation"):
        latency_breakdown(spans, entry=["web"])


def test_an_entry_without_a_service():
    spans = draw("r - 0-100", "r api 0-10")
    assert latency_breakdown(spans, entry=(None, "r"))["critical_ms"].tolist() == [100]


def test_groups_by_anything_and_a_missing_value_is_a_group():
    spans = draw(CALL).assign(**{"span.http.route": ["/a", None, "/b", "/a"], "weekday": [1, 1, 2, 2]})
    by_route = latency_breakdown(spans, by="http.route")
    assert by_route["http.route"].tolist()[0] == "/a"
    assert by_route["critical_ms"].tolist() == [50, 30, 20]
    assert by_route["http.route"].isna().tolist() == [False, False, True]
    assert latency_breakdown(spans, by=["weekday"])["calls"].tolist() == [2, 2]
    assert latency_breakdown(spans, by="kind")["kind"].dtype == spans["kind"].dtype
    nobody = latency_breakdown(spans, by="k8s.pod.name")
    assert nobody["k8s.pod.name"].isna().tolist() == [True]


@pytest.mark.parametrize("by", [[], ["name", "name"], 3, [1], ["name", None]])
def test_a_bad_grouping(by):
    with pytest.raises(OptionError, match="is no grouping"):
        latency_breakdown(draw(CALL), by=by)


def test_an_unknown_or_taken_group():
    with pytest.raises(OptionError, match=r"neither a column of the frame nor an attribute; did you mean 'service'"):
        latency_breakdown(draw(CALL), by="servise")
    with pytest.raises(OptionError, match="the result has a column 'calls' of its own"):
        latency_breakdown(draw(CALL).assign(calls=1), by="calls")


def test_orphans_and_duplicates_are_told():
    spans = draw("r web 0-100\n  a web 10-20\n  a web 10-15\n  lost web 20-90 parent=elsewhere")
    found = by_name(latency_breakdown(spans))
    assert found["calls"].to_dict() == {"r": 1, "a": 1, "lost": 1}
    assert found["orphans"].to_dict() == {"r": 0, "a": 0, "lost": 1}
    assert found["critical_ms"].sum() == 100


@pytest.mark.parametrize("function", [latency_breakdown, operations, lambda s: operations(s, freq="1min")])
def test_an_empty_frame_gives_the_same_columns(function):
    full, empty = function(draw(CALL)), function(draw(CALL).iloc[:0])
    assert len(empty) == 0
    assert full.dtypes.astype(str).tolist() == empty.dtypes.astype(str).tolist()
    assert full.columns.tolist() == empty.columns.tolist()


def test_nothing_timed_has_calls_and_no_times():
    found = latency_breakdown(draw("r web ?-?\n  a web 1-?"))
    assert found["calls"].tolist() == [1, 1]
    assert found["inclusive_ms"].tolist() == [0, 0]
    assert found[["inclusive_p50_ms", "share"]].isna().all(axis=None)


@pytest.mark.parametrize("seed", range(4))
def test_random_traces_add_up_and_match_pandas(seed):
    rows = random_rows(seed, 120, unit_ns=1_000)
    spans = frame(rows)
    own, critical = whole_ns(self_time(spans)), whole_ns(critical_time(spans))
    found = latency_breakdown(spans)
    assert whole_ns(found["self_ms"]).sum() == own.sum()
    assert whole_ns(found["critical_ms"]).sum() == critical.sum()
    assert critical.sum() == whole_ns(ta.summary(spans)["duration_ms"]).sum()
    assert (whole_ns(found[SPLIT]).sum(axis=1) == whole_ns(found["self_ms"])).all()
    assert (found[SPLIT] >= 0).all(axis=None)
    assert found["share"].sum() == pytest.approx(1)
    assert found["critical_ms"].is_monotonic_decreasing
    table = spans.assign(self_ns=own, critical_ns=critical)
    grouped = table.groupby(["service", "name"], dropna=False, observed=True)
    expected = pd.DataFrame(
        {
            "calls": grouped.size(),
            "traces": grouped["trace_id"].nunique(),
            "self_ms": grouped["self_ns"].sum() / 1e6,
            "critical_ms": grouped["critical_ns"].sum() / 1e6,
            "inclusive_p95_ms": grouped["duration_ms"].agg(lambda ms: np.quantile(ms, 0.95, method="inverted_cdf")),
        }
    ).astype("float64")
    for (service, name), row in expected.iterrows():
        same = found["service"].isna() if pd.isna(service) else found["service"] == service
        mine = found[same & (found["name"] == name)]
        np.testing.assert_allclose(mine[expected.columns].to_numpy()[0], row.to_numpy(), rtol=1e-12)
    assert len(expected) == len(found)


@pytest.mark.parametrize("function", [latency_breakdown, operations])
def test_order_index_types_and_instants_do_not_matter(function):
    spans = frame(random_rows(5, 60))
    before = spans.copy(deep=True)
    expected = function(spans)
    pd.testing.assert_frame_equal(spans, before)
    pd.testing.assert_frame_equal(function(shuffled(spans)), expected)
    moved = spans.assign(start_time=spans["start_time"] + pd.Timedelta("400D"))
    pd.testing.assert_frame_equal(function(moved), expected)
    plain = function(untyped(spans)).astype({"service": expected["service"].dtype, "name": expected["name"].dtype})
    pd.testing.assert_frame_equal(plain, expected)
    renamed = function(spans.assign(service=spans["service"].cat.rename_categories({"a": "a2", "b": "b2"})))
    pd.testing.assert_frame_equal(renamed.drop(columns="service"), expected.drop(columns="service"))


TOTALS = ["calls", "traces", "orphans", "inclusive_ms", "self_ms", "critical_ms", *SPLIT, "errors", "rate_per_s"]


@pytest.mark.parametrize("function", [latency_breakdown, operations])
def test_equal_weights_scale_totals_and_nothing_else(function):
    spans = frame(random_rows(6, 60))
    expected = function(spans)
    pd.testing.assert_frame_equal(function(spans.assign(w=1), weights="w"), expected)
    doubled = function(spans, weights=pd.Series(2.0, index=spans.index))
    totals = [name for name in TOTALS if name in expected]
    pd.testing.assert_frame_equal(doubled[totals], expected[totals] * 2)
    pd.testing.assert_frame_equal(doubled.drop(columns=totals), expected.drop(columns=totals))


def test_a_weight_is_so_many_copies_of_a_trace():
    spans = draw("r web 0-100\n  a web 0-40", "r web 0-10")
    copies = draw("r web 0-100\n  a web 0-40", *["r web 0-10"] * 3)
    weights = pd.Series([1, 1, 3], index=spans.index)
    pd.testing.assert_frame_equal(latency_breakdown(spans, weights=weights), latency_breakdown(copies))
    pd.testing.assert_frame_equal(operations(spans, weights=weights), operations(copies))
    with pytest.raises(SchemaError, match="have no usable weight"):
        latency_breakdown(spans, weights=weights - 1)


# -- operations


def test_calls_are_servers_consumers_and_true_roots():
    spans = draw(
        """
        job web 0-1000
          ask web 0-10 CLIENT
            serve db 1-9 SERVER ERROR
          send web 10-20 PRODUCER
            take mail 30-40 CONSUMER
          plan web 20-30
          gone web 30-40 parent=elsewhere
          late db ?-? SERVER name=serve
        """
    )
    found = by_name(operations(spans))
    assert sorted(found.index) == ["job", "serve", "take"]
    assert found["calls"].to_dict() == {"serve": 2, "job": 1, "take": 1}
    assert found["rate_per_s"].to_dict() == {"serve": 2, "job": 1, "take": 1}
    assert found["error_rate"].to_dict() == {"serve": 0.5, "job": 0, "take": 0}
    assert found["p50_ms"].to_dict() == {"serve": 8, "job": 1000, "take": 10}


def test_time_bins():
    spans = draw(*[f"r web {ms}-{ms + 10} SERVER" for ms in (0, 1000, 60_000, 240_000)], "r web ?-10 SERVER")
    found = operations(spans, freq="1min")
    start = at(0).floor("1min")
    minutes = [(t - start) / pd.Timedelta("1min") for t in found["bin_start"].dropna()]
    assert minutes == sorted(minutes)
    counts = spans["start_time"].dt.floor("min").value_counts().sort_index()
    assert found["bin_start"].tolist()[:-1] == counts.index.tolist()
    assert found["calls"].tolist() == [*counts.tolist(), 1]
    assert pd.isna(found["bin_start"].iloc[-1])
    assert found["rate_per_s"].tolist()[:-1] == (counts / 60).tolist()
    assert np.isnan(found["rate_per_s"].iloc[-1])
    pd.testing.assert_frame_equal(operations(shuffled(spans), freq=pd.Timedelta("60s")), found)


def test_bins_keep_groups_apart():
    spans = draw("r web 0-10 SERVER\n  s db 1-2 SERVER", "r web 1-10 SERVER")
    found = operations(spans, freq="1D")
    assert found[["service", "calls"]].to_numpy().tolist() == [["web", 2], ["db", 1]]
    assert found["rate_per_s"].tolist() == [2 / 86400, 1 / 86400]


@pytest.mark.parametrize("freq", ["W", "MS", "soon", "0min", "-1min", 7])
def test_a_width_must_be_a_length_of_time(freq):
    with pytest.raises(OptionError, match="is no fixed length of time"):
        operations(draw(CALL), freq=freq)


def test_a_moment_has_no_rate():
    found = operations(draw("r web 5-5 SERVER"))
    assert found["calls"].tolist() == [1]
    assert found["rate_per_s"].isna().all()


# -- real traces


@pytest.mark.parametrize("name", ["hotel", "nodejs"])
def test_real_traces_add_up(shared, name):
    spans = ta.read_parquet(shared / "datasets" / "deathstar_traceweaver" / f"{name}.parquet")
    some = spans[spans["trace_id"].isin(spans["trace_id"].unique()[:300])]
    found = latency_breakdown(some)
    assert whole_ns(found["critical_ms"]).sum() == whole_ns(ta.summary(some)["duration_ms"]).sum()
    assert (whole_ns(found[SPLIT]).sum(axis=1) == whole_ns(found["self_ms"])).all()
    assert found["calls"].sum() == len(some)
    assert (found["gap_ms"] > 0).any()
    assert operations(some, freq="1h")["calls"].sum() == operations(some)["calls"].sum() > 300


# -- odd frames


@pytest.mark.parametrize("function", [latency_breakdown, operations])
def test_rings_and_rows_without_a_trace_are_taken_as_they_are(function):
    ring = draw("r web 0-10 SERVER", "a web 0-10 SERVER parent=b\n  b web 1-9 SERVER")
    ring = ring.assign(trace_id=ring["trace_id"].where(ring["name"] != "r"))
    assert function(ring)["calls"].sum() == 3


def test_odd_real_traces_add_up(shared):
    spans = ta.read_parquet(shared / "datasets" / "wild_samples" / "opensearch_demo.parquet")
    found = latency_breakdown(spans, by=["service", "http.method"])
    assert (whole_ns(found[SPLIT]).sum(axis=1) == whole_ns(found["self_ms"])).all()
    assert found["share"].sum() == pytest.approx(1)
    assert found["orphans"].sum() == ta.summary(spans)["orphans"].sum()
