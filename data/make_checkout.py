"""Write the checkout trace in every format and as a picture, and the same spans in the hierarchy that a common tutorial prints.

Run ``python data/make_checkout.py [FOLDER]``; FOLDER is ``data`` unless named. The same seed gives the same files.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import sys
from pathlib import Path
from typing import Any

import traceanalytics as ta

SEED = 20260514
START = dt.datetime(2026, 5, 14, 14, 23, 45, tzinfo=dt.UTC)

Record = dict[str, Any]

# name, service, kind, start ms, end ms, parent (its place in this list), attributes. A call between services has two halves
# of one name: the caller's CLIENT span and the callee's SERVER span.
CHECKOUT: list[tuple[str, str, str, int, int, int | None, dict[str, Any]]] = [
    (
        "GET /api/checkout",
        "api-gateway",
        "SERVER",
        0,
        350,
        None,
        {"http.request.method": "GET", "http.route": "/api/checkout", "http.response.status_code": 200},
    ),
    ("Authentication", "api-gateway", "INTERNAL", 0, 20, 0, {"enduser.id": "user-123"}),
    ("Route to Cart", "api-gateway", "INTERNAL", 20, 25, 0, {}),
    (
        "Get Cart Items",
        "api-gateway",
        "CLIENT",
        25,
        80,
        0,
        {"http.request.method": "GET", "server.address": "cart", "http.response.status_code": 200},
    ),
    (
        "Get Cart Items",
        "cart",
        "SERVER",
        25,
        80,
        3,
        {"http.request.method": "GET", "http.route": "/items", "http.response.status_code": 200},
    ),
    (
        "DB Read Items",
        "cart",
        "CLIENT",
        30,
        60,
        4,
        {
            "db.system.name": "postgresql",
            "db.namespace": "cart",
            "db.query.text": "SELECT * FROM items WHERE cart_id = $1",
        },
    ),
    (
        "Calculate Total",
        "api-gateway",
        "CLIENT",
        80,
        150,
        0,
        {"http.request.method": "POST", "server.address": "pricing", "http.response.status_code": 200},
    ),
    (
        "Calculate Total",
        "pricing",
        "SERVER",
        80,
        150,
        6,
        {"http.request.method": "POST", "http.route": "/total", "http.response.status_code": 200},
    ),
    ("Apply Discounts", "pricing", "INTERNAL", 90, 130, 7, {"discount.rules": 3}),
    (
        "DB Read Prices",
        "pricing",
        "CLIENT",
        95,
        120,
        8,
        {
            "db.system.name": "postgresql",
            "db.namespace": "pricing",
            "db.query.text": "SELECT * FROM prices WHERE sku = ANY($1)",
        },
    ),
    (
        "Charge Card",
        "api-gateway",
        "CLIENT",
        150,
        350,
        0,
        {"http.request.method": "POST", "server.address": "payment", "http.response.status_code": 200},
    ),
    (
        "Charge Card",
        "payment",
        "SERVER",
        150,
        350,
        10,
        {"http.request.method": "POST", "http.route": "/charge", "http.response.status_code": 200},
    ),
    (
        "Call Stripe API",
        "payment",
        "CLIENT",
        160,
        320,
        11,
        {"http.request.method": "POST", "server.address": "api.stripe.com", "http.response.status_code": 200},
    ),
]
EVENTS = {5: [("cache_miss", 30, {"cache.key": "cart:123", "cache.backend": "redis"})]}

# As printed: one below the other, each line the child of the line above it.
PRINTED = (1, 2, 4, 5, 7, 8, 9, 11, 12)


def instant(ms: int) -> str:
    """Return an instant of the trace as ISO 8601."""
    return (START + dt.timedelta(milliseconds=ms)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def record(at: int, trace_id: str, span_ids: list[str], parent: int | None) -> Record:
    """Return one span as a flat dict."""
    name, service, kind, start, end, _, attributes = CHECKOUT[at]
    made: Record = {
        "trace_id": trace_id,
        "span_id": span_ids[at],
        "name": name,
        "kind": kind,
        "start_time": instant(start),
        "end_time": instant(end),
        "duration_ms": end - start,
        "status": {"code": "UNSET"},
        "attributes": {"service.name": service, **attributes},
    }
    if parent is not None:
        made["parent_span_id"] = span_ids[parent]
    if at in EVENTS:
        made["events"] = [{"name": n, "timestamp": instant(ms), "attributes": a} for n, ms, a in EVENTS[at]]
    return made


def checkout(seed: int = SEED) -> tuple[list[Record], list[Record]]:
    """Return the records of the checkout trace, and those of the hierarchy as it is printed."""
    draw = random.Random(seed)  # noqa: S311 - ids of a sample, no secrets
    ids = [f"{draw.getrandbits(64):016x}" for _ in CHECKOUT]
    real, printed = (f"{draw.getrandbits(128):032x}" for _ in range(2))
    above = dict(zip(PRINTED, (None, *PRINTED), strict=False))
    return (
        [record(at, real, ids, span[5]) for at, span in enumerate(CHECKOUT)],
        [record(at, printed, ids, above[at]) for at in PRINTED],
    )


def write(folder: Path) -> list[Path]:
    """Write every file and return their paths."""
    real, printed = checkout()
    for name, records in (("checkout", real), ("checkout_as_printed", printed)):
        (folder / f"{name}.records.json").write_text(json.dumps(records, indent=1) + "\n")
        spans = ta.read_records(records)
        ta.to_otlp(spans, folder / f"{name}.otlp.json")
        ta.to_otlp(spans, folder / f"{name}.otlp.pb", encoding="protobuf")
        ta.to_jaeger(spans, folder / f"{name}.jaeger.json")
        ta.to_zipkin(spans, folder / f"{name}.zipkin.json")
        ta.to_parquet(spans, folder / f"{name}.parquet")
    figure = ta.plot.waterfall(ta.read_records(real)).figure
    figure.savefig(folder / "checkout.png", bbox_inches="tight", metadata={"Software": None})
    return sorted(folder.glob("checkout*"))


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for path in write(target):
        print(f"{path} {path.stat().st_size} bytes")
