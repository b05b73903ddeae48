"""The adapter between test vectors of sampling and the package: ``answer(kind, input)``.

A kind that the package cannot answer yet raises ``KeyError``; ``KINDS`` holds those that it can.
"""

from __future__ import annotations

import math
from fractions import Fraction

import pandas as pd

from traceanalytics.errors import OptionError
from traceanalytics.sampling.consistent_stages import pass_stage
from traceanalytics.sampling.head_samplers import head_decision
from traceanalytics.sampling.joint_inclusion import inclusion_probability
from traceanalytics.sampling.sampler_families import (
    family_decisions,
    fnv1a_14,
    fnv1a_64,
    hash_buckets,
    refinery_hash,
)
from traceanalytics.sampling.thresholds import (
    SCALE,
    adjusted_count,
    decide,
    normalise_th,
    probability,
    randomness,
    th_fault,
    threshold,
    threshold_text,
)
from traceanalytics.sampling.traceparent_codec import parse_traceparent
from traceanalytics.sampling.tracestate_codec import (
    TraceState,
    parse_ot,
    parse_tracestate,
    raise_threshold,
    write_tracestate,
)


def answer(kind, given):
    """The package's answer to one vector, in the shape of the vector's ``out``."""
    if kind not in KINDS:
        raise KeyError(f"{kind!r} is not answered yet; answered are {', '.join(sorted(KINDS))}")
    return KINDS[kind](given)


def _number(th):
    return int(th.ljust(14, "0"), 16)


def _p(given):
    if "p" in given:
        return float.fromhex(given["p"]) if isinstance(given["p"], str) else float(given["p"])
    p = float(given["p_dec"] if "p_dec" in given else given["base"])
    for _ in range(given.get("ulps_below", 0)):
        p = math.nextafter(p, 0)
    return p


def _prob_to_threshold(given):
    try:
        value = threshold(_p(given))
    except OptionError:
        return {"error": "range"}
    return {"threshold": f"{value:014x}", "th": threshold_text(value)}


def _prob_to_th_precision(given):
    if "reject_num" in given:
        return {
            "th": threshold_text(
                threshold(1 - given["reject_num"] / 2 ** given["reject_pow2"], precision=given["precision"])
            )
        }
    p = 1 / given["one_in"] if "one_in" in given else _p(given)
    th = threshold_text(threshold(p, precision=given["precision"]))
    return {"th": th, "p": probability(th), "adjusted_count": adjusted_count(th)}


def _precision_near_one(given):
    """The specification's snippet counts leading zeros as digits; what is left may be nothing."""
    p, digits = _p(given), given["precision"]
    snippet = f"{round((1 - p) * 16**digits):0{digits}x}".rstrip("0")
    return {"collector_th": threshold_text(threshold(p, precision=digits)), "spec_snippet_th": snippet}


def _th_decode(given):
    th = given["th"]
    exact = Fraction(SCALE - _number(th), SCALE)
    safe = exact.denominator < 2**53  # what JSON's numbers hold in every language
    return {
        "threshold": f"{_number(normalise_th(th)):014x}",
        "p": probability(th),
        "adjusted_count": adjusted_count(th),
        "p_exact": [exact.numerator, exact.denominator] if safe else None,
    }


def _ot_parse(given):
    text = given["ot"]
    if "append_repeat" in given:
        text += given["append_repeat"][0] * given["append_repeat"][1]
    state = parse_ot(text)
    if state.errors:
        return {"valid": False, "error": state.errors[0].code}
    if "append_repeat" in given:
        return {"valid": True, "len": len(text)}
    return {"valid": True, "rv": state.rv, "th": state.th, "extra": list(state.extra)}


def _ot_normalise(given):
    return {"ot": _ot_text(parse_ot(given["ot"]))}


def _ot_text(state):
    return write_tracestate(state).removeprefix("ot=")


def _w3c_parse(given):
    state, older = (parse_tracestate(given["tracestate"], level=level) for level in (2, 1))
    if state.errors:
        return {"valid": False}
    if older.errors:
        return {"level1": False, "level2": True}
    return {"valid": True, "rv": state.rv, "th": state.th, "extra": state.other}


def _w3c_members(given):
    """Collectors keep one member for themselves, so that they refuse the 32nd, which the standard allows."""
    text = ",".join(f"k{number}=v" for number in range(given["members"]))
    valid = not parse_tracestate(text).errors
    return {"w3c_valid": valid, "collector_valid": valid and given["members"] < 32}


def _valid(text):
    return {"valid": not parse_tracestate(text).errors}


def _rv_valid(given):
    return {"valid": _accepted(randomness, "", rv=given["rv"])}


def _accepted(function, *args, **options):
    try:
        function(*args, **options)
    except OptionError:
        return False
    return True


def _trace_id_randomness(given):
    value = randomness(given["trace_id"])
    return {"rv": f"{value:014x}", "u": value / SCALE}


def _decision(given):
    return {"sampled": decide(randomness(given.get("trace_id", ""), rv=given.get("rv")), _number(given["th"]))}


def _weight(given):
    return {"weight": parse_tracestate(given["tracestate"]).adjusted_count}


def _rounding(given):
    """Rounding a weight up when the deciding randomness itself is high is no independent rounding."""
    weight, p = adjusted_count(given["th"]), probability(given["th"])
    low, rest = math.floor(weight), weight - math.floor(weight)
    # Kept traces have u in [1 - p, 1); those with u below the fraction are rounded up.
    same = low + max(0.0, rest - (1 - p)) / p
    return {
        "weight": weight,
        "expected_if_rounded_by_independent_u": weight,
        "expected_if_rounded_by_same_rv": same,
        "relative_bias": same / weight - 1,
    }


