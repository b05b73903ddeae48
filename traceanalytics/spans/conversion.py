"""One column of a foreign frame as the schema has it; every refusal names column, row, value and what was expected."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.errors import FormatError, SchemaError
from traceanalytics.spans.attribute_columns import no_note, sorted_category, text_column
from traceanalytics.spans.columns import coded, drop_unused, text_array
from traceanalytics.spans.values import kind_code, shown, status_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["category", "codes_by_name", "counts", "identifiers", "kinds", "plain", "refuse", "statuses", "texts"]

_HEX: Final = re.compile(r"[0-9a-f]+\Z")
_NULLABLE: Final = (
    dict.fromkeys((pa.int8(), pa.int16(), pa.int32(), pa.int64()), pd.Int64Dtype())
    | dict.fromkeys((pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()), pd.UInt64Dtype())
    | {pa.bool_(): pd.BooleanDtype()}
)
"""Arrow types that pandas would turn into floats or objects where a value is missing."""


def refuse(column: pd.Series, bad: Any, expected: str, *, found: str = "") -> NoReturn:
    """Raise :class:`SchemaError` about the first row of the mask ``bad``."""
    at = int(np.flatnonzero(np.asarray(bad, dtype=bool))[0])
    raise SchemaError(
        f"column {column.name!r}: found {found or shown(column.iloc[at])} at index {shown(column.index[at])}, expected {expected}"
    )


def plain(column: pd.Series) -> pd.Series:
    """Return an Arrow-backed column in pandas' own types; any other as it is."""
    if not isinstance(column.dtype, pd.ArrowDtype):
        return column
    values = (
        pa.chunked_array(pa.array(column)) if not isinstance(pa.array(column), pa.ChunkedArray) else pa.array(column)
    )
    made = values.to_pandas(types_mapper=_NULLABLE.get, maps_as_pydicts="lossy")
    return pd.Series(made.array, index=column.index, name=column.name)


def texts(column: pd.Series, *, empty_is_missing: bool = True) -> pd.Series:
    """Return a column as ``str``; numbers and the like become their text, containers are refused."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        labels = texts(pd.Series(column.cat.categories, name=column.name), empty_is_missing=False)
        made: pd.Series = pd.Series(coded(column.cat.codes.to_numpy(), labels.array).astype("str"), index=column.index)
    elif isinstance(column.dtype, pd.StringDtype):
        made = column.astype("str")
    elif column.dtype == object:
        missing = column.isna().to_numpy(bool)
        values = column.tolist()
        bad = [isinstance(v, dict | list | tuple | set | np.ndarray | bytes) for v in values]
        if any(bad):
            refuse(column, bad, "a text")
        cells = [None if gone else str(v) for v, gone in zip(values, missing, strict=True)]
        made = pd.Series(text_column(cells, note=no_note), index=column.index)
    else:
        made = pd.Series(column.astype("str").array, index=column.index)
    made.name = column.name
    return made.mask(made == "") if empty_is_missing else made


def category(column: pd.Series, *, in_order: bool = False, empty_is_missing: bool = True) -> pd.Categorical:
    """Return a column as a category of texts without unused labels: sorted, or in order of appearance.

    A category of texts keeps the order of its labels.
    """
    if (
        isinstance(column.dtype, pd.CategoricalDtype)
        and column.cat.categories.dtype == "str"
        and not column.cat.ordered
    ):
        values = column.array
        assert isinstance(values, pd.Categorical)
        if not (empty_is_missing and "" in values.categories):
            return drop_unused(values)
    codes, words = pd.factorize(texts(column, empty_is_missing=empty_is_missing))
    return coded(codes, words) if in_order else sorted_category(codes, words)


def identifiers(column: pd.Series, digits: int) -> pd.Series:
    """Return ids as texts: hex in lower case without ``0x``, 64-bit trace ids padded, empty and all-zero ones missing.

    Ids that are no hex stay as they are.
    """
    if pd.api.types.is_numeric_dtype(column.dtype) and not isinstance(column.dtype, pd.CategoricalDtype):
        if column.isna().all():
            return pd.Series(np.nan, index=column.index, name=column.name, dtype="str")
        refuse(
            column,
            column.notna(),
            "hex digits as text: as numbers, ids lose zeros and digits. Read the file with dtype=str for this column, "
            f"or write true integers as hex: column.map('{{:0{digits}x}}'.format)",
        )
    given = _id_texts(column)
    if isinstance(column.dtype, pd.StringDtype) and _is_clean(given, digits):
        return given
    codes, words = pd.factorize(given)
    cleaned = [_identifier(str(word), digits) for word in words]
    values = text_column([*cleaned, None], note=no_note)
    return pd.Series(values.take(codes), index=column.index, name=column.name)


def _id_texts(column: pd.Series) -> pd.Series:
    if column.dtype != object:
        return texts(column)
    values = column.tolist()
    bad = [isinstance(v, int) for v in values]
    if any(bad):
        refuse(column, bad, "hex digits as text; write integers as hex, for example '{:032x}'.format(value)")
    cells = [v.hex() if isinstance(v, bytes | bytearray) else v for v in values]
    return texts(pd.Series(cells, index=column.index, name=column.name, dtype=object))


def _is_clean(column: pd.Series, digits: int) -> bool:
    """Tell whether all ids are lower-case hex of full length and none is zero: then there is nothing to do."""
    ids = text_array(column)
    clean = pc.and_(
        pc.match_substring_regex(ids, f"^[0-9a-f]{{{digits}}}$"), pc.invert(pc.match_substring_regex(ids, "^0*$"))
    )
    return bool(pc.all(clean).as_py() is not False)  # missing ids are clean, and so are none at all


def _identifier(text: str, digits: int) -> str | None:
    text = text.strip()
    low = text.lower().removeprefix("0x")
    if len(low) == 36 and low.count("-") == 4:
        low = low.replace("-", "")
    if not _HEX.match(low):
        return text or None
    if not low.strip("0"):
        return None
    return low.rjust(digits, "0") if digits == 32 and len(low) == 16 else low


def kinds(column: pd.Series, dtype: pd.CategoricalDtype) -> pd.Categorical:
    """Return span kinds from names or OTLP's numbers in any spelling."""
    return codes_by_name(column, dtype, kind_code)


