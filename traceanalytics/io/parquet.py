"""``to_parquet`` and ``read_parquet``: the span frame itself, lossless, whole traces together."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from traceanalytics.errors import FormatError, OptionError
from traceanalytics.io.reading import OnError, Reading, read_documents
from traceanalytics.io.values import shown
from traceanalytics.spans.columns import codes_of
from traceanalytics.spans.conforming import conform
from traceanalytics.spans.schema import check_spans, is_attribute_column, matches_any
from traceanalytics.spans.selection import without_unused_labels

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

__all__ = ["MAGIC", "parse_parquet", "read_parquet", "to_parquet"]

MAGIC: Final = b"PAR1"
_SPANS_A_GROUP: Final = 200_000


def to_parquet(spans: pd.DataFrame, path: str | os.PathLike[str] | IO[bytes]) -> None:
    """Write a span frame as Parquet: nothing is lost, and the spans of a trace stand together in one row group.

    Rows are ordered by trace (in the order in which traces first appear); inside a trace they keep their order. The index is
    not kept. Zstandard: some 50 to 60 bytes a span.

    Parameters
    ----------
    spans
        A span frame.
    path
        File to write, or a binary file object.

    Examples
    --------
    >>> import tempfile, traceanalytics as ta
    >>> spans = ta.read_records([{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
    ...     "name": "GET /", "start_time": "2026-05-14T14:23:45Z", "duration_ms": 12}])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ta.to_parquet(spans, f"{folder}/spans.parquet")
    ...     ta.read_parquet(f"{folder}/spans.parquet").equals(spans)
    True
    """
    check_spans(spans)
    if not isinstance(path, str | Path) and not hasattr(path, "__fspath__") and not hasattr(path, "write"):
        raise OptionError(f"path={path!r} is no path; give a str or a pathlib.Path")
    traces = pd.factorize(codes_of(spans["trace_id"])[0], use_na_sentinel=False)[0]
    order = np.argsort(traces, kind="stable")
    ordered = without_unused_labels(spans.take(order).reset_index(drop=True))
    table = pa.Table.from_pandas(ordered, preserve_index=False)
    try:
        with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
            for low, high in _row_groups(traces[order]):
                writer.write_table(table.slice(low, high - low), row_group_size=max(high - low, 1))
    except OSError as error:
        raise OptionError(f"{str(path)!r} cannot be written: {error}") from error


def _row_groups(traces: Any) -> Iterator[tuple[int, int]]:
    """Yield slices of some hundred thousand rows that end where a trace ends."""
    ends = np.append(np.flatnonzero(np.diff(traces)) + 1, len(traces))
    low = 0
    while low < len(traces) or (low == 0 and not len(traces)):
        at = min(int(np.searchsorted(ends, low + _SPANS_A_GROUP, side="left")), len(ends) - 1)
        yield low, int(ends[at])
        low = int(ends[at]) or 1


def read_parquet(
    source: Any,
    *,
    attributes: Sequence[str] | None = None,
    on_error: OnError = "raise",
    report_to: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Read a span frame that was written by :func:`to_parquet`, or any Parquet file with the columns of one.

    Parameters
    ----------
    source
        A path, a glob, a folder, bytes or a file object.
    attributes
        Glob patterns: only attribute columns that match are read from the file. None: all.
    on_error
        "raise": a damaged file raises. "skip": it is left out and counted; see :func:`traceanalytics.read_report`.
    report_to
        A file that receives every finding of the reader as a JSON line.

    Returns
    -------
    DataFrame
        The span frame. Several files are united by :func:`traceanalytics.concat`.

    Raises
    ------
    FormatError
        The source is no Parquet file.
    SchemaError
        The file's columns are not those of a span frame.

    Examples
    --------
    See :func:`to_parquet`.
    """
    return read_documents(
        source, parse_parquet, format_name="parquet", attributes=attributes, on_error=on_error, report_to=report_to
    )


def parse_parquet(data: bytes, reading: Reading) -> None:
    """Add the frame of one file."""
    if not data.startswith(MAGIC):
        hint = "ta.read(source) tells formats apart"
        raise FormatError(f"it begins with {shown(data[:8])}, expected {shown(MAGIC)}", hint=hint)
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        columns = [c for c in file.schema_arrow.names if _is_wanted(c, reading.attributes)]
        # A file of another writer does not say how pandas is to hold integers with gaps; floats would lose nanoseconds.
        mapper = None if b"pandas" in (file.schema_arrow.metadata or {}) else {pa.int64(): pd.Int64Dtype()}.get
        frame = file.read(columns=columns).to_pandas(types_mapper=mapper)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise FormatError(f"damaged Parquet file ({error})") from error
    reading.add_table(conform(frame))


def _is_wanted(column: str, attributes: Sequence[str] | None) -> bool:
    return attributes is None or not is_attribute_column(column) or matches_any(column, attributes)
