"""Quantiles of all traffic from sampled traces, with intervals that hold for clustered spans and unequal probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.errors import OptionError, check_option
from traceanalytics.sampling.estimate_table import COLUMNS, Found, estimate_of_cells
from traceanalytics.sampling.given_numbers import given_number
from traceanalytics.sampling.intervals import given_conf, z_of
from traceanalytics.sampling.root_spans import main_roots
from traceanalytics.sampling.totals import _floor_of_domain as floor_of_domain
from traceanalytics.sampling.trace_units import (
    Cells,
    Domain,
    TraceUnits,
    cells_of,
    domain_of,
    grouped_traces,
    numeric_column,
    trace_units,
)
from traceanalytics.sampling.woodruff import ENOUGH, LEAST, Quantiles, quantiles_of_units
from traceanalytics.spans.schema import check_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from traceanalytics.sampling.designs import Design

__all__ = ["estimate_quantile"]

_LEVELS: Final = ("trace", "span")
_DENSE: Final = 4
"""So many cells of group times trace for every span are still numbered directly; beyond, by hashing."""


def estimate_quantile(
    spans: pd.DataFrame,
    column: str = "duration_ms",
    *,
    q: float | Sequence[float] = (0.5, 0.95, 0.99),
    level: str = "trace",
    design: Design | float | pd.Series | None = None,
    by: str | Sequence[str] | None = None,
    where: pd.Series | None = None,
    conf: float = 0.95,
) -> pd.DataFrame:
    """Answer which value a share of all traffic stays at or below, from the traces that were kept: p50, p95, p99.

    Values count as often as their trace's weight says, so that a sample which prefers slow or failed traces gives the quantiles of
    all of them. The trace is the sampling unit: spans of one trace are no independent witnesses.

    Parameters
    ----------
    spans
        A span frame, with the columns of :func:`attach_weights` or tracestates, attributes or a design that tell the weights.
    column
        What is measured: ``duration_ms``, in which a negative duration counts as 0, or another numeric column.
    q
        Shares, each above 0 and below 1.
    level
        ``trace``: the value is that of the trace's main root, for ``duration_ms`` what its caller waited for (as in
        :func:`traceanalytics.summary`). ``span``: every span has its own.
    design
        What was configured, where the spans do not tell.
    by
        Columns or attributes that group the spans. With ``level="trace"``, a trace counts in every group in which it has a span: by
        service, the latency of requests that pass through it. For groups of entry points, let ``where`` leave only the roots.
    where
        Which spans are meant: a boolean Series on the index of ``spans``. With ``level="trace"``, traces that have such a span.
    conf
        Confidence of the intervals.

    Returns
    -------
    pandas.DataFrame
        The columns of ``by``, ``q`` (float64), and those of every estimate, in the unit of ``column``: ``estimate`` (the smallest kept value at
        or below which at least the share ``q`` of the weight lies), ``se`` (half the interval in units of the normal quantile), ``lo``,
        ``hi``, ``conf``, ``n_traces``, ``n_spans``, ``n_eff`` (independent values of equal weight that would place the quantile as
        well), ``deff`` (variance of the share below, in units of that of as many independent values), ``method``, ``status``,
        ``reason``. Values that are missing are left out.

        ``too_few``: fewer than 10 of the effective values lie beyond the quantile, or fewer than 20 traces were left to chance; the
        one end that still holds (at confidence ``conf`` by itself) is given, the other is missing. ``unidentifiable``: traces of the group have no known probability.
        ``biased``: the design never keeps some kinds of traces.

    Raises
    ------
    OptionError
        An option is not as described; ``q`` is 0 or 1: an extreme cannot be estimated from a sample.
    SchemaError
        The frame is no span frame, or attached weights contradict themselves.

    Notes
    -----
    Woodruff (1952): an interval of the share of all values below the estimate, from its linearised variance under Poisson
    sampling of traces, is read off the weighted distribution. Of the share it is that of Korn and Graubard (1998) for equal
    probabilities, else that of Student's t. Traces of rate limiters and of systematic samples have no known probability.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> spans, truth = ta.simulate.Shop(seed=1).run(2000)
    >>> found = estimate_quantile(spans, q=0.5, design=0.1)
    >>> found[["q", "n_traces", "status"]]
         q  n_traces status
    0  0.5      2000     ok
    """
    check_option("level", level, _LEVELS)
    levels = _checked_levels(q)
    conf = given_conf(conf)
    check_spans(spans, "trace_id", *(["parent_span_id"] if level == "trace" else []))
    values = numeric_column(spans, "column", column)
    values = np.where(np.isfinite(values), np.maximum(values, 0) if column == "duration_ms" else values, np.nan)
    units = trace_units(spans, design)
    domain = domain_of(spans, by=by, where=where)
    if domain.keys is not None and (taken := {"q", *COLUMNS} & set(domain.keys.columns)):
        raise OptionError(f"by={by!r}: the result has a column {min(taken)!r} of its own; rename yours before grouping")
    witnesses = (_roots if level == "trace" else _spans)(spans, units, domain, values)
    pi = units.pi[witnesses.trace]
    unknown = np.bincount(witnesses.group[np.isnan(pi)], minlength=domain.groups)
    found = quantiles_of_units(
        witnesses.values,
        witnesses.unit,
        witnesses.group,
        np.where(np.isnan(pi), 1.0, pi),
        groups=domain.groups,
        levels=levels,
        conf=conf,
    )
    empty = cells_of(spans.iloc[:0], design=design)  # what the design says by itself
    floor = float(np.min(units.pi, initial=np.inf if np.isnan(empty.floor) and units.number else empty.floor))
    cells = empty._replace(units=units, pi=pi, floor=floor)
    cells = cells._replace(floor=floor_of_domain(spans, cells, where))
    return estimate_of_cells(
        _cells(cells, found, domain, levels, unknown=unknown, without=witnesses.without),
        _found(found, levels, conf, level=level, census=cells.floor >= 1 and not cells.blind),
        conf,
    )


class _Witnesses(NamedTuple):
    """Values, the unit of each (None: itself), the units' groups and traces, and by group how many spans (roots) had no value."""

    values: NDArray[np.float64]
    unit: NDArray[np.intp] | None
    group: NDArray[np.intp]
    trace: NDArray[np.intp]
    without: NDArray[np.int64]


