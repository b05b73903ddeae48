"""HTML tables of frames in which trace ids are links into a tracing backend (``ta.options.trace_url``)."""

from __future__ import annotations

import html
import re
import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import pandas as pd

from traceanalytics.config import options

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["html_table", "install_formatter"]

_CELL: Final = re.compile(r"(<t[dh](?: [^<>]*)?>)([^<>]*)(</t[dh]>)")


def html_table(frame: pd.DataFrame, *, max_rows: int | None = 60) -> str:
    """Return a frame as pandas shows it in a notebook, with trace ids as links where ``ta.options.trace_url`` is set.

    Parameters
    ----------
    frame
        A span frame or any result with a column or index ``trace_id``; other frames are shown without links.
    max_rows
        Longer frames are shortened to their first and last rows, as pandas does; None: never.

    Returns
    -------
    str
        HTML: escaped, a cell or index entry that is a trace id of the frame being a link.

    Examples
    --------
    >>> import pandas as pd
    >>> import traceanalytics as ta
    >>> ta.options.trace_url = "https://jaeger.example.com/trace/{trace_id}"
    >>> "https://jaeger.example.com/trace/a1" in ta.html_table(pd.DataFrame({"trace_id": ["a1"], "duration_ms": [1.5]}))
    True
    >>> ta.options.reset()
    """
    with pd.option_context("display.max_rows", max_rows, "display.notebook_repr_html", True):
        table: str = frame._repr_html_()  # type: ignore[operator]
    return table if options.trace_url is None else _linked(table, _trace_ids(frame, max_rows), options.trace_url)


def _trace_ids(frame: pd.DataFrame, max_rows: int | None) -> frozenset[str]:
    """Return the trace ids of the rows that can be seen."""
    if max_rows is not None and len(frame) > 2 * max_rows:
        frame = frame.take([*range(max_rows), *range(len(frame) - max_rows, len(frame))])
    ids: list[Any] = []
    for at, name in enumerate(frame.columns):
        if name == "trace_id":  # a label of a MultiIndex is a tuple
            ids += frame.iloc[:, at].tolist()
    if "trace_id" in frame.index.names:
        ids += frame.index.get_level_values("trace_id").tolist()
    return frozenset(i for i in ids if isinstance(i, str) and i)


def _linked(table: str, ids: frozenset[str], url: str) -> str:
    def link(cell: re.Match[str]) -> str:
        text = html.unescape(cell[2])
        if text not in ids:
            return cell[0]
        address = url.replace("{trace_id}", quote(text, safe=""))
        return f'{cell[1]}<a href="{html.escape(address, quote=True)}" target="_blank" rel="noopener noreferrer">{cell[2]}</a>{cell[3]}'

    return _CELL.sub(link, table) if ids else table


_earlier: list[Callable[[Any], Any] | None] = [None]
"""What showed frames before our formatter was registered."""


def install_formatter(url: str | None) -> None:
    """Register (or remove, for None) the formatter that turns trace ids into links in notebooks.

    Outside of IPython nothing happens, and frames without trace ids are shown as pandas shows them.
    """
    formatter = _html_formatter()
    if formatter is None:
        return
    current = formatter.for_type(pd.DataFrame)
    if url is not None and current is not _show:
        _earlier[0] = current
        formatter.for_type(pd.DataFrame, _show)
    elif url is None and current is _show:
        formatter.pop(pd.DataFrame)
        if _earlier[0] is not None:
            formatter.for_type(pd.DataFrame, _earlier[0])


def _html_formatter() -> Any:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return None if shell is None else shell.display_formatter.formatters["text/html"]


def _show(frame: pd.DataFrame) -> str | None:
    if not pd.get_option("display.notebook_repr_html"):
        return None
    return html_table(frame, max_rows=pd.get_option("display.max_rows"))
