"""The critical path: drawn cases, known faults of others, random traces against a second transcription, and properties."""

from __future__ import annotations

import collections
import json

import numpy as np
import pandas as pd
import pytest
import reference_path
from hypothesis import given
from hypothesis import strategies as st
from small_traces import EPOCH_NS, draw, frame, id_of, milliseconds, name_of, random_rows, trace_of

from traceanalytics.analysis import path_kernels
from traceanalytics.analysis.critical_path import critical_path, critical_time
from traceanalytics.errors import OptionError, SchemaError
from traceanalytics.kernels import forced
from traceanalytics.topology import Flag

BOTH = pytest.mark.parametrize("compiled", [False, True])


def sections(text_or_spans, **options):
    """Segments as (name, start, end) in ms, and ``wait`` where that is their state."""
    spans = draw(text_or_spans) if isinstance(text_or_spans, str) else text_or_spans
    path = critical_path(spans, **options)
    found = zip(
        map(name_of, path["span_id"]),
        milliseconds(path["start_time"]),
        milliseconds(path["end_time"]),
        path["state"],
        strict=True,
    )
    return [(*section, state) if state == "wait" else tuple(section) for *section, state in found]


def flags(text, **options):
    """Flags by span, for the spans on the path."""
    path = critical_path(draw(text), **options)
    return dict(zip(map(name_of, path["span_id"]), path["flags"], strict=True))


# -- the nine cases of Jaeger's own tests

CASES = {
    "parallel and sequential": (
        "C web 1-101\n  D web 20-40\n  E web 50-60",
        [("C", 60, 101), ("E", 50, 60), ("C", 40, 50), ("D", 20, 40), ("C", 1, 20)],
    ),
    "overlap": ("X web 1-101\n  A web 10-50\n  C web 20-60", [("X", 60, 101), ("C", 20, 60), ("X", 1, 20)]),
    "child after parent": ("A web 100-140 PRODUCER\n  B web 200-500 CLIENT", [("A", 100, 140)]),
    "grandchild too": ("A web 1-31\n  B web 40-80\n    C web 50-60", [("A", 1, 31)]),
    "asynchronous": ("A web 1-31 PRODUCER\n  B web 10-20 CONSUMER\n    C web 12-14", [("A", 1, 31)]),
    "clip the end, then the start": (
        "A web 1-30\n  B db 15-35\n    C kv 10-25",
        [("B", 25, 30), ("C", 15, 25), ("A", 1, 15)],
    ),
    "clip ends": ("A web 1-30\n  B db 15-35\n    C kv 20-40", [("C", 20, 30), ("B", 15, 20), ("A", 1, 15)]),
    "both sides": ("A web 10-30\n  B db 5-35", [("B", 10, 30)]),
    "child before parent": ("A web 10-30\n  B web 1-5", [("A", 10, 30)]),
}


@BOTH
@pytest.mark.parametrize("case", CASES)
def test_jaegers_cases(case, compiled):
    text, expected = CASES[case]
    with forced(compiled):
        assert sections(text, mode="jaeger") == expected
        if case == "overlap":
            expected = [*expected[:2], ("X", 10, 20, "wait"), ("X", 1, 10)]
        assert sections(text) == expected[::-1]


# -- faults of others, and our answers


def test_back_to_back_calls_are_both_on_the_path():
    text = "P web 100-220\n  A db 100-150\n  B db 150-200"
    assert sections(text) == [("A", 100, 150), ("B", 150, 200), ("P", 200, 220)]
    assert sections(text, mode="jaeger") == [("P", 200, 220), ("B", 150, 200), ("P", 100, 150)]


def test_an_overlap_of_a_microsecond_is_bridged_by_the_tolerance():
    text = "P web 0-100\n  A db 10-50.001\n  B db 50-90"
    assert sections(text) == [("P", 0, 10), ("P", 10, 50, "wait"), ("B", 50, 90), ("P", 90, 100)]
    assert sections(text, tolerance_ms=0.001) == [("P", 0, 10), ("A", 10, 50), ("B", 50, 90), ("P", 90, 100)]
    assert sections(text, tolerance_ms=0.0009) == sections(text)
    path = critical_path(draw(text), tolerance_ms=0.001)
    assert path["flags"].tolist() == ["", "clipped", "", ""]  # A lost its last microsecond


