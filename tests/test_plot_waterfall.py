"""``plot.waterfall``: what is drawn, asserted on the artists."""

from __future__ import annotations

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from small_traces import draw

import traceanalytics as ta

SHOP = """
    root   web   0-100   SERVER
      auth  web   0-10
      call  web   10-60   CLIENT
        cart  cart  12-50   SERVER ERROR
          db   cart  20-40   CLIENT
      other web   30-40
"""


def texts(ax):
    legend = ax.get_legend()
    return [
        t.get_text() for t in [*ax.texts, *ax.figure.texts, *(legend.get_texts() if legend else [])] if t.get_text()
    ]


def rectangles(ax):
    return [path for c in ax.collections if isinstance(c, PolyCollection) for path in c.get_paths()]


def bars(ax):
    """Row, start and end in ms of every bar, from top to bottom."""
    corners = [p.vertices for c in ax.collections if c.get_label() == "_bars" for p in c.get_paths()]
    found = [(c[:, 1].min() / 2 + c[:, 1].max() / 2, c[:, 0].min(), c[:, 0].max()) for c in corners]
    return sorted(tuple(float(round(number, 3)) for number in bar) for bar in found)


def test_one_row_a_span():
    ax = ta.plot.waterfall(draw(SHOP))
    assert isinstance(ax.figure, Figure)
    rows = sorted((t.get_position()[1], t.get_position()[0], t.get_text()) for t in ax.texts if " " not in t.get_text())
    labels = [text for _, _, text in rows]
    assert labels[::2] == ["root", "auth", "call", "cart", "db", "other"]
    assert labels[1::2] == ["web", "web", "web", "cart", "cart", "web"]
    low, high = sorted(ax.get_ylim())
    assert high - low == pytest.approx(6, abs=0.5)
    assert "web: root · 100 ms · 6 spans · 2 services" in ax.get_title(loc="left")
    widths = sorted(round(float(np.ptp(p.vertices[:, 0])), 3) for p in rectangles(ax))
    assert {10.0, 20.0, 38.0, 50.0, 100.0} <= set(widths)


def test_marks_are_collections_not_an_artist_a_span():
    ax = ta.plot.waterfall(draw("r web 0-900\n" + "\n".join(f"  c{i} web {i}-{i + 1}" for i in range(150))))
    assert len(ax.patches) < 20
    assert len(ax.collections) < 20
    assert any(isinstance(c, PolyCollection) and len(c.get_paths()) >= 151 for c in ax.collections)


def test_pyplot_is_left_alone():
    before = plt.get_fignums()
    ta.plot.waterfall(draw(SHOP))
    assert plt.get_fignums() == before


def test_it_draws_on_given_axes():
    figure = Figure(figsize=(9, 4))
    ax = figure.add_subplot()
    assert ta.plot.waterfall(draw(SHOP), ax=ax) is ax
    assert rectangles(ax)


def test_everything_stays_within_the_figure():
    services = [f"a-service-with-a-name-{i}" for i in range(14)]
    spans = draw("r web 0-900 ERROR\n" + "\n".join(f"  c{i} {s} {10 * i}-{i + 700}" for i, s in enumerate(services)))
    ax = ta.plot.waterfall(spans)
    inside = ax.figure.bbox.padded(1)
    ax.figure.canvas.draw()
    for artist in [ax.title, ax._left_title, ax.get_legend(), *ax.texts]:
        box = artist.get_window_extent()
        assert inside.x0 <= box.x0
        assert box.x1 <= inside.x1
        assert inside.y0 <= box.y0
        assert box.y1 <= inside.y1


@pytest.mark.parametrize("dpi", [100, 150])
def test_texts_of_a_row_do_not_touch(dpi):
    lines = [f"  orders.v1.OrderService/ListOrders{i} a-long-service-name-{i} {i}-{i + 9} ERROR" for i in range(60)]
    lines = [line + f" id=s{i}" for i, line in enumerate(lines)]
    ax = ta.plot.waterfall(draw("r web 0-99\n" + "\n".join(lines)))
    ax.figure.set_dpi(dpi)
    rows = {}
    for text in ax.texts[:-1]:  # the last one is the trace id
        rows.setdefault(text.get_position()[1], []).append(text.get_window_extent())
    assert len(rows) == 61
    for boxes in rows.values():
        boxes.sort(key=lambda box: box.x0)
        assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))


def test_title_and_labels_fit_under_a_layout_engine():
    figure = Figure(figsize=(10, 6), layout="constrained")
    ax, _ = figure.subplots(2, 1)
    ta.plot.waterfall(draw(SHOP), ax=ax)
    figure.draw_without_rendering()
    assert ax._left_title.get_window_extent().x0 >= 0
    assert min(t.get_window_extent().x0 for t in ax.texts) >= 0


def test_services_of_one_colour_are_told_apart_by_a_pattern():
    ax = ta.plot.waterfall(draw("a redis 0-9\n  b cart 1-2"))
    assert {c.get_hatch() for c in ax.collections if c.get_label() == "_bars"} == {None, "////"}
    assert [handle.get_hatch() for handle in ax.get_legend().get_patches()] == ["////", ""]


def test_it_shows_itself_in_a_notebook():
    data, _ = ta.plot.waterfall(draw(SHOP))._repr_png_()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_picture_is_the_same_each_time():
    assert ta.plot.waterfall(draw(SHOP))._repr_png_()[0] == ta.plot.waterfall(draw(SHOP))._repr_png_()[0]


