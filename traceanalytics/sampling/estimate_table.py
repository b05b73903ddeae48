"""The one table that every estimate answers with: never a bare number, always its interval, its design and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["COLUMNS", "STATUS", "estimate_rows"]

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
