"""Calls that were tried again: how often, at what cost, and how it ended."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.analysis.failure_signs import failure_signs
from traceanalytics.analysis.fingerprints import families, fingerprint_codes, masked
from traceanalytics.analysis.sibling_order import allowed_overlap, path_below, tolerance_of
from traceanalytics.kernels import kernel
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import NAT, coded, codes_of, drop_unused, duration_ms, text_array
from traceanalytics.spans.error_rule import is_error
from traceanalytics.spans.schema import OTHER_ATTRIBUTES, check_spans
from traceanalytics.spans.unpacking import unpack_events
from traceanalytics.topology import Forest
from traceanalytics.weights import span_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.analysis.fingerprints import Fingerprints
    from traceanalytics.kernels import Ints
    from traceanalytics.weights import Weights

__all__ = ["RetryGroups", "find_retries", "id_lists", "retries"]

EVIDENCE: Final = ["siblings", "attributes", "events"]
OUTCOMES: Final = ["recovered", "exhausted", "unknown"]
COUNTS: Final = (
    "http.request.resend_count",
    "http.retry_count",
    "rpc.retry_count",
    "rpc.grpc.retry_count",
    "grpc.retry_count",
    "previous-rpc-attempts",
    "retry.count",
    "retry_count",
)
"""Attributes that say how many attempts were made before the span's own."""

_RETRY_EVENT: Final = "(?i)retr(?:y|i)"
_ATTEMPT_EVENT: Final = "(?i)attempt"
_NO_ATTEMPT_EVENT: Final = "(?i)exhaust|giv(?:e|ing)|gave|abort|limit|exceed|disabl|skip|success|succeed"
_TELLS_ATTEMPT: Final = "(?i)attempt|retr(?:y|i)|resend"


def retries(spans: pd.DataFrame, *, weights: Weights = None) -> pd.DataFrame:
    """Answer which calls were tried again, how often, what the failed attempts cost, and whether it helped.

    Three kinds of evidence; a span counts in one group only, and the first kind that applies has it:

    - ``siblings``: calls of one parent with one fingerprint, not overlapping each other (an overlap of up to 1 ms or 1 %, at most half
      of the shorter call, counts as none), of which every one but possibly the last failed. Calls whose ``db.query.text``, ``url.full`` or
      name differ are different requests and no attempts of one, unless the name tells the attempt (``attempt 2``). So the
      failed one of fifty calls for fifty items is no retry, nor is a hedged request.
    - ``attributes``: the span says that it is an attempt: ``http.request.resend_count``, ``http.resend_count``, ``http.retry_count``,
      ``rpc.retry_count``, ``rpc.grpc.retry_count``, ``grpc.retry_count``, ``previous-rpc-attempts``, ``retry.count`` or ``retry_count`` above 0. Siblings that
      ask for the same and whose counts go up one by one are one group; an attempt that was sent again counts as failed.
    - ``events``: one span has events whose name contains ``retry``, ``retried``, ... (each is one further attempt) or ``attempt`` (each is
      one attempt); names that speak of giving up or of success (``retries exhausted``) are none.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Calls without a parent in the frame have no siblings.
    weights
        Column or Series of sampling weights; it becomes the column ``weight``, to sum over.

    Returns
    -------
    pandas.DataFrame
        One row a group, in order of traces (first appearance) and of the first attempt's place in its tree.

        - ``trace_id``, ``service``, ``name``: of the caller, in the frame's own types; of the attempt itself where that is a root
        - ``caller_span_id`` (str): the parent of the attempts; missing where they are roots
        - ``callee`` (category): fingerprint
        - ``evidence`` (category): ``siblings``, ``attributes``, ``events``
        - ``attempts``, ``failed_attempts`` (int64)
        - ``outcome`` (category): ``recovered`` (the last attempt succeeded), ``exhausted`` (it failed), ``unknown`` (an attempt is unfinished)
        - ``backoff_ms`` (float64): total time between the attempts; missing where there are not all of them as spans
        - ``wasted_ms`` (float64): duration of the failed attempts. By events: until the last retry event (attempts and
          back-off), all of the span if it failed. Missing where failed attempts are not in the frame
        - ``wasted_path_ms`` (float64): what of the failed attempts and all below them is on the critical path; missing where it cannot be told
        - ``first_span_id``, ``last_span_id`` (str): first and last attempt in the frame
        - ``span_ids`` (str): JSON list of the attempts' span ids, in order of time
        - ``weight`` (float64): traces that the trace stands for, 1 without weights

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, a weight is not usable, or a cell of events is no list of events.
    OptionError
        The weights are no column.

    Notes
    -----
    ``http.request.resend_count`` is OpenTelemetry's; ``previous-rpc-attempts`` is gRPC's (proposal A72). The rest is this package's own rule.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.retry_groups import retries
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2", "b3", "b4"], "parent_span_id": [None] + ["b1"] * 3,
    ...     "name": ["checkout"] + ["charge"] * 3, "start_time": [t + pd.Timedelta(s, "ms") for s in (0, 0, 30, 70)],
    ...     "duration_ms": [100.0, 20, 20, 20], "status": ["UNSET", "ERROR", "ERROR", "UNSET"]}))
    >>> retries(spans)[["callee", "attempts", "outcome", "backoff_ms", "wasted_ms", "wasted_path_ms"]]
       callee  attempts    outcome  backoff_ms  wasted_ms  wasted_path_ms
    0  charge         3  recovered        30.0       40.0            40.0
    """
    check_spans(spans)
    weight = span_weights(spans, weights)
    forest = Forest(spans)
    calls = _Calls(spans, forest, is_error(spans).to_numpy(), fingerprint_codes(spans))
    found = _found(calls)
    path = path_below(spans, forest) if len(found.evidence) else np.zeros(len(spans), dtype=np.int64)
    return _table(calls, found, path, weight)


