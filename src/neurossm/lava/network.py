"""From a plan to Lava processes, wired and ready to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from lava.proc.dense.process import Dense
from lava.utils.weightutils import SignMode
from numpy.typing import ArrayLike, NDArray

from neurossm.arrays import IntArray
from neurossm.errors import InputError
from neurossm.graph.data import check_sequences
from neurossm.graph.graph import Graph
from neurossm.lava.engine import encode, plan_graph, plan_program
from neurossm.lava.plan import CLOCK, Plan, Stage
from neurossm.lava.processes.neuron.process import Neuron
from neurossm.lava.processes.player.process import Player
from neurossm.lava.processes.readout.process import ReadoutProcess
from neurossm.lava.schedule import Schedule
from neurossm.lava.stepping import Member
from neurossm.program import Dense as DenseOp
from neurossm.program import Input

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
        process = _process(stage, schedule, files.get(stage.name, {}), data)
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


def _process(stage: Stage, schedule: Schedule, trace: dict[str, str], data: Any) -> Any:
    members = stage.members
    if stage.unit is not None:
        return Neuron(stage.unit, schedule=schedule, trace=trace, name=stage.name)
    if stage.kind == "Dense":
        return dense(members, stage.message_bits, name=stage.name)
    if stage.kind == "Player":
        source = members[0]
        interval = source.out.interval if isinstance(source, Input) else None
        return Player(
            data=data, interval=interval, tensor=source.name, trace=trace, name=stage.name
        )
    ((channels,),) = stage.recorded.values()
    return ReadoutProcess(
        members, channels=channels, schedule=schedule, trace=trace, name=stage.name
    )


def dense(members: Sequence[Member], message_bits: int, name: str | None = None) -> Any:
    """Return Lava's own Dense for the rows of matrices that read the same tensor.

    `message_bits` 0 stands for binary spikes: Lava casts what arrives to bool, and -1 to 1. Of
    mixed-sign weights Dense keeps even values only. So a mantissa m goes in as 2m, and the sum
    comes out halved (`weight_exp=-1`), which is exact.
    """
    weight = np.concatenate([member.weight for member in members])  # type: ignore[union-attr]
    if not isinstance(members[0], DenseOp):
        return Dense(weights=weight, num_message_bits=message_bits, name=name)
    return Dense(
        weights=2 * weight,
        weight_exp=-1,
        sign_mode=SignMode.MIXED,
        num_message_bits=message_bits,
        name=name,
    )
