"""Checks of trace ids: whether the bits that samplers decide by are random, and patterns that some samplers stumble over.

Consistent sampling, and every ratio sampler, takes bits of the trace id for a random number. Where they are none, a sampler of
10 % keeps anything from nothing to everything, and no weight repairs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from traceanalytics.errors import OptionError
from traceanalytics.sampling.check_table import check_rows, holm
from traceanalytics.sampling.given_numbers import given_number
from traceanalytics.sampling.id_columns import distinct_ids, trace_bits
from traceanalytics.sampling.id_patterns import pattern_rows
from traceanalytics.sampling.id_tests import randomness_tests
from traceanalytics.sampling.sampler_inference import audit_samplers, infer_sampler, replay_decisions
from traceanalytics.sampling.thresholds import SCALE
from traceanalytics.sampling.thresholds import threshold as threshold_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from traceanalytics.sampling.id_tests import IdTest

__all__ = [
    "LEAST",
    "audit_samplers",
    "check_trace_ids",
    "infer_sampler",
    "replay_decisions",
]

LEAST: Final = 20
"""Fewer ids than this are not tested."""

_LEVEL: Final = 0.05
_SURE: Final = 0.001


def check_trace_ids(
    spans_or_ids: pd.DataFrame | Iterable[str], *, p: float | None = None, threshold: int | None = None
) -> pd.DataFrame:
    """Check whether the low 56 bits of trace ids are random, and report patterns that some samplers stumble over.

    Kept traces have no random ids: those of a consistent sampler lie above its threshold. They are tested by the law that
    random ids have there, so the threshold must be known: from the tracestates of a span frame, or given.

    Parameters
    ----------
    spans_or_ids
        A span frame, or trace ids. In a frame, a trace's random bits are its ``rv`` where it has one, and its threshold is that
        of its tracestate. Once some traces have a threshold, those without one are left out: nothing is known of them.
    p
        The probability of the consistent sampler that kept them, instead of thresholds from tracestates.
    threshold
        The same, as a threshold of 56 bits.

    Returns
    -------
    pandas.DataFrame
        The columns of :func:`~traceanalytics.sampling.check_table.check_rows`. ``check``:

        - ``trace ids``: all tests of randomness together, by Holm's method
        - ``ids: uniform``: Kolmogorov-Smirnov; the effect is the largest difference of the shares below a value
        - ``ids: top byte``, ``ids: low byte``: chi-square of 256 values; the effect is the root mean square relative deviation of a value's share
        - ``ids: bits``: the bit with the most uneven share of ones, which is the effect; corrected for 56 bits
        - ``ids: below threshold``: traces that are kept and below their threshold, which no consistent sampler does
        - ``id pattern: ...``: shares without a test; warn where a pattern is there, with the samplers that it hurts

    Raises
    ------
    OptionError
        Both ``p`` and ``threshold`` are given, or one is out of range, or the first argument is no frame and no ids.
    SchemaError
        A frame that is no span frame.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> ids = [f"{a:016x}{b:016x}" for a, b in rng.integers(0, 2**63, (1000, 2)).tolist()]
    >>> check_trace_ids(ids).loc[:, ["check", "n", "verdict"]].head(2)
             check     n verdict
    0    trace ids  1000      ok
    1  ids: uniform  1000      ok
    >>> counter = [f"{n:032x}" for n in range(1000)]
    >>> check_trace_ids(counter)["verdict"].iloc[0]
    'fail'
    """
    floor = _floor(p, threshold)
    ids = distinct_ids(spans_or_ids)
    values, floors, unknown = _values(spans_or_ids, ids.words[:, 1], floor)
    above = values >= floors
    rows = _test_rows(values[above], floors[above], unknown)
    if floors.any():
        rows.append(_below_row(int((~above).sum()), len(values)))
    frame = spans_or_ids if isinstance(spans_or_ids, pd.DataFrame) else None
    return check_rows([*rows, *pattern_rows(ids, frame, random=rows[0]["verdict"] != "fail")])


def _floor(p: float | None, threshold: int | None) -> int | None:
    if p is not None and threshold is not None:
        raise OptionError("p and threshold say the same: give one of them")
    if p is not None:
        return threshold_of(given_number("p", p, "(0, 1]"))
    if threshold is None:
        return None
    if not _is_whole(threshold) or not 0 <= threshold < SCALE:
        raise OptionError(f"threshold={threshold!r} is not a whole number in [0, 2**56)")
    return int(threshold)


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _values(
    given: pd.DataFrame | Iterable[str], low: NDArray[np.uint64], floor: int | None
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], int]:
    """Return randomness and threshold of the ids to test, and how many were left out as nothing is known of them."""
    if not isinstance(given, pd.DataFrame):
        values = low & np.uint64(SCALE - 1)
        return values, np.full(len(values), floor or 0, np.uint64), 0
    bits = trace_bits(given)
    use = bits.known & (bits.has_threshold | (floor is not None) | (not bits.has_threshold.any()))
    values = bits.randomness[use]
    return values, bits.threshold[use] if floor is None else np.full(len(values), floor, np.uint64), int((~use).sum())


def _test_rows(values: NDArray[np.uint64], floors: NDArray[np.uint64], unknown: int) -> list[dict[str, Any]]:
    n = len(values)
    left_out = f"; {unknown:,} traces without threshold or random bits are left out" if unknown else ""
    if n < LEAST:
        why = f"{n} ids with known random bits: at least {LEAST} are needed to test them{left_out}"
        return [{"check": "trace ids", "scope": "low 56 bits", "n": n, "verdict": "not_testable", "meaning": why}]
    tests = randomness_tests(values, floors)
    scope = "low 56 bits above the threshold" if floors.any() else "low 56 bits"
    corrected = holm(tests.p_values.tolist())
    names = ("uniform", "top byte", "low byte", "bits")
    scopes = (scope, "bits 55-48", "bits 7-0", f"bit {55 - tests.worst_bit}")
    rows: list[dict[str, Any]] = [
        {
            "check": f"ids: {name}",
            "scope": part,
            "n": n,
            "verdict": _verdict(float(joint)),
            "meaning": _said(name, test, joint),
        }
        | test._asdict()
        for name, part, test, joint in zip(names, scopes, tests[:4], corrected, strict=True)
    ]
    p_value = tests.p_value
    overall = {"check": "trace ids", "scope": scope, "p_value": p_value, "n": n, "verdict": _verdict(p_value)}
    overall["meaning"] = _overall(p_value, truncated=bool(floors.any()), lowest=int(values.min())) + left_out
    return [overall, *rows]


def _verdict(p_value: float) -> str:
    return "fail" if p_value < _SURE else "warn" if p_value < _LEVEL else "ok"


def _overall(p_value: float, *, truncated: bool, lowest: int) -> str:
    if p_value >= _LEVEL:
        return "the ids look random where consistent samplers compare them"
    law = "above the threshold" if truncated else "where consistent samplers compare them"
    hint = (
        f"; all are above {lowest / SCALE:.0%} of the range: kept traces are tested with the p of their sampler"
        if not truncated and lowest > SCALE / 20
        else ""
    )
    return f"the ids are not random {law}: rates and weights of samplers that decide by them cannot be trusted{hint}"


def _said(name: str, test: IdTest, joint: float) -> str:
    what = {
        "uniform": f"the share of ids below some value is off by {test.effect:.3f}",
        "top byte": f"the shares of this byte's values deviate by {test.effect:.0%} more than by chance",
        "low byte": f"the shares of this byte's values deviate by {test.effect:.0%} more than by chance",
        "bits": f"the most uneven bit is set in {test.effect:.1%} of the ids",
    }[name]
    return f"{what}; {'chance does that' if joint >= _LEVEL else 'chance hardly does that'} (p = {joint:.2g} after correction for four tests)"


def _below_row(below: int, n: int) -> dict[str, Any]:
    said = f"{below:,} of {n:,} kept traces lie below their threshold: a consistent sampler of this threshold did not keep them"
    return {
        "check": "ids: below threshold",
        "scope": "kept traces",
        "statistic": below,
        "effect": below / n if n else np.nan,
        "n": n,
        "verdict": "fail" if below else "ok" if n else "not_testable",
        "meaning": said,
    }
