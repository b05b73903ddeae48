"""Failed requests as strangers might draw them: eight stories, told in many representations, each with the span to blame.

Written from the wording of the rules alone; spans are plain dicts with attributes, as a tracing SDK exports them.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import pandas as pd

import traceanalytics as ta

SHAPES = ("pairs", "servers", "internal", "unspecified", "mixed")
SIGNALS = ("status", "http", "grpc", "grpc_old", "message", "exception", "any")
SERVICES = ("edge", "basket", "ledger", "catalogue", "mailer", "quota", "vault")
T0 = 1_770_000_000_000_000_000
_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_NUMBERS = {"cancelled": 1, "deadline": 4}
_NAMES = {1: "CANCELLED", 2: "UNKNOWN", 4: "DEADLINE_EXCEEDED", 13: "INTERNAL", 14: "UNAVAILABLE"}
_WORDS = {
    "error": ("connection refused", "boom", "ECONNRESET", "NullPointerException at Cart.java:17"),
    "deadline": ("context deadline exceeded", "Read timed out", "timeout of 250ms exceeded", "i/o timeout"),
    "cancelled": (
        "context canceled",
        "operation was cancelled",
        "CancelledError",
        "This operation was aborted",
        "canceling statement due to user request",
        "stream terminated by RST_STREAM with error code: CANCEL",
    ),
}
_TYPES = {
    "error": ("_OTHER", "500", "java.io.IOException"),
    "deadline": ("timeout", "504", "java.net.SocketTimeoutException"),
}
_TYPES["cancelled"] = ("cancelled", "499", "kotlinx.coroutines.JobCancellationException", "AbortError")


class Node(NamedTuple):
    """Where calls may be made."""

    id: str
    service: str
    start: float
    end: float


class Story:
    """One trace under construction."""

    def __init__(self, rng, shape, signal):
        self.rng, self.shape, self.signal = rng, shape, signal
        self.spans = []
        self.trace = rng.randbytes(16).hex()
        self.skew = {service: rng.uniform(-0.5, 0.5) for service in SERVICES}

    def span(self, above, service, name, kind, start, end, outcome="ok", **attributes):  # noqa: PLR0917
        begin = T0 + round((start + self.skew[service]) * 1e6)
        row = {
            "id": self.rng.randbytes(8).hex(),
            "above": above,
            "service": service,
            "name": name,
            "kind": kind,
            "begin": begin,
            "finish": begin + round((end - start) * 1e6),
            "status": "UNSET",
            "message": None,
            "attributes": attributes,
            "events": [],
        }
        self._tell(row, outcome)
        self.spans.append(row)
        return Node(row["id"], service, start, end)

    def _tell(self, row, outcome):
        rng, told = self.rng, row["attributes"]
        signal = rng.choice(SIGNALS[:-1]) if self.signal == "any" else self.signal
        if outcome in ("ok", "plain"):
            row["status"] = "ERROR" if outcome == "plain" else "UNSET"
        elif outcome == "missing":
            told["http.response.status_code"] = 404
        elif signal == "http":
            told[rng.choice(["http.response.status_code", "http.status_code"])] = {
                "cancelled": 499,
                "deadline": 504,
            }.get(outcome, rng.choice([500, 502, 503]))
            row["status"] = "ERROR" if outcome == "cancelled" and row["kind"] != "CLIENT" else "UNSET"
        elif signal in ("grpc", "grpc_old"):
            code = _NUMBERS.get(outcome, rng.choice([2, 13, 14]))
            key = "rpc.grpc.status_code" if signal == "grpc_old" else "rpc.response.status_code"
            told[key] = code if signal == "grpc_old" else _NAMES[code]
            row["status"] = "ERROR" if outcome == "cancelled" and row["kind"] != "CLIENT" else "UNSET"
        else:
            row["status"] = "ERROR"
            words = rng.choice(_WORDS[outcome])
            if signal == "exception":
                row["events"].append(
                    {"name": "exception", "at": row["finish"], "attributes": {"exception.message": words}}
                )
            elif signal == "message" or outcome != "error":
                if rng.random() < 0.3:
                    told["error.type"] = rng.choice(_TYPES[outcome])
                else:
                    row["message"] = words

    def call(
        self,
        node,
        name,
        start,
        end,
        outcome="ok",
        *,
        shape=None,
        to=None,
        inner=None,
        ends=None,
        bare=False,
        **attributes,
    ):
        """Let a span call another service; returns the caller's side and the callee's side, which may be one and the same.

        ``inner`` and ``ends`` are the outcome and the end of the callee's side where they differ; ``bare``: it has no span.
        """
        rng = self.rng
        to = to or rng.choice([s for s in SERVICES if s != node.service])
        shape = shape or self.any_shape()
        told = outcome if inner is None else inner
        if bare:
            outer = self.span(node.id, node.service, name, "CLIENT", start, end, outcome, **attributes)
            return outer, outer
        if shape == "pairs":
            outer = self.span(node.id, node.service, name, "CLIENT", start, end, outcome, **attributes)
            lag = min(0.1 * (end - start), rng.uniform(0.3, 2))
            below = self.span(outer.id, to, name, "SERVER", start + lag, end - lag if ends is None else ends, told)
            return outer, below
        kind = {"servers": "SERVER", "internal": "INTERNAL", "unspecified": "UNSPECIFIED"}[shape]
        both = self.span(node.id, to, name, kind, start, end, outcome, **attributes)
        return both, both

    def any_shape(self):
        return self.rng.choice(SHAPES[:-1]) if self.shape == "mixed" else self.shape

    def inside(self, node, name, start, end, outcome="ok", *, status=None):
        """A step of a span's own service."""
        kind = "UNSPECIFIED" if self.shape == "unspecified" else "INTERNAL"
        made = self.span(node.id, node.service, name, kind, start, end, outcome)
        if status:
            self.spans[-1]["status"] = status
        return made

    def noise(self, node, count=3, until=None):
        """Successful calls, some with a failure below that they got over, at any time before ``until``."""
        rng = self.rng
        latest = node.end - 2 if until is None else until
        for _ in range(rng.randint(0, count)):
            start = rng.uniform(node.start + 1, max(node.start + 1.5, latest - 8))
            end = rng.uniform(start + 2, max(start + 3, latest - 3))
            _, below = self.call(node, rng.choice(["lookup", "GET /price", "List"]), start, end)
            if rng.random() < 0.5 and end - start > 4:
                what = rng.choice(["error", "missing", "error", "deadline"])
                self.span(below.id, below.service, "cache fetch", "CLIENT", start + 1, start + 2, what)
            if rng.random() < 0.3 and end - start > 4:
                self.span(below.id, below.service, "render", "INTERNAL", start + 1, end - 1)

    def decoy(self, node, before):
        """A lookup that finds nothing, well before anything goes wrong."""
        if self.rng.random() < 0.4 and before - node.start > 8:
            self.span(node.id, node.service, "GET cached", "CLIENT", node.start + 1, node.start + 3, "missing")

    def orphans(self):
        for _ in range(self.rng.randint(0, 2)):
            lost = Node("ab" * 8, self.rng.choice(SERVICES), 0, 500)
            self.call(lost, "left behind", 5, self.rng.uniform(20, 400), "error")


