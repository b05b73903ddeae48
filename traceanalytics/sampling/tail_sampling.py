"""Tail sampling in time: what has arrived when a collector decides about a trace, and what becomes of spans that come later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from traceanalytics.errors import check_option
from traceanalytics.sampling.policies import Policy
from traceanalytics.sampling.policy_votes import probabilities_of
from traceanalytics.spans.columns import NAT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from traceanalytics.sampling.designs import Design
    from traceanalytics.sampling.trace_facts import TraceFacts

__all__ = ["decision_parts", "precedence", "tail_policies", "tail_probabilities"]

_VOTES: Final = ("dropped", "inverted_not_sampled", "sampled", "inverted_sampled", "not_sampled")


def precedence(votes: Sequence[str]) -> bool:
    """Return whether the collector keeps a trace on which its policies vote like this.

    A drop comes before everything, then an inverted policy that says no, then any vote to keep; an inverted policy that says
    yes keeps the trace only if no policy says no. ``inverted`` is short for ``inverted_sampled``.

    >>> precedence(["sampled", "not_sampled"]), precedence(["inverted_sampled", "not_sampled"])
    (True, False)
    """
    said = {"inverted_sampled" if vote == "inverted" else vote for vote in votes}
    for vote in said:
        check_option("vote", vote, _VOTES)
    if said & {"dropped", "inverted_not_sampled"}:
        return False
    return "sampled" in said or ("inverted_sampled" in said and "not_sampled" not in said)


def tail_policies(design: Design) -> tuple[Policy, ...]:
    """Return the policies of a tail design, with what keeps a share of the rest as the last one."""
    rest = (Policy.probabilistic(design.p_default),) if design.p_default > 0 else ()
    return (*design.policies, *rest)


def decision_parts(design: Design, facts: TraceFacts) -> list[TraceFacts]:
    """Return the facts at the first decision about each trace, and at the later ones where late spans start anew.

    A span is received when it ends. The wait begins with the first one; a span without an end counts as received in time.
    With a decision cache the first decision is the only one.
    """
    if design.decision_wait_s is None:
        return [facts]
    wait_ns = round(design.decision_wait_s * 1e9)
    parts, codes = [], facts.codes
    while True:
        first = np.append(facts.part(codes).first_arrival, NAT)
        late = (
            (facts.rows.end != NAT)
            & (codes >= 0)
            & (facts.rows.end - np.where(first == NAT, 0, first)[codes] > wait_ns)
        )
        parts.append(facts.part(np.where(late, -1, codes)))
        if design.decision_cache or not late.any():
            return parts
        codes = np.where(late, codes, -1)


def tail_probabilities(design: Design, facts: TraceFacts) -> NDArray[np.float64]:
    """Return with which probability anything of each trace is kept; NaN where a limiter decides."""
    return probabilities_of(tail_policies(design), design.joint, decision_parts(design, facts), facts.number)
