"""Which columns of a foreign frame are the core columns: by the caller's mapping, by their own name, by a common spelling."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from traceanalytics.errors import SchemaError, near
from traceanalytics.spans.schema import CORE, OPTIONAL, OTHER_ATTRIBUTES, is_attribute_column

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["DURATIONS", "MAPS", "NANOSECONDS", "STARTS", "recognise"]

NANOSECONDS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
"""Nanoseconds in each unit that a column name may end in."""

STARTS: Final = ("start_time", "start_ns", "start_us", "start_ms", "start_s")
"""Where the start of a span may stand; the first that is there is used."""

DURATIONS: Final = (
    "duration_ms",
    "duration_ns",
    "duration_us",
    "duration_s",
    "duration",
    "end_time",
    "end_ns",
    "end_us",
    "end_ms",
    "end_s",
)
"""Where the duration of a span may stand; the first that is there is used."""

MAPS: Final = {"attributes": "span", "resource": "resource", "scope_attributes": "instrumentation"}
"""Columns whose cells are maps of attributes, and the scope of those."""

_UNITS: Final = {
    "ns": ("ns", "nanos", "nanoseconds", "nano", "unixnano"),
    "us": ("us", "micros", "microseconds"),
    "ms": ("ms", "millis", "milliseconds"),
    "s": ("s", "sec", "seconds"),
}

_SPELLINGS: Final[dict[str, tuple[str, ...]]] = {
    "trace_id": ("traceid",),
    "span_id": ("spanid", "id"),
    "parent_span_id": ("parentspanid", "parentid", "parent"),
    "name": ("name", "spanname", "operationname", "operation"),
    "service": ("service", "servicename", "resourceservicename"),
    "kind": ("kind", "spankind"),
    "start_time": ("starttime", "start", "timestamp", "starttimestamp", "startedat"),
    "duration": ("duration",),
    "end_time": ("endtime", "end", "endtimestamp", "endedat", "finishtime"),
    "status": ("status", "statuscode", "otelstatuscode"),
    "status_message": ("statusmessage", "statusdescription", "otelstatusdescription"),
    "trace_state": ("tracestate",),
    "trace_flags": ("traceflags", "flags"),
    "scope_name": ("scopename", "otelscopename", "otellibraryname", "instrumentationname"),
    "scope_version": ("scopeversion", "otelscopeversion", "otellibraryversion", "instrumentationversion"),
    "events": ("events",),
    "links": ("links",),
    "attributes": ("attributes", "spanattributes", "tags"),
    "resource": ("resource", "resourceattributes"),
    "scope_attributes": ("scopeattributes",),
    **{
        f"{what}_{unit}": tuple(stem + ending for stem in stems for ending in endings)
        for what, stems in (
            ("start", ("start", "starttime", "timestamp")),
            ("end", ("end", "endtime")),
            ("duration", ("duration",)),
        )
        for unit, endings in _UNITS.items()
    },
}
"""Our name, and how others write it: lower case, letters and digits only."""

_TARGETS: Final = {spelling: ours for ours, spellings in _SPELLINGS.items() for spelling in spellings}
_KNOWN: Final = (*_SPELLINGS, *CORE, *OPTIONAL, OTHER_ATTRIBUTES)


def recognise(frame: pd.DataFrame, mapping: Mapping[str, str]) -> dict[str, str]:
    """Return our name -> their column for everything in the frame that has a meaning here, attributes excepted.

    What the mapping says counts first, then our own names, then common spellings; two columns for one meaning are refused.
    """
    _check_mapping(frame, mapping)
    found = {ours: theirs for theirs, ours in mapping.items()}
    names = [name for name in frame.columns if name not in mapping and str(name) == name]
    for name in names:
        if name in _KNOWN:
            if name in found:
                raise SchemaError(
                    f"columns={{{found[name]!r}: {name!r}}}, but the frame has a column {name!r} too; drop or rename one of them"
                )
            found[name] = name
    candidates: dict[str, list[str]] = {}
    for name in names:
        target = _TARGETS.get(re.sub(r"[^a-z0-9]", "", name.lower()))
        own = name in _KNOWN or (is_attribute_column(name) and name != "resource.service.name")
        if target is not None and target not in found and not own:
            candidates.setdefault(target, []).append(name)
    for target, several in candidates.items():
        if len(several) > 1:
            raise SchemaError(
                f"the columns {' and '.join(map(repr, several))} could all be {target}; say which one is, for example columns={{{several[0]!r}: {target!r}}}, and drop or rename the others"
            )
        found[target] = several[0]
    return found


def _check_mapping(frame: pd.DataFrame, mapping: Mapping[str, str]) -> None:
    for theirs, ours in mapping.items():
        if theirs not in frame.columns:
            raise SchemaError(
                f"columns={{{theirs!r}: {ours!r}}}: the frame has no column {theirs!r}{near(str(theirs), frame.columns)}"
            )
        if ours not in _KNOWN and not is_attribute_column(ours):
            raise SchemaError(
                f"columns={{{theirs!r}: {ours!r}}}: {ours!r} is no column of a span frame{near(str(ours), _KNOWN)}; an attribute is named 'span.<key>' or 'resource.<key>'"
            )
    targets = list(mapping.values())
    for ours in targets:
        if targets.count(ours) > 1:
            both = [theirs for theirs, target in mapping.items() if target == ours]
            raise SchemaError(f"columns= gives {ours!r} twice, as {' and as '.join(map(repr, both))}; keep one of them")
