"""Engines: the same program, the same integers, at different speeds.

`reference` is the definition (`neurossm.program.reference`), `fast` runs compiled kernels on the
processor's cores, `lava` runs the program as a network of Lava processes.
"""

from __future__ import annotations

from collections.abc import Iterable
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

    Raises
    ------
    InputError
        Unknown engine, data that do not suit, an unknown name to record.
    MissingDependencyError
        The engine's library is not installed.
    """
    if engine == "fast":
        from neurossm.engine import fast

        return fast.run(program, data, record, progress)
    if engine == "reference":
        from neurossm.program import reference

        return reference.run(program, data, record, progress)
    if engine == "lava":
        from neurossm import lava

        return lava.run(program, data, record=record, progress=progress)
    raise InputError(f"engine {engine!r} is unknown; known: {', '.join(ENGINES)}")
