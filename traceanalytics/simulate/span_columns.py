"""From the runs of all templates to one span frame, and the place of every simulated span in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.simulate.blocks import host_of
from traceanalytics.simulate.column_arrays import (
    attribute_column,
    category_or_text,
    hex_texts,
    text_array_of,
    word_column,
)
from traceanalytics.simulate.conventions import (
    constant_attributes,
    error_type,
    exception_of,
    http_status,
    is_marked_error,
    protocol,
    rpc_status,
    status_message,
)
from traceanalytics.simulate.faults import ErrorRate
from traceanalytics.simulate.random_numbers import mixed, text_number
from traceanalytics.spans.cells import encode_json
from traceanalytics.spans.columns import coded, duration_ms, instants
from traceanalytics.spans.conforming import in_order
from traceanalytics.spans.schema import CORE, KIND, STATUS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from traceanalytics.simulate.blocks import Block, Requests
    from traceanalytics.simulate.templates import Active, Node

__all__ = ["Table"]

_FAILURES: Final = 8
_RESTART: Final = np.uint64(0x5851F42D4C957F2D)


class Table:
    """All emitted spans, trace by trace, as columns."""

    def __init__(self, blocks: Sequence[Block], requests: Requests, active: Sequence[Active]) -> None:
        self._blocks = blocks
        self._requests = requests
        self._active = active
        self._nodes: list[Node] = [node for block in blocks for node in block.timing.template.nodes]
        found = [np.nonzero(block.emitted) for block in blocks]
        node = np.concatenate([n + b.offset for b, (n, _) in zip(blocks, found, strict=True)])
        request = np.concatenate([b.requests[r] for b, (_, r) in zip(blocks, found, strict=True)])
        start = self._gather("start")
        rank = np.empty(len(requests.begin), np.int64)
        rank[np.argsort(requests.begin, kind="stable")] = np.arange(len(rank))
        self._order = np.lexsort((node, start, rank[request]))
        place = np.empty(len(node), np.int64)
        place[self._order] = np.arange(len(node))
        low = 0
        for block, (n, r) in zip(blocks, found, strict=True):
            block.labels[n, r] = place[low : low + len(n)]
            low += len(n)
        self.node = node[self._order]
        self.request = request[self._order]
        self.start = start[self._order]
        self.end = self._gather("end")[self._order]
        self.failure = self._gather("failure")[self._order].astype(np.int64)
        self.origin = self._gather("origin")[self._order]
        self._owner = np.concatenate([b.column(b.owner) for b in blocks])[self._order].astype(np.int64)
        self._clock = self._per_service(requests.clock)

    def _gather(self, name: str) -> NDArray[Any]:
        return np.concatenate([b.column(getattr(b.timing, name)) for b in self._blocks])

    def _per_service(self, values: dict[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        made = np.zeros(len(self.node), np.int64)
        of_node = np.array([list(values).index(n.service.name) for n in self._nodes])[self.node]
        for number, array in enumerate(values.values()):
            rows = of_node == number
            made[rows] = array[self.request[rows]]
        return made

    def frame(self) -> pd.DataFrame:
        """Return the span frame."""
        columns = self._ids() | self._core()
        for name, dtype in CORE.items():
            if name not in columns:
                columns[name] = pd.array(pa.nulls(len(self.node), pa.large_string()), dtype=dtype)
        columns |= self._constant() | self._varying()
        return pd.DataFrame({name: columns[name] for name in in_order(columns)}, copy=False)

    def span_number(self, node: NDArray[np.int64], request: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return span ids as numbers: a span keeps its id whatever else happens in the run."""
        paths = np.array([text_number(n.path) for n in self._nodes], np.uint64)
        return mixed(self._requests.low[request] ^ paths[node])

    def _ids(self) -> dict[str, Any]:
        paths = np.array([text_number(n.path) for n in self._nodes], np.uint64)
        base = np.array([b.offset for b in self._blocks for _ in b.timing.template.nodes])
        parent = np.array([n.parent for n in self._nodes])
        has_parent = (parent[self.node] >= 0) & (self._owner != self.node - base[self.node])
        span = hex_texts(self.span_number(self.node, self.request))
        above = hex_texts(
            self.span_number(np.where(parent[self.node] < 0, self.node, (base + parent)[self.node]), self.request),
            keep=has_parent,
        )
        key = self.request * (int(self._owner.max(initial=-1)) + 2) + self._owner + 1
        codes, unique = pd.factorize(key)
        first = np.empty(len(unique), np.int64)
        first[codes[::-1]] = np.arange(len(codes))[::-1]
        owner, request = self._owner[first], self.request[first]
        low = self._requests.low[request]
        began = paths[base[self.node[first]] + np.maximum(owner, 0)] if len(first) else low
        low = np.where(owner < 0, low, mixed(low ^ began ^ _RESTART))
        self._trace = hex_texts(self._requests.high[request], low)
        made = {
            "trace_id": coded(codes, self._trace),
            "span_id": text_array_of(span),
            "parent_span_id": text_array_of(above),
        }
        consumer = np.array([n.kind == "CONSUMER" for n in self._nodes], dtype=bool)[self.node]
        taken = self._trace.take(pa.array(codes))
        said = [pa.scalar(t, pa.large_string()) for t in ('[{"trace_id":"', '","span_id":"', '","attributes":{}}]', "")]
        cells = pc.binary_join_element_wise(said[0], taken, said[1], above, said[2], said[3])
        made["links"] = text_array_of(pc.if_else(pa.array(consumer), cells, pa.scalar(None, pa.large_string())))
        return made

    def _core(self) -> dict[str, Any]:
        nodes = self._nodes
        kinds = list(KIND.categories)
        marked = np.array([[is_marked_error(f, n.kind) for f in range(_FAILURES)] for n in nodes])
        error = marked[self.node, self.failure]
        events, messages = self._exceptions()
        return {
            "name": word_column([n.name for n in nodes], self.node),
            "service": word_column([n.service.name for n in nodes], self.node),
            "kind": pd.Categorical.from_codes(np.array([kinds.index(n.kind) for n in nodes])[self.node], dtype=KIND),
            "start_time": instants(self.start + self._clock),
            "duration_ms": duration_ms(self.end - self.start),
            "status": pd.Categorical.from_codes(np.where(error, 2, 0), dtype=STATUS),
            "status_message": messages,
            "trace_flags": pd.array(np.ones(len(self.node), np.uint32), dtype="UInt32"),
            "scope_name": word_column([n.service.scope for n in nodes], self.node),
            "scope_version": word_column(["1.0.0"] * len(nodes), self.node),
            "events": events,
        }

    def _named_exceptions(self) -> NDArray[Any]:
        """Return the exception that a fault names, None where it names none."""
        named = np.full(len(self.node), None, dtype=object)
        for each in self._active:
            if isinstance(each.fault, ErrorRate):
                for block in self._blocks:
                    for (number, node), roles in block.timing.roles.items():
                        if number == each.number:
                            labels = block.labels[node][(roles > 0) & (block.labels[node] >= 0)]
                            named[labels] = each.fault.exception
        return named

    def _exceptions(self) -> tuple[Any, Any]:
        """Return events and messages; the spans with events are few, and are made one by one."""
        events: dict[int, list[str]] = {}
        messages: list[str | None] = [None] * len(self.node)
        types: list[str | None] = [None] * len(self.node)
        named = self._named_exceptions()
        begun = self.origin | (self.failure == 4)
        for row in np.flatnonzero(begun & (self.failure > 0)).tolist():
            node, failure = self._nodes[self.node[row]], int(self.failure[row])
            exception = exception_of(failure, node, named[row])
            messages[row] = status_message(failure, exception)
            if exception is not None:
                types[row] = exception[0]
                attributes = {"exception.type": exception[0], "exception.message": exception[1]}
                events[row] = [_event(int(self.end[row] + self._clock[row]), "exception", attributes)]
        for block in self._blocks:
            for n, mask, time, attempt in block.timing.retry_events:
                for column in np.flatnonzero(mask & (block.labels[n] >= 0)).tolist():
                    row = int(block.labels[n, column])
                    text = _event(
                        int(time[column] + self._clock[row]),
                        "retry",
                        {"retry.attempt": attempt, "exception.type": "ConnectionRefusedError"},
                    )
                    events.setdefault(row, []).append(text)
        self._types = types
        cells: list[str | None] = [None] * len(self.node)
        for row, texts in events.items():
            cells[row] = "[" + ",\n".join(sorted(texts, key=_time_of)) + "]"
        return text_array_of(pa.array(cells, pa.large_string())), text_array_of(pa.array(messages, pa.large_string()))

    def _constant(self) -> dict[str, Any]:
        found = [constant_attributes(node) for node in self._nodes]
        made = {}
        for key in sorted({key for each in found for key in each}):
            column = attribute_column([each.get(key) for each in found], self.node)
            if column is not None:
                made[key] = column
        return made

    def _varying(self) -> dict[str, Any]:
        """Return the attributes that depend on the request or on how the span ended."""
        nodes, failures = self._nodes, range(_FAILURES)
        hows = [protocol(n.operation, n.peer or n.service, n.kind) for n in nodes]
        older = [n.service.conventions == "older" for n in nodes]
        state = self.node * _FAILURES + self.failure
        status: dict[str, list[Any]] = {
            key: [None] * (len(nodes) * _FAILURES)
            for key in (
                "span.http.response.status_code",
                "span.http.status_code",
                "span.rpc.response.status_code",
                "span.rpc.grpc.status_code",
            )
        }
        errors: list[Any] = [None] * (len(nodes) * _FAILURES)
        for at, (node, how, old) in enumerate(zip(nodes, hows, older, strict=True)):
            for failure in failures:
                cell = at * _FAILURES + failure
                if how == "http":
                    status[f"span.http.{'' if old else 'response.'}status_code"][cell] = http_status(failure, node.kind)
                elif how == "grpc":
                    word, number = rpc_status(failure)
                    status[f"span.rpc.{'grpc' if old else 'response'}.status_code"][cell] = number if old else word
                errors[cell] = error_type(failure, node.kind, how, None)
        made = {key: attribute_column(values, state) for key, values in status.items()}
        made["span.error.type"] = self._error_types(errors, state)
        served = np.array([n.kind in ("SERVER", "CONSUMER") for n in nodes], dtype=bool)[self.node]
        for key, labels in (
            ("span.tenant.id", self._requests.tenant),
            ("span.feature_flag.result.variant", self._requests.variant),
        ):
            made[key] = category_or_text(coded(np.where(served, labels.codes[self.request], -1), labels.categories))
        made["span.http.request.resend_count"] = self._resends()
        made |= self._pods()
        return {key: column for key, column in made.items() if column is not None}

    def _error_types(self, errors: list[Any], state: NDArray[np.int64]) -> Any:
        rows = [row for row, kind in enumerate(self._types) if kind is not None]
        words = sorted({str(e) for e in errors if e is not None} | {str(self._types[r]) for r in rows})
        number = {word: i for i, word in enumerate(words)}
        codes = np.array([-1 if e is None else number[e] for e in errors])[state]
        codes[rows] = [number[str(self._types[r])] for r in rows]
        return category_or_text(coded(codes, words)) if (codes >= 0).any() else None

    def _resends(self) -> Any:
        values = np.zeros(len(self.node), np.int64)
        for block in self._blocks:
            for n, resends in block.timing.resends.items():
                has = (block.labels[n] >= 0) & (resends > 0)
                values[block.labels[n][has]] = resends[has]
        return pd.arrays.IntegerArray(values, values == 0) if values.any() else None

    def _pods(self) -> dict[str, Any]:
        most = 1 + max(n.service.replicas for n in self._nodes)
        services = list(self._requests.pod)
        pod = self._per_service(self._requests.pod)
        of_node = np.array([services.index(n.service.name) for n in self._nodes])[self.node]
        names = [f"{s}-{text_number(s) % 16**5:05x}-{r}" for s in services for r in range(most)]
        hosts = [f"node-{host_of(s, r)}" for s in services for r in range(most)]
        at = of_node * most + pod
        return {"resource.k8s.pod.name": attribute_column(names, at), "resource.host.name": attribute_column(hosts, at)}


def _event(time: int, name: str, attributes: dict[str, Any]) -> str:
    return encode_json({"time": time, "name": name, "attributes": attributes})


def _time_of(text: str) -> int:
    return int(text[8 : text.index(",")])
