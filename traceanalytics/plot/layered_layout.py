"""A layout of directed graphs in layers, callers on the left: own code, so that no picture needs a program from elsewhere.

The steps are those of Sugiyama, Tagawa and Toda (1981): turn edges that close a ring, put nodes into layers, lead long edges
through the layers between, order each layer by the middle of its neighbours to avoid crossings, then set heights.
Every step is deterministic; ties go to the order of the nodes.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Layout", "layered_layout"]

_SWEEPS: Final = 12


class Layout(NamedTuple):
    """Places of nodes and ways of edges. Layers and heights are numbers of nodes; neighbours are at least 1 apart."""

    layer: NDArray[np.int64]
    height: NDArray[np.float64]
    ways: list[list[tuple[float, float]]]
    """For each edge the points (layer, height) from its first node to its last, one a layer."""


def layered_layout(n: int, edges: Sequence[tuple[int, int]]) -> Layout:
    """Return a layout of ``n`` nodes with edges between them; edges from a node to itself have ways of one point.

    >>> layout = layered_layout(3, [(0, 1), (1, 2), (0, 2)])
    >>> layout.layer.tolist(), [len(way) for way in layout.ways]
    ([0, 1, 2], [2, 2, 3])
    """
    forward = _without_rings(n, edges)
    layer = _layers(n, forward)
    chains, of_layer, links = _chains(forward, layer)
    columns = _ordered(of_layer, links)
    heights = _heights(columns, links, len(of_layer))
    ways = []
    for edge, (first, last), chain in zip(edges, forward, chains, strict=True):
        points = [(float(of_layer[at]), float(heights[at])) for at in chain]
        ways.append(points if edge == (first, last) else points[::-1])
    return Layout(layer, heights[:n], ways)


def _without_rings(n: int, edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Turn the edges that close rings on a walk in depth, from nodes that nobody calls first."""
    callees: list[list[int]] = [[] for _ in range(n)]
    called = [0] * n
    for a, b in edges:
        if a != b:
            callees[a].append(b)
            called[b] += 1
    state = [0] * n  # 0 unseen, 1 on the way, 2 done
    back: set[tuple[int, int]] = set()
    for start in sorted(range(n), key=lambda at: (called[at] > 0, -len(callees[at]), at)):
        if state[start]:
            continue
        state[start] = 1
        stack = [(start, iter(callees[start]))]
        while stack:
            at, rest = stack[-1]
            callee = next(rest, None)
            if callee is None:
                state[at] = 2
                stack.pop()
            elif state[callee] == 1:
                back.add((at, callee))
            elif not state[callee]:
                state[callee] = 1
                stack.append((callee, iter(callees[callee])))
    return [(b, a) if (a, b) in back else (a, b) for a, b in edges]


def _layers(n: int, edges: list[tuple[int, int]]) -> NDArray[np.int64]:
    """Put each node right of all that call it, and nodes that only call as close to their callees as can be."""
    layer = np.zeros(n, dtype=np.int64)
    callers: list[list[int]] = [[] for _ in range(n)]
    callees: list[list[int]] = [[] for _ in range(n)]
    for a, b in edges:
        if a != b:
            callers[b].append(a)
            callees[a].append(b)
    missing = [len(c) for c in callers]
    ready = [at for at in range(n) if not missing[at]]
    for at in ready:  # grows while it is walked
        for callee in callees[at]:
            layer[callee] = max(layer[callee], layer[at] + 1)
            missing[callee] -= 1
            if not missing[callee]:
                ready.append(callee)
    for at in reversed(ready):
        if not callers[at] and callees[at]:
            layer[at] = min(layer[callee] for callee in callees[at]) - 1
    return layer


def _chains(
    edges: list[tuple[int, int]], layer: NDArray[np.int64]
) -> tuple[list[list[int]], list[int], list[tuple[int, int]]]:
    """Lead each edge through a point in every layer that it crosses; points are numbered after the nodes."""
    of_layer = layer.tolist()
    chains, links = [], []
    for a, b in edges:
        chain = [a]
        for between in range(of_layer[a] + 1, of_layer[b]):
            chain.append(len(of_layer))
            of_layer.append(between)
        if a != b:
            chain.append(b)
        chains.append(chain)
        links += list(itertools.pairwise(chain))
    return chains, of_layer, links


def _ordered(of_layer: list[int], links: list[tuple[int, int]]) -> list[list[int]]:
    """Order the points of each layer so that few links cross; the best order of all sweeps stays."""
    columns: list[list[int]] = [[] for _ in range(max(of_layer, default=-1) + 1)]
    for at, layer in enumerate(of_layer):
        columns[layer].append(at)
    before: dict[int, list[int]] = {}
    after: dict[int, list[int]] = {}
    for a, b in links:
        before.setdefault(b, []).append(a)
        after.setdefault(a, []).append(b)
    best, fewest = [list(column) for column in columns], _crossings(columns, after)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        near = before if down else after
        for column in columns if down else reversed(columns):
            place = {at: i for other in columns for i, at in enumerate(other)}
            middle = {
                at: float(np.median([place[other] for other in near[at]])) if at in near else float(place[at])
                for at in column
            }
            column.sort(key=lambda at: (middle[at], place[at]))
        crossings = _crossings(columns, after)
        if crossings < fewest:
            best, fewest = [list(column) for column in columns], crossings
    return best


def _crossings(columns: list[list[int]], after: dict[int, list[int]]) -> int:
    total = 0
    for left, right in itertools.pairwise(columns):
        place = {at: i for i, at in enumerate(right)}
        ends = [sorted(place[b] for b in after.get(a, ())) for a in left]
        order = np.array([end for some in ends for end in some], dtype=np.int64)
        # Pairs that are upside down; layers are small enough for a table of them.
        total += int(np.triu(order[:, None] > order[None, :], 1).sum()) if len(order) < 3_000 else 0
    return total


def _heights(columns: list[list[int]], links: list[tuple[int, int]], n: int) -> NDArray[np.float64]:
    """Set heights: each point towards the middle of its neighbours, at least 1 from the next one of its layer."""
    height = np.zeros(n)
    for column in columns:
        height[column] = np.arange(len(column)) - (len(column) - 1) / 2
    near: list[list[int]] = [[] for _ in range(n)]
    for a, b in links:
        near[a].append(b)
        near[b].append(a)
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wanted = np.array([height[near[at]].mean() if near[at] else height[at] for at in column])
            height[column] = _apart(wanted)
    lowest = float(height.min()) if n else 0.0
    return np.asarray(height - lowest)


def _apart(wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return heights in the given order, at least 1 apart, with the least sum of squared distances to those wanted.

    Less their rank, the heights only have to rise: isotonic regression by pooling neighbours (Ayer et al. 1955).
    """
    shifted = wanted - np.arange(len(wanted))
    means: list[float] = []
    sizes: list[int] = []
    for value in shifted.tolist():
        mean, size = value, 1
        while means and means[-1] > mean:
            mean = (mean * size + means[-1] * sizes[-1]) / (size + sizes[-1])
            size += sizes.pop()
            means.pop()
        means.append(mean)
        sizes.append(size)
    return np.repeat(means, sizes) + np.arange(len(wanted))
