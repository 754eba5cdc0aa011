"""Sums over the powers of a two-dimensional system: what a neuron that resets itself can reach.

A neuron with soft reset is linear but for its spike: with states `z` (2), input `x` and spike `s`,
`z' = M z + n_x x + n_s s`. Whatever decides when it spikes, s is 0 or 1, so that each state lies
between the sums over k of the positive and of the negative parts of `M^k n` times the extremes of
what enters there. That is a proof for every input and any number of steps; it knows nothing of the
threshold, so that it is wider than what can happen.

`M^k` is summed to `T = 12 L`, where `L` is the first power of two with `||M^L|| <= 1/2` (largest
row sum). The rest is at most `nu^12 / (1 - nu)` of `sum_(k<L) ||M^k n||`, with `nu = 0.51` for the
rounding of `M^L`, and is added in full. A step's rounding error is at most `6 2^-53 ||M|| ||z||`,
and all of them together grow by no more than `sum_k ||M^k||`; that is added, too.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.jit import lazily, prange

LONGEST = 1 << 22
"""Systems whose powers have not halved after so many steps have no sum here."""
_NU = 0.51
_REST = _NU**12 / (1 - _NU)
_ROUNDING = 6 * 2.0**-53


def feedback_series(matrix: FloatArray, columns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sum positive and negative parts of `M^k n` over all k, from above.

    Parameters
    ----------
    matrix
        M (H, 2, 2), one per channel.
    columns
        The vectors n (H, 2, K).

    Returns
    -------
    tuple
        Sums of the positive and of the negative parts, (H, 2, K) each; infinite where the powers
        do not vanish.
    """
    matrix, columns = (np.ascontiguousarray(part, np.float64) for part in (matrix, columns))
    both = _kept(matrix.tobytes(), columns.tobytes(), columns.shape)
    return both[0], both[1]


@lru_cache(maxsize=64)
def _kept(matrix: bytes, columns: bytes, shape: tuple[int, int, int]) -> FloatArray:
    """Return both sums (2, H, 2, K); kept, as a compilation asks for the same ones many times."""
    m = np.frombuffer(matrix, np.float64).reshape(shape[0], 2, 2)
    n = np.frombuffer(columns, np.float64).reshape(shape)
    sums = _sums(m.copy(), n.copy())
    sums.setflags(write=False)
    return sums


@lazily({"parallel": True, "error_model": "numpy"})
def _sums(matrix: FloatArray, columns: FloatArray) -> FloatArray:
    channels, _, width = columns.shape
    out = np.full((2, channels, 2, width), np.inf)
    for h in prange(channels):
        a, b, c, d = matrix[h, 0, 0], matrix[h, 0, 1], matrix[h, 1, 0], matrix[h, 1, 1]
        norm = max(abs(a) + abs(b), abs(c) + abs(d))
        p, q, r, s, length = a, b, c, d, 1
        while max(abs(p) + abs(q), abs(r) + abs(s)) > 0.5 and length < LONGEST:
            p, q, r, s = p * p + q * r, p * q + q * s, r * p + s * r, r * q + s * s
            length *= 2
        if not max(abs(p) + abs(q), abs(r) + abs(s)) <= 0.5:
            continue
        growth = 0.0  # sum of ||M^k||, k < T
        p, q, r, s = 1.0, 0.0, 0.0, 1.0
        for _ in range(12 * length):
            growth += max(abs(p) + abs(q), abs(r) + abs(s))
            p, q, r, s = a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s
        growth *= 1.01
        for k in range(width):
            u, v = columns[h, 0, k], columns[h, 1, k]
            u_pos, u_neg, v_pos, v_neg, early, size = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for step in range(12 * length):
                u_pos += max(u, 0.0)
                u_neg += max(-u, 0.0)
                v_pos += max(v, 0.0)
                v_neg += max(-v, 0.0)
                size += max(abs(u), abs(v))
                if step == length - 1:
                    early = size
                u, v = a * u + b * v, c * u + d * v
            rest = _REST * early + _ROUNDING * (norm + 1.0) * growth * size
            out[0, h, 0, k], out[1, h, 0, k] = u_pos + rest, u_neg + rest
            out[0, h, 1, k], out[1, h, 1, k] = v_pos + rest, v_neg + rest
    return out
