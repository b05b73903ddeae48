"""How the calls of one parent lie in time: one after the other, or together; what of it could go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.analysis.fingerprints import families, fingerprint_codes, first_places
from traceanalytics.analysis.path_segments import walk
from traceanalytics.analysis.remote_calls import CONSUMER, PRODUCER
from traceanalytics.errors import OptionError
from traceanalytics.kernels import kernel, part
from traceanalytics.spans.columns import coded, codes_of, duration_ms
from traceanalytics.spans.schema import KIND
from traceanalytics.topology import Forest
from traceanalytics.topology.repeats import fixed_codes
from traceanalytics.weights import group_sums, span_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.analysis.fingerprints import Families, Fingerprints
    from traceanalytics.kernels import Ints
    from traceanalytics.weights import Weights

__all__ = ["Coverage", "allowed_overlap", "concurrency", "coverage", "path_below", "tolerance_of"]

UNDECIDED, A_FIRST, B_FIRST, TOGETHER = range(4)
RELATIONS: Final = ["parallel", "ordered", "sequential", "alternating", "mixed"]
_TOLERANCE_NS: Final = 1_000_000


def concurrency(spans: pd.DataFrame, *, weights: Weights = None, most_callees: int = 30) -> pd.DataFrame:
    """Answer which calls of an operation run in parallel, which in sequence, and which of these could run in parallel.

    Two callees of one parent are compared as often as one span calls both. They ran in parallel if any call of one overlaps
    the call of the other that began before it and runs longest (of those, the one that began last). An overlap of up to 1 ms, or
    1 % of the shorter call if that is more, but never more than half of it, counts as none: clocks differ, and many are cut to 1 ms. One was
    before the other if all its calls began before all of the other's.

    That b follows a in every trace is no proof that it needs a: such a pair is a candidate, and only a refutation (they
    overlapped, or b came first, in at least one parent) shows that the order is not needed. ``agreeing`` and ``refuting`` give the evidence.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Untimed spans, duplicates and consumers below a producer are left out.
    weights
        Column or Series of sampling weights. Counts stay counts of what was observed, as evidence must; means and
        ``weighted_parents`` are weighted.
    most_callees
        Under a parent with more different callees than this, only those with most time are compared.

    Returns
    -------
    pandas.DataFrame
        One row an operation and pair of callees, by service, name and callees.

        - ``service``, ``name``: of the parent, in the frame's own types
        - ``callee_a``, ``callee_b`` (category): fingerprints; a is the one that is more often first (ties: by text)
        - ``traces``, ``parents`` (int64): how many have both
        - ``parallel``, ``a_before_b``, ``b_before_a``, ``undecided`` (int64): parents in which they overlapped, were in this order,
          in the other, or in none (they alternate, or took no time at the same instant)
        - ``relation`` (category): ``parallel`` (in every parent), ``ordered`` (a before b in every parent: a candidate),
          ``sequential`` (never together, in either order), ``alternating`` (undecided in every parent), ``mixed``
        - ``agreeing``, ``refuting`` (int64): parents for and against "a has to be done before b" (``a_before_b``; ``parallel``
          and ``b_before_a``)
        - ``parallelisable`` (bool): the order is refuted at least once, and there is a parent in which they were in sequence
          and which could have ended earlier (``saving_if_parallel_ms`` > 0)
        - ``saving_if_parallel_ms`` (float64): mean over the parents in which they were in sequence of what the shorter one
          has on the critical path (with all that it calls); missing where they never were
        - ``degree`` (float64): of all parents counted for the operation, time of the children over the time in which any was running: 1 is
          sequential, n means n at a time on average; missing where no child takes time
        - ``weighted_parents`` (float64): ``parents``, each as often as its weight says

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is not usable.
    OptionError
        ``most_callees`` is below 2, or the weights are no column.

    Notes
    -----
    An order that dies at its first counter-example is the idea of The Mystery Machine (Chow et al., OSDI 2014).

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.sibling_order import concurrency
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> starts = [0, 10, 40, 0, 10, 20]
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1"] * 3 + ["a2"] * 3, "span_id": ["b1", "b2", "b3"] * 2,
    ...     "parent_span_id": [None, "b1", "b1"] * 2, "name": ["checkout", "stock", "payment"] * 2,
    ...     "start_time": [t + pd.Timedelta(s, "ms") for s in starts], "duration_ms": [100.0, 30, 20] * 2}))
    >>> concurrency(spans)[["callee_a", "callee_b", "parents", "parallel", "a_before_b", "relation", "parallelisable"]]
      callee_a callee_b  parents  parallel  a_before_b relation  parallelisable
    0    stock  payment        2         1           1    mixed            True
    >>> concurrency(spans).saving_if_parallel_ms.tolist()
    [20.0]
    """
    if most_callees < 2:
        raise OptionError(f"most_callees={most_callees!r} leaves no pair to compare; give 2 or more")
    weight = span_weights(spans, weights)
    forest = Forest(spans)
    prints = fingerprint_codes(spans)
    kind = fixed_codes(spans["kind"], KIND)
    apart = (kind == CONSUMER) & (kind[forest.parent] == PRODUCER)  # a producer does not wait
    found = families(forest, prints.codes, forest.timed & ~apart, least=2)
    found = _with_company(found)
    first, second = _pairs(found, forest, most_callees)
    order = np.empty(len(first), dtype=np.int8)
    rows = found.rows
    _orders(first, second, found.offsets, forest.start[rows], forest.end[rows], order)
    path = found.sums(path_below(spans, forest))
    saving = duration_ms(np.minimum(path[first], path[second]))
    parent = found.parent[first]
    pairs = _Pairs(found.code[first], found.code[second], parent, order, saving, weight[parent])
    return _table(spans, forest, prints, pairs, _degrees(spans, forest, found, weight))


class _Pairs(NamedTuple):
    """Comparisons, one element a parent and pair of callees."""

    low: NDArray[np.int64]
    """Fingerprint of the one whose code is lower: A of the order."""
    high: NDArray[np.int64]
    parent: NDArray[np.int64]
    order: NDArray[np.int8]
    saving: NDArray[np.float64]
    weight: NDArray[np.float64]


def _with_company(found: Families) -> Families:
    """Return the families whose parent has several."""
    several = np.bincount(found.parent, minlength=1)[found.parent] > 1 if len(found.parent) else np.zeros(0, dtype=bool)
    return found if several.all() else found.take(np.flatnonzero(several))


def _pairs(found: Families, forest: Forest, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of families of one parent, the lower fingerprint first."""
    kept = np.arange(len(found.parent))
    callees = np.bincount(found.parent, minlength=1)
    if callees.max() > most:
        time = found.sums(forest.end - forest.start)
        order = np.lexsort((found.code, -time, found.parent))
        head = np.searchsorted(found.parent, found.parent)  # the families of a parent stand together, parents ascending
        kept = np.sort(order[np.arange(len(order)) - head < most])
    parent = found.parent[kept]
    first, second = [kept[:0]], [kept[:0]]
    for step in range(1, int(min(callees.max(), most))):
        same = np.flatnonzero(parent[:-step] == parent[step:])
        first.append(kept[same])
        second.append(kept[same + step])
    return np.concatenate(first), np.concatenate(second)


