"""Triton kernels: chains of operations, scans of states, products of bytes, and the recurrence.

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

from neurossm.engine.gpu import chain as c

NUMBER, SCALAR, ROW = tl.constexpr(c.NUMBER), tl.constexpr(c.SCALAR), tl.constexpr(c.ROW)
INPUT, STATE = tl.constexpr(c.INPUT), tl.constexpr(c.STATE)
ADD, SUB, MUL = tl.constexpr(c.ADD), tl.constexpr(c.SUB), tl.constexpr(c.MUL)
LEFT, RIGHT = tl.constexpr(c.LEFT), tl.constexpr(c.RIGHT)
MIN, MAX, GREATER = tl.constexpr(c.MIN), tl.constexpr(c.MAX), tl.constexpr(c.GREATER)
SELECT, LOOKUP = tl.constexpr(c.SELECT), tl.constexpr(c.LOOKUP)
BIT_LENGTH, TOTAL = tl.constexpr(c.BIT_LENGTH), tl.constexpr(c.TOTAL)
ROUNDER = tl.constexpr(6755399441055744.0)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function on its first call; it may call others of this kind.

    Triton would compile again for numbers that are 1 or multiples of 16: the first run of another
    batch or length would be slow.
    """
    return triton.jit(do_not_specialize=["rows", "steps"])(function)


@kernel
def _as(x, WIDE: tl.constexpr):
    """Convert to 64 bits or to 32."""
    return x.to(tl.int64) if WIDE else x.to(tl.int32)


@kernel
def _bit_length(value, WIDE: tl.constexpr):
    """Count the bits of integers from 0 to 2^62, by the exponent of a float."""
    bits = tl.maximum((value.to(tl.float64).to(tl.int64, bitcast=True) >> 52) - 1022, 0)
    if WIDE:  # beyond 2^53 it may have been rounded up to the next power of two
        bits -= (((value >> tl.maximum(bits - 1, 0)) == 0) & (bits > 0)).to(tl.int64)
    return bits


@kernel
def _leaf(KIND: tl.constexpr, AT: tl.constexpr, WIDE: tl.constexpr, parameters, h, valid):
    """Return a number, or a parameter for the channels h."""
    if KIND == NUMBER:
        value = tl.full((1, 1), AT, tl.int64 if WIDE else tl.int32)
    elif KIND == SCALAR:
        value = tl.load(parameters + AT)
    else:
        value = tl.load(parameters + AT + h, mask=valid, other=0)
    return value


@kernel
def _primitive(x, y, z, KIND: tl.constexpr, WORK: tl.constexpr, table, valid, mask):
    """Compute a primitive, in 64 bits or in 32."""
    a = _as(x, WORK)
    b = _as(y, WORK)
    if KIND == ADD:
        value = a + b
    elif KIND == SUB:
        value = a - b
    elif KIND == MUL:
        value = a * b
    elif KIND == LEFT:
        value = a << b
    elif KIND == RIGHT:
        value = a >> b
    elif KIND == MIN:
        value = tl.minimum(a, b)
    elif KIND == MAX:
        value = tl.maximum(a, b)
    elif KIND == GREATER:
        value = a > b
    elif KIND == SELECT:
        value = tl.where(x != 0, b, _as(z, WORK))
    elif KIND == LOOKUP:  # beyond the channels an index may be anything
        value = tl.load(table + x, mask=mask, other=0)
    elif KIND == BIT_LENGTH:
        value = _bit_length(a, WORK)
    elif KIND == TOTAL:
        value = tl.sum(tl.where(valid, a, 0), axis=1, keep_dims=True)
    else:
        least = -(1 << 62) if WORK else -(1 << 31)
        value = tl.max(tl.where(valid, a, least), axis=1, keep_dims=True)
    return value


@kernel
def _value(values, PLAN: tl.constexpr, AT_VALUE: tl.constexpr, narrow, wide, h, valid, mask):
    """Compute one value of a plan of `chain.Entry`; not an input or a state."""
    KIND: tl.constexpr = PLAN[AT_VALUE][0]
    AT: tl.constexpr = PLAN[AT_VALUE][4]
    WORK: tl.constexpr = PLAN[AT_VALUE][5]
    WIDE: tl.constexpr = PLAN[AT_VALUE][6]
    parameters = wide if WIDE else narrow
    if KIND <= ROW:
        value = _leaf(KIND, AT, WIDE, parameters, h, valid)
    else:
        x, y, z = values[PLAN[AT_VALUE][1]], values[PLAN[AT_VALUE][2]], values[PLAN[AT_VALUE][3]]
        value = _primitive(x, y, z, KIND, WORK, parameters + AT, valid, mask)
    return _as(value, WIDE)