class RetryGroups(NamedTuple):
    """Retry groups, one element a group but for ``rows``."""

    rows: NDArray[np.int64]
    """Rows of the attempts, group by group, in order of time."""
    offsets: NDArray[np.int64]
    """The group g has the rows ``rows[offsets[g]:offsets[g + 1]]``."""
    evidence: NDArray[np.int64]
    """Position in :data:`EVIDENCE`."""
    attempts: NDArray[np.int64]
    unfinished: NDArray[np.bool_]
    """A further attempt may be running: the outcome is not known."""
    until: NDArray[np.float64]
    """By events: ms from the start of the span to its last retry event; missing elsewhere."""


def find_retries(spans: pd.DataFrame, forest: Forest, failed: NDArray[np.bool_], prints: Fingerprints) -> RetryGroups:
    """Return what :func:`retries` shows, for those who go on computing with it."""
    return _found(_Calls(spans, forest, failed, prints))


class _Calls(NamedTuple):
    """What is known of the spans of a frame, one element a row."""

    spans: pd.DataFrame
    forest: Forest
    failed: NDArray[np.bool_]
    prints: Fingerprints


def _found(calls: _Calls) -> RetryGroups:
    taken = np.zeros(len(calls.spans), dtype=bool)
    parts = []
    for look in (_by_siblings, _by_attributes, _by_events):
        parts.append(look(calls, taken))
        taken[parts[-1].rows] = True
    sizes = np.concatenate([np.diff(p.offsets) for p in parts])
    rows, evidence, attempts, unfinished, until = (
        np.concatenate([getattr(p, field) for p in parts])
        for field in ("rows", "evidence", "attempts", "unfinished", "until")
    )
    return RetryGroups(rows, np.r_[0, np.cumsum(sizes)], evidence, attempts, unfinished, until)


