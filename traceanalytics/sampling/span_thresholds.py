"""Thresholds and randomness of whole columns: every distinct text is parsed once, and common forms without Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.sampling.thresholds import DIGITS, threshold_number
from traceanalytics.sampling.tracestate_codec import LIST_CODES, parse_ot, parse_tracestate
from traceanalytics.spans.schema import check_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["StateColumn", "randomness_of", "randomness_under", "state_column", "thresholds_of"]

_PLAIN: Final = r"^ot=(?:rv:(?P<rv>[0-9a-f]{14}))?(?:;?th:(?P<th>[0-9a-f]{1,14}))?$"
"""What samplers write when no other vendor is there; the semicolon is checked beside it."""

_MEMBER: Final = r"(^|,)[ \t]*ot="
"""Where a text has the member, well formed or not."""

_GOOD_VALUE: Final = r"=([ -+\--<>-~]*[!-+\--<>-~])[ \t]*(,|$)"
"""A value of a member that the grammar allows but for its length, up to the next member."""

_SHORT: Final = 256
"""A text of this length has no value that is too long."""

_ODD: Final = r"^ot=;|[0-9a-f]th|^ot=$"
"""What the pattern above lets through and the grammar does not."""


class StateColumn(NamedTuple):
    """The tracestates of a frame: a number of a distinct text for every span, -1 for none, and what each text holds.

    ``rejected`` marks texts with an ``ot`` member of which any part is rejected; a malformed text of other vendors claims nothing.
    """

    codes: NDArray[np.intp]
    threshold: NDArray[np.uint64]
    has_threshold: NDArray[np.bool_]
    rv: NDArray[np.uint64]
    has_rv: NDArray[np.bool_]
    rejected: NDArray[np.bool_]

    def of_spans(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a value of the texts for every span: zero or False where a span has none."""
        return np.append(values, values.dtype.type(0))[self.codes]


def thresholds_of(spans: pd.DataFrame) -> pd.Series:
    """Return the sampling threshold of every span, from its tracestate.

    Parameters
    ----------
    spans
        A span frame.

    Returns
    -------
    pandas.Series
        UInt64, named ``threshold``: 0 (everything is kept) to 2**56 - 1; missing where a tracestate has no ``th`` or any part
        of it is rejected. The probability is ``1 - threshold / 2**56``.

    Raises
    ------
    SchemaError
        The frame is no span frame.

    Examples
    --------
    >>> spans = pd.DataFrame({"trace_id": ["a", "b", "c"], "trace_state": ["ot=th:8", None, "ot=th:0x8"]})
    >>> thresholds_of(spans).tolist()
    [36028797018963968, <NA>, <NA>]
    """
    check_spans(spans, "trace_id", "trace_state")
    states = state_column(spans)
    known = states.of_spans(states.has_threshold & ~states.rejected)
    return _numbers(states.of_spans(states.threshold), known, spans.index, "threshold")


def randomness_of(spans: pd.DataFrame) -> pd.Series:
    """Return the 56 random bits that decided about every span.

    Parameters
    ----------
    spans
        A span frame.

    Returns
    -------
    pandas.Series
        UInt64, named ``randomness``: the tracestate's ``rv`` where it has one, else the low 56 bits of the trace id; missing
        where a tracestate has an ``ot`` member of which any part is rejected, or the id is no lower-case hex number of 14 digits or more.

    Raises
    ------
    SchemaError
        The frame is no span frame.

    Examples
    --------
    >>> spans = pd.DataFrame({"trace_id": ["4bf92f3577b34da6a3ce929d0e0e4736", "x"], "trace_state": [None, "ot=rv:00000000000001"]})
    >>> [hex(value) for value in randomness_of(spans)]
    ['0xce929d0e0e4736', '0x1']
    """
    check_spans(spans, "trace_id", "trace_state")
    return randomness_under(spans, state_column(spans))


def randomness_under(spans: pd.DataFrame, states: StateColumn) -> pd.Series:
    """Return what :func:`randomness_of` does, for tracestates that are parsed already."""
    codes, ids = pd.factorize(spans["trace_id"])
    texts = pa.array(ids.astype("str"), pa.large_string())
    hexadecimal = _flags(pc.match_substring_regex(texts, f"^[0-9a-f]{{{DIGITS},}}$"))
    low = np.zeros(len(ids), np.uint64)
    low[hexadecimal] = _parsed(pc.utf8_slice_codeunits(texts.filter(pa.array(hexadecimal)), -DIGITS, None))
    explicit = states.of_spans(states.has_rv)
    values = np.where(explicit, states.of_spans(states.rv), np.append(low, np.uint64(0))[codes])
    known = (explicit | np.append(hexadecimal, np.False_)[codes]) & ~states.of_spans(states.rejected)
    return _numbers(values, known, spans.index, "randomness")


