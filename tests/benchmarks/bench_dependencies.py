"""The service graph against plain Python; run as ``python tests/benchmarks/bench_dependencies.py``."""

from __future__ import annotations

from collections import Counter

from generate import forest
from timing import Table, seconds

from traceanalytics.analysis.dependencies import service_graph
from traceanalytics.analysis.workflows import workflow_path


def plain_edges(spans):
    """Pairs of services of parents and children, counted: a dict and a loop, no times, errors or targets."""
    ids = zip(spans["trace_id"].tolist(), spans["span_id"].tolist(), strict=True)
    services = spans["service"].tolist()
    of_span = dict(zip(ids, services, strict=True))
    parents = zip(spans["trace_id"].tolist(), spans["parent_span_id"].tolist(), strict=True)
    return Counter(
        (caller, callee)
        for parent, callee in zip(parents, services, strict=True)
        if (caller := of_span.get(parent)) is not None and caller != callee
    )


def main():
    table = Table("service graph, 1 M spans in 50 k traces")
    spans = forest()
    own, reference = seconds(lambda: service_graph(spans), lambda: plain_edges(spans), runs=3)
    table.add(f"services ({own:.2f} us a span)", own, reference)
    # As real systems have them: a few operations a service.
    few = spans.assign(name=("operation " + (spans["name"].cat.codes % 5).astype("str")).astype("category"))
    (own,) = seconds(lambda: service_graph(few, level="operation"), runs=2)
    table.add(f"operations ({own:.2f} us a span)", own, reference)
    (own,) = seconds(lambda: workflow_path(spans), runs=2)
    table.add(f"workflow paths ({own:.2f} us a span)", own, reference)


if __name__ == "__main__":
    main()
