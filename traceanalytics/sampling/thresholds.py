"""Thresholds, probabilities and randomness of OpenTelemetry's consistent probability sampling.

A trace has 56 random bits R (its ``rv``, or the low 56 bits of its id), a sampler a threshold T of 56 bits; the trace is kept
when R >= T. So p = (2**56 - T) / 2**56, and every kept trace stands for 1 / p traces. T is written as ``th``: its 14 lower-case
hex digits without the trailing zeros.
"""

from __future__ import annotations

import math
import re
from typing import Final

import numpy as np

from traceanalytics.errors import OptionError

__all__ = [
    "DIGITS",
    "SCALE",
    "adjusted_count",
    "decide",
    "normalise_th",
    "probability",
    "randomness",
    "th_fault",
    "threshold",
    "threshold_number",
    "threshold_text",
]

DIGITS: Final = 14
"""Hex digits of a full threshold and of an ``rv``."""

SCALE: Final = 1 << 56
"""One more than the largest threshold."""

_HEX: Final = re.compile("[0-9a-f]+")
_EXACT_HALVES: Final = 2.0**52
"""From here on a float64 has no fraction."""


def threshold(p: float, *, precision: int | None = None) -> int:
    """Return the threshold T that keeps a share ``p`` of the traces.

    Parameters
    ----------
    p
        A probability, from 2**-56 to 1. "Never" is no probability and has no threshold.
    precision
        Hex digits of ``th``, 1 to 14; leading digits f, or 0 for a ``p`` near 1, do not count, so that the relative error of a
        small ``p`` (and of a small 1 - ``p``) stays alike. None: all 14.

    Returns
    -------
    int
        From 0 (keeps everything) to 2**56 - 1.

    Raises
    ------
    OptionError
        ``p`` or ``precision`` is out of range.

    Notes
    -----
    The rounding is the OpenTelemetry collector's (``pkg/sampling``). The snippet in the specification gives texts near
    ``p`` = 1 that decode to other probabilities, or to none.

    Examples
    --------
    >>> threshold_text(threshold(0.25)), threshold_text(threshold(0.01, precision=4))
    ('c', 'fd70a')
    """
    if not (_is_number(p) and 1 / SCALE <= p <= 1):
        raise OptionError(f"p={p!r} is no probability of sampling: expected a number from 2**-56 to 1")
    if precision is not None and not (_is_whole(precision) and 1 <= precision <= DIGITS):
        raise OptionError(
            f"precision={precision!r} is no number of hex digits: expected 1 to {DIGITS}, or None for all"
        )
    p = float(p)
    value = SCALE - _rounded(p * SCALE)
    if precision is None or value == 0:
        return value
    skipped = max(_leading(p), _leading(1 - p))
    shift = 4 * (DIGITS - min(DIGITS, precision + skipped))
    return (value + (1 << shift >> 1)) >> shift << shift


def _rounded(x: float) -> int:
    """Round half up; Python's round would go to the even neighbour."""
    return math.floor(x + 0.5) if x < _EXACT_HALVES else int(x)


