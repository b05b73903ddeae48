"""What the rules of :func:`~traceanalytics.analysis.quality.diagnose` look at, computed once, and what a rule says."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from traceanalytics.analysis.path_segments import follow_from_parent
from traceanalytics.analysis.remote_calls import CLIENT, CONSUMER, PRODUCER, SERVER
from traceanalytics.spans.columns import NAT, codes_of
from traceanalytics.spans.schema import KIND
from traceanalytics.topology import Flag, Forest
from traceanalytics.topology.repeats import fixed_codes
from traceanalytics.weights import Weights, group_sums, span_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["ALL", "NONE", "Evidence", "Found", "Rule", "following"]

NONE: Final = -1
"""The code of the service of what names none."""
ALL: Final = -2
"""The code that stands for all services, where one finding is said of them together."""

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
    """A sentence more for a service, by its code; that of :data:`ALL` is said where one row serves all services."""


def following(spans: pd.DataFrame, forest: Forest) -> NDArray[np.bool_]:
    """Return which spans have a link to their parent that says they follow from it, which is that it does not wait for them."""
    found = np.zeros(len(spans), dtype=bool)
    if "links" in spans.columns:
        found[follow_from_parent(spans, forest)] = True
    return found


class Rule(NamedTuple):
    """One line of the table of rules."""

    name: str
    severity: Literal["info", "warning", "error"]
    unit: Literal["spans", "traces"]
    find: Callable[[Evidence], Found]
    meaning: str
    advice: str
    rare: float = 0.0
    """A finding of a smaller share than this is information only, whatever the severity."""
    once: float | None = None
    """One row serves all services where each of them has a finding, of this share or more; None: each has a row of its own."""


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
        self.sure = self.has_parent & ~self.flagged(Flag.AMBIGUOUS_PARENT)
        """Has a parent, and no other span bears the parent's id: it is known whose child the span is."""
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
        """The span and its parent are of two services, both known; where the parent is one of several, nobody knows."""
        above = self.of_parent(self.service, np.int32(-1))
        return np.asarray(self.sure & (above >= 0) & (self.service >= 0) & (above != self.service))

    @functools.cached_property
    def within(self) -> NDArray[np.bool_]:
        """The span and its parent are of one service; where the parent is one of several, nobody knows."""
        same = self.of_parent(self.service, np.int32(-1)) == self.service
        return np.asarray(self.sure & (self.service >= 0) & same)

    @functools.cached_property
    def parentless(self) -> NDArray[np.bool_]:
        """The span names no parent."""
        odd = self.flagged(Flag.ORPHAN | Flag.SELF_PARENT | Flag.CYCLE)
        return np.asarray((self.forest.depth == 0) & ~odd)

    @functools.cached_property
    def waited_for(self) -> NDArray[np.bool_]:
        """Timed spans with a timed parent, but for those that nobody waits for: consumers of messages, and what follows from its parent."""
        both = self.timed & self.of_parent(self.forest.timed, np.False_)
        return np.asarray(both & (self.kind != CONSUMER) & (self.parent_kind != PRODUCER) & ~self.follows)

    @functools.cached_property
    def follows(self) -> NDArray[np.bool_]:
        """The span has a link to its parent that says it follows from it."""
        return following(self.spans, self.forest)

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

    def doubtful(self, some: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which of some spans may belong elsewhere in the tree: other spans bear their id, or that of their parent."""
        found = some & self.flagged(Flag.AMBIGUOUS_PARENT)
        there = np.zeros(self.forest.n_traces, dtype=bool)
        there[self.forest.trace[some]] = True
        rows = np.flatnonzero(self.kept & there[self.forest.trace])
        ids = pd.DataFrame({"trace": self.forest.trace[rows], "number": self.forest.id_order[rows]})
        found[rows] |= some[rows] & ids.duplicated(keep=False).to_numpy()
        return found

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
