"""The analyses against the simulated shop, which knows the truth: twenty seeds a fault, all decoys present."""

from __future__ import annotations

import itertools
import json

import pytest

import traceanalytics as ta
from traceanalytics.simulate import (
    CancelledSiblings,
    ErrorRate,
    HandledError,
    NPlusOne,
    RetriesExhausted,
    RetriesRecovered,
    SequentialCalls,
    Shop,
    Timeout,
)

SEEDS = range(20)
REQUESTS = 60
CLEAN = {"clock_skew_ms": 0.0}
PRICES = "product-db SELECT * FROM prices WHERE sku = $1"
USERS = "user GET /users/{id}"

ERROR_FAULTS = {
    "propagated": ErrorRate("inventory GET /stock/{sku}", share=0.2),
    "deep": ErrorRate(PRICES, share=0.2),
    "root": ErrorRate("frontend GET /search", share=0.4),
    "exhausted": RetriesExhausted(("frontend", "pricing"), share=0.2),
    "exhausted as events": RetriesExhausted(("frontend", "pricing"), share=0.2, form="events"),
    "exhausted as attributes": RetriesExhausted(("frontend", "pricing"), share=0.2, form="attributes"),
    "recovered": RetriesRecovered(("frontend", "pricing"), share=0.3),
    "handled": HandledError(("frontend", "cart"), share=0.3),
    "timeout": Timeout(("cart", "payment POST /charges"), share=0.5),
    "short timeout": Timeout(("frontend", "recommendation"), deadline_ms=20, slow_ms=40, share=0.3),
    "cancelled": CancelledSiblings(("frontend", "pricing"), share=0.3),
    "cancelled below": CancelledSiblings(("product GET /products", "product-db"), share=0.3),
}


def blames(spans, truth):
    """Blamed span by failed trace: as found, and as it really was."""
    found = ta.attribute_errors(spans)
    failed = truth.requests[truth.requests["failed"]]
    real = dict(zip(failed["trace_id"].astype("str"), failed["blame_span_id"], strict=True))
    return dict(zip(found.index.astype("str"), found["blame_span_id"], strict=True)), real


@pytest.mark.parametrize("name", ERROR_FAULTS)
def test_the_blame_of_every_failed_request_is_exact(name):
    failures = 0
    for seed in SEEDS:
        found, real = blames(*Shop(seed=seed, **CLEAN).run(REQUESTS, faults=[ERROR_FAULTS[name]]))
        assert found == real, seed
        failures += len(real)
    assert failures > 0 or name in ("recovered", "handled")


@pytest.mark.parametrize("name", ["deep", "exhausted", "timeout", "short timeout", "cancelled"])
def test_the_cause_of_every_failed_request_has_the_same_word(name):
    words = set()
    for seed in SEEDS[:8]:
        spans, truth = Shop(seed=seed, **CLEAN).run(REQUESTS, faults=[ERROR_FAULTS[name]])
        both = truth.requests[truth.requests["failed"]].join(
            ta.attribute_errors(spans)["cause"].rename(index=str), on="trace_id"
        )
        assert both["cause"].astype("str").tolist() == both["blame_class"].astype("str").tolist()
        words |= set(both["cause"])
    assert words == {"slow" if "timeout" in name else "error"}


@pytest.mark.parametrize("name", ["propagated", "exhausted", "timeout", "cancelled"])
def test_the_blame_stays_exact_where_clocks_differ(name):
    right = total = 0
    for seed in SEEDS:
        found, real = blames(*Shop(seed=seed, clock_skew_ms=5.0).run(REQUESTS, faults=[ERROR_FAULTS[name]]))
        right += sum(found.get(trace) == span for trace, span in real.items())
        total += len(real)
    assert right / total >= 0.98


def test_faults_that_meet_do_not_hide_each_other():
    faults = [ERROR_FAULTS[n] for n in ("handled", "recovered", "propagated", "cancelled below")]
    for seed in SEEDS:
        found, real = blames(*Shop(seed=seed, **CLEAN).run(REQUESTS, faults=faults))
        assert found == real, seed


def groups(truth, kind):
    """Groups of calls as they really were: sets of span ids, of faults only."""
    real = truth.groups[(truth.groups["group_kind"] == kind) & ~truth.groups["decoy"]]
    first = _first_sent(truth)
    return {frozenset(first.get(i, i) for i in g["span_id"]) for _, g in real.groupby("group")}


def found_groups(frame, truth):
    first = _first_sent(truth)
    return {frozenset(first.get(i, i) for i in json.loads(ids)) for ids in frame["span_ids"]}


def _first_sent(truth):
    """Of an attempt that was sent twice to see which is quicker (a decoy), either call stands for the attempt."""
    hedges = truth.groups[truth.groups["group_kind"] == "hedge"]
    return {i: g["span_id"].iloc[0] for _, g in hedges.groupby("group") for i in g["span_id"]}


