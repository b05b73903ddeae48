"""The walk of the critical path over the arrays of a forest, all roots in one call.

From the end of a root backwards: the span whose time it is waits for the child that finished last before the cursor; the
cursor moves to that child's start once the child's own walk is done. What no chosen child covers is the span's own time:
``WAIT`` where another child that could hold it up is running, ``SELF`` where none is. So the segments of a root part its
interval exactly. Nothing recurses: the spans on the way down are kept in ``frame``, ``FRAME`` numbers each.
"""
# ruff: noqa: PLR0917 - kernels take their arrays by position

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from traceanalytics.kernels import kernel, part
from traceanalytics.topology.order import sort_rows

if TYPE_CHECKING:
    from traceanalytics.kernels import Ints

__all__ = ["CLIP", "DETACH", "FRAME", "IGNORE", "SEGMENT", "SELF", "WAIT", "spread_loose", "unpack", "walk_paths"]

SELF: Final = 0
WAIT: Final = 1

DETACH: Final = 0
CLIP: Final = 1
IGNORE: Final = 2

SEGMENT: Final = 3
"""A segment is three numbers: twice the row plus the state, start, end."""

# The bits of topology.Flag as plain numbers, which a compiler takes for constants; a test compares them.
CLIPPED: Final = 1024
DETACHED_CHILD: Final = 2048
CHILD_OUTSIDE: Final = 4096
ASYNC_CHILD: Final = 8192

# Places in a frame: the span; its window's start; the cursor; the next child to look at, and the end of the children; by
# how much a child may end after the cursor; the next child to look at for waits, and the stretch in which children run.
_ROW: Final = 0
_LOW: Final = 1
_CURSOR: Final = 2
_NEXT: Final = 3
_STOP: Final = 4
_SLACK: Final = 5
_BLOCK: Final = 6
_BLOCK_LOW: Final = 7
_BLOCK_HIGH: Final = 8
FRAME: Final = 9

_ROUNDING_NS: Final = 1_000_000
_FAR: Final = 0x7FFF_FFFF_FFFF_FFFF


@kernel("loose")
def spread_loose(order: Ints, parent: Ints, timed: Ints, loose: Ints) -> None:
    """Make asynchronous, for the timed span above, what hangs on an asynchronous untimed span."""
    for row in order:
        up = parent[row]
        if up >= 0 and not timed[up] and loose[up]:
            loose[row] = 1


