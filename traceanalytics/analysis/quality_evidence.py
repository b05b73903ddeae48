"""What the rules of :func:`~traceanalytics.analysis.quality.diagnose` look at, computed once, and what a rule says."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np

from traceanalytics.analysis.remote_calls import CLIENT, CONSUMER, PRODUCER, SERVER
from traceanalytics.spans.columns import NAT, codes_of
from traceanalytics.spans.schema import KIND
from traceanalytics.topology import Flag, Forest
from traceanalytics.topology.repeats import fixed_codes
from traceanalytics.weights import Weights, group_sums, span_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["Evidence", "Found", "Rule"]

_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Found:
    """The answer of a rule: which spans (or traces) it found, among which it looked, and whose they are."""

    hit: NDArray[np.bool_]
    """One element a span or a trace, as the rule's unit says."""
    among: NDArray[np.bool_]
    """The spans or traces that the rule can judge; the share is of them."""
    service: NDArray[np.int32] | None = None
    """Code of the service that each element is counted for; None: the span's own, or that of the trace's main root."""
    detail: dict[int, str] = field(default_factory=dict)
    """A sentence more for a service, by its code."""


class Rule(NamedTuple):
    """One line of the table of rules."""

    name: str
    severity: Literal["info", "warning", "error"]
    unit: Literal["spans", "traces"]
    find: Callable[[Evidence], Found]
    meaning: str
    advice: str


class Evidence:
    """A span frame prepared for the rules: topology, kinds, services and weights as arrays by row position."""

    def __init__(self, spans: pd.DataFrame, weights: Weights = None) -> None:
        self.spans = spans
        self.forest = Forest(spans)
        self.weight = span_weights(spans, weights)
        self.kind = np.maximum(fixed_codes(spans["kind"], KIND), 0).astype(np.int8)
        self.service, self.services = codes_of(spans["service"])
        self.kept = self.forest.depth >= 0
        """Not a duplicate."""
        self.has_parent = self.forest.parent >= 0
        self.timed = self.forest.timed & self.kept
        self._made: dict[str, Any] = {}

    def memo(self, name: str, make: Callable[[], _Made]) -> _Made:
        """Return what ``make`` made when it was first asked for under this name."""
        if name not in self._made:
            self._made[name] = make()
        made: _Made = self._made[name]
        return made

    def flagged(self, flag: Flag) -> NDArray[np.bool_]:
        """Return which spans bear a flag of the forest."""
        return np.asarray((self.forest.flags & np.uint16(flag)) != 0)

    def of_parent(self, values: NDArray[Any], nothing: Any) -> NDArray[Any]:
        """Return the value of each span's parent, and ``nothing`` where there is none."""
        return np.where(self.has_parent, values[self.forest.parent], nothing)

    @functools.cached_property
    def parent_kind(self) -> NDArray[np.int8]:
        """Kind of the parent; -1 without one."""
        return self.of_parent(self.kind, np.int8(-1))

    @functools.cached_property
    def crosses(self) -> NDArray[np.bool_]:
        """The span and its parent are of two services, both known."""
        above = self.of_parent(self.service, np.int32(-1))
        return np.asarray((above >= 0) & (self.service >= 0) & (above != self.service))

    @functools.cached_property
    def within(self) -> NDArray[np.bool_]:
        """The span and its parent are of one service."""
        same = self.of_parent(self.service, np.int32(-1)) == self.service
        return np.asarray(self.has_parent & (self.service >= 0) & same)

    @functools.cached_property
    def parentless(self) -> NDArray[np.bool_]:
        """The span names no parent."""
        odd = self.flagged(Flag.ORPHAN | Flag.SELF_PARENT | Flag.CYCLE)
        return np.asarray((self.forest.depth == 0) & ~odd)

    @functools.cached_property
    def waited_for(self) -> NDArray[np.bool_]:
        """Timed spans with a timed parent, but for the consumers of messages, which nobody waits for."""
        both = self.timed & self.of_parent(self.forest.timed, np.False_)
        return np.asarray(both & (self.kind != CONSUMER) & (self.parent_kind != PRODUCER))

    @functools.cached_property
    def early_ns(self) -> NDArray[np.int64]:
        """By how much a span begins before its parent; 0 where it does not, or nobody waited for it."""
        start = self.forest.start
        return np.where(self.waited_for, np.maximum(self.of_parent(start, NAT) - start, 0), 0)

    @functools.cached_property
    def late_ns(self) -> NDArray[np.int64]:
        """By how much a span ends after its parent; 0 where it does not, or nobody waited for it."""
        end = self.forest.end
        return np.where(self.waited_for, np.maximum(end - self.of_parent(end, NAT), 0), 0)

    @functools.cached_property
    def answered(self) -> NDArray[np.bool_]:
        """The span has a SERVER or CONSUMER span as its child."""
        found = np.zeros(len(self.spans), dtype=bool)
        entry = self.has_parent & ((self.kind == SERVER) | (self.kind == CONSUMER))
        found[self.forest.parent[entry]] = True
        return found

    @functools.cached_property
    def clients(self) -> NDArray[np.bool_]:
        """CLIENT spans that are no duplicates."""
        return np.asarray(self.kept & (self.kind == CLIENT))

    def per_trace(self, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return how many spans of each trace are in the mask."""
        return np.bincount(self.forest.trace[mask], minlength=self.forest.n_traces)

    def per_service(self, mask: NDArray[np.bool_], *, weighted: bool = True) -> NDArray[np.float64]:
        """Return how many spans of each service are in the mask; the last element is for those without one."""
        weight = self.weight[mask] if weighted else np.ones(int(mask.sum()))
        size = len(self.services) + 1
        code = self.service[mask]
        return group_sums(np.where(code < 0, size - 1, code), size, np.ones(len(code)), weight)

    def where_common(
        self, hit: NDArray[np.bool_], among: NDArray[np.bool_], *, share: float, least: int
    ) -> NDArray[np.bool_]:
        """Return ``hit`` without the services that have too few spans to say so, or too small a share of hits."""
        hits, all_of = self.per_service(hit), self.per_service(among)
        enough = self.per_service(among, weighted=False) >= least
        common = enough & (hits >= share * all_of * (1 - 1e-12))
        return hit & common[self.service]

    @functools.cached_property
    def name_codes(self) -> NDArray[np.int32]:
        """Number of each span's name; -1 without one."""
        return codes_of(self.spans["name"])[0]

    @functools.cached_property
    def root_service(self) -> NDArray[np.int32]:
        """Service of the main root of each trace."""
        return self.service[self.forest.main_root]

    @functools.cached_property
    def trace_weight(self) -> NDArray[np.float64]:
        """Weight of each trace."""
        return self.weight[self.forest.main_root]

    @functools.cached_property
    def real_traces(self) -> NDArray[np.bool_]:
        """Traces with an id."""
        return ~np.asarray(self.forest.trace_ids.isna(), dtype=bool)
