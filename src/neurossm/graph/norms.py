"""Normalisations, as they are in evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurossm.arrays import FloatArray, freeze
from neurossm.errors import InputError
from neurossm.graph.node import FloatWork, Node
from neurossm.graph.range import Range


@dataclass(frozen=True, eq=False)
class BatchNormNode(Node):
    """`y = gain (x - mean) / sqrt(var + eps) + bias`, all (H), with the statistics of training."""

    mean: FloatArray
    var: FloatArray
    gain: FloatArray
    bias: FloatArray
    eps: float

    def __post_init__(self) -> None:
        """Check shapes and that the root is of something positive."""
        super().__post_init__()
        freeze(self, "mean", np.float64, (None,))
        for field in ("var", "gain", "bias"):
            freeze(self, field, np.float64, self.mean.shape)
        if not (self.var + self.eps > 0).all():
            raise InputError(f"{self.name}: variance + eps is not positive")

    def channels(self, *sizes: int) -> int:
        """Return H."""
        self.expect(sizes[0], self.mean.size)
        return sizes[0]

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (..., H)."""
        root = np.sqrt(self.var + self.eps)
        normal: FloatArray = inputs[0] - self.mean
        normal /= root
        normal *= self.gain
        normal += self.bias
        return normal

    def bound(self, *inputs: Range) -> Range:
        """Monotone in x."""
        (x,) = inputs
        return Range.between(self.apply(x.low), self.apply(x.high))

    def work(self, channels: int) -> FloatWork:
        """One product and sum per channel."""
        return FloatWork(elementwise=channels)


@dataclass(frozen=True, eq=False)
class LayerNormNode(Node):
    """`y = gain (x - mean_h x) / sqrt(var_h x + eps) + bias`, statistics over the channels.

    The variance is that of the H channels themselves (divided by H, not by H - 1).
    """

    gain: FloatArray
    bias: FloatArray
    eps: float

    def __post_init__(self) -> None:
        """Check shapes and eps."""
        super().__post_init__()
        freeze(self, "gain", np.float64, (None,))
        freeze(self, "bias", np.float64, self.gain.shape)
        if not self.eps > 0:
            raise InputError(f"{self.name}: eps {self.eps} is not positive")

    def channels(self, *sizes: int) -> int:
        """Return H."""
        self.expect(sizes[0], self.gain.size)
        return sizes[0]

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

    def work(self, channels: int) -> FloatWork:
        """Per channel: its share of the two statistics, and gain and bias."""
        return FloatWork(elementwise=3 * channels)
