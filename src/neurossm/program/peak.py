"""A threshold that follows the largest activation of each step, as the official GSU has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from neurossm.errors import InputError
from neurossm.program.expression import Expression, floor_shift, largest, maximum
from neurossm.program.fields import Symbols, scalar
from neurossm.program.operation import Op
from neurossm.program.threshold import ternary

FACTOR_BITS = 24
"""The factor is below 2 to this power, and as wide as the gains of other operations may be."""


@dataclass(frozen=True, eq=False)
class PeakTernary(Op):
    """`s = 1 if x > d, -1 if x < -d, else 0`, with `d = floor(factor max_h |x_h| / 2**shift)`.

    All channels of x have one exponent, so that their maximum means something. For integers x,
    `x > floor(t)` is `x > t`: the comparison with `factor 2**-shift` times the maximum is exact.
    """

    factor: int = scalar()
    shift: int = scalar(shift=True)
    saturates: ClassVar[bool] = False
    emits: ClassVar[str] = "spikes"
    spike_bits: ClassVar[int] = 2
    statistics: ClassVar[int] = 1
    channel_maximum: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the signs."""
        super().__post_init__()
        if not 0 <= self.factor < 1 << FACTOR_BITS:
            raise InputError(f"{self.name}: factor {self.factor}, must be 0 to 2^{FACTOR_BITS} - 1")
        if self.shift < 0:
            raise InputError(f"{self.name}: negative shift {self.shift}")

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Expression:
        """Find the largest magnitude, and compare on both sides."""
        peak = largest(maximum(x[0], -x[0]))
        return ternary(x[0], floor_shift(f.factor * peak, f.shift).called("d"))
