"""One product and one sum per channel: BatchNorm, biases, changes of width and exponent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurossm.arrays import IntArray
from neurossm.program.arithmetic import Tally, rshift, saturate
from neurossm.program.op import Op, State, check_exact, freeze_integers, freeze_shifts
from neurossm.program.tensor import Interval


@dataclass(frozen=True, eq=False)
class Affine(Op):
    """`y = sat(rshift(gain * x, shift) + offset)`, all fields (H); `shift` may be negative."""

    gain: IntArray
    shift: IntArray
    offset: IntArray

    def __post_init__(self) -> None:
        """Check shapes and shifts."""
        super().__post_init__()
        freeze_integers(self, "gain", (self.out.channels,))
        freeze_shifts(self, "shift", (self.out.channels,))
        freeze_integers(self, "offset", (self.out.channels,))

    def _before_saturation(self, x: IntArray) -> IntArray:
        return rshift(self.gain * x, self.shift) + self.offset

    def step(self, state: State, *inputs: IntArray, tally: Tally) -> tuple[State, IntArray]:
        """Compute (B, H) to (B, H)."""
        (x,) = inputs
        return state, saturate(self._before_saturation(x), self.out.bits, tally, self.name)

    def bounds(self, *inputs: Interval) -> Interval:
        """Monotone in x, so the ends map to the ends."""
        (x,) = inputs
        product = np.abs(self.gain).astype(np.float64) * x.largest()
        check_exact(self.name, "gain * x", product * np.exp2(np.maximum(-self.shift, 0)))
        ends = self._before_saturation(x.low), self._before_saturation(x.high)
        return Interval(np.minimum(*ends), np.maximum(*ends))
