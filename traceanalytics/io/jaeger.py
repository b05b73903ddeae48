"""``read_jaeger``: the JSON of Jaeger's UI and HTTP API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from traceanalytics.io.jaeger_json import parse_jaeger
from traceanalytics.io.reading import OnError, read_documents

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import pandas as pd

__all__ = ["parse_jaeger", "read_jaeger"]


def read_jaeger(
    source: Any,
    *,
    attributes: Sequence[str] | None = None,
    on_error: OnError = "raise",
    report_to: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Read spans from Jaeger's JSON, as its UI ("Trace JSON") and its HTTP API (``/api/traces``) give it.

    Jaeger keeps microseconds, and has tags, logs and references where OpenTelemetry has attributes, events, a parent and links;
    what OpenTelemetry's exporters put into tags is read back out of them.

    Parameters
    ----------
    source
        A path, a glob, a folder, bytes, a file object or decoded JSON; see :func:`traceanalytics.read_otlp`. Taken are answers
        (``{"data": [...]}``), one trace, a list of traces or of spans with their processes, and lines of these. Backends that
        answer as Jaeger does (VictoriaTraces, Quickwit) are read, too.
    attributes
        Glob patterns that choose which attributes get a column; the others stay readable in ``other_attributes``.
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
        The source is no JSON of Jaeger's, or damaged; the message names file, position, what was found and what was expected.
        Elasticsearch documents and the storage's model JSON are not read.

    Notes
    -----
    - Ids are padded with zeros to 32 and 16 hex digits; other ids are kept as they are, and noted.
    - The parent is the first CHILD_OF to the span's own trace. Without one, the first FOLLOWS_FROM is, and stays a link as
      well, with the attribute ``opentracing.ref_type`` = "follows_from". All other references are links.
    - A start time of zero or less is missing. Nothing is clipped: a negative duration stays.
    - ``error`` = true is the status ERROR, and wins over ``otel.status_code``; false and "unset" say nothing; any other text
      stays an attribute. ``http.status_code`` does not touch the status: ask :func:`traceanalytics.is_error`.
    - ``span.kind``, ``otel.status_code``, ``otel.status_description``, ``otel.scope.*`` (formerly ``otel.library.*``) and
      ``w3c.tracestate`` become columns. ``hostname`` of a process becomes ``resource.host.name``; ``ip``,
      ``jaeger.version`` and the others keep their names.
    - A log is an event named by its field ``event``, or by nothing.
    - Warnings on a span become the attribute ``jaeger.warnings``, a list of texts; those on a trace are in the report.
    - Bit 1 of ``trace_flags`` means "debug" here, and "random trace id" to the W3C.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> spans = ta.read_jaeger({"data": [{"traceID": "4bf92f3577b34da6a3ce929d0e0e4736", "processes": {"p1": {"serviceName": "web"}},
    ...     "spans": [{"traceID": "4bf92f3577b34da6a3ce929d0e0e4736", "spanID": "f067aa0ba902b7", "operationName": "GET /",
    ...     "startTime": 1778768625000000, "duration": 12000, "processID": "p1",
    ...     "tags": [{"key": "span.kind", "type": "string", "value": "server"}]}]}]})
    >>> spans[["span_id", "service", "name", "kind", "duration_ms"]]
                span_id service   name    kind  duration_ms
    0  00f067aa0ba902b7     web  GET /  SERVER         12.0
    """
    return read_documents(
        source, parse_jaeger, format_name="jaeger", attributes=attributes, on_error=on_error, report_to=report_to
    )
