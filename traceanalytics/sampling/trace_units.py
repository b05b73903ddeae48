"""The sampling unit: traces, their inclusion probabilities, and sums over their spans, by group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.errors import OptionError, SchemaError, near
from traceanalytics.sampling.design_weights import STATUSES, attach_weights
from traceanalytics.spans.attributes_of_spans import attribute
from traceanalytics.spans.columns import NAT, codes_of, duration_ns, id_numbers, start_ns
from traceanalytics.spans.schema import check_spans
from traceanalytics.topology.repeats import repeats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from traceanalytics.sampling.designs import Design

__all__ = [
    "Cells",
    "Domain",
    "GroupedTraces",
    "TraceUnits",
    "cells_of",
    "domain_of",
    "grouped_traces",
    "numeric_column",
    "trace_units",
]

_USABLE: Final = STATUSES.categories.get_indexer(pd.Index(["known", "certain"]))
"""Codes of the statuses whose probability can be relied upon."""

_DENSE: Final = 4
"""So many cells of group times trace for every span are still numbered directly; beyond, by hashing."""


class TraceUnits(NamedTuple):
    """The traces of a frame: the number of its trace for every span (-1: none), and what each trace's probability is.

    ``pi`` is NaN where a trace's probability is unknown or inconsistent; ``status`` is the code of ``STATUSES``. Rows that repeat
    another one belong to no trace.
    """

    codes: NDArray[np.intp]
    number: int
    pi: NDArray[np.float64]
    status: NDArray[np.int8]


class Domain(NamedTuple):
    """The part of the spans that is asked about: their group (-1: none), the groups' names, and which of the spans count."""

    group: NDArray[np.intp] | None
    keys: pd.DataFrame | None
    keep: NDArray[np.bool_] | None

    @property
    def groups(self) -> int:
        """Number of groups; without grouping one, even where it is empty."""
        return 1 if self.keys is None else len(self.keys)


class GroupedTraces(NamedTuple):
    """One row for every group and trace that has a span there, ordered by group: the units of an estimate by group.

    ``group`` and ``trace`` number them; ``spans`` counts the trace's spans in the group, ``sums`` their values (one column each).
    """

    group: NDArray[np.intp]
    trace: NDArray[np.intp]
    spans: NDArray[np.float64]
    sums: NDArray[np.float64]


class Cells(NamedTuple):
    """Everything that an estimate by group needs; arrays of ``group`` length are units, the others groups."""

    keys: pd.DataFrame | None
    groups: int
    group: NDArray[np.intp]
    pi: NDArray[np.float64]
    """NaN is taken as 1: the groups in question are in ``unknown``, and get no number."""
    spans: NDArray[np.float64]
    sums: NDArray[np.float64]
    n_traces: NDArray[np.float64]
    n_spans: NDArray[np.float64]
    unknown: NDArray[np.float64]
    """Traces of a group whose probability is not known."""
    without: NDArray[np.float64]
    """Spans of a group that were left out because they have no value."""
    floor: float
    """The smallest probability in the whole frame: what a trace that was not seen at all may have had; NaN where not known."""
    blind: str
    """What the design never keeps, in words; empty where it sees everything."""
    units: TraceUnits


def trace_units(spans: pd.DataFrame, design: Design | float | pd.Series | None = None) -> TraceUnits:
    """Return the traces and their probabilities: from the attached columns, else as :func:`attach_weights` finds them.

    A number or a Series as ``design`` takes the place of attached columns; a ``Design`` is asked where they are missing or leave
    traces unknown.

    Raises
    ------
    SchemaError
        The frame is no span frame, or an attached probability is not in (0, 1], contradicts the weight or differs within a trace.

    Examples
    --------
    >>> spans = pd.DataFrame({"trace_id": ["a", "a", "b"]})
    >>> trace_units(spans, 0.25).pi
    array([0.25, 0.25])
    """
    check_spans(spans, "trace_id")
    if not _is_attached(spans, design):
        spans = attach_weights(spans, design=design)
    codes, ids = pd.factorize(spans["trace_id"])
    status = spans["weight_status"].astype(STATUSES).cat.codes.to_numpy()
    pi = spans["incl_prob"].to_numpy("float64", na_value=np.nan)
    unknown = ~np.isin(status, _USABLE)
    if unknown.any():
        pi = np.where(unknown, np.nan, pi)
    _check_probabilities(spans, pi)
    inside = np.flatnonzero(codes >= 0)[::-1]
    of_trace, state = np.full(len(ids), np.nan), np.full(len(ids), -1, np.int8)
    of_trace[codes[inside]], state[codes[inside]] = pi[inside], status[inside]  # the first span's
    first = np.append(of_trace, np.nan)[codes]
    differs = np.flatnonzero((codes >= 0) & (pi != first) & ~(np.isnan(pi) & np.isnan(first)))
    differs = differs[~np.isclose(pi[differs], first[differs], rtol=1e-9, atol=0)]
    if len(differs):
        row = int(differs[0])
        raise SchemaError(
            f"the spans of trace {spans['trace_id'].iloc[row]!r} have different incl_prob ({pi[row]:g} and {first[row]:g}): "
            "a trace is sampled as a whole; for spans sampled one by one use sampling.estimate_partial"
        )
    twice = _duplicates(spans, codes)
    if twice is not None:
        codes = np.where(twice, -1, codes)
    return TraceUnits(codes, len(ids), of_trace, state)


