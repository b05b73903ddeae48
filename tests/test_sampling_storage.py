"""Storage by arithmetic: the exact figures, why the widely copied ones are wrong, and simulated traffic against the formula."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceanalytics.errors import OptionError
from traceanalytics.sampling.storage_arithmetic import error_trace_share, storage_cost

LOAD = {"requests_per_s": 10_000, "spans_per_trace": 15, "bytes_per_span": 500}
ERRORS_AND_ONE = {"errors + 1 %": (1.0, 0.01)}
DAY = 86_400


def only(**options):
    """The single row of one strategy."""
    table = storage_cost(**{**LOAD, "error_rate": 0.0, **options})
    assert len(table) == 1
    return table.iloc[0]


def test_the_whole_example():
    table = storage_cost(**LOAD, error_rate=0.01).set_index("strategy")
    assert table.index.tolist() == ["all", "head 10 %", "head 1 %", "errors + 1 %", "none"]
    assert table["decided_at"].tolist() == ["start", "start", "start", "end", "start"]
    assert table.loc["all", "bytes_per_s"] == 75e6  # 75 MB/s
    assert table.loc["all", "gb_per_day"] == 6480.0  # 6.48 TB
    assert table.loc["all", "gib_per_day"] / 1024 == pytest.approx(5.89, abs=0.005)  # 5.89 TiB
    assert table.loc["head 10 %", ["bytes_per_s", "gb_per_day"]].tolist() == [7.5e6, 648.0]
    assert table.loc["head 1 %", ["bytes_per_s", "gb_per_day"]].tolist() == [750e3, 64.8]
    assert table["kept_share"].to_numpy() == pytest.approx([1, 0.1, 0.01, 0.0199, 0])
    nothing = table.loc["none"].drop(["decided_at", "monthly_cost"])
    assert (nothing == 0).all()


@pytest.mark.parametrize(
    ("error_rate", "gb", "gib", "share"),
    [(0.001, 71.2, 66.3, 0.01099), (0.01, 129.0, 120.1, 0.0199), (0.05, 385.6, 359.1, 0.0595)],
)
def test_all_error_traces_and_one_per_cent(error_rate, gb, gib, share):
    row = only(error_rate=error_rate, strategies=ERRORS_AND_ONE)
    assert row["gb_per_day"] == pytest.approx(gb, abs=0.05)
    assert row["gib_per_day"] == pytest.approx(gib, abs=0.05)
    assert row["kept_share"] == pytest.approx(share)


def test_the_reference_vectors(shared):
    lines = (shared / "reference" / "sampling_vectors.jsonl").read_text(encoding="utf-8").splitlines()
    vectors = [vector for vector in map(json.loads, lines) if vector["kind"] in {"storage", "storage_tail"}]
    assert len(vectors) >= 3
    for vector in vectors:
        asked = vector["in"]
        share = asked["keep"] if vector["kind"] == "storage" else (1.0, asked["healthy"])
        row = only(
            requests_per_s=asked["rps"],
            spans_per_trace=asked["spans"],
            bytes_per_span=asked["bytes"],
            error_rate=asked.get("error_rate", 0.0),
            strategies={"asked": share},
        )
        found = {
            "keep": row["kept_share"],
            "bytes_per_s": row["bytes_per_s"],
            "GB_day": row["gb_per_day"],
            "GiB_day": row["gib_per_day"],
            "TB_day": row["gb_per_day"] / 1000,
            "TiB_day": row["gib_per_day"] / 1024,
        }
        assert {key: found[key] for key in vector["out"]} == pytest.approx(vector["out"], rel=1e-12), vector["id"]


def test_6_3_terabytes_a_day_is_a_mixture_of_units():
    row = only(strategies={"all": 1.0})
    assert round(row["gb_per_day"] / 1000, 2) == 6.48  # TB
    assert round(row["gib_per_day"] / 1024, 2) == 5.89  # TiB
    # 6.3 is neither. It comes out when a unit of 1000 x 1000 x 1000 x 1024 bytes is used, which does not exist.
    bytes_per_day = row["bytes_per_s"] * DAY
    assert math.floor(10 * bytes_per_day / (1000**3 * 1024)) / 10 == 6.3
    assert abs(6.3e12 / bytes_per_day - 1) > 0.025
    assert abs(6.3 * 2**40 / bytes_per_day - 1) > 0.06


def test_750_kilobytes_a_second_for_10_per_cent_is_the_rate_of_1_per_cent():
    ten, one = only(strategies={"10 %": 0.1}), only(strategies={"1 %": 0.01})
    assert one["bytes_per_s"] == 750e3
    assert ten["bytes_per_s"] == 10 * 750e3
    # The quoted pair does not even fit itself: 750 KB/s make 64.8 GB a day, a tenth of the quoted 630 GB.
    assert 750e3 * DAY / 1e9 == one["gb_per_day"] == 64.8
    assert 9.7 * one["gb_per_day"] < 630
    # And 630 is the 648 GB of the right rate in the mixed unit of the test above.
    assert ten["gb_per_day"] == 648.0
    assert ten["gb_per_day"] / 1.024 == pytest.approx(630, rel=0.005)


def test_75_kilobytes_a_second_for_1_per_cent_is_the_rate_of_a_tenth_of_it():
    one, tenth = only(strategies={"1 %": 0.01}), only(strategies={"0.1 %": 0.001})
    assert tenth["bytes_per_s"] == 75e3
    assert tenth["gb_per_day"] == pytest.approx(6.48)
    assert one["gb_per_day"] == 64.8
    assert one["gb_per_day"] / 1.024 == pytest.approx(63, rel=0.005)


def test_100_gigabytes_for_errors_and_1_per_cent_is_true_at_0_55_per_cent_error_traces_only():
    gb = [only(error_rate=rate, strategies=ERRORS_AND_ONE)["gb_per_day"] for rate in np.linspace(0, 0.05, 101)]
    assert (np.diff(gb) > 0).all()  # so that only one error rate gives 100 GB
    assert only(error_rate=0.0055, strategies=ERRORS_AND_ONE)["gb_per_day"] == pytest.approx(100, abs=0.2)
    for rate in [0.001, 0.004, 0.007, 0.01, 0.05]:
        assert abs(only(error_rate=rate, strategies=ERRORS_AND_ONE)["gb_per_day"] - 100) > 9


def test_error_spans_are_not_error_traces():
    row = only(error_rate=0.01, error_level="span", strategies=ERRORS_AND_ONE)
    share = error_trace_share(0.01, spans_per_trace=15)
    assert share == pytest.approx(0.140, abs=5e-4)
    assert row["kept_share"] == pytest.approx(0.149, abs=5e-4)
    assert row["gb_per_day"] == pytest.approx(962, abs=1)
    pd.testing.assert_series_equal(row, only(error_rate=share, strategies=ERRORS_AND_ONE))
    # Taking the one for the other would have promised less than a seventh.
    assert row["gb_per_day"] > 7 * only(error_rate=0.01, strategies=ERRORS_AND_ONE)["gb_per_day"]


def test_the_share_of_error_traces_of_independent_spans_by_simulation():
    failed = np.random.default_rng(2).random((100_000, 15)) < 0.01
    assert failed.any(axis=1).mean() == pytest.approx(error_trace_share(0.01, spans_per_trace=15), abs=0.005)


def test_errors_that_attract_each_other_stay_below_the_independent_share():
    # Two spans of three fail with the trace, or none: the same rate of error spans, in fewer traces.
    rng = np.random.default_rng(4)
    failed = (rng.random(200_000) < 0.03)[:, None] & (rng.random((200_000, 15)) < 2 / 3)
    rate = failed.mean()
    assert rate < failed.any(axis=1).mean() < 0.2 * error_trace_share(rate, spans_per_trace=15)


def test_traces_of_different_sizes_stay_below_the_share_at_their_mean():
    sizes = np.array([1, 29])
    assert np.mean([error_trace_share(0.02, spans_per_trace=n) for n in sizes]) < error_trace_share(
        0.02, spans_per_trace=sizes.mean()
    )


@given(st.floats(0, 1), st.floats(1, 1000))
def test_the_share_of_error_traces_lies_between_its_limits(rate, spans):
    share = error_trace_share(rate, spans_per_trace=spans)
    assert rate * (1 - 1e-12) <= share <= min(1.0, rate * spans) * (1 + 1e-12)


def test_the_share_of_error_traces_at_its_ends():
    assert error_trace_share(0, spans_per_trace=15) == 0.0
    assert error_trace_share(1, spans_per_trace=15) == 1.0
    assert error_trace_share(0.3, spans_per_trace=1) == pytest.approx(0.3)
    assert error_trace_share(1e-18, spans_per_trace=15) == pytest.approx(15e-18)  # not lost by rounding 1 - rate


@pytest.mark.parametrize(("error_rate", "gb"), [(0.001, 84), (0.01, 259), (0.05, 1034)])
def test_larger_error_traces(error_rate, gb):
    row = only(error_rate=error_rate, error_size_ratio=3, strategies=ERRORS_AND_ONE)
    assert row["gb_per_day"] == pytest.approx(gb, abs=0.5)
    everything = only(error_rate=error_rate, error_size_ratio=3, strategies={"all": 1.0})
    assert everything["gb_per_day"] == pytest.approx(6480 * (1 + 2 * error_rate))
    assert row["collector_bytes_per_s"] == everything["bytes_per_s"]
    assert row["kept_share"] == pytest.approx(error_rate + (1 - error_rate) * 0.01)  # traces, whatever their size


def test_sampling_at_the_end_saves_neither_transport_nor_memory():
    table = storage_cost(**LOAD, error_rate=0.01, strategies={"head": 0.01, "tail": (0.01, 0.01)}).set_index("strategy")
    assert table["bytes_per_s"].tolist() == pytest.approx([750e3, 750e3])
    assert table["collector_bytes_per_s"].tolist() == pytest.approx([750e3, 75e6])
    assert table["buffer_traces"].tolist() == [0, 300_000]
    assert table["buffer_gb"].tolist() == [0, pytest.approx(2.25)]
    short = only(strategies=ERRORS_AND_ONE, decision_wait_s=10)
    assert short[["buffer_traces", "buffer_gb"]].tolist() == [100_000, pytest.approx(0.75)]
    assert only(strategies=ERRORS_AND_ONE, decision_wait_s=0)["buffer_traces"] == 0


def test_what_a_day_makes_on_disk_and_in_money():
    row = only(
        strategies={"1 %": 0.01},
        compression=0.1,
        replication=3,
        index_overhead=0.25,
        retention_days=14,
        price_per_gb_month=0.02,
    )
    assert row["gb_per_day"] == 64.8  # as sent
    assert row["stored_gb"] == pytest.approx(64.8 * 0.1 * 3 * 1.25 * 14)
    assert row["monthly_cost"] == pytest.approx(64.8 * 0.1 * 3 * 1.25 * 14 * 0.02)
    plain = only(strategies={"1 %": 0.01})
    assert plain["stored_gb"] == plain["gb_per_day"]
    assert math.isnan(plain["monthly_cost"])
    assert only(strategies={"1 %": 0.01}, price_per_gb_month=0)["monthly_cost"] == 0.0


RATIOS = st.floats(0, 1)


@given(RATIOS, RATIOS, RATIOS, st.floats(0.5, 20))
def test_kept_and_dropped_make_the_whole(error_rate, error, healthy, size):
    both = {"kept": (error, healthy), "dropped": (1 - error, 1 - healthy), "all": 1.0}
    table = storage_cost(**LOAD, error_rate=error_rate, error_size_ratio=size, strategies=both).set_index("strategy")
    parts = table[["kept_share", "bytes_per_s", "gb_per_day", "gib_per_day", "stored_gb"]]
    pd.testing.assert_series_equal(
        parts.loc["kept"] + parts.loc["dropped"], parts.loc["all"], check_names=False, rtol=1e-9, atol=1e-9
    )
    assert table["gib_per_day"].to_numpy() * 2**30 == pytest.approx(table["gb_per_day"].to_numpy() * 10**9)
    assert (table["bytes_per_s"] <= table["collector_bytes_per_s"] * (1 + 1e-12)).all()


def test_simulated_traffic_keeps_what_the_formula_says():
    rng = np.random.default_rng(6)
    traces = 400_000
    failed = rng.random(traces) < 0.05
    size = np.where(failed, 3.0, 1.0) * 7500
    kept = failed | (rng.random(traces) < 0.1)
    row = only(error_rate=0.05, error_size_ratio=3, strategies={"errors + 10 %": (1.0, 0.1)})
    assert kept.mean() == pytest.approx(row["kept_share"], rel=0.02)
    assert size[kept].sum() / traces * 10_000 == pytest.approx(row["bytes_per_s"], rel=0.02)
    assert size.mean() * 10_000 == pytest.approx(row["collector_bytes_per_s"], rel=0.01)


def test_the_types_and_the_order_of_the_columns():
    columns = {
        "strategy": "str",
        "decided_at": "str",
        "kept_share": "float64",
        "error_kept_share": "float64",
        "healthy_kept_share": "float64",
        "collector_bytes_per_s": "float64",
        "bytes_per_s": "float64",
        "gb_per_day": "float64",
        "gib_per_day": "float64",
        "stored_gb": "float64",
        "monthly_cost": "float64",
        "buffer_traces": "float64",
        "buffer_gb": "float64",
    }
    for table in [
        storage_cost(**LOAD, error_rate=0),
        storage_cost(**LOAD, error_rate=1, strategies={"x": 1, "y": [0, 1]}),
    ]:
        assert table.dtypes.astype(str).to_dict() == columns
        assert list(table) == list(columns)


def test_no_load_costs_nothing_and_the_largest_stays_finite():
    assert storage_cost(**{**LOAD, "requests_per_s": 0}, error_rate=0.1)["gb_per_day"].eq(0).all()
    most = dict.fromkeys(
        ["requests_per_s", "spans_per_trace", "bytes_per_span", "error_size_ratio", "replication", "index_overhead"],
        1e15,
    )
    table = storage_cost(**most, error_rate=1, retention_days=1e15, price_per_gb_month=1e15, decision_wait_s=1e15)
    assert np.isfinite(table.select_dtypes("number")).all(axis=None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"requests_per_s": -1}, r"requests_per_s=-1 is not a number in \[0, 1e\+15\]"),
        ({"requests_per_s": math.inf}, r"requests_per_s=inf is not a number"),
        ({"requests_per_s": "10k"}, r"requests_per_s='10k' is not a number"),
        ({"spans_per_trace": 0.5}, r"spans_per_trace=0.5 is not a number in \[1, 1e\+15\]"),
        ({"bytes_per_span": 0}, r"bytes_per_span=0 is not a number in \(0, 1e\+15\]"),
        ({"error_rate": 5}, r"error_rate=5 is not a number in \[0, 1\]"),
        ({"error_rate": math.nan}, r"error_rate=nan is not a number in \[0, 1\]"),
        ({"error_level": "spans"}, r"error_level='spans' is not one of 'trace', 'span'; did you mean 'span'"),
        ({"error_size_ratio": 0}, r"error_size_ratio=0 is not a number in \(0"),
        ({"compression": 10}, r"compression=10 is not a number in \(0, 1\]"),
        ({"replication": 1.5}, r"replication=1.5 is not a whole number in \[1"),
        ({"index_overhead": -0.1}, r"index_overhead=-0.1 is not a number in \[0"),
        ({"retention_days": 0}, r"retention_days=0 is not a number in \(0"),
        ({"price_per_gb_month": -1}, r"price_per_gb_month=-1 is not a number in \[0"),
        ({"decision_wait_s": -1}, r"decision_wait_s=-1 is not a number in \[0"),
        ({"strategies": {}}, r"strategies=\{\} is not a mapping of at least one name to a ratio in \[0, 1\]"),
        ({"strategies": [0.1]}, r"strategies=\[0.1\] is not a mapping"),
        ({"strategies": {0.1: 0.1}}, r"strategies: the name 0.1 is not a text"),
        ({"strategies": {"x": 10}}, r"strategies\['x'\]=10 is not a number in \[0, 1\]"),
        ({"strategies": {"x": (1.0,)}}, r"strategies\['x'\]=\(1.0,\) is not a pair of ratios in \[0, 1\]"),
        ({"strategies": {"x": (1.0, 2.0)}}, r"strategies\['x'\]=2.0 is not a number in \[0, 1\]"),
        ({"strategies": {"x": "all"}}, r"strategies\['x'\]='all' is not a number in \[0, 1\]"),
    ],
)
def test_a_bad_option_is_named_with_what_is_allowed(options, message):
    with pytest.raises(OptionError, match=message):
        storage_cost(**{**LOAD, "error_rate": 0.01, **options})


def test_a_bad_number_of_the_error_share_is_named():
    with pytest.raises(OptionError, match=r"span_error_rate=1.5 is not a number in \[0, 1\]"):
        error_trace_share(1.5, spans_per_trace=15)
    with pytest.raises(OptionError, match=r"spans_per_trace=0 is not a number in \[1"):
        error_trace_share(0.1, spans_per_trace=0)
