"""The engines by name: what each can do, and where it is; none is imported before it is used.

An engine is a module with a function::

    run(program, data, *, record, progress[, lengths][, count][, threads][, device]) -> Run

that takes checked data and returns the same integers as every other engine. Those in brackets it
takes where its `Engine` says so; one that takes no `lengths` gets samples of equal length together.
It may have, besides,

- `warm_up(program[, device])`: compile what the first run would compile;
- `run_to(program, data, record, sink, *, progress, lengths[, threads][, device])`: as `run`, but
  recorded pieces go to `sink(name, first sample, first step, values)`;
- `kept()`: a context in which runs share what takes time to start;
- `Session(program, streams, record)`: the program step by step.

Engines of other packages register an `Engine` in the entry-point group `neurossm.engines`.

Languages that a program can be written in are here too. One is a module with a function
`emit(program, folder, *, style, name, data)`; those of other packages register a `Language` in the
group `neurossm.languages`.
"""

from __future__ import annotations

import importlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from neurossm.arrays import IntArray, as_names
from neurossm.checks import check_count
from neurossm.errors import InputError
from neurossm.graph.data import check_sequences
from neurossm.graph.sequences import Sequences, longest_first
from neurossm.progress import Meter, Progress

if TYPE_CHECKING:
    from neurossm.program import Program, Readout, Run

ENTRY_POINTS = "neurossm.engines"
LANGUAGES = "neurossm.languages"
DEFAULT_ENGINE = "fast"


@dataclass(frozen=True)
class Engine:
    """What an engine is called and what it can do.

    Parameters
    ----------
    name
        As users name it.
    modules
        For each device it runs on, the default first, the module that runs there.
    summary
        A few words on what it is for.
    counts
        Whether it counts nonzero integers itself; otherwise they are counted in what it records.
    threads
        Whether it takes a number of threads, on its default device.
    streams
        Whether it runs step by step.
    traces
        Whether it has `run_to`.
    lengths
        Whether it takes the lengths of samples that end early.
    """

    name: str
    modules: Mapping[str, str]
    summary: str = ""
    counts: bool = True
    threads: bool = False
    streams: bool = False
    traces: bool = False
    lengths: bool = False

    @property
    def devices(self) -> tuple[str, ...]:
        """Where it runs; the default first."""
        return tuple(self.modules)

    def module(self, device: str) -> ModuleType:
        """Import the module that runs on a device."""
        return importlib.import_module(self.modules[device])


_OWN = (
    Engine(
        "fast",
        {"cpu": "neurossm.engine.cpu", "cuda": "neurossm.engine.gpu"},
        "compiled kernels on the processor's cores or on a GPU",
        threads=True,
        streams=True,
        traces=True,
        lengths=True,
    ),
    Engine(
        "reference",
        {"cpu": "neurossm.program.reference"},
        "the definition, in NumPy, step by step",
        lengths=True,
    ),
    Engine(
        "lava",
        {"cpu": "neurossm.lava"},
        "a network of Lava's processes",
        counts=False,
        lengths=True,
    ),
    Engine(
        "c",
        {"cpu": "neurossm.c.portable"},
        "portable C, compiled here",
        threads=True,
        streams=True,
        lengths=True,
    ),
    Engine(
        "c-vector",
        {"cpu": "neurossm.c.vector"},
        "C in vectors, compiled here",
        threads=True,
        streams=True,
        lengths=True,
    ),
)


@dataclass(frozen=True)
class Language:
    """A language that programs can be written in.

    Parameters
    ----------
    name
        As users name it.
    module
        The module with `emit`.
    styles
        Ways to write it, the default first.
    """

    name: str
    module: str
    styles: tuple[str, ...]


_OWN_LANGUAGES = (Language("c", "neurossm.c", ("portable", "vector")),)
Entry = TypeVar("Entry", Engine, Language)


@lru_cache(maxsize=1)
def engines() -> Mapping[str, Engine]:
    """Return all engines by name, those of this package first.

    Raises
    ------
    InputError
        An engine of another package has a name that is taken, or is no `Engine`.
    """
    return _with_others(_OWN, Engine, ENTRY_POINTS)


@lru_cache(maxsize=1)
def languages() -> Mapping[str, Language]:
    """Return all languages by name, those of this package first; InputError as for `engines`."""
    return _with_others(_OWN_LANGUAGES, Language, LANGUAGES)


