"""A system as data: services, their operations, and the calls that these make."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from traceanalytics.errors import OptionError, check_option, near

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Call", "Operation", "Service", "Topology"]

LEAVES: Final = ("database", "cache", "external")
"""Services that write no spans of their own: the caller's CLIENT span is all that is seen of a call to them."""


@dataclass(frozen=True)
class Service:
    """A service, database, cache or foreign provider.

    Parameters
    ----------
    name
        Its ``service.name``.
    kind
        "service", or one that writes no spans: "database", "cache", "external".
    system
        ``db.system.name`` of a database or cache (``"postgresql"``).
    version
        Its ``service.version``.
    conventions
        "newer" or "older" names of attributes (``http.request.method`` or ``http.method``).
    replicas
        Number of pods.
    marks_internal_errors
        False: an INTERNAL span through which an error passes keeps the status UNSET, as with much hand-written code.
    scope
        Name of the instrumentation scope.
    """

    name: str
    kind: str = "service"
    system: str = ""
    version: str = "1.0.0"
    conventions: str = "newer"
    replicas: int = 2
    marks_internal_errors: bool = True
    scope: str = "opentelemetry.instrumentation"

    def __post_init__(self) -> None:
        check_option("kind", self.kind, ("service", *LEAVES))
        check_option("conventions", self.conventions, ("newer", "older"))
        if self.replicas < 1 or not self.name or " " in self.name:
            raise OptionError(f"Service({self.name!r}): expected a name without spaces and at least one replica")

    @property
    def is_leaf(self) -> bool:
        """Whether it writes no spans."""
        return self.kind in LEAVES


@dataclass(frozen=True)
class Call:
    """A call that an operation makes.

    Parameters
    ----------
    to
        The operation called: its service, a space, its name (``"product GET /products/{id}"``).
    mode
        "sequential"; "parallel" (with the parallel calls beside it in the list it starts at once, and the operation waits
        for all of them); "async" (a message: nobody waits for the consumer).
    probability
        How often it is made.
    when
        Calls of one operation with the same text share one toss of the coin (``when="miss"``: read, then set the cache).
    count
        How often in a row, or at once if parallel; ``(2, 4)``: two to four times, equally often.
    pause_ms
        Pause between repeated calls: polling.
    hedge_ms
        Where there is no answer after so long, the same call is made a second time; the first answer counts and the other
        call is cancelled. 0: never.
    not_found
        How often the answer is 404, which the caller takes for an answer.
    on_failure
        "fail": the caller fails too; "ignore": it goes on.
    decoy
        Name of what the call is no fault of, although it may look like one ("fan_out", "polling", ...).
    """

    to: str
    mode: str = "sequential"
    probability: float = 1.0
    when: str = ""
    count: int | tuple[int, int] = 1
    pause_ms: float = 0.0
    hedge_ms: float = 0.0
    not_found: float = 0.0
    on_failure: str = "fail"
    decoy: str = ""

    def __post_init__(self) -> None:
        check_option("mode", self.mode, ("sequential", "parallel", "async"))
        check_option("on_failure", self.on_failure, ("fail", "ignore"))
        if not (0 <= self.probability <= 1 and 0 <= self.not_found <= 1):
            raise OptionError(f"Call({self.to!r}): probability and not_found lie between 0 and 1")
        low, high = self.counts
        if not 1 <= low <= high:
            raise OptionError(f"Call({self.to!r}): count={self.count!r}, expected at least 1, or (least, most)")

    @property
    def counts(self) -> tuple[int, int]:
        """The least and the greatest count."""
        return (self.count, self.count) if isinstance(self.count, int) else self.count


