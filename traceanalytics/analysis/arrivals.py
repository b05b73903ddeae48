"""Where work enters a service: the first span of each call, and the outgoing span that asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.kernels import kernel
from traceanalytics.spans.columns import NAT, id_numbers
from traceanalytics.spans.items import links

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.kernels import Ints
    from traceanalytics.topology import Forest

__all__ = ["CLIENT", "CONSUMER", "PRODUCER", "SERVER", "Arrivals", "arrivals", "heads", "linked_rows"]

INTERNAL: Final = 1
SERVER: Final = 2
CLIENT: Final = 3
PRODUCER: Final = 4
CONSUMER: Final = 5


class Arrivals(NamedTuple):
    """Arrays by row position."""

    enters: NDArray[np.bool_]
    """The span is the first one of a call: its parent belongs to another service, or it answers its own service's client."""
    asker: NDArray[np.int32]
    """Of an entering span, the row of the outgoing span that waits for it; -1 where the caller has none."""
    layer_over: NDArray[np.int32]
    """Of an outgoing span, the row of the outgoing span of its own service that encloses it; -1 where there is none."""


def arrivals(
    forest: Forest, kind: NDArray[np.int8], service: NDArray[np.int32], outgoing: NDArray[np.bool_]
) -> Arrivals:
    """Find the first span of every call, looking through INTERNAL spans and those without a kind.

    ``service`` are codes (-1 is a service of its own); ``outgoing`` marks the spans that ask others.
    """
    n = forest.n_spans
    enters = np.zeros(n, dtype=np.uint8)
    asker, layer_over, waiting = (np.full(n, -1, dtype=np.int32) for _ in range(3))
    kinds = kind.astype(np.int32)
    _climb(
        forest.order,
        forest.parent,
        service.astype(np.int32),
        kinds,
        outgoing.astype(np.uint8),
        enters,
        asker,
        layer_over,
        waiting,
    )
    return Arrivals(enters.view(bool), asker, layer_over)


@kernel("enters", "asker", "layer_over", "waiting")
def _climb(  # noqa: PLR0917 - kernels take their arrays by position
    order: Ints,
    parent: Ints,
    service: Ints,
    kind: Ints,
    outgoing: Ints,
    enters: Ints,
    asker: Ints,
    layer_over: Ints,
    waiting: Ints,
) -> None:
    for at in range(len(order)):  # parents first
        row = order[at]
        up = parent[row]
        above = -1
        if up >= 0:
            above = waiting[up]
            answers = above >= 0 and (kind[row] == CONSUMER or (kind[row] == SERVER and kind[above] == CLIENT))
            if answers or service[up] != service[row]:
                enters[row] = 1
                asker[row] = above
                above = -1
        if outgoing[row]:
            layer_over[row] = above
            waiting[row] = row
        elif kind[row] <= INTERNAL:
            waiting[row] = above


def heads(forest: Forest, begins: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return for each row the nearest of its ancestors and itself that begins something; roots do. -1 for duplicates."""
    head = np.full(forest.n_spans, -1, dtype=np.int32)
    _inherit(forest.order, forest.parent, begins.astype(np.uint8), head)
    return head


@kernel("head")
def _inherit(order: Ints, parent: Ints, begins: Ints, head: Ints) -> None:
    for at in range(len(order)):
        row = order[at]
        if begins[row] or parent[row] < 0:
            head[row] = row
        else:
            head[row] = head[parent[row]]


def linked_rows(spans: pd.DataFrame, forest: Forest) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return one entry a link: the row that has it, and the row that it names, -1 where that is not in the frame.

    There are none in a frame without the column. Links of duplicates are left out. Of several spans with the linked id the earliest is meant (ties: longest, then kind).
    """
    has_links = spans["links"].notna().to_numpy() if "links" in spans.columns else np.zeros(len(spans), dtype=bool)
    some = np.flatnonzero(has_links & (forest.depth >= 0))
    if not len(some):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    owners = spans[["trace_id", "span_id", "start_time", "links"]].iloc[some]
    found = links(owners.set_axis(pd.RangeIndex(len(some))))
    own = some[found.index.to_numpy(dtype=np.int64)]
    known = np.flatnonzero(forest.trace_ids.notna())
    texts = pd.Index(forest.trace_ids[known].astype("str"))
    at = texts.get_indexer(pd.Index(found["linked_trace_id"].astype("str")))
    number, wanted = id_numbers(spans["span_id"], found["linked_span_id"])
    trace = np.where(at >= 0, known[at] if len(known) else -1, -1)
    return own, _bearers(spans, forest, number, pd.DataFrame({"trace": trace, "number": wanted}))


def _bearers(spans: pd.DataFrame, forest: Forest, number: NDArray[np.int64], wanted: pd.DataFrame) -> NDArray[np.int64]:
    linked = np.zeros(forest.n_traces + 1, dtype=bool)
    linked[wanted["trace"].to_numpy()] = True
    linked[-1] = False
    rows = np.flatnonzero(linked[forest.trace] & (forest.depth >= 0) & spans["span_id"].notna().to_numpy())
    start = forest.start[rows]
    known = pd.DataFrame(
        {
            "trace": forest.trace[rows].astype(np.int64),
            "number": number[rows],
            "late": start == NAT,
            "start": start,
            "end": -forest.end[rows],
            "kind": spans["kind"].astype("str").to_numpy()[rows],
            "row": rows,
        }
    )
    known = known.sort_values(["trace", "number", "late", "start", "end", "kind", "row"])
    known = known.drop_duplicates(["trace", "number"])[["trace", "number", "row"]]
    met = wanted.merge(known, how="left", on=["trace", "number"])["row"]
    return met.fillna(-1).to_numpy(dtype=np.int64)
