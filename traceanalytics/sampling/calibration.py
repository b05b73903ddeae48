"""Weights that meet known counts, where a counter saw all traffic; and how many equal units weighted ones are worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from traceanalytics.errors import OptionError, SchemaError, check_option
from traceanalytics.sampling.design_weights import SOURCE, STATUSES
from traceanalytics.sampling.intervals import kish
from traceanalytics.sampling.trace_units import TraceUnits, trace_units
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import NAT, start_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from traceanalytics.sampling.designs import Design

__all__ = ["calibrate", "effective_sample_size"]

_ROUNDS: Final = 200
_CLOSE: Final = 1e-10

Margin = tuple["NDArray[np.intp]", "NDArray[np.float64]"]
"""The group of every trace, and the reference count of every group."""


def calibrate(
    spans: pd.DataFrame,
    *,
    reference: pd.Series | Mapping[str, pd.Series],
    by: str | pd.Series | None = None,
    method: str = "poststratify",
    design: Design | float | pd.Series | None = None,
) -> pd.DataFrame:
    """Return the spans with weights that meet reference counts: kept traces of a group stand for as many as were counted there.

    It makes the sample of a rate limiter usable, as far as kept and lost traces of a group are alike, and steadies others.

    Parameters
    ----------
    spans
        Sampled spans.
    reference
        Counts of traces in the complete traffic, from a counter at the same scope (same period, same entry points): a Series
        indexed by group; for ``rake`` a mapping of columns to such Series.
    by
        For ``poststratify``: what tells a trace's group: a column or attribute of its root span (its first one where the root is
        missing), or a Series on the index of ``spans``, such as the second of the start.
    method
        ``poststratify``: one reference, met at once. ``rake``: several references, met in turn until all are.
    design
        Where the weights come from that are adjusted, as for :func:`attach_weights`. Groups of traces with unknown probabilities
        start from equal weights.

    Returns
    -------
    pandas.DataFrame
        The spans with, in place of columns of these names: ``weight`` (traces, at least 1), ``incl_prob`` (1 / weight),
        ``weight_source`` (``reference``), ``weight_status`` (``known``, or ``certain`` for a weight of 1). Estimates take the
        weights as drawn with these probabilities, which overstates their variance a little.

    Raises
    ------
    OptionError
        An option is not as described, or a reference is no Series of counts.
    SchemaError
        A trace has no group, a group of the sample is not in the reference or the other way round, a count is below the number of
        traces that were kept, or several references cannot be met together.

    Notes
    -----
    ``w N / sum w`` within each group; raking repeats that over the references (Deming and Stephan 1940; Deville and Sarndal 1992).
    Where order inside a group decided what was kept, as with a limiter and jobs on the full minute, no weight repairs it.

    Examples
    --------
    >>> import pandas as pd
    >>> from traceanalytics.sampling.calibration import calibrate
    >>> spans = pd.DataFrame({"trace_id": ["a", "b", "c"], "service": ["web", "web", "cart"]})
    >>> calibrate(spans, reference=pd.Series({"web": 100, "cart": 30}), by="service")["weight"].tolist()
    [50.0, 50.0, 30.0]
    """
    check_option("method", method, ("poststratify", "rake"))
    sides = _references(reference, by, method)
    units = trace_units(spans, design)
    margins = [_margin(spans, units, key, counts) for key, counts in sides]
    weight = _start(units, margins)
    for _ in range(_ROUNDS):
        before = weight
        for groups, counts in margins:
            held = np.bincount(groups, weights=weight, minlength=len(counts))
            weight = weight * np.divide(counts, held, out=np.zeros(len(counts)), where=held > 0)[groups]
        if len(margins) == 1 or np.allclose(weight, before, rtol=_CLOSE, atol=0):
            break
    _check_met(weight, margins)
    return _with_weights(spans, weight)


def _references(
    reference: pd.Series | Mapping[str, pd.Series], by: str | pd.Series | None, method: str
) -> list[tuple[str | pd.Series, pd.Series]]:
    if method == "poststratify":
        if by is None or not isinstance(by, str | pd.Series):
            raise OptionError("by is the column that tells a trace's group, or a Series on the index of the spans")
        pairs: list[tuple[str | pd.Series, object]] = [(by, reference)]
    else:
        if not isinstance(reference, Mapping) or not reference:
            raise OptionError("method='rake' takes reference as a mapping of columns to Series of counts")
        if by is not None:
            raise OptionError("method='rake' takes the columns from reference, not from by")
        pairs = list(reference.items())
    checked = []
    for key, counts in pairs:
        name = key if isinstance(key, str) else "by"
        if not isinstance(counts, pd.Series) or not counts.index.is_unique:
            raise OptionError(f"the reference for {name!r} is no Series of counts with one entry a group")
        numbers = pd.to_numeric(counts, errors="coerce").astype("float64")
        if not (np.isfinite(numbers) & (numbers >= 0)).all():
            raise OptionError(f"the reference for {name!r} holds counts that are missing, negative or no numbers")
        checked.append((key, numbers))
    return checked


def _margin(spans: pd.DataFrame, units: TraceUnits, key: str | pd.Series, counts: pd.Series) -> Margin:
    """Return the group of every trace and its count, or say what does not fit."""
    name = key if isinstance(key, str) else "by"
    if isinstance(key, pd.Series):
        column = key if key.index.equals(spans.index) else key.reindex(spans.index)
    else:
        column = spans[key] if key in spans.columns else attribute(spans, key)
    values = column.iloc[_first_spans(spans, units)]
    groups = counts.index.get_indexer(pd.Index(values))
    if values.isna().any():
        raise SchemaError(
            f"{int(values.isna().sum()):,} traces have no {name!r} on their root span: they belong to no group"
        )
    if (groups < 0).any():
        missing = pd.Index(values[groups < 0]).unique()
        raise SchemaError(f"the reference for {name!r} lacks groups of the sample: {_some(missing)}")
    number = np.bincount(groups, minlength=len(counts))
    wanted = counts.to_numpy("float64")
    empty = (number == 0) & (wanted > 0)
    if empty.any():
        raise SchemaError(
            f"no trace was kept of groups of the reference for {name!r}: {_some(counts.index[empty])}; no weight makes up for them"
        )
    if (number > wanted).any():
        raise SchemaError(
            f"the reference for {name!r} counts fewer traces than were kept in {_some(counts.index[number > wanted])}"
        )
    return groups, wanted


def _some(labels: pd.Index) -> str:
    return ", ".join(repr(label) for label in labels[:5]) + (
        f" and {len(labels) - 5:,} more" if len(labels) > 5 else ""
    )


def _first_spans(spans: pd.DataFrame, units: TraceUnits) -> NDArray[np.intp]:
    """Return the row of each trace's root: the earliest span without a parent, or the earliest at all."""
    n = len(spans)
    below = spans["parent_span_id"].notna().to_numpy() if "parent_span_id" in spans.columns else np.zeros(n, np.bool_)
    start = start_ns(spans["start_time"]) if "start_time" in spans.columns else np.zeros(n, np.int64)
    start = np.where(start == NAT, np.iinfo(np.int64).max, start)
    order = np.lexsort((start, below, units.codes))
    order = order[units.codes[order] >= 0]
    first = np.flatnonzero(np.diff(units.codes[order], prepend=-1))
    return order[first]


