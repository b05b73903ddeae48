"""Many samples of one population of traces at once: what coverage tests of estimators run on.

The runs are laid out as groups: an estimator that answers by group answers all of them in one call.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Population", "Runs", "covered", "least_coverage", "population", "samples"]


class Population(NamedTuple):
    """Complete traffic, one entry a trace."""

    spans: np.ndarray
    errors: np.ndarray
    """Error spans of the trace."""
    failed: np.ndarray
    latency: np.ndarray
    total_ms: np.ndarray
    """Sum of the durations of the trace's spans."""


class Runs(NamedTuple):
    """Kept traces of all runs: number of the run, place in the population, probability; ordered by run."""

    run: np.ndarray
    trace: np.ndarray
    pi: np.ndarray
    runs: int


def population(n=20_000, *, error_share=0.01, seed=7):
    """Return traces with log-normal numbers of spans and latencies, exactly so many failing ones; errors come in clusters."""
    rng = np.random.default_rng(seed)
    spans = np.maximum(1, np.round(rng.lognormal(2.3, 0.8, n)))
    failed = np.zeros(n, bool)
    failed[rng.choice(n, round(error_share * n), replace=False)] = True
    errors = np.where(failed, 1 + rng.binomial((spans - 1).astype(int), 0.3), 0).astype(float)
    latency = rng.lognormal(4, 1, n) * np.where(failed, 4, 1)
    return Population(spans, errors, failed, latency, latency * spans / 3)


def samples(pi, runs, *, seed=0):
    """Draw every trace of a population in every run with its probability ``pi`` (an array, or one number with ``n``).

    Instead of a random number for each trace and run, the gaps between kept ones are drawn: geometric, the same law.
    """
    rng = np.random.default_rng(seed)
    pi = np.asarray(pi, float)
    found = []
    for p in np.unique(pi):
        rows = np.flatnonzero(pi == p)
        if p == 1:
            at = np.arange(runs * len(rows))
        else:
            cells = runs * len(rows)
            many = int(cells * p + 10 * np.sqrt(cells * p) + 50)
            at = np.cumsum(rng.geometric(p, many)) - 1
            assert at[-1] >= cells
            at = at[at < cells]
        found.append((at // len(rows), rows[at % len(rows)]))
    run, trace = (np.concatenate(each) for each in zip(*found, strict=True))
    order = np.argsort(run, kind="stable")
    return Runs(run[order], trace[order], pi[trace[order]], runs)


def covered(lo, hi, truth, ok=None):
    """Return the share of the runs (of those in ``ok``) whose interval holds the truth."""
    hit = (lo <= truth) & (truth <= hi)
    return float(hit.mean() if ok is None else hit[ok].mean())


def least_coverage(runs, *, share=0.93):
    """Return the coverage below which a true one of ``share`` falls with a probability of 1 % (one-sided binomial test)."""
    return share - 2.326 * np.sqrt(share * (1 - share) / runs)
