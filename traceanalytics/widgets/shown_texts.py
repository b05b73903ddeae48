"""Texts as they are shown: one line, harmless, and not longer than anyone reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from traceanalytics.analysis.trace_rows import plain
from traceanalytics.spans.columns import codes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOST_LETTERS", "coded_texts", "drawable", "shown_text"]

MOST_LETTERS: Final = 500
"""Longer names are cut."""


def shown_text(text: object) -> str:
    """Return a text made plain, and cut where it is longer than anyone reads in one line.

    >>> len(shown_text("x" * 10_000))
    500
    """
    made = plain(str(text)[: 4 * MOST_LETTERS])
    return made if len(made) <= MOST_LETTERS else f"{made[: MOST_LETTERS - 1]}…"


def coded_texts(column: pd.Series, at: NDArray[np.int64], missing: str | None) -> tuple[NDArray[np.int64], list[str]]:
    """Return the number of each row's text and the texts, made plain; no text is listed that no row has.

    What is missing or empty has the text ``missing`` if that is given, else the number -1.
    """
    codes, labels = codes_of(column)
    codes = codes[at]
    used = np.flatnonzero(np.bincount(codes + 1, minlength=len(labels) + 1)[1:])
    texts = [shown_text(label) for label in labels.take(used)]
    number = np.full(len(labels) + 1, -1, dtype=np.int64)
    number[used] = np.arange(len(used))
    if missing is None:
        return number[codes], [text or "(empty)" for text in texts]
    texts = [text or missing for text in texts]
    found = number[codes]
    if (found < 0).any():
        found[found < 0] = len(texts)
        texts.append(missing)
    return found, texts


def drawable(spans: pd.DataFrame, *, readable_events: bool) -> pd.DataFrame:
    """Return the spans for a picture, with what the live view forgives too: texts are cut, unreadable events left out."""
    if not readable_events:
        spans = spans.assign(events=pd.array([None] * len(spans), dtype="str"))
    for name in ("trace_id", "name", "service"):
        codes, labels = codes_of(spans[name])
        if any(len(str(label)) > MOST_LETTERS for label in labels):
            texts = np.array([*map(shown_text, labels), None], dtype=object)
            spans = spans.assign(**{name: pd.Categorical(texts[codes])})
    return spans
