"""Samplers in use that decide by a trace's id: the number that each compares, and its decision, for columns of ids.

No specification said which bits of the id a ratio sampler compares, so each implementation looks at others. Whether an id
generator makes those bits random decides what a sampler of 10 % really keeps: anything from nothing to everything.

:func:`family_statistic` puts that number on a scale from 0 to 1: at any ratio p, kept traces have at most p, others more.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from traceanalytics.errors import OptionError, check_option
from traceanalytics.sampling.id_columns import hex_words
from traceanalytics.sampling.thresholds import SCALE, threshold
from traceanalytics.spans.columns import text_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

__all__ = [
    "FAMILIES",
    "SAMPLERS",
    "family_decisions",
    "family_statistic",
    "fnv1a_14",
    "fnv1a_64",
    "hash_buckets",
    "refinery_hash",
]

_Words = npt.NDArray[np.uint64]
_Hash = TypeVar("_Hash", np.uint32, np.uint64)

FAMILIES: Final = ("go", "python", "java", "dotnet", "js", "jaeger", "datadog", "otel")
"""Ratio samplers of OpenTelemetry's languages, Jaeger's Go client, Datadog, and OpenTelemetry's consistent sampling."""

SAMPLERS: Final = (*FAMILIES, "collector", "tail")
"""The families, and two samplers of the collector that hash ids: its probabilistic sampler, and the policy of its tail sampling."""

_KNUTH: Final = np.uint64(1111111111111111111)
_LOW_63: Final = np.uint64(2**63 - 1)
_LOW_56: Final = np.uint64(2**56 - 1)
_BUCKETS: Final = 1 << 14
_START_32: Final = 0x811C9DC5
_PRIME_32: Final = 0x01000193
_START_64: Final = 0xCBF29CE484222325
_PRIME_64: Final = 0x100000001B3
_REFINERY_SALT: Final = "5VQ8l2jE5aJLPVqk"


def family_decisions(trace_ids: Iterable[str], *, family: str, p: float) -> NDArray[np.bool_]:
    """Return which traces a ratio sampler keeps.

    Parameters
    ----------
    trace_ids
        32 hex digits each; shorter ones count as if zeros stood before them.
    family
        One of ``FAMILIES``. go: the upper 63 bits of the low half of the id; python: the low half; java: the absolute value of
        the low half as a signed number; dotnet: that of the high half; js: the four words combined by exclusive or; jaeger:
        the low 63 bits; datadog: the low half times 1111111111111111111; each kept when below the ratio's share of the range.
        otel: the low 56 bits, kept when at or above the threshold.
    p
        The configured ratio, 0 to 1.

    Returns
    -------
    numpy.ndarray
        bool, one an id.

    Raises
    ------
    OptionError
        ``family`` or ``p`` is not as described, or an id is no hex number of at most 32 digits.

    Examples
    --------
    >>> ids = ["4bf92f3577b34da6a3ce929d0e0e4736", "00000000000000000000000000000001"]
    >>> family_decisions(ids, family="go", p=0.5), family_decisions(ids, family="otel", p=0.5)
    (array([False,  True]), array([ True, False]))
    """
    check_option("family", family, FAMILIES)
    if not 0 <= p <= 1:
        raise OptionError(f"p={p!r} is no ratio: expected a number from 0 to 1")
    halves = _words_of(trace_ids)
    if p == 0:
        return np.zeros(len(halves), np.bool_)
    return _RULES[family](halves[:, 0], halves[:, 1], float(p))


def _go(high: _Words, low: _Words, p: float) -> NDArray[np.bool_]:  # noqa: ARG001 - rules are called alike
    return (low >> np.uint64(1)) < np.uint64(int(p * 2.0**63))


def _python(high: _Words, low: _Words, p: float) -> NDArray[np.bool_]:  # noqa: ARG001
    return low < np.uint64(round(p * 2.0**64)) if p < 1 else np.ones(len(low), np.bool_)


def _java(high: _Words, low: _Words, p: float) -> NDArray[np.bool_]:  # noqa: ARG001
    return _below_as_signed(low, p)


def _dotnet(high: _Words, low: _Words, p: float) -> NDArray[np.bool_]:  # noqa: ARG001
    return _below_as_signed(high, p)


def _below_as_signed(half: _Words, p: float) -> NDArray[np.bool_]:
    if p == 1:
        return np.ones(len(half), np.bool_)
    # As in Java, the absolute value of the least number is that number itself.
    return np.abs(half.view(np.int64)) < np.int64(int(p * 2.0**63))


