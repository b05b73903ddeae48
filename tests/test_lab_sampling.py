"""The lab of sampling as Python sees it: draws, verdicts, coverage, words, messages, pictures."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from small_traces import draw

import traceanalytics as ta
from traceanalytics.lab import SamplingLab, sampling
from traceanalytics.lab.sampling_trial import KINDS, QUANTITIES
from traceanalytics.lab.shop_traffic import shop_traffic
from traceanalytics.sampling.designs import Design
from traceanalytics.sampling.policies import Policy
from traceanalytics.sampling.quantiles import estimate_quantile
from traceanalytics.sampling.ratios import error_rate
from traceanalytics.sampling.strategy_simulation import simulate
from traceanalytics.sampling.totals import estimate_total
from traceanalytics.widgets.linking import link

PNG = b"\x89PNG\r\n"
SETTINGS = [
    ("head", {"head_p": 0.2}, Design.head(0.2)),
    ("tail", {}, Design.tail([Policy.error(), Policy.latency(300)], p_default=0.05)),
    ("tail", {"tail_errors": False, "tail_latency_ms": None}, Design.tail([], p_default=0.05)),
    ("rate_limit", {"limit_per_s": 3}, Design.rate_limit(3)),
    ("errors_always", {"errors_p": 0.1}, Design.errors_always(0.1)),
    ("priority", {"rules": {"POST /*": 1, "GET /cart": 0}}, Design.priority({"POST /*": 1, "GET /cart": 0}, 0.05)),
]


def made(strategy, **settings):
    lab = sampling()
    for name, value in settings.items():
        setattr(lab, name, value)
    lab.strategy = strategy
    return lab


def send(lab, **state):
    """A message of the browser."""
    lab._handle_msg({"content": {"data": {"method": "update", "state": state, "buffer_paths": []}}, "buffers": []})


def ask(lab, **content):
    """A request of the browser, and the answers."""
    sent = []
    lab.send = sent.append
    lab._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
    del lab.send
    return sent


def row(lab, quantity):
    return lab.estimates.set_index("quantity").loc[quantity]


def test_the_traffic():
    spans = shop_traffic()
    assert spans["trace_id"].nunique() == 2400
    failed = ta.is_error(spans).groupby(spans["trace_id"].astype(str)).any()
    assert 0.02 < failed.mean() < 0.08
    lab = sampling()
    assert repr(lab) == "SamplingLab(2,400 traces)"
    assert sum(count for _, count in lab._tables["kinds"]) == 2400


def test_the_truth_is_that_of_the_traffic():
    spans = shop_traffic()
    truth = sampling().estimates.set_index("quantity")["truth"]
    roots = spans[spans["parent_span_id"].isna()]
    failed = ta.is_error(spans).groupby(spans["trace_id"].astype(str)).any()
    assert truth["requests"] == 2400
    assert truth["error_rate"] == pytest.approx(failed.mean())
    assert truth["mean_ms"] == pytest.approx(roots["duration_ms"].mean())
    assert truth["p50_ms"] == pytest.approx(roots["duration_ms"].median(), rel=0.01)
    parents = spans[["trace_id", "parent_span_id", "service", "name"]].merge(
        spans[["trace_id", "span_id", "service", "name"]],
        left_on=["trace_id", "parent_span_id"],
        right_on=["trace_id", "span_id"],
    )
    assert truth["calls_seen"] == len(parents[["service_y", "name_y", "service_x", "name_x"]].drop_duplicates())


@pytest.mark.parametrize(("strategy", "settings", "design"), SETTINGS)
def test_the_sample_is_that_of_simulate(strategy, settings, design):
    lab = made(strategy, **settings)
    lab.seed = 5
    assert lab.design == design
    simulated = simulate(shop_traffic(), design, seed=5)
    pd.testing.assert_frame_equal(lab.kept, simulated.spans)
    assert lab._now["kept"]["traces"] == simulated.traces["kept"].sum() == row(lab, "requests")["raw"]
    assert lab._now["kept"]["spans"] == len(simulated.spans)
    kept = np.unpackbits(np.frombuffer(lab._kept, np.uint8), bitorder="little")[:2400].astype(bool)
    assert set(np.flatnonzero(kept)) == set(np.flatnonzero(simulated.traces["kept"].to_numpy()[lab._trial.order]))


@pytest.mark.parametrize(("strategy", "settings", "design"), SETTINGS)
def test_the_estimates_are_those_of_the_kept_spans(strategy, settings, design):
    lab = made(strategy, **settings)
    spans = simulate(shop_traffic(), design, seed=0).spans
    for quantity, wanted in {
        "requests": estimate_total(spans, design=design),
        "error_rate": error_rate(spans, design=design),
        "p50_ms": estimate_quantile(spans, q=0.5, design=design),
    }.items():
        found = row(lab, quantity)
        for name in ("estimate", "lo", "hi"):
            assert found[name] == pytest.approx(wanted[name].iloc[0], nan_ok=True), (quantity, name)
        assert found["reason"] == wanted["reason"].iloc[0]


def test_what_each_strategy_allows():
    def verdicts(*args, **settings):
        return made(*args, **settings).estimates["verdict"].tolist()

    assert verdicts("head", head_p=1) == ["ok"] * 5 + ["bound only"]
    assert verdicts("head")[:4] == ["ok"] * 4
    assert "too_few" in verdicts("head", head_p=0.01)
    assert verdicts("rate_limit") == ["refused"] * 5 + ["bound only"]
    assert verdicts("errors_always")[:2] == ["ok", "ok"]
    assert verdicts("errors_always", errors_p=0) == ["biased"] * 5 + ["bound only"]
    assert verdicts("tail", tail_p=0) == ["biased"] * 5 + ["bound only"]
    assert verdicts("priority", rules={"GET /health": 0})[0] == "biased"


def test_refused_numbers_are_missing_and_the_raw_ones_are_there():
    lab = made("rate_limit")
    found = lab.estimates.iloc[:5]
    assert found[["estimate", "lo", "hi"]].isna().all(axis=None)
    assert found["covers"].isna().all()
    assert found["raw"].notna().all()


def test_a_tail_sampler_without_a_policy_keeps_nothing_and_says_so():
    lab = made("tail", tail_errors=False, tail_latency_ms=None, tail_p=0)
    assert lab._now["kept"]["traces"] == 0
    assert set(lab.estimates["verdict"].iloc[:5].astype(str)) <= {"biased", "refused", "too_few"}
    json.dumps([lab._now, lab._tables], allow_nan=False)
    assert lab.to_png().startswith(PNG)


def test_without_rules_the_others_are_all():
    lab = made("priority", rules={})
    assert lab.design == Design.priority({"*": 0.05}, 0.05)
    assert row(lab, "requests")["verdict"] == "ok"


def test_seed_and_settings_make_the_sample():
    one, other = sampling(seed=3), sampling()
    assert not one.estimates.equals(other.estimates)
    other.seed = 3
    pd.testing.assert_frame_equal(one.estimates, other.estimates)


def test_many_draws():
    lab = made("errors_always")
    table = lab.draw_many(60)
    assert table["draws"].tolist() == [60] * 5
    assert table["quantity"].tolist() == list(QUANTITIES[:-1])
    assert (table["covered"].iloc[:3] >= 0.85).all()
    weighted = (table["mean_estimate"] / table["truth"]).iloc[:3]
    assert weighted.to_numpy() == pytest.approx(1, abs=0.08)
    assert table["mean_raw"].iloc[1] > 5 * table["truth"].iloc[1]
    drawn = lab._draws["rows"]["error_rate"]
    assert len(drawn) == 60
    assert sum(one[4] == 1 for one in drawn) / 60 == pytest.approx(table["covered"].iloc[1])
    lab.selected = "mean_ms"
    lab.seed = 9
    assert lab._draws["n"] == 60  # other luck of the sample that is shown, the same draws
    lab.errors_p = 0.2
    assert lab._draws == {"n": 0, "rows": {}}
    assert lab.coverage["draws"].tolist() == [0] * 5
    with pytest.raises(ta.OptionError, match="expected 1 to 200 draws"):
        lab.draw_many(201)


def test_refused_draws_have_no_coverage():
    table = made("rate_limit").draw_many(5)
    assert table["intervals"].tolist() == [0] * 5
    assert table["covered"].isna().all()


def test_the_browser_asks_for_draws():
    lab = sampling()
    assert ask(lab, type="draws", count=5) == [{"type": "draws", "n": 5}]
    assert ask(lab, type="draws", count=2) == [{"type": "draws", "n": 7}]
    assert lab._draws["n"] == 7
    for wrong in (
        {"type": "draws"},
        {"type": "draws", "count": 0},
        {"type": "draws", "count": 10**9},
        {"type": "x", "count": 1},
    ):
        assert ask(lab, **wrong) == []
    assert ask(lab, type="draws", count=True) == []


def test_cost_follows_what_is_kept():
    lab = sampling()
    kept = lab._now["kept"]
    spans, seconds = len(shop_traffic()), lab._trial.seconds
    assert kept["day_all"] == pytest.approx(spans * 500 / seconds * 86_400 / 1e9)
    assert kept["day"] / kept["day_all"] == pytest.approx(kept["spans"] / spans)
    assert kept["month"] == pytest.approx(kept["day"] * 30 * 0.1)
    draws = lab._draw
    lab.bytes_per_span = 1000
    assert lab._now["kept"]["day"] == pytest.approx(2 * kept["day"])
    assert lab._draw is draws


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("strategy", "heads", "strategy='heads' is not one of 'head', .*did you mean 'head'"),
        ("head_p", 0, r"head_p=0 is not a number in \(0, 1\]"),
        ("head_p", "0.1", r"head_p='0.1' is not a number"),
        ("tail_p", 1.5, r"tail_p=1.5 is not a number in \[0, 1\]"),
        ("tail_latency_ms", -1, "tail_latency_ms=-1 is not a number"),
        ("tail_errors", "yes", "tail_errors='yes'"),
        ("limit_per_s", 0, r"limit_per_s=0 is not a number in \(0"),
        ("errors_p", None, "errors_p=None is not a number"),
        ("rules", [], r"rules=\[\]: expected a dict of endpoints"),
        ("rules", {"": 1}, "expected a dict of endpoints"),
        ("rules", {"GET /": 2}, r"rules\['GET /'\]=2 is not a number in \[0, 1\]"),
        ("rules", dict.fromkeys(map(str, range(101)), 1), "rules has 101 endpoints, expected at most 100"),
        ("seed", -1, "seed=-1 is not a whole number"),
        ("selected", "p95_ms", "selected='p95_ms' is not one of"),
        ("theme", "sepia", "theme='sepia'"),
    ],
)
def test_settings_that_make_no_sense(name, value, match):
    lab = sampling()
    before = getattr(lab, name)
    with pytest.raises(ta.OptionError, match=match):
        setattr(lab, name, value)
    send(lab, **{name: value})
    assert getattr(lab, name) == before


def test_the_browser_changes_settings():
    lab = sampling()
    send(lab, strategy="tail", tail_latency_ms=None, rules={"GET /": 0.5}, _now={}, _kept=b"", _draws={"n": 3})
    assert (lab.strategy, lab.tail_latency_ms, lab.rules) == ("tail", None, {"GET /": 0.5})
    assert lab._now["settings"]["strategy"] == "tail"
    assert lab._draws["n"] == 0
    assert len(lab._kept) == 300


def test_names_are_strict():
    with pytest.raises(ta.OptionError, match="has no 'head_q'; did you mean 'head_p'"):
        sampling().head_q = 0.5


def test_traffic_of_ones_own():
    spans = draw(*[f"root web 0-{10 + at}\n  call db 1-5" + (" ERROR" if at % 5 == 0 else "") for at in range(30)])
    lab = sampling(spans)
    assert lab._tables["traces"] == 30
    assert lab._tables["endpoints"] == ["root"]
    truth = lab.estimates.set_index("quantity")["truth"]
    assert truth[["requests", "error_rate", "calls_seen"]].tolist() == pytest.approx([30, 0.2, 1])
    for strategy in ("tail", "rate_limit", "errors_always", "priority"):
        lab.strategy = strategy
        json.dumps([lab._now, lab._tables], allow_nan=False)
    shuffled = sampling(spans.sample(frac=1, random_state=1))
    assert shuffled.estimates["truth"].tolist() == pytest.approx(lab.estimates["truth"].tolist())


@pytest.mark.parametrize("text", ["a a 0-1", "a a ?-?", "a a 0-1 ERROR"])
def test_one_trace(text):
    lab = sampling(draw(text))
    for strategy in ("head", "tail", "rate_limit", "errors_always", "priority"):
        lab.strategy = strategy
        json.dumps([lab._now, lab._tables], allow_nan=False)
        assert lab.to_png().startswith(PNG)


def test_other_frames_are_refused():
    with pytest.raises(ta.OptionError, match="0 traces, and the lab samples 1 to 20,000"):
        sampling(draw())
    with pytest.raises(ta.SchemaError, match="status"):
        sampling(shop_traffic().drop(columns="status"))


def test_hostile_names_of_endpoints():
    hostile = ["\u202egnp.exe\u2066", "a\x00b", "half \ud800", "x" * 10_000, "</script><img src=x>", "__proto__"]
    spans = draw(*[f"root{at} web 0-10" for at in range(len(hostile))])
    spans["name"] = pd.Series(hostile, dtype=object)
    lab = sampling(spans)
    lab.strategy = "priority"
    assert sorted(lab._tables["endpoints"]) == ["</script><img src=x>", "__proto__"]
    text = json.dumps([lab._tables, lab._now], ensure_ascii=False, allow_nan=False)
    assert not re.search("[\u0000-\u001f\u202e\u2066\ud800]", text)


@pytest.mark.parametrize(("strategy", "settings", "_design"), SETTINGS)
def test_every_quantity_is_explained(strategy, settings, _design):
    lab = made(strategy, **settings)
    texts = [one["text"] for one in lab._now["rows"]]
    assert all(len(text) > 40 for text in texts)
    assert len(lab._now["about"]) > 40
    assert "nan" not in " ".join(texts)


def test_what_is_said():
    said = {one["quantity"]: one["text"] for one in made("rate_limit")._now["rows"]}
    assert said["requests"].startswith("Requests: refused. With what probability a limiter keeps a trace depends on")
    assert "is a lower bound" in said["calls_seen"]
    said = {one["quantity"]: one["text"] for one in made("errors_always")._now["rows"]}
    assert "The kept traces themselves say 4" in said["error_rate"]
    assert (
        made("errors_always", errors_p=0)._now["rows"][0]["text"].startswith("Requests: biased. The design never keeps")
    )
    assert made("head", head_p=1)._now["rows"][0]["text"].endswith("Every trace is there, so this is no estimate.")


def test_the_picture():
    lab = made("errors_always")
    data, metadata = lab._repr_mimebundle_()
    assert data["text/plain"] == "SamplingLab(2,400 traces)"
    assert "application/vnd.jupyter.widget-view+json" in data
    assert metadata["image/png"]["width"] > 300
    figure = lab._figure(max_rows=50, theme="dark")
    said = {text.get_text() for text in figure.axes[0].texts}
    assert {"Requests", "ok", "bound only", "2,400"} <= said
    assert sampling()._quick_picture() != lab._quick_picture()


@pytest.mark.parametrize("renderer", ["png", "html"])
def test_other_renderers(renderer):
    ta.options.renderer = renderer
    data, _ = sampling()._repr_mimebundle_()
    assert ("text/html" in data) == (renderer == "html")


def test_the_front_end_is_small_and_asks_for_nothing():
    assert len(SamplingLab._esm.encode()) < 60_000
    module = link("lab_sampling.js")
    assert len(module) < 60_000
    assert not re.search(r"https?://|\beval\b|innerHTML|fetch\(|import\(|XMLHttpRequest", module)
    assert not re.search(r"url\(|@import", SamplingLab._css)


def test_the_page_is_the_same_each_time(tmp_path):
    lab = made("tail")
    text = lab.to_html(tmp_path / "a.html").read_text(encoding="utf-8")
    assert lab.to_html(tmp_path / "b.html").read_text(encoding="utf-8") == text
    assert '"offline":true' in text


def test_the_kinds_of_traces():
    lab = made("tail")
    assert [kind for kind, _ in lab._tables["kinds"]] == list(KINDS)
    assert lab._now["kinds"][2] == lab._tables["kinds"][2][1]  # every error is kept
    assert sum(lab._now["kinds"]) == lab._now["kept"]["traces"]
