"""The attributes of a foreign frame: columns of other types, and columns whose cells are maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pandas as pd

from traceanalytics.errors import FormatError, SchemaError
from traceanalytics.spans.attribute_columns import AttributeStore, no_note, text_or_category, typed_column
from traceanalytics.spans.columns import drop_unused
from traceanalytics.spans.common_types import family
from traceanalytics.spans.conversion import texts
from traceanalytics.spans.values import INT64_MAX, flat_value, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Note = Callable[[str, str, int], None]

__all__ = ["attribute_array", "attributes_of_maps", "map_of"]

_WRAPPED: Final = {"attributes", "schema_url", "dropped_attributes_count", "droppedAttributesCount"}


def attribute_array(column: pd.Series) -> Any:
    """Return a column of one attribute in one of the frame's types: Int64, float64, boolean, category or str."""
    kind = family(column)
    if kind == "bool":
        return column.astype("boolean").array
    if kind == "int":
        return _ints(column)
    if kind == "float":
        return column.to_numpy("float64", na_value=np.nan, copy=True)
    return _texts(column)


def _ints(column: pd.Series) -> Any:
    if column.dtype.kind == "u" and (column.dropna() > INT64_MAX).any():
        return text_or_category(column.astype("str"))  # more than 64 bits: their digits are kept
    return column.astype("Int64").array


def _texts(column: pd.Series) -> Any:
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        if dtype.categories.dtype == "str" and not dtype.ordered:
            return drop_unused(column.array)
        return attribute_array(pd.Series(column.astype(dtype.categories.dtype), name=column.name))
    if isinstance(dtype, pd.StringDtype):
        return column.astype("str").array
    if pd.api.types.is_object_dtype(dtype):
        return _typed(column)
    return text_or_category(texts(column, empty_is_missing=False))


def _typed(column: pd.Series) -> Any:
    """Return a column of Python objects by the reader's rule."""
    rows, values = [], []
    for row, value in enumerate(column.tolist()):
        cell = _python(value)
        if not _is_missing(cell):
            rows.append(row)
            values.append(_flat(cell, column.name, column.index[row]))
    return typed_column(str(column.name), np.array(rows, np.int64), values, len(column), no_note)[0]


def _python(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def _is_missing(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _flat(value: Any, name: object, label: object) -> Any:
    try:
        return flat_value(value, f"attribute {name!r}")
    except (FormatError, RecursionError) as error:
        if isinstance(value, int):
            return str(value)  # more than 64 bits: its digits are kept
        raise SchemaError(f"column {name!r}: found {shown(value)} at index {shown(label)}: {error}") from None


def map_of(value: Any, name: object, label: object) -> dict[str, Any]:
    """Return one cell of a column of maps: a dict, pairs, or JSON text of an object; missing is empty."""
    given = value
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value) if value.strip() else {}
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            value = given
    value = _python(value)
    if isinstance(value, list | tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
        value = dict(value)
    if isinstance(value, Mapping):
        inner = value.get("attributes")
        return dict(inner) if isinstance(inner, Mapping) and _WRAPPED.issuperset(value) else dict(value)
    if _is_missing(value):
        return {}
    raise SchemaError(
        f"column {name!r}: found {shown(given)} at index {shown(label)}, expected a dict of attributes, or JSON text of one"
    )


def attributes_of_maps(
    index: pd.Index, columns: dict[str, pd.Series], *, chosen: Sequence[str] | None, note: Note
) -> tuple[dict[str, Any], tuple[str, ...], list[str | None]]:
    """Return the attributes of columns of maps as typed columns.

    Parameters
    ----------
    columns
        Scope (span, resource, instrumentation) -> column, all on ``index``.
    chosen
        Patterns of attributes that get a column; None: the reader's rule.

    Returns
    -------
    tuple
        The columns; those in which a text looks like JSON; and the services (``service.name`` of the resource) by row.
    """
    store = AttributeStore()
    services: list[str | None] = [None] * len(index)
    per_row = []
    for scope, column in columns.items():
        maps = []
        for row, (label, cell) in enumerate(zip(index, column.tolist(), strict=True)):
            found = {str(key): _python(value) for key, value in map_of(cell, column.name, label).items()}
            flat = {key: _flat(value, column.name, label) for key, value in found.items() if not _is_missing(value)}
            if scope == "resource":
                service = flat.pop("service.name", "")
                services[row] = None if service == "" else str(service)
            if scope == "span":
                store.add(row, flat)
            maps.append(flat)
        if scope != "span":
            per_row.append((scope, maps, np.arange(len(index), dtype=np.int64)))
    made, ambiguous = store.columns(len(index), per_row=per_row, chosen=chosen, note=note)
    return made, ambiguous, services
