"""Fingerprints: what is the same call, and what is not."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from small_traces import draw, frame, random_rows

from traceanalytics.analysis.fingerprints import families, fingerprint_codes, masked
from traceanalytics.errors import SchemaError
from traceanalytics.topology import Forest


def labels_of(rows, **columns):
    spans = frame([{"trace_id": "1", "span_id": str(i), **row} for i, row in enumerate(rows)])
    found = fingerprint_codes(spans.assign(**columns))
    return found.labels.take(found.codes).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET /item/17", "GET /item/?"),
        ("1/2/3", "?/?/?"),
        ("a_12_13", "a_?_?"),
        ("attempt 2", "attempt ?"),
        ("x 0b1f0c5e-2f6a-4a8e-9b0c-1d2e3f4a5b6c y", "x ? y"),
        ("session:4c1f6ad2e0", "session:?"),
        ("0x1F", "?"),
        ("v2 s3 http2 base64", "v2 s3 http2 base64"),
        ("größe12 été9", "größe12 été9"),
        ("10.0.0.1", "?.?.?.?"),
        ("decade facade", "decade facade"),
        ("", ""),
    ],
)
def test_ids_are_masked(text, expected):
    assert masked(pa.array([text])).to_pylist() == [expected]


@pytest.mark.parametrize(
    ("queries", "label"),
    [
        (["SELECT a FROM t WHERE id = 1", "SELECT a FROM t  WHERE id = 22"], "SELECT a FROM t WHERE id = ?"),
        (["SELECT 'it''s'", "SELECT 'b\\'c'", "SELECT ''"], "SELECT ?"),
        (["x IN (1, 2,3)", "x IN (7)", "x IN (?,?)", "x IN ($1, $2)", "x IN (:a, :b)", "x IN (%s)"], "x IN (?)"),
        (["INSERT INTO t VALUES (1,'a'), (2,'b')", "INSERT INTO t VALUES (3, 'c')"], "INSERT INTO t VALUES (?)"),
        (["SELECT 1 /*traceparent='00-ab'*/", "SELECT 2 -- why", "SELECT 3.5"], "SELECT ?"),
        (["GET user:17", "GET user:4"], "GET user:?"),
        (['{"find":"a","id":"x1"}', '{"find":"b","id":"y"}'], '{"find": ?,"id": ?}'),
    ],
)
def test_queries_differ_in_literals_only(queries, label):
    found = labels_of([{"name": "q", "kind": "CLIENT"}] * len(queries), **{"span.db.query.text": queries})
    if label.startswith("{"):
        found = [text.replace(":?", ": ?") for text in found]
    assert set(found) == {f"CLIENT {label}"}


def test_different_calls_have_different_fingerprints():
    rows = [{"name": "call", "kind": "CLIENT", "service": "web"}] * 6
    columns = {
        "span.peer.service": ["a", "b", None, None, "a", "a"],
        "span.db.namespace": [None, None, "n1", "n2", None, None],
        "span.http.request.method": [None, None, None, None, "GET", "POST"],
    }
    found = labels_of(rows, **{key: pd.array(values, dtype="str") for key, values in columns.items()})
    assert found == [
        "CLIENT a call",
        "CLIENT b call",
        "CLIENT n1 call",
        "CLIENT n2 call",
        "CLIENT a GET call",
        "CLIENT a POST call",
    ]
    kinds = labels_of([{"name": "call", "kind": kind} for kind in ("CLIENT", "SERVER", "UNSPECIFIED", None)])
    assert kinds == ["CLIENT call", "SERVER call", "call", "call"]


def test_the_peer_of_a_server_is_its_own_service():
    rows = [{"name": "GET", "kind": kind, "service": "cart"} for kind in ("SERVER", "CLIENT", "INTERNAL")]
    found = labels_of(rows, **{"span.server.address": ["10.0.0.7", "stock", None]})
    assert found == ["SERVER cart GET", "CLIENT stock GET", "INTERNAL cart GET"]


def test_urls_give_peer_and_path():
    rows = [{"name": "GET", "kind": "CLIENT"}] * 4
    urls = ["http://u:p@stock:80/item/1?a=1", "https://stock:80/item/2#x", "http://stock:80/price/2", None]
    found = labels_of(rows, **{"span.http.url": pd.array(urls, dtype="str")})
    assert found == ["CLIENT stock:80 /item/?", "CLIENT stock:80 /item/?", "CLIENT stock:80 /price/?", "CLIENT GET"]
    templated = labels_of(rows, **{"span.url.full": urls, "span.url.template": ["/item/{id}"] * 2 + [None] * 2})
    assert templated[:2] == ["CLIENT stock:80 /item/{id}"] * 2


def test_attributes_outside_columns_count():
    rows = [{"name": "SELECT", "kind": "CLIENT"}] * 2
    others = ['{"span.db.query.text":"SELECT 1"}', '{"span.db.query.text":"SELECT 2 FROM t"}']
    assert labels_of(rows, other_attributes=others) == ["CLIENT SELECT ?", "CLIENT SELECT ? FROM t"]


def test_codes_do_not_depend_on_rows_but_for_their_numbers():
    spans = frame(random_rows(3, 50))
    found = fingerprint_codes(spans)
    mixed = fingerprint_codes(spans.iloc[::-1])
    assert found.labels.is_unique
    assert found.labels.take(found.codes).tolist() == mixed.labels.take(mixed.codes).tolist()[::-1]
    as_text = spans.astype({"name": "str", "service": "str", "kind": "str"})
    assert fingerprint_codes(as_text).labels.tolist() == found.labels.tolist()


def test_no_spans_and_no_names():
    empty = fingerprint_codes(draw())
    assert (len(empty.codes), empty.codes.dtype, len(empty.labels)) == (0, np.dtype("int32"), 0)
    assert labels_of([{}, {"kind": "CLIENT"}]) == ["", "CLIENT"]
    with pytest.raises(SchemaError, match="'name'"):
        fingerprint_codes(draw("r web 0-1").drop(columns="name"))


@pytest.mark.parametrize("seed", range(3))
def test_families_are_the_children_of_one_parent_with_one_fingerprint(seed):
    spans = frame(random_rows(seed, 60))
    forest, codes = Forest(spans), fingerprint_codes(spans).codes
    found = families(forest, codes, forest.timed, least=2)
    expected = {}
    for row in range(len(spans)):
        if forest.parent[row] >= 0 and forest.timed[row] and len(forest.children_of(forest.parent[row])) > 1:
            expected.setdefault((int(forest.parent[row]), int(codes[row])), []).append(row)
    sets = [found.rows[low:high] for low, high in itertools.pairwise(found.offsets)]
    keys = zip(found.parent.tolist(), found.code.tolist(), strict=True)
    assert {key: sorted(rows.tolist()) for key, rows in zip(keys, sets, strict=True)} == expected
    for rows in sets:
        assert (np.diff(forest.start[rows]) >= 0).all()
    assert found.sums(np.ones(len(spans), dtype=np.int64)).tolist() == found.sizes.tolist()
    some = found.take(np.arange(len(found.parent))[::-2])
    assert [r.tolist() for r in np.split(some.rows, some.offsets[1:-1])] == [r.tolist() for r in sets[::-2]]
