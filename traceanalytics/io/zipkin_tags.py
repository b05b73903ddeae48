"""From a piece to a row: which tags are attributes, and which are status, links, scope or resource in Zipkin's dress.

Zipkin has tags and annotations, all texts. What OpenTelemetry's exporters and the collector put into them is taken out again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from traceanalytics.errors import FormatError
from traceanalytics.io.values import kind_code, natural, status_code
from traceanalytics.spans.cells import event_cell, link_cell

if TYPE_CHECKING:
    from traceanalytics.io.reading import Reading
    from traceanalytics.io.zipkin_pieces import Endpoint, Piece

__all__ = ["Rows", "is_resource_key", "split_event"]

_RESOURCE: Final = (
    "telemetry.sdk.",
    "host.",
    "k8s.",
    "container.",
    "process.",
    "os.",
    "deployment.",
    "service.",
    "cloud.",
)
_OF_SPANS: Final = ("service.peer.",)
_SCOPE: Final = "otel.scope."
_LINK: Final = "otlp.link."
_MARKED: Final = (*_RESOURCE, "otel.", _LINK, "w3c.tracestate", "error", "span.kind")
_DROPPED: Final = ("otel.dropped_attributes_count", "otel.dropped_events_count", "otel.dropped_links_count")
_ERROR: Final = 2
_COUNT: Final = re.compile(r"(?:0|[1-9]\d{0,9})\Z", re.ASCII)
_ID: Final = re.compile(r"[0-9a-fA-F]*\Z")
_MOST_TRIES: Final = 16

Tags = dict[str, str]


def is_resource_key(key: str) -> bool:
    """Tell whether a tag describes the process and not the span; Zipkin does not tell them apart, so a list must."""
    return key.startswith(_RESOURCE) and not key.startswith(_OF_SPANS)


def split_event(text: str) -> tuple[str, dict[str, Any], int] | None:
    """Return name, attributes and dropped count of an annotation of the exporters' form ``name|{json}|dropped``, else None."""
    rest, bar, dropped = text.rpartition("|")
    if not bar or not rest.endswith("}") or not _COUNT.match(dropped):
        return None
    found = _split_json(rest)
    return None if found is None else (*found, int(dropped))


def _split_json(text: str) -> tuple[str, dict[str, Any]] | None:
    """Split ``anything|{json}``; there may be bars and braces in both."""
    at = text.find("|{")
    for _ in range(_MOST_TRIES):  # each try may cost the length of the text
        if at < 0:
            return None
        try:
            attributes = msgspec.json.decode(text[at + 1 :])
            return text[:at], natural(attributes, "attributes")
        except (msgspec.MsgspecError, UnicodeError, RecursionError, FormatError):
            at = text.find("|{", at + 1)
    return None


