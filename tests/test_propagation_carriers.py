"""``inject`` and ``extract``: every transport keeps the context, and says what it cannot take."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_propagation_headers import GOOD, ROOT, SPAN, TRACE, contexts, texts

import traceanalytics as ta
from traceanalytics.propagation import BaggageEntry, TraceContext
from traceanalytics.propagation.carriers import extract, inject
from traceanalytics.propagation.header_forms import FORMATS

CONTEXT = TraceContext(TRACE, SPAN, sampled=True)

CARRIERS = {
    "http": lambda: {"accept": "*/*"},
    "grpc": lambda: [("user-agent", "x")],
    "kafka": lambda: [("key", b"\x00\xff")],
    "amqp": lambda: {"x-death": [{"count": 1}], "retries": 3},
    "sqs": lambda: {"MessageBody": "{}", "MessageAttributes": {"n": {"DataType": "Number", "StringValue": "1"}}},
    "cloudevents": lambda: {"specversion": "1.0", "id": "1"},
    "graphql": lambda: {"headers": {}, "body": {"query": "{ cart { id } }"}},
    "sql": lambda: "SELECT * FROM cart WHERE note = 'it''s /* not a comment */'",
    "job": lambda: {"queue": "mail", "args": [1]},
}
everywhere = st.sampled_from(sorted(CARRIERS))
values = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
rich = st.builds(
    TraceContext,
    st.integers(1, 2**128 - 1).map("{:032x}".format),
    st.integers(1, 2**64 - 1).map("{:016x}".format),
    st.booleans(),
    random=st.booleans(),
    tracestate=st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), st.text("ab-_:;", min_size=1, max_size=9), max_size=4
    ),
    baggage=st.dictionaries(st.text("abcXYZ_0", min_size=1, max_size=9), values.map(BaggageEntry), max_size=4),
)


@given(rich, everywhere)
def test_every_transport_brings_back_the_whole_context(context, transport):
    found = extract(inject(context, CARRIERS[transport](), transport=transport), transport=transport)
    assert found.context == context
    assert (found.format, found.problems) == ("w3c", ())


@given(contexts, everywhere, st.sampled_from([form for form in FORMATS if form != "grpc-binary"]))
def test_every_format_on_every_transport_or_a_reason(context, transport, form):
    if transport == "cloudevents" and form in ("b3multi", "jaeger", "xray"):
        with pytest.raises(ta.OptionError, match="letters and digits"):
            inject(context, CARRIERS[transport](), transport=transport, format=form)
        return
    found = extract(inject(context, CARRIERS[transport](), transport=transport, format=form), transport=transport)
    assert found.format == form
    assert (found.context.trace_id, found.context.span_id, found.context.sampled) == (
        context.trace_id,
        context.span_id,
        context.sampled,
    )


@pytest.mark.parametrize("transport", sorted(CARRIERS.keys() - {"sql"}))
def test_what_was_there_is_replaced_and_the_rest_is_left(transport):
    before = CARRIERS[transport]()
    other = TraceContext("5" * 32, SPAN, sampled=False)
    carrier = inject(CONTEXT, inject(other, CARRIERS[transport](), transport=transport), transport=transport)
    assert extract(carrier, transport=transport).context == CONTEXT
    assert "5" * 32 not in repr(carrier)
    kept = carrier if isinstance(before, dict) else dict(carrier)
    for key, value in before.items() if isinstance(before, dict) else before:
        if key not in ("headers", "MessageAttributes"):
            assert kept[key] == value


def test_the_binary_form_of_grpc_is_read_and_written():
    carrier = inject(CONTEXT, [], transport="grpc", format="grpc-binary")
    name, value = carrier[0]
    assert name == "grpc-trace-bin"
    assert value == bytes.fromhex(f"0000{TRACE}01{SPAN}0201")
    assert extract(carrier, transport="grpc")[:2] == (CONTEXT, "grpc-binary")
    wire = [("grpc-trace-bin", "AABL+S81d7NNpqPOkp0ODkc2AQDwZ6oLqQK3AgE")]
    assert extract(wire, transport="grpc").context == CONTEXT
    with pytest.raises(ta.OptionError, match="only gRPC"):
        inject(CONTEXT, {}, format="grpc-binary")
    both = inject(
        CONTEXT, inject(TraceContext("5" * 32, SPAN), [], transport="grpc", format="grpc-binary"), transport="grpc"
    )
    assert extract(both, transport="grpc").context == CONTEXT


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "length"), (b"\x01" + b"\x00" * 28, "version"), (b"\x00" * 29, "syntax"), ("??", "encoding")],
)
def test_a_binary_form_that_is_none_says_why(data, code):
    assert extract([("grpc-trace-bin", data)], transport="grpc").problems[0].code == code


def test_sqs_has_ten_attributes_and_a_system_attribute_for_xray():
    full = {"MessageAttributes": {f"a{n}": {"DataType": "String", "StringValue": "x"} for n in range(10)}}
    with pytest.raises(ta.OptionError, match="11 attributes, and SQS takes 10"):
        inject(CONTEXT, full, transport="sqs")
    assert len(full["MessageAttributes"]) == 10
    message = inject(CONTEXT, full, transport="sqs", format="xray")
    assert message["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"].startswith(f"Root={ROOT}")
    received = {"Body": "{}", "Attributes": {"AWSTraceHeader": f"Root={ROOT};Parent={SPAN};Sampled=1"}}
    assert extract(received, transport="sqs").context == CONTEXT
    lambda_record = {"messageAttributes": {"traceparent": {"dataType": "String", "stringValue": GOOD}}}
    assert extract(lambda_record, transport="sqs").context == CONTEXT


def test_cloudevents_over_http_and_graphql_extensions():
    assert extract({"ce-traceparent": GOOD, "ce-id": "1"}, transport="cloudevents").context == CONTEXT
    body = {"query": "{ a }", "extensions": {"traceparent": GOOD}}
    assert extract({"headers": {}, "body": body}, transport="graphql").context == CONTEXT
    assert extract(body, transport="graphql").context == CONTEXT
    assert "traceparent" not in json.dumps(inject(CONTEXT, {"query": "{ a }"}, transport="graphql")["query"])


def test_a_job_as_json_text():
    text = inject(CONTEXT, '{"queue": "mail"}', transport="job")
    assert json.loads(text)["trace_context"] == {"traceparent": GOOD}
    assert extract(text, transport="job").context == CONTEXT
    with pytest.raises(ta.OptionError, match="no JSON"):
        extract("{", transport="job")


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("SELECT 1 /* route */", "has a comment at offset 9"),
        ("SELECT 1 -- all", "has a comment at offset 9"),
        ("SELECT 'open", "quote ' at offset 7"),
        ('SELECT "open', 'quote " at offset 7'),
        (b"SELECT 1", "is text"),
    ],
)
def test_statements_that_cannot_take_a_comment(statement, reason):
    with pytest.raises(ta.OptionError, match=reason):
        inject(CONTEXT, statement, transport="sql")


@given(st.dictionaries(values, values, max_size=3))
def test_nothing_can_end_the_comment(fields):
    from traceanalytics.propagation.sql_comment import comment_fields, with_comment

    statement = with_comment("SELECT 1;", fields)
    assert statement.count("*/") == statement.count("/*") == (1 if fields else 0)
    assert statement.startswith("SELECT 1")
    assert statement.endswith(";")
    if fields and all(fields):
        assert comment_fields(statement).value == fields


@pytest.mark.parametrize(
    ("comment", "code"),
    [
        ("/*trace_id=abc*/", "unquoted"),
        ("/* trace_id: abc, span_id: d */", "unquoted"),
        (f"/*traceparent={GOOD}*/", "unquoted"),
        ("/*route='a' b*/", "syntax"),
        ("/*route='a',route='b'*/", "duplicate"),
        ("/* a plain remark */", "syntax"),
    ],
)
def test_comments_of_another_form_say_why(comment, code):
    found = extract(f"SELECT 1 {comment}", transport="sql")
    assert (found.context, found.problems[0].code) == (None, code)


def test_a_bad_tracestate_leaves_the_traceparent_and_a_bad_traceparent_voids_it():
    found = extract({"traceparent": GOOD, "tracestate": "a=1,a=2", "baggage": "b"})
    assert found.context == CONTEXT
    assert [problem.code for problem in found.problems] == ["duplicate", "entry"]
    found = extract({"traceparent": GOOD[:-1], "tracestate": "a=1"})
    assert found.context is None


def test_several_headers_of_a_list_are_one():
    pairs = [
        ("traceparent", GOOD),
        ("tracestate", "a=1"),
        ("Tracestate", "b=2"),
        ("baggage", "x=1"),
        ("baggage", "y=2"),
    ]
    context = extract(pairs).context
    assert context.tracestate == {"a": "1", "b": "2"}
    assert list(context.baggage) == ["x", "y"]


def test_the_first_valid_format_counts():
    headers = {"b3": f"{'5' * 32}-{SPAN}-1", "traceparent": "00-bad", "uber-trace-id": "a:b:0:1"}
    assert extract(headers).format == "b3"
    assert extract(headers | {"traceparent": GOOD}).format == "w3c"
    assert extract(headers, format="w3c").problems[0].code == "length"
    assert extract({}) == (None, None, ())


@pytest.mark.parametrize("transport", sorted(CARRIERS))
@pytest.mark.parametrize("carrier", [None, 3, object()])
def test_something_else_than_a_carrier_is_refused(transport, carrier):
    with pytest.raises(ta.OptionError, match="this is a"):
        extract(carrier, transport=transport)
    with pytest.raises(ta.OptionError, match="this is a"):
        inject(CONTEXT, carrier, transport=transport)


def test_unknown_transports_and_formats_are_named():
    with pytest.raises(ta.OptionError, match="transport"):
        extract({}, transport="pigeon")
    with pytest.raises(ta.OptionError, match="format"):
        inject(CONTEXT, {}, format="morse")


@given(texts, everywhere)
def test_any_text_in_a_carrier_is_read_or_told(text, transport):
    if transport == "sql":
        extract(text, transport=transport)
        return
    carrier = CARRIERS[transport]()
    carrier = inject(CONTEXT, carrier, transport=transport)
    damaged = json.loads(
        json.dumps(carrier, default=lambda data: data.decode("latin-1")).replace(
            json.dumps(GOOD)[1:-1], json.dumps(text)[1:-1]
        )
    )
    found = extract(damaged, transport=transport)
    assert found.context is None or found.context.trace_id
