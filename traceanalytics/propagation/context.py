"""What crosses a process boundary: which trace, which span is the parent, whether it is sampled, and what travels along."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from traceanalytics.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BaggageEntry", "TraceContext"]

_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_SPAN_ID: Final = re.compile(r"[0-9a-f]{16}")


class BaggageEntry(NamedTuple):
    """The value of a baggage key, decoded, and the properties behind it as they stand (``"ttl=30"``)."""

    value: str
    properties: tuple[str, ...] = ()


@dataclass(frozen=True)
class TraceContext:
    """The context of a trace as it is carried from one process to another.

    Parameters
    ----------
    trace_id
        32 lower-case hex digits, not all zero; ids of 64 bits are padded with zeros on the left. None: the carrier only has a
        decision (B3's lone ``0``).
    span_id
        16 lower-case hex digits, not all zero: the parent of the spans to come. None: not carried (an X-Ray header with a root only).
    sampled
        The sender's decision; None: it left it to the receiver.
    random
        The low 56 bits of the trace id are random, as W3C level 2 tells; False means that nothing is known.
    debug
        Keep this trace whatever the sampler says (B3, Jaeger).
    parent_span_id
        The parent of ``span_id`` where the format carries it (B3, Jaeger).
    tracestate
        Members of the W3C tracestate by key, in their order.
    baggage
        Entries of the baggage by key.
    extra
        Further fields of the format by name, such as X-Ray's ``Lineage``.

    Raises
    ------
    OptionError
        An id is not as described.

    Examples
    --------
    >>> TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True).sampled
    True
    """

    trace_id: str | None
    span_id: str | None
    sampled: bool | None = None
    random: bool = False
    debug: bool = False
    parent_span_id: str | None = None
    tracestate: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    baggage: Mapping[str, BaggageEntry] = field(default_factory=lambda: MappingProxyType({}))
    extra: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Check the ids: whoever holds a context need not look again."""
        for name, pattern, digits in (
            ("trace_id", _TRACE_ID, 32),
            ("span_id", _SPAN_ID, 16),
            ("parent_span_id", _SPAN_ID, 16),
        ):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and pattern.fullmatch(value) and value.strip("0")):
                raise OptionError(f"{name}={value!r} is not {digits} lower-case hex digits that are not all zero")
