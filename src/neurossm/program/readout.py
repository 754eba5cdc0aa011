"""Readouts: what is kept of a tensor over time, and the linear decoder that makes logits of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import ClassVar

import numpy as np

from neurossm.arrays import IntArray
from neurossm.errors import InputError
from neurossm.program.arithmetic import Tally, check_exact, rshift, saturate
from neurossm.program.fields import freeze_integers
from neurossm.program.operation import Op, States
from neurossm.program.tensor import Interval

_EXACT = 2.0**53
"""Sums of integers below this are exact in floats."""


@dataclass(frozen=True, eq=False)
class Readout(Op):
    """Mean over time, then a linear decoder, with one rounding at the very end.

    `acc = sum_t x_t` over the n steps of a sample, `z = weight acc + bias n`, and
    `logits = sat(floor((2 z + n 2**shift) / (n 2**(shift + 1))))`, which is `z / (n 2**shift)`
    to nearest, halves up. `weight` is (classes, H), `bias` (classes); everything is exact until
    then. A sample may have at most `max_steps` steps.

    The other readouts keep something else than the sum, and decode it with n = 1.
    """

    pool: ClassVar[str] = "mean"
    """What logits are made of: "mean" over time, "last" step, largest values ("max"), or each step
    by itself ("none")."""
    empty: ClassVar[int] = 0
    """What is kept before the first step."""

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
        return {"sum": np.full((batch, width), self.empty), "steps": np.zeros(1, np.int64)}

    def after_each(self, total: IntArray, x: IntArray) -> IntArray:
        """Return what is kept after each step of x (B, T, H), given what was before, (B, H)."""
        return total[:, None] + np.cumsum(x, axis=1)

    def after(self, total: IntArray, x: IntArray) -> IntArray:
        """Return what is kept after the last step of x (B, T, H), (B, H)."""
        kept: IntArray = total + x.sum(axis=1)
        return kept

    def step(self, state: States, *inputs: IntArray, tally: Tally) -> tuple[States, IntArray]:
        """Take one step (B, H); return the logits (B, classes) as if the sample ended now."""
        total = self.after(state["sum"], inputs[0][:, None])
        state = {"sum": total, "steps": state["steps"] + 1}
        return state, self.decode(total, int(state["steps"][0]), tally)

    def decode(self, total: IntArray, steps: IntArray | int, tally: Tally) -> IntArray:
        """Return logits (..., classes) of what is kept (..., H) of so many steps.

        `steps` is one number, or as many as there are rows (...).
        """
        n = np.asarray(steps if self.pool == "mean" else 1, np.int64)[..., None]
        z = self._weighted(total) + self.bias * n
        logits = (2 * z + (n << self.shift)) // (n << (self.shift + 1))
        return saturate(logits, self.out.bits, tally, self.name)

    def _weighted(self, total: IntArray) -> IntArray:
        """Return `weight total`, in floats where they are exact: many steps take a while."""
        reach = float(np.abs(self.weight).sum(axis=1).max()) * float(np.abs(total).max(initial=0))
        if total.ndim > 2 and reach < _EXACT:
            product = total.astype(np.float64) @ self.weight.T.astype(np.float64)
            return product.astype(np.int64)
        exact: IntArray = total @ self.weight.T
        return exact

    def bounds(self, *inputs: Interval) -> Interval:
        """What is decoded lies within the bounds of what is read, whatever the number of steps."""
        (x,) = inputs
        largest = x.largest().astype(np.float64)
        reach = np.abs(self.weight).astype(np.float64) @ largest + np.abs(self.bias)
        for worst in (2 * reach + 2.0**self.shift, largest):
            what = f"the sum over max_steps = {self.max_steps} steps"
            check_exact(self.name, what, worst * self.summed_steps)
        at_low, at_high = self.weight * x.low, self.weight * x.high
        low = np.minimum(at_low, at_high).sum(axis=1) + self.bias
        high = np.maximum(at_low, at_high).sum(axis=1) + self.bias
        return Interval(rshift(low, self.shift), rshift(high, self.shift))

    def input_channels(self) -> tuple[int | None, ...]:
        """Return H."""
        return (self.weight.shape[1],)

    def pooled(self, steps: IntArray, longest: int) -> Pooled:
        """Return a memory for samples of so many steps (B), of at most `longest`."""
        return Pooled(self, steps, longest)

    @property
    def streams(self) -> bool:
        """Whether every step has logits of its own."""
        return self.pool == "none"

    @property
    def summed_steps(self) -> int:
        """How many steps what is kept may be the sum of."""
        return self.max_steps if self.pool == "mean" else 1


@dataclass(frozen=True, eq=False)
class LastReadout(Readout):
    """The last step of a sample through a linear decoder: `acc = x_n`, decoded with n = 1."""

    pool: ClassVar[str] = "last"

    def after_each(self, total: IntArray, x: IntArray) -> IntArray:
        """Return x."""
        return x

    def after(self, total: IntArray, x: IntArray) -> IntArray:
        """Return the last step (B, H) of x."""
        return x[:, -1]


@dataclass(frozen=True, eq=False)
class MaxReadout(Readout):
    """The largest value of each channel over time: `acc = max_t x_t`, decoded with n = 1."""

    pool: ClassVar[str] = "max"
    empty: ClassVar[int] = -(1 << 62)

    def after_each(self, total: IntArray, x: IntArray) -> IntArray:
        """Return the largest so far, after each step."""
        return np.maximum(total[:, None], np.maximum.accumulate(x, axis=1))

    def after(self, total: IntArray, x: IntArray) -> IntArray:
        """Return the largest so far."""
        return np.maximum(total, x.max(axis=1))


@dataclass(frozen=True, eq=False)
class StreamReadout(LastReadout):
    """Logits of every step: each step through a linear decoder, decoded with n = 1."""

    pool: ClassVar[str] = "none"


READOUTS: dict[str, type[Readout]] = {
    kind.pool: kind for kind in (Readout, LastReadout, MaxReadout, StreamReadout)
}
"""By what they pool."""


@dataclass(eq=False)
class Pooled:
    """What a readout keeps of samples whose steps come in pieces; several threads may bring them.

    Parameters
    ----------
    readout
        The readout.
    steps
        Valid steps (B) of each sample.
    longest
        L: steps that there is room for.

    Attributes
    ----------
    totals
        What is kept of each sample, (B, H).
    stream
        Logits (B, L, classes) of the steps so far, where each has its own; 0 after a sample's end.
    tally
        Logits that were clipped.
    """

    readout: Readout
    steps: IntArray
    longest: int
    totals: IntArray = field(init=False)
    stream: IntArray | None = field(init=False, default=None)
    tally: Tally = field(default_factory=Tally)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        """Keep nothing yet."""
        shape = (len(self.steps), self.readout.weight.shape[1])
        self.totals = np.full(shape, self.readout.empty)
        if self.readout.streams:
            size = (len(self.steps), self.longest, self.readout.out.channels)
            self.stream = np.zeros(size, np.int64)

    def add(self, who: IntArray | slice, begin: int, x: IntArray) -> None:
        """Take steps x (b, T, H) of the samples `who`, of which the first is step `begin`."""
        self.totals[who] = self.readout.after(self.totals[who], x)
        if self.stream is not None:
            tally = Tally()
            logits = self.readout.decode(x, 1, tally)
            self.stream[who, begin : begin + x.shape[1]] = logits
            with self._lock:
                self.tally.update(tally)

    def logits(self) -> IntArray:
        """Return the logits of all samples, which have come to their end.

        (B, classes), or (B, L, classes) where every step has its own.
        """
        if self.stream is not None:
            return self.stream
        return self.readout.decode(self.totals, self.steps, self.tally)