def _with_others(own: tuple[Entry, ...], kind: type[Entry], group: str) -> Mapping[str, Entry]:
    found = {one.name: one for one in own}
    what = kind.__name__.lower()
    for point in entry_points(group=group):
        one = point.load()
        if not isinstance(one, kind) or one.name in found:
            raise InputError(
                f"{what} {point.name!r} of {point.value} cannot be registered: it is no "
                f"neurossm.registry.{kind.__name__}, or its name is one of {', '.join(found)}"
            )
        found[one.name] = one
    return found


def engine_names() -> tuple[str, ...]:
    """Return every engine, and every engine with every device it knows besides its default."""
    known = engines().values()
    others = (f"{one.name}:{device}" for one in known for device in one.devices[1:])
    return (*engines(), *others)


def device_names() -> tuple[str, ...]:
    """Return every device that some engine runs on."""
    return tuple(dict.fromkeys(device for one in engines().values() for device in one.devices))


def check_engines(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return one engine's name, or several without repetition.

    Raises
    ------
    InputError
        An engine is unknown, or none was named.
    """
    given = as_names(names, "engines")
    if not given:
        raise InputError(f"engines: none given; known: {', '.join(engine_names())}")
    for name in given:
        check_options(name)
    return given


def check_options(
    engine: str, device: str | None = None, threads: int | None = None
) -> tuple[Engine, str]:
    """Return an engine and its device; refuse what the engine does not have.

    Raises
    ------
    InputError
        Unknown engine or device, threads below 1, or a device or threads for an engine that has
        neither; or a device besides another one in the engine's name.
    """
    known = engine_names()
    if not isinstance(engine, str) or engine not in known:
        raise InputError(f"engine {engine!r} is unknown; known: {', '.join(known)}")
    name, _, own = engine.partition(":")
    chosen = engines()[name]
    if own and device not in (None, own):
        raise InputError(f"engine {engine!r}: device {device!r} contradicts it; leave one out")
    device = own or device or chosen.devices[0]
    if device not in device_names():
        raise InputError(f"device {device!r} is unknown; known: {', '.join(device_names())}")
    if device not in chosen.devices:
        only = " and ".join({"cpu": "the CPU"}.get(one, one) for one in chosen.devices)
        raise InputError(f"device {device!r}: the engine {name!r} runs on {only} only; use fast")
    if threads is not None:
        if not chosen.threads or device != chosen.devices[0]:
            where = f"the device {device!r}" if chosen.threads else f"the engine {name!r}"
            raise InputError(f"threads: {where} has no number of threads; leave them out")
        check_count("threads", threads)
    return chosen, device


def options_of(engine: Engine, device: str, threads: int | None) -> dict[str, Any]:
    """Return the options that an engine's functions take, besides those that all take."""
    options: dict[str, Any] = {"device": device} if device != engine.devices[0] else {}
    return options if threads is None else options | {"threads": threads}


def run(
    program: Program,
    data: ArrayLike,
    engine: str = DEFAULT_ENGINE,
    record: str | Iterable[str] = (),
    progress: Progress | None = None,
    count: str | Iterable[str] = (),
    threads: int | None = None,
    device: str | None = None,
    lengths: ArrayLike | None = None,
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
        Tensors to keep for every step; all names are in `program.recordings`.
    progress
        Told how many time steps of all samples are done; see `neurossm.progress`.
    count
        Tensors of which to count the integers that are not zero, by sample and channel; with
        some, the readout's sums are returned too.
    threads
        Cores to use, on the engine "fast" and the CPU, "c" and "c-vector"; all by default.
    device
        Where to run, where the engine's name does not say it; its first device by default.
    lengths
        (B) valid steps of each sample, 1 to L; all L by default. Every result is that of the
        sample alone, cut to its length; what the data hold after it is never looked at.

    Raises
    ------
    InputError
        Unknown engine, data or lengths that do not suit, an unknown name to record, an option the
        engine does not have.
    MissingDependencyError
        The engine's library is not installed, or there is no such device.
    """
    chosen, place = check_options(engine, device, threads)
    samples = check_sequences(program.input, data, lengths)
    record, count = as_names(record, "record"), as_names(count, "count")
    options = options_of(chosen, place, threads)
    if chosen.counts:
        options["count"] = count
        return _run(program, samples, chosen, place, record, progress, options)
    last = program.readout.inputs[0]
    needed = (*record, *count, last) if count else record
    recorded = _run(program, samples, chosen, place, needed, progress, options)
    return _counted(recorded, record, count, program.readout, samples) if count else recorded


def _run(
    program: Program,
    samples: Sequences,
    engine: Engine,
    device: str,
    record: tuple[str, ...],
    progress: Progress | None,
    options: dict[str, Any],
) -> Run:
    """Run an engine, as often as there are lengths where it knows none."""
    run_there: Callable[..., Run] = engine.module(device).run
    if samples.lengths is None:
        return run_there(program, samples.x, record=record, progress=progress, **options)
    if engine.lengths:
        options = options | {"lengths": samples.lengths}
        return run_there(program, samples.x, record=record, progress=progress, **options)
    order = longest_first(samples.steps)
    parts, meter = [], Meter(progress, "running", samples.steps.sum())
    for _, x in samples[order].whole(len(samples)):
        parts.append(run_there(program, x, record=record, progress=None, **options))
        meter.add(x.shape[0] * x.shape[1])
    return _joined(parts, order, samples.x.shape[1])


def _joined(parts: Sequence[Run], order: IntArray, steps: int) -> Run:
    """Return the runs of samples that were run apart, which have the numbers `order`, as one."""
    rows = np.split(order, np.cumsum([len(part.logits) for part in parts])[:-1])

    def together(arrays: Sequence[IntArray], *, timed: bool = False) -> IntArray:
        first = arrays[0]
        shape = (steps, *first.shape[2:]) if timed else first.shape[1:]
        whole = np.zeros((len(order), *shape), np.int64)
        for at, values in zip(rows, arrays, strict=True):
            whole[(at, slice(values.shape[1])) if timed else at] = values
        return whole

    first = parts[0]
    return replace(
        first,
        logits=together([part.logits for part in parts], timed=first.logits.ndim > 2),
        saturations=dict(sum((Counter(part.saturations) for part in parts), Counter())),
        tensors={
            name: together([part.tensors[name] for part in parts], timed=True)
            for name in first.tensors
        },
        nonzeros={
            name: together([part.nonzeros[name] for part in parts]) for name in first.nonzeros
        },
        totals=together([part.totals for part in parts]),
    )


def _counted(
    run: Run, record: tuple[str, ...], count: tuple[str, ...], readout: Readout, samples: Sequences
) -> Run:
    """Count in what was recorded."""
    last, pooled = run.tensors[readout.inputs[0]], readout.pooled(samples.steps, samples.x.shape[1])
    for at, steps in enumerate(samples.steps):
        pooled.add(slice(at, at + 1), 0, last[at : at + 1, :steps])
    return replace(
        run,
        tensors={name: run.tensors[name] for name in record},
        nonzeros={name: np.count_nonzero(run.tensors[name], axis=1) for name in count},
        totals=pooled.totals,
    )


@contextmanager
def kept(names: Iterable[str]) -> Iterator[None]:
    """Let runs of these engines in this block share what takes them time to start: Lava's worker.

    Nothing of it is left when the block ends.
    """
    with ExitStack() as stack:
        for chosen, place in map(check_options, names):
            module = chosen.module(place)
            if hasattr(module, "kept"):
                stack.enter_context(module.kept())
        yield


def warm_up(program: Program, engine: str = DEFAULT_ENGINE, device: str | None = None) -> float:
    """Compile an engine's kernels, or load them from disk; return the seconds it took.

    The first run does it otherwise. An engine that compiles nothing takes no time.
    """
    chosen, place = check_options(engine, device)
    started = time.perf_counter()
    module = chosen.module(place)
    if not hasattr(module, "warm_up"):
        return 0.0
    module.warm_up(program, **options_of(chosen, place, None))
    return time.perf_counter() - started


def session_type(engine: str = DEFAULT_ENGINE) -> Any:
    """Return the class that runs a program step by step; InputError for an engine without one."""
    chosen, place = check_options(engine)
    if not chosen.streams:
        raise InputError(f"engine {engine!r} does not run step by step; use {DEFAULT_ENGINE}")
    return chosen.module(place).Session


def emit(
    program: Program,
    folder: str | Path,
    *,
    language: str = "c",
    style: str | None = None,
    name: str = "network",
    data: ArrayLike | None = None,
) -> Any:
    """Write a program in another language; see `Program.emit`."""
    known = languages()
    if language not in known:
        raise InputError(f"language {language!r} is unknown; known: {', '.join(known)}")
    chosen = known[language]
    style = style or chosen.styles[0]
    if style not in chosen.styles:
        raise InputError(f"style {style!r} is unknown; {language} has {', '.join(chosen.styles)}")
    module = importlib.import_module(chosen.module)
    return module.emit(program, folder, style=style, name=name, data=data)
