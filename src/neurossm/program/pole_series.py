"""Sums over the powers of a quantised pole: what a state can reach, however long the input.

For a pole `q` with `|q| < 1` these are the infinite sums of the positive and of the negative parts
of `Re q^j` and `Im q^j`, j = 0, 1, 2, ... An input in [lo, hi] moves the real state to at most
`hi * sum(Re q^j)+ + |lo| * sum(Re q^j)-`, and there are inputs that come as near as one likes.
The sums are taken term by term until the rest, `|q|^T / (1 - |q|)`, is a thousandth of what was
summed; the rest is then added in full, so every sum is an upper bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from neurossm.arrays import FloatArray, IntArray
from neurossm.jit import lazily, prange

_ROUNDING = 1e-15
"""Relative error per term of the double-precision powers and sums, generously: both round a few
times (1.1e-16 each) per term."""


@dataclass(frozen=True, eq=False)
class PoleSeries:
    """Upper bounds of the four sums, each (H, N)."""

    re_positive: FloatArray
    re_negative: FloatArray
    im_positive: FloatArray
    im_negative: FloatArray

    @property
    def re_total(self) -> FloatArray:
        """Sum of `|Re q^j|`."""
        return self.re_positive + self.re_negative

    @property
    def im_total(self) -> FloatArray:
        """Sum of `|Im q^j|`."""
        return self.im_positive + self.im_negative


def pole_series(a_re: IntArray, a_im: IntArray, pole_shift: IntArray | int) -> PoleSeries:
    """Sum the series of every pole `(a_re + i a_im) / 2**pole_shift`, arrays (H, N)."""
    scale = np.exp2(-np.asarray(pole_shift, np.float64))
    parts = _series((a_re * scale).tobytes(), (a_im * scale).tobytes(), a_re.shape)
    return PoleSeries(parts[..., 0], parts[..., 1], parts[..., 2], parts[..., 3])


@lru_cache(maxsize=64)
def _series(q_re: bytes, q_im: bytes, shape: tuple[int, ...]) -> FloatArray:
    """Return the four sums, (H, N, 4); kept, as a compilation asks for the same ones many times."""
    flat = np.stack([np.frombuffer(part, np.float64) for part in (q_re, q_im)], axis=1)
    unique, inverse = np.unique(flat, axis=0, return_inverse=True)  # tied poles are summed once
    sums = _sums(unique[:, 0].copy(), unique[:, 1].copy(), _ROUNDING)
    parts: FloatArray = sums[inverse.ravel()].reshape(*shape, 4)
    parts.setflags(write=False)
    return parts


@lazily({"parallel": True})
def _sums(q_re: FloatArray, q_im: FloatArray, rounding: float) -> FloatArray:
    out = np.zeros((q_re.size, 4))
    for i in prange(q_re.size):
        radius = np.hypot(q_re[i], q_im[i])
        whole = 1.0 / (1.0 - radius)  # sum of |q|^j
        re, im, power = 1.0, 0.0, 1.0
        re_pos, re_neg, im_pos, im_neg = 0.0, 0.0, 0.0, 0.0
        rest, terms = whole, 0
        while rest > 1e-3 * (re_pos + re_neg):
            for _ in range(16):
                re_pos += max(re, 0.0)
                re_neg += max(-re, 0.0)
                im_pos += max(im, 0.0)
                im_neg += max(-im, 0.0)
                re, im = re * q_re[i] - im * q_im[i], re * q_im[i] + im * q_re[i]
                power *= radius
            terms += 16
            rest = power * whole
        # The error of the j-th computed power is below j * rounding * |q|^j.
        rest += rounding * (terms + 16) * whole
        out[i, 0], out[i, 1] = re_pos + rest, re_neg + rest
        out[i, 2], out[i, 3] = im_pos + rest, im_neg + rest
    return out
