"""The observed service graph against the dependencies that somebody wrote down."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pandas as pd

from traceanalytics.errors import SchemaError

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["compare_dependencies"]

_Pair: TypeAlias = tuple[str, str]
_STATUS: Final = ("confirmed", "undocumented", "unused")
_ALIKE: Final = 0.7
_SHORTEST: Final = 3
"""A shorter name contained in another says nothing."""


def compare_dependencies(graph: nx.DiGraph[Any], declared: object) -> pd.DataFrame:
    """Answer which calls nobody wrote down, and which of those written down never happen.

    Names are compared exactly. "unused" means: not in these traces, which may be too few, or sampled.

    Parameters
    ----------
    graph
        What :func:`~traceanalytics.service_graph` made; or any directed graph of NetworkX, whose edges count as one call where they
        have no ``calls``.
    declared
        Pairs (caller, callee); a dict of callers to lists of their callees; a DataFrame with the columns ``caller`` and ``callee``, or
        with two columns in this order; or another directed graph. Repetitions count once.

    Returns
    -------
    pandas.DataFrame
        One row a dependency, sorted by caller and callee:

        - ``caller``, ``callee`` (str)
        - ``status`` (category): "confirmed" (declared and seen), "undocumented" (seen only), "unused" (declared only)
        - ``calls``: how many were seen, all kinds together
        - ``similar`` (str): for an undocumented dependency the unused one that looks most like it, as ``"caller -> callee"``, and the
          other way round: probably another spelling. Missing where none looks alike.

    Raises
    ------
    SchemaError
        ``graph`` is no directed graph, or ``declared`` has another form.

    Examples
    --------
    >>> import networkx as nx
    >>> from traceanalytics.analysis.declared_dependencies import compare_dependencies
    >>> graph = nx.DiGraph()
    >>> graph.add_edge("web", "cart", calls=12)
    >>> graph.add_edge("web", "payment-service", calls=3)
    >>> compare_dependencies(graph, {"web": ["cart", "payment"]})
      caller           callee        status  calls                 similar
    0    web             cart     confirmed     12                     NaN
    1    web          payment        unused      0  web -> payment-service
    2    web  payment-service  undocumented      3          web -> payment
    """
    seen = _seen(graph)
    written = _declared(declared)
    pairs = sorted(seen.keys() | written)
    status = [
        _STATUS[0] if pair in seen and pair in written else _STATUS[1] if pair in seen else _STATUS[2] for pair in pairs
    ]
    similar = _similar([p for p in pairs if p not in written], [p for p in pairs if p not in seen])
    calls = pd.Series([seen.get(pair, 0) for pair in pairs], dtype=None if pairs else "int64")
    return pd.DataFrame(
        {
            "caller": pd.array([caller for caller, _ in pairs], dtype="str"),
            "callee": pd.array([callee for _, callee in pairs], dtype="str"),
            "status": pd.Categorical(status, categories=_STATUS),
            "calls": calls,
            "similar": pd.array([similar.get(pair) for pair in pairs], dtype="str"),
        }
    )


def _is_graph(value: object) -> bool:
    return hasattr(value, "edges") and callable(getattr(value, "is_directed", None)) and bool(value.is_directed())  # type: ignore[attr-defined]


def _seen(graph: nx.DiGraph[Any]) -> dict[_Pair, float]:
    if not _is_graph(graph):
        raise SchemaError(
            f"graph is a {type(graph).__name__}, expected a directed graph: ta.service_graph(spans) makes one of spans"
        )
    seen: dict[_Pair, float] = {}
    for caller, callee, calls in graph.edges(data="calls", default=1):
        pair = (str(caller), str(callee))
        seen[pair] = seen.get(pair, 0) + calls
    return seen


def _declared(declared: object) -> set[_Pair]:
    if _is_graph(declared):
        return {(str(caller), str(callee)) for caller, callee in declared.edges()}  # type: ignore[attr-defined]
    if isinstance(declared, pd.DataFrame):
        return _of_frame(declared)
    if isinstance(declared, Mapping):
        return {
            (str(caller), str(callee))
            for caller, callees in declared.items()
            for callee in ([callees] if isinstance(callees, str) else callees)
        }
    if isinstance(declared, str) or not isinstance(declared, Iterable):
        raise SchemaError(
            f"declared is a {type(declared).__name__}, expected pairs (caller, callee), a dict of callers to lists of callees, a DataFrame or a directed graph"
        )
    return {_pair(item) for item in declared}


def _of_frame(declared: pd.DataFrame) -> set[_Pair]:
    if {"caller", "callee"} <= set(declared.columns):
        ends = declared[["caller", "callee"]]
    elif declared.shape[1] == 2:
        ends = declared
    else:
        raise SchemaError(
            f"declared has the columns {', '.join(map(repr, declared.columns))}, expected 'caller' and 'callee', or two columns in this order"
        )
    if ends.isna().to_numpy().any():
        raise SchemaError("declared has missing names, expected a caller and a callee in every row; use dropna()")
    return {(str(caller), str(callee)) for caller, callee in zip(ends.iloc[:, 0], ends.iloc[:, 1], strict=True)}


def _pair(item: object) -> _Pair:
    if isinstance(item, str) or not isinstance(item, Iterable) or len(ends := list(item)) != 2:
        raise SchemaError(f"declared contains {item!r}, expected a pair (caller, callee)")
    return str(ends[0]), str(ends[1])


def _similar(undocumented: list[_Pair], unused: list[_Pair]) -> dict[_Pair, str]:
    """Return for each pair of either list the one of the other list that is most like it; none if none is alike."""
    known: dict[_Pair, float] = {}

    def likeness(left: str, right: str) -> float:
        if (left, right) not in known:
            known[left, right] = _likeness(left, right)
        return known[left, right]

    best: dict[_Pair, tuple[float, _Pair]] = {}
    for new in undocumented:
        for old in unused:
            ends = [likeness(left, right) for left, right in zip(new, old, strict=True)]
            if min(ends) < _ALIKE:
                continue
            for pair, other in ((new, old), (old, new)):
                if pair not in best or sum(ends) > best[pair][0]:
                    best[pair] = (sum(ends), other)
    return {pair: " -> ".join(other) for pair, (_, other) in best.items()}


def _likeness(left: str, right: str) -> float:
    """Return how much two names are alike, 0 to 1; case and punctuation do not count, nor do additions such as "-service"."""
    if left == right:
        return 1.0
    shorter, longer = sorted((re.sub(r"[\W_]", "", name.lower()) for name in (left, right)), key=len)
    if len(shorter) >= _SHORTEST and shorter in longer:
        return 0.9
    return difflib.SequenceMatcher(None, shorter, longer).ratio() * 0.9
