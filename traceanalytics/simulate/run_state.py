"""The arrays of a run, and what happens to them: spans are written, parts in faults are noted, spans are cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from traceanalytics.simulate.faults import (
    CancelledSiblings,
    ErrorRate,
    FastFailures,
    Fault,
    HandledError,
    RetriesExhausted,
    RetriesRecovered,
    Timeout,
)
from traceanalytics.simulate.outcomes import CANCELLED, CAUSE, DECOY, SYMPTOM, Force, Group, Outcome
from traceanalytics.simulate.templates import on_edge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from traceanalytics.simulate.random_numbers import Draws
    from traceanalytics.simulate.templates import Active, CallShape, Node, Template
    from traceanalytics.simulate.topology_data import Operation

__all__ = ["RunState", "rounded_ns"]

F = TypeVar("F", bound=Fault)

_FAILING = (ErrorRate, RetriesExhausted, RetriesRecovered, HandledError, Timeout, CancelledSiblings, FastFailures)
"""Faults whose part is played when a span fails: one that is cancelled before plays none."""


def rounded_ns(milliseconds: float) -> int:
    """Return milliseconds as whole nanoseconds."""
    return round(milliseconds * 1e6)


class RunState:
    """The arrays of a run (one row a span of the template, one column a request), and the faults; see ``Timing``."""

    def __init__(
        self,
        template: Template,
        draws: Draws,
        active: Sequence[Active],
        *,
        touched: dict[int, NDArray[np.bool_]],
        strength: dict[int, NDArray[np.float64]],
        begin: NDArray[np.int64],
    ) -> None:
        self.template = template
        self.draws = draws
        self.touched = touched
        self.strength = strength
        self.begin = begin
        self.count = len(begin)
        self._active = active
        self._failing_faults = {each.number for each in active if isinstance(each.fault, _FAILING)}
        shape = (len(template.nodes), self.count)
        self.start = np.zeros(shape, np.int64)
        self.end = np.zeros(shape, np.int64)
        self.present = np.zeros(shape, bool)
        self.failure = np.zeros(shape, np.int8)
        self.origin = np.zeros(shape, bool)
        self.roles: dict[tuple[int, int], NDArray[np.int8]] = {}
        self.injected: dict[tuple[int, int], NDArray[np.int64]] = {}
        self.groups: list[Group] = []
        self.retry_events: list[tuple[int, NDArray[np.bool_], NDArray[np.int64], int]] = []
        self.restarts: list[tuple[int, NDArray[np.bool_]]] = []
        self.resends: dict[int, NDArray[np.int64]] = {}
        self.outcome = Outcome.none(self.count)

    def free(self) -> Force:
        """Return a force that changes nothing."""
        return Force.none(self.count)

    def of_kind(self, kind: type[F]) -> Iterator[tuple[int, F]]:
        """Yield the faults of a kind that are switched on."""
        for each in self._active:
            if isinstance(each.fault, kind):
                yield each.number, each.fault

    def on_operation(self, operation: Operation, kind: type[F]) -> Iterator[tuple[int, F]]:
        """Yield the faults of a kind that name this operation or its service."""
        for number, fault in self.of_kind(kind):
            if fault.operation in (operation.service, operation.key):  # type: ignore[attr-defined]
                yield number, fault

    def on_call(self, shape: CallShape, kind: type[F]) -> list[tuple[int, F]]:
        """Return the faults of a kind that name the caller and callee of this call."""
        topology = self.template.topology
        return on_edge(topology, self._active, (shape.caller, topology.operations[shape.call.to]), kind)

    def added(self, number: int, mask: NDArray[np.bool_], ns: NDArray[np.int64] | int) -> NDArray[np.int64]:
        """Return the time that a fault adds to what it touches, less where it fades."""
        strength = self.strength.get(number)
        if strength is not None:
            ns = np.rint(ns * strength).astype(np.int64)
        return np.where(mask & self.touched[number], ns, 0)

    def mark(self, number: int, node: int, mask: NDArray[np.bool_], role: int) -> None:
        """Note the part that a span has in a fault."""
        if mask.any():
            found = self.roles.setdefault((number, node), np.zeros(self.count, np.int8))
            found[mask] = role

    def mark_all(self, faults: NDArray[np.int16], node: int, mask: NDArray[np.bool_], role: int) -> None:
        """Note the part of a span where the fault differs from request to request."""
        for number in np.unique(faults[mask]).tolist():
            self.mark(number, node, mask & (faults == number), role)

    def inject(self, number: int, node: int, mask: NDArray[np.bool_], added: NDArray[np.int64]) -> None:
        """Note time that a fault adds to a span or, on a CLIENT span, to the gap into its callee."""
        self.mark(number, node, mask, CAUSE)
        if mask.any():
            before = self.injected.get((number, node), np.zeros(self.count, np.int64))
            self.injected[number, node] = before + np.where(mask, added, 0)

    def relabel(self, nodes: range, faults: NDArray[np.int16], mask: NDArray[np.bool_], role: int) -> None:
        """Change the part that some spans have in a failure."""
        for (number, node), roles in self.roles.items():
            if node in nodes and (number, node) not in self.injected:
                roles[mask & (faults == number) & (roles > 0)] = role

    def write(self, node: Node, start: NDArray[np.int64], end: NDArray[np.int64], present: NDArray[np.bool_]) -> None:
        """Write down when a span started and ended, and in which requests there is one."""
        self.start[node.number], self.end[node.number], self.present[node.number] = start, end, present

    def cut(
        self, nodes: Sequence[int], at: NDArray[np.int64], mask: NDArray[np.bool_], *, fault: int = -1, itself: int = -1
    ) -> None:
        """Cancel what runs in some spans at some time: those that run end then, those to come never start."""
        messages: set[int] = set()
        for n in nodes:
            node = self.template.nodes[n]
            if node.kind == "CONSUMER" or node.parent in messages:
                messages.add(n)
                self.present[n] &= self.present[node.parent] | ~mask
                continue
            self.present[n] &= ~(mask & (self.start[n] >= at))
            over = mask & self.present[n] & (self.end[n] > at)
            self.end[n] = np.where(over, at, self.end[n])
            self.failure[n] = np.where(over, CANCELLED, self.failure[n])
            self.origin[n] &= ~over
            for (number, owner), roles in self.roles.items():
                if owner == n and number in self._failing_faults:
                    roles[over] = 0
            if fault >= 0:
                self.mark(fault, n, over, SYMPTOM)
            elif n != itself:  # the call itself stands in a group
                self.mark(-1, n, over, DECOY)
