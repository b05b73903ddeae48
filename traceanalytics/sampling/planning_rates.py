"""Planning: the sampling rate that an answer needs, and what a sample without the event still allows.

An *event* is a trace in which something happens at least once (a failed request, a call over an edge): the trace is the
sampling unit, so ten error spans in one trace are one event. Every trace is kept with the same probability ``p``, independently
of its content; where probabilities differ, the smallest one of the traces in question errs on the safe side.
"""

from __future__ import annotations

import math
from typing import Final

import pandas as pd
from scipy.special import betainc, betaincinv, ndtri

from traceanalytics.errors import OptionError
from traceanalytics.sampling.given_numbers import given_number, given_whole

__all__ = ["detection_probability", "required_rate", "zero_event_bound"]

_RULE_OF_THREE_CONF: Final = 0.95
_RULE_OF_THREE_TRACES: Final = 30


def detection_probability(events: int, p: float, *, at_least: int = 1) -> float:
    """Answer how likely a sample shows an event that happens in so many traces.

    Parameters
    ----------
    events
        Number of traces in which it happens, in the complete traffic of the period in question; a whole number from 0.
    p
        Probability with which a trace is kept, in (0, 1].
    at_least
        How many of these traces must be kept; a whole number from 1. One shows that the event exists; an error rate or a
        quantile needs more.

    Returns
    -------
    float
        Probability, from 0 (fewer events than ``at_least``) to 1.

    Raises
    ------
    OptionError
        A number is not in its range.

    See Also
    --------
    required_rate : The inverse: the rate for a wanted probability.

    Notes
    -----
    The number of kept events is binomial. For one event this is ``1 - (1 - p) ** events``; for more, the upper tail of the
    binomial distribution, by the regularised incomplete beta function. Both are exact, for any size.

    Examples
    --------
    >>> from traceanalytics.sampling.planning_rates import detection_probability
    >>> round(detection_probability(100, 0.01), 3)
    0.634
    >>> round(detection_probability(100, 0.01, at_least=3), 3)
    0.079
    """
    count = given_whole("events", events, 0)
    rate = given_number("p", p, "(0, 1]")
    wanted = given_whole("at_least", at_least, 1)
    if count < wanted:
        return 0.0
    if rate == 1.0:
        return 1.0
    if wanted == 1:
        return -math.expm1(count * math.log1p(-rate))
    return float(betainc(wanted, count - wanted + 1, rate))


def required_rate(
    events: int, *, rel_error: float | None = None, detect: float | None = None, at_least: int = 1, conf: float = 0.95
) -> float:
    """Answer which sampling rate is enough: to see an event at all, or to count it to within so many per cent.

    Give one of ``detect`` and ``rel_error``.

    Parameters
    ----------
    events
        Number of traces in which it happens, in the complete traffic of the period in question; a whole number from 1.
    rel_error
        Half width of the interval of the estimated count, as a part of the true count; in (0, 1). 0.1: within 10 %.
    detect
        Probability with which the sample shall show the event; in (0, 1].
    at_least
        With ``detect``: how many of its traces must be kept; a whole number from 1 to ``events``.
    conf
        With ``rel_error``: confidence of the interval, in [0.5, 1).

    Returns
    -------
    float
        The lowest probability, in (0, 1], with which each trace must be kept.

    Raises
    ------
    OptionError
        A number is not in its range, both or none of ``rel_error`` and ``detect`` are given, or more events are to be kept
        than there are.

    See Also
    --------
    detection_probability : The inverse of ``detect``.

    Notes
    -----
    ``detect`` is exact: ``1 - (1 - detect) ** (1 / events)``, for more than one the inverse of the binomial tail.

    ``rel_error`` solves ``rel_error = z * sqrt((1 - p) / (p * events))``, the normal interval of the count ``kept / p``, z
    being the normal quantile of ``conf``: ``p = 1 / (1 + events * rel_error ** 2 / z ** 2)``. As counts come in whole steps,
    the exact probability of being so near is a little off: at 0.95 by less than 0.02 where at least ten events are kept, at
    least ten are not, and there are 50 or more.

    Examples
    --------
    >>> from traceanalytics.sampling.planning_rates import required_rate
    >>> round(required_rate(10, detect=0.95), 4)
    0.2589
    >>> round(required_rate(1000, rel_error=0.1), 4)
    0.2775
    """
    count = given_whole("events", events, 1)
    wanted = given_whole("at_least", at_least, 1)
    level = given_number("conf", conf, "[0.5, 1)")
    if (rel_error is None) == (detect is None):
        given = "none" if detect is None else "both"
        raise OptionError(f"give one of detect= (a probability) and rel_error= (a relative error), found {given}")
    if detect is not None:
        return _rate_to_detect(count, given_number("detect", detect, "(0, 1]"), wanted)
    error = given_number("rel_error", rel_error, "(0, 1)")
    if wanted != 1:
        raise OptionError(f"at_least={wanted} belongs to detect=; rel_error= allows at_least=1 only")
    z = -float(ndtri((1 - level) / 2))
    return 1.0 / (1.0 + count * (error / z) ** 2)


