"""Every analysis at once: what none may depend on (order, types, names, epoch, repeats), what weights do, what no data does."""

from __future__ import annotations

import functools
import json
import re
import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_traces import draw
from strategies import span_frames

import traceanalytics as ta
from traceanalytics import simulate


def _compared(spans, **options):
    frequent = [(a, b) for a, b, data in ta.service_graph(spans).edges(data=True) if data["calls"] > 20]
    return ta.compare_dependencies(ta.service_graph(spans, **options), [*frequent, ("0", "1")])


def _traces_with_clients(spans):
    return ta.whole_traces(spans, spans["kind"] == "CLIENT")


CALLS = {
    "attribute_errors": ta.attribute_errors,
    "call_tree": ta.call_tree,
    "compare_dependencies": _compared,
    "concurrency": ta.concurrency,
    "concurrency of few": functools.partial(ta.concurrency, most_callees=2),
    "critical_path": ta.critical_path,
    "critical_path of all roots": functools.partial(ta.critical_path, roots="all", overrun="clip"),
    "critical_path as Jaeger": functools.partial(ta.critical_path, mode="jaeger"),
    "critical_path_profile": functools.partial(ta.critical_path_profile, resamples=50),
    "critical_time": ta.critical_time,
    "diagnose": ta.diagnose,
    "error_rates": ta.error_rates,
    "exceptions": ta.exceptions,
    "folded_stacks": ta.folded_stacks,
    "folded_stacks of self": functools.partial(ta.folded_stacks, value="self"),
    "hierarchy": ta.hierarchy,
    "latency_breakdown": ta.latency_breakdown,
    "n_plus_one": functools.partial(ta.n_plus_one, min_calls=2, min_share=0, min_ms=0),
    "operations": ta.operations,
    "retries": ta.retries,
    "self_time": ta.self_time,
    "service_graph": ta.service_graph,
    "service_graph merged": functools.partial(ta.service_graph, merge=True),
    "service_graph of operations": functools.partial(ta.service_graph, level="operation"),
    "span_graph": ta.span_graph,
    "span_graph with links": functools.partial(ta.span_graph, links=True),
    "summary": ta.summary,
    "trace_shapes": ta.trace_shapes,
    "tree": ta.tree,
    "whole_traces": _traces_with_clients,
    "workflow_path": ta.workflow_path,
}
WEIGHTED = {
    "attribute_errors": "requests",
    "call_tree": "calls traces errors inclusive_ms self_ms critical_ms critical_subtree_ms",
    "compare_dependencies": "calls",
    "concurrency": "weighted_parents",
    "concurrency of few": "weighted_parents",
    "critical_path_profile": "traces",
    "diagnose": "count",
    "error_rates": "requests failed_requests traces calls errors_any errors_handled errors_on_chain errors_user_facing",
    "exceptions": "count spans traces",
    "folded_stacks": "value",
    "folded_stacks of self": "value",
    "latency_breakdown": "calls traces orphans inclusive_ms self_ms critical_ms server_self_ms client_self_ms gap_ms "
    "internal_self_ms",
    "n_plus_one": "weight",
    "operations": "calls rate_per_s errors",
    "retries": "weight",
    "service_graph": "calls errors spans traces client_errors server_errors",
    "service_graph merged": "calls errors spans traces client_errors server_errors",
    "service_graph of operations": "calls errors spans traces client_errors server_errors",
    "trace_shapes": "traces",
    "workflow_path": "weight",
}
"""The analyses that take weights, and which of their numbers are totals."""

ONE_BY_ONE = ("critical_path", "span_graph", "summary", "whole_traces")
"""A row or node says something of one span or trace, so there is nothing to sum up and no weight to take."""
PER_SPAN = ("critical_time", "hierarchy", "self_time", "tree")
"""The same, on the frame's index."""


# -- what an analysis says, as something to compare


def _plain(value):
    if isinstance(value, str | tuple | dict) or (isinstance(value, pd.Timestamp) and value is not pd.NaT):
        return value
    return None if pd.isna(value) else float(value)


