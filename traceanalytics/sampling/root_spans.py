"""The main root of every trace: the span whose duration is what the trace's caller waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from traceanalytics.topology import Forest

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["main_roots"]


def main_roots(spans: pd.DataFrame, codes: NDArray[np.intp], number: int) -> NDArray[np.intp]:
    """Return the row of the main root of every trace, -1 for a trace without rows.

    It is the only span without a parent id if there is exactly one; trees are built only for the other traces, where it is the root
    that covers most time, as in :func:`traceanalytics.summary`.

    Parameters
    ----------
    spans
        A span frame.
    codes, number
        The number of its trace for every span (-1: none), and how many traces there are.

    Examples
    --------
    >>> import pandas as pd
    >>> spans = pd.DataFrame({"trace_id": ["a", "a", "b"], "parent_span_id": ["1", None, None]})
    >>> main_roots(spans, np.array([0, 0, 1]), 2)
    array([1, 2])
    """
    rows = np.flatnonzero(spans["parent_span_id"].isna().to_numpy() & (codes >= 0))
    found = np.full(number, -1, np.intp)
    found[codes[rows]] = rows
    parentless = np.bincount(codes[rows], minlength=number)
    odd = np.append((parentless != 1) & (np.bincount(codes[codes >= 0], minlength=number) > 0), np.False_)
    if odd.any():
        places = np.flatnonzero(odd[codes])
        main = places[Forest(spans.iloc[places]).main_root]
        found[codes[main]] = main
    return found
