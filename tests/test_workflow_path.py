"""Workflow paths: hand-drawn ones, and random traces against a plain walk."""

from __future__ import annotations

import json
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from small_traces import draw, frame, id_of, name_of, random_rows, trace_of

import traceanalytics as ta
from traceanalytics.analysis.workflows import workflow_path
from traceanalytics.errors import SchemaError
from traceanalytics.kernels import forced


def linked(spans, **targets):
    """Links by name of span: lists of (trace number, name)."""
    for name, found in targets.items():
        text = json.dumps([{"trace_id": trace_of(number), "span_id": id_of(to)} for number, to in found])
        spans.loc[spans["name"] == name, "links"] = text
    return spans


def steps(spans):
    """(workflow, name, work, wait, flags) of each row, the workflow as a number."""
    found = workflow_path(spans)
    return [
        (
            int(row.workflow_id, 16) - 1,
            row.name,
            row.work_ms,
            None if np.isnan(row.queue_wait_ms) else row.queue_wait_ms,
        )
        + ((row.flags,) if row.flags else ())
        for row in found.itertuples(index=False)
    ]


ORDER = "r web 0-40 SERVER\n  p web 10-15 PRODUCER"


def test_across_traces_by_link():
    spans = linked(draw(ORDER, "q bill 50-60 CONSUMER\n  i bill 52-70"), q=[(0, "p")])
    assert steps(spans) == [(0, "r", 15, None), (0, "q", 20, 35)]


def test_within_a_trace_by_parent():
    assert steps(draw(ORDER + "\n    q bill 50-60 CONSUMER")) == [(0, "r", 15, None), (0, "q", 10, 35)]


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        # through local spans, below a client, below another service's span
        ("r web 0-40\n  p web 10-15 PRODUCER\n    i web 11-14\n      q bill 50-60 CONSUMER", [("r", 15), ("q", 10)]),
        ("r web 0-40\n  p web 10-15 CLIENT\n    q bill 50-60 CONSUMER", [("r", 15), ("q", 10)]),
        ("r web 0-40 SERVER\n  q bill 50-60 CONSUMER", [("r", 40), ("q", 10)]),
        # no message: a server, a consumer below its own service's server
        ("r web 0-40 CLIENT\n  s bill 5-30 SERVER", [("r", 40)]),
        ("r bill 0-40 CONSUMER\n  q bill 5-30 CONSUMER", [("r", 40)]),
        # two queues
        (
            "r web 0-40\n  p web 1-2 PRODUCER\n    q bill 5-9 CONSUMER\n      s bill 6-7 PRODUCER\n        t ship 20-30 CONSUMER",
            [("r", 2), ("q", 2), ("t", 10)],
        ),
        # the consumer that finished last, not the one that began last
        (
            "r web 0-9\n  p web 1-2 PRODUCER\n    q bill 5-90 CONSUMER\n  s web 3-4 PRODUCER\n    t ship 20-30 CONSUMER",
            [("r", 2), ("q", 85)],
        ),
        # what was sent counts, even if the origin went on for longer
        ("r web 0-100\n  p web 1-2 PRODUCER\n    q bill 5-9 CONSUMER", [("r", 2), ("q", 4)]),
        # nothing sent
        ("r web 0-9\n  a web 1-20", [("r", 20)]),
        ("r web 0-9 parent=none\nt web 5-30 parent=none", [("t", 25)]),
    ],
)
def test_stages(picture, expected):
    assert [(name, work) for _, name, work, *_ in steps(draw(picture))] == expected


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (
            "r w 0-40\n  p w 10-15 PRODUCER\n    q b 12-30 CONSUMER",
            [(0, "r", 12, None), (0, "q", 18, 0, "early_start")],
        ),
        (
            "r w 50-90\n  p w 10-15 PRODUCER\n    q b 12-30 CONSUMER",
            [(0, "r", 0, None, "negative_work"), (0, "q", 18, 0, "early_start")],
        ),
        ("r w 0-9 parent=elsewhere", [(0, "r", 9, None, "orphan")]),
    ],
)
def test_flags(picture, expected):
    assert steps(draw(picture)) == expected


def test_untimed_spans():
    found = workflow_path(draw("r w 0-40\n  p w ?-? PRODUCER\n    q b 12-30 CONSUMER"))
    assert found["flags"].tolist() == ["untimed", "untimed"]
    assert np.isnan(found["work_ms"][0])
    assert found["work_ms"][1] == 18
    assert found["queue_wait_ms"].isna().all()
    found = workflow_path(draw("r w 5-? SERVER"))
    assert found["flags"].tolist() == ["untimed"]


