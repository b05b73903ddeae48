"""One HTML file that shows a widget without a kernel and without a network.

Everything lies in the file. Its content-security policy allows the one script and the one style sheet that stand in it, by
their hashes, and nothing else: no request, no form, no frame, no script of a name or an attribute.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from traceanalytics.analysis.trace_rows import plain
from traceanalytics.widgets.linking import link

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PageParts", "framed", "page"]

_DEFAULT: Final = re.compile(r"^export default ", re.MULTILINE)
_CLOSING: Final = re.compile(r"</(?=script)|<!--", re.IGNORECASE)
_STYLE: Final = """
:root { color-scheme: light dark; }
:root.light { color-scheme: light; }
:root.dark { color-scheme: dark; }
body { margin: 8px; background: Canvas; color: CanvasText; font: 13px system-ui, sans-serif; }
.note { margin: 6px 2px 0; opacity: 0.75; }
"""
_PAGE: Final = """<!DOCTYPE html>
<html lang="en" class="{theme}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript>This page draws a trace with JavaScript, which is switched off.</noscript>
<div id="widget"></div>
{note}
<script type="application/json" id="traceanalytics-state">{state}</script>
<script type="module">{script}</script>
</body>
</html>
"""


class PageParts(NamedTuple):
    """What a page is made of."""

    title: str
    module: str
    """The widget's linked module, with ``export default``."""
    css: str
    state: Mapping[str, Any]
    """Traits that are JSON."""
    columns: Mapping[str, bytes]
    """Traits that are bytes."""
    details: bytes
    """JSON of the spans' details."""
    note: str = ""
    """A line below the widget."""
    theme: str = "auto"


def page(parts: PageParts) -> str:
    """Return the text of the page; it is ASCII but for the title, the note and our own files.

    The same parts make the same text.
    """
    host = _DEFAULT.sub("", link("standalone.js")).replace(
        "export async function startPage", "async function startPage"
    )
    module, found = _DEFAULT.subn("const exportedWidget = ", parts.module)
    if found != 1:
        raise ValueError(f"the module has {found} default exports, expected one")
    script = _script_text(f"\n{module}\n{host}\nawait startPage(exportedWidget);\n")
    style = _style_text(_STYLE + parts.css)
    state = {
        "state": dict(parts.state),
        "columns": {name: _base64(_zipped(value)) for name, value in parts.columns.items()},
        "zipped": {"_details": _base64(_zipped(parts.details))} if parts.details else {},
    }
    return _PAGE.format(
        theme=parts.theme if parts.theme in ("light", "dark") else "auto",
        policy=_policy(script, style),
        title=html.escape(plain(parts.title)),
        style=style,
        note=f'<p class="note">{html.escape(plain(parts.note))}</p>' if parts.note else "",
        state=_json_text(state),
        script=script,
    )


def framed(text: str, height: int) -> str:
    """Return a frame for a notebook's output that shows a page; the page may run its script, and reach nothing around it."""
    return (
        f'<iframe sandbox="allow-scripts" srcdoc="{html.escape(text, quote=True)}" width="100%" height="{height:d}" '
        'style="border:0" title="trace"></iframe>'
    )


def _policy(script: str, style: str) -> str:
    return f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; base-uri 'none'; form-action 'none'"


def _source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _script_text(text: str) -> str:
    r"""Return a script without what would end its element: in strings and patterns ``<\/`` means ``</``."""
    return _CLOSING.sub(lambda found: found[0][0] + "\\" + found[0][1:], text)


def _style_text(text: str) -> str:
    if "</" in text or "<!--" in text:
        raise ValueError("a style sheet holds '</' or '<!--', which would end its element")
    return text


def _json_text(value: object) -> str:
    r"""Return JSON that cannot end its element: ``<`` is written ``\u003c``, and so is all beyond ASCII."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _zipped(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=6, mtime=0)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
