"""Calls between services, one row a call, before anything is summed up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from traceanalytics.analysis.arrivals import CLIENT, CONSUMER, PRODUCER, Arrivals, arrivals, heads, linked_rows
from traceanalytics.analysis.call_targets import (
    DB,
    MESSAGING,
    PEER,
    RPC,
    call_targets,
    carried,
    names_broker,
    names_database,
)
from traceanalytics.analysis.graph_nodes import GraphNodes
from traceanalytics.analysis.messages import Messages, asynchronous_entries, messages
from traceanalytics.analysis.remote_calls import kind_codes
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import codes_of
from traceanalytics.spans.error_rule import is_error
from traceanalytics.topology import Forest

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Calls", "call_edges"]


@dataclass(frozen=True)
class Calls:
    """What :func:`call_edges` returns.

    Attributes
    ----------
    calls
        One row a call, all columns int64, float64 or bool: ``trace`` (number in the forest), ``purpose`` (place in
        ``PURPOSES``), ``caller`` and ``callee`` (rows of ``nodes``), ``client_row`` and ``server_row`` (positions in the frame, -1
        where that half is missing), ``paired``, ``client_error``, ``server_error``, ``client_ms``, ``server_ms``, ``gap_ms`` (NaN
        where unknown).
    nodes
        One row a node, sorted by ``node``: ``node`` (its text), ``service``, ``name`` (level "operation"), ``node_kind``
        (place in ``NODE_KINDS``), ``real`` (has spans).
    node_of_row
        Row of ``nodes`` that each span belongs to; -1 for duplicates.
    failed
        Which spans failed, by row.
    forest
        The forest of the frame.
    """

    calls: pd.DataFrame
    nodes: pd.DataFrame
    node_of_row: NDArray[np.int64]
    failed: NDArray[np.bool_]
    forest: Forest


def call_edges(spans: pd.DataFrame, *, level: str = "service") -> Calls:
    """Return every call of the frame: between services, to what emits no spans, and through brokers.

    The rules are those that :func:`~traceanalytics.analysis.dependencies.service_graph` documents.
    """
    forest = Forest(spans)
    kind = kind_codes(spans)
    service, _ = codes_of(spans["service"])
    outgoing = (forest.depth >= 0) & ((kind == CLIENT) | (kind == PRODUCER))
    outgoing |= _clients_without_kind(spans, forest, kind, service)
    rows = np.flatnonzero(outgoing | (kind == CONSUMER) | names_broker(spans))
    targets = call_targets(spans, rows, kind[rows] >= PRODUCER)
    label = _by_row(len(spans), rows, targets.name, -1)
    purpose = _by_row(len(spans), rows, targets.purpose, RPC)
    receives = _by_row(len(spans), rows, targets.receives, False)
    settles = _by_row(len(spans), rows, targets.settles, False)
    fetches = outgoing & (kind == CLIENT) & receives
    outgoing &= ~(fetches | ((kind == CLIENT) & settles))
    renamed = outgoing & (kind == CLIENT) & (purpose != MESSAGING) & _renamed(spans, forest, label, targets.labels)
    outgoing &= ~renamed
    found = arrivals(forest, kind, service, outgoing)
    sent = messages(
        forest,
        kind,
        service,
        found,
        purpose=purpose,
        label=np.where(purpose == MESSAGING, label, -1),
        label_rank=np.argsort(np.argsort(targets.labels)) if targets.labels else np.zeros(0, dtype=np.int64),
        receives=fetches,
        outgoing=outgoing,
        linked=linked_rows(spans, forest),
    )
    begins = found.enters.copy()
    begins[sent.consumer] = True
    nodes = GraphNodes(spans, heads(forest, begins), targets, level=level)
    parts = [_answered(forest, kind, found, purpose, renamed), *_messaging(sent)]
    parts.append(_unanswered(found, outgoing, sent, purpose, label))
    ends = _Ends(*(np.concatenate(columns) for columns in zip(*(part.columns for part in parts), strict=True)))
    failed = is_error(spans).to_numpy()
    calls = pd.DataFrame(
        {
            "trace": forest.trace[ends.home].astype(np.int64),
            "purpose": ends.purpose,
            "caller": nodes.of_end(ends.caller, ends.label),
            "callee": nodes.of_end(ends.callee, ends.label),
            "client_row": ends.client,
            "server_row": ends.server,
            "paired": ends.paired,
            **_measured(forest, ends, failed),
        },
        copy=False,
    )
    table, place = nodes.used_by(calls["caller"].to_numpy(), calls["callee"].to_numpy())
    calls["caller"], calls["callee"] = place[calls["caller"].to_numpy()], place[calls["callee"].to_numpy()]
    return Calls(calls, table, place[nodes.of_span], failed, forest)


def _by_row(n: int, rows: NDArray[np.int64], values: NDArray[Any], missing: Any) -> NDArray[Any]:
    found = np.full(n, missing, dtype=values.dtype)
    found[rows] = values
    return found


def _renamed(spans: pd.DataFrame, forest: Forest, label: NDArray[np.int64], labels: list[str]) -> NDArray[np.bool_]:
    """Mark the spans without children, right below a span of another service, that call nobody or their own service.

    A client of a database that reports under the name of the database does so: it is the call, and makes none.
    """
    n = forest.n_spans
    service, names = codes_of(spans["service"])
    parent = forest.parent
    found = (np.diff(forest.child_offsets[: n + 1]) == 0) & (parent >= 0)
    found &= service[parent] != service
    place = {str(name): at for at, name in enumerate(names)}
    named = np.array([*(place.get(text, -2) for text in labels), -1], dtype=np.int64)[label]
    return np.asarray(found & ((label < 0) | (named == service)))


def _clients_without_kind(
    spans: pd.DataFrame, forest: Forest, kind: NDArray[np.int8], service: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Mark the spans without a kind that are outgoing all the same.

    Inside of its service (not the first span of it), such a span is the client's half of a call if its only child belongs to
    another service, or if it has no children and names a database or a peer.
    """
    n = forest.n_spans
    parent = forest.parent
    inside: NDArray[np.bool_] = (kind == 0) & (parent >= 0) & (forest.depth >= 0)
    if not inside.any():
        return inside
    inside &= service[parent] == service
    offsets = forest.child_offsets[: n + 1]
    children = np.diff(offsets)
    single = np.flatnonzero(inside & (children == 1))
    found = np.zeros(n, dtype=bool)
    found[single] = service[forest.children[offsets[single]]] != service[single]
    leaf = np.flatnonzero(inside & (children == 0))
    found[leaf] = names_database(spans)[leaf]
    if carried(spans, PEER):
        found[leaf] |= attribute(spans, PEER).notna().to_numpy()[leaf]
    return found


