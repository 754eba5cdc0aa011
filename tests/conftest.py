"""What all tests share: hypothesis profiles, and the rules for tests that need Lava or a GPU.

Lava runs on Python 3.10 only. There, tests that need it run, and fail if it does not import.
Elsewhere they are skipped, and the closing summary says so for each of them.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from pathlib import Path

import hypothesis
import pytest

LAVA_TESTS = Path(__file__).parent / "lava"
IS_LAVA_PYTHON = sys.version_info[:2] == (3, 10)
LAVA_REASON = "Lava runs on Python 3.10 only"

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave the Lava room out where its tests could not even be imported."""
    if collection_path == LAVA_TESTS and not IS_LAVA_PYTHON:
        return True
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the Lava room's tests."""
    for item in items:
        if LAVA_TESTS in item.path.parents:
            item.add_marker("lava")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run on this machine; fail where Lava should work and does not."""
    if item.get_closest_marker("lava"):
        if not IS_LAVA_PYTHON:
            pytest.skip(LAVA_REASON)
        problem = _lava_problem()
        if problem is not None:
            pytest.fail(f"Lava does not import ({problem}); run `make setup`", pytrace=False)
    if item.get_closest_marker("gpu") and not _has_gpu():
        pytest.skip("no CUDA device")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every skipped test, and the Lava room where it was left out."""
    skipped = [report.nodeid for report in terminalreporter.stats.get("skipped", [])]
    if not IS_LAVA_PYTHON:
        files = sorted(LAVA_TESTS.rglob("test_*.py"))
        skipped += [f"{path.relative_to(LAVA_TESTS.parents[1])} ({LAVA_REASON})" for path in files]
    if not skipped:
        return
    terminalreporter.section(f"NOT RUN: {len(skipped)}", sep="!", red=True, bold=True)
    for name in skipped:
        terminalreporter.line(name, red=True)


@functools.cache
def _lava_problem() -> str | None:
    try:
        importlib.import_module("lava.magma.core.run_configs")
    except Exception as error:  # whatever a broken installation raises
        return f"{type(error).__name__}: {error}"
    return None


@functools.cache
def _has_gpu() -> bool:
    torch = importlib.import_module("torch")
    return bool(torch.cuda.is_available())