def rows(name, spans, **options):
    """Rows, nodes and edges of a result as dicts; what is said of single spans says of which."""
    result = CALLS[name](spans, **options)
    if isinstance(result, list):
        pairs = [line.rpartition(" ") for line in result]
        found = [{"stack": stack, "value": int(number)} for stack, _, number in pairs]
    elif hasattr(result, "nodes"):
        found = [{"node": node, **data} for node, data in result.nodes(data=True)]
        found += [{"caller": a, "callee": b, **data} for a, b, data in result.edges(data=True)]
    else:
        if name in PER_SPAN:
            ids = spans.loc[result.index, ["trace_id", "span_id"]]
            result = pd.concat([ids, result], axis=1)
        elif result.index.name == "trace_id":
            result = result.reset_index()
        found = result[["trace_id", "span_id"] if name == "whole_traces" else result.columns]
        found = found.astype(object).to_dict("records")
    return [{key: _plain(value) for key, value in row.items()} for row in found]


def same(one, two, *, without=(), numbers=False):
    """Check that two results say the same in any order, but for some fields; or that their numbers do."""
    kinds = float if numbers else object
    first, second = (
        Counter(
            repr([(key, value) for key, value in row.items() if key not in without and isinstance(value, kinds)])
            for row in result
        )
        for result in (one, two)
    )
    assert (list((first - second).items())[:3], list((second - first).items())[:3]) == ([], [])


# -- the data


@functools.cache
def _shop():
    faults = [
        simulate.RetriesRecovered(("frontend", "pricing"), share=0.4),
        simulate.RetriesExhausted(("frontend", "inventory"), share=0.2),
        simulate.ErrorRate("product GET /products/{id}", share=0.2),
        simulate.NPlusOne(("user GET /users/{id}", "orders-db SELECT * FROM users WHERE id = $1"), share=0.5),
        simulate.DroppedHeaders(("frontend", "recommendation"), share=0.5),
        simulate.ClockSkew("cart", ms=20),
        simulate.HandledError(("frontend", "recommendation"), share=0.2),
        simulate.SilentService("frontend", share=0.2),
        simulate.Timeout(("frontend", "cart"), share=0.2),
        simulate.CancelledSiblings(("frontend GET /", "product GET /featured"), share=0.2),
    ]
    return simulate.Shop(3).run(60, faults=faults)[0]


@functools.cache
def of_shop(name):
    """What an analysis says of the shop."""
    return rows(name, _shop())


def _mixed(spans):
    return spans.sample(frac=1, random_state=0)


def _later(spans, nanoseconds):
    """The same, so much later; the times of events stand in their JSON text."""

    def moved(cell):
        items = [item | {key: item[key] + nanoseconds for key in item.keys() & {"time"}} for item in json.loads(cell)]
        return json.dumps(items, ensure_ascii=False, separators=(",", ":"))

    cells = [moved(cell) if isinstance(cell, str) else None for cell in spans["events"]]
    start = spans["start_time"] + pd.Timedelta(nanoseconds, "ns")
    return spans.assign(start_time=start, events=pd.array(cells, dtype="str"))


def _each(column, change):
    """Change every different text of a column."""
    known = column.dropna().astype("str").unique()
    changed = {value: change(value) for value in known}
    assert len(set(changed.values())) == len(changed)
    made = column.astype("str").map(changed, na_action="ignore").astype("str")
    return made.astype("category") if isinstance(column.dtype, pd.CategoricalDtype) else made


def _in_front(text):
    return "z" + text if text else text


def _mirrored(text):
    """Small letters from z to a: another order of the names, the same look."""
    return text.translate(str.maketrans("abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba"))


def _renamed(spans, change):
    """Other names of services, also where attributes name them, and other names of operations."""
    services = sorted(spans["service"].dropna().astype("str").unique(), key=len, reverse=True)
    word = re.compile(r"(?<![\w.-])(" + "|".join(map(re.escape, services)) + r")(?![\w.-])")
    made = spans.copy(deep=True)
    for name in spans.columns:
        peers = name.startswith(("span.", "resource.")) and not pd.api.types.is_numeric_dtype(spans[name])
        if name in ("service", "name"):
            made[name] = _each(spans[name], change)
        elif peers and services:
            made[name] = _each(spans[name], lambda text: word.sub(lambda found: change(found[0]), text))
    return made


