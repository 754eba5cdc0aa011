"""Where 64-bit and 32-bit floats hold a program's integers exactly.

All checks are made in integers of any size, on the bounds that the program's certificate gives.
A float of p bits holds every multiple of `2^-k` below `2^(p - k)` in magnitude; so a sum of such
terms is exact, in any order and with any fusing, if the sum of their magnitudes stays below that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import IntArray
from neurossm.program import SSM, Affine, Interval, LayerNorm, Op, limits
from neurossm.program.layernorm import NORMAL_EXPONENT

DOUBLE = 1 << 53
SINGLE = 1 << 24
_Exact = NDArray[Any]
"""Python integers of any size in an array."""


def exact(values: IntArray | int) -> _Exact:
    """Return magnitudes as Python integers."""
    magnitudes: _Exact = np.abs(np.asarray(values).astype(object))
    return magnitudes


def holds(interval: Interval, limit: int = DOUBLE) -> bool:
    """Tell whether floats with this many integers hold the whole interval."""
    return bool((exact(interval.low) < limit).all() and (exact(interval.high) < limit).all())


def interval_of(op: Op, *inputs: Interval) -> Interval:
    """Return what an operation's output can be, given what its inputs can be."""
    if op.out.proved:
        return op.out.interval
    if not op.saturates:
        return op.bounds(*inputs)
    return Interval.of_bits(op.out.bits, op.out.channels)


def rounds_exactly(product: _Exact, shift: IntArray, offset: _Exact) -> bool:
    """Tell whether `floor(p 2^-shift + (offset + 1/2))` is exact for |p| up to `product`.

    With `shift` >= 1 all terms are multiples of `2^-shift`, else of 1/2.
    """
    right = np.maximum(shift, 1).astype(object)
    scaled = product << (right - shift)  # in units of 2^-right
    reach = scaled + ((2 * offset + 1) << (right - 1))
    return bool((reach < DOUBLE).all())


def affine_is_exact(op: Affine, x: Interval, extra: _Exact | int = 0) -> bool:
    """Tell whether floats compute an Affine, of x plus something that the bias takes off again."""
    product = exact(op.gain) * (exact(x.largest()) + extra)
    return rounds_exactly(product, op.shift, exact(op.offset))


def layernorm_is_exact(op: LayerNorm, x: Interval) -> bool:
    """Tell whether floats compute a LayerNorm; its squares and roots are narrow by definition."""
    deviation = 4 * len(op.gain) * int(exact(x.largest()).max())
    normal = 2 << NORMAL_EXPONENT
    return deviation < DOUBLE and rounds_exactly(
        exact(op.gain) * normal, op.shift, exact(op.offset)
    )


def sum_reach(weight: IntArray, x: Interval) -> int:
    """Return a bound of all partial sums of `weight @ x`."""
    rough = np.abs(weight).astype(np.float64) @ x.largest().astype(np.float64)
    if rough.max() < DOUBLE / 4:  # then nothing was rounded
        return int(rough.max())
    return int((exact(weight) @ exact(x.largest())).max())


def ssm_is_exact(
    op: SSM, u: Interval, finer_states: IntArray | int = 0, finer_readout: int = 0
) -> bool:
    """Tell whether floats compute an SSM: its states, its readout and their sum.

    So many bits below the last one, of states (H, N) before their rounding and of the readout's
    products, are wanted for something else.
    """
    re, im = (part.clipped(*limits(op.state_bits)) for part in op.state_bounds(u).values())
    s_re = np.maximum(exact(re.low), exact(re.high))
    s_im = np.maximum(exact(im.low), exact(im.high))
    reach = exact(u.largest())
    a_re, a_im = exact(op.a_re), exact(op.a_im)
    kick = reach[:, None] << (op.pole_shift + op.input_shift).astype(object)
    half = exact(np.int64(1) << (op.pole_shift - 1))
    finer = np.asarray(finer_states).astype(object)
    largest = max(
        ((a_re * s_re + a_im * s_im + kick + half) << finer).max(),
        ((a_re * s_im + a_im * s_re + half) << finer).max(),
    )
    shift = np.broadcast_to(op.readout_shift[:, None], op.c_re.shape)
    readout = exact(op.c_re) * s_re + exact(op.c_im) * s_im
    direct = exact(op.d) * reach
    total = (readout >> shift.astype(object)).sum(axis=1) + op.modes
    total = total + (direct << np.maximum(-op.d_shift, 0).astype(object)) + 1
    return (
        largest < DOUBLE
        and rounds_exactly(readout << finer_readout, shift, exact(0))
        and rounds_exactly(direct, op.d_shift, exact(0))
        and bool((2 * total < DOUBLE).all())
    )