@BOTH
def test_an_orphan_root_has_a_path(compiled):
    text = "P web 0-100 parent=gone\n  A db 10-50"
    with forced(compiled):
        assert sections(text) == [("P", 0, 10), ("A", 10, 50), ("P", 50, 100)]
        assert flags(text) == {"P": "orphan", "A": "orphan"}
        assert sections(text, mode="jaeger") == [("P", 0, 0)]
        assert flags(text, mode="jaeger") == {"P": "orphan"}


def test_a_ring_has_a_path():
    text = "P web 0-100 parent=A\nA db 10-50 parent=P"
    assert sections(text) == [("P", 0, 10), ("A", 10, 50), ("P", 50, 100)]
    assert flags(text) == {"P": "cycle", "A": "cycle"}
    assert flags(text, mode="jaeger") == {"P": "cycle"}
    assert flags("P web 0-9 parent=P") == {"P": "self_parent"}
    assert flags("P web 0-9 parent=P", mode="jaeger") == {"P": "self_parent"}


def test_a_child_that_outlives_its_parent_in_one_service_is_detached():
    text = "P web 0-100\n  A web 20-180\n    B db 30-90\n  C db 10-15"
    assert sections(text) == [("P", 0, 10), ("C", 10, 15), ("P", 15, 100)]
    assert flags(text) == {"P": "detached_child", "C": ""}
    clipped = [("P", 0, 10), ("C", 10, 15), ("P", 15, 20), ("A", 20, 30), ("B", 30, 90), ("A", 90, 100)]
    assert sections(text, overrun="clip") == clipped
    assert flags(text, overrun="clip") == {"P": "", "C": "", "A": "clipped", "B": ""}
    assert sections(text, overrun="ignore") == [("P", 0, 10), ("C", 10, 15), ("P", 15, 100)]


@pytest.mark.parametrize(
    ("parent", "child", "overrun", "on_path"),
    [
        ("web 0-100", "web 50-101", "detach", True),  # 1 ms
        ("web 0-100", "web 50-101.000001", "detach", False),
        ("web 0-1000", "web 50-1010", "detach", True),  # 1 %
        ("web 0-1000", "web 50-1010.000001", "detach", False),
        ("web 0-100", "db 50-500", "detach", True),  # another service: a call that was given up
        ("- 0-100", "- 50-500", "detach", True),  # unknown services are not the same
        ("web 0-100", "db 50-100.5", "ignore", False),
        ("web 0-100", "web 50-100.5", "ignore", True),  # rounding
        ("web 0-100", "web 50-500", "ignore", False),
        ("web 0-100", "web 50-500", "clip", True),
    ],
)
def test_overruns(parent, child, overrun, on_path):
    text = f"P {parent}\n  A {child}"
    found = flags(text, overrun=overrun)
    assert ("A" in found) == on_path
    assert found["P"] == ("" if on_path else "detached_child")
    if on_path:
        assert found["A"] == "clipped"


def test_an_overrun_within_the_tolerance_is_clipped_by_ignore():
    text = "P web 0-100\n  A db 50-100.5"
    assert "A" in flags(text, overrun="ignore", tolerance_ms=0.5)
    assert "A" not in flags(text, overrun="ignore", tolerance_ms=0.4)


@BOTH
def test_a_printed_tutorial_where_each_child_begins_when_its_parent_has_ended(compiled):
    text = "hello web 0-10\n  greetings web 10-30\n    salute web 30-60\n"
    with forced(compiled):
        assert sections(text) == [("hello", 0, 10)]
        assert flags(text) == {"hello": "child_outside"}


@pytest.mark.parametrize("child", ["0-10", "100-110", "200-210", "5-10", "0-0", "200-200"])
def test_children_outside_are_flagged(child):
    assert flags(f"P web 10-100\n  A web {child}") == {"P": "child_outside"}


@pytest.mark.parametrize("child", ["10-10", "100-100", "50-50"])
def test_a_moment_at_an_end_of_its_parent_is_not_outside(child):
    assert flags(f"P web 10-100\n  A web {child}") == {"P": ""}


# -- asynchronous children


def link(to, ref_type="follows_from", trace_id=None):
    return {"trace_id": trace_id or trace_of(0), "span_id": id_of(to), "attributes": {"opentracing.ref_type": ref_type}}


