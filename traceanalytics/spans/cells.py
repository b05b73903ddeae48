"""Events and links as JSON text in a cell, and attribute values that are no scalars.

A cell of events is ``[{"time":..,"name":..,"attributes":{..}},`` newline ``{..}]``: any JSON reader takes it, every pandas
call and file format carries it, and since JSON escapes newlines inside strings, the break between two items is safe to
split at. Values that JSON cannot say are written as OTLP's JSON says them: ``{"bytesValue": base64}`` and
``{"doubleValue": "NaN"}``.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

__all__ = ["JsonText", "encode_json", "event_cell", "is_container_text", "link_cell", "natural_float", "to_json"]

_ENCODER: Final = msgspec.json.Encoder()


class JsonText(str):
    """The JSON text of an array, a map or bytes: an attribute value that is no scalar."""

    __slots__ = ()


def encode_json(value: Any) -> str:
    """Return compact JSON text; the one spelling in which this package writes JSON into cells."""
    return _ENCODER.encode(value).decode()


def to_json(value: Any) -> JsonText:
    """Return the JSON text of a natural value (lists, dicts, scalars; see :func:`natural_float`)."""
    return JsonText(encode_json(value))


def natural_float(value: float) -> float | dict[str, str]:
    """Return a float as a natural JSON value; NaN and infinities in OTLP's spelling."""
    if math.isfinite(value):
        return value
    return {"doubleValue": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}


def is_container_text(text: str) -> bool:
    """Tell whether a text is an array or a map in our own spelling, and so would be taken for one by a writer."""
    if not ((text.startswith("[") and text.endswith("]")) or (text.startswith("{") and text.endswith("}"))):
        return False
    try:
        return encode_json(msgspec.json.decode(text)) == text
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return False


def event_cell(events: list[dict[str, Any]]) -> str | None:
    """Return the cell of a span's events: dicts of time (int ns), name, attributes, and dropped_attributes where not zero."""
    return _cell(events)


def link_cell(links: list[dict[str, Any]]) -> str | None:
    """Return the cell of a span's links: dicts of trace_id, span_id, and trace_state, attributes, flags, dropped_attributes."""
    return _cell(links)


def _cell(items: list[dict[str, Any]]) -> str | None:
    if not items:
        return None
    return "[" + ",\n".join([_ENCODER.encode(item).decode() for item in items]) + "]"
