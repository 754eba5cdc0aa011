"""Nodes that merge tensors, or the steps of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from neurossm.graph.node import Node


@dataclass(frozen=True, eq=False)
class Product(Node):
    """`z = x y`, elementwise."""

    arity: ClassVar[int] = 2

    def channels(self, *sizes: int) -> int:
        """Return H."""
        self.expect(sizes[1], sizes[0])
        return sizes[0]


@dataclass(frozen=True, eq=False)
class Add(Node):
    """`z = x + y`, elementwise: the residual connection."""

    arity: ClassVar[int] = 2

    def channels(self, *sizes: int) -> int:
        """Return H."""
        self.expect(sizes[1], sizes[0])
        return sizes[0]


@dataclass(frozen=True, eq=False)
class Mean(Node):
    """Mean over all time steps: (B, L, H) becomes (B, H)."""
