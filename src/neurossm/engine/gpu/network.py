"""A program made ready for a device, and a chunk of time on its way through it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from neurossm.engine.gpu.device import find_device
from neurossm.engine.gpu.fused import available, fused_kernels
from neurossm.engine.gpu.plain import PlainKernels
from neurossm.engine.gpu.steps import Compute, Memory, Recurrence, Setting, prepare
from neurossm.program import SSM, Input, LayerNorm, Op, Program, Readout

MOST_ELEMENTS = 1 << 30
"""Integers of one tensor, at most: kernels count in 32 bits."""
SCRATCH = 24
"""Bytes per integer that matrix products and conversions may need besides."""


@dataclass
class Chunk:
    """The states of some samples, and what was gathered of them so far."""

    states: dict[str, Tensor]
    total: Tensor
    nonzeros: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Network:
    """Operations in order, ready to run."""

    program: Program
    device: torch.device
    kernels: PlainKernels
    steps: dict[str, Compute | Recurrence]
    dtypes: dict[str, torch.dtype]
    counters: dict[str, Tensor]

    def start(self, samples: int, counted: tuple[str, ...]) -> Chunk:
        """Return zero states and counts."""

        def zeros(channels: int) -> Tensor:
            return torch.zeros((samples, channels), dtype=torch.int64, device=self.device)

        states = {
            name: step.start(samples)
            for name, step in self.steps.items()
            if isinstance(step, Recurrence)
        }
        source = self.program[self.program.readout.inputs[0]]
        nonzeros = {name: zeros(self.program[name].out.channels) for name in counted}
        return Chunk(states, zeros(source.out.channels), nonzeros)

    def advance(
        self, x: Tensor, chunk: Chunk, names: tuple[str, ...], keep: Callable[[str, Tensor], None]
    ) -> None:
        """Run (B, T, C) of encoded data; hand each tensor of `names` to `keep`."""
        values = {self.program.input.name: x}
        left = {op.name: len(self.program.readers(op.name)) for op in self.program.ops}
        for op in self.program.ops:
            if isinstance(op, Readout):
                chunk.total += values[op.inputs[0]].sum(dim=1, dtype=torch.int64)
                continue
            if not isinstance(op, Input):
                values[op.name] = self._value(op, values, chunk, names, keep)
            if op.name in names:
                keep(op.name, values[op.name])
            if op.name in chunk.nonzeros:
                chunk.nonzeros[op.name] += torch.count_nonzero(values[op.name], dim=1)
            for name in set(op.inputs):
                left[name] -= 1
            for name in {*op.inputs, op.name}:
                if left[name] == 0:
                    values.pop(name, None)

    def _value(
        self,
        op: Op,
        values: dict[str, Tensor],
        chunk: Chunk,
        names: tuple[str, ...],
        keep: Callable[[str, Tensor], None],
    ) -> Tensor:
        inputs = [values[name] for name in op.inputs]
        step = self.steps[op.name]
        if not isinstance(step, Recurrence):
            return step(inputs)
        parts = [f"{op.name}.state_{part}" for part in ("re", "im")]
        recorded = None
        if any(name in names for name in parts):
            shape = (2, *inputs[0].shape[:2], *step.op.a_re.shape)
            recorded = torch.empty(shape, dtype=torch.int64, device=self.device)
        y = step(inputs, Memory(chunk.states[op.name], recorded))
        for i, name in enumerate(parts):
            if recorded is not None and name in names:
                keep(name, recorded[i])
        return y

    def bytes_per_row(self, names: tuple[str, ...]) -> int:
        """Return the most bytes that one step of one sample takes at a time."""
        program = self.program
        last = {name: i for i, op in enumerate(program.ops) for name in op.inputs}
        worst = 0
        for i, op in enumerate(program.ops):
            live = [
                one.out.channels * self.dtypes[one.name].itemsize
                for one in program.ops[: i + 1]
                if one.name in self.dtypes and (last.get(one.name, 0) >= i or one is op)
            ]
            scratch = op.out.channels * (SCRATCH + self.kernels.scratch_bytes)
            if isinstance(op, LayerNorm):  # in PyTorch's operations, whatever the kernels
                scratch += op.out.channels * PlainKernels.scratch_bytes
            if isinstance(op, SSM) and any(name.startswith(f"{op.name}.state_") for name in names):
                scratch += 2 * 8 * 2 * op.a_re.size
            worst = max(worst, sum(live) + scratch)
        return worst

    def state_bytes(self) -> int:
        """Return the bytes of one sample's states."""
        return sum(2 * 8 * op.a_re.size for op in self.program.ops if isinstance(op, SSM))

    def sizes(
        self, samples: int, steps: int, memory: int, names: tuple[str, ...]
    ) -> tuple[int, int]:
        """Return how many samples go together, and how many steps make a chunk."""
        row = self.bytes_per_row(names)
        widest = max(op.out.channels for op in self.program.ops)
        rows = max(1, min(memory // row, MOST_ELEMENTS // widest))
        if names:  # what is recorded goes through the CPU's memory
            rows = min(rows, max(1, (1 << 24) // widest))
        fit = max(1, memory // 8 // max(1, self.state_bytes()))
        batch = max(1, min(samples, fit, rows // min(steps, 128)))
        return batch, max(1, min(steps, rows // batch))


@lru_cache(maxsize=8)
def network(program: Program, device: str, kernels: str = "auto") -> Network:
    """Prepare a program for a device, with "plain" or "fused" kernels, or the best there are."""
    where = find_device(device)
    fused = kernels == "fused" or (kernels == "auto" and where.type == "cuda" and available())
    setting = Setting(program, where, fused_kernels() if fused else PlainKernels())
    steps: dict[str, Compute | Recurrence] = {}
    for op in program.ops:
        if isinstance(op, Readout):
            continue
        setting.define(op)
        if isinstance(op, SSM):
            steps[op.name] = Recurrence.of(op, setting)
        elif not isinstance(op, Input):
            steps[op.name] = prepare(op, setting)
    return Network(program, where, setting.kernels, steps, setting.dtypes, setting.counters)
