"""The cells of the coverage table: a population, a sampler, an estimator of the package, and the interval to compare its width with.

A cell draws many samples at once, laid out as groups, and gives the package's kernels all of them in one call. The same estimate
through the public function on a frame is compared on a few samples of every cell: ``frame`` of a cell.
"""

from __future__ import annotations

import functools
import itertools
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import timing  # noqa: F401 - puts the checkout on the path
from scipy.special import betaincinv
from scipy.stats import nbinom, norm, t

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from sampling_runs import population, samples

from traceanalytics.sampling.partial_traces import estimate_partial, partial_total
from traceanalytics.sampling.prefix_differences import prefixes_of
from traceanalytics.sampling.quantiles import estimate_quantile
from traceanalytics.sampling.ratios import error_rate, estimate_mean, ratio_of_sums, share_of_spans, share_of_traces
from traceanalytics.sampling.totals import estimate_total, sum_total, trace_total
from traceanalytics.sampling.woodruff import quantiles_of_units

TRACES = 200_000
TAIL = 0.025
LEVELS = np.array([0.5, 0.95, 0.99])
BEGIN = pd.Timestamp("2026-01-01", tz="UTC")


class Drawn(NamedTuple):
    """Intervals of some runs; ``ref_lo`` and ``ref_hi`` those of the first ones of them by the reference."""

    lo: np.ndarray
    hi: np.ndarray
    ok: np.ndarray
    ref_lo: np.ndarray
    ref_hi: np.ndarray


class Cell(NamedTuple):
    """One cell: ``draw(runs, seed, reference)`` gives intervals, ``frame(seed)`` those of one run, by kernel and by frame."""

    name: str
    estimator: str
    truth: float
    must_be_ok: bool
    heavy: float
    """Kept rows in a run: how many runs fit into a batch."""
    draw: object
    frame: object


@functools.cache
def traffic():
    """The population: 200,000 traces, 1 % of them failing, with 13.7 spans on average."""
    return population(TRACES)


@functools.cache
def span_values():
    """Durations of all spans, alike within a trace; and where each trace begins."""
    people = traffic()
    size = people.spans.astype(np.int64)
    rng = np.random.default_rng(11)
    values = np.repeat(people.latency, size) * rng.lognormal(-1, 0.3, size.sum())
    return values, np.cumsum(size) - size


def expanded_rows(trace):
    """Rows of the spans of kept traces, and the number of its trace for each."""
    size = traffic().spans[trace].astype(np.int64)
    first = span_values()[1][trace]
    unit = np.repeat(np.arange(len(trace)), size)
    return np.arange(size.sum()) - np.repeat(np.cumsum(size) - size - first, size), unit


def lower_quantiles(values):
    """The truth: quantiles of everything."""
    return np.quantile(values, LEVELS, method="inverted_cdf")


def by_run(runs, most):
    """Slices of the first runs."""
    bounds = np.searchsorted(runs.run, np.arange(most + 1))
    return [slice(*pair) for pair in itertools.pairwise(bounds)]


def frame_of(trace, pi, *, spans=False, values=None):
    """Return the frame of kept traces: one span each, or all of them; statuses are those of the population's errors."""
    people = traffic()
    at = np.arange(len(trace))
    if spans:
        at = np.repeat(at, people.spans[trace].astype(np.int64))
    first = np.append(True, at[1:] != at[:-1]) if len(at) else np.zeros(0, bool)
    place = np.arange(len(at)) - np.flatnonzero(first)[at] if len(at) else at
    failed = place < people.errors[trace][at] if spans else people.failed[trace][at]
    ids = pd.Series([f"{number:032x}" for number in range(1, len(trace) + 1)], dtype="str").to_numpy()[at]
    number = pd.Series([f"{k:016x}" for k in range(1, len(at) + 1)], dtype="str").to_numpy()
    roots = np.flatnonzero(first)
    return pd.DataFrame(
        {
            "trace_id": ids,
            "span_id": number,
            "parent_span_id": pd.Series(np.where(first, None, number[roots][at]) if len(at) else [], dtype="str"),
            "name": "call",
            "service": "web",
            "kind": pd.Categorical.from_codes(np.full(len(at), 2), categories=["UNSPECIFIED", "INTERNAL", "SERVER"]),
            "start_time": BEGIN,
            "duration_ms": people.latency[trace][at] if values is None else values,
            "status": pd.Categorical.from_codes(np.where(failed, 2, 0), categories=["UNSET", "OK", "ERROR"]),
            "weight": 1 / pi[at],
            "incl_prob": pi[at],
            "weight_status": pd.Categorical.from_codes(
                np.where(pi[at] < 1, 0, 1), categories=["known", "certain", "unknown", "inconsistent"]
            ),
        }
    )


