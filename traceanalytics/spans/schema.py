"""The columns of a span frame: names, types, order; and the checks that every function makes first."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from traceanalytics.errors import SchemaError, near

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CORE",
    "KIND",
    "OPTIONAL",
    "OTHER_ATTRIBUTES",
    "REPORT_KEY",
    "STATUS",
    "check_spans",
    "is_attribute_column",
    "matches_any",
    "scope_and_key",
]

KIND = pd.CategoricalDtype(["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"])
"""Span kinds in OpenTelemetry's order, so that a code is the protocol's number."""

STATUS = pd.CategoricalDtype(["UNSET", "OK", "ERROR"], ordered=True)
"""Span statuses, ordered: the maximum of a trace is its worst status."""

CORE: dict[str, str | pd.CategoricalDtype] = {
    "trace_id": "category",
    "span_id": "str",
    "parent_span_id": "str",
    "name": "category",
    "service": "category",
    "kind": KIND,
    "start_time": "datetime64[ns, UTC]",
    "duration_ms": "float64",
    "status": STATUS,
    "status_message": "str",
    "trace_state": "str",
    "trace_flags": "UInt32",
    "scope_name": "category",
    "scope_version": "category",
    "events": "str",
    "links": "str",
}
"""The columns that every span frame has, in this order."""

OPTIONAL: dict[str, str] = {
    "dropped_attributes": "Int64",
    "dropped_events": "Int64",
    "dropped_links": "Int64",
    "scope_schema_url": "category",
    "scope_dropped_attributes": "Int64",
    "resource_schema_url": "category",
    "resource_dropped_attributes": "Int64",
}
"""Columns that are there only where a source had something for them."""

OTHER_ATTRIBUTES = "other_attributes"
"""JSON text of the attributes too rare (or not chosen) for a column of their own."""

REPORT_KEY = "traceanalytics"
"""The key of ``DataFrame.attrs`` under which the read report travels."""

_SCOPES = ("span", "resource", "instrumentation")


def is_attribute_column(name: object) -> bool:
    """Tell whether a column holds an attribute: ``span.*``, ``resource.*`` or ``instrumentation.*``."""
    return isinstance(name, str) and name.startswith(("span.", "resource.", "instrumentation."))


def scope_and_key(name: str) -> tuple[str, str]:
    """Split a column's name into scope and attribute key; a bare key has the scope "".

    >>> scope_and_key("span.http.route"), scope_and_key("http.route")
    (('span', 'http.route'), ('', 'http.route'))
    """
    scope, dot, key = name.partition(".")
    return (scope, key) if dot and scope in _SCOPES else ("", name)


def matches_any(name: str, patterns: Sequence[str]) -> bool:
    """Tell whether a glob pattern matches an attribute column, with its scope or without.

    >>> matches_any("span.http.route", ["http.*"]), matches_any("span.http.route", ["resource.*"])
    (True, False)
    """
    key = scope_and_key(name)[1]
    return any(fnmatch.fnmatchcase(name, p) or fnmatch.fnmatchcase(key, p) for p in patterns)


def check_spans(spans: pd.DataFrame, *columns: str) -> None:
    """Raise :class:`SchemaError` unless ``spans`` is a frame with a unique index and these core columns.

    Every per-span result is joined back by index, so a repeated label would multiply rows in silence.
    """
    if not isinstance(spans, pd.DataFrame):
        raise SchemaError(
            f"expected a span frame (pandas.DataFrame), found {type(spans).__name__}; read one with ta.read(source), or make one with ta.conform(frame)"
        )
    if not spans.columns.is_unique:
        twice = spans.columns[spans.columns.duplicated()][0]
        raise SchemaError(f"column {twice!r} stands more than once in the frame; keep one of them")
    missing = [c for c in columns or CORE if c not in spans.columns]
    if missing:
        hints = "".join(near(m, spans.columns) for m in missing[:1])
        raise SchemaError(
            f"the frame lacks the column{'s' if len(missing) > 1 else ''} {', '.join(map(repr, missing))}{hints} ta.conform(frame, columns={{theirs: ours}}) makes a span frame of any frame of spans"
        )
    _check_index(spans.index)
    if "start_time" in spans.columns and (not columns or "start_time" in columns):
        _check_instants(spans["start_time"])


def _check_index(index: pd.Index) -> None:
    if index.is_unique:
        return
    again = index.duplicated()
    label = index[again][0]
    first, second = np.flatnonzero(index == label)[:2]
    raise SchemaError(
        f"the index repeats {int(again.sum()):,} labels ({label!r} at rows {first} and {second}), so a per-span result cannot be joined back; "
        "use spans.reset_index(drop=True), or ta.concat in place of pd.concat"
    )


def _check_instants(start: pd.Series) -> None:
    if not isinstance(start.dtype, pd.DatetimeTZDtype):
        raise SchemaError(
            f"start_time has the type {start.dtype}, expected datetime64[ns, UTC]; ta.conform(frame) converts it, and asks for a time zone where there is none"
        )
