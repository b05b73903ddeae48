"""Totals over whole traces of which only parts were kept, because services sample with different probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from traceanalytics.errors import OptionError, SchemaError, check_option
from traceanalytics.sampling.estimate_table import COLUMNS, Found, estimate_of_cells
from traceanalytics.sampling.intervals import given_conf, korn_graubard, normal, student
from traceanalytics.sampling.linearised_variance import by_group
from traceanalytics.sampling.prefix_differences import Prefixes, expanded, prefixes_of
from traceanalytics.sampling.span_thresholds import thresholds_of
from traceanalytics.sampling.thresholds import SCALE
from traceanalytics.sampling.totals import LEAST_EFFECTIVE, LEAST_RANDOM, gamma_interval
from traceanalytics.sampling.trace_facts import SpanRows, trace_facts
from traceanalytics.sampling.trace_units import Cells, Domain, cells_of, domain_of, numeric_column, trace_units
from traceanalytics.spans.columns import NAT, codes_of
from traceanalytics.spans.error_rule import is_error
from traceanalytics.spans.schema import check_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from traceanalytics.sampling.designs import Design

__all__ = ["What", "estimate_partial"]

What: TypeAlias = "str | Callable[[pd.DataFrame], float]"
"""A function of a trace: one of those built in, the sum of a numeric column, or one of the caller's own."""

_BUILT_IN: Final = ("traces", "spans", "error", "services", "duration")


def estimate_partial(
    spans: pd.DataFrame,
    what: What = "error",
    *,
    per: str = "total",
    probabilities: pd.Series | None = None,
    design: Design | float | pd.Series | None = None,
    by: str | Sequence[str] | None = None,
    where: pd.Series | None = None,
    conf: float = 0.95,
) -> pd.DataFrame:
    """Answer how much there was in whole traces when services kept their spans with different probabilities.

    If the front end keeps 20 % and the database 1 %, most traces are seen in part, and an error that was not seen may still have
    happened. Under consistent sampling (one random number a trace decides for all spans), the parts that are seen still tell the total
    without bias, and more exactly than the few traces that are complete.

    Parameters
    ----------
    spans
        A span frame.
    what
        Summed over all traces: ``traces``; ``error``, 1 for a trace in which a span failed (:func:`traceanalytics.is_error`); ``spans``;
        ``services``, how many different ones a trace has; ``duration``, from the first start to the last end of its spans, in ms;
        the name of a numeric column, the sum over its spans; or a function that takes the spans of a trace and returns
        a number, 0 for no spans. A function is called once for each prefix of each trace: for small data.
    per
        ``total``: the sum. ``trace``: divided by the estimated number of traces: the share of traces with an error, the mean number of
        spans of a trace. With ``by`` or ``where``, of the traces that have such spans.
    probabilities
        With which probability each span is kept, a Series on the index of ``spans``. None: from the thresholds ``ot=th`` in
        the tracestates, or from ``design``.
    design
        A design with a probability for each service (:meth:`Design.consistent`), or one probability for all.
    by
        Columns or attributes that group the spans; a trace's function then is one of its spans in the group.
    where
        Which spans are meant: a boolean Series on the index of ``spans``.
    conf
        Confidence of the intervals.

    Returns
    -------
    pandas.DataFrame
        The columns of ``by`` and those of every estimate, in the unit of ``what``: ``estimate``, ``se``, ``lo``, ``hi``, ``conf``, ``n_traces``
        and ``n_spans`` (kept, in the group), ``n_eff`` (traces of equal share that would tell as much), ``deff`` (traces that add
        to the estimate, for each of these), ``method``, ``status``, ``reason``. ``too_few``: ``n_eff`` is below 5.
        ``unidentifiable``: spans of the group have no known probability. ``biased``: the design never keeps some services.

    Raises
    ------
    OptionError
        An option is not as described.
    SchemaError
        The frame is no span frame, or a probability is not in (0, 1].

    Notes
    -----
    With the kept spans of a trace by falling probability, ``f = sum_k (f(first k) - f(first k - 1)) / p_k`` (O. Ertl, arXiv 2107.07703).
    The variance of the sum is estimated by ``sum f^2 - (f^2)``, where the square is estimated as ``f`` is: both are unbiased. Where
    spans were lost, or samplers did not share the random number, neither holds: see :func:`check_completeness`.

    Examples
    --------
    >>> spans = pd.DataFrame({"trace_id": ["a", "a", "b"], "span_id": ["1", "2", "3"], "trace_state": ["ot=th:8", "ot=th:c", "ot=th:8"]})
    >>> estimate_partial(spans, "spans")[["estimate", "n_traces", "n_spans", "status"]]
       estimate  n_traces  n_spans   status
    0       8.0         2        3  too_few
    """
    check_option("per", per, ("total", "trace"))
    conf = given_conf(conf)
    check_spans(spans, "trace_id")
    p = _probabilities(spans, probabilities, design)
    domain = domain_of(spans, by=by, where=where)
    if domain.keys is not None and (taken := set(COLUMNS) & set(domain.keys.columns)):
        raise OptionError(f"by={by!r}: the result has a column {min(taken)!r} of its own; rename yours before grouping")
    parts = _parts(spans, domain, p)
    value = _function(spans, parts, what)
    found = partial_total(
        parts.prefixes, value, parts.group, domain.groups, ratio=per == "trace", share=what == "error", conf=conf
    )
    return estimate_of_cells(_cells(spans, parts, domain, p, design), found, conf)


