"""What other tools were seen to get wrong, and what this package answers; more of it stands in test_critical_path."""

from __future__ import annotations

import itertools
import json
import re
import shutil

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from small_traces import EPOCH_NS, draw, frame, milliseconds, name_of, random_rows, trace_of

import traceanalytics as ta

ANALYSES = {
    "attribute_errors": ta.attribute_errors,
    "call_tree": ta.call_tree,
    "concurrency": ta.concurrency,
    "critical_path": ta.critical_path,
    "critical_path_profile": lambda spans: ta.critical_path_profile(spans, resamples=20),
    "critical_time": ta.critical_time,
    "diagnose": ta.diagnose,
    "error_rates": ta.error_rates,
    "exceptions": ta.exceptions,
    "folded_stacks": ta.folded_stacks,
    "hierarchy": ta.hierarchy,
    "latency_breakdown": ta.latency_breakdown,
    "n_plus_one": ta.n_plus_one,
    "operations": ta.operations,
    "retries": ta.retries,
    "self_time": ta.self_time,
    "service_graph": ta.service_graph,
    "span_graph": ta.span_graph,
    "summary": ta.summary,
    "to_jaeger": ta.to_jaeger,
    "to_mermaid": ta.to_mermaid,
    "to_otlp": ta.to_otlp,
    "to_text": ta.to_text,
    "to_zipkin": ta.to_zipkin,
    "trace_shapes": ta.trace_shapes,
    "tree": ta.tree,
    "workflow_path": ta.workflow_path,
}

WRITERS = {"to_jaeger", "to_otlp", "to_zipkin"}
"""They make an object of every span."""


def whole_ns(milliseconds_):
    return (milliseconds_ * 1e6).round().astype("int64")


def sections(spans, **options):
    """Segments as (name, start, end) in ms."""
    path = ta.critical_path(spans, **options)
    names = map(name_of, path["span_id"])
    return list(zip(names, milliseconds(path["start_time"]), milliseconds(path["end_time"]), strict=True))


def one_trace(n, parent, begin_ns, end_ns):
    """A trace of ``n`` spans of one service; ``parent`` gives the position of each span's parent, -1 for none."""
    ids = np.array([f"{at:016x}" for at in range(1, n + 1)], dtype=object)
    rows = frame(
        [{"trace_id": trace_of(0), "name": "work", "service": "web", "kind": "INTERNAL", "status": "UNSET"}] * n
    )
    return rows.assign(
        span_id=pd.array(ids, dtype="str"),
        parent_span_id=pd.array(np.where(parent < 0, None, ids[parent]), dtype="str"),
        start_time=pd.Series(pd.to_datetime(EPOCH_NS + begin_ns, unit="ns", utc=True)),
        duration_ms=(end_ns - begin_ns) / 1e6,
    )


def chain(n):
    at = np.arange(n, dtype=np.int64)
    return one_trace(n, at - 1, at, 3 * n - at)


def overlapping(n):
    """A root of ``n`` children, each of which runs together with the three before it and the three after it."""
    at = np.arange(n + 1, dtype=np.int64)
    begin, end = at * 10_000, at * 10_000 + 35_000
    begin[0], end[0] = 0, (n + 50) * 10_000
    return one_trace(n + 1, np.where(at == 0, -1, 0), begin, end)


# -- flame graphs that no tool could draw


@pytest.mark.parametrize("value", ["critical", "self"])
def test_flame_graphs_are_lines_of_frames_and_one_whole_number(value):
    rows = random_rows(3, 200, unit_ns=1_000)
    odd = ["a;b", "GET /cart/42", "x <<7>>", " padded ", "two\nlines", "ends in 12", ";", ""]
    for at, row in enumerate(rows):
        row["name"] = odd[at % len(odd)]
    spans = frame(rows)
    deepest = ta.hierarchy(spans)["depth"].max() + 2  # the frame of what is unknown above an orphan comes first
    lines = ta.folded_stacks(spans, value=value)
    assert len(lines) > 100
    for line in lines:
        stack, number = re.fullmatch(r"(\S[^\n\r]*) (\d+)", line).groups()
        assert int(number) > 0
        frames = stack.split(";")
        assert 1 <= len(frames) <= deepest
        assert all(frames)
    assert len({line.rpartition(" ")[0] for line in lines}) == len(lines)


# -- files that landed in the folder of the input, and were then read as traces


