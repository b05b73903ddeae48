"""Trace ids as generators in use make them: 32 hex digits each, random where the generator is."""

from __future__ import annotations

import numpy as np

EPOCH_S = 1_760_000_000
U = np.uint64


def texts(high, low):
    words = np.stack([high, low], axis=1).astype(">u8").tobytes().hex()
    return [words[at : at + 32] for at in range(0, len(words), 32)]


def bits(rng, n, width=64):
    return rng.integers(0, 2**width, n, dtype=np.uint64)


def none(n):
    return np.zeros(n, np.uint64)


def w3c(rng, n):
    return texts(bits(rng, n), bits(rng, n))


def xray(rng, n):
    seconds = U(EPOCH_S) + bits(rng, n, 12)
    return texts((seconds << U(32)) | bits(rng, n, 32), bits(rng, n))


def uuid4(rng, n):
    high = (bits(rng, n) & ~U(0xF000)) | U(0x4000)
    return texts(high, bits(rng, n, 62) | U(1 << 63))


def uuid7(rng, n):
    milliseconds = U(EPOCH_S * 1000) + bits(rng, n, 22)
    return texts((milliseconds << U(16)) | U(0x7000) | bits(rng, n, 12), bits(rng, n, 62) | U(1 << 63))


def padded64(rng, n):
    return texts(none(n), bits(rng, n))


def padded63(rng, n):
    return texts(none(n), bits(rng, n, 63))


def datadog(rng, n):
    seconds = U(EPOCH_S) + bits(rng, n, 12)
    return texts(seconds << U(32), bits(rng, n, 63))


def snowflake(rng, n):
    """41 bits of milliseconds since 2010, 10 of the machine, 12 of a counter."""
    milliseconds = U((1_695_000_000 - 1_288_834_974) * 1000) + np.arange(n, dtype=np.uint64) // U(4)
    return texts(
        none(n), (milliseconds << U(22)) | (bits(rng, n, 10) << U(12)) | (np.arange(n, dtype=np.uint64) % U(4))
    )


def counter(rng, n):
    """A counter behind the fixed number of a process."""
    return texts(none(n) + U(0x5F3759DF_9E3779B9), np.arange(1, n + 1, dtype=np.uint64) + bits(rng, 1, 10))


def low32(rng, n):
    return texts(none(n), bits(rng, n, 32))


GENERATORS = {
    "W3C random": w3c,
    "X-Ray": xray,
    "UUIDv4": uuid4,
    "UUIDv7": uuid7,
    "64-bit padded": padded64,
    "63-bit padded": padded63,
    "Datadog 128": datadog,
    "Snowflake low 64": snowflake,
    "counter": counter,
    "32-bit low": low32,
}
