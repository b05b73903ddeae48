"""Concurrency: what runs together, what in turn, and what could run together."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from small_traces import draw, frame, large_trace, random_rows, trace_of

import traceanalytics as ta
from traceanalytics.analysis.call_order import tolerance_of
from traceanalytics.analysis.covered_time import coverage
from traceanalytics.analysis.fingerprints import fingerprint_codes
from traceanalytics.analysis.sibling_order import concurrency, path_below
from traceanalytics.errors import OptionError
from traceanalytics.kernels import forced
from traceanalytics.simulate import SequentialCalls, Shop
from traceanalytics.topology import Forest

COLUMNS = [
    "service",
    "name",
    "callee_a",
    "callee_b",
    "traces",
    "parents",
    "parallel",
    "a_before_b",
    "b_before_a",
    "undecided",
    "relation",
    "agreeing",
    "refuting",
    "parallelisable",
    "saving_if_parallel_ms",
    "degree",
    "weighted_parents",
]
A, B = "  a w {}-{} CLIENT name=x", "  b w {}-{} CLIENT name=y"


def trace(*times):
    return "\n".join(["r web 0-100", *(line.format(*t) for line, t in zip((A, B), times, strict=False))])


AB, BA, BOTH = trace((0, 40), (50, 70)), trace((50, 70), (10, 40)), trace((0, 40), (20, 60))


def only(found):
    assert len(found) == 1
    return found.iloc[0]


def test_columns():
    found = concurrency(draw(AB, BOTH))
    assert found.columns.tolist() == COLUMNS
    assert found.to_dict("records") == [
        {
            "service": "web",
            "name": "r",
            "callee_a": "CLIENT x",
            "callee_b": "CLIENT y",
            "traces": 2,
            "parents": 2,
            "parallel": 1,
            "a_before_b": 1,
            "b_before_a": 0,
            "undecided": 0,
            "relation": "mixed",
            "agreeing": 1,
            "refuting": 1,
            "parallelisable": True,
            "saving_if_parallel_ms": 20.0,
            "degree": (60 + 80) / (60 + 60),
            "weighted_parents": 2.0,
        }
    ]


@pytest.mark.parametrize(
    ("traces", "relation", "parallelisable"),
    [
        ([AB], "ordered", False),
        ([AB] * 5, "ordered", False),
        ([BOTH] * 3, "parallel", False),
        ([AB, BA], "sequential", True),
        ([AB, AB, BA, BOTH], "mixed", True),
        ([AB, BOTH], "mixed", True),
    ],
)
def test_relations(traces, relation, parallelisable):
    found = only(concurrency(draw(*traces)))
    assert (found.relation, found.parallelisable, found.parents) == (relation, parallelisable, len(traces))
    assert found.parallel + found.a_before_b + found.b_before_a == len(traces)


@pytest.mark.parametrize(
    ("ab", "ba", "both", "relation", "parallelisable"),
    [
        (99, 0, 1, "mixed", True),  # 1 of 100: refuted
        (100, 0, 1, "ordered", False),  # of more, one is an accident
        (100, 1, 0, "ordered", False),
        (198, 1, 1, "sequential", True),  # refuted twice, but together only once
        (199, 1, 1, "ordered", False),
        (98, 2, 0, "sequential", True),
        (150, 50, 1, "sequential", True),
        (1, 0, 3, "mixed", True),  # in turn in a quarter
        (1, 0, 4, "mixed", False),
        (2, 0, 18, "parallel", False),  # in turn in one of ten
        (3, 0, 18, "mixed", False),
        (0, 0, 3, "parallel", False),
    ],
)
def test_what_is_no_accident(ab, ba, both, relation, parallelisable):
    found = only(concurrency(draw(*[AB] * ab, *[BA] * ba, *[BOTH] * both)))
    assert (found.relation, found.parallelisable) == (relation, parallelisable)
    assert (found.agreeing, found.refuting) == (ab, ba + both)
    assert np.isnan(found.saving_if_parallel_ms) == (relation == "ordered" or ab + ba == 0)


def test_a_saving_within_the_error_of_clocks_is_none():
    quick = trace((0, 40), (50, 50.9)), trace((0, 40), (20, 60))
    found = only(concurrency(draw(*quick)))
    assert (found.relation, found.saving_if_parallel_ms, found.parallelisable) == ("mixed", 0.9, False)
    assert only(concurrency(draw(*quick), min_ms=0.9)).parallelisable
    assert not only(concurrency(draw(*quick), min_ms=0.900001)).parallelisable
    nothing = trace((0, 40), (50, 50)), trace((0, 40), (20, 60))
    assert not only(concurrency(draw(*nothing), min_ms=0)).parallelisable


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf")])
def test_a_least_saving_is_a_length_of_time(wrong):
    with pytest.raises(OptionError, match=f"min_ms={wrong!r} is no length of time"):
        concurrency(draw(AB), min_ms=wrong)


def test_a_is_the_one_that_is_first_more_often():
    assert only(concurrency(draw(BA, BA, AB))).callee_a == "CLIENT y"
    tied = only(concurrency(draw(BA, AB)))
    assert (tied.callee_a, tied.a_before_b, tied.b_before_a) == ("CLIENT x", 1, 1)


@pytest.mark.parametrize(
    ("x", "y", "parallel"),
    [
        ((0, 40), (40, 60), False),
        ((0, 40), (39, 60), False),  # 1 ms
        ((0, 40), (38.9, 60), True),
        ((0, 500), (495, 1000), False),  # 1 % of 505 is more than 5
        ((0, 500), (494.9, 1000), True),
        ((0, 0.8), (0.2, 1), True),  # quick calls: half of the shorter one
        ((0, 0.8), (0.4, 1.2), False),
        ((0, 40), (10, 10.5), True),
        ((0, 40), (10, 10), False),  # what takes no time overlaps nothing
    ],
)
def test_tolerance(x, y, parallel):
    found = only(concurrency(draw(trace(x, y))))
    assert found.relation == ("parallel" if parallel else "ordered")
    assert found.callee_a == "CLIENT x"


def test_tolerance_of_arrays():
    shorter = np.array([0, 1, 1_000_000, 2_000_000, 50_000_000, 100_000_000, 10**9])
    assert tolerance_of(shorter).tolist() == [0, 0, 500_000, 1_000_000, 1_000_000, 1_000_000, 10_000_000]


def test_repeated_callees():
    turns = "r web 0-100\n" + "\n".join(
        f"  x{i} w {20 * i}-{20 * i + 9} name=x\n  y{i} w {20 * i + 10}-{20 * i + 19} name=y" for i in range(3)
    )
    found = only(concurrency(draw(turns)))
    assert (found.relation, found.undecided, found.parallelisable) == ("alternating", 1, False)
    assert np.isnan(found.saving_if_parallel_ms)
    one_of_many = turns + "\n  z w 95-99 name=y\n  v w 96-98 name=x"
    assert only(concurrency(draw(one_of_many))).relation == "parallel"
    blocks = "r web 0-100\n  x1 w 0-9 name=x\n  x2 w 5-14 name=x\n  y1 w 20-29 name=y\n  y2 w 30-39 name=y"
    assert only(concurrency(draw(blocks))).relation == "ordered"


def test_what_is_saved_is_on_the_path():
    hidden, refuting = (text + "\n  c w 0-99 CLIENT name=z" for text in (AB, BOTH))
    found = concurrency(draw(hidden, refuting)).set_index(["callee_a", "callee_b"])
    assert found.loc[("CLIENT x", "CLIENT y"), "saving_if_parallel_ms"] == 0.0
    assert only(concurrency(draw(AB, trace((0, 10), (20, 70)), BOTH))).saving_if_parallel_ms == 15.0


def test_an_order_never_refuted_promises_nothing():
    found = only(concurrency(draw(AB, trace((0, 10), (20, 70)))))
    assert found.relation == "ordered"
    assert np.isnan(found.saving_if_parallel_ms)


def test_categories_hold_what_occurs():
    found = concurrency(draw(AB, BOTH))
    for column in ("callee_a", "callee_b", "relation"):
        assert set(found[column].cat.categories) == set(found[column])


def test_operations_are_apart():
    other = AB.replace("r web", "s shop")
    found = concurrency(draw(BOTH, other, AB))
    assert found.name.tolist() == ["s", "r"]
    assert found.relation.tolist() == ["ordered", "mixed"]
    assert found.degree.tolist() == pytest.approx([1.0, 140 / 120])


def test_several_parents_of_one_trace():
    spans = draw("""
        r web 0-100
          p web 0-50 name=op
            a w 0-20  name=x
            b w 30-40 name=y
          q web 50-90 name=op
            c w 50-70 name=x
            d w 60-80 name=y
    """)
    found = concurrency(spans)
    row = only(found[found["name"] == "op"])
    assert (row.traces, row.parents, row.parallel, row.a_before_b) == (1, 2, 1, 1)


def test_what_is_left_out():
    assert len(concurrency(draw("r web 0-9\n  a w 0-2 name=x\n  b w 3-4 name=x"))) == 0
    assert len(concurrency(draw("r web 0-9\n  a w 0-2 name=x\n  b w ?-? name=y"))) == 0
    assert len(concurrency(draw("r web 0-9 PRODUCER\n  a w 0-2 CONSUMER\n  b w 3-4 CONSUMER"))) == 0
    assert len(concurrency(draw("a w 0-2\nb w 3-4"))) == 0  # roots
    twice = concurrency(draw("r web 0-9\n  a w 0-2 name=x\n  b w 3-4 name=y\n  b w 3-4 name=y"))
    assert only(twice).relation == "ordered"
    assert only(concurrency(draw("r web ?-?\n  a w 0-2 name=x\n  b w 3-4 name=y"))).relation == "ordered"


def test_most_callees():
    lines = "\n".join(f"  c{i} w {10 * i}-{10 * i + i + 1} name=op{'abcdef'[i]}" for i in range(6))
    spans = draw("r web 0-100\n" + lines)
    assert len(concurrency(spans)) == 15
    some = concurrency(spans, most_callees=3)
    assert set(some.callee_a) | set(some.callee_b) == {f"INTERNAL w op{x}" for x in "def"}
    with pytest.raises(OptionError, match="most_callees=1 leaves no pair"):
        concurrency(spans, most_callees=1)


@pytest.mark.parametrize(
    ("children", "kept"),
    [
        (["c - 1-3 CLIENT", "d - 3-4 CLIENT", "b - 1-2 CLIENT"], "bc"),  # of equal time: the one that began first
        (["d - 1-2 CLIENT", "b - 1-2 CLIENT", "c - 1-3 CLIENT"], "bc"),  # at the same time: by text
    ],
)
def test_which_of_equal_callees_are_compared_does_not_depend_on_the_order_of_rows(children, kept):
    spans = draw("\n".join(["a - 0-9 SERVER", *(f"  {child}" for child in children)]))
    found = concurrency(spans, most_callees=2)
    assert {only(found).callee_a[-1], only(found).callee_b[-1]} == set(kept)
    pd.testing.assert_frame_equal(concurrency(spans[::-1], most_callees=2), found)


def test_the_mean_saving_is_exact_in_any_order_of_rows():
    rng = np.random.default_rng(5)
    spans = draw(BOTH, *(trace((0, 40), (50, 50 + number)) for number in rng.integers(1_000_000, 30_000_000, 90) / 1e6))
    took = spans.duration_ms[(spans["name"] == "y").to_numpy()].iloc[1:]
    mean = int((took * 1e6).round().sum()) / len(took) / 1e6
    for seed in range(5):
        mixed = spans.sample(frac=1, random_state=seed)
        assert only(concurrency(mixed)).saving_if_parallel_ms == mean


def reference(spans):
    """Counts of the four states for each operation and unordered pair, by comparing calls one by one."""
    forest, prints = Forest(spans), fingerprint_codes(spans)
    found = {}

    def shape(row):
        return int(forest.start[row]), int(forest.end[row])

    for parent in range(len(spans)):
        kinds = {}
        for row in forest.children_of(parent):
            loose = spans.kind.iloc[row] == "CONSUMER" and spans.kind.iloc[parent] == "PRODUCER"
            if forest.timed[row] and not loose:
                kinds.setdefault(prints.labels[prints.codes[row]], []).append(shape(row))
        for a, b in itertools.combinations(sorted(kinds), 2):
            calls = sorted([(*x, 0) for x in kinds[a]] + [(*x, 1) for x in kinds[b]])
            together = False
            for at, (start, end, side) in enumerate(calls):
                before = [c for c in calls[:at] if c[2] != side]
                if before:
                    other = max(before, key=lambda c: (c[1], c[0]))
                    short = min(end - start, other[1] - other[0])
                    overlap = min(end, other[1]) - start
                    together |= overlap > min(max(1_000_000, short // 100), short // 2)
            first, last = kinds[a], kinds[b]
            state = 3 if together else 1 if max(first) < min(last) else 2 if max(last) < min(first) else 0
            operation = (str(spans.service.iloc[parent]), spans["name"].iloc[parent])
            found.setdefault((operation, a, b), [0, 0, 0, 0])[state] += 1
    return found


@pytest.mark.parametrize("unit_ns", [1, 300_000])
@pytest.mark.parametrize("compiled", [False, True])
def test_random_traces_match_the_reference(unit_ns, compiled):
    spans = frame(random_rows(11, 300, unit_ns=unit_ns))
    with forced(compiled):
        found = concurrency(spans)
    expected = reference(spans)
    assert len(expected) > 100
    assert len(found) == len(expected)
    for row in found.itertuples():
        a, b = sorted([row.callee_a, row.callee_b])
        ahead, behind = row.a_before_b, row.b_before_a
        if a != row.callee_a:
            ahead, behind = behind, ahead
        counts = [row.undecided, ahead, behind, row.parallel]
        assert counts == expected[(str(row.service), row.name), a, b]
        assert row.parents == sum(counts)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("compiled", [False, True])
def test_coverage_matches_sets_of_instants(seed, compiled):
    rng = np.random.default_rng(seed)
    n, blocks = 400, 40
    block = rng.integers(0, blocks, n)
    group = block * 3 + rng.integers(0, 3, n)
    start = rng.integers(0, 60, n)
    end = start + rng.integers(0, 12, n)
    with forced(compiled):
        found = coverage(block, group, start, end, blocks * 3)
    for g in range(blocks * 3):
        mine = {t for r in np.flatnonzero(group == g) for t in range(start[r], end[r])}
        rest = {t for r in np.flatnonzero((block == g // 3) & (group != g)) for t in range(start[r], end[r])}
        window = set(range(min(mine), max(mine) + 1)) if mine else set()
        assert found.union[g] == len(mine)
        assert found.alone[g] == len(mine - rest)
        assert found.idle[g] == len(window - mine - rest)


@pytest.mark.parametrize("compiled", [False, True])
def test_path_below_is_the_sum_over_the_subtree(compiled):
    spans = frame(random_rows(4, 100))
    forest = Forest(spans)
    with forced(compiled):
        found = path_below(spans, forest)
    own = np.nan_to_num((ta.critical_time(spans, roots="all") * 1e6).round()).astype(np.int64)
    expected = own.copy()
    for row in range(len(spans)):
        up = forest.parent[row]
        while up >= 0:
            expected[up] += own[row]
            up = forest.parent[up]
    assert found.tolist() == expected.tolist()


def test_neither_row_order_nor_index_nor_time_nor_ids_matter():
    spans = frame(random_rows(8, 200))
    found = concurrency(spans)
    assert len(found) > 50
    mixed = concurrency(spans.sample(frac=1, random_state=3))
    pd.testing.assert_frame_equal(mixed, found, check_categorical=False)
    later = spans.assign(start_time=spans.start_time + pd.Timedelta("400D")).set_axis(spans.index * 7 + 3)
    pd.testing.assert_frame_equal(concurrency(later), found)
    text = concurrency(spans.astype({"name": "str", "service": "str", "trace_id": "str", "kind": "str"}))
    assert text.callee_a.astype(str).tolist() == found.callee_a.astype(str).tolist()
    traces = {t: trace_of(900 - n) for n, t in enumerate(sorted(set(spans.trace_id)))}
    renamed = spans.assign(trace_id=spans.trace_id.astype(str).map(traces).astype("category"))
    pd.testing.assert_frame_equal(concurrency(renamed), found)


def test_weights():
    spans = draw(AB, BOTH, trace((0, 10), (20, 70)))
    found = concurrency(spans)
    pd.testing.assert_frame_equal(concurrency(spans.assign(w=1), weights="w"), found)
    twice = concurrency(spans.assign(w=2.0), weights="w")
    pd.testing.assert_frame_equal(twice, found.assign(weighted_parents=6.0))
    third = (spans.trace_id == trace_of(2)).to_numpy()
    some = only(concurrency(spans.assign(w=np.where(third, 3, 1)), weights="w"))
    assert (some.parents, some.weighted_parents) == (3, 5.0)
    assert some.saving_if_parallel_ms == (20 + 3 * 10) / 4  # over the two in which they were in turn
    assert some.degree == (60 + 80 + 3 * 60) / (60 + 60 + 3 * 60)


def test_empty():
    found, before = concurrency(draw(AB)), draw(AB)
    empty = concurrency(draw())
    assert empty.columns.tolist() == COLUMNS
    assert empty.dtypes.astype(str).tolist() == found.dtypes.astype(str).tolist()
    spans = before.copy()
    concurrency(spans)
    pd.testing.assert_frame_equal(spans, before)


@pytest.mark.parametrize("shape", ["star", "many names", "chain"])
def test_a_hundred_thousand_spans(shape):
    n = 100_000
    letters = "abcdefghij"
    name = [f"op{letters[i % 10]}" for i in range(n)]
    if shape == "many names":
        name = ["op" + "".join(letters[int(d)] for d in str(i)) for i in range(n)]
    wide = {} if shape == "chain" else {"duration_ms": np.r_[n, np.full(n - 1, 12.0)]}
    spans = large_trace("chain" if shape == "chain" else "star", name=name, **wide)
    found = concurrency(spans)
    assert len(found) == {"star": 45, "many names": 435, "chain": 0}[shape]
    if shape == "star":
        assert set(found.relation) == {"parallel"}
        assert found.degree.iloc[0] == pytest.approx(12, rel=1e-3)


def test_the_shop_shows_what_could_be_parallel():
    spans, truth = Shop(seed=9).run(400, faults=[SequentialCalls("frontend GET /", share=0.4)])
    assert "sequential" in set(truth.groups.group_kind)
    found = concurrency(spans)
    here = found[(found["name"] == "GET /") & (found.service == "frontend")]
    remote = here[here.callee_a.str.startswith("CLIENT") & here.callee_b.str.startswith("CLIENT")]
    assert len(remote) == 3
    assert remote.parallelisable.all()
    assert ((remote.parallel > 0) & (remote.a_before_b > 0)).all()
    needed = here.drop(remote.index)
    assert len(needed) == 3  # the page is rendered when all three are there
    assert (needed.relation == "ordered").all()
    assert not needed.parallelisable.any()


def test_real_traces_of_parallel_and_sequential_systems(shared):
    folder = shared / "datasets" / "deathstar_traceweaver"
    media = concurrency(ta.read_parquet(folder / "media.parquet").head(20_000))
    assert media.degree.max() > 1.5
    assert (media.relation == "parallel").any()
    hotel = concurrency(ta.read_parquet(folder / "hotel.parquet").head(20_000))
    assert len(hotel) > 0
    assert (hotel.degree < 1.1).all()
    assert (hotel.relation == "ordered").all()
