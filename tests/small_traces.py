"""Hand-drawn traces: ``draw`` turns an indented picture into a span frame with every core column.

::

    draw('''
        root  web  0-100
          call  db  10-50  CLIENT
          send  -   60-70  PRODUCER ERROR
    ''')

A line holds: name, service (``-``: missing), start and end in ms (``?`` for an unknown one: ``?-?``, ``5-?``), then in any
order a kind, a status, and ``key=value`` for any core column or ``parent=``/``id=``, whose values are names (``parent=none``
for a root, ``parent=elsewhere`` for a missing one). Deeper lines are children. Ids are made of names: see ``id_of``.
Each text is one trace, ``trace_of(0)``, ``trace_of(1)``, ...
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from traceanalytics.spans.conforming import conform

EPOCH_NS = 1_760_000_000_000_000_000
KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
STATUSES = ("UNSET", "OK", "ERROR")
DTYPES = {
    "trace_id": "category",
    "span_id": "str",
    "parent_span_id": "str",
    "name": "category",
    "service": "category",
    "kind": pd.CategoricalDtype(KINDS),
    "start_time": "datetime64[ns, UTC]",
    "duration_ms": "float64",
    "status": pd.CategoricalDtype(STATUSES, ordered=True),
    "status_message": "str",
    "trace_state": "str",
    "trace_flags": "UInt32",
    "scope_name": "category",
    "scope_version": "category",
    "events": "str",
    "links": "str",
}


def id_of(name):
    """16 hex digits for a name of at most eight letters; they sort as names of equal length do."""
    return name.encode().hex().rjust(16, "0")


def name_of(span_id):
    """The name that ``id_of`` made the id of."""
    return bytes.fromhex(span_id).lstrip(b"\0").decode()


def trace_of(number):
    return f"{number + 1:032x}"


def frame(rows):
    """A span frame of dicts; what is not given is missing, ``start_ns`` and ``duration_ns`` may stand for times."""
    table = pd.DataFrame(rows)
    if "start_ns" in table:
        start = pd.array([row["start_ns"] for row in rows], dtype="Int64")  # a float would lose nanoseconds
        table["start_time"] = pd.to_datetime(start, unit="ns", utc=True)
    if "duration_ns" in table:
        table["duration_ms"] = table["duration_ns"].astype("float64") / 1e6
    columns = {}
    for name, dtype in DTYPES.items():
        values = table[name] if name in table else pd.Series([None] * len(table))
        if isinstance(dtype, str) and dtype == "category":
            values = values.astype("str").astype("category")
            columns[name] = values.cat.set_categories(values.cat.categories.astype("str"))
        else:
            columns[name] = values.astype(dtype)
    return pd.DataFrame(columns)


def draw(*texts):
    """A span frame of indented pictures, one trace each."""
    rows = []
    for number, text in enumerate(texts):
        rows += _trace(text, trace_of(number))
    return frame(rows) if rows else frame([{"trace_id": "0"}]).iloc[:0]


def _trace(text, trace_id):
    rows, above = [], []
    for line in text.splitlines():
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        while above and above[-1][0] >= indent:
            above.pop()
        name, service, times, *marks = line.split()
        row = {"trace_id": trace_id, "span_id": id_of(name), "name": name, "kind": "INTERNAL", "status": "UNSET"}
        row |= {"service": None if service == "-" else service, "parent_span_id": above[-1][1] if above else None}
        row |= _times(times)
        for mark in marks:
            row |= _mark(mark)
        above.append((indent, row["span_id"]))
        rows.append(row)
    return rows


def _times(text):
    begin, _, end = (
        text.partition("-")
        if not text.startswith("-")
        else ("-" + text[1:].partition("-")[0], "", text[1:].partition("-")[2])
    )
    start = None if begin == "?" else round(float(begin) * 1e6)
    duration = None if "?" in (begin, end) else round(float(end) * 1e6) - start
    return {"start_ns": None if start is None else EPOCH_NS + start, "duration_ns": duration}


def _mark(mark):
    if mark in KINDS:
        return {"kind": mark}
    if mark in STATUSES:
        return {"status": mark}
    key, _, value = mark.partition("=")
    if key in ("parent", "id"):
        column = "parent_span_id" if key == "parent" else "span_id"
        return {column: None if value == "none" else id_of(value)}
    return {key: value}


def at(milliseconds):
    """The instant that a picture's time stands for."""
    return pd.Timestamp(EPOCH_NS + round(milliseconds * 1e6), tz="UTC")


def milliseconds(instants):
    """A column of instants as a picture's times, None where missing."""
    known = instants.notna()
    numbers = (instants.dt.as_unit("ns").array.asi8 - EPOCH_NS) / 1e6
    return [number if ok else None for number, ok in zip(numbers.tolist(), known, strict=True)]


def large_trace(shape, *, n=100_000, **columns):
    """One trace of ``n`` spans of 1 ms called ``call``: a star, each after the one before, or a chain."""
    at = np.arange(n)
    above = 1 if shape == "star" else at
    parents = np.broadcast_to(above, n).tolist()
    table = {
        "trace_id": trace_of(0),
        "span_id": [f"{i + 1:016x}" for i in range(n)],
        "parent_span_id": [None, *(f"{i:016x}" for i in parents[1:])],
        "name": "call",
        "start_time": pd.to_datetime(EPOCH_NS + at * 1_000_000, utc=True),
        "duration_ms": np.r_[n, np.ones(n - 1)] if shape == "star" else (2 * n - at).astype(float),
    }
    return conform(pd.DataFrame(table | columns))


def random_rows(seed, n_traces, *, most=14, horizon=40, unit_ns=1):
    """Random traces as dicts, full of trouble: ties, zero lengths, overhangs, orphans, several roots, asynchronous edges.

    Times are small multiples of the unit so that ties abound; services and kinds are few; rows come in any order.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for trace in range(n_traces):
        n = int(rng.integers(1, most + 1))
        begin = rng.integers(0, horizon, n)
        length = np.where(rng.random(n) < 0.15, 0, rng.integers(0, horizon, n))
        begin[0], length[0] = rng.integers(0, horizon // 4), rng.integers(horizon // 2, horizon + 1)
        style = rng.random()
        for i in range(n):
            if i == 0 or rng.random() < 0.05:
                parent = None
            elif rng.random() < 0.04:
                parent = "f" * 16
            else:
                parent = f"{int(rng.integers(max(0, i - 3) if style < 0.5 else 0, i)) + 1:016x}"
            rows.append(
                {
                    "trace_id": trace_of(trace),
                    "span_id": f"{i + 1:016x}",
                    "parent_span_id": parent,
                    "name": f"op{int(rng.integers(3))}",
                    "service": [None, "a", "b"][int(rng.integers(3))],
                    "kind": KINDS[int(rng.integers(6))],
                    "status": "UNSET",
                    "start_ns": EPOCH_NS + int(begin[i]) * unit_ns,
                    "duration_ns": int(length[i]) * unit_ns,
                }
            )
    order = rng.permutation(len(rows))
    return [rows[i] for i in order]
