"""Strategies on complete data: they keep what they say, their weights are unbiased, late spans, and the table that compares them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_traces import draw

import traceanalytics as ta
from traceanalytics.errors import OptionError, SchemaError
from traceanalytics.sampling.complete_traffic import CompleteTraffic
from traceanalytics.sampling.design_weights import attach_weights
from traceanalytics.sampling.designs import Design
from traceanalytics.sampling.policies import Policy
from traceanalytics.sampling.strategy_comparison import compare_strategies
from traceanalytics.sampling.strategy_simulation import simulate
from traceanalytics.sampling.thresholds import SCALE
from traceanalytics.sampling.trace_choice import choose
from traceanalytics.simulate import Shop

NEW = ["weight", "incl_prob", "weight_source", "weight_status"]
SLOW = Policy.all_of(Policy.latency(200), Policy.probabilistic(0.5))
STRATEGIES = {
    "head": Design.head(0.2),
    "consistent": Design.consistent(0.2),
    "errors": Design.errors_always(0.1),
    "tail nested": Design.tail([Policy.status("ERROR"), SLOW], 0.1),
    "tail independent": Design.tail(
        [Policy.status("ERROR"), SLOW, Policy.probabilistic(0.05)], 0.1, joint="independent"
    ),
    "tail with a drop": Design.tail([Policy.drop(Policy.not_(Policy.probabilistic(0.6)))], 0.9, joint="independent"),
    "tail in a hurry": Design.tail([Policy.status("ERROR"), SLOW], 0.1, decision_wait_s=0.02),
    "tail without memory": Design.tail([Policy.status("ERROR"), SLOW], 0.1, decision_wait_s=0.02, decision_cache=False),
    "priority": Design.priority({"POST /checkout": 1, "GET /products/*": 0.3, "/search": 0.5}, 0.1),
}
LIMITED = {
    "rate limit": Design.rate_limit(5),
    "reservoir": Design.reservoir(1, 0.05),
    "limiting policy": Design.tail([Policy.rate_limiting(40)]),
}


@pytest.fixture(scope="module")
def shop():
    return Shop(seed=1).run(1000)[0]


@pytest.fixture(scope="module")
def complete(shop):
    return CompleteTraffic(shop)


def of_spans(choice, complete):
    """Kept rows and weights."""
    return choice.rows & complete.counted, 1 / choice.span_pi


@pytest.mark.parametrize("name", STRATEGIES)
def test_traces_are_kept_as_often_as_their_probability_says(name, complete):
    runs = 150
    design = STRATEGIES[name]
    draws = [choose(design, complete.facts, seed) for seed in range(runs)]
    pi = draws[0].trace_pi
    assert ((pi > 0) & (pi <= 1)).all()
    often = np.sum([complete.facts.having(draw.rows) for draw in draws], axis=0)
    assert (often[pi == 1] == runs).all()
    for p in np.unique(pi[pi < 1]):
        n = runs * (pi == p).sum()
        assert abs(often[pi == p].sum() - n * p) < 4.5 * np.sqrt(n * p * (1 - p)), p
    some = pi < 1
    chi_square = ((often - runs * pi) ** 2)[some] / (runs * pi * (1 - pi))[some]
    assert abs(chi_square.sum() - some.sum()) < 5 * np.sqrt(2 * some.sum())


@pytest.mark.parametrize("name", [name for name in STRATEGIES if "memory" not in name])
def test_weighted_totals_are_unbiased(name, complete):
    design, totals = STRATEGIES[name], []
    true = [len(complete.ids), complete.counted.sum(), complete.failed.sum(), complete.has_error.sum()]
    for seed in range(150):
        choice = choose(design, complete.facts, seed)
        rows, weight = of_spans(choice, complete)
        kept = complete.facts.having(rows)
        totals.append(
            [
                (1 / choice.trace_pi)[kept].sum(),
                weight[rows].sum(),
                weight[rows & complete.failed].sum(),
                (1 / choice.trace_pi)[kept & complete.has_error].sum(),
            ]
        )
    totals = np.array(totals)
    se = totals.std(axis=0) / np.sqrt(len(totals))
    assert (np.abs(totals.mean(axis=0) - true) <= 4.5 * se + 1e-6).all()


@pytest.mark.parametrize("name", STRATEGIES | LIMITED)
def test_what_is_kept_are_whole_rows(name, shop):
    design = (STRATEGIES | LIMITED)[name]
    before = shop.copy()
    found = simulate(shop, design, seed=4)
    assert found.design == design
    assert found.spans.columns.tolist() == [*shop.columns, *NEW]
    assert 0 < len(found.spans) < len(shop)
    written = ["trace_state"] if name == "consistent" else []
    assert found.spans.drop(columns=NEW + written).equals(shop.loc[found.spans.index].drop(columns=written))
    assert shop.equals(before)
    traces = found.traces.set_index("trace_id")
    assert traces.index.tolist() == shop["trace_id"].unique().tolist()
    assert set(traces.index[traces["kept"]]) == set(found.spans["trace_id"])
    assert (traces["kept_by"] != "").tolist() == traces["kept"].tolist()
    assert traces["kept_spans"].sum() == len(found.spans)
    assert traces["n_spans"].sum() == len(shop)
    if "memory" not in name:
        assert traces["complete"].tolist() == traces["kept"].tolist()
    summary = ta.summary(shop)
    assert traces["duration_ms"].tolist() == summary["duration_ms"].tolist()
    assert traces["has_error"].tolist() == (summary["errors"] > 0).tolist()


@pytest.mark.parametrize("name", STRATEGIES | LIMITED)
def test_the_design_finds_the_probabilities_again_in_what_was_kept(name, shop):
    found = simulate(shop, (STRATEGIES | LIMITED)[name], seed=2)
    again = attach_weights(found.spans.drop(columns=NEW), design=found.design)
    if name == "limiting policy":
        assert found.spans["weight"].isna().all()
    if name in LIMITED:
        assert (found.spans["weight_status"] == "unknown").all()
    pd.testing.assert_frame_equal(again[NEW], found.spans[NEW])
    of_trace = found.traces.set_index("trace_id")["incl_prob"]
    expected = found.spans["trace_id"].astype("str").map(of_trace.set_axis(of_trace.index.astype("str")))
    assert np.array_equal(expected, found.spans["incl_prob"], equal_nan=True)


def test_seeds_give_different_samples_and_the_same_seed_the_same_luck(shop):
    def ids(p, seed):
        return set(simulate(shop, Design.consistent(p), seed=seed).spans["trace_id"])

    assert ids(0.1, 1) == ids(0.1, 1)
    assert ids(0.1, 1) < ids(0.3, 1)
    assert ids(0.1, 1) != ids(0.1, 2)
    assert ids(0.1, 3) == set(simulate(shop, 0.1, seed=3).spans["trace_id"])


def test_the_truth(shop):
    truth = simulate(shop, 0.5).truth.set_index("quantity")["value"]
    summary, failed = ta.summary(shop), ta.is_error(shop)
    assert truth["traces"] == len(summary)
    assert truth["spans"] == len(shop)
    assert truth["error_traces"] == (summary["errors"] > 0).sum()
    assert truth["error_spans"] == failed.sum()
    assert truth["trace_error_rate"] == (summary["errors"] > 0).mean()
    assert truth["span_error_rate"] == failed.mean()
    assert truth["duration_ms_mean"] == pytest.approx(summary["duration_ms"].mean())
    assert truth["duration_ms_p99"] == np.quantile(summary["duration_ms"], 0.99, method="inverted_cdf")


# -- consistent sampling


def test_thresholds_are_written_beside_what_others_wrote():
    states = ["vendor=1", "ot=x:y;th:0,v=2", "ot=rv:00000000000001", None, "not a state", ""]
    spans = draw(*["a web 0-1"] * 6).assign(trace_state=pd.Series(states, dtype="str"))
    found = simulate(spans, Design.consistent(1)).spans["trace_state"].tolist()
    rest = [text.split(";th:0", 1)[1] for text in found]
    assert rest == [",vendor=1", ";x:y,v=2", "", "", "", ""]
    numbers = [int(text.removeprefix("ot=rv:")[:14], 16) for text in found]
    assert len(set(numbers)) == 6
    without = simulate(
        spans.drop(columns="trace_state").assign(trace_state=None).astype({"trace_state": "str"}),
        Design.consistent(0.5),
    )
    assert (without.spans["trace_state"].str.endswith(";th:8")).all()


def test_written_randomness_decides(shop):
    found = simulate(shop, Design.consistent(0.3), seed=9)
    parts = found.spans["trace_state"].str.extract("^ot=rv:(?P<rv>[0-9a-f]{14});th:(?P<th>[0-9a-f]{1,14})$")
    bits = parts["rv"].map(lambda text: int(text, 16))
    assert (bits >= parts["th"].map(lambda text: int(text.ljust(14, "0"), 16))).all()
    assert parts["rv"].groupby(found.spans["trace_id"], observed=True).nunique().max() == 1
    shares = bits.groupby(found.spans["trace_id"], observed=True).first() / SCALE
    assert shares.min() < 0.72
    assert shares.max() > 0.97


def test_services_decide_about_their_own_spans(shop):
    design = Design.consistent({"api-gateway": 0.5, "pricing": 0.1, "search": 0}, p_default=0.25)
    found = simulate(shop, design, seed=1)
    p = {"api-gateway": 0.5, "pricing": 0.1}
    expected = found.spans["service"].astype("str").map(lambda name: p.get(name, 0.25))
    assert (found.spans["incl_prob"] - expected).abs().max() < 1e-12
    assert "search" not in set(found.spans["service"])
    kept = found.spans.groupby("trace_id", observed=True)["incl_prob"].max()
    assert kept.max() == kept.min() == 0.5  # decisions are nested: the gateway is in every trace
    assert not found.traces["complete"].all()
    totals = []
    complete = CompleteTraffic(shop)
    for seed in range(200):
        rows, weight = of_spans(choose(design, complete.facts, seed), complete)
        totals.append(weight[rows].sum())
    seen = complete.counted & (shop["service"] != "search").to_numpy()
    assert abs(np.mean(totals) - seen.sum()) < 4.5 * np.std(totals) / np.sqrt(200)
    again = attach_weights(found.spans.drop(columns=[*NEW, "trace_state"]), design=design)
    assert (again["weight_status"] == "unknown").all()


# -- the wrong union


@pytest.mark.parametrize(
    ("joint", "wrong", "bias"), [("consistent", "independent", -0.051), ("independent", "consistent", 0.061)]
)
def test_the_wrong_union_of_policies_biases_totals(joint, wrong, bias):
    n = 6000
    spans = pd.concat([draw("a web 0-1")] * n, ignore_index=True)
    spans["trace_id"] = pd.Categorical([f"{i:032x}" for i in range(n)])
    spans["span.tier"] = np.where(np.arange(n) < 0.306 * n, "gold", "other")
    rules = [Policy.all_of(Policy.attribute("tier", values="gold"), Policy.probabilistic(0.2))]
    design, other = (Design.tail(rules, 0.05, joint=each) for each in (joint, wrong))
    complete = CompleteTraffic(spans)
    weight, wrong_weight = (1 / each.probabilities(complete.facts) for each in (design, other))
    kept = [complete.facts.having(choose(design, complete.facts, seed).rows) for seed in range(200)]
    right = np.array([weight[one].sum() for one in kept])
    biased = np.array([wrong_weight[one].sum() for one in kept])
    assert abs(right.mean() - n) < 4.5 * right.std() / np.sqrt(200)
    assert biased.mean() / n - 1 == pytest.approx(bias, abs=4.5 * biased.std() / np.sqrt(200) / n)
    assert abs(biased.mean() - n) > 4.5 * biased.std() / np.sqrt(200)


# -- time


def test_late_spans():
    spans = draw("fast web 0-10\n  late web 5-900 ERROR\n  later web 10-2000\n  last web 10-2010")
    errors = [Policy.status("ERROR")]

    def kept(wait, **options):
        found = simulate(spans, Design.tail(errors, decision_wait_s=wait, **options))
        return found.spans.index.tolist(), bool(found.traces["complete"].iloc[0]), found.traces["incl_prob"].iloc[0]

    assert kept(None) == ([0, 1, 2, 3], True, 1)
    assert kept(5) == ([0, 1, 2, 3], True, 1)
    assert kept(0.89) == ([0, 1, 2, 3], True, 1)  # the span of 900 ms arrives 890 ms after the first one
    assert kept(0.889) == ([], False, 0)
    assert kept(0.1, decision_cache=False) == ([1], False, 1)
    assert kept(1, decision_cache=False) == ([0, 1], False, 1)
    assert kept(0, decision_cache=False) == ([1], False, 1)
    count = Design.tail([Policy.span_count(2)], decision_wait_s=0.1, decision_cache=False)
    assert simulate(spans, count).spans.index.tolist() == [2, 3]
    assert simulate(spans, count).traces["kept_by"].tolist() == ["at least 2 spans"]


def test_spans_without_a_time_are_in_time():
    spans = draw("a web 0-10\n  b web ?-? ERROR\n  c web 0-9000", "a web ?-? ERROR")
    design = Design.tail([Policy.status("ERROR")], decision_wait_s=1, decision_cache=False)
    assert simulate(spans, design).spans.index.tolist() == [0, 1, 3]


def test_a_rate_limit_keeps_the_first_of_each_second(shop):
    found = simulate(shop, Design.rate_limit(5), seed=3)
    start = shop.groupby("trace_id", observed=True, sort=False)["start_time"].min()
    kept = start[start.index.isin(found.spans["trace_id"].unique())]
    second = start.dt.floor("s")
    counts = kept.groupby(kept.dt.floor("s")).size()
    assert counts.max() == 5
    assert counts.sum() == second.groupby(second).size().clip(upper=5).sum()
    assert (
        kept.groupby(kept.dt.floor("s")).max().le(start[~start.index.isin(kept.index)].groupby(second).min()).sum() > 0
    )
    rank = start.groupby(second).rank(method="first")
    assert set(rank.index[rank <= 5]) == set(kept.index)
    assert simulate(shop, Design.rate_limit(5), seed=8).spans.index.equals(found.spans.index)


def test_a_reservoir_keeps_the_first_and_a_share(shop):
    by = simulate(shop, Design.reservoir(2, 0.05), seed=3).traces["kept_by"].value_counts()
    first = simulate(shop, Design.rate_limit(2)).traces["kept"].sum()
    assert by["first 2/s"] == first
    assert 0 < by["5 %"] < 0.15 * (1000 - first)


def test_a_limiting_policy_spends_a_budget_of_spans(shop):
    design = Design.tail([Policy.rate_limiting(40)])
    kept = simulate(shop, design)
    end = shop["start_time"] + pd.to_timedelta(shop["duration_ms"], unit="ms")
    decided = end.groupby(shop["trace_id"], observed=True).max().dt.floor("s")
    sizes = kept.spans.groupby("trace_id", observed=True).size()
    used = sizes.groupby(decided.reindex(sizes.index)).sum()
    assert 30 < used.max() <= 40
    assert sizes.max() <= 40
    asked_later = Design.tail([Policy.all_of(Policy.status("ERROR"), Policy.rate_limiting(40))])
    some = simulate(shop, asked_later).traces
    assert some["has_error"][some["kept"]].all()
    assert some["kept"].sum() > (some["has_error"] & kept.traces["kept"]).sum()


def test_dynamic_rates(shop):
    busy = shop.assign(rate=np.where(shop["trace_id"].str.startswith(tuple("01234567")), 2.0, 5.0))
    found = simulate(busy, Design.dynamic("rate"), seed=1)
    assert set(found.spans["weight"]) == {2.0, 5.0}
    assert (found.spans["weight"] == found.spans["rate"]).all()
    with pytest.raises(SchemaError, match="1,000 of 1,000 traces have no weight"):
        simulate(shop.assign(rate=0.5), Design.dynamic("rate"))


# -- borders


@pytest.mark.parametrize("name", STRATEGIES | LIMITED)
def test_no_spans_and_no_trace_ids(name, shop):
    design = (STRATEGIES | LIMITED)[name]
    found = simulate(shop.iloc[:0], design)
    assert len(found.spans) == len(found.traces) == 0
    assert found.spans["weight_status"].dtype == "category"
    full = simulate(shop, design)
    assert found.traces.dtypes.drop("trace_id").tolist() == full.traces.dtypes.drop("trace_id").tolist()
    assert found.truth["value"].iloc[:4].tolist() == [0, 0, 0, 0]
    assert found.truth["value"].iloc[4:].isna().all()
    lost = shop.iloc[:50].assign(trace_id=None).astype({"trace_id": "category"})
    assert len(simulate(lost, design).spans) == 0
    table = compare_strategies(shop.iloc[:0], {"a": design}, price_per_gb_month=1)
    assert table["traces_kept"].tolist() == [0]
    assert table.drop(columns=["strategy", "traces_kept"]).isna().all(axis=None)


@pytest.mark.parametrize("name", STRATEGIES | LIMITED)
def test_one_trace_and_repeated_rows(name):
    one = draw("a web 0-300 SERVER ERROR\n  b db 10-20 CLIENT")
    twice = pd.concat([one, one], ignore_index=True)
    design = (STRATEGIES | LIMITED)[name]
    for seed in range(8):
        found = simulate(twice, design, seed=seed)
        assert found.traces["n_spans"].tolist() == [2]
        assert found.truth["value"].iloc[:4].tolist() == [1, 2, 1, 1]
        assert found.traces["kept_spans"].iloc[0] in ((0, 1, 2) if "memory" in name else (0, 2))
        assert found.traces["complete"].equals(found.traces["kept"]) or "memory" in name
        compare_strategies(twice, [design], seed=seed)


def test_all_and_nothing(shop):
    every = simulate(shop, Design.head(1))
    assert len(every.spans) == len(shop)
    assert (every.spans["weight_status"] == "certain").all()
    nothing = simulate(shop, Design.tail([Policy.span_count(10**6)]))
    assert len(nothing.spans) == 0
    assert (nothing.traces["incl_prob"] == 0).all()
    healthy = shop[~shop["trace_id"].isin(shop.loc[ta.is_error(shop), "trace_id"])]
    assert len(simulate(healthy, Design.errors_always(0)).spans) == 0


def test_bad_input(shop):
    with pytest.raises(OptionError, match="cannot be simulated"):
        simulate(shop, Design.unknown())
    with pytest.raises(OptionError, match="strategy='errors' is no Design"):
        simulate(shop, "errors")
    with pytest.raises(OptionError, match="strategy=True is no Design"):
        simulate(shop, True)
    with pytest.raises(OptionError, match="seed=-1"):
        simulate(shop, 0.1, seed=-1)
    with pytest.raises(SchemaError, match="expected a span frame"):
        simulate([1], 0.1)
    with pytest.raises(SchemaError, match="lacks the column"):
        simulate(shop[["trace_id", "span_id"]], 0.1)
    with pytest.raises(OptionError, match="neither a mapping"):
        compare_strategies(shop, Design.head(0.1))
    with pytest.raises(OptionError, match="strategies is empty"):
        compare_strategies(shop, {})
    with pytest.raises(OptionError, match="two strategies are named 'head 10 %'"):
        compare_strategies(shop, [Design.head(0.1), 0.1])
    with pytest.raises(OptionError, match="runs=0"):
        compare_strategies(shop, [0.1], runs=0)
    with pytest.raises(OptionError, match="bytes_per_span=0"):
        compare_strategies(shop, [0.1], bytes_per_span=0)


def test_any_order_of_rows_and_any_index(shop):
    mixed = shop.sample(frac=1, random_state=3)
    mixed.index = "row" + mixed.index.astype(str)
    design = STRATEGIES["tail with a drop"]
    assert len(simulate(mixed, design).spans) > 0
    sure = Design.tail([Policy.status("ERROR"), Policy.latency(200)])
    one, other = simulate(shop, sure), simulate(mixed, sure)
    assert set(one.spans["span_id"]) == set(other.spans["span_id"])


# -- the table


def test_the_table_of_strategies(shop, complete):
    named = {
        "all": Design.head(1),
        "10 %": Design.head(0.1),
        "errors + 10 %": Design.errors_always(0.1),
        "errors": Design.errors_always(0),
        "limit": Design.rate_limit(1),
    }
    table = compare_strategies(shop, named, runs=15, requests_per_s=100, bytes_per_span=1000, price_per_gb_month=2)
    table = table.set_index("strategy")
    assert table.index.tolist() == list(named)
    full = table.loc["all"]
    assert full["traces_kept"] == 1000
    assert (full.filter(like="kept_share") == 1).all()
    assert (full.filter(like="_error_") == 0).all()
    assert full["edges_missing_share"] == 0
    assert full["gb_per_day"] == pytest.approx(len(shop) / 1000 * 100 * 1000 * 86400 / 1e9)
    assert full["cost_per_month"] == pytest.approx(full["gb_per_day"] * 30 * 2)
    tail = table.loc["errors + 10 %"]
    assert tail["error_traces_kept_share"] == 1
    true = complete.has_error.mean()
    assert tail["error_rate_error_raw"] == pytest.approx(1 / (true + 0.1 * (1 - true)) - 1, abs=0.15)
    assert abs(tail["error_rate_error_weighted"]) < 0.15
    alone = table.loc["errors"]
    assert alone["error_rate_error_raw"] == pytest.approx(1 / true - 1)
    assert alone["edges_missing_share"] > 0.1
    assert table.filter(like="_weighted").loc[["errors", "limit"]].isna().all(axis=None)
    assert (table["spans_kept_share"].diff().iloc[1:2] < -0.8).all()


def test_times_between_requests_give_the_load(shop):
    table = compare_strategies(shop, [1.0])
    start = shop.groupby("trace_id", observed=True)["start_time"].min()
    seconds = (start.max() - start.min()).total_seconds()
    assert table["gb_per_day"].iloc[0] == pytest.approx(len(shop) / seconds * 500 * 86400 / 1e9)
    assert table["cost_per_month"].isna().all()
    assert table["strategy"].tolist() == ["head 100 %"]


def test_parts_of_traces_have_no_error_rate(shop):
    table = compare_strategies(shop, [Design.consistent({"api-gateway": 0.5}, p_default=0.1)], runs=9)
    assert table["error_rate_error_weighted"].isna().all()
    assert abs(table["p50_error_weighted"].iloc[0]) < 0.2
    assert table["error_rate_error_raw"].iloc[0] < 0
