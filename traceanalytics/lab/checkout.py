"""The trace that the lab starts with: calls one after the other, calls at the same time, and one that nobody waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from traceanalytics.spans.conforming import conform

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["checkout_trace"]

_SPANS: Final = """
checkout            web            SERVER    0   120
  authenticate      login          SERVER    5   17
  load cart         cart           SERVER    20  40
    query cart      postgres       CLIENT    24  36
  charge payment    payment        SERVER    44  104
    check fraud     fraud          SERVER    48  60
  recommend         recommender    SERVER    44  64
  publish order     web            PRODUCER  106 112
    send receipt    notifications  CONSUMER  116 146
"""
_START: Final = pd.Timestamp("2026-05-14T14:23:45Z")


def checkout_trace() -> pd.DataFrame:
    """Return a checkout of nine spans in 120 ms.

    >>> from traceanalytics.lab.checkout import checkout_trace
    >>> checkout_trace()["name"].tolist()[:4]
    ['checkout', 'authenticate', 'load cart', 'query cart']
    """
    return conform(pd.DataFrame(_rows()))


def _rows() -> Iterator[dict[str, object]]:
    above: list[tuple[int, str]] = []
    for number, line in enumerate(_SPANS.strip().splitlines(), 1):
        indent = len(line) - len(line.lstrip())
        above = [one for one in above if one[0] < indent]
        *words, service, kind, start, end = line.split()
        span_id = f"{number:016x}"
        yield {
            "trace_id": f"{1:032x}",
            "span_id": span_id,
            "parent_span_id": above[-1][1] if above else None,
            "name": " ".join(words),
            "service": service,
            "kind": kind,
            "start_time": _START + pd.Timedelta(int(start), "ms"),
            "duration_ms": float(end) - float(start),
        }
        above.append((indent, span_id))
