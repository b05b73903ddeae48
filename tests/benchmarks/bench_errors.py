"""The error analyses at a million spans, in microseconds a span; run as ``python tests/benchmarks/bench_errors.py``."""

from __future__ import annotations

import numpy as np
import pandas as pd
from generate import forest
from timing import report, seconds

from traceanalytics.analysis.error_attribution import attribute_errors
from traceanalytics.analysis.error_counts import error_rates
from traceanalytics.analysis.exception_groups import exceptions
from traceanalytics.spans.schema import STATUS
from traceanalytics.topology import Forest

_EVENT = (
    '[{{"time":{0},"name":"exception","attributes":{{"exception.message":"order {0} not found",'
    '"exception.stacktrace":"E\\n\\tat shop.Pay.run(Pay.java:{1})\\n\\tat shop.Web.handle(Web.java:7)","exception.type":"NotFound"}}}}]'
)


def failing(share, *, events=False):
    """A million spans of which this share failed, and passed it on to most of their parents."""
    rng = np.random.default_rng(3)
    spans = forest()
    parent = Forest(spans).parent
    failed = rng.random(len(spans)) < share
    for _ in range(12):
        up = parent[failed & (rng.random(len(spans)) < 0.9)]
        failed[up[up >= 0]] = True
    spans["status"] = pd.Categorical.from_codes(np.where(failed, 2, 0), dtype=STATUS)
    spans["status_message"] = pd.array(
        np.where(failed & (rng.random(len(spans)) < 0.2), "deadline exceeded", None), "str"
    )
    address = pd.Categorical.from_codes(rng.integers(0, 40, len(spans)), [f"host{i}" for i in range(40)])
    spans["span.server.address"] = address
    if events:
        cells = np.full(len(spans), None, dtype=object)
        rows = np.flatnonzero(failed)
        cells[rows] = [_EVENT.format(row, row % 90) for row in rows.tolist()]
        spans["events"] = pd.array(cells, dtype="str")
    return spans, float(failed.mean())


def main():
    """Print a line an analysis."""
    line = report("errors, 1 M spans in 50 k traces: microseconds a span")
    for share, events in ((0.005, False), (0.05, False), (0.005, True)):
        spans, failed = failing(share, events=events)
        works = {
            "topology": Forest,
            "attribute_errors": attribute_errors,
            "error_rates": error_rates,
            "exceptions": exceptions,
        }
        line(f"{failed:.1%} failed, {len(attribute_errors(spans)):,} requests{', with exceptions' if events else ''}")
        times = seconds(*(lambda work=work, spans=spans: work(spans) for work in works.values()), runs=2)
        for name, time in zip(works, times, strict=True):
            line(f"  {name:<24}{time / len(spans) * 1e6:>8.2f}")


if __name__ == "__main__":
    main()
