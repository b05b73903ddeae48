"""``diagnose``: every rule by a trace that has the finding and one that has not; real traces, weights, any frame."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_traces import draw, frame, id_of, random_rows, trace_of
from strategies import span_frames

import traceanalytics as ta
from traceanalytics.analysis.quality import diagnose
from traceanalytics.analysis.quality_rules import RULES
from traceanalytics.errors import OptionError, SchemaError
from traceanalytics.kernels import forced

CLEAN = """
    root  web   0-100.5  SERVER
      auth  web  1.25-9
      call  web  10.25-60  CLIENT
        cart  cart  12.5-55  SERVER
          calc  cart  13.25-30
          send  cart  40.25-41  PRODUCER
            work  mail  70.25-300  CONSUMER
      pay   web  61.25-99  CLIENT
        bank  bank  62.5-98  SERVER
"""
COLUMNS = ["rule", "severity", "service", "count", "unit", "share", "examples", "meaning", "advice"]


def many(text, number):
    """The same picture in so many traces."""
    return draw(*[text] * number)


def late(text, number):
    """As ``many``, each trace starting 1 s and 1.25 ms after the one before it."""
    spans = many(text, number)
    spans["start_time"] += pd.to_timedelta(spans["trace_id"].cat.codes.astype("int64") * 1_001_250_000, unit="ns")
    return spans


def found(spans, rule):
    """``{service: count}`` of a rule."""
    rows = diagnose(spans)
    rows = rows[rows["rule"] == rule]
    return dict(zip(rows["service"].astype(object).where(rows["service"].notna(), None), rows["count"], strict=True))


def without_peers(column, *texts):
    """Draw with an attribute column whose values stand in the pictures as ``scope_name=``."""
    spans = draw(*texts)
    spans[column] = spans["scope_name"].astype("str")
    return spans


PICTURES = {
    "cycles": ("a web 0-9 parent=b\nb web 1-2 parent=a", {"web": 1}, "b web 0-9\n  a web 1-2"),
    "self_parents": ("a web 0-9 parent=a", {"web": 1}, "a web 0-9"),
    "duplicates": (
        "a web 0-9\n  b db 1-2.5\n  b db 1-2",
        {"db": 1},
        "a web 0-9\n  b db 1-2.5\n  b db 2-3.5",  # another start: another span
    ),
    "ambiguous_parents": (
        "a web 0-9\n  b db 1-8\n  b db 2-3.5\n  c db 3-4 parent=b",
        {"db": 1},
        "a web 0-9\n  b db 1-8\n    c db 3-4",
    ),
    "orphans": (
        "a web 0-9\n  b db 1-2 parent=lost\n  c db 1-2 parent=gone",
        {"db": 2},
        "a web 0-9 parent=lost\n  b db 1-2\nc db 1-2 parent=gone",  # truncated_traces says so
    ),
    "traces_without_root": (
        "a web 0-9 parent=lost\n  b db 1-2",
        {"web": 1},
        "a web 0-9 parent=lost\nb db 1-2 parent=gone",  # in two pieces: truncated_traces says so
    ),
    "truncated_traces": (
        "a web 0-9 parent=lost\nb db 1-2 parent=gone",
        {"web": 1},
        "a web 0-9 parent=lost\n  b db 1-2",  # one piece
    ),
    "several_roots": ("a web 0-9\nb web 20-24", {"web": 1}, "a web 0-9\nb web 20-24 parent=lost"),
    "negative_durations": ("a web 0-9\n  b db 5-4", {"db": 1}, "a web 0-9\n  b db 5-5"),
    "untimed_spans": ("a web 0-9\n  b db 5-?\n  c db ?-?", {"db": 2}, "a web 0-9\n  b db 5-6"),
    "begins_before_parent": ("a web 5-9\n  b db 3.9-8", {"db": 1}, "a web 5-9\n  b db 4-8"),
    "begins_slightly_before_parent": ("a web 5-9\n  b db 4-8", {"db": 1}, "a web 5-9\n  b db 3.9-8\n  c db 5-8"),
    "ends_after_parent": ("a web 0-9\n  b db 1-10.1", {"db": 1}, "a web 0-9\n  b db 1-10\n  c db 10-20"),
    "ends_slightly_after_parent": (
        "a web 0-9\n  b db 1-9.5",
        {"db": 1},
        "a web 0-9\n  b db 1-10.1\n  c db 9.1-9.2\n  d db 1-9",
    ),
    "begins_after_parent_ended": ("a web 0-9\n  b db 9.1-20", {"db": 1}, "a web 0-9\n  b db 9-20"),
    "missing_services": ("a - 0-9\n  b db 1-2", {None: 1}, "a web 0-9\n  b db 1-2"),
    "local_kinds_across_services": (
        "a web 0-9\n  b db 1-2\n  c db 1-2 UNSPECIFIED",
        {"db": 2},
        "a web 0-9\n  b db 1-2 SERVER\n  c web 1-2\n  d - 1-2",
    ),
    "missing_servers": (
        "a web 0-9\n  b db 1-2 CLIENT\n  c db 1-2 PRODUCER",
        {"db": 2},
        "a web 0-9\n  b db 1-2 SERVER\n    c db 1-2 CLIENT",
    ),
    "inner_servers": (
        "a web 0-9 SERVER\n  b web 1-8 SERVER\n    c web 2-7\n      d web 3-4 SERVER",
        {"web": 2},
        "a web 0-9 SERVER\n  b web 1-8 CLIENT\n    c web 2-7 SERVER",
    ),
    "client_chains": (
        "a web 0-9 CLIENT\n  b web 1-8 CLIENT",
        {"web": 1},
        "a web 0-9 CLIENT\n  b db 1-8 CLIENT\n    c db 1-2\n      d db 1-2 CLIENT",
    ),
    "enclosed_siblings": (
        "r web 0-100 SERVER\n  filter web 10-90\n  get web 10.5-85 CLIENT",
        {"web": 1},
        "r web 0-100 SERVER\n  one web 10-90 CLIENT\n  two web 10.5-85 CLIENT\n  small web 20-30",
    ),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("rule", PICTURES)
def test_rules_by_pictures(rule, compiled):
    bad, expected, good = PICTURES[rule]
    with forced(compiled):
        assert found(draw(bad), rule) == expected
        assert found(draw(good), rule) == {}


def test_every_rule_is_tested():
    text = Path(__file__).read_text()
    assert [rule.name for rule in RULES if f'"{rule.name}"' not in text] == []
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_every_rule_is_documented_and_says_what_to_do():
    for rule in RULES:
        assert rule.meaning.endswith(".")
        assert rule.advice.endswith(".")
    named = diagnose.__doc__.replace("both with ``slightly``", "slightly").replace("both with ``slight``", "slight")
    slight = {
        "begins_slightly_before_parent",
        "ends_slightly_after_parent",
        "slight_clock_offset",
        "slight_clock_drift",
    }
    assert [rule.name for rule in RULES if f"``{rule.name}``" not in named and rule.name not in slight] == []


# -- a clean trace


def test_a_clean_trace_has_no_finding():
    for spans in (draw(CLEAN), late(CLEAN, 30)):
        assert diagnose(spans)["rule"].tolist() == []


def test_the_checkout_sample():
    # The card company's spans are not there, and that is all there is to say.
    spans = ta.read(Path(__file__).parents[1] / "data" / "checkout.otlp.json")
    rows = diagnose(spans)
    assert rows[["rule", "severity", "service"]].astype(str).to_numpy().tolist() == [
        ["silent_peers", "info", "payment"]
    ]
    assert rows["meaning"][0].endswith("They call api.stripe.com.")


# -- rules that need more than a picture


def test_missing_ids():
    spans = frame(
        [{"trace_id": None, "span_id": id_of("a"), "service": "web"}, {"trace_id": trace_of(0), "service": "db"}]
    )
    assert found(spans, "missing_ids") == {"db": 1, "web": 1}
    assert found(draw(CLEAN), "missing_ids") == {}


def test_missing_callers_take_half_of_the_calls():
    lost, whole = "a cart 0-9 SERVER parent=lost", "r web 0-20 CLIENT\n  a cart 0-9 SERVER"
    assert found(draw(lost, lost, whole, whole), "missing_callers") == {"cart": 2}
    assert found(draw(lost, lost, whole, whole, whole), "missing_callers") == {}
    assert found(draw(lost, lost), "missing_callers") == {}  # too few
    assert found(draw(*["a cart 0-9 SERVER"] * 4), "missing_callers") == {}  # requests from outside


def test_span_limit():
    lines = ["r web 0-100", *[f"  s{at} web {at}-{at + 1}" for at in range(8)], "o web 50-51 parent=lost"]
    cut, small = "\n".join(lines), "r web 0-100"
    spans = draw(cut, cut, cut, small)
    assert found(spans, "span_limit") == {"web": 3}
    assert "The limit is 10 spans." in diagnose(spans).query("rule == 'span_limit'")["meaning"].item()
    assert found(draw(cut, cut, small), "span_limit") == {}  # two are no pattern
    assert found(draw(cut, cut, cut), "span_limit") == {}  # one shape only: nothing was cut at a number
    whole = "\n".join([*lines[:-1], "  o web 50-51"])
    assert found(draw(cut, cut, cut, whole, whole, whole, whole, small), "span_limit") == {}


def _in_time(*texts):
    spans = draw(*texts)
    spans["start_time"] += pd.to_timedelta(spans["trace_id"].cat.codes.astype("int64") * 10, unit="ms")
    return spans


def test_time_cut():
    whole, torn = "r web 0-100", "r web 0-100 parent=lost"
    assert found(_in_time(*[torn] * 8, *[whole] * 30), "time_cut") == {"web": 8}
    assert found(_in_time(*[whole] * 20, *[torn] * 8, *[whole] * 10), "time_cut") == {}  # in the middle
    assert found(_in_time(*[torn] * 8, *[torn, whole] * 15), "time_cut") == {}  # everywhere
    assert found(_in_time(*[torn] * 8, *[whole] * 5), "time_cut") == {}  # too few


def test_parallel_work_is_enclosed_by_chance_only():
    by_chance = "r web 0-100 SERVER\n  one web 10-90\n  two web 10-80"
    other = "r web 0-100 SERVER\n  one web 10-80\n  two web 15-95"
    assert found(draw(by_chance, other), "enclosed_siblings") == {"web": 1}
    assert found(draw(by_chance, other, other), "enclosed_siblings") == {}


def test_enclosed_siblings_far_apart_in_order_and_around_the_one_before():
    far = "r web 0-100 SERVER\n  filter web 0-100\n  a web 1-2 CLIENT\n  b web 3-4 CLIENT\n  get web 5-95 CLIENT"
    assert found(draw(far), "enclosed_siblings") == {"web": 1}
    around = "r web 0-100 SERVER\n  get web 10-60 CLIENT\n  filter web 10.5-65"
    assert found(draw(around), "enclosed_siblings") == {"web": 1}
    either = "r web 0-100 SERVER\n  one web 10-60\n  two web 10.5-60.2"
    assert found(draw(either), "enclosed_siblings") == {"web": 1}  # not both
    short = "r web 0-100 SERVER\n  filter web 10-90\n  get web 20-59 CLIENT"
    assert found(draw(short), "enclosed_siblings") == {}
    children = "r web 0-100 SERVER\n  filter web 10-90\n    get web 20-80 CLIENT"
    assert found(draw(children), "enclosed_siblings") == {}


def test_zero_durations_need_a_fifth_of_twenty():
    some = "\n".join(
        ["r web 0-100", *[f"  z{at} db {at}-{at}" for at in range(4)], *[f"  s{at} db {at}-90" for at in range(16)]]
    )
    assert found(draw(some), "zero_durations") == {"db": 4}
    assert found(draw(some + "\n  more db 3-4"), "zero_durations") == {}
    assert found(draw("\n".join(some.splitlines()[:-1])), "zero_durations") == {}


def test_millisecond_times():
    text = "\n".join(["r web 0.5-100", *[f"  s{at} db {at}-90.5" for at in range(20)]])
    assert found(draw(text), "millisecond_times") == {"db": 20}
    assert found(draw(text + "\n  x db 3.5-4\n  y db 4.5-5"), "millisecond_times") == {}
    assert found(draw("\n".join(text.splitlines()[:-1])), "millisecond_times") == {}


CALL = "c web 0-100 CLIENT\n  s cart {}-{} SERVER"


@pytest.mark.parametrize(
    ("begin", "end", "rule"),
    [
        (20, 105, "clock_offset"),
        (-5, 60, "clock_offset"),
        (20, 100.5, "slight_clock_offset"),
        (-3, 104, "clock_drift"),
        (-0.2, 100.3, "slight_clock_drift"),
        (0, 100, None),
    ],
)
def test_clocks(begin, end, rule):
    rows = diagnose(many(CALL.format(begin, end), 3))
    rows = rows[rows["rule"].str.contains("clock")]
    assert rows["rule"].tolist() == ([rule] if rule else [])
    assert rows["service"].tolist() == (["cart"] if rule else [])
    few = diagnose(many(CALL.format(begin, end), 2))
    assert not few["rule"].str.contains("clock").any()


def test_what_is_said_of_clocks():
    spans = many(CALL.format(20, 105), 3)
    row = diagnose(spans).query("rule == 'clock_offset'").iloc[0]
    assert row["meaning"].endswith("cart is ahead of web by 5 to 20 ms.")
    assert (row["count"], row["share"]) == (3, 1)
    assert "cart is behind web by 5 to 40 ms." in " ".join(diagnose(many(CALL.format(-5, 60), 3))["meaning"])
    drift = diagnose(many(CALL.format(-3, 104), 3)).query("rule == 'clock_drift'")["meaning"].item()
    assert drift.endswith("cart would have to be ahead of web by at least 4 ms and by at most -3 ms.")
    spans = spans.assign(**{"resource.host.name": np.where(spans["service"] == "web", "node1", spans["span_id"])})
    spans.loc[spans.index[spans["service"] == "cart"][0], "resource.host.name"] = "node2"
    spans = ta.concat([spans, spans.assign(trace_id=spans["trace_id"].astype("str") + "0")])
    spans = ta.concat([spans, spans.assign(trace_id=spans["trace_id"].astype("str") + "1")])
    row = diagnose(spans).query("rule == 'clock_offset'").iloc[0]
    assert ", and 1 more pairs of hosts." in row["meaning"]


@pytest.mark.parametrize(("begin", "end", "rule"), [(200, 250, "clock_offset"), (-150, -120, "clock_offset")])
def test_clocks_explain_what_begins_after_the_end(begin, end, rule):
    late = CALL.format(begin, end)
    assert found(many(late, 3), rule) == {"cart": 3}
    assert found(many(late, 3), "begins_after_parent_ended") == {}
    few = found(many(late, 2), "begins_after_parent_ended")  # too few to know anything of clocks
    assert few == ({"cart": 2} if begin > 0 else {})
    drift = draw(late, late, CALL.format(-30, 20), CALL.format(10, 90), CALL.format(-300, -200))
    assert found(drift, "clock_drift") == {"cart": 4}
    assert found(drift, "begins_after_parent_ended") == {}
    local = draw(*[late.replace("cart", "web").replace("SERVER", "INTERNAL")] * 3)
    assert found(local, "begins_after_parent_ended") == ({"web": 3} if begin > 0 else {})
    assert found(many(late, 3), "ends_after_parent") == {}


PEERS = """
r web 0-100 SERVER
  a web 0-10 CLIENT scope_name=cart:8080
    s cart 1-9 SERVER
  b web 20-30 CLIENT scope_name=cart:8080
  c web 40-50 CLIENT scope_name=elsewhere
  d web 60-70 CLIENT
