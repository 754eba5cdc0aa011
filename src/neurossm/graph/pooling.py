"""What becomes of time before the decoder: its mean, its last step, or the largest value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.graph.node import FloatWork, Node
from neurossm.graph.range import Range


@dataclass(frozen=True, eq=False)
class PoolNode(Node):
    """What the decoder reads: (B, L, H) becomes (B, H)."""

    time: ClassVar[Literal["any", "needed", "ended"]] = "ended"
    work_per_channel: ClassVar[FloatWork | None] = FloatWork(elementwise=1)
    pool: ClassVar[str]
    """The name of the program's readout, see `neurossm.program.readout`."""

    def bound(self, *inputs: Range) -> Range:
        """What is pooled is within what it is taken of."""
        return inputs[0]

    def after(self, total: FloatArray, x: FloatArray) -> FloatArray:
        """Return what is kept after a step x, (H), given what was before; x itself at first."""
        return x

    def result(self, total: FloatArray, steps: int) -> FloatArray:
        """Return the pool (H) of so many steps, given what is kept of them."""
        return total


@dataclass(frozen=True, eq=False)
class MeanNode(PoolNode):
    """Mean over all time steps."""

    pool: ClassVar[str] = "mean"

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (B, L, H) to (B, H)."""
        mean: FloatArray = inputs[0].mean(axis=1)
        return mean

    def after(self, total: FloatArray, x: FloatArray) -> FloatArray:
        """Return the sum."""
        return total + x

    def result(self, total: FloatArray, steps: int) -> FloatArray:
        """Return the mean."""
        return total / steps


@dataclass(frozen=True, eq=False)
class LastNode(PoolNode):
    """The last time step."""

    pool: ClassVar[str] = "last"
    work_per_channel: ClassVar[FloatWork | None] = FloatWork()

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (B, L, H) to (B, H)."""
        return np.ascontiguousarray(inputs[0][:, -1])


@dataclass(frozen=True, eq=False)
class MaxNode(PoolNode):
    """The largest value of each channel over all time steps."""

    pool: ClassVar[str] = "max"

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (B, L, H) to (B, H)."""
        largest: FloatArray = inputs[0].max(axis=1)
        return largest

    def after(self, total: FloatArray, x: FloatArray) -> FloatArray:
        """Return the larger ones."""
        return np.maximum(total, x)


@dataclass(frozen=True, eq=False)
class EachNode(PoolNode):
    """Every time step by itself, which the decoder then reads."""

    pool: ClassVar[str] = "none"
    time: ClassVar[Literal["any", "needed", "ended"]] = "any"
    work_per_channel: ClassVar[FloatWork | None] = FloatWork()

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Return (B, L, H)."""
        return inputs[0]


POOLS: dict[str, type[PoolNode]] = {
    kind.pool: kind for kind in (MeanNode, LastNode, MaxNode, EachNode)
}
"""By what they pool."""
