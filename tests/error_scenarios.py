"""Traces with a known culprit: eight ways in which failures spread or do not, each with random noise around them.

``trace(scenario, seed)`` gives the rows of one trace, the name of the span to blame and the cause. Times are milliseconds; the
noise is successful work (in the callers, before the failure) and is different for every seed.
"""

from __future__ import annotations

import itertools

import numpy as np
from small_traces import EPOCH_NS, frame

SERVICES = ("web", "cart", "payment", "stock", "mail", "users")


class Trace:
    """Rows of one trace; ``add`` makes a span and returns its id."""

    def __init__(self, number, seed):
        self.rng = np.random.default_rng(seed)
        self.trace_id = f"{number + 1:032x}"
        self.rows = []
        self._ids = itertools.count(1)

    def add(self, name, service, begin, end, *, parent=None, **more):
        """A span from ``begin`` to ``end`` ms."""
        span_id = f"{int(self.rng.integers(2**32)):08x}{next(self._ids):08x}"
        row = {
            "trace_id": self.trace_id,
            "span_id": span_id,
            "parent_span_id": parent,
            "name": name,
            "service": service,
        }
        row |= {"start_ns": EPOCH_NS + round(begin * 1e6), "duration_ns": round((end - begin) * 1e6)}
        self.rows.append(row | {"kind": "INTERNAL", "status": "UNSET"} | more)
        return span_id

    def call(self, name, services, begin, end, *, parent, failed=False, **client):
        """A client and a server span; returns the server's id, under which its work hangs."""
        state = {"status": "ERROR"} if failed else {}
        by = self.add(name, services[0], begin, end, parent=parent, kind="CLIENT", **state, **client)
        return self.add(name, services[1], begin + 0.2, end - 0.2, parent=by, kind="SERVER", **state)

    def noise(self, parent, service, begin, end):
        """Some successful work inside a span."""
        for _ in range(int(self.rng.integers(0, 4))):
            a, b = np.sort(self.rng.uniform(begin, end, 2))
            if self.rng.random() < 0.5:
                self.add(f"work{self.rng.integers(9)}", service, a, b, parent=parent)
            else:
                self.call(f"ask{self.rng.integers(9)}", (service, self.other(service)), a, b, parent=parent)

    def other(self, service):
        """Another service than this one."""
        return str(self.rng.choice([s for s in SERVICES if s != service]))

    def root(self, end=100.0):
        """A failed root with noise in its first tenth."""
        root = self.add("GET /", "web", 0, end, kind="SERVER", status="ERROR")
        self.noise(root, "web", 0.5, end / 10)
        return root

    def hops(self, parent, service, begin, end, *, least=0):
        """A failing chain of calls; returns the innermost server, its service and its window."""
        for _ in range(int(self.rng.integers(least, 4))):
            called = self.other(service)
            parent = self.call(f"call {called}", (service, called), begin, end, parent=parent, failed=True)
            begin, end, service = begin + 1, end - 1, called
            self.noise(parent, service, begin, begin + (end - begin) / 3)
        return parent, service, begin, end


def propagated(trace):
    """A failure deep down takes all callers with it."""
    root = trace.root()
    parent, service, begin, end = trace.hops(root, "web", 20, 90, least=1)
    trace.add("culprit", service, begin + (end - begin) / 2, end - 1, parent=parent, status="ERROR")
    return "error"


def handled(trace):
    """A failure in a dependency is caught, and the root fails by itself."""
    root = trace.root()
    trace.rows[0]["name"] = "culprit"
    begin = trace.rng.uniform(12, 30)
    fine = trace.call("optional", ("web", "cart"), begin, begin + 30, parent=root)
    trace.call("cache", ("cart", "stock"), begin + 2, begin + 20, parent=fine, failed=True)
    return "error"


def handled_and_other(trace):
    """One failure is caught on the way, another one is not; they come in either order."""
    root = trace.root()
    spots = [(15, 40), (50, 90)]
    first, second = spots if trace.rng.random() < 0.5 else spots[::-1]
    fine = trace.call("optional", ("web", "cart"), *first, parent=root)
    trace.call("cache", ("cart", "stock"), first[0] + 2, first[1] - 2, parent=fine, failed=True)
    parent, service, begin, end = trace.hops(root, "web", *second, least=1)
    trace.add("culprit", service, begin + (end - begin) / 2, end - 0.5, parent=parent, status="ERROR")
    return "error"


def retried_and_other(trace):
    """Attempts fail until one succeeds; then something else fails, or has failed already."""
    root = trace.root()
    late = trace.rng.random() < 0.7
    begin = 12.0 if late else 40.0
    attempts = int(trace.rng.integers(2, 5))
    for attempt in range(attempts):
        end = begin + trace.rng.uniform(3, 6)
        trace.call("reserve", ("web", "stock"), begin, end, parent=root, failed=attempt < attempts - 1)
        begin = end + trace.rng.uniform(0.1, 3)
    spot = (60, 90) if late else (12, 35)
    parent, service, begin, end = trace.hops(root, "web", *spot)
    trace.add("culprit", service, begin + (end - begin) / 2, end - 0.5, parent=parent, status="ERROR")
    return "error"