def _js(high: _Words, low: _Words, p: float) -> NDArray[np.bool_]:
    return _folded(high, low) < np.uint64(int(p * (2**32 - 1)))


def _folded(high: _Words, low: _Words) -> _Words:
    mixed = high ^ low
    return (mixed ^ (mixed >> np.uint64(32))) & np.uint64(2**32 - 1)


def _jaeger(high: _Words, low: _Words, p: float) -> NDArray[np.bool_]:  # noqa: ARG001
    return (low & _LOW_63) <= np.uint64(int(p * 2.0**63))


def _datadog(high: _Words, low: _Words, p: float) -> NDArray[np.bool_]:  # noqa: ARG001
    return low * _KNUTH < np.uint64(int(p * 2.0**64)) if p < 1 else np.ones(len(low), np.bool_)


def _otel(high: _Words, low: _Words, p: float) -> NDArray[np.bool_]:  # noqa: ARG001
    return (low & _LOW_56) >= np.uint64(threshold(p) if p >= 1 / SCALE else SCALE)


_RULES: Final[dict[str, Callable[[_Words, _Words, float], NDArray[np.bool_]]]] = {
    "go": _go,
    "python": _python,
    "java": _java,
    "dotnet": _dotnet,
    "js": _js,
    "jaeger": _jaeger,
    "datadog": _datadog,
    "otel": _otel,
}


def family_statistic(words: _Words, family: str, *, seed: int | str | None = None) -> NDArray[np.float64]:
    """Return the number that a sampler compares with its ratio: at most the ratio for the traces that it keeps.

    Parameters
    ----------
    words
        The two 64-bit halves of every id.
    family
        One of ``SAMPLERS``. For otel it is the share of the range from the randomness upwards.
    seed
        The hash seed of collector (a number, 0 by default), or the hash salt of tail (a text); others have none.

    Returns
    -------
    numpy.ndarray
        float64 in [0, 1], one an id; of random ids, each value is as likely as any other. The values of collector have 14 bits.

    Raises
    ------
    OptionError
        The family is none of those, or the seed is not what it takes.

    Examples
    --------
    >>> words = np.array([[0, 2**62]], np.uint64)
    >>> {family: float(family_statistic(words, family)[0].round(3)) for family in ("go", "java", "dotnet")}
    {'go': 0.25, 'java': 0.5, 'dotnet': 0.0}
    """
    check_option("family", family, SAMPLERS)
    if family in {"collector", "tail"}:
        return _hashed(words, family, seed)
    if seed is not None:
        raise OptionError(f"seed={seed!r}: a sampler of family {family!r} has no seed; collector and tail have one")
    return _STATISTICS[family](words[:, 0], words[:, 1])


def _hashed(words: _Words, family: str, seed: int | str | None) -> NDArray[np.float64]:
    columns = np.ascontiguousarray(words).astype(">u8").view(np.uint8).reshape(-1, 16)
    if family == "tail":
        salt = "default-hash-seed" if seed is None else seed
        if not isinstance(salt, str):
            raise OptionError(f"seed={seed!r}: tail sampling has a salt, which is a text")
        wide: NDArray[np.uint64] = _hash_columns(salt.encode(), columns, np.uint64(_START_64), np.uint64(_PRIME_64))
        return _above(wide, 64)
    number = 0 if seed is None else seed
    if isinstance(number, bool) or not (isinstance(number, int) and 0 <= number < 2**32):
        raise OptionError(f"seed={seed!r} is no unsigned number of 32 bits")
    hashes = _hash_columns(number.to_bytes(4, "little"), columns, np.uint32(_START_32), np.uint32(_PRIME_32))
    return _above(hashes & np.uint32(_BUCKETS - 1), 14)


def _above(values: NDArray[np.unsignedinteger], bits: int) -> NDArray[np.float64]:
    """Return the share of the range up to a value, this included."""
    return np.asarray((values.astype(np.float64) + 1.0) / 2.0**bits)


def _magnitude(half: _Words) -> NDArray[np.float64]:
    # The least number, which is its own absolute value, is kept at any ratio.
    above = _above(np.abs(half.view(np.int64)).view(np.uint64), 63)
    return np.asarray(np.maximum(above * (half != np.uint64(2**63)), 2.0**-63))


_STATISTICS: Final[dict[str, Callable[[_Words, _Words], NDArray[np.float64]]]] = {
    "go": lambda high, low: _above(low >> np.uint64(1), 63),  # noqa: ARG005 - called alike
    "python": lambda high, low: _above(low, 64),  # noqa: ARG005
    "java": lambda high, low: _magnitude(low),  # noqa: ARG005
    "dotnet": lambda high, low: _magnitude(high),  # noqa: ARG005
    "js": lambda high, low: _above(_folded(high, low), 32),
    "jaeger": lambda high, low: _above(low & _LOW_63, 63),  # noqa: ARG005
    "datadog": lambda high, low: _above(low * _KNUTH, 64),  # noqa: ARG005
    "otel": lambda high, low: (float(SCALE) - (low & _LOW_56)) / SCALE,  # noqa: ARG005
}


