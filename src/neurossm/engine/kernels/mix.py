"""Matrix products: weights times spikes or graded values, and the rows of an embedding.

The fast form packs the inputs of a chunk to 32-bit floats, exact where every sum stays below 2^24,
and keeps a tile of 8 rows by 32 outputs in registers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurossm.engine.kernels.jit import kernel
from neurossm.engine.kernels.simd import LANES, ROW, fma, load, lower_half, splat, store, upper_half

PANEL = ROW
"""Outputs in one panel of packed weights; panels are (inputs, PANEL)."""


@kernel
def pack(x: Any, out: Any, rows: int, inputs: int, stride: int) -> None:
    """Copy (rows, stride) to 32-bit floats (rows, inputs)."""
    for row in range(rows):
        for i in range(inputs):
            out[row * inputs + i] = np.float32(x[row * stride + i])


@kernel
def _widen(out: Any, at: int, sums: Any) -> None:
    store(out, at, lower_half(sums))
    store(out, at + LANES, upper_half(sums))


@kernel
def _rows_of_8(a: Any, w0: Any, w1: Any, out: Any, inputs: int, at: int, stride: int) -> None:
    s00 = s01 = s10 = s11 = s20 = s21 = s30 = s31 = splat(np.float32(0.0))
    s40 = s41 = s50 = s51 = s60 = s61 = s70 = s71 = splat(np.float32(0.0))
    for i in range(inputs):
        v0, v1 = load(w0, i * PANEL), load(w1, i * PANEL)
        b = splat(a[i])
        s00, s01 = fma(b, v0, s00), fma(b, v1, s01)
        b = splat(a[inputs + i])
        s10, s11 = fma(b, v0, s10), fma(b, v1, s11)
        b = splat(a[2 * inputs + i])
        s20, s21 = fma(b, v0, s20), fma(b, v1, s21)
        b = splat(a[3 * inputs + i])
        s30, s31 = fma(b, v0, s30), fma(b, v1, s31)
        b = splat(a[4 * inputs + i])
        s40, s41 = fma(b, v0, s40), fma(b, v1, s41)
        b = splat(a[5 * inputs + i])
        s50, s51 = fma(b, v0, s50), fma(b, v1, s51)
        b = splat(a[6 * inputs + i])
        s60, s61 = fma(b, v0, s60), fma(b, v1, s61)
        b = splat(a[7 * inputs + i])
        s70, s71 = fma(b, v0, s70), fma(b, v1, s71)
    _widen(out, at, s00)
    _widen(out, at + PANEL, s01)
    _widen(out, at + stride, s10)
    _widen(out, at + stride + PANEL, s11)
    _widen(out, at + 2 * stride, s20)
    _widen(out, at + 2 * stride + PANEL, s21)
    _widen(out, at + 3 * stride, s30)
    _widen(out, at + 3 * stride + PANEL, s31)
    _widen(out, at + 4 * stride, s40)
    _widen(out, at + 4 * stride + PANEL, s41)
    _widen(out, at + 5 * stride, s50)
    _widen(out, at + 5 * stride + PANEL, s51)
    _widen(out, at + 6 * stride, s60)
    _widen(out, at + 6 * stride + PANEL, s61)
    _widen(out, at + 7 * stride, s70)
    _widen(out, at + 7 * stride + PANEL, s71)


@kernel
def _one_row(a: Any, w: Any, out: Any, inputs: int, at: int) -> None:
    sums = splat(np.float32(0.0))
    for i in range(inputs):
        sums = fma(splat(a[i]), load(w, i * PANEL), sums)
    _widen(out, at, sums)


@kernel
def matmul_single(
    x: Any, w: Any, out: Any, scratch: Any, rows: int, inputs: int, in_stride: int, stride: int
) -> None:
    """Multiply (rows, in_stride) by packed weights to (rows, stride); sums below 2^24.

    `w` is (panels, inputs, PANEL), the last panel filled with zeros; scratch has room for
    (rows, inputs) of 32-bit floats.
    """
    pack(x, scratch, rows, inputs, in_stride)
    panels = stride // PANEL
    size = inputs * PANEL
    tiled = rows - rows % 8
    for panel in range(0, panels - 1, 2):
        w0, w1 = w[panel * size : (panel + 1) * size], w[(panel + 1) * size :]
        for row in range(0, tiled, 8):
            a = scratch[row * inputs :]
            _rows_of_8(a, w0, w1, out, inputs, row * stride + panel * PANEL, stride)
    for panel in range(panels):
        first = 0 if panel == panels - 1 and panels % 2 == 1 else tiled
        w0 = w[panel * size : (panel + 1) * size]
        for row in range(first, rows):
            a = scratch[row * inputs :]
            _one_row(a, w0, out, inputs, row * stride + panel * PANEL)


@kernel
def matmul(
    x: Any, w: Any, out: Any, rows: int, inputs: int, in_stride: int, outputs: int, stride: int
) -> None:
    """Multiply by weights (inputs, outputs) in the numbers that `x`, `w` and `out` are of."""
    for row in range(rows):
        to = out[row * stride : row * stride + outputs]
        to[:] = 0
        for i in range(inputs):
            value = x[row * in_stride + i]
            if value != 0:
                for o in range(outputs):
                    to[o] += value * w[i * outputs + o]


@kernel
def embed(
    tokens: Any, w: Any, out: Any, rows: int, in_stride: int, outputs: int, stride: int
) -> None:
    """Copy the row of `w` (V, outputs) that each token names."""
    for row in range(rows):
        first = np.int64(tokens[row * in_stride]) * outputs
        for o in range(outputs):
            out[row * stride + o] = w[first + o]
