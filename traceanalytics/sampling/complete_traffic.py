"""Complete traffic: what is true of it, trace by trace and in total, before anything is sampled."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from traceanalytics.sampling.trace_facts import SpanRows, TraceFacts
from traceanalytics.spans.columns import NAT, codes_of
from traceanalytics.spans.error_rule import is_error
from traceanalytics.topology import Forest
from traceanalytics.weights import group_quantiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CompleteTraffic"]

_LEVELS = (0.5, 0.95, 0.99)


class CompleteTraffic:
    """The traces of a frame and what is true of them. Repeated spans count nowhere, spans without a trace id belong to no trace."""

    def __init__(self, spans: pd.DataFrame) -> None:
        self.spans = spans
        self.forest = Forest(spans)
        codes, ids = pd.factorize(spans["trace_id"])
        self.ids = pd.Index(ids, name="trace_id")
        self.facts = TraceFacts(SpanRows(spans), codes.astype(np.intp), len(ids))
        self.counted = (self.forest.depth >= 0) & (codes >= 0)

    @functools.cached_property
    def failed(self) -> NDArray[np.bool_]:
        """Which spans failed, each once."""
        return is_error(self.spans).to_numpy(bool) & self.counted

    @functools.cached_property
    def n_spans(self) -> NDArray[np.int64]:
        """Spans of every trace."""
        return self.spans_in(self.counted)

    @functools.cached_property
    def has_error(self) -> NDArray[np.bool_]:
        """Which traces have a span that failed."""
        return self.facts.having(self.failed)

    @functools.cached_property
    def root(self) -> NDArray[np.intp]:
        """Row of the main root of every trace."""
        own = np.zeros(len(self.ids), np.intp)
        rows = np.flatnonzero(self.facts.codes >= 0)
        own[self.facts.codes[rows]] = self.forest.trace[rows]
        return self.forest.main_root[own].astype(np.intp)

    @functools.cached_property
    def duration_ms(self) -> NDArray[np.float64]:
        """Duration of the main root; NaN where it is untimed."""
        timed = self.forest.timed[self.root]
        start = np.where(timed, self.forest.start[self.root], 0)
        ms = np.asarray((np.where(timed, self.forest.end[self.root], 0) - start) / 1e6, np.float64)
        ms[~timed] = np.nan
        return ms

    @functools.cached_property
    def edge(self) -> NDArray[np.int64]:
        """Number of the pair of calling and called service for every span; -1 within a service, for roots, and for unknown ones."""
        service, labels = codes_of(self.spans["service"])
        parent = self.forest.parent
        above = np.where(parent >= 0, service[parent], -1)
        crosses = self.counted & (above >= 0) & (service >= 0) & (above != service)
        return np.where(crosses, above.astype(np.int64) * len(labels) + service, -1)

    @functools.cached_property
    def seconds(self) -> float:
        """Seconds from the start of the first trace to that of the last; NaN for fewer than two."""
        start = self.facts.first_start[self.facts.first_start != NAT]
        span = (start.max() - start.min()) / 1e9 if len(start) else 0.0
        return float(span) if span > 0 else np.nan

    def spans_in(self, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return how many of the marked spans each trace has, repeated ones left out."""
        return np.bincount(self.facts.codes[rows & self.counted], minlength=self.facts.number).astype(np.int64)

    def quantiles(self, durations: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return median, 95th and 99th percentile of durations under weights."""
        return np.asarray(group_quantiles(np.zeros(len(durations), np.intp), 1, durations, weights, _LEVELS)[0])

    @functools.cached_property
    def truth(self) -> pd.DataFrame:
        """The totals, one row a quantity."""
        traces, spans = float(len(self.ids)), float(self.counted.sum())
        errors, failed = float(self.has_error.sum()), float(self.failed.sum())
        timed = self.duration_ms[~np.isnan(self.duration_ms)]
        values = {
            "traces": traces,
            "spans": spans,
            "error_traces": errors,
            "error_spans": failed,
            "trace_error_rate": errors / traces if traces else np.nan,
            "span_error_rate": failed / spans if spans else np.nan,
            "duration_ms_mean": timed.mean() if len(timed) else np.nan,
        }
        values |= zip(
            ("duration_ms_p50", "duration_ms_p95", "duration_ms_p99"),
            self.quantiles(timed, np.ones(len(timed))).tolist(),
            strict=True,
        )
        return pd.DataFrame(
            {"quantity": pd.array(list(values), dtype="str"), "value": np.array(list(values.values()), np.float64)}
        )
