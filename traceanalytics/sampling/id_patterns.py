"""Patterns in trace ids that are no fault of randomness, yet let samplers that look at other bits keep all or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from traceanalytics.spans.columns import codes_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from traceanalytics.sampling.id_columns import Ids

__all__ = ["pattern_rows"]

_LEAST: Final = 20
"""With fewer ids than this, chance makes patterns."""

_MOST: Final = 0.9
"""A pattern of random bits that this share of the ids has is one."""

_FROM_S: Final = 1_262_304_000
_TO_S: Final = 2_208_988_800
"""2010 and 2040: what a time in an id is taken for."""

_U = np.uint64


def pattern_rows(ids: Ids, spans: pd.DataFrame | None, *, random: bool) -> list[dict[str, Any]]:
    """Return one row a pattern. ``random``: the low 56 bits are not refuted, which the flag of a frame may claim.

    >>> from traceanalytics.sampling.id_columns import distinct_ids
    >>> rows = pattern_rows(distinct_ids([f"{n:016x}" for n in range(50)]), None, random=False)
    >>> [row["check"] for row in rows if row["verdict"] == "warn"]
    ['id pattern: high half zero', 'id pattern: constant bits', 'id pattern: 63 bits']
    """
    n = len(ids.words)
    high, low = ids.words[:, 0], ids.words[:, 1]
    version, variant = (high >> _U(12)) & _U(15), low >> _U(62)
    seconds, milliseconds = high >> _U(32), high >> _U(16)
    uuid = variant == _U(2)
    marks: list[tuple[str, NDArray[np.bool_], str]] = [
        ("high half zero", high == 0, "64-bit ids: samplers of the high half (.NET) keep all of them"),
        ("UUID version 4", uuid & (version == _U(4)), f"{_UUID}"),
        (
            "UUID version 7",
            uuid & (version == _U(7)) & _is_time(milliseconds, 1000),
            f"{_UUID}; samplers of the high half (.NET) keep all, as it begins with the time",
        ),
        (
            "time prefix",
            _is_time(seconds, 1),
            "ids begin with the time in seconds, as X-Ray's and Datadog's: samplers of the high half (.NET) keep none or all",
        ),
        (
            "bits 95-64 zero",
            ((high & _U(2**32 - 1)) == 0) & (high > 0),
            "as Datadog's: the high half is no random number",
        ),
        (
            "63 bits",
            low < _U(2**63),
            "63-bit ids, or traces kept by a sampler of low values: on such ids Go's and Python's keep twice their ratio",
        ),
    ]
    rows = [_row(name, mask, n, said) for name, mask, said in marks]
    rows.insert(1, _constant(ids.words))
    rows += [
        _lengths(ids.digits),
        _counted(
            "malformed",
            ids.malformed,
            n + ids.malformed,
            "distinct ids are no hex numbers of at most 32 digits, and left out",
        ),
    ]
    rows.append(
        _counted(
            "repeated",
            ids.repeated,
            ids.given,
            "ids are there already: of several spans of a trace, or of a generator that repeats itself",
        )
    )
    flag = None if spans is None else _random_flag(spans, random=random)
    return rows if flag is None else [*rows, flag]


_UUID: Final = "the bits that mark a UUID stand where Go's, Python's and Java's samplers look: up to a ratio of 50 % they keep none, Jaeger's twice its ratio"


def _is_time(value: NDArray[np.uint64], unit: int) -> NDArray[np.bool_]:
    return (value >= _U(_FROM_S * unit)) & (value < _U(_TO_S * unit))


def _row(name: str, mask: NDArray[np.bool_], n: int, said: str) -> dict[str, Any]:
    count = int(mask.sum())
    share = count / n if n else np.nan
    found = share >= _MOST
    verdict = "not_testable" if n < _LEAST else "warn" if found else "ok"
    meaning = f"{count:,} of {n:,} ids: {said}" if found else f"{count:,} of {n:,} ids have this pattern"
    return {
        "check": f"id pattern: {name}",
        "scope": "trace ids",
        "effect": share,
        "n": n,
        "verdict": verdict,
        "meaning": meaning,
    }


def _constant(words: NDArray[np.uint64]) -> dict[str, Any]:
    n = len(words)
    row: dict[str, Any] = {"check": "id pattern: constant bits", "scope": "trace ids", "n": n}
    if n < _LEAST:
        return row | {"verdict": "not_testable", "meaning": f"{n} ids are too few to tell constant bits from chance"}
    differs = np.bitwise_or.reduce(words, axis=0) ^ np.bitwise_and.reduce(words, axis=0)
    same = 64 - np.bitwise_count(differs).astype(np.int64)
    meaning = f"{same[0]} of the 64 bits of the high half and {same[1]} of the low half are the same in all ids"
    return row | {
        "statistic": int(same.sum()),
        "effect": same.sum() / 128,
        "verdict": "warn" if same.any() else "ok",
        "meaning": meaning,
    }


def _lengths(digits: NDArray[np.int64]) -> dict[str, Any]:
    n = len(digits)
    sizes = np.bincount(digits, minlength=33)
    common = int(sizes.argmax())
    share = sizes[common] / n if n else np.nan
    listed = ", ".join(f"{count:,} of {size} digits" for size, count in enumerate(sizes) if count)
    mixed = " (leading zeros were lost, or generators mixed)" if n and share < 1 else ""
    verdict = "not_testable" if not n else "warn" if share < 1 else "ok"
    return {
        "check": "id pattern: lengths",
        "scope": "trace ids",
        "statistic": int((sizes > 0).sum()),
        "effect": share,
        "n": n,
        "verdict": verdict,
        "meaning": f"ids: {listed or 'none'}{mixed}",
    }


def _counted(name: str, count: int, n: int, said: str) -> dict[str, Any]:
    verdict = "not_testable" if not n else "warn" if count else "ok"
    return {
        "check": f"id pattern: {name}",
        "scope": "trace ids",
        "statistic": count,
        "effect": count / n if n else np.nan,
        "n": n,
        "verdict": verdict,
        "meaning": f"{count:,} of {n:,} {said}",
    }


def _random_flag(spans: pd.DataFrame, *, random: bool) -> dict[str, Any] | None:
    """Return the share of traces whose flags claim random ids; None where no span has flags."""
    if "trace_flags" not in spans.columns or not spans["trace_flags"].notna().any():
        return None
    codes, labels = codes_of(spans["trace_id"])
    flags = spans["trace_flags"].to_numpy("int64", na_value=0)
    inside = codes >= 0
    used = np.bincount(codes[inside], minlength=len(labels)) > 0
    claimed = np.bincount(codes[inside & ((flags & 2) > 0)], minlength=len(labels)) > 0
    n, count = int(used.sum()), int(claimed.sum())
    said = f"{count:,} of {n:,} traces bear the flag of random ids"
    if count and not random:
        verdict, said = "fail", f"{said}, and yet the tests find them not random"
    else:
        verdict, said = "ok", said if count == n else f"{said}; on the others the flag may have been dropped on the way"
    return {
        "check": "id pattern: random flag",
        "scope": "traces",
        "statistic": count,
        "effect": count / n if n else np.nan,
        "n": n,
        "verdict": verdict,
        "meaning": said,
    }
