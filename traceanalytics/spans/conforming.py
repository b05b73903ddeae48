"""Any frame of spans as a span frame, or exactly what is wrong with it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from traceanalytics.errors import SchemaError, near
from traceanalytics.spans.attribute_conversion import attribute_array, attributes_of_maps
from traceanalytics.spans.cell_conversion import event_cells, link_cells
from traceanalytics.spans.columns import NAT, categorise, coded, instants
from traceanalytics.spans.common_types import coalesced
from traceanalytics.spans.conversion import category, counts, identifiers, kinds, plain, statuses, texts
from traceanalytics.spans.recognition import DURATIONS, MAPS, NANOSECONDS, STARTS, recognise
from traceanalytics.spans.report import ReadReport, join_reports, put_report, read_report
from traceanalytics.spans.schema import (
    CORE,
    KIND,
    OPTIONAL,
    OTHER_ATTRIBUTES,
    STATUS,
    check_spans,
    is_attribute_column,
    scope_and_key,
)
from traceanalytics.spans.time_conversion import duration_in_ms, epoch_ns, instant_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

__all__ = ["conform", "empty_frame", "in_order"]

_SCOPES = ("span", "resource", "instrumentation")


def conform(frame: pd.DataFrame, *, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Make a span frame of any frame of spans, or say exactly what is wrong with it.

    Common spellings of columns are recognised (``traceId``, ``parentSpanId``, ``operationName``, ``serviceName``, ``SpanKind``,
    ``StatusCode``, ...); name others in ``columns``. A frame that is a span frame already is mended: types, order of columns,
    labels that nothing uses. Rows and index stay as they are.

    Parameters
    ----------
    frame
        One row a span, with a unique index. Required are a trace id, a span id and a name; everything else may be absent and is
        then missing. Understood are:

        - ids as hex text (any case, ``0x``, UUIDs) or bytes; empty and all-zero ones become missing, others stay as they are;
        - starts as instants with a time zone (``start_time``), or as numbers since 1970 in ``start_ns``, ``start_us``,
          ``start_ms`` or ``start_s``; numbers without a unit and instants without a time zone are refused;
        - durations as ``duration_ns``, ``_us``, ``_ms``, ``_s`` or timedeltas; else the end as ``end_time``, ``end_ns`` and so on;
        - kinds and statuses as names or OTLP's numbers in any spelling (``SPAN_KIND_SERVER``, ``Server``, 2; ``Error``);
        - ``attributes``, ``resource`` and ``scope_attributes`` as dicts or JSON text of them; columns ``span.<key>``,
          ``resource.<key>``, ``instrumentation.<key>`` of any type;
        - ``events`` and ``links`` as lists of dicts, or JSON text of them. Events have ``time`` (integer nanoseconds since 1970 or
          an instant), ``name``, ``attributes``; links ``trace_id``, ``span_id``, ``trace_state``, ``attributes``, ``flags``.
    columns
        Their name -> our name, where it is not recognised; ``{"Duration": "duration_ns"}`` says the unit.

    Returns
    -------
    pandas.DataFrame
        A new span frame on the index of ``frame``: core columns, optional ones, ``span.*``, ``resource.*``,
        ``instrumentation.*``, ``other_attributes``, then the columns that have no meaning here, unchanged. ``attrs`` are kept.

    Raises
    ------
    SchemaError
        Naming column, row, value and what was expected.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> frame = pd.DataFrame({"traceId": ["4BF92F3577B34DA6A3CE929D0E0E4736"], "spanId": ["00f067aa0ba902b7"],
    ...     "operationName": ["GET /"], "start_us": [1778768625000000], "duration_us": [12500], "SpanKind": ["Server"],
    ...     "attributes": [{"http.route": "/", "http.response.status_code": 200}], "resource": [{"service.name": "web"}]})
    >>> ta.conform(frame)[["span_id", "service", "kind", "duration_ms", "span.http.route"]]
                span_id service    kind  duration_ms span.http.route
    0  00f067aa0ba902b7     web  SERVER         12.5               /
    """
    if not isinstance(frame, pd.DataFrame):
        raise SchemaError(f"expected a pandas.DataFrame with one row a span, found {type(frame).__name__}")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise SchemaError(f"column {twice!r} stands more than once in the frame; keep one of them")
    source = _Source(frame, recognise(frame, columns or {}))
    source.check_required()
    notes: Counter[str] = Counter()
    made = _core(source) | _optional(source)
    attributes, ambiguous = _attributes(source, made, notes)
    made |= attributes
    extras = {name: frame[name] for name in frame.columns if name not in source.used}
    result = pd.DataFrame({name: made[name] for name in in_order(made)} | extras, index=frame.index)
    result.attrs = dict(frame.attrs)
    if notes or ambiguous:
        found = ReadReport(("frame",), ("<frame>",), 0, 0, dict(notes), text_like_json=ambiguous)
        report = join_reports([read_report(frame), found])
        assert report is not None
        put_report(result, report)
    return result


