"""The arithmetic of the floating_pt models: float64, neither rounded nor saturated.

See `parameters` for equations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neurossm.arrays import FloatArray
from neurossm.lava import kernels
from neurossm.lava.parameters import Decoder, Logistic, Modes, Product, Rescale, Segments, Sum

__all__ = ["Coefficients", "add", "coefficients", "decode", "lookup", "multiply", "rescale", "step"]

Coefficients = tuple[FloatArray, ...]


def rescale(p: Rescale, x: FloatArray) -> FloatArray:
    """Map x (H) to y (H)."""
    y: FloatArray = _scale(np.asarray(p.gain) * x, np.negative(p.shift)) + np.asarray(p.offset)
    return y


def lookup(p: Segments | Logistic, x: FloatArray) -> FloatArray:
    """Evaluate a function at x (H)."""
    if isinstance(p, Logistic):
        e = np.exp(-np.abs(x))  # never overflows
        logistic: FloatArray = np.where(x >= 0, 1 / (1 + e), e / (1 + e))
        return logistic
    base, slope = np.asarray(p.base), np.asarray(p.slope)
    width = 2.0**p.width
    i = np.clip(np.floor((x - p.origin) / width), 0, base.size - 1).astype(np.int64)
    dx = x - (p.origin + i * width)
    y: FloatArray = base[i] + slope[i] * dx * 2.0**-p.slope_shift
    return y


def multiply(p: Product, x: FloatArray, y: FloatArray) -> FloatArray:
    """Multiply x and y (H)."""
    return _scale(x * y, np.negative(p.shift))


def add(p: Sum, x: FloatArray, y: FloatArray) -> FloatArray:
    """Add x and y (H)."""
    return x + y


def coefficients(p: Modes) -> Coefficients:
    """Return a_re, a_im, the input's gain, c_re, c_im (H, N) and d (H), shifts applied."""
    readout = -np.asarray(p.readout_shift)[:, np.newaxis]
    return (
        _scale(p.a_re, np.negative(p.pole_shift)),
        _scale(p.a_im, np.negative(p.pole_shift)),
        _scale(np.ones(p.shape), p.input_shift),
        _scale(p.c_re, readout),
        _scale(p.c_im, readout),
        _scale(p.d, np.negative(p.d_shift)),
    )


def step(p: Coefficients, u: FloatArray, s_re: FloatArray, s_im: FloatArray) -> FloatArray:
    """Advance the states (H, N) in place; return y (H)."""
    y = np.empty_like(u)
    kernels.ssm_step_floating(u, s_re, s_im, *p, y)
    return y


def decode(p: Decoder, total: FloatArray, steps: int) -> FloatArray:
    """Return the logits (classes) of a sum (H) over so many steps."""
    weight: Any = p.weight
    logits: FloatArray = (weight @ (total / steps) + p.bias) * 2.0**-p.shift
    return logits


def _scale(array: ArrayLike, exponent: ArrayLike) -> FloatArray:
    scaled: FloatArray = np.ldexp(np.asarray(array, np.float64), exponent)
    return scaled
