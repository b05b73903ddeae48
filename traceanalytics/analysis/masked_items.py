"""Events and links without their texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import pandas as pd

from traceanalytics.errors import SchemaError
from traceanalytics.spans.cells import encode_json, event_cell, link_cell
from traceanalytics.spans.columns import NAT
from traceanalytics.spans.values import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from traceanalytics.analysis.masks import Masks

__all__ = ["masked_events", "masked_links"]

_DECODER: Final = msgspec.json.Decoder(list[dict[str, Any]])


def masked_events(column: pd.Series, masks: Masks, shift: int) -> Any:
    """Return cells of events: times moved back by ``shift`` ns, names and attributes masked."""
    keep_names = masks.keeps("events") or masks.keeps("event.name")

    def masked(item: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        time = item.get("time")
        if isinstance(time, int) and not isinstance(time, bool):
            made["time"] = max(time - shift, NAT + 1)
        name = item.get("name")
        if isinstance(name, str):
            made["name"] = name if keep_names else masks.event_name(name)
        return made | _rest(item, "event", masks)

    return _cells(column, lambda items: event_cell([masked(item) for item in items]))


def masked_links(column: pd.Series, masks: Masks) -> Any:
    """Return cells of links: ids re-keyed as those of the spans, attributes masked, trace states left out."""
    keep_trace, keep_span = masks.keeps("trace_id"), masks.keeps("span_id")

    def masked(item: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        trace_id, span_id = item.get("trace_id"), item.get("span_id")
        if isinstance(trace_id, str):
            made["trace_id"] = trace_id if keep_trace else masks.trace_id(trace_id)
        if isinstance(span_id, str):
            made["span_id"] = span_id if keep_span else masks.span_id(span_id)
        if isinstance(item.get("flags"), int):
            made["flags"] = item["flags"]
        if masks.keeps("trace_state") and isinstance(item.get("trace_state"), str):
            made["trace_state"] = item["trace_state"]
        return made | _rest(item, "link", masks)

    return _cells(column, lambda items: link_cell([masked(item) for item in items]))


def _rest(item: dict[str, Any], kind: str, masks: Masks) -> dict[str, Any]:
    """Return the attributes, masked, and how many were dropped."""
    attributes = item.get("attributes")
    made: dict[str, Any] = {"attributes": {}}
    for key, value in (attributes if isinstance(attributes, dict) else {}).items():
        if masks.keeps_item(kind, key):
            made["attributes"][key] = value
            continue
        text = value if isinstance(value, str) else encode_json(value)
        fine = masks.value(text, key)
        made["attributes"][masks.key(key)] = value if fine == text else fine
    if isinstance(item.get("dropped_attributes"), int):
        made["dropped_attributes"] = item["dropped_attributes"]
    return made


def _cells(column: pd.Series, mask: Callable[[list[dict[str, Any]]], str | None]) -> Any:
    found = column.dropna()
    made = pd.Series(None, index=column.index, dtype="str")
    if len(found):
        made[found.index] = [mask(_items(cell, column.name, label)) for label, cell in found.items()]
    return made.array


def _items(cell: Any, column: object, label: object) -> list[dict[str, Any]]:
    try:
        return _DECODER.decode(cell)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, TypeError) as error:
        raise SchemaError(
            f"{column} of the span in row {shown(label)}: expected JSON text of a list of maps ({error}); nothing is shown of it, as it was to be masked"
        ) from None
