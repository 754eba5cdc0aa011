"""The engine "c": a program's C, compiled here, sample by sample on as many cores as asked."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import IntArray
from neurossm.c import build
from neurossm.c.lowering import CTensor
from neurossm.c.source import CHUNK, CSource, source_of, template
from neurossm.errors import RunError
from neurossm.graph.sequences import Sequences
from neurossm.program import Program, Run
from neurossm.program.running import check_countable, check_recordable
from neurossm.progress import Meter, Progress
from neurossm.threads import usable_cores

STYLE = "portable"
_WATCHING = {
    "": (),
    "tensors": ("-DNETWORK_WATCH", f"-DNETWORK_CHUNK={CHUNK}"),
    "states": ("-DNETWORK_WATCH",),
}
"""States can be seen where one step is taken at a time only."""


def run(
    program: Program,
    data: NDArray[np.generic],
    record: Iterable[str] = (),
    progress: Progress | None = None,
    threads: int | None = None,
    count: Iterable[str] = (),
    lengths: IntArray | None = None,
    *,
    style: str = STYLE,
) -> Run:
    """Run samples through a program's C; see `neurossm.program.reference.run`.

    Raises
    ------
    InputError
        Data that do not suit the input, more steps than `max_steps`, an unknown name to record.
    UnsupportedError
        The program has an operation that cannot be written in C.
    MissingDependencyError
        There is no C compiler.
    RunError
        The compiler fails.
    """
    names, counted = check_recordable(program, record), check_countable(program, count)
    library = library_of(program, style, watched(program, (*names, *counted), style))
    x = program.encode(data)
    steps = Sequences(x, lengths).steps
    meter = Meter(progress, "running", steps.sum())
    batch = _Samples(library, program, x, steps, names, counted, meter)
    batch.run_all(min(threads or usable_cores(), len(x)))
    return batch.result()


def warm_up(program: Program, *, style: str = STYLE) -> None:
    """Compile what the first run compiles."""
    library_of(program, style, "")


def watched(program: Program, names: tuple[str, ...], style: str) -> str:
    """Return which of `_WATCHING` sees tensors of these names."""
    if not names:
        return ""
    states = any(program.recordings[name].state is not None for name in names)
    return "states" if states or style == "portable" else "tensors"


@dataclass(frozen=True, eq=False)
class Library:
    """A compiled program, and networks of it that nobody uses at the moment."""

    source: CSource
    code: Any
    spare: list[LoadedNetwork] = field(default_factory=list)

    @property
    def tensors(self) -> dict[str, tuple[int, CTensor]]:
        """Number and type of every tensor that is shown, by name."""
        return {one.name: (n, one) for n, one in enumerate(self.source.lowering.shown)}


@lru_cache(maxsize=8)
def library_of(program: Program, style: str, watched: str) -> Library:
    """Compile a program, or find what was compiled before; one of `_WATCHING` says who watches."""
    source = _source(program, style)
    bench = template("bench.c")
    flags = [f"-DBENCH_TALLIES={len(source.tallies)}", *_WATCHING[watched]]
    code = build.library({**source.files, "bench.c": bench}, "bench.c", flags)
    code.bench_bytes.restype = ctypes.c_size_t
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    code.bench_reset.argtypes = (pointer,)
    code.bench_run.argtypes = (pointer, pointer, size, pointer)
    code.bench_stream.argtypes = (pointer, pointer, size, pointer, pointer)
    code.bench_read.argtypes = (pointer, pointer, pointer, pointer)
    return Library(source, code)


@lru_cache(maxsize=8)
def _source(program: Program, style: str) -> CSource:
    return source_of(program, "network", style)


class LoadedNetwork:
    """One network in the middle of its input."""

    def __init__(self, library: Library) -> None:
        self._code = library.code
        self._memory = np.zeros(self._code.bench_bytes() + 63, np.uint8)
        start = self._memory.ctypes.data
        self._at = start + -start % 64
        lowering = library.source.lowering
        self._input = np.dtype(lowering.tensors[lowering.program.input.name].kind.letter)
        self._tensors = len(lowering.shown)
        self._known, self._recordings = library.tensors, lowering.program.recordings
        readout = lowering.program.readout
        self._logits = np.zeros(readout.out.channels, np.int64)
        self._sum = np.zeros(readout.weight.shape[1], np.int64)
        self._clipped = np.zeros(len(library.source.tallies) or 1, np.uint64)
        self._tallies = library.source.tallies
        self._readout, self._least = readout.name, lowering.least

    def reset(self) -> None:
        """Begin a sample."""
        self._code.bench_reset(self._at)

    def advance(
        self, x: IntArray, to: dict[int, NDArray[Any]], logits: IntArray | None = None
    ) -> int:
        """Take steps (L, C); tensors of these numbers are written where `to` says.

        With `logits` (L, classes), those of every step are written there, and how many of them
        were clipped is returned.
        """
        x = np.ascontiguousarray(x, self._input)
        pointers = None
        if to:
            pointers = np.zeros(self._tensors, np.uintp)
            for number, array in to.items():
                pointers[number] = array.ctypes.data
        given = (
            self._at,
            x.ctypes.data,
            len(x),
            None if pointers is None else pointers.ctypes.data,
        )
        if logits is None:
            status, clipped = int(self._code.bench_run(*given)), 0
        else:
            clipped = int(self._code.bench_stream(*given, logits.ctypes.data))
            status = min(clipped, 0)
        if status:  # what was encoded is within the bounds, so this cannot happen
            raise RunError(f"engine 'c': a step was refused with status {status}")
        return clipped

    def stream(
        self, x: IntArray, names: Iterable[str]
    ) -> tuple[dict[str, NDArray[Any]], IntArray, int]:
        """As `record`; return the logits (L, classes) of every step, too, and how many clipped."""
        logits = np.zeros((len(x), len(self._logits)), np.int64)
        kept, to = self._room(x, names)
        return kept, logits, self.advance(x, to, logits)

    def record(self, x: IntArray, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Take steps (L, C) and return tensors of these names, (L, ...), in their own types."""
        kept, to = self._room(x, names)
        self.advance(x, to)
        return kept

    def _room(
        self, x: IntArray, names: Iterable[str]
    ) -> tuple[dict[str, NDArray[Any]], dict[int, NDArray[Any]]]:
        """Return arrays for tensors by name, and the same by number."""
        kept, to = {}, {}
        for name in dict.fromkeys(names):
            number, tensor = self._known[name]
            to[number] = np.empty((len(x), tensor.size), tensor.kind.letter)
            kept[name] = to[number].reshape(len(x), *self._recordings[name].shape)
        return kept, to

    def read(self) -> tuple[IntArray, IntArray, Counter[str]]:
        """Return logits, what the readout keeps, and how many integers were clipped."""
        at = (self._logits.ctypes.data, self._sum.ctypes.data, self._clipped.ctypes.data)
        clipped = self._code.bench_read(self._at, *at)
        counts = Counter({n: int(k) for n, k in zip(self._tallies, self._clipped, strict=False)})
        counts[self._readout] += clipped
        return self._logits.copy(), self._sum + self._least, counts


