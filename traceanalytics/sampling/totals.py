"""Totals and rates per second of the complete traffic, estimated from sampled traces, each with its interval and a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from scipy.special import gammaincinv

from traceanalytics.sampling.estimate_table import STATUS, Found, estimate_of_cells
from traceanalytics.sampling.given_numbers import given_number
from traceanalytics.sampling.intervals import Interval, given_conf, negative_binomial, normal
from traceanalytics.sampling.linearised_variance import Total, bounds, by_group, counted, horvitz_thompson
from traceanalytics.sampling.trace_units import Cells, cells_of, numeric_column
from traceanalytics.spans.columns import NAT, start_ns
from traceanalytics.spans.error_rule import is_error
from traceanalytics.spans.schema import check_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from traceanalytics.sampling.designs import Design

__all__ = ["estimate_rate", "estimate_total", "gamma_interval", "size_of_one_more", "sum_total", "trace_total"]

LEAST_RANDOM: Final = 10
"""Traces kept by chance that a sum needs for its variance to mean anything."""

LEAST_EFFECTIVE: Final = 8.0
"""The same in traces of equal share: where a few traces make up the sum, so that more are needed."""

_SAME: Final = 1e-9
"""Probabilities that differ by less than this part count as one."""


def estimate_total(
    spans: pd.DataFrame,
    what: str = "traces",
    *,
    design: Design | float | pd.Series | None = None,
    by: str | Sequence[str] | None = None,
    where: pd.Series | None = None,
    conf: float = 0.95,
) -> pd.DataFrame:
    """Answer how many traces or spans there were in the complete traffic, or what a column summed to.

    Parameters
    ----------
    spans
        Sampled spans, with the columns of :func:`attach_weights` or whatever it reads.
    what
        ``traces``, ``spans``, or the name of a numeric column or attribute, whose values are added up. Spans without a value are
        left out, and ``method`` says how many. Rows that repeat a span are left out.
    design
        Used as in :func:`attach_weights`, where the frame itself does not tell.
    by
        Column or attribute (or several) whose values get a row each. A trace counts in every group in which it has a span; spans
        without a value count in none.
    where
        Boolean Series on the index of ``spans``: only these spans are asked about.
    conf
        Confidence of the interval, in [0.5, 1).

    Returns
    -------
    pandas.DataFrame
        The columns of ``by``, sorted, then ``estimate``, ``se``, ``lo``, ``hi`` (float64, in traces, spans or the unit of the
        column), ``conf``, ``n_traces``, ``n_spans``, ``n_eff`` (kept traces of equal share that would tell as much), ``deff``
        (variance in units of that of spans sampled one by one; 1 for traces), ``method``, ``status``, ``reason``. Statuses:

        - ``ok``: from two kept traces on for ``traces``, as their interval is exact; for sums from ten traces on that were kept by
          chance, and as much as eight of equal share
        - ``too_few``: fewer. For ``traces`` the interval holds all the same, down to the bound of what a sample without any
          excludes. Also where every kept trace was certain while the frame holds others: how many of those there are in the
          group nobody saw. Failed spans are excepted, if all failed traces of the frame were certain.
        - ``biased``: the design never keeps a part of the traffic
        - ``unidentifiable``: a trace's probability is not known

    Raises
    ------
    OptionError, SchemaError
        An option is not as described, or the frame is no span frame.

    Notes
    -----
    Traces were kept independently of each other with probabilities pi. Estimate ``sum y / pi``, variance
    ``sum (1 - pi) / pi^2 y^2`` (Horvitz and Thompson 1952), y being the trace's sum in the group: the trace is the unit, spans
    taken as independent would give intervals that hold three times in ten. The number of traces at one probability has the exact
    negative binomial interval. Sums of values that are not negative, and traces of several probabilities, have the interval of a
    gamma distribution with that mean and variance, its upper end with one further trace (Garwood 1936; Fay and Feuer 1997):
    normal for many traces, and right for few. Sums of values of both signs: normal.

    Examples
    --------
    >>> import pandas as pd
    >>> from traceanalytics.sampling.totals import estimate_total
    >>> spans = pd.DataFrame({"trace_id": [f"{n}" for n in range(100)], "service": ["web"] * 80 + ["cart"] * 20})
    >>> estimate_total(spans, by="service", design=0.1)[["service", "estimate", "lo", "hi", "status"]]
      service  estimate     lo     hi status
    0    cart     200.0  126.0  303.0     ok
    1     web     800.0  643.0  985.0     ok
    """
    level = given_conf(conf)
    if what in ("traces", "spans"):
        cells = cells_of(spans, design=design, by=by, where=where)
        if what == "traces":
            found = trace_total(
                cells.group, cells.groups, cells.pi, floor=_floor_of_domain(spans, cells, where), conf=level
            )
        else:
            found = sum_total(cells.group, cells.groups, cells.pi, cells.spans, cells.spans, conf=level)
    else:
        column = numeric_column(spans, "what", what, ("traces", "spans"))
        cells = cells_of(spans, [column, column * column], design=design, by=by, where=where)
        found = sum_total(cells.group, cells.groups, cells.pi, cells.sums[:, 0], cells.sums[:, 1], conf=level)
    return estimate_of_cells(cells, found, level)


def estimate_rate(
    spans: pd.DataFrame,
    what: str = "traces",
    *,
    window_s: float | None = None,
    design: Design | float | pd.Series | None = None,
    by: str | Sequence[str] | None = None,
    where: pd.Series | None = None,
    conf: float = 0.95,
) -> pd.DataFrame:
    """Answer how many traces or spans a second there were in the complete traffic, or how much of a column a second.

    Parameters
    ----------
    spans, what, design, by, where, conf
        As for :func:`estimate_total`.
    window_s
        Length in seconds of the period that the frame covers. None: from the first to the last start of a span, in the whole
        frame; a little short, as there was traffic before the first kept trace and after the last one.

    Returns
    -------
    pandas.DataFrame
        As :func:`estimate_total`, with ``estimate``, ``se``, ``lo``, ``hi`` per second; ``method`` names the window. The status is
        ``unidentifiable`` where there is no window: no times, or only one.

    Raises
    ------
    OptionError, SchemaError
        An option is not as described, or the frame is no span frame.

    Notes
    -----
    The window is taken as known: the interval is that of the total, divided.

    Examples
    --------
    >>> import pandas as pd
    >>> from traceanalytics.sampling.totals import estimate_rate
    >>> spans = pd.DataFrame({"trace_id": [f"{n}" for n in range(100)]})
    >>> estimate_rate(spans, window_s=60, design=0.1)[["estimate", "lo", "hi"]].round(2)
       estimate     lo     hi
    0     16.67  13.72  20.08
    """
    seconds = _observed_s(spans) if window_s is None else given_number("window_s", window_s, "(0, 1e15]")
    table = estimate_total(spans, what, design=design, by=by, where=where, conf=conf)
    given = "observed" if window_s is None else "given"
    numbers = ["estimate", "se", "lo", "hi"]
    table[numbers] = table[numbers] / (seconds if seconds > 0 else np.nan)
    if not seconds > 0:
        table["status"] = pd.Series("unidentifiable", index=table.index, dtype=STATUS)
        table["reason"] = "the frame covers no period: fewer than two different starts; give window_s"
        return table
    table["method"] = table["method"] + f"; a second of {seconds:g} s ({given})"
    return table


def trace_total(
    group: NDArray[np.intp],
    groups: int,
    pi: NDArray[np.float64],
    *,
    floor: float | NDArray[np.float64] = np.nan,
    conf: float = 0.95,
) -> Found:
    """Return estimated numbers of traces by group: the kernel of :func:`estimate_total`, one entry a kept trace.

    ``floor``: the smallest probability that a trace may have of which none was kept; NaN: not known. 1: all were kept for certain.

    >>> trace_total(np.zeros(10, int), 1, np.full(10, 0.1)).hi
    array([179.])
    """
    total = horvitz_thompson(group, groups, pi, np.ones(len(pi)))
    interval, method, unseen = _interval_of_count(group, pi, total, floor, conf)
    few = (total.n < 2) | unseen
    census = (np.broadcast_to(floor, groups) >= 1) & (total.random == 0)
    reasons = np.where(
        total.n < 2,
        np.where(
            total.n == 0, "no trace was kept; the interval still holds", "one trace was kept; the interval still holds"
        ),
        "the kept traces were certain; how many others there are, of which none was kept, is bounded only",
    )
    return Found(
        total.estimate,
        np.sqrt(total.variance),
        *interval,
        total.n_eff,
        np.where(total.n > 0, 1.0, np.nan),
        few & ~census,
        np.where(census, "census", method),
        reasons,
    )


def _interval_of_count(
    group: NDArray[np.intp],
    pi: NDArray[np.float64],
    total: Total,
    floor: float | NDArray[np.float64],
    conf: float,
) -> tuple[Interval, NDArray[np.str_], NDArray[np.bool_]]:
    """Return the interval, how it was found, and where no trace was kept by chance though there may have been some."""
    groups, chance = len(total.n), pi < 1
    low, high = bounds(group[chance], groups, pi[chance])
    none = total.random == 0
    one = none | (high - low <= _SAME * high)
    p = np.where(none, floor, low)
    exact = negative_binomial(np.where(one, total.random, 0), np.where(one, p, 1), conf)
    several = gamma_interval(
        total.estimate - total.sure, total.variance, size_of_one_more(group, groups, pi, np.ones(len(pi))), conf
    )
    lo = total.sure + np.where(one, exact.lo, several.lo)
    hi = total.sure + np.where(one, exact.hi, several.hi)
    method = np.where(one, "negative binomial", "gamma")
    return Interval(np.maximum(lo, total.n), hi), method, none & (p < 1)


def sum_total(
    group: NDArray[np.intp],
    groups: int,
    pi: NDArray[np.float64],
    y: NDArray[np.float64],
    squares: NDArray[np.float64] | None = None,
    *,
    conf: float = 0.95,
) -> Found:
    """Return estimated sums by group: the kernel of :func:`estimate_total`, one entry a kept trace.

    ``y`` is the sum over the trace's spans, ``squares`` that of the squared values, for ``deff``.

    >>> found = sum_total(np.zeros(20, int), 1, np.full(20, 0.5), np.full(20, 3.0))
    >>> found.estimate, found.lo.round(1), found.hi.round(1)
    (array([120.]), array([85.7]), array([166.9]))
    """
    total = horvitz_thompson(group, groups, pi, y)
    chance = pi < 1
    rest = total.estimate - total.sure
    spread = by_group(group, groups, np.where(chance, (y / pi) ** 2, 0.0))
    n_eff = np.divide(rest**2, spread, out=np.zeros(groups), where=spread > 0)
    signs = counted(group, groups, y < 0) > 0
    plain = normal(total.estimate, np.sqrt(total.variance), conf)
    gamma = gamma_interval(np.where(signs, 0.0, rest), total.variance, size_of_one_more(group, groups, pi, y), conf)
    alone = by_group(group, groups, (1 - pi) / pi**2 * (np.zeros(len(pi)) if squares is None else squares))
    few = (total.random < LEAST_RANDOM) | (~signs & (n_eff < LEAST_EFFECTIVE))
    hi = np.where(signs, plain.hi, total.sure + gamma.hi)
    return Found(
        total.estimate,
        np.sqrt(total.variance),
        np.where(signs, plain.lo, total.sure + gamma.lo),
        np.where(total.random > 0, hi, np.nan),  # how large the traces are that nobody saw, nothing tells
        total.n_eff,
        np.divide(total.variance, alone, out=np.full(groups, np.nan), where=alone > 0),
        few,
        np.where(signs, "normal", "gamma"),
        np.array(
            [
                f"{int(m)} traces were kept by chance, as much as {e:.1f} of equal share: a sum needs {LEAST_RANDOM}, and {LEAST_EFFECTIVE:g}"
                if few_here
                else ""
                for m, e, few_here in zip(total.random, n_eff, few, strict=True)
            ],
            dtype=object,
        ),
    )


def size_of_one_more(
    group: NDArray[np.intp], groups: int, pi: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how much one further trace kept by chance would add, as one of them that is met in proportion to what it adds."""
    adds = np.where(pi < 1, y / pi, 0.0)
    total = by_group(group, groups, adds)
    return np.divide(by_group(group, groups, adds * adds), total, out=np.zeros(groups), where=total != 0)


