"""Every reference vector through the adapter, kind by kind, and what the adapter makes of other values of the same fields."""

from __future__ import annotations

import json
import math

import pytest
from sampling import vectors


def _same(found, wanted):
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(_same(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(_same, found, wanted))
    if isinstance(wanted, float) and found is not None:
        return math.isclose(found, wanted, rel_tol=1e-9)
    return found == wanted


@pytest.fixture(scope="module")
def by_kind(shared):
    lines = (shared / "reference" / "sampling_vectors.jsonl").read_text(encoding="utf-8").splitlines()
    found = {}
    for vector in map(json.loads, lines):
        found.setdefault(vector["kind"], []).append(vector)
    return found


@pytest.mark.parametrize("kind", sorted(vectors.KINDS))
def test_vectors(kind, by_kind):
    wrong = []
    for vector in by_kind[kind]:
        wanted = {key: value for key, value in vector["out"].items() if key != "note"}
        found = vectors.answer(kind, vector["in"])
        if not _same(found, wanted):
            wrong.append((vector["id"], vector["in"], wanted, found))
    assert wrong == []


def test_every_kind_is_answered(by_kind):
    assert by_kind.keys() == vectors.KINDS.keys()
    assert sum(map(len, by_kind.values())) >= 339


def test_an_unknown_kind_says_so():
    with pytest.raises(KeyError, match="'no such kind' is no kind of vector"):
        vectors.answer("no such kind", {})


RANGE = {"error": "range"}


@pytest.mark.parametrize(
    ("kind", "given", "wanted"),
    [
        ("prob_to_threshold", {"p_dec": 1.1}, RANGE),
        ("prob_to_threshold", {"p_dec": "nan"}, RANGE),
        ("prob_to_threshold", {"p_dec": 2.0**-57}, RANGE),
        ("prob_to_threshold", {"p_dec": 1.0}, {"threshold": "0" * 14, "th": "0"}),
        ("prob_to_threshold", {"p": "0x1p-56", "p_dec": 2.0**-56}, {"threshold": "f" * 14, "th": "f" * 14}),
        ("prob_to_th_precision", {"one_in": 1, "precision": 1}, {"th": "0", "p": 1.0, "adjusted_count": 1.0}),
        ("prob_to_th_precision", {"one_in": 3, "precision": 15}, RANGE),
        ("th_decode", {"th": "0"}, {"threshold": "0" * 14, "p": 1.0, "adjusted_count": 1.0, "p_exact": [1, 1]}),
        ("th_decode", {"th": "xyz"}, {"error": "syntax"}),
        ("w3c_tracestate_members", {"members": 32}, {"w3c_valid": True, "collector_valid": False}),
        ("w3c_tracestate_key_len", {"len": 256}, {"valid": True}),
        ("w3c_tracestate_value", {"value": "bar=baz"}, {"valid": False}),
        ("w3c_tracestate_value", {"value": ""}, {"valid": False}),
        ("w3c_tracestate_value", {"value": "v" * 257}, {"valid": False}),
        ("ot_parse", {"ot": "th:1;th:2"}, {"valid": False, "error": "duplicate_key"}),
        ("update_threshold", {"ot": "th:8", "p": 0.5}, {"adjusted_in": 2, "result": "th:8", "adjusted_out": 2}),
        ("update_threshold", {"ot": "th:8", "p": 0}, {"adjusted_in": 2, "result": "error", "adjusted_out": 2}),
        ("downstream_sampler", {"pct": 0, "trace_id": "f" * 32, "tracestate": ""}, {"sampled": False}),
        (
            "downstream_sampler",
            {"pct": 101, "trace_id": "f" * 32, "tracestate": "ot=th:8"},
            {"sampled": True, "adjusted_count": 2, "tracestate": "ot=th:8"},
        ),
        ("downstream_sampler_error", {"pct": 100, "tracestate": "ot=th:12345678901234567"}, {"error": "th_size"}),
        ("composite_sampler", {"sampler": "always_on"}, {"sampled": True, "th": "0"}),
        ("composite_sampler", {"sampler": "ratio", "ratio": 0.0}, {"sampled": False, "th": None}),
        (
            "composite_sampler",
            {"sampler": "parent_threshold", "parent_th": "8", "parent_rv": "8" + "0" * 13, "parent_sampled": True},
            {"sampled": True, "th": "8", "reliable": True},
        ),
        ("collector_hash_seed_rate", {"pct": 100}, {"buckets": 16384, "effective_p": 1.0, "th": "0"}),
        ("collector_hash_seed_rate", {"pct": 0.003}, {"buckets": 0, "effective_p": 0.0, "th": None}),
        ("refinery_deterministic", {"trace_id": "abc123", "rate": 1}, {"keep": True}),
        ("refinery_deterministic", {"trace_id": "abc123", "rate": 0}, {"keep": True}),
        ("legacy_ratio", {"family": "go", "trace_id": "1" * 32, "ratio": 1.5}, RANGE),
        ("tail_composite", {"max_total": 10, "alloc": [10], "spans_per_trace": 1, "offer": 11}, {"kept": 10}),
        (
            "tail_composite",
            {"max_total": 10, "alloc": [3, 7], "sub": ["always", "always"], "spans_per_trace": 2, "offer": 10},
            {"kept": 1},
        ),
        (
            "tail_composite",
            {"max_total": 10, "alloc": [5], "sub": ["never_match"], "spans_per_trace": 1, "offer": 9},
            {"kept": 0},
        ),
        ("tail_latency", {"trace_ms": 4999, "threshold_ms": 5000, "upper_ms": 0}, {"sampled": False}),
        ("tail_latency", {"trace_ms": 5000, "threshold_ms": 5000, "upper_ms": 10000}, {"sampled": False}),
        ("tail_latency", {"trace_ms": 5001, "threshold_ms": 5000, "upper_ms": 10000}, {"sampled": True}),
        ("tail_latency", {"trace_ms": 10000, "threshold_ms": 5000, "upper_ms": 10000}, {"sampled": True}),
        ("tail_latency", {"trace_ms": 10001, "threshold_ms": 5000, "upper_ms": 10000}, {"sampled": False}),
        ("tail_span_count", {"spans": 20, "min": 0, "max": 20}, {"sampled": True}),
        ("tail_span_count", {"spans": 2, "min": 3, "max": 20}, {"sampled": False}),
        ("tail_precedence", {"votes": []}, {"sampled": False}),
        ("tail_precedence", {"votes": ["not_sampled"]}, {"sampled": False}),
        ("tail_precedence", {"votes": ["inverted"]}, {"sampled": True}),
        ("tail_precedence", {"votes": ["inverted_not_sampled", "sampled"]}, {"sampled": False}),
        ("tail_precedence", {"votes": ["sampled", "drop"]}, {"sampled": False}),
        ("tail_budget", {"burst": 5, "traces": [[100, 2], [50, 2], [10, 2]]}, {"kept": [100, 50], "threshold": 11}),
        ("tail_budget", {"burst": 2, "traces": [[100, 5]]}, {"kept": []}),
        ("tail_bytes", {"rate_traces": 0.5, "burst_traces": 2, "offer": 1}, {"kept": 1}),
        ("tail_bytes", {"rate_traces": 1, "burst_traces": 0.99, "offer": 1}, {"kept": 0}),
        ("tail_bytes", {"rate_traces": 1, "offer": 3}, {"kept": 2}),
        ("tail_probabilistic_tracestate", {"rv": "80000000000000", "pct": 50}, {"sampled": True}),
        ("tail_probabilistic_tracestate", {"rv": "f" * 14, "pct": 0}, {"sampled": False}),
        ("tail_probabilistic_tracestate", {"rv": "0" * 14, "pct": 100}, {"sampled": True}),
        ("jaeger_adaptive_step", {"target_qps": 1, "cur_qps": 0.5, "prev_p": 0.5}, {"new_p": 0.75}),
        ("jaeger_adaptive_step", {"target_qps": 1, "cur_qps": 0, "prev_p": 0.1}, {"new_p": 0.2}),
        ("jaeger_adaptive_step", {"target_qps": 1, "cur_qps": 1e9, "prev_p": 0.1}, {"new_p": 1e-5}),
        ("union_probability", {"p": [1.5]}, RANGE),
        ("count_ht", {"n": 50, "p": 1}, {"total": 50.0, "se": 0.0}),
        ("count_ht", {"n": 0, "p": 0.1}, {"total": 0.0, "se": 0.0}),
        ("detect_prob", {"events": 0, "p": 0.01}, {"prob": 0.0}),
        ("detect_prob", {"events": 1, "p": 1.0}, {"prob": 1.0}),
        ("rate_for_detection", {"events": 10, "prob": 1.0}, {"p": 1.0}),
        ("rate_for_detection", {"events": 0, "prob": 0.5}, RANGE),
        ("zero_events_upper", {"n": 300, "conf": 0.99}, {"exact": 1 - 0.01 ** (1 / 300), "rule_of_three": 0.01}),
        ("kish", {"w": [5]}, {"n_eff": 1.0, "deff": 1.0}),
        ("poisson_ci", {"k": 0, "conf": 0.99}, {"lo": 0.0, "hi": 5.298317366548036}),
        ("storage_tail", {"rps": 1, "spans": 1, "bytes": 1, "error_rate": 1, "healthy": 0}, None),
    ],
)
def test_other_values_of_the_same_fields(kind, given, wanted):
    found = vectors.answer(kind, given)
    if wanted is None:
        assert found["keep"] == 1
    else:
        assert _same(found, wanted), found


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (0, 1), (0, 0)])
@pytest.mark.parametrize("conf", [0.9, 0.99])
def test_intervals_of_shares_at_their_ends(k, n, conf):
    found = vectors.answer("prop_ci", {"k": k, "n": n, "conf": conf})
    for name in ("wilson", "clopper_pearson"):
        lo, hi = found[name]
        assert 0 <= lo <= hi <= 1
        assert k > 0 or lo == 0
        assert k < n or hi == 1
    lo, hi = found["jeffreys"]
    assert 0 < lo < hi < 1
