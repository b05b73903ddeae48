"""Which services call which, how often, how fast and how well: the service graph."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.analysis.call_targets import NODE_KINDS, PURPOSES
from traceanalytics.analysis.edges import Calls, call_edges
from traceanalytics.errors import check_option
from traceanalytics.weights import Weights, group_quantiles, group_sums, span_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    import networkx as nx
    from numpy.typing import NDArray

__all__ = ["Dependencies", "dependency_tables", "service_graph"]

_COUNTS = ("calls", "traces", "client_errors", "server_errors")
_LEVELS = (0.5, 0.95)


class Dependencies(NamedTuple):
    """The sums behind a service graph."""

    nodes: pd.DataFrame
    """One row a node, sorted by ``node``, with the node attributes of :func:`service_graph`; ``name`` at level "operation"."""
    edges: pd.DataFrame
    """One row an edge, sorted by ``caller``, ``callee``, ``kinds``, with the edge attributes of :func:`service_graph`."""


def service_graph(
    spans: pd.DataFrame, *, level: str = "service", merge: bool = False, weights: Weights = None
) -> nx.DiGraph[Any]:
    """Answer what each service really calls, how often in a request, how fast, and which calls fail.

    A call is counted once, whatever its two halves recorded:

    - Where the parent of a span belongs to another service, work has entered the span's service: that is a call. So is a SERVER
      below a CLIENT of its own service (a service that calls itself), but nothing else within a service is. The client's half
      is the CLIENT span above; INTERNAL spans and spans without a kind in between are looked through.
    - A CLIENT that nobody answered is a call to what emits no spans (``virtual``). It is a call to a database where it names one or
      has the text of a query; that is named by ``service.peer.name``, else ``db.system.name`` and ``db.namespace`` (else
      ``server.address``); a broker by ``messaging.system`` and ``messaging.destination.name``, without a destination by the peer's
      name; anything else by the first of ``service.peer.name``, ``server.address``, the host in ``url.full``,
      ``network.peer.address``, ``rpc.service``. A loopback address is named with its port (``localhost:3306``) where that is known.
      Where nothing is known it is "(unknown)", and where the name is a service's, that is meant.
    - A CLIENT without children right below a span of another service that names no callee, or its own service, is the call into
      its service and none besides: clients of databases report so under the name of the database.
    - Of CLIENT spans within each other the innermost counts; below one that names a database or a broker, the outermost does.
    - A PRODUCER (or a CLIENT that names a broker) sends to its destination, a node; a CONSUMER (or a CLIENT that receives)
      takes from it. They belong together by parent or by link, and then the sender's name of the destination counts. Messages
      whose destination has no name go straight from sender to consumer. A span that only settles messages is no call.
    - Without kinds, a span inside of its service counts as the CLIENT of its only child if that belongs to another service; or,
      without children, if it names a database or a peer.

    Duplicates are left out. Spans without a service belong to "(unknown)".

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. A span that was filtered away breaks calls: select whole traces.
    level
        "service": a node is a service. "operation": a node is ``"service: name"``, the first span of a service in each call
        (with all local spans below it).
    merge
        False: calls of different kinds between two nodes are edges of their own, with the keys "rpc", "messaging" and "db".
        True: one edge for all of them.
    weights
        Number of traces that each trace stands for: a column, or a Series on the frame's index. Counts are then sums of weights
        (float); shares and times are weighted.

    Returns
    -------
    networkx.MultiDiGraph or, with ``merge=True``, networkx.DiGraph
        Nodes and edges are in the order of their names. Attributes are ``str``, ``bool``, ``int`` and ``float``, so that GraphML and
        JSON take them; what is unknown is left out, and characters that XML forbids are replaced.

        Node attributes:

        - ``service``, at level "operation" also ``name`` (not for virtual nodes)
        - ``kind``: service, database, broker, external (known by address or ``rpc.service`` only) or unknown
        - ``virtual``: no span comes from it
        - ``calls``: how often work arrived: calls, and roots of traces; ``errors``: those of them that failed
        - ``spans``: how many it emitted

        Edge attributes:

        - ``kinds``: "rpc", "messaging", "db"; with ``merge=True`` joined, as in "messaging, rpc"
        - ``calls``; ``traces``: in how many of them
        - ``calls_per_request``, ``calls_per_request_p50``, ``calls_per_request_p95``: calls in each trace that the caller occurs
          in, 0 included: mean and quantiles
        - ``client_errors``, ``server_errors``: calls that failed, as either side saw them (:func:`~traceanalytics.is_error`);
          ``error_rate``: share of the calls that failed for at least one side
        - ``client_p50_ms``, ``client_p95_ms``, ``server_p50_ms``, ``server_p95_ms``: durations of the two halves
        - ``gap_p50_ms``, ``gap_p95_ms``: client minus server time, network and queues, free of clock skew; for messages the time
          from the end of sending to the start of consuming, at least 0
        - ``unpaired_share``: share of the calls of which one half is missing: no span of the callee, or no client (sending, consuming) span

        Quantiles are values that occurred (the inverse of the distribution function).

    Raises
    ------
    OptionError
        An option has a value that it does not know.
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is not usable.

    See Also
    --------
    compare_dependencies : The graph against a declared list.

    Notes
    -----
    Looking through local spans and letting servers' names win follows Zipkin's DependencyLinker; virtual nodes and messaging
    follow the service graphs of Grafana Tempo, without their time window.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.dependencies import service_graph
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2", "b3", "b4"],
    ...     "parent_span_id": [None, "b1", "b2", "b3"], "name": ["GET /", "POST", "/pay", "SELECT"],
    ...     "service": ["web", "web", "payment", "payment"], "kind": ["SERVER", "CLIENT", "SERVER", "CLIENT"],
    ...     "duration_ms": [50.0, 40.0, 30.0, 5.0], "start_time": pd.Timestamp("2026-01-01", tz="UTC"),
    ...     "span.db.system.name": [None, None, None, "mysql"], "span.db.namespace": [None, None, None, "bank"]}))
    >>> graph = service_graph(spans)
    >>> list(graph.edges)
    [('payment', 'mysql/bank', 'db'), ('web', 'payment', 'rpc')]
    >>> graph.edges["web", "payment", "rpc"]["gap_p50_ms"], graph.nodes["mysql/bank"]["virtual"]
    (10.0, True)
    """
    import networkx as nx  # noqa: PLC0415 - the tables do without

    found = _numbered(spans, level=level, merge=merge, weights=weights)
    graph: nx.DiGraph[Any] = nx.DiGraph() if merge else nx.MultiDiGraph()
    names = found.nodes["node"].tolist()
    # One object a name: dicts then compare identities and know the hash.
    ends = [[names[at] for at in found.edges[end].tolist()] for end in ("caller", "callee")]
    with _no_search_for_garbage():
        graph.add_nodes_from(zip(names, _records(found.nodes.drop(columns="node")), strict=True))
        keys = [] if merge else [_scalars(found.edges["kinds"])]
        edges = _records(found.edges.drop(columns=["caller", "callee"]))
        graph.add_edges_from(zip(*ends, *keys, edges, strict=True))
    return graph


@contextlib.contextmanager
def _no_search_for_garbage() -> Iterator[None]:
    """Keep Python from going through a million new dicts again and again; none of them is garbage."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _records(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield rows as dicts of Python scalars, without what is unknown."""
    names = [str(name) for name in table.columns]
    missing = (table.isna() | (table == "")).to_numpy(dtype=bool)
    code, patterns = pd.factorize(missing @ (1 << np.arange(len(names))))
    absent = [[name for at, name in enumerate(names) if pattern >> at & 1] for pattern in patterns.tolist()]
    columns = [_scalars(table[name]) for name in names]
    for row, pattern in zip(zip(*columns, strict=True), code.tolist(), strict=True):
        record = dict(zip(names, row, strict=True))
        for name in absent[pattern]:
            del record[name]
        yield record


