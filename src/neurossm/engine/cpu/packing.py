"""The narrowest numbers in which the CPU engine computes a matrix product exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurossm.arrays import IntArray
from neurossm.derive.exactness import SINGLE, sum_reach
from neurossm.engine.cpu.kernels.dot import FAST_BYTES, FAST_SHORTS
from neurossm.program import Interval, limits


@dataclass(frozen=True)
class Packing:
    """How a matrix product's numbers are packed; see `kernels.dot`.

    `dtype` is that of the weights, `group` the numbers summed at once, and `offset` is added to
    the inputs, so that bytes are unsigned.
    """

    dtype: type[np.generic]
    group: int
    offset: int


def packing_of(weight: IntArray, x: Interval) -> Packing | None:
    """Return the narrowest numbers in which `weight @ x` is exact, or None."""
    reach = sum_reach(weight, x)
    offset = max(0, -int(x.low.min()))
    shifted = int(x.high.max()) + offset
    wide = int(np.abs(weight).astype(np.float64).sum(axis=1).max()) * shifted
    if FAST_BYTES and shifted < 256 and _within(weight, 8) and wide < 1 << 31:
        return Packing(np.int8, 4, offset)
    if (
        FAST_SHORTS
        and _within(x.low, 16)
        and _within(x.high, 16)
        and _within(weight, 16)
        and reach < 1 << 31
    ):
        return Packing(np.int16, 2, 0)
    return Packing(np.float32, 1, 0) if reach < SINGLE else None


def _within(values: IntArray, bits: int) -> bool:
    low, high = limits(bits)
    return bool((values >= low).all() and (values <= high).all())
