"""Diagnosis and anonymising of a million spans against building their topology; run as ``python tests/benchmarks/bench_quality.py``."""

from __future__ import annotations

from generate import forest
from timing import Table, seconds

from traceanalytics.analysis.anonymity import anonymize
from traceanalytics.analysis.clock_offsets import clock_offsets
from traceanalytics.analysis.quality import diagnose
from traceanalytics.topology import Forest


def main():
    """Print the table; the reference of every row is ``Forest`` of the same spans."""
    table = Table("data quality and sharing, 1 M spans in 50 k traces; reference: topology")
    spans = forest()
    works = {
        "diagnose": lambda: diagnose(spans),
        "clock_offsets": lambda: clock_offsets(spans),
        "anonymize": lambda: anonymize(spans, seed=1),
    }
    *own, reference = seconds(*works.values(), lambda: Forest(spans), runs=3)
    for (name, _), time in zip(works.items(), own, strict=True):
        table.add(f"{name}: {time / len(spans) * 1e6:.2f} us a span", time, reference)


if __name__ == "__main__":
    main()
