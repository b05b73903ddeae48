"""Which failed calls were refused for what they ask: to ask again changes nothing, so no sane client does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.analysis.failure_signs import failure_signs, narrowed
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import codes_of, text_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["refused"]

_HTTP: Final = "http.response.status_code"
_RPC: Final = "rpc.response.status_code"
_KIND: Final = "error.type"
_CLIENT_FAULT: Final = r"^4\d\d(?:\.0)?$"
_COMES_LATER: Final = r"^(?:408|425|429)(?:\.0)?$"
"""Request Timeout, Too Early, Too Many Requests: the same request may pass in a moment."""
_STATUS: Final = {
    "INVALID_ARGUMENT": 3,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "FAILED_PRECONDITION": 9,
    "OUT_OF_RANGE": 11,
    "UNIMPLEMENTED": 12,
    "UNAUTHENTICATED": 16,
}
"""gRPC's statuses that are about the request; ABORTED and RESOURCE_EXHAUSTED may pass."""
_REFUSED_RPC: Final = (
    rf"(?i)^(?:StatusCode\.)?(?:{'|'.join([*_STATUS, *(f'{n}(?:[.]0)?' for n in _STATUS.values())])})$"
)
_LATER: Final = r"(?i)throttl|too ?many|rate[ _-]?(?:limit|exceed)|slow ?down|unavailable|try again|retry"
"""Words of services that answer 400 or 403 to who asks too often."""


def refused(spans: pd.DataFrame, rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which of the failed spans in these rows were refused for good.

    That is by gRPC's status (INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE,
    UNIMPLEMENTED, UNAUTHENTICATED), or, without one, by HTTP's (``http.response.status_code``, else ``error.type``): 400 to 499 but for
    408, 425 and 429. Not so where a text speaks of a deadline, a cancellation or of asking too often.

    >>> import traceanalytics as ta
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2", "b3"], "name": "GET",
    ...     "status": "ERROR", "span.http.response.status_code": [404, 429, 503]}))
    >>> refused(spans, np.arange(3)).tolist()
    [True, False, False]
    """
    some = narrowed(spans, rows, (_HTTP, _RPC, _KIND))
    http, rpc, kind = (attribute(some, key) for key in (f"span.{_HTTP}", f"span.{_RPC}", f"span.{_KIND}"))
    by_rpc = rpc.notna().to_numpy(bool)
    by_http = http.notna().to_numpy(bool)
    code = np.where(by_http, _says(http, _CLIENT_FAULT), _says(kind, _CLIENT_FAULT))
    code &= ~np.where(by_http, _says(http, _COMES_LATER), _says(kind, _COMES_LATER))
    found = np.where(by_rpc, _says(rpc, _REFUSED_RPC), code)
    at = np.flatnonzero(found)
    if len(at):
        signs = failure_signs(spans, np.asarray(rows)[at])
        found[at] = ~(signs.timed_out | signs.cancelled)
        for column in (kind, some["status_message"]):
            found &= ~_says(column, _LATER)
    return np.asarray(found, dtype=bool)


def _says(column: pd.Series, pattern: str) -> NDArray[np.bool_]:
    codes, labels = codes_of(column)
    texts = pc.utf8_trim_whitespace(text_array(pd.Series(labels).astype("str")))
    hits = pc.fill_null(pc.match_substring_regex(texts, pattern), pa.scalar(False)).to_numpy(zero_copy_only=False)
    return np.asarray(np.r_[hits, False], dtype=bool)[codes]
