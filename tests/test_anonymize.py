"""``anonymize``: nothing of the texts remains, everything of the structure does."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from small_traces import draw, frame, random_rows
from strategies import span_frames

import traceanalytics as ta
from traceanalytics.analysis.anonymity import anonymize
from traceanalytics.analysis.clock_offsets import clock_offsets
from traceanalytics.analysis.masks import STRUCTURE
from traceanalytics.analysis.quality import diagnose
from traceanalytics.errors import OptionError, SchemaError
from traceanalytics.semconv import spellings
from traceanalytics.spans.schema import CORE, KIND, STATUS, scope_and_key
from traceanalytics.topology import Forest

TOKEN = re.compile(r"(service|operation|message|scope|version|value)-[0-9a-f]{12}")
CHECKOUT = Path(__file__).parents[1] / "data" / "checkout.otlp.json"


def checkout():
    return ta.read(CHECKOUT)


def texts_in(value):
    """Every text in a cell, keys and values of JSON included."""
    if isinstance(value, dict):
        return {text for pair in value.items() for part in pair for text in texts_in(part)}
    if isinstance(value, list):
        return {text for part in value for text in texts_in(part)}
    return {str(value)}


def cells_in(column):
    found = set()
    for cell in column.dropna().astype("str").unique():
        found.add(cell)
        if cell[:1] in "[{":
            try:
                found |= texts_in(json.loads(cell))
            except ValueError:
                continue
    return found


def is_structure(name, text):
    pattern = STRUCTURE.get(spellings(scope_and_key(name)[1])[0])
    return pattern is not None and re.fullmatch(pattern, text) is not None


OPEN_KEYS = {"time", "name", "attributes", "trace_id", "span_id", "flags", "trace_state", "dropped_attributes"}
OPEN = OPEN_KEYS | {
    "exception",
    "message",
    "exception.type",
    "exception.message",
    "message.id",
    "true",
    "false",
    "True",
    "False",
}


def secrets_of(spans):
    """Every text of the frame longer than three characters that is not structure."""
    found = set()
    for name, column in spans.items():
        if name in ("kind", "status", "duration_ms", "trace_flags") or "dropped" in name:
            continue
        if name == "start_time":
            found |= set(column.dropna().astype("str"))
        else:
            found |= {text for text in cells_in(column) if not is_structure(name, text)}
    return {text for text in found - OPEN if len(text) > 3}


def everything_in(spans):
    """All that somebody who gets the frame can read: cells, labels, columns, index, attrs."""
    parts = [json.dumps(spans.attrs), " ".join(map(str, spans.columns)), " ".join(map(str, spans.index))]
    for name in spans.columns:
        column = spans[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            parts += [str(label) for label in column.cat.categories]
        parts += sorted(cells_in(column))
    return "\n".join(parts)


def leaks(spans, shared):
    text = everything_in(shared)
    return sorted(secret for secret in secrets_of(spans) if secret in text)


# -- nothing remains


def test_nothing_of_the_checkout_remains():
    spans = checkout()
    assert len(secrets_of(spans)) > 50
    assert leaks(spans, spans) == sorted(secrets_of(spans))  # the search finds what is there
    shared = anonymize(spans, seed="s")
    assert leaks(spans, shared) == []
    assert ta.read_report(shared) is None
    assert ta.read_report(spans) is not None


@given(span_frames())
def test_nothing_of_any_frame_remains(spans):
    shared = anonymize(spans, seed=b"s")
    # Few digits occur within any other number or token, by chance; an id or an instant does not.
    text = everything_in(shared)
    # Nor does a piece of a column's own name ("sour" of "resource") tell of what was named so.
    own = " ".join([*spans.columns[:16], "resource instrumentation span event link other_attributes"])
    telling = {s for s in secrets_of(spans) if (len(s) > 15 or re.search(r"[^0-9a-f.+e-]", s)) and s not in own}
    assert sorted(s for s in telling if s in text) == []


def test_nothing_of_real_traces_remains(shared):
    for name in ("opensearch_demo", "zipkin"):
        raw = pd.read_parquet(shared / "datasets" / "wild_samples" / f"{name}.parquet", dtype_backend="numpy_nullable")
        spans = ta.conform(raw)
        text = everything_in(anonymize(spans, seed="s"))
        telling = {s for s in secrets_of(spans) if len(s) > 7}
        # Words of the conventions are in the names of columns.
        assert [s for s in telling if s in text and s not in " ".join(spans.columns)] == []


def test_labels_of_other_traces_do_not_travel():
    spans = draw("a web 0-9", "b hidden 0-9").assign(mine=pd.Categorical(["x", "secret"]))
    some = spans.iloc[:1]
    for keep in ((), ("service", "name", "mine", "trace_id")):
        text = everything_in(anonymize(some, keep=keep, seed=1))
        assert "hidden" not in text
        assert "secret" not in text


def test_what_is_dropped():
    spans = draw("a web 0-9 trace_state=vendor=1").assign(mine="text", other_attributes='{"span.x":"text"}', w=3)
    spans["scope_schema_url"] = pd.Categorical(["https://example.org"])
    spans.index = ["label"]
    spans.index.name = "secret"
    spans.attrs["note"] = "secret"
    shared = anonymize(spans, seed=1)
    assert list(shared.columns) == list(CORE)
    assert shared["trace_state"].isna().all()
    assert shared.index.equals(pd.RangeIndex(1))
    assert shared.index.name is None
    assert shared.attrs == {}
    kept = anonymize(spans, seed=1, keep=["mine", "w", "other_attributes", "trace_state", "scope_schema_url"])
    assert kept["mine"].item() == "text"
    assert kept["w"].item() == 3
    assert kept["other_attributes"].item() == '{"span.x":"text"}'
    assert kept["trace_state"].item() == "vendor=1"
    assert kept["scope_schema_url"].item() == "https://example.org"


# -- tokens


def test_tokens_of_columns():
    shared = anonymize(checkout().assign(status_message="went wrong", scope_name="lib", scope_version="1.2"), seed=1)
    for column in (
        "name",
        "service",
        "status_message",
        "scope_name",
        "scope_version",
        "span.http.route",
        "span.server.address",
    ):
        assert shared[column].dropna().str.fullmatch(TOKEN).all(), column
    assert str(shared["status_message"].dtype) == "str"
    assert str(shared["service"].dtype) == "category"


def test_equal_values_have_equal_tokens_within_a_family():
    spans = checkout()
    shared = anonymize(spans, seed=1)
    for column in ("trace_id", "span_id", "name", "service", "span.http.route", "span.server.address"):
        pairs = set(zip(spans[column].astype("str"), shared[column].astype("str"), strict=True))
        assert len(pairs) == spans[column].nunique(dropna=False) == shared[column].nunique(dropna=False)
    of_service = dict(zip(spans["service"], shared["service"], strict=True))
    calls = zip(spans["span.server.address"].dropna(), shared["span.server.address"].dropna(), strict=True)
    assert {here: there for here, there in calls if here in of_service} == {
        k: of_service[k] for k in ("cart", "pricing", "payment")
    }
    again = spans.assign(**{"span.db.name": spans["span.db.namespace"], "span.note": spans["span.db.namespace"]})
    masked = anonymize(again, seed=1)
    assert masked["span.db.name"].equals(masked["span.db.namespace"])  # one key, older and newer
    note = next(c for c in masked.columns if c.startswith("span.key-") and masked[c].notna().sum() == 2)
    assert not set(masked[note].dropna()) & set(masked["span.db.namespace"].dropna())


def test_frames_of_one_seed_agree_and_of_two_do_not():
    spans = checkout()
    whole, part = anonymize(spans, seed="s"), anonymize(spans.iloc[3:7], seed="s")
    for column in ("trace_id", "span_id", "parent_span_id", "name", "service", "start_time"):
        assert part[column].astype("str").tolist() == whole[column].iloc[3:7].astype("str").tolist()
    other = anonymize(spans, seed="t")
    for column in ("trace_id", "span_id", "name", "service"):
        assert not set(other[column].astype("str")) & set(whole[column].astype("str"))
    assert other["start_time"][0] != whole["start_time"][0]
    pd.testing.assert_frame_equal(anonymize(spans, seed="s"), whole)
    pd.testing.assert_frame_equal(anonymize(spans, seed=b"s"), whole)
    pd.testing.assert_frame_equal(anonymize(spans, seed=7), anonymize(spans, seed="7"))


def test_tokens_are_drawn_from_the_secret():
    # A token is no plain hash of the value.
    one = draw("a web 0-9")
    assert len({anonymize(one, seed=seed)["service"].item() for seed in range(50)}) == 50


def test_ids():
    rows = [{"trace_id": t, "span_id": s, "parent_span_id": p} for t, s, p in [
        ("0" * 31 + "1", "0" * 15 + "1", None), ("0" * 31 + "1", "2", "0" * 15 + "1"), ("short", "|a.b." * 9, "2"), (None, None, "gone")]]  # fmt: skip
    shared = anonymize(frame(rows), seed=1)
    lengths = [
        [None if pd.isna(x) else len(x) for x in row]
        for row in shared[["trace_id", "span_id", "parent_span_id"]].to_numpy()
    ]
    assert lengths == [[32, 16, None], [32, 16, 16], [16, 45, 16], [None, None, 16]]
    assert shared["parent_span_id"][1] == shared["span_id"][0]
    assert shared["parent_span_id"][2] == shared["span_id"][1]
    for column in ("trace_id", "span_id", "parent_span_id"):
        assert shared[column].dropna().str.fullmatch("[0-9a-f]+").all()


# -- attributes


@pytest.mark.parametrize(
    ("key", "stays", "goes"),
    [
        ("http.request.method", "GET", "FROBNICATE-SECRET"),
        ("http.method", "POST", "get secrets"),
        ("http.response.status_code", 503, "five hundred"),
        ("http.status_code", "404", "not a number"),
        ("rpc.grpc.status_code", 14, "secret"),
        ("rpc.grpc.status_code", "StatusCode.UNAVAILABLE", "UNAVAILABLE: node7"),
        ("db.system", "postgresql", "acmedb"),
        ("messaging.system", "kafka", "acme-bus"),
        ("error.type", "timeout", "com.acme.SecretError"),
        ("error.type", "500", "AcmeError"),
        ("network.protocol.version", "1.1", "10.0.0.1"),
        ("error", True, "no route to db.acme.org"),
        ("http.request.resend_count", 2, "twice"),
    ],
)
def test_structure_stays_and_any_other_value_goes(key, stays, goes):
    spans = draw("a web 0-9\n  b web 1-2")
    assert anonymize(spans.assign(**{f"span.{key}": stays}), seed=1)[f"span.{key}"].tolist() == [stays] * 2
    mixed = anonymize(spans.assign(**{f"span.{key}": [str(stays), goes]}), seed=1)[f"span.{key}"].tolist()
    assert mixed[0] == str(stays)
    assert TOKEN.fullmatch(mixed[1])


def test_types_of_structure_stay():
    spans = draw("a web 0-9\n  b web 1-2")
    spans["span.http.response.status_code"] = pd.array([200, None], dtype="Int64")
    spans["span.http.status_code"] = [500.0, np.nan]
    shared = anonymize(spans, seed=1)
    for column in ("span.http.response.status_code", "span.http.status_code"):
        pd.testing.assert_series_equal(shared[column], spans[column])


def test_numbers_and_truth_values_are_masked():
    spans = draw("a web 0-9\n  b web 1-2").assign(
        **{"span.enduser.id": [4711, 4712], "span.code.lineno": 1.5, "span.db.cached": True}
    )
    shared = anonymize(spans, seed=1)
    for column in ("span.enduser.id", "span.code.lineno", "span.db.cached"):
        assert shared[column].str.fullmatch(TOKEN).all()


def test_keys_outside_of_the_conventions_are_masked():
    spans = draw("a web 0-9").assign(**{
        "span.acme.project": 1, "resource.plain": 1, "span.http.request.header.x-acme": 1, "span.http.route": "/", "resource.k8s.pod.name": "p",
        "resource.k8s.pod.label.acme": 1, "instrumentation.acme": 1})  # fmt: skip
    columns = anonymize(spans, seed=1).columns[16:]
    assert [re.sub("[0-9a-f]{12}", "*", c) for c in columns] == [
        "span.http.route", "span.key-*", "span.key-*", "resource.k8s.pod.name", "resource.key-*", "resource.key-*", "instrumentation.key-*"]  # fmt: skip
    kept = anonymize(spans, keep=["acme.*", "resource.plain"], seed=1)
    assert {"span.acme.project", "resource.plain"} <= set(kept.columns)


# -- events and links


ITEMS = {
    "events": '[{"time":1760000000000000000,"name":"exception","attributes":{"exception.type":"AcmeError","exception.message":"no money","exception.escaped":false}},\n'
    '{"time":1760000000000000005,"name":"acme","attributes":{"acme.user":7},"dropped_attributes":2}]',
    "links": '[{"trace_id":"00000000000000000000000000000001","span_id":"0000000000000061","trace_state":"acme=1","attributes":{"opentracing.ref_type":"follows_from","acme":"x"},"flags":257}]',
}


def with_items():
    return draw("a web 0-9").assign(**ITEMS).astype({"events": "str", "links": "str"})


def test_events():
    spans = with_items()
    shared = anonymize(spans, seed=1)
    first, second = json.loads(shared["events"].item())
    assert (first["name"], second["dropped_attributes"]) == ("exception", 2)
    assert list(first["attributes"]) == ["exception.type", "exception.message", "exception.escaped"]
    assert first["attributes"]["exception.escaped"] is False
    assert TOKEN.fullmatch(first["attributes"]["exception.type"])
    assert re.fullmatch("event-[0-9a-f]{12}", second["name"])
    assert [re.sub("[0-9a-f]{12}", "*", key) for key in second["attributes"]] == ["key-*"]
    assert ta.events(shared)["offset_ms"].tolist() == ta.events(spans)["offset_ms"].tolist()
    kept = anonymize(spans, keep=["exception.type", "event.name"], seed=1)
    assert ta.events(kept)["event.exception.type"].tolist()[0] == "AcmeError"
    assert ta.events(kept)["name"].tolist() == ["exception", "acme"]
    assert "no money" not in kept["events"].item()
    whole = json.loads(anonymize(spans, keep="events", seed=1)["events"].item())
    assert [item | {"time": 0} for item in whole] == [item | {"time": 0} for item in json.loads(ITEMS["events"])]


def test_links():
    spans = with_items()
    shared = anonymize(spans, seed=1)
    found = ta.links(shared).iloc[0]
    assert (found["linked_trace_id"], found["linked_span_id"]) == (shared["trace_id"].item(), shared["span_id"].item())
    assert found["link.opentracing.ref_type"] == "follows_from"
    assert found["trace_flags"] == 257
    assert "acme" not in shared["links"].item()
    same = anonymize(spans, keep=["links", "trace_id", "span_id", "trace_state"], seed=1)
    assert json.loads(same["links"].item()) == json.loads(ITEMS["links"])


@pytest.mark.parametrize("column", ["events", "links"])
@pytest.mark.parametrize("cell", ["secret text", '{"secret":1}', '["secret"]', "[" * 9_000])
def test_a_cell_that_is_no_list_is_refused_without_showing_it(column, cell):
    spans = draw("a web 0-9\n  b web 1-2")
    spans.loc[1, column] = cell
    with pytest.raises(
        SchemaError, match=f"{column} of the span in row 1: expected JSON text of a list of maps"
    ) as refusal:
        anonymize(spans, seed=1)
    assert "secret" not in str(refusal.value)


# -- times and structure


def test_times_move_by_one_number_of_seconds():
    spans = frame(random_rows(0, 5, unit_ns=7))
    spans.loc[3, "start_time"] = pd.NaT
    moved = (spans["start_time"] - anonymize(spans, seed=1)["start_time"]).dropna().unique()
    assert len(moved) == 1
    assert moved[0] % pd.Timedelta("1s") == pd.Timedelta(0)
    assert pd.Timedelta("365D") <= moved[0] <= pd.Timedelta("7300D")
    assert anonymize(spans, seed=1, keep=["start_time"])["start_time"].equals(spans["start_time"])


def test_the_earliest_instant_there_is():
    spans = draw("a web 0-9\n  b web 1-2")
    spans["start_time"] = pd.to_datetime([-(2**63) + 1, -(2**63) + 1 + 5 * 10**9], unit="ns", utc=True)
    assert anonymize(spans, seed=1)["start_time"].diff()[1] == pd.Timedelta("5s")


def same_structure(spans, shared):
    before, after = Forest(spans), Forest(shared)
    for name in ("trace", "parent", "root", "depth", "timed", "flags"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name), err_msg=name)
    for name in ("kind", "status", "duration_ms", "trace_flags"):
        assert spans[name].reset_index(drop=True).equals(shared[name]), name
    assert ta.self_time(spans).reset_index(drop=True).equals(ta.self_time(shared))
    assert ta.is_error(spans).tolist() == ta.is_error(shared).tolist()
    numbers = ["duration_ms", "spans", "services", "errors", "depth", "orphans", "complete"]
    left, right = ta.summary(spans)[numbers], ta.summary(shared)[numbers]
    pd.testing.assert_frame_equal(left.reset_index(drop=True), right.reset_index(drop=True))


@given(span_frames())
def test_structure_of_any_frame(spans):
    before = spans.copy()
    shared = anonymize(spans, seed=1)
    pd.testing.assert_frame_equal(spans, before)
    assert spans.attrs == before.attrs
    ta.conform(shared)
    assert [str(shared[c].dtype) for c in CORE] == [str(spans[c].dtype) for c in CORE]
    same_structure(spans, shared)
    columns = ["segment_ms", "share", "state", "tie_ms", "flags"]
    left, right = (
        ta.critical_path(s, roots="main")[columns].astype({"state": "str", "flags": "str"}) for s in (spans, shared)
    )
    pd.testing.assert_frame_equal(left, right)  # instants and lengths of nanoseconds: there are no ties


def test_results_of_the_checkout():
    spans = checkout()
    shared = anonymize(spans, seed=1)
    assert ta.critical_time(shared).tolist() == ta.critical_time(spans).tolist()
    columns = ["rule", "severity", "count", "share"]
    assert diagnose(shared)[columns].equals(diagnose(spans)[columns])
    assert len(clock_offsets(shared)) == len(clock_offsets(spans))


def test_times_of_large_random_traces():
    rng = np.random.default_rng(5)
    rows = random_rows(4, 60, unit_ns=10_000)
    for row in rows:  # no two instants are equal, so no tie is decided by an id
        row["start_ns"] += int(rng.integers(1, 9_999))
        row["duration_ns"] += int(rng.integers(1, 9_999))
    spans = frame(rows)
    spans["kind"] = spans["kind"].astype("str").astype(KIND)
    spans["status"] = spans["status"].astype("str").astype(STATUS)
    shared = anonymize(spans, seed=1)
    same_structure(spans, shared)
    assert ta.critical_time(shared).equals(ta.critical_time(spans))


def test_a_shared_frame_can_be_written_and_read(tmp_path):
    shared = anonymize(checkout(), seed=1)
    ta.to_otlp(shared, tmp_path / "shared.json")
    again = ta.read(tmp_path / "shared.json")
    assert again["span_id"].tolist() == shared["span_id"].tolist()
    assert anonymize(shared, seed=2)["duration_ms"].equals(shared["duration_ms"])


# -- the frame and the options


def test_frames_of_other_types():
    spans = draw("a web 0-9 SERVER\n  b - 1-2 CLIENT ERROR")
    texts = spans.astype(dict.fromkeys(("trace_id", "name", "service", "kind", "status", "scope_name"), "str"))
    pd.testing.assert_frame_equal(
        anonymize(texts, seed=1),
        anonymize(spans.assign(kind=spans["kind"].astype("str").astype(KIND)), seed=1),
        check_categorical=False,
    )
    turned = spans.assign(kind=spans["kind"].astype("str").astype(pd.CategoricalDtype(KIND.categories[::-1])))
    assert anonymize(turned, seed=1)["kind"].tolist() == ["SERVER", "CLIENT"]
    assert list(anonymize(turned, seed=1)["kind"].cat.categories) == list(KIND.categories)
    assert 7 not in anonymize(spans.assign(**{"span.x": "y"}).rename(columns={"span.x": 7}), seed=1).columns


def test_no_span():
    empty, some = anonymize(draw(), seed=1), anonymize(draw("a web 0-9"), seed=1)
    assert len(empty) == 0
    assert [str(t) for t in empty.dtypes] == [str(t) for t in some.dtypes]
    assert anonymize(checkout().iloc[:0], seed=1).shape == (0, len(checkout().columns))


def test_keep():
    spans = checkout()
    shared = anonymize(spans, keep=["service", "name", "span.http.*", "span_id"], seed=1)
    for column in ("service", "name", "span.http.route", "span_id", "parent_span_id"):
        assert shared[column].astype("str").equals(spans[column].astype("str")), column
    assert not shared["trace_id"].astype("str").equals(spans["trace_id"].astype("str"))
    assert shared["span.server.address"].dropna().str.fullmatch(TOKEN).all()
    assert anonymize(spans, keep="service", seed=1)["service"].tolist() == spans["service"].tolist()
    everything = anonymize(spans, keep=["*"], seed=1)
    for column in spans.columns:
        assert everything[column].astype("str").equals(spans[column].astype("str")), column


def test_seeds():
    for seed in ("", b"", None, 1.5, True):
        with pytest.raises(OptionError, match="expected an integer, a text or bytes"):
            anonymize(draw(), seed=seed)
    with pytest.raises(TypeError, match="seed"):
        anonymize(draw())
    with pytest.raises(SchemaError, match="lacks the column"):
        anonymize(draw().drop(columns="links"), seed=1)


def test_different_values_never_share_a_token_here():
    names = ["".join(letters) for letters in itertools.product("abcdefgh", repeat=4)]
    spans = frame([{"trace_id": "0", "name": name, "span_id": f"{at:016x}"} for at, name in enumerate(names)])
    assert anonymize(spans, seed=1)["name"].nunique() == len(names)
