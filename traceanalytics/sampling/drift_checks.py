"""Checks of sampling through time: whether the rate stays the same, or a limiter cuts what exceeds its budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from scipy import special

from traceanalytics.errors import OptionError
from traceanalytics.sampling.check_table import check_rows
from traceanalytics.sampling.given_numbers import given_number
from traceanalytics.spans.columns import NAT, codes_of, start_ns
from traceanalytics.spans.schema import check_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["check_drift", "cusum", "dispersion", "homogeneity", "plateau"]

_LEVEL: Final = 0.05
_SURE: Final = 0.001
_LEAST_EXPECTED: Final = 5.0
_LEAST_SECONDS: Final = 30
_MOST_SECONDS: Final = 10_000_000
_SECOND_NS: Final = 1_000_000_000


def homogeneity(kept: NDArray[np.int64], requests: NDArray[np.int64]) -> tuple[float, float, int]:
    """Return the chi-square of a constant rate, its p-value, and the number of intervals after joining neighbours with few traces.

    >>> statistic, p_value, intervals = homogeneity(np.array([10, 10, 30, 30]), np.array([100, 100, 100, 100]))
    >>> round(statistic, 2), p_value < 0.001, intervals
    (25.0, True, 4)
    """
    rate = kept.sum() / requests.sum()
    if not 0 < rate < 1:
        return 0.0, 1.0, 1
    block = np.floor(np.cumsum(requests) * min(rate, 1 - rate) / _LEAST_EXPECTED)
    joined = np.unique(np.r_[0.0, block[:-1]], return_inverse=True)[1]
    n, total = np.bincount(joined, weights=kept), np.bincount(joined, weights=requests)
    n, total = n[total > 0], total[total > 0]
    statistic = float(((n - rate * total) ** 2 / (total * rate * (1 - rate))).sum())
    return statistic, float(special.chdtrc(max(len(n) - 1, 1), statistic)) if len(n) > 1 else 1.0, len(n)


def cusum(kept: NDArray[np.int64], requests: NDArray[np.int64]) -> tuple[float, float, int]:
    """Return the largest standardised running sum of kept minus expected traces, its p-value, and where it is.

    >>> statistic, p_value, at = cusum(np.array([10, 10, 30, 30]), np.array([100, 100, 100, 100]))
    >>> round(statistic, 2), round(p_value, 3), at
    (2.5, 0.0, 1)
    """
    rate = kept.sum() / requests.sum()
    if not 0 < rate < 1:
        return 0.0, 1.0, 0
    path = np.abs(np.cumsum(kept - rate * requests)) / np.sqrt(requests.sum() * rate * (1 - rate))
    return float(path.max()), float(special.kolmogorov(path.max())), int(path.argmax())


def dispersion(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return variance over mean of counts, and the p-value of its being too small for independent traces.

    >>> index, p_value = dispersion(np.full(100, 10))
    >>> index, p_value < 1e-9
    (0.0, True)
    """
    free, mean = len(counts) - 1, counts.mean()
    if not mean:
        return float("nan"), 1.0
    index = float(((counts - mean) ** 2).sum() / mean / free)
    return index, float(special.chdtr(free, index * free))


def plateau(counts: NDArray[np.int64]) -> tuple[int, int, float]:
    """Return the largest count, how many intervals have it, and how likely independent traces go so often that far and never further.

    >>> plateau(np.array([0, 5, 5, 5, 5, 1, 5, 5, 5, 5, 5, 5, 2]))[:2]
    (5, 10)
    """
    most = int(counts.max())
    times = int((counts == most).sum())
    mean = float(counts.mean())
    reach = float(special.pdtrc(most - 1, mean)) if most else 1.0
    beyond = float(special.pdtrc(most, mean)) / reach if reach > 0 else 0.0
    return most, times, float(np.exp(times * np.log1p(-min(beyond, 1 - 1e-16))))


def check_drift(
    spans: pd.DataFrame, reference: pd.Series | None = None, *, freq: str = "1min", p: float | None = None
) -> pd.DataFrame:
    """Check whether traces are kept at one rate all the time, or drift, steps or a limiter are at work.

    Parameters
    ----------
    spans
        A span frame of kept traces. A trace's time is the start of its first span.
    reference
        How many traces there were: counts by the beginning of their interval (a DatetimeIndex, UTC where it has no zone). Traces
        outside the intervals of the reference are left out.
    freq
        Length of an interval; finer references are added up.
    p
        The rate that is claimed, for a row that tests it.

    Returns
    -------
    pandas.DataFrame
        The columns of :func:`~traceanalytics.sampling.check_table.check_rows`. ``check``:

        - ``drift: same rate``: chi-square of kept against all traces by interval; the effect is the coefficient of variation of the rate
          beyond chance
        - ``drift: step``: the running sum of kept minus expected traces; the effect is the relative change of the rate where it is largest
        - ``drift: rate``: the claimed rate, as :func:`check_rate` tests it
        - ``drift: even seconds``: variance over mean of the traces kept in a second, as the effect; too small a one shows a limiter
        - ``drift: plateau``: share of the seconds that have the largest number, as the effect; many and none above show a limiter

        The first three need a reference.

    Raises
    ------
    OptionError
        ``freq``, ``p`` or the reference is not as described.
    SchemaError
        The frame is no span frame.

    Examples
    --------
    >>> starts = pd.date_range("2026-01-01", periods=600, freq="100ms", tz="UTC")
    >>> spans = pd.DataFrame({"trace_id": [f"{n:032x}" for n in range(600)], "start_time": starts})
    >>> found = check_drift(spans)
    >>> found.loc[2:, ["check", "effect", "n", "verdict"]]
                     check  effect   n verdict
    2  drift: even seconds     0.0  58    fail
    3       drift: plateau     1.0  58    fail
    """
    check_spans(spans, "trace_id", "start_time")
    step = _step(freq)
    ratio = None if p is None else given_number("p", p, "(0, 1]")
    starts = _trace_starts(spans)
    rows = _reference_rows(starts, reference, step, ratio)
    return check_rows([*rows, *_second_rows(starts)])


