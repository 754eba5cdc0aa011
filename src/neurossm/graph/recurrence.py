"""The float SSM: its recurrence in compiled code, and its impulse response by powers of the poles.

    s_t = a s_(t-1) + u_t,    y_t = Re(sum_n c_n s_(t,n)) + d u_t

in float64, with the input's weight folded into `c`, as in the integer program: these states are
those that the integer states stand for.
"""

from __future__ import annotations

import numpy as np

from neurossm.arrays import ComplexArray, FloatArray
from neurossm.jit import lazily
from neurossm.threads import in_threads


# "reassoc" lets the sum over the modes be taken in several parts at once: as exact, but vectorised.
@lazily({"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc"}})
def _recur(
    a: ComplexArray,
    c: ComplexArray,
    d: FloatArray,
    b: ComplexArray,
    u: FloatArray,
    y: FloatArray,
    states: ComplexArray | None,
    peaks: FloatArray | None,
) -> None:
    """Run one sample u (L, H) through all modes of each channel, and write y (L, H).

    Write `states` (L, H, N) and raise `peaks` (H, N) to the largest `|Re b s|` or `|Im b s|` where
    these are given; parameters are (H, N), `d` is (H).
    """
    channels, modes = a.shape
    s_re, s_im = np.zeros(modes), np.zeros(modes)
    for h in range(channels):
        a_re, a_im = a[h].real.copy(), a[h].imag.copy()
        c_re, c_im = c[h].real.copy(), c[h].imag.copy()
        b_re, b_im = b[h].real.copy(), b[h].imag.copy()
        s_re[:] = 0.0
        s_im[:] = 0.0
        for t in range(len(u)):
            x = u[t, h]
            total = d[h] * x
            for n in range(modes):
                re = a_re[n] * s_re[n] - a_im[n] * s_im[n] + x
                s_im[n] = a_re[n] * s_im[n] + a_im[n] * s_re[n]
                s_re[n] = re
                total += c_re[n] * re - c_im[n] * s_im[n]
            y[t, h] = total
            if states is not None:
                for n in range(modes):
                    states[t, h, n] = complex(s_re[n], s_im[n])
            if peaks is not None:
                for n in range(modes):
                    re = abs(b_re[n] * s_re[n] - b_im[n] * s_im[n])
                    im = abs(b_re[n] * s_im[n] + b_im[n] * s_re[n])
                    peaks[h, n] = max(peaks[h, n], max(re, im))


def outputs(a: ComplexArray, c: ComplexArray, d: FloatArray, u: FloatArray) -> FloatArray:
    """Return y (B, L, H) for u (B, L, H); the states of each sample begin at zero."""
    u = np.ascontiguousarray(u)
    y = np.empty_like(u)
    for sample, out in zip(u, y, strict=True):
        _recur(a, c, d, a, sample, out, None, None)
    return y


def states(a: ComplexArray, u: FloatArray) -> ComplexArray:
    """Return all states (B, L, H, N) for u (B, L, H)."""
    u = np.ascontiguousarray(u)
    found = np.empty((*u.shape[:2], *a.shape), np.complex128)
    for sample, out in zip(u, found, strict=True):
        _recur(a, a, np.zeros(len(a)), a, sample, np.empty_like(sample), out, None)
    return found


def largest_states(a: ComplexArray, b: ComplexArray, u: FloatArray) -> FloatArray:
    """Return the largest `|Re b s|` or `|Im b s|` (H, N) over samples and steps of u (B, L, H)."""
    u = np.ascontiguousarray(u)

    def peaks_of(sample: FloatArray) -> FloatArray:
        peaks = np.zeros(a.shape)
        _recur(a, a, np.zeros(len(a)), b, sample, np.empty_like(sample), None, peaks)
        return peaks

    peaks: FloatArray = np.max(list(in_threads(peaks_of, u)), axis=0)
    return peaks


def impulse_response(pole: ComplexArray, weight: ComplexArray, length: int) -> FloatArray:
    """Return `Re(sum_n weight_n pole_n^t)` for t = 0 to length - 1; pole and weight are (N).

    The powers are taken as `q^(P i + j) = q^(P i) q^j` with P about the square root of the length,
    which needs 2 P powers and one matrix product instead of `length` powers. Power t is a product
    of t factors, in whatever order, so that its relative error is below 2.5e-16 t.
    """
    block = int(np.ceil(np.sqrt(length)))
    fine = _powers(pole, block)  # (N, P): q^j
    coarse = _powers(fine[:, -1] * pole, block) * weight[:, None]  # (N, P): w q^(P i)
    left = np.concatenate([coarse.real, -coarse.imag])  # (2 N, P)
    response: FloatArray = left.T @ np.concatenate([fine.real, fine.imag])  # (P, P)
    return response.ravel()[:length]


def _powers(base: ComplexArray, count: int) -> ComplexArray:
    """Return the powers 0 to count - 1 of numbers (N), (N, count), by doubling what is there."""
    powers = np.ones((len(base), count), np.complex128)
    done, power = 1, base[:, None]
    while done < count:
        more = min(done, count - done)
        powers[:, done : done + more] = powers[:, :more] * power
        done, power = done + more, power * power
    return powers
