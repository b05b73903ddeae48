"""Estimates of totals, rates, means and shares: reference vectors, coverage over thousands of samples, and refusals."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sampling_runs import covered, least_coverage, population, samples
from scipy import stats

import traceanalytics as ta
from traceanalytics.errors import OptionError, SchemaError
from traceanalytics.sampling.calibration import calibrate, effective_sample_size
from traceanalytics.sampling.comparison import compare_windows, difference
from traceanalytics.sampling.design_weights import attach_weights
from traceanalytics.sampling.estimate_table import COLUMNS
from traceanalytics.sampling.intervals import (
    Interval,
    clopper_pearson,
    garwood,
    jeffreys,
    kish,
    korn_graubard,
    negative_binomial,
    normal,
    student,
    wilson,
)
from traceanalytics.sampling.linearised_variance import hajek_ratio, horvitz_thompson
from traceanalytics.sampling.ratios import (
    error_rate,
    estimate_mean,
    estimate_ratio,
    ratio_of_sums,
    share_of_spans,
    share_of_traces,
)
from traceanalytics.sampling.totals import estimate_rate, estimate_total, sum_total, trace_total
from traceanalytics.sampling.trace_units import cells_of, trace_units

RUNS = 4_000
LEAST = least_coverage(RUNS)
WIDEST = 1.25

EVERY = {
    "traces": estimate_total,
    "spans": lambda spans, **options: estimate_total(spans, "spans", **options),
    "column": lambda spans, **options: estimate_total(spans, "duration_ms", **options),
    "rate": estimate_rate,
    "mean": estimate_mean,
    "mean of traces": lambda spans, **options: estimate_mean(spans, level="trace", **options),
    "ratio": lambda spans, **options: estimate_ratio(spans, "spans", **options),
    "error rate": error_rate,
    "error rate of spans": lambda spans, **options: error_rate(spans, level="span", **options),
}


def frame(traces=200, spans=5, *, failed=10, seed=1):
    """Traces of several spans in three services; the first ``failed`` traces have one failed span each."""
    rng = np.random.default_rng(seed)
    n = traces * spans
    at = np.arange(n)
    return ta.conform(
        pd.DataFrame(
            {
                "trace_id": [f"{1 + i // spans:032x}" for i in at],
                "span_id": [f"{1 + i:016x}" for i in at],
                "parent_span_id": [None if i % spans == 0 else f"{1 + i - i % spans:016x}" for i in at],
                "name": [f"op{i % 2}" for i in at],
                "service": [("web", "cart", "pay")[i % spans % 3] for i in at],
                "kind": "SERVER",
                "start_time": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(at * 100, unit="ms"),
                "duration_ms": rng.lognormal(3, 1, n),
                "status": ["ERROR" if i % spans == 1 and i // spans < failed else "OK" for i in at],
            }
        )
    )


@pytest.fixture(scope="module")
def traffic():
    return population(20_000)


def test_the_reference_vectors(shared):
    def interval(found):
        return [float(found.lo), float(found.hi)]

    def share(given):
        k, n, conf = given["k"], given["n"], given["conf"]
        return {
            "wilson": interval(wilson(k / n, n, conf)),
            "clopper_pearson": interval(clopper_pearson(k, n, conf)),
            "jeffreys": interval(jeffreys(k, n, conf)),
        }

    def count(given):
        found = trace_total(np.zeros(given["n"], int), 1, np.full(given["n"], given["p"]))
        return {"total": found.estimate[0], "se": found.se[0]}

    answers = {
        "count_ht": count,
        "kish": lambda given: dict(zip(("n_eff", "deff"), kish(given["w"]), strict=True)),
        "prop_ci": share,
        "poisson_ci": lambda given: dict(zip(("lo", "hi"), interval(garwood(given["k"], given["conf"])), strict=True)),
    }
    lines = (shared / "reference" / "sampling_vectors.jsonl").read_text(encoding="utf-8").splitlines()
    vectors = [vector for vector in map(json.loads, lines) if vector["kind"] in answers]
    assert {vector["kind"] for vector in vectors} == set(answers)
    for vector in vectors:
        found = answers[vector["kind"]](vector["in"])
        for name, value in vector["out"].items():
            assert found[name] == pytest.approx(value, rel=1e-9), vector["id"]


@pytest.mark.parametrize("conf", [0.5, 0.8, 0.95, 0.999])
@pytest.mark.parametrize("p", [1e-9, 1e-4, 0.01, 0.5, 0.9, 0.999])
def test_the_negative_binomial_interval_is_the_exact_one(p, conf):
    n = np.array([0, 1, 2, 5, 10, 100, 12_345])
    tail = (1 - conf) / 2
    found = negative_binomial(n, p, conf)
    assert found.lo.tolist() == (n + np.where(n > 0, stats.nbinom.ppf(tail, np.maximum(n, 1), p), 0)).tolist()
    assert found.hi.tolist() == (n + stats.nbinom.ppf(1 - tail, n + 1, p)).tolist()


def test_intervals_at_their_edges():
    assert tuple(negative_binomial(7, 1.0)) == (7, 7)
    assert tuple(wilson(0.0, 0)) == (0, 1)
    assert wilson(0.0, 10).lo == 0
    assert wilson(1.0, 10).hi == 1
    assert tuple(clopper_pearson(0, 0)) == (0, 1)
    assert clopper_pearson(0, 20).hi == pytest.approx(1 - 0.025 ** (1 / 20))
    assert garwood(0).lo == 0
    assert np.isnan(
        [*clopper_pearson(np.nan, 3), *garwood(np.nan), *negative_binomial(np.nan, 0.1), *wilson(0.1, np.nan)]
    ).all()
    assert np.isnan(negative_binomial(3, [0.0, 1.5]).hi).all()
    assert student(1.0, 1.0, 1e9).hi == pytest.approx(normal(1.0, 1.0).hi)
    assert korn_graubard(0.1, 1e5, 1e6).lo == pytest.approx(clopper_pearson(1e4, 1e5).lo, rel=1e-5)
    assert kish([]) == (0.0, pytest.approx(np.nan, nan_ok=True))


@pytest.mark.parametrize(("n", "p"), [(20, 0.01), (100, 0.01), (1_000, 0.01), (1_000, 0.1), (20_000, 0.001)])
def test_coverage_of_numbers_of_traces(n, p):
    runs = samples(np.full(n, p), RUNS, seed=1)
    found = trace_total(runs.run, RUNS, runs.pi, floor=p)
    assert covered(found.lo, found.hi, n) >= LEAST
    if n * p >= 10:
        assert found.few.mean() < 0.005
        assert covered(found.lo, found.hi, n, ~found.few) >= LEAST
        assert found.estimate.mean() == pytest.approx(n, rel=4 / np.sqrt(n * p * RUNS))


@pytest.mark.parametrize(
    "strata",
    [((500, 0.1), (5_000, 0.01)), ((100, 0.1), (1_000, 0.01)), ((20, 1), (2_000, 0.01)), ((10, 0.5), (300, 0.01))],
)
def test_coverage_of_numbers_of_traces_of_several_probabilities(strata):
    pi = np.concatenate([np.full(n, p) for n, p in strata])
    runs = samples(pi, RUNS, seed=2)
    found = trace_total(runs.run, RUNS, runs.pi, floor=pi.min())
    total = horvitz_thompson(runs.run, RUNS, runs.pi, np.ones(len(runs.pi)))
    reference = normal(total.estimate, np.sqrt(total.variance))
    assert covered(found.lo, found.hi, len(pi)) >= LEAST
    assert (found.hi - found.lo).mean() <= WIDEST * (reference.hi - reference.lo).mean()


@pytest.mark.parametrize("p", [0.1, 0.01, 0.002])
def test_coverage_of_numbers_of_spans(traffic, p):
    number = RUNS if p < 0.1 else RUNS // 4
    runs = samples(np.full(20_000, p), number, seed=3)
    y = traffic.spans[runs.trace]
    found = sum_total(runs.run, number, runs.pi, y, y)
    assert covered(found.lo, found.hi, traffic.spans.sum(), ~found.few) >= least_coverage(number)
    reference = normal(found.estimate, found.se)
    assert (found.hi - found.lo).mean() <= WIDEST * (reference.hi - reference.lo).mean()
    assert found.deff.mean() == pytest.approx((traffic.spans**2).sum() / traffic.spans.sum(), rel=0.05)
    alone = normal(found.estimate, found.se / np.sqrt(found.deff))
    assert covered(alone.lo, alone.hi, traffic.spans.sum()) < 0.6  # spans as units


def test_coverage_of_the_share_of_failed_traces(traffic):
    for p, least_ok in ((0.1, 1), (0.05, 0.99)):
        number = RUNS if p < 0.1 else RUNS // 2
        runs = samples(np.full(20_000, p), number, seed=5)
        hit = traffic.failed[runs.trace]
        found = share_of_traces(runs.run, number, runs.pi, hit, floor=p)
        ok = ~found.few
        assert ok.mean() >= least_ok
        assert covered(found.lo, found.hi, 0.01, ok) >= least_coverage(number)
        assert covered(found.lo, found.hi, 0.01) >= least_coverage(number)
        n = np.bincount(runs.run, minlength=number)
        reference = wilson(np.bincount(runs.run, hit, minlength=number) / n, n)
        assert (found.hi - found.lo).mean() <= WIDEST * (reference.hi - reference.lo).mean()


def test_coverage_of_the_share_of_failed_traces_in_small_samples(traffic):
    """Below what is called enough, the interval holds all the same."""
    for p in (0.025, 0.01, 0.002):
        runs = samples(np.full(20_000, p), RUNS, seed=6)
        found = share_of_traces(runs.run, RUNS, runs.pi, traffic.failed[runs.trace], floor=p)
        assert found.few.any()
        assert covered(found.lo, found.hi, 0.01) >= LEAST
        assert (found.hi > found.lo).all()


@pytest.mark.parametrize("p", [0.1, 0.05, 0.025])
def test_coverage_of_the_share_of_failed_spans(traffic, p):
    number = RUNS if p < 0.1 else RUNS // 2
    runs = samples(np.full(20_000, p), number, seed=7)
    y, x = traffic.errors[runs.trace], traffic.spans[runs.trace]
    found = share_of_spans(runs.run, number, runs.pi, y, x)
    truth = traffic.errors.sum() / traffic.spans.sum()
    assert covered(found.lo, found.hi, truth, ~found.few) >= least_coverage(number)
    spans = np.bincount(runs.run, x)
    naive = wilson(found.estimate, spans)
    assert covered(naive.lo, naive.hi, truth) < 0.75  # spans as units
    ok = ~found.few
    reference = korn_graubard(found.estimate[ok], found.n_eff[ok], np.bincount(runs.run)[ok])
    assert (found.hi - found.lo)[ok].mean() <= WIDEST * (reference.hi - reference.lo).mean()


@pytest.mark.parametrize("p", [0.05, 0.01, 0.001])
def test_coverage_in_tail_samples_of_error_rates(traffic, p):
    number = RUNS if p < 0.05 else RUNS // 4
    runs = samples(np.where(traffic.failed, 1, p), number, seed=8)
    hit = traffic.failed[runs.trace]
    found = share_of_traces(runs.run, number, runs.pi, hit, floor=p)
    assert not found.few.any()
    assert covered(found.lo, found.hi, 0.01) >= least_coverage(number)
    assert found.estimate.mean() == pytest.approx(0.01, rel=0.15)
    assert np.bincount(runs.run, hit).sum() / len(hit) > 10 * 0.01  # what unweighted traces say
    reference = normal(found.estimate, found.se)
    assert (found.hi - found.lo).mean() <= WIDEST * (reference.hi - reference.lo).mean()
    y, x = traffic.errors[runs.trace], traffic.spans[runs.trace]
    found = share_of_spans(runs.run, number, runs.pi, y, x)
    assert covered(found.lo, found.hi, traffic.errors.sum() / traffic.spans.sum()) >= least_coverage(number)
    reference = normal(found.estimate, found.se)
    assert (found.hi - found.lo).mean() <= WIDEST * (reference.hi - reference.lo).mean()


@pytest.mark.parametrize("p", [0.05, 0.01, 0.005])
@pytest.mark.parametrize("keep_slow", [False, True])
def test_coverage_in_tail_samples_of_means(traffic, p, keep_slow):
    number = RUNS if p < 0.05 else RUNS // 4
    slow = traffic.latency > np.quantile(traffic.latency, 0.99)
    runs = samples(np.where(traffic.failed | (slow & keep_slow), 1, p), number, seed=9)
    found = ratio_of_sums(runs.run, number, runs.pi, traffic.latency[runs.trace])
    assert not found.few.any()
    assert covered(found.lo, found.hi, traffic.latency.mean()) >= least_coverage(number)
    assert found.estimate.mean() == pytest.approx(traffic.latency.mean(), rel=0.02)
    reference = normal(found.estimate, found.se)
    assert (found.hi - found.lo).mean() <= WIDEST * (reference.hi - reference.lo).mean()


def test_coverage_of_shares_of_two_unrelated_heads(traffic):
    runs = samples(np.where(np.arange(20_000) % 2 == 0, 0.1, 0.01), 1_000, seed=10)
    found = share_of_traces(runs.run, 1_000, runs.pi, traffic.failed[runs.trace], floor=0.01)
    assert covered(found.lo, found.hi, 0.01) >= least_coverage(1_000)


def test_changes_are_found_as_often_as_promised(traffic):
    runs = samples(np.full(20_000, 0.1), 2_000, seed=11)
    y, x = traffic.errors[runs.trace], traffic.spans[runs.trace]
    found = {
        "traces": share_of_traces(runs.run, 2_000, runs.pi, traffic.failed[runs.trace]),
        "spans": share_of_spans(runs.run, 2_000, runs.pi, y, x),
        "mean": ratio_of_sums(runs.run, 2_000, runs.pi, traffic.latency[runs.trace]),
        "number": trace_total(runs.run, 2_000, runs.pi),
    }
    for name, each in found.items():
        sides = [
            pd.DataFrame({key: getattr(each, key)[half] for key in ("estimate", "se", "lo", "hi")})
            for half in (slice(1_000), slice(1_000, None))
        ]
        _, _, lo, hi, p_value = difference(*sides)
        # One-sided 99 % bounds around the rates that are allowed.
        assert 0.02 - 0.011 <= (p_value < 0.05).mean() <= 0.07, name
        assert covered(lo, hi, 0.0) >= least_coverage(1_000), name
    naive = np.sqrt(found["spans"].estimate / np.bincount(runs.run, x))
    assert (
        np.abs(found["spans"].estimate[:1_000] - found["spans"].estimate[1_000:])
        / np.hypot(naive[:1_000], naive[1_000:])
        > 1.96
    ).mean() > 0.2


@pytest.mark.parametrize("name", EVERY)
def test_every_estimate_answers_with_the_same_table(name):
    found = EVERY[name](frame(), design=0.1, by=["service", "name"])
    assert list(found.columns) == ["service", "name", *COLUMNS]
    assert found[["service", "name"]].apply(tuple, axis=1).is_monotonic_increasing
    if name == "ratio":  # each trace has as many spans of an operation as any other
        assert found["status"].eq("too_few").all()
    else:
        assert (found["lo"] <= found["estimate"]).all()
        assert (found["estimate"] <= found["hi"]).all()
        assert found["status"].eq("ok").all() or name.startswith("error")
    assert found["n_traces"].isin([100, 200]).all()
    assert (found["reason"] == "").eq(found["status"] == "ok").all()


@pytest.mark.parametrize("name", EVERY)
def test_the_order_and_index_of_rows_change_nothing(name):
    spans = frame()
    mixed = spans.sample(frac=1, random_state=1).set_axis([f"row {n}" for n in range(len(spans))], axis=0)
    options = {"design": 0.1, "by": "service"}
    pd.testing.assert_frame_equal(EVERY[name](spans, **options), EVERY[name](mixed, **options))
    plain = spans.astype({"service": "str", "trace_id": "str"})
    pd.testing.assert_frame_equal(
        EVERY[name](plain, **options).astype({"service": "str"}),
        EVERY[name](spans, **options).astype({"service": "str"}),
    )


@pytest.mark.parametrize("name", EVERY)
def test_repeated_rows_count_once(name):
    spans = frame()
    twice = pd.concat([spans, spans.iloc[::3]], ignore_index=True)
    pd.testing.assert_frame_equal(EVERY[name](twice, design=0.1), EVERY[name](spans, design=0.1))


@pytest.mark.parametrize("name", EVERY)
def test_a_census_has_no_doubt(name):
    spans = frame()
    found = EVERY[name](spans, design=1.0).iloc[0]
    assert found["lo"] == found["estimate"] == found["hi"]
    assert (found["se"], found["status"]) == (0, "ok")
    assert found["method"].startswith("census")
    truth = {
        "traces": 200,
        "spans": 1000,
        "column": spans["duration_ms"].sum(),
        "mean": spans["duration_ms"].mean(),
        "ratio": 5,
        "error rate": 0.05,
        "error rate of spans": 0.01,
    }
    assert found["estimate"] == pytest.approx(truth.get(name, found["estimate"]))


@pytest.mark.parametrize("name", EVERY)
def test_unknown_probabilities_give_no_number(name):
    found = EVERY[name](frame())
    assert found["status"].tolist() == ["unidentifiable"]
    assert found[["estimate", "se", "lo", "hi"]].isna().all(axis=None)
    assert "200 of 200 traces have no known probability" in found["reason"].iloc[0]
    spans = attach_weights(frame(), design=0.1)
    spans.loc[spans.index[:5], ["weight", "incl_prob", "weight_status"]] = [np.nan, np.nan, "unknown"]
    found = EVERY[name](spans, by="name")
    assert found["reason"].str.startswith("1 of 200 traces").all()


@pytest.mark.parametrize("name", EVERY)
def test_an_empty_frame_has_no_answer(name):
    empty = frame().iloc[:0]
    found = EVERY[name](empty)
    assert found["status"].tolist() == ["unidentifiable"]
    assert found["estimate"].isna().all()
    assert len(EVERY[name](empty, by="service")) == 0
    if name == "traces":
        known = EVERY[name](empty, design=0.01).iloc[0]
        assert (known["estimate"], known["lo"], known["hi"], known["status"]) == (
            0,
            0,
            stats.nbinom.ppf(0.975, 1, 0.01),
            "too_few",
        )


@pytest.mark.parametrize("name", EVERY)
def test_one_trace_is_too_few(name):
    found = EVERY[name](frame(traces=1, failed=1), design=0.1).iloc[0]
    assert found["status"] == "too_few"
    assert found["reason"]
    if name in ("traces", "error rate", "error rate of spans"):
        assert found["lo"] < found["hi"]


@pytest.mark.parametrize("failed", [0, 1, 199, 200])
@pytest.mark.parametrize("level", ["trace", "span"])
@pytest.mark.parametrize("design", [0.1, "tail"])
def test_rare_and_usual_failures_have_wide_intervals(failed, level, design):
    spans = frame(failed=failed)
    if design == "tail":
        design = pd.Series(
            np.where(ta.is_error(spans).groupby(spans["trace_id"], observed=True).transform("max"), 1, 0.1), spans.index
        )
        if failed == 200:
            design.iloc[:5] = 0.1  # else all are certain
    found = error_rate(spans, level=level, design=design).iloc[0]
    assert found["hi"] > found["lo"]
    assert found["lo"] <= found["estimate"] <= found["hi"]
    if level == "trace" or failed < 3:
        assert found["status"] == "too_few"
    if failed == 0 and level == "trace":
        assert found["hi"] == pytest.approx(1 - 0.025 ** (1 / 200))


def test_blind_designs_are_said_to_be_biased():
    from traceanalytics.sampling.designs import Design

    spans = frame(failed=200)
    found = estimate_total(spans, design=Design.errors_always(0)).iloc[0]
    assert (found["status"], found["estimate"]) == ("biased", 200)
    assert "never keeps" in found["reason"]
    assert error_rate(spans, design=Design.errors_always(0))["status"].iloc[0] == "biased"
    assert estimate_total(spans, design=Design.rate_limit(5))["status"].iloc[0] == "unidentifiable"
    assert estimate_total(spans, design=Design.head(0.1))["status"].iloc[0] == "ok"


def test_certain_traces_do_not_hide_those_that_nobody_saw():
    from traceanalytics.sampling.designs import Design

    spans = frame(failed=10)
    spans["service"] = spans["service"].astype("str")
    failed = ta.is_error(spans).groupby(spans["trace_id"], observed=True).transform("max")
    spans.loc[failed, "service"] = "rare"
    design = Design.errors_always(0.01)
    found = estimate_total(spans, by="service", design=design).set_index("service")
    assert found.loc["rare", ["estimate", "lo", "status"]].tolist() == [10, 10, "too_few"]
    assert found.loc["rare", "hi"] == 10 + stats.nbinom.ppf(0.975, 1, 0.01)
    assert "bounded only" in found.loc["rare", "reason"]
    assert found.loc["web", "status"] == "ok"
    # Failed traces are all there: the design keeps them.
    errors = estimate_total(spans, where=ta.is_error(spans), design=design).iloc[0]
    assert errors[["estimate", "lo", "hi", "status", "method"]].tolist() == [10, 10, 10, "ok", "census"]
    share = error_rate(spans, by="service", design=design).set_index("service")
    assert share.loc["rare", ["lo", "status"]].tolist() == [
        pytest.approx(10 / (10 + stats.nbinom.ppf(0.975, 1, 0.01))),
        "too_few",
    ]


def test_values_that_are_missing_are_left_out_and_counted():
    spans = frame()
    spans.loc[spans.index[::5], "duration_ms"] = np.nan
    found = estimate_mean(spans, design=0.1).iloc[0]
    assert found["estimate"] == pytest.approx(spans["duration_ms"].mean())
    assert found["n_spans"] == 800
    assert "200 spans without a value left out" in found["method"]


def test_where_and_by_choose_spans():
    spans = frame()
    web = spans["service"] == "web"
    found = estimate_mean(spans, design=0.1, by="service").set_index("service")
    alone = estimate_mean(spans, design=0.1, where=web).iloc[0]
    assert found.loc["web", "estimate"] == alone["estimate"] == pytest.approx(spans.loc[web, "duration_ms"].mean())
    shuffled = web.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        estimate_mean(spans, design=0.1, where=shuffled), estimate_mean(spans, design=0.1, where=web)
    )
    nothing = estimate_total(spans, design=0.1, where=web & False).iloc[0]
    assert (nothing["estimate"], nothing["lo"], nothing["status"]) == (0, 0, "too_few")
    spans["span.tier"] = np.where(web, "gold", None)
    assert estimate_total(spans, by="span.tier", design=0.1)["span.tier"].tolist() == ["gold"]
    assert estimate_total(spans, by="tier", design=0.1)["tier"].tolist() == ["gold"]
    spans["size"] = np.arange(len(spans)) % 3
    assert estimate_total(spans, by="size", design=0.1)["size"].tolist() == [0, 1, 2]


def test_means_without_spread_are_no_certainty():
    spans = frame().assign(duration_ms=5.0)
    found = estimate_mean(spans, design=0.1).iloc[0]
    assert (found["estimate"], found["status"]) == (5, "too_few")
    assert np.isnan(found["lo"])


def test_sums_of_both_signs_are_normal():
    spans = frame()
    spans["delta"] = np.random.default_rng(1).normal(0, 1, len(spans))
    found = estimate_total(spans, "delta", design=0.1).iloc[0]
    assert (found["method"], found["status"]) == ("normal", "ok")
    assert found["lo"] < found["estimate"] < found["hi"]


def test_rates_divide_by_the_window():
    spans = frame()
    total, rate = estimate_total(spans, design=0.1).iloc[0], estimate_rate(spans, design=0.1).iloc[0]
    assert rate["lo"] == pytest.approx(total["lo"] / 99.9)
    assert "99.9 s (observed)" in rate["method"]
    assert estimate_rate(spans, "spans", window_s=50, design=0.1)["estimate"].iloc[0] == pytest.approx(200)
    still = estimate_rate(spans.assign(start_time=spans["start_time"].iloc[0]), design=0.1).iloc[0]
    assert still["status"] == "unidentifiable"
    assert np.isnan(still["estimate"])


def test_two_windows_are_compared_group_by_group():
    before, after = frame(failed=20, seed=1), frame(failed=80, seed=2)
    found = compare_windows(before, after, design=0.1)
    assert found["window"].tolist() == ["before", "after", "difference"]
    change = found.iloc[2]
    assert change["estimate"] == pytest.approx(0.3)
    assert change["lo"] > 0
    assert change["p_value"] < 1e-6
    assert change["status"] == "ok"
    only = after[after["service"] != "pay"]
    found = compare_windows(before, only, what="traces", by="service", design=0.1)
    assert found["service"].tolist() == [name for name in ("cart", "pay", "web") for _ in range(3)]
    pay = found[found["service"] == "pay"].set_index("window")
    assert pay["estimate"].tolist() == [2000, 0, -2000]
    assert pay.loc["difference", "status"] == "too_few"
    assert pay.loc["difference", "hi"] < 0
    for what in ("mean", "spans", "traces_per_s", "spans_per_s"):
        assert compare_windows(before, only, what=what, by="service", design=0.1)["p_value"].between(0, 1).sum() >= 2
    web = (
        pd.concat([before.add_prefix("", axis=1)["service"].set_axis(before.index), pd.Series(dtype="object")]) == "web"
    )
    pd.testing.assert_frame_equal(
        compare_windows(before, after, where=web, design=0.1).drop(columns="p_value").iloc[:1],
        compare_windows(before, after, by="service", design=0.1)
        .query("service == 'web'")
        .drop(columns=["service", "p_value"])
        .iloc[:1]
        .reset_index(drop=True),
    )
    assert compare_windows(before.iloc[:0], after.iloc[:0], design=0.1)["status"].eq("ok").sum() == 0
    assert compare_windows(before, after)["status"].tolist() == ["unidentifiable"] * 3


def test_weights_meet_the_counts_of_a_reference():
    spans = frame()
    root = spans.loc[spans["parent_span_id"].isna()].set_index("trace_id")["name"]
    second = pd.Series(np.where(np.arange(len(spans)) < 500, 0, 1), spans.index)
    found = calibrate(spans, reference=pd.Series({0: 1_000, 1: 5_000}), by=second)
    assert found.groupby(second)["weight"].first().tolist() == [10, 50]
    assert found["weight_source"].unique().tolist() == ["reference"]
    assert estimate_total(found)["estimate"].iloc[0] == pytest.approx(6_000)
    assert estimate_total(found)["status"].iloc[0] == "ok"
    counts = {name: 3_000 * share for name, share in root.value_counts(normalize=True).items()}
    raked = calibrate(
        spans.assign(half=second),
        reference={"name": pd.Series(counts), "half": pd.Series({0: 1_000, 1: 2_000})},
        method="rake",
    )
    first = raked.drop_duplicates("trace_id")
    assert first.groupby("half")["weight"].sum().tolist() == pytest.approx([1_000, 2_000])
    assert first.groupby("name", observed=True)["weight"].sum().to_dict() == pytest.approx(counts)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"web": 1_000}, "lacks groups of the sample: 'shop'"),
        ({"web": 1_000, "shop": 1_000, "pay": 7}, "no trace was kept of groups .*'pay'"),
        ({"web": 99, "shop": 1_000}, "counts fewer traces than were kept in 'web'"),
        ({"web": np.nan, "shop": 1_000}, "missing, negative or no numbers"),
    ],
)
def test_references_that_do_not_fit(reference, message):
    spans = frame()
    spans["service"] = np.where(np.arange(len(spans)) < 500, "web", "shop")
    with pytest.raises((SchemaError, OptionError), match=message):
        calibrate(spans, reference=pd.Series(reference), by="service")


def test_options_of_calibration():
    spans, counts = frame(), pd.Series({"web": 1_000})
    with pytest.raises(OptionError, match="by is the column"):
        calibrate(spans, reference=counts)
    with pytest.raises(OptionError, match="a mapping of columns"):
        calibrate(spans, reference=counts, method="rake")
    with pytest.raises(OptionError, match="not from by"):
        calibrate(spans, reference={"service": counts}, by="service", method="rake")
    with pytest.raises(SchemaError, match="cannot be met together"):
        calibrate(
            spans, reference={"service": counts, "name": pd.Series({"op0": 10_000, "op1": 10_000})}, method="rake"
        )


def test_effective_sizes():
    rng = np.random.default_rng(1)
    y, cluster = rng.normal(size=4_000), np.repeat(np.arange(400), 10)
    found = effective_sample_size(np.ones(4_000), y=y, cluster=cluster).iloc[0]
    assert found["deff_cluster"] == pytest.approx(1, abs=0.2)
    same = effective_sample_size(np.ones(4_000), y=np.repeat(rng.normal(size=400), 10), cluster=cluster).iloc[0]
    assert (same["n_eff"], same["deff_cluster"]) == (pytest.approx(400, rel=0.01), pytest.approx(10, rel=0.01))
    worst = effective_sample_size(np.ones(4_000), cluster=cluster).iloc[0]
    assert (worst["n_eff"], worst["deff_cluster"]) == (400, 10)
    # Errors certain, the rest at 1 %: far more is known than Kish says.
    failed = np.repeat([1.0, 0.0], 200)
    tail = effective_sample_size(np.where(failed, 1, 100), y=failed).iloc[0]
    assert tail["n_eff"] > tail["n_kish"]
    assert effective_sample_size([]).iloc[0]["n"] == 0
    assert np.isnan(effective_sample_size([1.0, 2.0], y=[3, 3])["n_eff"].iloc[0])
    for wrong, message in (
        ([1, -1], "1 weights are not positive"),
        ([1, np.nan], "1 entries of weights"),
        (["x"], "no numbers"),
    ):
        with pytest.raises(OptionError, match=message):
            effective_sample_size(wrong)
    with pytest.raises(OptionError, match="one length"):
        effective_sample_size([1, 1], y=[1])


def test_bad_columns_of_weights():
    spans = attach_weights(frame(), design=0.1)
    for column, value, message in (
        ("incl_prob", 1.5, r"outside \(0, 1\]"),
        ("incl_prob", 0.0, r"outside \(0, 1\]"),
        ("weight", 0.5, "not 1 / incl_prob"),
        ("weight", np.nan, "not 1 / incl_prob"),
    ):
        with pytest.raises(SchemaError, match=message):
            estimate_total(spans.assign(**{column: value}))
    first = np.arange(len(spans)) == 0
    with pytest.raises(SchemaError, match="different incl_prob"):
        estimate_total(spans.assign(incl_prob=np.where(first, 0.2, 0.1), weight=np.where(first, 5.0, 10.0)))


def test_bad_options():
    spans = frame()
    for options, message in (
        ({"conf": 1.0}, "conf=1.0"),
        ({"conf": 95}, "conf=95"),
        ({"by": "servce"}, "did you mean 'service'"),
        ({"by": []}, "names no column"),
        ({"where": "service"}, "where is a str"),
        ({"where": pd.Series([True])}, "another index"),
        ({"where": spans["duration_ms"]}, "expected a boolean Series"),
        ({"design": 0}, "design=0"),
        ({"design": 1.5}, r"design=1\.5"),
    ):
        with pytest.raises(OptionError, match=message):
            error_rate(spans, **{"design": 0.1, **options})
    with pytest.raises(OptionError, match="what='trace' holds no numbers"):
        estimate_total(spans, "trace", design=0.1)
    with pytest.raises(OptionError, match="holds no numbers"):
        estimate_mean(spans, "service", design=0.1)
    with pytest.raises(OptionError, match="level='spans'"):
        error_rate(spans, level="spans", design=0.1)
    with pytest.raises(OptionError, match="window_s=0"):
        estimate_rate(spans, window_s=0, design=0.1)
    with pytest.raises(OptionError, match="window_s belongs to"):
        compare_windows(spans, spans, window_s=3, design=0.1)
    with pytest.raises(SchemaError, match="trace_id"):
        estimate_total(spans.drop(columns="trace_id"), design=0.1)


def test_spans_without_a_trace_id_belong_to_no_trace():
    spans = frame()
    spans["trace_id"] = spans["trace_id"].astype("str").where(np.arange(len(spans)) >= 500)
    found = estimate_total(spans, design=0.1).iloc[0]
    assert (found["estimate"], found["n_traces"]) == (1_000, 100)
    assert trace_units(spans, 0.1).number == 100
    assert estimate_total(spans.assign(trace_id=None), design=0.1)["n_traces"].iloc[0] == 0


def test_the_estimates_cover_the_truth_of_the_shop():
    spans = ta.simulate.Shop(seed=1).run(1_000)[0]
    kept = spans[spans["trace_id"].isin(spans["trace_id"].drop_duplicates().sample(frac=0.3, random_state=4))]
    for name in ("traces", "spans", "mean", "ratio", "error rate"):
        truth = EVERY[name](spans, design=1.0)["estimate"].iloc[0]
        found = EVERY[name](kept, design=0.3).iloc[0]
        assert found["lo"] <= truth <= found["hi"], name


def test_kernels_answer_group_by_group():
    pi, y = np.array([0.5, 0.5, 0.1, 1.0]), np.array([1.0, 2.0, 3.0, 4.0])
    both = horvitz_thompson(np.array([0, 0, 1, 1]), 3, pi, y)
    assert both.estimate.tolist() == [6, 34, 0]
    assert hajek_ratio(np.array([0, 0, 1, 1]), 3, pi, y).estimate.tolist()[:2] == pytest.approx([1.5, 34 / 11])
    assert cells_of(frame(), design=0.5, by="service").n_traces.tolist() == [200, 200, 200]
    assert isinstance(wilson(np.array([0.1]), np.array([10.0])), Interval)
