"""How far the clocks of two hosts are apart, as an interval, from the calls between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.analysis.quality_evidence import following
from traceanalytics.analysis.remote_calls import CLIENT, SERVER
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import coded, codes_of, drop_unused
from traceanalytics.spans.error_rule import is_error
from traceanalytics.spans.schema import KIND, OTHER_ATTRIBUTES
from traceanalytics.topology import Forest
from traceanalytics.topology.repeats import fixed_codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["HostPairs", "clock_offsets", "host_pairs"]

_HOST_KEYS: Final = ("host.name", "k8s.node.name", "k8s.pod.name", "service.instance.id")


class HostPairs(NamedTuple):
    """The calls between hosts, and the pairs of hosts; ``pair`` numbers the pair of each call."""

    callee: NDArray[np.int64]
    """Row of the SERVER span of each call."""
    low: NDArray[np.int64]
    """ns: the callee's clock is at least this much ahead, by this call alone."""
    high: NDArray[np.int64]
    pair: NDArray[np.int64]
    caller_host: NDArray[np.int64]
    """Number of the host in ``hosts``, a pair each; so is ``callee_host``."""
    callee_host: NDArray[np.int64]
    hosts: pd.Index
    calls: NDArray[np.int64]
    """Number of calls, a pair each."""
    pair_low: NDArray[np.int64]
    pair_high: NDArray[np.int64]

    @property
    def consistent(self) -> NDArray[np.bool_]:
        """One offset agrees with every call of the pair."""
        return self.pair_low <= self.pair_high

    @property
    def nearest(self) -> NDArray[np.int64]:
        """The offset nearest to 0 of each pair, meaningful where consistent."""
        return np.maximum(np.minimum(0, self.pair_high), self.pair_low)


def clock_offsets(spans: pd.DataFrame) -> pd.DataFrame:
    """Answer by how much the clock of one host may be ahead of another's: one row a pair of hosts that call each other.

    A caller waits for its callee, so by one clock the SERVER span lies within its CLIENT span. By two clocks it may stick out;
    the callee's clock is then ahead by at least the end that sticks out and at most the beginning that does not: by
    ``[callee end - caller end, callee start - caller start]``. What all calls of two hosts agree on is their offset.

    A host is ``host.name`` of the resource, else ``k8s.node.name``, ``k8s.pod.name``, ``service.instance.id``, else the service.
    Left out are calls within one host, duplicates, untimed spans, servers that follow from their client (``opentracing.ref_type`` of
    their link to it), and calls whose client failed: who gave up did not wait.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Weights have no meaning here: a bound is a bound.

    Returns
    -------
    pandas.DataFrame
        Sorted by hosts.

        - ``caller_host``, ``callee_host`` (category)
        - ``pairs`` (int64): calls that were looked at
        - ``offset_low_ms``, ``offset_high_ms`` (float64): the callee's clock is ahead of the caller's by between these; negative
          is behind. Where low is above high, no offset explains every call
        - ``estimate_ms`` (float64): the offset nearest to 0 in the interval; missing where there is none
        - ``consistent`` (bool): the interval is not empty. An empty one says that the clocks drift, that several hosts bear one
          name, or that some callers do not wait

    Raises
    ------
    SchemaError
        The frame lacks a column, or its index repeats a label.

    Notes
    -----
    The bounds are those of a probe of the Network Time Protocol, whose request and answer are the call itself; taken over many
    calls, as an intersection, they need no assumption that both ways take equally long. A server that goes on working after it
    has answered looks like a clock that is ahead.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.clock_offsets import clock_offsets
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2"], "parent_span_id": [None, "b1"],
    ...     "name": "stock", "service": ["web", "cart"], "kind": ["CLIENT", "SERVER"], "duration_ms": [10.0, 8.0],
    ...     "start_time": [t, t + pd.Timedelta("5ms")]}))
    >>> clock_offsets(spans)[["caller_host", "callee_host", "offset_low_ms", "offset_high_ms", "estimate_ms"]]
      caller_host callee_host  offset_low_ms  offset_high_ms  estimate_ms
    0         web        cart            3.0             5.0          3.0
    """
    found = host_pairs(spans, Forest(spans))
    columns = {
        "caller_host": drop_unused(coded(found.caller_host, found.hosts)),
        "callee_host": drop_unused(coded(found.callee_host, found.hosts)),
        "pairs": found.calls,
        "offset_low_ms": found.pair_low / 1e6,
        "offset_high_ms": found.pair_high / 1e6,
        "estimate_ms": np.where(found.consistent, found.nearest / 1e6, np.nan),
        "consistent": found.consistent,
    }
    return pd.DataFrame(columns, copy=False)


def host_pairs(spans: pd.DataFrame, forest: Forest) -> HostPairs:
    """Return what :func:`clock_offsets` shows, and the calls behind it."""
    kind = fixed_codes(spans["kind"], KIND)
    parent = forest.parent
    has = (parent >= 0) & (kind == SERVER) & forest.timed & ~following(spans, forest)
    callee = np.flatnonzero(has & (kind[parent] == CLIENT) & forest.timed[parent]).astype(np.int64)
    host, hosts = _hosts(spans)
    caller = parent[callee].astype(np.int64)
    known = (host[caller] >= 0) & (host[callee] >= 0) & (host[caller] != host[callee])
    if known.any():
        known &= ~is_error(spans).to_numpy()[caller]
    callee, caller = callee[known], caller[known]
    low = forest.end[callee] - forest.end[caller]
    high = forest.start[callee] - forest.start[caller]
    width = max(len(hosts), 1)
    keys, pair, calls = np.unique(
        host[caller] * width + host[callee], return_inverse=True, return_counts=True
    )  # hosts are numbered in the order of their names, so that pairs come sorted by them
    limits = np.iinfo(np.int64)
    pair_low = np.full(len(keys), limits.min, dtype=np.int64)
    pair_high = np.full(len(keys), limits.max, dtype=np.int64)
    np.maximum.at(pair_low, pair, low)
    np.minimum.at(pair_high, pair, high)
    return HostPairs(
        callee, low, high, pair, keys // width, keys % width, hosts, calls.astype(np.int64), pair_low, pair_high
    )


def _hosts(spans: pd.DataFrame) -> tuple[NDArray[np.int64], pd.Index]:
    """Return the number of each span's host, -1 where unknown, and the names of hosts in their order."""
    number = np.full(len(spans), -1, dtype=np.int64)
    names: list[str] = []
    for key in (*_HOST_KEYS, "service.name"):
        column = f"resource.{key}"
        open_rows = number < 0
        if key == "service.name":
            values = spans["service"]
        elif column in spans.columns or OTHER_ATTRIBUTES in spans.columns:
            values = attribute(spans, column)
        else:
            continue
        if not open_rows.any():
            break
        codes, labels = codes_of(values)
        take = open_rows & (codes >= 0)
        used = np.unique(codes[take])
        place = np.full(len(labels) + 1, -1, dtype=np.int64)
        place[used] = len(names) + np.arange(len(used))
        names += [str(label) for label in labels.take(used)]
        number[take] = place[codes[take]]
    # A host and a service may bear one name: they are one host then, as nothing tells them apart.
    unique = sorted(set(names))
    rank = {name: at for at, name in enumerate(unique)}
    to = np.array([rank[name] for name in names] + [-1], dtype=np.int64)
    return to[number], pd.Index(unique, dtype="str")
