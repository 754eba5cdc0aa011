"""Thresholds: graded values to binary and ternary spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurossm.arrays import IntArray
from neurossm.errors import InputError
from neurossm.program.arithmetic import Tally
from neurossm.program.op import Op, State, freeze_integers
from neurossm.program.tensor import Interval


@dataclass(frozen=True, eq=False)
class Spike(Op):
    """`s = 1 if x > threshold else 0`, threshold (H): one bit on the wire."""

    threshold: IntArray
    saturates: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze_integers(self, "threshold", (self.out.channels,))

    def step(self, state: State, *inputs: IntArray, tally: Tally) -> tuple[State, IntArray]:
        """Compute (B, H) to (B, H) of 0 and 1."""
        (x,) = inputs
        return state, (x > self.threshold).astype(np.int64)

    def bounds(self, *inputs: Interval) -> Interval:
        """A channel that can reach its threshold can spike."""
        (x,) = inputs
        return Interval(
            (x.low > self.threshold).astype(np.int64), (x.high > self.threshold).astype(np.int64)
        )


@dataclass(frozen=True, eq=False)
class Ternary(Op):
    """`s = 1 if x > threshold, -1 if x < -threshold, else 0`, threshold (H), not negative."""

    threshold: IntArray
    saturates: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check shapes and sign."""
        super().__post_init__()
        freeze_integers(self, "threshold", (self.out.channels,))
        if (self.threshold < 0).any():
            raise InputError(f"{self.name}: negative threshold {self.threshold.min()}")

    def _spikes(self, x: IntArray) -> IntArray:
        spikes: IntArray = (x > self.threshold).astype(np.int64) - (x < -self.threshold)
        return spikes

    def step(self, state: State, *inputs: IntArray, tally: Tally) -> tuple[State, IntArray]:
        """Compute (B, H) to (B, H) of -1, 0 and 1."""
        (x,) = inputs
        return state, self._spikes(x)

    def bounds(self, *inputs: Interval) -> Interval:
        """Monotone in x."""
        (x,) = inputs
        return Interval(self._spikes(x.low), self._spikes(x.high))
