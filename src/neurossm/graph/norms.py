"""Normalisations, as they are in evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.errors import InputError
from neurossm.graph.node import FloatWork, Monotone, Node, PerChannel
from neurossm.graph.range import Range


@dataclass(frozen=True, eq=False)
class BatchNormNode(Monotone):
    """`y = gain (x - mean) / sqrt(var + eps) + bias`, all (H), with the statistics of training."""

    mean: PerChannel
    var: PerChannel
    gain: PerChannel
    bias: PerChannel
    eps: float
    work_per_channel: ClassVar[FloatWork | None] = FloatWork(elementwise=1)

    def __post_init__(self) -> None:
        """Check that the root is of something positive."""
        super().__post_init__()
        if not (self.var + self.eps > 0).all():
            raise InputError(f"{self.name}: variance + eps is not positive")

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (..., H)."""
        root = np.sqrt(self.var + self.eps)
        normal: FloatArray = inputs[0] - self.mean
        normal /= root
        normal *= self.gain
        normal += self.bias
        return normal


@dataclass(frozen=True, eq=False)
class LayerNormNode(Node):
    """`y = gain (x - mean_h x) / sqrt(var_h x + eps) + bias`, statistics over the channels.

    The variance is that of the H channels themselves (divided by H, not by H - 1).
    """

    gain: PerChannel
    bias: PerChannel
    eps: float
    work_per_channel: ClassVar[FloatWork | None] = FloatWork(elementwise=3)

    def __post_init__(self) -> None:
        """Check eps."""
        super().__post_init__()
        if not self.eps > 0:
            raise InputError(f"{self.name}: eps {self.eps} is not positive")

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (..., H)."""
        (x,) = inputs
        centred: FloatArray = x - x.mean(axis=-1, keepdims=True)
        variance = np.mean(centred**2, axis=-1, keepdims=True)
        centred /= np.sqrt(variance + self.eps)
        centred *= self.gain
        centred += self.bias
        return centred

    def bound(self, *inputs: Range) -> Range:
        """At most, one channel holds the whole variance."""
        reach = np.abs(self.gain) * np.sqrt(self.gain.size)
        return Range(self.bias - reach, self.bias + reach)
