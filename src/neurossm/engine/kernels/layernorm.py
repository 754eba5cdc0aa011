"""Layer normalisation over the channels of a row; see `neurossm.program.layernorm`."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurossm.engine.kernels.exact import rshift
from neurossm.engine.kernels.jit import kernel

_DEVIATION_BITS = 20
_ROOT_BITS = 28


@kernel
def _bit_length(value: int) -> int:
    bits = 0
    while value > 0:
        value >>= 1
        bits += 1
    return bits


@kernel
def _inverse_root(power: int) -> Any:
    """Return R, p with `R / 2^(30 + p)` near `1 / sqrt(power)`."""
    p = (_bit_length(power) + 1) // 2 - _ROOT_BITS // 2
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
def layernorm(
    x: Any, out: Any, rows: int, channels: int, stride: int, gain: Any, bias: Any, eps: int
) -> None:
    """Normalise rows in floats; gain is scaled by 2^-shift, bias contains the half."""
    count = float(channels)
    for row in range(0, rows * stride, stride):
        total, largest, power = 0.0, 0.0, 0.0
        for c in range(channels):
            total += x[row + c]
        for c in range(channels):
            largest = max(largest, abs(count * x[row + c] - total))
        right = max(0, _bit_length(int(largest)) - _DEVIATION_BITS)
        scale = 0.5**right
        for c in range(channels):
            deviation = np.floor((count * x[row + c] - total) * scale + 0.5)
            out[row + c] = deviation
            power += deviation * deviation
        root, shift = _root_of(int(power), right, eps)
        factor = float(root) * 0.5**shift
        for c in range(channels):
            out[row + c] = np.floor(gain[c] * np.floor(out[row + c] * factor + 0.5) + bias[c])


@kernel
def layernorm_exact(
    x: Any, out: Any, rows: int, channels: int, stride: int, p: Any, eps: int
) -> None:
    """Normalise rows in integers; `p` is gain, shift and offset."""
    gain, shift, offset = p[:channels], p[channels : 2 * channels], p[2 * channels :]
    for row in range(0, rows * stride, stride):
        total, largest, power = 0, 0, 0
        for c in range(channels):
            total += x[row + c]
        for c in range(channels):
            largest = max(largest, abs(channels * x[row + c] - total))
        right = max(0, _bit_length(largest) - _DEVIATION_BITS)
        for c in range(channels):
            deviation = rshift(channels * x[row + c] - total, right)
            out[row + c] = deviation
            power += deviation * deviation
        root, to_normal = _root_of(power, right, eps)
        for c in range(channels):
            normal = rshift(out[row + c] * root, to_normal)
            out[row + c] = rshift(gain[c] * normal, shift[c]) + offset[c]