class _Source:
    """The columns of the frame by our names, and which of them have been used."""

    def __init__(self, frame: pd.DataFrame, found: dict[str, str]) -> None:
        self.frame = frame
        self.found = found
        self.used: set[str] = set()

    def check_required(self) -> None:
        ours = pd.DataFrame(
            {name: 0 for name in ("trace_id", "span_id", "name") if name in self.found}, self.frame.index
        )
        lacking = [name for name in ("trace_id", "span_id", "name") if name not in ours]
        if lacking:
            names = " and ".join(name + near(name, self.frame.columns) for name in lacking)
            raise SchemaError(
                f"among the columns {', '.join(map(repr, self.frame.columns))} there is none for {names}; name it with columns={{theirs: {lacking[0]!r}}}"
            )
        check_spans(ours, "trace_id", "span_id", "name")

    def first(self, names: Iterable[str]) -> str | None:
        return next((name for name in names if name in self.found), None)

    def column(self, name: str) -> pd.Series | None:
        """Return a column by our name, marked as used; None where the frame has none."""
        theirs = self.found.get(name)
        if theirs is None:
            return None
        self.used.add(theirs)
        return plain(self.frame[theirs])

    def missing(self, dtype: Any) -> Any:
        """Return a column without values; a category without labels would be one of floats to pandas."""
        if isinstance(dtype, str) and dtype == "category":  # KIND and STATUS are equal to "category" too
            return coded(np.full(len(self.frame), -1), [])
        return pd.Series(np.nan, index=self.frame.index, dtype=dtype).array


def _core(source: _Source) -> dict[str, Any]:
    made: dict[str, Any] = {}
    status, message = _unnested(source.column("status"), source.column("status_message"))
    for name, dtype in CORE.items():
        column = (
            {"status": status, "status_message": message}.get(name)
            if name.startswith("status")
            else source.column(name)
        )
        if name == "start_time":
            made |= _times(source)
        elif name == "duration_ms":
            continue  # comes with the start
        elif column is None:
            made[name] = source.missing(dtype)
        else:
            made[name] = _CONVERT[name](column)
    return made


