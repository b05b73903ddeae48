"""Is the mix of sampled spans, traces or durations that of the traffic? A test that knows that spans come by the trace."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.errors import OptionError, check_option
from traceanalytics.sampling.check_table import check_rows, holm
from traceanalytics.sampling.completeness_checks import LEVEL, graded
from traceanalytics.sampling.rao_scott import (
    METHODS,
    Shares,
    mix_test,
    null_band,
    shares_of,
    stability_index,
    two_sided,
)
from traceanalytics.sampling.trace_facts import SpanRows, TraceFacts
from traceanalytics.sampling.trace_units import TraceUnits, domain_of, trace_units
from traceanalytics.sampling.value_classes import class_edges, class_names
from traceanalytics.topology.forest import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["check_representativeness"]

_LEAST: Final = 5.0
"""Groups of which fewer units are expected are put together."""
_FEW: Final = 20
"""Fewer traces tell nothing about a mix."""
_MOST_GROUPS: Final = 200
"""With more groups the smallest are put together: a covariance has the square of their number."""
_OTHERS: Final = "(others)"


class _Mix(NamedTuple):
    """Units of traces by group, and what the traces stand for."""

    counts: object
    labels: list[str]
    weight: NDArray[np.float64]
    ids: pd.Index
    unknown: int
    """Traces of which the probability is not known."""
    without: int
    """Spans or traces of no group."""


class _Reference(NamedTuple):
    share: dict[str, float]
    mix: _Mix | None
    """None: shares that are taken as exact."""


def check_representativeness(
    spans: pd.DataFrame,
    reference: pd.Series | pd.DataFrame,
    *,
    by: str = "service",
    method: str = "rao_scott",
    level: str = "span",
    bins: Sequence[float] | None = None,
) -> pd.DataFrame:
    """Compare the mix of the sampled spans with a reference: services, routes, root operations, or classes of duration.

    Spans of one trace come together, so that the usual chi-square test finds a difference nearly always: its statistic is
    corrected by the design effects of the shares. With unequal probabilities, of traces or of their spans, the shares are weighted
    (Hajek's).

    Parameters
    ----------
    spans
        A span frame, with the columns of :func:`~traceanalytics.sampling.attach_weights` where probabilities differ.
    reference
        Counts or shares by group (such as metrics of all requests), taken as exact; or a span frame: the complete traffic of which
        ``spans`` is a part (by trace ids), or other traffic, whose own chance is then added.
    by
        The column or attribute that groups. A number, such as ``duration_ms``, is classed by ``bins``.
    method
        ``rao_scott``: second order correction, with the F distribution. ``first_order``: the mean design effect alone. ``plain``:
        Pearson's test of independent units: right for traces of equal weight, wrong for spans.
    level
        ``span``: all spans. ``trace``: the value of each trace's root; with equal weights ``rao_scott`` is then Pearson's test.
    bins
        Bounds of the classes of a number, ascending, each class with its upper bound, as in Prometheus; what is outside goes to the first or last
        class. Left out: deciles of the reference, or the intervals that index it.

    Returns
    -------
    pandas.DataFrame
        The columns of a check (:func:`~traceanalytics.sampling.check_table.check_rows`), ``n`` counting traces. First ``mix``: the
        test, with the total variation distance as ``effect`` (share of the units that would have to change group; the interval
        begins at 0 unless the test fails), and population stability index and their bounds by chance in ``meaning``.
        ``min_detectable`` is a distance, roughly. Then one row of ``share`` for each group: the difference of its share, tested by
        its own variance, p-values corrected by Holm's method; they say nothing where the mix is ``ok``. Below .05 p-values are a ``warn``,
        below .001 a ``fail``. Last, if there are any,
        ``unknown_groups``: the share in groups that the reference does not have.

    Raises
    ------
    OptionError
        An option is not as described, or the reference has no positive count.
    SchemaError
        A frame is no span frame.

    Notes
    -----
    Rao and Scott 1984; Thomas and Rao 1987. Traces of a reference that contains the sample add no chance of their own.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> spans = ta.simulate.Shop(seed=1).run(200)[0]
    >>> some = spans[spans["trace_id"].isin(spans["trace_id"].unique()[::2])]
    >>> check_representativeness(some, spans, by="service")["verdict"].iloc[0]
    'ok'
    """
    check_option("method", method, METHODS)
    check_option("level", level, ("span", "trace"))
    edges = class_edges(spans, reference, by, bins)
    sample = _mix_of(spans, by, level, edges)
    given = _reference(reference, by, level, edges)
    if sample.counts is None or len(sample.weight) < _FEW:
        return _untestable(by, sample, f"{len(sample.weight)} traces tell nothing about a mix: {_FEW} are needed")
    if 0 < sample.unknown < len(sample.weight):
        return _untestable(
            by,
            sample,
            f"the probabilities of {sample.unknown:,} traces are not known, those of the others are: leave them out, or give a design",
        )
    return _compared(sample, given, by, level, method)


def _compared(sample: _Mix, given: _Reference, by: str, level: str, method: str) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    known = np.array([label in given.share for label in sample.labels], np.bool_)
    strange = shares_of(sample.counts, sample.weight).share[~known].sum() if not known.all() else 0.0
    labels, place = _pooled(sample, given)
    if len(labels) < 2:
        return _untestable(
            by, sample, f"there is one group only: {labels[0]}" if labels else "no group is in the reference"
        )
    counts = _regrouped(sample.counts, np.array([place.get(label, -1) for label in sample.labels]), len(labels))
    expected = np.zeros(len(labels))
    for label, share in given.share.items():
        expected[place[label]] += share
    shares = _shares(sample, given, counts, place, len(labels))
    equal = bool(float(sample.weight.max()) - float(sample.weight.min()) < 1e-9)
    test = mix_test(shares, expected, method="plain" if level == "trace" and equal and given.mix is None else method)
    band = null_band(shares, expected)
    apart = shares.share - expected
    distance, half = float(np.abs(apart).sum() / 2), _half(shares, apart)
    failed = test.p_value < LEVEL
    far = int(np.abs(apart).argmax())
    units = "spans" if level == "span" else "traces"
    rows.append(
        {
            "check": "mix",
            "scope": by,
            "statistic": test.statistic,
            "p_value": test.p_value,
            "effect": distance,
            "lo": max(distance - half, 0.0) if failed else 0.0,
            "hi": min(distance + half, 1.0),
            "n": len(sample.weight),
            "min_detectable": band.detectable,
            "verdict": graded(test.p_value),
            "meaning": (
                f"{distance:.1%} of the {units} would have to be in another group to match the reference, most of all {labels[far]} "
                f"({shares.share[far]:.1%}, reference {expected[far]:.1%})"
                if failed
                else f"the mix of {units} by {by} is that of the reference"
            )
            + f"; distance by chance up to {band.distance:.1%}, stability index {stability_index(shares.share, expected):.2g} (by chance up to "
            f"{band.stability:.2g}), design effect {test.deff:.1f}" + _assumed(sample),
        }
    )
    rows += _share_rows(shares, expected, labels, by, failed=failed, traces=len(sample.weight))
    if strange > 0:
        names = [label for label, there in zip(sample.labels, known, strict=True) if not there]
        rows.append(
            {
                "check": "unknown_groups",
                "scope": by,
                "effect": float(strange),
                "n": len(sample.weight),
                "verdict": "warn",
                "meaning": f"{strange:.1%} of the {units} are in groups that the reference does not have: {', '.join(names[:5])}"
                + (", ..." if len(names) > 5 else ""),
            }
        )
    return check_rows(rows)


def _assumed(sample: _Mix) -> str:
    return "; probabilities are not known and were taken as equal" if sample.unknown else ""


def _half(shares: Shares, apart: NDArray[np.float64]) -> float:
    """Return half the width of the interval of the distance, as a linear function of the shares."""
    sign = np.sign(apart)
    return 1.96 * math.sqrt(max(float(sign @ shares.covariance @ sign), 0.0)) / 2


def _share_rows(
    shares: Shares, expected: NDArray[np.float64], labels: list[str], by: str, *, failed: bool, traces: int
) -> list[dict[str, object]]:
    se = np.sqrt(np.maximum(np.diag(shares.covariance), 0))
    apart = shares.share - expected
    z = np.divide(apart, se, out=np.zeros(len(se)), where=se > 0)
    p_values = holm(two_sided(z).tolist())
    return [
        {
            "check": "share",
            "scope": f"{by}={label}",
            "statistic": float(z[at]),
            "p_value": float(p_values[at]),
            "effect": float(apart[at]),
            "lo": float(apart[at] - 1.96 * se[at]),
            "hi": float(apart[at] + 1.96 * se[at]),
            "n": traces,
            "min_detectable": 2.8 * float(se[at]),
            "verdict": graded(float(p_values[at])) if failed else "ok",
            "meaning": f"{shares.share[at]:.2%}, reference {expected[at]:.2%}",
        }
        for at, label in enumerate(labels)
    ]


def _untestable(by: str, sample: _Mix, meaning: str) -> pd.DataFrame:
    return check_rows(
        [{"check": "mix", "scope": by, "n": len(sample.weight), "verdict": "not_testable", "meaning": meaning}]
    )


# -- counts of traces by group


def _mix_of(spans: pd.DataFrame, by: str, level: str, edges: NDArray[np.float64] | None) -> _Mix:
    from scipy.sparse import csr_matrix  # noqa: PLC0415 - slow to import

    by_span = _span_weights(spans)
    units = trace_units(spans) if by_span is None else _unweighted(spans)
    group, labels = _groups(spans, by, edges)
    rows, trace = _rows_of(spans, units, level)
    inside = group[rows] >= 0
    rows, trace = rows[inside], trace[inside]
    used, at = np.unique(trace, return_inverse=True)
    pi = units.pi[used]
    unknown = np.isnan(pi)
    each = np.ones(len(rows)) if by_span is None else by_span[rows]
    counts = csr_matrix((each, (at, group[rows])), shape=(len(used), len(labels))) if len(rows) else None
    weight = np.ones(len(used)) if unknown.all() else 1 / np.where(unknown, 1.0, pi)
    ids = pd.factorize(spans["trace_id"])[1]
    return _Mix(counts, labels, weight, pd.Index(ids).take(used), int(unknown.sum()), int((~inside).sum()))


def _span_weights(spans: pd.DataFrame) -> NDArray[np.float64] | None:
    """Return the weights of spans that were sampled one by one; None where traces were sampled as wholes, or nothing is known."""
    if "incl_prob" not in spans.columns:
        return None
    pi = spans["incl_prob"].to_numpy("float64", na_value=np.nan)
    codes, ids = pd.factorize(spans["trace_id"])
    first = np.full(len(ids) + 1, np.nan)
    first[codes[::-1]] = pi[::-1]
    whole = np.isclose(pi, first[codes], rtol=1e-9, atol=0, equal_nan=True) | (codes < 0)
    return None if whole.all() or not ((pi > 0) & (pi <= 1)).all() else 1 / pi


def _unweighted(spans: pd.DataFrame) -> TraceUnits:
    """Return the traces without what their spans tell about probabilities."""
    return trace_units(spans[[name for name in COLUMNS if name in spans.columns]], 1.0)


def _rows_of(spans: pd.DataFrame, units: TraceUnits, level: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows that count, and their traces: all spans, or the root of each trace."""
    if level == "span":
        rows = np.flatnonzero(units.codes >= 0)
        return rows, units.codes[rows]
    roots = TraceFacts(SpanRows(spans), units.codes, units.number).root
    traces = np.flatnonzero(roots >= 0)
    return roots[traces], traces


def _groups(spans: pd.DataFrame, by: str, edges: NDArray[np.float64] | None) -> tuple[NDArray[np.intp], list[str]]:
    if edges is None:
        domain = domain_of(spans, by=by)
        assert domain.group is not None
        assert domain.keys is not None
        return domain.group, domain.keys[by].astype("str").tolist()
    values = spans[by].to_numpy("float64", na_value=np.nan)
    code = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, len(edges) - 2)
    return np.where(np.isnan(values), -1, code), class_names(edges)


