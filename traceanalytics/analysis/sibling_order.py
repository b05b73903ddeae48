"""How the calls of one parent lie in time: one after the other, or together; what of it could go together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.analysis.call_order import A_FIRST, B_FIRST, orders
from traceanalytics.analysis.covered_time import coverage
from traceanalytics.analysis.fingerprints import families, fingerprint_codes, first_places
from traceanalytics.analysis.path_segments import walk
from traceanalytics.analysis.remote_calls import CONSUMER, PRODUCER
from traceanalytics.errors import OptionError
from traceanalytics.kernels import kernel
from traceanalytics.spans.columns import coded, codes_of, drop_unused
from traceanalytics.spans.schema import KIND
from traceanalytics.topology import Forest
from traceanalytics.topology.repeats import fixed_codes
from traceanalytics.weights import group_sums, span_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.analysis.fingerprints import Families, Fingerprints
    from traceanalytics.kernels import Ints
    from traceanalytics.weights import Weights

__all__ = ["concurrency", "path_below"]

RELATIONS: Final = ["parallel", "ordered", "sequential", "alternating", "mixed"]
_ACCIDENT: Final = 100
"""What happens in fewer than one of so many parents tells nothing of the rule: clocks err, and threads are late."""
_USUAL: Final = 10
"""Calls that run together in all but one of so many parents are parallel: the others are those that were done before the next began."""
_OFTEN: Final = 4
"""In one of so many parents two calls have to be in turn, if to change that is to be worth the while."""


def concurrency(
    spans: pd.DataFrame, *, weights: Weights = None, most_callees: int = 30, min_ms: float = 1.0
) -> pd.DataFrame:
    """Answer which calls of an operation run in parallel, which in sequence, and which of these could run in parallel.

    Two callees of one parent are compared as often as one span calls both. They ran in parallel if any call of one overlaps
    the call of the other that began before it and runs longest (of those, the one that began last). An overlap of up to 1 ms, or
    1 % of the shorter call if that is more, but never more than half of it, counts as none: clocks differ, and many are cut to 1 ms. One was
    before the other if all its calls began before all of the other's.

    That b follows a in every trace is no proof that it needs a: such a pair is a candidate, and only a refutation (they
    overlapped, or b came first) shows that the order is not needed. Of up to a hundred parents one is enough; of more it takes 1 %,
    as one overlap in thousands is an error of a clock rather than a way to work. ``agreeing`` and ``refuting`` give the evidence.

    Calls that are sent together are in turn now and then, when the first is done before the second has begun. So a pair is
    ``parallelisable`` only if it is in turn in a quarter of its parents or more, and if that costs more than clocks err.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Untimed spans, duplicates and consumers below a producer are left out.
    weights
        Column or Series of sampling weights. Counts stay counts of what was observed, as evidence must; means and
        ``weighted_parents`` are weighted.
    most_callees
        Under a parent with more different callees than this, only those with most time are compared (ties: those that began
        first, then by text).
    min_ms
        What a pair has to save to be ``parallelisable``. Less than the 1 ms by which overlaps are judged cannot be told from errors of
        the clocks; give less, or 0, where calls take microseconds and clocks are good.

    Returns
    -------
    pandas.DataFrame
        One row an operation and pair of callees, by service, name and callees.

        - ``service``, ``name``: of the parent, in the frame's own types
        - ``callee_a``, ``callee_b`` (category): fingerprints; a is the one that is more often first (ties: by text)
        - ``traces``, ``parents`` (int64): how many have both
        - ``parallel``, ``a_before_b``, ``b_before_a``, ``undecided`` (int64): parents in which they overlapped, were in this order,
          in the other, or in none (they alternate, or took no time at the same instant)
        - ``relation`` (category): ``parallel`` (in 90 % of the parents or more), ``ordered`` (a before b in more than 99 %: a candidate),
          ``sequential`` (in one order or the other in more than 99 %), ``alternating`` (undecided in more than 99 %), ``mixed``
        - ``agreeing``, ``refuting`` (int64): parents for and against "a has to be done before b" (``a_before_b``; ``parallel``
          and ``b_before_a``)
        - ``parallelisable`` (bool): the order is refuted in at least one parent and 1 % of them, they are in sequence in at least 25 %,
          and ``saving_if_parallel_ms`` is above 0 and not below ``min_ms``
        - ``saving_if_parallel_ms`` (float64): mean over the parents in which they were in sequence of what the shorter one
          has on the critical path (with all that it calls); missing where they never were, and where the order is refuted in less than 1 %:
          that it can be had is then not known
        - ``degree`` (float64): of all parents counted for the operation, time of the children over the time in which any was running: 1 is
          sequential, n means n at a time on average; missing where no child takes time
        - ``weighted_parents`` (float64): ``parents``, each as often as its weight says

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is not usable.
    OptionError
        ``most_callees`` is below 2, ``min_ms`` is negative or not finite, or the weights are no column.

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
    if not (math.isfinite(min_ms) and min_ms >= 0):
        raise OptionError(f"min_ms={min_ms!r} is no length of time; give 0 or more milliseconds")
    weight = span_weights(spans, weights)
    forest = Forest(spans)
    prints = fingerprint_codes(spans)
    kind = fixed_codes(spans["kind"], KIND)
    apart = (kind == CONSUMER) & (kind[forest.parent] == PRODUCER)  # a producer does not wait
    found = families(forest, prints.codes, forest.timed & ~apart, least=2)
    found = _with_company(found)
    place = _places(prints)
    first, second = _pairs(found, forest, place, most_callees)
    order = np.empty(len(first), dtype=np.int8)
    rows = found.rows
    orders(first, second, found.offsets, forest.start[rows], forest.end[rows], order)
    path = found.sums(path_below(spans, forest))
    parent = found.parent[first]
    saving = np.minimum(path[first], path[second])
    pairs = _Pairs(found.code[first], found.code[second], parent, order, saving, weight[parent])
    seen = _Seen(spans, forest, prints, place, _degrees(spans, forest, found, weight))
    return _table(seen, pairs, round(min_ms * 1e6))


