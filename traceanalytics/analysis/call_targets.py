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
    "call_targets",
    "carried",
    "names_broker",
]

UNKNOWN: Final = "(unknown)"
"""The node of what bears no name."""

PURPOSES: Final = ("rpc", "messaging", "db")
RPC, MESSAGING, DB = range(3)
NODE_KINDS: Final = ("service", "database", "broker", "external", "unknown")
_SERVICE, _DATABASE, _BROKER, _EXTERNAL, _NOBODY = range(5)

PEER: Final = "service.peer.name"
_KEYS: Final = (
    PEER,
    "server.address",
    "url.full",
    "network.peer.address",
    "db.system.name",
    "db.namespace",
    "messaging.system",
    "messaging.destination.name",
    "messaging.operation.type",
)
_SCOPES: Final = ("span", "resource", "instrumentation")
_RECEIVING: Final = frozenset({"receive", "process", "deliver"})
_SETTLING: Final = frozenset({"settle", "ack", "nack"})
_HOST: Final = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(\[[^\]]*\]|[^/:?#]+)")


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
    found = np.zeros(len(spans), dtype=bool)
    for key in ("messaging.system", "messaging.destination.name"):
        if carried(spans, key):
            found |= attribute(spans, key).notna().to_numpy()
    return found


def _columns(spans: pd.DataFrame, keys: list[str]) -> list[str]:
    names = [f"{scope}.{name}" for key in keys for name, _ in meanings(key) for scope in _SCOPES]
    return [name for name in dict.fromkeys(names) if name in spans.columns]


def call_targets(spans: pd.DataFrame, rows: NDArray[np.int64], asynchronous: NDArray[np.bool_]) -> CallTargets:
    """Read the names of the callees from the attributes of some rows.

    ``asynchronous`` marks, one a row of ``rows``, the PRODUCER and CONSUMER spans, which name a destination in any case.
    """
    columns = ["trace_id", "kind", *_columns(spans, list(_KEYS))]
    columns += [OTHER_ATTRIBUTES] if OTHER_ATTRIBUTES in spans.columns else []
    some = spans[columns].iloc[rows]
    key = asynchronous.astype(np.int64)
    parts: list[tuple[NDArray[np.int64], list[str]]] = []
    for name in _KEYS:
        codes, labels = _coded(some, name)
        parts.append((codes, labels))
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
    codes, found = codes_of(attribute(some, key))
    labels = [str(label) for label in found]
    if key == "url.full":
        hosts = [match[1] if (match := _HOST.match(label)) else "" for label in labels]
        place = {host: at for at, host in enumerate(dict.fromkeys(hosts))}
        codes = np.array([*(place[host] for host in hosts), -1], dtype=np.int32)[codes]
        labels = list(place)
    return codes.astype(np.int64), labels


def _described(texts: list[str], asynchronous: bool) -> tuple[str, int, int, bool, bool]:  # noqa: FBT001 - one call
    """Return name, node kind, purpose, whether the span receives and settles; ``texts`` in the order of the keys."""
    peer, address, host, ip, database, namespace, system, destination, operation = texts
    if database and not asynchronous:
        inside = namespace or address
        return peer or (f"{database}/{inside}" if inside else database), _DATABASE, DB, False, False
    if asynchronous or system or destination:
        name = "/".join(part for part in (system, destination) if part) if destination else peer or system
        low = operation.lower()
        return name, _BROKER, MESSAGING, low in _RECEIVING, low in _SETTLING
    if peer:
        return peer, _SERVICE, RPC, False, False
    name = address or host or ip
    return name, _EXTERNAL if name else _NOBODY, RPC, False, False
