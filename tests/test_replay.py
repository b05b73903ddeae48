"""Traces run again with changes: against a slow replay by definition, against the critical path, and on hand-drawn traces."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_traces import draw, frame, large_trace, random_rows

import traceanalytics as ta
from traceanalytics.analysis.replay import replay, run_again, slack
from traceanalytics.kernels import forced
from traceanalytics.topology import Forest

SHOP = """
    root a 0-120
      auth b 5-17
      load c 20-40
      pay  d 44-104
        scan e 48-60
      rec  f 44-64
      send a 106-112 PRODUCER
        mail g 116-146 CONSUMER
"""


def times(spans):
    """{name: (start, end)} in ms of the picture."""
    forest = Forest(spans)
    first = forest.start.min()
    return {
        name: ((start - first) // 10**6, (end - first) // 10**6)
        for name, start, end in zip(spans["name"], forest.start.tolist(), forest.end.tolist(), strict=True)
    }


def by_name(spans, **ms):
    """A change of each named span."""
    return spans["name"].astype("str").map(ms).astype("float64")


def slow_replay(spans, longer, later):
    """The model as its documentation states it, one span after the other, in ns."""
    forest = Forest(spans)
    nothing = np.zeros(len(spans), dtype=np.int64)
    awaited = run_again(spans, forest, nothing, nothing).awaited
    tree, start, end = forest.timed_tree, forest.start.tolist(), forest.end.tolist()
    children = {
        row: [r for r in forest.order.tolist() if forest.timed[r] and tree.parent[r] == row]
        for row in range(len(spans))
    }
    rank = {
        row: at
        for row in children
        for at, row in enumerate(tree.children[tree.child_offsets[row] : tree.child_offsets[row + 1]].tolist())
    }
    new_length, offset = {}, {}
    for row in reversed([r for r in forest.order.tolist() if forest.timed[r]]):
        mine = sorted(children[row], key=lambda child: rank[child])
        for child in mine:
            until = start[child] + min(later[child], 0)
            earlier = [c for c in mine if awaited[c] and rank[c] < rank[child] and end[c] <= until]
            wanted = start[child] - start[row] + later[child]
            if earlier:
                observed = max(end[c] for c in earlier) - start[row]
                wanted += max(offset[c] + new_length[c] for c in earlier) - observed
            offset[child] = max(wanted, min(start[child] - start[row], 0))
        held = [c for c in mine if awaited[c]]
        over = {c: max(0, end[c] - end[row]) for c in held}
        tail = end[row] - max([start[row]] + [end[c] - over[c] for c in held])
        new_length[row] = max([0] + [offset[c] + new_length[c] - over[c] for c in held]) + max(0, tail + longer[row])
        for child in mine:
            if not awaited[child] and start[child] >= end[row]:
                offset[child] = max(0, new_length[row] + start[child] - end[row] + later[child])
    made = {}
    for row in [r for r in forest.order.tolist() if forest.timed[r]]:
        up = tree.parent[row]
        made[row] = made[up] + offset[row] if up >= 0 else start[row] + later[row]
    return {row: (made[row], made[row] + new_length[row]) for row in made}


@pytest.mark.parametrize("seed", range(25))
def test_it_is_the_replay_by_definition(seed):
    rng = np.random.default_rng(seed)
    spans = frame(random_rows(seed, 8))
    longer, later = (np.where(rng.random(len(spans)) < 0.3, rng.integers(-25, 25, len(spans)), 0) for _ in range(2))
    forest = Forest(spans)
    expected = slow_replay(spans, longer.tolist(), later.tolist())
    for compiled in (False, True) if seed < 2 else (False,):
        with forced(compiled):
            found = run_again(spans, forest, longer, later)
        assert {row: (int(found.start[row]), int(found.end[row])) for row in expected} == expected
    changes = {"longer_ms": pd.Series(longer / 1e6, spans.index), "later_ms": pd.Series(later / 1e6, spans.index)}
    changed = Forest(replay(spans, **changes))
    rows = sorted(expected)
    assert changed.start[rows].tolist() == [expected[row][0] for row in rows]
    assert changed.end[rows].tolist() == [expected[row][1] for row in rows]


@pytest.mark.parametrize("seed", range(10))
def test_no_change_changes_nothing(seed):
    spans = frame(random_rows(seed, 20))
    pd.testing.assert_frame_equal(replay(spans), spans)
    pd.testing.assert_frame_equal(replay(spans, longer_ms=pd.Series(0.0, spans.index)), spans)


@pytest.mark.parametrize("seed", range(40))
def test_slack_is_what_can_be_added_and_no_more(seed):
    rng = np.random.default_rng(seed)
    spans = frame(random_rows(seed, 6))
    forest, free = Forest(spans), slack(spans).to_numpy()
    parent = forest.timed_tree.parent
    tops = np.flatnonzero(forest.timed & (forest.depth >= 0) & (parent < 0))
    tested = 0
    for row in rng.permutation(np.setdiff1d(np.flatnonzero(forest.timed & (forest.depth >= 0)), tops))[:8].tolist():
        top = row
        while parent[top] >= 0:
            top = parent[top]
        nanoseconds = 1000 if np.isinf(free[row]) else round(free[row] * 1e6)
        for extra, expected in ((nanoseconds, 0), (nanoseconds + 3, 0 if np.isinf(free[row]) else 3)):
            longer = np.zeros(len(spans), dtype=np.int64)
            longer[row] = extra
            found = run_again(spans, forest, longer, np.zeros_like(longer))
            assert found.end[top] - forest.end[top] == expected
            tested += 1
    assert tested


@given(seed=st.integers(0, 10**6))
def test_what_is_on_the_critical_path_of_nested_spans_has_no_slack(seed):
    rng = np.random.default_rng(seed)
    rows = [{"span_id": f"{1:016x}", "parent": None, "low": 0, "high": 1000}]
    for number in range(2, 15):
        above = rows[int(rng.integers(len(rows)))]
        low, high = sorted(rng.integers(above["low"], above["high"] + 1, 2).tolist())
        if low < high:
            rows.append({"span_id": f"{number:016x}", "parent": above["span_id"], "low": low, "high": high})
    table = pd.DataFrame(rows)
    spans = ta.conform(
        pd.DataFrame(
            {
                "trace_id": "a1",
                "span_id": table["span_id"],
                "parent_span_id": table["parent"],
                "name": "call",
                "start_time": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(table["low"], unit="ms"),
                "duration_ms": (table["high"] - table["low"]).astype("float64"),
            }
        )
    )
    on_path = (ta.critical_time(spans) > 0).to_numpy()
    assert on_path.any()
    assert (slack(spans)[on_path] == 0).all()


def test_what_follows_moves_and_what_runs_beside_stays():
    spans = draw(SHOP)
    faster = times(replay(spans, longer_ms=by_name(spans, pay=-30)))
    assert faster == {
        "root": (0, 90),
        "auth": (5, 17),
        "load": (20, 40),
        "pay": (44, 74),
        "scan": (48, 60),
        "rec": (44, 64),
        "send": (76, 82),
        "mail": (86, 116),
    }
    slower = times(replay(spans, longer_ms=by_name(spans, auth=10)))
    assert {name: slower[name][0] - times(spans)[name][0] for name in slower} == {
        "root": 0,
        "auth": 0,
        **dict.fromkeys(["load", "pay", "scan", "rec", "send", "mail"], 10),
    }


def test_slack_is_used_up_before_it_matters():
    spans = draw(SHOP)
    assert slack(spans).tolist() == [0, 0, 0, 0, 0, 40, 0, np.inf]
    for longer, total in ((40, 120), (41, 121), (70, 150), (-20, 120)):
        assert times(replay(spans, longer_ms=by_name(spans, rec=longer)))["root"] == (0, total)
    assert times(replay(spans, longer_ms=by_name(spans, mail=500)))["root"] == (0, 120)


def test_in_a_purely_sequential_trace_every_change_counts_in_full():
    text = "root a 0-100\n" + "\n".join(f"  call{i} a {10 * i + 1}-{10 * i + 9}" for i in range(10))
    spans = draw(text)
    for name in spans["name"].astype("str").tolist()[1:]:
        for longer in (-8, -3, 5, 1000):
            assert times(replay(spans, longer_ms=by_name(spans, **{name: longer})))["root"] == (0, 100 + longer)


def test_a_span_is_no_shorter_than_what_it_waits_for():
    spans = draw(SHOP)
    found = times(replay(spans, longer_ms=by_name(spans, pay=-1000, auth=-1000)))
    assert found["pay"][1] - found["pay"][0] == 16
    assert found["auth"] == (5, 5)


def test_a_span_moved_before_the_end_of_another_no_longer_waits_for_it():
    spans = draw(SHOP)
    parallel = {"later_ms": by_name(spans, pay=-24)}
    assert times(replay(spans, **parallel))["pay"] == (20, 80)
    both = times(replay(spans, longer_ms=by_name(spans, load=15), **parallel))
    assert both["pay"] == (20, 80)  # "load" went on until 55
    assert both["rec"] == (59, 79)  # which waits for it as before
    assert times(replay(spans, later_ms=by_name(spans, pay=-500)))["pay"] == (0, 60)


def test_a_subtree_moves_with_its_top():
    spans = draw(SHOP)
    found = times(replay(spans, later_ms=by_name(spans, pay=7)))
    assert (found["pay"], found["scan"], found["root"]) == ((51, 111), (55, 67), (0, 127))
    moved = replay(spans, later_ms=by_name(spans, root=7))
    assert (moved["start_time"] - spans["start_time"]).eq(pd.Timedelta("7ms")).all()
    assert moved["duration_ms"].equals(spans["duration_ms"])


def test_a_timed_out_call_keeps_its_overrun():
    spans = draw("root a 0-100\n  call b 10-60 CLIENT\n    serve c 12-90 SERVER")
    found = times(replay(spans, longer_ms=by_name(spans, serve=20)))
    assert found == {"root": (0, 120), "call": (10, 80), "serve": (12, 110)}


def test_a_detached_child_holds_nothing_up():
    spans = draw("root a 0-100\n  work a 10-300\n  late b 150-160")
    assert slack(spans).tolist() == [0, np.inf, np.inf]
    found = times(replay(spans, longer_ms=by_name(spans, root=10, work=50)))
    assert found == {"root": (0, 110), "work": (10, 350), "late": (160, 170)}


def test_what_has_no_times_keeps_none_and_is_looked_through():
    spans = draw("root a 0-100\n  open a 5-?\n    call b 10-90\n  blind a ?-?")
    found = replay(spans, longer_ms=by_name(spans, call=10, open=10))
    assert found["duration_ms"].isna().tolist() == [False, True, False, True]
    assert found["duration_ms"].tolist()[0] == 110
    assert slack(spans).isna().tolist() == [False, True, False, True]
    assert found["start_time"].equals(spans["start_time"])


def test_order_of_rows_and_index_do_not_matter():
    spans = draw(SHOP, SHOP)
    shuffled = spans.sample(frac=1, random_state=1)
    change = pd.Series({2: 5.0, 11: -30.0})
    pd.testing.assert_frame_equal(replay(shuffled, longer_ms=change).sort_index(), replay(spans, longer_ms=change))
    pd.testing.assert_series_equal(slack(shuffled).sort_index(), slack(spans))
    with pytest.raises(ta.SchemaError, match="index"):
        replay(spans.set_axis([0] * len(spans)))


def test_none_at_all():
    empty = draw()
    assert replay(empty).equals(empty)
    assert slack(empty).dtype == "float64"


@pytest.mark.parametrize("shape", ["star", "sequential", "chain"])
def test_large_traces(shape):
    spans = large_trace(shape, n=50_000)
    changed = replay(spans, longer_ms=pd.Series({spans.index[-1]: 100.0}))
    last, root = changed["duration_ms"].iloc[-1] - spans["duration_ms"].iloc[-1], changed["duration_ms"].iloc[0]
    assert last == 100
    assert root - spans["duration_ms"].iloc[0] == (100 if slack(spans).iloc[-1] == 0 else 100 - slack(spans).iloc[-1])


def test_the_input_is_not_changed():
    spans = draw(SHOP)
    before = spans.copy(deep=True)
    changed = replay(spans, longer_ms=by_name(spans, pay=1))
    changed.loc[:, "duration_ms"] = 0.0
    pd.testing.assert_frame_equal(spans, before)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (5.0, "expected a Series"),
        (pd.Series({99: 1.0}), "no label"),
        (pd.Series([1.0, 2.0], index=[0, 0]), "repeats a label"),
        (pd.Series({0: np.inf}), "expected milliseconds up to"),
        (pd.Series({0: 4e12}), "4000000000000"),
    ],
)
def test_changes_that_make_no_sense(change, match):
    with pytest.raises(ta.OptionError, match=match):
        replay(draw(SHOP), longer_ms=change)
