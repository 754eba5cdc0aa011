"""Chains of pointwise operations, written as numbers that one kernel reads.

An operation is pointwise here if it needs one row of channels only: its own step of its own sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import singledispatchmethod
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from neurossm.derive import exactness
from neurossm.engine.gpu.arithmetic import shift_parts
from neurossm.errors import UnsupportedError
from neurossm.program import (
    Add,
    Affine,
    Interval,
    LayerNorm,
    Op,
    Product,
    Spike,
    Table,
    Ternary,
)
from neurossm.program.layernorm import (
    DEVIATION_BITS as DEVIATION_BITS,
)
from neurossm.program.layernorm import (
    NEWTON_STEPS as NEWTON_STEPS,
)
from neurossm.program.layernorm import (
    NORMAL_EXPONENT as NORMAL_EXPONENT,
)
from neurossm.program.layernorm import (
    ROOT_BITS as ROOT_BITS,
)

POINTWISE = (Add, Affine, LayerNorm, Product, Spike, Table, Ternary)
ADD, AFFINE, LAYERNORM, PRODUCT, SPIKE, TABLE, TERNARY = range(7)
TABLE_HEAD = 5
"""Constants of a Table before its bases and slopes: origin, width, the shift's three parts."""
_INT32 = 1 << 31


class Stage(NamedTuple):
    """One operation of a chain; the kernel reads these numbers by their position."""

    kind: int
    x: int
    """Number of the first input's value."""
    y: int
    """Number of the second input's; that of x where there is none."""
    at: int
    """First row of its parameters per channel; of a Table, the position of its constants."""
    other: int
    """Segments of a Table; of a LayerNorm, the position of its constant."""
    narrow: int
    """Whether the gain fits 32 bits."""
    left: int
    """Whether any channel is shifted left."""
    limit: int
    """Saturate to [-limit, limit - 1]; 0: proved unnecessary."""
    counter: int
    """Where to count what saturates."""


@dataclass(frozen=True, eq=False)
class Chain:
    """What the kernel `pointwise` needs, besides its inputs."""

    plan: tuple[tuple[int, ...], ...]
    wide: tuple[bool, ...]
    keep: tuple[int, ...]
    channels: int
    fields: Tensor
    constants: Tensor
    dtypes: tuple[torch.dtype, ...]

    @property
    def has_statistics(self) -> bool:
        """Whether it computes anything of a whole row."""
        return any(stage[0] == LAYERNORM for stage in self.plan)


@dataclass
class Writer:
    """Writes operations of the same number of channels as stages, in order."""

    channels: int
    intervals: dict[str, Interval]
    counter_of: Callable[[Op], int]
    numbers: dict[str, int] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)
    fields: list[Any] = field(default_factory=list)
    constants: list[int] = field(default_factory=list)

    def read(self, name: str) -> None:
        """Note an input of the chain; before any stage."""
        self.numbers[name] = len(self.numbers)

    def write(self, op: Op) -> None:
        """Append an operation whose inputs are known."""
        numbers = [self.numbers[name] for name in op.inputs]
        limit = 0 if op.out.proved or not op.saturates else 1 << (op.out.bits - 1)
        stage = self._stage(op)._replace(
            x=numbers[0],
            y=numbers[-1],
            limit=limit,
            counter=self.counter_of(op) if limit else 0,
        )
        self.stages.append(stage)
        self.numbers[op.name] = len(self.numbers)

    def chain(
        self, outputs: tuple[str, ...], dtypes: dict[str, torch.dtype], device: torch.device
    ) -> Chain:
        """Return the chain that stores these outputs."""
        wide = tuple(not exactness.holds(self.intervals[name], _INT32) for name in self.numbers)
        fields = np.array(self.fields or np.zeros((1, self.channels)), np.int64)
        return Chain(
            plan=tuple(tuple(stage) for stage in self.stages),
            wide=wide,
            keep=tuple(self.numbers[name] for name in outputs),
            channels=self.channels,
            fields=torch.from_numpy(fields).to(device),
            constants=torch.tensor(self.constants or [0], dtype=torch.int64, device=device),
            dtypes=tuple(dtypes[name] for name in outputs),
        )

    @singledispatchmethod
    def _stage(self, op: Op) -> Stage:
        raise UnsupportedError(f"{op.name}: {type(op).__name__} is not pointwise")

    @_stage.register(Affine)
    @_stage.register(LayerNorm)
    def _(self, op: Affine | LayerNorm) -> Stage:
        at, left = self._rows(op.gain, shift=op.shift, after=(op.offset,))
        narrow = int(np.abs(op.gain).max() < _INT32)
        if isinstance(op, Affine):
            return Stage(AFFINE, 0, 0, at, 0, narrow, left, 0, 0)
        return Stage(LAYERNORM, 0, 0, at, self._constants([op.eps]), narrow, left, 0, 0)

    @_stage.register
    def _(self, op: Add) -> Stage:
        return Stage(ADD, 0, 0, 0, 0, 0, 0, 0, 0)

    @_stage.register
    def _(self, op: Product) -> Stage:
        at, left = self._rows(shift=np.broadcast_to(op.shift, self.channels))
        return Stage(PRODUCT, 0, 0, at, 0, 0, left, 0, 0)

    @_stage.register
    def _(self, op: Spike) -> Stage:
        return self._threshold(SPIKE, op)

    @_stage.register
    def _(self, op: Ternary) -> Stage:
        return self._threshold(TERNARY, op)

    def _threshold(self, kind: int, op: Spike | Ternary) -> Stage:
        self.fields.append(np.broadcast_to(op.threshold, self.channels))
        return Stage(kind, 0, 0, len(self.fields) - 1, 0, 0, 0, 0, 0)

    @_stage.register
    def _(self, op: Table) -> Stage:
        shift = [int(part) for part in shift_parts(op.slope_shift)]
        at = self._constants([op.origin, op.width, *shift, *op.base.tolist(), *op.slope.tolist()])
        return Stage(TABLE, 0, 0, at, op.base.size, 0, 0, 0, 0)

    def _rows(self, *before: Any, shift: Any, after: tuple[Any, ...] = ()) -> tuple[int, int]:
        """Append rows of parameters; return the number of the first, and whether any goes left."""
        parts = shift_parts(shift)
        self.fields += [*before, *parts, *after]
        first = len(self.fields) - len(before) - len(parts) - len(after)
        return first, int(parts[2].any())

    def _constants(self, numbers: list[int]) -> int:
        self.constants += [int(number) for number in numbers]
        return len(self.constants) - len(numbers)
