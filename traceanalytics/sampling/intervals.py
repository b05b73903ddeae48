"""Confidence intervals of counts and shares: whole columns at once, each exact or nearly so at every size of sample.

Every function takes numbers or arrays that broadcast against each other and answers ``lo`` and ``hi`` in their shape. A missing
number gives a missing interval; nothing warns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import betainc, betaincinv, gammainccinv, gammaincinv, ndtri, stdtrit

from traceanalytics.sampling.given_numbers import given_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Interval",
    "clopper_pearson",
    "garwood",
    "given_conf",
    "jeffreys",
    "kish",
    "korn_graubard",
    "negative_binomial",
    "normal",
    "student",
    "wilson",
    "z_of",
]

Floats = Any
"""An array of float64, or one number: the answer is of the shape of what was given."""


class Interval(NamedTuple):
    """Both ends of an interval."""

    lo: Floats
    hi: Floats


def given_conf(conf: float) -> float:
    """Return a caller's level of confidence, or say what was allowed.

    >>> given_conf(0.95)
    0.95
    """
    return given_number("conf", conf, "[0.5, 1)")


def z_of(conf: float) -> float:
    """Return the normal quantile that leaves half of ``1 - conf`` above.

    >>> round(z_of(0.95), 4)
    1.96
    """
    return -float(ndtri((1 - conf) / 2))


def normal(estimate: Floats, se: Floats, conf: float = 0.95) -> Interval:
    """Return ``estimate`` plus and minus the normal quantile times its standard error.

    >>> normal(100.0, 10.0).lo.round(1)
    np.float64(80.4)
    """
    half = z_of(conf) * np.asarray(se, np.float64)
    middle = np.asarray(estimate, np.float64)
    return Interval(middle - half, middle + half)


def student(estimate: Floats, se: Floats, df: Floats, conf: float = 0.95) -> Interval:
    """Return the interval of Student's t: wider than :func:`normal` where few units told the standard error.

    >>> student(100.0, 10.0, 4).lo.round(1)
    np.float64(72.2)
    """
    with np.errstate(invalid="ignore"):  # infinity times 0: nothing told the standard error
        half = _t_of(df, conf) * np.asarray(se, np.float64)
    middle = np.asarray(estimate, np.float64)
    return Interval(middle - half, middle + half)


def wilson(p: Floats, n: Floats, conf: float = 0.95) -> Interval:
    """Return Wilson's score interval of a share ``p`` that was seen in ``n`` independent units (or as good as ``n``).

    >>> [round(float(end), 4) for end in wilson(5 / 50, 50)]
    [0.0435, 0.2136]
    """
    p, n = _arrays(p, n)
    z = z_of(conf)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1 + z * z / n
        middle = (p + z * z / (2 * n)) / scale
        half = z / scale * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    lo, hi = np.where(p == 0, 0.0, middle - half), np.where(p == 1, 1.0, middle + half)
    nothing = n == 0
    return Interval(
        np.where(nothing, 0.0, np.clip(lo, 0, 1))[()],
        np.where(nothing, 1.0, np.clip(hi, 0, 1))[()],
    )


def clopper_pearson(k: Floats, n: Floats, conf: float = 0.95) -> Interval:
    """Return the exact interval of a share: ``k`` of ``n`` units; both may be fractions (effective numbers).

    >>> [round(float(end), 4) for end in clopper_pearson(5, 50)]
    [0.0333, 0.2181]
    """
    k, n = _arrays(k, n)
    tail = (1 - conf) / 2
    with np.errstate(invalid="ignore"):
        rest = n - k
        lo = np.where(k > 0, betaincinv(np.where(k > 0, k, 1), np.maximum(rest, 0) + 1, tail), 0.0)
        hi = np.where(rest > 0, betaincinv(np.maximum(k, 0) + 1, np.where(rest > 0, rest, 1), 1 - tail), 1.0)
    missing = np.isnan(k) | np.isnan(n)
    return Interval(np.where(missing, np.nan, lo)[()], np.where(missing, np.nan, hi)[()])


def jeffreys(k: Floats, n: Floats, conf: float = 0.95) -> Interval:
    """Return Jeffreys' interval of a share: equal tails of the beta distribution with half a unit added on both sides.

    >>> [round(float(end), 4) for end in jeffreys(5, 50)]
    [0.0392, 0.2054]
    """
    k, n = _arrays(k, n)
    tail = (1 - conf) / 2
    return Interval(betaincinv(k + 0.5, n - k + 0.5, tail)[()], betaincinv(k + 0.5, n - k + 0.5, 1 - tail)[()])


def korn_graubard(p: Floats, n_eff: Floats, clusters: Floats, conf: float = 0.95) -> Interval:
    """Return the interval of a share of clustered units: exact, on the effective number, reduced for few clusters.

    Parameters
    ----------
    p
        The estimated share.
    n_eff
        ``p (1 - p) / V``, V being the variance of ``p`` under the design.
    clusters
        Number of sampled clusters (traces), whose number less one are the degrees of freedom of V.
    conf
        Confidence.

    Examples
    --------
    >>> [round(float(end), 3) for end in korn_graubard(0.1, 50, 20)]
    [0.03, 0.229]
    """
    p, n_eff, traces = _arrays(p, n_eff, clusters)
    reduced = n_eff * (z_of(conf) / _t_of(traces - 1, conf)) ** 2
    return clopper_pearson(p * reduced, reduced, conf)


def garwood(k: Floats, conf: float = 0.95) -> Interval:
    """Return the exact interval of the mean of a Poisson distribution of which ``k`` was seen.

    >>> [round(float(end), 3) for end in garwood(10)]
    [4.795, 18.39]
    """
    (k,) = _arrays(k)
    tail = (1 - conf) / 2
    lo = np.where(k > 0, gammaincinv(np.where(k > 0, k, 1), tail), np.where(np.isnan(k), np.nan, 0.0))
    return Interval(lo[()], gammainccinv(k + 1, tail)[()])


def negative_binomial(n: Floats, p: Floats, conf: float = 0.95) -> Interval:
    """Return the exact interval of a number of traces of which ``n`` were kept, each with the probability ``p``.

    Both ends are whole numbers: the smallest and the largest total under which so many kept ones are no surprise. ``n`` 0 has a
    lower end of 0.

    >>> negative_binomial(10, 0.1)
    Interval(lo=np.float64(51.0), hi=np.float64(179.0))
    """
    n, p = np.broadcast_arrays(*_arrays(n, p))
    tail = (1 - conf) / 2
    lo = n + np.where(n > 0, _failures(np.maximum(n, 1), p, tail), 0.0)
    return Interval(lo[()], (n + _failures(n + 1, p, 1 - tail))[()])


def kish(weights: Floats) -> tuple[float, float]:
    """Return the effective number ``(sum w)^2 / sum w^2`` of weighted units, and by what factor it is smaller than theirs.

    It holds for what is unrelated to the weights; where errors are kept and the rest is thinned, error rates are far better known.

    >>> kish([1, 1, 4])
    (2.0, 1.5)
    """
    w = np.asarray(weights, np.float64)
    squares = float(w @ w)
    if squares == 0:
        return 0.0, float("nan")
    n_eff = float(w.sum()) ** 2 / squares
    return n_eff, len(w) / n_eff


def _arrays(*values: Floats) -> list[Floats]:
    return [np.asarray(value, np.float64) for value in values]


def _t_of(df: Floats, conf: float) -> Floats:
    """Return the quantile of Student's t; infinite without degrees of freedom."""
    (df,) = _arrays(df)
    found = -stdtrit(np.where(df > 0, df, 1), (1 - conf) / 2)
    # Beyond this the difference from the normal one is rounding, and the series behind stdtrit is slow.
    found = np.where(df > 1e8, z_of(conf), found)
    return np.where(df > 0, found, np.where(np.isnan(df), np.nan, np.inf))


def _failures(n: NDArray[np.float64], p: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Return the quantile of the number of failures before the n-th success, for every pair: by bisection, so exactly."""
    p = np.where((p > 0) & (p <= 1), p, np.nan)
    missing = np.isnan(n) | np.isnan(p)
    n, p = np.where(missing, 1, n), np.where(missing, 1, p)
    if n.size > 1:  # groups often share their numbers
        different, places = np.unique(n + 1j * p, return_inverse=True)
        found = _bisected(different.real, different.imag, level)[places.reshape(n.shape)]
    else:
        found = _bisected(n, p, level)
    return np.where(missing, np.nan, found)


def _bisected(n: NDArray[np.float64], p: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    top = np.floor(n * (1 - p) / p + 8 * np.sqrt(n * (1 - p)) / p + 8)
    while (short := betainc(n, top + 1, p) < level).any():
        top = np.where(short, 2 * top, top)
    low, high = np.full_like(n, -1.0), top  # the quantile is in (low, high]
    while True:
        wide = high - low > 1
        if not wide.any():
            return high
        at = np.floor((low + high) / 2)
        enough = betainc(n, at + 1, p) >= level
        high = np.where(wide & enough, at, high)
        low = np.where(wide & ~enough, at, low)
