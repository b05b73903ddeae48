"""The calling context tree, and the shapes of traces."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from small_traces import draw, frame, random_rows

import traceanalytics as ta
from traceanalytics.analysis.call_paths import call_tree, shape_of, trace_shapes
from traceanalytics.analysis.critical_path import critical_time
from traceanalytics.analysis.self_time import self_time
from traceanalytics.kernels import forced
from traceanalytics.spans.columns import coded

LOOP = """
get   web  0-100
  q1  db   10-20  name=query
  q2  db   20-40  name=query ERROR
  ask web  50-90
    q3 db  60-70  name=query
"""


def shuffled(spans, seed=0):
    order = np.random.default_rng(seed).permutation(len(spans))
    return spans.iloc[order].set_axis([f"row {i}" for i in order])


def chain(n):
    spans = draw("r web 0-100").iloc[[0] * n].reset_index(drop=True)
    ids = pd.Series([f"{i + 1:016x}" for i in range(n)], dtype="str")
    return spans.assign(span_id=ids, parent_span_id=ids.shift(), name=coded(np.arange(n) % 3, ["a", "b", "c"]))


def plain_paths(rows):
    """Every span's path by climbing, as a tuple; None stands before what has lost its parent."""
    by_id = {(row["trace_id"], row["span_id"]): row for row in rows}

    def path(row):
        found = []
        while True:
            found.append((row["service"], row["name"]))
            if row["parent_span_id"] is None:
                return tuple(reversed(found))
            above = by_id.get((row["trace_id"], row["parent_span_id"]))
            if above is None:
                return (None, *reversed(found))
            row = above

    return [path(row) for row in rows]


def test_a_loop_is_one_row():
    found = call_tree(draw(LOOP)).set_index("path")
    get, query, ask = "web:get", "web:get > db:query", "web:get > web:ask"
    assert found.index.tolist() == [get, ask, f"{ask} > db:query", query]
    assert found["depth"].tolist() == [0, 1, 2, 1]
    assert found["calls"].tolist() == [1, 1, 1, 2]
    assert found["traces"].tolist() == [1, 1, 1, 1]
    assert found["errors"].tolist() == [0, 0, 0, 1]
    assert found["inclusive_ms"].tolist() == [100, 40, 10, 30]
    assert found["self_ms"].tolist() == [30, 30, 10, 30]
    assert found["critical_ms"].tolist() == [30, 30, 10, 30]
    assert found["critical_subtree_ms"].tolist() == [100, 40, 10, 30]
    assert found.loc[query, ["inclusive_p50_ms", "inclusive_p95_ms"]].tolist() == [10, 20]
    ids = found["path_id"]
    assert found["parent_path_id"].isna().tolist() == [True, False, False, False]
    assert found["parent_path_id"].tolist()[1:] == [ids[get], ids[ask], ids[get]]


def test_calls_per_request_are_per_call_of_the_first_span():
    found = call_tree(draw(LOOP, "get web 0-10", *["other web 0-1"] * 6)).set_index("path")
    assert found["calls_per_request"].to_dict() == {
        "web:get": 1,
        "web:get > db:query": 1,
        "web:get > web:ask": 0.5,
        "web:get > web:ask > db:query": 0.5,
        "web:other": 1,
    }


def test_callers_come_first_and_the_heavier_sibling():
    found = call_tree(
        draw("r web 0-100\n  a web 0-10\n    a1 web 0-10\n  b web 10-90\n    b1 web 10-20\n    b2 web 20-90")
    )
    assert found["name"].tolist() == ["r", "b", "b2", "b1", "a", "a1"]


def test_what_has_lost_its_parent_is_kept_apart():
    spans = draw("get web 0-100", "get web 0-10 parent=elsewhere\n  q db 1-2", "get web 0-1 parent=get")
    found = call_tree(spans).set_index("path")
    assert found["orphan"].to_dict() == {"web:get": False, "? > web:get": True, "? > web:get > db:q": True}
    assert found["calls"].to_dict() == {"web:get": 1, "? > web:get": 2, "? > web:get > db:q": 1}
    assert found["path_id"].is_unique


def test_ids_are_made_of_the_texts_alone():
    one, other = call_tree(draw(LOOP)), call_tree(draw("x api 0-1", LOOP))
    assert set(one["path_id"]) < set(other["path_id"])
    assert (one["path_id"].str.fullmatch("[0-9a-f]{16}")).all()