def both(table, lo, hi):
    """The interval of the public function beside that of the kernel, for one run."""
    return np.array([table["lo"].to_numpy(), table["hi"].to_numpy()]), np.array([lo, hi])


# --- 3.2 totals and counts


def trace_totals(events, p, *, expected_ok):
    """How many traces there were of a kind that has so many."""
    rates = np.full(events, p)

    def draw(runs, seed, reference):
        drawn = samples(rates, runs, seed=seed)
        found = trace_total(drawn.run, runs, drawn.pi, floor=p)
        n = np.bincount(drawn.run, minlength=runs)[:reference]
        ref = n + np.where(n > 0, nbinom.ppf(TAIL, np.maximum(n, 1), p), 0), n + nbinom.ppf(1 - TAIL, n + 1, p)
        return Drawn(found.lo, found.hi, ~found.few, *ref)

    def frame(seed):
        drawn = samples(rates, 1, seed=seed)
        spans = frame_of(drawn.trace, drawn.pi)
        found = trace_total(drawn.run, 1, drawn.pi, floor=p)
        return both(estimate_total(spans, design=p), found.lo, found.hi)

    return Cell(f"3.2 {events:,} traces, {p:.4g}", "trace total", events, expected_ok, events * p, draw, frame)


def span_totals(p):
    """How many spans there were."""
    people = traffic()
    rates = np.full(TRACES, p)

    def draw(runs, seed, reference):
        drawn = samples(rates, runs, seed=seed)
        y = people.spans[drawn.trace]
        found = sum_total(drawn.run, runs, drawn.pi, y, y)
        total = np.bincount(drawn.run, weights=y, minlength=runs)[:reference] / p
        half = norm.isf(TAIL) * np.sqrt(np.bincount(drawn.run, weights=y * y, minlength=runs)[:reference] * (1 - p)) / p
        return Drawn(found.lo, found.hi, ~found.few, total - half, total + half)

    def frame(seed):
        drawn = samples(rates, 1, seed=seed)
        y = people.spans[drawn.trace]
        found = sum_total(drawn.run, 1, drawn.pi, y, y)
        return both(estimate_total(frame_of(drawn.trace, drawn.pi, spans=True), "spans"), found.lo, found.hi)

    return Cell(f"3.2 spans, {p:.4g}", "span total", people.spans.sum(), False, TRACES * p, draw, frame)


# --- 3.3 ratios, means, error rates


def ratio_reference(pi, y, x):
    """A ratio and its linearised standard error, written down plainly."""
    w = 1 / pi
    ratio = (w * y).sum() / (w * x).sum()
    n = len(y)
    return ratio, np.sqrt(((1 - pi) * w**2 * (y - ratio * x) ** 2).sum()) / (w * x).sum() * np.sqrt(n / max(n - 1, 1))


def korn_graubard_ends(share, se, n):
    """Clopper-Pearson's interval on the effective number, with Student's t for the clusters."""
    n_eff = share * (1 - share) / se**2 * (norm.isf(TAIL) / t.isf(TAIL, n - 1)) ** 2
    k = share * n_eff
    return betaincinv(k, n_eff - k + 1, TAIL), betaincinv(k + 1, n_eff - k, 1 - TAIL)


def wilson_ends(k, n):
    """Wilson's interval."""
    z = norm.isf(TAIL)
    middle = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * np.sqrt(k * (n - k) / n + z * z / 4)
    return middle - half, middle + half


def ends_of(pieces, function):
    """Reference intervals, a run at a time; missing where a run has nothing to tell."""
    found = np.full((2, len(pieces)), np.nan)
    for at, piece in enumerate(pieces):
        with np.errstate(divide="ignore", invalid="ignore"):
            found[:, at] = function(piece)
    return found


def span_error_rates(p):
    """Which share of the spans failed."""
    people = traffic()
    rates = np.full(TRACES, p)

    def draw(runs, seed, reference):
        drawn = samples(rates, runs, seed=seed)
        y, x = people.errors[drawn.trace], people.spans[drawn.trace]
        found = share_of_spans(drawn.run, runs, drawn.pi, y, x)

        def plain(piece):
            ratio, se = ratio_reference(drawn.pi[piece], y[piece], x[piece])
            return korn_graubard_ends(ratio, se, len(y[piece])) if se > 0 else (np.nan, np.nan)

        return Drawn(found.lo, found.hi, ~found.few, *ends_of(by_run(drawn, reference), plain))

    def frame(seed):
        drawn = samples(rates, 1, seed=seed)
        found = share_of_spans(drawn.run, 1, drawn.pi, people.errors[drawn.trace], people.spans[drawn.trace])
        return both(error_rate(frame_of(drawn.trace, drawn.pi, spans=True), level="span"), found.lo, found.hi)

    truth = people.errors.sum() / people.spans.sum()
    return Cell(f"3.3 span error rate, {p:.4g}", "error rate", truth, False, TRACES * p, draw, frame)


