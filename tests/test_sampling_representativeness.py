"""The mix of a sample against a reference: spans come by the trace."""

from __future__ import annotations

import functools

import check_simulations_more as simulated
import numpy as np
import pandas as pd
import pytest
from small_traces import draw

import traceanalytics as ta
from traceanalytics.errors import OptionError, SchemaError
from traceanalytics.sampling.rao_scott import mix_test, null_band, shares_of
from traceanalytics.sampling.representativeness import check_representativeness


@functools.cache
def shop():
    return ta.simulate.Shop(seed=5).run(3000)[0]


def part(spans, p, seed=1):
    ids = spans["trace_id"].unique()
    return spans[spans["trace_id"].isin(ids[np.random.default_rng(seed).random(len(ids)) < p])]


def first(*args, **options):
    return check_representativeness(*args, **options).iloc[0]


# -- the test


def test_units_that_are_independent_have_no_design_effect():
    drawn = np.random.default_rng(1).multinomial(1, [0.5, 0.3, 0.2], 2000).astype(float)
    shares, expected = shares_of(drawn), np.array([0.5, 0.3, 0.2])
    corrected, plain = mix_test(shares, expected), mix_test(shares, expected, method="plain")
    assert corrected.deff == pytest.approx(1, abs=0.05)
    assert corrected.p_value == pytest.approx(plain.p_value, abs=0.02)
    assert plain.statistic == pytest.approx(2000 * ((shares.share - expected) ** 2 / expected).sum())


def test_traces_of_identical_spans_have_their_number_as_design_effect():
    drawn = 7 * np.random.default_rng(1).multinomial(1, [0.5, 0.3, 0.2], 2000).astype(float)
    shares, expected = shares_of(drawn), np.array([0.5, 0.3, 0.2])
    found = mix_test(shares, expected)
    assert found.deff == pytest.approx(7, abs=0.3)
    assert found.p_value == pytest.approx(mix_test(shares_of(drawn / 7), expected).p_value, rel=1e-6)


def test_the_covariance_is_that_of_repeated_samples():
    counts = simulated.traffic().services
    rng = np.random.default_rng(2)
    drawn = np.array([shares_of(counts[rng.integers(len(counts), size=500)]).share for _ in range(800)])
    claimed = shares_of(counts[rng.integers(len(counts), size=2000)]).covariance * 4
    assert np.diag(claimed) == pytest.approx(drawn.var(axis=0), rel=0.3)


def test_weights_undo_unequal_probabilities():
    counts = np.repeat([[1.0, 0.0], [0.0, 1.0]], [900, 100], axis=0)
    kept = np.r_[0:90, 900:1000]  # the second kind is kept always
    pi = np.r_[np.full(90, 0.1), np.ones(100)]
    assert shares_of(counts[kept], 1 / pi).share == pytest.approx([0.9, 0.1])
    assert shares_of(counts[kept], 1 / pi, 1 - pi).covariance[0, 0] < shares_of(counts[kept], 1 / pi).covariance[0, 0]


def test_the_null_band_grows_with_the_design_effect():
    counts = np.repeat([[1.0, 0.0], [0.0, 1.0]], 50, axis=0)
    expected = np.array([0.5, 0.5])
    assert null_band(shares_of(counts), expected).distance == pytest.approx(0.1, abs=0.01)
    assert null_band(shares_of(counts[::4]), expected).distance > 0.17


# -- frames


def test_a_part_of_the_traffic_is_like_it():
    spans, some = shop(), part(shop(), 0.1)
    reference = spans["service"].value_counts()
    for given in (spans, reference, reference / reference.sum()):
        assert first(some, given)["verdict"] == "ok"
    assert first(some, spans, by="name", level="trace")["verdict"] == "ok"
    assert first(some, spans, by="duration_ms")["verdict"] == "ok"
    assert first(some, spans, by="http.route")["verdict"] == "ok"


def test_a_service_that_loses_spans_is_found_and_named():
    some = part(shop(), 0.3)
    lost = some[~((some["service"] == "product") & (np.random.default_rng(1).random(len(some)) < 0.6))]
    found = check_representativeness(lost, shop())
    assert found["verdict"].iloc[0] == "fail"
    assert "product" in found["meaning"].iloc[0]
    assert found.set_index("scope").loc["service=product", "verdict"] == "fail"
    assert found.set_index("scope").loc["service=product", "effect"] < -0.04
    assert found["lo"].iloc[0] > 0
    assert found["n"].iloc[0] == some["trace_id"].nunique()


def test_slower_spans_are_found():
    some = part(shop(), 0.3)
    assert first(some.assign(duration_ms=some["duration_ms"] * 1.3), shop(), by="duration_ms")["verdict"] == "fail"


def test_other_traffic_adds_its_own_chance():
    some = part(shop(), 0.3)
    other = shop()[~shop()["trace_id"].isin(some["trace_id"])]
    exact = first(some, other["service"].value_counts())
    chance = first(some, other)
    assert chance["p_value"] > exact["p_value"]
    assert chance["verdict"] == "ok"


