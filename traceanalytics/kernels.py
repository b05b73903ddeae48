"""``@kernel``: loops over arrays, compiled with numba where that pays, plain Python elsewhere.

A kernel is written once. It takes arrays and numbers, allocates nothing, and writes its results into the arrays named in
the decorator. So the same source serves both ways: numba compiles it for large inputs, and for small ones it runs over
Python lists, which are several times quicker to index than arrays. Integer arithmetic must therefore mean the same on
64-bit integers and on Python's unbounded ones: products are masked, and there is no other overflow. Arrays are passed
fresh, writeable, contiguous and always of the same types, so that a kernel is compiled once.

Steps of a kernel, and those that several share, are functions marked with ``@part``: a kernel calls them by name, and
they are compiled into it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.util
from collections.abc import Callable, Iterator, MutableSequence
from types import FunctionType
from typing import Any, TypeAlias, TypeVar

import numpy as np

__all__ = ["COMPILE_FROM", "Ints", "forced", "kernel", "part"]

COMPILE_FROM = 20_000
"""Inputs below this many spans never wait for a compiler."""

Ints: TypeAlias = MutableSequence[int]
"""What a kernel's parameter is: an array of integers when compiled, a list otherwise."""

_OPTIONS = {"nogil": True, "_nrt": False}
"""A kernel allocates nothing, so nobody need count references to arrays: its loops are three times as fast."""

_forced: bool | None = None

_Part = TypeVar("_Part", bound=Callable[..., Any])


@contextlib.contextmanager
def forced(compiled: bool | None) -> Iterator[None]:  # noqa: FBT001 - the one argument is the choice itself
    """Run every kernel compiled (True) or as plain Python (False) inside the block, whatever the size.

    >>> with forced(False):
    ...     pass
    """
    global _forced  # noqa: PLW0603 - a switch for tests and benchmarks; kernels have no other state
    before, _forced = _forced, compiled
    try:
        yield
    finally:
        _forced = before


@functools.cache
def _numba_works() -> bool:
    if importlib.util.find_spec("numba") is None:
        return False
    try:
        import numba  # noqa: F401, PLC0415 - loaded on first use only: it costs 0.2 s and 90 MB
    except ImportError:  # numba refuses a NumPy newer than itself; plain Python then does the work
        return False
    return True


@functools.cache
def _compile(function: Callable[..., None]) -> Callable[..., None]:
    bound = _with_compiled_parts(function)
    try:
        return _njit(bound, cache=True)
    except RuntimeError:  # neither the package's folder nor the user's can hold a cache
        return _njit(bound)


@functools.cache
def _compile_part(function: Callable[..., Any]) -> Callable[..., Any]:
    # Called rather than put in place, a part would receive some eighty numbers: every array is passed as six.
    return _njit(_with_compiled_parts(function), inline="always")


def _njit(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    numba: Any = importlib.import_module("numba")
    try:
        return numba.njit(**_OPTIONS, **options)(function)  # type: ignore[no-any-return]
    except KeyError:  # _nrt is not a public option
        return numba.njit(nogil=True, **options)(function)  # type: ignore[no-any-return]


def _parts_of(function: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    known = function.__globals__
    return {
        name: known[name] for name in function.__code__.co_names if getattr(known.get(name), "is_kernel_part", False)
    }


def _fingerprint(function: Callable[..., Any]) -> bytes:
    code = function.__code__
    own = code.co_code + repr((code.co_consts, code.co_names, _OPTIONS)).encode()
    return own + b"".join(_fingerprint(p) for p in _parts_of(function).values())


def _with_compiled_parts(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with its parts replaced by compiled ones.

    The cache on disk knows a function by its qualified name and notices changes of its own file only; the name here bears
    a fingerprint of the parts, which may stand in other files, and of the options.
    """
    compiled = {name: _compile_part(part) for name, part in _parts_of(function).items()}
    bound = FunctionType(function.__code__, {**function.__globals__, **compiled}, function.__name__)
    bound.__module__ = function.__module__
    bound.__qualname__ = f"{function.__qualname__}_{hashlib.sha256(_fingerprint(function)).hexdigest()[:12]}"
    return bound


def _use_compiled(size: int) -> bool:
    if _forced is not None:
        return _forced
    return size >= COMPILE_FROM and _numba_works()


def part(function: _Part) -> _Part:
    """Mark a small step that kernels call by its name; it is compiled along with them, and plain Python when they are."""
    function.is_kernel_part = True  # type: ignore[attr-defined]
    return function


def kernel(*results: str, scratch: tuple[str, ...] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a loop over arrays.

    Parameters
    ----------
    results
        Names of the parameters that it writes into.
    scratch
        Names of parameters that are no input: working space, or results made larger than the input. Their length does not
        count when the size of the input decides whether to compile.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        written = [names.index(name) for name in results]
        uncounted = {names.index(name) for name in scratch}

        @functools.wraps(function)
        def run(*arguments: Any) -> None:
            sizes = [len(a) for at, a in enumerate(arguments) if isinstance(a, np.ndarray) and at not in uncounted]
            if _use_compiled(max(sizes, default=0)):
                _compile(function)(*arguments)
                return
            lists = [a.tolist() if isinstance(a, np.ndarray) else a for a in arguments]
            function(*lists)
            for at in written:
                arguments[at][:] = lists[at]

        return run

    return decorate
