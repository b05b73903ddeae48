"""TraceQL filters over a span frame: parsed here, evaluated on columns, never executed as code."""

from __future__ import annotations

from traceanalytics.traceql.evaluation import matches
from traceanalytics.traceql.literals import quoted
from traceanalytics.traceql.selection_text import query_of

__all__ = ["matches", "query_of", "quoted"]