def test_the_last_of_several_sources():
    spans = draw("r web 0-9\n  p web 1-2 PRODUCER", "s web 3-20\n  o web 4-8 PRODUCER", "q bill 50-60 CONSUMER")
    spans = linked(spans, q=[(0, "p"), (1, "o"), (1, "o")])
    assert steps(spans) == [(0, "s", 5, None), (0, "q", 10, 42, "several_sources")]


def test_missing_sources():
    spans = linked(draw("q bill 50-60 CONSUMER", "o bill 70-80 CONSUMER"), q=[(7, "p")], o=[(0, "x"), (0, "q")])
    assert steps(spans) == [(0, "q", 10, None, "missing_source"), (0, "o", 10, 10, "missing_source")]


def test_links_that_send_nothing():
    """Within a trace only a producer sends; a span does not send to its own stage."""
    spans = linked(draw("r web 0-9 SERVER\n  a web 1-2\n  b web 3-4\n  p web 5-6 PRODUCER"), b=[(0, "a")], p=[(0, "p")])
    assert steps(spans) == [(0, "r", 9, None)]
    spans = linked(draw("r web 0-9 SERVER\n  p web 1-2 PRODUCER\n  b web 3-4"), b=[(0, "p")])
    assert steps(spans) == [(0, "r", 2, None), (0, "b", 1, 1)]


def test_requests_linked_to_requests():
    spans = linked(draw("r web 0-9 SERVER", "s web 20-30 SERVER", "t web 40-50 SERVER"), s=[(0, "r")], t=[(1, "s")])
    assert steps(spans) == [(0, "r", 9, None), (0, "s", 10, 11), (0, "t", 10, 10)]


def test_circles_end():
    spans = linked(draw("r web 0-9 SERVER", "s web 20-30 SERVER"), r=[(1, "s")], s=[(0, "r")])
    assert steps(spans) == [(0, "r", 9, None, "cycle"), (0, "s", 10, 11)]


def test_workflows_are_in_order_of_time():
    spans = linked(draw("q bill 50-60 CONSUMER", "a web 30-31", "b web 10-20"), q=[(2, "b")])
    found = workflow_path(spans)
    assert [int(x, 16) - 1 for x in found["workflow_id"]] == [2, 2, 1]
    assert found["step"].tolist() == [0, 1, 0]
    assert found["name"].tolist() == ["b", "q", "a"]


def rough_spans(seed):
    rows = random_rows(seed, 20, most=8, unit_ns=1_000_000)
    rng = np.random.default_rng(seed)
    for row in rows:
        row["links"] = None
        if rng.random() < 0.12:
            found = [rows[int(rng.integers(len(rows)))] for _ in range(2)]
            row["links"] = json.dumps([{"trace_id": x["trace_id"], "span_id": x["span_id"]} for x in found])
    return rows, frame(rows)


def plain_paths(rows):  # noqa: C901 - the rules from end to end
    """First spans of the steps of each workflow, by the documented rules."""
    ids = {(row["trace_id"], row["span_id"]): at for at, row in enumerate(rows)}
    parent = [ids.get((row["trace_id"], row["parent_span_id"])) for row in rows]
    begin = [row["start_ns"] for row in rows]
    end = [row["start_ns"] + row["duration_ns"] for row in rows]
    outgoing = [row["kind"] in ("CLIENT", "PRODUCER") for row in rows]
    service = [row["service"] for row in rows]

    def enters(r):
        if parent[r] is None:
            return False
        above = waiting(parent[r])
        answers = above is not None and (
            rows[r]["kind"] == "CONSUMER" or (rows[r]["kind"] == "SERVER" and rows[above]["kind"] == "CLIENT")
        )
        return answers or service[r] != service[parent[r]]

    def waiting(r):
        while not outgoing[r]:
            if rows[r]["kind"] not in ("INTERNAL", "UNSPECIFIED") or parent[r] is None or enters(r):
                return None
            r = parent[r]
        return r

    senders = defaultdict(set)
    for r, row in enumerate(rows):
        if row["kind"] == "CONSUMER" and enters(r):
            above = waiting(parent[r])
            senders[r].add(parent[r] if above is None else above)
        for link in json.loads(row["links"] or "[]"):
            t = ids[link["trace_id"], link["span_id"]]
            if link["trace_id"] != row["trace_id"] or rows[t]["kind"] == "PRODUCER":
                senders[r].add(t)

    def head(r):
        while r not in senders and parent[r] is not None:
            r = parent[r]
        return r

    stages = defaultdict(list)
    for r in range(len(rows)):
        stages[head(r)].append(r)
    before, group = {}, {row["trace_id"]: row["trace_id"] for row in rows}
    for r, found in senders.items():
        others = [s for s in found if head(s) != r]
        if others:
            before[r] = max(others, key=lambda s: (end[s], begin[s], rows[s]["span_id"]))
        for s in others:
            old, new = group[rows[r]["trace_id"]], group[rows[s]["trace_id"]]
            group = {t: new if g == old else g for t, g in group.items()}
    workflows = defaultdict(list)
    for h in stages:
        workflows[group[rows[h]["trace_id"]]].append(h)
    paths = []
    for found in workflows.values():
        last = max(
            found,
            key=lambda h: (
                h in before,
                max(end[r] for r in stages[h]),
                begin[h],
                rows[h]["trace_id"],
                rows[h]["span_id"],
            ),
        )
        path = [last]
        while path[-1] in before and head(before[path[-1]]) not in path:
            path.append(head(before[path[-1]]))
        finish = max(end[r] for r in stages[last])
        paths.append(([(rows[h]["trace_id"], rows[h]["span_id"]) for h in reversed(path)], begin[path[-1]], finish))
    return paths


