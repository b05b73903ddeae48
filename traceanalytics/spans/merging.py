"""Span frames one below the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from traceanalytics.errors import SchemaError
from traceanalytics.spans.columns import coded, drop_unused
from traceanalytics.spans.common_types import concatenated, united
from traceanalytics.spans.conforming import in_order
from traceanalytics.spans.report import join_reports, put_report, read_report
from traceanalytics.spans.schema import CORE, OPTIONAL, OTHER_ATTRIBUTES, check_spans, is_attribute_column
from traceanalytics.spans.values import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["concat"]


def concat(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put span frames one below the other; unlike ``pd.concat``, categories stay categories and reports are joined.

    Parameters
    ----------
    frames
        Span frames, at least one.

    Returns
    -------
    pandas.DataFrame
        All rows, in the order given, on a new index from 0. Columns that a frame lacks are missing in its rows; an attribute
        that has different types becomes what a reader would have made of it (ints and texts of ints Int64, any other mixture
        text). The reports are joined; other ``attrs`` are kept where all frames agree on them.

    Raises
    ------
    SchemaError
        If there is no frame, or one of them is no span frame; the message says which.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> one = ta.conform(pd.DataFrame({"trace_id": ["a1"], "span_id": ["b1"], "name": ["GET"], "span.retries": [1]}))
    >>> two = ta.conform(pd.DataFrame({"trace_id": ["a2"], "span_id": ["b2"], "name": ["PUT"], "span.retries": ["2"]}))
    >>> ta.concat([one, two])[["trace_id", "name", "span.retries"]]
      trace_id name  span.retries
    0       a1  GET             1
    1       a2  PUT             2
    """
    given: Any = frames
    if isinstance(given, pd.DataFrame):
        raise SchemaError("expected a list of span frames, found one frame; write ta.concat([a, b])")
    parts: list[pd.DataFrame] = list(given)
    if not parts:
        raise SchemaError("there is no frame to concatenate; give at least one, e.g. ta.concat([a, b])")
    for number, part in enumerate(parts):
        _check(part, number)
    names = list(dict.fromkeys(name for part in parts for name in part.columns))
    ours = in_order(names)
    columns = {name: _joined(name, parts) for name in ours}
    columns |= {name: _extra(name, parts) for name in names if name not in columns}
    made = pd.DataFrame(columns, copy=False)
    made.attrs = _common_attrs(parts)
    report = join_reports(read_report(part) for part in parts)
    if report is not None:
        put_report(made, report)
    return made


def _check(part: pd.DataFrame, number: int) -> None:
    try:
        check_spans(part)
    except SchemaError as error:
        raise SchemaError(f"frame {number} (counted from 0): {error}") from None


def _joined(name: str, parts: list[pd.DataFrame]) -> Any:
    if name == OTHER_ATTRIBUTES:
        return pd.concat([_texts(part, name) for part in parts], ignore_index=True).array
    if is_attribute_column(name):
        return concatenated([part[name] if name in part.columns else _nothing(part) for part in parts])
    dtype = CORE.get(name) or OPTIONAL[name]
    if isinstance(dtype, pd.CategoricalDtype):
        codes = [_fixed(part[name], dtype).codes for part in parts]
        return pd.Categorical.from_codes(np.concatenate(codes), dtype=dtype)
    if dtype == "category":
        return united([_category(part, name) for part in parts])
    columns: list[Any] = [part[name] if name in part.columns else _nothing(part) for part in parts]
    return pd.concat([column.astype(dtype) for column in columns], ignore_index=True).array


def _nothing(part: pd.DataFrame) -> pd.Series:
    return pd.Series(np.nan, index=part.index, dtype="str")


def _texts(part: pd.DataFrame, name: str) -> pd.Series:
    return part[name].astype("str") if name in part.columns else _nothing(part)


def _category(part: pd.DataFrame, name: str) -> pd.Categorical:
    """Return a column as a category of texts, of which only the labels in use cost anything."""
    if name not in part.columns:
        return coded(np.full(len(part), -1), [])
    values = part[name].array
    if isinstance(values, pd.Categorical):
        return drop_unused(values)
    return coded(*pd.factorize(part[name].astype("str")))


def _fixed(column: pd.Series, dtype: pd.CategoricalDtype) -> pd.Categorical:
    """Return kinds or statuses with the labels in the order of the schema; a text that is none of them is refused."""
    values = column.array
    if (
        isinstance(values, pd.Categorical)
        and values.dtype == dtype
        and list(values.categories) == list(dtype.categories)
    ):
        return values
    texts = column.astype("str")
    strange = texts.notna() & ~texts.isin(dtype.categories)
    if strange.any():
        raise SchemaError(
            f"{column.name} {texts[strange].iloc[0]!r} at index {shown(texts.index[strange][0])} is none of {', '.join(dtype.categories)}; mend the frame with ta.conform(frame)"
        )
    return pd.Categorical(texts.array, dtype=dtype)


def _extra(name: Any, parts: list[pd.DataFrame]) -> Any:
    """Return a column that has no meaning here, as ``pd.concat`` joins it."""
    present = [part[[name]] if name in part.columns else pd.DataFrame(index=part.index) for part in parts]
    return pd.concat(present, ignore_index=True)[name].array


def _common_attrs(parts: list[pd.DataFrame]) -> dict[Any, Any]:
    first, *others = (part.attrs for part in parts)
    return {key: value for key, value in first.items() if all(key in attrs and attrs[key] == value for attrs in others)}
