"""``ta.lab.storage``: what it costs to keep traces, by a sum that can be played with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal

import traitlets

from traceanalytics.errors import OptionError
from traceanalytics.lab.controls import Control, choice_trait, decades, stored
from traceanalytics.lab.storage_words import EXAMPLE, day_sum, wrong_figures
from traceanalytics.plot.style import DARK, LIGHT
from traceanalytics.sampling.given_numbers import MOST, given_number
from traceanalytics.sampling.storage_arithmetic import storage_cost
from traceanalytics.widgets.base import Checked, TraceWidget
from traceanalytics.widgets.linking import compressed, link, read_static
from traceanalytics.widgets.page import PageParts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["StorageLab", "storage"]

_ENTRY: Final = "lab_storage.js"
_POSITIVE: Final = f"(0, {MOST:g}]"
_HEIGHT: Final = 640

_CONTROLS: Final = {
    control.name: control
    for control in (
        Control("requests_per_s", "Requests", "/s", "Traffic", decades(1, 1e6, whole=True)),
        Control("spans_per_trace", "Spans/trace", "", "Traffic", decades(1, 1000, whole=True), f"[1, {MOST:g}]"),
        Control("bytes_per_span", "Bytes/span", "B", "Traffic", decades(50, 50_000, whole=True), _POSITIVE),
        Control("error_rate", "Error share", "%", "Errors", (0, *decades(1e-4, 1)), "[0, 1]", percent=True),
        Control(
            "error_size_ratio", "Error size", "\N{MULTIPLICATION SIGN}", "Errors", decades(0.5, 20), _POSITIVE,
            hint="Size of an error trace in sizes of a healthy one: stack traces make it larger",
        ),
        Control(
            "compression", "Compression", "%", "Storage", decades(0.02, 1), "(0, 1]", percent=True,
            hint="Stored bytes for each byte sent",
        ),
        Control("replication", "Copies", "", "Storage", (1, 2, 3, 4, 5), f"[1, {MOST:g}]", whole=True),
        Control(
            "index_overhead", "Indices", "%", "Storage", tuple(stored(at / 20) for at in range(41)), percent=True,
            hint="Bytes of indices for each stored byte",
        ),
        Control(
            "retention_days", "Kept for", "days", "Storage", (1, 2, 3, 5, 7, 10, 14, 21, 30, 60, 90, 180, 365, 730), _POSITIVE
        ),
        Control(
            "price_per_gb_month", "Price/GB", "/month", "Storage", (0, *decades(0.001, 10)), none=True,
            hint="Price of one decimal gigabyte stored for a month, in any currency; empty for none",
        ),
        Control(
            "decision_wait_s", "Decides in", "s", "Collector", (0, 1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300),
            hint="Seconds for which a collector holds each trace, where the end of a trace decides",
        ),
    )
}  # fmt: skip
_INPUTS: Final = (*_CONTROLS, "error_level", "own")
_SHARES: Final = (0, *decades(1e-4, 1))


def storage(
    *,
    requests_per_s: float = 10_000,
    spans_per_trace: float = 15,
    bytes_per_span: float = 500,
    error_rate: float = 0.01,
    error_level: Literal["trace", "span"] = "trace",
    error_size_ratio: float = 1.0,
    compression: float = 1.0,
    replication: int = 1,
    index_overhead: float = 0.0,
    retention_days: float = 14,
    price_per_gb_month: float | None = 0.1,
    decision_wait_s: float = 30,
    own: float | Sequence[float] = (1.0, 0.05),
    units: Literal["decimal", "binary"] = "decimal",
    predict: bool = False,
    theme: Literal["auto", "light", "dark"] = "auto",
) -> StorageLab:
    """Try out what it costs to keep traces: bytes a day, disk, money and memory for five strategies, as the load changes.

    The numbers are those of :func:`~traceanalytics.sampling.storage_arithmetic.storage_cost`, and the sum behind each of them is
    written out. What must reach a collector is told apart from what is stored: a strategy that decides at the end of a trace
    saves no transport, and needs memory.

    Parameters
    ----------
    requests_per_s, spans_per_trace, bytes_per_span, error_rate, error_level, error_size_ratio, compression, replication
        As in ``storage_cost``. The first three are those of an example that is often quoted, with figures that are wrong; the
        lab says why.
    index_overhead, retention_days, price_per_gb_month, decision_wait_s
        As in ``storage_cost``. The price is a made-up round one.
    own
        A fifth strategy, beside all, 10 % and 1 % at the start, and errors + 1 % at the end: a ratio, decided at the start, or a
        pair of ratios (error traces, other traces), decided at the end.
    units
        Show sizes in decimal units (GB, 10^9 bytes) or binary ones (GiB, 2^30 bytes).
    predict
        Keep what a change does hidden until it is asked for, so that there is time to guess.
    theme
        ``"auto"`` follows the notebook.

    Returns
    -------
    StorageLab
        The widget. As the last expression of a cell it shows itself; ``ta.options.renderer`` says how. Every option is an
        attribute that can be read and set; ``table`` has the numbers as a DataFrame.

    Raises
    ------
    OptionError
        A number is not in its range, or an option is not one of those allowed.

    Examples
    --------
    >>> from traceanalytics.lab import storage
    >>> lab = storage()
    >>> lab.arithmetic
    '10,000 \N{MULTIPLICATION SIGN} 15 \N{MULTIPLICATION SIGN} 500 B = 75 MB/s \N{MULTIPLICATION SIGN} 86,400 s = 6.48 TB = 5.89 TiB a day'
    >>> lab.requests_per_s = 2_000
    >>> lab.table[["strategy", "gb_per_day"]].round(1)
           strategy  gb_per_day
    0           all      1296.0
    1     head 10 %       129.6
    2      head 1 %        13.0
    3  errors + 1 %        25.8
    4      your own        77.1
    """
    values = dict(locals())
    return StorageLab(**values)


def _check_own(_: StorageLab, value: Any) -> float | list[float]:
    """Return a strategy: a ratio, or a list of two."""
    if isinstance(value, (list, tuple)):
        if len(value) != 2:
            raise OptionError(f"own={value!r:.60} is not a pair of ratios in [0, 1]: error traces, other traces")
        for share in value:
            given_number("own", share, "[0, 1]")
        return [stored(share) for share in value]
    given_number("own", value, "[0, 1]")
    return stored(value)


def _check_selected(owner: StorageLab, value: Any) -> str:
    names = tuple(owner._strategies())  # noqa: SLF001 - ours
    if value not in names:
        raise OptionError(f"selected={value!r} is none of the strategies {', '.join(map(repr, names))}")
    return str(value)


class StorageLab(TraceWidget):
    """The arithmetic of storage, made by :func:`storage`, which describes the options; each is an attribute that can be set.

    Attributes
    ----------
    selected
        Name of the strategy whose sum is written out.
    """

    _esm = compressed(link(_ENTRY))
    _css = read_static("base.css") + read_static("lab_board.css") + read_static("lab_storage.css")

    _tables = traitlets.Dict().tag(sync=True)
    _now = traitlets.Dict().tag(sync=True)

    requests_per_s = _CONTROLS["requests_per_s"].trait(10_000)
    spans_per_trace = _CONTROLS["spans_per_trace"].trait(15)
    bytes_per_span = _CONTROLS["bytes_per_span"].trait(500)
    error_rate = _CONTROLS["error_rate"].trait(0.01)
    error_level = choice_trait("error_level", ("trace", "span"), "trace")
    error_size_ratio = _CONTROLS["error_size_ratio"].trait(1)
    compression = _CONTROLS["compression"].trait(1)
    replication = _CONTROLS["replication"].trait(1)
    index_overhead = _CONTROLS["index_overhead"].trait(0)
    retention_days = _CONTROLS["retention_days"].trait(14)
    price_per_gb_month = _CONTROLS["price_per_gb_month"].trait(0.1)
    decision_wait_s = _CONTROLS["decision_wait_s"].trait(30)
    own = Checked(_check_own, [1, 0.05])
    units = choice_trait("units", ("decimal", "binary"), "decimal")
    selected = Checked(_check_selected, "all")
    predict = choice_trait("predict", (True, False), default=False)
    theme = choice_trait("theme", ("auto", "light", "dark"), "auto")

    def __init__(self, **values: Any) -> None:
        super().__init__(**values, _tables=_first_tables())
        self._tell()

    def __repr__(self) -> str:
        return "StorageLab()"

    # What Python asks.

    @property
    def table(self) -> pd.DataFrame:
        """The numbers: one row a strategy, the columns of ``storage_cost``."""
        return storage_cost(
            **{name: getattr(self, name) for name in (*_CONTROLS, "error_level")}, strategies=self._strategies()
        )

    @property
    def arithmetic(self) -> str:
        """How a day's bytes of the selected strategy come about, in one line."""
        rows = self.table.set_index("strategy")
        return day_sum(self._inputs(), rows.loc[self.selected].to_dict())

    @property
    def height(self) -> int:
        """Height of the view in pixels."""
        return _HEIGHT

    def _strategies(self) -> dict[str, float | tuple[float, float]]:
        own = self.own
        return {
            "all": 1.0,
            "head 10 %": 0.1,
            "head 1 %": 0.01,
            "errors + 1 %": (1.0, 0.01),
            "your own": tuple(own) if isinstance(own, list) else own,
        }

    def _inputs(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _INPUTS}

    # What follows from a change.

    @traitlets.observe(*_INPUTS)
    def _changed(self, _: Any) -> None:
        self._tell()

    def _tell(self) -> None:
        columns = self.table.to_dict("list")
        columns["monthly_cost"] = [None if math.isnan(cost) else cost for cost in columns["monthly_cost"]]
        self._now = {"inputs": self._inputs(), "table": columns}

    def _answer(self, message: dict[str, Any]) -> dict[str, Any] | None:  # noqa: ARG002 - every value is a trait
        return None

    # Pages and pictures.

    def _parts(self, *, attributes: list[str] | None, max_details: int) -> PageParts:  # noqa: ARG002 - no span is shown
        names = [name for name in self.trait_names() if isinstance(self.traits()[name], Checked)]
        return PageParts(
            title="What it costs to keep traces",
            module=link(_ENTRY),
            css=self._css,
            state={name: getattr(self, name) for name in names}
            | {"_tables": self._tables | {"offline": True}, "_now": self._now},
            columns={},
            details=b"",
            theme=self.theme,
        )

    def _state_key(self) -> Any:
        return repr(self._inputs()), self.units, self.selected, self._picture_theme()

    def _figure(self, *, max_rows: int, theme: str) -> Figure:  # noqa: ARG002 - there are five rows
        from traceanalytics.lab.storage_picture import storage_bars  # noqa: PLC0415 - half a second, for pictures only

        return storage_bars(self.table, units=self.units, note=self.arithmetic, days=self.retention_days, theme=theme)


def _first_tables() -> dict[str, Any]:
    share = Control("own", "", "%", "Your own", _SHARES, "[0, 1]", percent=True)
    return {
        "controls": [control.told() for control in _CONTROLS.values()],
        "share": share.told(),
        "example": EXAMPLE,
        "wrong": list(wrong_figures()),
        "inputs": list(_INPUTS),
        "themes": {"light": LIGHT._asdict(), "dark": DARK._asdict()},
        "offline": False,
    }