class _Parts(NamedTuple):
    """The visible parts of traces: one unit for each trace in each group; ``rows`` are the spans, ``unit`` theirs."""

    rows: NDArray[np.intp]
    unit: NDArray[np.intp]
    group: NDArray[np.intp]
    prefixes: Prefixes


def partial_total(
    prefixes: Prefixes,
    value: NDArray[np.float64],
    group: NDArray[np.intp],
    groups: int,
    *,
    ratio: bool = False,
    share: bool = False,
    conf: float = 0.95,
) -> Found:
    """Return estimated sums by group of a function of whole traces: the kernel of :func:`estimate_partial`.

    Parameters
    ----------
    prefixes
        The visible parts of the traces.
    value
        The function's value on every prefix.
    group, groups
        The group of every unit, and how many groups there are.
    ratio
        Divide by the estimated number of traces.
    share
        The function is 0 or 1.
    conf
        Confidence.

    Examples
    --------
    >>> prefixes = prefixes_of(np.array([0, 1, 1]), np.array([0.5, 0.5, 0.25]))
    >>> partial_total(prefixes, np.array([1.0, 1.0, 2.0]), np.array([0, 0]), 1).estimate
    array([8.])
    """
    units = len(group)
    chance = by_group(prefixes.unit, units, (prefixes.p < 1).astype(np.float64)) > 0
    found, square = expanded(prefixes, value, units)
    total = by_group(group, groups, found)
    if ratio:
        number = by_group(group, groups, expanded(prefixes, np.ones(len(value)), units)[0])
        total = np.divide(total, number, out=np.full(groups, np.nan), where=number > 0)
        found, square = expanded(prefixes, value - total[group][prefixes.unit], units)
        scale = np.divide(1.0, number, out=np.full(groups, np.nan), where=number > 0) ** 2
        random = by_group(group, groups, chance.astype(np.float64))
    else:
        scale = np.ones(groups)
        random = by_group(group, groups, (chance & (found != 0)).astype(np.float64))
    # Without bias, though for a function that falls as spans are added it can come out negative; certain traces add nothing.
    variance = np.maximum(by_group(group, groups, np.where(chance, found**2 - square, 0.0)), 0.0) * scale
    if ratio:
        variance *= random / np.maximum(random - 1, 1)
        return _ratio(total, variance, random, share=share, conf=conf)
    return _total(found, group, chance=chance, random=random, total=total, variance=variance, conf=conf)


