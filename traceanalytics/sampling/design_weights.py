"""Weights of traces from what their spans say about their own sampling: tracestate, attributes, or a configured design."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.errors import OptionError, SchemaError, check_option
from traceanalytics.sampling.attributes_in_maps import with_columns_of_maps
from traceanalytics.sampling.designs import Design
from traceanalytics.sampling.span_thresholds import randomness_of_traces, state_column
from traceanalytics.sampling.thresholds import SCALE
from traceanalytics.sampling.trace_facts import SpanRows, TraceFacts
from traceanalytics.spans.attributes_of_spans import attribute as attribute_of
from traceanalytics.spans.columns import text_array
from traceanalytics.spans.schema import check_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SOURCE", "STATUSES", "attach_weights"]

_ORDER: Final = ["tracestate", "attribute", "policy", "config", "reference"]

SOURCE: Final = pd.CategoricalDtype(_ORDER)
"""Where a weight comes from."""

STATUSES: Final = pd.CategoricalDtype(["known", "certain", "unknown", "inconsistent"])
"""How far a weight can be relied upon."""

_UNKNOWN, _INCONSISTENT = 2, 3

_SOURCES: Final = ("auto", "tracestate", "attribute", "design")
_WEIGHTS: Final = ("sampling.adjusted_count", "itemCount", "ItemCount")
"""Attributes that hold the number of traces that one stands for."""

_PROBABILITY: Final = "sampling.probability"
_JAEGER: Final = ("sampler.type", "sampler.param")
_DECIMAL: Final = r"^[0-9]{1,15}(\.[0-9]{1,9})?$"
_AGREE: Final = 0.01
"""Two sources may differ so much: thresholds of few digits and whole-numbered rates are rounded."""


class _Reading(NamedTuple):
    """The weight that one source claims for every trace, NaN where it claims none, and whether the claims are impossible."""

    source: str
    weight: NDArray[np.float64]
    bad: NDArray[np.bool_]


class _Traces(NamedTuple):
    codes: NDArray[np.intp]
    ids: pd.Index

    @property
    def number(self) -> int:
        return len(self.ids)

    def reading(self, source: str, weight: NDArray[np.float64], bad: NDArray[np.bool_]) -> _Reading:
        """Return the claims of the traces from those of their spans; spans that differ make an impossible claim."""
        bad = bad | ((weight < 1) | np.isinf(weight))
        rows = np.flatnonzero(~np.isnan(weight) & ~bad & (self.codes >= 0))
        codes, claimed = self.codes[rows], weight[rows]
        of_trace = np.full(self.number, np.nan)
        of_trace[codes[::-1]] = claimed[::-1]  # the first span's
        impossible = np.zeros(self.number, np.bool_)
        impossible[codes[~np.isclose(claimed, of_trace[codes], rtol=1e-9, atol=0)]] = True
        impossible[self.codes[bad & (self.codes >= 0)]] = True
        return _Reading(source, of_trace, impossible)


def attach_weights(
    spans: pd.DataFrame,
    *,
    design: Design | float | pd.Series | None = None,
    source: str = "auto",
    attribute: str = "SampleRate",
    on_missing: str = "unknown",
) -> pd.DataFrame:
    """Return the spans with the weight of their trace: the number of traces that it stands for.

    A trace is sampled as a whole, so its spans share one weight; a claim on one of them counts for all. A weight that nothing
    tells stays unknown, and functions with ``weights="weight"`` refuse the frame until those traces are left out.

    Parameters
    ----------
    spans
        A span frame.
    design
        What is configured, for traces that say nothing themselves: one probability, a Series of inclusion probabilities on the
        index of ``spans``, or a :class:`Design`, whose rules are applied again to the kept traces. A trace that the design
        never keeps is inconsistent; one that a limiter may have kept stays unknown.
    source
        ``tracestate``: the threshold ``ot=th``. ``attribute``: the attribute (or column) named by ``attribute``. ``design``:
        ``design`` alone. ``auto``: the first of these that tells, with ``sampling.adjusted_count``, ``itemCount`` (Application
        Insights), ``sampling.probability`` and ``sampler.type`` with ``sampler.param`` (Jaeger) before ``design``.
    attribute
        The attribute with the number of spans that one stands for, as Honeycomb's ``SampleRate``.
    on_missing
        ``unknown``: traces without a weight have the status ``unknown``. ``raise``: they are an error.

    Returns
    -------
    pandas.DataFrame
        The spans and, in place of columns of these names: ``weight`` (traces, at least 1; NaN unless known or certain),
        ``incl_prob`` (1 / weight, the probability of being kept), ``weight_source`` (category: tracestate, attribute, policy,
        config, reference; missing where nothing tells), ``weight_status`` (category). The statuses: ``known``; ``certain``, kept with
        probability 1; ``unknown``; ``inconsistent``: a tracestate that is rejected, or whose threshold should have dropped the
        trace, a weight below 1, spans of one trace with different weights, recorded sources more than 1 % apart.

    Raises
    ------
    OptionError
        ``source``, ``on_missing`` or ``design`` is not as described.
    SchemaError
        The frame is no span frame, or traces have no weight and ``on_missing`` is ``raise``.

    Notes
    -----
    A Jaeger trace of a rate limiter or of the lower bound has no known probability, whatever ``sampler.param`` says. Ids that were
    replaced after sampling no longer decide as the original ones did: their thresholds appear inconsistent.

    Examples
    --------
    >>> spans = pd.DataFrame({"trace_id": ["a", "a", "b", "c"], "trace_state": ["ot=th:c", None, "ot=th:0", None]})
    >>> attach_weights(spans)[["trace_id", "weight", "incl_prob", "weight_source", "weight_status"]]
      trace_id  weight  incl_prob weight_source weight_status
    0        a     4.0       0.25    tracestate         known
    1        a     4.0       0.25    tracestate         known
    2        b     1.0       1.00    tracestate       certain
    3        c     NaN        NaN           NaN       unknown
    """
    check_option("source", source, _SOURCES)
    check_option("on_missing", on_missing, ("unknown", "raise"))
    check_spans(spans, "trace_id")
    if source == "design" and design is None:
        raise OptionError("source='design' needs a design: a probability, or a Series of them")
    codes, ids = pd.factorize(spans["trace_id"])
    traces = _Traces(codes, ids)
    readings = _recorded(spans, traces, source, attribute)
    weight, chosen, bad = _joined(readings, traces.number)
    if design is not None and source in ("auto", "design"):
        configured = _configured(spans, traces, design)
        silent = np.isnan(weight) & ~bad
        weight[silent], bad[silent] = configured.weight[silent], configured.bad[silent]
        told = silent & (~np.isnan(configured.weight) | configured.bad)
        chosen[told] = _ORDER.index(configured.source)
    status = np.select([bad, np.isnan(weight), weight == 1], [_INCONSISTENT, _UNKNOWN, 1], 0).astype(np.int8)
    missing = int((status >= _UNKNOWN).sum())
    if on_missing == "raise" and (missing or (codes < 0).any()):
        raise SchemaError(
            f"{missing:,} of {len(ids):,} traces have no usable weight ({int(bad.sum()):,} inconsistent, the others unknown), and "
            f"{int((codes < 0).sum()):,} spans no trace id: give a design, or leave them out by weight_status with on_missing='unknown'"
        )
    return _attached(spans, codes, weight, chosen, status)


def _recorded(spans: pd.DataFrame, traces: _Traces, source: str, attribute: str) -> list[_Reading]:
    readings: list[_Reading] = []
    if source in ("auto", "tracestate") and "trace_state" in spans.columns:
        readings.append(_of_tracestate(spans, traces))
    if source not in ("auto", "attribute"):
        return readings
    names = [attribute] if source == "attribute" else list(dict.fromkeys((attribute, *_WEIGHTS)))
    spans = with_columns_of_maps(spans, names if source == "attribute" else [*names, _PROBABILITY, *_JAEGER])
    for name in names:
        column = _column(spans, name)
        if column is not None:
            readings.append(traces.reading("attribute", *_numbers(column)))
    if source == "auto":
        column = _column(spans, _PROBABILITY)
        if column is not None:
            readings.append(_of_probability(traces, "attribute", *_numbers(column)))
        readings += _of_jaeger(spans, traces)
    return readings


def _of_tracestate(spans: pd.DataFrame, traces: _Traces) -> _Reading:
    states = state_column(spans)
    weight = np.full(len(states.threshold) + 1, np.nan)
    told = np.flatnonzero(states.has_threshold & ~states.rejected)
    weight[told] = SCALE / (np.uint64(SCALE) - states.threshold[told]).astype(np.float64)
    bad = states.of_spans(states.rejected)
    if (states.threshold[told] > 0).any():  # nothing is below a threshold of zero
        bits, known = randomness_of_traces(traces.codes, traces.ids, states)
        bad = bad | (known & (bits < states.of_spans(states.threshold)))
    return traces.reading("tracestate", weight[states.codes], bad)


def _of_probability(traces: _Traces, source: str, p: NDArray[np.float64], odd: NDArray[np.bool_]) -> _Reading:
    odd = odd | (p <= 0) | (p > 1)
    return traces.reading(source, 1 / np.where(odd, np.nan, p), odd)


def _of_jaeger(spans: pd.DataFrame, traces: _Traces) -> list[_Reading]:
    kind, parameter = (_column(spans, name) for name in _JAEGER)
    if kind is None or parameter is None:
        return []
    labels = kind.astype("category")
    constant, drawn = ((labels == label).to_numpy(bool, na_value=False) for label in ("const", "probabilistic"))
    p, odd = _numbers(parameter)
    p, odd = np.where(drawn, p, np.nan), odd & drawn
    rows = np.flatnonzero(constant)
    always = parameter.iloc[rows].astype("str").str.lower().isin(["true", "1", "1.0"]).to_numpy(bool)
    p[rows[always]] = 1.0
    return [_of_probability(traces, "attribute", p, odd)]


def _configured(spans: pd.DataFrame, traces: _Traces, design: Design | float | pd.Series) -> _Reading:
    if isinstance(design, Design):
        return _of_design(TraceFacts(SpanRows(spans), traces.codes, traces.number), design)
    if isinstance(design, pd.Series):
        p, odd = _numbers(design.reindex(spans.index))
        return _of_probability(traces, "policy", p, odd)
    if not (_is_number(design) and 0 < design <= 1):
        raise OptionError(f"design={design!r} is no probability above 0 and up to 1, no Series of them, and no Design")
    return _of_probability(traces, "config", np.full(len(spans), float(design)), np.zeros(len(spans), np.bool_))


def _of_design(facts: TraceFacts, design: Design) -> _Reading:
    if design.is_by_span:  # the spans of a trace have weights of their own, which are in their tracestate
        return _Reading("policy", np.full(facts.number, np.nan), np.zeros(facts.number, np.bool_))
    p = design.probabilities(facts)
    impossible = p <= 0  # it is here, though the design never keeps it
    return _Reading("config" if design.is_constant else "policy", 1 / np.where(impossible, np.nan, p), impossible)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _column(spans: pd.DataFrame, name: str) -> pd.Series | None:
    """Return a column or an attribute; None where no span has it."""
    column = spans[name] if name in spans.columns else attribute_of(spans, name)
    return column if column.notna().any() else None


def _numbers(column: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the numbers, NaN where there is none, and where something stands that is no number."""
    if isinstance(column.dtype, pd.StringDtype):
        values = _numbers_of_texts(text_array(column))
    elif isinstance(column.dtype, pd.CategoricalDtype):
        labels = pd.to_numeric(pd.Series(column.cat.categories, dtype="object"), errors="coerce")
        values = np.append(labels.to_numpy("float64", na_value=np.nan), np.nan)[column.cat.codes]
    else:
        values = pd.to_numeric(column, errors="coerce").to_numpy("float64", na_value=np.nan)
    return values, column.notna().to_numpy() & np.isnan(values)


