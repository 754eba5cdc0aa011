"""Products and sums of two tensors, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurossm.arrays import IntArray
from neurossm.program.arithmetic import Tally, rshift, saturate
from neurossm.program.op import Op, State, check_exact, freeze_shifts
from neurossm.program.tensor import Interval


@dataclass(frozen=True, eq=False)
class Product(Op):
    """`z = sat(rshift(x * y, shift))`, shift (H)."""

    shift: IntArray
    arity: ClassVar[int] = 2

    def __post_init__(self) -> None:
        """Check shapes and shifts."""
        super().__post_init__()
        freeze_shifts(self, "shift", (self.out.channels,))

    def step(self, state: State, *inputs: IntArray, tally: Tally) -> tuple[State, IntArray]:
        """Compute two (B, H) to (B, H)."""
        x, y = inputs
        return state, saturate(rshift(x * y, self.shift), self.out.bits, tally, self.name)

    def bounds(self, *inputs: Interval) -> Interval:
        """A product takes its extremes at the corners."""
        x, y = inputs
        worst = x.largest().astype(np.float64) * y.largest()
        check_exact(self.name, "x * y", worst * np.exp2(np.maximum(-self.shift, 0)))
        corners = np.stack([x.low * y.low, x.low * y.high, x.high * y.low, x.high * y.high])
        products = rshift(corners, self.shift)
        return Interval(products.min(axis=0), products.max(axis=0))


@dataclass(frozen=True, eq=False)
class Add(Op):
    """`z = sat(x + y)`: the residual connection; both have the output's exponent."""

    arity: ClassVar[int] = 2

    def step(self, state: State, *inputs: IntArray, tally: Tally) -> tuple[State, IntArray]:
        """Compute two (B, H) to (B, H)."""
        x, y = inputs
        return state, saturate(x + y, self.out.bits, tally, self.name)

    def bounds(self, *inputs: Interval) -> Interval:
        """Ends add up."""
        x, y = inputs
        return Interval(x.low + y.low, x.high + y.high)
