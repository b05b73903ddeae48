"""All about single spans as JSON-able dicts, for the detail pane; and which spans' details go into an exported page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from traceanalytics.analysis.self_time import self_ns
from traceanalytics.analysis.trace_rows import duration_text, plain
from traceanalytics.errors import SchemaError
from traceanalytics.spans.cells import encode_json
from traceanalytics.spans.columns import NAT
from traceanalytics.spans.other_attributes import columns_of_others
from traceanalytics.spans.schema import KIND, OTHER_ATTRIBUTES, STATUS, is_attribute_column, matches_any, scope_and_key
from traceanalytics.spans.unpacking import unpack_events, unpack_links
from traceanalytics.topology.flags import flag_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from traceanalytics.widgets.packing import Rows

__all__ = ["LONGEST_TEXT", "Details", "most_interesting"]

LONGEST_TEXT: Final = 20_000
"""Longer texts are cut; the detail says how long they are."""

_TEXTS: Final = ("trace_id", "span_id", "parent_span_id", "status_message", "trace_state")
_STACK: Final = "exception.stacktrace"
_UNREADABLE: Final = "(no JSON list)"


class Details:
    """The details of the spans of a widget.

    Parameters
    ----------
    spans
        The span frame.
    rows
        The same spans as rows.
    attributes
        Glob patterns of the attributes to show, those of events and links too; None: all.
    """

    def __init__(self, spans: pd.DataFrame, rows: Rows, *, attributes: Sequence[str] | None = None) -> None:
        self._spans = spans
        self._rows = rows
        self._patterns = attributes
        own = self_ns(rows.forest)[rows.position] / 1e6
        self._self_ms = np.where(rows.forest.timed[rows.position], own, np.nan)
        self._path_ms = rows.path_ms
        self._children = np.bincount(rows.parent[rows.parent >= 0], minlength=len(rows))
        self._flags = rows.forest.flags[rows.position]
        self._detached = rows.detached

    def of(self, wanted: NDArray[np.int64]) -> list[dict[str, Any]]:
        """Return the detail of each of the wanted rows."""
        some = self._spans.iloc[self._rows.position[wanted]]
        found = self._fields(wanted, some)
        for place, scope, key, value in self._attributes(some):
            found[place]["attributes"].append([scope, _line(key), *_cut(_text(value))])
        self._add_events(some, wanted, found)
        self._add_links(some, found)
        return found

    def _fields(self, wanted: NDArray[np.int64], some: pd.DataFrame) -> list[dict[str, Any]]:
        """Return all but attributes, events and links."""
        rows = self._rows
        begin = rows.forest.start[rows.position[wanted]].tolist()
        length = some["duration_ms"].to_numpy("float64", na_value=np.nan).tolist()
        words = [
            [word.replace("_", " ") for word in text.split(",") if word] for text in flag_texts(self._flags[wanted])
        ]
        services = [*rows.services, None]  # the last one serves the code -1
        scopes = zip(_cells(some, "scope_name"), _cells(some, "scope_version"), strict=True)
        columns: dict[str, Iterable[Any]] = {
            "row": wanted.tolist(),
            "name": [rows.names[code] for code in rows.name[wanted].tolist()],
            "service": [services[code] for code in rows.service[wanted].tolist()],
            **{name: _cells(some, name) for name in _TEXTS},
            "kind": KIND.categories.take(rows.kind[wanted]).tolist(),
            "status": STATUS.categories.take(rows.status[wanted]).tolist(),
            "error": rows.error[wanted].tolist(),
            "start": ["" if time == NAT else pd.Timestamp(time, tz="UTC").isoformat() for time in begin],
            "offset_ms": map(_number, rows.start[wanted].tolist()),
            "duration_ms": map(_number, length),
            "duration_text": map(duration_text, length),
            "self_ms": map(_number, self._self_ms[wanted].tolist()),
            "path_ms": map(_number, self._path_ms[wanted].tolist()),
            "flags": [
                found + ["detached"] * late for found, late in zip(words, self._detached[wanted].tolist(), strict=True)
            ],
            "scope": [" ".join(filter(None, pair)) for pair in scopes],
            "linked_from": map(rows.links.linked_from, wanted.tolist()),
            "children": self._children[wanted].tolist(),
        }
        made = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return [fields | {"attributes": [], "events": [], "links": []} for fields in made]

    def _attributes(self, some: pd.DataFrame) -> Iterator[tuple[int, str, str, Any]]:
        """Yield place, scope, key and value of each attribute, in the order of their names."""
        columns = {str(name): some[name] for name in some.columns if is_attribute_column(name)}
        if OTHER_ATTRIBUTES in some.columns and some[OTHER_ATTRIBUTES].notna().any():
            try:
                rare = columns_of_others(some)
            except SchemaError:
                rare = {f"span.{OTHER_ATTRIBUTES}": some[OTHER_ATTRIBUTES]}
            for name, column in rare.items():
                columns[name] = columns[name].where(columns[name].notna(), column) if name in columns else column
        for name in sorted(columns):
            if self._wanted(name):
                scope, key = scope_and_key(name)
                known = columns[name].notna().to_numpy(bool)
                for at, value in zip(np.flatnonzero(known).tolist(), columns[name][known].tolist(), strict=True):
                    yield at, scope, key, value

    def _wanted(self, name: str) -> bool:
        return self._patterns is None or matches_any(name, self._patterns)

    def _item_attributes(self, prefix: str, attributes: dict[str, Any]) -> list[list[Any]]:
        """Return the attributes of an event or a link."""
        return [
            [_line(key), *_cut(_text(value))]
            for key, value in attributes.items()
            if value is not None and (self._wanted(key) or self._wanted(f"{prefix}.{key}"))
        ]

    def _add_events(self, some: pd.DataFrame, wanted: NDArray[np.int64], found: list[dict[str, Any]]) -> None:
        for at in np.flatnonzero(some["events"].notna().to_numpy(bool)).tolist():
            cell = some["events"].iloc[[at]]
            try:
                events = unpack_events(cell)
            except SchemaError:
                found[at]["events"].append(self._unreadable(cell.iloc[0]) | {"offset_ms": None, "stack": None})
                continue
            begin = int(self._rows.forest.start[self._rows.position[wanted[at]]])
            for time, name, kind in zip(
                events.time.tolist(), list(events.name), events.attributes.of_item.tolist(), strict=True
            ):
                attributes = dict(events.attributes.different[kind])
                stack = attributes.pop(_STACK, None)
                shown = isinstance(stack, str) and (self._wanted(_STACK) or self._wanted(f"event.{_STACK}"))
                found[at]["events"].append(
                    {
                        "name": _line(name) if isinstance(name, str) else "",
                        "offset_ms": None if NAT in (time, begin) else (time - begin) / 1e6,
                        "attributes": self._item_attributes("event", attributes),
                        "stack": _cut(stack)[0] if shown else None,
                    }
                )

    def _add_links(self, some: pd.DataFrame, found: list[dict[str, Any]]) -> None:
        for at in np.flatnonzero(some["links"].notna().to_numpy(bool)).tolist():
            cell = some["links"].iloc[[at]]
            try:
                links = unpack_links(cell)
            except SchemaError:
                found[at]["links"].append({"trace_id": "", "span_id": "", "row": None} | self._unreadable(cell.iloc[0]))
                continue
            own = some["trace_id"].iloc[at]
            for link, kind in zip(links.items, links.attributes.of_item.tolist(), strict=True):
                found[at]["links"].append(
                    {
                        "trace_id": _line(link.trace_id or ""),
                        "span_id": _line(link.span_id or ""),
                        "row": self._rows.links.row_of(link.trace_id or own, link.span_id or ""),
                        "attributes": self._item_attributes("link", links.attributes.different[kind]),
                    }
                )

    def _unreadable(self, cell: object) -> dict[str, Any]:
        """Return an event or link that stands for a cell which is no list of them: its text is the value of an attribute."""
        shown = [["text", *_cut(str(cell))]] if self._patterns is None else []
        return {"name": _UNREADABLE, "attributes": shown}


def most_interesting(rows: Rows, in_question: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
    """Return up to ``most`` rows: those in question, errors and the critical path first, then the longest, all in row order."""
    if len(rows) <= most:
        return np.arange(len(rows))
    tier = in_question.astype(np.int8) * 4 + rows.error * 2 + rows.on_path
    length = np.nan_to_num(rows.end - rows.start, nan=0.0)
    order = np.lexsort((np.arange(len(rows))[::-1], length, rows.path_ms, tier))
    return np.sort(order[len(order) - most :])


def _cells(some: pd.DataFrame, name: str) -> list[str | None]:
    values = some[name].tolist() if name in some.columns else [None] * len(some)
    return [_cut(value)[0] if isinstance(value, str) else None for value in values]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _text(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return encode_json(value)
    return str(value)


def _cut(text: str) -> tuple[str, int]:
    """Return a text without what could mislead, at most so long that a pane shows it, and its full length."""
    return "\n".join(plain(line) for line in text[:LONGEST_TEXT].split("\n")), len(text)


def _line(text: str) -> str:
    return plain(text[:LONGEST_TEXT])
