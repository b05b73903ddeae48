"""Do the intervals hold on your own traffic? Samples drawn again and again from complete data, and each estimate compared with the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from traceanalytics.errors import OptionError, SchemaError, near
from traceanalytics.sampling.complete_traffic import CompleteTraffic
from traceanalytics.sampling.estimate_table import COLUMNS
from traceanalytics.sampling.given_numbers import given_whole
from traceanalytics.sampling.intervals import clopper_pearson, z_of
from traceanalytics.sampling.quantiles import estimate_quantile
from traceanalytics.sampling.ratios import error_rate, estimate_mean
from traceanalytics.sampling.strategy_simulation import as_design, sampled
from traceanalytics.sampling.totals import estimate_total

if TYPE_CHECKING:
    from traceanalytics.sampling.designs import Design

__all__ = ["Estimator", "coverage_study"]

Estimator: TypeAlias = "str | Callable[[pd.DataFrame], pd.DataFrame]"
"""An estimate by name, or a function of sampled spans (with their weights) that returns a table of estimates."""

_NAMED: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "traces": lambda spans: estimate_total(spans, "traces"),
    "spans": lambda spans: estimate_total(spans, "spans"),
    "trace error rate": lambda spans: error_rate(spans, level="trace"),
    "span error rate": lambda spans: error_rate(spans, level="span"),
    "mean duration": lambda spans: estimate_mean(spans, "duration_ms"),
    "quantiles": estimate_quantile,
    "span quantiles": lambda spans: estimate_quantile(spans, level="span"),
}

_USUAL = ("traces", "spans", "trace error rate", "span error rate", "mean duration", "quantiles")


def coverage_study(
    spans: pd.DataFrame,
    design: Design | float | Mapping[str, Design | float] | Iterable[Design | float],
    estimators: Estimator | Iterable[Estimator] | Mapping[str, Estimator] = _USUAL,
    reps: int = 200,
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Answer how often the intervals of estimates hold the truth, if complete traffic is sampled again and again.

    Parameters
    ----------
    spans
        A span frame of complete traffic: it counts as everything there was, and the truth is what the same estimate says of it.
    design
        How it is sampled: a :class:`Design`, a number for :meth:`Design.head`, or several of them, in a mapping with their names.
    estimators
        ``traces``, ``spans``, ``trace error rate``, ``span error rate``, ``mean duration`` (of spans), ``quantiles`` (of traces),
        ``span quantiles``; or functions of sampled spans that return a table of estimates, such as
        ``lambda kept: estimate_total(kept, by="service")``; in a mapping with their names, to name functions.
    reps
        Samples of each design. With 200, a coverage of 95 % is measured within 3 points.
    seed
        Of the first sample; the following ones count on from it.

    Returns
    -------
    pandas.DataFrame
        One row a design, estimator and row of its table, as :func:`traceanalytics.plot.coverage` draws it.

        - ``cell`` (str): the design and, where an estimator has several rows, what names the row
        - ``estimator`` (str)
        - ``nominal`` (float64): confidence of the intervals
        - ``coverage``, ``coverage_lo``, ``coverage_hi`` (float64, 0 to 1): share of the samples with status ``ok`` whose interval
          holds the truth, and its exact 95 % interval; missing where no sample was ``ok``
        - ``width_ratio`` (float64): mean width of their intervals, in units of ``2 z sd``: the spread that the estimates have
          over the samples, with the normal quantile z
        - ``ok_share`` (float64, 0 to 1): share of the samples with status ``ok``; those that are refused are not counted as failures
        - ``bias`` (float64): mean error of their estimates, as a share of the truth
        - ``truth`` (float64): in the unit of the estimate
        - ``runs`` (int64): samples

    Raises
    ------
    OptionError
        There is no such estimator, it returns no table of estimates, or ``reps`` is no whole number of at least 1.
    SchemaError
        The frame is no span frame, or holds no spans.

    Examples
    --------
    >>> from traceanalytics.simulate import Shop
    >>> from traceanalytics.sampling.coverage_study import coverage_study
    >>> spans, _ = Shop(seed=1).run(500)
    >>> found = coverage_study(spans, 0.2, "traces", reps=50)
    >>> found[["cell", "estimator", "truth", "runs"]]
            cell estimator  truth  runs
    0  head 20 %    traces  500.0    50
    >>> bool(found["coverage_hi"].item() > 0.95)
    True
    """
    runs, first = given_whole("reps", reps, 1), given_whole("seed", seed, 0)
    if len(spans) == 0:
        raise SchemaError("the frame holds no spans: a study needs complete traffic to draw samples from")
    complete = CompleteTraffic(spans)
    whole = sampled(complete, as_design(1.0), first).spans  # everything, with weight 1
    functions = _estimators(estimators)
    truths = {name: _checked(name, function(whole)) for name, function in functions.items()}
    rows: list[pd.DataFrame] = []
    for label, each in _designs(design).items():
        tables: dict[str, list[pd.DataFrame]] = {name: [] for name in functions}
        for run in range(runs):
            kept = sampled(complete, each, first + run).spans
            for name, function in functions.items():
                tables[name].append(_checked(name, function(kept)))
        rows += [_measured(label, name, truths[name], tables[name]) for name in functions]
    return pd.concat(rows, ignore_index=True)


