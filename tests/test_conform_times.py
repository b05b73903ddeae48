from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from foreign_frames import START, foreign, refusal

import traceanalytics as ta
from traceanalytics.spans.columns import start_ns
from traceanalytics.spans.schema import CORE

# ---- times ----


@pytest.mark.parametrize(
    "given",
    [
        pd.to_datetime(["2026-05-14T14:23:45.012345678Z"]),
        pd.Series([pd.Timestamp("2026-05-14T16:23:45.012345678+02:00")]),
        pd.Series([pd.Timestamp("2026-05-14T14:23:45.012345678Z")], dtype=object),
        ["2026-05-14T14:23:45.012345678Z"],
        ["2026-05-14 16:23:45.012345678+02:00"],
        pd.array(pa.array([START], pa.timestamp("ns", "UTC")), dtype=pd.ArrowDtype(pa.timestamp("ns", "UTC"))),
    ],
    ids=["datetime64", "other zone", "objects", "text", "text of another zone", "arrow"],
)
def test_starts_with_a_time_zone(given):
    for name in ("start_time", "startTime", "timestamp"):
        made = ta.conform(foreign().assign(**{name: given}))
        assert str(made["start_time"].dtype) == "datetime64[ns, UTC]"
        assert start_ns(made["start_time"]).tolist() == [START]


def test_texts_of_different_precision():
    texts = ["2026-05-14T14:23:45Z", "2026-05-14T14:23:45.1Z", None, "", "2026-05-14T14:23:45.000000001+00:00"]
    made = ta.conform(foreign(5, start_time=texts))["start_time"]
    base = START // 10**9 * 10**9
    assert start_ns(made).tolist() == [base, base + 10**8, *[np.iinfo("int64").min] * 2, base + 1]


def test_other_units_become_nanoseconds():
    seconds = pd.to_datetime([1_778_768_625], unit="s", utc=True).as_unit("s")
    assert start_ns(ta.conform(foreign().assign(start_time=seconds))["start_time"]).tolist() == [1_778_768_625 * 10**9]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("start_ns", START, START),
        ("startTimeUnixNano", str(START), START),
        ("start_time_unix_nano", START, START),
        ("start_us", START // 1000, START // 1000 * 1000),
        ("start_ms", START // 10**6, START // 10**6 * 10**6),
        ("startTimeMillis", START / 10**6, START // 1000 * 1000 + 750),  # what a float can hold of it: 2^-12 ms
        ("start_s", 1_778_768_625.5, 1_778_768_625_500_000_000),
        ("timestamp_us", 1_778_768_625_000_001.0, 1_778_768_625_000_001_000),
    ],
)
def test_epoch_numbers(name, value, expected):
    found = int(start_ns(ta.conform(foreign(1, **{name: [value]}))["start_time"])[0])
    assert found == expected if name != "startTimeMillis" else abs(found - START) <= 250


@pytest.mark.parametrize("dtype", ["int64", "uint64", "Int64", "UInt64", "object", "int64[pyarrow]"])
def test_epoch_nanoseconds_never_pass_through_a_float(dtype):
    frame = foreign(2).assign(start_ns=pd.Series([START, START + 1]).astype(dtype))
    assert start_ns(ta.conform(frame)["start_time"]).tolist() == [START, START + 1]


def test_missing_epoch_numbers():
    for column in (
        pd.Series([START, None], dtype="Int64"),
        pd.Series([START, None], dtype=object),
        pd.Series([START, None], dtype="int64[pyarrow]"),
    ):
        made = ta.conform(foreign(2).assign(start_ns=column))["start_time"]
        assert start_ns(made).tolist() == [START, np.iinfo("int64").min]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (
            "start_time",
            pd.Timestamp("2026-05-14"),
            "these are naive. If they are UTC, pass frame.assign(start_time=frame['start_time'].dt.tz_localize('UTC'))",
        ),
        ("start_time", "2026-05-14T14:23:45", "add Z or +00:00 if it is UTC"),
        ("start_time", "2026-05-14", "an instant with a time zone, such as"),
        ("start_time", "yesterday at 5:00Z", "expected an instant such as"),
        ("start_time", START, "say in which unit: columns={'start_time': 'start_ns'}, or _us, _ms, _s"),
        ("start_time", str(START), "say in which unit"),
        ("start_time", pd.Timestamp("3026-05-14", tz="UTC"), "expected an instant of the years 1677 to 2262"),
        ("start_time", "3026-05-14T00:00:00Z", "expected an instant of the years 1677 to 2262"),
        ("start_ms", START, "expected an instant of the years 1677 to 2262, in ms: is this another unit?"),
        ("start_s", 1e12, "expected an instant of the years 1677 to 2262, in s: is this another unit?"),
        (
            "start_ns",
            float(START),
            "float64 has lost nanoseconds of epoch numbers. Read the column as Int64, or as text",
        ),
        ("start_ns", np.uint64(2**63), "expected an instant of the years 1677 to 2262"),
        ("start_ns", "12.5", "found '12.5' at index 'r', expected a whole number of ns"),
        ("endTime", dt.datetime(2026, 5, 14), "with a time zone"),  # noqa: DTZ001 - that is what is refused
        ("duration", 12, "columns={'duration': 'duration_ms'}, or _ns, _us, _s"),
        ("duration_ms", "fast", "column 'duration_ms': found 'fast' at index 'r', expected a number of ms"),
        ("duration_ms", np.inf, "found inf at index 'r', expected a number of ms"),
    ],
)
def test_times_without_zone_or_unit_are_refused(column, value, message):
    found = refusal(foreign(1, **{column: [value]}).set_axis(["r"]))
    assert found.startswith(f"column {column!r}: found ")
    assert "at index 'r'" in found
    assert message in found