def scene(story, outcome="error", end=None):
    """A root, and some services that hand the failure on; returns the span in which the story happens."""
    rng = story.rng
    end = rng.uniform(180, 320) if end is None else end
    kind = {"internal": "INTERNAL", "unspecified": "UNSPECIFIED"}.get(
        story.shape, rng.choice(["SERVER", "SERVER", "CLIENT"])
    )
    node = story.span(None, "edge", "place order", kind, 0, end, outcome)
    for _ in range(rng.choice([0, 0, 1, 2])):
        story.noise(node, 2, node.start + 20)
        _, node = story.call(node, "forward", node.start + rng.uniform(3, 9), node.end - rng.uniform(2, 6), outcome)
    return node


def fails(story, node, start, end, outcome="error", **options):
    """A call that fails, for a reason some levels below; returns the spans that may be blamed."""
    rng = story.rng
    _, at = story.call(node, rng.choice(["POST /charge", "Reserve", "write"]), start, end, outcome, **options)
    depth = rng.choice([0, 0, 1, 2])
    for _ in range(0 if options.get("bare") else depth):
        if at.end - at.start < 8:
            break
        story.noise(at, 1, at.start + 4)
        bare = rng.random() < 0.3
        _, at = story.call(at, "inner step", at.start + 3, at.end - rng.uniform(0.5, 2), "error", bare=bare)
        if bare:
            break
    return {at.id}