def state_column(spans: pd.DataFrame) -> StateColumn:
    """Parse the tracestates of a frame, each distinct text once."""
    codes, uniques = pd.factorize(spans["trace_state"])
    texts = pa.array(uniques.astype("str"), pa.large_string())
    members, void = _own_members(texts)
    numbers, distinct = pd.factorize(pd.Series(members.to_pandas(), dtype="str"))
    found = _of_members(pa.array(distinct.astype("str"), pa.large_string()))
    rows = [np.append(values, values.dtype.type(0))[numbers] for values in found]
    rows[-1] |= void
    return StateColumn(codes, *rows)


def _own_members(texts: pa.Array) -> tuple[pa.Array, NDArray[np.bool_]]:
    """Return the ``ot`` member of each text (null: none), and where a text that has one is void as a whole."""
    members = pc.if_else(pc.match_substring_regex(texts, _PLAIN), texts, None)
    rest = np.flatnonzero(_flags(pc.match_substring_regex(texts, _MEMBER)) & _flags(pc.is_null(members)))
    void = np.zeros(len(texts), np.bool_)
    if not len(rest):
        return members, void
    some = texts.take(pa.array(rest))
    # Whether the list is well formed depends on the keys alone once every good value is replaced: few texts are left.
    shape = pc.replace_substring_regex(some, _GOOD_VALUE, r"=v\2")
    shape = pc.if_else(pc.less_equal(pc.utf8_length(some), _SHORT), shape, some)
    codes, shapes = pd.factorize(pd.Series(shape.to_pandas(), dtype="str"))
    void[rest] = np.array([_is_void(text) for text in shapes])[codes]
    own = pc.struct_field(pc.extract_regex(some, r"(?:^|,)[ \t]*(?P<ot>ot=[^,]*)"), "ot")
    whole = pc.if_else(pa.array(void[rest]), None, pc.utf8_rtrim(own, " \t"))
    mask = np.zeros(len(texts), np.bool_)
    mask[rest] = True
    return pc.replace_with_mask(members, pa.array(mask), whole), void


def _is_void(text: str) -> bool:
    """Tell whether a text is rejected as a whole: whatever else is there goes with it."""
    return any(error.code in LIST_CODES for error in parse_tracestate(text).errors)


def _of_members(members: pa.Array) -> tuple[NDArray[Any], ...]:
    """Return threshold, whether there is one, rv, whether there is one, and whether any part is rejected."""
    count = len(members)
    threshold, has_threshold = np.zeros(count, np.uint64), np.zeros(count, np.bool_)
    rv, has_rv, rejected = np.zeros(count, np.uint64), np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    plain = _flags(pc.match_substring_regex(members, _PLAIN)) & ~_flags(pc.match_substring_regex(members, _ODD))
    rows = np.flatnonzero(plain)
    parts = pc.extract_regex(members.take(pa.array(rows)), _PLAIN)
    for name, values, has in (("th", threshold, has_threshold), ("rv", rv, has_rv)):
        digits = pc.struct_field(parts, name)
        some = _flags(pc.not_equal(digits, ""))
        has[rows] = some
        values[rows[some]] = _parsed(pc.utf8_rpad(digits.filter(pa.array(some)), DIGITS, "0"))
    for row in np.flatnonzero(~plain).tolist():
        state = parse_ot(members[row].as_py().removeprefix("ot="))
        rejected[row] = bool(state.errors)
        if state.th is not None:
            has_threshold[row], threshold[row] = True, threshold_number(state.th)
        if state.rv is not None:
            has_rv[row], rv[row] = True, int(state.rv, 16)
    return threshold, has_threshold, rv, has_rv, rejected


def _flags(found: pa.Array) -> NDArray[np.bool_]:
    flags: NDArray[np.bool_] = np.asarray(pc.fill_null(found, False), dtype=np.bool_)
    return flags


def _parsed(digits: pa.Array) -> NDArray[np.uint64]:
    """Return texts of 14 hex digits as numbers."""
    padded = pc.utf8_lpad(digits, 16, "0")
    return np.frombuffer(bytes.fromhex("".join(padded.to_pylist())), ">u8").astype(np.uint64)


def _numbers(values: NDArray[np.uint64], known: NDArray[np.bool_], index: pd.Index, name: str) -> pd.Series:
    return pd.Series(pd.arrays.IntegerArray(np.where(known, values, np.uint64(0)), ~known), index=index, name=name)
