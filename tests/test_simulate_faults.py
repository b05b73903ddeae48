"""Every fault of the simulated shop against its truth: what it says is looked up in the spans by plain pandas."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pandas as pd
import pytest

import traceanalytics as ta
from traceanalytics.analysis.blame_walk import CAUSES as WORDS
from traceanalytics.errors import OptionError
from traceanalytics.simulate import (
    Call,
    CancelledSiblings,
    ClockSkew,
    CpuContention,
    DroppedHeaders,
    EarlyReturn,
    ErrorRate,
    FastFailures,
    HandledError,
    NetworkDelay,
    NPlusOne,
    Operation,
    RetriesExhausted,
    RetriesRecovered,
    SequentialCalls,
    Service,
    Shop,
    SilentService,
    SlowOperation,
    Timeout,
)
from traceanalytics.simulate.faults import KINDS
from traceanalytics.simulate.outcomes import CAUSES

N = 1200
ALL = [
    SlowOperation("product", share=0.3),
    NetworkDelay(("frontend", "product"), share=0.3),
    NetworkDelay(("cart", "payment"), side="caller"),
    CpuContention("user", share=0.3),
    ErrorRate("inventory GET /stock/{sku}", share=0.1),
    RetriesExhausted(("frontend", "recommendation"), share=0.1),
    RetriesRecovered(("frontend", "recommendation"), share=0.3, form="events"),
    RetriesRecovered(("frontend", "pricing"), share=0.3),
    HandledError(("frontend", "cart"), share=0.3),
    Timeout(("cart", "payment POST /charges"), share=0.5),
    CancelledSiblings(("frontend", "pricing"), share=0.3),
    NPlusOne(("product", "product-db"), share=0.3),
    SequentialCalls("frontend", share=0.5),
    DroppedHeaders(("api-gateway", "frontend"), share=0.2),
    ClockSkew("cart"),
    EarlyReturn("product", share=0.2),
    SilentService("product", share=0.2),
    FastFailures("api-gateway GET /", between=(0.4, 0.5)),
]


@functools.cache
def healthy():
    return Shop(seed=4, clock_skew_ms=0).run(N)


def faulty(*faults, **options):
    return Shop(seed=4, clock_skew_ms=0, **options).run(N, faults=faults)


def flat(spans):
    """Plain texts and integers: nothing of what is under test, but the frame."""
    texts = dict.fromkeys(["trace_id", "service", "name", "kind", "status"], "str")
    table = spans[["trace_id", "span_id", "parent_span_id", "service", "name", "kind", "status"]].astype(texts)
    table["start"] = spans["start_time"].astype("int64")
    table["took"] = (spans["duration_ms"] * 1e6).round().astype("int64")
    table["end"] = table["start"] + table["took"]
    return table


def beside(spans, plain):
    """Every span of the faulty run and the same span of the healthy one."""
    return flat(spans).assign(label=spans.index).merge(flat(plain), on="span_id", suffixes=("", "_before"))


def above(spans):
    """Every span and its parent."""
    table = flat(spans).assign(label=spans.index)
    return table.merge(
        table, left_on=["trace_id", "parent_span_id"], right_on=["trace_id", "span_id"], suffixes=("", "_above")
    )


def labels(truth, role, fault=0):
    return set(truth.spans.index[(truth.spans["role"] == role) & (truth.spans["fault"] == fault).fillna(value=False)])


def errors(spans):
    """Labels of the spans that fail here and stand in no decoy."""
    return set(spans.index[ta.is_error(spans)])


def innocent(spans, truth):
    """Labels of failed spans that are decoys alone."""
    decoy = truth.spans["role"] == "decoy"
    return errors(spans) & (set(truth.spans.index[decoy]) - set(truth.spans.index[~decoy]))


def root_ms(spans):
    roots = spans[spans["parent_span_id"].isna()]
    return pd.Series(roots["duration_ms"].array, roots["trace_id"].astype("str"))


def check_added(spans, truth):
    """Roots last longer than in the run without faults by exactly what the truth says."""
    requests = truth.requests[truth.requests["added_ms"].notna()].set_index("trace_id")
    plain = root_ms(healthy()[0])[requests.index]
    with_fault = root_ms(spans).reindex(requests.index)
    assert np.allclose(with_fault - plain, requests["added_ms"], atol=1e-5)
    assert requests["added_ms"].equals(requests["added_ms_0"].rename("added_ms"))


def check_failures(spans, truth, *, roots_fail):
    """User-facing failures are failed roots."""
    roots = spans[spans["parent_span_id"].isna()].set_index("trace_id")
    failed = truth.requests.set_index("trace_id")["failed"]
    by_root = (roots["status"] == "ERROR").rename(index=str)
    assert by_root[failed.index].equals(failed.rename("status"))
    assert failed.any() == roots_fail
    assert truth.faults["failures"].tolist() == [int(failed.sum())]


def blamed(spans, truth):
    """The blamed spans, one row a failed or slow request."""
    requests = truth.requests[truth.requests["blame_class"].notna()]
    found = flat(spans).assign(label=spans.index).set_index("span_id").loc[requests["blame_span_id"]]
    assert found["trace_id"].tolist() == requests["trace_id"].tolist()
    return found.assign(blame_class=requests["blame_class"].astype("str").array)


def test_a_slow_operation():
    spans, truth = faulty(SlowOperation("product GET /featured", ms=150, share=0.4))
    both = beside(spans, healthy()[0])
    mine = both[(both["name"] == "GET /featured") & (both["kind"] == "SERVER")]
    more = mine["took"] - mine["took_before"]
    assert set(more) == {0, 150_000_000}
    assert labels(truth, "cause") == set(mine["label"][more > 0])
    assert (truth.spans["injected_ms"].dropna() == 150).all()
    assert abs((more > 0).mean() - 0.4) < 0.08
    assert truth.faults["affected_requests"].tolist() == [int((more > 0).sum())]
    others = both[(both["took"] != both["took_before"]) & ~both["label"].isin(mine["label"])]
    assert set(others["service"]) == {"api-gateway", "frontend"}
    check_added(spans, truth)
    check_failures(spans, truth, roots_fail=False)
    found = blamed(spans, truth)
    assert set(found["blame_class"]) == {"slow"}
    assert set(found["label"]) <= labels(truth, "cause")
    assert len(found) == (truth.requests["added_ms"] > 0).sum()


@pytest.mark.parametrize("side", ["callee", "caller"])
def test_a_network_delay_lies_in_the_gap(side):
    spans, truth = faulty(NetworkDelay(("cart", "payment"), ms=80, side=side))
    pairs = above(spans)
    pairs = pairs[(pairs["kind"] == "SERVER") & (pairs["kind_above"] == "CLIENT")]
    before = above(healthy()[0]).set_index("span_id")
    gap = (pairs["took_above"] - pairs["took"]).set_axis(pairs["span_id"])
    more = gap - (before["took_above"] - before["took"])[gap.index]
    culprit = pairs["service"] == "payment" if side == "callee" else pairs["service_above"] == "cart"
    slowed = culprit.to_numpy(bool)
    assert slowed.any()
    assert (more[slowed] == 80_000_000).all()
    assert (more[~slowed] == 0).all()
    cause = set(pairs["label_above"][slowed])
    if side == "caller":  # its calls to databases and caches, which write no spans, too
        clients = spans[(spans["service"] == "cart") & (spans["kind"] == "CLIENT")]
        assert cause < set(clients.index)
        cause = set(clients.index)
    assert labels(truth, "cause") == cause
    assert (truth.spans["injected_ms"].dropna() == 80).all()
    assert truth.faults["service"].tolist() == ["payment" if side == "callee" else "cart"]
    check_added(spans, truth)
    assert set(blamed(spans, truth)["label"]) <= cause


def test_busy_processors():
    spans, truth = faulty(CpuContention("user", factor=6, gap_ms=30))
    plain = healthy()[0]

    def self_ns(frame):
        table = flat(frame)
        children = table.groupby("parent_span_id")["took"].sum()  # the calls of this service follow each other
        mine = table[table["service"].eq("user") & table["kind"].eq("SERVER")].set_index("span_id")
        return mine["took"] - children.reindex(mine.index).fillna(0).astype("int64")

    ratio = self_ns(spans) / self_ns(plain)
    assert np.allclose(ratio, 6, rtol=1e-5)
    both = beside(spans, plain).set_index("label")
    injected = truth.spans.loc[truth.spans["fault"].notna(), "injected_ms"]
    servers = injected[spans.loc[injected.index, "kind"] == "SERVER"]
    assert set(servers.index) == set(spans.index[(spans["service"] == "user") & (spans["kind"] == "SERVER")])
    assert np.allclose(servers, self_ns(spans)[spans.loc[servers.index, "span_id"]].to_numpy() / 1e6 * 5 / 6, rtol=1e-4)
    pairs = above(spans).set_index("label_above")
    into = pairs[(pairs["service"] == "user") & (pairs["kind"] == "SERVER")]
    gap = (into["took_above"] - into["took"]) - (
        both["took_before"].reindex(into.index) - both["took_before"].reindex(into["label"]).to_numpy()
    )
    assert np.allclose(gap / 1e6, injected[into.index])
    assert 25 < (gap / 1e6).median() < 35
    check_added(spans, truth)


def failing_chain(spans, truth, cause):
    """Nothing failed but the cause, those above it, and decoys; above a cause all failed."""
    symptom = labels(truth, "symptom")
    assert errors(spans) - innocent(spans, truth) == cause | symptom
    pairs = above(spans).set_index("label")
    climbed, level = set(cause), set(cause)
    while level:
        level = set(pairs["label_above"].reindex(list(level)).dropna().astype("int64"))
        climbed |= level
    assert climbed == cause | symptom


def test_an_error_climbs_to_the_root():
    spans, truth = faulty(ErrorRate("inventory GET /stock/{sku}", share=0.3, exception="StockError"))
    served = spans[(spans["name"] == "GET /stock/{sku}") & (spans["kind"] == "SERVER")]
    cause = labels(truth, "cause")
    assert cause == set(served.index[served["status"] == "ERROR"])
    asked = spans["trace_id"].isin(served["trace_id"])
    assert abs(spans.loc[list(cause), "trace_id"].nunique() / spans.loc[asked, "trace_id"].nunique() - 0.3) < 0.08
    failing_chain(spans, truth, cause)
    check_added(spans, truth)
    check_failures(spans, truth, roots_fail=True)
    found = blamed(spans, truth)
    assert sorted(found["label"]) == sorted(cause)
    assert set(found["blame_class"]) == {"error"}
    events = ta.events(spans)
    assert set(events.index) == cause
    assert set(events["event.exception.type"]) == {"StockError"}
    assert not set(spans.loc[list(cause), "span_id"]) & set(spans["parent_span_id"].dropna())


def test_an_error_passes_through_an_unmarked_span():
    spans, truth = faulty(ErrorRate("product-db SELECT * FROM prices WHERE sku = $1", share=0.5))
    pairs = above(spans)
    cause = labels(truth, "cause")
    up = pairs[pairs["label"].isin(cause)]
    assert set(up["name_above"]) == {"apply rules"}
    assert set(up["status_above"]) == {"UNSET"}
    assert not set(up["label_above"]) & set(truth.spans.index[truth.spans["fault"].notna()])
    assert set(pairs[pairs["label"].isin(up["label_above"])]["status_above"]) == {"ERROR"}
    check_failures(spans, truth, roots_fail=True)
    assert set(blamed(spans, truth)["label"]) <= cause


def test_an_ignored_error_is_handled():
    shop = Shop(
        services=[Service("web"), Service("ads"), Service("book")],
        operations=[
            Operation("web", "GET /", weight=1, calls=[Call("ads GET /ad", on_failure="ignore"), Call("book GET /b")]),
            Operation("ads", "GET /ad"),
            Operation("book", "GET /b"),
        ],
    )
    spans, truth = shop.run(200, faults=[ErrorRate("ads", share=0.5)])
    assert not truth.requests["failed"].any()
    assert truth.faults["failures"].tolist() == [0]
    assert labels(truth, "handled") == errors(spans)
    assert not labels(truth, "cause") | labels(truth, "symptom")
    assert set(spans.loc[list(errors(spans)), "name"]) == {"GET /ad"}
    assert (spans["name"] == "GET /b").sum() == 400


@pytest.mark.parametrize("kind", [RetriesRecovered, RetriesExhausted])
def test_retries_as_siblings(kind):
    spans, truth = faulty(kind(("frontend", "recommendation"), attempts=4, backoff_ms=10, share=0.3))
    last_fails = kind is RetriesExhausted
    groups = truth.groups[~truth.groups["decoy"]]
    rows = flat(spans).loc[groups.index].assign(group=groups["group"], place=groups["place"])
    assert rows.groupby("group").size().eq(4).all()
    assert rows.groupby("group")["parent_span_id"].nunique().eq(1).all()
    assert set(rows["kind"]) == {"CLIENT"}
    assert set(rows["name"]) == {"GET /recommendations"}
    assert ((rows["status"] == "ERROR") == ((rows["place"] < 4) | last_fails)).all()
    wait = (rows["start"] - rows.groupby("group")["end"].shift(fill_value=0))[rows["place"] > 1]
    assert (wait == rows["place"][wait.index].map({2: 10_000_000, 3: 20_000_000, 4: 40_000_000})).all()
    assert set(groups["outcome"]) == {"exhausted" if last_fails else "recovered"}
    assert set(groups["attempts"]) == {4}
    all_calls = flat(spans)[lambda t: t["name"].eq("GET /recommendations") & t["kind"].eq("CLIENT")]
    several = all_calls.groupby("parent_span_id").filter(lambda g: len(g) > 1)
    assert set(several.index) == set(rows.index)
    servers = above(spans)[lambda t: t["label_above"].isin(rows.index)]
    assert len(servers) == len(rows)
    assert servers["status"].eq(servers["status_above"]).all()
    check_added(spans, truth)
    check_failures(spans, truth, roots_fail=last_fails)
    if last_fails:
        assert set(blamed(spans, truth)["label"]) == set(
            servers["label"][servers["label_above"].isin(rows.index[rows["place"] == 4])]
        )
        assert labels(truth, "cause") == set(blamed(spans, truth)["label"])
    else:
        assert labels(truth, "handled") == errors(spans) - innocent(spans, truth)
        assert truth.requests["blame_class"].isna().all()


@pytest.mark.parametrize("form", ["events", "attributes"])
@pytest.mark.parametrize("kind", [RetriesRecovered, RetriesExhausted])
def test_retries_inside_of_one_span(kind, form):
    spans, truth = faulty(kind(("frontend", "recommendation"), attempts=3, form=form, share=0.3))
    groups = truth.groups[~truth.groups["decoy"]]
    assert groups["group"].is_unique
    assert set(groups["attempts"]) == {3}
    calls = spans.loc[groups.index]
    assert set(calls["kind"]) == {"CLIENT"}
    exhausted = kind is RetriesExhausted
    assert (calls["status"] == ("ERROR" if exhausted else "UNSET")).all()
    if form == "events":
        events = ta.events(spans)[lambda t: t["name"] == "retry"]
        assert set(events.index) == set(calls.index)
        assert events["event.retry.attempt"].tolist() == [1, 2] * len(calls)
        assert (events["offset_ms"] > 0).all()
        assert (events["offset_ms"] < spans.loc[events.index, "duration_ms"]).all()
    else:
        sent = ta.attribute(spans, "http.request.resend_count")
        assert set(sent.dropna().index) == set(calls.index)
        assert set(sent.dropna()) == {2}
    pairs = above(spans)
    served = pairs["label_above"].isin(calls.index).sum()
    assert served == (0 if exhausted else len(calls))
    check_added(spans, truth)
    check_failures(spans, truth, roots_fail=exhausted)
    assert labels(truth, "cause" if exhausted else "handled") == set(calls.index)
    if exhausted:
        assert set(blamed(spans, truth)["label"]) == set(calls.index)
    else:
        both = beside(spans, healthy()[0]).set_index("label").loc[calls.index]
        assert ((both["took"] - both["took_before"]) / 1e6 > 60).all()


def test_a_handled_error_ends_in_a_fallback():
    spans, truth = faulty(HandledError(("frontend", "cart"), share=0.3, fallback="show nothing"))
    handled = labels(truth, "handled")
    assert handled == errors(spans) - innocent(spans, truth)
    assert set(spans.loc[list(handled), "kind"]) == {"CLIENT", "SERVER"}
    pairs = above(spans)
    clients = pairs[pairs["label"].isin(handled) & (pairs["kind"] == "CLIENT")]
    assert set(clients["status_above"]) == {"UNSET"}
    after = pairs[pairs["name"] == "show nothing"]
    assert sorted(after["parent_span_id"]) == sorted(clients["parent_span_id"])
    assert set(zip(after["parent_span_id"], after["start"], strict=True)) == set(
        zip(clients["parent_span_id"], clients["end"], strict=True)
    )
    check_added(spans, truth)
    check_failures(spans, truth, roots_fail=False)
    assert truth.requests["blame_class"].isna().all()
    assert truth.faults["affected_requests"].tolist() == [clients["trace_id"].nunique()]


def test_a_timeout_leaves_the_callee_at_work():
    spans, truth = faulty(Timeout(("cart", "payment POST /charges"), deadline_ms=60, slow_ms=300, share=0.6))
    pairs = above(spans)
    calls = pairs[(pairs["name"] == "POST /charges") & (pairs["kind"] == "SERVER")]
    late = calls[calls["end"] > calls["end_above"]]
    assert len(late) > 5
    assert len(late) < len(calls)
    assert (late["took_above"] == 60_000_000).all()
    assert (late["status"] == "UNSET").all()
    assert (late["status_above"] == "ERROR").all()
    assert labels(truth, "cause") == set(late["label"])
    assert labels(truth, "symptom") == errors(spans) - innocent(spans, truth)
    assert set(late["label_above"]) < labels(truth, "symptom")
    busy = pairs[pairs["label_above"].isin(late["label"])]
    deadline = late.set_index("label")["end_above"]
    assert (busy["start"].to_numpy() > deadline[busy["label_above"]].to_numpy()).all()
    found = blamed(spans, truth)
    assert set(found["label"]) == set(late["label"])
    assert set(found["blame_class"]) == {"slow"}
    check_added(spans, truth)
    check_failures(spans, truth, roots_fail=True)
    events = ta.events(spans)
    assert set(events.index) == set(late["label_above"])
    assert set(events["event.exception.type"]) == {"TimeoutError"}


def test_a_timeout_of_a_database_ends_its_span():
    query = "orders-db INSERT INTO charges VALUES ($1, $2)"
    spans, truth = faulty(Timeout(("payment", query), deadline_ms=50, slow_ms=50))
    calls = spans[spans["name"] == query.partition(" ")[2]]
    assert np.allclose(calls["duration_ms"], 50)
    assert labels(truth, "cause") == set(calls.index)
    assert set(blamed(spans, truth)["label"]) == set(calls.index)
    assert set(blamed(spans, truth)["blame_class"]) == {"timeout"}  # a database shows no span that was too slow


def test_causes_have_the_words_of_the_analysis():
    assert CAUSES == WORDS
    _, truth = faulty()
    assert tuple(truth.requests["blame_class"].cat.categories) == WORDS


def test_an_error_is_a_cascade_as_in_real_systems():
    """3 to 12 spans, a fifth to a third of them origins, and all parents fail but those that say nothing."""
    spans, _ = faulty(ErrorRate("inventory GET /stock/{sku}", share=0.3), ErrorRate("recommendation rank", share=0.2))
    failed_roots = ta.summary(spans)["errors"].index[
        spans[spans["parent_span_id"].isna()].set_index("trace_id")["status"].eq("ERROR")
    ]
    chains = spans[
        spans["trace_id"].isin(failed_roots)
        & ~ta.attribute(spans, "rpc.response.status_code").isin(["NOT_FOUND", "CANCELLED"])
    ]
    chains = chains[ta.is_error(chains)]
    assert chains.groupby("trace_id", observed=True).size().between(3, 12).all()
    above = spans.set_index("span_id")["status"].reindex(chains["parent_span_id"].dropna())
    assert (above == "ERROR").mean() > 0.96
    origins = ~chains["span_id"].isin(chains["parent_span_id"])
    assert 0.15 < origins.mean() < 0.35


def test_cancelled_siblings():
    spans, truth = faulty(CancelledSiblings(("frontend", "pricing"), share=0.5))
    cause = labels(truth, "cause")
    assert set(spans.loc[list(cause), "service"]) == {"pricing"}
    cancelled = set(spans.index[spans["status_message"] == "context canceled"]) - innocent(spans, truth)
    assert cancelled < labels(truth, "symptom")
    assert labels(truth, "symptom") | cause == errors(spans) - innocent(spans, truth)
    pairs = above(spans)
    failing = pairs[pairs["label"].isin(cause)].set_index("parent_span_id_above")["end_above"]
    groups = pairs[pairs["parent_span_id"].isin(failing.index) & (pairs["kind"] == "CLIENT")]
    ends = failing[groups["parent_span_id"]].to_numpy()
    assert (groups["end"] <= ends).all()
    assert (groups["start"] <= ends).all()
    cut = groups[groups["label"].isin(cancelled)]
    assert (cut["end"] == failing[cut["parent_span_id"]].to_numpy()).all()
    assert len(cut) > len(cause)
    inside = pairs[pairs["kind"] != "CONSUMER"]
    assert (inside["end"] <= inside["end_above"]).all()
    found = blamed(spans, truth)
    assert set(found["label"]) == cause
    check_added(spans, truth)
    check_failures(spans, truth, roots_fail=True)


def test_n_plus_one():
    query = "product-db SELECT * FROM prices WHERE sku = $1"
    spans, truth = faulty(NPlusOne(("pricing", query), count=15, share=0.4))
    table = flat(spans)
    calls = table[(table["name"] == query.partition(" ")[2])]
    size = calls.groupby("parent_span_id")["name"].transform("size")
    cancelled = spans.loc[spans["status_message"] == "context canceled", "span_id"]  # losers of hedges stop half-way
    cut = calls["parent_span_id"].isin(cancelled)
    whole = calls[~cut]
    assert len(whole) > 200
    assert set(size[whole.index]) == {1, 15}
    rows = truth.groups[truth.groups["group_kind"] == "n_plus_one"]
    assert set(rows.index) == set(calls.index[size > 1])
    assert labels(truth, "cause") >= set(rows.index)
    assert not rows["decoy"].any()
    ordered = calls.loc[rows.index].assign(group=rows["group"]).sort_values(["group", "start"])
    wait = ordered["start"] - ordered.groupby("group")["end"].shift(fill_value=0)
    assert (wait >= 0).all()
    check_added(spans, truth)


@pytest.mark.parametrize("least", [0, 2, 5])
def test_calls_in_a_loop_take_their_least_time(least):
    edge = ("user shop.User/Verify", "redis GET session")
    spans, truth = faulty(NPlusOne(edge, count=8, share=0.5, least_ms=least))
    rows = spans.loc[truth.groups.index[truth.groups["group_kind"] == "n_plus_one"], "duration_ms"]
    assert (rows >= least).all()
    assert (rows.median() == least) == (least > 1)  # else the cache's own 0.7 ms
    cached = truth.groups[truth.groups["group_kind"] == "cache"]
    assert not set(cached.index) & set(rows.index)  # a loop is no decoy
    both = beside(spans, healthy()[0]).set_index("label")
    first = both.loc[rows.index.intersection(both.index)]
    assert (first["took"] == np.maximum(first["took_before"], least * 1_000_000)).all()
    check_added(spans, truth)


def test_sequential_calls():
    spans, truth = faulty(SequentialCalls("frontend", share=0.5))
    rows = truth.groups[truth.groups["group_kind"] == "sequential"]
    hedged = truth.groups.loc[truth.groups["group_kind"] == "hedge", "parent_span_id"]
    table = flat(spans)
    calls = table[(table["kind"] == "CLIENT") & ~table["parent_span_id"].isin(hedged)]
    owner = flat(spans).set_index("span_id")["name"].reindex(calls["parent_span_id"]).to_numpy()
    calls = calls[(calls["service"] == "frontend") & np.isin(owner, ["GET /", "GET /products/{id}"])]
    ordered = calls.sort_values(["parent_span_id", "start"])
    after = ordered["start"] >= ordered.groupby("parent_span_id")["end"].shift(fill_value=0)
    in_turn = after.groupby(ordered["parent_span_id"]).transform("all")
    assert set(rows.index[~rows["parent_span_id"].isin(hedged)]) == set(ordered.index[in_turn])
    assert 0.4 < in_turn.mean() < 0.6
    assert set(spans.loc[list(labels(truth, "cause")), "span_id"]) == set(rows["parent_span_id"])
    assert (truth.requests["added_ms"] >= 0).all()
    check_added(spans, truth)


def test_dropped_headers_begin_a_trace():
    spans, truth = faulty(DroppedHeaders(("frontend", "pricing"), share=0.3))
    plain = healthy()[0]
    cause = labels(truth, "cause")
    both = beside(spans, plain)
    assert len(both) == len(spans) == len(plain)
    moved = both[both["trace_id"] != both["trace_id_before"]]
    assert set(spans.loc[list(cause), "service"]) == {"pricing"}
    assert spans.loc[list(cause), "parent_span_id"].isna().all()
    assert set(spans["trace_id"].astype("str")) - set(truth.requests["trace_id"]) == set(moved["trace_id"])
    assert moved["trace_id"].nunique() == len(cause)
    assert set(moved["label"]) >= cause
    assert spans["parent_span_id"].isna().sum() == len(truth.requests) + len(cause)
    assert not ta.hierarchy(spans)["flags"].astype("str").str.contains("orphan").any()
    assert (both["took"] == both["took_before"]).all()


def test_a_skewed_clock():
    spans, truth = faulty(ClockSkew("cart", ms=-40))
    both = beside(spans, healthy()[0])
    moved = both["start"] - both["start_before"]
    assert set(moved[both["service"] == "cart"]) == {-40_000_000}
    assert set(moved[both["service"] != "cart"]) == {0}
    assert labels(truth, "cause") == set(spans.index[spans["service"] == "cart"])
    assert (truth.requests["added_ms"] == 0).all()


def test_an_early_return_is_no_error():
    spans, truth = faulty(EarlyReturn("recommendation GET /recommendations", share=0.5))
    cause = labels(truth, "cause")
    both = beside(spans, healthy()[0]).set_index("label")
    mine = both[both["name"].eq("GET /recommendations") & both["kind"].eq("SERVER")]
    assert cause == set(mine.index[mine["took"] != mine["took_before"]])
    assert not set(spans.loc[list(cause), "span_id"]) & set(spans["parent_span_id"].dropna())
    assert errors(spans) == innocent(spans, truth)
    assert mine.loc[list(cause), "took"].median() < mine["took_before"].median() / 10
    assert (truth.requests["added_ms"] <= 0).all()
    check_added(spans, truth)
    check_failures(spans, truth, roots_fail=False)


def test_a_silent_service():
    spans, truth = faulty(SilentService("frontend", share=0.4))
    plain = healthy()[0]
    gone = plain[~plain["span_id"].isin(spans["span_id"])]
    assert set(gone["service"]) == {"frontend"}
    assert len(spans) + len(gone) == len(plain)
    orphans = spans[spans["parent_span_id"].notna() & ~spans["parent_span_id"].isin(spans["span_id"])]
    childless = spans[spans["span_id"].isin(gone["parent_span_id"])]
    assert len(orphans) > 100
    assert labels(truth, "symptom") == set(orphans.index) | set(childless.index)
    assert truth.faults["affected_requests"].tolist() == [gone["trace_id"].nunique()]


def test_fast_failures_bring_traffic():
    spans, truth = faulty(FastFailures("api-gateway GET /", traffic=7, between=(0.4, 0.6)))
    plain, before = healthy()
    added = truth.requests[truth.requests["added_ms"].isna()]
    length = pd.Timedelta(seconds=N / 20)
    begin = pd.Timestamp("2026-05-14", tz="UTC")
    inside = before.requests["begin"].between(begin + 0.4 * length, begin + 0.6 * length) & (
        before.requests["entry"] == "api-gateway GET /"
    )
    assert len(added) == 6 * inside.sum()
    assert added["begin"].between(begin + 0.4 * length, begin + 0.6 * length).all()
    assert truth.requests["failed"].sum() == 7 * inside.sum()
    assert truth.faults["failures"].tolist() == [7 * inside.sum()]
    failed = spans[spans["trace_id"].astype("str").isin(truth.requests["trace_id"][truth.requests["failed"]])]
    assert len(failed) == 7 * inside.sum()
    assert failed["duration_ms"].median() < 1
    assert set(failed.index) == labels(truth, "cause")
    assert set(blamed(spans, truth)["label"]) == set(failed.index)
    others = spans[~spans.index.isin(failed.index)]
    assert set(others["span_id"]) < set(plain["span_id"])


def test_a_window_holds_a_fault():
    spans, truth = faulty(ErrorRate("cart", between=(0.25, 0.5)))
    failed = truth.requests[truth.requests["failed"]]
    at = (failed["begin"] - pd.Timestamp("2026-05-14", tz="UTC")).dt.total_seconds() / (N / 20)
    assert at.between(0.25, 0.5).all()
    reached = truth.requests[truth.requests["entry"].isin(["api-gateway GET /cart", "api-gateway GET /"])]
    share = (reached["begin"] - pd.Timestamp("2026-05-14", tz="UTC")).dt.total_seconds() / (N / 20)
    assert reached["failed"][share.between(0.25, 0.5)].all()
    check_failures(spans, truth, roots_fail=True)


BEGIN = pd.Timestamp("2026-05-14", tz="UTC")
LONG = N / 4  # seconds of a run at four requests a second


def incident(fault):
    spans, truth = Shop(seed=4, clock_skew_ms=0).run(N, rate=4, faults=[fault])
    plain, _ = Shop(seed=4, clock_skew_ms=0).run(N, rate=4)
    requests = truth.requests.assign(at=(truth.requests["begin"] - BEGIN).dt.total_seconds())
    return spans, plain, truth, requests


def test_an_incident_becomes_weaker_until_it_is_over():
    fault = SlowOperation("user shop.User/Verify", ms=100, start_s=60, duration_s=90, fade_s=120)
    spans, plain, truth, requests = incident(fault)
    both = beside(spans, plain).merge(requests[["trace_id", "at"]], on="trace_id")
    mine = both[(both["name"] == "shop.User/Verify") & (both["kind"] == "SERVER")]
    strength = np.where(
        (mine["at"] >= 60) & (mine["at"] <= 150),
        1,
        np.where(mine["at"] > 150, np.clip((270 - mine["at"]) / 120, 0, 1), 0),
    )
    more = mine["took"] - mine["took_before"]
    assert np.allclose(more, strength * 100_000_000, atol=1000)
    assert ((more > 0) & (more < 100_000_000)).sum() > 100
    cause = truth.spans[truth.spans["role"] == "cause"]
    assert set(cause.index) == set(mine["label"][more > 0])
    assert (cause["injected_ms"].loc[mine["label"][more > 0]].to_numpy() * 1e6).round().tolist() == more[
        more > 0
    ].tolist()
    extra = root_ms(spans) - root_ms(plain)
    assert np.allclose(extra[requests["trace_id"]], requests["added_ms"], atol=1e-5)
    row = truth.faults.loc[0]
    assert [(row[name] - BEGIN).total_seconds() for name in ("begin", "end", "faded")] == [60, 150, 270]


@pytest.mark.parametrize(
    "fault",
    [
        NetworkDelay(("api-gateway", "user"), ms=80, start_s=50, duration_s=50, fade_s=100),
        CpuContention("user", factor=6, start_s=50, duration_s=50, fade_s=100),
    ],
)
def test_what_adds_time_fades_evenly(fault):
    spans, _, truth, requests = incident(fault)
    steady, _, always, _ = incident(dataclasses.replace(fault, duration_s=None, fade_s=0))
    both = pd.DataFrame({"faded": injected(spans, truth), "full": injected(steady, always)}).fillna(0)
    at = spans.set_index("span_id")["trace_id"].astype("str").map(requests.set_index("trace_id")["at"])
    at = at.reindex(both.index)
    assert (at >= 50).all()
    assert np.allclose(both["faded"] / both["full"], np.where(at <= 100, 1, np.clip((200 - at) / 100, 0, 1)), atol=1e-3)
    assert at.between(101, 199).sum() > 100
    reached = requests[requests["entry"] == "api-gateway GET /session"]
    assert (reached["added_ms"] > 0).tolist() == reached["at"].between(50, 200).tolist()


def injected(spans, truth):
    """Milliseconds by span id."""
    found = truth.spans["injected_ms"].dropna()
    return pd.Series(found.array, spans.loc[found.index, "span_id"].array)


def test_a_wrong_clock_is_set_right_step_by_step():
    spans, plain, _, requests = incident(ClockSkew("user", ms=40, start_s=50, duration_s=50, fade_s=100))
    both = beside(spans, plain).merge(requests[["trace_id", "at"]], on="trace_id")
    off = (both["start"] - both["start_before"]) / 1e6
    assert (off[both["service"] != "user"] == 0).all()
    mine, at = off[both["service"] == "user"], both["at"][both["service"] == "user"]
    inside = (at >= 50) & (at <= 100)
    assert np.allclose(
        mine, 40 * np.where(inside, 1, np.where(at > 100, np.clip((200 - at) / 100, 0, 1), 0)), atol=1e-3
    )


def test_what_adds_no_time_becomes_rarer():
    spans, _, truth, requests = incident(ErrorRate("user shop.User/Verify", start_s=50, duration_s=50, fade_s=150))
    reached = requests[requests["entry"].isin(["api-gateway GET /session", "api-gateway GET /"])]
    rate = reached["failed"].groupby(pd.cut(reached["at"], [0, 50, 100, 150, 200, 250, LONG]), observed=True).mean()
    assert rate.iloc[[0, 1, 5]].tolist() == [0, 1, 0]
    assert np.allclose(rate.iloc[2:5], [5 / 6, 1 / 2, 1 / 6], atol=0.12)
    assert errors(spans) - innocent(spans, truth) == labels(truth, "cause") | labels(truth, "symptom")


def test_traffic_fades_with_the_failures_that_brought_it():
    fault = FastFailures("api-gateway GET /", traffic=7, start_s=60, duration_s=60, fade_s=120)
    _, _, truth, requests = incident(fault)
    extra = requests[requests["added_ms"].isna()]
    assert extra["at"].between(60, 240).all()
    before = requests[requests["added_ms"].notna() & (requests["entry"] == "api-gateway GET /")]
    strength = fault.strength(before["at"].to_numpy() / LONG, LONG)
    assert len(extra) == round(6 * strength.sum())
    assert abs((extra["at"] > 120).mean() - 1 / 2) < 0.08  # a triangle of twice the length holds as many
    assert abs((extra["at"] > 180).mean() - 1 / 8) < 0.05
    assert truth.faults["failures"].tolist() == [int(requests["failed"].sum())]


def test_traffic_ends_with_the_run_even_where_it_would_go_on():
    fault = FastFailures("api-gateway GET /", traffic=5, start_s=200, duration_s=50, fade_s=200)
    _, _, _, requests = incident(fault)
    at = requests.loc[requests["added_ms"].isna(), "at"]
    assert at.between(200, LONG).all()
    assert abs((at > 250).mean() - 43.75 / 93.75) < 0.08


def test_no_fade_is_a_window_as_before():
    for fault in (SlowOperation("cart", between=(0.2, 0.5)), ErrorRate("cart", share=0.5, between=(0.2, 0.5))):
        kind = type(fault)
        seconds = kind("cart", share=fault.share, start_s=0.2 * LONG, duration_s=0.3 * LONG)
        (one, _, first, _), (other, _, second, _) = incident(fault), incident(seconds)
        assert one.equals(other)
        pd.testing.assert_frame_equal(first.requests, second.requests)


@pytest.mark.parametrize("fault", [f for f in ALL if not f.weakens and f.between == (0, 1)], ids=repr)
def test_every_fault_fades(fault):
    short = dataclasses.replace(fault, share=1.0, start_s=10.0, duration_s=10.0, fade_s=20.0)
    _, truth = Shop(seed=4).run(1000, rate=20, faults=[short])
    touched = truth.spans[truth.spans["fault"].notna()].index
    assert len(touched) > 0
    assert truth.faults["affected_requests"][0] > 0
    spans, _ = Shop(seed=4, clock_skew_ms=0).run(1000, rate=20, faults=[short])
    begun = spans.loc[touched, "trace_id"].astype("str").map(truth.requests.set_index("trace_id")["begin"]).dropna()
    assert begun.between(BEGIN + pd.Timedelta(10, "s"), BEGIN + pd.Timedelta(40, "s")).all()


def test_each_fault_has_its_own_share_of_the_time():
    one, two = SlowOperation("frontend", ms=70), NetworkDelay(("api-gateway", "user"), ms=90)
    both, truth = faulty(one, two)
    requests = truth.requests.set_index("trace_id")
    roots = root_ms(both)[requests.index]
    for number, other in enumerate([two, one]):
        without = root_ms(faulty(other)[0])[requests.index]
        assert np.allclose(roots - without, requests[f"added_ms_{number}"], atol=1e-5)
    assert np.allclose(roots - root_ms(healthy()[0])[requests.index], requests["added_ms"], atol=1e-5)
    assert (requests["added_ms_1"] > 0).any()


def test_a_failure_belongs_to_the_fault_without_which_it_would_not_be():
    _, truth = faulty(ErrorRate("frontend", share=0.5), ErrorRate("inventory", share=0.5))
    blame = truth.requests.loc[truth.requests["failed"], "blame_fault"].value_counts()
    assert (
        truth.faults["failures"][1] == blame[1]
    )  # the frontend calls the inventory: it would not have failed by itself
    assert truth.faults["failures"][0] < blame[0]  # some of them the inventory would have failed too


@pytest.fixture(scope="module")
def everything():
    return Shop(seed=9).run(1500, faults=ALL)


def test_all_kinds_are_tried_at_once():
    assert {type(fault) for fault in ALL} == set(KINDS)


def test_all_faults_together_are_a_span_frame_and_its_truth(everything):
    spans, truth = everything
    assert ta.conform(spans).equals(spans)
    assert not spans.duplicated(["trace_id", "span_id"]).any()
    assert set(truth.spans.index) <= set(spans.index)
    assert (truth.faults["affected_requests"] > 0).all()
    faulty_spans = truth.spans.set_index("fault", append=True)
    assert faulty_spans[faulty_spans.index.get_level_values(1).notna()].index.is_unique
    failed = truth.requests[truth.requests["failed"]]
    named = failed[failed["blame_span_id"].notna()]
    assert len(named) > 0.9 * len(failed)
    blame = spans.set_index("span_id").loc[named["blame_span_id"]]
    assert ((blame["status"] == "ERROR").to_numpy() | (named["blame_class"] == "slow").to_numpy()).all()
    marked = spans[ta.is_error(spans)].index
    assert set(marked) <= set(truth.spans.index)
    roots = spans[spans["parent_span_id"].isna()]
    by_root = pd.Series((roots["status"] == "ERROR").array, roots["trace_id"].astype("str"))
    assert by_root[truth.requests["trace_id"]].tolist() == truth.requests["failed"].tolist()


def test_the_faults_leave_random_numbers_alone(everything):
    spans, _ = everything
    plain, _ = Shop(seed=9).run(1500)
    touched = {type(f).__name__ for f in ALL}
    assert len(touched) == len(KINDS)
    both = beside(spans, plain)
    gateway = both[(both["service"] == "api-gateway") & (both["name"] == "GET /health")]
    assert len(gateway) > 30
    assert (gateway["start"] == gateway["start_before"]).all()
    assert (gateway["took"] == gateway["took_before"]).all()


MORE = [
    RetriesExhausted(("frontend", "pricing"), share=0.2, form="attributes"),
    Timeout(("frontend", "recommendation"), deadline_ms=20, slow_ms=40, share=0.3),
    HandledError(("frontend", "pricing"), share=0.2),
    ErrorRate("user GET /users/{id}", share=0.2),
    ErrorRate("redis", share=0.02),
    CancelledSiblings(("product GET /products", "product-db"), share=0.3),
    NPlusOne(("cart", "payment GET /charges/{id}")),
    SlowOperation("redis GET session", ms=30),
    SequentialCalls("product", share=0.5),
]


@pytest.mark.parametrize("seed", range(8))
def test_the_truth_holds_for_any_faults_together(seed):
    pool = [fault for fault in ALL + MORE if not isinstance(fault, SilentService)]
    rng = np.random.default_rng(seed)
    faults = [pool[i] for i in rng.choice(len(pool), 5, replace=False)]
    spans, truth = Shop(seed, clock_skew_ms=0).run(400, faults=faults)
    assert ta.conform(spans).equals(spans)
    known = truth.spans[truth.spans["fault"].notna()]
    assert known.set_index("fault", append=True).index.is_unique
    assert errors(spans) <= set(truth.spans.index)
    recovered = set(truth.groups.index[truth.groups["outcome"] == "recovered"])
    assert set(known.index[known["role"].isin(["symptom", "handled"])]) <= errors(spans) | recovered
    failed = truth.requests[truth.requests["failed"]]
    label = pd.Series(spans.index, index=spans["span_id"].array)[failed["blame_span_id"]]
    causes = set(known[known["role"] == "cause"].set_index("fault", append=True).index)
    assert set(zip(label, failed["blame_fault"], strict=True)) <= causes
    assert truth.groups.groupby("group")["parent_span_id"].nunique().eq(1).all()
    if not any(isinstance(fault, Timeout | ClockSkew) for fault in faults):
        pairs = above(spans)
        pairs = pairs[pairs["kind"] != "CONSUMER"]
        assert (pairs["start"] >= pairs["start_above"]).all()
        assert (pairs["end"] <= pairs["end_above"]).all()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("SlowOperaton", "there is no fault 'SlowOperaton', only SlowOperation, .*; did you mean 'SlowOperation'"),
        (SlowOperation, "there is no fault 'type'"),
        (SlowOperation("prodct"), "did you mean 'product'"),
        (CpuContention("redis"), "writes spans"),
        (SilentService("user shop.User/Verify"), "writes spans"),
        (FastFailures("product"), "users ask for api-gateway GET /health"),
        (NetworkDelay(("frontend", "payment")), "does not call 'payment'; it calls"),
        (Timeout(("cart", "notification")), "or a message"),
        (DroppedHeaders(("cart", "redis")), "that write spans"),
        (CancelledSiblings(("cart", "payment")), "no parallel siblings"),
        (SequentialCalls("payment"), "no parallel calls"),
    ],
)
def test_faults_name_what_there_is(fault, message):
    with pytest.raises(OptionError, match=message):
        Shop().run(1, faults=[fault])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SlowOperation("x", share=2), "between 0 and 1"),
        (lambda: SlowOperation("x", between=(0.5, 0.2)), "between 0 and 1"),
        (lambda: SlowOperation("x", ms=-1), "ms is not negative"),
        (lambda: NetworkDelay("a->b"), "a pair, caller and callee"),
        (lambda: NetworkDelay(("a", "b"), side="left"), "side='left'"),
        (lambda: CpuContention("x", factor=0.5), "factor"),
        (lambda: RetriesRecovered(("a", "b"), form="sibling"), "did you mean 'siblings'"),
        (lambda: RetriesExhausted(("a", "b"), attempts=1), "attempts"),
        (lambda: Timeout(("a", "b"), deadline_ms=500, slow_ms=400), "slow_ms is at least deadline_ms"),
        (lambda: NPlusOne(("a", "b"), count=1), "count"),
        (lambda: NPlusOne(("a", "b"), least_ms=-1), "least_ms is not negative"),
        (lambda: SlowOperation("x", fade_s=-1), "numbers of seconds, not negative"),
        (lambda: SlowOperation("x", start_s=float("nan")), "numbers of seconds, not negative"),
        (lambda: SlowOperation("x", start_s=1, between=(0, 0.5)), "either between, or start_s"),
        (
            lambda: Shop().run(100, rate=10, faults=[SlowOperation("cart", start_s=11)]),
            "100 requests at 10 a second last 10 s",
        ),
        (lambda: FastFailures("x", traffic=0.5), "traffic"),
    ],
)
def test_values_that_make_no_sense_are_refused(make, message):
    with pytest.raises(OptionError, match=message):
        make()
