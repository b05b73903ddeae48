"""Quantiles of all traffic from samples: values, intervals, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sampling_runs import covered, least_coverage, population, samples

import traceanalytics as ta
from traceanalytics.sampling.coverage_study import coverage_study
from traceanalytics.sampling.design_weights import attach_weights
from traceanalytics.sampling.designs import Design
from traceanalytics.sampling.quantiles import estimate_quantile
from traceanalytics.sampling.woodruff import quantiles_of_units
from traceanalytics.weights import group_quantiles

LEVELS = np.array([0.5, 0.95, 0.99])


def lower_quantiles(values, levels=LEVELS):
    return np.quantile(values, levels, method="inverted_cdf")


def flat(n=2000, *, per_trace=1, seed=0):
    """A frame of traces with a root and children."""
    rng = np.random.default_rng(seed)
    size = n * per_trace
    trace = np.repeat(np.arange(n), per_trace)
    place = np.tile(np.arange(per_trace), n)
    return ta.conform(
        pd.DataFrame(
            {
                "trace_id": [f"{t + 1:032x}" for t in trace],
                "span_id": [f"{s + 1:016x}" for s in range(size)],
                "parent_span_id": [None if k == 0 else f"{s - k + 1:016x}" for s, k in enumerate(place)],
                "name": np.where(place == 0, "GET /", "call"),
                "service": np.where(place == 0, "web", "db"),
                "start_time": pd.Timestamp("2026-01-01", tz="UTC"),
                "duration_ms": rng.lognormal(3, 1, size),
            }
        )
    )


@pytest.fixture(scope="module")
def shop():
    return ta.simulate.Shop(seed=1).run(3000)[0]


@pytest.mark.parametrize("level", ["trace", "span"])
def test_the_estimate_is_the_weighted_inverse_of_the_distribution(shop, level):
    rng = np.random.default_rng(2)
    ids = shop["trace_id"].astype("str")
    pi = ids.map(dict(zip(ids.unique(), rng.choice([0.1, 0.5, 1.0], ids.nunique()), strict=True)))
    found = estimate_quantile(shop, level=level, design=pi)
    if level == "span":
        values, weight = shop["duration_ms"], 1 / pi
    else:
        summary = ta.summary(shop)
        values, weight = summary["duration_ms"], 1 / pi.groupby(ids).first().reindex(summary.index.astype("str"))
    expected = group_quantiles(
        np.zeros(len(values), int), 1, values.to_numpy(), weight.to_numpy("float64"), LEVELS.tolist()
    )
    assert found["estimate"].to_numpy() == pytest.approx(expected[0])
    assert (found["lo"] <= found["estimate"]).all()
    assert (found["estimate"] <= found["hi"]).all()
    assert found["status"].eq("ok").all()


def test_equal_probabilities_give_the_interval_of_order_statistics():
    values = np.random.default_rng(5).lognormal(3, 1, 2000)
    found = quantiles_of_units(
        values, None, np.zeros(2000, int), np.full(2000, 0.001), groups=1, levels=np.array([0.95])
    )
    from scipy.stats import binom

    ordered = np.sort(values)
    low, high = binom.ppf([0.025, 0.975], 2000, 0.95).astype(int)
    assert low - 2 <= np.searchsorted(ordered, found.lo[0, 0]) <= low + 1
    assert high - 1 <= np.searchsorted(ordered, found.hi[0, 0]) <= high + 2


def test_everything_kept_is_a_census(shop):
    found = estimate_quantile(shop, q=[0.5, 0.999], design=1.0)
    assert found["estimate"].tolist() == lower_quantiles(ta.summary(shop)["duration_ms"], [0.5, 0.999]).tolist()
    assert found[["lo", "hi"]].eq(found["estimate"], axis=0).all(axis=None)
    assert found["se"].eq(0).all()
    assert found["method"].eq("census").all()
    assert found["status"].eq("ok").all()


def test_order_of_rows_and_index_change_nothing(shop):
    some = shop.iloc[:2000]
    shuffled = some.sample(frac=1, random_state=1).set_axis([f"row {n}" for n in range(2000)])
    for level in ("trace", "span"):
        pd.testing.assert_frame_equal(
            estimate_quantile(some, level=level, design=0.2, by="service"),
            estimate_quantile(shuffled, level=level, design=0.2, by="service"),
        )


def test_a_trace_counts_in_every_group_in_which_it_has_a_span():
    spans = flat(300, per_trace=3)
    found = estimate_quantile(spans, q=0.5, design=0.1, by="service").set_index("service")
    assert found["estimate"].iloc[0] == found["estimate"].iloc[1]  # that of the roots: all traces pass through both
    assert found["n_traces"].tolist() == [300, 300]
    spanwise = estimate_quantile(spans, q=0.5, level="span", design=0.1, by="service").set_index("service")
    assert spanwise["n_spans"].tolist() == [600, 300]
    for name in ("web", "db"):
        own = spans.loc[spans["service"] == name, "duration_ms"]
        assert spanwise.loc[name, "estimate"] == lower_quantiles(own, [0.5])[0]
    where = estimate_quantile(spans, q=0.5, level="span", design=0.1, where=spans["service"] == "db")
    assert where["estimate"].item() == spanwise.loc["db", "estimate"]
    assert where["hi"].item() == spanwise.loc["db", "hi"]


def test_clusters_widen_the_interval():
    once = flat(500)
    alike = pd.concat([once.assign(span_id=[f"{n + 1000 * k:016x}" for n in range(500)]) for k in range(1, 9)])
    alike = alike.reset_index(drop=True)
    alone = estimate_quantile(once, q=0.5, level="span", design=0.01)
    many = estimate_quantile(alike, q=0.5, level="span", design=0.01)
    assert many["n_eff"].item() == pytest.approx(alone["n_eff"].item(), rel=0.02)
    assert many["deff"].item() == pytest.approx(8, rel=0.05)


@pytest.mark.parametrize("repeat", [1, 3])
def test_repeated_spans_count_once(repeat):
    spans = flat(400, per_trace=2)
    again = pd.concat([spans, *[spans.iloc[:300]] * repeat], ignore_index=True)
    for level in ("trace", "span"):
        pd.testing.assert_frame_equal(
            estimate_quantile(again, level=level, design=0.1), estimate_quantile(spans, level=level, design=0.1)
        )


def test_traces_without_a_root_are_those_of_the_summary():
    spans = flat(300, per_trace=3, seed=4)
    lost = spans.drop(index=spans.index[::3][:120]).reset_index(drop=True)
    found = estimate_quantile(lost, q=[0.5, 0.9], design=1.0)
    expected = lower_quantiles(ta.summary(lost)["duration_ms"], [0.5, 0.9])
    assert found["estimate"].to_numpy() == pytest.approx(expected, rel=1e-6)  # the summary counts in whole nanoseconds


def test_too_few_keep_the_one_end_that_holds():
    found = estimate_quantile(flat(200), q=[0.01, 0.5, 0.99], design=0.001).set_index("q")
    assert found["status"].tolist() == ["too_few", "ok", "too_few"]
    assert found["lo"].isna().tolist() == [True, False, False]
    assert found["hi"].isna().tolist() == [False, False, True]
    assert found.loc[0.99, "lo"] < found.loc[0.99, "estimate"]
    assert found.loc[0.99, "method"] == "Woodruff, lower bound only"
    assert found.loc[0.99, "reason"].startswith(
        "about 2.0 traces of independent weight lie above p99, and an interval needs 10"
    )


def test_a_large_sample_has_its_p95():
    found = estimate_quantile(flat(2000), q=[0.5, 0.95], design=0.01)
    assert found["status"].eq("ok").all()
    assert found["n_eff"].to_numpy() == pytest.approx([2020, 2020], rel=0.01)  # 1 % of all traces are known


@pytest.mark.parametrize("n", [0, 1, 2])
def test_no_or_hardly_any_traces(n):
    found = estimate_quantile(flat(3).iloc[:n], design=0.1)
    assert found["status"].eq("too_few").all()
    assert found["estimate"].notna().all() == (n > 0)
    assert found["reason"].ne("").all()
    assert found["hi"].iloc[1:].isna().all()


def test_unknown_probabilities_are_refused():
    found = estimate_quantile(flat(50), q=0.5)
    assert found["status"].item() == "unidentifiable"
    assert np.isnan(found["estimate"].item())
    assert "50 of 50 traces" in found["reason"].item()
    limited = estimate_quantile(flat(50), q=0.5, design=Design.rate_limit(5))
    assert limited["status"].item() == "unidentifiable"


def test_one_group_that_is_not_known_does_not_spoil_the_others():
    spans = flat(400)
    spans["service"] = np.where(np.arange(400) < 200, "a", "b")
    spans["span.SampleRate"] = np.where(np.arange(400) < 200, 10.0, np.nan)
    found = estimate_quantile(spans, q=0.5, by="service")
    assert found["status"].tolist() == ["ok", "unidentifiable"]


def test_a_blind_design_is_said_to_be_biased():
    spans = flat(400).assign(status=pd.Categorical(["ERROR"] * 400, categories=["UNSET", "OK", "ERROR"]))
    found = estimate_quantile(spans, q=0.5, design=Design.errors_always(0))
    assert found["status"].item() == "biased"


def test_missing_values_are_left_out_and_said():
    spans = flat(400)
    spans.loc[spans.index[:100], "duration_ms"] = np.nan
    found = estimate_quantile(spans, q=0.5, design=0.1)
    assert found["n_traces"].item() == 300
    assert "100 spans without a value left out" in found["method"].item()
    none = estimate_quantile(spans.iloc[:100].assign(size=np.nan, duration_ms=1.0).iloc[:0], "duration_ms", design=0.5)
    assert none["status"].eq("too_few").all()


def test_negative_durations_count_as_zero():
    spans = flat(100).assign(duration_ms=-1.0)
    assert estimate_quantile(spans, q=0.5, design=0.1)["estimate"].item() == 0


def test_another_column_is_read_on_the_root():
    spans = flat(300, per_trace=2)
    spans["span.bytes"] = np.where(spans["parent_span_id"].isna(), 7.0, 1000.0)
    assert estimate_quantile(spans, "span.bytes", q=0.5, design=0.1)["estimate"].item() == 7
    assert estimate_quantile(spans, "span.bytes", q=0.9, level="span", design=0.1)["estimate"].item() == 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"q": 1.0}, "q=1.0 is the greatest value: an extreme cannot be estimated from a sample"),
        ({"q": [0.5, 0]}, "q=0 is the smallest value: an extreme cannot be estimated"),
        ({"q": 1.5}, r"q=1.5 is not a number in \[0, 1\]"),
        ({"q": "p95"}, r"q='p95' is not a number"),
        ({"q": []}, "names no quantile"),
        ({"q": [0.5, 0.5]}, "names a share twice"),
        ({"level": "service"}, "level='service' is not one of 'trace', 'span'"),
        ({"conf": 1.0}, r"conf=1.0 is not a number in \[0.5, 1\)"),
        ({"column": "durations_ms"}, "durations_ms"),
        ({"column": "name"}, "name"),
        ({"by": "nothing"}, "by='nothing'"),
        ({"where": [True]}, "where is a list"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ta.OptionError, match=message):
        estimate_quantile(flat(5), **{"design": 0.1} | options)


def test_a_group_by_the_name_of_a_result_is_refused():
    with pytest.raises(ta.OptionError, match="the result has a column 'q' of its own"):
        estimate_quantile(flat(5).assign(q=1), design=0.1, by="q")


def test_wrong_weights_are_refused():
    spans = attach_weights(flat(5), design=0.5)
    with pytest.raises(ta.SchemaError, match=r"outside \(0, 1\]"):
        estimate_quantile(spans.assign(incl_prob=1.5))
    changed = spans.copy()
    changed.loc[changed.index[0], "weight"] = 1.0
    with pytest.raises(ta.SchemaError, match="not 1 / incl_prob"):
        estimate_quantile(changed)


def test_inputs_are_not_changed(shop):
    before = shop.copy(deep=True)
    estimate_quantile(shop, by=["service", "name"], level="span", design=0.5)
    pd.testing.assert_frame_equal(shop, before)


@pytest.mark.parametrize("design", ["uniform", "errors and slow"])
def test_intervals_of_traces_hold_what_they_promise(design):
    traffic = population(20_000)
    truth = lower_quantiles(traffic.latency)
    slow = traffic.latency > truth[2]
    pi = np.full(20_000, 0.1) if design == "uniform" else np.where(traffic.failed | slow, 1.0, 0.1)
    runs = samples(pi, 600, seed=3)
    found = quantiles_of_units(traffic.latency[runs.trace], None, runs.run, runs.pi, groups=runs.runs, levels=LEVELS)
    assert found.sure.all()
    for at in range(3):
        assert covered(found.lo[:, at], found.hi[:, at], truth[at]) >= least_coverage(600)
    if design != "uniform":  # what counting the kept traces as they are would say
        raw = lower_quantiles(traffic.latency[runs.trace[runs.run == 0]])
        assert raw[1] > 2 * truth[1]


def test_intervals_of_spans_hold_where_those_of_independent_spans_do_not():
    traffic = population(20_000)
    rng = np.random.default_rng(1)
    size = traffic.spans.astype(int)
    first = np.cumsum(size) - size
    values = np.repeat(traffic.latency, size) * rng.lognormal(0, 0.3, size.sum())
    truth = lower_quantiles(values)
    runs = samples(np.full(20_000, 0.1), 200, seed=5)
    counts = size[runs.trace]
    unit = np.repeat(np.arange(len(runs.trace)), counts)
    rows = np.repeat(first[runs.trace] - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    found = quantiles_of_units(values[rows], unit, runs.run, runs.pi, groups=200, levels=LEVELS)
    alone = quantiles_of_units(values[rows], None, runs.run[unit], runs.pi[unit], groups=200, levels=LEVELS)
    for at in range(3):
        assert covered(found.lo[:, at], found.hi[:, at], truth[at]) >= least_coverage(200)
        assert covered(alone.lo[:, at], alone.hi[:, at], truth[at]) < 0.8


def test_a_study_of_coverage_on_traffic_of_ones_own():
    spans = ta.simulate.Shop(seed=3).run(1500)[0]
    found = coverage_study(
        spans,
        {"a fifth": 0.2, "limited": Design.rate_limit(5)},
        ["traces", "trace error rate", "quantiles"],
        reps=40,
        seed=5,
    ).set_index("cell")
    fifth = found.loc[found.index.str.startswith("a fifth")]
    assert fifth.index.tolist() == ["a fifth", "a fifth", "a fifth, p50", "a fifth, p95", "a fifth, p99"]
    assert fifth["truth"].iloc[0] == 1500
    assert (fifth["coverage_hi"].dropna() > 0.95).all()
    assert fifth["ok_share"].iloc[:4].eq(1).all()
    assert fifth["width_ratio"].iloc[:4].between(0.6, 1.7).all()
    refused = found.loc[found.index.str.startswith("limited")]
    assert refused["ok_share"].eq(0).all()
    assert refused["coverage"].isna().all()


def test_a_study_takes_functions_of_its_own():
    spans = flat(300, per_trace=2)
    own = coverage_study(spans, 0.3, {"by": lambda kept: estimate_quantile(kept, q=0.5, by="service")}, reps=5)
    assert own["cell"].tolist() == ["head 30 %, db 0.5", "head 30 %, web 0.5"]
    assert own["runs"].eq(5).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimators": "tracez"}, "'tracez' is neither a function nor one of .*did you mean 'traces'"),
        ({"estimators": lambda _: 3}, "returned no table of estimates"),
        ({"estimators": []}, "names none"),
        ({"estimators": ["traces", "traces"]}, "two are named 'traces'"),
        ({"reps": 0}, "reps=0 is not a whole number"),
        ({"design": "head"}, "no Design|is no design"),
    ],
)
def test_options_of_a_study_are_checked(options, message):
    with pytest.raises(ta.OptionError, match=message):
        coverage_study(flat(5), **{"design": 0.5} | options)


def test_a_study_needs_traffic():
    with pytest.raises(ta.SchemaError, match="holds no spans"):
        coverage_study(flat(5).iloc[:0], 0.5)
