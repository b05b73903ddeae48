"""The adapter between test vectors of sampling and the package: ``answer(kind, input)``.

An answer has the shape of a vector's ``out``. What the package refuses is ``{"error": "range"}``; an unknown kind is a ``KeyError``.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pandas as pd

from traceanalytics.errors import OptionError
from traceanalytics.sampling.consistent_stages import pass_stage
from traceanalytics.sampling.designs import Design
from traceanalytics.sampling.head_samplers import head_decision
from traceanalytics.sampling.intervals import clopper_pearson, garwood, jeffreys, kish, wilson
from traceanalytics.sampling.joint_inclusion import inclusion_probability
from traceanalytics.sampling.limiters import (
    adaptive_step,
    bucket_admissions,
    composite_admissions,
    cut_by_randomness,
)
from traceanalytics.sampling.planning_rates import detection_probability, required_rate, zero_event_bound
from traceanalytics.sampling.policies import Policy
from traceanalytics.sampling.sampler_families import (
    family_decisions,
    fnv1a_14,
    fnv1a_64,
    hash_buckets,
    refinery_hash,
)
from traceanalytics.sampling.storage_arithmetic import storage_cost
from traceanalytics.sampling.tail_sampling import precedence
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
from traceanalytics.sampling.totals import trace_total
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
        raise KeyError(f"{kind!r} is no kind of vector; answered are {', '.join(sorted(KINDS))}")
    try:
        return KINDS[kind](given)
    except OptionError:
        return {"error": "range"}


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
    value = threshold(_p(given))
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
    fault = th_fault(th)
    if fault is not None:
        return {"error": fault[0]}
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
    errors = _passage(given).errors
    return {"error": errors[0].code if errors else None}


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
    keep = {"keep": value <= (2**32 - 1) // max(given["rate"], 1)}  # a rate of one or less keeps everything
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


def _composite_policy(given):
    """Sub-policies by name: "always" matches every trace, "never_match" none."""
    names = given.get("sub", ["always"] * len(given["alloc"]))
    matches = [not str(name).startswith("never") for name in names]
    kept = composite_admissions(
        [matches] * given["offer"],
        [given["spans_per_trace"]] * given["offer"],
        allocations=given["alloc"],
        max_total=given["max_total"],
    )
    return {"kept": sum(kept)}


def _kept_by(policy, spans=1, extent_ms=1.0):
    """Whether a policy keeps a trace of so many spans that takes so long."""
    trace = pd.DataFrame(
        {
            "trace_id": ["1" * 32] * spans,
            "span_id": [f"{number:016x}" for number in range(1, spans + 1)],
            "start_time": pd.to_datetime([0] * spans, unit="s", utc=True).as_unit("ns"),
            "duration_ms": [float(extent_ms)] * spans,
        }
    )
    kept = Design.tail([policy]).trace_probabilities(trace)
    return {"sampled": bool((kept == 1).all())}


def _tail_latency(given):
    """Without an upper end the lower one is included, else it is not."""
    policy = Policy.latency(given["threshold_ms"], given.get("upper_ms") or None)
    return _kept_by(policy, extent_ms=given["trace_ms"])


def _tail_span_count(given):
    return _kept_by(Policy.span_count(given["min"], given.get("max") or None), spans=given["spans"])


def _tail_precedence(given):
    """Vectors name votes in short."""
    names = {"drop": "dropped", "inverted_not": "inverted_not_sampled", "inverted_sample": "inverted_sampled"}
    return {"sampled": precedence([names.get(vote, vote) for vote in given["votes"]])}


def _tail_budget(given):
    """A threshold is shown where no trace is larger than the burst: for those it says nothing."""
    bits, size = np.array(given["traces"] or np.empty((0, 2)), dtype=np.int64).T
    found = cut_by_randomness(bits.astype(np.uint64), size, given["burst"])
    kept = sorted(bits[found.kept].tolist(), reverse=True)
    return {"kept": kept} if (size > given["burst"]).any() else {"kept": kept, "threshold": found.threshold}


def _tail_bytes(given):
    """Traces that come at once; a bucket without a given size holds what comes in two seconds."""
    count, rate = given["offer"], given["rate_traces"]
    kept = bucket_admissions([0] * count, [1] * count, rate_per_s=rate, burst=given.get("burst_traces", 2 * rate))
    return {"kept": sum(kept)}


def _tail_probabilistic(given):
    if given["pct"] / 100 < 2.0**-56:
        return {"sampled": False}
    return {"sampled": decide(randomness("", rv=given["rv"]), threshold(min(given["pct"], 100) / 100))}


def _adaptive(given):
    return {"new_p": adaptive_step(given["prev_p"], target_per_s=given["target_qps"], seen_per_s=given["cur_qps"])}


def _count_ht(given):
    found = trace_total(np.zeros(given["n"], np.intp), 1, np.full(given["n"], float(given["p"])), floor=given["p"])
    return {"total": float(found.estimate[0]), "se": float(found.se[0])}


def _zero_events(given):
    upper = zero_event_bound(given["n"], conf=given.get("conf", 0.95))["upper"]
    return {"exact": float(upper["share"]), "rule_of_three": float(upper["share_rule_of_three"])}


def _prop_ci(given):
    k, n, conf = given["k"], given["n"], given.get("conf", 0.95)
    found = {
        "wilson": wilson(k / n if n else 0, n, conf),
        "clopper_pearson": clopper_pearson(k, n, conf),
        "jeffreys": jeffreys(k, n, conf),
    }
    return {name: [float(interval.lo), float(interval.hi)] for name, interval in found.items()}


def _poisson_ci(given):
    found = garwood(given["k"], given.get("conf", 0.95))
    return {"lo": float(found.lo), "hi": float(found.hi)}


def _stored(given, share):
    table = storage_cost(
        requests_per_s=given["rps"],
        spans_per_trace=given["spans"],
        bytes_per_span=given["bytes"],
        error_rate=given.get("error_rate", 0.0),
        strategies={"asked": share},
    )
    return table.iloc[0]


def _storage(given):
    row = _stored(given, given["keep"])
    terabytes = {"TB_day": row["gb_per_day"] / 1000, "TiB_day": row["gib_per_day"] / 1024}
    return {"bytes_per_s": row["bytes_per_s"], **terabytes}


def _storage_tail(given):
    row = _stored(given, (given.get("errors", 1.0), given["healthy"]))
    days = {"GB_day": row["gb_per_day"], "GiB_day": row["gib_per_day"]}
    return {"keep": row["kept_share"], "bytes_per_s": row["bytes_per_s"], **days}


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
    "tail_composite": _composite_policy,
    "tail_latency": _tail_latency,
    "tail_span_count": _tail_span_count,
    "tail_precedence": _tail_precedence,
    "tail_budget": _tail_budget,
    "tail_bytes": _tail_bytes,
    "tail_probabilistic_tracestate": _tail_probabilistic,
    "jaeger_adaptive_step": _adaptive,
    "count_ht": _count_ht,
    "detect_prob": lambda given: {"prob": detection_probability(given["events"], given["p"])},
    "rate_for_detection": lambda given: {"p": required_rate(given["events"], detect=given["prob"])},
    "rate_for_rel_error": lambda given: {
        "p": required_rate(given["events"], rel_error=given["rel_error"], conf=given.get("conf", 0.95))
    },
    "zero_events_upper": _zero_events,
    "kish": lambda given: dict(zip(("n_eff", "deff"), kish(given["w"]), strict=True)),
    "prop_ci": _prop_ci,
    "poisson_ci": _poisson_ci,
    "storage": _storage,
    "storage_tail": _storage_tail,
    "union_probability": _joint("any"),
    "chain_probability": _joint("all"),
}
