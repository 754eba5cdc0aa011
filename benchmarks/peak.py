"""The machine's own limit: fused multiply-adds of 64-bit floats in registers, on all cores.

The loop must reach at least 90 % of half the rate of a float32 matrix product (which processes
twice as many numbers per instruction), else it is too weak a yardstick, and the benchmark says so.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from measuring import timed
from numba import njit

from neurossm.engine.cpu.kernels.simd import LANES, fma, splat, store

_CHAINS = 16
_ROUNDS = 10_000_000
_SIZE = 2048


@njit(nogil=True, fastmath={"contract"})
def _loop(rounds: int, seed: float, out: Any) -> None:
    """Sixteen independent chains hide the latency of the multiply-add."""
    a, b = splat(seed), splat(1.0 - 2.0**-20)
    x0 = x1 = x2 = x3 = x4 = x5 = x6 = x7 = a
    y0 = y1 = y2 = y3 = y4 = y5 = y6 = y7 = a
    for _ in range(rounds):
        x0, x1, x2, x3 = fma(x0, b, a), fma(x1, b, a), fma(x2, b, a), fma(x3, b, a)
        x4, x5, x6, x7 = fma(x4, b, a), fma(x5, b, a), fma(x6, b, a), fma(x7, b, a)
        y0, y1, y2, y3 = fma(y0, b, a), fma(y1, b, a), fma(y2, b, a), fma(y3, b, a)
        y4, y5, y6, y7 = fma(y4, b, a), fma(y5, b, a), fma(y6, b, a), fma(y7, b, a)
    at = 0
    for value in (x0, x1, x2, x3, x4, x5, x6, x7, y0, y1, y2, y3, y4, y5, y6, y7):
        store(out, at, value)
        at += LANES


def loop_flops(threads: int, repeats: int) -> float:
    """Return operations per second of the loop; a multiply-add is two."""
    outs = [np.zeros(_CHAINS * LANES) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:

        def call() -> None:
            list(pool.map(lambda out: _loop(_ROUNDS, 0.5, out), outs))

        timing = timed(call, repeats)
    return threads * _ROUNDS * _CHAINS * LANES * 2 / timing.fastest


def matmul_flops(threads: int, repeats: int) -> float:
    """Return operations per second of a float32 matrix product."""
    torch.set_num_threads(threads)
    a, b = torch.rand(_SIZE, _SIZE), torch.rand(_SIZE, _SIZE)
    return 2 * _SIZE**3 / timed(lambda: torch.mm(a, b), repeats).fastest


def measure(threads: int, repeats: int) -> dict[str, object]:
    """Return the peak and how it compares with a matrix product."""
    loop, product = loop_flops(threads, repeats), matmul_flops(threads, repeats)
    return {
        "loop_flops": loop,
        "float32_matmul_flops": product,
        "share_of_half_matmul": loop / (product / 2),
        "strong_enough": loop >= 0.9 * product / 2,
    }
