"""Weights of sampled traces in the core analyses: near the truth with them, flagged or refused where they are not used."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import traceanalytics as ta
from traceanalytics.errors import SamplingWarning, SchemaError
from traceanalytics.sampling.design_weights import attach_weights
from traceanalytics.weights import span_weights

REQUESTS = 3000
ADDED = ["weight", "incl_prob", "weight_source", "weight_status"]


@pytest.fixture(scope="module")
def complete():
    return ta.simulate.Shop(seed=1).run(
        REQUESTS, faults=[ta.simulate.ErrorRate("product GET /products/{id}", share=0.1)]
    )[0]


def sampled(spans, p):
    """Keep each trace with its probability (one value a trace), and attach what that makes of its weight."""
    codes, ids = pd.factorize(spans["trace_id"])
    kept = np.random.default_rng(11).random(len(ids)) < p
    rows = kept[codes]
    return attach_weights(
        spans[rows], design=pd.Series(np.asarray(p)[codes[rows]], index=spans.index[rows]), source="design"
    )


@pytest.fixture(scope="module")
def head(complete):
    return sampled(complete, np.full(complete["trace_id"].nunique(), 0.4))


@pytest.fixture(scope="module")
def tail(complete):
    """Every trace with an error, and a fifth of the others."""
    codes, ids = pd.factorize(complete["trace_id"])
    failed = np.zeros(len(ids), bool)
    failed[codes[ta.is_error(complete).to_numpy()]] = True
    return sampled(complete, np.where(failed, 1.0, 0.2))


@pytest.fixture(params=["head", "tail"])
def sample(request):
    return request.getfixturevalue(request.param)


def totals(table, *names):
    return [float(table[name].sum()) for name in names]


def test_counts_of_errors_come_near_the_truth(complete, sample):
    names = ["requests", "failed_requests", "calls", "errors_any"]
    truth = totals(ta.error_rates(complete), *names)
    assert totals(ta.error_rates(sample, weights="weight"), *names) == pytest.approx(truth, rel=0.1)


def test_a_tail_sample_without_weights_is_far_off_and_says_so(complete, tail):
    def rate(table):
        return table["failed_requests"].sum() / table["requests"].sum()

    truth = rate(ta.error_rates(complete))
    with pytest.warns(SamplingWarning, match="weights of the others go from 1 to 5"):
        without = rate(ta.error_rates(tail))
    assert without > 2.5 * truth
    assert rate(ta.error_rates(tail, weights="weight")) == pytest.approx(truth, rel=0.1)


def test_breakdowns_come_near_the_truth(complete, sample):
    truth = ta.latency_breakdown(complete)
    found = ta.latency_breakdown(sample, weights="weight")
    assert found["critical_ms"].sum() == pytest.approx(truth["critical_ms"].sum(), rel=0.1)


ANALYSES = {
    "error_rates": ta.error_rates,
    "operations": ta.operations,
    "latency_breakdown": ta.latency_breakdown,
    "critical_path_profile": ta.critical_path_profile,
    "service_graph": ta.service_graph,
    "call_tree": ta.call_tree,
    "attribute_errors": ta.attribute_errors,
    "exceptions": ta.exceptions,
    "retries": ta.retries,
    "n_plus_one": ta.n_plus_one,
    "trace_shapes": ta.trace_shapes,
    "diagnose": ta.diagnose,
    "workflow_path": ta.workflow_path,
}


@pytest.mark.parametrize("name", ANALYSES)
def test_every_analysis_flags_unequal_traces_once_where_it_was_called(name, tail):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ANALYSES[name](tail)
    assert [warning.category for warning in caught] == [SamplingWarning]
    assert caught[0].filename == __file__


@pytest.mark.parametrize("name", ANALYSES)
def test_every_analysis_takes_the_attached_weights_and_no_warning_comes(name, tail):
    ANALYSES[name](tail, weights="weight")
    ANALYSES[name](tail.drop(columns=ADDED))


@pytest.mark.parametrize("name", ANALYSES)
def test_every_analysis_refuses_unknown_weights(name, tail):
    some = tail["trace_id"].isin(tail["trace_id"].unique()[:3])
    unknown = tail.assign(weight=tail["weight"].mask(some), weight_status=tail["weight_status"].mask(some, "unknown"))
    with pytest.raises(SchemaError, match=r"of [\d,]+ traces, 3 of unknown weight"):
        ANALYSES[name](unknown, weights="weight")


def made(weights, statuses):
    return pd.DataFrame(
        {"trace_id": list("abcd"[: len(weights)]), "weight": weights, "weight_status": pd.Series(statuses, dtype="str")}
    )


@pytest.mark.parametrize(
    ("weights", "statuses", "message"),
    [
        ([4.0, np.nan], ["known", "unknown"], "of 2 traces, 1 of unknown weight, but"),
        ([np.nan, np.nan], ["inconsistent", "unknown"], "of 2 traces, 1 of unknown weight and 1 inconsistent, but"),
        ([4.0, 2.0], ["known", "known"], "weights of the others go from 2 to 4"),
    ],
)
def test_what_is_flagged(weights, statuses, message):
    for dtype in ("str", "category"):
        spans = made(weights, statuses).astype({"weight_status": dtype})
        with pytest.warns(SamplingWarning, match=message):
            assert span_weights(spans, None).tolist() == [1.0] * len(weights)


def test_what_is_not_flagged():
    """Equal probabilities change no share, a weight column of another make may be anything, and nothing is nothing."""
    for spans in (made([4.0, 4.0], ["known"] * 2), made([4.0, 2.0], [None] * 2)[["trace_id", "weight"]], made([], [])):
        assert span_weights(spans, None).tolist() == [1.0] * len(spans)
