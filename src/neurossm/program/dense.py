"""Feature mixing: integer weights times spikes (or graded values), accumulated exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurossm.arrays import IntArray
from neurossm.program.arithmetic import Tally, check_exact
from neurossm.program.fields import freeze_integers
from neurossm.program.operation import Op, States
from neurossm.program.tensor import Interval


@dataclass(frozen=True, eq=False)
class Dense(Op):
    """`z_o = sum_i weight[o, i] * x_i`, the exact sum: `weight` (O, I).

    With binary or ternary `x` it is made of additions and subtractions only. The sum is never
    rounded, shifted or saturated; whatever reads it does that.
    """

    weight: IntArray
    saturates: ClassVar[bool] = False
    sums: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze_integers(self, "weight", (self.out.channels, None))

    def step(self, state: States, *inputs: IntArray, tally: Tally) -> tuple[States, IntArray]:
        """Compute (B, I) to (B, O)."""
        (x,) = inputs
        return state, x @ self.weight.T

    def bounds(self, *inputs: Interval) -> Interval:
        """Each product takes its extreme at an end of its interval."""
        (x,) = inputs
        worst = np.abs(self.weight).astype(np.float64) @ x.largest().astype(np.float64)
        check_exact(self.name, "the weighted sum", worst)
        at_low, at_high = self.weight * x.low, self.weight * x.high
        return Interval(
            np.minimum(at_low, at_high).sum(axis=1), np.maximum(at_low, at_high).sum(axis=1)
        )

    def input_channels(self) -> tuple[int | None, ...]:
        """Return I."""
        return (self.weight.shape[1],)

    @property
    def synapses(self) -> IntArray:
        """The weights, one row per output channel, (O, I)."""
        return self.weight