def retries_exhausted(trace):
    """Every attempt fails; the last one is reported."""
    root = trace.root()
    begin, attempts = 15.0, int(trace.rng.integers(2, 5))
    for attempt in range(attempts):
        end = begin + trace.rng.uniform(4, 8)
        server = trace.call("reserve", ("web", "stock"), begin, end, parent=root, failed=True)
        name = "culprit" if attempt == attempts - 1 else "earlier"
        trace.add(name, "stock", begin + 1, end - 1, parent=server, status="ERROR")
        begin = end + trace.rng.uniform(0.1, 4)
    return "error"


DEADLINES = (
    {"span.rpc.grpc.status_code": 4},
    {"span.rpc.response.status_code": "DEADLINE_EXCEEDED"},
    {"span.http.response.status_code": 504},
    {"span.http.status_code": 408},
    {"span.error.type": "timeout"},
    {"status_message": "context deadline exceeded"},
    {"events": '[{"time":1,"name":"exception","attributes":{"exception.type":"java.net.SocketTimeoutException"}}]'},
    {"events": '[{"time":1,"name":"exception","attributes":{"exception.message":"read timed out"}}]'},
)


def timeout(trace):
    """A client gives up; what it called goes on, succeeds, and was held up by something below it."""
    root = trace.root()
    deadline = trace.rng.uniform(40, 80)
    sign = DEADLINES[int(trace.rng.integers(len(DEADLINES)))]
    client = trace.add("pay", "web", 20, deadline, parent=root, kind="CLIENT", status="ERROR", **sign)
    parent = trace.add("pay", "payment", 21, 200, parent=client, kind="SERVER")
    trace.noise(parent, "payment", 22, 30)
    service, begin, end = "payment", 31.0, 195.0
    for _ in range(int(trace.rng.integers(0, 3))):
        called = trace.other(service)
        parent = trace.call(f"call {called}", (service, called), begin, end, parent=parent)
        service, begin, end = called, begin + 1, end - 5
    trace.add("culprit", service, begin + 1, end - 1, parent=parent)
    trace.add("afterwards", service, deadline + 20, end - 0.5, parent=parent)
    return "slow"


CANCELLATIONS = (
    {"span.rpc.grpc.status_code": 1},
    {"span.rpc.response.status_code": "CANCELLED"},
    {"span.http.response.status_code": 499},
    {"status_message": "context canceled"},
    {"span.error.type": "System.Threading.Tasks.TaskCanceledException"},
    {"events": '[{"time":1,"name":"exception","attributes":{"exception.type":"asyncio.exceptions.CancelledError"}}]'},
)


def cancelled_siblings(trace):
    """Of calls made at once one fails, and the others are cancelled; they end after it."""
    root = trace.root()
    failure = trace.rng.uniform(40, 60)
    width = int(trace.rng.integers(2, 6))
    culprit = int(trace.rng.integers(width))
    for branch in range(width):
        begin = 15 + trace.rng.uniform(0, 5)
        if branch == culprit:
            server = trace.call(f"part{branch}", ("web", "stock"), begin, failure, parent=root, failed=True)
            trace.add("culprit", "stock", begin + 2, failure - 1, parent=server, status="ERROR")
        else:
            sign = CANCELLATIONS[int(trace.rng.integers(len(CANCELLATIONS)))]
            end = failure + trace.rng.uniform(0.1, 5)
            trace.add(f"part{branch}", "web", begin, end, parent=root, kind="CLIENT", status="ERROR", **sign)
    return "error"


def unmarked_middle(trace):
    """Between failures lie internal spans of the caller that nobody marked."""
    root = trace.root()
    parent, begin, end = root, 20.0, 90.0
    for depth in range(int(trace.rng.integers(1, 4))):
        parent = trace.add(f"layer{depth}", "web", begin, end, parent=parent)
        begin, end = begin + 1, end - 1
        trace.noise(parent, "web", begin, begin + 5)
    parent = trace.call("load", ("web", "cart"), begin + 10, end, parent=parent, failed=True)
    if trace.rng.random() < 0.5:
        parent = trace.add("query layer", "cart", begin + 12, end - 0.5, parent=parent)
    trace.add("culprit", "cart", begin + 15, end - 1, parent=parent, kind="CLIENT", status="ERROR")
    return "error"


SCENARIOS = {
    "propagated": propagated,
    "handled": handled,
    "handled + other": handled_and_other,
    "retry ok + other": retried_and_other,
    "retries exhausted": retries_exhausted,
    "timeout": timeout,
    "cancelled siblings": cancelled_siblings,
    "unmarked middle": unmarked_middle,
}


def spans_of(scenario, seeds):
    """A shuffled frame of one trace a seed, and the cause to expect; the span to blame is named culprit."""
    rows, cause = [], None
    for number, seed in enumerate(seeds):
        trace = Trace(number, seed)
        cause = SCENARIOS[scenario](trace)
        rows += trace.rows
    rng = np.random.default_rng(0)
    return attributed([rows[at] for at in rng.permutation(len(rows))]), cause


def attributed(rows):
    """A span frame of dicts with the attribute columns that any of them has."""
    made = frame(rows)
    for name in sorted({key for row in rows for key in row if key.startswith(("span.", "resource."))}):
        made[name] = [row.get(name) for row in rows]
    return made
