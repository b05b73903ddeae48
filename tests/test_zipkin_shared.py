"""Pieces of one Zipkin span united, and ids that two sides of a call share told apart."""

from __future__ import annotations

import itertools
import json

import pandas as pd
import pytest
from frames import assert_same_spans

import traceanalytics as ta
from traceanalytics.errors import FormatError
from traceanalytics.topology import Forest

TRACE, ID, ROOT = "00000000000000005982fe77008310cc", "90394f6bcffb5d13", "5982fe77008310cc"
WEB, CART = {"serviceName": "web", "ipv4": "10.0.0.1"}, {"serviceName": "cart", "ipv4": "10.0.0.2"}
SPLIT = "shared span id, the called side under an id of its own"
UNITED = "pieces of one span, united"


def span(**fields):
    return {"traceId": TRACE, "id": ID, "name": "get"} | fields


CALLER = span(kind="CLIENT", parentId=ROOT, timestamp=100, duration=70, localEndpoint=WEB)
CALLED = span(kind="SERVER", parentId=ROOT, timestamp=110, duration=40, localEndpoint=CART, shared=True)


def read(*spans):
    return ta.read_zipkin(json.dumps(list(spans)))


def counts(spans):
    return ta.read_report(spans).counts


def by_service(spans):
    return spans.assign(service=spans["service"].astype("str")).set_index("service")


# --- halves


def test_the_called_half_gets_an_id_of_its_own_under_the_shared_one():
    spans = by_service(read(CALLER, CALLED))
    assert list(spans["kind"]) == ["CLIENT", "SERVER"]
    assert (spans.span_id["web"], spans.parent_span_id["web"]) == (ID, ROOT)
    assert spans.parent_span_id["cart"] == spans["span.zipkin.original_span_id"]["cart"] == ID
    assert pd.isna(spans["span.zipkin.original_span_id"]["web"])
    assert spans.duration_ms["cart"] == 0.04
    assert counts(read(CALLER, CALLED)) == {SPLIT: 1}


def test_the_new_id_depends_on_nothing_but_the_ids():
    (first,) = read(CALLER, CALLED).query("kind == 'SERVER'").span_id
    assert len(first) == 16
    assert int(first, 16)
    others = [
        read(CALLED, CALLER),
        read(span(id="77"), CALLED, CALLER),
        read(CALLER, CALLED | {"name": "other", "localEndpoint": {"serviceName": "x"}}),
    ]
    for spans in others:
        assert list(spans.query("kind == 'SERVER'").span_id) == [first]
    elsewhere = read(CALLER | {"traceId": "9"}, CALLED | {"traceId": "9"})
    assert list(elsewhere.query("kind == 'SERVER'").span_id) != [first]


def test_a_taken_id_is_not_given_again():
    (first,) = read(CALLER, CALLED).query("kind == 'SERVER'").span_id
    spans = read(span(id=first), CALLER, CALLED)
    assert spans.span_id.is_unique
    assert spans.parent_span_id[2] == ID


def test_a_server_after_a_client_is_shared_whether_it_says_so_or_not():
    plain = {key: value for key, value in CALLED.items() if key not in ("shared", "parentId")}
    for order in itertools.permutations([CALLER, plain]):
        assert_same_spans(read(*order), read(CALLER, CALLED))


def test_a_consumer_after_a_producer_is_shared():
    spans = by_service(read(CALLER | {"kind": "PRODUCER"}, CALLED | {"kind": "CONSUMER", "shared": None}))
    assert spans.parent_span_id["cart"] == spans.span_id["web"] == ID


def test_a_lone_server_keeps_its_id():
    spans = read(CALLED)
    assert (spans.span_id[0], spans.parent_span_id[0]) == (ID, ROOT)
    assert "span.zipkin.original_span_id" not in spans
    assert counts(spans) == {}


def test_two_servers_without_their_client_stay_siblings():
    other = CALLED | {"localEndpoint": {"serviceName": "db"}, "parentId": None}
    spans = by_service(read(CALLED, other, span(id="3", parentId=ID, localEndpoint={"serviceName": "db"})))
    assert spans.span_id.iloc[0] == ID
    assert list(spans.parent_span_id) == [ROOT, ROOT, spans.span_id.iloc[1]]


def test_ids_shared_without_a_word_are_kept_and_noted():
    spans = read(CALLER, CALLER | {"localEndpoint": CART})
    assert list(spans.span_id) == [ID, ID]
    assert counts(spans) == {"span id of several spans that do not say that they share it, kept": 1}


