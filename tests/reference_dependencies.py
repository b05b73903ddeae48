"""Attributes and edges of drawn traces; random traces with attributes and links, and plain Python that counts their calls by the documented rules."""

from __future__ import annotations

import json
from collections import defaultdict

import numpy as np
import pandas as pd
from small_traces import frame, id_of, random_rows, trace_of

from traceanalytics.analysis.dependencies import service_graph

DB = {"span.db.system.name": "mysql", "span.db.namespace": "shop"}
QUEUE = {"span.messaging.system": "kafka", "span.messaging.destination.name": "orders"}


def with_attributes(spans, attributes):
    """Attributes by name of span."""
    for name, found in attributes.items():
        for key, value in found.items():
            if key not in spans:
                spans[key] = pd.array([None] * len(spans), dtype="str")
            spans.loc[spans["name"] == name, key] = value
    return spans


def link_text(*targets):
    return json.dumps([{"trace_id": trace_of(number), "span_id": id_of(name)} for number, name in targets])


def edges_of(graph):
    if graph.is_multigraph():
        return [((u, v, k), data) for u, v, k, data in graph.edges(keys=True, data=True)]
    return [((u, v), data) for u, v, data in graph.edges(data=True)]


def seen(spans, **options):
    return {key: data["calls"] for key, data in edges_of(service_graph(spans, **options))}


def rough_rows(seed, n_traces=25):
    rng = np.random.default_rng(seed)
    rows = random_rows(seed, n_traces, most=12, unit_ns=1_000_000)
    choose = lambda *values: values[int(rng.integers(len(values)))]  # noqa: E731
    for row in rows:
        row["status"] = choose("UNSET", "UNSET", "ERROR")
        row["span.peer.service"] = choose(None, None, None, "a", "x")
        row["span.server.address"] = choose(None, None, "y.org", "b")
        row["span.db.system"] = choose(None, None, None, None, "sql")
        row["span.db.namespace"] = choose(None, "n")
        row["span.messaging.system"] = choose(None, None, None, "mq")
        row["span.messaging.destination.name"] = choose(None, None, None, "d", "e")
        row["span.messaging.operation"] = choose(None, "publish", "receive", "settle")
        row["span.db.statement"] = choose(None, None, None, None, "SELECT", "INSERT")
        row["linked"] = None
        if rng.random() < 0.3:
            row["linked"] = [rows[int(rng.integers(len(rows)))] for _ in range(int(rng.integers(1, 3)))]
    return rows


def rough_frame(rows):
    columns = [key for key in rows[0] if key.startswith("span.")]
    spans = frame([{k: v for k, v in row.items() if not k.startswith("span.") and k != "linked"} for row in rows])
    for key in columns:
        spans[key] = pd.array([row[key] for row in rows], dtype="str")
    spans["links"] = pd.array(
        [
            row["linked"]
            and json.dumps([{"trace_id": other["trace_id"], "span_id": other["span_id"]} for other in row["linked"]])
            for row in rows
        ],
        dtype="str",
    )
    return spans