class _Pairs(NamedTuple):
    """Comparisons, one element a parent and pair of callees."""

    low: NDArray[np.int64]
    """Fingerprint of the one whose code is lower: A of the order."""
    high: NDArray[np.int64]
    parent: NDArray[np.int64]
    order: NDArray[np.int8]
    saving: NDArray[np.int64]
    """Time of the shorter one on the critical path, in ns: sums of whole numbers are the same in any order of rows."""
    weight: NDArray[np.float64]


class _Seen(NamedTuple):
    """What is known of the spans of a frame."""

    spans: pd.DataFrame
    forest: Forest
    prints: Fingerprints
    place: NDArray[np.int64]
    """Of each fingerprint, among all of them by text."""
    degree: NDArray[np.float64]
    """Of the operation of each row."""


def _places(prints: Fingerprints) -> NDArray[np.int64]:
    place = np.empty(len(prints.labels), dtype=np.int64)
    place[np.argsort(np.asarray(prints.labels, dtype=object), kind="stable")] = np.arange(len(prints.labels))
    return place


def _with_company(found: Families) -> Families:
    """Return the families whose parent has several."""
    several = np.bincount(found.parent, minlength=1)[found.parent] > 1 if len(found.parent) else np.zeros(0, dtype=bool)
    return found if several.all() else found.take(np.flatnonzero(several))


