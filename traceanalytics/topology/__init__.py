"""Who called whom: the one way to walk the trees of a span frame."""

from __future__ import annotations

from traceanalytics.topology.flags import Flag, flag_texts
from traceanalytics.topology.forest import Forest, TimedTree

__all__ = ["Flag", "Forest", "TimedTree", "flag_texts"]
