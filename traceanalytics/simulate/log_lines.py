"""The lines that services would have logged, for comparison: without trace ids, most questions have no answer in them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from traceanalytics.spans.columns import coded
from traceanalytics.spans.error_rule import is_error
from traceanalytics.spans.schema import check_spans

__all__ = ["log_lines"]


def log_lines(spans: pd.DataFrame) -> pd.DataFrame:
    """Return the lines that the services would have logged while they wrote these spans.

    Parameters
    ----------
    spans
        A span frame.

    Returns
    -------
    pandas.DataFrame
        In the order of time: ``time`` (UTC, cut to the millisecond, as loggers do), ``service``, ``level`` (INFO a request
        served, WARN a call that failed, ERROR a request that failed), ``message``, and ``trace_id``, which is missing: these
        services were never told to log it.

    Examples
    --------
    >>> from traceanalytics.simulate import Shop
    >>> shop = Shop(seed=1)
    >>> spans, truth = shop.run(20)
    >>> shop.logs(spans)[["service", "level", "trace_id"]].head(2)
      service level trace_id
    0    user  INFO      NaN
    1    user  INFO      NaN
    """
    check_spans(spans, "trace_id", "name", "service", "kind", "start_time", "duration_ms", "status", "status_message")
    failed = is_error(spans).to_numpy(bool)
    served = spans["kind"].isin(["SERVER", "CONSUMER"]).to_numpy(bool)
    written = (served | ((spans["kind"] == "CLIENT").to_numpy(bool) & failed)) & spans["start_time"].notna().to_numpy(
        bool
    )
    lines, failed, served = spans[written], failed[written], served[written]
    name = lines["name"].astype("str")
    took = lines["duration_ms"].round(1).astype("str") + " ms"
    why = lines["status_message"].astype("str").fillna("see upstream")
    message = name.str.cat(" done in " + took).where(~failed, name.str.cat(" failed after " + took).str.cat(": " + why))
    made = pd.DataFrame(
        {
            "time": (lines["start_time"] + pd.to_timedelta(lines["duration_ms"].fillna(0), unit="ms"))
            .dt.floor("ms")
            .dt.as_unit("ns"),
            "service": lines["service"],
            "level": coded(np.where(failed, np.where(served, 2, 1), 0), ["INFO", "WARN", "ERROR"]),
            "message": message.astype("str"),
            "trace_id": pd.array([None] * len(lines), dtype="str"),
        }
    )
    return made.sort_values("time", kind="stable", ignore_index=True)