@dataclass
class _Samples:
    """Runs samples in any order and collects what they lead to."""

    library: Library
    program: Program
    x: IntArray
    steps: IntArray
    names: tuple[str, ...]
    counted: tuple[str, ...]
    meter: Meter
    lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        batch, steps = self.x.shape[:2]
        recordings = self.program.recordings
        self.tensors = {
            name: np.zeros((batch, steps, *recordings[name].shape), np.int64) for name in self.names
        }
        self.nonzeros = {
            name: np.zeros((batch, *recordings[name].shape), np.int64) for name in self.counted
        }
        readout = self.program.readout
        each = (steps,) if readout.streams else ()
        self.logits = np.zeros((batch, *each, readout.out.channels), np.int64)
        self.totals = np.zeros((batch, readout.weight.shape[1]), np.int64)
        self.clipped: Counter[str] = Counter()

    def run_all(self, threads: int) -> None:
        """Run every sample, on so many threads."""
        samples = range(len(self.x))
        if threads == 1:
            for sample in samples:
                self.run(sample)
            return
        with ThreadPoolExecutor(threads) as pool:
            try:
                for _ in pool.map(self.run, samples):
                    pass
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def run(self, sample: int) -> None:
        """Run one sample."""
        spare = self.library.spare
        try:
            network = spare.pop()
        except IndexError:
            network = LoadedNetwork(self.library)
        network.reset()
        x = self.x[sample, : self.steps[sample]]
        names, readout = (*self.names, *self.counted), self.program.readout
        if readout.streams:
            kept, logits, count = network.stream(x, names)
            _, self.totals[sample], clipped = network.read()
            self.logits[sample, : len(x)] = logits
            clipped[readout.name] = count  # of all steps, not of the last one
        else:
            kept = network.record(x, names)
            self.logits[sample], self.totals[sample], clipped = network.read()
        spare.append(network)
        for name in self.names:
            self.tensors[name][sample, : len(x)] = kept[name]
        for name in self.counted:
            self.nonzeros[name][sample] = np.count_nonzero(kept[name], axis=0)
        with self.lock:
            self.clipped += clipped
        self.meter.add(len(x))

    def result(self) -> Run:
        """Return what all samples led to."""
        saturations = {name: count for name, count in self.clipped.items() if count}
        return Run(self.logits, saturations, self.tensors, self.nonzeros, self.totals)
