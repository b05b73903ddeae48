"""One builder of columns for every format: readers add spans, the builder makes the span frame.

A span is added whole or not at all: everything that can be refused is refused before the first value is stored. Resources
and scopes are stored once and referred to by number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from traceanalytics.errors import FormatError
from traceanalytics.io.values import INT64_MAX, INT64_MIN, shown
from traceanalytics.spans.attribute_columns import AttributeStore, text_column
from traceanalytics.spans.columns import NAT, coded, duration_ms, instants
from traceanalytics.spans.schema import CORE, KIND, OPTIONAL, STATUS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["NO_RESOURCE", "NO_SCOPE", "SpanBuilder"]

NO_RESOURCE: Final = 0
NO_SCOPE: Final = 0
_UNKNOWN: Final = NAT  # of a duration, too: no span lasts minus 292 years
_EXACT_NS: Final = (2**32) * 1_000_000

Attributes = dict[str, Any]


class SpanBuilder:
    """Collects spans column by column.

    Parameters
    ----------
    note
        Called as ``note(reason, detail, count)`` for every change that the builder makes to what it was given.
    """

    def __init__(self, note: Callable[[str, str, int], None]) -> None:
        self._note = note
        self._text: dict[str, list[str | None]] = {
            c: []
            for c in (
                "trace_id",
                "span_id",
                "parent_span_id",
                "name",
                "status_message",
                "trace_state",
                "events",
                "links",
            )
        }
        self._numbers: dict[str, list[int]] = {
            c: [] for c in ("start", "duration", "kind", "status", "flags", "resource", "scope")
        }
        self._dropped: dict[str, dict[int, int]] = {
            c: {} for c in ("dropped_attributes", "dropped_events", "dropped_links")
        }
        self._attributes = AttributeStore()
        self._resources: list[tuple[Attributes, str | None, int]] = [({}, None, 0)]
        self._scopes: list[tuple[str | None, str | None, Attributes, str | None, int]] = [(None, None, {}, None, 0)]
        self._interned: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._numbers["start"])

    def resource(self, attributes: Attributes, *, schema_url: str | None = None, dropped: int = 0) -> int:
        """Return the number of a resource; equal ones share it. ``service.name`` among the attributes is the service."""
        if not attributes and not schema_url and not dropped:
            return NO_RESOURCE
        value = (attributes, schema_url or None, dropped)
        return self._intern("r", self._resources, value)

    def scope(
        self,
        name: str | None,
        version: str | None,
        attributes: Attributes | None = None,
        *,
        schema_url: str | None = None,
        dropped: int = 0,
    ) -> int:
        """Return the number of an instrumentation scope; equal ones share it."""
        if not (name or version or attributes or schema_url or dropped):
            return NO_SCOPE
        value = (name or None, version or None, attributes or {}, schema_url or None, dropped)
        return self._intern("s", self._scopes, value)

    def _intern(self, prefix: str, store: list[Any], value: tuple[Any, ...]) -> int:
        # The types belong to the key, for 1, 1.0 and True are equal; the order of attributes does not.
        key = prefix + repr(
            [v if not isinstance(v, dict) else sorted((k, type(x).__name__, x) for k, x in v.items()) for v in value]
        )
        at = self._interned.get(key)
        if at is None:
            at = self._interned[key] = len(store)
            store.append(value)
        return at

    def add(
        self,
        *,
        trace_id: str | None,
        span_id: str | None,
        parent_span_id: str | None = None,
        name: str | None = None,
        resource: int = NO_RESOURCE,
        scope: int = NO_SCOPE,
        kind: int = 0,
        start_ns: int | None = None,
        duration_ns: int | None = None,
        status: int = 0,
        status_message: str | None = None,
        trace_state: str | None = None,
        trace_flags: int | None = None,
        attributes: Attributes | None = None,
        events: str | None = None,
        links: str | None = None,
        dropped: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        """Add one span. Attribute values are str, bool, int (64 bits), float or ``JsonText``; None is left out."""
        if not trace_id:
            raise FormatError(f"span {shown(span_id)} has no trace id")
        if not span_id:
            raise FormatError(f"a span of trace {shown(trace_id)} has no span id")
        _check_times(span_id, start_ns, duration_ns)
        if trace_flags is not None and not 0 <= trace_flags < 2**32:
            raise FormatError(f"span {shown(span_id)}: trace flags {shown(trace_flags)} do not fit into 32 bits")
        row = len(self)
        text = self._text
        text["trace_id"].append(trace_id)
        text["span_id"].append(span_id)
        text["parent_span_id"].append(parent_span_id or None)
        text["name"].append(name if name is not None else "")
        text["status_message"].append(status_message or None)
        text["trace_state"].append(trace_state or None)
        text["events"].append(events)
        text["links"].append(links)
        numbers = self._numbers
        numbers["start"].append(NAT if start_ns is None else start_ns)
        numbers["duration"].append(_UNKNOWN if duration_ns is None else duration_ns)
        numbers["kind"].append(kind)
        numbers["status"].append(status)
        numbers["flags"].append(-1 if trace_flags is None else trace_flags)
        numbers["resource"].append(resource)
        numbers["scope"].append(scope)
        for column, count in zip(self._dropped, dropped, strict=True):
            if count:
                self._dropped[column][row] = count
        if attributes:
            self._attributes.add(row, attributes)

    def frame(self, attributes: Sequence[str] | None = None) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """Return the span frame, and the columns in which a text looks like the JSON text of an array or map."""
        count = len(self)
        columns = self._core()
        columns |= self._optional(count)
        resources, scopes = np.array(self._numbers["resource"], np.int64), np.array(self._numbers["scope"], np.int64)
        found, ambiguous = self._attributes.columns(
            count,
            per_row=(
                ("resource", [_without_service(r[0]) for r in self._resources], resources),
                ("instrumentation", [s[2] for s in self._scopes], scopes),
            ),
            chosen=attributes,
            note=self._note,
        )
        return pd.DataFrame(columns | found, copy=False), ambiguous

    def _core(self) -> dict[str, Any]:
        numbers = {c: np.array(v, np.int64) for c, v in self._numbers.items()}
        duration = numbers["duration"]
        known = duration != _UNKNOWN
        long = int((np.abs(duration[known]) >= _EXACT_NS).sum())
        if long:
            self._note("duration beyond 49.7 days, no longer exact to the nanosecond", "", long)
        flags = numbers["flags"]
        services = [_service(r[0]) for r in self._resources]
        text: dict[str, Any] = {c: text_column(v, note=self._note) for c, v in self._text.items()}
        made: dict[str, Any] = text | {
            "service": _taken(services, numbers["resource"], self._note),
            "kind": pd.Categorical.from_codes(numbers["kind"], dtype=KIND),
            "status": pd.Categorical.from_codes(numbers["status"], dtype=STATUS),
            "start_time": instants(numbers["start"]),
            "duration_ms": np.where(known, duration_ms(np.where(known, duration, 0)), np.nan),
            "trace_flags": pd.arrays.IntegerArray(np.where(flags < 0, 0, flags).astype(np.uint32), flags < 0),
            "scope_name": _taken([s[0] for s in self._scopes], numbers["scope"], self._note),
            "scope_version": _taken([s[1] for s in self._scopes], numbers["scope"], self._note),
        }
        for column in ("trace_id", "name"):
            words = pa.array(text[column], pa.large_string())
            words = (words.combine_chunks() if isinstance(words, pa.ChunkedArray) else words).dictionary_encode()
            made[column] = coded(words.indices.fill_null(-1).to_numpy(zero_copy_only=False), words.dictionary)
        return {column: made[column] for column in CORE}

    def _optional(self, count: int) -> dict[str, Any]:
        resource, scope = np.array(self._numbers["resource"], np.int64), np.array(self._numbers["scope"], np.int64)
        made: dict[str, Any] = {}
        for column, by_row in self._dropped.items():
            if by_row:
                made[column] = _counts(
                    np.fromiter(by_row, np.int64, len(by_row)),
                    np.fromiter(by_row.values(), np.int64, len(by_row)),
                    count,
                )
        for column, values, rows in (
            ("scope_schema_url", [s[3] for s in self._scopes], scope),
            ("resource_schema_url", [r[1] for r in self._resources], resource),
        ):
            if any(values[at] for at in np.unique(rows)):
                made[column] = _taken(values, rows, self._note)
        for column, dropped, rows in (
            ("scope_dropped_attributes", np.array([s[4] for s in self._scopes]), scope),
            ("resource_dropped_attributes", np.array([r[2] for r in self._resources]), resource),
        ):
            at = np.flatnonzero(dropped[rows])
            if len(at):
                made[column] = _counts(at, dropped[rows][at], count)
        return {column: made[column] for column in OPTIONAL if column in made}


def _check_times(span_id: str, start_ns: int | None, duration_ns: int | None) -> None:
    if start_ns is not None and not INT64_MIN < start_ns <= INT64_MAX:
        raise FormatError(
            f"span {shown(span_id)}: start time {shown(start_ns)} ns lies outside of the years 1677 to 2262"
        )
    if duration_ns is not None:
        if not -INT64_MAX < duration_ns <= INT64_MAX:
            raise FormatError(f"span {shown(span_id)}: a duration of {shown(duration_ns)} ns does not fit into 64 bits")
        if start_ns is not None and not INT64_MIN < start_ns + duration_ns <= INT64_MAX:
            raise FormatError(
                f"span {shown(span_id)}: it would end outside of the years 1677 to 2262 (start {start_ns} ns, duration {duration_ns} ns)"
            )


def _service(attributes: Attributes) -> str | None:
    value = attributes.get("service.name")
    return None if value is None or value == "" else str(value)


def _without_service(attributes: Attributes) -> Attributes:
    return {k: v for k, v in attributes.items() if k != "service.name"}


def _taken(values: Sequence[str | None], rows: Any, note: Callable[[str, str, int], None]) -> pd.Categorical:
    """Return a categorical: the value of a resource or scope for each row, labels sorted."""
    words = sorted({v for v in values if v is not None})
    at = {word: i for i, word in enumerate(words)} | {None: -1}
    return coded(np.array([at[v] for v in values], np.int64)[rows], text_column(words, note=note))


def _counts(rows: Any, values: Any, count: int) -> pd.arrays.IntegerArray:
    data, missing = np.zeros(count, np.int64), np.ones(count, bool)
    data[rows], missing[rows] = values, False
    return pd.arrays.IntegerArray(data, missing)
