"""``plot.flame``: frames as wide as the call tree says."""

from __future__ import annotations

import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from small_traces import draw

import traceanalytics as ta

SHOP = """
    root   web   0-100
      auth  web   0-10
      call  web   10-60
        cart  cart  12-50
      other web   30-40
"""


def frames(ax):
    """Level, begin and end in ms of every frame."""
    corners = [p.vertices for c in ax.collections if isinstance(c, PolyCollection) for p in c.get_paths()]
    found = [(round(c[:, 1].mean()), c[:, 0].min(), c[:, 0].max()) for c in (corner[:4] for corner in corners)]
    return sorted((level, round(float(a), 3), round(float(b), 3)) for level, a, b in found)


def texts(ax):
    return [t.get_text() for t in ax.texts]


def test_a_frame_is_as_wide_as_the_critical_time_of_its_path_and_below():
    ax = ta.plot.flame(draw(SHOP))
    assert frames(ax) == [(0, 0, 100), (1, 0, 50), (1, 50, 60), (2, 0, 38)]
    assert ax.get_title(loc="left") == "critical time · 100 ms a request"
    assert ax.yaxis_inverted()


def test_self_time_adds_up_work_at_the_same_time():
    ax = ta.plot.flame(draw(SHOP), value="self", orient="flame")
    assert frames(ax) == [(0, 0, 110), (1, 0, 50), (1, 50, 60), (1, 60, 70), (2, 0, 38)]
    assert not ax.yaxis_inverted()


def test_many_traces_are_shown_as_one_mean_request():
    ax = ta.plot.flame(draw(SHOP, "root web 0-50"))
    assert frames(ax) == [(0, 0, 75), (1, 0, 25), (1, 25, 30), (2, 0, 19)]
    assert "2 requests" in texts(ax)
    weighted = ta.plot.flame(draw(SHOP, "root web 0-50").assign(n=[3] * 5 + [1]), weights="n")
    assert frames(weighted)[0] == (0, 0, 87.5)


def test_what_is_too_narrow_is_counted():
    wide = "root web 0-1000\n" + "\n".join(f"  c{i} web {i}-{i}.4" for i in range(30))
    ax = ta.plot.flame(draw(wide))
    assert len(frames(ax)) == 1
    assert "30 paths too narrow or too deep to draw" in texts(ax)


def test_a_chain_of_many_levels_is_cut():
    chain = "\n".join(f"{'  ' * i}c{i} web {i}-{300 - i}" for i in range(100))
    ax = ta.plot.flame(draw(chain))
    assert len(frames(ax)) == 60
    assert "40 paths too narrow or too deep to draw" in texts(ax)


def test_names_stay_within_their_frames():
    spans = draw(SHOP).assign(name="a name that is much longer than a frame of this picture is wide, all in all" * 3)
    ax = ta.plot.flame(spans)
    ax.figure.canvas.draw()
    for text in ax.texts:
        if text.get_zorder() == 3:
            assert text.get_window_extent().x1 <= ax.get_window_extent().x1


@pytest.mark.parametrize("name", ["$x^2$", "a\nb\x00\x1b", "𓂀 🦄 日本", "x" * 5_000, "", "<script>&amp;", "\u202egnp"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_names_are_only_names(name, theme):
    ax = ta.plot.flame(draw(SHOP).assign(name=name, service=name or None), theme=theme)
    assert ax._repr_png_()[0]


@pytest.mark.parametrize("picture", ["a web ?-?", "a web 0-0", "a web 5-2"])
def test_without_any_time_it_says_so(picture):
    assert "no span has any time" in texts(ta.plot.flame(draw(picture)))


def test_no_spans_given_axes_and_the_same_picture_twice():
    assert "no spans" in texts(ta.plot.flame(draw()))
    ax = Figure(figsize=(9, 4)).add_subplot()
    assert ta.plot.flame(draw(SHOP), ax=ax, title="mine") is ax
    assert ax.get_title(loc="left") == "mine"
    assert ta.plot.flame(draw(SHOP))._repr_png_()[0] == ta.plot.flame(draw(SHOP))._repr_png_()[0]


def test_calls_below_a_lost_parent_have_dashed_edges():
    ax = ta.plot.flame(draw("a web 0-50\n  b web 1-2\nc cart 10-60 parent=gone"), value="self")
    dashed = [style for c in ax.collections for style in c.get_linestyle() if style[1]]
    assert len(dashed) == 1


def test_what_is_refused():
    with pytest.raises(ta.OptionError, match="value='inclusive' is not one of"):
        ta.plot.flame(draw(SHOP), value="inclusive")
    with pytest.raises(ta.OptionError, match="orient='up' is not one of"):
        ta.plot.flame(draw(SHOP), orient="up")
    with pytest.raises(ta.OptionError, match="theme='grey' is not one of"):
        ta.plot.flame(draw(SHOP), theme="grey")
