"""pandas for distributed traces.

Spans of any backend become one DataFrame, the span frame; plain functions over that frame answer what people open a trace
for; plots show the answer.

>>> import traceanalytics as ta
>>> spans = ta.read_records([{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
...     "name": "GET /", "start_time": "2026-05-14T14:23:45Z", "duration_ms": 12, "attributes": {"service.name": "web"}}])
>>> ta.critical_path(spans)[["service", "name", "segment_ms", "state"]]
  service   name  segment_ms state
0     web  GET /        12.0  self
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from traceanalytics.config import options
from traceanalytics.errors import near

if TYPE_CHECKING:
    from traceanalytics import lab, plot, sampling, simulate
    from traceanalytics.analysis.anonymity import anonymize
    from traceanalytics.analysis.call_paths import call_tree, trace_shapes
    from traceanalytics.analysis.critical_path import critical_path, critical_time
    from traceanalytics.analysis.declared_dependencies import compare_dependencies
    from traceanalytics.analysis.dependencies import service_graph
    from traceanalytics.analysis.error_attribution import attribute_errors
    from traceanalytics.analysis.error_counts import error_rates
    from traceanalytics.analysis.exception_groups import exceptions
    from traceanalytics.analysis.latency import latency_breakdown, operations
    from traceanalytics.analysis.path_profile import critical_path_profile, folded_stacks
    from traceanalytics.analysis.quality import diagnose
    from traceanalytics.analysis.repeated_calls import n_plus_one
    from traceanalytics.analysis.retry_groups import retries
    from traceanalytics.analysis.self_time import self_time
    from traceanalytics.analysis.sibling_order import concurrency
    from traceanalytics.analysis.span_dag import span_graph
    from traceanalytics.analysis.structure import hierarchy, trace
    from traceanalytics.analysis.text import to_mermaid, to_text, tree
    from traceanalytics.analysis.trace_summary import summary
    from traceanalytics.analysis.workflows import workflow_path
    from traceanalytics.errors import (
        FormatError,
        MissingExtraError,
        OptionError,
        QueryError,
        SchemaError,
        TraceAnalyticsError,
        TraceNotFoundError,
    )
    from traceanalytics.io.formats import read
    from traceanalytics.io.jaeger import read_jaeger
    from traceanalytics.io.jaeger_writer import to_jaeger
    from traceanalytics.io.otlp import read_otlp
    from traceanalytics.io.otlp_writer import to_otlp
    from traceanalytics.io.parquet import read_parquet, to_parquet
    from traceanalytics.io.records import read_records
    from traceanalytics.io.zipkin import read_zipkin
    from traceanalytics.io.zipkin_writer import to_zipkin
    from traceanalytics.spans.attributes_of_spans import attribute, attribute_keys, attributes
    from traceanalytics.spans.conforming import conform
    from traceanalytics.spans.error_rule import is_error
    from traceanalytics.spans.html import html_table
    from traceanalytics.spans.items import events, links
    from traceanalytics.spans.merging import concat
    from traceanalytics.spans.report import ReadReport, read_report
    from traceanalytics.spans.selection import end_time, whole_traces
    from traceanalytics.traceql.evaluation import matches
    from traceanalytics.widgets.span_waterfall import waterfall

__version__ = "0.1.0"

_HOME = {
    "FormatError": "errors",
    "MissingExtraError": "errors",
    "OptionError": "errors",
    "QueryError": "errors",
    "ReadReport": "spans.report",
    "SchemaError": "errors",
    "TraceAnalyticsError": "errors",
    "TraceNotFoundError": "errors",
    "anonymize": "analysis.anonymity",
    "attribute": "spans.attributes_of_spans",
    "attribute_errors": "analysis.error_attribution",
    "attribute_keys": "spans.attributes_of_spans",
    "attributes": "spans.attributes_of_spans",
    "call_tree": "analysis.call_paths",
    "compare_dependencies": "analysis.declared_dependencies",
    "concat": "spans.merging",
    "concurrency": "analysis.sibling_order",
    "conform": "spans.conforming",
    "critical_path": "analysis.critical_path",
    "critical_path_profile": "analysis.path_profile",
    "critical_time": "analysis.critical_path",
    "diagnose": "analysis.quality",
    "end_time": "spans.selection",
    "error_rates": "analysis.error_counts",
    "events": "spans.items",
    "exceptions": "analysis.exception_groups",
    "folded_stacks": "analysis.path_profile",
    "hierarchy": "analysis.structure",
    "html_table": "spans.html",
    "is_error": "spans.error_rule",
    "lab": "lab",
    "latency_breakdown": "analysis.latency",
    "links": "spans.items",
    "matches": "traceql.evaluation",
    "n_plus_one": "analysis.repeated_calls",
    "operations": "analysis.latency",
    "plot": "plot",
    "read": "io.formats",
    "read_jaeger": "io.jaeger",
    "read_otlp": "io.otlp",
    "read_parquet": "io.parquet",
    "read_records": "io.records",
    "read_report": "spans.report",
    "read_zipkin": "io.zipkin",
    "retries": "analysis.retry_groups",
    "sampling": "sampling",
    "self_time": "analysis.self_time",
    "service_graph": "analysis.dependencies",
    "simulate": "simulate",
    "span_graph": "analysis.span_dag",
    "summary": "analysis.trace_summary",
    "to_jaeger": "io.jaeger_writer",
    "to_mermaid": "analysis.text",
    "to_otlp": "io.otlp_writer",
    "to_parquet": "io.parquet",
    "to_text": "analysis.text",
    "to_zipkin": "io.zipkin_writer",
    "trace": "analysis.structure",
    "trace_shapes": "analysis.call_paths",
    "tree": "analysis.text",
    "waterfall": "widgets.span_waterfall",
    "whole_traces": "spans.selection",
    "workflow_path": "analysis.workflows",
}
"""The module that each public name lives in; it is imported when the name is first used."""

__all__ = [
    "FormatError",
    "MissingExtraError",
    "OptionError",
    "QueryError",
    "ReadReport",
    "SchemaError",
    "TraceAnalyticsError",
    "TraceNotFoundError",
    "anonymize",
    "attribute",
    "attribute_errors",
    "attribute_keys",
    "attributes",
    "call_tree",
    "compare_dependencies",
    "concat",
    "concurrency",
    "conform",
    "critical_path",
    "critical_path_profile",
    "critical_time",
    "diagnose",
    "end_time",
    "error_rates",
    "events",
    "exceptions",
    "folded_stacks",
    "hierarchy",
    "html_table",
    "is_error",
    "lab",
    "latency_breakdown",
    "links",
    "matches",
    "n_plus_one",
    "operations",
    "options",
    "plot",
    "read",
    "read_jaeger",
    "read_otlp",
    "read_parquet",
    "read_records",
    "read_report",
    "read_zipkin",
    "retries",
    "sampling",
    "self_time",
    "service_graph",
    "simulate",
    "span_graph",
    "summary",
    "to_jaeger",
    "to_mermaid",
    "to_otlp",
    "to_parquet",
    "to_text",
    "to_zipkin",
    "trace",
    "trace_shapes",
    "tree",
    "waterfall",
    "whole_traces",
    "workflow_path",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'traceanalytics' has no attribute {name!r}{near(name, __all__)}")
    module = importlib.import_module(f"traceanalytics.{home}")
    value = module if home == name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _trace_url_changed(url: str | None) -> None:
    if url is not None or "traceanalytics.spans.html" in sys.modules:  # loads pandas, so not before it is needed
        importlib.import_module("traceanalytics.spans.html").install_formatter(url)


options._watch("trace_url", _trace_url_changed)  # noqa: SLF001 - ours
