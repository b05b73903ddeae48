"""What every parser of a header answers with: the value or the reasons why there is none; and the reading of text or bytes."""

from __future__ import annotations

import re
from typing import Final, Generic, NamedTuple, TypeVar

from traceanalytics.errors import OptionError

__all__ = ["Parsed", "Problem", "rejected", "shown", "text_of"]

T = TypeVar("T")

_SHOWN: Final = 40
_UNPRINTABLE: Final = re.compile(r"[^\t -~]")


class Problem(NamedTuple):
    """Why a header is rejected.

    ``code`` is a word for programs, such as ``length`` or ``trace_id``; ``reason`` is a sentence for people.
    """

    code: str
    reason: str


class Parsed(NamedTuple, Generic[T]):
    """The value of a header, or why it has none.

    A header is accepted as a whole or not at all: ``value`` is None whenever there is a problem.
    """

    value: T | None
    problems: tuple[Problem, ...] = ()


def rejected(code: str, reason: str) -> Parsed[T]:
    """Return an answer without a value, for one reason.

    >>> rejected("length", "54 characters, expected 55")
    Parsed(value=None, problems=(Problem(code='length', reason='54 characters, expected 55'),))
    """
    return Parsed(None, (Problem(code, reason),))


def text_of(given: str | bytes, *, limit: int) -> Parsed[str]:
    r"""Return a header's value as text without blanks around it; values that no header can hold are rejected.

    Parameters
    ----------
    given
        Text, or bytes as they came.
    limit
        Bytes that are looked at; longer values are rejected before anything else is done with them.

    Raises
    ------
    OptionError
        It is neither text nor bytes.

    Examples
    --------
    >>> text_of(b" 1-2 ", limit=10).value
    '1-2'
    >>> text_of("caf\xe9", limit=10).problems[0].reason
    "'\xe9' at offset 3 is not printable ASCII"
    """
    if not isinstance(given, str | bytes):
        raise OptionError(f"a header's value is text or bytes, and this is a {type(given).__name__}")
    if len(given) > limit:
        return rejected("size", f"{len(given):,} characters, more than {limit:,}")
    text = given.decode("latin-1") if isinstance(given, bytes) else given
    text = text.strip(" \t")
    wrong = _UNPRINTABLE.search(text)
    if wrong is not None:
        return rejected("encoding", f"{wrong.group()!r} at offset {wrong.start()} is not printable ASCII")
    return Parsed(text)


def shown(text: str) -> str:
    """Return a part of a header as a message shows it: quoted, and cut when it is long.

    >>> shown("a" * 50)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'"
    """
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