@pytest.mark.parametrize("form", ["siblings", "events", "attributes"])
@pytest.mark.parametrize("fault", [RetriesRecovered, RetriesExhausted])
@pytest.mark.parametrize(("skew", "least"), [(0.0, 1.0), (5.0, 0.98)])
def test_retries_are_found_and_nothing_else(form, fault, skew, least):
    hits = found_count = real_count = 0
    for seed in SEEDS:
        spans, truth = Shop(seed=seed, clock_skew_ms=skew).run(
            REQUESTS, faults=[fault(("frontend", "pricing"), share=0.2, form=form)]
        )
        found, real = found_groups(ta.retries(spans), truth), groups(truth, "retry")
        hits += len(found & real)
        found_count += len(found)
        real_count += len(real)
    assert real_count > 40
    assert hits / found_count >= least
    assert hits / real_count >= least


LOOPS = {
    "query": (USERS, "orders-db SELECT * FROM users WHERE id = $1"),
    "cache": ("user shop.User/Verify", "redis GET session"),
    "remote": ("frontend GET /account", USERS),
}


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize(("skew", "least"), [(0.0, 1.0), (5.0, 0.98)])
def test_calls_in_a_loop_are_found_and_no_decoys(name, skew, least):
    hits = found_count = real_count = 0
    for seed in SEEDS:
        spans, truth = Shop(seed=seed, clock_skew_ms=skew).run(REQUESTS, faults=[NPlusOne(LOOPS[name])])
        found, real = found_groups(ta.n_plus_one(spans), truth), waited_for(groups(truth, "n_plus_one"), spans)
        hits += len(found & real)
        found_count += len(found)
        real_count += len(real)
    assert real_count > 40
    assert hits / found_count >= least
    assert hits / real_count >= least


def waited_for(found, spans):
    """Those of the groups that no consumer of messages is above: nobody waits for it, so they are a finding with limits 0 only."""
    kind = dict(zip(spans["span_id"], spans["kind"].astype("str"), strict=True))
    above = dict(zip(spans["span_id"], spans["parent_span_id"], strict=True))
    kept = set()
    for group in found:
        at = next(iter(group))
        while at in kind and kind[at] != "CONSUMER":
            at = above[at]
        kept |= set() if at in kind else {group}
    return kept


def test_without_limits_calls_that_nobody_waits_for_are_found_too():
    behind = 0
    for seed in SEEDS[:8]:
        spans, truth = Shop(seed=seed, **CLEAN).run(REQUESTS, faults=[NPlusOne(LOOPS["query"])])
        real = groups(truth, "n_plus_one")
        assert found_groups(ta.n_plus_one(spans, min_ms=0, min_share=0), truth) == real, seed
        behind += len(real - waited_for(real, spans))
    assert behind > 10


def test_a_shop_without_faults_has_no_findings():
    for seed in SEEDS:
        spans, truth = Shop(seed=seed).run(REQUESTS)
        assert truth.groups["decoy"].all()
        assert len(ta.retries(spans)) == 0
        assert len(ta.n_plus_one(spans)) == 0
        assert len(ta.n_plus_one(spans, min_ms=0, min_share=0)) == 0
        assert len(ta.attribute_errors(spans)) == truth.requests["failed"].sum()


@pytest.mark.parametrize(("skew", "least"), [(0.0, 1.0), (5.0, 0.98)])
def test_calls_that_could_be_parallel_are_told_by_the_traces_in_which_they_are(skew, least):
    hits = found_count = real_count = 0
    for seed in SEEDS:
        shop = Shop(seed=seed, clock_skew_ms=skew)
        spans, truth = shop.run(100, faults=[SequentialCalls("frontend GET /", share=0.5)])
        real = sequential_pairs(spans, truth)
        pairs = ta.concurrency(spans)
        rows = pairs[pairs["parallelisable"]][["service", "name", "callee_a", "callee_b"]].astype("str")
        found = {
            (s, n, frozenset(c.split(" ", 2)[2] for c in callees)) for s, n, *callees in rows.itertuples(index=False)
        }
        hits += len(found & real)
        found_count += len(found)
        real_count += len(real)
    assert real_count > 40
    assert hits / found_count >= least
    assert hits / real_count >= least


def sequential_pairs(spans, truth):
    """Pairs of calls that a fault has put one after the other: service and name of the caller, names of both."""
    by_id = spans.set_index("span_id")[["service", "name"]].astype("str")
    members = truth.groups[truth.groups["group_kind"] == "sequential"]
    found = set()
    for _, group in members.groupby("group"):
        caller = by_id.loc[group["parent_span_id"].iloc[0]]
        found |= {(*caller, frozenset(pair)) for pair in itertools.combinations(by_id.loc[group["span_id"], "name"], 2)}
    return found
