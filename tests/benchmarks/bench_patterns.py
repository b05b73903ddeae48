"""Fingerprints, retries, N+1 and concurrency over a million spans; run as ``python tests/benchmarks/bench_patterns.py``."""

from __future__ import annotations

import numpy as np
import pandas as pd
from generate import forest, star_overlapping
from timing import Table, seconds

from traceanalytics.analysis.fingerprints import fingerprint_codes
from traceanalytics.analysis.repeated_calls import n_plus_one
from traceanalytics.analysis.retry_groups import retries
from traceanalytics.analysis.sibling_order import concurrency, path_below
from traceanalytics.spans.schema import STATUS
from traceanalytics.topology import Forest


def with_calls(spans):
    """Give the spans queries with literals, URLs, peers and some failures: 50,000 different queries, and a URL of its own for every call that has one."""
    rng = np.random.default_rng(5)
    n = len(spans)
    query = pd.Series([f"SELECT * FROM item WHERE id = {number}" for number in range(50_000)], dtype="category")
    is_query, is_url = rng.random((2, n)) < 0.3
    picked = pd.Categorical.from_codes(np.where(is_query, rng.integers(0, 50_000, n), -1), dtype=query.dtype)
    url = pd.Series([f"http://shop:8080/item/{number}?x=1" for number in range(n)], dtype="str").where(
        is_url & ~is_query
    )
    status = pd.Categorical.from_codes(np.where(rng.random(n) < 0.05, 2, 0), dtype=STATUS)
    return spans.assign(status=status, **{"span.db.query.text": picked, "span.url.full": url})


def main():
    table = Table("call patterns; the reference is the forest and the critical path of the same spans")
    works = {
        "fingerprints": fingerprint_codes,
        "retries": retries,
        "N+1": n_plus_one,
        "concurrency": concurrency,
    }
    frames = {
        "1 M spans in 50 k traces": forest(),
        "the same, with queries, URLs and errors": with_calls(forest()),
        "one star of 100 k overlapping calls": star_overlapping(100_000),
    }
    for title, spans in frames.items():
        for name, work in works.items():
            own, reference = seconds(
                lambda work=work, spans=spans: work(spans), lambda spans=spans: path_below(spans, Forest(spans)), runs=2
            )
            table.add(f"{name}: {title} ({own / len(spans) * 1e6:.2f} us a span)", own, reference)


if __name__ == "__main__":
    main()