@pytest.mark.parametrize(
    ("cell", "off_path"),
    [
        (json.dumps([link("P")]), True),
        (json.dumps([link("Q"), link("P")]), True),
        (json.dumps([{"span_id": id_of("P"), "attributes": {"opentracing.ref_type": "follows_from"}}]), True),
        (json.dumps([link("P", "child_of")]), False),
        (json.dumps([link("Q")]), False),
        (json.dumps([link("P", trace_id="another")]), False),
        ("follows_from", False),
        ('["follows_from", {"attributes": "follows_from"}, 5, null]', False),
        ('{"follows_from": 1}', False),
        (json.dumps([{"span_id": id_of("P"), "attributes": ["follows_from"]}]), False),
        ("[" * 100_000 + "follows_from", False),
        (None, False),
    ],
)
def test_follows_from(cell, off_path):
    spans = draw("P web 0-100\n  A web 10-50")
    spans["links"] = pd.array([None, cell], dtype="str")
    assert ("A" in [name for name, *_ in sections(spans)]) != off_path
    assert critical_path(spans)["flags"].iloc[0] == ("async_child" if off_path else "")
    assert "A" in [name for name, *_ in sections(spans, mode="jaeger")]  # there it blocks


def test_asynchronous_children_do_not_count_as_running():
    text = "P web 0-100 PRODUCER\n  A web 10-90 CONSUMER\n  B web 20-50"
    assert sections(text) == [("P", 0, 20), ("B", 20, 50), ("P", 50, 100)]
    assert flags(text) == {"P": "async_child", "B": ""}


def test_what_hangs_on_an_asynchronous_untimed_span_is_asynchronous():
    text = "P web 0-100 PRODUCER\n  U web ?-? CONSUMER\n    V web ?-?\n      A web 10-90"
    assert sections(text) == [("P", 0, 100)]
    assert flags(text) == {"P": "async_child,untimed_child"}


# -- waits and ties


def test_waits_end_where_the_last_running_child_does():
    text = "P web 0-100\n  A web 5-30\n  B web 20-60\n  C web 58-80\n  D web 85-90"
    assert sections(text) == [
        ("P", 0, 5),
        ("A", 5, 30),
        ("P", 30, 58, "wait"),
        ("C", 58, 80),
        ("P", 80, 85),
        ("D", 85, 90),
        ("P", 90, 100),
    ]
    assert sections("P web 0-9\n  A web 1-2\n  B web 1.5-6\n  C web 3-5\n  D web 4-8") == [
        ("P", 0, 1),
        ("A", 1, 2),
        ("P", 2, 4, "wait"),
        ("D", 4, 8),
        ("P", 8, 9),
    ]


def test_ties():
    path = critical_path(draw("P web 0-100\n  A web 10-50\n  B web 20-60\n  C web 5-8\n  D web 0-2"))
    tie = dict(zip(map(name_of, path["span_id"]), path["tie_ms"].fillna(-1), strict=True))
    assert tie == {"P": -1, "B": 10, "C": 6, "D": -1}
    path = critical_path(draw("P web 0-100\n  A web 10-60\n  B web 20-60"))
    assert path["tie_ms"].fillna(-1).tolist() == [-1, 0, -1]
    assert name_of(path["span_id"][1]) == "A"  # of equal ends the earlier start
    assert (
        name_of(critical_path(draw("P web 0-9\n  B web 1-6\n  A web 1-6"))["span_id"][1]) == "A"
    )  # then the smaller id


# -- roots


def test_main_and_all_roots():
    text = "A web 0-10\n  a web 2-4\nB web 20-90 parent=gone\n  b web 30-40"
    assert sections(text) == [("A", 0, 2), ("a", 2, 4), ("A", 4, 10)]
    assert flags(text) == {"A": "other_roots", "a": "other_roots"}
    path = critical_path(draw(text), roots="all")
    assert [name_of(root) for root in path["root_span_id"]] == ["A"] * 3 + ["B"] * 3
    assert path["flags"].tolist() == [""] * 3 + ["orphan"] * 3
    assert path["share"].tolist() == pytest.approx([0.2, 0.2, 0.6, 1 / 7, 1 / 7, 5 / 7])
    assert len(critical_path(draw(text), roots="all", mode="jaeger")) == 4


