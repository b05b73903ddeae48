"""Damage for tests of readers: seeded, so that a failure can be had again.

``damaged(data, seed)`` damages anything anywhere; ``damaged_inside(data, start, end, seed)`` leaves every byte outside of
[start, end) as it is, so that all other records must survive.
"""

from __future__ import annotations

import copy
import json
import random

WRONG_VALUES = (
    None,
    True,
    False,
    -1,
    0,
    1.5,
    1e300,
    2**63,
    -(2**63) - 1,
    2**64,
    10**30,
    "",
    "abc",
    "9223372036854775808",
    "\ud800",
    "\0",
    [],
    [None],
    [[]],
    ["a", 1],
    {},
    {"a": {}},
    [{"key": None}],
)
"""What a JSON value is replaced by."""

_STRUCTURE = b'{}[]",:\\\n\x00\xff\x80'


def damaged(data, seed):
    """A variant of ``data`` with some bytes flipped, deleted, inserted, repeated or cut off, or with values of wrong types."""
    rng = random.Random(seed)
    way = rng.choice(("bytes", "bytes", "cut", "repeat", "value", "value"))
    if way == "value":
        changed = _with_wrong_values(data, rng)
        if changed is not None:
            return changed
    if way == "cut":
        return data[: rng.randrange(len(data) + 1)]
    if way == "repeat":
        low = rng.randrange(len(data) + 1)
        high = min(len(data), low + rng.randrange(200))
        at = rng.randrange(len(data) + 1)
        return data[:at] + data[low:high] + data[at:]
    return _bytes_damaged(data, 0, len(data), rng)


def damaged_inside(data, start, end, seed):
    """A variant of ``data`` in which the bytes of [start, end), and no others, are damaged."""
    return _bytes_damaged(data, start, end, random.Random(seed))


def _bytes_damaged(data, start, end, rng):
    inside = bytearray(data[start:end])
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(inside) + 1)
        way = rng.choice(("flip", "delete", "insert", "structure"))
        if way == "insert":
            inside[at:at] = rng.randbytes(rng.choice((1, 3)))
        elif way == "structure":
            inside[at:at] = bytes([rng.choice(_STRUCTURE)])
        elif way == "delete":
            del inside[at : at + rng.choice((1, 1, 10))]
        elif at < len(inside):
            inside[at] ^= 1 << rng.randrange(8)
    return data[:start] + bytes(inside) + data[end:]


def _with_wrong_values(data, rng):
    """JSON, or a line of JSON lines, with one to three of its values replaced; None if it is no JSON."""
    try:
        document = json.loads(data)
    except ValueError:
        lines = data.split(b"\n")
        at = rng.randrange(len(lines))
        try:
            json.loads(lines[at])
        except ValueError:
            return None
        lines[at] = _with_wrong_values(lines[at], rng) or lines[at]
        return b"\n".join(lines)
    for _ in range(rng.choice((1, 1, 3))):
        document = _one_wrong(document, rng)
    return json.dumps(document).encode()


def _one_wrong(document, rng):
    places = []
    _collect(document, places)
    if not places:
        return copy.deepcopy(rng.choice(WRONG_VALUES))
    owner, key = rng.choice(places)
    way = rng.random()
    if way < 0.8:
        owner[key] = copy.deepcopy(rng.choice(WRONG_VALUES))
    elif isinstance(owner, dict):
        owner[f"{key}x"] = owner.pop(key)
    else:
        owner.insert(key, copy.deepcopy(rng.choice(WRONG_VALUES)))
    return document


def _collect(node, places):
    """Every (container, key or position) of a document, containers before what they hold."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        places.append((node, key))
        _collect(value, places)
