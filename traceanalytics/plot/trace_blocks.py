"""The traces of a waterfall: which rows of each are shown, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from traceanalytics.analysis.service_visits import service_visits
from traceanalytics.analysis.trace_rows import counted, fold, trace_rows
from traceanalytics.errors import OptionError
from traceanalytics.spans.columns import codes_of
from traceanalytics.spans.schema import check_spans

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from traceanalytics.analysis.trace_rows import TraceRows

__all__ = ["MOST_TRACES", "Block", "blocks_of", "title_of"]

MOST_TRACES: Final = 20


class Block(NamedTuple):
    """One trace in a picture of several."""

    trace: pd.DataFrame
    spans: TraceRows
    rows: TraceRows
    """What rows are made of: the spans, or the visits to services."""
    kept: NDArray[np.int64]
    """The rows to draw, from top to bottom."""
    hidden: NDArray[np.int64]
    """How many spans each of them stands for besides itself."""
    top: int
    """Height at which the first of them stands; the trace's heading, if it has one, is one above."""

    @property
    def whole(self) -> bool:
        """Whether each row is one span, none a visit of several."""
        return self.rows is self.spans

    @property
    def y(self) -> NDArray[np.float64]:
        """Heights of the rows."""
        return np.arange(self.top, self.top + len(self.kept), dtype=np.float64)

    @property
    def services(self) -> list[str | None]:
        """Services of the rows."""
        return [self.rows.service[at] for at in self.kept.tolist()]

    @property
    def loose(self) -> NDArray[np.bool_]:
        """Which rows hang loosely in the trace: roots besides the main one, and what outlives its parent."""
        rows = self.rows
        found: NDArray[np.bool_] = (rows.parent < 0) & (np.arange(len(rows.row)) != rows.main_root) | rows.detached
        return found[self.kept]

    @property
    def has_events(self) -> bool:
        """Whether a row has events to draw."""
        return self.whole and bool(self.trace["events"].iloc[self.rows.row[self.kept]].notna().any())

    @property
    def trace_id(self) -> str | None:
        """The trace's id, if it has one."""
        found = self.trace["trace_id"].iloc[0]
        return found if isinstance(found, str) else None

    @property
    def folded(self) -> int:
        """How many spans have no row, because there are too many rows."""
        return len(self.rows.row) - len(self.kept)

    def pale(self, errors_only: bool) -> NDArray[np.bool_]:  # noqa: FBT001 - a question with one answer
        """Tell which rows are not in question."""
        return ~self.rows.error[self.kept] if errors_only else np.zeros(len(self.kept), dtype=np.bool_)


def blocks_of(traces: pd.DataFrame, max_rows: int, *, visits: bool) -> list[Block]:
    """Return the traces of a frame in order of appearance, with ``max_rows`` rows at most to show of all of them.

    Raises
    ------
    OptionError
        The frame holds no spans, or more traces than a picture can show.
    """
    frames = _frames(traces)
    all_spans = [trace_rows(frame) for frame in frames]
    pairs = [
        service_visits(spans) if visits else (spans, np.zeros(len(spans.row), dtype=np.int64)) for spans in all_spans
    ]
    rooms = _rooms([len(rows.row) for rows, _ in pairs], max_rows)
    found = []
    top = 0
    for frame, spans, (rows, more), room in zip(frames, all_spans, pairs, rooms, strict=True):
        kept, hidden = fold(rows, room)
        top += len(frames) > 1
        found.append(Block(frame, spans, rows, kept, hidden + more[kept], top))
        top += len(kept)
    return found


def title_of(blocks: list[Block]) -> str:
    """Return what the picture shows: the trace's title, or how many traces, spans, services and errors there are."""
    if len(blocks) == 1:
        return blocks[0].spans.title
    services = {s for block in blocks for s in block.spans.service if s is not None}
    numbers = [(len(blocks), "trace"), (sum(len(block.trace) for block in blocks), "span"), (len(services), "service")]
    numbers.append((sum(int(block.spans.error.sum()) for block in blocks), "error"))
    return " · ".join(counted(number, noun) for number, noun in numbers if number)


def _frames(traces: pd.DataFrame) -> list[pd.DataFrame]:
    check_spans(traces, "trace_id")
    codes, _ = codes_of(traces["trace_id"])
    present = list(dict.fromkeys(codes.tolist()))
    if not 1 <= len(present) <= MOST_TRACES:
        found = f"{len(present):,} traces" if present else "no spans"
        raise OptionError(
            f"the frame holds {found}, expected 1 to {MOST_TRACES} traces; choose one with ta.trace(spans, trace_id), or some "
            'with spans[spans["trace_id"].isin(trace_ids)]; ta.summary(spans) lists them'
        )
    return [traces] if len(present) == 1 else [traces[codes == code] for code in present]


def _rooms(sizes: list[int], most: int) -> list[int]:
    """Share rows out: small traces get what they need, the others the same part of the rest, none less than one."""
    rooms = [0] * len(sizes)
    rest = most
    by_size = sorted(range(len(sizes)), key=sizes.__getitem__)
    for done, at in enumerate(by_size):
        rooms[at] = max(1, min(sizes[at], rest // (len(sizes) - done)))
        rest -= rooms[at]
    return rooms
