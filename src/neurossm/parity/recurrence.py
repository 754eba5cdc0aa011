"""The float SSM as a recurrence in compiled code: as exact as the convolution, and faster.

    s_t = A_bar s_(t-1) + u_t,    y_t = Re(sum_n c_n s_(t,n)) + D u_t,    c = 2 C B_bar

in float64. `B_bar` is folded into `c`, as in the integer program: the states are those that the
integer states stand for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import njit

from neurossm.arrays import ComplexArray, FloatArray
from neurossm.graph.nodes import SSM

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "reassoc"},
}
# "reassoc" lets the sum over the modes be taken in several parts at once: as exact, but vectorised.


class Recurrence:
    """An SSM node laid out for the compiled recurrence."""

    def __init__(self, node: SSM) -> None:
        """Split the complex parameters (H, N) into real and imaginary parts."""
        c = 2 * node.C * node.B_bar
        parts = (node.A_bar.real, node.A_bar.imag, c.real, c.imag)
        self._parts = tuple(np.ascontiguousarray(part) for part in parts)
        self._direct = node.D
        self._poles = node.A_bar

    def __call__(self, u: FloatArray) -> FloatArray:
        """Return y (B, L, H) for u (B, L, H); the states of each sample begin at zero."""
        u = np.ascontiguousarray(u)
        y = np.empty_like(u)
        for sample, out in zip(u, y, strict=True):
            _kernel()(*self._parts, self._direct, sample, out)
        return y

    def states(self, u: FloatArray) -> ComplexArray:
        """Return the states (L, H, N) of one sample u (L, H)."""
        state = np.zeros(self._poles.shape, np.complex128)
        states = np.empty((len(u), *self._poles.shape), np.complex128)
        for t, drive in enumerate(u):
            state = self._poles * state + drive[:, None]
            states[t] = state
        return states


def _recur(
    a_re: FloatArray,
    a_im: FloatArray,
    c_re: FloatArray,
    c_im: FloatArray,
    direct: FloatArray,
    u: FloatArray,
    y: FloatArray,
) -> None:
    """Run one sample u (L, H) through all modes of each channel, and write y (L, H)."""
    channels, modes = a_re.shape
    s_re, s_im = np.zeros(modes), np.zeros(modes)
    for h in range(channels):
        s_re[:] = 0.0
        s_im[:] = 0.0
        for t in range(len(u)):
            x = u[t, h]
            total = direct[h] * x
            for n in range(modes):
                re = a_re[h, n] * s_re[n] - a_im[h, n] * s_im[n] + x
                s_im[n] = a_re[h, n] * s_im[n] + a_im[h, n] * s_re[n]
                s_re[n] = re
                total += c_re[h, n] * re - c_im[h, n] * s_im[n]
            y[t, h] = total


@cache
def _kernel() -> Callable[..., None]:
    """Compile the recurrence, or load it from disk where Numba finds a place to keep it."""
    try:
        compiled: Callable[..., None] = njit(cache=True, **_OPTIONS)(_recur)
    except RuntimeError:  # "cannot cache function ...: no locator available"
        compiled = njit(**_OPTIONS)(_recur)
    return compiled
