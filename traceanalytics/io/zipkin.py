"""``read_zipkin``: Zipkin's JSON, versions 2 and 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from traceanalytics.errors import FormatError
from traceanalytics.io.json_documents import Piece as Text
from traceanalytics.io.json_documents import duplicate_keys, fragments, json_error, json_pieces
from traceanalytics.io.reading import Damage, OnError, Reading, read_documents
from traceanalytics.io.values import shown
from traceanalytics.io.zipkin_pieces import Piece, WireSpan, new_piece
from traceanalytics.io.zipkin_shared import spans_of_pieces
from traceanalytics.io.zipkin_tags import Rows
from traceanalytics.io.zipkin_v1 import is_v1, pieces_of_v1

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    import pandas as pd

__all__ = ["parse_zipkin", "read_zipkin"]

_EXPECTED: Final = "Zipkin JSON: a span, a list of spans, or a list of such lists"
_LONGEST_CHECKED: Final = 20_000  # bytes of a span: looking for repeated keys costs the square of their number
_HINTS: Final = (
    ({"resourceSpans", "resource_spans", "batches", "scopeSpans", "spanId"}, "This looks like OTLP: ta.read_otlp"),
    ({"data", "traceID", "spanID"}, "This looks like Jaeger: ta.read_jaeger"),
    ({"trace_id", "span_id", "context"}, "This looks like span records: ta.read_records"),
)

_span = msgspec.json.Decoder(WireSpan, strict=False)
_list = msgspec.json.Decoder(list[msgspec.Raw])
_keys = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_zipkin(
    source: Any,
    *,
    attributes: Sequence[str] | None = None,
    on_error: OnError = "raise",
    report_to: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Read spans from Zipkin's JSON, version 2 or 1, as its API answers and its libraries report it.

    Zipkin's times are microseconds, and all its tags are texts. A span without timestamp gets NaT, one without duration NaN.
    Pieces of one span are united over the whole source. Where client and server share a span id (B3), the server's half gets
    an id of its own, derived from the shared one, which is its parent; children of the server's service move along, and the
    attribute ``zipkin.original_span_id`` keeps what was there.

    Parameters
    ----------
    source
        A path, a glob, a folder, bytes, a file object or decoded JSON. A ``str`` is a path unless it begins with ``{`` or
        ``[``. ``.gz`` and ``.zst`` are opened as they are. Taken are a span, a list of spans, the list of lists of
        ``/api/v2/traces``, and JSON lines of these.
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
        A span frame: one row a span, in the order of the source. The service of ``localEndpoint`` is the span's service;
        addresses and ports are ``span.network.local.*``, those of ``remoteEndpoint`` ``span.network.peer.*``, its service is
        ``span.service.peer.name``. Tags that OpenTelemetry's exporters make of status, links, scope and trace state become
        these again; tags under telemetry.sdk, service, host, os, process, container, k8s, deployment and cloud belong to the
        resource.

    Raises
    ------
    FormatError
        The source is no Zipkin JSON, or damaged; the message names file, position, what was found and what was expected.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> spans = ta.read_zipkin('''[
    ...     {"traceId": "5982fe77008310cc", "id": "5982fe77008310cc", "kind": "CLIENT", "name": "get",
    ...      "timestamp": 1502787600000000, "duration": 2500, "localEndpoint": {"serviceName": "web"}},
    ...     {"traceId": "5982fe77008310cc", "id": "5982fe77008310cc", "kind": "SERVER", "name": "get", "shared": true,
    ...      "timestamp": 1502787600000400, "duration": 1900, "localEndpoint": {"serviceName": "cart"}}]''')
    >>> spans[["span_id", "parent_span_id", "service", "kind", "duration_ms"]]
                span_id    parent_span_id service    kind  duration_ms
    0  5982fe77008310cc               NaN     web  CLIENT          2.5
    1  df7df8291fd59460  5982fe77008310cc    cart  SERVER          1.9
    """
    return read_documents(
        source, parse_zipkin, format_name="zipkin", attributes=attributes, on_error=on_error, report_to=report_to
    )


def parse_zipkin(data: bytes, reading: Reading) -> None:
    """Collect the spans of one document; they are added when all documents have been read."""
    parser = _Parser(reading)
    texts = 0
    for text in json_pieces(data):
        texts += 1
        try:
            parser.text(text)
        except Damage as error:
            reading.failed(error, text.place())
    if not texts:
        raise FormatError("the source is empty", hint=f"Expected {_EXPECTED}")


