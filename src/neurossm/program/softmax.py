"""Softmax in integers: powers of two by a table, and a reciprocal by Newton steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurossm.arrays import IntArray
from neurossm.errors import InputError, LimitError
from neurossm.program.expression import (
    Expression,
    bit_length,
    floor_shift,
    largest,
    lookup,
    minimum,
    number,
    rshift,
    total,
)
from neurossm.program.fields import Symbols, per_entry, scalar
from neurossm.program.operation import Op
from neurossm.program.tensor import Interval
from neurossm.program.work import Work

LOG2_BITS = 14
"""A distance from the greatest input has so many fractional bits, as a power of two."""
TABLE_BITS = 6
"""The table has 2**6 powers of two from 1 to 1/2."""
POWER_BITS = 24
"""A power of two `e` stands for `e * 2**-24`."""
SLOPE = 710
"""How much a power falls from one entry to the next: `2**16 ln(2) / 64`."""
PROBABILITY_EXPONENT = 20
"""A result `p` stands for `p * 2**-20`."""
NEWTON_STEPS = 3
MOST_CHANNELS = 1 << 9
"""What the powers of so many channels lose by rounding is a quarter of `MAX_ERROR`."""
MAX_ERROR = 2.0**-14
"""Largest absolute error of a result, for exact inputs: see `docs/fixed-point.md`."""


def power_table() -> IntArray:
    """Return `2**24 2**(-i / 64)` to nearest, (64)."""
    steps = 1 << TABLE_BITS
    table: IntArray = np.rint(np.exp2(POWER_BITS - np.arange(steps) / steps)).astype(np.int64)
    return table


@dataclass(frozen=True, eq=False)
class Softmax(Op):
    """`y_h = 2^20 exp(x_h) / sum_i exp(x_i)` over the H channels, in integers.

    ::

        d_h = max_i x_i - x_h
        t_h = rshift(d_h scale, scale_shift)            14 fractional bits, of a power of 1/2
        n   = t >> 14     i = (t - n 2^14) >> 8     r = t - n 2^14 - i 2^8
        e_h = rshift(table_i (2^16 - rshift(710 r, 8)), min(16 + n, 62))
        S   = sum_h e_h
        y_h = sat(rshift(e_h R, bit_length(S)))          R / 2^(20 + bit_length(S)) = 1 / S

    R is `reciprocal(S)`. `table` (64) holds `2^(24 - i / 64)`; `scale` is positive, and
    `scale 2^(14 - scale_shift)` is what one unit of x is worth in powers of 2 with 14 bits.
    """

    table: IntArray = per_entry()
    scale: int = scalar()
    scale_shift: int = scalar(shift=True)

    def __post_init__(self) -> None:
        """Check the table and the scale."""
        super().__post_init__()
        most = 1 << POWER_BITS
        if self.table.size != 1 << TABLE_BITS or (self.table < 1).any() or self.table[0] != most:
            raise InputError(f"{self.name}.table: must be 64 numbers from 2^24 down")
        if (self.table > most).any():
            raise InputError(f"{self.name}.table: {self.table.max()} is above 2^24")
        if not 0 < self.scale < 1 << 24 or self.scale_shift < 0:
            raise InputError(
                f"{self.name}: scale {self.scale} and scale_shift {self.scale_shift}, must be "
                "positive below 2^24, and not negative"
            )

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Expression:
        """Take distances from the greatest, their powers, and share them out."""
        distance = (largest(x[0]) - x[0]).within(0, 1 << 36).called("d")
        t = rshift(distance * f.scale, f.scale_shift).called("t")
        whole = floor_shift(t, LOG2_BITS).called("n")
        fraction = (t - whole * (1 << LOG2_BITS)).within(0, (1 << LOG2_BITS) - 1)
        fine = LOG2_BITS - TABLE_BITS
        index = floor_shift(fraction, fine).called("i")
        rest = (fraction - index * (1 << fine)).within(0, (1 << fine) - 1).called("r")
        slope = number(1 << 16) - rshift(rest * SLOPE, fine)
        power = lookup(f.table, index) * slope
        power = rshift(power, minimum(whole + 16, 62)).within(0, 1 << POWER_BITS).called("e")
        entire = total(power).within(1 << POWER_BITS, 1 << (POWER_BITS + 9)).called("S")
        bits = bit_length(entire)
        # A share is at most 1, and 2^-16 of it more by the rounding of R.
        most = (1 << PROBABILITY_EXPONENT) + (1 << (PROBABILITY_EXPONENT - 16))
        return rshift(power * reciprocal(entire, bits), bits).within(0, most)

    def bounds(self, *inputs: Interval) -> Interval:
        """Refuse more channels, or wider inputs, than its arithmetic is made for."""
        if self.out.channels > MOST_CHANNELS:
            raise LimitError(
                f"{self.name}: {self.out.channels} channels; a softmax is fine "
                f"enough for {MOST_CHANNELS}"
            )
        (x,) = inputs
        if int(x.high.max()) - int(x.low.min()) > 1 << 36:
            raise LimitError(f"{self.name}: inputs differ by more than 2^36; use narrower widths")
        return super().bounds(*inputs)

    def work(self) -> Work:
        """Count distance, scale, entry with its slope, and share."""
        return Work(elementwise_multiplies=4, elementwise_adds=4)

    def work_per_step(self) -> Work:
        """Count the greatest, the sum, and the reciprocal.

        Per channel: a comparison and a sum. Once: the first estimate (a product and a difference),
        and two products and a difference for each Newton step.
        """
        return Work(
            elementwise_multiplies=1 + 2 * NEWTON_STEPS,
            elementwise_adds=2 * self.out.channels + 1 + NEWTON_STEPS,
        )


def reciprocal(entire: Expression, bits: Expression) -> Expression:
    """Return R with `R / 2^(20 + bits)` near `1 / entire`; `bits` is its bit length.

    `v = rshift(entire, bits - 28)` lies in [2^27, 2^28]. From the estimate
    `R = 2960686 - rshift(1973790 v, 28)` (48/17 - 32/17 f, within 1/17) three Newton steps::

        t = rshift(v R, 28)      R = rshift(R (2^21 - t), 20)

    R stays within [2^20 - 2^6, 2^21 + 2^6].
    """
    v = rshift(entire, bits - 28).within(1 << 27, 1 << 28).called("v")
    low, high = (1 << 20) - (1 << 16), (1 << 21) + (1 << 16)
    estimate = number(2960686) - rshift(v * 1973790, 28)
    root = estimate.within(low - (1 << 17), high)
    for _ in range(NEWTON_STEPS):
        error = rshift(v * root, 28)
        root = rshift(root * (number(1 << 21) - error), 20).within(low - (1 << 17), high)
    return root
