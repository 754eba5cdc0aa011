"""A leaky integrator with a threshold: it fires, and begins again at 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurossm.arrays import IntArray
from neurossm.errors import InputError
from neurossm.program.arithmetic import limits
from neurossm.program.bounds import Reach
from neurossm.program.expression import Expression, Step, greater, rshift, saturated, select
from neurossm.program.fields import State, Symbols, per_channel, scalar
from neurossm.program.operation import Op
from neurossm.program.tensor import Interval

STATE_BITS = (2, 40)
"""Least and greatest width of states."""


@dataclass(frozen=True, eq=False)
class LIF(Op):
    """`v' = sat(rshift(decay v, decay_shift) + x)`; `s = 1 if v' > threshold else 0`.

    The next state is 0 where it fires, else `v'` (hard reset). `decay`, `decay_shift` and
    `threshold` are (H), `0 <= decay <= 2**decay_shift`; v has `state_bits` and the exponent of x.
    """

    decay: IntArray = per_channel()
    decay_shift: IntArray = per_channel(shift=True)
    threshold: IntArray = per_channel()
    state_bits: int = scalar()
    saturates: ClassVar[bool] = False
    emits: ClassVar[str] = "spikes"
    states: ClassVar[tuple[State, ...]] = (State("state", "channel", "state_bits"),)

    def __post_init__(self) -> None:
        """Check the decay and the width."""
        super().__post_init__()
        least, most = STATE_BITS
        if not least <= self.state_bits <= most:
            raise InputError(
                f"{self.name}: state_bits {self.state_bits}, must be {least} to {most}"
            )
        if (self.decay_shift < 0).any() or (self.decay_shift > 30).any():
            raise InputError(f"{self.name}: decay_shift must be 0 to 30")
        if (self.decay < 0).any() or (self.decay > np.int64(1) << self.decay_shift).any():
            raise InputError(f"{self.name}: decay outside [0, 2^decay_shift]")

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Step:
        """Decay, integrate, compare, and reset."""
        integrated = rshift(f.decay * f.state("state"), f.decay_shift) + x[0]
        v = saturated(integrated, f.state_bits).called("v")
        spike = greater(v, f.threshold)
        return Step(spike, {"state": select(spike, 0, v)})

    def state_bounds(self, *inputs: Interval) -> dict[str, Reach]:
        """Bound v before saturation and reset, at any time.

        What is kept is at most the threshold, or 0, so v' is at most that, decayed, and x.
        From below there is no reset: with `r = decay 2**-decay_shift`, v stays above
        `(min(x, 0) - 1/2) / (1 - r)`, the rounding of every step included.
        """
        (x,) = inputs
        ratio = self.decay * np.exp2(-self.decay_shift.astype(np.float64))
        kept = np.clip(self.threshold, 0, limits(self.state_bits)[1])  # more is never kept
        high = np.ceil(ratio * kept).astype(np.int64) + np.maximum(x.high, 0)
        least = np.minimum(x.low, 0)
        with np.errstate(divide="ignore"):
            lowest = np.where(least < 0, (least - 0.5) / (1 - ratio), 0.0)
        low = np.floor(np.maximum(lowest, -(2.0**61))).astype(np.int64)
        return {"state": Reach(np.where(least < 0, low - 1, 0), high)}
