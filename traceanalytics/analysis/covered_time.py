"""In how much of a time any, one or none of several calls were running."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from traceanalytics.kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.kernels import Ints

__all__ = ["Coverage", "coverage"]


class Coverage(NamedTuple):
    """What groups of intervals cover, in ns, one element a group."""

    union: NDArray[np.int64]
    """Time in which any of the group was running."""
    alone: NDArray[np.int64]
    """Time in which some of the group were running, and nothing else of the block."""
    idle: NDArray[np.int64]
    """Time between the first start and the last end of the group in which nothing of the block was running."""


def coverage(
    block: NDArray[Any], group: NDArray[Any], start: NDArray[np.int64], end: NDArray[np.int64], groups: int
) -> Coverage:
    """Sweep over the intervals of each block (a parent) once, and measure the groups within it.

    A group belongs to one block. Intervals without length cover nothing.
    """
    long = np.flatnonzero(end > start)
    long = long[np.lexsort((end[long], start[long], block[long]))]
    block, group, start, end = block[long], np.asarray(group, dtype=np.int64)[long], start[long], end[long]
    bounds = np.r_[np.flatnonzero(np.diff(block, prepend=-1)), len(long)]
    by_end = np.lexsort((end, block))
    union, alone, idle = np.zeros((3, groups), dtype=np.int64)
    running, since = np.zeros((2, groups), dtype=np.int64)
    idle_before = np.full(groups, -1, dtype=np.int64)
    _sweep(bounds, by_end, start, end, group, running, since, idle_before, union, alone, idle)
    return Coverage(union, alone, idle)


@kernel("union", "alone", "idle", scratch=("running", "since", "idle_before"))
def _sweep(  # noqa: PLR0917 - kernels take their arrays by position
    bounds: Ints,
    by_end: Ints,
    start: Ints,
    end: Ints,
    group: Ints,
    running: Ints,
    since: Ints,
    idle_before: Ints,
    union: Ints,
    alone: Ints,
    idle: Ints,
) -> None:
    for block in range(len(bounds) - 1):
        opened, closed, stop = bounds[block], bounds[block], bounds[block + 1]
        now = start[opened]
        active, which, idle_so_far = 0, 0, 0  # which: sum of the active groups' numbers, so the number if there is one
        while closed < stop:
            opens = opened < stop and start[opened] < end[by_end[closed]]
            at = opened if opens else by_end[closed]
            moment = start[at] if opens else end[at]
            one = group[at]
            if active == 0:
                idle_so_far += moment - now
            elif active == 1:
                alone[which] += moment - now
            now = moment
            if opens:
                opened += 1
                if running[one] == 0:
                    active, which, since[one] = active + 1, which + one, now
                    if idle_before[one] < 0:
                        idle_before[one] = idle_so_far
                running[one] += 1
            else:
                closed += 1
                running[one] -= 1
                if running[one] == 0:
                    active, which = active - 1, which - one
                    union[one] += now - since[one]
                    idle[one] = idle_so_far - idle_before[one]
