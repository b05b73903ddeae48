"""Fixtures of all tests; shared helpers (``strategies``) are importable from every test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

_TESTS = Path(__file__).parent
if str(_TESTS) not in sys.path:
    sys.path.insert(0, str(_TESTS))  # importlib mode adds no folder of its own

settings.register_profile(
    "traceanalytics",
    deadline=None,  # machines differ, verdicts may not
    max_examples=20,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("traceanalytics")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Material beside the checkout: real traces and reference values; a pipeline must have it."""
    folder = _TESTS.parent.parent / "shared"
    if folder.is_dir():
        return folder
    if os.environ.get("CI"):
        pytest.fail(f"{folder} is missing, and CI is set: the tests over real traces may not be left out in silence")
    pytest.skip(f"needs {folder}")


@pytest.fixture(scope="session")
def corpus(shared: Path) -> Path:
    """Traces as real backends and SDKs wrote them, one folder a format."""
    folder = shared / "corpus"
    if not folder.is_dir():
        pytest.fail(f"{shared} is there, but {folder} is not")
    return folder


@pytest.fixture(autouse=True)
def _default_options():
    """Give every test the default options."""
    import traceanalytics as ta

    ta.options.reset()
    yield
    ta.options.reset()
