"""Colours of every picture: a palette that colour-blind people can tell apart, and the colours that mean something."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from matplotlib import colors

from traceanalytics.config import options
from traceanalytics.errors import OptionError, check_option

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "DARK",
    "LIGHT",
    "NO_SERVICE",
    "PALETTE",
    "Theme",
    "letters_on",
    "mixed",
    "service_color",
    "service_patterns",
    "theme_named",
]

PALETTE: Final = (
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#0072b2",
    "#cc79a7",
    "#676000",
    "#ded887",
    "#782d5a",
    "#9c9645",
    "#9adbbe",
    "#005182",
    "#8d5e77",
    "#aa7400",
    "#f8a1d1",
    "#74b499",
    "#efb65b",
)
"""Hues of Okabe and Ito (2008) without vermilion, which is too close to the red of errors, and lighter and darker ones of them.

They were chosen one after the other, each as far as possible from those before it for normal sight, deuteranopia,
protanopia and tritanopia alike; the tests measure the distances.
"""

_PATTERNS: Final = ("", "////", "....", "xxxx", "----")

NO_SERVICE: Final = "#a6a6a6"
"""Spans whose service is unknown."""


class Theme(NamedTuple):
    """The colours that are not those of services."""

    background: str
    text: str
    muted: str
    """Text of second rank."""
    grid: str
    band: str
    """Every other row."""
    guide: str
    """Lines from parents to children."""
    path: str
    wait: str
    """Waiting on the critical path."""
    error: str
    edge: str
    """What fills are mixed with for the edges around them."""

    def outline(self, fill: str) -> str:
        """Return a variant of a fill for its edge, seen on the background even where the fill itself is close to it."""
        return mixed(fill, self.edge, 0.45)

    def dimmed(self, fill: str) -> str:
        """Return a pale variant of a fill, for what is not in question."""
        return mixed(fill, self.background, 0.7)


LIGHT: Final = Theme(
    background="#ffffff",
    text="#1a1a1a",
    muted="#6b6b6b",
    grid="#dedede",
    band="#f6f7f8",
    guide="#c4c8cc",
    path="#111111",
    wait="#8a8a8a",
    error="#b3001b",
    edge="#000000",
)

DARK: Final = Theme(
    background="#16181b",
    text="#eceef0",
    muted="#a2a8ae",
    grid="#363b40",
    band="#1d2023",
    guide="#555c63",
    path="#f4f5f6",
    wait="#868d94",
    error="#ff6b76",
    edge="#ffffff",
)


def theme_named(name: str) -> Theme:
    """Return the theme ``"light"`` or ``"dark"``.

    Raises
    ------
    OptionError
        There is no such theme.
    """
    check_option("theme", name, ("light", "dark"))
    return DARK if name == "dark" else LIGHT


def service_color(service: str | None) -> str:
    """Return the colour of a service as ``#rrggbb``: that of ``ta.options.service_colors``, else one that its name determines.

    The same name has the same colour in every picture and every session. There are 16 colours, so different services may
    share one; within a picture, patterns tell them apart.

    Raises
    ------
    OptionError
        ``ta.options.service_colors`` has something else than a colour for this service.

    Examples
    --------
    >>> from traceanalytics.plot.style import service_color
    >>> service_color("checkout") == service_color("checkout")
    True
    """
    if service is None:
        return NO_SERVICE
    chosen = options.service_colors.get(service)
    if chosen is None:
        return PALETTE[zlib.crc32(service.encode("utf-8", "surrogatepass")) % len(PALETTE)]
    if not colors.is_color_like(chosen):
        raise OptionError(
            f"ta.options.service_colors[{service!r}] is {chosen!r}, which is no colour; give a name or '#rrggbb'"
        )
    return colors.to_hex(chosen)


def service_patterns(services: Iterable[str | None]) -> dict[str | None, str]:
    """Return a hatching for each service of a picture: none for the first by name of each colour, others for the further ones.

    >>> service_patterns(["cart", "redis", "web"])
    {'cart': '', 'redis': '////', 'web': ''}
    """
    found: dict[str | None, str] = {}
    seen: Counter[str] = Counter()
    for service in sorted(set(services), key=lambda name: (name is None, name or "")):
        color = service_color(service)
        found[service] = _PATTERNS[seen[color] % len(_PATTERNS)]
        seen[color] += 1
    return found


def letters_on(fill: str) -> str:
    """Return black or white, whichever is read better on a fill.

    >>> letters_on("#ded887"), letters_on("#005182")
    ('#000000', '#ffffff')
    """
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colors.to_rgb(fill))
    luminance = sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#000000" if luminance > 0.179 else "#ffffff"  # where both have the same contrast (WCAG 2)


def mixed(color: str, other: str, share: float) -> str:
    """Return a colour with a share of another one mixed in.

    >>> mixed("#ff0000", "#ffffff", 0.5)
    '#ff8080'
    """
    pairs = zip(colors.to_rgb(color), colors.to_rgb(other), strict=True)
    return colors.to_hex(tuple(a * (1 - share) + b * share for a, b in pairs))  # type: ignore[arg-type]
