"""Attributes as OpenTelemetry's semantic conventions name them, and what a failure looks like in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from traceanalytics.simulate.outcomes import (
    CANCELLED,
    ERROR,
    NOT_FOUND,
    REFUSED,
    TIMEOUT,
    UNAVAILABLE,
    UPSTREAM,
)

if TYPE_CHECKING:
    from traceanalytics.simulate.templates import Node
    from traceanalytics.simulate.topology_data import Operation, Service

__all__ = [
    "constant_attributes",
    "error_type",
    "exception_of",
    "http_status",
    "is_marked_error",
    "protocol",
    "rpc_status",
    "status_message",
]

_OLDER: Final = {
    "http.request.method": "http.method",
    "url.full": "http.url",
    "db.system.name": "db.system",
    "db.query.text": "db.statement",
    "db.namespace": "db.name",
    "db.operation.name": "db.operation",
    "rpc.system.name": "rpc.system",
    "server.address": "net.peer.name",
    "server.port": "net.peer.port",
    "messaging.destination.name": "messaging.destination",
}
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_PORTS: Final = {"http": 8080, "grpc": 9090, "postgresql": 5432, "redis": 6379, "external": 443}
_HTTP: Final = {ERROR: 500, UNAVAILABLE: 503, UPSTREAM: 500, NOT_FOUND: 404}
_RPC: Final = {
    0: ("OK", 0),
    ERROR: ("INTERNAL", 13),
    UNAVAILABLE: ("UNAVAILABLE", 14),
    TIMEOUT: ("DEADLINE_EXCEEDED", 4),
    CANCELLED: ("CANCELLED", 1),
    UPSTREAM: ("INTERNAL", 13),
    NOT_FOUND: ("NOT_FOUND", 5),
    REFUSED: ("UNAVAILABLE", 14),
}


def protocol(operation: Operation, service: Service, kind: str) -> str:
    """Return "http", "grpc", "db", "messaging" or "internal" for a span of an operation of ``service``."""
    if kind in ("PRODUCER", "CONSUMER"):
        return "messaging"
    if kind == "INTERNAL":
        return "internal"
    if service.kind in ("database", "cache"):
        return "db"
    word = operation.name.partition(" ")[0]
    return "grpc" if word not in _METHODS and "/" in operation.name else "http"


def constant_attributes(node: Node) -> dict[str, Any]:
    """Return the attributes that all spans of a node of the template have; names with their scope."""
    target = node.peer or node.service
    found = _BY_PROTOCOL[protocol(node.operation, target, node.kind)](node)
    if node.peer is not None and node.kind == "CLIENT":
        found["server.address"] = node.peer.name
        port = node.peer.system or (
            "external" if node.peer.kind == "external" else protocol(node.operation, node.peer, node.kind)
        )
        found["server.port"] = _PORTS.get(port, 8080)
    if node.peer is None or node.peer.is_leaf:
        found |= {key: _formatted(value, node.instance) for key, value in node.operation.attributes.items()}
    if node.service.conventions == "older":
        found = {_OLDER.get(key, key): value for key, value in found.items()}
    spans = {f"span.{key}": value for key, value in found.items()}
    return spans | {
        "resource.service.version": node.service.version,
        "resource.deployment.environment.name": "workshop",
    }


def _formatted(value: Any, instance: int) -> Any:
    return value.replace("{instance}", str(instance)) if isinstance(value, str) else value


def _http(node: Node) -> dict[str, Any]:
    method, _, route = node.operation.name.partition(" ")
    if method not in _METHODS:
        method, route = "GET", node.operation.name
    if node.kind == "SERVER":
        return {"http.request.method": method, "http.route": route}
    scheme = "https" if node.peer is not None and node.peer.kind == "external" else "http"
    query = _formatted(node.operation.attributes.get("url.query", ""), node.instance)
    url = f"{scheme}://{node.peer.name if node.peer else ''}{route}{'?' if query else ''}{query}"
    return {"http.request.method": method, "url.full": url}


def _grpc(node: Node) -> dict[str, Any]:
    service, _, method = node.operation.name.rpartition("/")
    return {"rpc.system.name": "grpc", "rpc.service": service, "rpc.method": method}


def _db(node: Node) -> dict[str, Any]:
    system = node.peer.system if node.peer is not None else ""
    found = {"db.system.name": system, "db.operation.name": node.operation.name.partition(" ")[0]}
    if system != "redis" and node.peer is not None:
        found |= {"db.namespace": node.peer.name, "db.query.text": node.operation.name}
    return found


def _messaging(node: Node) -> dict[str, Any]:
    operation = "send" if node.kind == "PRODUCER" else "process"
    return {
        "messaging.system": "kafka",
        "messaging.operation.type": operation,
        "messaging.destination.name": node.operation.name.split(" ")[-1],
    }


def _internal(_: Node) -> dict[str, Any]:
    return {}


_BY_PROTOCOL: Final = {"http": _http, "grpc": _grpc, "db": _db, "messaging": _messaging, "internal": _internal}


def http_status(failure: int, kind: str) -> int | None:
    """Return the HTTP status; None where no answer came."""
    if failure == CANCELLED and kind == "SERVER":
        return 499
    return 200 if failure == 0 else _HTTP.get(failure)


def rpc_status(failure: int) -> tuple[str, int]:
    """Return gRPC's status, as name and as number."""
    return _RPC[failure]


def is_marked_error(failure: int, kind: str) -> bool:
    """Tell whether the status is ERROR: a 404 is one to the client alone."""
    return failure != 0 and (failure != NOT_FOUND or kind == "CLIENT")


def error_type(failure: int, kind: str, how: str, exception: str | None) -> str | None:
    """Return ``error.type``."""
    if not is_marked_error(failure, kind):
        return None
    if exception is not None:
        return exception
    if failure == CANCELLED:
        return "cancelled"
    if how == "http":
        return str(http_status(failure, kind))
    return rpc_status(failure)[0] if how == "grpc" else "_OTHER"


def exception_of(failure: int, node: Node, named: str | None) -> tuple[str, str] | None:
    """Return type and message of the exception that begins a failure."""
    if failure == ERROR:
        return named or (
            "OperationalError" if node.peer is not None else "IllegalStateException"
        ), f"{node.operation.name} failed"
    callee = node.peer.name if node.peer is not None else node.service.name
    if failure == UNAVAILABLE:
        return "ServiceUnavailableError", f"{callee} is overloaded"
    if failure == TIMEOUT:
        return "TimeoutError", f"no answer from {callee} within the deadline"
    return ("ConnectionRefusedError", f"connection to {callee} refused") if failure == REFUSED else None


def status_message(failure: int, exception: tuple[str, str] | None) -> str | None:
    """Return the message of the status."""
    return "context canceled" if failure == CANCELLED else exception[1] if exception is not None else None
