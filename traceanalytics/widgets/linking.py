"""ES modules of our own joined into one text, so that a widget has one module that imports nothing."""

from __future__ import annotations

import base64
import functools
import gzip
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["STATIC", "compressed", "link", "read_static"]

STATIC: Final = files("traceanalytics.widgets") / "static"

_IMPORT: Final = re.compile(r'^import\s+\{[^}]*\}\s+from\s+"\./([\w.-]+)";[ \t]*$', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?function\b|const\b|let\b|class\b)", re.MULTILINE)
_LEFT: Final = re.compile(r"^(?:import\b|export (?!default\b))[^\n]*", re.MULTILINE)
_LOADER: Final = """\
const packed = Uint8Array.from(atob("PACKED"), (character) => character.charCodeAt(0));
const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
const text = await new Response(unpacked).text();
const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
const widget = await import(address);
URL.revokeObjectURL(address);
export default widget.default;
"""


def link(entry: str, folder: Traversable = STATIC) -> str:
    """Return an ES module and all that it imports as the text of one module.

    Imports have the form ``import { a, b } from "./name.js";``; they are dropped, and so is ``export`` in all but the entry.
    Dependencies come first. Names at the top level are to be unique over all modules: a browser refuses the text otherwise.

    Raises
    ------
    ValueError
        An import or export has another form, or modules import each other in a ring.
    """
    done: dict[str, str] = {}
    _visit(entry, folder, done, ())
    return "\n".join(done.values())


def compressed(module: str) -> str:
    """Return a small module that unpacks another one and is what that one is, since the text travels with every widget.

    It asks nobody for anything: the text is in it, and the address that it is loaded from lies in the page itself.
    """
    packed = base64.b64encode(gzip.compress(module.encode("utf-8"), mtime=0)).decode("ascii")
    return _LOADER.replace("PACKED", packed)


def _visit(name: str, folder: Traversable, done: dict[str, str], above: tuple[str, ...]) -> None:
    if name in above:
        raise ValueError(f"{' -> '.join((*above, name))}: modules import each other in a ring")
    if name in done:
        return
    text = (folder / name).read_text(encoding="utf-8")
    for needed in _IMPORT.findall(text):
        _visit(needed, folder, done, (*above, name))
    text = _IMPORT.sub("", text)
    if above:
        text = _EXPORT.sub("", text)
    if left := _LEFT.search(text if above else _EXPORT.sub("", text)):
        raise ValueError(
            f'{name}: {left[0]!r} is none of `import {{ a, b }} from "./file.js";` and `export function ...`'
        )
    done[name] = text.strip("\n")


@functools.cache
def read_static(name: str) -> str:
    """Return the text of a file of the front end."""
    return (STATIC / name).read_text(encoding="utf-8")