@dataclass(frozen=True)
class Operation:
    """An operation of a service: what a span is named after.

    Parameters
    ----------
    service, name
        Whose it is, and its name: ``"GET /cart"`` is HTTP, ``"shop.Pricing/GetPrice"`` gRPC; of a database it is the query,
        of a cache the command.
    self_ms
        Median of the time it spends itself.
    sigma
        Standard deviation of the logarithm of that time.
    calls
        The calls it makes, in order; its own time is spread evenly around them.
    weight
        How often users ask for it, in proportion to the others; 0: only other operations call it.
    kind
        "SERVER"; "INTERNAL" (a span within the service that calls it); "CONSUMER" (called by ``mode="async"`` only). Of a
        service without spans it does not matter.
    attributes
        More attributes of its spans (of the caller's CLIENT spans where it writes none). In a text, ``{instance}`` is the number
        of the repetition of the call. ``url.query`` is part of the caller's URL, too.
    """

    service: str
    name: str
    self_ms: float = 2.0
    calls: tuple[Call, ...] = ()
    weight: float = 0.0
    sigma: float = 0.9
    kind: str = "SERVER"
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_option("kind", self.kind, ("SERVER", "INTERNAL", "CONSUMER"))
        object.__setattr__(self, "calls", tuple(self.calls))
        if self.self_ms < 0 or self.sigma < 0 or self.weight < 0:
            raise OptionError(f"Operation({self.key!r}): self_ms, sigma and weight are not negative")

    @property
    def key(self) -> str:
        """Service, a space, name: how calls and faults refer to it."""
        return f"{self.service} {self.name}"


class Topology:
    """Services and operations by name; whatever does not fit together is refused."""

    def __init__(self, services: tuple[Service, ...], operations: tuple[Operation, ...]) -> None:
        self.services = {s.name: s for s in services}
        self.operations = {o.key: o for o in operations}
        if len(self.services) < len(services) or len(self.operations) < len(operations):
            raise OptionError("a service or an operation stands twice in the lists; every name once")
        self.entries = tuple(o for o in operations if o.weight > 0)
        for operation in operations:
            self._check(operation)
        if not self.entries:
            raise OptionError("no operation has a weight, so no request would start anywhere; give one weight=1")

    def _check(self, operation: Operation) -> None:
        service = self.services.get(operation.service)
        if service is None:
            raise OptionError(
                f"operation {operation.key!r}: no service {operation.service!r}{near(operation.service, self.services)}"
            )
        if service.is_leaf and (operation.calls or operation.weight):
            raise OptionError(f"operation {operation.key!r}: a {service.kind} makes no calls and starts no requests")
        if operation.weight and operation.kind != "SERVER":
            raise OptionError(f"operation {operation.key!r}: only a SERVER operation starts requests")
        for call in operation.calls:
            self._check_call(operation, call)

    def _check_call(self, operation: Operation, call: Call) -> None:
        target = self.operations.get(call.to)
        if target is None:
            raise OptionError(
                f"operation {operation.key!r} calls {call.to!r}, which there is not{near(call.to, self.operations)}"
            )
        leaf = self.services[target.service].is_leaf if target.service in self.services else False
        if not leaf and (target.kind == "CONSUMER") != (call.mode == "async"):
            raise OptionError(f"{operation.key!r} calls {call.to!r}: mode='async' and kind='CONSUMER' belong together")
        if not leaf and target.kind == "INTERNAL" and target.service != operation.service:
            raise OptionError(f"{operation.key!r} calls {call.to!r}, an INTERNAL operation of another service")
        if call.mode == "async" and leaf:
            raise OptionError(
                f"{operation.key!r} calls {call.to!r}: a {self.services[target.service].kind} consumes no messages"
            )

    def matching(self, target: str) -> tuple[Operation, ...]:
        """Return the operations that ``target`` names: a service's, or one by its key."""
        return tuple(o for o in self.operations.values() if target in (o.service, o.key))

    def expect(self, option: str, target: str) -> None:
        """Raise unless ``target`` is a service or the key of an operation."""
        if not self.matching(target):
            known = (*self.services, *self.operations)
            raise OptionError(f"{option}={target!r} is no service and no operation of the shop{near(target, known)}")
