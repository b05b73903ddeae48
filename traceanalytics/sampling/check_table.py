"""The one table that every check of sampled traces answers with, and the joining of several tests into one verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["COLUMNS", "VERDICT", "check_rows", "holm"]

VERDICT: Final = pd.CategoricalDtype(["ok", "warn", "fail", "not_testable"], ordered=True)
"""What a check found: nothing against the data, a doubt, a contradiction, or too little to tell."""

COLUMNS: Final = (
    "check",
    "scope",
    "statistic",
    "p_value",
    "effect",
    "lo",
    "hi",
    "n",
    "min_detectable",
    "verdict",
    "meaning",
)

_NUMBERS: Final = ("statistic", "p_value", "effect", "lo", "hi", "min_detectable")


def check_rows(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """Return the table of a check from its rows; what a row leaves out is missing.

    Returns
    -------
    pandas.DataFrame
        - ``check``, ``scope`` (str): what was tested, and on which part of the data
        - ``statistic``, ``p_value`` (float64): of the test; missing where a rule needs none
        - ``effect``, ``lo``, ``hi`` (float64): the size of what was found and its 95 % interval, in the unit that ``meaning`` names
        - ``n`` (Int64): independent units that the test had
        - ``min_detectable`` (float64): the effect that this ``n`` finds with 80 % power, at the level of the test
        - ``verdict`` (category): ok, warn, fail, not_testable
        - ``meaning`` (str): one sentence for a reader who does not know the test

    Examples
    --------
    >>> check_rows([{"check": "rate", "scope": "all", "n": 10, "verdict": "ok", "meaning": "as claimed"}])[["check", "n", "verdict"]]
      check   n verdict
    0  rate  10      ok
    """
    table = pd.DataFrame(list(rows), columns=list(COLUMNS))
    for name in _NUMBERS:
        table[name] = pd.to_numeric(table[name]).astype("float64")
    for name in ("check", "scope", "meaning"):
        table[name] = table[name].astype("str")
    return table.astype({"n": "Int64", "verdict": VERDICT})


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Return p-values corrected for their number by Holm's method: the smallest of them is the p-value of "any of these".

    >>> holm([0.01, 0.04, 0.5])
    array([0.03, 0.08, 0.5 ])
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(steps, 1.0)
    return corrected
