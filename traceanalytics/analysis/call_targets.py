"""What an outgoing span says about whom it calls: a service, a database, a broker's destination, an address."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.semconv import meanings
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import codes_of
from traceanalytics.spans.schema import OTHER_ATTRIBUTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "DB",
    "MESSAGING",
    "NODE_KINDS",
    "PEER",
    "PURPOSES",
    "RPC",
    "UNKNOWN",
    "CallTargets",
    "addresses",
    "call_targets",
    "carried",
    "names_broker",
    "names_database",
]

UNKNOWN: Final = "(unknown)"
"""The node of what bears no name."""

PURPOSES: Final = ("rpc", "messaging", "db")
RPC, MESSAGING, DB = range(3)
NODE_KINDS: Final = ("service", "database", "broker", "external", "unknown")
_SERVICE, _DATABASE, _BROKER, _EXTERNAL, _NOBODY = range(5)

PEER: Final = "service.peer.name"
_INTERFACE: Final = "rpc.service"
_URL: Final = "url.full"
_QUERY: Final = "db.query.text"
_PORTS: Final = ("server.port", "network.peer.port")
_KEYS: Final = (
    PEER,
    "server.address",
    _URL,
    "network.peer.address",
    _INTERFACE,
    "db.system.name",
    _QUERY,
    "db.namespace",
    "messaging.system",
    "messaging.destination.name",
    "messaging.operation.type",
)
_SCOPES: Final = ("span", "resource", "instrumentation")
_RECEIVING: Final = frozenset({"receive", "process", "deliver"})
_SETTLING: Final = frozenset({"settle", "ack", "nack"})
_HOST: Final = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(\[[^\]]*\]|[^/:?#]+)(?::(\d+))?")
_LOOPBACK: Final = re.compile(
    r"(?:localhost|127(?:\.\d{1,3}){3}|\[?(?:::1|(?:0{1,4}:){7}0{0,3}1)\]?)\.?", re.IGNORECASE
)
"""Addresses under which every host finds itself: only the port tells who is meant."""


class CallTargets(NamedTuple):
    """Arrays, one entry a row that was asked about."""

    name: NDArray[np.int64]
    """Place in ``labels``; -1 where nothing is named."""
    labels: list[str]
    node_kind: NDArray[np.int8]
    """Place in :data:`NODE_KINDS`."""
    purpose: NDArray[np.int8]
    """Place in :data:`PURPOSES`."""
    receives: NDArray[np.bool_]
    """The span fetches messages."""
    settles: NDArray[np.bool_]
    """The span acknowledges messages, and carries none."""


def carried(spans: pd.DataFrame, key: str) -> bool:
    """Tell whether any column of the frame may hold the attribute."""
    return OTHER_ATTRIBUTES in spans.columns or bool(_columns(spans, [key]))


def names_broker(spans: pd.DataFrame) -> NDArray[np.bool_]:
    """Mark the rows that name a messaging system or a destination."""
    return _any(spans, ("messaging.system", "messaging.destination.name"))


def names_database(spans: pd.DataFrame) -> NDArray[np.bool_]:
    """Mark the rows that name a database system or have the text of a query."""
    return _any(spans, ("db.system.name", _QUERY))


def _any(spans: pd.DataFrame, keys: tuple[str, ...]) -> NDArray[np.bool_]:
    found = np.zeros(len(spans), dtype=bool)
    for key in keys:
        if carried(spans, key):
            found |= attribute(spans, key).notna().to_numpy()
    return found


def addresses(spans: pd.DataFrame) -> tuple[NDArray[np.int64], list[str]]:
    """Return codes and labels of ``server.address``; a loopback address has its port behind it, where one is known."""
    codes, labels = _coded(spans, "server.address")
    local = np.array([*(_is_loopback(label) for label in labels), False])[codes]
    port, ports = _port_codes(spans, local)
    pair, pairs = pd.factorize(codes * (len(ports) + 1) + port + 1)
    at, which = np.divmod(pairs, len(ports) + 1)
    texts = [_with_port(labels[a], ports[p - 1] if p else "") if a >= 0 else "" for a, p in zip(at, which, strict=True)]
    return np.where(codes < 0, -1, pair), texts


def _is_loopback(address: str) -> bool:
    return _LOOPBACK.fullmatch(address) is not None


def _with_port(address: str, port: str) -> str:
    host = f"[{address}]" if ":" in address and not address.startswith("[") else address
    return f"{host}:{port}" if port else address


def _port_codes(some: pd.DataFrame, local: NDArray[np.bool_]) -> tuple[NDArray[np.int64], list[str]]:
    """Return codes and labels of the ports, only of the rows in ``local``: ports are many, and elsewhere hosts tell enough."""
    codes = np.full(len(some), -1, dtype=np.int64)
    rows = np.flatnonzero(local)
    keys = [key for key in _PORTS if carried(some, key)] if len(rows) else []
    if not keys:
        return codes, []
    few = some.iloc[rows]
    ports = attribute(few, keys[0]).astype("str")
    for key in keys[1:]:
        ports = ports.where(ports.notna(), attribute(few, key).astype("str"))
    found, labels = codes_of(ports)
    codes[rows] = found
    return codes, [str(label).removesuffix(".0") for label in labels]


def _columns(spans: pd.DataFrame, keys: list[str]) -> list[str]:
    names = [f"{scope}.{name}" for key in keys for name, _ in meanings(key) for scope in _SCOPES]
    return [name for name in dict.fromkeys(names) if name in spans.columns]


def call_targets(spans: pd.DataFrame, rows: NDArray[np.int64], asynchronous: NDArray[np.bool_]) -> CallTargets:
    """Read the names of the callees from the attributes of some rows.

    ``asynchronous`` marks, one a row of ``rows``, the PRODUCER and CONSUMER spans, which name a destination in any case.
    """
    columns = ["trace_id", "kind", *_columns(spans, [*_KEYS, *_PORTS])]
    columns += [OTHER_ATTRIBUTES] if OTHER_ATTRIBUTES in spans.columns else []
    some = spans[columns].iloc[rows]
    key = asynchronous.astype(np.int64)
    client = (some["kind"] == "CLIENT").to_numpy()
    parts: list[tuple[NDArray[np.int64], list[str]]] = []
    for name in _KEYS:
        codes, labels = _coded(some, name)
        if name == _INTERFACE:  # servers bear it as well, and it then tells who they are themselves
            codes = np.where(client, codes, -1)
        parts.append((codes, labels))
    local = np.zeros(len(some), dtype=bool)
    for codes, labels in parts[1:4]:  # host names and addresses
        local |= np.array([*(_is_loopback(_host_of(label)) for label in labels), False])[codes]
    parts.append(_port_codes(some, local))
    for codes, labels in parts:
        key = pd.factorize(key * (len(labels) + 1) + codes + 1)[0].astype(np.int64)  # dense again: never overflows
    first = np.flatnonzero(~pd.Series(key).duplicated().to_numpy())
    described = [
        _described([labels[codes[at]] if codes[at] >= 0 else "" for codes, labels in parts], bool(asynchronous[at]))
        for at in first.tolist()
    ]
    place: dict[str, int] = {}
    number = [place.setdefault(text, len(place)) if text else -1 for text, *_ in described]
    columns_of = [np.array([d[at] for d in described], dtype=np.int8)[key] for at in (1, 2, 3, 4)]
    return CallTargets(
        np.array(number, dtype=np.int64)[key],
        list(place),
        columns_of[0],
        columns_of[1],
        columns_of[2].astype(bool),
        columns_of[3].astype(bool),
    )


def _coded(some: pd.DataFrame, key: str) -> tuple[NDArray[np.int64], list[str]]:
    if not carried(some, key):
        return np.full(len(some), -1, dtype=np.int64), []
    if key == _QUERY:  # that there is one says enough, and hardly two are alike
        return np.where(attribute(some, key).notna(), 0, -1).astype(np.int64), [_QUERY]
    codes, found = codes_of(attribute(some, key))
    labels = [str(label) for label in found]
    if key == _URL:
        hosts = [_host_in(label) for label in labels]
        place = {host: at for at, host in enumerate(dict.fromkeys(hosts))}
        codes = np.array([*(place[host] for host in hosts), -1], dtype=np.int32)[codes]
        labels = list(place)
    return codes.astype(np.int64), labels


def _host_in(url: str) -> str:
    """Return the host in a URL; with its port where that is a loopback address."""
    match = _HOST.match(url)
    if match is None:
        return ""
    return _with_port(match[1], match[2] or "") if _is_loopback(match[1]) else str(match[1])


def _host_of(name: str) -> str:
    """Return a name without the port and brackets that :func:`_with_port` gave it."""
    return re.sub(r"^([^:]*|\[.*\]):\d+$", r"\1", name).strip("[]")


def _described(texts: list[str], asynchronous: bool) -> tuple[str, int, int, bool, bool]:  # noqa: FBT001 - one call
    """Return name, node kind, purpose, whether the span receives and settles; ``texts`` in the order of the keys, then the port."""
    peer, address, host, ip, interface, database, query, namespace, system, destination, operation, port = texts
    address, ip = (_with_port(text, port) if _is_loopback(text) else text for text in (address, ip))
    if _is_loopback(address) and _host_of(host).lower() == _host_of(address).lower():
        address = host  # the same one, with the port that the URL has
    if (database or query) and not asynchronous:
        name = peer or "/".join(part for part in (database, namespace or address) if part)
        return name, _DATABASE if name else _NOBODY, DB, False, False
    if asynchronous or system or destination:
        name = "/".join(part for part in (system, destination) if part) if destination else peer or system
        low = operation.lower()
        return name, _BROKER, MESSAGING, low in _RECEIVING, low in _SETTLING
    if peer:
        return peer, _SERVICE, RPC, False, False
    # Clients of gRPC that know no address still name the interface that they call.
    name = address or host or ip or interface
    return name, _EXTERNAL if name else _NOBODY, RPC, False, False