def gamma_interval(
    estimate: NDArray[np.float64], variance: NDArray[np.float64], step: NDArray[np.float64], conf: float
) -> Interval:
    """Return the interval of a total that is a sum of rare positive parts; ``step`` is what one more part adds.

    With parts of one size this is Garwood's interval. NaN where the estimate is not positive.
    """
    tail = (1 - conf) / 2

    def quantile(mean: NDArray[np.float64], spread: NDArray[np.float64], level: float) -> NDArray[np.float64]:
        fine = (mean > 0) & (spread > 0)
        scale = np.divide(spread, mean, out=np.zeros(len(mean)), where=fine)
        shape = np.divide(mean, scale, out=np.ones(len(mean)), where=fine & (scale > 0))
        return np.where(fine, gammaincinv(shape, level) * scale, mean)

    # A total without variance (no part by chance) stays as it is.
    step = np.where(variance > 0, step, 0.0)
    part = np.where(step > 0, variance / np.where(estimate > 0, estimate, 1.0), 0.0)
    return Interval(quantile(estimate, variance, tail), quantile(estimate + step, variance + part * step, 1 - tail))


def _floor_of_domain(spans: pd.DataFrame, cells: Cells, where: pd.Series | None) -> float:
    """Return the smallest probability of a trace of the domain; 1 where the domain is failures, and those are certain."""
    if where is None or not cells.floor < 1 or len(cells.pi) == 0 or (cells.pi < 1).any():
        return cells.floor
    if not {"kind", "status"} <= set(spans.columns):
        return cells.floor
    failed = is_error(spans).to_numpy()
    if not failed[where.reindex(spans.index).to_numpy(bool, na_value=False)].all():
        return cells.floor
    # All failed spans of the frame, not only those of the domain, must have been certain.
    codes = cells.units.codes[failed]
    return 1.0 if bool((cells.units.pi[codes[codes >= 0]] >= 1).all()) else cells.floor


def _observed_s(spans: pd.DataFrame) -> float:
    check_spans(spans, "trace_id", "start_time")
    start = start_ns(spans["start_time"])
    start = start[start != NAT]
    return float(start.max() - start.min()) / 1e9 if len(start) else 0.0
