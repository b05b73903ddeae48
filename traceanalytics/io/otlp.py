"""``read_otlp``: OpenTelemetry's own format, JSON and protobuf."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from traceanalytics.errors import FormatError
from traceanalytics.io.otlp_json import parse_otlp_json
from traceanalytics.io.otlp_protobuf import frames, is_framed, parse_otlp_protobuf
from traceanalytics.io.reading import Damage, OnError, Reading, read_documents

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import pandas as pd

__all__ = ["looks_like_json", "parse_otlp", "read_otlp"]

_JSON_START: Final = (b"{", b"[")


def read_otlp(
    source: Any,
    *,
    attributes: Sequence[str] | None = None,
    on_error: OnError = "raise",
    report_to: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Read spans from OTLP: JSON or protobuf, as exporters, collectors, Tempo and Jaeger v3 write it.

    Parameters
    ----------
    source
        A path, a glob, a folder, bytes, a file object or decoded JSON. A ``str`` is a path unless it begins with ``{`` or
        ``[``. ``.gz`` and ``.zst`` are opened as they are. Taken are one document, JSON lines of the collector's file exporter
        (lines of metrics and logs are counted and passed over), the answers of Tempo (v1, v2) and Jaeger (v3), a protobuf
        request, and the collector's length-prefixed messages, compressed one by one or not.
    attributes
        Glob patterns that choose which attributes get a column (``["http.*", "resource.k8s.*"]``); the others stay readable
        in ``other_attributes``. None: the 200 commonest, and all that are on at least 0.1 % of the spans.
    on_error
        "raise": damage raises. "skip": a damaged span is left out and counted; see :func:`traceanalytics.read_report`.
    report_to
        A file that receives every finding of the reader as a JSON line.

    Returns
    -------
    DataFrame
        A span frame: one row a span, in the order of the source.

    Raises
    ------
    FormatError
        The source is no OTLP, or damaged; the message names file, position, what was found and what was expected.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> spans = ta.read_otlp('{"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue":'
    ...     '"web"}}]}, "scopeSpans": [{"spans": [{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174",'
    ...     '"name": "GET /", "kind": 2, "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": "1544712661000000000"}]}]}]}')
    >>> spans[["service", "name", "kind", "duration_ms"]]
      service   name    kind  duration_ms
    0     web  GET /  SERVER       1000.0
    """
    return read_documents(
        source, parse_otlp, format_name="otlp", attributes=attributes, on_error=on_error, report_to=report_to
    )


def looks_like_json(data: bytes) -> bool:
    """Tell whether content begins as a JSON object or array."""
    return data[:64].removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\x1e")[:1] in _JSON_START


def parse_otlp(data: bytes, reading: Reading) -> None:
    """Add the spans of one document, whatever its encoding."""
    if not data.strip():
        raise FormatError("the source is empty", hint="Expected OTLP as JSON or protobuf")
    if looks_like_json(data):
        parse_otlp_json(data, reading)
    elif is_framed(data):
        for offset, message in frames(data, reading):
            try:
                if looks_like_json(message):
                    parse_otlp_json(message, reading)
                else:
                    parse_otlp_protobuf(message, reading, offset)
            except Damage as error:
                reading.failed(error, f"message at byte {offset}")
    else:
        parse_otlp_protobuf(data, reading, 0)
