"""Layer normalisation in integers: no division, a reciprocal square root by Newton steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from neurossm.arrays import IntArray
from neurossm.errors import InputError, LimitError
from neurossm.program.expression import (
    Expression,
    bit_length,
    floor_shift,
    greater,
    largest,
    maximum,
    minimum,
    number,
    rshift,
    select,
    total,
)
from neurossm.program.fields import Symbols, per_channel, scalar
from neurossm.program.operation import Op
from neurossm.program.tensor import Interval
from neurossm.program.work import Work

DEVIATION_BITS = 20
"""Deviations are shifted to at most so many bits before they are squared."""
NORMAL_EXPONENT = 20
"""A normalised deviation `n` stands for `n * 2**-20`; its magnitude is at most about 1."""
ROOT_BITS = 28
"""The variance is scaled by a power of 4 into [2**26, 2**28) before the root is taken."""
ESTIMATE = (139592, 79299)
"""First estimate of `2**16 / sqrt(f)`: 2.13 - 1.21 f for f in [1/4, 1), within 9 %."""
NEWTON_STEPS = 3
MOST_CHANNELS = 1 << 12
"""The sum of squares is exact up to so many channels."""


@dataclass(frozen=True, eq=False)
class LayerNorm(Op):
    """`y = gain (x - mean) / sqrt(variance + eps)` + bias over the H channels, in integers.

    With the sum `S = sum_h x_h`::

        d_h = H x_h - S                                  H times the deviation, exact
        r   = max(0, bit_length(max_h |d_h|) - 20)       d' = rshift(d, r)
        V   = sum_h d'_h^2 + (eps >> 2 r)                eps: the model's, times H^3 2^(2 e_x)
        n_h = rshift(d'_h R, 10 + p)                     R / 2^(30 + p) = 1 / sqrt(V)
        y_h = sat(rshift(gain_h n_h, shift_h) + offset_h)

    `(R, p)` is `inverse_root(V)`; where V is 0, so is every n. `gain`, `shift`, `offset` are (H);
    gain contains the factor sqrt(H) that `n = d / sqrt(sum d^2)` lacks. `bit_length(a)` is the
    number of bits of a without sign.

    Bounds that interval arithmetic does not see: r is chosen so that `|d'| <= 2**20`; |n| is at
    most 2**20, and 2**-15 of it more by the rounding of R.
    """

    gain: IntArray = per_channel()
    shift: IntArray = per_channel(shift=True)
    offset: IntArray = per_channel()
    eps: int = scalar()
    derived: ClassVar[Mapping[str, str]] = {"channels": "shared"}
    statistics: ClassVar[int] = 2  # the sum, and the root with its two shifts

    def __post_init__(self) -> None:
        """Check eps."""
        super().__post_init__()
        if not 0 <= self.eps < 1 << 52:
            raise InputError(f"{self.name}: eps {self.eps}, must be 0 to 2^52")

    @property
    def channels(self) -> int:
        """Number of channels, H."""
        return self.out.channels

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Expression:
        """Normalise, scale, and add."""
        return rshift(f.gain * normal(x[0], f.channels, f.eps), f.shift) + f.offset

    def bounds(self, *inputs: Interval) -> Interval:
        """Refuse more channels than the sum of squares is exact for."""
        if self.channels > MOST_CHANNELS:
            raise LimitError(
                f"{self.name}: {self.channels} channels; the sum of squares is exact up to "
                f"{MOST_CHANNELS}"
            )
        return super().bounds(*inputs)

    def work(self) -> Work:
        """Count `H x - S`, the product with the root, and gain and offset."""
        return Work(elementwise_multiplies=3, elementwise_adds=2)

    def work_per_step(self) -> Work:
        """Count the statistics.

        Per channel: a sum into S, `H x - S`, a comparison for the largest, a square and its sum.
        Once: eps, the first estimate (a product and a difference), and three products and a
        difference for each Newton step.
        """
        return Work(
            elementwise_multiplies=2 * self.channels + 1 + 3 * NEWTON_STEPS,
            elementwise_adds=4 * self.channels + 2 + NEWTON_STEPS,
        )


def normal(x: Expression, channels: Expression, eps: Expression) -> Expression:
    """Return the normalised deviations n."""
    deviation = (channels * x - total(x)).called("d")
    greatest = largest(maximum(deviation, -deviation))
    right = maximum(bit_length(greatest) - DEVIATION_BITS, 0)
    most = 1 << DEVIATION_BITS
    deviation = rshift(deviation, right).within(-most, most).called("d'")
    power = total(deviation * deviation) + floor_shift(eps, minimum(right + right, 62))
    power = power.called("V")
    root, exponent = inverse_root(maximum(power, 1))
    reach = (1 << NORMAL_EXPONENT) + 64
    scaled = rshift(deviation * root, exponent + (30 - NORMAL_EXPONENT)).within(-reach, reach)
    return select(greater(power, 0), scaled, 0).called("n")


def inverse_root(power: Expression) -> tuple[Expression, Expression]:
    """Return R, p with `R / 2**(30 + p)` near `1 / sqrt(power)`; power from 1 to 2**53.

    `p = ceil(bit_length(power) / 2) - 14`, so that `v = rshift(power, 2 p)` (a shift left for
    p < 0) lies in [2^26, 2^28]. From the estimate `R = 139592 - rshift(79299 v, 28)` three Newton
    steps::

        q = rshift(R R, 16)      t = rshift(v q, 28)      R = rshift(R (3 2^16 - t), 17)

    R stays below 2^18.
    """
    p = floor_shift(bit_length(power) + 1, 1) - ROOT_BITS // 2
    v = rshift(power, p + p).within(1 << (ROOT_BITS - 2), 1 << ROOT_BITS)
    most = 1 << 18
    root = (number(ESTIMATE[0]) - rshift(ESTIMATE[1] * v, ROOT_BITS)).within(0, most)
    for _ in range(NEWTON_STEPS):
        square = rshift(root * root, 16)
        error = rshift(v * square, ROOT_BITS)
        root = rshift(root * ((3 << 16) - error), 17).within(0, most)
    return root, p
