"""What really happened in a run: the answers to every question that an analysis may ask of its spans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from traceanalytics.simulate.column_arrays import hex_texts
from traceanalytics.simulate.faults import ClockSkew, SilentService
from traceanalytics.simulate.outcomes import CAUSES, ERROR, SLOW, TIMEOUT
from traceanalytics.simulate.span_truth import call_groups, span_roles
from traceanalytics.spans.columns import coded, instants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from traceanalytics.simulate.blocks import Block, Requests
    from traceanalytics.simulate.span_columns import Table
    from traceanalytics.simulate.templates import Active
    from traceanalytics.simulate.topology_data import Operation

__all__ = ["Truth", "truth_of"]


@dataclass(frozen=True)
class Truth:
    """What really happened in a run. Labels and ids are those of its span frame.

    Attributes
    ----------
    spans
        One row a span and fault (or decoy) that it takes part in, indexed by the span's label: ``fault`` (Int64, number in
        ``faults``; missing for a decoy), ``role`` ("cause", "symptom" (failed or was cancelled because of it, gave up on it, or
        lost its parent or its child to it), "handled" (failed, and the caller did not), "decoy"), ``injected_ms`` (what a SlowOperation, a
        NetworkDelay or CpuContention added to the span, or on a CLIENT span to the gap into its callee; else NaN).
    faults
        One row a fault, in the order given: ``kind``, ``service`` and ``operation`` to blame, ``caller`` of an edge, ``share``,
        ``begin``, ``end`` and ``faded`` (when it has no effect any more, ``end`` where it does not fade),
        ``affected_requests``, ``failures`` (user-facing ones that there would not be without it), ``mean_added_ms`` (mean of
        ``added_ms_<n>`` over the affected requests).
    requests
        One row a request, in the order of their beginnings: ``trace_id``, ``entry`` (operation), ``begin``, ``failed``
        (user-facing), ``blame_span_id`` and ``blame_class`` (the words of ``cause`` in ``ta.attribute_errors``: "error"; "slow",
        it was running when a caller gave up; "timeout", it gave up, and what it waited for writes no spans. Also "slow" for a request that did not fail but
        took longer by a SlowOperation, a NetworkDelay or CpuContention: the span with the largest ``injected_ms``; missing where nothing is to blame, the id also where the span was not emitted), ``blame_fault``,
        ``root_ms``, ``added_ms`` (root_ms minus what it would be without any fault, the same random numbers given), and
        ``added_ms_<n>`` (minus what it would be without fault n). NaN for the requests that are there only because of a fault.
    groups
        One row a member of a group of calls: ``group``, ``group_kind`` ("retry", "n_plus_one", "sequential", or of a decoy
        "fan_out", "polling", "pagination", "hedge", "cache", "not_found"), ``decoy``, ``fault``, ``form``, ``outcome``
        (of a retry: "recovered", "exhausted", or "cancelled"),
        ``attempts`` (of a retry, those inside of one span included), ``place`` (1, 2, ...), ``trace_id``, ``parent_span_id``,
        ``span_id``; indexed by the member's label.
    """

    spans: pd.DataFrame
    faults: pd.DataFrame
    requests: pd.DataFrame
    groups: pd.DataFrame


def truth_of(
    spans: pd.DataFrame,
    table: Table,
    blocks: Sequence[Block],
    requests: Requests,
    active: Sequence[Active],
    *,
    entries: Sequence[Operation],
    without: dict[int, list[tuple[NDArray[np.int64], NDArray[np.bool_]]]],
) -> Truth:
    """Gather the truth; ``without`` has root durations and failures a block without one fault, and under -1 without any."""
    order = np.argsort(requests.begin, kind="stable")
    made = _requests(table, blocks, requests, active, entries=entries, without=without)
    affected = _affected(blocks, requests, active)
    faults = _faults(made, active, affected, without=without, blocks=blocks, window=requests.window)
    return Truth(
        span_roles(blocks, active),
        faults,
        made.iloc[order].reset_index(drop=True),
        call_groups(spans, blocks),
    )


def _requests(
    table: Table,
    blocks: Sequence[Block],
    requests: Requests,
    active: Sequence[Active],
    *,
    entries: Sequence[Operation],
    without: dict[int, list[tuple[NDArray[np.int64], NDArray[np.bool_]]]],
) -> pd.DataFrame:
    count = len(requests.begin)
    failed, cause = np.zeros(count, bool), np.full(count, -1)
    blame, place = np.zeros(count, np.uint64), np.zeros(count, np.int64)
    fault, root = np.full(count, -1), np.zeros(count, np.int64)
    added = {number: np.full(count, np.nan) for number in without}
    for at, block in enumerate(blocks):
        run, mine = block.timing, block.requests
        took = run.end[0] - run.start[0]
        failed[mine], root[mine] = run.outcome.failed, took
        for number, others in without.items():
            added[number][mine] = np.where(requests.extra[mine], np.nan, (took - others[at][0]) / 1e6)
        blamed, by = run.outcome.blame.astype(np.int64), run.outcome.fault.astype(np.int64)
        slowest, slowed_by = _slowest(block)
        slow = ~run.outcome.failed & (slowest >= 0) & (added[-1][mine] > 0)
        node = np.select([run.outcome.failed, slow], [blamed, slowest], -1)
        fault[mine] = np.select([run.outcome.failed, slow], [by, slowed_by], -1)
        cause[mine] = np.select([run.outcome.failed, slow], [run.outcome.blame_class.astype(np.int64), SLOW], -1)
        there = (node >= 0) & (block.labels[np.maximum(node, 0), np.arange(len(mine))] >= 0)
        place[mine] = np.where(there, node + block.offset, 0)
        blame[mine] = there
    words = {ERROR: CAUSES.index("error"), TIMEOUT: CAUSES.index("timeout"), SLOW: CAUSES.index("slow")}
    ids = hex_texts(table.span_number(place, np.arange(count)), keep=blame > 0)
    made = {
        "trace_id": pd.array(hex_texts(requests.high, requests.low), dtype="str"),
        "entry": coded(requests.entry, [e.key for e in entries]),
        "begin": instants(requests.begin),
        "failed": failed,
        "blame_span_id": pd.array(ids, dtype="str"),
        "blame_class": coded(np.select([cause == code for code in words], list(words.values()), -1), CAUSES),
        "blame_fault": pd.arrays.IntegerArray(np.maximum(fault, 0).astype(np.int64), fault < 0),
        "root_ms": root / 1e6,
        "added_ms": added[-1],
    }
    return pd.DataFrame(made | {f"added_ms_{each.number}": added[each.number] for each in active}, copy=False)


def _slowest(block: Block) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the span into which most time was injected, and by which fault; -1 where none was."""
    count = len(block.requests)
    most, node_of, fault_of = np.zeros(count, np.int64), np.full(count, -1), np.full(count, -1)
    for (number, node), added in sorted(block.timing.injected.items()):
        larger = block.timing.present[node] & (added > most)
        most = np.where(larger, added, most)
        node_of, fault_of = np.where(larger, node, node_of), np.where(larger, number, fault_of)
    return node_of, fault_of


