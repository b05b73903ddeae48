"""What a sampling design lets one conclude: seven kinds of claims, each allowed or not, why, and what would change that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pandas as pd

from traceanalytics.errors import OptionError
from traceanalytics.sampling.designs import Design
from traceanalytics.sampling.policies import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ALLOWED", "CLAIMS", "Ruling", "conclusions", "conclusions_table", "rulings", "strategy_conclusions"]

ALLOWED: Final = pd.CategoricalDtype(["yes", "weighted", "bound_only", "no"], ordered=True)
"""As the data stand; with weights; a bound on one side only; not at all."""

CLAIMS: Final = (
    "counts",
    "rates",
    "error rate",
    "percentiles",
    "absence of an event",
    "service mix",
    "trend",
)
"""How many; how many a second; share of errors; percentiles of durations; something did not happen; shares of services or calls; change in time."""

_RULE: Final = "zero seen in n traces excludes shares above 3/n alone (zero_event_bound)"
_RECORD: Final = "write the probability into each trace (tracestate ot=th, SampleRate)"
_SHARE: Final = "add a small consistent share of everything, such as 0.1 % (p_default)"
_COUNTER: Final = "count all requests as well (metrics by class), and calibrate"


class Ruling(NamedTuple):
    """Whether a claim is allowed."""

    allowed: str
    why: str
    fix: str = ""


def conclusions(design: Design) -> pd.DataFrame:
    """Return which conclusions the traces that a design keeps allow, if they are what the design promises.

    Whether they are is what :func:`~traceanalytics.sampling.validity.validity_report` checks on data.

    Parameters
    ----------
    design
        A sampling design.

    Returns
    -------
    pandas.DataFrame
        One row for each claim of :data:`CLAIMS`:

        - ``claim`` (str): counts, rates (a second), error rate, percentiles (of durations), absence of an event, service mix (shares
          of services or of calls between them), trend
        - ``allowed`` (category): ``yes``: as the kept traces stand; ``weighted``: with the weights of
          :func:`~traceanalytics.sampling.attach_weights`; ``bound_only``: a bound, no value; ``no``
        - ``why`` (str), ``fix`` (str): what to change; empty where nothing has to be

    Raises
    ------
    OptionError
        ``design`` is no design.

    Examples
    --------
    >>> from traceanalytics.sampling.designs import Design
    >>> conclusions(Design.errors_always(0.01))[["claim", "allowed"]]
                     claim   allowed
    0               counts  weighted
    1                rates  weighted
    2           error rate  weighted
    3          percentiles  weighted
    4  absence of an event       yes
    5          service mix  weighted
    6                trend       yes
    >>> set(conclusions(Design.rate_limit(10))["allowed"])
    {'no'}
    """
    return conclusions_table(rulings(design))


def rulings(design: Design) -> dict[str, Ruling]:
    """Return the ruling about each claim; see :func:`conclusions`.

    >>> rulings(Design.unknown())["counts"].allowed
    'no'
    """
    if not isinstance(design, Design):
        raise OptionError(f"design={design!r:.60} is no Design: make one, such as Design.head(0.1)")
    if design.kind in ("rate_limit", "reservoir") or any(map(_limits, design.policies)):
        return _limited()
    match design.kind:
        case "head":
            found = _head(design.p)
        case "consistent":
            found = _consistent(design)
        case "dynamic":
            found = _weighted("each trace records its weight")
            found["absence of an event"] = _bound("by key: the rate differs between keys")
        case "priority":
            found = _priority(design)
        case "tail" | "errors_always":
            found = _tail(design)
        case _:
            why = "nobody knows which traces were kept: only what is there can be described, and that it exists"
            found = dict.fromkeys(CLAIMS, Ruling("no", why, _RECORD))
    return found


def conclusions_table(found: Mapping[str, Ruling]) -> pd.DataFrame:
    """Return rulings as a table; see :func:`conclusions`.

    >>> conclusions_table({"counts": Ruling("yes", "all is there")})["allowed"].tolist()
    ['yes']
    """
    rows = [(claim, *ruling) for claim, ruling in found.items()]
    table = pd.DataFrame(rows, columns=["claim", "allowed", "why", "fix"])
    return table.astype({"claim": "str", "allowed": ALLOWED, "why": "str", "fix": "str"})


def strategy_conclusions(designs: Mapping[str, Design] | None = None) -> pd.DataFrame:
    """Return the table of strategies and conclusions: one row a design, one column a claim.

    Parameters
    ----------
    designs
        Names and designs; None: one of every kind there is.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``strategy``, a column for each claim of :data:`CLAIMS`, each a category as ``allowed`` in :func:`conclusions`.

    Examples
    --------
    >>> strategy_conclusions().loc["rate limiter"].unique().tolist()
    ['no']
    """
    shown = _every_kind() if designs is None else designs
    rows = [[ruling.allowed for ruling in rulings(design).values()] for design in shown.values()]
    table = pd.DataFrame(rows, columns=list(CLAIMS), index=pd.Index(list(shown), name="strategy", dtype="str"))
    return table.astype(ALLOWED)


def _every_kind() -> dict[str, Design]:
    return {
        "everything": Design.head(1),
        "head, rate configured": Design.head(0.1),
        "consistent, rate recorded": Design.consistent(0.1),
        "consistent, rate by service": Design.consistent({"web": 0.5, "db": 0.1}),
        "tail: slow + errors + 1 %": Design.tail([Policy.error(), Policy.latency(500)], p_default=0.01),
        "tail, late spans forgotten": Design.tail(
            [Policy.error()], p_default=0.01, decision_wait_s=10, decision_cache=False
        ),
        "all errors + 1 %": Design.errors_always(0.01),
        "errors only": Design.errors_always(0),
        "priority": Design.priority({"POST /checkout": 1}, 0.1),
        "priority, some never": Design.priority({"POST /checkout": 1, "GET /health": 0}, 0.1),
        "dynamic by key": Design.dynamic("SampleRate"),
        "rate limiter": Design.rate_limit(10),
        "reservoir + 5 %": Design.reservoir(1, 0.05),
        "unknown": Design.unknown(),
    }


# -- rulings by kind


def _weighted(why: str) -> dict[str, Ruling]:
    found = {claim: Ruling("weighted", why) for claim in CLAIMS}
    return found | {
        "absence of an event": _bound("none in the sample is not none"),
        "trend": Ruling("yes", "weights change with the rate"),
    }


def _bound(why: str) -> Ruling:
    return Ruling(
        "bound_only", f"{why}: {_RULE}", "keep every trace with the event (a tail policy), or count it as a metric"
    )


def _head(p: float) -> dict[str, Ruling]:
    if p == 1:
        return {claim: Ruling("yes", "every trace is kept") for claim in CLAIMS}
    why = "all traces have one probability, so shares and percentiles of the sample are those of the traffic, within their intervals"
    same = Ruling("yes", why)
    count = Ruling(
        "weighted",
        "each trace stands for 1 / p if the configured rate is the one at work (check_rate, infer_sampler)",
        _RECORD,
    )
    return {
        "counts": count,
        "rates": count,
        "error rate": same,
        "percentiles": same,
        "absence of an event": _bound("none in the sample is not none"),
        "service mix": same,
        "trend": Ruling("yes", "as long as the configured rate did not change in between (check_drift)", _RECORD),
    }


def _consistent(design: Design) -> dict[str, Ruling]:
    if not design.is_by_span:
        return _head(1.0) if design.p == 1 else _weighted("each trace records its threshold")
    found = _weighted(
        "each span records its threshold: weigh spans by their own, functions of traces with estimate_partial"
    )
    found["service mix"] = Ruling(
        "weighted", "by span, and orphans are expected where a callee keeps more than its caller (check_completeness)"
    )
    if not design.blind_to:
        return found
    return found | _hole(design)


def _tail(design: Design) -> dict[str, Ruling]:
    found = _weighted("each trace's probability follows from the policies that match it")
    sure = [policy.name for policy in design.policies if _keeps_surely(policy)]
    shares = [policy for policy in design.policies if policy.kind in ("probabilistic", "always")] or design.p_default
    if not shares:
        return _classes_only(design)
    late = design.decision_wait_s is not None and not design.decision_cache
    if sure and not late:
        found["absence of an event"] = Ruling(
            "yes",
            f"traces that match ({', '.join(sure)}) are all kept, unless evicted or later than the decision; about others: {_RULE}",
        )
    if late:
        fix = "set decision_cache, so that late spans follow the decision"
        found["absence of an event"] = Ruling(
            "bound_only", f"spans later than the decision may be missing; {_RULE}", fix
        )
    if any(policy.kind == "drop" for policy in design.policies):
        found |= _hole(design)
    return found


def _classes_only(design: Design) -> dict[str, Ruling]:
    seen = (
        f"only these traces are kept: {', '.join(policy.name for policy in design.policies if policy.kind != 'drop')}"
    )
    of_them = Ruling("bound_only", f"{seen}; they can be counted, and are a lower bound for everything", _SHARE)
    none = Ruling("no", f"{seen}; the others were never kept", _SHARE)
    return dict.fromkeys(CLAIMS, none) | {
        "counts": of_them,
        "rates": of_them,
        "error rate": Ruling("no", f"{seen}; the number of all traces is not in the data", f"{_COUNTER}; or {_SHARE}"),
        "trend": Ruling("bound_only", f"{seen}; of these the trend can be told", _SHARE),
    }


def _priority(design: Design) -> dict[str, Ruling]:
    found = _weighted("each trace's probability follows from its endpoint; by endpoint no weights are needed")
    if all(p == 1 for p in (*(p for _, p in design.rules), design.p_default)):
        return _head(1.0)
    return found | _hole(design) if design.blind_to else found


def _hole(design: Design) -> dict[str, Ruling]:
    why = f"never kept: {design.blind_to}"
    return {
        "counts": Ruling("bound_only", f"{why}; of the others, weighted: a lower bound for everything", _SHARE),
        "rates": Ruling("bound_only", f"{why}; of the others, weighted: a lower bound for everything", _SHARE),
        "error rate": Ruling("weighted", f"of the others; {why}", _SHARE),
        "percentiles": Ruling("weighted", f"of the others; {why}", _SHARE),
        "absence of an event": Ruling("no", why, _SHARE),
        "service mix": Ruling("no", f"the mix has a hole; {why}", _SHARE),
    }


def _limited() -> dict[str, Ruling]:
    why = "whether a trace was kept depended on what else came in its second: its probability is not known"
    none = Ruling(
        "no", f"{why}, and lower the more comes", "sample a share in place of a number, with the probability recorded"
    )
    count = Ruling("no", f"{why}; with the number of all traces of each second it could be told", _COUNTER)
    return dict.fromkeys(CLAIMS, none) | {"counts": count, "rates": count, "error rate": count}


def _limits(policy: Policy) -> bool:
    return policy.kind == "rate_limiting" or any(map(_limits, policy.parts))


def _keeps_surely(policy: Policy) -> bool:
    if policy.kind in ("drop", "probabilistic", "rate_limiting"):
        return False
    return policy.kind != "not_" and all(map(_keeps_surely, policy.parts))
