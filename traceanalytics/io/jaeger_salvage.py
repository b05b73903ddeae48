"""What can be saved of Jaeger's JSON where it is damaged."""

from __future__ import annotations

import bisect
import difflib
import re
from typing import TYPE_CHECKING, Final

import msgspec

from traceanalytics.io.json_documents import fragments
from traceanalytics.io.values import padded_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from traceanalytics.io.jaeger_json import JaegerParser
    from traceanalytics.io.json_documents import Fragment, Piece

__all__ = ["Salvage"]

_SPAN_KEYS: Final = frozenset({"operationName", "startTime", "processID", "duration"})
_SPANS: Final = re.compile(rb'"spans"\s*:\s*\[')
_PROCESSES: Final = re.compile(rb'"processes"\s*:\s*\{')
_ALIKE: Final = 0.8
_MOST_TRIED: Final = 10  # a search through the text each
_keys = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Salvage:
    """Takes what decodes out of a piece that does not.

    A trace that is damaged comes as spans and processes one after the other. Where a trace begins is seen from the keys
    ``spans`` in the text; and processes are given to spans of one trace id only, lest spans get those of a neighbour.
    """

    def __init__(self, parser: JaegerParser, piece: Piece) -> None:
        self.parser = parser
        self.piece = piece
        self.starts = [found.start() for found in _SPANS.finditer(piece.data)]
        first = _PROCESSES.search(piece.data)
        self.processes_first = first is not None and first.start() < min(self.starts, default=0)
        self.waiting: dict[int, list[tuple[bytes, str, str | None]]] = {}
        self.processes: dict[int, dict[str, int]] = {}

    def run(self) -> bool:
        """Add what can be saved; False if there is no JSON object at all, not even a damaged one."""
        reading = self.parser.reading
        for fragment in fragments(
            self.piece.data, lambda at, why: reading.lost("damaged JSON, left out", self.piece.place(at), why)
        ):
            place = self.piece.place(fragment.offset)
            reading.each([fragment], self._use, lambda _, place=place: place)  # type: ignore[misc]
        self._add_waiting()
        return b"{" in self.piece.data

    def _use(self, fragment: Fragment, where: Callable[[], str]) -> None:
        keys = _keys.decode(fragment.data).keys()
        trace = bisect.bisect(self.starts, fragment.offset)
        if "spans" in keys or "data" in keys:
            self._add_waiting()
            self.parser.item(fragment.data, where)
        elif fragment.key == "processes":
            self._processes(trace, self.parser.processes(_keys.decode(fragment.data), where))
        elif "spanID" in keys and keys & _SPAN_KEYS and fragment.key is None:  # the UI nests copies under "span"
            self.waiting.setdefault(trace, []).append((fragment.data, where(), _trace_id(fragment.data)))
        elif "serviceName" in keys and fragment.key not in (None, "process"):
            self._processes(trace, {str(fragment.key): self.parser.spans.resource(fragment.data, where)})

    def _processes(self, trace: int, found: dict[str, int]) -> None:
        self.processes.setdefault(trace + self.processes_first, {}).update(found)

    def _add_waiting(self) -> None:
        """Add the spans of the traces so far, whose processes have been met by now."""
        waiting, self.waiting = self.waiting, {}
        for trace, spans in waiting.items():
            processes, owner = self.processes.get(trace, {}), self._owner([trace_id for _, _, trace_id in spans])
            self.parser.reading.each(
                spans,
                lambda span, w, p=processes, o=owner: self.parser.spans.add(
                    span[0], w, p if span[2] == o else {}, None
                ),  # type: ignore[misc]
                lambda i, spans=spans: spans[i][1],  # type: ignore[misc]
            )

    def _owner(self, trace_ids: list[str | None]) -> str | None:
        """Return the trace id of the span that stands next to the processes, unless damage has changed that very id."""
        different = list(dict.fromkeys(trace_ids if self.processes_first else reversed(trace_ids)))[:_MOST_TRIED]
        for i, trace_id in enumerate(different):
            if trace_id and not self._is_damaged(trace_id, different[i + 1 :]):
                return trace_id
        return None

    def _is_damaged(self, trace_id: str, others: list[str | None]) -> bool:
        """Tell whether an id is a damaged form of one of the others: it stands nowhere else in the text, and is much like it."""
        if not others or self.piece.data.count(trace_id.lstrip("0").encode()) > 1:
            return False
        return any(difflib.SequenceMatcher(None, trace_id, other).ratio() > _ALIKE for other in others if other)


def _trace_id(span: bytes) -> str | None:
    raw = _keys.decode(span).get("traceID")
    value = msgspec.json.decode(raw) if raw is not None else None
    return padded_id(value, 32) if isinstance(value, str) else None
