"""Failed calls that a later success of the same callee made good: retries that worked in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from traceanalytics.analysis.failure_signs import narrowed
from traceanalytics.analysis.fingerprints import without_attempt
from traceanalytics.analysis.remote_calls import CONSUMER, SERVER
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import NAT, codes_of, text_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.topology import Forest

__all__ = ["superseded"]

_CALLEE: Final = ("service.peer.name", "server.address", "messaging.destination.name", "db.namespace")
_DETAIL: Final = ("url.template", "http.route", "rpc.method", "db.query.text", "url.path", "url.full")
_STORE: Final = ("db.system.name", "messaging.system")
_BARE: Final = r"(?i)^(?:http[ ./]?)?(?:get|post|put|delete|patch|head|options|http)?$"
"""Names that do not tell one request from another."""
_UNKNOWN: Final = -1
_ROUNDING_NS: Final = 1_000_000
_ROUNDING_PARTS: Final = 100
_HEDGE_PARTS: Final = 10


def superseded(
    spans: pd.DataFrame,
    forest: Forest,
    *,
    kind: NDArray[np.int32],
    above: NDArray[np.int32],
    failed: NDArray[np.int64],
    succeeded: NDArray[np.int64],
    cancelled: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Tell which of the failed rows a success of the same callee made good.

    A success supersedes a failure if both stand below the same span (``above``), agree in service, kind and name (neither digits
    nor "attempt 2" count) and in what was asked for (route, method, query, path of the URL), and nothing shows that their callees
    differ; and if it starts when the failed one has ended (clocks differ, so up to 1 ms or 1 % of the failed one before, at most half
    of it), so that calls made in parallel are no retries of each other. A ``cancelled`` one is also made good by a success that ends
    with it (up to 1 ms or 10 % of it): of a hedged request, only the quicker half is waited for.

    Instances of one service (``10.0.0.7`` and ``10.0.0.9``, ``pay-1`` and ``pay-2``) are one callee where something says what was asked
    for; shards and databases are not: there, each holds something else.
    """
    rows = np.concatenate([failed, succeeded])
    is_success = np.arange(len(rows)) >= len(failed)
    group = _numbered(
        above[rows], codes_of(spans["service"])[0][rows], kind[rows], _masked(spans["name"].iloc[rows], of_name=True)
    )
    mixed = _holding_both(group, is_success)
    made_good = np.zeros(len(rows), dtype=bool)
    if mixed.any():
        made_good[mixed] = _followed(
            spans,
            forest,
            kind,
            rows=rows[mixed],
            group=group[mixed],
            is_success=is_success[mixed],
            cancelled=cancelled[rows[mixed]],
        )
    return made_good[: len(failed)]


