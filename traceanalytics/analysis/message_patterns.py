"""Messages without their particulars: what differs from one occurrence of an error to the next is masked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import pandas as pd

from traceanalytics.spans.columns import text_array

__all__ = ["message_patterns"]

_LONGEST: Final = 1000
"""Messages are cut to this many characters: beyond it stand dumps, not messages."""

_BEFORE: Final = r"(^|[\s(\[{=:,;<>])"
_MASKS: Final = (
    (r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'<>)\]}]+", "<url>"),
    (_BEFORE + r"'(?:[^'\\\n]|\\.)*'", r"\1<text>"),  # not the apostrophe of "can't"
    (r'"(?:[^"\\\n]|\\.)*"', "<text>"),
    (r"`[^`\n]*`", "<text>"),
    (r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b", "<id>"),
    (_BEFORE + r"(?:~|\.{1,2})?/[^\s\"'<>()\[\]{},;:=|]+", r"\1<path>"),
    (r"\b[a-zA-Z]:\\[^\s\"'<>()\[\],;|]+", "<path>"),
    # A hash or an address is a number too: some of them happen to have no letter.
    (r"\b(?:0[xX][0-9a-fA-F]+|[0-9a-fA-F]{8,}|\d+(?:[.,:]\d+)*(?:[eE][-+]?\d+)?)", "<number>"),
    (r"\s+", " "),
)
"""Patterns of RE2 and what stands in place of a match, in this order."""


def message_patterns(messages: pd.Series) -> pa.LargeStringArray:
    """Return the messages with URLs, quoted texts, UUIDs, paths and numbers (hexadecimal ones too) masked.

    >>> import pandas as pd
    >>> message_patterns(pd.Series(["user 'ann' (id 0x7f) not in /srv/a.db after 3.5s", None])).to_pylist()
    ['user <text> (id <number>) not in <path> after <number>s', None]
    """
    texts = pc.utf8_slice_codeunits(text_array(messages), 0, _LONGEST)
    words = texts.dictionary_encode()
    labels = words.dictionary
    for pattern, mask in _MASKS:
        labels = pc.replace_substring_regex(labels, pattern, mask)
    return pc.utf8_trim_whitespace(labels).take(words.indices)
