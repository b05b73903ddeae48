"""One call with everything that may befall it on the way: gaps, delays, retries, deadlines, hedges, fallbacks, cancellation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from traceanalytics.simulate.faults import (
    CpuContention,
    DroppedHeaders,
    HandledError,
    NetworkDelay,
    NPlusOne,
    RetriesExhausted,
    RetriesRecovered,
    Timeout,
)
from traceanalytics.simulate.outcomes import (
    CAUSE,
    ERROR,
    HANDLED,
    NOT_FOUND,
    REFUSED,
    SLOW,
    SYMPTOM,
    TIMEOUT,
    UNAVAILABLE,
    Force,
    Group,
    Outcome,
)
from traceanalytics.simulate.run_state import RunState, rounded_ns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.simulate.templates import CallShape, Task

__all__ = ["CallEffects"]

_GAP_MS: Final = 3.0
_GAP_SIGMA: Final = 0.4
_REQUEST_LEG: Final = (0.52, 0.88)
_SEND_MS: Final = 0.6
_QUEUE_MS: Final = 15.0
_REFUSED_MS: Final = 1.5


class CallEffects(RunState, ABC):
    """Runs calls; see ``Timing``."""

    @abstractmethod
    def operate(self, task: Task, start: NDArray[np.int64], present: NDArray[np.bool_], force: Force) -> Outcome:
        """Run an operation."""

    def guarded(self, shape: CallShape, start: NDArray[np.int64], present: NDArray[np.bool_], force: Force) -> Outcome:
        """Run a call, and return what is left for the caller after retries, deadlines, hedges and fallbacks."""
        force = force.copy()
        begin, hold, refused = self._retry(shape, start, present, force)
        falls_back = np.zeros(self.count, bool)
        for number, _ in self.on_call(shape, HandledError):
            hit = present & self.touched[number]
            force.fail(hit & (force.failure == 0), ERROR, number)
            falls_back |= hit
        if shape.call.not_found:
            force.not_found = self.draws.uniform(f"{shape.outer.path} not found") < shape.call.not_found
        deadlines = self.on_call(shape, Timeout)
        for number, timeout in deadlines:
            force.delay += np.where(present & self.touched[number], rounded_ns(timeout.slow_ms), 0)
        outcome = self._plain(shape, begin, present, force, hold=hold, refused=refused)
        for number, timeout in deadlines:
            limit = begin + rounded_ns(timeout.deadline_ms)
            self._give_up(shape, outcome, limit, present & self.touched[number] & (outcome.end > limit), number=number)
        if shape.hedge is not None:
            self._hedge(shape, shape.hedge, begin, present, outcome)
        if shape.call.decoy == "not_found":
            self.groups.append(Group("not_found", [shape.outer.number], self.failure[shape.outer.number] == NOT_FOUND))
        self._handle(shape, outcome, falls_back)
        return outcome

    def _retry(
        self, shape: CallShape, start: NDArray[np.int64], present: NDArray[np.bool_], force: Force
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Run the failed attempts; return the start of the last, the time it holds for the others, and where it is refused."""
        begin, hold, refused = start, np.zeros(self.count, np.int64), np.zeros(self.count, bool)
        free = present & (force.failure == 0)
        for fault in (*self.on_call(shape, RetriesRecovered), *self.on_call(shape, RetriesExhausted)):
            number, retries = fault
            hit = free & self.touched[number]
            free &= ~hit
            exhausted = isinstance(retries, RetriesExhausted)
            members = [shape.outer.number]
            if retries.form == "siblings":
                attempts = shape.attempts[number]
                for i, attempt in enumerate(attempts):
                    fail = self.free()
                    fail.fail(hit, UNAVAILABLE, number)
                    fail.quick = hit
                    ended = self._plain(attempt, begin, hit, fail)
                    begin = np.where(hit, ended.end + rounded_ns(retries.backoff_ms * 2**i), begin)
                    numbers = np.full(self.count, number, np.int16)
                    self.relabel(range(attempt.first, attempt.stop), numbers, hit, SYMPTOM if exhausted else HANDLED)
                members = [a.outer.number for a in attempts] + members
                if exhausted:
                    force.fail(hit, UNAVAILABLE, number)
                    force.quick = force.quick | hit
            else:
                hold = hold + self._held(shape, retries, start, hit, number=number)
                if exhausted:
                    refused = refused | hit
                    force.fail(hit, REFUSED, number)
                else:
                    self.mark(number, shape.outer.number, hit, HANDLED)
            self.groups.append(Group("retry", members, hit, number, retries.form, retries.attempts))
        return begin, hold, refused

    def _held(
        self, shape: CallShape, retries: Any, start: NDArray[np.int64], hit: NDArray[np.bool_], *, number: int
    ) -> NDArray[np.int64]:
        """Return the time of failed attempts within one span."""
        hold = np.zeros(self.count, np.int64)
        for i in range(retries.attempts - 1):
            hold += self.draws.lognormal_ns(f"{shape.outer.path} refused {number}.{i}", _REFUSED_MS, 0.4)
            if retries.form == "events":
                self.retry_events.append((shape.outer.number, hit, start + hold, i + 1))
            hold += rounded_ns(retries.backoff_ms * 2**i)
        if retries.form == "attributes":
            self.resends[shape.outer.number] = np.where(hit, retries.attempts - 1, 0)
        return np.where(hit, hold, 0)

    def _plain(
        self,
        shape: CallShape,
        start: NDArray[np.int64],
        present: NDArray[np.bool_],
        force: Force,
        *,
        hold: NDArray[np.int64] | int = 0,
        refused: NDArray[np.bool_] | None = None,
    ) -> Outcome:
        """Run one attempt of a call."""
        outer, task = shape.outer, shape.task
        for number, many in self.on_call(shape, NPlusOne):
            least = np.where(self.touched[number], rounded_ns(many.least_ms), 0)
            force.least = least if force.least is None else np.maximum(force.least, least)
        if outer is task.node:
            force.delay = force.delay + hold
            if outer.kind == "CLIENT":
                for leg in self._delays(shape, present):
                    force.delay = force.delay + leg
            return self.operate(task, start, present, force)
        if outer.kind == "PRODUCER":
            return self._send(shape, start, present)
        gap = self.draws.lognormal_ns(f"{outer.path} gap", _GAP_MS, _GAP_SIGMA)
        low, high = _REQUEST_LEG
        there = np.rint(gap * (low + (high - low) * self.draws.uniform(f"{outer.path} leg"))).astype(np.int64)
        back = gap - there
        slow_there, slow_back = self._delays(shape, present)
        arrives = present if refused is None else present & ~refused
        outcome = self.operate(task, start + hold + there + slow_there, arrives, force)
        outcome.end = outcome.end + back + slow_back
        self.failure[outer.number] = np.where(
            outcome.failed | (self.failure[task.node.number] == NOT_FOUND), self.failure[task.node.number], 0
        )
        self.mark_all(outcome.fault, outer.number, outcome.failed, SYMPTOM)
        for number, _ in self.on_call(shape, DroppedHeaders):
            self.restarts.append((task.node.number, arrives & self.touched[number]))
            self.mark(number, task.node.number, arrives & self.touched[number], CAUSE)
        if refused is not None and refused.any():
            last = self.draws.lognormal_ns(f"{outer.path} refused", _REFUSED_MS, 0.4)
            outcome.end = np.where(refused, start + hold + last, outcome.end)
            outcome.fail(refused, outer.number, ERROR, force.fault)
            self.failure[outer.number][refused] = REFUSED
            self.origin[outer.number] = refused
            self.mark_all(force.fault, outer.number, refused, CAUSE)
        self.write(outer, start, outcome.end, present)
        return outcome

    def _delays(self, shape: CallShape, present: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return what the network and busy processors add to the way there and back."""
        there, back = np.zeros(self.count, np.int64), np.zeros(self.count, np.int64)
        outer, target = shape.outer, self.template.topology.operations[shape.call.to]
        for number, slow in self.of_kind(NetworkDelay):
            mine, theirs = (name.partition(" ")[0] for name in slow.edge)
            culprit = mine == shape.caller.service if slow.side == "caller" else theirs == target.service
            if culprit:
                added = self.added(number, present, rounded_ns(slow.ms))
                if slow.side == "caller":
                    there = there + added
                else:
                    back = back + added
                self.inject(number, outer.number, present & self.touched[number], added)
        for number, busy in self.of_kind(CpuContention):
            if busy.service == target.service and busy.gap_ms:
                waits = self.draws.lognormal_ns(f"{outer.path} queue", busy.gap_ms, 0.4)
                added = self.added(number, present, waits)
                there = there + added
                self.inject(number, outer.number, present & self.touched[number], added)
        return there, back

    def _send(self, shape: CallShape, start: NDArray[np.int64], present: NDArray[np.bool_]) -> Outcome:
        """Send a message; the consumer takes it up when it comes to it, and nobody waits."""
        path = shape.outer.path
        end = start + self.draws.lognormal_ns(f"{path} send", _SEND_MS, 0.4)
        self.write(shape.outer, start, end, present)
        self.operate(shape.task, end + self.draws.lognormal_ns(f"{path} queue", _QUEUE_MS, 0.8), present, self.free())
        outcome = Outcome.none(self.count)
        outcome.end = end
        return outcome

    def _give_up(
        self, shape: CallShape, outcome: Outcome, limit: NDArray[np.int64], hit: NDArray[np.bool_], *, number: int
    ) -> None:
        """End the caller's span at its deadline; the callee does not know."""
        outer, callee = shape.outer.number, shape.task.node.number
        outcome.end = np.where(hit, limit, outcome.end)
        outcome.fail(hit, callee, TIMEOUT if callee == outer else SLOW, number)
        self.end[outer] = np.where(hit, limit, self.end[outer])
        self.failure[outer] = np.where(hit, TIMEOUT, self.failure[outer])
        self.origin[outer] = np.where(hit, True, self.origin[outer])
        self.mark(number, outer, hit, SYMPTOM)
        self.mark(number, callee, hit, CAUSE)

    def _hedge(
        self,
        shape: CallShape,
        second: CallShape,
        start: NDArray[np.int64],
        present: NDArray[np.bool_],
        outcome: Outcome,
    ) -> None:
        """Ask a second time where the answer takes long; the first answer counts, the other call is cancelled."""
        begin = start + rounded_ns(shape.call.hedge_ms)
        late = present & (outcome.end > begin)
        other = self._plain(second, begin, late, self.free())
        second_wins = late & (other.end < outcome.end)
        first_wins = late & ~second_wins
        own = range(second.first, second.stop)
        rest = [n for n in range(shape.first, shape.stop) if n not in own]
        self.cut(rest, other.end, second_wins, itself=shape.outer.number)
        self.cut(own, outcome.end, first_wins, itself=second.outer.number)
        outcome.failed = np.where(second_wins, other.failed, outcome.failed)
        outcome.take(other, second_wins)
        outcome.end = np.where(second_wins, other.end, outcome.end)
        self.groups.append(Group("hedge", [shape.outer.number, second.outer.number], late))

    def _handle(self, shape: CallShape, outcome: Outcome, falls_back: NDArray[np.bool_]) -> None:
        handled = outcome.failed & (falls_back | (shape.call.on_failure == "ignore"))
        self.relabel(range(shape.first, shape.stop), outcome.fault, handled, HANDLED)
        outcome.failed = outcome.failed & ~handled
        for number, node in shape.fallbacks.items():
            if number in self.touched:
                hit = handled & falls_back & self.touched[number]
                end = outcome.end + self.draws.lognormal_ns(f"{node.path} self", 1.0, 0.4)
                self.write(node, outcome.end.copy(), end, hit)
                outcome.end = np.where(hit, end, outcome.end)
