"""``@kernel``: the same loop as plain Python and compiled, and what happens without a working numba."""

from __future__ import annotations

import builtins
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from traceanalytics import kernels
from traceanalytics.kernels import forced, kernel, part


@part
def doubled(value: int) -> int:
    return 2 * value


@part
def quadrupled(value: int) -> int:
    return doubled(doubled(value))


@kernel("out", scratch=("space",))
def sums(values, factor, space, out):
    total = 0
    for at in range(len(values)):
        space[at] = quadrupled(values[at]) + factor
        total += space[at]
        out[at] = total


@kernel("out")
def is_plain(values, out):
    out[0] = isinstance(values, list)


@pytest.fixture
def compilations(monkeypatch):
    """The kernels that were compiled; none is run."""
    asked = []

    def pretend(function):
        asked.append(function.__name__)
        return lambda *_: None

    monkeypatch.setattr(kernels, "_compile", pretend)
    return asked


@pytest.mark.parametrize("compiled", [False, True])
def test_both_ways_give_the_same(compiled):
    values, out = np.arange(50, dtype=np.int64), np.empty(50, dtype=np.int64)
    with forced(compiled):
        sums(values, 3, np.empty(50, dtype=np.int64), out)
    assert out.tolist() == np.cumsum(4 * values + 3).tolist()


def test_plain_kernels_run_over_lists_and_write_back_what_is_named_only():
    values, space, out = (np.zeros(3, dtype=np.int64) for _ in range(3))
    with forced(False):
        sums(values, 5, space, out)
        assert out.tolist() == [5, 10, 15]
        assert space.tolist() == [0, 0, 0]
        is_plain(values, out)
    assert out[0] == 1


def test_small_inputs_never_wait_for_a_compiler(compilations):
    out = np.zeros(1, dtype=np.int64)
    is_plain(np.zeros(kernels.COMPILE_FROM - 1, dtype=np.int64), out)
    assert (compilations, out[0]) == ([], 1)
    is_plain(np.zeros(kernels.COMPILE_FROM, dtype=np.int64), out)
    assert compilations == ["is_plain"]


def test_working_space_does_not_count_for_the_size(compilations):
    n = 10
    sums(
        np.zeros(n, dtype=np.int64), 0, np.zeros(2 * kernels.COMPILE_FROM, dtype=np.int64), np.zeros(n, dtype=np.int64)
    )
    assert compilations == []


def test_forced_is_undone_after_an_error():
    with pytest.raises(ZeroDivisionError), forced(True):
        raise ZeroDivisionError
    assert kernels._forced is None


@pytest.mark.parametrize("how", ["absent", "refuses"])
def test_without_a_working_numba_large_inputs_run_plain(monkeypatch, how):
    kernels._numba_works.cache_clear()
    if how == "absent":
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    else:
        real = builtins.__import__

        def refuse(name, *rest, **options):
            if name == "numba":
                raise ImportError("Numba needs NumPy 1.0 or less")
            return real(name, *rest, **options)

        monkeypatch.setattr(builtins, "__import__", refuse)
    try:
        assert not kernels._use_compiled(10 * kernels.COMPILE_FROM)
    finally:
        monkeypatch.undo()
        kernels._numba_works.cache_clear()


def test_a_numba_without_the_private_option_still_compiles(monkeypatch):
    import numba

    real = numba.njit

    def strict(**options):
        if "_nrt" in options:
            raise KeyError("Unrecognized options")
        return real(**options)

    monkeypatch.setattr(numba, "njit", strict)
    assert kernels._njit(doubled)(21) == 42


def test_a_change_of_a_part_changes_the_name_in_the_cache():
    name = kernels._with_compiled_parts(sums.__wrapped__).__qualname__
    before = doubled.__code__
    try:
        doubled.__code__ = (lambda value: 3 * value).__code__
        assert kernels._with_compiled_parts(sums.__wrapped__).__qualname__ != name
    finally:
        doubled.__code__ = before
    assert kernels._with_compiled_parts(sums.__wrapped__).__qualname__ == name


def test_the_first_critical_path_of_a_small_trace_loads_no_compiler():
    code = (
        "import sys; from small_traces import frame, random_rows\n"
        "from traceanalytics.analysis.critical_path import critical_path\n"
        "assert len(critical_path(frame(random_rows(1, 1, most=12))))\n"
        "sys.exit('numba' in sys.modules)"
    )
    tests = Path(__file__).parent
    paths = [str(tests), str(tests.parent), *sys.path]
    environment = {"PYTHONPATH": ":".join(p for p in paths if p)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
