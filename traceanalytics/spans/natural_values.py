"""From the JSON in cells back to Python values: the inverse of what readers write for bytes and non-finite floats."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

__all__ = ["float_of", "natural_value"]

_SPECIAL: Final = ("NaN", "Infinity", "-Infinity")


def float_of(value: Any) -> float | None:
    """Return the float that ``{"doubleValue": "NaN"}`` and the like stand for; None for any other value."""
    if isinstance(value, dict) and value.keys() == {"doubleValue"} and value["doubleValue"] in _SPECIAL:
        return float(value["doubleValue"])
    return None


def natural_value(value: Any) -> Any:
    r"""Return a decoded JSON value with bytes and non-finite floats in place of OTLP's spellings of them.

    >>> natural_value([1, {"bytesValue": "AQI="}, {"doubleValue": "-Infinity"}])
    [1, b'\x01\x02', -inf]
    """
    if isinstance(value, list):
        return [natural_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    special = float_of(value)
    if special is not None:
        return special
    if value.keys() == {"bytesValue"} and isinstance(value["bytesValue"], str):
        try:
            return base64.b64decode(value["bytesValue"], validate=True)
        except binascii.Error:
            return value
    return {key: natural_value(item) for key, item in value.items()}