def test_nothing_is_written_beside_the_input(corpus, tmp_path):
    folder = tmp_path / "traces"
    folder.mkdir()
    for file in sorted((corpus / "jaeger_json").glob("traceweaver_nodejs_node_load150_*.json"))[:3]:
        shutil.copy(file, folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert len(before) == 3
    spans = ta.read_jaeger(folder)
    first = ta.trace(spans, spans["trace_id"].iloc[0])
    for analysis in ANALYSES.values():
        analysis(first)
    ta.to_parquet(spans, tmp_path / "out.parquet")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.parquet", "traces"]
    pd.testing.assert_frame_equal(ta.read_jaeger(folder), spans)


# -- traces that were too deep or too wide


@pytest.mark.parametrize("analysis", ANALYSES)
@pytest.mark.parametrize("n", [1_000, 100_000])
def test_deep_chains(n, analysis):
    n = min(n, 20_000) if analysis in WRITERS else n
    spans = chain(n)
    found = ANALYSES[analysis](spans)
    expected = {
        "call_tree": lambda: found["depth"].tolist() == list(range(n)),
        "critical_path": lambda: whole_ns(found["segment_ms"]).sum() == 3 * n and found["span_id"].nunique() == n,
        "critical_path_profile": lambda: found["share"].tolist() == [1],
        "critical_time": lambda: whole_ns(found).sum() == 3 * n and (found > 0).all(),
        "error_rates": lambda: found["calls"].sum() == n,
        "folded_stacks": lambda: len(found) <= 201,
        "hierarchy": lambda: found["depth"].tolist() == list(range(n)),
        "latency_breakdown": lambda: whole_ns(found["critical_ms"]).sum() == 3 * n,
        "operations": lambda: found["calls"].sum() == 1,  # the root is the only call that came from outside
        "self_time": lambda: whole_ns(found).sum() == 3 * n and (found > 0).all(),
        "service_graph": lambda: [data["spans"] for _, data in found.nodes(data=True)] == [n],
        "span_graph": lambda: (len(found), nx.is_directed_acyclic_graph(found)) == (n, True),
        "summary": lambda: found[["spans", "depth"]].to_numpy().tolist() == [[n, n - 1]],
        "to_jaeger": lambda: len(ta.read_jaeger(found)) == n,
        "to_mermaid": lambda: 200 <= found.count("\n") <= 210,
        "to_otlp": lambda: len(ta.read_otlp(found)) == n,
        "to_text": lambda: 200 <= found.count("\n") <= 210,
        "to_zipkin": lambda: len(json.loads(found)) == n,
        "trace_shapes": lambda: found["depth"].tolist() == [n - 1],
        "tree": lambda: len(found) == n,
        "workflow_path": lambda: whole_ns(found["work_ms"]).sum() == 3 * n,
    }
    assert expected.get(analysis, lambda: len(found) == 0)()


@pytest.mark.parametrize("analysis", sorted(set(ANALYSES) - WRITERS))
def test_fifty_thousand_children_at_the_same_time(analysis):
    # Work that grew with the square of the siblings, 2.5e9 steps here, would not end.
    n = 50_000
    spans = overlapping(n)
    found = ANALYSES[analysis](spans)
    window = 10_000 * (n + 50)
    expected = {
        "call_tree": lambda: found["calls"].tolist() == [1, n],
        "critical_path": lambda: whole_ns(found["segment_ms"]).sum() == window,
        "critical_path_profile": lambda: found["share"].tolist() == [1],
        "critical_time": lambda: whole_ns(found).sum() == window,
        "error_rates": lambda: found["calls"].sum() == n + 1,
        "folded_stacks": lambda: [line.partition(" ")[0] for line in found] == ["web:work", "web:work;web:work"],
        "hierarchy": lambda: found["n_children"].iloc[0] == n,
        "latency_breakdown": lambda: whole_ns(found["critical_ms"]).sum() == window,
        "n_plus_one": lambda: found["calls"].tolist() == [n],
        "operations": lambda: found["calls"].tolist() == [1],
        # All the time but before the first child and after the last one is covered.
        "self_time": lambda: whole_ns(found[:1]).tolist() == [10_000 + window - (10_000 * n + 35_000)],
        "service_graph": lambda: [data["spans"] for _, data in found.nodes(data=True)] == [n + 1],
        "span_graph": lambda: found.number_of_edges() == n,
        "summary": lambda: found[["spans", "depth"]].to_numpy().tolist() == [[n + 1, 1]],
        "to_mermaid": lambda: 200 <= found.count("\n") <= 210,
        "to_text": lambda: 200 <= found.count("\n") <= 210,
        "trace_shapes": lambda: found["spans"].tolist() == [n + 1],
        "tree": lambda: len(found) == n + 1,
        "workflow_path": lambda: whole_ns(found["work_ms"]).sum() == window,
    }
    assert expected.get(analysis, lambda: len(found) == 0)()  # nothing failed, and nothing is odd


# -- clocks


def test_a_server_whose_clock_is_0_9_s_off_stays_within_the_window_of_the_root():
    text = """
        root web 0-1000 SERVER
          call web 10-990 CLIENT
            serve db {0}-{1} SERVER
              query db {2}-{3}
    """
    for skew in (900, -900, 2_000, -2_000):
        spans = draw(text.format(20 + skew, 980 + skew, 100 + skew, 800 + skew))
        found = sections(spans)
        assert (found[0][1], found[-1][2]) == (0, 1_000)
        assert all(a[2] == b[1] for a, b in itertools.pairwise(found))
        assert ta.critical_time(spans).sum() == 1_000
        # The time of the call stays in the call, whichever side of it has the wrong clock.
        within = sum(end - start for name, start, end in found if name != "root")
        assert within == 980
        assert ("serve" in [name for name, *_ in found]) == (abs(skew) == 900)
        assert (ta.self_time(spans) >= 0).all()
        rules = set(ta.diagnose(spans)["rule"])
        assert rules & {"begins_before_parent", "ends_after_parent", "begins_after_parent_ended"}


# -- reports over several endpoints, and over next to nothing


def test_one_report_over_several_endpoints_says_of_each_what_it_says_alone():
    get = "r web 0-{0} SERVER name=GET\n  q db 10-{1} CLIENT name=find"
    post = "r web 0-{0} SERVER name=POST\n  q db 0-{1} CLIENT name=insert"
    texts = [text.format(100 + at, 40 + 2 * at) for at in range(10) for text in (get, post)]
    spans = draw(*texts)
    roots = ta.summary(spans)["root_name"].astype("str")
    both = ta.operations(spans).astype({"name": "str"}).set_index("name")
    profile = ta.critical_path_profile(spans, resamples=0).astype({"name": "str"}).set_index("name")
    assert sorted(profile.index) == ["GET", "POST", "find", "insert"]
    assert profile["share"].sum() == pytest.approx(1)
    for name, callee in (("GET", "find"), ("POST", "insert")):
        alone = spans[spans["trace_id"].isin(roots.index[roots == name])]
        pd.testing.assert_frame_equal(ta.operations(alone).astype({"name": "str"}).set_index("name"), both.loc[[name]])
        one = ta.critical_path_profile(alone, resamples=0).astype({"name": "str"}).set_index("name")
        assert sorted(one.index) == sorted([name, callee])
        assert one["critical_mean_ms"].sum() == pytest.approx(104.5)
        # Each endpoint is half of the requests, and never more of them on the path than alone.
        assert profile.loc[[name, callee], "critical_mean_ms"].sum() == pytest.approx(104.5 / 2)


def test_traces_without_a_root_and_too_few_of_them_still_give_every_table():
    few = draw("a web 0-10 parent=gone\n  b db 2-4", "c web 0-5 parent=gone")
    assert sections(few) == [("a", 0, 2), ("b", 2, 4), ("a", 4, 10), ("c", 0, 5)]
    assert set(ta.critical_path(few)["flags"]) == {"orphan"}
    profile = ta.critical_path_profile(few)
    assert profile["share"].sum() == pytest.approx(1)
    one = ta.critical_path_profile(few[few["name"] == "c"])
    assert one["share"].tolist() == [1]
    assert one[["share_low", "share_high"]].isna().all(axis=None)  # one trace says nothing of others
    assert not ta.summary(few)["complete"].any()
    assert ta.diagnose(few).set_index("rule").loc["traces_without_root", "count"] == 2
    for name, analysis in ANALYSES.items():
        for spans in (few[few["name"] == "c"], few.iloc[:0]):
            if name != "to_mermaid" or len(spans):
                analysis(spans)


# -- trees that depended on the order of rows


def test_nested_overflows_are_clipped_alike_in_any_order_of_rows():
    # Every child overflows a parent that is itself clipped; children first would be clipped against unclipped parents.
    spans = draw("A web 10-30\n  B db 5-35\n    C kv 0-40\n      D disk 20-50\n    E kv 12-60\n  F db 0-12")
    expected = sections(spans)
    assert (expected[0][1], expected[-1][2]) == (10, 30)
    assert len(expected) > 1
    jaeger = sections(spans, mode="jaeger")
    for order in itertools.islice(itertools.permutations(range(len(spans))), 0, None, 7):  # every seventh of the 720
        mixed = spans.iloc[list(order)]
        assert sections(mixed) == expected
        assert sections(mixed, mode="jaeger") == jaeger


def test_every_span_without_a_parent_is_a_root():
    spans = draw("A web 0-10\n  a web 2-4\nB web 50-90 parent=none\n  b web 60-70\nC web 20-30 parent=none")
    found = ta.critical_path(spans, roots="all")
    times = found.groupby("root_span_id", observed=True, sort=False)["segment_ms"].sum()
    assert {name_of(root): time for root, time in times.items()} == {"A": 10, "B": 40, "C": 10}
    assert sections(spans) == [("B", 50, 60), ("b", 60, 70), ("B", 70, 90)]  # the one that covers most time
    assert set(ta.critical_path(spans)["flags"]) == {"other_roots"}
    assert ta.diagnose(spans)["rule"].tolist() == ["several_roots"]
