"""W3C ``tracestate``: the list of vendors' members, its grammar and the rules for changing it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from traceanalytics.errors import OptionError, check_option
from traceanalytics.propagation.parsed import Parsed, Problem, shown, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MOST_MEMBERS", "parse_members", "set_member", "write_members"]

MOST_MEMBERS: Final = 32
_LIMIT: Final = 65_536
"""Longer than 32 members can be, with blanks to spare."""

_KEEP: Final = 512
"""Characters that every hop must pass on."""
_LARGE: Final = 128
"""Members longer than this go first when there is no room."""

_KEYS: Final = {
    1: re.compile(r"[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}"),
    2: re.compile(r"[a-z0-9][a-z0-9_\-*/@]{0,255}"),
}
_VALUE: Final = re.compile(r"[ -+\--<>-~]{0,255}[!-+\--<>-~]")


def parse_members(text: str | bytes, *, level: int = 2) -> Parsed[dict[str, str]]:
    """Parse the list of a W3C ``tracestate``; one bad member voids the whole list.

    Parameters
    ----------
    text
        The header's value; the values of several headers are joined by commas in their order.
    level
        The W3C Trace Context level whose grammar of keys counts. Level 2 lets a key begin with a digit and hold ``@`` anywhere
        after its first character; level 1 does not.

    Returns
    -------
    Parsed
        ``value``: key to value, in their order, or None; ``problems`` with the codes ``encoding``, ``size``, ``members`` (too many),
        ``member`` (no ``=``), ``key``, ``value``, ``duplicate``.

    Raises
    ------
    OptionError
        ``level`` is neither 1 nor 2.

    Examples
    --------
    >>> parse_members("vendor=1, ,ot=th:c").value
    {'vendor': '1', 'ot': 'th:c'}
    >>> parse_members("a=1,a=2").problems
    (Problem(code='duplicate', reason="the key 'a' stands more than once"),)
    """
    check_option("level", level, _KEYS)
    read = text_of(text, limit=_LIMIT)
    if read.value is None:
        return Parsed(None, read.problems)
    members: dict[str, str] = {}
    problems: list[Problem] = []
    count = 0
    for part in read.value.split(","):
        member = part.strip(" \t")
        if not member:  # the grammar allows empty members
            continue
        count += 1
        key, equals, value = member.partition("=")
        problem = (
            Problem("member", f"the member {shown(member)} has no '='") if not equals else _problem(key, value, level)
        )
        if problem is None and key in members:
            problem = Problem("duplicate", f"the key {shown(key)} stands more than once")
        if problem is not None:
            problems.append(problem)
        else:
            members[key] = value
    if count > MOST_MEMBERS:
        problems.append(Problem("members", f"{count} members, more than {MOST_MEMBERS}"))
    return Parsed(None, tuple(problems)) if problems else Parsed(members)


def _problem(key: str, value: str, level: int) -> Problem | None:
    if not _KEYS[level].fullmatch(key):
        return Problem("key", f"{shown(key)} is no key of W3C Trace Context level {level}")
    if not _VALUE.fullmatch(value):
        return Problem(
            "value",
            f"the value {shown(value)} of {shown(key)} is not 1 to 256 printable characters without '=' and ','",
        )
    return None


def set_member(members: Mapping[str, str], key: str, value: str | None) -> dict[str, str]:
    """Return the list after a vendor changed its own member: it stands first, and a 33rd member goes from the end.

    Parameters
    ----------
    members
        Key to value, as :func:`parse_members` returns them.
    key, value
        The vendor's member; None removes it.

    Raises
    ------
    OptionError
        The key or the value is outside the grammar of level 2.

    Examples
    --------
    >>> set_member({"a": "1", "b": "2"}, "b", "3")
    {'b': '3', 'a': '1'}
    """
    others = {name: text for name, text in members.items() if name != key}
    if value is None:
        return others
    problem = _problem(key, value, 2)
    if problem is not None:
        raise OptionError(problem.reason)
    return dict(list({key: value, **others}.items())[:MOST_MEMBERS])


def write_members(members: Mapping[str, str], *, limit: int | None = None) -> str:
    """Return the text of a list of members.

    Parameters
    ----------
    members
        Key to value, in their order.
    limit
        Most characters, at least 512, which every hop must pass on. When there are more, members longer than 128 characters go
        first, then those at the end. None: no limit.

    Raises
    ------
    OptionError
        A member is outside the grammar of level 2, there are more than 32, or ``limit`` is below 512.

    Examples
    --------
    >>> write_members({"ot": "th:c", "vendor": "1"})
    'ot=th:c,vendor=1'
    """
    problems = [problem for key, value in members.items() if (problem := _problem(key, value, 2)) is not None]
    if problems:
        raise OptionError(problems[0].reason)
    if len(members) > MOST_MEMBERS:
        raise OptionError(f"{len(members)} members, more than {MOST_MEMBERS}; leave some out")
    if limit is not None and limit < _KEEP:
        raise OptionError(f"limit={limit!r} is below {_KEEP}, which every hop must pass on")
    texts = [f"{key}={value}" for key, value in members.items()]
    while limit is not None and len(",".join(texts)) > limit:
        large = [at for at, text in enumerate(texts) if len(text) > _LARGE]
        del texts[large[-1] if large else -1]
    return ",".join(texts)
