"""What ``import traceanalytics`` offers, and what it does not load."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import traceanalytics as ta

HEAVY = [
    "matplotlib",
    "networkx",
    "ipywidgets",
    "anywidget",
    "numba",
    "opentelemetry",
    "IPython",
    "scipy",
    "tqdm",
    "pyarrow.parquet",
    "google.protobuf",
]


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_import_is_light():
    loaded = python("import sys, traceanalytics; print(*sorted({m for m in sys.modules}))").split()
    assert not [name for name in HEAVY if name in loaded]


def test_the_first_path_of_a_small_trace_compiles_nothing():
    code = """
import sys, traceanalytics as ta
record = {"trace_id": "a" * 32, "name": "x", "start_ns": 10**18, "duration_ms": 5}
spans = ta.read_records([{**record, "span_id": f"{i + 1:016x}", "parent_span_id": f"{i:016x}"} for i in range(12)])
print(len(ta.critical_path(spans)), "numba" in sys.modules, "matplotlib" in sys.modules)
"""
    assert python(code) == "1 False False"


def test_all_is_sorted_and_complete():
    assert ta.__all__ == sorted(ta.__all__)
    assert set(ta.__all__) == {*ta._HOME, "options"}
    assert set(ta.__all__) <= set(dir(ta))


@pytest.mark.parametrize("name", ta.__all__)
def test_a_public_name_is_the_documented_object(name):
    value = getattr(ta, name)
    assert inspect.getdoc(value)
    if inspect.isfunction(value) or inspect.isclass(value):
        assert value.__name__ == name
        assert value.__module__ == f"traceanalytics.{ta._HOME[name]}"


def test_no_module_takes_the_place_of_a_public_name():
    before = {name: getattr(ta, name) for name in ta.__all__}
    modules = [m.name for m in pkgutil.walk_packages(ta.__path__, "traceanalytics.") if not m.name.endswith("__main__")]
    assert len(modules) > 40
    for name in modules:
        module = importlib.import_module(name)
        parent, _, last = name.rpartition(".")
        package = importlib.import_module(parent)
        if last in getattr(package, "__all__", []):
            assert getattr(package, last) is not module or parent == "traceanalytics", f"{name} hides {parent}.{last}"
    assert {name: getattr(ta, name) for name in ta.__all__} == before
    fresh = python(
        f"import importlib, traceanalytics as ta\nfor m in {modules!r}: importlib.import_module(m)\n"
        "print(*[n for n in ta.__all__ if type(getattr(ta, n)).__name__ == 'module'])"
    )
    assert fresh == "lab plot sampling simulate"


def test_functions_take_the_frame_and_at_most_one_further_argument_by_position():
    for name in ta.__all__:
        value = getattr(ta, name)
        if not inspect.isfunction(value):
            continue
        kinds = [p.kind for p in inspect.signature(value).parameters.values()]
        assert kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD) <= 2, name
        assert inspect.Parameter.VAR_KEYWORD not in kinds, name


def test_public_docstrings_have_examples():
    for name in ta.__all__:
        value = getattr(ta, name)
        if inspect.isfunction(value):
            text = inspect.getdoc(value) or ""
            assert "Parameters\n" in text, name
            assert "Examples\n" in text, name


def test_an_unknown_name_lists_the_near_ones():
    with pytest.raises(AttributeError, match="no attribute 'critical_pat'; did you mean 'critical_path'"):
        ta.critical_pat  # noqa: B018 - the look-up is the test


def test_the_version_is_that_of_the_distribution():
    assert importlib.import_module("importlib.metadata").version("traceanalytics") == ta.__version__
