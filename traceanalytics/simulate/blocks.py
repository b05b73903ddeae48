"""Requests, and the runs of their templates with the place of every simulated span in the frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from traceanalytics.simulate.faults import SilentService
from traceanalytics.simulate.random_numbers import text_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from traceanalytics.simulate.templates import Active
    from traceanalytics.simulate.timing import Timing

__all__ = ["HOSTS", "Block", "Requests", "host_of"]

HOSTS: Final = 16


def host_of(service: str, replica: int) -> int:
    """Return the number of the host that a pod runs on."""
    return text_number(f"{service} {replica}") % HOSTS


@dataclass
class Requests:
    """The requests of a run: ids, beginnings, and what all their spans share; one entry a request."""

    entry: NDArray[np.int64]
    begin: NDArray[np.int64]
    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    extra: NDArray[np.bool_]
    touched: dict[int, NDArray[np.bool_]]
    strength: dict[int, NDArray[np.float64]]
    """By number of a fault that fades by becoming weaker: its strength, 0 to 1."""
    window: dict[int, tuple[int, ...]]
    """By number of a fault: when it begins, ends and has faded, in nanoseconds."""
    tenant: pd.Categorical
    variant: pd.Categorical
    pod: dict[str, NDArray[np.int64]]
    """By service: the number of the pod that serves the request."""
    clock: dict[str, NDArray[np.int64]]
    """By service: nanoseconds that its clock is fast."""


@dataclass
class Block:
    """The run of one template: whose requests, and where each span stands in the frame (-1: nowhere)."""

    timing: Timing
    requests: NDArray[np.int64]
    offset: int
    emitted: NDArray[np.bool_]
    labels: NDArray[np.int64]
    owner: NDArray[np.int32]

    @classmethod
    def of(cls, timing: Timing, requests: NDArray[np.int64], offset: int, active: Sequence[Active]) -> Block:
        """Return a block after its run."""
        emitted = timing.present.copy()
        nodes = timing.template.nodes
        for each in active:
            if isinstance(each.fault, SilentService):
                for node in nodes:
                    if node.service.name == each.fault.service:
                        emitted[node.number] &= ~timing.touched[each.number]
        owner = np.full(emitted.shape, -1, np.int32)  # the span that began a trace of its own
        for node in nodes[1:]:
            owner[node.number] = owner[node.parent]
            for number, mask in timing.restarts:
                if number == node.number:
                    owner[number][mask] = number
        return cls(timing, requests, offset, emitted, np.full(emitted.shape, -1, np.int64), owner)

    def column(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the values of the spans that were emitted."""
        return values[self.emitted]
