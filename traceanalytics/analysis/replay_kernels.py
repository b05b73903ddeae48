"""The replay of traces over the arrays of a forest: first the shape of every span, children first; then its place and its slack.

A span's shape does not depend on when it starts, so all places are relative to the start of the span above until the second
pass. Siblings that are waited for stand in ``by_end``, in the order of their observed ends; ``reach`` holds the latest new end up
to each of them, so that a child finds what it has to wait for by one search.
"""
# ruff: noqa: PLR0917 - kernels take their arrays by position

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from traceanalytics.analysis.path_kernels import DETACH, outlives
from traceanalytics.kernels import kernel, part
from traceanalytics.topology.order import sort_rows

if TYPE_CHECKING:
    from traceanalytics.kernels import Ints

__all__ = ["ENDLESS", "lay_out", "put_down"]

ENDLESS: Final = 1 << 60
"""Slack of what nothing waits for, in ns; 36 years."""

_DETACH: Final = DETACH


@part
def is_awaited(row: int, child: int, start: Ints, end: Ints, service: Ints, loose: Ints) -> bool:
    """Tell whether a span waits for a child: the rule of the critical path."""
    begin, finish = start[child], end[child]
    inside = begin < end[row] and finish > start[row]
    inside |= begin == finish and start[row] <= begin <= end[row]
    return inside and not loose[child] and not outlives(row, child, start, end, service, _DETACH, 0)


@part
def last_ended(by_end: Ints, low: int, high: int, instant: int, end: Ints) -> int:
    """Return the last place in ``low`` to ``high`` (excluded) whose span ended by an instant; ``low - 1`` for none."""
    below = low
    above = high
    while below < above:
        middle = (below + above) // 2
        if end[by_end[middle]] <= instant:
            below = middle + 1
        else:
            above = middle
    return below - 1


@part
def lay_children(
    row: int,
    first: int,
    children_stop: int,
    stop: int,
    children: Ints,
    start: Ints,
    end: Ints,
    later: Ints,
    place: Ints,
    by_end: Ints,
    offset: Ints,
    length: Ints,
    reach: Ints,
    last: Ints,
    need: Ints,
) -> None:
    """Give the children of a span their new offsets, in the order of their observed starts.

    ``last`` is the place of the last sibling that a child waits for, ``need`` the offset by which that and those before it must have ended.
    """
    known = first
    for at in range(first, children_stop):
        child = children[at]
        while known < stop and place[by_end[known]] < at and end[by_end[known]] <= start[child]:
            reach[known] = offset[by_end[known]] + length[by_end[known]]
            if known > first:
                reach[known] = max(reach[known], reach[known - 1])
            known += 1
        found = known - 1
        if later[child] < 0:
            found = last_ended(by_end, first, known, start[child] + later[child], end)
        begin = start[child] + later[child]
        gap, waits_until = begin - start[row], 0
        last[child] = -1
        if found >= first:
            gap, waits_until = begin - end[by_end[found]], reach[found]
            last[child] = found
        offset[child] = max(waits_until + gap, min(start[child] - start[row], 0))
        need[child] = offset[child] - gap


@kernel(
    "by_end",
    "stop",
    "awaited",
    "offset",
    "length",
    "tail",
    "reach",
    "last",
    "need",
    scratch=("spare", "by_end", "stop", "awaited", "offset", "length", "tail", "reach", "last", "need"),
)
def lay_out(
    order: Ints,
    offsets: Ints,
    children: Ints,
    timed: Ints,
    start: Ints,
    end: Ints,
    service: Ints,
    loose: Ints,
    longer: Ints,
    later: Ints,
    place: Ints,
    spare: Ints,
    tie: Ints,
    by_end: Ints,
    stop: Ints,
    awaited: Ints,
    offset: Ints,
    length: Ints,
    tail: Ints,
    reach: Ints,
    last: Ints,
    need: Ints,
) -> None:
    """Write the new length of every span and its offset from the span above; ``stop`` ends each span's part of ``by_end``."""
    for number in range(len(order) - 1, -1, -1):
        row = order[number]
        if timed[row]:
            first, children_stop = offsets[row], offsets[row + 1]
            count = first
            for at in range(first, children_stop):
                child = children[at]
                if is_awaited(row, child, start, end, service, loose):
                    awaited[child] = 1
                    by_end[count] = child
                    count += 1
            stop[row] = count
            if count - first > 1:
                sort_rows(by_end, first, count, spare, end, place, tie)
            lay_children(
                row,
                first,
                children_stop,
                count,
                children,
                start,
                end,
                later,
                place,
                by_end,
                offset,
                length,
                reach,
                last,
                need,
            )
            before, after = 0, 0
            for at in range(first, count):
                child = by_end[at]
                before = max(before, min(end[child], end[row]) - start[row])
                after = max(after, offset[child] + length[child] - max(0, end[child] - end[row]))
            tail[row] = end[row] - start[row] - before
            length[row] = after + max(0, tail[row] + longer[row])
            for at in range(first, children_stop):
                child = children[at]
                if not awaited[child] and start[child] >= end[row]:
                    offset[child] = max(0, length[row] + start[child] - end[row] + later[child])
                    last[child] = -1


@kernel("start", "room", scratch=("held", "start", "room"))
def put_down(
    order: Ints,
    parent: Ints,
    offsets: Ints,
    timed: Ints,
    old_start: Ints,
    old_end: Ints,
    later: Ints,
    by_end: Ints,
    stop: Ints,
    awaited: Ints,
    offset: Ints,
    length: Ints,
    last: Ints,
    need: Ints,
    held: Ints,
    start: Ints,
    room: Ints,
) -> None:
    """Write the new start of every span, and its slack: the least of what the next ones that wait for it have left."""
    for row in order:
        if timed[row]:
            up = parent[row]
            if up < 0:
                start[row] = old_start[row] + later[row]
            else:
                start[row] = start[up] + offset[row]
                if not awaited[row]:
                    room[row] = ENDLESS
            first, count = offsets[row], stop[row]
            inner = 0
            for at in range(first, count):
                held[at] = 2 * ENDLESS
                child = by_end[at]
                inner = max(inner, offset[child] + length[child] - max(0, old_end[child] - old_end[row]))
            least = 2 * ENDLESS
            for at in range(count - 1, first - 1, -1):
                child = by_end[at]
                new_end = offset[child] + length[child]
                least = min(least, held[at])
                at_parent = inner - new_end + max(0, old_end[child] - old_end[row]) + room[row]
                room[child] = min(ENDLESS, least - new_end, at_parent)
                if last[child] >= 0:
                    held[last[child]] = min(held[last[child]], need[child] + room[child])
