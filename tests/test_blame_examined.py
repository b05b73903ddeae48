"""The error and call analyses against traces drawn from the wording of the rules, in other people's styles."""

from __future__ import annotations

import itertools
import random

import pandas as pd
import pytest
from blame_examples import SCENARIOS, SHAPES, SIGNALS, Story, document_of, frame_of

import traceanalytics as ta

T0 = 1_770_000_000_000_000_000
E = "ERROR"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_span_to_blame(scenario, shape):
    rng = random.Random(f"{scenario} {shape}")
    stories = [Story(rng, shape, rng.choice(SIGNALS)) for _ in range(60)]
    wanted = {story.trace: SCENARIOS[scenario](story) for story in stories}
    for story in stories:
        story.orphans()
    made = frame_of if SHAPES.index(shape) % 2 == list(SCENARIOS).index(scenario) % 2 else document_of
    found = ta.attribute_errors(made(stories, rng))
    blamed = {trace: set() for trace in wanted} | {
        trace: {span} for trace, span in zip(found.index, found["blame_span_id"], strict=True)
    }
    assert blamed == {trace: spans for trace, (spans, _) in wanted.items()}
    assert all(cause in wanted[trace][1] for trace, cause in found["cause"].items())


def test_every_scenario_is_told_in_every_way():
    rng = random.Random(5)
    for make in SCENARIOS.values():
        stories = [Story(rng, "pairs", signal) for signal in SIGNALS for _ in range(4)]
        results = [make(story) for story in stories]
        assert len({len(story.spans) for story in stories}) > 5
        assert all(len(spans) <= 1 for spans, _ in results)


def call(name, at, ms, *, kind="CLIENT", status="UNSET", service="basket", **attributes):
    told = {key.replace("__", "."): value for key, value in attributes.items()}
    return {"name": name, "at": at, "ms": ms, "kind": kind, "status": status, "service": service, "told": told}


def series(count, make):
    """Calls one after the other, every 12 ms, of 10 ms."""
    return [make(i, 2 + 12 * i, 10) for i in range(count)]


def flat(lists):
    return list(itertools.chain.from_iterable(lists))


def below_one(children):
    """A span frame of one request with these children, in no order."""
    end = max(child["at"] + child["ms"] for child in children) + 5
    rows = []
    for number, row in enumerate([call("GET /basket", 0, end, kind="SERVER"), *children]):
        rows.append(
            {
                "trace_id": "7f" * 16,
                "span_id": f"{number + 1:016x}",
                "parent_span_id": f"{1:016x}" if number else None,
                "start_time": pd.Timestamp(T0 + round(row["at"] * 1e6), tz="UTC"),
                "duration_ms": float(row["ms"]),
            }
            | {key: row[key] for key in ("name", "service", "kind", "status")}
            | {f"span.{key}": value for key, value in row["told"].items()}
        )
    random.Random(3).shuffle(rows)
    table = pd.DataFrame(rows)
    numbers = [c for c in table.columns if pd.api.types.is_float_dtype(table[c]) and c.startswith("span.")]
    return ta.conform(table.astype(dict.fromkeys(numbers, "Int64")))


def opaque(number, form):
    rng = random.Random(number)
    if form == "ulid":
        return "01ARZ3" + "".join(rng.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=20))
    if form == "prefixed":
        return "usr_4a7B2" + "".join(rng.choices("0123456789abcdefABCDEF", k=12))
    return f"SKU{rng.randrange(10_000, 99_999)}" if form == "sku" else f"{rng.getrandbits(40):010x}"


