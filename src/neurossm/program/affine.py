"""One product and one sum per channel: BatchNorm, biases, changes of width and exponent."""

from __future__ import annotations

from dataclasses import dataclass

from neurossm.arrays import IntArray
from neurossm.program.expression import Expression, rshift
from neurossm.program.fields import Symbols, per_channel
from neurossm.program.operation import Op


@dataclass(frozen=True, eq=False)
class Affine(Op):
    """`y = sat(rshift(gain * x, shift) + offset)`, all fields (H); `shift` may be negative."""

    gain: IntArray = per_channel()
    shift: IntArray = per_channel(shift=True)
    offset: IntArray = per_channel()

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Expression:
        """Scale, round, and add."""
        return rshift(f.gain * x[0], f.shift) + f.offset
