"""Triton kernels: chains of pointwise operations, matrix products of bytes, and the recurrence.

Integers are stored as narrowly as their bounds allow. What fits is computed in 32 bits, products in
64; only the recurrence is computed in 64-bit floats where these are exact, which GPUs multiply
faster. Adding 1.5 times 2^52 to a float below 2^51 rounds it to an integer, whose 32 lowest bits
are those of the sum.

Parameters in capitals are constants, for which Triton compiles a kernel of its own. Triton would
look into annotations of types, so that there are none.
"""

# Triton's language is not Python's: tuples grow, and types are known at compile time only.
# mypy: ignore-errors

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import triton
import triton.language as tl

from neurossm.engine.gpu import stages

AFFINE = tl.constexpr(stages.AFFINE)
SPIKE = tl.constexpr(stages.SPIKE)
TERNARY = tl.constexpr(stages.TERNARY)
TABLE = tl.constexpr(stages.TABLE)
PRODUCT = tl.constexpr(stages.PRODUCT)
LAYERNORM = tl.constexpr(stages.LAYERNORM)
HEAD = tl.constexpr(stages.TABLE_HEAD)
DEVIATION_BITS = tl.constexpr(stages.DEVIATION_BITS)
NORMAL_SHIFT = tl.constexpr(30 - stages.NORMAL_EXPONENT)
ROOT_BITS = tl.constexpr(stages.ROOT_BITS)
ROOT_SCALE = tl.constexpr(stages.ROOT_BITS // 2)
ROOT_HALF = tl.constexpr(1 << (stages.ROOT_BITS - 1))
NEWTON_STEPS = tl.constexpr(stages.NEWTON_STEPS)
ROUNDER = tl.constexpr(6755399441055744.0)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function on its first call; it may call others of this kind.

    Triton would compile again for numbers that are 1 or multiples of 16: the first run of another
    batch or length would be slow.
    """
    return triton.jit(do_not_specialize=["rows", "steps", "samples"])(function)


@kernel
def _row(fields, at, H: tl.constexpr, h, valid):
    """Return a row of the parameters for the channels h."""
    return tl.load(fields + at * H + h, mask=valid, other=0)


@kernel
def _shifted(p, fields, at, LEFT: tl.constexpr, H: tl.constexpr, h, valid):
    """Shift by the three rows half, right and left; the last only if any is above 0."""
    right = _row(fields, at + 1, H, h, valid)
    p = (p + _row(fields, at, H, h, valid)) >> right
    if LEFT:
        p = p << _row(fields, at + 2, H, h, valid)
    return p


@kernel
def _affine(x, fields, AT: tl.constexpr, NARROW: tl.constexpr, LEFT: tl.constexpr, H, h, valid):
    """Compute `rshift(gain x, shift) + offset`; rows are gain, the shift's three, offset."""
    gain = _row(fields, AT, H, h, valid)
    if NARROW:  # one instruction multiplies 32 bits by 32 to 64
        gain = gain.to(tl.int32)
    product = x.to(tl.int64) * gain.to(tl.int64)
    return _shifted(product, fields, AT + 1, LEFT, H, h, valid) + _row(fields, AT + 4, H, h, valid)


@kernel
def _table(x, constants, AT: tl.constexpr, S: tl.constexpr):
    """Interpolate; constants are origin, width, the slope's shift in three parts, base, slope."""
    origin, width = tl.load(constants + AT), tl.load(constants + AT + 1)
    moved = x.to(tl.int64) - origin
    segment = tl.minimum(tl.maximum(moved >> width, 0), S - 1)
    moved = moved - (segment << width)
    product = tl.load(constants + AT + HEAD + S + segment) * moved
    half, right = tl.load(constants + AT + 2), tl.load(constants + AT + 3)
    value = ((product + half) >> right) << tl.load(constants + AT + 4)
    return tl.load(constants + AT + HEAD + segment) + value


@kernel
def _rounded(p, k):
    """Shift right to nearest; left for negative k, of which there are fewer."""
    right = tl.maximum(k, 0)
    half = ((k * 0 + 1) << right) >> 1
    return ((p + half) >> right) << tl.maximum(-k, 0)


@kernel
def _bit_length(value):
    """Count the bits of integers from 0 to 2^62, by the exponent of a float."""
    bits = (value.to(tl.float64).to(tl.int64, bitcast=True) >> 52) - 1022
    bits = tl.maximum(bits, 0)
    # Beyond 2^53 it may have been rounded up to the next power of two.
    return bits - (((value >> tl.maximum(bits - 1, 0)) == 0) & (bits > 0)).to(tl.int64)


@kernel
def _normal(x, constants, AT: tl.constexpr, H: tl.constexpr, valid):
    """Return the normalised deviations of rows; see `neurossm.program.layernorm`."""
    x = tl.where(valid, x.to(tl.int64), 0)  # beyond H a chain may have computed anything
    deviation = tl.where(valid, x * H - tl.sum(x, axis=1, keep_dims=True), 0)
    largest = tl.max(tl.abs(deviation), axis=1, keep_dims=True)
    right = tl.maximum(_bit_length(largest) - DEVIATION_BITS, 0)
    deviation = _rounded(deviation, right).to(tl.int32)  # 21 bits
    wide = deviation.to(tl.int64)
    power = tl.sum(wide * wide, axis=1, keep_dims=True)
    power += tl.load(constants + AT) >> tl.minimum(2 * right, 62)
    power_or_1 = tl.maximum(power, 1)
    p = ((_bit_length(power_or_1) + 1) >> 1) - ROOT_SCALE
    v = _rounded(power_or_1, 2 * p)
    root = 139592 - ((79299 * v + ROOT_HALF) >> ROOT_BITS)
    for _ in tl.static_range(NEWTON_STEPS):
        square = (root * root + (1 << 15)) >> 16
        error = (v * square + ROOT_HALF) >> ROOT_BITS
        root = (root * ((3 << 16) - error) + (1 << 16)) >> 17
    root = tl.where(power > 0, root, 0).to(tl.int32)  # 19 bits
    return _rounded(deviation.to(tl.int64) * root.to(tl.int64), p + NORMAL_SHIFT)


@kernel
def _saturated(value, LIMIT: tl.constexpr):
    return tl.minimum(tl.maximum(value, -LIMIT), LIMIT - 1)


@kernel
def _clipped(value, LIMIT: tl.constexpr, count, mask):
    """Saturate to [-LIMIT, LIMIT - 1], and count what that changes."""
    wide = value.to(tl.int64)
    clipped = _saturated(wide, LIMIT)
    changed = ((clipped != wide) & mask).to(tl.int64)
    tl.atomic_add(count, tl.sum(tl.sum(changed, axis=1), axis=0))
    return clipped


@kernel
def _stage(
    values,
    PLAN: tl.constexpr,
    NUMBER: tl.constexpr,
    fields,
    constants,
    counts,
    H: tl.constexpr,
    h,
    valid,
    mask,
):
    """Compute operation NUMBER of a chain; its numbers are those of `stages.Stage`."""
    KIND: tl.constexpr = PLAN[NUMBER][0]
    AT: tl.constexpr = PLAN[NUMBER][3]
    OTHER: tl.constexpr = PLAN[NUMBER][4]
    NARROW: tl.constexpr = PLAN[NUMBER][5]
    LEFT: tl.constexpr = PLAN[NUMBER][6]
    LIMIT: tl.constexpr = PLAN[NUMBER][7]
    x = values[PLAN[NUMBER][1]]
    y = values[PLAN[NUMBER][2]]
    if KIND == AFFINE:
        value = _affine(x, fields, AT, NARROW, LEFT, H, h, valid)
    elif KIND == LAYERNORM:
        normal = _normal(x, constants, OTHER, H, valid).to(tl.int32)
        value = _affine(normal, fields, AT, NARROW, LEFT, H, h, valid)
    elif KIND == TABLE:
        value = _table(x, constants, AT, OTHER)
    elif KIND == PRODUCT:
        value = _shifted(x.to(tl.int64) * y.to(tl.int64), fields, AT, LEFT, H, h, valid)
    elif KIND == SPIKE:
        value = (x > _row(fields, AT, H, h, valid)).to(tl.int32)
    elif KIND == TERNARY:
        limit = _row(fields, AT, H, h, valid)
        value = (x > limit).to(tl.int32) - (x < -limit).to(tl.int32)
    else:
        value = x.to(tl.int64) + y.to(tl.int64)
    if LIMIT > 0:
        value = _clipped(value, LIMIT, counts + PLAN[NUMBER][8], mask)
    return value


@kernel
def pointwise(
    inputs,
    outputs,
    fields,
    constants,
    counts,
    rows,
    PLAN: tl.constexpr,
    WIDE: tl.constexpr,
    KEEP: tl.constexpr,
    H: tl.constexpr,
    BH: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Compute a chain of pointwise operations on rows of H channels, in one pass over memory.

    Value number i is the i-th input, or the result of stage i of PLAN counted after the inputs
    (`stages.Stage`); WIDE tells which need 64 bits; KEEP are the numbers to store in `outputs`.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    h = tl.arange(0, BH)[None, :]
    valid = h < H
    mask = (row < rows) & valid
    at = row * H + h
    values = ()
    for i in tl.static_range(len(inputs)):
        x = tl.load(inputs[i] + at, mask=mask, other=0)
        values += (x.to(tl.int64) if WIDE[i] else x.to(tl.int32),)
    for i in tl.static_range(len(PLAN)):
        value = _stage(values, PLAN, i, fields, constants, counts, H, h, valid, mask)
        values += (value.to(tl.int64) if WIDE[len(inputs) + i] else value.to(tl.int32),)
    for i in tl.static_range(len(outputs)):
        kept = values[KEEP[i]].to(outputs[i].dtype.element_ty)
        tl.store(outputs[i] + at, kept, mask=mask)


@kernel
def multiply(
    x,
    weight,
    out,
    rows,
    K: tl.constexpr,
    H: tl.constexpr,
    PIECES: tl.constexpr,
    BM: tl.constexpr,
    BK: tl.constexpr,
    BH: tl.constexpr,
):
    """Multiply integers (rows, K) by bytes (H, K), in pieces of 7 bits, the highest first."""
    row = tl.program_id(0) * BM + tl.arange(0, BM)[:, None]
    h = tl.program_id(1) * BH + tl.arange(0, BH)
    total = tl.zeros((BM, BH), tl.int32)
    for piece in tl.static_range(PIECES):
        total = total << 7
        for first in tl.static_range(0, K, BK):
            k = first + tl.arange(0, BK)[None, :]
            part = tl.load(x + row * K + k, mask=(row < rows) & (k < K), other=0).to(tl.int32)
            part = part >> (7 * (PIECES - 1 - piece))
            if piece > 0:
                part = part & 127
            inside = (h[:, None] < H) & (k < K)
            columns = tl.trans(tl.load(weight + h[:, None] * K + k, mask=inside, other=0))
            total = tl.dot(part.to(tl.int8), columns, total, out_dtype=tl.int32)
    stored = (row < rows) & (h[None, :] < H)
    tl.store(out + row * H + h[None, :], total.to(out.dtype.element_ty), mask=stored)


@kernel
def _modes(p, R: tl.constexpr, S: tl.constexpr, STRIDE: tl.constexpr, N: tl.constexpr, n, in_h):
    """Load one number of each of a lane's R modes, as floats."""
    numbers = ()
    for r in tl.static_range(R):
        number = tl.load(p + r * S * STRIDE, mask=in_h & (n + r * S < N), other=0)
        numbers += (number.to(tl.float64),)
    return numbers


@kernel
def recur(
    u,
    y,
    states,
    p,
    nudges,
    direct,
    steps,
    samples,
    state_count,
    count,
    H: tl.constexpr,
    N: tl.constexpr,
    STATE_LIMIT: tl.constexpr,
    LIMIT: tl.constexpr,
    WIDE: tl.constexpr,
    BH: tl.constexpr,
    R: tl.constexpr,
    S: tl.constexpr,
):
    """Run an SSM over time, for one sample and BH channels, in 64-bit floats.

    u and y are (B, T, H), states (2, B, H, N) int64; `p` (H, N, 5), `nudges` (2, H) and `direct`
    (4, H), d and its shift in three parts, as in `ModeParameters`. S lanes share a channel, each
    with R modes in its registers. The limits, unless 0, are where to saturate; WIDE tells that
    sums need more than 32 bits.
    """
    sample = tl.program_id(0)
    first = tl.program_id(1) * BH
    lane = tl.arange(0, BH * S)
    h = first + lane // S
    in_h = h < H
    n = lane % S
    at = h * N + n
    a_re = _modes(p + at * 5, R, S, 5, N, n, in_h)
    a_im = _modes(p + at * 5 + 1, R, S, 5, N, n, in_h)
    gain = _modes(p + at * 5 + 2, R, S, 5, N, n, in_h)
    c_re = _modes(p + at * 5 + 3, R, S, 5, N, n, in_h)
    c_im = _modes(p + at * 5 + 4, R, S, 5, N, n, in_h)
    nudge = tl.load(nudges + h, mask=in_h, other=0.0)
    nudge_out = tl.load(nudges + H + h, mask=in_h, other=0.0)
    d = tl.load(direct + h, mask=in_h, other=0)
    half = tl.load(direct + H + h, mask=in_h, other=0)
    right = tl.load(direct + 2 * H + h, mask=in_h, other=0)
    left = tl.load(direct + 3 * H + h, mask=in_h, other=0)
    # Beyond 2^31 only between samples: in 64 bits here, in 32 inside a chunk.
    at_re = states + sample.to(tl.int64) * (H * N) + at
    at_im = at_re + samples.to(tl.int64) * (H * N)
    re = _modes(at_re, R, S, 1, N, n, in_h)
    im = _modes(at_im, R, S, 1, N, n, in_h)
    clipped = tl.zeros((BH * S,), tl.int64)
    clipped_out = tl.zeros((BH,), tl.int64)
    h_out = first + tl.arange(0, BH)
    row = sample * steps * H
    end = row + steps * H
    now = tl.load(u + row + h, mask=in_h, other=0).to(tl.int64)
    for _ in range(steps):
        # The next input is on its way while this step is computed.
        after = row + H + h
        following = tl.load(u + after, mask=in_h & (after < end), other=0).to(tl.int64)
        kick = now.to(tl.float64)
        total = ((d * now + half) >> right) << left
        total = tl.where(n == 0, total, 0)
        if not WIDE:
            total = total.to(tl.int32)
        new_re = ()
        new_im = ()
        for r in tl.static_range(R):
            x = (a_re[r] * re[r] + (kick * gain[r] + nudge)) - a_im[r] * im[r]
            z = a_im[r] * re[r] + (a_re[r] * im[r] + nudge)
            x = (x + ROUNDER) - ROUNDER
            z = (z + ROUNDER) - ROUNDER
            if STATE_LIMIT > 0:
                kept_x, kept_z = _saturated(x, STATE_LIMIT), _saturated(z, STATE_LIMIT)
                clipped += (x != kept_x).to(tl.int64) + (z != kept_z).to(tl.int64)
                x, z = kept_x, kept_z
            new_re += (x,)
            new_im += (z,)
            out = ((c_re[r] * x + nudge_out) - c_im[r] * z) + ROUNDER
            if WIDE:
                total += (out - ROUNDER).to(tl.int64)
            else:
                total += out.to(tl.int64, bitcast=True).to(tl.int32)
        re = new_re
        im = new_im
        sums = total
        if S > 1:
            sums = tl.sum(tl.reshape(total, (BH, S)), axis=1)
        if LIMIT > 0:
            kept = _saturated(sums, LIMIT)
            clipped_out += ((kept != sums) & (h_out < H)).to(tl.int64)
            sums = kept
        tl.store(y + row + h_out, sums.to(y.dtype.element_ty), mask=h_out < H)
        now = following
        row += H
    for r in tl.static_range(R):
        inside = in_h & (n + r * S < N)
        tl.store(at_re + r * S, re[r].to(tl.int64), mask=inside)
        tl.store(at_im + r * S, im[r].to(tl.int64), mask=inside)
    if STATE_LIMIT > 0:
        tl.atomic_add(state_count, tl.sum(clipped, axis=0))
    if LIMIT > 0:
        tl.atomic_add(count, tl.sum(clipped_out, axis=0))
