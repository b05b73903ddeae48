"""Simulated traces with the truth about them: a shop as data, faults as data, and what really happened as frames.

>>> from traceanalytics.simulate import Shop, SlowOperation
>>> spans, truth = Shop(seed=1).run(200, faults=[SlowOperation("pricing", ms=300, share=0.5)])
>>> truth.faults[["kind", "service"]]
                kind  service
fault
0      SlowOperation  pricing
"""

from __future__ import annotations

from traceanalytics.simulate.faults import (
    CancelledSiblings,
    ClockSkew,
    CpuContention,
    DroppedHeaders,
    EarlyReturn,
    ErrorRate,
    FastFailures,
    HandledError,
    NetworkDelay,
    NPlusOne,
    RetriesExhausted,
    RetriesRecovered,
    SequentialCalls,
    SilentService,
    SlowOperation,
    Timeout,
)
from traceanalytics.simulate.ground_truth import Truth
from traceanalytics.simulate.shop import Shop
from traceanalytics.simulate.topology_data import Call, Operation, Service

__all__ = [
    "Call",
    "CancelledSiblings",
    "ClockSkew",
    "CpuContention",
    "DroppedHeaders",
    "EarlyReturn",
    "ErrorRate",
    "FastFailures",
    "HandledError",
    "NPlusOne",
    "NetworkDelay",
    "Operation",
    "RetriesExhausted",
    "RetriesRecovered",
    "SequentialCalls",
    "Service",
    "Shop",
    "SilentService",
    "SlowOperation",
    "Timeout",
    "Truth",
]
