"""Ids as sources spell them; the values of spans stand in :mod:`traceanalytics.spans.values` and are passed on from here."""

from __future__ import annotations

import base64
import binascii
import functools
import re
from typing import Final

from traceanalytics.errors import FormatError
from traceanalytics.spans.values import (
    INT64_MAX,
    INT64_MIN,
    check_int64,
    flat_value,
    kind_code,
    natural,
    shown,
    status_code,
)

__all__ = [
    "INT64_MAX",
    "INT64_MIN",
    "check_int64",
    "flat_value",
    "hex_or_base64",
    "kind_code",
    "natural",
    "padded_id",
    "shown",
    "status_code",
]

_HEX: Final = re.compile(r"[0-9a-fA-F]+\Z")


@functools.lru_cache(maxsize=65_536)
def hex_or_base64(text: str, digits: int, what: str) -> str | None:
    """Return an id as lower-case hex digits from hex or base64 (the length decides); None for an empty or all-zero id."""
    if not text:
        return None
    if len(text) == digits and _HEX.match(text):
        value = text.lower()
    else:
        value = _from_base64(text, digits // 2)
        if not value:
            raise FormatError(
                f"{what}: found {shown(text)}, expected {digits} hex digits (or base64 of {digits // 2} bytes)"
            )
    return None if not value.strip("0") else value


def _from_base64(text: str, size: int) -> str:
    try:
        raw = base64.b64decode(
            text + "=" * (-len(text) % 4), altchars=b"-_" if "-" in text or "_" in text else None, validate=True
        )
    except (binascii.Error, ValueError):
        return ""
    return raw.hex() if len(raw) == size else ""


@functools.lru_cache(maxsize=65_536)
def padded_id(text: str, digits: int) -> str | None:
    """Return an id of a source that shortens ids: hex is padded on the left, anything else stays as it is.

    >>> padded_id("ABC", 16), padded_id("0", 16), padded_id("|a.b.", 16)
    ('0000000000000abc', None, '|a.b.')
    """
    text = text.strip()
    if not _HEX.match(text):
        return text or None
    if not text.strip("0"):
        return None
    short = text.lstrip("0") if len(text) > digits else text
    return short.lower().rjust(digits, "0")
