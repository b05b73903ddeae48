"""Values of the waterfall's traits: each function returns what to store, or says what is wrong."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, Final

from traceanalytics.errors import OptionError, check_option
from traceanalytics.widgets.base import encodable
from traceanalytics.widgets.coloring import check_color

if TYPE_CHECKING:
    import pandas as pd

    from traceanalytics.widgets.span_waterfall import Waterfall

__all__ = ["check_number_of_traces", "color", "filter_text", "height", "highlight", "only", "rows", "theme", "view"]

_MOST_TRACES: Final = 20
_LOWEST: Final = 120
_HIGHEST: Final = 4000


def highlight(_: Waterfall, value: Any) -> Any:
    """Return a name of what is highlighted, or None."""
    check_option("highlight", value, ("critical_path", "errors", None))
    return value


def theme(_: Waterfall, value: Any) -> Any:
    """Return the name of a theme."""
    check_option("theme", value, ("auto", "light", "dark"))
    return value


def only(_: Waterfall, value: Any) -> bool:
    """Return a truth value."""
    check_option("only", value, (True, False))
    return bool(value)


def height(_: Waterfall, value: Any) -> int:
    """Return a number of pixels."""
    if type(value) is not int or not _LOWEST <= value <= _HIGHEST:
        raise OptionError(f"height={value!r}: expected a number of pixels from {_LOWEST} to {_HIGHEST:,}")
    return value


def color(owner: Waterfall, value: Any) -> str:
    """Return what the rows are coloured by."""
    return check_color(owner._spans, value)  # noqa: SLF001 - ours


def filter_text(owner: Waterfall, value: Any) -> str:
    """Return a filter that the owner has evaluated."""
    if not isinstance(value, str):
        raise OptionError(
            f"filter={value!r}: expected a text: a TraceQL filter in braces, or part of a name or service"
        )
    text = encodable(value)
    owner._find(text)  # noqa: SLF001 - ours
    return text


def view(_: Waterfall, value: Any) -> list[float] | None:
    """Return start and end of a stretch of time as floats, or None."""
    if value is None:
        return None
    try:
        start, end = (float(edge) for edge in value)
    except (TypeError, ValueError):
        start = end = math.nan
    if not (math.isfinite(start) and math.isfinite(end) and start < end):
        raise OptionError(
            f"view={value!r}: expected [start, end] in ms from the start of the trace, or None for all of it"
        )
    return [start, end]


def rows(owner: Waterfall, value: Any) -> list[int]:
    """Return row numbers, each once; of the browser's the possible ones, of Python's all or an error."""
    try:
        found = [operator.index(row) for row in value]
    except TypeError:
        raise OptionError(
            f"{value!r} is no list of row numbers; w.select(span_ids) selects spans by their ids"
        ) from None
    n = len(owner._rows)  # noqa: SLF001 - ours
    possible = [row for row in dict.fromkeys(found) if 0 <= row < n]
    if not owner._from_browser and (wrong := [row for row in found if not 0 <= row < n]):  # noqa: SLF001 - ours
        raise OptionError(f"there is no row {wrong[0]}: the rows are 0 to {n - 1:,}")
    return possible


def check_number_of_traces(spans: pd.DataFrame) -> None:
    """Raise :class:`~traceanalytics.errors.OptionError` unless there is a trace, and not more than a picture can hold."""
    ids = spans["trace_id"]
    found = int(ids.nunique()) + int(ids.isna().sum())
    if not found:
        raise OptionError(
            "the frame holds no spans, expected those of 1 to 20 traces; ta.summary(spans) lists the traces of a frame"
        )
    if found > _MOST_TRACES:
        raise OptionError(
            f"the frame holds {found:,} traces, and a waterfall shows up to {_MOST_TRACES}: choose one with ta.trace(spans, trace_id), "
            "some with spans[spans['trace_id'].isin(ids)] or ta.whole_traces(spans, mask); ta.summary(spans) lists them"
        )
