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

_ROUNDING = 5e-16
"""Relative error per term of the double-precision powers (2.5e-16) and sums (1.1e-16)."""
_LANES = 16
"""So many terms in a row are computed at once."""
_SMALL = 1e-3 * (1 - 1e-9)
"""What the rest may be of what was summed."""


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
    sums = _sums(unique[:, 0].copy(), unique[:, 1].copy())
    parts: FloatArray = sums[inverse.ravel()].reshape(*shape, 4)
    parts.setflags(write=False)
    return parts


@lazily({"parallel": True, "error_model": "numpy"})
def _sums(q_re: FloatArray, q_im: FloatArray) -> FloatArray:
    out = np.zeros((q_re.size, 4))
    for i in prange(q_re.size):
        re, im = np.empty(_LANES), np.empty(_LANES)  # lane k holds power 16 t + k
        re_pos, re_neg = np.zeros(_LANES), np.zeros(_LANES)
        im_pos, im_neg = np.zeros(_LANES), np.zeros(_LANES)
        step_re, step_im, leap = 1.0, 0.0, 1.0
        radius = np.hypot(q_re[i], q_im[i])
        for k in range(_LANES):
            re[k], im[k] = step_re, step_im
            turned = step_re * q_im[i] + step_im * q_re[i]
            step_re = step_re * q_re[i] - step_im * q_im[i]
            step_im = turned
            leap *= radius
        whole = 1.0 / (1.0 - radius)  # sum of |q|^j
        power, rest, terms = 1.0, whole, 0
        # Where the rest is large beside the whole, it is so beside what was summed: no need to add.
        while rest > _SMALL * whole or rest > _SMALL * (re_pos.sum() + re_neg.sum()):
            for k in range(_LANES):
                re_pos[k] += max(re[k], 0.0)
                re_neg[k] += max(-re[k], 0.0)
                im_pos[k] += max(im[k], 0.0)
                im_neg[k] += max(-im[k], 0.0)
                turned = re[k] * step_im + im[k] * step_re
                re[k] = re[k] * step_re - im[k] * step_im
                im[k] = turned
            power *= leap
            terms += _LANES
            rest = power * whole
        # The error of the j-th computed power is below j * _ROUNDING * |q|^j.
        rest += _ROUNDING * (terms + _LANES) * whole
        out[i, 0], out[i, 1] = re_pos.sum() + rest, re_neg.sum() + rest
        out[i, 2], out[i, 3] = im_pos.sum() + rest, im_neg.sum() + rest
    return out
