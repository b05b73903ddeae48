"""Traces that can be given away: the same structure and times, none of the texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from traceanalytics.analysis.masked_items import masked_events, masked_links
from traceanalytics.analysis.masks import Masks
from traceanalytics.errors import OptionError
from traceanalytics.spans.columns import NAT, coded, codes_of, drop_unused, instants, start_ns
from traceanalytics.spans.schema import CORE, KIND, OPTIONAL, STATUS, check_spans, is_attribute_column
from traceanalytics.topology.repeats import fixed_codes

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["anonymize"]

_AS_IT_IS = ("kind", "duration_ms", "status", "trace_flags")


def anonymize(spans: pd.DataFrame, *, keep: Sequence[str] = (), seed: int | str | bytes) -> pd.DataFrame:
    """Return the spans without anything that names a system, a person or a time, for a bug report or another team.

    Parents, order, durations, kinds, statuses and all distances in time stay, so that critical paths, self times, graphs and
    errors come out as before, under other names. Every text becomes a token (``service-3f2a9c01b7de``): the same value has the same
    token everywhere in its family of columns, and in every frame that is anonymised with the same seed.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order.
    keep
        Glob patterns of what stays as it is: columns (``"service"``, ``"name"``, ``"status_message"``, ``"start_time"``, ``"span_id"``,
        columns of your own), attributes with or without scope (``"http.route"``, ``"resource.k8s.*"``), attributes of events and
        links (``"exception.type"``, ``"event.*"``; ``"event.name"`` for the events' names), ``"events"`` and ``"links"`` for all of
        their texts. Kept are texts whole, and with the keys they stand under.
    seed
        The secret that tokens, ids and the shift of time are drawn from. Whoever knows it can test guesses of a name: take
        ``secrets.token_hex()`` and keep it, or throw it away. An integer such as 0 protects from nobody.

    Returns
    -------
    pandas.DataFrame
        A span frame with the rows in their order and the index 0, 1, 2, ...; its columns:

        - ``trace_id``, ``span_id``, ``parent_span_id``, ids in links: other hex digits, as many as before (16 where there were
          fewer), consistently
        - ``name``, ``service``, ``scope_name``, ``scope_version``, ``status_message``: tokens. ``service.name``, ``service.peer.name`` and
          ``server.address`` share the tokens of ``service``
        - ``start_time`` and times of events: earlier by a number of whole seconds, the same for all, of 1 to 20 years
        - ``kind``, ``duration_ms``, ``status``, ``trace_flags``, ``dropped_*``: unchanged
        - ``events``: number, times and the names of common ones (``exception``, ``message``, ``log``) stay, other names and all
          attributes are masked. ``links``: as ids and attributes are
        - attributes: the values that OpenTelemetry's conventions list stay (methods, HTTP and gRPC statuses, names of databases,
          brokers and protocols, resend counts; :data:`~traceanalytics.analysis.masks.STRUCTURE`), every other value is a token,
          numbers and truth values too. Keys outside of the conventions' namespaces become tokens, as do the names of headers

        Gone unless kept: ``trace_state``, ``other_attributes``, schema URLs, columns of your own (weights: keep them by name), the read
        report and everything else in ``attrs``.

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a cell of ``events`` or ``links`` is no JSON list.
    OptionError
        The seed is no integer, text or bytes, or is empty.

    Notes
    -----
    Tokens are 48 bits of keyed BLAKE2b (RFC 7693). What stays may still tell something: how many services there are and how they
    call each other, how long it takes, when in a second. Where an analysis decides between equals by id or name (two
    children that end in the same nanosecond), it may now decide for the other.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.anonymity import anonymize
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2"], "parent_span_id": [None, "b1"],
    ...     "name": "buy", "service": ["web", "bank"], "duration_ms": [10.0, 8.0], "http.request.method": "POST"}))
    >>> shared = anonymize(spans, keep=["name"], seed="of no use elsewhere")
    >>> shared[["service", "name", "duration_ms"]]
                    service name  duration_ms
    0  service-56065e51b53b  buy         10.0
    1  service-4e9e6dfbdba8  buy          8.0
    """
    check_spans(spans)
    masks = Masks(_secret(seed), (keep,) if isinstance(keep, str) else tuple(keep))
    source = spans.set_axis(pd.RangeIndex(len(spans)))
    source.attrs = {}
    made: dict[str, Any] = _ids(source, masks)
    shift = 0 if masks.keeps("start_time") else _shift(source["start_time"], masks)
    for column in source.columns:
        if column not in made and isinstance(column, str):
            made |= _column(source, column, masks, shift)
    ordered = [c for c in (*CORE, *OPTIONAL) if c in made]
    others = sorted(
        (c for c in made if c not in ordered), key=lambda c: (not is_attribute_column(c), _scope_rank(c), c)
    )
    return pd.DataFrame({c: made[c] for c in (*ordered, *others)}, index=source.index, copy=True)


def _scope_rank(column: str) -> int:
    return ("span", "resource", "instrumentation").index(column.partition(".")[0]) if is_attribute_column(column) else 3


def _secret(seed: object) -> bytes:
    if isinstance(seed, bool) or not isinstance(seed, int | str | bytes) or seed in ("", b""):
        raise OptionError(
            f"seed is a {type(seed).__name__}, expected an integer, a text or bytes, not empty: secrets.token_hex()"
        )
    return seed if isinstance(seed, bytes) else str(seed).encode("utf-8", "surrogatepass")


def _ids(source: pd.DataFrame, masks: Masks) -> dict[str, Any]:
    """Return the three columns of ids; a parent id is re-keyed as the span id that it names."""
    trace_id = source["trace_id"]
    made: dict[str, Any] = {
        "trace_id": _whole(trace_id) if masks.keeps("trace_id") else _mapped(trace_id, masks.trace_ids)
    }
    if masks.keeps("span_id"):
        return made | {name: source[name].array for name in ("span_id", "parent_span_id")}
    both = pd.concat([source["span_id"].astype("str"), source["parent_span_id"].astype("str")], ignore_index=True)
    codes, labels = pd.factorize(both)
    texts = pd.array([*masks.span_ids(labels.tolist()), None], dtype="str").take(codes)
    return made | {"span_id": texts[: len(source)], "parent_span_id": texts[len(source) :]}


def _whole(column: pd.Series) -> Any:
    """Return a column as it is, without the labels of spans that are not here."""
    return drop_unused(column.array) if isinstance(column.dtype, pd.CategoricalDtype) else column.array


def _mapped(column: pd.Series, tokens: Any) -> pd.Categorical:
    """Return a category of tokens; only labels in use are looked at, as the others are nobody's business."""
    codes, labels = codes_of(column)
    used = np.unique(codes[codes >= 0])
    place = np.full(len(labels) + 1, -1, dtype=np.int64)
    place[used] = np.arange(len(used))
    words = tokens(labels.take(used).tolist())
    # Different values may share a token where it says no more of them ("" or a mask by pattern).
    again, different = pd.factorize(pd.array(words, dtype="str"))
    return coded(np.append(again, -1)[place[codes]], different)