@BOTH
def test_an_untimed_root_is_stood_for_by_what_hangs_below(compiled):
    text = "R web ?-?\n  U web 5-?\n    A web 10-30\n  B web 0-9\n    C web 2-3"
    with forced(compiled):
        assert sections(text) == [("A", 10, 30)]
        assert flags(text) == {"A": "other_roots,untimed_root"}
        every = critical_path(draw(text), roots="all")
        assert {name_of(root) for root in every["root_span_id"]} == {"A", "B"}
        assert set(every["flags"]) == {"untimed_root"}


def test_an_untimed_main_root_without_anything_below_gives_way_to_another_root():
    text = "R web ?-?\nA web 0-9 parent=gone\nB web 0-5 parent=gone"
    assert sections(text) == [("A", 0, 9)]
    assert flags(text) == {"A": "orphan,other_roots"}
    every = critical_path(draw(text), roots="all")
    assert dict(zip(map(name_of, every["span_id"]), every["flags"], strict=True)) == {
        "R": "untimed",
        "A": "orphan",
        "B": "orphan",
    }


@pytest.mark.parametrize("mode", ["partition", "jaeger"])
@pytest.mark.parametrize(
    ("text", "start", "end", "why"),
    [
        ("R web ?-?", None, None, "untimed"),
        ("R web 5-?\n  A web ?-?", 5, None, "untimed"),
        ("R web 5-5\n  A web 5-5", 5, 5, "zero_duration"),
        ("R web 5-5\n  A web 4-6", 5, 5, "zero_duration"),
        ("R web 5-5\n  A web 5-6", 5, 5, "zero_duration,child_outside"),
        ("R web 5-4", 5, 5, "negative_duration"),
        ("R web ?-? parent=gone", None, None, "orphan,untimed"),
    ],
)
def test_never_nothing_without_a_reason(text, start, end, why, mode):
    path = critical_path(draw(text), mode=mode)
    assert (len(path), milliseconds(path["start_time"]), milliseconds(path["end_time"])) == (1, [start], [end])
    assert (path["segment_ms"].tolist(), path["state"].tolist(), path["flags"].tolist()) == ([0.0], ["self"], [why])
    assert path["share"].isna().all()


def test_untimed_children_are_looked_through():
    text = "P web 0-100\n  U web ?-?\n    V web 1-?\n      A web 10-30\n  B web 40-60"
    assert sections(text) == [("P", 0, 10), ("A", 10, 30), ("P", 30, 40), ("B", 40, 60), ("P", 60, 100)]
    assert flags(text) == {"P": "untimed_child", "A": "", "B": ""}


def test_duplicates_are_not_walked():
    text = "P web 0-100\n  A web 10-30\n  A web 10-20"
    assert sections(text) == [("P", 0, 10), ("A", 10, 30), ("P", 30, 100)]
    assert critical_time(draw(text)).fillna(-1).tolist() == [80, 20, -1]


def test_a_negative_child_takes_no_time():
    assert flags("P web 0-9\n  A web 5-3") == {"P": ""}


# -- results


def test_columns_and_types():
    spans = draw("P web 1-3\n  A db 2-3", "Q web 1-3")
    path = critical_path(spans)
    assert path.columns.tolist() == [
        *["trace_id", "root_span_id", "span_id", "service", "name", "start_time", "end_time"],
        *["segment_ms", "state", "share", "tie_ms", "flags"],
    ]
    for column in ("trace_id", "service", "name", "start_time"):
        assert path[column].dtype == spans[column].dtype
    assert path.index.equals(pd.RangeIndex(3))
    assert path["state"].cat.categories.tolist() == ["self", "wait"]
    assert path["flags"].cat.categories.dtype == "str"
    texts = critical_path(spans.astype({"trace_id": "str", "service": "str", "name": "str"}))
    assert (texts["trace_id"].dtype, texts["service"].tolist()) == ("str", ["web", "db", "web"])
    empty = critical_path(spans.iloc[:0])
    assert len(empty) == 0
    for column in path:
        assert str(empty[column].dtype) == str(path[column].dtype), column


