"""Sampled traces: what a sampler decided, what each trace stands for, and which conclusions that allows.

- tracestate and decisions: :func:`parse_tracestate`, :func:`write_tracestate`, :func:`threshold`, :func:`probability`,
  :func:`adjusted_count`, :func:`randomness`, :func:`decide`, :func:`thresholds_of`, :func:`randomness_of`
- designs: :class:`Design`, :class:`Policy`, :func:`simulate`, :func:`compare_strategies`
- weights: :func:`attach_weights`, :func:`inclusion_probability`, :func:`calibrate`, :func:`effective_sample_size`
- estimates with intervals: :func:`estimate_total`, :func:`estimate_rate`, :func:`estimate_mean`, :func:`estimate_ratio`,
  :func:`error_rate`, :func:`estimate_quantile`, :func:`compare_windows`, :func:`estimate_partial`, :func:`coverage_study`
- checks: :func:`check_trace_ids`, :func:`infer_sampler`, :func:`replay_decisions`, :func:`audit_samplers`, :func:`check_rate`,
  :func:`check_threshold_consistency`, :func:`check_drift`, :func:`check_completeness`, :func:`check_truncation`,
  :func:`check_representativeness`; all of them and what may be concluded: :func:`validity_report`, :func:`conclusions`,
  :func:`strategy_conclusions`
- planning: :func:`required_rate`, :func:`detection_probability`, :func:`zero_event_bound`
- storage: :func:`storage_cost`, :func:`error_trace_share`
"""

from __future__ import annotations

from traceanalytics.sampling.calibration import calibrate, effective_sample_size
from traceanalytics.sampling.comparison import compare_windows
from traceanalytics.sampling.completeness_checks import check_completeness
from traceanalytics.sampling.conclusions import conclusions, strategy_conclusions
from traceanalytics.sampling.coverage_study import coverage_study
from traceanalytics.sampling.design_weights import attach_weights
from traceanalytics.sampling.designs import Design
from traceanalytics.sampling.drift_checks import check_drift
from traceanalytics.sampling.id_checks import check_trace_ids
from traceanalytics.sampling.joint_inclusion import inclusion_probability
from traceanalytics.sampling.partial_traces import estimate_partial
from traceanalytics.sampling.planning_rates import detection_probability, required_rate, zero_event_bound
from traceanalytics.sampling.policies import Policy
from traceanalytics.sampling.quantiles import estimate_quantile
from traceanalytics.sampling.rate_checks import check_rate, check_threshold_consistency
from traceanalytics.sampling.ratios import error_rate, estimate_mean, estimate_ratio
from traceanalytics.sampling.representativeness import check_representativeness
from traceanalytics.sampling.sampler_inference import audit_samplers, infer_sampler, replay_decisions
from traceanalytics.sampling.span_thresholds import randomness_of, thresholds_of
from traceanalytics.sampling.storage_arithmetic import error_trace_share, storage_cost
from traceanalytics.sampling.strategy_comparison import compare_strategies
from traceanalytics.sampling.strategy_simulation import Simulation, simulate
from traceanalytics.sampling.thresholds import adjusted_count, decide, normalise_th, probability, randomness, threshold
from traceanalytics.sampling.totals import estimate_rate, estimate_total
from traceanalytics.sampling.tracestate_codec import TraceState, parse_tracestate, write_tracestate
from traceanalytics.sampling.truncation_check import check_truncation
from traceanalytics.sampling.validity import ValidityReport, validity_report

__all__ = [
    "Design",
    "Policy",
    "Simulation",
    "TraceState",
    "ValidityReport",
    "adjusted_count",
    "attach_weights",
    "audit_samplers",
    "calibrate",
    "check_completeness",
    "check_drift",
    "check_rate",
    "check_representativeness",
    "check_threshold_consistency",
    "check_trace_ids",
    "check_truncation",
    "compare_strategies",
    "compare_windows",
    "conclusions",
    "coverage_study",
    "decide",
    "detection_probability",
    "effective_sample_size",
    "error_rate",
    "error_trace_share",
    "estimate_mean",
    "estimate_partial",
    "estimate_quantile",
    "estimate_rate",
    "estimate_ratio",
    "estimate_total",
    "inclusion_probability",
    "infer_sampler",
    "normalise_th",
    "parse_tracestate",
    "probability",
    "randomness",
    "randomness_of",
    "replay_decisions",
    "required_rate",
    "simulate",
    "storage_cost",
    "strategy_conclusions",
    "threshold",
    "thresholds_of",
    "validity_report",
    "write_tracestate",
    "zero_event_bound",
]