def test_an_id_shared_by_many():
    many = [CALLED | {"localEndpoint": {"serviceName": f"s{i}"}} for i in range(300)]
    spans = read(
        CALLER, *many, *(span(id=f"{i + 1:x}", parentId=ID, localEndpoint=many[i]["localEndpoint"]) for i in range(300))
    )
    assert spans.span_id.is_unique
    assert set(spans.parent_span_id[1:301]) == {ID}
    assert list(spans.parent_span_id[301:]) == list(spans.span_id[1:301])


# --- children


def test_only_children_of_the_servers_service_move_to_it():
    children = [
        span(id="1", parentId=ID, localEndpoint=WEB),
        span(id="2", parentId=ID, localEndpoint=CART),
        span(id="3", parentId=ID),
        span(id="4", parentId=ID, localEndpoint={"serviceName": "cart", "ipv4": "10.9.9.9"}),
        span(id="5", parentId="2", localEndpoint=CART),
        span(id="6", parentId=ID, localEndpoint=CART, traceId="9"),
    ]
    spans = read(*children, CALLER, CALLED)
    server = spans.span_id[7]
    assert list(spans.parent_span_id[:6]) == [ID, server, ID, server, f"{2:016x}", ID]


def test_a_child_goes_to_the_half_at_its_own_address():
    halves = [CALLED | {"localEndpoint": CART | {"ipv4": f"10.0.0.{i}"}} for i in (7, 8)]
    children = [span(id=str(i), parentId=ID, localEndpoint=CART | {"ipv4": f"10.0.0.{i}"}) for i in (8, 7)]
    spans = read(CALLER, *halves, *children)
    assert list(spans.parent_span_id[3:]) == [spans.span_id[2], spans.span_id[1]]


def test_a_side_without_a_name_is_known_by_its_address():
    spans = read(
        CALLER,
        CALLED | {"localEndpoint": {"ipv4": "10.0.0.2"}},
        span(id="1", parentId=ID, localEndpoint={"ipv4": "10.0.0.2", "port": 5}),
    )
    assert spans.parent_span_id[2] == spans.span_id[1]


def test_the_skew_example(corpus):
    spans = ta.read_zipkin(corpus / "zipkin_v2" / "zipkinlens_skew.json")
    job, server, root, client = spans.itertuples()
    assert (client.span_id, client.parent_span_id) == ("74280ae0c10d8062", root.span_id)
    assert (server.parent_span_id, server.service, server.duration_ms) == (client.span_id, "serviceb", 93.577)
    assert server.span_id not in (client.span_id, root.span_id)
    assert job.parent_span_id == server.span_id
    assert spans["span.zipkin.original_span_id"].tolist()[1] == client.span_id


def test_the_yelp_example(corpus):
    file = corpus / "zipkin_v2" / "zipkinlens_yelp.json"
    spans = ta.read_zipkin(file)
    assert counts(spans) == {SPLIT: 3}
    halves = spans[spans["span.zipkin.original_span_id"].notna()]
    assert sorted(zip(halves.service, halves["span.zipkin.original_span_id"], strict=True)) == [
        ("mobile_api", "f5f268651b2a2b34"),
        ("spectre", "7a778764a0d0b594"),
        ("yelp_main/api_proxy", "668ed78ad94b35a1"),
    ]
    api = halves[halves.service == "mobile_api"].span_id.iloc[0]
    moved = {
        s["id"]
        for s in json.loads(file.read_bytes())
        if s.get("parentId") == "f5f268651b2a2b34" and s["kind"] == "CLIENT"
    }
    assert set(spans[spans.parent_span_id == api].span_id) == moved
    # The proxy's children call themselves yelp-main, and so do not move.
    proxy = halves[halves.service == "yelp_main/api_proxy"].span_id.iloc[0]
    assert not (spans.parent_span_id == proxy).any()
    # One tree, with the routing span (shared, but without its client) as its root.
    assert (Forest(spans).parent == -1).sum() == 1
    assert list(spans[spans.parent_span_id.isna()].span_id) == ["2e8cfb154b59a41f"]


# --- pieces


