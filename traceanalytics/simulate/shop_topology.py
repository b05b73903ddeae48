"""The default shop, as data: what a workshop replaces by its own."""

from __future__ import annotations

from typing import Final

from traceanalytics.simulate.topology_data import Call, Operation, Service

__all__ = ["OPERATIONS", "SERVICES"]

_JAVA: Final = "io.opentelemetry.spring-webmvc-6.0"
_GO: Final = "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

SERVICES: Final = (
    Service("api-gateway", version="3.2.0", scope=_GO, replicas=3),
    Service("frontend", version="5.1.2", scope="@opentelemetry/instrumentation-http", conventions="older", replicas=3),
    Service("user", version="2.8.1", scope=_JAVA),
    Service("product", version="4.0.3", scope=_JAVA, replicas=3),
    Service("pricing", version="1.9.0", scope=_GO, marks_internal_errors=False),
    Service("inventory", version="2.2.7", scope="opentelemetry.instrumentation.flask", conventions="older"),
    Service("recommendation", version="0.14.0", scope="opentelemetry.instrumentation.fastapi"),
    Service("cart", version="3.0.1", scope="Microsoft.AspNetCore"),
    Service("payment", version="2.5.0", scope=_JAVA),
    Service("notification", version="1.3.3", scope="opentelemetry.instrumentation.kafka"),
    Service("redis", kind="cache", system="redis"),
    Service("product-db", kind="database", system="postgresql"),
    Service("orders-db", kind="database", system="postgresql"),
    Service("card-provider.example", kind="external"),
)

_LEAVES: Final = (
    Operation("redis", "GET session", self_ms=0.7, sigma=0.6),
    Operation("redis", "SET session", self_ms=0.8, sigma=0.6),
    Operation("redis", "GET product", self_ms=0.7, sigma=0.6),
    Operation("redis", "SET product", self_ms=0.9, sigma=0.6),
    Operation("redis", "HGETALL cart", self_ms=0.9, sigma=0.6),
    Operation("redis", "HSET cart", self_ms=1.0, sigma=0.6),
    Operation("product-db", "SELECT * FROM products WHERE id = $1", self_ms=6),
    Operation(
        "product-db",
        "SELECT id, name FROM products_shard WHERE title @@ $1",
        self_ms=14,
        attributes={"db.namespace": "shard_{instance}"},
    ),
    Operation("product-db", "SELECT * FROM prices WHERE sku = $1", self_ms=4),
    Operation(
        "product-db",
        "SELECT * FROM stock WHERE sku = $1 ORDER BY warehouse LIMIT 50 OFFSET $2",
        self_ms=5,
        attributes={"db.query.parameter.page": "{instance}"},
    ),
    Operation("product-db", "UPDATE stock SET reserved = reserved + $2 WHERE sku = $1", self_ms=7),
    Operation("product-db", "SELECT neighbour FROM embeddings WHERE id = $1", self_ms=9),
    Operation("orders-db", "SELECT * FROM users WHERE id = $1", self_ms=4),
    Operation("orders-db", "SELECT * FROM orders WHERE user_id = $1 ORDER BY placed LIMIT 5 OFFSET $2", self_ms=5),
    Operation(
        "orders-db",
        "SELECT sum(total) FROM orders_by_day WHERE day = $1",
        self_ms=5,
        attributes={"db.query.parameter.partition": "{instance}"},
    ),
    Operation("orders-db", "SELECT * FROM orders WHERE user_id = $1 ORDER BY placed DESC", self_ms=12),
    Operation("orders-db", "INSERT INTO orders VALUES ($1, $2, $3)", self_ms=9),
    Operation("orders-db", "INSERT INTO charges VALUES ($1, $2)", self_ms=6),
    Operation("card-provider.example", "POST /v1/charges", self_ms=140, sigma=0.45),
)

_AUTHENTICATED: Final = Call("api-gateway authenticate")
_IDENTIFIED: Final = Call("api-gateway identify")

