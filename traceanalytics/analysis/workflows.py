"""Work that goes on after the answer: paths through queues and links, across traces."""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.analysis.arrivals import CLIENT, CONSUMER, PRODUCER, arrivals, heads, linked_rows
from traceanalytics.analysis.remote_calls import kind_codes
from traceanalytics.kernels import kernel
from traceanalytics.spans.columns import NAT, coded, codes_of
from traceanalytics.topology import Flag, Forest
from traceanalytics.weights import Weights, span_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.kernels import Ints

__all__ = ["workflow_path"]


class HopFlag(IntFlag):
    """What is odd about a step; shown by name in lower case, in this order."""

    ORPHAN = 1
    """The first span of the step names a parent that is not in the frame: the step may have begun elsewhere."""
    MISSING_SOURCE = 2
    """The step is linked to a span that is not in the frame."""
    SEVERAL_SOURCES = 4
    """Several spans sent what the step consumed; the one that ended last was followed."""
    EARLY_START = 8
    """The step began before the sending span had ended; the wait counts as zero."""
    NEGATIVE_WORK = 16
    """The step sent or ended before it began (clock skew); its work counts as zero."""
    UNTIMED = 32
    """Times are missing, so that work or wait are unknown."""
    CYCLE = 64
    """The links lead round in a circle, which was cut before this step."""


_TEXTS: Final = [
    ",".join(str(flag.name).lower() for flag in HopFlag if mask & flag) for mask in range(2 * max(HopFlag))
]
_NEVER: Final = np.iinfo(np.int64).min


class _Stages(NamedTuple):
    """One entry a stage: a piece of a trace from a root, or from a consumer or linked span, down to the next ones."""

    row: NDArray[np.int64]
    """The first span."""
    of_row: NDArray[np.int64]
    """By row of the frame: the stage; -1 for duplicates."""
    finish: NDArray[np.int64]
    """When the last of its spans ended, or the smallest number."""
    sender: NDArray[np.int64]
    """Row of the span that it waited for; -1 at the origin."""
    flags: NDArray[np.int64]


def workflow_path(spans: pd.DataFrame, *, weights: Weights = None) -> pd.DataFrame:
    """Answer what the end of asynchronous work waited for: each step of the path that finished last, and the queues between.

    Traces are cut into stages. A stage begins at a root; at a CONSUMER below an outgoing span (PRODUCER or CLIENT, looking
    through INTERNAL spans and those without a kind) or below another service; and at a span with a link to a span of another
    trace, or to a PRODUCER. It reaches down to the spans where others begin. The stage was *sent* by that outgoing span or parent
    and by the linked spans; where there are several, it waited for the one that ended last. A workflow is what is connected by
    sending: one trace, or several through links. Its path leads from the stage that finished last among those that were sent (in
    a workflow without any, the one with the last end) back to the one that nobody sent.

    Times are the real ones: ``work_ms`` and ``queue_wait_ms`` of a workflow sum to the time from its first row's start to the end,
    unless a flag says that something was cut off.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Links lead nowhere if the linked trace is not in the frame.
    weights
        Number of traces that each trace stands for: a column, or a Series on the frame's index. It changes no figure, and is
        returned with each step.

    Returns
    -------
    pandas.DataFrame
        One row a step; workflows by their first start, steps from the origin to the end. A trace without messages or links is a
        workflow of one step.

        - ``workflow_id``: id of the trace of the workflow that begins first
        - ``step`` (int64): 0 at the origin
        - ``trace_id``, ``span_id``, ``service``, ``name``, ``start_time``: of the stage's first span
        - ``work_ms``: from its start to the end of the span that sent the next step (or to the start of that, if sooner); in the
          last step to the end of the stage's last span
        - ``queue_wait_ms``: from the end of the sending span to the start of the stage, at least 0; NaN in step 0
        - ``flags`` (category): ``orphan``, ``missing_source``, ``several_sources``, ``early_start``, ``negative_work``, ``untimed``,
          ``cycle``, comma-separated; "" where nothing is odd
        - ``weight``, only with ``weights``: of the step's trace

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is not usable.

    See Also
    --------
    critical_path : The path within a synchronous tree.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.workflows import workflow_path
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> ms = pd.Timedelta("1ms")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1", "a1", "a2"], "span_id": ["b1", "b2", "b3"],
    ...     "parent_span_id": [None, "b1", None], "name": ["POST /order", "send", "pack"], "service": ["shop", "shop", "depot"],
    ...     "kind": ["SERVER", "PRODUCER", "CONSUMER"], "start_time": [t, t + 10 * ms, t + 500 * ms],
    ...     "duration_ms": [40.0, 5.0, 200.0], "links": [None, None, [{"trace_id": "a1", "span_id": "b2"}]]}))
    >>> workflow_path(spans)[["step", "service", "name", "work_ms", "queue_wait_ms"]]
       step service         name  work_ms  queue_wait_ms
    0     0    shop  POST /order     15.0            NaN
    1     1   depot         pack    200.0          485.0
    """
    forest = Forest(spans)
    weight = span_weights(spans, weights)
    stages, traces = _stages(spans, forest)
    rank = _trace_ranks(forest)
    workflow = _workflows(forest, traces)
    first = _first_traces(forest, workflow, rank)
    path, step, starts = _paths(forest, stages, workflow, first, rank)
    row = stages.row[path]
    flags = stages.flags[path]
    flags[starts & (stages.sender[path] >= 0)] |= HopFlag.CYCLE
    work, wait = _times(forest, stages, path, starts, flags)
    columns: dict[str, Any] = {
        "workflow_id": _trace_ids(spans, first[workflow[forest.trace[row]]], forest),
        "step": step,
        **{name: spans[name].array.take(row) for name in ("trace_id", "span_id", "service", "name", "start_time")},
        "work_ms": work,
        "queue_wait_ms": wait,
        "flags": _flag_texts(flags),
    }
    if weights is not None:
        columns["weight"] = weight[row]
    return pd.DataFrame(columns, copy=False)


