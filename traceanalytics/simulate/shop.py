"""``Shop``: a simulated system whose traces come with the truth about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from traceanalytics.errors import OptionError
from traceanalytics.simulate.blocks import HOSTS, Block, Requests, host_of
from traceanalytics.simulate.fault_checks import checked_faults
from traceanalytics.simulate.faults import ClockSkew, FastFailures, Fault
from traceanalytics.simulate.ground_truth import Truth, truth_of
from traceanalytics.simulate.log_lines import log_lines
from traceanalytics.simulate.random_numbers import Draws, mixed, text_number
from traceanalytics.simulate.shop_topology import OPERATIONS, SERVICES
from traceanalytics.simulate.span_columns import Table
from traceanalytics.simulate.templates import Active, Template
from traceanalytics.simulate.timing import Timing
from traceanalytics.simulate.topology_data import Operation, Service, Topology
from traceanalytics.spans.columns import coded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["Shop"]

_START = pd.Timestamp("2026-05-14", tz="UTC")
_TENANTS = tuple(f"tenant-{letter}" for letter in "abcdefgh")
_MOST_SKEW = 5.0


class Shop:
    """A simulated shop, or any other system: traces with the truth about them.

    Parameters
    ----------
    seed
        The same seed gives the same spans. A request keeps its ids and random numbers whatever faults are added, so two runs
        can be compared request by request.
    services, operations
        The system; None: the shop of :mod:`traceanalytics.simulate.shop_topology`.
    clock_skew_ms
        Standard deviation of the clocks of the hosts, at most 5 ms either way. 0: all clocks agree, and every child lies within
        its parent but for messages and calls on which the caller gave up.

    Examples
    --------
    >>> from traceanalytics.simulate import Call, ErrorRate, Operation, Service, Shop
    >>> shop = Shop(seed=7, services=[Service("web"), Service("prices"), Service("db", kind="database", system="postgresql")],
    ...     operations=[Operation("web", "GET /", weight=1, calls=[Call("prices GET /price", "parallel", count=2)]),
    ...         Operation("prices", "GET /price", calls=[Call("db SELECT price", probability=0.5)]),
    ...         Operation("db", "SELECT price", self_ms=5)])
    >>> spans, truth = shop.run(100, faults=[ErrorRate("prices GET /price", share=0.1)])
    >>> truth.faults[["kind", "service", "affected_requests", "failures"]]
                kind service  affected_requests  failures
    fault
    0      ErrorRate  prices                  8         8
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        services: Iterable[Service] | None = None,
        operations: Iterable[Operation] | None = None,
        clock_skew_ms: float = 1.0,
    ) -> None:
        if (services is None) != (operations is None):
            raise OptionError("services and operations belong together: give both, or neither for the default shop")
        self.seed = _whole("seed", seed)
        if not 0 <= clock_skew_ms < np.inf:
            raise OptionError(f"clock_skew_ms={clock_skew_ms!r}: expected a number of at least 0")
        self.clock_skew_ms = float(clock_skew_ms)
        self.topology = Topology(
            tuple(SERVICES if services is None else services), tuple(OPERATIONS if operations is None else operations)
        )

    def __repr__(self) -> str:
        return f"Shop(seed={self.seed}, {len(self.topology.services)} services, {len(self.topology.operations)} operations)"

    def run(
        self,
        requests: int = 1000,
        *,
        rate: float = 20.0,
        start: pd.Timestamp = _START,
        faults: Sequence[Fault] = (),
    ) -> tuple[pd.DataFrame, Truth]:
        """Serve requests, and return their spans and the truth.

        Parameters
        ----------
        requests
            How many requests users send (:class:`FastFailures` adds more).
        rate
            Requests a second; they arrive at random.
        start
            Beginning of the run.
        faults
            What goes wrong: see :mod:`traceanalytics.simulate.faults`.

        Returns
        -------
        tuple of pandas.DataFrame and Truth
            A span frame in the order of the requests, and within one in the order of (true) starts; the truth, see :class:`Truth`.

        Raises
        ------
        OptionError
            If there is no such fault, or it names what the system does not have.
        """
        requests = _whole("requests", requests)
        if not 0 < rate < np.inf:
            raise OptionError(f"rate={rate!r}: expected requests a second, more than 0")
        begin = pd.Timestamp(start)
        if begin.tz is None:
            raise OptionError(f"start={start!r} has no time zone; use pd.Timestamp(..., tz='UTC')")
        known = checked_faults(faults, self.topology)
        late = [fault for fault in known if requests and (fault.start_s or 0) > requests / rate]
        if late:
            raise OptionError(f"{late[0]!r}: {requests} requests at {rate:g} a second last {requests / rate:g} s")
        active = [Active(number, fault) for number, fault in enumerate(known)]
        drawn = self._requests(requests, rate, begin.as_unit("ns").value, active)
        blocks, without = self._blocks(drawn, active)
        table = Table(blocks, drawn, active)
        spans = table.frame()
        return spans, truth_of(spans, table, blocks, drawn, active, entries=self.topology.entries, without=without)

    def _blocks(
        self, drawn: Requests, active: Sequence[Active]
    ) -> tuple[list[Block], dict[int, list[tuple[NDArray[np.int64], NDArray[np.bool_]]]]]:
        """Run every template with the faults; then without each of them, and without all, for what they cost."""
        blocks: list[Block] = []
        without: dict[int, list[tuple[NDArray[np.int64], NDArray[np.bool_]]]] = {
            -1: [],
            **{a.number: [] for a in active},
        }
        offset = 0
        for number, entry in enumerate(self.topology.entries):
            mine = np.flatnonzero(drawn.entry == number)
            template = Template(entry, self.topology, active)
            draws = Draws(self.seed, len(mine))

            def timed(
                some: Sequence[Active],
                template: Template = template,
                draws: Draws = draws,
                mine: NDArray[np.int64] = mine,
            ) -> Timing:
                timing = Timing(
                    template,
                    draws,
                    some,
                    touched={a.number: drawn.touched[a.number][mine] for a in some},
                    strength={a.number: drawn.strength[a.number][mine] for a in some if a.number in drawn.strength},
                    begin=drawn.begin[mine],
                )
                timing.run()
                return timing

            timing = timed(active)
            blocks.append(Block.of(timing, mine, offset, active))
            offset += len(template.nodes)
            here = [a for a in active if template.concerns(a.fault)]
            known = {tuple(here): (timing.end[0] - timing.start[0], timing.outcome.failed)}
            for left_out, results in without.items():
                others = tuple(a for a in here if left_out not in (-1, a.number))
                if others not in known:
                    other = timed(others)
                    known[others] = (other.end[0] - other.start[0], other.outcome.failed)
                results.append(known[others])
        return blocks, without

    def _requests(self, count: int, rate: float, start: int, active: Sequence[Active]) -> Requests:
        """Draw who asks for what and when; the requests that a fault adds come last, so that the others stay as they are."""
        entries = self.topology.entries
        shares = np.cumsum([e.weight for e in entries])
        draws = Draws(self.seed, count)
        arrival = np.cumsum(-np.log1p(-draws.uniform("arrival"))) / rate
        length_s = count / rate if count else 1.0
        at = np.minimum(arrival / length_s, 1.0)
        entry = np.searchsorted(shares, draws.uniform("entry") * shares[-1], side="right")
        more = [self._more(a, entry, at, length_s) for a in active if isinstance(a.fault, FastFailures)]
        extra_of = np.concatenate([np.full(count, -1), *(np.full(len(e), n) for n, e, _ in more)])
        at = np.concatenate([at, *(places for _, _, places in more)])
        arrival = np.concatenate([arrival, *(places * count / rate for _, _, places in more)])
        entry = np.concatenate([entry, *(e for _, e, _ in more)])
        begin = start + np.rint(arrival * 1e9).astype(np.int64)
        draws = Draws(self.seed, len(begin))
        touched, strength, window = {}, {}, {}
        for each in active:
            window[each.number] = tuple(start + round(p * length_s * 1e9) for p in each.fault.window(length_s))
            strong = each.fault.strength(at, length_s)
            coin = each.fault.coin(draws.uniform(f"fault {each.number}"), strong) & (extra_of < 0)
            touched[each.number] = coin | (extra_of == each.number)
            if each.fault.weakens and each.fault.fade_s:
                strength[each.number] = strong
        key = mixed(np.arange(len(begin), dtype=np.uint64) + mixed(np.array([self.seed % 2**64], np.uint64)))
        tenants = np.minimum(np.floor(8 * draws.uniform("tenant") ** 2), 7).astype(np.int64)
        variants = (draws.uniform("variant") < 0.5).astype(np.int64)
        pod, clock = self._pods(draws, active, touched, strength)
        return Requests(
            entry,
            begin,
            key,
            mixed(~key),
            extra_of >= 0,
            touched,
            strength,
            window,
            coded(tenants, _TENANTS),
            coded(variants, ["control", "treatment"]),
            pod,
            clock,
        )

    def _more(
        self, each: Active, entry: NDArray[np.int64], at: NDArray[np.float64], length_s: float
    ) -> tuple[int, NDArray[np.int64], NDArray[np.float64]]:
        fault = each.fault
        assert isinstance(fault, FastFailures)
        number = [e.key for e in self.topology.entries].index(fault.operation)
        low, high, faded = fault.window(length_s)
        count = round((fault.traffic - 1) * float(fault.strength(at, length_s)[entry == number].sum()))
        high, fading = min(high, 1.0), faded - high
        tail = (
            fading * (1 - max(0.0, 1 - (1 - high) / fading) ** 2) / 2 if fading > 0 else 0.0
        )  # what the run sees of it
        places = Draws(self.seed, count).uniform(f"more {each.number}") * (high - low + tail)
        over = places > high - low
        later = np.sqrt(np.maximum(1 - 2 * (places[over] - (high - low)) / fading, 0)) if fading > 0 else 0
        places += low
        places[over] = high + fading * (1 - later)
        return each.number, np.full(count, number), places

    def _pods(
        self,
        draws: Draws,
        active: Sequence[Active],
        touched: dict[int, NDArray[np.bool_]],
        strength: dict[int, NDArray[np.float64]],
    ) -> tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.int64]]]:
        stream = np.random.Generator(np.random.PCG64([self.seed, text_number("clocks")]))
        hosts = np.clip(stream.standard_normal(HOSTS) * self.clock_skew_ms, -_MOST_SKEW, _MOST_SKEW)
        pod, clock = {}, {}
        for service in self.topology.services.values():
            if service.is_leaf:
                continue
            pod[service.name] = np.floor(draws.uniform(f"pod {service.name}") * service.replicas).astype(np.int64)
            offsets = np.array([hosts[host_of(service.name, r)] for r in range(service.replicas)])
            ms = offsets[pod[service.name]]
            for each in active:
                if isinstance(each.fault, ClockSkew) and each.fault.service == service.name:
                    ms = ms + np.where(touched[each.number], each.fault.ms * strength.get(each.number, 1.0), 0.0)
            clock[service.name] = np.rint(ms * 1e6).astype(np.int64)
        return pod, clock

    def logs(self, spans: pd.DataFrame) -> pd.DataFrame:
        """Return the lines that the services would have logged; see :func:`traceanalytics.simulate.log_lines.log_lines`."""
        return log_lines(spans)


def _whole(option: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise OptionError(f"{option}={value!r}: expected an integer of at least 0")
    return int(value)
