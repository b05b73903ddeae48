"""Starts, ends and durations of a foreign frame as int64 nanoseconds; epoch numbers never pass through a float."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from traceanalytics.errors import FormatError
from traceanalytics.spans.columns import NAT
from traceanalytics.spans.conversion import refuse
from traceanalytics.spans.recognition import NANOSECONDS
from traceanalytics.spans.values import INT64_MAX, check_int64

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["duration_in_ms", "epoch_ns", "instant_ns"]

_ZONE: Final = re.compile(r"(?:[Zz]|[+-]\d\d(?::?\d\d)?)\Z")
_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?\Z")
_YEARS: Final = "an instant of the years 1677 to 2262"
_ONE_PER_FLOAT: Final = 2.0**53


def instant_ns(column: pd.Series, stem: str) -> NDArray[np.int64]:
    """Return instants with a time zone as epoch nanoseconds; :data:`NAT` where missing."""
    if column.isna().all():
        return np.full(len(column), NAT)
    dtype = column.dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        return _ns_of(column)
    if dtype.kind == "M":
        refuse(
            column,
            column.notna(),
            f"an instant with a time zone: these are naive. If they are UTC, pass frame.assign({_keyword(column)}=frame[{column.name!r}].dt.tz_localize('UTC'))",
        )
    if dtype.kind in "iufb" or dtype.kind == "m":
        _refuse_unitless(column, stem)
    return _parsed(column, stem)


def _keyword(column: pd.Series) -> str:
    return str(column.name) if str(column.name).isidentifier() else "start_time"


def _refuse_unitless(column: pd.Series, stem: str) -> None:
    refuse(
        column,
        column.notna(),
        f"an instant with a time zone. If these are numbers since 1970, say in which unit: columns={{{column.name!r}: '{stem}_ns'}}, or _us, _ms, _s",
    )


def _ns_of(column: pd.Series) -> NDArray[np.int64]:
    try:
        return np.array(column.dt.as_unit("ns").array.asi8, dtype=np.int64)
    except pd.errors.OutOfBoundsDatetime:
        limits = pd.Timestamp.min.tz_localize("UTC").as_unit("s"), pd.Timestamp.max.tz_localize("UTC").as_unit("s")
        refuse(column, ~column.between(*limits) & column.notna(), _YEARS)


def _parsed(column: pd.Series, stem: str) -> NDArray[np.int64]:
    """Return instants of texts and of Python's and pandas' objects; each different one is looked at once."""
    codes, words = pd.factorize(column.astype(object))
    found = np.full(len(words) + 1, NAT)  # the last one serves the code -1
    for at, word in enumerate(words):
        if isinstance(word, str):
            text = word.strip()
            if not text:
                continue
            if _NUMBER.match(text):
                _refuse_unitless(column[codes == at], stem)
            if not _ZONE.search(text) or ":" not in text:
                refuse(
                    column,
                    codes == at,
                    "an instant with a time zone, such as 2026-05-14T14:23:45.012Z; add Z or +00:00 if it is UTC",
                )
        elif not isinstance(word, datetime | np.datetime64):
            _refuse_unitless(column[codes == at], stem)
        elif getattr(word, "tzinfo", None) is None:
            refuse(
                column,
                codes == at,
                "an instant with a time zone: this one is naive; if it is UTC, use tz_localize('UTC')",
            )
        try:
            found[at] = pd.Timestamp(word).tz_convert("UTC").as_unit("ns").value
        except (pd.errors.OutOfBoundsDatetime, OverflowError):
            refuse(column, codes == at, _YEARS)
        except ValueError:
            refuse(column, codes == at, "an instant such as 2026-05-14T14:23:45.012Z")
    return found[codes]


def epoch_ns(column: pd.Series, unit: str) -> NDArray[np.int64]:
    """Return numbers since 1970 as epoch nanoseconds, exactly; :data:`NAT` where missing."""
    factor = NANOSECONDS[unit]
    missing = column.isna().to_numpy(bool)
    if missing.all():
        return np.full(len(column), NAT)
    if pd.api.types.is_float_dtype(column.dtype):
        return _of_floats(column, missing, factor, unit)
    if pd.api.types.is_integer_dtype(column.dtype):
        raw = column.astype("UInt64" if column.dtype.kind == "u" else "Int64").fillna(0).to_numpy()
        if raw.dtype.kind == "u" and (raw > INT64_MAX).any():
            refuse(column, raw > INT64_MAX, f"{_YEARS}, in {unit}")
        numbers = raw.astype(np.int64)
    else:
        numbers = _whole_numbers(column, unit)
    limit = INT64_MAX // factor
    beyond = (numbers > limit) | (numbers < -limit)
    if beyond.any():
        refuse(column, beyond, f"{_YEARS}, in {unit}: is this another unit?")
    return np.where(missing, NAT, numbers * factor)


def _whole_numbers(column: pd.Series, unit: str) -> NDArray[np.int64]:
    codes, words = pd.factorize(column.astype(object))
    numbers = np.zeros(len(words) + 1, np.int64)  # the last one serves the code -1
    for at, word in enumerate(words):
        try:
            numbers[at] = check_int64(word.item() if isinstance(word, np.generic) else word, "")
        except FormatError:
            refuse(column, codes == at, f"a whole number of {unit} since 1970, of at most 64 bits")
    return numbers[codes]


def _of_floats(column: pd.Series, missing: NDArray[np.bool_], factor: int, unit: str) -> NDArray[np.int64]:
    values = np.where(missing, 0.0, column.to_numpy("float64", na_value=np.nan))
    if factor == 1 and (np.abs(values) >= _ONE_PER_FLOAT).any():
        refuse(
            column,
            np.abs(values) >= _ONE_PER_FLOAT,
            "integers: float64 has lost nanoseconds of epoch numbers. Read the column as Int64, or as text",
        )
    beyond = ~(np.abs(values) < INT64_MAX / factor)
    if beyond.any():
        refuse(column, beyond, f"{_YEARS}, in {unit}: is this another unit?")
    whole = np.floor(values)
    rest = np.rint((values - whole) * factor).astype(np.int64)
    return np.where(missing, NAT, whole.astype(np.int64) * factor + rest)


def duration_in_ms(column: pd.Series, unit: str | None) -> NDArray[np.float64]:
    """Return durations in milliseconds; NaN where missing. Without a unit only timedeltas are accepted."""
    if column.dtype.kind == "m":
        ns = column.dt.as_unit("ns").array.asi8
        return np.where(ns == NAT, np.nan, ns / 1e6)
    missing = column.isna().to_numpy(bool)
    if missing.all():
        return np.full(len(column), np.nan)
    if unit is None:
        refuse(
            column,
            ~missing,
            f"a timedelta. If these are numbers, say in which unit: columns={{{column.name!r}: 'duration_ms'}}, or _ns, _us, _s",
        )
    numbers: Any = column
    if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        missing = missing | (column == "").to_numpy(bool, na_value=False)
        numbers = pd.to_numeric(column.astype("str"), errors="coerce")
    values = np.asarray(numbers.to_numpy("float64", na_value=np.nan))
    bad = ~missing & ~np.isfinite(values)
    if bad.any():
        refuse(column, bad, f"a number of {unit}")
    return values * 1e3 if unit == "s" else values / (1e6 / NANOSECONDS[unit])
