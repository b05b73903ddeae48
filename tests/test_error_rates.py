"""User-facing, handled and any-span error rates, against counts in plain Python."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from error_scenarios import SCENARIOS, spans_of
from small_traces import draw, frame, random_rows

import traceanalytics as ta
from traceanalytics.analysis.error_attribution import attribute_errors
from traceanalytics.analysis.error_counts import error_rates
from traceanalytics.errors import OptionError, SchemaError

COUNTS = ["requests", "failed_requests", "traces", "calls", "errors_any", "errors_handled", "errors_on_chain"]
RATES = ["error_rate_user_facing", "error_rate_any", "error_rate_handled"]

SHOP = (
    """
    buy     web  0-100 SERVER ERROR
      add   cart 5-40  SERVER
        get db   10-30 CLIENT ERROR
      pay   bank 50-90 SERVER ERROR
    """,
    """
    buy     web  0-100 SERVER
      add   cart 5-40  SERVER
        get db   10-30 CLIENT ERROR
      pay   bank 50-90 SERVER
    """,
    """
    buy     web  0-100 SERVER
      pay   bank 50-90 SERVER
    """,
    """
    look    web  0-100 SERVER ERROR
    """,
)


def random_spans(seed, n_traces=80):
    rows = random_rows(seed, n_traces, unit_ns=1_000_000)
    rng = np.random.default_rng(seed)
    for row in rows:
        row["status"] = str(rng.choice(["UNSET", "OK", "ERROR"], p=[0.4, 0.1, 0.5]))
    return frame(rows)


def test_three_rates_of_a_shop():
    found = error_rates(draw(*SHOP)).set_index("name")
    assert found.loc["buy", ["requests", "failed_requests"]].tolist() == [3, 1]
    assert found.loc["buy", "error_rate_user_facing"] == pytest.approx(1 / 3)
    assert found.loc["buy", ["calls", "errors_any", "errors_handled", "errors_user_facing"]].tolist() == [3, 1, 0, 0]
    assert found.loc["get", ["calls", "errors_any", "errors_handled", "errors_on_chain"]].tolist() == [2, 2, 2, 0]
    assert found.loc["get", ["error_rate_any", "error_rate_handled", "errors_user_facing"]].tolist() == [1, 1, 0]
    assert found.loc["pay", ["traces", "errors_any", "errors_on_chain", "errors_user_facing"]].tolist() == [3, 1, 1, 1]
    assert found.loc["look", ["error_rate_user_facing", "errors_user_facing"]].tolist() == [1, 1]
    assert np.isnan(found.loc["add", "error_rate_user_facing"])
    assert found.index.tolist() == ["pay", "look", "get", "buy", "add"]


def test_a_slow_span_is_blamed_without_having_failed():
    found = error_rates(draw("root web 0-100 ERROR\n  call db 5-300 CLIENT")).set_index("name")
    assert found.loc["call", ["errors_any", "errors_user_facing"]].tolist() == [0, 1]


@pytest.mark.parametrize("by", ["service", "name", ("service", "name"), ["kind"], ()])
@pytest.mark.parametrize("seed", range(4))
def test_against_plain_counting(by, seed):
    spans = random_spans(seed)
    found = error_rates(spans, by=by)
    names = [by] if isinstance(by, str) else list(by)
    key_of = lambda row: tuple(None if pd.isna(row[n]) else row[n] for n in names)  # noqa: E731
    blame = attribute_errors(spans)
    rows = spans.assign(bad=ta.is_error(spans)).to_dict("records")
    by_id = {(r["trace_id"], r["span_id"]): r for r in rows}
    hand = {name: Counter() for name in [*COUNTS, "errors_user_facing"]}
    on_chain = {(t, i) for t, chain in blame["chain"].map(json.loads).items() for i in chain}
    for row in rows:
        key, own = key_of(row), (row["trace_id"], row["span_id"])
        hand["calls"][key] += 1
        hand["errors_any"][key] += row["bad"]
        hand["errors_on_chain"][key] += row["bad"] and own in on_chain
        hand["errors_handled"][key] += row["bad"] and own not in on_chain
    for key, _ in {(key_of(row), row["trace_id"]) for row in rows}:
        hand["traces"][key] += 1
    for trace_id, item in blame.iterrows():
        hand["errors_user_facing"][key_of(by_id[trace_id, item["blame_span_id"]])] += 1
        hand["failed_requests"][key_of(by_id[trace_id, json.loads(item["chain"])[0]])] += 1
    for row in found.to_dict("records"):
        for name in hand:
            if name != "requests":
                assert row[name] == hand[name][key_of(row)], name
    assert found["requests"].sum() == spans["trace_id"].nunique()


@pytest.mark.parametrize("seed", range(4))
def test_totals(seed):
    spans = random_spans(seed)
    found = error_rates(spans)
    failed = len(attribute_errors(spans))
    assert failed > 10
    assert found["errors_user_facing"].sum() == found["failed_requests"].sum() == failed
    assert found["errors_any"].sum() == ta.is_error(spans).sum()
    assert found["calls"].sum() == len(spans)
    assert (found["errors_handled"] + found["errors_on_chain"] == found["errors_any"]).all()
    known = found["requests"] > 0
    share = found["failed_requests"] / found["requests"].where(known)
    pd.testing.assert_series_equal(found["error_rate_user_facing"], share, check_names=False)
    blamed = attribute_errors(spans).groupby(["blame_service", "blame_name"], observed=True, dropna=False).size()
    assert sorted(blamed) == sorted(found["errors_user_facing"][found["errors_user_facing"] > 0])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_culprits_of_all_scenarios_bear_all_failed_requests(scenario):
    spans, _ = spans_of(scenario, range(40))
    found = error_rates(spans, by="name").set_index("name")
    assert found["errors_user_facing"].loc["culprit"] == found["errors_user_facing"].sum() == 40


def test_weights():
    spans = random_spans(8)
    plain = error_rates(spans)
    pd.testing.assert_frame_equal(error_rates(spans.assign(w=1), weights="w"), plain)
    double = error_rates(spans.assign(w=2), weights="w")
    pd.testing.assert_frame_equal(double[RATES], plain[RATES])
    pd.testing.assert_frame_equal(double[[*COUNTS, "errors_user_facing"]], 2 * plain[[*COUNTS, "errors_user_facing"]])
    weight = pd.Series(spans["trace_id"].astype("str").map(lambda t: int(t, 16) % 5 + 1.0), spans.index)
    mixed = error_rates(spans, weights=weight)
    assert mixed["failed_requests"].sum() == attribute_errors(spans, weights=weight)["requests"].sum()
    repeated = ta.concat(
        [spans.assign(trace_id=spans["trace_id"].astype("str") + f"-{n}")[weight > n] for n in range(5)]
    )
    counted = error_rates(repeated).set_index(["service", "name"])
    pd.testing.assert_frame_equal(
        counted.sort_index(), mixed.set_index(["service", "name"]).sort_index(), check_index_type=False
    )


def test_order_of_rows_does_not_matter():
    spans = random_spans(9)
    other = spans.sample(frac=1, random_state=3).set_axis([f"r{i}" for i in range(len(spans))])
    pd.testing.assert_frame_equal(error_rates(other), error_rates(spans))


def test_by_an_attribute_of_any_name():
    spans = draw(*SHOP[:1]).assign(**{"span.http.method": ["GET", "GET", None, "POST"]})
    found = error_rates(spans, by="http.request.method")
    assert found["http.request.method"].astype("str").fillna("-").tolist() == ["POST", "GET", "-"]
    assert found["errors_any"].tolist() == [1, 1, 1]


def test_duplicates_and_spans_without_trace_count_nowhere():
    spans = draw(*SHOP)
    doubled = pd.concat([spans, spans], ignore_index=True)
    pd.testing.assert_frame_equal(error_rates(doubled), error_rates(spans))
    spans["trace_id"] = spans["trace_id"].where(spans["trace_id"] != spans["trace_id"].iloc[0])
    named = spans[spans["trace_id"].notna()]
    assert 0 < len(named) < len(spans)
    pd.testing.assert_frame_equal(error_rates(spans), error_rates(named))


def test_empty():
    spans = draw(*SHOP)
    for none in (error_rates(spans.iloc[:0]), error_rates(spans.iloc[:0], by=())):
        assert none.empty
        assert list(none)[-11:] == list(error_rates(spans))[-11:]
        assert (none.dtypes.iloc[-11:] == "float64").all()
    assert error_rates(spans.iloc[:0])["service"].dtype == "category"


def test_what_is_refused():
    spans = draw(*SHOP)
    with pytest.raises(OptionError, match="did you mean 'service'"):
        error_rates(spans, by="servise")
    with pytest.raises(OptionError, match="is a column of the result"):
        error_rates(spans.assign(calls=1), by=["calls"])
    with pytest.raises(SchemaError, match="lacks the column 'status'"):
        error_rates(spans.drop(columns="status"))


@pytest.mark.parametrize(
    "name", ["wild_samples/zipkin", "wild_samples/opensearch_demo", "deathstar_traceweaver/nodejs"]
)
def test_real_traces(shared, name):
    # Some of the times are missing, which as plain integers would have become floats.
    spans = ta.conform(pd.read_parquet(shared / "datasets" / f"{name}.parquet", dtype_backend="numpy_nullable"))
    found = error_rates(spans)
    summary = ta.summary(spans)
    assert found["errors_any"].sum() == summary["errors"].sum()
    assert found["calls"].sum() == summary["spans"].sum()
    assert found["requests"].sum() == len(summary)
    assert found["errors_user_facing"].sum() == len(attribute_errors(spans))
