"""From the cells of ``events`` and ``links`` to arrays, one entry an item.

The spelling that this package writes is taken apart in Arrow, without a Python step a row; any other JSON with the same keys
is decoded item by item.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.errors import FormatError, SchemaError
from traceanalytics.spans.attribute_columns import no_note, spread_attributes, typed_column
from traceanalytics.spans.cells import encode_json
from traceanalytics.spans.columns import NAT, categorise, coded, text_array
from traceanalytics.spans.natural_values import float_of
from traceanalytics.spans.values import INT64_MAX, INT64_MIN, flat_value, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "Maps",
    "UnpackedEvents",
    "UnpackedLinks",
    "as_text",
    "attribute_columns",
    "is_canonical",
    "unpack_events",
    "unpack_links",
]

_SHAPE: Final = r'^\[?\{"time":-?\d+,"name":"(?:[^"\\]|\\.)*","attributes":\{.*\}\}\]?$'
"""One event in our own spelling, with the brackets of the list if it stands first or last; RE2's syntax."""

_Time = Annotated[int, msgspec.Meta(ge=INT64_MIN + 1, le=INT64_MAX)]
_UInt32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
_NONE: Final = msgspec.Raw(b"{}")


class _Event(msgspec.Struct):
    time: _Time | None = None
    name: str | None = None
    attributes: msgspec.Raw = _NONE
    dropped_attributes: int = 0


class _Link(msgspec.Struct):
    trace_id: str | None = None
    span_id: str | None = None
    trace_state: str | None = None
    attributes: msgspec.Raw = _NONE
    flags: _UInt32 | None = None
    dropped_attributes: int = 0


@dataclass
class Maps:
    """The attributes of items: the different maps, and which one each item has."""

    different: list[dict[str, Any]]
    of_item: NDArray[np.int64]


@dataclass
class UnpackedEvents:
    """Events in the order of the frame: the row of the span, and what each cell said."""

    row: NDArray[np.int64]
    time: NDArray[np.int64]
    name: pd.Categorical
    attributes: Maps
    dropped: NDArray[np.int64]


@dataclass
class UnpackedLinks:
    """Links in the order of the frame."""

    row: NDArray[np.int64]
    items: list[_Link]
    attributes: Maps


def is_canonical(column: pd.Series) -> bool:
    """Tell whether all events of a column are spelled as this package spells them, without anything dropped."""
    cells = text_array(column)
    return _unpack_quickly(np.arange(len(cells) - cells.null_count), cells.drop_null()) is not None


def unpack_events(column: pd.Series) -> UnpackedEvents:
    """Return the events of a column of cells."""
    cells = text_array(column)
    row = np.flatnonzero(cells.is_valid().to_numpy(zero_copy_only=False))
    quick = _unpack_quickly(row, cells.drop_null())
    if quick is not None:
        return quick
    at, items = _decode(column, cells, _EVENTS, "time, name, attributes")
    return UnpackedEvents(
        at,
        np.array([NAT if e.time is None else e.time for e in items], np.int64),
        categorise([e.name for e in items]),
        _maps(pa.array([_map_text(e.attributes) for e in items], pa.large_string())),
        np.array([e.dropped_attributes for e in items], np.int64),
    )


def unpack_links(column: pd.Series) -> UnpackedLinks:
    """Return the links of a column of cells."""
    at, items = _decode(column, text_array(column), _LINKS, "trace_id, span_id, attributes")
    return UnpackedLinks(at, items, _maps(pa.array([_map_text(x.attributes) for x in items], pa.large_string())))


def _map_text(raw: msgspec.Raw) -> str:
    text = bytes(raw).decode()
    return "{}" if text == "null" else text


def _maps(texts: Any) -> Maps:
    """Return the maps of JSON texts; equal texts are decoded once."""
    words = texts.dictionary_encode()
    maps = [_MAP.decode(text) for text in words.dictionary.to_pylist()]
    return Maps(maps, words.indices.to_numpy().astype(np.int64))


