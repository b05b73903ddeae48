"""Texts that every file of a graph takes."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["xml_text"]

_NOT_IN_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def xml_text(text: str) -> str:
    r"""Return the text with the replacement character for what GraphML, being XML, cannot hold.

    >>> xml_text("a\x00b") == "a\N{REPLACEMENT CHARACTER}b"
    True
    """
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
