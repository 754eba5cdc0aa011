"""A program made ready for a device, and a chunk of time on its way through it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from neurossm.engine.gpu.chain import is_pointwise
from neurossm.engine.gpu.device import find_device
from neurossm.engine.gpu.fused import available, fused_kernels
from neurossm.engine.gpu.plain import States
from neurossm.engine.gpu.schedule import OpGroup, schedule
from neurossm.engine.gpu.steps import (
    Compute,
    Preparation,
    StatefulStep,
    prepare,
    prepare_chain,
)
from neurossm.program import Input, Op, Program, Readout

MOST_ELEMENTS = 1 << 30
"""Integers of one tensor, at most: kernels count in 32 bits."""
SCRATCH = 24
"""Bytes per integer that matrix products and conversions may need besides."""


@dataclass
class Chunk:
    """The states of some samples, and what was gathered of them so far."""

    states: dict[str, States]
    total: Tensor
    nonzeros: dict[str, Tensor] = field(default_factory=dict)

    def first(self, samples: int) -> Chunk:
        """Return the first samples alone; what is gathered of them is gathered here, too."""
        if samples == len(self.total):
            return self
        return Chunk(
            {
                op: {name: values[:samples] for name, values in states.items()}
                for op, states in self.states.items()
            },
            self.total[:samples],
            {name: values[:samples] for name, values in self.nonzeros.items()},
        )


@dataclass(frozen=True, eq=False)
class DeviceProgram:
    """Operations ready to run."""

    made_for: Preparation
    stateful: dict[str, StatefulStep]
    steps: dict[str, Compute]
    """Operations without states and, on fused kernels, not pointwise."""
    chains: dict[tuple[tuple[str, ...], tuple[str, ...]], Compute] = field(default_factory=dict)
    """What was computed together, by names of operations and outputs."""
    schedules: dict[frozenset[str], tuple[OpGroup, ...]] = field(default_factory=dict)
    """By the tensors that were asked for."""

    @property
    def program(self) -> Program:
        """The program."""
        return self.made_for.program

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.made_for.device

    @property
    def input_type(self) -> torch.dtype:
        """How the input's integers are stored."""
        return self.made_for.dtypes[self.program.input.name]

    def start(self, samples: int, counted: tuple[str, ...]) -> Chunk:
        """Return zero states and counts."""

        def zeros(channels: int) -> Tensor:
            return torch.zeros((samples, channels), dtype=torch.int64, device=self.device)

        states = {name: step.start(samples, self.device) for name, step in self.stateful.items()}
        source = self.program[self.program.readout.inputs[0]]
        nonzeros = {name: zeros(self.program[name].out.channels) for name in counted}
        total = torch.full_like(zeros(source.out.channels), self.program.readout.empty)
        return Chunk(states, total, nonzeros)

    def clear_counts(self) -> None:
        """Forget what was clipped so far."""
        self.made_for.counts.zero_()

    def clipped(self) -> dict[str, int]:
        """Return how many integers were clipped, by tensor; only those above 0."""
        counts = self.made_for.counts.tolist()
        found = {name: counts[number] for name, number in self.made_for.counters.items()}
        return {name: count for name, count in found.items() if count}

    def advance(
        self, x: Tensor, chunk: Chunk, names: tuple[str, ...], keep: Callable[[str, Tensor], None]
    ) -> None:
        """Run (B, T, C) of encoded data; hand each tensor of `names` to `keep`."""
        values: dict[str, Tensor] = {}

        def made(name: str, value: Tensor, *, needed: bool) -> None:
            if name in names:
                keep(name, value)
            if name in chunk.nonzeros:
                chunk.nonzeros[name] += torch.count_nonzero(value, dim=1)
            if needed:
                values[name] = value

        made(self.program.input.name, x, needed=True)
        for task in self._tasks(frozenset({*names, *chunk.nonzeros})):
            inputs = [values[name] for name in task.inputs]
            if isinstance(task.ops[0], Readout):
                pool(task.ops[0], chunk.total, inputs[0])
                continue
            results = self._results(task, inputs, chunk, names, keep)
            for name in task.finished:
                del values[name]
            del inputs
            for name in task.outputs:
                made(name, results.pop(0), needed=name in task.needed)

    def _tasks(self, kept: frozenset[str]) -> tuple[OpGroup, ...]:
        if kept not in self.schedules:
            fuses = self.made_for.kernels is not None
            self.schedules[kept] = schedule(
                self.program, kept, lambda op: fuses and is_pointwise(op)
            )
        return self.schedules[kept]

    def _results(
        self,
        task: OpGroup,
        inputs: list[Tensor],
        chunk: Chunk,
        names: tuple[str, ...],
        keep: Callable[[str, Tensor], None],
    ) -> list[Tensor]:
        op = task.ops[0]
        if op.name not in self.steps and op.name not in self.stateful:
            return self._chain(task)(inputs)
        by_name = dict(zip(task.inputs, inputs, strict=True))
        x = [by_name[source] for source in op.inputs]
        if op.name in self.steps:
            return self.steps[op.name](x)
        recorded = {
            state.name: torch.empty(
                (*x[0].shape[:2], *op.state_shape(state)), dtype=torch.int64, device=self.device
            )
            for state in op.states
            if op.state_name(state) in names
        }
        y = self.stateful[op.name](x, chunk.states[op.name], recorded)
        for state in op.states:
            if state.name in recorded:
                keep(op.state_name(state), recorded[state.name])
        return [y]

    def _chain(self, task: OpGroup) -> Compute:
        """Return what computes operations together, prepared on first use."""
        key = tuple(op.name for op in task.ops), task.outputs
        if key not in self.chains:
            self.chains[key] = prepare_chain(task.ops, task.inputs, task.outputs, self.made_for)
        return self.chains[key]

    def _bytes_per_row(self, names: tuple[str, ...]) -> int:
        """Return the most bytes that one step of one sample takes at a time."""
        dtypes, fuses = self.made_for.dtypes, self.made_for.kernels is not None
        source = self.program.input
        live = {source.name: source.out.channels * dtypes[source.name].itemsize}
        worst = 0
        for task in self._tasks(frozenset(names)):
            if isinstance(task.ops[0], Readout):
                continue
            for name in task.outputs:
                live[name] = self.program[name].out.channels * dtypes[name].itemsize
            scratch = max(_scratch(op, fuses, names) for op in task.ops)
            worst = max(worst, sum(live.values()) + scratch)
            for name in {*task.finished, *task.outputs} - set(task.needed):
                del live[name]
        return worst

    def sizes(
        self,
        samples: int,
        steps: int,
        memory: int,
        names: tuple[str, ...],
        counted: tuple[str, ...],
    ) -> tuple[int, int]:
        """Return how many samples go together, and how many steps make a chunk."""
        row = self._bytes_per_row((*names, *counted))
        widest = max(op.out.channels for op in self.program.ops)
        rows = max(1, min(memory // row, MOST_ELEMENTS // widest))
        if names:  # what is recorded goes through the CPU's memory
            rows = min(rows, max(1, (1 << 24) // widest))
        states = sum(8 * _integers(step.op) for step in self.stateful.values())
        fit = max(1, memory // 8 // max(1, states))
        batch = max(1, min(samples, fit, rows // min(steps, 128)))
        return batch, max(1, min(steps, rows // batch))


def pool(readout: Readout, total: Tensor, x: Tensor) -> None:
    """Let what a readout keeps, (B, H), take the steps x (B, T, H), in place."""
    if readout.pool == "mean":
        total += x.sum(dim=1, dtype=torch.int64)
    elif readout.pool == "max":
        torch.maximum(total, x.amax(dim=1).long(), out=total)
    else:
        total.copy_(x[:, -1])


def _scratch(op: Op, fuses: bool, names: tuple[str, ...]) -> int:
    """Return the bytes per step that an operation needs besides its inputs and outputs.

    PyTorch alone keeps every value of an equation; a recording is copied once.
    """
    scratch = op.out.channels * SCRATCH
    if not fuses and op.traced() is not None and not op.states:
        scratch += 8 * op.out.channels * len(op.code.instructions)
    return scratch + 2 * 8 * _integers(op, names)


def _integers(op: Op, names: tuple[str, ...] | None = None) -> int:
    """Return how many integers an operation's states are, or those of these names."""
    return sum(
        math.prod(op.state_shape(state))
        for state in op.states
        if names is None or op.state_name(state) in names
    )


@lru_cache(maxsize=8)
def device_program(program: Program, device: str, kernels: str = "auto") -> DeviceProgram:
    """Prepare a program for a device, with "plain" or "fused" kernels, or the best there are."""
    where = find_device(device)
    fused = kernels == "fused" or (kernels == "auto" and where.type == "cuda" and available())
    to = Preparation(program, where, fused_kernels() if fused else None)
    for op in program.ops:
        if not isinstance(op, Readout):
            to.define(op)
    stateful, steps = {}, {}
    for op in program.ops:
        if op.states:
            stateful[op.name] = StatefulStep.of(op, to)
        elif not isinstance(op, Input | Readout) and not (fused and is_pointwise(op)):
            steps[op.name] = prepare(op, to)
    return DeviceProgram(to, stateful, steps)
