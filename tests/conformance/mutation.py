"""Tries altered engines on a small part of the suite: golden vectors, corners, random programs.

    PYTHONPATH=src:tests python tests/conformance/mutation.py --compiled --processes 32 \
        --log mutation.jsonl [WORD ...]

compiles every alteration whose name contains a word (all without one) for real, which takes half
a minute of a processor each; the tests run the same alterations as plain Python. A run that was cut
off goes on with the same log. The status is 0 if all are noticed, 1 if one is not or has no answer,
and 2 if nothing could be tried.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import importlib
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import campaign
import checks
import emulation
import mutants
import numba
import numpy as np
import probes
import programs
from sandbox import SOURCES, Edit, sandbox

UNALTERED = "nothing altered"
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

    @property
    def size(self) -> int:
        """How many integers there are to compare."""
        return sum(values.size for values in self.vectors.values())


def made() -> Iterator[Loaded]:
    """Yield the cases that are no golden vectors, with what the unaltered reference computes."""
    for case in programs.corners():
        yield Loaded(case.name, case.program, checks.vectors(case.program, case.data))
    for fields in SHAPED:
        program = programs.networks.random_program(**fields)
        long = fields is SHAPED[-1]
        data = programs.networks.random_data(program.input, 1, 3 if long else 2, 70 if long else 9)
        yield Loaded(f"shaped {fields['seed']}", program, checks.vectors(program, data))


def every_case() -> list[Loaded]:
    """Return all cases, the golden vectors first."""
    return [*loaded(golden()), *made()]


def golden(*folders: Path) -> list[Path]:
    """Return the files of the golden vectors, and of cases in other folders behind them."""
    return [path for folder in (GOLDEN, *folders) for path in sorted(folder.glob("*.h5"))]


def loaded(paths: Iterable[Path]) -> list[Loaded]:
    """Read cases, with the package as it is at the moment."""
    load = importlib.import_module("neurossm.program").Program.load
    return [Loaded(path.stem, load(path), checks.read(path)) for path in paths]


def likely_first(cases: Iterable[Loaded], name: str) -> list[Loaded]:
    """Return the cases named like the altered operation, then the others, small ones first."""
    words = name.lower().replace(":", " ").replace(",", " ").replace("'s", " ").split()
    return sorted(cases, key=lambda case: (case.name.split()[0] not in words, case.size))


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


def uncached() -> Edit:
    """Return the edit that keeps altered kernels from the cache on disk."""
    old, new = "return compiled(function, _OPTIONS)", "return njit(**_OPTIONS)(function)"
    return Edit("engine/cpu/kernels/jit.py", old, new)


def every() -> dict[str, Edit]:
    """Return all edits of the fast engine by kind and name."""
    kinds = {"kernels": mutants.HAND, "printers": mutants.PRINTERS, "lowering": mutants.LOWERING}
    return {f"{kind}, {name}": e for kind, table in kinds.items() for name, e in table.items()}


def about() -> dict[str, str]:
    """Return what the answers hold for: these sources, on this kind of machine."""
    digest = hashlib.sha256()
    for folder, pattern in ((SOURCES, "*.py"), (Path(__file__).parents[1], "conformance/*.py")):
        for path in sorted(folder.rglob(pattern)):
            digest.update(path.read_bytes())
    dot = importlib.import_module("neurossm.engine.cpu.kernels.dot")
    return {
        "sources": digest.hexdigest()[:16],
        "python": platform.python_version(),
        "numba": numba.__version__,
        "fast": " ".join(kind for kind in ("FAST_SHORTS", "FAST_BYTES") if getattr(dot, kind)),
    }


def main(words: list[str] | None = None) -> int:
    """Compile altered engines, several at a time; return the status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", help="of the names of edits; all without one")
    parser.add_argument("--compiled", action="store_true", required="--one" not in sys.argv)
    parser.add_argument(
        "--processes",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="how many at a time (default: %(default)s, the processors at hand)",
    )
    parser.add_argument("--log", type=Path, help="keep answers here, and go on with those it has")
    parser.add_argument(
        "--limit", type=float, default=900, help="seconds for each edit (default: %(default)s)"
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--cases", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(words)
    if chosen.one is not None:
        print(_noticed(chosen.one, chosen.cases) or "", flush=True)  # noqa: T201
        return 0
    names = [n for n in every() if not chosen.words or any(word in n for word in chosen.words)]
    if not names or chosen.processes < 1:
        parser.error("no edit has a name with these words" if not names else "--processes 1 ...")
    # A run that is told to end takes its processes along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        log = campaign.Log(chosen.log, about())
    except ValueError as error:
        parser.error(f"{error}; name another log")
    return _compile_all(names, log, chosen.processes, chosen.limit)


def _noticed(name: str, folder: Path) -> str | None:
    """Return what notices an engine that is compiled for real, or None."""
    cases = likely_first(loaded(golden(folder)), name)
    edits = () if name == UNALTERED else (every()[name],)
    # What is not in the kernels runs with those on disk.
    if any("kernels" in edit.file or "derive" in edit.file for edit in edits):
        edits = (*edits, uncached())
    with sandbox(("neurossm.derive", "neurossm.engine"), edits):
        try:
            place = probes.difference()
        except Exception as error:  # it may fail to compile
            place = f"{type(error).__name__}: {error}".splitlines()[0]
        return place or difference(cases, checks.fast)


def _compile_all(names: list[str], log: campaign.Log, processes: int, limit_s: float) -> int:
    """Try the engine as it is, then every edit; print each answer, and their numbers."""
    with tempfile.TemporaryDirectory() as folder:
        for case in made():
            checks.write(Path(folder), *case)
        script = (sys.executable, __file__, "--cases", folder, "--one")
        # alone and first: this also compiles the kernels on disk, which other edits run with
        (unaltered,) = campaign.answers({UNALTERED: (*script, UNALTERED)}, 1, limit_s)
        if unaltered.by != "nothing":
            _say(f"the engine as it is: {unaltered.text or unaltered.by}")
            return 2
        done = sum(name in log.answers for name in names)
        _say(f"{len(names)} edits, {done} of them in the log; {processes} at a time; {about()}")
        rest = {name: (*script, name) for name in names if name not in log.answers}
        with contextlib.closing(campaign.answers(rest, processes, limit_s)) as answers:
            for n, answer in enumerate(answers, done + 1):
                log.add(answer)
                _say(f"[{n}/{len(names)}] {answer}")
    return _summary([log.answers[name] for name in names])


def _summary(answers: list[campaign.Answer]) -> int:
    """Print how many edits were noticed by what, and name the others; return the status."""
    by = collections.Counter(answer.by for answer in answers)
    _say(
        f"{len(answers)} edits: {by['integer']} noticed by an integer, {by['error']} by an error, "
        f"{by['crash']} by a crash, {by['nothing']} not noticed, {by['none']} without an answer"
    )
    for answer in answers:
        if answer.by != "integer":
            _say(f"  {answer}")
    return int(by["nothing"] + by["none"] > 0)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
