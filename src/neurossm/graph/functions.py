"""Nodes that apply one function to every channel: ReLU, sigmoid, GELU and their tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy import special

from neurossm.arrays import FloatArray, freeze
from neurossm.graph.node import FloatWork, Monotone, Node
from neurossm.graph.range import Range


@dataclass(frozen=True, eq=False)
class SigmoidNode(Monotone):
    """`y = 1 / (1 + exp(-x))`."""

    work_per_channel: ClassVar[FloatWork | None] = FloatWork(functions=1)

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (..., H)."""
        value: FloatArray = special.expit(inputs[0])
        return value


@dataclass(frozen=True, eq=False)
class ReLUNode(Monotone):
    """`y = max(x, 0)`."""

    work_per_channel: ClassVar[FloatWork | None] = FloatWork()

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (..., H)."""
        return np.maximum(inputs[0], 0.0)


@dataclass(frozen=True, eq=False)
class GELUNode(Node):
    """`y = x Phi(x)`, with the exact normal distribution function."""

    work_per_channel: ClassVar[FloatWork | None] = FloatWork(functions=1)

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (..., H)."""
        (x,) = inputs
        value: FloatArray = x * special.ndtr(x)
        return value

    def bound(self, *inputs: Range) -> Range:
        """Monotone on either side of its minimum."""
        (x,) = inputs
        lowest = -0.17004  # the minimum is -0.170041 at -0.7518, rounded to the safe side below
        ends = Range.between(self.apply(x.low), self.apply(x.high))
        holds_minimum = (x.low < -0.7518) & (x.high > -0.7518)
        return Range(np.where(holds_minimum, lowest - 1e-4, ends.low), ends.high)


@dataclass(frozen=True, eq=False)
class PiecewiseLinearNode(Node):
    """`y = base_i + slope_i (x - knot_i)` on segments of equal width, a power of two.

    Segment i is `floor((x - start) / 2**-width_log2)` clamped to the table, `knot_i` its left end;
    the first and the last segment extend without limit. `function` names what it stands for and
    `max_error` is the largest absolute difference from it over all real x.
    """

    function: str
    start: float
    width_log2: int
    base: FloatArray
    slope: FloatArray
    max_error: float
    limited: ClassVar[bool] = True
    work_per_channel: ClassVar[FloatWork | None] = FloatWork(functions=1)

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze(self, "base", np.float64, (None,))
        freeze(self, "slope", np.float64, self.base.shape)

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (..., H), as an offset and a slope for each segment."""
        (x,) = inputs
        position = x - self.start
        position *= 2.0**self.width_log2  # exact
        np.floor(position, out=position)
        segment = np.clip(position, 0, self.base.size - 1, out=position).astype(np.intp)
        y: FloatArray = self.slope.take(segment)
        y *= x
        y += self._offset.take(segment)
        return y

    @cached_property
    def _offset(self) -> FloatArray:
        left = self.start + np.arange(self.base.size) * 2.0**-self.width_log2
        return self.base - self.slope * left

    def bound(self, *inputs: Range) -> Range:
        """Take the ends, and every knot between them from both of its sides."""
        (x,) = inputs
        left = self.start + np.arange(self.base.size) * 2.0**-self.width_log2
        right_end = self.base + self.slope * 2.0**-self.width_log2
        # A segment that begins at the upper end counts, too: what is just before it is reached.
        inside = (left[:, None] > x.low) & (left[:, None] <= x.high)  # (segments, C)
        knots = np.stack([self.base, np.concatenate([self.base[:1], right_end[:-1]])])
        low = np.where(inside, knots.min(axis=0)[:, None], np.inf).min(axis=0)
        high = np.where(inside, knots.max(axis=0)[:, None], -np.inf).max(axis=0)
        return Range.between(self.apply(x.low), self.apply(x.high)).hull(Range(low, high))
