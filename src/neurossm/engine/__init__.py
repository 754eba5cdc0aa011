"""Engines: the same program, the same integers, at different speeds.

`reference` is the definition (`neurossm.program.reference`), `fast` runs compiled kernels on the
processor's cores or on a GPU, `lava` runs the program as a network of Lava processes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike, NDArray

from neurossm.arrays import as_names
from neurossm.checks import check_count
from neurossm.errors import InputError
from neurossm.graph.data import check_data

if TYPE_CHECKING:
    import numpy as np

    from neurossm.program import Program, Run
    from neurossm.program.reference import Progress

ENGINES = ("fast", "reference", "lava")
DEFAULT_ENGINE = "fast"
DEVICES = ("cpu", "cuda")
"""Where the fast engine runs; the others know the CPU only."""


def run(
    program: Program,
    data: ArrayLike,
    engine: str = DEFAULT_ENGINE,
    record: str | Iterable[str] = (),
    progress: Progress | None = None,
    count: str | Iterable[str] = (),
    threads: int | None = None,
    device: str | None = None,
) -> Run:
    """Run samples through a program on an engine.

    Parameters
    ----------
    program
        The integer program.
    data
        (B, L, size), or (B, L) where the input has one channel: an array, a PyTorch tensor or
        nested lists.
    engine
        One of `engine_names`, as "fast" or "fast:cuda"; all give the same integers.
    record
        Tensors to keep for every step.
    progress
        Called with the number of steps done.
    count
        Tensors of which to count the integers that are not zero, by sample and channel; with
        some, the readout's sums are returned too.
    threads
        Cores to use, on the engine "fast" and the CPU; all by default.
    device
        One of `DEVICES`, where the engine's name does not say it; the CPU by default.

    Raises
    ------
    InputError
        Unknown engine, data that do not suit, an unknown name to record, an option the engine does
        not have.
    MissingDependencyError
        The engine's library is not installed, or there is no such device.
    """
    engine, device = check_options(engine, device, threads)
    data = check_data(program.input, data)
    record, count = as_names(record, "record"), as_names(count, "count")
    if engine == "fast" and device != "cpu":
        from neurossm.engine.gpu import run as run_on_gpu

        return run_on_gpu(program, data, record, progress, count=count, device=device)
    if engine == "fast":
        from neurossm.engine import fast

        return fast.run(program, data, record, progress, threads, count)
    if engine == "reference":
        from neurossm.program import reference

        return reference.run(program, data, record, progress, count)
    if engine == "lava":
        return _run_lava(program, data, record, progress, count)
    raise AssertionError(engine)


def engine_names() -> tuple[str, ...]:
    """Return every engine, and every engine with every device it knows besides its default."""
    return (*ENGINES, *(f"fast:{device}" for device in DEVICES[1:]))


def check_engines(engines: str | Iterable[str]) -> tuple[str, ...]:
    """Return one engine's name, or several without repetition.

    Raises
    ------
    InputError
        An engine is unknown, or none was named.
    """
    names = as_names(engines, "engines")
    if not names:
        raise InputError(f"engines: none given; known: {', '.join(engine_names())}")
    for name in names:
        check_options(name)
    return names


def check_options(
    engine: str, device: str | None = None, threads: int | None = None
) -> tuple[str, str]:
    """Return the engine's name and its device; refuse what the engine does not have.

    Raises
    ------
    InputError
        Unknown engine or device, threads below 1, or a device or threads for an engine that has
        neither; or a device besides another one in the engine's name.
    """
    known, given = engine_names(), engine
    if not isinstance(engine, str) or engine not in known:
        raise InputError(f"engine {engine!r} is unknown; known: {', '.join(known)}")
    engine, _, own = engine.partition(":")
    if own and device not in (None, own):
        raise InputError(f"engine {given!r}: device {device!r} contradicts it; leave one out")
    device = own or device or DEVICES[0]
    if device not in DEVICES:
        raise InputError(f"device {device!r} is unknown; known: {', '.join(DEVICES)}")
    if device != "cpu" and engine != "fast":
        raise InputError(f"device {device!r}: the engine {engine!r} runs on the CPU only; use fast")
    if threads is not None and (engine != "fast" or device != "cpu"):
        where = f"the engine {engine!r}" if engine != "fast" else f"the device {device!r}"
        raise InputError(f"threads: {where} has no number of threads; leave them out")
    if threads is not None:
        check_count("threads", threads)
    return engine, device


def warm_up(program: Program, engine: str = DEFAULT_ENGINE, device: str | None = None) -> float:
    """Compile an engine's kernels, or load them from disk; return the seconds it took.

    The first run does it otherwise. An engine that compiles nothing takes no time.
    """
    engine, device = check_options(engine, device)
    if engine != "fast":
        return 0.0
    started = time.perf_counter()
    if device == "cpu":
        from neurossm.engine import fast

        fast.warm_up(program)
    else:
        from neurossm.engine.gpu import warm_up as warm_up_gpu

        warm_up_gpu(program, device)
    return time.perf_counter() - started


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
