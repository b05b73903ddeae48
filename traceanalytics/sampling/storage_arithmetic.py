"""What a sampling strategy costs to store, by arithmetic: no trace is needed, only the load and the share of error traces.

Three mistakes are common in such sums, and each has its column or option here: decimal units (GB, 10^9) mixed with binary
ones (GiB, 2^30); the share of error *spans* taken for the share of error *traces*; and a saving of storage taken for a saving
of transport and memory, which sampling at the end of a trace does not give.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import pandas as pd

from traceanalytics.errors import OptionError, check_option
from traceanalytics.sampling.given_numbers import MOST, given_number, given_whole

__all__ = ["error_trace_share", "storage_cost"]

_SECONDS_PER_DAY: Final = 86_400
_GB: Final = 1e9
_GIB: Final = 2.0**30
_POSITIVE: Final = f"(0, {MOST:g}]"
_NOT_NEGATIVE: Final = f"[0, {MOST:g}]"
_STRATEGIES: Final[Mapping[str, float | tuple[float, float]]] = {
    "all": 1.0,
    "head 10 %": 0.1,
    "head 1 %": 0.01,
    "errors + 1 %": (1.0, 0.01),
    "none": 0.0,
}


class _Kept(NamedTuple):
    """Shares of the error traces and of the healthy traces that are kept, and when a trace's fate is decided."""

    error: float
    healthy: float
    decided_at: str


def error_trace_share(span_error_rate: float, *, spans_per_trace: float) -> float:
    """Answer which share of the traces has an error, when a given share of the spans has one.

    Parameters
    ----------
    span_error_rate
        Share of the spans that are errors, in [0, 1].
    spans_per_trace
        Spans of a trace, at least 1.

    Returns
    -------
    float
        Share of the traces with at least one error span, from 0 to 1.

    Raises
    ------
    OptionError
        A number is not in its range.

    Notes
    -----
    ``1 - (1 - span_error_rate) ** spans_per_trace``: right if the spans fail independently of each other and all traces have
    the same number of spans. Neither holds exactly. An error passes from callee to caller, so error spans come together, in
    fewer traces than this; sizes that differ make it fewer as well. So it errs upwards, and the truth lies between
    ``span_error_rate`` (every span of a failed trace fails) and this value, if errors attract each other. With complete
    traces, count error traces instead.

    Examples
    --------
    >>> from traceanalytics.sampling.storage_arithmetic import error_trace_share
    >>> round(error_trace_share(0.01, spans_per_trace=15), 4)
    0.1399
    """
    rate = given_number("span_error_rate", span_error_rate, "[0, 1]")
    spans = given_number("spans_per_trace", spans_per_trace, f"[1, {MOST:g}]")
    return 1.0 if rate == 1.0 else -math.expm1(spans * math.log1p(-rate))


