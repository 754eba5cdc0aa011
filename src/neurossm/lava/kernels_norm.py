"""Layer normalisation in integers, compiled with Numba; see `kernels`."""

from __future__ import annotations

from typing import Any

from neurossm.lava.kernels import COLUMN, jit, rshift, store

__all__ = ["layer_norm"]


@jit("int64(int64)")
def bit_length(value: int) -> int:
    """Return the least n with value < 2**n, for value >= 0."""
    bits = 0
    while value > 0:
        value >>= 1
        bits += 1
    return bits


@jit("UniTuple(int64, 2)(int64)")
def inverse_root(power: int) -> tuple[int, int]:
    """Return R and p with `R / 2**(30 + p)` near `1 / sqrt(power)`, for power >= 1."""
    p = (bit_length(power) + 1) // 2 - 14
    v = rshift(power, 2 * p)
    root = 139592 - rshift(79299 * v, 28)
    for _ in range(3):
        square = rshift(root * root, 16)
        error = rshift(v * square, 28)
        root = rshift(root * (196608 - error), 17)
    return root, p


@jit(f"int64({COLUMN}, {COLUMN}, {COLUMN}, {COLUMN}, int64, int64, int64, {COLUMN})")
def layer_norm(
    x: Any, gain: Any, shift: Any, offset: Any, eps: int, low: int, high: int, out: Any
) -> int:
    """Write the normalised `x` (H) to `out`; return how many saturated. See `Normalise`."""
    channels = x.size
    total = 0
    for h in range(channels):
        total += x[h]
    largest = 0
    for h in range(channels):
        largest = max(largest, abs(channels * x[h] - total))
    right = max(0, bit_length(largest) - 20)
    power = eps >> min(2 * right, 62)
    for h in range(channels):
        deviation = rshift(channels * x[h] - total, right)
        power += deviation * deviation
    root, p = inverse_root(max(power, 1))
    if power == 0:
        root = 0
    saturated = 0
    for h in range(channels):
        deviation = rshift(channels * x[h] - total, right)
        normal = rshift(deviation * root, 10 + p)
        saturated += store(rshift(gain[h] * normal, shift[h]) + offset[h], low, high, out, h)
    return saturated
