"""Piecewise-linear functions on equal segments: sigmoid and GELU by shifts and additions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurossm.arrays import IntArray
from neurossm.errors import InputError
from neurossm.program.arithmetic import Tally, rshift, saturate
from neurossm.program.op import EXACT_BITS, Op, State, check_exact, check_shift, freeze_integers
from neurossm.program.tensor import Interval


@dataclass(frozen=True, eq=False)
class Table(Op):
    """`y = sat(base[i] + rshift(slope[i] * (x - origin - i * 2**width), slope_shift))`.

    `i = clamp(floor((x - origin) / 2**width), 0, S - 1)`; `base` and `slope` are (S), shared by all
    channels. The first and the last segment extend without limit. Each slope has few nonzero
    signed binary digits, so that the product is that many shifts and additions.
    """

    origin: int
    width: int
    base: IntArray
    slope: IntArray
    slope_shift: int

    def __post_init__(self) -> None:
        """Check shapes and shifts."""
        super().__post_init__()
        freeze_integers(self, "base", (None,))
        freeze_integers(self, "slope", self.base.shape)
        check_shift(self.name, "slope_shift", self.slope_shift)
        if self.width < 0:
            raise InputError(f"{self.name}: segments 2^{self.width} wide, must be at least 1")
        limit = 1 << EXACT_BITS
        if abs(self.origin) >= limit or self.width >= EXACT_BITS:
            raise InputError(f"{self.name}: segments reach beyond 2^{EXACT_BITS}")
        if abs(self.origin) + (self.base.size << self.width) >= limit:
            raise InputError(f"{self.name}: segments reach beyond 2^{EXACT_BITS}")

    def _before_saturation(self, x: IntArray) -> IntArray:
        segment = np.clip((x - self.origin) >> self.width, 0, self.base.size - 1)
        offset = x - self.origin - (segment << self.width)
        return self.base[segment] + rshift(self.slope[segment] * offset, self.slope_shift)

    def step(self, state: State, *inputs: IntArray, tally: Tally) -> tuple[State, IntArray]:
        """Compute (B, H) to (B, H)."""
        (x,) = inputs
        return state, saturate(self._before_saturation(x), self.out.bits, tally, self.name)

    def bounds(self, *inputs: Interval) -> Interval:
        """Linear within a segment, so the extremes are at the ends of segments or of the input."""
        (x,) = inputs
        reach = x.largest() + abs(self.origin)
        steepest = np.abs(self.slope).max() * 2.0 ** max(-self.slope_shift, 0)
        check_exact(self.name, "slope * x", reach.astype(np.float64) * steepest)
        left = self.origin + (np.arange(self.base.size) << self.width)
        corners = np.concatenate([left, left[1:] - 1])  # (2 S - 1): both ends of every segment
        inside = np.clip(corners[:, None], x.low, x.high)  # (2 S - 1, C)
        values = self._before_saturation(np.concatenate([inside, [x.low, x.high]]))
        return Interval(values.min(axis=0), values.max(axis=0))
