"""Policies and designs: what they vote for, with which probability, and how they are written; limiters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_traces import draw, trace_of

from traceanalytics.errors import OptionError, SchemaError
from traceanalytics.sampling.design_weights import attach_weights
from traceanalytics.sampling.designs import Design
from traceanalytics.sampling.joint_inclusion import inclusion_probability
from traceanalytics.sampling.limiters import (
    adaptive_step,
    admitted_by_budget,
    bucket_admissions,
    composite_admissions,
    cut_by_randomness,
    first_of_each_second,
)
from traceanalytics.sampling.policies import Policy
from traceanalytics.sampling.tail_sampling import precedence
from traceanalytics.sampling.thresholds import SCALE

SECOND = 1_000_000_000


def four_traces():
    """An error, a slow one, one of three spans with attributes, and a plain one."""
    spans = draw(
        "a web 0-10 SERVER ERROR name=GET",
        "a web 0-400 SERVER\n  b db 10-20 CLIENT",
        "a web 0-10 SERVER name=POST\n  b db 1-2 CLIENT\n  c db 3-4 CLIENT",
        "a web 0-10 SERVER",
    )
    spans["span.http.route"] = pd.Series(["/x", "/x", None, "/cart/1", None, None, "/y"], dtype="str")
    spans["span.size"] = pd.Series([1, 2, 3, 40, 50, 60, None], dtype="Int64")
    spans["span.cached"] = pd.Series([None, None, None, True, False, None, None], dtype="boolean")
    return spans


def kept(policies, spans=None, p_default=0.0, **options):
    """Probabilities of the four traces."""
    design = Design.tail([policies] if isinstance(policies, Policy) else policies, p_default, **options)
    return design.trace_probabilities(four_traces() if spans is None else spans).tolist()


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy.status("ERROR"), [1, 0, 0, 0]),
        (Policy.status("UNSET"), [0, 1, 1, 1]),
        (Policy.status("UNSET", "ERROR"), [1, 1, 1, 1]),
        (Policy.error(), [1, 0, 0, 0]),
        (Policy.latency(400), [0, 1, 0, 0]),
        (Policy.latency(400.5), [0, 0, 0, 0]),
        (Policy.latency(10), [1, 1, 1, 1]),
        (Policy.latency(10, 400), [0, 1, 0, 0]),
        (Policy.latency(5, 10), [1, 0, 1, 1]),
        (Policy.span_count(2), [0, 1, 1, 0]),
        (Policy.span_count(2, 2), [0, 1, 0, 0]),
        (Policy.span_count(0, 1), [1, 0, 0, 1]),
        (Policy.attribute("http.route", values="/x"), [1, 1, 0, 0]),
        (Policy.attribute("http.route", values=["/y", "/x"]), [1, 1, 0, 1]),
        (Policy.attribute("http.route", matches="^/cart"), [0, 0, 1, 0]),
        (Policy.attribute("http.route", matches="[xy]$"), [1, 1, 0, 1]),
        (Policy.attribute("size", at_least=3, at_most=50), [0, 1, 1, 0]),
        (Policy.attribute("size", at_least=50), [0, 0, 1, 0]),
        (Policy.attribute("size", values=2), [0, 1, 0, 0]),
        (Policy.attribute("size", values=2.0), [0, 1, 0, 0]),
        (Policy.attribute("cached", values=True), [0, 0, 1, 0]),
        (Policy.attribute("cached", at_least=0), [0, 0, 0, 0]),
        (Policy.attribute("absent", values="x"), [0, 0, 0, 0]),
        (Policy.attribute("service.name", values="db"), [0, 1, 1, 0]),
        (Policy.always(), [1, 1, 1, 1]),
        (Policy.probabilistic(0.3), [0.3] * 4),
        (Policy.all_of(Policy.latency(10), Policy.span_count(2)), [0, 1, 1, 0]),
        (Policy.all_of(Policy.span_count(2), Policy.probabilistic(0.3)), [0, 0.3, 0.3, 0]),
        (Policy.any_of(Policy.status("ERROR"), Policy.span_count(3)), [1, 0, 1, 0]),
        (Policy.not_(Policy.span_count(2)), [1, 0, 0, 1]),
        (Policy.not_(Policy.probabilistic(0.25)), [0.75] * 4),
    ],
)
def test_what_a_policy_votes_for(policy, expected):
    assert kept(policy) == pytest.approx(expected)


def test_a_drop_comes_before_everything():
    drop = Policy.drop(Policy.attribute("http.route", values="/x"))
    assert kept([Policy.always(), drop]) == [0, 0, 1, 1]
    assert kept([drop, Policy.status("ERROR")], p_default=0.5) == [0, 0, 0.5, 0.5]
    assert kept([Policy.drop(Policy.probabilistic(0.25)), Policy.always()]) == [0.75] * 4


def test_nested_and_independent_policies():
    rules = [Policy.all_of(Policy.span_count(2), Policy.probabilistic(0.2))]
    assert kept(rules, p_default=0.05) == [0.05, 0.2, 0.2, 0.05]
    assert kept(rules, p_default=0.05, joint="independent") == pytest.approx([0.05, 0.24, 0.24, 0.05])
    pair = [Policy.probabilistic(0.1), Policy.probabilistic(0.2)]
    for joint in ("consistent", "independent"):
        oracle = inclusion_probability(pd.DataFrame({"a": [0.1], "b": [0.2]}), joint=joint).iloc[0]
        assert kept(pair, joint=joint) == pytest.approx([oracle] * 4)
    both = Policy.all_of(*pair)
    assert kept(both) == pytest.approx([0.1] * 4)
    assert kept(both, joint="independent") == pytest.approx([0.02] * 4)


def test_salts_share_a_random_number_or_do_not():
    def pair(first, second):
        return [Policy.probabilistic(0.1, salt=first), Policy.probabilistic(0.2, salt=second)]

    assert kept(pair("s", "s"), joint="independent") == pytest.approx([0.2] * 4)
    assert kept(pair("s", "t"), joint="consistent") == pytest.approx([0.28] * 4)


def test_combinations_on_one_random_number_are_exact():
    # u <= .2 but not u <= .05, or u <= .01: .15 + .01.
    middle = Policy.all_of(Policy.probabilistic(0.2), Policy.not_(Policy.probabilistic(0.05)))
    assert kept(middle, p_default=0.01) == pytest.approx([0.16] * 4)
    for p in (0.1, 0.3, 0.7, 1 / 3):
        assert kept(Policy.probabilistic(p), p_default=0.05) == [p] * 4  # to the last digit


def test_a_limiter_makes_the_probability_unknown_unless_it_cannot_matter():
    limiter = Policy.rate_limiting(2)
    # The third trace has three spans and never passes.
    assert np.isnan(kept(limiter)).tolist() == [True, True, False, True]
    assert kept(limiter)[2] == 0
    found = kept([limiter, Policy.status("ERROR")], p_default=0.1)
    assert found[0] == 1
    assert found[2] == 0.1
    assert np.isnan(found[1])
    assert kept(Policy.all_of(Policy.latency(1000), limiter)) == [0, 0, 0, 0]
    assert np.isnan(kept(Policy.not_(limiter))[0])


def test_policies_look_at_what_arrived_before_the_decision():
    spans = draw("a web 0-10\n  b web 1-5000 ERROR", "a web 0-10\n  b web ?-? ERROR")
    assert kept(Policy.status("ERROR"), spans) == [1, 1]
    assert kept(Policy.status("ERROR"), spans, p_default=0.1, decision_wait_s=1) == [0.1, 1]
    assert kept(Policy.status("ERROR"), spans, p_default=0.1, decision_wait_s=1, decision_cache=False) == [1, 1]
    assert kept(Policy.span_count(2), spans, p_default=0.1, decision_wait_s=1, decision_cache=False) == [0.1, 1]
    assert kept(Policy.latency(4000), spans, p_default=0.1, decision_wait_s=1) == [0.1, 0.1]


def test_times_that_no_clock_has():
    spans = draw("a web 0-10").assign(duration_ms=1e30)
    assert kept(Policy.latency(1), spans, p_default=0.5) == [0.5]
    spans = draw("a web 0-10").assign(duration_ms=-5.0)
    assert kept(Policy.latency(0), spans) == [1]


# -- designs


def test_names_and_reprs_say_what_was_given():
    designs = {
        "Design.head(0.1)": "head 10 %",
        "Design.consistent(0.25)": "consistent 25 %",
        "Design.consistent({'db': 0.1}, p_default=0.5)": "consistent: db 10 %",
        "Design.errors_always(0)": "errors alone",
        "Design.rate_limit(2.5)": "at most 2.5 traces/s",
        "Design.priority({'GET *': 0.5}, p_default=0)": "priority: GET * 50 %, others 0 %",
        "Design.reservoir(1, 0.05)": "first 1/s + 5 %",
        "Design.dynamic('SampleRate')": "dynamic by SampleRate",
        "Design.unknown()": "unknown",
        "Design.tail([Policy.not_(Policy.attribute('k', values=['1', 'true']))], joint='independent', decision_wait_s=30, "
        "decision_cache=False)": "tail: not (k '1' or 'true')",
        "Design.tail([Policy.attribute('k', at_least=1, at_most=2)], p_default=0.5)": "tail: k >= 1 and <= 2, 50 %",
        "Design.tail([Policy.attribute('k', matches='^a')])": "tail: k ~ '^a'",
        "Design.tail([Policy.probabilistic(0.5, salt='x'), Policy.latency(1, 2)])": "tail: 50 %, latency > 1 and <= 2 ms",
    }
    for text, name in designs.items():
        design = eval(text)
        assert repr(design) == text
        assert design.name == name
        assert len({design, eval(text)}) == 1


def test_what_designs_are_blind_to():
    assert Design.head(0.1).blind_to == ""
    assert Design.errors_always(0.01).blind_to == ""
    assert (
        Design.tail([Policy.latency(5), Policy.error()]).blind_to
        == "traces for which no policy votes: latency >= 5 ms, error"
    )
    assert Design.tail([Policy.drop(Policy.span_count(9))], 0.1).blind_to == "traces that match: drop at least 9 spans"
    assert Design.priority({"/a": 0, "/b": 1}, 0).blind_to == "endpoints with probability 0: /a, others"
    assert Design.consistent({"db": 0}).blind_to == "spans of services with probability 0: db"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Design.head(0), r"p=0 is not a number in \(0, 1\]"),
        (lambda: Design.head(float("nan")), "p=nan"),
        (lambda: Design.consistent({}), "without a service"),
        (lambda: Design.consistent({"a": 2}), r"p\['a'\]=2"),
        (lambda: Design.tail([]), "keeps anything"),
        (lambda: Design.tail([Policy.drop(Policy.always())]), "keeps anything"),
        (lambda: Design.tail(["ERROR"]), "policies holds 'ERROR'"),
        (lambda: Design.tail([Policy.error()], joint="both"), "joint='both'"),
        (lambda: Design.tail([Policy.error()], decision_wait_s=-1), "decision_wait_s=-1"),
        (lambda: Design.rate_limit(0), "traces_per_s=0"),
        (lambda: Design.priority({}, 0.1), "no endpoint rules"),
        (lambda: Design.priority([("a", 0.1), 3], 0.1), "no endpoint rules"),
        (lambda: Design.priority({"a": -1}, 0.1), r"rules\['a'\]=-1"),
        (lambda: Design.reservoir(1, 1.5), "p=1.5"),
        (lambda: Design.dynamic(""), "weight_column=''"),
        (Policy.status, "needs a status"),
        (lambda: Policy.status("error"), "status='error'"),
        (lambda: Policy.latency(-1), "min_ms=-1"),
        (lambda: Policy.latency(5, 2), "max_ms=2 lies below min_ms=5"),
        (lambda: Policy.attribute("k"), "needs one of"),
        (lambda: Policy.attribute("k", values="a", at_least=1), "needs one of"),
        (lambda: Policy.attribute("k", values=[]), "expected texts"),
        (lambda: Policy.attribute("k", values=[None]), "expected texts"),
        (lambda: Policy.attribute("k", matches="("), "no regular expression"),
        (lambda: Policy.attribute("", values="a"), "no attribute key"),
        (lambda: Policy.span_count(1.5), "min=1.5"),
        (lambda: Policy.probabilistic(0), "p=0"),
        (lambda: Policy.probabilistic(0.5, salt=1), "salt=1"),
        (lambda: Policy.rate_limiting(0.5), "spans_per_s=0.5"),
        (Policy.all_of, "at least one"),
        (lambda: Policy.not_("x"), "expected a policy"),
        (lambda: Policy.all_of(Policy.drop(Policy.always())), "never inside one"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(OptionError, match=message):
        make()


def test_too_many_independent_numbers_are_refused():
    design = Design.tail([Policy.probabilistic(0.5)] * 13, joint="independent")
    with pytest.raises(OptionError, match="share a salt"):
        design.trace_probabilities(four_traces())


def test_endpoint_rules():
    spans = four_traces()
    rules = {"/x": 0.5, "POST": 0.25, "GET": 1.0, "/[y]": 0.125}
    assert Design.priority(rules, 0.1).trace_probabilities(spans).tolist() == [0.5, 0.5, 0.25, 0.125]
    turned = Design.priority(list(reversed(rules.items())), 0.1)
    assert turned.trace_probabilities(spans).tolist()[0] == 1.0
    assert Design.priority({"zz*": 0.5}, 0.1).trace_probabilities(spans).tolist() == [0.1] * 4
    orphaned = spans.iloc[2:]  # the second trace has lost its root
    found = Design.priority(rules, 0.1).trace_probabilities(orphaned)
    assert np.isnan(found.iloc[0])
    assert found.tolist()[1:] == [0.25, 0.125]
    assert Design.priority({"zz*": 0.1}, 0.1).trace_probabilities(orphaned).tolist() == [0.1] * 3


def test_the_endpoint_is_that_of_the_earliest_root():
    spans = draw("late web 50-60 name=POST\nearly web 10-20 name=GET\nlost web 0-5 parent=gone name=PUT")
    assert Design.priority({"PUT": 0.1, "POST": 0.2, "GET": 0.3}, 1).trace_probabilities(spans).tolist() == [0.3]


def test_weights_of_a_column():
    spans = four_traces().assign(rate=[4.0, 2.0, None, 1.0, 1.0, 3.0, 0.5])
    found = Design.dynamic("rate").trace_probabilities(spans).tolist()
    assert found[:2] == [0.25, 0.5]
    assert np.isnan(found[2:]).all()
    texts = spans.assign(rate=pd.Categorical(["4", "2", None, "x", None, None, "8"]))
    assert np.isnan(Design.dynamic("rate").trace_probabilities(texts).to_numpy()).tolist() == [
        False,
        False,
        True,
        False,
    ]
    with pytest.raises(SchemaError, match=r"no span has the column or attribute 'ratte'.*did you mean 'rate'"):
        Design.dynamic("ratte").trace_probabilities(spans)


def test_services_with_probabilities_of_their_own():
    spans = four_traces()
    found = Design.consistent({"web": 0.25, "db": 0.5}).trace_probabilities(spans)
    assert found.tolist() == [0.25, 0.5, 0.5, 0.25]
    assert found.index.tolist() == [trace_of(n) for n in range(4)]


def test_a_service_or_trace_id_that_is_missing():
    spans = four_traces().assign(service=None, trace_id=None).astype({"service": "category", "trace_id": "category"})
    for design in (
        Design.head(0.5),
        Design.consistent({"web": 0.5}),
        Design.errors_always(0.1),
        Design.priority({"a": 1}, 0),
    ):
        assert len(design.trace_probabilities(spans)) == 0
        assert attach_weights(spans, design=design)["weight"].isna().all()


def test_designs_serve_attach_weights():
    spans = four_traces()

    def told(design):
        made = attach_weights(spans, design=design).drop_duplicates("trace_id")
        made = made[["weight", "weight_source", "weight_status"]].astype(object)
        return made.where(made.notna(), None).to_numpy().tolist()

    assert told(Design.head(0.5)) == [[2.0, "config", "known"]] * 4
    assert told(Design.errors_always(0.5)) == [[1.0, "policy", "certain"]] + [[2.0, "policy", "known"]] * 3
    assert told(Design.errors_always(0)) == [[1.0, "policy", "certain"]] + [[None, "policy", "inconsistent"]] * 3
    for design in (Design.unknown(), Design.rate_limit(5), Design.reservoir(1, 0.1), Design.consistent({"web": 0.5})):
        assert told(design) == [[None, None, "unknown"]] * 4
    spans["trace_state"] = pd.Series(["ot=rv:ffffffffffffff;th:c"] + [None] * 6, dtype="str")
    assert told(Design.head(0.5)) == [[4.0, "tracestate", "known"]] + [[2.0, "config", "known"]] * 3


def test_columns_that_policies_need():
    spans = pd.DataFrame({"trace_id": ["a"]})
    for policy in (Policy.error(), Policy.status("ERROR"), Policy.latency(1)):
        with pytest.raises(SchemaError, match="lacks the column"):
            Design.tail([policy]).trace_probabilities(spans)
    assert Design.tail([Policy.span_count(1)]).trace_probabilities(spans).tolist() == [1]


# -- limiters


def test_the_first_of_each_second():
    times = np.array([3, 0, 1, 5]) * SECOND // 2
    assert first_of_each_second(times, 1).tolist() == [True, True, False, True]
    assert first_of_each_second(times, 2).all()
    seconds = np.arange(10) * SECOND
    assert first_of_each_second(seconds, 0.5).sum() == 5
    assert first_of_each_second(np.repeat(seconds, 9), 2.5).sum() == 25
    none = np.iinfo(np.int64).min
    assert first_of_each_second(np.array([none, none, 0, 0]), 1).tolist() == [True, False, True, False]
    assert first_of_each_second(np.zeros(0, np.int64), 1).tolist() == []


def test_a_budget_for_each_second():
    rng = np.random.default_rng(5)
    times, size = rng.integers(0, 20, 500) * SECOND // 4, rng.integers(1, 9, 500)
    offered = rng.random(500) < 0.7
    found = admitted_by_budget(times, size, offered, 20)
    used = {}
    for row in np.argsort(times, kind="stable"):
        second = times[row] // SECOND
        fits = bool(offered[row] and used.get(second, 0) + size[row] <= 20)
        used[second] = used.get(second, 0) + fits * size[row]
        assert found[row] == fits
    assert found.any()


def test_a_budget_cut_by_randomness():
    def cut(bits, sizes, budget):
        found = cut_by_randomness(np.array(bits, np.uint64), np.array(sizes), budget)
        return [bit for bit, kept in zip(bits, found.kept, strict=True) if kept], found.threshold

    assert cut([50, 100, 10], [2, 2, 2], 5) == ([50, 100], 11)
    assert cut([50, 100], [2, 2], 10) == ([50, 100], 0)
    assert cut([200, 100, 50], [20, 3, 3], 10) == ([100, 50], 0)
    assert cut([50, 50, 100], [2, 2, 2], 5) == ([100], 51)
    assert cut([50], [9], 5) == ([], 0)
    assert cut([SCALE - 1, SCALE - 1], [3, 3], 5) == ([], SCALE)
    assert cut([], [], 5) == ([], 0)


@pytest.mark.parametrize(("k", "in_sample"), [(5, 0.25), (20, 0.052)])
def test_the_first_excluded_trace_makes_weights_unbiased(k, in_sample):
    n, runs = 100, 3000
    bits = np.random.default_rng(k).integers(0, SCALE, (runs, n), np.uint64)
    cuts = [cut_by_randomness(row, np.ones(n, np.int64), k) for row in bits]
    assert {int(cut.kept.sum()) for cut in cuts} == {k}
    totals = np.array([k / (1 - cut.threshold / SCALE) for cut in cuts])
    se = totals.std() / np.sqrt(runs)
    assert abs(totals.mean() - n) < 4 * se
    smallest = np.array([row[cut.kept].min() for row, cut in zip(bits, cuts, strict=True)])
    naive = k / (1 - smallest / SCALE)
    assert naive.mean() / n - 1 == pytest.approx(in_sample, abs=4 * naive.std() / np.sqrt(runs) / n)
    assert naive.mean() > totals.mean() + 4 * se


def test_a_token_bucket_fills_again():
    assert bucket_admissions([0, 0, 0, 1, 1, 9, 9, 9, 9], [1] * 9, rate_per_s=1, burst=2) == [
        *(True, True, False),
        *(True, False),
        *(True, True, False, False),
    ]
    assert bucket_admissions([], [], rate_per_s=1, burst=2) == []
    with pytest.raises(OptionError, match="burst=-1"):
        bucket_admissions([0], [1], rate_per_s=1, burst=-1)


def test_a_composite_policy_does_not_pass_on_what_is_over_its_share():
    assert composite_admissions([[True, True]] * 4, [2, 2, 1, 1], allocations=[3, 9], max_total=9) == [
        True,
        False,
        True,
        False,
    ]
    with pytest.raises(OptionError, match="1 matches of a trace for 2"):
        composite_admissions([[True]], [1], allocations=[1, 1], max_total=2)


def test_an_adaptive_step_is_bounded():
    assert adaptive_step(0.8, target_per_s=1, seen_per_s=0.1) == 1.0
    assert adaptive_step(0.2, target_per_s=1, seen_per_s=0) == 0.4
    assert adaptive_step(1e-5, target_per_s=1, seen_per_s=1e9) == 1e-5
    assert adaptive_step(0.5, target_per_s=1, seen_per_s=0.5) == 0.75


def test_votes_that_are_none():
    with pytest.raises(OptionError, match="vote='maybe'"):
        precedence(["maybe"])
    assert not precedence([])
    assert not precedence(["dropped", "sampled"])
    assert not precedence(["inverted_not_sampled", "sampled"])
