"""Five sets of real traces: the figures measured apart from this package, and what is found in the sets."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from real_sets import SETS, timed, whole

import traceanalytics as ta

EARLY = ("begins_before_parent", "begins_slightly_before_parent")
LATE = ("ends_after_parent", "ends_slightly_after_parent")


@pytest.fixture
def load(shared):
    return lambda name: whole(shared, name)


def counts(rows):
    """Findings by rule, with 0 for what was not found."""
    found = rows.groupby("rule", observed=True)["count"].sum()
    return lambda *rules: float(found.reindex(rules).fillna(0).sum())


def begun_after_the_end(spans):
    """How many spans begin when their parent has ended. A rule leaves out those of which clocks are the reason."""
    ids = [spans[["trace_id", column]].astype("str") for column in ("span_id", "parent_span_id")]
    own, parent = (pd.MultiIndex.from_frame(table, names=["trace", "span"]) for table in ids)
    above = pd.DataFrame({"end": ta.end_time(spans).array, "kind": spans["kind"].astype("str").array}, index=own)
    above = above.reindex(parent).set_axis(spans.index)
    message = (spans["kind"] == "CONSUMER") | (above["kind"] == "PRODUCER")
    return int(((spans["start_time"] > above["end"]) & timed(spans) & ~message).sum())


def with_unique_ids(spans):
    """The spans, the second row with an id under another one: children then hang on the first, as a dict would have it."""
    second = spans.duplicated(["trace_id", "span_id"])
    others = pd.Series([f"{at:016x}" for at in range(1, len(spans) + 1)], index=spans.index, dtype="str")
    assert not others.isin(spans["span_id"]).any()
    return spans.assign(span_id=spans["span_id"].where(~second, others))


# -- figures


def levels(name, values, *quantiles):
    return {f"{name}_{round(100 * q)}": values.quantile(q) for q in quantiles}


def figures(spans):
    traces, places, shapes = ta.summary(spans), ta.hierarchy(spans), ta.trace_shapes(spans)
    found = counts(ta.diagnose(spans))
    rooted = traces.index.isin(spans["trace_id"][spans["parent_span_id"].isna()])
    roots = places[places["depth"] == 0].groupby(spans["trace_id"], observed=True).size()
    edges = int((places["depth"] > 0).sum())
    fan_out = places["n_children"][places["n_children"] > 0]
    begun_late = begun_after_the_end(spans) if spans[["trace_id", "span_id"]].duplicated().sum() == 0 else 0
    depth = traces["depth"] + 1  # the origin of the figures counts levels
    return {
        "services": spans["service"].nunique(dropna=False),
        "operations": len(ta.latency_breakdown(spans)),
        "keys": len(ta.attribute_keys(spans)) - 1,  # dataset.file or dataset.load was added to the source's own
        "spans": traces["spans"].mean(),
        **levels("spans", traces["spans"], 0.1, 0.5, 0.9, 0.99, 1),
        **levels("services", traces["services"], 0.5, 0.9, 1),
        "depth": depth.mean(),
        **levels("depth", depth, 0.5, 0.9, 1),
        "leaves": 100 * (places["n_children"] == 0).mean(),
        "fan_out": fan_out.mean(),
        **levels("fan_out", fan_out, 0.9, 0.99, 1),
        "shapes": len(shapes),
        "top_shape": 100 * shapes["share"].iloc[0],
        "top_10_shapes": 100 * shapes["share"].iloc[:10].sum(),
        "orphans": 100 * traces["orphans"].sum() / len(spans),
        "traces_with_orphan": 100 * (traces["orphans"] > 0).mean(),
        "rootless": 100 * found("traces_without_root", "truncated_traces") / len(traces),
        "several_pieces": 100 * (roots > 1).mean(),
        "several_roots": found("several_roots"),
        "outside": 100 * (found(*EARLY, *LATE) + begun_late) / edges,
        "begins_before": 100 * found(*EARLY) / edges,
        "ends_after": 100 * (found(*LATE) + begun_late) / edges,
        "begins_after_end": 100 * begun_late / edges,
        "outside_1_ms": 100 * found("begins_before_parent", "ends_after_parent") / edges,
        "error_spans": 100 * traces["errors"].sum() / len(spans),
        "error_traces": 100 * (traces["errors"] > 0).mean(),
        **levels("root_ms", traces["duration_ms"][rooted], 0.5, 0.9, 0.99),
    }


HEALTHY = dict.fromkeys(
    ["orphans", "traces_with_orphan", "rootless", "several_pieces", "several_roots", "error_spans", "error_traces"], "0"
)
EQUAL = ("spans_10", "spans_50", "spans_90", "spans_99", "spans_100")


def texts(names, values):
    return dict(zip(names.split(), values.split(), strict=True))


FIGURES = {
    "hotel": HEALTHY
    | dict.fromkeys(EQUAL, "11")
    | texts("services operations keys spans services_50 services_90 services_100", "6 11 11 11 6 6 6")
    | texts("depth depth_50 depth_90 depth_100 leaves", "5 5 5 5 36.4")
    | texts("fan_out fan_out_90 fan_out_99 fan_out_100", "1.43 3 3 3")
    | texts("shapes top_shape top_10_shapes", "1 100 100")
    | texts("outside outside_1_ms begins_before ends_after begins_after_end", "9.4 2.8 4.9 4.4 1.2")
    | texts("root_ms_50 root_ms_90 root_ms_99", "28 72 128"),
    "media": HEALTHY
    | dict.fromkeys(EQUAL, "27")
    | texts("services operations keys spans services_50 services_90 services_100", "10 26 14 27 10 10 10")
    | texts("depth depth_50 depth_90 depth_100 leaves", "7.3 7 8 8 55.6")
    | texts("fan_out fan_out_90 fan_out_99 fan_out_100", "2.17 4 4 4")
    | texts("shapes top_shape top_10_shapes", "5 30 100")
    | texts("outside outside_1_ms begins_before ends_after begins_after_end", "7.8 0.003 0 7.8 0")
    | texts("root_ms_50 root_ms_90 root_ms_99", "12 21 36"),
    "nodejs": HEALTHY
    | dict.fromkeys(EQUAL, "6")
    | texts("services operations keys spans services_50 services_90 services_100", "6 6 9 6 6 6 6")
    | texts("depth depth_50 depth_90 depth_100 leaves", "4 4 4 4 33.3")
    | texts("fan_out fan_out_90 fan_out_99 fan_out_100", "1.25 2 2 2")
    | texts("shapes top_shape top_10_shapes", "1 100 100")
    | texts("outside outside_1_ms begins_before ends_after begins_after_end", "0 0 0 0 0")
    | texts("root_ms_50 root_ms_90 root_ms_99", "16 24 35"),
    # The halves of a call as they are, two spans with one id: that is the reading of the figures. But there the first row of an
    # id in the file is the parent, here the earliest span, so the times of children are judged in a test of their own.
    "zipkin": texts("services operations keys", "35 186 103")
    | texts("spans spans_10 spans_50 spans_90 spans_99 spans_100", "129 4 10 262 963 1041")
    | texts("services_50 services_90 services_100", "2 9 16")
    | texts("depth depth_50 depth_90 depth_100 leaves", "8.1 4 25 32 73.9")
    | texts("fan_out fan_out_90 fan_out_99 fan_out_100", "3.79 7 13 159")
    | texts("shapes top_shape top_10_shapes", "10 10 100")
    | texts("orphans traces_with_orphan rootless several_pieces several_roots", "0.5 10 0 10 0")
    | texts("error_spans error_traces root_ms_50 root_ms_90 root_ms_99", "0.5 30 38 144 241"),
    # More than 1 ms outside are 0.65 % where the origin counts the span that begins after the end of its parent; here that has a
    # rule of its own.
    "demo": texts("services operations keys", "14 65 44")
    | texts("spans spans_10 spans_50 spans_90 spans_99 spans_100", "11.1 1 8 25 51 51")
    | texts("services_50 services_90 services_100", "4 5 6")
    | texts("depth depth_50 depth_90 depth_100 leaves", "4.5 4 8 13 41.9")
    | texts("fan_out fan_out_90 fan_out_99 fan_out_100", "1.37 2 12 14")
    | texts("shapes top_shape top_10_shapes", "81 5 39")
    | texts("orphans traces_with_orphan rootless several_pieces several_roots", "14 46 27 42 0")
    | texts("outside outside_1_ms begins_before ends_after begins_after_end", "0.8 0.56 0 0.8 0.09")
    | texts("error_spans error_traces root_ms_50 root_ms_90 root_ms_99", "4.4 27.9 114 465 793"),
}


@pytest.mark.parametrize("name", SETS)
def test_figures_are_those_that_were_printed(load, name):
    found = figures(load(name))
    expected = FIGURES[name]
    printed = {key: f"{found[key]:.{len(text.partition('.')[2])}f}" for key, text in expected.items()}
    assert printed == expected
    judged_apart = {"outside", "outside_1_ms", "begins_before", "ends_after", "begins_after_end"}
    assert set(found) - set(expected) == (judged_apart if name == "zipkin" else set())


@pytest.mark.parametrize(
    ("name", "percent"), [("hotel", "50.0"), ("media", "50.0"), ("nodejs", "100.0"), ("demo", "37.0")]
)
def test_edges_between_services(load, name, percent):
    spans = load(name)
    graph = ta.span_graph(ta.whole_traces(spans, spans["trace_id"].cat.codes < 300))
    service = graph.nodes(data="service")
    crossing = sum(service[caller] != service[callee] for caller, callee in graph.edges)
    assert f"{100 * crossing / graph.number_of_edges():.1f}" == percent


@pytest.mark.parametrize("name", ["hotel", "media", "nodejs"])
def test_nothing_is_called_twice_from_one_place(load, name):
    assert (ta.call_tree(load(name))["calls_per_request"] <= 1).all()


# -- two halves of a call with one id


def test_zipkin_by_the_first_row_of_an_id(load):
    spans = with_unique_ids(load("zipkin"))
    places = ta.hierarchy(spans)
    known = timed(spans)
    by_id = pd.Series(known.to_numpy(), index=pd.MultiIndex.from_frame(spans[["trace_id", "span_id"]].astype("str")))
    parent = pd.MultiIndex.from_frame(spans[["trace_id", "parent_span_id"]].astype("str"))
    edges = int((known & (places["depth"] > 0) & by_id.reindex(parent).fillna(value=False).to_numpy(bool)).sum())
    assert edges == 889
    found = counts(ta.diagnose(spans))
    # The origin also counts the six consumers of messages that end after the producer did, as they always do.
    messages = 6
    assert f"{100 * found(*EARLY) / edges:.1f}" == "0.4"
    begun_late = begun_after_the_end(spans) + messages
    assert f"{100 * (found(*LATE) + begun_late) / edges:.1f}" == "7.9"
    assert f"{100 * begun_late / edges:.1f}" == "6.4"


def test_zipkin_with_its_halves_split(load):
    # As our own reader has it: pieces of a span united, the called half under an id of its own below the calling one.
    joined = load("zipkin")
    spans = ta.read_zipkin(ta.to_zipkin(joined))
    assert len(spans) == 1_201
    assert not spans.duplicated(["trace_id", "span_id"]).any()
    traces, places = ta.summary(spans), ta.hierarchy(spans)
    assert len(traces) == 10
    assert traces["orphans"].sum() == 6
    assert (traces["depth"] >= ta.summary(joined)["depth"][traces.index]).all()
    assert not places["flags"].astype("str").str.contains("ambiguous").any()
    both, halves = counts(ta.diagnose(joined)), counts(ta.diagnose(spans))
    assert (both("ambiguous_parents"), halves("ambiguous_parents")) == (843, 0)
    # Nothing here is called past its SERVER span, and all that is called answers.
    assert halves("missing_servers") <= 3
    assert halves("unanswered_calls") == 0
    assert halves("local_kinds_across_services") <= 1


# -- what is found


def test_the_retries_of_the_drivers_are_of_one_driver_each(load):
    spans = load("demo")
    found = ta.retries(spans)
    drivers = found[found["callee"] == "CLIENT GetDriver"]
    assert len(drivers) == 18
    assert set(drivers["outcome"]) == {"recovered"}
    asked = ta.attribute(spans, "param.driverID")
    assert asked[spans["name"] == "GetDriver"].notna().all()
    for ids in drivers["span_ids"].map(json.loads):
        assert len(set(asked[spans["span_id"].isin(ids)])) == 1
    # The others are asked once, in a loop that the demo is known for: ten drivers a request.
    loops = ta.n_plus_one(spans)
    loops = loops[loops["callee"] == "CLIENT GetDriver"].set_index("caller_span_id")
    assert set(loops["pattern"]) == {"sequential"}
    assert (loops["calls"] + drivers["caller_span_id"].value_counts()).tolist() == [10] * len(loops)


def test_three_items_that_are_refused_one_after_the_other_are_no_attempts_of_one(load):
    spans = load("demo")
    refused = spans["span.http.status_code"].eq(422).fillna(False)
    items = spans[refused & (spans["service"] == "inventory") & (spans["kind"] == "CLIENT")]
    assert len(items) >= 3
    attempts = {span for ids in ta.retries(spans)["span_ids"] for span in json.loads(ids)}
    assert not attempts & set(items["span_id"])


def test_what_runs_together_already_is_not_told_to(load):
    touch = ta.concurrency(load("nodejs"))
    assert touch["relation"].tolist() == ["parallel"]
    assert touch["parallel"].tolist() == [5_889]
    pairs = ta.concurrency(load("media"))
    assert len(pairs) == 35
    gets = pairs[(pairs["callee_a"].str.endswith("MmcGetMovieId")) & (pairs["callee_b"].str.endswith("MmcSetMovieId"))]
    assert (gets["relation"].tolist(), gets["agreeing"].tolist(), gets["refuting"].tolist()) == (
        ["ordered"],
        [6_499],
        [1],
    )
    assert (pairs["relation"] == "parallel").sum() == 10
    assert not pd.concat([touch, pairs])["parallelisable"].any()
    # Sent together too, but quick: of these only the clocks' limit and what they are worth can tell.
    assert pairs["saving_if_parallel_ms"].max() < 1


def test_what_the_demo_calls(load):
    spans = load("demo")
    graph = ta.service_graph(spans)
    # The clients of Redis and MySQL report under these names: each span is one call, and each failure is one.
    assert [graph.edges[end]["calls"] for end in (("driver", "redis", "rpc"), ("customer", "mysql", "rpc"))] == [95, 7]
    assert not {"redis", "mysql"} & {caller for caller, _ in graph.edges()}
    failed = ta.is_error(spans) & (spans["service"] == "redis")
    assert graph.nodes["redis"]["errors"] == failed.sum() == 18
    # All of SQL goes to a database; and everybody else at home is a port.
    statements = spans["span.db.statement"].notna() & (spans["kind"] == "CLIENT")
    to_databases = sum(edge["calls"] for _, _, kind, edge in graph.edges(keys=True, data=True) if kind == "db")
    assert to_databases == statements.sum() == 151
    virtual = {node for node, data in graph.nodes(data=True) if data["virtual"]}
    ports = {f"localhost:{port}" for port in (8082, 8083, 8084, 8087, 8088)}
    assert virtual == ports | {"sql/APM", "sql/localhost:3306"}


def test_healthy_systems_have_no_failures_loops_or_retries(load):
    for name in ("hotel", "media", "nodejs"):
        spans = load(name)
        some = ta.whole_traces(spans, spans["trace_id"].cat.codes < 1_000)
        for function in (ta.attribute_errors, ta.exceptions, ta.n_plus_one, ta.retries):
            assert len(function(some)) == 0
        assert not (ta.diagnose(some)["severity"] == "error").any()
        assert not ta.error_rates(some).filter(like="error").to_numpy(dtype=np.float64, na_value=0).any()


def test_every_failed_request_of_the_demo_is_blamed_on_a_span_that_failed(load):
    spans = load("demo")
    found = ta.attribute_errors(spans)
    assert len(found) == 22
    assert set(found["cause"]) == {"error"}
    failed = ta.is_error(spans)
    blamed = spans.merge(found.reset_index(), left_on=["trace_id", "span_id"], right_on=["trace_id", "blame_span_id"])
    assert len(blamed) == 22
    assert failed[spans["span_id"].isin(found["blame_span_id"])].all()
    # Two orders failed for the user two services above the span to blame.
    deep = found[found["chain_length"] == 3]
    assert deep["root_service"].tolist() == ["frontend-client"] * 2
    assert deep["blame_service"].tolist() == ["order"] * 2
    assert deep["evidence"].tolist() == ["HTTP 503"] * 2
