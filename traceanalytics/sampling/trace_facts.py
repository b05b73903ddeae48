"""What samplers look at in whole traces: status, time from first to last, size, endpoint. Computed once, on first use."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from traceanalytics.sampling.policy_texts import value_text
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import NAT, codes_of, duration_ns, start_ns
from traceanalytics.spans.error_rule import is_error
from traceanalytics.spans.schema import check_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.sampling.policies import Policy

__all__ = ["SpanRows", "TraceFacts", "trace_facts"]

_LONGEST_MS: Final = 9.2e12
"""About 292 years: longer durations have no int64 nanoseconds."""

_LATEST: Final = np.iinfo(np.int64).max


class SpanRows:
    """The spans of a frame as a sampler sees them, whichever traces or parts of traces they are counted in."""

    def __init__(self, spans: pd.DataFrame) -> None:
        self.spans = spans
        self._masks: dict[Policy, NDArray[np.bool_]] = {}

    @functools.cached_property
    def start(self) -> NDArray[np.int64]:
        """Start in ns; :data:`NAT` where unknown."""
        check_spans(self.spans, "trace_id", "start_time")
        return start_ns(self.spans["start_time"])

    @functools.cached_property
    def end(self) -> NDArray[np.int64]:
        """End in ns, when the span is sent; :data:`NAT` where unknown. A negative duration counts as zero."""
        check_spans(self.spans, "trace_id", "start_time", "duration_ms")
        ms = self.spans["duration_ms"]
        duration, known = duration_ns(ms.mask(ms.abs() > _LONGEST_MS) if (ms.abs() > _LONGEST_MS).any() else ms)
        end = self.start + np.maximum(duration, 0)
        return np.where(known & (self.start != NAT) & (end >= self.start), end, NAT)

    def matching(self, policy: Policy) -> NDArray[np.bool_]:
        """Return which spans a policy about single spans means."""
        if policy not in self._masks:
            self._masks[policy] = self._matching(policy)
        return self._masks[policy]

    def _matching(self, policy: Policy) -> NDArray[np.bool_]:
        if policy.kind == "error":
            return is_error(self.spans).to_numpy(bool)
        if policy.kind == "status":
            check_spans(self.spans, "trace_id", "status")
            codes, labels = codes_of(self.spans["status"])
            wanted = labels.isin(list(policy.texts))
        else:
            column = attribute(self.spans, policy.key)
            if policy.texts:
                codes, labels = codes_of(column)
                wanted = _wanted(policy, labels)
            else:
                return _in_range(policy, column)
        found: NDArray[np.bool_] = np.append(wanted, np.False_)[codes]
        return found


class TraceFacts:
    """What is known of traces (or of parts of them): ``codes`` is the number of its trace for every span, -1 for none."""

    def __init__(self, rows: SpanRows, codes: NDArray[np.intp], number: int) -> None:
        self.rows = rows
        self.codes = codes
        self.number = number

    def part(self, codes: NDArray[np.intp]) -> TraceFacts:
        """Return the facts of the same traces when only some of their spans count."""
        return TraceFacts(self.rows, codes, self.number)

    def having(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which traces have at least one of the marked spans."""
        found = np.zeros(self.number + 1, np.bool_)
        found[self.codes[rows]] = True  # code -1: the last entry
        return found[:-1]

    def matching(self, policy: Policy) -> NDArray[np.bool_]:
        """Return which traces have a span that the policy means."""
        return self.having(self.rows.matching(policy))

    @functools.cached_property
    def n_spans(self) -> NDArray[np.int64]:
        """Number of spans, repeated ones included: a collector does not look."""
        return np.bincount(self.codes[self.codes >= 0], minlength=self.number).astype(np.int64)

    @functools.cached_property
    def first_start(self) -> NDArray[np.int64]:
        """Earliest start in ns; :data:`NAT` where no span has one."""
        return self._earliest(self.rows.start)

    @functools.cached_property
    def first_arrival(self) -> NDArray[np.int64]:
        """When the first span is received, which is at its end; :data:`NAT` where no end is known."""
        return self._earliest(self.rows.end)

    @functools.cached_property
    def last_arrival(self) -> NDArray[np.int64]:
        """When the last span is received; :data:`NAT` where no end is known."""
        last = np.full(self.number + 1, NAT)
        np.maximum.at(last, self.codes, self.rows.end)
        return last[:-1]

    @functools.cached_property
    def extent_ms(self) -> NDArray[np.float64]:
        """From the earliest start to the latest end of the timed spans; NaN where none is timed."""
        timed = self.rows.end != NAT
        start = self._earliest(np.where(timed, self.rows.start, NAT))
        known = start != NAT
        return np.where(known, (np.where(known, self.last_arrival, 0) - np.where(known, start, 0)) / 1e6, np.nan)

    @functools.cached_property
    def root(self) -> NDArray[np.intp]:
        """Row of the span without a parent id (of several the earliest); -1 where no span of the trace lacks one."""
        check_spans(self.rows.spans, "trace_id", "parent_span_id")
        parent = self.rows.spans["parent_span_id"]
        rows = np.flatnonzero((parent.isna() | (parent == "")).to_numpy(bool, na_value=False) & (self.codes >= 0))
        start = self.rows.start[rows]
        order = np.argsort(np.where(start == NAT, _LATEST, start), kind="stable")
        found = np.full(self.number, -1, np.intp)
        found[self.codes[rows[order[::-1]]]] = rows[order[::-1]]  # the last one written is the earliest
        return found

    def _earliest(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        first = np.full(self.number + 1, _LATEST)
        np.minimum.at(first, self.codes, np.where(times == NAT, _LATEST, times))
        return np.where(first[:-1] == _LATEST, NAT, first[:-1])


def trace_facts(spans: pd.DataFrame) -> tuple[TraceFacts, pd.Index]:
    """Return the facts of the traces of a frame, and their ids in order of first appearance."""
    check_spans(spans, "trace_id")
    codes, ids = pd.factorize(spans["trace_id"])
    return TraceFacts(SpanRows(spans), codes.astype(np.intp), len(ids)), pd.Index(ids, name="trace_id")


def _wanted(policy: Policy, labels: pd.Index) -> NDArray[np.bool_]:
    texts = [value_text(label) for label in labels.tolist()]
    if policy.matches:
        pattern = re.compile(policy.texts[0])
        return np.array([pattern.search(text) is not None for text in texts], np.bool_)
    return np.array([text in policy.texts for text in texts], np.bool_)


def _in_range(policy: Policy, column: pd.Series) -> NDArray[np.bool_]:
    if pd.api.types.is_bool_dtype(column.dtype):
        return np.zeros(len(column), np.bool_)
    if isinstance(column.dtype, pd.CategoricalDtype):
        labels: Any = pd.to_numeric(pd.Series(column.cat.categories, dtype="object"), errors="coerce")
        values = np.append(labels.to_numpy("float64", na_value=np.nan), np.nan)[column.cat.codes]
    else:
        values = pd.to_numeric(column, errors="coerce").to_numpy("float64", na_value=np.nan)
    low, high = (-np.inf if policy.low is None else policy.low), (np.inf if policy.high is None else policy.high)
    found: NDArray[np.bool_] = (values >= low) & (values <= high)
    return found
