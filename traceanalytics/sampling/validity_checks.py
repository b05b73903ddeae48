"""Which checks can be run on sampled traces, with what is known beside them: their rows, one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from traceanalytics.sampling.check_table import COLUMNS, VERDICT, check_rows
from traceanalytics.sampling.completeness_checks import check_completeness
from traceanalytics.sampling.id_checks import check_trace_ids
from traceanalytics.sampling.representativeness import check_representativeness
from traceanalytics.sampling.truncation_check import check_truncation
from traceanalytics.topology.forest import COLUMNS as STRUCTURE

if TYPE_CHECKING:
    from traceanalytics.sampling.designs import Design

__all__ = ["run_checks"]


def run_checks(
    spans: pd.DataFrame,
    *,
    design: Design | None = None,
    reference: pd.Series | pd.DataFrame | None = None,
    by: str = "service",
    traces_per_s: float | None = None,
    num_traces: int | None = None,
) -> pd.DataFrame:
    """Return the rows of all checks that can be run; see :func:`~traceanalytics.sampling.validity.validity_report`.

    >>> run_checks(pd.DataFrame({"trace_id": pd.Series([], dtype="str")}))["verdict"].unique().tolist()
    ['not_testable']
    """
    tables = [check_trace_ids(spans)]
    lacking = [name for name in STRUCTURE if name not in spans.columns]
    if lacking:
        meaning = f"the frame has no column {', '.join(lacking)}: what is missing in traces cannot be seen"
        tables.append(check_rows([{"check": "orphans", "scope": "all", "verdict": "not_testable", "meaning": meaning}]))
    else:
        tables.append(check_completeness(spans, by=by))
        if design is not None and design.decision_wait_s:
            tables.append(
                check_truncation(
                    spans, decision_wait_s=design.decision_wait_s, traces_per_s=traces_per_s, num_traces=num_traces
                )
            )
    if reference is not None:
        tables.append(check_representativeness(spans, reference, by=by))
    found = pd.concat([table[list(COLUMNS)] for table in tables], ignore_index=True)
    return found.astype({"verdict": VERDICT})
