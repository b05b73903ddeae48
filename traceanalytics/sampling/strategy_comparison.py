"""Sampling strategies side by side on the same complete data: what they keep, what they cost, and what is read from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from traceanalytics.errors import OptionError
from traceanalytics.sampling.complete_traffic import CompleteTraffic
from traceanalytics.sampling.designs import Design
from traceanalytics.sampling.given_numbers import MOST, given_number, given_whole
from traceanalytics.sampling.strategy_simulation import as_design
from traceanalytics.sampling.trace_choice import Choice, choose

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["compare_strategies"]

_SECONDS_PER_DAY: Final = 86_400
_GB: Final = 1e9
_MEASURES: Final = (
    "traces_kept",
    "traces_kept_share",
    "spans_kept_share",
    "error_traces_kept_share",
    "slow_traces_kept_share",
    "edges_missing_share",
    "p50_error_raw",
    "p50_error_weighted",
    "p99_error_raw",
    "p99_error_weighted",
    "error_rate_error_raw",
    "error_rate_error_weighted",
)


def compare_strategies(
    spans: pd.DataFrame,
    strategies: Mapping[str, Design | float] | Iterable[Design | float],
    *,
    seed: int = 0,
    runs: int = 1,
    requests_per_s: float | None = None,
    bytes_per_span: float = 500.0,
    retention_days: float = 30.0,
    price_per_gb_month: float | None = None,
) -> pd.DataFrame:
    """Answer what sampling strategies keep of the same traffic, what they cost, and how wrong the figures read from them are.

    Parameters
    ----------
    spans
        A span frame of complete traffic: it counts as everything there was.
    strategies
        Name to :class:`Design`, or designs, which then are named by what they do. A number is ``Design.head(number)``.
    seed
        Of the random numbers; every trace has the same luck under all strategies.
    runs
        Samples drawn of each strategy, from ``seed`` on. Shares and counts are means over them; of errors the one of median size.
    requests_per_s
        Traces in a second, for bytes and cost. None: as in the spans, from the first trace's start to the last one's.
    bytes_per_span
        Mean size of a span as it is stored.
    retention_days
        Days for which it is stored.
    price_per_gb_month
        Price of a decimal gigabyte stored for a month, in any currency. None: no cost is computed.

    Returns
    -------
    pandas.DataFrame
        One row a strategy, in the given order.

        - ``strategy`` (str): name
        - ``traces_kept`` (traces of which anything is kept), ``traces_kept_share``, ``spans_kept_share`` (of all, 0 to 1)
        - ``error_traces_kept_share``: of the traces with a failed span, those of which anything is kept
        - ``slow_traces_kept_share``: of the traces whose main root takes longer than the true p99
        - ``edges_missing_share``: of the pairs of calling and called service, those of which no call is left
        - ``p50_error_raw``, ``p99_error_raw``, ``error_rate_error_raw``: relative error (0.1: 10 % too much) of the median and
          the 99th percentile of the main roots' durations and of the share of traces with an error, when what was kept is counted as it is
        - ``p50_error_weighted``, ``p99_error_weighted``, ``error_rate_error_weighted``: the same with the weights that the design
          gives. Missing where it gives none for the whole traffic: a limiter decided, or a part is never kept
        - ``gb_per_day``: decimal gigabytes kept a day
        - ``cost_per_month``: stored gigabytes times price

    Raises
    ------
    SchemaError
        The frame is no span frame.
    OptionError
        A strategy cannot be simulated, two have the same name, or a number is out of range.

    Notes
    -----
    With weights means Hajek's: each kept trace counts as the number of traces that it stands for. A small error of one run may be
    luck; ten runs tell a bias from luck.

    Examples
    --------
    >>> from traceanalytics.simulate import Shop
    >>> from traceanalytics.sampling.strategy_comparison import compare_strategies
    >>> spans, _ = Shop(seed=1).run(500)
    >>> table = compare_strategies(spans, {"10 %": 0.1, "errors + 10 %": Design.errors_always(0.1)}, runs=9)
    >>> some = table.set_index("strategy")[["error_traces_kept_share", "error_rate_error_raw", "error_rate_error_weighted"]]
    >>> some.round(2).T
    strategy                   10 %  errors + 10 %
    error_traces_kept_share    0.10           1.00
    error_rate_error_raw      -0.13           2.60
    error_rate_error_weighted -0.13           0.11
    """
    named = _named(strategies)
    first = given_whole("seed", seed, 0)
    count = given_whole("runs", runs, 1)
    size = given_number("bytes_per_span", bytes_per_span, f"(0, {MOST:g}]")
    days = given_number("retention_days", retention_days, f"(0, {MOST:g}]")
    price = (
        math.nan
        if price_per_gb_month is None
        else given_number("price_per_gb_month", price_per_gb_month, f"[0, {MOST:g}]")
    )
    complete = CompleteTraffic(spans)
    if requests_per_s is None:
        per_s = len(complete.ids) / complete.seconds
    else:
        per_s = given_number("requests_per_s", requests_per_s, f"[0, {MOST:g}]")
    comparison = _Comparison(complete)
    found = np.array(
        [
            _typical(np.array([comparison.measures(design, first + run) for run in range(count)]))
            for design in named.values()
        ]
    ).reshape(len(named), len(_MEASURES))
    table = pd.DataFrame(found, columns=list(_MEASURES))
    table.insert(0, "strategy", pd.Series(list(named), dtype="str"))
    table["gb_per_day"] = table["spans_kept_share"] * comparison.spans_per_trace * per_s * size * _SECONDS_PER_DAY / _GB
    table["cost_per_month"] = table["gb_per_day"] * days * price
    return table


def _named(strategies: object) -> dict[str, Design]:
    if isinstance(strategies, Design) or not isinstance(strategies, Iterable) or isinstance(strategies, str):
        raise OptionError(
            f"strategies={strategies!r:.60} is neither a mapping of names to designs nor a list of designs, as {{'10 %': Design.head(0.1)}}"
        )
    if isinstance(strategies, Mapping):
        pairs = [(str(name), as_design(each)) for name, each in strategies.items()]
    else:
        pairs = [(design.name, design) for design in map(as_design, strategies)]
    if not pairs:
        raise OptionError("strategies is empty: expected at least one design")
    named = dict(pairs)
    if len(named) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise OptionError(f"two strategies are named {twice!r}: give a mapping of names to designs")
    return named


def _typical(runs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the runs (rows) say: means, and of errors the one of median size with its sign."""
    found = np.full(runs.shape[1], np.nan)
    for at, name in enumerate(_MEASURES):
        values = runs[~np.isnan(runs[:, at]), at]
        if len(values):
            by_size = values[np.argsort(np.abs(values), kind="stable")]
            found[at] = by_size[(len(values) - 1) // 2] if "_error_" in name else values.mean()
    return found


class _Comparison:
    """The truth that samples are held against."""

    def __init__(self, complete: CompleteTraffic) -> None:
        self.complete = complete
        self.number = len(complete.ids)
        self.spans_per_trace = complete.counted.sum() / self.number if self.number else math.nan
        truth = complete.truth.set_index("quantity")["value"]
        self.quantiles = truth[["duration_ms_p50", "duration_ms_p99"]].to_numpy()
        self.error_rate = float(truth["trace_error_rate"])
        self.slow = complete.duration_ms > self.quantiles[1]
        self.edges = len(np.unique(complete.edge[complete.edge >= 0]))

    def measures(self, design: Design, seed: int) -> list[float]:
        """Return the measures of one sample, in the order of the table."""
        complete = self.complete
        choice = choose(design, complete.facts, seed)
        kept = complete.facts.having(choice.rows & complete.counted)
        durations, pi = self._roots(choice)
        failed = complete.facts.having(complete.failed & choice.rows)[kept].astype(np.float64)
        # A part of the traffic without a probability, or that is never kept: no weight makes the sample whole.
        whole = bool((choice.trace_pi > 0).all()) and bool((choice.span_pi[complete.root] > 0).all())
        raw = [
            *self._quantile_errors(durations, np.ones(len(durations))),
            self._rate_error(failed, np.ones(len(failed))),
        ]
        weighted = [math.nan] * 3
        if whole:
            weighted[:2] = self._quantile_errors(durations, 1 / pi)
            if not design.is_by_span:  # parts of traces: an error may stand in a part that was not kept
                weighted[2] = self._rate_error(failed, 1 / choice.trace_pi[kept])
        return [
            float(kept.sum()),
            _share(kept.sum(), self.number),
            _share((choice.rows & complete.counted).sum(), complete.counted.sum()),
            _share((kept & complete.has_error).sum(), complete.has_error.sum()),
            _share((kept & self.slow).sum(), self.slow.sum()),
            self._edges_missing(choice.rows),
            raw[0],
            weighted[0],
            raw[1],
            weighted[1],
            raw[2],
            weighted[2],
        ]

    def _roots(self, choice: Choice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return durations and probabilities of the main roots that were kept and are timed."""
        seen = choice.rows[self.complete.root] & ~np.isnan(self.complete.duration_ms)
        return self.complete.duration_ms[seen], choice.span_pi[self.complete.root[seen]]

    def _quantile_errors(self, durations: NDArray[np.float64], weights: NDArray[np.float64]) -> list[float]:
        found = self.complete.quantiles(durations, weights)[[0, 2]]
        return [_relative(*pair) for pair in zip(found.tolist(), self.quantiles.tolist(), strict=True)]

    def _rate_error(self, failed: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
        return _relative(_share((failed * weights).sum(), weights.sum()), self.error_rate)

    def _edges_missing(self, rows: NDArray[np.bool_]) -> float:
        """Return the share of calls between services that cannot be drawn: caller or called span is gone from every one."""
        parent = self.complete.forest.parent
        seen = self.complete.edge[rows & (parent >= 0) & rows[parent] & (self.complete.edge >= 0)]
        return _share(self.edges - len(np.unique(seen)), self.edges)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan


def _relative(found: float, true: float) -> float:
    return found / true - 1 if true else math.nan
