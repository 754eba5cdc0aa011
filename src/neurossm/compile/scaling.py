"""Choose exponents: the largest power of two by which a value still fits its width."""

from __future__ import annotations

import numpy as np

from neurossm.arrays import FloatArray, IntArray

MAX_EXPONENT = 40
"""Exponents stay within +-40: what is smaller than 2**-40 is zero to any target."""


def fitting_exponent(largest: FloatArray, limit: float) -> IntArray:
    """Return the largest integer e with `largest * 2**e <= limit`, elementwise."""
    with np.errstate(divide="ignore"):
        raw = np.floor(np.log2(limit / np.maximum(np.abs(largest), 1e-300)))
    exponent = np.clip(raw, -MAX_EXPONENT, MAX_EXPONENT).astype(np.int64)
    over = np.ldexp(np.abs(largest), exponent.astype(np.int32)) > limit  # log2 was rounded up
    return exponent - over


def largest_mantissa(bits: int) -> int:
    """Return the largest magnitude both signs of a signed integer of `bits` bits can take."""
    return (1 << (bits - 1)) - 1


def value_limit(bits: int) -> float:
    """Return what a computed tensor may reach by real-valued bounds, leaving room for rounding."""
    return largest_mantissa(bits) * (1 - 2.0**-8) - 4


def to_mantissa(value: FloatArray, exponent: IntArray | int) -> IntArray:
    """Return `value * 2**exponent` to nearest, halves up."""
    scaled = np.ldexp(value, np.asarray(exponent).astype(np.int32))
    return np.floor(scaled + 0.5).astype(np.int64)


def gain_and_shift(factor: FloatArray, bits: int) -> tuple[IntArray, IntArray]:
    """Write factors as `gain * 2**-shift` with gains of `bits` bits and no needless zeros.

    A factor that is a power of two gets gain 1: a mere shift.
    """
    shift = fitting_exponent(factor, largest_mantissa(bits))
    gain = to_mantissa(factor, shift)
    trailing = np.where(gain == 0, 0, np.log2(np.maximum(gain & -gain, 1)).astype(np.int64))
    return gain >> trailing, np.where(gain == 0, 0, shift - trailing)
