"""What the lab says in words: about a span, and about what a change has done."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from traceanalytics.lab.experiment import Experiment, Outcome

__all__ = ["about_change", "about_span", "ms_text", "step_of", "total_text"]

_MINUS: Final = "\N{MINUS SIGN}"
_NAME: Final = 60


def step_of(total: float) -> float:
    """Return the length of one step of the mouse or a key: a power of ten near 1 to 2 % of the trace, 1 ms for one of 50 to 500 ms.

    >>> step_of(120.0), step_of(7.5), step_of(4_000.0)
    (1.0, 0.1, 10.0)
    """
    return float(10.0 ** math.floor(math.log10(total / 50 * (1 + 1e-9)))) if total > 0 else 1.0


def ms_text(ms: float, step: float = 1.0) -> str:
    """Return a number of milliseconds, as exact as steps are.

    >>> ms_text(-30.0), ms_text(7.26, 0.1), ms_text(1234.0)
    ('\N{MINUS SIGN}30', '7.3', '1,234')
    """
    digits = max(0, -round(math.log10(step)))
    text = f"{abs(ms):,.{digits}f}"
    return f"{_MINUS}{text}" if ms < 0 and text.strip("0.,") else text


def total_text(before: float, after: float, step: float) -> str:
    """Return by how much the total changed: ``-30 ms: 120 -> 90 ms``."""
    sign = "+" if after > before else ""
    return f"{sign}{ms_text(after - before, step)} ms: {ms_text(before, step)} \N{RIGHTWARDS ARROW} {ms_text(after, step)} ms"


def about_span(trial: Experiment, now: Outcome, row: int, step: float) -> str:
    """Return what holds for a span: how long it is waited for, or how much slack it has."""
    span, slack = trial.rows[row], now.slack[row]
    name, start, end = _name(span.name), now.start[row], now.end[row]
    if start is None or end is None:
        return f"{name} has no start or no end: it takes no part."
    if row == trial.main:
        own = ms_text(now.critical[row], step)
        return f"{name} takes {ms_text(now.total, step)} ms in all. {own} ms of them are its own time on the critical path."
    waits = _waited_for(trial, now, row)
    if waits is not None:
        text = f"{_name(trial.rows[span.parent].name)} waits for {name} from {ms_text(waits[0], step)} to {ms_text(waits[1], step)} ms."
        return (
            text
            if _same(waits[1] - waits[0], now.critical[row])
            else f"{text} {ms_text(now.critical[row], step)} ms of that are its own time."
        )
    if slack is None:
        return f"{_why(trial, row)}."
    if slack > 0:
        return (
            f"{name} is off the critical path: with up to {ms_text(slack, step)} ms more, nothing else would end later."
        )
    return f"{name} is off the critical path, but has no slack: it ends when what is waited for ends."


def about_change(
    trial: Experiment, now: Outcome, changes: Mapping[str, Mapping[str, float]], selected: str, step: float
) -> tuple[str, str]:
    """Return what the changes have done to the total ("" where nothing), and why."""
    if not changes:
        return "", "Drag the end of a bar to change its length, or its middle to move it. What happens to the total?"
    before, after = trial.original, now
    key = selected if selected in changes else (next(iter(changes)) if len(changes) == 1 else "")
    if not _same(after.total, before.total):
        told = f"{total_text(before.total, after.total, step)}."
        why = [_part_that_counts(trial, now, changes, step), _instead(trial, now), _limit(trial, changes, key)]
        return told, " ".join(text for text in why if text)
    return "", f"Nothing: {_why_nothing(trial, now, key, step, several=len(changes) > 1)}."


def _why_nothing(trial: Experiment, now: Outcome, key: str, step: float, *, several: bool) -> str:
    """Return why a change, or changes, left the total as it was."""
    if not key:
        return "the total is what it was"
    row = trial.row_of[key]
    name, had, has = _name(trial.rows[row].name), trial.original.slack[row], now.slack[row]
    if had is None or has is None:
        return _why(trial, row)
    if had > 0 and _same(had, has):
        return f"{name} has {ms_text(had, step)} ms of slack"
    if had > 0:
        return f"{name} had {ms_text(had, step)} ms of slack, and now has {ms_text(has, step)} ms"
    return "the changes make up for each other" if several else f"the total does not hang on {name} alone"


def _part_that_counts(trial: Experiment, now: Outcome, changes: Mapping[str, Mapping[str, float]], step: float) -> str:
    """Return how much of a change is seen in the total, where one span became longer or shorter and that is all."""
    if len(changes) != 1:
        return ""
    key, change = next(iter(changes.items()))
    row = trial.row_of[key]
    slack, longer = trial.original.slack[row], change.get("longer_ms", 0.0)
    if slack:
        return f"The first {ms_text(slack, step)} ms were slack." if now.total > trial.original.total else ""
    if not longer or change.get("later_ms") or row == trial.main:
        return ""
    name, parent = _name(trial.rows[row].name), _name(trial.rows[trial.rows[row].parent].name)
    amount = ms_text(abs(longer), step)
    if _same(now.total - trial.original.total, longer):
        return f"{parent} waited for {name}, so its {amount} ms count in full."
    return f"Of the {amount} ms, {ms_text(abs(now.total - trial.original.total), step)} ms count."


def _instead(trial: Experiment, now: Outcome) -> str:
    """Return what has come onto the critical path."""
    fresh = [
        _name(trial.rows[row].name)
        for row in range(len(trial.rows))
        if now.critical[row] > 0 and not trial.original.critical[row] and row != trial.main
    ]
    if not fresh:
        return ""
    names = " and ".join(fresh) if len(fresh) < 3 else f"{fresh[0]}, {fresh[1]} and {len(fresh) - 2} more"
    return f"Now {names} {'is' if len(fresh) == 1 else 'are'} waited for."


def _waited_for(trial: Experiment, now: Outcome, row: int) -> tuple[float, float] | None:
    """Return from when to when the critical path lies in a span or below it; None for never."""
    last = row + 1
    while last < len(trial.rows) and trial.rows[last].depth > trial.rows[row].depth:
        last += 1
    inside = [(start, end) for at, _, start, end in now.path if row <= at < last and end > start]
    if not inside or trial.rows[row].parent < 0:
        return None
    return inside[0][0], inside[-1][1]


def _limit(trial: Experiment, changes: Mapping[str, Mapping[str, float]], key: str) -> str:
    """Return why a span cannot become shorter still."""
    if not key:
        return ""
    row = trial.row_of[key]
    span = trial.rows[row]
    waits = any(other.parent == row and other.waited_for for other in trial.rows)
    if not waits or not _same(changes[key].get("longer_ms", 0.0), span.shortest):
        return ""
    return f"{_name(span.name)} cannot be shorter than what it waits for itself."


def _why(trial: Experiment, row: int) -> str:
    """Return why a span is not waited for."""
    top = row
    while trial.rows[top].waited_for and trial.rows[top].parent >= 0:
        top = trial.rows[top].parent
    name, span = _name(trial.rows[row].name), trial.rows[top]
    if span.parent < 0:
        return f"{name} hangs below no span of this trace, so nothing here waits for it"
    above = _name(trial.rows[span.parent].name)
    if top == row:
        return f"{above} does not wait for {name}"
    return f"{above} does not wait for {_name(span.name)}, to which {name} belongs"


def _same(one: float, other: float) -> bool:
    return abs(one - other) < 1e-6


def _name(text: str) -> str:
    return text if len(text) <= _NAME else f"{text[:_NAME]}…"
