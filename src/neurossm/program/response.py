"""What an SSM's output can reach: the sum of its impulse response, not of its modes one by one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from neurossm.arrays import ComplexArray, FloatArray
from neurossm.graph.recurrence import impulse_response

STEPS = 1 << 14
"""The response is summed exactly over so many steps; the rest is bounded mode by mode."""
_SLACK = 1 + 1e-9
"""Covers the rounding of double-precision sums."""
_POWER_ERROR = 5e-12
"""Covers what each weight and step adds to the error of the sum: 2.5e-16 j by power j, 2.1e-12 on
average up to 2**14, and 2.3e-16 N by the sum over N modes."""


def response_sums(
    pole: ComplexArray, weight: ComplexArray, direct: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Bound the sums of the positive and the negative parts of an impulse response.

    The response is `K_j = Re(sum_n weight_n pole_n^j)` for j = 0, 1, 2, ..., with `direct` added to
    `K_0`; `pole` and `weight` are (H, N), `direct` is (H).

    Returns
    -------
    positive, negative
        (H) each: upper bounds of `sum_j max(K_j, 0)` and `sum_j max(-K_j, 0)`.
    """
    return _sums(pole.tobytes(), weight.tobytes(), direct.tobytes(), pole.shape)


@lru_cache(maxsize=16)
def _sums(
    poles: bytes, weights: bytes, directs: bytes, shape: tuple[int, ...]
) -> tuple[FloatArray, FloatArray]:
    """Sum; kept, as a compilation asks for the same sums several times."""
    pole, weight = (np.frombuffer(part, np.complex128).reshape(shape) for part in (poles, weights))
    direct = np.frombuffer(directs, np.float64)
    positive, negative = np.empty(len(pole)), np.empty(len(pole))
    for h, (q, w) in enumerate(zip(pole, weight, strict=True)):
        response = impulse_response(q, w, STEPS)
        response[0] += direct[h]
        positive[h] = np.maximum(response, 0).sum()
        negative[h] = np.maximum(-response, 0).sum()
    radius = np.abs(pole)
    rest = (np.abs(weight) * radius**STEPS / (1 - radius)).sum(axis=1)
    size = np.abs(weight).sum(axis=1) + np.abs(direct)
    rounding = size * STEPS * _POWER_ERROR
    return positive * _SLACK + rest + rounding, negative * _SLACK + rest + rounding
