"""The simulated shop without faults: a span frame, the same for a seed, as varied as real systems; and shops of one's own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import traceanalytics as ta
from traceanalytics.errors import OptionError
from traceanalytics.simulate import Call, Operation, Service, Shop

ASYNC = ("CONSUMER",)


@pytest.fixture(scope="module")
def run():
    return Shop(seed=3).run(2000)


@pytest.fixture(scope="module")
def clean():
    return Shop(seed=3, clock_skew_ms=0).run(2000)


def ns(ms):
    return (ms * 1e6).round().astype("int64")


def answers_of_nothing(spans):
    """Which spans got the answer that there is no such thing, by HTTP or gRPC."""
    http, rpc = (ta.attribute(spans, f"{way}.response.status_code").astype("str") for way in ("http", "rpc"))
    return http.eq("404") | rpc.isin(["NOT_FOUND", "5"])


def edges(spans):
    """Child and parent side by side, by a plain merge."""
    table = spans.astype({"trace_id": "str", "service": "str", "name": "str", "kind": "str"})
    table = table.assign(start=table["start_time"].astype("int64"), took=ns(table["duration_ms"]))
    table["end"] = table["start"] + table["took"]
    columns = ["trace_id", "span_id", "service", "name", "kind", "status", "start", "end", "took"]
    left = table[[*columns, "parent_span_id"]].assign(label=table.index)
    right = table[columns].assign(label=table.index)
    return left.merge(
        right, left_on=["trace_id", "parent_span_id"], right_on=["trace_id", "span_id"], suffixes=("", "_above")
    )


def test_it_is_a_span_frame(run):
    spans, _ = run
    assert ta.conform(spans).equals(spans)
    assert isinstance(spans.index, pd.RangeIndex)
    assert not spans.duplicated(["trace_id", "span_id"]).any()


@pytest.mark.parametrize("requests", [0, 1, 2, 3, 7])
def test_small_runs_are_span_frames_too(requests):
    spans, truth = Shop(seed=1).run(requests)
    assert ta.conform(spans).equals(spans)
    assert len(truth.requests) == requests
    assert spans["trace_id"].nunique() == requests
    assert truth.spans.dtypes.astype(str).tolist() == ["Int64", "category", "float64"]


def test_a_seed_decides_everything():
    (one, truth), (again, same) = Shop(seed=5).run(300), Shop(seed=5).run(300)
    assert one.equals(again)
    for name in ("spans", "faults", "requests", "groups"):
        pd.testing.assert_frame_equal(getattr(truth, name), getattr(same, name))
    other, _ = Shop(seed=6).run(300)
    assert not set(one["span_id"]) & set(other["span_id"])


def test_every_request_is_one_trace_with_one_root(run):
    spans, truth = run
    roots = spans[spans["parent_span_id"].isna()]
    assert sorted(roots["trace_id"].astype("str")) == sorted(truth.requests["trace_id"])
    assert len(edges(spans)) == len(spans) - len(roots)
    by_trace = roots.set_index(roots["trace_id"].astype("str")).loc[truth.requests["trace_id"]]
    entry = by_trace["service"].astype("str") + " " + by_trace["name"].astype("str")
    assert entry.tolist() == truth.requests["entry"].tolist()
    assert np.allclose(by_trace["duration_ms"], truth.requests["root_ms"])
    assert truth.requests["begin"].is_monotonic_increasing


def test_nothing_is_to_blame_in_a_healthy_shop(run):
    spans, truth = run
    assert not truth.requests["failed"].any()
    assert truth.requests[["blame_span_id", "blame_class", "blame_fault"]].isna().all(axis=None)
    assert (truth.requests["added_ms"] == 0).all()
    assert len(truth.faults) == 0
    assert set(truth.spans["role"]) == {"decoy"}
    assert truth.groups["decoy"].all()
    failed = spans[ta.is_error(spans)]
    assert set(failed.index) <= set(truth.spans.index)
    assert (answers_of_nothing(failed) | (failed["status_message"] == "context canceled")).all()


def test_children_lie_within_their_parents_when_clocks_agree(clean):
    pairs = edges(clean[0])
    waited = pairs[~pairs["kind"].isin(ASYNC)]
    assert (waited["start"] >= waited["start_above"]).all()
    assert (waited["end"] <= waited["end_above"]).all()
    messages = pairs[pairs["kind"].isin(ASYNC)]
    assert len(messages) > 10
    assert (messages["start"] > messages["end_above"]).all()


def test_clocks_differ_by_host_and_durations_do_not(run, clean):
    spans, straight = run[0], clean[0]
    assert spans["span_id"].equals(straight["span_id"])
    assert spans["duration_ms"].equals(straight["duration_ms"])
    off = (spans["start_time"] - straight["start_time"]).dt.total_seconds() * 1e3
    per_host = off.groupby(spans["resource.host.name"], observed=True)
    assert per_host.nunique().eq(1).all()
    assert per_host.first().nunique() > 3
    assert off.abs().between(0, 5).all()
    assert off.abs().max() > 0.3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shapes_and_times_are_as_mixed_as_in_real_systems(seed):
    spans, _ = Shop(seed=seed).run(2000)
    operation = [spans["service"], spans["name"], spans["kind"]]
    shares = ta.trace_shapes(spans)["share"]
    assert 30 <= len(shares) <= 80
    assert 0.20 <= shares.iloc[0] <= 0.29
    assert 0.82 <= shares.iloc[:10].sum() <= 0.96
    levels = ta.summary(spans)["depth"] + 1
    assert 7 <= levels.median() <= levels.quantile(0.9) <= 9
    fan_out = ta.hierarchy(spans)["n_children"].loc[lambda n: n > 0]
    assert 1.3 <= fan_out.mean() <= 2.2
    assert 8 <= fan_out.quantile(0.99) <= 36
    assert 1 - len(fan_out) / len(spans) == pytest.approx(0.41, abs=0.15)  # leaves
    assert 0.35 <= np.log(spans["duration_ms"]).groupby(operation, observed=True).std().median() <= 1
    took = spans["duration_ms"].groupby(operation, observed=True)
    assert 3 <= (took.quantile(0.99) / took.median()).median() <= 10
    keys = spans.filter(regex=r"^(span|resource)\.").notna().sum(axis=1)
    assert keys.between(4, 21).all()
    pairs = edges(spans)
    assert 0.001 <= (pairs["start"] > pairs["end_above"]).mean() <= 0.08


@pytest.mark.parametrize("seed", range(3, 8))
def test_traces_are_tiny_or_large_as_in_real_systems(seed):
    """Bimodal: a third of 5 to 15 spans, one in twenty of 76 to 200, and hardly any between the middle and the large."""
    summary = ta.summary(Shop(seed=seed).run(2000)[0])
    size = summary["spans"]
    assert 0.25 <= size.between(5, 15).mean() <= 0.45
    assert 0.03 <= size.between(76, 200).mean() <= 0.08
    assert size.max() <= 200
    assert not size.between(50, 75).any()
    by_root = size.groupby(summary["root_name"].astype("str"))
    assert set(by_root.median()[lambda n: n > 75].index) == {"GET /orders", "GET /reports/sales"}
    assert {"GET /session", "GET /cart", "GET /account"} == set(by_root.median()[lambda n: n.between(5, 15)].index)
    assert (by_root.max() - by_root.min()).max() <= 12  # a request for the same thing has about the same size
    assert 15 <= size.mean() <= 25


@pytest.mark.parametrize("seed", range(3, 8))
def test_a_healthy_shop_has_a_per_cent_of_failed_spans_and_no_failed_request(seed):
    spans, truth = Shop(seed=seed).run(1000)
    failed = ta.is_error(spans)
    assert 0.01 <= failed.mean() <= 0.02
    assert not truth.requests["failed"].any()
    assert len(ta.attribute_errors(spans)) == 0
    above = spans.set_index("span_id")["status"].reindex(spans.loc[failed, "parent_span_id"]).to_numpy()
    passed_on = (above == "ERROR").mean()
    assert passed_on < 0.2  # the rest are single spans


def test_clocks_put_children_outside_of_their_parents_as_often_as_in_real_systems():
    """The range holds for data sets, not for every draw of a dozen clocks: so the share is that of several runs."""
    pairs = pd.concat([edges(Shop(seed=seed).run(400)[0]) for seed in range(12)])
    pairs = pairs[~pairs["kind"].isin(ASYNC)]
    over = np.maximum(pairs["start_above"] - pairs["start"], pairs["end"] - pairs["end_above"])
    assert 0.02 <= (over > 0).mean() <= 0.20
    assert 0.002 <= (over > 1_000_000).mean() <= 0.03


def test_gaps_are_one_to_four_ms_and_mostly_on_the_way_there(clean):
    pairs = edges(clean[0])
    calls = pairs[(pairs["kind"] == "SERVER") & (pairs["kind_above"] == "CLIENT") & (pairs["status_above"] != "ERROR")]
    gap = (calls["took_above"] - calls["took"]) / 1e6
    assert 1 <= gap.median() <= 4
    assert gap.between(1, 9).mean() > 0.97
    there = (calls["start"] - calls["start_above"]) / 1e6 / gap
    assert abs(there.mean() - 0.7) < 0.02
    assert there.between(0.5, 0.9).all()


def test_messages_have_parent_and_link(run):
    spans, _ = run
    links = ta.links(spans)
    consumers = spans[spans["kind"] == "CONSUMER"]
    assert links.index.tolist() == consumers.index.tolist()
    assert links["linked_span_id"].tolist() == consumers["parent_span_id"].tolist()
    assert links["linked_trace_id"].astype("str").tolist() == consumers["trace_id"].astype("str").tolist()
    producers = spans.set_index("span_id").loc[consumers["parent_span_id"]]
    assert set(producers["kind"]) == {"PRODUCER"}


def test_attributes_have_newer_and_older_names(run):
    spans, _ = run
    service = spans["service"].astype("str")
    older = set(service[spans["span.http.method"].notna()])
    assert older == {"frontend", "inventory"}
    assert not older & set(service[spans["span.http.request.method"].notna()])
    served = spans[spans["kind"] == "SERVER"]
    method = ta.attribute(served, "http.request.method")
    assert (method.notna() | ta.attribute(served, "rpc.system.name").notna()).all()
    queries = spans[spans["name"].astype("str").str.startswith("SELECT")]
    assert (ta.attribute(queries, "db.system.name") == "postgresql").all()
    assert served["span.tenant.id"].notna().all()
    assert served.groupby("trace_id", observed=True)["span.tenant.id"].nunique().eq(1).all()
    assert set(served["span.feature_flag.result.variant"]) == {"control", "treatment"}
    pods = spans.groupby("resource.k8s.pod.name", observed=True)
    assert pods["service"].nunique().eq(1).all()
    assert pods["resource.host.name"].nunique().eq(1).all()


def members(truth, kind):
    return truth.groups[truth.groups["group_kind"] == kind]


def test_groups_name_spans_by_label_and_by_id(run):
    spans, truth = run
    there = spans.loc[truth.groups.index]
    for name in ("trace_id", "span_id", "parent_span_id"):
        assert truth.groups[name].astype("str").equals(there[name].astype("str"))
    assert truth.groups.groupby("group")["parent_span_id"].nunique().eq(1).all()
    assert set(truth.groups.index) < set(truth.spans.index)
    assert truth.spans.index.is_unique


def test_fan_out_is_many_calls_at_once(run):
    spans, truth = run
    rows = members(truth, "fan_out")
    assert set(rows.groupby("group").size()) == {12, 100}
    times = rows.join(spans[["start_time", "name"]])
    assert times.groupby("group")["name"].nunique().eq(1).all()
    begun = times.groupby("group")["start_time"]
    assert ((begun.max() - begun.min()).dt.total_seconds() < 0.005).all()


@pytest.mark.parametrize(("kind", "sizes", "pause"), [("pagination", {3, 12}, 0), ("polling", {2, 3, 4}, 30)])
def test_pages_and_polls_follow_each_other(run, kind, sizes, pause):
    spans, truth = run
    rows = members(truth, kind).join(spans[["start_time", "duration_ms", "status"]])
    assert set(rows.groupby("group").size()) == sizes
    assert (rows["status"] == "UNSET").all()
    rows = rows.sort_values(["group", "place"])
    ended = (rows["start_time"] + pd.to_timedelta(rows["duration_ms"], unit="ms")).groupby(rows["group"]).shift()
    wait = (rows["start_time"] - ended).dt.total_seconds().dropna() * 1e3
    assert (wait >= pause).all()
    assert (wait < pause + 1).all()


def test_each_page_is_another_one(run):
    spans, _ = run
    pages = spans[(spans["name"] == "GET /orders") & (spans["span.http.url"].notna())]
    pages = pages[pages["span.http.url"].astype("str").str.contains("page=")]
    urls = pages.groupby("parent_span_id")["span.http.url"]
    assert urls.nunique().eq(12).all()
    assert set(pages["span.http.url"].astype("str")) == {f"http://cart/orders?page={i}" for i in range(12)}
    served = spans[(spans["service"] == "cart") & (spans["name"] == "GET /orders")]
    assert set(served["span.url.query"]) == {f"page={i}" for i in range(12)}


def test_a_hedge_overlaps_and_the_loser_is_cancelled(run):
    spans, truth = run
    rows = members(truth, "hedge").join(spans[["start_time", "duration_ms", "status", "status_message"]])
    assert rows["group"].nunique() > 5
    for _, pair in rows.groupby("group"):
        first, second = pair.sort_values("place").itertuples()
        assert abs((second.start_time - first.start_time).total_seconds() * 1e3 - 30) < 1e-6
        assert first.duration_ms > 30
        assert sorted(pair["status"].astype("str")) == ["ERROR", "UNSET"]
        assert pair["status_message"].dropna().tolist() == ["context canceled"]
        ends = pair["start_time"] + pd.to_timedelta(pair["duration_ms"], unit="ms")
        assert abs((ends.iloc[0] - ends.iloc[1]).total_seconds()) < 1e-6


def test_a_miss_reads_and_sets(run):
    spans, truth = run
    rows = members(truth, "cache").join(spans["name"].astype("str").str.split().str[0].rename("verb"))
    assert (rows.sort_values(["group", "place"]).groupby("group")["verb"].agg(" ".join) == "GET SELECT SET").all()
    verbs = spans["name"].astype("str")
    assert rows["group"].nunique() == verbs.str.startswith("SET ").sum()


def test_a_404_fails_the_client_alone(run):
    spans, truth = run
    rows = spans.loc[members(truth, "not_found").index]
    assert len(rows) > 3
    assert (rows["kind"] == "CLIENT").all()
    assert answers_of_nothing(rows).all()
    assert set(rows["name"].astype("str")) == {"GET /users/{id}/preferences", "shop.User/Verify"}
    assert (rows["status"] == "ERROR").all()
    pairs = edges(spans)
    assert (pairs[pairs["label"].isin(rows.index)]["status_above"] == "UNSET").all()
    assert (pairs[pairs["label_above"].isin(rows.index)]["status"] == "UNSET").all()


def test_arrivals_have_the_rate():
    _, truth = Shop(seed=1).run(4000, rate=50)
    took = (truth.requests["begin"].max() - truth.requests["begin"].min()).total_seconds()
    assert abs(4000 / took - 50) < 3
    _, later = Shop(seed=1).run(10, start=pd.Timestamp("2027-01-01", tz="Europe/Berlin"))
    assert later.requests["begin"].min() > pd.Timestamp("2026-12-31 23:00", tz="UTC")


def test_logs_say_little():
    shop = Shop(seed=2)
    spans, _ = shop.run(300)
    lines = shop.logs(spans)
    assert lines.columns.tolist() == ["time", "service", "level", "message", "trace_id"]
    assert lines["trace_id"].isna().all()
    assert lines["time"].is_monotonic_increasing
    assert (lines["time"].dt.microsecond % 1000 == 0).all()
    served = spans["kind"].isin(["SERVER", "CONSUMER"])
    assert (lines["level"] == "INFO").sum() == (served & ~ta.is_error(spans)).sum()
    assert (lines["level"] == "WARN").sum() == ((spans["kind"] == "CLIENT") & ta.is_error(spans)).sum()
    assert shop.logs(spans.iloc[:0]).empty


SMALL = [Service("web"), Service("prices", conventions="older"), Service("db", kind="database", system="mysql")]


def small(*calls, more=(), **options):
    operations = [
        Operation("web", "GET /", weight=1, calls=calls),
        Operation("prices", "shop.Prices/Get", calls=[Call("db SELECT price", count=(1, 2))]),
        Operation("db", "SELECT price", self_ms=5, attributes={"db.table": "prices"}),
        *more,
    ]
    return Shop(services=SMALL, operations=operations, **options)


def test_a_shop_of_ones_own():
    spans, _ = small(Call("prices shop.Prices/Get", "parallel", count=2)).run(50)
    assert ta.conform(spans).equals(spans)
    assert set(spans["service"]) == {"web", "prices"}
    assert spans["span.db.table"].notna().sum() == (spans["name"] == "SELECT price").sum()
    assert (spans["name"] == "shop.Prices/Get").sum() == 200
    assert set(spans["span.rpc.grpc.status_code"].dropna()) == {0}
    per_call = spans[spans["name"] == "SELECT price"].groupby("parent_span_id").size()
    assert set(per_call) == {1, 2}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Shop(services=SMALL), "belong together"),
        (lambda: Shop(seed=-1), "seed=-1"),
        (lambda: Shop(seed=True), "seed=True"),
        (lambda: Shop(clock_skew_ms=-1), "clock_skew_ms"),
        (lambda: Shop().run(1.5), "requests=1.5"),
        (lambda: Shop().run(1, rate=0), "rate=0"),
        (lambda: Shop().run(1, start=pd.Timestamp("2026-01-01")), "no time zone"),
        (lambda: small(Call("prices shop.Prices/Gett")), "did you mean 'prices shop.Prices/Get'"),
        (lambda: small(Call("web GET /")).run(1), "round in a circle"),
        (lambda: small(more=[Operation("wep", "GET /")]), "no service 'wep'; did you mean 'web'"),
        (lambda: small(more=[Operation("db", "x", calls=[Call("web GET /")])]), "makes no calls"),
        (lambda: small(Call("prices shop.Prices/Get", "async")), "belong together"),
        (lambda: small(Call("prices x"), more=[Operation("prices", "x", kind="INTERNAL")]), "of another service"),
        (lambda: small(Call("db SELECT price", "async")), "consumes no messages"),
        (lambda: Shop(services=SMALL, operations=[Operation("web", "GET /")]), "no operation has a weight"),
        (lambda: Shop(services=SMALL * 2, operations=[]), "stands twice"),
        (lambda: Service("a b"), "without spaces"),
        (lambda: Service("a", kind="databse"), "did you mean 'database'"),
        (lambda: Call("x y", mode="paralel"), "did you mean 'parallel'"),
        (lambda: Call("x y", probability=2), "between 0 and 1"),
        (lambda: Call("x y", count=(3, 1)), "least, most"),
        (lambda: Operation("a", "b", self_ms=-1), "not negative"),
        (lambda: Operation("a", "b", kind="CLIENT"), "kind='CLIENT'"),
        (lambda: small(Call("prices shop.Prices/Get", count=20_000)).run(1), "more than 20,000 spans"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(OptionError, match=message):
        make()