def test_critical_time_is_a_series_on_the_index():
    spans = draw("P web 0-100\n  A db 10-30\n  U db ?-?\nQ web 0-5 parent=gone").set_axis(list("wxyz"))
    found = critical_time(spans)
    assert (found.name, found.index.tolist()) == ("critical_ms", list("wxyz"))
    assert found.fillna(-1).tolist() == [80, 20, -1, 0]
    assert critical_time(spans, roots="all").fillna(-1).tolist() == [80, 20, -1, 5]
    assert len(critical_time(spans.iloc[:0])) == 0


def test_options_and_frames_that_are_none():
    spans = draw("P web 0-100")
    for options in (
        {"mode": "jaegr"},
        {"overrun": "cut"},
        {"roots": "some"},
        {"tolerance_ms": -1},
        {"tolerance_ms": np.nan},
    ):
        with pytest.raises(OptionError, match=next(iter(options))):
            critical_path(spans, **options)
    with pytest.raises(SchemaError, match="links"):
        critical_path(spans.drop(columns="links"))
    assert sections(spans, tolerance_ms=1e300) == [("P", 0, 100)]


def test_the_kernels_bits_are_those_of_the_flags():
    for name in ("CLIPPED", "DETACHED_CHILD", "CHILD_OUTSIDE", "ASYNC_CHILD"):
        assert getattr(path_kernels, name) == Flag[name]


# -- against the second transcription


