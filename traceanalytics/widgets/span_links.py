"""Links between the spans of a widget: which span links to which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from traceanalytics.errors import SchemaError
from traceanalytics.spans.unpacking import unpack_links

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["SpanLinks"]


class SpanLinks:
    """The links whose both ends are here, as pairs of rows.

    Parameters
    ----------
    spans
        A span frame.
    place
        The row of each position in the frame, -1 for spans that have none.

    Attributes
    ----------
    source, target
        Rows of the span that has the link and of the span that it leads to.
    rows_with_links
        Rows of all spans that have anything in ``links``, wherever that leads.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    rows_with_links: NDArray[np.int64]

    def __init__(self, spans: pd.DataFrame, place: NDArray[np.int64]) -> None:
        rows = place[:-1][spans["links"].notna().to_numpy(bool)]
        self.rows_with_links = rows[rows >= 0]
        self._sources: dict[int, list[int]] = {}
        self._row_of: dict[tuple[object, str], int] = {}
        self.source = self.target = np.zeros(0, dtype=np.int64)
        if len(self.rows_with_links):
            self._resolve(spans, place)

    def row_of(self, trace_id: object, span_id: str) -> int | None:
        """Return the row of a span that some link leads to, None where it is not here."""
        return self._row_of.get((trace_id, span_id))

    def linked_from(self, row: int) -> list[int]:
        """Return the rows of the spans that have a link to this one."""
        return self._sources.get(row, [])

    def has_links(self, n: int) -> NDArray[np.bool_]:
        """Return which of n rows have a link."""
        found = np.zeros(n, dtype=bool)
        found[self.rows_with_links] = True
        return found

    def is_linked(self, n: int) -> NDArray[np.bool_]:
        """Return which of n rows another span here has a link to."""
        found = np.zeros(n, dtype=bool)
        found[self.target] = True
        return found

    def _resolve(self, spans: pd.DataFrame, place: NDArray[np.int64]) -> None:
        positions = np.flatnonzero(spans["links"].notna().to_numpy(bool))
        some = spans.iloc[positions]
        try:
            found = unpack_links(some["links"])
        except SchemaError:  # a cell that is no list of links leads nowhere; the detail shows its text
            return
        own = some["trace_id"].tolist()
        ends = [
            (link.trace_id or own[at], link.span_id) for at, link in zip(found.row.tolist(), found.items, strict=True)
        ]
        here = spans["span_id"].isin({span_id for _, span_id in ends if span_id}).to_numpy(bool) & (place[:-1] >= 0)
        targets = spans[here]
        for trace_id, span_id, row in zip(
            targets["trace_id"], targets["span_id"], place[:-1][here].tolist(), strict=True
        ):
            self._row_of.setdefault((trace_id, span_id), row)
        pairs = set()
        for row, (trace_id, span_id) in zip(place[positions[found.row]].tolist(), ends, strict=True):
            target = self.row_of(trace_id, span_id or "")
            if row >= 0 and target is not None:
                pairs.add((row, target))
        for row, target in sorted(pairs):
            self._sources.setdefault(target, []).append(row)
        made = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
        self.source, self.target = made[:, 0], made[:, 1]
