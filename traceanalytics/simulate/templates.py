"""The tree of all spans that requests of one kind can have; which of them a request does have is decided when it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from traceanalytics.errors import OptionError
from traceanalytics.simulate.faults import (
    Fault,
    HandledError,
    NetworkDelay,
    NPlusOne,
    RetriesExhausted,
    RetriesRecovered,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from traceanalytics.simulate.topology_data import Call, Operation, Service, Topology

__all__ = ["Active", "CallShape", "Node", "Task", "Template", "on_edge"]

_MOST_NODES: Final = 20_000
_MOST_DEPTH: Final = 100

F = TypeVar("F", bound=Fault)


@dataclass(frozen=True)
class Active:
    """A fault and its number in the table of faults."""

    number: int
    fault: Fault


@dataclass(eq=False)
class Node:
    """A span of the template. ``path`` names it for the random numbers, so that no fault shifts those of other spans."""

    number: int
    parent: int
    kind: str
    name: str
    service: Service
    operation: Operation
    peer: Service | None
    path: str
    instance: int = 0


@dataclass(eq=False)
class Task:
    """An operation at work: its span, and its calls in groups; those of a group start together."""

    node: Node
    groups: list[list[CallShape]] = field(default_factory=list)


@dataclass(eq=False)
class CallShape:
    """One call: the span on the caller's side, and what it sets to work. ``first`` to ``stop`` are the numbers of its spans."""

    call: Call
    caller: Operation
    instance: int
    outer: Node
    task: Task
    first: int = 0
    stop: int = 0
    attempts: dict[int, list[CallShape]] = field(default_factory=dict)
    """By the number of a fault: the failed attempts before this one."""
    hedge: CallShape | None = None
    fallbacks: dict[int, Node] = field(default_factory=dict)
    is_last: bool = False
    """Whether it is the last repetition: the caller works for itself between different calls, not between repetitions."""


def on_edge(
    topology: Topology, active: Sequence[Active], edge: tuple[Operation, Operation], kind: type[F]
) -> list[tuple[int, F]]:
    """Return the faults of one kind that name this caller and callee."""
    found = []
    for each in active:
        fault = each.fault
        if isinstance(fault, kind):
            caller, callee = fault.edge  # type: ignore[attr-defined]
            if edge[0] in topology.matching(caller) and edge[1] in topology.matching(callee):
                found.append((each.number, fault))
    return found


class Template:
    """The tree of one entry operation under the faults of a run."""

    def __init__(self, entry: Operation, topology: Topology, active: Sequence[Active]) -> None:
        self.entry = entry
        self.topology = topology
        self.nodes: list[Node] = []
        self._active = active
        self._stack: list[str] = []
        self.root = self._task(entry, self._node(-1, "SERVER", entry.name, entry, entry.key))
        self._services = {name for node in self.nodes for name in (node.service.name, node.operation.service)}

    def concerns(self, fault: Fault) -> bool:
        """Tell whether the fault may change times or failures here: not, if its services do not occur."""
        names = getattr(fault, "edge", None) or (getattr(fault, "operation", None) or fault.service,)  # type: ignore[attr-defined]
        here = [name.partition(" ")[0] in self._services for name in names]
        return any(here) if isinstance(fault, NetworkDelay) else all(here)

    def _node(
        self,
        parent: int,
        kind: str,
        name: str,
        operation: Operation,
        path: str,
        *,
        service: str = "",
        peer: str = "",
        instance: int = 0,
    ) -> Node:
        services = self.topology.services
        node = Node(
            number=len(self.nodes),
            parent=parent,
            kind=kind,
            name=name,
            service=services[service or operation.service],
            operation=operation,
            peer=services[peer] if peer else None,
            path=path,
            instance=instance,
        )
        self.nodes.append(node)
        if len(self.nodes) > _MOST_NODES:
            raise OptionError(f"requests of {self.entry.key!r} would have more than {_MOST_NODES:,} spans")
        return node

    def _task(self, operation: Operation, node: Node, *, calls: bool = True) -> Task:
        task = Task(node)
        if operation.key in self._stack or len(self._stack) > _MOST_DEPTH:
            way = " -> ".join([*self._stack, operation.key])
            raise OptionError(f"the calls go round in a circle, or deeper than {_MOST_DEPTH}: {way}")
        self._stack.append(operation.key)
        together = False
        for place, call in enumerate(operation.calls if calls else ()):
            target = self.topology.operations[call.to]
            count = self._most(operation, target, call)
            shapes = [self._call(operation, call, task.node, f"{node.path}/{place}.{i}", i) for i in range(count)]
            shapes[-1].is_last = True
            if call.mode != "parallel":
                task.groups += [[shape] for shape in shapes]
            elif together:
                task.groups[-1] += shapes
            else:
                task.groups.append(shapes)
            together = call.mode == "parallel"
        self._stack.pop()
        return task

    def _most(self, caller: Operation, target: Operation, call: Call) -> int:
        repeated = [f.count for _, f in on_edge(self.topology, self._active, (caller, target), NPlusOne)]
        return max([call.counts[1], *repeated])

    def _call(self, caller: Operation, call: Call, parent: Node, path: str, instance: int) -> CallShape:
        """Return a call with everything that may happen to it: attempts before it, a hedge beside it, a fallback after it."""
        target = self.topology.operations[call.to]
        first = len(self.nodes)
        edge = (caller, target)
        before: dict[int, list[CallShape]] = {}
        for kind in (RetriesRecovered, RetriesExhausted):
            for number, fault in on_edge(self.topology, self._active, edge, kind):
                if fault.form == "siblings":
                    before[number] = [
                        self._plain(caller, call, parent, f"{path}/attempt{number}.{i}", instance, calls=False)
                        for i in range(fault.attempts - 1)
                    ]
        shape = self._plain(caller, call, parent, path, instance)
        shape.attempts = before
        if call.hedge_ms:
            shape.hedge = self._plain(caller, call, parent, f"{path}/hedge", instance)
        for number, handled in on_edge(self.topology, self._active, edge, HandledError):
            shape.fallbacks[number] = self._node(
                parent.number, "INTERNAL", handled.fallback, caller, f"{path}/fallback{number}"
            )
        shape.first, shape.stop = first, len(self.nodes)
        return shape

    def _plain(
        self, caller: Operation, call: Call, parent: Node, path: str, instance: int, *, calls: bool = True
    ) -> CallShape:
        target = self.topology.operations[call.to]
        first = len(self.nodes)
        name, peer = target.name, target.service
        if self.topology.services[peer].is_leaf:
            outer = self._node(
                parent.number, "CLIENT", name, target, path, service=caller.service, peer=peer, instance=instance
            )
            task = Task(outer)
        elif target.kind == "INTERNAL":
            outer = self._node(parent.number, "INTERNAL", name, target, path)
            task = self._task(target, outer, calls=calls)
        else:
            sent = target.kind == "CONSUMER"
            outer = self._node(
                parent.number,
                "PRODUCER" if sent else "CLIENT",
                name.replace("process", "send", 1) if sent else name,
                target,
                path,
                service=caller.service,
                peer=peer,
                instance=instance,
            )
            task = self._task(
                target, self._node(outer.number, target.kind, name, target, f"{path}>", instance=instance), calls=calls
            )
        return CallShape(call, caller, instance, outer, task, first, len(self.nodes))
