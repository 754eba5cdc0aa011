"""Layer normalisation in integers: no division, a reciprocal square root by Newton steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurossm.arrays import IntArray
from neurossm.errors import InputError, LimitError
from neurossm.program.arithmetic import Tally, rshift, saturate
from neurossm.program.op import Op, State, check_exact, freeze_integers, freeze_shifts
from neurossm.program.tensor import Interval

DEVIATION_BITS = 20
"""Deviations are shifted to at most so many bits before they are squared."""
NORMAL_EXPONENT = 20
"""A normalised deviation `n` stands for `n * 2**-20`; its magnitude is at most about 1."""
ROOT_BITS = 28
"""The variance is scaled by a power of 4 into [2**26, 2**28) before the root is taken."""
_ESTIMATE = (139592, 79299)
"""First estimate of `2**16 / sqrt(f)`: 2.13 - 1.21 f for f in [1/4, 1), within 9 %."""
NEWTON_STEPS = 3


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
    """

    gain: IntArray
    shift: IntArray
    offset: IntArray
    eps: int

    def __post_init__(self) -> None:
        """Check shapes, shifts and eps."""
        super().__post_init__()
        freeze_integers(self, "gain", (self.out.channels,))
        freeze_shifts(self, "shift", (self.out.channels,))
        freeze_integers(self, "offset", (self.out.channels,))
        if not 0 <= self.eps < 1 << 52:
            raise InputError(f"{self.name}: eps {self.eps}, must be 0 to 2^52")

    def step(self, state: State, *inputs: IntArray, tally: Tally) -> tuple[State, IntArray]:
        """Compute (B, H) to (B, H)."""
        (x,) = inputs
        return state, saturate(self._scaled(self.normal(x)), self.out.bits, tally, self.name)

    def normal(self, x: IntArray) -> IntArray:
        """Return the normalised deviations n (B, H) of integers x (B, H)."""
        deviation = x.shape[1] * x - x.sum(axis=1, keepdims=True)
        largest = np.abs(deviation).max(axis=1, keepdims=True)
        right = np.maximum(0, bit_length(largest) - DEVIATION_BITS)  # (B, 1)
        deviation = rshift(deviation, right)
        power = (deviation**2).sum(axis=1, keepdims=True) + (self.eps >> np.minimum(2 * right, 62))
        root, exponent = inverse_root(np.maximum(power, 1))
        normal = rshift(deviation * root, exponent + 30 - NORMAL_EXPONENT)
        return np.where(power > 0, normal, 0)

    def _scaled(self, normal: IntArray) -> IntArray:
        return rshift(self.gain * normal, self.shift) + self.offset

    def bounds(self, *inputs: Interval) -> Interval:
        """|n| is at most 2**20, and 2**-15 of it more by the rounding of R."""
        (x,) = inputs
        channels = len(self.gain)
        check_exact(self.name, "H * x", x.largest().astype(np.float64) * 2 * channels)
        if channels > 1 << 12:
            raise LimitError(
                f"{self.name}: {channels} channels; the sum of squares is exact up to 4096"
            )
        reach = np.full(channels, (1 << NORMAL_EXPONENT) + 64)
        product = np.abs(self.gain) * reach.astype(np.float64)
        check_exact(self.name, "gain * n", product * np.exp2(np.maximum(-self.shift, 0)))
        ends = self._scaled(-reach), self._scaled(reach)
        return Interval(np.minimum(*ends), np.maximum(*ends))


def bit_length(value: IntArray) -> IntArray:
    """Return the number of bits of integers from 0 to 2**62, elementwise; 0 for 0."""
    _, exponent = np.frexp(value.astype(np.float64))
    bits: IntArray = exponent.astype(np.int64)
    # Beyond 2**53 the conversion may have rounded up to the next power of two.
    too_many: IntArray = ((value >> np.maximum(bits - 1, 0)) == 0) & (bits > 0)
    return bits - too_many


def inverse_root(power: IntArray) -> tuple[IntArray, IntArray]:
    """Return integers R, p with `R / 2**(30 + p)` near `1 / sqrt(power)`; power from 1 to 2**53.

    `p = ceil(bit_length(power) / 2) - 14`, so that `v = rshift(power, 2 p)` (a shift left for
    p < 0) lies in [2^26, 2^28]. From the estimate `R = 139592 - rshift(79299 v, 28)` three Newton
    steps::

        q = rshift(R R, 16)      t = rshift(v q, 28)      R = rshift(R (3 2^16 - t), 17)
    """
    p = (bit_length(power) + 1) // 2 - ROOT_BITS // 2
    v = rshift(power, 2 * p)
    root = _ESTIMATE[0] - rshift(_ESTIMATE[1] * v, ROOT_BITS)
    for _ in range(NEWTON_STEPS):
        square = rshift(root * root, 16)
        error = rshift(v * square, ROOT_BITS)
        root = rshift(root * ((3 << 16) - error), 17)
    return root, p
