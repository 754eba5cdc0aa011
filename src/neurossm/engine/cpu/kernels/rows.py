"""What the loop over operations does between them: load, convert, saturate, sum over time.

Tensors are flat, (rows, stride), of which `channels` columns count.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurossm.engine.cpu.kernels.jit import kernel


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