def storage_cost(
    *,
    requests_per_s: float,
    spans_per_trace: float,
    bytes_per_span: float,
    error_rate: float,
    strategies: Mapping[str, float | tuple[float, float]] | None = None,
    error_level: str = "trace",
    error_size_ratio: float = 1.0,
    compression: float = 1.0,
    replication: int = 1,
    index_overhead: float = 0.0,
    retention_days: float = 1.0,
    price_per_gb_month: float | None = None,
    decision_wait_s: float = 30.0,
) -> pd.DataFrame:
    """Answer what each sampling strategy costs: bytes a day, stored bytes, money, and memory of the collectors.

    Parameters
    ----------
    requests_per_s
        Requests, each of them one trace, in a second.
    spans_per_trace
        Mean number of spans of a trace, at least 1.
    bytes_per_span
        Mean size of a span of a healthy trace, as it is sent.
    error_rate
        Share of the traces (or spans, see ``error_level``) that are errors, in [0, 1].
    strategies
        Name to what is kept. A number is a ratio, decided at the start of a trace (head): 0.1 keeps 10 % of whatever comes.
        A pair is decided at the end (tail): ``(1.0, 0.01)`` keeps every error trace and 1 % of the others. None: ``all``,
        ``head 10 %``, ``head 1 %``, ``errors + 1 %``, ``none``.
    error_level
        What ``error_rate`` is a share of: ``trace`` or ``span``. Spans are turned into traces by
        :func:`error_trace_share`, which takes the spans of a trace to fail independently.
    error_size_ratio
        Size of an error trace in sizes of a healthy one. Stack traces make it larger than 1.
    compression
        Stored bytes for each byte sent, in (0, 1]: 0.1 is ten to one. What indices add is ``index_overhead``.
    replication
        Copies that the storage keeps; a whole number from 1.
    index_overhead
        Bytes of indices for each stored byte, from 0.
    retention_days
        Days for which a trace is stored.
    price_per_gb_month
        Price of one decimal gigabyte stored for a month, in any currency. None: no cost is computed.
    decision_wait_s
        Seconds for which a collector holds each trace before it decides (strategies decided at the end).

    Returns
    -------
    pandas.DataFrame
        One row a strategy, in the given order.

        - ``strategy`` (str), ``decided_at`` (str): name; ``start`` or ``end`` of the trace
        - ``kept_share`` (float64): share of all traces that is kept, from 0 to 1
        - ``error_kept_share``, ``healthy_kept_share`` (float64): the same among traces with and without error
        - ``collector_bytes_per_s`` (float64): bytes a second that must reach a collector. At the end of a trace it is all
          of them
        - ``bytes_per_s`` (float64): bytes a second sent on to the storage, before compression and copies
        - ``gb_per_day``, ``gib_per_day`` (float64): the same a day, in decimal gigabytes (10^9 bytes; a terabyte is 1,000)
          and in binary gibibytes (2^30 bytes; a tebibyte is 1,024)
        - ``stored_gb`` (float64): decimal gigabytes on disk once the first trace expires: a day's bytes x compression x
          replication x (1 + index overhead) x days
        - ``monthly_cost`` (float64): price of ``stored_gb`` for a month; missing without a price
        - ``buffer_traces``, ``buffer_gb`` (float64): traces, and decimal gigabytes as sent, that wait for a decision in the
          memory of all collectors together; 0 where the start decides. A collector's objects take more than the sent bytes

    Raises
    ------
    OptionError
        A number is not in its range, ``error_level`` is unknown, or ``strategies`` is no mapping of names to ratios and
        pairs of ratios.

    Notes
    -----
    Bytes a second kept are ``requests x spans x bytes x (share of error traces x ratio kept x error_size_ratio + share of
    healthy traces x ratio kept)``.

    Examples
    --------
    10,000 requests a second, 15 spans each, 500 bytes a span, and an error in 1 % of the traces:

    >>> from traceanalytics.sampling.storage_arithmetic import storage_cost
    >>> cost = storage_cost(requests_per_s=10_000, spans_per_trace=15, bytes_per_span=500, error_rate=0.01)
    >>> cost[["strategy", "kept_share", "bytes_per_s", "gb_per_day", "gib_per_day", "buffer_gb"]].round(4)
           strategy  kept_share  bytes_per_s  gb_per_day  gib_per_day  buffer_gb
    0           all      1.0000   75000000.0    6480.000    6034.9703       0.00
    1     head 10 %      0.1000    7500000.0     648.000     603.4970       0.00
    2      head 1 %      0.0100     750000.0      64.800      60.3497       0.00
    3  errors + 1 %      0.0199    1492500.0     128.952     120.0959       2.25
    4          none      0.0000          0.0       0.000       0.0000       0.00
    """
    check_option("error_level", error_level, ["trace", "span"])
    traces_per_s = given_number("requests_per_s", requests_per_s, _NOT_NEGATIVE)
    spans = given_number("spans_per_trace", spans_per_trace, f"[1, {MOST:g}]")
    bytes_per_trace = spans * given_number("bytes_per_span", bytes_per_span, _POSITIVE)
    errors = given_number("error_rate", error_rate, "[0, 1]")
    if error_level == "span":
        errors = error_trace_share(errors, spans_per_trace=spans)
    size_ratio = given_number("error_size_ratio", error_size_ratio, _POSITIVE)
    stored_per_gb = (
        given_number("compression", compression, "(0, 1]")
        * given_whole("replication", replication, 1)
        * (1.0 + given_number("index_overhead", index_overhead, _NOT_NEGATIVE))
        * given_number("retention_days", retention_days, _POSITIVE)
    )
    price = math.nan
    if price_per_gb_month is not None:
        price = given_number("price_per_gb_month", price_per_gb_month, _NOT_NEGATIVE)
    wait = given_number("decision_wait_s", decision_wait_s, _NOT_NEGATIVE)
    kept = _kept_shares(_STRATEGIES if strategies is None else strategies)

    table = pd.DataFrame(
        {
            "strategy": pd.array(list(kept), dtype="str"),
            "decided_at": pd.array([share.decided_at for share in kept.values()], dtype="str"),
        }
    )
    error = pd.Series([share.error for share in kept.values()], dtype="float64")
    healthy = pd.Series([share.healthy for share in kept.values()], dtype="float64")
    at_end = table["decided_at"] == "end"
    sent = traces_per_s * bytes_per_trace * (errors * error * size_ratio + (1.0 - errors) * healthy)
    complete = traces_per_s * bytes_per_trace * (errors * size_ratio + (1.0 - errors))

    table["kept_share"] = errors * error + (1.0 - errors) * healthy
    table["error_kept_share"] = error
    table["healthy_kept_share"] = healthy
    table["collector_bytes_per_s"] = sent.mask(at_end, complete)
    table["bytes_per_s"] = sent
    table["gb_per_day"] = sent * _SECONDS_PER_DAY / _GB
    table["gib_per_day"] = sent * _SECONDS_PER_DAY / _GIB
    table["stored_gb"] = table["gb_per_day"] * stored_per_gb
    table["monthly_cost"] = table["stored_gb"] * price
    table["buffer_traces"] = at_end * traces_per_s * wait
    table["buffer_gb"] = at_end * complete * wait / _GB
    return table


def _kept_shares(strategies: object) -> dict[str, _Kept]:
    """Return what each strategy keeps, in order, or say which entry is none."""
    if not isinstance(strategies, Mapping) or not strategies:
        raise OptionError(
            f"strategies={strategies!r:.60} is not a mapping of at least one name to a ratio in [0, 1] (decided at the start) "
            "or to a pair of ratios (error traces, other traces; decided at the end), as {'errors + 1 %': (1.0, 0.01)}"
        )
    kept = {}
    for name, share in strategies.items():
        if not isinstance(name, str) or not name:
            raise OptionError(f"strategies: the name {name!r:.60} is not a text")
        place = f"strategies[{name!r}]"
        if isinstance(share, (tuple, list)):
            if len(share) != 2:
                raise OptionError(
                    f"{place}={share!r:.60} is not a pair of ratios in [0, 1]: error traces, other traces"
                )
            error, healthy = (given_number(place, part, "[0, 1]") for part in share)
            kept[name] = _Kept(error, healthy, "end")
        else:
            ratio = given_number(place, share, "[0, 1]")
            kept[name] = _Kept(ratio, ratio, "start")
    return kept