def _total(
    found: NDArray[np.float64],
    group: NDArray[np.intp],
    *,
    chance: NDArray[np.bool_],
    random: NDArray[np.float64],
    total: NDArray[np.float64],
    variance: NDArray[np.float64],
    conf: float,
) -> Found:
    groups = len(total)
    sure = by_group(group, groups, np.where(chance, 0.0, found))
    rest = total - sure
    squares = by_group(group, groups, np.where(chance, found**2, 0.0))
    n_eff = np.divide(rest**2, squares, out=np.zeros(groups), where=squares > 0)
    step = np.divide(squares, rest, out=np.zeros(groups), where=rest > 0)
    signs = by_group(group, groups, (found < 0).astype(np.float64)) > 0
    plain = normal(total, np.sqrt(variance), conf)
    gamma = gamma_interval(np.where(signs, 0.0, rest), variance, step, conf)
    few = (random < LEAST_RANDOM) | (n_eff < LEAST_EFFECTIVE)
    hi = np.where(signs, plain.hi, sure + gamma.hi)
    reason = [
        f"{int(m)} traces that were kept by chance add to the sum, as much as {e:.1f} of equal share: it needs {LEAST_RANDOM}, and {LEAST_EFFECTIVE:g}"
        for m, e in zip(random, n_eff, strict=True)
    ]
    return Found(
        total,
        np.sqrt(variance),
        np.where(signs, plain.lo, sure + gamma.lo),
        np.where(random > 0, hi, np.nan),  # how large the traces are that nobody saw, nothing tells
        n_eff,
        np.divide(random, n_eff, out=np.full(groups, np.nan), where=n_eff > 0),
        few,
        np.where(signs, "prefixes, normal", "prefixes, gamma"),
        np.array(reason, dtype=object),
    )


def _ratio(
    estimate: NDArray[np.float64],
    variance: NDArray[np.float64],
    random: NDArray[np.float64],
    *,
    share: bool,
    conf: float,
) -> Found:
    groups = len(estimate)
    few = random < LEAST_RANDOM
    if share:
        p = np.clip(estimate, 0, 1)
        n_eff = np.divide(p * (1 - p), variance, out=np.zeros(groups), where=variance > 0)
        few |= n_eff * p < LEAST_EFFECTIVE
        ends = korn_graubard(p, n_eff, random, conf)
    else:
        n_eff = random
        ends = student(estimate, np.sqrt(variance), np.maximum(random - 1, 1), conf)
    reason = np.full(
        groups,
        f"too few traces were kept by chance, or too few with errors: at least {LEAST_RANDOM} and {LEAST_EFFECTIVE:g} are needed",
    )
    blank = np.where(random > 1, 1.0, np.nan)
    return Found(
        estimate,
        np.sqrt(variance),
        ends.lo * blank,
        ends.hi * blank,
        n_eff,
        np.divide(random, n_eff, out=np.full(groups, np.nan), where=n_eff > 0),
        few,
        np.full(groups, "prefixes, Korn-Graubard" if share else "prefixes, Student"),
        reason,
    )


