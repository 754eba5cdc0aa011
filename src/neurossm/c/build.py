"""Compile C with the system's compiler into a library, once for each content."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import secrets
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from neurossm.errors import MissingDependencyError, RunError
from neurossm.files import cache_folder

COMPILERS = ("cc", "gcc", "clang")
STANDARD = ("-std=c99", "-fPIC", "-shared")
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast")
"""For this machine; a compiler that does not know them is asked again without the second."""


def compiler() -> tuple[str, ...]:
    """Return the command of the system's C compiler: `CC`, or the first of `COMPILERS`.

    Raises
    ------
    MissingDependencyError
        There is none.
    """
    chosen = os.environ.get("CC", "")
    try:
        command = tuple(shlex.split(chosen))
    except ValueError:
        command = (chosen,)
    if command and shutil.which(command[0]):
        return command
    if command:
        raise MissingDependencyError(f"engine 'c': CC is {chosen!r}, which is no command here")
    for name in COMPILERS:
        if shutil.which(name):
            return (name,)
    raise MissingDependencyError(
        "engine 'c' needs a C compiler, and there is neither cc nor gcc nor clang; "
        "install one or set CC, or use --engine fast"
    )


def library(files: Mapping[str, str], unit: str, flags: Sequence[str] = ()) -> ctypes.CDLL:
    """Return the library of one of these files, which may include the others.

    It is compiled with `CFLAGS`, or with `FLAGS` where that is not set, and kept by content in the
    user's cache (`neurossm.files.cache_folder`), where there is one.

    Raises
    ------
    MissingDependencyError
        There is no compiler.
    RunError
        It fails.
    """
    command = compiler()
    tuned = shlex.split(os.environ.get("CFLAGS", "")) or FLAGS
    digest = hashlib.sha256(_machine().encode())
    for part in (
        *_version(command),
        *flags,
        *tuned,
        unit,
        *(f"{k}\0{v}" for k, v in files.items()),
    ):
        digest.update(f"{len(part)}:{part}".encode())
    folder = cache_folder()
    if folder is not None:
        kept = folder / "c" / f"{digest.hexdigest()}.so"
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            if not kept.exists():
                partial = kept.with_suffix(f".{secrets.token_hex(8)}")
                _compile(command, files, unit, (*flags, *tuned), partial)
                os.replace(partial, kept)
            return ctypes.CDLL(str(kept))
        except OSError:
            pass  # no such folder can be written, or what is kept is damaged: make it anew
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary) / "network.so"
        _compile(command, files, unit, (*flags, *tuned), made)
        return ctypes.CDLL(str(made))


def _compile(
    command: Sequence[str],
    files: Mapping[str, str],
    unit: str,
    flags: Sequence[str],
    output: Path,
) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        for name, text in files.items():
            (Path(temporary) / name).write_text(text)
        result = _call([*command, *STANDARD, *flags, "-o", str(output), unit], temporary)
        if result.returncode and "-march=native" in flags:
            plain = [flag for flag in flags if flag != "-march=native"]
            result = _call([*command, *STANDARD, *plain, "-o", str(output), unit], temporary)
    if result.returncode:
        said = next((line for line in result.stderr.splitlines() if "error" in line), result.stderr)
        raise RunError(f"engine 'c': {shlex.join(command)} failed: {said.strip()[:300]}")


def _call(command: Sequence[str], folder: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


@cache
def _version(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return what tells one compiler from another."""
    return (*command, _call([*command, "--version"], tempfile.gettempdir()).stdout)


@cache
def _machine() -> str:
    """Return what tells one processor from another, as code for this one may not run elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        features = [line for line in lines if line.lower().startswith(("flags", "features"))][:1]
    except OSError:
        features = [platform.processor()]
    return f"{platform.system()} {platform.machine()} {features}"
