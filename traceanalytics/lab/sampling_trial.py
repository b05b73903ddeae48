"""Complete traffic, sampled again and again: what is kept, and what is read from it, beside the truth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from traceanalytics.errors import OptionError
from traceanalytics.sampling.complete_traffic import CompleteTraffic
from traceanalytics.sampling.design_weights import SOURCE, STATUSES
from traceanalytics.sampling.quantiles import estimate_quantile
from traceanalytics.sampling.ratios import error_rate, estimate_mean
from traceanalytics.sampling.totals import estimate_total
from traceanalytics.sampling.trace_choice import choose
from traceanalytics.spans.columns import codes_of
from traceanalytics.spans.schema import check_spans
from traceanalytics.topology.forest import COLUMNS
from traceanalytics.weights import group_quantiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from traceanalytics.sampling.designs import Design

__all__ = ["KINDS", "QUANTITIES", "Draw", "Trial"]

QUANTITIES: Final = ("requests", "error_rate", "mean_ms", "p50_ms", "p99_ms", "calls_seen")
"""What is asked of the sample: the last one is the number of pairs of a calling and a called operation."""
KINDS: Final = ("healthy", "slow", "error")
"""Kinds of traces; a slow one is among the slowest 5 %, an error comes first."""
_MOST_TRACES: Final = 20_000
_LEVELS: Final = (0.5, 0.99)
_NEEDED: Final = tuple(dict.fromkeys((*COLUMNS, "name", "service", "kind", "status")))
_BOUND: Final = "what was not kept is not seen, and no weight brings it back: at least so many"


class Draw(NamedTuple):
    """One sample: which traces it keeps, how many spans and bytes that is, and what is read from it."""

    kept: NDArray[np.bool_]
    spans: int
    estimates: pd.DataFrame
    """One row a quantity; see ``SamplingLab.estimates``."""


class Trial:
    """Complete traffic and what is true of it.

    Parameters
    ----------
    spans
        Span frame of 1 to 20,000 traces: it counts as everything there was.
    """

    def __init__(self, spans: pd.DataFrame) -> None:
        check_spans(spans, *_NEEDED)
        traces = int(spans["trace_id"].nunique())
        if not 1 <= traces <= _MOST_TRACES:
            raise OptionError(
                f"the frame holds {traces:,} traces, and the lab samples 1 to {_MOST_TRACES:,} of complete traffic: "
                + (
                    "give some, or None for the shop's"
                    if not traces
                    else "leave some out with ta.whole_traces(spans, mask)"
                )
            )
        self.spans = spans
        self.complete = complete = CompleteTraffic(spans)
        self.n_spans = complete.n_spans
        self.order = np.argsort(complete.facts.first_start, kind="stable")
        """The traces by their start."""
        self.slow_ms = _quantiles(complete.duration_ms, (0.95,))[0]
        slow = np.nan_to_num(complete.duration_ms, nan=0.0) > self.slow_ms
        self.kind = np.where(complete.has_error, 2, slow).astype(np.uint8)
        self._roots = self._root_rows()
        self._calls = self._calls_of_traces()
        truth = complete.truth.set_index("quantity")["value"]
        named = ("traces", "trace_error_rate", "duration_ms_mean", "duration_ms_p50", "duration_ms_p99")
        self.truth = [*(float(truth[name]) for name in named), float(len(np.unique(self._calls[1])))]

    @property
    def seconds(self) -> float:
        """How long the traffic lasts."""
        return self.complete.seconds

    def endpoints(self, most: int) -> list[str]:
        """Return the names of the main roots, the most frequent ones first."""
        codes, labels = codes_of(self._roots["name"])
        counts = np.bincount(codes[codes >= 0], minlength=len(labels))
        order = np.argsort(-counts, kind="stable")[:most]
        return [str(labels[at]) for at in order.tolist() if counts[at]]

    def draw(self, design: Design, seed: int) -> Draw:
        """Return one sample and what is read from it."""
        choice = choose(design, self.complete.facts, seed)
        kept = self.complete.facts.having(choice.rows)
        sample = self._roots[kept].assign(**_weights(choice.trace_pi[kept]))
        rows = [
            estimate_total(sample, design=design),
            error_rate(sample, design=design),
            estimate_mean(sample, design=design),
            estimate_quantile(sample, q=_LEVELS, design=design),
        ]
        found = pd.concat(
            [row[["estimate", "lo", "hi", "n_traces", "n_eff", "method", "status", "reason"]] for row in rows]
        )
        return Draw(kept, int(self.n_spans[kept].sum()), self._judged(found, self._raw(kept, sample)))

    def _judged(self, found: pd.DataFrame, raw: list[float]) -> pd.DataFrame:
        """Return the table of a draw, with the calls between services below the estimates."""
        refused = found["status"].astype("str") == "unidentifiable"
        table = pd.DataFrame(
            {
                "quantity": pd.array(list(QUANTITIES), dtype="str"),
                "truth": self.truth,
                "raw": raw,
                **{
                    name: np.append(found[name].to_numpy("float64", na_value=np.nan), np.nan)
                    for name in ("estimate", "lo", "hi")
                },
                "verdict": pd.Categorical(
                    [*found["status"].astype("str").mask(refused, "refused"), "bound only"],
                    ["ok", "too_few", "biased", "refused", "bound only"],
                ),
                "reason": pd.array([*found["reason"], _BOUND], dtype="str"),
                "method": pd.array([*found["method"], ""], dtype="str"),
            }
        )
        # A number that misses by less than rounding does not miss.
        slack = 1e-9 * np.abs(table["truth"])
        inside = (table["lo"] - slack <= table["truth"]) & (table["truth"] <= table["hi"] + slack)
        table["covers"] = inside.astype("boolean").mask(table["lo"].isna() | table["hi"].isna())
        return table

    def _raw(self, kept: NDArray[np.bool_], sample: pd.DataFrame) -> list[float]:
        """Return what the sample says of itself, without weights."""
        durations = sample["duration_ms"].to_numpy("float64", na_value=np.nan)
        known = durations[~np.isnan(durations)]
        failed = self.complete.has_error[kept]
        return [
            float(len(sample)),
            float(failed.mean()) if len(failed) else math.nan,
            float(known.mean()) if len(known) else math.nan,
            *_quantiles(durations, _LEVELS),
            float(len(np.unique(self._calls[1][kept[self._calls[0]]]))),
        ]

    def _root_rows(self) -> pd.DataFrame:
        """Return one row a trace: its main root, failed if anything in the trace did. Estimates of traces need no more."""
        complete = self.complete
        roots = self.spans.iloc[complete.root][list(_NEEDED)]
        return roots.assign(
            trace_id=complete.ids.to_numpy(),
            parent_span_id=pd.array([None] * len(roots), dtype="str"),
            status=np.where(complete.has_error, "ERROR", "OK"),
            duration_ms=complete.duration_ms,
        ).reset_index(drop=True)

    def _calls_of_traces(self) -> NDArray[np.int64]:
        """Return trace and pair of operations for each call, one column each of them that differs."""
        complete = self.complete
        service, name = (codes_of(self.spans[column]) for column in ("service", "name"))
        operation = service[0].astype(np.int64) * len(name[1]) + name[0]
        parent = complete.forest.parent
        calls = np.flatnonzero((parent >= 0) & complete.counted)
        pair, _ = pd.factorize(operation[parent[calls]] * (operation.max(initial=0) + 1) + operation[calls])
        found = pd.DataFrame({"trace": complete.facts.codes[calls], "pair": pair}).drop_duplicates()
        return found.to_numpy(np.int64).T

    def kinds(self, kept: NDArray[np.bool_]) -> pd.DataFrame:
        """Return how many traces of each kind there are, and how many are kept."""
        return pd.DataFrame(
            {
                "kind": pd.array(list(KINDS), dtype="str"),
                "traces": np.bincount(self.kind, minlength=len(KINDS)),
                "kept": np.bincount(self.kind[kept], minlength=len(KINDS)),
            }
        )


def _weights(pi: NDArray[np.float64]) -> dict[str, Any]:
    known = ~np.isnan(pi)
    source: Any = np.where(known, SOURCE.categories.tolist().index("policy"), -1)
    status = np.where(known, np.where(pi == 1, "certain", "known"), "unknown")
    return {
        "weight": 1 / pi,
        "incl_prob": pi,
        "weight_source": pd.Categorical.from_codes(source, dtype=SOURCE),
        "weight_status": pd.Categorical(status, STATUSES.categories, ordered=STATUSES.ordered),
    }


def _quantiles(values: NDArray[np.float64], levels: tuple[float, ...]) -> list[float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return [math.nan] * len(levels)
    found = group_quantiles(np.zeros(len(known), np.intp), 1, known, np.ones(len(known)), levels)
    return [float(one) for one in found[0]]
