"""Which calls are attempts of one: by their siblings, by what they say themselves, by their events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.analysis.call_order import allowed_overlap, tolerance_of
from traceanalytics.analysis.failure_signs import failure_signs, narrowed
from traceanalytics.analysis.fingerprints import families, masked, without_attempt
from traceanalytics.analysis.refusals import refused
from traceanalytics.kernels import kernel
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import NAT, codes_of, duration_ms, text_array
from traceanalytics.spans.schema import OTHER_ATTRIBUTES
from traceanalytics.spans.unpacking import unpack_events

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.analysis.fingerprints import Fingerprints
    from traceanalytics.kernels import Ints
    from traceanalytics.topology import Forest

__all__ = ["EVIDENCE", "Calls", "RetryGroups", "find_retries", "groups_of"]

EVIDENCE: Final = ["siblings", "attributes", "events"]
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
_TELLS_ATTEMPT: Final = r"(?i)attempt|retr(?:y|i)|resend|\btry"
_URL_ATTEMPT: Final = r"(?i)[?&](?:retry|attempt|try)(?:[_-]?(?:count|number|no))?=\d+"
_HOST_OR_ATTEMPT: Final = rf"(?i)^[a-z][a-z0-9+.-]*://[^/?#]*|{_URL_ATTEMPT.removeprefix('(?i)')}"
_PART: Final = "(?i)shard|partition"


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
    return groups_of(Calls(spans, forest, failed, prints))


class Calls(NamedTuple):
    """What is known of the spans of a frame, one element a row."""

    spans: pd.DataFrame
    forest: Forest
    failed: NDArray[np.bool_]
    prints: Fingerprints


def groups_of(calls: Calls) -> RetryGroups:
    """Return the groups of all three kinds of evidence, a span in one of them at most."""
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


def _by_siblings(calls: Calls, taken: NDArray[np.bool_]) -> RetryGroups:
    spans, forest, failed, prints = calls
    found = families(forest, _peers(prints, apart=False), ~taken, least=2)
    tried = np.repeat((found.sums(failed.astype(np.int64)) > 0) & (found.sizes > 1), found.sizes)
    rows, family = found.rows[tried], np.repeat(np.arange(len(found.parent)), found.sizes)[tried]
    series = pd.factorize(family * (len(rows) + 1) + _requests(spans.iloc[rows]))[0].astype(np.int64)
    series = _with_instances(series, _peers(prints, apart=True)[rows], rows, calls)
    timed = forest.timed[rows]
    running = np.unique(series[~timed])
    rows, series = rows[timed], series[timed]
    order = np.lexsort((~failed[rows], forest.end[rows], forest.start[rows], series))
    rows, series = rows[order], series[order]
    group, apart = np.full(len(rows), -1, dtype=np.int64), np.zeros(len(rows), dtype=np.uint8)
    lost = failed[rows].view(np.uint8)
    lost[lost > 0] += failure_signs(spans, rows[lost > 0]).cancelled
    _chain(series, forest.start[rows], forest.end[rows], lost, apart, group)
    kept = group >= 0
    kept[kept] = ~_refused_for_good(spans, failed, rows[kept], group[kept])
    rows, series, group = rows[kept], series[kept], group[kept]
    first = np.flatnonzero(np.diff(group, prepend=-1))
    last = np.r_[first[1:], len(rows)][: len(first)] - 1
    return _group("siblings", rows, first, unfinished=failed[rows[last]] & np.isin(series[last], running))


def _refused_for_good(
    spans: pd.DataFrame, failed: NDArray[np.bool_], rows: NDArray[np.int64], group: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Mark the members of groups in which every call was refused for what it asked, and none says that it is an attempt.

    A client that is told that an item is not valid does not ask for it again: these are calls for several items, whose
    spans do not tell them apart.
    """
    hopeless = np.ones(int(group.max(initial=-1)) + 1, dtype=bool)
    hopeless[group[~failed[rows]]] = False
    for says_no in (refused, _tells_no_attempt):  # each looks at fewer
        left = np.flatnonzero(hopeless[group])
        if len(left):
            hopeless[group[left[~says_no(spans, rows[left])]]] = False
    return np.asarray(hopeless[group])


def _tells_no_attempt(spans: pd.DataFrame, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    told = np.zeros(len(rows), dtype=bool)
    names = text_array(spans["name"].iloc[rows])
    urls = text_array(attribute(narrowed(spans, rows, ["url.full"]), "url.full"))
    for found in (
        pc.not_equal(without_attempt(names), pc.utf8_trim_whitespace(names)),
        pc.match_substring_regex(urls, _URL_ATTEMPT),
    ):
        told |= pc.fill_null(found, pa.scalar(False)).to_numpy(zero_copy_only=False)
    return ~told


def _peers(prints: Fingerprints, *, apart: bool) -> NDArray[np.int32]:
    """Return fingerprints in which the attempt does not count, and the instance only if they are to be told ``apart``."""
    texts = without_attempt(text_array(pd.Series(prints.labels, dtype="str")))
    if not apart:
        whole = pc.match_substring_regex(texts, _PART)
        texts = pc.if_else(whole, texts, masked(texts))
    codes = texts.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    return np.asarray(codes, dtype=np.int32)[prints.codes]


def _with_instances(
    series: NDArray[np.int64], peer: NDArray[np.int32], rows: NDArray[np.int64], calls: Calls
) -> NDArray[np.int64]:
    """Part the series in which a success was not the last call: they go through instances, rather than try the next one."""
    size = int(series.max(initial=-1)) + 1
    start = calls.forest.start[rows]
    latest = np.full(size, NAT)
    np.maximum.at(latest, series, start)
    going_on = np.zeros(size, dtype=bool)
    going_on[series[~calls.failed[rows] & calls.forest.timed[rows] & (start < latest[series])]] = True
    own = np.where(going_on[series], peer, -1).astype(np.int64)
    return pd.factorize(series * (int(peer.max(initial=0)) + 2) + own + 1)[0].astype(np.int64)


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
    words = (
        pc.if_else(tells, without_attempt(masked(texts)), texts)
        .dictionary_encode()
        .indices.to_numpy(zero_copy_only=False)
    )
    codes = np.r_[words, -1].astype(np.int64)[name]
    for key in ("db.query.text", "url.full"):
        text, found = codes_of(attribute(spans, key))
        asked = text_array(pd.Series(found).astype("str"))
        if key == "url.full":
            asked = pc.replace_substring_regex(asked, _HOST_OR_ATTEMPT, "")
        same = asked.dictionary_encode().indices.to_numpy(zero_copy_only=False)
        codes = pd.factorize(codes * (len(found) + 1) + np.r_[same, -1].astype(np.int64)[text])[0].astype(np.int64)
    return np.asarray(codes, dtype=np.int64)


def _by_attributes(calls: Calls, taken: NDArray[np.bool_]) -> RetryGroups:
    spans, forest = calls.spans, calls.forest
    count = _resends(spans)
    says = (count > 0) & ~taken & (forest.depth >= 0)
    if not says.any():
        return _group("attributes", np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    found = families(forest, _peers(calls.prints, apart=False), ~taken)
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


def _by_events(calls: Calls, taken: NDArray[np.bool_]) -> RetryGroups:
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