def _leading(x: float) -> int:
    """Return how many hex digits of x (below 1) after the point are zeros."""
    return max(0, -math.frexp(x)[1] // 4) if x else 0


def threshold_text(value: int) -> str:
    """Return the ``th`` of a threshold: no trailing zeros, "0" for the threshold that keeps everything.

    Raises
    ------
    OptionError
        The threshold is not in 0 to 2**56 - 1.

    Examples
    --------
    >>> threshold_text(0), threshold_text(1 << 55), threshold_text(1)
    ('0', '8', '00000000000001')
    """
    return f"{_checked(value):0{DIGITS}x}".rstrip("0") or "0"


def th_fault(th: str) -> tuple[str, str] | None:
    """Return a code and a reason why the text is no ``th``, or None: it is one.

    Examples
    --------
    >>> th_fault("0x1")
    ('syntax', "th '0x1' is not written in lower-case hex digits")
    """
    if not th:
        return "th_empty", "th has no digits"
    if len(th) > DIGITS:
        return "th_size", f"th {th[:20]!r} has {len(th)} digits, more than {DIGITS}"
    if not _HEX.fullmatch(th):
        return "syntax", f"th {th!r} is not written in lower-case hex digits"
    return None


def normalise_th(th: str) -> str:
    """Return ``th`` without trailing zeros.

    Raises
    ------
    OptionError
        The text is no ``th``: 1 to 14 lower-case hex digits.

    Examples
    --------
    >>> normalise_th("c000"), normalise_th("000")
    ('c', '0')
    """
    return threshold_text(_value(th))


def probability(th: str | int) -> float:
    """Return the probability of a ``th``, or of a threshold given as a number.

    The conversion is exact but for the rounding to float64. It is the probability that was at work, and so to be preferred
    to the one in a configuration: 1 % written with three digits is 0.99945 %.

    Raises
    ------
    OptionError
        The text is no ``th``, or the number is not in 0 to 2**56 - 1.

    Examples
    --------
    >>> probability("c"), probability(0)
    (0.25, 1.0)
    """
    return (SCALE - _value(th)) / SCALE


def adjusted_count(th: str | int) -> float:
    """Return the number of traces that a kept one stands for: 1 / p.

    A trace without ``th`` has none: its probability is not known.

    Raises
    ------
    OptionError
        The text is no ``th``, or the number is not in 0 to 2**56 - 1.

    Examples
    --------
    >>> adjusted_count("c"), adjusted_count("0")
    (4.0, 1.0)
    """
    return SCALE / (SCALE - _value(th))


def randomness(trace_id: str, *, rv: str | None = None) -> int:
    """Return the 56 random bits of a trace: its ``rv`` where it has one, else the low 56 bits of its id.

    Parameters
    ----------
    trace_id
        Lower-case hex digits, at least 14 of them; may be anything when there is an ``rv``.
    rv
        The explicit randomness from tracestate: exactly 14 lower-case hex digits.

    Raises
    ------
    OptionError
        ``rv`` is malformed, or there is none and the id is no hex number of 14 digits or more.

    Examples
    --------
    >>> hex(randomness("4bf92f3577b34da6a3ce929d0e0e4736")), hex(randomness("", rv="00000000000001"))
    ('0xce929d0e0e4736', '0x1')
    """
    if rv is not None:
        if len(rv) != DIGITS or not _HEX.fullmatch(rv):
            raise OptionError(f"rv={rv!r} is no randomness: expected exactly {DIGITS} lower-case hex digits")
        return int(rv, 16)
    if len(trace_id) < DIGITS or not _HEX.fullmatch(trace_id):
        raise OptionError(
            f"trace_id={trace_id!r} has no randomness: expected at least {DIGITS} lower-case hex digits, or an rv"
        )
    return int(trace_id[-DIGITS:], 16)


def decide(randomness: int, threshold: int) -> bool:
    """Tell whether a trace with this randomness is kept by a sampler with this threshold.

    Raises
    ------
    OptionError
        A number is not in 0 to 2**56 - 1.

    Examples
    --------
    >>> decide(0xCE929D0E0E4736, 0xC0000000000000)
    True
    """
    return _checked(randomness, "randomness") >= _checked(threshold)


def _value(th: str | int) -> int:
    if not isinstance(th, str):
        return _checked(th)
    fault = th_fault(th)
    if fault is not None:
        raise OptionError(
            f"{fault[1]}; expected 1 to {DIGITS} of them" if th else f"{fault[1]}: expected 1 to {DIGITS}"
        )
    return threshold_number(th)


def threshold_number(th: str) -> int:
    """Return the number that a well-formed ``th`` writes without its trailing zeros.

    >>> hex(threshold_number("c"))
    '0xc0000000000000'
    """
    return int(th.ljust(DIGITS, "0"), 16)


def _checked(value: int, name: str = "threshold") -> int:
    if not (_is_whole(value) and 0 <= value < SCALE):
        raise OptionError(f"{name}={value!r} is out of range: expected a whole number from 0 to 2**56 - 1")
    return int(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
