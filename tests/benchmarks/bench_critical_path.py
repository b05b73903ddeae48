"""The critical path against a plain Python walk; run as ``python tests/benchmarks/bench_critical_path.py``."""

from __future__ import annotations

import numpy as np
from generate import SHAPES, forest
from timing import Table, seconds

from traceanalytics.analysis.critical_path import critical_path, critical_time
from traceanalytics.analysis.path_segments import walk
from traceanalytics.kernels import forced
from traceanalytics.topology import Forest


def plain_walk(parent, start, end):  # noqa: C901 - one loop, as fast as plain Python has it
    """Lists, a dict of children, a sort a span: the time of each span on the path, without waits, ties, flags or segments."""
    parent, start, end, children = parent.tolist(), start.tolist(), end.tolist(), {}
    for row, up in enumerate(parent):
        if up >= 0:
            below = children.get(up)
            if below is None:
                children[up] = [row]
            else:
                below.append(row)
    time = [0] * len(parent)
    stack = [(row, start[row], end[row]) for row, up in enumerate(parent) if up < 0 and end[row] > start[row]]
    while stack:
        row, low, high = stack.pop()
        below = children.get(row)
        if below is None:
            time[row] = high - low
            continue
        windows = []
        for child in below:
            begin, finish = start[child], end[child]
            if begin < low:  # noqa: PLR1730 - max() is a call
                begin = low
            if finish > high:  # noqa: PLR1730 - min() is a call
                finish = high
            if finish > begin:
                windows.append((finish, begin, child))
        windows.sort(reverse=True)
        cursor, own = high, 0
        for finish, begin, child in windows:
            if finish <= cursor:
                own += cursor - finish
                cursor = begin
                stack.append((child, begin, finish))
        time[row] = own + cursor - low
    return np.array(time)


def compare(table, name, spans, target):
    """Add a row; return the reference's seconds."""
    trees = Forest(spans)
    found = walk(spans, trees, overrun="clip", roots="all")
    own = np.zeros(len(spans), dtype=np.int64)
    np.add.at(own, found.row, found.length)
    differing = int((own != plain_walk(trees.parent, trees.start, trees.end)).sum())  # equal but for ties
    own, reference = seconds(
        lambda: walk(spans, trees, roots="all"), lambda: plain_walk(trees.parent, trees.start, trees.end), runs=3
    )
    table.add(f"{name} ({differing} spans differ)", own, reference, target)
    return reference


def main():
    table = Table("critical path")
    spans = forest()
    reference = compare(table, "1 M spans in 50 k traces, after topology", spans, 1 / 15)
    table.add("  with topology, as a frame", *seconds(lambda: critical_path(spans, roots="all"), runs=3), reference)
    table.add("  with topology, per span", *seconds(lambda: critical_time(spans, roots="all"), runs=3), reference)
    jaeger = seconds(lambda: critical_path(spans, roots="all", mode="jaeger"), runs=3)
    table.add("  the frame, mode='jaeger'", *jaeger, reference)
    for name, shape in SHAPES.items():
        one = shape(50_000)
        reference = compare(table, f"one trace of 50 k spans: {name}", one, 1 / 5)
        with forced(False):
            trees = Forest(one)
            table.add("  without numba", *seconds(lambda one=one, trees=trees: walk(one, trees), runs=1), reference)


if __name__ == "__main__":
    main()
