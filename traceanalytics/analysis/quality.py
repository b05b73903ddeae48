"""What is wrong with the data of traces before anything is concluded from it: one row a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from traceanalytics.analysis.quality_evidence import ALL, NONE, Evidence
from traceanalytics.analysis.quality_rules import RULES
from traceanalytics.spans.cells import encode_json
from traceanalytics.spans.columns import coded, drop_unused
from traceanalytics.weights import Weights, group_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.analysis.quality_evidence import Found, Rule

__all__ = ["SEVERITY", "diagnose"]

SEVERITY: Final = pd.CategoricalDtype(["info", "warning", "error"], ordered=True)
"""How bad a finding is: information, results are off, or the data are broken."""

_UNIT: Final = pd.CategoricalDtype(["spans", "traces"])
_EXAMPLES: Final = 5
_EVERY_SERVICE: Final = "(all)"


def diagnose(spans: pd.DataFrame, *, weights: Weights = None) -> pd.DataFrame:
    """Answer what is wrong with the data, and what to do about it: one row a rule and service that it found something for.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Filtering spans cuts traces, and the cuts are found here: select whole
        traces with :func:`~traceanalytics.whole_traces`.
    weights
        How many traces each one stands for: the name of a column, or a Series on the frame's index. ``count`` and ``share`` are
        weighted; how many spans it takes to say anything is not.

    Returns
    -------
    pandas.DataFrame
        The worst first: by severity, then count. Empty where nothing was found.

        - ``rule`` (category): the name of the rule, see Notes
        - ``severity`` (ordered category): ``info`` < ``warning`` < ``error``; ``begins_before_parent`` and ``ends_after_parent`` are
          warnings from 0.1 % of the service's spans with a parent
        - ``service`` (category): whose spans they are; of traces, the service of the main root; of ``unanswered_calls``, the
          callee. Missing where the span names none. ``(all)`` where one row serves all services, see Notes
        - ``count`` (float64), ``unit`` (category): how many ``spans`` or ``traces`` were found
        - ``share`` (float64): part of the spans or traces of that service which the rule can judge, 0 to 1: of the spans with a
          parent for ``begins_before_parent``, of the calls for ``unanswered_calls``
        - ``examples`` (str): JSON text of up to five ids of such spans or traces, the smallest first
        - ``meaning``, ``advice`` (str): what it means, and what to do

    Raises
    ------
    SchemaError
        The frame lacks a column, or its index repeats a label; a weight is missing or not positive.
    OptionError
        There is no such column of weights.

    Notes
    -----
    About trees: ``missing_ids``, ``cycles``, ``self_parents``, ``duplicates``, ``ambiguous_parents``, ``orphans``,
    ``missing_callers`` (half or more of the calls into a service are orphans), ``traces_without_root``, ``truncated_traces`` (no
    root, several pieces), ``span_limit``, ``time_cut``, ``several_roots``, ``enclosed_siblings``. Of one trace only one of three is
    said: it has orphans beside a root, no root, or no root and several pieces; ``summary(spans).orphans`` counts all orphans.

    About times: ``negative_durations``, ``untimed_spans``, ``begins_before_parent``, ``ends_after_parent``, both with ``slightly``
    for 1 ms or less, ``begins_after_parent_ended`` (but for what ``clock_offset`` or ``clock_drift`` found), ``clock_offset``,
    ``clock_drift``, both with ``slight``, ``zero_durations`` (20 % or more), ``millisecond_times`` (95 % or more). Messages that a
    consumer takes up, and spans that follow from their parent (``opentracing.ref_type`` of their link to it), are not compared
    with the times of their parent, as nobody waits for them.

    About calls: ``missing_services``, ``local_kinds_across_services``, ``missing_servers`` (a service of which all spans are calls
    of nobody else is the name of a database, and left out), ``inner_servers``, ``client_chains``, ``unanswered_calls`` (cancelled
    calls left out, and so is the one of two equal calls of which the other was answered at the same moment: a hedge),
    ``context_lost``, ``silent_peers``, ``old_conventions``. A span whose parent is
    one of several with that id is judged neither by its kind nor by its parent's, and of such spans, and of those that share their
    own id, none is a missing server or an unanswered call: nobody knows which half of a call they hang on.

    ``millisecond_times``, ``old_conventions`` and ``local_kinds_across_services`` (of 95 % of the calls or more) have one row, of
    the service ``(all)``, where every one of several services has them.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.quality import diagnose
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2"], "parent_span_id": [None, "b7"],
    ...     "name": "stock", "service": "cart", "kind": "INTERNAL", "start_time": t, "duration_ms": [10.0, 8.0]}))
    >>> diagnose(spans)[["rule", "severity", "service", "count", "unit", "share", "examples"]]
          rule severity service  count   unit  share              examples
    0  orphans  warning    cart    1.0  spans    0.5  ["b2"]
    """
    evidence = Evidence(spans, weights)
    rows = [row for rule in RULES for row in _rows(rule, evidence)]
    worst_first = list(SEVERITY.categories)[::-1]
    rows.sort(key=lambda row: (worst_first.index(row["severity"]), -row["count"]))
    return _table(rows, evidence)


def _rows(rule: Rule, evidence: Evidence) -> list[dict[str, Any]]:
    found = rule.find(evidence)
    hits = np.flatnonzero(found.hit)
    if not len(hits):
        return []
    of_spans = rule.unit == "spans"
    service = (evidence.service if of_spans else evidence.root_service) if found.service is None else found.service
    weight = evidence.weight if of_spans else evidence.trace_weight
    counts = _by_service(service, found.hit, weight, len(evidence.services))
    totals = _by_service(service, found.among, weight, len(evidence.services))
    if rule.once is not None and _in_every_service(service, found, counts, totals, rule.once):
        return [_row(rule, evidence, found, (ALL, hits, counts.sum(), totals.sum()))]
    order = hits[np.argsort(service[hits], kind="stable")]
    bounds = np.searchsorted(service[order], np.arange(-1, len(evidence.services) + 1))
    rows = []
    for code in np.unique(service[order]).tolist():
        mine = order[bounds[code + 1] : bounds[code + 2]]
        rows.append(_row(rule, evidence, found, (code, mine, counts[code], totals[code])))
    return sorted(rows, key=lambda row: _name(evidence, row["service"]))


def _in_every_service(
    service: NDArray[np.int32],
    found: Found,
    counts: NDArray[np.float64],
    totals: NDArray[np.float64],
    least: float,
) -> bool:
    """Tell whether there are several services, each with a finding, and with this share of it or more."""
    codes = np.unique(service[found.among])
    hits = np.isin(codes, service[found.hit])
    return len(codes) > 1 and bool((hits & (counts[codes] >= least * totals[codes] * (1 - 1e-12))).all())


def _row(
    rule: Rule, evidence: Evidence, found: Found, of: tuple[int, NDArray[np.intp], float, float]
) -> dict[str, Any]:
    code, mine, count, total = of
    share = float(count / total)
    return {
        "rule": rule.name,
        "severity": "info" if share < rule.rare else rule.severity,
        "service": code,
        "count": float(count),
        "unit": rule.unit,
        "share": share,
        "examples": encode_json(_examples(evidence, mine, of_spans=rule.unit == "spans")),
        "meaning": " ".join(filter(None, [rule.meaning, found.detail.get(code)])),
        "advice": rule.advice,
    }


def _by_service(
    service: NDArray[np.int32], mask: NDArray[np.bool_], weight: NDArray[np.float64], services: int
) -> NDArray[np.float64]:
    """Return the weight of each service; the last element, also found by the code -1, is of those without one."""
    code = service[mask]
    return group_sums(np.where(code < 0, services, code), services + 1, np.ones(len(code)), weight[mask])


def _name(evidence: Evidence, code: int) -> str:
    return str(evidence.services[code]) if code >= 0 else _EVERY_SERVICE if code == ALL else ""


def _examples(evidence: Evidence, found: NDArray[np.intp], *, of_spans: bool) -> list[str]:
    if not of_spans:
        ids = evidence.forest.trace_ids.take(found)
        return sorted(str(x) for x in ids[ids.notna()])[:_EXAMPLES]
    number = evidence.forest.id_order[found]
    some = found[np.argpartition(number, _EXAMPLES)[:_EXAMPLES]] if len(found) > _EXAMPLES else found
    return sorted({str(x) for x in evidence.spans["span_id"].iloc[some].dropna()})


def _table(rows: list[dict[str, Any]], evidence: Evidence) -> pd.DataFrame:
    names = [rule.name for rule in RULES]
    codes = [row["service"] for row in rows]
    # A service may bear the very name that stands for all of them: each name is one label.
    used = sorted({_name(evidence, code) for code in codes if code != NONE})
    place = {name: at for at, name in enumerate(used)}
    columns: dict[str, Any] = {
        "rule": drop_unused(coded(np.array([names.index(row["rule"]) for row in rows], dtype=np.int8), names)),
        "severity": pd.Categorical([row["severity"] for row in rows], dtype=SEVERITY),
        "service": coded(
            np.array([place[_name(evidence, c)] if c != NONE else -1 for c in codes], dtype=np.int32), used
        ),
        "count": np.array([row["count"] for row in rows], dtype=np.float64),
        "unit": pd.Categorical([row["unit"] for row in rows], dtype=_UNIT),
        "share": np.array([row["share"] for row in rows], dtype=np.float64),
    }
    for name in ("examples", "meaning", "advice"):
        columns[name] = pd.array([row[name] for row in rows], dtype="str")
    return pd.DataFrame(columns, copy=False)