def _reference(
    reference: pd.Series | pd.DataFrame, by: str, level: str, edges: NDArray[np.float64] | None
) -> _Reference:
    if isinstance(reference, pd.DataFrame):
        mix = _mix_of(reference, by, level, edges)
        if mix.counts is None:
            raise OptionError(f"the reference has no span with a value of {by!r}")
        share = shares_of(mix.counts, mix.weight).share
        return _Reference({label: float(each) for label, each in zip(mix.labels, share, strict=True) if each > 0}, mix)
    counts = pd.to_numeric(reference, errors="coerce").to_numpy("float64", na_value=np.nan)
    if not (np.isfinite(counts).all() and (counts >= 0).all() and counts.sum() > 0):
        raise OptionError("reference holds counts or shares by group: finite numbers, none negative, not all 0")
    if edges is None:
        labels = [str(label) for label in reference.index]
    else:
        labels = class_names(edges)
        if len(labels) != len(counts):
            raise OptionError(f"reference counts {len(counts)} classes, bins have {len(labels)}")
    if len(set(labels)) < len(labels):
        raise OptionError("reference has a group twice")
    return _Reference(
        {label: count / counts.sum() for label, count in zip(labels, counts.tolist(), strict=True) if count > 0}, None
    )


def _pooled(sample: _Mix, given: _Reference) -> tuple[list[str], dict[str, int]]:
    """Return the groups, and which of them each group of the reference is: small ones are put together."""
    units = float(sample.counts.sum())  # type: ignore[attr-defined]
    ordered = sorted(given.share, key=lambda label: -given.share[label])
    large = [label for label in ordered[:_MOST_GROUPS] if given.share[label] * units >= _LEAST]
    small = ordered[len(large) :]
    labels = sorted(large)
    if small and (sum(given.share[label] for label in small) * units >= _LEAST or len(small) == 1 or not large):
        labels.append(small[0] if len(small) == 1 else _OTHERS)
    elif small and large:
        at = labels.index(large[-1])
        place = {label: at for at, label in enumerate(labels)} | dict.fromkeys(small, at)
        return [*labels[:at], f"{large[-1]} and smaller ones", *labels[at + 1 :]], place
    place = {label: at for at, label in enumerate(labels)}
    return labels, place | dict.fromkeys(small, len(labels) - 1)


