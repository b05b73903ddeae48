"""The service graph and the graph of one trace, drawn in layers from callers to callees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from traceanalytics.analysis.alike_peers import alike_peers_as_one
from traceanalytics.analysis.dependencies import service_graph as graph_of
from traceanalytics.analysis.trace_rows import counted, duration_text, fold, plain, trace_rows
from traceanalytics.errors import OptionError
from traceanalytics.plot.chart import check_title, write_empty, write_title
from traceanalytics.plot.graph_marks import EdgeMark, NodeMark, draw_graph
from traceanalytics.plot.style import mixed, service_color, theme_named

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from traceanalytics.plot.style import Theme
    from traceanalytics.weights import Weights

__all__ = ["service_graph", "span_graph"]

_TOP: Final = 0.75
_KINDS: Final = {"database": "database", "broker": "queue", "external": "external", "unknown": "unknown"}


def service_graph(
    spans: pd.DataFrame,
    *,
    level: Literal["service", "operation"] = "service",
    max_nodes: int = 40,
    weights: Weights = None,
    ax: Axes | None = None,
    title: str | None = None,
    theme: Literal["light", "dark"] = "light",
) -> Axes:
    """Draw what calls what: callers on the left, what they call right of them; the thicker an arrow, the more calls.

    Peers without spans that differ by numbers only and have the same callers, such as twelve shards, are one node.
    An arrow with failed calls is red, the more of them the redder, and bears their part of all calls; a node whose work failed has a
    red edge. Messages are dashed arrows. Databases, queues and peers that send no spans have dashed edges.

    Parameters
    ----------
    spans
        Span frame; any number of traces, any row order. Select whole traces.
    level
        ``"service"`` or ``"operation"``, as for :func:`traceanalytics.service_graph`, which is drawn.
    max_nodes
        Nodes to show, those with most calls, 2 or more; the note says how many are left out.
    weights
        Sampling weights: the name of a column, or a Series on the frame's index.
    ax
        Axes to draw on; without it, a figure is made that grows with the graph.
    title
        In place of how many nodes and calls there are; ``""`` for none.
    theme
        ``"dark"``: light letters on a dark figure.

    Returns
    -------
    matplotlib.axes.Axes
        Inches on both axes. The same graph has the same layout each time.

    Raises
    ------
    SchemaError
        The frame lacks a column, its index repeats a label, or a weight is unusable.
    OptionError
        An option is not one of those allowed.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2"], "parent_span_id": [None, "b1"],
    ...     "name": ["checkout", "stock"], "service": ["web", "cart"], "start_time": t, "duration_ms": [100.0, 40.0]}))
    >>> ta.plot.service_graph(spans).get_title(loc="left")
    '2 services · 1 call'
    """
    _check_nodes(max_nodes)
    check_title(title)
    colors = theme_named(theme)
    graph, members = alike_peers_as_one(graph_of(spans, level=level, merge=True, weights=weights))
    names = sorted(graph, key=lambda name: (-graph.nodes[name]["calls"], name))
    kept = sorted(names[:max_nodes])
    place = {name: at for at, name in enumerate(kept)}
    shown = [(a, b, of) for a, b, of in graph.edges(data=True) if a in place and b in place]
    most = max((of["calls"] for _, _, of in shown), default=1.0)
    nodes = [_node(name, graph.nodes[name], members.get(name, 1)) for name in kept]
    edges = [_edge((place[a], place[b]), of, most, colors) for a, b, of in shown]
    ax = draw_graph(nodes, edges, ax=ax, top=_TOP, theme=colors)
    if not nodes:
        write_empty(ax, "no spans", theme=colors)
    calls = sum(of["calls"] for _, _, of in graph.edges(data=True))
    noun = "service" if level == "service" else "operation"
    inner = sum(not of["virtual"] for _, of in graph.nodes(data=True))
    peers = sum(members.get(name, 1) for name, of in graph.nodes(data=True) if of["virtual"])
    parts = [
        counted(inner, noun),
        *([f"{counted(peers, 'peer')} without spans"] if peers else []),
        counted(round(calls), "call"),
    ]
    text = " · ".join(parts)
    note = f"{counted(len(graph) - len(kept), 'node')} with fewer calls left out" if len(graph) > len(kept) else ""
    write_title(ax, text if title is None else title, note, theme=colors)
    return ax


def span_graph(
    trace: pd.DataFrame,
    *,
    max_nodes: int = 60,
    ax: Axes | None = None,
    title: str | None = None,
    theme: Literal["light", "dark"] = "light",
) -> Axes:
    """Draw the graph of one trace: a node a span, arrows from parents to children; thick ones lie on the critical path.

    Parameters
    ----------
    trace
        Span frame of one trace: ``ta.trace(spans, trace_id)``.
    max_nodes
        Spans to show, 2 or more. Of more, errors, the critical path and the longest ones stay, with their ancestors.
    ax
        Axes to draw on; without it, a figure is made that grows with the graph.
    title
        In place of service, name, duration and counts; ``""`` for none.
    theme
        ``"dark"``: light letters on a dark figure.

    Returns
    -------
    matplotlib.axes.Axes
        Inches on both axes. Failed spans have red edges, roots besides the main one dashed ones.

    Raises
    ------
    OptionError
        The frame does not hold exactly one trace, or an option is not one of those allowed.
    SchemaError
        The frame lacks a column, or its index repeats a label.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> t = pd.Timestamp("2026-01-01", tz="UTC")
    >>> spans = ta.conform(pd.DataFrame({"trace_id": "a1", "span_id": ["b1", "b2"], "parent_span_id": [None, "b1"],
    ...     "name": ["checkout", "stock"], "service": ["web", "cart"], "start_time": t, "duration_ms": [100.0, 40.0]}))
    >>> ta.plot.span_graph(spans).get_title(loc="left")
    'web: checkout · 100 ms · 2 spans · 2 services'
    """
    _check_nodes(max_nodes)
    check_title(title)
    colors = theme_named(theme)
    rows = trace_rows(trace)
    kept, hidden = fold(rows, max_nodes)
    place = {at: number for number, at in enumerate(kept.tolist())}
    below = (
        rows.path_ns
    )  # critical time of each span and all below it, so that the path is not broken by one without any
    for at in range(len(below) - 1, 0, -1):
        if (up := int(rows.parent[at])) >= 0:
            below[up] += below[at]
    nodes = []
    for at, more in zip(kept.tolist(), hidden.tolist(), strict=True):
        failed = bool(rows.error[at])
        note = " · ".join(part for part in (rows.service[at], duration_text(float(rows.duration_ms[at]))) if part)
        note += f" · +{more:,}" if more else ""
        loose = rows.parent[at] < 0 and at != rows.main_root
        nodes.append(
            NodeMark(
                ("! " if failed else "") + rows.name[at][:200],
                note[:200],
                service_color(rows.service[at]),
                failed,
                loose,
            )
        )
    edges = []
    for at, number in place.items():
        up = int(rows.parent[at])
        if up >= 0:
            path = bool(below[at])
            edges.append(EdgeMark(place[up], number, 2.4 if path else 1.0, colors.path if path else colors.guide))
    ax = draw_graph(nodes, edges, ax=ax, top=_TOP, theme=colors)
    folded = len(rows.row) - len(kept)
    note = f"{counted(folded, 'span')} folded" if folded else ""
    write_title(ax, rows.title if title is None else title, note, theme=colors)
    return ax


def _check_nodes(max_nodes: int) -> None:
    if type(max_nodes) is not int or max_nodes < 2:
        raise OptionError(f"max_nodes={max_nodes!r} is no number of nodes; give 2 or more")


def _node(name: str, of: dict[str, Any], members: int) -> NodeMark:
    calls, errors = of["calls"], of["errors"]
    kind = _KINDS.get(of["kind"])
    parts = [] if kind is None else [kind] if members == 1 else [f"{members} like this"]
    parts.append(counted(round(calls), "call"))
    if errors:
        parts.append(f"! {errors / calls:.1%}" if calls else f"! {errors:,.0f}")
    return NodeMark(
        plain(name)[:200], " · ".join(parts), service_color(str(of["service"])), bool(errors), of["virtual"]
    )


def _edge(ends: tuple[int, int], of: dict[str, Any], most: float, theme: Theme) -> EdgeMark:
    rate = float(of.get("error_rate", 0.0))
    return EdgeMark(
        *ends,
        width=0.8 + 4.2 * float(of["calls"] / most) ** 0.5,
        color=mixed(theme.guide, theme.error, 0.45 + 0.55 * rate**0.5) if rate else theme.guide,
        note=f"! {rate:.1%}" if rate else "",
        dashed="messaging" in of["kinds"],
    )
