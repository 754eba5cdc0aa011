"""The CPU engine: samples spread over threads, each through compiled kernels, chunk by chunk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import IntArray
from neurossm.engine.cpu.planner import lower
from neurossm.engine.cpu.workspace import Workspace
from neurossm.errors import InputError
from neurossm.graph.sequences import Sequences, runs_of_one_length
from neurossm.program import Program
from neurossm.program.running import Kept, Run, Sink, check_countable, check_recordable
from neurossm.progress import Meter, Progress
from neurossm.threads import usable_cores

ROWS = 64
"""Steps in a chunk, or steps times samples where samples are short: what fits a core's cache."""
ENCODE_BYTES = 1 << 26
"""Data are turned into integers piece by piece, so much at a time."""
REPORT_STEPS = 1 << 12
"""Steps of a sample after which progress is reported."""


def warm_up(program: Program) -> float:
    """Compile the kernels, or load them from disk, and lower the program; return the seconds.

    The first run does it otherwise. Compilation depends on no program: it happens once.
    """
    started = time.perf_counter()
    tape = lower(program)
    nothing = np.zeros((1, 1, program.input.out.channels), np.int64)
    Workspace(tape, 1, 1).advance(nothing, 0, 0, tape.counts())
    return time.perf_counter() - started


def run(
    program: Program,
    data: NDArray[np.generic],
    record: Iterable[str] = (),
    progress: Progress | None = None,
    threads: int | None = None,
    count: Iterable[str] = (),
    lengths: IntArray | None = None,
) -> Run:
    """Run samples through a program, as `neurossm.registry.run` says.

    The result does not depend on the number of threads. Recording states is several times slower.
    """
    kept = Kept(program, record, data.shape)
    ran = run_to(
        program,
        data,
        kept.names,
        kept,
        progress=progress,
        threads=threads,
        count=count,
        lengths=lengths,
    )
    return replace(ran, tensors=kept.tensors)


def run_to(
    program: Program,
    data: NDArray[np.generic],
    record: Iterable[str],
    sink: Sink,
    *,
    progress: Progress | None = None,
    threads: int | None = None,
    count: Iterable[str] = (),
    lengths: IntArray | None = None,
) -> Run:
    """Run samples and hand each recorded piece to `sink`, which threads call at the same time.

    Otherwise as `run`; the memory taken does not grow with the length of the samples.
    """
    names = check_recordable(program, record)
    counted = check_countable(program, count)
    if threads is not None and threads < 1:
        raise InputError(f"threads: {threads}, must be at least 1")
    steps = Sequences(data, lengths).steps
    meter = Meter(progress, "running", steps.sum())
    batch = _Batch(program, names, counted, steps, data.shape[1], sink, meter)
    for first, x in _encoded(program, data):
        batch.run(first, x, threads or usable_cores())
    return batch.result()


def _encoded(program: Program, data: NDArray[np.generic]) -> Iterator[tuple[int, IntArray]]:
    """Yield the data as integers, some samples at a time."""
    sample_bytes = 8 * int(np.prod(data.shape[1:], dtype=np.int64))
    size = max(1, ENCODE_BYTES // max(1, sample_bytes))
    for first in range(0, max(len(data), 1), size):
        yield first, np.ascontiguousarray(program.encode(data[first : first + size]))


class _Batch:
    """Runs samples of so many `steps` (B) in any order and collects their sums and counts."""

    def __init__(
        self,
        program: Program,
        names: tuple[str, ...],
        counted: tuple[str, ...],
        steps: IntArray,
        longest: int,
        sink: Sink,
        meter: Meter,
    ) -> None:
        self.program, self.names, self.counted, self.steps = program, names, counted, steps
        self.sink, self.meter = sink, meter
        self.source = program.readout.inputs[0]
        self.tape = lower(program, with_pooled(program, names), counted)
        self.pooled = program.readout.pooled(steps, longest)
        self.nonzeros = {
            name: np.zeros((len(steps), program[name].out.channels), np.int64) for name in counted
        }
        self.counts = self.tape.counts()

    def run(self, first: int, x: IntArray, threads: int) -> None:
        """Run samples x (b, L, C), which are number `first` and following."""
        size = group_size(len(x), x.shape[1], threads)
        groups = runs_of_one_length(self.steps[first : first + len(x)], size)
        memory = local()

        def task(group: tuple[int, int]) -> IntArray:
            begin, end = group
            workspace = getattr(memory, "workspace", None)
            if workspace is None or workspace.samples != end - begin:
                chunk = max(1, min(x.shape[1], ROWS // (end - begin)))
                workspace = memory.workspace = Workspace(self.tape, end - begin, chunk)
            return self._run_group(workspace, x[begin:end], first + begin)

        for counts in _in_threads(task, groups, threads):
            self.counts += counts

    def _run_group(self, workspace: Workspace, x: IntArray, first: int) -> IntArray:
        """Run samples of one length together; return what was clipped."""
        workspace.reset()
        counts = self.tape.counts()
        steps, samples = int(self.steps[first]), slice(first, first + len(x))
        # Recorded tensors are read from the work memory after every chunk.
        stride = workspace.chunk if self.tape.tensors else REPORT_STEPS
        for start in range(0, steps, stride):
            stop = min(start + stride, steps)
            workspace.advance(x, start, stop, counts)
            for name in self.names:
                self.sink(name, first, start, recorded(self.program, workspace, name, stop - start))
            if not self.tape.sums_readout:
                values = recorded(self.program, workspace, self.source, stop - start)
                self.pooled.add(samples, start, values)
            self.meter.add(len(x) * (stop - start))
        if self.tape.sums_readout:
            self.pooled.totals[samples] = workspace.total()
        for name, nonzeros in self.nonzeros.items():
            nonzeros[samples] = workspace.total(name)
        return counts

    def result(self) -> Run:
        """Decode what is kept."""
        logits = self.pooled.logits()
        saturations = self.tape.clipped(self.counts) | self.pooled.tally
        return Run(logits, saturations, {}, self.nonzeros, self.pooled.totals)


def with_pooled(program: Program, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the tensors to keep: also what the readout reads, unless the tape sums it."""
    read = () if program.readout.pool == "mean" else program.readout.inputs
    return tuple(dict.fromkeys((*names, *read)))


def group_size(samples: int, steps: int, threads: int) -> int:
    """Return how many samples go together: one, unless they are short."""
    fit = max(1, ROWS // max(steps, 1))
    return max(1, min(fit, -(-samples // threads)))


def recorded(program: Program, workspace: Workspace, name: str, steps: int) -> IntArray:
    """Return a tensor of the chunk just run, (samples, steps, ...); of states, the part asked."""
    values = workspace.tensor(name, steps)
    one = program.recordings[name]
    if one.state is not None:  # all states of an operation lie side by side
        values = values[:, :, one.op.states.index(one.state) :: len(one.op.states)]
    return values.reshape(*values.shape[:2], *one.shape)


def _in_threads(
    task: Callable[[tuple[int, int]], Any], items: Iterable[tuple[int, int]], threads: int
) -> Iterator[Any]:
    """Yield the results of a task in order; the kernels release the interpreter's lock."""
    if threads == 1:
        yield from map(task, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        try:
            yield from pool.map(task, items)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
