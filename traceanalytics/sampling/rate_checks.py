"""Checks of rates and thresholds: whether as many traces are kept as claimed, and whether tracestates contradict themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from traceanalytics.errors import OptionError
from traceanalytics.sampling.check_table import check_rows
from traceanalytics.sampling.drift_checks import check_drift
from traceanalytics.sampling.given_numbers import given_number, given_whole
from traceanalytics.sampling.span_thresholds import randomness_of_traces, state_column
from traceanalytics.sampling.tracestate_codec import parse_tracestate
from traceanalytics.spans.columns import codes_of
from traceanalytics.spans.schema import check_spans
from traceanalytics.topology.forest import Forest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.sampling.span_thresholds import StateColumn

__all__ = ["RateTest", "check_drift", "check_rate", "check_threshold_consistency", "rate_test", "requests_needed"]

_SURE: Final = 0.001
_LEVEL: Final = 0.05
_SHOWN: Final = 200
"""Distinct rejected tracestates whose reasons are told."""


class RateTest(NamedTuple):
    """The p-value of a kept count under a claimed rate, and the rate with its 95 % interval."""

    p_value: float
    rate: float
    lo: float
    hi: float
    min_detectable: float


def rate_test(kept: int, requests: float, p: float, *, error: float = 0.0) -> RateTest:
    """Test a count of kept traces against ``requests`` decisions of probability ``p``; ``error`` is the counter's relative error.

    The test is the two-sided binomial one with mid-p-values, at the end of the error band that speaks most for the claim.

    >>> round(rate_test(850, 10_000, 0.1).p_value, 7)
    3e-07
    """
    least, most = max(np.floor(requests * (1 - error)), 1.0), np.ceil(requests * (1 + error))
    low = _below(kept, least, p) if kept <= least else 1.0
    high = 1 - _below(kept, most, p) if kept <= most else 0.0
    p_value = min(1.0, 2 * min(low, high))
    lo = float(special.betaincinv(kept, max(most - kept, 0) + 1, 0.025)) if kept else 0.0
    hi = float(special.betaincinv(kept + 1, least - kept, 0.975)) if kept < least else 1.0
    detectable = 2.8 * np.sqrt(p * (1 - p) / requests) + error * p
    return RateTest(float(p_value), kept / requests, lo, hi, float(detectable))


def _below(kept: int, n: float, p: float) -> float:
    """Return the chance of fewer than ``kept``, and half of that of exactly ``kept``."""
    if p == 1:
        return 0.5 if kept == n else 0.0
    at_most = float(special.bdtr(kept, int(n), p))
    fewer = float(special.bdtr(kept - 1, int(n), p)) if kept else 0.0
    return (at_most + fewer) / 2


def requests_needed(claimed: float, *, change: float, power: float = 0.8) -> int:
    """Return how many requests a test of a rate needs to find a relative change of it.

    Parameters
    ----------
    claimed
        The rate that is claimed, in (0, 1).
    change
        The relative change to find, such as -0.1.
    power
        The probability of finding it at the level of 5 %.

    Returns
    -------
    int
        Requests, kept or not.

    Raises
    ------
    OptionError
        A number is out of range.

    Notes
    -----
    The normal approximation of the two-sided test.

    Examples
    --------
    >>> requests_needed(0.1, change=-0.1), requests_needed(0.01, change=-0.1)
    (6870, 75349)
    """
    p = given_number("claimed", claimed, "(0, 1)")
    by = given_number("change", change, "[-1, 1e6]")
    other = p * (1 + by)
    if not by or other > 1:
        raise OptionError(f"change={change!r} leads from {p:g} to {other:g}: expected another rate, of at most 1")
    sure = special.ndtri(given_number("power", power, "(0, 1)"))
    spread = special.ndtri(1 - _LEVEL / 2) * np.sqrt(p * (1 - p)) + sure * np.sqrt(other * (1 - other))
    return int(np.ceil((spread / (p - other)) ** 2))


def check_rate(
    spans: pd.DataFrame, *, claimed: float, reference: float | pd.Series | None = None, reference_error: float = 0.0
) -> pd.DataFrame:
    """Check whether the share of traces kept is the rate that is claimed.

    Parameters
    ----------
    spans
        A span frame of kept traces.
    claimed
        The rate of the sampler, in (0, 1].
    reference
        How many traces there were, from a counter before the sampler: of the same requests (root spans, same filter, same
        interval, restarts allowed for); or a series of such counts, which are added up.
    reference_error
        The largest relative error of that counter, in [0, 1).

    Returns
    -------
    pandas.DataFrame
        One row of :func:`~traceanalytics.sampling.check_table.check_rows`: ``effect``, ``lo`` and ``hi`` are the rate and its interval,
        ``min_detectable`` a difference of rates, ``n`` the requests. not_testable without a reference.

    Raises
    ------
    OptionError
        A number is out of range.
    SchemaError
        The frame is no span frame.

    Notes
    -----
    Binomial test with mid-p-values; the interval is Clopper and Pearson's (1934).

    Examples
    --------
    >>> spans = pd.DataFrame({"trace_id": [f"{n:032x}" for n in range(850)]})
    >>> check_rate(spans, claimed=0.1, reference=10_000)[["check", "effect", "n", "verdict"]]
      check  effect      n verdict
    0  rate   0.085  10000    fail
    """
    check_spans(spans, "trace_id")
    p = given_number("claimed", claimed, "(0, 1]")
    error = given_number("reference_error", reference_error, "[0, 1)")
    kept = int(spans["trace_id"].nunique())
    row: dict[str, Any] = {"check": "rate", "scope": "traces"}
    if reference is None:
        said = f"{kept:,} traces are kept, of an unknown number: a count of all requests is needed (or see infer_sampler, which needs the ids only)"
        return check_rows([row | {"n": kept, "verdict": "not_testable", "meaning": said}])
    total = given_whole("reference", reference.sum() if isinstance(reference, pd.Series) else reference, 0)
    if not total:
        said = f"the reference counts no request, and {kept:,} traces are kept"
        return check_rows([row | {"n": 0, "verdict": "fail" if kept else "not_testable", "meaning": said}])
    test = rate_test(kept, total, p, error=error)
    return check_rows([row | {"statistic": kept, "n": total} | _judged(kept, total, p, test, error)])


def _judged(kept: int, total: int, p: float, test: RateTest, error: float) -> dict[str, Any]:
    said = f"{kept:,} of {total:,} requests are kept: {100 * test.rate:.4g} % [{100 * test.lo:.4g} %, {100 * test.hi:.4g} %], claimed {100 * p:.6g} %"
    if kept > total * (1 + error):
        said += "; more traces than requests: the counter does not see what the frame holds"
    return {
        "p_value": test.p_value,
        "effect": test.rate,
        "lo": test.lo,
        "hi": test.hi,
        "min_detectable": test.min_detectable,
        "verdict": "fail" if test.p_value < _SURE else "warn" if test.p_value < _LEVEL else "ok",
        "meaning": said,
    }


def check_threshold_consistency(spans: pd.DataFrame) -> pd.DataFrame:
    """Check whether tracestates, random bits and flags of the spans contradict each other.

    Parameters
    ----------
    spans
        A span frame.

    Returns
    -------
    pandas.DataFrame
        The columns of :func:`~traceanalytics.sampling.check_table.check_rows`, one row a rule: ``statistic`` counts what breaks it,
        ``effect`` is its share of ``n``. ``check``:

        - ``threshold: mixed``: traces whose spans have different thresholds, or whose random bits differ
        - ``threshold: part of a trace``: traces of which some spans have a threshold and others none
        - ``threshold: below``: spans whose random bits are below their threshold, though they are kept
        - ``threshold: above parent``: spans whose threshold is above their parent's: such children are missing by design
        - ``threshold: below parent``: spans whose threshold is below their parent's: such spans lack parents by design
        - ``threshold: sampled flag``: spans whose flag says other than their threshold
        - ``threshold: no randomness``: spans with a threshold and no random bits
        - ``threshold: rejected``: spans whose tracestate is rejected, with the reasons

    Raises
    ------
    SchemaError
        The frame is no span frame.

    Examples
    --------
    >>> spans = pd.DataFrame({"trace_id": ["f" * 32, "1" * 32], "trace_state": ["ot=th:8", "ot=th:8"]})
    >>> found = check_threshold_consistency(spans)
    >>> found.loc[found["verdict"] == "fail", ["check", "statistic", "n"]]
                  check  statistic  n
    2  threshold: below        1.0  2
    """
    check_spans(spans, "trace_id", "trace_state")
    codes, labels = codes_of(spans["trace_id"])
    states = state_column(spans)
    values, known = randomness_of_traces(codes.astype(np.intp), labels, states)
    rejected = states.of_spans(states.rejected)
    has = states.of_spans(states.has_threshold) & ~rejected & (codes >= 0)
    floors = states.of_spans(states.threshold)
    both = has & known
    mixed, n_mixed = _mixed(codes, len(labels), floors, has)
    differing, _ = _mixed(codes, len(labels), values, known & (codes >= 0))
    used = np.bincount(codes[codes >= 0], minlength=len(labels))
    with_any = np.bincount(codes[has], minlength=len(labels))
    broken = both & (values < floors)
    rows = [
        _rule(
            "mixed",
            int((mixed | differing).sum()),
            n_mixed,
            "warn",
            "traces have spans of different thresholds or random bits: weights differ within them (see estimate_partial)",
        ),
        _rule(
            "part of a trace",
            int(((with_any > 0) & (with_any < used)).sum()),
            int((used > 0).sum()),
            "warn",
            "traces have a threshold on some of their spans only",
        ),
        _rule(
            "below",
            int(broken.sum()),
            int(both.sum()),
            "fail",
            "spans are kept though their random bits are below their threshold: it is not what kept them",
        ),
    ]
    rows += _parent_rows(spans, codes, floors, has, mixed)
    rows.append(_flag_row(spans, both, ~broken))
    rows.append(
        _rule(
            "no randomness",
            int((has & ~known).sum()),
            int(has.sum()),
            "warn",
            "spans with a threshold have no random bits: the id has no 14 hex digits",
        )
    )
    rows.append(_rejected_row(spans, states, rejected))
    return check_rows(rows)


def _mixed(
    codes: NDArray[np.int32], count: int, values: NDArray[np.uint64], use: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], int]:
    """Return which traces have different values, and how many have any."""
    rows = np.flatnonzero(use)
    one = np.zeros(count, np.uint64)
    one[codes[rows]] = values[rows]
    differs = np.zeros(count, np.bool_)
    differs[codes[rows[values[rows] != one[codes[rows]]]]] = True
    return differs, int((np.bincount(codes[rows], minlength=count) > 0).sum())


def _rule(name: str, broken: int, n: int, verdict: str, said: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "check": f"threshold: {name}",
        "scope": "traces" if said.startswith("traces") else "spans",
        "n": n,
    }
    if not n:
        return row | {"verdict": "not_testable", "meaning": f"nothing to test: {said.split(':', maxsplit=1)[0]}"}
    return row | {
        "statistic": broken,
        "effect": broken / n,
        "verdict": verdict if broken else "ok",
        "meaning": f"{broken:,} of {n:,} {said}",
    }


def _parent_rows(
    spans: pd.DataFrame,
    codes: NDArray[np.int32],
    floors: NDArray[np.uint64],
    has: NDArray[np.bool_],
    mixed: NDArray[np.bool_],
) -> list[dict[str, Any]]:
    """Compare children with parents, in the traces whose thresholds differ at all."""
    n, above, below = int(has.sum()), 0, 0
    rows = np.flatnonzero((codes >= 0) & np.append(mixed, np.False_)[codes])
    if len(rows) and {"span_id", "parent_span_id"} <= set(spans.columns):
        parent = Forest(spans.iloc[rows]).parent
        child = np.flatnonzero(parent >= 0)
        own, up = rows[child], rows[parent[child]]
        pairs = has[own] & has[up]
        above = int((pairs & (floors[own] > floors[up])).sum())
        below = int((pairs & (floors[own] < floors[up])).sum())
    return [
        _rule(
            "above parent",
            above,
            n,
            "warn",
            "spans have a threshold above their parent's: below kept parents such spans are missing by design",
        ),
        _rule(
            "below parent",
            below,
            n,
            "warn",
            "spans have a threshold below their parent's: parents are missing by design",
        ),
    ]


def _flag_row(spans: pd.DataFrame, both: NDArray[np.bool_], kept: NDArray[np.bool_]) -> dict[str, Any]:
    flags = (
        spans["trace_flags"] if "trace_flags" in spans.columns else pd.Series(pd.NA, index=spans.index, dtype="UInt32")
    )
    use = both & flags.notna().to_numpy()
    sampled = (flags.to_numpy("int64", na_value=0) & 1) > 0
    return _rule(
        "sampled flag",
        int((use & (sampled != kept)).sum()),
        int(use.sum()),
        "warn",
        "spans bear a sampled flag that says other than threshold and random bits",
    )


def _rejected_row(spans: pd.DataFrame, states: StateColumn, rejected: NDArray[np.bool_]) -> dict[str, Any]:
    n, count = int((states.codes >= 0).sum()), int(rejected.sum())
    row = _rule("rejected", count, n, "warn", "spans have a tracestate with a rejected ot member: it is no weight")
    if count:
        some = spans["trace_state"].iloc[np.flatnonzero(rejected)[:_SHOWN]].astype("str")
        codes = [error.code for text in some for error in parse_tracestate(text).errors]
        reasons = pd.Series(codes, dtype="str").value_counts()
        first = f" (of the first {_SHOWN})" if count > _SHOWN else ""
        row["meaning"] += f"; reasons{first}: " + ", ".join(f"{name} {times:,}" for name, times in reasons.items())
    return row
