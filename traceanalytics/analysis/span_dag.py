"""The spans of traces as a NetworkX graph."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
import pandas as pd

from traceanalytics.analysis.trace_rows import trace_origins
from traceanalytics.analysis.xml_text import xml_text
from traceanalytics.spans.columns import NAT, codes_of
from traceanalytics.spans.error_rule import is_error
from traceanalytics.spans.items import links as links_of
from traceanalytics.topology import Forest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["span_graph"]

_Node = tuple[Any, ...]


def span_graph(spans: pd.DataFrame, *, links: bool = False) -> nx.DiGraph[Any]:
    """Answer who called whom, as a graph that every algorithm of NetworkX takes: one node a span.

    Edges go from parent to child. The graph is acyclic: rings of parents are broken at their earliest span, and duplicates are
    left out.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order.
    links
        Add the spans' links as edges, from the linked span to the span that names it: the way that work flows, as from parent to
        child. Such a graph may have cycles.

    Returns
    -------
    networkx.DiGraph or, with ``links=True``, networkx.MultiDiGraph
        Nodes are tuples ``(trace_id, span_id)``, parents before children. Where further spans of a trace bear the same id, they
        follow as ``(trace_id, span_id, 2)`` and so on, in order of their starts; children hang on the first of them.

        Node attributes are plain ``str``, ``int``, ``float`` and ``bool``, so that GraphML and JSON take them; what is unknown is
        left out:

        - ``trace_id``, ``span_id``, ``service``, ``name``, ``kind``, ``status`` (characters that XML forbids are replaced in
          services and names)
        - ``start_ns`` (int): nanoseconds since 1970
        - ``offset_ms``: start after that of the trace's main root, as in :func:`~traceanalytics.hierarchy`
        - ``duration_ms``
        - ``depth`` (int): 0 for roots
        - ``error`` (bool): by :func:`~traceanalytics.is_error`
        - ``missing`` (True): on the ends of links that are not in the frame; they have no other attributes but their ids

        Edges have ``offset_ms``, the start of the head since the start of the tail. With ``links=True`` their keys are
        ``"child_of"`` and ``"link"``; several links between two spans are one edge.

    Raises
    ------
    SchemaError
        The frame lacks a column, or its index repeats a label.

    Examples
    --------
    >>> import networkx as nx
    >>> import traceanalytics as ta
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2"], "parent_span_id": [None, "b1"],
    ...     "name": ["checkout", "stock"], "start_time": [t, t + pd.Timedelta("10ms")], "duration_ms": [100.0, 40.0]}))
    >>> graph = ta.span_graph(spans)
    >>> [graph.nodes[node]["name"] for node in nx.dag_longest_path(graph)]
    ['checkout', 'stock']
    >>> [offset for _, _, offset in graph.edges(data="offset_ms")]
    [10.0]
    """
    forest = Forest(spans)
    keys = _keys(spans, forest)
    nodes = [keys[row] for row in forest.order.tolist()]
    edges = _child_edges(forest, keys)
    if not links:
        graph: nx.DiGraph[Any] = nx.DiGraph()
        graph.add_nodes_from(nodes)
        _set_attributes(graph, nodes, spans, forest)
        graph.add_edges_from(edges)
        return graph
    linked: nx.MultiDiGraph[Any] = nx.MultiDiGraph()
    linked.add_nodes_from(nodes)
    _set_attributes(linked, nodes, spans, forest)
    keyed = ((tail, head, "child_of", data) for tail, head, data in edges)
    linked.add_edges_from(keyed)  # type: ignore[arg-type]  # the stubs know no edges with keys
    _add_links(linked, spans, forest, keys)
    return linked


def _keys(spans: pd.DataFrame, forest: Forest) -> list[_Node]:
    """Return the node of each row; that of a duplicate means nothing."""
    every = np.arange(len(spans))
    keys: list[_Node] = list(zip(_texts(spans["trace_id"], every), spans["span_id"].fillna("").tolist(), strict=True))
    rows = forest.order
    if len(set(keys)) == len(keys):
        return keys
    childless = np.diff(forest.child_offsets[: len(spans) + 1])[rows] == 0
    seen: Counter[_Node] = Counter()
    for row in rows[np.lexsort((forest.start[rows], forest.start[rows] == NAT, childless))].tolist():
        seen[keys[row]] += 1
        if (number := seen[keys[row]]) > 1:
            keys[row] = (*keys[row], number)
    return keys


def _set_attributes(graph: nx.DiGraph[Any], nodes: list[_Node], spans: pd.DataFrame, forest: Forest) -> None:
    """Fill the attributes of the nodes, which stand in the order of the forest, in place: handed over, they would be copied."""
    rows = forest.order
    origin = trace_origins(forest)[forest.trace[rows]]
    start = forest.start[rows]
    known = start != NAT
    duration = spans["duration_ms"].to_numpy("float64", na_value=np.nan)[rows]
    columns = (
        *(_texts(spans[name], rows) for name in ("service", "name", "kind", "status")),
        start.tolist(),
        (np.where(known, start - np.where(known, origin, 0), 0) / 1e6).tolist(),
        duration.tolist(),
        forest.depth[rows].tolist(),
        is_error(spans).to_numpy()[rows].tolist(),
    )
    found = [data for _, data in graph.nodes(data=True)]
    for data, node, values in zip(found, nodes, zip(*columns, strict=True), strict=True):
        service, name, kind, status, start_ns, offset_ms, duration_ms, depth, error = values
        data |= {  # written out, it is twice as quick as a dict of two lists
            "trace_id": node[0],
            "span_id": node[1],
            "service": service,
            "name": name,
            "kind": kind,
            "status": status,
            "start_ns": start_ns,
            "offset_ms": offset_ms,
            "duration_ms": duration_ms,
            "depth": depth,
            "error": error,
        }
    _leave_out(found, ("start_ns", "offset_ms"), ~known)
    _leave_out(found, ("duration_ms",), ~np.isfinite(duration))
    for name in ("trace_id", "span_id", "service", "name", "kind", "status"):
        _leave_out(found, (name,), spans[name].isna().to_numpy()[rows])


def _leave_out(found: list[dict[str, Any]], names: tuple[str, ...], missing: NDArray[np.bool_]) -> None:
    for at in np.flatnonzero(missing).tolist():
        for name in names:
            del found[at][name]


def _texts(column: pd.Series, rows: NDArray[Any]) -> list[str]:
    """Return plain texts of rows, "" where missing; every different one is looked at once."""
    codes, labels = codes_of(column)
    texts = [xml_text(str(label)) for label in labels]
    texts.append("")  # serves the code -1
    return [texts[code] for code in codes[rows].tolist()]


def _child_edges(forest: Forest, keys: list[_Node]) -> Iterator[tuple[_Node, _Node, dict[str, float]]]:
    child = forest.order[forest.parent[forest.order] >= 0]
    parent = forest.parent[child]
    tails, heads = ([keys[row] for row in rows.tolist()] for rows in (parent, child))
    data = [{} if offset is None else {"offset_ms": offset} for offset in _offsets(forest, parent, child)]
    return zip(tails, heads, data, strict=True)


def _offsets(forest: Forest, tail: NDArray[Any], head: NDArray[Any]) -> list[float | None]:
    known = (forest.start[tail] != NAT) & (forest.start[head] != NAT)
    offset = np.where(known, forest.start[head], 0) - np.where(known, forest.start[tail], 0)
    found: list[float | None] = (offset / 1e6).tolist()
    for at in np.flatnonzero(~known).tolist():
        found[at] = None
    return found


def _add_links(graph: nx.MultiDiGraph[Any], spans: pd.DataFrame, forest: Forest, keys: list[_Node]) -> None:
    position = pd.Series(np.arange(len(spans)), index=spans.index)
    found = links_of(spans)
    heads = position[found.index].to_numpy()
    used = forest.depth[heads] >= 0
    found, heads = found[used], heads[used]
    row_of = {keys[row]: row for row in forest.order.tolist()}
    targets = list(
        zip(
            _texts(found["linked_trace_id"], np.arange(len(found))),
            found["linked_span_id"].fillna("").tolist(),
            strict=True,
        )
    )
    for target in dict.fromkeys(targets):
        if target not in row_of:
            graph.add_node(target, trace_id=target[0], span_id=target[1], missing=True)
    tails = np.array([row_of.get(target, -1) for target in targets], dtype=np.int64)
    offsets = _offsets(forest, tails, heads) if len(tails) else []
    keyed = (
        (target, keys[head], "link", {} if tail < 0 or offset is None else {"offset_ms": offset})
        for target, tail, head, offset in zip(targets, tails.tolist(), heads.tolist(), offsets, strict=True)
    )
    graph.add_edges_from(keyed)  # type: ignore[arg-type]  # as above
