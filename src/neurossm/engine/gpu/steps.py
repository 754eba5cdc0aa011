"""An operation, or a chain of them, made ready for a device: a function of tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import singledispatch

import numpy as np
import torch
from torch import Tensor

from neurossm.derive import exactness
from neurossm.engine.gpu.arithmetic import Clip, Shift, integers, narrowest
from neurossm.engine.gpu.fused import FusedKernels
from neurossm.engine.gpu.parameters import ModeParameters, TableParameters
from neurossm.engine.gpu.plain import PlainKernels
from neurossm.engine.gpu.stages import Writer
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

Compute = Callable[[list[Tensor]], list[Tensor]]
"""From inputs (B, T, C) to outputs (B, T, C)."""
_BYTE = 1 << 7
_INT32 = 1 << 31


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
    counters: dict[str, int] = field(default_factory=dict)
    """Number of each counter in `counts`."""
    counts: Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Make room for two counters per operation."""
        size = 2 * len(self.program.ops)
        self.counts = torch.zeros(size, dtype=torch.int64, device=self.device)

    def define(self, op: Op) -> torch.dtype:
        """Note an operation's bounds; return the narrowest type that holds its output."""
        sources = [self.intervals[name] for name in op.inputs]
        interval = self.intervals[op.name] = exactness.interval_of(op, *sources)
        dtype = narrowest(int(interval.low.min()), int(interval.high.max()))
        if self._only_multiplied(op) and exactness.holds(interval, exactness.SINGLE):
            dtype = torch.float32
        self.dtypes[op.name] = dtype
        return dtype

    def _only_multiplied(self, op: Op) -> bool:
        """Tell whether only matrix products in float32 read a tensor: no need to convert it."""
        readers = self.program.readers(op.name)
        x = self.intervals[op.name]
        return bool(readers) and all(
            isinstance(reader, Dense)
            and not self.multiplies_bytes(reader)
            and exactness.sum_reach(reader.weight, x) < exactness.SINGLE
            for reader in readers
        )

    def multiplies_bytes(self, op: Dense) -> bool:
        """Tell whether the kernel for products of bytes computes an operation."""
        x = self.intervals[op.inputs[0]]
        return (
            self.kernels.fuses
            and op.weight.min() >= -_BYTE
            and op.weight.max() < _BYTE
            and exactness.holds(x, _INT32)
            and exactness.sum_reach(op.weight, x) < _INT32
        )

    def clip(self, op: Op) -> Clip | None:
        """Return the saturation of an output, None where it is proved unnecessary."""
        if op.out.proved or not op.saturates:
            return None
        return self.clip_to(op.out.bits, op.name)

    def clip_to(self, bits: int, name: str) -> Clip:
        """Return a saturation, counted under this name."""
        number = self.counter(name)
        return Clip(bits, self.counts[number : number + 1])

    def counter(self, name: str) -> int:
        """Return the number of the counter for what is clipped of a tensor."""
        return self.counters.setdefault(name, len(self.counters))

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
    return lambda x: [to.kernels.affine(x[0], gain, shift, offset, clip, dtype)]


@prepare.register
def _(op: LayerNorm, to: Setting) -> Compute:
    gain, shift, offset = to.tensor(op.gain), to.shift(op.shift), to.tensor(op.offset)
    clip, dtype = to.clip(op), to.dtypes[op.name]
    return lambda x: [to.kernels.layernorm(x[0], gain, shift, offset, op.eps, clip, dtype)]


@prepare.register(Spike)
@prepare.register(Ternary)
def _(op: Spike | Ternary, to: Setting) -> Compute:
    threshold, dtype = to.tensor(op.threshold), to.dtypes[op.name]
    ternary = isinstance(op, Ternary)
    return lambda x: [to.kernels.threshold(x[0], threshold, ternary=ternary, dtype=dtype)]