def propagated(story):
    node = scene(story)
    start = node.start + story.rng.uniform(10, 60)
    story.decoy(node, start)
    story.noise(node, 3)
    return fails(story, node, start, node.end - story.rng.uniform(1.5, 30), bare=story.rng.random() < 0.2), {"error"}


def handled(story):
    node = scene(story, story.rng.choice(["ok", "ok", "OK"]).lower())
    _handled_call(story, node)
    story.noise(node, 3)
    return set(), set()


def _handled_call(story, node):
    rng = story.rng
    start = rng.uniform(node.start + 2, node.start + 20)
    if rng.random() < 0.3:  # the service itself says that all is well
        held = story.inside(node, "with fallback", start - 0.5, start + 9, status="OK")
        story.call(held, "personalise", start, start + 8, rng.choice(["error", "deadline"]))
        return
    _, mid = story.call(node, "recommend", start, rng.uniform(start + 20, node.end - 2), "ok")
    for at in range(rng.randint(1, 3)):
        story.call(
            mid, "rank", mid.start + 1 + 4 * at, mid.start + 4 + 4 * at, rng.choice(["error", "deadline", "cancelled"])
        )


def handled_and_other(story):
    node = scene(story)
    _handled_call(story, node)
    start = node.start + story.rng.uniform(5, 60)
    story.decoy(node, start)
    return fails(story, node, start, story.rng.uniform(start + 20, node.end - 2)), {"error"}


def _attempts(story, node, start, count, last, *, room=18):
    """Attempts of one call; returns the callee's side of the last one, and when it ended."""
    rng = story.rng
    shape, wrapped = story.any_shape(), rng.random() < 0.25
    naming = rng.choice(["same", "same", "id", "number", "retry"])
    where = rng.choice(["none", "same", "instance", "host"])
    to = rng.choice([s for s in SERVICES if s != node.service])
    bare = rng.random() < 0.25
    for at in range(count):
        name = "POST /pay"
        if naming == "id":
            name = f"POST /pay/{rng.randbytes(6).hex()}"
        elif naming == "number":
            name = f"pay attempt {at + 1}"
        elif naming == "retry" and at:
            name = f"POST /pay (retry {at})"
        told = {}
        if where != "none":
            told["server.address"] = {"same": "pay", "instance": f"10.3.0.{17 + at}", "host": f"pay-{at}.pay.svc"}[
                where
            ]
            told["url.path"] = "/pay"
        if at and rng.random() < 0.3:
            told["http.request.resend_count"] = at
        end = start + rng.uniform(5, room)
        outcome = last if at == count - 1 else rng.choice(["error", "error", "deadline"])
        at_node = story.inside(node, f"attempt {at + 1}", start - 0.005, end + 0.004) if wrapped else node
        _, below = story.call(at_node, name, start, end, outcome, shape=shape, to=to, bare=bare, **told)
        start = end + rng.choice([0.01, 2, 10])
    return below, end