def _estimators(given: Estimator | Iterable[Estimator] | Mapping[str, Estimator]) -> dict[str, Any]:
    if isinstance(given, Mapping):
        pairs = list(given.items())
    else:
        several = [given] if isinstance(given, str) or callable(given) else list(given)
        pairs = [(each if isinstance(each, str) else getattr(each, "__name__", "estimate"), each) for each in several]
    found: dict[str, Any] = {}
    for name, each in pairs:
        if not callable(each) and each not in _NAMED:
            raise OptionError(
                f"estimators: {each!r:.60} is neither a function nor one of {', '.join(map(repr, _NAMED))}{near(str(each), _NAMED)}"
            )
        if name in found:
            raise OptionError(f"estimators: two are named {name!r}; give a mapping with a name for each")
        found[str(name)] = each if callable(each) else _NAMED[each]
    if not found:
        raise OptionError("estimators names none")
    return found


def _designs(given: Design | float | Mapping[str, Design | float] | Iterable[Design | float]) -> dict[str, Design]:
    if isinstance(given, Mapping):
        return {str(name): as_design(each) for name, each in given.items()}
    if isinstance(given, Iterable):
        return {each.name: each for each in map(as_design, given)}
    one = as_design(given)
    return {one.name: one}


def _checked(name: str, table: object) -> pd.DataFrame:
    """Return a table of estimates with what names its rows as one text: column ``row``."""
    if not isinstance(table, pd.DataFrame) or not set(COLUMNS) <= set(table.columns):
        raise OptionError(f"estimators: {name!r} returned no table of estimates, with the columns {', '.join(COLUMNS)}")
    keys = [column for column in table.columns if column not in COLUMNS]
    texts = [" ".join(map(str, values)) for values in table[keys].to_numpy(dtype=object).tolist()]
    return table.assign(row=[_level(text) if keys == ["q"] else text for text in texts])


def _level(text: str) -> str:
    return f"p{100 * float(text):g}"


def _measured(label: str, name: str, truth: pd.DataFrame, tables: list[pd.DataFrame]) -> pd.DataFrame:
    every = pd.concat(tables, ignore_index=True)
    true = truth.set_index("row")["estimate"]
    at = true.index.get_indexer(pd.Index(every["row"]))
    every, at = every[at >= 0], at[at >= 0]  # a group that only a sample has cannot be
    value = true.to_numpy()[at]
    ok = (every["status"] == "ok").to_numpy()
    hit = ok & ((every["lo"] <= value) & (value <= every["hi"])).to_numpy()
    estimate, width = every["estimate"].to_numpy(), (every["hi"] - every["lo"]).to_numpy()
    count, hits = (np.bincount(at, weights=each, minlength=len(true)) for each in (ok, hit))

    def mean(values: Any) -> Any:
        total = np.bincount(at[ok], weights=values[ok], minlength=len(true))
        return np.divide(total, count, out=np.full(len(true), np.nan), where=count > 0)

    middle = mean(estimate)
    spread = np.sqrt(np.maximum(mean((estimate - middle[at]) ** 2), 0))
    interval = clopper_pearson(hits, np.maximum(count, 1))
    none = count == 0
    nominal = float(truth["conf"].iloc[0]) if len(truth) else np.nan
    reach = 2 * z_of(nominal) * spread
    runs = len(tables)
    return pd.DataFrame(
        {
            "cell": [f"{label}, {row}" if row else label for row in true.index],
            "estimator": name,
            "nominal": nominal,
            "coverage": np.where(none, np.nan, hits / np.maximum(count, 1)),
            "coverage_lo": np.where(none, np.nan, interval.lo),
            "coverage_hi": np.where(none, np.nan, interval.hi),
            "width_ratio": np.divide(mean(width), reach, out=np.full(len(true), np.nan), where=reach > 0),
            "ok_share": count / runs,
            "bias": np.divide(
                middle - true.to_numpy(), true.to_numpy(), out=np.full(len(true), np.nan), where=(true != 0).to_numpy()
            ),
            "truth": true.to_numpy(),
            "runs": runs,
        }
    ).astype({"cell": "str", "estimator": "str"})