def _pairs(
    found: Families, forest: Forest, place: NDArray[np.int64], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of families of one parent, the lower fingerprint first."""
    kept = np.arange(len(found.parent))
    callees = np.bincount(found.parent, minlength=1)
    if callees.max() > most:
        time = found.sums(forest.end - forest.start)
        begin = forest.start[found.rows[found.offsets[:-1]]]
        order = np.lexsort((place[found.code], begin, -time, found.parent))
        head = np.searchsorted(found.parent, found.parent)  # the families of a parent stand together, parents ascending
        kept = np.sort(order[np.arange(len(order)) - head < most])
    parent = found.parent[kept]
    first, second = [kept[:0]], [kept[:0]]
    for step in range(1, int(min(callees.max(), most))):
        same = np.flatnonzero(parent[:-step] == parent[step:])
        first.append(kept[same])
        second.append(kept[same + step])
    return np.concatenate(first), np.concatenate(second)


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


def _table(seen: _Seen, pairs: _Pairs, least_ns: int) -> pd.DataFrame:
    spans, forest, prints, place, degree = seen
    operation, _ = _operations(spans)
    width = len(prints.labels) + 1
    pair, kinds = pd.factorize(pairs.low * width + pairs.high)
    group, groups = pd.factorize(operation[pairs.parent] * (len(kinds) + 1) + pair)
    n = len(groups)
    some = first_places(group, n)
    low, high, parent = pairs.low[some], pairs.high[some], pairs.parent[some]
    counts = [np.bincount(group, weights=pairs.order == state, minlength=n).astype(np.int64) for state in range(4)]
    undecided, low_first, high_first, together = counts
    swap = (high_first > low_first) | ((high_first == low_first) & (place[high] < place[low]))
    ahead, behind = np.where(swap, high_first, low_first), np.where(swap, low_first, high_first)
    observed = np.bincount(group, minlength=n)
    in_turn = (pairs.order == A_FIRST) | (pairs.order == B_FIRST)
    turns = group_sums(group, n, in_turn, pairs.weight)
    saved = group_sums(group, n, np.where(in_turn, pairs.saving, 0), pairs.weight)
    refuting = together + behind
    refuted = (refuting > 0) & (refuting * _ACCIDENT >= observed)
    saving = np.divide(saved, turns, out=np.full(n, np.nan), where=refuted & (turns > 0))
    often = (ahead + behind) * _OFTEN >= observed
    in_trace = pd.unique(group.astype(np.int64) * (forest.n_traces + 1) + forest.trace[pairs.parent])
    columns: dict[str, Any] = {
        "service": spans["service"].array.take(parent),
        "name": spans["name"].array.take(parent),
        "callee_a": drop_unused(coded(np.where(swap, high, low), prints.labels)),
        "callee_b": drop_unused(coded(np.where(swap, low, high), prints.labels)),
        "traces": np.bincount(in_trace // (forest.n_traces + 1), minlength=n),
        "parents": observed,
        "parallel": together,
        "a_before_b": ahead,
        "b_before_a": behind,
        "undecided": undecided,
        "relation": drop_unused(coded(_relations(observed, together, ahead, behind, undecided), RELATIONS)),
        "agreeing": ahead,
        "refuting": refuting,
        "parallelisable": often & (saving > 0) & (saving >= least_ns),
        "saving_if_parallel_ms": saving / 1e6,
        "degree": degree[parent],
        "weighted_parents": group_sums(group, n, np.ones(len(group)), pairs.weight),
    }
    table = pd.DataFrame(columns, copy=False)
    keys = ["service", "name", "callee_a", "callee_b"]
    return table.sort_values(keys, key=lambda column: column.astype("str"), ignore_index=True)


def _relations(
    parents: NDArray[np.int64],
    together: NDArray[np.int64],
    ahead: NDArray[np.int64],
    behind: NDArray[np.int64],
    undecided: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return positions in :data:`RELATIONS`."""
    nearly = parents * (_ACCIDENT - 1)
    rules = [together * _USUAL >= parents * (_USUAL - 1)]
    rules += [count * _ACCIDENT > nearly for count in (ahead, ahead + behind, undecided)]
    return np.select(rules, [0, 1, 2, 3], 4)


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
