"""Zipkin written, and read again."""

from __future__ import annotations

import gzip
import json
import math

import pandas as pd
import pytest
from frames import assert_same_spans
from hypothesis import given
from strategies import span_frames

import traceanalytics as ta
from traceanalytics.errors import OptionError, SchemaError

TRACE, ID, OTHER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "b7ad6b7169203331"
DEMO = "otlp_json/oteldemo_collector_file_exporter_mixed.jsonl"
START = 1_778_768_625_000_001_999


def otlp(**fields):
    """A frame of one span, with what OTLP can say."""
    resource = fields.pop("resource", {"service.name": {"stringValue": "web"}})
    scope = fields.pop("scope", {})
    span = {
        "traceId": TRACE,
        "spanId": ID,
        "name": "GET /",
        "startTimeUnixNano": str(START),
        "endTimeUnixNano": str(START + 1_500),
    }
    return ta.read_otlp(
        {
            "resourceSpans": [
                {
                    "resource": {"attributes": pairs(resource)},
                    "scopeSpans": [{"scope": scope, "spans": [span | fields]}],
                }
            ]
        }
    )


def pairs(values):
    return [{"key": key, "value": value} for key, value in values.items()]


def attributes(**values):
    return {"attributes": pairs({key.replace("__", "."): value for key, value in values.items()})}


def written(spans):
    return json.loads(ta.to_zipkin(spans))


def tags(spans):
    return written(spans)[0].get("tags", {})


# --- there and back


@given(span_frames(microseconds=True, string_attributes=True, simple_scopes=True))
def test_a_written_frame_reads_back_equal(spans):
    # Zipkin knows the peer's service as an endpoint only, and trace flags not at all.
    expected = spans.rename(columns={"span.peer.service": "span.service.peer.name"})
    assert_same_spans(ta.read_zipkin(ta.to_zipkin(spans)), expected, ignore=["trace_flags"])


@given(span_frames())
def test_any_frame_is_written_and_its_second_writing_is_the_same(spans):
    first = ta.read_zipkin(ta.to_zipkin(spans))
    assert len(first) == len(spans)
    assert_same_spans(ta.read_zipkin(ta.to_zipkin(first)), first)


def test_the_corpus_reads_back_equal(corpus):
    for folder in ("zipkin_v1", "zipkin_v2"):
        for file in sorted((corpus / folder).iterdir()):
            spans = ta.read_zipkin(file)
            again = ta.read_zipkin(ta.to_zipkin(spans))
            assert_same_spans(again, spans)
            assert not {"pieces of one span, united"} & ta.read_report(again).counts.keys()


def test_the_demo_loses_what_is_documented(corpus):
    spans = ta.read_otlp(corpus / DEMO)
    again = ta.read_zipkin(ta.to_zipkin(spans))
    kept = [
        *(
            "trace_id",
            "span_id",
            "parent_span_id",
            "name",
            "service",
            "kind",
            "status",
            "status_message",
            "trace_state",
        ),
        *("scope_name", "scope_version", "start_time"),
    ]
    # The tag error, which some spans have without a status, is Zipkin's own word for one.
    unset = (spans.status == "UNSET") & spans["span.error"].notna()
    assert unset.sum() == 40
    expected = spans.assign(start_time=spans.start_time.dt.floor("us"), status=spans.status.mask(unset, "ERROR"))
    assert_same_spans(again[kept], expected[kept])
    before, after = (s.set_index("span_id") for s in (spans, again))
    ms = before.duration_ms - after.duration_ms.reindex(before.index)
    assert ms.between(-1e-9, 0.001).all()
    assert len(ta.events(again)) == len(ta.events(spans))
    for column in spans.filter(regex=r"^resource\.(host|os|process|telemetry\.sdk)\."):
        assert (after[column].reindex(before.index).notna() == before[column].notna()).all(), column


# --- one field at a time


def test_a_whole_span():
    spans = ta.read_zipkin(
        [
            {
                "traceId": TRACE,
                "id": ID,
                "parentId": OTHER,
                "kind": "CLIENT",
                "name": "get",
                "timestamp": 1472470996199000,
                "duration": 207000,
                "localEndpoint": {"serviceName": "web", "ipv4": "10.0.0.1", "ipv6": "::1", "port": 80},
                "remoteEndpoint": {"serviceName": "db", "ipv6": "7::0.128.128.127"},
                "annotations": [{"timestamp": 1472470996238000, "value": "foo"}],
                "tags": {"http.path": "/api", "host.name": "a", "otel.scope.name": "lib"},
                "debug": True,
            }
        ]
    )
    (found,) = written(spans)
    assert list(found) == [
        *("traceId", "parentId", "id", "kind", "name", "timestamp", "duration", "localEndpoint", "remoteEndpoint"),
        *("annotations", "tags", "debug"),
    ]
    assert found["localEndpoint"] == {"serviceName": "web", "ipv4": "10.0.0.1", "ipv6": "::1", "port": 80}
    assert found["remoteEndpoint"] == {"serviceName": "db", "ipv6": "7::0.128.128.127"}
    assert found["annotations"] == [{"timestamp": 1472470996238000, "value": "foo"}]
    assert found["tags"] == {"http.path": "/api", "host.name": "a", "otel.scope.name": "lib"}
    assert found["debug"] is True


