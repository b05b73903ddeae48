"""Numbers that a caller gives: one check, one wording, for planning and storage."""

from __future__ import annotations

import math
from numbers import Real
from typing import Final

from traceanalytics.errors import OptionError

__all__ = ["MOST", "given_number", "given_whole"]

MOST: Final = 1e15
"""No size, rate or count is allowed to be larger: products of several stay finite, and whole numbers exact."""


def given_number(name: str, value: object, allowed: str) -> float:
    """Return a caller's number as a float, or say what was allowed.

    Parameters
    ----------
    name
        The argument's name, for the message.
    value
        What the caller gave. Booleans are no numbers here: True as a rate is a mistake, not 100 %.
    allowed
        An interval in the usual notation: ``"(0, 1]"`` leaves 0 out and lets 1 in.

    Returns
    -------
    float
        The number.

    Raises
    ------
    OptionError
        It is no number, or not within the interval; NaN and infinity never are.

    Examples
    --------
    >>> given_number("p", 0.25, "(0, 1]")
    0.25
    >>> given_number("p", 0, "(0, 1]")
    Traceback (most recent call last):
        ...
    traceanalytics.errors.OptionError: p=0 is not a number in (0, 1]
    """
    low, high = (float(end) for end in allowed[1:-1].split(","))
    number = _as_float(value)
    # NaN is on no side of anything.
    above = low < number if allowed[0] == "(" else low <= number
    below = number < high if allowed[-1] == ")" else number <= high
    if not (above and below):
        raise OptionError(f"{name}={_shown(value)} is not a number in {allowed}")
    return number


def given_whole(name: str, value: object, least: int) -> int:
    """Return a caller's whole number (2 and 2.0, not 2.5), or say what was allowed.

    >>> given_whole("events", 3.0, 0)
    3
    >>> given_whole("events", 2.5, 0)
    Traceback (most recent call last):
        ...
    traceanalytics.errors.OptionError: events=2.5 is not a whole number in [0, 1e+15]
    """
    allowed = f"[{least}, {MOST:g}]"
    try:
        number = given_number(name, value, allowed)
    except OptionError:
        number = math.nan
    if not number.is_integer():
        raise OptionError(f"{name}={_shown(value)} is not a whole number in {allowed}")
    return int(number)


def _shown(value: object) -> str:
    """Return the value as the message shows it: NumPy scalars as plain numbers, long texts cut."""
    try:
        text = str(value) if isinstance(value, Real) else repr(value)
    except ValueError:  # Python writes out no whole number of more than 4,300 digits
        text = f"<{type(value).__name__} of thousands of digits>"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _as_float(value: object) -> float:
    """Return the value as a float: infinity where it is too large for one, NaN where it is no number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf
