"""Which operations the latency is made of, with the uncertainty of the estimate; and stacks for flame graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd

from traceanalytics.analysis.call_path_numbers import numbered_paths
from traceanalytics.analysis.requests import Entry, Requests, distinct_traces, requests
from traceanalytics.analysis.self_time import self_ns
from traceanalytics.analysis.span_groups import By, span_groups
from traceanalytics.errors import OptionError, check_option
from traceanalytics.spans.columns import codes_of
from traceanalytics.topology import Forest
from traceanalytics.weights import Weights, group_quantiles, group_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["critical_path_profile", "folded_stacks"]

_PROFILE: Final = ("traces", "path_probability", "critical_mean_ms", "share", "share_low", "share_high")
_DRAWS: Final = 64
"""At most so many resamples are multiplied at once."""
_CELLS: Final = 1 << 24
"""At most so many numbers (groups times resamples, traces times resamples) are held at once: 128 MiB."""
_DEEPEST: Final = 200
"""Stacks are cut here: what is deeper belongs to one frame below, for a picture shows no more."""


def critical_path_profile(
    spans: pd.DataFrame,
    *,
    by: By = ("service", "name"),
    band: tuple[float, float] | None = None,
    entry: Entry = None,
    weights: Weights = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Answer what the latency of a request is made of, and how sure that is: one row a group of spans.

    The share of a group is its time on the critical paths of all requests divided by their end-to-end time. Its interval is
    found by drawing the traces anew with replacement, many times: the traces are the sample, not the spans.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Select whole traces. Traces without any time are left out.
    by
        A column of the frame or an attribute key, or a list of them; a missing value is a group of its own.
    band
        Only the requests in this band of latency: ``(0.9, 0.99)`` are those slower than the 90th percentile and not slower
        than the 99th **of their own root operation** (service and name of the main root), so that a slow operation does not
        fill the band. A low end of 0 includes the fastest. The bounds are taken as given when traces are drawn anew.
    entry
        Only the traces whose main root has this name, or this (service, name).
    weights
        Sampling weights: the name of a column, or a Series on the frame's index. Each trace then counts as so many.
    confidence
        Level of the interval, between 0 and 1.
    resamples
        How often the traces are drawn anew; 0 for no interval.
    seed
        Of the random draws. The same traces give the same interval in any order of rows.

    Returns
    -------
    pandas.DataFrame
        Greatest share first (then traces, labels).

        - the keys of ``by``, in the frame's own types
        - ``traces`` (float64): requests in which the group occurs
        - ``path_probability`` (float64): part of all requests that have the group on their critical path
        - ``critical_mean_ms`` (float64): critical time in milliseconds, mean over all requests
        - ``share`` (float64): part of the end-to-end time; adds up to 1
        - ``share_low``, ``share_high`` (float64): its percentile bootstrap interval; missing with fewer than two requests. With
          few requests (fewer than about 30) it is too narrow

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is unusable.
    OptionError
        An option is not one of those allowed, or no trace has this entry.

    Notes
    -----
    A ratio of sums over clusters (the traces), so that long requests count as much as they last; interval by the
    percentile bootstrap of Efron and Tibshirani (1993), chapter 13, over the traces.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.path_profile import critical_path_profile
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1", "a1", "a2"], "span_id": ["b1", "b2", "b3"],
    ...     "parent_span_id": [None, "b1", None], "name": ["GET", "SELECT", "GET"], "service": ["web", "db", "web"],
    ...     "start_time": t, "duration_ms": [100.0, 60.0, 20.0]}))
    >>> critical_path_profile(spans).drop(columns=["share_low", "share_high"])
      service    name  traces  path_probability  critical_mean_ms  share
    0     web     GET     2.0               1.0              30.0    0.5
    1      db  SELECT     1.0               0.5              30.0    0.5
    """
    _check(band, confidence, resamples)
    forest = Forest(spans)
    asked = requests(spans, forest, entry=entry, weights=weights)
    chosen = asked.chosen & asked.timed
    if band is not None:
        chosen &= _in_band(spans, forest, asked, chosen, band)
    groups = span_groups(spans, by, where=(forest.depth >= 0) & chosen[forest.trace], results=_PROFILE)
    n, code = groups.size, groups.code
    row_trace = forest.trace[groups.rows]
    cell, pairs = pd.factorize(code * max(forest.n_traces, 1) + row_trace)
    time = np.bincount(cell, weights=asked.critical[groups.rows], minlength=len(pairs))
    pairs, time = pairs[time > 0], time[time > 0]
    group, trace = pairs // max(forest.n_traces, 1), pairs % max(forest.n_traces, 1)
    weight = asked.weight[trace]
    total = group_sums(group, n, time, weight)
    whole = float((asked.length * asked.weight)[chosen].sum())
    many = float(asked.weight[chosen].sum())
    low, high = _intervals(
        forest, asked, chosen, (group, trace, time * weight), n_groups=n, rule=(confidence, resamples, seed)
    )
    made: dict[str, NDArray[np.float64]] = {
        "traces": distinct_traces(code, n, row_trace, asked.weight),
        "path_probability": group_sums(group, n, np.ones(len(group)), weight) / (many or np.nan),
        "critical_mean_ms": total / (many or np.nan) / 1e6,
        "share": total / (whole or np.nan),
        "share_low": low,
        "share_high": high,
    }
    order = groups.ranked(total, made["traces"])
    columns: dict[str, Any] = groups.labels | made
    return pd.DataFrame({name: values.take(order) for name, values in columns.items()}, copy=False)


def folded_stacks(
    spans: pd.DataFrame, *, value: Literal["critical", "self"] = "critical", weights: Weights = None
) -> list[str]:
    """Return the call paths of all traces as folded stacks, which flame graph tools draw.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order.
    value
        What the width of a frame means: ``"critical"``, time on the critical path (all stacks add up to the end-to-end time),
        or ``"self"``, time not covered by children (parallel work adds up).
    weights
        Sampling weights, as for :func:`critical_path_profile`.

    Returns
    -------
    list of str
        Lines such as ``"web:GET /;db:SELECT 1250"``, sorted: frames from the root down, and whole microseconds. Stacks that
        round to 0 are left out. In names, ``;`` becomes ``,`` and white space that breaks lines becomes a space. A stack below a
        lost parent begins with ``?``; calls deeper than 200 are one frame ``...``.

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is unusable.
    OptionError
        ``value`` is not one of the above, or there are no such weights.

    Notes
    -----
    The format is that of Brendan Gregg's FlameGraph; speedscope and Perfetto read it too.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.path_profile import folded_stacks
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2"], "parent_span_id": [None, "b1"],
    ...     "name": ["GET", "SELECT"], "service": ["web", "db"], "start_time": t, "duration_ms": [100.0, 60.0]}))
    >>> folded_stacks(spans)
    ['web:GET 40000', 'web:GET;db:SELECT 60000']
    """
    check_option("value", value, ["critical", "self"])
    forest = Forest(spans)
    asked = requests(spans, forest, weights=weights)
    paths = numbered_paths(spans, forest)
    rows = np.flatnonzero(paths.of_row >= 0)
    values = (asked.critical if value == "critical" else self_ns(forest))[rows]
    total = group_sums(paths.of_row[rows], len(paths.first), values, asked.weight[forest.trace[rows]])
    safe = [" ".join(text.replace(";", ",").splitlines()) for text in paths.operation_texts]
    own = [safe[operation] for operation in paths.operation.tolist()]
    depth = forest.depth[paths.first].tolist()
    stacks: list[str] = []
    for path, up in enumerate(paths.above.tolist()):
        if up < 0:
            stacks.append(f"?;{own[path]}" if paths.cut[path] else own[path])
        elif depth[path] <= _DEEPEST:
            stacks.append(f"{stacks[up]};{own[path] if depth[path] < _DEEPEST else '...'}")
        else:
            stacks.append(stacks[up])
    added: dict[str, float] = {}
    for stack, nanoseconds in zip(stacks, total.tolist(), strict=True):
        added[stack] = added.get(stack, 0.0) + nanoseconds
    whole = {stack: round(nanoseconds / 1e3) for stack, nanoseconds in added.items()}
    return [f"{stack} {microseconds}" for stack, microseconds in sorted(whole.items()) if microseconds > 0]