def _regrouped(counts: object, to: NDArray[np.intp], groups: int) -> object:
    from scipy.sparse import csr_matrix  # noqa: PLC0415 - slow to import

    rows = np.flatnonzero(to >= 0)
    return counts @ csr_matrix((np.ones(len(rows)), (rows, to[rows])), shape=(len(to), groups))  # type: ignore[operator]


def _shares(sample: _Mix, given: _Reference, counts: object, place: dict[str, int], groups: int) -> Shares:
    """Return the shares; their chance is smaller for a part of the reference, larger where that has a chance of its own."""
    if given.mix is None:
        return shares_of(counts, sample.weight)
    if sample.ids.isin(given.mix.ids).mean() > 0.5:
        # The probabilities that are known are those of being kept out of the reference; else the sample's share of it.
        p = (
            np.full(len(sample.weight), len(sample.weight) / len(given.mix.weight))
            if sample.unknown
            else 1 / sample.weight
        )
        left = np.maximum(1 - p, 0.0)
        return shares_of(counts, sample.weight, left if (left > 1e-9).any() else None)
    shares = shares_of(counts, sample.weight)
    own = _regrouped(given.mix.counts, np.array([place.get(label, -1) for label in given.mix.labels]), groups)
    return shares._replace(covariance=shares.covariance + shares_of(own, given.mix.weight).covariance)
