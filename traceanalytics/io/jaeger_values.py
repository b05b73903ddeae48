"""Jaeger's typed tags and microseconds as values of the frame; what does not fit its type is kept as text, and noted."""

from __future__ import annotations

import base64
import binascii
import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from traceanalytics.errors import FormatError
from traceanalytics.io.values import INT64_MAX, INT64_MIN, natural, shown
from traceanalytics.spans.cells import encode_json, natural_float, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from traceanalytics.io.reading import Reading

__all__ = ["Tag", "attribute_map", "log_item", "nanoseconds"]

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}\Z")


class Tag(msgspec.Struct):
    """A tag of a span or process, or a field of a log."""

    key: str = ""
    type: str | None = None
    value: Any = None


def attribute_map(tags: Sequence[Tag] | None, reading: Reading, where: Callable[[], str]) -> dict[str, Any]:
    """Return tags as the builder takes attributes."""
    if not tags:
        return {}
    found = {tag.key: tag_value(tag, reading, where) for tag in tags}
    if len(found) != len(tags):
        _note_twice(tags, reading, where)
    for key, value in found.items():
        if isinstance(value, list | dict):
            found[key] = to_json(value)
    return found


def log_item(
    timestamp: Any, fields: Sequence[Tag] | None, reading: Reading, where: Callable[[], str]
) -> dict[str, Any]:
    """Return a log as an event: its first field ``event`` is the name, the others are attributes."""
    rest = list(fields or ())
    at = next((i for i, field in enumerate(rest) if field.key == "event"), None)
    name = ""
    if at is not None:
        value = tag_value(rest.pop(at), reading, where)
        if isinstance(value, str):
            name = value
        elif value is not None:
            name = encode_json(natural_float(value) if isinstance(value, float) else value)
            reading.note("name of an event that is no text, read as text", where(), name)
    attributes = {field.key: tag_value(field, reading, where) for field in rest}
    if len(attributes) != len(rest):
        _note_twice(rest, reading, where)
    time = nanoseconds(timestamp, "timestamp of a log") or 0
    if not 0 <= time <= INT64_MAX:
        raise FormatError(f"timestamp of a log: {shown(timestamp)} µs lies outside of the years 1970 to 2262")
    return {
        "time": time,
        "name": name,
        "attributes": {
            key: natural_float(value) if isinstance(value, float) else value
            for key, value in attributes.items()
            if value is not None
        },
    }


def _note_twice(tags: Sequence[Tag], reading: Reading, where: Callable[[], str]) -> None:
    keys = [tag.key for tag in tags]
    for key in dict.fromkeys(k for k in keys if keys.count(k) > 1):
        reading.note("attribute key twice in one list, the last one kept", where(), key)


def tag_value(tag: Tag, reading: Reading, where: Callable[[], str]) -> Any:
    """Return a scalar, or natural JSON for bytes, arrays and maps; None if there is no value."""
    kind, value = tag.type, tag.value
    if type(value) is str:
        if kind == "string":
            return value
    elif type(value) is int:
        if kind == "int64" and INT64_MIN <= value <= INT64_MAX:
            return value
    elif type(value) is bool and kind == "bool":
        return value
    if value is None:
        reading.note("attribute without a value, left out", where(), tag.key)
        return None
    read = _READ.get((kind or "").lower(), _untyped)
    try:
        return read(value)
    except (FormatError, ValueError, OverflowError, binascii.Error):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        reading.note(
            "tag whose value does not fit its type, kept as text", where(), f"{tag.key}: {kind} {shown(value)}"
        )
        return text


def _untyped(value: Any) -> Any:
    return natural(value, "") if not isinstance(value, float) else value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise FormatError("no text")
    return value


def _bool(value: Any) -> bool:
    text = value.lower() if isinstance(value, str) else value
    if text in ("true", "false") or isinstance(text, bool):
        return text in ("true", True)
    raise FormatError("no bool")


def _int64(value: Any) -> int:
    if isinstance(value, bool):
        raise FormatError("no integer")
    if isinstance(value, str):
        number = int(value) if _INTEGER.match(value) else None
    else:
        number = int(value) if isinstance(value, int) or (isinstance(value, float) and value.is_integer()) else None
    if number is None or not INT64_MIN <= number <= INT64_MAX:
        raise FormatError("no integer of 64 bits")
    return number


def _float64(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or "_" in str(value):
        raise FormatError("no number")
    return float(value)


def _binary(value: Any) -> dict[str, str]:
    raw = base64.b64decode(_string(value), validate=True)
    return {"bytesValue": base64.b64encode(raw).decode()}


_READ: Final[dict[str, Callable[[Any], Any]]] = {
    "string": _string,
    "bool": _bool,
    "int64": _int64,
    "float64": _float64,
    "binary": _binary,
}


def nanoseconds(microseconds: Any, what: str) -> int | None:
    """Return nanoseconds of Jaeger's microseconds, exactly; None where there are none.

    >>> nanoseconds(1485467191639875, "startTime"), nanoseconds("5", "duration"), nanoseconds(2.5, "duration")
    (1485467191639875000, 5000, 2500)
    """
    if microseconds is None or type(microseconds) is int:
        return None if microseconds is None else microseconds * 1000
    if isinstance(microseconds, str) and _INTEGER.match(microseconds):
        return int(microseconds) * 1000
    if isinstance(microseconds, float):
        return int(Decimal(microseconds) * 1000)  # a double holds a fraction of a microsecond, but not its nanoseconds
    raise FormatError(f"{what}: found {shown(microseconds)}, expected a whole number of microseconds")