def _new_ids(spans, *, reverse):
    """Other ids of traces and spans, numbered in their order or against it, also where links name them."""
    made = spans.copy(deep=True)
    for columns, digits in ((["trace_id"], 32), (["span_id", "parent_span_id"], 16)):
        linked = re.findall(rf'"([0-9a-f]{{{digits}}})"', " ".join(spans["links"].dropna()))
        known = sorted({*pd.concat([spans[c].astype("str") for c in columns]).dropna(), *linked}, reverse=reverse)
        number = {value: f"{at + 1:0{digits}x}" for at, value in enumerate(known)}
        for c in columns:
            made[c] = _each(spans[c], number.get)
        made["links"] = made["links"].str.replace(
            rf'"([0-9a-f]{{{digits}}})"', lambda found, number=number: f'"{number[found[1]]}"', regex=True
        )
    return made


def _as_texts(spans):
    return spans.astype({name: "str" for name in spans.columns if isinstance(spans[name].dtype, pd.CategoricalDtype)})


def _with_more_columns(spans):
    """Columns of the user's own, and an index of the user's own."""
    more = spans.assign(mine=[{"a": [1]}] * len(spans), yours=pd.NA, weight_of_things=np.arange(len(spans)) / 3)
    return more.set_axis([f"label {at}" for at in range(len(spans))][::-1])


def _with_stale_labels(spans):
    made = spans.copy(deep=True)
    for name in spans.columns:
        if isinstance(spans[name].dtype, pd.CategoricalDtype) and name not in ("kind", "status"):
            labels = spans[name].cat.categories
            stale = pd.Index([f"stale{at}" for at in range(3 * len(spans) if name == "name" else 2)], dtype="str")
            made[name] = spans[name].cat.set_categories(stale.append(labels[::-1]))
    return made


MOMENTS = ("start_time", "end_time", "first_time", "last_time", "start_ns")


# -- every analysis is here


def test_every_analysis_is_in_the_table():
    shown = {"anonymize", "to_mermaid", "to_text", "trace"}  # spans or texts again: there is no result to compare
    analyses = {name for name, home in ta._HOME.items() if home.startswith("analysis.")} | {"whole_traces"}
    assert analyses - shown == {name.partition(" ")[0] for name in CALLS}
    for name in CALLS:
        assert (name in WEIGHTED) != (name.partition(" ")[0] in (*ONE_BY_ONE, *PER_SPAN))


# -- the shop


CHANGES = {
    "rows": (_mixed, {}),
    "texts": (_as_texts, {}),
    "columns": (_with_more_columns, {}),
    "stale": (_with_stale_labels, {}),
    "epoch": (functools.partial(_later, nanoseconds=3 * 86_400 * 10**9 + 1), {"without": MOMENTS}),
    "letters": (functools.partial(_renamed, change=_in_front), {"numbers": True}),
    "mirrored": (functools.partial(_renamed, change=_mirrored), {"numbers": True}),
    "ids": (functools.partial(_new_ids, reverse=False), {"numbers": True}),
    # The interval is drawn among the traces, in the order of their ids.
    "ids back": (functools.partial(_new_ids, reverse=True), {"numbers": True, "without": ("share_low", "share_high")}),
}
"""What says the same of a system in another way, and what then still differs in a result."""


@functools.cache
def _changed_shop(change):
    return CHANGES[change][0](_shop())


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", CALLS)
def test_a_change_that_says_nothing_changes_nothing(name, change):
    same(of_shop(name), rows(name, _changed_shop(change)), **CHANGES[change][1])


def test_inputs_are_left_alone():
    spans = _shop().copy(deep=True)
    spans.attrs["mine"] = [1]
    for call in CALLS.values():
        call(spans)
    pd.testing.assert_frame_equal(spans, _shop())
    assert spans.attrs == {**_shop().attrs, "mine": [1]}


