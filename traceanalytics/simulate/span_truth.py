"""The truth about single spans: their parts in faults, and the groups of calls they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from traceanalytics.simulate.faults import ClockSkew, SilentService
from traceanalytics.simulate.outcomes import CANCELLED, CAUSE, DECOY, NOT_FOUND, ROLES, SYMPTOM
from traceanalytics.spans.columns import coded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from traceanalytics.simulate.blocks import Block
    from traceanalytics.simulate.outcomes import Group
    from traceanalytics.simulate.templates import Active

__all__ = ["call_groups", "span_roles"]

_GROUPS: Final = {
    "group": "int64",
    "group_kind": "str",
    "decoy": "bool",
    "fault": "Int64",
    "form": "str",
    "outcome": "str",
    "attempts": "Int64",
    "place": "int64",
}


def span_roles(blocks: Sequence[Block], active: Sequence[Active]) -> pd.DataFrame:
    """Return the parts that spans have in faults and decoys: ``Truth.spans``."""
    labels: list[NDArray[Any]] = [np.zeros(0, np.int64)]
    faults: list[NDArray[Any]] = [np.zeros(0, np.int64)]
    roles: list[NDArray[Any]] = [np.zeros(0, np.int64)]
    injected: list[NDArray[Any]] = [np.zeros(0)]

    def add(label: NDArray[Any], fault: int, role: Any, ms: Any = np.nan) -> None:
        labels.append(label)
        faults.append(np.full(len(label), fault))
        roles.append(np.broadcast_to(role, len(label)))
        injected.append(np.broadcast_to(ms, len(label)))

    for block in blocks:
        for (number, node), part in sorted(block.timing.roles.items()):
            has = (part > 0) & (block.labels[node] >= 0)
            added = block.timing.injected.get((number, node))
            add(block.labels[node][has], number, part[has], np.nan if added is None else added[has] / 1e6)
        for each in active:
            for node, has, role in _bystanders(block, each):
                add(block.labels[node][has], each.number, role)
        for group in block.timing.groups:
            if group.fault < 0:
                label, has, _ = _members(block, group)
                add(label[has], -1, DECOY)
    fault = np.concatenate(faults)
    made = pd.DataFrame(
        {
            "fault": pd.arrays.IntegerArray(np.maximum(fault, 0).astype(np.int64), fault < 0),
            "role": coded(np.concatenate(roles).astype(np.int64) - 1, ROLES[1:]),
            "injected_ms": np.concatenate(injected).astype("float64"),
        },
        index=pd.Index(np.concatenate(labels)),
    )
    return made.sort_index(kind="stable")


def _bystanders(block: Block, each: Active) -> list[tuple[int, NDArray[np.bool_], int]]:
    """Return spans that ran as ever, but are recorded otherwise: by a wrong clock, or without the parent or child that is silent."""
    fault, run = each.fault, block.timing
    found = []
    for node in run.template.nodes:
        here = (block.labels[node.number] >= 0) & run.touched[each.number]
        if isinstance(fault, ClockSkew) and node.service.name == fault.service:
            found.append((node.number, here, CAUSE))
        if isinstance(fault, SilentService) and node.parent >= 0:
            above = run.template.nodes[node.parent]
            if above.service.name == fault.service != node.service.name:
                orphan = here & run.present[above.number] & (block.owner[node.number] != node.number)
                found.append((node.number, orphan, SYMPTOM))
            elif node.service.name == fault.service != above.service.name:
                there = (block.labels[above.number] >= 0) & run.touched[each.number] & run.present[node.number]
                found.append((above.number, there, SYMPTOM))
    return found


def _members(block: Block, group: Group) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """Return labels of the members (a row a group), which of them there are, and the requests (columns of the block).

    Whoever was cancelled before it began, or is not recorded, is no member; and one span alone is no group of equal calls.
    """
    columns = np.flatnonzero(group.mask)
    labels = block.labels[np.ix_(np.array(group.members), columns)].T
    least = 1 if group.kind in ("retry", "not_found") else 2
    large = (labels >= 0).sum(axis=1) >= least
    labels = labels[large]
    return labels, labels >= 0, columns[large]


def call_groups(spans: pd.DataFrame, blocks: Sequence[Block]) -> pd.DataFrame:
    """Return the groups of calls that belong together, one row a member: ``Truth.groups``."""
    pieces = []
    base = 0
    for block in blocks:
        for group in block.timing.groups:
            labels, has, columns = _members(block, group)
            size = has.sum(axis=1)
            pieces.append(
                pd.DataFrame(
                    {
                        "group": np.repeat(base + np.arange(len(columns)), size),
                        "group_kind": group.kind,
                        "decoy": group.fault < 0,
                        "fault": group.fault,
                        "form": group.form,
                        "outcome": np.repeat(_retry_outcome(block, group, columns), size),
                        "attempts": group.attempts,
                        "place": np.cumsum(has, axis=1)[has],
                    },
                    index=labels[has],
                )
            )
            base += len(columns)
    made = pd.concat(pieces) if pieces else pd.DataFrame(columns=list(_GROUPS), index=pd.Index([], dtype="int64"))
    made = made.astype(_GROUPS)
    made["fault"] = made["fault"].mask(made["decoy"])
    made["attempts"] = made["attempts"].mask(made["attempts"] == 0)
    for name in ("form", "outcome"):
        made[name] = made[name].mask(made[name] == "")
    return made.join(spans[["trace_id", "parent_span_id", "span_id"]])


def _retry_outcome(block: Block, group: Group, columns: NDArray[np.int64]) -> NDArray[np.object_]:
    """Return how the last attempt ended; empty where the group is none of retries."""
    if group.kind != "retry":
        return np.full(len(columns), "", dtype=object)
    last = group.members[-1]
    run = block.timing
    failure, present = run.failure[last, columns], run.present[last, columns]
    ended = np.where(np.isin(failure, (0, NOT_FOUND)), "recovered", "exhausted")
    return np.where(present & (failure != CANCELLED), ended, "cancelled").astype(object)
