"""Designs in words: short names for tables, the call that makes a design, and what it never keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from traceanalytics.sampling.policy_texts import percent, short
from traceanalytics.sampling.tail_sampling import tail_policies

if TYPE_CHECKING:
    from traceanalytics.sampling.designs import Design

__all__ = ["blind_text", "call_of", "design_name"]


def design_name(design: Design) -> str:
    """Return a design in a few words."""
    share, rest = percent(design.p), percent(design.p_default)
    rules = ", ".join(f"{name} {percent(p)}" for name, p in design.rules)
    names = {
        "head": f"head {share}",
        "consistent": f"consistent: {rules}" if rules else f"consistent {share}",
        "tail": f"tail: {', '.join(policy.name for policy in tail_policies(design))}",
        "errors_always": f"errors + {rest}" if design.p_default else "errors alone",
        "rate_limit": f"at most {short(design.per_s)} traces/s",
        "priority": f"priority: {rules}, others {rest}",
        "reservoir": f"first {short(design.per_s)}/s + {share}",
        "dynamic": f"dynamic by {design.weight_column}",
    }
    return names.get(design.kind, design.kind)


def blind_text(design: Design) -> str:
    """Return which traces are kept with probability 0; empty if there are none."""
    if design.kind in ("priority", "consistent"):
        none = [name for name, p in design.rules if p == 0]
        none += ["others"] if design.rules and design.p_default == 0 else []
        what = "endpoints" if design.kind == "priority" else "spans of services"
        return f"{what} with probability 0: {', '.join(none)}" if none else ""
    if design.kind not in ("tail", "errors_always"):
        return ""
    texts = [f"traces that match: {each.name}" for each in design.policies if each.kind == "drop"]
    keeping = [each for each in tail_policies(design) if each.kind != "drop"]
    if not any(each.kind in ("always", "probabilistic") for each in keeping):
        texts.append(f"traces for which no policy votes: {', '.join(each.name for each in keeping)}")
    return "; ".join(texts)


def call_of(design: Design) -> str:
    """Return the call that makes a design."""
    given: list[str] = []
    match design.kind:
        case "head":
            given = [short(design.p)]
        case "consistent" | "priority":
            given = [repr(dict(design.rules)) if design.rules else short(design.p)]
            usual = 1.0 if design.kind == "consistent" else None
            given += [f"p_default={short(design.p_default)}"] if design.rules and design.p_default != usual else []
        case "tail":
            given = _tail(design)
        case "errors_always":
            given = [short(design.p_default)]
        case "rate_limit":
            given = [short(design.per_s)]
        case "reservoir":
            given = [short(design.per_s), short(design.p)]
        case "dynamic":
            given = [repr(design.weight_column)]
    return f"Design.{design.kind}({', '.join(given)})"


def _tail(design: Design) -> list[str]:
    given = [repr(list(design.policies))]
    given += [f"p_default={short(design.p_default)}"] if design.p_default else []
    given += [f"joint={design.joint!r}"] if design.joint != "consistent" else []
    given += [] if design.decision_wait_s is None else [f"decision_wait_s={short(design.decision_wait_s)}"]
    given += [] if design.decision_cache else ["decision_cache=False"]
    return given
