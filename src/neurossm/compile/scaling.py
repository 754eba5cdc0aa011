"""Choose exponents: the largest power of two by which a value still fits its width."""

from __future__ import annotations

import numpy as np

from neurossm.arrays import FloatArray, IntArray
from neurossm.errors import LimitError
from neurossm.program.arithmetic import EXACT_BITS, MAX_SHIFT

MAX_EXPONENT = 40
"""Largest exponent: what is smaller than 2**-40 is zero to any target."""


def fitting_exponent(
    largest: FloatArray, limit: FloatArray | float, at_most: int = MAX_EXPONENT
) -> IntArray:
    """Return the largest integer e with `largest * 2**e <= limit` and `e <= at_most`, elementwise.

    Raises
    ------
    LimitError
        A value is not finite: parameters multiplied up beyond double precision.
    """
    size = np.abs(largest)
    if not np.isfinite(size).all():
        raise LimitError("the network's values reach beyond double precision; its gains are wrong")
    raw = np.floor(np.log2(limit / np.maximum(size, 1e-290)))
    exponent = np.minimum(raw, at_most).astype(np.int64)
    over = np.ldexp(size, exponent.astype(np.int32)) > limit  # log2 was rounded up
    fitting: IntArray = exponent - over
    return fitting


def largest_mantissa(bits: int) -> int:
    """Return the largest magnitude both signs of a signed integer of `bits` bits can take."""
    return (1 << (bits - 1)) - 1


def value_limit(bits: int) -> float:
    """Return what a computed tensor may reach by real-valued bounds, leaving room for rounding."""
    return largest_mantissa(bits) * (1 - 2.0**-8) - 4


def to_mantissa(value: FloatArray, exponent: IntArray | int) -> IntArray:
    """Return `value * 2**exponent` to nearest, halves up.

    Raises
    ------
    LimitError
        The integer would need more than 62 bits.
    """
    with np.errstate(over="ignore"):  # infinity is refused in the next line
        scaled = np.ldexp(value, np.asarray(exponent).astype(np.int32))
    if not (np.abs(scaled) < 2.0**EXACT_BITS).all():
        raise LimitError(
            f"a parameter of {np.abs(value).max():.3g} needs more than {EXACT_BITS} bits beside "
            "the network's smallest values; its parameters differ too much in size"
        )
    mantissa: IntArray = np.floor(scaled + 0.5).astype(np.int64)
    return mantissa


def gain_and_shift(factor: FloatArray, bits: int) -> tuple[IntArray, IntArray]:
    """Write factors as `gain * 2**-shift` with gains of `bits` bits and no needless zeros.

    A factor that is a power of two gets gain 1: a mere shift. A factor so small that every product
    would be shifted away is 0.

    Raises
    ------
    LimitError
        A factor is so large that its shift to the left exceeds a machine word.
    """
    shift = fitting_exponent(factor, largest_mantissa(bits), at_most=MAX_SHIFT + bits)
    gain = to_mantissa(factor, shift)
    trailing = np.where(gain == 0, 0, np.log2(np.maximum(gain & -gain, 1)).astype(np.int64))
    gain, shift = gain >> trailing, shift - trailing
    nothing = (gain == 0) | (shift > MAX_SHIFT)
    gain, shift = np.where(nothing, 0, gain), np.where(nothing, 0, shift)
    return gain, possible_shift(shift)


def possible_shift(shift: IntArray) -> IntArray:
    """Return shifts of products below 2**61 as shifts a machine word knows, to the same effect.

    A shift to the right by 62 bits or more leaves nothing of them.

    Raises
    ------
    LimitError
        A shift to the left exceeds a machine word.
    """
    if (shift < -MAX_SHIFT).any():
        raise LimitError(
            f"two tensors differ in scale by 2^{-shift.min()}, beyond a shift by {MAX_SHIFT} bits; "
            "the network's parameters differ too much in size"
        )
    possible: IntArray = np.minimum(shift, MAX_SHIFT)
    return possible
