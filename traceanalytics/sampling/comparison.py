"""Two periods or deployments compared: what changed, how surely, with the trace as the unit on both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from scipy.special import ndtr

from traceanalytics.errors import OptionError, check_option
from traceanalytics.sampling.estimate_table import STATUS, estimate_rows
from traceanalytics.sampling.intervals import given_conf
from traceanalytics.sampling.ratios import error_rate, estimate_mean
from traceanalytics.sampling.totals import estimate_rate, estimate_total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from traceanalytics.sampling.designs import Design

__all__ = ["WINDOW", "compare_windows", "difference"]

WINDOW: Final = pd.CategoricalDtype(["before", "after", "difference"], ordered=True)
"""The three rows of a comparison."""

_WHAT: Final = ("error_rate", "mean", "traces", "spans", "traces_per_s", "spans_per_s")


def compare_windows(
    before: pd.DataFrame,
    after: pd.DataFrame,
    *,
    what: str = "error_rate",
    column: str = "duration_ms",
    level: str | None = None,
    window_s: float | Sequence[float] | None = None,
    design: Design | float | pd.Series | None = None,
    by: str | Sequence[str] | None = None,
    where: pd.Series | None = None,
    conf: float = 0.95,
) -> pd.DataFrame:
    """Answer whether something changed between two sets of sampled traces, and by how much.

    Parameters
    ----------
    before, after
        Sampled spans of two periods, deployments or services, drawn independently of each other: no trace is in both.
    what
        ``error_rate``, ``mean`` (of ``column``), ``traces``, ``spans`` (totals), ``traces_per_s``, ``spans_per_s``.
    column
        For ``mean``: a numeric column or attribute.
    level
        For ``error_rate``: ``trace`` (default) or ``span``; for ``mean``: ``span`` (default) or ``trace``.
    window_s
        For ``..._per_s``: the lengths of the periods in seconds, one number or a pair. None: as observed.
    design, by, conf
        As for :func:`estimate_total`; one design for both.
    where
        Boolean Series that has the rows of both frames in its index.

    Returns
    -------
    pandas.DataFrame
        Three rows for each group: the columns of ``by``, then ``window`` (category: before, after, difference) and the columns of
        the estimates (see :func:`estimate_total`), and ``p_value`` (float64; in rows ``difference``): how probable so large a
        difference would be if nothing had changed, both sides counted. ``difference`` is after minus before; its status is the
        worse of both. A group that one side lacks is a row without a number there, or a bounded 0 for totals.

    Raises
    ------
    OptionError, SchemaError
        An option is not as described, or a frame is no span frame.

    Notes
    -----
    The interval joins those of both sides (Newcombe 1998; Zou and Donner 2008): it is as lopsided as they are. The p-value is that
    of the difference divided by its standard error. Spans taken as independent would find a change in half of all comparisons of
    equal traffic.

    Examples
    --------
    >>> import pandas as pd
    >>> from traceanalytics.sampling.comparison import compare_windows
    >>> def window(failed):
    ...     return pd.DataFrame({"trace_id": [f"{n}" for n in range(400)], "kind": "SERVER", "status": ["ERROR"] * failed + ["OK"] * (400 - failed)})
    >>> found = compare_windows(window(10), window(30), design=0.01)
    >>> found[["window", "estimate", "lo", "hi", "p_value"]].round(3)
           window  estimate     lo     hi  p_value
    0      before     0.025  0.014  0.045      NaN
    1       after     0.075  0.053  0.105      NaN
    2  difference     0.050  0.020  0.082    0.001
    """
    check_option("what", what, _WHAT)
    given_conf(conf)
    lengths = _pair(window_s, what)
    options: dict[str, Any] = {"design": design, "by": by, "conf": conf}
    sides = [
        _estimated(spans, (what, column, level), length, {**options, "where": _of(where, spans)})
        for spans, length in zip((before, after), lengths, strict=True)
    ]
    if by is None:
        return _joined(sides[0], sides[1], None)
    names = [by] if isinstance(by, str) else list(by)
    keys = pd.concat([side[names] for side in sides], ignore_index=True).drop_duplicates()
    keys = keys.sort_values(names, ignore_index=True)
    blanks = []
    for spans, length in zip((before, after), lengths, strict=True):
        nothing = pd.Series(False, index=spans.index)
        blanks.append(
            _estimated(spans, (what, column, level), length, {**options, "by": None, "where": nothing})
            if not _is_empty_of_numbers(spans, what)
            else None
        )
    whole = [_aligned(side, keys, blank) for side, blank in zip(sides, blanks, strict=True)]
    return _joined(whole[0], whole[1], keys)


def difference(
    before: pd.DataFrame, after: pd.DataFrame
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return difference, standard error, both ends of the interval and p-value: the kernel of :func:`compare_windows`.

    Both sides need ``estimate``, ``se``, ``lo`` and ``hi``.

    >>> side = pd.DataFrame({"estimate": [1.0], "se": [0.3], "lo": [0.4], "hi": [1.6]})
    >>> [float(each[0].round(2)) for each in difference(side, side + [1, 0, 1, 1])]
    [1.0, 0.42, 0.15, 1.85, 0.02]
    """
    a, b = (
        {name: np.asarray(side[name], np.float64) for name in ("estimate", "se", "lo", "hi")}
        for side in (before, after)
    )
    change = b["estimate"] - a["estimate"]
    se = np.hypot(a["se"], b["se"])
    lo = change - np.hypot(b["estimate"] - b["lo"], a["hi"] - a["estimate"])
    hi = change + np.hypot(b["hi"] - b["estimate"], a["estimate"] - a["lo"])
    z = np.divide(np.abs(change), se, out=np.where(change == 0, 0.0, np.inf), where=se > 0)
    p_value = np.where(np.isnan(change) | np.isnan(se), np.nan, 2 * ndtr(-np.abs(z)))
    return change, se, lo, hi, p_value


