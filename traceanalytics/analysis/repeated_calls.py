"""N+1: one call for each of many things, where one call could have served them all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from traceanalytics.analysis.covered_time import coverage
from traceanalytics.analysis.fingerprints import families, fingerprint_codes
from traceanalytics.analysis.remote_calls import INTERNAL
from traceanalytics.analysis.retry_evidence import find_retries
from traceanalytics.analysis.retry_groups import id_lists
from traceanalytics.analysis.sibling_order import path_below
from traceanalytics.errors import OptionError
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import coded, codes_of, drop_unused, duration_ms, text_array
from traceanalytics.spans.error_rule import is_error
from traceanalytics.spans.other_attributes import columns_of_others
from traceanalytics.spans.schema import KIND, check_spans, is_attribute_column
from traceanalytics.topology import Forest
from traceanalytics.topology.repeats import fixed_codes
from traceanalytics.weights import span_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from traceanalytics.analysis.covered_time import Coverage
    from traceanalytics.analysis.fingerprints import Families
    from traceanalytics.weights import Weights

__all__ = ["n_plus_one"]

PATTERNS: Final = ["sequential", "concurrent"]
_CONCURRENT_FROM: Final = 1.2
_LEAST_PAUSE_NS: Final = 10_000_000
_PLACE_KEYS: Final = frozenset(
    {
        "page",
        "pagenumber",
        "pageno",
        "pagetoken",
        "nextpagetoken",
        "offset",
        "skip",
        "cursor",
        "aftercursor",
        "startcursor",
        "startingafter",
        "startafter",
        "startindex",
        "continuation",
        "continuationtoken",
        "nexttoken",
        "marker",
        "shard",
        "shardid",
        "shardindex",
        "shardkey",
        "shardname",
        "shardnumber",
        "partition",
        "partitionid",
        "partitionkey",
    }
)
_PAGE: Final = (
    r"(?i)(?:[^\pL\pN]|^)(?:page(?:[_-]?(?:number|no|token))?|offset|skip|cursor|(?:start|starting)[_-]?(?:after|index|cursor)|"
    r"(?:continuation|next)[_-]?(?:page[_-]?)?token|continuation|marker)[\s=/:]+(?P<value>[^&\s,;)/?#]+)"
)
_PLACE: Final = r"(?i)[?&](?:from|start|after|before|(?:since|max|last)(?:_?id)?)=(?P<value>[^&#]+)"
_KEYSET: Final = r"(?i)[<>]=?\s*'?(?P<value>[^\s'),;]+)[^<>]*\border\s+by\b[^<>]*\blimit\b"
_TABLE: Final = r"(?i)\b(?:from|into|update|join)\s+[`\"\[]?[\pL_.]*?(?P<value>\d+)[`\"\]]?(?:\s|$)"
_SHARD: Final = r"(?i)(?:shard|partition)(?:_?(?:id|key|no|number|name))?[\s_=/:.-]*(?P<value>[\pL\pN]+)"
_REST: Final = r"(?i)(?:^|[^\pL])(?:sleep|back-?off|delay|pause|wait)(?:s|ed|ing)?(?:[^\pL]|$)"
_LIMIT: Final = r"(?i)\blimit\s+(?P<value>\d+)\s*,"


def n_plus_one(
    spans: pd.DataFrame, *, min_calls: int = 5, min_share: float = 0.05, min_ms: float = 10.0, weights: Weights = None
) -> pd.DataFrame:
    """Answer which spans call the same thing again and again where one call could do, and what that costs.

    A group is all successful calls of one fingerprint (ids and literals do not count) under one parent, at least
    ``min_calls`` of them, with at least ``min_ms`` and ``min_share`` of the parent's time on the critical path. Attempts of
    retries, as :func:`~traceanalytics.analysis.retry_groups.retries` finds them, are taken out first; a call that tells of its own retries is one
    call. What looks alike and is something else is left out:

    - fan-out to shards: calls of different peers, databases or destinations have different fingerprints; and calls of which each (all but one
      at most) names another shard or partition, in the query, the URL, the name or an attribute, or another table with a number,
      are no repetition
    - polling: between the first and the last call, the pauses in which nothing runs below the parent last at least 10 ms and twice as long
      as a call, on average; steps inside the service that only wait (``sleep``, ``backoff``, ``delay``) are pauses, and no calls
    - pagination: each call (all but one at most) carries another page, offset, cursor or the like, found in the same places, or another last
      key in a query that orders and limits: each needs the one before
    - hedged requests come in twos, and a cache's GET and SET have different fingerprints

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Untimed calls count as calls and take no time.
    min_calls
        Smallest number of calls, 2 or more.
    min_share
        Smallest share of the parent's time on the path, 0 to 1. With 0 here and in ``min_ms``, calls off the path count as well.
    min_ms
        Smallest time on the path, in milliseconds.
    weights
        Column or Series of sampling weights; it becomes the column ``weight``, to sum over.

    Returns
    -------
    pandas.DataFrame
        One row a group, in order of traces (first appearance), of the parent's place in its tree, and of the first call.

        - ``trace_id``, ``service``, ``name``: of the caller, in the frame's own types
        - ``caller_span_id`` (str): the parent of the calls
        - ``callee`` (category): fingerprint
        - ``calls`` (int64)
        - ``total_ms`` (float64): sum of their durations
        - ``path_ms`` (float64): what of them and all below them is on the critical path
        - ``share`` (float64): ``path_ms`` over the time of the caller and all below it on the path; missing where that is 0
        - ``pattern`` (category): ``concurrent`` where durations (within the parent) sum to more than 1.2 times their union, else
          ``sequential``
        - ``saving_if_one_ms`` (float64): what the caller saves if one call of mean duration takes the place of all
        - ``saving_if_parallel_ms`` (float64): what it saves if all of them start at once, and so take as long as the longest
        - ``span_ids`` (str): JSON list of the calls' span ids, in order of time
        - ``weight`` (float64): traces that the trace stands for, 1 without weights

        Both savings are ``path_ms`` less the new duration, and at most the time in which nothing else of the parent's children ran: what
        ran beside the calls still has to be waited for. Pauses between the calls stay as they are, so a saving is a careful one. It is not below 0.

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, a weight is not usable, or a cell of events is no list of events.
    OptionError
        A limit is out of its range, or the weights are no column.

    Notes
    -----
    Five calls under one parent is Sentry's limit, too, and that calls at the same time count as well is what its users asked for; the limit on the path, the two savings and what is left out are this package's own.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.repeated_calls import n_plus_one
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": [f"b{i}" for i in range(7)], "parent_span_id": [None] + ["b0"] * 6,
    ...     "name": ["checkout"] + [f"GET /item/{i}" for i in range(6)],
    ...     "start_time": [t + pd.Timedelta(max(10 * i - 5, 0), "ms") for i in range(7)], "duration_ms": [100.0] + [10] * 6}))
    >>> n_plus_one(spans)[["callee", "calls", "path_ms", "share", "pattern", "saving_if_one_ms"]]
            callee  calls  path_ms  share     pattern  saving_if_one_ms
    0  GET /item/?      6     60.0    0.6  sequential              50.0
    """
    _check_limits(min_calls, min_share, min_ms)
    check_spans(spans)
    weight = span_weights(spans, weights)
    forest = Forest(spans)
    failed = is_error(spans).to_numpy()
    prints = fingerprint_codes(spans)
    resting = _resting(spans, forest)
    counted = ~(failed | resting)
    tried = find_retries(spans, forest, failed, prints)
    counted[tried.rows[np.repeat(np.diff(tried.offsets) > 1, np.diff(tried.offsets))]] = False
    found = families(forest, prints.codes, counted, least=min_calls)
    found = found.take(np.flatnonzero(found.sizes >= min_calls))
    path = path_below(spans, forest)
    on_path = found.sums(path)
    enough = on_path >= np.maximum(min_ms * 1e6, min_share * path[found.parent])
    found = found.take(np.flatnonzero(enough))
    found = found.take(_by_place(found, forest))
    covered, inside = _measured(found, forest, resting)
    concurrent = inside > _CONCURRENT_FROM * covered.union
    kept = np.flatnonzero(~(_polled(found, covered) | _numbered(spans, found)))
    replaceable = np.minimum(covered.union, covered.alone)
    table = _table(spans, forest, found.take(kept), path, replaceable[kept])
    table.insert(4, "callee", pd.Series(drop_unused(coded(found.code[kept], prints.labels))))
    table.insert(9, "pattern", pd.Series(drop_unused(coded(concurrent[kept].astype(np.int8), PATTERNS))))
    return table.assign(weight=weight[found.parent[kept]])


def _check_limits(min_calls: int, min_share: float, min_ms: float) -> None:
    if min_calls < 2:
        raise OptionError(f"min_calls={min_calls!r} is no repetition; give 2 or more calls")
    if not 0 <= min_share <= 1:
        raise OptionError(f"min_share={min_share!r} is no share; give a number from 0 to 1")
    if not (math.isfinite(min_ms) and min_ms >= 0):
        raise OptionError(f"min_ms={min_ms!r} is no length of time; give 0 or more milliseconds")


def _by_place(found: Families, forest: Forest) -> NDArray[np.intp]:
    """Return the families in order of their parent's place in the forest, then of their first call's."""
    place = np.zeros(forest.n_spans, dtype=np.int64)
    place[forest.order] = np.arange(len(forest.order))
    return np.lexsort((place[found.rows[found.offsets[:-1]]], place[found.parent]))


def _resting(spans: pd.DataFrame, forest: Forest) -> NDArray[np.bool_]:
    """Mark steps inside a service, with nothing below, whose name says that they wait."""
    codes, labels = codes_of(spans["name"])
    rests = pc.match_substring_regex(text_array(pd.Series(labels).astype("str")), _REST)
    named = np.r_[pc.fill_null(rests, False).to_numpy(zero_copy_only=False), False].astype(bool)[codes]
    below = np.diff(forest.child_offsets[: forest.n_spans + 1])
    found: NDArray[np.bool_] = named & (fixed_codes(spans["kind"], KIND) <= INTERNAL) & (below == 0)
    return found


def _measured(found: Families, forest: Forest, resting: NDArray[np.bool_]) -> tuple[Coverage, NDArray[np.int64]]:
    """Return what each family covers among all children of its parent, and the sum of its durations.

    All of it is cut to the parent where that is timed.
    """
    parents = np.unique(found.parent)
    counts = np.diff(forest.child_offsets[: forest.n_spans + 1])[parents].astype(np.int64)
    heads = np.r_[0, np.cumsum(counts)]
    rows = forest.children[np.repeat(forest.child_offsets[parents] - heads[:-1], counts) + np.arange(heads[-1])].astype(
        np.int64
    )
    group = np.full(forest.n_spans, -1, dtype=np.int64)
    group[found.rows] = np.repeat(np.arange(len(found.parent)), found.sizes)
    own = group[rows]
    block = np.repeat(np.arange(len(parents)), counts)
    own = np.where(own < 0, len(found.parent) + block, own)  # all other children of the parent are one group
    start, end = _within_parent(forest, rows)
    end = np.where(resting[rows], start, end)
    covered = coverage(block, own, start, end, len(found.parent) + len(parents))
    n = len(found.parent)
    start, end = _within_parent(forest, found.rows)
    inside = np.diff(np.r_[0, np.cumsum(end - start)][found.offsets])
    return type(covered)(covered.union[:n], covered.alone[:n], covered.idle[:n]), inside


def _within_parent(forest: Forest, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return start and end of rows, cut to their parent; both 0 for untimed ones."""
    timed = forest.timed[rows]
    start, end = np.where(timed, forest.start[rows], 0), np.where(timed, forest.end[rows], 0)
    parent = forest.parent[rows]
    cut = timed & forest.timed[parent]
    low, high = np.where(cut, forest.start[parent], start), np.where(cut, forest.end[parent], end)
    return np.clip(start, low, high), np.clip(end, low, high)