"""


@pytest.mark.parametrize(
    "column", ["span.server.address", "span.net.peer.name", "span.peer.service", "span.rpc.service"]
)
def test_unanswered_calls_and_silent_peers(column):
    spans = without_peers(column, PEERS)
    assert found(spans, "unanswered_calls") == {"cart": 1}
    assert found(spans, "silent_peers") == {"web": 1}
    rows = diagnose(spans).set_index("rule")
    assert rows.loc["unanswered_calls", "share"] == 0.5
    assert rows.loc["silent_peers", "share"] == 0.25
    assert rows.loc["silent_peers", "meaning"].endswith("They call elsewhere.")
    whole = without_peers(column, PEERS.replace("  b web 20-30 CLIENT scope_name=cart:8080\n", ""))
    assert found(whole, "unanswered_calls") == {}


def test_a_service_that_is_called_by_its_name_and_sends_spans_elsewhere():
    spans = without_peers(
        "span.service.peer.name", "r web 0-100 SERVER\n  a web 0-10 CLIENT scope_name=cart\ns cart 1-9 SERVER"
    )
    assert found(spans, "unanswered_calls") == {"cart": 1}
    assert found(spans, "silent_peers") == {}
    own = without_peers("span.service.peer.name", "r web 0-100 SERVER\n  a web 0-10 CLIENT scope_name=web")
    assert found(own, "unanswered_calls") == {}


def test_a_database_under_its_own_name_is_no_service_without_servers():
    one = "r web 0-100 SERVER\n  a redis 1-2 CLIENT\n  b redis 3-4 CLIENT scope_name=redis"
    spans = without_peers("span.service.peer.name", one)
    assert found(spans, "missing_servers") == {}
    for more in (
        "\n  c redis 5-6 CLIENT scope_name=disk",
        "\n  c redis 5-6 CLIENT\n    d redis 5-6",
        "\n  c redis 5-6 SERVER",
    ):
        spans = without_peers("span.service.peer.name", one + more)
        assert found(spans, "missing_servers") == {"redis": 2 + ("SERVER" not in more)}


def test_peers_at_home_are_told_apart_by_their_ports():
    text = "r web 0-9 SERVER\n  a web 0-1 CLIENT scope_name=80\n    s cart 0-1 SERVER\n  b web 2-3 CLIENT scope_name=81"
    spans = without_peers("span.net.peer.port", text).assign(**{"span.net.peer.name": "localhost"})
    assert found(spans, "unanswered_calls") == {}
    row = diagnose(spans).query("rule == 'silent_peers'")
    assert row["meaning"].item().endswith("They call localhost:81.")
    same = spans.assign(**{"span.net.peer.port": 80})
    assert found(same, "unanswered_calls") == {"cart": 1}


# -- calls that nobody waits for

SHARED = """
r web 0-100 SERVER
  c web 10-60 CLIENT scope_name=cart
  c cart 12-58 SERVER
    d cart 20-30 {} scope_name=db
