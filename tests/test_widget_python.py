"""The widget as Python sees it: options, selection, filter, messages of the browser, pictures. No browser is needed."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from small_traces import draw, id_of
from strategies import span_frames

import traceanalytics as ta
from traceanalytics.errors import QueryError
from traceanalytics.widgets import Waterfall, waterfall

PNG = b"\x89PNG\r\n"
VIEW = "application/vnd.jupyter.widget-view+json"
SHOP = """
    checkout web 0-100 SERVER
      reserve stock 10-50 CLIENT
        select db 15-35 CLIENT
      charge payment 60-95 CLIENT ERROR
      audit web 50-55 INTERNAL
"""
OTHER = "b web 5-25\n  c cart 6-7"
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "\u202egnp.exe\u2066",
    "a\x00b\x1b[31mc",
    "half \ud800 of a pair \udc00",
    "x" * 1_000_000,
    '"; DROP TABLE spans; --',
    "${7*7} `id` {{7*7}} %s {0}",
    "\u2028\u2029\r\n\t",
    "]]>&amp;&#60;",
]


@pytest.fixture
def spans():
    made = draw(SHOP, OTHER)
    made["span.http.route"] = pd.Series(["/cart", "/cart", None, "/pay", None, None, "/c"], dtype="category")
    made["span.retries"] = pd.array([1, None, 2, None, None, None, 1], dtype="Int64")
    made["span.cached"] = pd.array([True, None, False, None, None, None, None], dtype="boolean")
    return made.set_axis(range(100, 107))


@pytest.fixture
def w(spans):
    return waterfall(spans)


def send(widget, buffers=(), **state):
    """What arrives when the browser sets values."""
    data = {"method": "update", "state": state, "buffer_paths": []}
    widget._handle_msg({"content": {"data": data}, "buffers": list(buffers)})


def ask(widget, message, monkeypatch):
    """What the kernel answers to a message of the browser."""
    answers = []
    monkeypatch.setattr(type(widget), "send", lambda _, content: answers.append(content))
    widget._handle_msg({"content": {"data": {"method": "custom", "content": message}}, "buffers": []})
    return answers


def test_a_widget_says_what_it_holds_and_nothing_that_changes(w, spans):
    assert repr(w) == "Waterfall(2 traces, 7 spans)"
    assert repr(waterfall(spans.iloc[[0]])) == "Waterfall(1 trace, 1 span)"


def test_selected_rows_come_back_as_rows_of_the_frame(w, spans):
    assert w.selected.empty
    assert w.selected.columns.equals(spans.columns)
    w.selected_rows = [4, 1]
    pd.testing.assert_frame_equal(w.selected, spans.loc[[101, 103]])


def test_a_click_in_the_browser_selects_and_calls_observers(w):
    seen = []
    w.observe(lambda change: seen.append(change["new"]), "selected_rows")
    send(w, selected_rows=[2])
    assert (seen, w.selected["name"].tolist()) == ([[2]], ["select"])


def test_spans_are_selected_by_their_ids(w):
    w.select([id_of("c"), id_of("reserve")])
    assert w.selected["name"].tolist() == ["reserve", "c"]
    assert w.selected_rows == [6, 1]
    w.select(id_of("audit"))
    assert w.selected["name"].tolist() == ["audit"]
    with pytest.raises(ta.OptionError, match="no span here has the id '7'"):
        w.select(["7"])


def test_the_query_finds_the_selection_again(w, spans):
    w.selected_rows = [1, 6]
    pd.testing.assert_frame_equal(spans[ta_matches(spans, w.query)], w.selected)
    w.filter = w.query
    pd.testing.assert_frame_equal(w.matches, w.selected)
    w.selected_rows = []
    assert w.query == w.filter


def ta_matches(spans, query):
    from traceanalytics.traceql import matches

    return matches(spans, query)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["checkout", "reserve", "select", "charge", "audit", "b", "c"]),
        ({"highlight": "errors"}, ["charge"]),
        ({"highlight": None}, ["checkout", "reserve", "select", "charge", "audit", "b", "c"]),
        ({"filter": "CART"}, ["c"]),
        ({"filter": "eC"}, ["checkout", "select"]),
        ({"filter": "{ span:duration > 30ms }"}, ["checkout", "reserve", "charge"]),
        ({"filter": '{ resource.service.name = "web" && span.http.route = "/cart" }', "highlight": None}, ["checkout"]),
        ({"filter": "nothing like it"}, []),
    ],
    ids=str,
)
def test_what_is_in_question(spans, options, names):
    w = waterfall(spans, **options)
    assert w.matches["name"].tolist() == names
    assert w.matches.columns.equals(spans.columns)
    assert w._match_count == (len(names) if options.get("filter") else 0)


def test_only_a_query_has_bits_for_the_browser(w):
    w.filter = "cart"
    assert (w._match, w._match_count) == (b"", 1)
    w.filter = "{ span:status = error }"
    row = next(r for r in range(7) if w._rows.names[w._rows.name[r]] == "charge")
    assert (w._match, w._match_count) == (bytes([1 << row]), 1)
    w.filter = ""
    assert (w._match, w._match_count) == (b"", 0)


def test_a_wrong_filter_raises_in_python_and_leaves_the_old_one(w):
    w.filter = "{ span:status = error }"
    with pytest.raises(QueryError, match="=="):
        w.filter = "{ span:status == error }"
    assert (w.filter, w._match_count, w._filter_error) == ("{ span:status = error }", 1, "")
    with pytest.raises(ta.OptionError, match="filter=3: expected a text"):
        w.filter = 3
    with pytest.raises(QueryError, match="=="):
        waterfall(draw(SHOP), filter="{ span:status == error }")


def test_a_wrong_filter_of_the_browser_is_answered_there(w):
    send(w, filter="{ span:status == error }")
    assert "==" in w._filter_error
    assert (w.filter, w._match, w._match_count) == ("{ span:status == error }", b"", 0)
    assert len(w.matches) == 7  # what is highlighted
    with pytest.raises(QueryError, match="=="):
        w.filter = "{ span:status == error }"
    send(w, filter="{ span:status = error }")
    assert (w._filter_error, w._match_count) == ("", 1)


@pytest.mark.parametrize(
    "text", ["{", "{" * 50_000, "{ " + "!" * 20_000 + "true }", "{ .a =~ `(((` }", "{\ud800", "\x00"]
)
def test_no_filter_of_the_browser_raises(w, text):
    send(w, filter=text)
    assert w.filter
    assert json.dumps(w._filter_error, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("highlight", "critical", r"highlight='critical' is not one of 'critical_path', 'errors', None.*did you mean"),
        ("theme", "drak", "theme='drak' is not one of .*did you mean 'dark'"),
        ("only", "yes", "only='yes' is not one of True, False"),
        ("height", 20, "height=20: expected a number of pixels from 120"),
        ("height", "tall", "height='tall'"),
        ("color", "span.http.rout", r"color='span.http.rout': .*did you mean 'span.http.route'"),
        ("color", 7, "color=7"),
        ("color", "span.\ud800", "color='span"),
        ("view", [5, 5], r"view=\[5, 5\]: expected \[start, end\]"),
        ("view", [0, float("nan")], "view="),
        ("view", "all", "view='all'"),
        ("selected_rows", [7], "there is no row 7: the rows are 0 to 6"),
        ("selected_rows", [-1], "there is no row -1"),
        ("selected_rows", ["a"], r"is no list of row numbers; w.select\(span_ids\)"),
        ("collapsed", 3, "3 is no list of row numbers"),
    ],
)
def test_wrong_values_are_refused_in_python_and_left_out_of_the_browsers(w, name, value, message):
    before = getattr(w, name)
    with pytest.raises(ta.OptionError, match=message):
        setattr(w, name, value)
    assert getattr(w, name) == before
    if name in ("highlight", "theme", "color", "height", "only"):
        with pytest.raises(ta.OptionError, match=message):
            waterfall(w._spans, **{name: value})
    other = [1] if name != "selected_rows" else None
    send(w, **{name: value} | ({"selected_rows": other} if other else {}))
    assert getattr(w, name) in (before, [])
    assert other is None or w.selected_rows == other  # the rest of the message counts


def test_rows_of_the_browser_that_are_not_there_are_left_out(w):
    send(w, selected_rows=[3, 99, 3, -5, 1])
    assert w.selected_rows == [3, 1]


def test_numbers_of_numpy_are_numbers(w):
    w.selected_rows = np.array([2, 3])
    w.view = np.array([1, 2])
    assert (w.selected_rows, w.view) == ([2, 3], [1.0, 2.0])
    assert json.dumps(w.get_state("selected_rows"))


@pytest.mark.parametrize("name", ["_start", "_tables", "_esm", "_filter_error", "_rows", "_spans", "nonsense"])
def test_the_browser_cannot_set_what_is_not_its_own(w, name):
    before = getattr(w, name, None)
    send(w, **{name: "x"})
    assert getattr(w, name, None) is before


def test_unknown_names_are_refused_with_the_near_ones(w, spans):
    with pytest.raises(ta.OptionError, match="Waterfall has no 'higlight'; did you mean 'highlight'"):
        Waterfall(spans, higlight="errors")
    with pytest.raises(ta.OptionError, match="Waterfall has no 'fliter'; did you mean 'filter'"):
        w.fliter = "a"
    with pytest.raises(TypeError, match="higlight"):
        waterfall(spans, higlight="errors")


def test_two_widgets_do_not_share_a_default(spans):
    one, other = waterfall(spans), waterfall(spans)
    one.selected_rows.append(3)
    assert other.selected_rows == []


@pytest.mark.parametrize("column", ["span_id", "events", "links", "duration_ms"])
def test_a_frame_without_a_column_is_refused(spans, column):
    with pytest.raises(ta.SchemaError, match=rf"lacks the column '{column}'"):
        waterfall(spans.drop(columns=column))


def test_no_trace_and_too_many_are_refused_with_the_way_out(spans):
    with pytest.raises(ta.OptionError, match=r"holds no spans, expected those of 1 to 20 traces; ta\.summary"):
        waterfall(spans.iloc[:0])
    with pytest.raises(
        ta.OptionError, match=r"21 traces.*up to 20.*ta\.trace\(spans, .*isin\(ids\).*whole_traces.*ta\.summary"
    ):
        waterfall(draw(*[OTHER] * 21))
    assert repr(waterfall(draw(*[OTHER] * 20))) == "Waterfall(20 traces, 40 spans)"


def test_the_frame_is_not_changed_and_later_changes_of_it_do_not_matter(spans):
    before = spans.copy(deep=True)
    w = waterfall(spans, color="span.http.route", filter="{ span.retries = 1 }")
    pd.testing.assert_frame_equal(spans, before)
    spans["name"] = "changed"
    del spans["span.retries"]
    assert w.matches["name"].tolist() == ["checkout", "c"]


@pytest.mark.parametrize(
    ("key", "labels", "codes"),
    [
        ("kind", ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"], [2, 3, 3, 1, 3, 1, 1]),
        ("status", ["UNSET", "OK", "ERROR"], [0, 0, 0, 0, 2, 0, 0]),
        ("span.http.route", ["/cart", "/c", "/pay"], [0, 0, 255, 255, 2, 255, 1]),
        ("span.retries", ["1", "2"], [0, 255, 1, 255, 255, 255, 0]),
        ("span.cached", ["true", "false"], [0, 255, 1, 255, 255, 255, 255]),
        ("http.route", ["/cart", "/c", "/pay"], [0, 0, 255, 255, 2, 255, 1]),
    ],
)
def test_colours_by(w, key, labels, codes):
    w.color = key
    assert list(w._color_code) == codes
    assert w._color_table["labels"] == labels
    assert w._color_table["key"] == key
    colors = w._color_table["colors"]
    assert len(set(colors)) == len(labels)
    assert all(re.fullmatch("#[0-9a-f]{6}", color) for color in colors)
    w.color = "service"
    assert w._color_code == b""


def test_the_commonest_of_many_values_have_colours():
    spans = draw("a web 0-9\n" + "\n".join(f"  b{i} web 1-2" for i in range(400)))
    spans["span.user"] = ["u1", "u1", *(f"u{i}" for i in range(399))]
    w = waterfall(spans, color="span.user")
    table = w._color_table
    assert (table["labels"][0], table["labels"][-1], len(table["labels"])) == ("u1", "146 other values", 254)
    assert max(w._color_code) == 253


def test_the_keys_to_colour_by_are_those_with_values(w):
    assert w._tables["color_keys"] == ["service", "kind", "status", "span.http.route", "span.retries", "span.cached"]


def test_a_detail_is_sent_on_demand(spans, monkeypatch):
    stack = "Traceback\n  line 1\n  line 2"
    event = {"exception.type": "KeyError", "exception.stacktrace": stack, "n": 3}
    begin = spans["start_time"].iloc[0].value
    spans.loc[103, "events"] = json.dumps([{"time": begin + 70_000_000, "name": "exception", "attributes": event}])
    spans.loc[103, "links"] = json.dumps(
        [{"trace_id": spans["trace_id"].iloc[6], "span_id": id_of("c"), "attributes": {"why": [1, 2]}}]
    )
    spans["other_attributes"] = pd.array([None] * 3 + ['{"span.rare":"yes"}'] + [None] * 3, dtype="str")
    w = waterfall(spans)
    row = w._rows.place[3]
    (answer,) = ask(w, {"type": "detail", "row": int(row), "request": 9}, monkeypatch)
    assert (answer["type"], answer["row"], answer["request"]) == ("detail", row, 9)
    assert json.loads(json.dumps(answer["detail"], allow_nan=False)) == {
        "row": row,
        "name": "charge",
        "service": "payment",
        "trace_id": "0" * 31 + "1",
        "span_id": id_of("charge"),
        "parent_span_id": id_of("checkout"),
        "kind": "CLIENT",
        "status": "ERROR",
        "status_message": None,
        "trace_state": None,
        "error": True,
        "start": "2025-10-09T08:53:20.060000+00:00",
        "offset_ms": 60.0,
        "duration_ms": 35.0,
        "duration_text": "35 ms",
        "self_ms": 35.0,
        "path_ms": 35.0,
        "flags": [],
        "scope": "",
        "attributes": [["span", "http.route", "/pay", 4], ["span", "rare", "yes", 3]],
        "events": [
            {
                "name": "exception",
                "offset_ms": 10.0,
                "attributes": [["exception.type", "KeyError", 8], ["n", "3", 1]],
                "stack": stack,
            }
        ],
        "links": [{"trace_id": "0" * 31 + "2", "span_id": id_of("c"), "row": 6, "attributes": [["why", "[1,2]", 5]]}],
        "linked_from": [],
        "children": 0,
    }
    (answer,) = ask(w, {"type": "detail", "row": 6, "request": 1}, monkeypatch)
    assert answer["detail"]["linked_from"] == [row]


def test_details_of_odd_spans(monkeypatch):
    spans = draw("a web ?-?\n  b web 5-? parent=gone\nd web 1-2").assign(
        events="no JSON", links="[1]", other_attributes="{"
    )
    w = waterfall(spans)
    for row in range(3):
        (answer,) = ask(w, {"type": "detail", "row": row, "request": row}, monkeypatch)
        detail = answer["detail"]
        assert json.dumps(detail, allow_nan=False)
        assert detail["events"][0]["attributes"] == [["text", "no JSON", 7]]
        assert detail["links"][0]["attributes"] == [["text", "[1]", 3]]
        assert ["span", "other_attributes", "{", 1] in detail["attributes"]
    flags = [w._all_details.of(np.array([row]))[0]["flags"] for row in range(3)]
    assert ["orphan", "untimed"] in flags


def test_spans_without_a_trace_id_are_traces_of_their_own(monkeypatch):
    w = waterfall(draw(SHOP).assign(trace_id=pd.Categorical([None, None, "a", "a", "a"])))
    assert repr(w) == "Waterfall(3 traces, 5 spans)"
    assert [trace["id"] for trace in w._tables["traces"]] == ["", "", "a"]
    assert ask(w, {"type": "detail", "row": 0, "request": 0}, monkeypatch)[0]["detail"]["trace_id"] is None


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        "detail",
        {},
        {"type": "detail"},
        {"type": "detail", "row": 99},
        {"type": "detail", "row": -1},
        {"type": "detail", "row": True},
        {"type": "detail", "row": 1.5},
        {"type": "detail", "row": "1"},
        {"type": "detail", "row": 1, "request": {"a": 1}},
        {"type": "eval", "row": 1, "code": "1/0"},
    ],
    ids=str,
)
def test_messages_without_sense_are_ignored(w, message, monkeypatch):
    assert ask(w, message, monkeypatch) == []


@settings(max_examples=10)
@given(span_frames(min_spans=1, max_spans=8))
def test_any_frame_has_details_and_tables_that_are_json(spans):
    w = waterfall(spans)
    details = [w._answer({"type": "detail", "row": row, "request": 0}) for row in range(len(w._rows))]
    assert json.dumps([details, w._tables, w._color_table], allow_nan=False, ensure_ascii=False).encode()
    for key in w._tables["color_keys"]:
        w.color = key
        assert len(w._color_code) in (0, len(w._rows))
    assert sum(len(d["detail"]["attributes"]) for d in details) == sum(
        len([name for name in ta.attributes(spans.iloc[i]) if name != "resource.service.name"])
        for i in range(len(spans))
    )


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_hostile_texts_are_texts(text, monkeypatch):
    spans = draw("a web 0-10\n  b db 1-2 ERROR")
    safe = text.encode("utf-8", "replace").decode()  # pandas holds no halves of characters in its text columns
    for name in ("name", "service", "trace_id"):
        spans[name] = pd.Categorical([safe] * 2)
    spans = spans.assign(status_message=safe, scope_name=safe, trace_state=safe)
    spans["span.note"] = safe
    spans[f"span.{safe[:50]}"] = 1
    event = {"time": spans["start_time"].iloc[0].value, "name": text, "attributes": {text[:99]: text}}
    event["attributes"]["exception.stacktrace"] = text
    spans["events"] = json.dumps([event])
    spans["links"] = json.dumps([{"trace_id": text, "span_id": text, "attributes": {"k": text}}])
    w = waterfall(spans, color="span.note")
    send(w, filter=text)
    (answer,) = ask(w, {"type": "detail", "row": 0, "request": 1}, monkeypatch)
    shown = json.dumps(
        [answer, w._tables, w._color_table, w.get_state()["filter"]], ensure_ascii=False, allow_nan=False
    )
    assert shown.encode()  # no half of a character
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\u202a-\u202e\u2066-\u2069\u2028\u2029]", json.dumps(w._tables, ensure_ascii=False)
    )
    assert max(map(len, w._tables["names"])) <= 500
    assert max(len(value) for _, _, value, _ in answer["detail"]["attributes"]) <= 20_000
    note = next(a for a in answer["detail"]["attributes"] if a[1] == "note")
    assert note[3] == len(safe)
    assert repr(w) == "Waterfall(1 trace, 2 spans)"
    assert w.to_png(max_rows=2).startswith(PNG)


def test_the_bundle_of_a_live_widget_has_a_picture(w):
    data, metadata = w._repr_mimebundle_()
    assert set(data) == {VIEW, "image/png", "text/plain"}
    assert data["text/plain"] == "Waterfall(2 traces, 7 spans)"
    assert base64.b64decode(data["image/png"]).startswith(PNG)
    assert metadata["image/png"]["width"] > metadata["image/png"]["height"] > 50


def test_the_renderer_can_be_a_picture_or_a_page(w):
    ta.options.renderer = "png"
    assert set(w._repr_mimebundle_()[0]) == {"image/png", "text/plain"}
    ta.options.renderer = "html"
    data = w._repr_mimebundle_()[0]
    assert set(data) == {"text/html", "image/png", "text/plain"}
    assert data["text/html"].startswith('<iframe sandbox="allow-scripts" srcdoc="')
    assert "allow-same-origin" not in data["text/html"]


def test_the_picture_is_drawn_when_asked_for_and_once_a_state(w, monkeypatch):
    drawn = []
    figure = Waterfall._figure
    monkeypatch.setattr(Waterfall, "_figure", lambda self, **options: drawn.append(options) or figure(self, **options))
    for _ in range(3):
        w._repr_mimebundle_()
    w.selected_rows = [1]
    w._repr_mimebundle_()
    assert len(drawn) == 1
    w.highlight = "errors"
    w.theme = "dark"
    w._repr_mimebundle_()
    assert [(options["theme"], options["max_rows"]) for options in drawn] == [("light", 40), ("dark", 40)]


def test_the_picture_in_a_notebook_is_small():
    lines = "\n".join(f"  call{i} service{i % 9} {i}-{i + 1}" for i in range(300))
    data = waterfall(draw(f"r web 0-400\n{lines}"))._repr_mimebundle_()[0]
    assert len(data["image/png"]) < 200_000


def test_pictures_as_bytes_and_files(w, tmp_path):
    png, svg = w.to_png(), w.to_svg()
    assert png.startswith(PNG)
    assert svg.startswith("<?xml")
    assert w.to_png(tmp_path / "a.png") == tmp_path / "a.png"
    assert (tmp_path / "a.png").read_bytes() == png
    assert w.to_svg(str(tmp_path / "a.svg")) == tmp_path / "a.svg"
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == svg
    assert w.to_png(theme="dark") != png
    with pytest.raises(ta.OptionError, match="theme='drak'"):
        w.to_png(theme="drak")
    with pytest.raises(ta.OptionError, match="max_rows=0"):
        w.to_png(max_rows=0)


def test_importing_the_package_loads_no_widgets():
    code = "import sys, traceanalytics as ta; ta.options; print([m for m in ('anywidget', 'ipywidgets', 'numba', 'matplotlib', 'traceanalytics.widgets') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_widget_that_is_not_shown_draws_nothing(w):
    w.filter = "cart"
    state = w.get_state()
    assert sum(len(value) for value in state.values() if isinstance(value, bytes)) < 400
    assert w._pictures == {}