_GATEWAY: Final = (
    Operation("api-gateway", "GET /health", self_ms=0.6, weight=1.5),
    Operation("api-gateway", "GET /", self_ms=3, weight=13, calls=(_IDENTIFIED, Call("frontend GET /"))),
    Operation(
        "api-gateway",
        "GET /products/{id}",
        self_ms=3,
        weight=8,
        calls=(_IDENTIFIED, Call("frontend GET /products/{id}")),
    ),
    Operation("api-gateway", "GET /search", self_ms=3, weight=4, calls=(Call("frontend GET /search"),)),
    Operation("api-gateway", "GET /cart", self_ms=2, weight=3, calls=(_AUTHENTICATED, Call("cart GET /carts/{id}"))),
    Operation(
        "api-gateway", "POST /checkout", self_ms=4, weight=3, calls=(_AUTHENTICATED, Call("frontend POST /checkout"))
    ),
    Operation(
        "api-gateway", "GET /account", self_ms=2, weight=2, calls=(_AUTHENTICATED, Call("frontend GET /account"))
    ),
    Operation("api-gateway", "GET /session", self_ms=0.8, weight=12.5, calls=(_IDENTIFIED,)),
    Operation(
        "api-gateway", "GET /orders", self_ms=3, weight=2.5, calls=(_AUTHENTICATED, Call("frontend GET /orders"))
    ),
    Operation("api-gateway", "GET /reports/sales", self_ms=2, weight=0.5, calls=(Call("cart GET /reports/sales"),)),
    Operation("api-gateway", "authenticate", self_ms=0.5, kind="INTERNAL", calls=(Call("user shop.User/Verify"),)),
    Operation(
        "api-gateway",
        "identify",
        self_ms=0.5,
        kind="INTERNAL",
        calls=(Call("user shop.User/Verify", not_found=0.3, decoy="not_found"),),
    ),
)

_FRONTEND: Final = (
    Operation(
        "frontend",
        "GET /",
        self_ms=8,
        calls=(
            Call("product GET /featured", "parallel"),
            Call("recommendation GET /recommendations", "parallel"),
            Call("cart GET /carts/{id}", "parallel"),
            Call("frontend render"),
        ),
    ),
    Operation(
        "frontend",
        "GET /products/{id}",
        self_ms=7,
        calls=(
            Call("product GET /products/{id}", "parallel"),
            Call("pricing shop.Pricing/GetPrice", "parallel", hedge_ms=30, decoy="hedge"),
            Call("inventory GET /stock/{sku}", "parallel"),
            Call("frontend render"),
        ),
    ),
    Operation("frontend", "GET /search", self_ms=6, calls=(Call("product GET /products"), Call("frontend render"))),
    Operation("frontend", "POST /checkout", self_ms=6, calls=(Call("cart POST /orders"), Call("frontend render"))),
    Operation(
        "frontend",
        "GET /account",
        self_ms=6,
        calls=(
            Call("user GET /users/{id}"),
            Call("user GET /users/{id}/preferences", not_found=0.25, decoy="not_found"),
            Call("frontend render"),
        ),
    ),
    Operation(
        "frontend",
        "GET /orders",
        self_ms=7,
        calls=(
            Call("user GET /users/{id}"),
            Call("cart GET /orders", count=12, decoy="pagination"),
            Call("frontend render"),
        ),
    ),
    Operation("frontend", "render", self_ms=9, kind="INTERNAL"),
)

_CACHED: Final = (
    Call("redis GET product", decoy="cache"),
    Call("product-db SELECT * FROM products WHERE id = $1", probability=0.08, when="miss", decoy="cache"),
    Call("redis SET product", probability=0.08, when="miss", decoy="cache"),
)
_PRICE: Final = Call("product-db SELECT * FROM prices WHERE sku = $1")