def _start(units: TraceUnits, margins: list[Margin]) -> NDArray[np.float64]:
    weight = 1 / units.pi
    unknown = np.isnan(weight)
    if len(margins) > 1:
        return np.ones(units.number) if unknown.any() else weight
    groups, counts = margins[0]
    doubtful = np.bincount(groups, weights=unknown, minlength=len(counts)) > 0
    return np.where(doubtful[groups], 1.0, weight)


def _check_met(weight: NDArray[np.float64], margins: list[Margin]) -> None:
    for groups, counts in margins:
        held = np.bincount(groups, weights=weight, minlength=len(counts))
        if not np.allclose(held, counts, rtol=1e-6):
            raise SchemaError(
                "the references cannot be met together: their totals differ, or some of their groups never meet in a trace"
            )
    if (weight < 1 - 1e-9).any():
        raise SchemaError(
            f"{int((weight < 1 - 1e-9).sum()):,} traces would stand for less than themselves: the references count too few for what was kept"
        )


def _with_weights(spans: pd.DataFrame, weight: NDArray[np.float64]) -> pd.DataFrame:
    weight = np.maximum(weight, 1.0)
    codes, _ = pd.factorize(spans["trace_id"])  # also rows that repeat a span
    of_span = np.append(weight, np.nan)[codes]
    names = np.where(np.isnan(of_span), "unknown", np.where(of_span == 1, "certain", "known"))
    sources = pd.Series("reference", index=spans.index).where(~np.isnan(of_span))
    return spans.assign(
        weight=of_span,
        incl_prob=1 / of_span,
        weight_source=sources.astype(SOURCE),
        weight_status=pd.Series(names, index=spans.index).astype(STATUSES),
    )