class Rows:
    """Adds pieces to the builder."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.services: dict[str | None, int] = {}

    def add(self, piece: Piece) -> None:
        """Add a span."""
        attributes: dict[str, Any] = {}
        marked: Tags = {}
        for key, value in piece.tags.items():
            if key.startswith(_MARKED):
                marked[key] = value
            else:
                attributes[key] = value
        service = piece.local.service_name if piece.local is not None else None
        resource = self._resource(marked, service) if marked else self._service(service)
        scope = self._scope(marked) if marked else 0
        status, message = self._status(piece, marked)
        kind = piece.kind or _kind(marked)
        links = self._links(piece, marked) if marked else []
        dropped = [_count(marked, key) for key in _DROPPED] if marked else (0, 0, 0)
        state = marked.pop("w3c.tracestate", None)
        attributes |= marked
        for side, endpoint in (("local", piece.local), ("peer", piece.remote)):
            if endpoint is not None:
                self._endpoint(piece, side, endpoint, attributes)
        if piece.debug:
            attributes["zipkin.debug"] = True
        if piece.original_id is not None:
            attributes["zipkin.original_span_id"] = piece.original_id
        self.reading.builder.add(
            trace_id=piece.trace_id,
            span_id=piece.span_id,
            parent_span_id=piece.parent_id,
            name=piece.name,
            resource=resource,
            scope=scope,
            kind=kind,
            start_ns=piece.start,
            duration_ns=piece.duration,
            status=status,
            status_message=message,
            trace_state=state,
            trace_flags=1 if piece.debug else None,
            attributes=attributes,
            events=event_cell([_event(*a) for a in piece.annotations]) if piece.annotations else None,
            links=link_cell(links) if links else None,
            dropped=(dropped[0], dropped[1], dropped[2]),
        )

    def _service(self, service: str | None) -> int:
        number = self.services.get(service)
        if number is None:
            number = self.services[service] = self.reading.builder.resource(
                {"service.name": service} if service else {}
            )
        return number

    def _resource(self, marked: Tags, service: str | None) -> int:
        found = {key: marked.pop(key) for key in [*marked] if is_resource_key(key)}
        tag = found.pop("service.name", None)
        if service is not None and tag is not None and tag != service:
            marked["service.name"] = tag  # the endpoint's name counts; the tag stays an attribute of the span
        service = service or tag
        if not found:
            return self._service(service)
        return self.reading.builder.resource({"service.name": service} | found if service else found)

    def _scope(self, marked: Tags) -> int:
        name, version = _scope_part(marked, "name"), _scope_part(marked, "version")
        url = marked.pop("otel.scope.schema_url", None)
        attributes = {key.removeprefix(_SCOPE): marked.pop(key) for key in [*marked] if key.startswith(_SCOPE)}
        return self.reading.builder.scope(name, version, attributes, schema_url=url)

    def _status(self, piece: Piece, marked: Tags) -> tuple[int, str | None]:
        """Return status and message: OpenTelemetry's own tags first, then Zipkin's ``error``, whatever its value."""
        if not marked:
            return 0, None
        status: int | None = None
        if (text := marked.get("otel.status_code")) is not None:
            try:
                status = status_code(text)
                del marked["otel.status_code"]
            except FormatError:
                self._note(piece, "unknown otel.status_code, kept as an attribute", text)
        message, error = marked.pop("otel.status_description", None), marked.pop("error", None)
        if error is None:
            return status or 0, message
        if status is None:
            status = _ERROR
        if status == _ERROR and not message and error != "true":
            message = error
        elif status != _ERROR or error not in ("", "true", message):
            marked["error"] = error
        return status, message

    def _links(self, piece: Piece, marked: Tags) -> list[dict[str, Any]]:
        keys = [key for key in marked if key.startswith(_LINK) and _COUNT.match(key[len(_LINK) :])]
        found = []
        for key in sorted(keys, key=lambda key: int(key[len(_LINK) :])):
            link = _link(marked[key])
            if link is None:
                self._note(
                    piece, "tag otlp.link.N of another form than trace|span|state|json|dropped, kept", marked[key]
                )
            else:
                found.append(link)
                del marked[key]
        return found

    def _endpoint(self, piece: Piece, side: str, endpoint: Endpoint, attributes: dict[str, Any]) -> None:
        both = endpoint.ipv4 is not None and endpoint.ipv6 is not None
        for key, value in (
            ("service.peer.name", endpoint.service_name if side == "peer" else None),
            (f"network.{side}.address", endpoint.ipv4 or endpoint.ipv6),
            (f"network.{side}.port", endpoint.port),
            (f"zipkin.{side}.ipv6", endpoint.ipv6 if both else None),
        ):
            if value is not None:
                if key in attributes and attributes[key] != str(value):
                    self._note(piece, "tag that contradicts the endpoint, left out", key)
                attributes[key] = value

    def _note(self, piece: Piece, reason: str, detail: str) -> None:
        self.reading.source = piece.source
        self.reading.note(reason, f"span {piece.span_id} of trace {piece.trace_id}", detail)


def _scope_part(marked: Tags, part: str) -> str | None:
    """Return name or version of the scope; the exporters write an older spelling too."""
    value, older = marked.pop(f"otel.scope.{part}", None), f"otel.library.{part}"
    if value is None or marked.get(older) == value:
        value = marked.pop(older, value)
    return value


def _kind(marked: Tags) -> int:
    """Return the kind that a tag names; Zipkin has no word of its own for internal spans."""
    if "span.kind" not in marked:
        return 0
    try:
        kind = kind_code(marked["span.kind"])
    except FormatError:
        return 0
    del marked["span.kind"]
    return kind


def _count(marked: Tags, key: str) -> int:
    return int(marked.pop(key)) if key in marked and _COUNT.match(marked[key]) else 0


def _event(time: int, text: str) -> dict[str, Any]:
    name, attributes, dropped = split_event(text) or (text, {}, 0)
    item = {"time": time, "name": name, "attributes": attributes}
    return item | {"dropped_attributes": dropped} if dropped else item


def _link(text: str) -> dict[str, Any] | None:
    trace_id, _, rest = text.partition("|")
    span_id, _, rest = rest.partition("|")
    rest, _, dropped = rest.rpartition("|")
    split = _split_json(f"|{rest}" if rest.startswith("{") else rest)
    if split is None or not _COUNT.match(dropped) or not (_ID.match(trace_id) and _ID.match(span_id)):
        return None
    if len(trace_id) > 32 or len(span_id) > 16:
        return None
    link: dict[str, Any] = {
        "trace_id": trace_id.lower().rjust(32, "0") if trace_id.strip("0") else None,
        "span_id": span_id.lower().rjust(16, "0") if span_id.strip("0") else None,
    }
    if split[0]:
        link["trace_state"] = split[0]
    link["attributes"] = split[1]
    if int(dropped):
        link["dropped_attributes"] = int(dropped)
    return link
