"""The filter that finds chosen spans again, in this frame or in Tempo."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from traceanalytics.errors import QueryError, SchemaError
from traceanalytics.spans.columns import codes_of
from traceanalytics.spans.schema import check_spans
from traceanalytics.traceql.literals import quoted
from traceanalytics.traceql.tokens import LONGEST

__all__ = ["query_of"]


def query_of(spans: pd.DataFrame, chosen_mask: Any) -> str:
    """Return the TraceQL filter that finds the chosen spans, and of this frame no others.

    To share a finding: the text goes into a message or into Tempo's search, and :func:`matches` finds the same spans again.

    Parameters
    ----------
    spans
        The whole span frame, so that an id which several spans bear is noticed.
    chosen_mask
        True or False a span: a bool Series on the index of ``spans``, in any order, or an array or list as long as ``spans``. A
        missing value counts as False.

    Returns
    -------
    str
        ``{ trace:id = "..." && (span:id = "a" || span:id = "b") }``. A trace of which every span is chosen is named by its
        id alone; ``{}`` are all spans of the frame, ``{ false }`` none. Where another span of the trace that is not chosen
        bears the id (the two sides of a Zipkin call do), ``span:kind`` is added.

    Raises
    ------
    SchemaError
        The mask does not fit the spans, or a chosen span has no id.
    QueryError
        The filter would be longer than 100,000 characters (some 2,900 spans), which :func:`matches` would not read.

    Notes
    -----
    Spans with the same trace, id and kind cannot be told apart, and duplicates are such: if one is chosen, all are found.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> from traceanalytics.traceql import query_of
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1", "a1", "a2"], "span_id": ["b1", "b2", "b3"], "name": ["GET"] * 3}))
    >>> print(query_of(spans, spans.span_id == spans.span_id[0]))
    { trace:id = "a1" && span:id = "b1" }
    >>> print(query_of(spans, spans.trace_id == spans.trace_id[2]))
    { trace:id = "a2" }
    """
    check_spans(spans, "trace_id", "span_id", "kind")
    chosen = _fitted(chosen_mask, spans.index)
    if not chosen.any():
        return "{ false }"
    if chosen.all():
        return "{}"
    trace, labels = codes_of(spans["trace_id"])
    _check_ids(spans, chosen, trace)
    named = {code: f"trace:id = {quoted(str(labels[code]))}" for code in np.unique(trace[chosen]).tolist()}
    sizes, sizes_chosen = (np.bincount(t, minlength=len(labels)) for t in (trace[trace >= 0], trace[chosen]))
    whole = np.append(sizes == sizes_chosen, False)[trace] & chosen
    _check_length(int((chosen & ~whole).sum()) * len('span:id = "b1"'))
    touched = np.zeros(len(labels) + 1, bool)
    touched[trace[chosen & ~whole]] = True  # an id is looked up in these traces only
    rows = np.flatnonzero(touched[trace])
    parts = [named[code] for code in np.unique(trace[whole]).tolist()]
    parts += _of_spans(spans.iloc[rows], chosen[rows], trace[rows], named)
    query = f"{{ {_any_of(parts) if len(parts) > 1 else parts[0]} }}"
    _check_length(len(query))
    return query


def _of_spans(spans: pd.DataFrame, chosen: Any, trace: Any, named: dict[int, str]) -> list[str]:
    """Return conditions on the chosen spans: one on all whose ids are theirs alone, one each on the others."""
    kinds = spans["kind"].astype("str").str.lower()
    table = pd.DataFrame({"trace": trace, "id": spans["span_id"].to_numpy(object), "kind": kinds.to_numpy(object)})
    others = pd.Series(~chosen)
    elsewhere = others.groupby(table["id"]).transform("any").to_numpy(bool)[chosen]
    beside = others.groupby([table["trace"], table["id"]]).transform("any").to_numpy(bool)[chosen]
    table = table[chosen]
    clear = table[~elsewhere]
    found = []
    if len(clear):
        traces = [named[code] for code in pd.unique(clear["trace"])]
        ids = [f"span:id = {quoted(name)}" for name in pd.unique(clear["id"])]
        found.append(f"{_any_of(traces)} && {_any_of(ids)}")
    for (code, name, kind), same in zip(table[elsewhere].itertuples(index=False), beside[elsewhere], strict=True):
        by_kind = f" && span:kind = {kind}" if same and isinstance(kind, str) else ""
        found.append(f"{named[code]} && span:id = {quoted(name)}{by_kind}")
    return list(dict.fromkeys(found))


def _any_of(conditions: list[str]) -> str:
    """Join conditions by ``||``: in brackets, as it is no weaker than ``&&``."""
    if len(conditions) == 1:
        return conditions[0]
    return f"({' || '.join(f'({c})' if ' && ' in c else c for c in conditions)})"


def _check_length(characters: int) -> None:
    if characters > LONGEST:
        raise QueryError(
            f"the filter would have some {characters:,} characters, expected at most {LONGEST:,}; choose fewer spans or whole traces, or keep the ids: spans.span_id.isin(ids)"
        )


def _check_ids(spans: pd.DataFrame, chosen: Any, trace: Any) -> None:
    nameless = chosen & ((trace < 0) | spans["span_id"].isna().to_numpy())
    if nameless.any():
        at = int(np.flatnonzero(nameless)[0])
        raise SchemaError(
            f"{int(nameless.sum()):,} of the chosen spans have no trace id or no span id (the first at row {at}), so no filter can name them"
        )


def _fitted(mask: Any, index: pd.Index) -> Any:
    if isinstance(mask, pd.Series):
        if len(mask) != len(index) or not mask.index.is_unique or (mask.index.get_indexer(index) < 0).any():
            raise SchemaError("the labels of the mask are not those of the spans; make the mask from the same frame")
        mask = mask.reindex(index)
    values = pd.array(list(mask) if not hasattr(mask, "dtype") else mask)
    if len(values) != len(index):
        raise SchemaError(f"the mask has {len(values):,} values for {len(index):,} spans; give one a span")
    if not len(values):
        return np.zeros(0, bool)
    if not pd.api.types.is_bool_dtype(values.dtype):
        raise SchemaError(
            f"the mask has the type {values.dtype}, expected bool: a comparison such as spans.status == 'ERROR'"
        )
    return pd.Series(values).fillna(False).to_numpy(bool)
