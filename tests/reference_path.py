"""The rules of the critical path, transcribed a second time: recursive, quadratic, without a thought for speed.

A span is a dict: id, parent (id or None), start, end, kind, service, row. Times are integers. Results are lists of
(span id, start, end, state), Jaeger's latest first, the partition's in time order.
"""

from __future__ import annotations

import collections


def traces_of(rows, epoch_ns, unit_ns=1):
    """Rows of dicts as the functions below take them, by trace; times in units from 1 on."""
    traces = collections.defaultdict(list)
    for row, span in enumerate(rows):
        start = (span["start_ns"] - epoch_ns) // unit_ns + 1
        end = start + span["duration_ns"] // unit_ns
        own = {"id": span["span_id"], "parent": span["parent_span_id"], "start": start, "end": end, "row": row}
        traces[span["trace_id"]].append({**own, "kind": span["kind"], "service": span["service"]})
    return traces


def children_of(spans):
    """Spans by the id of their parent, and the roots (no parent, or a parent that is not there)."""
    ids = {span["id"] for span in spans}
    below, roots = {span["id"]: [] for span in spans}, []
    for span in spans:
        (below[span["parent"]] if span["parent"] in ids else roots).append(span)
    return below, roots


def is_asynchronous(parent, child):
    return parent["kind"] == "PRODUCER" and child["kind"] == "CONSUMER"


# -- Jaeger


def jaeger_sections(spans, root):
    """Sections of one root by Jaeger's rule; times must not be 0."""
    below, _ = children_of(spans)
    kept = _sanitised(_blocking(root, below), below)
    sections = []

    def compute(span_id, returning_start):
        span = kept[span_id]
        last = _last_finishing(kept, below[span_id], returning_start)
        end = span["end"] if returning_start is None else returning_start
        section = (span_id, span["start"] if last is None else last["end"], end, "self")
        if section[1] != section[2]:
            sections.append(section)
        if last is not None:
            compute(last["id"], None)
        elif span_id != root["id"]:
            compute(span["parent"], span["start"])

    compute(root["id"], None)
    return sections


def _blocking(root, below):
    """The root's tree in pre-order, without what consumes the messages of producers."""
    found = [root]
    for child in sorted(below[root["id"]], key=lambda c: (c["start"], c["row"])):
        if not is_asynchronous(root, child):
            found += _blocking(child, below)
    return found


def _sanitised(spans, below):
    kept = {}
    for position, span in enumerate(spans):
        if position == 0:
            kept[span["id"]] = dict(span)
            continue
        parent = kept.get(span["parent"])
        if parent is None:
            continue
        start, end = span["start"], span["end"]
        if start >= parent["end"] or (start < parent["start"] and end <= parent["start"]):
            continue
        kept[span["id"]] = {**span, "start": max(start, parent["start"]), "end": min(end, parent["end"])}
    for children in below.values():
        children.sort(key=lambda c: (c["start"], c["row"]))
    return kept


def _last_finishing(kept, children, returning_start):
    best = None
    for child in children:
        span = kept.get(child["id"])
        if span is None or (returning_start is not None and span["end"] >= returning_start):
            continue
        if best is None or span["end"] > best["end"]:
            best = span
    return best


# -- the partition


def partition_segments(spans, root, *, overrun="detach", tolerance=0, rounding=1_000_000):
    """Segments of one root, by trying every child at every cursor and looking at every unit of time."""
    below, _ = children_of(spans)
    return _joined(_walk(root, root["start"], root["end"], below, (overrun, tolerance, rounding)))


def _walk(span, low, high, below, rule):
    tolerance = rule[1]
    active = [
        {**child, "low": max(child["start"], low), "high": min(child["end"], high)}
        for child in below[span["id"]]
        if not is_asynchronous(span, child) and not left_off(span, child, *rule)
    ]
    active = [child for child in active if child["low"] < child["high"]]
    found, cursor = [], high
    while True:
        ready = [child for child in active if child["high"] <= cursor + tolerance and child["low"] < cursor]
        if not ready:
            return _own(span, low, cursor, active) + found
        last = min(ready, key=lambda child: (-child["high"], child["start"], child["id"]))
        end = min(last["high"], cursor)
        inner = _walk(last, last["low"], end, below, rule)
        found = inner + _own(span, end, cursor, active) + found
        cursor = last["low"]


def left_off(parent, child, overrun, tolerance, rounding):
    """A child that outlives its parent so far that the parent cannot have waited for it."""
    late = child["end"] - parent["end"]
    same = child["service"] is not None and child["service"] == parent["service"]
    if late <= 0 or overrun == "clip":
        return False
    if same and late <= max(rounding, (parent["end"] - parent["start"]) / 100):
        return False
    return same if overrun == "detach" else late > tolerance


def _own(span, low, high, active):
    """One piece a unit of time, so that nothing about intervals has to be right."""
    return [
        (span["id"], t, t + 1, "wait" if any(child["low"] <= t < child["high"] for child in active) else "self")
        for t in range(low, high)
    ]


def _joined(pieces):
    joined = []
    for piece in pieces:
        if joined and joined[-1][0] == piece[0] and joined[-1][3] == piece[3] and joined[-1][2] == piece[1]:
            joined[-1] = (*joined[-1][:2], piece[2], piece[3])
        else:
            joined.append(piece)
    return joined


# -- self time


def self_time(spans, span):
    """Units of time of a span in which no child runs."""
    below, _ = children_of(spans)
    return sum(
        not any(child["start"] <= t < child["end"] for child in below[span["id"]])
        for t in range(span["start"], span["end"])
    )
