"""What the ids of kept traces tell of the sampler that kept them: its family, its true rate, and whether a claim can hold.

A ratio sampler keeps the traces whose number is at most its ratio p. So the numbers of n kept traces are uniform up to p, and
the largest of them misses p by p / n only: no other estimate of a rate is that exact, and none other needs the kept ids alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from scipy import special

from traceanalytics.errors import OptionError, check_option
from traceanalytics.sampling.check_table import VERDICT, check_rows, holm
from traceanalytics.sampling.given_numbers import given_number
from traceanalytics.sampling.id_columns import distinct_ids, hex_words
from traceanalytics.sampling.id_tests import kolmogorov
from traceanalytics.sampling.sampler_families import SAMPLERS, family_statistic, hash_buckets
from traceanalytics.spans.columns import codes_of, text_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["audit_samplers", "infer_sampler", "rate_interval", "replay_decisions"]

_CONFIDENCE: Final = 0.95
_LEVEL: Final = 0.05
_SURE: Final = 0.001
_ODDS: Final = float(np.log(1e6))
"""So much more likely must the ids be under the first family than without a sampler, and e**7 times than under the next one."""

_LEAD: Final = 7.0
_LEAST: Final = 2
_LEAST_SPANS: Final = 50
"""So many span ids without their top bit are no chance."""

_ALIKE: Final = 1e-9
_FEW: Final = 5
_HALF: Final = 0.5
_NOT_EVEN: Final = 0.05
_MOST_REQUESTS: Final = 1e11
"""No set of traces is a sample of more: a day at a million requests a second."""

_U = np.uint64


def rate_interval(largest: float, n: int, *, conf: float = _CONFIDENCE) -> tuple[float, float]:
    """Return the shortest interval of a ratio sampler's p from the largest number of its n kept traces.

    The largest of n numbers that are uniform up to p is below p * (1 - conf)**(1/n) with probability 1 - conf.

    >>> low, high = rate_interval(0.1, 1000)
    >>> low, round(high, 5)
    (0.1, 0.1003)
    """
    return largest, min(1.0, largest * (1 - conf) ** (-1 / n))


def infer_sampler(ids: pd.DataFrame | Iterable[str], *, id_bits: int | None = None) -> pd.DataFrame:
    """Infer from the ids of kept traces alone which family of samplers kept them, and the true rate.

    Parameters
    ----------
    ids
        A span frame, or trace ids. All must have been kept by one sampler of one ratio: a single trace kept for another reason
        (an error, a debug flag) hides it.
    id_bits
        Random bits in the low half of the ids as they were generated: 64 or 63. Kept ids without their top bit are 63-bit ids
        of some ratio, or 64-bit ids of half of it. None: 63 where the span ids of a frame never have their top bit, else 64.

    Returns
    -------
    pandas.DataFrame
        One row a family, the most likely first:

        - ``family`` (str): one of ``SAMPLERS``
        - ``p_hat``, ``lo``, ``hi`` (float64): the share of all traces that was kept, if this family kept them, and its 95 % interval
        - ``ratio`` (float64): the ratio that the sampler was configured with; not ``p_hat`` where ids have 63 bits
        - ``score`` (float64): by how many natural logarithms these ids are more likely under this family at ``p_hat`` than without a sampler
        - ``n`` (Int64): distinct ids
        - ``verdict`` (category): ok for the family found and those that decide alike, fail for refuted ones, not_testable for all where
          none stands out: everything was kept, or by a sampler that does not look at ids, or by several rules
        - ``meaning`` (str): a sentence

    Raises
    ------
    OptionError
        ``id_bits`` is neither 63 nor 64, or the first argument is no frame and no ids.
    SchemaError
        A frame that is no span frame.

    Notes
    -----
    Without a sampler the chance that all n numbers are at most m is m**n; the score is its negative logarithm.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> low = rng.integers(0, 2**64, 3000, dtype=np.uint64)
    >>> kept = [f"{value:032x}" for value in low[low < 2**64 // 10].tolist()]
    >>> infer_sampler(kept)[["family", "p_hat", "verdict"]].head(2).round(2)
       family  p_hat verdict
    0      go    0.1      ok
    1  python    0.1      ok
    """
    if id_bits is not None:
        check_option("id_bits", id_bits, (63, 64))
    found = distinct_ids(ids)
    n = len(found.words)
    short = id_bits == 63 or (id_bits is None and isinstance(ids, pd.DataFrame) and _short_span_ids(ids))
    rows = [_family_row(found.words, family, short=short) for family in SAMPLERS]
    # Where two decide alike, the one whose configured ratio is the rate comes first; sorting keeps the order of the others.
    rows.sort(key=lambda row: (-round(row["score"], 6), round(row["ratio"] / row["p_hat"] - 1, 6) != 0 if n else False))
    _judge(rows, n, short=short)
    table = pd.DataFrame(rows, columns=["family", "p_hat", "lo", "hi", "ratio", "score", "n", "verdict", "meaning"])
    return table.astype({"n": "Int64", "verdict": VERDICT, "family": "str", "meaning": "str"})


def _family_row(words: NDArray[np.uint64], family: str, *, short: bool) -> dict[str, Any]:
    n = len(words)
    if not n:
        return {"family": family, "p_hat": np.nan, "lo": np.nan, "hi": np.nan, "ratio": np.nan, "score": 0.0, "n": 0}
    values = family_statistic(words, family)
    ratio = float(values.max())
    # Of ids below half the range, a threshold on the whole range keeps twice its ratio.
    rate = min(1.0, 2 * ratio) if short and family in {"go", "python"} else ratio
    lo, hi = rate_interval(rate, n)
    row = {"family": family, "p_hat": rate, "lo": lo, "hi": hi, "ratio": ratio, "n": n}
    return row | {"score": 0.0 if _is_pattern(words, values, family) else -n * float(np.log(rate)) + 0.0}


def _is_pattern(words: NDArray[np.uint64], values: NDArray[np.float64], family: str) -> bool:
    """Tell whether the bits that a family compares are no random number in these ids, so that they tell nothing of it."""
    n, largest = len(values), float(values.max())
    if n / largest > _MOST_REQUESTS:
        return True
    distance, p_value = kolmogorov(values / largest)
    if distance > _NOT_EVEN and p_value < _SURE:
        return True
    marked = ((words[:, 1] >> _U(62)) == 2) & np.isin((words[:, 0] >> _U(12)) & _U(15), (_U(4), _U(7)))
    return family in {"go", "python", "java", "jaeger"} and bool(np.count_nonzero(marked) > 0.9 * n) and n >= _FEW


def _judge(rows: list[dict[str, Any]], n: int, *, short: bool) -> None:
    best = rows[0]["score"]
    alike = [row for row in rows if row["score"] > 0 and abs(row["p_hat"] - rows[0]["p_hat"]) <= _ALIKE]
    rest = [row["score"] for row in rows if row not in alike]
    halved = not short and rows[0]["family"] in {"go", "python"} and rows[0]["lo"] <= _HALF <= rows[0]["hi"]
    found = n >= _LEAST and not halved and best > _ODDS and (not rest or best - max(rest) > _LEAD)
    names = ", ".join(row["family"] for row in alike)
    for row in rows:
        if not found:
            row["verdict"], row["meaning"] = "not_testable", _why_not(n, best, halved=halved)
        elif row["score"] <= 0:
            row["verdict"] = "not_testable"
            row["meaning"] = (
                "what this family compares shows no sampler: it is not random in these ids, or takes every value"
            )
        elif row in alike:
            row["verdict"], row["meaning"] = "ok", _told(row, names, len(alike), short=short)
        else:
            row["verdict"] = "fail"
            row["meaning"] = (
                f"no sampler of this family: a ratio of {row['ratio']:.2%} would be needed, and {names} explain{'s' if len(alike) == 1 else ''} the ids far better"
            )


def _why_not(n: int, best: float, *, halved: bool) -> str:
    if n < _LEAST:
        return f"{n} ids with hex digits: too few to tell a sampler by"
    if halved:
        return "the ids lack the top bit of their low half: 63-bit ids of all traces, or 64-bit ids of half of them (see id_bits)"
    if best > _ODDS:
        return f"the {n:,} ids fit several families that do not decide alike"
    return f"the {n:,} ids show no sampler: everything was kept, or by something that does not look at ids, or by several rules"


def _told(row: dict[str, Any], names: str, alike: int, *, short: bool) -> str:
    who = f"decided alike by {names}" if alike > 1 else f"decided by {names}"
    bits = "; the ids have 63 random bits in their low half" if short else ""
    return f"kept: {row['p_hat']:.4%} [{row['lo']:.4%}, {row['hi']:.4%}] of all traces, {who}, at a ratio of {row['ratio']:.4%}{bits}"


def _short_span_ids(spans: pd.DataFrame) -> bool:
    """Tell whether the generator of a frame's ids leaves the top bit out, which span ids show: no sampler chose them."""
    if "span_id" not in spans.columns:
        return False
    some = spans[["trace_id", "span_id"]].dropna()
    # The first spans of traces may have the ids of their traces.
    some = some.iloc[:: max(1, len(some) // 20_000)]
    codes, labels = codes_of(some["trace_id"])
    traces, whole = hex_words(text_array(pd.Series(labels, dtype="str")))
    own, good = hex_words(text_array(some["span_id"].astype("str")))
    use = good & whole[codes] & (own[:, 1] != traces[codes, 1])
    return int(use.sum()) >= _LEAST_SPANS and not (own[use, 1] >> _U(63)).any() and (own[use, 1] >> _U(62)).any()


def replay_decisions(
    ids: pd.DataFrame | Iterable[str], *, family: str, p: float, seed: int | str | None = None
) -> pd.DataFrame:
    """Decide about kept traces again, as a sampler of a claimed family and ratio would have.

    Parameters
    ----------
    ids
        A span frame, or trace ids: of kept traces.
    family
        One of ``SAMPLERS``.
    p
        The ratio that is claimed, in (0, 1].
    seed
        The hash seed of collector (0 by default), or the hash salt of tail.

    Returns
    -------
    pandas.DataFrame
        The columns of :func:`~traceanalytics.sampling.check_table.check_rows`. ``check``:

        - ``replay: decisions``: traces that this sampler would not have kept; the effect is their share, and one is enough to refute
        - ``replay: law``: whether the others are uniform up to p (Kolmogorov-Smirnov); the effect is the largest difference of shares
        - ``replay: rate``: the ratio by the largest number of the others, as the effect; the p-value says how rarely so many ids leave
          so much room below p

        The verdicts of the last two are corrected for their number.

    Raises
    ------
    OptionError
        ``family``, ``p`` or ``seed`` is not as described, or the first argument is no frame and no ids.
    SchemaError
        A frame that is no span frame.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> low = rng.integers(0, 2**64, 3000, dtype=np.uint64)
    >>> kept = [f"{value:032x}" for value in low[low < 2**64 // 10].tolist()]
    >>> replay_decisions(kept, family="go", p=0.1)["verdict"].tolist()
    ['ok', 'ok', 'ok']
    >>> replay_decisions(kept, family="go", p=0.08)["meaning"].iloc[0]
    '63 of 306 kept traces would not have been kept by go at 8 %: the claim is refuted'
    """
    check_option("family", family, SAMPLERS)
    ratio = given_number("p", p, "(0, 1]")
    values = family_statistic(distinct_ids(ids).words, family, seed=seed)
    if family == "collector":
        ratio = hash_buckets(100 * ratio) / 2**14
        if not ratio:
            raise OptionError(f"p={p!r}: the collector's sampler keeps nothing at this ratio: its hash has 14 bits")
    against = int((values > ratio).sum())
    rows = [_against_row(against, len(values), family, ratio)]
    rows += _law_rows(values[values <= ratio], family, ratio)
    return check_rows(rows)


def _against_row(against: int, n: int, family: str, ratio: float) -> dict[str, Any]:
    row: dict[str, Any] = {"check": "replay: decisions", "scope": family, "n": n}
    if not n:
        return row | {"verdict": "not_testable", "meaning": "there is no id of hex digits to decide about"}
    # An exact binomial interval of the share.
    lo = float(special.betaincinv(against, n - against + 1, 0.025)) if against else 0.0
    hi = float(special.betaincinv(against + 1, n - against, 0.975)) if against < n else 1.0
    said = f"{against:,} of {n:,} kept traces would not have been kept by {family} at {100 * ratio:.6g} %"
    return row | {
        "statistic": against,
        "effect": against / n,
        "lo": lo,
        "hi": hi,
        "min_detectable": 1 - 0.2 ** (1 / n),
        "verdict": "fail" if against else "ok",
        "meaning": f"{said}: the claim is refuted"
        if against
        else f"all {n:,} kept traces would have been kept by {family} at {100 * ratio:.6g} %",
    }


def _law_rows(values: NDArray[np.float64], family: str, ratio: float) -> list[dict[str, Any]]:
    n = len(values)
    if n < _LEAST:
        why = f"{n} ids are too few to test their law"
        return [
            {"check": name, "scope": family, "n": n, "verdict": "not_testable", "meaning": why}
            for name in ("replay: law", "replay: rate")
        ]
    # The hash of 14 bits has steps; the middle of a step is as likely to be too high as too low.
    shares = (values - (2.0**-15 if family == "collector" else 0.0)) / ratio
    distance, by_law = kolmogorov(np.clip(shares, 0.0, 1.0))
    largest = float(values.max())
    by_room = float(np.exp(n * np.log(largest / ratio)))
    law, room = holm([by_law, by_room]).tolist()
    lo, hi = rate_interval(largest, n)
    root = np.sqrt(n)
    return [
        {
            "check": "replay: law",
            "scope": family,
            "statistic": distance,
            "p_value": by_law,
            "effect": distance,
            "lo": max(distance - 1.36 / root, 0.0),
            "hi": min(distance + 1.36 / root, 1.0),
            "n": n,
            "min_detectable": min(1.78 / root, 1.0),
            "verdict": _verdict(law),
            "meaning": f"below the ratio the ids are {'evenly' if law >= _LEVEL else 'not evenly'} spread: shares below a value differ by up to {distance:.3f}",
        },
        {
            "check": "replay: rate",
            "scope": family,
            "statistic": largest,
            "p_value": by_room,
            "effect": largest,
            "lo": lo,
            "hi": hi,
            "n": n,
            "min_detectable": ratio * -np.expm1((np.log(_LEVEL) - np.log(0.8)) / n),
            "verdict": _verdict(room),
            "meaning": f"by its ids the sampler's ratio is {largest:.4%} [{lo:.4%}, {hi:.4%}], {'as' if room >= _LEVEL else 'not as'} claimed",
        },
    ]


def _verdict(p_value: float) -> str:
    return "fail" if p_value < _SURE else "warn" if p_value < _LEVEL else "ok"


def audit_samplers(
    ids: pd.DataFrame | Iterable[str] | Mapping[str, pd.DataFrame | Iterable[str]], *, p: float = 0.1
) -> pd.DataFrame:
    """Answer what each sampler really keeps of the ids that a generator makes.

    Parameters
    ----------
    ids
        Ids as they were generated, or a span frame of unsampled traces; or several of them by name. Of kept traces the answer
        says what a further sampler would keep.
    p
        The configured ratio, in (0, 1].

    Returns
    -------
    pandas.DataFrame
        The columns of :func:`~traceanalytics.sampling.check_table.check_rows`, one row a sampler, which ``scope`` names; before them
        ``ids`` (str), the generator's name, where several are given. ``effect`` is the share that the sampler keeps, ``lo`` and ``hi``
        its 95 % interval (Wilson); the verdict is corrected for the number of samplers.

    Raises
    ------
    OptionError
        ``p`` is out of range, or the first argument is no frame and no ids.
    SchemaError
        A frame that is no span frame.

    Examples
    --------
    >>> counter = [f"{n:032x}" for n in range(1, 1001)]
    >>> audit_samplers(counter, p=0.1)[["scope", "effect", "verdict"]].head(3)
        scope  effect verdict
    0      go     1.0    fail
    1  python     1.0    fail
    2    java     1.0    fail
    """
    ratio = given_number("p", p, "(0, 1]")
    if not isinstance(ids, Mapping):
        return check_rows(_audit(ids, ratio))
    tables = [check_rows(_audit(each, ratio)) for each in ids.values()]
    for name, table in zip(ids, tables, strict=True):
        table.insert(0, "ids", pd.Series(str(name), index=table.index, dtype="str"))
    return pd.concat(tables, ignore_index=True) if tables else check_rows([]).assign(ids=pd.Series(dtype="str"))


def _audit(ids: pd.DataFrame | Iterable[str], p: float) -> list[dict[str, Any]]:
    words = distinct_ids(ids).words
    n = len(words)
    nominal = {family: hash_buckets(100 * p) / 2**14 if family == "collector" else p for family in SAMPLERS}
    kept = np.array([np.count_nonzero(family_statistic(words, family) <= nominal[family]) for family in SAMPLERS])
    if n < 2 / p:
        why = f"{n} ids: at least {int(np.ceil(2 / p))} are needed to see a ratio of {100 * p:.6g} %"
        return [
            {"check": "sampler", "scope": family, "n": n, "verdict": "not_testable", "meaning": why}
            for family in SAMPLERS
        ]
    expected = np.array([nominal[family] for family in SAMPLERS])
    z = (kept - n * expected) / np.sqrt(np.maximum(n * expected * (1 - expected), 1e-300))
    p_values = special.erfc(np.abs(z) / np.sqrt(2))
    lo, hi = _wilson(kept, n)
    detectable = 2.8 * np.sqrt(expected * (1 - expected) / n)
    return [
        {
            "check": "sampler",
            "scope": family,
            "statistic": float(z[at]),
            "p_value": float(p_values[at]),
            "effect": kept[at] / n,
            "lo": float(lo[at]),
            "hi": float(hi[at]),
            "n": n,
            "min_detectable": float(detectable[at]),
            "verdict": _verdict(float(joint)),
            "meaning": f"at a ratio of {100 * p:.6g} % the sampler {family} keeps {kept[at] / n:.2%} of these ids",
        }
        for at, (family, joint) in enumerate(zip(SAMPLERS, holm(p_values.tolist()), strict=True))
    ]


def _wilson(kept: NDArray[np.int64], n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    z2 = 1.959964**2
    middle = (kept + z2 / 2) / (n + z2)
    half = np.sqrt(z2 * (kept * (n - kept) / n + z2 / 4)) / (n + z2)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)
