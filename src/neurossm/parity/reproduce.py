"""Cut a program on which two engines differ down to the smallest that still shows it."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurossm import registry
from neurossm.errors import InputError, NeuroSSMError
from neurossm.files import atomic_path
from neurossm.parity.cut import Cut, alone, one_channel, one_mode, prefixes
from neurossm.parity.engines import LOGITS, in_program_order, locate
from neurossm.parity.results import Mismatch
from neurossm.program import Input, Program

_Data = NDArray[np.generic]
_Candidates = Iterator[Cut]


@dataclass(frozen=True, eq=False)
class Case:
    """A program, data (B, L, C), and the first integer in which the engines differ on them.

    `origin` is the first mismatch of the program the case was cut from.
    """

    program: Program
    data: NDArray[np.generic]
    mismatch: Mismatch
    origin: Mismatch


def smallest_case(program: Program, data: NDArray[np.generic], a: str, b: str) -> Case | None:
    """Return the smallest case found that starts from these samples; None if nothing differs.

    The first operation that differs is tried by itself, fed with the integers it got, then the
    program up to it; then fewer steps, then one channel and one mode. Whatever no longer shows a
    difference, or an engine cannot run, is given up.
    """
    case = _narrowed(program, data, a, b)
    if case is None:
        return None
    case = _first_that_shows(case, a, b, _fewer_operations(case, a))
    case = _first_that_shows(case, a, b, _fewer_steps(case))
    for smaller in (one_channel, one_mode):
        case = _first_that_shows(case, a, b, _cut_by(smaller, case))
    return _first_that_shows(case, a, b, _fewer_steps(case))


def write_case(case: Case, folder: Path, a: str, b: str) -> str:
    """Write program.h5, data.npz and expected.npz; return the command that shows the mismatch.

    `expected.npz` holds the reference engine's integers, as golden vectors do: `logits`, and every
    tensor as `tensors/NAME`.

    Raises
    ------
    InputError
        The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made: {error.strerror or error}") from None
    case.program.save(folder / "program.h5")
    _write_arrays(folder / "data.npz", {"x": np.asarray(case.data)})
    names = [name for name in in_program_order(case.program) if name != LOGITS]
    run = registry.run(case.program, case.data, "reference", names)
    tensors = {f"tensors/{name}": values for name, values in run.tensors.items()}
    _write_arrays(folder / "expected.npz", {LOGITS: run.logits, **tensors})
    arguments = ["neurossm", "verify", str(folder / "program.h5"), "--data"]
    arguments += [str(folder / "data.npz"), "--engine", a, "--engine", b, "--integers", "all"]
    return shlex.join(arguments)


def _write_arrays(path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def _narrowed(program: Program, data: NDArray[np.generic], a: str, b: str) -> Case | None:
    """Return the sample that differs, alone and cut after the step, where that still differs."""
    found = locate(program, data, a, b)
    if found is None:
        return None
    case = Case(program, data, found, found)
    sample = data[found.sample : found.sample + 1]
    steps = data.shape[1] if found.step < 0 else found.step + 1
    smaller = [(program, sample[:, :steps]), (program, sample), (program, data[:, :steps])]
    return _first_that_shows(case, a, b, iter(smaller))


def _first_that_shows(case: Case, a: str, b: str, candidates: _Candidates) -> Case:
    """Return the first candidate on which the engines differ, or the case itself."""
    while True:
        try:
            program, data = next(candidates)
            found = locate(program, data, a, b)
        except StopIteration:
            return case
        except NeuroSSMError:  # an engine cannot run it, or it is no program
            continue
        if found is not None:
            return Case(program, data, found, case.origin)


def _fewer_operations(case: Case, engine: str) -> _Candidates:
    op = case.program[case.mismatch.operation]
    if not isinstance(op, Input):
        tensors = registry.run(case.program, case.data, engine, op.inputs).tensors
        with contextlib.suppress(NeuroSSMError):  # what leads to it may do where it alone does not
            yield from alone(case.program, op, tensors)
    for program in prefixes(case.program, op):
        yield program, case.data


def _fewer_steps(case: Case) -> _Candidates:
    """Yield the last 1, 2, 4, ... steps."""
    steps = 1
    while steps < case.data.shape[1]:
        yield case.program, case.data[:, -steps:]
        steps *= 2


def _cut_by(smaller: Callable[[Program, _Data, Mismatch], Cut], case: Case) -> _Candidates:
    found = smaller(case.program, case.data, case.mismatch)
    if found[0] is not case.program:
        yield found
