"""How spans and requests fail, and the arrays in which it is carried from call to caller; one entry a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "CANCELLED",
    "CAUSE",
    "CAUSES",
    "DECOY",
    "ERROR",
    "HANDLED",
    "NOT_FOUND",
    "REFUSED",
    "ROLES",
    "SLOW",
    "SYMPTOM",
    "TIMEOUT",
    "UNAVAILABLE",
    "UPSTREAM",
    "Force",
    "Group",
    "Outcome",
]

ERROR: Final = 1
UNAVAILABLE: Final = 2
TIMEOUT: Final = 3
CANCELLED: Final = 4
UPSTREAM: Final = 5
NOT_FOUND: Final = 6
REFUSED: Final = 7
SLOW: Final = 8
"""No failure of a span, but the reason for one of its caller's."""

CAUSE: Final = 1
SYMPTOM: Final = 2
HANDLED: Final = 3
DECOY: Final = 4
ROLES: Final = ("", "cause", "symptom", "handled", "decoy")

CAUSES: Final = ("error", "timeout", "cancellation", "slow")
"""The words that ``attribute_errors`` uses for causes."""


@dataclass
class Outcome:
    """What a caller learns of a call: when it ended, whether it failed, which span of the template is to blame, by which fault."""

    end: NDArray[np.int64]
    failed: NDArray[np.bool_]
    blame: NDArray[np.int32]
    blame_class: NDArray[np.int8]
    fault: NDArray[np.int16]

    @classmethod
    def none(cls, count: int) -> Outcome:
        """Return the outcome of nothing."""
        return cls(
            np.zeros(count, np.int64),
            np.zeros(count, bool),
            np.full(count, -1, np.int32),
            np.zeros(count, np.int8),
            np.full(count, -1, np.int16),
        )

    def fail(self, mask: NDArray[np.bool_], blame: int, blame_class: int, fault: NDArray[np.int16] | int) -> None:
        """Set the failure of some requests."""
        self.failed = self.failed | mask
        self.blame = np.where(mask, np.int32(blame), self.blame)
        self.blame_class = np.where(mask, np.int8(blame_class), self.blame_class)
        self.fault = np.where(mask, np.asarray(fault, np.int16), self.fault)

    def take(self, other: Outcome, mask: NDArray[np.bool_]) -> None:
        """Take over the failure of another outcome, not its end."""
        self.failed = np.where(mask, other.failed, self.failed)
        self.blame = np.where(mask, other.blame, self.blame)
        self.blame_class = np.where(mask, other.blame_class, self.blame_class)
        self.fault = np.where(mask, other.fault, self.fault)


@dataclass
class Force:
    """What befalls an operation from outside: delays, failures, haste."""

    delay: NDArray[np.int64]
    failure: NDArray[np.int8]
    fault: NDArray[np.int16]
    quick: NDArray[np.bool_]
    fast: NDArray[np.bool_]
    not_found: NDArray[np.bool_]
    least: NDArray[np.int64] | None = None
    """Nanoseconds that the operation itself takes at least."""

    @classmethod
    def none(cls, count: int) -> Force:
        """Return no force at all."""
        return cls(
            np.zeros(count, np.int64),
            np.zeros(count, np.int8),
            np.full(count, -1, np.int16),
            *(np.zeros(count, bool) for _ in range(3)),
        )

    def copy(self) -> Force:
        """Return a copy whose arrays may be changed."""
        return Force(
            self.delay.copy(),
            self.failure.copy(),
            self.fault.copy(),
            self.quick.copy(),
            self.fast.copy(),
            self.not_found.copy(),
            self.least,
        )

    def fail(self, mask: NDArray[np.bool_], failure: int, fault: int) -> None:
        """Make the operation fail in some requests."""
        self.failure[mask] = failure
        self.fault[mask] = fault


@dataclass
class Group:
    """Spans (numbers of the template) that belong together in some requests; without a fault it is a decoy."""

    kind: str
    members: list[int]
    mask: NDArray[np.bool_]
    fault: int = -1
    form: str = ""
    attempts: int = 0
