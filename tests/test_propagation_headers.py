"""Parsers of propagation headers: the rules of each specification as tables, and arbitrary text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceanalytics as ta
from traceanalytics.propagation import (
    BaggageEntry,
    TraceContext,
    parse_b3,
    parse_b3_headers,
    parse_baggage,
    parse_members,
    parse_traceparent,
    parse_uber_trace_id,
    parse_x_amzn_trace_id,
    set_member,
    write_b3,
    write_b3_headers,
    write_baggage,
    write_members,
    write_traceparent,
    write_uber_trace_id,
    write_x_amzn_trace_id,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"

PARSERS = (parse_traceparent, parse_members, parse_baggage, parse_b3, parse_uber_trace_id, parse_x_amzn_trace_id)


def codes(parsed):
    assert (parsed.value is None) == bool(parsed.problems)
    return [problem.code for problem in parsed.problems]


@pytest.mark.parametrize(
    ("header", "sampled", "random"),
    [
        (GOOD, True, False),
        (GOOD[:-2] + "00", False, False),
        (GOOD[:-2] + "03", True, True),
        (GOOD[:-2] + "02", False, True),
        (GOOD[:-2] + "ff", True, True),  # bits that are not known yet are left alone
        (GOOD[:-2] + "fc", False, False),
        (f"  {GOOD}\t", True, False),
        (GOOD.encode(), True, False),
        ("01" + GOOD[2:], True, False),
        ("cc" + GOOD[2:] + "-what-the-future-brings", True, False),
        ("fe" + GOOD[2:] + "-", True, False),
    ],
)
def test_valid_traceparents(header, sampled, random):
    parsed = parse_traceparent(header)
    assert codes(parsed) == []
    assert (parsed.value.trace_id, parsed.value.span_id) == (TRACE, SPAN)
    assert (parsed.value.sampled, parsed.value.random) == (sampled, random)


@pytest.mark.parametrize(
    ("header", "code", "reason"),
    [
        ("", "length", "0 characters, expected 55"),
        (GOOD[:-1], "length", "54 characters"),
        (GOOD + "-", "length", "version 00 ends after 55"),
        (GOOD + "-00", "length", "version 00 ends after 55"),
        (GOOD + "0", "length", "version 00 ends after 55"),
        ("01" + GOOD[2:] + ".what", "syntax", "begin with a dash"),
        ("ff" + GOOD[2:], "version", "forbidden"),
        ("FF" + GOOD[2:], "version", "'F' at offset 0"),
        ("0g" + GOOD[2:], "version", "'g' at offset 1"),
        (GOOD.replace("-", "_"), "syntax", "expected a dash"),
        (GOOD.upper(), "trace_id", "'B' at offset 4"),
        (GOOD.replace(TRACE, "0" * 32), "trace_id", "all zeros"),
        (GOOD.replace(SPAN, "0" * 16), "span_id", "all zeros"),
        (GOOD.replace(TRACE, "." + TRACE[1:]), "trace_id", "'.' at offset 3"),
        (GOOD[:-2] + "x1", "syntax", "'x' at offset 53 of the flags"),
        (f"{GOOD},{GOOD}", "length", "version 00 ends"),
        (GOOD + "\n", "encoding", r"'\\n' at offset 55"),
        (GOOD + "\u0661", "encoding", "not printable ASCII"),
        ("0" * 100_000, "size", "100,000 characters"),
    ],
)
def test_invalid_traceparents_say_why(header, code, reason):
    parsed = parse_traceparent(header)
    assert code in codes(parsed)
    assert re.search(reason, " ".join(problem.reason for problem in parsed.problems))


@pytest.mark.parametrize(
    ("header", "members"),
    [
        ("", {}),
        (",, ,", {}),
        ("foo=1", {"foo": "1"}),
        ("foo=1,bar=2", {"foo": "1", "bar": "2"}),
        (" foo=1 \t,\t bar=2", {"foo": "1", "bar": "2"}),
        ("foo=a b", {"foo": "a b"}),
        ("t@s=1", {"t@s": "1"}),
        ("0abc=1", {"0abc": "1"}),  # level 2
        ("a" * 256 + "=1", {"a" * 256: "1"}),
        ("a=" + "v" * 256, {"a": "v" * 256}),
        ("a-*/_0=!~", {"a-*/_0": "!~"}),
        (",".join(f"k{n}=v" for n in range(32)), {f"k{n}": "v" for n in range(32)}),
    ],
)
def test_valid_tracestates(header, members):
    assert parse_members(header) == (members, ())
    assert parse_members(write_members(members)).value == members


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("foo", "member"),
        ("foo=", "value"),
        ("=1", "key"),
        ("FOO=1", "key"),
        ("foo bar=1", "key"),
        ("föö=1", "encoding"),
        ("foo=1,foo=2", "duplicate"),
        ("foo=1=2", "value"),
        ("foo=" + "v" * 257, "value"),
        ("a" * 257 + "=1", "key"),
        ("@a=1", "key"),
        (",".join(f"k{n}=v" for n in range(33)), "members"),
    ],
)
def test_invalid_tracestates_say_why(header, code):
    assert code in codes(parse_members(header))


def test_level_one_has_narrower_keys():
    assert codes(parse_members("0abc=1", level=1)) == ["key"]
    assert codes(parse_members("0a@b=1", level=1)) == []
    with pytest.raises(ta.OptionError, match="level"):
        parse_members("a=1", level=3)


def test_a_changed_member_moves_to_the_front_and_the_33rd_goes():
    members = {f"k{n}": "v" for n in range(32)}
    changed = set_member(members, "k5", "w")
    assert list(changed)[:2] == ["k5", "k0"]
    assert len(changed) == 32
    grown = set_member(members, "new", "1")
    assert next(iter(grown)) == "new"
    assert len(grown) == 32
    assert "k31" not in grown
    assert set_member(members, "k0", None) == {name: "v" for name in members if name != "k0"}
    with pytest.raises(ta.OptionError, match="no key"):
        set_member(members, "NEW", "1")


def test_large_members_go_first_when_there_is_no_room():
    members = {"a": "1" * 100, "big": "2" * 200, "b": "3" * 100, "c": "4" * 100, "d": "5" * 100, "e": "6" * 100}
    assert "big" not in (kept := parse_members(write_members(members, limit=512)).value)
    assert list(kept) == ["a", "b", "c", "d"]
    with pytest.raises(ta.OptionError, match="below 512"):
        write_members(members, limit=100)


@pytest.mark.parametrize(
    ("header", "entries"),
    [
        ("", {}),
        ("a=1", {"a": BaggageEntry("1")}),
        ("a=", {"a": BaggageEntry("")}),
        (" a = 1 ; p ; q = 2 , b = 3 ", {"a": BaggageEntry("1", ("p", "q = 2")), "b": BaggageEntry("3")}),
        ("a=b=c", {"a": BaggageEntry("b=c")}),
        ("a=%C3%A9%20%2C%3B", {"a": BaggageEntry("é ,;")}),
        ("a=%ff", {"a": BaggageEntry("\ufffd")}),
        ("a=1,a=2", {"a": BaggageEntry("2")}),
        ("!#$%&'*+-.^_`|~=1", {"!#$%&'*+-.^_`|~": BaggageEntry("1")}),
        ("a=1+2", {"a": BaggageEntry("1+2")}),  # a plus is no blank here
        (",".join(f"k{n}=v" for n in range(180)), {f"k{n}": BaggageEntry("v") for n in range(180)}),
    ],
)
def test_valid_baggage(header, entries):
    assert parse_baggage(header) == (entries, ())


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("a", "entry"),
        ("=1", "key"),
        ("a b=1", "key"),
        ('a="1"', "value"),
        ("a=1 2", "value"),
        ("a=\\", "value"),
        ("a=%zz", "percent"),
        ("a=%4", "percent"),
        ("a=1;b c", "property"),
        ("a=1;", "property"),
        ("a=é", "encoding"),
        (",".join(f"k{n}=v" for n in range(181)), "entries"),
        ("a=" + "v" * 8_191, "size"),
    ],
)
def test_invalid_baggage_says_why(header, code):
    assert code in codes(parse_baggage(header))


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"a b": "1"}, "no token"),
        ({"a": BaggageEntry("1", ("b c",))}, "property"),
        ({f"k{n}": "v" for n in range(181)}, "181 entries"),
        ({"a": "v" * 9_000}, "8,192 bytes"),
    ],
)
def test_baggage_that_has_no_room_or_form_is_refused(entries, reason):
    with pytest.raises(ta.OptionError, match=reason):
        write_baggage(entries)


@pytest.mark.parametrize(
    ("header", "sampled", "debug", "parent"),
    [
        (f"{TRACE}-{SPAN}", None, False, None),
        (f"{TRACE}-{SPAN}-1", True, False, None),
        (f"{TRACE}-{SPAN}-0-{SPAN}", False, False, SPAN),
        (f"{TRACE}-{SPAN}-d", True, True, None),
    ],
)
def test_single_b3(header, sampled, debug, parent):
    value = parse_b3(header).value
    assert (value.trace_id, value.span_id) == (TRACE, SPAN)
    assert (value.sampled, value.debug, value.parent_span_id) == (sampled, debug, parent)
    assert write_b3(value) == header


@pytest.mark.parametrize("decision", ["0", "1", "d"])
def test_a_decision_alone(decision):
    assert write_b3(parse_b3(decision).value) == decision


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "syntax"),
        ("2", "syntax"),
        (TRACE, "syntax"),
        (f"{TRACE}-{SPAN}-x", "sampled"),
        (f"{TRACE}-{SPAN}-true", "sampled"),
        (f"{TRACE[:-1]}-{SPAN}-1", "trace_id"),
        (f"{TRACE.upper()}-{SPAN}-1", "trace_id"),
        (f"{'0' * 32}-{SPAN}-1", "trace_id"),
        (f"{TRACE}-{SPAN[1:]}-1", "span_id"),
        (f"{TRACE}-{SPAN}-1-{SPAN[1:]}", "parent_span_id"),
        (f"{TRACE}-{SPAN}-1-{SPAN}-1", "syntax"),
    ],
)
def test_invalid_b3_says_why(header, code):
    assert code in codes(parse_b3(header))


def test_b3_headers():
    headers = {"X-B3-TraceId": TRACE[16:], "x-b3-spanid": SPAN, "X-B3-SAMPLED": "true", "X-B3-ParentSpanId": SPAN}
    value = parse_b3_headers(headers).value
    assert value == TraceContext("0" * 16 + TRACE[16:], SPAN, sampled=True, parent_span_id=SPAN)
    assert parse_b3_headers(write_b3_headers(value)).value == value
    debug = parse_b3_headers({"X-B3-TraceId": TRACE, "X-B3-SpanId": SPAN, "X-B3-Flags": "1"}).value
    assert (debug.sampled, debug.debug) == (True, True)
    assert parse_b3_headers({"X-B3-Sampled": "0"}).value.sampled is False


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "absent"),
        ({"X-B3-TraceId": TRACE}, "span_id"),
        ({"X-B3-SpanId": SPAN}, "trace_id"),
        ({"X-B3-Sampled": "yes"}, "sampled"),
        ({"X-B3-Flags": "2"}, "flags"),
        ({"X-B3-TraceId": TRACE, "x-b3-traceid": TRACE, "X-B3-SpanId": SPAN}, "duplicate"),
    ],
)
def test_invalid_b3_headers_say_why(headers, code):
    assert code in codes(parse_b3_headers(headers))


@pytest.mark.parametrize(
    ("header", "context"),
    [
        (f"{TRACE}:{SPAN}:0:1", TraceContext(TRACE, SPAN, sampled=True)),
        (f"{TRACE}%3A{SPAN}%3a0%3A0", TraceContext(TRACE, SPAN, sampled=False)),
        (
            "A:b:c:3",
            TraceContext("a".rjust(32, "0"), "b".rjust(16, "0"), True, debug=True, parent_span_id="c".rjust(16, "0")),
        ),
        (f"{TRACE}:{SPAN}:0:01", TraceContext(TRACE, SPAN, sampled=True)),
    ],
)
def test_uber_trace_id(header, context):
    assert parse_uber_trace_id(header).value == context
    assert parse_uber_trace_id(write_uber_trace_id(context)).value == context


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "syntax"),
        ("a:b:0", "syntax"),
        ("a:b:0:1:2", "syntax"),
        ("0:b:0:1", "trace_id"),
        (f"{TRACE}0:b:0:1", "trace_id"),
        ("a:0:0:1", "span_id"),
        ("a:x:0:1", "span_id"),
        ("a:b::1", "parent_span_id"),
        ("a:b:0:", "flags"),
        ("a:b:0:100", "flags"),
    ],
)
def test_invalid_uber_trace_id_says_why(header, code):
    assert code in codes(parse_uber_trace_id(header))


ROOT = f"1-{TRACE[:8]}-{TRACE[8:]}"


@pytest.mark.parametrize(
    ("header", "context"),
    [
        (f"Root={ROOT};Parent={SPAN};Sampled=1", TraceContext(TRACE, SPAN, sampled=True)),
        (f"sampled=0; root={ROOT.upper()}; PARENT={SPAN}", TraceContext(TRACE, SPAN, sampled=False)),
        (f"Root={ROOT}", TraceContext(TRACE, None)),
        (f"Root={ROOT};Sampled=?", TraceContext(TRACE, None)),
        (
            f"Self=1-67891234-12456789abcdef012345678;Root={ROOT};Lineage=a87bd80c:1|68fd508a:5",
            TraceContext(
                TRACE, None, extra={"Self": "1-67891234-12456789abcdef012345678", "Lineage": "a87bd80c:1|68fd508a:5"}
            ),
        ),
    ],
)
def test_x_amzn_trace_id(header, context):
    assert parse_x_amzn_trace_id(header) == (context, ())
    assert parse_x_amzn_trace_id(write_x_amzn_trace_id(context)).value == context


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "absent"),
        (f"Parent={SPAN}", "absent"),
        (f"Root={TRACE}", "root"),
        (f"Root=2{ROOT[1:]}", "root"),
        (f"Root=1-{'0' * 8}-{'0' * 24}", "root"),
        (f"Root={ROOT};Parent={SPAN[1:]}", "parent"),
        (f"Root={ROOT};Sampled=2", "sampled"),
        (f"Root={ROOT};Root={ROOT}", "duplicate"),
        (f"Root={ROOT};what", "field"),
    ],
)
def test_invalid_x_amzn_trace_id_says_why(header, code):
    assert code in codes(parse_x_amzn_trace_id(header))


@pytest.mark.parametrize("ids", [("x" * 32, SPAN), (TRACE, "0" * 16), (TRACE.upper(), SPAN), (3, SPAN)])
def test_a_context_checks_its_ids(ids):
    with pytest.raises(ta.OptionError, match="lower-case hex digits"):
        TraceContext(*ids)


@pytest.mark.parametrize("write", [write_traceparent, write_uber_trace_id, write_b3, write_b3_headers])
def test_what_a_format_cannot_carry_is_refused(write):
    with pytest.raises(ta.OptionError, match=r"needs? a trace id"):
        write(TraceContext(TRACE, None))


hexadecimal = st.text("0123456789abcdef", min_size=1, max_size=40)
parts = st.sampled_from(
    ["-", ":", ";", ",", "=", "%3A", "%", " ", "\t", "Root=1-", "Sampled=", "00", "01", "d", TRACE, SPAN, "é", "\x00"]
)
texts = st.one_of(st.text(), st.lists(st.one_of(hexadecimal, parts), max_size=12).map("".join))


@given(st.one_of(texts, st.binary(), texts.map(lambda text: text.encode("utf-8", "replace"))))
def test_any_text_and_any_bytes_are_accepted_whole_or_rejected_with_a_reason(given_text):
    for parse in PARSERS:
        parsed = parse(given_text)
        assert (parsed.value is None) == bool(parsed.problems)
        assert all(problem.code and problem.reason and len(problem.reason) < 400 for problem in parsed.problems)


contexts = st.builds(
    TraceContext,
    st.integers(1, 2**128 - 1).map("{:032x}".format),
    st.integers(1, 2**64 - 1).map("{:016x}".format),
    st.booleans(),
    random=st.booleans(),
)


@given(contexts)
def test_what_is_written_is_read_back(context):
    assert parse_traceparent(write_traceparent(context)).value == context
    for write, parse in (
        (write_b3, parse_b3),
        (write_b3_headers, parse_b3_headers),
        (write_uber_trace_id, parse_uber_trace_id),
        (write_x_amzn_trace_id, parse_x_amzn_trace_id),
    ):
        found = parse(write(context)).value
        assert (found.trace_id, found.span_id, found.sampled) == (context.trace_id, context.span_id, context.sampled)


@given(
    st.dictionaries(
        st.text("abcXYZ-_0", min_size=1, max_size=9), st.text(st.characters(codec="utf-8"), max_size=30), max_size=20
    )
)
def test_any_value_survives_in_baggage(values):
    assert parse_baggage(write_baggage(values)).value == {key: BaggageEntry(value) for key, value in values.items()}


@pytest.mark.parametrize("parse", PARSERS)
def test_something_else_than_a_text_is_refused(parse):
    with pytest.raises(ta.OptionError, match="text or bytes"):
        parse(None)
