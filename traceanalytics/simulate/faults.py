"""What can go wrong, as small frozen dataclasses: handed to ``Shop.run(faults=[...])``.

``operation`` takes the key of an operation (``"product GET /products/{id}"``) or a service, which means all of its operations.
``edge`` takes such a pair, caller and callee. ``share`` is the share of the requests that a fault may touch; a fault touches
every call that it names in such a request.

When it may: ``between`` is a part of the run (0 to 1); ``start_s`` and ``duration_s`` are an incident in seconds after the
beginning of the run (without a duration: to its end). Real faults outlast their end: after it, the fault fades over ``fade_s``
seconds, evenly from all of its strength to none. What adds time or shifts clocks (``SlowOperation``, ``NetworkDelay``,
``CpuContention``, ``ClockSkew``) becomes weaker request by request, everything else rarer.

>>> from traceanalytics.simulate import CpuContention, Shop
>>> busy = CpuContention("product", start_s=60, duration_s=120, fade_s=150)
>>> spans, truth = Shop(seed=1).run(400, rate=1, faults=[busy])
>>> touched = truth.requests.loc[truth.requests["added_ms"] > 0, "begin"]
>>> (touched.min() - truth.faults["begin"][0]).total_seconds() < 10, touched.max() < truth.faults["faded"][0]
(True, True)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from traceanalytics.errors import OptionError, check_option

if TYPE_CHECKING:
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
    """What all faults have: the share of the requests, and when it is."""

    share: float = 1.0
    between: tuple[float, float] = (0.0, 1.0)
    start_s: float | None = None
    duration_s: float | None = None
    fade_s: float = 0.0

    weakens: ClassVar[bool] = False
    """Whether it fades by less strength in each request, not by fewer requests."""

    def __post_init__(self) -> None:
        low, high = self.between
        times = (self.start_s or 0.0, self.duration_s or 0.0, self.fade_s)
        if not all(0 <= seconds < np.inf for seconds in times):
            raise OptionError(f"{self!r}: start_s, duration_s and fade_s are numbers of seconds, not negative")
        if self.in_seconds and (low, high) != (0, 1):
            raise OptionError(f"{self!r}: give either between, or start_s and duration_s")
        if not (0 <= self.share <= 1 and 0 <= low <= high <= 1):
            raise OptionError(f"{self!r}: share and between lie between 0 and 1")
        for name in ("ms", "deadline_ms", "slow_ms", "backoff_ms", "gap_ms", "least_ms"):
            if getattr(self, name, 0) < 0 and not isinstance(self, ClockSkew):
                raise OptionError(f"{self!r}: {name} is not negative")
        edge = getattr(self, "edge", ("", ""))
        if isinstance(edge, str) or len(edge) != 2:
            raise OptionError(f"{self!r}: edge is a pair, caller and callee")
        self._check()

    def _check(self) -> None:
        """Refuse values that only this fault knows to be wrong."""

    @property
    def in_seconds(self) -> bool:
        """Whether it is an incident at a time, not in a part of the run."""
        return self.start_s is not None or self.duration_s is not None

    def window(self, length_s: float) -> tuple[float, float, float]:
        """Return begin, end, and end of fading, in parts of a run that lasts so long."""
        low, high = self.between
        if self.in_seconds:
            low = (self.start_s or 0.0) / length_s
            high = 1.0 if self.duration_s is None else low + self.duration_s / length_s
        return low, high, high + self.fade_s / length_s

    def strength(self, at: NDArray[np.float64], length_s: float) -> NDArray[np.float64]:
        """Return how strong it is, 0 to 1, at places in the run (0 to 1)."""
        low, high, faded = self.window(length_s)
        inside = ((at >= low) & (at <= high)).astype(np.float64)
        if faded <= high:
            return inside
        fading: NDArray[np.float64] = np.where(at > high, np.clip((faded - at) / (faded - high), 0.0, 1.0), inside)
        return fading

    def coin(self, toss: NDArray[np.float64], strength: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which requests are touched, by their random numbers and the strength at their time."""
        touched: NDArray[np.bool_] = toss < self.share * (strength > 0 if self.weakens else strength)
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
    weakens: ClassVar[bool] = True


@dataclass(frozen=True)
class NetworkDelay(Fault):
    """The network of one side of an edge delays by ``ms``: every answer of the callee, or every call of the caller.

    ``side="callee"``: the gap of every call to the callee, whoever makes it; ``side="caller"``: the gap of every call that
    the caller makes, and its calls to databases. The edge says which two, the side which of them is the culprit.
    """

    edge: tuple[str, str]
    ms: float = 200.0
    side: str = "callee"
    weakens: ClassVar[bool] = True

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
    weakens: ClassVar[bool] = True

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
    """The call is made ``count`` times, and each time the callee needs at least ``least_ms``.

    Why the floor: a loop over a cache of a fraction of a millisecond is bad manners that nobody notices. With five calls or
    more and the default, what a user waits for lasts at least the 10 ms from which ``ta.n_plus_one`` reports it. Where nobody
    waits (below a consumer of messages, or beside a slower call), calls in a loop are no less in the truth, and ``ta.n_plus_one`` shows them
    with ``min_ms=0, min_share=0``.
    """

    edge: tuple[str, str]
    count: int = 12
    least_ms: float = 2.0

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
    weakens: ClassVar[bool] = True


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
