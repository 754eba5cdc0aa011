"""The softmax over the channels of each step, as a node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import special

from neurossm.arrays import FloatArray
from neurossm.graph.node import FloatWork, Node
from neurossm.graph.range import Range


@dataclass(frozen=True, eq=False)
class SoftmaxNode(Node):
    """`y_h = exp(x_h) / sum_i exp(x_i)`, at each step for itself."""

    work_per_channel: ClassVar[FloatWork | None] = FloatWork(elementwise=1, functions=1)

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (..., H)."""
        value: FloatArray = special.softmax(inputs[0], axis=-1)
        return value

    def bound(self, *inputs: Range) -> Range:
        """0 to 1."""
        low = np.zeros_like(inputs[0].low)
        return Range(low, low + 1)
