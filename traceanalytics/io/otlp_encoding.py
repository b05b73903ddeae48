"""Attribute values as OTLP's AnyValue, and an OTLP JSON request as protobuf."""

from __future__ import annotations

import base64
from typing import Any, Final

from traceanalytics.spans.cells import natural_float

__all__ = ["key_values", "protobuf_request"]

_SPECIAL: Final = ("bytesValue", "doubleValue")
_ID_KEYS: Final = frozenset({"traceId", "spanId", "parentSpanId"})

Json = dict[str, Any]


def key_values(attributes: Json) -> list[Json]:
    """Return attributes as a list of OTLP's KeyValue."""
    return [{"key": key, "value": _any_value(value)} for key, value in attributes.items()]


def _any_value(value: Any) -> Json:  # noqa: PLR0911 - one return a type
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        natural = natural_float(value)
        return natural if isinstance(natural, dict) else {"doubleValue": natural}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_any_value(v) for v in value]} if value else {}}
    if isinstance(value, dict):
        if len(value) == 1 and isinstance(content := next(iter(value.values())), str) and next(iter(value)) in _SPECIAL:
            return {next(iter(value)): content}
        return {"kvlistValue": {"values": key_values(value)} if value else {}}
    return {}


def protobuf_request(request: Json) -> bytes:
    """Return an OTLP JSON request (as ``to_otlp`` makes it) as protobuf."""
    from google.protobuf import json_format  # noqa: PLC0415 - only the protobuf encoding needs it
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData  # noqa: PLC0415 - as above

    # Protobuf's own JSON mapping differs from OTLP's in the ids alone, which it has in base64.
    message = json_format.ParseDict(_with_base64_ids(request), TracesData())
    data: bytes = message.SerializeToString()
    return data


def _with_base64_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            k: base64.b64encode(bytes.fromhex(v)).decode() if k in _ID_KEYS else _with_base64_ids(v)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_with_base64_ids(v) for v in value]
    return value
