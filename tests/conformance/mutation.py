"""Tries altered engines on a small part of the suite: golden vectors, corners, random programs.

    PYTHONPATH=tests python tests/conformance/mutation.py --compiled [WORD ...]

compiles every alteration whose name contains a word (all without one) for real, which takes half
a minute each; the tests run the same alterations as plain Python.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import checks
import emulation
import mutants
import numpy as np
import probes
import programs
from sandbox import Edit, sandbox

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SHAPED = (
    {"seed": 1, "channels": 33, "modes": 5, "blocks": 1, "saturating": 0.5, "inputs": 3},
    {
        "seed": 2,
        "channels": 17,
        "modes": 2,
        "blocks": 1,
        "mixer": "gsu",
        "kind": "tokens",
        "inputs": 4,
    },
    {"seed": 3, "channels": 2, "modes": 1, "blocks": 1, "kind": "float", "norm": "post"},
)
"""Sizes beyond one vector, panel and tile; the last one runs long enough for several chunks."""


class Loaded(NamedTuple):
    """A program and what it leads to."""

    name: str
    program: Any
    vectors: checks.Vectors


def prepare(folder: Path) -> list[Path]:
    """Write the cases, with what the unaltered reference computes; return their files."""
    for case in programs.corners():
        checks.write(folder, case.name, case.program, case.data)
    for fields in SHAPED:
        program = programs.networks.random_program(**fields)
        long = fields is SHAPED[-1]
        data = programs.networks.random_data(program.input, 1, 3 if long else 2, 70 if long else 9)
        checks.write(folder, f"shaped {fields['seed']}", program, data)
    return found(folder)


def found(folder: Path) -> list[Path]:
    """Return the files of all cases, the golden vectors first."""
    return [*sorted(GOLDEN.glob("*.h5")), *sorted(folder.glob("*.h5"))]


def loaded(paths: Iterable[Path]) -> list[Loaded]:
    """Read cases, with the package as it is at the moment."""
    load = importlib.import_module("neurossm.program").Program.load
    return [Loaded(path.stem, load(path), checks.read(path)) for path in paths]


def likely_first(cases: Iterable[Loaded], name: str) -> list[Loaded]:
    """Return the cases with those first that are named like the altered operation."""
    words = name.lower().replace(":", " ").replace(",", " ").replace("'s", " ").split()
    return sorted(cases, key=lambda case: case.name.split()[0] not in words)


def difference(cases: Iterable[Loaded], check: Callable[..., str | None]) -> str | None:
    """Return the first case that differs, and where, or None."""
    for case in cases:
        try:
            with np.errstate(all="ignore"):
                place = check(case.program, case.vectors)
        except Exception as error:  # an altered engine may fail in any way
            place = f"{type(error).__name__}: {error}"
        if place is not None:
            return f"{case.name}: {place}"
    return None


def as_python(
    edits: tuple[Edit, ...], cases: Iterable[Loaded], flags: Mapping[str, bool] | None = None
) -> str | None:
    """Return what notices a fast engine whose kernels run as plain Python, or None."""
    replaced: dict[str, dict[str, Any]] = emulation.exports()
    replaced["neurossm.engine.cpu.kernels.dot"] |= flags or {}
    with sandbox(("neurossm.derive", "neurossm.engine"), edits, replaced):
        return probes.difference() or difference(cases, checks.fast)


def of_c(edit: Edit | None, cases: Iterable[Loaded]) -> str | None:
    """Return what notices an altered printer of C, or None."""
    with sandbox(("neurossm.c",), () if edit is None else (edit,)):
        return difference(cases, checks.in_c)


def of_reference(edit: Edit, paths: Iterable[Path]) -> str | None:
    """Return what notices an altered reference, or None."""
    with sandbox(("neurossm.program",), (edit,)):
        return difference(loaded(paths), checks.reference)


def compiled(name: str, edit: Edit, folder: Path) -> str | None:
    """Return what notices an engine that is compiled for real, in a process of its own."""
    command = [sys.executable, __file__, "--one", name, "--cases", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip() or None


def uncached() -> Edit:
    """Return the edit that keeps altered kernels from the cache on disk."""
    old, new = "return compiled(function, _OPTIONS)", "return njit(**_OPTIONS)(function)"
    return Edit("engine/cpu/kernels/jit.py", old, new)


def every() -> dict[str, Edit]:
    """Return all edits of the fast engine by kind and name."""
    kinds = {"kernels": mutants.HAND, "printers": mutants.PRINTERS, "lowering": mutants.LOWERING}
    return {f"{kind}, {name}": e for kind, table in kinds.items() for name, e in table.items()}


def main() -> int:
    """Compile altered engines one after another; return 1 if one is not noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--compiled", action="store_true", required="--one" not in sys.argv)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--cases", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one is not None:
        cases = likely_first(loaded(found(chosen.cases)), chosen.one)
        edit = every()[chosen.one]
        # What is not in the kernels runs with those on disk.
        compiles = "kernels" in edit.file or "derive" in edit.file
        edits = (edit, uncached()) if compiles else (edit,)
        with sandbox(("neurossm.derive", "neurossm.engine"), edits):
            place = probes.difference() or difference(cases, checks.fast)
            print(place or "", flush=True)  # noqa: T201
        return 0
    return _compile_all(chosen.words)


def _compile_all(words: list[str]) -> int:
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        for name, edit in every().items():
            if words and not any(word in name for word in words):
                continue
            place = compiled(name, edit, Path(folder))
            print(f"{name}: {place or 'NOT NOTICED'}", flush=True)  # noqa: T201
            survivors += [name] if place is None else []
    print(f"not noticed: {len(survivors)} {survivors}")  # noqa: T201
    return len(survivors) > 0


if __name__ == "__main__":
    sys.exit(main())
