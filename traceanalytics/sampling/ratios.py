"""Error rates, means and ratios of the complete traffic, estimated from sampled traces, each with its interval and a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from traceanalytics.errors import check_option
from traceanalytics.sampling.estimate_table import Found, estimate_of_cells
from traceanalytics.sampling.intervals import Interval, given_conf, student, z_of
from traceanalytics.sampling.linearised_variance import Ratio, by_group, hajek_ratio
from traceanalytics.sampling.shares import share_of_spans, share_of_traces
from traceanalytics.sampling.trace_units import cells_of, numeric_column
from traceanalytics.spans.error_rule import is_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from traceanalytics.sampling.designs import Design

__all__ = [
    "error_rate",
    "estimate_mean",
    "estimate_ratio",
    "ratio_of_sums",
    "share_of_spans",
    "share_of_traces",
]

LEAST_RANDOM: Final = 50
"""Traces kept by chance that a mean needs: with fewer, the longest of log-normal latencies are too rarely among them."""


def error_rate(
    spans: pd.DataFrame,
    *,
    level: str = "trace",
    design: Design | float | pd.Series | None = None,
    by: str | Sequence[str] | None = None,
    where: pd.Series | None = None,
    conf: float = 0.95,
) -> pd.DataFrame:
    """Answer which share of traces, or of spans, failed in the complete traffic.

    Parameters
    ----------
    spans
        Sampled spans, with the columns of :func:`attach_weights` or whatever it reads. Errors as :func:`is_error` says.
    level
        ``trace``: traces with a failed span among those asked about. ``span``: failed spans.
    design, by, where, conf
        As for :func:`estimate_total`. With ``by="service"``, a trace counts in every service in which it has a span, and has
        failed there if one of these has.

    Returns
    -------
    pandas.DataFrame
        The columns of ``by``, sorted, then ``estimate``, ``se``, ``lo``, ``hi`` (float64, shares from 0 to 1), ``conf``,
        ``n_traces``, ``n_spans``, ``n_eff`` (independent traces or spans with equal weights that would tell as much), ``deff``
        (traces or spans divided by that), ``method``, ``status``, ``reason``. ``too_few``: fewer than three failed or fewer than
        three healthy traces were kept; the interval is then exact, or wider. ``biased``, ``unidentifiable``: as there.

    Raises
    ------
    OptionError, SchemaError
        An option is not as described, or the frame is no span frame.

    Notes
    -----
    Hajek's ratio with its linearised variance V, the trace being the unit. Traces: Wilson's interval on ``n_eff = R (1 - R) / V``;
    where all failed traces were kept for certain and the others with one probability, the exact interval of their number, carried
    over to the share. Spans: the interval of Korn and Graubard (1998). Weights must be those of traces: weighting a span by its
    own status inflates everything in failed traces.

    Examples
    --------
    >>> import pandas as pd
    >>> from traceanalytics.sampling.ratios import error_rate
    >>> spans = pd.DataFrame({"trace_id": [f"{n}" for n in range(200)], "kind": "SERVER", "status": ["ERROR"] * 8 + ["OK"] * 192})
    >>> error_rate(spans, design=0.1)[["estimate", "lo", "hi", "status"]].round(3)
       estimate     lo     hi status
    0      0.04  0.021  0.075     ok
    """
    check_option("level", level, ("trace", "span"))
    confidence = given_conf(conf)
    failed = is_error(spans).to_numpy(np.float64)
    cells = cells_of(spans, [failed], design=design, by=by, where=where)
    errors = cells.sums[:, 0]
    if level == "trace":
        found = share_of_traces(cells.group, cells.groups, cells.pi, errors > 0, floor=cells.floor, conf=confidence)
    else:
        found = share_of_spans(cells.group, cells.groups, cells.pi, errors, cells.spans, conf=confidence)
    return estimate_of_cells(cells, found, confidence)


def estimate_mean(
    spans: pd.DataFrame,
    column: str = "duration_ms",
    *,
    level: str = "span",
    design: Design | float | pd.Series | None = None,
    by: str | Sequence[str] | None = None,
    where: pd.Series | None = None,
    conf: float = 0.95,
) -> pd.DataFrame:
    """Answer what the mean of a column was in the complete traffic, over spans or over traces.

    Parameters
    ----------
    spans
        Sampled spans, with the columns of :func:`attach_weights` or whatever it reads.
    column
        A numeric column or attribute. Spans without a value are left out, and ``method`` says how many.
    level
        ``span``: the mean of the spans' values. ``trace``: the mean over traces of their sum, such as bytes a trace. For the
        latency of requests take root spans: ``where=spans["parent_span_id"].isna()``.
    design, by, where, conf
        As for :func:`estimate_total`.

    Returns
    -------
    pandas.DataFrame
        The columns of ``by``, sorted, then ``estimate``, ``se``, ``lo``, ``hi`` (float64, in the unit of the column), ``conf``,
        ``n_traces``, ``n_spans``, ``n_eff``, ``deff`` (as for :func:`error_rate`), ``method``, ``status``, ``reason``.
        ``too_few``: fewer than fifty traces were kept by chance, or all have the same value, which does not say that the others
        have it.

    Raises
    ------
    OptionError, SchemaError
        An option is not as described, the column holds no numbers, or the frame is no span frame.

    Notes
    -----
    Hajek's ratio with its linearised variance, the trace being the unit; Student's t with as many degrees of freedom as traces
    were kept by chance, less one; the side to which the values are skewed is lengthened by the first correction for that
    (Johnson 1978; Hall 1992), as latencies need.

    Examples
    --------
    >>> import pandas as pd
    >>> from traceanalytics.sampling.ratios import estimate_mean
    >>> spans = pd.DataFrame({"trace_id": [f"{n}" for n in range(100)], "duration_ms": [float(n) for n in range(100)]})
    >>> estimate_mean(spans, design=0.1)[["estimate", "lo", "hi", "n_eff"]].round(1)
       estimate    lo    hi  n_eff
    0      49.5  44.0  55.0  110.0
    """
    check_option("level", level, ("span", "trace"))
    values = numeric_column(spans, "column", column)
    below = "spans" if level == "span" else "traces"
    return _estimated_ratio(spans, values, below, design=design, by=by, where=where, conf=conf)


def estimate_ratio(
    spans: pd.DataFrame,
    numerator: str,
    *,
    denominator: str = "traces",
    design: Design | float | pd.Series | None = None,
    by: str | Sequence[str] | None = None,
    where: pd.Series | None = None,
    conf: float = 0.95,
) -> pd.DataFrame:
    """Answer how two totals of the complete traffic compare: spans a trace, bytes a row, time in a database by time in all.

    Parameters
    ----------
    spans
        Sampled spans, with the columns of :func:`attach_weights` or whatever it reads.
    numerator, denominator
        ``traces``, ``spans``, ``errors`` (failed spans), or a numeric column or attribute. Spans without a value in one of the
        columns are left out of both, and ``method`` says how many.
    design, by, where, conf
        As for :func:`estimate_total`.

    Returns
    -------
    pandas.DataFrame
        As :func:`estimate_mean`; the unit is that of the numerator by that of the denominator. The status is ``too_few`` where
        the denominator is 0.

    Raises
    ------
    OptionError, SchemaError
        An option is not as described, a column holds no numbers, or the frame is no span frame.

    Examples
    --------
    >>> import pandas as pd
    >>> from traceanalytics.sampling.ratios import estimate_ratio
    >>> spans = pd.DataFrame({"trace_id": [f"{n // 3 if n < 60 else n}" for n in range(100)]})
    >>> estimate_ratio(spans, "spans", denominator="traces", design=0.1)[["estimate", "lo", "hi"]].round(2)
       estimate    lo    hi
    0      1.67  1.43  1.91
    """
    sides = [_side(spans, name, option) for name, option in ((numerator, "numerator"), (denominator, "denominator"))]
    return _estimated_ratio(spans, *sides, design=design, by=by, where=where, conf=conf)


def _side(spans: pd.DataFrame, name: str, option: str) -> NDArray[np.float64] | str:
    if name in ("traces", "spans"):
        return name
    if name == "errors":
        return is_error(spans).to_numpy(np.float64)
    return numeric_column(spans, option, name, ("traces", "spans", "errors"))


def _estimated_ratio(
    spans: pd.DataFrame,
    above: NDArray[np.float64] | str,
    below: NDArray[np.float64] | str,
    *,
    design: Design | float | pd.Series | None,
    by: str | Sequence[str] | None,
    where: pd.Series | None,
    conf: float,
) -> pd.DataFrame:
    confidence = given_conf(conf)
    columns = [side for side in (above, below) if not isinstance(side, str)]
    squares = [above * above] if not isinstance(above, str) and isinstance(below, str) else []
    cells = cells_of(spans, [*columns, *squares], design=design, by=by, where=where)
    at = 0
    sums: list[NDArray[np.float64]] = []
    for side in (above, below):
        if isinstance(side, str):
            sums.append(cells.spans if side == "spans" else np.ones(len(cells.pi)))
        else:
            sums.append(cells.sums[:, at])
            at += 1
    by_span = bool(squares) and isinstance(below, str) and below == "spans"
    found = ratio_of_sums(
        cells.group,
        cells.groups,
        cells.pi,
        *sums,
        squares=cells.sums[:, -1] if by_span else None,
        observations=cells.n_spans if by_span else cells.n_traces,
        conf=confidence,
    )
    return estimate_of_cells(cells, found, confidence)


def ratio_of_sums(
    group: NDArray[np.intp],
    groups: int,
    pi: NDArray[np.float64],
    y: NDArray[np.float64],
    x: NDArray[np.float64] | None = None,
    *,
    squares: NDArray[np.float64] | None = None,
    observations: NDArray[np.float64] | None = None,
    conf: float = 0.95,
) -> Found:
    """Return ratios of totals by group: the kernel of :func:`estimate_mean` and :func:`estimate_ratio`, one entry a kept trace.

    ``x`` None counts traces. ``squares``: sums over the trace's spans of their squared values, where x counts spans;
    ``observations``: their number by group.

    >>> ratio_of_sums(np.zeros(4, int), 1, np.full(4, 0.5), np.array([1.0, 2.0, 3.0, 4.0])).estimate
    array([2.5])
    """
    ratio = hajek_ratio(group, groups, pi, y, x)
    over = np.ones(len(y)) if x is None else x
    if squares is None:
        # Traces as they are, each in proportion to what it adds below.
        part = np.divide(y, over, out=np.zeros(len(y)), where=over != 0) - ratio.estimate[group]
        spread = by_group(group, groups, over * part * part / pi)
    else:
        spread = by_group(group, groups, squares / pi) - ratio.estimate**2 * ratio.denominator
    with np.errstate(divide="ignore", invalid="ignore"):
        variance_of_one = np.maximum(spread, 0) / ratio.denominator
        n_eff = np.where(ratio.variance > 0, variance_of_one / ratio.variance, np.nan)
        deff = (ratio.n if observations is None else observations) / n_eff
    se = np.sqrt(ratio.variance)
    lo, hi = _skewed(ratio, conf)
    flat = ratio.variance <= 1e-24 * ratio.estimate**2  # rounding is no spread
    few = (ratio.random < LEAST_RANDOM) | flat | np.isnan(ratio.estimate)
    blank = flat | (ratio.random < 2)
    return Found(
        ratio.estimate,
        np.where(blank, np.nan, se),
        np.where(blank, np.nan, lo),
        np.where(blank, np.nan, hi),
        np.where(blank, np.nan, n_eff),
        np.where(blank, np.nan, deff),
        few,
        np.full(groups, "linearised, Student's t"),
        _why_few_for_mean(ratio, flat),
    )


def _skewed(ratio: Ratio, conf: float) -> Interval:
    """Return Student's interval, its longer side lengthened by what skewness shifts it (Johnson 1978, Hall 1992)."""
    lo, hi = student(ratio.estimate, np.sqrt(ratio.variance), ratio.random - 1, conf)
    some = ratio.variance > 0
    shift = np.divide(ratio.third, ratio.variance, out=np.zeros(len(some)), where=some) * (2 * z_of(conf) ** 2 + 1) / 6
    most = np.where(some & np.isfinite(hi), (hi - lo) / 2, 0.0)
    return Interval(lo + np.clip(shift, -most, 0), hi + np.clip(shift, 0, most))


def _why_few_for_mean(ratio: Ratio, flat: NDArray[np.bool_]) -> NDArray[Any]:
    return np.select(
        [ratio.n == 0, np.isnan(ratio.estimate), ratio.random < LEAST_RANDOM, flat],
        [
            "no trace was kept",
            "the denominator is 0",
            [
                f"{int(m)} traces were kept by chance: a mean needs {LEAST_RANDOM} to tell how much others would differ"
                for m in ratio.random
            ],
            "all kept traces have the same value, which does not say that the others have it",
        ],
        "",
    )