def zero_event_bound(n: int, *, p: float | None = None, conf: float = 0.95) -> pd.DataFrame:
    """Answer what remains possible when none of the kept traces shows the event.

    No error in the sample does not mean no error. This gives the largest share of traces, and the largest number of traces in
    the complete traffic, that the silence of the sample does not exclude.

    Parameters
    ----------
    n
        Number of kept traces, none of which shows the event; a whole number from 0.
    p
        Probability with which each trace was kept, in (0, 1]. None: unknown; then the number of events has no bound.
    conf
        Confidence of the one-sided bounds, in [0.5, 1).

    Returns
    -------
    pandas.DataFrame
        Three rows, with the index ``quantity``: ``share`` (the exact bound of the share of traces with the event),
        ``share_rule_of_three`` (the same by the rule of thumb ``3 / n``, at most 1) and ``events`` (number of traces with the
        event in the complete traffic).

        - ``upper`` (float64): the bound; a share from 0 to 1, or a number of traces. Missing only in the row ``events``
          without ``p`` (status ``unidentifiable``); infinite there for a ``p`` too small for any bound (``too_few``)
        - ``conf`` (float64): confidence of this bound; the rule of three knows 0.95 only
        - ``n_traces`` (int64): ``n``
        - ``method``, ``status``, ``reason`` (str): the formula; ``ok``, ``too_few`` or ``unidentifiable``; and why, empty
          where the status is ok

    Raises
    ------
    OptionError
        A number is not in its range.

    Notes
    -----
    ``share`` solves ``(1 - share) ** n = 1 - conf`` (the upper Clopper-Pearson bound for no success). ``events`` is the
    largest number of events that would leave no trace with a probability above ``1 - conf``:
    :func:`detection_probability` of one more is at least ``conf``. It needs ``p`` only: a sample of 1 % without an error
    excludes, at 95 %, only 299 errors and more. Rule of three: Hanley and Lippman-Hand 1983.

    Examples
    --------
    >>> from traceanalytics.sampling.planning_rates import zero_event_bound
    >>> zero_event_bound(100, p=0.01)[["upper", "conf", "status"]].round(4)
                            upper  conf status
    quantity
    share                  0.0295  0.95     ok
    share_rule_of_three    0.0300  0.95     ok
    events               298.0000  0.95     ok
    """
    traces = given_whole("n", n, 0)
    level = given_number("conf", conf, "[0.5, 1)")
    rate = None if p is None else given_number("p", p, "(0, 1]")
    share = -math.expm1(math.log1p(-level) / traces) if traces else 1.0
    events = math.nan if rate is None else _events_not_excluded(rate, level)
    rule = min(1.0, 3 / traces) if traces else 1.0
    rows = {
        "share": (share, level, "1 - (1 - conf) ** (1 / n)", *_verdict_on_share(traces, 1)),
        "share_rule_of_three": (rule, _RULE_OF_THREE_CONF, "3 / n", *_verdict_on_share(traces, _RULE_OF_THREE_TRACES)),
        "events": (events, level, "ceil(log(1 - conf) / log(1 - p)) - 1", *_verdict_on_events(events)),
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["upper", "conf", "method", "status", "reason"])
    table.insert(2, "n_traces", pd.Series(traces, index=table.index, dtype="int64"))
    return table.rename_axis("quantity")


def _verdict_on_share(traces: int, least: int) -> tuple[str, str]:
    if traces == 0:
        return "too_few", "no trace was kept: no share is excluded"
    if traces < least:
        return "too_few", f"{traces} kept traces: 3 / n is near the exact bound from {least} traces on"
    return "ok", ""


def _verdict_on_events(events: float) -> tuple[str, str]:
    if math.isnan(events):
        return (
            "unidentifiable",
            "p is not given: a sample of unknown rate sets no bound to events in the complete traffic",
        )
    if math.isinf(events):
        return "too_few", "p is so small that no number of events is excluded"
    return "ok", ""


def _rate_to_detect(count: int, detect: float, wanted: int) -> float:
    if wanted > count:
        raise OptionError(f"at_least={wanted} is not a whole number in [1, {count}]: there are {count} events")
    if detect == 1.0:
        return 1.0
    if wanted == 1:
        return -math.expm1(math.log1p(-detect) / count)
    return float(betaincinv(wanted, count - wanted + 1, detect))


def _events_not_excluded(rate: float, level: float) -> float:
    """Return the largest number of events of which a sample shows none with a probability above 1 - level."""
    if rate == 1.0:
        return 0.0
    first_excluded = math.log1p(-level) / math.log1p(-rate)
    if not math.isfinite(first_excluded):
        return math.inf
    whole = round(first_excluded)
    # 0.6 and 0.936 are the case of three events exactly; rounding of the logarithms must not make it four.
    return float(whole if math.isclose(first_excluded, whole, rel_tol=1e-12) else math.ceil(first_excluded)) - 1.0