def trace_error_rates(p, *, expected_ok):
    """Which share of the traces failed."""
    people = traffic()
    rates = np.full(TRACES, p)

    def draw(runs, seed, reference):
        drawn = samples(rates, runs, seed=seed)
        hit = people.failed[drawn.trace]
        found = share_of_traces(drawn.run, runs, drawn.pi, hit, floor=p)
        k, n = (np.bincount(drawn.run, weights=each, minlength=runs)[:reference] for each in (hit, None))
        return Drawn(found.lo, found.hi, ~found.few, *wilson_ends(k, n))

    def frame(seed):
        drawn = samples(rates, 1, seed=seed)
        found = share_of_traces(drawn.run, 1, drawn.pi, people.failed[drawn.trace], floor=p)
        return both(error_rate(frame_of(drawn.trace, drawn.pi)), found.lo, found.hi)

    return Cell(
        f"3.3 trace error rate, {p:.4g}", "error rate", people.failed.mean(), expected_ok, TRACES * p, draw, frame
    )


def tail_means(p, what):
    """Mean latency, or share of failed traces, when all failed traces are kept and others with p."""
    people = traffic()
    rates = np.where(people.failed, 1.0, p)
    y = people.latency if what == "mean" else people.failed.astype(float)

    def kernel(drawn, runs):
        own = y[drawn.trace]
        if what == "mean":
            return ratio_of_sums(drawn.run, runs, drawn.pi, own)
        return share_of_traces(drawn.run, runs, drawn.pi, own > 0, floor=p)

    def draw(runs, seed, reference):
        drawn = samples(rates, runs, seed=seed)
        found = kernel(drawn, runs)

        def plain(piece):
            ratio, se = ratio_reference(drawn.pi[piece], y[drawn.trace[piece]], 1.0)
            return ratio - norm.isf(TAIL) * se, ratio + norm.isf(TAIL) * se

        return Drawn(found.lo, found.hi, ~found.few, *ends_of(by_run(drawn, reference), plain))

    def frame(seed):
        drawn = samples(rates, 1, seed=seed)
        spans = frame_of(drawn.trace, drawn.pi)
        found = kernel(drawn, 1)
        return both(estimate_mean(spans, "duration_ms") if what == "mean" else error_rate(spans), found.lo, found.hi)

    kept = TRACES * p + people.failed.sum()
    return Cell(f"3.3 errors + {p:.4g}, {what}", f"Hajek {what}", y.mean(), True, kept, draw, frame)


# --- 3.4 quantiles


def woodruff_ends(values, unit, pi, q, *, wald):
    """Woodruff's interval written down plainly, for units with several values each."""
    order = np.argsort(values)
    w = (1 / pi)[unit]
    below = np.cumsum(w[order]) / w.sum()
    ordered = values[order]
    x = ordered[np.searchsorted(below, q * (1 - 1e-12))]
    share, se = ratio_reference(
        pi, np.bincount(unit, weights=values <= x, minlength=len(pi)), np.bincount(unit, minlength=len(pi))
    )
    if wald:
        low, high = q - norm.isf(TAIL) * se, q + norm.isf(TAIL) * se
    else:
        n_eff = share * (1 - share) / se**2
        low, high = (
            betaincinv(q * n_eff, n_eff - q * n_eff + 1, TAIL),
            betaincinv(q * n_eff + 1, n_eff - q * n_eff, 1 - TAIL),
        )
    at = np.clip(np.searchsorted(below, [low, high]), 0, len(values) - 1)
    return ordered[at]


def quantile_cell(name, rates, at, *, level="trace", expected_ok=False):
    """A quantile of the roots' durations, or of all spans'."""
    people = traffic()
    q = LEVELS[at : at + 1]
    wald = bool(np.ptp(rates) > 0)

    def observed(drawn):
        if level == "trace":
            return people.latency[drawn.trace], None, np.arange(len(drawn.trace))
        rows, unit = expanded_rows(drawn.trace)
        return span_values()[0][rows], unit, unit

    def draw(runs, seed, reference):
        drawn = samples(rates, runs, seed=seed)
        values, unit, plain_unit = observed(drawn)
        found = quantiles_of_units(values, unit, drawn.run, drawn.pi, groups=runs, levels=q)

        def plain(piece):
            rows = slice(*np.searchsorted(plain_unit, [piece.start, piece.stop]))
            return woodruff_ends(values[rows], plain_unit[rows] - piece.start, drawn.pi[piece], q[0], wald=wald)

        ends = ends_of(by_run(drawn, reference), plain)
        return Drawn(found.lo[:, 0], found.hi[:, 0], found.sure[:, 0], *ends)

    def frame(seed):
        drawn = samples(rates, 1, seed=seed)
        values, unit, _ = observed(drawn)
        found = quantiles_of_units(values, unit, drawn.run, drawn.pi, groups=1, levels=q)
        spans = frame_of(drawn.trace, drawn.pi, spans=level == "span", values=values)
        return both(estimate_quantile(spans, q=q.tolist(), level=level), found.lo[:, 0], found.hi[:, 0])

    truth = lower_quantiles(people.latency if level == "trace" else span_values()[0])[at]
    kept = rates.sum() * (1 if level == "trace" else people.spans.mean())
    return Cell(f"3.4 {name}, p{100 * q[0]:g}", f"{level} quantile", truth, expected_ok, kept, draw, frame)


