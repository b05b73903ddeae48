"""Every analysis at 1 M spans: microseconds a span, as a multiple of one group-by of the same frame, and the memory it takes."""

from __future__ import annotations

import resource
import sys

from generate import forest
from timing import report, seconds

import traceanalytics as ta

NAMES = (
    *(
        "summary",
        "hierarchy",
        "critical_path",
        "self_time",
        "latency_breakdown",
        "operations",
        "call_tree",
        "trace_shapes",
    ),
    *("attribute_errors", "error_rates", "exceptions", "retries", "n_plus_one", "concurrency", "service_graph"),
    *("workflow_path", "diagnose"),
)


def group_by(spans):
    """The reference: what pandas takes for one sum by operation."""
    return spans.groupby(["service", "name"], observed=True)["duration_ms"].sum()


def main():
    spans = forest(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, 50_000)
    show = report(
        f"Analyses, {len(spans):,} spans; reference: groupby(['service', 'name']).duration_ms.sum() of the frame"
    )
    for name in NAMES:
        function = getattr(ta, name)
        own, reference = seconds(lambda function=function: function(spans), lambda: group_by(spans), runs=1)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        show(
            f"{name:<20}{own:>8.2f} s {own / len(spans) * 1e6:>7.2f} us a span {own / reference:>8.1f} x  peak so far {peak:,.0f} MB"
        )


if __name__ == "__main__":
    main()
