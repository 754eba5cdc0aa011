"""The CPU engine: samples spread over threads, each through compiled kernels, chunk by chunk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import IntArray
from neurossm.engine.lower import lower
from neurossm.engine.tape import Tape
from neurossm.engine.worker import Worker
from neurossm.program import SSM, Program, Run
from neurossm.program.arithmetic import Tally
from neurossm.program.reference import Progress, check_recordable

ROWS = 64
"""Steps in a chunk, or steps times samples where samples are short: what fits a core's cache."""
ENCODE_BYTES = 1 << 26
"""Data are turned into integers piece by piece, so much at a time."""


def default_threads() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def warm_up(program: Program) -> float:
    """Compile or load the kernels and lower the program; return the seconds it took."""
    started = time.perf_counter()
    tape = lower(program)
    worker = Worker(tape, 1, 1)
    channels = program.input.out.channels
    worker.advance(np.zeros((1, 1, channels), np.int64), 0, 0, _counts(tape))
    return time.perf_counter() - started


def run(
    program: Program,
    data: NDArray[np.generic],
    record: Iterable[str] = (),
    progress: Progress | None = None,
    threads: int | None = None,
) -> Run:
    """Run samples through a program; the integers are those of the reference engine.

    Parameters
    ----------
    program
        The integer program.
    data
        (B, L, size), or (B, L) where the input has one channel.
    record
        Tensors to keep for every step; states are recorded at a tenth of the speed.
    progress
        Called with the number of steps done, averaged over the samples.
    threads
        Cores to use; all by default. The result does not depend on it.

    Raises
    ------
    InputError
        Data that do not suit the input, more steps than `max_steps`, an unknown name to record.
    UnsupportedError
        An operation this engine does not know.
    """
    names = check_recordable(program, record)
    tape = lower(program, names)
    batch = _Batch(program, tape, len(data), names)
    for first, pieces in _encoded(program, data):
        batch.run(first, pieces, threads or default_threads(), progress)
    return batch.result()


def _encoded(program: Program, data: NDArray[np.generic]) -> Iterator[tuple[int, IntArray]]:
    """Yield the data as integers, some samples at a time."""
    size = max(1, ENCODE_BYTES // max(1, 8 * int(np.prod(data.shape[1:]))))
    for first in range(0, max(len(data), 1), size):
        yield first, np.ascontiguousarray(program.encode(data[first : first + size]))


class _Batch:
    """Collects the results of samples, in whatever order they come."""

    def __init__(self, program: Program, tape: Tape, samples: int, record: tuple[str, ...]) -> None:
        self.program, self.tape, self.samples, self.record = program, tape, samples, record
        self.total = np.zeros((samples, program.readout.weight.shape[1]), np.int64)
        self.counts = _counts(tape)
        self.tensors: dict[str, IntArray] = {}
        self.steps = 0
        self.done = 0

    def run(self, first: int, x: IntArray, threads: int, progress: Progress | None) -> None:
        """Run samples x (b, L, C), which are number `first` and following."""
        self.steps = x.shape[1]
        for name in self.record:
            if name not in self.tensors:
                shape = (self.samples, self.steps, *recorded_shape(self.program, name))
                self.tensors[name] = np.empty(shape, np.int64)
        size = group_size(len(x), self.steps, threads)
        memory = local()

        def task(begin: int) -> tuple[int, IntArray]:
            part = x[begin : begin + size]
            worker = getattr(memory, "worker", None)
            if worker is None or worker.samples != len(part):
                chunk = max(1, min(self.steps, ROWS // len(part)))
                worker = memory.worker = Worker(self.tape, len(part), chunk)
            worker.reset()
            counts = _counts(self.tape)
            self._advance(worker, part, first + begin, counts)
            self.total[first + begin : first + begin + len(part)] = worker.readout_sum(
                self.total.shape[1]
            )
            return len(part), counts

        for finished, counts in _in_threads(task, range(0, len(x), size), threads):
            self.counts += counts
            self.done += finished
            if progress is not None:
                progress(self.done * self.steps // self.samples)

    def _advance(self, worker: Worker, part: IntArray, first: int, counts: IntArray) -> None:
        if not self.record:
            worker.advance(part, 0, self.steps, counts)
            return
        for start in range(0, self.steps, worker.chunk):
            stop = min(start + worker.chunk, self.steps)
            worker.advance(part, start, stop, counts)
            for name, kept in self.tensors.items():
                target = kept[first : first + len(part), start:stop]
                target[...] = recorded(worker, name, stop - start).reshape(target.shape)

    def result(self) -> Run:
        """Decode the sums."""
        tally = Tally()
        logits = self.program.readout.decode(self.total, self.steps, tally)
        clipped = dict(zip(self.tape.names, self.counts.tolist(), strict=True))
        saturations = {name: count for name, count in clipped.items() if count}
        return Run(logits, {**saturations, **tally}, self.tensors)


def group_size(samples: int, steps: int, threads: int) -> int:
    """Return how many samples go together: one, unless they are short."""
    fit = max(1, ROWS // max(steps, 1))
    return max(1, min(fit, -(-samples // threads)))


def recorded_shape(program: Program, name: str) -> tuple[int, ...]:
    """Return (C) for a tensor, (H, N) for states."""
    owner, dot, _ = name.rpartition(".state_")
    if dot:
        op = program[owner]
        assert isinstance(op, SSM)
        return op.a_re.shape
    return (program[name].out.channels,)


def recorded(worker: Worker, name: str, steps: int) -> IntArray:
    """Return a tensor of the chunk just run, (samples, steps, ...); of states, the part asked."""
    values = worker.tensor(name, steps)
    if name.endswith(".state_re"):
        return values[:, :, 0::2]
    if name.endswith(".state_im"):
        return values[:, :, 1::2]
    return values


def _counts(tape: Tape) -> IntArray:
    return np.zeros(max(len(tape.names), 1), np.int64)


def _in_threads(task: Callable[[int], Any], items: Iterable[int], threads: int) -> Iterator[Any]:
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
