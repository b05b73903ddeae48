"""The report on sampled traces: every check that the data allow, and which conclusions are left."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from traceanalytics.sampling.conclusions import CLAIMS, Ruling, conclusions_table, rulings
from traceanalytics.sampling.design_weights import attach_weights
from traceanalytics.sampling.designs import Design
from traceanalytics.sampling.validity_checks import run_checks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ValidityReport", "validity_report"]

_ORDER: Final = ("yes", "weighted", "bound_only", "no")
_COUNTED: Final = ("counts", "rates")
_SHARES: Final = ("error rate", "percentiles", "service mix")

_TURNED: Final[dict[str, dict[str, str]]] = {
    # What the probabilities rest on is wrong: whatever is weighted, is weighted wrongly.
    "trace ids": dict.fromkeys((*_COUNTED, *_SHARES, "trend"), "no"),
    "ids: below threshold": dict.fromkeys((*_COUNTED, *_SHARES), "no"),
    "thresholds": dict.fromkeys((*_COUNTED, *_SHARES), "no"),
    "rate": dict.fromkeys((*_COUNTED, "trend"), "no"),
    # More or less is kept from one minute to the next.
    "drift": dict.fromkeys((*_COUNTED, "trend"), "no"),
    # Spans are gone: what is there is a lower bound, and what is not there may have been.
    "orphans": dict.fromkeys(_COUNTED, "bound_only") | {"absence of an event": "no", "service mix": "no"},
    "root_missing": dict.fromkeys(_COUNTED, "bound_only") | {"percentiles": "no"},
    "truncation": {"percentiles": "no", "absence of an event": "no", "service mix": "no"},
    "root_missing_in_long": {"percentiles": "no"},
    "evictions": dict.fromkeys(_COUNTED, "bound_only") | {"absence of an event": "no"},
    "mix": dict.fromkeys((*_COUNTED, *_SHARES), "no"),
}
"""What a failed check leaves of a claim; the check's name may go on after these words."""

_BY_IDS: Final = ("head", "consistent", "tail", "errors_always", "priority")
"""Designs that may decide by the bits of trace ids."""

_COLOURS: Final = {
    "yes": "#1a7f37",
    "weighted": "#0a6ebd",
    "bound_only": "#9a6700",
    "no": "#b42318",
    "ok": "#1a7f37",
    "warn": "#9a6700",
    "fail": "#b42318",
    "not_testable": "#6b7280",
}
_STYLE: Final = "text-align:left;vertical-align:top;padding:2px 8px"


