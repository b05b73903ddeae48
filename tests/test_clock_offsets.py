"""Clock offsets: the interval of each pair of hosts, against shifted clocks that are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_traces import draw, frame, id_of, trace_of

import traceanalytics as ta
from traceanalytics.analysis.clock_offsets import clock_offsets
from traceanalytics.errors import SchemaError

COLUMNS = ["caller_host", "callee_host", "pairs", "offset_low_ms", "offset_high_ms", "estimate_ms", "consistent"]
CALL = "c web 0-100 CLIENT\n  s cart {}-{} SERVER"


def rows(spans):
    """Rows as lists, None for a missing estimate."""
    made = clock_offsets(spans).astype(object)
    return made.where(made.notna(), None).to_numpy().tolist()


@pytest.mark.parametrize(
    ("begin", "end", "low", "high", "estimate"),
    [
        (20, 80, -20, 20, 0),
        (0, 100, 0, 0, 0),
        (20, 105, 5, 20, 5),
        (-5, 60, -40, -5, -5),
        (-5, 105, 5, -5, None),
    ],
)
def test_one_call(begin, end, low, high, estimate):
    assert rows(draw(CALL.format(begin, end))) == [["web", "cart", 1, low, high, estimate, estimate is not None]]


def test_calls_are_intersected():
    spans = draw(CALL.format(20, 105), CALL.format(8, 100.5), CALL.format(30, 90))
    assert rows(spans) == [["web", "cart", 3, 5, 8, 5, True]]
    assert rows(draw(CALL.format(20, 105), CALL.format(3, 60))) == [["web", "cart", 2, 5, 3, None, False]]


def test_what_is_no_pair_of_hosts():
    for text in (
        "c web 0-9 CLIENT\n  s web 1-8 SERVER",  # one host
        "c web 0-9 CLIENT\n  s - 1-8 SERVER",  # an unknown one
        "c web 0-9 INTERNAL\n  s cart 1-8 SERVER",
        "c web 0-9 PRODUCER\n  s cart 1-8 CONSUMER",
        "c web 0-? CLIENT\n  s cart 1-8 SERVER",
        "c web 0-9 CLIENT\n  s cart ?-? SERVER",
        "c web 0-9 CLIENT\n  s cart 1-8 CLIENT",
        "c web 0-9 CLIENT ERROR\n  s cart 1-80 SERVER",  # gave up
        "s cart 1-80 SERVER parent=lost",
    ):
        assert rows(draw(text)) == []
    assert len(rows(draw("c web 0-9 CLIENT\n  s cart 1-8 SERVER ERROR"))) == 1


def test_a_server_that_follows_from_its_client_says_nothing_of_clocks():
    spans = draw(CALL.format(20, 500))
    link = f'[{{"trace_id":"{trace_of(0)}","span_id":"{id_of("c")}","attributes":{{"opentracing.ref_type":"follows_from"}}}}]'
    assert len(rows(spans)) == 1
    assert rows(spans.assign(links=pd.array([None, link], dtype="str"))) == []


def test_a_duplicate_is_no_second_call():
    assert rows(draw("c web 0-9 CLIENT\n  s cart 1-8 SERVER\n  s cart 1-7 SERVER")) == [
        ["web", "cart", 1, -1, 1, 0, True]
    ]


@pytest.mark.parametrize("key", ["host.name", "k8s.node.name", "k8s.pod.name", "service.instance.id"])
def test_hosts(key):
    spans = draw(CALL.format(20, 105), CALL.format(-3, 60)).assign(**{f"resource.{key}": ["a", "b", "a", None]})
    # Where nothing names the host, the service does.
    assert rows(spans) == [["a", "b", 1, 5, 20, 5, True], ["a", "cart", 1, -40, -3, -3, True]]
    assert rows(spans.assign(**{f"resource.{key}": "a"})) == []
    better = spans.assign(**{"resource.host.name": "one"}) if key != "host.name" else spans.assign(service="x")
    assert len(rows(better)) == (0 if key != "host.name" else 2)


def test_both_directions_are_pairs_of_their_own():
    spans = draw(CALL.format(20, 105), "c cart 0-100 CLIENT\n  s web 20-80 SERVER")
    assert [row[:2] for row in rows(spans)] == [["cart", "web"], ["web", "cart"]]


def test_types_and_an_empty_frame():
    empty, some = clock_offsets(draw()), clock_offsets(draw(CALL.format(1, 2) + "\n  t mail 0-1"))
    assert list(some["caller_host"].cat.categories) == ["web"]
    assert list(some["callee_host"].cat.categories) == ["cart"]
    assert list(empty.columns) == list(some.columns) == COLUMNS
    assert [str(t) for t in empty.dtypes] == [str(t) for t in some.dtypes]
    assert [str(t) for t in some.dtypes] == ["category"] * 2 + ["int64"] + ["float64"] * 3 + ["bool"]
    with pytest.raises(SchemaError, match="lacks the column"):
        clock_offsets(draw().drop(columns="duration_ms"))


@given(
    st.integers(-(10**7), 10**7),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_the_interval_holds_the_true_offset(offset, calls, random):
    spans_of = []
    for number, (before, length, after) in enumerate(calls):
        start = 1_760_000_000_000_000_000 + number * 10**9
        both = {"trace_id": trace_of(number), "status": "UNSET", "name": "x"}
        client = {"span_id": id_of("c"), "kind": "CLIENT", "service": "web", "start_ns": start}
        server = {"span_id": id_of("s"), "parent_span_id": id_of("c"), "kind": "SERVER", "service": "cart"}
        spans_of.append(both | client | {"duration_ns": before + length + after})
        spans_of.append(both | server | {"start_ns": start + before + offset, "duration_ns": length})
    random.shuffle(spans_of)
    found = clock_offsets(frame(spans_of)).iloc[0]
    low, high = (round(found[name] * 1e6) for name in ("offset_low_ms", "offset_high_ms"))
    assert found["consistent"]
    assert low <= offset <= high
    assert low == offset - min(after for _, _, after in calls)
    assert high == offset + min(before for before, _, _ in calls)
    assert low <= round(found["estimate_ms"] * 1e6) <= high
    assert abs(round(found["estimate_ms"] * 1e6)) == max(0, low, -high)


def test_hotel_reservation(shared):
    # Offset by run of load: the frontend's clock is off by -3.0 to +1.5 ms against search and reservation.
    spans = ta.conform(pd.read_parquet(shared / "datasets" / "deathstar_traceweaver" / "hotel.parquet"))
    spans["resource.host.name"] = spans["span.process.hostname"]
    whole = clock_offsets(spans)
    assert not whole["consistent"].all()  # every run has an offset of its own
    seen = []
    for _, run in spans.groupby("span.dataset.load", observed=True):
        found = clock_offsets(run)
        ours = found[found["caller_host"].str.startswith("frontend-")]
        middle = (ours["offset_low_ms"] + ours["offset_high_ms"]) / 2
        assert (ours["pairs"] > 500).all()
        seen += middle.tolist()
    assert len(seen) >= 12
    assert min(seen) < -1
    assert max(seen) > 1
    assert np.abs(seen).max() < 4
