"""Layer normalisation over the channels of a row; see `neurossm.program.layernorm`."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurossm.engine.cpu.kernels.integers import bit_length, rshift
from neurossm.engine.cpu.kernels.jit import kernel
from neurossm.engine.cpu.kernels.simd import (
    LANES,
    add,
    floor,
    fma,
    greater,
    largest,
    lesser,
    load,
    mul,
    splat,
    store,
    total,
)

_DEVIATION_BITS = 20
_ROOT_BITS = 28


@kernel
def _inverse_root(power: int) -> Any:
    """Return R, p with `R / 2^(30 + p)` near `1 / sqrt(power)`."""
    p = (bit_length(power) + 1) // 2 - _ROOT_BITS // 2
    v = rshift(power, 2 * p)
    root = 139592 - rshift(79299 * v, _ROOT_BITS)
    for _ in range(3):
        error = rshift(v * rshift(root * root, 16), _ROOT_BITS)
        root = rshift(root * ((3 << 16) - error), 17)
    return root, p


@kernel
def _root_of(power: int, right: int, eps: int) -> Any:
    """Return R and its shift from the sum of squares; R is 0 where nothing deviates."""
    power += eps >> min(2 * right, 62)
    if power == 0:
        return 0, 0
    root, p = _inverse_root(power)
    return root, p + 10


@kernel
def _deviation_range(x: Any, row: int, channels: int, count: Any) -> Any:
    """Return the sum of a row, and the largest magnitude of `count x - sum`."""
    whole = channels - channels % LANES
    sums, high, low = splat(0.0), load(x, row), load(x, row)
    for c in range(row, row + whole, LANES):
        value = load(x, c)
        sums = add(sums, value)
        high, low = greater(high, value), lesser(low, value)
    sum_, most, least = total(sums), largest(high), -largest(mul(splat(-1.0), low))
    if whole == 0:
        most = least = x[row]
    for c in range(row + whole, row + channels):
        sum_ += x[c]
        most, least = max(most, x[c]), min(least, x[c])
    return sum_, max(count * most - sum_, sum_ - count * least)


@kernel
def _deviations(
    x: Any, out: Any, row: int, channels: int, count: float, sum_: float, scale: float
) -> float:
    """Store the shifted deviations of a row; return the sum of their squares."""
    whole = channels - channels % LANES
    gain, shift, half = splat(count * scale), splat(-sum_ * scale), splat(0.5)
    squares = splat(0.0)
    for c in range(row, row + whole, LANES):
        deviation = floor(add(fma(gain, load(x, c), shift), half))
        store(out, c, deviation)
        squares = fma(deviation, deviation, squares)
    power = total(squares)
    for c in range(row + whole, row + channels):
        out[c] = np.floor((count * x[c] - sum_) * scale + 0.5)
        power += out[c] * out[c]
    return float(power)


@kernel
def layernorm(x: Any, out: Any, rows: int, channels: int, stride: int, p: Any, eps: int) -> None:
    """Normalise rows in floats; p is gain, scaled by 2^-shift, and bias with the half in it."""
    count, half = float(channels), splat(0.5)
    for row in range(0, rows * stride, stride):
        sum_, reach = _deviation_range(x, row, channels, count)
        right = max(0, bit_length(int(reach)) - _DEVIATION_BITS)
        power = _deviations(x, out, row, channels, count, sum_, 0.5**right)
        root, shift = _root_of(int(power), right, eps)
        factor = splat(float(root) * 0.5**shift)
        for c in range(0, stride, LANES):
            normal = floor(fma(load(out, row + c), factor, half))
            store(out, row + c, floor(fma(load(p, c), normal, load(p, stride + c))))