def fnv1a_14(trace_ids: Iterable[bytes], *, seed: int) -> NDArray[np.uint32]:
    """Return the 14 bits that the collector's probabilistic sampler compares in its mode ``hash_seed``.

    They are the low bits of 32-bit FNV-1a over the seed, least byte first, and the bytes of the id. A trace is kept when they
    are below :func:`hash_buckets`.

    Examples
    --------
    >>> fnv1a_14([bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736")], seed=22)
    array([12395], dtype=uint32)
    """
    if not 0 <= seed < 2**32:
        raise OptionError(f"seed={seed!r} is no unsigned number of 32 bits")
    hashes = _fnv1a(seed.to_bytes(4, "little"), trace_ids, np.uint32(_START_32), np.uint32(_PRIME_32))
    return hashes & np.uint32(_BUCKETS - 1)


def hash_buckets(percentage: float) -> int:
    """Return how many of the 16,384 values of :func:`fnv1a_14` the collector keeps at a percentage.

    The product is cut, not rounded, and in float32: 0.1 % keeps 16, which is 0.0977 %; below 0.0061 % nothing is kept.

    Examples
    --------
    >>> hash_buckets(10), hash_buckets(0.1), hash_buckets(0.006)
    (1638, 16, 0)
    """
    if not percentage >= 0:
        raise OptionError(f"percentage={percentage!r} is no percentage: expected a number from 0 to 100")
    return int(np.float32(min(percentage, 100)) * np.float32(_BUCKETS / 100))


def fnv1a_64(trace_ids: Iterable[bytes], *, salt: str = "default-hash-seed") -> NDArray[np.uint64]:
    """Return the hash that the collector's tail sampling compares in its probabilistic policy: 64-bit FNV-1a of salt and id.

    A trace is kept when the hash is at most p * 2**64. Two policies with one salt decide alike.

    Examples
    --------
    >>> hex(fnv1a_64([bytes.fromhex("5759e988bd862e3fe1be46a994272793")])[0])
    '0xb18eb533896df089'
    """
    return _fnv1a(salt.encode(), trace_ids, np.uint64(_START_64), np.uint64(_PRIME_64))


def refinery_hash(trace_ids: Iterable[str]) -> NDArray[np.uint32]:
    """Return the hash that Refinery's deterministic sampler compares: the first 4 bytes of SHA-1 of id and salt.

    A trace is kept at rate N when the hash is at most (2**32 - 1) // N. The salt is the same in every instance, so two tiers
    in a row decide alike, yet multiply their rates.

    Examples
    --------
    >>> refinery_hash(["4bf92f3577b34da6a3ce929d0e0e4736"])
    array([2432522278], dtype=uint32)
    """
    digests = [hashlib.sha1((each + _REFINERY_SALT).encode(), usedforsecurity=False).digest()[:4] for each in trace_ids]
    return np.frombuffer(b"".join(digests), ">u4").astype(np.uint32)


def _fnv1a(start: bytes, trace_ids: Iterable[bytes], state: _Hash, prime: _Hash) -> NDArray[_Hash]:
    """Hash ids of one length, a byte of all of them at a time; unsigned numbers wrap as the hash demands."""
    ids = list(trace_ids)
    size = len(ids[0]) if ids else 0
    if any(len(each) != size for each in ids):
        raise OptionError("trace_ids differ in length: expected the bytes of ids of one length")
    return _hash_columns(start, np.frombuffer(b"".join(ids), np.uint8).reshape(len(ids), size), state, prime)


def _hash_columns(start: bytes, columns: NDArray[np.uint8], state: _Hash, prime: _Hash) -> NDArray[_Hash]:
    hashes = np.full(len(columns), state)
    kind = type(state)
    for byte in start:
        hashes = (hashes ^ kind(byte)) * prime
    for column in columns.T:
        hashes = (hashes ^ column.astype(kind)) * prime
    return hashes


def _words_of(trace_ids: Iterable[str]) -> _Words:
    ids = list(trace_ids)
    words, good = hex_words(text_array(pd.Series(ids, dtype="str")))
    if not good.all():
        raise OptionError(f"trace_ids: {ids[int(np.argmin(good))]!r} is no hex number of at most 32 digits")
    return words
