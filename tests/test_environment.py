from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from neurossm import environment
from neurossm.environment import Feature, Package, inspect_environment, lava_obstacle


def _without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    monkeypatch.setattr(environment, "_version", lambda name: None if name in missing else "1.0")


def test_this_machine() -> None:
    found = inspect_environment()
    assert found.ok
    assert found.python == ".".join(str(part) for part in sys.version_info[:3])
    versions = {package.name: package.version for package in found.packages}
    assert versions["click"] is not None
    names = [feature.name for feature in found.features]
    assert names == ["lava", "cuda", "numba cache", "shared memory"]


@pytest.mark.lava
def test_lava_works_in_the_main_environment() -> None:
    assert environment._lava().available


def test_inspecting_imports_neither_torch_nor_lava() -> None:
    code = (
        "import sys, neurossm.environment as e;"
        "e._probe = lambda code: (True, '');"  # what the probes import stays in their processes
        "e.inspect_environment();"
        "raise SystemExit(any(m in sys.modules for m in ('torch', 'lava', 'numba')))"
    )
    works, said = environment._probe(code)
    assert works, said


@pytest.mark.parametrize("version", [(3, 9, 1), (3, 11, 0), (3, 13, 2)])
def test_lava_needs_python_3_10(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int]
) -> None:
    _without(monkeypatch)
    monkeypatch.setattr(environment, "sys", SimpleNamespace(version_info=version))
    obstacle = lava_obstacle()
    assert obstacle is not None
    assert not obstacle.available
    assert "Python 3.10 only" in obstacle.detail
    assert obstacle.advice is not None
    assert "Python 3.10 environment" in obstacle.advice


def test_lava_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "sys", SimpleNamespace(version_info=(3, 10, 13)))
    _without(monkeypatch)
    assert lava_obstacle() is None
    _without(monkeypatch, "lava-dl")
    assert lava_obstacle() == Feature(
        "lava", False, "not installed: lava-dl", "run `pip install 'neurossm[lava]'`"
    )


def test_a_broken_lava_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "lava_obstacle", lambda: None)
    monkeypatch.setattr(environment, "_LAVA_PROBE", "raise ImportError('no numpy 1')")
    found = environment._lava()
    assert not found.available
    assert found.detail == "does not import: ImportError: no numpy 1"


def test_a_missing_required_package_is_not_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_probe", lambda code: (True, ""))
    _without(monkeypatch, "lava-nc", "neurobench")
    assert inspect_environment().ok
    _without(monkeypatch, "h5py")
    found = inspect_environment()
    assert not found.ok
    assert Package("h5py", None, required=True) in found.packages


def test_numba_cache_counts_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    empty = environment._numba_cache()
    assert empty.available
    assert empty.detail.endswith("empty; the first run compiles")
    (tmp_path / "cache" / "engine").mkdir(parents=True)
    (tmp_path / "cache" / "engine" / "step.nbi").touch()
    (tmp_path / "cache" / "engine" / "step.1.nbc").touch()
    assert environment._numba_cache().detail.endswith("cache: 1 compiled functions")


def test_an_unwritable_numba_cache_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("os.access", lambda path, mode: False)
    found = environment._numba_cache()
    assert not found.available
    assert found.advice == "set NUMBA_CACHE_DIR to a writable folder"


@pytest.mark.parametrize(("free_mib", "enough"), [(63, False), (64, True)])
def test_little_shared_memory_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mib: int, enough: bool
) -> None:
    (tmp_path / "psm_1234").touch()
    monkeypatch.setattr(environment, "_SHARED_MEMORY", tmp_path)
    usage = SimpleNamespace(free=free_mib * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    found = environment._shared_memory()
    assert found.available == enough
    assert found.detail.startswith(f"{free_mib} MiB free")
    assert ", 1 segments" in found.detail


def test_a_probe_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_PROBE_SECONDS", 0.2)
    assert environment._probe("import time; time.sleep(60)") == (False, "no answer within 0.2 s")


def test_a_probe_that_dies_says_how() -> None:
    assert environment._probe("import os; os._exit(3)") == (False, "exit status 3")
