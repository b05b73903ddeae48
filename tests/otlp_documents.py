"""OTLP documents in a normal form, by plain Python, to compare what was read and written with what stood there."""

from __future__ import annotations

import base64
import json

from google.protobuf.message import DecodeError
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

_INTEGERS = ("startTimeUnixNano", "endTimeUnixNano", "timeUnixNano")
_ENUMS = {
    "SPAN_KIND_UNSPECIFIED": 0,
    "SPAN_KIND_INTERNAL": 1,
    "SPAN_KIND_SERVER": 2,
    "SPAN_KIND_CLIENT": 3,
    "SPAN_KIND_PRODUCER": 4,
    "SPAN_KIND_CONSUMER": 5,
}
_CODES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}


def documents(text):
    """The JSON documents of a file: one, or one a line."""
    try:
        return [json.loads(text)]
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


def resource_groups(document):
    """The resource spans of a document, whatever envelope it has."""
    for holder in (document, document.get("trace", {}), document.get("result", {})):
        yield from holder.get("resourceSpans") or holder.get("batches") or []


def raw_spans(document):
    """Every span as it stands in the document."""
    for group in resource_groups(document):
        for scope in (group.get("scopeSpans") or []) + (group.get("instrumentationLibrarySpans") or []):
            yield from scope.get("spans") or []


def hex_id(text, digits):
    """An id in lower-case hex, from hex or base64; "" for none."""
    if not text:
        return ""
    value = text.lower() if len(text) == digits else base64.b64decode(text).hex()
    return value if value.strip("0") else ""


def ids_of_json(text):
    """(trace, span, parent) of every span of a JSON file, sorted."""
    return sorted(
        (hex_id(s["traceId"], 32), hex_id(s["spanId"], 16), hex_id(s.get("parentSpanId"), 16))
        for document in documents(text)
        for s in raw_spans(document)
    )


def ids_of_message(message):
    """(trace, span, parent) of every span of a decoded request, sorted."""
    return sorted(
        (s.trace_id.hex(), s.span_id.hex(), s.parent_span_id.hex() if s.parent_span_id.strip(b"\0") else "")
        for group in message.resource_spans
        for scope in group.scope_spans
        for s in scope.spans
    )


def messages(data):
    """The trace requests of a protobuf file: framed by lengths, wrapped by Tempo's v2 answer, or plain."""
    if data[0] == 0:
        at = 0
        while at < len(data):
            size = int.from_bytes(data[at : at + 4], "big")
            yield TracesData.FromString(data[at + 4 : at + 4 + size])
            at += 4 + size
        return
    try:
        plain = TracesData.FromString(data)
    except DecodeError:  # a wrapped trace is no list of resource spans
        plain = TracesData()
    if any(group.scope_spans for group in plain.resource_spans):
        yield plain
    else:
        # Field 1 of the wrapper, behind its tag and its length.
        at, size, shift = 1, 0, 0
        while True:
            size |= (data[at] & 0x7F) << shift
            shift += 7
            at += 1
            if data[at - 1] < 0x80:
                break
        yield TracesData.FromString(data[at : at + size])


def ids_of_frame(spans):
    """(trace, span, parent) of every row, sorted."""
    parents = spans["parent_span_id"].astype("str").fillna("")
    return sorted(zip(spans["trace_id"].astype("str"), spans["span_id"], parents, strict=True))


def normal_form(document, text_keys=()):
    """Every span with its resource and scope, without what the protocol takes for default, sorted by ids."""
    found = []
    for group in resource_groups(document):
        resource = _normal({**(group.get("resource") or {}), "url": group.get("schemaUrl")}, text_keys)
        for scope in group.get("scopeSpans") or []:
            owner = _normal({**(scope.get("scope") or {}), "url": scope.get("schemaUrl")}, text_keys)
            found += [{"resource": resource, "scope": owner, "span": _normal(s, text_keys)} for s in scope["spans"]]
    return sorted(found, key=lambda s: json.dumps(s, sort_keys=True))


def _normal(value, text_keys):
    made = {key: _normal_item(key, item, text_keys) for key, item in value.items()}
    return {key: item for key, item in made.items() if item not in ("", 0, "0", None, [], {})}


def _normal_item(key, item, text_keys):
    if key in ("traceId", "spanId", "parentSpanId"):
        return hex_id(item, 32 if key == "traceId" else 16)
    if key == "attributes":
        return {pair["key"]: _any_value(pair["value"], as_text=pair["key"] in text_keys) for pair in item}
    if key in ("events", "links"):
        return [_normal(each, text_keys) for each in item]
    if key == "status":
        return _normal(item, text_keys)
    if key in _INTEGERS:
        return str(item)
    return _ENUMS.get(item, _CODES.get(item, item)) if isinstance(item, str) else item


def _any_value(value, *, as_text=False):
    (kind, content), *_ = value.items()
    if as_text:
        return str(content).lower() if kind == "boolValue" else str(content)
    if kind == "intValue":
        return ["int", int(content)]
    if kind == "doubleValue":
        return ["double", float(content)]
    if kind == "arrayValue":
        return [_any_value(v) for v in content.get("values", [])]
    if kind == "kvlistValue":
        return {pair["key"]: _any_value(pair["value"]) for pair in content.get("values", [])}
    return [kind, content]
