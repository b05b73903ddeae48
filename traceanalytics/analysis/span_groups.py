"""Groups of spans by columns or attributes: a number a span, the labels a group, and an order that no row order changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from traceanalytics.errors import OptionError, near
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import codes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["By", "SpanGroups", "span_groups"]

By: TypeAlias = "str | Sequence[str]"
"""What functions take: a column of the frame or an attribute key, or several of them."""


class SpanGroups(NamedTuple):
    """The groups that some rows of a frame fall into; a missing value is a label like any other."""

    rows: NDArray[np.int64]
    """Positions of the rows."""
    code: NDArray[np.int64]
    """A row: its group, from 0."""
    size: int
    """How many groups there are, each with at least one row."""
    labels: dict[str, Any]
    """For each key, one value a group, in the frame's own type."""

    def ranked(self, *keys: NDArray[Any]) -> NDArray[np.intp]:
        """Return the groups by the keys, greatest first and the first key foremost, then by label: the order of a result."""
        labels = [_rank(values) for values in self.labels.values()]
        return np.lexsort([*reversed(labels), *(-key for key in reversed(keys))])


def span_groups(spans: pd.DataFrame, by: By, *, where: NDArray[np.bool_], results: Iterable[str] = ()) -> SpanGroups:
    """Group the rows that ``where`` marks.

    Raises
    ------
    OptionError
        ``by`` is no key or list of different keys, is neither column nor attribute, or is the name of one of ``results``.
    """
    keys = _keys(by, results)
    rows = np.flatnonzero(where)
    columns = {key: _values(spans, key) for key in keys}
    combined = np.zeros(len(rows), dtype=np.int64)
    for column in columns.values():
        codes, labels = codes_of(column)
        combined = combined * (len(labels) + 1) + (codes[rows] + 1)
        combined = pd.factorize(combined)[0]  # dense again, so that no number of keys overflows
    size = int(combined.max(initial=-1)) + 1
    first = np.empty(size, dtype=np.int64)
    first[combined[::-1]] = rows[::-1]  # the last one written is the first row
    return SpanGroups(rows, combined, size, {key: column.array.take(first) for key, column in columns.items()})


def _keys(by: By, results: Iterable[str]) -> list[str]:
    keys = [by] if isinstance(by, str) else list(by) if isinstance(by, list | tuple) else []
    if not keys or not all(isinstance(key, str) for key in keys) or len(set(keys)) < len(keys):
        raise OptionError(f"by={by!r} is no grouping; give a column or attribute key, or a list of different ones")
    taken = sorted(set(keys) & set(results))
    if taken:
        raise OptionError(f"by={by!r}: the result has a column {taken[0]!r} of its own; rename yours before grouping")
    return keys


def _values(spans: pd.DataFrame, key: str) -> pd.Series:
    if key in spans.columns:
        return spans[key]
    values = attribute(spans, key)
    # Keys of attributes have dots; one that no span of these carries is missing everywhere, which is an answer.
    if "." not in key and len(values) and not values.notna().any():
        raise OptionError(f"by={key!r} is neither a column of the frame nor an attribute{near(key, spans.columns)}")
    return values


def _rank(values: Any) -> NDArray[np.intp]:
    """Return the numbers of labels in sorted order, missing ones first; never by the order of categories, which comes from the rows."""
    column = pd.Series(values)
    if isinstance(column.dtype, pd.CategoricalDtype) or column.dtype == object:
        column = column.astype("str")
    return pd.factorize(column, sort=True)[0]
