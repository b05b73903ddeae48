"""Access to attributes wherever they are: a column or ``other_attributes``, any scope, newer and older names."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa

from traceanalytics.errors import SchemaError
from traceanalytics.semconv import meanings
from traceanalytics.spans.attribute_columns import text_or_category
from traceanalytics.spans.cells import JsonText, is_container_text
from traceanalytics.spans.common_types import coalesced, family
from traceanalytics.spans.natural_values import natural_value
from traceanalytics.spans.other_attributes import attribute_map, columns_of_others
from traceanalytics.spans.report import read_report
from traceanalytics.spans.schema import OTHER_ATTRIBUTES, check_spans, is_attribute_column, scope_and_key

__all__ = ["attribute", "attribute_keys", "attributes"]

_SCOPES: Final = ("span", "resource", "instrumentation")
_SERVICE: Final = "resource.service.name"
_EXAMPLES: Final = 3
_MOST_EXAMPLE: Final = 80
_EXACT: Final = 2.0**53
"""Below this, floats count one by one."""


def attribute(spans: pd.DataFrame, key: str) -> pd.Series:
    """Return the values of an attribute, wherever each span has it.

    A value is looked for under the attribute's newest name and then its older ones (OpenTelemetry's semantic conventions:
    ``http.request.method``, then ``http.method``), for each name among the span's attributes, then the resource's, then the
    instrumentation scope's; in columns as well as in ``other_attributes``. The first one found counts, span by span.

    Parameters
    ----------
    spans
        A span frame.
    key
        The attribute's key, newer or older (``"http.route"``). With a scope before it (``"resource.k8s.pod.name"``,
        ``"span.http.route"``) only that scope is looked at; unless it has no such attribute, and another scope has one whose
        very key begins like that (``span.resource.k8s.pod.name``, as some exporters write it). ``"service.name"`` is the column
        ``service``. The core columns (name, status, ...) are no attributes.

    Returns
    -------
    pandas.Series
        Named ``key``, on the index of ``spans``; Int64, float64, boolean, category or str. Where several columns serve, one
        type for all: ints, texts of ints and columns of whole floats (ints with gaps, as pandas reads them) are Int64, any other
        mixture is text. An attribute that no span carries is
        missing everywhere (str): :func:`attribute_keys` shows what there is.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1", "a1"], "span_id": ["b1", "b2"], "name": ["GET", "GET"],
    ...     "attributes": [{"http.status_code": 200}, {"http.response.status_code": 404}]}))
    >>> ta.attribute(spans, "http.response.status_code").tolist()
    [200, 404]
    """
    check_spans(spans, "trace_id")
    if not isinstance(key, str):
        raise SchemaError(f"the key of an attribute is a text such as 'http.route', found {key!r}")
    scope, bare = scope_and_key(key)
    found = _found(spans, bare, scope)
    values = (
        coalesced(_whole_as_ints(found)) if found else pd.array(pa.nulls(len(spans), pa.large_string()), dtype="str")
    )
    return pd.Series(_with_target(spans, bare, scope, values), index=spans.index, name=key, copy=True)


def _found(spans: pd.DataFrame, bare: str, scope: str) -> list[pd.Series]:
    """Return the columns in which the attribute may stand, the first choice first."""
    readings = [_names(bare, scope)]
    if scope:  # nothing has it: the scope may be part of the key
        readings.append(_names(f"{scope}.{bare}", ""))
    others = columns_of_others(spans, [name for names in readings for name, _ in names])
    for names in readings:
        found = [
            column if kinds is None else column.where(_of_kind(spans, kinds))
            for name, kinds in names
            for column in (_column(spans, name), others.get(name))
            if column is not None
        ]
        if found:
            return found
    return []


def _whole_as_ints(parts: list[pd.Series]) -> list[pd.Series]:
    """Turn columns of whole floats into Int64, where others stand beside them."""
    if len({family(part) for part in parts}) < 2:
        return parts
    return [part.astype("Int64") if family(part) == "float" and _is_whole(part) else part for part in parts]


def _is_whole(part: pd.Series) -> bool:
    values = part.to_numpy("float64", na_value=np.nan)
    values = values[~np.isnan(values)]
    return bool((values == np.trunc(values)).all() and (np.abs(values) < _EXACT).all())


def _names(bare: str, scope: str) -> list[tuple[str, frozenset[str] | None]]:
    """Return the names of columns for an attribute, each with the kinds of span on which it has the meaning."""
    scopes = (scope,) if scope else _SCOPES
    return [(f"{where}.{name}", kinds) for name, kinds in meanings(bare) for where in scopes]


def _column(spans: pd.DataFrame, name: str) -> pd.Series | None:
    if name == _SERVICE and "service" in spans.columns:
        return spans["service"]
    return spans[name] if name in spans.columns else None


def _of_kind(spans: pd.DataFrame, kinds: frozenset[str]) -> pd.Series:
    if "kind" not in spans.columns:
        return pd.Series("UNSPECIFIED" in kinds, index=spans.index)
    kind = spans["kind"]
    return kind.isin(list(kinds)) | (kind.isna() & ("UNSPECIFIED" in kinds))


def _with_target(spans: pd.DataFrame, bare: str, scope: str, values: Any) -> Any:
    """Fill in what stands in one attribute by the older conventions (``http.target``) and in two by the newer ones."""
    if bare not in ("http.target", "url.path", "url.query") or not pd.isna(values).any():
        return values
    if bare == "http.target":
        path, query = (_texts(spans, name, scope) for name in ("url.path", "url.query"))
        if path is None:
            return values
        made = path if query is None else path.where(query.isna() | (query == ""), path.str.cat("?" + query, na_rep=""))
    else:
        target = _texts(spans, "http.target", scope)
        if target is None or target.isna().all():  # a text that is nowhere has no parts
            return values
        parts = target.str.partition("?")
        made = (parts[0] if bare == "url.path" else parts[2]).astype("str")
        made = made.where(target.str.startswith("/", na=False) & (made != ""))
    own = pd.Series(values, index=spans.index).astype("str")
    return text_or_category(own.where(own.notna(), made))


def _texts(spans: pd.DataFrame, name: str, scope: str) -> pd.Series | None:
    found = _found(spans, name, scope)
    return pd.Series(coalesced(found), index=spans.index).astype("str") if found else None


def attribute_keys(spans: pd.DataFrame) -> pd.DataFrame:
    """Return which attributes the spans carry, the commonest first.

    Parameters
    ----------
    spans
        A span frame.

    Returns
    -------
    pandas.DataFrame
        One row a key and scope, keys in ``other_attributes`` included: ``key``, ``scope`` (span, resource, instrumentation),
        ``type`` (int, float, bool, text, or json for arrays and maps), ``coverage`` (share of the spans that have a value,
        0 to 1), ``distinct`` (number of different values), ``examples`` (the first few, as text).

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1", "a1"], "span_id": ["b1", "b2"], "name": ["GET", "GET"],
    ...     "span.http.route": ["/cart", None], "resource.replicas": [3, 3]}))
    >>> ta.attribute_keys(spans)
              key     scope  type  coverage  distinct examples
    0    replicas  resource   int       1.0         1        3
    1  http.route      span  text       0.5         1    /cart
    """
    check_spans(spans, "trace_id")
    columns = {str(name): [spans[name]] for name in spans.columns if is_attribute_column(name)}
    if "service" in spans.columns:
        columns.setdefault(_SERVICE, []).insert(0, spans["service"])
    for name, column in columns_of_others(spans).items():
        columns.setdefault(name, []).append(column)
    rows = [_described(name, pd.Series(coalesced(parts), index=spans.index)) for name, parts in columns.items()]
    rows = [row for row in rows if row[3] > 0]
    rows.sort(key=lambda row: (-row[3], _SCOPES.index(row[1]), row[0]))
    made = pd.DataFrame(rows, columns=["key", "scope", "type", "coverage", "distinct", "examples"])
    return made.astype(
        {"key": "str", "scope": "str", "type": "str", "coverage": "float64", "distinct": "int64", "examples": "str"}
    )


def _described(name: str, column: pd.Series) -> tuple[str, str, str, float, int, str]:
    scope, key = scope_and_key(name)
    values = column[column.notna()]
    seen: list[Any] = list(dict.fromkeys(values.iloc[:1000].tolist()))[:_EXAMPLES]
    kind: str = family(column)
    if kind == "text" and seen and all(is_container_text(str(value)) for value in seen):
        kind = "json"
    text = ", ".join(str(value).lower() if kind == "bool" else str(value) for value in seen)
    text = text if len(text) <= _MOST_EXAMPLE else text[: _MOST_EXAMPLE - 3] + "..."
    return key, scope, kind, len(values) / len(column) if len(column) else 0.0, int(values.nunique()), text


def attributes(row: pd.Series | pd.DataFrame) -> dict[str, Any]:
    """Return the attributes of one span as a dict.

    Parameters
    ----------
    row
        One span: ``spans.iloc[0]``, ``spans.loc[label]``, or a frame of one row.

    Returns
    -------
    dict
        Values by name with scope (``"span.http.route"``, ``"resource.k8s.pod.name"``; the service is
        ``"resource.service.name"``): str, int, float, bool, bytes, and lists and dicts of those. Missing ones are left out.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> spans = ta.conform(pd.DataFrame({"trace_id": ["a1"], "span_id": ["b1"], "name": ["GET"], "service": ["web"],
    ...     "span.http.route": ["/cart"], "span.args": ['["a",1]']}))
    >>> ta.attributes(spans.iloc[0])
    {'resource.service.name': 'web', 'span.args': ['a', 1], 'span.http.route': '/cart'}
    """
    if isinstance(row, pd.DataFrame):
        if len(row) != 1:
            raise SchemaError(
                f"found {len(row):,} spans, expected one; choose it with spans.iloc[0] or spans.loc[label], or use ta.attribute(spans, key) for all of them"
            )
        report = read_report(row)
        row = row.iloc[0]
    elif isinstance(row, pd.Series):
        report = read_report(row)  # type: ignore[arg-type]
    else:
        raise SchemaError(f"expected one row of a span frame, such as spans.iloc[0]; found {type(row).__name__}")
    plain = frozenset(report.text_like_json) if report else frozenset()
    found: dict[str, Any] = {}
    other = row.get(OTHER_ATTRIBUTES)
    if isinstance(other, str):
        found |= {name: _decoded(value) for name, value in attribute_map(other, row.name).items()}
    for name, value in row.items():
        if (is_attribute_column(name) or name == "service") and not _is_missing(value):
            found[_SERVICE if name == "service" else str(name)] = value if name in plain else _natural(value)
    return dict(sorted(found.items()))


def _is_missing(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _natural(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return _decoded(JsonText(value)) if isinstance(value, str) and is_container_text(value) else value


def _decoded(value: Any) -> Any:
    return natural_value(msgspec.json.decode(str(value))) if isinstance(value, JsonText) else value