@dataclass(frozen=True)
class _Ends:
    """Calls by the rows and labels of their ends; -1 is "none" everywhere."""

    purpose: NDArray[np.int64]
    home: NDArray[np.int64]
    """Row whose trace the call is counted in."""
    caller: NDArray[np.int64]
    """Row of a span of the caller; -1: the caller is the virtual node of ``label``."""
    callee: NDArray[np.int64]
    """Row of a span of the callee; -1: the callee is the virtual node of ``label``."""
    label: NDArray[np.int64]
    client: NDArray[np.int64]
    server: NDArray[np.int64]
    sender: NDArray[np.int64]
    """Row of the span that sent what ``server`` consumed."""
    paired: NDArray[np.bool_]

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:
        return tuple(vars(self).values())


def _ends(n: int, **given: Any) -> _Ends:
    columns: dict[str, Any] = {name: np.full(n, -1, dtype=np.int64) for name in _Ends.__annotations__}
    columns |= {name: np.broadcast_to(np.asarray(value, dtype=np.int64), n) for name, value in given.items()}
    columns["paired"] = columns["paired"] > 0
    return _Ends(**columns)


def _answered(
    forest: Forest,
    kind: NDArray[np.int8],
    found: Arrivals,
    purpose: NDArray[np.int8],
    renamed: NDArray[np.bool_],
) -> _Ends:
    """Return the calls whose server's first span is there, with or without a client; what that span is of its caller's is in ``renamed``."""
    first = np.flatnonzero(found.enters & ~asynchronous_entries(kind, found))
    client = found.asker[first].astype(np.int64)
    to_database = ((client >= 0) & (purpose[client] == DB)) | (renamed[first] & (purpose[first] == DB))
    return _ends(
        len(first),
        purpose=np.where(to_database, DB, RPC),
        home=first,
        caller=forest.parent[first],
        callee=first,
        client=client,
        server=first,
        paired=client >= 0,
    )


