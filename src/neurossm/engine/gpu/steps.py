"""An operation, or a chain of them, made ready for a device: a function of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from neurossm.derive import exactness
from neurossm.engine.gpu.arithmetic import Stored, TorchArithmetic, integers, narrowest
from neurossm.engine.gpu.chain import of_rows
from neurossm.engine.gpu.fused import FusedKernels
from neurossm.engine.gpu.modes import FloatModes
from neurossm.engine.gpu.plain import PlainStep, States
from neurossm.engine.gpu.writer import ChainWriter
from neurossm.errors import UnsupportedError
from neurossm.program import Dense, Embedding, Interval, Op, Program
from neurossm.program.evaluate import Evaluator

Compute = Callable[[list[Tensor]], list[Tensor]]
"""From inputs (B, T, C) to outputs (B, T, C)."""
Advance = Callable[[list[Tensor], States], Tensor]
"""From inputs (B, T, C) and states, which are replaced, to an output (B, T, C)."""
_BYTE = 1 << 7
_INT32 = 1 << 31


@dataclass
class Preparation:
    """What operations are prepared for: a program's bounds, a device, counters, and kernels.

    `kernels` is None for PyTorch alone.
    """

    program: Program
    device: torch.device
    kernels: FusedKernels | None
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
        interval = self.intervals[op.name] = exactness.interval_of(op, *self.inputs_of(op))
        dtype = narrowest(int(interval.low.min()), int(interval.high.max()))
        if self._only_multiplied(op) and exactness.holds(interval, exactness.SINGLE):
            dtype = torch.float32
        self.dtypes[op.name] = dtype
        return dtype

    def inputs_of(self, op: Op) -> list[Interval]:
        """Return what the inputs of an operation can be."""
        return [self.intervals[name] for name in op.inputs]

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
            self.kernels is not None
            and op.weight.min() >= -_BYTE
            and op.weight.max() < _BYTE
            and exactness.holds(x, _INT32)
            and exactness.sum_reach(op.weight, x) < _INT32
        )

    def output(self, op: Op) -> Stored:
        """Return how an output is stored, and saturated where it is not proved to fit."""
        proved = op.out.proved or not op.saturates
        count = None if proved else self.count(op.name)
        return Stored(op.out.bits, count, self.dtypes[op.name])

    def count(self, name: str) -> Tensor:
        """Return the counter, (1), for what is clipped of a tensor."""
        number = self.counter(name)
        return self.counts[number : number + 1]

    def counter(self, name: str) -> int:
        """Return the number of that counter."""
        return self.counters.setdefault(name, len(self.counters))

    def tensor(self, values: object) -> Tensor:
        """Return 64-bit integers on the device."""
        return integers(values, self.device)

    def plain(self, op: Op) -> PlainStep:
        """Return an operation as PyTorch computes it."""
        clips = bool(op.states) and not op.states_proved(*self.inputs_of(op))
        count = self.count(op.state_tally) if clips else None
        return PlainStep(Evaluator(op, TorchArithmetic(self.device)), self.output(op), count)


def prepare(op: Op, to: Preparation) -> Compute:
    """Return the function of an operation without states; its bounds must have been noted."""
    if isinstance(op, Dense):
        return _dense(op, to)
    if isinstance(op, Embedding):
        weight = to.tensor(op.weight).to(to.dtypes[op.name])
        return lambda x: [weight[x[0][:, :, 0].long()]]
    if op.traced() is None:
        raise UnsupportedError(
            f"{op.name}: the GPU engine does not know {type(op).__name__}, which has no equation; "
            "use --engine reference"
        )
    plain = to.plain(op)
    return lambda x: [plain(x)]


def _dense(op: Dense, to: Preparation) -> Compute:
    """Multiply as bytes, in floats where every sum is exact, or input by input in integers."""
    source = to.intervals[op.inputs[0]]
    if to.kernels is not None and to.multiplies_bytes(op):
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


def _bytes(op: Dense, to: Preparation, kernels: FusedKernels) -> Compute:
    weight, dtype = to.tensor(op.weight).to(torch.int8), to.dtypes[op.name]
    x = to.intervals[op.inputs[0]]
    bits = max((-int(x.low.min()) - 1).bit_length(), int(x.high.max()).bit_length(), 1)
    return lambda x: [kernels.multiply(x[0], weight, -(-bits // 7), dtype)]


def prepare_chain(
    ops: tuple[Op, ...], inputs: tuple[str, ...], outputs: tuple[str, ...], to: Preparation
) -> Compute:
    """Return a function that computes several pointwise operations in one pass.

    Parameters
    ----------
    ops
        In order, all of one number of channels; their bounds must have been noted.
    inputs, outputs
        Names of the tensors that are read, and of those to be kept.
    to
        A preparation with fused kernels.
    """
    kernels = to.kernels
    assert kernels is not None
    writer = ChainWriter(to.intervals, to.counter)
    writer.read(inputs)
    for op in ops:
        writer.write(op)
    chain = writer.chain(outputs, ops[0].out.channels, to.dtypes, to.device)
    return lambda x: kernels.pointwise(chain, x, to.counts)


@dataclass(frozen=True, eq=False)
class StatefulStep:
    """An operation with states, made ready: one kernel for all steps, or PyTorch's step by step."""

    op: Op
    plain: PlainStep
    fused: Advance | None

    @staticmethod
    def of(op: Op, to: Preparation) -> StatefulStep:
        """Prepare an operation."""
        plain = to.plain(op)
        return StatefulStep(op, plain, _fused(op, plain, to))

    def start(self, samples: int, device: torch.device) -> States:
        """Return zero states, each (B, H) or (B, H, N)."""
        return {
            state.name: torch.zeros(
                (samples, *self.op.state_shape(state)), dtype=torch.int64, device=device
            )
            for state in self.op.states
        }

    def __call__(self, x: list[Tensor], states: States, recorded: Mapping[str, Tensor]) -> Tensor:
        """Advance the states through a chunk (B, T, C); fill those to record, (B, T, ...)."""
        if recorded or self.fused is None:
            return self.plain.over_time(x, states, recorded)
        return self.fused(x, states)


def _fused(op: Op, plain: PlainStep, to: Preparation) -> Advance | None:
    """Return the kernel for all steps: an SSM's, where floats are exact, or one of its equation."""
    kernels = to.kernels
    if kernels is None:
        return None
    names = [state.name for state in op.states]
    modes = FloatModes.of(op, to.inputs_of(op)[0], to.device)
    if modes is not None:
        return lambda x, states: kernels.recur(
            x[0], modes, [states[name] for name in names], plain.state_count, plain.output
        )
    if not of_rows(op):
        return None
    inputs = tuple(dict.fromkeys(op.inputs))
    writer = ChainWriter(to.intervals, to.counter)
    writer.read(inputs)
    writer.write(op)
    chain = writer.chain((op.name,), op.out.channels, to.dtypes, to.device)
    at = [op.inputs.index(name) for name in inputs]
    return lambda x, states: kernels.scan(
        chain, [x[i] for i in at], [states[name] for name in names], to.counts
    )
