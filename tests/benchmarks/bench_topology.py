"""``Forest`` against a pandas merge of the same frame; run as ``python tests/benchmarks/bench_topology.py``."""

from __future__ import annotations

import numpy as np
from generate import SHAPES, forest
from timing import Table, seconds

from traceanalytics.kernels import forced
from traceanalytics.topology import Forest


def merge(texts):
    right = texts[["trace_id", "span_id"]].assign(row=np.arange(len(texts), dtype=np.int32))
    joined = texts[["trace_id", "parent_span_id"]].merge(
        right, how="left", left_on=["trace_id", "parent_span_id"], right_on=["trace_id", "span_id"]
    )
    return joined["row"].fillna(-1).astype(np.int32).to_numpy()


def main():
    table = Table("topology")
    spans = forest()
    texts = spans.astype({"trace_id": "str"})
    assert (merge(texts) == Forest(spans).parent).all()
    own, own_texts, reference = seconds(lambda: Forest(spans), lambda: Forest(texts), lambda: merge(texts))
    table.add("1 M spans in 50 k traces", own, reference, 1 / 5)
    table.add("  trace_id as str", own_texts, reference)
    mixed = spans.sample(frac=1, random_state=1)
    mixed_texts = texts.loc[mixed.index]
    table.add("  rows shuffled", *seconds(lambda: Forest(mixed), lambda: merge(mixed_texts), runs=3))
    for name, shape in SHAPES.items():
        one = shape(100_000)
        plain = one.astype({"trace_id": "str"})
        own, reference = seconds(lambda one=one: Forest(one), lambda plain=plain: merge(plain))
        table.add(f"one trace of 100 k spans: {name}", own, reference)
        with forced(False):
            table.add("  without numba", *seconds(lambda one=one: Forest(one), runs=1), reference)


if __name__ == "__main__":
    main()
