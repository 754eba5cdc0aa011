"""The same operations in 64-bit integers, word for word as the program defines them.

They run where bounds do not promise that 64-bit floats are exact, and where states are recorded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurossm.engine.kernels.jit import inlined, kernel
from neurossm.engine.kernels.simd import ROW

_ONE = np.int64(1)


@inlined
def rshift(p: Any, k: Any) -> Any:
    """Shift to nearest, halves up; a negative k shifts left."""
    if k > 0:
        return (p + (_ONE << (k - 1))) >> k
    return p << -k


@kernel
def affine(x: Any, out: Any, rows: int, channels: int, stride: int, p: Any) -> None:
    """Compute `rshift(gain x, shift) + offset`; `p` is gain, shift and offset."""
    gain, shift, offset = p[:channels], p[channels : 2 * channels], p[2 * channels :]
    for row in range(0, rows * stride, stride):
        for c in range(channels):
            out[row + c] = rshift(gain[c] * x[row + c], shift[c]) + offset[c]


@kernel
def spike(x: Any, out: Any, rows: int, channels: int, stride: int, threshold: Any) -> None:
    """Compute 1 where x exceeds the threshold, else 0."""
    for row in range(0, rows * stride, stride):
        for c in range(channels):
            out[row + c] = x[row + c] > threshold[c]


@kernel
def ternary(x: Any, out: Any, rows: int, channels: int, stride: int, threshold: Any) -> None:
    """Compute 1 above the threshold, -1 below its negative, else 0."""
    for row in range(0, rows * stride, stride):
        for c in range(channels):
            out[row + c] = np.int64(x[row + c] > threshold[c]) - np.int64(
                x[row + c] < -threshold[c]
            )


@kernel
def table(x: Any, out: Any, rows: int, channels: int, stride: int, p: Any) -> None:
    """Compute `base[i] + rshift(slope[i] (x - left), q)`; p is origin, width, q, S, base, slope."""
    origin, width, shift, size = p[0], p[1], p[2], p[3]
    base, slope = p[4 : 4 + size], p[4 + size :]
    for row in range(0, rows * stride, stride):
        for c in range(channels):
            offset = x[row + c] - origin
            segment = min(max(offset >> width, 0), size - 1)
            offset -= segment << width
            out[row + c] = base[segment] + rshift(slope[segment] * offset, shift)


@kernel
def product(x: Any, y: Any, out: Any, rows: int, channels: int, stride: int, shift: Any) -> None:
    """Compute `rshift(x y, shift)`."""
    for row in range(0, rows * stride, stride):
        for c in range(channels):
            out[row + c] = rshift(x[row + c] * y[row + c], shift[c])


@kernel
def sum_of(x: Any, y: Any, out: Any, rows: int, channels: int, stride: int) -> None:
    """Compute x + y."""
    for row in range(0, rows * stride, stride):
        for c in range(channels):
            out[row + c] = x[row + c] + y[row + c]


@kernel
def recur(
    p: Any, per_channel: Any, states: Any, x: Any, out: Any, record: Any, shape: Any, bits: int
) -> int:
    """Run one SSM over a chunk; return how many states were clipped to `bits` bits.

    `p` is (H, N, 6) of `a_re, a_im, pole_shift, pole_shift + input_shift, c_re, c_im`;
    `per_channel` (H, 3) of `readout_shift, d, d_shift`; states (samples, H, N, 2). `shape` is as
    for the kernel of floats; `record` (rows, H, N, 2), its rows padded to ROW words, takes every
    state, unless it is empty.
    """
    samples, steps, channels, modes, stride, state_stride = shape
    low, high = -(_ONE << (bits - 1)), (_ONE << (bits - 1)) - 1
    clipped = 0
    room = (2 * channels * modes + ROW - 1) // ROW * ROW
    for sample in range(samples):
        for t in range(steps):
            row = sample * steps + t
            for h in range(channels):
                u = x[row * stride + h]
                readout = per_channel[3 * h]
                y = rshift(per_channel[3 * h + 1] * u, per_channel[3 * h + 2])
                for n in range(modes):
                    i = 6 * (h * modes + n)
                    a_re, a_im, pole_shift, kick = p[i], p[i + 1], p[i + 2], u << p[i + 3]
                    at = sample * state_stride + 2 * (h * modes + n)
                    s_re, s_im = states[at], states[at + 1]
                    re = rshift(a_re * s_re - a_im * s_im + kick, pole_shift)
                    im = rshift(a_re * s_im + a_im * s_re, pole_shift)
                    s_re, s_im = min(max(re, low), high), min(max(im, low), high)
                    clipped += s_re != re
                    clipped += s_im != im
                    states[at], states[at + 1] = s_re, s_im
                    y += rshift(p[i + 4] * s_re - p[i + 5] * s_im, readout)
                    if record.size > 0:
                        to = row * room + 2 * (h * modes + n)
                        record[to], record[to + 1] = s_re, s_im
                out[row * stride + h] = y
    return clipped
