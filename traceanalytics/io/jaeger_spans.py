"""A span of Jaeger's JSON into the builder: references, kinds, statuses and scopes out of tags."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from traceanalytics.io.builder import NO_RESOURCE
from traceanalytics.io.jaeger_values import Tag, attribute_map, log_item, nanoseconds
from traceanalytics.io.json_documents import duplicate_keys
from traceanalytics.io.values import natural, padded_id, shown
from traceanalytics.spans.cells import event_cell, link_cell, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from traceanalytics.io.reading import Reading

__all__ = ["NO_SERVICE", "NO_START", "REF_TYPE", "WARNINGS", "SpanReader"]

NO_SERVICE: Final = "OTLPResourceNoServiceName"
NO_START: Final = "otel.zipkin.absentField.startTime"  # the collector's mark of a span without a start
"""What Jaeger writes as the name of the service where a resource has none."""

REF_TYPE: Final = "opentracing.ref_type"
"""Attribute of a link: the kind of reference it was (``child_of``, ``follows_from``)."""

WARNINGS: Final = "jaeger.warnings"
"""Attribute that holds the warnings of Jaeger's server on a span, a list of texts."""

_KINDS: Final = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_STATUSES: Final = {"UNSET": 0, "OK": 1, "ERROR": 2}
_YES_OR_NO: Final = frozenset({"true", "false", "unset"})
_HEX: Final = re.compile(r"[0-9a-f]+\Z")


_NULL: Final = msgspec.Raw(b"null")


class _Process(msgspec.Struct):
    serviceName: str | None = None  # noqa: N815 - Jaeger's own names, here and below
    tags: list[Tag] | None = None


class _Reference(msgspec.Struct):
    refType: str | None = None  # noqa: N815
    traceID: str | None = None  # noqa: N815
    spanID: str | None = None  # noqa: N815


class _Log(msgspec.Struct):
    timestamp: Any = None
    fields: list[Tag] | None = None


class _Span(msgspec.Struct):
    traceID: str | None = None  # noqa: N815
    spanID: str | None = None  # noqa: N815
    parentSpanID: str | None = None  # noqa: N815
    operationName: str | None = None  # noqa: N815
    references: list[_Reference] | None = None
    startTime: Any = None  # noqa: N815
    duration: Any = None
    flags: int | None = None
    tags: list[Tag] | None = None
    logs: list[_Log] | None = None
    processID: str | None = None  # noqa: N815
    process: msgspec.Raw = _NULL
    warnings: list[Any] | None = None


_span = msgspec.json.Decoder(_Span, strict=False)
_process = msgspec.json.Decoder(_Process, strict=False)