@pytest.mark.parametrize("seed", range(10))
def test_against_a_plain_walk(seed):
    rows, spans = rough_spans(seed)
    with forced(seed == 0):
        found = workflow_path(spans)
    mine = [
        list(zip(part["trace_id"], part["span_id"], strict=True))
        for _, part in found.groupby("workflow_id", observed=True, sort=False)
    ]
    plain = plain_paths(rows)
    assert sorted(mine) == sorted(path for path, *_ in plain)
    assert max(map(len, mine)) > 1
    span = {path[0]: (finish - begin) / 1e6 for path, begin, finish in plain}
    for _, part in found.groupby("workflow_id", observed=True):
        if not part["flags"].str.contains("negative_work").any():
            total = part["work_ms"].sum() + part["queue_wait_ms"].sum()
            assert total == pytest.approx(span[part["trace_id"].iloc[0], part["span_id"].iloc[0]])


def test_row_order_index_and_types_do_not_matter():
    _, spans = rough_spans(11)
    found = workflow_path(spans)
    before = spans.copy()
    mixed = spans.sample(frac=1, random_state=1).astype(
        {"trace_id": "str", "service": "str", "name": "str", "kind": "str"}
    )
    again = workflow_path(mixed)
    pd.testing.assert_frame_equal(
        again.astype({"flags": "str"}),
        found.astype(dict.fromkeys(("workflow_id", "trace_id", "service", "name", "flags"), "str")),
        check_dtype=False,
    )
    pd.testing.assert_frame_equal(spans, before)
    assert found["trace_id"].dtype == spans["trace_id"].dtype


def test_weights_are_handed_on():
    _, spans = rough_spans(12)
    spans["w"] = spans["trace_id"].map(lambda t: 1.0 + int(t, 16) % 3).astype("float64")
    found = workflow_path(spans, weights="w")
    assert found.pop("weight").tolist() == [1.0 + int(t, 16) % 3 for t in found["trace_id"]]
    pd.testing.assert_frame_equal(found, workflow_path(spans))
    with pytest.raises(SchemaError, match="no usable weight"):
        workflow_path(spans, weights=pd.Series(-1, index=spans.index))


def test_no_spans():
    empty, full = workflow_path(draw()), workflow_path(draw("r web 0-9"))
    assert len(empty) == 0
    assert empty.columns.equals(full.columns)
    assert empty.dtypes.astype(str).equals(full.dtypes.astype(str))


def test_a_frame_without_links():
    spans = draw("r web 0-9").drop(columns="links")
    assert steps(spans) == [(0, "r", 9, None)]


def test_long_workflows():
    n = 3_000
    spans = draw(*(f"n{number} web {number}-{number + 0.5}" for number in range(n)))
    spans["links"] = pd.array(
        [None, *(json.dumps([{"trace_id": trace_of(at), "span_id": id_of(f"n{at}")}]) for at in range(n - 1))],
        dtype="str",
    )
    found = workflow_path(spans)
    assert found["step"].tolist() == list(range(n))
    assert found["queue_wait_ms"].iloc[1:].eq(0.5).all()
    assert name_of(found["span_id"].iloc[-1]) == f"n{n - 1}"


def test_real_traces(corpus, shared):
    spans = ta.read(corpus / "otlp_json" / "oteldemo_collector_file_exporter_mixed.jsonl")
    found = workflow_path(spans)
    assert set(found["trace_id"]) <= set(spans["trace_id"])
    # Its frontend links its requests to those of the proxy, whose traces are in the file.
    assert (found["step"] == 1).sum() == spans["links"].notna().sum() == 53
    assert found["step"].max() == 1
    table = pd.read_parquet(shared / "datasets" / "wild_samples" / "zipkin.parquet", dtype_backend="numpy_nullable")
    found = workflow_path(ta.conform(table, columns={"start_time_ns": "start_ns"}))
    assert found["step"].max() >= 1
    assert (found["queue_wait_ms"].dropna() >= 0).all()
    assert (found["work_ms"].dropna() >= 0).all()
