"""Feature mixing: integer weights times spikes (or graded values), accumulated exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurossm.arrays import IntArray, freeze
from neurossm.program.arithmetic import Tally
from neurossm.program.op import Op, State
from neurossm.program.tensor import Interval


@dataclass(frozen=True, eq=False)
class Dense(Op):
    """`z_o = sum_i weight[o, i] * x_i`, the exact sum: `weight` (O, I).

    With binary or ternary `x` it is made of additions and subtractions only. The sum is never
    rounded or shifted; whatever reads it does that.
    """

    weight: IntArray

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze(self, "weight", np.int64, (self.out.channels, None))

    def step(self, state: State, *inputs: IntArray, tally: Tally) -> tuple[State, IntArray]:
        """Compute (B, I) to (B, O)."""
        (x,) = inputs
        return state, x @ self.weight.T

    def bounds(self, *inputs: Interval) -> Interval:
        """Each product takes its extreme at an end of its interval."""
        (x,) = inputs
        at_low, at_high = self.weight * x.low, self.weight * x.high
        return Interval(
            np.minimum(at_low, at_high).sum(axis=1), np.maximum(at_low, at_high).sum(axis=1)
        )

    def input_channels(self) -> tuple[int | None, ...]:
        """Return I."""
        return (self.weight.shape[1],)


@dataclass(frozen=True, eq=False)
class Embedding(Op):
    """`z = weight[token]`: one spike selects a row of `weight` (V, H)."""

    weight: IntArray

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze(self, "weight", np.int64, (None, self.out.channels))

    def step(self, state: State, *inputs: IntArray, tally: Tally) -> tuple[State, IntArray]:
        """Compute (B, 1) token numbers to (B, H)."""
        (token,) = inputs
        return state, self.weight[token[:, 0]]

    def bounds(self, *inputs: Interval) -> Interval:
        """Any row may be selected."""
        return Interval(self.weight.min(axis=0), self.weight.max(axis=0))

    def input_channels(self) -> tuple[int | None, ...]:
        """One token per step."""
        return (1,)
