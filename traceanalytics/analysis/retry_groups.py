"""Calls that were tried again: how often, at what cost, and how it ended."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from traceanalytics.analysis.fingerprints import fingerprint_codes
from traceanalytics.analysis.retry_evidence import EVIDENCE, Calls, RetryGroups, groups_of
from traceanalytics.analysis.sibling_order import path_below
from traceanalytics.spans.columns import coded, drop_unused, duration_ms
from traceanalytics.spans.error_rule import is_error
from traceanalytics.spans.schema import check_spans
from traceanalytics.topology import Forest
from traceanalytics.weights import span_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.weights import Weights

__all__ = ["id_lists", "retries"]

OUTCOMES: Final = ["recovered", "exhausted", "unknown"]


def retries(spans: pd.DataFrame, *, weights: Weights = None) -> pd.DataFrame:
    """Answer which calls were tried again, how often, what the failed attempts cost, and whether it helped.

    Three kinds of evidence; a span counts in one group only, and the first kind that applies has it:

    - ``siblings``: calls of one parent with one fingerprint, not overlapping each other (an overlap of up to 1 ms or 1 %, at most half
      of the shorter call, counts as none), of which every one but possibly the last failed. Calls whose ``db.query.text``, ``url.full``
      (without the host) or name differ are different requests and no attempts of one, but for what tells the attempt
      (``attempt 2``, ``(retry 1)``, ``?retry=1``). So the failed one of fifty calls for fifty items is no retry, nor is a hedged request.
      Instances of one peer (``10.0.0.7`` and ``10.0.0.9``, ``pay-1`` and ``pay-2``; no shards or partitions) count as that peer as long
      as no call to any of them had succeeded before. Nor is it a retry if all of them were refused for what they asked (HTTP 400 to 499
      but for 408, 425 and 429; gRPC INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE,
      UNIMPLEMENTED, UNAUTHENTICATED) and no name tells the attempt: no client asks for the same again, so each asked for something else. A
      success after them makes it one: a token was renewed.
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
    calls = Calls(spans, forest, is_error(spans).to_numpy(), fingerprint_codes(spans))
    found = groups_of(calls)
    path = path_below(spans, forest) if len(found.evidence) else np.zeros(len(spans), dtype=np.int64)
    return _table(calls, found, path, weight)


def _table(calls: Calls, found: RetryGroups, path: NDArray[np.int64], weight: NDArray[np.float64]) -> pd.DataFrame:
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
        "evidence": drop_unused(coded(found.evidence, EVIDENCE)),
        "attempts": found.attempts,
        "failed_attempts": found.attempts - 1 + failed[last],
        "outcome": drop_unused(coded(outcome, OUTCOMES)),
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
