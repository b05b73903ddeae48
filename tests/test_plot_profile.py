"""``plot.critical_path_profile``: bars and intervals are the numbers of the analysis."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from small_traces import draw

import traceanalytics as ta

SLOW = "get web 0-100\n  read db 10-90"
QUICK = "get web 0-40\n  read db 10-20\n  ask cart 20-30"


def corners(ax, label):
    return [p.vertices for c in ax.collections if c.get_label() == label for p in c.get_paths()]


def texts(ax):
    return [t.get_text() for t in ax.texts]


@pytest.fixture
def spans():
    return draw(*[SLOW] * 6, *[QUICK] * 10)


def test_bars_are_the_shares_and_lines_their_intervals(spans):
    ax = ta.plot.critical_path_profile(spans)
    profile = ta.critical_path_profile(spans)
    assert [c[:, 0].max() for c in corners(ax, "_shares")] == pytest.approx(profile["share"].tolist())
    lines = corners(ax, "_intervals")[:3]
    assert np.array(lines)[:, :, 0] == pytest.approx(profile[["share_low", "share_high"]].to_numpy())
    assert [t for t in texts(ax) if "  " in t] == ["db  read", "web  get", "cart  ask"]
    assert texts(ax)[5] == "10.0% · 6.25 ms · on 62%"
    assert ax.get_title(loc="left") == "critical path · 62.5 ms a request"


def test_more_groups_than_bars_are_one_bar(spans):
    ax = ta.plot.critical_path_profile(spans, top=1)
    assert [c[:, 0].max() for c in corners(ax, "_shares")] == pytest.approx([0.58, 0.42])
    assert "2 more" in texts(ax)


def test_options_of_the_analysis(spans):
    ax = ta.plot.critical_path_profile(spans, by="service", band=(0.9, 1), entry=("web", "get"), resamples=0)
    assert ax.get_title(loc="left").startswith("critical path · web: get · ")
    assert not corners(ax, "_intervals")
    with pytest.raises(ta.OptionError, match="main root of none"):
        ta.plot.critical_path_profile(spans, entry="put")
    with pytest.raises(ta.OptionError, match="top=0"):
        ta.plot.critical_path_profile(spans, top=0)


@pytest.mark.parametrize("name", ["$x^2$", "a\nb\x00\x1b", "𓂀 日本", "x" * 5_000, "", "\u202egnp"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_names_are_only_names_and_stay_within_the_figure(spans, name, theme):
    ax = ta.plot.critical_path_profile(spans.assign(name=name, service=name or None), theme=theme)
    ax.figure.canvas.draw()
    for text in ax.texts:
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= ax.figure.bbox.x1


def test_nothing_to_draw_given_axes_and_the_same_picture_twice(spans):
    assert "no trace has any time" in texts(ta.plot.critical_path_profile(draw()))
    ax = Figure(figsize=(9, 4)).add_subplot()
    assert ta.plot.critical_path_profile(spans, ax=ax) is ax
    one, other = (ta.plot.critical_path_profile(spans)._repr_png_()[0] for _ in range(2))
    assert one == other