def test_histograms_of_metrics():
    some = part(shop(), 0.3)
    bounds = [0, 1, 5, 20, 100, 1e6]
    classes = pd.cut(shop()["duration_ms"], bounds).value_counts().sort_index()
    by_interval = first(some, classes, by="duration_ms")
    assert by_interval["verdict"] == "ok"
    by_bins = first(some, classes.reset_index(drop=True), by="duration_ms", bins=bounds)
    assert by_bins["p_value"] == by_interval["p_value"]


def test_weights_of_the_frame_are_used():
    spans = shop()
    failed = set(spans.loc[spans["status"] == "ERROR", "trace_id"])
    of = spans["trace_id"].isin(failed)
    kept = pd.concat([spans[of], part(spans[~of], 0.2)])
    p = np.where(kept["trace_id"].isin(failed), 1.0, 0.2)
    weighted = ta.sampling.attach_weights(kept, design=pd.Series(p, kept.index))
    by = {"by": "status"}
    assert first(kept, spans, **by)["verdict"] == "fail"
    assert first(weighted, spans, **by)["verdict"] == "ok"
    half = weighted.assign(
        incl_prob=weighted["incl_prob"].where(weighted["trace_id"].isin(failed)),
        weight=weighted["weight"].where(weighted["trace_id"].isin(failed)),
    )
    half.loc[half["weight"].isna(), "weight_status"] = "unknown"
    assert first(half, spans, **by)["verdict"] == "not_testable"


def test_groups_that_the_reference_does_not_have():
    some = part(shop(), 0.3)
    reference = shop()["service"].value_counts().drop("cart")
    found = check_representativeness(some, reference)
    assert found.iloc[-1]["check"] == "unknown_groups"
    assert found.iloc[-1]["verdict"] == "warn"
    assert "cart" in found.iloc[-1]["meaning"]


def test_small_groups_are_put_together():
    some = part(shop(), 0.1)
    reference = pd.concat([shop()["service"].value_counts(), pd.Series({f"tiny{i}": 1 for i in range(300)})])
    found = check_representativeness(some, reference)
    assert len(found) < 20
    assert found["verdict"].iloc[0] == "ok"


def test_little_nothing_and_wrong():
    spans = draw(*["a web 0-9\n  b db 1-2"] * 30)
    counts = pd.Series({"web": 10, "db": 10})
    assert first(spans, counts)["verdict"] == "ok"  # every trace is alike
    assert first(spans.head(4), counts)["verdict"] == "not_testable"
    assert first(spans.head(0), counts)["verdict"] == "not_testable"
    assert first(spans, pd.Series({"web": 10}))["verdict"] == "not_testable"
    assert first(spans, pd.Series({"other": 10}))["verdict"] == "not_testable"
    assert first(spans, pd.Series({"web": 10, "db": 30}))["verdict"] == "fail"
    for wrong in (pd.Series({"web": np.nan}), pd.Series({"web": -1, "db": 2}), pd.Series({"web": 0}), pd.Series(["x"])):
        with pytest.raises(OptionError, match="finite numbers, none negative, not all 0"):
            check_representativeness(spans, wrong)
    with pytest.raises(OptionError, match="reference is a dict"):
        check_representativeness(spans, {"web": 1})
    with pytest.raises(OptionError, match="give bins"):
        check_representativeness(spans, pd.Series([1, 2]), by="duration_ms")
    with pytest.raises(OptionError, match="ascending, without gaps"):
        check_representativeness(
            spans, pd.Series([1, 2], pd.IntervalIndex.from_tuples([(0, 1), (2, 3)])), by="duration_ms"
        )
    with pytest.raises(OptionError, match="no bounds of classes"):
        check_representativeness(spans, spans, by="duration_ms", bins=[1, np.nan, 3])
    with pytest.raises(OptionError, match="counts 2 classes, bins have 3"):
        check_representativeness(spans, pd.Series([1, 2]), by="duration_ms", bins=[0, 1, 2, 3])
    with pytest.raises(OptionError, match="method='exact'"):
        check_representativeness(spans, counts, method="exact")
    with pytest.raises(OptionError, match="'team' is no column"):
        check_representativeness(spans, counts, by="team")
    with pytest.raises(SchemaError, match="no column 'team' to class"):
        check_representativeness(spans, counts, by="team", bins=[1, 2, 3])


def test_inputs_stay_as_they_are():
    some, spans = part(shop(), 0.1), shop()
    before = some.copy(), spans.copy()
    check_representativeness(some, spans, by="duration_ms")
    assert some.equals(before[0])
    assert spans.equals(before[1])


# -- how often it is wrong, and right


@pytest.mark.parametrize("name", [name for name in simulated.CHECKS if name.startswith("repr")])
def test_false_alarms(name):
    rng = np.random.default_rng(7)
    wrong = np.mean([simulated.CHECKS[name](rng) < 0.05 for _ in range(500)])
    assert 0.01 <= wrong <= 0.08


def test_pearsons_test_of_spans_is_wrong_nearly_always():
    rng = np.random.default_rng(7)
    assert np.mean([simulated.spans_by_service(rng, method="plain") < 0.05 for _ in range(200)]) > 0.7


@pytest.mark.parametrize("name", [name for name in simulated.POWER if name.startswith("repr")])
def test_power(name):
    check, expected = simulated.POWER[name]
    rng = np.random.default_rng(8)
    assert np.mean([check(rng) < 0.05 for _ in range(100)]) >= expected - 0.05
