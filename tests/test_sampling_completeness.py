"""Spans that are missing: by design of the sampler, by loss, or because a tail sampler decided too early."""

from __future__ import annotations

import functools

import check_simulations_more as simulated
import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact
from small_traces import draw

import traceanalytics as ta
from traceanalytics.errors import OptionError, SchemaError
from traceanalytics.sampling.completeness_checks import EDGE_COLUMNS, check_completeness, orphan_test
from traceanalytics.sampling.span_thresholds import randomness_of
from traceanalytics.sampling.thresholds import SCALE, threshold, threshold_text
from traceanalytics.sampling.truncation_check import check_truncation, fisher_greater, pile_up, trace_shapes

RATES = {"frontend": 0.1, "cart": 0.4, "product": 0.4, "user": 0.2}


@functools.cache
def shop(requests=800):
    return ta.simulate.Shop(seed=5).run(requests)[0]


def by_service(spans, rates, default):
    """What services keep that decide by the trace's random number, each with a rate of its own."""
    thresholds = spans["service"].astype("str").map(lambda name: threshold(rates.get(name, default)))
    kept = (randomness_of(spans) >= thresholds.astype("UInt64")).to_numpy(bool)
    states = thresholds.map(lambda value: f"ot=th:{threshold_text(value)}")
    return spans.assign(trace_state=states.astype("str"))[kept]


def row(found, check, scope="all"):
    rows = found[(found["check"] == check) & (found["scope"] == scope)]
    assert len(rows) == 1
    return rows.iloc[0]


# -- orphans


def test_complete_traffic_has_nothing_to_complain_of():
    found = check_completeness(shop())
    assert set(found["verdict"]) == {"ok"}
    assert (found["orphans"].dropna() == 0).all()
    assert tuple(found.columns[:6]) == EDGE_COLUMNS
    assert found.dtypes.astype(str)[[*EDGE_COLUMNS, "verdict"]].tolist() == [
        "str", "Int64", "Int64", "float64", "float64", "float64", "category",
    ]  # fmt: skip


@pytest.mark.parametrize("keep", [0.99, 0.95, 0.8])
def test_independent_loss_is_measured(keep):
    spans = shop()
    some = spans[np.random.default_rng(1).random(len(spans)) < keep]
    found = row(check_completeness(some), "orphans")
    assert found["keep_hat"] == pytest.approx(keep, abs=0.02)
    assert found["lo"] < 1 - keep < found["hi"]
    assert found["verdict"] == ("warn" if found["orphan_share"] < 0.01 else "fail")


def test_orphans_by_design_are_no_loss():
    kept = by_service(shop(2000), RATES, 0.4)
    found = check_completeness(kept)
    total = row(found, "orphans")
    assert total["orphan_share"] > 0.05
    assert total["expected_share"] == pytest.approx(total["orphan_share"], abs=0.05)
    assert set(found["verdict"]) <= {"ok", "not_testable"}
    assert "design, not loss" in total["meaning"]
    assert "root" in row(found, "root_missing")["meaning"]


def test_the_share_of_orphans_is_that_of_the_rates():
    # Callers at 0.1, callees at 0.4: three of four children have no parent.
    rng = np.random.default_rng(3)
    bits = rng.random(40_000)
    there = bits < 0.4
    found = orphan_test(
        np.flatnonzero(there), np.zeros(there.sum(), int), bits[there] >= 0.1, np.full(there.sum(), 3.0), 1
    )
    share, expected = found.orphans[0] / found.children[0], found.expected[0]
    assert share == pytest.approx(0.75, abs=0.01)
    assert expected / (expected + found.children[0] - found.orphans[0]) == pytest.approx(0.75, abs=0.01)
    assert found.p_value[0] > 0.01


def test_loss_beside_the_design_is_found():
    kept = by_service(shop(2000), RATES, 0.4)
    lost = kept[np.random.default_rng(2).random(len(kept)) < 0.8]
    found = row(check_completeness(lost), "orphans")
    assert found["verdict"] == "fail"
    assert found["keep_hat"] == pytest.approx(0.8, abs=0.05)
    assert "parents were lost" in found["meaning"]


def test_callers_that_keep_more_than_they_say_are_found():
    kept = by_service(shop(2000), {}, 0.4)
    states = np.where(kept["service"] == "frontend", "ot=th:e666", kept["trace_state"])
    found = row(check_completeness(kept.assign(trace_state=states)), "orphans")
    assert found["verdict"] == "fail"
    assert "keep more than their thresholds say" in found["meaning"]


def test_a_caller_that_is_never_kept_leaves_the_question_open():
    spans = draw(*["a web 0-9\n  b db 1-2 parent=gone\n  c web 1-3"] * 3).assign(
        trace_state=lambda s: np.where(s["service"] == "db", "ot=th:0", "ot=th:8")
    )
    found = row(check_completeness(spans), "orphans", "service=db")
    assert found["verdict"] == "not_testable"
    assert "no caller of them was kept" in found["meaning"]


def test_one_place_of_orphans_is_a_caller_that_is_not_traced():
    spans = shop()
    callee = spans["service"] == "payment"
    entry = callee & (spans["kind"] == "SERVER")
    parents = spans["parent_span_id"].where(~(entry & (np.arange(len(spans)) % 3 == 0)), "ffffffffffffffff")
    found = row(check_completeness(spans.assign(parent_span_id=parents)), "orphans_in_one_place")
    assert found["verdict"] == "warn"
    assert "not traced" in found["meaning"]
    assert found["edge"] == "? -> payment"
    some = spans[np.random.default_rng(1).random(len(spans)) < 0.9]
    assert row(check_completeness(some), "orphans_in_one_place")["verdict"] == "ok"


