"""When one call is before another, and when both run together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from traceanalytics.kernels import kernel, part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.kernels import Ints

__all__ = ["A_FIRST", "B_FIRST", "TOGETHER", "UNDECIDED", "allowed_overlap", "orders", "tolerance_of"]

UNDECIDED, A_FIRST, B_FIRST, TOGETHER = range(4)
_TOLERANCE_NS: Final = 1_000_000


@part
def allowed_overlap(shorter: int) -> int:
    """Return the overlap, in ns, that counts as none; ``tolerance_of`` is the same over arrays."""
    return min(max(_TOLERANCE_NS, shorter // 100), shorter // 2)


def tolerance_of(shorter: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return by how many ns two calls may overlap and still be one after the other, given the length of the shorter one."""
    return np.minimum(np.maximum(_TOLERANCE_NS, shorter // 100), shorter // 2)


@kernel("order", scratch=("order",))
def orders(  # noqa: C901, PLR0912, PLR0917 - one merge, and kernels take their arrays by position
    first: Ints, second: Ints, offsets: Ints, start: Ints, end: Ints, order: Ints
) -> None:
    """Tell how two families of calls, each by start, lie to each other: :data:`UNDECIDED` ... :data:`TOGETHER`."""
    for pair in range(len(first)):
        a, b = offsets[first[pair]], offsets[second[pair]]
        a_stop, b_stop = offsets[first[pair] + 1], offsets[second[pair] + 1]
        a_first, b_first = a, b
        a_long, b_long = -1, -1  # of those that have begun, the one that ends last
        found = 0
        while found == 0 and (a < a_stop or b < b_stop):
            if b == b_stop:
                is_a = True
            elif a == a_stop:
                is_a = False
            else:
                is_a = start[a] < start[b] or (start[a] == start[b] and end[a] <= end[b])
            now = a if is_a else b
            other = b_long if is_a else a_long
            if other >= 0:
                overlap = min(end[now], end[other]) - start[now]
                if overlap > allowed_overlap(min(end[now] - start[now], end[other] - start[other])):
                    found = 3
            if is_a:
                if a_long < 0 or end[a] >= end[a_long]:
                    a_long = a
                a += 1
            else:
                if b_long < 0 or end[b] >= end[b_long]:
                    b_long = b
                b += 1
        if found == 0:
            a, b = a_stop - 1, b_stop - 1
            if start[a] < start[b_first] or (start[a] == start[b_first] and end[a] < end[b_first]):
                found = 1
            elif start[b] < start[a_first] or (start[b] == start[a_first] and end[b] < end[a_first]):
                found = 2
        order[pair] = found