def _probabilities(
    spans: pd.DataFrame, probabilities: pd.Series | None, design: Design | float | pd.Series | None
) -> NDArray[np.float64]:
    """Return with which probability each span was kept; NaN where nothing tells."""
    if isinstance(design, pd.Series):
        probabilities, design = design if probabilities is None else probabilities, None
    if probabilities is not None:
        if not hasattr(probabilities, "reindex") or not spans.index.isin(probabilities.index).all():
            raise OptionError("probabilities: expected a Series on the index of the spans, one for each of them")
        p = pd.to_numeric(probabilities.reindex(spans.index), errors="coerce").to_numpy("float64", na_value=np.nan)
    else:
        p = np.full(len(spans), np.nan)
        if "trace_state" in spans.columns:
            found = thresholds_of(spans)
            p = 1 - found.to_numpy("float64", na_value=np.nan) / SCALE
        if np.isnan(p).any() and design is not None:
            p = np.where(np.isnan(p), _configured(spans, design), p)
    wrong = (p <= 0) | (p > 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise SchemaError(
            f"{int(wrong.sum()):,} spans have a probability outside (0, 1] (index {spans.index[row]!r} has {p[row]:g}): what was "
            "kept had a probability above 0"
        )
    return p


def _configured(spans: pd.DataFrame, design: Design | float) -> NDArray[np.float64]:
    if getattr(design, "is_by_span", False):
        return design.span_probabilities(trace_facts(spans)[0])  # type: ignore[union-attr]
    units = trace_units(spans.drop(columns=["incl_prob"], errors="ignore"), design)
    return np.append(units.pi, np.nan)[units.codes]


def _parts(spans: pd.DataFrame, domain: Domain, p: NDArray[np.float64]) -> _Parts:
    units = trace_units(spans, 1.0)  # the traces alone: duplicates are left out of them
    inside = units.codes >= 0
    if domain.keep is not None:
        inside &= domain.keep
    if domain.group is not None:
        inside &= domain.group >= 0
    rows = np.flatnonzero(inside)
    codes = units.codes[rows]
    unit, pairs = pd.factorize(codes if domain.group is None else domain.group[rows] * units.number + codes)
    group = pairs // max(units.number, 1)
    return _Parts(rows, unit, group, prefixes_of(unit, np.where(np.isnan(p[rows]), 1.0, p[rows])))


def _function(spans: pd.DataFrame, parts: _Parts, what: What) -> NDArray[np.float64]:
    """Return the value of a function on every prefix."""
    prefixes, rows = parts.prefixes, parts.rows
    if callable(what):
        return _called(spans, parts, what)
    if what in ("error", "services", "duration"):
        return {"error": _failed, "services": _services, "duration": _extent}[what](spans, parts)
    if what in ("traces", "spans"):
        return np.ones(len(prefixes.p)) if what == "traces" else prefixes.counted()
    values = numeric_column(spans, "what", what, _BUILT_IN)[rows]
    some = np.flatnonzero(np.isfinite(values))
    return prefixes.counted(some, values[some])


def _failed(spans: pd.DataFrame, parts: _Parts) -> NDArray[np.float64]:
    failed = np.flatnonzero(is_error(spans).to_numpy(bool)[parts.rows])
    return (parts.prefixes.counted(failed) > 0).astype(np.float64)


def _services(spans: pd.DataFrame, parts: _Parts) -> NDArray[np.float64]:
    """Return how many services each prefix has: each counts from the first prefix on that it is in."""
    service = codes_of(spans["service"])[0][parts.rows]
    known = np.flatnonzero(service >= 0)
    width = int(service.max(initial=-1)) + 1
    code, pairs = pd.factorize(parts.unit[known] * width + service[known])
    first = np.full(len(pairs), len(parts.prefixes.p), np.intp)
    np.minimum.at(first, code, parts.prefixes.row[known])
    return parts.prefixes.running(np.bincount(first, minlength=len(parts.prefixes.p)))


def _extent(spans: pd.DataFrame, parts: _Parts) -> NDArray[np.float64]:
    """Return the time in ms from the first start to the last end of each prefix; 0 where no span is timed."""
    facts = SpanRows(spans)
    start, end = facts.start[parts.rows], facts.end[parts.rows]
    latest = np.iinfo(np.int64).max
    first = parts.prefixes.extreme(np.where(end == NAT, latest, start), greatest=False)
    last = parts.prefixes.extreme(end, greatest=True)  # unknown ends are the smallest number
    timed = last != NAT
    return np.where(timed, np.where(timed, last, 0) - np.where(timed, first, 0), 0) / 1e6


def _called(spans: pd.DataFrame, parts: _Parts, what: Callable[[pd.DataFrame], float]) -> NDArray[np.float64]:
    order = np.argsort(parts.prefixes.row, kind="stable")
    ends = np.cumsum(np.bincount(parts.prefixes.row, minlength=len(parts.prefixes.p)))
    sizes = np.diff(ends, prepend=0)
    begins = np.maximum.accumulate(np.where(parts.prefixes.first, ends - sizes, 0))
    values = np.empty(len(ends))
    for at, (low, high) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        values[at] = float(what(spans.iloc[np.sort(parts.rows[order[low:high]])]))
    wrong = ~np.isfinite(values)
    if wrong.any():
        raise OptionError(f"what returned {values[wrong][0]} for a part of a trace; expected a finite number")
    return values


def _cells(
    spans: pd.DataFrame,
    parts: _Parts,
    domain: Domain,
    p: NDArray[np.float64],
    design: Design | float | pd.Series | None,
) -> Cells:
    own = p[parts.rows]
    of_span = parts.group[parts.unit]
    dark = by_group(parts.unit, len(parts.group), np.isnan(own).astype(np.float64)) > 0
    count = [
        by_group(group, domain.groups, values.astype(np.float64))
        for group, values in (
            (parts.group, np.ones(len(parts.group))),
            (of_span, np.ones(len(own))),
            (parts.group, dark),
        )
    ]
    empty = cells_of(
        spans.iloc[:0], design=design if isinstance(design, float) else None
    )  # what the design says by itself
    inside = p[spans["trace_id"].notna().to_numpy()]
    floor = float(np.min(inside)) if len(inside) else empty.floor
    return empty._replace(
        keys=domain.keys,
        groups=domain.groups,
        n_traces=count[0],
        n_spans=count[1],
        unknown=count[2],
        without=np.zeros(domain.groups),
        floor=floor,
        blind=str(getattr(design, "blind_to", "") or ""),
    )
