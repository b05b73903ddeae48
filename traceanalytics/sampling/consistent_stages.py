"""Stages of consistent sampling: what a collector's sampler decides about a trace that arrives, and what it writes."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from traceanalytics.errors import OptionError, check_option
from traceanalytics.sampling.thresholds import SCALE, decide, probability, randomness, threshold, threshold_number
from traceanalytics.sampling.tracestate_codec import Rejection, TraceState, raise_threshold

__all__ = ["Passage", "pass_stage"]

_MODES: Final = ("equalizing", "proportional")


class Passage(NamedTuple):
    """What a stage did: kept or not, the state that it passes on, and why the arriving one was rejected, if it was."""

    sampled: bool
    state: TraceState
    errors: tuple[Rejection, ...] = ()


def pass_stage(
    state: TraceState,
    trace_id: str,
    *,
    percentage: float,
    mode: str = "equalizing",
    precision: int = 4,
    fail_closed: bool = True,
) -> Passage:
    """Return what the OpenTelemetry collector's probabilistic sampler does with a trace.

    Parameters
    ----------
    state
        The arriving tracestate.
    trace_id
        The trace's id; its low 56 bits decide where the state has no ``rv``.
    percentage
        The configured sampling percentage; the collector keeps it as float32. Above 100 counts as 100.
    mode
        ``equalizing``: every trace leaves with this probability, or with its own when that is smaller. ``proportional``: every
        trace's probability is multiplied by this one.
    precision
        Hex digits of the threshold.
    fail_closed
        Drop a trace whose state is rejected or inconsistent (randomness below its own threshold: it should not be here). If
        not, such a state's threshold is erased before the decision.

    Raises
    ------
    OptionError
        ``percentage`` is negative or no number, ``mode`` or ``precision`` is not as described.

    Examples
    --------
    >>> from traceanalytics.sampling.tracestate_codec import parse_tracestate
    >>> passage = pass_stage(parse_tracestate("ot=th:8"), "0" * 18 + "d0000000000000", percentage=50, mode="proportional")
    >>> passage.sampled, passage.state.th
    (True, 'c')
    """
    check_option("mode", mode, _MODES)
    if not percentage >= 0:
        raise OptionError(f"percentage={percentage!r} is no percentage: expected a number from 0 to 100")
    bits, errors = _arrival(state, trace_id)
    if errors and fail_closed:
        return Passage(sampled=False, state=state, errors=errors)
    if errors:
        state = replace(state, th=None, errors=())
    stage = _threshold(state, float(np.float32(min(percentage, 100))) / 100, mode, precision)
    if stage is None or bits is None or not decide(bits, stage):
        return Passage(sampled=False, state=state, errors=errors)
    return Passage(sampled=True, state=raise_threshold(state, stage), errors=errors)


def _arrival(state: TraceState, trace_id: str) -> tuple[int | None, tuple[Rejection, ...]]:
    try:
        bits = randomness(trace_id, rv=state.rv)
    except OptionError as error:
        return None, (*state.errors, Rejection("trace_id", str(error)))
    if state.th is not None and bits < threshold_number(state.th):
        reason = f"the randomness {bits:014x} lies below the threshold {state.th!r} of the state: the trace was to be dropped"
        return bits, (*state.errors, Rejection("inconsistent", reason))
    return bits, state.errors


def _threshold(state: TraceState, p: float, mode: str, precision: int) -> int | None:
    """Return the threshold with which a trace leaves, None for never."""
    if mode == "proportional" and state.th is not None:
        p *= probability(state.th)
    if p < 1 / SCALE:
        return None
    own = threshold(p, precision=precision)
    # Rounding to few digits can fall below the arriving threshold; a stage never lowers it.
    return own if state.th is None else max(own, threshold_number(state.th))
