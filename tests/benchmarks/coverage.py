"""Do the intervals hold what they promise, and do the checks find what is there and only that? A seeded Monte-Carlo study, in minutes.

``python tests/benchmarks/coverage.py [--runs N] [--cell NAME] [--checks N]``: a table of the cells of the estimates, then one of the
checks; exit code 1 if an aim is missed. ``--cell`` chooses cells and checks whose names hold the text; ``--checks 0`` leaves the checks out.

Aims: coverage of nominal 95 % is not below .93 (one-sided binomial test at 1 %), the mean width at most 1.25 times that of the reference
interval; marked cells (*) have the status ok. Coverage counts the runs that are ``ok``; ``all`` also the intervals of the others,
a missing end being infinite. A cell of which fewer than half of the runs are ``ok`` has no aim but ``all``.
"""

from __future__ import annotations

if __name__ == "coverage":
    # numba asks for a package of this name, and finds this file wherever the folder is on the path.
    raise ImportError("this is the benchmark of sampling, not the package that measures tests")

import argparse
import functools
import os
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from coverage_cells import cells
from coverage_checks import known_checks, measured
from scipy.special import betaincinv
from scipy.stats import binom
from timing import report

NOMINAL = 0.95
LEAST = 0.93
WIDEST = 1.25
BATCH_ROWS = 2_000_000
REFERENCES = 400
FRAMES = 5
MUST = 0.99
"""Share of the runs of a marked cell that is ok, at least."""

all_cells = functools.cache(cells)
all_checks = functools.cache(known_checks)


def batches(cell, runs):
    """Numbers of runs that are drawn at once."""
    size = int(np.clip(BATCH_ROWS / max(cell.heavy, 1), 1, runs))
    return [min(size, runs - begin) for begin in range(0, runs, size)]


def row_of(number, runs, seed):
    """Measure one cell."""
    cell = all_cells()[number]
    key = zlib.crc32(cell.name.encode())
    hits, ok, every, widths, references = 0, 0, 0, [], []
    for batch, size in enumerate(batches(cell, runs)):
        wanted = max(0, min(size, REFERENCES - sum(map(len, references))))
        found = cell.draw(size, [seed, key, batch], wanted)
        low, high = np.nan_to_num(found.lo, nan=-np.inf), np.nan_to_num(found.hi, nan=np.inf)
        hit = (low <= cell.truth) & (cell.truth <= high)
        hits, ok, every = hits + int((hit & found.ok).sum()), ok + int(found.ok.sum()), every + int(hit.sum())
        own, other = (found.hi - found.lo)[:wanted], found.ref_hi - found.ref_lo
        usable = found.ok[:wanted] & np.isfinite(own) & np.isfinite(other)
        widths.append(own[usable])
        references.append(np.where(usable, other, np.nan))
    for k in range(FRAMES):
        np.testing.assert_allclose(*(np.ravel(each) for each in cell.frame([seed, key, 1_000_000 + k])), rtol=1e-9)
    share = hits / ok if ok else np.nan
    width = float(np.mean(np.concatenate(widths))) if ok else np.nan
    reference = (
        float(np.nanmean(np.concatenate(references)))
        if ok and np.isfinite(np.concatenate(references)).any()
        else np.nan
    )
    return {
        "cell": cell.name,
        "estimator": cell.estimator,
        "nominal": NOMINAL,
        "coverage": share,
        "coverage_lo": betaincinv(hits, ok - hits + 1, 0.025) if hits else 0.0,
        "coverage_hi": betaincinv(hits + 1, ok - hits, 0.975) if ok > hits else 1.0,
        "coverage_all": every / runs,
        "mean_width": width,
        "width_ratio": width / reference,
        "ok_share": ok / runs,
        "must_be_ok": cell.must_be_ok,
        "runs": runs,
        "missed": _missed(cell, runs, hits=hits, ok=ok, every=every, ratio=width / reference),
    }


def _missed(cell, runs, *, hits, ok, every, ratio):
    missed = []
    counted, of = (hits, ok) if ok >= runs / 2 else (every, runs)
    if counted < binom.ppf(0.01, of, LEAST):
        missed.append("coverage")
    if ok >= runs / 2 and ratio > WIDEST:
        missed.append("width")
    if cell.must_be_ok and ok < MUST * runs:
        missed.append("ok")
    return " ".join(missed)


def check_row(number, runs, seed):
    """Measure one check."""
    return measured(all_checks()[number], runs, seed)


def coverage_table(runs=4000, seed=1, cell="", *, workers=2, show=None):
    """Return the table of the cells whose name holds ``cell``: what :func:`traceanalytics.plot.coverage` draws."""
    chosen = [number for number, each in enumerate(all_cells()) if cell in f"{each.name} {each.estimator}"]
    return pd.DataFrame(_measured(row_of, chosen, runs, seed, workers=workers, show=show))


def check_table(runs=1000, seed=1, name="", *, workers=2, show=None):
    """Return the table of the checks whose name holds ``name``."""
    chosen = [number for number, each in enumerate(all_checks()) if name in each.name]
    return pd.DataFrame(_measured(check_row, chosen, runs, seed, workers=workers, show=show))


def _measured(work, numbers, runs, seed, *, workers, show):
    rows = []
    with ProcessPoolExecutor(workers) as pool:
        for row in pool.map(functools.partial(work, runs=runs, seed=seed), numbers):
            rows.append(row)
            if show:
                show(row)
    return rows


def main():
    parser = argparse.ArgumentParser(description="Coverage of the intervals, and errors of the checks.")
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--cell", default="")
    parser.add_argument("--checks", type=int, default=1000, metavar="RUNS")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    show = report(
        f"Coverage of nominal 95 %, {given.runs:,} runs a cell; * must be ok; aims: not below .93, width <= 1.25 x reference"
    )
    show(f"| {'cell':<42} | {'coverage':>8} | {'all':>5} | {'width':>10} | ratio | {'ok':>5} | |")
    show(f"|{'-' * 44}|{'-' * 9}:|{'-' * 6}:|{'-' * 11}:|------:|{'-' * 6}:|---|")

    def line(row):
        name = row["cell"] + ("*" if row["must_be_ok"] else "")
        verdict = f"MISSED {row['missed']}" if row["missed"] else ""
        show(
            f"| {name:<42} | {row['coverage']:>8.3f} | {row['coverage_all']:>5.3f} | {row['mean_width']:>10.4g} | "
            f"{row['width_ratio']:>5.2f} | {row['ok_share']:>5.3f} | {verdict} |"
        )

    table = coverage_table(given.runs, given.seed, given.cell, show=line)
    missed = int(table["missed"].ne("").sum()) if len(table) else 0
    if given.checks:
        show(f"\n| {'check':<60} | kind | p < .05 | aim | |\n|{'-' * 62}|---|---:|---|---|")
        checks = check_table(
            given.checks, given.seed, given.cell,
            show=lambda row: show(f"| {row['check']:<60} | {row['kind']} | {row['share']:.3f} | {row['aim']} | {row['verdict']} |"),
        )  # fmt: skip
        missed += int(checks["verdict"].ne("").sum()) if len(checks) else 0
    show(f"\n{missed} aims missed")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
