"""The one rule of what counts as an error."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import codes_of
from traceanalytics.spans.schema import check_spans

__all__ = ["is_error"]

_GRPC: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""gRPC's status codes; the place is the number."""

_NUMBER_OF: Final = {name: float(number) for number, name in enumerate(_GRPC)} | {"CANCELED": 1.0}
_SERVER_FAULTS: Final = tuple(
    float(_GRPC.index(name))
    for name in ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")
)


def is_error(spans: pd.DataFrame) -> pd.Series:
    """Return which spans failed.

    A span failed if its status is ERROR; or if its status is UNSET and it has an HTTP status of 500 to 599, or of 400 to 499
    on a CLIENT span, or a gRPC status that is a failure: on a CLIENT span any but OK, on every other span those that are the
    server's fault (UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS). A status OK was set on
    purpose and is never overridden. These are OpenTelemetry's semantic conventions; many SDKs and all formats without a status
    leave it UNSET.

    Parameters
    ----------
    spans
        A span frame. Statuses of HTTP and gRPC are read by their newer and older attribute names, as numbers, as texts of
        numbers, and for gRPC as names (``"UNAVAILABLE"``).

    Returns
    -------
    pandas.Series
        Named ``is_error``, bool, on the index of ``spans``.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1"] * 4, "span_id": ["b1", "b2", "b3", "b4"], "name": ["GET"] * 4,
    ...     "kind": ["SERVER", "CLIENT", "SERVER", "SERVER"], "status": ["ERROR", "UNSET", "UNSET", "OK"],
    ...     "span.http.response.status_code": [200, 404, 404, 503]}))
    >>> ta.is_error(spans).tolist()
    [True, True, False, False]
    """
    check_spans(spans, "trace_id", "kind", "status")
    status = spans["status"]
    client = (spans["kind"] == "CLIENT").to_numpy(bool)
    http = _numbers(attribute(spans, "span.http.response.status_code"), {})
    rpc = _numbers(attribute(spans, "span.rpc.response.status_code"), _NUMBER_OF)
    failed = (http >= 500) & (http < 600)
    failed |= client & (http >= 400) & (http < 500)
    failed |= np.where(client, (rpc > 0) & (rpc < len(_GRPC)), np.isin(rpc, _SERVER_FAULTS))
    failed &= (status.isna() | (status == "UNSET")).to_numpy(bool)
    return pd.Series(failed | (status == "ERROR").to_numpy(bool), index=spans.index, name="is_error")


def _numbers(column: pd.Series, names: dict[str, float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return codes as numbers; NaN where missing or no code. Each different text is looked at once."""
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return np.asarray(column.to_numpy("float64", na_value=np.nan))
    codes, labels = codes_of(column)
    numbers = np.full(len(labels) + 1, np.nan)  # the last one serves the code -1
    numbers[:-1] = [_number(str(label), names) for label in labels]
    return numbers[codes]


def _number(text: str, names: dict[str, float]) -> float:
    text = text.strip().upper().removeprefix("STATUSCODE.")
    if text in names:
        return names[text]
    return float(text) if text.isascii() and text.isdecimal() and len(text) <= 3 else np.nan