def _messaging(sent: Messages) -> list[_Ends]:
    """Return sendings to a destination, deliveries from it, and messages whose destination has no name, straight to the consumer."""
    named = sent.destination >= 0
    straight = ~named & (sent.caller >= 0)
    # Somebody sent without an outgoing span: what was delivered has been sent all the same.
    implied = named & (sent.caller >= 0) & (sent.sender < 0)
    alone = (sent.published_to >= 0) | ~np.isin(sent.publisher, sent.sender[straight])
    publisher, to = sent.publisher[alone], sent.published_to[alone]
    return [
        _ends(
            len(publisher),
            purpose=MESSAGING,
            home=publisher,
            caller=publisher,
            label=to,
            client=publisher,
            paired=sent.consumed[alone],
        ),
        _ends(
            int(implied.sum()),
            purpose=MESSAGING,
            home=sent.caller[implied],
            caller=sent.caller[implied],
            label=sent.destination[implied],
            paired=1,
        ),
        _ends(
            int(named.sum()),
            purpose=MESSAGING,
            home=sent.consumer[named],
            callee=sent.consumer[named],
            label=sent.destination[named],
            server=sent.consumer[named],
            sender=sent.sender[named],
            paired=sent.caller[named] >= 0,
        ),
        _ends(
            int(straight.sum()),
            purpose=MESSAGING,
            home=sent.caller[straight],
            caller=sent.caller[straight],
            callee=sent.consumer[straight],
            client=sent.sender[straight],
            server=sent.consumer[straight],
            sender=sent.sender[straight],
            paired=sent.sender[straight] >= 0,
        ),
    ]


def _unanswered(
    found: Arrivals,
    outgoing: NDArray[np.bool_],
    sent: Messages,
    purpose: NDArray[np.int8],
    label: NDArray[np.int64],
) -> _Ends:
    """Return the calls to what emits no spans; of outgoing spans within each other one counts."""
    alone = outgoing.copy()
    asked = found.asker[found.asker >= 0]
    alone[asked] = False
    inner = np.flatnonzero(found.layer_over >= 0)
    outer = found.layer_over[inner]
    # Below a span that names a database or a broker, a plain call is how it gets there; otherwise the innermost span counts.
    transport = alone[inner] & (purpose[inner] == RPC) & (purpose[outer] != RPC)
    alone[outer[~transport]] = False
    alone[inner[transport]] = False
    alone[sent.publisher] = False
    alone &= purpose != MESSAGING
    rows = np.flatnonzero(alone)
    return _ends(len(rows), purpose=purpose[rows], home=rows, caller=rows, label=label[rows], client=rows, paired=0)


def _measured(forest: Forest, ends: _Ends, failed: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    """Return what is known about each call; the last entry of each array below serves the row -1."""
    fails = np.append(failed, False)
    timed = np.append(forest.timed, False)
    begin, end = np.append(forest.start, 0), np.append(forest.end, 0)
    length = np.where(timed, end - begin, 0)
    client, server, sender = ends.client, ends.server, ends.sender
    wait = timed[sender] & timed[server]
    both = timed[client] & timed[server]
    wait_ns = np.maximum(np.where(wait, begin[server], 0) - np.where(wait, end[sender], 0), 0)
    gap_ns = np.where(ends.purpose == MESSAGING, wait_ns, length[client] - length[server])
    known = np.where(ends.purpose == MESSAGING, wait, both)
    return {
        "client_error": fails[client],
        "server_error": fails[server],
        "client_ms": np.where(timed[client], length[client] / 1e6, np.nan),
        "server_ms": np.where(timed[server], length[server] / 1e6, np.nan),
        "gap_ms": np.where(known, gap_ns / 1e6, np.nan),
    }
