"""Timing of alternatives in one run, and the table they are printed in."""

from __future__ import annotations

import gc
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the checkout, when the package is not installed


def seconds(*works, runs=5):
    """The best time of each of some works, taken in turns after one run each that warms caches and compiles."""
    for work in works:
        work()
    best = [float("inf")] * len(works)
    for _ in range(runs):
        for number, work in enumerate(works):
            gc.collect()
            begin = time.perf_counter()
            work()
            best[number] = min(best[number], time.perf_counter() - begin)
    return best


class Table:
    """Rows of work, seconds, reference seconds, ratio and target, printed as they come."""

    def __init__(self, title):
        _print(f"{title}\n{'work':<58}{'s':>9}{'reference s':>13}{'ratio':>9}{'target':>9}")

    def add(self, work, own, reference, target=None):
        """A row; without a target it is there for information."""
        aim = "" if target is None else f"1/{1 / target:g}"
        verdict = "  MISSED" if target is not None and own / reference > target else ""
        _print(f"{work:<58}{own:>9.4f}{reference:>13.4f}{f'1/{reference / own:.1f}':>9}{aim:>9}{verdict}")


def report(title):
    """Print a title; the rows are printed by what is returned."""
    _print(f"\n{title}")
    return _print


def _print(line):
    print(line, flush=True)  # noqa: T201 - a benchmark prints its table
