"""Policies and values in words: short names for tables, and the call that makes a policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from traceanalytics.sampling.policies import Policy

__all__ = ["call_text", "percent", "policy_name", "short", "value_text"]


def policy_name(policy: Policy) -> str:
    """Return a policy in a few words."""
    if policy.parts:
        inner = [policy_name(part) for part in policy.parts]
        joined = {"all_of": " and ", "any_of": " or "}.get(policy.kind, "").join(inner)
        framed = {
            "any_of": f"({joined})" if len(inner) > 1 else joined,
            "not_": f"not ({joined})",
            "drop": f"drop {joined}",
        }
        return framed.get(policy.kind, joined)
    low, high = short(policy.low), short(policy.high)
    up_to = policy.high is not None
    names = {
        "status": f"status {' or '.join(policy.texts)}",
        "latency": f"latency > {low} and <= {high} ms" if up_to else f"latency >= {low} ms",
        "attribute": f"{policy.key} {_condition(policy)}",
        "span_count": f"{low} to {high} spans" if up_to else f"at least {low} spans",
        "probabilistic": percent(policy.low or 0),
        "rate_limiting": f"at most {low} spans/s",
    }
    return names.get(policy.kind, policy.kind)


def _condition(policy: Policy) -> str:
    if policy.texts:
        return f"{'~ ' if policy.matches else ''}{' or '.join(map(repr, policy.texts))}"
    ends = [f"{sign} {short(end)}" for sign, end in ((">=", policy.low), ("<=", policy.high)) if end is not None]
    return " and ".join(ends)


def call_text(policy: Policy) -> str:
    """Return the call that makes a policy."""
    given: list[str] = []
    if policy.kind == "attribute":
        given.append(repr(policy.key))
        if policy.matches:
            given.append(f"matches={policy.texts[0]!r}")
        elif policy.texts:
            given.append(f"values={list(policy.texts)!r}")
        ends = (("at_least", policy.low), ("at_most", policy.high))
        given += [f"{name}={short(end)}" for name, end in ends if end is not None]
    else:
        given += [repr(value) for value in policy.texts]
        given += [short(end) for end in (policy.low, policy.high) if end is not None]
        given += [f"salt={policy.key!r}"] if policy.key else []
    return f"Policy.{policy.kind}({', '.join([*given, *map(call_text, policy.parts)])})"


def short(number: float | None) -> str:
    """Return a number as the shortest text, without the ".0" of whole ones.

    >>> short(500.0), short(0.25)
    ('500', '0.25')
    """
    return str(int(number)) if number is not None and float(number).is_integer() else str(number)


def percent(p: float) -> str:
    """Return a share as a percentage.

    >>> percent(0.001)
    '0.1 %'
    """
    return f"{100 * p:.6g} %"


def value_text(value: object) -> str:
    """Return an attribute's value as the text by which values are compared.

    >>> value_text(True), value_text(200.0), value_text("/cart")
    ('true', '200', '/cart')
    """
    if isinstance(value, str):
        return value
    text = str(value)
    return text.lower() if text in ("True", "False") else text.removesuffix(".0")