@prepare.register
def _(op: Table, to: Setting) -> Compute:
    table, clip, dtype = TableParameters.of(op, to.device), to.clip(op), to.dtypes[op.name]
    return lambda x: [to.kernels.table(x[0], table, clip, dtype)]


@prepare.register
def _(op: Product, to: Setting) -> Compute:
    shift, clip, dtype = to.shift(op.shift), to.clip(op), to.dtypes[op.name]
    return lambda x: [to.kernels.product(x[0], x[1], shift, clip, dtype)]


@prepare.register
def _(op: Add, to: Setting) -> Compute:
    clip, dtype = to.clip(op), to.dtypes[op.name]
    return lambda x: [to.kernels.add(x[0], x[1], clip, dtype)]


@prepare.register
def _(op: Embedding, to: Setting) -> Compute:
    weight = to.tensor(op.weight).to(to.dtypes[op.name])
    return lambda x: [weight[x[0][:, :, 0].long()]]


@prepare.register
def _(op: Dense, to: Setting) -> Compute:
    """Multiply as bytes, in floats where every sum is exact, or input by input in integers."""
    source = to.intervals[op.inputs[0]]
    if isinstance(to.kernels, FusedKernels) and to.multiplies_bytes(op):
        return _bytes(op, to, to.kernels)
    reach = exactness.sum_reach(op.weight, source)
    number = torch.float32 if reach < exactness.SINGLE else torch.float64
    if reach < exactness.DOUBLE and exactness.holds(source):
        to.dtypes[op.name] = number
        weight = torch.tensor(op.weight.T.astype(np.float64), dtype=number, device=to.device)
        return lambda x: [x[0].to(number) @ weight]
    columns = to.tensor(op.weight.T)

    def multiply(x: list[Tensor]) -> list[Tensor]:
        wide = x[0].long()
        total = wide[..., :1] * columns[0]
        for i in range(1, len(columns)):
            total += wide[..., i : i + 1] * columns[i]
        return [total]

    return multiply


def _bytes(op: Dense, to: Setting, kernels: FusedKernels) -> Compute:
    weight, dtype = to.tensor(op.weight).to(torch.int8), to.dtypes[op.name]
    x = to.intervals[op.inputs[0]]
    bits = max((-int(x.low.min()) - 1).bit_length(), int(x.high.max()).bit_length(), 1)
    return lambda x: [kernels.multiply(x[0], weight, -(-bits // 7), dtype)]


def prepare_chain(
    ops: tuple[Op, ...], inputs: tuple[str, ...], outputs: tuple[str, ...], to: Setting
) -> Compute:
    """Return a function that computes several pointwise operations in one pass.

    Parameters
    ----------
    ops
        In order, all of one number of channels; their bounds must have been noted.
    inputs, outputs
        Names of the tensors that are read, and of those to be kept.
    to
        A setting with fused kernels.
    """
    kernels = to.kernels
    assert isinstance(kernels, FusedKernels)
    writer = Writer(ops[0].out.channels, to.intervals, lambda op: to.counter(op.name))
    for name in inputs:
        writer.read(name)
    for op in ops:
        writer.write(op)
    chain = writer.chain(outputs, to.dtypes, to.device)
    return lambda x: kernels.pointwise(chain, x, to.counts)


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
            states = to.clip_to(op.state_bits, f"{op.name}:state")
        parameters = ModeParameters.of(op, u, to.device)
        return Recurrence(op, parameters, (states, to.clip(op)), to.dtypes[op.name], to.kernels)

    def start(self, samples: int) -> Tensor:
        """Return zero states (2, B, H, N)."""
        device = self.parameters.a_re.device
        channels, modes = self.op.a_re.shape
        return torch.zeros((2, samples, channels, modes), dtype=torch.int64, device=device)

    def __call__(self, x: list[Tensor], memory: Memory) -> list[Tensor]:
        """Advance the states through a chunk (B, T, H)."""
        y = self.kernels.recur(
            x[0], self.parameters, memory.states, self.clips, self.dtype, memory.recorded
        )
        return [y]
