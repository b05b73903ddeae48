"""Samplers whose decision depends on what else comes: budgets a second, token buckets, budgets cut by randomness, adaptive rates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from traceanalytics.errors import OptionError
from traceanalytics.kernels import Ints, kernel
from traceanalytics.sampling.given_numbers import MOST, given_number
from traceanalytics.spans.columns import NAT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "BudgetCut",
    "adaptive_step",
    "admitted_by_budget",
    "bucket_admissions",
    "composite_admissions",
    "cut_by_randomness",
    "first_of_each_second",
]

_SECOND: Final = 1_000_000_000


def first_of_each_second(arrival: NDArray[np.int64], per_s: float) -> NDArray[np.bool_]:
    """Return which traces are among the first of their second; traces without a time share one second.

    What is left of a whole number carries over: at 0.5 a second, the first of every other second.

    >>> first_of_each_second(np.array([0, 1, 2, 1_000_000_000]), 2).tolist()
    [True, True, False, True]
    """
    order = np.argsort(arrival, kind="stable")
    second = arrival[order] // _SECOND
    begins = np.r_[True, second[1:] != second[:-1]] if len(second) else np.zeros(0, np.bool_)
    at = np.arange(len(second))
    rank = at - np.maximum.accumulate(np.where(begins, at, 0))
    known = arrival[order] != NAT
    since = np.where(known, second - (second[known][0] if known.any() else 0), 0).astype(np.float64)
    # Counting backwards from a whole number gives the first second its share, whatever the fraction.
    allowed = np.ceil((since + 1) * per_s) - np.ceil(since * per_s)
    found = np.zeros(len(arrival), np.bool_)
    found[order] = rank < allowed
    return found


def admitted_by_budget(
    decision: NDArray[np.int64], size: NDArray[np.int64], offered: NDArray[np.bool_], per_s: float
) -> NDArray[np.bool_]:
    """Return which of the offered traces fit into a budget for each second, in the order of the decisions.

    A trace that does not fit spends nothing, so that a smaller one after it may still fit.

    >>> times, offered = np.zeros(3, np.int64), np.ones(3, np.bool_)
    >>> admitted_by_budget(times, np.array([3, 4, 2]), offered, 5).tolist()
    [True, False, True]
    """
    rows = np.flatnonzero(offered)
    rows = rows[np.argsort(decision[rows], kind="stable")]
    taken = np.zeros(len(rows), np.uint8)
    _fill(decision[rows] // _SECOND, np.ascontiguousarray(size[rows]), math.floor(per_s), taken)
    found = np.zeros(len(offered), np.bool_)
    found[rows] = taken > 0
    return found


@kernel("taken")
def _fill(second: Ints, size: Ints, budget: int, taken: Ints) -> None:
    """Mark what fits into the budget of its second; the rows are in order of time."""
    used = 0
    for row in range(len(second)):
        if row > 0 and second[row] != second[row - 1]:
            used = 0
        if used + size[row] <= budget:
            used += size[row]
            taken[row] = 1


class BudgetCut(NamedTuple):
    """What a budget keeps of a batch, and the threshold that its kept traces bear (2**56: nothing is kept)."""

    kept: NDArray[np.bool_]
    threshold: int


def cut_by_randomness(randomness: NDArray[np.uint64], size: NDArray[np.int64], budget: int) -> BudgetCut:
    """Return which traces of a batch a budget keeps when it is spent from the largest randomness down.

    The threshold lies just above the first trace that no longer fits. Its own randomness does not depend on whether a kept trace is
    there, so that weights from it are unbiased (Ting 2017, arXiv 1708.04970); the smallest kept randomness would make the sample
    count too much, by 25 % at 5 kept traces. A trace larger than the whole budget is never kept and does not count: no weight
    brings back what it stands for.

    Parameters
    ----------
    randomness
        56 random bits of each trace.
    size
        Spans (or bytes) of each trace.
    budget
        What the kept traces may have together.

    Returns
    -------
    BudgetCut
        ``kept`` in the order given, and ``threshold``, 0 where everything fits. The inclusion probability of the kept ones is
        ``1 - threshold / 2**56``.

    Examples
    --------
    >>> cut_by_randomness(np.array([100, 50, 10], np.uint64), np.array([2, 2, 2]), 5)
    BudgetCut(kept=array([ True,  True, False]), threshold=11)
    """
    small = np.flatnonzero(size <= budget)
    order = small[np.argsort(randomness[small], kind="stable")[::-1]]
    over = np.cumsum(size[order]) > budget
    if not over.any():
        threshold = 0
        kept = size <= budget
    else:
        threshold = int(randomness[order[int(np.argmax(over))]]) + 1
        kept = (size <= budget) & (randomness >= np.uint64(threshold))  # equal ones go together
    return BudgetCut(kept, threshold)


def bucket_admissions(
    times_s: Sequence[float], costs: Sequence[float], *, rate_per_s: float, burst: float
) -> list[bool]:
    """Return what a token bucket lets through: it holds ``burst`` at first and at most, and fills at ``rate_per_s``.

    >>> bucket_admissions([0, 0, 0.5, 2], [1, 1, 1, 1], rate_per_s=1, burst=1)
    [True, False, False, True]
    """
    rate = given_number("rate_per_s", rate_per_s, f"[0, {MOST:g}]")
    capacity = tokens = given_number("burst", burst, f"[0, {MOST:g}]")
    found = []
    before = times_s[0] if len(times_s) else 0.0
    for now, cost in zip(times_s, costs, strict=True):
        tokens = min(capacity, tokens + (now - before) * rate)
        before = now
        passes = cost <= tokens
        tokens -= cost if passes else 0.0
        found.append(passes)
    return found


def composite_admissions(
    matches: Sequence[Sequence[bool]], sizes: Sequence[int], *, allocations: Sequence[float], max_total: float
) -> list[bool]:
    """Return what the collector's composite policy keeps of the traces that are decided in one second.

    The first sub-policy that matches a trace decides: kept while its own allocation (and the total) holds the trace's spans. A
    trace that no longer fits is not offered to the next sub-policy, and what one leaves of its allocation is lost.

    Parameters
    ----------
    matches
        For each trace, in order, whether each sub-policy matches.
    sizes
        Spans of each trace.
    allocations, max_total
        Spans a second of each sub-policy, and the limit for any of them.

    Examples
    --------
    >>> composite_admissions([[True, True]] * 3, [1, 1, 1], allocations=[2, 5], max_total=10)
    [True, True, False]
    """
    used = [0.0] * len(allocations)
    found = []
    for own, size in zip(matches, sizes, strict=True):
        if len(own) != len(allocations):
            raise OptionError(f"{len(own)} matches of a trace for {len(allocations)} allocations")
        first = next((at for at, yes in enumerate(own) if yes), None)
        passes = first is not None and used[first] + size <= min(allocations[first], max_total)
        if first is not None and passes:
            used[first] += size
        found.append(passes)
    return found


def adaptive_step(
    previous: float, *, target_per_s: float, seen_per_s: float, cap: float = 0.5, least: float = 1e-5
) -> float:
    """Return the next sampling probability of Jaeger's adaptive sampler.

    It is scaled to the target: at once when too much came, by at most the share ``cap`` of itself when too little did, doubled when
    nothing came; within [``least``, 1].

    >>> adaptive_step(0.1, target_per_s=1, seen_per_s=10), adaptive_step(0.1, target_per_s=1, seen_per_s=0.1)
    (0.01, 0.15000000000000002)
    """
    before = given_number("previous", previous, "(0, 1]")
    target = given_number("target_per_s", target_per_s, f"(0, {MOST:g}]")
    seen = given_number("seen_per_s", seen_per_s, f"[0, {MOST:g}]")
    after = 2 * before if seen == 0 else min(before * target / seen, before + before * cap)
    return min(1.0, max(least, after))
