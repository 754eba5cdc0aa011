"""The arithmetic of the floating_pt models: float64, neither rounded nor saturated.

See `parameters` for equations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from neurossm.arrays import FloatArray
from neurossm.lava import kernels
from neurossm.lava.parameters import (
    GELU,
    Decoder,
    DynamicTernary,
    Function,
    Logistic,
    Modes,
    Norm,
    Product,
    Rescale,
    Sum,
    Ternary,
)

__all__ = [
    "Coefficients",
    "add",
    "coefficients",
    "decode",
    "lookup",
    "multiply",
    "normalise",
    "rescale",
    "step",
    "ternary",
]

Coefficients = tuple[FloatArray, ...]
_NORMAL_EXPONENT = 20
"""Normalised deviations are in units of 2**-20, as in integers."""


def rescale(p: Rescale, x: FloatArray) -> FloatArray:
    """Map x (H) to y (H)."""
    y: FloatArray = _scale(np.asarray(p.gain) * x, np.negative(p.shift)) + np.asarray(p.offset)
    return y


def normalise(p: Norm | None, x: FloatArray) -> FloatArray:
    """Normalise x (H): by constants, by its own mean and variance, or not at all."""
    if p is None:
        return x
    if isinstance(p, Rescale):
        return rescale(p, x)
    deviation = x.size * x - x.sum()
    root = np.sqrt(deviation @ deviation + p.eps)
    normal = _scale(deviation / root if root > 0 else 0 * deviation, _NORMAL_EXPONENT)
    return rescale(Rescale(p.gain, p.shift, p.offset), normal)


def ternary(p: Ternary | DynamicTernary, y: FloatArray) -> FloatArray:
    """Return spikes -1, 0, 1 (H) for y (H)."""
    if isinstance(p, DynamicTernary):
        threshold = np.asarray(p.factor * np.abs(y).max())
    else:
        threshold = np.asarray(p.threshold)
    spikes: FloatArray = (y > threshold).astype(np.float64) - (y < -threshold)
    return spikes


def lookup(p: Function, x: FloatArray) -> FloatArray:
    """Evaluate a function at x (H)."""
    if isinstance(p, GELU):
        gelu: FloatArray = x * special.ndtr(x)
        return gelu
    if isinstance(p, Logistic):
        logistic: FloatArray = special.expit(x)
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
