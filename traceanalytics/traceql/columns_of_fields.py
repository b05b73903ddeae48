"""From fields of a query to the columns of a frame."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from traceanalytics.spans.columns import NAT, codes_of, duration_ns, start_ns, text_array
from traceanalytics.spans.other_attributes import columns_of_others
from traceanalytics.spans.report import read_report
from traceanalytics.spans.schema import check_spans
from traceanalytics.spans.unpacking import attribute_columns, unpack_events, unpack_links
from traceanalytics.topology import Flag, Forest
from traceanalytics.traceql.nested_sets import nested_sets
from traceanalytics.traceql.values import Piece, Value, is_single, presence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from traceanalytics.traceql.conditions import Field

__all__ = ["Columns"]

_TEXT_COLUMNS: Final = {
    "span:name": "name",
    "span:id": "span_id",
    "span:parentID": "parent_span_id",
    "span:status": "status",
    "span:kind": "kind",
    "trace:id": "trace_id",
    "instrumentation:name": "scope_name",
    "instrumentation:version": "scope_version",
}
_SERVICE: Final = "resource.service.name"


class Columns:
    """The columns that a query needs, each looked up and converted once."""

    def __init__(self, spans: pd.DataFrame, fields: Iterable[Field]) -> None:
        self.spans = spans
        names = {
            name for field in fields if field.scope not in ("intrinsic", "event", "link") for name in _names(field)
        }
        self._others = columns_of_others(spans, sorted(names)) if names else {}
        self._known: dict[tuple[str, str, bool], Value] = {}

    def value(self, field: Field) -> Value:
        """Return the values of a field."""
        key = (field.scope, field.key, field.parent)
        if key not in self._known:
            pieces = self._intrinsic(field.key) if field.scope == "intrinsic" else self._attribute(field)
            if field.parent:
                pieces = tuple(taken(piece, self.forest.parent) for piece in pieces)
            self._known[key] = Value(tuple(pieces), field.items)
        return self._known[key]

    def lifted(self, value: Value, items: str) -> tuple[Piece, ...]:
        """Return the values of spans as values of their items."""
        if value.items == items:
            return value.pieces
        return tuple(taken(piece, self.rows(items)) for piece in value.pieces)

    def reduced(self, mask: Any, items: str) -> Any:
        """Return where any item of a span fulfils a condition."""
        if not items:
            return mask
        rows = self.rows(items)
        found = np.zeros(len(self.spans), bool)
        found[rows[np.broadcast_to(mask, len(rows))]] = True
        return found

    def rows(self, items: str) -> NDArray[np.int64]:
        """Return the row of the span of every event or link."""
        found: NDArray[np.int64] = (self._events if items == "event" else self._links).row
        return found

    @functools.cached_property
    def forest(self) -> Forest:
        """The trees of the spans."""
        return Forest(self.spans)

    @functools.cached_property
    def _events(self) -> Any:
        check_spans(self.spans, "events")
        return unpack_events(self.spans["events"])

    @functools.cached_property
    def _links(self) -> Any:
        check_spans(self.spans, "links")
        return unpack_links(self.spans["links"])

    @functools.cached_property
    def _text_like_json(self) -> frozenset[str]:
        report = read_report(self.spans)
        return frozenset(report.text_like_json) if report else frozenset()

    @functools.cached_property
    def _item_attributes(self) -> dict[str, dict[str, Any]]:
        return {}

    def _attribute(self, field: Field) -> tuple[Piece, ...]:
        columns: list[tuple[str, pd.Series]] = []
        if field.items:
            if field.items not in self._item_attributes:
                found = self._events if field.items == "event" else self._links
                self._item_attributes[field.items] = attribute_columns(field.items, found.attributes)
            name = f"{field.items}.{field.key}"
            if name in self._item_attributes[field.items]:
                columns = [(name, pd.Series(self._item_attributes[field.items][name], copy=False))]
        else:
            for name in _names(field):
                stored = "service" if name == _SERVICE and "service" in self.spans.columns else name
                if stored in self.spans.columns:
                    columns.append((name, self.spans[stored]))
                if name in self._others:
                    columns.append((name, self._others[name]))
        pieces = [piece_of(column, arrays=name not in self._text_like_json) for name, column in columns]
        return _disjoint(pieces, len(self.spans))

    def _intrinsic(self, name: str) -> tuple[Piece, ...]:
        if name in _TEXT_COLUMNS:
            check_spans(self.spans, _TEXT_COLUMNS[name])
            piece = _text(self.spans[_TEXT_COLUMNS[name]])
            kind = {"span:status": "status", "span:kind": "kind"}.get(name, "string")
            return (Piece(kind, piece.data, piece.codes),)
        made: dict[str, Callable[[], Piece]] = {
            "span:duration": self._duration,
            "span:statusMessage": self._status_message,
            "span:childCount": self._child_count,
            "trace:duration": self._trace_duration,
            "trace:rootName": lambda: self._of_root("name"),
            "trace:rootService": lambda: self._of_root("service"),
            "event:name": lambda: _text(pd.Series(self._events.name, copy=False)),
            "event:timeSinceStart": self._since_start,
            "link:traceID": lambda: Piece(
                "string", pa.array([x.trace_id for x in self._links.items], pa.large_string())
            ),
            "link:spanID": lambda: Piece("string", pa.array([x.span_id for x in self._links.items], pa.large_string())),
        }
        if name in made:
            return (made[name](),)
        return (Piece("int", *self._nested[name]),)

    def _duration(self) -> Piece:
        check_spans(self.spans, "duration_ms")
        nanoseconds, known = duration_ns(self.spans["duration_ms"])
        return Piece("duration", nanoseconds, None, known)

    def _status_message(self) -> Piece:
        """OTLP has no missing message, only an empty one."""
        check_spans(self.spans, "status_message")
        return Piece("string", text_array(self.spans["status_message"]).fill_null(""))

    def _child_count(self) -> Piece:
        forest = self.forest
        return Piece("int", np.diff(forest.child_offsets)[: len(self.spans)].astype(np.int64), None, forest.depth >= 0)

    def _trace_duration(self) -> Piece:
        forest = self.forest
        timed, trace = forest.timed, forest.trace
        first = np.full(forest.n_traces, np.iinfo(np.int64).max)
        last = np.full(forest.n_traces, NAT)
        np.minimum.at(first, trace[timed], forest.start[timed])
        np.maximum.at(last, trace[timed], forest.end[timed])
        known = last != NAT
        return Piece("duration", np.where(known, last - np.where(known, first, 0), 0)[trace], None, known[trace])

    def _of_root(self, column: str) -> Piece:
        """Return a column at the root of each trace: the span without parent id, not an orphan."""
        forest = self.forest
        main = forest.main_root
        real = (main >= 0) & ((forest.flags[main] & (Flag.ORPHAN | Flag.CYCLE | Flag.SELF_PARENT)) == 0)
        return taken(_text(self.spans[column]), np.where(real, main, -1)[forest.trace])

    def _since_start(self) -> Piece:
        check_spans(self.spans, "start_time")
        found = self._events
        start = start_ns(self.spans["start_time"])[found.row]
        known = (found.time != NAT) & (start != NAT)
        return Piece("duration", np.where(known, found.time - np.where(known, start, 0), 0), None, known)

    @functools.cached_property
    def _nested(self) -> dict[str, tuple[NDArray[np.int64], None, NDArray[np.bool_]]]:
        left, right, parent = nested_sets(self.forest)
        known = self.forest.depth >= 0
        return {
            "nestedSetLeft": (left, None, known),
            "nestedSetRight": (right, None, known),
            "nestedSetParent": (parent, None, known),
        }


def _names(field: Field) -> list[str]:
    scopes = (field.scope,) if field.scope else ("span", "resource")
    return [f"{scope}.{field.key}" for scope in scopes]


def _disjoint(pieces: list[Piece], n_rows: int) -> tuple[Piece, ...]:
    """Return the pieces without the values of spans that have one in a piece before."""
    if len(pieces) < 2:
        return tuple(pieces)
    made, before = [], np.zeros(n_rows, bool)
    for piece in pieces:
        here = presence(piece) & ~before
        made.append(Piece(piece.type, piece.data, piece.codes, here, piece.arrays))
        before |= here
    return tuple(made)


def taken(piece: Piece, rows: NDArray[Any]) -> Piece:
    """Return the values of rows, none for the row -1."""
    if is_single(piece):
        return piece
    data, codes = piece.data, piece.codes
    if codes is not None:
        codes = np.append(codes, np.int32(-1))[rows]
    elif isinstance(data, pa.Array):
        data = data.take(pa.array(rows, mask=rows < 0))
    else:
        data = np.append(data, np.zeros(1, data.dtype))[rows]
    present = piece.present
    if present is not None or (codes is None and not isinstance(data, pa.Array)):
        present = (rows >= 0) if present is None else np.append(present, False)[rows]
    return Piece(piece.type, data, codes, present, piece.arrays)


def piece_of(column: pd.Series, *, arrays: bool) -> Piece:
    """Return a column of any type as values."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        if pd.api.types.is_string_dtype(dtype.categories.dtype) or not len(dtype.categories):
            return _text(column, arrays=arrays)
        return piece_of(column.astype(dtype.categories.dtype), arrays=arrays)
    missing = column.isna().to_numpy(bool)
    present = ~missing if missing.any() else None
    if pd.api.types.is_bool_dtype(dtype):
        return Piece(
            "boolean", column.to_numpy(bool, na_value=False) if missing.any() else column.to_numpy(bool), None, present
        )
    if pd.api.types.is_integer_dtype(dtype) and dtype.name.lower() != "uint64":
        return Piece(
            "int", column.to_numpy(np.int64, na_value=0) if missing.any() else column.to_numpy(np.int64), None, present
        )
    if pd.api.types.is_float_dtype(dtype):
        return Piece("float", column.to_numpy(np.float64, na_value=np.nan), None, present)
    return _text(column, arrays=arrays)


def _text(column: pd.Series, *, arrays: bool = False) -> Piece:
    """Return a column of texts: of categories the labels, of anything else one text a row."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, labels = codes_of(column)
        return Piece("string", text_array(labels.to_series()), codes, None, arrays)
    return Piece("string", text_array(column), None, None, arrays)