@part
def outlives(row: int, child: int, start: Ints, end: Ints, service: Ints, overrun: int, tolerance: int) -> bool:
    """Tell whether a child ends so long after its parent that the parent cannot have waited for it.

    Within one service, up to 1 ms or 1 % of the parent is rounding.
    """
    late = end[child] - end[row]
    same = service[child] >= 0 and service[child] == service[row]
    rounding = same and (late <= _ROUNDING_NS or late <= (end[row] - start[row]) // 100)
    counts = same if overrun == DETACH else (overrun == IGNORE and late > tolerance)
    return late > 0 and counts and not rounding


@part
def open_frame(
    base: int,
    row: int,
    low: int,
    high: int,
    strict: int,
    overrun: int,
    tolerance: int,
    offsets: Ints,
    start: Ints,
    end: Ints,
    tie: Ints,
    service: Ints,
    loose: Ints,
    children: Ints,
    spare: Ints,
    begins: Ints,
    ends: Ints,
    frame: Ints,
    flags: Ints,
) -> None:
    """Begin the walk of a span within its window: clip its children and put those that can hold it up in front, in order.

    Last end first (``ends`` holds negated ends, so that one ascending sort serves); ties by earliest start, then ``tie``.
    """
    first = offsets[row]
    stop = first
    for at in range(first, offsets[row + 1]):
        child = children[at]
        begin, finish = start[child], end[child]
        inside = begin < end[row] and finish > start[row]
        inside |= begin == finish and start[row] <= begin <= end[row]
        fits = begin < high and (begin >= low or finish > low) if strict else max(begin, low) < min(finish, high)
        if loose[child]:
            flags[row] |= ASYNC_CHILD
        elif not inside:
            flags[row] |= CHILD_OUTSIDE
        elif outlives(row, child, start, end, service, overrun, tolerance):
            flags[row] |= DETACHED_CHILD
        elif fits:
            begins[child] = max(begin, low)
            ends[child] = -min(finish, high)
            children[stop] = child
            stop += 1
    if stop - first > 1:
        sort_rows(children, first, stop, spare, ends, start, tie)
    frame[base + _ROW] = row
    frame[base + _LOW] = low
    frame[base + _CURSOR] = high
    frame[base + _NEXT] = first
    frame[base + _STOP] = stop
    frame[base + _SLACK] = 0 if strict else tolerance
    frame[base + _BLOCK] = stop if strict else first
    frame[base + _BLOCK_LOW] = _FAR
    frame[base + _BLOCK_HIGH] = _FAR


@part
def next_child(base: int, strict: int, children: Ints, begins: Ints, ends: Ints, frame: Ints, lead: Ints) -> int:
    """Choose the child that finished last before the cursor, -1 for none; note by how much it beat the next one.

    The cursor only moves back, so a child once passed over is never looked at again.
    """
    cursor, stop = frame[base + _CURSOR], frame[base + _STOP]
    at = frame[base + _NEXT]
    while at < stop and (begins[children[at]] >= cursor or -ends[children[at]] - cursor > frame[base + _SLACK]):
        at += 1
    child = -1
    if at < stop:
        child = children[at]
        at += 1
        while at < stop and begins[children[at]] >= cursor:
            at += 1
        if at < stop:
            lead[child] = min(-ends[child], cursor) - min(-ends[children[at]], cursor)
        if strict:
            frame[base + _SLACK] = -1  # from the second child on, an end must lie strictly before the cursor
    frame[base + _NEXT] = at
    return child


@part
def next_block(base: int, children: Ints, begins: Ints, ends: Ints, frame: Ints) -> None:
    """Move on to the next stretch of time, going back, in which some child is active without a break."""
    at, stop = frame[base + _BLOCK], frame[base + _STOP]
    low = begins[children[at]]
    frame[base + _BLOCK_HIGH] = -ends[children[at]]
    at += 1
    while at < stop and -ends[children[at]] >= low:
        low = min(low, begins[children[at]])
        at += 1
    frame[base + _BLOCK_LOW] = low
    frame[base + _BLOCK] = at


@part
def put_own(
    count: int, base: int, low: int, children: Ints, begins: Ints, ends: Ints, frame: Ints, segments: Ints
) -> int:
    """Write the span's own time from the cursor back to ``low``, parted where the first child begins or the last ends.

    Returns how many segments there are.
    """
    until = frame[base + _CURSOR]
    while until > low:
        while frame[base + _BLOCK_LOW] >= until and frame[base + _BLOCK] < frame[base + _STOP]:
            next_block(base, children, begins, ends, frame)
        block_low, block_high = frame[base + _BLOCK_LOW], frame[base + _BLOCK_HIGH]
        if block_low >= until or block_high <= low:
            state, since = SELF, low
        elif block_high < until:
            state, since = SELF, block_high
        else:
            state, since = WAIT, max(block_low, low)
        segments[SEGMENT * count] = 2 * frame[base + _ROW] + state
        segments[SEGMENT * count + 1] = since
        segments[SEGMENT * count + 2] = until
        count += 1
        until = since
    return count


@kernel("flags", "lead", "segments", "stops", scratch=("spare", "begins", "ends", "frame", "segments"))
def walk_paths(
    roots: Ints,
    walkable: Ints,
    strict: int,
    overrun: int,
    tolerance: int,
    offsets: Ints,
    start: Ints,
    end: Ints,
    tie: Ints,
    service: Ints,
    loose: Ints,
    children: Ints,
    spare: Ints,
    begins: Ints,
    ends: Ints,
    frame: Ints,
    flags: Ints,
    lead: Ints,
    segments: Ints,
    stops: Ints,
) -> None:
    """Write the segments of every root, latest first; a root without any gets one of no length at its start.

    ``stops`` says where each root's segments end; there are fewer than four a span. ``lead`` is left alone where a child
    had no rival. ``children`` is used up.
    """
    count = 0
    for number in range(len(roots)):
        root, before, base = roots[number], count, -FRAME
        row, low, high = root, start[root], end[root]
        down = walkable[number] > 0
        while down or base >= 0:
            if down:
                base += FRAME
                open_frame(
                    base,
                    row,
                    low,
                    high,
                    strict,
                    overrun,
                    tolerance,
                    offsets,
                    start,
                    end,
                    tie,
                    service,
                    loose,
                    children,
                    spare,
                    begins,
                    ends,
                    frame,
                    flags,
                )
            row = next_child(base, strict, children, begins, ends, frame, lead)
            down = row >= 0
            low, high = frame[base + _LOW], frame[base + _LOW]
            if down:
                low, high = begins[row], min(-ends[row], frame[base + _CURSOR])
                if low != start[row] or high != end[row]:
                    flags[row] |= CLIPPED
            count = put_own(count, base, high, children, begins, ends, frame, segments)
            frame[base + _CURSOR] = low
            if not down:
                base -= FRAME
        if count == before:
            segments[SEGMENT * count] = 2 * root + SELF
            segments[SEGMENT * count + 1] = start[root]
            segments[SEGMENT * count + 2] = start[root]
            count += 1
        stops[number] = count


@kernel("root", "row", "waiting", "start", "end", scratch=("segments",))
def unpack(
    segments: Ints,
    stops: Ints,
    roots: Ints,
    latest_first: int,
    root: Ints,
    row: Ints,
    waiting: Ints,
    start: Ints,
    end: Ints,
) -> None:
    """Write the segments into one array each of root, row, state, start and end; each root's in time order unless told otherwise."""
    first = 0
    for number in range(len(stops)):
        stop = stops[number]
        for at in range(first, stop):
            to = at if latest_first else first + stop - 1 - at
            root[to] = roots[number]
            row[to] = segments[SEGMENT * at] >> 1
            waiting[to] = segments[SEGMENT * at] & 1
            start[to] = segments[SEGMENT * at + 1]
            end[to] = segments[SEGMENT * at + 2]
        first = stop
