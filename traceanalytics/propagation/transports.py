"""Where each transport keeps its headers: reading them as pairs of name and value, and writing them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, MutableMapping, MutableSequence
from typing import Any, Final, NamedTuple

from traceanalytics.errors import OptionError
from traceanalytics.propagation.parsed import Problem
from traceanalytics.propagation.sql_comment import comment_fields, with_comment

__all__ = ["TRANSPORTS", "Transport"]

Headers = Mapping[str, str | bytes]
Read = tuple[list[tuple[str, str | bytes]], tuple[Problem, ...]]

_MOST_SQS: Final = 10
_JOB: Final = "trace_context"
_AWS: Final = "AWSTraceHeader"


class Transport(NamedTuple):
    """How a transport is read and written."""

    read: Callable[[Any], Read]
    write: Callable[[Any, Headers], Any]


def _pairs(carrier: Any, what: str) -> list[tuple[str, str | bytes]]:
    """Return name and value of what can be text; other values (numbers, nested tables) are no context."""
    items: Iterable[Any]
    if isinstance(carrier, Mapping):
        items = carrier.items()
    elif isinstance(carrier, Iterable) and not isinstance(carrier, str | bytes):
        items = carrier
    else:
        raise OptionError(f"{what} are a mapping or a list of pairs, and this is a {type(carrier).__name__}")
    found: list[tuple[str, str | bytes]] = []
    for item in items:
        if not (isinstance(item, tuple | list) and len(item) == 2):
            raise OptionError(f"{what} are pairs of name and value, and one is {item!r:.60}")
        name, value = item
        name = name.decode("latin-1") if isinstance(name, bytes) else name
        values = value if isinstance(value, list | tuple) else (value,)
        if isinstance(name, str):
            found += [(name, each) for each in values if isinstance(each, str | bytes)]
    return found


def _read_headers(carrier: Any) -> Read:
    return _pairs(carrier, "headers"), ()


def _put(carrier: Any, headers: Mapping[str, Any], what: str) -> Any:
    """Set headers in a mapping or a list of pairs; a name that is there in another case is replaced."""
    _pairs(carrier, what)
    names = {name.lower() for name in headers}
    if isinstance(carrier, MutableMapping):
        for name in [name for name in carrier if _text(name).lower() in names]:
            del carrier[name]
        carrier.update(headers)
        return carrier
    if isinstance(carrier, Mapping):
        raise OptionError(f"{what} are a mapping that cannot be changed; give a dict")
    kept = [item for item in carrier if _text(item[0]).lower() not in names]
    if isinstance(carrier, MutableSequence):
        carrier[:] = [*kept, *headers.items()]
        return carrier
    return type(carrier)((*kept, *headers.items())) if isinstance(carrier, tuple) else [*kept, *headers.items()]


def _text(name: Any) -> str:
    return name.decode("latin-1") if isinstance(name, bytes) else str(name)


def _as_text(headers: Headers) -> dict[str, str]:
    binary = [name for name, value in headers.items() if isinstance(value, bytes)]
    if binary:
        raise OptionError(f"{binary[0]} is binary, and only gRPC's metadata carries it")
    return {name: value for name, value in headers.items() if isinstance(value, str)}


def _write_http(carrier: Any, headers: Headers) -> Any:
    return _put(carrier, _as_text(headers), "headers")


def _write_grpc(carrier: Any, headers: Headers) -> Any:
    return _put(carrier, {name.lower(): value for name, value in headers.items()}, "metadata")


def _write_kafka(carrier: Any, headers: Headers) -> Any:
    return _put(carrier, {name: value.encode("ascii") for name, value in _as_text(headers).items()}, "headers")


def _read_sqs(carrier: Any) -> Read:
    message = _mapping(carrier, "an SQS message")
    found: list[tuple[str, str | bytes]] = []
    for part in ("MessageAttributes", "messageAttributes"):  # the API's and Lambda's spelling
        for name, attribute in _mapping(message.get(part) or {}, part).items():
            if isinstance(attribute, Mapping):
                value = attribute.get("StringValue", attribute.get("stringValue"))
                if isinstance(value, str):
                    found.append((str(name), value))
    for part in ("MessageSystemAttributes", "Attributes", "attributes"):
        value = _mapping(message.get(part) or {}, part).get(_AWS)
        value = value.get("StringValue") if isinstance(value, Mapping) else value
        if isinstance(value, str):
            found.append(("X-Amzn-Trace-Id", value))
    return found, ()


def _write_sqs(carrier: Any, headers: Headers) -> Any:
    message = _changeable(carrier, "an SQS message")
    texts = _as_text(headers)
    system = {name: value for name, value in texts.items() if name.lower() == "x-amzn-trace-id"}
    own = {name: {"DataType": "String", "StringValue": value} for name, value in texts.items() if name not in system}
    attributes = dict(_mapping(message.get("MessageAttributes") or {}, "MessageAttributes"))
    _put(attributes, own, "MessageAttributes")
    if len(attributes) > _MOST_SQS:
        raise OptionError(
            f"the message would have {len(attributes)} attributes, and SQS takes {_MOST_SQS}: leave some out, put the baggage into "
            "the body, or use format='xray', which needs none"
        )
    if own:
        message["MessageAttributes"] = attributes
    for value in system.values():
        part = dict(_mapping(message.get("MessageSystemAttributes") or {}, "MessageSystemAttributes"))
        message["MessageSystemAttributes"] = part | {_AWS: {"DataType": "String", "StringValue": value}}
    return message


def _read_cloudevent(carrier: Any) -> Read:
    """Return attributes of an event; over HTTP in binary mode their names begin with ``ce-``."""
    pairs = _pairs(_mapping(carrier, "an event"), "attributes")
    return [(name[3:] if name.lower().startswith("ce-") else name, value) for name, value in pairs], ()


def _write_cloudevent(carrier: Any, headers: Headers) -> Any:
    odd = [name for name in headers if not name.isalnum()]
    if odd:
        raise OptionError(
            f"{odd[0]} cannot be an attribute of a CloudEvent, whose names are letters and digits: use format='w3c'"
        )
    return _put(_changeable(carrier, "an event"), _as_text(headers), "attributes")


def _read_graphql(carrier: Any) -> Read:
    """Return the headers of a request; without a context there, what some clients put into its extensions."""
    request = _mapping(carrier, "a GraphQL request")
    pairs = _pairs(request.get("headers") or {}, "headers")
    body = request.get("body", request)
    extensions = body.get("extensions") if isinstance(body, Mapping) else None
    named = {name.lower() for name, _ in pairs}
    if isinstance(extensions, Mapping):
        pairs += [pair for pair in _pairs(extensions, "extensions") if pair[0].lower() not in named]
    return pairs, ()


def _write_graphql(carrier: Any, headers: Headers) -> Any:
    request = _changeable(carrier, "a GraphQL request")
    given = request.get("headers")
    request["headers"] = _put({} if given is None else given, _as_text(headers), "headers")
    return request


def _read_sql(carrier: Any) -> Read:
    found = comment_fields(carrier)
    if found.value is None:
        return [], tuple(problem for problem in found.problems if problem.code != "absent")
    return list(found.value.items()), ()


def _write_sql(carrier: Any, headers: Headers) -> str:
    if not isinstance(carrier, str):
        raise OptionError(f"an SQL statement is text, and this is a {type(carrier).__name__}")
    return with_comment(carrier, _as_text(headers))


def _read_job(carrier: Any) -> Read:
    metadata = _json(carrier)
    inner = metadata.get(_JOB)
    return _pairs(inner if isinstance(inner, Mapping) else metadata, "metadata"), ()


def _write_job(carrier: Any, headers: Headers) -> Any:
    metadata = _json(carrier)
    inner = metadata.get(_JOB)
    changed = dict(metadata) | {
        _JOB: _put(dict(inner) if isinstance(inner, Mapping) else {}, _as_text(headers), "metadata")
    }
    if isinstance(carrier, str | bytes):
        return json.dumps(changed)
    _changeable(carrier, "a job's metadata").update(changed)
    return carrier


def _json(carrier: Any) -> Mapping[str, Any]:
    """Return the metadata of a job, which may be there as JSON text."""
    if isinstance(carrier, str | bytes):
        try:
            carrier = json.loads(carrier)
        except (ValueError, RecursionError) as error:
            raise OptionError(f"a job's metadata is no JSON: {error}") from error
    return _mapping(carrier, "a job's metadata")


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise OptionError(f"{what} is a mapping, and this is a {type(value).__name__}")
    return value


def _changeable(value: Any, what: str) -> MutableMapping[str, Any]:
    if not isinstance(value, MutableMapping):
        raise OptionError(f"{what} is a mapping that can be changed, and this is a {type(value).__name__}")
    return value


TRANSPORTS: Final[Mapping[str, Transport]] = {
    "http": Transport(_read_headers, _write_http),
    "grpc": Transport(_read_headers, _write_grpc),
    "kafka": Transport(_read_headers, _write_kafka),
    "amqp": Transport(_read_headers, _write_http),
    "sqs": Transport(_read_sqs, _write_sqs),
    "cloudevents": Transport(_read_cloudevent, _write_cloudevent),
    "graphql": Transport(_read_graphql, _write_graphql),
    "sql": Transport(_read_sql, _write_sql),
    "job": Transport(_read_job, _write_job),
}
