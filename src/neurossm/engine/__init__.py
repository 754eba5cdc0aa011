"""Engines: the same program, the same integers, at different speeds.

`reference` is the definition (`neurossm.program.reference`), `fast` runs compiled kernels on the
processor's cores, `lava` runs the program as a network of Lava processes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from numpy.typing import NDArray

from neurossm.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from neurossm.program import Program, Run
    from neurossm.program.reference import Progress

ENGINES = ("fast", "reference", "lava")
DEFAULT_ENGINE = "fast"


def run(
    program: Program,
    data: NDArray[np.generic],
    engine: str = DEFAULT_ENGINE,
    record: Iterable[str] = (),
    progress: Progress | None = None,
    count: Iterable[str] = (),
) -> Run:
    """Run samples through a program on an engine.

    Parameters
    ----------
    program
        The integer program.
    data
        (B, L, size), or (B, L) where the input has one channel.
    engine
        One of `ENGINES`; all give the same integers.
    record
        Tensors to keep for every step.
    progress
        Called with the number of steps done.
    count
        Tensors of which to count the integers that are not zero, by sample and channel; with
        some, the readout's sums are returned too.

    Raises
    ------
    InputError
        Unknown engine, data that do not suit, an unknown name to record.
    MissingDependencyError
        The engine's library is not installed.
    """
    if engine == "fast":
        from neurossm.engine import fast

        return fast.run(program, data, record, progress, count=count)
    if engine == "reference":
        from neurossm.program import reference

        return reference.run(program, data, record, progress, count)
    if engine == "lava":
        return _run_lava(program, data, tuple(record), progress, tuple(count))
    raise InputError(f"engine {engine!r} is unknown; known: {', '.join(ENGINES)}")


def _run_lava(
    program: Program,
    data: NDArray[np.generic],
    record: tuple[str, ...],
    progress: Progress | None,
    count: tuple[str, ...],
) -> Run:
    """Run on Lava, which records but does not count."""
    import numpy as np

    from neurossm import lava

    last = program.readout.inputs[0]
    needed = (*record, *count, last) if count else record
    result = lava.run(program, data, record=needed, progress=progress)
    if not count:
        return result
    return replace(
        result,
        tensors={name: result.tensors[name] for name in record},
        nonzeros={name: np.count_nonzero(result.tensors[name], axis=1) for name in count},
        totals=result.tensors[last].sum(axis=1),
    )
