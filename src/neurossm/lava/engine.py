"""Runs integer programs and float graphs on Lava."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurossm.arrays import FloatArray
from neurossm.errors import InputError, RunError
from neurossm.graph.data import check_data, check_sequences
from neurossm.graph.sequences import Sequences
from neurossm.lava.hardware import hardware_of
from neurossm.lava.job import Job
from neurossm.lava.parts import parts_of_graph, parts_of_program
from neurossm.lava.plan import CLOCK, Plan
from neurossm.lava.planner import make_plan
from neurossm.lava.worker import Worker, borrowed
from neurossm.program.running import Run, check_recordable
from neurossm.progress import Progress

if TYPE_CHECKING:
    from neurossm.graph import Graph
    from neurossm.program import Program


def plan_program(program: Program, output: str | None = None) -> Plan:
    """Return the Lava processes a program needs, their wires and `latency_steps`; needs no Lava.

    With `output`, a tensor, the network ends with it instead of the logits.

    Raises
    ------
    LimitError
        Lava's Dense or messages cannot hold an integer exactly.
    """
    return make_plan(parts_of_program(program), output)


def plan_graph(graph: Graph, output: str | None = None) -> Plan:
    """Return the Lava processes a float graph needs; see `plan_program`.

    Raises
    ------
    UnsupportedError
        The graph does not end in one mean over time and functions of it.
    """
    return make_plan(parts_of_graph(graph), output)


def encode(graph: Graph, data: ArrayLike) -> FloatArray:
    """Return the values (B, L, channels) that the network is to play; InputError if unsuitable."""
    x: Any = check_data(graph.input, data)
    return graph.input.apply(x).astype(np.float64)


def run(
    program: Program,
    data: ArrayLike,
    *,
    record: Iterable[str] = (),
    progress: Progress | None = None,
    lengths: ArrayLike | None = None,
    timeout: float | None = None,
    worker: Worker | None = None,
) -> Run:
    """Run samples through a program on Lava's fixed_pt models, in one stream.

    The samples follow each other without gaps; every value of the result is an exact integer.

    Parameters
    ----------
    program
        The integer program.
    data
        (B, L, size), or (B, L) where the input has one channel.
    record
        Tensors to keep for every step, also "NAME:state_re" and "NAME:state_im" of an SSM.
    progress
        Told how many time steps of all samples are done; see `neurossm.progress`.
    lengths
        (B) valid steps of each sample, 1 to L; all L by default.
    timeout
        Seconds after which to give up.
    worker
        A running worker to use, which saves two seconds; None takes that of a block of `kept`, or
        starts one and ends it.

    Raises
    ------
    InputError
        Data that do not suit the input, more steps than `max_steps`, an unknown name to record.
    LimitError, UnsupportedError
        Lava cannot run the program exactly (see `plan_program`), or the program's target says that
        Lava's simulation does not stand for it, and no package brings process models for it.
    MissingDependencyError
        Lava is not installed.
    RunError
        A process of the network failed, or time is up.
    """
    hardware = hardware_of(program)
    samples = check_sequences(program.input, data, lengths)
    x = program.encode(samples.x).astype(np.int32)
    names = check_recordable(program, record)
    if names and hardware is not None and not hardware.records:
        raise InputError(f"record: the process models for {hardware.target!r} record nothing")
    stream = _Stream(
        plan_program(program),
        Sequences(x, samples.lengths),
        names,
        program.readout.out.channels,
        hardware.target if hardware is not None else None,
    )
    saturations = stream.run(worker, progress, timeout)
    tensors = {name: stream.result(name).astype(np.int64) for name in names}
    return Run(stream.logits(), saturations, tensors)


def run_graph(
    graph: Graph,
    data: NDArray[np.generic],
    *,
    record: Iterable[str] = (),
    progress: Progress | None = None,
    lengths: ArrayLike | None = None,
    timeout: float | None = None,
    worker: Worker | None = None,
) -> dict[str, FloatArray]:
    """Run samples through a float graph on Lava's floating_pt models, in one stream.

    Parameters are those of `run`.

    Returns
    -------
    dict
        The output (B, classes) under its node's name, and every recorded tensor (B, L, channels).

    Raises
    ------
    InputError, UnsupportedError, MissingDependencyError, RunError
        See `run`.
    """
    names = tuple(dict.fromkeys(record))
    samples = check_sequences(graph.input, data, lengths)
    stream = _Stream(
        plan_graph(graph),
        Sequences(encode(graph, samples.x), samples.lengths),
        names,
        graph.channels()[graph.output.name],
    )
    stream.run(worker, progress, timeout)
    tensors: dict[str, FloatArray] = {
        name: stream.result(name).astype(np.float64) for name in names
    }
    return {graph.output.name: stream.logits(), **tensors}


class _Stream:
    """Encoded samples on their way through a plan, and the files of the results."""

    def __init__(
        self,
        plan: Plan,
        samples: Sequences,
        names: tuple[str, ...],
        classes: int,
        target: str | None = None,
    ) -> None:
        self.plan = plan
        self.target = target
        self.classes = classes
        self.samples = samples
        self.shapes = {name: plan.recorder(name).recorded[name] for name in names}
        self.results: dict[str, NDArray[Any]] = {}

    def run(
        self, worker: Worker | None, progress: Progress | None, timeout: float | None
    ) -> dict[str, int]:
        """Run to the end, read the results, and return the saturations."""
        with (
            borrowed() if worker is None else nullcontext(worker) as active,
            active.new_folder() as folder,
        ):
            job, clock = self._job(folder)
            total = int(self.samples.steps.sum()) + self.plan.drain_steps

            def watch() -> None:
                if progress is not None:
                    progress("running", int(clock[0]), total)

            try:
                saturations = active.execute(job, watch, timeout)
            except RunError as error:
                raise RunError(f"{error} (step {clock[0]} of {total})") from error.__cause__
            self.results = {name: np.load(path) for name, path in job.traces.items()}
        return saturations

    def _job(self, folder: Path) -> tuple[Job, NDArray[Any]]:
        """Write the data, and empty files for the results."""
        rows = self.samples.joined(self.samples.x)
        np.save(folder / "data.npy", rows)
        fixed = self.plan.tag == "fixed_pt"
        wanted = {name: (len(rows), *shape) for name, shape in self.shapes.items()}
        count = len(rows) if self.plan.each else len(self.samples)
        wanted |= {self.plan.output: (count, self.classes), CLOCK: (1,)}
        traces = {name: folder / f"{number}.npy" for number, name in enumerate(wanted)}
        for name, shape in wanted.items():
            dtype = np.int64 if fixed or name == CLOCK else np.float64
            np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
                traces[name], "w+", dtype, shape
            )
        clock = np.load(traces[CLOCK], mmap_mode="r")
        job = Job(self.plan, folder / "data.npy", self.samples.steps, traces, self.target)
        return job, clock

    def result(self, name: str) -> NDArray[Any]:
        """Return a recorded tensor, (B, L, ...)."""
        return self.samples.apart(self.results[name])

    def logits(self) -> NDArray[Any]:
        """Return (B, classes), or (B, L, classes) where every step has its own."""
        found = self.results[self.plan.output]
        return self.samples.apart(found) if self.plan.each else found
