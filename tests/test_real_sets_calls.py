"""Errors, calls and writers over five sets of real traces: warnings are errors, and what must add up does."""

from __future__ import annotations

import json

import networkx as nx
import pandas as pd
import pytest
import test_real_sets_times
from real_sets import SETS, kept, ns, run, sample, timed, total_ns, with_whole_ids

import traceanalytics as ta

NOT_CHECKED = {
    *[
        "FormatError",
        "MissingExtraError",
        "OptionError",
        "QueryError",
        "ReadReport",
        "SchemaError",
        "TraceAnalyticsError",
    ],
    *[
        "TraceNotFoundError",
        "compare_dependencies",
        "html_table",
        "lab",
        "options",
        "plot",
        "sampling",
        "simulate",
        "waterfall",
    ],
    *["read", "read_jaeger", "read_otlp", "read_parquet", "read_records", "read_report", "read_zipkin", "to_parquet"],
    *["attribute", "attributes", "conform"],
}
CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


# -- errors


@check
def attribute_errors(spans):
    found = ta.attribute_errors(spans)
    rates = ta.error_rates(spans, by=())
    assert len(found) == found["requests"].sum() == rates["failed_requests"].sum()
    assert rates["errors_user_facing"].sum() == len(found)
    paths = found["chain"].map(json.loads)
    assert [path[-1] for path in paths] == found["blame_span_id"].tolist()
    assert paths.map(len).tolist() == found["chain_length"].tolist()
    errors = ta.summary(spans)["errors"][found.index]
    failed = pd.MultiIndex.from_frame(spans.loc[ta.is_error(spans), ["trace_id", "span_id"]].astype("str"))
    on_chain = [sum((trace_id, span) in failed for span in path) for trace_id, path in paths.items()]
    assert (found["handled"] + on_chain == errors).all()


@check
def error_rates(spans):
    traces = ta.summary(spans)
    for by in (("service", "name"), "service", ()):
        found = ta.error_rates(spans, by=by)
        assert found["requests"].sum() == len(traces)
        assert found["calls"].sum() == traces["spans"].sum()
        assert found["errors_any"].sum() == traces["errors"].sum()
        assert (found["errors_handled"] + found["errors_on_chain"] == found["errors_any"]).all()
        assert found["failed_requests"].sum() == found["errors_user_facing"].sum()


@check
def exceptions(spans):
    assert ta.exceptions(spans)["count"].sum() == (ta.events(spans)["name"] == "exception").sum()


@check
def matches(spans):
    assert ta.matches(spans, "{}").all()
    assert (ta.matches(spans, "{ status = error }") == (spans["status"] == "ERROR")).all()
    assert (ta.matches(spans, "{ kind = client }") == (spans["kind"] == "CLIENT")).all()


# -- calls


@check
def retries(spans):
    found = ta.retries(spans)
    lists = found["span_ids"].map(json.loads)
    assert lists.map(len).tolist() == found["attempts"].tolist()
    failed = set(spans["span_id"][ta.is_error(spans)])
    assert [sum(span in failed for span in ids) for ids in lists] == found["failed_attempts"].tolist()
    assert ((found["attempts"] - found["failed_attempts"] == 1) == (found["outcome"] == "recovered")).all()
    assert (ns(found["wasted_path_ms"]) <= ns(found["wasted_ms"])).all()
    assert (found["backoff_ms"] >= 0).all()


@check
def n_plus_one(spans):
    found = ta.n_plus_one(spans, min_ms=0, min_share=0)
    lists = found["span_ids"].map(json.loads)
    assert lists.map(len).tolist() == found["calls"].tolist()
    once = spans[~spans.duplicated(["trace_id", "span_id"], keep=False)]
    took = ns(once["duration_ms"]).set_axis(pd.MultiIndex.from_frame(once[["trace_id", "span_id"]].astype("str")))
    for row, ids in zip(found.itertuples(), lists, strict=True):
        calls = took.reindex([(row.trace_id, span) for span in ids])
        assert calls.isna().any() or calls.sum() == round(row.total_ms * 1e6)
    again = {span for ids in ta.retries(spans)["span_ids"] for span in json.loads(ids)[:-1]}
    assert not again & {span for ids in lists for span in ids}
    assert (found["path_ms"] <= found["total_ms"] + 1e-6).all()


@check
def concurrency(spans):
    found = ta.concurrency(spans)
    told = found["parallel"] + found["a_before_b"] + found["b_before_a"] + found["undecided"]
    assert (told == found["parents"]).all()
    assert (found["agreeing"] + found["refuting"] + found["undecided"] == found["parents"]).all()
    assert (found["traces"] <= found["parents"]).all()
    assert (found["degree"] >= 1 - 1e-12).all()
    assert (found["saving_if_parallel_ms"].dropna() >= 0).all()


