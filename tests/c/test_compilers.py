"""Two compilers, all optimisations, 32 and 64 bits, sanitizers, cppcheck: clean, and the same.

`make test` gives every golden case one of the ways to compile, `make conformance` all of them.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from neurossm.c import STYLES, emit
from neurossm.program import Program

GOLDEN = Path(__file__).parents[1] / "golden"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic")
FULL = os.environ.get("NEUROSSM_CONFORMANCE") == "full"
SANE = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
WAYS = [
    (compiler, *flags)
    for compiler in ("gcc", "clang")
    for flags in (
        ("-O0",),
        ("-O1", "-m32", "-msse2", "-mfpmath=sse"),
        ("-O1",),
        SANE,
        ("-O2",),
        ("-O3", "-march=native", "-ffp-contract=fast"),
        ("-O3", "-m32", "-msse2", "-mfpmath=sse"),
    )
]
CASES = [(path, style) for path in sorted(GOLDEN.glob("*.h5")) for style in STYLES]
CHOSEN = [
    pytest.param(path, style, way, id=f"{path.stem}-{style}-{'_'.join(way[:3])}")
    for number, (path, style) in enumerate(CASES)
    for way in (WAYS if FULL else [WAYS[number % len(WAYS)]])
]


@functools.cache
def works(*command: str) -> bool:
    """Tell whether a compiler is here and knows these flags: 32 bits, or sanitizers."""
    if shutil.which(command[0]) is None:
        return False
    source = "#include <stdint.h>\n#include <stdio.h>\nint main(void) { return 0; }\n"
    tried = [*command, "-x", "c", "-", "-o", os.devnull]
    return subprocess.run(tried, input=source.encode(), capture_output=True).returncode == 0


def check(folder: Path, compiler: str, *flags: str) -> None:
    """Compile an emitted folder with warnings as errors, and compare what its data lead to."""
    watch = f"-D{next(folder.glob('*_parameters.h')).name[:-13].upper()}_WATCH"
    units = sorted(path.name for path in folder.glob("*.c"))
    done = call(compiler, *STRICT, *flags, watch, "-o", "checked", *units, folder=folder)
    assert done.returncode == 0, done.stderr
    ran = call(str(folder / "checked"), "data.bin", folder=folder)
    assert ran.returncode == 0, ran.stdout[-500:] + ran.stderr
    assert " 0 samples differ" in ran.stdout
    assert "tensors: all" in ran.stdout


def call(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def emitted(path: Path, style: str, folder: Path) -> Path:
    with np.load(path.with_suffix(".npz")) as file:
        emit(Program.load(path), folder / "out", style=style, data=file["data"])
    return folder / "out"


@pytest.mark.parametrize(("path", "style", "way"), CHOSEN)
def test_clean_and_equal(path: Path, style: str, way: tuple[str, ...], tmp_path: Path) -> None:
    if not works(*way):
        pytest.skip(f"no {' '.join(way)} here")
    check(emitted(path, style, tmp_path), *way)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("case", ["binary-bytes", "gsu-tokens", "neurons"])
def test_cppcheck_finds_nothing(case: str, style: str, tmp_path: Path) -> None:
    if shutil.which("cppcheck") is None:
        pytest.skip("no cppcheck here")
    folder = emitted(GOLDEN / f"{case}.h5", style, tmp_path)
    enabled = "--enable=warning,style,performance,portability"
    found = call("cppcheck", "-q", "--std=c99", enabled, "--error-exitcode=1", ".", folder=folder)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("style", STYLES)
def test_a_compiler_that_would_round_otherwise_is_refused(style: str, tmp_path: Path) -> None:
    """Doubles only occur in the style "vector", where an SSM is proved to fit."""
    if not works("gcc"):
        pytest.skip("no gcc here")
    folder = emitted(GOLDEN / "binary-floats.h5", style, tmp_path)
    done = call("gcc", "-ffast-math", "-c", "network.c", folder=folder)
    assert (done.returncode == 0) == (style == "portable")
    assert ("no -ffast-math" in done.stderr) == (style == "vector")
    if style == "portable":
        text = (folder / "network.c").read_text()
        assert not any(word in text for word in ("float", "double", "malloc", "stdio"))
