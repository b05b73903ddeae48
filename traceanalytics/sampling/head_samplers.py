"""What OpenTelemetry's composable samplers decide when a span begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from traceanalytics.errors import OptionError, check_option
from traceanalytics.sampling.thresholds import SCALE, decide, threshold, threshold_number, threshold_text

if TYPE_CHECKING:
    from traceanalytics.sampling.tracestate_codec import TraceState

__all__ = ["HeadDecision", "head_decision"]

_SAMPLERS: Final = ("always_on", "always_off", "ratio", "parent_threshold")


class HeadDecision(NamedTuple):
    """Kept or not; the ``th`` that goes into the span's tracestate; whether a count may be made of it."""

    sampled: bool
    th: str | None
    reliable: bool


def head_decision(
    sampler: str, *, bits: int, ratio: float = 1.0, parent: TraceState | None = None, parent_sampled: bool = False
) -> HeadDecision:
    """Return what a sampler decides about a span.

    Parameters
    ----------
    sampler
        ``always_on``; ``always_off``; ``ratio``: keep the share ``ratio`` of the traces, whatever the parent's threshold;
        ``parent_threshold``: with the parent's threshold, or, where it has none, as the parent was decided.
    bits
        The randomness of the trace.
    ratio
        0 to 1.
    parent
        The parent's tracestate; None for a root, which ``parent_threshold`` drops unless ``parent_sampled`` is set.
    parent_sampled
        The parent's sampled flag.

    Raises
    ------
    OptionError
        ``sampler``, ``ratio`` or ``bits`` is not as described.

    Notes
    -----
    A span that follows its parent's flag without a threshold has no known probability: it gets no ``th``, and its decision
    is not reliable.

    Examples
    --------
    >>> head_decision("ratio", bits=1 << 55, ratio=0.5)
    HeadDecision(sampled=True, th='8', reliable=True)
    >>> head_decision("parent_threshold", bits=0, parent_sampled=True)
    HeadDecision(sampled=True, th=None, reliable=False)
    """
    check_option("sampler", sampler, _SAMPLERS)
    if not 0 <= ratio <= 1:
        raise OptionError(f"ratio={ratio!r} is no ratio: expected a number from 0 to 1")
    if sampler == "parent_threshold":
        if parent is None or parent.th is None or parent.errors:
            return HeadDecision(parent_sampled, None, reliable=False)
        value: int | None = threshold_number(parent.th)
    elif sampler == "ratio":
        value = threshold(ratio) if ratio >= 1 / SCALE else None
    else:
        value = 0 if sampler == "always_on" else None
    if value is None or not decide(bits, value):
        return HeadDecision(sampled=False, th=None, reliable=value is not None)
    return HeadDecision(sampled=True, th=threshold_text(value), reliable=True)
