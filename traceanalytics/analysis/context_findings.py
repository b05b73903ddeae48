"""The rule about requests whose context was lost: traces that begin within an unanswered call of another trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from traceanalytics.analysis.call_findings import unanswered_calls
from traceanalytics.analysis.quality_evidence import Found
from traceanalytics.analysis.remote_calls import SERVER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.analysis.quality_evidence import Evidence

__all__ = ["context_lost"]

_FEW: Final = 3
"""Fewer spans than this match by chance."""
_SLACK_NS: Final = 1_000_000


def context_lost(evidence: Evidence) -> Found:
    """Find SERVER spans without a parent that lie within an unanswered call to their service from another trace.

    Some do by chance. So there have to be a few, within a third of these calls or more, and twice as many as lie in as long a
    time after each call.
    """
    forest, unanswered, size = evidence.forest, unanswered_calls(evidence), len(evidence.services)
    owner = unanswered.service if unanswered.service is not None else evidence.service
    among = evidence.parentless & evidence.timed & (evidence.kind == SERVER) & (evidence.service >= 0)
    leaf = np.diff(forest.child_offsets[: len(among) + 1]) == 0
    call, root = np.flatnonzero(unanswered.hit & evidence.timed & leaf), np.flatnonzero(among)
    begin = forest.start[call] - _SLACK_NS  # clocks differ
    length = forest.end[call] + _SLACK_NS - begin
    found = _roots_within(evidence, root, call, owner[call], begin, begin + length)
    chance = _roots_within(evidence, root, call, owner[call], begin + length + 1, begin + 2 * length + 1)
    hits, by_chance, calls = (
        np.bincount(codes, minlength=size)
        for codes in (owner[found[found >= 0]], owner[chance[chance >= 0]], owner[call])
    )
    lost = (hits >= _FEW) & (3 * hits >= calls) & (hits >= 2 * by_chance)
    took = np.flatnonzero(found >= 0)
    took = took[lost[evidence.service[root[took]]]]
    hit = np.zeros(len(among), dtype=bool)
    hit[root[took]] = True
    ids, detail = evidence.spans["span_id"], {}
    for code in np.flatnonzero(lost).tolist():
        mine = took[evidence.service[root[took]] == code]
        one = mine[np.argmin(forest.id_order[root[mine]])]
        pair = f"call {ids.iloc[found[one]]} and span {ids.iloc[root[one]]}"
        detail[code] = f"So it is for {hits[code]:,} of {calls[code]:,} unanswered calls, as {pair}."
    return Found(hit, among, detail=detail)


def _roots_within(  # noqa: PLR0917 - arrays that belong together
    evidence: Evidence,
    root: NDArray[np.intp],
    call: NDArray[np.intp],
    owner: NDArray[np.int32],
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return for each root the row of the last call to its service begun before it, if the root lies within; no call twice."""
    forest, count = evidence.forest, len(call)
    start = np.r_[begin, forest.start[root]]
    service, rows = np.r_[owner, evidence.service[root]], np.r_[call, root]
    order = np.lexsort((forest.id_order[rows], np.arange(len(rows)) >= count, start, service))
    last = np.maximum.accumulate(np.where(order < count, np.arange(len(order)), -1))
    at, asked = order[last], order >= count  # where there is none, at is some place without meaning
    fits = asked & (last >= 0) & (service[at] == service[order])
    fits[fits] &= (end[at[fits]] >= forest.end[rows[order[fits]]]) & (
        forest.trace[rows[at[fits]]] != forest.trace[rows[order[fits]]]
    )
    fits &= ~pd.Series(np.where(fits, last, -1 - np.arange(len(order)))).duplicated().to_numpy()
    found = np.full(len(root), -1, dtype=np.int64)
    found[order[fits] - count] = rows[at[fits]]
    return found
