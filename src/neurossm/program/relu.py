"""The rectified linear unit, which may change the exponent."""

from __future__ import annotations

from dataclasses import dataclass

from neurossm.arrays import IntArray
from neurossm.program.expression import Expression, maximum, rshift
from neurossm.program.fields import Symbols, per_channel
from neurossm.program.operation import Op


@dataclass(frozen=True, eq=False)
class Relu(Op):
    """`y = sat(rshift(max(x, 0), shift))`, shift (H)."""

    shift: IntArray = per_channel(shift=True)

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Expression:
        """Cut off, and round."""
        return rshift(maximum(x[0], 0), f.shift)
