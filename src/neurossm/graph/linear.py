"""Nodes that mix or scale channels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from neurossm.arrays import FloatArray, freeze
from neurossm.graph.node import FloatWork, Monotone, Node, PerChannel
from neurossm.graph.range import Range

_ROWS = 16
"""Rows of a matrix product taken at a time: too few for the linear algebra library to start
threads of its own, which would compete with those that already have a sample each."""


@dataclass(frozen=True, eq=False)
class LinearNode(Node):
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

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (..., I) to (..., O)."""
        (x,) = inputs
        out = _product(x, self._columns)
        out += self.bias
        return out

    @cached_property
    def _columns(self) -> FloatArray:
        return np.ascontiguousarray(self.weight.T)

    def bound(self, *inputs: Range) -> Range:
        """Each product takes its extremes at an end."""
        (x,) = inputs
        positive, negative = np.maximum(self.weight, 0), np.minimum(self.weight, 0)
        return Range(
            positive @ x.low + negative @ x.high + self.bias,
            positive @ x.high + negative @ x.low + self.bias,
        )

    def work(self, channels: int) -> FloatWork:
        """One product per weight."""
        return FloatWork(linear=self.weight.size)


@dataclass(frozen=True, eq=False)
class EmbeddingNode(Node):
    """`y = weight[token]`, with `weight` (V, H)."""

    weight: FloatArray
    work_per_channel: ClassVar[FloatWork | None] = FloatWork()

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze(self, "weight", np.float64, (None, None))

    def channels(self, *sizes: int) -> int:
        """Return H."""
        self.expect(sizes[0], 1)
        return self.weight.shape[1]

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Select rows by token numbers (B, L, 1)."""
        rows: FloatArray = self.weight[inputs[0][..., 0].astype(np.int64)]
        return rows

    def bound(self, *inputs: Range) -> Range:
        """Any row may be selected."""
        return Range(self.weight.min(axis=0), self.weight.max(axis=0))


@dataclass(frozen=True, eq=False)
class AffineNode(Monotone):
    """`y = scale x + shift`, both (H)."""

    scale: PerChannel
    shift: PerChannel
    work_per_channel: ClassVar[FloatWork | None] = FloatWork(elementwise=1)

    def apply(self, *inputs: FloatArray) -> FloatArray:
        """Compute (..., H)."""
        return self.scale * inputs[0] + self.shift


def _product(x: FloatArray, columns: FloatArray) -> FloatArray:
    """Return `x @ columns` for x (..., I) and columns (I, O), a few rows at a time."""
    rows = x.reshape(-1, x.shape[-1])
    whole = len(rows) // _ROWS * _ROWS
    out = np.empty((len(rows), columns.shape[1]))
    pieces = rows[:whole].reshape(-1, _ROWS, x.shape[-1])
    np.matmul(pieces, columns, out=out[:whole].reshape(-1, _ROWS, columns.shape[1]))
    np.matmul(rows[whole:], columns, out=out[whole:])
    return out.reshape(*x.shape[:-1], columns.shape[1])