def _scalars(column: pd.Series) -> list[Any]:
    """Return Python scalars, of texts that repeat one object each."""
    if isinstance(column.dtype, pd.StringDtype):
        code, texts = pd.factorize(column.astype("object"))
        return texts.take(code).tolist()
    return column.tolist()


def dependency_tables(
    spans: pd.DataFrame, *, level: str = "service", merge: bool = False, weights: Weights = None
) -> Dependencies:
    """Return nodes and edges of :func:`service_graph` as two frames; NaN where the graph leaves an attribute out."""
    nodes, edges = _numbered(spans, level=level, merge=merge, weights=weights)
    names = nodes["node"].array
    return Dependencies(nodes, edges.assign(**{end: names.take(edges[end]) for end in ("caller", "callee")}))


def _numbered(spans: pd.DataFrame, *, level: str, merge: bool, weights: Weights) -> Dependencies:
    """Return the tables with the numbers of nodes as ``caller`` and ``callee``."""
    check_option("level", level, ("service", "operation"))
    check_option("merge", merge, (False, True))
    found = call_edges(spans, level=level)
    weight = span_weights(spans, weights)
    edges = _edges(found, weight, merge=merge)
    nodes = _node_sums(found, weight, level=level)
    if weights is None:
        edges = edges.astype(dict.fromkeys(_COUNTS, "int64"))
        nodes = nodes.astype(dict.fromkeys(("calls", "errors", "spans"), "int64"))
    return Dependencies(nodes, edges)


