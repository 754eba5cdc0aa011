"""Operations on single numbers, in 64-bit floats that hold integers exactly.

Tensors are flat, (rows, stride), of which `channels` columns count; parameters are padded to the
stride. Whole vectors are computed: what the columns beyond `channels` hold is nobody's business.
A rounding shift `rshift(p, k) + c` is `floor(p 2^-k + (c + 1/2))`: for k <= 0 the half changes
nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurossm.engine.kernels.jit import kernel
from neurossm.engine.kernels.simd import (
    LANES,
    add,
    clip,
    exceeds,
    floor,
    fma,
    gather,
    load,
    mul,
    splat,
    store,
)


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
def affine(x: Any, out: Any, rows: int, stride: int, p: Any) -> None:
    """Compute `floor(gain x + bias)`; gain is scaled by 2^-shift, bias contains the half."""
    for row in range(0, rows * stride, stride):
        for c in range(0, stride, LANES):
            y = floor(fma(load(p, c), load(x, row + c), load(p, stride + c)))
            store(out, row + c, y)


@kernel
def spike(x: Any, out: Any, rows: int, stride: int, threshold: Any) -> None:
    """Compute 1 where x exceeds the threshold, else 0."""
    for row in range(0, rows * stride, stride):
        for c in range(0, stride, LANES):
            store(out, row + c, exceeds(load(x, row + c), load(threshold, c)))


@kernel
def ternary(x: Any, out: Any, rows: int, stride: int, threshold: Any) -> None:
    """Compute 1 above the threshold, -1 below its negative, else 0."""
    minus = splat(-1.0)
    for row in range(0, rows * stride, stride):
        for c in range(0, stride, LANES):
            value, limit = load(x, row + c), load(threshold, c)
            below = exceeds(mul(minus, limit), value)
            store(out, row + c, fma(minus, below, exceeds(value, limit)))


@kernel
def table(x: Any, out: Any, rows: int, stride: int, p: Any) -> None:
    """Compute `floor(slope[i] x + intercept[i])` on the segment i of x.

    `p` is 2^-width, -origin 2^-width, the number of segments, the slopes scaled by
    2^-slope_shift, and the intercepts, which contain the half.
    """
    scale, shift, size = splat(p[0]), splat(p[1]), int(p[2])
    slope, intercept = p[3 : 3 + size], p[3 + size :]
    first, last = splat(0.0), splat(size - 1.0)
    for i in range(0, rows * stride, LANES):
        value = load(x, i)
        segment = clip(floor(fma(value, scale, shift)), first, last)
        store(out, i, floor(fma(gather(slope, segment), value, gather(intercept, segment))))


@kernel
def product(x: Any, y: Any, out: Any, rows: int, stride: int, scale: Any) -> None:
    """Compute `floor(x y 2^-shift + 1/2)`."""
    half = splat(0.5)
    for row in range(0, rows * stride, stride):
        for c in range(0, stride, LANES):
            both = mul(load(x, row + c), load(y, row + c))
            store(out, row + c, floor(fma(both, load(scale, c), half)))


@kernel
def sum_of(x: Any, y: Any, out: Any, rows: int, stride: int) -> None:
    """Compute x + y."""
    for i in range(0, rows * stride, LANES):
        store(out, i, add(load(x, i), load(y, i)))


@kernel
def saturate(x: Any, rows: int, channels: int, stride: int, low: Any, high: Any) -> int:
    """Clip in place to [low, high]; return how many changed. For floats and for integers."""
    count = 0
    for row in range(0, rows * stride, stride):
        part = x[row : row + channels]
        for c in range(channels):
            value = part[c]
            clipped = min(max(value, low), high)
            count += clipped != value
            part[c] = clipped
    return count


@kernel
def accumulate(x: Any, total: Any, samples: int, steps: int, stride: int, room: int) -> None:
    """Add the rows of each sample to its sum (channels) of 64-bit integers, `room` apart."""
    channels = total.size - (samples - 1) * room
    for sample in range(samples):
        sums = total[sample * room : sample * room + channels]
        for t in range(steps):
            row = (sample * steps + t) * stride
            part = x[row : row + channels]
            for c in range(channels):
                sums[c] += np.int64(part[c])


@kernel
def count_nonzero(x: Any, total: Any, samples: int, steps: int, stride: int, room: int) -> None:
    """Add to each sample's counts (channels), `room` apart, the rows in which x is not 0."""
    channels = total.size - (samples - 1) * room
    for sample in range(samples):
        counts = total[sample * room : sample * room + channels]
        for t in range(steps):
            row = (sample * steps + t) * stride
            part = x[row : row + channels]
            for c in range(channels):
                counts[c] += part[c] != 0