def test_a_naive_instant_among_others_is_refused():
    mixed = pd.Series([pd.Timestamp("2026-05-14", tz="UTC"), pd.Timestamp("2026-05-14")], dtype=object)
    assert "this one is naive" in refusal(foreign(2).assign(start_time=mixed))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("duration_ms", 1.5, 1.5),
        ("durationMs", 2, 2.0),
        ("duration_ns", 1_234_567, 1.234567),
        ("duration_us", 1_234, 1.234),
        ("duration_s", 1.5, 1500.0),
        ("duration", pd.Timedelta(1_234_567, "ns"), 1.234567),
        ("duration_ns", "1234567", 1.234567),
        ("duration_ns", -5, -5e-06),
        ("duration_ms", None, None),
        ("duration_ms", "", None),
    ],
)
def test_durations(name, value, expected):
    found = ta.conform(foreign(1, **{name: [value]}))["duration_ms"]
    assert found.dtype == "float64"
    assert found.tolist() == [expected] if expected is not None else found.isna().all()


@pytest.mark.parametrize(
    ("end_name", "end"), [("end_ns", START + 1_234_567), ("endTimeUnixNano", str(START + 1_234_567))]
)
def test_ends_give_durations_exactly(end_name, end):
    made = ta.conform(foreign(1, start_ns=[START], **{end_name: [end]}))
    assert made["duration_ms"].tolist() == [1.234567]
    assert made.columns.tolist() == list(CORE)


def test_ends_as_instants_and_unknown_ones():
    frame = foreign(3, start_ns=pd.Series([START, START, None], dtype="Int64"))
    frame["EndTime"] = pd.to_datetime([START + 5_000_000, None, START], utc=True)
    assert ta.conform(frame)["duration_ms"].fillna(-1).tolist() == [5.0, -1, -1]


def test_an_end_beside_a_duration_is_a_column_of_the_user():
    spans = ta.conform(foreign(1, start_ns=[START], duration_ms=[1.0]))
    with_end = spans.assign(end_time=ta.end_time(spans))
    assert ta.conform(with_end).equals(with_end)
