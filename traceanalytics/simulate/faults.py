"""What can go wrong, as small frozen dataclasses: handed to ``Shop.run(faults=[...])``.

``operation`` takes the key of an operation (``"product GET /products/{id}"``) or a service, which means all of its operations.
``edge`` takes such a pair, caller and callee. ``share`` is the share of the requests that a fault may touch and ``between`` the
part of the run (0 to 1) in which it may; a fault touches every call that it names in such a request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from traceanalytics.errors import OptionError, check_option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "KINDS",
    "CancelledSiblings",
    "ClockSkew",
    "CpuContention",
    "DroppedHeaders",
    "EarlyReturn",
    "ErrorRate",
    "FastFailures",
    "Fault",
    "HandledError",
    "NPlusOne",
    "NetworkDelay",
    "RetriesExhausted",
    "RetriesRecovered",
    "SequentialCalls",
    "SilentService",
    "SlowOperation",
    "Timeout",
]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What all faults have: the share of the requests, and the part of the run."""

    share: float = 1.0
    between: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        low, high = self.between
        if not (0 <= self.share <= 1 and 0 <= low <= high <= 1):
            raise OptionError(f"{self!r}: share and between lie between 0 and 1")
        for name in ("ms", "deadline_ms", "slow_ms", "backoff_ms", "gap_ms"):
            if getattr(self, name, 0) < 0 and not isinstance(self, ClockSkew):
                raise OptionError(f"{self!r}: {name} is not negative")
        edge = getattr(self, "edge", ("", ""))
        if isinstance(edge, str) or len(edge) != 2:
            raise OptionError(f"{self!r}: edge is a pair, caller and callee")
        self._check()

    def _check(self) -> None:
        """Refuse values that only this fault knows to be wrong."""

    def coin(self, toss: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which requests are touched, by their random numbers and their places in the run (0 to 1)."""
        low, high = self.between
        touched: NDArray[np.bool_] = (toss < self.share) & (at >= low) & (at <= high)
        return touched

    def named(self) -> dict[str, str | None]:
        """Return service and operation that are to blame, for the table of faults."""
        edge = getattr(self, "edge", None)
        target: str = edge[1] if edge is not None else getattr(self, "operation", getattr(self, "service", ""))
        service, _, name = target.partition(" ")
        return {"service": service, "operation": name or None, "caller": edge[0] if edge is not None else None}


@dataclass(frozen=True)
class SlowOperation(Fault):
    """The operation spends ``ms`` more in itself, before its first call."""

    operation: str
    ms: float = 200.0


@dataclass(frozen=True)
class NetworkDelay(Fault):
    """The network of one side of an edge delays by ``ms``: every answer of the callee, or every call of the caller.

    ``side="callee"``: the gap of every call to the callee, whoever makes it; ``side="caller"``: the gap of every call that
    the caller makes, and its calls to databases. The edge says which two, the side which of them is the culprit.
    """

    edge: tuple[str, str]
    ms: float = 200.0
    side: str = "callee"

    def _check(self) -> None:
        check_option("side", self.side, ("caller", "callee"))

    def named(self) -> dict[str, str | None]:
        """Return the culprit's service."""
        culprit = self.edge[0] if self.side == "caller" else self.edge[1]
        return {"service": culprit.partition(" ")[0], "operation": None, "caller": self.edge[0]}


@dataclass(frozen=True)
class CpuContention(Fault):
    """Everything that the service computes takes ``factor`` times as long, and calls wait ``gap_ms`` to be accepted."""

    service: str
    factor: float = 8.0
    gap_ms: float = 45.0

    def _check(self) -> None:
        if self.factor < 1:
            raise OptionError(f"{self!r}: factor is at least 1")


@dataclass(frozen=True)
class ErrorRate(Fault):
    """The operation fails with an exception before its first call; so do its callers, unless a call's failure is ignored."""

    operation: str
    exception: str = "IllegalStateException"


@dataclass(frozen=True)
class _Retries(Fault):
    edge: tuple[str, str]
    attempts: int = 3
    form: str = "siblings"
    backoff_ms: float = 20.0

    def _check(self) -> None:
        check_option("form", self.form, ("siblings", "events", "attributes"))
        if not 2 <= self.attempts <= 20:
            raise OptionError(f"{self!r}: attempts lie between 2 and 20")


@dataclass(frozen=True)
class RetriesExhausted(_Retries):
    """All attempts of the call fail. See :class:`RetriesRecovered` for the forms."""


@dataclass(frozen=True)
class RetriesRecovered(_Retries):
    """All attempts of the call fail but the last.

    ``form="siblings"``: a CLIENT span an attempt. Else one CLIENT span for all, whose failed attempts nobody accepted, with an
    event "retry" an attempt ("events"), or with ``http.request.resend_count`` = attempts - 1 ("attributes"). The back-off
    doubles.
    """


@dataclass(frozen=True)
class HandledError(Fault):
    """The call fails, and the caller falls back on something else (``fallback``: an INTERNAL span of that name) and succeeds."""

    edge: tuple[str, str]
    fallback: str = "use default"


@dataclass(frozen=True)
class Timeout(Fault):
    """The caller gives up after ``deadline_ms``, while the callee, slower by ``slow_ms``, works on to its end."""

    edge: tuple[str, str]
    deadline_ms: float = 100.0
    slow_ms: float = 400.0

    def _check(self) -> None:
        if self.slow_ms < self.deadline_ms:
            raise OptionError(
                f"{self!r}: slow_ms is at least deadline_ms, else not every call would run into its deadline"
            )


@dataclass(frozen=True)
class CancelledSiblings(Fault):
    """One of several parallel calls fails early, and the caller cancels those that still run. The first one of the edge fails."""

    edge: tuple[str, str]


@dataclass(frozen=True)
class NPlusOne(Fault):
    """The call is made ``count`` times."""

    edge: tuple[str, str]
    count: int = 12

    def _check(self) -> None:
        if not 2 <= self.count <= 1000:
            raise OptionError(f"{self!r}: count lies between 2 and 1000")


@dataclass(frozen=True)
class SequentialCalls(Fault):
    """The operation makes its parallel calls one after the other."""

    operation: str


@dataclass(frozen=True)
class DroppedHeaders(Fault):
    """The callee does not see the caller's headers: its span starts a new trace."""

    edge: tuple[str, str]


@dataclass(frozen=True)
class ClockSkew(Fault):
    """The clocks of the service's hosts are ``ms`` fast (negative: slow)."""

    service: str
    ms: float = 50.0


@dataclass(frozen=True)
class EarlyReturn(Fault):
    """The operation returns at once, without an error and without its calls; it takes a twentieth of its own time."""

    operation: str


@dataclass(frozen=True)
class SilentService(Fault):
    """The service works, but none of its spans arrives: those below it are orphans."""

    service: str


@dataclass(frozen=True)
class FastFailures(Fault):
    """An operation that users ask for fails at once, and as they try again, ``traffic`` times as many requests come."""

    operation: str
    traffic: float = 7.0

    def _check(self) -> None:
        if self.traffic < 1:
            raise OptionError(f"{self!r}: traffic is at least 1")


KINDS: tuple[type[Fault], ...] = (
    SlowOperation,
    NetworkDelay,
    CpuContention,
    ErrorRate,
    RetriesExhausted,
    RetriesRecovered,
    HandledError,
    Timeout,
    CancelledSiblings,
    NPlusOne,
    SequentialCalls,
    DroppedHeaders,
    ClockSkew,
    EarlyReturn,
    SilentService,
    FastFailures,
)
