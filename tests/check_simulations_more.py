"""Checks of completeness, truncation and representativeness under their hypothesis, and with a known fault: p-values to be counted.

``CHECKS``: name -> function of a random generator that draws data with nothing wrong and returns the p-value. ``POWER``: name ->
such a function for data with a fault, and the share of p-values below .05 that is to be expected (at least, within three
standard errors). Statistics of whole numbers are conservative: ``DISCRETE`` names those that may stay below .02.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

import traceanalytics as ta
from traceanalytics.sampling.completeness_checks import orphan_test
from traceanalytics.sampling.rao_scott import mix_test, shares_of
from traceanalytics.sampling.truncation_check import fisher_greater, pile_up
from traceanalytics.topology.forest import Forest

TRACES = 1000
RATES = (0.5, 0.2, 0.1)


class Traffic(NamedTuple):
    """Complete traffic of the shop as arrays; ``services``, ``roots`` and ``deciles`` are counts of traces by group."""

    services: np.ndarray
    roots: np.ndarray
    deciles: np.ndarray
    child_trace: np.ndarray
    child_service: np.ndarray
    parent_service: np.ndarray
    names: list


@functools.cache
def traffic(requests=4000):
    spans = ta.simulate.Shop(seed=11).run(requests)[0]
    forest = Forest(spans)
    service = spans["service"].cat.codes.to_numpy().astype(np.intp)
    trace = forest.trace.astype(np.intp)
    ms = spans["duration_ms"].to_numpy()
    decile = np.searchsorted(np.quantile(ms, np.linspace(0.1, 0.9, 9)), ms)
    root_name = (
        spans["name"].iloc[forest.main_root].astype("str").astype("category").cat.codes.to_numpy().astype(np.intp)
    )
    child = np.flatnonzero(forest.parent >= 0)
    number = forest.n_traces
    return Traffic(
        _counts(trace, service, number),
        _counts(np.arange(number), root_name, number),
        _counts(trace, decile, number),
        trace[child],
        service[child],
        service[forest.parent[child]],
        list(spans["service"].cat.categories),
    )


def _counts(trace, group, number):
    table = np.zeros((number, int(group.max()) + 1))
    np.add.at(table, (trace, group), 1)
    return table


def _mix(counts, rng, *, method="rao_scott", n=TRACES, lost=None):
    """A sample of n traces of endless traffic like this, against its shares; ``lost``: group and share of its units."""
    expected = counts.sum(axis=0) / counts.sum()
    drawn = counts[rng.integers(len(counts), size=n)]
    if lost is not None:
        drawn[:, lost[0]] = rng.binomial(drawn[:, lost[0]].astype(int), 1 - lost[1])
    there = expected * drawn.sum() >= 5
    return mix_test(shares_of(drawn[:, there]), expected[there] / expected[there].sum(), method=method).p_value


def _service(share):
    """The service whose share of the spans is nearest."""
    counts = traffic().services
    return int(np.abs(counts.sum(axis=0) / counts.sum() - share).argmin())


def spans_by_service(rng, **options):
    return _mix(traffic().services, rng, **options)


def traces_by_root(rng):
    return _mix(traffic().roots, rng, method="plain")


def spans_by_duration(rng):
    return _mix(traffic().deciles, rng)


def consistent_orphans(rng, *, lost=0.0):
    """Services with rates of their own over the random number of each trace; ``lost``: share of spans that got lost besides."""
    data = traffic()
    p = np.resize(RATES, len(data.names))
    bits = rng.random(len(data.services))[data.child_trace]
    child, parent = p[data.child_service], p[data.parent_service]
    there = bits < child
    orphan = (bits >= parent) | (rng.random(len(bits)) < lost)
    found = orphan_test(
        data.child_trace[there],
        np.zeros(there.sum(), np.intp),
        orphan[there],
        np.maximum(child / parent, 1)[there] - 1,
        1,
    )
    return float(found.p_value[0])


def cut_traces(rng, *, extra=0.0, n=2000, long=0.05, usual=0.05):
    """Incomplete traces among those as long as the wait; ``extra``: share of the long ones that were cut."""
    of_long = rng.random(n) < long
    odd = (rng.random(n) < usual) | (of_long & (rng.random(n) < extra))
    return fisher_greater(int((odd & of_long).sum()), int(odd.sum()), int(of_long.sum()), n)


def extents_around_the_wait(rng, *, cut=False, wait=10.0):
    extents = rng.lognormal(np.log(wait), 1, 2000)
    return pile_up(np.where(cut & (extents > wait), 0.5, extents), wait)[2]


CHECKS = {
    "completeness, consistent rates": consistent_orphans,
    "truncation": cut_traces,
    "extents below the wait": extents_around_the_wait,
    "representativeness, spans by service": spans_by_service,
    "representativeness, traces by root": traces_by_root,
    "representativeness, spans by duration": spans_by_duration,
}

DISCRETE = {"truncation", "extents below the wait"}

POWER = {
    "completeness, 5 % lost beside the design": (lambda rng: consistent_orphans(rng, lost=0.05), 0.9),
    "truncation, 20 % of the long traces cut": (lambda rng: cut_traces(rng, extra=0.2), 0.99),
    "extents cut at the wait": (lambda rng: extents_around_the_wait(rng, cut=True), 0.9),
    "representativeness, a service loses half, 300 traces": (
        lambda rng: spans_by_service(rng, n=300, lost=(_service(0.08), 0.5)),
        0.5,
    ),
    "representativeness, a service loses half, 1000 traces": (
        lambda rng: spans_by_service(rng, n=1000, lost=(_service(0.08), 0.5)),
        0.95,
    ),
}
