"""Weights attached to traces: every source, what is inconsistent, what stays unknown, and what analyses make of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceanalytics as ta
from traceanalytics.errors import OptionError, SchemaError
from traceanalytics.sampling.design_weights import attach_weights
from traceanalytics.sampling.thresholds import randomness, threshold, threshold_text
from traceanalytics.weights import span_weights

NEW = ["weight", "incl_prob", "weight_source", "weight_status"]


def frame(**columns):
    """One span a value; traces are named a, b, ... unless given."""
    made = pd.DataFrame(columns)
    if "trace_id" not in made:
        made.insert(0, "trace_id", [chr(97 + n) for n in range(len(made))])
    return made


def told(spans, **options):
    """(weight, source, status) of every span; None where missing."""
    made = attach_weights(spans, **options)[NEW].astype(object)
    made = made.where(made.notna(), None)
    return list(zip(made["weight"], made["weight_source"], made["weight_status"], strict=True))


def texts(*values):
    return pd.Series(values, dtype="str")


def test_thresholds():
    spans = frame(trace_state=texts("ot=th:c", "v=1,ot=th:0", "v=1", None, "ot=th:0xc", "v=1,V=2"))
    assert told(spans) == [
        (4.0, "tracestate", "known"),
        (1.0, "tracestate", "certain"),
        (None, None, "unknown"),
        (None, None, "unknown"),
        (None, "tracestate", "inconsistent"),
        (None, None, "unknown"),
    ]


def test_a_threshold_that_should_have_dropped_the_trace():
    low, high = "0" * 18 + "7" + "0" * 13, "0" * 18 + "8" + "0" * 13
    spans = frame(trace_id=[low, high, "other"], trace_state=texts("ot=th:8", "ot=th:8", "ot=rv:70000000000000;th:8"))
    assert [status for *_, status in told(spans)] == ["inconsistent", "known", "inconsistent"]


def test_one_span_tells_for_its_trace_and_spans_may_not_differ():
    spans = frame(trace_id=["a", "a", "b", "b"], trace_state=texts(None, "ot=th:c", "ot=th:c", "ot=th:8"))
    assert told(spans) == [(4.0, "tracestate", "known")] * 2 + [(None, "tracestate", "inconsistent")] * 2


@pytest.mark.parametrize(
    "name", ["SampleRate", "span.SampleRate", "resource.SampleRate", "span.itemCount", "itemCount"]
)
@pytest.mark.parametrize("dtype", ["int64", "float64", "str", "category", "object"])
def test_rates_in_attributes_and_columns(name, dtype):
    spans = frame(**{name: pd.Series([10, 1]).astype(dtype)})
    assert told(spans) == [(10.0, "attribute", "known"), (1.0, "attribute", "certain")]


def test_rates_among_other_attributes():
    spans = frame(other_attributes=texts('{"span.SampleRate":20}', None))
    assert told(spans) == [(20.0, "attribute", "known"), (None, None, "unknown")]
    assert told(frame(other_attributes=texts('{"span.x":20}', None))) == [(None, None, "unknown")] * 2


@pytest.mark.parametrize("rate", ["0", "0.5", "-1", "many", "inf"])
def test_rates_that_cannot_be(rate):
    spans = frame(**{"span.SampleRate": texts(rate, "2")})
    assert told(spans) == [(None, "attribute", "inconsistent"), (2.0, "attribute", "known")]


def test_an_attribute_of_ones_own():
    spans = frame(rate=[3.0, np.nan], SampleRate=[5, 5])
    assert told(spans, source="attribute", attribute="rate") == [(3.0, "attribute", "known"), (None, None, "unknown")]
    assert [weight for weight, *_ in told(spans, source="attribute")] == [5.0, 5.0]


def test_probabilities_in_attributes():
    spans = frame(**{"span.sampling.probability": [0.25, 1.0, 0.0, 1.5, np.nan]})
    assert told(spans) == [
        (4.0, "attribute", "known"),
        (1.0, "attribute", "certain"),
        (None, "attribute", "inconsistent"),
        (None, "attribute", "inconsistent"),
        (None, None, "unknown"),
    ]


def test_jaeger_weighs_only_probabilistic_and_constant_samplers():
    kinds = texts("probabilistic", "const", "const", "lowerbound", "ratelimiting", None)
    spans = frame(
        **{"span.sampler.type": kinds, "span.sampler.param": texts("0.1", "true", "false", "0.1", "2", "0.1")}
    )
    assert [status for *_, status in told(spans)] == ["known", "certain", "unknown", "unknown", "unknown", "unknown"]
    assert told(spans)[0] == (10.0, "attribute", "known")


def test_sources_must_agree():
    rounded = threshold_text(threshold(0.01, precision=3))
    spans = frame(trace_state=texts(f"ot=th:{rounded}", "ot=th:c", None), SampleRate=[100, 5, 7])
    first, second, third = told(spans)
    assert first == (pytest.approx(100.05, abs=0.01), "tracestate", "known")
    assert second == (None, "tracestate", "inconsistent")
    assert third == (7.0, "attribute", "known")
    assert [weight for weight, *_ in told(spans, source="tracestate")][1:] == [4.0, None]


def test_a_design_fills_what_is_not_told():
    spans = frame(trace_state=texts("ot=th:c", None, "ot=th:?"))
    assert told(spans, design=0.1) == [
        (4.0, "tracestate", "known"),
        (10.0, "config", "known"),
        (None, "tracestate", "inconsistent"),
    ]
    assert told(spans, design=0.1, source="tracestate")[1] == (None, None, "unknown")
    assert told(spans, design=0.1, source="design") == [(10.0, "config", "known")] * 3
    policies = pd.Series([0.5, 1.0], index=[1, 2])
    assert told(spans, design=policies, source="design") == [
        (None, None, "unknown"),
        (2.0, "policy", "known"),
        (1.0, "policy", "certain"),
    ]


@pytest.mark.parametrize("design", [0, -0.1, 1.1, np.nan, True, "0.1"])
def test_what_is_no_design(design):
    with pytest.raises(OptionError, match=r"design=.* is no probability"):
        attach_weights(frame(x=[1]), design=design)


def test_options_are_checked():
    spans = frame(x=[1])
    with pytest.raises(OptionError, match="source='attributes' is not one of"):
        attach_weights(spans, source="attributes")
    with pytest.raises(OptionError, match="on_missing='one' is not one of"):
        attach_weights(spans, on_missing="one")
    with pytest.raises(OptionError, match="needs a design"):
        attach_weights(spans, source="design")
    with pytest.raises(SchemaError, match="1 of 1 traces have no usable weight"):
        attach_weights(spans, on_missing="raise")
    assert len(attach_weights(spans, design=0.5, on_missing="raise")) == 1


def test_inputs_stay_and_a_second_time_changes_nothing():
    spans = frame(trace_id=["b", "a", None], trace_state=texts("ot=th:c", "ot=th:8", "ot=th:8")).set_axis([5, 9, 2])
    before = spans.copy()
    once = attach_weights(spans)
    pd.testing.assert_frame_equal(spans, before)
    pd.testing.assert_frame_equal(attach_weights(once), once)
    assert once["weight_status"].tolist() == ["known", "known", "unknown"]  # no trace id, no trace
    assert once.index.tolist() == [5, 9, 2]


def test_an_empty_frame_has_the_columns():
    made = attach_weights(frame(trace_id=pd.Series(dtype="category"), trace_state=pd.Series(dtype="str")))
    assert made[NEW].dtypes.astype(str).tolist() == ["float64", "float64", "category", "category"]
    assert list(made["weight_status"].cat.categories) == ["known", "certain", "unknown", "inconsistent"]


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["c", "8", "0", None, "!"])), max_size=12), st.randoms())
def test_traces_have_one_weight_in_any_order_of_rows(rows, random):
    spans = frame(
        trace_id=pd.Series([f"trace {n}" for n, _ in rows], dtype="category"),
        trace_state=texts(*[None if th is None else f"ot=th:{th}" for _, th in rows]),
    )
    made = attach_weights(spans)
    for trace, of_trace in made.groupby("trace_id", observed=True):
        claims = {th for n, th in rows if f"trace {n}" == trace} - {None}
        wanted = "unknown" if not claims else "inconsistent" if "!" in claims or len(claims) > 1 else "known"
        wanted = "certain" if claims == {"0"} else wanted
        assert of_trace["weight_status"].unique().tolist() == [wanted]
        assert of_trace["weight"].nunique() == (wanted in ("known", "certain"))
    order = random.sample(range(len(rows)), len(rows))
    pd.testing.assert_frame_equal(attach_weights(spans.iloc[order]), made.iloc[order])


def test_analyses_take_known_weights_and_refuse_others():
    spans = ta.conform(
        pd.DataFrame(
            {
                "trace_id": ["1" * 32, "2" * 32],
                "span_id": ["1" * 16, "2" * 16],
                "name": ["GET", "GET"],
                "service": ["web", "web"],
                "start_time": pd.to_datetime([0, 1], unit="s", utc=True),
                "duration_ms": [1.0, 3.0],
                "span.SampleRate": [10, 30],
            }
        )
    )
    weighted = attach_weights(spans)
    assert span_weights(weighted, "weight").tolist() == [10.0, 30.0]
    assert ta.error_rates(weighted, weights="weight").equals(ta.error_rates(spans, weights="span.SampleRate"))
    unknown = attach_weights(spans.assign(**{"span.SampleRate": [10, None]}))
    with pytest.raises(SchemaError, match="1 spans have no usable weight"):
        ta.error_rates(unknown, weights="weight")
    kept = unknown[unknown["weight_status"].isin(["known", "certain"])]
    assert span_weights(kept, "weight").tolist() == [10.0]


def test_weighted_counts_are_right_on_average():
    rng = np.random.default_rng(5)
    ids = [f"{high:016x}{low:016x}" for high, low in rng.integers(0, 2**63, (20_000, 2)).tolist()]
    share = np.where(np.arange(20_000) % 2, 0.1, 0.5)
    thresholds = [threshold(p) for p in share.tolist()]
    kept = [n for n, name in enumerate(ids) if randomness(name) >= thresholds[n]]
    spans = frame(
        trace_id=[ids[n] for n in kept], trace_state=texts(*[f"ot=th:{threshold_text(thresholds[n])}" for n in kept])
    )
    made = attach_weights(spans)
    assert (made["weight_status"] == "known").all()
    # Standard error: the root of the sum of (1 - p) / p, which is 10,000 x 9 + 10,000 x 1.
    assert made["weight"].sum() == pytest.approx(20_000, abs=4 * 100_000**0.5)