def _group(
    evidence: str,
    rows: NDArray[np.int64],
    first: NDArray[np.int64],
    *,
    attempts: NDArray[np.int64] | None = None,
    unfinished: NDArray[np.bool_] | None = None,
    until: NDArray[np.float64] | None = None,
) -> RetryGroups:
    """Return groups of rows, given where each begins; by default they are whole, and finished."""
    n = len(first)
    offsets = np.r_[first, len(rows)].astype(np.int64)
    return RetryGroups(
        rows,
        offsets,
        np.full(n, EVIDENCE.index(evidence)),
        np.diff(offsets) if attempts is None else attempts,
        np.zeros(n, dtype=bool) if unfinished is None else unfinished,
        np.full(n, np.nan) if until is None else until,
    )


def _by_siblings(calls: _Calls, taken: NDArray[np.bool_]) -> RetryGroups:
    spans, forest, failed, prints = calls
    found = families(forest, prints.codes, ~taken, least=2)
    tried = np.repeat((found.sums(failed.astype(np.int64)) > 0) & (found.sizes > 1), found.sizes)
    rows, family = found.rows[tried], np.repeat(np.arange(len(found.parent)), found.sizes)[tried]
    series = pd.factorize(family * (len(rows) + 1) + _requests(spans.iloc[rows]))[0].astype(np.int64)
    timed = forest.timed[rows]
    running = np.unique(series[~timed])
    rows, series = rows[timed], series[timed]
    order = np.lexsort((~failed[rows], forest.end[rows], forest.start[rows], series))
    rows, series = rows[order], series[order]
    group, apart = np.full(len(rows), -1, dtype=np.int64), np.zeros(len(rows), dtype=np.uint8)
    lost = failed[rows].view(np.uint8)
    lost[lost > 0] += failure_signs(spans, rows[lost > 0]).cancelled
    _chain(series, forest.start[rows], forest.end[rows], lost, apart, group)
    rows, series, group = rows[group >= 0], series[group >= 0], group[group >= 0]
    first = np.flatnonzero(np.diff(group, prepend=-1))
    last = np.r_[first[1:], len(rows)][: len(first)] - 1
    return _group("siblings", rows, first, unfinished=failed[rows[last]] & np.isin(series[last], running))


@kernel("apart", "group")
def _chain(  # noqa: C901, PLR0912, PLR0917 - kernels take their arrays by position
    series: Ints, start: Ints, end: Ints, failed: Ints, apart: Ints, group: Ints
) -> None:
    """Give each run of failed calls and the call after them a number; what overlaps another call of its series has none.

    ``failed`` is 2 for a call that was cancelled. Where one call succeeded and one beside it was cancelled, both were sent to see
    which is quicker: the loser is passed over (``apart`` 2), and the winner counts.
    """
    longest = 0
    for at in range(1, len(series)):
        if series[at] != series[at - 1]:
            longest = at
            continue
        for other in (longest, at - 1):
            overlap = min(end[at], end[other]) - start[at]
            if overlap > allowed_overlap(min(end[at] - start[at], end[other] - start[other])):
                if failed[at] == 2 and not failed[other]:
                    apart[at] = 2
                elif failed[other] == 2 and not failed[at]:
                    apart[other] = 2
                else:
                    apart[at] = 1
                    apart[other] = 1
        if end[at] >= end[longest]:
            longest = at
    head, number = -1, -1
    for at in range(len(series)):
        if apart[at] == 1 or (at > 0 and series[at] != series[at - 1]):
            head = -1
        if not apart[at]:
            if head < 0:
                head = at
            else:
                if group[head] < 0:
                    number += 1
                    group[head] = number
                group[at] = number
            if not failed[at]:
                head = -1


def _requests(spans: pd.DataFrame) -> NDArray[np.int64]:
    """Return a number for what each call asked for, to the letter."""
    name, labels = codes_of(spans["name"])
    texts = text_array(pd.Series(labels).astype("str"))
    tells = pc.match_substring_regex(texts, _TELLS_ATTEMPT)
    words = pc.if_else(tells, masked(texts), texts).dictionary_encode().indices.to_numpy(zero_copy_only=False)
    codes = np.r_[words, -1].astype(np.int64)[name]
    for key in ("db.query.text", "url.full"):
        text, found = codes_of(attribute(spans, key))
        codes = pd.factorize(codes * (len(found) + 1) + text)[0].astype(np.int64)
    return np.asarray(codes, dtype=np.int64)


