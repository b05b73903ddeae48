"""N+1: repeated calls, their cost, and what only looks like them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from small_traces import draw, frame, id_of, large_trace, random_rows

import traceanalytics as ta
from traceanalytics.analysis.critical_path import critical_path
from traceanalytics.analysis.fingerprints import fingerprint_codes
from traceanalytics.analysis.repeated_calls import n_plus_one
from traceanalytics.analysis.retry_groups import retries
from traceanalytics.errors import OptionError
from traceanalytics.kernels import forced
from traceanalytics.simulate import NPlusOne, RetriesExhausted, RetriesRecovered, Shop
from traceanalytics.topology import Forest

COLUMNS = [
    "trace_id",
    "caller_span_id",
    "service",
    "name",
    "callee",
    "calls",
    "total_ms",
    "path_ms",
    "share",
    "pattern",
    "saving_if_one_ms",
    "saving_if_parallel_ms",
    "span_ids",
    "weight",
]


def calls(n, *, every=10, length=10, begin=0, mark="CLIENT name=GET/item/{i}", letter="c"):
    return "\n".join(
        f"  {letter}{i} web {begin + every * i}-{begin + every * i + length} {mark.format(i=i)}" for i in range(n)
    )


def trace(*parts, end=100):
    return draw("\n".join([f"r web 0-{end} SERVER", *parts]))


def test_sequential():
    spans = trace(calls(6, every=12, begin=5))
    found = n_plus_one(spans)
    assert found.columns.tolist() == COLUMNS
    assert found.drop(columns="trace_id").to_dict("records") == [
        {
            "caller_span_id": id_of("r"),
            "service": "web",
            "name": "r",
            "callee": "CLIENT GET/item/?",
            "calls": 6,
            "total_ms": 60.0,
            "path_ms": 60.0,
            "share": 0.6,
            "pattern": "sequential",
            "saving_if_one_ms": 50.0,
            "saving_if_parallel_ms": 50.0,
            "span_ids": json.dumps([id_of(f"c{i}") for i in range(6)]),
            "weight": 1.0,
        }
    ]


def test_concurrent_with_a_pool_of_two():
    found = n_plus_one(trace(calls(8, every=5, length=10, begin=10))).iloc[0]
    # All but the last end as the next but one begins: 10-55 is covered, every other call is on the path.
    assert (found.pattern, found.calls, found.total_ms) == ("concurrent", 8, 80.0)
    assert found.path_ms == 40.0
    assert (found.saving_if_one_ms, found.saving_if_parallel_ms) == (30.0, 30.0)


def test_all_at_once_is_concurrent_and_saves_nothing_by_being_parallel():
    lengths = [10, 12, 14, 16, 20]
    found = n_plus_one(trace("\n".join(f"  c{i} web 5-{5 + n} name=call" for i, n in enumerate(lengths)))).iloc[0]
    assert (found.pattern, found.path_ms) == ("concurrent", 20.0)
    assert (found.saving_if_parallel_ms, found.saving_if_one_ms) == (0.0, pytest.approx(20 - 14.4))


@pytest.mark.parametrize(
    ("sum_ms", "pattern"), [("0-12 12-24 24-36 36-48 40-50", "sequential"), ("0-12 1-13 2-14 3-15 4-16", "concurrent")]
)
def test_pattern(sum_ms, pattern):
    lines = [f"  c{i} web {times} name=call" for i, times in enumerate(sum_ms.split())]
    assert n_plus_one(trace("\n".join(lines))).pattern.tolist() == [pattern]


def test_the_limits():
    assert len(n_plus_one(trace(calls(4)))) == 0
    assert len(n_plus_one(trace(calls(4)), min_calls=4)) == 1
    quick = trace(calls(6, length=1.5))
    assert len(n_plus_one(quick)) == 0
    assert len(n_plus_one(quick, min_ms=9)) == 1
    small = trace(calls(6), end=1300)  # 60 of 1300 is below 5 %
    assert len(n_plus_one(small)) == 0
    assert len(n_plus_one(small, min_share=0.04)) == 1
    off = trace(calls(6), "  x web 0-95 name=other")
    assert len(n_plus_one(off)) == 0
    found = n_plus_one(off, min_share=0, min_ms=0).iloc[0]
    assert (found.path_ms, found.share, found.saving_if_one_ms, found.saving_if_parallel_ms) == (0, 0, 0, 0)


def test_what_runs_beside_still_has_to_be_waited_for():
    # x runs beside the calls until 48: of their 60 ms on the path only the last 12 can be saved.
    found = n_plus_one(trace(calls(6), "  x web 0-48 name=other")).iloc[0]
    assert (found.path_ms, found.saving_if_one_ms, found.saving_if_parallel_ms) == (60.0, 12.0, 12.0)


def test_what_is_below_the_calls_counts_as_theirs():
    below = "\n".join(
        f"  c{i} web {10 * i}-{10 * i + 10} CLIENT name=call\n    s{i} db {10 * i}-{10 * i + 9} SERVER"
        for i in range(5)
    )
    found = n_plus_one(trace(below)).iloc[0]
    assert (found.calls, found.path_ms) == (5, 50.0)


def test_failed_calls_and_retries_do_not_count():
    loop = calls(7, mark="CLIENT name=same").replace("c2 web 20-30", "c2 web 20-30 ERROR")
    spans = trace(loop)
    assert retries(spans).attempts.tolist() == [2]
    found = n_plus_one(spans).iloc[0]
    assert json.loads(found.span_ids) == [id_of(f"c{i}") for i in (0, 1, 4, 5, 6)]
    assert len(n_plus_one(trace(calls(7, mark="CLIENT ERROR name=same")))) == 0
    assert len(n_plus_one(trace(calls(6, mark="CLIENT name=same").replace("c2 web 20-30", "c2 web 20-30 ERROR")))) == 0


def test_a_call_that_tells_of_its_own_retries_is_one_call():
    spans = trace(calls(5)).assign(
        **{"span.http.resend_count": pd.array([None, 1, None, None, 1, None], dtype="Int64")}
    )
    assert len(retries(spans)) == 2
    assert n_plus_one(spans).calls.tolist() == [5]


def test_untimed_calls_count_and_take_no_time():
    found = n_plus_one(trace(calls(5), "  u web ?-? CLIENT name=GET/item/9", "  v web 60-? CLIENT name=GET/item/8"))
    assert (found.calls.tolist(), found.total_ms.tolist()) == ([7], [50.0])
    assert found.saving_if_one_ms.tolist() == [40.0]


def decoy(lines, **columns):
    spans = trace(lines, end=2000)
    return n_plus_one(spans.assign(**{k: [None, *v] for k, v in columns.items()}), min_share=0.01)


SAME = "CLIENT name=query"


def test_fan_out_to_shards_is_none():
    at_once = calls(12, every=0.5, length=100, mark=SAME)
    assert decoy(at_once).calls.tolist() == [12]
    assert len(decoy(at_once, **{"span.server.address": [f"shard{i}" for i in range(12)]})) == 0
    assert len(decoy(at_once, **{"span.db.namespace": [f"shard_{i}" for i in range(12)]})) == 0
    assert len(decoy(at_once, **{"span.app.shard.id": list(range(12))})) == 0
    assert len(decoy(at_once, **{"span.db.query.text": [f"SELECT a FROM t_shard_{i}" for i in range(12)]})) == 0
    assert decoy(at_once, **{"span.app.shard.id": [3] * 12}).calls.tolist() == [12]


def test_polling_is_none():
    assert len(decoy(calls(8, every=60, length=10, mark=SAME))) == 0
    assert decoy(calls(8, every=25, length=10, mark=SAME)).calls.tolist() == [8]  # works longer than it calls
    assert decoy(calls(40, every=11, length=2, mark=SAME)).calls.tolist() == [40]  # 9 ms of work on each item
    work = "\n".join(f"  w{i} web {60 * i + 10}-{60 * i + 60} name=work{i}x" for i in range(8))
    assert decoy(calls(8, every=60, length=10, mark=SAME) + "\n" + work).calls.tolist() == [8]  # not idle


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("span.url.full", "http://shop/items?page={i}&size=50"),
        ("span.http.url", "http://shop/items?size=50&next_page_token=ab{i}x"),
        ("span.db.statement", "SELECT * FROM item LIMIT 50 OFFSET {o}"),
        ("span.db.query.text", "SELECT * FROM item LIMIT {o}, 50"),
        ("span.app.cursor", "c{i}"),
        ("span.db.query.parameter.offset", "{o}"),
        ("other_attributes", '{{"span.pageToken":"t{i}"}}'),
    ],
)
def test_pagination_is_none(key, value):
    pages = [value.format(i=i, o=50 * i) for i in range(6)]
    assert len(decoy(calls(6, mark=SAME), **{key: pages})) == 0
    assert len(decoy(calls(6, mark=SAME), **{key: [None, *pages[1:]]})) <= (key != "span.app.cursor")
    first = [value.format(i=0, o=0)] * 6
    assert decoy(calls(6, mark=SAME), **{key: first}).calls.tolist() == [6]  # the first page of many lists


def test_pages_in_names():
    assert len(decoy(calls(6, mark="CLIENT name=list/page/{i}"))) == 0


def test_hedges_and_caches_are_none():
    hedged = "  a web 0-400 CLIENT name=get\n  b web 100-300 CLIENT name=get"
    cache = "\n".join(
        f"  g{i} web {60 * i}-{60 * i + 20} CLIENT name=GET\n  s{i} web {60 * i + 30}-{60 * i + 50} CLIENT name=SET"
        for i in range(4)
    )
    assert len(decoy(hedged)) == 0
    assert len(decoy(cache)) == 0


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"min_calls": 1}, "min_calls=1 is no repetition"),
        ({"min_share": 1.5}, "min_share=1.5 is no share"),
        ({"min_share": np.nan}, "min_share=nan"),
        ({"min_ms": -1}, "min_ms=-1 is no length"),
        ({"weights": "w"}, "weights='w' is no column"),
    ],
)
def test_options(options, match):
    with pytest.raises(OptionError, match=match):
        n_plus_one(draw("r web 0-1"), **options)


def below(forest, row):
    rows, at = [row], 0
    while at < len(rows):
        rows += forest.children_of(rows[at]).tolist()
        at += 1
    return rows


def reference(spans, min_calls):
    """Groups by a loop over parents, union and time alone by the nanosecond."""
    forest, codes = Forest(spans), fingerprint_codes(spans).codes
    segments = critical_path(spans, roots="all")
    own = {}
    for key, ms in zip(zip(segments.trace_id, segments.span_id, strict=True), segments.segment_ms, strict=True):
        own[key] = own.get(key, 0) + round(ms * 1e6)
    path_of = [own.get(key, 0) for key in zip(spans.trace_id, spans.span_id, strict=True)]
    found = {}
    for parent in range(len(spans)):
        children = forest.children_of(parent).tolist()
        for code in {codes[c] for c in children}:
            mine = [c for c in children if codes[c] == code]
            if len(mine) < min_calls:
                continue

            def covered(rows, parent=parent):
                low, high = (forest.start[parent], forest.end[parent]) if forest.timed[parent] else (-(2**62), 2**62)
                instants = set()
                for r in rows:
                    if forest.timed[r]:
                        instants |= set(range(max(forest.start[r], low), min(forest.end[r], high)))
                return instants

            union = covered(mine)
            alone = union - covered(set(children) - set(mine))
            length = [int(forest.end[r] - forest.start[r]) for r in mine if forest.timed[r]] or [0]
            path = sum(path_of[r] for c in mine for r in below(forest, c))
            one = min(max(path - sum(length) / len(length), 0), len(alone))
            together = min(max(path - max(length), 0), len(alone))
            found[frozenset(mine)] = (path, sum(length), one, together)
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("compiled", [False, True])
def test_random_traces_match_the_reference(seed, compiled):
    spans = frame(
        [row | {"name": f"op{'ab'[i % 2]}", "kind": "CLIENT"} for i, row in enumerate(random_rows(seed, 120))]
    )
    with forced(compiled):
        found = n_plus_one(spans, min_calls=2, min_share=0, min_ms=0)
    row_of = {key: row for row, key in enumerate(zip(spans.trace_id, spans.span_id, strict=True))}
    columns = ["path_ms", "total_ms", "saving_if_one_ms", "saving_if_parallel_ms"]
    numbers = (found[columns] * 1e6).to_numpy().tolist()
    got = {
        frozenset(row_of[trace_id, i] for i in json.loads(ids)): values
        for trace_id, ids, values in zip(found.trace_id, found.span_ids, numbers, strict=True)
    }
    expected = reference(spans, 2)
    assert len(expected) > 60
    assert set(got) == set(expected)
    for group, values in expected.items():
        assert got[group] == pytest.approx(values)


def test_neither_row_order_nor_index_nor_time_matter():
    spans = Shop(seed=5).run(
        150, faults=[NPlusOne(("user GET /users/{id}", "orders-db SELECT * FROM users WHERE id = $1"))]
    )[0]
    found = n_plus_one(spans)
    assert len(found) > 3
    mixed = n_plus_one(spans.sample(frac=1, random_state=1))
    key = ["trace_id", "caller_span_id"]
    pd.testing.assert_frame_equal(
        mixed.sort_values(key, ignore_index=True), found.sort_values(key, ignore_index=True), check_categorical=False
    )
    later = spans.assign(start_time=spans.start_time + pd.Timedelta("99D")).set_axis(spans.index * 3 + 1)
    pd.testing.assert_frame_equal(n_plus_one(later), found)
    text = n_plus_one(spans.astype({"name": "str", "service": "str", "trace_id": "str", "kind": "str"}))
    assert text.span_ids.tolist() == found.span_ids.tolist()


def test_weights_and_empty():
    spans = trace(calls(6))
    before = spans.copy()
    found = n_plus_one(spans)
    pd.testing.assert_frame_equal(spans, before)
    pd.testing.assert_frame_equal(n_plus_one(spans.assign(w=1), weights="w"), found)
    pd.testing.assert_frame_equal(n_plus_one(spans.assign(w=2), weights="w"), found.assign(weight=2.0))
    empty = n_plus_one(draw())
    assert empty.columns.tolist() == COLUMNS
    assert empty.dtypes.astype(str).tolist() == found.dtypes.astype(str).tolist()


@pytest.mark.parametrize("shape", ["star", "chain"])
def test_a_hundred_thousand_spans(shape):
    assert n_plus_one(large_trace(shape)).calls.tolist() == ([99_999] if shape == "star" else [])


def test_the_shop_without_faults_has_none():
    spans, truth = Shop(seed=4).run(400)
    assert {"fan_out", "polling", "pagination", "cache"} <= set(truth.groups.group_kind)
    assert len(n_plus_one(spans)) == 0
    assert len(n_plus_one(spans, min_calls=3)) == 0  # of two calls nobody can tell a poll
    assert len(retries(spans)) == 0


def groups(found):
    return {frozenset((t, i) for i in json.loads(ids)) for t, ids in zip(found.trace_id, found.span_ids, strict=True)}


def injected(truth, kind):
    members = truth.groups[(truth.groups.group_kind == kind) & ~truth.groups.decoy]
    return {frozenset(zip(g.trace_id, g.span_id, strict=True)) for _, g in members.groupby("group")}


def test_the_shop_with_faults_has_those():
    edge = ("user GET /users/{id}", "orders-db SELECT * FROM users WHERE id = $1")
    spans, truth = Shop(seed=6).run(600, faults=[NPlusOne(edge, count=12, share=0.5)])
    expected = injected(truth, "n_plus_one")
    assert len(expected) > 10
    assert groups(n_plus_one(spans, min_ms=0, min_share=0)) == expected
    found = n_plus_one(spans)
    assert 0 < len(found) < len(expected)
    assert groups(found) < expected
    assert (found.path_ms >= 10).all()
    together, truth = Shop(seed=6).run(400, faults=[NPlusOne(("frontend GET /", "product GET /featured"), share=0.5)])
    found = n_plus_one(together, min_ms=0, min_share=0)
    assert groups(found) == injected(truth, "n_plus_one")
    assert set(found.pattern) == {"concurrent"}


@pytest.mark.parametrize("form", ["siblings", "events", "attributes"])
@pytest.mark.parametrize("fault", [RetriesRecovered, RetriesExhausted])
def test_the_shop_with_retries_has_those_and_no_n_plus_one(form, fault):
    spans, truth = Shop(seed=2).run(
        600, faults=[fault(("cart POST /orders", "payment POST /charges"), share=0.9, form=form, attempts=6)]
    )
    expected = injected(truth, "retry")
    found = retries(spans)
    assert len(expected) > 10
    assert groups(found) == expected
    assert found.attempts.tolist() == [6] * len(found)
    assert set(found.outcome) == {"recovered" if fault is RetriesRecovered else "exhausted"}
    assert set(found.evidence) == {form}
    assert len(n_plus_one(spans)) == 0


@pytest.mark.parametrize(
    "name",
    [
        "deathstar_traceweaver/media",
        "deathstar_traceweaver/hotel",
        "wild_samples/opensearch_demo",
        "wild_samples/zipkin",
    ],
)
def test_real_traces(shared, name):
    spans = ta.read_parquet(shared / "datasets" / f"{name}.parquet").head(20_000)
    found = n_plus_one(spans)
    assert (found.calls >= 5).all()
    assert (found.path_ms >= 10).all()
    assert found.share.between(0.05, 1.000001).all()
    assert (found.saving_if_one_ms <= found.path_ms).all()
    everything = n_plus_one(spans, min_ms=0, min_share=0)
    assert groups(found) <= groups(everything)
    assert bool(len(everything)) == name.startswith("wild")
    assert (retries(spans).attempts >= 2).all()
