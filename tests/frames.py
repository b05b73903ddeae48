"""Comparing span frames: equal but for the order of rows and of labels, and a message that says where they differ."""

from __future__ import annotations


def by_ids(spans):
    """The frame in the order of its ids, with a fresh index."""
    return spans.sort_values(["trace_id", "span_id", "name"], key=lambda c: c.astype("str"), kind="stable").reset_index(
        drop=True
    )


def differences(left, right, *, ignore=()):
    """What differs between two frames, ids aligned: a dict of column to a few pairs of values; {} if nothing does."""
    left, right = by_ids(left), by_ids(right)
    found = {c: "only left" for c in left.columns.difference(right.columns) if c not in ignore}
    found |= {c: "only right" for c in right.columns.difference(left.columns) if c not in ignore}
    if len(left) != len(right):
        return found | {"rows": f"{len(left)} != {len(right)}"}
    for column in left.columns.intersection(right.columns):
        if column in ignore or left[column].equals(right[column]):
            continue
        a, b = _plain(left[column]), _plain(right[column])
        differ = [(x, y) for x, y in zip(a, b, strict=True) if not (x == y or (x is None and y is None))]
        if differ:
            found[column] = differ[:3]
        elif _kind(left[column]) != _kind(right[column]):
            found[column] = f"{left[column].dtype} != {right[column].dtype}"
    return found


def assert_same_spans(left, right, *, ignore=()):
    """Fail with what differs, unless both frames hold the same spans."""
    found = differences(left, right, ignore=ignore)
    assert not found, found


def _plain(column):
    return [None if missing else value for value, missing in zip(column.astype(object), column.isna(), strict=True)]


def _kind(column):
    """The type of a column; text is text, whether it repeats or not."""
    name = str(column.dtype)
    return "text" if name in ("category", "str", "string") else name
