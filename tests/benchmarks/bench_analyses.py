"""Every analysis at 1 M spans: microseconds a span, as a multiple of one group-by of the same frame, and the memory it takes.

Each line runs in a process of its own, so that the peak of its memory is its own: what the process held at most, less what
it held with the frame alone. Name lines to run only these: ``python tests/benchmarks/bench_analyses.py 1000000 call_tree``.
"""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path

from generate import forest
from timing import report, seconds

import traceanalytics as ta


def with_few_operations(spans):
    """Five operations a service, as real systems have few: 40,000 edges between operations."""
    return spans.assign(name=("operation " + (spans["name"].cat.codes % 5).astype("str")).astype("category"))


def operation_graph(spans):
    """The service graph with operations as nodes."""
    return ta.service_graph(spans, level="operation")


NAMES = (
    *("summary", "hierarchy", "critical_path", "self_time", "latency_breakdown", "operations", "call_tree"),
    *("trace_shapes", "attribute_errors", "error_rates", "exceptions", "retries", "n_plus_one", "concurrency"),
    *("service_graph", "workflow_path", "diagnose"),
)


def profile_without_intervals(spans):
    """The profile of critical paths; drawing the traces anew is another line."""
    return ta.critical_path_profile(spans, resamples=0)


LINES = {name: getattr(ta, name) for name in NAMES} | {
    "critical_path_profile": profile_without_intervals,
    "  with 1,000 resamples": ta.critical_path_profile,
    "folded_stacks": ta.folded_stacks,
    "anonymize": lambda spans: ta.anonymize(spans, seed="s"),
    "service_graph, operations": operation_graph,
    # 12,000 operations in 1 M spans: NetworkX makes several dicts for each of 940,000 edges, whatever is done before.
    "service_graph, an edge a call": operation_graph,
}
STATUS = Path("/proc/self/status")
FRAMES = {"service_graph, operations": with_few_operations}


def group_by(spans):
    """The reference: what pandas takes for one sum by operation."""
    return spans.groupby(["service", "name"], observed=True)["duration_ms"].sum()


def megabytes(what):
    """What Linux says this process holds now (VmRSS), or held at most since :func:`forget_peak` (VmHWM)."""
    return int(STATUS.read_text().split(f"{what}:")[1].split()[0]) / 1024 if STATUS.exists() else float("nan")


def forget_peak():
    """Begin anew: making the frame takes more memory than most analyses do."""
    if STATUS.exists():
        STATUS.with_name("clear_refs").write_text("5")


def measured(name, n_spans):
    """Seconds of the analysis and of the reference, and the memory that the analysis added; the frame is made here."""
    frame = forest(n_spans, max(n_spans // 20, 1))
    spans = FRAMES.get(name, lambda frame: frame)(frame)
    LINES[name](spans.iloc[:50_000])  # loads and compiles
    forget_peak()
    before = megabytes("VmRSS")
    LINES[name](spans)
    memory = megabytes("VmHWM") - before
    return (*seconds(lambda: LINES[name](spans), lambda: group_by(spans), runs=2), memory)


def main():
    n_spans = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    show = report(
        f"Analyses, {n_spans:,} spans; reference: groupby(['service', 'name']).duration_ms.sum() of the frame"
    )
    context = multiprocessing.get_context("spawn")
    for name in sys.argv[2:] or LINES:
        with context.Pool(1) as pool:
            own, reference, memory = pool.apply(measured, (name, n_spans))
        each = own / n_spans * 1e6
        show(f"{name:<32}{own:>8.2f} s {each:>7.2f} us a span {own / reference:>8.1f} x  memory {memory:>7,.0f} MB")


if __name__ == "__main__":
    main()
