"""Exceptions grouped by type, masked message and stack."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from small_traces import EPOCH_NS, at, draw, id_of, trace_of

import traceanalytics as ta
from traceanalytics.analysis.exception_groups import exceptions
from traceanalytics.analysis.message_patterns import message_patterns
from traceanalytics.analysis.stack_traces import stack_hashes
from traceanalytics.errors import OptionError, SchemaError

PYTHON = """Traceback (most recent call last):
  File "/app/web.py", line {0}, in handle
    return load({0})
  File "/app/db.py", line {1}, in load
    raise KeyError(key)
KeyError: 'user {0}'
"""
JAVA = """java.lang.IllegalStateException: order {0}
\tat shop.Orders$$Lambda${1}/0x00007f{1}.pay(Orders.java:{0})
\tat shop.Web.handle(Web.java:{1})
Caused by: java.io.IOException: pipe {0}
\t... 12 more
"""
GO = """goroutine {0} [running]:
main.(*Server).pay(0xc000{0}, 0x1)
\t/src/pay.go:{1} +0x1d
"""
JAVASCRIPT = """TypeError: order {0}
    at pay (/app/pay.js:{0}:{1})
    at async handle (/app/web.js:{1}:3)
"""
DOTNET = """System.TimeoutException: {0}
   at Shop.Pay.Run(Int32 id) in /src/Pay.cs:line {1}
