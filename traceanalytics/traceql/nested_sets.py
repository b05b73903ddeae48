"""The nested sets of a trace's spans: left and right numbers, so that a descendant lies between those of its ancestor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from traceanalytics.kernels import Ints, kernel
from traceanalytics.topology import Flag

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.topology import Forest

__all__ = ["nested_sets"]

_NO_ROOT = Flag.ORPHAN | Flag.CYCLE | Flag.SELF_PARENT


def nested_sets(forest: Forest) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return left, right and the parent's left of every row: the parent of a root is -1.

    Spans below an orphan have 0 for all three, as in Tempo, which numbers only what hangs on a root.
    """
    order = forest.order.astype(np.int64)
    numbered = np.zeros(forest.n_spans, bool)
    numbered[order] = (forest.flags[forest.root[order]] & _NO_ROOT) == 0
    size = np.ones(forest.n_spans + 1, np.int64)
    _sizes(order, forest.parent.astype(np.int64), size)
    kept = order[numbered[order]]
    trace = forest.trace[kept].astype(np.int64)
    first = np.r_[True, trace[1:] != trace[:-1]] if len(kept) else np.zeros(0, bool)
    begin = np.maximum.accumulate(np.where(first, np.arange(len(kept)), 0))
    left = np.zeros(forest.n_spans, np.int64)
    left[kept] = 2 * (np.arange(len(kept)) - begin) - forest.depth[kept] + 1
    right = np.where(numbered, left + 2 * size[:-1] - 1, 0)
    parent = np.where(numbered, np.where(forest.parent < 0, -1, left[forest.parent]), 0)
    return left, right, parent


@kernel("size")
def _sizes(order: Ints, parent: Ints, size: Ints) -> None:
    """Count the spans of every subtree, children before parents."""
    for i in range(len(order) - 1, -1, -1):
        up = parent[order[i]]
        if up >= 0:
            size[up] += size[order[i]]