def _polled(found: Families, covered: Coverage) -> NDArray[np.bool_]:
    pauses = np.maximum(found.sizes - 1, 1)
    mean_call = covered.union / found.sizes
    return covered.idle >= pauses * np.maximum(_LEAST_PAUSE_NS, 2 * mean_call)


def _numbered(spans: pd.DataFrame, found: Families) -> NDArray[np.bool_]:
    """Tell which families walk through pages or shards: each call names its own."""
    n = len(found.parent)
    family = np.repeat(np.arange(n), found.sizes)
    numbered = np.zeros(n, dtype=bool)
    for codes in _places(spans.iloc[found.rows]):
        known = codes >= 0
        count = np.bincount(family[known], minlength=n)
        pairs = pd.unique(family[known] * (int(codes.max(initial=0)) + 1) + codes[known])
        distinct = np.bincount(pairs // (int(codes.max(initial=0)) + 1), minlength=n)
        numbered |= (count >= found.sizes - 1) & (distinct == count)
    return numbered


def _places(spans: pd.DataFrame) -> Iterator[NDArray[np.int64]]:
    """Yield the page or shard that each call names, as a code a row, from everywhere it may be told."""
    for column in (spans["name"], *(attribute(spans, key) for key in ("url.full", "http.target", "db.query.text"))):
        codes, labels = codes_of(column)
        texts = text_array(pd.Series(labels).astype("str"))
        for pattern in (_PAGE, _PLACE, _LIMIT, _KEYSET, _SHARD, _TABLE):
            values = pc.struct_field(pc.extract_regex(texts, pattern), "value") if len(texts) else texts
            page = pd.factorize(pd.Series(values.to_pylist(), dtype="str"))[0]
            yield np.r_[page, -1].astype(np.int64)[codes]
    told = {str(name): spans[name] for name in spans.columns if is_attribute_column(name)} | columns_of_others(spans)
    for name, column in told.items():
        words = name.lower().replace("_", "").replace("-", "").split(".")
        if words[-1] in _PLACE_KEYS or "".join(words[-2:]) in _PLACE_KEYS:
            yield codes_of(column)[0].astype(np.int64)


def _table(
    spans: pd.DataFrame, forest: Forest, found: Families, path: NDArray[np.int64], replaceable: NDArray[np.int64]
) -> pd.DataFrame:
    length = np.where(forest.timed, forest.end - forest.start, 0)
    total, on_path, whole = found.sums(length), found.sums(path), path[found.parent]
    timed = np.maximum(found.sums(forest.timed.astype(np.int64)), 1)
    longest = np.zeros(len(found.parent), dtype=np.int64)
    np.maximum.at(longest, np.repeat(np.arange(len(longest)), found.sizes), length[found.rows])
    ids = spans["span_id"].astype("str").array
    columns: dict[str, Any] = {
        "trace_id": spans["trace_id"].array.take(found.parent),
        "caller_span_id": ids.take(found.parent),
        "service": spans["service"].array.take(found.parent),
        "name": spans["name"].array.take(found.parent),
        "calls": found.sizes,
        "total_ms": duration_ms(total),
        "path_ms": duration_ms(on_path),
        "share": np.divide(on_path, whole, out=np.full(len(whole), np.nan), where=whole > 0),
        "saving_if_one_ms": np.clip(on_path - total / timed, 0, replaceable) / 1e6,
        "saving_if_parallel_ms": duration_ms(np.clip(on_path - longest, 0, replaceable)),
        "span_ids": id_lists(ids.take(found.rows), found.offsets),
    }
    return pd.DataFrame(columns, copy=False)
