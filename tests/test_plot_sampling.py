"""``plot.kept_ids``, ``plot.weights`` and ``plot.coverage``: marks are the numbers, hostile input stays text."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import traceanalytics as ta

HALF = 2**55


def corners(ax, label):
    return [p.vertices for c in ax.collections if c.get_label() == label for p in c.get_paths()]


def heights(ax, label):
    return [c[:, 1].max() - c[:, 1].min() for c in corners(ax, label)]


def note(ax):
    return " ".join(t.get_text() for t in ax.texts)


def numbers(*values):
    return pd.Series(values, dtype="UInt64")


def coverage_table(**more):
    return pd.DataFrame(
        {"cell": ["10 %", "1 %"], "estimator": ["rate", "total"], "nominal": 0.95, "coverage": [0.5, 0.951]}
        | {"coverage_lo": [0.48, 0.94], "coverage_hi": [0.52, 0.962]}
        | more
    )


def png(ax):
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png")
    return buffer.getvalue()


def test_kept_ids_shows_what_the_sampler_kept_and_what_it_could_not_have():
    ax = ta.plot.kept_ids(numbers(HALF, HALF + 1, HALF + 1, 2**56 - 1, 5, None), p=0.5, bins=4)
    assert heights(ax, "_kept") == [2, 1]
    assert heights(ax, "_below") == [1]
    assert ax.get_title(loc="left") == "randomness of 4 kept traces · claimed: 50%"
    assert "1 trace below the threshold" in note(ax)
    assert "1 without a known random number" in note(ax)
    assert [line.get_xdata()[0] for line in ax.lines if line.get_label() == "_threshold"] == [0.5]


def test_the_law_is_level_above_the_threshold_and_nothing_below():
    rng = np.random.default_rng(3)
    kept = rng.integers(int(0.75 * 2**56), 2**56, 4_000, dtype=np.uint64)
    ax = ta.plot.kept_ids(pd.Series(kept, dtype="UInt64"), p=0.25, bins=8)
    law = corners(ax, "_law")
    assert [c[:, 1].max() for c in law[:6]] == [0] * 6
    low, high = law[7][:, 1].min(), law[7][:, 1].max()
    assert (low + high) / 2 == pytest.approx(2_000)
    assert high - low == pytest.approx(4 * np.sqrt(4_000 / 4))
    assert all(low <= height <= high for height in heights(ax, "_kept"))


def test_without_a_claim_there_is_no_threshold():
    ax = ta.plot.kept_ids(numbers(1, 2, HALF))
    assert not ax.lines
    assert ax.get_title(loc="left") == "randomness of 3 kept traces"


@pytest.mark.parametrize("p", [0, 1.5, -1, float("nan"), True, "0.1"])
def test_a_claim_that_is_no_probability_is_refused(p):
    with pytest.raises(ta.OptionError, match="no probability above 0"):
        ta.plot.kept_ids(numbers(1), p=p)


def test_numbers_that_are_no_randomness_are_refused():
    with pytest.raises(ta.OptionError, match=r"outside 0 to 2\*\*56"):
        ta.plot.kept_ids(numbers(2**60))


def test_weights_shows_kept_traces_beside_what_they_stand_for():
    spans = pd.DataFrame({"trace_id": ["a", "a", "b", "c", "d"], "weight": [1, 1, 1, 8, None]})
    ax = ta.plot.weights(spans)
    assert heights(ax, "share of the kept traces") == pytest.approx([2 / 3, 1 / 3])
    assert heights(ax, "share of all traces that they stand for") == pytest.approx([0.2, 0.8])
    assert ax.get_title(loc="left") == "3 kept traces stand for 10"
    assert "1 trace without a known weight" in note(ax)
    assert "as much as 2 traces" in note(ax)  # 100 / 66, rounded


def test_weights_need_a_column():
    with pytest.raises(ta.OptionError, match="'wieght' is no column"):
        ta.plot.weights(pd.DataFrame({"trace_id": ["a"], "weight": [1.0]}), column="wieght")


def test_coverage_marks_intervals_that_are_too_narrow():
    ax = ta.plot.coverage(coverage_table())
    drawn = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert drawn == {"_fine": [[0.951, 1.0]], "_narrow": [[0.5, 0.0]]}
    assert corners(ax, "_intervals")[0][:, 0].tolist() == [0.48, 0.52]
    assert ax.get_title(loc="left") == "coverage of 2 intervals, 1 too narrow"
    assert {"50.0%", "95.1%", "10 % · rate"} <= {t.get_text() for t in ax.texts}


def test_rows_beyond_the_most_are_counted():
    ax = ta.plot.coverage(coverage_table(), max_rows=1)
    assert "1 more row" in note(ax)
    with pytest.raises(ta.OptionError, match="max_rows=0"):
        ta.plot.coverage(coverage_table(), max_rows=0)
    with pytest.raises(ta.SchemaError, match="lacks nominal"):
        ta.plot.coverage(coverage_table().drop(columns="nominal"))


@pytest.mark.parametrize("name", ["$x^2$", "a\nb\x00\x1b", "𓂀 日本", "x" * 5_000, "", "\u202egnp"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_names_are_only_names_and_stay_within_the_figure(name, theme):
    ax = ta.plot.coverage(coverage_table(cell=name), theme=theme)
    ax.figure.canvas.draw()
    for text in ax.texts:
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= ax.figure.bbox.x1


@pytest.mark.parametrize(
    ("plot", "value", "sentence"),
    [
        (ta.plot.kept_ids, numbers(), "no trace with a known random number"),
        (ta.plot.weights, pd.DataFrame({"trace_id": ["a"], "weight": [np.nan]}), "no trace with a known weight"),
        (ta.plot.coverage, coverage_table().iloc[:0], "no coverage was measured"),
    ],
)
def test_nothing_to_draw_says_so(plot, value, sentence):
    assert sentence in note(plot(value))


@pytest.mark.parametrize(
    ("plot", "value"),
    [
        (ta.plot.kept_ids, numbers(1, 2, HALF)),
        (ta.plot.weights, pd.DataFrame({"trace_id": ["a", "b"], "weight": [1.0, 100.0]})),
        (ta.plot.coverage, coverage_table()),
    ],
)
def test_given_axes_titles_and_the_same_picture_twice(plot, value):
    ax = Figure(figsize=(9, 4)).add_subplot()
    assert plot(value, ax=ax, title="mine") is ax
    assert ax.get_title(loc="left") == "mine"
    assert png(plot(value, theme="dark")) == png(plot(value, theme="dark"))
    with pytest.raises(ta.OptionError, match="title=3"):
        plot(value, title=3)
    with pytest.raises(ta.OptionError, match="theme"):
        plot(value, theme="blue")