def by_root(path, unit_ns=1):
    """Segments by trace and root, as the reference gives them."""
    found = collections.defaultdict(list)
    start, end = ((path[c].array.asi8 - EPOCH_NS) // unit_ns + 1 for c in ("start_time", "end_time"))
    columns = path["trace_id"], path["root_span_id"], path["span_id"], start.tolist(), end.tolist(), path["state"]
    for trace_id, root, *segment in zip(*columns, strict=True):
        found[trace_id, root].append(tuple(segment))
    return found


def differing(rows, unit_ns, options):
    """How many roots have another path than the reference says, of how many."""
    found = by_root(critical_path(frame(rows), roots="all", **options), unit_ns)
    rule = {"tolerance": round(options.get("tolerance_ms", 0) * 1e6 / unit_ns), "rounding": 1e6 / unit_ns}
    wrong = 0
    for trace_id, spans in reference_path.traces_of(rows, EPOCH_NS, unit_ns).items():
        for root in reference_path.children_of(spans)[1]:
            if options.get("mode") == "jaeger":
                expected = reference_path.jaeger_sections(spans, root) if root["parent"] is None else []
            else:
                expected = reference_path.partition_segments(
                    spans, root, overrun=options.get("overrun", "detach"), **rule
                )
            expected = expected or [(root["id"], root["start"], root["start"], "self")]
            wrong += found[trace_id, root["id"]] != expected
    return wrong, len(found)


@pytest.mark.parametrize("unit_ns", [1, 1_000_000])
@pytest.mark.parametrize("mode", ["jaeger", "detach", "clip", "ignore", "tolerance"])
def test_random_traces_match_the_reference(mode, unit_ns):
    options = {
        "jaeger": {"mode": "jaeger"},
        "tolerance": {"overrun": "ignore", "tolerance_ms": 3e-6 * unit_ns},
    }.get(mode, {"overrun": mode})
    wrong, roots = differing(random_rows(len(mode), 2_000, unit_ns=unit_ns), unit_ns, options)
    assert wrong == 0
    assert roots > 2_000


@pytest.mark.parametrize("mode", ["partition", "jaeger"])
def test_both_modes_of_the_kernels_give_the_same(mode):
    spans = frame(random_rows(5, 300))
    with forced(False):
        plain = critical_path(spans, mode=mode, roots="all")
    with forced(True):
        compiled = critical_path(spans, mode=mode, roots="all")
    pd.testing.assert_frame_equal(plain, compiled)


# -- properties

traces = st.builds(random_rows, st.integers(0, 10**6), st.integers(1, 4), unit_ns=st.sampled_from([1, 1_000_000]))
rules = st.fixed_dictionaries(
    {"roots": st.sampled_from(["main", "all"])},
    optional={
        "overrun": st.sampled_from(["detach", "clip", "ignore"]),
        "tolerance_ms": st.sampled_from([0.000003, 3.0]),
    },
)


def as_set(path, shift_ns=0):
    start, end = (path[c].array.asi8 - shift_ns for c in ("start_time", "end_time"))
    columns = [
        path[c].astype("str").fillna("?") for c in ("trace_id", "root_span_id", "span_id", "state", "flags", "service")
    ]
    return set(zip(*columns, start.tolist(), end.tolist(), path["tie_ms"].fillna(-1), strict=True))


@given(traces, rules)
def test_segments_part_their_root_exactly(rows, options):
    spans = frame(rows)
    path = critical_path(spans, **options)
    times = spans.set_index(["trace_id", "span_id"])
    for (trace_id, root), part in path.groupby(["trace_id", "root_span_id"], sort=False):
        start, end = part["start_time"].array.asi8, part["end_time"].array.asi8
        whole = times.loc[(trace_id, root)]
        assert start[0] == whole["start_time"].value
        assert end[-1] - start[0] == round(whole["duration_ms"] * 1e6)
        assert (start[1:] == end[:-1]).all()
        assert (end > start).all() or len(part) == 1
        joined = (part["span_id"].to_numpy()[1:] == part["span_id"].to_numpy()[:-1]) & (
            part["state"].to_numpy()[1:] == part["state"].to_numpy()[:-1]
        )
        assert not joined.any()
        assert part["share"].isna().all() or part["share"].sum() == pytest.approx(1)
    assert set(path["trace_id"]) == set(spans["trace_id"])
    total = path.groupby("span_id", observed=True)["segment_ms"].sum().sum()
    assert critical_time(spans, **options).sum() == pytest.approx(total)


@given(traces, rules, st.integers(0, 10**6))
def test_the_order_of_rows_changes_nothing(rows, options, seed):
    spans = frame(rows)
    mixed = spans.sample(frac=1, random_state=seed)
    assert as_set(critical_path(spans, **options)) == as_set(critical_path(mixed, **options))
    times = critical_time(spans, **options)
    pd.testing.assert_series_equal(critical_time(mixed, **options).loc[times.index], times)


@given(traces, rules, st.integers(-(10**17), 10**17))
def test_another_clock_changes_nothing(rows, options, shift_ns):
    spans = frame(rows)
    later = spans.assign(start_time=spans["start_time"] + pd.Timedelta(shift_ns, "ns"))
    assert as_set(critical_path(spans, **options)) == as_set(critical_path(later, **options), shift_ns)


@given(traces, rules)
def test_stale_labels_texts_and_index_labels_change_nothing(rows, options):
    spans = frame(rows)
    expected = as_set(critical_path(spans, **options))
    stale = spans.assign(
        trace_id=spans["trace_id"].cat.add_categories([f"x{i}" for i in range(3 * len(spans))]),
        service=spans["service"]
        .cat.add_categories(["unused"])
        .cat.reorder_categories(["unused", *spans["service"].cat.categories]),
    )
    texts = spans.astype(dict.fromkeys(["trace_id", "name", "service", "kind"], "str"))
    labelled = spans.set_axis([f"row {i}" for i in range(len(spans))])
    for other in (stale, texts, labelled):
        assert as_set(critical_path(other, **options)) == expected


# -- size


@BOTH
@pytest.mark.parametrize("shape", ["chain", "sequential", "overlapping", "equal ends"])
def test_fifty_thousand_spans_in_one_trace(shape, compiled):
    n = 50_000
    at = np.arange(n, dtype=np.int64)
    begin = at * 10
    end = {"chain": 40 * n - at, "sequential": begin + 10, "overlapping": begin + 35, "equal ends": np.full(n, 20 * n)}[
        shape
    ]
    begin[0], end[0] = 0, 50 * n
    ids = pd.Series([f"{i:016x}" for i in range(1, n + 1)], dtype="str")
    above = ids.shift() if shape == "chain" else pd.Series([None] + [ids[0]] * (n - 1), dtype="str")
    spans = frame([{"trace_id": "t"}] * n).assign(
        span_id=ids,
        parent_span_id=above,
        start_time=pd.Series(pd.to_datetime(EPOCH_NS + begin, unit="ns", utc=True)),
        duration_ms=(end - begin) / 1e6,
    )
    with forced(compiled):
        for mode in ("partition", "jaeger"):
            path = critical_path(spans, mode=mode)
            length = path["end_time"].array.asi8 - path["start_time"].array.asi8
            assert length.sum() == end[0]
            assert (
                path["span_id"].nunique()
                >= {"chain": n, "sequential": n // 2, "overlapping": n // 4, "equal ends": 2}[shape] - 1
            )