def _step(freq: str) -> int:
    try:
        step = int(pd.Timedelta(freq).value)
    except (ValueError, TypeError):
        step = 0
    if step <= 0:
        raise OptionError(f"freq={freq!r} is no length of time: expected a text such as '1min'")
    return step


def _trace_starts(spans: pd.DataFrame) -> NDArray[np.int64]:
    codes, labels = codes_of(spans["trace_id"])
    starts = start_ns(spans["start_time"])
    use = (codes >= 0) & (starts != NAT)
    first = np.full(len(labels), np.iinfo(np.int64).max)
    np.minimum.at(first, codes[use], starts[use])
    return first[first < np.iinfo(np.int64).max]


def _reference_rows(
    starts: NDArray[np.int64], reference: pd.Series | None, step: int, p: float | None
) -> list[dict[str, Any]]:
    names = ["drift: same rate", "drift: step"] + ([] if p is None else ["drift: rate"])
    if reference is None:
        why = "counts of all requests by interval are needed to tell a change of the rate from one of the traffic"
        return [_untested(name, len(starts), why) for name in names]
    kept, requests, outside, begins = _by_interval(starts, reference, step)
    if not requests.sum() or not kept.sum():
        why = "no trace is kept, or no request counted, within the intervals of the reference"
        return [_untested(name, int(kept.sum()), why) for name in names]
    if (kept > requests).any():
        worst = int((kept > requests).sum())
        why = f"{worst:,} intervals have more kept traces than requests: the reference does not count what the frame holds"
        return [
            {"check": name, "scope": "intervals", "n": int(requests.sum()), "verdict": "fail", "meaning": why}
            for name in names
        ]
    tail = f"; {outside:,} traces outside the reference are left out" if outside else ""
    rows = [_same_row(kept, requests, tail), _step_row(kept, requests, begins, tail)]
    if p is not None:
        from traceanalytics.sampling.rate_checks import rate_test  # noqa: PLC0415 - which imports this module

        test = rate_test(int(kept.sum()), float(requests.sum()), p)
        said = f"{100 * test.rate:.4g} % of the requests are kept [{100 * test.lo:.4g} %, {100 * test.hi:.4g} %], claimed {100 * p:.6g} %{tail}"
        rows.append(
            {
                "check": "drift: rate",
                "scope": "all",
                "statistic": int(kept.sum()),
                "effect": test.rate,
                "n": int(requests.sum()),
            }
            | {key: getattr(test, key) for key in ("p_value", "lo", "hi", "min_detectable")}
            | {"verdict": _verdict(test.p_value), "meaning": said}
        )
    return rows


