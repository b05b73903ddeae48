"""The service graph: hand-drawn calls, and random traces against plain Python that follows the documented rules."""

from __future__ import annotations

import gc
import io
import json
from collections import Counter, defaultdict

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from reference_dependencies import DB, QUEUE, Plain, edges_of, rough_frame, rough_rows, seen, with_attributes
from small_traces import EPOCH_NS, draw, frame, trace_of

import traceanalytics as ta
from traceanalytics.analysis.dependencies import dependency_tables, service_graph
from traceanalytics.errors import OptionError, SchemaError

CHECKOUT = """
    r web 0-100 SERVER
      c web 10-30 CLIENT ERROR
        s cart 15-25 SERVER
      d web 40-90 CLIENT
        t cart 45-85 SERVER ERROR
      e web 92-93 CLIENT
"""


def checkout():
    """Two answered calls and an unanswered one to the cart; a trace of the web without any; one that fails at once."""
    spans = draw(CHECKOUT, "r web 0-5 SERVER ERROR", "s cart 0-7 SERVER")
    return with_attributes(spans, {"e": {"span.peer.service": "cart"}})


def test_figures_of_an_edge():
    data = service_graph(checkout()).edges["web", "cart", "rpc"]
    assert data == {
        "kinds": "rpc",
        "calls": 3,
        "traces": 1,
        "calls_per_request": 1.5,
        "calls_per_request_p50": 0.0,
        "calls_per_request_p95": 3.0,
        "client_errors": 1,
        "server_errors": 1,
        "error_rate": pytest.approx(2 / 3),
        "client_p50_ms": 20.0,
        "client_p95_ms": 50.0,
        "server_p50_ms": 10.0,
        "server_p95_ms": 40.0,
        "gap_p50_ms": 10.0,
        "gap_p95_ms": 10.0,
        "unpaired_share": pytest.approx(1 / 3),
    }


def test_figures_of_nodes():
    graph = service_graph(with_attributes(checkout(), {"t": DB}))
    assert dict(graph.nodes(data=True)) == {
        "cart": {"service": "cart", "kind": "service", "virtual": False, "calls": 4, "errors": 2, "spans": 3},
        "web": {"service": "web", "kind": "service", "virtual": False, "calls": 2, "errors": 1, "spans": 5},
    }


@pytest.mark.parametrize(
    ("attributes", "node", "kind"),
    [
        (DB, "mysql/shop", "database"),
        (QUEUE, "kafka/orders", "broker"),
        ({"span.peer.service": "tax"}, "tax", "service"),
        ({"span.server.address": "tax.org"}, "tax.org", "external"),
        ({"span.rpc.service": "shop.Tax"}, "shop.Tax", "external"),
        ({"span.rpc.service": "shop.Tax", "span.server.address": "tax.org"}, "tax.org", "external"),
        ({}, "(unknown)", "unknown"),
    ],
)
def test_virtual_nodes(attributes, node, kind):
    graph = service_graph(with_attributes(draw("c web 1-8 CLIENT ERROR"), {"c": attributes}))
    assert graph.nodes[node] == {
        "service": node,
        "kind": kind,
        "virtual": True,
        "calls": 1,
        "errors": 1,
        "spans": 0,
    }


def test_spans_without_a_service_are_unknown_but_real():
    node = service_graph(draw("s - 0-9 SERVER\n  i - 1-2")).nodes["(unknown)"]
    assert node == {
        "service": "(unknown)",
        "kind": "unknown",
        "virtual": False,
        "calls": 1,
        "errors": 0,
        "spans": 2,
    }


def test_operations():
    spans = with_attributes(checkout(), {"c": {"span.peer.service": "cart"}})
    graph = service_graph(spans, level="operation")
    assert seen(spans, level="operation") == {
        ("web: r", "cart", "rpc"): 1,
        ("web: r", "cart: s", "rpc"): 1,
        ("web: r", "cart: t", "rpc"): 1,
    }
    assert graph.nodes["web: r"] == {
        "service": "web",
        "name": "r",
        "kind": "service",
        "virtual": False,
        "calls": 2,
        "errors": 1,
        "spans": 5,
    }
    assert graph.nodes["cart"]["kind"] == "service"
    assert graph.nodes["cart"]["virtual"]


