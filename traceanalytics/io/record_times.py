"""Instants and durations of span records, exact to the nanosecond; what could mean two things is refused."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol

from traceanalytics.errors import FormatError
from traceanalytics.io.values import shown

if TYPE_CHECKING:
    from traceanalytics.io.reading import Reading

__all__ = ["interval", "time_ns"]

_ISO: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d+))?\s*(Z|z|[+-]\d\d(?::?\d\d)?)?\Z")
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_SURELY_NS: Final = 10**17  # in nanoseconds 1973; in microseconds the year 5138
_DISAGREE_NS: Final = 1_000_000


class Times(Protocol):
    """The time fields of a record."""

    start_time: Any
    end_time: Any
    start_ns: int | None
    end_ns: int | None
    duration_ms: float | None
    duration_ns: int | None


def time_ns(value: Any, what: str) -> int | None:
    """Return epoch nanoseconds of an ISO 8601 text with a zone, an aware datetime, or a number that can only be nanoseconds."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return _iso_ns(value.strip(), what)
    if isinstance(value, dt.datetime):
        return _datetime_ns(value, what)
    if type(value) is int and value >= _SURELY_NS:
        return value
    raise FormatError(
        f"{what}: found {shown(value)}, expected a time in ISO 8601 with a zone, such as 2026-05-14T14:23:45.123456Z",
        hint="Numbers are taken as start_ns and end_ns, nanoseconds since 1970; for other units use ta.conform(frame, columns={'start': 'start_ms'})",
    )


def _iso_ns(text: str, what: str) -> int:
    found = _ISO.match(text)
    if not found and text.isdecimal():
        return time_ns(int(text), what) or 0
    if not found:
        raise FormatError(
            f"{what}: found {shown(text)}, expected a time in ISO 8601 with a zone, such as 2026-05-14T14:23:45.123456Z"
        )
    day, clock, fraction, zone = found.groups()
    if zone is None:
        raise FormatError(f"{what}: {shown(text)} has no time zone", hint="Append Z if it is UTC")
    zone = "+00:00" if zone in "Zz" else zone
    try:
        instant = dt.datetime.fromisoformat(f"{day}T{clock}{zone}")
    except ValueError as error:
        raise FormatError(f"{what}: {shown(text)} is no time ({error})") from None
    return _seconds(instant - _EPOCH) * 1_000_000_000 + int((fraction or "0")[:9].ljust(9, "0"))


def _datetime_ns(value: dt.datetime, what: str) -> int:
    if value.tzinfo is None:
        raise FormatError(
            f"{what}: {value.isoformat()} has no time zone", hint="Use value.replace(tzinfo=datetime.UTC) if it is UTC"
        )
    exact = getattr(value, "value", None)  # pandas.Timestamp, which has nanoseconds, where datetime has microseconds
    unit = getattr(value, "unit", "ns")
    if isinstance(exact, int):
        return int(value.as_unit("ns").value) if unit != "ns" else exact  # type: ignore[attr-defined]
    since = value - _EPOCH
    return _seconds(since) * 1_000_000_000 + since.microseconds * 1_000


def _seconds(since: dt.timedelta) -> int:
    return since.days * 86_400 + since.seconds


def interval(record: Times, reading: Reading, span_id: str | None) -> tuple[int | None, int | None]:
    """Return start and duration in nanoseconds; where a duration contradicts the times, the times count, and that is noted."""
    what = f"span {shown(span_id)}"
    start = record.start_ns if record.start_ns is not None else time_ns(record.start_time, f"{what}: start_time")
    end = record.end_ns if record.end_ns is not None else time_ns(record.end_time, f"{what}: end_time")
    given = _given_duration(record, what)
    if start is not None and end is not None:
        if given is not None and abs(given - (end - start)) > _DISAGREE_NS:
            reading.note(
                "duration that contradicts start and end, which are kept",
                what,
                f"{given / 1e6:g} ms, not {(end - start) / 1e6:g} ms",
            )
        return start, end - start
    if start is None and end is not None and given is not None:
        start = end - given
    return start, given


def _given_duration(record: Times, what: str) -> int | None:
    if record.duration_ns is not None:
        return record.duration_ns
    if record.duration_ms is None:
        return None
    try:
        return int((Decimal(repr(record.duration_ms)) * 1_000_000).to_integral_value())
    except ArithmeticError:
        raise FormatError(
            f"{what}: duration_ms is {shown(record.duration_ms)}, expected a number of milliseconds"
        ) from None
    except (ValueError, OverflowError):
        raise FormatError(f"{what}: duration_ms is {shown(record.duration_ms)}, expected a finite number") from None
