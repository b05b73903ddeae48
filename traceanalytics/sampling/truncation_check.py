"""Tail samplers that decide too early: long traces of which the late spans are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.special import betainc, gammaln

from traceanalytics.errors import OptionError
from traceanalytics.sampling.check_table import check_rows, holm
from traceanalytics.sampling.completeness_checks import LEVEL, graded
from traceanalytics.sampling.given_numbers import MOST, given_number, given_whole
from traceanalytics.sampling.intervals import wilson
from traceanalytics.topology.flags import Flag
from traceanalytics.topology.forest import Forest

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["TraceShapes", "check_truncation", "fisher_greater", "pile_up", "trace_shapes"]

_BIN: Final = 0.1
"""Width of the windows just below and above the wait, in waits."""
_FEW: Final = 10
"""Fewer traces near the wait tell nothing about their distribution there."""


class TraceShapes(NamedTuple):
    """What of every trace says whether it is whole; one entry a trace."""

    extent_s: NDArray[np.float64]
    """From the earliest start to the latest end; NaN where no span is timed."""
    rootless: NDArray[np.bool_]
    """No span without a parent."""
    incomplete: NDArray[np.bool_]
    """Rootless, or with a span whose parent is missing."""


def fisher_greater(both: int, first: int, second: int, total: int) -> float:
    """Return the p-value of Fisher's exact test that two properties of ``total`` units come together more often than by chance.

    Parameters
    ----------
    both, first, second
        Units with both properties, with the first, with the second.
    total
        All units.

    Examples
    --------
    >>> round(fisher_greater(3, 3, 3, 6), 3)
    0.05
    """
    k = np.arange(both, min(first, second) + 1, dtype=np.float64)
    if not len(k) or not total:
        return 1.0

    def choose(n: float, of: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = gammaln(n + 1) - gammaln(of + 1) - gammaln(n - of + 1)
        return found

    possible = second - k <= total - first
    k = k[possible]
    logs = choose(first, k) + choose(total - first, second - k) - choose(total, np.array(float(second)))
    return float(min(np.exp(logs).sum(), 1.0))


def pile_up(extent_s: NDArray[np.float64], wait_s: float) -> tuple[int, int, float]:
    """Return traces just below the wait, traces around it, and the p-value of so many below under a smooth distribution.

    Where the extents have a smooth distribution, the middle one of three neighbouring windows holds a third of their traces, or
    fewer where it is convex. Traces that were cut are shorter than the wait, so the upper window lacks what it should hold.

    Examples
    --------
    >>> pile_up(np.array([8.5, 9.5, 10.5] * 10), 10.0)[:2]
    (10, 30)
    """
    bins = np.floor((extent_s / wait_s - (1 - 2 * _BIN)) / _BIN + 1e-9)
    below, around = int((bins == 1).sum()), int(((bins >= 0) & (bins <= 2)).sum())
    return below, around, float(betainc(below, around - below + 1, 1 / 3)) if below else 1.0


def trace_shapes(spans: pd.DataFrame) -> TraceShapes:
    """Return extent and completeness of every trace of a span frame; duplicates count for nothing.

    >>> import traceanalytics as ta
    >>> trace_shapes(ta.simulate.Shop(seed=1).run(10)[0]).incomplete.any()
    np.False_
    """
    forest = Forest(spans)
    lost = np.zeros(forest.n_traces, np.bool_)
    lost[forest.trace[(forest.flags & np.uint16(Flag.ORPHAN)) > 0]] = True
    top = (forest.depth == 0) & ((forest.flags & np.uint16(Flag.ORPHAN | Flag.CYCLE | Flag.SELF_PARENT)) == 0)
    rootless = np.ones(forest.n_traces, np.bool_)
    rootless[forest.trace[top]] = False
    timed = np.flatnonzero(forest.timed & (forest.depth >= 0))
    none = np.iinfo(np.int64)
    first, last = np.full(forest.n_traces, none.max), np.full(forest.n_traces, none.min)
    np.minimum.at(first, forest.trace[timed], forest.start[timed])
    np.maximum.at(last, forest.trace[timed], forest.end[timed])
    known = last >= first
    extent = np.where(known, (np.where(known, last, 0) - np.where(known, first, 0)) / 1e9, np.nan)
    return TraceShapes(extent, rootless, rootless | lost)


def check_truncation(
    spans: pd.DataFrame, *, decision_wait_s: float, traces_per_s: float | None = None, num_traces: int | None = None
) -> pd.DataFrame:
    """Tell whether a tail sampler's decision cut long traces, so that those as long as its wait are more often incomplete.

    Spans that come when the decision is made and forgotten are a trace of their own to the collector, and mostly dropped.

    Parameters
    ----------
    spans
        A span frame, as the tail sampler left it.
    decision_wait_s
        Seconds from the first span to the decision.
    traces_per_s, num_traces
        Traces that arrive at one collector in a second, and how many it holds (50,000 unless configured): with both, it is checked
        that traces are not evicted before the decision.

    Returns
    -------
    pandas.DataFrame
        The columns of a check (:func:`~traceanalytics.sampling.check_table.check_rows`), ``n`` counting traces, with the rows
        ``truncation`` (incomplete and at least as long as the wait: Fisher's exact test; ``effect`` is the share of incomplete
        traces among the long ones minus that among the others), ``root_missing_in_long`` (the same for missing roots),
        ``extents_below_wait`` (traces pile up just below the wait, and are missing above), and ``evictions`` (with both numbers
        given). P-values are corrected for their number by Holm's method; below .05 they are a
        ``warn``, below .001 a ``fail``.

    Raises
    ------
    OptionError
        An option is out of range, or only one of ``traces_per_s`` and ``num_traces`` is given.
    SchemaError
        The frame is no span frame.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> spans = ta.simulate.Shop(seed=1).run(50)[0]
    >>> check_truncation(spans, decision_wait_s=30, traces_per_s=10_000, num_traces=50_000)[["check", "verdict"]]
                      check       verdict
    0            truncation            ok
    1  root_missing_in_long            ok
    2    extents_below_wait  not_testable
    3             evictions          fail
    """
    wait = given_number("decision_wait_s", decision_wait_s, "(0, 1e6]")
    if (traces_per_s is None) != (num_traces is None):
        raise OptionError("traces_per_s and num_traces belong together: evictions depend on both")
    shapes = trace_shapes(spans)
    rows = [
        _together("truncation", "incomplete", shapes.incomplete, shapes.extent_s, wait),
        _together("root_missing_in_long", "without their root", shapes.rootless, shapes.extent_s, wait),
        _below(shapes.extent_s, wait),
    ]
    tested = [row for row in rows if "p_value" in row]
    for row, p in zip(tested, holm([row["p_value"] for row in tested]), strict=True):  # type: ignore[misc]
        row["p_value"] = float(p)
        if p < LEVEL:
            row["verdict"], row["meaning"] = ("warn" if "_weak" in row else graded(float(p))), row["_meaning"]
    if traces_per_s is not None and num_traces is not None:
        rows.append(
            _evictions(
                wait,
                given_number("traces_per_s", traces_per_s, f"(0, {MOST:g}]"),
                given_whole("num_traces", num_traces, 1),
            )
        )
    return check_rows({key: value for key, value in row.items() if not key.startswith("_")} for row in rows)


def _together(
    check: str, what: str, odd: NDArray[np.bool_], extent_s: NDArray[np.float64], wait: float
) -> dict[str, object]:
    known = ~np.isnan(extent_s)
    odd, long = odd[known], extent_s[known] >= wait
    total, many = len(odd), int(long.sum())
    row: dict[str, object] = {"check": check, "scope": "all", "n": total}
    if not total:
        return row | {"verdict": "not_testable", "meaning": "no trace has a timed span"}
    if not odd.any():
        return row | {"effect": 0.0, "verdict": "ok", "meaning": f"no trace is {what}"}
    if not many or many == total:
        found = "no trace is" if not many else "all traces are"
        return row | {
            "verdict": "not_testable",
            "meaning": f"{found} as long as the wait of {wait:g} s, so there is nothing to compare",
        }
    both, others = int((odd & long).sum()), int((odd & ~long).sum())
    share, usual = both / many, others / (total - many)
    own, rest = wilson(np.array(share), np.array(many)), wilson(np.array(usual), np.array(total - many))
    down, up = np.hypot(share - own.lo, rest.hi - usual), np.hypot(own.hi - share, usual - rest.lo)  # Newcombe
    return row | {
        "statistic": float(both),
        "p_value": fisher_greater(both, int(odd.sum()), many, total),
        "effect": share - usual,
        "lo": share - usual - float(down),
        "hi": share - usual + float(up),
        "min_detectable": 2.8 * float(np.sqrt(max(usual * (1 - usual), 1 / total) / many)),
        "verdict": "ok",
        "meaning": f"{share:.1%} of the {many:,} traces as long as the wait are {what}, {usual:.1%} of the others: no more than by chance",
        "_meaning": f"{share:.1%} of the {many:,} traces that last {wait:g} s or longer are {what}, {usual:.1%} of the others: the decision "
        "was made before they were there; wait longer, or keep the decisions (decision_cache)",
    }


def _below(extent_s: NDArray[np.float64], wait: float) -> dict[str, object]:
    below, around, p_value = pile_up(extent_s, wait)
    row: dict[str, object] = {"check": "extents_below_wait", "scope": "all", "n": around}
    if around < _FEW:
        return row | {
            "verdict": "not_testable",
            "meaning": f"only {around} traces are about as long as the wait of {wait:g} s",
        }
    lo, hi = wilson(np.array(below / around), np.array(around))
    return row | {
        "statistic": float(below),
        "p_value": p_value,
        "effect": below / around,
        "lo": float(lo),
        "hi": float(hi),
        "verdict": "ok",
        "meaning": f"{below:,} of the {around:,} traces about as long as the wait end just below it: no more than a third",
        "_weak": True,
        "_meaning": f"{below:,} of the {around:,} traces about as long as the wait of {wait:g} s end just below it: longer ones seem to be cut there",
    }


def _evictions(wait: float, rate: float, room: int) -> dict[str, object]:
    needed = rate * wait
    row: dict[str, object] = {"check": "evictions", "scope": "all", "statistic": needed, "effect": needed / room}
    if needed <= room:
        return row | {
            "verdict": "ok",
            "meaning": f"{needed:,.0f} traces wait at a time, and the collector holds {room:,}",
        }
    return row | {
        "verdict": "fail",
        "meaning": f"{needed:,.0f} traces wait at a time, but the collector holds {room:,}: a trace is evicted after {room / rate:.3g} s, "
        f"undecided; set num_traces above {needed:,.0f}",
    }
