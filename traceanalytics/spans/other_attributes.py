"""The attributes without a column of their own: ``other_attributes``, one JSON map a span, keys as columns are named."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pandas as pd
import pyarrow.compute as pc

from traceanalytics.errors import SchemaError
from traceanalytics.spans.attribute_columns import no_note, typed_column
from traceanalytics.spans.cells import JsonText, encode_json
from traceanalytics.spans.columns import text_array
from traceanalytics.spans.natural_values import float_of
from traceanalytics.spans.schema import OTHER_ATTRIBUTES
from traceanalytics.spans.values import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["attribute_map", "columns_of_others"]

_DECODER: Final = msgspec.json.Decoder(dict[str, Any])


def columns_of_others(spans: pd.DataFrame, names: Sequence[str] | None = None) -> dict[str, pd.Series]:
    """Return the attributes in ``other_attributes`` as typed columns by their names (``span.key``); None: all of them."""
    if OTHER_ATTRIBUTES not in spans.columns:
        return {}
    rows: defaultdict[str, list[int]] = defaultdict(list)
    values: defaultdict[str, list[Any]] = defaultdict(list)
    cells = text_array(spans[OTHER_ATTRIBUTES])
    for row in np.flatnonzero(_candidates(cells, names)).tolist():
        for name, value in attribute_map(cells[row].as_py(), spans.index[row]).items():
            if names is None or name in names:
                rows[name].append(row)
                values[name].append(value)
    return {
        name: pd.Series(
            typed_column(name, np.array(rows[name], np.int64), values[name], len(spans), no_note)[0], index=spans.index
        )
        for name in sorted(rows)
    }


def _candidates(cells: Any, names: Sequence[str] | None) -> Any:
    """Return a mask of the cells that may hold one of the names, so that the others need not be decoded."""
    found = cells.is_valid().to_numpy(zero_copy_only=False)
    if names is None or not all(name.isascii() for name in names):  # other JSON may escape what is not ASCII
        return found
    holds = np.zeros(len(cells), bool)
    for name in names:
        holds |= pc.match_substring(cells, encode_json(name)).fill_null(False).to_numpy(zero_copy_only=False)
    return found & holds


def attribute_map(cell: str, label: object) -> dict[str, Any]:
    """Return the attributes of one cell as scalars and ``JsonText``; ``label`` names the span in a refusal."""
    try:
        found = _DECODER.decode(cell)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise SchemaError(
            f"{OTHER_ATTRIBUTES} of the span at index {shown(label)}: found {shown(cell)}, expected JSON text of a map of attributes ({error})"
        ) from None
    return {name: _value(value) for name, value in found.items() if value is not None}


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"json"} and isinstance(value["json"], str):
            return JsonText(value["json"])
        special = float_of(value)
        if special is not None:
            return special
    return JsonText(encode_json(value)) if isinstance(value, dict | list) else value
