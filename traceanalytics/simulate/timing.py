"""All requests of one template at once: when each span starts and ends, what fails, and why. One row a span, one column a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from traceanalytics.simulate.call_effects import CallEffects
from traceanalytics.simulate.faults import (
    CancelledSiblings,
    CpuContention,
    EarlyReturn,
    ErrorRate,
    FastFailures,
    NPlusOne,
    SequentialCalls,
    SlowOperation,
)
from traceanalytics.simulate.outcomes import (
    CAUSE,
    ERROR,
    NOT_FOUND,
    SYMPTOM,
    UNAVAILABLE,
    UPSTREAM,
    Force,
    Group,
    Outcome,
)
from traceanalytics.simulate.run_state import rounded_ns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.simulate.templates import CallShape, Node, Task

__all__ = ["Timing"]

_STAGGER_NS: Final = 40_000
"""Between the starts of parallel calls: somebody has to start them."""
_LOOP_NS: Final = 50_000
"""Between repetitions of a call."""
_QUICK: Final = 5
_EARLY: Final = 20


@dataclass
class _Own:
    """What an operation does by itself."""

    time: NDArray[np.int64]
    delay: NDArray[np.int64]
    alive: NDArray[np.bool_]
    outcome: Outcome
    not_found: NDArray[np.bool_]


class Timing(CallEffects):
    """Runs the requests of a template."""

    def run(self) -> None:
        """Run all requests; afterwards the arrays are filled."""
        everything = np.ones(self.count, dtype=bool)
        self.outcome = self.operate(self.template.root, self.begin, everything, self.free())

    def operate(self, task: Task, start: NDArray[np.int64], present: NDArray[np.bool_], force: Force) -> Outcome:
        """Run an operation that starts at these times in those requests."""
        node = task.node
        own = self._own(node, present, force)
        outcome, alive = own.outcome, own.alive
        pieces = sum(any(shape.is_last for shape in group) for group in task.groups)
        piece = own.time // (pieces + 1)
        cursor = start + own.delay + np.where(alive, own.time - piece * pieces, own.time)
        failed_itself = outcome.failed.copy()
        for group in task.groups:
            found = self._group(task, group, cursor, alive)
            cursor = np.where(alive, found.end, cursor)
            outcome.take(found, found.failed & alive)
            alive = alive & ~found.failed
            if any(shape.is_last for shape in group):
                cursor = cursor + np.where(alive, piece, 0)
        outcome.end = cursor
        self.write(node, start, cursor, present)
        self._conclude(node, own, failed_itself)
        self._note_groups(task, present)
        return outcome

    def _own(self, node: Node, present: NDArray[np.bool_], force: Force) -> _Own:
        operation = node.operation
        time = self.draws.lognormal_ns(f"{node.path} self", operation.self_ms, operation.sigma)
        if force.least is not None:
            time = np.maximum(time, force.least)
        delay = force.delay.copy()
        for number, busy in self.of_kind(CpuContention):
            if busy.service == operation.service:
                added = self.added(number, present, np.rint(time * (busy.factor - 1)).astype(np.int64))
                time = time + added
                self.inject(number, node.number, present & self.touched[number], added)
        for number, slow in self.on_operation(operation, SlowOperation):
            hit = present & self.touched[number]
            added = self.added(number, present, rounded_ns(slow.ms))
            delay += added
            self.inject(number, node.number, hit, added)
        early = np.zeros(self.count, dtype=bool)
        for number, _ in self.on_operation(operation, EarlyReturn):
            hit = present & self.touched[number] & (force.failure == 0)
            early |= hit
            self.mark(number, node.number, hit, CAUSE)
        force = self._failing(node, present & ~early, force)
        time = np.where(early | (force.fast > 0), time // _EARLY, np.where(force.quick, time // _QUICK, time))
        failed = present & (force.failure > 0) & ~early
        outcome = Outcome.none(self.count)
        outcome.fail(failed, node.number, ERROR, force.fault)
        self.failure[node.number] = np.where(failed, force.failure, 0)
        self.origin[node.number] = failed
        for number in np.unique(force.fault[failed]).tolist():
            self.mark(number, node.number, failed & (force.fault == number), CAUSE)
        not_found = present & force.not_found & ~failed & ~early
        return _Own(time, delay, present & ~early & ~failed, outcome, not_found)

    def _failing(self, node: Node, able: NDArray[np.bool_], force: Force) -> Force:
        """Add the failures that begin in the operation itself."""
        force = force.copy()
        if node.number == 0:
            for number, fast in self.of_kind(FastFailures):
                if fast.operation == node.operation.key:
                    hit = able & self.touched[number] & (force.failure == 0)
                    force.fail(hit, UNAVAILABLE, number)
                    force.fast |= hit
        for number, _ in self.on_operation(node.operation, ErrorRate):
            force.fail(able & self.touched[number] & (force.failure == 0), ERROR, number)
        return force

    def _conclude(self, node: Node, own: _Own, failed_itself: NDArray[np.bool_]) -> None:
        at, outcome = node.number, own.outcome
        upstream = outcome.failed & ~failed_itself
        if node.kind != "INTERNAL" or node.service.marks_internal_errors:
            self.failure[at][upstream] = UPSTREAM
            self.mark_all(outcome.fault, at, upstream, SYMPTOM)
        self.failure[at][own.not_found & ~outcome.failed] = NOT_FOUND

    def made(self, shape: CallShape, alive: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return in which requests the call is made."""
        call = shape.call
        base, _, _ = shape.outer.path.rpartition(".")
        above = base.rpartition("/")[0]
        coin = self.draws.uniform(f"{above} when {call.when}" if call.when else f"{base} made") < call.probability
        low, high = call.counts
        times = (
            low + np.floor(self.draws.uniform(f"{base} times") * (high - low + 1)).astype(np.int64)
            if high > low
            else np.full(self.count, low)
        )
        for number, many in self.on_call(shape, NPlusOne):
            times = np.where(self.touched[number], many.count, times)
        return alive & coin & (shape.instance < times)

    def _group(self, task: Task, group: list[CallShape], start: NDArray[np.int64], alive: NDArray[np.bool_]) -> Outcome:
        """Run one call, or several that start together."""
        if len(group) == 1:
            shape = group[0]
            present = self.made(shape, alive)
            pause = rounded_ns(shape.call.pause_ms) + _LOOP_NS if shape.instance else 0
            found = self.guarded(shape, start + pause, present, self.free())
            found.end = np.where(present, found.end, start)
            return found
        return self._parallel(task, group, start, alive)

    def _parallel(
        self, task: Task, group: list[CallShape], start: NDArray[np.int64], alive: NDArray[np.bool_]
    ) -> Outcome:
        """Run calls that start together, and wait for all of them."""
        presents = [self.made(shape, alive) for shape in group]
        forced = self._cancelling(group, presents)
        in_turn = self._in_turn(task, group, presents)
        found: list[Outcome] = []
        latest = start
        for place, (shape, present) in enumerate(zip(group, presents, strict=True)):
            begin = np.where(in_turn, latest + _STAGGER_NS, start + place * _STAGGER_NS)
            each = self.guarded(shape, begin, present, forced[place][0])
            found.append(each)
            latest = np.where(present, each.end, latest)
        for place, (force, number) in enumerate(forced):
            if number >= 0:
                self._cancel(group, found, place, number=number, mask=force.quick & found[place].failed)
        return self._joined(found, presents, start)

    def _cancelling(self, group: list[CallShape], presents: list[NDArray[np.bool_]]) -> list[tuple[Force, int]]:
        """Return what befalls each call: the first one on the edge of a CancelledSiblings fails early."""
        several = np.sum(presents, axis=0) > 1
        forced: list[tuple[Force, int]] = [(self.free(), -1) for _ in group]
        taken: set[int] = set()
        for place, shape in enumerate(group):
            for number, _ in self.on_call(shape, CancelledSiblings):
                if number not in taken and forced[place][1] < 0:
                    taken.add(number)
                    hit = presents[place] & several & self.touched[number]
                    force = self.free()
                    force.fail(hit, ERROR, number)
                    force.quick = hit
                    forced[place] = (force, number)
        return forced

    def _cancel(self, group: list[CallShape], found: list[Outcome], place: int, *, number: int, mask: Any) -> None:
        at = found[place].end
        for other, (shape, outcome) in enumerate(zip(group, found, strict=True)):
            if other != place:
                running = mask & self.present[shape.outer.number] & (outcome.end > at)
                self.cut(range(shape.first, shape.stop), at, running, fault=number)
                outcome.end = np.where(running, at, outcome.end)
                outcome.failed = outcome.failed & ~running

    def _in_turn(self, task: Task, group: list[CallShape], presents: list[NDArray[np.bool_]]) -> NDArray[np.bool_]:
        in_turn = np.zeros(self.count, dtype=bool)
        several = np.sum(presents, axis=0) > 1
        for number, _ in self.on_operation(task.node.operation, SequentialCalls):
            hit = several & self.touched[number]
            in_turn |= hit
            self.mark(number, task.node.number, hit, CAUSE)
            self.groups.append(Group("sequential", [s.outer.number for s in group], hit, fault=number))
        return in_turn

    def _joined(self, found: list[Outcome], presents: list[NDArray[np.bool_]], start: NDArray[np.int64]) -> Outcome:
        """Return what the caller sees of parallel calls: the end of the last one, and of the failures the last one."""
        joined = Outcome.none(self.count)
        joined.end = start.copy()
        last_failure = np.full(self.count, np.iinfo(np.int64).min)
        for outcome, present in zip(found, presents, strict=True):
            joined.end = np.where(present, np.maximum(joined.end, outcome.end), joined.end)
            later = outcome.failed & (outcome.end > last_failure)
            joined.take(outcome, later)
            last_failure = np.where(later, outcome.end, last_failure)
        return joined

    def _note_groups(self, task: Task, present: NDArray[np.bool_]) -> None:
        """Note the groups of equal calls: those that a fault has multiplied, and those that only look like it."""
        looping = np.zeros(self.count, dtype=bool)
        for call in task.node.operation.calls:
            shapes = [s for group in task.groups for s in group if s.call is call]
            if not shapes:
                continue
            members = [s.outer.number for s in shapes]
            multiplied = np.zeros(self.count, dtype=bool)
            for number, _ in self.on_call(shapes[0], NPlusOne):
                hit = present & self.touched[number] & (self.present[members].sum(axis=0) > 1)
                multiplied |= hit
                self.groups.append(Group("n_plus_one", members, hit, fault=number))
                for member in members:
                    self.mark(number, member, hit & self.present[member], CAUSE)
            looping |= multiplied
            if call.decoy in ("", "hedge", "not_found", "cache"):
                continue
            self.groups.append(
                Group(call.decoy, members, present & ~multiplied & (self.present[members].sum(axis=0) > 1))
            )
        cached = [s.outer.number for group in task.groups for s in group if s.call.decoy == "cache"]
        if cached:
            several = present & ~looping & (self.present[cached].sum(axis=0) > 1)
            self.groups.append(Group("cache", cached, several))
