"""The two operations all integer arithmetic of a program is made of besides +, -, *: shift and sat.

Everything is int64. Nothing here may overflow it: the bounds that `compile/certify.py` computes
for a program prove that every intermediate stays below 2**62.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from neurossm.arrays import IntArray

MAX_SHIFT = 62
"""Shifts lie in [-62, 62]; a machine word knows no wider ones."""

Tally = Counter[str]
"""How many integers were clipped, by the name of the tensor."""


def rshift(p: IntArray, k: IntArray | int) -> IntArray:
    """Shift right by `k` bits, to nearest, halves up: `floor((p + 2**(k-1)) / 2**k)`.

    `k = 0` returns `p`; a negative `k` shifts left by `-k` bits, exactly. `p` and `k` broadcast;
    `k` lies in [-62, 62] and |p| below 2**62.
    """
    k = np.asarray(k, dtype=np.int64)
    right = np.maximum(k, 0)
    half = np.where(k > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    shifted: IntArray = ((p + half) >> right) << np.maximum(-k, 0)
    return shifted


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