def test_pieces_of_one_span_are_united():
    pieces = [
        span(timestamp=120, duration=5, tags={"a": "1"}, annotations=[{"timestamp": 3, "value": "b"}]),
        span(kind="CLIENT", timestamp=100, localEndpoint={"serviceName": "web"}, parentId=ROOT, name=None),
        span(duration=70, localEndpoint=WEB, tags={"b": "2"}, remoteEndpoint={"serviceName": "cart"}, debug=True),
        span(
            annotations=[{"timestamp": 1, "value": "a"}, {"timestamp": 3, "value": "b"}],
            remoteEndpoint={"ipv4": "10.0.0.2"},
        ),
    ]
    for order in itertools.permutations(pieces):
        spans = read(*order)
        found = spans.iloc[0]
        assert len(spans) == 1
        assert (found.start_time.value, found.duration_ms) == (100_000, 0.07)
        assert (found.service, found["kind"], found["name"], found.parent_span_id) == ("web", "CLIENT", "get", ROOT)
        assert (found["span.a"], found["span.b"], found.trace_flags) == ("1", "2", 1)
        assert (found["span.network.local.address"], found["span.service.peer.name"]) == ("10.0.0.1", "cart")
        assert found["span.network.peer.address"] == "10.0.0.2"
        assert [e["name"] for e in json.loads(found.events)] == ["a", "b"]
        assert counts(spans) == {UNITED: 3}


def test_a_late_shared_flag():
    plain = {key: value for key, value in CALLED.items() if key != "shared"}
    for order in itertools.permutations([plain, CALLED]):
        spans = read(*order)
        assert list(spans.span_id) == [ID]
        assert counts(spans) == {UNITED: 1}
    for order in itertools.permutations([plain, CALLED, CALLER, span(localEndpoint=CART, tags={"late": "1"})]):
        spans = read(*order)
        assert sorted(spans["kind"]) == ["CLIENT", "SERVER"]
        assert by_service(spans)["span.late"]["cart"] == "1"


def test_what_was_sent_twice_is_read_once(corpus):
    for name in ("zipkinlens_yelp.json", "zipkinlens_skew.json", "zipkinlens_messaging2.json"):
        document = json.loads((corpus / "zipkin_v2" / name).read_bytes())
        once, twice = ta.read_zipkin(document), ta.read_zipkin(document + document[::-1])
        assert_same_spans(twice, once)
        assert counts(twice)[UNITED] == len(document)


def test_sides_that_differ_are_not_united():
    for other in ({"serviceName": "db"}, WEB | {"ipv4": "10.0.0.9"}, WEB | {"port": 5, "ipv6": "::1"}):
        first = CALLER | {"localEndpoint": WEB | {"port": 4}}
        assert len(read(first, first | {"localEndpoint": other})) == 2
    assert len(read(CALLER, CALLER | {"kind": "SERVER"})) == 2  # a service that calls itself


def test_the_clean_up_runs_over_all_documents(tmp_path):
    expected = read(CALLER, CALLED, span(id="2", parentId=ID, localEndpoint=CART))
    parts = [[CALLED], [span(id="2", parentId=ID, localEndpoint=CART)], [CALLER]]
    for number, part in enumerate(parts):
        (tmp_path / f"{number}.json").write_text(json.dumps(part))
    assert_same_spans(ta.read_zipkin(tmp_path), expected)
    assert_same_spans(ta.read(tmp_path), expected)
    assert_same_spans(ta.read_zipkin(json.dumps(parts)), expected)
    assert_same_spans(ta.read_zipkin("\n".join(map(json.dumps, parts))), expected)
    place = ta.read_report(ta.read_zipkin(tmp_path)).places[0]
    assert (place.reason, place.source) == (SPLIT, str(tmp_path / "0.json"))


def test_trace_ids_are_united_first():
    long = "ab" * 8 + ROOT
    spans = read(CALLER | {"traceId": long}, CALLED | {"traceId": ROOT})
    assert set(spans.trace_id) == {long}
    assert list(spans.parent_span_id) == [ROOT, ID]


def test_pieces_that_together_say_what_cannot_be():
    pieces = [
        CALLER | {"duration": None, "timestamp": 9 * 10**15},
        CALLER | {"duration": 9 * 10**15, "timestamp": None},
    ]
    with pytest.raises(FormatError, match=r"span 90394f6bcffb5d13 of trace .*the year 2262 is over"):
        read(*pieces)
    spans = ta.read_zipkin(pieces, on_error="skip")
    assert len(spans) == ta.read_report(spans).skipped == 1


def test_a_hundred_thousand_pieces_of_one_id():
    same = [CALLER | {"tags": {f"k{i % 50}": str(i)}} for i in range(100_000)]
    assert len(read(*same)) == 1
    different = [CALLED | {"localEndpoint": {"serviceName": f"s{i}"}} for i in range(20_000)]
    assert read(CALLER, *different).span_id.is_unique