def _edges(found: Calls, weight: NDArray[np.float64], *, merge: bool) -> pd.DataFrame:
    calls, n_nodes = found.calls, max(len(found.nodes), 1)
    kinds = 1 if merge else len(PURPOSES)
    purpose = calls["purpose"].to_numpy()
    alphabetical = np.argsort(np.argsort(PURPOSES))
    key = calls["caller"].to_numpy() * n_nodes + calls["callee"].to_numpy()
    key = key if merge else key * kinds + alphabetical[purpose]
    group, keys = pd.factorize(key, sort=True)
    n = len(keys)
    caller, callee = np.divmod(keys // kinds, n_nodes)
    of_trace = _trace_weights(found, weight)
    heavy = of_trace[calls["trace"].to_numpy()]
    ones = np.ones(len(calls))
    total = group_sums(group, n, ones, heavy)
    share = np.maximum(total, np.finfo(float).tiny)
    columns: dict[str, Any] = {
        "caller": caller,
        "callee": callee,
        "kinds": _kinds(group, n, purpose),
        "calls": total,
    }
    columns |= _per_request(found, group, caller, of_trace, total)
    client, server = calls["client_error"].to_numpy(), calls["server_error"].to_numpy()
    columns["client_errors"] = group_sums(group, n, client, heavy)
    columns["server_errors"] = group_sums(group, n, server, heavy)
    columns["error_rate"] = group_sums(group, n, client | server, heavy) / share
    for side in ("client", "server", "gap"):
        quantiles = group_quantiles(group, n, calls[f"{side}_ms"].to_numpy(), heavy, _LEVELS)
        columns[f"{side}_p50_ms"], columns[f"{side}_p95_ms"] = quantiles[:, 0], quantiles[:, 1]
    columns["unpaired_share"] = group_sums(group, n, ~calls["paired"].to_numpy(), heavy) / share
    return pd.DataFrame(columns, copy=False)


def _trace_weights(found: Calls, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    of_trace = np.ones(found.forest.n_traces)
    of_trace[found.forest.trace] = weight
    return of_trace


def _kinds(group: NDArray[np.intp], n: int, purpose: NDArray[np.int64]) -> Any:
    """Return the kinds of the calls of each group, joined in alphabetical order."""
    there = np.zeros((n, len(PURPOSES)), dtype=bool)
    there[group, purpose] = True
    order = np.argsort(PURPOSES).tolist()
    masks = there @ (1 << np.arange(len(PURPOSES)))
    texts = [", ".join(PURPOSES[at] for at in order if mask >> at & 1) for mask in range(1 << len(PURPOSES))]
    return pd.array(texts, dtype="str").take(masks)


def _per_request(
    found: Calls,
    group: NDArray[np.intp],
    caller: NDArray[np.int64],
    of_trace: NDArray[np.float64],
    total: NDArray[np.float64],
) -> dict[str, Any]:
    """Return in how many traces the calls are, and calls per trace that the caller occurs in, those without calls included."""
    n, n_traces = len(total), max(found.forest.n_traces, 1)
    pair, pairs = pd.factorize(group * np.int64(n_traces) + found.calls["trace"].to_numpy())
    count = np.bincount(pair, minlength=len(pairs)).astype(np.float64)
    edge, trace = np.divmod(pairs, n_traces)
    traces = group_sums(edge, n, np.ones(len(edge)), of_trace[trace])
    requests = _traces_of_nodes(found, of_trace)[caller]
    idle = requests - traces
    idle[idle <= 1e-9 * requests] = 0  # what is left of a difference of sums
    some = np.flatnonzero(idle)
    quantiles = group_quantiles(
        np.r_[edge, some], n, np.r_[count, np.zeros(len(some))], np.r_[of_trace[trace], idle[some]], _LEVELS
    )
    return {
        "traces": traces,
        "calls_per_request": total / np.maximum(requests, np.finfo(float).tiny),
        "calls_per_request_p50": quantiles[:, 0],
        "calls_per_request_p95": quantiles[:, 1],
    }


def _traces_of_nodes(found: Calls, of_trace: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weight of the traces that each node occurs in: by its spans or as a caller, or where it has no spans by its calls."""
    calls, real = found.calls, found.nodes["real"].to_numpy()
    n_traces = max(found.forest.n_traces, 1)
    kept = np.flatnonzero(found.node_of_row >= 0)
    keys = [found.node_of_row[kept] * n_traces + found.forest.trace[kept]]
    for end in ("caller", "callee"):
        node = calls[end].to_numpy()
        there = ~real[node] | (end == "caller")  # a broker's destination may bear the name of a service
        keys.append(node[there] * n_traces + calls["trace"].to_numpy()[there])
    node, trace = np.divmod(pd.unique(np.concatenate(keys)), n_traces)
    return group_sums(node, len(real), np.ones(len(node)), of_trace[trace])


def _node_sums(found: Calls, weight: NDArray[np.float64], *, level: str) -> pd.DataFrame:
    calls, nodes = found.calls, found.nodes
    n = len(nodes)
    heavy = _trace_weights(found, weight)[calls["trace"].to_numpy()]
    callee = calls["callee"].to_numpy()
    broken = (calls["client_error"] | calls["server_error"]).to_numpy()
    called = np.zeros(found.forest.n_spans + 1, dtype=bool)
    called[calls["server_row"].to_numpy()] = True
    roots = np.flatnonzero((found.forest.depth == 0) & ~called[:-1])
    of_root = found.node_of_row[roots]
    columns: dict[str, Any] = {"node": nodes["node"], "service": nodes["service"]}
    if level == "operation":
        columns["name"] = nodes["name"]
    columns |= {
        "kind": pd.array(NODE_KINDS, dtype="str").take(nodes["node_kind"].to_numpy()),
        "virtual": ~nodes["real"].to_numpy(),
        "calls": group_sums(callee, n, np.ones(len(calls)), heavy)
        + group_sums(of_root, n, np.ones(len(roots)), weight[roots]),
        "errors": group_sums(callee, n, broken, heavy) + group_sums(of_root, n, found.failed[roots], weight[roots]),
        "spans": group_sums(found.node_of_row, n, np.ones(found.forest.n_spans), weight),
    }
    return pd.DataFrame(columns, copy=False)