def _check(band: Any, confidence: Any, resamples: Any) -> None:
    if band is not None:
        try:
            low, high = band
            good = bool(0 <= low < high <= 1)
        except (TypeError, ValueError):
            good = False
        if not good:
            raise OptionError(f"band={band!r} is no band of quantiles; give two levels such as (0.9, 0.99)")
    if not (isinstance(confidence, int | float) and 0 < confidence < 1):
        raise OptionError(f"confidence={confidence!r} is no level of confidence; give a number between 0 and 1")
    if not (isinstance(resamples, int | np.integer) and resamples >= 0):
        raise OptionError(f"resamples={resamples!r} is no number of resamples; give 1000, or 0 for no interval")


def _in_band(
    spans: pd.DataFrame, forest: Forest, asked: Requests, chosen: NDArray[np.bool_], band: tuple[float, float]
) -> NDArray[np.bool_]:
    """Mark the traces whose length lies in the band of their own root operation."""
    service, name = (codes_of(spans[column])[0][forest.main_root].astype(np.int64) for column in ("service", "name"))
    operation, labels = pd.factorize((service + 1) * (int(name.max(initial=-1)) + 2) + name + 1)
    operation = np.where(chosen, operation, -1)
    bounds = group_quantiles(operation, len(labels), asked.length.astype(np.float64), asked.weight, band)[operation]
    above = (asked.length > bounds[:, 0]) | (band[0] == 0)
    return above & (asked.length <= bounds[:, 1])


def _intervals(
    forest: Forest,
    asked: Requests,
    chosen: NDArray[np.bool_],
    cells: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
    *,
    n_groups: int,
    rule: tuple[float, int, int],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the bounds of each group's share."""
    confidence, resamples, seed = rule
    group, trace, time = cells
    low, high = np.full((2, n_groups), np.nan)
    sample = np.flatnonzero(chosen)
    if len(sample) < 2 or resamples == 0:
        return low, high
    ids = pd.factorize(pd.Series(forest.trace_ids).astype("str"), sort=True)[0]
    sample = sample[np.argsort(ids[sample], kind="stable")]  # draws belong to traces, not to rows
    place = np.empty(forest.n_traces, dtype=np.int64)
    place[sample] = np.arange(len(sample))
    whole = (asked.length * asked.weight)[sample]
    by_group = np.argsort(group, kind="stable")
    group, column, time = group[by_group], place[trace[by_group]], time[by_group]
    stops = np.searchsorted(group, np.arange(n_groups + 1))
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    step = max(1, _CELLS // resamples)
    for begin in range(0, n_groups, step):
        end = min(begin + step, n_groups)
        some = slice(stops[begin], stops[end])
        part = (stops[begin : end + 1] - stops[begin], column[some], time[some])
        shares = _resampled(part, whole, resamples, np.random.default_rng(seed))  # the same draws for every part
        low[begin:end], high[begin:end] = np.quantile(shares, tails, axis=1)
    return low, high


def _resampled(
    part: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
    whole: NDArray[np.float64],
    resamples: int,
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """Return the shares of some groups in each resample: one row a group."""
    from scipy.sparse import csr_array  # noqa: PLC0415 - loaded on first use only

    stops, column, time = part
    n = len(whole)
    times = csr_array((time, column, stops), shape=(len(stops) - 1, n))
    shares = np.empty((len(stops) - 1, resamples))
    most = max(1, min(_DRAWS, _CELLS // n))
    for begin in range(0, resamples, most):
        end = min(begin + most, resamples)
        drawn = np.empty((n, end - begin))
        for at in range(end - begin):
            drawn[:, at] = np.bincount(random.integers(0, n, n), minlength=n)
        total = whole @ drawn
        np.divide(np.asarray(times @ drawn), total, out=shares[:, begin:end], where=total > 0)
        shares[:, begin:end][:, total <= 0] = np.nan
    return shares
