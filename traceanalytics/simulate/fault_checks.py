"""Whether faults name what a system has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from traceanalytics.errors import OptionError, near
from traceanalytics.simulate.faults import (
    KINDS,
    CancelledSiblings,
    DroppedHeaders,
    FastFailures,
    Fault,
    NetworkDelay,
    NPlusOne,
    SequentialCalls,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from traceanalytics.simulate.topology_data import Operation, Topology

__all__ = ["checked_faults"]


def checked_faults(faults: Iterable[Any], topology: Topology) -> tuple[Fault, ...]:
    """Return the faults after a look at their types and at the names they use."""
    known = [kind.__name__ for kind in KINDS]
    given = tuple(faults)
    for fault in given:
        if type(fault) not in KINDS:
            name = fault if isinstance(fault, str) else type(fault).__name__
            raise OptionError(f"there is no fault {name!r}, only {', '.join(known)}{near(str(name), known)}")
        _check_names(fault, topology)
    return given


def _check_names(fault: Fault, topology: Topology) -> None:
    kind = type(fault).__name__
    for option in ("operation", "service"):
        target = getattr(fault, option, None)
        if target is not None:
            topology.expect(f"{kind}.{option}", target)
    service = getattr(fault, "service", None)
    if service is not None and (service not in topology.services or topology.services[service].is_leaf):
        raise OptionError(f"{kind}.service={service!r}: expected a service that writes spans")
    if isinstance(fault, FastFailures) and fault.operation not in {o.key for o in topology.entries}:
        entries = ", ".join(o.key for o in topology.entries)
        raise OptionError(f"{kind}.operation={fault.operation!r}: users ask for {entries}")
    if hasattr(fault, "edge"):
        for target in fault.edge:
            topology.expect(f"{kind}.edge", target)
        _check_edge(fault, topology)
    elif isinstance(fault, SequentialCalls) and not _has_parallel(topology.matching(fault.operation)):
        raise OptionError(f"{fault!r}: it makes no parallel calls")


def _check_edge(fault: Any, topology: Topology) -> None:
    caller, callee = fault.edge
    calls = [c for o in topology.matching(caller) for c in o.calls]
    fitting = [c for c in calls if topology.operations[c.to] in topology.matching(callee)]
    if not fitting:
        called = ", ".join(sorted({c.to for c in calls})) or "nothing"
        raise OptionError(f"{fault!r}: {caller!r} does not call {callee!r}; it calls {called}")
    targets = [topology.operations[c.to] for c in fitting]
    leaf = [topology.services[t.service].is_leaf for t in targets]
    if isinstance(fault, DroppedHeaders) and any(
        leaf_ or t.kind != "SERVER" for leaf_, t in zip(leaf, targets, strict=True)
    ):
        raise OptionError(f"{fault!r}: headers are dropped between services that write spans")
    if not isinstance(fault, NPlusOne | NetworkDelay | DroppedHeaders) and any(
        t.kind != "SERVER" and not leaf_ for leaf_, t in zip(leaf, targets, strict=True)
    ):
        raise OptionError(f"{fault!r}: the callee is a call within the service, or a message")
    if isinstance(fault, CancelledSiblings) and not any(c.mode == "parallel" for c in fitting):
        raise OptionError(f"{fault!r}: the call has no parallel siblings")


def _has_parallel(operations: tuple[Operation, ...]) -> bool:
    return any(
        sum(c.mode == "parallel" for c in o.calls) > 1 or any(c.mode == "parallel" and c.counts[1] > 1 for c in o.calls)
        for o in operations
    )
