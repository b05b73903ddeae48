"""Totals over whole traces from traces that were kept in part."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import traceanalytics as ta
from traceanalytics.sampling.designs import Design
from traceanalytics.sampling.partial_traces import estimate_partial, partial_total
from traceanalytics.sampling.prefix_differences import expanded, prefixes_of

P = {"web": 0.2, "cart": 0.05, "db": 0.01}
SHARES = {"web": 0.162, "cart": 0.383, "db": 0.455}
"""Where the (first) error of a failed trace is: the mix at which the visible flag falls short by 72 %."""


def shown(p, rng, runs):
    """Which of the spans with probabilities p (traces x spans) each run keeps: one random number a trace and run."""
    return rng.random((runs, len(p), 1)) < p


def numbers(n=4):
    """Traces of three services, one span each, db failing in every second one."""
    rows = [(f"{t:032x}", f"{3 * t + k + 1:016x}", service, k) for t in range(1, n + 1) for k, service in enumerate(P)]
    frame = pd.DataFrame(rows, columns=["trace_id", "span_id", "service", "k"])
    return ta.conform(
        frame.assign(
            parent_span_id=None, name=frame["service"], duration_ms=10.0 * (frame["k"] + 1),
            start_time=pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(frame["k"], unit="ms"),
            status=np.where((frame["service"] == "db") & (frame.index % 2 == 0), "ERROR", "UNSET"),
            bytes=np.arange(len(frame)) % 7 + 1.0,
        ).drop(columns="k")
    )  # fmt: skip


FUNCTIONS = {
    "traces": lambda spans: float(len(spans) > 0),
    "spans": len,
    "error": lambda spans: float(ta.is_error(spans).any()),
    "services": lambda spans: spans["service"].nunique(),
    "bytes": lambda spans: spans["bytes"].sum(),
    "duration": lambda spans: (
        0.0
        if spans.empty
        else (
            (spans["start_time"] + pd.to_timedelta(spans["duration_ms"], unit="ms")).max() - spans["start_time"].min()
        )
        / pd.Timedelta("1ms")
    ),
}


def small(seed=0, n=60):
    """A frame of random traces with random probabilities: spans of a trace in any order."""
    rng = np.random.default_rng(seed)
    spans = numbers(n).sample(frac=0.7, random_state=seed)
    spans["service"] = rng.choice(list(P), len(spans))
    return spans, pd.Series(rng.choice([0.05, 0.2, 0.5, 1.0], len(spans)), index=spans.index)


@pytest.mark.parametrize("what", FUNCTIONS)
@pytest.mark.parametrize("by", [None, "service"])
def test_functions_built_in_are_those_of_the_definition(what, by):
    spans, p = small()
    found = estimate_partial(spans, what, probabilities=p, by=by)
    called = estimate_partial(spans, FUNCTIONS[what], probabilities=p, by=by)
    pd.testing.assert_frame_equal(found, called.assign(method=found["method"]), rtol=1e-9)
    groups = [spans] if by is None else [each for _, each in spans.groupby(by, observed=True)]
    for group, estimate in zip(groups, found["estimate"], strict=True):
        total = 0.0
        for _, trace in group.groupby("trace_id", observed=True):
            before = 0.0
            for level in sorted(set(p[trace.index]), reverse=True):
                value = FUNCTIONS[what](trace[p[trace.index] >= level])
                total += (value - before) / level
                before = value
        assert estimate == pytest.approx(total)


@pytest.mark.parametrize("what", FUNCTIONS)
def test_estimate_and_variance_are_unbiased(what):
    # All that a trace can show, weighted by how probable it is: no drawing.
    p = np.array([0.9, 0.5, 0.2, 0.2])
    spans = numbers(2).iloc[[0, 1, 2, 5]].assign(trace_id=numbers(1)["trace_id"].iloc[0])
    probabilities = pd.Series(p, index=spans.index)
    mean = spread = guessed = 0.0
    for level, share in ((0.2, 0.2), (0.5, 0.3), (0.9, 0.4)):
        found = estimate_partial(spans[p >= level], what, probabilities=probabilities)
        mean += share * found["estimate"].item()
        spread += share * found["estimate"].item() ** 2
        guessed += share * found["se"].item() ** 2
    assert mean == pytest.approx(FUNCTIONS[what](spans))
    assert guessed == pytest.approx(spread - mean**2)


def test_equal_probabilities_are_the_plain_estimate_of_whole_traces():
    spans = numbers(40)
    found = estimate_partial(spans, "spans", design=0.25)
    assert found["estimate"].item() == 40 * 3 / 0.25
    assert found["se"].item() == pytest.approx(np.sqrt(40 * 0.75) * 3 / 0.25)
    assert found["n_eff"].item() == pytest.approx(40)


def test_figures_of_partial_traces():
    rng = np.random.default_rng(1)
    failed = 5515
    at = rng.choice(3, failed, p=list(SHARES.values()))
    p = np.array(list(P.values()))
    complete, visible, estimates, hits = [], [], [], []
    for _ in range(800):
        u = rng.random(failed)
        seen = np.flatnonzero(u < p[0])
        unit = np.repeat(np.arange(len(seen)), 3)
        kept = (u[seen, None] < p).ravel()
        prefixes = prefixes_of(unit[kept], np.tile(p, len(seen))[kept])
        reach = np.tile(np.arange(3), len(seen))[kept]
        value = (reach >= at[seen][unit[kept]]).astype(float)  # one span a service: prefixes are the kept spans
        found = partial_total(prefixes, value, np.zeros(len(seen), int), 1)
        estimates.append(found.estimate[0])
        hits.append(found.lo[0] <= failed <= found.hi[0])
        complete.append((u < p[2]).sum() / p[2])
        visible.append((u < p[at]).sum() / p[0])
    assert np.mean(estimates) / failed - 1 == pytest.approx(0, abs=0.012)
    assert np.std(estimates) / failed == pytest.approx(0.098, abs=0.008)
    assert np.std(complete) / failed == pytest.approx(0.134, abs=0.011)
    assert np.mean(visible) / failed - 1 == pytest.approx(-0.72, abs=0.01)
    assert np.mean(hits) == pytest.approx(0.95, abs=0.02)


def test_thresholds_in_tracestates_tell():
    spans = numbers(30)
    state = spans["service"].astype("str").map({"web": "ot=th:8", "cart": "ot=th:c", "db": "ot=th:e"})
    told = estimate_partial(spans.assign(trace_state=state), "error")
    given = estimate_partial(
        spans, "error", probabilities=spans["service"].astype("str").map({"web": 0.5, "cart": 0.25, "db": 0.125})
    )
    pd.testing.assert_frame_equal(told, given)


def test_a_design_for_services_tells():
    spans = numbers(30)
    designed = estimate_partial(spans, "spans", design=Design.consistent({"web": 0.5, "cart": 0.25, "db": 0.125}))
    given = spans["service"].astype("str").map({"web": 0.5, "cart": 0.25, "db": 0.125})
    assert designed["estimate"].item() == pytest.approx((1 / given).sum())
    assert designed["status"].item() == "ok"


def test_per_trace_is_a_mean():
    spans = numbers(200)
    p = spans["service"].astype("str").map(P)
    share = estimate_partial(spans, "error", per="trace", probabilities=p)
    total, traces = (estimate_partial(spans, what, probabilities=p)["estimate"].item() for what in ("error", "traces"))
    assert share["estimate"].item() == pytest.approx(total / traces)
    one = estimate_partial(spans, "traces", per="trace", probabilities=p)
    assert one["estimate"].item() == 1
    assert one["se"].item() == 0


def test_everything_kept_is_a_census():
    spans = numbers(20)
    found = estimate_partial(spans, "spans", design=1.0)
    assert found[["estimate", "lo", "hi", "se"]].iloc[0].tolist() == [60, 60, 60, 0]
    assert (found["method"].item(), found["status"].item()) == ("census", "ok")


def test_unknown_and_few():
    spans = numbers(6)
    unknown = estimate_partial(spans, "spans")
    assert unknown["status"].item() == "unidentifiable"
    assert np.isnan(unknown["estimate"].item())
    few = estimate_partial(spans, "spans", design=0.5)
    assert few["status"].item() == "too_few"
    assert "needs 10" in few["reason"].item()
    nothing = estimate_partial(spans.iloc[:0], "spans", design=0.5)
    assert nothing["status"].item() == "too_few"
    half = pd.Series(np.where(spans["service"] == "db", np.nan, 0.5), index=spans.index)
    by = estimate_partial(spans, "spans", probabilities=half, by="service").set_index("service")
    assert by["status"].to_dict() == {"cart": "too_few", "db": "unidentifiable", "web": "too_few"}


def test_repeated_spans_count_once_and_order_does_not_matter():
    spans = numbers(30)
    again = pd.concat([spans, spans.iloc[:40]], ignore_index=True).sample(frac=1, random_state=2)
    for what in FUNCTIONS:
        pd.testing.assert_frame_equal(
            estimate_partial(again, what, design=0.3), estimate_partial(spans, what, design=0.3)
        )


def test_a_function_that_falls_may_be_estimated_below_zero():
    spans, p = small(3)
    found = estimate_partial(spans, lambda trace: -float(len(trace)), probabilities=p)
    assert found["estimate"].item() == -estimate_partial(spans, "spans", probabilities=p)["estimate"].item()
    assert found["lo"].item() < found["estimate"].item() < found["hi"].item()
    assert "normal" in found["method"].item()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"what": "spanz"}, "what='spanz'"),
        ({"per": "span"}, "per='span' is not one of 'total', 'trace'"),
        ({"conf": 0}, "conf=0 is not a number"),
        ({"probabilities": [0.5]}, "probabilities: expected a Series"),
        ({"what": lambda _: float("nan")}, "what returned nan"),
        ({"by": "nowhere"}, "by='nowhere'"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ta.OptionError, match=message):
        estimate_partial(numbers(3), **{"design": 0.5} | options)


@pytest.mark.parametrize("p", [0.0, -1.0, 1.5])
def test_impossible_probabilities_are_refused(p):
    spans = numbers(3)
    with pytest.raises(ta.SchemaError, match=r"outside \(0, 1\]"):
        estimate_partial(spans, probabilities=pd.Series(p, index=spans.index))


def test_squares_are_estimated_without_bias():
    prefixes = prefixes_of(np.array([0, 0, 1]), np.array([0.5, 0.1, 0.5]))
    total, square = expanded(prefixes, np.array([1.0, 3.0, 2.0]), 2)
    assert total.tolist() == [1 / 0.5 + 2 / 0.1, 4]
    assert square.tolist() == [1 / 0.5 + 8 / 0.1, 8]
