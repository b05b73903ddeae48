"""Jaeger's UI and HTTP JSON: answers, traces, lists and lines of them, down to spans; and what can be saved of damaged ones.

Spans are decoded one by one, so that a damaged one costs itself only. Processes stand before or after the spans of their
trace, for the order of keys is free; spans wait for them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from traceanalytics.errors import FormatError
from traceanalytics.io.jaeger_salvage import Salvage
from traceanalytics.io.jaeger_spans import SpanReader
from traceanalytics.io.json_documents import Piece, json_error, json_pieces
from traceanalytics.io.reading import Damage
from traceanalytics.io.values import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from traceanalytics.io.reading import Reading

__all__ = ["JaegerParser", "parse_jaeger"]

_EXPECTED: Final = 'Jaeger JSON: {"data": [{"traceID", "spans", "processes"}]}, one such trace, or a list of traces'
_EXPORT: Final = "Export the trace through Jaeger's HTTP API (/api/traces/{id}) or the UI's Trace JSON"
# Microseconds since 1970 have 16 digits in our days. Where no span of a trace starts in our days, its times count from 0, as in
# made-up traces; where some do, a start of 0 is one that was not recorded.
_TODAY: Final = re.compile(rb'"startTime"\s*:\s*\d{14}')
_STORED: Final = frozenset({"startTimeMillis", "tag", "_source"})


class _Answer(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: msgspec.Raw = msgspec.Raw(b"null")


class _Trace(msgspec.Struct):
    traceID: str | None = None  # noqa: N815 - Jaeger's own name
    spans: list[msgspec.Raw] | None = None
    processes: dict[str, msgspec.Raw] | None = None
    warnings: list[Any] | None = None


_answer = msgspec.json.Decoder(_Answer)
_trace = msgspec.json.Decoder(_Trace)
_keys = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])


def parse_jaeger(data: bytes, reading: Reading) -> None:
    """Add the spans of a document, of JSON lines, or of documents run together."""
    parser = JaegerParser(reading)
    pieces = 0
    for piece in json_pieces(data):
        pieces += 1
        error = _not_json(piece)
        if error is None:
            parser.piece(piece)
        elif not (reading.skips and Salvage(parser, piece).run()):
            reading.failed(json_error(error, piece, _EXPECTED), piece.place())
    if not pieces:
        raise FormatError("the source is empty", hint=f"Expected {_EXPECTED}")


def _not_json(piece: Piece) -> Exception | None:
    try:
        msgspec.json.decode(piece.data, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError) as error:
        return error
    return None


def _starts(raw: msgspec.Raw | bytes) -> bytes:
    return bytes(raw).lstrip(b"\xef\xbb\xbf \t\r\n\x1e")[:1]


class JaegerParser:
    """Walks from documents to spans, and knows where it is."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.spans = SpanReader(reading)

    def piece(self, piece: Piece) -> None:
        """Add the spans of a piece that is JSON."""
        try:
            where = piece.place()
            if _starts(piece.data) == b"[":
                prefix = f"{where}, " if where else ""
                self.reading.each(
                    _items.decode(piece.data),
                    lambda raw, place: self.item(raw, place, in_list=True),
                    lambda i: f"{prefix}[{i}]",
                )
            else:
                self.item(piece.data, lambda: where)
        except Damage as error:
            self.reading.failed(error, piece.place())

    def item(self, raw: msgspec.Raw | bytes, where: Callable[[], str], *, in_list: bool = False) -> None:
        """Add an answer, a trace or a span."""
        keys = _refuse_strangers(raw, in_list=in_list)
        if "spans" in keys:
            self.trace(raw, where)
        elif "data" in keys:
            self._answer(raw, where())
        else:
            self.spans.add(raw, where, {}, None)

    def _answer(self, raw: msgspec.Raw | bytes, where: str) -> None:
        answer = _answer.decode(raw)
        errors = _messages(answer.errors)
        path = f"{where}, data" if where else "data"
        start = _starts(answer.data)
        if start == b"n":
            if errors:
                raise FormatError(f"Jaeger answered with an error and no traces: {'; '.join(errors)}")
            return
        if start != b"[":
            raise FormatError(
                f"{path} is {shown(bytes(answer.data)[:60].decode(errors='replace'))}", hint=f"Expected {_EXPECTED}"
            )
        for message in errors:
            self.reading.note("error message in the answer", where, message)
        self.reading.each(_items.decode(answer.data), self._trace_of_answer, lambda i: f"{path}[{i}]")

    def _trace_of_answer(self, raw: msgspec.Raw | bytes, where: Callable[[], str]) -> None:
        keys = _refuse_strangers(raw, in_list=True)
        if "spans" not in keys:
            raise FormatError(
                f"it has the keys {_listed(keys)} and no spans, so this is no answer with traces",
                hint=f"Expected {_EXPECTED}",
            )
        self.trace(raw, where)

    def trace(self, raw: msgspec.Raw | bytes, where: Callable[[], str]) -> None:
        """Add the spans of a trace."""
        trace = _trace.decode(raw)
        self.spans.zero_is_a_time = _TODAY.search(raw) is None
        processes = self.processes(trace.processes or {}, where)
        for warning in trace.warnings or ():
            self.reading.note("warning of Jaeger on a trace", where(), str(warning))
        self.reading.each(
            trace.spans or (),
            lambda span, w: self.spans.add(span, w, processes, trace.traceID),
            lambda i: f"{where()}.spans[{i}]" if where() else f"spans[{i}]",
        )

    def processes(self, raws: dict[str, msgspec.Raw], where: Callable[[], str]) -> dict[str, int]:
        """Return the builder's number of each process."""
        found: dict[str, int] = {}

        def use(pid: str, place: Callable[[], str]) -> None:
            found[pid] = self.spans.resource(raws[pid], place)

        pids = list(raws)
        self.reading.each(pids, use, lambda i: f"{where()}.processes.{pids[i]}" if where() else f"processes.{pids[i]}")
        return found


