"""The inclusion probabilities that a design gives to traces, as far as the traces tell."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from traceanalytics.errors import SchemaError, near
from traceanalytics.sampling.tail_sampling import tail_probabilities
from traceanalytics.sampling.thresholds import probability, threshold
from traceanalytics.semconv import meanings
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import codes_of
from traceanalytics.spans.schema import OTHER_ATTRIBUTES, check_spans, scope_and_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.sampling.designs import Design
    from traceanalytics.sampling.trace_facts import TraceFacts

__all__ = ["endpoint_probabilities", "endpoint_rules", "probabilities_by_design", "probabilities_by_service"]

_ROOT: Final = ("trace_id", "name", "kind", OTHER_ATTRIBUTES)
"""What endpoint rules need of a root span, beside its attributes."""


def probabilities_by_design(design: Design, facts: TraceFacts) -> NDArray[np.float64]:
    """Return with which probability each trace is kept; NaN where nothing tells."""
    if design.kind == "head":
        return np.full(facts.number, design.p)
    if design.kind == "consistent":
        return _consistent(design, facts)
    if design.kind in ("tail", "errors_always"):
        return tail_probabilities(design, facts)
    if design.kind == "priority":
        # Without its root, a trace's endpoint is not there: the probability is known if all endpoints have the same.
        alike = {p for _, p in design.rules} == {design.p_default}
        return np.where(facts.root < 0, design.p_default if alike else np.nan, endpoint_probabilities(design, facts))
    if design.kind == "dynamic":
        return _recorded(design, facts)
    return np.full(facts.number, np.nan)


def _consistent(design: Design, facts: TraceFacts) -> NDArray[np.float64]:
    if not design.rules:
        return np.full(facts.number, _at_work(design.p))
    largest = np.zeros(facts.number + 1)
    np.maximum.at(largest, facts.codes, probabilities_by_service(design, facts))
    return largest[:-1]


def probabilities_by_service(design: Design, facts: TraceFacts) -> NDArray[np.float64]:
    """Return the probability of every span under probabilities for services."""
    spans = facts.rows.spans
    check_spans(spans, "trace_id", "service")
    codes, labels = codes_of(spans["service"])
    of = dict(design.rules)
    p = np.array([_at_work(of.get(str(label), design.p_default)) for label in labels] + [_at_work(design.p_default)])
    return np.asarray(p[codes])


def endpoint_probabilities(design: Design, facts: TraceFacts) -> NDArray[np.float64]:
    """Return the probabilities of the endpoint rules; a trace without a root matches none of them."""
    of_rules = np.array([p for _, p in design.rules] + [design.p_default])
    return np.asarray(of_rules[_rule_numbers(design, facts)])


def endpoint_rules(design: Design, facts: TraceFacts) -> NDArray[np.object_]:
    """Return the pattern that decides about each trace; ``others`` where none matches."""
    names = np.array([*(pattern for pattern, _ in design.rules), "others"], object)
    return np.asarray(names[_rule_numbers(design, facts)])


def _rule_numbers(design: Design, facts: TraceFacts) -> NDArray[np.intp]:
    spans = facts.rows.spans
    check_spans(spans, "trace_id", "name")
    keys = {key for key, _ in meanings("http.route")}
    wanted = [name for name in spans.columns if name in _ROOT or scope_and_key(str(name))[1] in keys]
    roots = spans[wanted].iloc[np.maximum(facts.root, 0)].reset_index(drop=True)
    names, labels = codes_of(roots["name"])
    routes, paths = codes_of(attribute(roots, "http.route"))
    number = np.full(facts.number, len(design.rules), np.intp)
    for at, (pattern, _) in reversed(list(enumerate(design.rules))):
        found = np.append(_matches(labels, pattern), np.False_)[names]
        found |= np.append(_matches(paths, pattern), np.False_)[routes]
        number[found & (facts.root >= 0)] = at
    return number


def _recorded(design: Design, facts: TraceFacts) -> NDArray[np.float64]:
    spans, name = facts.rows.spans, design.weight_column
    column = spans[name] if name in spans.columns else attribute(spans, name)
    if name not in spans.columns and column.isna().all() and len(spans):
        raise SchemaError(f"no span has the column or attribute {name!r} of {design!r}{near(name, spans.columns)}")
    texts = column.astype("object") if isinstance(column.dtype, pd.CategoricalDtype) else column
    weight = pd.to_numeric(texts, errors="coerce").to_numpy("float64", na_value=np.nan)
    low, high = np.full(facts.number + 1, np.inf), np.full(facts.number + 1, -np.inf)
    told = ~np.isnan(weight)
    np.minimum.at(low, facts.codes[told], weight[told])
    np.maximum.at(high, facts.codes[told], weight[told])
    good = (low == high) & (low >= 1)
    return np.asarray(1 / np.where(good, low, np.nan))[:-1]


def _at_work(p: float) -> float:
    """Return the probability that is at work when p is written as a threshold; 0 stays 0."""
    return probability(threshold(p)) if p >= 2.0**-56 else 0.0


def _matches(labels: pd.Index, pattern: str) -> NDArray[np.bool_]:
    return np.array([str(label) == pattern or fnmatch.fnmatchcase(str(label), pattern) for label in labels], np.bool_)
