"""Shares of latency with their intervals, bands of latency, and folded stacks."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from small_traces import draw, frame, random_rows

import traceanalytics as ta
from traceanalytics.analysis import path_profile
from traceanalytics.analysis.critical_path import critical_time
from traceanalytics.analysis.path_profile import critical_path_profile, folded_stacks
from traceanalytics.analysis.self_time import self_time
from traceanalytics.errors import OptionError

INTERVAL = ["share_low", "share_high"]


def shuffled(spans, seed=0):
    order = np.random.default_rng(seed).permutation(len(spans))
    return spans.iloc[order].set_axis([f"row {i}" for i in order])


def mixture(n, seed=0):
    """Requests of which a part, and another part every time, is spent in the database."""
    rng = np.random.default_rng(seed)
    whole = rng.integers(50, 150, n)
    part = rng.integers(0, 50, n)
    return draw(*[f"r web 0-{a}\n  q db 0-{b}" for a, b in zip(whole, part, strict=True)]), whole, part


# -- profile


def test_shares_are_of_the_sum_and_probabilities_of_the_requests():
    spans = draw("r web 0-100\n  q db 0-80", "r web 0-10\n  c db 0-2\n  q db 0-3", "r web 0-10")
    found = critical_path_profile(spans).set_index("name")
    assert found["share"].to_dict() == pytest.approx({"q": 83 / 120, "r": 37 / 120, "c": 0})
    assert found["traces"].to_dict() == {"q": 2, "r": 3, "c": 1}
    assert found["path_probability"].to_dict() == pytest.approx({"q": 2 / 3, "r": 1, "c": 0})
    assert found["critical_mean_ms"].to_dict() == pytest.approx({"q": 83 / 3, "r": 37 / 3, "c": 0})
    assert found.index.tolist() == ["q", "r", "c"]
    assert found.loc["c", INTERVAL].tolist() == [0, 0]


@pytest.mark.parametrize("seed", range(3))
def test_random_traces_match_pandas(seed):
    spans = frame(random_rows(seed, 80, unit_ns=1_000_000))
    found = critical_path_profile(spans, by="name", resamples=0).set_index("name").sort_index()
    table = spans.assign(critical_ms=critical_time(spans))
    cells = table.pivot_table("critical_ms", "trace_id", "name", "sum", observed=True, fill_value=0.0)
    np.testing.assert_allclose(found["share"], cells.sum().sort_index() / cells.sum().sum())
    np.testing.assert_allclose(found["path_probability"], (cells > 0).mean().sort_index())
    np.testing.assert_allclose(found["critical_mean_ms"], cells.mean().sort_index())
    assert found["share"].sum() == pytest.approx(1)
    assert found[INTERVAL].isna().all(axis=None)


def test_the_interval_is_the_bootstrap_over_traces():
    spans, whole, part = mixture(60)
    found = critical_path_profile(spans, resamples=4000, confidence=0.9).set_index("name")
    rng = np.random.default_rng(1)
    drawn = rng.integers(0, 60, (4000, 60))
    shares = part[drawn].sum(axis=1) / whole[drawn].sum(axis=1)
    low, high = np.quantile(shares, [0.05, 0.95])
    assert found.loc["q", INTERVAL].tolist() == pytest.approx([low, high], abs=0.004)
    assert found.loc["r", INTERVAL].tolist() == pytest.approx([1 - high, 1 - low], abs=0.004)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    hits = 0
    for seed in range(60):
        found = critical_path_profile(mixture(40, seed)[0], confidence=0.8, resamples=200).set_index("name")
        low, high = found.loc["q", INTERVAL]
        hits += low <= 24.5 / 99.5 <= high
    assert 0.65 <= hits / 60 <= 0.93


def test_more_confidence_is_wider_and_seeds_are_kept():
    spans = mixture(30)[0]
    narrow, wide = (critical_path_profile(spans, confidence=level).set_index("name") for level in (0.5, 0.99))
    assert (wide["share_low"] < narrow["share_low"]).all()
    assert (narrow["share_high"] < wide["share_high"]).all()
    pd.testing.assert_frame_equal(critical_path_profile(spans, seed=3), critical_path_profile(spans, seed=3))
    assert not critical_path_profile(spans, seed=3).equals(critical_path_profile(spans, seed=4))


def test_small_pieces_of_memory_change_nothing(monkeypatch):
    spans = frame(random_rows(2, 50))
    expected = critical_path_profile(spans, resamples=150)
    monkeypatch.setattr(path_profile, "_CELLS", 300)
    pd.testing.assert_frame_equal(critical_path_profile(spans, resamples=150), expected)


def test_one_trace_has_no_interval():
    found = critical_path_profile(draw("r web 0-100"))
    assert found["share"].tolist() == [1]
    assert found[INTERVAL].isna().all(axis=None)


def test_traces_without_time_are_left_out():
    found = critical_path_profile(draw("r web 0-100", "r web ?-?"))
    assert found[["traces", "path_probability", "critical_mean_ms"]].to_numpy().tolist() == [[1, 1, 100]]
    assert critical_path_profile(draw("r web 5-5", "r web 6-6"))["share"].isna().all()


# -- bands


def test_bands_are_formed_within_each_root_operation():
    fast = [f"fast web 0-{ms}" for ms in range(1, 11)]
    slow = [f"slow web 0-{ms}" for ms in range(1001, 1011)]
    spans = draw(*fast, *slow)
    found = critical_path_profile(spans, band=(0.5, 1.0)).set_index("name")
    assert found["traces"].to_dict() == {"slow": 5, "fast": 5}  # over both together, all ten would be slow ones
    assert found["critical_mean_ms"].to_dict() == {"slow": sum(range(1006, 1011)) / 10, "fast": sum(range(6, 11)) / 10}
    tail = critical_path_profile(spans, band=(0.8, 0.9)).set_index("name")
    assert tail["critical_mean_ms"].to_dict() == {"slow": 1009 / 2, "fast": 9 / 2}


def test_bands_part_the_requests():
    spans = frame(random_rows(4, 150, unit_ns=1_000_000))
    edges = [0, 0.25, 0.5, 0.9, 1]
    whole = critical_path_profile(spans, by="service", resamples=0).set_index("service")
    parts = [
        critical_path_profile(spans, by="service", band=band, resamples=0).set_index("service")
        for band in itertools.pairwise(edges)
    ]
    total = sum(part["traces"].reindex(whole.index, fill_value=0) for part in parts)
    assert total.tolist() == whole["traces"].tolist()


def test_the_same_name_in_another_service_is_another_root_operation():
    spans = draw(*[f"r web 0-{ms}" for ms in (1, 2)], *[f"r api 0-{ms}" for ms in (100, 200)], "r - 0-7")
    found = critical_path_profile(spans, by="service", band=(0.5, 1))
    assert found["service"].tolist()[:2] == ["api", "web"]
    assert found["critical_mean_ms"].tolist() == [100, 1]
    every = critical_path_profile(spans, band=(0, 0.5))
    assert every["traces"].sum() == 3


def test_a_band_and_an_entry():
    spans = draw("r web 0-10", "r web 0-20", "s web 0-30")
    found = critical_path_profile(spans, band=(0.5, 1), entry="r")
    assert found[["name", "critical_mean_ms"]].to_numpy().tolist() == [["r", 20]]


@pytest.mark.parametrize("band", [(0.9, 0.9), (0.9, 0.5), (-0.1, 0.5), (0.5, 90), 0.9, (0.1, 0.5, 0.9), ("a", "b")])
def test_a_bad_band(band):
    with pytest.raises(OptionError, match="is no band of quantiles"):
        critical_path_profile(draw("r web 0-1"), band=band)


def test_bad_numbers():
    spans = draw("r web 0-1")
    with pytest.raises(OptionError, match="confidence=95 is no level"):
        critical_path_profile(spans, confidence=95)
    with pytest.raises(OptionError, match=r"resamples=1.5 is no number"):
        critical_path_profile(spans, resamples=1.5)
    with pytest.raises(OptionError, match="resamples=-1 is no number"):
        critical_path_profile(spans, resamples=-1)
    with pytest.raises(OptionError, match="the result has a column 'share' of its own"):
        critical_path_profile(spans.assign(share=1), by="share")
    with pytest.raises(OptionError, match="value='selv' is not one of"):
        folded_stacks(spans, value="selv")


# -- what does not matter


@pytest.mark.parametrize("band", [None, (0.25, 0.75)])
def test_order_index_types_and_instants_do_not_matter(band):
    spans = frame(random_rows(5, 60, unit_ns=1_000_000))

    def function(some):
        return critical_path_profile(some, resamples=100, band=band)

    before = spans.copy(deep=True)
    expected = function(spans)
    pd.testing.assert_frame_equal(spans, before)
    pd.testing.assert_frame_equal(function(shuffled(spans)), expected)
    moved = spans.assign(start_time=spans["start_time"] + pd.Timedelta("400D"))
    pd.testing.assert_frame_equal(function(moved), expected)
    columns = ("trace_id", "name", "service", "kind", "status")
    plain = function(spans.astype(dict.fromkeys(columns, "str")))
    same = {name: dtype for name, dtype in expected.dtypes.items() if isinstance(dtype, pd.CategoricalDtype)}
    pd.testing.assert_frame_equal(plain.astype(same), expected)
    assert folded_stacks(shuffled(spans)) == folded_stacks(moved) == folded_stacks(spans)


def test_equal_weights_change_the_number_of_traces_only():
    spans = frame(random_rows(6, 60))
    expected = critical_path_profile(spans, resamples=100, band=(0, 0.8))
    pd.testing.assert_frame_equal(
        critical_path_profile(spans.assign(w=1), weights="w", resamples=100, band=(0, 0.8)), expected
    )
    two = pd.Series(2.0, index=spans.index)
    doubled = critical_path_profile(spans, weights=two, resamples=100, band=(0, 0.8))
    pd.testing.assert_frame_equal(doubled.assign(traces=doubled["traces"] / 2), expected)


def test_a_weight_is_so_many_copies_of_a_trace():
    spans = draw("r web 0-100\n  q db 0-40", "r web 0-10")
    copies = draw("r web 0-100\n  q db 0-40", *["r web 0-10"] * 3)
    weights = pd.Series([1, 1, 3], index=spans.index)
    for band in (None, (0, 0.75), (0.75, 1)):
        found = critical_path_profile(spans, weights=weights, band=band, resamples=0)
        pd.testing.assert_frame_equal(found, critical_path_profile(copies, band=band, resamples=0))
    assert folded_stacks(spans, weights=weights) == folded_stacks(copies)


def test_an_empty_frame_gives_the_same_columns():
    spans = draw("r web 0-1")
    full, empty = (critical_path_profile(some, band=(0.5, 1)) for some in (spans, spans.iloc[:0]))
    assert len(empty) == 0
    assert full.dtypes.astype(str).tolist() == empty.dtypes.astype(str).tolist()
    assert folded_stacks(spans.iloc[:0]) == []


# -- stacks


def test_stacks():
    spans = draw("r web 0-100\n  q db 0-40\n  q2 db 20-50 name=q\n  z db 60-60", "r web 0-100 parent=elsewhere")
    assert folded_stacks(spans) == ["?;web:r 100000", "web:r 70000", "web:r;db:q 30000"]  # waiting is the root's
    assert folded_stacks(spans, value="self") == ["?;web:r 100000", "web:r 50000", "web:r;db:q 70000"]


def test_names_cannot_break_a_line():
    spans = draw("r web 0-1")
    name = pd.Categorical(["a;b\nc\r\nd\u2028e f 12"])
    assert folded_stacks(spans.assign(name=name)) == ["web:a,b c d e f 12 1000"]


@pytest.mark.parametrize("value", ["critical", "self"])
@pytest.mark.parametrize("seed", range(2))
def test_stacks_add_up(value, seed):
    spans = frame(random_rows(seed, 60, unit_ns=1_000))
    total = (critical_time(spans) if value == "critical" else self_time(spans)).sum()
    assert sum(int(line.rpartition(" ")[2]) for line in folded_stacks(spans, value=value)) == round(total * 1e3)


def test_a_chain_of_100_000_calls_has_stacks_of_a_drawable_depth():
    n = 100_000
    spans = draw("r web 0-100").iloc[[0] * n].reset_index(drop=True)
    ids = pd.Series([f"{i + 1:016x}" for i in range(n)], dtype="str")
    nested = 2e6 - 2e-3 * np.arange(n)
    spans = spans.assign(span_id=ids, parent_span_id=ids.shift(), duration_ms=nested)
    found = folded_stacks(spans)
    assert len(found) == 201
    assert max(line.count(";") for line in found) == 200
    assert sum(int(line.rpartition(" ")[2]) for line in found) == 2e9


def test_real_traces(shared):
    spans = ta.read_parquet(shared / "datasets" / "deathstar_traceweaver" / "hotel.parquet")
    found = critical_path_profile(spans, resamples=50)
    assert found["share"].sum() == pytest.approx(1)
    assert (found["share_low"] <= found["share"]).all()
    assert (found["share"] <= found["share_high"]).all()
    tail = critical_path_profile(spans, band=(0.9, 1.0), resamples=0)
    assert tail["traces"].max() == pytest.approx(600, abs=2)
