"""Rules about calls and what spans say of themselves: kinds, services that stay silent, names of old conventions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from traceanalytics.analysis.call_targets import addresses, carried, names_broker, names_database
from traceanalytics.analysis.failure_signs import failure_signs
from traceanalytics.analysis.fingerprints import fingerprint_codes
from traceanalytics.analysis.quality_evidence import ALL, NONE, Found
from traceanalytics.analysis.remote_calls import CLIENT, INTERNAL, PRODUCER, SERVER
from traceanalytics.semconv import TABLE
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import codes_of, text_array
from traceanalytics.spans.other_attributes import columns_of_others
from traceanalytics.spans.schema import OTHER_ATTRIBUTES

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

_ADDRESS: Final = "server.address"
_PEER_KEYS: Final = ("service.peer.name", _ADDRESS, "rpc.service")
_RPC_NAME: Final = r"/?[\w.$-]+/[\w.$-]+"
_SHOWN: Final = 3
_SLACK_NS: Final = 1_000_000
_NEWEST: Final = frozenset(line[0] for line in TABLE)
_OLD: Final = {old: line[0] for line in reversed(TABLE) for old in line[1:] if old not in _NEWEST}
"""Older names of attributes and the newest one of each."""
_OLD_COLUMNS: Final = {f"{scope}.{old}": (old, new) for old, new in _OLD.items() for scope in ("span", "resource")}
_OLD_KEY: Final = f'"(?:span|resource)\\.(?:{"|".join(map(re.escape, sorted(_OLD)))})"'


def missing_services(evidence: Evidence) -> Found:
    """Find spans that name no service."""
    return Found(evidence.kept & (evidence.service < 0), evidence.kept)


def local_kinds_across(evidence: Evidence) -> Found:
    """Find spans called from another service whose kind says nothing of a call."""
    return _without_doubtful(evidence, evidence.crosses & (evidence.kind <= INTERNAL))


def _without_doubtful(evidence: Evidence, hit: NDArray[np.bool_]) -> Found:
    doubtful = evidence.doubtful(hit)
    return Found(hit & ~doubtful, evidence.crosses & ~doubtful)


def missing_servers(evidence: Evidence) -> Found:
    """Find calls that leave a service under a span of another service: the span of the call into it is missing.

    Unless the service is nothing but such spans, without children and calling nobody else: they are the caller's half of a call,
    under the name of the callee (a database, as a rule), as in :func:`~traceanalytics.analysis.edges.call_edges`.
    """
    outgoing = (evidence.kind == CLIENT) | (evidence.kind == PRODUCER)
    hit = evidence.crosses & outgoing
    if hit.any():
        peers, leaf = _peers(evidence), np.diff(evidence.forest.child_offsets[: len(hit) + 1]) == 0
        owner = np.append(peers.service, np.int32(-1))[peers.of_span]
        callers = hit & evidence.clients & leaf & ((peers.of_span < 0) | (owner == evidence.service))
        others = evidence.per_service(evidence.kept & ~callers, weighted=False)
        hit &= ~callers | (others[evidence.service] > 0)
    return _without_doubtful(evidence, hit)


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
    return evidence.memo("unanswered", lambda: _unanswered(evidence))


def _unanswered(evidence: Evidence) -> Found:
    peers = _peers(evidence)
    owner = np.append(peers.service, np.int32(-1))[peers.of_span]
    among = evidence.clients & (owner >= 0) & (owner != evidence.service) & ~peers.storage
    unsure = evidence.doubtful(among & ~evidence.answered)
    among &= ~unsure
    hit = among & ~evidence.answered
    rows = np.flatnonzero(hit)
    if len(rows):  # whoever called it off expects no answer
        called_off = _overtaken(evidence, hit)
        called_off[rows] |= failure_signs(evidence.spans, rows).cancelled
        hit, among = hit & ~called_off, among & ~called_off
    return Found(hit, among, service=owner)


def _overtaken(evidence: Evidence, open_calls: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which open calls ended as the answer to their twin came: an equal call of the same parent, made at the same time."""
    forest, parent = evidence.forest, evidence.forest.parent
    overtaken = np.zeros(len(evidence.spans), dtype=bool)
    calls = evidence.timed & evidence.clients & evidence.has_parent
    some, answered = np.zeros((2, len(evidence.spans)), dtype=bool)
    some[parent[calls & open_calls]] = True
    answered[parent[calls & evidence.answered]] = True
    rows = np.flatnonzero(calls & (open_calls | evidence.answered) & (some & answered)[parent])
    codes = fingerprint_codes(evidence.spans.iloc[rows]).codes
    group = parent[rows] * (np.int64(codes.max(initial=0)) + 1) + codes
    order = np.lexsort((forest.end[rows], group))
    rows, group = rows[order], group[order]
    start, end, place = forest.start[rows], forest.end[rows], np.arange(len(rows))
    slack = np.maximum(_SLACK_NS, (end - start) // 10)
    known = evidence.answered[rows]
    before = np.maximum.accumulate(np.where(known, place, -1))
    after = np.minimum.accumulate(np.where(known, place, len(rows))[::-1])[::-1]
    for twin in (before, after):  # the answers that came nearest before and after the end
        at = np.clip(twin, 0, len(rows) - 1)
        together = (start < end[at]) & (start[at] < end) & (np.abs(end - end[at]) <= slack)
        overtaken[rows[(twin == at) & (group[at] == group) & together & ~known]] = True
    return overtaken


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
    storage = clients & (names_database(spans) | names_broker(spans))
    service = _answering(evidence, label, len(names))
    known = dict(zip(evidence.services.astype("str"), range(len(evidence.services)), strict=True))
    emitting = evidence.per_service(evidence.kept, weighted=False) > 0
    for at, name in enumerate(names):
        code = known.get(name, -1)
        if service[at] < 0 and code >= 0 and emitting[code]:
            service[at] = code
    return _Peers(label, pd.Index(names, dtype="str"), service, storage)


def _candidates(evidence: Evidence) -> list[tuple[NDArray[np.int32], pd.Index]]:
    """Return codes and labels of what may name the callee, best first."""
    found = [_named(evidence, key) for key in _PEER_KEYS if carried(evidence.spans, key)]
    codes, labels = codes_of(evidence.spans["name"])
    # The name of a gRPC call is that of its callee; "GET" is not.
    fits = [re.fullmatch(_RPC_NAME, str(label)) is not None for label in labels]
    shaped = np.array([*fits, False])  # the last one serves the code -1
    return [*found, (np.where(shaped[codes], codes, np.int32(-1)), labels)]


def _named(evidence: Evidence, key: str) -> tuple[NDArray[np.int32], pd.Index]:
    if key != _ADDRESS:
        return codes_of(attribute(evidence.spans, key).astype("str"))
    codes, labels = addresses(evidence.spans)
    return codes.astype(np.int32), pd.Index(labels, dtype="str")


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
    names: dict[int, list[tuple[float, str]]] = {ALL: []}
    others = _old_in_others(evidence)
    for column, (old, new) in _OLD_COLUMNS.items():
        if column not in spans.columns and column not in others:
            continue
        has = others.get(column, np.zeros(len(spans), dtype=bool))
        if column in spans.columns:
            has |= spans[column].notna().to_numpy(bool)
        has &= evidence.kept
        hit |= has
        counts = evidence.per_service(has)
        text = f"{old} (now {new})"
        for code in np.flatnonzero(counts).tolist():
            names.setdefault(code if code < len(evidence.services) else NONE, []).append((-counts[code], text))
        names[ALL].append((-counts.sum(), text))
    detail = {
        code: f"Commonest: {', '.join(text for _, text in sorted(found)[:_SHOWN])}." for code, found in names.items()
    }
    return Found(hit, evidence.kept, detail=detail)


def _old_in_others(evidence: Evidence) -> dict[str, NDArray[np.bool_]]:
    """Return which spans have each of the older names in ``other_attributes``."""
    spans = evidence.spans
    if OTHER_ATTRIBUTES not in spans.columns or not spans[OTHER_ATTRIBUTES].notna().any():
        return {}
    cells = text_array(spans[OTHER_ATTRIBUTES])
    holding = pc.match_substring_regex(cells, _OLD_KEY).fill_null(False).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(holding)  # a million cells need no decoding for the few that hold one
    found = {}
    for name, column in columns_of_others(spans[[OTHER_ATTRIBUTES]].iloc[rows]).items():
        if name in _OLD_COLUMNS:
            found[name] = np.zeros(len(spans), dtype=bool)
            found[name][rows] = column.notna().to_numpy(bool)
    return found
