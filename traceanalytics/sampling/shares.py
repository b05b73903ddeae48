"""Shares of traces and of spans that have a property, such as failure: kernels over arrays, one entry a kept trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from traceanalytics.sampling.estimate_table import Found
from traceanalytics.sampling.intervals import Interval, clopper_pearson, korn_graubard, negative_binomial, wilson
from traceanalytics.sampling.linearised_variance import bounds, by_group, counted, hajek_ratio, horvitz_thompson
from traceanalytics.sampling.totals import gamma_interval, size_of_one_more

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["share_of_spans", "share_of_traces"]

LEAST_OF_KIND: Final = 3
"""Failing and healthy traces, each, that an error rate needs."""

LEAST_MIXED: Final = 30
"""Failing traces of equal share that their variance needs if their probabilities differ."""


def share_of_traces(
    group: NDArray[np.intp],
    groups: int,
    pi: NDArray[np.float64],
    hit: NDArray[np.bool_],
    *,
    floor: float | NDArray[np.float64] = np.nan,
    conf: float = 0.95,
) -> Found:
    """Return shares of traces by group: the kernel of :func:`error_rate`, one entry a kept trace.

    ``floor``: the smallest probability that a trace may have of which none was kept; NaN: that of the group.

    >>> share_of_traces(np.zeros(200, int), 1, np.full(200, 0.1), np.arange(200) < 8).lo.round(3)
    array([0.021])
    """
    ratio = hajek_ratio(group, groups, pi, hit.astype(np.float64))
    lowest, highest = bounds(group, groups, pi)
    floor = np.where(np.isnan(floor), lowest, np.minimum(floor, lowest))
    equal = (highest - lowest <= 1e-9) & (lowest < 1)
    hits, misses = (counted(group, groups, each) for each in (hit, ~hit))
    few = (hits < LEAST_OF_KIND) | (misses < LEAST_OF_KIND)
    with np.errstate(divide="ignore", invalid="ignore"):
        n_eff = np.where(ratio.variance > 0, ratio.estimate * (1 - ratio.estimate) / ratio.variance, np.nan)
    mixed = highest - lowest > 1e-9
    if mixed.any():
        mixed &= np.where(ratio.estimate > 0.5, _thin(group, groups, pi, ~hit), _thin(group, groups, pi, hit))
        n_eff = np.where(mixed, np.fmin(n_eff, _kish(group, groups, pi)), n_eff)
    plain = wilson(ratio.estimate, n_eff, conf)
    from_counts, exact = _from_counts(group, pi, hit, floor=floor, conf=conf, asked=~equal)
    counting = ~equal & (few | exact)
    small = clopper_pearson(hits, ratio.n, conf)
    lo = np.where(counting, from_counts.lo, np.where(equal & few, small.lo, plain.lo))
    hi = np.where(counting, from_counts.hi, np.where(equal & few, small.hi, plain.hi))
    method = np.select(
        [counting & exact, counting, equal & few],
        ["negative binomial of the healthy", "bounds of both counts", "Clopper-Pearson"],
        "Wilson on n_eff",
    )
    return Found(
        ratio.estimate,
        np.where(ratio.variance > 0, np.sqrt(ratio.variance), np.nan),
        lo,
        hi,
        n_eff,
        ratio.n / n_eff,
        few,
        method,
        _why_few_for_share(hits, misses, "traces"),
    )


def _kish(group: NDArray[np.intp], groups: int, pi: NDArray[np.float64]) -> NDArray[np.float64]:
    weight = by_group(group, groups, 1 / pi)
    squares = by_group(group, groups, 1 / pi**2)
    return np.divide(weight**2, squares, out=np.zeros(groups), where=squares > 0)


def _thin(group: NDArray[np.intp], groups: int, pi: NDArray[np.float64], side: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where a side is few traces whose probabilities are not its own: those that weigh most may be missing, and V with them.

    Weights are then no sign of failure, so that Kish's number holds; it is the smaller one. Where a rule gave the side one
    probability that no other trace has, or kept all of it, V is right.
    """
    low, high = bounds(group[side], groups, pi[side])
    other_low, other_high = bounds(group[~side], groups, pi[~side])
    shared = (high - low > 1e-9) | ((low <= other_high) & (other_low <= high))
    return shared & (low < 1) & (_kish(group[side], groups, pi[side]) < LEAST_MIXED)


