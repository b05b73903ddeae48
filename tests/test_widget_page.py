"""The exported page as text: offline, strict, escaped, with the details that were asked for."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re

import numpy as np
import pandas as pd
import pytest
from small_traces import draw, id_of

import traceanalytics as ta
from traceanalytics.widgets import waterfall
from traceanalytics.widgets.page import PageParts, framed, page

SHOP = """
    checkout web 0-100 SERVER
      reserve stock 10-50 CLIENT
      charge payment 60-95 CLIENT ERROR
"""
MODULE = "function render() {}\nexport default { render };"


def parts(**other):
    given = {"title": "t", "module": MODULE, "css": ".a{}", "state": {}, "columns": {}, "details": b"{}"}
    return PageParts(**given | other)


def element(text, name, **attributes):
    """The content of the only element of a name with these attributes."""
    wanted = "".join(f'[^>]*{key}="{value}"' for key, value in attributes.items())
    (found,) = re.findall(rf"<{name}{wanted}[^>]*>(.*?)</{name}>", text, re.DOTALL)
    return found


def state_of(text):
    return json.loads(element(text, "script", id="traceanalytics-state"))


def details_of(text):
    return json.loads(gzip.decompress(base64.b64decode(state_of(text)["zipped"]["_details"])))


def column_of(text, name, dtype):
    return np.frombuffer(gzip.decompress(base64.b64decode(state_of(text)["columns"][name])), dtype).tolist()


def policy_of(text):
    (found,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
    return dict(part.strip().split(" ", 1) for part in found.split(";"))


@pytest.fixture
def spans():
    made = draw(SHOP)
    made["span.http.route"] = ["/cart", "/stock", "/pay"]
    made["resource.host.name"] = ["h1", "h2", "h3"]
    event = {"time": made["start_time"].iloc[2].value, "name": "exception"}
    event["attributes"] = {"exception.message": "secret", "exception.stacktrace": "secret stack", "http.note": "open"}
    made.loc[2, "events"] = json.dumps([event])
    made.loc[1, "links"] = json.dumps([{"trace_id": "1", "span_id": "2", "attributes": {"secret": "secret link"}}])
    return made


@pytest.fixture
def exported(tmp_path):
    def export(w, **options):
        path = w.to_html(tmp_path / "x.html", **options)
        return path.read_text(encoding="utf-8")

    return export


def test_the_path_is_returned_and_the_same_widget_makes_the_same_page(spans, tmp_path):
    one = waterfall(spans).to_html(str(tmp_path / "a.html"))
    other = waterfall(spans).to_html(tmp_path / "b.html")
    assert (one, other) == (tmp_path / "a.html", tmp_path / "b.html")
    assert one.read_bytes() == other.read_bytes()


def test_the_policy_allows_what_stands_in_the_page_and_nothing_else(spans, exported):
    text = exported(waterfall(spans))
    policy = policy_of(text)
    assert sorted(policy) == ["base-uri", "default-src", "form-action", "script-src", "style-src"]
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    for directive, content in (
        ("script-src", element(text, "script", type="module")),
        ("style-src", element(text, "style")),
    ):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy[directive] == f"'sha256-{digest}'"


def test_the_page_asks_for_nothing(spans, exported):
    text = exported(waterfall(spans))
    assert not re.search(r"<(?:link|img|iframe|object|embed|base|form)\b", text)
    assert not re.search(r"\s(?:src|href|on\w+|style)=\"", text.replace(element(text, "script", type="module"), ""))
    script = element(text, "script", type="module")
    assert not re.search(r"\b(?:fetch|XMLHttpRequest|WebSocket|EventSource|importScripts|eval|sendBeacon)\b\(", script)
    assert "innerHTML" not in script
    assert not re.search(r"^import\b|\bimport\(", script, re.MULTILINE)
    assert script.count("export default") == 0


def test_state_columns_and_details_are_those_of_the_widget(spans, exported):
    w = waterfall(spans, filter="{ span:status = error }", highlight="errors", only=True, theme="dark")
    w.selected_rows = [2]
    w.view = [10, 90]
    text = exported(w)
    state = state_of(text)["state"]
    public = {"highlight": "errors", "only": True, "theme": "dark", "selected_rows": [2], "view": [10.0, 90.0]}
    assert {name: state[name] for name in public} == public
    assert (state["filter"], state["_match_count"]) == ("{ span:status = error }", 1)
    assert state["_tables"]["offline"]
    assert not w._tables["offline"]
    assert column_of(text, "_match", "u1") == [4]
    assert column_of(text, "_start", "<f8") == [0, 10, 60]
    assert {row: detail["name"] for row, detail in details_of(text).items()} == {
        "0": "checkout",
        "1": "reserve",
        "2": "charge",
    }
    assert '<html lang="en" class="dark">' in text
    assert f"<title>{html.escape(w._tables['traces'][0]['title'])}</title>" in text
    assert not re.search(r"[A-Z]:\\\\|/home/|/tmp/|/work/", text)


@pytest.mark.parametrize(
    ("attributes", "keys", "words"),
    [
        (None, {"http.route", "host.name"}, {"secret", "secret stack", "open", "secret link"}),
        ((), set(), set()),
        (["http.*"], {"http.route"}, {"open"}),
        (["span.*"], {"http.route"}, set()),
        (("resource.*", "event.exception.*"), {"host.name"}, {"secret", "secret stack"}),
        (["link.*"], set(), {"secret link"}),
    ],
)
def test_only_the_attributes_asked_for_are_in_the_file(spans, exported, attributes, keys, words):
    details = details_of(exported(waterfall(spans), attributes=attributes))
    assert {key for detail in details.values() for _, key, *_ in detail["attributes"]} == keys
    items = [item for detail in details.values() for item in (*detail["events"], *detail["links"])]
    found = {text for item in items for _, text, _ in item["attributes"]} | {item.get("stack") for item in items}
    assert found - {None} == words


@pytest.mark.parametrize(
    ("attributes", "color"), [(None, "span.http.route"), (["http.*"], "span.http.route"), ((), "service")]
)
def test_colours_by_an_attribute_are_exported_with_it_only(spans, exported, attributes, color):
    text = exported(waterfall(spans, color="span.http.route"), attributes=attributes)
    state = state_of(text)["state"]
    assert (state["color"], state["_color_table"]["key"]) == (color, color)
    assert ("/pay" in json.dumps(state)) == (color != "service")
    assert column_of(text, "_color_code", "u1") == ([] if color == "service" else [0, 1, 2])
    assert state["_tables"]["color_keys"] == ["service", *([color] if color != "service" else [])]


def test_the_rows_that_matter_have_details_and_the_page_says_how_many_have_none(exported):
    lines = [f"  c{i} web {i}-{i + 1}{' ERROR' if i == 7 else ''}" for i in range(50)]
    spans = draw("r web 0-90\n" + "\n".join(lines) + "\n  long web 10-89")
    w = waterfall(spans, filter="c33")
    text = exported(w, max_details=4)
    assert {d["name"] for d in details_of(text).values()} == {"r", "c7", "c33", "long"}
    assert '<p class="note">Details of 4 of 52 spans are in this file.</p>' in text
    assert details_of(exported(w, max_details=0)) == {}
    assert "<p" not in exported(w)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attributes": "http.*"}, r"attributes='http.\*': expected a list of glob patterns"),
        ({"attributes": [3]}, "3 is no text"),
        ({"max_details": -1}, "max_details=-1 is no number of spans"),
        ({"max_details": True}, "max_details=True is no number"),
    ],
)
def test_wrong_options_are_refused(spans, exported, options, message):
    with pytest.raises(ta.OptionError, match=message):
        exported(waterfall(spans), **options)


@pytest.mark.parametrize(
    "text",
    ["</script><script>alert(1)</script>", "<!--<script>", "\u202e</title>", "&lt;\u2028", "'\"`${1}", "\x00\x1b"],
)
def test_hostile_texts_end_no_element(text, exported):
    spans = draw(SHOP)
    plain = waterfall(spans)
    spans["name"] = pd.Categorical([text, "b", "c"])
    spans["service"] = pd.Categorical([text, "b", "c"])
    spans["span.x"] = text
    spans["status_message"] = text
    made, usual = exported(waterfall(spans, filter=text)), exported(plain)
    for mark in ("<script", "</script", "<!--", "<title", "</title", "<style", "<p", "<body"):
        assert made.lower().count(mark) == usual.lower().count(mark), mark
    assert element(made, "script", type="module") == element(usual, "script", type="module")
    assert policy_of(made) == policy_of(usual)
    assert "<" not in element(made, "script", id="traceanalytics-state")
    assert details_of(made)["0"]["attributes"][0][1] == "x"
    assert state_of(made)["state"]["filter"] == text
    assert made.isprintable() or not re.search("[\x00-\x08\x0b-\x1f\u2028-\u202e]", made)


def test_code_of_ours_that_would_end_its_element_is_written_otherwise():
    text = page(parts(module='const a = "</script>", b = "<!--";\n' + MODULE))
    assert '"<\\/script>", b = "<\\!--"' in element(text, "script", type="module")
    with pytest.raises(ValueError, match="style sheet"):
        page(parts(css="</style>"))
    with pytest.raises(ValueError, match="2 default exports"):
        page(parts(module=f"{MODULE}\n{MODULE}"))


def test_title_and_note_are_escaped():
    text = page(parts(title="<b>&\u202e", note="<i>\x00"))
    assert "<title>&lt;b&gt;&amp;</title>" in text
    assert '<p class="note">&lt;i&gt;\N{REPLACEMENT CHARACTER}</p>' in text


def test_a_framed_page_is_the_same_page(spans):
    ta.options.renderer = "html"
    shown = waterfall(spans, height=300)._repr_mimebundle_()[0]["text/html"]
    (attributes, source) = re.fullmatch(r'<iframe (sandbox="[^"]*") srcdoc="([^"]*)" [^<>]*></iframe>', shown).groups()
    assert attributes == 'sandbox="allow-scripts"'
    text = html.unescape(source)
    assert framed(text, 340) == shown
    assert policy_of(text)["default-src"] == "'none'"
    assert len(details_of(text)) == 3


def test_the_id_of_a_trace_is_in_the_page_and_can_be_found(spans, exported):
    details = details_of(exported(waterfall(spans), attributes=()))
    assert details["2"]["span_id"] == id_of("charge")
