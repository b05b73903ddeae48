"""Checks of trace ids and what kept ids tell: the table of generators and samplers, families and rates, patterns, bad input."""

from __future__ import annotations

import id_generators
import numpy as np
import pandas as pd
import pytest
import real_sets
from check_simulations import CHECKS, DISCRETE, POWER, found
from id_generators import GENERATORS

from traceanalytics.errors import OptionError, SchemaError
from traceanalytics.sampling.check_table import COLUMNS
from traceanalytics.sampling.id_checks import audit_samplers, check_trace_ids, infer_sampler, replay_decisions
from traceanalytics.sampling.id_columns import distinct_ids, trace_bits
from traceanalytics.sampling.sampler_families import (
    FAMILIES,
    SAMPLERS,
    family_decisions,
    family_statistic,
    fnv1a_14,
    fnv1a_64,
)
from traceanalytics.sampling.thresholds import SCALE, threshold

# What a sampler of 10 % keeps of the ids that a generator makes, in %; in the order of SAMPLERS.
MATRIX = {
    "W3C random": (10, 10, 10, 10, 10, 10, 10, 10, 10, 10),
    "X-Ray": (10, 10, 10, 0, 10, 10, 10, 10, 10, 10),
    "UUIDv4": (0, 0, 0, 10, 10, 20, 10, 10, 10, 10),
    "UUIDv7": (0, 0, 0, 100, 10, 20, 10, 10, 10, 10),
    "64-bit padded": (10, 10, 10, 100, 10, 10, 10, 10, 10, 10),
    "63-bit padded": (20, 20, 10, 100, 10, 10, 10, 10, 10, 10),
    "Datadog 128": (20, 20, 10, 0, 10, 10, 10, 10, 10, 10),
    "Snowflake low 64": (100, 100, 0, 100, 10, 0, 10, 0, 10, 10),
    "counter": (100, 100, 100, 0, 0, 100, 10, 0, 10, 0),
    "32-bit low": (100, 100, 100, 100, 10, 100, 10, 0, 10, 10),
}


def kept(rng, n, family, p):
    ids = np.array(id_generators.w3c(rng, n))
    return ids[family_statistic(distinct_ids(ids).words, family) <= p].tolist()


def verdict(table, check):
    return table.loc[table["check"] == check, "verdict"].item()


def test_what_samplers_keep_of_the_ids_of_generators():
    rng = np.random.default_rng(5)
    table = audit_samplers({name: make(rng, 50_000) for name, make in GENERATORS.items()}, p=0.1)
    assert list(table.columns) == ["ids", *COLUMNS]
    shares = table.pivot_table(index="ids", columns="scope", values="effect")[list(SAMPLERS)] * 100
    for name, expected in MATRIX.items():
        assert shares.loc[name].to_numpy() == pytest.approx(np.array(expected), abs=0.7), name
    off = np.abs(table["effect"] - 0.1) > 0.05
    assert (table.loc[off, "verdict"] == "fail").all()
    assert (table.loc[~off, "verdict"] != "fail").all()