class Plain:
    """The documented rules, span by span."""

    def __init__(self, rows):
        self.rows = rows
        ids = {(row["trace_id"], row["span_id"]): at for at, row in enumerate(rows)}
        self.parent = [ids.get((row["trace_id"], row["parent_span_id"])) for row in rows]
        self.children = defaultdict(list)
        for at, up in enumerate(self.parent):
            self.children[up].append(at)
        self.kind = [row["kind"] for row in rows]
        self.service = [row["service"] or "(unknown)" for row in rows]
        self.links = [[ids[t["trace_id"], t["span_id"]] for t in row["linked"] or ()] for row in rows]
        self.every = range(len(rows))
        self.target = [self._target(row) for row in rows]
        self.receives = [self._client(r) and self._operation(r) == "receive" for r in self.every]
        self.renamed = [self._outgoing(r) and self._renamed(r) for r in self.every]
        self.outgoing = [self._outgoing(r) and not self.renamed[r] for r in self.every]
        self.entering = [self.enters(r) for r in self.every]
        self._match_messages()

    def _client(self, r):
        return self.kind[r] == "CLIENT" and self.target[r][1] == "messaging"

    def _operation(self, r):
        return self.rows[r]["span.messaging.operation"]

    @staticmethod
    def _target(row):
        peer, address = row["span.peer.service"], row["span.server.address"]
        system, destination = row["span.messaging.system"], row["span.messaging.destination.name"]
        database = row["span.db.system"]
        if (database or row["span.db.statement"]) and row["kind"] not in ("PRODUCER", "CONSUMER"):
            inside = row["span.db.namespace"] or address
            return peer or (f"{database}/{inside}" if database and inside else database or inside), "db"
        if row["kind"] in ("PRODUCER", "CONSUMER") or system or destination:
            if destination:
                return (f"{system}/{destination}" if system else destination), "messaging"
            return peer or system, "messaging"
        return peer or address, "rpc"

    def _outgoing(self, r):
        if self.kind[r] in ("CLIENT", "PRODUCER"):
            return not (self._client(r) and self._operation(r) in ("receive", "settle"))
        up, below = self.parent[r], self.children[r]
        if self.kind[r] != "UNSPECIFIED" or up is None or self.service[up] != self.service[r]:
            return False
        if not below:
            return any(self.rows[r][f"span.{key}"] for key in ("db.system", "db.statement", "peer.service"))
        return len(below) == 1 and self.service[below[0]] != self.service[r]

    def _renamed(self, r):
        """The caller's own span under the name of its callee."""
        up, (name, purpose) = self.parent[r], self.target[r]
        if self.kind[r] != "CLIENT" or self.children[r] or up is None or purpose == "messaging":
            return False
        return self.service[up] != self.service[r] and name in (None, self.rows[r]["service"])

    def waiting(self, r):
        """The outgoing span that is open in r."""
        while not self.outgoing[r]:
            if self.kind[r] not in ("INTERNAL", "UNSPECIFIED") or self.parent[r] is None or self.enters(r):
                return None
            r = self.parent[r]
        return r

    def enters(self, r):
        up = self.parent[r]
        if up is None:
            return False
        above = self.waiting(up)
        answers = above is not None and (
            self.kind[r] == "CONSUMER" or (self.kind[r] == "SERVER" and self.kind[above] == "CLIENT")
        )
        return answers or self.service[up] != self.service[r]

    def asker(self, r):
        return self.waiting(self.parent[r]) if self.entering[r] else None

    def asynchronous(self, r):
        above = self.asker(r)
        return self.entering[r] and (
            self.kind[r] == "CONSUMER" or (above is not None and self.kind[above] == "PRODUCER")
        )

    def layer_over(self, r):
        up = self.parent[r]
        return self.waiting(up) if self.outgoing[r] and up is not None and not self.entering[r] else None

    def _match_messages(self):
        answered = {self.asker(r) for r in self.every if self.entering[r] and not self.asynchronous(r)}
        asked = {self.asker(r) for r in self.every if self.asynchronous(r)} - {None}
        self.sends = {
            r
            for r in self.every
            if self.outgoing[r]
            and (self.kind[r] == "PRODUCER" or (self.target[r][1] == "messaging" and r not in answered))
        } | asked
        self.sender, self.caller, self.used = {}, {}, set()
        consumes = set()
        for r in self.every:
            met = [t for t in self.links[r] if t in self.sends and t != r] if not self.outgoing[r] else []
            self.used.update(met)
            by_parent = self.asynchronous(r)
            above = self.asker(r) if by_parent else None
            self.sender[r] = above if above is not None else (met[0] if met else None)
            self.caller[r] = self.parent[r] if by_parent and self.sender[r] is None else self.sender[r]
            if met or (r not in self.sends and (self.kind[r] == "CONSUMER" or by_parent or self.receives[r])):
                consumes.add(r)
        inner = {
            r
            for r in consumes
            if self.parent[r] in consumes and not self.entering[r] and self.service[self.parent[r]] == self.service[r]
        }
        known = {r for r in inner if self.caller[r] is not None}
        self.consumers = consumes - (inner - known) - {self.parent[r] for r in known}
        self.used |= {self.sender[r] for r in self.consumers} - {None}
        self.named = {r: self.destination(r) for r in self.sends}
        for s in self.sends:
            names = [self.destination(r) for r in self.consumers if self.sender[r] == s]
            self.named[s] = self.named[s] or min(filter(None, names), default=None)
        over = {self.layer_over(r) for r in self.sends}
        self.sends = {s for s in self.sends if s not in over or s in self.used}

    def destination(self, r):
        return self.target[r][0] if self.target[r][1] == "messaging" else None

    def ms(self, r):
        return None if r is None else self.rows[r]["duration_ns"] / 1e6

    def wait(self, sender, consumer):
        if sender is None:
            return None
        end = self.rows[sender]["start_ns"] + self.rows[sender]["duration_ns"]
        return max(self.rows[consumer]["start_ns"] - end, 0) / 1e6

    def calls(self):
        """(caller, callee, kind, client, server, paired, gap, home) of each call; halves and home are rows."""
        for r in self.every:
            if self.entering[r] and not self.asynchronous(r):
                c, up = self.asker(r), self.parent[r]
                asking = r if self.renamed[r] else c
                kind = (
                    "db"
                    if asking is not None and "db" in (self.target[asking][1], c is not None and self.target[c][1])
                    else "rpc"
                )
                gap = None if c is None else self.ms(c) - self.ms(r)
                yield self.service[up], self.service[r], kind, c, r, c is not None, gap, r
        yield from self._messages()
        yield from self._alone()

    def _messages(self):
        straight = set()
        for r in self.consumers:
            sender, caller = self.sender[r], self.caller[r]
            destination = (self.named[sender] if sender is not None else None) or self.destination(r)
            wait = self.wait(sender, r)
            if destination:
                yield destination, self.service[r], "messaging", None, r, caller is not None, wait, r
                if caller is not None and sender is None:
                    yield self.service[caller], destination, "messaging", None, None, True, None, caller
            elif caller is not None:
                straight.add(sender)
                yield self.service[caller], self.service[r], "messaging", sender, r, sender is not None, wait, caller
        for s in self.sends:
            if self.named[s] or s not in straight:
                yield self.service[s], self.named[s] or "(unknown)", "messaging", s, None, s in self.used, None, s

    def _alone(self):
        askers = {self.asker(r) for r in self.every}
        over = {r: self.layer_over(r) for r in self.every}
        transport = {
            r
            for r, outer in over.items()
            if outer is not None and r not in askers and self.target[r][1] == "rpc" and self.target[outer][1] != "rpc"
        }
        layers = {outer for r, outer in over.items() if outer is not None and r not in transport}
        for r in self.every:
            if self.outgoing[r] and r not in askers | transport | layers | self.sends:
                name, kind = self.target[r]
                if kind != "messaging":
                    yield self.service[r], name or "(unknown)", kind, r, None, False, None, r
