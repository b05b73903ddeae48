"""``plot.service_graph``, ``span_graph`` and ``dependency_matrix``, and the layout in layers below them."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from small_traces import draw

import traceanalytics as ta
from traceanalytics.plot.layered_layout import layered_layout

SHOP = """
    get   web   0-100  SERVER
      ask   web   5-60   CLIENT
        cart  cart  10-50  SERVER ERROR
      call  web   61-90  CLIENT
        user  user  65-80  SERVER
          more  user  66-79 CLIENT
            cart  cart  67-78  SERVER
"""
PICTURES = [ta.plot.service_graph, ta.plot.span_graph, ta.plot.dependency_matrix]
NAMES = ["service graph", "span graph", "matrix"]
edges_of_graphs = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=30, unique=True)
    )
)


def texts(ax):
    return [t.get_text() for t in ax.texts if t.get_text()]


def collection(ax, label):
    (found,) = [c for c in ax.collections if c.get_label() == label]
    return found


@given(edges_of_graphs)
def test_layers_go_from_callers_to_callees(graph):
    n, edges = graph
    layout = layered_layout(n, edges)
    acyclic = nx.is_directed_acyclic_graph(nx.DiGraph([(a, b) for a, b in edges if a != b]))
    for (a, b), way in zip(edges, layout.ways, strict=True):
        assert (layout.layer[a], layout.height[a]) == way[0]
        assert (layout.layer[b], layout.height[b]) == way[-1]
        steps = {float(right - left) for (left, _), (right, _) in itertools.pairwise(way)}
        assert a == b or steps in ({1.0}, {-1.0})
        assert not (acyclic and a != b) or steps == {1.0}


@given(edges_of_graphs)
def test_nothing_stands_on_another_thing_of_its_layer(graph):
    n, edges = graph
    layout = layered_layout(n, edges)
    points = {(float(layer), float(height)) for layer, height in zip(layout.layer, layout.height, strict=True)}
    assert len(points) == n
    for way in layout.ways:
        points |= set(way)
    for _, column in itertools.groupby(sorted(points), key=lambda point: point[0]):
        heights = [height for _, height in column]
        assert not heights or np.diff(heights).min(initial=1.0) >= 1 - 1e-9


def test_an_order_without_crossings_is_found():
    # Two stars whose leaves are numbered crosswise.
    layout = layered_layout(8, [(0, 3), (0, 5), (0, 7), (1, 2), (1, 4), (1, 6)])
    above, below = (layout.height[[3, 5, 7]], layout.height[[2, 4, 6]])
    assert above.max() < below.min() or below.max() < above.min()


def test_the_service_graph_shows_calls_and_failures():
    ax = ta.plot.service_graph(draw(SHOP))
    assert ax.get_title(loc="left") == "3 services · 3 calls"
    assert texts(ax)[-6:] == ["cart", "2 calls · ! 50.0%", "user", "1 call", "web", "1 call"]
    assert [t for t in texts(ax) if t.startswith("! ")] == ["! 100.0%"]
    edges = collection(ax, "_edges")
    assert len(edges.get_paths()) == 3
    assert len({tuple(color) for color in edges.get_edgecolors()}) == 2


def test_the_thickness_of_an_arrow_is_the_number_of_calls():
    many = "get web 0-100\n" + "\n".join(f"  a{i} cart {i}-{i + 1}" for i in range(9)) + "\n  b user 20-30"
    widths = collection(ta.plot.service_graph(draw(many)), "_edges").get_linewidths()
    assert sorted(round(float(width), 6) for width in widths) == [2.2, 5.0]


def test_alike_peers_are_one_node():
    calls = "\n".join(f"  q{i} web {i}-{i + 1} CLIENT" for i in range(5))
    shards = [None, *(f"shard_{i}" for i in range(5))]
    spans = draw(f"get web 0-100\n{calls}").assign(**{"span.db.system.name": "pg", "span.db.namespace": shards})
    ax = ta.plot.service_graph(spans)
    assert ax.get_title(loc="left") == "1 service · 5 peers without spans · 5 calls"
    assert "5 like this · 5 calls" in texts(ax)
    assert texts(ta.plot.dependency_matrix(spans))[-1] == "5"


def test_nodes_with_few_calls_are_left_out_with_a_note():
    ax = ta.plot.service_graph(draw(SHOP), max_nodes=2)
    assert "1 node with fewer calls left out" in texts(ax)
    assert "2 with fewer calls left out" in texts(ta.plot.dependency_matrix(draw(SHOP), max_nodes=1))


def test_the_span_graph_marks_the_critical_path():
    ax = ta.plot.span_graph(draw(SHOP))
    assert ax.get_title(loc="left") == "web: get · 100 ms · 7 spans · 3 services · 1 error"
    widths = collection(ax, "_edges").get_linewidths()
    assert sorted(widths) == [2.4] * 6
    assert "! cart" in texts(ax)
    assert "5 spans folded" in texts(ta.plot.span_graph(draw(SHOP), max_nodes=2))


def test_the_matrix_holds_the_calls():
    ax = ta.plot.dependency_matrix(draw(SHOP))
    assert texts(ax) == ["user", "web", "cart", "user", "1", "! 1", "1"]
    assert ax.get_title(loc="left") == "3 dependencies · 3 calls"
    assert "no calls between services" in texts(ta.plot.dependency_matrix(draw("a web 0-5")))


@pytest.mark.parametrize("picture", PICTURES, ids=NAMES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_stay_within_the_figure_and_do_not_overlap(picture, theme):
    spans = draw(SHOP).assign(
        name=lambda s: s["name"].astype("str") + " of a name that is as long as names of operations are"
    )
    ax = picture(spans, theme=theme)
    ax.figure.canvas.draw()
    inside = ax.figure.bbox.padded(1)
    places = [t.get_window_extent() for t in ax.texts if t.get_text()]
    for box in places:
        assert inside.x0 <= box.x0
        assert box.x1 <= inside.x1
        assert inside.y0 <= box.y0
        assert box.y1 <= inside.y1
    assert not [1 for a, b in itertools.combinations(places, 2) if a.padded(-1.5).overlaps(b.padded(-1.5))]


@pytest.mark.parametrize("picture", PICTURES, ids=NAMES)
@pytest.mark.parametrize("name", ["$x^2$", "a\nb\x00\x1b", "𓂀 日本", "x" * 5_000, "\u202egnp", "<script>&amp;"])
def test_names_are_only_names(picture, name):
    spans = draw(SHOP)
    services = spans["service"].astype("str") + name
    assert picture(spans.assign(name=name, service=services))._repr_png_()[0]


@pytest.mark.parametrize("picture", PICTURES, ids=NAMES)
def test_given_axes_and_the_same_picture_twice(picture):
    ax = Figure(figsize=(9, 4)).add_subplot()
    assert picture(draw(SHOP), ax=ax, title="mine") is ax
    assert ax.get_title(loc="left") == "mine"
    assert picture(draw(SHOP))._repr_png_()[0] == picture(draw(SHOP))._repr_png_()[0]


def test_nothing_to_draw_and_what_is_refused():
    assert "no spans" in texts(ta.plot.service_graph(draw()))
    assert "no spans" in texts(ta.plot.dependency_matrix(draw()))
    with pytest.raises(ta.OptionError, match="no spans"):
        ta.plot.span_graph(draw())
    with pytest.raises(ta.OptionError, match="max_nodes=1 is no number of nodes"):
        ta.plot.service_graph(draw(SHOP), max_nodes=1)
    with pytest.raises(ta.OptionError, match="max_nodes=True is no number of callers"):
        ta.plot.dependency_matrix(draw(SHOP), max_nodes=True)
    with pytest.raises(ta.OptionError, match="level='span'"):
        ta.plot.service_graph(draw(SHOP), level="span")


def test_a_ring_of_services_and_a_service_that_calls_itself():
    ring = "a web 0-90 SERVER\n  b web 1-89 CLIENT\n    c cart 2-88 SERVER\n      d cart 3-87 CLIENT\n        e web 4-86 SERVER\n          f web 5-85 CLIENT\n            g web 6-84 SERVER"
    ax = ta.plot.service_graph(draw(ring))
    assert len(collection(ax, "_edges").get_paths()) == 3
    assert ax._repr_png_()[0]


def test_the_path_is_not_broken_by_a_span_without_time_of_its_own():
    ax = ta.plot.span_graph(draw("a web 0-100\n  b web 10-90\n    c cart 10-90"))
    assert sorted(collection(ax, "_edges").get_linewidths()) == [2.4, 2.4]
