"""Sampled traces: what a sampler decided, which weight each trace has, how much to keep, and what that costs.

- tracestate and decisions: :func:`parse_tracestate`, :func:`write_tracestate`, :func:`threshold`, :func:`probability`,
  :func:`adjusted_count`, :func:`randomness`, :func:`decide`
- weights: :func:`attach_weights`, :func:`inclusion_probability`
- planning: :func:`required_rate`, :func:`detection_probability`, :func:`zero_event_bound`
- storage: :func:`storage_cost`, :func:`error_trace_share`
"""

from __future__ import annotations

from traceanalytics.sampling.design_weights import attach_weights
from traceanalytics.sampling.joint_inclusion import inclusion_probability
from traceanalytics.sampling.planning_rates import detection_probability, required_rate, zero_event_bound
from traceanalytics.sampling.storage_arithmetic import error_trace_share, storage_cost
from traceanalytics.sampling.thresholds import adjusted_count, decide, normalise_th, probability, randomness, threshold
from traceanalytics.sampling.tracestate_codec import TraceState, parse_tracestate, write_tracestate

__all__ = [
    "TraceState",
    "adjusted_count",
    "attach_weights",
    "decide",
    "detection_probability",
    "error_trace_share",
    "inclusion_probability",
    "normalise_th",
    "parse_tracestate",
    "probability",
    "randomness",
    "required_rate",
    "storage_cost",
    "threshold",
    "write_tracestate",
    "zero_event_bound",
]