def _messages(errors: msgspec.Raw) -> list[str]:
    """Return the messages of an answer's ``errors``, with their codes."""
    found = msgspec.json.decode(errors)
    return [
        f"{e.get('msg', '')} (code {e.get('code')})" if isinstance(e, dict) else str(e)
        for e in (found if isinstance(found, list) else [found] if found else [])
    ]


def _listed(keys: Any) -> str:
    return ", ".join(map(repr, list(keys)[:6])) or "(none)"


def _refuse_strangers(raw: msgspec.Raw | bytes, *, in_list: bool) -> dict[str, msgspec.Raw]:
    """Return the keys of an answer, trace or span; raise for anything else, with the reader that it is for."""
    if _starts(raw) != b"{":
        raise FormatError(f"found {shown(bytes(raw)[:60].decode(errors='replace'))}", hint=f"Expected {_EXPECTED}")
    keys = _keys.decode(raw)
    stored = _STORED & keys.keys() or "hits" in keys
    if stored or (not in_list and "spanID" in keys and "process" in keys):
        raise FormatError("Elasticsearch documents of Jaeger are not read", hint=_EXPORT)
    if "spans" in keys and "processes" not in keys and re.search(rb'"traceId(?:Low)?"\s*:', bytes(raw)):
        raise FormatError("the model JSON of Jaeger's storage (api_v2, Thrift) is not read", hint=_EXPORT)
    if "spans" in keys or "data" in keys or ("spanID" in keys and "traceID" in keys):
        return keys
    raise FormatError(f"no trace of Jaeger: the keys are {_listed(keys)}", hint=_hint(keys) or f"Expected {_EXPECTED}")


def _hint(keys: dict[str, Any]) -> str:
    if keys.keys() & {"resourceSpans", "resource_spans", "batches", "trace", "result", "scopeSpans"}:
        return "This looks like OTLP JSON (Tempo and Jaeger's v3 answer in it, too): ta.read_otlp"
    if "traceId" in keys and "id" in keys:
        return "This looks like Zipkin JSON: ta.read_zipkin"
    if keys.keys() & {"context", "trace_id", "TraceId"}:
        return "This looks like records of spans: ta.read_records"
    return ""
