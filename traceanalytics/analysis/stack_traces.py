"""Stack traces as fingerprints: the innermost frames without line numbers and addresses."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from traceanalytics.spans.columns import text_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["stack_hashes"]

_TOP: Final = 5
"""So many innermost frames tell stacks apart; farther out, one fault is reached by many ways."""

_PYTHON: Final = r'^\s*File "'
_FRAMES: Final = (
    r"^\s*at \S",  # Java, JavaScript, .NET
    _PYTHON,
    r"^\s*\S+\.go:\d+",
    r"^\s*(?:from )?\S+:\d+:in ",  # Ruby
    r"^#\d+ ",  # PHP
    r"^\s*\d+: \S",  # Rust
)
_PLACES: Final = ((r"0[xX][0-9a-fA-F]+", ""), (r"\d+", ""), (r"\s+", " "))
"""Line numbers, addresses, and numbers of generated classes and lambdas."""


def stack_hashes(stacks: pd.Series) -> pd.Series:
    r"""Return 12 hexadecimal digits for each stack trace; stacks that differ in line numbers only have the same ones.

    The frames of Java, JavaScript, .NET, Python, Go, Ruby, PHP and Rust are recognised, and the innermost five count; of a
    text without any, its first five lines do. Missing and blank stacks have no hash.

    >>> made = stack_hashes(pd.Series(["E: 1\n  at a.b(C.java:7)", "E: 2\n  at a.b(C.java:9)", "E\n  at a.c(C.java:7)", None]))
    >>> made[0] == made[1], made[0] == made[2], made.isna().tolist()
    (True, False, [False, False, False, True])
    """
    words = text_array(stacks).dictionary_encode()
    distinct = _hashes(words.dictionary)
    codes = words.indices.fill_null(-1).to_numpy()
    return pd.Series(pd.array([*distinct, None], dtype="str").take(codes), index=stacks.index)


def _hashes(stacks: Any) -> list[str | None]:
    """Work line by line, each different line once: many stacks share few frames."""
    lines = pc.split_pattern(stacks, "\n")
    owner = np.repeat(np.arange(len(stacks)), pc.list_value_length(lines).to_numpy())
    words = pc.list_flatten(lines).dictionary_encode()
    line, labels = words.indices.to_numpy(), words.dictionary
    framed, python, blank = (_like(labels, pattern)[line] for pattern in ("|".join(_FRAMES), _PYTHON, r"^\s*$"))
    has_frames = np.bincount(owner[framed], minlength=len(stacks)) > 0
    kept = np.where(has_frames[owner], framed, ~blank)
    innermost_last = np.bincount(owner[python], minlength=len(stacks)) > 0
    owner, line = owner[kept], line[kept]
    count = np.bincount(owner, minlength=len(stacks))
    rank = np.arange(len(owner)) - (np.cumsum(count) - count)[owner]
    rank = np.where(innermost_last[owner], count[owner] - 1 - rank, rank)
    top = rank < _TOP
    for pattern, mask in _PLACES:
        labels = pc.replace_substring_regex(labels, pattern, mask)
    frames = pc.utf8_trim_whitespace(labels).dictionary_encode()
    table = np.full((len(stacks), _TOP), -1)
    table[owner[top], rank[top]] = frames.indices.to_numpy()[line[top]]
    return _digests(table, frames.dictionary)


def _digests(table: NDArray[np.int64], frames: Any) -> list[str | None]:
    if not len(table):
        return []
    distinct, which = np.unique(table, axis=0, return_inverse=True)
    made = [_digest([frames[at].as_py() for at in row if at >= 0]) for row in distinct.tolist()]
    return [made[at] for at in which.ravel().tolist()]


def _digest(frames: list[str]) -> str | None:
    return hashlib.sha256("\n".join(frames).encode("utf-8", "replace")).hexdigest()[:12] if frames else None


def _like(labels: pa.LargeStringArray, pattern: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.match_substring_regex(labels, pattern).to_numpy(zero_copy_only=False)
    return found
