"""Operations on single numbers, in 64-bit floats that hold integers exactly.

Tensors are flat, (rows, stride), of which `channels` columns count. A rounding shift
`rshift(p, k) + c` is `floor(p 2^-k + (c + 1/2))`: for k <= 0 the half changes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurossm.engine.kernels.jit import kernel


@kernel
def load_input(data: Any, out: Any, samples: int, start: int, steps: int, stride: int) -> None:
    """Copy steps of integers (samples, L, C) to rows; `out` is of floats or integers."""
    channels = data.shape[2]
    for sample in range(samples):
        for t in range(steps):
            row = (sample * steps + t) * stride
            for c in range(channels):
                out[row + c] = data[sample, start + t, c]


@kernel
def convert(x: Any, out: Any) -> None:
    """Copy floats to integers or integers to floats."""
    for i in range(out.size):
        out[i] = x[i]


@kernel
def affine(x: Any, out: Any, rows: int, channels: int, stride: int, gain: Any, bias: Any) -> None:
    """Compute `floor(gain x + bias)`; gain is scaled by 2^-shift, bias contains the half."""
    for row in range(0, rows * stride, stride):
        for c in range(channels):
            out[row + c] = np.floor(gain[c] * x[row + c] + bias[c])


@kernel
def spike(x: Any, out: Any, rows: int, channels: int, stride: int, threshold: Any) -> None:
    """Compute 1 where x exceeds the threshold, else 0."""
    for row in range(0, rows * stride, stride):
        for c in range(channels):
            out[row + c] = 1.0 if x[row + c] > threshold[c] else 0.0


@kernel
def ternary(x: Any, out: Any, rows: int, channels: int, stride: int, threshold: Any) -> None:
    """Compute 1 above the threshold, -1 below its negative, else 0."""
    for row in range(0, rows * stride, stride):
        for c in range(channels):
            above = 1.0 if x[row + c] > threshold[c] else 0.0
            below = 1.0 if x[row + c] < -threshold[c] else 0.0
            out[row + c] = above - below


@kernel
def table(x: Any, out: Any, rows: int, channels: int, stride: int, p: Any) -> None:
    """Compute `floor(slope[i] x + intercept[i])` on the segment i of x.

    `p` is the origin, 2^-width, the number of segments, the slopes scaled by 2^-slope_shift, and
    the intercepts, which contain the half.
    """
    origin, scale, size = p[0], p[1], int(p[2])
    slope, intercept = p[3 : 3 + size], p[3 + size :]
    last = size - 1.0
    for row in range(0, rows * stride, stride):
        for c in range(channels):
            value = x[row + c]
            segment = np.int64(min(max(np.floor((value - origin) * scale), 0.0), last))
            out[row + c] = np.floor(slope[segment] * value + intercept[segment])


@kernel
def product(x: Any, y: Any, out: Any, rows: int, channels: int, stride: int, scale: Any) -> None:
    """Compute `floor(x y 2^-shift + 1/2)`."""
    for row in range(0, rows * stride, stride):
        for c in range(channels):
            out[row + c] = np.floor((x[row + c] * y[row + c]) * scale[c] + 0.5)


@kernel
def add(x: Any, y: Any, out: Any, rows: int, channels: int, stride: int) -> None:
    """Compute x + y; for floats and for integers."""
    for row in range(0, rows * stride, stride):
        for c in range(channels):
            out[row + c] = x[row + c] + y[row + c]


@kernel
def saturate(x: Any, rows: int, channels: int, stride: int, low: Any, high: Any) -> int:
    """Clip in place to [low, high]; return how many changed. For floats and for integers."""
    count = 0
    for row in range(0, rows * stride, stride):
        for c in range(channels):
            value = x[row + c]
            clipped = min(max(value, low), high)
            count += clipped != value
            x[row + c] = clipped
    return count


@kernel
def accumulate(x: Any, total: Any, samples: int, steps: int, stride: int, room: int) -> None:
    """Add the rows of each sample to its sum (channels) of 64-bit integers, `room` apart."""
    channels = total.size - (samples - 1) * room
    for sample in range(samples):
        for t in range(steps):
            row = (sample * steps + t) * stride
            for c in range(channels):
                total[sample * room + c] += np.int64(x[row + c])


@kernel
def count_nonzero(x: Any, total: Any, samples: int, steps: int, stride: int, room: int) -> None:
    """Add to each sample's counts (channels), `room` apart, the rows in which x is not 0."""
    channels = total.size - (samples - 1) * room
    for sample in range(samples):
        for t in range(steps):
            row = (sample * steps + t) * stride
            for c in range(channels):
                total[sample * room + c] += x[row + c] != 0
