"""Scalars as the frame stores them: 64-bit integers, kinds, statuses, attribute values; every refusal says what was found."""

from __future__ import annotations

import base64
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import numpy as np

from traceanalytics.errors import FormatError
from traceanalytics.spans.cells import JsonText, natural_float, to_json

__all__ = ["INT64_MAX", "INT64_MIN", "check_int64", "flat_value", "kind_code", "natural", "shown", "status_code"]

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
_MOST_SHOWN: Final = 80

_KINDS: Final = {
    name: i for i, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
_STATUSES: Final = {"UNSET": 0, "OK": 1, "ERROR": 2}


def shown(value: object) -> str:
    """Return a value for an error message: its repr, cut where it is long."""
    if isinstance(value, np.generic):
        value = value.item()  # repr says 5, not np.int64(5)
    text = repr(value) if not isinstance(value, bytes | bytearray) else f"{len(value)} bytes"
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "..."


_MOST_DIGITS: Final = 20


def check_int64(value: Any, what: str) -> int:
    """Return an integer of 64 bits from a number or a decimal string; nothing passes through a float."""
    if type(value) is int:
        number = value
    elif isinstance(value, bool) or value is None:
        raise FormatError(f"{what}: found {shown(value)}, expected a 64-bit integer")
    elif isinstance(value, float):
        if not value.is_integer():
            raise FormatError(f"{what}: found {shown(value)}, expected a 64-bit integer")
        number = int(value)
    else:
        number = _from_text(str(value), what)
    if not INT64_MIN <= number <= INT64_MAX:
        raise FormatError(f"{what}: {shown(value)} does not fit into 64 bits")
    return number


def _from_text(text: str, what: str) -> int:
    try:
        exact = Decimal(text)
    except InvalidOperation:
        exact = Decimal("NaN")
    if not exact.is_finite():
        raise FormatError(f"{what}: found {shown(text)}, expected a 64-bit integer")
    if exact.adjusted() > _MOST_DIGITS:  # int() of 1e999999 would write out every digit
        raise FormatError(f"{what}: {shown(text)} does not fit into 64 bits")
    number = int(exact)
    if number != exact:
        raise FormatError(f"{what}: found {shown(text)}, expected a whole number")
    return number


def kind_code(value: Any) -> int:
    """Return OTLP's number of a span kind from its number or its name (``SPAN_KIND_SERVER``, ``SERVER``, ``server``)."""
    return _enum(value, _KINDS, "SPAN_KIND_", "span kind")


def status_code(value: Any) -> int:
    """Return OTLP's number of a status code from its number or its name (``STATUS_CODE_ERROR``, ``ERROR``, ``Error``)."""
    return _enum(value, _STATUSES, "STATUS_CODE_", "status code")


def _enum(value: Any, names: dict[str, int], prefix: str, what: str) -> int:
    if value is None:
        return 0
    if isinstance(value, str):
        text = value.upper().removeprefix(prefix).rpartition(".")[2]
        if text in names:
            return names[text]
        if text.isdecimal() and len(text) == 1:
            value = int(text)
    if type(value) is int and 0 <= value < len(names):
        return value
    raise FormatError(f"{what}: found {shown(value)}, expected one of {', '.join(names)} or 0 to {len(names) - 1}")


def natural(value: Any, what: str) -> Any:
    """Return a JSON-able value of a Python one: bytes and non-finite floats in OTLP's spelling, tuples as lists."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return check_int64(value, what)
    if isinstance(value, float):
        return natural_float(value)
    if isinstance(value, bytes | bytearray):
        return {"bytesValue": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {str(k): natural(v, what) for k, v in value.items()}
    is_array = isinstance(value, list | tuple | set | frozenset)
    return [natural(v, what) for v in value] if is_array else str(value)


def flat_value(value: Any, what: str) -> str | bool | int | float | JsonText:
    """Return an attribute value for the builder: a scalar as it is, anything else as JSON text."""
    if isinstance(value, str | bool | float):
        return value
    if isinstance(value, int):
        return check_int64(value, what)
    said = natural(value, what)
    return said if isinstance(said, str) else to_json(said)
