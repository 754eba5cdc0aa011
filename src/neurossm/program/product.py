"""The product of two tensors, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from neurossm.arrays import IntArray
from neurossm.program.expression import Expression, rshift
from neurossm.program.fields import Symbols, per_channel
from neurossm.program.operation import Op


@dataclass(frozen=True, eq=False)
class Product(Op):
    """`z = sat(rshift(x * y, shift))`, shift (H)."""

    shift: IntArray = per_channel(shift=True)
    arity: ClassVar[int] = 2

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Expression:
        """Multiply and round."""
        return rshift(x[0] * x[1], f.shift)
