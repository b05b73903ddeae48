"""Numbers of call paths: the way of (service, name) from the root to a span, found exactly and without a text a span."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from traceanalytics.analysis.requests import cut_off
from traceanalytics.analysis.span_groups import span_groups
from traceanalytics.kernels import kernel, part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.kernels import Ints
    from traceanalytics.topology import Forest

__all__ = ["CallPaths", "hex_ids", "mixed", "numbered_paths"]

_LOW_63_BITS: Final = 0x7FFF_FFFF_FFFF_FFFF
_MULTIPLIER: Final = 0x1E37_79B9_7F4A_7C15
_OTHER_MULTIPLIER: Final = 0x3F58_476D_1CE4_E5B9
_ROOT: Final = 0x0123_4567_89AB_CDEF
_CUT: Final = 0x1F6D_2A3B_4C5E_7081
_HEX_OF_BYTE: Final = np.frombuffer(bytes(range(256)).hex().encode(), dtype=np.uint16)
"""The two digits of each byte, as they lie in memory."""


class CallPaths(NamedTuple):
    """The different call paths of a frame, numbered so that a path comes after the one that it prolongs."""

    of_row: NDArray[np.int32]
    """A row: the number of its path; -1 for duplicates."""
    first: NDArray[np.int32]
    """A path: a row that bears it, for service, name and depth."""
    above: NDArray[np.int32]
    """A path: the path of the caller, -1 where it begins."""
    cut: NDArray[np.bool_]
    """A path: it begins at a span whose parent is lost, so that what stands before is unknown."""
    identity: NDArray[np.int64]
    """A path: 63 bits made of the texts alone, so that they are the same in every frame."""
    operation: NDArray[np.int64]
    """A path: the number of its last (service, name)."""
    operation_texts: list[str]
    """An operation: ``service:name``."""


def numbered_paths(spans: pd.DataFrame, forest: Forest) -> CallPaths:
    """Return the call paths of a frame, numbered; one pass over the spans, parents before children."""
    n = forest.n_spans
    groups = span_groups(spans, ["service", "name"], where=np.ones(n, dtype=bool))
    operation = groups.code
    lost = cut_off(forest)
    path = np.full(n, -1, dtype=np.int32)
    first, above = np.full((2, n), -1, dtype=np.int32)
    count = np.zeros(1, dtype=np.int64)
    bits = max(2, (2 * n).bit_length())
    _number_paths(
        forest.order,
        forest.parent,
        lost.view(np.uint8),
        operation,
        max(groups.size, 1),
        secrets.randbits(62) | 1,
        63 - bits,
        np.full(1 << bits, -1, dtype=np.int32),
        np.empty(n, dtype=np.int64),
        path,
        first,
        above,
        count,
    )
    first, above = first[: count[0]].copy(), above[: count[0]].copy()
    texts, hashes = _described(groups.labels["service"], groups.labels["name"])
    own = operation[first]
    identity = np.empty(len(first), dtype=np.int64)
    cut = np.empty(len(first), dtype=np.uint8)
    _identify(above, hashes[own], lost[first].view(np.uint8), identity, cut)
    return CallPaths(path, first, above, cut.view(bool), identity, own, texts)


def mixed(numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return numbers whose every bit depends on every bit of the given ones, so that sums of them tell sets apart."""
    value = numbers.astype(np.uint64)
    for shift, multiplier in ((30, 0xBF58_476D_1CE4_E5B9), (27, 0x94D0_49BB_1331_11EB)):
        value = (value ^ (value >> np.uint64(shift))) * np.uint64(multiplier)
    return value ^ (value >> np.uint64(31))


def hex_ids(numbers: NDArray[np.uint64] | NDArray[np.int64], *, known: NDArray[np.bool_] | None = None) -> Any:
    """Return 16 hex digits a number, as a column of texts; missing where the number is not known."""
    digits = _HEX_OF_BYTE[numbers.astype(">u8").view(np.uint8)]
    stops = np.arange(0, 16 * len(numbers) + 1, 16, dtype=np.int64)
    valid = None if known is None else pa.py_buffer(np.packbits(known, bitorder="little"))
    texts = pa.LargeStringArray.from_buffers(len(numbers), pa.py_buffer(stops), pa.py_buffer(digits), valid)
    return pd.array(texts, dtype="str")


def _described(services: object, names: object) -> tuple[list[str], NDArray[np.int64]]:
    texts, hashes = [], []
    for (service, exact_service), (name, exact_name) in zip(_written(services), _written(names), strict=True):
        texts.append(f"{service}:{name}")
        exact = exact_service + exact_name
        digest = hashlib.blake2b(exact.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        hashes.append(int.from_bytes(digest, "big") & _LOW_63_BITS)
    return texts, np.array(hashes, dtype=np.int64)


def _written(labels: object) -> list[tuple[str, str]]:
    """Return each label as it is shown, and so that no service can end in what another name begins with."""
    code, distinct = pd.factorize(pd.Series(labels).astype("object"))
    texts = [str(label) for label in distinct]
    both = [*((text, f"{len(text)}:{text}") for text in texts), ("?", "-")]
    return [both[at] for at in code.tolist()]


@kernel("path", "first", "above", "count", scratch=("slots", "key"))
def _number_paths(  # noqa: PLR0917 - kernels take their arrays by position
    order: Ints,
    parent: Ints,
    lost: Ints,
    operation: Ints,
    operations: int,
    multiplier: int,
    shift: int,
    slots: Ints,
    key: Ints,
    path: Ints,
    first: Ints,
    above: Ints,
    count: Ints,
) -> None:
    found = 0
    last = len(slots) - 1
    for row in order:
        up = parent[row]
        # 0 and 1 stand for what is before a root: nothing, or something unknown.
        before = path[up] + 2 if up >= 0 else lost[row]
        wanted = before * operations + operation[row]
        at = ((wanted * multiplier) & _LOW_63_BITS) >> shift
        while slots[at] >= 0 and key[slots[at]] != wanted:
            at = (at + 1) & last
        if slots[at] < 0:
            slots[at] = found
            key[found] = wanted
            first[found] = row
            above[found] = path[up] if up >= 0 else -1
            found += 1
        path[row] = slots[at]
    count[0] = found


@part
def _mix(value: int, other: int) -> int:
    value = ((value * _MULTIPLIER) & _LOW_63_BITS) ^ other
    value = ((value ^ (value >> 31)) * _OTHER_MULTIPLIER) & _LOW_63_BITS
    return value ^ (value >> 29)


@kernel("identity", "cut")
def _identify(above: Ints, operation_hash: Ints, lost: Ints, identity: Ints, cut: Ints) -> None:
    for path in range(len(above)):
        up = above[path]
        if up >= 0:
            cut[path] = cut[up]
            identity[path] = _mix(identity[up], operation_hash[path])
        else:
            cut[path] = lost[path]
            identity[path] = _mix(_CUT if lost[path] else _ROOT, operation_hash[path])
