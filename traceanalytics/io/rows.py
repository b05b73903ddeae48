"""Span frames as plain Python records, for the writers: columns become lists once, and no row is asked of pandas.

``span_table(spans)`` numbers the different resources and scopes, and iterates the spans: traces whole, in the order in which
each first appears, the spans of a trace in the order of the frame. Rows are made some thousands at a time, so that a large
frame never stands in the memory twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
import pandas as pd

from traceanalytics.errors import SchemaError
from traceanalytics.io.row_columns import (
    attribute_maps,
    counts_of,
    enum_codes,
    flags_of,
    items_of,
    others_of,
    texts_of,
    texts_or_none,
)
from traceanalytics.spans.columns import NAT, codes_of, duration_ns, start_ns, text_array
from traceanalytics.spans.report import read_report
from traceanalytics.spans.schema import KIND, OTHER_ATTRIBUTES, STATUS, check_spans, scope_and_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["Event", "Link", "Resource", "Scope", "SpanRow", "SpanTable", "span_table"]

_BLOCK: Final = 20_000
_DROPPED: Final = ("dropped_attributes", "dropped_events", "dropped_links")

Attributes = dict[str, Any]
"""Attribute values by key: str, bool, int, float, or natural JSON: list, dict; ``{"bytesValue": base64}`` for bytes."""


class Event(msgspec.Struct):
    """One event; time in nanoseconds since 1970, attributes in natural JSON."""

    time: int | None = None
    name: str | None = None
    attributes: Attributes = {}
    dropped_attributes: int = 0


class Link(msgspec.Struct):
    """One link; attributes in natural JSON."""

    trace_id: str | None = None
    span_id: str | None = None
    trace_state: str | None = None
    attributes: Attributes = {}
    flags: int | None = None
    dropped_attributes: int = 0


class Resource(NamedTuple):
    """What the spans of one process share; the service is the attribute ``service.name``."""

    attributes: Attributes
    schema_url: str | None
    dropped_attributes: int


class Scope(NamedTuple):
    """An instrumentation scope."""

    name: str | None
    version: str | None
    attributes: Attributes
    schema_url: str | None
    dropped_attributes: int


class SpanRow(NamedTuple):
    """One span. Lists and maps may be shared between rows: they are to be read only."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    service: str | None
    kind: int
    start_ns: int | None
    duration_ns: int | None
    status: int
    status_message: str | None
    trace_state: str | None
    trace_flags: int | None
    resource: int
    scope: int
    attributes: Attributes
    events: Sequence[Event]
    links: Sequence[Link]
    dropped_attributes: int
    dropped_events: int
    dropped_links: int


@dataclass(frozen=True)
class SpanTable:
    """A span frame taken apart.

    Attributes
    ----------
    resources, scopes
        The different ones; ``SpanRow.resource`` and ``SpanRow.scope`` are their numbers.
    """

    resources: list[Resource]
    scopes: list[Scope]
    _spans: pd.DataFrame
    _resource: NDArray[np.int64]
    _scope: NDArray[np.int64]
    _plain: frozenset[str]

    def __len__(self) -> int:
        return len(self._spans)

    def __iter__(self) -> Iterator[SpanRow]:
        """Yield the spans: traces whole, in the order of their first appearance."""
        codes, _ = codes_of(self._spans["trace_id"])
        order = np.argsort(pd.factorize(codes)[0], kind="stable")
        for low in range(0, len(order), _BLOCK):
            at = order[low : low + _BLOCK]
            yield from _block(self._spans.take(at), self._resource[at], self._scope[at], self._plain)


def span_table(spans: pd.DataFrame) -> SpanTable:
    """Return a span frame as records.

    Parameters
    ----------
    spans
        A span frame. A column of text holds an array, map or bytes where a cell is JSON in this package's own spelling, unless
        the read report lists the column among its ``text_like_json``.

    Raises
    ------
    SchemaError
        A column is missing, a span has no trace id or no span id, or a cell is not what its column is documented to hold.
    """
    check_spans(spans)
    for column in ("trace_id", "span_id"):
        without = spans[column].isna().to_numpy()
        if without.any():
            raise SchemaError(
                f"{int(without.sum()):,} spans have no {column} (index {spans.index[int(np.argmax(without))]!r} is the first), and no format stores such; leave them out: spans[spans.{column}.notna()]"
            )
    report = read_report(spans)
    plain = frozenset(report.text_like_json) if report else frozenset()
    others = {scope: _others(spans, scope) for scope in ("resource", "instrumentation")}
    resource, first = _numbered(
        _of_scope(spans, "resource", "service", "resource_schema_url", "resource_dropped_attributes"),
        others["resource"],
        len(spans),
    )
    resources = [
        Resource(found, url, dropped)
        for found, url, dropped in _owners(spans.take(first), "resource", others["resource"], first, plain)
    ]
    scope, first = _numbered(
        _of_scope(
            spans, "instrumentation", "scope_name", "scope_version", "scope_schema_url", "scope_dropped_attributes"
        ),
        others["instrumentation"],
        len(spans),
    )
    part = spans.take(first)
    scopes = [
        Scope(name, version, *rest)
        for name, version, rest in zip(
            texts_of(part["scope_name"]),
            texts_of(part["scope_version"]),
            _owners(part, "instrumentation", others["instrumentation"], first, plain),
            strict=True,
        )
    ]
    return SpanTable(resources, scopes, spans, resource, scope, plain)


