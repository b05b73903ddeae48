"""Completeness of sampled traces: parents that are missing, told apart by whether sampling was to leave them out.

A span whose parent is not in the data is an orphan. Where every service keeps a trace with a rate of its own, by the same random
bits, a service that keeps more than its caller has orphans by design. A parent-child pair that is complete was kept with the
smaller of two probabilities, and so stands for ``max(1, p_child / p_parent)`` children: as many orphans as these stand for beyond
themselves are expected. Orphans beyond that were lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from traceanalytics.errors import SchemaError
from traceanalytics.sampling.check_table import check_rows, holm
from traceanalytics.sampling.intervals import wilson
from traceanalytics.sampling.span_thresholds import state_column
from traceanalytics.sampling.thresholds import SCALE
from traceanalytics.spans.columns import codes_of
from traceanalytics.topology.flags import Flag
from traceanalytics.topology.forest import Forest

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["EDGE_COLUMNS", "LEVEL", "OrphanTest", "check_completeness", "graded", "orphan_test"]

EDGE_COLUMNS: Final = ("edge", "children", "orphans", "orphan_share", "expected_share", "keep_hat")
"""Columns before those of a check."""

LEVEL: Final = 0.05
"""Below this a p-value is a doubt."""
_SURE: Final = 0.001
"""Below this it is a contradiction."""
_FEW: Final = 20
"""Traces with an orphan or a pair that stands for others, below which nothing is tested against the design."""
_SMALL: Final = 0.01
"""A smaller share of orphans is a doubt, a larger one a contradiction."""


class OrphanTest(NamedTuple):
    """Orphans against those that the design makes; one entry a group."""

    children: NDArray[np.float64]
    orphans: NDArray[np.float64]
    expected: NDArray[np.float64]
    """Orphans that the complete pairs stand for."""
    se: NDArray[np.float64]
    """Standard error of ``orphans - expected``, from the differences between traces."""
    traces: NDArray[np.float64]
    """Traces with such children."""
    informative: NDArray[np.float64]
    """Traces that add to either number."""
    spread: NDArray[np.float64]
    """Variance of the share of orphans."""
    p_value: NDArray[np.float64]


def graded(p_value: float) -> str:
    """Return the verdict on a p-value: a report runs many checks, so that one in twenty is no contradiction.

    >>> graded(0.3), graded(0.02), graded(1e-9)
    ('ok', 'warn', 'fail')
    """
    return "fail" if p_value < _SURE else "warn" if p_value < LEVEL else "ok"


def orphan_test(
    trace: NDArray[np.intp],
    group: NDArray[np.intp],
    orphan: NDArray[np.bool_],
    excess: NDArray[np.float64],
    groups: int,
) -> OrphanTest:
    """Compare the orphans of every group with those that its complete pairs stand for, traces being the independent units.

    Parameters
    ----------
    trace, group
        Numbers, one entry a child; a group may be a service, or a simulated run.
    orphan
        Children without a parent.
    excess
        ``max(1, p_child / p_parent) - 1`` of the children with a parent; of no meaning for orphans.
    groups
        How many groups there are.

    Notes
    -----
    Whatever the structure of the traces, ``orphan - excess * (not orphan)`` has expectation 0 for every child that was kept.

    Examples
    --------
    >>> found = orphan_test(np.arange(4), np.zeros(4, int), np.array([True, True, True, False]), np.full(4, 3.0), 1)
    >>> found.orphans, found.expected
    (array([3.]), array([3.]))
    """
    over = np.where(orphan, 0.0, excess)
    code, pairs = pd.factorize(trace * groups + group)
    of = pairs % groups
    lost, due, many = (
        np.bincount(code, weights=values, minlength=len(pairs)).astype(np.float64)
        for values in (orphan.astype(float), over, np.ones(len(code)))
    )

    def summed(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(of, weights=values, minlength=groups).astype(np.float64)

    children, orphans, expected, traces = summed(many), summed(lost), summed(due), summed(np.ones(len(of)))
    se = np.sqrt(summed((lost - due) ** 2))
    informative = summed(((lost > 0) | (due > 0)).astype(np.float64))
    share = orphans / np.maximum(children, 1)
    spread = summed((lost - share[of] * many) ** 2) / np.maximum(children, 1) ** 2
    t = np.divide(orphans - expected, se, out=np.zeros(groups), where=se > 0)
    p_value = np.where(expected > 0, 2 * stdtr(np.maximum(informative - 1, 1), -np.abs(t)), np.nan)
    return OrphanTest(children, orphans, expected, se, traces, informative, spread, p_value)


def check_completeness(spans: pd.DataFrame, *, by: str = "service") -> pd.DataFrame:
    """Tell lost spans from spans that sampling was to leave out: orphans of every service, missing roots, repeated spans.

    Parameters
    ----------
    spans
        A span frame.
    by
        The column that groups children: one row for each of its values.

    Returns
    -------
    pandas.DataFrame
        One row for all children, one for each value of ``by``, then one each for where the orphans are, for missing roots, and for
        repeated spans; first

        - ``edge`` (str): callers and the callee, "?" for a caller of which no span is there
        - ``children`` (Int64): spans that name a parent (in the last rows: traces, and spans)
        - ``orphans`` (Int64): those whose parent is missing (traces without a root; repeated spans)
        - ``orphan_share`` (float64): orphans / children
        - ``expected_share`` (float64): the share that the thresholds in tracestate bring about; 0 without thresholds, as whole
          traces have no orphans
        - ``keep_hat`` (float64): share of the parents that arrived of those that sampling should have left

        and then the columns of a check (:func:`~traceanalytics.sampling.check_table.check_rows`): ``effect`` is the share of orphans
        beyond the expected one, ``n`` counts traces, ``statistic`` is Student's t. The p-values, corrected for the number of rows
        by Holm's method, are those of the test against the expected share (below .05 a ``warn``, below .001 a ``fail``); where no orphan is expected none is needed: any is a
        ``warn``, from 1 % of the children on a ``fail``.

    Raises
    ------
    SchemaError
        The frame is no span frame, or has no column ``by``.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> spans = ta.simulate.Shop(seed=1).run(50)[0]
    >>> found = check_completeness(spans)
    >>> found[["check", "edge", "children", "orphans", "keep_hat", "verdict"]].head(1)
         check        edge  children  orphans  keep_hat verdict
    0  orphans  any -> any      1141        0       1.0      ok
    """
    forest = Forest(spans)
    if by not in spans.columns:
        raise SchemaError(
            f"no column {by!r} to group children by; there are {', '.join(map(repr, spans.columns[:20]))}"
        )
    codes, labels = codes_of(spans[by])
    names = [*map(str, labels), f"(no {by})"]
    group = np.where(codes < 0, len(labels), codes).astype(np.intp)
    p = _probabilities(spans)
    found = _Children(forest, group, p)
    rows = _orphan_rows(found, names, by)
    if not len(found.rows):
        rows = [_none("orphans", "all", "no span names a parent, so nothing can be missing between spans")]
    rows += [_where_row(found, names, by), _root_row(forest, p), _repeated_row(forest)]
    return _table(rows)


class _Children:
    """The spans that name a parent, duplicates left out."""

    def __init__(self, forest: Forest, group: NDArray[np.intp], p: NDArray[np.float64]) -> None:
        lost = (forest.flags & np.uint16(Flag.ORPHAN)) > 0
        self.rows = np.flatnonzero((forest.parent >= 0) | lost)
        parent = forest.parent[self.rows]
        self.orphan = lost[self.rows] & (parent < 0)
        self.trace = forest.trace[self.rows].astype(np.intp)
        self.group = group[self.rows]
        self.caller = np.where(self.orphan, -1, group[parent])
        ratio = p[self.rows] / p[parent]
        self.excess = np.where(self.orphan | ~(ratio > 1), 0.0, ratio - 1)
        known = p[~np.isnan(p)]
        self.rates_differ = bool(len(known)) and float(known.min()) != float(known.max())


def _probabilities(spans: pd.DataFrame) -> NDArray[np.float64]:
    """Return the sampling probability of every span by its threshold; NaN where it has none."""
    if "trace_state" not in spans.columns:
        return np.full(len(spans), np.nan)
    states = state_column(spans)
    known = states.of_spans(states.has_threshold & ~states.rejected)
    return np.where(known, 1 - states.of_spans(states.threshold).astype(np.float64) / SCALE, np.nan)


def _orphan_rows(found: _Children, names: list[str], by: str) -> list[dict[str, object]]:
    everything = orphan_test(found.trace, np.zeros(len(found.rows), np.intp), found.orphan, found.excess, 1)
    single = orphan_test(found.trace, found.group, found.orphan, found.excess, len(names))
    unseen = _callees_without_callers(found, len(names))
    shown = np.flatnonzero(single.children > 0)
    edges = _edges(found, names, shown)
    rows = [_orphan_row(everything, 0, "all", "any -> any", unclear=False)]
    rows += [
        _orphan_row(single, at, f"{by}={names[at]}", edges[at], unclear=bool(found.rates_differ and unseen[at]))
        for at in shown.tolist()
    ]
    tested = [row for row in rows if not np.isnan(row["p_value"])]  # type: ignore[call-overload]
    for row, p in zip(tested, holm([float(row["p_value"]) for row in tested]), strict=True):  # type: ignore[arg-type]
        row["p_value"] = float(p)
        if p < LEVEL:
            row["verdict"], row["meaning"] = graded(float(p)), _against_design(row)
    return rows


def _orphan_row(test: OrphanTest, at: int, scope: str, edge: str, *, unclear: bool) -> dict[str, object]:
    children, orphans, expected = (float(values[at]) for values in (test.children, test.orphans, test.expected))
    pairs = children - orphans
    share, due = (
        (orphans / children, expected / (expected + pairs) if expected else 0.0) if children else (np.nan, np.nan)
    )
    row: dict[str, object] = {
        "check": "orphans",
        "scope": scope,
        "edge": edge,
        "children": int(children),
        "orphans": int(orphans),
        "orphan_share": share,
        "expected_share": due,
        "keep_hat": min((1 - share) / (1 - due), 1.0) if children else np.nan,
        "effect": share - due,
        "n": int(test.traces[at]),
        "p_value": np.nan,
    }
    if expected:
        return row | _designed(test, at, pairs, unclear=unclear)
    spread = float(test.spread[at])
    independent = share * (1 - share) / spread if spread > 0 else float(test.traces[at])
    lo, hi = wilson(share, independent) if children else (np.nan, np.nan)
    row |= {"lo": float(lo), "hi": float(hi), "min_detectable": 1 / children if children else np.nan}
    if not orphans:
        return row | {"verdict": "ok", "meaning": "every parent that a span names is there"}
    if unclear:
        return row | {
            "verdict": "not_testable",
            "meaning": f"{int(orphans):,} orphans, and no caller of them was kept: whether its rate is that much lower cannot be told",
        }
    return row | {
        "verdict": "warn" if share < _SMALL else "fail",
        "meaning": f"{int(orphans):,} of {int(children):,} spans ({share:.1%}) name a parent that is missing, and nothing in "
        "their tracestate says that sampling left it out: spans were lost, or single spans were sampled",
    }


def _designed(test: OrphanTest, at: int, pairs: float, *, unclear: bool) -> dict[str, object]:
    """Return the part of a row about a service of which the thresholds make orphans."""
    orphans, expected, se = float(test.orphans[at]), float(test.expected[at]), float(test.se[at])
    scale = pairs / ((orphans + pairs) * (expected + pairs)) if pairs else np.nan
    quantile = -float(stdtrit(max(float(test.informative[at]) - 1, 1.0), LEVEL / 2))
    few = test.informative[at] < _FEW or unclear
    apart = (orphans - expected) * scale
    return {
        "statistic": (orphans - expected) / se if se > 0 else np.nan,
        "p_value": np.nan if few else float(test.p_value[at]),
        "lo": apart - quantile * se * scale,
        "hi": apart + quantile * se * scale,
        "min_detectable": 2.8 * se * scale,
        "verdict": "not_testable" if few else "ok",
        "meaning": f"{int(test.informative[at])} traces tell too little about the expected share"
        if few
        else f"as many parents are missing as the lower rates of callers leave out ({int(orphans):,}, expected {expected:,.0f}): design, not loss",
    }


def _against_design(row: dict[str, object]) -> str:
    more = float(row["effect"]) > 0  # type: ignore[arg-type]
    return f"{row['orphan_share']:.1%} of the children are orphans, {row['expected_share']:.1%} by design: " + (
        "parents were lost" if more else "callers keep more than their thresholds say"
    )


def _callees_without_callers(found: _Children, groups: int) -> NDArray[np.bool_]:
    """Return the groups none of whose children has a parent in another group."""
    across = (found.caller >= 0) & (found.caller != found.group)
    return np.asarray(np.bincount(found.group[across], minlength=groups) == 0)


def _edges(found: _Children, names: list[str], shown: NDArray[np.intp]) -> dict[int, str]:
    pairs = np.unique((found.caller + 1) * len(names) + found.group)  # caller -1: unknown
    callers: dict[int, list[str]] = {int(at): [] for at in shown}
    for pair in pairs.tolist():
        caller, group = pair // len(names) - 1, pair % len(names)
        callers[group].append("?" if caller < 0 else names[caller])
    return {
        at: f"{', '.join([*sorted(some)[:4], *(['...'] if len(some) > 4 else [])])} -> {names[at]}"
        for at, some in callers.items()
    }


def _where_row(found: _Children, names: list[str], by: str) -> dict[str, object]:
    """Orphans of one service alone have one cause: a caller that is not traced, not sampling, which would hit all."""
    row: dict[str, object] = {"check": "orphans_in_one_place", "scope": "all", "edge": "", "verdict": "ok"}
    lost = np.bincount(found.group[found.orphan], minlength=len(names))
    orphans = int(lost.sum())
    if not orphans:
        return row | {"meaning": "there are no orphans"}
    at = int(lost.argmax())
    children = np.bincount(found.group, minlength=len(names))
    share, usual = lost[at] / orphans, children[at] / children.sum()
    traces = len(np.unique(found.trace[found.orphan]))
    row |= {
        "edge": f"? -> {names[at]}",
        "children": int(children[at]),
        "orphans": int(lost[at]),
        "effect": share,
        "n": traces,
    }
    row |= {"orphan_share": float(lost[at] / children[at])}
    if traces < 5 or int((children > 0).sum()) < 2:
        return row | {"verdict": "not_testable", "meaning": "too few orphans, or one place only"}
    if share < 0.9 or usual > 0.5 or found.excess.any():
        return row | {
            "meaning": f"{share:.0%} of the orphans are in {by} {names[at]}, which has {usual:.0%} of the children"
        }
    return row | {
        "verdict": "warn",
        "meaning": f"{share:.0%} of the orphans are in {by} {names[at]}, which has {usual:.0%} of the children: a caller of it that is "
        "not traced (or another place that its spans go to), not sampling, which would hit every service",
    }


def _root_row(forest: Forest, p: NDArray[np.float64]) -> dict[str, object]:
    """Traces without a span that names no parent, against those in which the root's lower rate makes that so."""
    top = np.flatnonzero(
        (forest.depth == 0) & ((forest.flags & np.uint16(Flag.ORPHAN | Flag.CYCLE | Flag.SELF_PARENT)) == 0)
    )
    there = np.zeros(forest.n_traces, np.bool_)
    there[forest.trace[top]] = True
    highest, own = np.zeros(forest.n_traces), np.full(forest.n_traces, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    np.maximum.at(highest, forest.trace[known], p[known])
    own[forest.trace[top[::-1]]] = p[top[::-1]]
    excess = np.where(there & (highest > own), highest / own - 1, 0.0)
    everything = np.arange(forest.n_traces)
    test = orphan_test(everything, np.zeros(forest.n_traces, np.intp), ~there, excess, 1)
    row = _orphan_row(test, 0, "all", "", unclear=False) | {"check": "root_missing"}
    p_value = float(row["p_value"])  # type: ignore[arg-type]
    missing = int(row["orphans"])  # type: ignore[call-overload]
    if not forest.n_traces:
        return row | {"verdict": "not_testable", "meaning": "there is no trace"}
    if p_value < LEVEL:
        return row | {
            "verdict": graded(p_value),
            "meaning": f"{missing:,} traces have no root, {float(test.expected[0]):,.0f} by design",
        }
    if np.isnan(p_value):
        meaning = (
            f"{missing:,} of {forest.n_traces:,} traces have no span without a parent"
            if missing
            else "every trace has its root"
        )
        return row | {"meaning": meaning} if not test.expected[0] else row
    return row | {"meaning": f"{missing:,} traces have no root, as many as the lower rate of roots leaves out"}


def _repeated_row(forest: Forest) -> dict[str, object]:
    repeated = int(((forest.flags & np.uint16(Flag.DUPLICATE)) > 0).sum())
    row: dict[str, object] = {
        "check": "repeated_spans",
        "scope": "all",
        "edge": "",
        "children": forest.n_spans,
        "orphans": repeated,
    }
    row |= {"n": forest.n_traces, "orphan_share": repeated / forest.n_spans if forest.n_spans else np.nan}
    row |= {"effect": row["orphan_share"], "verdict": "warn" if repeated else "ok"}
    if not repeated:
        return row | {"meaning": "no span stands in the data twice"}
    return row | {
        "meaning": f"{repeated:,} spans stand in the data more than once: they are left out, but a count elsewhere may hold them"
    }


def _none(check: str, scope: str, meaning: str) -> dict[str, object]:
    return {"check": check, "scope": scope, "edge": "", "n": 0, "verdict": "not_testable", "meaning": meaning}


def _table(rows: list[dict[str, object]]) -> pd.DataFrame:
    edges = pd.DataFrame([{name: row.get(name) for name in EDGE_COLUMNS} for row in rows], columns=list(EDGE_COLUMNS))
    for name in ("orphan_share", "expected_share", "keep_hat"):
        edges[name] = pd.to_numeric(edges[name]).astype("float64")
    edges = edges.astype({"children": "Int64", "orphans": "Int64", "edge": "str"})
    return pd.concat(
        [edges, check_rows({k: v for k, v in row.items() if k not in EDGE_COLUMNS} for row in rows)], axis=1
    )