# --- 3.6 partially sampled traces

SERVICES = np.array([0.2, 0.05, 0.01])
FAILED = 5515


def partial_cell():
    """Traces with an error, which happens in one of three services that keep 20, 5 and 1 % of their spans."""
    at = np.random.default_rng(5).choice(3, FAILED, p=[0.162, 0.383, 0.455])

    def kept(runs, seed):
        rng = np.random.default_rng(seed)
        u = rng.random((runs, FAILED))
        run, trace = np.nonzero(u < SERVICES[0])
        whole = u[run, trace][:, None] < SERVICES
        unit, service = np.nonzero(whole)
        return run, at[trace], unit, service

    def kernel(run, place, unit, service, runs):
        prefixes = prefixes_of(unit, SERVICES[service])
        value = (service >= place[unit]).astype(float)  # one span a service: a prefix for each kept span
        return partial_total(prefixes, value, run, runs)

    def draw(runs, seed, reference):
        run, place, unit, service = kept(runs, seed)
        found = kernel(run, place, unit, service, runs)
        hit = service == place[unit]
        y = np.bincount(run[unit], weights=hit / SERVICES[service], minlength=runs)[:reference]
        half = norm.isf(TAIL) * np.sqrt(
            np.bincount(run[unit], weights=hit / SERVICES[service] ** 2, minlength=runs)[:reference]
        )
        return Drawn(found.lo, found.hi, ~found.few, y - half, y + half)

    def frame(seed):
        run, place, unit, service = kept(1, seed)
        found = kernel(run, place, unit, service, 1)
        spans = pd.DataFrame(
            {
                "trace_id": [f"{number:032x}" for number in unit.tolist()],
                "span_id": [f"{number:016x}" for number in range(1, len(unit) + 1)],
                "kind": pd.Categorical(["SERVER"] * len(unit)),
                "status": pd.Categorical(np.where(service == place[unit], "ERROR", "UNSET")),
            }
        )
        table = estimate_partial(spans, "error", probabilities=pd.Series(SERVICES[service]))
        return both(table, found.lo, found.hi)

    return Cell("3.6 any error, 0.2 / 0.05 / 0.01", "partial traces", FAILED, False, FAILED * 0.3, draw, frame)


def cells():
    """All cells, in the order of the reference."""
    people = traffic()
    slow = people.latency > lower_quantiles(people.latency)[2]
    counts = ((20, 0.01), (100, 0.01), (1000, 0.01), (1000, 0.1), (20_000, 0.001))
    designs = {
        "uniform 1 % (n = 2,000)": np.full(TRACES, 0.01),
        "uniform 0.1 % (n = 200)": np.full(TRACES, 0.001),
        "errors and > p99, 1 %": np.where(people.failed | slow, 1.0, 0.01),
        "errors, 0.1 %": np.where(people.failed, 1.0, 0.001),
    }
    return [
        *(trace_totals(events, p, expected_ok=events * p >= 10) for events, p in counts),
        *(span_totals(p) for p in (0.1, 0.01, 0.001)),
        *(span_error_rates(p) for p in (0.1, 0.01, 0.001)),
        *(trace_error_rates(p, expected_ok=TRACES * p * people.failed.mean() >= 10) for p in (0.1, 0.01, 0.001)),
        *(tail_means(p, what) for what in ("mean", "error rate") for p in (0.1, 0.01, 0.001)),
        *(
            quantile_cell(name, rates, at, expected_ok=at < 2 and round(rates.sum()) >= 2000 and rates.min() >= 0.01)
            for name, rates in designs.items()
            for at in range(3)
        ),
        *(
            quantile_cell("spans, 1 % (n = 2,000)", np.full(TRACES, 0.01), at, level="span", expected_ok=at < 2)
            for at in range(3)
        ),
        partial_cell(),
    ]
