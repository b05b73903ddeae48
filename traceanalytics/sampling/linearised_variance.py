"""Variances of totals and ratios of traces that were each kept with a probability of their own (Poisson sampling).

These are kernels over arrays: one entry a kept trace of a group, whatever is estimated already summed over its spans. Groups are
numbered, so that a by-group table costs one pass, and a simulation study is the same call with the runs as groups.

Horvitz and Thompson 1952; Hajek 1971; Sarndal, Swensson and Wretman 1992, chapter 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Ratio", "Total", "bounds", "by_group", "counted", "hajek_ratio", "horvitz_thompson"]


class Total(NamedTuple):
    """Estimated totals; one entry a group."""

    estimate: NDArray[np.float64]
    variance: NDArray[np.float64]
    n: NDArray[np.float64]
    """Kept traces."""
    random: NDArray[np.float64]
    """Those of them that might not have been kept (pi < 1)."""
    sure: NDArray[np.float64]
    """The part of the estimate that comes from traces kept with certainty."""
    n_eff: NDArray[np.float64]
    """``(sum w y)^2 / sum (w y)^2``: traces of equal share that would tell as much; NaN where the total is 0."""


class Ratio(NamedTuple):
    """Estimated ratios ``R = sum w y / sum w x``; one entry a group, NaN where the denominator is 0."""

    estimate: NDArray[np.float64]
    variance: NDArray[np.float64]
    n: NDArray[np.float64]
    """Kept traces."""
    random: NDArray[np.float64]
    """Those of them that might not have been kept (pi < 1)."""
    denominator: NDArray[np.float64]
    """``sum w x``."""
    third: NDArray[np.float64]
    """Third central moment of the estimate, which tells to which side its interval is too short."""


def by_group(group: NDArray[np.intp], groups: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sums by group.

    >>> by_group(np.array([0, 0, 2]), 3, np.array([1.0, 2.0, 5.0]))
    array([3., 0., 5.])
    """
    return np.bincount(group, weights=values, minlength=groups).astype(np.float64)


def counted(group: NDArray[np.intp], groups: int, chosen: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return the number of (chosen) entries by group.

    >>> counted(np.array([0, 0, 2]), 3)
    array([2., 0., 1.])
    """
    return np.bincount(group if chosen is None else group[chosen], minlength=groups).astype(np.float64)


def bounds(
    group: NDArray[np.intp], groups: int, pi: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the smallest and the largest probability by group: 1 and 0 where there is none.

    >>> bounds(np.array([0, 0]), 2, np.array([0.5, 0.1]))
    (array([0.1, 1. ]), array([0.5, 0. ]))
    """
    low, high = np.ones(groups), np.zeros(groups)
    if len(pi) and pi.min() == pi.max():
        there = counted(group, groups) > 0
        return np.where(there, pi[0], low), np.where(there, pi[0], high)
    np.minimum.at(low, group, pi)
    np.maximum.at(high, group, pi)
    return low, high


def horvitz_thompson(group: NDArray[np.intp], groups: int, pi: NDArray[np.float64], y: NDArray[np.float64]) -> Total:
    """Return estimated totals ``sum y / pi`` with the variance ``sum (1 - pi) / pi^2 y^2``.

    The variance is unbiased at any size; a trace that is kept with certainty adds none.

    >>> found = horvitz_thompson(np.array([0, 0]), 1, np.array([0.5, 1.0]), np.array([3.0, 4.0]))
    >>> found.estimate, found.variance
    (array([10.]), array([18.]))
    """
    expanded = y / pi
    squares = expanded * expanded
    sure = pi >= 1
    estimate = by_group(group, groups, expanded)
    spread = by_group(group, groups, squares)
    return Total(
        estimate,
        by_group(group, groups, (1 - pi) * squares),
        counted(group, groups),
        counted(group, groups, ~sure),
        by_group(group[sure], groups, y[sure]),
        np.divide(estimate**2, spread, out=np.full(groups, np.nan), where=spread > 0),
    )


def hajek_ratio(
    group: NDArray[np.intp],
    groups: int,
    pi: NDArray[np.float64],
    y: NDArray[np.float64],
    x: NDArray[np.float64] | None = None,
) -> Ratio:
    """Return ratios ``R = sum w y / sum w x`` (w = 1 / pi) with their linearised variance.

    ``V = sum (1 - pi) w^2 (y - R x)^2 / (sum w x)^2 * m / (m - 1)``, m being the number of traces with pi < 1: those kept with
    certainty add to the ratio and nothing to its variance. ``x`` None counts traces: R is then their weighted mean. V is 0 where
    all traces agree, which does not say that the others would.

    >>> found = hajek_ratio(np.array([0, 0]), 1, np.array([0.5, 0.5]), np.array([3.0, 5.0]))
    >>> found.estimate, found.variance
    (array([4.]), array([0.5]))
    """
    over = np.ones(len(y)) if x is None else x
    w = 1 / pi
    denominator = by_group(group, groups, w * over)
    numerator = by_group(group, groups, w * y)
    ratio = np.divide(numerator, denominator, out=np.full(groups, np.nan), where=denominator != 0)
    random = counted(group, groups, pi < 1)
    # One part a trace of the error of the ratio; a group without a denominator has no ratio, and no parts.
    adds = w * (y - ratio[group] * over) / np.where(denominator != 0, denominator, np.nan)[group]
    variance = np.where(denominator != 0, by_group(group, groups, (1 - pi) * adds**2), np.nan)
    return Ratio(
        ratio,
        variance * random / np.maximum(random - 1, 1),
        counted(group, groups),
        random,
        denominator,
        by_group(group, groups, (1 - pi) * (1 - 2 * pi) * adds**3),
    )
