"""Thresholds: graded values to binary and ternary spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from neurossm.arrays import IntArray
from neurossm.errors import InputError
from neurossm.program.expression import Expression, greater, select
from neurossm.program.fields import Symbols, per_channel
from neurossm.program.operation import Op


@dataclass(frozen=True, eq=False)
class Spike(Op):
    """`s = 1 if x > threshold else 0`, threshold (H): one bit on the wire."""

    threshold: IntArray = per_channel()
    saturates: ClassVar[bool] = False
    emits: ClassVar[str] = "spikes"

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Expression:
        """Compare."""
        return greater(x[0], f.threshold)


@dataclass(frozen=True, eq=False)
class Ternary(Op):
    """`s = 1 if x > threshold, -1 if x < -threshold, else 0`, threshold (H), not negative."""

    threshold: IntArray = per_channel()
    saturates: ClassVar[bool] = False
    emits: ClassVar[str] = "spikes"
    spike_bits: ClassVar[int] = 2

    def __post_init__(self) -> None:
        """Check the sign."""
        super().__post_init__()
        if (self.threshold < 0).any():
            raise InputError(f"{self.name}: negative threshold {self.threshold.min()}")

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Expression:
        """Compare on both sides."""
        return ternary(x[0], f.threshold)


def ternary(x: Expression, threshold: Expression) -> Expression:
    """Return 1 above a threshold, -1 below the same with the other sign, else 0."""
    return select(greater(x, threshold), 1, select(greater(-threshold, x), -1, 0))
