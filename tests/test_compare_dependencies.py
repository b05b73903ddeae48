"""Observed against declared dependencies."""

from __future__ import annotations

import networkx as nx
import pandas as pd
import pytest
from small_traces import draw

from traceanalytics.analysis.declared_dependencies import compare_dependencies
from traceanalytics.analysis.dependencies import service_graph
from traceanalytics.errors import SchemaError


def observed(*pairs):
    graph = nx.MultiDiGraph()
    for caller, callee, calls in pairs:
        graph.add_edge(caller, callee, calls=calls)
    return graph


def rows(table):
    return [tuple(None if pd.isna(value) else value for value in row) for row in table.itertuples(index=False)]


GRAPH = observed(("web", "cart", 3), ("web", "cart", 4), ("web", "tax", 1))
EXPECTED = [
    ("cart", "mysql", "unused", 0, None),
    ("web", "cart", "confirmed", 7, None),
    ("web", "tax", "undocumented", 1, None),
]


def other_graph():
    graph = nx.DiGraph()
    graph.add_edges_from([("web", "cart"), ("cart", "mysql")])
    return graph


@pytest.mark.parametrize(
    "declared",
    [
        [("web", "cart"), ("cart", "mysql"), ("web", "cart")],
        (pair for pair in [["web", "cart"], ["cart", "mysql"]]),
        {("web", "cart"), ("cart", "mysql")},
        {"web": ["cart"], "cart": {"mysql"}, "mysql": []},
        {"web": "cart", "cart": "mysql"},
        pd.DataFrame({"from": ["web", "cart"], "to": ["cart", "mysql"]}),
        pd.DataFrame({"callee": ["cart", "mysql"], "since": [1, 2], "caller": ["web", "cart"]}),
        other_graph(),
    ],
    ids=["pairs", "generator", "set", "dict", "dict of texts", "two columns", "named columns", "graph"],
)
def test_every_form_of_declaration(declared):
    found = compare_dependencies(GRAPH, declared)
    assert rows(found) == EXPECTED
    assert found.columns.tolist() == ["caller", "callee", "status", "calls", "similar"]
    assert found["status"].cat.categories.tolist() == ["confirmed", "undocumented", "unused"]


@pytest.mark.parametrize(
    ("seen", "written", "alike"),
    [
        (("web", "payment-service"), ("web", "payment"), True),
        (("web", "Payment"), ("web", "payment"), True),
        (("web", "paymentservice"), ("web", "payment_service"), True),
        (("front-end", "cart"), ("frontend", "cart"), True),
        (("web", "payments"), ("web", "paymetns"), True),
        (("web", "cart"), ("web", "payment"), False),
        (("cart", "web"), ("web", "cart"), False),
        (("web", "db"), ("web", "mongodb"), False),  # two letters say nothing
        (("depot", "payment-service"), ("web", "payment"), False),
    ],
)
def test_names_that_look_alike(seen, written, alike):
    found = compare_dependencies(observed((*seen, 2)), [written])
    similar = dict(zip(found["status"], found["similar"], strict=True))
    if alike:
        assert similar == {"undocumented": " -> ".join(written), "unused": " -> ".join(seen)}
    else:
        assert found["similar"].isna().all()


def test_the_most_similar_is_suggested():
    found = compare_dependencies(observed(("web", "carts", 1)), [("web", "cartes"), ("web", "carts2")])
    assert found.set_index("callee")["similar"].fillna("").to_dict() == {
        "carts": "web -> carts2",
        "cartes": "web -> carts",
        "carts2": "web -> carts",
    }


def test_confirmed_ones_are_never_suggested():
    found = compare_dependencies(observed(("web", "cart", 1), ("web", "carts", 1)), [("web", "cart")])
    assert found["similar"].isna().all()


def test_with_spans():
    graph = service_graph(draw("c web 1-8 CLIENT\n  s cart 2-7 SERVER\n  t cart 2-7 SERVER"))
    found = compare_dependencies(graph, {"web": ["cart"]})
    assert rows(found) == [("web", "cart", "confirmed", 2, None)]
    assert rows(compare_dependencies(graph, graph)) == rows(found)
    assert found["calls"].dtype == "int64"
    weighted = service_graph(draw("c web 1-8 CLIENT\n  s cart 2-7 SERVER").assign(w=2.5), weights="w", merge=True)
    assert rows(compare_dependencies(weighted, [])) == [("web", "cart", "undocumented", 2.5, None)]


def test_nothing():
    empty = compare_dependencies(nx.DiGraph(), [])
    assert len(empty) == 0
    assert empty.dtypes.astype(str).tolist() == ["str", "str", "category", "int64", "str"]
    assert empty.dtypes.equals(compare_dependencies(GRAPH, []).dtypes)


@pytest.mark.parametrize(
    ("graph", "declared", "message"),
    [
        (draw("c web 1-8"), [], "graph is a DataFrame, expected a directed graph: ta.service_graph"),
        (nx.Graph(), [], "graph is a Graph, expected a directed graph"),
        (GRAPH, "web", "declared is a str, expected pairs"),
        (GRAPH, 3, "declared is a int, expected pairs"),
        (GRAPH, ["web"], "declared contains 'web', expected a pair"),
        (GRAPH, [("web", "cart", 3)], "declared contains .*, expected a pair"),
        (GRAPH, pd.DataFrame({"a": [1], "b": [2], "c": [3]}), "has the columns 'a', 'b', 'c', expected 'caller'"),
        (GRAPH, pd.DataFrame({"a": ["x"], "b": [None]}), "declared has missing names"),
    ],
)
def test_refusals(graph, declared, message):
    with pytest.raises(SchemaError, match=message):
        compare_dependencies(graph, declared)
