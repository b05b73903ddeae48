"""Self time: what no child covers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import reference_path
from small_traces import EPOCH_NS, draw, frame, random_rows

from traceanalytics.analysis.self_time import self_time
from traceanalytics.kernels import forced


def of(text):
    spans = draw(text)
    found = [None if np.isnan(ms) else ms for ms in self_time(spans)]
    return dict(zip(spans["name"], found, strict=True))


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("r web 0-100", 100),
        ("r web 0-100\n  a web 10-30\n  b web 50-60", 70),
        ("r web 0-100\n  a web 10-30\n  b web 20-60", 50),  # together
        ("r web 0-100\n  b web 20-30\n  a web 10-60", 50),  # one within the other
        ("r web 0-100\n  a web 0-50\n  b web 50-100", 0),
        ("r web 10-100\n  a web 0-20\n  b web 90-200", 70),  # beyond both ends
        ("r web 10-20\n  a web 0-5\n  b web 30-40", 10),  # outside
        ("r web 0-100\n  a web 0-100\n    b web 0-100", 0),  # grandchildren do not count
        ("r web 0-100 PRODUCER\n  a web 50-100 CONSUMER", 50),  # asynchronous ones do
        ("r web 0-100\n  u web ?-?\n    v web 5-?\n      a web 10-30", 80),  # through untimed ones
        ("r web 0-100\n  u web ?-?\n    b web 10-60\n  a web 20-30", 50),
        ("r web 0-100\n  a web 50-40", 100),
        ("r web 0-100\n  a web 10-20\n  a web 10-15", 90),  # a duplicate
        ("r web 50-40\n  a web 41-42", 0),
        ("r web 5-5", 0),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_self_time_of_the_root(text, root, compiled):
    with forced(compiled):
        assert of(text)["r"] == root


def test_what_has_no_time_has_no_self_time():
    assert of("r web 0-9\n  u web 1-?\n  k web 1-2 name=x\n  k web 1-3 name=y") == {
        "r": 7,
        "u": None,
        "x": None,
        "y": 2,
    }


def test_a_series_on_the_index():
    spans = draw("r web 0-9\n  a web 1-2").set_axis(["x", "y"])
    expected = pd.Series([8.0, 1.0], index=["x", "y"], name="self_ms")
    pd.testing.assert_series_equal(self_time(spans), expected)
    empty = self_time(spans.iloc[:0])
    assert (len(empty), empty.dtype, empty.name) == (0, np.dtype("float64"), "self_ms")


@pytest.mark.parametrize("seed", range(3))
def test_random_traces_match_the_reference(seed):
    rows = random_rows(seed, 200)
    found = (self_time(frame(rows)) * 1e6).round().astype("int64")
    for spans in reference_path.traces_of(rows, EPOCH_NS).values():
        for span in spans:
            assert found.iloc[span["row"]] == reference_path.self_time(spans, span)