def test_missing_roots_and_repeated_spans():
    spans = draw(*["a web 0-9\n  b db 1-2"] * 3)
    assert row(check_completeness(spans.iloc[1:]), "root_missing")["orphans"] == 1
    assert row(check_completeness(spans.iloc[1:]), "root_missing")["verdict"] == "fail"
    twice = pd.concat([spans, spans.iloc[:2]], ignore_index=True)
    found = row(check_completeness(twice), "repeated_spans")
    assert (found["orphans"], found["verdict"]) == (2, "warn")
    assert row(check_completeness(twice), "orphans")["children"] == 3


def test_little_and_nothing():
    nothing = check_completeness(draw())
    assert set(nothing["verdict"]) <= {"ok", "not_testable"}
    assert row(nothing, "orphans")["verdict"] == "not_testable"
    assert row(check_completeness(draw("a web 0-1")), "orphans")["verdict"] == "not_testable"
    assert row(check_completeness(draw("a - 0-1\n  b - 0-1")), "orphans", "service=(no service)")["children"] == 1
    with pytest.raises(SchemaError, match="no column 'team' to group children by"):
        check_completeness(draw(), by="team")


def test_the_frame_and_its_order_do_not_matter():
    kept = by_service(shop(), RATES, 0.4)
    before = kept.copy()
    found = check_completeness(kept)
    assert kept.equals(before)
    other = check_completeness(kept.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(found, other)


# -- truncation


def test_fisher_is_fishers():
    rng = np.random.default_rng(1)
    for both, rest, others, neither in rng.integers(0, 12, (40, 4)).tolist():
        table = [[both, rest], [others, neither]]
        expected = fisher_exact(table, alternative="greater")[1]
        total = both + rest + others + neither
        assert fisher_greater(both, both + rest, both + others, total) == pytest.approx(expected, abs=1e-9)


def long_traces(cut):
    """Requests of 1 s and jobs of 10 s, of which some lost a parent."""
    rows = ["a web 0-1000\n  b db 1-900\n    c db 5-800"] * 200 + ["a web 0-10000\n  b db 0-9000\n    c db 5-800"] * 40
    spans = draw(*rows)
    jobs = spans["duration_ms"] == 9000
    return spans.drop(spans.index[jobs][:cut])


def test_cut_traces_are_found():
    found = check_truncation(long_traces(20), decision_wait_s=5)
    assert found["verdict"].tolist() == ["fail", "ok", "not_testable"]
    assert found["effect"].iloc[0] == pytest.approx(0.5)
    assert found["lo"].iloc[0] < 0.5 < found["hi"].iloc[0]
    assert "wait longer" in found["meaning"].iloc[0]
    assert check_truncation(long_traces(0), decision_wait_s=5)["verdict"].iloc[0] == "ok"
    assert check_truncation(long_traces(5), decision_wait_s=50)["verdict"].iloc[0] == "not_testable"


def test_lost_roots_of_long_traces():
    spans = long_traces(0)
    roots = spans.index[spans["duration_ms"] == 10000][:25]
    spans = spans.drop(roots)
    assert (
        check_truncation(spans, decision_wait_s=5).set_index("check").loc["root_missing_in_long", "verdict"] == "fail"
    )
    assert trace_shapes(spans).rootless.sum() == 25


def test_extents_that_end_at_the_wait():
    extents = np.random.default_rng(1).lognormal(np.log(10), 1, 3000)
    assert pile_up(extents, 10)[2] > 0.05
    assert pile_up(np.where(extents > 10, 9.99, extents), 10)[2] < 1e-6
    assert pile_up(np.array([]), 10) == (0, 0, 1.0)


def test_evictions():
    spans = draw("a web 0-1")
    found = check_truncation(spans, decision_wait_s=30, traces_per_s=10_000, num_traces=50_000)
    assert found["verdict"].iloc[-1] == "fail"
    assert "evicted after 5 s" in found["meaning"].iloc[-1]
    assert check_truncation(spans, decision_wait_s=3, traces_per_s=10, num_traces=50)["verdict"].iloc[-1] == "ok"
    with pytest.raises(OptionError, match="belong together"):
        check_truncation(spans, decision_wait_s=3, num_traces=50)
    with pytest.raises(OptionError, match="decision_wait_s=0"):
        check_truncation(spans, decision_wait_s=0)


def test_truncation_of_nothing():
    assert set(check_truncation(draw(), decision_wait_s=3)["verdict"]) == {"not_testable"}
    assert set(check_truncation(draw("a web ?-?"), decision_wait_s=3)["verdict"]) == {"not_testable"}


# -- how often they are wrong, and right


@pytest.mark.parametrize("name", [name for name in simulated.CHECKS if not name.startswith("repr")])
def test_false_alarms(name):
    rng = np.random.default_rng(7)
    wrong = np.mean([simulated.CHECKS[name](rng) < 0.05 for _ in range(300)])
    assert wrong <= 0.09  # 0.05 and three standard errors


@pytest.mark.parametrize("name", [name for name in simulated.POWER if not name.startswith("repr")])
def test_power(name):
    check, expected = simulated.POWER[name]
    rng = np.random.default_rng(8)
    assert np.mean([check(rng) < 0.05 for _ in range(100)]) >= expected - 0.05


def test_thresholds_in_these_tests_mean_what_they_say():
    assert threshold(0.25) == SCALE * 3 // 4
