"""The arithmetic of the fixed_pt models: int64, rounded and saturated as specified to the bit.

Every function returns its result and how many values saturated. See `parameters` for equations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurossm.arrays import IntArray
from neurossm.lava import kernels, kernels_norm
from neurossm.lava.parameters import (
    Decoder,
    Modes,
    Norm,
    Product,
    Rescale,
    Segments,
    Sum,
    Ternary,
)

__all__ = [
    "add",
    "decode",
    "limits",
    "lookup",
    "multiply",
    "normalise",
    "rescale",
    "step",
    "ternary",
]


def limits(bits: int) -> tuple[int, int]:
    """Return the least and the greatest signed integer of this width."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def rescale(p: Rescale, x: IntArray) -> tuple[IntArray, int]:
    """Map x (H) to y (H)."""
    y = np.empty_like(x)
    return y, kernels.affine(x, p.gain, p.shift, p.offset, *limits(p.bits), y)


def normalise(p: Norm | None, x: IntArray) -> tuple[IntArray, int]:
    """Normalise x (H): by constants, by its own mean and variance, or not at all."""
    if p is None:
        return x, 0
    if isinstance(p, Rescale):
        return rescale(p, x)
    y = np.empty_like(x)
    saturated = kernels_norm.layer_norm(x, p.gain, p.shift, p.offset, p.eps, *limits(p.bits), y)
    return y, saturated


def ternary(p: Ternary, y: IntArray) -> IntArray:
    """Return spikes -1, 0, 1 (H) for y (H)."""
    threshold = np.asarray(p.threshold)
    spikes: IntArray = (y > threshold).astype(np.int64) - (y < -threshold)
    return spikes


def lookup(p: Segments, x: IntArray) -> tuple[IntArray, int]:
    """Evaluate a piecewise-linear function at x (H)."""
    y = np.empty_like(x)
    low, high = limits(p.bits)
    saturated = kernels.table(x, p.origin, p.width, p.base, p.slope, p.slope_shift, low, high, y)
    return y, saturated


def multiply(p: Product, x: IntArray, y: IntArray) -> tuple[IntArray, int]:
    """Multiply x and y (H)."""
    z = np.empty_like(x)
    return z, kernels.product(x, y, p.shift, *limits(p.bits), z)


def add(p: Sum, x: IntArray, y: IntArray) -> tuple[IntArray, int]:
    """Add x and y (H)."""
    z = np.empty_like(x)
    return z, kernels.add(x, y, *limits(p.bits), z)


def step(p: Modes, u: IntArray, s_re: IntArray, s_im: IntArray) -> tuple[IntArray, int, int]:
    """Advance the states (H, N) in place; return y (H), saturated states, saturated y."""
    y = np.empty_like(u)
    states: int
    outputs: int
    states, outputs = kernels.ssm_step(
        u,
        s_re,
        s_im,
        p.a_re,
        p.a_im,
        p.pole_shift,
        p.input_shift,
        p.c_re,
        p.c_im,
        p.readout_shift,
        p.d,
        p.d_shift,
        *limits(p.state_bits),
        *limits(p.bits),
        y,
    )
    return y, states, outputs


def decode(p: Decoder, total: IntArray, steps: int) -> tuple[IntArray, int]:
    """Return the logits (classes) of a sum (H) over so many steps."""
    weight: Any = p.weight
    bias: Any = p.bias
    z = weight @ total + bias * steps
    exact = (2 * z + (steps << p.shift)) // (steps << (p.shift + 1))
    logits = np.clip(exact, *limits(p.bits))
    return logits, int(np.count_nonzero(logits != exact))
