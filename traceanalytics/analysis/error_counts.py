"""How often services and operations fail, and how often a user noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from traceanalytics.analysis.blame_walk import blame
from traceanalytics.errors import OptionError, near
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.topology import Forest
from traceanalytics.weights import group_sums, span_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from traceanalytics.weights import Weights

__all__ = ["error_rates"]

_COUNTED = (
    "requests",
    "failed_requests",
    "error_rate_user_facing",
    "traces",
    "calls",
    "errors_any",
    "error_rate_any",
    "errors_handled",
    "error_rate_handled",
    "errors_on_chain",
    "errors_user_facing",
)


def error_rates(
    spans: pd.DataFrame, *, by: str | Sequence[str] = ("service", "name"), weights: Weights = None
) -> pd.DataFrame:
    """Answer how often something failed, counted in the three ways that are often taken for each other.

    *User-facing*: the request failed, that is the main root of its trace. *Handled*: a span failed, but no failed request came
    of it: the root is fine, or the failure is off the chain from the root to the span to blame
    (:func:`~traceanalytics.attribute_errors`). *Any span*: a span failed, for whatever it meant.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Select whole traces. Duplicates and spans without a trace id count
        nowhere.
    by
        Columns or keys of attributes that make the groups; ``()`` puts everything into one. A missing value is a group.
    weights
        Column name or Series of how many traces each trace stands for.

    Returns
    -------
    pandas.DataFrame
        One row a group, the most blamed first, then the most failing; the columns of ``by`` in the frame's own types, then, all
        float64 and weighted:

        - ``requests``: traces whose main root is of the group; ``failed_requests``: those whose main root failed;
          ``error_rate_user_facing``: the part of them, missing where there are no requests
        - ``traces``: traces with a span of the group; ``calls``: its spans
        - ``errors_any``: its failed spans (:func:`~traceanalytics.is_error`); ``error_rate_any``: part of ``calls``
        - ``errors_handled``: its failed spans without a consequence for the user, as above; ``error_rate_handled``: part of
          ``calls``
        - ``errors_on_chain``: its other failed spans, so that ``errors_handled + errors_on_chain`` is ``errors_any``
        - ``errors_user_facing``: failed requests blamed on a span of the group. A request that was too slow can be blamed on a
          span that did not fail.

        Summed over the groups, ``requests`` are the traces, ``calls`` the spans, ``errors_any`` the failed spans, and
        ``failed_requests`` and ``errors_user_facing`` both the failed requests: each is counted once.

    Raises
    ------
    OptionError
        ``by`` names neither a column nor an attribute, or a column of the result.
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is not usable.

    See Also
    --------
    attribute_errors : The failed requests one by one.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> from traceanalytics.analysis.error_counts import error_rates
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1", "a1", "a2", "a2"], "span_id": ["b1", "b2", "b3", "b4"],
    ...     "parent_span_id": [None, "b1", None, "b3"], "service": ["web", "cart"] * 2, "name": ["buy", "add"] * 2,
    ...     "start_time": pd.Timestamp("2026-01-01", tz="UTC"), "duration_ms": [9.0, 5.0] * 2,
    ...     "status": ["ERROR", "ERROR", "UNSET", "ERROR"]}))
    >>> found = error_rates(spans, by="service").set_index("service")
    >>> found.loc["cart", ["calls", "errors_any", "errors_handled", "errors_user_facing"]].tolist()
    [2.0, 2.0, 1.0, 1.0]
    >>> found["error_rate_user_facing"].tolist()
    [nan, 0.5]
    """
    keys = _keys(spans, by)
    forest = Forest(spans)
    weight = span_weights(spans, weights)
    found = blame(spans, forest)
    named = np.asarray(forest.trace_ids.notna(), dtype=bool)
    counts = (forest.depth >= 0) & named[forest.trace]
    group, groups, first = _groups(keys, counts)
    main = forest.main_root[named]

    def total(rows: NDArray[Any]) -> NDArray[np.float64]:
        return group_sums(group[rows], groups, np.ones(len(group[rows])), weight[rows])

    columns = dict.fromkeys(_COUNTED, np.zeros(groups))
    columns["requests"] = total(main)
    columns["failed_requests"] = total(found.root)
    columns["traces"] = total(_first_of_trace(forest, group, groups))
    columns["calls"] = total(counts)
    columns["errors_any"] = total(found.failed)
    columns["errors_handled"] = total(found.failed & ~found.on_chain)
    columns["errors_on_chain"] = total(found.failed & found.on_chain)
    columns["errors_user_facing"] = total(found.row)
    columns["error_rate_user_facing"] = _part(columns["failed_requests"], columns["requests"])
    columns["error_rate_any"] = _part(columns["errors_any"], columns["calls"])
    columns["error_rate_handled"] = _part(columns["errors_handled"], columns["calls"])
    labels = {name: key.array.take(first) for name, key in keys.items()}
    result = pd.DataFrame(labels | columns, index=pd.RangeIndex(groups))
    places = {f"place_{n}": _places(result[name]) for n, name in enumerate(keys)}
    order = np.lexsort([*reversed(places.values()), *(-result[c].to_numpy() for c in ("calls", "errors_any"))])
    order = order[np.argsort(-result["errors_user_facing"].to_numpy()[order], kind="stable")]
    return result.iloc[order].reset_index(drop=True)


def _part(some: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    share: NDArray[np.float64] = np.divide(some, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return share


def _places(column: pd.Series) -> NDArray[np.int64]:
    """Return the place of each value in the order of the texts, so that equal counts do not come in the order of rows."""
    return column.astype("str").rank(method="dense", na_option="bottom").to_numpy().astype(np.int64)


def _keys(spans: pd.DataFrame, by: str | Sequence[str]) -> dict[str, pd.Series]:
    names = [by] if isinstance(by, str) else list(dict.fromkeys(by))
    found = {}
    for name in names:
        if name in _COUNTED:
            raise OptionError(f"by={name!r} is a column of the result; give the frame's column another name")
        column = spans[name] if name in spans.columns else attribute(spans, name)
        if name not in spans.columns and not column.notna().any():
            raise OptionError(
                f"by={name!r} is neither a column nor an attribute of the frame{near(name, spans.columns)}"
            )
        found[name] = column
    return found


def _groups(keys: dict[str, pd.Series], counts: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int, NDArray[np.intp]]:
    """Return the group of each row (-1 where it does not count), their number, and a row of each."""
    code = np.zeros(len(counts), dtype=np.int64)
    for key in keys.values():
        own = pd.factorize(key)[0].astype(np.int64) + 1
        code = pd.factorize(code * (int(own.max(initial=0)) + 1) + own)[0].astype(np.int64)
    group = np.full(len(counts), -1, dtype=np.int64)
    group[counts], used = pd.factorize(code[counts])
    first = np.empty(len(used), dtype=np.intp)
    rows = np.flatnonzero(counts)[::-1]
    first[group[rows]] = rows
    return group, len(used), first


def _first_of_trace(forest: Forest, group: NDArray[np.int64], groups: int) -> NDArray[np.bool_]:
    """Mark one span of each group in each trace."""
    pair = forest.trace.astype(np.int64) * max(groups, 1) + group
    pair[group < 0] = -1
    return ~pd.Series(pair).duplicated().to_numpy() & (group >= 0)
