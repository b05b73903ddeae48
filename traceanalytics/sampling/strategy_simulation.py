"""A sampling strategy tried out on complete data: what it keeps, with which probability, and what was true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.errors import OptionError
from traceanalytics.sampling.complete_traffic import CompleteTraffic
from traceanalytics.sampling.design_weights import SOURCE, STATUSES
from traceanalytics.sampling.designs import Design
from traceanalytics.sampling.given_numbers import given_whole
from traceanalytics.sampling.trace_choice import Choice, choose
from traceanalytics.sampling.written_thresholds import with_thresholds

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Simulation", "as_design", "simulate"]


class Simulation(NamedTuple):
    """What :func:`simulate` returns: kept spans, all traces, the truth, and the design."""

    spans: pd.DataFrame
    """The kept spans: whole rows on their own index, with the columns of :func:`attach_weights`."""
    traces: pd.DataFrame
    """One row a trace of the complete data."""
    truth: pd.DataFrame
    """What is true of the complete data: columns ``quantity`` and ``value``."""
    design: Design
    """The design that was simulated."""


def simulate(spans: pd.DataFrame, strategy: Design | float, *, seed: int = 0) -> Simulation:
    """Answer what a sampling strategy would keep of complete data.

    Parameters
    ----------
    spans
        A span frame of complete traffic: it counts as everything there was.
    strategy
        A :class:`Design`; a number is ``Design.head(number)``.
    seed
        Of the random numbers. Every trace draws one, whatever its id, so that seeds give different samples of the same data, and the
        same seed the same luck for every strategy: with 1 % it keeps a part of what it keeps with 10 %.

    Returns
    -------
    Simulation
        - ``spans``: the kept rows with their columns and index, and ``weight``, ``incl_prob``, ``weight_source`` and
          ``weight_status`` as :func:`attach_weights` has them. They are what the strategy really did; limiters and
          reservoirs are ``unknown``. Consistent designs write ``ot=rv:..;th:..`` into ``trace_state``, beside other vendors' members.
        - ``traces``: ``trace_id``, ``incl_prob`` (probability that anything of the trace is kept; NaN where unknown), ``kept`` (bool),
          ``kept_by`` (str: policy, rule or design that kept it; empty), ``n_spans``, ``kept_spans`` (int64), ``has_error`` (bool),
          ``duration_ms`` (of the main root), ``complete`` (bool: all its spans were kept)
        - ``truth``: ``traces``, ``spans``, ``error_traces``, ``error_spans``, ``trace_error_rate``, ``span_error_rate`` (shares), and
          ``duration_ms_mean``, ``_p50``, ``_p95``, ``_p99`` of the main roots
        - ``design``

    Raises
    ------
    SchemaError
        The frame is no span frame.
    OptionError
        ``strategy`` is no design that can be simulated, or ``seed`` no whole number.

    Notes
    -----
    Tail sampling decides with what has arrived ``decision_wait_s`` after the first span of a trace, where a span arrives at its end.
    Later spans follow the decision; with ``decision_cache=False`` they are decided about on their own, as the collector does
    once it has forgotten the trace, and parts of traces are kept. Spans without a trace id are kept by no strategy. Where
    services have probabilities of their own, ``incl_prob`` of a span is its service's.

    Examples
    --------
    >>> from traceanalytics.simulate import Shop
    >>> from traceanalytics.sampling.strategy_simulation import simulate
    >>> spans, _ = Shop(seed=1).run(500)
    >>> kept = simulate(spans, Design.errors_always(0.05), seed=7)
    >>> kept.traces.groupby(["has_error", "kept"]).size().tolist()
    [383, 16, 101]
    """
    return sampled(CompleteTraffic(spans), as_design(strategy), given_whole("seed", seed, 0))


def as_design(strategy: object) -> Design:
    """Return the design; a number is a head design."""
    if isinstance(strategy, Design):
        return strategy
    if isinstance(strategy, int | float | np.number) and not isinstance(strategy, bool):
        return Design.head(float(strategy))
    raise OptionError(f"strategy={strategy!r:.60} is no Design, such as Design.head(0.1) or Design.errors_always(0.01)")


def sampled(complete: CompleteTraffic, design: Design, seed: int) -> Simulation:
    """Return what :func:`simulate` does, for traffic that is known already."""
    choice = choose(design, complete.facts, seed)
    kept_spans = complete.spans_in(choice.rows)
    kept = complete.facts.having(choice.rows)
    traces = pd.DataFrame(
        {
            "trace_id": complete.ids,
            "incl_prob": choice.trace_pi,
            "kept": kept,
            "kept_by": pd.array(choice.kept_by, dtype="str"),
            "n_spans": complete.n_spans,
            "kept_spans": kept_spans,
            "has_error": complete.has_error,
            "duration_ms": complete.duration_ms,
            "complete": kept & (kept_spans == complete.n_spans),
        }
    )
    return Simulation(_kept_spans(complete, design, choice), traces, complete.truth.copy(), design)


def _kept_spans(complete: CompleteTraffic, design: Design, choice: Choice) -> pd.DataFrame:
    rows = np.flatnonzero(choice.rows)
    spans = complete.spans.iloc[rows]
    pi = choice.span_pi[rows]
    columns = _weights(
        pi, "tracestate" if design.kind == "consistent" else "config" if design.is_constant else "policy"
    )
    if choice.thresholds is not None:
        states = (
            spans["trace_state"] if "trace_state" in spans.columns else pd.Series(None, index=spans.index, dtype="str")
        )
        written = with_thresholds(states, complete.facts.codes[rows], choice.randomness, choice.thresholds[rows])
        columns = {"trace_state": written, **columns}
    return spans.assign(**columns)


def _weights(pi: NDArray[np.float64], source: str) -> dict[str, Any]:
    known = ~np.isnan(pi)
    status = np.select([~known, pi == 1], [2, 1], 0)
    sources = np.where(known, SOURCE.categories.tolist().index(source), -1)
    return {
        "weight": 1 / pi,
        "incl_prob": pi,
        "weight_source": pd.Categorical.from_codes(sources, dtype=SOURCE),
        "weight_status": pd.Categorical.from_codes(status, dtype=STATUSES),
    }
