"""The one table that every estimate answers with: never a bare number, always its interval, its design and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from traceanalytics.sampling.trace_units import Cells

__all__ = ["COLUMNS", "STATUS", "Found", "estimate_of_cells", "estimate_rows"]

STATUS: Final = pd.CategoricalDtype(["ok", "too_few", "biased", "unidentifiable"], ordered=True)
"""How far an estimate can be relied upon."""

COLUMNS: Final = (
    "estimate",
    "se",
    "lo",
    "hi",
    "conf",
    "n_traces",
    "n_spans",
    "n_eff",
    "deff",
    "method",
    "status",
    "reason",
)

_NUMBERS: Final = ("estimate", "se", "lo", "hi", "conf", "n_eff", "deff")


class Found(NamedTuple):
    """What a kernel of estimation found, one entry a group; probabilities are taken as known."""

    estimate: NDArray[np.float64]
    se: NDArray[np.float64]
    lo: NDArray[np.float64]
    hi: NDArray[np.float64]
    n_eff: NDArray[np.float64]
    deff: NDArray[np.float64]
    few: NDArray[np.bool_]
    """Where the traces are too few for the interval to hold what it promises."""
    method: NDArray[Any]
    reason: NDArray[Any]
    """Why they are; counts only where ``few``."""


def estimate_of_cells(cells: Cells, found: Found, conf: float) -> pd.DataFrame:
    """Return the table of what a kernel found, refused where probabilities are not known, and marked where the design is blind."""
    unknown = cells.unknown > 0
    # Nothing was kept, and nothing tells with what probability it would have been.
    unknown |= (cells.n_traces == 0) & np.isnan(cells.floor)
    census = (cells.floor >= 1) & (cells.n_traces > 0) & ~unknown
    if cells.blind:
        census = np.zeros(len(unknown), np.bool_)
    few = found.few & ~census & ~np.isnan(cells.unknown)
    method = np.where(unknown, "", np.where(census, "census", found.method)).astype(object)
    left_out = np.flatnonzero((cells.without > 0) & ~unknown)
    method[left_out] = [f"{method[at]}, {int(cells.without[at]):,} spans without a value left out" for at in left_out]
    reason = np.where(few, found.reason, "").astype(object)
    status = np.where(few, "too_few", "ok").astype(object)
    if cells.blind:
        told = f"the design never keeps a part of the traffic: {cells.blind}"
        reason = np.where(reason == "", told, told + "; " + reason.astype(str)).astype(object)
        status[:] = "biased"
    for at in np.flatnonzero(unknown):
        status[at], reason[at] = "unidentifiable", _why_unknown(int(cells.unknown[at]), int(cells.n_traces[at]))

    def shown(values: NDArray[np.float64], sure: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        return np.where(unknown, np.nan, values if sure is None else np.where(census, sure, values))

    nothing = np.zeros(len(unknown))
    return estimate_rows(
        {
            "estimate": shown(found.estimate),
            "se": shown(found.se, nothing),
            "lo": shown(found.lo, found.estimate),
            "hi": shown(found.hi, found.estimate),
            "conf": np.full(len(unknown), conf),
            "n_traces": cells.n_traces,
            "n_spans": cells.n_spans,
            "n_eff": shown(found.n_eff, cells.n_traces),
            "deff": shown(found.deff, np.full(len(unknown), np.nan)),
            "method": method,
            "status": status,
            "reason": reason,
        },
        cells.keys,
    )


def _why_unknown(unknown: int, traces: int) -> str:
    if not traces:
        return "no trace was kept, and with what probability is not known: nothing is excluded"
    return (
        f"{unknown:,} of {traces:,} traces have no known probability of being kept: give a design, or leave them out by "
        "weight_status and say so"
    )


def estimate_rows(
    rows: Iterable[Mapping[str, object]] | Mapping[str, object], keys: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return the table of estimates from its rows, or from whole columns; what is left out is missing.

    Parameters
    ----------
    rows
        Mappings of column names to values, one a row, or one mapping of column names to arrays.
    keys
        Columns that name the rows (groups, levels), put before the estimates.

    Returns
    -------
    pandas.DataFrame
        The keys and

        - ``estimate``, ``se``, ``lo``, ``hi`` (float64): value, standard error, and the interval at confidence ``conf``, all in the
          unit of what is estimated; missing where nothing can be said
        - ``conf`` (float64): confidence of the interval, such as 0.95
        - ``n_traces``, ``n_spans`` (Int64): sampled traces and spans that the row rests on
        - ``n_eff`` (float64): independent traces with equal weights that would tell as much
        - ``deff`` (float64): variance in units of that of as many independent spans or traces
        - ``method`` (str): how the interval was found
        - ``status`` (category): ``ok``; ``too_few``: too few traces for the interval to hold what it promises; ``biased``: the design
          misses a part of the traffic; ``unidentifiable``: probabilities are not known, so no number is given
        - ``reason`` (str): why, in one sentence; empty when ok

    Examples
    --------
    >>> estimate_rows([{"estimate": 10, "n_traces": 1, "status": "too_few"}])[["estimate", "n_traces", "status"]]
       estimate  n_traces   status
    0      10.0         1  too_few
    """
    table = pd.DataFrame(dict(rows) if isinstance(rows, Mapping) else list(rows), columns=list(COLUMNS))
    for name in _NUMBERS:
        table[name] = pd.to_numeric(table[name]).astype("float64")
    for name in ("method", "reason"):
        table[name] = table[name].astype("object").fillna("").astype("str")
    table = table.astype({"n_traces": "Int64", "n_spans": "Int64", "status": STATUS})
    if keys is None:
        return table
    return pd.concat([keys.reset_index(drop=True), table], axis=1)