def _numbers_of_texts(texts: pa.LargeStringArray) -> NDArray[np.float64]:
    """Return what pandas.to_numeric does, but plain decimal numbers without a Python step each."""
    plain = pc.match_substring_regex(texts, _DECIMAL)
    values = np.array(pc.if_else(plain, texts, None).cast(pa.float64()), dtype=np.float64)
    others = np.flatnonzero(np.asarray(pc.equal(plain, pa.scalar(False)).fill_null(False), dtype=np.bool_))
    if len(others):
        codes, labels = pd.factorize(pd.Series(texts.take(pa.array(others)).to_pandas(), dtype="object"))
        values[others] = pd.to_numeric(pd.Series(labels), errors="coerce").to_numpy("float64", na_value=np.nan)[codes]
    return values


def _joined(readings: list[_Reading], count: int) -> tuple[NDArray[np.float64], NDArray[np.int8], NDArray[np.bool_]]:
    """Return weight, source (-1: none) and impossibility of the traces: the first source counts, the others must agree."""
    weight, chosen, bad = np.full(count, np.nan), np.full(count, -1, np.int8), np.zeros(count, np.bool_)
    for reading in readings:
        told = ~np.isnan(reading.weight)
        apart = told & ~np.isnan(weight) & ~np.isclose(weight, reading.weight, rtol=_AGREE, atol=0)
        bad |= reading.bad | apart
        chosen[(told | reading.bad) & (chosen < 0)] = _ORDER.index(reading.source)
        weight = np.where(np.isnan(weight), reading.weight, weight)
    return weight, chosen, bad


def _attached(
    spans: pd.DataFrame,
    codes: NDArray[np.intp],
    weight: NDArray[np.float64],
    chosen: NDArray[np.int8],
    status: NDArray[np.int8],
) -> pd.DataFrame:
    # A span without a trace id belongs to no trace: code -1 takes the entry after the last trace.
    of_span = np.append(np.where(status == _INCONSISTENT, np.nan, weight), np.nan)[codes]
    return spans.assign(
        weight=of_span,
        incl_prob=1 / of_span,
        weight_source=pd.Categorical.from_codes(np.append(chosen, np.int8(-1))[codes], dtype=SOURCE),
        weight_status=pd.Categorical.from_codes(np.append(status, np.int8(_UNKNOWN))[codes], dtype=STATUSES),
    )
