"""Events and links of a foreign frame (lists of dicts, JSON text) as the cells that readers write."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pandas as pd

from traceanalytics.errors import FormatError, SchemaError
from traceanalytics.spans.attribute_columns import no_note, text_column
from traceanalytics.spans.cells import event_cell, link_cell
from traceanalytics.spans.conversion import identifiers
from traceanalytics.spans.time_conversion import epoch_ns, instant_ns
from traceanalytics.spans.unpacking import is_canonical
from traceanalytics.spans.values import check_int64, natural, shown

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["event_cells", "link_cells"]

_DROPPED: Final = ("dropped_attributes", "dropped_attributes_count", "droppedAttributesCount")
_EVENT_KEYS: Final = {
    "time": ("time", "timestamp", "time_ns", "time_unix_nano", "timeUnixNano"),
    "name": ("name",),
    "attributes": ("attributes",),
    "dropped_attributes": _DROPPED,
}
_LINK_KEYS: Final = {
    "trace_id": ("trace_id", "traceId", "traceID", "TraceId"),
    "span_id": ("span_id", "spanId", "spanID", "SpanId"),
    "trace_state": ("trace_state", "traceState", "TraceState"),
    "attributes": ("attributes", "Attributes"),
    "flags": ("flags", "trace_flags", "traceFlags"),
    "dropped_attributes": _DROPPED,
}
_IN_NANOSECONDS: Final = ("time", "time_ns", "time_unix_nano", "timeUnixNano")


def event_cells(column: pd.Series) -> Any:
    """Return a column of event lists as cells."""
    if column.dtype == "str" and is_canonical(column):
        return column.array
    return _cells(column, _event, event_cell)


def link_cells(column: pd.Series) -> Any:
    """Return a column of link lists as cells."""
    return _cells(column, _link, link_cell)


def _cells(
    column: pd.Series,
    one: Callable[[dict[str, Any]], dict[str, Any]],
    cell: Callable[[list[dict[str, Any]]], str | None],
) -> Any:
    made: list[str | None] = [None] * len(column)
    done: dict[str, str | None] = {}
    present = column[column.notna()]
    rows = np.flatnonzero(column.notna()).tolist()
    for row, label, value in zip(rows, present.index, present.tolist(), strict=True):
        if isinstance(value, str) and value in done:
            made[row] = done[value]
            continue
        try:
            made[row] = cell([one(item) for item in _items(value)])
        except (FormatError, SchemaError, msgspec.MsgspecError, UnicodeError, RecursionError, TypeError) as error:
            raise SchemaError(
                f"column {column.name!r}: found {shown(value)} at index {shown(label)}: {error}"
            ) from None
        if isinstance(value, str):
            done[value] = made[row]
    return text_column(made, note=no_note)


def _items(value: Any) -> list[Any]:
    if isinstance(value, str):
        value = _decoded(value) if value.strip() else None
    if isinstance(value, np.ndarray | tuple):
        value = list(value)
    if value is None:
        return []
    if not isinstance(value, list):
        raise FormatError(f"expected a list of dicts, or JSON text of one, not {type(value).__name__}")
    return value


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise FormatError(f"no JSON ({error}), expected a list of dicts, or JSON text of one") from None


def _known(item: Any, keys: dict[str, tuple[str, ...]]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return an item by our keys, and the key that each value stood under; what has no meaning is refused."""
    if not isinstance(item, dict):
        raise FormatError(f"found {shown(item)} in the list, expected a dict with {', '.join(keys)}")
    if isinstance(item.get("context"), dict):  # the console exporter of OpenTelemetry's Python SDK
        item = item["context"] | {key: value for key, value in item.items() if key != "context"}
    ours = {spelling: key for key, spellings in keys.items() for spelling in spellings}
    unknown = [key for key in item if key not in ours]
    if unknown:
        raise FormatError(f"unknown key {shown(unknown[0])}, expected only {', '.join(keys)}")
    found = {ours[key]: value for key, value in item.items() if value is not None}
    return found, {ours[key]: key for key in item}


def _event(item: Any) -> dict[str, Any]:
    found, spelled = _known(item, _EVENT_KEYS)
    made: dict[str, Any] = {
        "time": _time(found.get("time"), spelled.get("time", "time")),
        "name": str(found.get("name", "")),
        "attributes": _attributes(found),
    }
    return made | _dropped(found)


def _time(value: Any, key: str) -> int:
    value = value.item() if isinstance(value, np.integer) else value
    if value is None or value is pd.NaT:
        raise FormatError(
            "an event without time; expected integer nanoseconds since 1970, or an instant with a time zone"
        )
    if isinstance(value, int) or (isinstance(value, str) and value.strip().isdecimal()):
        if key not in _IN_NANOSECONDS:
            raise FormatError(f"{key} is the number {value}: in which unit? Expected 'time' in nanoseconds since 1970")
        return check_int64(value, key)
    if isinstance(value, float):
        return int(epoch_ns(pd.Series([value], name=key), "ns")[0])
    if isinstance(value, str | datetime | np.datetime64):
        return int(instant_ns(pd.Series([value], name=key, dtype=object), "start")[0])
    raise FormatError(
        f"{key} is {shown(value)}, expected integer nanoseconds since 1970, or an instant with a time zone"
    )


def _link(item: Any) -> dict[str, Any]:
    found, _ = _known(item, _LINK_KEYS)
    made: dict[str, Any] = {key: _id(found, key, digits) for key, digits in (("trace_id", 32), ("span_id", 16))}
    if found.get("trace_state"):
        made["trace_state"] = str(found["trace_state"])
    made["attributes"] = _attributes(found)
    if found.get("flags"):
        flags = check_int64(found["flags"], "flags")
        if not 0 <= flags < 2**32:
            raise FormatError(f"flags are {flags}, expected at most 32 bits")
        made["flags"] = flags
    return made | _dropped(found)


def _id(found: dict[str, Any], key: str, digits: int) -> str | None:
    value = identifiers(pd.Series([found.get(key)], name=key, dtype=object), digits).iloc[0]
    return value if isinstance(value, str) else None


def _attributes(found: dict[str, Any]) -> dict[str, Any]:
    attributes = found.get("attributes", {})
    if not isinstance(attributes, dict):
        raise FormatError(f"attributes are {shown(attributes)}, expected a dict of key to value")
    return {str(key): natural(_python(value), f"attribute {key!r}") for key, value in attributes.items()}


def _python(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def _dropped(found: dict[str, Any]) -> dict[str, int]:
    count = check_int64(found.get("dropped_attributes", 0), "dropped_attributes")
    return {"dropped_attributes": count} if count else {}
