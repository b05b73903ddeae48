"""``plot.latency_histogram``, ``latency_heatmap`` and ``latency_bands``: their marks are the numbers of the frame."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from small_traces import draw

import traceanalytics as ta

CHARTS = [ta.plot.latency_histogram, ta.plot.latency_heatmap, ta.plot.latency_bands]
NAMES = ["histogram", "heatmap", "bands"]


@pytest.fixture
def spans():
    """Forty requests of 10 ms and ten of 1,000 ms, one each second; the slow ones fail."""
    quick, slow = "get web 0-10\n  read db 2-8", "get web 0-1000 ERROR\n  read db 10-990"
    found = draw(*[slow if i % 5 == 4 else quick for i in range(50)])
    codes = pd.factorize(found["trace_id"])[0]
    return found.assign(start_time=found["start_time"] + pd.to_timedelta(codes, unit="s"))


def corners(ax, label):
    return [p.vertices for c in ax.collections if c.get_label() == label for p in c.get_paths()]


def texts(ax):
    legend = ax.get_legend()
    return [t.get_text() for t in [*ax.texts, *(legend.get_texts() if legend else [])]]


def heights(ax, label):
    return sorted(float(np.ptp(c[:, 1])) for c in corners(ax, label))


def test_the_histogram_counts_requests_and_those_that_failed(spans):
    ax = ta.plot.latency_histogram(spans, bins=10)
    assert heights(ax, "_requests") == [40]
    assert heights(ax, "_failed") == [10]
    assert ax.get_title(loc="left") == "duration of 50 requests"
    assert "10 failed (20.0%), in red" in texts(ax)
    assert [t for t in texts(ax) if t.startswith("p")] == ["p50 10 ms", "p90 1 s", "p99 1 s"]
    assert ax.get_xscale() == "log"


def test_the_histogram_of_spans_and_of_weighted_requests(spans):
    assert heights(ta.plot.latency_histogram(spans[spans["name"] == "read"], of="spans", bins=4), "_requests") == [
        10,
        40,
    ]
    weighted = ta.plot.latency_histogram(spans.assign(n=3.0), weights="n", bins=4)
    assert heights(weighted, "_requests") == [120]
    assert weighted.get_title(loc="left") == "duration of 150 requests"


def test_a_cell_of_the_heat_map_holds_the_requests_of_its_time_and_duration(spans):
    ax = ta.plot.latency_heatmap(spans, freq="10s", bins=10, exemplars=2)
    assert (len(corners(ax, "_cells")), len(corners(ax, "_failed"))) == (5, 5)
    assert {round(float(np.ptp(c[:, 0])) * 86_400, 3) for c in corners(ax, "_cells")} == {10}
    found = ta.summary(spans)
    slowest = found.index[found["duration_ms"] == 1000].astype("str").tolist()
    listed = [t.split("trace ")[1].split("  ")[0] for t in texts(ax) if "  trace " in t]
    assert listed == [slowest[0], slowest[2]]  # the first one of each of the first two columns
    assert [t for t in texts(ax) if "trace" in t and "failed" in t]


def test_the_bands_are_the_percentiles_of_each_column(spans):
    ax = ta.plot.latency_bands(spans, freq="10s")
    (line,) = [one for one in ax.lines if one.get_label() == "_p50"]
    assert line.get_ydata() == pytest.approx([10] * 5)
    (band,) = [c for c in ax.collections if c.get_label() == "_p50_p90"]
    assert sorted(set(np.round(band.get_paths()[0].vertices[:, 1], 6))) == [10, 1000]
    assert "failed, up to 20.0%" in texts(ax)
    assert "fewer than 100 requests in 5 columns: their p99 is the slowest" in texts(ax)


@pytest.mark.parametrize("chart", CHARTS, ids=NAMES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_stays_within_the_figure(spans, chart, theme):
    ax = chart(spans, theme=theme, entry="get")
    ax.figure.canvas.draw()
    inside = ax.figure.bbox.padded(1)
    assert ax.get_title(loc="left").endswith(" · get")
    for text in [*ax.texts, *ax.xaxis.get_ticklabels(), *ax.yaxis.get_ticklabels(), ax._left_title]:
        box = text.get_window_extent()
        if text.get_text() and text.get_visible() and ax.get_xlim()[0] <= text.get_position()[0] <= ax.get_xlim()[1]:
            assert inside.x0 <= box.x0
            assert box.x1 <= inside.x1


@pytest.mark.parametrize("chart", CHARTS, ids=NAMES)
def test_nothing_to_draw(chart):
    assert "no request with a known start and duration" in texts(chart(draw()))
    ax = chart(draw("a web ?-?", "b web 0-5"))
    assert "1 request without a known time left out" in texts(ax)[-1] or [t for t in texts(ax) if "left out" in t]


@pytest.mark.parametrize("chart", CHARTS, ids=NAMES)
@pytest.mark.parametrize("picture", ["a web 0-0", "a web 5-2", "a web 0-7"])
def test_one_request_of_any_length(chart, picture):
    assert chart(draw(picture))._repr_png_()[0]


@pytest.mark.parametrize("chart", CHARTS, ids=NAMES)
def test_given_axes_and_the_same_picture_twice(spans, chart):
    ax = Figure(figsize=(9, 4)).add_subplot()
    assert chart(spans, ax=ax, title="mine") is ax
    assert ax.get_title(loc="left") == "mine"
    assert chart(spans)._repr_png_()[0] == chart(spans)._repr_png_()[0]


def test_hostile_ids_are_only_texts(spans):
    ids = spans["trace_id"].astype("str").map(lambda i: f"$x^2$\n\u202e<script>{i}" + "y" * 5000)
    ax = ta.plot.latency_heatmap(spans.assign(trace_id=ids))
    assert ax._repr_png_()[0]
    assert not [t for t in texts(ax) if "\n" in t or "\u202e" in t]


def test_what_is_refused(spans):
    with pytest.raises(ta.OptionError, match="bins=0"):
        ta.plot.latency_histogram(spans, bins=0)
    with pytest.raises(ta.OptionError, match="exemplars=21"):
        ta.plot.latency_heatmap(spans, exemplars=21)
    with pytest.raises(ta.OptionError, match="freq='1ME' is no fixed length"):
        ta.plot.latency_bands(spans, freq="1ME")
    with pytest.raises(ta.OptionError, match="more than 10,000"):
        ta.plot.latency_bands(spans, freq="1ms")
    with pytest.raises(ta.OptionError, match="of='traces' is not one of"):
        ta.plot.latency_histogram(spans, of="traces")
    with pytest.raises(ta.OptionError, match="main root of none"):
        ta.plot.latency_histogram(spans, entry="put")
