"""How failures came up to the user: from the request that failed down to the span to blame."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from traceanalytics.analysis.error_attribution import attribute_errors
from traceanalytics.analysis.trace_rows import NO_NAME, counted, plain
from traceanalytics.errors import OptionError
from traceanalytics.plot.chart import check_title, write_empty, write_title
from traceanalytics.plot.graph_marks import EdgeMark, NodeMark, draw_graph
from traceanalytics.plot.style import service_color, theme_named

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from traceanalytics.weights import Weights

__all__ = ["error_chains"]

_TOP: Final = 0.75

Visit = tuple[str | None, str]
"""Service and name of the first span of a chain in it."""


class _Chain(NamedTuple):
    """One way of failing."""

    visits: tuple[Visit, ...]
    cause: str
    requests: float
    evidence: str
    """Of the commonest kind."""


def error_chains(
    spans: pd.DataFrame,
    *,
    max_chains: int = 12,
    weights: Weights = None,
    ax: Axes | None = None,
    title: str | None = None,
    theme: Literal["light", "dark"] = "light",
) -> Axes:
    """Draw through which services failures came up to the user: failed requests on the left, what is to blame on the right.

    A box is a visit to a service, named by the span that came in; the thicker an arrow, the more failed requests went through
    it. Red boxes are to blame, and say for how many requests, with what cause and on what evidence.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Select whole traces.
    max_chains
        Different ways of failing to show, those of most requests, 1 or more; the note says what is left out.
    weights
        Sampling weights: the name of a column, or a Series on the frame's index.
    ax
        Axes to draw on; without it, a figure is made that grows with the chains.
    title
        In place of how many requests failed; ``""`` for none.
    theme
        ``"dark"``: light letters on a dark figure.

    Returns
    -------
    matplotlib.axes.Axes
        Inches on both axes.

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is unusable.
    OptionError
        An option is not one of those allowed.

    See Also
    --------
    traceanalytics.attribute_errors : The same as a table, one row a failed request.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2"], "parent_span_id": [None, "b1"],
    ...     "name": ["checkout", "stock"], "service": ["web", "cart"], "start_time": t, "duration_ms": [100.0, 40.0],
    ...     "status": "ERROR"}))
    >>> ta.plot.error_chains(spans).get_title(loc="left")
    '1 failed request · 1 way of failing'
    """
    if type(max_chains) is not int or max_chains < 1:
        raise OptionError(f"max_chains={max_chains!r} is no number of chains; give 1 or more")
    check_title(title)
    colors = theme_named(theme)
    chains = _chains(spans, weights)
    shown, more = chains[:max_chains], chains[max_chains:]
    through: dict[tuple[Visit, ...], float] = {}
    blamed: dict[tuple[Visit, ...], list[_Chain]] = {}
    for chain in shown:
        for length in range(1, len(chain.visits) + 1):
            through[chain.visits[:length]] = through.get(chain.visits[:length], 0.0) + chain.requests
        blamed.setdefault(chain.visits, []).append(chain)
    place = {prefix: at for at, prefix in enumerate(through)}
    most = max(through.values(), default=1.0)
    nodes = [_node(prefix, requests, blamed.get(prefix, [])) for prefix, requests in through.items()]
    edges = [
        EdgeMark(place[prefix[:-1]], at, 0.8 + 4.2 * (through[prefix] / most) ** 0.5, colors.error if prefix in blamed else colors.guide)
        for prefix, at in place.items()
        if len(prefix) > 1
    ]  # fmt: skip
    ax = draw_graph(nodes, edges, ax=ax, top=_TOP, theme=colors)
    if not chains:
        write_empty(ax, "no request failed" if len(spans) else "no spans", theme=colors)
    failed = round(sum(chain.requests for chain in chains))
    text = f"{counted(failed, 'failed request')} · {len(chains):,} {'way' if len(chains) == 1 else 'ways'} of failing"
    left_out = sum(chain.requests for chain in more)
    note = f"{counted(len(more), 'rarer way')} of {counted(round(left_out), 'request')} left out" if more else ""
    write_title(ax, text if title is None else title, note, theme=colors)
    return ax


def _chains(spans: pd.DataFrame, weights: Weights) -> list[_Chain]:
    """Return the different chains, those of most requests first."""
    failures = attribute_errors(spans, weights=weights)
    place = {key: at for at, key in enumerate(zip(spans["trace_id"].tolist(), spans["span_id"].tolist(), strict=True))}
    services, names = spans["service"].astype("object").tolist(), spans["name"].astype("object").tolist()
    requests: dict[tuple[tuple[Visit, ...], str], float] = {}
    evidence: dict[tuple[tuple[Visit, ...], str], dict[str, float]] = {}
    for trace_id, cause, chain, text, weight in zip(
        failures.index, failures["cause"], failures["chain"], failures["evidence"], failures["requests"], strict=True
    ):
        visits: list[Visit] = []
        for span_id in json.loads(chain):
            at = place[trace_id, span_id]
            service = services[at] if isinstance(services[at], str) else None
            if not visits or visits[-1][0] != service:
                visits.append((service, names[at] if isinstance(names[at], str) else NO_NAME))
        key = (tuple(visits), str(cause))
        requests[key] = requests.get(key, 0.0) + float(weight)
        said = evidence.setdefault(key, {})
        said[str(text)] = said.get(str(text), 0.0) + float(weight)
    found = [
        _Chain(visits, cause, number, max(sorted(evidence[visits, cause]), key=evidence[visits, cause].__getitem__))
        for (visits, cause), number in requests.items()
    ]
    return sorted(found, key=lambda chain: (-chain.requests, repr(chain.visits), chain.cause))


def _node(prefix: tuple[Visit, ...], requests: float, blamed: list[_Chain]) -> NodeMark:
    service, name = prefix[-1]
    title = f"{service or '(no service)'}: {name}"
    if not blamed:
        note = f"{counted(round(requests), 'failed request')}" if len(prefix) == 1 else f"{round(requests):,} failed"
    else:
        note = " · ".join(f"! {round(chain.requests):,} by {chain.cause}: {chain.evidence}" for chain in blamed)
    return NodeMark(plain(title)[:300], plain(note)[:300], service_color(service), bool(blamed), widest=3.4)
