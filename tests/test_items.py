from __future__ import annotations

import base64
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from strategies import span_frames

import traceanalytics as ta
from traceanalytics.spans import unpacking
from traceanalytics.spans.cells import event_cell

START = 1_760_000_000_000_000_000


def spans_of(cells, column="events", **more):
    count = len(cells)
    frame = pd.DataFrame(
        {
            "trace_id": [f"t{i}" for i in range(count)],
            "span_id": [f"s{i}" for i in range(count)],
            "name": "n",
            "start_ns": pd.Series([START] * count, dtype="Int64"),
        }
    )
    spans = ta.conform(frame)
    spans[column] = pd.array(cells, dtype="str")
    return spans.assign(**more)


def event(time=START, name="e", **attributes):
    return {"time": time, "name": name, "attributes": attributes}


def test_one_row_an_event_in_order_with_the_label_repeated():
    spans = spans_of(
        [event_cell([event(START + 1, "b"), event(START, "a")]), None, event_cell([event(START + 5, "b")])]
    )
    spans = spans.set_axis(["x", "y", "z"])
    found = ta.events(spans)
    assert found.index.tolist() == ["x", "x", "z"]
    assert found["trace_id"].tolist() == ["t0", "t0", "t2"]
    assert found["trace_id"].dtype == spans["trace_id"].dtype
    assert found["span_id"].tolist() == ["s0", "s0", "s2"]
    assert found["name"].tolist() == ["b", "a", "b"]
    assert isinstance(found["name"].dtype, pd.CategoricalDtype)
    assert found.columns.tolist() == ["trace_id", "span_id", "time", "offset_ms", "name"]
    assert str(found["time"].dtype) == "datetime64[ns, UTC]"
    assert (found.join(spans[["kind"]]).index == found.index).all()


def test_time_and_offset_are_exact():
    spans = spans_of([event_cell([event(START + 123_456_789), event(START - 1)])])
    found = ta.events(spans)
    assert found["time"].array.asi8.tolist() == [START + 123_456_789, START - 1]
    assert found["offset_ms"].tolist() == [123.456789, -1e-06]


def test_offset_is_unknown_without_start_or_time():
    spans = spans_of(
        [event_cell([event()]), '[{"name":"x"}]'], start_time=pd.to_datetime([None, START], utc=True).as_unit("ns")
    )
    assert ta.events(spans)["offset_ms"].isna().all()
    assert ta.events(spans)["time"].isna().tolist() == [False, True]


def test_offset_of_centuries_does_not_wrap_around():
    spans = spans_of(
        [event_cell([event(9 * 10**18)])], start_time=pd.to_datetime([-9 * 10**18], utc=True).as_unit("ns")
    )
    assert ta.events(spans)["offset_ms"].tolist() == [pytest.approx(18e12)]


def test_attributes_become_typed_columns():
    spans = spans_of(
        [
            event_cell([event(i=2**60 + 1, f=1.5, b=True, s="x", l=[1], m={"k": None}, mix=1)]),
            event_cell([event(i=2, x={"doubleValue": "-Infinity"}, mix="2", raw={"bytesValue": "AQ=="})]),
            event_cell([event(n=None)]),
        ]
    )
    found = ta.events(spans)
    assert [c for c in found if c.startswith("event.")] == [
        f"event.{k}" for k in ("b", "f", "i", "l", "m", "mix", "raw", "s", "x")
    ]
    assert found["event.i"].dtype == "Int64"
    assert found["event.i"].tolist()[:2] == [2**60 + 1, 2]
    assert found["event.f"].dtype == "float64"
    assert found["event.b"].dtype == "boolean"
    assert found["event.l"].tolist()[0] == "[1]"
    assert found["event.m"].tolist()[0] == '{"k":null}'
    assert found["event.mix"].tolist()[:2] == [1, 2]
    assert found["event.x"].tolist()[1] == -np.inf
    assert found["event.raw"].tolist()[1] == '{"bytesValue":"AQ=="}'


def test_an_integer_beyond_64_bits_keeps_its_digits():
    spans = spans_of(['[{"time":1,"name":"e","attributes":{"n":36893488147419103232}}]'])
    assert ta.events(spans)["event.n"].tolist() == ["36893488147419103232"]


def test_dropped_attributes_where_any():
    cells = [event_cell([event() | {"dropped_attributes": 3}, event()])]
    assert ta.events(spans_of(cells))["dropped_attributes"].tolist() == [3, 0]


@pytest.mark.parametrize(
    "cell",
    [
        json.dumps([event(START + 1, "größe", k="v"), event(START + 2, 'q"x', k="w")]),
        json.dumps([event(START + 1, "größe", k="v"), event(START + 2, 'q"x', k="w")], indent=1),
        '[{"attributes":{"k":"v"},"name":"größe","time":1760000000000000001},{"name":"q\\"x","attributes":{"k":"w"},"time":1760000000000000002}]',
    ],
    ids=["spaces", "indented", "other order"],
)
def test_any_json_with_the_keys_is_read_like_our_own(cell):
    own = event_cell([event(START + 1, "größe", k="v"), event(START + 2, 'q"x', k="w")])
    assert ta.events(spans_of([cell])).equals(ta.events(spans_of([own])))


