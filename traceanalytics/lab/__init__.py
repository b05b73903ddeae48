"""Widgets for teaching: one idea each, to try out by hand.

- :func:`critical_path`: make the spans of a small trace longer or shorter and see what the trace waits for.
"""

from __future__ import annotations

from traceanalytics.lab.path_lab import CriticalPathLab, critical_path

__all__ = ["CriticalPathLab", "critical_path"]