@check
def service_graph(spans):
    graph = ta.service_graph(spans)
    sums = [
        sum(calls for *_, calls in one.edges(data="calls"))
        for one in (graph, ta.service_graph(spans, merge=True), ta.service_graph(spans, level="operation"))
    ]
    assert sums[0] == sums[1] == sums[2] > 0
    assert sum(node["spans"] for _, node in graph.nodes(data=True)) == len(kept(spans))
    for node, data in graph.nodes(data=True):
        arrived = sum(calls for *_, calls in graph.in_edges(node, data="calls"))
        assert data["calls"] >= arrived  # the rest are roots of traces
        assert data["errors"] <= data["calls"]
    for _, _, edge in graph.edges(data=True):
        assert max(edge["client_errors"], edge["server_errors"]) <= round(edge["error_rate"] * edge["calls"])
        assert 0 <= edge["unpaired_share"] <= 1


@check
def span_graph(spans):
    graph = ta.span_graph(spans)
    places = ta.hierarchy(spans)
    assert graph.number_of_nodes() == len(kept(spans))
    assert graph.number_of_edges() == (places["depth"] > 0).sum()
    assert nx.is_directed_acyclic_graph(graph)
    assert max(depth for _, depth in graph.nodes(data="depth")) == places["depth"].max()
    assert sum(error for _, error in graph.nodes(data="error")) == ta.is_error(spans).sum()


@check
def workflow_path(spans):
    found = ta.workflow_path(spans)
    assert set(found["workflow_id"]) == set(spans["trace_id"])  # no set has links between traces
    assert (found["step"] == found.groupby("workflow_id", observed=True).cumcount()).all()
    assert (found["queue_wait_ms"].isna() == (found["step"] == 0)).all()
    assert (found[["work_ms", "queue_wait_ms"]].fillna(0) >= 0).all(axis=None)
    # A trace of one step ends with its last span.
    alone = found.groupby("workflow_id", observed=True)["step"].transform("max") == 0
    one = found[alone & (found["flags"] == "")].set_index("trace_id")
    last = ta.summary(spans)["end_time"][one.index]
    whole = ta.summary(spans)["complete"][one.index]
    assert (ns(one["work_ms"]) <= (last - one["start_time"]).array.asi8).all()
    assert (ns(one["work_ms"]) >= ns(ta.summary(spans)["duration_ms"][one.index]))[whole].all()


# -- writers


@check
def anonymize(spans):
    found = ta.anonymize(spans, seed="drawn for this test")
    for function in (ta.self_time, ta.is_error):
        pd.testing.assert_series_equal(function(found), function(spans))
    # Of siblings that end at the same moment and begin at the same one, the smaller id is on the path; the ids are others now.
    path = ta.critical_path(spans)
    tied = spans["trace_id"].isin(path["trace_id"][path["tie_ms"] == 0])
    pd.testing.assert_series_equal(ta.critical_time(found)[~tied], ta.critical_time(spans)[~tied])
    assert total_ns(found) == total_ns(spans)
    for text in spans["service"].dropna().unique():
        assert not found["service"].astype("str").str.contains(text, regex=False).any()
    # Whom only a host or a URL names is not known afterwards, so only services that emit spans are compared.
    calls = [
        sorted(data["calls"] for _, data in ta.service_graph(one).nodes(data=True) if is_emitting(data))
        for one in (found, spans)
    ]
    assert calls[0] == calls[1]


def is_emitting(node):
    return not node["virtual"] and node["kind"] == "service"


@check
def to_otlp(spans):
    spans = with_whole_ids(spans)
    found = ta.read_otlp(ta.to_otlp(spans))
    assert len(found) == len(spans)
    assert (ns(found["duration_ms"]).sum(), ta.is_error(found).sum()) == (
        ns(spans["duration_ms"]).sum(),
        ta.is_error(spans).sum(),
    )


@check
def to_jaeger(spans):
    found = ta.read_jaeger(ta.to_jaeger(spans))
    assert len(found) == len(spans)
    took = ns(spans["duration_ms"]).sum() / 1e3
    assert ns(found["duration_ms"]).sum() / 1e3 == pytest.approx(took, abs=len(spans))  # whole microseconds
    assert ta.is_error(found).sum() == ta.is_error(spans).sum()


@check
def to_zipkin(spans):
    spans = with_whole_ids(spans)
    found = ta.read_zipkin(ta.to_zipkin(spans))
    shared = spans.duplicated(["trace_id", "span_id"])
    assert shared.any() or len(found) == len(spans)
    assert len(spans) - shared.sum() <= len(found) <= len(spans)  # pieces of a span are united
    assert set(found["trace_id"]) == set(spans["trace_id"])


@check
def to_text(spans):
    one = ta.trace(spans, spans["trace_id"].value_counts().index[0])
    text = ta.to_text(one, max_rows=30)
    assert max(map(len, text.splitlines())) <= 100
    assert text.isprintable() or all(line.isprintable() for line in text.splitlines())


@check
def to_mermaid(spans):
    one = ta.trace(spans, spans["trace_id"].value_counts().index[0])
    lines = ta.to_mermaid(one, max_rows=30).splitlines()
    assert lines[0].strip().startswith(("gantt", "---", "%%"))
    assert sum(" :" in line for line in lines) >= min(30, timed(one).sum()) // 2


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("analysis", CHECKS)
def test_what_must_add_up_does(shared, name, analysis):
    run(CHECKS[analysis], sample(shared, name))


def test_every_public_function_is_checked():
    assert {*CHECKS, *test_real_sets_times.CHECKS} == set(ta.__all__) - NOT_CHECKED
