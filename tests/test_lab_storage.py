"""The lab of storage as Python sees it: the numbers are those of `storage_cost`, words, messages, pictures."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceanalytics as ta
from traceanalytics.lab import StorageLab, storage
from traceanalytics.lab.controls import decades
from traceanalytics.lab.storage_words import EXAMPLE, bytes_text, money_text, number_text, share_text, wrong_figures
from traceanalytics.sampling.storage_arithmetic import storage_cost
from traceanalytics.widgets.linking import link

TIMES = "\N{MULTIPLICATION SIGN}"
PNG = b"\x89PNG\r\n"


def send(lab, **state):
    """A message of the browser."""
    lab._handle_msg({"content": {"data": {"method": "update", "state": state, "buffer_paths": []}}, "buffers": []})


def test_the_table_is_that_of_storage_cost():
    options = {
        **EXAMPLE, "error_rate": 0.02, "error_level": "span", "error_size_ratio": 3.0, "compression": 0.2, "replication": 3,
        "index_overhead": 0.25, "retention_days": 30, "price_per_gb_month": 0.02, "decision_wait_s": 10,
    }  # fmt: skip
    lab = storage(**options, own=0.25)
    own = {"all": 1.0, "head 10 %": 0.1, "head 1 %": 0.01, "errors + 1 %": (1.0, 0.01), "your own": 0.25}
    pd.testing.assert_frame_equal(lab.table, storage_cost(**options, strategies=own))
    assert {name: getattr(lab, name) for name in options} == options


def test_the_example():
    lab = storage()
    assert lab.table["gb_per_day"].tolist() == pytest.approx([6480, 648, 64.8, 128.952, 385.56])
    assert lab.arithmetic == f"10,000 {TIMES} 15 {TIMES} 500 B = 75 MB/s {TIMES} 86,400 s = 6.48 TB = 5.89 TiB a day"
    assert lab._now["table"]["gb_per_day"] == lab.table["gb_per_day"].tolist()
    assert (repr(lab), lab.selected, lab.own) == ("StorageLab()", "all", [1, 0.05])


@pytest.mark.parametrize(
    ("selected", "options", "factor"),
    [
        ("head 10 %", {}, f"500 B {TIMES} 10 % = 7.5 MB/s"),
        ("errors + 1 %", {}, f"(1 % {TIMES} 100 % + 99 % {TIMES} 1 %) = 1.49 MB/s"),
        ("errors + 1 %", {"error_level": "span"}, f"(14 % {TIMES} 100 % + 86 % {TIMES} 1 %) = 11.1 MB/s"),
        ("all", {"error_size_ratio": 3}, f"500 B {TIMES} (1 % {TIMES} 3 + 99 %) = 76.5 MB/s"),
        ("your own", {"own": (0.5, 0)}, f"(1 % {TIMES} 50 % + 99 % {TIMES} 0 %) = 375 kB/s"),
        ("your own", {"own": 0}, f"500 B {TIMES} 0 % = 0 B/s {TIMES} 86,400 s = 0 B = 0 B a day"),
    ],
)
def test_the_sum_is_written_out(selected, options, factor):
    lab = storage(**options)
    lab.selected = selected
    assert factor in lab.arithmetic


def test_every_change_is_followed():
    lab = storage()
    for name, value in {"requests_per_s": 2000, "error_rate": 0.05, "own": 0.5, "error_level": "span"}.items():
        before = lab._now
        setattr(lab, name, value)
        assert lab._now != before
        assert lab._now["inputs"][name] == value
        assert lab._now["table"]["gb_per_day"] == lab.table["gb_per_day"].tolist()


def test_without_a_price_there_is_no_cost():
    lab = storage(price_per_gb_month=None)
    assert lab.table["monthly_cost"].isna().all()
    assert lab._now["table"]["monthly_cost"] == [None] * 5
    json.dumps([lab._now, lab._tables], allow_nan=False)
    assert lab.to_png().startswith(PNG)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("requests_per_s", -1, r"requests_per_s=-1 is not a number in \[0"),
        ("requests_per_s", None, r"requests_per_s=None is not a number"),
        ("requests_per_s", math.nan, r"requests_per_s=nan is not a number"),
        ("spans_per_trace", 0.5, r"spans_per_trace=0.5 is not a number in \[1"),
        ("bytes_per_span", "500", r"bytes_per_span='500' is not a number in \(0"),
        ("error_rate", 1.5, r"error_rate=1.5 is not a number in \[0, 1\]"),
        ("error_rate", True, r"error_rate=True is not a number"),
        ("error_level", "spans", r"error_level='spans' is not one of 'trace', 'span'; did you mean 'span'"),
        ("compression", 0, r"compression=0 is not a number in \(0, 1\]"),
        ("replication", 2.5, r"replication=2.5 is not a whole number"),
        ("retention_days", 0, r"retention_days=0 is not a number"),
        ("price_per_gb_month", -1, r"price_per_gb_month=-1 is not a number"),
        ("own", 2, r"own=2 is not a number in \[0, 1\]"),
        ("own", [1.0], r"own=\[1.0\] is not a pair of ratios in \[0, 1\]"),
        ("own", (1.0, "x"), r"own='x' is not a number in \[0, 1\]"),
        ("units", "SI", r"units='SI' is not one of 'decimal', 'binary'"),
        ("selected", "none", r"selected='none' is none of the strategies 'all', 'head 10 %'"),
        ("theme", "sepia", r"theme='sepia'"),
        ("predict", "yes", r"predict='yes'"),
    ],
)
def test_numbers_that_make_no_sense(name, value, match):
    lab = storage()
    before = getattr(lab, name)
    with pytest.raises(ta.OptionError, match=match):
        setattr(lab, name, value)
    send(lab, **{name: value})
    assert getattr(lab, name) == before
    if name != "selected":
        with pytest.raises(ta.OptionError, match=match):
            storage(**{name: value})


def test_names_are_strict():
    with pytest.raises(ta.OptionError, match="has no 'request_per_s'; did you mean 'requests_per_s'"):
        storage().request_per_s = 5
    with pytest.raises(TypeError, match="keyword"):
        storage(request_per_s=5)


def test_the_browser_sets_numbers_and_gets_them_back_from_nobody():
    lab = storage()
    told = []
    lab.send_state = lambda key=None: told.append(key)
    send(lab, requests_per_s=2500, own=[1, 0.2], error_rate=0.07, predict=True, _now={}, _tables={})
    assert (lab.requests_per_s, lab.own, lab.error_rate, lab.predict) == (2500, [1, 0.2], 0.07, True)
    assert json.dumps([lab.requests_per_s, lab.own, lab.error_rate]) == "[2500, [1, 0.2], 0.07]"
    assert lab._now["table"]["gb_per_day"][0] == 1620
    assert lab._tables["controls"]


def test_numbers_of_other_types_are_held_as_plain_ones():
    lab = storage(requests_per_s=np.int64(20), bytes_per_span=np.float32(0.5), own=(np.float64(1), 0))
    assert [type(value) for value in (lab.requests_per_s, lab.bytes_per_span, *lab.own)] == [int, float, int, int]


def test_every_stop_of_every_slider_can_be_set():
    lab = storage()
    for control in lab._tables["controls"]:
        stops = control["stops"]
        assert stops == sorted(set(stops)), control["name"]
        for stop in stops:
            setattr(lab, control["name"], stop)
            assert getattr(lab, control["name"]) == stop
    assert all(stop in {*np.arange(1, 101).tolist()} for stop in decades(1, 100, whole=True))


def test_each_default_is_a_stop():
    lab = storage()
    for control in lab._tables["controls"]:
        assert getattr(lab, control["name"]) in control["stops"]


def test_the_largest_load_is_still_written():
    lab = storage(requests_per_s=1e15, spans_per_trace=1e15, bytes_per_span=1e15)
    json.dumps(lab._now, allow_nan=False)
    assert lab.arithmetic.endswith("EiB a day")
    assert lab.to_png().startswith(PNG)


def test_no_load_at_all():
    lab = storage(requests_per_s=0)
    assert lab.arithmetic.endswith("= 0 B = 0 B a day")
    assert lab.to_png().startswith(PNG)


@pytest.mark.parametrize(
    ("size", "decimal", "binary"),
    [
        (0, "0 B", "0 B"),
        (999.6, "1 kB", "1,000 B"),
        (1023.6, "1.02 kB", "1 KiB"),
        (6.48e12, "6.48 TB", "5.89 TiB"),
        (64.8e9, "64.8 GB", "60.3 GiB"),
        (75e6, "75 MB", "71.5 MiB"),
        (2**60 * 5000, "5,765 EB", "5,000 EiB"),
    ],
)
def test_sizes_as_texts(size, decimal, binary):
    assert (bytes_text(size), bytes_text(size, "binary")) == (decimal, binary)


@given(st.floats(0, 1e18))
def test_a_size_is_true_to_three_digits(size):
    value, unit = bytes_text(size).split()
    factor = 1000 ** ["B", "kB", "MB", "GB", "TB", "PB", "EB"].index(unit)
    assert float(value.replace(",", "")) * factor == pytest.approx(size, rel=0.00501)


def test_numbers_as_texts():
    assert [number_text(n) for n in (0, 15, 123_456, 0.1399, 1_234_567)] == ["0", "15", "123,456", "0.14", "1,230,000"]
    assert [share_text(n) for n in (0.07, 0.0055, 1 / 3)] == ["7 %", "0.55 %", "33.3 %"]
    assert [money_text(n) for n in (0.0234, 99.99, 1234.5, 2.5e6)] == ["0.0234", "100", "1,235", "2,500,000"]


def test_the_figures_that_are_wrong():
    figures = {one["strategy"]: one for one in wrong_figures()}
    assert {name: one["claim"] for name, one in figures.items()} == {
        "all": "6.3 TB a day",
        "head 10 %": "750 KB/s, 630 GB a day",
        "head 1 %": "75 KB/s, 63 GB a day",
        "errors + 1 %": "about 100 GB a day",
    }
    assert "6.48 TB = 5.89 TiB" in figures["all"]["right"]
    assert "7.5 MB/s, 648 GB" in figures["head 10 %"]["right"]
    assert "750 kB/s, 64.8 GB" in figures["head 1 %"]["right"]
    assert "71.2 GB, 129 GB, 386 GB a day with 0.1, 1, 5 % error traces" in figures["errors + 1 %"]["right"]
    # What the reasons say is so.
    mixed = 75e6 * 86_400 / (1000**3 * 1024)
    assert mixed == pytest.approx(6.33, abs=0.005)
    at = storage_cost(**EXAMPLE, error_rate=0.0055).set_index("strategy")["gb_per_day"]
    assert at["errors + 1 %"] == pytest.approx(100, abs=0.3)
    assert storage()._tables["wrong"] == list(wrong_figures())


def test_the_picture_shows_the_strategies():
    lab = storage()
    data, metadata = lab._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert metadata["image/png"]["width"] > 300
    figure = lab._figure(max_rows=50, theme="light")
    said = {text.get_text() for text in figure.axes[0].texts}
    assert {"6.48 TB", "90.7 TB", "9,072", "2.25 GB", lab.arithmetic} <= said
    (kept,) = [one for one in figure.axes[0].collections if one.get_label() == "_kept"]
    widths = [path.vertices[:, 0].max() for path in kept.get_paths()]
    assert widths == pytest.approx((lab.table["bytes_per_s"] * 86_400).tolist())
    lab.units = "binary"
    assert "5.89 TiB" in {text.get_text() for text in lab._figure(max_rows=50, theme="dark").axes[0].texts}
    assert storage()._quick_picture() != lab._quick_picture()
    assert lab.to_svg().lstrip().startswith("<?xml")


@pytest.mark.parametrize("renderer", ["png", "html"])
def test_other_renderers(renderer):
    ta.options.renderer = renderer
    data, _ = storage()._repr_mimebundle_()
    assert ("text/html" in data) == (renderer == "html")
    assert "application/vnd.jupyter.widget-view+json" not in data


def test_the_front_end_is_small_and_asks_for_nothing():
    assert len(StorageLab._esm.encode()) < 60_000
    module = link("lab_storage.js")
    assert len(module) < 60_000
    assert not re.search(r"https?://|\beval\b|innerHTML|fetch\(|import\(|XMLHttpRequest", module)
    assert not re.search(r"url\(|@import", StorageLab._css)


def test_the_page_is_the_same_each_time(tmp_path):
    lab = storage(requests_per_s=500)
    text = lab.to_html(tmp_path / "a.html").read_text(encoding="utf-8")
    assert lab.to_html(tmp_path / "b.html").read_text(encoding="utf-8") == text
    assert '"offline":true' in text
    assert lab._tables["offline"] is False