def _affected(blocks: Sequence[Block], requests: Requests, active: Sequence[Active]) -> dict[int, NDArray[np.bool_]]:
    """Return which requests a fault did reach."""
    found = {each.number: np.zeros(len(requests.begin), bool) for each in active}
    for block in blocks:
        run = block.timing
        for (number, at), roles in run.roles.items():
            if number >= 0:
                found[number][block.requests] |= (roles > 0) & run.present[at]
        for each in active:
            for node in run.template.nodes:
                if isinstance(each.fault, ClockSkew | SilentService) and node.service.name == each.fault.service:
                    found[each.number][block.requests] |= run.present[node.number] & run.touched[each.number]
    return found


def _faults(
    made: pd.DataFrame,
    active: Sequence[Active],
    affected: dict[int, NDArray[np.bool_]],
    *,
    without: dict[int, list[tuple[NDArray[np.int64], NDArray[np.bool_]]]],
    blocks: Sequence[Block],
    window: dict[int, tuple[int, ...]],
) -> pd.DataFrame:
    rows = []
    for each in active:
        spared = np.zeros(len(made), bool)
        for block, (_, failed) in zip(blocks, without[each.number], strict=True):
            spared[block.requests] = failed
        extra = made["added_ms"].isna().to_numpy(bool)
        added = made.loc[affected[each.number], f"added_ms_{each.number}"]
        rows.append(
            {
                "kind": type(each.fault).__name__,
                **each.fault.named(),
                "share": each.fault.share,
                **dict(zip(("begin", "end", "faded"), window[each.number], strict=True)),
                "affected_requests": int(affected[each.number].sum()),
                "failures": int(
                    (made["failed"].to_numpy(bool) & (extra & affected[each.number] | ~spared & ~extra)).sum()
                ),
                "mean_added_ms": float(added.mean()) if added.notna().any() else np.nan,
            }
        )
    types = {
        "kind": "str",
        "service": "str",
        "operation": "str",
        "caller": "str",
        "share": "float64",
        "begin": "datetime64[ns, UTC]",
        "end": "datetime64[ns, UTC]",
        "faded": "datetime64[ns, UTC]",
        "affected_requests": "int64",
        "failures": "int64",
        "mean_added_ms": "float64",
    }
    return pd.DataFrame(rows, columns=list(types)).astype(types).rename_axis("fault")
