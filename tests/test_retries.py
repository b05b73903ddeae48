"""Retries: attempts, outcome, cost, and what only looks like one."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from small_traces import EPOCH_NS, draw, frame, id_of, large_trace, name_of, random_rows

from traceanalytics.analysis.fingerprints import fingerprint_codes
from traceanalytics.analysis.retry_evidence import find_retries
from traceanalytics.analysis.retry_groups import retries
from traceanalytics.errors import FormatError, OptionError, SchemaError
from traceanalytics.io.formats import read
from traceanalytics.kernels import forced
from traceanalytics.spans.error_rule import is_error
from traceanalytics.topology import Forest

COLUMNS = [
    "trace_id",
    "caller_span_id",
    "service",
    "name",
    "callee",
    "evidence",
    "attempts",
    "failed_attempts",
    "outcome",
    "backoff_ms",
    "wasted_ms",
    "wasted_path_ms",
    "first_span_id",
    "last_span_id",
    "span_ids",
    "weight",
]


def names(texts):
    return ["".join(name_of(i) for i in json.loads(text)) for text in texts]


def groups(text, **columns):
    return names(retries(draw(text).assign(**columns)).span_ids)


def event_cell(*items):
    return json.dumps(
        [{"time": EPOCH_NS + round(ms * 1e6), "name": name, "attributes": {}} for ms, name in items],
        separators=(",", ":"),
    )


def test_recovered():
    spans = draw("""
        r web 0-100
          a web 0-20  CLIENT ERROR name=call
            s pay 5-15 SERVER ERROR name=serve
          b web 30-50 CLIENT ERROR name=call
          c web 70-90 CLIENT name=call
            t pay 75-85 SERVER name=serve
    """)
    found = retries(spans)
    assert found.columns.tolist() == COLUMNS
    assert found.drop(columns=["trace_id"]).to_dict("records") == [
        {
            "caller_span_id": id_of("r"),
            "service": "web",
            "name": "r",
            "callee": "CLIENT call",
            "evidence": "siblings",
            "attempts": 3,
            "failed_attempts": 2,
            "outcome": "recovered",
            "backoff_ms": 30.0,
            "wasted_ms": 40.0,
            "wasted_path_ms": 40.0,
            "first_span_id": id_of("a"),
            "last_span_id": id_of("c"),
            "span_ids": json.dumps([id_of("a"), id_of("b"), id_of("c")]),
            "weight": 1.0,
        }
    ]


def test_exhausted_and_off_the_path():
    found = retries(
        draw("""
        r web 0-100
          a web 0-20  ERROR name=call
          b web 30-50 ERROR name=call
          x web 0-95  name=other
    """)
    ).iloc[0]
    assert (found.outcome, found.attempts, found.failed_attempts) == ("exhausted", 2, 2)
    assert (found.backoff_ms, found.wasted_ms, found.wasted_path_ms) == (10.0, 40.0, 0.0)


@pytest.mark.parametrize(
    ("children", "expected"),
    [
        ("a w 0-9 ERROR\nb w 9-20", ["ab"]),  # no pause
        ("a w 0-9\nb w 10-20 ERROR", []),  # nothing after the failure
        ("a w 0-9 ERROR", []),
        ("a w 0-9\nb w 10-20", []),
        ("a w 0-9 ERROR\nb w 10-20\nc w 21-30 ERROR\nd w 31-40", ["ab", "cd"]),
        ("a w 0-9 ERROR\nb w 10-20\nc w 21-30\nd w 31-40 ERROR\ne w 41-50 ERROR", ["ab", "de"]),
        ("a w 0-9 ERROR\nb w 8.1-20", ["ab"]),  # within the tolerance of 1 ms
        ("a w 0-9 ERROR\nb w 7.9-20", []),
        ("a w 0-500 ERROR\nb w 496-996", ["ab"]),  # within 1 %
        ("a w 0-500 ERROR\nb w 494-994", []),
        ("a w 0-0.6 ERROR\nb w 0.2-0.8", []),  # quick calls: not within half of the shorter one
        ("a w 0-0.6 ERROR\nb w 0.3-0.9", ["ab"]),
        ("a w 0-30\nb w 5-20 ERROR\nc w 40-60", []),  # hedged: b was cancelled when a came
        ("a w 0-30 ERROR\nb w 5-20 ERROR\nc w 6-7 ERROR\nd w 40-60 ERROR\ne w 70-80", ["de"]),
        ("a w 0-9 ERROR\nb w 10-20 name=other", []),
        ("a w 0-9 ERROR\nb w 10-20 CLIENT", []),
        ("b w 10-20\na w 10-10 ERROR", ["ab"]),
        ("a w 5-5 ERROR\nb w 5-5\n", ["ab"]),  # clocks of whole milliseconds: the failed one came first
        ("b w 5-5 ERROR\na w 5-5\n", ["ba"]),
        ("a w 0-9 ERROR\nb w ?-?", []),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_siblings(children, expected, compiled):
    lines = [f"  {line} name=call" if "name=" not in line else f"  {line}" for line in children.splitlines()]
    with forced(compiled):
        assert groups("\n".join(["r web 0-999", *lines])) == expected


def test_attempts_have_one_parent():
    assert groups("r w 0-99\n p w 0-50\n  a w 0-9 ERROR name=c\n q w 50-99\n  b w 50-60 name=c") == []
    assert groups("a w 0-9 ERROR name=c\nb w 10-20 name=c") == []  # roots


def test_a_failed_call_of_a_loop_is_no_retry():
    calls = "\n".join(f"  c{i} w {i * 10}-{i * 10 + 9} CLIENT name=GET/item/{i} {'ERROR' * (i == 3)}" for i in range(9))
    assert groups("r w 0-100\n" + calls) == []
    same = "\n".join(f"  c{i} w {i * 10}-{i * 10 + 9} CLIENT name=GET/item/1 {'ERROR' * (i == 3)}" for i in range(9))
    assert groups("r w 0-100\n" + same) == ["c3c4"]
    told = "\n".join(f"  c{i} w {i * 10}-{i * 10 + 9} name=attempt/{i} {'ERROR' * (i < 2)}" for i in range(3))
    assert groups("r w 0-100\n" + told) == ["c0c1c2"]


@pytest.mark.parametrize("key", ["span.db.statement", "span.url.full"])
def test_different_requests_are_no_attempts_of_one(key):
    text = "r w 0-99\n a w 0-9 CLIENT ERROR name=q\n b w 1-10 CLIENT ERROR name=q\n c w 20-30 CLIENT name=q\n d w 21-31 CLIENT name=q"
    values = ["http://x/i/1", "http://x/i/2", "http://x/i/1", "http://x/i/2"]
    assert groups(text, **{key: [None, *values]}) == ["ac", "bd"]  # two workers, each tries its own again
    assert groups(text, **{key: [None, *values[:2], "http://x/i/3", "http://x/i/4"]}) == []


def test_an_unfinished_attempt_leaves_the_outcome_open():
    found = retries(draw("r w 0-99\n a w 0-9 ERROR name=c\n b w 10-19 ERROR name=c\n u w 20-? name=c")).iloc[0]
    assert (found.outcome, found.attempts) == ("unknown", 2)


def test_a_client_error_by_its_http_status():
    spans = draw("r w 0-99\n a w 0-9 CLIENT name=c\n b w 10-19 CLIENT name=c")
    spans["span.http.status_code"] = pd.array([None, 503, 200], dtype="Int64")
    assert names(retries(spans).span_ids) == ["ab"]


LOOP = "r w 0-99\n a w 0-9 CLIENT ERROR name=c\n b w 10-19 CLIENT ERROR name=c\n d w 20-29 CLIENT {} name=c"


@pytest.mark.parametrize(
    ("key", "codes", "expected"),
    [
        ("http.response.status_code", [422, 422, 422], []),  # three items
        ("http.status_code", [404, 400, 409], []),
        ("http.response.status_code", [408, 408, 408], ["abd"]),
        ("http.response.status_code", [425, 425, 425], ["abd"]),
        ("http.response.status_code", [429, 429, 429], ["abd"]),
        ("http.response.status_code", [499, 499, 499], ["abd"]),  # given up by the client
        ("http.response.status_code", [503, 422, 422], ["abd"]),
        ("http.response.status_code", [422, None, 422], ["abd"]),
        ("error.type", [404, 404, 404], []),
        ("error.type", [500, 500, 500], ["abd"]),
        ("rpc.grpc.status_code", [3, 5, 6], []),
        ("rpc.grpc.status_code", [7, 9, 11], []),
        ("rpc.grpc.status_code", [12, 16, 16], []),
        ("rpc.grpc.status_code", [14, 14, 14], ["abd"]),
        ("rpc.grpc.status_code", [8, 10, 13], ["abd"]),
        ("rpc.response.status_code", ["INVALID_ARGUMENT", "NOT_FOUND", "StatusCode.UNAUTHENTICATED"], []),
        ("rpc.response.status_code", ["UNAVAILABLE", "NOT_FOUND", "NOT_FOUND"], ["abd"]),
    ],
)
def test_who_is_refused_for_what_it_asks_does_not_ask_again(key, codes, expected):
    values = pd.Series([None, *codes], dtype="str" if isinstance(codes[0], str) else "Int64")
    spans = draw(LOOP.format("ERROR"))
    assert names(retries(spans.assign(**{f"span.{key}": values.array})).span_ids) == expected
    assert names(retries(spans.assign(**{f"span.{key}": values.astype("str").array})).span_ids) == expected


def test_a_success_after_a_refusal_shows_that_it_was_tried_again():
    spans = draw("r w 0-99\n a w 0-9 CLIENT ERROR name=c\n b w 10-19 CLIENT name=c")
    found = retries(spans.assign(**{"span.http.response.status_code": [None, 401, 200]}))  # a token was renewed
    assert (names(found.span_ids), found.outcome.tolist()) == (["ab"], ["recovered"])


def test_a_refused_call_that_says_that_it_is_an_attempt_is_one():
    spans = draw(LOOP.format("ERROR")).assign(**{"span.http.response.status_code": [200, 422, 422, 422]})
    assert len(retries(spans)) == 0
    counted = spans.assign(**{"span.http.request.resend_count": pd.array([None, None, 1, 2], dtype="Int64")})
    assert (names(retries(counted).span_ids), retries(counted).evidence.tolist()) == (["abd"], ["attributes"])
    told = retries(spans.assign(events=[None, None, None, event_cell((25, "retry"))]))
    assert (names(told.span_ids), told.evidence.tolist()) == (["d"], ["events"])
    named = spans.assign(name=pd.Categorical(["r", "c", "c (retry 1)", "c (retry 2)"]))
    assert names(retries(named).span_ids) == ["abd"]
    asked = spans.assign(**{"span.url.full": [None, "http://h/c", "http://h/c?retry=1", "http://h/c?retry=2"]})
    assert names(retries(asked).span_ids) == ["abd"]


@pytest.mark.parametrize(
    "text", ["ThrottlingException: Rate exceeded", "Too Many Requests", "context deadline exceeded"]
)
@pytest.mark.parametrize("column", ["status_message", "span.error.type"])
def test_who_is_told_to_come_later_asks_again(column, text):
    spans = draw(LOOP.format("ERROR")).assign(**{"span.http.response.status_code": [200, 400, 400, 400]})
    assert (
        groups(LOOP.format("ERROR"), **{"span.http.response.status_code": spans["span.http.response.status_code"]})
        == []
    )
    assert names(retries(spans.assign(**{column: pd.array([None, text, text, text], dtype="str")})).span_ids) == ["abd"]


@pytest.mark.parametrize(
    "key", ["http.request.resend_count", "http.resend_count", "retry.count", "previous-rpc-attempts"]
)
def test_attributes(key):
    spans = draw("""
        r w 0-99
          a w 0-10  CLIENT name=c
          b w 12-20 CLIENT name=c
          c w 25-30 CLIENT name=c
          d w 40-50 CLIENT name=d
    """)
    found = retries(spans.assign(**{f"span.{key}": pd.array([None, None, 1, 2, 3], dtype="Int64")}))
    assert names(found.span_ids) == ["abc", "d"]
    assert found.evidence.tolist() == ["attributes"] * 2
    assert found.attempts.tolist() == [3, 4]
    assert found.failed_attempts.tolist() == [2, 3]
    assert found.outcome.tolist() == ["recovered"] * 2
    assert found.backoff_ms.iloc[0] == 7.0
    assert found.wasted_ms.iloc[0] == found.wasted_path_ms.iloc[0] == 18.0
    assert (
        found.loc[1, ["backoff_ms", "wasted_ms", "wasted_path_ms"]].isna().all()
    )  # three attempts are not in the frame


def test_attributes_as_texts_and_on_roots():
    spans = draw("a w 0-10 CLIENT ERROR", "b w 0-? CLIENT", "c w 0-9").assign(
        **{"span.http.resend_count": ["2", "1", "many"]}
    )
    found = retries(spans)
    assert found.attempts.tolist() == [3, 2]
    assert found.outcome.tolist() == ["exhausted", "unknown"]
    assert found.caller_span_id.isna().all()
    assert found.service.tolist() == ["w", "w"]


def test_siblings_come_before_attributes_and_events():
    spans = draw("r w 0-99\n a w 0-9 ERROR name=c\n b w 10-19 name=c")
    spans["span.http.request.resend_count"] = pd.array([None, None, 1], dtype="Int64")
    spans["events"] = [None, None, event_cell((11, "retry"))]
    found = retries(spans)
    assert (names(found.span_ids), found.evidence.tolist()) == (["ab"], ["siblings"])


@pytest.mark.parametrize(
    ("events", "attempts"),
    [
        ([(10, "retry"), (20, "Retrying request")], 3),
        ([(10, "http.retry")], 2),
        ([(1, "attempt"), (10, "attempt"), (20, "attempt")], 3),
        ([(1, "attempt"), (10, "attempt"), (10, "retry")], 2),
        ([(10, "retry"), (20, "retries exhausted")], 2),
        ([(10, "attempt")], None),
        ([(10, "exception")], None),
        ([(10, "retry limit exceeded")], None),
    ],
)
def test_events(events, attempts):
    spans = draw("r w 0-99\n a w 0-50 CLIENT")
    found = retries(spans.assign(events=[None, event_cell(*events)]))
    assert found.attempts.tolist() == ([] if attempts is None else [attempts])
    assert found.evidence.tolist() == ["events"] * len(found)


def test_what_events_cost():
    spans = draw("r w 0-99\n a w 0-50 CLIENT\n b w 50-90 CLIENT ERROR")
    spans["events"] = [None, event_cell((30, "retry")), event_cell((60, "retry"))]
    found = retries(spans)
    assert found.outcome.tolist() == ["recovered", "exhausted"]
    assert found.wasted_ms.tolist() == [30.0, 40.0]
    assert found.wasted_path_ms.isna().tolist() == [True, False]
    assert found.wasted_path_ms.iloc[1] == 40.0
    assert found.backoff_ms.isna().all()
    broken = spans.assign(events=[None, '[{"retry":', None])
    with pytest.raises(SchemaError, match="events of the span at index 1"):
        retries(broken)


def reference(spans):
    """Sets of rows, by comparing every call of a parent and fingerprint with every other."""
    forest, codes, failed = Forest(spans), fingerprint_codes(spans).codes, is_error(spans).to_numpy()
    found = set()
    for parent in range(len(spans)):
        for code in set(codes[forest.children_of(parent)].tolist()):
            calls = [int(r) for r in forest.children_of(parent) if codes[r] == code and forest.timed[r]]
            if not any(failed[calls]):
                continue
            calls.sort(key=lambda r: (forest.start[r], forest.end[r], not failed[r]))
            apart = set()
            for i, x in enumerate(calls):
                for y in calls[i + 1 :]:
                    overlap = min(forest.end[x], forest.end[y]) - forest.start[y]
                    short = min(forest.end[x] - forest.start[x], forest.end[y] - forest.start[y])
                    if overlap > min(max(1_000_000, short // 100), short // 2):
                        apart |= {x, y}
            run = []
            for call in [*calls, None]:
                if call is None or call in apart:
                    found |= {tuple(run)} if len(run) > 1 else set()
                    run = []
                    continue
                run.append(call)
                if not failed[call]:
                    found |= {tuple(run)} if len(run) > 1 else set()
                    run = []
    return found


@pytest.mark.parametrize("seed", range(4))
def test_random_traces_match_the_reference(seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(seed, 300, horizon=200, unit_ns=300_000)
    for row in rows:
        row |= {"name": "op", "service": "a", "kind": "CLIENT", "status": "ERROR" if rng.random() < 0.6 else "UNSET"}
        row["duration_ns"] = row["duration_ns"] // 8
    spans = frame(rows)
    expected = reference(spans)
    assert len(expected) > 50
    for compiled in (False, True):
        with forced(compiled):
            found = find_retries(spans, Forest(spans), is_error(spans).to_numpy(), fingerprint_codes(spans))
        cuts = found.offsets.tolist()
        assert {tuple(found.rows[a:b].tolist()) for a, b in itertools.pairwise(cuts)} == expected


def several(seed=1):
    rng = np.random.default_rng(seed)
    rows = random_rows(seed, 80)
    for row in rows:
        row |= {"name": "op", "service": "a", "kind": "CLIENT", "status": "ERROR" if rng.random() < 0.6 else "UNSET"}
    return frame(rows)


def test_neither_row_order_nor_index_nor_time_nor_ids_matter():
    spans = several()
    found = retries(spans)
    assert len(found) > 5
    key = ["trace_id", "first_span_id"]
    mixed = retries(spans.sample(frac=1, random_state=2))
    pd.testing.assert_frame_equal(
        mixed.sort_values(key, ignore_index=True),
        found.sort_values(key, ignore_index=True),
        check_categorical=False,
    )
    later = retries(spans.assign(start_time=spans.start_time + pd.Timedelta("400D")).set_axis(spans.index * 7 + 3))
    pd.testing.assert_frame_equal(later, found)
    renamed = {i: f"{n + 99:016x}" for n, i in enumerate(sorted(set(spans.span_id)))}
    others = spans.assign(
        span_id=spans.span_id.map(renamed).astype("str"),
        parent_span_id=spans.parent_span_id.map(lambda i: renamed.get(i, i)).astype("str"),
    )
    columns = ["attempts", "outcome", "backoff_ms", "wasted_ms", "wasted_path_ms"]
    pd.testing.assert_frame_equal(retries(others)[columns], found[columns])


def test_weights():
    spans = several()
    found = retries(spans)
    pd.testing.assert_frame_equal(retries(spans.assign(w=1), weights="w"), found)
    twice = retries(spans, weights=pd.Series(2.0, index=spans.index))
    pd.testing.assert_frame_equal(twice, found.assign(weight=2.0))
    with pytest.raises(OptionError, match="weights='ww'"):
        retries(spans.assign(w=1), weights="ww")


def test_empty_and_plain_text_columns():
    spans = several()
    assert retries(draw()).dtypes.astype(str).tolist() == retries(spans).dtypes.astype(str).tolist()
    text = retries(spans.astype({"name": "str", "service": "str", "trace_id": "str", "kind": "str"}))
    assert text.trace_id.dtype == "str"
    assert text.span_ids.tolist() == retries(spans).span_ids.tolist()
    before = spans.copy()
    retries(spans)
    pd.testing.assert_frame_equal(spans, before)


def test_duplicates_count_once():
    spans = draw("r w 0-99\n a w 0-9 ERROR name=c\n b w 10-19 name=c\n a w 0-9 ERROR name=c")
    assert retries(spans).attempts.tolist() == [2]


@pytest.mark.parametrize("shape", ["star", "chain"])
def test_a_hundred_thousand_spans(shape):
    found = retries(large_trace(shape, status="ERROR"))
    assert found.attempts.tolist() == ([99_999] if shape == "star" else [])


@pytest.mark.parametrize("pattern", ["jaeger_json/*.json", "otlp_json/*.json*", "zipkin_v2/*.json"])
def test_real_traces(corpus, pattern):
    files = sorted(corpus.glob(pattern))[:8]
    assert files
    for file in files:
        try:
            spans = read(file)
        except FormatError:  # no spans in it
            continue
        found = retries(spans)
        assert (found.attempts >= 2).all()
        assert (found.failed_attempts >= found.attempts - 1).all()
