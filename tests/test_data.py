"""The samples in ``data``: made by the script that stands beside them, and what they are to show."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from frames import assert_same_spans

import traceanalytics as ta

DATA = Path(__file__).parent.parent / "data"
FORMS = ["otlp.json", "otlp.pb", "jaeger.json", "zipkin.json", "records.json", "parquet"]


@pytest.fixture(scope="module")
def make_checkout():
    spec = importlib.util.spec_from_file_location("make_checkout", DATA / "make_checkout.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_makes_the_files_that_are_there(make_checkout, tmp_path):
    written = make_checkout.write(tmp_path)
    assert [p.name for p in written] == sorted(p.name for p in DATA.glob("checkout*"))
    for path in written:
        if path.suffix == ".png":  # its pixels depend on the fonts
            assert path.read_bytes()[:8] == (DATA / path.name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        elif path.suffix == ".parquet":  # its bytes depend on the version of the writer
            assert ta.read(path).equals(ta.read(DATA / path.name))
        else:
            assert path.read_bytes() == (DATA / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", ["checkout", "checkout_as_printed"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same_spans(name, form):
    records = ta.read(DATA / f"{name}.records.json")
    spans = ta.read(DATA / f"{name}.{form}")
    core = [
        "trace_id",
        "span_id",
        "parent_span_id",
        "name",
        "service",
        "kind",
        "start_time",
        "duration_ms",
        "status",
        "events",
    ]
    if form == "zipkin.json":  # all its tags are texts, those of events are not
        assert_same_spans(spans[core], records[core])
    else:
        assert_same_spans(spans, records, ignore=["trace_flags", "resource_schema_url"])


def test_the_path_of_the_checkout():
    path = ta.critical_path(ta.read(DATA / "checkout.otlp.json"))
    rows = list(zip(path["name"], path["service"], path["segment_ms"], strict=True))
    assert rows == [
        ("Authentication", "api-gateway", 20.0),
        ("Route to Cart", "api-gateway", 5.0),
        ("Get Cart Items", "cart", 5.0),
        ("DB Read Items", "cart", 30.0),
        ("Get Cart Items", "cart", 20.0),
        ("Calculate Total", "pricing", 10.0),
        ("Apply Discounts", "pricing", 5.0),
        ("DB Read Prices", "pricing", 25.0),
        ("Apply Discounts", "pricing", 10.0),
        ("Calculate Total", "pricing", 20.0),
        ("Charge Card", "payment", 10.0),
        ("Call Stripe API", "payment", 160.0),
        ("Charge Card", "payment", 30.0),
    ]
    assert path["segment_ms"].sum() == 350.0


def test_the_printed_hierarchy_loses_everything_after_its_root_and_says_so():
    spans = ta.read(DATA / "checkout_as_printed.otlp.json")
    path = ta.critical_path(spans)
    assert path["name"].tolist() == ["Authentication"]
    assert path["segment_ms"].sum() == 20.0
    assert "child_outside" in path["flags"][0]
    assert ta.hierarchy(spans)["depth"].tolist() == list(range(9))
