"""Weighted quantiles by group and their intervals after Woodruff: an interval of the share below, read off as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from traceanalytics.sampling.intervals import clopper_pearson, korn_graubard, student
from traceanalytics.sampling.linearised_variance import by_group

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ENOUGH", "LEAST", "Quantiles", "quantiles_of_units"]

ENOUGH: Final = 10.0
"""Units beyond a quantile, of those that would tell as much, for an interval with two ends."""

LEAST: Final = 20
"""Traces that were kept by chance, for their spread to be an estimate at all."""

_EQUAL: Final = 0.02
"""Probabilities that differ by less than this part count as one: rounded rates."""


class Quantiles(NamedTuple):
    """Quantiles by group, one array of groups x levels each; NaN where nothing can be said.

    ``se`` is half the width of the interval in units of the normal quantile. ``sure``: the interval has two ends that hold.
    ``known``: every trace was kept for certain, so nothing is estimated. ``equal``: the traces have one probability.
    """

    value: NDArray[np.float64]
    lo: NDArray[np.float64]
    hi: NDArray[np.float64]
    n_eff: NDArray[np.float64]
    deff: NDArray[np.float64]
    traces: NDArray[np.int64]
    counts: NDArray[np.int64]
    sure: NDArray[np.bool_]
    known: NDArray[np.bool_]
    equal: NDArray[np.bool_]


class _Sorted(NamedTuple):
    """Values in ascending order, group by group, with the running sum of their weights."""

    values: NDArray[np.float64]
    running: NDArray[np.float64]
    bounds: NDArray[np.intp]

    def at(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the smallest value of each group at or below which a share (groups x levels) of its weight lies."""
        before = np.append(0.0, self.running)[self.bounds]
        low, high = self.bounds[:-1, None], self.bounds[1:, None]
        # The last digit of a running sum is noise; without the allowance, a level that is met exactly would be passed.
        target = before[:-1, None] + np.clip(shares, 0, 1) * np.diff(before)[:, None] * (1 - 1e-12)
        place = np.clip(
            np.searchsorted(self.running, np.where(np.isnan(target), 0, target)), low, np.maximum(high - 1, low)
        )
        found = np.append(self.values, np.nan)[np.minimum(place, len(self.values))]
        return np.where((low < high) & ~np.isnan(target), found, np.nan)


def quantiles_of_units(
    values: NDArray[np.float64],
    unit: NDArray[np.intp] | None,
    group: NDArray[np.intp],
    pi: NDArray[np.float64],
    *,
    groups: int,
    levels: NDArray[np.float64],
    conf: float = 0.95,
) -> Quantiles:
    """Return weighted quantiles by group, and what the sample says about them.

    Parameters
    ----------
    values
        What was measured; none is missing.
    unit
        The unit of each value: the part of a trace that is in a group. None: the values are units themselves.
    group, pi
        For each unit, its group (from 0), and the probability with which its trace was kept.
    groups
        How many groups there are.
    levels
        The quantiles' shares, above 0 and below 1.
    conf
        Confidence.

    Notes
    -----
    The variance of the share of weight below a value ``x`` is that of a ratio of totals in a Poisson sample, linearised:
    ``V = sum (1 - pi) w^2 (below - q all)^2 / (sum w all)^2 * m / (m - 1)``, with ``below`` and ``all`` counted per unit, and
    m units of pi < 1. With equal probabilities the share's interval is that of Korn and Graubard on ``q (1 - q) / V`` units,
    else that of Student's t.

    Examples
    --------
    >>> found = quantiles_of_units(np.arange(1000.0), None, np.zeros(1000, np.intp), np.full(1000, 0.1),
    ...     groups=1, levels=np.array([0.5]))
    >>> found.value, found.lo, found.hi
    (array([[499.]]), array([[470.]]), array([[529.]]))
    """
    unit = np.arange(len(values)) if unit is None else unit
    size = np.bincount(unit, minlength=len(group)).astype(np.float64)
    weight = 1 / pi
    table = _sorted(values, group[unit], weight[unit], groups)
    found = table.at(np.broadcast_to(levels, (groups, len(levels))))
    total = np.bincount(group, weights=weight * size, minlength=groups)
    traces = np.bincount(group, minlength=groups)
    random = by_group(group, groups, (pi < 1).astype(np.float64))
    known = random == 0
    counts = np.diff(table.bounds)
    variance = np.empty_like(found)
    for at, q in enumerate(levels.tolist()):
        below = np.bincount(unit[values <= found[:, at][group[unit]]], minlength=len(group))
        residual = weight * (below - q * size)
        variance[:, at] = np.bincount(group, weights=(1 - pi) * residual**2, minlength=groups)
    spread = np.where(random > 1, random / np.maximum(random - 1, 1), np.inf)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.where(known[:, None], 0.0, variance * spread / total[:, None] ** 2)
        n_eff = levels * (1 - levels) / variance
        deff = variance / (levels * (1 - levels) / np.maximum(counts, 1)[:, None])
    n_eff[~np.isfinite(variance)] = 0.0
    return _with_ends(
        table,
        found,
        n_eff=n_eff,
        deff=deff,
        traces=traces,
        random=random,
        equal=_are_equal(group, pi, groups),
        levels=levels,
        conf=conf,
    )


