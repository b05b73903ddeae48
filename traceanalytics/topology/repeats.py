"""The rare case: several rows of one trace bear the same span id. Decided in pandas, for those rows only."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.spans.columns import codes_of
from traceanalytics.spans.schema import KIND, STATUS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Repeats", "fixed_codes", "repeats"]


class Repeats(NamedTuple):
    """What becomes of rows that share their span id; all arrays are by position in the frame."""

    duplicate: NDArray[np.bool_]
    """Rows that repeat another one: same trace, span id, kind, service and start."""
    bearer: NDArray[np.uint8]
    """1 for the rows that stand for their id when a child looks for its parent."""
    tie: NDArray[np.int64]
    """A last sorting key that does not depend on the order of rows."""
    several: NDArray[np.bool_]
    """Bearers that were chosen among several different spans."""


def fixed_codes(column: pd.Series, dtype: pd.CategoricalDtype) -> NDArray[np.int32]:
    """Return codes in the label order of ``dtype`` (-1 is missing or unknown), whatever the column's own type."""
    codes, labels = codes_of(column)
    if labels.equals(dtype.categories):
        return codes
    return np.append(dtype.categories.get_indexer(labels), -1).astype(np.int32)[codes]


def repeats(
    spans: pd.DataFrame,
    rows: NDArray[np.int64],
    *,
    trace: NDArray[np.int32],
    span_id: NDArray[np.int64],
    start: NDArray[np.int64],
    shortness: NDArray[np.int64],
    bearer: NDArray[np.uint8],
) -> Repeats:
    """Decide which of the ``rows`` are duplicates, and which one stands for an id that several spans bear.

    Of duplicates the one with the longest duration stays (ties: worst status, first row). Of different spans with one id,
    the earliest stands for it (ties: longest, then kind, service and name). ``start`` is the frame's, ``shortness`` that of
    ``rows`` (durations negated); where missing, both are the largest number.
    """
    some = spans.iloc[rows]
    table = pd.DataFrame(
        {
            "trace": trace[rows],
            "span_id": span_id[rows],
            "start": start[rows],
            "shortness": shortness,
            "kind": fixed_codes(some["kind"], KIND),
            "service": pd.factorize(some["service"].astype("str"), sort=True)[0],
            "name": pd.factorize(some["name"].astype("str"), sort=True)[0],
            "luck": -fixed_codes(some["status"], STATUS),
            "row": rows,
        }
    )
    same_id = ["trace", "span_id"]
    same_span = [*same_id, "kind", "service", "start"]
    table = table.sort_values([*same_span, "shortness", "luck", "row"], ignore_index=True)
    twice = table.duplicated(same_span).to_numpy()
    duplicate = np.zeros(len(spans), dtype=bool)
    duplicate[table["row"].to_numpy()[twice]] = True

    table = table[~twice].sort_values(
        [*same_id, "start", "shortness", "kind", "service", "name", "row"], ignore_index=True
    )
    first = ~table.duplicated(same_id).to_numpy()
    alone = ~table.duplicated(same_id, keep=False).to_numpy()
    row = table["row"].to_numpy()
    bearer = bearer.copy()
    bearer[rows] = 0
    bearer[row[first]] = 1
    tie = np.zeros(len(spans), dtype=np.int64)
    tie[row] = np.arange(len(row))
    several = np.zeros(len(spans), dtype=bool)
    several[row[first & ~alone]] = True
    return Repeats(duplicate, bearer, tie, several)