def _of_scope(spans: pd.DataFrame, scope: str, *columns: str) -> list[pd.Series]:
    return [c for name, c in spans.items() if name in columns or scope_and_key(str(name))[0] == scope]


def _numbered(
    columns: list[pd.Series], others: list[str | None], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of each row's combination of values, and the first row of each number."""
    number = np.zeros(count, np.int64)
    more = [pd.Series(others, dtype="str")] if others else []
    for column in [*columns, *more]:
        values = column.astype("str") if column.dtype == object else column
        codes = np.asarray(pd.factorize(values)[0], np.int64) + 1  # 0: missing
        if codes.any():
            number, _ = pd.factorize(number * (int(codes.max()) + 1) + codes)
    _, first = np.unique(number, return_index=True)
    return number, first


def _others(spans: pd.DataFrame, scope: str) -> list[str | None]:
    """Return the part of ``other_attributes`` that belongs to a scope, as text by row, to compare; [] if there is none."""
    if OTHER_ATTRIBUTES not in spans.columns:
        return []
    found: list[str | None] = [None] * len(spans)
    for row, cell in enumerate(text_array(spans[OTHER_ATTRIBUTES]).to_pylist()):
        if cell is not None and f'"{scope}.' in cell:
            kept = others_of(cell, scope, spans.index[row])
            found[row] = repr(sorted(kept.items())) if kept else None  # which tells 1 from True and 1.0
    return found if any(found) else []


def _owners(
    part: pd.DataFrame, scope: str, others: list[str | None], rows: NDArray[np.int64], plain: frozenset[str]
) -> Iterator[tuple[Attributes, str | None, int]]:
    """Yield attributes, schema URL and dropped count of each resource or scope; ``part`` has one row for each."""
    attributes = attribute_maps(part, scope, plain)
    owner = "resource" if scope == "resource" else "scope"
    urls, dropped = texts_or_none(part, f"{owner}_schema_url"), counts_of(part, f"{owner}_dropped_attributes")
    if scope == "resource":
        for found, service in zip(attributes, texts_of(part["service"]), strict=True):
            if service is not None:
                found["service.name"] = service
    if others:
        cells = texts_of(part[OTHER_ATTRIBUTES])
        for found, row, cell, label in zip(attributes, rows.tolist(), cells, part.index, strict=True):
            if others[row] is not None and cell is not None:
                found.update(others_of(cell, scope, label))
    return zip(attributes, urls, dropped, strict=True)


def _block(
    spans: pd.DataFrame, resource: NDArray[np.int64], scope: NDArray[np.int64], plain: frozenset[str]
) -> Iterator[SpanRow]:
    duration, known = duration_ns(spans["duration_ms"])
    columns = (
        texts_of(spans["trace_id"]),
        texts_of(spans["span_id"]),
        texts_of(spans["parent_span_id"]),
        [name or "" for name in texts_of(spans["name"])],
        texts_of(spans["service"]),
        enum_codes(spans["kind"], KIND),
        [None if ns == NAT else ns for ns in start_ns(spans["start_time"]).tolist()],
        [ns if is_known else None for ns, is_known in zip(duration.tolist(), known.tolist(), strict=True)],
        enum_codes(spans["status"], STATUS),
        texts_of(spans["status_message"]),
        texts_of(spans["trace_state"]),
        flags_of(spans["trace_flags"]),
        resource.tolist(),
        scope.tolist(),
        attribute_maps(spans, "span", plain, with_others=True),
        items_of(spans["events"], _EVENTS, "time, name and attributes"),
        items_of(spans["links"], _LINKS, "trace_id, span_id and attributes"),
        *(counts_of(spans, column) for column in _DROPPED),
    )
    return map(SpanRow._make, zip(*columns, strict=True))


_EVENTS: Final = msgspec.json.Decoder(list[Event])
_LINKS: Final = msgspec.json.Decoder(list[Link])
