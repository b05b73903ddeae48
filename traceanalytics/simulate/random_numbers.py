"""Random numbers by name: the same span of the same request draws the same ones whatever else happens in the run."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Draws", "mixed", "text_number"]


def mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return well-mixed 64-bit numbers, never 0 (the finaliser of SplitMix64, Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        x = numbers + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return np.where(x == 0, np.uint64(1), x)


def text_number(text: str) -> int:
    """Return a 64-bit number of a text that is the same in every process."""
    data = text.encode()
    return zlib.crc32(data) << 32 | zlib.crc32(data[::-1], 0xFFFF)


class Draws:
    """Streams of random numbers, one a name; each is drawn once and kept, for a run is timed again without its faults."""

    def __init__(self, seed: int, count: int) -> None:
        self._seed = seed
        self._count = count
        self._kept: dict[tuple[str, str], NDArray[np.float64]] = {}

    def normal(self, name: str) -> NDArray[np.float64]:
        """Return standard normal numbers, one a request."""
        return self._draw(name, "n")

    def uniform(self, name: str) -> NDArray[np.float64]:
        """Return numbers from 0 to 1, one a request."""
        return self._draw(name, "u")

    def _draw(self, name: str, kind: str) -> NDArray[np.float64]:
        found = self._kept.get((name, kind))
        if found is None:
            stream = np.random.Generator(np.random.PCG64([self._seed, text_number(f"{kind} {name}")]))
            found = stream.standard_normal(self._count) if kind == "n" else stream.random(self._count)
            self._kept[name, kind] = found
        return found

    def lognormal_ns(self, name: str, median_ms: float, sigma: float) -> NDArray[np.int64]:
        """Return times in nanoseconds, cut at 6 standard deviations."""
        z = np.clip(self.normal(name), -6, 6)
        return np.rint(median_ms * 1e6 * np.exp(sigma * z)).astype(np.int64)
