"""The simulated shop at a million spans; run as ``python tests/benchmarks/bench_simulate.py``."""

from __future__ import annotations

import time

from timing import report

from traceanalytics.simulate import ErrorRate, RetriesRecovered, Shop, SlowOperation

CASES = {
    "healthy": (),
    "three faults": (
        SlowOperation("product", share=0.2),
        ErrorRate("inventory", share=0.05),
        RetriesRecovered(("frontend", "recommendation"), share=0.1),
    ),
}


def main():
    line = report(f"simulated shop\n{'faults':<20}{'spans':>12}{'s':>9}{'us a span':>12}")
    for name, faults in CASES.items():
        begin = time.perf_counter()
        spans, truth = Shop(seed=1).run(50_000, faults=faults)
        took = time.perf_counter() - begin
        assert len(spans) > 900_000
        assert len(truth.requests) == 50_000
        line(f"{name:<20}{len(spans):>12,}{took:>9.2f}{took / len(spans) * 1e6:>12.2f}")


if __name__ == "__main__":
    main()
