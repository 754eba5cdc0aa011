"""Matrix products: weights times spikes or graded values, and the rows of an embedding.

The inputs of a chunk are packed: to bytes where they span at most 256 values and the weights fit
8 bits, to 16-bit integers where both fit, to 32-bit floats where every sum stays below 2^24. A
tile of 8 rows by 32 outputs is kept in registers. Each sum z then becomes `floor(gain z + bias)`:
the Affine that reads it, or gain 1 and bias 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurossm.engine.cpu.kernels.dot import dot, group_size, nothing, pack
from neurossm.engine.cpu.kernels.jit import inlined, kernel
from neurossm.engine.cpu.kernels.simd import (
    LANES,
    ROW,
    add,
    floor,
    fma,
    load,
    lower_half,
    splat,
    store,
    upper_half,
)

PANEL = ROW
"""Outputs in one panel of packed weights."""


@inlined
def _finish(out: Any, at: int, p: Any, column: int, stride: int, sums: Any) -> None:
    """Store `floor(gain sums + bias)` of one row and panel; p is gain and bias, `stride` each."""
    gain, bias = load(p, column), load(p, stride + column)
    store(out, at + column, floor(fma(gain, lower_half(sums), bias)))
    column += LANES
    gain, bias = load(p, column), load(p, stride + column)
    store(out, at + column, floor(fma(gain, upper_half(sums), bias)))


@kernel
def _tile(a: Any, w0: Any, w1: Any, size: Any, out: Any, place: Any, p: Any) -> None:
    """Compute 8 rows of two panels."""
    groups, room = size
    s00 = s01 = s10 = s11 = s20 = s21 = s30 = s31 = nothing(a)
    s40 = s41 = s50 = s51 = s60 = s61 = s70 = s71 = nothing(a)
    step = group_size(a)
    for k in range(groups):
        i, j = k * step, k * step * PANEL
        s00, s01 = dot(a, i, w0, j, s00), dot(a, i, w1, j, s01)
        i += room
        s10, s11 = dot(a, i, w0, j, s10), dot(a, i, w1, j, s11)
        i += room
        s20, s21 = dot(a, i, w0, j, s20), dot(a, i, w1, j, s21)
        i += room
        s30, s31 = dot(a, i, w0, j, s30), dot(a, i, w1, j, s31)
        i += room
        s40, s41 = dot(a, i, w0, j, s40), dot(a, i, w1, j, s41)
        i += room
        s50, s51 = dot(a, i, w0, j, s50), dot(a, i, w1, j, s51)
        i += room
        s60, s61 = dot(a, i, w0, j, s60), dot(a, i, w1, j, s61)
        i += room
        s70, s71 = dot(a, i, w0, j, s70), dot(a, i, w1, j, s71)
    at, column, stride = place
    first = ((s00, s01), (s10, s11), (s20, s21), (s30, s31))
    second = ((s40, s41), (s50, s51), (s60, s61), (s70, s71))
    for rows in (first, second):
        for sums in rows:
            _finish(out, at, p, column, stride, sums[0])
            _finish(out, at, p, column + PANEL, stride, sums[1])
            at += stride


@kernel
def _row(a: Any, w: Any, groups: int, out: Any, place: Any, p: Any) -> None:
    """Compute one row of one panel."""
    sums = nothing(a)
    step = group_size(a)
    for k in range(groups):
        sums = dot(a, k * step, w, k * step * PANEL, sums)
    _finish(out, place[0], p, place[1], place[2], sums)


@kernel
def matmul_packed(x: Any, w: Any, out: Any, a: Any, shape: Any, p: Any) -> None:
    """Multiply x (rows, room) by packed weights to (rows, stride).

    `w` is (panels, groups of inputs, PANEL, group), filled up with zeros; `a` has room for the
    packed x. `p` is gain and bias, `stride` each, and what to add to x to make it unsigned.
    `shape` is rows, inputs, room, stride.
    """
    rows, inputs, room, stride = shape
    offset = splat(p[2 * stride])
    for i in range(0, rows * room, LANES):
        pack(a, i, add(load(x, i), offset))
    step = group_size(a)
    groups = (inputs + step - 1) // step
    panels, size, tiled = stride // PANEL, groups * step * PANEL, rows - rows % 8
    for panel in range(0, panels - 1, 2):
        w0, w1 = w[panel * size : (panel + 1) * size], w[(panel + 1) * size :]
        for row in range(0, tiled, 8):
            place = (row * stride, panel * PANEL, stride)
            _tile(a[row * room :], w0, w1, (groups, room), out, place, p)
    for panel in range(panels):
        first = 0 if panel == panels - 1 and panels % 2 == 1 else tiled
        w0 = w[panel * size : (panel + 1) * size]
        for row in range(first, rows):
            _row(a[row * room :], w0, groups, out, (row * stride, panel * PANEL, stride), p)


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
                part = w[i * outputs : (i + 1) * outputs]
                for o in range(outputs):
                    to[o] += value * part[o]


@kernel
def embed(
    tokens: Any, w: Any, out: Any, rows: int, in_stride: int, outputs: int, stride: int
) -> None:
    """Copy the row of `w` (V, outputs) that each token names."""
    for row in range(rows):
        first = np.int64(tokens[row * in_stride]) * outputs
        for o in range(outputs):
            out[row * stride + o] = w[first + o]