def statuses(column: pd.Series, dtype: pd.CategoricalDtype) -> pd.Categorical:
    """Return statuses from names or OTLP's numbers in any spelling."""
    return codes_by_name(column, dtype, status_code)


def codes_by_name(column: pd.Series, dtype: pd.CategoricalDtype, code_of: Callable[[Any], int]) -> pd.Categorical:
    """Return a category of fixed labels; each different value is looked at once."""
    if column.dtype == dtype and list(column.cat.categories) == list(dtype.categories):
        values = column.array
        assert isinstance(values, pd.Categorical)
        return values
    cells = column.astype(object)
    try:
        codes, words = pd.factorize(cells)
    except TypeError:  # dicts and lists cannot be hashed
        refuse(column, [isinstance(v, dict | list) for v in cells], f"one of {', '.join(dtype.categories)}")
    found = np.full(len(words) + 1, -1, np.int64)  # the last one serves the code -1
    for at, word in enumerate(words):
        try:
            found[at] = -1 if word == "" else code_of(_whole(word))
        except FormatError:
            numbers = f"0 to {len(dtype.categories) - 1}"
            refuse(column, codes == at, f"one of {', '.join(dtype.categories)}, or OTLP's number for it, {numbers}")
    return pd.Categorical.from_codes(found[codes], dtype=dtype)


def _whole(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str):
        value = value.strip()
        return value.removesuffix(".0")  # as integers beside missing values are written to CSV
    return int(value) if isinstance(value, float) and value.is_integer() else value


def counts(column: pd.Series, name: str, below: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return whole numbers from 0 to ``below`` - 1 and a mask of the missing ones; texts of numbers are accepted."""
    missing = column.isna().to_numpy(bool)
    numbers = pd.to_numeric(column.astype("str") if column.dtype == object else column, errors="coerce")
    numbers = numbers.astype("float64")  # counts and flags are below 2^53
    bad = ~missing & ~((numbers >= 0) & (numbers < below) & (numbers % 1 == 0)).to_numpy(bool)
    if bad.any():
        refuse(column, bad, f"a whole number from 0 to {below - 1} ({name})")
    return np.where(missing, 0, numbers.fillna(0)).astype(np.int64), missing
