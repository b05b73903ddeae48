"""Zipkin's version 2 read: the corpus, every rule of the format, refusals, damage."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections import Counter

import pandas as pd
import pytest
from frames import assert_same_spans
from mutation import damaged, damaged_inside

import traceanalytics as ta
from traceanalytics.errors import FormatError, TraceAnalyticsError

TRACE, ID = "5982fe77008310cc80f1da5e10147517", "90394f6bcffb5d13"
START = 1472470996199000


def span(**fields):
    return {"traceId": TRACE, "id": ID, "name": "get", "timestamp": START, "duration": 207000} | fields


def read(*spans, **options):
    return ta.read_zipkin(json.dumps(list(spans)), **options)


def one(**fields):
    return read(span(**fields)).iloc[0]


def counts(spans):
    return ta.read_report(spans).counts


# --- the corpus


def expected_spans(document):
    """Ids, kind, service and tags of every span of a document, by plain Python: equal ids of one side are one span."""
    found = {}
    for item in document if isinstance(document, list) else [document]:
        side = item.get("localEndpoint", {})
        where = (side.get("serviceName"), side.get("ipv4"), side.get("ipv6"), side.get("port"))
        key = (item["traceId"].rjust(32, "0"), item["id"].rjust(16, "0"), item.get("kind", "UNSPECIFIED"), where)
        found.setdefault(key, {}).update(item.get("tags", {}))
    return Counter((t, i, k, w[0], len([x for x in tags if x != "error"])) for (t, i, k, w), tags in found.items())


def actual_spans(spans):
    original = spans.get("span.zipkin.original_span_id", pd.Series(index=spans.index, dtype="str"))
    made = [c for c in spans if c.startswith(("span.network.", "span.zipkin.", "span.service.peer."))]
    tags = spans[[c for c in spans if c.startswith(("span.", "resource.")) and c not in made]].notna().sum(axis=1)
    ids = original.astype("str").where(original.notna(), spans["span_id"])
    service = spans["service"].astype(object).where(spans["service"].notna(), None)
    return Counter(zip(spans["trace_id"], ids, spans["kind"], service, tags, strict=True))


def test_every_file_of_the_corpus_reads(corpus):
    read_spans = 0
    for file in sorted((corpus / "zipkin_v2").iterdir()):
        spans = ta.read_zipkin(file)
        assert actual_spans(spans) == expected_spans(json.loads(file.read_bytes())), file.name
        assert ta.read_report(spans).skipped == 0
        assert not spans.duplicated(["trace_id", "span_id"]).any()
        read_spans += len(spans)
    assert read_spans == 218


def test_the_corpus_times_are_exact(corpus):
    for file in (corpus / "zipkin_v2").iterdir():
        document = json.loads(file.read_bytes())
        stated = {s["timestamp"] * 1000 for s in (document if isinstance(document, list) else [document])}
        assert set(ta.read_zipkin(file).start_time.astype("int64")) <= stated


def test_ta_read_tells_the_format(corpus):
    for folder in ("zipkin_v1", "zipkin_v2"):
        for file in (corpus / folder).iterdir():
            found = ta.read(file)
            assert found.equals(ta.read_zipkin(file)), file.name
            assert ta.read_report(found).formats == ("zipkin",)


def test_a_folder_is_read_as_one(corpus):
    spans = ta.read_zipkin(corpus / "zipkin_v2")
    assert len(ta.read_report(spans).sources) == 12
    # Five files tell of one span (the example of Zipkin's documentation), two of its sides are named differently.
    example = spans[spans.span_id == "4d1e00c0db9010db"]
    assert list(example["service"].isna()) == [False, False]


# --- envelopes


def test_envelopes_hold_the_same_spans():
    a, b = span(), span(id="2")
    expected = read(a, b)
    lines = "\n".join(map(json.dumps, (a, b)))
    for text in (
        json.dumps([[a, b]]),
        json.dumps([[a], [b]]),
        json.dumps([a, [b]]),
        lines,
        json.dumps([a]) + "\n" + json.dumps([b]) + "\n",
        json.dumps(a, indent=1) + json.dumps(b, indent=1),
        "\ufeff " + lines,
    ):
        assert ta.read_zipkin(text.encode()).equals(expected), text
    assert ta.read_zipkin(gzip.compress(lines.encode())).equals(expected)
    assert ta.read_zipkin([a, b]).equals(expected)
    assert ta.read_zipkin(a).equals(read(a))


@pytest.mark.parametrize("text", ["[]", "[[]]", " [ [ ] , [ ] ] "])
def test_an_empty_list_gives_an_empty_frame(text):
    spans = ta.read_zipkin(text)
    assert len(spans) == 0
    assert spans["kind"].dtype == read(span())["kind"].dtype


# --- fields


def test_ids_are_padded():
    found = one(traceId="ABC", id="1F", parentId="2e")
    assert (found.trace_id, found.span_id) == (f"{0xABC:032x}", f"{0x1F:016x}")
    assert found.parent_span_id == f"{0x2E:016x}"


def test_parents_that_are_none():
    for parent in (None, "", "0", "0" * 16):
        assert pd.isna(one(parentId=parent).parent_span_id)
    spans = read(span(parentId=ID.lstrip("0")))
    assert pd.isna(spans.parent_span_id[0])
    assert counts(spans) == {"parentId equal to id, ignored": 1}


def test_trace_ids_of_both_lengths_become_one():
    spans = read(
        span(traceId=TRACE[16:]), span(id="2"), span(id="3", traceId="0" * 16 + TRACE[16:]), span(id="4", traceId="77")
    )
    assert list(spans.trace_id) == [TRACE, TRACE, TRACE, f"{0x77:032x}"]
    assert counts(spans) == {"64-bit trace id, read as the 128-bit one that it is the end of": 2}


def test_a_short_trace_id_with_two_long_ones_is_kept():
    spans = read(span(traceId=TRACE[16:]), span(id="2"), span(id="3", traceId="1" * 16 + TRACE[16:]))
    assert spans.trace_id[0] == "0" * 16 + TRACE[16:]
    assert counts(spans) == {"64-bit trace id that is the end of several 128-bit ones, kept": 1}


def test_times():
    found = one()
    assert found.start_time == pd.Timestamp(START, unit="us", tz="UTC")
    assert found.duration_ms == 207.0
    assert pd.isna(one(timestamp=None).start_time)
    assert pd.isna(one(timestamp=0).start_time)
    assert pd.isna(one(duration=None).duration_ms)
    assert one(duration=0).duration_ms == 0
    assert one(duration=-5).duration_ms == -0.005
    assert one(timestamp=str(START)).start_time == found.start_time
    assert one(timestamp=1.5, duration=0.25).start_time == pd.Timestamp(1500, tz="UTC")
    assert one(timestamp=1.5, duration=0.25).duration_ms == 0.00025


def test_name_may_be_absent():
    assert read({"traceId": TRACE, "id": ID}).name[0] == ""


@pytest.mark.parametrize(
    ("kind", "tag", "expected"),
    [
        ("CLIENT", None, "CLIENT"),
        ("SERVER", None, "SERVER"),
        ("PRODUCER", None, "PRODUCER"),
        ("CONSUMER", None, "CONSUMER"),
        ("client", None, "CLIENT"),
        (None, None, "UNSPECIFIED"),
        ("", None, "UNSPECIFIED"),
        (None, "internal", "INTERNAL"),
        (None, "server", "SERVER"),
    ],
)
def test_kinds(kind, tag, expected):
    spans = read(span(kind=kind, tags={"span.kind": tag} if tag else {}))
    assert spans["kind"][0] == expected
    assert "span.span.kind" not in spans


def test_a_kind_tag_that_says_no_kind_stays():
    assert one(tags={"span.kind": "odd"})["span.span.kind"] == "odd"
    assert one(kind="SERVER", tags={"span.kind": "client"})["span.span.kind"] == "client"


def test_endpoints():
    found = one(
        localEndpoint={"serviceName": "web", "ipv4": "10.0.0.1", "port": 80},
        remoteEndpoint={"serviceName": "db", "ipv6": "::1", "port": 5432},
    )
    assert found.service == "web"
    assert found["span.network.local.address"] == "10.0.0.1"
    assert found["span.network.local.port"] == 80
    assert found["span.service.peer.name"] == "db"
    assert found["span.network.peer.address"] == "::1"
    assert found["span.network.peer.port"] == 5432
    both = one(localEndpoint={"ipv4": "10.0.0.1", "ipv6": "::1"})
    assert pd.isna(both.service)
    assert both["span.network.local.address"] == "10.0.0.1"
    assert both["span.zipkin.local.ipv6"] == "::1"


@pytest.mark.parametrize("endpoint", [None, {}, {"serviceName": "", "ipv4": "", "port": 0}, {"serviceName": None}])
def test_empty_endpoints(endpoint):
    spans = read(span(localEndpoint=endpoint, remoteEndpoint=endpoint))
    assert pd.isna(spans.service[0])
    assert not [c for c in spans if c.startswith(("span.", "resource."))]


def test_a_placeholder_of_the_collector_is_no_service():
    assert pd.isna(one(localEndpoint={"serviceName": "OTLPResourceNoServiceName"}).service)


def test_addresses_are_of_the_span_and_not_of_the_service():
    spans = read(*(span(id=str(i), localEndpoint={"serviceName": "web", "ipv4": f"10.0.0.{i}"}) for i in (1, 2)))
    assert list(spans["span.network.local.address"]) == ["10.0.0.1", "10.0.0.2"]


def test_tags_are_texts():
    spans = read(span(tags={"http.status_code": "500", "cached": "true", "list": "[1,2]", "empty": ""}))
    found = spans.iloc[0]
    assert found["span.http.status_code"] == "500"
    assert found["span.cached"] == "true"
    assert found["span.list"] == "[1,2]"
    assert found["span.empty"] == ""
    assert counts(spans) == {}
    assert ta.read_report(spans).text_like_json == ("span.list",)


def test_tags_that_are_no_texts_are_read_as_texts_and_noted():
    spans = read(span(tags={"n": 1, "f": 1.5, "b": True, "l": [1, {"a": None}], "none": None, "t": "x"}))
    found = spans.iloc[0]
    assert [found[f"span.{key}"] for key in "nfblt"] == ["1", "1.5", "true", '[1,{"a":null}]', "x"]
    assert "span.none" not in spans
    assert counts(spans) == {"value that is no text, read as its JSON text": 4, "tag without a value, left out": 1}


def test_resource_tags_go_to_the_resource():
    tags = {
        "telemetry.sdk.name": "otel",
        "host.name": "a",
        "k8s.pod.name": "p",
        "service.version": "1",
        "cloud.region": "eu",
        "service.peer.name": "db",
        "hostname": "h",
        "service.name": "web",
    }
    found = one(tags=tags, localEndpoint={"serviceName": "web"})
    assert found.service == "web"
    assert "span.service.name" not in found
    for key in ("telemetry.sdk.name", "host.name", "k8s.pod.name", "service.version", "cloud.region"):
        assert found[f"resource.{key}"] == tags[key]
    assert (found["span.service.peer.name"], found["span.hostname"]) == ("db", "h")


def test_the_service_tag_stands_in_for_a_missing_endpoint():
    assert one(tags={"service.name": "web"}).service == "web"
    both = one(tags={"service.name": "other"}, localEndpoint={"serviceName": "web"})
    assert (both.service, both["span.service.name"]) == ("web", "other")


def test_a_tag_that_contradicts_the_endpoint_is_noted():
    spans = read(span(tags={"network.local.port": "81"}, localEndpoint={"port": 80}))
    assert spans["span.network.local.port"][0] == 80
    assert counts(spans) == {"tag that contradicts the endpoint, left out": 1}


@pytest.mark.parametrize(
    ("tags", "status", "message", "left"),
    [
        ({}, "UNSET", None, {}),
        ({"error": "true"}, "ERROR", None, {}),
        ({"error": ""}, "ERROR", None, {}),
        ({"error": "boom"}, "ERROR", "boom", {}),
        ({"error": "false"}, "ERROR", "false", {}),
        ({"otel.status_code": "OK"}, "OK", None, {}),
        ({"otel.status_code": "Error"}, "ERROR", None, {}),
        ({"otel.status_code": "STATUS_CODE_ERROR", "otel.status_description": "x"}, "ERROR", "x", {}),
        ({"otel.status_code": "ERROR", "error": "x"}, "ERROR", "x", {}),
        ({"otel.status_code": "ERROR", "otel.status_description": "x", "error": "x"}, "ERROR", "x", {}),
        ({"otel.status_code": "ERROR", "otel.status_description": "x", "error": "y"}, "ERROR", "x", {"error": "y"}),
        ({"otel.status_code": "OK", "error": "true"}, "OK", None, {"error": "true"}),
        ({"otel.status_code": "odd", "error": "true"}, "ERROR", None, {"otel.status_code": "odd"}),
        ({"error.type": "x"}, "UNSET", None, {"error.type": "x"}),
    ],
)
def test_status(tags, status, message, left):
    found = one(tags=tags)
    assert found.status == status
    assert found.status_message == message if message is not None else pd.isna(found.status_message)
    assert (
        ta.attributes(found) == {f"span.{key}": value for key, value in left.items()}
        or {key: found.get(f"span.{key}") for key in left} == left
    )


def test_scope_state_and_dropped_counts():
    tags = {
        "otel.scope.name": "io.http",
        "otel.scope.version": "1",
        "otel.scope.colour": "red",
        "otel.library.name": "io.http",
        "w3c.tracestate": "a=1",
        "otel.dropped_attributes_count": "2",
        "otel.dropped_links_count": "x",
    }
    found = one(tags=tags)
    assert (found.scope_name, found.scope_version, found.trace_state) == ("io.http", "1", "a=1")
    assert found["instrumentation.colour"] == "red"
    assert found.dropped_attributes == 2
    assert [c for c in found.index if c.startswith("span.")] == ["span.otel.dropped_links_count"]
    old = one(tags={"otel.library.name": "lib", "otel.library.version": "2"})
    assert (old.scope_name, old.scope_version) == ("lib", "2")


def test_debug():
    spans = read(span(debug=True), span(id="2"))
    assert spans.trace_flags[0] == 1
    assert pd.isna(spans.trace_flags[1])
    assert spans["span.zipkin.debug"][0]
    assert pd.isna(spans["span.zipkin.debug"][1])


@pytest.mark.parametrize(
    ("value", "name", "attributes", "dropped"),
    [
        ("plain", "plain", {}, 0),
        ('ev|{"a":1,"b":"x|{}|0"}|2', "ev", {"a": 1, "b": "x|{}|0"}, 2),
        ("a|b|{}|0", "a|b", {}, 0),
        ("|{}|0", "", {}, 0),
        ("a|{}|00", "a|{}|00", {}, 0),
        ("a|{}|x", "a|{}|x", {}, 0),
        ("a|{|0", "a|{|0", {}, 0),
        ("a|[]|0", "a|[]|0", {}, 0),
        ('a|{"n":36893488147419103232}|0', 'a|{"n":36893488147419103232}|0', {}, 0),
        ("", "", {}, 0),
        ("|", "|", {}, 0),
    ],
)
def test_annotations(value, name, attributes, dropped):
    spans = read(span(annotations=[{"timestamp": START + 1, "value": value}]))
    (event,) = json.loads(spans.events[0])
    assert event == {"time": (START + 1) * 1000, "name": name, "attributes": attributes} | (
        {"dropped_attributes": dropped} if dropped else {}
    )


def test_annotations_keep_their_order_and_bear_what_is_missing():
    spans = read(span(annotations=[{"timestamp": 2, "value": "b"}, {"timestamp": 1, "value": 5}, {}]))
    events = json.loads(spans.events[0])
    assert [(e["time"], e["name"]) for e in events] == [(2000, "b"), (1000, "5"), (0, "")]
    assert counts(spans) == {"value that is no text, read as its JSON text": 1}


def test_links():
    other, parent = "ab" * 16, "cd" * 8
    tags = {
        "otlp.link.10": f"{other}|{parent}||{{}}|0",
        "otlp.link.2": f'{other}|{parent}|a=1|{{"k":"x|y"}}|3',
        "otlp.link.3": f"{other}|{parent}|a=|||{{}}|0",
        "otlp.link.x": "kept",
        "otlp.link.4": "kept too",
    }
    spans = read(span(tags=tags))
    assert json.loads(spans.links[0]) == [
        {
            "trace_id": other,
            "span_id": parent,
            "trace_state": "a=1",
            "attributes": {"k": "x|y"},
            "dropped_attributes": 3,
        },
        {"trace_id": other, "span_id": parent, "trace_state": "a=||", "attributes": {}},
        {"trace_id": other, "span_id": parent, "attributes": {}},
    ]
    assert spans["span.otlp.link.x"][0] == "kept"
    assert spans["span.otlp.link.4"][0] == "kept too"
    assert counts(spans) == {"tag otlp.link.N of another form than trace|span|state|json|dropped, kept": 1}


def test_a_key_that_stands_twice_is_noted():
    for text in (
        '{"traceId":"1","id":"2","id":"3","name":"x"}',
        '{"traceId": "1", "id": "3", "tags": {"a" : "1", "a" : "2"}}',
        '{"traceId":"1","id":"3","localEndpoint":{"port":1,"port":2}}',
    ):
        assert counts(ta.read_zipkin(text)) == {"property twice in one object, the last one kept": 1}
    assert counts(ta.read_zipkin('{"traceId":"1","id":"3","tags":{"a":"\\":\\":\\":"},"unknown":{"a":[]}}')) == {}


def test_attributes_chooses_columns():
    spans = read(span(tags={"a": "1", "b": "2"}), attributes=["a"])
    assert "span.a" in spans
    assert json.loads(spans.other_attributes[0]) == {"span.b": "2"}


# --- refusals


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", r"<text>, \[0\]: expected `object`, got `int`"),
        ("[[[]]]", r"\[0\]\[0\]: expected `object`, got `array`"),
        ('{"resourceSpans": []}', "an object without traceId and id.*ta.read_otlp"),
        ('[{"resourceSpans": []}]', r"\[0\]: an object without traceId and id.*ta.read_otlp"),
        ('[{"traceId": "1", "spanId": "2"}]', "an object without id .*ta.read_otlp"),
        ('{"data": [{"traceID": "1"}]}', "ta.read_jaeger"),
        ('[{"trace_id": "1", "span_id": "2"}]', "ta.read_records"),
        ('{"a": 1}', "an object without traceId and id .its keys: 'a'.. Expected Zipkin JSON"),
        ("{}", "its keys: none"),
        ('[{"traceId": "", "id": "1"}]', "traceId or id is empty"),
        ('[{"traceId": "0", "id": "1"}]', "traceId: found '0', expected hex digits that are not all zero"),
        ('[{"traceId": "1", "id": "000"}]', "id: found '000', expected hex digits that are not all zero"),
        ('[{"traceId": "xyz", "id": "1"}]', "traceId: found 'xyz', expected up to 32 hex digits"),
        (
            '[{"traceId": "1", "id": "12345678901234567"}]',
            "id: found '12345678901234567', expected up to 16 hex digits",
        ),
        ('[{"traceId": "1", "id": "1", "parentId": "-1"}]', "parentId: found '-1'"),
        ('[{"traceId": 1, "id": "1"}]', r"expected `str \| null`, got `int`"),
        ('[{"traceId": "1", "id": "1", "kind": "ODD"}]', "span kind: found 'ODD'"),
        ('[{"traceId": "1", "id": "1", "kind": 9}]', "span kind: found 9"),
        ('[{"traceId": "1", "id": "1", "timestamp": -1}]', "timestamp: found -1, expected microseconds since 1970"),
        (
            '[{"traceId": "1", "id": "1", "timestamp": 9223372036854775808}]',
            "timestamp: 9223372036854775808 microseconds",
        ),
        ('[{"traceId": "1", "id": "1", "timestamp": 1700000000000000000}]', "are these nanoseconds"),
        ('[{"traceId": "1", "id": "1", "timestamp": 1e300}]', "timestamp: 1e.300 microseconds lie outside"),
        ('[{"traceId": "1", "id": "1", "timestamp": "nan"}]', "timestamp: found nan"),
        ('[{"traceId": "1", "id": "1", "timestamp": 9e15, "duration": 9e15}]', "the year 2262 is over"),
        ('[{"traceId": "1", "id": "1", "timestamp": "x"}]', "got `str`, at|expected `int"),
        ('[{"traceId": "1", "id": "1", "annotations": [{"timestamp": -5}]}]', "annotations.timestamp: found -5"),
        ('[{"traceId": "1", "id": "1", "localEndpoint": {"port": 70000}}]', "localEndpoint.port: found 70000"),
        ('[{"traceId": "1", "id": "1", "tags": []}]', r"\$.tags: expected `object"),
        ('[{"traceId": "1", "id": "1"', "JSON ends early"),
        ('[{"traceId": "1", "id": "1"},]', "JSON is malformed|invalid character"),
        ('{"traceId": "1", "id": "\\ud800"}', "half a surrogate pair"),
    ],
)
def test_refusals_say_what_was_found(text, message):
    with pytest.raises(FormatError, match=message):
        ta.read_zipkin(text)
    assert len(ta.read_zipkin(text, on_error="skip")) in (0, 1)
    assert ta.read_report(ta.read_zipkin(text, on_error="skip")).counts


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the source is empty"),
        (b" \n ", "the source is empty"),
        (b"null", "found 'null'"),
        (b"\x0a\x12\x00", "malformed"),
        (b'{"traceId": "1", "id": "1", "name": "\xff"}', "UTF-8"),
        (b'{"traceId": "1", "id": "1", "tags": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "nested too deeply"),
        (b"[" * 100_000, "nested too deeply|ends early"),
    ],
)
def test_bytes_that_are_no_zipkin(data, message):
    with pytest.raises(FormatError, match=message):
        ta.read_zipkin(data)


def test_only_the_damaged_span_is_lost():
    good = [span(id=f"{i + 1:x}") for i in range(5)]
    bad = [span(id="xyz"), 17, span(id="99", timestamp=-1), span(id="98", tags={"a": 1}, kind="odd")]
    mixed = [item for pair in zip(good, bad, strict=False) for item in pair] + good[4:]
    spans = read(*mixed, on_error="skip")
    assert spans.equals(read(*good))
    report = ta.read_report(spans)
    assert report.skipped == 4
    assert report.places[0].position == "[1]"


def test_broken_syntax_costs_the_span_it_is_in_only():
    good = [span(id=f"{i + 1:x}", tags={"id": "a", "traceId": "b"}) for i in range(5)]
    text = json.dumps(good).replace('"id": "3"', '"id": "3')
    spans = ta.read_zipkin(text, on_error="skip")
    assert spans.equals(read(*good[:2], *good[3:]))
    assert ta.read_report(spans).skipped == 1


def test_broken_syntax_between_spans_is_noted():
    spans = ta.read_zipkin(json.dumps([span(), span(id="2")])[:-1], on_error="skip")
    assert spans.equals(read(span(), span(id="2")))
    assert list(counts(spans)) == ["damaged JSON between spans"]


def test_a_damaged_line_costs_itself():
    lines = [json.dumps(span()), "garbage", json.dumps(span(id="2"))]
    spans = ta.read_zipkin("\n".join(lines), on_error="skip")
    assert spans.equals(read(span(), span(id="2")))
    assert ta.read_report(spans).places[0].position == "line 2, byte 92" or ta.read_report(spans).skipped == 1


def test_findings_go_to_a_file(tmp_path):
    read(span(tags={"a": 1}), 5, on_error="skip", report_to=tmp_path / "report.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "report.jsonl").read_bytes().splitlines()]
    assert [line["position"] for line in lines] == ["[0]", "[1]"]


# --- damage


def material(corpus):
    return [
        (corpus / "zipkin_v2" / name).read_bytes()
        for name in ("zipkinlens_skew.json", "zipkinlens_messaging.json", "zipkin2-client.json")
    ] + [(corpus / "zipkin_v1" / "contrib_zipkin_v1_single_batch.json").read_bytes()]


@pytest.mark.parametrize("part", range(4))
def test_damaged_sources_give_a_frame_or_an_error_of_our_own(corpus, part):
    files = material(corpus)
    for seed in range(part * 500, part * 500 + 500):
        data = damaged(files[seed % 4], seed)
        with contextlib.suppress(TraceAnalyticsError):
            ta.read_zipkin(data)
        spans = ta.read_zipkin(data, on_error="skip")
        assert spans.span_id.notna().all()


def test_damage_inside_a_span_costs_no_other(corpus):
    # No two of these spans have anything in common but their trace id.
    document = json.loads((corpus / "zipkin_v2" / "zipkinlens_messaging2.json").read_bytes())
    texts = [json.dumps(item).encode() for item in document]
    data = b"[" + b",".join(texts) + b"]"
    whole = ta.read_zipkin(data)
    starts = [sum(len(t) + 1 for t in texts[:i]) + 1 for i in range(len(texts))]
    lost = 0
    for seed in range(300):
        at = seed % len(texts)
        broken = damaged_inside(data, starts[at] + 1, starts[at] + len(texts[at]) - 1, seed)
        spans = ta.read_zipkin(broken, on_error="skip")
        others = whole[whole.span_id != whole.span_id[at]]
        found = spans[spans.span_id.isin(others.span_id)]
        if found.span_id.duplicated().any() or len(spans) > len(whole):
            continue  # the damage made another id of this one, or two spans of one
        columns = [
            "trace_id",
            "span_id",
            "name",
            "service",
            "start_time",
            "duration_ms",
            "span.http.method",
            "span.http.path",
        ]
        assert_same_spans(found[columns], others[columns])
        if len(spans) < len(whole):
            lost += 1
            assert ta.read_report(spans).skipped >= 1
    assert lost > 100


def test_deep_chains_are_read():
    spans = read(*(span(id=f"{i + 1:x}", parentId=f"{i:x}") for i in range(20_000)))
    assert len(spans) == 20_000
