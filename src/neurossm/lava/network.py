"""From a plan to Lava processes, wired and ready to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from lava.proc.dense.process import Dense
from lava.utils.weightutils import SignMode
from numpy.typing import ArrayLike, NDArray

from neurossm.errors import InputError
from neurossm.graph.graph import Graph
from neurossm.lava.engine import plan_graph, plan_program
from neurossm.lava.from_graph import encode
from neurossm.lava.plan import CLOCK, LOGITS, Plan, Stage
from neurossm.lava.primitives import Weights
from neurossm.lava.processes.affine.process import Affine
from neurossm.lava.processes.embedding.process import Embedding
from neurossm.lava.processes.glu.process import GLU
from neurossm.lava.processes.gsu.process import GSU
from neurossm.lava.processes.layer_norm.process import LayerNorm
from neurossm.lava.processes.player.process import Player
from neurossm.lava.processes.readout.process import Readout
from neurossm.lava.processes.ssm.process import SSM
from neurossm.lava.processes.ternary_ssm.process import TernarySSM
from neurossm.lava.schedule import Schedule

if TYPE_CHECKING:
    from neurossm.program import Program

__all__ = ["Network", "build", "dense", "lay_out"]

_PROCESSES = {
    "Affine": Affine,
    "Embedding": Embedding,
    "GLU": GLU,
    "GSU": GSU,
    "LayerNorm": LayerNorm,
    "Readout": Readout,
    "SSM": SSM,
    "TernarySSM": TernarySSM,
}


@dataclass(frozen=True, eq=False)
class Network:
    """Lava processes by name, wired.

    Run any of them for `steps` steps with the models of `tag`, and all run::

        network.readout.run(RunSteps(network.steps), Loihi2SimCfg(select_tag=network.tag))

    Parameters
    ----------
    processes
        By the name of the operation they stand for; a Dense that computes two has both names,
        joined by "+".
    steps
        Lava steps until the last logits are out: all samples and the pipeline's latency.
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
        return self.processes[self.plan.readout.name]

    def saturations(self) -> dict[str, int]:
        """Return how many integers were clipped, by tensor; ask while the network is paused."""
        counts: dict[str, int] = {}
        for stage in self.plan.stages:
            if not stage.counted:
                continue
            process = self.processes[stage.name]
            numbers = process.saturations.get().astype(np.int64)
            for role, number in zip(process.counted, numbers, strict=True):
                if number:
                    counts[stage.counted[role]] = int(number)
        return counts


def build(
    model: Program | Graph,
    data: ArrayLike,
    traces: Mapping[str, str | Path] | None = None,
) -> Network:
    """Make the Lava processes of a program (fixed_pt) or of a float graph (floating_pt).

    Nothing runs yet, and everything can be connected to further processes.

    Parameters
    ----------
    model
        An integer program, or a float graph.
    data
        Samples for the network to play, (B, L, size), or (B, L) for one channel.
    traces
        `.npy` files to write tensors to, by tensor: each (B*L, channels), created beforehand.

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
    if isinstance(model, Graph):
        x: NDArray[Any] = encode(model, data)
        plan = plan_graph(model)
    else:
        x = model.encode(data)
        plan = plan_program(model)
    batch, length, channels = x.shape
    return lay_out(plan, x.reshape(batch * length, channels), length, traces)


def lay_out(
    plan: Plan,
    data: NDArray[Any] | str | Path,
    period: int,
    traces: Mapping[str, str | Path] | None = None,
) -> Network:
    """Make the processes of a plan and connect them.

    Parameters
    ----------
    plan
        What to build.
    data
        (steps, channels), all samples back to back, or the path of such a `.npy` file.
    period
        Steps in one sample.
    traces
        `.npy` files to write tensors to, by tensor; each (steps, ...), created beforehand. Also
        `LOGITS` and `CLOCK`.

    Raises
    ------
    InputError
        The data hold no whole number of samples, or a tensor is unknown.
    """
    rows = data.shape[0] if isinstance(data, np.ndarray) else np.load(data, mmap_mode="r").shape[0]
    if period < 1 or rows == 0 or rows % period:
        raise InputError(f"data of {rows} steps are no whole number of samples of {period} steps")
    files = _by_stage(plan, traces or {})
    processes: dict[str, Any] = {}
    for stage in plan.stages:
        schedule = Schedule(reset_offset=stage.depth, reset_period=period, valid_steps=rows)
        process = _process(stage, schedule, files.get(stage.name, {}), data, plan.tag)
        for port, wire in stage.inputs.items():
            getattr(processes[wire.stage], wire.port).connect(getattr(process, port))
        processes[stage.name] = process
    return Network(processes, rows + plan.latency_steps, plan.latency_steps, plan.tag, plan)


def _by_stage(plan: Plan, traces: Mapping[str, str | Path]) -> dict[str, dict[str, str]]:
    """Return the files each stage writes, by role."""
    files: dict[str, dict[str, str]] = {}
    for tensor, path in traces.items():
        if tensor == CLOCK:
            stage, role = plan.source, "clock"
        elif tensor == LOGITS:
            stage, role = plan.readout, "logits"
        else:
            stage = plan.recorder(tensor)
            role = stage.roles[tensor]
        files.setdefault(stage.name, {})[role] = str(path)
    return files


def _process(stage: Stage, schedule: Schedule, trace: dict[str, str], data: Any, tag: str) -> Any:
    if stage.kind == "Dense":
        return dense(stage.settings["weights"], tag, name=stage.name)
    if stage.kind == "Player":
        return Player(data=data, trace=trace, name=stage.name, **stage.settings)
    kind = _PROCESSES[stage.kind]
    return kind(schedule=schedule, trace=trace, name=stage.name, **stage.settings)


def dense(weights: Weights, tag: str, name: str | None = None) -> Any:
    """Return Lava's own Dense for a matrix.

    Of mixed-sign weights Dense keeps even values only. So a mantissa m goes in as 2m, and the sum
    comes out halved (`weight_exp=-1`), which is exact. With `num_message_bits=0` the input is cast
    to bool, which only binary spikes survive.
    """
    if tag == "floating_pt":
        return Dense(weights=weights.weight, num_message_bits=weights.message_bits, name=name)
    return Dense(
        weights=2 * weights.weight,
        weight_exp=-1,
        sign_mode=SignMode.MIXED,
        num_message_bits=weights.message_bits,
        name=name,
    )
