"""Zipkin's version 1 read: annotations become kinds, times, events and addresses."""

from __future__ import annotations

import json
from collections import Counter

import pandas as pd
import pytest

import traceanalytics as ta
from traceanalytics.errors import FormatError

TRACE, ID = "5982fe77008310cc", "90394f6bcffb5d13"
WEB = {"serviceName": "web", "ipv4": "10.0.0.1", "port": 80}
CART = {"serviceName": "cart", "ipv4": "10.0.0.2", "port": 90}
SIDES = {"cs": "CLIENT", "cr": "CLIENT", "sr": "SERVER", "ss": "SERVER", "ms": "PRODUCER", "mr": "CONSUMER"}


def at(time, value, endpoint):
    return {"timestamp": time, "value": value, "endpoint": endpoint}


def tag(key, value, endpoint=None):
    return {"key": key, "value": value} | ({"endpoint": endpoint} if endpoint is not None else {})


def read(*annotations, tags=(), **fields):
    span = {
        "traceId": TRACE,
        "id": ID,
        "name": "get",
        "annotations": list(annotations),
        "binaryAnnotations": list(tags),
    }
    return ta.read_zipkin(json.dumps([span | fields]))


def told(spans):
    """Kind, service, start and duration in microseconds of every span."""
    start = [None if pd.isna(t) else t.value // 1000 for t in spans.start_time]
    duration = [None if pd.isna(d) else round(d * 1000) for d in spans.duration_ms]
    services = [None if pd.isna(s) else s for s in spans.service]
    return list(zip(spans["kind"].astype(object), services, start, duration, strict=True))


def names(spans, row=0):
    return [e["name"] for e in json.loads(spans.events[row])] if pd.notna(spans.events[row]) else []


# --- the corpus


def expected_spans(document):
    """Trace, id, kind and service of every side of every span, by plain Python."""
    found = Counter()
    for item in document:
        ids = item["traceId"].rjust(32, "0"), item["id"].rjust(16, "0")
        sides = {(SIDES[a["value"]], a["endpoint"]["serviceName"]) for a in item["annotations"] if a["value"] in SIDES}
        if not sides:
            named = [b["endpoint"]["serviceName"] for b in item.get("binaryAnnotations", []) if "endpoint" in b]
            sides = {("UNSPECIFIED", named[0] if named else None)}
        found.update((*ids, *side) for side in sides)
    return found


def test_every_file_of_the_corpus_reads(corpus):
    rows = 0
    for file in sorted((corpus / "zipkin_v1").iterdir()):
        spans = ta.read_zipkin(file)
        rows += len(spans)
        original = spans.get("span.zipkin.original_span_id", pd.Series(index=spans.index, dtype="str"))
        ids = original.astype("str").where(original.notna(), spans["span_id"])
        service = spans["service"].astype(object).where(spans["service"].notna(), None)
        found = Counter(zip(spans["trace_id"], ids, spans["kind"], service, strict=True))
        assert found == expected_spans(json.loads(file.read_bytes())), file.name
        assert not spans.duplicated(["trace_id", "span_id"]).any()
        assert ta.read_report(spans).skipped == 0
    assert rows == 180


def test_times_of_the_corpus_are_those_of_the_annotations(corpus):
    for file in sorted((corpus / "zipkin_v1").iterdir()):
        document = {item["id"].rjust(16, "0") + str(i): item for i, item in enumerate(json.loads(file.read_bytes()))}
        stated = {a["timestamp"] for item in document.values() for a in item["annotations"]}
        stated |= {item["timestamp"] for item in document.values() if "timestamp" in item}
        assert {t.value // 1000 for t in ta.read_zipkin(file).start_time} <= stated


def test_halves_in_separate_reports_are_one_call(corpus):
    spans = ta.read_zipkin(corpus / "zipkin_v1" / "contrib_zipkin_v1_single_batch.json")
    server = spans[(spans["kind"] == "SERVER") & (spans["service"] == "service1")].iloc[0]
    assert server.parent_span_id == server["span.zipkin.original_span_id"] == "0ed2e63cbe71f5a8"
    inner = spans[(spans["kind"] == "CLIENT") & (spans["service"] == "service1")].iloc[0]
    assert inner.parent_span_id == server.span_id
    assert names(spans[spans.span_id == server.span_id].reset_index()) == ["custom time event"]
    local = spans[spans.span_id == "fe351a053fbcac1f"].iloc[0]  # no service: nobody knows whose child it is
    assert local.parent_span_id == "0ed2e63cbe71f5a8"


# --- calls


def test_a_span_with_both_sides_becomes_two():
    spans = read(
        at(100, "cs", WEB), at(110, "sr", CART), at(150, "ss", CART), at(170, "cr", WEB), timestamp=100, duration=70
    )
    assert told(spans) == [("CLIENT", "web", 100, 70), ("SERVER", "cart", 110, 40)]
    assert spans.parent_span_id[1] == spans.span_id[0] == ID
    assert spans["span.zipkin.original_span_id"][1] == ID
    assert spans.events.isna().all()
    assert ta.read_report(spans).counts == {
        "version 1 span with several sides, read as one span a side": 1,
        "shared span id, the called side under an id of its own": 1,
    }


def test_the_times_of_the_span_are_the_clients():
    marks = at(100, "cs", WEB), at(110, "sr", CART), at(150, "ss", CART), at(170, "cr", WEB)
    assert told(read(*marks, timestamp=90, duration=100)) == [("CLIENT", "web", 90, 100), ("SERVER", "cart", 110, 40)]
    assert told(read(*marks)) == [("CLIENT", "web", 100, 70), ("SERVER", "cart", 110, 40)]


@pytest.mark.parametrize(
    ("marks", "fields", "expected"),
    [
        ("cs 100, cr 170", {}, ("CLIENT", "web", 100, 70)),
        ("sr 100, ss 170", {}, ("SERVER", "web", 100, 70)),
        ("sr 100, ss 170", {"timestamp": 90, "duration": 90}, ("SERVER", "web", 90, 90)),
        ("cs 100", {}, ("CLIENT", "web", 100, None)),
        ("cs 100", {"timestamp": 90, "duration": 5}, ("CLIENT", "web", 90, 5)),
        ("sr 100", {}, ("SERVER", "web", 100, None)),
        ("ss 100", {}, ("SERVER", "web", None, None)),
        ("cr 170", {"timestamp": 100, "duration": 70}, ("CLIENT", "web", 100, 70)),
        ("ss 170", {"timestamp": 100, "duration": 70}, ("SERVER", "web", 100, 70)),
        ("cr 170", {"duration": 70}, ("CLIENT", "web", 100, 70)),
        ("ss 170", {"duration": 70}, ("SERVER", "web", 100, 70)),
        ("cr 170, cs 180", {}, ("CLIENT", "web", 180, -10)),
        ("ms 100", {}, ("PRODUCER", "web", 100, None)),
        ("ms 100, ws 105", {}, ("PRODUCER", "web", 100, 5)),
        ("mr 100", {}, ("CONSUMER", "web", 100, None)),
        ("wr 95, mr 100", {}, ("CONSUMER", "web", 95, 5)),
        ("x 100", {"timestamp": 90, "duration": 90}, ("UNSPECIFIED", "web", 90, 90)),
        ("x 100", {"timestamp": 0, "duration": 0}, ("UNSPECIFIED", "web", None, None)),
    ],
)
def test_one_side(marks, fields, expected):
    annotations = [at(int(time), value, WEB) for value, time in (mark.split() for mark in marks.split(", "))]
    assert told(read(*annotations, **fields)) == [expected]


def test_an_end_without_a_start_stays_an_event():
    assert names(read(at(170, "cr", WEB))) == ["cr"]
    assert names(read(at(170, "ss", WEB), timestamp=100, duration=5)) == ["ss"]
    assert names(read(at(170, "ws", WEB), at(171, "wr", WEB))) == ["ws", "wr"]


def test_one_way_calls_have_no_duration():
    assert told(read(at(100, "cs", WEB), at(110, "sr", CART))) == [
        ("CLIENT", "web", 100, None),
        ("SERVER", "cart", 110, None),
    ]


def test_a_service_that_calls_itself_becomes_two():
    spans = read(at(100, "cs", WEB), at(110, "sr", WEB), at(150, "ss", WEB), at(170, "cr", WEB))
    assert told(spans) == [("CLIENT", "web", 100, 70), ("SERVER", "web", 110, 40)]
    assert spans.parent_span_id[1] == ID


def test_messages_with_both_sides():
    spans = read(at(100, "ms", WEB), at(103, "ws", WEB), at(110, "wr", CART), at(112, "mr", CART))
    assert told(spans) == [("PRODUCER", "web", 100, 3), ("CONSUMER", "cart", 110, 2)]
    assert spans.parent_span_id[1] == ID
    loop = read(at(100, "ms", WEB), at(112, "mr", WEB))
    assert told(loop) == [("PRODUCER", "web", 100, None), ("CONSUMER", "web", 112, None)]


def test_a_server_without_timestamp_shares_its_clients_span():
    client = {"traceId": TRACE, "id": ID, "parentId": "1", "annotations": [at(100, "cs", WEB), at(170, "cr", WEB)]}
    server = {"traceId": TRACE, "id": ID, "annotations": [at(110, "sr", CART), at(150, "ss", CART)]}
    for pair in ([client, server], [server, client]):
        spans = ta.read_zipkin(pair).sort_values("start_time")
        assert told(spans.reset_index(drop=True)) == [("CLIENT", "web", 100, 70), ("SERVER", "cart", 110, 40)]
        assert list(spans.parent_span_id) == [f"{1:016x}", ID]
    assert ta.read_zipkin([server]).span_id[0] == ID


# --- what is not a core annotation


def test_events_and_tags_go_to_their_side():
    spans = read(
        at(100, "cs", WEB),
        at(110, "sr", CART),
        at(120, "cart's", CART),
        at(130, "web's", WEB),
        {"timestamp": 140, "value": "nobody's"},
        tags=[tag("a", "1", WEB), tag("b", "2", CART), tag("c", "3")],
    )
    assert names(spans, 0) == ["web's", "nobody's"]
    assert names(spans, 1) == ["cart's"]
    assert [list(spans[f"span.{key}"].notna()) for key in "abc"] == [[True, False], [False, True], [True, False]]


def test_core_annotations_without_endpoint_are_events():
    spans = read({"timestamp": 100, "value": "cs"}, tags=[tag("a", "b", WEB)])
    assert told(spans) == [("UNSPECIFIED", "web", None, None)]
    assert names(spans) == ["cs"]


def test_local_components():
    spans = read(tags=[tag("lc", "", WEB)], timestamp=5, duration=6)
    assert told(spans) == [("UNSPECIFIED", None, 5, 6)]
    assert [c for c in spans if c.startswith("span.")] == []
    assert read(tags=[tag("lc", "spring", WEB)])["span.lc"][0] == "spring"


@pytest.mark.parametrize("yes", [True, "1", "true"])
def test_addresses(yes):
    client = read(at(1, "cs", WEB), at(2, "cr", WEB), tags=[tag("sa", yes, CART), tag("ca", yes, WEB)]).iloc[0]
    assert (client["span.service.peer.name"], client["span.network.peer.address"]) == ("cart", "10.0.0.2")
    assert client["span.network.peer.port"] == 90
    server = read(at(1, "sr", CART), at(2, "ss", CART), tags=[tag("ca", yes, WEB), tag("sa", yes, CART)]).iloc[0]
    assert server["span.service.peer.name"] == "web"
    producer = read(at(1, "ms", WEB), tags=[tag("ma", yes, {"serviceName": "kafka"})]).iloc[0]
    assert producer["span.service.peer.name"] == "kafka"


def test_addresses_of_both_sides():
    spans = read(
        *(at(100, "cs", WEB), at(110, "sr", CART), at(150, "ss", CART), at(170, "cr", WEB)),
        tags=[tag("sa", True, CART), tag("ca", True, WEB)],
    )
    assert list(spans["span.service.peer.name"]) == ["cart", "web"]


def test_addresses_without_core_annotations():
    assert read(tags=[tag("sa", True, CART), tag("a", "b", WEB)])["span.service.peer.name"][0] == "cart"
    spans = read(tags=[tag("ca", True, CART)])
    assert (spans["kind"][0], spans["span.service.peer.name"][0]) == ("SERVER", "cart")
    both = read(tags=[tag("ca", True, WEB), tag("sa", True, CART)])
    assert (both.service[0], both["span.service.peer.name"][0]) == ("web", "cart")


def test_a_client_address_with_the_servers_name_loses_the_name():
    found = read(at(1, "sr", CART), at(2, "ss", CART), tags=[tag("ca", True, CART | {"port": 5})])
    assert "span.service.peer.name" not in found
    assert found["span.network.peer.port"][0] == 5


def test_an_address_key_with_another_value_is_a_tag():
    assert read(at(1, "cs", WEB), tags=[tag("sa", "somewhere", CART)])["span.sa"].dropna().tolist() == ["somewhere"]


def test_values_that_are_no_texts():
    spans = read(at(1, "cs", WEB), tags=[tag("n", 1), tag("b", False), tag("l", [1]), tag("none", None)])
    assert [spans[f"span.{key}"][0] for key in "nbl"] == ["1", "false", "[1]"]
    assert ta.read_report(spans).counts == {
        "value that is no text, read as its JSON text": 3,
        "tag without a value, left out": 1,
    }


def test_tags_mean_what_they_mean_in_version_2():
    found = read(at(1, "cs", WEB), tags=[tag("error", "boom", WEB), tag("host.name", "h", WEB)], debug=True).iloc[0]
    assert (found.status, found.status_message, found["resource.host.name"], found.trace_flags) == (
        "ERROR",
        "boom",
        "h",
        1,
    )


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"annotations": [at(-1, "cs", WEB)]}, "annotations.timestamp: found -1"),
        ({"annotations": [at(2**63, "cs", WEB)]}, "annotations.timestamp: 9223372036854775808"),
        ({"annotations": [at(1, "cs", {"port": -2})]}, "annotations.endpoint.port: found -2"),
        ({"annotations": [at(1, "cs", WEB)], "timestamp": -1}, "timestamp: found -1"),
        ({"annotations": [at(1, "cs", WEB), at(9e15, "cr", WEB)], "binaryAnnotations": 5}, "expected `array"),
        ({"binaryAnnotations": [tag("a", "b", 5)]}, "endpoint"),
        ({"binaryAnnotations": [tag("a", "b")], "id": "x"}, "id: found 'x'"),
    ],
)
def test_refusals(field, message):
    with pytest.raises(FormatError, match=message):
        ta.read_zipkin([{"traceId": TRACE, "id": ID} | field])
