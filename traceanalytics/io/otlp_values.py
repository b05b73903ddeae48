"""OTLP's AnyValue as attribute values: typed scalars, and JSON text for what is no scalar."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Protocol

from traceanalytics.errors import FormatError
from traceanalytics.io.values import INT64_MAX, INT64_MIN, check_int64, shown
from traceanalytics.spans.cells import natural_float, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from traceanalytics.io.reading import Reading

__all__ = ["attribute_map", "natural_map"]

_PLAIN: Final = {"stringValue": str, "intValue": int, "boolValue": bool}
_SPECIAL: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class KeyValue(Protocol):
    """A decoded KeyValue message."""

    key: str
    value: dict[str, Any] | None


def attribute_map(pairs: Sequence[KeyValue] | None, reading: Reading, where: Callable[[], str]) -> dict[str, Any]:
    """Return attributes as the builder takes them."""
    if not pairs:
        return {}
    found = {pair.key: _scalar_or_text(pair.value, pair.key) for pair in pairs}
    if len(found) != len(pairs):
        _note_twice(pairs, reading, where)
    if None in found.values():
        for key, value in found.items():
            if value is None:
                reading.note("attribute without a value, left out", where(), key)
    return found


def natural_map(pairs: Sequence[KeyValue] | None, reading: Reading, where: Callable[[], str]) -> dict[str, Any]:
    """Return attributes as natural JSON values, for the cells of events and links."""
    if not pairs:
        return {}
    found = {pair.key: _natural(pair.value, pair.key) for pair in pairs}
    if len(found) != len(pairs):
        _note_twice(pairs, reading, where)
    return found


def _note_twice(pairs: Sequence[KeyValue], reading: Reading, where: Callable[[], str]) -> None:
    keys = [pair.key for pair in pairs]
    for key in dict.fromkeys(k for k in keys if keys.count(k) > 1):
        reading.note("attribute key twice in one list, the last one kept", where(), key)


def _scalar_or_text(value: dict[str, Any] | None, key: str) -> Any:
    if not value:
        return None
    if len(value) == 1:  # the usual case, without a call
        kind = next(iter(value))
        content: Any = value[kind]
        plain = _PLAIN.get(kind)
        is_plain = type(content) is plain  # and no bool where an integer is due
        if is_plain and (plain is not int or INT64_MIN <= content <= INT64_MAX):
            return content
    natural = _natural(value, key)
    if isinstance(natural, list):
        return to_json(natural)
    if isinstance(natural, dict):
        return float(_SPECIAL[natural["doubleValue"]]) if natural.keys() == {"doubleValue"} else to_json(natural)
    return natural


def _natural(value: dict[str, Any] | None, key: str) -> Any:
    """Return an AnyValue as a JSON-able value; an unknown or empty member is None."""
    if not value:
        return None
    for kind, content in value.items():
        read = _KINDS.get(kind)
        if read is not None and content is not None:
            return read(content, key)
    return None


def _string(content: Any, key: str) -> str:
    if type(content) is not str:
        raise FormatError(f"attribute {shown(key)}: stringValue is {shown(content)}, expected a text")
    return content


def _bool(content: Any, key: str) -> bool:
    if content in ("true", "false"):
        return bool(content == "true")
    if type(content) is not bool:
        raise FormatError(f"attribute {shown(key)}: boolValue is {shown(content)}, expected true or false")
    return content


def _int(content: Any, key: str) -> int:
    return check_int64(content, f"attribute {shown(key)}: intValue")


def _double(content: Any, key: str) -> float | dict[str, str]:
    if isinstance(content, str):
        try:
            content = _SPECIAL[content] if content in _SPECIAL else float(content)
        except ValueError:
            content = None
    if isinstance(content, bool) or not isinstance(content, int | float):
        raise FormatError(f"attribute {shown(key)}: doubleValue is no number")
    try:
        return natural_float(float(content))
    except OverflowError:
        raise FormatError(f"attribute {shown(key)}: doubleValue {shown(content)} is no double") from None


def _bytes(content: Any, key: str) -> dict[str, str]:
    return {"bytesValue": _string(content, key)}


def _array(content: Any, key: str) -> list[Any]:
    values = content.get("values") if isinstance(content, dict) else content
    if values is None:
        return []
    if not isinstance(values, list) or not all(v is None or isinstance(v, dict) for v in values):
        raise FormatError(f"attribute {shown(key)}: arrayValue is {shown(content)}, expected {{'values': [...]}}")
    return [_natural(v, key) for v in values]


def _map(content: Any, key: str) -> dict[str, Any]:
    values = content.get("values") if isinstance(content, dict) else content
    if values is None:
        return {}
    if not isinstance(values, list) or not all(
        isinstance(v, dict) and isinstance(v.get("value"), dict | None) for v in values
    ):
        raise FormatError(
            f"attribute {shown(key)}: kvlistValue is {shown(content)}, expected {{'values': [{{'key', 'value'}}, ...]}}"
        )
    return {str(v.get("key", "")): _natural(v.get("value"), key) for v in values}


_KINDS: Final[dict[str, Callable[[Any, str], Any]]] = {
    "stringValue": _string,
    "boolValue": _bool,
    "intValue": _int,
    "doubleValue": _double,
    "bytesValue": _bytes,
    "arrayValue": _array,
    "kvlistValue": _map,
}
