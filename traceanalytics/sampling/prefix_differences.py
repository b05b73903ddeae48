"""Traces of which spans were kept by different probabilities: what their visible parts say about whole traces.

Consistent sampling keeps a span if the trace's one random number reaches the span's threshold, so the kept spans of a trace are always
those of highest probability: a prefix of the trace, by falling probability. Any function ``f`` of a trace is a sum of the steps
between its prefixes, each of which is seen with the probability of its last span (O. Ertl, arXiv 2107.07703).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.sampling.linearised_variance import by_group

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Prefixes", "expanded", "prefixes_of"]

Numbers = Any
"""An array of numbers."""


class Prefixes(NamedTuple):
    """The prefixes of the kept spans of each unit, shortest first: one for every different probability there.

    ``row`` gives a span the shortest prefix that it is in; ``unit``, ``p`` and ``first`` are the prefixes' own.
    """

    row: NDArray[np.intp]
    unit: NDArray[np.intp]
    p: NDArray[np.float64]
    first: NDArray[np.bool_]

    def running(self, steps: Numbers) -> NDArray[np.float64]:
        """Return running sums of what each prefix adds to the one before.

        >>> prefixes_of(np.array([0, 0, 1]), np.array([0.1, 0.5, 0.5])).running(np.array([1.0, 2.0, 4.0]))
        array([1., 3., 4.])
        """
        total = np.cumsum(steps, dtype=np.float64)
        begin = np.flatnonzero(self.first)
        before = np.append(0.0, total)[begin]
        found: NDArray[np.float64] = total - np.repeat(before, np.diff(begin, append=len(total)))
        return found

    def counted(self, rows: NDArray[np.intp] | slice = slice(None), values: Numbers = None) -> NDArray[np.float64]:
        """Return how many of some spans each prefix has, or the sum of their values."""
        return self.running(np.bincount(self.row[rows], weights=values, minlength=len(self.unit)))

    def extreme(self, values: NDArray[np.int64], *, greatest: bool) -> NDArray[np.int64]:
        """Return the greatest or smallest value of the spans in each prefix."""
        which = "max" if greatest else "min"
        own = pd.Series(values).groupby(self.row).agg(which).reindex(range(len(self.unit)))
        found: NDArray[np.int64] = getattr(own.groupby(self.unit), f"cum{which}")().to_numpy("int64")
        return found


def prefixes_of(unit: NDArray[np.intp], p: NDArray[np.float64]) -> Prefixes:
    """Return the prefixes of the kept spans of each unit (a trace, or its part in a group).

    >>> found = prefixes_of(np.array([0, 0, 0, 1]), np.array([0.1, 0.5, 0.1, 0.5]))
    >>> found.row, found.unit, found.p
    (array([1, 0, 1, 2]), array([0, 0, 1]), array([0.5, 0.1, 0.5]))
    """
    code, different = pd.factorize(p)
    falling = np.argsort(-different)
    rank = np.empty(len(different), np.intp)
    rank[falling] = np.arange(len(different))
    width = max(len(different), 1)
    row, pairs = pd.factorize(unit * width + rank[code], sort=True)
    owner = pairs // width
    return Prefixes(row, owner, different[falling[pairs % width]], np.diff(owner, prepend=-1) != 0)


def expanded(
    prefixes: Prefixes, value: NDArray[np.float64], units: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return unbiased estimates of ``f`` and of its square for each unit, from the values of ``f`` on its prefixes.

    The sum of the first estimates one total; its variance is estimated without bias by the sum of their squares less the second.

    >>> found = prefixes_of(np.array([0, 0]), np.array([0.5, 0.1]))
    >>> expanded(found, np.array([1.0, 3.0]), 1)
    (array([22.]), array([82.]))
    """
    before = np.where(prefixes.first, 0.0, np.append(0.0, value[:-1])) if len(value) else value
    step = (value - before) / prefixes.p
    return by_group(prefixes.unit, units, step), by_group(prefixes.unit, units, step * (value + before))