"""


@pytest.mark.parametrize("kind", ["CLIENT", "PRODUCER", "INTERNAL", "SERVER"])
def test_halves_of_a_call_with_one_id_are_ambiguous_and_nothing_else(kind):
    spans = without_peers("span.service.peer.name", SHARED.format(kind))
    more = without_peers("span.service.peer.name", SHARED.format(kind) + "  b web 70-80 CLIENT scope_name=cart\n")
    rules = set(diagnose(spans)["rule"])
    assert rules - {"silent_peers"} == {"ambiguous_parents"}
    assert found(more, "unanswered_calls") == {"cart": 1}
    share = diagnose(more).set_index("rule").loc["unanswered_calls", "share"]
    assert share == (0.5 if kind == "SERVER" else 1)
    pd.testing.assert_frame_equal(diagnose(more.iloc[::-1]), diagnose(more))


def test_a_half_without_a_kind_that_shares_its_id_is_no_local_span():
    text = "r web 0-100 SERVER\n  c web 10-60 CLIENT\n  c cart 12-58\n  d cart 70-80"
    row = diagnose(draw(text)).query("rule == 'local_kinds_across_services'")
    assert row[["service", "count", "share"]].to_numpy().tolist() == [["cart", 1, 1]]


HEDGE = """
r web 0-100 SERVER
  a web 10-60 CLIENT scope_name=cart
    s cart 12-58 SERVER
  {} scope_name=cart