class SpanReader:
    """Adds spans of one document to the builder."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.zero_is_a_time = False
        self._foreign = False
        self._resources: dict[bytes, int] = {}

    def resource(self, raw: msgspec.Raw | bytes, where: Callable[[], str]) -> int:
        """Return the builder's number of a process."""
        text = bytes(raw)
        known = self._resources.get(text)
        if known is None:
            known = self._resources[text] = self._new_resource(text, where)
        return known

    def _new_resource(self, text: bytes, where: Callable[[], str]) -> int:
        if text.strip() == b"null":
            return NO_RESOURCE
        process = _process.decode(text)
        attributes = attribute_map(process.tags, self.reading, where)
        if "hostname" in attributes and "host.name" not in attributes:
            attributes["host.name"] = attributes.pop("hostname")
        if process.serviceName and process.serviceName != NO_SERVICE:
            attributes["service.name"] = process.serviceName
        return self.reading.builder.resource(attributes)

    def add(
        self, raw: msgspec.Raw | bytes, where: Callable[[], str], processes: dict[str, int], trace_id: str | None
    ) -> None:
        """Add one span; ``trace_id`` is the one of its trace, for a span that does not say."""
        text = bytes(raw)
        span = _span.decode(text)
        _note_repeated(text, len(span.references or ()), self.reading, where)
        own_trace_id = self._id(span.traceID or trace_id, 32, where)
        parent, links = self._references(span, own_trace_id, where)
        attributes = attribute_map(span.tags, self.reading, where)
        status, message = _take_status(attributes, span.tags or [])
        scope_name, scope_version = (
            _take_text(attributes, f"otel.scope.{part}", f"otel.library.{part}") for part in ("name", "version")
        )
        kind = _take_kind(attributes)
        trace_state = _take_text(attributes, "w3c.tracestate")
        no_start = attributes.pop(NO_START, False) is True
        if span.warnings:
            attributes[WARNINGS] = to_json(natural(span.warnings, "warnings"))
        events = [log_item(log.timestamp, log.fields, self.reading, where) for log in span.logs or ()]
        self.reading.builder.add(
            trace_id=own_trace_id,
            span_id=self._id(span.spanID, 16, where),
            parent_span_id=parent,
            name=span.operationName,
            resource=self._resource_of(span, processes, where),
            scope=self.reading.builder.scope(scope_name, scope_version),
            kind=kind,
            start_ns=None if no_start else self._start(span.startTime, where),
            duration_ns=nanoseconds(span.duration, "duration"),
            status=status,
            status_message=message,
            trace_state=trace_state,
            trace_flags=span.flags,
            attributes=attributes,
            events=event_cell(events),
            links=link_cell(links),
        )

    def _id(self, text: str | None, digits: int, where: Callable[[], str]) -> str | None:
        found = padded_id(text or "", digits)
        if found is not None and not self._foreign and not _is_hex(found, digits):
            self._foreign = True  # said once a document: such sources have no others
            self.reading.note(
                "ids that are not hex digits of the usual length, kept as they are", where(), shown(found)
            )
        return found

    def _start(self, microseconds: Any, where: Callable[[], str]) -> int | None:
        start = nanoseconds(microseconds, "startTime")
        if start is not None and (start < 0 or (start == 0 and not self.zero_is_a_time)):
            self.reading.note("start time of zero or less, read as missing", where(), shown(microseconds))
            return None
        return start

    def _resource_of(self, span: _Span, processes: dict[str, int], where: Callable[[], str]) -> int:
        if span.processID is not None and span.processID in processes:
            return processes[span.processID]
        if bytes(span.process).strip() != b"null":
            return self.resource(span.process, where)
        self.reading.note("span whose process is not given, kept without a service", where(), shown(span.processID))
        return NO_RESOURCE

    def _references(
        self, span: _Span, trace_id: str | None, where: Callable[[], str]
    ) -> tuple[str | None, list[dict[str, Any]]]:
        """Return the parent, and the references that are not it as links.

        A FOLLOWS_FROM that has to serve as the parent is kept as a link too: analyses tell by it that it did not wait.
        """
        if not span.references:
            return self._id(span.parentSpanID, 16, where), []
        parent: str | None = None
        follows: str | None = None
        links: list[dict[str, Any]] = []
        for reference in span.references:
            linked = self._id(reference.spanID, 16, where)
            if linked is None:
                self.reading.note("reference without a span id, left out", where())
                continue
            linked_trace = self._id(reference.traceID, 32, where) or trace_id
            kind = (reference.refType or "CHILD_OF").lower()
            if linked_trace == trace_id:
                if kind == "child_of" and parent is None:
                    parent = linked
                    continue
                if kind == "follows_from" and follows is None:
                    follows = linked
            links.append({"trace_id": linked_trace, "span_id": linked, "attributes": {REF_TYPE: kind}})
        return parent or follows, links


@functools.lru_cache(maxsize=65_536)
def _is_hex(text: str, digits: int) -> bool:
    return len(text) == digits and _HEX.match(text) is not None


def _take_kind(attributes: dict[str, Any]) -> int:
    kind = attributes.get("span.kind")
    code = _KINDS.get(kind.lower()) if isinstance(kind, str) else None
    if code is None:
        return 0
    del attributes["span.kind"]
    return code


def _take_status(attributes: dict[str, Any], tags: list[Tag]) -> tuple[int, str | None]:
    """Return status and message, and take their tags out; an ``error`` that says no more than yes or no is one of them."""
    status = 0
    code = attributes.get("otel.status_code")
    if isinstance(code, str) and code.upper() in _STATUSES:
        status = _STATUSES[code.upper()]
        del attributes["otel.status_code"]
    if "error" in attributes:
        # VictoriaTraces writes its own error="unset" beside the span's error=true: one that says yes is enough.
        said = {str(tag.value).lower() for tag in tags if tag.key == "error"}
        if "true" in said:
            status = _STATUSES["ERROR"]
        if str(attributes["error"]).lower() in _YES_OR_NO:
            del attributes["error"]
    return status, _take_text(attributes, "otel.status_description")


def _take_text(attributes: dict[str, Any], *keys: str) -> str | None:
    """Return the text under the first of the keys that has one, and take all of them out."""
    found = [attributes.pop(key) for key in keys if type(attributes.get(key)) is str]
    return next((text for text in found if text), None)


def _note_repeated(text: bytes, references: int, reading: Reading, where: Callable[[], str]) -> None:
    """Note a property that stands twice in a span: decoders keep the last, and that must not go unseen."""
    if (
        text.count(b'"spanID"') > 1 + references
        or text.count(b'"traceID"') > 1 + references
        or text.count(b'"operationName"') > 1
        or text.count(b'"startTime"') > 1
    ):
        for key in duplicate_keys(text):
            reading.note("property twice in one object, the last one kept", where(), key)
