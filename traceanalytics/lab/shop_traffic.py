"""The traffic that the lab of sampling starts with: all traces of a shop for two minutes, with errors, and a rush at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from traceanalytics.simulate import ErrorRate, Shop, SlowOperation
from traceanalytics.spans.merging import concat

if TYPE_CHECKING:
    from traceanalytics.simulate.faults import Fault

__all__ = ["shop_traffic"]

_START: Final = pd.Timestamp("2026-05-14T14:23:45Z")
_CALM: Final = (ErrorRate("payment POST /charges", share=0.12), ErrorRate("product GET /products", share=0.02))
_RUSH: Final = (
    ErrorRate("payment POST /charges", share=0.4),
    ErrorRate("product GET /products", share=0.1),
    SlowOperation("inventory GET /stock/{sku}", ms=400, share=0.2),
)
_RUNS: Final[tuple[tuple[int, int, float, int, tuple[Fault, ...]], ...]] = (
    (1, 1600, 16.0, 0, _CALM),
    (2, 800, 80.0, 102, _RUSH),
)
"""Seed, requests, requests a second, seconds from the start, faults."""


def shop_traffic() -> pd.DataFrame:
    """Return the complete traffic: 2,400 traces, a third of them in a rush of some seconds with more errors and slow ones.

    That a user is not known, which the shop's gateway asks of every visitor, counts as no error here.

    >>> from traceanalytics.lab.shop_traffic import shop_traffic
    >>> shop_traffic()["trace_id"].nunique()
    2400
    """
    runs = [
        Shop(seed=seed).run(requests, rate=rate, start=_START + pd.Timedelta(after, "s"), faults=faults)[0]
        for seed, requests, rate, after, faults in _RUNS
    ]
    spans = concat(runs)
    unknown_user = (spans["name"] == "shop.User/Verify") & (spans["status"] == "ERROR")
    spans.loc[unknown_user, "status"] = "OK"
    return spans
