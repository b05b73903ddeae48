"""What the lab of sampling says in words: what a strategy does, and what a sample lets be concluded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from traceanalytics.lab.storage_words import number_text, share_text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LABELS", "STRATEGIES", "about_quantity", "about_strategy", "value_text"]

STRATEGIES: Final = {
    "head": "Head: a share, decided at the start",
    "tail": "Tail: by policies, decided at the end",
    "rate_limit": "Rate limit: the first of each second",
    "errors_always": "Every error, and a share of the rest",
    "priority": "Priority: a share by endpoint",
}
LABELS: Final = {
    "requests": ("Requests", "count"),
    "error_rate": ("Error rate", "share"),
    "mean_ms": ("Mean time", "ms"),
    "p50_ms": ("Median time", "ms"),
    "p99_ms": ("p99 time", "ms"),
    "calls_seen": ("Calls seen", "count"),
}
"""Words and unit of each quantity."""


def value_text(value: float, unit: str) -> str:
    """Return a value with its unit; a question mark where there is none.

    >>> value_text(0.0471, "share"), value_text(94.09, "ms"), value_text(2470.0, "count"), value_text(float("nan"), "ms")
    ('4.71 %', '94.1 ms', '2,470', '?')
    """
    if math.isnan(value):
        return "?"
    if unit == "ms":
        return f"{number_text(value)} ms"
    return share_text(value) if unit == "share" else number_text(value)


def about_strategy(strategy: str, settings: Mapping[str, Any]) -> str:
    """Return what a strategy does, and what follows for the sample."""
    if strategy == "head":
        share = share_text(settings["head_p"])
        return (
            f"Each trace is kept with probability {share}, whatever happens in it: the sample looks like the traffic, only smaller. "
            f"Each kept trace stands for {number_text(1 / settings['head_p'])}, so counts are multiplied; rates and durations stay as they are."
        )
    if strategy == "rate_limit":
        return (
            f"The first {number_text(settings['limit_per_s'])} traces of each second are kept: many of them when it is calm, few in a rush. "
            "What share that is of a second's traces is not written down, so no weight is right."
        )
    if strategy == "errors_always":
        rest = settings["errors_p"]
        if not rest:
            return "Only traces with an error are kept: about healthy ones, and so about any rate, the sample says nothing."
        return (
            f"Every trace with an error is kept and stands for itself; each other one, kept with probability {share_text(rest)}, "
            f"stands for {number_text(1 / rest)}. Without these weights everything looks far too broken."
        )
    if strategy == "tail":
        return _about_tail(settings)
    return (
        "Each endpoint has its own share. A kept trace stands for one over the share of its endpoint; "
        "without weights the endpoints with large shares drown the others."
    )


def _about_tail(settings: Mapping[str, Any]) -> str:
    kept = ["with an error"] if settings["tail_errors"] else []
    if settings["tail_latency_ms"] is not None:
        kept.append(f"of {number_text(settings['tail_latency_ms'])} ms or more")
    rest = settings["tail_p"]
    every = (
        f"Every trace {' or '.join(kept)} is kept and stands for itself"
        if kept
        else "No policy keeps a trace for certain"
    )
    if not rest:
        return (
            f"{every}; no other is kept. So the sample says nothing about the others, and no weight brings them back."
        )
    return (
        f"{every}; of {'the others' if kept else 'all'}, {share_text(rest)}, each of which stands for {number_text(1 / rest)}. "
        "With these weights the traffic comes back; without them, everything looks slow and broken."
    )


def about_quantity(quantity: str, row: Mapping[Any, Any], strategy: str) -> str:
    """Return what can be said of a quantity, given its row of the estimates."""
    label, unit = LABELS[quantity]
    raw, truth = value_text(row["raw"], unit), value_text(row["truth"], unit)
    verdict = row["verdict"]
    if verdict == "bound only":
        return (
            f"The sample shows {raw} of {truth} pairs of operations that call each other. What was not kept is not seen, and no weight "
            "brings it back: a dependency graph from a sample is a lower bound."
        )
    if verdict == "refused":
        why = _why_refused(strategy, row["reason"])
        return f"{label}: refused. {why} The kept traces themselves say {raw}; the truth is {truth}."
    if verdict == "biased":
        return f"{label}: biased. {_sentence(row['reason'])} The interval knows nothing of that part. The truth is {truth}."
    said = f"{label}: {value_text(row['estimate'], unit)}{_interval(row, unit)}."
    if verdict == "too_few":
        return f"{said} Too few: {_sentence(row['reason'], capital=False)} The truth is {truth}."
    if row["method"] == "census":
        return f"{said} Every trace is there, so this is no estimate."
    found = "lies in it" if row["covers"] else "lies outside: that happens to about one interval in twenty"
    return f"{said} The truth, {truth}, {found}. The kept traces themselves say {raw}."


def _interval(row: Mapping[str, Any], unit: str) -> str:
    low, high = row["lo"], row["hi"]
    if not math.isnan(low) and not math.isnan(high):
        return f", between {value_text(low, unit)} and {value_text(high, unit)} with 95 % confidence"
    if not math.isnan(low):
        return f", at least {value_text(low, unit)} with 95 % confidence"
    return f", at most {value_text(high, unit)} with 95 % confidence" if not math.isnan(high) else ""


def _why_refused(strategy: str, reason: str) -> str:
    if strategy == "rate_limit":
        return (
            "With what probability a limiter keeps a trace depends on what else came in its second, so no number would be right. "
            "A counter of all requests, beside the traces, would mend it."
        )
    return _sentence(reason)


def _sentence(text: str, *, capital: bool = True) -> str:
    """Return a reason as a sentence."""
    made = text[:1].upper() + text[1:] if capital else text
    return made if made.endswith((".", "?")) or not made else f"{made}."
