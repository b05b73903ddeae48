"""``span_graph``: the spans as a DAG of NetworkX."""

from __future__ import annotations

import io
import json

import networkx as nx
import pytest
from hypothesis import given
from small_traces import EPOCH_NS, draw, id_of, trace_of
from strategies import span_frames

import traceanalytics as ta

SHOP = """
    root   web   0-100   SERVER
      call  web   10-60   CLIENT
        cart  cart  12-50   SERVER ERROR
      other -   30-40
"""


def node(name, trace=0):
    return (trace_of(trace), id_of(name))


def test_nodes_and_edges_of_a_trace():
    graph = ta.span_graph(draw(SHOP))
    assert type(graph) is nx.DiGraph
    assert list(graph.edges) == [
        (node("root"), node("call")),
        (node("root"), node("other")),
        (node("call"), node("cart")),
    ]
    assert graph.nodes[node("cart")] == {
        "trace_id": trace_of(0),
        "span_id": id_of("cart"),
        "service": "cart",
        "name": "cart",
        "kind": "SERVER",
        "status": "ERROR",
        "start_ns": EPOCH_NS + 12_000_000,
        "offset_ms": 12.0,
        "duration_ms": 38.0,
        "depth": 2,
        "error": True,
    }
    assert "service" not in graph.nodes[node("other")]
    assert graph.edges[node("call"), node("cart")] == {"offset_ms": 2.0}


def test_traces_stay_apart():
    graph = ta.span_graph(draw(SHOP, SHOP))
    assert nx.number_weakly_connected_components(graph) == 2


@given(span_frames())
def test_it_is_a_dag_that_the_files_of_networkx_take(spans):
    graph = ta.span_graph(spans)
    assert nx.is_directed_acyclic_graph(graph)
    assert max((d for _, d in graph.in_degree), default=0) <= 1
    for data in [d for _, d in graph.nodes(data=True)] + [d for *_, d in graph.edges(data=True)]:
        assert {type(v) for v in data.values()} <= {str, int, float, bool}
    buffer = io.BytesIO()
    nx.write_graphml(graph, buffer)
    buffer.seek(0)
    assert nx.read_graphml(buffer).number_of_nodes() == len(graph)
    back = nx.node_link_graph(json.loads(json.dumps(nx.node_link_data(graph))))
    assert back.number_of_edges() == graph.number_of_edges()


def test_rings_are_broken_and_duplicates_left_out():
    graph = ta.span_graph(draw("a web 0-5 parent=b\nb web 1-2 parent=a\nc web 1-2 parent=c"))
    assert list(graph.edges) == [(node("a"), node("b"))]
    assert len(graph) == 3
    assert len(ta.span_graph(draw("a web 0-5\n  b web 1-2\n  b web 1-2"))) == 2


def test_spans_that_share_an_id_are_told_apart():
    graph = ta.span_graph(draw("a web 0-5 CLIENT\na db 1-3 SERVER\nb db 1-2 parent=a"))
    assert list(graph.nodes) == [node("a"), node("b"), (*node("a"), 2)]


def test_links_are_edges_on_request():
    link = json.dumps(
        [{"trace_id": trace_of(0), "span_id": id_of("root")}, {"trace_id": "f" * 32, "span_id": "e" * 16}]
    )
    spans = draw("root web 0-5 PRODUCER", "job mail 7-9 CONSUMER")
    spans["links"] = [None, link]
    assert ta.span_graph(spans).number_of_edges() == 0
    graph = ta.span_graph(spans, links=True)
    assert type(graph) is nx.MultiDiGraph
    job, gone = node("job", 1), ("f" * 32, "e" * 16)
    assert sorted(graph.edges(keys=True)) == sorted([(node("root"), job, "link"), (gone, job, "link")])
    assert graph.edges[node("root"), job, "link"] == {"offset_ms": 7.0}
    assert graph.nodes[gone] == {"trace_id": "f" * 32, "span_id": "e" * 16, "missing": True}


def test_a_chain_of_100_000_spans():
    n = 100_000
    spans = ta.conform(
        draw("a web 0-5")
        .loc[[0] * n]
        .reset_index(drop=True)
        .assign(span_id=[f"{i + 1:016x}" for i in range(n)], parent_span_id=[f"{i:016x}" for i in range(n)])
    )
    graph = ta.span_graph(spans)
    assert nx.dag_longest_path_length(graph) == n - 1


def test_an_empty_frame():
    assert len(ta.span_graph(draw())) == 0


def test_a_wrong_frame_is_refused():
    with pytest.raises(ta.SchemaError, match="lacks the column"):
        ta.span_graph(draw(SHOP).drop(columns="span_id"))
