"""An operation made ready for a device: a function from tensors to a tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import singledispatch

import numpy as np
import torch
from torch import Tensor

from neurossm.engine import bounds
from neurossm.engine.gpu.arithmetic import Clip, Shift, integers, narrowest
from neurossm.engine.gpu.parameters import ModeParameters, TableParameters
from neurossm.engine.gpu.plain import PlainKernels
from neurossm.errors import UnsupportedError
from neurossm.program import (
    SSM,
    Add,
    Affine,
    Dense,
    Embedding,
    Interval,
    LayerNorm,
    Op,
    Product,
    Program,
    Spike,
    Table,
    Ternary,
)

Compute = Callable[[list[Tensor]], Tensor]
"""From inputs (B, T, C) to the output (B, T, C)."""


@dataclass(frozen=True, eq=False)
class Memory:
    """What an SSM keeps and shows: states (2, B, H, N), and (2, B, T, H, N) where recorded."""

    states: Tensor
    recorded: Tensor | None = None


@dataclass
class Setting:
    """What operations are prepared for: a program's bounds, kernels, a device, and counters."""

    program: Program
    device: torch.device
    kernels: PlainKernels
    intervals: dict[str, Interval] = field(default_factory=dict)
    dtypes: dict[str, torch.dtype] = field(default_factory=dict)
    counters: dict[str, Tensor] = field(default_factory=dict)

    def define(self, op: Op) -> torch.dtype:
        """Note an operation's bounds; return the narrowest type that holds its output."""
        sources = [self.intervals[name] for name in op.inputs]
        interval = self.intervals[op.name] = bounds.interval_of(op, *sources)
        dtype = narrowest(int(interval.low.min()), int(interval.high.max()))
        if self._only_multiplied(op) and bounds.holds(interval, bounds.SINGLE):
            dtype = torch.float32
        self.dtypes[op.name] = dtype
        return dtype

    def _only_multiplied(self, op: Op) -> bool:
        """Tell whether only matrix products in float32 read a tensor: no need to convert it."""
        readers = self.program.readers(op.name)
        x = self.intervals[op.name]
        return bool(readers) and all(
            isinstance(reader, Dense) and bounds.sum_reach(reader.weight, x) < bounds.SINGLE
            for reader in readers
        )

    def clip(self, op: Op) -> Clip | None:
        """Return the saturation of an output, None where it is proved unnecessary."""
        if op.out.proved or not op.saturates:
            return None
        return Clip.to_bits(op.out.bits, self.counter(op.name))

    def counter(self, name: str) -> Tensor:
        """Return where the clipped integers of a tensor are counted."""
        zero = torch.zeros(1, dtype=torch.int64, device=self.device)
        return self.counters.setdefault(name, zero)

    def tensor(self, values: object) -> Tensor:
        """Return 64-bit integers on the device."""
        return integers(values, self.device)

    def shift(self, k: object) -> Shift:
        """Prepare shifts by k."""
        return Shift.by(k, self.device)


@singledispatch
def prepare(op: Op, to: Setting) -> Compute:
    """Return an operation's function; its bounds must have been noted."""
    raise UnsupportedError(
        f"{op.name}: the GPU engine does not know {type(op).__name__}; use --engine reference"
    )


@prepare.register
def _(op: Affine, to: Setting) -> Compute:
    gain, shift, offset = to.tensor(op.gain), to.shift(op.shift), to.tensor(op.offset)
    clip, dtype = to.clip(op), to.dtypes[op.name]
    return lambda x: to.kernels.affine(x[0], gain, shift, offset, clip, dtype)


@prepare.register
def _(op: LayerNorm, to: Setting) -> Compute:
    gain, shift, offset = to.tensor(op.gain), to.shift(op.shift), to.tensor(op.offset)
    clip, dtype = to.clip(op), to.dtypes[op.name]
    return lambda x: to.kernels.layernorm(x[0], gain, shift, offset, op.eps, clip, dtype)


@prepare.register(Spike)
@prepare.register(Ternary)
def _(op: Spike | Ternary, to: Setting) -> Compute:
    threshold, dtype = to.tensor(op.threshold), to.dtypes[op.name]
    ternary = isinstance(op, Ternary)
    return lambda x: to.kernels.threshold(x[0], threshold, ternary=ternary, dtype=dtype)


@prepare.register
def _(op: Table, to: Setting) -> Compute:
    table, clip, dtype = TableParameters.of(op, to.device), to.clip(op), to.dtypes[op.name]
    return lambda x: to.kernels.table(x[0], table, clip, dtype)


@prepare.register
def _(op: Product, to: Setting) -> Compute:
    shift, clip, dtype = to.shift(op.shift), to.clip(op), to.dtypes[op.name]
    return lambda x: to.kernels.product(x[0], x[1], shift, clip, dtype)


@prepare.register
def _(op: Add, to: Setting) -> Compute:
    clip, dtype = to.clip(op), to.dtypes[op.name]
    return lambda x: to.kernels.add(x[0], x[1], clip, dtype)


@prepare.register
def _(op: Embedding, to: Setting) -> Compute:
    weight = to.tensor(op.weight).to(to.dtypes[op.name])
    return lambda x: weight[x[0][:, :, 0].long()]


@prepare.register
def _(op: Dense, to: Setting) -> Compute:
    """Multiply in floats where every sum is exact, else input by input in integers."""
    reach = bounds.sum_reach(op.weight, to.intervals[op.inputs[0]])
    number = torch.float32 if reach < bounds.SINGLE else torch.float64
    if reach < bounds.DOUBLE and bounds.holds(to.intervals[op.inputs[0]]):
        to.dtypes[op.name] = number
        weight = torch.tensor(op.weight.T.astype(np.float64), dtype=number, device=to.device)
        return lambda x: x[0].to(number) @ weight
    columns = to.tensor(op.weight.T)

    def multiply(x: list[Tensor]) -> Tensor:
        wide = x[0].long()
        total = wide[..., :1] * columns[0]
        for i in range(1, len(columns)):
            total += wide[..., i : i + 1] * columns[i]
        return total

    return multiply


@dataclass(frozen=True, eq=False)
class Recurrence:
    """An SSM made ready; it needs memory besides its input."""

    op: SSM
    parameters: ModeParameters
    clips: tuple[Clip | None, Clip | None]
    dtype: torch.dtype
    kernels: PlainKernels

    @staticmethod
    def of(op: SSM, to: Setting) -> Recurrence:
        """Prepare an SSM."""
        u = to.intervals[op.inputs[0]]
        states = None
        if not op.states_proved(u):
            states = Clip.to_bits(op.state_bits, to.counter(f"{op.name}.state"))
        parameters = ModeParameters.of(op, u, to.device)
        return Recurrence(op, parameters, (states, to.clip(op)), to.dtypes[op.name], to.kernels)

    def start(self, samples: int) -> Tensor:
        """Return zero states (2, B, H, N)."""
        device = self.parameters.a_re.device
        channels, modes = self.op.a_re.shape
        # In memory (2, B, N, H): in the fused kernel, neighbours take neighbouring channels.
        states = torch.zeros((2, samples, modes, channels), dtype=torch.int64, device=device)
        return states.transpose(2, 3)

    def __call__(self, x: list[Tensor], memory: Memory) -> Tensor:
        """Advance the states through a chunk (B, T, H)."""
        # The fused kernel keeps its states to itself: those to be recorded come from the plain one.
        kernels = self.kernels if memory.recorded is None else PlainKernels()
        return kernels.recur(
            x[0], self.parameters, memory.states, self.clips, self.dtype, memory.recorded
        )
