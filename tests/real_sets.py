"""Five sets of real traces as span frames, whole or as a sample of whole traces, and sums over them."""

from __future__ import annotations

import functools

import pandas as pd

import traceanalytics as ta

SETS = {
    "hotel": "deathstar_traceweaver/hotel.parquet",
    "media": "deathstar_traceweaver/media.parquet",
    "nodejs": "deathstar_traceweaver/nodejs.parquet",
    "zipkin": "wild_samples/zipkin.parquet",
    "demo": "wild_samples/opensearch_demo.parquet",
}
TRACES = 120


def table(shared, name):
    # Some of the times are missing, which as plain integers would have become floats.
    return pd.read_parquet(shared / "datasets" / SETS[name], dtype_backend="numpy_nullable")


@functools.cache
def whole(shared, name):
    return ta.conform(table(shared, name))


@functools.cache
def sample(shared, name):
    """Traces at even distances, so that all loads and files of a set are in the sample."""
    rows = table(shared, name)
    number = pd.factorize(rows["trace_id"])[0]
    step = max(1, (number.max() + 1) // TRACES)
    return ta.conform(rows[number % step == 0].reset_index(drop=True))


def run(check, spans):
    """Run a check, and see that it changed nothing."""
    before = spans.copy()
    check(spans)
    assert spans.equals(before)


def ns(milliseconds):
    """Milliseconds as whole nanoseconds, exact; what is missing is 0."""
    return (milliseconds.fillna(0) * 1e6).round().astype("int64")


def timed(spans):
    return spans["start_time"].notna() & spans["duration_ms"].notna()


def kept(spans):
    """What is no duplicate; the sets have none."""
    return spans[~spans.duplicated(["trace_id", "span_id", "kind", "service", "start_time"])]


def total_ns(spans):
    """Time of all requests."""
    return ns(ta.summary(spans)["duration_ms"]).sum()


def with_whole_ids(spans):
    """The spans with the leading zeros that one of the sources does not write."""
    ids = {"trace_id": spans["trace_id"].astype("str").str.zfill(32)}
    return spans.assign(**ids, **{c: spans[c].str.zfill(16) for c in ("span_id", "parent_span_id")})