REPEATED = {
    "sql literal": series(
        8,
        lambda i, t, m: call(
            "SELECT shop", t, m, db__statement=f"SELECT * FROM item WHERE sku='A-{i}'", db__system="mysql"
        ),
    ),
    "sql ?": series(6, lambda _, t, m: call("query", t, m, db__query__text="select * from item where id = $1")),
    "redis": series(6, lambda i, t, m: call("GET", t, m, db__system="redis", db__statement=f"GET item:{i}")),
    "http url": series(9, lambda i, t, m: call("GET", t, m, url__full=f"http://stock:80/items/{i}")),
    "server": series(
        9, lambda _, t, m: call("GET /items/{id}", t, m, kind="SERVER", service="stock", http__route="/items/{id}")
    ),
    "internal": series(9, lambda _, t, m: call("resolve price", t, m, kind="INTERNAL")),
    "unspecified": series(9, lambda i, t, m: call(f"load item {i}", t, m, kind="UNSPECIFIED")),
    "grpc": series(9, lambda _, t, m: call("stock.Stock/Get", t, m, rpc__method="Get", rpc__service="stock.Stock")),
    "parallel": [call("GET", 2 + i * 0.3, 40, http__url=f"http://stock/items/{i}") for i in range(7)],
    "processing between": flat(
        [
            [
                call("GET", 2 + 30 * i, 10, http__url=f"http://stock/items/{i}"),
                call("render", 13 + 30 * i, 17, kind="INTERNAL"),
            ]
            for i in range(7)
        ]
    ),
    "batch size one of": series(
        8, lambda _, t, m: call("POST /lookup", t, m, http__route="/lookup", http__request__method="POST")
    ),
    "mongo": series(
        8,
        lambda i, t, m: call(
            "find", t, m, db__system="mongodb", db__statement=f'{{"find":"item","filter":{{"_id":"{i}"}}}}'
        ),
    ),
    "one failed": series(
        8, lambda i, t, m: call("GET", t, m, status="ERROR" if i == 3 else "UNSET", http__url=f"http://stock/items/{i}")
    ),
}
for form in ("ulid", "prefixed", "sku", "hex"):
    REPEATED[f"ids: {form}"] = series(
        8, lambda i, t, m, form=form: call("GET", t, m, url__path=f"/u/{opaque(i, form)}")
    )

