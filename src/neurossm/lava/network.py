"""From a plan to Lava processes, wired and ready to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurossm.arrays import IntArray
from neurossm.errors import InputError
from neurossm.graph.data import check_sequences
from neurossm.graph.graph import Graph
from neurossm.lava.engine import encode, plan_graph, plan_program
from neurossm.lava.plan import CLOCK, Plan
from neurossm.lava.processes.network.process import NetworkProcess
from neurossm.lava.schedule import Schedule
from neurossm.lava.stages import make_stage

if TYPE_CHECKING:
    from neurossm.program import Program


@dataclass(frozen=True, eq=False)
class LavaNetwork:
    """Lava processes by name, wired.

    Run any of them for `steps` steps with the models of `tag`, and all run::

        network.readout.run(RunSteps(network.steps), Loihi2SimCfg(select_tag=network.tag))

    Parameters
    ----------
    processes
        By the name of every operation; several operations can have one process.
    steps
        Lava steps until the last value of every tensor is out: all samples, and what is on its
        way through the pipeline then.
    latency_steps
        Steps from the last input of a sample to its logits.
    tag
        "fixed_pt" or "floating_pt".
    plan
        What the network was built from.
    """

    processes: dict[str, Any]
    steps: int
    latency_steps: int
    tag: str
    plan: Plan

    @property
    def readout(self) -> Any:
        """The process that holds the logits of the last sample in its variable `logits`."""
        return self.processes[self.plan.output]

    def variable(self, operation: str, name: str) -> Any:
        """Return the Lava variable that holds a field or a state of an operation.

        KeyError if there is no such operation, InputError if it has no such field.
        """
        process = self.processes[operation]
        return getattr(process, process.unit.variable(operation, name))

    def saturations(self) -> dict[str, int]:
        """Return how many integers were clipped, by tensor; ask while the network is paused."""
        counts: dict[str, int] = {}
        for stage in self.plan.stages:
            process = self.processes[stage.name]
            names = process.unit.counters if stage.unit else getattr(process, "counters", ())
            if names:
                numbers = process.saturations.get().astype(np.int64)
                counts |= {name: int(n) for name, n in zip(names, numbers, strict=True) if n}
        return counts


def build(
    model: Program | Graph,
    data: ArrayLike,
    traces: Mapping[str, str | Path] | None = None,
    lengths: ArrayLike | None = None,
) -> LavaNetwork:
    """Make the Lava processes of a program (fixed_pt) or of a float graph (floating_pt).

    Nothing runs yet, and everything can be connected to further processes.

    Parameters
    ----------
    model
        An integer program, or a float graph.
    data
        Samples for the network to play, (B, L, size), or (B, L) for one channel.
    traces
        `.npy` files to write tensors to, by tensor: each (steps of all samples, channels), created
        beforehand.
    lengths
        (B) valid steps of each sample, 1 to L, all L by default: samples follow without gaps.

    Returns
    -------
    Network
        Processes by name; see there how to run them.

    Raises
    ------
    InputError, LimitError, UnsupportedError
        See `run`.

    Examples
    --------
    >>> network = build(program, x)
    >>> network.readout.run(RunSteps(network.steps), Loihi2SimCfg(select_tag=network.tag))
    >>> network.readout.logits.get()  # of the last sample
    >>> network.readout.stop()
    """
    samples = check_sequences(model.input, data, lengths)
    if isinstance(model, Graph):
        x: NDArray[Any] = encode(model, samples.x)
        plan = plan_graph(model)
    else:
        x = model.encode(samples.x)
        plan = plan_program(model)
    return lay_out(plan, samples.joined(x), samples.steps, traces)


def as_process(
    model: Program | Graph,
    *,
    output: str | None = None,
    schedule: Schedule | None = None,
    name: str | None = None,
) -> NetworkProcess:
    """Make one Lava process of a program (fixed_pt) or of a float graph (floating_pt).

    Parameters
    ----------
    model
        An integer program, or a float graph.
    output
        The tensor to send at every step, by its name; by default the logits, at the last step of
        each sample.
    schedule
        Where samples begin in Lava's time: `Schedule(reset_offset=n, reset_period=L)` for samples
        of L steps behind n processes that delay by a step, as Lava's Dense do. By default one
        sample without end, which has no logits.
    name
        Name of the process.

    Raises
    ------
    InputError, LimitError, UnsupportedError
        See `run`; an output that the network does not make, or that a Dense makes.

    Examples
    --------
    >>> network = as_process(program, schedule=Schedule(reset_period=784))
    >>> source.s_out.connect(network.a_in)
    >>> network.s_out.connect(sink.a_in)  # logits at step 784 + network.latency_steps
    """
    plan = plan_graph(model, output) if isinstance(model, Graph) else plan_program(model, output)
    return NetworkProcess(plan, schedule=schedule, name=name)


def lay_out(
    plan: Plan,
    data: NDArray[Any] | str | Path,
    lengths: IntArray | int,
    traces: Mapping[str, str | Path] | None = None,
) -> LavaNetwork:
    """Make the processes of a plan and connect them.

    Parameters
    ----------
    plan
        What to build.
    data
        (steps, channels), all samples back to back, or the path of such a `.npy` file.
    lengths
        Steps of each sample, or of all.
    traces
        `.npy` files to write tensors to, by tensor; each (steps, ...), created beforehand. Also
        the logits, one row for each sample, and `CLOCK`.

    Raises
    ------
    InputError
        The data hold no whole number of samples, or a tensor is unknown.
    """
    rows = data.shape[0] if isinstance(data, np.ndarray) else np.load(data, mmap_mode="r").shape[0]
    steps = _steps(lengths, rows)
    equal = bool((steps == steps[0]).all())
    files = _by_stage(plan, traces or {})
    processes: dict[str, Any] = {}
    for stage in plan.stages:
        schedule = Schedule(
            reset_offset=stage.depth,
            reset_period=int(steps[0]),
            valid_steps=rows,
            lengths=() if equal else tuple(steps.tolist()),
        )
        trace = files.get(stage.name, {})
        process = make_stage(stage, schedule, trace=trace, data=data)
        for port, wire in stage.wires.items():
            getattr(processes[wire.stage], wire.port).connect(getattr(process, port))
        processes |= dict.fromkeys((stage.name, *(m.name for m in stage.members)), process)
    return LavaNetwork(processes, rows + plan.drain_steps, plan.latency_steps, plan.tag, plan)


def _steps(lengths: IntArray | int, rows: int) -> IntArray:
    """Return the steps of each sample; refuse data that are not as long as all of them."""
    if isinstance(lengths, int):
        if lengths < 1 or rows == 0 or rows % lengths:
            raise InputError(
                f"data of {rows} steps are no whole number of samples of {lengths} steps"
            )
        return np.full(rows // lengths, lengths, np.int64)
    if lengths.sum() != rows or not rows:
        raise InputError(f"data of {rows} steps, but samples of {lengths.sum()} steps in all")
    return lengths


def _by_stage(plan: Plan, traces: Mapping[str, str | Path]) -> dict[str, dict[str, str]]:
    """Return the files each stage writes, by tensor."""
    files: dict[str, dict[str, str]] = {}
    special = {CLOCK: plan.source, plan.output: plan.readout}
    for tensor, path in traces.items():
        stage = special[tensor] if tensor in special else plan.recorder(tensor)
        files.setdefault(stage.name, {})[tensor] = str(path)
    return files
