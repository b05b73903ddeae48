"""The DAG of 10,000 spans, against NetworkX's own way from a frame of edges, with the same nodes, edges and attributes."""

from __future__ import annotations

import networkx as nx
import pandas as pd
from generate import forest
from timing import Table, seconds

import traceanalytics as ta


def from_pandas(edges, attributes):
    """The usual way: edges from a frame, then attributes by node."""
    graph = nx.from_pandas_edgelist(edges, "tail", "head", edge_attr="offset_ms", create_using=nx.DiGraph)
    nx.set_node_attributes(graph, attributes.to_dict("index"))
    return graph


def main():
    spans = forest(10_000, 500)
    ours = ta.span_graph(spans)
    edges = pd.DataFrame(
        [(t, h, d["offset_ms"]) for t, h, d in ours.edges(data=True)], columns=["tail", "head", "offset_ms"]
    )
    attributes = pd.DataFrame([data for _, data in ours.nodes(data=True)])
    attributes.index = pd.Index(list(ours.nodes), tupleize_cols=False)
    own, other = seconds(lambda: ta.span_graph(spans), lambda: from_pandas(edges, attributes))
    Table("NetworkX DAG").add(
        f"span_graph, {len(ours):,} nodes, {len(attributes.columns)} attributes", own, other, 1 / 2
    )


if __name__ == "__main__":
    main()