NOT_REPEATED = {
    "12 shards host": [
        call("search", 2, 30 + i, server__address=f"shard-{i:02d}.search", url__path="/q") for i in range(12)
    ],
    "12 shards ip": [call("search", 2, 30 + i, net__peer__name=f"10.1.0.{i}") for i in range(12)],
    "12 shards attr": [call("query", 2, 30 + i, db__shard=i) for i in range(12)],
    "12 shards attr2": [call("query", 2, 30 + i, **{"shard.key": f"s{i}"}) for i in range(12)],
    "12 shards name": [call(f"search shard {i}", 2, 30 + i) for i in range(12)],
    "12 shards table": [
        call("SELECT", 2, 30 + i, db__statement=f"SELECT count(*) FROM orders_{i:02d} WHERE day = '2024-01-01'")
        for i in range(12)
    ],
    "12 shards peer": [call("Query", 2, 30 + i, peer__service=f"index-{i}") for i in range(12)],
    "12 shards db": [
        call("SELECT", 2, 30 + i, db__name=f"tenant_{i}", db__statement="SELECT 1 FROM t") for i in range(12)
    ],
    "12 shards url": [call("GET", 2, 30 + i, url__full=f"http://idx/_search?shard={i}") for i in range(12)],
    "12 servers": [call("Search", 2, 30 + i, kind="SERVER", service=f"shard{i}") for i in range(12)],
    "12 shards target.shard": [call("rpc", 2, 30 + i, **{"target.shard": f"{i}"}) for i in range(12)],
    "12 shards es": [
        call("search", 2, 30 + i, url__full=f"http://es/logs-{i}/_search", **{"elasticsearch.shard.index": i})
        for i in range(12)
    ],
    "poll": [call("GET /job/42", 2 + 60 * i, 8) for i in range(8)],
    "poll server": [call("GET /job/{id}", 2 + 60 * i, 8, kind="SERVER", service="jobs") for i in range(8)],
    "poll sleep": flat(
        [[call("GET /job/42", 2 + 60 * i, 8), call("sleep", 10 + 60 * i, 52, kind="INTERNAL")] for i in range(8)]
    ),
    "poll backoff": [call("GetStatus", 2 + 20 * i * (i + 1), 10) for i in range(8)],
    "page": series(8, lambda i, t, m: call("GET /orders", t, m, url__full=f"http://o/orders?page={i + 1}&size=50")),
    "cursor": series(
        8, lambda i, t, m: call("GET /orders", t, m, url__full="http://o/orders" + (f"?cursor=ab{i}" if i else ""))
    ),
    "offset": series(
        8, lambda i, t, m: call("SELECT", t, m, db__statement=f"SELECT * FROM o ORDER BY id LIMIT 50 OFFSET {50 * i}")
    ),
    "keyset": series(
        8,
        lambda i, t, m: call(
            "SELECT", t, m, db__statement=f"SELECT * FROM o WHERE id > {500 * i} ORDER BY id LIMIT 500"
        ),
    ),
    "es from": series(8, lambda i, t, m: call("POST", t, m, url__full=f"http://es/_search?from={10 * i}&size=10")),
    "after": series(8, lambda i, t, m: call("GET", t, m, url__full=f"http://x/orders?limit=20&after=k{i}z")),
    "since_id": series(8, lambda i, t, m: call("GET", t, m, url__full=f"http://x/feed?since_id={i * 77}")),
    "continuation-token": series(
        8,
        lambda i, t, m: call(
            "S3.ListObjectsV2", t, m, url__full="http://s3/b?list-type=2" + (f"&continuation-token=q{i}" if i else "")
        ),
    ),
    "page attr": series(8, lambda i, t, m: call("listOrders", t, m, **{"request.page": i})),
    "pageToken attr": series(8, lambda i, t, m: call("ListOrders", t, m, **{"rpc.request.page_token": f"t{i}"})),
    "start rows": series(
        8, lambda i, t, m: call("GET", t, m, url__full=f"http://solr/select?q=*&start={10 * i}&rows=10")
    ),
    "hedged": [call("GET /price", 2, 50), call("GET /price", 20, 20)],
    "cache": [
        call("GET", 2, 3, db__system="redis", db__statement="GET k:1"),
        call("SELECT", 6, 20, db__statement="select 1"),
        call("SET", 27, 3, db__system="redis", db__statement="SET k:1 v"),
    ],
    "cache 3x": flat(
        [
            [
                call("GET", 2 + 40 * k, 3, db__system="redis", db__statement=f"GET k:{k}"),
                call("SELECT", 6 + 40 * k, 20, db__statement="select 1"),
                call("SET", 27 + 40 * k, 3, db__system="redis", db__statement=f"SET k:{k} v"),
            ]
            for k in range(3)
        ]
    ),
    "retries": [call("POST /pay", 2 + 15 * i, 10, status="ERROR" if i < 6 else "UNSET") for i in range(7)],
    "four": series(4, lambda i, t, m: call("GET", t, m, http__url=f"http://stock/items/{i}")),
    "different ops": series(
        6, lambda i, t, m: call(["GET /a", "GET /b", "GET /c", "PUT /d", "GET /e", "GET /f"][i], t, m)
    ),
    "short": series(8, lambda i, t, _m: call("GET", t, 0.5, http__url=f"http://stock/items/{i}")),
}
TRIED = {
    "plain": ([call("POST /pay", 2, 10, status=E), call("POST /pay", 20, 10)], 2),
    "exhausted": ([call("POST /pay", 2 + 15 * i, 10, status=E) for i in range(3)], 3),
    "instances ip": (
        [
            call("POST /pay", 2 + 15 * i, 10, status=E if i < 2 else "UNSET", server__address=f"10.0.0.{i + 4}")
            for i in range(3)
        ],
        3,
    ),
    "instances host": (
        [
            call(
                "POST",
                2 + 15 * i,
                10,
                status=E if i < 2 else "UNSET",
                http__url=f"http://pay-{i}.pay:80/charge",
                peer__service="pay",
            )
            for i in range(3)
        ],
        3,
    ),
    "instances url": (
        [
            call("POST", 2 + 15 * i, 10, status=E if i < 2 else "UNSET", http__url=f"http://10.0.0.{i}:80/charge")
            for i in range(3)
        ],
        3,
    ),
    "names n": ([call(f"pay attempt {i}", 2 + 15 * i, 10, status=E if i < 2 else "UNSET") for i in range(3)], 3),
    "names retry": (
        [
            call("POST /pay" + (f" (retry {i})" if i else ""), 2 + 15 * i, 10, status=E if i < 2 else "UNSET")
            for i in range(3)
        ],
        3,
    ),
    "names retry2": (
        [
            call((f"retry #{i} " if i else "") + "POST /pay", 2 + 15 * i, 10, status=E if i < 2 else "UNSET")
            for i in range(3)
        ],
        3,
    ),
    "http 503": (
        [
            dict(call("POST", 2 + 15 * i, 10, http__status_code=503 if i < 2 else 200, http__url="http://pay/charge"))
            for i in range(3)
        ],
        3,
    ),
    "grpc 14": ([call("Pay/Charge", 2 + 15 * i, 10, rpc__grpc__status_code=14 if i < 2 else 0) for i in range(3)], 3),
    "server skew": (
        [
            call("Charge", 2, 10, kind="SERVER", service="pay", status=E),
            call("Charge", 11.3, 10, kind="SERVER", service="pay"),
        ],
        2,
    ),
    "internal": ([call("charge", 2, 10, kind="INTERNAL", status=E), call("charge", 20, 10, kind="INTERNAL")], 2),
    "unspecified": (
        [call("charge", 2, 10, kind="UNSPECIFIED", status=E), call("charge", 20, 10, kind="UNSPECIFIED")],
        2,
    ),
    "backoff": ([call("GET /x", t, 10, status=E if t < 900 else "UNSET") for t in (2, 112, 322, 932)], 4),
    "resend": (
        [
            call("GET", 2, 10, http__url="http://a/b", http__status_code=503),
            call("GET", 20, 10, http__url="http://a/b", http__request__resend_count=1),
        ],
        2,
    ),
    "retry param": (
        [
            call("GET", 2, 10, status=E, http__url="http://a/b?retry=0"),
            call("GET", 20, 10, http__url="http://a/b?retry=1"),
        ],
        2,
    ),
    "beside ok others": ([call("GET /x", 2, 10, status=E), call("GET /y", 3, 30), call("GET /x", 20, 10)], 2),
    "no: hedge": ([call("GET /price", 2, 50, status=E), call("GET /price", 20, 20)], None),
    "no: shards par": (
        [call("search", 2, 30 + i, status=E if i == 3 else "UNSET", server__address=f"shard-{i}") for i in range(12)],
        None,
    ),
    "no: shards seq": (
        [
            call("search", 2 + 40 * i, 30, status=E if i == 3 else "UNSET", server__address=f"shard-{i}")
            for i in range(12)
        ],
        None,
    ),
    "no: dbs seq": (
        [
            call(
                "SELECT",
                2 + 40 * i,
                30,
                status=E if i == 3 else "UNSET",
                db__system="mysql",
                server__address=f"db-{i}",
                db__statement="select 1 from t",
            )
            for i in range(12)
        ],
        None,
    ),
    "no: items": (
        [
            call("GET", 2 + 40 * i, 30, status=E if i == 3 else "UNSET", http__url=f"http://s/items/{i}")
            for i in range(12)
        ],
        None,
    ),
    "no: pages": (
        [
            call("GET", 2 + 40 * i, 30, status=E if i == 3 else "UNSET", http__url=f"http://s/o?page={i}")
            for i in range(5)
        ],
        None,
    ),
    "no: cache miss": (
        [
            call("GET", 2, 3, status=E, db__system="redis", db__statement="GET k"),
            call("SET", 10, 3, db__system="redis", db__statement="SET k"),
        ],
        None,
    ),
    "no: fallback": (
        [call("GET /rec", 2, 10, status=E, server__address="rec"), call("GET /rec", 20, 10, server__address="cache")],
        None,
    ),
    "no: poll ok": ([call("GET /job/1", 2 + 40 * i, 5) for i in range(5)], None),
    "no: parallel fail": ([call("GET /x", 2, 10, status=E), call("GET /x", 3, 10)], None),
    "no: ok then fail": ([call("GET /x", 2, 10), call("GET /x", 23, 10, status=E)], None),
    "no: orders retry path": ([call("POST /orders", 2, 10, status=E), call("GET /orders", 23, 10)], None),
}


