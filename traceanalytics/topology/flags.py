"""What is odd about a span or a path: one bit each, shown as comma-separated names."""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING, Any

import numpy as np

from traceanalytics.spans.columns import coded

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["Flag", "flag_texts"]


class Flag(IntFlag):
    """The bits of a flag mask; a result shows their names in lower case, in this order."""

    ORPHAN = 1
    """The parent id is there, the parent is not: the span counts as a root."""
    CYCLE = 1 << 1
    """The spans' parents form a ring, which was broken here: the earliest span of the ring counts as a root."""
    SELF_PARENT = 1 << 2
    """The span names itself as its parent and counts as a root."""
    DUPLICATE = 1 << 3
    """The same span stands in the frame again; this row is left out of everything."""
    UNTIMED = 1 << 4
    """Start or duration is unknown: the span is in the tree, but never in time arithmetic."""
    NEGATIVE_DURATION = 1 << 5
    """The duration is negative and counts as zero."""
    AMBIGUOUS_PARENT = 1 << 6
    """Several different spans bear the id of the parent; the earliest of them was chosen."""
    OTHER_ROOTS = 1 << 7
    """The trace has further roots, and the result shows one of them only."""
    UNTIMED_ROOT = 1 << 8
    """The root is untimed, so its topmost timed descendants stand for it."""
    ZERO_DURATION = 1 << 9
    """The root takes no time, so there is nothing to divide."""
    CLIPPED = 1 << 10
    """The span reaches beyond what its parent leaves it, and was cut."""
    DETACHED_CHILD = 1 << 11
    """A child outlives this span, which therefore cannot have waited for it; the child was left off the path."""
    CHILD_OUTSIDE = 1 << 12
    """A child begins when this span has ended, or ends before it begins; the child was left off the path."""
    ASYNC_CHILD = 1 << 13
    """A child is asynchronous (a consumer of this producer, or FOLLOWS_FROM) and was left off the path."""
    UNTIMED_CHILD = 1 << 14
    """A child is untimed; its own children were taken in its place."""


_NAMES = {int(flag): str(flag.name).lower() for flag in Flag}


def flag_texts(mask: NDArray[Any]) -> pd.Categorical:
    """Return the names of the set bits of each element, comma-separated, as a categorical; "" where none is set.

    >>> list(flag_texts(np.array([0, Flag.ORPHAN, Flag.ORPHAN | Flag.CLIPPED])))
    ['', 'orphan', 'orphan,clipped']
    """
    found = np.bincount(mask, minlength=1)
    used = np.flatnonzero(found)
    label = np.zeros(len(found), dtype=np.int32)
    label[used] = np.arange(len(used))
    return coded(
        label[mask], [",".join(name for bit, name in _NAMES.items() if value & bit) for value in used.tolist()]
    )