@pytest.mark.parametrize(("highlight", "legend"), [("critical_path", True), ("errors", False), (None, False)])
def test_highlights(highlight, legend):
    ax = ta.plot.waterfall(draw(SHOP), highlight=highlight)
    assert ("critical path" in texts(ax)) is legend
    assert [t for t in texts(ax) if t.lstrip("! ") == "error"]


def test_errors_are_not_told_by_colour_alone():
    assert [t for t in texts(ta.plot.waterfall(draw(SHOP))) if "!" in t]
    assert not [t for t in texts(ta.plot.waterfall(draw("a web 0-5"))) if "!" in t]


def test_more_rows_than_allowed_are_folded_with_a_note():
    spans = draw("r web 0-900\n" + "\n".join(f"  c{i} web {i}-{i + 1}" for i in range(300)))
    ax = ta.plot.waterfall(spans, max_rows=40)
    assert [t for t in [*texts(ax), ax.get_title(loc="left")] if "+261 spans folded" in t]
    low, high = sorted(ax.get_ylim())
    assert high - low == pytest.approx(40, abs=0.5)


def test_an_error_is_never_folded_away():
    lines = [f"  c{i} web {i}-{i + 1}{' ERROR' if i == 77 else ''}" for i in range(300)]
    ax = ta.plot.waterfall(draw("r web 0-900\n" + "\n".join(lines)), max_rows=10)
    assert "c77" in texts(ax)


@pytest.mark.parametrize("name", ["$x^2$", "a\nb\x00\x1b", "𓂀 🦄 日本", "x" * 5_000, "", "<script>&amp;", "\u202egnp"])
def test_names_are_only_names(name):
    spans = draw(SHOP).assign(name=name, service=name or None)
    assert ta.plot.waterfall(spans)._repr_png_()[0]


@pytest.mark.parametrize(
    "picture", ["a web ?-?", "a web 0-0", "a web 5-2", "a web 0-5\n  b web ?-?\n  c web 2-?", "a web 0-5 parent=gone"]
)
def test_odd_times_are_drawn(picture):
    assert ta.plot.waterfall(draw(picture))._repr_png_()[0]


def test_orphans_have_dashed_edges():
    ax = ta.plot.waterfall(draw("a web 0-5\nb web 1-2 parent=gone"))
    styles = [s for c in ax.collections if isinstance(c, PolyCollection | LineCollection) for s in c.get_linestyle()]
    assert any(dashes for _, dashes in styles)


def test_what_is_refused():
    with pytest.raises(ta.OptionError, match=r"21 traces, expected 1 to 20.*ta.trace\(spans"):
        ta.plot.waterfall(draw(*[SHOP] * 21))
    with pytest.raises(ta.OptionError, match=r"no spans|0 traces"):
        ta.plot.waterfall(draw())
    with pytest.raises(ta.OptionError, match="highlight='path' is not one of"):
        ta.plot.waterfall(draw(SHOP), highlight="path")
    with pytest.raises(ta.OptionError, match="max_rows=0"):
        ta.plot.waterfall(draw(SHOP), max_rows=0)


def test_traces_stand_above_each_other_each_from_its_own_start():
    later = draw("a web 0-100\n  b db 20-60", "c web 50-90\n  d db 60-80")
    ax = ta.plot.waterfall(later)
    assert ax.get_title(loc="left") == "2 traces · 4 spans · 2 services"
    assert [t for t in texts(ax) if t.startswith("web: ")] == [
        "web: a · 100 ms · 2 spans · 2 services",
        "web: c · 40 ms · 2 spans · 2 services",
    ]
    assert bars(ax) == [(1, 0, 100), (2, 20, 60), (4, 0, 40), (5, 10, 30)]


def test_traces_share_the_rows():
    wide = "r web 0-900\n" + "\n".join(f"  c{i} web {i}-{i + 1}" for i in range(50))
    ax = ta.plot.waterfall(draw("a web 0-9", wide, wide), max_rows=21)
    assert [y for y, *_ in bars(ax)] == [1, *range(3, 13), *range(14, 24)]
    assert "+82 spans folded" in ax.get_title(loc="left")


def test_services_in_place_of_spans():
    spans = draw(
        """
        get web 0-100
          check web 5-10
          ask web 10-70
            answer cart 12-60
              sum cart 20-40 ERROR
              read db 41-50
          late web 90-120
        """
    )
    ax = ta.plot.waterfall(spans, collapse="services")
    assert bars(ax) == [(0, 0, 120), (1, 12, 60), (2, 41, 50)]
    assert [t for t in texts(ax) if t.startswith("+")] == ["+3", "+1"]
    assert [t for t in texts(ax) if t.startswith("!")] == ["! 48 ms", "! error"]
    with pytest.raises(ta.OptionError, match="collapse='service' is not one of"):
        ta.plot.waterfall(spans, collapse="service")


def test_real_traces_are_drawn(corpus):
    for file in (
        "otlp_json/oteldemo_collector_file_exporter_mixed.jsonl",
        "zipkin_v2/zipkinlens_smartthings-oauth-authorization.json",
        "jaeger_json/jaeger_ui_01.json",
    ):
        spans = ta.read(corpus / file)
        one = ta.trace(spans, ta.summary(spans)["spans"].idxmax())
        assert ta.plot.waterfall(one)._repr_png_()[0]