def _holding_both(group: NDArray[np.int64], is_success: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the members of groups that have failures as well as successes."""
    size = int(group.max(initial=-1)) + 1
    good = np.bincount(group[is_success], minlength=size) > 0
    bad = np.bincount(group[~is_success], minlength=size) > 0
    return (good & bad)[group]


def _followed(
    spans: pd.DataFrame,
    forest: Forest,
    kind: NDArray[np.int32],
    *,
    rows: NDArray[np.int64],
    group: NDArray[np.int64],
    is_success: NDArray[np.bool_],
    cancelled: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    some = narrowed(spans, rows, (*_CALLEE, *_DETAIL, *_STORE))
    details = [_masked(attribute(some, key)) for key in _DETAIL]
    group = _numbered(group, *details)
    asked = ~some["name"].astype("str").str.fullmatch(_BARE, na=True).to_numpy(bool)
    for detail in details:
        asked |= detail != _UNKNOWN
    for key in _STORE:
        asked &= attribute(some, key).isna().to_numpy(bool)
    called = _called_service(spans, forest, kind)[rows]
    address = _first_known(some, asked)
    start, end = forest.start[rows], np.where(forest.timed[rows], forest.end[rows], forest.start[rows])
    latest = _latest_compatible(group, called, address, np.where(is_success, start, NAT))
    length = end - start
    early = np.minimum(np.maximum(_ROUNDING_NS, length // _ROUNDING_PARTS), length // 2)
    followed = latest >= end - early
    if cancelled.any():
        answered = _latest_compatible(group, called, address, np.where(is_success, end, NAT))
        beside = np.maximum(_ROUNDING_NS, length // _HEDGE_PARTS)
        followed |= cancelled & (answered >= end - beside) & (answered <= end + beside)
    return np.asarray(~is_success & (start != NAT) & followed, dtype=np.bool_)


def _latest_compatible(
    group: NDArray[np.int64], called: NDArray[np.int64], address: NDArray[np.int64], start: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return, for each row, the latest start (not NAT) in its group among rows whose callee may be the same.

    Callees differ if both called services are known and differ; where one of them is not, if both addresses are known and
    differ. So each row asks for a few combinations of what is known, and nothing is compared pair by pair.
    """
    by_service, by_address = _numbered(group, called), _numbered(group, address)
    blind = called == _UNKNOWN
    no_address = address == _UNKNOWN
    # Known service: those with the same one; those without, if the address agrees or either has none.
    alike = _latest(by_service, by_service, start, ~blind)
    same_address = _latest(by_address, by_address, start, blind & ~no_address)
    bare = _latest(group, group, start, blind & no_address)
    any_blind = _latest(group, group, start, blind)
    known = np.maximum(alike, np.maximum(np.where(no_address, any_blind, same_address), bare))
    # Unknown service: anybody, if the address agrees or either has none.
    any_address = _latest(by_address, by_address, start, ~no_address)
    without = _latest(group, group, start, no_address)
    anybody = _latest(group, group, start, np.ones(len(group), dtype=bool))
    unknown = np.where(no_address, anybody, np.maximum(any_address, without))
    return np.where(blind, unknown, known)


def _latest(
    wanted: NDArray[np.int64], key: NDArray[np.int64], start: NDArray[np.int64], among: NDArray[np.bool_]
) -> NDArray[np.int64]:
    best = np.full(int(key.max(initial=-1)) + 1, NAT)
    np.maximum.at(best, key[among], start[among])
    return best[wanted]


def _called_service(spans: pd.DataFrame, forest: Forest, kind: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the code of the service that answered each row's call: that of its first server or consumer."""
    found = np.full(forest.n_spans, _UNKNOWN, dtype=np.int64)
    order = forest.order[::-1]
    answering = order[np.isin(kind[order], [SERVER, CONSUMER]) & (forest.parent[order] >= 0)]
    found[forest.parent[answering]] = codes_of(spans["service"])[0][answering]
    return found


def _first_known(some: pd.DataFrame, asked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return codes of the callees' names or addresses; where ``asked``, without the number of the instance."""
    text = pd.Series([None] * len(some), index=some.index, dtype="str")
    for key in _CALLEE:
        text = text.fillna(attribute(some, key).astype("str"))
    one_of = asked & ~text.str.contains("(?i)shard|partition", na=True).to_numpy(bool)
    if one_of.any():
        text = text.where(~one_of, text.str.replace(r"\d+", "0", regex=True))
    return pd.factorize(text)[0].astype(np.int64)


def _masked(column: pd.Series, *, of_name: bool = False) -> NDArray[np.int64]:
    """Return codes of texts in which digits and the host of a URL do not count, nor in a name the attempt; -1 is missing."""
    codes, labels = codes_of(column)
    used = pd.Series(labels.astype("str").take(np.unique(codes[codes >= 0])))
    bare = used.str.replace(r"^[a-z][a-z0-9+.-]*://[^/]*", "", regex=True).str.replace(
        r"^(/[^?#]*)[?#].*$", r"\1", regex=True
    )
    if of_name:
        bare = pd.Series(pd.array(without_attempt(text_array(bare)), dtype="str"))
    # Hexadecimal ids of eight digits and more, then all other numbers.
    short = bare.str.replace(r"\b[0-9a-fA-F]{8,}\b", "0", regex=True).str.replace(r"\d+", "0", regex=True)
    number = np.full(len(labels) + 1, _UNKNOWN, dtype=np.int64)
    number[np.unique(codes[codes >= 0])] = pd.factorize(short)[0]
    return number[codes]


def _numbered(*columns: NDArray[Any]) -> NDArray[np.int64]:
    """Give a number to the different combinations of codes (-1 is a value like any other), from 0."""
    combined = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        codes = column.astype(np.int64) + 1
        combined = pd.factorize(combined * (int(codes.max(initial=0)) + 1) + codes)[0].astype(np.int64)
    return combined