def test_merged_edges_sum_their_kinds():
    spans = draw(
        "c web 1-8 CLIENT\n  s cart 2-7 SERVER", "p web 1-2 PRODUCER\n  q cart 5-9 CONSUMER ERROR", "r web 0-1"
    )
    assert set(seen(spans)) == {("web", "cart", "messaging"), ("web", "cart", "rpc")}
    graph = service_graph(spans, merge=True)
    assert not graph.is_multigraph()
    data = graph.edges["web", "cart"]
    assert (data["kinds"], data["calls"], data["traces"], data["server_errors"]) == ("messaging, rpc", 2, 2, 1)
    assert data["calls_per_request"] == pytest.approx(2 / 3)
    assert data["client_p50_ms"] == 1


def test_what_is_unknown_is_left_out():
    data = service_graph(draw("c web ?-? CLIENT")).edges["web", "(unknown)", "rpc"]
    assert not {"client_p50_ms", "server_p50_ms", "gap_p50_ms"} & set(data)
    assert data["calls"] == 1


# Against plain Python, on random traces


def quantile(pairs, level):
    pairs = sorted(pairs)
    target, running = level * sum(w for _, w in pairs) * (1 - 1e-12), 0
    for value, weight in pairs:
        running += weight
        if running >= target:
            return value
    return None


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize("merge", [False, True])
def test_sums_against_plain_python(seed, merge):
    rows = rough_rows(seed)
    plain, spans = Plain(rows), rough_frame(rows)
    trace = [row["trace_id"] for row in rows]
    weight = {t: 1.0 + int(t, 16) % 3 for t in trace}
    spans["weight"] = [weight[t] for t in trace]
    occurs = defaultdict(set)
    for at, service in enumerate(plain.service):
        occurs[service].add(trace[at])
    groups, virtual, asking = defaultdict(list), defaultdict(set), defaultdict(set)
    for caller, callee, kind, client, server, _, gap, home in plain.calls():
        failed = any(r is not None and rows[r]["status"] == "ERROR" for r in (client, server))
        groups[caller, callee, None if merge else kind].append((trace[home], client, server, failed, gap))
        asking[caller].add(trace[home])
        for node in (caller, callee):
            virtual[node].add(trace[home])
    edges = dependency_tables(spans, merge=merge, weights="weight").edges
    assert len(edges) == len(groups)
    for edge in edges.itertuples():
        calls = groups[edge.caller, edge.callee, None if merge else edge.kinds]
        total = sum(weight[t] for t, *_ in calls)
        each = Counter(t for t, *_ in calls)
        requests = (occurs.get(edge.caller) or virtual[edge.caller]) | asking[edge.caller]
        assert edge.calls == total
        assert edge.traces == sum(weight[t] for t in each)
        assert edge.error_rate == pytest.approx(sum(weight[t] for t, _, _, failed, _ in calls if failed) / total)
        assert edge.calls_per_request == pytest.approx(total / sum(weight[t] for t in requests))
        spread = [(each[t], weight[t]) for t in requests]
        assert edge.calls_per_request_p50 == quantile(spread, 0.5)
        assert edge.calls_per_request_p95 == quantile(spread, 0.95)
        for side, values in {
            "client": [(plain.ms(c), weight[t]) for t, c, *_ in calls if c is not None],
            "gap": [(gap, weight[t]) for t, *_, gap in calls if gap is not None],
        }.items():
            mine = getattr(edge, f"{side}_p95_ms")
            assert mine == pytest.approx(quantile(values, 0.95)) if values else np.isnan(mine)


def as_sets(graph):
    return dict(graph.nodes(data=True)), dict(edges_of(graph))


