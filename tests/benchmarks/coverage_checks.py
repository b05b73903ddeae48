"""False positives and power of every check, and of the comparison of two windows.

The functions come from ``tests/check_simulations*.py``: each such module names, in dictionaries, ``CHECKS`` (name -> function of a random
generator that draws data with nothing wrong and returns a p-value), ``POWER`` (name -> such a function for data with a fault, and
the share of p-values below .05 that is expected at least) and ``DISCRETE`` (names in ``CHECKS`` whose statistics are whole
numbers, which may be found wrong less often than in 2 of 100). A new check needs an entry there, and nothing here.
"""

from __future__ import annotations

import functools
import importlib
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import timing  # noqa: F401 - puts the checkout on the path

TESTS = Path(__file__).resolve().parents[1]
if str(TESTS) not in sys.path:
    sys.path.insert(0, str(TESTS))

from sampling_runs import population  # noqa: E402

from traceanalytics.sampling.comparison import difference  # noqa: E402
from traceanalytics.sampling.ratios import share_of_spans  # noqa: E402

ALPHA = 0.05
MOST, LEAST = 0.07, 0.02
Z = 2.326
"""One-sided, 1 %."""


class Check(NamedTuple):
    """A check to be counted: ``expected`` None for one without fault in the data."""

    name: str
    draw: object
    expected: float | None
    discrete: bool


def two_windows(rng, *, more=1):
    """The p-value of a difference between the span error rates of two windows, 1,000 kept traces each."""
    people = population(20_000)
    sides = []
    for share in (1, more):
        kept = rng.choice(len(people.spans), 1000)
        failed = people.errors[kept]
        if share > 1:  # as many failing traces again
            again = rng.random(1000) < people.failed.mean() * (share - 1)
            failed = np.where(again, np.maximum(failed, rng.choice(people.errors[people.failed], 1000)), failed)
            failed = np.minimum(failed, people.spans[kept])
        sides.append(share_of_spans(np.zeros(1000, int), 1, np.full(1000, 0.001), failed, people.spans[kept]))
    before, after = (
        pd.DataFrame({name: getattr(side, name) for name in ("estimate", "se", "lo", "hi")}) for side in sides
    )
    return difference(before, after)[-1][0]


def known_checks():
    """All checks, by module and name."""
    found = [
        Check("two windows, span error rate", two_windows, None, discrete=False),
        Check("two windows, twice the span error rate", functools.partial(two_windows, more=2), 0.9, discrete=False),
    ]
    for path in sorted(TESTS.glob("check_simulations*.py")):
        module = importlib.import_module(path.stem)
        discrete = getattr(module, "DISCRETE", ())
        found += [Check(name, draw, None, name in discrete) for name, draw in module.CHECKS.items()]
        found += [Check(name, *pair, False) for name, pair in getattr(module, "POWER", {}).items()]
    return found


def measured(check, runs, seed):
    """One row: how often p-values are below .05, its verdict, and the aim."""
    rng = np.random.default_rng([seed, zlib.crc32(check.name.encode())])
    p = np.array([float(check.draw(rng)) for _ in range(runs)])
    share = float((p < ALPHA).mean())
    spread = np.sqrt(share * (1 - share) / runs)
    if check.expected is not None:
        fine = share >= check.expected - 3 * max(spread, np.sqrt(check.expected * (1 - check.expected) / runs))
        aim = f">= {check.expected:.3g}"
    else:
        top, low = (edge * (1 - edge) / runs for edge in (MOST, LEAST))
        fine = share <= MOST + Z * np.sqrt(top) and (check.discrete or share >= LEAST - Z * np.sqrt(low))
        aim = f"<= {MOST}" if check.discrete else f"{LEAST} - {MOST}"
    kind = "false positives" if check.expected is None else "power"
    return {
        "check": check.name,
        "kind": kind,
        "share": share,
        "aim": aim,
        "runs": runs,
        "verdict": "" if fine else "MISSED",
    }
