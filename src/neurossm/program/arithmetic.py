"""What all integer arithmetic of a program is made of besides +, -, *: shift and saturation.

Everything is int64. Nothing here may overflow it: the bounds that `program.certificate` computes
prove that every intermediate stays below 2**62.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from neurossm.arrays import FloatArray, IntArray
from neurossm.errors import LimitError

EXACT_BITS = 62
"""Parameters and intermediate results stay below 2 to this power in magnitude."""
MAX_SHIFT = 62
"""Shifts lie in [-62, 62]; a machine word knows no wider ones."""

Tally = Counter[str]
"""How many integers were clipped, by the name of the tensor."""


def rshift(p: IntArray, k: IntArray | int) -> IntArray:
    """Shift right by `k` bits, to nearest, halves up: `floor((p + 2**(k-1)) / 2**k)`.

    `k = 0` returns `p`; a negative `k` shifts left by `-k` bits, exactly. `p` and `k` broadcast;
    `k` lies in [-62, 62] and |p| below 2**62.
    """
    half, right, left = shift_parts(k)
    shifted: IntArray = ((p + half) >> right) << left
    return shifted


def shift_parts(k: Any) -> tuple[IntArray, IntArray, IntArray]:
    """Return half, right and left with `rshift(p, k) = ((p + half) >> right) << left`."""
    k = np.asarray(k, np.int64)
    right = np.maximum(k, 0)
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    return half, right, np.maximum(-k, 0)


def bit_length(value: IntArray) -> IntArray:
    """Return the number of bits of integers from 0 to 2**62, elementwise; 0 for 0."""
    _, exponent = np.frexp(value.astype(np.float64))
    bits: IntArray = exponent.astype(np.int64)
    # Beyond 2**53 the conversion may have rounded up to the next power of two.
    too_many: IntArray = ((value >> np.maximum(bits - 1, 0)) == 0) & (bits > 0)
    return bits - too_many


def limits(bits: int) -> tuple[int, int]:
    """Return the smallest and the largest signed integer of so many bits."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def saturate(value: IntArray, bits: int, tally: Tally, name: str) -> IntArray:
    """Clamp to the range of signed integers of `bits` bits, counting what was clipped."""
    low, high = limits(bits)
    clipped = np.clip(value, low, high)
    count = int(np.count_nonzero(clipped != value))
    if count:
        tally[name] += count
    return clipped


def check_exact(name: str, what: str, largest: IntArray | FloatArray | float) -> None:
    """Refuse arithmetic that 63 bits could not hold; `largest` is a bound of its magnitude.

    Raises
    ------
    LimitError
        The bound is 2**62 or more.
    """
    worst = float(np.max(largest))
    if not worst < 2.0**EXACT_BITS:
        raise LimitError(
            f"{name}: {what} can reach 2^{np.log2(worst):.1f}, beyond the {EXACT_BITS} bits of "
            "exact integer arithmetic; use narrower widths"
        )
