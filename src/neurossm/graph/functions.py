"""Nodes that apply one function to every channel: thresholds, sigmoid, GELU and their tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurossm.arrays import FloatArray, freeze
from neurossm.errors import InputError
from neurossm.graph.node import Node


@dataclass(frozen=True, eq=False)
class Spike(Node):
    """`y = 1 if x > threshold else 0`, threshold (H)."""

    threshold: FloatArray

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze(self, "threshold", np.float64, (None,))

    def channels(self, *sizes: int) -> int:
        """Return H."""
        self.expect(sizes[0], self.threshold.size)
        return sizes[0]


@dataclass(frozen=True, eq=False)
class Ternary(Node):
    """`y = [x > d] - [-x > d]`, with the static threshold `d = threshold` (H).

    Where `threshold` is None, `d = factor * max_h |x_h|`, anew at every step.
    """

    threshold: FloatArray | None
    factor: float

    def __post_init__(self) -> None:
        """Check that the threshold is not negative."""
        super().__post_init__()
        if self.factor < 0:
            raise InputError(f"{self.name}: negative factor {self.factor:.6g}")
        if self.threshold is not None:
            freeze(self, "threshold", np.float64, (None,))
            if (self.threshold < 0).any():
                raise InputError(f"{self.name}: negative threshold {self.threshold.min():.6g}")

    def channels(self, *sizes: int) -> int:
        """Return H."""
        if self.threshold is not None:
            self.expect(sizes[0], self.threshold.size)
        return sizes[0]


@dataclass(frozen=True, eq=False)
class Sigmoid(Node):
    """`y = 1 / (1 + exp(-x))`."""


@dataclass(frozen=True, eq=False)
class GELU(Node):
    """`y = x Phi(x)`, with the exact normal distribution function."""


@dataclass(frozen=True, eq=False)
class PiecewiseLinear(Node):
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

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze(self, "base", np.float64, (None,))
        freeze(self, "slope", np.float64, self.base.shape)