def _trace_ids(column: pd.Series) -> pd.Categorical:
    """Return trace ids as a category; labels that need no change keep their order."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        labels = pd.Series(column.cat.categories, name=column.name)
        if labels.dtype == "str" and not column.cat.ordered and identifiers(labels, 32).equals(labels):
            return category(column)
    return categorise(identifiers(column, 32))


def _trace_flags(column: pd.Series) -> Any:
    numbers, missing = counts(column, "trace_flags", 2**32)
    return pd.arrays.IntegerArray(numbers.astype(np.uint32), missing)


def _texts(column: pd.Series) -> Any:
    return texts(column).array


_CONVERT: dict[str, Callable[[pd.Series], Any]] = {
    "trace_id": _trace_ids,
    "span_id": lambda column: identifiers(column, 16).array,
    "parent_span_id": lambda column: identifiers(column, 16).array,
    "name": lambda column: category(column, in_order=True, empty_is_missing=False),
    "service": category,
    "kind": lambda column: kinds(column, KIND),
    "status": lambda column: statuses(column, STATUS),
    "status_message": _texts,
    "trace_state": _texts,
    "trace_flags": _trace_flags,
    "scope_name": category,
    "scope_version": category,
    "events": event_cells,
    "links": link_cells,
}


def _unnested(status: pd.Series | None, message: pd.Series | None) -> tuple[pd.Series | None, pd.Series | None]:
    """Return status and message of cells such as ``{"code": 2, "message": ".."}`` in two columns."""
    if status is None or status.dtype != object or not any(isinstance(value, dict) for value in status):
        return status, message
    pairs = [value if isinstance(value, dict) else {"code": value} for value in status]
    codes = [pair.get("code", pair.get("status_code", 0)) for pair in pairs]
    said = [pair.get("message", pair.get("description")) for pair in pairs]
    named = pd.Series(codes, index=status.index, name=status.name, dtype=object)
    return named, pd.Series(said, index=status.index, name=status.name, dtype=object) if message is None else message


def _times(source: _Source) -> dict[str, Any]:
    start_name, duration_name = source.first(STARTS), source.first(DURATIONS)
    start = np.full(len(source.frame), NAT)
    if start_name is not None:
        start = _instants(source, start_name, "start")
    duration: NDArray[np.float64] = np.full(len(start), np.nan)
    if duration_name is not None and duration_name.startswith("end"):
        duration = _between(start, _instants(source, duration_name, "end"))
    elif duration_name is not None:
        column = source.column(duration_name)
        assert column is not None
        duration = duration_in_ms(column, duration_name.partition("_")[2] or None)
    return {"start_time": instants(start), "duration_ms": duration}


def _instants(source: _Source, name: str, stem: str) -> NDArray[np.int64]:
    column = source.column(name)
    assert column is not None
    unit = name.partition("_")[2]
    return epoch_ns(column, unit) if unit in NANOSECONDS else instant_ns(column, stem)


def _between(start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64]:
    known = (start != NAT) & (end != NAT)
    elapsed = np.where(known, end, 0) - np.where(known, start, 0)
    known &= (elapsed < 0) == (end < start)  # farther apart than 292 years: no duration of a span
    return np.where(known, elapsed / 1e6, np.nan)


def _optional(source: _Source) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, dtype in OPTIONAL.items():
        column = source.column(name)
        if column is None:
            continue
        made[name] = category(column) if dtype == "category" else pd.arrays.IntegerArray(*counts(column, name, 2**53))
    return made


def _attributes(source: _Source, core: dict[str, Any], notes: Counter[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the attribute columns and ``other_attributes``; the service goes where it belongs, into ``core``."""
    frame, made = source.frame, {}
    names = {name: name for name in frame.columns if is_attribute_column(name) and name not in source.used}
    names |= {ours: theirs for ours, theirs in source.found.items() if is_attribute_column(ours)}
    for ours, theirs in names.items():
        source.used.add(theirs)
        made[ours] = attribute_array(plain(frame[theirs]))
    maps = {scope: column for ours, scope in MAPS.items() if (column := source.column(ours)) is not None}
    others = source.column(OTHER_ATTRIBUTES)
    services = [made.pop("resource.service.name", None)]
    ambiguous: tuple[str, ...] = ()
    if maps:
        chosen = None if others is None else ["*"]
        note = lambda reason, _detail, count: notes.update({reason: count})  # noqa: E731
        found, ambiguous, service = attributes_of_maps(frame.index, maps, chosen=chosen, note=note)
        services.append(service)
        for name, values in found.items():
            made[name] = coalesced([pd.Series(v) for v in (made[name], values)]) if name in made else values
    if others is not None:
        made[OTHER_ATTRIBUTES] = texts(others).array
    for service in services:
        if service is not None:
            filled = category(pd.Series(service, name="service", dtype=None if hasattr(service, "dtype") else "str"))
            core["service"] = coalesced([pd.Series(core["service"]), pd.Series(filled)])
    return made, ambiguous


def in_order(names: Iterable[str]) -> list[str]:
    """Return the names of a span frame's columns in the order of the schema; attributes sorted within their scope."""
    given = list(names)
    known = [name for name in (*CORE, *OPTIONAL) if name in given]
    keyed = sorted((name for name in given if is_attribute_column(name)), key=_place)
    return known + keyed + [name for name in given if name == OTHER_ATTRIBUTES]


def _place(name: str) -> tuple[int, str]:
    scope, key = scope_and_key(name)
    return _SCOPES.index(scope), key


def empty_frame() -> pd.DataFrame:
    """Return a span frame without spans.

    >>> empty_frame().shape
    (0, 16)
    """
    return conform(pd.DataFrame({"trace_id": [], "span_id": [], "name": []}, dtype="str"))
