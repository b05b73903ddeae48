"""Frames of spans as others have them, for the tests of ``conform``."""

from __future__ import annotations

import pandas as pd
import pytest

import traceanalytics as ta

T, S = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
START = 1_778_768_625_012_345_678


def foreign(count=1, **columns):
    """A frame with the three required columns, by our names, and others."""
    base = {"trace_id": [T] * count, "span_id": [f"{i + 1:016x}" for i in range(count)], "name": ["n"] * count}
    return pd.DataFrame({**base, **{name.replace("__", "."): value for name, value in columns.items()}})


def one(column, value, **more):
    """The cell that conform makes of one value."""
    return ta.conform(foreign(**{**more, column: [value]})).iloc[0]


def refusal(frame, **options):
    with pytest.raises(ta.SchemaError, match=r".") as raised:
        ta.conform(frame, **options)
    return str(raised.value)