def _sorted(values: NDArray[np.float64], group: NDArray[np.intp], weight: NDArray[np.float64], groups: int) -> _Sorted:
    order = np.argsort(values)
    if groups > 1:
        # Few groups fit into 16 bits, which NumPy sorts by counting.
        small = group[order].astype(np.uint16 if groups <= 1 << 16 else np.int64)
        order = order[np.argsort(small, kind="stable")]
    bounds = np.append(0, np.cumsum(np.bincount(group, minlength=groups)))
    return _Sorted(values[order], np.cumsum(weight[order]), bounds)


def _are_equal(group: NDArray[np.intp], pi: NDArray[np.float64], groups: int) -> NDArray[np.bool_]:
    least, most = np.full(groups, np.inf), np.zeros(groups)
    np.minimum.at(least, group, pi)
    np.maximum.at(most, group, pi)
    equal: NDArray[np.bool_] = most <= least * (1 + _EQUAL)
    return equal


def _with_ends(
    table: _Sorted,
    found: NDArray[np.float64],
    *,
    n_eff: NDArray[np.float64],
    deff: NDArray[np.float64],
    traces: NDArray[np.int64],
    random: NDArray[np.float64],
    equal: NDArray[np.bool_],
    levels: NDArray[np.float64],
    conf: float,
) -> Quantiles:
    counts = np.diff(table.bounds)
    known = random == 0
    q = np.broadcast_to(levels, found.shape)
    kept = np.broadcast_to(np.maximum(random, 2)[:, None], found.shape)
    told = np.minimum(n_eff, counts[:, None])  # thinning hardly at all makes no more of few values
    finite = np.where(known[:, None], 1.0, n_eff)
    exact = korn_graubard(q, finite, kept, conf)
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = student(q, np.sqrt(q * (1 - q) / finite), kept - 1, conf)
    low, high = (np.where(equal[:, None], *ends) for ends in zip(exact, plain, strict=True))
    enough = (told * np.minimum(q, 1 - q) >= ENOUGH) & (random >= LEAST)[:, None]
    sure = known[:, None] | (enough & (low > 0) & (high < 1))
    # With fewer, the end towards the middle of the values still holds, at the same confidence on its one side.
    one = clopper_pearson(q * finite, finite, 2 * conf - 1)
    low = np.where(sure, low, np.where((q >= 0.5) & (n_eff >= 1), one.lo, np.nan))
    high = np.where(sure, high, np.where((q < 0.5) & (n_eff >= 1), one.hi, np.nan))
    lo, hi = (np.where(known[:, None], found, table.at(ends)) for ends in (low, high))
    some = counts[:, None] > 0
    return Quantiles(
        found,
        np.minimum(lo, found),
        np.maximum(hi, found),
        n_eff,
        deff,
        traces,
        counts,
        sure & some,
        known & (counts > 0),
        equal,
    )
