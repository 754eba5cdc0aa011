"""What this machine offers: Python, packages, Lava, CUDA, Numba's cache, shared memory."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import neurossm

_REQUIRED = ("torch", "numpy", "h5py", "numba", "click", "rich", "matplotlib", "jinja2", "PyYAML")
_OPTIONAL = ("lava-nc", "lava-dl", "neurobench", "nir")
_LAVA_PYTHON = (3, 10)
_PROBE_SECONDS = 120
_SHARED_MEMORY = Path("/dev/shm")

# Lava's channels are shared-memory segments; the import finds a broken installation.
_LAVA_PROBE = """
from multiprocessing import shared_memory
import lava.magma.core.run_configs
segment = shared_memory.SharedMemory(create=True, size=4096)
segment.close()
segment.unlink()
"""
_CUDA_PROBE = """
import torch
if not torch.cuda.is_available():
    raise SystemExit("no CUDA device")
print(torch.cuda.get_device_name(0))
"""


@dataclass(frozen=True)
class Package:
    """An installed or missing package.

    Parameters
    ----------
    name
        Its name on PyPI.
    version
        The installed version, None if it is missing.
    required
        Whether NeuroSSM cannot do without.
    """

    name: str
    version: str | None
    required: bool


@dataclass(frozen=True)
class Feature:
    """Something that works here or does not.

    Parameters
    ----------
    name
        What it is.
    available
        Whether it works.
    detail
        What was found, or why it does not work.
    advice
        What to do about it, None if there is nothing to do.
    """

    name: str
    available: bool
    detail: str
    advice: str | None = None


@dataclass(frozen=True)
class Environment:
    """The machine as NeuroSSM sees it; `ok` if every required package is there."""

    neurossm: str
    python: str
    executable: str
    platform: str
    packages: tuple[Package, ...]
    features: tuple[Feature, ...]

    @property
    def ok(self) -> bool:
        """Whether NeuroSSM can work here, with or without Lava and a GPU."""
        return all(package.version is not None for package in self.packages if package.required)


def inspect_environment() -> Environment:
    """Look at this machine.

    PyTorch and Lava are imported in child processes: this one stays free of both, and a broken
    installation cannot take it down. Takes some seconds.
    """
    return Environment(
        neurossm=neurossm.__version__,
        python=platform.python_version(),
        executable=sys.executable,
        platform=platform.platform(),
        packages=_packages(),
        features=(_lava(), _cuda(), _numba_cache(), _shared_memory()),
    )


def lava_obstacle() -> Feature | None:
    """Return why Lava cannot run here and what to do, or None if nothing speaks against it.

    Looks at the version of Python and at the installed packages; imports nothing.
    """
    if sys.version_info[:2] != _LAVA_PYTHON:
        return Feature(
            "lava",
            False,
            f"Lava 0.10 runs on Python 3.10 only; this is {platform.python_version()}",
            "make a Python 3.10 environment and run `pip install 'neurossm[lava]'` in it",
        )
    missing = [name for name in ("lava-nc", "lava-dl") if _version(name) is None]
    if missing:
        detail = f"not installed: {', '.join(missing)}"
        return Feature("lava", False, detail, "run `pip install 'neurossm[lava]'`")
    return None


def _packages() -> tuple[Package, ...]:
    required = (Package(name, _version(name), required=True) for name in _REQUIRED)
    optional = (Package(name, _version(name), required=False) for name in _OPTIONAL)
    return (*required, *optional)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _lava() -> Feature:
    obstacle = lava_obstacle()
    if obstacle is not None:
        return obstacle
    works, said = _probe(_LAVA_PROBE)
    if works:
        return Feature("lava", True, f"lava-nc {_version('lava-nc')} imports")
    return Feature("lava", False, f"does not import: {said}", "reinstall `neurossm[lava]`")


def _cuda() -> Feature:
    works, said = _probe(_CUDA_PROBE)
    return Feature("cuda", works, said)


def _numba_cache() -> Feature:
    """Look where Numba keeps machine code: beside the sources, unless it is told otherwise."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(chosen) if chosen else Path(neurossm.__file__).parent
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    if not os.access(existing, os.W_OK):
        detail = f"{folder} is not writable; Numba looks for a folder of this user"
        return Feature("numba cache", False, detail, "set NUMBA_CACHE_DIR to a writable folder")
    functions = len(list(folder.rglob("*.nbi")))
    state = f"{functions} compiled functions" if functions else "empty; the first run compiles"
    return Feature("numba cache", True, f"{folder}: {state}")


def _shared_memory() -> Feature:
    """Say how much memory is left for Lava's channels."""
    name = "shared memory"
    if not _SHARED_MEMORY.is_dir():
        return Feature(name, True, f"in {tempfile.gettempdir()} or in the kernel")
    free_mib = shutil.disk_usage(_SHARED_MEMORY).free >> 20
    leftover = len(list(_SHARED_MEMORY.glob("psm_*")))
    detail = f"{free_mib} MiB free in {_SHARED_MEMORY}, {leftover} segments in use or left behind"
    if free_mib >= 64:
        return Feature(name, True, detail)
    return Feature(name, False, detail, "give it more (in a container: --shm-size=1g)")


def _probe(code: str) -> tuple[bool, str]:
    """Run code in a child process; return whether it succeeded and the last line it said."""
    try:
        child = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {_PROBE_SECONDS} s"
    lines = (child.stdout if child.returncode == 0 else child.stderr).strip().splitlines()
    return child.returncode == 0, lines[-1] if lines else f"exit status {child.returncode}"
