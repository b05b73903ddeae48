"""Rules about calls and what spans say of themselves: kinds, services that stay silent, names of old conventions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.analysis.quality_evidence import Found
from traceanalytics.analysis.remote_calls import CLIENT, INTERNAL, PRODUCER, SERVER
from traceanalytics.semconv import TABLE
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import codes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.analysis.quality_evidence import Evidence

__all__ = [
    "client_chains",
    "inner_servers",
    "local_kinds_across",
    "missing_servers",
    "missing_services",
    "old_conventions",
    "silent_peers",
    "unanswered_calls",
]

_PEER_KEYS: Final = ("service.peer.name", "server.address", "rpc.service")
_RPC_NAME: Final = r"/?[\w.$-]+/[\w.$-]+"
_SHOWN: Final = 3
_NEWEST: Final = frozenset(line[0] for line in TABLE)
_OLD: Final = {old: line[0] for line in reversed(TABLE) for old in line[1:] if old not in _NEWEST}
"""Older names of attributes and the newest one of each."""


def missing_services(evidence: Evidence) -> Found:
    """Find spans that name no service."""
    return Found(evidence.kept & (evidence.service < 0), evidence.kept)


def local_kinds_across(evidence: Evidence) -> Found:
    """Find spans called from another service whose kind says nothing of a call."""
    return Found(evidence.crosses & (evidence.kind <= INTERNAL), evidence.crosses)


def missing_servers(evidence: Evidence) -> Found:
    """Find calls that leave a service under a span of another service: the span of the call into it is missing."""
    outgoing = (evidence.kind == CLIENT) | (evidence.kind == PRODUCER)
    return Found(evidence.crosses & outgoing, evidence.crosses)


def inner_servers(evidence: Evidence) -> Found:
    """Find SERVER spans under a span of the same service that is no call."""
    within = evidence.within & (evidence.kind == SERVER)
    called = (evidence.parent_kind == CLIENT) | (evidence.parent_kind == PRODUCER)
    return Found(within & ~called, evidence.kept & (evidence.kind == SERVER))


def client_chains(evidence: Evidence) -> Found:
    """Find CLIENT spans under a CLIENT span of the same service."""
    return Found(evidence.within & evidence.clients & (evidence.parent_kind == CLIENT), evidence.clients)


class _Peers(NamedTuple):
    """Whom the CLIENT spans call: a number a span (-1: unknown), the names, and the service behind each (-1: unknown)."""

    of_span: NDArray[np.int64]
    names: pd.Index
    service: NDArray[np.int32]
    storage: NDArray[np.bool_]
    """The span calls a database or a broker, which sends no spans."""


def unanswered_calls(evidence: Evidence) -> Found:
    """Find CLIENT spans without a server span, whose callee does send spans."""
    peers = _peers(evidence)
    owner = np.append(peers.service, np.int32(-1))[peers.of_span]
    among = evidence.clients & (owner >= 0) & (owner != evidence.service) & ~peers.storage
    return Found(among & ~evidence.answered, among, service=owner)


def silent_peers(evidence: Evidence) -> Found:
    """Find CLIENT spans to somebody who never sends a span, databases and brokers left out."""
    peers = _peers(evidence)
    owner = np.append(peers.service, np.int32(-1))[peers.of_span]
    silent = evidence.clients & (peers.of_span >= 0) & (owner < 0) & ~peers.storage
    detail = {}
    for code in np.unique(evidence.service[silent]).tolist():
        number, calls = np.unique(peers.of_span[silent & (evidence.service == code)], return_counts=True)
        first = sorted(zip((-calls).tolist(), peers.names[number], strict=True))[:_SHOWN]
        more = len(number) - len(first)
        names = ", ".join(str(name) for _, name in first)
        detail[code] = f"They call {names}{f' and {more:,} more' if more > 0 else ''}."
    return Found(silent, evidence.clients, detail=detail)


def _peers(evidence: Evidence) -> _Peers:
    return evidence.memo("peers", lambda: _found_peers(evidence))


def _found_peers(evidence: Evidence) -> _Peers:
    spans, clients = evidence.spans, evidence.clients
    label = np.full(len(spans), -1, dtype=np.int64)
    names: list[str] = []
    place: dict[str, int] = {}
    for codes, labels in _candidates(evidence):
        take = clients & (label < 0) & (codes >= 0)
        used = np.unique(codes[take])
        to = np.full(len(labels) + 1, -1, dtype=np.int64)
        for code in used.tolist():  # names, not spans
            name = str(labels[code])
            if name not in place:
                place[name] = len(names)
                names.append(name)
            to[code] = place[name]
        label[take] = to[codes[take]]
    storage = clients & (attribute(spans, "db.system.name").notna() | attribute(spans, "messaging.system").notna())
    service = _answering(evidence, label, len(names))
    known = dict(zip(evidence.services.astype("str"), range(len(evidence.services)), strict=True))
    emitting = evidence.per_service(evidence.kept, weighted=False) > 0
    for at, name in enumerate(names):
        code = known.get(name, -1)
        if service[at] < 0 and code >= 0 and emitting[code]:
            service[at] = code
    return _Peers(label, pd.Index(names, dtype="str"), service, np.asarray(storage, dtype=bool))


def _candidates(evidence: Evidence) -> list[tuple[NDArray[np.int32], pd.Index]]:
    """Return codes and labels of what may name the callee, best first."""
    found = [codes_of(attribute(evidence.spans, key).astype("str")) for key in _PEER_KEYS]
    codes, labels = codes_of(evidence.spans["name"])
    # The name of a gRPC call is that of its callee; "GET" is not.
    fits = [re.fullmatch(_RPC_NAME, str(label)) is not None for label in labels]
    shaped = np.array([*fits, False])  # the last one serves the code -1
    return [*found, (np.where(shaped[codes], codes, np.int32(-1)), labels)]


def _answering(evidence: Evidence, label: NDArray[np.int64], count: int) -> NDArray[np.int32]:
    """Return the service that answers most of the calls to each callee, -1 where none does."""
    service = np.full(count, -1, dtype=np.int32)
    parent = evidence.forest.parent
    server = np.flatnonzero((evidence.kind == SERVER) & evidence.has_parent & (evidence.service >= 0))
    server = server[label[parent[server]] >= 0]
    width = len(evidence.services) + 1
    pairs, calls = np.unique(label[parent[server]] * width + evidence.service[server], return_counts=True)
    rank = np.argsort(np.argsort(np.asarray(evidence.services, dtype=object)))
    order = np.lexsort((-rank[pairs % width], calls))  # the commonest last, so that it is the one that stays
    service[pairs[order] // width] = pairs[order] % width
    return service


def old_conventions(evidence: Evidence) -> Found:
    """Find spans with attributes under names that the semantic conventions have replaced."""
    spans = evidence.spans
    hit = np.zeros(len(spans), dtype=bool)
    names: dict[int, list[tuple[float, str]]] = {}
    for old, new in _OLD.items():
        for column in (f"span.{old}", f"resource.{old}"):
            if column not in spans.columns:
                continue
            has = spans[column].notna().to_numpy(bool) & evidence.kept
            hit |= has
            counts = evidence.per_service(has)
            for code in np.flatnonzero(counts).tolist():
                key = code if code < len(evidence.services) else -1
                names.setdefault(key, []).append((-counts[code], f"{old} (now {new})"))
    detail = {
        code: f"Commonest: {', '.join(text for _, text in sorted(found)[:_SHOWN])}." for code, found in names.items()
    }
    return Found(hit, evidence.kept, detail=detail)
