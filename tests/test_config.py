from __future__ import annotations

import subprocess
import sys

import pytest

import traceanalytics as ta
from traceanalytics.config import Options

HEAVY = ("matplotlib", "networkx", "ipywidgets", "anywidget", "numba", "IPython", "opentelemetry", "scipy")


def test_defaults():
    options = Options()
    assert (options.renderer, options.trace_url, options.service_colors) == ("widget", None, {})


def test_every_option_can_be_set_and_reset():
    options = Options()
    options.renderer = "png"
    options.trace_url = "https://x.example/{trace_id}"
    options.service_colors = {"web": "red"}
    assert repr(options) == (
        "Options(renderer='png', trace_url='https://x.example/{trace_id}', service_colors={'web': 'red'})"
    )
    options.reset()
    assert repr(options) == repr(Options())


def test_defaults_are_not_shared():
    first, second = Options(), Options()
    first.service_colors["web"] = "red"
    assert second.service_colors == {}
    first.reset()
    assert first.service_colors == {}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("rendrer", "png", r"no option 'rendrer'.*did you mean 'renderer'"),
        ("renderer", "svg", r"renderer='svg' is not one of 'widget', 'png', 'html'"),
        ("trace_url", "https://x.example/", r"expected an http\(s\) address with \{trace_id\} in it"),
        ("trace_url", "javascript:{trace_id}", r"expected an http\(s\) address"),
        ("trace_url", 5, r"expected an http\(s\) address"),
        ("service_colors", ["red"], "expected a dict of service name to colour"),
        ("service_colors", {1: "red"}, "expected a dict of service name to colour"),
    ],
)
def test_wrong_values_are_refused_and_change_nothing(name, value, message):
    options = Options()
    with pytest.raises(ta.OptionError, match=message):
        setattr(options, name, value)
    assert repr(options) == repr(Options())


def test_watchers_are_told_of_values_that_were_accepted():
    options, told = Options(), []
    options._watch("renderer", told.append)
    options.renderer = "html"
    with pytest.raises(ta.OptionError, match="is not one of"):
        options.renderer = "svg"
    options.reset()
    assert told == ["html", "widget"]


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_loads_nothing_heavy():
    code = f"import sys, traceanalytics; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert run(code).strip() == "[]"


def test_options_load_the_formatter_only_when_it_is_needed():
    code = """
import sys, traceanalytics as ta
ta.options.reset()
ta.options.trace_url = None
print("traceanalytics.spans.html" in sys.modules, "pandas" in sys.modules)
ta.options.trace_url = "https://x.example/{trace_id}"
print("traceanalytics.spans.html" in sys.modules, "IPython" in sys.modules)
"""
    assert run(code).split() == ["False", "False", "True", "False"]


def test_work_on_frames_loads_nothing_heavy():
    code = f"""
import sys, pandas as pd, traceanalytics as ta
spans = ta.conform(pd.DataFrame({{"trace_id": ["a"], "span_id": ["b"], "name": ["c"]}}))
ta.events(spans), ta.links(spans), ta.is_error(spans), ta.concat([spans]), ta.attribute_keys(spans), ta.html_table(spans)
print([m for m in {HEAVY!r} if m in sys.modules])
"""
    assert run(code).strip() == "[]"
