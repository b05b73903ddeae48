"""Widgets for teaching: one idea each, to try out by hand.

- :func:`critical_path`: make the spans of a small trace longer or shorter and see what the trace waits for.
- :func:`sampling`: sample complete traffic, and see what each strategy lets be concluded.
- :func:`storage`: what it costs to keep traces, with the sum behind every number.
"""

from __future__ import annotations

from traceanalytics.lab.path_lab import CriticalPathLab, critical_path
from traceanalytics.lab.sampling_lab import SamplingLab, sampling
from traceanalytics.lab.storage_lab import StorageLab, storage

__all__ = ["CriticalPathLab", "SamplingLab", "StorageLab", "critical_path", "sampling", "storage"]