"""


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ("a2 web 40-60 CLIENT name=a", {}),
        ("a2 web 5-62 CLIENT name=a", {}),  # the first one lost
        ("a2 web 40-70 CLIENT name=a", {"cart": 1}),  # it went on, and was not answered then either
        ("a2 web 60-60.5 CLIENT name=a", {"cart": 1}),  # begun when the answer had come
        ("a2 web 40-60 CLIENT name=b", {"cart": 1}),
        ("a2 web 40-60 CLIENT name=a parent=none", {"cart": 1}),
        ("a2 web 70-80 CLIENT name=a ERROR status_message=cancelled", {}),
        ("a2 web 70-80 CLIENT name=a ERROR status_message=refused", {"cart": 1}),
        ("a2 web 70-? CLIENT name=a", {"cart": 1}),
    ],
)
def test_cancelled_calls_and_hedges_are_not_unanswered(second, expected):
    spans = without_peers("span.server.address", HEDGE.format(second))
    assert found(spans, "unanswered_calls") == found(spans.iloc[::-1], "unanswered_calls") == expected


def test_a_cancelled_call_says_nothing_of_those_that_are_answered():
    text = HEDGE.format("a2 web 70-80 CLIENT name=a") + "  a3 web 70-80 CLIENT name=a ERROR scope_name=cart\n"
    spans = without_peers("span.server.address", text).assign(**{"span.rpc.grpc.status_code": [None] * 4 + [1]})
    assert diagnose(spans).set_index("rule").loc["unanswered_calls", "share"] == 0.5


def test_a_healthy_shop_hedges_and_answers_every_call():
    spans, truth = ta.simulate.Shop(5).run(400)
    assert (truth.groups["group_kind"] == "hedge").any()
    assert found(spans, "unanswered_calls") == found(spans, "context_lost") == {}


# -- contexts that are lost

CALL_TO_CART = "r web 0-100 SERVER\n  c web 1-90 CLIENT scope_name=cart"


def side_by_side(number, *texts):
    """So many times these traces, all at once; each time 10 s later."""
    spans = without_peers("span.service.peer.name", *texts * number)
    turn = spans["trace_id"].cat.codes.astype("int64") // len(texts)
    spans["start_time"] += pd.to_timedelta(turn * 10_000_000_000, unit="ns")
    return spans


def test_context_lost():
    spans = side_by_side(3, CALL_TO_CART, "s cart 5-80 SERVER")
    rows = diagnose(spans).query("rule == 'context_lost'")
    assert rows[["service", "count", "share"]].to_numpy().tolist() == [["cart", 3, 1]]
    calls = f"call {id_of('c')} and span {id_of('s')}"
    assert rows["meaning"].item().endswith(f"So it is for 3 of 3 unanswered calls, as {calls}.")
    pd.testing.assert_frame_equal(diagnose(spans.iloc[::-1]), diagnose(spans))
    assert found(side_by_side(3, CALL_TO_CART, "s cart 0.1-90.9 SERVER"), "context_lost") == {
        "cart": 3
    }  # clocks differ
    assert found(side_by_side(2, CALL_TO_CART, "s cart 5-80 SERVER"), "context_lost") == {}  # too few


@pytest.mark.parametrize(
    "texts",
    [
        (CALL_TO_CART, "s cart 5-92 SERVER"),
        (CALL_TO_CART, "s cart -1-80 SERVER"),
        (CALL_TO_CART, "s cart 5-? SERVER"),
        (CALL_TO_CART, "s cart 5-80"),
        (CALL_TO_CART, "s cart 5-80 SERVER parent=lost"),
        (CALL_TO_CART, "s mail 5-80 SERVER"),
        (CALL_TO_CART + "\n    x web 5-6", "s cart 5-80 SERVER"),
        (CALL_TO_CART + "\n    x cart 5-6 SERVER", "s cart 5-80 SERVER"),
        (CALL_TO_CART + "\ns cart 5-80 SERVER",),  # lost within the trace: several_roots
        (CALL_TO_CART, "s cart 5-80 SERVER", "s cart 95-170 SERVER"),  # chance: so it is after the calls
        (CALL_TO_CART, "s cart 5-80 SERVER", *[CALL_TO_CART.replace("1-90", "93-94")] * 3),  # most calls hold none
    ],
)
def test_no_context_was_lost(texts):
    spans = side_by_side(4, *texts)
    assert (spans["kind"] == "CLIENT").sum() >= 4
    assert found(spans, "context_lost") == {}


def test_a_call_is_answered_once():
    spans = side_by_side(3, CALL_TO_CART, "s cart 5-80 SERVER", "s cart 6-30 SERVER")
    assert found(spans, "context_lost") == {"cart": 3}
    both = side_by_side(
        3, CALL_TO_CART, CALL_TO_CART.replace("1-90", "4-20"), "s cart 2-80 SERVER", "s cart 6-15 SERVER"
    )
    assert found(both, "context_lost") == {"cart": 6}


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_dropped_headers_of_the_shop(share):
    fault = ta.simulate.DroppedHeaders(("frontend", "recommendation"), share=share)
    spans = ta.simulate.Shop(7).run(300, faults=[fault])[0]
    roots = (spans["service"] == "recommendation") & (spans["kind"] == "SERVER") & spans["parent_span_id"].isna()
    lost = found(spans, "context_lost")
    assert list(lost) == ["recommendation"]
    assert 0.9 * roots.sum() <= lost["recommendation"] <= roots.sum()


def test_a_silent_service_lost_no_context():
    spans = ta.simulate.Shop(1).run(300, faults=[ta.simulate.SilentService("inventory", share=0.3)])[0]
    assert found(spans, "unanswered_calls").keys() == {"inventory"}
    assert found(spans, "context_lost") == {}


def test_names_of_remote_procedures_tell_the_callee():
    text = "r web 0-9 SERVER\n  a web 0-1 CLIENT name={0}\n    s cart 0-1 SERVER\n  b web 2-3 CLIENT name={0}"
    assert found(draw(text.format("/shop.Cart/Get")), "unanswered_calls") == {"cart": 1}
    assert found(draw(text.format("GET")), "unanswered_calls") == {}


def test_databases_and_brokers_need_send_no_spans():
    spans = without_peers("span.server.address", PEERS)
    for key in ("span.db.system", "span.db.type", "span.db.statement", "span.db.query.text", "span.messaging.system"):
        assert found(spans.assign(**{key: "x"}), "silent_peers") == {}


def test_many_silent_peers_are_counted():
    lines = [
        "r web 0-100 SERVER",
        *[f"  c{at} web 0-10 CLIENT scope_name=host{at}" for at in range(5)],
        "  d web 0-1 CLIENT scope_name=host4",
    ]
    row = diagnose(without_peers("span.server.address", "\n".join(lines))).iloc[0]
    assert row["rule"] == "silent_peers"
    assert row["meaning"].endswith("They call host4, host0, host1 and 2 more.")


def test_old_conventions():
    spans = draw("r web 0-9 SERVER\n  s db 1-2 SERVER\n  t db 2-3 SERVER")
    assert found(spans.assign(**{"span.http.request.method": "GET"}), "old_conventions") == {}
    old = spans.assign(
        **{"span.http.method": ["GET", "GET", None], "resource.deployment.environment": ["x", None, None]}
    )
    assert found(old, "old_conventions") == {"(all)": 2}
    old.loc[2, "service"] = None
    assert found(old, "old_conventions") == {"db": 1, "web": 1}
    text = diagnose(old).query("rule == 'old_conventions' and service == 'db'")["meaning"].item()
    assert text.endswith("Commonest: http.method (now http.request.method).")


def test_old_conventions_in_other_attributes():
    spans = draw("r web 0-9 SERVER\n  s db 1-2 SERVER\n  t db 2-3 SERVER\n  u db 2-3 SERVER")
    spans = ta.concat([spans, draw("v mail 0-1").assign(trace_id=trace_of(1))])
    cells = [
        '{"span.http.method":"GET"}',
        None,
        None,
        '{"span.note":"http.method","span.a":"\\"span.http.method\\""}',
        None,
    ]
    spans["other_attributes"] = pd.array(cells, dtype="str")
    assert found(spans, "old_conventions") == {"web": 1}
    both = spans.assign(**{"span.http.method": [None, None, "GET", None, None]})
    assert found(both, "old_conventions") == {"db": 1, "web": 1}
    assert found(spans.assign(other_attributes=pd.array([None] * 5, dtype="str")), "old_conventions") == {}


FOLLOWER = "a web 5-20\n  b db {} links={}"


@pytest.mark.parametrize("times", ["1-8", "4.5-8", "6-30", "6-20.5", "40-50"])
def test_what_follows_from_its_parent_lies_beside_it_for_good(times):
    link = '[{{"trace_id":"{}","span_id":"{}","attributes":{{"opentracing.ref_type":"{}"}}}}]'
    rules = ("begin", "end")

    def beside(span, kind):
        rows = diagnose(draw(FOLLOWER.format(times, link.format(trace_of(0), id_of(span), kind))))
        return rows["rule"].str.startswith(rules).sum()

    assert beside("a", "follows_from") == 0
    assert beside("a", "child_of") == 1
    assert beside("other", "follows_from") == 1
    assert diagnose(draw(FOLLOWER.format(times, "x")).drop(columns="links"))["rule"].str.startswith(rules).sum() == 1


# -- the frame of findings


def test_columns_and_order():
    spans = draw("a web 0-9\n  b db 5-4\n  c db 1-20\n  d db 1-20\n  e web 1-20", "r web 0-9 parent=lost")
    rows = diagnose(spans)
    assert list(rows.columns) == COLUMNS
    assert rows.index.equals(pd.RangeIndex(len(rows)))
    assert rows["severity"].is_monotonic_decreasing
    for _, part in rows.groupby("severity", observed=True):
        assert part["count"].is_monotonic_decreasing
    one = rows.query("rule == 'ends_after_parent' and service == 'db'").iloc[0]
    assert (one["count"], one["unit"], one["share"]) == (2, "spans", 2 / 3)
    assert json.loads(one["examples"]) == [id_of("c"), id_of("d")]
    assert json.loads(rows.query("unit == 'traces'")["examples"].iloc[0]) == [trace_of(1)]


@pytest.mark.parametrize(("times", "rule"), [("1-20", "ends_after_parent"), ("-5-8", "begins_before_parent")])
def test_what_is_rare_is_information(times, rule):
    def severity(calls):
        lines = ["a web 0-9", f"  x db {times}", *[f"  b{at} db 1-2" for at in range(calls - 1)]]
        return diagnose(draw("\n".join(lines))).set_index("rule").loc[rule, "severity"]

    assert severity(1000) == "warning"
    assert severity(1001) == "info"


@pytest.mark.parametrize(
    ("rule", "text", "alone", "more"),
    [
        ("millisecond_times", "\n".join(f"s{at} {{0}} {at}-90.5" for at in range(20)), 20, "s99 {0} 1.5-2"),
        ("old_conventions", "a {0} 0-9 scope_name=GET", 1, "a {0} 0-9"),
        ("local_kinds_across_services", "a x 0-9\n  b {0} 1-2", 1, "a x 0-9\n  b {0} 1-2 SERVER"),
    ],
)
def test_one_row_for_all_services(rule, text, alone, more):
    def services(*texts):
        spans = without_peers("span.http.method", *texts)
        return found(spans.iloc[::-1], rule)

    assert services(text.format("web")) == {"web": alone}
    assert services(text.format("web"), text.format("db")) == {"(all)": 2 * alone}
    assert services(text.format("web"), more.format("db")) == {"web": alone}
    # Not for what is wrong at one place, or in some.
    if rule == "local_kinds_across_services":
        assert services(text.format("web"), text.format("db"), more.format("db")) == {"db": 1, "web": 1}


def test_a_row_for_all_services_sums_them():
    spans = draw("a web 0-9 SERVER\n  b db 1-2 SERVER\n  c db 1-2 SERVER").assign(w=[2.0, 2.0, 2.0])
    spans = spans.assign(**{"span.http.method": ["GET", None, "GET"], "span.http.flavor": [None, None, "1.1"]})
    row = diagnose(spans, weights="w").query("rule == 'old_conventions'").iloc[0]
    assert (row["service"], row["count"], row["share"]) == ("(all)", 4, 2 / 3)
    assert json.loads(row["examples"]) == [id_of("a"), id_of("c")]
    names = "http.method (now http.request.method), http.flavor (now network.protocol.version)"
    assert row["meaning"].endswith(f"Commonest: {names}.")


def test_examples_are_the_five_smallest():
    lines = ["r web 0-9", *[f"  {letter} db 1-2 parent=lost" for letter in "hgfedcba"]]
    assert json.loads(diagnose(draw("\n".join(lines)))["examples"][0]) == [id_of(letter) for letter in "abcde"]


def test_nothing_found_has_the_right_types():
    empty, some = diagnose(draw()), diagnose(draw("a web 0-9 parent=lost"))
    assert list(empty.columns) == COLUMNS
    assert len(empty) == 0
    assert [str(t) for t in empty.dtypes] == [str(t) for t in some.dtypes]
    assert empty["severity"].cat.ordered
    assert list(some["rule"].cat.categories) == ["traces_without_root"]
    assert list(some["severity"].cat.categories) == ["info", "warning", "error"]  # to be compared with


def test_weights():
    spans = draw("a web 0-9\n  b db 1-20\n  c db 1-2", "a web 0-9\n  b db 1-2", "a web 0-9 parent=lost")
    plain = diagnose(spans)
    pd.testing.assert_frame_equal(diagnose(spans.assign(w=1), weights="w"), plain)
    twice = diagnose(spans.assign(w=2), weights="w")
    pd.testing.assert_frame_equal(twice.assign(count=twice["count"] / 2), plain)
    weight = spans["trace_id"].map({trace_of(0): 3.0, trace_of(1): 1.0, trace_of(2): 1.0}).astype("float64")
    row = diagnose(spans, weights=weight).query("rule == 'ends_after_parent'").iloc[0]
    assert (row["count"], row["share"]) == (3, 3 / 7)
    with pytest.raises(OptionError, match="no column of the frame"):
        diagnose(spans, weights="nothing")
    with pytest.raises(SchemaError, match="no usable weight"):
        diagnose(spans.assign(w=0), weights="w")


def test_a_frame_that_is_none_is_refused():
    with pytest.raises(SchemaError, match="lacks the column"):
        diagnose(draw(CLEAN).drop(columns="kind"))
    with pytest.raises(SchemaError, match="repeats"):
        diagnose(draw(CLEAN).set_axis([0] * 9))


@pytest.mark.parametrize("seed", range(3))
def test_neither_order_nor_index_nor_types_matter(seed):
    spans = frame(random_rows(seed, 40, unit_ns=400_000))
    spans["span.peer.service"] = spans["name"].astype("str")
    before = spans.copy()
    rows = diagnose(spans)
    assert len(rows) > 5
    pd.testing.assert_frame_equal(spans, before)
    mixed = spans.sample(frac=1, random_state=seed)
    pd.testing.assert_frame_equal(diagnose(mixed), rows)
    texts = spans.astype(dict.fromkeys(("trace_id", "name", "service", "kind", "status"), "str")).set_axis(
        range(7, 7 + len(spans))
    )
    pd.testing.assert_frame_equal(diagnose(texts), rows)
    with forced(True):
        pd.testing.assert_frame_equal(diagnose(spans), rows)


@given(span_frames(), st.randoms(use_true_random=False))
def test_any_frame(spans, random):
    rows = diagnose(spans)
    assert ((rows["share"] > 0) & (rows["share"] <= 1)).all()
    assert not rows.duplicated(["rule", "service"]).any()
    of_spans = rows["unit"] == "spans"
    assert (rows.loc[of_spans, "count"] <= len(spans)).all()
    known = set(spans["span_id"]) | set(spans["trace_id"].astype("str"))
    for text in rows["examples"]:
        assert set(json.loads(text)) <= known
    order = list(range(len(spans)))
    random.shuffle(order)
    pd.testing.assert_frame_equal(diagnose(spans.iloc[order]), rows)


# -- real traces; the figures were measured apart from this package


def real(shared, name):
    return ta.conform(pd.read_parquet(shared / "datasets" / name, dtype_backend="numpy_nullable"))


def total(rows, *rules):
    return rows.loc[rows["rule"].isin(rules), "count"].sum()


EARLY = ("begins_before_parent", "begins_slightly_before_parent")
LATE = ("ends_after_parent", "ends_slightly_after_parent", "begins_after_parent_ended")


def test_hotel_reservation(shared):
    rows = diagnose(real(shared, "deathstar_traceweaver/hotel.parquet"))
    edges = 60_000
    assert round(100 * total(rows, *EARLY) / edges, 1) == 4.9
    assert round(100 * total(rows, "begins_before_parent", "ends_after_parent") / edges, 1) == 2.8
    # 1.2 % of the spans begin after the end of their parent; the clocks, which drift, explain all of them but one.
    assert total(rows, "begins_after_parent_ended") == 1
    # 45 and 48 % of the calls of these two services stick out of their clients.
    drift = rows[rows["rule"] == "clock_drift"].set_index("service")["share"].round(2)
    assert drift.to_dict() == {"reservation": 0.48, "search": 0.45}
    assert total(rows, "orphans", "traces_without_root", "duplicates", "zero_durations") == 0


def test_media_has_no_kinds(shared):
    rows = diagnose(real(shared, "deathstar_traceweaver/media.parquet"))
    assert round(100 * total(rows, *LATE) / 169_000, 1) == 7.8
    assert total(rows, *EARLY) == 0
    kinds = rows[rows["rule"] == "local_kinds_across_services"]
    assert kinds[["service", "count", "share"]].to_numpy().tolist() == [["(all)", 84_500, 1]]
    # Five spans of all of them end more than 1 ms after their parent.
    assert total(rows, "ends_after_parent") == 5
    assert set(rows["severity"][rows["rule"] == "ends_after_parent"]) == {"info"}
    assert total(rows, "enclosed_siblings") == 0  # its calls run side by side


def test_nodejs_cuts_to_milliseconds(shared):
    rows = diagnose(real(shared, "deathstar_traceweaver/nodejs.parquet"))
    assert rows[["rule", "severity", "service", "count"]].to_numpy().tolist() == [
        ["millisecond_times", "info", "(all)", 36_000],
        ["old_conventions", "info", "(all)", 36_000],
    ]


def test_the_demo_was_truncated(shared):
    spans = real(shared, "wild_samples/opensearch_demo.parquet")
    rows = diagnose(spans)
    assert round(100 * total(rows, "traces_without_root", "truncated_traces") / 122) == 27
    # 14 % of the spans are orphans; most are in traces that lost their root, which are findings themselves.
    traces = ta.summary(spans)
    rootless = spans["parent_span_id"].notna().groupby(spans["trace_id"], observed=True).all()[traces.index]
    assert total(rows, "truncated_traces") == (rootless & (traces["orphans"] > 1)).sum() > 20
    assert total(rows, "orphans") == traces["orphans"][~rootless].sum() == 74
    assert total(rows, "several_roots") == 0
    # Redis and MySQL are no services that lost a span: their clients report under these names. Databases send no spans.
    assert total(rows, "missing_servers", "silent_peers") == 0


def test_zipkin_in_production(shared):
    spans = real(shared, "wild_samples/zipkin.parquet")
    rows = diagnose(spans)
    # Both halves of a call share their id here, so many a span has the wrong one of them as its parent.
    assert total(rows, "ambiguous_parents") > 100
    assert total(rows, "missing_servers", "local_kinds_across_services", "unanswered_calls") <= 2
    assert total(rows, "untimed_spans") >= 84
    assert total(rows, "traces_without_root") == 0