@pytest.mark.parametrize("level", ["service", "operation"])
def test_row_order_index_and_types_do_not_matter(level):
    spans = rough_frame(rough_rows(5))
    graph = service_graph(spans, level=level)
    before = spans.copy()
    mixed = spans.sample(frac=1, random_state=1).astype(
        {"trace_id": "str", "service": "str", "name": "str", "kind": "str", "span.peer.service": "category"}
    )
    again = service_graph(mixed, level=level)
    assert list(again.nodes(data=True)) == list(graph.nodes(data=True))
    assert list(edges_of(again)) == list(edges_of(graph))
    assert list(graph) == sorted(graph)
    assert [key for key, _ in edges_of(graph)] == sorted(key for key, _ in edges_of(graph))
    pd.testing.assert_frame_equal(spans, before)


def test_names_do_not_matter():
    spans = rough_frame(rough_rows(6))
    graph = service_graph(spans)
    new = {"a": "zebra", "b": "apple", "x": "x", "y.org": "y.org"}
    renamed = spans.copy()
    for key in ("service", "span.peer.service", "span.server.address"):
        renamed[key] = renamed[key].astype("str").map(new)
    nodes, edges_ = as_sets(service_graph(renamed))
    again = lambda node: new.get(node, node)  # noqa: E731
    assert nodes == {again(n): d | {"service": again(n)} for n, d in graph.nodes(data=True) if "/b" not in n} | {
        n: nodes[n] for n in nodes if "/apple" in n
    }
    assert len(edges_) == graph.number_of_edges()
    for (u, v, k), data in edges_of(graph):
        if "/b" not in u + v:
            assert edges_[again(u), again(v), k] == data


def test_weights():
    spans = rough_frame(rough_rows(7))
    nodes, edges_ = as_sets(service_graph(spans))
    ones = service_graph(spans, weights=pd.Series(1, index=spans.index))
    assert as_sets(ones) == (nodes, edges_)
    twos_nodes, twos = as_sets(service_graph(spans.assign(w=2), weights="w"))
    counts = {"calls", "traces", "client_errors", "server_errors"}
    for key, data in edges_.items():
        assert twos[key] == {k: 2 * v if k in counts else v for k, v in data.items()}
    for key, data in nodes.items():
        assert twos_nodes[key] == {k: 2 * v if k in {"calls", "errors", "spans"} else v for k, v in data.items()}
    assert {type(data["calls"]) for data in edges_.values()} == {int}


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("level", ["service", "operation"])
def test_graphml_and_json_keep_everything(merge, level):
    spans = with_attributes(rough_frame(rough_rows(8)), {"op1": {"span.peer.service": "bad\x00 <name>"}})
    graph = service_graph(spans, merge=merge, level=level)
    assert "bad\N{REPLACEMENT CHARACTER} <name>" in graph
    text = io.BytesIO()
    nx.write_graphml(graph, text)
    text.seek(0)
    back = nx.read_graphml(text, force_multigraph=not merge)
    assert as_sets(back) == as_sets(graph)
    linked = json.loads(json.dumps(nx.node_link_data(graph, edges="edges"), allow_nan=False))
    assert as_sets(nx.node_link_graph(linked, edges="edges")) == as_sets(graph)
    for _, data in [*graph.nodes(data=True), *edges_of(graph)]:
        assert {type(value) for value in data.values()} <= {str, bool, int, float}


def test_the_search_for_garbage_goes_on_afterwards():
    for running in (True, False):
        (gc.enable if running else gc.disable)()
        try:
            service_graph(checkout())
            assert gc.isenabled() is running
        finally:
            gc.enable()


def test_no_spans():
    for merge in (False, True):
        graph = service_graph(draw(), merge=merge)
        assert (len(graph), graph.number_of_edges(), graph.is_directed()) == (0, 0, True)
    tables = dependency_tables(draw(), level="operation")
    full = dependency_tables(rough_frame(rough_rows(1)), level="operation")
    assert tables.edges.dtypes.equals(full.edges.dtypes)
    assert tables.nodes.dtypes.equals(full.nodes.dtypes)


