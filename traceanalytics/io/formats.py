"""``read``: the table of formats, and which one a document is in, told from its content."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from traceanalytics.errors import FormatError
from traceanalytics.io.json_documents import json_pieces
from traceanalytics.io.live_spans import is_live_span
from traceanalytics.io.otlp import looks_like_json
from traceanalytics.io.parquet import MAGIC, parse_parquet
from traceanalytics.io.reading import OnError, Reading, read_documents
from traceanalytics.io.records import read_records

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    import pandas as pd

__all__ = ["FORMATS", "Format", "read"]


@dataclass(frozen=True)
class Format:
    """A JSON format: how its documents are told, and where its parser lives.

    ``any_of``: one of these keys stands in the outermost object (of a list: in its first object). ``all_of``: all of them do.
    """

    name: str
    parser: str
    any_of: frozenset[str] = frozenset()
    all_of: tuple[frozenset[str], ...] = ()

    def matches(self, keys: frozenset[str]) -> bool:
        """Tell whether the outermost keys of a document are those of this format."""
        return bool(self.any_of & keys) or any(group <= keys for group in self.all_of)

    def parse(self, data: bytes, reading: Reading) -> None:
        """Add the spans of a document."""
        module, function = self.parser.split(":")
        parse: Callable[[bytes, Reading], None] = getattr(
            importlib.import_module(f"traceanalytics.io.{module}"), function
        )
        parse(data, reading)


def _keys(*names: str) -> frozenset[str]:
    return frozenset(names)


FORMATS: Final = (
    Format(
        "otlp",
        "otlp:parse_otlp",
        any_of=_keys(
            *("resourceSpans", "resource_spans", "scopeSpans", "scope_spans", "batches", "instrumentationLibrarySpans"),
            *("resourceMetrics", "resourceLogs", "resourceProfiles", "trace", "result"),
            *(
                "traces",
                "series",
                "tagNames",
                "tagValues",
                "scopes",
            ),  # Tempo's search answers: its parser says where the spans are
        ),
    ),
    Format("jaeger", "jaeger:parse_jaeger", any_of=_keys("traceID", "data")),
    Format(
        "records",
        "records:parse_records",
        all_of=(_keys("trace_id", "span_id"), _keys("name", "context"), _keys("traceId", "spanId")),
    ),
    Format(
        "zipkin",
        "zipkin:parse_zipkin",
        any_of=_keys("binaryAnnotations", "localEndpoint"),
        all_of=(_keys("traceId", "id"),),
    ),
)
"""The formats that are told by their outermost keys, in the order in which they are tried."""

_EXPECTED: Final = "OTLP (JSON or protobuf), Tempo, Jaeger or Zipkin JSON, span records, or Parquet"
_HEAD: Final = 65_536
_KEY: Final = re.compile(rb'"([A-Za-z_]+)"\s*:')
_MOST_NESTED: Final = 3


def read(
    source: Any,
    *,
    attributes: Sequence[str] | None = None,
    on_error: OnError = "raise",
    report_to: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Read spans from any supported source; the format is told from the content, file by file.

    Parameters
    ----------
    source
        A path, a glob, a folder, bytes, a file object, JSON text, decoded JSON, or live spans of the OpenTelemetry SDK.
        Known are OTLP (JSON, JSON lines, protobuf), the answers of Tempo, Jaeger and Zipkin, span records
        (:func:`traceanalytics.read_records`) and this package's Parquet; compressed with gzip or Zstandard or not.
    attributes, on_error, report_to
        As for :func:`traceanalytics.read_otlp`.

    Returns
    -------
    DataFrame
        A span frame: one row a span.

    Raises
    ------
    FormatError
        No format is recognised, or the content is damaged.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> ta.read('[{"traceId": "5982fe77008310cc", "id": "5982fe77008310cc", "name": "get", "timestamp": 1502787600000000,'
    ...         '"duration": 2500, "localEndpoint": {"serviceName": "web"}}]')[["service", "name", "duration_ms"]]
      service name  duration_ms
    0     web  get          2.5
    """
    if is_live_span(source) or (isinstance(source, list | tuple) and any(is_live_span(s) for s in source[:1])):
        return read_records(source, attributes=attributes, on_error=on_error, report_to=report_to)
    return read_documents(source, _parse, attributes=attributes, on_error=on_error, report_to=report_to)


def _parse(data: bytes, reading: Reading) -> None:
    """Add the spans of a document in whatever format."""
    if data.startswith(MAGIC):
        reading.used("parquet")
        parse_parquet(data, reading)
        return
    found = _format(data)
    reading.used(found.name)
    found.parse(data, reading)


def _format(data: bytes) -> Format:
    if not data.strip():
        raise FormatError("the source is empty", hint=f"Expected {_EXPECTED}")
    if not looks_like_json(data):
        return FORMATS[0]  # protobuf, which has no mark of its own: its parser says what is wrong with anything else
    keys, is_list = _outermost_keys(data)
    for known in FORMATS:
        if known.matches(keys):
            return known
    if not keys:
        return FORMATS[-1] if is_list else FORMATS[0]  # an empty list is Zipkin's empty answer, an empty object OTLP's
    raise FormatError(
        f"not recognised: its outermost keys are {', '.join(map(repr, sorted(keys)[:8]))}", hint=f"Expected {_EXPECTED}"
    )


def _outermost_keys(data: bytes) -> tuple[frozenset[str], bool]:
    """Return the keys of the outermost object, or of the first one of a list; and whether it is a list.

    Of a document that does not decode, the keys of its first kilobytes are taken, at whatever depth.
    """
    value: Any = next(iter(json_pieces(data))).data
    is_list = looks_like_json(value) and value.lstrip(b"\xef\xbb\xbf \t\r\n\x1e")[:1] == b"["
    try:
        for _ in range(_MOST_NESTED):
            found = msgspec.json.decode(value, type=dict[str, msgspec.Raw] | list[msgspec.Raw])
            if isinstance(found, dict):
                return frozenset(found), is_list
            if not found:
                return frozenset(), True
            value = next((item for item in found if len(bytes(item)) > 2), found[0])
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return frozenset(k.decode() for k in _KEY.findall(data[:_HEAD])), is_list
    return frozenset(), is_list