def test_nothing_is_written_of_what_is_missing():
    (found,) = written(ta.read_zipkin([{"traceId": TRACE, "id": ID}]))
    assert found == {"traceId": TRACE, "id": ID}
    assert ta.to_zipkin(ta.read_zipkin("[]")) == b"[]"


def test_times_are_floored():
    (found,) = written(otlp())
    assert (found["timestamp"], found["duration"]) == (START // 1000, 1)


@pytest.mark.parametrize(("nanoseconds", "expected"), [(0, 0), (1, 1), (999, 1), (1000, 1), (1999, 1), (2000, 2)])
def test_a_positive_duration_is_at_least_one(nanoseconds, expected):
    assert written(otlp(endTimeUnixNano=str(START + nanoseconds)))[0]["duration"] == expected


def test_times_that_zipkin_cannot_say_are_left_out():
    assert "duration" not in written(otlp(endTimeUnixNano=str(START - 5000)))[0]
    early = written(otlp(startTimeUnixNano="900", endTimeUnixNano="5900"))[0]
    assert "timestamp" not in early
    assert early["duration"] == 5


def test_values_become_texts():
    found = tags(
        otlp(
            **attributes(
                s={"stringValue": "x"},
                i={"intValue": str(2**63 - 1)},
                d={"doubleValue": 1e22},
                inf={"doubleValue": "-Infinity"},
                t={"boolValue": True},
                f={"boolValue": False},
                l={"arrayValue": {"values": [{"intValue": 1}, {"stringValue": "ü"}]}},
                m={"kvlistValue": {"values": [{"key": "a", "value": {"boolValue": True}}]}},
            )
        )
    )
    assert found == {
        "s": "x",
        "i": "9223372036854775807",
        "d": "1e+22",
        "inf": "-Infinity",
        "t": "true",
        "f": "false",
        "l": '[1,"ü"]',
        "m": '{"a":true}',
    }
    assert math.isclose(float(found["d"]), 1e22)


def test_resource_and_scope_become_tags():
    spans = otlp(
        resource={
            "service.name": {"stringValue": "web"},
            "host.name": {"stringValue": "h"},
            "team": {"stringValue": "t"},
        },
        scope={"name": "lib", "version": "1"} | attributes(colour={"stringValue": "red"}),
        **attributes(team={"stringValue": "mine"}),
    )
    assert tags(spans) == {
        "host.name": "h",
        "team": "mine",
        "otel.scope.colour": "red",
        "otel.scope.name": "lib",
        "otel.scope.version": "1",
    }
    again = ta.read_zipkin(ta.to_zipkin(spans))
    assert (again["resource.host.name"][0], again["span.team"][0]) == ("h", "mine")
    assert again["instrumentation.colour"][0] == "red"


@pytest.mark.parametrize(
    ("kind", "written_kind", "tag"),
    [
        (0, None, None),
        (1, None, "internal"),
        (2, "SERVER", None),
        (3, "CLIENT", None),
        (4, "PRODUCER", None),
        (5, "CONSUMER", None),
    ],
)
def test_kinds(kind, written_kind, tag):
    (found,) = written(otlp(kind=kind))
    assert found.get("kind") == written_kind
    assert found.get("tags", {}).get("span.kind") == tag


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, {}),
        ({"code": 1}, {"otel.status_code": "OK"}),
        ({"code": 2}, {"otel.status_code": "ERROR", "error": ""}),
        ({"code": 2, "message": "x"}, {"otel.status_code": "ERROR", "otel.status_description": "x", "error": "x"}),
        ({"message": "x"}, {"otel.status_description": "x"}),
    ],
)
def test_status(status, expected):
    assert tags(otlp(status=status)) == expected


def test_an_error_attribute_does_not_make_a_failure_of_a_success():
    assert tags(otlp(**attributes(error={"boolValue": False}))) == {}
    assert tags(otlp(status={"code": 1}, **attributes(error={"stringValue": "x"}))) == {
        "error": "x",
        "otel.status_code": "OK",
    }
    spans = otlp(status={"code": 1}, **attributes(error={"stringValue": "x"}))
    assert_same_spans(ta.read_zipkin(ta.to_zipkin(spans)), spans, ignore=["trace_flags", "start_time", "duration_ms"])


