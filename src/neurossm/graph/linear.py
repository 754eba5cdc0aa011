"""Nodes that mix or scale channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurossm.arrays import FloatArray, freeze
from neurossm.graph.node import Node


@dataclass(frozen=True, eq=False)
class Linear(Node):
    """`y = W x + b`, with `weight` (O, I) and `bias` (O)."""

    weight: FloatArray
    bias: FloatArray

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze(self, "weight", np.float64, (None, None))
        freeze(self, "bias", np.float64, (self.weight.shape[0],))

    def channels(self, *sizes: int) -> int:
        """Return O."""
        self.expect(sizes[0], self.weight.shape[1])
        return self.weight.shape[0]


@dataclass(frozen=True, eq=False)
class Embedding(Node):
    """`y = weight[token]`, with `weight` (V, H)."""

    weight: FloatArray

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze(self, "weight", np.float64, (None, None))

    def channels(self, *sizes: int) -> int:
        """Return H."""
        self.expect(sizes[0], 1)
        return self.weight.shape[1]


@dataclass(frozen=True, eq=False)
class Affine(Node):
    """`y = scale x + shift`, both (H)."""

    scale: FloatArray
    shift: FloatArray

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze(self, "scale", np.float64, (None,))
        freeze(self, "shift", np.float64, self.scale.shape)

    def channels(self, *sizes: int) -> int:
        """Return H."""
        self.expect(sizes[0], self.scale.size)
        return sizes[0]