def test_audits_of_few_ids_say_so():
    assert set(audit_samplers(["1", "2"])["verdict"]) == {"not_testable"}
    assert len(audit_samplers({})) == 0
    with pytest.raises(OptionError, match="p=0 is not a number"):
        audit_samplers(["1"], p=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_statistics_and_decisions_agree(family):
    ids = id_generators.w3c(np.random.default_rng(2), 5000)
    values = family_statistic(distinct_ids(ids).words, family)
    for p in (0.01, 0.3, 0.99):
        np.testing.assert_array_equal(values <= p, family_decisions(ids, family=family, p=p))


def test_statistics_of_hashes_are_the_hashes():
    ids = id_generators.w3c(np.random.default_rng(3), 100)
    raw, words = [bytes.fromhex(each) for each in ids], distinct_ids(ids).words
    np.testing.assert_array_equal(family_statistic(words, "collector", seed=22) * 2**14 - 1, fnv1a_14(raw, seed=22))
    np.testing.assert_allclose(
        family_statistic(words, "tail", seed="a") * 2.0**64, fnv1a_64(raw, salt="a").astype(float)
    )
    for family, seed in (("go", 1), ("tail", 1), ("collector", "a"), ("collector", -1)):
        with pytest.raises(OptionError, match="seed="):
            family_statistic(words, family, seed=seed)


@pytest.mark.parametrize("name", [*CHECKS])
def test_false_positives(name):
    share = found(CHECKS[name], 600, np.random.default_rng(17))
    assert share <= 0.08  # 600 runs of 5 % have at most 8 % in all but one case of 2,000
    assert share >= 0.02 or name in DISCRETE


@pytest.mark.parametrize("name", [*POWER])
def test_power(name):
    simulation, least = POWER[name]
    assert found(simulation, 100, np.random.default_rng(18)) >= least - (0 if least == 1 else 0.08)


@pytest.mark.parametrize("name", [*GENERATORS])
def test_only_ids_that_are_not_random_fail(name):
    table = check_trace_ids(GENERATORS[name](np.random.default_rng(4), 2000))
    broken = name in {"Snowflake low 64", "counter", "32-bit low"}
    assert (verdict(table, "trace ids") == "fail") == broken
    warned = set(
        table.loc[(table["verdict"] == "warn") & table["check"].str.startswith("id pattern"), "check"].str[12:]
    )
    expected = {
        "W3C random": set(),
        "X-Ray": {"time prefix", "constant bits"},
        "UUIDv4": {"UUID version 4", "constant bits"},
        "UUIDv7": {"UUID version 7", "constant bits", "time prefix"},
        "64-bit padded": {"high half zero", "constant bits"},
        "63-bit padded": {"high half zero", "constant bits", "63 bits"},
        "Datadog 128": {"time prefix", "bits 95-64 zero", "constant bits", "63 bits"},
    }
    if name in expected:
        assert warned - {"time prefix"} == expected[name] - {"time prefix"}


def test_kept_ids_are_tested_above_their_threshold():
    ids = np.array(id_generators.w3c(np.random.default_rng(6), 4000))
    some = ids[family_statistic(distinct_ids(ids).words, "otel") <= 0.3]
    spans = pd.DataFrame({"trace_id": np.repeat(some, 2), "trace_state": "ot=th:b3333333333333"})
    assert verdict(check_trace_ids(spans.drop(columns="trace_state")), "trace ids") == "fail"
    for table in (
        check_trace_ids(some, p=0.3),
        check_trace_ids(some, threshold=threshold(0.3)),
        check_trace_ids(spans),
    ):
        assert verdict(table, "trace ids") == verdict(table, "ids: below threshold") == "ok"
    assert verdict(check_trace_ids(some, p=0.2), "ids: below threshold") == "fail"


def test_the_claim_of_random_ids_is_held_against_the_tests():
    ids = id_generators.counter(np.random.default_rng(7), 500)
    spans = pd.DataFrame({"trace_id": ids, "trace_flags": pd.array([3] * 500, dtype="UInt32")})
    assert verdict(check_trace_ids(spans), "id pattern: random flag") == "fail"
    spans["trace_id"] = id_generators.w3c(np.random.default_rng(7), 500)
    assert verdict(check_trace_ids(spans), "id pattern: random flag") == "ok"


def test_ids_of_every_kind_of_input():
    table = check_trace_ids(["1", "1", "not hex", None, "f" * 40])
    assert verdict(table, "trace ids") == "not_testable"
    assert table.set_index("check")["statistic"][["id pattern: malformed", "id pattern: repeated"]].tolist() == [2, 1]
    assert set(check_trace_ids([])["verdict"]) == {"not_testable"}
    assert set(check_trace_ids(pd.DataFrame({"trace_id": pd.Series(dtype="category")}))["verdict"]) == {"not_testable"}
    with pytest.raises(OptionError, match="give one of them"):
        check_trace_ids(["1"], p=0.1, threshold=1)
    for wrong in (0, 1.5, float("nan"), True):
        with pytest.raises(OptionError, match="p="):
            check_trace_ids(["1"], p=wrong)
    for wrong in (-1, SCALE, 0.5):
        with pytest.raises(OptionError, match="threshold="):
            check_trace_ids(["1"], threshold=wrong)
    with pytest.raises(OptionError, match="expected a span frame, or trace ids"):
        check_trace_ids("1")
    with pytest.raises(SchemaError, match="lacks the column 'trace_id'"):
        check_trace_ids(pd.DataFrame({"id": []}))


@pytest.mark.parametrize("dtype", ["object", "str", "category"])
def test_bits_of_traces_are_those_of_the_span_with_a_threshold(dtype):
    spans = pd.DataFrame(
        {
            "trace_id": ["f" * 32, "f" * 32, "x", None],
            "trace_state": [None, "ot=th:8;rv:80000000000001", "a=b", "ot=th:4"],
        }
    ).astype(dtype)
    bits = trace_bits(spans)
    assert bits.has_threshold.tolist() == [True, False]
    assert bits.known.tolist() == [True, False]
    assert bits.randomness[0] == 0x80000000000001
    assert bits.threshold[0] == 2**55


@pytest.mark.parametrize("family", SAMPLERS)
def test_the_family_is_found_with_its_rate(family):
    rng = np.random.default_rng(8)
    covered = 0
    for _ in range(20):
        table = infer_sampler(kept(rng, 3000, family, 0.1))
        best = table[table["verdict"] == "ok"]
        assert family in set(best["family"])
        assert set(best["family"]) <= ({"go", "python"} if family in {"go", "python"} else {family})
        assert (table["verdict"].iloc[: len(best)] == "ok").all()
        covered += best["lo"].iloc[0] <= 0.1 <= best["hi"].iloc[0] + 1 / 2**13 * (family == "collector")
    assert covered >= 16


@pytest.mark.parametrize("name", [*GENERATORS])
def test_without_a_sampler_none_is_found(name):
    table = infer_sampler(GENERATORS[name](np.random.default_rng(9), 500))
    assert not (table["verdict"] == "ok").any()
    assert list(table.columns) == ["family", "p_hat", "lo", "hi", "ratio", "score", "n", "verdict", "meaning"]


def test_inference_from_nothing_and_from_one():
    assert set(infer_sampler([])["verdict"]) == set(infer_sampler(["1"])["verdict"]) == {"not_testable"}
    with pytest.raises(OptionError, match="id_bits"):
        infer_sampler(["1"], id_bits=62)


def test_a_real_set_is_a_sample_of_30_percent(shared):
    spans = real_sets.whole(shared, "hotel")
    table = infer_sampler(spans)
    best = table[table["family"] == "jaeger"].iloc[0]
    assert best["verdict"] == "ok"
    assert best[["p_hat", "lo", "hi", "ratio"]].tolist() == pytest.approx([0.3, 0.29999, 0.30014, 0.3], abs=1e-5)
    go = table[table["family"] == "go"].iloc[0]
    assert (go["p_hat"], go["ratio"]) == pytest.approx((0.3, 0.15), abs=1e-5)
    assert verdict(replay_decisions(spans, family="jaeger", p=0.3), "replay: decisions") == "ok"
    assert verdict(replay_decisions(spans, family="jaeger", p=0.25), "replay: decisions") == "fail"
    assert infer_sampler(spans["trace_id"], id_bits=64)["p_hat"].iloc[0] == pytest.approx(0.15, abs=1e-5)


@pytest.mark.parametrize("family", SAMPLERS)
def test_replay_refutes_other_rates_and_other_seeds(family):
    ids = kept(np.random.default_rng(10), 20_000, family, 0.1)
    assert "fail" not in set(replay_decisions(ids, family=family, p=0.1)["verdict"])
    fewer = replay_decisions(ids, family=family, p=0.08)
    assert verdict(fewer, "replay: decisions") == "fail"
    assert fewer["effect"].iloc[0] == pytest.approx(0.2, abs=0.05)
    more = replay_decisions(ids, family=family, p=0.12)
    assert [*more["verdict"]] == ["ok", "fail", "fail"]
    if family in {"collector", "tail"}:
        other = replay_decisions(ids, family=family, p=0.1, seed=7 if family == "collector" else "salt")
        assert other["effect"].iloc[0] == pytest.approx(0.9, abs=0.05)


def test_replay_of_nothing_and_wrong_claims():
    assert set(replay_decisions([], family="go", p=0.1)["verdict"]) == {"not_testable"}
    assert [*replay_decisions(["f" * 32], family="go", p=0.1)["verdict"]] == ["fail", "not_testable", "not_testable"]
    with pytest.raises(OptionError, match="keeps nothing at this ratio"):
        replay_decisions(["1"], family="collector", p=1e-5)
    with pytest.raises(OptionError, match="family"):
        replay_decisions(["1"], family="gogo", p=0.1)
