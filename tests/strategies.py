"""Hypothesis strategies of span frames, made by the readers' builder, so that they are what a reader makes."""

from __future__ import annotations

import base64

from hypothesis import strategies as st

from traceanalytics.io.builder import SpanBuilder
from traceanalytics.io.values import natural
from traceanalytics.spans.cells import event_cell, link_cell, to_json
from traceanalytics.spans.report import ReadReport, put_report

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
WORD = st.sampled_from(
    ["GET", "POST /cart", "größe", "日本", "a\nb", 'q"uote', "<b>", "12", "true", "[1,2]", '{"a":1}']
)
PLAIN_WORD = st.sampled_from(["GET", "POST /cart", "größe", "日本", "a\nb", 'q"uote', "<b>", "12", "true"])
FLOAT = st.floats(allow_nan=False)
SCALAR = st.one_of(TEXT, st.booleans(), INT64, FLOAT)
CONTAINER = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
).filter(lambda value: isinstance(value, list | dict))
KEYS = {
    "http.route": WORD,
    "note": TEXT,
    "http.response.status_code": st.integers(100, 599),
    "big": INT64,
    "ratio": FLOAT,
    "cached": st.booleans(),
    "args": CONTAINER.map(lambda value: to_json(natural(value, "args"))),
    "raw": st.binary(max_size=6).map(lambda value: to_json({"bytesValue": base64.b64encode(value).decode()})),
    "mixed": st.one_of(st.integers(-9, 9), st.integers(-9, 9).map(str), st.booleans(), PLAIN_WORD),
    "schlüssel `x`": PLAIN_WORD,
}
"""Attribute keys and what may stand under them; every type is there, one key mixes them."""

SERVICES = ("web", "cart", "payment", "größe-dienst")
NAMES = ("GET /", "SELECT", "POST /cart/{id}", "публикация", "", '<script>"x"</script>')
TRACE_STATES = (None, None, "rojo=00f067aa0ba902b7", "a=1,b=2")


def hex_ids(digits):
    """Ids of so many hex digits, never all zeros."""
    return st.integers(1, 16**digits - 1).map(lambda number: f"{number:0{digits}x}")


# Strategies are made once: hypothesis checks every new one before it draws.
TRACE_ID, SPAN_ID = hex_ids(32), hex_ids(16)
_ATTRIBUTES = st.fixed_dictionaries({}, optional=KEYS)
_TEXTS = st.dictionaries(st.sampled_from(["http.route", "note", "peer.service"]), PLAIN_WORD, max_size=3)
_ITEM_KEYS = st.sampled_from(["exception.type", "exception.message", "message.id", "ключ"])
_ITEM_TEXTS = st.dictionaries(_ITEM_KEYS, PLAIN_WORD, max_size=3)
_ITEM_ATTRIBUTES = st.dictionaries(_ITEM_KEYS, st.one_of(SCALAR, CONTAINER, st.binary(max_size=4)), max_size=3).map(
    lambda found: natural(found, "attributes")
)
_ONE_IN_TEN = st.integers(0, 9).map(lambda number: number == 9)
_BITS = st.integers(1, 2**32 - 1)
_SPAN = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "kind": st.integers(0, 5),
        "status": st.integers(0, 2),
        "status_message": st.none() | TEXT,
        "trace_state": st.sampled_from(TRACE_STATES),
        "trace_flags": st.sampled_from([None, 0, 1, 0x101, 2**32 - 1]),
    }
)
_DROPPED = st.sampled_from([(0, 0, 0), (0, 0, 0), (1, 0, 2), (0, 3, 0)])


def attribute_dicts(*, string_attributes=False):
    """Attributes as the builder takes them: str, bool, int, float or JsonText by key."""
    return _TEXTS if string_attributes else _ATTRIBUTES


def natural_attributes(*, string_attributes=False):
    """Attributes of events and links: natural JSON values by key."""
    return _ITEM_TEXTS if string_attributes else _ITEM_ATTRIBUTES


@st.composite
def _events(draw, start, step, options):
    items = []
    for _ in range(draw(st.integers(0, 3))):
        item = {
            "time": start + step * draw(st.integers(-5, 10**6)),
            "name": draw(st.sampled_from(["exception", "message", "größe", 'a"b', "x,\ny"])),
            "attributes": draw(natural_attributes(string_attributes=options["string_attributes"])),
        }
        if not options["simple_scopes"] and draw(_ONE_IN_TEN):
            item["dropped_attributes"] = draw(st.integers(1, 9))
        items.append(item)
    return event_cell(items)


