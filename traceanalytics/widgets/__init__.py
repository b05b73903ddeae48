"""Interactive views for notebooks: spans packed as columns, drawn in the browser, chosen rows back as a DataFrame."""

from __future__ import annotations

from traceanalytics.widgets.span_waterfall import Waterfall, waterfall

__all__ = ["Waterfall", "waterfall"]
