"""The rule of blame in plain Python, one trace at a time, written apart from the package's arrays."""

from __future__ import annotations

import re

from traceanalytics.spans.error_rule import is_error
from traceanalytics.topology import Forest


def blamed(spans):
    """trace id -> (span id to blame, cause) of every trace whose main root failed."""
    forest = Forest(spans)
    rows = spans.reset_index(drop=True).to_dict("records")
    failed = is_error(spans).tolist()
    found = {}
    for trace, root in enumerate(forest.main_root.tolist()):
        if failed[root]:
            at, cause = _Walk(forest, rows, failed).from_root(root)
            found[forest.trace_ids[trace]] = (rows[at]["span_id"], cause)
    return found


class _Walk:
    def __init__(self, forest, rows, failed):
        self.rows, self.failed = rows, failed
        self.children = [forest.children_of(row).tolist() for row in range(len(rows))]
        self.parent = forest.parent.tolist()
        self.place = {row: at for at, row in enumerate(forest.order.tolist())}
        self.start = [int(t) if t > -(2**63) else None for t in forest.start.tolist()]
        self.end = [end if ok else None for end, ok in zip(forest.end.tolist(), forest.timed.tolist(), strict=True)]

    def service(self, row):
        service = self.rows[row]["service"]
        return service if isinstance(service, str) else None

    def says(self, row, pattern):
        message = self.rows[row]["status_message"]
        return isinstance(message, str) and re.search(pattern, message) is not None

    def timed_out(self, row):
        return self.failed[row] and self.says(row, "deadline")

    def cancelled(self, row):
        return self.failed[row] and self.says(row, "canceled") and not self.timed_out(row)

    def called_off(self, row):
        if self.cancelled(row):
            return True
        below = [] if isinstance(self.rows[row]["status_message"], str) else self.candidates(row)
        return bool(below) and all(self.called_off(failure) for failure in below)

    def through(self, row, service):
        kind, status = self.rows[row]["kind"], self.rows[row]["status"]
        return (
            not self.failed[row]
            and kind in ("INTERNAL", "UNSPECIFIED")
            and status == "UNSET"
            and self.service(row) == service
        )

    def effective(self, at):
        """All spans below ``at``, with those below unmarked ones, and the unmarked ones between."""
        found, stack = [], [(child, ()) for child in self.children[at]]
        while stack:
            row, between = stack.pop()
            found.append((row, between))
            if self.through(row, self.service(at)):
                stack += [(child, (*between, row)) for child in self.children[row]]
        return found

    def same(self, one, other):
        def called(row):
            servers = [c for c in self.children[row] if self.rows[c]["kind"] in ("SERVER", "CONSUMER")]
            return self.service(min(servers, key=self.place.get)) if servers else None

        keys = [(self.rows[r]["name"], self.rows[r]["kind"], self.service(r)) for r in (one, other)]
        return keys[0] == keys[1] and (None in (called(one), called(other)) or called(one) == called(other))

    def loose(self, row):
        up = self.parent[row]
        return self.rows[row]["kind"] == "CONSUMER" and up >= 0 and self.rows[up]["kind"] == "PRODUCER"

    def slack(self, at):
        return max(1_000_000, (self.end[at] - self.start[at]) // 100)

    def outlives(self, row, at, *, sure):
        if self.end[row] <= self.end[at] + self.slack(at):
            return False
        longer = self.end[row] - self.start[row] > self.end[at] - self.start[at]
        return sure or self.service(row) == self.service(at) or longer

    def candidates(self, at):
        below = self.effective(at)
        failures = [row for row, _ in below if self.failed[row]]
        tainted = {row for failure, between in below if self.failed[failure] for row in between}
        good = [r for r, _ in below if not self.failed[r] and self.end[r] is not None and r not in tainted]
        kept = []
        for row in failures:
            over = self.start[row] if self.end[row] is None else self.end[row]
            length = 0 if self.end[row] is None or self.start[row] is None else over - self.start[row]
            early = min(max(1_000_000, length // 100), length // 2)
            if over is not None and any(self.start[g] >= over - early and self.same(row, g) for g in good):
                continue
            answered = max((self.end[g] for g in good if self.same(row, g)), default=None)
            if (
                self.cancelled(row)
                and None not in (over, answered)
                and abs(answered - over) <= max(1_000_000, length // 10)
            ):
                continue
            timed = self.end[row] is not None and self.end[at] is not None
            if timed and self.outlives(row, at, sure=self.timed_out(at) or self.loose(row)):
                continue
            kept.append(row)
        return kept

    def next(self, at):
        kept = self.candidates(at)
        off = [row for row in kept if self.called_off(row)]
        begun = min((float("-inf") if self.start[row] is None else self.start[row] for row in off), default=0)
        others = [r for r in kept if r not in off and not (off and self.end[r] is not None and self.end[r] < begun)]
        if others and off:
            known = [row for row in others if self.end[row] is not None]
            return min(known or others, key=lambda r: (self.end[r] or 0, self.place[r]))
        known = [row for row in kept if self.end[row] is not None]
        if known:
            limit = float("inf") if self.end[at] is None else self.end[at]
            return min(known, key=lambda r: (-min(self.end[r], limit), self.place[r]))
        return min(kept, key=self.place.get, default=None)

    def running(self, node, stop, *, gave_up):
        found = []
        for row in self.children[node]:
            if self.loose(row) or self.start[row] is None or self.start[row] >= self.end[stop]:
                continue
            if self.end[row] is None:
                found.append((float("-inf"), self.place[row], row))
            elif node == stop and not gave_up:
                if self.outlives(row, stop, sure=False):
                    found.append((-self.end[row], self.place[row], row))
            elif self.end[row] >= self.end[stop] - self.slack(stop):
                found.append((-self.end[row], self.place[row], row))
        return min(found)[2] if found else None

    def from_root(self, root):
        at, deadline_above = root, False
        while (below := self.next(at)) is not None:
            deadline_above |= self.timed_out(at)
            at = below
        stop = at
        gave_up = self.timed_out(stop) or (self.cancelled(stop) and deadline_above)
        while self.end[stop] is not None and (below := self.running(at, stop, gave_up=gave_up)) is not None:
            at = below
        if at != stop or (self.cancelled(stop) and deadline_above):
            return at, "slow"
        return at, "timeout" if self.timed_out(stop) else "cancellation" if self.cancelled(stop) else "error"