@kernel
def pointwise(
    inputs,
    outputs,
    narrow,
    wide,
    counts,
    rows,
    PLAN: tl.constexpr,
    KEEP: tl.constexpr,
    CLIPS: tl.constexpr,
    H: tl.constexpr,
    BH: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Compute a chain of operations on rows of H channels, in one pass over memory.

    PLAN, KEEP and CLIPS are those of `chain.Chain`.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    h = tl.arange(0, BH)[None, :]
    valid = h < H
    mask = (row < rows) & valid
    at = row * H + h
    values = ()
    for i in tl.static_range(len(PLAN)):
        if PLAN[i][0] == INPUT:
            value = tl.load(inputs[PLAN[i][4]] + at, mask=mask, other=0)
            values += (_as(value, PLAN[i][6]),)
        else:
            values += (_value(values, PLAN, i, narrow, wide, h, valid, mask),)
    for i in tl.static_range(len(CLIPS)):
        changed = ((values[CLIPS[i][0]] != values[CLIPS[i][1]]) & mask).to(tl.int64)
        tl.atomic_add(counts + CLIPS[i][2], tl.sum(tl.sum(changed, axis=1), axis=0))
    for i in tl.static_range(len(outputs)):
        kept = values[KEEP[i]].to(outputs[i].dtype.element_ty)
        tl.store(outputs[i] + at, kept, mask=mask)


@kernel
def scan(
    inputs,
    output,
    states,
    narrow,
    wide,
    counts,
    steps,
    PLAN: tl.constexpr,
    LEAVES: tl.constexpr,
    KEEP: tl.constexpr,
    FOLLOWING: tl.constexpr,
    CLIPS: tl.constexpr,
    H: tl.constexpr,
    BH: tl.constexpr,
):
    """Run an operation with states over time, for one sample and BH channels.

    Inputs and output are (B, T, H), each state (B, H) int64. In PLAN come the leaves, then as many
    inputs and states as there are; FOLLOWING are the next values of the states.
    """
    sample = tl.program_id(0)
    h = tl.program_id(1) * BH + tl.arange(0, BH)[None, :]
    valid = h < H
    fixed = ()
    for i in tl.static_range(LEAVES):
        fixed += (_value((), PLAN, i, narrow, wide, h, valid, valid),)
    kept = ()
    for i in tl.static_range(len(states)):
        before = tl.load(states[i] + sample * H + h, mask=valid, other=0)
        kept += (_as(before, PLAN[LEAVES + len(inputs) + i][6]),)
    changed = ()
    for _ in tl.static_range(len(CLIPS)):
        changed += (tl.zeros((1, BH), tl.int64),)
    row = sample * steps * H
    for _ in range(steps):
        values = fixed
        for i in tl.static_range(len(inputs)):
            x = tl.load(inputs[i] + row + h, mask=valid, other=0)
            values += (_as(x, PLAN[LEAVES + i][6]),)
        values += kept
        for i in tl.static_range(LEAVES + len(inputs) + len(states), len(PLAN)):
            values += (_value(values, PLAN, i, narrow, wide, h, valid, valid),)
        after = ()
        for i in tl.static_range(len(states)):
            state = _as(values[FOLLOWING[i]], PLAN[LEAVES + len(inputs) + i][6])
            after += (tl.broadcast_to(state, (1, BH)),)
        kept = after
        more = ()
        for i in tl.static_range(len(CLIPS)):
            clipped = (values[CLIPS[i][0]] != values[CLIPS[i][1]]) & valid
            more += (changed[i] + clipped.to(tl.int64),)
        changed = more
        tl.store(output + row + h, values[KEEP].to(output.dtype.element_ty), mask=valid)
        row += H
    for i in tl.static_range(len(states)):
        tl.store(states[i] + sample * H + h, kept[i].to(tl.int64), mask=valid)
    for i in tl.static_range(len(CLIPS)):
        tl.atomic_add(counts + CLIPS[i][2], tl.sum(tl.sum(changed[i], axis=1), axis=0))


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
def _saturated(value, LIMIT: tl.constexpr):
    return tl.minimum(tl.maximum(value, -LIMIT), LIMIT - 1)


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
    states_re,
    states_im,
    p,
    nudges,
    direct,
    steps,
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

    u and y are (B, T, H), states (B, H, N) int64; `p` (H, N, 5), `nudges` (2, H) and `direct`
    (4, H), d and its shift in three parts, as in `FloatModes`. S lanes share a channel, each
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
    at_re = states_re + sample.to(tl.int64) * (H * N) + at
    at_im = states_im + sample.to(tl.int64) * (H * N) + at
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
