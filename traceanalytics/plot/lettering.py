"""Texts in pictures: their widths before anything is drawn, cut to fit, without characters that the font lacks."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import LoadFlags

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

__all__ = ["Lettering"]

_SUBSTITUTES = "□?"
_SIZE = 100
_POINTS_PER_INCH = 72
_HINTING = 0.35


class Lettering:
    """Texts of one size in the default font, which is that of ``matplotlib.rcParams`` with its fallbacks.

    Widths are sums of the characters' own, so nothing is laid out and no missing character is warned of.
    """

    def __init__(self, size: float, *, weight: str = "normal") -> None:
        self.size = size
        self.weight = weight
        self._advances = _advances(tuple(_files(weight)))
        # Drawn at some 100 dots an inch, small letters are widened to whole dots.
        self._inches = (size + _HINTING) / _SIZE / _POINTS_PER_INCH

    def clean(self, text: str) -> str:
        """Return the text with a box in place of each character that no font has."""
        known = self._advances
        return "".join(c if c in known else known.substitute for c in text)

    def width(self, text: str) -> float:
        """Return the width of a clean text in inches."""
        return float(sum(self._advances[c] for c in text) * self._inches)

    def cut(self, text: str, inches: float) -> str:
        """Return a clean text cut to a width, with an ellipsis where something is missing."""
        used = 0.0
        fits = 0
        end = self.width("…")
        for at, character in enumerate(text):
            used += self._advances[character] * self._inches
            if used + end <= inches:
                fits = at + 1
            elif used > inches:
                return text[:fits].rstrip() + "…" if fits else ""
        return text


class _Advances(dict[str, float]):
    """Advance widths by character, filled as they are asked for; what no font has is not in it."""

    def __init__(self, fonts: list[FT2Font]) -> None:
        super().__init__()
        self._fonts = fonts
        self._known = [font.get_charmap() for font in fonts]
        self.substitute = next((c for c in _SUBSTITUTES if c in self), "")

    def __contains__(self, character: object) -> bool:
        return isinstance(character, str) and any(ord(character) in known for known in self._known)

    def __missing__(self, character: str) -> float:
        for font, known in zip(self._fonts, self._known, strict=True):
            if ord(character) in known:
                font.set_size(_SIZE, _POINTS_PER_INCH)
                self[character] = font.load_char(ord(character), LoadFlags.NO_HINTING).linearHoriAdvance / 65536
                return self[character]
        return 0.0


@functools.lru_cache(maxsize=8)
def _advances(files: tuple[str, ...]) -> _Advances:
    return _Advances([get_font(file) for file in files])


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