def test_texts_that_look_alike_are_different_paths():
    spans = draw("r a:b 0-1 name=c", "r a 0-1 name=b:c", "r - 0-1 name=c", "r ? 0-1 name=c")
    found = call_tree(spans)
    assert len(found) == found["path_id"].nunique() == 4
    assert sorted(found["path"]) == ["?:c", "?:c", "a:b:c", "a:b:c"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("compiled", [False, True])
def test_random_traces_match_climbing(seed, compiled):
    rows = random_rows(seed, 80)
    spans = frame(rows)
    with forced(compiled):
        found = call_tree(spans)
    paths = pd.Series(
        [
            " > ".join("?" if call is None else f"{call[0] or '?'}:{call[1]}" for call in path)
            for path in plain_paths(rows)
        ],
        dtype="str",
    )
    times = pd.DataFrame({"calls": 1.0, "self_ms": self_time(spans), "critical_ms": critical_time(spans)})
    times["inclusive_ms"] = spans["duration_ms"]
    expected = times.assign(path=paths).groupby("path").sum()
    assert len(found) == len(expected) == found["path_id"].nunique()
    mine = found.set_index("path")[expected.columns].loc[expected.index]
    np.testing.assert_allclose(mine.to_numpy(), expected.to_numpy(), rtol=1e-9, atol=1e-12)
    place = {path_id: number for number, path_id in enumerate(found["path_id"])}
    assert all(place[up] < number for number, up in enumerate(found["parent_path_id"]) if isinstance(up, str))
    assert (found["depth"] == found["path"].str.replace("? > ", "", regex=False).str.count(" > ")).all()
    subtree = found.set_index("path_id")["critical_subtree_ms"]
    below = found.groupby("parent_path_id")["critical_subtree_ms"].sum().reindex(found["path_id"], fill_value=0)
    np.testing.assert_allclose(subtree, found["critical_ms"].to_numpy() + below.to_numpy(), atol=1e-12)
    kinds = Counter(frozenset(Counter(paths[group.index]).items()) for _, group in spans.groupby("trace_id"))
    shapes = trace_shapes(spans)
    assert sorted(kinds.values()) == sorted(shapes["traces"].astype("int64"))


@pytest.mark.parametrize("function", [call_tree, trace_shapes])
def test_order_index_types_and_instants_do_not_matter(function):
    spans = frame(random_rows(5, 60, unit_ns=1_000_000))
    before = spans.copy(deep=True)
    expected = function(spans)
    pd.testing.assert_frame_equal(spans, before)
    pd.testing.assert_frame_equal(function(shuffled(spans)), expected)
    moved = spans.assign(start_time=spans["start_time"] + pd.Timedelta("400D"))
    pd.testing.assert_frame_equal(function(moved), expected)
    columns = ("trace_id", "name", "service", "kind", "status")
    plain = function(spans.astype(dict.fromkeys(columns, "str")))
    same = {name: dtype for name, dtype in expected.dtypes.items() if isinstance(dtype, pd.CategoricalDtype)}
    pd.testing.assert_frame_equal(plain.astype(same), expected)


@pytest.mark.parametrize("function", [call_tree, trace_shapes])
def test_equal_weights_scale_totals_and_nothing_else(function):
    spans = frame(random_rows(6, 60))
    expected = function(spans)
    pd.testing.assert_frame_equal(function(spans.assign(w=1), weights="w"), expected)
    doubled = function(spans, weights=pd.Series(2.0, index=spans.index))
    every = ["calls", "traces", "errors", "inclusive_ms", "self_ms", "critical_ms", "critical_subtree_ms"]
    totals = [name for name in every if name in expected]
    pd.testing.assert_frame_equal(doubled[totals], expected[totals] * 2)
    pd.testing.assert_frame_equal(doubled.drop(columns=totals), expected.drop(columns=totals))


@pytest.mark.parametrize("function", [call_tree, trace_shapes])
def test_an_empty_frame_gives_the_same_columns(function):
    full, empty = function(draw(LOOP)), function(draw(LOOP).iloc[:0])
    assert len(empty) == 0
    assert full.dtypes.astype(str).tolist() == empty.dtypes.astype(str).tolist()
    assert full.columns.tolist() == empty.columns.tolist()
    assert len(shape_of(draw(LOOP).iloc[:0])) == 0


def test_a_chain_of_100_000_calls():
    found = call_tree(chain(100_000))
    assert found["depth"].tolist() == list(range(100_000))
    assert found["path"].str.len().max() < 250
    assert found["path"].iloc[29].count(">") == 29
    assert found["path"].iloc[-1].startswith("web:a > web:b > ")
    assert " > ... 99,976 more ... > " in found["path"].iloc[-1]
    assert found["path"].iloc[-1].count(">") == 8 + 16
    assert found["path_id"].is_unique
    assert trace_shapes(chain(50_000))[["spans", "depth"]].to_numpy().tolist() == [[50_000, 49_999]]


def test_long_paths_of_several_traces_leave_out_their_middle():
    spans = pd.concat([chain(n).assign(trace_id=f"{n:032x}") for n in (29, 30, 31, 45)], ignore_index=True)
    spans["service"] = spans["service"].astype("str")
    spans.loc[spans["trace_id"] == f"{45:032x}", "service"] = "db"
    spans.loc[spans["trace_id"] == f"{31:032x}", "parent_span_id"] = spans["parent_span_id"].fillna("f" * 16)
    found = call_tree(spans.sample(frac=1, random_state=1))
    names = {service: [f"{service}:{'abc'[at % 3]}" for at in range(45)] for service in ("web", "db")}
    assert len(found) == 30 + 31 + 45
    for row in found.itertuples():
        calls = names[row.service][: row.depth + 1]
        if len(calls) > 30:
            calls = [*calls[:8], f"... {len(calls) - 24:,} more ...", *calls[-16:]]
        assert row.path == " > ".join(["?", *calls] if row.orphan else calls)


def test_siblings_that_weigh_the_same_are_in_an_order_of_their_own():
    # No critical time in any of them: then by inclusive time, calls, and identity.
    spans = draw(
        "r web 0-100\n  last web 0-100\n  a web 10-20\n  b web 10-30\n  c web 10-20\n  d web 10-15\n  d web 15-20 id=d2"
    )
    found = call_tree(spans)
    assert found["name"].tolist()[:3] == ["r", "last", "b"]
    assert found["name"].tolist()[3] == "d"
    rest = found.iloc[4:]
    assert set(rest["name"]) == {"a", "c"}
    assert rest["path_id"].is_monotonic_increasing


# -- shapes


def test_shapes():
    again = "r web 0-10\n  b web 6-9\n  a web 1-2"  # other times, other order
    spans = draw(
        "r web 0-100\n  a web 10-20\n  b web 20-30",
        again,
        "r web 0-50\n  a web 1-2\n  b web 3-4",
        "r web 0-9\n  a web 1-2\n  a web 3-4 id=a2\n  b web 5-6",  # one call more
        "r web 0-9\n  a web 1-8\n    b web 2-3",  # elsewhere in the tree
        "r web 0-9\n  a web 1-2\n  b web 3-4 parent=lost",
    )
    found = trace_shapes(spans)
    assert found["traces"].tolist() == [3, 1, 1, 1]
    assert found["share"].tolist() == pytest.approx([3 / 6, 1 / 6, 1 / 6, 1 / 6])
    first = found.iloc[0]
    assert (first["spans"], first["depth"], first["complete"], first["root_name"]) == (3, 1, True, "r")
    assert (first["duration_p50_ms"], first["duration_p95_ms"]) == (50, 100)
    assert first["example_trace_id"] == f"{3:032x}"  # the median
    assert (~found["complete"]).sum() == 1
    of = shape_of(spans)
    assert of.index.tolist() == [f"{i + 1:032x}" for i in range(6)]
    assert of.nunique() == 4
    assert (of.iloc[:3] == first["shape_id"]).all()


def test_repeats_of_a_path_count_in_every_number():
    one, two, three = (draw("r web 0-9\n" + "\n".join(f"  a{i} web 1-2 name=a" for i in range(n))) for n in (1, 2, 3))
    assert len({shape_of(spans).iloc[0] for spans in (one, two, three)}) == 3


def test_a_shape_of_untimed_traces_has_an_example():
    found = trace_shapes(draw("r web ?-?", "r web ?-?"))
    assert found["example_trace_id"].tolist() == [f"{1:032x}"]
    assert found["duration_p50_ms"].isna().all()


def test_real_traces_have_the_shapes_that_their_readme_tells(shared):
    folder = shared / "datasets" / "deathstar_traceweaver"
    hotel = ta.read_parquet(folder / "hotel.parquet")
    assert trace_shapes(hotel)[["traces", "spans"]].to_numpy().tolist() == [[6000, 11]]
    found = call_tree(hotel)
    assert found["calls"].sum() == len(hotel)
    assert (found["critical_ms"] * 1e6).round().sum() == (ta.summary(hotel)["duration_ms"] * 1e6).round().sum()
