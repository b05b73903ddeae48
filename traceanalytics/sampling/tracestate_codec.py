"""Strict parser and writer of OpenTelemetry's ``ot`` member inside a W3C tracestate.

Parsers in use accept upper-case digits, ``0x``, underscores, signs and blanks, each its own set, and so give one text different
weights. Here a text is what the grammar says or it is rejected, with the reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from traceanalytics.errors import OptionError, check_option
from traceanalytics.sampling.thresholds import (
    DIGITS,
    adjusted_count,
    normalise_th,
    th_fault,
    threshold_number,
    threshold_text,
)

__all__ = [
    "LIST_CODES",
    "Rejection",
    "TraceState",
    "parse_ot",
    "parse_tracestate",
    "raise_threshold",
    "write_tracestate",
]

_MOST_MEMBERS: Final = 32
_MOST_OT: Final = 256
_SHOWN: Final = 40

LIST_CODES: Final = frozenset({"members", "member", "key", "value", "duplicate"})
"""Codes of rejections that void the whole text."""

_PAIR: Final = r"[a-z][a-z0-9]*:[A-Za-z0-9._\-]*"
_OT: Final = re.compile(rf"{_PAIR}(?:;{_PAIR})*")
_KEYS: Final = {
    1: re.compile(r"[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}"),
    2: re.compile(r"[a-z0-9][a-z0-9_\-*/@]{0,255}"),
}
_VALUE: Final = re.compile(r"[ -+\--<>-~]{0,255}[!-+\--<>-~]")


class Rejection(NamedTuple):
    """Why a part of a tracestate is rejected.

    ``code`` is one of: for the whole text ``members`` (too many), ``member`` (no ``=``), ``key``, ``value``, ``duplicate``; for
    the ``ot`` member ``size``, ``syntax``, ``duplicate_key``, ``th_empty``, ``th_size``, ``rv_size``. ``reason`` is a sentence.
    """

    code: str
    reason: str


@dataclass(frozen=True)
class TraceState:
    """A parsed tracestate.

    Parameters
    ----------
    th
        The sampling threshold's text as it stands, or None: absent or rejected.
    rv
        The explicit randomness, or None: absent or rejected.
    extra
        Further pairs of the ``ot`` member, as they stand (``"p:8"``), in their order.
    other
        Members of other vendors by key, in their order.
    errors
        What was rejected, and why. A rejected ``ot`` member leaves the other members valid; a rejected member of the list
        voids the whole text.

    Examples
    --------
    >>> parse_tracestate("ot=th:c;x:y,vendor=1").adjusted_count
    4.0
    """

    th: str | None = None
    rv: str | None = None
    extra: tuple[str, ...] = ()
    other: dict[str, str] = field(default_factory=dict)
    errors: tuple[Rejection, ...] = ()

    @property
    def adjusted_count(self) -> float | None:
        """The number of traces that this one stands for; None when unknown: no threshold, or anything rejected."""
        return None if self.th is None or self.errors else adjusted_count(self.th)


def parse_tracestate(text: str, *, level: int = 2) -> TraceState:
    """Parse a W3C tracestate and its ``ot`` member.

    Parameters
    ----------
    text
        The header's value; several headers are joined by commas.
    level
        The W3C Trace Context level whose grammar of keys counts. Level 2 lets a key begin with a digit and hold ``@`` anywhere
        after its first character; level 1 does not.

    Returns
    -------
    TraceState
        Never an exception for what a text may hold: ``errors`` tells what was rejected.

    Raises
    ------
    OptionError
        ``level`` is neither 1 nor 2.

    Examples
    --------
    >>> parse_tracestate("vendor=1, ot=th:c;rv:d29d6a7215ced0")
    TraceState(th='c', rv='d29d6a7215ced0', extra=(), other={'vendor': '1'}, errors=())
    >>> parse_tracestate("ot=th:0x1").errors
    (Rejection(code='syntax', reason="th '0x1' is not written in lower-case hex digits"),)
    """
    check_option("level", level, _KEYS)
    members: dict[str, str] = {}
    errors: list[Rejection] = []
    count = 0
    for part in text.split(","):
        member = part.strip(" \t")
        if not member:  # the grammar allows empty members
            continue
        count += 1
        key, equals, value = member.partition("=")
        fault = _member_fault(member, key, value, has_value=bool(equals), level=level)
        if fault is None and key in members:
            fault = Rejection("duplicate", f"the key {_shown(key)} stands more than once")
        if fault is not None:
            errors.append(fault)
        else:
            members[key] = value
    if count > _MOST_MEMBERS:
        errors.append(Rejection("members", f"{count} members, more than {_MOST_MEMBERS}"))
    if errors:
        return TraceState(errors=tuple(errors))
    own = members.pop("ot", None)
    state = TraceState() if own is None else parse_ot(own)
    return replace(state, other=members)


def _member_fault(member: str, key: str, value: str, *, has_value: bool, level: int) -> Rejection | None:
    if not has_value:
        return Rejection("member", f"the member {_shown(member)} has no '='")
    if not _KEYS[level].fullmatch(key):
        return Rejection("key", f"{_shown(key)} is no key of W3C Trace Context level {level}")
    if not _VALUE.fullmatch(value):
        return Rejection(
            "value",
            f"the value {_shown(value)} of {_shown(key)} is not 1 to 256 printable characters without '=' and ','",
        )
    return None


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def parse_ot(text: str) -> TraceState:
    """Parse the value of the ``ot`` member alone.

    A value outside the grammar says nothing at all; within the grammar a bad ``th`` leaves a good ``rv``, and the other way
    round.

    Examples
    --------
    >>> parse_ot("rv:3;th:c")
    TraceState(th='c', rv=None, extra=(), other={}, errors=(Rejection(code='rv_size', reason="rv '3' has 1 digit, expected 14"),))
    """
    if len(text) > _MOST_OT:
        return TraceState(errors=(Rejection("size", f"{len(text)} characters, more than {_MOST_OT}"),))
    if not _OT.fullmatch(text):
        return TraceState(errors=(Rejection("syntax", f"{_shown(text)} is no list key:value;key:value"),))
    pairs = [pair.split(":") for pair in text.split(";")]
    keys = [key for key, _ in pairs]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        return TraceState(errors=(Rejection("duplicate_key", f"{_shown(twice[0])} stands more than once"),))
    values = dict(pairs)
    errors = []
    for key, found in (("th", th_fault), ("rv", _rv_fault)):
        fault = found(values[key]) if key in values else None
        if fault is not None:
            errors.append(Rejection(*fault))
            del values[key]
    extra = tuple(f"{key}:{value}" for key, value in pairs if key not in ("th", "rv"))
    return TraceState(values.get("th"), values.get("rv"), extra, errors=tuple(errors))


def _rv_fault(rv: str) -> tuple[str, str] | None:
    if len(rv) != DIGITS:
        return "rv_size", f"rv {_shown(rv)} has {len(rv)} digit{'' if len(rv) == 1 else 's'}, expected {DIGITS}"
    if not re.fullmatch("[0-9a-f]+", rv):
        return "syntax", f"rv {rv!r} is not written in lower-case hex digits"
    return None


def write_tracestate(state: TraceState) -> str:
    """Return the text of a tracestate: ``ot`` first, then the other vendors' members in their order.

    The member that changed last stands first; when there is no room for a 33rd member, the last one goes. Within ``ot`` come
    ``rv``, ``th`` without trailing zeros, then the further pairs as they stood. When they make it longer than 256 characters,
    the further pairs go, from the last one.

    Raises
    ------
    OptionError
        ``th`` or ``rv`` is not well formed.

    Examples
    --------
    >>> write_tracestate(parse_tracestate("vendor=1,ot=x:y;th:c00;rv:d29d6a7215ced0"))
    'ot=rv:d29d6a7215ced0;th:c;x:y,vendor=1'
    """
    pairs = []
    if state.rv is not None:
        fault = _rv_fault(state.rv)
        if fault is not None:
            raise OptionError(fault[1])
        pairs.append(f"rv:{state.rv}")
    if state.th is not None:
        pairs.append(f"th:{normalise_th(state.th)}")
    needed = len(pairs)
    pairs += state.extra
    while len(pairs) > needed and len(";".join(pairs)) > _MOST_OT:
        pairs.pop()
    members = [f"{key}={value}" for key, value in state.other.items()]
    if pairs:
        members.insert(0, "ot=" + ";".join(pairs))
    return ",".join(members[:_MOST_MEMBERS])


def raise_threshold(state: TraceState, value: int) -> TraceState:
    """Return the state with the threshold of a further sampling stage.

    A later stage can only thin out: a threshold below the present one would claim traces that were dropped already.

    Raises
    ------
    OptionError
        The threshold lies below the present one, or is not in 0 to 2**56 - 1.

    Examples
    --------
    >>> write_tracestate(raise_threshold(parse_tracestate("ot=th:8"), 0xC0000000000000))
    'ot=th:c'
    """
    text = threshold_text(value)
    if state.th is not None and value < threshold_number(state.th):
        raise OptionError(
            f"threshold {text!r} lies below the present one, {state.th!r}: a later stage cannot bring traces back"
        )
    return replace(state, th=text)
