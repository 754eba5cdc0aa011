"""Nodes that turn graded values into spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.errors import InputError
from neurossm.graph.node import FloatWork, Node, PerChannel
from neurossm.graph.range import Range


@dataclass(frozen=True, eq=False)
class SpikeNode(Node):
    """`y = 1 if x > threshold else 0`, threshold (H)."""

    threshold: PerChannel
    limited: ClassVar[bool] = True
    emits: ClassVar[str] = "spikes"
    work_per_channel: ClassVar[FloatWork | None] = FloatWork()

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (..., H) of 0 and 1."""
        return (inputs[0] > self.threshold).astype(np.float64)

    def margin(self, *inputs: FloatArray) -> FloatArray:
        """Return `|x - threshold|`."""
        apart: FloatArray = np.abs(inputs[0] - self.threshold)
        return apart

    def bound(self, *inputs: Range) -> Range:
        """0 to 1."""
        low = np.zeros_like(inputs[0].low)
        return Range(low, low + 1)


@dataclass(frozen=True, eq=False)
class TernaryNode(Node):
    """`y = [x > d] - [-x > d]`, with the static threshold `d = threshold` (H).

    Where `threshold` is None, `d = factor * max_h |x_h|`, anew at every step.
    """

    threshold: PerChannel | None
    factor: float
    limited: ClassVar[bool] = True
    emits: ClassVar[str] = "spikes"
    work_per_channel: ClassVar[FloatWork | None] = FloatWork()

    def __post_init__(self) -> None:
        """Check that the threshold is not negative."""
        super().__post_init__()
        if self.factor < 0:
            raise InputError(f"{self.name}: negative factor {self.factor:.6g}")
        if self.threshold is not None and (self.threshold < 0).any():
            raise InputError(f"{self.name}: negative threshold {self.threshold.min():.6g}")

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (..., H) of -1, 0 and 1."""
        (x,) = inputs
        threshold = self._threshold(x)
        spikes: FloatArray = (x > threshold).astype(np.float64)
        spikes -= x < -threshold
        return spikes

    def _threshold(self, x: FloatArray) -> FloatArray:
        if self.threshold is not None:
            return self.threshold
        high, low = x.max(axis=-1, keepdims=True), x.min(axis=-1, keepdims=True)
        dynamic: FloatArray = self.factor * np.maximum(high, -low)
        return dynamic

    def margin(self, *inputs: FloatArray) -> FloatArray:
        """Return `||x| - d|`, the distance from the nearer threshold."""
        (x,) = inputs
        apart: FloatArray = np.abs(np.abs(x) - self._threshold(x))
        return apart

    def bound(self, *inputs: Range) -> Range:
        """-1 to 1."""
        one = np.ones_like(inputs[0].low)
        return Range(-one, one)