@pytest.mark.parametrize("name", [name for name in CALLS if name != "whole_traces"])
def test_repeated_rows_do_not_matter(name):
    again = _shop().iloc[np.random.default_rng(0).permutation(len(_shop()))[: len(_shop()) // 5]]
    copies = again.set_axis([f"again {at}" for at in range(len(again))])
    found = rows(name, pd.concat([_shop(), copies]))
    if name in ("critical_time", "hierarchy", "self_time"):
        assert len(found) == len(_shop()) + len(again)
        found = found[: len(_shop())]
    if name == "diagnose":
        assert sum(row["count"] for row in found if row["rule"] == "duplicates") == len(again)
        found = [row for row in found if row["rule"] != "duplicates"]
    same(of_shop(name), found)


@pytest.mark.parametrize("name", WEIGHTED)
def test_weights_double_totals_and_nothing_else(name):
    once, twice = (
        rows(name, _shop().assign(w=1), weights="w"),
        rows(name, _shop(), weights=pd.Series(2.0, _shop().index)),
    )
    same(of_shop(name), once, without=("weight",) if name == "workflow_path" else ())
    totals = WEIGHTED[name].split()
    if name.startswith("folded_stacks"):  # whole microseconds
        assert {row["stack"] for row in once} == {row["stack"] for row in twice}
        difference = [abs(2 * a["value"] - b["value"]) for a, b in zip(once, twice, strict=True)]
        assert max(difference) <= 1
    else:
        assert any(name in row for row in once for name in totals)
        for row in once:
            row.update({key: 2 * row[key] for key in totals if row.get(key) is not None})
        same(once, twice)


# -- little or nothing to look at


SCANTY = {
    "no spans": draw(),
    "one span": draw("a web 0-9 SERVER"),
    "no times": draw("a web ?-? SERVER\n  b web ?-? CLIENT ERROR\n    c db ?-? SERVER\n  d web ?-? PRODUCER"),
    "no services": draw("a - 0-9 SERVER\n  b - 1-2 CLIENT\n  c - 1-3 CLIENT ERROR\n  d - 3-4 CLIENT"),
    "a ring": draw("a web 0-9 parent=c\n  b web 1-8 CLIENT\n    c db 2-7 SERVER ERROR"),
    "its own parent": draw("a web 0-9 parent=a ERROR\n  b web 1-8 CLIENT"),
    "orphans": draw("a web 0-9 parent=x SERVER\nb web 1-8 parent=y CLIENT ERROR", "c db 0-2 parent=z CONSUMER"),
    "no names": draw("a web 0-9 SERVER\n  b db 1-8 CLIENT").assign(name=pd.Categorical([None] * 2, categories=["x"])),
    "no ids": draw("a web 0-9 SERVER\n  b db 1-8 CLIENT ERROR").assign(
        trace_id=pd.array([None] * 2, "str"), span_id=pd.array([None] * 2, "str")
    ),
}


@pytest.mark.parametrize("data", SCANTY)
@pytest.mark.parametrize("name", CALLS)
def test_scanty_data_give_a_result_without_a_warning(name, data):
    spans = SCANTY[data].copy(deep=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = rows(name, spans)
    pd.testing.assert_frame_equal(spans, SCANTY[data])
    assert all(found)


def _types(result):
    table = result.to_frame() if isinstance(result, pd.Series) else result
    index = table.index.to_series().rename("index")
    labels = {str(name): column.dtype for name, column in [("index", index), *table.items()]}
    return {
        name: (kind.categories.dtype, kind.ordered) if hasattr(kind, "categories") else kind
        for name, kind in labels.items()
    }


@pytest.mark.parametrize("name", CALLS)
def test_no_spans_give_an_empty_result_of_the_same_types(name):
    usual = CALLS[name](_shop())
    for nothing in (draw(), _shop().iloc[:0]):
        found = CALLS[name](nothing)
        assert type(found) is type(usual)
        assert len(found) == (1 if name == "compare_dependencies" else 0)  # what was declared stays so
        if isinstance(usual, pd.DataFrame | pd.Series):
            assert _types(found) == _types(nothing if name == "whole_traces" else usual)


# -- any frame


@settings(max_examples=6)
@given(span_frames(string_attributes=True), st.sampled_from(list(CHANGES)))
def test_any_frame(spans, change):
    before = spans.copy(deep=True)
    make, how = CHANGES[change]
    other = make(spans)
    for name in CALLS:
        found = rows(name, spans)
        same(found, rows(name, other), **how)
    pd.testing.assert_frame_equal(spans, before)
