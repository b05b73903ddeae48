"""``ta.lab.sampling``: sample complete traffic, and see what each strategy lets be concluded."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd
import traitlets

from traceanalytics.errors import OptionError
from traceanalytics.lab.controls import Control, choice_trait, decades, stored
from traceanalytics.lab.sampling_trial import KINDS, QUANTITIES, Trial
from traceanalytics.lab.sampling_words import LABELS, STRATEGIES, about_quantity, about_strategy
from traceanalytics.lab.shop_traffic import shop_traffic
from traceanalytics.plot.style import DARK, LIGHT
from traceanalytics.sampling.designs import Design
from traceanalytics.sampling.given_numbers import MOST, given_number, given_whole
from traceanalytics.sampling.policies import Policy
from traceanalytics.sampling.storage_arithmetic import storage_cost
from traceanalytics.sampling.strategy_simulation import simulate
from traceanalytics.widgets.base import Checked, TraceWidget, column, encodable
from traceanalytics.widgets.linking import compressed, link, read_static
from traceanalytics.widgets.page import PageParts
from traceanalytics.widgets.shown_texts import shown_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SamplingLab", "sampling"]

_ENTRY: Final = "lab_sampling.js"
_HEIGHT: Final = 760
_SHARES: Final = decades(0.001, 1)
_MOST_DRAWS: Final = 200
_MOST_AT_ONCE: Final = 50
_MOST_ENDPOINTS: Final = 10
_MOST_RULES: Final = 100
_RETENTION_DAYS: Final = 30
_OPEN: Final = "(0, 1]"
_SHARE: Final = "[0, 1]"

_CONTROLS: Final = {
    control.name: control
    for control in (
        Control("head_p", "Kept", "%", "head", _SHARES, _OPEN, percent=True),
        Control(
            "tail_latency_ms", "Slower than", "ms", "tail", decades(10, 2000), none=True,
            hint="Every trace that takes so long is kept; empty: duration does not matter",
        ),
        Control("tail_p", "Of the others", "%", "tail", (0, *_SHARES), _SHARE, percent=True),
        Control("limit_per_s", "Traces/s", "", "rate_limit", (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100), f"(0, {MOST:g}]"),
        Control("errors_p", "Of the others", "%", "errors_always", (0, *_SHARES), _SHARE, percent=True),
        Control("rest_p", "All others", "%", "priority", (0, *_SHARES), _SHARE, percent=True),
        Control("bytes_per_span", "Bytes/span", "B", "Storage", decades(50, 50_000, whole=True), f"(0, {MOST:g}]"),
        Control(
            "price_per_gb_month", "Price/GB", "/month", "Storage", (0, *decades(0.001, 10)),
            hint=f"Price of one decimal gigabyte stored for a month, in any currency; traces are kept for {_RETENTION_DAYS} days",
        ),
    )
}  # fmt: skip
_SETTINGS: Final = (
    "strategy",
    "head_p",
    "tail_errors",
    "tail_latency_ms",
    "tail_p",
    "limit_per_s",
    "errors_p",
    "rules",
    "rest_p",
)
"""What a sample depends on, beside luck."""


def sampling(
    spans: pd.DataFrame | None = None,
    *,
    seed: int = 0,
    predict: bool = False,
    theme: Literal["auto", "light", "dark"] = "auto",
) -> SamplingLab:
    """Try out sampling: choose a strategy, and see what it keeps of complete traffic and what may be concluded from that.

    Five strategies: a share decided at the start of a trace (head), policies at its end (tail), a limit of traces a second, every
    error and a share of the rest, a share by endpoint. For each there is what is kept, what it costs, and, beside the truth, six
    quantities: as the kept traces say it, as an estimate with weights and its 95 % interval, with a verdict: ``ok``, ``too_few``,
    ``biased``, ``refused`` or ``bound only``. A new draw shows what is luck, 200 draws how often the intervals hold the truth.

    Parameters
    ----------
    spans
        Span frame of complete traffic, 1 to 20,000 traces: it counts as everything there was. None: 2,400 traces of a shop, with
        errors and slow requests, a third of them in a rush of ten seconds.
    seed
        Luck of the first draw.
    predict
        Keep what a change does hidden until it is asked for, so that there is time to guess.
    theme
        ``"auto"`` follows the notebook.

    Returns
    -------
    SamplingLab
        The widget. As the last expression of a cell it shows itself; ``ta.options.renderer`` says how. Settings are attributes that
        can be read and set; ``estimates``, ``coverage``, ``kept`` and ``design`` have the results.

    Raises
    ------
    OptionError
        The frame has no trace or more than 20,000, or an option is not one of those allowed.
    SchemaError
        The frame lacks a column, or its index repeats a label.

    Examples
    --------
    >>> from traceanalytics.lab import sampling
    >>> lab = sampling()
    >>> lab.strategy, lab.errors_p = "errors_always", 0.05
    >>> lab.design
    Design.errors_always(0.05)
    >>> lab.estimates[["quantity", "truth", "raw", "estimate", "verdict"]].round(3).head(2)
         quantity     truth      raw  estimate verdict
    0    requests  2400.000  227.000  2393.000      ok
    1  error_rate     0.047    0.498     0.047      ok
    >>> lab.strategy = "rate_limit"
    >>> lab.estimates["verdict"].tolist()
    ['refused', 'refused', 'refused', 'refused', 'refused', 'bound only']
    """
    trial = _shop_trial() if spans is None else Trial(spans)
    return SamplingLab(trial, seed=seed, predict=predict, theme=theme)


@functools.cache
def _shop_trial() -> Trial:
    return Trial(shop_traffic())


def _check_rules(_: SamplingLab, value: Any) -> dict[str, float]:
    """Return probabilities by endpoint."""
    if not isinstance(value, dict) or not all(isinstance(pattern, str) and pattern for pattern in value):
        raise OptionError(
            f"rules={value!r:.60}: expected a dict of endpoints and probabilities, as {{'POST /checkout': 1.0}}"
        )
    if len(value) > _MOST_RULES:
        raise OptionError(f"rules has {len(value):,} endpoints, expected at most {_MOST_RULES}")
    found = {}
    for pattern, share in value.items():
        given_number(f"rules[{pattern!r:.60}]", share, _SHARE)
        found[encodable(pattern)] = stored(share)
    return found


def _check_seed(_: SamplingLab, value: Any) -> int:
    return given_whole("seed", value, 0)


class SamplingLab(TraceWidget):
    """Complete traffic to sample, made by :func:`sampling`.

    Attributes
    ----------
    strategy
        ``"head"``, ``"tail"``, ``"rate_limit"``, ``"errors_always"`` or ``"priority"``.
    head_p
        Probability of every trace (head).
    tail_errors, tail_latency_ms, tail_p
        Keep every trace with an error; keep every one that takes so many ms (None: whatever it takes); and this share of all (tail).
    limit_per_s
        Traces kept of each second (rate limit).
    errors_p
        Probability of traces without an error, where every error is kept.
    rules, rest_p
        Endpoint, or glob pattern of endpoints, to probability; probability of all others (priority).
    bytes_per_span, price_per_gb_month
        What a span and a gigabyte are reckoned with. Traces are stored for 30 days.
    seed
        Luck: the same seed and strategy keep the same traces.
    selected
        The quantity that is explained: one of ``estimates["quantity"]``.
    predict, theme
        As in :func:`sampling`.
    """

    _esm = compressed(link(_ENTRY))
    _css = read_static("base.css") + read_static("lab_board.css") + read_static("lab_sampling.css")

    _tables = traitlets.Dict().tag(sync=True)
    _now = traitlets.Dict().tag(sync=True)
    _draws = traitlets.Dict().tag(sync=True)
    _kinds = column()
    _kept = column()

    strategy = choice_trait("strategy", tuple(STRATEGIES), "head")
    head_p = _CONTROLS["head_p"].trait(0.1)
    tail_errors = choice_trait("tail_errors", (True, False), default=True)
    tail_latency_ms = _CONTROLS["tail_latency_ms"].trait(300)
    tail_p = _CONTROLS["tail_p"].trait(0.05)
    limit_per_s = _CONTROLS["limit_per_s"].trait(2)
    errors_p = _CONTROLS["errors_p"].trait(0.05)
    rules = Checked(_check_rules, None)
    rest_p = _CONTROLS["rest_p"].trait(0.05)
    bytes_per_span = _CONTROLS["bytes_per_span"].trait(500)
    price_per_gb_month = _CONTROLS["price_per_gb_month"].trait(0.1)
    seed = Checked(_check_seed, 0)
    selected = choice_trait("selected", QUANTITIES, "requests")
    predict = choice_trait("predict", (True, False), default=False)
    theme = choice_trait("theme", ("auto", "light", "dark"), "auto")

    def __init__(self, trial: Trial, **values: Any) -> None:
        self._trial = trial
        self._ready = False
        endpoints = [name for name in trial.endpoints(_MOST_ENDPOINTS) if name == shown_text(name) and name]
        rules = {"POST /checkout": 1, "GET /health": 0.01}
        rules = {name: share for name, share in rules.items() if name in endpoints} or dict.fromkeys(endpoints[:1], 1)
        kinds = trial.kind[trial.order].tobytes()
        super().__init__(**({"rules": rules} | values), _tables=self._first_tables(endpoints), _kinds=kinds)
        self._ready = True
        self._sample()

    def __repr__(self) -> str:
        return f"SamplingLab({len(self._trial.kind):,} traces)"

    # What Python asks.

    @property
    def design(self) -> Design:
        """The strategy as it stands, for ``sampling.simulate`` and all estimates."""
        if self.strategy == "head":
            return Design.head(self.head_p)
        if self.strategy == "rate_limit":
            return Design.rate_limit(self.limit_per_s)
        if self.strategy == "errors_always":
            return Design.errors_always(self.errors_p)
        if self.strategy == "priority":
            return Design.priority(self.rules or {"*": self.rest_p}, self.rest_p)
        policies = [Policy.error()] if self.tail_errors else []
        if self.tail_latency_ms is not None:
            policies.append(Policy.latency(self.tail_latency_ms))
        return Design.tail(policies or ([] if self.tail_p else [Policy.not_(Policy.always())]), p_default=self.tail_p)

    @property
    def estimates(self) -> pd.DataFrame:
        """What is read from the sample: one row a quantity.

        - ``quantity`` (str): ``requests``, ``error_rate`` (share of traces), ``mean_ms``, ``p50_ms``, ``p99_ms`` (durations of main
          roots), ``calls_seen`` (different pairs of operations that call each other)
        - ``truth``, ``raw`` (float64): of the complete traffic; of the kept traces as they are, without weights
        - ``estimate``, ``lo``, ``hi`` (float64): with weights, and its 95 % interval; missing where refused
        - ``verdict`` (category): ``ok``, ``too_few``, ``biased``, ``refused``, ``bound only``
        - ``reason``, ``method`` (str): why, and how the interval was found
        - ``covers`` (boolean): the truth lies in the interval; missing where there is none
        """
        return self._draw.estimates.copy()

    @property
    def kept(self) -> pd.DataFrame:
        """The kept spans, with their weights, as ``sampling.simulate`` gives them."""
        return simulate(self._trial.spans, self.design, seed=self.seed).spans

    @property
    def coverage(self) -> pd.DataFrame:
        """How often the intervals of repeated draws hold the truth: one row an estimated quantity.

        - ``quantity`` (str); ``draws``, ``intervals`` (int64): draws, and those that gave an interval with two ends
        - ``covered`` (float64): share of the intervals that hold the truth; missing without any
        - ``ok`` (float64): share of the draws whose verdict was ``ok``
        - ``mean_raw``, ``mean_estimate``, ``truth`` (float64): means over the draws, and what is true
        """
        rows = []
        for at, quantity in enumerate(QUANTITIES[:-1]):
            drawn = [one.iloc[at] for one in self._drawn]
            found = pd.DataFrame(drawn, columns=["raw", "estimate", "lo", "hi", "verdict", "covers"])
            inside = found["covers"].dropna().astype("float64")
            rows.append(
                {
                    "quantity": quantity,
                    "draws": len(found),
                    "intervals": len(inside),
                    "covered": inside.mean(),
                    "ok": (found["verdict"] == "ok").mean(),
                    "mean_raw": found["raw"].mean(),
                    "mean_estimate": found["estimate"].mean(),
                    "truth": self._trial.truth[at],
                }
            )
        return pd.DataFrame(rows).astype({"quantity": "str"})

    def draw_many(self, n: int = _MOST_DRAWS) -> pd.DataFrame:
        """Draw until there are ``n`` samples under the present strategy, each with luck of its own, and return ``coverage``.

        Parameters
        ----------
        n
            1 to 200. A change of the strategy begins anew.
        """
        wanted = given_whole("n", n, 1)
        if wanted > _MOST_DRAWS:
            raise OptionError(f"n={n!r}: expected 1 to {_MOST_DRAWS} draws")
        self._draw_more(wanted)
        return self.coverage

    @property
    def height(self) -> int:
        """Height of the view in pixels."""
        return _HEIGHT

    # What follows from a change.

    @traitlets.observe(*_SETTINGS)
    def _changed(self, _: Any) -> None:
        if self._ready:
            self._sample()

    @traitlets.observe("seed")
    def _luck_changed(self, _: Any) -> None:
        if self._ready:
            self._sample(anew=False)

    @traitlets.observe("bytes_per_span", "price_per_gb_month")
    def _cost_changed(self, _: Any) -> None:
        if self._ready:
            self._tell()

    def _sample(self, *, anew: bool = True) -> None:
        self._draw = self._trial.draw(self.design, self.seed)
        if anew:
            self._drawn: list[pd.DataFrame] = []
        with self.hold_sync():
            self._kept = np.packbits(self._draw.kept[self._trial.order], bitorder="little").tobytes()
            if anew:
                self._draws = {"n": 0, "rows": {}}
            self._tell()

    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _SETTINGS}

    def _tell(self) -> None:
        settings, draw = self._settings(), self._draw
        rows = (
            draw.estimates.astype({"verdict": "str"})
            .astype(object)
            .where(draw.estimates.notna(), None)
            .to_dict("records")
        )
        told = draw.estimates.to_dict("records")
        self._now = {
            "settings": settings,
            "seed": self.seed,
            "kept": {"traces": int(draw.kept.sum()), "spans": draw.spans, **self._cost()},
            "kinds": self._trial.kinds(draw.kept)["kept"].tolist(),
            "rows": [
                row | {"text": about_quantity(row["quantity"], one, self.strategy)}
                for row, one in zip(rows, told, strict=True)
            ],
            "about": about_strategy(self.strategy, settings),
        }

    def _cost(self) -> dict[str, float]:
        """Return bytes a day and money a month for what is kept and for everything, by the traffic's own length."""
        seconds = self._trial.seconds
        spans, kept = int(self._trial.n_spans.sum()), self._draw.spans
        if math.isnan(seconds):
            return {}
        cost = storage_cost(
            requests_per_s=len(self._trial.kind) / seconds,
            spans_per_trace=max(spans / len(self._trial.kind), 1.0),
            bytes_per_span=self.bytes_per_span,
            error_rate=0.0,
            strategies={"all": 1.0, "kept": kept / max(spans, 1)},
            retention_days=_RETENTION_DAYS,
            price_per_gb_month=self.price_per_gb_month,
        )
        day, money = cost["gb_per_day"].tolist(), cost["monthly_cost"].tolist()
        return {"day": day[1], "day_all": day[0], "month": money[1], "month_all": money[0]}

    def _draw_more(self, until: int) -> None:
        design = self.design
        for seed in range(len(self._drawn), until):
            self._drawn.append(self._trial.draw(design, seed).estimates)
        names = ["estimate", "lo", "hi", "raw"]
        self._draws = {
            "n": len(self._drawn),
            "rows": {
                quantity: [
                    [
                        *(_six(value) for value in one.loc[at, names]),
                        _covers(one.loc[at, "covers"]),
                        str(one.loc[at, "verdict"]),
                    ]
                    for one in self._drawn
                ]
                for at, quantity in enumerate(QUANTITIES[:-1])
            },
        }

    def _answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Draw some more samples; the browser asks again until there are enough, so that it can stop."""
        count = message.get("count")
        if message.get("type") != "draws" or type(count) is not int or not 1 <= count <= _MOST_AT_ONCE:
            return None
        self._draw_more(min(len(self._drawn) + count, _MOST_DRAWS))
        return {"type": "draws", "n": len(self._drawn)}

    # Pages and pictures.

    def _parts(self, *, attributes: list[str] | None, max_details: int) -> PageParts:  # noqa: ARG002 - no span is shown
        names = [name for name in self.trait_names() if isinstance(self.traits()[name], Checked)]
        return PageParts(
            title="What a sample allows",
            module=link(_ENTRY),
            css=self._css,
            state={name: getattr(self, name) for name in names}
            | {"_tables": self._tables | {"offline": True}, "_now": self._now, "_draws": self._draws},
            columns={"_kinds": self._kinds, "_kept": self._kept},
            details=b"",
            theme=self.theme,
        )

    def _state_key(self) -> Any:
        return repr(self._settings()), self.seed, len(self._drawn), self.selected, self._picture_theme()

    def _figure(self, *, max_rows: int, theme: str) -> Figure:  # noqa: ARG002 - there are six rows
        from traceanalytics.lab.sampling_picture import estimates_figure  # noqa: PLC0415 - half a second, for pictures only

        kept = self._now["kept"]
        note = f"{kept['traces']:,} of {len(self._trial.kind):,} traces kept, {kept['spans']:,} of {int(self._trial.n_spans.sum()):,} spans"
        return estimates_figure(self._draw.estimates, title=self.design.name, note=note, theme=theme)

    def _first_tables(self, endpoints: list[str]) -> dict[str, Any]:
        trial = self._trial
        share = Control("rule", "", "%", "priority", (0, *_SHARES), _SHARE, percent=True)
        kinds = trial.kinds(np.zeros(len(trial.kind), np.bool_))["traces"].tolist()
        return {
            "strategies": [[name, text] for name, text in STRATEGIES.items()],
            "controls": [control.told() for control in _CONTROLS.values()],
            "share": share.told(),
            "endpoints": endpoints,
            "quantities": [[name, *LABELS[name]] for name in QUANTITIES],
            "kinds": [list(pair) for pair in zip(KINDS, kinds, strict=True)],
            "traces": len(trial.kind),
            "spans": int(trial.n_spans.sum()),
            "slow_ms": None if math.isnan(trial.slow_ms) else trial.slow_ms,
            "settings": list(_SETTINGS),
            "most_draws": _MOST_DRAWS,
            "themes": {"light": LIGHT._asdict(), "dark": DARK._asdict()},
            "offline": False,
        }


def _six(value: Any) -> float | None:
    """Return a number with as many digits as a picture needs."""
    return None if math.isnan(value) else float(f"{value:.6g}")


def _covers(value: Any) -> int:
    return -1 if value is pd.NA else int(value)
