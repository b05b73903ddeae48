"""What is wrong with the data of traces before anything is concluded from it: one row a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from traceanalytics.analysis.quality_evidence import Evidence
from traceanalytics.analysis.quality_rules import RULES
from traceanalytics.spans.cells import encode_json
from traceanalytics.spans.columns import coded
from traceanalytics.weights import Weights, group_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.analysis.quality_evidence import Rule

__all__ = ["SEVERITY", "diagnose"]

SEVERITY: Final = pd.CategoricalDtype(["info", "warning", "error"], ordered=True)
"""How bad a finding is: information, results are off, or the data are broken."""

_UNIT: Final = pd.CategoricalDtype(["spans", "traces"])
_EXAMPLES: Final = 5


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
        - ``severity`` (ordered category): ``info`` < ``warning`` < ``error``
        - ``service`` (category): whose spans they are; of traces, the service of the main root; of ``unanswered_calls``, the
          callee. Missing where the span names none
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
    root, several pieces), ``span_limit``, ``time_cut``, ``several_roots``, ``enclosed_siblings``. About times:
    ``negative_durations``, ``untimed_spans``, ``begins_before_parent``, ``ends_after_parent``, both with ``slightly`` for 1 ms or
    less, ``begins_after_parent_ended``, ``clock_offset``, ``clock_drift``, both with ``slight``, ``zero_durations`` (20 % or more),
    ``millisecond_times`` (95 % or more). About calls: ``missing_services``, ``local_kinds_across_services``, ``missing_servers``,
    ``inner_servers``, ``client_chains``, ``unanswered_calls``, ``silent_peers``, ``old_conventions``. Messages that a consumer takes
    up are not compared with the times of their parent, as nobody waits for them.

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
    order = hits[np.argsort(service[hits], kind="stable")]
    bounds = np.searchsorted(service[order], np.arange(-1, len(evidence.services) + 1))
    rows = []
    for code in np.unique(service[order]).tolist():
        mine = order[bounds[code + 1] : bounds[code + 2]]
        rows.append(
            {
                "rule": rule.name,
                "severity": rule.severity,
                "service": code,
                "count": float(counts[code]),
                "unit": rule.unit,
                "share": float(counts[code] / totals[code]),
                "examples": encode_json(_examples(evidence, mine, of_spans=of_spans)),
                "meaning": " ".join(filter(None, [rule.meaning, found.detail.get(code)])),
                "advice": rule.advice,
            }
        )
    return sorted(rows, key=lambda row: _name(evidence, row["service"]))


def _by_service(
    service: NDArray[np.int32], mask: NDArray[np.bool_], weight: NDArray[np.float64], services: int
) -> NDArray[np.float64]:
    """Return the weight of each service; the last element, also found by the code -1, is of those without one."""
    code = service[mask]
    return group_sums(np.where(code < 0, services, code), services + 1, np.ones(len(code)), weight[mask])


def _name(evidence: Evidence, code: int) -> str:
    return str(evidence.services[code]) if code >= 0 else ""


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
    used = sorted({code for code in codes if code >= 0}, key=lambda code: _name(evidence, code))
    place = {code: at for at, code in enumerate(used)}
    columns: dict[str, Any] = {
        "rule": coded(np.array([names.index(row["rule"]) for row in rows], dtype=np.int8), names),
        "severity": pd.Categorical([row["severity"] for row in rows], dtype=SEVERITY),
        "service": coded(
            np.array([place.get(code, -1) for code in codes], dtype=np.int32), [_name(evidence, c) for c in used]
        ),
        "count": np.array([row["count"] for row in rows], dtype=np.float64),
        "unit": pd.Categorical([row["unit"] for row in rows], dtype=_UNIT),
        "share": np.array([row["share"] for row in rows], dtype=np.float64),
    }
    for name in ("examples", "meaning", "advice"):
        columns[name] = pd.array([row[name] for row in rows], dtype="str")
    return pd.DataFrame(columns, copy=False)
