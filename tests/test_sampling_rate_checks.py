"""Checks of claimed rates, of contradicting tracestates, and of drift through time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from traceanalytics.errors import OptionError, SchemaError
from traceanalytics.sampling.check_table import COLUMNS
from traceanalytics.sampling.rate_checks import (
    check_drift,
    check_rate,
    check_threshold_consistency,
    rate_test,
    requests_needed,
)

BEGIN = pd.Timestamp("2026-01-01", tz="UTC")


def traces(n):
    return pd.DataFrame({"trace_id": [f"{at:032x}" for at in range(n)]})


def by(table):
    return table.set_index("check")


@pytest.mark.parametrize(("p", "published"), [(0.1, 6862), (0.01, 75_266)])
def test_requests_needed_for_a_tenth_less(p, published):
    """The published numbers were made with quantiles of two decimals, 1.96 and 0.84."""
    assert requests_needed(p, change=-0.1) == pytest.approx(published, rel=0.002)
    with pytest.raises(OptionError, match="expected another rate"):
        requests_needed(p, change=0)
    with pytest.raises(OptionError, match="power"):
        requests_needed(p, change=-0.1, power=1)


@pytest.mark.parametrize(("kept", "n", "p"), [(10, 100, 0.1), (0, 50, 0.1), (50, 50, 0.9), (700, 9000, 0.08)])
def test_the_interval_of_a_rate_is_clopper_and_pearsons(kept, n, p):
    test = rate_test(kept, n, p)
    exact = stats.binomtest(kept, n, p).proportion_ci(0.95, method="exact")
    assert (test.lo, test.hi) == pytest.approx((exact.low, exact.high), rel=1e-6, abs=1e-12)
    mid = stats.binom.cdf(kept, n, p) - stats.binom.pmf(kept, n, p) / 2
    assert test.p_value == pytest.approx(min(1, 2 * min(mid, 1 - mid)), rel=1e-6, abs=1e-12)


def test_rates_against_a_reference():
    row = check_rate(traces(100), claimed=0.1, reference=1000).iloc[0]
    assert (row["effect"], row["n"], row["verdict"]) == (0.1, 1000, "ok")
    assert check_rate(traces(85), claimed=0.1, reference=pd.Series([500, 500])).iloc[0]["verdict"] == "ok"
    assert check_rate(traces(50), claimed=0.1, reference=1000).iloc[0]["verdict"] == "fail"
    assert check_rate(traces(50), claimed=0.1, reference=1000, reference_error=0.5).iloc[0]["verdict"] == "ok"
    assert check_rate(traces(50), claimed=1, reference=50).iloc[0]["verdict"] == "ok"
    assert check_rate(traces(49), claimed=1, reference=50).iloc[0]["verdict"] == "fail"
    assert check_rate(traces(0), claimed=0.1, reference=5).iloc[0]["verdict"] == "ok"
    more = check_rate(traces(50), claimed=0.1, reference=10).iloc[0]
    assert more["verdict"] == "fail"
    assert "more traces than requests" in more["meaning"]


def test_rates_without_a_reference_and_wrong_numbers():
    assert check_rate(traces(5), claimed=0.1)["verdict"].tolist() == ["not_testable"]
    assert check_rate(traces(5), claimed=0.1, reference=0)["verdict"].tolist() == ["fail"]
    assert check_rate(traces(0), claimed=0.1, reference=0)["verdict"].tolist() == ["not_testable"]
    for options in (
        {"claimed": 0},
        {"claimed": 1.1},
        {"claimed": 0.1, "reference": -1},
        {"claimed": 0.1, "reference_error": 1},
    ):
        with pytest.raises(OptionError, match="is not a"):
            check_rate(traces(5), **options)


def states(*texts, ids=None, flags=None):
    n = len(texts)
    frame = pd.DataFrame(
        {
            "trace_id": ids or ["f" * 32] * n,
            "span_id": [f"{at + 1:016x}" for at in range(n)],
            "name": "call",
            "parent_span_id": [None, *[f"{at + 1:016x}" for at in range(n - 1)]],
            "trace_state": pd.Series(texts, dtype="str"),
        }
    )
    import traceanalytics as ta

    frame = ta.conform(frame)
    return frame if flags is None else frame.assign(trace_flags=pd.array(flags, dtype="UInt32"))


def broken(spans):
    table = by(check_threshold_consistency(spans))
    assert list(table.reset_index().columns) == list(COLUMNS)
    return {name[11:]: int(count) for name, count in table["statistic"].dropna().items() if count}


def test_thresholds_that_agree_break_no_rule():
    assert broken(states("ot=th:8", "ot=th:8", flags=[1, 1])) == {}


def test_every_rule_is_broken_by_something():
    assert broken(states("ot=th:8", "ot=th:c", "ot=th:4")) == {"mixed": 1, "above parent": 1, "below parent": 1}
    assert broken(states("ot=th:8", None)) == {"part of a trace": 1}
    assert broken(states("ot=th:8", ids=["1" * 32])) == {"below": 1}
    assert broken(states("ot=th:8", "ot=th:8", flags=[1, 0])) == {"sampled flag": 1}
    assert broken(states("ot=th:8", ids=["x"])) == {"no randomness": 1}
    assert broken(states("ot=rv:f0000000000000;th:8", "ot=rv:f0000000000001;th:8")) == {"mixed": 1}


def test_rejected_tracestates_are_counted_by_reason():
    table = by(check_threshold_consistency(states("ot=th:0x8", "ot=th:", "ot=th:8")))
    row = table.loc["threshold: rejected"]
    assert (row["statistic"], row["n"], row["verdict"]) == (2, 3, "warn")
    assert "syntax 1" in row["meaning"]
    assert "th_empty 1" in row["meaning"]


def test_thresholds_of_frames_without_any():
    empty = pd.DataFrame({"trace_id": pd.Series(dtype="category"), "trace_state": pd.Series(dtype="str")})
    assert set(check_threshold_consistency(empty)["verdict"]) == {"not_testable"}
    nothing = by(check_threshold_consistency(states(None, None)))
    assert nothing["verdict"]["threshold: below"] == nothing["verdict"]["threshold: rejected"] == "not_testable"
    with pytest.raises(SchemaError, match="lacks the column 'trace_state'"):
        check_threshold_consistency(empty[["trace_id"]])


def through_time(rng, rates, *, per_minute=600):
    """Kept traces of minutes with these rates, and the counts of all."""
    requests = rng.poisson(per_minute, len(rates))
    kept = rng.binomial(requests, rates)
    offsets = np.repeat(np.arange(len(rates)), kept) * 60 + rng.random(kept.sum()) * 60
    spans = traces(len(offsets)).assign(start_time=BEGIN + pd.to_timedelta(offsets, unit="s"))
    return spans, pd.Series(requests, index=pd.date_range(BEGIN, periods=len(rates), freq="1min"))


def test_one_rate_and_a_step():
    rng = np.random.default_rng(1)
    spans, reference = through_time(rng, [0.1] * 60)
    table = by(check_drift(spans, reference, p=0.1))
    assert len(table) == 5
    assert "fail" not in set(table["verdict"])
    assert check_drift(spans.iloc[::-1], reference.tz_localize(None), p=0.1).set_index("check").equals(table)
    spans, reference = through_time(rng, [0.1] * 30 + [0.05] * 30)
    table = by(check_drift(spans, reference, p=0.1))
    assert [*table["verdict"].iloc[:3]] == ["fail"] * 3
    assert table.loc["drift: step", "effect"] == pytest.approx(-0.5, abs=0.1)
    assert any(f"00:{minute}" in table.loc["drift: step", "meaning"] for minute in (29, 30, 31))
    assert table.loc["drift: same rate", "effect"] == pytest.approx(1 / 3, abs=0.1)


def test_a_limiter_shows_in_the_seconds():
    counts = np.minimum(np.random.default_rng(2).poisson(5, 300), 5)
    offsets = np.repeat(np.arange(300), counts) + 0.1
    spans = traces(len(offsets)).assign(start_time=BEGIN + pd.to_timedelta(offsets, unit="s"))
    table = by(check_drift(spans))
    assert [*table["verdict"]] == ["not_testable", "not_testable", "fail", "fail"]
    assert table.loc["drift: plateau", "statistic"] == 5


def test_drift_of_odd_references_and_frames():
    spans, reference = through_time(np.random.default_rng(3), [0.1] * 5)
    for wrong in (reference.reset_index(drop=True), reference - 1e6, reference + 0.5, 5):
        with pytest.raises(OptionError, match="reference: expected"):
            check_drift(spans, wrong)
    for freq in ("x", "0s", "-1min"):
        with pytest.raises(OptionError, match="freq="):
            check_drift(spans, reference, freq=freq)
    fewer = check_drift(spans, reference * 0 + 1, p=0.5)
    assert [*fewer["verdict"].iloc[:3]] == ["fail"] * 3
    later = check_drift(spans, reference.shift(freq="1D"))
    assert [*later["verdict"].iloc[:2]] == ["not_testable"] * 2
    assert set(check_drift(spans.iloc[:0], reference, p=0.1)["verdict"]) == {"not_testable"}
    assert set(check_drift(spans.iloc[:1], reference, p=0.1)["verdict"]) <= {"not_testable", "warn", "fail", "ok"}
    whole, reference = through_time(np.random.default_rng(4), [1.0] * 5)
    assert [*check_drift(whole, reference, p=1)["verdict"].iloc[:3]] == ["not_testable", "not_testable", "ok"]
    missing = spans.assign(start_time=pd.Series(pd.NaT, index=spans.index, dtype="datetime64[ns, UTC]"))
    assert set(check_drift(missing, reference)["verdict"]) == {"not_testable"}
