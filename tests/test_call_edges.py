"""What counts as a call: hand-drawn cases, and random traces against plain Python."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from reference_dependencies import DB, QUEUE, Plain, link_text, rough_frame, rough_rows, seen, with_attributes
from small_traces import draw

from traceanalytics.analysis.call_targets import PURPOSES
from traceanalytics.analysis.dependencies import service_graph
from traceanalytics.analysis.edges import call_edges
from traceanalytics.kernels import forced


@pytest.mark.parametrize(
    ("picture", "attributes", "expected"),
    [
        # pairs
        ("r web 0-9 SERVER\n  c web 1-8 CLIENT\n    s cart 2-7 SERVER", {}, {("web", "cart", "rpc"): 1}),
        ("c web 1-8 CLIENT\n  s cart 2-7 SERVER\n  t cart 2-7 SERVER", {}, {("web", "cart", "rpc"): 2}),
        ("c web 1-8 CLIENT\n  i web 1-8\n    s cart 2-7 SERVER", {}, {("web", "cart", "rpc"): 1}),
        # a service calling itself; nothing else within a service is a call
        ("c web 1-8 CLIENT\n  s web 2-7 SERVER", {}, {("web", "web", "rpc"): 1}),
        ("c web 1-8 CLIENT\n  i web 1-8\n    s web 2-7 SERVER", {}, {("web", "web", "rpc"): 1}),
        ("a web 0-9 SERVER\n  b web 1-8 SERVER\n    i web 2-7", {}, {}),
        ("a web 0-9 PRODUCER\n  b web 1-8 SERVER", {}, {("web", "(unknown)", "messaging"): 1}),
        # only a server
        ("r web 0-9 SERVER\n  i web 1-8\n    s cart 2-7 SERVER", {}, {("web", "cart", "rpc"): 1}),
        ("r web 0-9 SERVER\n  i cart 1-8\n    s cart 2-7 SERVER", {}, {("web", "cart", "rpc"): 1}),
        ("r - 0-9 SERVER\n  s cart 2-7 SERVER", {}, {("(unknown)", "cart", "rpc"): 1}),
        ("s cart 2-7 SERVER parent=elsewhere", {}, {}),
        # kinds that say nothing
        (
            "r web 0-9 UNSPECIFIED\n  s cart 2-7 UNSPECIFIED\n    t cart 2-7 UNSPECIFIED",
            {},
            {("web", "cart", "rpc"): 1},
        ),
        ("r web 0-9\n  s cart 2-7", {}, {("web", "cart", "rpc"): 1}),
        ("r web 0-9 UNSPECIFIED\n  q web 2-7 UNSPECIFIED", {"q": DB}, {("web", "mysql/shop", "db"): 1}),
        ("r web 0-9 UNSPECIFIED\n  q web 2-7 INTERNAL", {"q": DB}, {}),
        # only a client
        ("c web 1-8 CLIENT", {}, {("web", "(unknown)", "rpc"): 1}),
        ("c web 1-8 CLIENT", {"c": {"span.peer.service": "tax"}}, {("web", "tax", "rpc"): 1}),
        ("c web 1-8 CLIENT", {"c": {"span.server.address": "tax.org"}}, {("web", "tax.org", "rpc"): 1}),
        ("c web 1-8 CLIENT", {"c": {"span.net.peer.name": "tax.org"}}, {("web", "tax.org", "rpc"): 1}),
        ("c web 1-8 CLIENT", {"c": {"span.http.url": "https://me@tax.org:8/x"}}, {("web", "tax.org", "rpc"): 1}),
        ("c web 1-8 CLIENT", {"c": {"span.rpc.service": "shop.Tax"}}, {("web", "shop.Tax", "rpc"): 1}),
        (
            "c web 1-8 CLIENT",
            {"c": {"span.rpc.service": "shop.Tax", "span.net.sock.peer.addr": "10.0.0.1"}},
            {("web", "10.0.0.1", "rpc"): 1},
        ),
        ("c web 1-8 CLIENT\n  s cart 2-7 SERVER", {"c": {"span.rpc.service": "shop.Tax"}}, {("web", "cart", "rpc"): 1}),
        ("c web 1-8 CLIENT", {"c": {"span.rpc.service": "shop.Tax"} | DB}, {("web", "mysql/shop", "db"): 1}),
        (
            "p web 1-2 PRODUCER\n  q bill 5-9 CONSUMER",
            {"p": {"span.rpc.service": "shop.Tax"}},
            {("web", "bill", "messaging"): 1},
        ),
        ("c web 1-8 CLIENT", {"c": DB}, {("web", "mysql/shop", "db"): 1}),
        ("c web 1-8 CLIENT", {"c": {"span.db.system": "redis"}}, {("web", "redis", "db"): 1}),
        (
            "c web 1-8 CLIENT",
            {"c": {"span.db.system": "redis", "span.server.address": "r1"}},
            {("web", "redis/r1", "db"): 1},
        ),
        ("c web 1-8 CLIENT", {"c": DB | {"span.peer.service": "main-db"}}, {("web", "main-db", "db"): 1}),
        ("c web 1-8 CLIENT\n  s sql 2-7 SERVER", {"c": DB}, {("web", "sql", "db"): 1}),
        # databases known by their queries, or by the names of former years
        ("c web 1-8 CLIENT", {"c": {"span.db.query.text": "GET a"}}, {("web", "(unknown)", "db"): 1}),
        (
            "c web 1-8 CLIENT",
            {"c": {"span.db.statement": "GET a", "span.net.peer.name": "r1"}},
            {("web", "r1", "db"): 1},
        ),
        (
            "c web 1-8 CLIENT",
            {"c": {"span.db.type": "sql", "span.db.instance": "shop", "span.db.statement": "SELECT 1"}},
            {("web", "sql/shop", "db"): 1},
        ),
        (
            "r web 0-9 UNSPECIFIED\n  q web 2-7 UNSPECIFIED",
            {"q": {"span.db.statement": "x"}},
            {("web", "(unknown)", "db"): 1},
        ),
        ("p web 1-8 PRODUCER", {"p": QUEUE | {"span.db.statement": "x"}}, {("web", "kafka/orders", "messaging"): 1}),
        # a database's client that reports under the name of the database
        ("r web 0-9\n  c redis 1-8 CLIENT", {}, {("web", "redis", "rpc"): 1}),
        ("r web 0-9 CLIENT\n  c redis 1-8 CLIENT", {}, {("web", "redis", "rpc"): 1}),
        ("r web 0-9\n  c redis 1-8 CLIENT", {"c": {"span.peer.service": "redis"}}, {("web", "redis", "rpc"): 1}),
        ("r web 0-9\n  c redis 1-8 CLIENT", {"c": {"span.db.system": "redis"}}, {("web", "redis", "db"): 1}),
        ("r web 0-9\n  c - 1-8 CLIENT", {}, {("web", "(unknown)", "rpc"): 1}),
        # ... and a service whose own span is missing
        (
            "r web 0-9\n  c cart 1-8 CLIENT",
            {"c": {"span.peer.service": "tax"}},
            {("web", "cart", "rpc"): 1, ("cart", "tax", "rpc"): 1},
        ),
        (
            "r web 0-9\n  c cart 1-8 CLIENT\n    i cart 2-3",
            {},
            {("web", "cart", "rpc"): 1, ("cart", "(unknown)", "rpc"): 1},
        ),
        (
            "r web 0-9\n  i cart 1-8\n    c cart 2-3 CLIENT",
            {},
            {("web", "cart", "rpc"): 1, ("cart", "(unknown)", "rpc"): 1},
        ),
        (
            "r web 0-9\n  c cart 1-8 CLIENT",
            {"c": {"span.peer.service": "cart", "span.messaging.system": "kafka"}},
            {("web", "cart", "rpc"): 1, ("cart", "cart", "messaging"): 1},
        ),
        # layers of one call
        ("c web 1-8 CLIENT\n  d web 2-7 CLIENT\n    s cart 3-6 SERVER", {}, {("web", "cart", "rpc"): 1}),
        ("c web 1-8 CLIENT\n  i web 1-8\n    d web 2-7 CLIENT", {"d": DB}, {("web", "mysql/shop", "db"): 1}),
        ("c web 1-8 CLIENT\n  d web 2-7 CLIENT", {"c": DB}, {("web", "mysql/shop", "db"): 1}),
        ("c web 1-8 PRODUCER\n  d web 2-7 CLIENT", {"c": QUEUE}, {("web", "kafka/orders", "messaging"): 1}),
        # duplicates
        ("c web 1-8 CLIENT\n  s cart 2-7 SERVER\n  s cart 2-7 SERVER", {}, {("web", "cart", "rpc"): 1}),
        # messages by parent
        (
            "p web 1-2 PRODUCER\n  q bill 5-9 CONSUMER",
            {"p": QUEUE},
            {("web", "kafka/orders", "messaging"): 1, ("kafka/orders", "bill", "messaging"): 1},
        ),
        (
            "p web 1-2 PRODUCER\n  q bill 5-9 CONSUMER\n  s ship 6-9 CONSUMER",
            {"q": QUEUE},
            {
                ("web", "kafka/orders", "messaging"): 1,
                ("kafka/orders", "bill", "messaging"): 1,
                ("kafka/orders", "ship", "messaging"): 1,
            },
        ),
        ("p web 1-2 PRODUCER\n  q bill 5-9 CONSUMER", {}, {("web", "bill", "messaging"): 1}),
        ("p web 1-2 PRODUCER\n  q web 5-9 CONSUMER", {}, {("web", "web", "messaging"): 1}),
        (
            "r web 1-2 SERVER\n  q bill 5-9 CONSUMER",
            {"q": QUEUE},
            {("web", "kafka/orders", "messaging"): 1, ("kafka/orders", "bill", "messaging"): 1},
        ),
        ("r web 1-2 SERVER\n  q bill 5-9 CONSUMER", {}, {("web", "bill", "messaging"): 1}),
        ("p web 1-2 PRODUCER", {"p": QUEUE}, {("web", "kafka/orders", "messaging"): 1}),
        ("p web 1-2 PRODUCER", {}, {("web", "(unknown)", "messaging"): 1}),
        ("q bill 5-9 CONSUMER", {"q": QUEUE}, {("kafka/orders", "bill", "messaging"): 1}),
        ("q bill 5-9 CONSUMER", {}, {}),
        # a receiving span and the processing below it are one delivery
        ("q bill 5-9 CONSUMER\n  i bill 6-8 CONSUMER", {"q": QUEUE}, {("kafka/orders", "bill", "messaging"): 1}),
        (
            "p web 1-2 PRODUCER\n  q bill 5-9 CONSUMER\n    i bill 6-8 CONSUMER",
            {"q": QUEUE, "i": QUEUE},
            {("web", "kafka/orders", "messaging"): 1, ("kafka/orders", "bill", "messaging"): 1},
        ),
        # clients of brokers
        ("c web 1-8 CLIENT", {"c": QUEUE}, {("web", "kafka/orders", "messaging"): 1}),
        (
            "c web 1-8 CLIENT",
            {"c": QUEUE | {"span.messaging.operation.type": "receive"}},
            {("kafka/orders", "web", "messaging"): 1},
        ),
        ("c web 1-8 CLIENT", {"c": QUEUE | {"span.messaging.operation": "settle"}}, {}),
        ("c web 1-8 CLIENT\n  s mq 2-7 SERVER", {"c": QUEUE}, {("web", "mq", "rpc"): 1}),
    ],
)
def test_what_is_a_call(picture, attributes, expected):
    assert seen(with_attributes(draw(picture), attributes)) == expected


@pytest.mark.parametrize(
    ("attributes", "node"),
    [
        ({"span.server.address": "localhost", "span.server.port": 3306}, "localhost:3306"),
        ({"span.net.peer.name": "LocalHost", "span.net.peer.port": "3306"}, "LocalHost:3306"),
        ({"span.server.address": "127.0.0.1", "span.network.peer.port": 80}, "127.0.0.1:80"),
        ({"span.server.address": "127.8.1.255", "span.net.sock.peer.port": 80}, "127.8.1.255:80"),
        ({"span.server.address": "::1", "span.server.port": 80}, "[::1]:80"),
        ({"span.network.peer.address": "0:0:0:0:0:0:0:1", "span.server.port": 80}, "[0:0:0:0:0:0:0:1]:80"),
        ({"span.server.address": "localhost"}, "localhost"),
        ({"span.url.full": "http://localhost:8083/pay?to=b:1"}, "localhost:8083"),
        ({"span.url.full": "http://localhost/pay"}, "localhost"),
        ({"span.url.full": "http://me:secret@[::1]:8083/pay"}, "[::1]:8083"),
        ({"span.http.url": "http://127.0.0.1:8083/pay", "span.net.peer.name": "127.0.0.1"}, "127.0.0.1:8083"),
        (
            {"span.db.system": "mysql", "span.net.peer.name": "localhost", "span.net.peer.port": 3306},
            "mysql/localhost:3306",
        ),
        ({"span.peer.service": "tax", "span.net.peer.name": "localhost", "span.net.peer.port": 80}, "tax"),
        ({"span.server.address": "::1", "span.url.full": "http://[::1]:8083/pay"}, "[::1]:8083"),
        # elsewhere the host tells who it is
        ({"span.server.address": "tax.org", "span.server.port": 80}, "tax.org"),
        ({"span.server.address": "128.0.0.1", "span.server.port": 80}, "128.0.0.1"),
        ({"span.server.address": "localhost.tax.org", "span.server.port": 80}, "localhost.tax.org"),
        ({"span.url.full": "http://tax.org:8083/pay"}, "tax.org"),
    ],
)
def test_who_is_called_at_home_is_told_by_the_port(attributes, node):
    spans = draw("r web 0-9 SERVER\n  c web 1-8 CLIENT\n  d web 1-8 CLIENT")
    attributes = {key: str(value) for key, value in attributes.items()}
    spans = with_attributes(spans, {"c": attributes, "d": {"span.server.address": "tax.org"}})
    for one in (spans, spans.iloc[::-1]):
        assert {key for _, key, _ in seen(one)} == {node, "tax.org"}
    numbers = spans.assign(**{key: pd.to_numeric(spans[key]).astype("Int64") for key in attributes if "port" in key})
    assert seen(numbers) == seen(spans)


@pytest.mark.parametrize("consumer_kind", ["CONSUMER", "INTERNAL", "SERVER"])
def test_messages_belong_together_by_link(consumer_kind):
    spans = draw("r web 0-9 SERVER\n  p web 1-2 PRODUCER", f"q bill 52-60 {consumer_kind}")
    spans = with_attributes(spans, {"p": QUEUE})
    spans.loc[spans["name"] == "q", "links"] = link_text((0, "none"), (0, "p"))
    graph = service_graph(spans)
    assert seen(spans) == {("web", "kafka/orders", "messaging"): 1, ("kafka/orders", "bill", "messaging"): 1}
    assert graph.edges["kafka/orders", "bill", "messaging"]["gap_p50_ms"] == 50
    assert graph.edges["kafka/orders", "bill", "messaging"]["unpaired_share"] == 0
    assert graph.edges["web", "kafka/orders", "messaging"]["unpaired_share"] == 0
    assert graph.nodes["bill"]["calls"] == 1  # a root, but not besides
    assert graph.nodes["kafka/orders"]["kind"] == "broker"


def test_processing_spans_with_links_count_in_place_of_the_receiving_one():
    spans = draw("p web 1-2 PRODUCER", "p web 3-4 PRODUCER", "q bill 52-60 CONSUMER\n  i bill 53-54\n  j bill 55-56")
    spans = with_attributes(spans, {"p": QUEUE, "q": QUEUE})
    spans.loc[spans["name"] == "i", "links"] = link_text((0, "p"))
    spans.loc[spans["name"] == "j", "links"] = link_text((1, "p"))
    assert seen(spans) == {("web", "kafka/orders", "messaging"): 2, ("kafka/orders", "bill", "messaging"): 2}


def test_links_to_what_sends_nothing_are_no_messages():
    spans = draw("r web 0-9 SERVER", "q bill 52-60 SERVER")
    spans.loc[spans["name"] == "q", "links"] = link_text((0, "r"))
    assert seen(spans) == {}


def test_without_kinds_the_only_child_elsewhere_makes_a_client():
    spans = draw("r web 0-9 UNSPECIFIED\n  c web 1-8 UNSPECIFIED\n    s cart 3-7 UNSPECIFIED")
    data = service_graph(spans).edges["web", "cart", "rpc"]
    assert (data["client_p50_ms"], data["server_p50_ms"], data["gap_p50_ms"], data["unpaired_share"]) == (7, 4, 3, 0)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("compiled", [False, True])
def test_against_plain_python(seed, compiled):
    rows = rough_rows(seed)
    with forced(compiled and seed < 2):
        found = call_edges(rough_frame(rows))
    table = found.calls
    names = found.nodes["node"].tolist()
    table = table.assign(trace=found.forest.trace_ids[table["trace"]])
    mine = Counter(
        (
            *(names[c.caller], names[c.callee], PURPOSES[c.purpose]),
            *(None if row < 0 else row for row in (c.client_row, c.server_row)),
            *(c.paired, None if np.isnan(c.gap_ms) else round(c.gap_ms, 6), c.trace),
        )
        for c in table.itertuples()
    )
    theirs = Counter(
        (*call[:6], None if call[6] is None else round(call[6], 6), rows[call[7]]["trace_id"])
        for call in Plain(rows).calls()
    )
    assert mine == theirs
    assert {kind for _, _, kind, *_ in theirs} == set(PURPOSES)
