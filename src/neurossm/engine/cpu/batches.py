"""The CPU engine: samples spread over threads, each through compiled kernels, chunk by chunk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import IntArray
from neurossm.engine.cpu.planner import lower
from neurossm.engine.cpu.tape import Tape
from neurossm.engine.cpu.workspace import Workspace
from neurossm.errors import InputError
from neurossm.program import Program, Run
from neurossm.program.arithmetic import Tally
from neurossm.program.reference import check_countable, check_recordable
from neurossm.progress import Meter, Progress
from neurossm.threads import usable_cores

ROWS = 64
"""Steps in a chunk, or steps times samples where samples are short: what fits a core's cache."""
ENCODE_BYTES = 1 << 26
"""Data are turned into integers piece by piece, so much at a time."""
REPORT_STEPS = 1 << 12
"""Steps of a sample after which progress is reported."""

Sink = Callable[[str, int, int, IntArray], None]
"""Takes a piece of a recorded tensor: name, first sample, first step, values (b, steps, ...)."""


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
) -> Run:
    """Run samples through a program; the integers are those of the reference engine.

    Parameters
    ----------
    program
        The integer program.
    data
        (B, L, size), or (B, L) where the input has one channel.
    record
        Tensors to keep for every step; recording states is several times slower.
    progress
        Told how many time steps of all samples are done; see `neurossm.progress`.
    threads
        Cores to use; all by default. The result does not depend on it.
    count
        Tensors whose nonzero integers to count.

    Raises
    ------
    InputError
        Data that do not suit the input, more steps than `max_steps`, an unknown name to record,
        fewer than one thread.
    UnsupportedError
        An operation this engine does not know.
    """
    tensors: dict[str, IntArray] = {}
    names = check_recordable(program, record)
    for name in names:
        shape = (*data.shape[:2], *program.recordings[name].shape)
        tensors[name] = np.empty(shape, np.int64)

    def keep(name: str, sample: int, step: int, values: IntArray) -> None:
        tensors[name][sample : sample + len(values), step : step + values.shape[1]] = values

    return run_to(
        program, data, names, keep, progress=progress, threads=threads, count=count, tensors=tensors
    )


def run_to(
    program: Program,
    data: NDArray[np.generic],
    record: Iterable[str],
    sink: Sink,
    *,
    progress: Progress | None = None,
    threads: int | None = None,
    count: Iterable[str] = (),
    tensors: dict[str, IntArray] | None = None,
) -> Run:
    """Run samples and hand each recorded piece to `sink`, which threads call at the same time.

    Otherwise as `run`; the memory taken does not grow with the length of the samples.
    """
    names = check_recordable(program, record)
    counted = check_countable(program, count)
    if threads is not None and threads < 1:
        raise InputError(f"threads: {threads}, must be at least 1")
    meter = Meter(progress, "running", data.shape[0] * data.shape[1])
    batch = _Batch(program, lower(program, names, counted), len(data), sink, meter)
    for first, x in _encoded(program, data):
        batch.run(first, x, threads or usable_cores())
    return batch.result(tensors or {})


def _encoded(program: Program, data: NDArray[np.generic]) -> Iterator[tuple[int, IntArray]]:
    """Yield the data as integers, some samples at a time."""
    sample_bytes = 8 * int(np.prod(data.shape[1:], dtype=np.int64))
    size = max(1, ENCODE_BYTES // max(1, sample_bytes))
    for first in range(0, max(len(data), 1), size):
        yield first, np.ascontiguousarray(program.encode(data[first : first + size]))


class _Batch:
    """Runs samples in any order and collects their sums and counts."""

    def __init__(
        self, program: Program, tape: Tape, samples: int, sink: Sink, meter: Meter
    ) -> None:
        self.program, self.tape, self.samples, self.sink = program, tape, samples, sink
        self.meter = meter
        self.sums = {
            key: np.zeros((samples, channels), np.int64) for key, (_, channels) in tape.sums.items()
        }
        self.counts = tape.counts()
        self.steps = 0

    def run(self, first: int, x: IntArray, threads: int) -> None:
        """Run samples x (b, L, C), which are number `first` and following."""
        self.steps = x.shape[1]
        size = group_size(len(x), self.steps, threads)
        memory = local()

        def task(begin: int) -> IntArray:
            part = x[begin : begin + size]
            workspace = getattr(memory, "workspace", None)
            if workspace is None or workspace.samples != len(part):
                chunk = max(1, min(self.steps, ROWS // len(part)))
                workspace = memory.workspace = Workspace(self.tape, len(part), chunk)
            return self._run_group(workspace, part, first + begin)

        for counts in _in_threads(task, range(0, len(x), size), threads):
            self.counts += counts

    def _run_group(self, workspace: Workspace, x: IntArray, first: int) -> IntArray:
        """Run samples that go together; return what was clipped."""
        workspace.reset()
        counts = self.tape.counts()
        names = self.tape.tensors
        # Recorded tensors are read from the work memory after every chunk.
        stride = workspace.chunk if names else REPORT_STEPS
        for start in range(0, self.steps, stride):
            stop = min(start + stride, self.steps)
            workspace.advance(x, start, stop, counts)
            for name in names:
                self.sink(name, first, start, recorded(self.program, workspace, name, stop - start))
            self.meter.add(len(x) * (stop - start))
        for key, sums in self.sums.items():
            sums[first : first + len(x)] = workspace.total(key)
        return counts

    def result(self, tensors: dict[str, IntArray]) -> Run:
        """Decode the sums."""
        tally = Tally()
        totals = self.sums.pop("")
        logits = self.program.readout.decode(totals, self.steps, tally)
        saturations = self.tape.clipped(self.counts) | tally
        return Run(logits, saturations, tensors, self.sums, totals)


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
