"""Our parsers beside OpenTelemetry's propagators: the same context wherever both accept, and every disagreement by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage as otel_baggage
from opentelemetry import trace as otel
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.aws import AwsXRayPropagator
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.jaeger import JaegerPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from test_propagation_headers import GOOD, ROOT, SPAN, TRACE, contexts

from traceanalytics.propagation import write_baggage
from traceanalytics.propagation.carriers import extract, inject

PEERS = {
    "w3c": TraceContextTextMapPropagator(),
    "b3": B3SingleFormat(),
    "b3multi": B3MultiFormat(),
    "jaeger": JaegerPropagator(),
    "xray": AwsXRayPropagator(),
}


def theirs(form, headers):
    """What OpenTelemetry reads: ids and decision, None where it reads nothing."""
    names = {"xray": str, "b3multi": str.lower}.get(form, str.lower)
    headers = {"X-Amzn-Trace-Id" if form == "xray" else names(name): value for name, value in headers.items()}
    span = otel.get_current_span(PEERS[form].extract(headers, Context())).get_span_context()
    if not span.is_valid:
        return None
    return f"{span.trace_id:032x}", f"{span.span_id:016x}", bool(span.trace_flags & 1)


def ours(form, headers):
    context = extract(headers, format=form).context
    if context is None or context.trace_id is None or context.span_id is None:
        return None
    return context.trace_id, context.span_id, bool(context.sampled)


@given(contexts, st.sampled_from(sorted(PEERS)))
def test_they_read_what_we_write(context, form):
    assert theirs(form, inject(context, {}, format=form)) == (context.trace_id, context.span_id, context.sampled)


@given(contexts, st.sampled_from(sorted(PEERS)))
def test_we_read_what_they_write(context, form):
    flags = otel.TraceFlags(int(context.sampled))
    span = otel.SpanContext(int(context.trace_id, 16), int(context.span_id, 16), is_remote=True, trace_flags=flags)
    headers = {}
    PEERS[form].inject(headers, otel.set_span_in_context(otel.NonRecordingSpan(span), Context()))
    assert ours(form, headers) == (context.trace_id, context.span_id, context.sampled)


AGREED = [
    ("w3c", {"traceparent": GOOD}),
    ("w3c", {"traceparent": "cc" + GOOD[2:] + "-more"}),
    ("w3c", {"traceparent": GOOD + "-more"}),
    ("w3c", {"traceparent": "ff" + GOOD[2:]}),
    ("w3c", {"traceparent": GOOD.upper()}),
    ("w3c", {"traceparent": GOOD.replace(TRACE, "0" * 32)}),
    ("b3", {"b3": f"{TRACE}-{SPAN}-0"}),
    ("b3", {"b3": f"{TRACE}-{SPAN}-d-{SPAN}"}),
    ("b3", {"b3": f"{TRACE[16:]}-{SPAN}-1"}),
    ("b3", {"b3": f"{TRACE}-x-1"}),
    ("b3multi", {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "1"}),
    ("jaeger", {"uber-trace-id": f"{TRACE}:{SPAN}:0:1"}),
    ("jaeger", {"uber-trace-id": "a:b:0:0"}),
    ("jaeger", {"uber-trace-id": "a:b:0"}),
    ("xray", {"X-Amzn-Trace-Id": f"Root={ROOT};Parent={SPAN};Sampled=1"}),
    ("xray", {"X-Amzn-Trace-Id": f"Sampled=0; Parent={SPAN}; Root={ROOT}"}),
]


@pytest.mark.parametrize(("form", "headers"), AGREED)
def test_both_read_the_same(form, headers):
    assert ours(form, headers) == theirs(form, headers)


READ = (TRACE, SPAN, True)
DISAGREED = {
    "a flag that no specification has is no decision of a B3 sender": (
        "b3", {"b3": f"{TRACE}-{SPAN}-x"}, None, (TRACE, SPAN, False),
    ),
    "B3 without a decision leaves it to the receiver, it does not say yes": (
        "b3", {"b3": f"{TRACE}-{SPAN}"}, (TRACE, SPAN, False), READ,
    ),
    "Jaeger's clients encode the colons": (
        "jaeger", {"uber-trace-id": f"{TRACE}%3A{SPAN}%3A0%3A1"}, READ, None,
    ),
    "names of fields in another case": (
        "xray", {"X-Amzn-Trace-Id": f"root={ROOT};parent={SPAN};sampled=1"}, READ, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", DISAGREED)
def test_disagreements_are_known(why):
    form, headers, own, other = DISAGREED[why]
    assert ours(form, headers) == own
    assert theirs(form, headers) == other


def test_a_decision_alone_is_something_to_us():
    assert extract({"b3": "0"}).context.sampled is False
    assert theirs("b3", {"b3": "0"}) is None


def test_a_root_alone_is_a_trace_to_us():
    assert extract({"X-Amzn-Trace-Id": f"Root={ROOT}"}).context.trace_id == TRACE
    assert theirs("xray", {"X-Amzn-Trace-Id": f"Root={ROOT}"}) is None


def test_names_in_another_case_are_found_by_us():
    headers = {"TraceParent": GOOD}
    assert extract(headers).context.trace_id == TRACE
    found = otel.get_current_span(PEERS["w3c"].extract(headers, Context())).get_span_context()
    assert not found.is_valid


def test_of_two_traceparents_neither_is_taken():
    pairs = [("traceparent", GOOD), ("traceparent", GOOD.replace("4b", "5b"))]
    assert extract(pairs).problems[0].code == "duplicate"
    headers = {"traceparent": [value for _, value in pairs]}
    found = otel.get_current_span(PEERS["w3c"].extract(headers, Context())).get_span_context()
    assert f"{found.trace_id:032x}" == TRACE  # the first one


def test_a_tracestate_key_may_begin_with_a_digit():
    headers = {"traceparent": GOOD, "tracestate": "0a=1,b=2"}
    assert extract(headers).context.tracestate == {"0a": "1", "b": "2"}
    found = otel.get_current_span(PEERS["w3c"].extract(headers, Context())).get_span_context()
    assert not found.trace_state


@given(
    st.dictionaries(
        st.text("abcXYZ-_0", min_size=1, max_size=9), st.text('aé ,;=%\\"x', min_size=1, max_size=20), max_size=9
    )
)
def test_they_read_our_baggage(values):
    found = otel_baggage.get_all(W3CBaggagePropagator().extract({"baggage": write_baggage(values)}, Context()))
    # They trim decoded blanks as well.
    assert dict(found) == {key: value.strip() for key, value in values.items()}


@given(
    st.dictionaries(
        st.text("abcXYZ-_0", min_size=1, max_size=9), st.text('aé ,;=%\\"x', min_size=1, max_size=20), max_size=9
    )
)
def test_we_read_their_baggage(values):
    context = Context()
    for key, value in values.items():
        context = otel_baggage.set_baggage(key, value, context)
    headers = {}
    W3CBaggagePropagator().inject(headers, context)
    if headers:
        found = extract({"traceparent": GOOD, **headers}).context.baggage
        assert {key: entry.value.replace("+", " ") for key, entry in found.items()} == values
