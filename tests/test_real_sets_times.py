"""Places and times over five sets of real traces: warnings are errors, and what must add up does, in whole nanoseconds."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from real_sets import SETS, kept, ns, run, sample, timed, total_ns

import traceanalytics as ta

SPLIT = ["server_self_ms", "client_self_ms", "gap_ms", "internal_self_ms"]
CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


# -- traces and places


@check
def summary(spans):
    found = ta.summary(spans)
    assert found.index.tolist() == spans["trace_id"].unique().tolist()
    assert found["spans"].sum() == len(kept(spans))
    assert found["errors"].sum() == ta.is_error(spans)[kept(spans).index].sum()
    sizes = spans.groupby("trace_id", observed=True)
    assert (found["services"] == sizes["service"].nunique()[found.index]).all()
    assert (found["end_time"] == ta.end_time(spans[timed(spans)]).groupby(spans["trace_id"], observed=True).max()).all()
    assert ((found["depth"] > 0) <= (found["spans"] > 1)).all()


@check
def hierarchy(spans):
    found = ta.hierarchy(spans)
    assert found["n_children"].sum() == (found["depth"] > 0).sum()
    assert (found["depth"].groupby(spans["trace_id"], observed=True).max() == ta.summary(spans)["depth"]).all()
    names_a_missing_one = spans["parent_span_id"].notna() & ~pd.MultiIndex.from_frame(
        spans[["trace_id", "parent_span_id"]].astype("str")
    ).isin(pd.MultiIndex.from_frame(spans[["trace_id", "span_id"]].astype("str")))
    assert (found["flags"].astype("str").str.contains("orphan") == names_a_missing_one).all()
    assert (found["root_span_id"] == spans["span_id"])[found["depth"] == 0].all()
    assert (found["offset_ms"].isna() == spans["start_time"].isna()).all()


@check
def trace(spans):
    for trace_id in spans["trace_id"].unique()[:20]:
        one = ta.trace(spans, trace_id)
        assert sorted(one.index) == sorted(spans.index[spans["trace_id"] == trace_id])
        at = pd.Series(range(len(one)), index=one["span_id"]).groupby(level=0).min()
        above = at.reindex(one["parent_span_id"].dropna()).fillna(-1).to_numpy()
        assert (above < np.flatnonzero(one["parent_span_id"].notna())).all()


@check
def tree(spans):
    found = ta.tree(spans)
    assert sorted(found.index) == sorted(kept(spans).index)
    assert (ns(found["self_ms"]) == ns(ta.self_time(spans))[found.index]).all()


@check
def whole_traces(spans):
    mask = spans["span_id"].str[-1] == "0"
    found = ta.whole_traces(spans, mask)
    assert set(found["trace_id"]) == set(spans["trace_id"][mask])
    assert len(found) == spans["trace_id"].isin(spans["trace_id"][mask]).sum()


@check
def concat(spans):
    first = spans["trace_id"].isin(spans["trace_id"].unique()[::2])
    found = ta.concat([spans[first], spans[~first]])
    assert len(found) == len(spans)
    texts = ["trace_id", "root_service", "root_name"]
    tables = [
        ta.summary(one).reset_index().astype(dict.fromkeys(texts, "str")).sort_values("trace_id", ignore_index=True)
        for one in (found, spans)
    ]
    pd.testing.assert_frame_equal(*tables)


@check
def end_time(spans):
    found = ta.end_time(spans)
    lasted = (found - spans["start_time"])[timed(spans)].array.asi8
    assert (lasted == ns(spans["duration_ms"])[timed(spans)]).all()
    assert (found.isna() == ~timed(spans)).all()


@check
def is_error(spans):
    found = ta.is_error(spans)
    assert found[spans["status"] == "ERROR"].all()
    assert not found[spans["status"] == "OK"].any()


@check
def attribute_keys(spans):
    found = ta.attribute_keys(spans)
    assert found["coverage"].between(0, 1).all()
    for row in found.itertuples():
        # Older and newer names of one thing are read as one.
        for key in (row.key, f"{row.scope}.{row.key}"):
            assert ta.attribute(spans, key).notna().mean() >= row.coverage - 1e-9


@check
def events(spans):
    assert len(ta.events(spans)) == sum(len(json.loads(cell)) for cell in spans["events"].dropna())


@check
def links(spans):
    assert len(ta.links(spans)) == sum(len(json.loads(cell)) for cell in spans["links"].dropna())


@check
def diagnose(spans):
    found = ta.diagnose(spans)
    size = found["unit"].map({"spans": len(spans), "traces": spans["trace_id"].nunique()}).astype("int64")
    assert found["share"].between(0, 1, inclusive="right").all()
    assert (found["count"] <= size).all()
    by_rule = found.groupby("rule", observed=True)["count"].sum()
    traces = ta.summary(spans)
    assert by_rule.get("untimed_spans", 0) == (~timed(spans)).sum()
    known = set(spans["span_id"]) | set(spans["trace_id"].astype("str"))
    assert all(set(json.loads(ids)) <= known for ids in found["examples"])
    rooted = spans["parent_span_id"].isna().groupby(spans["trace_id"], observed=True).any()
    assert by_rule.get("orphans", 0) == traces["orphans"][rooted[traces.index]].sum()
    pieces = traces["orphans"][~rooted[traces.index]]
    assert by_rule.get("traces_without_root", 0) == (pieces <= 1).sum()
    assert by_rule.get("truncated_traces", 0) == (pieces > 1).sum()


# -- time


@check
def critical_path(spans):
    found = ta.critical_path(spans)
    long = found[found["segment_ms"] > 0]
    start, end = long["start_time"].array.asi8, long["end_time"].array.asi8
    assert (ns(long["segment_ms"]) == end - start).all()
    same = long["trace_id"].to_numpy()[1:] == long["trace_id"].to_numpy()[:-1]
    assert (end[:-1] == start[1:])[same].all()
    traces = ta.summary(spans)
    per_trace = ns(found["segment_ms"]).groupby(found["trace_id"], observed=True).sum()
    assert (per_trace[traces.index] == ns(traces["duration_ms"])).all()
    shares = long.groupby("trace_id", observed=True)["share"].sum()
    np.testing.assert_allclose(shares, 1)
    assert set(found["trace_id"]) == set(spans["trace_id"])


@check
def critical_time(spans):
    found = ta.critical_time(spans)
    assert ns(found).sum() == total_ns(spans)
    assert (ns(found) <= ns(spans["duration_ms"]).clip(lower=0)).all()
    every = ta.critical_path(spans, roots="all")
    assert ns(ta.critical_time(spans, roots="all")).sum() == ns(every["segment_ms"]).sum()


@check
def self_time(spans):
    found = ta.self_time(spans)
    assert (found.notna() == timed(spans)).all()
    assert (ns(found) <= ns(spans["duration_ms"])).all()
    leaves = timed(spans) & (ta.hierarchy(spans)["n_children"] == 0)
    assert (ns(found) == ns(spans["duration_ms"]))[leaves].all()
    assert (ns(found) >= 0).all()


@check
def latency_breakdown(spans):
    for by in (("service", "name"), "service", "kind"):
        found = ta.latency_breakdown(spans, by=by)
        assert ns(found["critical_ms"]).sum() == total_ns(spans)
        assert ns(found["self_ms"]).sum() == sum(ns(found[column]).sum() for column in SPLIT)
        assert found["calls"].sum() == len(kept(spans))
        assert found["share"].sum() == pytest.approx(1)
        assert found["orphans"].sum() == ta.summary(spans)["orphans"].sum()
        assert ns(found["inclusive_ms"]).sum() == ns(spans["duration_ms"]).sum()


@check
def operations(spans):
    found = ta.operations(spans)
    called = spans["kind"].isin(["SERVER", "CONSUMER"]) | spans["parent_span_id"].isna()
    assert found["calls"].sum() == called.sum()
    assert found["errors"].sum() == (called & ta.is_error(spans)).sum()
    assert ta.operations(spans, freq="1h")["calls"].sum() == called.sum()
    assert (found["p50_ms"].dropna() <= found["p95_ms"].dropna()).all()
    assert (found["p95_ms"].dropna() <= found["p99_ms"].dropna()).all()


@check
def critical_path_profile(spans):
    found = ta.critical_path_profile(spans, resamples=50)
    assert found["share"].sum() == pytest.approx(1)
    assert found["path_probability"].between(0, 1 + 1e-12).all()
    assert found["critical_mean_ms"].sum() == pytest.approx(ta.summary(spans)["duration_ms"].mean())
    assert (found["share_low"] <= found["share_high"]).all()


@check
def folded_stacks(spans):
    for value, total in (("critical", total_ns(spans)), ("self", ns(ta.self_time(spans)).sum())):
        lines = ta.folded_stacks(spans, value=value)
        numbers = [int(re.fullmatch(r"[^;\s][^\n\r]* (\d+)", line)[1]) for line in lines]
        assert sum(numbers) == pytest.approx(total / 1e3, abs=len(lines))  # whole microseconds
        assert all(all(line.rpartition(" ")[0].split(";")) for line in lines)


@check
def call_tree(spans):
    found = ta.call_tree(spans)
    assert found["calls"].sum() == len(kept(spans))
    assert found["errors"].sum() == ta.summary(spans)["errors"].sum()
    assert ns(found["self_ms"]).sum() == ns(ta.self_time(spans)).sum()
    assert ns(found["critical_ms"]).sum() == total_ns(spans)
    beginnings = found["parent_path_id"].isna()
    assert ns(found["critical_subtree_ms"][beginnings]).sum() == total_ns(spans)
    assert found["path_id"].is_unique
    assert found["parent_path_id"].dropna().isin(found["path_id"]).all()


@check
def trace_shapes(spans):
    found = ta.trace_shapes(spans)
    assert found["traces"].sum() == spans["trace_id"].nunique()
    assert found["share"].sum() == pytest.approx(1)
    assert (found["traces"] * found["spans"]).sum() == len(kept(spans))
    assert found["traces"][found["complete"]].sum() == ta.summary(spans)["complete"].sum()


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("analysis", CHECKS)
def test_what_must_add_up_does(shared, name, analysis):
    run(CHECKS[analysis], sample(shared, name))
