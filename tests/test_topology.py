"""``Forest``: parents, roots, order and what is odd, against a reference of dicts, in both modes of the kernels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_traces import EPOCH_NS, draw, frame, id_of, random_rows, trace_of

from traceanalytics.errors import SchemaError
from traceanalytics.kernels import forced
from traceanalytics.spans.columns import NAT
from traceanalytics.topology import Flag, Forest, flag_texts

ARRAYS = (
    "trace",
    "parent",
    "root",
    "depth",
    "order",
    "child_offsets",
    "children",
    "start",
    "end",
    "timed",
    "flags",
    "main_root",
)
FAR = 2**63 - 1


def names(spans, rows):
    """Names of rows, None for -1."""
    return [None if row < 0 else spans["name"].iloc[row] for row in np.asarray(rows).tolist()]


def flags_of(spans):
    return dict(zip(spans["name"], flag_texts(Forest(spans).flags), strict=True))


# -- a reference


def reference(rows):
    """Parents, roots, depths and order by dicts and recursion; rows without repeated ids."""
    at = {(r["trace_id"], r["span_id"]): i for i, r in enumerate(rows) if r["span_id"] is not None}
    parent = [
        -1 if r["parent_span_id"] == r["span_id"] else at.get((r["trace_id"], r["parent_span_id"]), -1) for r in rows
    ]

    def key(row):
        start = rows[row]["start_ns"]
        return (FAR if start is None else start, rows[row]["span_id"] or "", row)

    for row in range(len(rows)):
        seen, up = [], row
        while up >= 0 and up not in seen:
            seen.append(up)
            up = parent[up]
        if up >= 0:
            ring = seen[seen.index(up) :]
            parent[min(ring, key=key)] = -1
    order, root, depth = [], [-1] * len(rows), [-1] * len(rows)

    def visit(row, top, level):
        order.append(row)
        root[row], depth[row] = top, level
        for child in sorted((c for c in range(len(rows)) if parent[c] == row), key=key):
            visit(child, top, level + 1)

    for trace_id in dict.fromkeys(r["trace_id"] for r in rows):
        for top in sorted((c for c in range(len(rows)) if parent[c] < 0 and rows[c]["trace_id"] == trace_id), key=key):
            visit(top, top, 0)
    return parent, root, depth, order


def with_trouble(rows, seed):
    """The rows with rings, self-parents, unknown times and missing span ids put in."""
    rng = np.random.default_rng(seed)
    for row in rows:
        luck = rng.random()
        if luck < 0.05:
            row["parent_span_id"] = f"{int(rng.integers(1, 8)):016x}"
        elif luck < 0.08:
            row["parent_span_id"] = row["span_id"]
        elif luck < 0.12:
            row["start_ns"] = None
        elif luck < 0.16:
            row["duration_ns"] = None
        elif luck < 0.18:
            row["span_id"] = None
    return rows


@pytest.mark.parametrize("seed", range(6))
def test_random_frames_match_the_reference_in_both_modes(seed):
    rows = with_trouble(random_rows(seed, 60), seed)
    parent, root, depth, order = reference(rows)
    for compiled in (False, True):
        with forced(compiled):
            forest = Forest(frame(rows))
        assert forest.parent.tolist() == parent
        assert forest.root.tolist() == root
        assert forest.depth.tolist() == depth
        assert forest.order.tolist() == order


@pytest.mark.parametrize("seed", range(3))
def test_both_modes_give_the_same_arrays(seed):
    rows = with_trouble(random_rows(seed, 80), seed)
    rows += [dict(row) for row in rows[::7]]
    spans = frame(rows)
    with forced(False):
        plain = Forest(spans)
    with forced(True):
        compiled = Forest(spans)
    for name in ARRAYS:
        one, other = getattr(plain, name), getattr(compiled, name)
        assert one.dtype == other.dtype
        assert one.tolist() == other.tolist(), name
    for one, other in zip(plain.timed_tree, compiled.timed_tree, strict=True):
        assert one.tolist() == other.tolist()


# -- the rules, drawn


def test_children_are_linked_within_their_trace_only():
    spans = draw("a web 0-10\n  b web 1-2", "b web 0-10\n  a web 1-2\n  c web 3-4")
    forest = Forest(spans)
    assert names(spans, forest.parent) == [None, "a", None, "b", "b"]
    assert forest.parent.tolist() == [-1, 0, -1, 2, 2]
    assert forest.trace.tolist() == [0, 0, 1, 1, 1]
    assert list(forest.trace_ids) == [trace_of(0), trace_of(1)]
    assert names(spans, forest.children_of(2)) == ["a", "c"]
    assert forest.roots_of(1).tolist() == [2]
    assert repr(forest) == "Forest of 5 spans in 2 traces, 2 roots"


def test_siblings_come_by_start_then_id_and_without_start_last():
    spans = draw("r web 0-9\n  z web ?-?\n  c web 5-6\n  b web 5-7\n  a web 8-9\n  y web 1-?")
    assert names(spans, Forest(spans).order) == ["r", "y", "b", "c", "a", "z"]


def test_ids_sort_as_their_texts_do():
    spans = frame([{"trace_id": "t", "span_id": digit + "0" * 15, "name": digit} for digit in "9f187"])
    assert names(spans, Forest(spans).order) == ["1", "7", "8", "9", "f"]


def test_oddities_are_flagged():
    spans = draw(
        """
        root  web 0-9
          kid web 1-2
          neg web 5-3
          new web 4-?
        lost  web 0-9 parent=gone
        self  web 0-9 parent=self
        """
    )
    flags = flags_of(spans)
    assert flags == {
        "root": "",
        "kid": "",
        "neg": "negative_duration",
        "new": "untimed",
        "lost": "orphan",
        "self": "self_parent",
    }
    forest = Forest(spans)
    assert names(spans, forest.parent) == [None, "root", "root", "root", None, None]
    assert forest.timed.tolist() == [True, True, True, False, True, True]
    assert (forest.end[2], forest.end[3]) == (forest.start[2], NAT)


def test_a_ring_is_broken_at_its_earliest_start():
    spans = draw("a web 5-9 parent=c\nb web 3-9 parent=a\nc web 4-9 parent=b\nd web 1-9 parent=c\ne web 0-1")
    forest = Forest(spans)
    assert names(spans, forest.parent) == ["c", None, "b", "c", None]
    assert flags_of(spans) == {"a": "", "b": "cycle", "c": "", "d": "", "e": ""}
    assert sorted(forest.order.tolist()) == list(range(5))


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("a web 1-9 parent=b\nb web 1-9 parent=a", "a"),  # the smaller id
        ("a web ?-? parent=b\nb web 1-9 parent=a", "b"),  # no start is the latest
        ("a web ?-? parent=b\nb web ?-? parent=a", "a"),
    ],
)
def test_ties_in_a_ring(text, broken):
    assert [name for name, flag in flags_of(draw(text)).items() if "cycle" in flag] == [broken]


def test_duplicates_are_left_out():
    spans = draw(
        """
        r web 0-9 SERVER
          k web 1-2 name=short
            g web 1-2
          k web 1-8 name=long
          k web 1-? name=unknown
          k db  1-9 name=other
        """
    )
    forest = Forest(spans)
    kept = dict(zip(spans["name"], forest.flags.tolist(), strict=True))
    assert [name for name, flag in kept.items() if flag & Flag.DUPLICATE] == ["short", "unknown"]
    out = forest.flags & Flag.DUPLICATE > 0
    assert forest.parent[out].tolist() == forest.root[out].tolist() == forest.depth[out].tolist() == [-1, -1]
    assert not set(np.flatnonzero(out)) & set(forest.order.tolist())
    assert names(spans, forest.parent)[2] == "other"  # of two different spans with one start, the longer one
    assert flag_texts(forest.flags)[2] == "ambiguous_parent"


def test_of_equal_duplicates_the_worst_status_stays_and_then_the_first_row():
    spans = draw("r web 0-9\n  k web 1-2 name=a\n  k web 1-2 name=b ERROR\n  k web 1-2 name=c ERROR")
    assert flags_of(spans) == {"r": "", "a": "duplicate", "b": "", "c": "duplicate"}


def test_duplicates_without_start_and_without_service_are_duplicates():
    spans = draw("r - ?-? name=a\nr - ?-? name=b\nr web ?-? name=c")
    assert flags_of(spans) == {"a": "untimed", "b": "duplicate,untimed", "c": "untimed"}


@given(st.permutations(range(7)), st.sampled_from(["start", "length", "kind", "service", "name"]))
def test_who_bears_an_id_does_not_depend_on_the_order_of_rows(order, differ):
    twins = {
        "start": ("k web 2-5 name=no", "k web 1-2 name=yes"),
        "length": ("k web 1-2 SERVER name=no", "k web 1-3 CLIENT name=yes"),
        "kind": ("k web 1-3 CLIENT name=no", "k web 1-3 SERVER name=yes"),
        "service": ("k web 1-3 name=no", "k db 1-3 name=yes"),
        "name": ("k web 1-3 SERVER name=yes parent=none", "k zoo 1-3 SERVER name=no parent=none"),
    }[differ]
    text = "\n".join(
        ["a web 0-9", *twins, "g web 1-2 parent=k", "h web 1-2 parent=k", "x web ?-? parent=k", "y web 0-1 parent=a"]
    )
    spans = draw(text).iloc[list(order)]
    forest = Forest(spans)
    parent = dict(zip(spans["name"], names(spans, forest.parent), strict=True))
    assert (parent["g"], parent["h"], parent["x"], parent["y"]) == ("yes", "yes", "yes", "a")
    straight = draw(text)
    assert names(spans, forest.order) == names(straight, Forest(straight).order)


def test_rows_without_ids():
    rows = [
        {"trace_id": None, "span_id": id_of("a"), "name": "a"},
        {"trace_id": None, "span_id": id_of("b"), "parent_span_id": id_of("a"), "name": "b"},
        {"trace_id": "t", "span_id": None, "name": "c"},
        {"trace_id": "t", "span_id": None, "name": "d"},
        {"trace_id": "t", "span_id": id_of("e"), "parent_span_id": None, "name": "e"},
    ]
    spans = frame(rows)
    forest = Forest(spans)
    assert forest.trace.tolist() == [0, 1, 2, 2, 2]
    assert forest.trace_ids.isna().tolist() == [True, True, False]
    assert forest.parent.tolist() == [-1] * 5
    assert list(flag_texts(forest.flags)) == ["untimed", "orphan,untimed", "untimed", "untimed", "untimed"]


def test_foreign_ids():
    rows = [
        {"trace_id": "x", "span_id": "|a.b.", "parent_span_id": "|a.", "name": "b"},
        {"trace_id": "x", "span_id": "|a.", "parent_span_id": None, "name": "a"},
        {"trace_id": "y", "span_id": "|a.c.", "parent_span_id": "|a.", "name": "c"},
    ]
    spans = frame(rows)
    assert names(spans, Forest(spans).parent) == ["a", None, None]


@pytest.mark.parametrize(
    ("text", "main"),
    [
        ("a web 0-9\nb web 1-99 parent=gone", "a"),  # the only one without a parent id
        ("a web 0-9\nb web 1-99", "b"),  # covers most
        ("a web 0-9 parent=gone\nb web 1-99 parent=gone", "b"),
        ("b web 0-9\na web 1-10", "b"),  # equal: the earlier
        ("b web 0-9\na web 0-9", "a"),  # equal: the smaller id
        ("a web ?-?\nb web 5-5", "b"),  # untimed ones last
        ("b web ?-?\na web ?-?", "a"),
        ("a web ?-?\nb web 1-2 parent=gone", "a"),
    ],
)
def test_main_root(text, main):
    spans = draw(text)
    assert names(spans, Forest(spans).main_root) == [main]


# -- times


def test_ends_beyond_what_nanoseconds_can_say_are_unknown():
    rows = [
        {"trace_id": "t", "span_id": id_of(name), "name": name, "start_ns": start, "duration_ms": ms}
        for name, start, ms in [
            ("late", FAR - 10, 1.0),
            ("fits", FAR - 10_000_000, 1.0),
            ("huge", EPOCH_NS, 1e300),
            ("long", EPOCH_NS, 9e12),
            ("infinite", EPOCH_NS, np.inf),
            ("backwards", EPOCH_NS, -1e300),
            ("early", -FAR, 1.0),
        ]
    ]
    spans = frame(rows)
    forest = Forest(spans)
    known = dict(zip(spans["name"], forest.timed.tolist(), strict=True))
    assert known == {
        "late": False,
        "fits": True,
        "huge": False,
        "long": False,
        "infinite": False,
        "backwards": False,
        "early": True,
    }
    assert forest.end[forest.timed].min() >= forest.start[forest.timed].min()
    assert (forest.end[~forest.timed] == NAT).all()


def test_untimed_spans_are_looked_through():
    spans = draw("r web 0-9\n  u web ?-?\n    v web 1-?\n      k web 3-4\n    j web 1-2\n  i web 5-6")
    tree = Forest(spans).timed_tree
    assert names(spans, tree.parent) == [None, "r", "r", "r", "r", "r"]
    row = 0
    assert names(spans, tree.children[tree.child_offsets[row] : tree.child_offsets[row + 1]]) == ["j", "k", "i"]
    tops = draw("u web ?-?\n  b web 3-4\n  a web 1-2")
    tree = Forest(tops).timed_tree
    assert names(tops, tree.children[tree.child_offsets[3] :]) == ["a", "b"]


# -- frames of every kind


def test_an_empty_frame():
    forest = Forest(draw())
    assert (forest.n_spans, forest.n_traces, len(forest.order), len(forest.main_root)) == (0, 0, 0, 0)
    assert forest.timed_tree.children.tolist() == []


def test_index_row_order_texts_and_stale_labels_change_nothing():
    rows = with_trouble(random_rows(3, 40), 3)
    spans = frame(rows)
    expected = Forest(spans)
    others = [
        spans.set_axis([f"row {i}" for i in range(len(spans))][::-1]),
        spans.astype(dict.fromkeys(["trace_id", "name", "service", "kind"], "str")),
        spans.assign(trace_id=spans["trace_id"].cat.add_categories([f"stale {i}" for i in range(3 * len(spans))])),
    ]
    before = spans.copy(deep=True)
    for other in others:
        found = Forest(other)
        for name in ARRAYS:
            assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name
    pd.testing.assert_frame_equal(spans, before)


def test_frames_that_are_none():
    spans = draw("a web 0-1\n  b web 0-1")
    with pytest.raises(SchemaError, match="span_id"):
        Forest(spans.drop(columns="span_id"))
    with pytest.raises(SchemaError, match="index repeats"):
        Forest(spans.set_axis([1, 1]))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("shape", ["chain", "star", "ring"])
def test_a_hundred_thousand_spans_in_one_trace(shape, compiled):
    n = 100_000
    ids = pd.Series([f"{i:016x}" for i in range(1, n + 1)], dtype="str")
    above = {
        "chain": ids.shift(),
        "star": pd.Series([None] + [ids[0]] * (n - 1), dtype="str"),
        "ring": ids.shift(fill_value=ids.iloc[-1]),
    }[shape]
    start = pd.Series(pd.to_datetime(EPOCH_NS + np.arange(n)[::-1], unit="ns", utc=True))
    if shape != "star":
        start = start[::-1].reset_index(drop=True)
    spans = frame([{"trace_id": "t"}] * n).assign(span_id=ids, parent_span_id=above, start_time=start, duration_ms=1.0)
    with forced(compiled):
        forest = Forest(spans)
    assert forest.depth.max() == (1 if shape == "star" else n - 1)
    assert (forest.depth == 0).sum() == 1
    assert forest.order[0] == 0
    assert forest.flags[0] == (Flag.CYCLE if shape == "ring" else 0)
    assert forest.order[1] == (n - 1 if shape == "star" else 1)


def test_chosen_ids_cannot_make_the_table_slow():
    n = 20_000
    ids = pd.Series([f"{i << 44:016x}" for i in range(1, n + 1)], dtype="str")  # equal low bits
    spans = frame([{"trace_id": "t"}] * n).assign(span_id=ids, parent_span_id=ids.shift())
    with forced(False):
        assert Forest(spans).depth.max() == n - 1


# -- flags


def test_flag_texts_are_a_category_of_names_in_order():
    texts = flag_texts(np.array([0, Flag.CLIPPED | Flag.ORPHAN, 0, Flag.CYCLE], dtype=np.uint16))
    assert list(texts) == ["", "orphan,clipped", "", "cycle"]
    assert list(texts.categories) == ["", "cycle", "orphan,clipped"]
    assert list(flag_texts(np.array([], dtype=np.uint16))) == []
    assert max(Flag) < 2**15
