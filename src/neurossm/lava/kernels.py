"""The arithmetic inside the Lava models, compiled with Numba.

Written from the specification of the integer operations alone and kept apart from the other
engines, so that equality with them means something. All integers are int64. Every `saturated`
result counts the values that were clamped.

Symbols: H channels, N complex modes per channel, S table segments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

__all__ = [
    "COLUMN",
    "add",
    "affine",
    "jit",
    "product",
    "rshift",
    "ssm_step",
    "ssm_step_floating",
    "store",
    "table",
]

COLUMN = "int64[::1]"
MATRIX = "int64[:,::1]"


def jit(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile for one signature (other types are refused) and keep the machine code on disk."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(signature, cache=True)(function)
        except RuntimeError:
            # Neither the package's folder nor the user's cache folder can be written to; a shared
            # one could hold anybody's code. Compiling takes three seconds.
            return numba.njit(signature)(function)

    return decorate


@jit("int64(int64, int64)")
def rshift(value: int, shift: int) -> int:
    """Divide by 2**shift to the nearest integer, halves up; a negative shift multiplies."""
    if shift > 0:
        return (value + (1 << (shift - 1))) >> shift
    return value << -shift


@jit(f"int64(int64, int64, int64, {COLUMN}, int64)")
def store(value: int, low: int, high: int, out: Any, h: int) -> int:
    """Clamp `value` to [low, high] into `out[h]`; return 1 if that changed it, else 0."""
    if value < low:
        out[h] = low
        return 1
    if value > high:
        out[h] = high
        return 1
    out[h] = value
    return 0


@jit(f"int64({COLUMN}, {COLUMN}, {COLUMN}, {COLUMN}, int64, int64, {COLUMN})")
def affine(x: Any, gain: Any, shift: Any, offset: Any, low: int, high: int, out: Any) -> int:
    """Write `sat(rshift(gain*x, shift) + offset)` (H) to `out`; return how many saturated."""
    saturated = 0
    for h in range(x.size):
        saturated += store(rshift(gain[h] * x[h], shift[h]) + offset[h], low, high, out, h)
    return saturated


@jit(
    f"UniTuple(int64, 2)({COLUMN}, {MATRIX}, {MATRIX}, {MATRIX}, {MATRIX}, {MATRIX},"
    f"{MATRIX}, {MATRIX}, {MATRIX}, {COLUMN}, {COLUMN}, {COLUMN},"
    f"int64, int64, int64, int64, {COLUMN})"
)
def ssm_step(
    u: Any,
    s_re: Any,
    s_im: Any,
    a_re: Any,
    a_im: Any,
    pole_shift: Any,
    input_shift: Any,
    c_re: Any,
    c_im: Any,
    readout_shift: Any,
    d: Any,
    d_shift: Any,
    state_low: int,
    state_high: int,
    low: int,
    high: int,
    y: Any,
) -> tuple[int, int]:
    """Advance the states (H, N) in place by one step and write the output (H) to `y`.

    `s_re' = sat(rshift(a_re*s_re - a_im*s_im + u*2**(A + k), A))`,
    `s_im' = sat(rshift(a_re*s_im + a_im*s_re, A))`,
    `y = sat(sum_n rshift(c_re*s_re' - c_im*s_im', m) + rshift(d*u, d_shift))`,
    with A = `pole_shift` and k = `input_shift` (H, N), m = `readout_shift` and `d_shift` (H).

    Returns
    -------
    tuple[int, int]
        How many real and imaginary parts of states saturated, and how many of y.
    """
    saturated_state = 0
    saturated_y = 0
    for h in range(u.size):
        total = rshift(d[h] * u[h], d_shift[h])
        for n in range(a_re.shape[1]):
            shift = pole_shift[h, n]
            drive = u[h] << (shift + input_shift[h, n])
            re = rshift(a_re[h, n] * s_re[h, n] - a_im[h, n] * s_im[h, n] + drive, shift)
            im = rshift(a_re[h, n] * s_im[h, n] + a_im[h, n] * s_re[h, n], shift)
            saturated_state += store(re, state_low, state_high, s_re[h], n)
            saturated_state += store(im, state_low, state_high, s_im[h], n)
            read = c_re[h, n] * s_re[h, n] - c_im[h, n] * s_im[h, n]
            total += rshift(read, readout_shift[h])
        saturated_y += store(total, low, high, y, h)
    return saturated_state, saturated_y


@jit(
    f"int64({COLUMN}, int64, int64, {COLUMN}, {COLUMN}, int64, int64, int64, {COLUMN})",
)
def table(
    x: Any,
    origin: int,
    width: int,
    base: Any,
    slope: Any,
    slope_shift: int,
    low: int,
    high: int,
    out: Any,
) -> int:
    """Write the piecewise-linear function (S segments) of `x` (H); return how many saturated.

    `i = clamp((x - origin) >> w, 0, S-1)`, `sat(base[i] + rshift(slope[i]*dx, q))` with
    `dx = x - origin - (i << w)`, not clamped: the end segments extend.
    """
    saturated = 0
    last = base.size - 1
    for h in range(x.size):
        distance = x[h] - origin
        i = min(max(distance >> width, 0), last)
        rise = rshift(slope[i] * (distance - (i << width)), slope_shift)
        saturated += store(base[i] + rise, low, high, out, h)
    return saturated


@jit(f"int64({COLUMN}, {COLUMN}, {COLUMN}, int64, int64, {COLUMN})")
def product(x: Any, y: Any, shift: Any, low: int, high: int, out: Any) -> int:
    """Write `sat(rshift(x*y, shift))` (H) to `out`; return how many saturated."""
    saturated = 0
    for h in range(x.size):
        saturated += store(rshift(x[h] * y[h], shift[h]), low, high, out, h)
    return saturated


@jit(f"int64({COLUMN}, {COLUMN}, int64, int64, {COLUMN})")
def add(x: Any, y: Any, low: int, high: int, out: Any) -> int:
    """Write `sat(x + y)` (H) to `out`; return how many saturated."""
    saturated = 0
    for h in range(x.size):
        saturated += store(x[h] + y[h], low, high, out, h)
    return saturated


_REALS = "float64[:,::1]"
_REAL = "float64[::1]"


@jit(
    f"void({_REAL}, {_REALS}, {_REALS}, {_REALS}, {_REALS}, {_REALS}, {_REALS}, {_REALS}, {_REAL},"
    f"{_REAL})"
)
def ssm_step_floating(
    u: Any,
    s_re: Any,
    s_im: Any,
    a_re: Any,
    a_im: Any,
    input_gain: Any,
    c_re: Any,
    c_im: Any,
    d: Any,
    y: Any,
) -> None:
    """Advance the states (H, N) by `s' = a s + gain u`; write `y = sum_n Re(c s') + d u` (H)."""
    for h in range(u.size):
        total = d[h] * u[h]
        for n in range(a_re.shape[1]):
            re = a_re[h, n] * s_re[h, n] - a_im[h, n] * s_im[h, n] + input_gain[h, n] * u[h]
            im = a_re[h, n] * s_im[h, n] + a_im[h, n] * s_re[h, n]
            s_re[h, n] = re
            s_im[h, n] = im
            total += c_re[h, n] * re - c_im[h, n] * im
        y[h] = total
