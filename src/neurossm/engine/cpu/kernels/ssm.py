"""The SSM recurrence: eight channels in a vector, four modes in registers, time inside.

The rounding of the program, `floor((p + 2^(A-1)) / 2^A)`, becomes `floor(p 2^-A + 1/2)`: poles are
stored divided by `2^A` and readout coefficients divided by `2^m`, which is exact, so `p 2^-A` is
a sum of exact products and each rounding costs one instruction.

Layouts, with lanes innermost: parameters (blocks, N, 5, 8) of `a_re, a_im, 2^k, c_re, c_im`;
feed-through (blocks, 2, 8) of `d` and nothing; states (blocks, N, 2, 8). N is padded to a multiple
of four, channels to a multiple of eight, with zeros, which stay zero. Modes that none of a block's
channels has are such zeros, too, and are left out of its loops.
"""

from __future__ import annotations

from typing import Any

from neurossm.engine.cpu.kernels.jit import inlined, kernel
from neurossm.engine.cpu.kernels.simd import (
    LANES,
    add,
    clip,
    differs,
    floor,
    fma,
    fnma,
    load,
    splat,
    store,
)

MODES = 4
"""Modes whose parameters and states are in registers at a time."""
PARAMETERS = 5
_P = PARAMETERS * LANES
_S = 2 * LANES


@inlined
def _parameters(p: Any, i: int) -> Any:
    return (
        load(p, i),
        load(p, i + LANES),
        load(p, i + 2 * LANES),
        load(p, i + 3 * LANES),
        load(p, i + 4 * LANES),
    )


@inlined
def _mode(p: Any, re: Any, im: Any, u: Any, half: Any) -> Any:
    """Return the next state of one mode and its contribution to y."""
    a_re, a_im, gain, c_re, c_im = p
    new_re = floor(fnma(a_im, im, fma(a_re, re, fma(u, gain, half))))
    new_im = floor(fma(a_im, re, fma(a_re, im, half)))
    return new_re, new_im, floor(fnma(c_im, new_im, fma(c_re, new_re, half)))


@inlined
def _saturated(p: Any, re: Any, im: Any, u: Any, half: Any, low: Any, high: Any, count: Any) -> Any:
    """Return the same of a mode whose states may saturate, and the increased count."""
    a_re, a_im, gain, c_re, c_im = p
    raw_re = floor(fnma(a_im, im, fma(a_re, re, fma(u, gain, half))))
    raw_im = floor(fma(a_im, re, fma(a_re, im, half)))
    new_re = clip(raw_re, low, high)
    new_im = clip(raw_im, low, high)
    count = add(count, add(differs(raw_re, new_re), differs(raw_im, new_im)))
    return new_re, new_im, floor(fnma(c_im, new_im, fma(c_re, new_re, half))), count


@kernel
def advance_modes(p: Any, state: Any, u: Any, y: Any, modes: int, steps: int) -> None:
    """Add the contributions of all modes of eight channels to y (steps, 8); no saturation."""
    half = splat(0.5)
    for n in range(0, modes, MODES):
        i, j = n * _P, n * _S
        p0 = _parameters(p, i)
        p1 = _parameters(p, i + _P)
        p2 = _parameters(p, i + 2 * _P)
        p3 = _parameters(p, i + 3 * _P)
        re0, im0 = load(state, j), load(state, j + LANES)
        re1, im1 = load(state, j + _S), load(state, j + _S + LANES)
        re2, im2 = load(state, j + 2 * _S), load(state, j + 2 * _S + LANES)
        re3, im3 = load(state, j + 3 * _S), load(state, j + 3 * _S + LANES)
        for t in range(0, steps * LANES, LANES):
            v = load(u, t)
            re0, im0, y0 = _mode(p0, re0, im0, v, half)
            re1, im1, y1 = _mode(p1, re1, im1, v, half)
            re2, im2, y2 = _mode(p2, re2, im2, v, half)
            re3, im3, y3 = _mode(p3, re3, im3, v, half)
            store(y, t, add(load(y, t), add(add(y0, y1), add(y2, y3))))
        store(state, j, re0)
        store(state, j + LANES, im0)
        store(state, j + _S, re1)
        store(state, j + _S + LANES, im1)
        store(state, j + 2 * _S, re2)
        store(state, j + 2 * _S + LANES, im2)
        store(state, j + 3 * _S, re3)
        store(state, j + 3 * _S + LANES, im3)


@kernel
def advance_saturating(
    p: Any, state: Any, u: Any, y: Any, modes: int, steps: int, low: float, high: float
) -> int:
    """Do the same with states kept in [low, high]; return how many were clipped."""
    half, least, most = splat(0.5), splat(low), splat(high)
    count = splat(0.0)
    for n in range(modes):
        i, j = n * _P, n * _S
        q = _parameters(p, i)
        re, im = load(state, j), load(state, j + LANES)
        for t in range(0, steps * LANES, LANES):
            re, im, out, count = _saturated(q, re, im, load(u, t), half, least, most, count)
            store(y, t, add(load(y, t), out))
        store(state, j, re)
        store(state, j + LANES, im)
    store(y, steps * LANES, count)  # y has room for one more
    total = 0
    for lane in range(LANES):
        total += int(y[steps * LANES + lane])
    return total


@kernel
def used_modes(p: Any, modes: int) -> int:
    """Return how many modes, a multiple of four, hold all of a block that are not absent: zero."""
    last = modes * _P - 1
    while last >= 0 and p[last] == 0.0:
        last -= 1
    return (last // (_P * MODES) + 1) * MODES


@kernel
def recur(
    parameters: Any,
    feedthrough: Any,
    states: Any,
    scratch: Any,
    x: Any,
    out: Any,
    shape: Any,
    low: float,
    high: float,
) -> int:
    """Run one SSM over a chunk; return how many states were clipped to [low, high].

    `shape` is (samples, steps, channels, modes, stride, floats of state per sample in all); x and
    out are (samples * steps, stride). States are not clipped where `low` is 0. `scratch` holds
    u and y of one block of channels.
    """
    samples, steps, channels, modes, stride, state_stride = shape
    u, y = scratch[: steps * LANES], scratch[steps * LANES :]
    half = splat(0.5)
    clipped = 0
    for sample in range(samples):
        first = sample * steps * stride
        for block in range((channels + LANES - 1) // LANES):
            p = parameters[block * modes * _P : (block + 1) * modes * _P]
            used = used_modes(p, modes)
            begin = sample * state_stride + block * modes * _S
            state = states[begin : begin + modes * _S]
            d = load(feedthrough, block * LANES)
            at = first + block * LANES
            for t in range(steps):
                v = load(x, at + t * stride)
                store(u, t * LANES, v)
                store(y, t * LANES, floor(fma(d, v, half)))
            if low == 0.0:
                advance_modes(p, state, u, y, used, steps)
            else:
                clipped += advance_saturating(p, state, u, y, used, steps, low, high)
            for t in range(steps):
                store(out, at + t * stride, load(y, t * LANES))
    return clipped