def _checked_levels(q: float | Sequence[float]) -> NDArray[np.float64]:
    shares = list(q) if isinstance(q, list | tuple | np.ndarray | pd.Series) else [q]
    if not shares:
        raise OptionError("q=[] names no quantile: give one share or more, such as 0.95")
    for share in shares:
        if given_number("q", share, "[0, 1]") in (0, 1):
            which = "greatest" if share else "smallest"
            raise OptionError(
                f"q={share!r} is the {which} value: an extreme cannot be estimated from a sample, for the one that was missed may lie "
                "anywhere; ask for a quantile inside (0, 1), such as 0.99, or keep all such traces"
            )
    if len(set(shares)) < len(shares):
        raise OptionError(f"q={q!r} names a share twice")
    return np.array(shares, np.float64)


def _roots(spans: pd.DataFrame, units: TraceUnits, domain: Domain, values: NDArray[np.float64]) -> _Witnesses:
    root = main_roots(spans, units.codes, units.number)
    of_trace = np.append(values, np.nan)[root]
    if domain.group is None and domain.keep is None:
        trace = np.flatnonzero(np.bincount(units.codes[units.codes >= 0], minlength=units.number))
        group = np.zeros(len(trace), np.intp)
    else:
        pairs = grouped_traces(units, domain.group, np.empty((len(spans), 0)), domain.keep)
        trace, group = pairs.trace, pairs.group
    known = ~np.isnan(of_trace[trace])
    without = np.bincount(group[~known], minlength=domain.groups)
    return _Witnesses(of_trace[trace[known]], None, group[known], trace[known], without)


