"""Numbers to set by hand in a lab: what a slider stops at, which numbers are allowed, how they are written."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from traceanalytics.errors import check_option
from traceanalytics.sampling.given_numbers import MOST, given_number, given_whole
from traceanalytics.widgets.base import Checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from traceanalytics.widgets.base import TraceWidget

__all__ = ["Control", "choice_trait", "decades", "stored"]

_MANTISSAS: Final = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)


def decades(low: float, high: float, *, whole: bool = False) -> tuple[float, ...]:
    """Return round numbers between two limits, ten to a power of ten, for a slider on a scale of logarithms.

    >>> decades(1, 12, whole=True)
    (1, 2, 3, 4, 5, 6, 8, 10, 12)
    """
    found = [
        float(f"{mantissa}e{power}")
        for power in range(-9, 16)
        for mantissa in _MANTISSAS
        if low * (1 - 1e-9) <= mantissa * 10.0**power <= high * (1 + 1e-9)
    ]
    return tuple(int(stop) for stop in found if stop.is_integer()) if whole else tuple(map(stored, found))


def stored(value: Any) -> float:
    """Return a number as a trait holds it: whole ones as they come, so that a browser's own number is sent back to nobody.

    >>> stored(2), stored(2.0), stored(0.5)
    (2, 2, 0.5)
    """
    number = int(value) if isinstance(value, Integral) else float(value)
    return int(number) if float(number).is_integer() else number


class Control(NamedTuple):
    """One number of a lab: its name as an option, its words, its slider."""

    name: str
    label: str
    unit: str
    group: str
    stops: Sequence[float]
    """What the slider stops at; the box beside it takes what lies between."""
    allowed: str = f"[0, {MOST:g}]"
    """Interval of numbers, as in messages."""
    percent: bool = False
    """Written as per cent."""
    whole: bool = False
    none: bool = False
    """Nothing is allowed too."""
    hint: str = ""

    def check(self, value: Any) -> float | None:
        """Return a number to hold, or say what is allowed."""
        if value is None and self.none:
            return None
        if self.whole:
            return given_whole(self.name, value, int(float(self.allowed[1:].split(",")[0])))
        given_number(self.name, value, self.allowed)
        return stored(value)

    def trait(self, default: float | None) -> Checked:
        """Return a trait that holds such a number."""

        def check(_: TraceWidget, value: Any) -> float | None:
            return self.check(value)

        return Checked(check, default)

    def told(self) -> dict[str, Any]:
        """Return what a browser needs to build the slider."""
        low, high = (float(end) for end in self.allowed[1:-1].split(","))
        return self._asdict() | {
            "stops": list(self.stops),
            "low": low,
            "high": high,
            "open_low": self.allowed[0] == "(",
        }


def choice_trait(name: str, allowed: tuple[Any, ...], default: Any) -> Checked:
    """Return a trait that holds one of a few values."""

    def check(_: TraceWidget, value: Any) -> Any:
        check_option(name, value, allowed)
        return bool(value) if isinstance(default, bool) else value

    return Checked(check, default)
