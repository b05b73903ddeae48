"""Large span frames made quickly with NumPy: realistic forests, and single traces of extreme shapes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import timing  # noqa: F401 - puts the checkout on the path

from traceanalytics.spans.columns import coded, instants
from traceanalytics.spans.schema import CORE, KIND, STATUS

BEGIN_NS = 1_760_000_000_000_000_000


def forest(n_spans=1_000_000, n_traces=50_000, *, seed=7, overrun=0.002, orphans=0.001):
    """Traces of very different sizes; children inside their parents, some parallel, some in sequence, a few overrunning.

    Rows come trace by trace, by start within a trace, as most sources have them.
    """
    rng = np.random.default_rng(seed)
    size = np.maximum(1, np.round(rng.lognormal(0, 1, n_traces) * n_spans / n_traces / 1.65)).astype(np.int64)
    while (excess := size.sum() - n_spans) != 0:
        some = rng.choice(n_traces, min(abs(excess), n_traces), replace=False)
        size[some] = np.maximum(1, size[some] - np.sign(excess))
    trace = np.repeat(np.arange(n_traces), size)
    first = np.repeat(np.cumsum(size) - size, size)
    rank = np.arange(n_spans) - first
    parent = first + (rank * rng.beta(3, 1.5, n_spans)).astype(np.int64)
    parent = np.where(rank == 0, -1, np.minimum(parent, np.arange(n_spans) - 1))
    start, end = _times(rng, parent, rank, trace, n_traces)
    late = (rng.random(n_spans) < overrun) & (parent >= 0)
    end[late] += rng.integers(1, 50_000_000, late.sum())
    order = np.lexsort((start, trace))
    place = np.empty(n_spans, dtype=np.int64)
    place[order] = np.arange(n_spans)
    parent = np.where(parent < 0, -1, place[parent])[order]
    lost = (rng.random(n_spans) < orphans) & (parent >= 0)
    return _frame(rng, trace[order], parent, start=start[order], end=end[order], lost=lost)


def _times(rng, parent, rank, trace, n_traces):
    """Level by level: a child lies within its parent."""
    n = len(parent)
    depth = np.zeros(n, dtype=np.int64)
    level = np.flatnonzero(parent < 0)
    start, end = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    begin = BEGIN_NS + np.sort(rng.integers(0, 3_600_000_000_000, n_traces))
    start[level] = begin[trace[level]]
    end[level] = start[level] + rng.lognormal(18, 1, len(level)).astype(np.int64)
    order = np.argsort(rank, kind="stable")
    bounds = np.searchsorted(rank[order], np.arange(rank.max() + 2))
    for r in range(1, len(bounds) - 1):
        rows = order[bounds[r] : bounds[r + 1]]
        up = parent[rows]
        depth[rows] = depth[up] + 1
        length = end[up] - start[up]
        offset = (length * rng.random(len(rows)) * 0.9).astype(np.int64)
        start[rows] = start[up] + offset
        end[rows] = start[rows] + ((length - offset) * rng.random(len(rows))).astype(np.int64)
    return start, end


def chain(n):
    """Each span calls the next one."""
    at = np.arange(n)
    return _shape(np.arange(-1, n - 1), at * 10, 40 * n - at)


def star_sequential(n):
    """One root and its calls one after the other."""
    start = np.r_[0, np.arange(n - 1) * 10]
    end = start + 9
    end[0] = 10 * n
    return _shape(np.r_[-1, np.zeros(n - 1, dtype=np.int64)], start, end)


def star_overlapping(n):
    """One root and calls that each overlap the next one."""
    start = np.r_[0, np.arange(n - 1) * 10]
    end = start + 35
    end[0] = 10 * n + 100
    return _shape(np.r_[-1, np.zeros(n - 1, dtype=np.int64)], start, end)


def star_parallel(n):
    """One root and calls that all end together."""
    rng = np.random.default_rng(0)
    start = np.r_[0, rng.integers(0, 1000, n - 1)]
    end = np.full(n, 10**9)
    end[0] += 10
    return _shape(np.r_[-1, np.zeros(n - 1, dtype=np.int64)], start, end)


SHAPES = {
    "chain": chain,
    "star, sequential": star_sequential,
    "star, overlapping": star_overlapping,
    "star, equal ends": star_parallel,
}


def _shape(parent, start, end):
    n = len(parent)
    rng = np.random.default_rng(1)
    whole = np.zeros(n, dtype=bool)
    return _frame(rng, np.zeros(n, dtype=np.int64), parent, start=BEGIN_NS + start, end=BEGIN_NS + end, lost=whole)


def _frame(rng, trace, parent, *, start, end, lost):
    n = len(trace)
    ids = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    ids[ids == 0] = 1
    above = np.where(parent < 0, np.uint64(0), ids[parent])
    above[lost] = rng.integers(1, 2**63, int(lost.sum()), dtype=np.uint64)
    service = rng.integers(0, 40, n)
    server = rng.random(n) < 0.5
    text = {
        "trace_id": coded(trace, _hex(rng.integers(0, 2**64, 2 * (int(trace.max()) + 1), dtype=np.uint64), words=2)),
        "span_id": pd.array(_hex(ids), dtype="str"),
        "parent_span_id": pd.array(pd.Series(_hex(above), dtype="str").mask(above == 0), dtype="str"),
        "name": coded(rng.integers(0, 300, n), [f"operation {i}" for i in range(300)]),
        "service": coded(service, [f"service-{i}" for i in range(40)]),
        "kind": pd.Categorical.from_codes(np.where(server, 2, 3), dtype=KIND),
        "start_time": instants(start),
        "duration_ms": (end - start) / 1e6,
        "status": pd.Categorical.from_codes(np.zeros(n, dtype=np.int8), dtype=STATUS),
    }
    for name, dtype in CORE.items():
        if name not in text:
            text[name] = coded(np.full(n, -1), []) if dtype == "category" else pd.array([pd.NA] * n, dtype=dtype)
    return pd.DataFrame({name: text[name] for name in CORE}, copy=False)


def _hex(numbers, *, words=1):
    digits = numbers.astype(">u8").tobytes().hex()
    width = 16 * words
    return [digits[at : at + width] for at in range(0, len(digits), width)]
