"""The lab of the critical path as Python sees it: changes, what they do, the words for it, messages, pictures."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_traces import draw, id_of

import traceanalytics as ta
from traceanalytics.lab import CriticalPathLab, critical_path
from traceanalytics.lab.checkout import checkout_trace
from traceanalytics.widgets.linking import link

NAMES = checkout_trace()["name"].astype("str").tolist()
MINUS = "\N{MINUS SIGN}"
PNG = b"\x89PNG\r\n"


def key(name):
    return f"{NAMES.index(name) + 1:016x}"


def changed(**changes):
    """The checkout with changes of length by name ("_" for a blank)."""
    lab = critical_path()
    lab.changes = {key(name.replace("_", " ")): {"longer_ms": ms} for name, ms in changes.items()}
    return lab


def send(lab, **state):
    """A message of the browser."""
    lab._handle_msg({"content": {"data": {"method": "update", "state": state, "buffer_paths": []}}, "buffers": []})


def test_the_example_holds_every_case():
    spans = checkout_trace()
    lab = critical_path()
    assert (len(spans), lab.total_ms, lab.original_total_ms, repr(lab)) == (9, 120, 120, "CriticalPathLab(9 spans)")
    pd.testing.assert_frame_equal(lab.spans, spans)
    pd.testing.assert_frame_equal(lab.path, ta.critical_path(spans))
    assert lab._now["slack"] == [0, 0, 0, 0, 0, 0, 40, 0, None]
    assert sum(lab._now["critical"]) == 120


def test_a_shorter_span_on_the_path():
    lab = changed(charge_payment=-30.0)
    assert lab.total_ms == 90
    assert lab.effect == f"{MINUS}30 ms: 120 → 90 ms. checkout waited for charge payment, so its 30 ms count in full."
    assert lab.spans["duration_ms"].tolist() == [90, 12, 20, 12, 30, 12, 20, 6, 30]
    assert lab.path["segment_ms"].sum() == 90
    assert lab.original_total_ms == 120


@pytest.mark.parametrize(
    ("changes", "total", "words"),
    [
        ({}, 120, "Drag the end of a bar"),
        ({"recommend": 20.0}, 120, "Nothing: recommend had 40 ms of slack, and now has 20 ms."),
        ({"recommend": 50.0}, 130, "+10 ms: 120 → 130 ms. The first 40 ms were slack. Now recommend is waited for."),
        ({"send_receipt": 90.0}, 120, "Nothing: publish order does not wait for send receipt."),
        (
            {"charge_payment": -44.0},
            80,
            "Of the 44 ms, 40 ms count. Now recommend is waited for. charge payment cannot be shorter than what it waits for itself.",
        ),
        ({"charge_payment": -9.0, "load_cart": 9.0}, 120, "Nothing: the total is what it was."),
        ({"checkout": -5.0}, 115, f"{MINUS}5 ms: 120 → 115 ms."),
    ],
)
def test_what_a_change_does_in_words(changes, total, words):
    lab = changed(**changes)
    assert lab.total_ms == total
    assert words in lab.effect


def test_changes_that_make_up_for_each_other():
    lab = changed(charge_payment=-9.0, load_cart=9.0)
    lab.selected = key("load cart")
    assert lab.effect == "Nothing: the changes make up for each other."


def test_what_is_said_of_each_span():
    said = dict(zip(NAMES, critical_path()._now["texts"], strict=True))
    assert said["checkout"] == "checkout takes 120 ms in all. 22 ms of them are its own time on the critical path."
    assert said["authenticate"] == "checkout waits for authenticate from 5 to 17 ms."
    assert (
        said["charge payment"] == "checkout waits for charge payment from 44 to 104 ms. 48 ms of that are its own time."
    )
    assert said["recommend"].startswith("recommend is off the critical path: with up to 40 ms more")
    assert said["send receipt"] == "publish order does not wait for send receipt."


def test_what_is_said_of_odd_spans():
    lab = critical_path(
        draw(
            """
            root a 0-100
              twin1 b 10-50
              twin2 c 10-50
              open d 60-?
              send a 60-62 PRODUCER
                mail e 70-80 CONSUMER
                  smtp f 72-75
            lost g 5-10 parent=elsewhere
            """
        )
    )
    said = {row["name"]: text for row, text in zip(lab._tables["rows"], lab._now["texts"], strict=True)}
    assert "has no slack" in said["twin2"] or "has no slack" in said["twin1"]
    assert said["open"] == "open has no start or no end: it takes no part."
    assert said["smtp"] == "send does not wait for mail, to which smtp belongs."
    assert said["lost"] == "lost hangs below no span of this trace, so nothing here waits for it."
    lab.changes = {id_of("twin1"): {"longer_ms": -10}}
    assert lab.effect == "Nothing: the total does not hang on twin1 alone."


def test_a_change_is_made_as_far_as_the_span_allows():
    lab = changed(charge_payment=-500.0, authenticate=-500.0, recommend=0.0)
    assert lab.changes == {key("charge payment"): {"longer_ms": -44.0}, key("authenticate"): {"longer_ms": -12.0}}
    lab.changes = {key("load cart"): {"later_ms": -100, "longer_ms": 0}}
    assert lab.changes == {key("load cart"): {"later_ms": -20.0}}
    assert lab.spans["start_time"].iloc[2] == lab.spans["start_time"].iloc[0]


def test_the_path_parts_the_total_whatever_is_changed():
    rng = np.random.default_rng(5)
    lab = critical_path()
    for _ in range(30):
        lab.changes = {
            f"{row + 1:016x}": {"longer_ms": int(rng.integers(-30, 30)), "later_ms": int(rng.integers(-20, 20))}
            for row in rng.choice(9, 3, replace=False).tolist()
        }
        assert sum(end - start for *_, start, end in lab._now["path"]) == pytest.approx(lab.total_ms)
        assert lab.path["segment_ms"].sum() == pytest.approx(lab.total_ms)
        assert sum(lab._now["critical"]) == pytest.approx(lab.total_ms)
        assert all(slack == 0 for slack, own in zip(lab._now["slack"], lab._now["critical"], strict=True) if own)


@given(longer=st.integers(-60, 60))
def test_off_the_path_up_to_its_slack_nothing_changes(longer):
    lab = changed(recommend=float(longer))
    assert lab.total_ms == 120 + max(0, longer - 40)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ([1], "expected a dict"),
        ({"payment": {"longer_ms": 1}}, "no span here has the id 'payment'"),
        ({"": {"longer_ms": 1}}, "expected {'longer_ms'"),
        ({key("recommend"): 5}, "expected {'longer_ms'"),
        ({key("recommend"): {"duration_ms": 5}}, "'duration_ms' is not one of 'longer_ms', 'later_ms'"),
        ({key("recommend"): {"longer_ms": float("nan")}}, "expected milliseconds"),
        ({key("recommend"): {"longer_ms": True}}, "expected milliseconds"),
        ({key("recommend"): {"later_ms": 1e12}}, "expected milliseconds"),
    ],
)
def test_changes_that_make_no_sense(value, match):
    lab = critical_path()
    with pytest.raises(ta.OptionError, match=match):
        lab.changes = value
    send(lab, changes=value)
    assert lab.changes == {}
    assert lab.total_ms == 120


def test_the_browser_changes_and_selects():
    lab = critical_path()
    send(lab, changes={key("charge payment"): {"longer_ms": -30, "later_ms": 0}}, selected=key("recommend"))
    assert lab.changes == {key("charge payment"): {"longer_ms": -30.0}}
    assert (lab.total_ms, lab.selected) == (90, key("recommend"))
    send(lab, selected="nobody", predict="perhaps", _now={}, _tables={})
    assert (lab.selected, lab.predict, lab._now["total"]) == (key("recommend"), False, 90)
    send(lab, predict=True, selected="")
    assert (lab.selected, lab.predict) == ("", True)


def test_changes_are_the_labs_own():
    one, other = critical_path(), critical_path()
    one.changes["x"] = 1
    assert other.changes == {}


@pytest.mark.parametrize(
    ("spans", "match"),
    [
        (draw(), "0 traces"),
        (draw("a a 0-1", "b a 0-1"), "2 traces, and the lab shows one: choose it with ta.trace"),
        (
            draw("a a 0-50\n" + "\n".join(f"  c{i} a {i}-{i + 1}" for i in range(40))),
            "41 spans, and the lab shows up to 40",
        ),
    ],
)
def test_other_frames_are_refused_with_the_way_out(spans, match):
    with pytest.raises(ta.OptionError, match=match):
        critical_path(spans)


def test_wrong_options_are_refused():
    with pytest.raises(ta.OptionError, match="theme='sepia'"):
        critical_path(theme="sepia")
    with pytest.raises(ta.OptionError, match="predict='yes'"):
        critical_path(predict="yes")
    with pytest.raises(ta.OptionError, match="has no 'chnages'; did you mean 'changes'"):
        critical_path().chnages = {}


def test_odd_traces_can_be_shown():
    spans = draw("root - ?-?\n  a x 0-10\n    b x 3-2\n  c - 5-?\nd y 0-4 parent=elsewhere\nd y 0-4 parent=elsewhere")
    lab = critical_path(spans.set_axis(list("uvwxyz")[: len(spans)]))
    assert len(lab._tables["rows"]) == 5  # one is a duplicate
    json.dumps([lab._tables, lab._now], allow_nan=False)
    lab.changes = {id_of("a"): {"longer_ms": 5}}
    assert lab.spans.loc["v", "duration_ms"] == 15


def test_only_untimed_spans():
    lab = critical_path(draw("root - ?-?\n  a x 1-?"))
    assert (lab.total_ms, lab._tables["step"]) == (0, 1)
    json.dumps([lab._tables, lab._now], allow_nan=False)


def test_spans_that_share_an_id_have_keys_of_their_own():
    spans = draw("root a 0-10\n  one b 1-3 id=same\n  two b 4-6 id=same SERVER")
    keys = [row["key"] for row in critical_path(spans)._tables["rows"]]
    assert len(set(keys)) == 3


def test_the_step_fits_the_trace():
    for length, step in ((0.5, 0.01), (7.5, 0.1), (120, 1), (4000, 10)):
        assert critical_path(draw(f"root a 0-{length}"))._tables["step"] == pytest.approx(step)


def test_the_picture_shows_the_changed_trace():
    lab = changed(charge_payment=-30.0)
    data, metadata = lab._repr_mimebundle_()
    assert data["text/plain"] == "CriticalPathLab(9 spans)"
    assert "application/vnd.jupyter.widget-view+json" in data
    assert metadata["image/png"]["width"] > 300
    assert lab.to_png().startswith(PNG)
    title = lab._figure(max_rows=50, theme="light").axes[0].get_title(loc="left")
    assert title == f"checkout · {MINUS}30 ms: 120 → 90 ms"
    assert critical_path()._quick_picture() != lab._quick_picture()


@pytest.mark.parametrize("renderer", ["png", "html"])
def test_other_renderers(renderer):
    ta.options.renderer = renderer
    data, _ = critical_path()._repr_mimebundle_()
    assert ("text/html" in data) == (renderer == "html")
    assert "application/vnd.jupyter.widget-view+json" not in data


def test_names_are_made_safe_and_cut():
    hostile = ["\u202egnp.exe\u2066", "a\x00b\x1b[31mc", "half \ud800", "x" * 1_000_000, "</script><img src=x>"]
    rows = "\n".join(f"  c{i} c{i} {i}-{i + 2}" for i in range(len(hostile)))
    spans = draw(f"root web 0-100\n{rows}")
    spans["name"] = pd.Series(["root", *hostile], dtype=object)
    spans["service"] = pd.Series(["web", *hostile], dtype=object)
    lab = critical_path(spans)
    text = json.dumps([lab._tables, lab._now], ensure_ascii=False, allow_nan=False)
    assert not re.search("[\u0000-\u001f\u202e\u2066\ud800]", text)
    assert len(text) < 20_000
    lab.changes = {id_of("c3"): {"longer_ms": 300}}
    assert len(lab.effect) < 300
    assert lab.to_png().startswith(PNG)


def test_the_front_end_is_small_and_asks_for_nothing():
    assert len(CriticalPathLab._esm.encode()) < 60_000
    module = link("lab_path.js")
    assert len(module) < 60_000
    assert not re.search(r"https?://|\beval\b|innerHTML|fetch\(|import\(|XMLHttpRequest", module)
    assert not re.search(r"url\(|@import", CriticalPathLab._css)


def test_the_page_is_the_same_each_time_and_says_that_it_has_no_kernel(tmp_path):
    lab = changed(charge_payment=-30.0)
    text = lab.to_html(tmp_path / "a.html").read_text(encoding="utf-8")
    assert lab.to_html(tmp_path / "b.html").read_text(encoding="utf-8") == text
    assert '"offline":true' in text
    assert lab._tables["offline"] is False


def test_the_package_alone_loads_no_widgets():
    code = "import sys, traceanalytics; print('anywidget' in sys.modules, 'traceanalytics.lab' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.split() == ["False", "False"]