@pytest.mark.parametrize(
    "hard",
    [
        event(name='a","attributes":{}},\n{"time":1'),
        event(name="\\"),
        event(name="x", attributes={"attributes": 1}),
        event(name="\u2028\x00\x7f"),
        event(k='}]","name":"y"'),
        event(k=",\n"),
    ],
)
def test_texts_that_look_like_structure(hard):
    found = ta.events(spans_of([event_cell([hard, event(name="last")])]))
    assert found["name"].tolist() == [hard["name"], "last"]


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("[", "truncated"),
        ("{}", "Expected `array`"),
        ('[{"time":"x","name":"e","attributes":{}}]', "Expected `int"),
        ('[{"time":9223372036854775808,"name":"e","attributes":{}}]', "Expected `int"),
        ('[{"time":1,"name":"e","attributes":{},"x":{}}', "truncated"),
        ('[{"time":1,"name":"e","attributes":{"a":}}]', "malformed"),
        ('[{"time":1,"name":"e","attributes":[1]}]', "Expected `object`"),
        ('[{"time":1,"name":5,"attributes":{}}]', "Expected `str"),
    ],
)
def test_garbage_is_refused_with_the_label(cell, why):
    spans = spans_of([event_cell([event()]), cell]).set_axis(["a", "b"])
    with pytest.raises(ta.SchemaError, match=r"events of the span at index 'b'") as raised:
        ta.events(spans)
    assert why in str(raised.value)


def test_no_events_and_no_spans():
    for spans in (spans_of([None, None]), spans_of([None]).iloc[:0]):
        found = ta.events(spans)
        assert len(found) == 0
        assert found.columns.tolist() == ["trace_id", "span_id", "time", "offset_ms", "name"]
        assert str(found["time"].dtype) == "datetime64[ns, UTC]"
        assert found["offset_ms"].dtype == "float64"
        found = ta.links(spans)
        assert len(found) == 0
        assert found.columns.tolist() == ["trace_id", "span_id", "linked_trace_id", "linked_span_id"]


def test_empty_list_has_no_events():
    assert len(ta.events(spans_of(["[]", event_cell([event()])]))) == 1


def test_equal_attribute_maps_are_decoded_once(monkeypatch):
    seen = []
    real = unpacking._flat
    monkeypatch.setattr(unpacking, "_flat", lambda m: seen.append(m) or real(m))
    ta.events(spans_of([event_cell([event(k="v")] * 50)]))
    assert len(seen) == 1


def test_links_with_everything():
    cell = json.dumps(
        [
            {
                "trace_id": "t9",
                "span_id": "s9",
                "trace_state": "a=1",
                "attributes": {"k": 1},
                "flags": 257,
                "dropped_attributes": 2,
            },
            {"trace_id": "t8", "span_id": "s8", "attributes": {}},
        ]
    )
    found = ta.links(spans_of([None, cell], "links"))
    assert found.index.tolist() == [1, 1]
    assert found["span_id"].tolist() == ["s1", "s1"]
    assert found["linked_trace_id"].tolist() == ["t9", "t8"]
    assert found["linked_span_id"].tolist() == ["s9", "s8"]
    assert found["trace_state"].isna().tolist() == [False, True]
    assert found["trace_flags"].dtype == "UInt32"
    assert found["trace_flags"].tolist()[0] == 257
    assert found["link.k"].tolist()[0] == 1
    assert found["dropped_attributes"].tolist() == [2, 0]


def test_link_garbage_is_refused():
    with pytest.raises(ta.SchemaError, match=r"links of the span at index 0: found .*expected JSON text of a list"):
        ta.links(spans_of(['[{"trace_id":1}]'], "links"))


def test_repeated_index_is_refused():
    spans = spans_of([None, None]).set_axis([7, 7])
    with pytest.raises(ta.SchemaError, match="the index repeats"):
        ta.events(spans)
    with pytest.raises(ta.SchemaError, match="the index repeats"):
        ta.links(spans)


def as_said(value):
    """The value of an event's attribute as its typed column has it."""
    if isinstance(value, dict) and value.keys() == {"doubleValue"}:
        return float(value["doubleValue"])
    return value


@given(span_frames())
def test_events_are_what_json_says(spans):
    found = ta.events(spans)
    said = [(label, e) for label, cell in spans["events"].dropna().items() for e in json.loads(cell)]
    assert found.index.tolist() == [label for label, _ in said]
    assert found["time"].array.asi8.tolist() == [e["time"] for _, e in said]
    assert found["name"].tolist() == [e["name"] for _, e in said]
    for column in [c for c in found if c.startswith("event.")]:
        values = [as_said(e["attributes"].get(column.removeprefix("event."))) for _, e in said]
        present = [v for v in values if v is not None]
        assert found[column].notna().tolist() == [v is not None for v in values]
        if len({type(v) for v in present}) == 1:  # else a mixture, which is text
            cells = found[column].dropna().tolist()
            assert [
                json.loads(c) if isinstance(v, list | dict) else c for c, v in zip(cells, present, strict=True)
            ] == present


@given(span_frames())
def test_events_and_links_follow_a_filter(spans):
    part = spans.iloc[::2].sample(frac=1, random_state=1)
    for unpacked in (ta.events, ta.links):
        every, some = unpacked(spans), unpacked(part)
        assert some["span_id"].tolist() == every.loc[[i for i in part.index if i in every.index]]["span_id"].tolist()


@given(span_frames())
def test_the_quick_way_and_the_slow_way_agree(spans):
    slow = spans.assign(
        events=spans["events"].map(lambda c: c if pd.isna(c) else json.dumps(json.loads(c))).astype("str")
    )
    assert ta.events(slow).equals(ta.events(spans))


def test_bytes_are_kept_as_base64():
    raw = base64.b64encode(b"\x00\xff").decode()
    assert json.loads(ta.events(spans_of([event_cell([event(raw={"bytesValue": raw})])]))["event.raw"][0]) == {
        "bytesValue": raw
    }
