"""Latency tables against a pandas groupby of the same span times; run as ``python tests/benchmarks/bench_latency.py``."""

from __future__ import annotations

import numpy as np
from generate import chain, forest
from timing import report, seconds

from traceanalytics.analysis.call_paths import call_tree, trace_shapes
from traceanalytics.analysis.latency import latency_breakdown, operations
from traceanalytics.analysis.path_profile import critical_path_profile, folded_stacks
from traceanalytics.spans.columns import coded


def with_few_operations(spans):
    """Real systems have few call paths: four operations instead of twelve thousand."""
    rng = np.random.default_rng(3)
    name, service = rng.integers(0, 2, (2, len(spans)))
    return spans.assign(name=coded(name, ["GET", "SELECT"]), service=coded(service, ["web", "db"]))


def grouped(spans):
    """One measure of the three, by pandas."""
    groups = spans.groupby(["service", "name"], observed=True)["duration_ms"]
    return groups.agg(["size", "sum"]).join(groups.quantile([0.5, 0.95, 0.99]).unstack())


def main():
    line = report("latency: microseconds a span; last column: pandas' groupby of the durations alone, in the same run")
    every = {
        "latency_breakdown": latency_breakdown,
        "operations": operations,
        "operations, one minute bins": lambda spans: operations(spans, freq="1min"),
        "critical_path_profile, 1,000 resamples": critical_path_profile,
        "critical_path_profile, no interval": lambda spans: critical_path_profile(spans, resamples=0),
        "call_tree": call_tree,
        "trace_shapes": trace_shapes,
        "folded_stacks": folded_stacks,
    }
    many = forest()
    for kind, spans in {"4 operations": with_few_operations(many), "12,000 operations": many}.items():
        for name, function in every.items():
            own, reference = seconds(
                lambda function=function, spans=spans: function(spans), lambda spans=spans: grouped(spans), runs=2
            )
            line(
                f"{f'1 M spans, {kind}: {name}':<72}{own / len(spans) * 1e6:>9.2f}{reference / len(spans) * 1e6:>9.2f}"
            )
    one = chain(100_000)
    own, reference = seconds(lambda: call_tree(one), lambda: grouped(one), runs=2)
    line(f"{'a chain of 100,000: call_tree':<72}{own / 0.1:>9.2f}{reference / 0.1:>9.2f}")


if __name__ == "__main__":
    main()
