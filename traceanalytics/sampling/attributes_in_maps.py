"""Attributes that stand in ``other_attributes``, made columns for the reading of weights: in one pass over the bytes."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.sampling.map_kernels import MOST_NAMES, find_values
from traceanalytics.sampling.text_bytes import bytes_of
from traceanalytics.semconv import meanings
from traceanalytics.spans.attribute_columns import no_note, typed_column
from traceanalytics.spans.columns import coded, text_array
from traceanalytics.spans.common_types import coalesced
from traceanalytics.spans.other_attributes import attribute_map
from traceanalytics.spans.schema import OTHER_ATTRIBUTES, scope_and_key
from traceanalytics.spans.values import INT64_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["with_columns_of_maps"]

_SCOPES: Final = ("span", "resource", "instrumentation")
_PLAIN: Final = re.compile(r"[ !#-\[\]-~]+", re.ASCII)
"""Names that JSON writes as they are."""

_MADE_OF_PARTS: Final = ("http.target", "url.path", "url.query")


def with_columns_of_maps(spans: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return the frame with columns for the attributes of these keys, and without ``other_attributes``.

    What :func:`traceanalytics.attribute` returns for one of the keys stays the same, but that a number may become its text.

    Examples
    --------
    >>> spans = pd.DataFrame({"other_attributes": ['{"span.SampleRate":20,"span.x":[1]}', None]})
    >>> with_columns_of_maps(spans, ["SampleRate"])
      span.SampleRate
    0              20
    1             NaN
    """
    if OTHER_ATTRIBUTES not in spans.columns:
        return spans
    names = list(dict.fromkeys(name for key in keys for name in _names(key)))
    bare = [scope_and_key(key)[1] for key in keys]
    if len(names) > MOST_NAMES or not all(map(_PLAIN.fullmatch, names)) or any(key in _MADE_OF_PARTS for key in bare):
        return spans
    cells = text_array(spans[OTHER_ATTRIBUTES])
    words = dict.fromkeys(scope_and_key(name)[1] for name in names)
    mentioned = pc.match_substring_regex(cells, "|".join(map(re.escape, words)))
    rows = np.flatnonzero(np.asarray(pc.fill_null(mentioned, fill_value=False), dtype=np.bool_))
    rest = spans.drop(columns=OTHER_ATTRIBUTES)
    if not len(rows):
        return rest
    found, odd = _found(cells if len(rows) == len(cells) else cells.take(pa.array(rows)), names)
    parts = {name: [pd.Series(_column(rows[at], texts, len(spans)), index=spans.index)] for name, (at, texts) in found}
    if len(odd):
        some = rows[odd]
        for name, column in _decoded(cells.take(pa.array(some)), spans.index[some], names).items():
            parts.setdefault(name, []).append(column.reindex(spans.index))
    for name, columns in parts.items():
        if name in spans.columns:
            columns.insert(0, spans[name])
    return rest.assign(**{name: pd.Series(coalesced(columns), index=spans.index) for name, columns in parts.items()})


def _decoded(cells: pa.LargeStringArray, labels: pd.Index, names: list[str]) -> dict[str, pd.Series]:
    """Return the columns of cells that are out of the ordinary; an integer of more than 64 bits becomes its text."""
    rows: defaultdict[str, list[int]] = defaultdict(list)
    values: defaultdict[str, list[Any]] = defaultdict(list)
    for row, cell in enumerate(cells.to_pylist()):
        if any(f'"{name}"' in cell for name in names):
            for name, value in attribute_map(cell, labels[row]).items():
                if name in names:
                    rows[name].append(row)
                    values[name].append(str(value) if type(value) is int and abs(value) > INT64_MAX else value)
    return {
        name: pd.Series(
            typed_column(name, np.array(rows[name], np.int64), values[name], len(labels), no_note)[0], index=labels
        )
        for name in rows
    }


def _names(key: str) -> list[str]:
    """Return the names of all columns that may serve for a key."""
    scope, bare = scope_and_key(key)
    names = [f"{where}.{name}" for name, _ in meanings(bare) for where in ((scope,) if scope else _SCOPES)]
    if scope:  # the scope may be part of the key
        names += [f"{where}.{name}" for name, _ in meanings(key) for where in _SCOPES]
    return names


def _found(
    cells: pa.LargeStringArray, names: list[str]
) -> tuple[list[tuple[str, tuple[NDArray[np.int64], pa.Array]]], NDArray[np.intp]]:
    """Return by name the cells that have a value, with its text; and the cells that must be decoded."""
    data, bounds = bytes_of(cells)
    wanted = np.frombuffer("".join(names).encode(), np.uint8).copy()
    ends = np.cumsum([0, *map(len, names)])
    room = max(len(cells), len(names))
    odd, progress = np.zeros(len(cells), np.uint8), np.zeros(2, np.int64)
    noted = []
    while progress[0] < len(cells):
        hits = np.zeros((4, room), np.int64)
        find_values(data, bounds, wanted, ends, hits[0], hits[1], hits[2], hits[3], odd, progress)
        noted.append(hits[:, : progress[1]])
    cell, name, begin, end = np.concatenate(noted, axis=1)
    found = []
    for number in np.unique(name).tolist():
        mine = name == number
        found.append((names[number], (cell[mine], _pieces(data, begin[mine], end[mine]))))
    return found, np.flatnonzero(odd)


def _pieces(data: NDArray[np.uint8], begin: NDArray[np.int64], end: NDArray[np.int64]) -> pa.Array:
    """Return the texts from ``begin`` to ``end``, ascending: every other one of the pieces that all these places make."""
    cuts = np.column_stack([begin, end]).ravel()
    pieces = pa.LargeStringArray.from_buffers(len(cuts) - 1, pa.py_buffer(cuts), pa.py_buffer(data))
    return pieces.take(pa.array(np.arange(0, len(pieces), 2)))


def _column(rows: NDArray[np.intp], texts: pa.Array, count: int) -> Any:
    words = texts.dictionary_encode()
    codes = np.full(count, -1, np.int32)
    codes[rows] = words.indices.to_numpy()
    return coded(codes, words.dictionary)