@pytest.mark.parametrize("style", REPEATED)
def test_repeated_calls(style):
    found = ta.n_plus_one(below_one(REPEATED[style]))
    assert found["calls"].max() >= 6
    assert set(found["pattern"].cat.categories) == set(found["pattern"])


@pytest.mark.parametrize("style", NOT_REPEATED)
def test_what_only_looks_repeated(style):
    assert ta.n_plus_one(below_one(NOT_REPEATED[style])).empty


@pytest.mark.parametrize("style", TRIED)
def test_attempts(style):
    children, attempts = TRIED[style]
    found = ta.retries(below_one(children))
    assert found["attempts"].tolist() == ([] if attempts is None else [attempts])
    for column in ("evidence", "outcome"):
        assert set(found[column].cat.categories) == set(found[column])


SIDE_BY_SIDE = {
    "parallel": ([((2, 30), (3, 40))], "parallel", False),
    "in turn": ([((2, 30), (33, 10))] * 2, "ordered", False),
    "in turn, clocks apart": ([((2, 30), (31.4, 10)), ((2, 30), (33, 10))], "ordered", False),
    "either": ([((2, 30), (33, 10)), ((20, 30), (2, 10))], "sequential", True),
    "both": ([((2, 30), (33, 10)), ((2, 30), (5, 10))], "mixed", True),
}


@pytest.mark.parametrize("style", SIDE_BY_SIDE)
@pytest.mark.parametrize("kind", ["CLIENT", "SERVER", "INTERNAL", "UNSPECIFIED"])
def test_side_by_side(style, kind):
    times, relation, parallelisable = SIDE_BY_SIDE[style]
    traces = [
        below_one([call("Stock/Get", *stock, kind=kind), call("Price/Get", *price, kind=kind)])
        for stock, price in times
    ]
    spans = ta.concat([s.assign(trace_id=f"{n:032x}") for n, s in enumerate(traces)])
    (found,) = ta.concurrency(spans).to_dict("records")
    assert (found["relation"], found["parallelisable"]) == (relation, parallelisable)
    assert (found["saving_if_parallel_ms"] > 0) == parallelisable
