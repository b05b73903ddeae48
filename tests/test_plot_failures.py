"""``plot.error_chains`` and ``plot.retries``."""

from __future__ import annotations

import itertools

import pytest
from matplotlib.figure import Figure
from small_traces import draw

import traceanalytics as ta

FAILED = """
    get web 0-100 SERVER ERROR
      ask web 5-90 CLIENT ERROR
        buy cart 10-80 SERVER ERROR
          put db 20-70 CLIENT ERROR
"""
OTHER = "get web 0-100 SERVER ERROR\n  ask web 5-90 CLIENT ERROR\n    pay bank 10-80 SERVER ERROR"
PICTURES = [ta.plot.error_chains, ta.plot.retries]
NAMES = ["chains", "retries"]


@pytest.fixture
def retried():
    spans = draw(
        """
        get web 0-100 SERVER
          ask web 0-10 CLIENT ERROR id=a
          ask web 30-45 CLIENT ERROR id=b
          ask web 70-90 CLIENT id=c
        """,
        """
        get web 0-60 SERVER ERROR
          ask web 0-10 CLIENT ERROR id=d
          ask web 10-25 CLIENT ERROR id=e
        """,
    )
    assert len(ta.retries(spans)) == 2
    return spans


def texts(ax):
    return [t.get_text() for t in ax.texts if t.get_text()]


def collection(ax, label):
    (found,) = [c for c in ax.collections if c.get_label() == label]
    return found


def test_chains_go_from_the_request_to_the_span_to_blame():
    ax = ta.plot.error_chains(draw(FAILED, FAILED, OTHER, "get web 0-5 SERVER"))
    assert ax.get_title(loc="left") == "3 failed requests · 2 ways of failing"
    boxes = texts(ax)
    assert boxes[:6] == ["web: get", "3 failed requests", "cart: buy", "2 failed", "db: put", boxes[5]]
    assert boxes[5].startswith("! 2 by error")
    assert boxes[6] == "bank: pay"
    widths = sorted(round(float(width), 2) for width in collection(ax, "_edges").get_linewidths())
    assert widths == [3.22, 4.23, 4.23]


def test_rare_chains_are_left_out_with_a_note():
    ax = ta.plot.error_chains(draw(FAILED, FAILED, OTHER), max_chains=1)
    assert "1 rarer way of 1 request left out" in texts(ax)
    assert "bank: pay" not in texts(ax)


def test_weights_count():
    spans = draw(FAILED).assign(n=10.0)
    assert ta.plot.error_chains(spans, weights="n").get_title(loc="left") == "10 failed requests · 1 way of failing"


def test_attempts_are_bars_and_pauses_lines(retried):
    ax = ta.plot.retries(retried)
    assert ax.get_title(loc="left") == "2 calls tried again · 1 recovered · 1 exhausted"
    failed = sorted(
        (round(p.vertices[:, 1].mean(), 3) // 1, p.vertices[:, 0].min(), p.vertices[:, 0].max())
        for p in collection(ax, "_failed").get_paths()
    )
    assert [(a, b) for _, a, b in failed] == [(0, 10), (30, 45), (0, 10), (10, 25)]
    (success,) = collection(ax, "_succeeded").get_paths()
    assert (success.vertices[:, 0].min(), success.vertices[:, 0].max()) == (70, 90)
    assert [segment[:, 0].tolist() for segment in collection(ax, "_pauses").get_segments()] == [[10, 30], [45, 70]]
    assert "3 attempts · recovered · 45 ms pause" in texts(ax)
    assert "2 attempts · ! exhausted" in texts(ax)


def test_shorter_ones_are_left_out_with_a_note(retried):
    ax = ta.plot.retries(retried, max_groups=1)
    assert "1 shorter one left out" in texts(ax)
    assert len(collection(ax, "_failed").get_paths()) == 2


@pytest.mark.parametrize("picture", PICTURES, ids=NAMES)
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["$x^2$", "a\nb\x00\x1b", "𓂀 日本", "x" * 5_000, "\u202egnp"])
def test_any_names_stay_within_the_figure_and_do_not_overlap(retried, picture, theme, name):
    spans = ta.concat([draw(FAILED), retried.assign(trace_id=retried["trace_id"].astype("str").str.replace("0", "f"))])
    ax = picture(spans.assign(name=spans["name"].astype("str") + name), theme=theme)
    ax.figure.canvas.draw()
    inside = ax.figure.bbox.padded(1)
    places = [t.get_window_extent() for t in ax.texts if t.get_text()]
    assert places
    for box in places:
        assert inside.x0 <= box.x0
        assert box.x1 <= inside.x1
    assert not [1 for a, b in itertools.combinations(places, 2) if a.padded(-1.5).overlaps(b.padded(-1.5))]


@pytest.mark.parametrize(
    ("picture", "text"), list(zip(PICTURES, ["no request failed", "no call was tried again"], strict=True)), ids=NAMES
)
def test_nothing_to_draw_given_axes_and_the_same_picture_twice(retried, picture, text):
    assert text in texts(picture(draw("a web 0-5")))
    assert "no spans" in texts(picture(draw()))
    ax = Figure(figsize=(9, 4)).add_subplot()
    assert picture(retried, ax=ax, title="mine") is ax
    assert ax.get_title(loc="left") == "mine"
    assert picture(retried)._repr_png_()[0] == picture(retried)._repr_png_()[0]


def test_what_is_refused(retried):
    with pytest.raises(ta.OptionError, match="max_chains=0"):
        ta.plot.error_chains(retried, max_chains=0)
    with pytest.raises(ta.OptionError, match="max_groups=0"):
        ta.plot.retries(retried, max_groups=0)
