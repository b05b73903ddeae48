"""Checks of ids, rates and drift on simulated data: p-values where there is nothing to find, and where there is.

``CHECKS``: name -> function of a random generator that returns a p-value under the null hypothesis. ``DISCRETE`` names those whose
statistic has few values, so that fewer than 2 % of them may be below 5 %. ``POWER``: name -> (such a function under an
alternative, the least share of p-values below 5 %).
"""

from __future__ import annotations

import functools

import numpy as np
from id_generators import GENERATORS

from traceanalytics.sampling.drift_checks import cusum, dispersion, homogeneity, plateau
from traceanalytics.sampling.id_columns import distinct_ids
from traceanalytics.sampling.id_tests import kolmogorov, randomness_tests
from traceanalytics.sampling.rate_checks import rate_test
from traceanalytics.sampling.thresholds import SCALE, threshold

U = np.uint64


def random_bits(rng, n, low=0):
    return rng.integers(low, SCALE, n, dtype=np.uint64)


def ids_whole(rng, n):
    return randomness_tests(random_bits(rng, n)).p_value


def ids_above(rng, n, p):
    floor = threshold(p)
    return randomness_tests(random_bits(rng, n, floor), floor).p_value


def ids_made(rng, n, maker):
    return randomness_tests(distinct_ids(GENERATORS[maker](rng, n)).words[:, 1] & U(SCALE - 1)).p_value


def ids_with_zero_bytes(rng, n, share):
    values = random_bits(rng, n)
    values[rng.random(n) < share] &= U(2**48 - 1)
    return randomness_tests(values).p_value


def replay_law(rng, n, actual=0.1, claimed=0.1):
    return kolmogorov(rng.random(n) * actual / claimed)[1]


def rate(rng, requests, actual, claimed):
    return rate_test(int(rng.binomial(requests, actual)), requests, claimed).p_value


def traffic(rng, intervals=60, mean=600):
    return rng.poisson(mean, intervals)


def kept_of(rng, requests, *, p=0.05, drop=0.0):
    rates = np.where(np.arange(len(requests)) < len(requests) // 2, p, p * (1 - drop))
    return rng.binomial(requests, rates)


def same_rate(rng, **options):
    requests = traffic(rng)
    return homogeneity(kept_of(rng, requests, **options), requests)[1]


def step(rng, **options):
    requests = traffic(rng)
    return cusum(kept_of(rng, requests, **options), requests)[1]


def bursts_through_a_limiter(rng, test):
    requests = rng.poisson(np.where(np.arange(60) % 10 < 3, 1800, 300))
    return test(np.minimum(rng.binomial(requests, 0.05), 30), requests)[1]


def even_seconds(rng, mean=5):
    return dispersion(rng.poisson(mean, 300))[1]


def limited_seconds(rng, test):
    return test(np.minimum(rng.poisson(5, 300), 5))[-1]


def largest_seconds(rng, mean=5):
    return plateau(rng.poisson(mean, 300))[2]


f = functools.partial
CHECKS = {
    **{f"ids n={n}": f(ids_whole, n=n) for n in (200, 1000, 5000)},
    "ids kept at 10 %": f(ids_above, n=1000, p=0.1),
    "ids kept at 70 %": f(ids_above, n=1000, p=0.7),
    "replay law": f(replay_law, n=500),
    "rate 10 %": f(rate, requests=10_000, actual=0.1, claimed=0.1),
    "rate 1 %": f(rate, requests=100_000, actual=0.01, claimed=0.01),
    "same rate": same_rate,
    "step": step,
    "even seconds": even_seconds,
    "plateau": largest_seconds,
}

DISCRETE = ("plateau",)

POWER = {
    **{
        f"ids: {maker}": (f(ids_made, n=500, maker=maker), 1.0)
        for maker in ("Snowflake low 64", "counter", "32-bit low")
    },
    "ids: 2 % zero bytes": (f(ids_with_zero_bytes, n=2000, share=0.02), 0.97),
    "replay law: 9 % for 10 %": (f(replay_law, n=500, actual=0.09), 0.95),
    "rate: -10 % at 10 %": (f(rate, requests=6862, actual=0.09, claimed=0.1), 0.75),
    "rate: -10 % at 1 %": (f(rate, requests=75_266, actual=0.009, claimed=0.01), 0.75),
    "step: -10 %": (f(step, drop=0.1), 0.18),
    "step: -20 %": (f(step, drop=0.2), 0.85),
    "same rate: limiter": (f(bursts_through_a_limiter, test=homogeneity), 1.0),
    "step: limiter": (f(bursts_through_a_limiter, test=cusum), 0.9),
    "even seconds: limiter": (f(limited_seconds, test=dispersion), 1.0),
    "plateau: limiter": (f(limited_seconds, test=plateau), 1.0),
}


def found(simulation, runs, rng):
    """Return the share of runs with a p-value below 5 %."""
    return float(np.mean([simulation(rng) < 0.05 for _ in range(runs)]))