def _trace_ids(spans: pd.DataFrame, trace: NDArray[np.int64], forest: Forest) -> Any:
    return spans["trace_id"].array.take(forest.main_root[trace])


def _flag_texts(flags: NDArray[np.int64]) -> pd.Categorical:
    used, codes = np.unique(flags, return_inverse=True)
    return coded(codes, [_TEXTS[mask] for mask in used.tolist()])


def _stages(spans: pd.DataFrame, forest: Forest) -> tuple[_Stages, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return the stages, and the pairs of traces that are connected by sending."""
    n = forest.n_spans
    kind = kind_codes(spans)
    outgoing = (forest.depth >= 0) & ((kind == CLIENT) | (kind == PRODUCER))
    found = arrivals(forest, kind, codes_of(spans["service"])[0], outgoing)
    hung = np.flatnonzero(found.enters & (kind == CONSUMER))
    above = np.where(found.asker[hung] >= 0, found.asker[hung], forest.parent[hung])
    source, target = linked_rows(spans, forest)
    missing = source[target < 0]
    met = target >= 0
    source, target = source[met], target[met]
    leads = (forest.trace[source] != forest.trace[target]) | (kind[target] == PRODUCER)
    consumer = np.r_[hung, source[leads]].astype(np.int64)
    sender = np.r_[above, target[leads]].astype(np.int64)

    begins = np.zeros(n, dtype=bool)
    begins[consumer] = True
    head = heads(forest, begins)
    row = np.flatnonzero(head == np.arange(n))
    number = np.full(n + 1, -1, dtype=np.int64)
    number[row] = np.arange(len(row))
    of_row = number[head]
    finish = np.full(len(row), _NEVER, dtype=np.int64)
    ends = np.flatnonzero(forest.timed & (of_row >= 0))
    np.maximum.at(finish, of_row[ends], forest.end[ends])
    other = of_row[consumer] != of_row[sender]  # a stage that links to its own spans was not sent by them
    consumer, sender = consumer[other], sender[other]
    chosen, several = _last_sender(forest, of_row[consumer], sender, len(row))
    flags = np.where((forest.flags[row] & Flag.ORPHAN) != 0, int(HopFlag.ORPHAN), 0)
    flags[several] |= HopFlag.SEVERAL_SOURCES
    lost = number[missing]
    flags[lost[lost >= 0]] |= HopFlag.MISSING_SOURCE
    pairs = forest.trace[consumer].astype(np.int64), forest.trace[sender].astype(np.int64)
    return _Stages(row, of_row, finish, chosen, flags), pairs


def _last_sender(
    forest: Forest, stage: NDArray[np.int64], sender: NDArray[np.int64], n: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the sender of each stage that ended last (ties: started last, greatest id), and whether it had several."""
    end = np.where(forest.timed[sender], forest.end[sender], _NEVER)
    order = np.lexsort((sender, forest.id_order[sender], forest.start[sender], end, stage))
    chosen = np.full(n, -1, dtype=np.int64)
    chosen[stage[order]] = sender[order]  # written last, the last one stays
    pairs = pd.unique(stage * max(forest.n_spans, 1) + sender)
    return chosen, np.bincount(pairs // max(forest.n_spans, 1), minlength=n) > 1


def _trace_ranks(forest: Forest) -> NDArray[np.int64]:
    """Return numbers that sort as the trace ids do, so that ties do not depend on the order of rows."""
    texts = np.asarray(pd.Index(forest.trace_ids).astype("str").fillna(""), dtype=object)
    rank = np.empty(len(texts), dtype=np.int64)
    rank[np.argsort(texts, kind="stable")] = np.arange(len(texts))
    return rank


def _workflows(forest: Forest, pairs: tuple[NDArray[np.int64], NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the workflow of each trace: what sending connects."""
    n = forest.n_traces
    if not len(pairs[0]):
        return np.arange(n)
    from scipy.sparse import coo_array  # noqa: PLC0415 - costs 0.1 s
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415 - as above

    matrix = coo_array((np.ones(len(pairs[0]), dtype=np.int8), pairs), shape=(n, n))
    return np.asarray(connected_components(matrix, directed=False)[1], dtype=np.int64)


def _first_traces(forest: Forest, workflow: NDArray[np.int64], rank: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the trace of each workflow that begins first; untimed ones last, ties by id."""
    begin = np.full(forest.n_traces, np.iinfo(np.int64).max)
    known = np.flatnonzero((forest.start != NAT) & (forest.depth >= 0))
    np.minimum.at(begin, forest.trace[known], forest.start[known])
    order = np.lexsort((rank, begin, workflow))
    kept = np.flatnonzero(np.diff(workflow[order], prepend=-1))
    return order[kept]


def _paths(
    forest: Forest,
    stages: _Stages,
    workflow: NDArray[np.int64],
    first: NDArray[np.int64],
    rank: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return the stages of all paths in the order of the result, their steps, and which of them are first steps."""
    n = len(stages.row)
    row, of_stage = stages.row, workflow[forest.trace[stages.row]]
    order = np.lexsort(
        (
            forest.id_order[row],
            rank[forest.trace[row]],
            forest.start[row],
            stages.finish,
            stages.sender >= 0,
            of_stage,
        )
    )
    last = order[np.flatnonzero(np.diff(of_stage[order], append=-1))]  # one a workflow, in the order of workflows
    begin = np.where(forest.start[row] == NAT, np.iinfo(np.int64).max, forest.start[row])
    earliest = np.full(len(first), np.iinfo(np.int64).max)
    np.minimum.at(earliest, of_stage, begin)
    last = last[np.lexsort((rank[first], earliest))]
    before = np.where(stages.sender >= 0, stages.of_row[stages.sender], -1)
    path, step = np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=np.int64)
    length, seen = np.zeros(1, dtype=np.int64), np.zeros(n, dtype=np.uint8)
    _walk_back(last, before, path, step, seen, length)
    path, step = path[: length[0]], step[: length[0]]
    return path, step, step == 0


@kernel("path", "step", "seen", "length")
def _walk_back(  # noqa: PLR0917 - kernels take their arrays by position
    last: Ints, before: Ints, path: Ints, step: Ints, seen: Ints, length: Ints
) -> None:
    filled = 0
    for number in range(len(last)):
        low, stage = filled, last[number]
        while stage >= 0 and not seen[stage]:
            seen[stage] = 1
            path[filled] = stage
            filled += 1
            stage = before[stage]
        left, right = low, filled - 1
        while left < right:
            path[left], path[right] = path[right], path[left]
            left += 1
            right -= 1
        for at in range(low, filled):
            step[at] = at - low
    length[0] = filled


def _times(
    forest: Forest,
    stages: _Stages,
    path: NDArray[np.int64],
    starts: NDArray[np.bool_],
    flags: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return work and wait in ms, and set the flags of steps whose times are odd."""
    row = stages.row[path]
    begin = forest.start[row]
    sender = np.where(starts, -1, stages.sender[path])
    sent = np.append(forest.end, NAT)[sender]
    known = (begin != NAT) & (sent != NAT)
    wait = np.where(known, begin, 0) - np.where(known, sent, 0)
    flags[known & (wait < 0)] |= HopFlag.EARLY_START
    flags[~starts & ~known] |= HopFlag.UNTIMED
    wait_ms = np.where(known, np.maximum(wait, 0) / 1e6, np.nan)

    stop = stages.finish[path].copy()
    stop[stop == _NEVER] = NAT
    inner = np.flatnonzero(~starts)  # each but a first step ends the one before it
    handed = np.where(begin[inner] == NAT, sent[inner], np.minimum(sent[inner], begin[inner]))
    stop[inner - 1] = handed
    worked = (begin != NAT) & (stop != NAT)
    work = np.where(worked, stop, 0) - np.where(worked, begin, 0)
    flags[worked & (work < 0)] |= HopFlag.NEGATIVE_WORK
    flags[~worked] |= HopFlag.UNTIMED
    return np.where(worked, np.maximum(work, 0) / 1e6, np.nan), wait_ms
