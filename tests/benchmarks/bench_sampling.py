"""Weights, estimates and checks of sampled traces at 1 M spans, as multiples of one group-by of the same frame.

Weights come in layouts, from the kindest (one text for all spans) to hostile ones (a million different malformed texts).
Name lines to run only these: ``python tests/benchmarks/bench_sampling.py 1000000 "weights: SampleRate"``.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from generate import forest
from timing import report, seconds

from traceanalytics.sampling.design_weights import attach_weights
from traceanalytics.sampling.thresholds import threshold_text

HIGH = 0xF0_0000_0000_0000
"""Randomness above this is kept by every threshold here."""


def by_trace(spans, texts):
    """A text for every span from one for every trace."""
    return (
        pd.Series(texts, dtype="str", index=range(len(texts))).take(spans["trace_id"].cat.codes).set_axis(spans.index)
    )


HOSTILE = [
    *("ot=th:0x{}", "ot=rv:{};th:c;th:8", "ot=TH:{}", "ot=th:{}ff", "ot=;{}", "ot=th:c;{}", "V{}=1,ot=th:c", "a=1,{}"),
    *("a=1,a={},ot=th:c", "ot=rv:{};th:", "ot=th:c;x\u00e9:{}", "ot=th: {}", "v={}=,ot=th:c", "{},ot=th:c"),
]


def randoms(n):
    """Randomness that every threshold here keeps, as text."""
    return [f"{HIGH + value:014x}" for value in np.random.default_rng(1).integers(0, 1 << 52, n).tolist()]


def state_a_trace(spans, form="ot=rv:{};th:c"):
    """A tracestate that the spans of a trace share."""
    return {
        "trace_state": by_trace(spans, [form.format(rv, rv) for rv in randoms(len(spans["trace_id"].cat.categories))])
    }


def state_a_span(spans, forms=("ot=rv:{};th:c",)):
    """A tracestate of its own for every span."""
    chosen = np.array(forms)[np.random.default_rng(2).integers(0, len(forms), len(spans))].tolist()
    texts = [form.format(rv, rv) for form, rv in zip(chosen, randoms(len(spans)), strict=True)]
    return {"trace_state": pd.Series(texts, dtype="str", index=spans.index)}


def threshold_a_span(spans):
    """Tracestates whose thresholds differ too."""
    ends = np.random.default_rng(3).integers(0, 1 << 51, len(spans)).tolist()
    texts = [f"ot=rv:{rv};th:{threshold_text(th)}" for rv, th in zip(randoms(len(spans)), ends, strict=True)]
    return {"trace_state": pd.Series(texts, dtype="str", index=spans.index)}


def rates(spans, dtype):
    """A sample rate of every span."""
    return by_trace(spans, [str(1 + n % 9) for n in range(len(spans["trace_id"].cat.categories))]).astype(dtype)


def others(spans, *, each):
    """Maps of further attributes with the sample rate among them, each other than all others or not."""
    text = '{"span.SampleRate":' + rates(spans, "str") + ',"span.http.route":"/cart/'
    return text + (spans["span_id"] if each else "7") + '"}'


VENDORS = "dd=s:1;p:{},ot=rv:{};th:c"

WEIGHTS = {
    "nothing": lambda _: {},
    "one tracestate": lambda spans: {"trace_state": pd.Series("ot=th:0", index=spans.index, dtype="str")},
    "a tracestate a trace": state_a_trace,
    "a tracestate a trace, vendors": lambda spans: state_a_trace(spans, VENDORS),
    "a tracestate a trace, category": lambda spans: {
        "trace_state": state_a_trace(spans)["trace_state"].astype("category")
    },
    "a tracestate a span": state_a_span,
    "a tracestate a span, vendors": lambda spans: state_a_span(spans, (VENDORS,)),
    "a tracestate a span, thresholds": threshold_a_span,
    "a hostile text a span": lambda spans: state_a_span(spans, HOSTILE),
    "a tracestate a span, ids as text": lambda spans: (
        state_a_span(spans) | {"trace_id": spans["trace_id"].astype("str")}
    ),
    "a trace a span": lambda spans: (
        state_a_span(spans, ("ot=th:0",)) | {"trace_id": spans["span_id"] + spans["span_id"]}
    ),
    "SampleRate, int64": lambda spans: {"span.SampleRate": rates(spans, "int64")},
    "SampleRate, text": lambda spans: {"span.SampleRate": rates(spans, "str")},
    "SampleRate, category": lambda spans: {"span.SampleRate": rates(spans, "category")},
    "in other_attributes": lambda spans: {"other_attributes": others(spans, each=False)},
    "in other_attributes, all different": lambda spans: {"other_attributes": others(spans, each=True)},
    "sampler.type and param": lambda spans: {
        "span.sampler.type": pd.Series("probabilistic", index=spans.index, dtype="category"),
        "span.sampler.param": pd.Series(0.1, index=spans.index),
    },
}
"""Columns by layout."""

DESIGNS = {
    "a probability": lambda _: 0.1,
    "a Series": lambda spans: pd.Series(0.1, index=spans.index),
}


def group_by(spans):
    """The reference: what pandas takes for one sum by operation."""
    return spans.groupby(["service", "name"], observed=True)["duration_ms"].sum()


def lines(spans):
    """Title, work and most multiples of the reference, of every line."""
    for name, columns in WEIGHTS.items():
        yield f"weights: {name}", lambda columns=columns: spans.assign(**columns(spans)), attach_weights, 10
    for name, design in DESIGNS.items():
        given = design(spans)
        yield (
            f"weights: design, {name}",
            lambda: spans,
            lambda frame, given=given: attach_weights(frame, design=given),
            10,
        )


def main():
    n_spans = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    show = report(
        f"Sampling, {n_spans:,} spans; reference: groupby(['service', 'name']).duration_ms.sum() of the frame"
    )
    spans = forest(n_spans, max(n_spans // 20, 1))
    for name, frame_of, work, target in lines(spans):
        if sys.argv[2:] and not any(wanted in name for wanted in sys.argv[2:]):
            continue
        frame = frame_of()
        own, reference = seconds(lambda work=work, frame=frame: work(frame), lambda: group_by(spans), runs=3)
        multiple = own / reference
        verdict = "  MISSED" if multiple > target else ""
        show(f"{name:<44}{own:>8.3f} s{multiple:>8.1f} x{target:>6} x{verdict}")


if __name__ == "__main__":
    main()