"""
STACKS = {"python": PYTHON, "java": JAVA, "go": GO, "javascript": JAVASCRIPT, "dotnet": DOTNET}


def event(kind=None, text=None, *, ms=0, name="exception", **more):
    said = {"exception.type": kind, "exception.message": text} | more
    return {
        "time": EPOCH_NS + round(ms * 1e6),
        "name": name,
        "attributes": {key: value for key, value in said.items() if value is not None},
    }


def with_events(spans, *cells):
    texts = [json.dumps(cell, separators=(",", ":")) if cell else None for cell in cells]
    return spans.assign(events=pd.array(texts, dtype="str"))


def two_traces():
    return draw("a web 0-100\n  b cart 10-50", "c web 0-100")


def test_groups():
    spans = with_events(
        two_traces(),
        [event("KeyError", "user 17 is gone", ms=30, **{"exception.escaped": True})],
        [event("KeyError", "user 4 is gone", ms=20, **{"exception.escaped": False}), event("IOError", "disk", ms=21)],
        [event("KeyError", "user 99 is gone", ms=25)],
    )
    found = exceptions(spans)
    assert found["type"].tolist() == ["KeyError", "IOError"]
    first = found.iloc[0]
    assert first["message"] == "user <number> is gone"
    assert first["example_message"] == "user 4 is gone"
    assert first[["count", "spans", "traces", "services"]].tolist() == [3, 3, 2, 2]
    assert (first["first_time"], first["last_time"]) == (at(20), at(30))
    assert (first["example_trace_id"], first["example_span_id"], first["example_service"]) == (
        trace_of(0),
        id_of("b"),
        "cart",
    )
    assert first["escaped_share"] == 0.5
    assert np.isnan(found.iloc[1]["escaped_share"])
    assert pd.isna(first["stack_hash"])


def test_one_span_may_record_it_twice():
    spans = with_events(draw("a web 0-100"), [event("E", "x", ms=2), event("E", "x", ms=1)])
    assert exceptions(spans).iloc[0][["count", "spans", "traces"]].tolist() == [2, 1, 1]


def test_what_counts_as_an_exception():
    spans = with_events(
        draw("a web 0-100"),
        [
            event("E1"),
            event(None, "m1"),
            event(None, None),
            event(None, "m2", name="log"),
            event(name="error", **{"error.kind": "E2", "message": "m3", "stack": "s"}),
            event(None, "m4", name="error"),
            event(name="error", message="m5"),
            event(name="note", message="no exception"),
        ],
    )
    found = exceptions(spans)
    pairs = set(zip(found["type"].astype("str").fillna("-"), found["message"].astype("str").fillna("-"), strict=True))
    assert pairs == {("E1", "-"), ("-", "m1"), ("-", "-"), ("-", "m2"), ("E2", "m3"), ("-", "m4"), ("-", "m5")}
    assert found["count"].sum() == 7


def test_no_exceptions():
    spans = with_events(two_traces(), None, [event(name="message", error="x")], None)
    full = exceptions(with_events(two_traces(), [event("E", "m")], None, None))
    for none in (exceptions(spans), exceptions(spans.iloc[:0]), exceptions(two_traces())):
        assert none.empty
        assert list(none) == list(full)
        assert none.dtypes.astype("str").equals(full.dtypes.astype("str"))


def test_duplicates_are_left_out_and_a_missing_service_is_none():
    spans = with_events(draw("a - 0-100"), [event("E", "m")])
    found = exceptions(pd.concat([spans, spans], ignore_index=True))
    assert found[["count", "services"]].to_numpy().tolist() == [[1, 0]]


def test_missing_times():
    cell = '[{"name":"exception","attributes":{"exception.type":"E"}}]'
    found = exceptions(draw("a web ?-?").assign(events=cell))
    assert found["first_time"].isna().all()
    assert found["example_span_id"].tolist() == [id_of("a")]


def test_weights():
    spans = with_events(
        two_traces(),
        [event("E", "m", **{"exception.escaped": True})],
        None,
        [event("E", "m", **{"exception.escaped": False})],
    )
    plain = exceptions(spans)
    pd.testing.assert_frame_equal(exceptions(spans.assign(w=1), weights="w"), plain)
    double = exceptions(spans.assign(w=2), weights="w")
    totals = ["count", "spans", "traces"]
    pd.testing.assert_frame_equal(double[totals], 2 * plain[totals])
    pd.testing.assert_frame_equal(double.drop(columns=totals), plain.drop(columns=totals))
    uneven = exceptions(spans, weights=pd.Series([3.0, 3.0, 1.0], spans.index)).iloc[0]
    assert uneven[["count", "escaped_share"]].tolist() == [4.0, 0.75]
    with pytest.raises(OptionError, match="is no column"):
        exceptions(spans, weights="v")


def test_order_and_labels_of_rows_do_not_matter():
    rng = np.random.default_rng(4)
    spans = draw(*["a web 0-100\n  b cart 10-50\n  c db 20-30"] * 30)
    cells = [
        [
            event(f"E{rng.integers(3)}", f"item {rng.integers(99)}", ms=int(rng.integers(5)))
            for _ in range(rng.integers(3))
        ]
        for _ in range(len(spans))
    ]
    spans = with_events(spans, *cells)
    expected = exceptions(spans)
    assert expected["count"].sum() == sum(map(len, cells))
    other = spans.sample(frac=1, random_state=1).set_axis([f"r{i}" for i in range(len(spans))])
    pd.testing.assert_frame_equal(exceptions(other), expected, check_categorical=False)
    before = spans.copy(deep=True)
    exceptions(spans)
    pd.testing.assert_frame_equal(spans, before)


def test_broken_cells_are_named():
    with pytest.raises(SchemaError, match="span at index 0"):
        exceptions(draw("a web 0-100").assign(events='[{"exception'))
    with pytest.raises(SchemaError, match="lacks the column 'events'"):
        exceptions(draw("a web 0-100").drop(columns="events"))


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("took 3.5s of 1,000 ms at 12:30:01", "took <number>s of <number> ms at <number>"),
        ("dial tcp 10.0.0.7:443: refused", "dial tcp <number>: refused"),
        ("user 4bf92f35-77b3-4da6-a3ce-929d0e0e4736 not found", "user <id> not found"),
        ("trace 4bf92f3577b34da6a3ce929d0e0e4736 at 0x7ffe", "trace <number> at <number>"),
        ("'ann'", "<text>"),
        ("can't open 'a b' and won't", "can't open <text> and won't"),
        ('key "a \\" b" of `t`', "key <text> of <text>"),
        ("open /srv/a.db: no such file", "open <path>: no such file"),
        ("open C:\\data\\a.db failed", "open <path> failed"),
        ("GET http://a.b/c?d=1 failed, and/or not", "GET <url> failed, and/or not"),
        ("utf8 v2 pod-12", "utf8 v2 pod-<number>"),
        ("  two\n lines ", "two lines"),
        ("größe 5", "größe <number>"),
        ("", ""),
    ],
)
def test_masking(message, pattern):
    assert message_patterns(pd.Series([message], dtype="str")).to_pylist() == [pattern]


def test_long_messages_are_cut():
    assert message_patterns(pd.Series(["x" * 5000])).to_pylist() == ["x" * 1000]


@pytest.mark.parametrize("language", STACKS)
def test_stacks_that_differ_in_places_only_are_one(language):
    text = STACKS[language]
    one, two, other = (
        text.format(11, 222),
        text.format(3, 44),
        text.format(11, 222).replace("pay", "buy").replace("load", "buy").replace("Pay", "Buy"),
    )
    hashes = stack_hashes(pd.Series([one, two, other, None, "  \n"]))
    assert hashes[0] == hashes[1] != hashes[2]
    assert hashes.isna().tolist() == [False, False, False, True, True]
    assert stack_hashes(pd.Series([two]))[0] == hashes[0]  # whatever else is in the frame


def test_the_innermost_five_frames_count():
    java = "E\n" + "".join(f"\tat a.m{c}(A.java:1)\n" for c in "abcdefg")
    python = "Traceback\n" + "".join(f'  File "a.py", line 1, in m{c}\n    x\n' for c in "abcdefg")
    hashes = stack_hashes(
        pd.Series(
            [
                java,
                java.replace("mf", "x"),
                java.replace("mb", "x"),
                python,
                python.replace("mb", "x"),
                python.replace("mf", "x"),
            ]
        )
    )
    assert hashes[0] == hashes[1] != hashes[2]
    assert hashes[3] == hashes[4] != hashes[5]


def test_stacks_without_known_frames():
    hashes = stack_hashes(pd.Series(["one 1\ntwo", "one 2\ntwo", "one 1\nthree"]))
    assert hashes[0] == hashes[1] != hashes[2]


def test_stacks_tell_groups_apart():
    cells = [
        [event("E", "m", **{"exception.stacktrace": text.format(n, n + 1)})]
        for n, text in ((1, JAVA), (2, JAVA), (3, GO))
    ]
    found = exceptions(with_events(two_traces(), *cells))
    assert found["count"].tolist() == [2, 1]
    assert found["stack_hash"].nunique() == 2


OTEL_DEMO = (
    "otlp_json/oteldemo_collector_file_exporter_mixed.jsonl",
    "otlp_proto/oteldemo_file_exporter_proto_framing.bin",
    "jaeger_json/oteldemo_via_jaeger_2.20.0_api_traces.json",
)


@pytest.mark.parametrize("file", OTEL_DEMO)
def test_real_traces_give_the_same_in_every_format(corpus, file):
    spans = ta.read(corpus / file)
    found = exceptions(spans)
    assert found["count"].sum() == ta.events(spans)["name"].isin(["exception", "error"]).sum() == 43
    assert len(found) == 9
    assert found["type"].iloc[0] == "ConnectionError"
    assert found["message"].iloc[0].startswith("HTTPConnectionPool(host=<text>, port=<number>): Max retries")
    assert (found["spans"] <= found["count"]).all()
    assert (found["traces"] <= found["spans"]).all()
    assert (found["first_time"] <= found["last_time"]).all()
    columns = ["type", "message", "stack_hash", "count", "traces"]
    other = exceptions(ta.read(corpus / OTEL_DEMO[0]))
    pd.testing.assert_frame_equal(found[columns].astype("str"), other[columns].astype("str"))