@dataclass(frozen=True, repr=False, eq=False)
class ValidityReport:
    """What was found about sampled traces, and which conclusions they allow. Shown as a table in notebooks, as text elsewhere.

    Attributes
    ----------
    checks
        The rows of all checks (:func:`~traceanalytics.sampling.check_table.check_rows`).
    conclusions
        ``claim``, ``allowed``, ``why``, ``fix``, as :func:`~traceanalytics.sampling.conclusions.conclusions` has them, for these data.
    design
        The design that the conclusions rest on; None: what the traces themselves record.
    summary
        One sentence: how many traces there are, and what is known of their probabilities.
    """

    checks: pd.DataFrame
    conclusions: pd.DataFrame
    design: Design | None
    summary: str

    def __repr__(self) -> str:
        lines = [self.summary, "", "May I conclude ...?"]
        for claim, allowed, why, fix in self.conclusions.itertuples(index=False):
            lines.append(f"  {claim:<20} {allowed:<11} {why}" + (f" -> {fix}" if fix and allowed != "yes" else ""))
        counts = self.checks["verdict"].value_counts()
        lines += ["", f"Checks: {', '.join(f'{counts[v]} {v}' for v in counts.index if counts[v])}"]
        shown = self.checks[self.checks["verdict"].isin(["warn", "fail"])]
        lines += [f"  {row.verdict:<5} {row.check} ({row.scope}): {row.meaning}" for row in shown.itertuples()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        claims = [
            (_cell(claim), _badge(str(allowed)), _cell(why), _cell(fix))
            for claim, allowed, why, fix in self.conclusions.itertuples(index=False)
        ]
        checks = [
            (_cell(row.check), _cell(row.scope), _badge(str(row.verdict)), _cell(row.meaning))
            for row in self.checks.itertuples()
            if row.verdict != "ok"
        ]
        fine = int((self.checks["verdict"] == "ok").sum())
        return (
            f"<div><p><b>{_cell(self.summary)}</b></p>"
            + _table(("May I conclude?", "allowed", "why", "what to change"), claims)
            + _table(("check", "scope", "verdict", "meaning"), checks)
            + f"<p>{fine} checks found nothing.</p></div>"
        )


def validity_report(
    spans: pd.DataFrame,
    *,
    design: Design | float | pd.Series | None = None,
    reference: pd.Series | pd.DataFrame | None = None,
    by: str = "service",
    traces_per_s: float | None = None,
    num_traces: int | None = None,
) -> ValidityReport:
    """Say which conclusions sampled traces allow: what the design permits, less what the checks refute.

    Parameters
    ----------
    spans
        A span frame, as it was sampled.
    design
        How the traces were chosen: a :class:`Design`, one probability, or a Series of inclusion probabilities on the index of
        ``spans``. None: what the traces record themselves (or the columns of :func:`~traceanalytics.sampling.attach_weights`).
    reference
        What all traffic was: a span frame of it, or counts by ``by`` (of spans, such as metrics have).
    by
        The column by which orphans and the mix are grouped.
    traces_per_s, num_traces
        Of a tail sampler with a ``decision_wait_s``: see :func:`~traceanalytics.sampling.truncation_check.check_truncation`.

    Returns
    -------
    ValidityReport
        With ``checks``, ``conclusions``, ``design`` and ``summary``. A check that fails turns what rests on it into ``bound_only`` or
        ``no``, and is named in ``why``. Checks that need what was not given are left out.

    Raises
    ------
    SchemaError
        A frame is no span frame.
    OptionError
        An option is not as described.

    Examples
    --------
    >>> import traceanalytics as ta
    >>> from traceanalytics.sampling.strategy_simulation import simulate
    >>> spans = ta.simulate.Shop(seed=1).run(400)[0]
    >>> report = validity_report(simulate(spans, Design.errors_always(0.2)).spans, design=Design.errors_always(0.2))
    >>> report.conclusions[["claim", "allowed"]].head(3)
            claim   allowed
    0      counts  weighted
    1       rates  weighted
    2  error rate  weighted
    """
    given = Design.head(float(design)) if isinstance(design, int | float | np.number) else design
    weighted = _weighted(spans, given)
    state = _states(weighted)
    named = given if isinstance(given, Design) else None
    checks = run_checks(
        weighted, design=named, reference=reference, by=by, traces_per_s=traces_per_s, num_traces=num_traces
    )
    found = _by_checks(_base(named, state, checks), named, state, checks)
    return ValidityReport(checks, conclusions_table(found), named, _summary(len(spans), named, state))


@dataclass(frozen=True)
class _States:
    """How many traces there are, by what is known of their probability."""

    traces: int
    certain: int
    unknown: int
    inconsistent: int
    sources: tuple[str, ...]
    by_span: bool

    @property
    def known(self) -> int:
        return self.traces - self.unknown - self.inconsistent


def _weighted(spans: pd.DataFrame, design: Design | pd.Series | None) -> pd.DataFrame:
    attached = {"incl_prob", "weight_status", "weight_source"} <= set(spans.columns)
    if attached and (design is None or (isinstance(design, Design) and _is_told(spans, design))):
        return spans
    return attach_weights(spans, design=design)


def _is_told(spans: pd.DataFrame, design: Design) -> bool:
    """Tell whether the attached columns are to stand: they hold all there is, or no more can be known."""
    unknowable = design.kind in ("rate_limit", "reservoir", "unknown")
    return unknowable or bool(spans["weight_status"].isin(["known", "certain"]).all())


def _states(spans: pd.DataFrame) -> _States:
    codes, ids = pd.factorize(spans["trace_id"])
    first = np.full(len(ids) + 1, -1, np.intp)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    rows = first[:-1]
    status = spans["weight_status"].iloc[rows].astype("str")
    sources = spans["weight_source"].iloc[rows].dropna().unique()
    pi = spans["incl_prob"].to_numpy("float64", na_value=np.nan)
    apart = (codes >= 0) & (np.abs(pi - pi[first[codes]]) > 1e-9)
    counts = status.value_counts()
    unknown = int(counts.get("unknown", 0)) + int(status.isna().sum())
    return _States(
        len(ids),
        int(counts.get("certain", 0)),
        unknown,
        int(counts.get("inconsistent", 0)),
        tuple(sorted(map(str, sources))),
        bool(apart.any()),
    )


def _base(design: Design | None, state: _States, checks: pd.DataFrame) -> dict[str, Ruling]:
    """Return what the design allows, or, without one, what the traces say of themselves."""
    if not state.traces:
        return dict.fromkeys(CLAIMS, Ruling("no", "there is no trace", "read some"))
    if design is not None:
        return rulings(design)
    if state.certain == state.traces:
        return rulings(Design.head(1))
    if state.known:
        recorded = rulings(Design.consistent({"any": 0.5}) if state.by_span else Design.dynamic("any"))
        why = f"{'each span' if state.by_span else 'each trace'} tells its probability ({', '.join(state.sources)})"
        return {
            claim: ruling._replace(why=why) if ruling.allowed == "weighted" and claim in CLAIMS[:4] else ruling
            for claim, ruling in recorded.items()
        }
    hint = _hint(checks)
    return {
        claim: Ruling("no", f"no trace tells its probability, and no design was given{hint}", ruling.fix)
        for claim, ruling in rulings(Design.unknown()).items()
    }


def _hint(checks: pd.DataFrame) -> str:
    found = checks[checks["check"].str.startswith("sampler")]
    if found.empty or found["verdict"].iloc[0] == "not_testable":
        return ""
    return f"; but the ids say something: {found['meaning'].iloc[0]}"


def _by_checks(
    found: Mapping[str, Ruling], design: Design | None, state: _States, checks: pd.DataFrame
) -> dict[str, Ruling]:
    """Return the rulings, less what unknown weights and failed checks refute."""
    turned = dict(found)
    if state.traces and (state.unknown or state.inconsistent) and any(r.allowed == "weighted" for r in turned.values()):
        why = f"{state.unknown:,} of {state.traces:,} traces have no known probability, {state.inconsistent:,} contradict themselves"
        fix = "leave them out by weight_status, knowing what is then missing, or give the design that tells"
        for claim, ruling in found.items():
            if ruling.allowed != "no":
                turned[claim] = Ruling("no", why, fix)
    failed = checks[checks["verdict"] == "fail"]
    whole = state.traces > 0 and state.certain == state.traces
    for check, scope, meaning in zip(failed["check"], failed["scope"], failed["meaning"], strict=True):
        if check.startswith(("trace ids", "ids:")) and (whole or (design is not None and design.kind not in _BY_IDS)):
            continue
        # What one service lacks shows in the mix; whether much is lost is seen over all of them.
        turns = {"service mix": "no"} if check == "orphans" and scope != "all" else _turns(check)
        for claim, allowed in turns.items():
            if _ORDER.index(allowed) > _ORDER.index(turned[claim].allowed):
                turned[claim] = Ruling(
                    allowed, f"check {check!r} ({scope}) failed: {meaning}", "mend what the check found"
                )
    return turned


def _turns(check: str) -> dict[str, str]:
    return next((to for name, to in _TURNED.items() if check == name or check.startswith(f"{name} ")), {})


def _summary(spans: int, design: Design | None, state: _States) -> str:
    known = f"{state.known:,} of {state.traces:,} probabilities of traces are known"
    parts = [
        f"{spans:,} spans in {state.traces:,} sampled traces",
        f"design: {design.name if design else 'not given'}",
        known,
    ]
    if state.sources:
        parts[-1] += f" (from {', '.join(state.sources)})"
    if state.inconsistent:
        parts.append(f"{state.inconsistent:,} contradict themselves")
    return "; ".join(parts)


def _cell(value: object) -> str:
    return html.escape(str(value))


def _badge(word: str) -> str:
    return f'<span style="color:{_COLOURS.get(word, "#000")};font-weight:600">{_cell(word.replace("_", " "))}</span>'


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table of cells that are escaped already."""
    if not rows:
        return ""
    names = "".join(f'<th style="{_STYLE}">{_cell(name)}</th>' for name in head)
    lines = ("".join(f'<td style="{_STYLE}">{cell}</td>' for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"