def effective_sample_size(
    weights: pd.Series | Sequence[float] | NDArray[np.float64],
    *,
    y: pd.Series | Sequence[float] | NDArray[np.float64] | None = None,
    cluster: pd.Series | Sequence[object] | None = None,
) -> pd.DataFrame:
    """Answer how many independent units with equal weights would tell as much as these weighted, clustered ones.

    Parameters
    ----------
    weights
        One weight a unit (trace or span).
    y
        What is averaged, one number a unit. None: something unrelated to the weights, and the same within each cluster.
    cluster
        Which units belong together, such as the trace ids of spans. None: each stands alone.

    Returns
    -------
    pandas.DataFrame
        One row: ``n`` (int64, units), ``n_kish`` (float64, ``(sum w)^2 / sum w^2``), ``n_eff`` (the same with clusters, and for
        the mean of ``y`` if given), ``deff_weight`` (``n / n_kish``: what unequal weights cost), ``deff_cluster`` (by what
        clustering multiplies the variance; 1 without clusters). Missing where nothing can be said: no units, or no spread of y.

    Raises
    ------
    OptionError
        Weights or values are missing, not finite, or of different lengths; a weight is not positive.

    Notes
    -----
    Kish 1965, for weights and clusters. With ``y``: weighted variance of y divided by the linearised variance of its weighted
    mean. Where weights go with y, as in tail samples that keep all errors, ``n_kish`` is far too small, and ``n_eff`` right.

    Examples
    --------
    >>> from traceanalytics.sampling.calibration import effective_sample_size
    >>> effective_sample_size([1.0, 1.0, 4.0, 4.0])[["n_kish", "n_eff", "deff_weight"]].round(3)
       n_kish  n_eff  deff_weight
    0   2.941  2.941         1.36
    """
    w = _numbers("weights", weights)
    if (w <= 0).any():
        raise OptionError(f"{int((w <= 0).sum()):,} weights are not positive")
    values = None if y is None else _numbers("y", y)
    codes = np.arange(len(w)) if cluster is None else pd.factorize(np.asarray(cluster), use_na_sentinel=False)[0]
    if len(codes) != len(w) or (values is not None and len(values) != len(w)):
        raise OptionError("weights, y and cluster must be of one length: one entry a unit")
    n_kish, deff_weight = kish(w)
    if not len(w):
        n_kish = float("nan")
    if values is None:
        n_eff = kish(np.bincount(codes, weights=w))[0] if len(w) else float("nan")
        deff_cluster = n_kish / n_eff
    else:
        n_eff, deff_cluster = _of_mean(w, values, codes)
    return pd.DataFrame(
        {
            "n": [len(w)],
            "n_kish": [n_kish],
            "n_eff": [n_eff],
            "deff_weight": [deff_weight],
            "deff_cluster": [deff_cluster],
        }
    )


def _numbers(name: str, values: object) -> NDArray[np.float64]:
    found = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy("float64", na_value=np.nan)
    if not np.isfinite(found).all():
        raise OptionError(
            f"{int((~np.isfinite(found)).sum()):,} entries of {name} are missing, not finite or no numbers"
        )
    return found


def _of_mean(w: NDArray[np.float64], y: NDArray[np.float64], codes: NDArray[np.intp]) -> tuple[float, float]:
    total = w.sum()
    parts = w * (y - (w @ y) / total if total else y)
    joined = np.bincount(codes, weights=parts)
    alone, together = (float(each @ each) * len(each) / max(len(each) - 1, 1) for each in (parts, joined))
    spread = float(parts @ (parts / w)) * total if len(w) else 0.0
    if not (alone > 0 and together > 0):
        return float("nan"), float("nan")
    return spread / together, together / alone
