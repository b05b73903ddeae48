"""A header taken apart: one row a field, with where it stands and what it means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pandas as pd

from traceanalytics.errors import OptionError, check_option
from traceanalytics.propagation.amzn import parse_x_amzn_trace_id
from traceanalytics.propagation.b3 import parse_b3
from traceanalytics.propagation.baggage import parse_baggage
from traceanalytics.propagation.parsed import text_of
from traceanalytics.propagation.traceparent import parse_traceparent
from traceanalytics.propagation.tracestate import parse_members
from traceanalytics.propagation.uber import parse_uber_trace_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from traceanalytics.propagation.parsed import Parsed, Problem

__all__ = ["explain"]

_LIMIT: Final = 65_536
_NAMED: Final = re.compile(r"\s*([A-Za-z0-9-]+)\s*:(?!\d*:)\s*(.*)", re.DOTALL)


class _Field(NamedTuple):
    name: str
    offset: int
    text: str
    meaning: str


def explain(header: str | bytes, *, name: str = "auto") -> pd.DataFrame:
    """Explain a propagation header: one row a field, with its place, its value and what it means.

    Parameters
    ----------
    header
        The header's value, or the whole line (``traceparent: 00-...``).
    name
        ``traceparent``, ``tracestate``, ``baggage``, ``b3``, ``uber-trace-id``, ``x-amzn-trace-id``, in any case; ``auto`` finds it
        from the line or from the form of the value.

    Returns
    -------
    pandas.DataFrame
        One row a field, in the order of the text: ``header``, ``field`` (str); ``offset``, ``size`` (int64): characters from the start of
        the value; ``value``, ``meaning`` (str); ``problem`` (str): why the header is rejected because of this field, empty otherwise.
        A problem that belongs to no field has a row of its own, with the field ``whole header``.

    Raises
    ------
    OptionError
        The form of the value fits no header, or ``name`` is unknown.

    Examples
    --------
    >>> explain("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")[["field", "offset", "size", "value"]]
          field  offset  size                             value
    0   version       0     2                                00
    1  trace_id       3    32  4bf92f3577b34da6a3ce929d0e0e4736
    2   span_id      36    16                  00f067aa0ba902b7
    3     flags      53     2                                01
    """
    read = text_of(header, limit=_LIMIT)
    if read.value is None:
        raise OptionError(f"the header cannot be read: {read.problems[0].reason}")
    text, chosen = read.value, name.lower()
    line = _NAMED.fullmatch(text)
    if line is not None and line.group(1).lower() in _HEADERS:
        text, chosen = line.group(2), line.group(1).lower() if chosen == "auto" else chosen
    if chosen == "auto":
        chosen = _guessed(text)
    check_option("name", chosen, _HEADERS)
    fields, parse = _HEADERS[chosen]
    rows = list(fields(text))
    problems = list(parse(text).problems)
    by_field = [_own(row, problems) for row in rows]
    rows += [_Field("whole header", 0, text, "") for _ in problems]
    by_field += [problem.reason for problem in problems]
    return pd.DataFrame(
        {
            "header": pd.array([chosen] * len(rows), dtype="str"),
            "field": pd.array([row.name for row in rows], dtype="str"),
            "offset": pd.array([row.offset for row in rows], dtype="int64"),
            "size": pd.array([len(row.text) for row in rows], dtype="int64"),
            "value": pd.array([row.text for row in rows], dtype="str"),
            "meaning": pd.array([row.meaning for row in rows], dtype="str"),
            "problem": pd.array(by_field, dtype="str"),
        }
    )


def _own(row: _Field, problems: list[Problem]) -> str:
    """Return the first problem that names the field, and take it from the list: each problem stands in one row."""
    for problem in problems:
        if problem.code == row.name or (row.text and repr(row.text) in problem.reason):
            problems.remove(problem)
            return problem.reason
    return ""


def _guessed(text: str) -> str:
    """Return the header that a value has the form of."""
    forms = (
        ("traceparent", r"[0-9a-zA-Z]{2}-[0-9a-zA-Z]{32}-.*"),
        ("b3", r"[01d]|[0-9a-fA-F]{16,32}-[0-9a-fA-F]{16}(-.*)?"),
        ("uber-trace-id", r"[0-9a-fA-F]+(:|%3[aA])[0-9a-fA-F]+(:|%3[aA]).*"),
        ("x-amzn-trace-id", r"(.*;)?\s*([Rr]oot|[Ss]elf)\s*=\s*1-.*"),
        ("tracestate", r"(.*,)?\s*ot=.*"),
    )
    for name, form in forms:
        if re.fullmatch(form, text, re.DOTALL):
            return name
    raise OptionError(
        f"the value has the form of no known header; say which with name=, one of {', '.join(_HEADERS)} "
        "(tracestate and baggage look alike)"
    )


def _between(parts: list[str], meanings: tuple[tuple[str, str], ...]) -> Iterator[_Field]:
    """Yield fields with one separator between; the last meaning goes for all that are too many."""
    offset = 0
    for number, part in enumerate(parts):
        name, meaning = meanings[min(number, len(meanings) - 1)]
        yield _Field(name, offset, part, meaning)
        offset += len(part) + 1


def _of_traceparent(text: str) -> Iterator[_Field]:
    parts = text.split("-", 4)
    flags = parts[3] if len(parts) > 3 else ""
    bits = int(flags, 16) if re.fullmatch("[0-9a-fA-F]{2}", flags) else 0
    meanings = (
        (
            "version",
            "00: four fields follow"
            if parts[0] == "00"
            else "a later version: the first four fields mean what they do in 00",
        ),
        ("trace_id", "the whole request: the same in every service that it reaches"),
        ("span_id", "the caller's span: the parent of the spans to come"),
        ("flags", f"{'sampled' if bits & 1 else 'not sampled'}{', trace id is random' if bits & 2 else ''}"),
        ("more", "of a later version; not known here"),
    )
    yield from _between(parts, meanings)


def _of_b3(text: str) -> Iterator[_Field]:
    decision = {"0": "not sampled", "1": "sampled", "d": "debug: keep, whatever the sampler says"}
    parts = text.split("-")
    if len(parts) == 1:
        yield _Field("sampled", 0, text, decision.get(text, "none of 0, 1 and d") + "; a decision without ids")
        return
    meanings = (
        ("trace_id", "the whole request, 64 or 128 bits"),
        ("span_id", "the caller's span"),
        ("sampled", decision.get(parts[2] if len(parts) > 2 else "", "none of 0, 1 and d")),
        ("parent_span_id", "the parent of the caller's span"),
        ("more", "not part of the format"),
    )
    yield from _between(parts, meanings)


def _of_uber(text: str) -> Iterator[_Field]:
    names = ("trace_id", "span_id", "parent_span_id", "flags")
    for number, found in enumerate(re.finditer(r"(?:(?!%3[aA])[^:])+", text)):
        name, part = names[min(number, 3)], found.group()
        if name == "flags":
            bits = int(part, 16) if re.fullmatch("[0-9a-fA-F]{1,2}", part) else 0
            meaning = f"{'sampled' if bits & 1 else 'not sampled'}{', debug' if bits & 2 else ''}"
        else:
            meaning = {
                "trace_id": "the whole request; leading zeros may be missing",
                "span_id": "the caller's span",
                "parent_span_id": "deprecated: the parent of the caller's span, 0 for none",
            }[name]
        yield _Field(name, found.start(), part, meaning)


def _of_amzn(text: str) -> Iterator[_Field]:
    meanings = {
        "root": "the trace: version 1, 8 hex digits of seconds since 1970, 24 random ones",
        "parent": "the caller's segment or subsegment",
        "sampled": "1 yes, 0 no, ? decide and tell me",
        "self": "added by a load balancer for itself",
        "lineage": "added by Lambda against loops",
    }
    for found in re.finditer(r"[^;]+", text):
        name = found.group().partition("=")[0].strip().lower()
        yield _Field(name, found.start(), found.group(), meanings.get(name, "a field of one's own, passed on"))


def _of_list(kind: str) -> Callable[[str], Iterator[_Field]]:
    def fields(text: str) -> Iterator[_Field]:
        for found in re.finditer(r"[^,]+", text):
            part = found.group().strip()
            if not part:
                continue
            key = part.partition("=")[0].strip()
            start = found.start() + found.group().index(part)
            if kind == "baggage":
                meaning = "a value that travels with the request, percent-encoded"
            elif key == "ot":
                meaning = "OpenTelemetry's: th the sampling threshold, rv the explicit randomness"
            else:
                meaning = "a vendor's own; changed by it alone, moved to the front when it is"
            yield _Field(key, start, part, meaning)

    return fields


_Rule = tuple["Callable[[str], Iterator[_Field]]", "Callable[[str], Parsed[Any]]"]

_HEADERS: Final[dict[str, _Rule]] = {
    "traceparent": (_of_traceparent, parse_traceparent),
    "tracestate": (_of_list("tracestate"), parse_members),
    "baggage": (_of_list("baggage"), parse_baggage),
    "b3": (_of_b3, parse_b3),
    "uber-trace-id": (_of_uber, parse_uber_trace_id),
    "x-amzn-trace-id": (_of_amzn, parse_x_amzn_trace_id),
}
