"""The readout: sum over time, decode once, divide by the number of steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurossm.arrays import IntArray
from neurossm.errors import InputError
from neurossm.program.arithmetic import Tally, check_exact, rshift, saturate
from neurossm.program.fields import freeze_integers
from neurossm.program.operation import Op, States
from neurossm.program.tensor import Interval


@dataclass(frozen=True, eq=False)
class Readout(Op):
    """Mean over time, then a linear decoder, with one rounding at the very end.

    `acc = sum_t x_t` over the n steps of a sample, `z = weight acc + bias n`, and
    `logits = sat(floor((2 z + n 2**shift) / (n 2**(shift + 1))))`, which is `z / (n 2**shift)`
    to nearest, halves up. `weight` is (classes, H), `bias` (classes); everything is exact until
    then. A sample may have at most `max_steps` steps.
    """

    weight: IntArray
    bias: IntArray
    shift: int
    max_steps: int

    def __post_init__(self) -> None:
        """Check shapes and the number of steps."""
        super().__post_init__()
        freeze_integers(self, "weight", (self.out.channels, None))
        freeze_integers(self, "bias", (self.out.channels,))
        if (self.out.exponent != self.out.exponent[0]).any():
            raise InputError(f"{self.name}: logits of different exponents cannot be compared")
        if self.max_steps < 1 or not 0 <= self.shift <= 40:
            raise InputError(
                f"{self.name}: max_steps {self.max_steps} must be at least 1, "
                f"shift {self.shift} between 0 and 40"
            )

    def start(self, batch: int) -> States:
        """Return an empty sum."""
        width = self.weight.shape[1]
        return {"sum": np.zeros((batch, width), np.int64), "steps": np.zeros(1, np.int64)}

    def accumulate(self, state: States, x: IntArray) -> States:
        """Add one step's (B, H) to the sum."""
        return {"sum": state["sum"] + x, "steps": state["steps"] + 1}

    def step(self, state: States, *inputs: IntArray, tally: Tally) -> tuple[States, IntArray]:
        """Add (B, H) to the sum; return the logits (B, classes) as if the sample ended now."""
        state = self.accumulate(state, inputs[0])
        return state, self.decode(state["sum"], int(state["steps"][0]), tally)

    def decode(self, total: IntArray, steps: IntArray | int, tally: Tally) -> IntArray:
        """Return logits (B, classes) from sums (B, H) over so many steps, one number or (B)."""
        n = np.asarray(steps, np.int64).reshape(-1, 1)
        z = total @ self.weight.T + self.bias * n
        logits = (2 * z + (n << self.shift)) // (n << (self.shift + 1))
        return saturate(logits, self.out.bits, tally, self.name)

    def bounds(self, *inputs: Interval) -> Interval:
        """A mean lies within the bounds of what it averages, whatever the number of steps."""
        (x,) = inputs
        largest = x.largest().astype(np.float64)
        reach = np.abs(self.weight).astype(np.float64) @ largest + np.abs(self.bias)
        for worst in (2 * reach + 2.0**self.shift, largest):
            what = f"the sum over max_steps = {self.max_steps} steps"
            check_exact(self.name, what, worst * self.max_steps)
        at_low, at_high = self.weight * x.low, self.weight * x.high
        low = np.minimum(at_low, at_high).sum(axis=1) + self.bias
        high = np.maximum(at_low, at_high).sum(axis=1) + self.bias
        return Interval(rshift(low, self.shift), rshift(high, self.shift))

    def input_channels(self) -> tuple[int | None, ...]:
        """Return H."""
        return (self.weight.shape[1],)