def _by_attributes(calls: _Calls, taken: NDArray[np.bool_]) -> RetryGroups:
    spans, forest = calls.spans, calls.forest
    count = _resends(spans)
    says = (count > 0) & ~taken & (forest.depth >= 0)
    if not says.any():
        return _group("attributes", np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    found = families(forest, calls.prints.codes, ~taken)
    family = np.repeat(np.arange(len(found.parent)), found.sizes)
    rows = np.r_[found.rows, np.flatnonzero(says & (forest.parent < 0))]  # a root has no siblings
    family = np.r_[family, len(found.parent) + np.arange(len(rows) - len(family))]
    asked = _requests(calls.spans.take(rows))
    length = forest.end[rows] - forest.start[rows]
    timed = forest.timed[rows]
    joined = np.zeros(len(rows), dtype=bool)
    overlap = np.minimum(forest.end[rows[1:]], forest.end[rows[:-1]]) - forest.start[rows[1:]]
    joined[1:] = (family[1:] == family[:-1]) & (asked[1:] == asked[:-1]) & timed[1:] & timed[:-1]
    joined[1:] &= (count[rows[1:]] == count[rows[:-1]] + 1) & (
        overlap <= tolerance_of(np.minimum(length[1:], length[:-1]))
    )
    kept = (count[rows] > 0) | np.r_[joined[1:], False]
    rows, joined = rows[kept], joined[kept]
    first = np.flatnonzero(~joined)
    last = np.r_[first[1:], len(rows)] - 1
    return _group("attributes", rows, first, attempts=count[rows[last]] + 1, unfinished=~forest.timed[rows[last]])


def _resends(spans: pd.DataFrame) -> NDArray[np.int64]:
    """Return how many attempts came before each span's own, as far as an attribute says; 0 elsewhere."""
    count = np.zeros(len(spans), dtype=np.float64)
    others = OTHER_ATTRIBUTES in spans.columns
    for key in COUNTS:
        if others or any(str(c).endswith((f".{key}", ".http.resend_count")) for c in spans.columns):
            codes, labels = codes_of(attribute(spans, key))
            numbers = pd.to_numeric(pd.Series(labels, dtype="object"), errors="coerce").to_numpy("float64")
            told = np.r_[numbers, np.nan][codes]
            count = np.fmax(count, np.where(told < 2**31, told, 0.0))  # a larger one counts something else
    counts: NDArray[np.int64] = count.astype(np.int64)
    return counts


def _by_events(calls: _Calls, taken: NDArray[np.bool_]) -> RetryGroups:
    spans, forest = calls.spans, calls.forest
    mention = pc.match_substring_regex(text_array(spans["events"]), f"{_RETRY_EVENT}|{_ATTEMPT_EVENT}")
    rows = np.flatnonzero(pc.fill_null(mention, False).to_numpy(zero_copy_only=False) & ~taken & (forest.depth >= 0))
    found = unpack_events(spans["events"].iloc[rows])
    names = pa.array(found.name.categories, pa.large_string())
    refused = pc.match_substring_regex(names, _NO_ATTEMPT_EVENT).to_numpy(zero_copy_only=False)
    again, tried = (
        np.r_[pc.match_substring_regex(names, pattern).to_numpy(zero_copy_only=False) & ~refused, False][
            found.name.codes
        ].astype(bool)
        for pattern in (_RETRY_EVENT, _ATTEMPT_EVENT)
    )
    n = len(rows)
    tries = np.bincount(found.row, weights=tried & ~again, minlength=n).astype(np.int64)
    attempts = np.maximum(np.bincount(found.row, weights=again, minlength=n).astype(np.int64) + 1, tries)
    latest = np.full(n, NAT)
    np.maximum.at(latest, found.row[again | tried], found.time[again | tried])
    known = (latest != NAT) & forest.timed[rows]
    until = np.where(
        known, duration_ms(np.clip(latest, forest.start[rows], forest.end[rows]) - forest.start[rows]), np.nan
    )
    kept = attempts > 1
    rows = rows[kept]
    return _group(
        "events",
        rows,
        np.arange(len(rows)),
        attempts=attempts[kept],
        unfinished=~forest.timed[rows],
        until=until[kept],
    )


def _table(calls: _Calls, found: RetryGroups, path: NDArray[np.int64], weight: NDArray[np.float64]) -> pd.DataFrame:
    spans, forest, failed, prints = calls
    found = _in_order(found, forest)
    n, rows = len(found.evidence), found.rows
    group = np.repeat(np.arange(n), np.diff(found.offsets))
    first, last = rows[found.offsets[:-1]], rows[found.offsets[1:] - 1]
    is_last = np.zeros(len(rows), dtype=bool)
    is_last[found.offsets[1:] - 1] = True
    lost = ~is_last | failed[rows]
    seen = np.diff(found.offsets)
    whole = (found.attempts == seen) | (found.evidence == EVIDENCE.index("siblings"))
    length = np.where(forest.timed, forest.end - forest.start, 0)
    wasted, on_path = (
        duration_ms(np.bincount(group, weights=np.where(lost, values[rows], 0), minlength=n))
        for values in (length, path)
    )
    pause = np.maximum(forest.start[rows[1:]] - forest.end[rows[:-1]], 0) * (group[1:] == group[:-1])
    events = found.evidence == EVIDENCE.index("events")
    whole |= events & failed[last]  # then all of the span was for nothing
    told = np.where(whole & ~found.unfinished, wasted, np.where(events, found.until, np.nan))
    caller = forest.parent[first]
    shown = np.where(caller >= 0, caller, first)
    outcome = np.where(found.unfinished, 2, np.where(failed[last], 1, 0))
    ids = spans["span_id"].astype("str").array
    columns: dict[str, Any] = {
        "trace_id": spans["trace_id"].array.take(first),
        "caller_span_id": ids.take(caller, allow_fill=True),
        "service": spans["service"].array.take(shown),
        "name": spans["name"].array.take(shown),
        "callee": drop_unused(coded(prints.codes[first], prints.labels)),
        "evidence": coded(found.evidence, EVIDENCE),
        "attempts": found.attempts,
        "failed_attempts": found.attempts - 1 + failed[last],
        "outcome": coded(outcome, OUTCOMES),
        "backoff_ms": np.where(
            seen == found.attempts, duration_ms(np.bincount(group[1:], weights=pause, minlength=n)), np.nan
        ),
        "wasted_ms": told,
        "wasted_path_ms": np.where(whole & ~found.unfinished, on_path, np.nan),
        "first_span_id": ids.take(first),
        "last_span_id": ids.take(last),
        "span_ids": id_lists(ids.take(rows), found.offsets),
        "weight": weight[first],
    }
    return pd.DataFrame(columns, copy=False)


def _in_order(found: RetryGroups, forest: Forest) -> RetryGroups:
    """Return the groups by the place of their first attempt in the forest."""
    place = np.zeros(forest.n_spans, dtype=np.int64)
    place[forest.order] = np.arange(len(forest.order))
    order = np.argsort(place[found.rows[found.offsets[:-1]]], kind="stable")
    sizes = np.diff(found.offsets)[order]
    offsets = np.r_[0, np.cumsum(sizes)]
    rows = found.rows[np.repeat(found.offsets[:-1][order] - offsets[:-1], sizes) + np.arange(len(found.rows))]
    return RetryGroups(
        rows, offsets, found.evidence[order], found.attempts[order], found.unfinished[order], found.until[order]
    )


def id_lists(ids: Any, offsets: NDArray[np.int64]) -> Any:
    """Return JSON lists of the ids between offsets, as a ``str`` array."""
    texts, cuts = list(ids), offsets.tolist()
    lists = [json.dumps(texts[low:high]) for low, high in itertools.pairwise(cuts)]
    return pd.array(lists, dtype="str")