def test_odd_frames():
    ring = draw("a web 0-9 CLIENT parent=b\nb cart 1-8 SERVER parent=a")
    assert seen(ring) == {("web", "cart", "rpc"): 1}
    nameless = draw("c web 1-8 CLIENT\n  s cart 2-7 SERVER")
    nameless["name"] = nameless["name"].astype("str").where(nameless["name"] == "c")
    assert seen(nameless, level="operation") == {("web: c", "cart: (unknown)", "rpc"): 1}
    spans = draw("c web 1-8 CLIENT\n  s cart 2-7 SERVER")
    spans["trace_id"] = spans["trace_id"].astype("str").mask(spans["name"].notna())
    assert seen(spans) == {("web", "(unknown)", "rpc"): 1}


def test_long_chains():
    n = 30_000
    spans = frame(
        [
            {
                "trace_id": trace_of(0),
                "span_id": f"{at + 1:016x}",
                "parent_span_id": f"{at:016x}" if at else None,
                "name": "n",
                "service": "ab"[at // 2 % 2],
                "kind": ("SERVER", "CLIENT")[at % 2],
                "start_ns": EPOCH_NS,
                "duration_ns": 1,
            }
            for at in range(n)
        ]
    )
    assert seen(spans) == {("a", "b", "rpc"): n // 4, ("b", "a", "rpc"): n // 4 - 1, ("b", "(unknown)", "rpc"): 1}


def test_refusals():
    spans = draw("c web 1-8 CLIENT")
    with pytest.raises(OptionError, match="level='services' is not one of 'service', 'operation'; did you mean"):
        service_graph(spans, level="services")
    with pytest.raises(OptionError, match="merge='yes' is not one of"):
        service_graph(spans, merge="yes")
    with pytest.raises(OptionError, match="weights='w' is no column"):
        service_graph(spans, weights="w")
    with pytest.raises(SchemaError, match="lacks the column 'kind'"):
        service_graph(spans.drop(columns="kind"))


# ---------------------------------------------------------------------------------------------------------------------
# Real traces


def test_real_demo(corpus):
    spans = ta.read(corpus / "otlp_json" / "oteldemo_collector_file_exporter_mixed.jsonl")
    graph = service_graph(spans)
    known = set(spans["service"].dropna())
    for column in ("span.server.address", "span.net.peer.name", "span.peer.service", "span.rpc.service"):
        known |= set(spans[column].dropna().astype("str")) if column in spans else set()
    assert set(graph) <= known | {"(unknown)"}
    assert {key[:2] for key, _ in edges_of(graph)} >= {
        ("loadgenerator", "frontend-proxy"),
        ("frontend-proxy", "frontend"),
        ("frontend", "productcatalogservice"),
        ("recommendationservice", "productcatalogservice"),
    }
    answered = spans["span_id"].isin(spans.loc[spans["kind"] == "SERVER", "parent_span_id"])
    clients = spans[(spans["kind"] == "CLIENT") & ~answered]
    alone = sum(round(d["calls"] * d["unpaired_share"]) for _, d in edges_of(graph) if d["unpaired_share"] == 1)
    assert 0 < alone <= len(clients)
    assert sum(node["spans"] for _, node in graph.nodes(data=True)) == len(spans)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("deathstar_traceweaver/hotel", {("frontend", "search"), ("search", "geo"), ("search", "rate")}),
        ("deathstar_traceweaver/media", {("nginx", "text-service"), ("text-service", "compose-review-service")}),
        ("deathstar_traceweaver/nodejs", set()),
        ("wild_samples/zipkin", set()),
        ("wild_samples/opensearch_demo", set()),
    ],
)
def test_real_data_sets(shared, name, expected):
    table = pd.read_parquet(shared / "datasets" / f"{name}.parquet", dtype_backend="numpy_nullable").head(20_000)
    spans = ta.conform(table, columns={"start_time_ns": "start_ns"})
    graph = service_graph(spans)
    pairs = {key[:2] for key, _ in edges_of(graph)}
    assert pairs >= expected
    assert pairs
    real = {node for node, data in graph.nodes(data=True) if not data["virtual"]}
    assert real == set(table["service"].fillna("(unknown)"))
    for _, data in edges_of(graph):
        assert 0 <= data["unpaired_share"] <= 1
        assert data["traces"] <= data["calls"]
        assert data["client_errors"] + data["server_errors"] >= data["error_rate"] * data["calls"] - 1e-6
