"""Peers without spans that are many of a kind, such as shards: one node for all of them in pictures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["alike_peers_as_one"]

_LEAST_ALIKE: Final = 4
_NUMBER: Final = re.compile(r"\d+")


def alike_peers_as_one(graph: nx.DiGraph[str]) -> tuple[nx.DiGraph[str], dict[str, int]]:
    """Unite virtual nodes whose names differ by numbers only and whose callers are the same; tell how many each stands for.

    Fewer than four stay as they are. The graph is a service graph with ``merge=True``.
    """
    alike: dict[tuple[Any, ...], list[str]] = {}
    for name, of in graph.nodes(data=True):
        if of["virtual"] and not graph.out_degree(name):
            alike.setdefault((_NUMBER.sub("#", name), of["kind"], tuple(sorted(graph.pred[name]))), []).append(name)
    united, members = graph.copy(), {}
    for (name, _, callers), same in alike.items():
        if len(same) < _LEAST_ALIKE or name in graph:
            continue
        nodes = [graph.nodes[one] for one in same]
        united.add_node(name, **nodes[0] | {key: sum(of[key] for of in nodes) for key in ("calls", "errors", "spans")})
        for caller in callers:
            edges = [graph.edges[caller, one] for one in same]
            calls = sum(of["calls"] for of in edges)
            failed = sum(of["calls"] * of.get("error_rate", 0.0) for of in edges)
            united.add_edge(
                caller, name, kinds=edges[0]["kinds"], calls=calls, error_rate=failed / calls if calls else 0.0
            )
        united.remove_nodes_from(same)
        members[name] = len(same)
    return united, members
