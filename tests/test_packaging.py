"""The wheel and the sdist, built, and used from an environment outside the repository."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("hatchling") is None, reason="hatchling is missing: run `make setup`"
)


def _run(command: Sequence[object], cwd: Path, **environment: str) -> str:
    """Run a command without this checkout on its path; return what it prints."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=env | environment,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
    return ran.stdout


def _build(kind: str, source: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", folder]
    _run(command, source)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the unpacked sdist, as whoever packages it does."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):  # Python 3.12, and late releases before it
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(folder)
    (source,) = folder.iterdir()
    return _build("wheel", source, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src" / "neurossm").rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and path.suffix not in (".nbi", ".nbc")
    }
    assert {name for name in names if ".dist-info/" not in name} == package
    for part in ("hw_profiles/loihi2-sim.toml", "train/presets/gsu.toml", "py.typed"):
        assert f"neurossm/{part}" in names
    assert wheel.stat().st_size < 1_000_000


def test_the_sdist_holds_what_it_takes_to_work_on_it(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for part in (
        "Makefile",
        "README.md",
        "CITATION.cff",
        "docs/fixed-point.md",
        "examples/smnist/gsu.pt",
        "firmware/run.py",
        "requirements/main.txt",
        "scripts/setup.sh",
        "src/neurossm/py.typed",
        "tests/golden/limits.h5",
    ):
        assert part in names, part
    assert not any("__pycache__" in name or name.startswith(".venv") for name in names)
    assert sdist.stat().st_size < 20_000_000


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment with the wheel, and beside it the packages that this one has.

    A line of a path file adds a folder, but none of the path files in it: the editable
    installation of this checkout stays out of sight.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    bundled = Path(importlib.util.find_spec("ensurepip").origin).parent / "_bundled"  # type: ignore[union-attr, arg-type]
    pip = next(bundled.glob("pip-*.whl")) / "pip"
    _run([python, pip, "install", "-q", "--no-index", "--no-deps", "--no-compile", wheel], folder)
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "packages.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder


def test_it_works_from_an_environment_of_its_own(environment: Path, tmp_path: Path) -> None:
    code = "import neurossm; print(neurossm.__file__, neurossm.Widths())"
    printed = _run([environment / "bin" / "python", "-c", code], tmp_path)
    assert str(environment) in printed
    command = environment / "bin" / "neurossm"
    kept = ROOT / "tests" / "kept"
    _run([command, "compile", kept / "checkpoint-1.pt", "-o", "program.h5"], tmp_path)
    run = ["run", "program.h5", "--data", kept / "DATA.npz", "--engine", "reference"]
    _run([command, *run, "-o", "out.npz"], tmp_path)
    with np.load(tmp_path / "out.npz") as out:
        assert out["logits"].shape == (3, 3)
    shown = _run([command, "targets"], tmp_path)
    assert "loihi2-sim" in shown
    assert "binary-s4d" in _run([command, "train", "--help"], tmp_path)
