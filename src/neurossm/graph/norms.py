"""Normalisations, as they are in evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurossm.arrays import FloatArray, freeze
from neurossm.errors import InputError
from neurossm.graph.node import Node


@dataclass(frozen=True, eq=False)
class BatchNorm(Node):
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


@dataclass(frozen=True, eq=False)
class LayerNorm(Node):
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