class _Spans:
    """The pieces of all documents of one reading."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.pieces: list[Piece] = []

    def finish(self) -> None:
        """Unite what belongs together, and add the spans."""
        source, rows = self.reading.source, Rows(self.reading)
        for piece in spans_of_pieces(self.pieces, self.reading):
            rows.add(piece)
        self.reading.source = source
        self.reading.tell()


class _Parser:
    """Walks from documents to spans, and knows where it is."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.pieces = reading.collector(_Spans).pieces

    def text(self, text: Text) -> None:
        """Take one JSON text: a span or a list."""
        start = text.data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        try:
            msgspec.json.decode(text.data, type=msgspec.Raw)
        except (msgspec.DecodeError, RecursionError) as error:
            if not self.reading.skips or b"{" not in text.data:
                raise json_error(error, text, _EXPECTED) from error
            self._salvage(text, error)
            return
        place = f"{text.place()}, " if text.line is not None else ""
        if start == b"[":
            self._list(text.data, lambda: place)
        elif start == b"{":
            self._span(text.data, lambda: text.place() if text.line is not None else "")
        else:
            raise FormatError(
                f"found {shown(text.data[:40].decode('utf-8', 'replace'))}",
                position=text.place(),
                hint=f"Expected {_EXPECTED}",
            )

    def _list(self, raw: bytes, where: Callable[[], str]) -> None:
        self.reading.each(_list.decode(raw), self._item, lambda i: f"{where()}[{i}]")

    def _item(self, item: msgspec.Raw, where: Callable[[], str]) -> None:
        raw = bytes(item)
        if raw.startswith(b"["):
            self.reading.each([bytes(r) for r in _list.decode(raw)], self._span, lambda i: f"{where()}[{i}]")
        else:
            self._span(raw, where)

    def _span(self, raw: bytes, where: Callable[[], str]) -> None:
        span = _span.decode(raw)
        if not span.trace_id or not span.id:
            raise _no_ids(raw)
        if len(raw) < _LONGEST_CHECKED:
            _note_repeated(raw, span, self.reading, where)
        piece = new_piece(span, self.reading, where)
        if is_v1(span):
            self.pieces += pieces_of_v1(span, piece, self.reading, where)
        else:
            piece.add_v2(span, self.reading, where)
            self.pieces.append(piece)

    def _salvage(self, text: Text, error: Exception) -> None:
        """Take the spans that decode out of a text that does not."""
        places: list[int] = []

        def damaged(at: int, why: str) -> None:
            places.append(at)
            self.reading.lost("damaged JSON, left out", text.place(at), why)

        for fragment in fragments(text.data, damaged):
            if fragment.key is None:  # what stands under a key is a part of a span
                place = text.place(fragment.offset)
                self.reading.each([fragment.data], self._fragment, lambda _, place=place: place)  # type: ignore[misc]
        if not places:
            problem = json_error(error, text, _EXPECTED)
            self.reading.note("damaged JSON between spans", problem.position, problem.problem)

    def _fragment(self, data: bytes, where: Callable[[], str]) -> None:
        if {"id", "traceId"} <= _keys.decode(data).keys():
            self._span(data, where)


def _no_ids(raw: bytes) -> FormatError:
    """Return the refusal of an object that is no span, with the format that it looks like."""
    keys = _keys.decode(raw)
    missing = " and ".join(key for key in ("traceId", "id") if key not in keys)
    if not missing:
        return FormatError("traceId or id is empty", hint="Expected hex digits")
    hint = next((hint for known, hint in _HINTS if known & keys.keys()), f"Expected {_EXPECTED}")
    found = ", ".join(shown(key) for key in [*keys][:6]) or "none"
    return FormatError(f"an object without {missing} (its keys: {found})", hint=hint)


def _note_repeated(raw: bytes, span: WireSpan, reading: Reading, where: Callable[[], str]) -> None:
    """Note a property that stands twice in a span: decoders keep the last, and that must not go unseen.

    Only where there are more colons after quotes than keys decoded, the text is looked at again.
    """
    keys = (
        _filled(span) + len(span.tags or ()) + 2 * len(span.annotations or ()) + 2 * len(span.binary_annotations or ())
    )
    if span.local_endpoint is not None:
        keys += _filled(span.local_endpoint)
    if span.remote_endpoint is not None:
        keys += _filled(span.remote_endpoint)
    for item in (*(span.annotations or ()), *(span.binary_annotations or ())):
        if item.endpoint is not None:
            keys += 1 + _filled(item.endpoint)
    if raw.count(b'":') + raw.count(b'" :') > keys:
        for key in duplicate_keys(raw):
            reading.note("property twice in one object, the last one kept", where(), key)


def _filled(record: msgspec.Struct) -> int:
    """Return how many fields of a record are not None."""
    fields = msgspec.structs.astuple(record)
    return len(fields) - fields.count(None)