@st.composite
def _links(draw, trace_ids, options):
    items = []
    for _ in range(draw(st.integers(0, 2))):
        item = {
            "trace_id": draw(TRACE_ID) if draw(_ONE_IN_TEN) else draw(st.sampled_from(trace_ids)),
            "span_id": draw(SPAN_ID),
        }
        if (state := draw(st.sampled_from(TRACE_STATES))) is not None:
            item["trace_state"] = state
        item["attributes"] = draw(natural_attributes(string_attributes=options["string_attributes"]))
        if not options["simple_scopes"]:
            if draw(st.booleans()):
                item["flags"] = draw(_BITS)
            if draw(_ONE_IN_TEN):
                item["dropped_attributes"] = draw(st.integers(1, 9))
        items.append(item)
    return link_cell(items)


@st.composite
def _resources(draw, builder, options):
    made = [0]
    for _ in range(draw(st.integers(1, 3))):
        attributes = {}
        if draw(st.integers(0, 4)):
            attributes["service.name"] = draw(st.sampled_from(SERVICES))
        if not options["simple_scopes"]:
            found = draw(attribute_dicts(string_attributes=options["string_attributes"]))
            attributes |= {f"host.{key}": value for key, value in found.items()}
            made.append(
                builder.resource(
                    attributes,
                    schema_url=draw(st.sampled_from([None, None, "https://opentelemetry.io/schemas/1.26.0"])),
                    dropped=draw(st.sampled_from([0, 0, 0, 2])),
                )
            )
        else:
            made.append(builder.resource(attributes))
    return made


@st.composite
def _scopes(draw, builder, options):
    made = [0]
    for _ in range(draw(st.integers(0, 2))):
        name, version = draw(st.sampled_from(["io.http", "größe"])), draw(st.sampled_from([None, "1.0"]))
        if options["simple_scopes"]:
            made.append(builder.scope(name, version))
        else:
            attributes = draw(attribute_dicts(string_attributes=options["string_attributes"]))
            url = draw(st.sampled_from([None, "https://opentelemetry.io/schemas/1.20.0"]))
            made.append(
                builder.scope(name, version, attributes, schema_url=url, dropped=draw(st.sampled_from([0, 0, 1])))
            )
    return made


@st.composite
def span_frames(
    draw,
    *,
    min_spans=0,
    max_spans=8,
    microseconds=False,
    string_attributes=False,
    simple_scopes=False,
    missing_times=True,
    orphans=True,
    events=True,
    links=True,
    attributes=True,
):
    """Span frames as a reader makes them: valid trees (and orphans), missing values, all types, events and links.

    Parameters
    ----------
    microseconds
        Instants and durations are whole microseconds, as Jaeger and Zipkin keep them.
    string_attributes
        Attributes, also of events and links, are texts only, none of which looks like JSON.
    simple_scopes
        Scopes have a name and a version only, resources a service name only; no link flags, no dropped counts, no schema URLs.
    missing_times, orphans
        Whether spans without start or duration, and spans whose parent is not in the frame, may occur.
    events, links, attributes
        Whether there are any.
    """
    options = {"string_attributes": string_attributes, "simple_scopes": simple_scopes}
    builder = SpanBuilder(lambda *_: None)
    resources, scopes = draw(_resources(builder, options)), draw(_scopes(builder, options))
    trace_ids = draw(st.lists(TRACE_ID, min_size=1, max_size=3, unique=True))
    span_ids = draw(st.lists(SPAN_ID, min_size=min_spans, max_size=max_spans, unique=True))
    step = 1000 if microseconds else 1
    by_trace = {trace_id: [] for trace_id in trace_ids}
    for span_id in span_ids:
        trace_id = draw(st.sampled_from(trace_ids))
        parents = [None, *by_trace[trace_id]]
        if orphans:
            parents.append("feedfacefeedface")
        by_trace[trace_id].append(span_id)
        start = step * draw(st.integers(1_700_000_000_000_000_000 // step, 1_900_000_000_000_000_000 // step))
        unknown = missing_times and draw(_ONE_IN_TEN)
        running = missing_times and draw(_ONE_IN_TEN)
        builder.add(
            trace_id=trace_id,
            span_id=span_id,
            parent_span_id=draw(st.sampled_from(parents)),
            resource=draw(st.sampled_from(resources)),
            scope=draw(st.sampled_from(scopes)),
            start_ns=None if unknown else start,
            duration_ns=None if running else step * draw(st.integers(0, 10**12 // step)),
            attributes=draw(attribute_dicts(string_attributes=string_attributes)) if attributes else None,
            events=draw(_events(start, step, options)) if events else None,
            links=draw(_links(trace_ids, options)) if links else None,
            dropped=(0, 0, 0) if simple_scopes else draw(_DROPPED),
            **draw(_SPAN),
        )
    frame, ambiguous = builder.frame()
    put_report(frame, ReadReport(("generated",), ("<generated>",), len(frame), text_like_json=ambiguous))
    return frame
