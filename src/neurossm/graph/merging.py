"""Nodes that merge tensors, or the steps of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.graph.node import FloatWork, Node
from neurossm.graph.range import Range


@dataclass(frozen=True, eq=False)
class ProductNode(Node):
    """`z = x y`, elementwise."""

    arity: ClassVar[int] = 2
    work_per_channel: ClassVar[FloatWork | None] = FloatWork(elementwise=1)

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute two (..., H)."""
        x, y = inputs
        return x * y

    def bound(self, *inputs: Range) -> Range:
        """A product takes its extremes at the corners."""
        x, y = inputs
        corners = np.stack([x.low * y.low, x.low * y.high, x.high * y.low, x.high * y.high])
        return Range(corners.min(axis=0), corners.max(axis=0))


@dataclass(frozen=True, eq=False)
class AddNode(Node):
    """`z = x + y`, elementwise: the residual connection."""

    arity: ClassVar[int] = 2
    work_per_channel: ClassVar[FloatWork | None] = FloatWork(elementwise=1)

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute two (..., H)."""
        x, y = inputs
        return x + y

    def bound(self, *inputs: Range) -> Range:
        """Ends add up."""
        x, y = inputs
        return Range(x.low + y.low, x.high + y.high)
