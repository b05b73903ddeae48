"""Planning: binomial formulas against the distribution itself, inverses against each other, simulation against both."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, nbinom

from traceanalytics.errors import OptionError
from traceanalytics.sampling.given_numbers import given_number, given_whole
from traceanalytics.sampling.planning_rates import detection_probability, required_rate, zero_event_bound

COUNTS = st.integers(1, 100_000)
RATES = st.floats(1e-6, 1.0)
LEVELS = st.floats(0.5, 0.9999)


def test_the_reference_vectors(shared):
    answers = {
        "detect_prob": lambda given: {"prob": detection_probability(given["events"], given["p"])},
        "rate_for_detection": lambda given: {"p": required_rate(given["events"], detect=given["prob"])},
        "rate_for_rel_error": lambda given: {
            "p": required_rate(given["events"], rel_error=given["rel_error"], conf=given["conf"])
        },
        "zero_events_upper": lambda given: dict(
            zip(
                ["exact", "rule_of_three"],
                zero_event_bound(given["n"], conf=given["conf"])["upper"].iloc[:2],
                strict=True,
            )
        ),
    }
    lines = (shared / "reference" / "sampling_vectors.jsonl").read_text(encoding="utf-8").splitlines()
    vectors = [vector for vector in map(json.loads, lines) if vector["kind"] in answers]
    assert {vector["kind"] for vector in vectors} == set(answers)
    for vector in vectors:
        assert answers[vector["kind"]](vector["in"]) == pytest.approx(vector["out"], rel=1e-12), vector["id"]


@pytest.mark.parametrize(("events", "probability"), [(100, 0.634), (300, 0.951), (460, 0.990)])
def test_what_one_per_cent_shows(events, probability):
    assert detection_probability(events, 0.01) == pytest.approx(probability, abs=5e-4)


@given(COUNTS, RATES, st.integers(1, 50))
def test_detection_is_the_tail_of_the_binomial_distribution(events, p, at_least):
    found = detection_probability(events, p, at_least=at_least)
    assert type(found) is float
    assert found == pytest.approx(binom.sf(at_least - 1, events, p), rel=1e-8, abs=1e-300)


@given(st.integers(1, 400), st.integers(1, 20), st.fractions(Fraction(1, 1000), 1, max_denominator=1000))
def test_detection_is_the_sum_over_all_outcomes_in_whole_numbers(events, at_least, p):
    missed = sum(math.comb(events, k) * p**k * (1 - p) ** (events - k) for k in range(min(at_least, events + 1)))
    assert detection_probability(events, p, at_least=at_least) == pytest.approx(float(1 - missed), rel=1e-9)


def test_detection_against_simulation():
    rng = np.random.default_rng(7)
    runs = 200_000
    for events, p, at_least in [(100, 0.01, 1), (300, 0.01, 2), (20, 0.3, 5), (5, 0.05, 1)]:
        expected = detection_probability(events, p, at_least=at_least)
        seen = np.mean(rng.binomial(events, p, size=runs) >= at_least)
        assert abs(seen - expected) < 5 * math.sqrt(expected * (1 - expected) / runs)


def test_detection_decides_trace_by_trace():
    # No binomial draw: every trace has its own random number, as a threshold sampler would compare it.
    kept = np.random.default_rng(11).random((20_000, 60)) < 0.04
    assert kept.any(axis=1).mean() == pytest.approx(detection_probability(60, 0.04), abs=0.01)
    assert (kept.sum(axis=1) >= 4).mean() == pytest.approx(detection_probability(60, 0.04, at_least=4), abs=0.01)


def test_detection_at_the_ends():
    assert detection_probability(0, 0.5) == 0.0
    assert detection_probability(3, 0.5, at_least=4) == 0.0
    assert detection_probability(3, 1.0) == detection_probability(3, 1.0, at_least=3) == 1.0
    assert detection_probability(10**12, 1e-15) == pytest.approx(1e-3, rel=1e-3)  # not lost by rounding 1 - p


@given(COUNTS, st.floats(1e-6, 0.9999), st.data())
def test_the_required_rate_detects_as_asked(events, detect, data):
    at_least = data.draw(st.integers(1, min(events, 40)))
    p = required_rate(events, detect=detect, at_least=at_least)
    assert 0 < p < 1
    assert detection_probability(events, p, at_least=at_least) == pytest.approx(detect, rel=1e-8)
    assert detection_probability(events, p * 0.99, at_least=at_least) < detect


@given(st.integers(1, 10_000), st.floats(1e-4, 0.99))
def test_the_detected_rate_is_required(events, p):
    probability = detection_probability(events, p)
    if probability < 0.999999:  # nearer to 1 the rate cannot be told from the probability any more
        assert required_rate(events, detect=probability) == pytest.approx(p, rel=1e-6)


def test_certainty_requires_everything():
    assert required_rate(7, detect=1.0) == required_rate(7, detect=1, at_least=3) == 1.0


@given(COUNTS, st.floats(0.001, 0.999), LEVELS)
def test_the_required_rate_gives_the_interval_its_width(events, rel_error, conf):
    p = required_rate(events, rel_error=rel_error, conf=conf)
    assert 0 < p < 1
    # The count is estimated by kept / p, whose standard error is sqrt(events * (1 - p) / p); z comes from another function.
    z = _normal_quantile(conf)
    assert z * math.sqrt(events * (1 - p) / p) / events == pytest.approx(rel_error, rel=1e-6)


def _normal_quantile(conf):
    """Two-sided, by bisection of the error function."""
    low, high = 0.0, 10.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle / math.sqrt(2)) < conf else (low, middle)
    return low


@pytest.mark.parametrize(("events", "rel_error", "rate"), [(1000, 0.1, 0.2775), (50, 0.2, 0.658)])
def test_the_rates_of_the_reference(events, rel_error, rate):
    assert required_rate(events, rel_error=rel_error) == pytest.approx(rate, abs=5e-4)


def test_the_exact_probability_of_the_relative_error_is_near_as_documented():
    checked = 0
    for events in [*range(50, 400, 7), 500, 777, 1000, 5000, 99_999]:
        for rel_error in [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3]:
            p = required_rate(events, rel_error=rel_error)
            if min(events * p, events * (1 - p)) < 10:
                continue
            low, high = math.ceil(events * p * (1 - rel_error)), math.floor(events * p * (1 + rel_error))
            near = binom.cdf(high, events, p) - binom.cdf(low - 1, events, p)
            assert abs(near - 0.95) < 0.02
            checked += 1
    assert checked > 100


def test_the_relative_error_against_simulation():
    p = required_rate(1000, rel_error=0.1)
    kept = np.random.default_rng(3).binomial(1000, p, size=100_000)
    assert np.mean(np.abs(kept / p - 1000) <= 100) == pytest.approx(0.952, abs=0.004)


@given(st.integers(1, 10**9), LEVELS)
def test_the_bound_of_the_share_leaves_the_sample_empty_as_often_as_its_confidence_allows(n, conf):
    share = zero_event_bound(n, conf=conf).loc["share", "upper"]
    assert detection_probability(n, share) == pytest.approx(conf, rel=1e-9)


@given(st.floats(1e-5, 0.999), LEVELS)
def test_one_event_more_than_the_bound_would_have_been_seen(p, conf):
    events = zero_event_bound(100, p=p, conf=conf).loc["events", "upper"]
    assert events.is_integer()
    assert detection_probability(events + 1, p) >= conf * (1 - 1e-9)
    assert detection_probability(events, p) < conf
    assert events == pytest.approx(nbinom.ppf(conf, 1, p), abs=1)  # unseen events before the first that is seen


def test_no_error_in_one_per_cent_excludes_only_more_than_298():
    table = zero_event_bound(1000, p=0.01)
    assert table.loc["events", "upper"] == 298.0
    assert table.loc["share", "upper"] == pytest.approx(1 - 0.05 ** (1 / 1000))
    assert table.loc["share_rule_of_three", "upper"] == 0.003
    assert table["status"].tolist() == ["ok"] * 3
    assert table["reason"].tolist() == [""] * 3
    assert table["n_traces"].tolist() == [1000] * 3
    assert table.index.name == "quantity"


@pytest.mark.parametrize(
    ("p", "conf", "events"), [(0.9, 0.99, 1), (0.5, 0.75, 1), (0.6, 0.936, 2), (0.1, 0.55, 7), (1.0, 0.95, 0)]
)
def test_the_bound_where_a_whole_number_of_events_meets_the_confidence(p, conf, events):
    assert zero_event_bound(5, p=p, conf=conf).loc["events", "upper"] == events


def test_the_bounds_against_simulation():
    rng = np.random.default_rng(5)
    runs = 100_000
    table = zero_event_bound(200, p=0.02)
    silent = np.mean(rng.binomial(200, table.loc["share", "upper"], size=runs) == 0)
    assert silent == pytest.approx(0.05, abs=0.0035)
    events = int(table.loc["events", "upper"])
    assert np.mean(rng.binomial(events, 0.02, size=runs) == 0) > 0.05 - 0.0035
    assert np.mean(rng.binomial(events + 8, 0.02, size=runs) == 0) < 0.05


def test_the_rule_of_three_is_a_rule_for_95_per_cent_and_many_traces():
    assert zero_event_bound(1000, conf=0.99)["conf"].tolist() == [0.99, 0.95, 0.99]
    for n in range(30, 3000, 10):
        table = zero_event_bound(n)
        exact, rule = table["upper"].iloc[:2]
        assert exact < rule < 1.06 * exact
        assert table["status"].iloc[1] == "ok"
    few = zero_event_bound(2)
    assert few.loc["share_rule_of_three", ["upper", "status"]].tolist() == [1.0, "too_few"]
    assert "2 kept traces" in few.loc["share_rule_of_three", "reason"]
    assert few.loc["share", ["upper", "status"]].tolist() == [pytest.approx(1 - math.sqrt(0.05)), "ok"]


def test_an_empty_sample_excludes_no_share_but_many_events():
    table = zero_event_bound(0, p=0.01)
    assert table["upper"].tolist() == [1.0, 1.0, 298.0]
    assert table["status"].tolist() == ["too_few", "too_few", "ok"]
    assert "no trace was kept" in table.loc["share", "reason"]


def test_events_have_no_bound_without_a_rate():
    unknown = zero_event_bound(100)
    assert unknown["upper"].isna().tolist() == [False, False, True]
    assert unknown.loc["events", "status"] == "unidentifiable"
    assert "p is not given" in unknown.loc["events", "reason"]
    vanishing = zero_event_bound(100, p=5e-324)
    assert vanishing.loc["events", ["upper", "status"]].tolist() == [math.inf, "too_few"]


def test_the_types_of_the_bounds():
    for table in [zero_event_bound(0), zero_event_bound(9), zero_event_bound(9, p=1)]:
        assert table.dtypes.astype(str).tolist() == ["float64", "float64", "int64", "str", "str", "str"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: detection_probability(-1, 0.5), r"events=-1 is not a whole number in \[0, 1e\+15\]"),
        (lambda: detection_probability(2.5, 0.5), r"events=2.5 is not a whole number in \[0"),
        (lambda: detection_probability(10**5000, 0.5), r"events=<int of thousands of digits> is not a whole number"),
        (lambda: detection_probability("3", 0.5), r"events='3' is not a whole number"),
        (lambda: detection_probability(3, 0), r"p=0 is not a number in \(0, 1\]"),
        (lambda: detection_probability(3, 1.01), r"p=1.01 is not a number in \(0, 1\]"),
        (lambda: detection_probability(3, math.nan), r"p=nan is not a number in \(0, 1\]"),
        (lambda: detection_probability(3, True), r"p=True is not a number in \(0, 1\]"),
        (lambda: detection_probability(3, None), r"p=None is not a number in \(0, 1\]"),
        (lambda: detection_probability(3, 0.5, at_least=0), r"at_least=0 is not a whole number in \[1"),
        (lambda: required_rate(0, detect=0.5), r"events=0 is not a whole number in \[1"),
        (lambda: required_rate(3), r"give one of detect= .* and rel_error= .* found none"),
        (lambda: required_rate(3, detect=0.5, rel_error=0.1), r"give one of detect=.* found both"),
        (lambda: required_rate(3, detect=0), r"detect=0 is not a number in \(0, 1\]"),
        (lambda: required_rate(3, detect=95), r"detect=95 is not a number in \(0, 1\]"),
        (lambda: required_rate(3, detect=0.5, at_least=4), r"at_least=4 is not a whole number in \[1, 3\]"),
        (lambda: required_rate(3, rel_error=0), r"rel_error=0 is not a number in \(0, 1\)"),
        (lambda: required_rate(3, rel_error=1), r"rel_error=1 is not a number in \(0, 1\)"),
        (lambda: required_rate(3, rel_error=0.1, at_least=2), r"at_least=2 belongs to detect="),
        (lambda: required_rate(3, rel_error=0.1, conf=95), r"conf=95 is not a number in \[0.5, 1\)"),
        (lambda: zero_event_bound(-5), r"n=-5 is not a whole number in \[0"),
        (lambda: zero_event_bound(math.inf), r"n=inf is not a whole number in \[0"),
        (lambda: zero_event_bound(5, p=-0.1), r"p=-0.1 is not a number in \(0, 1\]"),
        (lambda: zero_event_bound(5, conf=1), r"conf=1 is not a number in \[0.5, 1\)"),
    ],
)
def test_a_bad_number_is_named_with_what_is_allowed(call, message):
    with pytest.raises(OptionError, match=message):
        call()


def test_numbers_of_numpy_are_numbers():
    assert detection_probability(np.int32(100), np.float32(0.5)) == detection_probability(100, 0.5)
    assert given_number("p", np.float64(0.25), "[0, 1]") == 0.25
    assert given_whole("n", np.uint8(3), 0) == 3
    with pytest.raises(OptionError, match=r"p=2.5 is not a number in \[0, 1\]"):
        given_number("p", np.float64(2.5), "[0, 1]")
