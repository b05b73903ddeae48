"""Pictures with matplotlib: every function returns the Axes that it drew on, takes ``ax=``, and leaves pyplot alone."""

from __future__ import annotations

from traceanalytics.plot.style import service_color
from traceanalytics.plot.timeline import waterfall

__all__ = ["service_color", "waterfall"]
