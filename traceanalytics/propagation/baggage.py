"""W3C ``baggage``: values that travel with a request, percent-encoded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote_to_bytes

from traceanalytics.errors import OptionError
from traceanalytics.propagation.context import BaggageEntry
from traceanalytics.propagation.parsed import Parsed, Problem, shown, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MOST_BYTES", "MOST_ENTRIES", "parse_baggage", "write_baggage"]

MOST_ENTRIES: Final = 180
MOST_BYTES: Final = 8_192

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(r"[!#-+\--:<-\[\]-~]*")
_BROKEN: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PLAIN: Final = "!#$&'()*+-./:<=>?@[]^_`{|}~"
"""What may stand in a value unencoded, beside letters and digits; the percent sign is encoded."""


def parse_baggage(text: str | bytes) -> Parsed[dict[str, BaggageEntry]]:
    """Parse a W3C ``baggage`` header; one bad entry voids the whole header, and of a key that occurs twice the last one counts.

    Parameters
    ----------
    text
        The header's value; the values of several headers are joined by commas.

    Returns
    -------
    Parsed
        ``value``: key to :class:`~traceanalytics.propagation.context.BaggageEntry` (value decoded from percent-encoded UTF-8,
        properties as they stand), in their order, or None; ``problems`` with the codes ``encoding``, ``size`` (more than 8,192
        bytes), ``entries`` (more than 180), ``entry`` (no ``=``), ``key``, ``value``, ``percent``, ``property``.

    Examples
    --------
    >>> parse_baggage("tenant=acme%20co;ttl=30, variant=b").value
    {'tenant': BaggageEntry(value='acme co', properties=('ttl=30',)), 'variant': BaggageEntry(value='b', properties=())}
    >>> parse_baggage("tenant=acme co").problems[0].reason
    "the value 'acme co' of 'tenant' holds a character that must be percent-encoded"
    """
    read = text_of(text, limit=MOST_BYTES)
    if read.value is None:
        return Parsed(None, read.problems)
    entries: dict[str, BaggageEntry] = {}
    problems: list[Problem] = []
    count = 0
    for part in read.value.split(","):
        if not part.strip(" \t"):
            continue
        count += 1
        first, *rest = (piece.strip(" \t") for piece in part.split(";"))
        key, equals, value = (piece.strip(" \t") for piece in first.partition("="))
        found = _problem(key, value, has_value=bool(equals)) or _property_problem(rest)
        if found is not None:
            problems.append(found)
            continue
        entries.pop(key, None)
        entries[key] = BaggageEntry(unquote_to_bytes(value).decode("utf-8", "replace"), tuple(rest))
    if count > MOST_ENTRIES:
        problems.append(Problem("entries", f"{count} entries, more than {MOST_ENTRIES}"))
    return Parsed(None, tuple(problems)) if problems else Parsed(entries)


def _problem(key: str, value: str, *, has_value: bool) -> Problem | None:
    if not has_value:
        return Problem("entry", f"the entry {shown(key)} has no '='")
    if not _TOKEN.fullmatch(key):
        return Problem("key", f"{shown(key)} is no token: letters, digits and !#$%&'*+-.^_`|~")
    return _value_problem(key, value)


def _value_problem(key: str, value: str) -> Problem | None:
    if not _VALUE.fullmatch(value):
        return Problem(
            "value", f"the value {shown(value)} of {shown(key)} holds a character that must be percent-encoded"
        )
    if _BROKEN.search(value):
        return Problem("percent", f"the value {shown(value)} of {shown(key)} has a % without two hex digits")
    return None


def _property_problem(properties: list[str]) -> Problem | None:
    for text in properties:
        key, _, value = (piece.strip(" \t") for piece in text.partition("="))
        if not _TOKEN.fullmatch(key) or _value_problem(key, value) is not None:
            return Problem("property", f"the property {shown(text)} is no token or token=value")
    return None


def write_baggage(entries: Mapping[str, BaggageEntry | str]) -> str:
    """Return the ``baggage`` header of entries; characters that may not stand in it are percent-encoded as UTF-8.

    Raises
    ------
    OptionError
        A key is no token, a property is malformed, or there are more than 180 entries or 8,192 bytes: nothing is left out silently.

    Examples
    --------
    >>> write_baggage({"tenant": "acme co", "variant": BaggageEntry("b", ("ttl=30",))})
    'tenant=acme%20co,variant=b;ttl=30'
    """
    parts = []
    for key, entry in entries.items():
        value, properties = entry if isinstance(entry, BaggageEntry) else (entry, ())
        encoded = quote(value.encode("utf-8", "replace"), safe=_PLAIN)
        problem = _problem(key, encoded, has_value=True) or _property_problem(list(properties))
        if problem is not None:
            raise OptionError(problem.reason)
        parts.append(";".join([f"{key}={encoded}", *properties]))
    text = ",".join(parts)
    if len(parts) > MOST_ENTRIES or len(text) > MOST_BYTES:
        raise OptionError(
            f"{len(parts)} entries of {len(text):,} bytes together: a baggage header holds {MOST_ENTRIES} entries and "
            f"{MOST_BYTES:,} bytes; leave some out"
        )
    return text
