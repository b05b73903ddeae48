"""Kernels that put linked spans in order: siblings, pre-order, rings broken, main roots, untimed spans looked through."""
# ruff: noqa: PLR0917 - kernels take their arrays by position

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from traceanalytics.kernels import kernel, part

if TYPE_CHECKING:
    from traceanalytics.kernels import Ints

__all__ = ["break_cycles", "is_later", "main_roots", "nearest_timed", "pre_order", "sort_groups", "sort_rows"]

_RUN: Final = 16
"""Runs of this many rows are sorted by insertion and then merged."""


@part
def is_later(one: int, other: int, first: Ints, second: Ints, third: Ints) -> bool:
    """Tell whether row ``one`` comes strictly after row ``other`` by three keys."""
    return first[one] > first[other] or (
        first[one] == first[other]
        and (second[one] > second[other] or (second[one] == second[other] and third[one] > third[other]))
    )


@part
def merge_runs(
    rows: Ints, low: int, middle: int, high: int, spare: Ints, first: Ints, second: Ints, third: Ints
) -> None:
    """Merge two sorted neighbouring runs, stably."""
    for at in range(low, middle):
        spare[at] = rows[at]
    left, right, to = low, middle, low
    while left < middle:
        if right < high and is_later(spare[left], rows[right], first, second, third):
            rows[to] = rows[right]
            right += 1
        else:
            rows[to] = spare[left]
            left += 1
        to += 1


@part
def sort_rows(rows: Ints, low: int, high: int, spare: Ints, first: Ints, second: Ints, third: Ints) -> None:
    """Sort ``rows[low:high]`` by three keys, stably: insertion within short runs, then merging from the bottom up."""
    for begin in range(low, high, _RUN):
        for position in range(begin + 1, min(begin + _RUN, high)):
            row = rows[position]
            at = position
            while at > begin and is_later(rows[at - 1], row, first, second, third):
                rows[at] = rows[at - 1]
                at -= 1
            rows[at] = row
    width = _RUN
    while width < high - low:
        for begin in range(low, high - width, 2 * width):
            middle = begin + width
            if is_later(rows[middle - 1], rows[middle], first, second, third):  # else in order already
                merge_runs(rows, begin, middle, min(middle + width, high), spare, first, second, third)
        width *= 2


@kernel("rows", scratch=("spare",))
def sort_groups(offsets: Ints, rows: Ints, spare: Ints, first: Ints, second: Ints, third: Ints) -> None:
    """Sort the rows of every group by three keys."""
    for group in range(len(offsets) - 1):
        if offsets[group + 1] - offsets[group] > 1:
            sort_rows(rows, offsets[group], offsets[group + 1], spare, first, second, third)


@kernel("children", "order", "depth", "root", "reached", scratch=("stack", "spare"))
def pre_order(
    n_spans: int,
    offsets: Ints,
    start: Ints,
    span_id: Ints,
    tie: Ints,
    stack: Ints,
    spare: Ints,
    children: Ints,
    order: Ints,
    depth: Ints,
    root: Ints,
    reached: Ints,
) -> None:
    """Sort siblings and list rows with parents first; rows on rings and below them are not reached."""
    found = 0
    for trace in range(n_spans, len(offsets) - 1):
        stack[0] = trace
        waiting = 1
        while waiting > 0:
            waiting -= 1
            node = stack[waiting]
            is_span = node < n_spans  # otherwise it is the trace, whose children are the roots
            if is_span:
                order[found] = node
                found += 1
            low, high = offsets[node], offsets[node + 1]
            if high - low > 1:
                sort_rows(children, low, high, spare, start, span_id, tie)
            for at in range(high - 1, low - 1, -1):
                child = children[at]
                depth[child] = depth[node] + 1 if is_span else 0
                root[child] = root[node] if is_span else child
                stack[waiting] = child
                waiting += 1
    reached[0] = found


@kernel("parent", "broken", scratch=("visit",))
def break_cycles(depth: Ints, start: Ints, span_id: Ints, tie: Ints, visit: Ints, parent: Ints, broken: Ints) -> None:
    """Make the earliest span of every ring a root. No row is climbed over twice: ``visit`` names the climb, 0 for none."""
    for row in range(len(parent)):
        if depth[row] >= 0 or parent[row] < 0 or visit[row] > 0:
            continue
        at = row
        while at >= 0 and visit[at] == 0:
            visit[at] = row + 1
            at = parent[at]
        if at < 0 or visit[at] != row + 1:
            continue
        earliest, ring = at, parent[at]
        while ring != at:
            if is_later(earliest, ring, start, span_id, tie):
                earliest = ring
            ring = parent[ring]
        parent[earliest] = -1
        broken[earliest] = 1


@kernel("main")
def main_roots(
    n_spans: int, offsets: Ints, children: Ints, has_parent_id: Ints, start: Ints, end: Ints, timed: Ints, main: Ints
) -> None:
    """Choose each trace's main root: the only span without parent id, else the first of those that cover most time."""
    for trace in range(len(main)):
        parentless, only, longest, most = 0, -1, -1, -1
        for at in range(offsets[n_spans + trace], offsets[n_spans + trace + 1]):
            row = children[at]
            if not has_parent_id[row]:
                parentless += 1
                only = row
            covered = end[row] - start[row] if timed[row] else -1
            if longest < 0 or covered > most:
                longest, most = row, covered
        main[trace] = only if parentless == 1 else longest


@kernel("above")
def nearest_timed(order: Ints, parent: Ints, timed: Ints, above: Ints) -> None:
    """Find the nearest timed ancestor of every row, -1 where there is none."""
    for row in order:
        up = parent[row]
        if up >= 0:
            above[row] = up if timed[up] else above[up]