def _update_threshold(given):
    state = parse_ot(given["ot"]) if given["ot"] else TraceState()
    before = state.adjusted_count or 0
    try:
        after = raise_threshold(state, threshold(given["p"]))
    except OptionError:
        return {"adjusted_in": before, "result": "error", "adjusted_out": before}
    return {"adjusted_in": before, "result": _ot_text(after), "adjusted_out": after.adjusted_count}


def _passage(given, **options):
    mode = given.get("mode", "both")
    modes = ("equalizing", "proportional") if mode == "both" else (mode,)
    found = [
        pass_stage(
            parse_tracestate(given["tracestate"]),
            given.get("trace_id", "0" * 31 + "1"),
            percentage=given["pct"],
            mode=each,
            precision=given.get("precision", 4),
            **options,
        )
        for each in modes
    ]
    assert all(passage.sampled == found[0].sampled and passage.state == found[0].state for passage in found)
    return found[0]


def _downstream(given):
    passage = _passage(given)
    if not passage.sampled:
        return {"sampled": False}
    count = passage.state.adjusted_count
    if (
        abs(count - round(count)) < 1e-3 * count
    ):  # the vectors name the configured count, not that of the rounded digits
        count = round(count)
    return {"sampled": True, "adjusted_count": count, "tracestate": write_tracestate(passage.state)}


def _downstream_error(given):
    return {"error": _passage(given).errors[0].code}


def _downstream_fail_open(given):
    passage = _passage(given, fail_closed=False)
    return {"sampled": passage.sampled, "tracestate": write_tracestate(passage.state)}


def _traceparent(given):
    parsed = parse_traceparent(given["header"])
    return {"valid": False} if parsed.errors else {"valid": True, "sampled": parsed.sampled, "random": parsed.random}


def _composite(given):
    rv, th = given.get("parent_rv"), given.get("parent_th")
    decision = head_decision(
        given["sampler"],
        bits=randomness(given.get("trace_id", "0" * 32), rv=rv),
        ratio=given.get("ratio", 1.0),
        parent=TraceState(th=th, rv=rv),
        parent_sampled=given.get("parent_sampled", False),
    )
    shown = {"sampled": decision.sampled, "th": decision.th}
    return shown | ({"reliable": decision.reliable} if given["sampler"] == "parent_threshold" else {})


def _hash_seed_rate(given):
    buckets = hash_buckets(given["pct"])
    th = threshold_text((16384 - buckets) << 42) if buckets else None
    return {"buckets": buckets, "effective_p": buckets / 16384, "th": th}


def _tail_hash(given):
    value = int(fnv1a_64([bytes.fromhex(given["trace_id"])], salt=given["salt"])[0])
    return {"hash": f"{value:016x}", "u": value / 2**64}


def _refinery(given):
    value = int(refinery_hash([given["trace_id"]])[0])
    keep = {"keep": value <= (2**32 - 1) // given["rate"]}
    # The published decisions are of ids that are no hex numbers, and come without the hash.
    return {"hash32": value} | keep if len(given["trace_id"]) == 32 else keep


def _legacy_ratio(given):
    kept = family_decisions([given["trace_id"]], family=given["family"], p=given["ratio"])
    return {"sampled": bool(kept[0])}


def _joint(stages):
    def both(given):
        p = pd.DataFrame([given["p"]])
        return {
            joint: float(inclusion_probability(p, joint=joint, stages=stages).iloc[0])
            for joint in ("independent", "consistent")
        }

    return both


KINDS = {
    "prob_to_threshold": _prob_to_threshold,
    "prob_to_th_precision": _prob_to_th_precision,
    "precision_near_one": _precision_near_one,
    "th_decode": _th_decode,
    "th_greater": lambda given: {"a_gt_b": _number(given["a"]) > _number(given["b"])},
    "th_valid": lambda given: {"valid": th_fault(given["th"]) is None},
    "rv_valid": _rv_valid,
    "ot_parse": _ot_parse,
    "ot_normalise": _ot_normalise,
    "w3c_tracestate_parse": _w3c_parse,
    "w3c_tracestate_members": _w3c_members,
    "w3c_tracestate_key_len": lambda given: _valid("a" * given["len"] + "=v"),
    "w3c_tracestate_value": lambda given: _valid("foo=" + given["value"]),
    "trace_id_randomness": _trace_id_randomness,
    "decision": _decision,
    "weight_from_tracestate": _weight,
    "stochastic_rounding_bias": _rounding,
    "update_threshold": _update_threshold,
    "downstream_sampler": _downstream,
    "downstream_sampler_error": _downstream_error,
    "downstream_sampler_fail_open": _downstream_fail_open,
    "traceparent": _traceparent,
    "composite_sampler": _composite,
    "collector_hash14": lambda given: {
        "hash14": int(fnv1a_14([bytes.fromhex(given["bytes_hex"])], seed=given["seed"])[0])
    },
    "collector_hash_seed_rate": _hash_seed_rate,
    "tailsampling_fnv64": _tail_hash,
    "refinery_deterministic": _refinery,
    "legacy_ratio": _legacy_ratio,
    "union_probability": _joint("any"),
    "chain_probability": _joint("all"),
}