def _unpack_quickly(row: NDArray[np.int64], cells: Any) -> UnpackedEvents | None:
    """Return the events of cells in our own spelling; None where one is spelled otherwise."""
    parts = pc.split_pattern(cells, ",\n")
    count = pc.list_value_length(parts).to_numpy()
    lines = pc.list_flatten(parts)
    ours = pc.and_(pc.match_substring_regex(lines, _SHAPE), pc.equal(pc.count_substring(lines, '"attributes":'), 1))
    if not len(lines) or not pc.all(ours).as_py():
        return None
    offsets = np.frombuffer(lines.buffers()[1], np.int64)[lines.offset : lines.offset + len(lines) + 1]
    last = np.cumsum(count) - 1
    low, high = offsets[:-1].copy(), offsets[1:].copy()
    low[last - count + 1] += 1  # without [
    high[last] -= 1  # and ]
    name_at, attributes_at = (
        offsets[:-1] + pc.find_substring(lines, key).to_numpy() for key in (',"name":', ',"attributes":')
    )
    # Six pieces a line: time, -, name, -, attributes, -; offsets into the bytes that Arrow holds already.
    cuts = np.stack([low + 8, name_at, name_at + 9, attributes_at - 1, attributes_at + 14, high - 1], 1).ravel()
    pieces = pa.LargeStringArray.from_buffers(len(cuts) - 1, pa.py_buffer(cuts), lines.buffers()[2])
    time, name, attributes = (pieces.take(pa.array(np.arange(j, len(cuts) - 1, 6))) for j in (0, 2, 4))
    words = name.dictionary_encode()
    try:
        times = pc.cast(time, pa.int64()).to_numpy()
        labels = [msgspec.json.decode(f'"{word}"') for word in words.dictionary.to_pylist()]
        maps = _maps(attributes)
    except (pa.ArrowInvalid, msgspec.MsgspecError, UnicodeError, RecursionError):
        return None  # the slow way finds the cell, and says what is wrong with it
    if (times == NAT).any():
        return None
    names = coded(words.indices.to_numpy(), labels)
    return UnpackedEvents(np.repeat(row, count), times, names, maps, np.zeros(len(times), np.int64))


T = TypeVar("T")
_MAP: Final = msgspec.json.Decoder(dict[str, Any])
_EVENTS: Final = msgspec.json.Decoder(list[_Event])
_LINKS: Final = msgspec.json.Decoder(list[_Link])


def _decode(
    column: pd.Series, cells: Any, decoder: msgspec.json.Decoder[list[T]], keys: str
) -> tuple[NDArray[np.int64], list[T]]:
    """Return row and item of every item of every cell."""
    row = np.flatnonzero(cells.is_valid().to_numpy(zero_copy_only=False))
    found: list[T] = []
    counts = []
    for at, text in zip(row.tolist(), cells.drop_null().to_pylist(), strict=True):
        try:
            items = decoder.decode(text)
            for item in items:
                _MAP.decode(_map_text(item.attributes))  # type: ignore[attr-defined]
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise SchemaError(
                f"{column.name} of the span at index {shown(column.index[at])}: found {shown(text)}, expected JSON text of a list of objects with {keys} ({error})"
            ) from None
        found += items
        counts.append(len(items))
    return np.repeat(row, counts) if counts else row, found


def attribute_columns(prefix: str, maps: Maps) -> dict[str, Any]:
    """Return the attributes of items as typed columns ``<prefix>.<key>``, sorted."""
    spread = spread_attributes(prefix, [_flat(m) for m in maps.different], maps.of_item)
    count = len(maps.of_item)
    return {name: typed_column(name, rows, values, count, no_note)[0] for name, (rows, values) in spread.items()}


def _flat(attributes: dict[str, Any]) -> dict[str, Any]:
    return {key: _flat_value(key, value) for key, value in attributes.items() if value is not None}


def _flat_value(key: str, value: Any) -> Any:
    special = float_of(value)
    if special is not None:
        return special
    try:
        return flat_value(value, f"attribute {key!r}")
    except FormatError:  # an integer of more than 64 bits: its digits are kept
        return encode_json(value)


def as_text(values: Sequence[str | None]) -> Any:
    """Return a ``str`` array; None is missing."""
    return pd.array(pa.array(values, pa.large_string()), dtype="str")
