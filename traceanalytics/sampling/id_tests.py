"""Tests of whether 56 bits are random, over arrays; and the distance of values from the uniform law."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import special

from traceanalytics.sampling.check_table import holm
from traceanalytics.sampling.thresholds import SCALE

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["IdTest", "RandomnessTests", "kolmogorov", "randomness_tests"]

_LEVEL: Final = 0.05
_HALF_BITS: Final = 28
_WORST_BINS: Final = 256


class IdTest(NamedTuple):
    """A test's statistic, its p-value, and the size of what it found with its interval and what could have been found."""

    statistic: float
    p_value: float
    effect: float
    lo: float
    hi: float
    min_detectable: float


class RandomnessTests(NamedTuple):
    """Four tests of 56 bits: all of them as a number, the first 8 and the last 8 as such, and each bit on its own."""

    uniform: IdTest
    top_byte: IdTest
    low_byte: IdTest
    bits: IdTest
    worst_bit: int

    @property
    def p_values(self) -> NDArray[np.float64]:
        """The four p-values as they are."""
        return np.array([each.p_value for each in self[:4]])

    @property
    def p_value(self) -> float:
        """The p-value of all four together, by Holm's method."""
        return float(holm(self.p_values.tolist()).min())


def kolmogorov(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov distance of values in [0, 1] from the uniform law, and its p-value.

    The p-value is the limit law's with Stephens' correction for few values.

    >>> distance, p_value = kolmogorov(np.array([0.1, 0.2, 0.3, 0.4]))
    >>> round(distance, 3), round(p_value, 3)
    (0.6, 0.066)
    """
    ordered, n = np.sort(values), len(values)
    steps = np.arange(n + 1) / n
    distance = float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))
    root = np.sqrt(n)
    return distance, float(special.kolmogorov((root + 0.12 + 0.11 / root) * distance))


def randomness_tests(randomness: NDArray[np.uint64], threshold: NDArray[np.uint64] | int = 0) -> RandomnessTests:
    """Return the tests of whether numbers of 56 bits are random from their thresholds upwards.

    What is above a threshold T is put on the whole scale, (R - T) / (2**56 - T); the lower half of the bits needs no such step.

    >>> rng = np.random.default_rng(1)
    >>> randomness_tests(rng.integers(0, 2**56, 1000, dtype=np.uint64)).p_value > 0.05
    True
    """
    n = len(randomness)
    at = np.asarray(threshold, dtype=np.uint64)
    share = (randomness - at) / (np.float64(SCALE) - at)
    plain = not at.any()
    upper = (
        randomness >> np.uint64(_HALF_BITS)
        if plain
        else np.minimum(share * 2.0**_HALF_BITS, 2.0**_HALF_BITS - 1).astype(np.uint64)
    )
    ones = np.array(
        [_ones(upper, bit) for bit in reversed(range(_HALF_BITS))]
        + [_ones(randomness, bit) for bit in reversed(range(_HALF_BITS))]
    )
    return RandomnessTests(
        _uniform(share),
        _bytes(upper >> np.uint64(_HALF_BITS - 8)),
        _bytes(randomness & np.uint64(255)),
        *_bits(ones, n),
    )


def _ones(values: NDArray[np.uint64], bit: int) -> int:
    return int(np.count_nonzero(values & np.uint64(1 << bit)))


def _uniform(share: NDArray[np.float64]) -> IdTest:
    distance, p_value = kolmogorov(share)
    root = float(np.sqrt(len(share)))
    return IdTest(
        distance,
        p_value,
        distance,
        max(distance - 1.36 / root, 0.0),
        min(distance + 1.36 / root, 1.0),
        min(1.78 / root, 1.0),
    )


def _bytes(values: NDArray[np.uint64]) -> IdTest:
    """Test a byte by chi-square; few ids are told apart by fewer of its bits."""
    n = len(values)
    bits = 8 if n >= _WORST_BINS // 2 else max(int(np.log2(2 * n)), 1)
    bins = 1 << bits
    counts = np.bincount((values >> np.uint64(8 - bits)).astype(np.intp), minlength=bins)
    statistic = float(((counts - n / bins) ** 2).sum() / (n / bins))
    free = bins - 1
    found = special.chndtrinc(special.chdtri(free, _LEVEL), free, 0.2)
    low = special.chndtrinc(statistic, free, 0.975) if special.chdtrc(free, statistic) < 0.025 else 0.0
    high = special.chndtrinc(statistic, free, 0.025) if special.chdtr(free, statistic) > 0.025 else 0.0
    sizes = np.sqrt(np.array([max(statistic - free, 0.0), low, high, found]) / n)
    return IdTest(statistic, float(special.chdtrc(free, statistic)), *map(float, sizes))


def _bits(ones: NDArray[np.int64], n: int) -> tuple[IdTest, int]:
    z = (2 * ones - n) / np.sqrt(n)
    worst = int(np.abs(z).argmax())
    # The bits of random numbers are independent of each other, so the correction for their number is exact.
    p_value = -np.expm1(len(ones) * np.log1p(-min(float(special.erfc(abs(z[worst]) / np.sqrt(2))), 1 - 1e-16)))
    share, half = float(ones[worst]) / n, 0.98 / np.sqrt(n)
    detectable = (special.ndtri(1 - _LEVEL / 2 / len(ones)) + 0.84) / (2 * np.sqrt(n))
    lo, hi = max(share - half, 0.0), min(share + half, 1.0)
    return IdTest(abs(float(z[worst])), float(p_value), share, lo, hi, min(float(detectable), 0.5)), worst
