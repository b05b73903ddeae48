"""The columns of the widget: compared with a plain-Python reading of the frame, and their size."""

from __future__ import annotations

import importlib.resources
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_traces import draw, id_of
from strategies import span_frames

import traceanalytics as ta
from traceanalytics.widgets.linking import compressed, link
from traceanalytics.widgets.packing import Bit, Rows, bitset
from traceanalytics.widgets.shown_texts import shown_text

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

NAT = np.iinfo(np.int64).min
KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
STATUSES = ["UNSET", "OK", "ERROR"]
SHOP = """
    checkout web 0-100 SERVER
      reserve stock 10-50 CLIENT
        select db 15-35 CLIENT
      charge payment 60-95 CLIENT ERROR
"""


def unpacked(rows):
    """The buffers as a front end reads them."""
    found = {}
    for name, data in rows.buffers().items():
        kind = {
            "_start": "<f8",
            "_end": "<f8",
            "_parent": "<i4",
            "_bits": "<u2",
            "_path_end": "<f8",
            "_event_time": "<f8",
        }
        width = {"_name": len(data) // max(len(rows), 1), "_service": len(data) // max(len(rows), 1)}
        dtype = kind.get(name) or ("<i4" if name not in width else f"<u{width[name] or 1}")
        found[name] = np.frombuffer(data, dtype).tolist()
    return found


def in_order(spans):
    """Positions in pre-order, and the parent's position of each: dictionaries and a stack, nothing shared with the package."""
    start = spans["start_time"].array.asi8.tolist()
    trace, own, above = (spans[c].tolist() for c in ("trace_id", "span_id", "parent_span_id"))
    at = {(t, s): i for i, (t, s) in enumerate(zip(trace, own, strict=True))}
    parent = [at.get((t, p), -1) if isinstance(p, str) else -1 for t, p in zip(trace, above, strict=True)]
    key = [(math.inf if s == NAT else s, i) for s, i in zip(start, own, strict=True)]
    children = {}
    for i, p in enumerate(parent):
        children.setdefault((trace[i], p) if p < 0 else p, []).append(i)
    order = []
    for t in dict.fromkeys(trace):
        stack = sorted(children.get((t, -1), []), key=key.__getitem__, reverse=True)
        while stack:
            order.append(i := stack.pop())
            stack += sorted(children.get(i, []), key=key.__getitem__, reverse=True)
    return order, parent


@given(span_frames(max_spans=12), st.randoms(use_true_random=False))
def test_columns_are_those_of_a_plain_reading(spans, random):
    spans = spans.sample(frac=1, random_state=random.randrange(2**32))
    order, parent = in_order(spans)
    rows = Rows(spans)
    found, traces = unpacked(rows), rows.traces()
    assert rows.position.tolist() == order
    place = {i: row for row, i in enumerate(order)} | {-1: -1}
    assert found["_parent"] == [place[parent[i]] for i in order]
    names, services = spans["name"].tolist(), spans["service"].tolist()
    assert [rows.names[code] for code in found["_name"]] == [shown_text(names[i]) or "(no name)" for i in order]
    no_service = 255
    assert [None if c == no_service else rows.services[c] for c in found["_service"]] == [
        services[i] if isinstance(services[i], str) else None for i in order
    ]
    bits = found["_bits"]
    assert [KINDS[b & 7] for b in bits] == [spans["kind"].iloc[i] for i in order]
    assert [STATUSES[b >> 3 & 3] for b in bits] == [spans["status"].iloc[i] for i in order]
    assert [bool(b & Bit.ERROR) for b in bits] == [bool(ta.is_error(spans).iloc[i]) for i in order]
    assert [bool(b & Bit.EVENTS) for b in bits] == [isinstance(spans["events"].iloc[i], str) for i in order]
    assert [bool(b & Bit.LINKS) for b in bits] == [isinstance(spans["links"].iloc[i], str) for i in order]
    check_times(spans, order, found, traces)
    check_events(spans, place, found, traces)


def check_times(spans, order, found, traces):
    begin, length = spans["start_time"].array.asi8.tolist(), spans["duration_ms"].tolist()
    for trace in traces:
        origin = begin[order[trace["main_row"]]]
        mine = range(trace["first_row"], trace["first_row"] + trace["n_rows"])
        if origin == NAT:
            origin = min((begin[order[row]] for row in mine if begin[order[row]] != NAT), default=NAT)
        assert trace["started_at"] == ("" if origin == NAT else pd.Timestamp(origin, tz="UTC").isoformat())
        for row in mine:
            start = begin[order[row]]
            assert same(found["_start"][row], math.nan if start == NAT else (start - origin) / 1e6)
            ns = round(max(length[order[row]], 0) * 1e6) if not math.isnan(length[order[row]]) else None
            assert same(found["_end"][row], math.nan if start == NAT or ns is None else (start + ns - origin) / 1e6)


def check_events(spans, place, found, traces):
    expected = []
    origin = {}
    for trace in traces:
        for row in range(trace["first_row"], trace["first_row"] + trace["n_rows"]):
            origin[row] = pd.Timestamp(trace["started_at"]).value if trace["started_at"] else None
    for i, cell in enumerate(spans["events"].tolist()):
        for event in json.loads(cell) if isinstance(cell, str) else []:
            row = place[i]
            if origin[row] is not None:
                expected.append((~row if event["name"] == "exception" else row, (event["time"] - origin[row]) / 1e6))
    assert list(zip(found["_event_row"], found["_event_time"], strict=True)) == expected


def same(found, expected):
    return found == expected or (math.isnan(found) and math.isnan(expected))


@given(span_frames(min_spans=1, max_spans=12))
def test_the_path_is_that_of_critical_path(spans):
    rows = Rows(spans)
    found = unpacked(rows)
    path = ta.critical_path(spans)
    path = path[path["start_time"].notna() & path["end_time"].notna()]
    ids = spans["span_id"].tolist()
    row_of = {(spans["trace_id"].iloc[i], ids[i]): row for row, i in enumerate(rows.position.tolist())}
    expected = [
        ~row_of[t, s] if state == "wait" else row_of[t, s]
        for t, s, state in zip(path["trace_id"], path["span_id"], path["state"], strict=True)
    ]
    assert found["_path_row"] == expected
    at = 0
    for trace in rows.traces():
        assert trace["first_segment"] == at
        ends = found["_path_end"][at : at + trace["n_segments"]]
        begins = [trace["path_start_ms"], *ends][: len(ends)]
        mine = path["segment_ms"].iloc[at : at + trace["n_segments"]].tolist()
        assert [end - begin for begin, end in zip(begins, ends, strict=True)] == pytest.approx(mine, abs=1e-3)
        at += trace["n_segments"]
    assert at == len(path)


def test_a_small_trace_column_by_column():
    rows = Rows(draw(SHOP))
    found = unpacked(rows)
    assert rows.names == ["charge", "checkout", "reserve", "select"]
    assert found["_name"] == [1, 2, 3, 0]
    assert found["_start"] == [0, 10, 15, 60]
    assert found["_end"] == [100, 50, 35, 95]
    assert found["_parent"] == [-1, 0, 1, 0]
    assert [b & 7 for b in found["_bits"]] == [2, 3, 3, 3]
    assert [bool(b & Bit.ERROR) for b in found["_bits"]] == [False, False, False, True]
    assert found["_path_row"] == [0, 1, 2, 1, 0, 3, 0]
    assert found["_path_end"] == [10, 15, 35, 50, 60, 95, 100]
    assert rows.path_ms.tolist() == [25, 20, 20, 35]
    assert rows.traces() == [
        {
            "id": "0" * 31 + "1",
            "title": "web: checkout · 100 ms · 4 spans · 4 services · 1 error",
            "first_row": 0,
            "n_rows": 4,
            "first_segment": 0,
            "n_segments": 7,
            "path_start_ms": 0.0,
            "main_row": 0,
            "first_ms": 0.0,
            "last_ms": 100.0,
            "started_at": "2025-10-09T08:53:20+00:00",
        }
    ]


def test_loose_roots_detached_children_duplicates_and_unknown_times():
    spans = draw("""
        a web 0-100
          late web 50-200
          slow db 50-200
          open db ?-?
          half db 5-?
        lost web 10-20 parent=gone
    """)
    spans = pd.concat([spans, spans.iloc[[1]]], ignore_index=True)
    rows = Rows(spans)
    by_name = {rows.names[code]: row for row, code in enumerate(rows.name.tolist())}
    assert len(rows) == 6
    assert [n for n, row in by_name.items() if rows.bits[row] & Bit.LOOSE] == ["lost"]
    assert [n for n, row in by_name.items() if rows.bits[row] & Bit.DETACHED] == ["late"]
    assert np.isnan(rows.start[by_name["open"]])
    assert rows.start[by_name["half"]] == 5
    assert np.isnan(rows.end[[by_name["open"], by_name["half"]]]).all()


def test_the_path_of_an_untimed_root_starts_where_its_first_child_does():
    rows = Rows(draw("a web ?-?\n  b db 5-25\n    c db 10-20"))
    (trace,) = rows.traces()
    assert (trace["path_start_ms"], rows.path.end.tolist()) == (0, [5, 15, 20])


def test_each_trace_has_its_own_clock():
    rows = Rows(draw("a web 500-600", "b web 5-25\n  c web 6-7"))
    assert rows.start.tolist() == [0, 0, 1]
    assert [trace["first_row"] for trace in rows.traces()] == [0, 1]


def test_links_are_resolved_and_seen_from_both_ends():
    spans = draw("a web 0-10\n  b web 1-2", "c web 20-30")
    links = [{"trace_id": spans["trace_id"].iloc[0], "span_id": id_of("b")}, {"trace_id": "9", "span_id": id_of("a")}]
    spans.loc[2, "links"] = json.dumps(links)
    rows = Rows(spans)
    assert [bool(b & Bit.LINKS) for b in rows.bits] == [False, False, True]
    assert [bool(b & Bit.LINKED) for b in rows.bits] == [False, True, False]
    assert rows.links.linked_from(1) == [2]
    assert rows.links.row_of(spans["trace_id"].iloc[0], id_of("b")) == 1
    assert rows.links.row_of("9", id_of("a")) is None


def test_cells_that_are_no_lists_of_items_do_no_harm():
    spans = draw(SHOP).assign(events="no JSON", links='{"a": 1}')
    rows = Rows(spans)
    assert len(rows.buffers()["_event_row"]) == 0
    assert all(b & Bit.EVENTS and b & Bit.LINKS for b in rows.bits)


@pytest.mark.parametrize("count", [256, 65_537])
def test_many_services_and_names_widen_their_columns(count):
    ids = [f"{i + 1:016x}" for i in range(count)]
    names = pd.Categorical([f"n{i}" for i in range(count)])
    t = pd.Timestamp("2026-01-01", tz="UTC")
    frame = pd.DataFrame({"trace_id": "a1", "span_id": ids, "name": names, "service": names, "start_time": t})
    rows = Rows(ta.conform(frame.assign(duration_ms=1.0)))
    found = unpacked(rows)
    assert [rows.names[code] for code in found["_name"][:3]] == ["n0", "n1", "n2"]
    assert len(set(found["_service"])) == count


@pytest.mark.parametrize("missing", ["no service", "all services"])
def test_the_highest_number_is_no_service(missing):
    spans = draw(SHOP)
    spans["service"] = None if missing == "no service" else spans["service"]
    found = unpacked(Rows(spans))
    assert (255 in found["_service"]) == (missing == "no service")


def test_text_columns_serve_where_the_schema_says_category():
    spans = draw(SHOP)
    plain = spans.astype(dict.fromkeys(("trace_id", "name", "service", "kind", "status"), "str"))
    one, other = Rows(spans), Rows(plain)
    assert [one.names[c] for c in one.name] == [other.names[c] for c in other.name]
    assert one.bits.tolist() == other.bits.tolist()


@given(st.lists(st.booleans(), max_size=40))
def test_bits_of_a_mask(mask):
    data = bitset(np.array(mask, dtype=bool))
    assert [bool(data[row >> 3] >> (row & 7) & 1) for row in range(len(mask))] == mask
    assert len(data) == (len(mask) + 7) // 8


def test_columns_take_at_most_28_bytes_a_span_and_32_with_path_and_events():
    import generate

    spans = generate.forest(20_000, 20)
    event = '[{"time":1760000000000000000,"name":"exception","attributes":{}}]'
    spans["events"] = pd.array(np.where(np.arange(len(spans)) % 4 == 0, event, None), dtype="str")
    size = {name: len(data) / len(spans) for name, data in Rows(spans).buffers().items()}
    extra = [size.pop(name) for name in ("_path_row", "_path_end", "_event_row", "_event_time")]
    assert sum(size.values()) <= 28
    assert sum(size.values()) + sum(extra) <= 32
    assert all(extra)


def test_a_deep_chain_and_no_loop_over_spans():
    import generate

    spans = generate.chain(60_000)
    rows = Rows(spans)
    assert rows.depth.max() == len(spans) - 1
    assert len(rows.buffers()["_parent"]) == 4 * len(spans)


def test_static_files_are_in_the_package_and_link_into_one_small_module():
    static = importlib.resources.files("traceanalytics.widgets") / "static"
    for name in ("waterfall.js", "standalone.js", "base.css", "waterfall.css"):
        assert (static / name).is_file(), name
    text = link("waterfall.js")
    assert text.count("export default") == 1
    assert not re.search(r"^import\b", text, re.MULTILINE)
    assert len(compressed(text)) < 60_000


def test_linking_puts_what_is_needed_first_and_once(tmp_path):
    (tmp_path / "a.js").write_text(
        'import { b } from "./b.js";\nimport { c } from "./c.js";\nexport default { b, c };\n'
    )
    (tmp_path / "b.js").write_text('// said\nimport { c } from "./c.js";\nexport const b = c + 1;\n')
    (tmp_path / "c.js").write_text("/**\n * said\n */\nexport const c = `\n  x\n`;\n\n  c; // kept\n")
    found = link("a.js", tmp_path)
    assert found.index("const c") < found.index("const b") < found.index("export default { b, c };")
    assert (found.count("const c"), found.count("import")) == (1, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('import x from "./c.js";\n', "import x from"),
        ('import { c } from "https://example.com/c.js";\n', "https://example"),
        ("export { c };\n", "export { c }"),
        ('import { a } from "./a.js";\n', "a.js -> b.js -> a.js: modules import each other"),
    ],
)
def test_linking_refuses_other_forms(tmp_path, text, message):
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nexport default { b };\n')
    (tmp_path / "b.js").write_text(f"{text}export const b = 1;\n")
    (tmp_path / "c.js").write_text("export const c = 1;\n")
    with pytest.raises(ValueError, match=message):
        link("a.js", tmp_path)