def _estimated(
    spans: pd.DataFrame, asked: tuple[str, str, str | None], window_s: float | None, options: dict[str, Any]
) -> pd.DataFrame:
    what, column, level = asked
    if what == "error_rate":
        return error_rate(spans, level=level or "trace", **options)
    if what == "mean":
        return estimate_mean(spans, column, level=level or "span", **options)
    if what.endswith("_per_s"):
        return estimate_rate(spans, what.removesuffix("_per_s"), window_s=window_s, **options)
    return estimate_total(spans, what, **options)


def _pair(window_s: float | Sequence[float] | None, what: str) -> tuple[float | None, float | None]:
    if window_s is None:
        return None, None
    if not what.endswith("_per_s"):
        raise OptionError(f"window_s belongs to what='traces_per_s' and 'spans_per_s', not to {what!r}")
    if isinstance(window_s, float | int):
        return window_s, window_s
    if len(window_s) != 2:
        raise OptionError(f"window_s has {len(window_s)} entries, expected one number, or two: before and after")
    return window_s[0], window_s[1]


def _of(where: pd.Series | None, spans: pd.DataFrame) -> pd.Series | None:
    if where is None or where.index.equals(spans.index):
        return where
    if not where.index.is_unique or not spans.index.isin(where.index).all():
        raise OptionError("where lacks rows of one of the frames: its index must hold those of both")
    return where.reindex(spans.index)


def _is_empty_of_numbers(spans: pd.DataFrame, what: str) -> bool:
    """Tell whether a mean has nothing to say about a group that is not there."""
    return what == "mean" and len(spans) == 0


def _aligned(side: pd.DataFrame, keys: pd.DataFrame, blank: pd.DataFrame | None) -> pd.DataFrame:
    """Return the rows of one side in the order of the keys of both; a group that it lacks is a group without traces."""
    names = list(keys.columns)
    at = (
        pd.MultiIndex.from_frame(side[names]).get_indexer(pd.MultiIndex.from_frame(keys))
        if len(side)
        else np.full(len(keys), -1)
    )
    table = side.drop(columns=names)
    spare = blank if blank is not None else estimate_rows([{"status": "too_few", "reason": "no trace was kept"}])
    both = pd.concat([table, spare], ignore_index=True)
    return both.iloc[np.where(at < 0, len(table), at)].reset_index(drop=True)


def _joined(before: pd.DataFrame, after: pd.DataFrame, keys: pd.DataFrame | None) -> pd.DataFrame:
    before, after = (side if keys is None else side.reset_index(drop=True) for side in (before, after))
    change, se, lo, hi, p_value = difference(before, after)
    codes = np.maximum(before["status"].cat.codes.to_numpy(), after["status"].cat.codes.to_numpy())
    reasons = [
        "; ".join(f"{name}: {text}" for name, text in zip(("before", "after"), pair, strict=True) if text)
        for pair in zip(before["reason"], after["reason"], strict=True)
    ]
    third = estimate_rows(
        {
            "estimate": change,
            "se": se,
            "lo": lo,
            "hi": hi,
            "conf": after["conf"].to_numpy(),
            "n_traces": (before["n_traces"] + after["n_traces"]).to_numpy(),
            "n_spans": (before["n_spans"] + after["n_spans"]).to_numpy(),
            "n_eff": np.full(len(change), np.nan),
            "deff": np.full(len(change), np.nan),
            "method": np.full(len(change), "joined intervals (Newcombe); p-value normal"),
            "status": pd.Categorical.from_codes(codes, dtype=STATUS),
            "reason": reasons,
        }
    )
    n = len(change)
    table = pd.concat([before, after, third], ignore_index=True)
    table["p_value"] = np.r_[np.full(2 * n, np.nan), p_value]
    window = pd.Series(np.repeat(list(WINDOW.categories), n), name="window").astype(WINDOW)
    table = pd.concat([window, table], axis=1)
    if keys is not None:
        table = pd.concat([pd.concat([keys] * 3, ignore_index=True), table], axis=1)
    # Group by group, in the order of the keys.
    return table.iloc[np.arange(3 * n).reshape(3, n).T.ravel()].reset_index(drop=True)
