"""Rao and Scott's test of a mix: Pearson's statistic of spans that came by the trace, corrected for that.

Spans of one trace are no independent draws, so Pearson's statistic is not chi-squared but a weighted sum of chi-squares, whose
weights are the design effects of the shares. Their mean (first order) and their spread (second order) correct it.

Rao and Scott 1984; Thomas and Rao 1987 for the F distribution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import chdtrc, fdtrc, ndtr

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["METHODS", "MixTest", "Shares", "mix_test", "null_band", "shares_of"]

METHODS = ("rao_scott", "first_order", "plain")
"""Second order with F; first order with F; Pearson's statistic as if units were independent."""

_DRAWS = 2000
_Z80 = 0.8416
"""The normal quantile of 80 %."""


class Shares(NamedTuple):
    """The shares of the groups among the units of the sampled traces, and the covariance of these shares."""

    share: NDArray[np.float64]
    covariance: NDArray[np.float64]
    units: float
    """Units (spans, or traces), not weighted."""
    traces: int


class MixTest(NamedTuple):
    """A test of shares against given ones."""

    statistic: float
    """Corrected, so that it is about as large as its degrees of freedom when nothing is wrong."""
    df: float
    p_value: float
    deff: float
    """Mean design effect of the shares: 1 where units are as good as independent."""


class NullBand(NamedTuple):
    """What distances between the shares chance alone makes."""

    distance: float
    """Total variation distance, 95 % quantile."""
    detectable: float
    """Distance that is found with 80 % power, roughly."""
    stability: float
    """Population stability index, 95 % quantile."""


def shares_of(
    counts: Any,
    weight: NDArray[np.float64] | None = None,
    spread: NDArray[np.float64] | None = None,
) -> Shares:
    """Return Hajek's shares of the groups, with their covariance from the differences between traces.

    Parameters
    ----------
    counts
        Traces x groups: units of each, an array or a sparse matrix.
    weight
        1 / pi of every trace; None: all equal.
    spread
        What a trace adds to the variance, from 0 (kept for sure, in a population that is all there is) to 1; None: 1.

    Examples
    --------
    >>> found = shares_of(np.array([[1.0, 1.0], [2.0, 0.0]]))
    >>> found.share, found.units
    (array([0.75, 0.25]), 4.0)
    """
    traces = counts.shape[0]
    weight = np.ones(traces) if weight is None else weight
    factor = weight**2 if spread is None else weight**2 * spread
    sizes = np.asarray(counts.sum(axis=1), np.float64).ravel()
    total = float((weight * sizes).sum())
    share = np.asarray(counts.T @ weight, np.float64).ravel() / total if total else np.full(counts.shape[1], np.nan)
    scaled = counts.multiply(factor[:, None]) if hasattr(counts, "multiply") else counts * factor[:, None]
    squares = counts.T @ scaled
    squares = squares.toarray() if hasattr(squares, "toarray") else np.asarray(squares)
    mixed = np.outer(np.asarray(counts.T @ (factor * sizes)).ravel(), share)
    covariance = squares - mixed - mixed.T + float((factor * sizes**2).sum()) * np.outer(share, share)
    scale = total**2 * (traces - 1) / traces if traces > 1 else np.inf
    return Shares(share, covariance / scale if total else covariance * np.nan, float(sizes.sum()), traces)


def mix_test(shares: Shares, expected: NDArray[np.float64], *, method: str = "rao_scott") -> MixTest:
    """Test whether the shares are the expected ones (all above 0, adding up to 1).

    Parameters
    ----------
    shares
        From :func:`shares_of`.
    expected
        Shares under the hypothesis.
    method
        One of :data:`METHODS`.

    Examples
    --------
    >>> even = np.repeat([[1.0, 0.0], [0.0, 1.0]], 50, axis=0)
    >>> round(mix_test(shares_of(even), np.array([0.5, 0.5])).p_value, 3)
    1.0
    """
    rank = len(expected) - 1
    pearson = float(shares.units * ((shares.share - expected) ** 2 / expected).sum())
    effects = shares.units * shares.covariance / np.sqrt(np.outer(expected, expected))
    deff = float(np.trace(effects)) / rank
    if method == "plain":
        return MixTest(pearson, float(rank), float(chdtrc(rank, pearson)), deff)
    if not deff > 1e-12:
        return MixTest(np.nan, float(rank), 1.0 if pearson < 1e-9 else 0.0, deff)
    uneven = max(float((effects**2).sum()) / (rank * deff**2), 1.0) if method == "rao_scott" else 1.0
    df = rank / uneven
    statistic = pearson / (deff * uneven)
    return MixTest(statistic, df, float(fdtrc(df, df * (shares.traces - 1), statistic / df)), deff)


def null_band(shares: Shares, expected: NDArray[np.float64]) -> NullBand:
    """Return how far shares are from the expected ones by chance, from normal draws with their covariance (fixed seed).

    Fixed limits for such distances (0.1 and 0.25 for the stability index) are blind with many traces and false with few.

    >>> band = null_band(shares_of(np.repeat([[1.0, 0.0], [0.0, 1.0]], 50, axis=0)), np.array([0.5, 0.5]))
    >>> 0.09 < band.distance < 0.11
    True
    """
    values, vectors = np.linalg.eigh(shares.covariance)
    draws = np.random.default_rng(0).standard_normal((_DRAWS, len(values)))
    apart = draws @ (vectors * np.sqrt(np.maximum(values, 0))).T
    distance = np.abs(apart).sum(axis=1) / 2
    stability = stability_index(np.maximum(expected + apart, 0), expected)
    high = float(np.quantile(distance, 0.95))
    return NullBand(high, high + _Z80 * float(distance.std()), float(np.quantile(stability, 0.95)))


def stability_index(share: NDArray[np.float64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the population stability index; groups that were not seen count as a share of one in a million.

    >>> float(stability_index(np.array([0.5, 0.5]), np.array([0.5, 0.5])))
    0.0
    """
    share = np.maximum(share, 1e-6)
    found: NDArray[np.float64] = ((share - expected) * np.log(share / expected)).sum(axis=-1)
    return found


def two_sided(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the p-values of normal deviates.

    >>> float(two_sided(np.array(0.0)))
    1.0
    """
    found: NDArray[np.float64] = 2 * ndtr(-np.abs(z))
    return found