def retried_and_other(story):
    node = scene(story)
    begin = node.start + story.rng.uniform(5, 20)
    story.decoy(node, begin)
    if story.rng.random() < 0.5:  # one after the other
        _, end = _attempts(story, node, begin, story.rng.randint(2, 4), "ok")
        return fails(story, node, end + 3, story.rng.uniform(end + 8, max(end + 9, node.end - 2))), {"error"}
    found = fails(story, node, begin, begin + 7)  # beside each other; the failure ends first
    _attempts(story, node, begin + 4.5, story.rng.randint(2, 4), "ok")
    return found, {"error"}


def exhausted(story):
    node = scene(story)
    begin = node.start + story.rng.uniform(5, 20)
    story.decoy(node, begin)
    story.noise(node, 2)
    if story.rng.random() < 0.3:
        node = story.inside(node, "with retries", begin - 1, node.end - 1, story.rng.choice(["ok", "error"]))
    last, end = _attempts(story, node, begin, story.rng.randint(2, 4), "error")
    if story.rng.random() < 0.3:
        story.call(node, "count failure", end + 2, end + 3)
    return {last.id}, {"error"}


def timeout(story):
    """The one who waits gives up; what ran at that moment is to blame."""
    rng = story.rng
    node = scene(story, rng.choice(["error", "deadline"]), end=rng.uniform(180, 320))
    stop, start = node.end - rng.uniform(0.5, 1.5), node.start + rng.uniform(8, 40)
    story.decoy(node, start)
    story.noise(node, 2, start + 10)
    how = rng.choice(["goes on", "nobody", "deeper", "called off", "broken pipe", "waits itself", "again"])
    if how == "nobody":
        at, _ = story.call(node, "slow call", start, stop, "deadline", bare=True)
        return {at.id}, {"timeout", "slow"}
    late = stop + rng.uniform(5, 90)
    if how == "waits itself":
        node = story.inside(node, "await", start - 1, stop + 0.2, "deadline")
        _, at = story.call(node, "slow call", start, late, "ok", shape=story.any_shape().replace("pairs", "servers"))
        return {at.id}, {"slow"}
    if how == "again":
        to = rng.choice([s for s in SERVICES if s != node.service])
        middle = (start + stop) / 2
        for begin, end in ((start, middle - 1), (middle + 1, stop)):
            outer = story.span(node.id, node.service, "slow call", "CLIENT", begin, end, "deadline")
            at = story.span(outer.id, to, "slow call", "SERVER", begin + 1, end + 20, rng.choice(["ok", "ok", "error"]))
        return {at.id}, {"slow"}
    to = rng.choice([s for s in SERVICES if s != node.service])
    outer = story.span(node.id, node.service, "slow call", "CLIENT", start, stop, "deadline")
    if how == "called off":
        late = stop + rng.uniform(0.1, 4)
    told = "cancelled" if how == "called off" else "ok"
    last = "error" if how == "broken pipe" else told
    at = story.span(outer.id, to, "slow call", "SERVER", start + rng.uniform(0.3, 2), late, last)
    story.span(at.id, to, "check", "INTERNAL", at.start + 1, at.start + 3)
    for _ in range({"goes on": 0, "deeper": 2}.get(how, rng.randint(0, 1))):
        if rng.random() < 0.5:
            at = story.span(at.id, at.service, "work", "INTERNAL", at.start + 3, at.end - rng.uniform(0.1, 0.5), told)
        _, at = story.call(at, "inner slow", at.start + 2, at.end - rng.uniform(0.1, 0.5), told)
    if how == "goes on":
        story.call(at, "after the fact", stop + 1.5, max(late - 0.1, stop + 1.6))
    return {at.id}, {"slow"}