def _is_attached(spans: pd.DataFrame, design: Design | float | pd.Series | None) -> bool:
    if not {"incl_prob", "weight_status"} <= set(spans.columns):
        return False
    if design is None:
        return True
    told = spans["weight_status"].isin(["known", "certain"])
    return hasattr(design, "blind_to") and bool(told.all())


def _check_probabilities(spans: pd.DataFrame, pi: NDArray[np.float64]) -> None:
    wrong = (pi <= 0) | (pi > 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise SchemaError(
            f"{int(wrong.sum()):,} spans have an incl_prob outside (0, 1] (index {spans.index[row]!r} has {pi[row]:g}): "
            "a probability of being kept is above 0 and at most 1; attach the weights anew with sampling.attach_weights"
        )
    if "weight" not in spans.columns:
        return
    weight = pd.to_numeric(spans["weight"], errors="coerce").to_numpy("float64", na_value=np.nan)
    apart = ~np.isnan(pi) & ~(np.abs(weight * pi - 1) <= 1e-6)
    if apart.any():
        row = int(np.argmax(apart))
        raise SchemaError(
            f"{int(apart.sum()):,} spans have a weight that is not 1 / incl_prob (index {spans.index[row]!r} has {weight[row]:g} and "
            f"{pi[row]:g}): one of the columns was changed; attach the weights anew with sampling.attach_weights"
        )


def _duplicates(spans: pd.DataFrame, codes: NDArray[np.intp]) -> NDArray[np.bool_] | None:
    """Return which rows repeat another one, by the rule of :class:`Forest`; None where no id comes twice."""
    if "span_id" not in spans.columns:
        return None
    (span_id,) = id_numbers(spans["span_id"])
    mixed = span_id ^ (codes.astype(np.int64) * np.int64(0x2545F4914F6CDD1D))
    mixed = mixed[(span_id != 0) & (codes >= 0)]
    running = np.sort(mixed)
    if not (running[1:] == running[:-1]).any():
        return None
    table = pd.DataFrame({"trace": codes, "span": span_id})
    rows = np.flatnonzero(table.duplicated(keep=False).to_numpy() & (span_id != 0) & (codes >= 0))
    if not len(rows) or not {"kind", "service", "name", "status", "start_time", "duration_ms"} <= set(spans.columns):
        return None if not len(rows) else _later(table, rows)
    start = start_ns(spans["start_time"])
    latest = np.iinfo(np.int64).max
    duration, known = duration_ns(spans["duration_ms"].iloc[rows])
    found = repeats(
        spans,
        rows,
        trace=codes.astype(np.int32),
        span_id=span_id,
        start=np.where(start == NAT, latest, start),
        shortness=np.where(known, -duration, latest),
        bearer=np.zeros(len(spans), np.uint8),
    )
    return found.duplicate


def _later(table: pd.DataFrame, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return all rows but the first of each id, where there are no columns to tell different spans of one id by."""
    twice = np.zeros(len(table), np.bool_)
    twice[rows] = table.iloc[rows].duplicated().to_numpy()
    return twice


def domain_of(spans: pd.DataFrame, *, by: str | Sequence[str] | None = None, where: pd.Series | None = None) -> Domain:
    """Return the groups of the spans by columns or attributes, sorted by name, and which spans ``where`` leaves.

    Spans without a value belong to no group. Only groups that have spans are named.

    Examples
    --------
    >>> spans = pd.DataFrame({"trace_id": ["a", "a", "b"], "service": ["web", "cart", "web"]})
    >>> domain_of(spans, by="service").group
    array([1, 0, 1])
    """
    keep = None if where is None else _mask(spans, where)
    if by is None:
        return Domain(None, None, keep)
    names = [by] if isinstance(by, str) else list(by)
    if not names:
        raise OptionError("by=[] names no column: leave it out for one row over everything")
    group = np.zeros(len(spans), np.intp)
    labels: list[pd.Index] = []
    for name in names:
        codes, values = _column_codes(spans, name)
        group = codes if not labels else np.where((group < 0) | (codes < 0), -1, group * len(values) + codes)
        labels.append(values)
    inside = group >= 0 if keep is None else (group >= 0) & keep
    sizes = [len(values) for values in labels]
    cells = int(np.prod(sizes, dtype=np.float64))
    if cells <= _DENSE * len(spans) + 1024:
        used = np.flatnonzero(np.bincount(group[inside], minlength=cells))
        place = np.full(cells + 1, -1, np.intp)  # the last one serves the code -1
        place[used] = np.arange(len(used))
        numbered = place[group]
    elif cells < np.iinfo(np.int64).max:
        used = np.unique(group[inside])
        numbered = pd.Index(used).get_indexer(pd.Index(group))
    else:
        raise OptionError(f"by={names!r} has {cells:.2g} combinations: too many to tell apart")
    places = np.unravel_index(used, sizes) if cells else [used] * len(names)
    keys = pd.DataFrame({name: values.take(at) for name, values, at in zip(names, labels, places, strict=True)})
    return Domain(numbered, keys, keep)


def _column_codes(spans: pd.DataFrame, name: str) -> tuple[NDArray[np.intp], pd.Index]:
    """Return codes and labels of a column or an attribute, in the order of the labels."""
    if not isinstance(name, str):
        raise OptionError(f"by={name!r} is no name of a column or an attribute")
    column = spans[name] if name in spans.columns else attribute(spans, name)
    if name not in spans.columns and len(spans) and not column.notna().any():
        raise OptionError(f"by={name!r} is no column and no attribute of any span{near(name, spans.columns)}")
    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        codes, labels = pd.factorize(column, sort=True)
        return codes, pd.Index(labels)
    short, names = codes_of(column)
    order = np.argsort(np.asarray(names.astype("str"), dtype=object), kind="stable")
    place = np.full(len(names) + 1, -1, np.intp)  # the last one serves the code -1
    place[order] = np.arange(len(names))
    return place[short], names.take(order)


def _mask(spans: pd.DataFrame, where: pd.Series) -> NDArray[np.bool_]:
    if not isinstance(where, pd.Series):
        raise OptionError(f"where is a {type(where).__name__}, expected a boolean Series on the index of the spans")
    if not where.index.equals(spans.index):
        if not where.index.is_unique or not spans.index.isin(where.index).all():
            raise OptionError("where has another index than the spans: it needs one entry for every row")
        where = where.reindex(spans.index)
    if not pd.api.types.is_bool_dtype(where.dtype):
        raise OptionError(f"where is of type {where.dtype}, expected a boolean Series on the index of the spans")
    return where.to_numpy(bool, na_value=False)


def grouped_traces(
    units: TraceUnits,
    group: NDArray[np.intp] | None,
    values: NDArray[np.float64],
    keep: NDArray[np.bool_] | None = None,
) -> GroupedTraces:
    """Return the units of an estimate: sums of the values (spans x columns) for every pair of group and trace.

    Spans of no trace, of no group (-1), or where ``keep`` is False belong to none. ``group`` None: all spans are one group.

    Examples
    --------
    >>> units = trace_units(pd.DataFrame({"trace_id": ["a", "a", "b"]}), 0.5)
    >>> grouped_traces(units, None, np.array([[1.0], [2.0], [5.0]])).sums.ravel()
    array([3., 5.])
    """
    inside = units.codes >= 0
    if keep is not None:
        inside = inside & keep
    if group is not None:
        inside &= group >= 0
    rows = slice(None) if inside.all() else np.flatnonzero(inside)
    key = units.codes[rows] if group is None else group[rows] * units.number + units.codes[rows]
    cells = units.number * (1 if group is None else int(group.max(initial=-1)) + 1)
    bits = len(key).bit_length()
    if cells <= _DENSE * len(key) + 1024:
        count = np.bincount(key, minlength=cells)
        pairs = np.flatnonzero(count)
        sums = [np.bincount(key, weights=column, minlength=cells)[pairs] for column in values[rows].T]
        spans = count[pairs]
    else:
        if cells < 1 << (63 - bits):  # one sort of numbers that hold both key and place: far faster than an argsort
            packed = np.sort((key << bits) | np.arange(len(key)))
            order, ordered = packed & ((1 << bits) - 1), packed >> bits
        else:
            order = np.argsort(key, kind="stable")
            ordered = key[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        pairs = ordered[starts]
        sums = [np.add.reduceat(column[order], starts) for column in values[rows].T]
        spans = np.diff(starts, append=len(key))
    return GroupedTraces(
        pairs // max(units.number, 1),
        pairs % max(units.number, 1),
        spans.astype(np.float64),
        np.column_stack(sums) if sums else np.empty((len(pairs), 0)),
    )


def cells_of(
    spans: pd.DataFrame,
    values: Sequence[NDArray[np.float64]] = (),
    *,
    design: Design | float | pd.Series | None = None,
    by: str | Sequence[str] | None = None,
    where: pd.Series | None = None,
) -> Cells:
    """Return the units of an estimate by group with their sums; spans with a missing value are left out, and counted.

    Examples
    --------
    >>> cells_of(pd.DataFrame({"trace_id": ["a", "a", "b"]}), [np.array([1.0, 2.0, np.nan])], design=0.5).sums
    array([[3.]])
    """
    units = trace_units(spans, design)
    domain = domain_of(spans, by=by, where=where)
    keep, without = domain.keep, np.zeros(domain.groups)
    missing = np.zeros(len(spans), np.bool_)
    for column in values:
        missing |= ~np.isfinite(column)
    if missing.any():
        asked = missing & (units.codes >= 0) & (True if keep is None else keep)
        if domain.group is None:
            without = np.array([float(asked.sum())])
        else:
            without = np.bincount(domain.group[asked & (domain.group >= 0)], minlength=domain.groups).astype(np.float64)
        keep = ~missing if keep is None else keep & ~missing
    found = grouped_traces(
        units, domain.group, np.column_stack([*values]) if values else np.empty((len(spans), 0)), keep
    )
    pi = units.pi[found.trace]
    known = ~np.isnan(pi)
    return Cells(
        keys=domain.keys,
        groups=domain.groups,
        group=found.group,
        pi=pi if known.all() else np.where(known, pi, 1.0),
        spans=found.spans,
        sums=found.sums,
        n_traces=np.bincount(found.group, minlength=domain.groups).astype(np.float64),
        n_spans=np.bincount(found.group, weights=found.spans, minlength=domain.groups).astype(np.float64),
        unknown=np.bincount(found.group[~known], minlength=domain.groups).astype(np.float64),
        without=without,
        floor=_floor(units, design),
        blind=str(getattr(design, "blind_to", "") or ""),
        units=units,
    )


def _floor(units: TraceUnits, design: object) -> float:
    """Return the smallest probability of a trace, seen or configured; NaN where one is not known."""
    seen = [float(np.min(units.pi))] if units.number else []
    if isinstance(design, float | int):
        given = [float(design)]
    elif getattr(design, "is_constant", False):
        given = [float(getattr(design, "p", np.nan))]
    else:
        given = [float(getattr(design, "p_default", 0.0))]
        given = given if given[0] > 0 and seen else []
    found = seen + [p for p in given if 0 < p <= 1]
    return min(found) if found and not np.isnan(found).any() else float("nan")


def numeric_column(spans: pd.DataFrame, option: str, name: str, words: Sequence[str] = ()) -> NDArray[np.float64]:
    """Return the values of a numeric column or attribute, NaN where a span has none; texts of numbers are read as numbers.

    >>> numeric_column(pd.DataFrame({"trace_id": ["a"], "size": ["12"]}), "column", "size")
    array([12.])
    """
    check_spans(spans, "trace_id")
    if not isinstance(name, str):
        raise OptionError(f"{option}={name!r} is no name of a column or an attribute")
    column = spans[name] if name in spans.columns else attribute(spans, name)
    values = pd.to_numeric(column.astype("object") if column.dtype == "category" else column, errors="coerce")
    if pd.api.types.is_datetime64_any_dtype(column.dtype) or (
        len(spans) and not values.notna().any() and not pd.api.types.is_float_dtype(column.dtype)
    ):
        allowed = "".join(f"{word}, " for word in words)
        raise OptionError(
            f"{option}={name!r} holds no numbers; allowed are {allowed}names of numeric columns and attributes{near(name, [*words, *spans.columns])}"
        )
    return values.to_numpy("float64", na_value=np.nan)
