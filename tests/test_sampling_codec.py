"""Thresholds, tracestate and randomness: vectors, properties, and columns against single texts."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from traceanalytics.errors import OptionError, SchemaError
from traceanalytics.kernels import forced
from traceanalytics.sampling.consistent_stages import pass_stage
from traceanalytics.sampling.head_samplers import head_decision
from traceanalytics.sampling.joint_inclusion import inclusion_probability
from traceanalytics.sampling.sampler_families import (
    FAMILIES,
    family_decisions,
    fnv1a_14,
    fnv1a_64,
    hash_buckets,
    refinery_hash,
)
from traceanalytics.sampling.span_thresholds import randomness_of, thresholds_of
from traceanalytics.sampling.thresholds import (
    SCALE,
    adjusted_count,
    decide,
    normalise_th,
    probability,
    randomness,
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

THRESHOLDS = st.integers(0, SCALE - 1) | st.integers(0, 56).map(lambda n: SCALE - (1 << n))
TH = THRESHOLDS.map(threshold_text)
RV = THRESHOLDS.map("{:014x}".format)
KEYS = st.from_regex(r"[a-z0-9][a-z0-9_\-*/@]{0,8}", fullmatch=True).filter(lambda key: key != "ot")
VALUES = st.from_regex(r"[ -+\--<>-~]{0,6}[!-+\--<>-~]", fullmatch=True).map(str.strip)
EXTRA = st.from_regex(r"[a-z][a-z0-9]{2,4}:[A-Za-z0-9._\-]{0,6}", fullmatch=True)
STATES = st.builds(
    TraceState,
    st.none() | TH,
    st.none() | RV,
    st.lists(EXTRA, max_size=3, unique_by=lambda pair: pair.split(":")[0]).map(tuple),
    st.dictionaries(KEYS, VALUES, max_size=4),
)
PIECES = [
    "ot=",
    "th:",
    "rv:",
    "c",
    "8",
    "0",
    "d29d6a7215ced0",
    "fd70a",
    ";",
    ",",
    " ",
    "v=1",
    "x:y",
    "=",
    "C",
    "0x",
    "é",
    "\n",
    "ot",
    "\t",
    "k=v,",
    "a@b=1",
    ":",
    "_",
    "x" * 250,
]


@given(THRESHOLDS)
def test_text_and_number_are_two_forms_of_one_threshold(value):
    text = threshold_text(value)
    assert int(text.ljust(14, "0"), 16) == value
    assert normalise_th(text.ljust(14, "0")) == text
    assert probability(text) == probability(value) == (SCALE - value) / SCALE
    assert adjusted_count(text) == pytest.approx(1 / probability(text))


@given(st.floats(2.0**-56, 1), st.none() | st.integers(1, 14))
@example(1 - 2.0**-53, 1)
@example(2.0**-56, 1)
@example(math.nextafter(1 / 16, 0), 1)
def test_thresholds_are_near_their_probability(p, precision):
    value = threshold(p, precision=precision)
    assert 0 <= value < SCALE
    digits = 14 if precision is None else precision
    # Leading digits do not count, so that the error is relative to p and to 1 - p.
    assert abs(probability(value) - p) <= 16.0**-digits * 8 * min(p, max(1 - p, 16.0**-13)) + 2.0**-56


@pytest.mark.parametrize("p", [0, -0.1, 2.0**-57, 1.0000001, math.nan, math.inf, "0.5"])
def test_what_is_no_probability(p):
    with pytest.raises(OptionError, match="no probability of sampling"):
        threshold(p)


@pytest.mark.parametrize("precision", [0, 15, 1.5, True])
def test_what_is_no_precision(precision):
    with pytest.raises(OptionError, match="no number of hex digits"):
        threshold(0.5, precision=precision)


@pytest.mark.parametrize("th", ["", "0x1", "1_0", "+1", " 1", "C", "c\n", "\u0661", "c" * 15])
def test_lax_texts_are_no_thresholds(th):
    with pytest.raises(OptionError, match="th"):
        probability(th)
    assert parse_ot(f"th:{th}").errors


@pytest.mark.parametrize("value", [-1, SCALE, True, 1.5])
def test_numbers_out_of_range(value):
    with pytest.raises(OptionError, match=r"threshold=.* is out of range"):
        threshold_text(value)
    with pytest.raises(OptionError, match=r"randomness=.* is out of range"):
        decide(value, 0)


def test_randomness_comes_from_rv_before_the_id():
    assert randomness("f" * 32, rv="0" * 13 + "1") == 1
    assert randomness("1" * 18 + "0" * 13 + "2") == 2
    assert randomness("0" * 13 + "3") == 3
    for bad in ("", "123", "G" * 32, "A" * 32):
        with pytest.raises(OptionError, match="has no randomness"):
            randomness(bad)
    with pytest.raises(OptionError, match="rv='1' is no randomness"):
        randomness("f" * 32, rv="1")


@given(STATES)
def test_what_is_written_is_read_back(state):
    assert parse_tracestate(write_tracestate(state)) == state


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ot=th:c,vendor", "member"),
        ("Ot=th:c", "key"),
        ("ot =th:c", "key"),
        ("v=", "value"),
        ("v=a=b", "value"),
        ("v=" + "x" * 257, "value"),
        ("v=1,ot=th:c,v=2", "duplicate"),
        (",".join(f"k{n}=v" for n in range(33)), "members"),
        ("ot=th:c;", "syntax"),
        ("ot=th:C", "syntax"),
        ("ot=th:", "th_empty"),
        ("ot=th:" + "c" * 15, "th_size"),
        ("ot=rv:1", "rv_size"),
        ("ot=rv:0xabababababab", "syntax"),
        ("ot=th:c;th:c", "duplicate_key"),
        ("ot=x:" + "a" * 255, "value"),
    ],
)
def test_rejections_have_their_reason(text, code):
    state = parse_tracestate(text)
    assert [error.code for error in state.errors] == [code]
    assert state.errors[0].reason
    assert state.adjusted_count is None


def test_a_bad_ot_member_leaves_the_others_and_a_bad_member_voids_all():
    assert parse_tracestate("a=1,ot=th:0x1;rv:d29d6a7215ced0,b=2").other == {"a": "1", "b": "2"}
    assert parse_tracestate("a=1,ot=th:0x1;rv:d29d6a7215ced0,b=2").rv == "d29d6a7215ced0"
    assert parse_tracestate("a=1,B=2").other == {}


def test_empty_members_and_blanks_around_members_are_allowed():
    assert parse_tracestate(" a=1 \t,, ,ot=th:c\t") == TraceState(th="c", other={"a": "1"})
    assert parse_tracestate("") == TraceState()
    assert len(parse_tracestate(",".join(f"k{n}=v" for n in range(32))).other) == 32


def test_levels_of_the_standard():
    assert parse_tracestate("1a=v").other == parse_tracestate("1a=v,", level=2).other == {"1a": "v"}
    assert parse_tracestate("1a=v", level=1).errors[0].code == "key"
    with pytest.raises(OptionError, match="level=3"):
        parse_tracestate("", level=3)


def test_writing_makes_room():
    full = TraceState(th="c", other={f"k{n}": "v" for n in range(32)})
    assert list(parse_tracestate(write_tracestate(full)).other) == [f"k{n}" for n in range(31)]
    long = TraceState(th="c", rv="d29d6a7215ced0", extra=("a:" + "x" * 228, "b:1"))
    assert parse_tracestate(write_tracestate(long)).extra == long.extra[:1]
    with pytest.raises(OptionError, match="rv '1' has 1 digit"):
        write_tracestate(TraceState(rv="1"))


@given(THRESHOLDS, THRESHOLDS)
def test_a_stage_only_thins_out(first, second):
    state = TraceState(th=threshold_text(first))
    if second < first:
        with pytest.raises(OptionError, match="lies below the present one"):
            raise_threshold(state, second)
    else:
        assert raise_threshold(state, second).th == threshold_text(second)


@given(
    THRESHOLDS, st.none() | TH, st.floats(0, 120), st.sampled_from(["equalizing", "proportional"]), st.integers(1, 14)
)
def test_stages_agree_with_their_own_threshold(bits, th, percentage, mode, precision):
    rv = f"{bits:014x}"
    passage = pass_stage(TraceState(th=th, rv=rv), "", percentage=percentage, mode=mode, precision=precision)
    if passage.errors:
        assert passage.errors[0].code == "inconsistent"
        assert not passage.sampled
    if passage.sampled:
        assert decide(bits, int(passage.state.th.ljust(14, "0"), 16))
        assert probability(passage.state.th) <= (1 if th is None else probability(th))


def test_stages_refuse_what_is_no_percentage():
    with pytest.raises(OptionError, match="no percentage"):
        pass_stage(TraceState(), "1" * 32, percentage=math.nan)
    with pytest.raises(OptionError, match="mode='both'"):
        pass_stage(TraceState(), "1" * 32, percentage=1, mode="both")
    assert pass_stage(TraceState(), "no id", percentage=50).errors[0].code == "trace_id"


@given(
    st.lists(
        st.none() | st.lists(st.sampled_from(PIECES), max_size=6).map("".join) | STATES.map(write_tracestate),
        max_size=8,
    )
)
@example(["ot=rv:d29d6a7215ced0th:c", "ot=;th:c", "ot=", "ot=th:c;rv:d29d6a7215ced0", "ot=rv:d29d6a7215ced0;th:c"])
@example(
    [
        "ot=th:c,ot=th:c",
        "v=1,ot=th:c,v=2",
        "v=1,ot= th:c",
        "v= ,ot=th:c",
        "v=1,ot=th:c;x:y \t",
        "v=1\t2,ot=th:c",
        "V=1,ot=th:c",
    ]
)
@example(["v=" + "x" * 256 + ",ot=th:0x1;rv:d29d6a7215ced0", "v=" + "x" * 256 + ",ot=rv:d29d6a7215ced0"])
@example([",".join(f"k{n}=v" for n in range(32)) + ",ot=th:c", ",".join(f"k{n}=v" for n in range(31)) + ",ot=th:c"])
@example(
    [
        "ot=" + "a:;" * 84 + "th:c",
        "ot=" + "a:;b:;" * 20 + "th:c",
        "ot=" + "".join(f"k{n}:;" for n in range(40)) + "th:c",
    ]
)
@example(
    [
        "a" * 256 + "=v,ot=th:c",
        "a" * 257 + "=v,ot=th:c",
        "a=1,b=2,a=3,ot=th:c",
        "a=\x7f,ot=th:c",
        "a=é,ot=th:c",
        "é=a,ot=th:c",
    ]
)
@example(["v=1,ot=th:0x1;rv:d29d6a7215ced0", "v=a=b,ot=th:c", "not=th:c", "v=" + "x" * 257 + ",ot=th:c", ",ot=th:c"])
def test_columns_say_what_single_texts_say(texts):
    ids = [f"{n:032x}" for n in range(len(texts))]
    spans = pd.DataFrame(
        {"trace_id": pd.Series(ids, dtype="category"), "trace_state": pd.Series(texts, dtype="str")}
    ).iloc[::-1]
    for compiled in (True, False):
        with forced(compiled):
            values, bits = thresholds_of(spans), randomness_of(spans)
        _check_columns(texts, ids, values, bits)


def _check_columns(texts, ids, values, bits):
    assert values.index.tolist() == list(range(len(texts)))[::-1]
    assert (values.dtype, bits.dtype) == ("UInt64", "UInt64")
    for row, text in enumerate(texts):
        state = TraceState() if text is None else parse_tracestate(text)
        claims = text is not None and any(part.strip(" \t").startswith("ot=") for part in text.split(","))
        wanted = None if state.errors or state.th is None else int(state.th.ljust(14, "0"), 16)
        assert (None if pd.isna(values[row]) else values[row]) == wanted
        bit = None if state.errors and claims else randomness(ids[row], rv=state.rv)
        assert (None if pd.isna(bits[row]) else bits[row]) == bit


@pytest.mark.parametrize("dtype", ["str", "category", "object"])
def test_columns_of_any_text_type(dtype):
    spans = pd.DataFrame(
        {"trace_id": ["f" * 32, "short", None], "trace_state": ["ot=th:c", None, "v=1"]}, index=[7, 3, 5]
    )
    spans = spans.astype(dtype)
    assert thresholds_of(spans).fillna(1).to_dict() == {7: 0xC0000000000000, 3: 1, 5: 1}
    assert randomness_of(spans).fillna(1).to_dict() == {7: SCALE - 1, 3: 1, 5: 1}


def test_columns_of_empty_frames_and_of_frames_without_the_column():
    empty = pd.DataFrame({"trace_id": pd.Series(dtype="category"), "trace_state": pd.Series(dtype="str")})
    assert len(thresholds_of(empty)) == len(randomness_of(empty)) == 0
    with pytest.raises(SchemaError, match="lacks the column 'trace_state'"):
        thresholds_of(empty[["trace_id"]])


def test_decisions_of_columns_keep_the_share_of_the_threshold():
    rng = np.random.default_rng(3)
    ids = [f"{high:016x}{low:016x}" for high, low in rng.integers(0, 2**63, (4000, 2)).tolist()]
    bits = randomness_of(pd.DataFrame({"trace_id": ids, "trace_state": pd.Series([None] * 4000, dtype="str")}))
    assert (bits >= threshold(0.25)).mean() == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_keep_their_share_of_random_ids(family):
    rng = np.random.default_rng(11)
    ids = [f"{a:016x}{b:016x}" for a, b in rng.integers(0, 2**64, (20_000, 2), dtype=np.uint64).tolist()]
    for p in (0, 0.1, 0.5, 0.9):
        assert family_decisions(ids, family=family, p=p).mean() == pytest.approx(p, abs=0.015)
    assert family_decisions(ids, family=family, p=1).all()
    assert not family_decisions(ids, family=family, p=1e-17)[:100].any()
    nested = family_decisions(ids, family=family, p=0.1) & ~family_decisions(ids, family=family, p=0.3)
    assert not nested.any()


@pytest.mark.parametrize(
    ("family", "kept"), [("go", 0), ("python", 0), ("java", 0), ("jaeger", 1), ("dotnet", 0.5), ("otel", 0.5)]
)
def test_ids_with_fixed_bits_meet_samplers_that_look_at_them(family, kept):
    """The first bits of the low half of a UUID are 10, so that no ratio up to one half keeps any, or all of them."""
    rng = np.random.default_rng(12)
    halves = rng.integers(0, 2**62, (2000, 2), dtype=np.uint64) * np.array([4, 1], np.uint64)
    ids = [f"{a:016x}{b + 2**63:016x}" for a, b in halves.tolist()]
    assert family_decisions(ids, family=family, p=0.5).mean() == pytest.approx(kept, abs=0.1)


def test_families_take_short_ids_and_refuse_others():
    assert family_decisions(["1"], family="go", p=0.1).tolist() == [True]
    assert family_decisions([], family="go", p=0.1).tolist() == []
    for bad in ("g" * 32, "1" * 33, "0x1", "1 ", "é"):
        with pytest.raises(OptionError, match="no hex number of at most 32 digits"):
            family_decisions(["1", bad], family="go", p=0.1)
    with pytest.raises(OptionError, match=r"p=1\.5 is no ratio"):
        family_decisions(["1"], family="go", p=1.5)
    with pytest.raises(OptionError, match="did you mean 'python'"):
        family_decisions(["1"], family="pyton", p=0.5)


def test_hashes_of_columns_are_those_of_single_ids():
    ids = [bytes([n, 255 - n, 7]) for n in range(50)]
    assert fnv1a_14(ids, seed=22).tolist() == [int(fnv1a_14([each], seed=22)[0]) for each in ids]
    assert fnv1a_64(ids).tolist() == [int(fnv1a_64([each])[0]) for each in ids]
    assert fnv1a_64([b"a"], salt="")[0] == 0xAF63DC4C8601EC8C  # published with the algorithm
    assert len(fnv1a_14([], seed=0)) == len(refinery_hash([])) == 0
    with pytest.raises(OptionError, match="differ in length"):
        fnv1a_64([b"a", b"ab"])
    with pytest.raises(OptionError, match="seed=-1"):
        fnv1a_14(ids, seed=-1)
    with pytest.raises(OptionError, match="percentage=-1"):
        hash_buckets(-1)


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), max_size=5))
def test_joint_inclusion_lies_within_its_bounds(rows):
    p = pd.DataFrame(rows, columns=["a", "b", "c"], index=range(5, 5 + len(rows)), dtype="float64")
    found = {
        (joint, stages): inclusion_probability(p, joint=joint, stages=stages)
        for joint in ("consistent", "independent")
        for stages in ("any", "all")
    }
    assert all(each.index.equals(p.index) for each in found.values())
    assert (found["independent", "any"] >= found["consistent", "any"] - 1e-12).all()
    assert (found["independent", "all"] <= found["consistent", "all"] + 1e-12).all()
    assert (found["consistent", "any"] >= found["consistent", "all"]).all()


def test_joint_inclusion_refuses_what_is_no_probability_and_keeps_the_unknown_unknown():
    assert inclusion_probability(pd.DataFrame({"a": [0.5], "b": [np.nan]})).isna().all()
    with pytest.raises(OptionError, match=r"'a' holds 1\.5 at 7"):
        inclusion_probability(pd.DataFrame({"a": [1.5]}, index=[7]))
    with pytest.raises(OptionError, match="has no column"):
        inclusion_probability(pd.DataFrame(index=[1]))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("00-" + "A" * 32 + "-" + "1" * 16 + "-01", "syntax"),
        ("ff-" + "1" * 32 + "-" + "1" * 16 + "-01", "version"),
        ("00-" + "1" * 32 + "-" + "1" * 16 + "-01-more", "length"),
        ("cc-" + "1" * 32 + "-" + "1" * 16 + "-01.more", "syntax"),
        ("00-" + "0" * 32 + "-" + "1" * 16 + "-01", "trace_id"),
        ("00-" + "1" * 32 + "-" + "0" * 16 + "-01", "span_id"),
    ],
)
def test_traceparents_that_are_rejected(text, code):
    parsed = parse_traceparent(text)
    assert [error.code for error in parsed.errors] == [code]
    assert parsed.sampled is None


def test_traceparents_of_later_versions_may_go_on():
    parsed = parse_traceparent("cc-" + "1" * 32 + "-" + "2" * 16 + "-fd-more")
    assert (parsed.trace_id, parsed.span_id, parsed.sampled, parsed.random) == ("1" * 32, "2" * 16, True, False)


@given(THRESHOLDS, st.floats(0, 1), st.none() | TH)
def test_head_samplers(bits, ratio, th):
    parent = TraceState(th=th)
    found = head_decision("ratio", bits=bits, ratio=ratio, parent=parent)
    assert found.sampled == (ratio >= 2.0**-56 and bits >= threshold(ratio))
    assert (found.th is None) != found.sampled
    assert head_decision("always_on", bits=bits) == (True, "0", True)
    assert not head_decision("always_off", bits=bits).sampled
    followed = head_decision("parent_threshold", bits=bits, parent=parent, parent_sampled=True)
    if th is None:
        assert followed == (True, None, False)
    else:
        assert followed.sampled == decide(bits, int(th.ljust(14, "0"), 16))


def test_head_samplers_check_their_options():
    with pytest.raises(OptionError, match="sampler='never'"):
        head_decision("never", bits=0)
    with pytest.raises(OptionError, match="ratio=2 is no ratio"):
        head_decision("ratio", bits=0, ratio=2)
