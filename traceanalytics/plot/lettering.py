"""Texts in pictures: their widths before anything is drawn, cut to fit, without characters that the font lacks."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import get_hinting_flag
from matplotlib.font_manager import FontProperties, findfont, get_font

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font, LoadFlags

__all__ = ["Lettering"]

_SUBSTITUTES = "□?"
_RESOLUTIONS = (100, 150)
"""Dots an inch of a figure as it is made, and as a notebook shows it."""
_ROUNDING = 1e-9
_FINE = 7_200
"""Dots an inch at which rounding to whole dots means nothing, as in a PDF."""


class Lettering:
    """Texts of one size in the default font, which is that of ``matplotlib.rcParams`` with its fallbacks.

    Widths are sums of the characters' own, so nothing is laid out and no missing character is warned of. Small letters are
    rounded to whole dots when they are drawn; a text is as wide here as at that resolution of :data:`_RESOLUTIONS` at which it
    is widest.
    """

    def __init__(self, size: float, *, weight: str = "normal") -> None:
        self.size = size
        self.weight = weight
        self._advances = _advances(tuple(_files(weight)), size, get_hinting_flag())  # type: ignore[no-untyped-call]

    def clean(self, text: str) -> str:
        """Return the text with a box in place of each character that no font has."""
        known = self._advances
        return "".join(c if c in known else known.substitute for c in text)

    def width(self, text: str) -> float:
        """Return the width of a clean text in inches."""
        return max(map(sum, zip(*(self._advances[c] for c in text), strict=True)), default=0.0)

    def cut(self, text: str, inches: float) -> str:
        """Return a clean text cut to a width, with an ellipsis where something is missing."""
        room = [inches] * (len(_RESOLUTIONS) + 1)
        fits = len(text)
        for at, character in enumerate(text):
            room = [left - wide for left, wide in zip(room, self._advances[character], strict=True)]
            if min(room) < -_ROUNDING:
                fits = at
                break
        if fits == len(text):
            return text
        while fits and self.width(text[:fits] + "…") > inches:
            fits -= 1
        return text[:fits].rstrip() + "…" if fits else ""


class _Advances(dict[str, tuple[float, ...]]):
    """Advance widths in inches by character, one a resolution, filled as they are asked for; what no font has is not in it."""

    def __init__(self, fonts: list[FT2Font], size: float, hinting: LoadFlags) -> None:
        super().__init__()
        self._fonts = fonts
        self._size = size
        self._hinting = hinting
        self._known = [font.get_charmap() for font in fonts]
        self.substitute = next((c for c in _SUBSTITUTES if c in self), "")

    def __contains__(self, character: object) -> bool:
        return isinstance(character, str) and any(ord(character) in known for known in self._known)

    def __missing__(self, character: str) -> tuple[float, ...]:
        found: tuple[float, ...] = (0.0,) * (len(_RESOLUTIONS) + 1)
        for font, known in zip(self._fonts, self._known, strict=True):
            if ord(character) in known:
                found = tuple(self._advance(font, ord(character), dpi) for dpi in (*_RESOLUTIONS, _FINE))
                break
        self[character] = found
        return found

    def _advance(self, font: FT2Font, code: int, dpi: int) -> float:
        font.set_size(self._size, dpi)
        return font.load_char(code, self._hinting).horiAdvance / 64 / dpi


@functools.lru_cache(maxsize=64)
def _advances(files: tuple[str, ...], size: float, hinting: LoadFlags) -> _Advances:
    return _Advances([get_font(file) for file in files], size, hinting)


def _files(weight: str) -> list[str]:
    """Return the files of the fonts that matplotlib would choose, in its order of fallbacks."""
    wanted = FontProperties(weight=weight)
    found = []
    for family in wanted.get_family():
        try:
            file = findfont(FontProperties(family=[family], weight=weight), fallback_to_default=False)
        except ValueError:
            continue
        if file not in found:
            found.append(str(file))
    return found or [str(findfont(wanted))]