@part
def allowed_overlap(shorter: int) -> int:
    """Return the overlap, in ns, that counts as none; ``tolerance_of`` is the same over arrays."""
    return min(max(_TOLERANCE_NS, shorter // 100), shorter // 2)


def tolerance_of(shorter: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return by how many ns two calls may overlap and still be one after the other, given the length of the shorter one."""
    return np.minimum(np.maximum(_TOLERANCE_NS, shorter // 100), shorter // 2)


@kernel("order", scratch=("order",))
def _orders(  # noqa: C901, PLR0912, PLR0917 - one merge, and kernels take their arrays by position
    first: Ints, second: Ints, offsets: Ints, start: Ints, end: Ints, order: Ints
) -> None:
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


def _degrees(spans: pd.DataFrame, forest: Forest, found: Families, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the time of the children over their union, for the operation of each row; only rows of parents mean anything."""
    operation, count = _operations(spans)
    block, parents = pd.factorize(forest.parent[found.rows])
    covered = coverage(block, block, forest.start[found.rows], forest.end[found.rows], len(parents))
    length = np.bincount(block, weights=(forest.end - forest.start)[found.rows], minlength=len(parents))
    of = operation[parents]
    total = group_sums(of, count, length, weight[parents])
    union = group_sums(of, count, covered.union, weight[parents])
    degree = np.divide(total, union, out=np.full(count, np.nan), where=union > 0)
    return np.asarray(degree[operation])


def _operations(spans: pd.DataFrame) -> tuple[NDArray[np.int64], int]:
    service, _ = codes_of(spans["service"])
    name, names = codes_of(spans["name"])
    codes, found = pd.factorize(service.astype(np.int64) * (len(names) + 1) + name)
    return codes.astype(np.int64), len(found)


def _table(
    spans: pd.DataFrame, forest: Forest, prints: Fingerprints, pairs: _Pairs, degree: NDArray[np.float64]
) -> pd.DataFrame:
    operation, _ = _operations(spans)
    width = len(prints.labels) + 1
    pair, kinds = pd.factorize(pairs.low * width + pairs.high)
    group, groups = pd.factorize(operation[pairs.parent] * (len(kinds) + 1) + pair)
    n = len(groups)
    some = first_places(group, n)
    low, high, parent = pairs.low[some], pairs.high[some], pairs.parent[some]
    counts = [np.bincount(group, weights=pairs.order == state, minlength=n).astype(np.int64) for state in range(4)]
    undecided, low_first, high_first, together = counts
    place = np.empty(len(prints.labels), dtype=np.int64)
    place[np.argsort(np.asarray(prints.labels, dtype=object), kind="stable")] = np.arange(len(prints.labels))
    swap = (high_first > low_first) | ((high_first == low_first) & (place[high] < place[low]))
    ahead, behind = np.where(swap, high_first, low_first), np.where(swap, low_first, high_first)
    observed = np.bincount(group, minlength=n)
    in_turn = (pairs.order == A_FIRST) | (pairs.order == B_FIRST)
    turns = group_sums(group, n, in_turn, pairs.weight)
    saved = group_sums(group, n, np.where(in_turn, pairs.saving, 0.0), pairs.weight)
    in_trace = pd.unique(group.astype(np.int64) * (forest.n_traces + 1) + forest.trace[pairs.parent])
    columns: dict[str, Any] = {
        "service": spans["service"].array.take(parent),
        "name": spans["name"].array.take(parent),
        "callee_a": coded(np.where(swap, high, low), prints.labels),
        "callee_b": coded(np.where(swap, low, high), prints.labels),
        "traces": np.bincount(in_trace // (forest.n_traces + 1), minlength=n),
        "parents": observed,
        "parallel": together,
        "a_before_b": ahead,
        "b_before_a": behind,
        "undecided": undecided,
        "relation": coded(_relations(observed, together, ahead, behind, undecided), RELATIONS),
        "agreeing": ahead,
        "refuting": together + behind,
        "parallelisable": (together + behind > 0) & (ahead + behind > 0) & (saved > 0),
        "saving_if_parallel_ms": np.divide(saved, turns, out=np.full(n, np.nan), where=turns > 0),
        "degree": degree[parent],
        "weighted_parents": group_sums(group, n, np.ones(len(group)), pairs.weight),
    }
    table = pd.DataFrame(columns, copy=False)
    keys = ["service", "name", "callee_a", "callee_b"]
    table = table.sort_values(keys, key=lambda column: column.astype("str"), ignore_index=True)
    for side in ("callee_a", "callee_b"):
        table[side] = table[side].cat.remove_unused_categories()
    return table


def _relations(
    parents: NDArray[np.int64],
    together: NDArray[np.int64],
    ahead: NDArray[np.int64],
    behind: NDArray[np.int64],
    undecided: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return positions in :data:`RELATIONS`."""
    return np.select(
        [together == parents, ahead == parents, ahead + behind == parents, undecided == parents], [0, 1, 2, 3], 4
    )


def path_below(spans: pd.DataFrame, forest: Forest) -> NDArray[np.int64]:
    """Return the time, in ns, that each row and all below it have on the critical path of their root."""
    found = walk(spans, forest, roots="all")
    total = np.zeros(forest.n_spans, dtype=np.int64)
    np.add.at(total, found.row, found.length)
    _add_up(forest.order, forest.parent, total)
    return total


@kernel("total")
def _add_up(order: Ints, parent: Ints, total: Ints) -> None:
    for at in range(len(order) - 1, -1, -1):
        row = order[at]
        if parent[row] >= 0:
            total[parent[row]] += total[row]


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
