from __future__ import annotations

import html
import re
import subprocess
import sys
from types import SimpleNamespace

import pandas as pd
import pytest

import traceanalytics as ta

T = "4bf92f3577b34da6a3ce929d0e0e4736"
URL = "https://jaeger.example.com/trace/{trace_id}"
HREF = re.compile(r'<a href="([^"]*)" target="_blank" rel="noopener noreferrer">([^<]*)</a>')


def spans_of(*ids):
    return ta.conform(pd.DataFrame({"trace_id": ids, "span_id": [f"s{i}" for i in range(len(ids))], "name": "n"}))


def links_of(frame, **options):
    return [(html.unescape(href), html.unescape(text)) for href, text in HREF.findall(ta.html_table(frame, **options))]


def test_without_an_address_it_is_what_pandas_makes():
    spans = spans_of(T)
    assert ta.html_table(spans) == spans._repr_html_()


def test_trace_ids_become_links():
    ta.options.trace_url = URL
    assert links_of(spans_of(T)) == [(f"https://jaeger.example.com/trace/{T}", T)]


def test_trace_ids_in_the_index_and_in_other_columns():
    ta.options.trace_url = URL
    result = pd.DataFrame({"spans": [3]}, index=pd.Index([T], name="trace_id"))
    assert links_of(result) == [(URL.format(trace_id=T), T)]
    levels = pd.DataFrame({"x": [1]}, index=pd.MultiIndex.from_tuples([(T, "root")], names=["trace_id", "name"]))
    assert len(links_of(levels)) == 1
    linked = spans_of(T)[["trace_id"]].assign(linked_trace_id=T, other="x")
    assert len(links_of(linked)) == 2


def test_only_whole_cells_that_are_trace_ids_of_the_frame():
    ta.options.trace_url = URL
    frame = pd.DataFrame({"trace_id": ["abc", None], "note": ["see abc", "abc"], "n": [1, 2]})
    assert [text for _, text in links_of(frame)] == ["abc", "abc"]
    assert links_of(pd.DataFrame({"note": [T]})) == []


@pytest.mark.parametrize(
    "hostile",
    [
        '"><script>alert(1)</script>',
        "' onmouseover='alert(1)",
        "javascript:alert(1)//",
        "../../admin?x=1#y",
        "</a></td><img src=x onerror=alert(1)>",
        "a&amp;b<c>",
        "a b\u202ec",
    ],
)
def test_hostile_ids_cannot_break_out(hostile):
    ta.options.trace_url = URL
    table = ta.html_table(spans_of(hostile))
    assert links_of(spans_of(hostile))[0][1] == hostile
    address = HREF.search(table)[1]
    assert re.fullmatch(r"https://jaeger\.example\.com/trace/[A-Za-z0-9%._~-]+", address)
    without = HREF.sub("", table)
    assert "<script" not in without
    assert "<img" not in without
    assert "<a" not in without


def test_an_address_with_quotes_and_ampersands_is_escaped():
    ta.options.trace_url = 'https://x.example/?a=1&t={trace_id}"onclick="alert(1)'
    table = ta.html_table(spans_of(T))
    assert 'href="https://x.example/?a=1&amp;t=' in table
    assert '"onclick=' not in table


def test_braces_in_the_address_are_no_format_fields():
    ta.options.trace_url = "https://x.example/{trace_id}/{0.__class__}"
    assert links_of(spans_of("a1"))[0][0] == "https://x.example/a1/{0.__class__}"


def test_long_frames_are_shortened():
    ta.options.trace_url = URL
    spans = spans_of(*[f"trace{i}" for i in range(200)])
    assert 0 < len(links_of(spans, max_rows=20)) <= 20
    assert len(links_of(spans, max_rows=None)) == 200
    assert {"trace0", "trace199"} <= {text for _, text in links_of(spans, max_rows=20)}


def test_options_of_pandas_are_left_as_they_were():
    before = pd.get_option("display.max_rows")
    ta.html_table(spans_of(T), max_rows=3)
    assert pd.get_option("display.max_rows") == before


class Formatter(dict):
    def for_type(self, kind, function=None):
        before = self.get(kind)
        if function is not None:
            self[kind] = function
        return before


@pytest.fixture
def formatter(monkeypatch):
    made = Formatter()
    shell = SimpleNamespace(display_formatter=SimpleNamespace(formatters={"text/html": made}))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    return made


def test_setting_the_option_registers_a_formatter_and_none_removes_it(formatter):
    ta.options.trace_url = URL
    show = formatter[pd.DataFrame]
    assert HREF.search(show(spans_of(T)))
    ta.options.trace_url = "https://other.example/{trace_id}"
    assert formatter[pd.DataFrame] is show
    assert "other.example" in show(spans_of(T))
    ta.options.trace_url = None
    assert pd.DataFrame not in formatter


def test_reset_removes_the_formatter_too(formatter):
    ta.options.trace_url = URL
    ta.options.reset()
    assert formatter == {}


def test_a_formatter_of_the_user_comes_back(formatter):
    formatter[pd.DataFrame] = mine = str
    ta.options.trace_url = URL
    assert formatter[pd.DataFrame] is not mine
    ta.options.trace_url = None
    assert formatter[pd.DataFrame] is mine


def test_frames_without_trace_ids_are_shown_by_pandas(formatter):
    ta.options.trace_url = URL
    frame = pd.DataFrame({"a": range(100)})
    assert formatter[pd.DataFrame](frame) == frame._repr_html_()
    with pd.option_context("display.notebook_repr_html", False):
        assert formatter[pd.DataFrame](spans_of(T)) is None


def test_outside_of_a_notebook_nothing_is_registered(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    ta.options.trace_url = URL
    assert ta.options.trace_url == URL
    monkeypatch.delitem(sys.modules, "IPython")
    ta.options.trace_url = None
    assert "IPython" not in sys.modules


def test_in_a_real_shell():
    pytest.importorskip("IPython")
    code = """
from IPython.core.interactiveshell import InteractiveShell
import pandas as pd, traceanalytics as ta
shell = InteractiveShell.instance()
spans = pd.DataFrame({"trace_id": ["a1"]})
for url in (None, "https://x.example/{trace_id}", None):
    ta.options.trace_url = url
    print("x.example/a1" in shell.display_formatter.format(spans)[0]["text/html"])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "True", "False"]