_BACKENDS: Final = (
    Operation(
        "user",
        "shop.User/Verify",
        self_ms=2,
        calls=(
            Call("redis GET session", decoy="cache"),
            Call("orders-db SELECT * FROM users WHERE id = $1", probability=0.04, when="miss", decoy="cache"),
            Call("redis SET session", probability=0.04, when="miss", decoy="cache"),
        ),
    ),
    Operation(
        "user",
        "GET /users/{id}",
        self_ms=3,
        calls=(
            Call("orders-db SELECT * FROM users WHERE id = $1"),
            Call("orders-db SELECT * FROM orders WHERE user_id = $1 ORDER BY placed DESC"),
        ),
    ),
    Operation("user", "GET /users/{id}/preferences", self_ms=2, calls=(Call("redis GET session"),)),
    Operation("product", "GET /featured", self_ms=4, calls=_CACHED),
    Operation("product", "GET /products/{id}", self_ms=4, calls=_CACHED),
    Operation(
        "product",
        "GET /products",
        self_ms=5,
        calls=(
            Call(
                "product-db SELECT id, name FROM products_shard WHERE title @@ $1",
                "parallel",
                count=12,
                decoy="fan_out",
            ),
        ),
    ),
    Operation("pricing", "shop.Pricing/GetPrice", self_ms=3, calls=(Call("pricing apply rules"),)),
    Operation("pricing", "apply rules", self_ms=4, sigma=0.8, kind="INTERNAL", calls=(_PRICE,)),
    Operation(
        "inventory",
        "GET /stock/{sku}",
        self_ms=3,
        calls=(
            Call(
                "product-db SELECT * FROM stock WHERE sku = $1 ORDER BY warehouse LIMIT 50 OFFSET $2",
                count=3,
                decoy="pagination",
            ),
        ),
    ),
    Operation(
        "inventory",
        "POST /reservations",
        self_ms=4,
        calls=(Call("product-db UPDATE stock SET reserved = reserved + $2 WHERE sku = $1"),),
    ),
    Operation(
        "recommendation",
        "GET /recommendations",
        self_ms=14,
        sigma=0.7,
        calls=(Call("recommendation rank"), Call("product GET /products/{id}", probability=0.8)),
    ),
    Operation(
        "recommendation",
        "rank",
        self_ms=8,
        kind="INTERNAL",
        calls=(Call("product-db SELECT neighbour FROM embeddings WHERE id = $1"),),
    ),
    Operation("cart", "GET /carts/{id}", self_ms=2, calls=(Call("redis HGETALL cart"),)),
    Operation(
        "cart",
        "GET /orders",
        self_ms=3,
        attributes={"url.query": "page={instance}"},
        calls=(
            Call("orders-db SELECT * FROM orders WHERE user_id = $1 ORDER BY placed LIMIT 5 OFFSET $2"),
            Call("payment GET /charges/{id}"),
        ),
    ),
    Operation(
        "cart",
        "GET /reports/sales",
        self_ms=25,
        calls=(
            Call(
                "orders-db SELECT sum(total) FROM orders_by_day WHERE day = $1", "parallel", count=100, decoy="fan_out"
            ),
        ),
    ),
    Operation(
        "cart",
        "POST /orders",
        self_ms=6,
        calls=(
            Call("redis HGETALL cart"),
            Call("pricing shop.Pricing/GetPrice", "parallel"),
            Call("inventory POST /reservations", "parallel"),
            Call("payment POST /charges"),
            Call("payment GET /charges/{id}", count=(2, 4), pause_ms=30, decoy="polling"),
            Call("orders-db INSERT INTO orders VALUES ($1, $2, $3)"),
            Call("notification process orders", "async"),
            Call("redis HSET cart"),
        ),
    ),
    Operation(
        "payment",
        "POST /charges",
        self_ms=5,
        calls=(
            Call("payment check fraud"),
            Call("card-provider.example POST /v1/charges"),
            Call("orders-db INSERT INTO charges VALUES ($1, $2)"),
        ),
    ),
    Operation("payment", "check fraud", self_ms=7, kind="INTERNAL"),
    Operation("payment", "GET /charges/{id}", self_ms=2, calls=(Call("redis GET session"),)),
    Operation("notification", "process orders", self_ms=11, kind="CONSUMER", calls=(Call("user GET /users/{id}"),)),
)

OPERATIONS: Final = (*_GATEWAY, *_FRONTEND, *_BACKENDS, *_LEAVES)