def _spans(spans: pd.DataFrame, units: TraceUnits, domain: Domain, values: NDArray[np.float64]) -> _Witnesses:
    del spans  # the same arguments as for roots
    inside = units.codes >= 0
    if domain.keep is not None:
        inside &= domain.keep
    if domain.group is not None:
        inside &= domain.group >= 0
    missing = np.isnan(values)
    lost = np.flatnonzero(inside & missing)
    without = np.bincount(
        np.zeros(len(lost), np.intp) if domain.group is None else domain.group[lost], minlength=domain.groups
    )
    inside &= ~missing
    rows = slice(None) if inside.all() else np.flatnonzero(inside)
    trace, values = units.codes[rows], values[rows]
    key = trace if domain.group is None else domain.group[rows] * units.number + trace
    cells = units.number * domain.groups
    if cells <= _DENSE * len(key) + 1024:
        used = np.bincount(key, minlength=cells) > 0
        pairs = np.flatnonzero(used)
        unit = key if len(pairs) == cells else (np.cumsum(used) - 1)[key]
    else:
        unit, pairs = pd.factorize(key)
    return _Witnesses(values, unit, pairs // max(units.number, 1), pairs % max(units.number, 1), without)


def _found(found: Quantiles, levels: NDArray[np.float64], conf: float, *, level: str, census: bool) -> Found:
    """Return the table's columns: one row for each group and level."""
    row, q = np.repeat(np.arange(len(found.traces)), len(levels)), np.tile(levels, len(found.traces))
    lo, hi, n_eff, sure = found.lo.ravel(), found.hi.ravel(), found.n_eff.ravel(), found.sure.ravel()
    traces, counts = found.traces[row], found.counts[row]
    certain = found.known[row] & (not census)
    sure = sure & ~certain
    lo, hi = np.where(certain, np.nan, lo), np.where(certain, np.nan, hi)
    exact = np.where(found.equal[row], "Woodruff, Korn-Graubard", "Woodruff, Student")
    one = np.where(q >= 0.5, "Woodruff, lower bound only", "Woodruff, upper bound only")
    method = np.where(sure, exact, np.where(np.isnan(lo) & np.isnan(hi), "", one))
    reasons = np.full(len(row), "", dtype=object)
    reasons[certain] = "the kept traces were certain; whether there are others, of which none was kept, nothing tells"
    for at in np.flatnonzero(~sure & ~certain).tolist():
        told = min(float(n_eff[at]), int(counts[at]))
        reasons[at] = _too_few(float(q[at]), told, int(traces[at]), level)
    return Found(
        found.value.ravel(),
        (hi - lo) / (2 * z_of(conf)),
        lo,
        hi,
        np.where(certain, np.nan, n_eff),
        np.where(certain, np.nan, found.deff.ravel()),
        ~sure,
        method,
        reasons,
    )


def _too_few(q: float, told: float, traces: int, level: str) -> str:
    if traces == 0:
        return f"no {level} has a value here"
    beyond = told * min(q, 1 - q)
    if beyond >= ENOUGH:
        return f"of {traces:,} traces fewer than {LEAST} were left to chance, or the confidence is too high for them: keep more"
    return (
        f"about {beyond:.1f} {level}s of independent weight lie {'above' if q >= 0.5 else 'below'} p{100 * q:g}, and an interval needs "
        f"{ENOUGH:g}: keep more, or ask for a quantile nearer the median"
    )


def _cells(
    cells: Cells,
    found: Quantiles,
    domain: Domain,
    levels: NDArray[np.float64],
    *,
    unknown: NDArray[np.int64],
    without: NDArray[np.int64],
) -> Cells:
    """Return the cells with one row for each group and level in place of each group."""
    row = np.repeat(np.arange(domain.groups), len(levels))
    keys = pd.DataFrame({"q": np.tile(levels, domain.groups)})
    if domain.keys is not None:
        keys = pd.concat([domain.keys.iloc[row].reset_index(drop=True), keys], axis=1)
    traces, counts, dark, lost = (
        each[row].astype(np.float64) for each in (found.traces, found.counts, unknown, without)
    )
    return cells._replace(keys=keys, groups=len(row), n_traces=traces, n_spans=counts, unknown=dark, without=lost)