def _from_counts(
    group: NDArray[np.intp],
    pi: NDArray[np.float64],
    hit: NDArray[np.bool_],
    *,
    floor: NDArray[np.float64],
    conf: float,
    asked: NDArray[np.bool_],
) -> tuple[Interval, NDArray[np.bool_]]:
    """Return intervals of the share from those of both numbers, and where the first is certain and the second exact."""
    groups = len(floor)
    if not asked.any():
        nothing = np.full(groups, np.nan)
        return Interval(nothing, nothing), asked
    # With one number known, the other may have the whole doubt; else each has half of it.
    known = counted(group, groups, hit)
    certain = (counted(group, groups, hit & (pi < 1)) == 0) & (known >= LEAST_OF_KIND)
    halves = 1 - (1 - conf) / 2
    both = [_count_interval(group[side], pi[side], floor, halves) for side in (hit, ~hit)]
    one, exact = _count_interval(group[~hit], pi[~hit], floor, conf)
    low = np.where(certain, known, both[0][0].lo)
    high = np.where(certain, known, both[0][0].hi)
    rest = both[1][0]
    rest_low, rest_high = np.where(certain, one.lo, rest.lo), np.where(certain, one.hi, rest.hi)
    lo = np.divide(low, low + rest_high, out=np.zeros(groups), where=low > 0)
    hi = np.divide(high, high + rest_low, out=np.ones(groups), where=high + rest_low > 0)
    return Interval(lo, hi), certain & exact


def _count_interval(
    group: NDArray[np.intp], pi: NDArray[np.float64], floor: NDArray[np.float64], conf: float
) -> tuple[Interval, NDArray[np.bool_]]:
    """Return the interval of a number of traces, and where it is exact: all with one probability below 1."""
    groups = len(floor)
    total = horvitz_thompson(group, groups, pi, np.ones(len(pi)))
    lowest, highest = bounds(group, groups, pi)
    one = (total.n > 0) & (highest - lowest <= 1e-9)
    p = np.where(total.n == 0, floor, lowest)
    chance = np.where(total.random > 0, total.n, 0)
    exact = negative_binomial(np.where(one, chance, 0), p, conf)
    several = gamma_interval(
        total.estimate - total.sure, total.variance, size_of_one_more(group, groups, pi, np.ones(len(pi))), conf
    )
    # Where all of a side were certain there may be others: as many as a sample of the smallest probability may miss.
    unseen = negative_binomial(np.zeros(groups), floor, conf).hi
    lo: NDArray[np.float64] = np.where(one, np.maximum(exact.lo, total.n), np.maximum(total.sure + several.lo, total.n))
    hi = np.where(one & (total.random > 0), exact.hi, total.sure + np.where(total.random > 0, several.hi, unseen))
    return Interval(lo, hi), one & (total.random > 0)


def share_of_spans(
    group: NDArray[np.intp],
    groups: int,
    pi: NDArray[np.float64],
    hits: NDArray[np.float64],
    spans: NDArray[np.float64],
    *,
    conf: float = 0.95,
) -> Found:
    """Return shares of spans by group: the kernel of :func:`error_rate`, one entry a kept trace.

    >>> share_of_spans(np.zeros(9, int), 1, np.full(9, 0.1), np.arange(9) % 3.0, np.full(9, 5.0)).estimate
    array([0.2])
    """
    ratio = hajek_ratio(group, groups, pi, hits, spans)
    failed, healthy = (counted(group, groups, each) for each in (hits > 0, hits < spans))
    few = (failed < LEAST_OF_KIND) | (healthy < LEAST_OF_KIND)
    size = spans / pi
    squares = by_group(group, groups, size * size)
    like = np.divide(ratio.denominator**2, squares, out=np.zeros(groups), where=squares > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        n_eff = np.where(ratio.variance > 0, ratio.estimate * (1 - ratio.estimate) / ratio.variance, np.nan)
    interval = korn_graubard(ratio.estimate, n_eff, np.maximum(ratio.random, 2), conf)
    # Too few to tell a variance by: as if all spans of a trace shared one fate.
    wide = clopper_pearson(np.nan_to_num(ratio.estimate) * like, like, conf)
    lone = few | np.isnan(n_eff)
    lo: NDArray[np.float64] = np.where(lone, np.asarray(wide.lo, np.float64), interval.lo)
    hi: NDArray[np.float64] = np.where(lone, np.asarray(wide.hi, np.float64), interval.hi)
    return Found(
        ratio.estimate,
        np.where(ratio.variance > 0, np.sqrt(ratio.variance), np.nan),
        lo,
        hi,
        n_eff,
        by_group(group, groups, spans) / n_eff,
        few,
        np.where(lone, "Clopper-Pearson on traces", "Korn-Graubard"),
        _why_few_for_share(failed, healthy, "spans"),
    )


def _why_few_for_share(hits: NDArray[np.float64], misses: NDArray[np.float64], what: str) -> NDArray[Any]:
    healthy = "healthy traces" if what == "traces" else "traces with healthy spans"
    return np.array(
        [
            f"{int(k)} failed and {int(m)} {healthy} were kept: a rate needs {LEAST_OF_KIND} of each; the interval is wide for that"
            if min(k, m) < LEAST_OF_KIND
            else ""
            for k, m in zip(hits, misses, strict=True)
        ],
        dtype=object,
    )
