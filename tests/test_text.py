"""``tree``, ``to_text`` and ``to_mermaid``: a trace to read."""

from __future__ import annotations

import re
import unicodedata

import pytest
from small_traces import draw

import traceanalytics as ta

SHOP = """
    root   web   0-100   SERVER
      auth  web   0-10
      call  web   10-60   CLIENT
        cart  cart  12-50   SERVER ERROR
          db   cart  20-40   CLIENT
      other web   30-40
"""


def test_the_tree_reads_from_top_to_bottom():
    found = ta.tree(draw(SHOP).iloc[::-1])
    assert [label.rstrip() for label in found["label"]] == [
        "root",
        "· auth",
        "· call",
        "· · cart",
        "· · · db",
        "· other",
    ]
    assert found["offset_ms"].tolist() == [0, 0, 10, 12, 20, 30]
    assert found["duration_ms"].tolist() == [100, 10, 50, 38, 20, 10]
    assert found["self_ms"].tolist() == [40, 10, 12, 18, 20, 10]
    assert found["status"].tolist() == ["UNSET"] * 3 + ["ERROR", "UNSET", "UNSET"]
    assert sorted(found.index) == list(range(6))
    assert list(found.columns) == ["label", "service", "offset_ms", "duration_ms", "self_ms", "status"]


def test_the_tree_of_a_chain_stays_narrow():
    rows = [
        {
            "trace_id": "a" * 32,
            "span_id": f"{i + 1:016x}",
            "parent_span_id": f"{i:016x}" if i else None,
            "name": "x" * 500,
            "start_ns": i,
            "duration_ns": 9,
        }
        for i in range(3_000)
    ]
    found = ta.tree(ta.read_records(rows))
    assert found["label"].str.len().max() < 200
    assert "[2999]" in found["label"].iloc[-1]


def test_the_tree_of_nothing():
    assert len(ta.tree(draw())) == 0


def columns(line):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


@pytest.mark.parametrize("width", [60, 100, 160])
def test_the_text_keeps_its_width(width, corpus):
    spans = ta.read_otlp(corpus / "otlp_json" / "oteldemo_collector_file_exporter_mixed.jsonl")
    one = ta.trace(spans, ta.summary(spans)["spans"].idxmax())
    lines = ta.to_text(one, width=width).splitlines()
    assert len(lines) >= len(one) + 2
    assert max(map(columns, lines)) <= width


def test_the_text_shows_errors_and_the_path():
    text = ta.to_text(draw(SHOP))
    rows = {line.split()[0]: line for line in text.splitlines()[2:]}
    assert "!" in rows["cart"]
    assert "!" not in rows["db"]
    assert "█" in rows["db"]
    assert "█" not in rows["other"].rpartition("ms")[2]
    assert "░" in rows["other"]


def test_hostile_names_stay_in_their_line():
    spans = draw("a web 0-5").assign(name="x\x1b[31m\n\r\ty\u202e<b>\u2028z", service="s\n")
    text = ta.to_text(spans)
    assert len(text.splitlines()) == len(ta.to_text(draw("a web 0-5")).splitlines())
    assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c != "\n"]


def test_wide_characters_count_twice():
    spans = draw("a web 0-5\n  b web 1-2").assign(name="日本語のとても長い名前" * 9)
    assert max(map(columns, ta.to_text(spans, width=80).splitlines())) <= 80


def test_a_span_that_is_on_the_path_from_start_to_end_is_drawn_so():
    lines = ta.to_text(draw("r web 0-412\n  a web 22-51\n  b web 158-365")).splitlines()
    assert [set(line.split("ms ")[-1].strip()) for line in lines[3:5]] == [{"█"}, {"█"}]


def test_too_many_rows_are_folded():
    text = ta.to_text(draw("r web 0-900\n" + "\n".join(f"  c{i} web {i}-{i + 1}" for i in range(300))), max_rows=50)
    assert len(text.splitlines()) < 60
    assert "folded" in text or "+251" in text


@pytest.mark.parametrize("options", [{"width": 10}, {"width": "wide"}, {"max_rows": 0}, {"max_rows": True}])
def test_options_are_checked(options):
    (name, value), *_ = options.items()
    with pytest.raises(ta.OptionError, match=f"{name}={value!r}"):
        ta.to_text(draw(SHOP), **options)


def test_several_traces_follow_each_other():
    text = ta.to_text(draw(SHOP, "alone web 0-5"))
    assert text.count(" · trace ") == 2
    assert ta.to_text(draw()) == "no spans"


def test_a_mermaid_gantt():
    lines = ta.to_mermaid(draw(SHOP)).splitlines()
    assert lines[0] == "gantt"
    assert [line.strip() for line in lines if line.strip().startswith("section")] == ["section web", "section cart"]
    bars = [line.strip() for line in lines if re.search(r":[^:]*s\d+,", line)]
    assert len(bars) == 6
    assert "db (20 ms) :crit, s4, 20, 40" in bars
    assert "other (10 ms) :s5, 30, 40" in bars


def test_no_name_breaks_out_of_a_mermaid_line():
    spans = draw("a web 0-5").assign(name="x: y; #1\nsection evil\n%% c", service="s:\nclick")
    lines = ta.to_mermaid(spans).splitlines()
    assert len(lines) == len(ta.to_mermaid(draw("a web 0-5")).splitlines())
    bar = lines[-1]
    assert bar.count(":") == 1
    assert "click" not in [line.strip() for line in lines]


def test_mermaid_takes_one_trace():
    with pytest.raises(ta.OptionError, match="2 traces"):
        ta.to_mermaid(draw(SHOP, SHOP))
