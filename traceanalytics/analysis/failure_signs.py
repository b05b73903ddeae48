"""What failed spans say about their failure: a deadline, a cancellation, and a short text to show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from traceanalytics.semconv import spellings
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import text_array
from traceanalytics.spans.items import events
from traceanalytics.spans.schema import CORE, OTHER_ATTRIBUTES, scope_and_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["FailureSigns", "evidence_texts", "failure_signs", "narrowed"]

_HTTP: Final = "http.response.status_code"
_RPC: Final = "rpc.response.status_code"
_WORDS: Final = ("error.type", "exception.type", "exception.message")
_DEADLINE: Final = r"(?i)timed?[ _-]?out|deadline"
_CANCELLED: Final = r"(?i)cancell?ed|cancellation|cancell?ing statement|error code: cancel|AbortError|(?:operation|request|user) (?:was )?aborted"
_IN_EXCEPTION: Final = r'"exception\.(?:type|message)"\s*:\s*"(?:[^"\\]|\\.)*?(?:%s)'
_LATE: Final = ["408", "504"]
_LONGEST: Final = 160


class FailureSigns(NamedTuple):
    """Three masks over the rows asked about; no row is in two of them."""

    timed_out: NDArray[np.bool_]
    """A deadline passed: gRPC DEADLINE_EXCEEDED, HTTP 408 or 504, or a text that says so."""
    cancelled: NDArray[np.bool_]
    """Somebody else called it off: gRPC CANCELLED, HTTP 499, or a text that says so."""
    mute: NDArray[np.bool_]
    """Nothing is said but that it failed: what it called may know more."""


def narrowed(spans: pd.DataFrame, rows: NDArray[Any], keys: Iterable[str]) -> pd.DataFrame:
    """Return some rows, with the core columns and the columns that these attributes may stand in."""
    wanted = {name for key in keys for name in spellings(key)}
    columns = [c for c in spans.columns if c in CORE or c == OTHER_ATTRIBUTES or scope_and_key(str(c))[1] in wanted]
    return spans[columns].iloc[rows]


def failure_signs(spans: pd.DataFrame, rows: NDArray[Any]) -> FailureSigns:
    """Return what the failed spans in these rows say; texts are the status message, error type and exceptions.

    A text that speaks of both (an HTTP client that cancels its request after its time-out) is about a deadline.
    """
    some = narrowed(spans, rows, (_HTTP, _RPC, *_WORDS))
    http, rpc = _codes(some, _HTTP), _codes(some, _RPC)
    kind = _codes(some, "error.type")  # an HTTP status, where the conventions are followed
    deadline = np.isin(http, _LATE) | np.isin(kind, _LATE) | np.isin(rpc, ["4", "DEADLINE_EXCEEDED"])
    cancelled = (http == "499") | (kind == "499") | np.isin(rpc, ["1", "CANCELLED", "CANCELED"])
    mute = (http == "") & (rpc == "") & (kind == "")
    texts = [some["status_message"]] if "status_message" in some.columns else []
    for column in (*texts, *(attribute(some, key) for key in _WORDS)):
        if column.notna().any():
            cells = text_array(column)
            mute &= ~_matches(cells, r"\S")
            deadline |= _matches(cells, _DEADLINE)
            cancelled |= _matches(cells, _CANCELLED)
    if "events" in some.columns and some["events"].notna().any():
        cells = text_array(some["events"])
        mute &= ~_matches(cells, '"exception')
        deadline |= _matches(cells, _in_exception(_DEADLINE))
        cancelled |= _matches(cells, _in_exception(_CANCELLED))
    return FailureSigns(deadline, cancelled & ~deadline, mute)


def _in_exception(pattern: str) -> str:
    return "(?i)" + _IN_EXCEPTION % pattern.removeprefix("(?i)")


def _matches(cells: Any, pattern: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.match_substring_regex(cells, pattern).fill_null(False).to_numpy(zero_copy_only=False)
    return found


def _codes(some: pd.DataFrame, key: str) -> NDArray[Any]:
    """Return codes as upper-case texts, "" where missing."""
    column = attribute(some, f"span.{key}")
    if not column.notna().any():
        return np.full(len(some), "", dtype=object)
    text = column.astype("str").str.strip().str.upper().str.removeprefix("STATUSCODE.").str.removesuffix(".0")
    return np.asarray(text.fillna("").to_numpy(dtype=object))


def evidence_texts(spans: pd.DataFrame, rows: NDArray[Any]) -> pd.Series:
    """Return, in the order of ``rows``, what each span says about its failure: codes, then the most telling text."""
    some = narrowed(spans, rows, (_HTTP, _RPC, *_WORDS))
    http, rpc = (pd.Series(_codes(some, key), dtype="str").replace("", None) for key in (_HTTP, _RPC))
    code = ("HTTP " + http).fillna("gRPC " + rpc)
    words = _exceptions(some)
    if "status_message" in some.columns:
        words = words.fillna(_plain(some["status_message"]))
    for key in reversed(_WORDS):
        words = words.fillna(_plain(attribute(some, key)))
    both = code.str.cat(": " + words).fillna(code).fillna(words).fillna("status ERROR")
    text = both.str.replace(r"\s+", " ", regex=True)
    return text.where(text.str.len() <= _LONGEST, text.str.slice(0, _LONGEST - 3) + "...").astype("str")


def _plain(column: pd.Series) -> pd.Series:
    text = column.astype("str").reset_index(drop=True)
    return text.where(text.str.strip() != "")


def _exceptions(some: pd.DataFrame) -> pd.Series:
    """Return type and message of the last exception of each span: earlier ones were followed by another one."""
    made = pd.Series([None] * len(some), dtype="str")
    if "events" not in some.columns:
        return made
    cells = some["events"].astype("str").reset_index(drop=True)
    holding = np.flatnonzero(cells.str.contains('"exception', regex=False, na=False).to_numpy(bool))
    if not len(holding):
        return made
    found = events(some.iloc[holding].set_axis(holding))
    found = found[(found["name"] == "exception").to_numpy(bool)]
    missing = pd.Series([None] * len(found), index=found.index, dtype="str")
    kind, message = (found.get(f"event.exception.{key}", missing).astype("str") for key in ("type", "message"))
    text = kind.str.cat(": " + message).fillna(kind).fillna(message)
    last = text[~text.index.duplicated(keep="last")]
    made.loc[last.index] = last
    return made
