"""Kernels that link spans: traces numbered, rows grouped, parents found by id."""
# ruff: noqa: PLR0917 - kernels take their arrays by position

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import numpy as np

from traceanalytics.kernels import kernel, part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.kernels import Ints

__all__ = ["MISSING_ID", "grouped", "numbered_traces", "parents"]

MISSING_ID: Final = int(np.iinfo(np.int64).min)
"""The number of a missing span id: ids are kept with their top bit flipped, so that they sort as their texts do."""

_LOW_63_BITS: Final = 0x7FFF_FFFF_FFFF_FFFF


def numbered_traces(codes: NDArray[np.int32], n_labels: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Give traces dense numbers in order of first appearance; a row without a trace id is a trace of its own.

    Returns the number of each row, and for each trace its code in ``codes`` (-1: no id).
    """
    trace = np.empty(len(codes), dtype=np.int32)
    label = np.empty(len(codes), dtype=np.int32)
    found = np.zeros(1, dtype=np.int32)
    _number_traces(codes, np.full(n_labels, -1, dtype=np.int32), trace, label, found)
    return trace, label[: found[0]].copy()


@kernel("trace", "label", "found", scratch=("number_of",))
def _number_traces(codes: Ints, number_of: Ints, trace: Ints, label: Ints, found: Ints) -> None:
    traces = 0
    for row in range(len(codes)):
        code = codes[row]
        if code < 0 or number_of[code] < 0:
            label[traces] = code
            if code >= 0:
                number_of[code] = traces
            trace[row] = traces
            traces += 1
        else:
            trace[row] = number_of[code]
    found[0] = traces


def grouped(group: NDArray[np.int32], n_groups: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return offsets and rows: the rows of group g, in their order, are ``rows[offsets[g]:offsets[g + 1]]``.

    A counting sort; rows of a negative group are left out.
    """
    offsets = np.zeros(n_groups + 2, dtype=np.int32)
    rows = np.empty(len(group), dtype=np.int32)
    _group(group, offsets, rows)
    offsets = offsets[: n_groups + 1].copy()
    return offsets, rows if offsets[-1] == len(rows) else rows[: offsets[-1]].copy()


@kernel("offsets", "rows")
def _group(group: Ints, offsets: Ints, rows: Ints) -> None:
    # Counts go two places up: after summing, offsets[g + 1] is where the next row of g belongs, and in the end its stop.
    for row in range(len(group)):
        if group[row] >= 0:
            offsets[group[row] + 2] += 1
    for at in range(2, len(offsets)):
        offsets[at] += offsets[at - 1]
    for row in range(len(group)):
        if group[row] >= 0:
            at = offsets[group[row] + 1]
            rows[at] = row
            offsets[group[row] + 1] = at + 1


def parents(
    offsets: NDArray[np.int32],
    rows: NDArray[np.int32],
    span_id: NDArray[np.int64],
    parent_id: NDArray[np.int64],
    bearer: NDArray[np.uint8],
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Find the row of each row's parent within its trace, -1 where there is none; and mark rows that share their id.

    ``bearer`` marks the rows that may be found as parents. A hash table a trace stays in the processor's cache; its
    multiplier is drawn anew for each call, so that nobody can choose ids that collide.
    """
    parent = np.full(len(rows), -1, dtype=np.int32)
    shared = np.zeros(len(rows), dtype=np.uint8)
    most = int(np.diff(offsets).max(initial=1))
    slots = np.empty(1 << max(2, (2 * most - 1).bit_length()), dtype=np.int32)
    _find_parents(offsets, rows, span_id, parent_id, bearer, secrets.randbits(62) | 1, slots, parent, shared)
    return parent, shared


@part
def slot_of(wanted: int, multiplier: int, shift: int, slots: Ints, span_id: Ints) -> int:
    """Return the slot that holds the row with this id, or else the free one where it belongs."""
    at = ((wanted * multiplier) & _LOW_63_BITS) >> shift
    last = _LOW_63_BITS >> shift
    while slots[at] >= 0 and span_id[slots[at]] != wanted:
        at = (at + 1) & last
    return at


@kernel("parent", "shared", scratch=("slots",))
def _find_parents(
    offsets: Ints,
    rows: Ints,
    span_id: Ints,
    parent_id: Ints,
    bearer: Ints,
    multiplier: int,
    slots: Ints,
    parent: Ints,
    shared: Ints,
) -> None:
    for trace in range(len(offsets) - 1):
        low, high = offsets[trace], offsets[trace + 1]
        size, shift = 4, 61
        while size < 2 * (high - low):
            size, shift = 2 * size, shift - 1
        for at in range(size):
            slots[at] = -1
        for position in range(low, high):
            row = rows[position]
            if bearer[row]:
                at = slot_of(span_id[row], multiplier, shift, slots, span_id)
                if slots[at] < 0:
                    slots[at] = row
                else:
                    shared[row] = 1
                    shared[slots[at]] = 1
        for position in range(low, high):
            row = rows[position]
            if parent_id[row] != MISSING_ID and parent_id[row] != span_id[row]:
                parent[row] = slots[slot_of(parent_id[row], multiplier, shift, slots, span_id)]  # -1 where free