def _shift(start: pd.Series, masks: Masks) -> int:
    """Return by how many ns times move back: whole seconds, so that what is cut to milliseconds or seconds shows it still."""
    known = start_ns(start)
    known = known[known != NAT]
    room = (int(known.min()) - NAT - 1) // 1_000_000_000 if len(known) else 2**62
    return min(masks.seconds(), max(room, 0)) * 1_000_000_000


def _column(source: pd.DataFrame, name: str, masks: Masks, shift: int) -> dict[str, Any]:
    """Return what becomes of a column: nothing, or one column by its new name."""
    column = source[name]
    special = {"start_time": _moved, "events": _events, "links": _links}.get(name)
    if special is not None:
        return {name: special(column, masks, shift)}
    if masks.keeps(name) or name in _AS_IT_IS or (name in OPTIONAL and "dropped" in name):
        return {name: _kept(column)}
    if name == "trace_state":
        return {name: pd.Series(None, index=source.index, dtype="str").array}
    if name in CORE:
        tokens = _mapped(column, lambda labels: masks.tokens(labels, name))
        return {name: tokens if CORE[name] == "category" else pd.Series(tokens).astype("str").array}
    return _attribute(column, name, masks) if is_attribute_column(name) else {}


def _events(column: pd.Series, masks: Masks, shift: int) -> Any:
    return masked_events(column, masks, shift)


def _links(column: pd.Series, masks: Masks, _shift: int) -> Any:
    return masked_links(column, masks)


def _kept(column: pd.Series) -> Any:
    fixed = {"kind": KIND, "status": STATUS}.get(str(column.name))
    if fixed is None:
        return _whole(column)
    return pd.Categorical.from_codes(fixed_codes(column, fixed), dtype=fixed)  # of texts, or of labels in any order


def _moved(column: pd.Series, _masks: Masks, shift: int) -> Any:
    known = start_ns(column)
    return instants(np.where(known == NAT, NAT, known - np.where(known == NAT, 0, shift)))


def _attribute(column: pd.Series, name: str, masks: Masks) -> dict[str, Any]:
    masked = masks.column(name)
    if masks.is_structure(name) and masks.all_fit(name, column):
        return {masked: _whole(column)}
    texts = column if isinstance(column.dtype, pd.CategoricalDtype) else column.astype("str")
    return {masked: _mapped(texts, lambda labels: masks.values(labels, name))}