def cancelled(story):
    rng = story.rng
    node = scene(story)
    start = node.start + rng.uniform(5, 20)
    story.decoy(node, start)
    broken = rng.uniform(start + 12, node.end - 12)
    others, wrapped, scope = rng.randint(1, 5), rng.random() < 0.25, node
    found = fails(story, node, start, broken, to=rng.choice([s for s in SERVICES if s != node.service]))
    for _ in range(others):
        end = broken + rng.uniform(1.5, 5)
        how = rng.choice(["all", "all", "outer", "inner"])
        begin = start + rng.uniform(0, 4)
        node = story.inside(scope, "fetch", begin - 0.01, end + 0.01) if wrapped else scope
        if how == "outer":
            story.call(node, "part", begin, end, "cancelled", inner="ok", ends=end + rng.uniform(1, 60))
        elif how == "inner" and story.shape == "pairs":
            story.call(node, "part", begin, end, "plain", inner="cancelled")
        else:
            story.call(node, "part", begin, end, "cancelled")
    return found, {"error"}


def unmarked(story):
    rng = story.rng
    node = scene(story)
    story.decoy(node, node.start + 9)
    for layer in range(rng.randint(1, 4)):
        kind = "UNSPECIFIED" if story.shape == "unspecified" else "INTERNAL"
        node = story.span(node.id, node.service, f"layer {layer}", kind, node.start + 4, node.end - rng.uniform(0.2, 2))
        if rng.random() < 0.3:
            story.span(node.id, node.service, "validate", kind, node.start + 1, node.start + 3)
    return fails(story, node, node.start + 6, node.end - rng.uniform(1.2, 9)), {"error"}


SCENARIOS = {
    "propagated": propagated,
    "handled": handled,
    "handled + other": handled_and_other,
    "retry ok + other": retried_and_other,
    "retries exhausted": exhausted,
    "timeout": timeout,
    "cancelled siblings": cancelled,
    "unmarked middle": unmarked,
}


def frame_of(stories, rng):
    """One span frame by way of plain columns."""
    rows = []
    for story in stories:
        for span in story.spans:
            row = {
                "trace_id": story.trace,
                "span_id": span["id"],
                "parent_span_id": span["above"],
                "name": span["name"],
                "service": span["service"],
                "kind": span["kind"],
                "start_time": pd.Timestamp(span["begin"], tz="UTC"),
                "duration_ms": (span["finish"] - span["begin"]) / 1e6,
                "status": span["status"],
                "status_message": span["message"],
                "events": json.dumps(
                    [{"time": e["at"], "name": e["name"], "attributes": e["attributes"]} for e in span["events"]]
                )
                if span["events"]
                else None,
            }
            rows.append(row | {f"span.{key}": value for key, value in span["attributes"].items()})
    rng.shuffle(rows)
    table = pd.DataFrame(rows)
    numbers = [c for c in table.columns if pd.api.types.is_float_dtype(table[c]) and c.startswith("span.")]
    return ta.conform(table.astype(dict.fromkeys(numbers, "Int64")))


def document_of(stories, rng):
    """One OTLP JSON document: a resource a service."""
    resources = {}
    for story in stories:
        for span in story.spans:
            one = {
                "traceId": story.trace,
                "spanId": span["id"],
                "parentSpanId": span["above"] or "",
                "name": span["name"],
                "kind": _KINDS.index(span["kind"]),
                "startTimeUnixNano": str(span["begin"]),
                "endTimeUnixNano": str(span["finish"]),
                "status": {"code": 2 if span["status"] == "ERROR" else 0, "message": span["message"] or ""},
                "attributes": _values(span["attributes"]),
                "events": [
                    {"timeUnixNano": str(e["at"]), "name": e["name"], "attributes": _values(e["attributes"])}
                    for e in span["events"]
                ],
            }
            resources.setdefault(span["service"], []).append(one)
    for spans in resources.values():
        rng.shuffle(spans)
    document = {
        "resourceSpans": [
            {"resource": {"attributes": _values({"service.name": service})}, "scopeSpans": [{"spans": spans}]}
            for service, spans in resources.items()
        ]
    }
    return ta.read_otlp(json.dumps(document).encode())


def _values(attributes):
    return [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in attributes.items()
    ]
