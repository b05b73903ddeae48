"""A trace in the large: one row a visit to a service, in place of one row a span."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from traceanalytics.spans.columns import NAT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.analysis.trace_rows import TraceRows

__all__ = ["service_visits"]


def service_visits(rows: TraceRows) -> tuple[TraceRows, NDArray[np.int64]]:
    """Return the visits to services of a trace, and how many spans each of them stands for besides its first one.

    A visit is a span whose parent is of another service, with all below it that are of its own service without another one
    between them. It bears the name of its first span, lasts from that span's start to the last end of its spans, and failed
    if one of them did.
    """
    n = len(rows.row)
    top = np.arange(n)
    for at, up in enumerate(rows.parent.tolist()):  # parents come first, so theirs is known
        if up >= 0 and rows.service[at] == rows.service[up]:
            top[at] = top[up]
    kept = np.flatnonzero(top == np.arange(n))
    visit = np.full(n + 1, -1, dtype=np.int64)  # the last one serves the parent -1
    visit[:n] = np.searchsorted(kept, top)
    parent = visit[rows.parent[kept]]
    depth = np.zeros(len(kept), dtype=np.int32)
    for at, up in enumerate(parent.tolist()):
        if up >= 0:
            depth[at] = depth[up] + 1
    end, error = rows.end[kept], np.zeros(len(kept), dtype=np.bool_)
    ended = rows.end != NAT
    np.maximum.at(end, visit[:n][ended & (end[visit[:n]] != NAT)], rows.end[ended & (end[visit[:n]] != NAT)])
    np.logical_or.at(error, visit[:n], rows.error)
    lengths = np.where((end == NAT) | (rows.start[kept] == NAT), np.nan, (end - rows.start[kept]) / 1e6)
    visits = rows._replace(
        row=rows.row[kept],
        parent=parent,
        depth=depth,
        name=[rows.name[at] for at in kept.tolist()],
        service=[rows.service[at] for at in kept.tolist()],
        start=rows.start[kept],
        end=end,
        duration_ms=np.where(end == rows.end[kept], rows.duration_ms[kept], lengths),
        error=error,
        flags=rows.flags[kept],
        detached=rows.detached[kept],
        main_root=int(visit[rows.main_root]),
        path=visit[rows.path],
    )
    return visits, np.bincount(visit[:n], minlength=len(kept)) - 1