def _by_interval(
    starts: NDArray[np.int64], reference: object, step: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int, NDArray[np.int64]]:
    if not isinstance(reference, pd.Series) or not isinstance(reference.index, pd.DatetimeIndex):
        raise OptionError(
            "reference: expected a Series of counts with the beginnings of their intervals (a DatetimeIndex) as its index"
        )
    counts = reference.to_numpy("float64", na_value=np.nan)
    if not (np.isfinite(counts) & (counts >= 0) & (counts == np.rint(counts))).all():
        raise OptionError("reference: expected whole numbers of requests, found negative, missing or broken ones")
    if reference.index.hasnans:
        raise OptionError("reference: an interval has no time")
    zoned = reference.index.tz_localize("UTC") if reference.index.tz is None else reference.index
    slots, begins = pd.factorize(zoned.as_unit("ns").asi8 // step, sort=True)
    requests = np.bincount(slots, weights=counts, minlength=len(begins)).astype(np.int64)
    at = np.searchsorted(begins, starts // step)
    inside = (at < len(begins)) & (np.append(begins, -1)[at] == starts // step)
    kept = np.bincount(at[inside], minlength=len(begins)).astype(np.int64)
    return kept, requests, int((~inside).sum()), np.asarray(begins) * step


def _same_row(kept: NDArray[np.int64], requests: NDArray[np.int64], tail: str) -> dict[str, Any]:
    statistic, p_value, intervals = homogeneity(kept, requests)
    if intervals < 2:
        return _untested(
            "drift: same rate", int(requests.sum()), f"too few traces, or all, are kept to compare intervals{tail}"
        )
    scale = np.sqrt((1 - kept.sum() / requests.sum()) / kept.sum())
    free = intervals - 1
    low, high, found = (
        np.sqrt(max(value, 0.0))
        for value in (
            special.chndtrinc(statistic, free, 0.975) if special.chdtrc(free, statistic) < 0.025 else 0.0,
            special.chndtrinc(statistic, free, 0.025) if special.chdtr(free, statistic) > 0.025 else 0.0,
            special.chndtrinc(special.chdtri(free, _LEVEL), free, 0.2),
        )
    )
    effect = float(np.sqrt(max(statistic - free, 0.0)) * scale)
    said = f"the rate varies by {effect:.1%} beyond chance over {intervals:,} intervals: {'it is the same all the time' if p_value >= _LEVEL else 'it is not the same all the time'}{tail}"
    return {
        "check": "drift: same rate",
        "scope": "intervals",
        "statistic": statistic,
        "p_value": p_value,
        "effect": effect,
        "lo": float(low * scale),
        "hi": float(high * scale),
        "n": int(requests.sum()),
        "min_detectable": float(found * scale),
        "verdict": _verdict(p_value),
        "meaning": said,
    }


def _step_row(
    kept: NDArray[np.int64], requests: NDArray[np.int64], begins: NDArray[np.int64], tail: str
) -> dict[str, Any]:
    statistic, p_value, at = cusum(kept, requests)
    split = requests[: at + 1].sum() and requests[at + 1 :].sum() and kept[: at + 1].sum()
    if len(kept) < 2 or not split or kept.sum() == requests.sum():
        return _untested(
            "drift: step", int(requests.sum()), f"too few traces, or all, are kept to look for a step{tail}"
        )
    before, after = kept[: at + 1].sum() / requests[: at + 1].sum(), kept[at + 1 :].sum() / requests[at + 1 :].sum()
    change = after / before - 1
    half = (
        1.96 * (1 + change) * np.sqrt((1 - before) / kept[: at + 1].sum() + (1 - after) / max(kept[at + 1 :].sum(), 1))
    )
    when = pd.Timestamp(begins[at + 1], tz="UTC").isoformat()
    said = f"the rate changes most at {when}, by {change:+.1%}: {'by chance' if p_value >= _LEVEL else 'not by chance'}{tail}"
    rate = kept.sum() / requests.sum()
    found = 2 * (1.36 + 0.42) * np.sqrt((1 - rate) / kept.sum())
    return {
        "check": "drift: step",
        "scope": "intervals",
        "statistic": statistic,
        "p_value": p_value,
        "effect": float(change),
        "lo": float(change - half),
        "hi": float(change + half),
        "n": int(requests.sum()),
        "min_detectable": float(found),
        "verdict": _verdict(p_value),
        "meaning": said,
    }


def _second_rows(starts: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Test the seconds between the first and the last one, which may be cut."""
    names = ("drift: even seconds", "drift: plateau")
    seconds = starts // _SECOND_NS
    span = int(seconds.max() - seconds.min()) - 1 if len(seconds) else 0
    if span < _LEAST_SECONDS or span > _MOST_SECONDS:
        why = f"{max(span, 0):,} whole seconds of traces: from {_LEAST_SECONDS} to {_MOST_SECONDS:,} can be tested"
        return [_untested(name, max(span, 0), why) for name in names]
    counts = np.bincount(seconds - seconds.min(), minlength=span + 2)[1:-1]
    if not counts.sum():
        return [_untested(name, span, "no trace starts between the first and the last second") for name in names]
    index, p_even = dispersion(counts)
    most, times, p_most = plateau(counts)
    free = span - 1
    even = "as even as a limiter makes them" if p_even < _LEVEL else "not more even than independent traces"
    limit = "a limiter, or a load of one speed" if p_most < _LEVEL else "as chance has it"
    return [
        {
            "check": names[0],
            "scope": "seconds",
            "statistic": index * free,
            "p_value": p_even,
            "effect": index,
            "lo": float(free * index / special.chdtri(free, 0.025)),
            "hi": float(free * index / special.chdtri(free, 0.975)),
            "n": span,
            "min_detectable": float(special.chdtri(free, 0.95) / special.chdtri(free, 0.2)),
            "verdict": _verdict(p_even),
            "meaning": f"the traces kept in a second vary {index:.2f} times as much as independent ones: {even}",
        },
        {
            "check": names[1],
            "scope": "seconds",
            "statistic": most,
            "p_value": p_most,
            "effect": times / span,
            "n": span,
            "verdict": _verdict(p_most),
            "meaning": f"{times:,} of {span:,} seconds have exactly {most:,} traces, and none has more: {limit}",
        },
    ]


def _untested(check: str, n: int, why: str) -> dict[str, Any]:
    return {
        "check": check,
        "scope": "seconds" if check.endswith(("seconds", "plateau")) else "intervals",
        "n": n,
        "verdict": "not_testable",
        "meaning": why,
    }


def _verdict(p_value: float) -> str:
    return "fail" if p_value < _SURE else "warn" if p_value < _LEVEL else "ok"