def test_peers():
    new = attributes(
        service__peer__name={"stringValue": "db"},
        network__peer__address={"stringValue": "10.0.0.9"},
        network__peer__port={"intValue": "5432"},
    )
    (found,) = written(otlp(**new))
    assert found["remoteEndpoint"] == {"serviceName": "db", "ipv4": "10.0.0.9", "port": 5432}
    assert "tags" not in found
    (old,) = written(otlp(**attributes(peer__service={"stringValue": "db"})))
    assert old["remoteEndpoint"] == {"serviceName": "db"}
    both = attributes(peer__service={"stringValue": "a"}, service__peer__name={"stringValue": "b"})
    (found,) = written(otlp(**both))
    assert (found["remoteEndpoint"], found["tags"]) == ({"serviceName": "b"}, {"peer.service": "a"})


def test_what_is_no_address_stays_a_tag():
    odd = attributes(
        network__peer__address={"stringValue": "/tmp/socket"},
        network__peer__port={"intValue": "70000"},
        network__local__address={"stringValue": "a.host"},
        service__peer__name={"intValue": "5"},
    )
    (found,) = written(otlp(resource={}, **odd))
    assert "localEndpoint" not in found
    assert "remoteEndpoint" not in found
    assert found["tags"] == {
        "network.peer.address": "/tmp/socket",
        "network.peer.port": "70000",
        "network.local.address": "a.host",
        "service.peer.name": "5",
    }


def test_events():
    event = {"timeUnixNano": str(START)}
    spans = otlp(
        events=[
            event | {"name": "plain"},
            event | {"name": "exception"} | attributes(a={"intValue": 1}),
            event | {"name": "short", "droppedAttributesCount": 2},
            event | {"name": "x|{}|0"},
        ]
    )
    assert written(spans)[0]["annotations"] == [
        {"timestamp": START // 1000, "value": value}
        for value in ("plain", 'exception|{"a":1}|0', "short|{}|2", "x|{}|0|{}|0")
    ]
    found = json.loads(ta.read_zipkin(ta.to_zipkin(spans)).events[0])
    assert [(e["name"], e["attributes"], e.get("dropped_attributes", 0)) for e in found] == [
        ("plain", {}, 0),
        ("exception", {"a": 1}, 0),
        ("short", {}, 2),
        ("x|{}|0", {}, 0),
    ]


def test_links_state_and_dropped_counts():
    link = {"traceId": TRACE, "spanId": OTHER, "traceState": "a=1", "droppedAttributesCount": 3, "flags": 1}
    spans = otlp(
        links=[link | attributes(k={"stringValue": "x|y"}), {"traceId": TRACE, "spanId": OTHER}],
        traceState="b=2",
        droppedAttributesCount=4,
        droppedEventsCount=5,
        droppedLinksCount=6,
    )
    assert tags(spans) == {
        "otlp.link.0": f'{TRACE}|{OTHER}|a=1|{{"k":"x|y"}}|3',
        "otlp.link.1": f"{TRACE}|{OTHER}||{{}}|0",
        "w3c.tracestate": "b=2",
        "otel.dropped_attributes_count": "4",
        "otel.dropped_events_count": "5",
        "otel.dropped_links_count": "6",
    }
    again = ta.read_zipkin(ta.to_zipkin(spans)).iloc[0]
    assert (again.trace_state, again.dropped_attributes, again.dropped_events, again.dropped_links) == ("b=2", 4, 5, 6)
    assert json.loads(again.links)[0]["attributes"] == {"k": "x|y"}


def test_split_halves_stay_two_spans(corpus):
    spans = ta.read_zipkin(corpus / "zipkin_v2" / "zipkinlens_skew.json")
    found = written(spans)
    assert len({s["id"] for s in found}) == 4
    assert not any("shared" in s for s in found)
    assert [s["tags"] for s in found if "tags" in s] == [{"zipkin.original_span_id": "74280ae0c10d8062"}]


def test_files(tmp_path):
    spans = otlp()
    expected = ta.to_zipkin(spans)
    assert ta.to_zipkin(spans, tmp_path / "a.json") is None
    assert (tmp_path / "a.json").read_bytes() == expected
    ta.to_zipkin(spans, str(tmp_path / "a.json.gz"))
    assert gzip.decompress((tmp_path / "a.json.gz").read_bytes()) == expected
    with pytest.raises(OptionError, match="path=5 is no path"):
        ta.to_zipkin(spans, 5)


def test_the_frame_is_not_changed():
    spans = otlp(**attributes(service__peer__name={"stringValue": "db"}))
    before = spans.copy()
    ta.to_zipkin(spans)
    pd.testing.assert_frame_equal(spans, before)


@pytest.mark.parametrize("column", ["trace_id", "span_id", "parent_span_id"])
def test_ids_that_zipkin_cannot_hold_are_refused(column):
    spans = otlp().astype({"trace_id": "str"})
    spans[column] = pd.Series(["|a.b."], dtype="str")
    with pytest.raises(SchemaError, match="Zipkin takes ids of 32 and 16 hex digits only"):
        ta.to_zipkin(spans)
