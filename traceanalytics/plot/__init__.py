"""Pictures with matplotlib: every function returns the Axes that it drew on, takes ``ax=``, and leaves pyplot alone."""

from __future__ import annotations

from traceanalytics.plot.call_matrix import dependency_matrix
from traceanalytics.plot.duration_bands import latency_bands
from traceanalytics.plot.duration_heatmap import latency_heatmap
from traceanalytics.plot.duration_histogram import latency_histogram
from traceanalytics.plot.failure_chains import error_chains
from traceanalytics.plot.flame_graph import flame
from traceanalytics.plot.interval_coverage import coverage
from traceanalytics.plot.kept_randomness import kept_ids
from traceanalytics.plot.profile_bars import critical_path_profile
from traceanalytics.plot.retry_timeline import retries
from traceanalytics.plot.service_map import service_graph, span_graph
from traceanalytics.plot.style import service_color
from traceanalytics.plot.timeline import waterfall
from traceanalytics.plot.trace_weights import weights

__all__ = [
    "coverage",
    "critical_path_profile",
    "dependency_matrix",
    "error_chains",
    "flame",
    "kept_ids",
    "latency_bands",
    "latency_heatmap",
    "latency_histogram",
    "retries",
    "service_color",
    "service_graph",
    "span_graph",
    "waterfall",
    "weights",
]
