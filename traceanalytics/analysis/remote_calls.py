"""Calls between processes: which client span belongs to which server span, and what is left over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from traceanalytics.spans.schema import KIND
from traceanalytics.topology.repeats import fixed_codes

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from traceanalytics.topology import Forest

__all__ = ["RemoteCalls", "kind_codes", "remote_calls"]

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(1, 6)


@dataclass(frozen=True)
class RemoteCalls:
    """One entry a call.

    Attributes
    ----------
    caller
        Row of the CLIENT or PRODUCER span; -1 where a server has no client above it.
    callee
        Row of the SERVER or CONSUMER span; -1 where a client has no server below it.
    gap_ns
        Client time minus server time of the synchronous calls that have both: network and queue. 0 elsewhere.
    paired
        Whether the call has both halves.
    """

    caller: NDArray[np.int64]
    callee: NDArray[np.int64]
    gap_ns: NDArray[np.int64]
    paired: NDArray[np.bool_]


def kind_codes(spans: pd.DataFrame) -> NDArray[np.int8]:
    """Return the protocol's numbers of the spans' kinds; a missing kind is 0."""
    return np.maximum(fixed_codes(spans["kind"], KIND), 0).astype(np.int8)


def remote_calls(spans: pd.DataFrame, forest: Forest) -> RemoteCalls:
    """Return every call between processes of the frame: pairs, clients without a server, servers without a client.

    A server belongs to the client that is its parent. A client with several servers below it (a broadcast, a retried request of
    one span) is one call for each of them. Duplicates and roots are no calls.
    """
    kind = kind_codes(spans)
    kept = forest.depth >= 0
    parent = np.asarray(forest.parent, dtype=np.int64)
    above = np.where(parent >= 0, kind[parent], 0)
    serves = kept & (parent >= 0) & ((kind == SERVER) | (kind == CONSUMER))
    pairs = serves & np.where(kind == SERVER, above == CLIENT, (above == PRODUCER) | (above == CLIENT))
    callee = np.flatnonzero(pairs)
    caller = parent[callee]
    answered = np.zeros(len(spans), dtype=bool)
    answered[caller] = True
    alone = np.flatnonzero(kept & ((kind == CLIENT) | (kind == PRODUCER)) & ~answered)
    unasked = np.flatnonzero(serves & ~pairs)
    nobody, none = np.full(len(alone), -1), np.full(len(unasked), -1)
    callers, callees = np.r_[caller, alone, none], np.r_[callee, nobody, unasked]
    gap = np.zeros(len(callers), dtype=np.int64)
    length = np.where(forest.timed, forest.end - forest.start, 0)
    both = forest.timed[caller] & forest.timed[callee] & (kind[callee] == SERVER)
    gap[: len(callee)] = np.where(both, length[caller] - length[callee], 0)
    return RemoteCalls(callers, callees, gap, np.arange(len(callers)) < len(callee))
