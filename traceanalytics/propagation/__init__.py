"""Trace context between processes: parsers and writers of every header that carries it, each saying why it rejects a text."""

from __future__ import annotations

from traceanalytics.propagation.amzn import parse_x_amzn_trace_id, write_x_amzn_trace_id
from traceanalytics.propagation.b3 import parse_b3, parse_b3_headers, write_b3, write_b3_headers
from traceanalytics.propagation.baggage import parse_baggage, write_baggage
from traceanalytics.propagation.context import BaggageEntry, TraceContext
from traceanalytics.propagation.parsed import Parsed, Problem
from traceanalytics.propagation.traceparent import parse_traceparent, write_traceparent
from traceanalytics.propagation.tracestate import parse_members, set_member, write_members
from traceanalytics.propagation.uber import parse_uber_trace_id, write_uber_trace_id

__all__ = [
    "BaggageEntry",
    "Parsed",
    "Problem",
    "TraceContext",
    "parse_b3",
    "parse_b3_headers",
    "parse_baggage",
    "parse_members",
    "parse_traceparent",
    "parse_uber_trace_id",
    "parse_x_amzn_trace_id",
    "set_member",
    "write_b3",
    "write_b3_headers",
    "write_baggage",
    "write_members",
    "write_traceparent",
    "write_uber_trace_id",
    "write_x_amzn_trace_id",
]
