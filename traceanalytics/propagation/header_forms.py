"""Headers of each format for a context, and the context of headers, whichever format they are in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from traceanalytics.errors import check_option
from traceanalytics.propagation.amzn import parse_x_amzn_trace_id, write_x_amzn_trace_id
from traceanalytics.propagation.b3 import HEADERS as B3_HEADERS
from traceanalytics.propagation.b3 import parse_b3, parse_b3_headers, write_b3, write_b3_headers
from traceanalytics.propagation.baggage import parse_baggage, write_baggage
from traceanalytics.propagation.grpc_binary import parse_grpc_trace_bin, write_grpc_trace_bin
from traceanalytics.propagation.parsed import Parsed, Problem
from traceanalytics.propagation.traceparent import parse_traceparent, write_traceparent
from traceanalytics.propagation.tracestate import parse_members, write_members
from traceanalytics.propagation.uber import parse_uber_trace_id, write_uber_trace_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from traceanalytics.propagation.context import TraceContext

__all__ = ["FORMATS", "Extracted", "context_of", "headers_of"]

FORMATS: Final = ("w3c", "b3", "b3multi", "jaeger", "xray", "grpc-binary")
"""In the order in which a carrier is searched."""


_SINGLE: Final = {
    "b3": ("b3", parse_b3),
    "jaeger": ("uber-trace-id", parse_uber_trace_id),
    "xray": ("x-amzn-trace-id", parse_x_amzn_trace_id),
    "grpc-binary": ("grpc-trace-bin", parse_grpc_trace_bin),
}


class Extracted(NamedTuple):
    """What a carrier held.

    ``context`` is None when there is none or it is void; ``format`` names where it came from (None: nowhere); ``problems`` tells what
    was rejected. A bad tracestate or baggage is left out and told, and leaves a good traceparent as it is; a bad traceparent voids
    the tracestate.
    """

    context: TraceContext | None
    format: str | None = None
    problems: tuple[Problem, ...] = ()


def headers_of(context: TraceContext, form: str) -> dict[str, str | bytes]:
    """Return the headers of a context in a format; ``grpc-trace-bin`` is bytes, everything else text.

    >>> from traceanalytics.propagation.context import TraceContext
    >>> headers_of(TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True), "jaeger")
    {'uber-trace-id': '4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7:0:1'}
    """
    check_option("format", form, FORMATS)
    if form == "w3c":
        found: dict[str, str | bytes] = {"traceparent": write_traceparent(context)}
        if context.tracestate:
            found["tracestate"] = write_members(context.tracestate)
    elif form == "b3":
        found = {"b3": write_b3(context)}
    elif form == "b3multi":
        found = dict(write_b3_headers(context))
    elif form == "jaeger":
        found = {"uber-trace-id": write_uber_trace_id(context)}
    elif form == "xray":
        found = {"X-Amzn-Trace-Id": write_x_amzn_trace_id(context)}
    else:
        found = {"grpc-trace-bin": write_grpc_trace_bin(context)}
    if context.baggage:
        found["baggage"] = write_baggage(context.baggage)
    return found


def context_of(pairs: Iterable[tuple[str, str | bytes]], form: str = "auto") -> Extracted:
    """Return the context that headers hold, their names in any case.

    Parameters
    ----------
    pairs
        Name and value; a name may occur again.
    form
        One of ``FORMATS``; ``auto``: the first of them that is there and valid.

    Examples
    --------
    >>> found = context_of([("B3", "0")])
    >>> found.format, found.context.sampled
    ('b3', False)
    """
    check_option("format", form, ("auto", *FORMATS))
    headers: dict[str, list[str | bytes]] = {}
    for name, value in pairs:
        headers.setdefault(name.lower(), []).append(value)
    problems: list[Problem] = []
    for name in FORMATS if form == "auto" else (form,):
        parsed = _read(headers, name)
        if parsed is None:
            continue
        if parsed.value is not None:
            return _with_lists(parsed.value, name, headers)
        problems += parsed.problems
    return Extracted(None, None, tuple(problems))


def _read(headers: Mapping[str, list[str | bytes]], form: str) -> Parsed[TraceContext] | None:
    """Return what the headers of one format hold; None when they are not there."""
    if form == "b3multi":
        names = [name.lower() for name in B3_HEADERS if name.lower() in headers]
        again = [name for name in names if len(headers[name]) > 1]
        if again:
            return _twice(again[0])
        return parse_b3_headers({name: headers[name][0] for name in names}) if names else None
    name, parse = ("traceparent", parse_traceparent) if form == "w3c" else _SINGLE[form]
    values = headers.get(name, [])
    if len(values) > 1:
        return _twice(name)
    return parse(values[0]) if values else None


def _twice(name: str) -> Parsed[TraceContext]:
    """Return the rejection of a header that came more than once: which of them is meant, nobody can tell."""
    return Parsed(None, (Problem("duplicate", f"{name} stands more than once"),))


def _with_lists(context: TraceContext, form: str, headers: Mapping[str, list[str | bytes]]) -> Extracted:
    problems: list[Problem] = []
    if form == "w3c" and "tracestate" in headers:
        members = parse_members(_joined(headers["tracestate"]))
        context = replace(context, tracestate=members.value or {})
        problems += members.problems
    if "baggage" in headers:
        entries = parse_baggage(_joined(headers["baggage"]))
        context = replace(context, baggage=entries.value or {})
        problems += entries.problems
    return Extracted(context, form, tuple(problems))


def _joined(values: list[str | bytes]) -> str:
    return ",".join(value.decode("latin-1") if isinstance(value, bytes) else value for value in values)
