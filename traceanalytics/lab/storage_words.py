"""What the lab of storage says in words: sizes, the sum written out, and figures that are often copied and wrong."""

from __future__ import annotations

import functools
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Any, Final

from traceanalytics.sampling.storage_arithmetic import error_trace_share, storage_cost

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = [
    "EXAMPLE",
    "bytes_text",
    "day_sum",
    "error_share_of",
    "money_text",
    "number_text",
    "share_text",
    "wrong_figures",
]

EXAMPLE: Final[dict[str, Any]] = {"requests_per_s": 10_000, "spans_per_trace": 15, "bytes_per_span": 500}
"""The load whose storage is quoted everywhere."""
_UNITS: Final = {
    "decimal": (1000, ("B", "kB", "MB", "GB", "TB", "PB", "EB")),
    "binary": (1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")),
}
_TIMES: Final = " \N{MULTIPLICATION SIGN} "


def number_text(value: float, digits: int = 3) -> str:
    """Return a number of so many digits, in groups of three; a whole number below a million has all of its digits.

    >>> number_text(10_000), number_text(0.139_94), number_text(12_345_678)
    ('10,000', '0.14', '12,300,000')
    """
    if float(value).is_integer() and abs(value) < 1e6:
        return f"{int(value):,}"
    rounded = Context(prec=digits, rounding=ROUND_HALF_UP).create_decimal(Decimal(value))
    return _plain(rounded)


def money_text(amount: float) -> str:
    """Return a sum of money: whole units from 100 on.

    >>> money_text(2_915.4), money_text(90.72)
    ('2,915', '90.7')
    """
    whole = int(Decimal(amount).to_integral_value(ROUND_HALF_UP))
    return f"{whole:,}" if 100 <= amount < 1e6 else number_text(amount)


def share_text(share: float) -> str:
    """Return a share in per cent.

    >>> share_text(0.0199), share_text(1.0), share_text(0.000_123_4)
    ('1.99 %', '100 %', '0.0123 %')
    """
    return f"{number_text(float(f'{share * 100:.12g}'))} %"


def bytes_text(size: float, units: str = "decimal") -> str:
    """Return a number of bytes with three digits and a fitting unit, decimal or binary.

    >>> bytes_text(6.48e12), bytes_text(6.48e12, "binary"), bytes_text(750e3)
    ('6.48 TB', '5.89 TiB', '750 kB')
    """
    base, names = _UNITS[units]
    at, value = 0, float(size)
    while at < len(names) - 1 and value >= base - 0.5:
        value /= base
        at += 1
    if value >= 1000:  # of 1,024, or beyond the last unit
        return f"{int(Decimal(value).to_integral_value(ROUND_HALF_UP)):,} {names[at]}"
    rounded = Context(prec=3, rounding=ROUND_HALF_UP).create_decimal(Decimal(value))
    return f"{_plain(rounded)} {names[at]}"


def _plain(number: Decimal) -> str:
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def day_sum(inputs: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Return how a day's bytes of a strategy come about, in one line.

    Parameters
    ----------
    inputs
        The options of ``storage_cost``.
    row
        The strategy's row of its table.
    """
    numbers = [number_text(inputs[name]) for name in ("requests_per_s", "spans_per_trace")]
    factors = [*numbers, f"{number_text(inputs['bytes_per_span'])} B", *_kept_factor(inputs, row)]
    rate, day = row["bytes_per_s"], row["gb_per_day"] * 1e9
    return (
        f"{_TIMES.join(factors)} = {bytes_text(rate)}/s{_TIMES}86,400 s = "
        f"{bytes_text(day)} = {bytes_text(day, 'binary')} a day"
    )


def error_share_of(inputs: Mapping[str, Any]) -> float:
    """Return the share of traces with an error."""
    if inputs["error_level"] == "trace":
        return float(inputs["error_rate"])
    return error_trace_share(inputs["error_rate"], spans_per_trace=inputs["spans_per_trace"])


def _kept_factor(inputs: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    errors, size = error_share_of(inputs), inputs["error_size_ratio"]
    larger = "" if size == 1 else f"{_TIMES}{number_text(size)}"
    error, healthy = row["error_kept_share"], row["healthy_kept_share"]
    if row["decided_at"] == "end":
        parts = (
            f"{share_text(errors)}{larger}{_TIMES}{share_text(error)} + "
            f"{share_text(1 - errors)}{_TIMES}{share_text(healthy)}"
        )
        return [f"({parts})"]
    found = [] if size == 1 else [f"({share_text(errors)}{larger} + {share_text(1 - errors)})"]
    return found if healthy == 1 else [*found, share_text(healthy)]


def _gb(table: pd.DataFrame, name: str) -> float:
    return float(table["gb_per_day"].to_numpy()[table["strategy"] == name][0])


@functools.cache
def wrong_figures() -> tuple[dict[str, str], ...]:
    """Return what is often copied of the example: the strategy, the claim, what is right, and how the mistake came about."""
    table = storage_cost(**EXAMPLE, error_rate=0.01)
    every, ten, one = (_gb(table, name) * 1e9 for name in ("all", "head 10 %", "head 1 %"))

    def tail(rate: float, level: str = "trace") -> str:
        return bytes_text(_gb(storage_cost(**EXAMPLE, error_rate=rate, error_level=level), "errors + 1 %") * 1e9)

    return (
        {
            "strategy": "all",
            "claim": "6.3 TB a day",
            "right": f"{bytes_text(every)} = {bytes_text(every, 'binary')} a day",
            "why": (
                f"75 MB/s for 86,400 s are {bytes_text(every)} (units of 1,000) or {bytes_text(every, 'binary')} (units of 1,024). "
                "6.3 comes of a unit of 1,000 \N{MULTIPLICATION SIGN} 1,000 \N{MULTIPLICATION SIGN} 1,000 \N{MULTIPLICATION SIGN} 1,024 bytes, "
                "which does not exist."
            ),
        },
        {
            "strategy": "head 10 %",
            "claim": "750 KB/s, 630 GB a day",
            "right": f"7.5 MB/s, {bytes_text(ten)} a day",
            "why": (
                "10 % of 75 MB/s are 7.5 MB/s; 750 kB/s are 1 %, and make 64.8 GB a day. So the two figures do not even fit each other, "
                "and 630 is 648 in the mixed unit again."
            ),
        },
        {
            "strategy": "head 1 %",
            "claim": "75 KB/s, 63 GB a day",
            "right": f"750 kB/s, {bytes_text(one)} a day",
            "why": "75 kB/s are 0.1 % of 75 MB/s, and make 6.48 GB a day. 63 is 64.8 in the mixed unit.",
        },
        {
            "strategy": "errors + 1 %",
            "claim": "about 100 GB a day",
            "right": f"{tail(0.001)}, {tail(0.01)}, {tail(0.05)} a day with 0.1, 1, 5 % error traces",
            "why": (
                "How much it is depends on the share of error traces, which the claim leaves out: 100 GB are right at 0.55 %. "
                f"Where 1 % of the spans are errors, up to 14 % of the traces have one, and it is {tail(0.01, 'span')}. "
                "And all 75 MB/s must still reach a collector that holds every trace until it decides."
            ),
        },
    )
