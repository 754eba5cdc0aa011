"""Triton kernels: one pass over memory for each operation, and the recurrence of an SSM.

Integers are stored as narrowly as their bounds allow and computed in 64 bits; only the recurrence
is computed in 64-bit floats where these are exact, which GPUs multiply faster.

Parameters in capitals are constants, for which Triton compiles a kernel of its own. The constant
6755399441055744 is 1.5 times 2^52: added to a float below 2^51 and taken off again, it rounds it to
an integer. Triton would look into annotations of types, so that there are none.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import triton
import triton.language as tl


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function on its first call; it may call others of this kind.

    Triton would compile again for numbers that are 1 or multiples of 16: the first run of another
    batch or length would be slow.
    """
    return triton.jit(do_not_specialize=["steps", "samples"])(function)


@kernel
def _shifted(p, half, right, left):
    return ((p + half) >> right) << left


@kernel
def _finish(
    value,
    out,
    at,
    mask,
    ends,
    count,
    CLIP: tl.constexpr,
):
    """Saturate and count where asked for, and store."""
    if CLIP:
        clipped = tl.minimum(tl.maximum(value, tl.load(ends)), tl.load(ends + 1))
        changed = ((clipped != value) & mask).to(tl.int64)
        tl.atomic_add(count, tl.sum(changed, axis=0))
        value = clipped
    tl.store(out + at, value.to(out.dtype.element_ty), mask=mask)


@kernel
def affine(
    x,
    out,
    fields,
    size,
    ends,
    count,
    H: tl.constexpr,
    CLIP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Compute an Affine; fields (5, H) are gain, the shift in three parts, offset."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < size
    h = at % H
    value = tl.load(x + at, mask=mask, other=0).to(tl.int64) * tl.load(fields + h)
    half, right = tl.load(fields + H + h), tl.load(fields + 2 * H + h)
    value = _shifted(value, half, right, tl.load(fields + 3 * H + h)) + tl.load(fields + 4 * H + h)
    _finish(value, out, at, mask, ends, count, CLIP)


@kernel
def threshold(
    x,
    out,
    limits,
    size,
    H: tl.constexpr,
    TERNARY: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Compute 1 above the limit and, if TERNARY, -1 below its negative."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < size
    value = tl.load(x + at, mask=mask, other=0).to(tl.int64)
    limit = tl.load(limits + at % H)
    spikes = (value > limit).to(tl.int32)
    if TERNARY:
        spikes -= (value < -limit).to(tl.int32)
    tl.store(out + at, spikes.to(out.dtype.element_ty), mask=mask)


@kernel
def table(
    x,
    out,
    base,
    slope,
    head,
    size,
    ends,
    count,
    S: tl.constexpr,
    CLIP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Interpolate; `head` is origin, width, and the slope's shift in three parts."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < size
    origin, width = tl.load(head), tl.load(head + 1)
    moved = tl.load(x + at, mask=mask, other=0).to(tl.int64) - origin
    segment = tl.minimum(tl.maximum(moved >> width, 0), S - 1)
    moved = moved - (segment << width)
    product = tl.load(slope + segment) * moved
    half, right, left = tl.load(head + 2), tl.load(head + 3), tl.load(head + 4)
    value = tl.load(base + segment) + _shifted(product, half, right, left)
    _finish(value, out, at, mask, ends, count, CLIP)


@kernel
def product(
    x,
    y,
    out,
    fields,
    size,
    ends,
    count,
    H: tl.constexpr,
    CLIP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Compute `sat(rshift(x y, shift))`; fields (3, H) are the shift's."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < size
    h = at % H
    value = tl.load(x + at, mask=mask, other=0).to(tl.int64)
    value = value * tl.load(y + at, mask=mask, other=0).to(tl.int64)
    half, right = tl.load(fields + h), tl.load(fields + H + h)
    value = _shifted(value, half, right, tl.load(fields + 2 * H + h))
    _finish(value, out, at, mask, ends, count, CLIP)


@kernel
def add(
    x,
    y,
    out,
    size,
    ends,
    count,
    CLIP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Compute `sat(x + y)`."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < size
    value = tl.load(x + at, mask=mask, other=0).to(tl.int64)
    value += tl.load(y + at, mask=mask, other=0).to(tl.int64)
    _finish(value, out, at, mask, ends, count, CLIP)


@kernel
def recur(
    u,
    y,
    states,
    p,
    direct,
    steps,
    state_ends,
    state_count,
    ends,
    count,
    samples,
    H: tl.constexpr,
    N: tl.constexpr,
    CLIP_STATES: tl.constexpr,
    CLIP: tl.constexpr,
    BH: tl.constexpr,
    BN: tl.constexpr,
):
    """Run an SSM over time, for one sample and BH channels, in 64-bit floats.

    u and y are (B, T, H), states (2, B, N, H) int64, `p` (7, N, H) as in `ModeParameters`,
    `direct` (4, H): d and its shift in three parts.
    """
    sample = tl.program_id(0)
    h = tl.program_id(1) * BH + tl.arange(0, BH)
    n = tl.arange(0, BN)
    in_h = h < H
    # Channels side by side: each thread holds several modes of one channel and adds them alone.
    mask = in_h[None, :] & (n < N)[:, None]
    at = n[:, None] * H + h[None, :]  # (BN, BH)
    a_re = tl.load(p + at, mask=mask, other=0.0)
    a_im = tl.load(p + H * N + at, mask=mask, other=0.0)
    gain = tl.load(p + 2 * H * N + at, mask=mask, other=0.0)
    nudge = tl.load(p + 3 * H * N + at, mask=mask, other=0.0)
    c_re = tl.load(p + 4 * H * N + at, mask=mask, other=0.0)
    c_im = tl.load(p + 5 * H * N + at, mask=mask, other=0.0)
    nudge_out = tl.load(p + 6 * H * N + at, mask=mask, other=0.0)
    d = tl.load(direct + h, mask=in_h, other=0)
    half = tl.load(direct + H + h, mask=in_h, other=0)
    right = tl.load(direct + 2 * H + h, mask=in_h, other=0)
    left = tl.load(direct + 3 * H + h, mask=in_h, other=0)
    at_re = states + sample * H * N + at
    at_im = at_re + samples * H * N
    re = tl.load(at_re, mask=mask, other=0).to(tl.float64)
    im = tl.load(at_im, mask=mask, other=0).to(tl.float64)
    low, high = tl.load(ends), tl.load(ends + 1)
    state_low = tl.load(state_ends).to(tl.float64)
    state_high = tl.load(state_ends + 1).to(tl.float64)
    clipped = tl.zeros((BN, BH), dtype=tl.int64)
    clipped_out = tl.zeros((BH,), dtype=tl.int64)
    row = sample * steps * H + h
    now = tl.load(u + row, mask=in_h, other=0).to(tl.int64)
    for t in range(steps):
        # The next input is on its way while this step is computed.
        following = tl.load(u + row + H, mask=in_h & (t + 1 < steps), other=0).to(tl.int64)
        kick = now.to(tl.float64)[None, :] * gain + nudge
        new_re = (a_re * re + kick) - a_im * im
        new_im = a_re * im + (a_im * re + nudge)
        re = (new_re + 6755399441055744.0) - 6755399441055744.0
        im = (new_im + 6755399441055744.0) - 6755399441055744.0
        if CLIP_STATES:
            kept_re = tl.minimum(tl.maximum(re, state_low), state_high)
            kept_im = tl.minimum(tl.maximum(im, state_low), state_high)
            clipped += (kept_re != re).to(tl.int64) + (kept_im != im).to(tl.int64)
            re, im = kept_re, kept_im
        out = (c_re * re + nudge_out) - c_im * im
        out = (out + 6755399441055744.0) - 6755399441055744.0
        total = tl.sum(out, axis=0).to(tl.int64) + _shifted(d * now, half, right, left)
        if CLIP:
            kept = tl.minimum(tl.maximum(total, low), high)
            clipped_out += ((kept != total) & in_h).to(tl.int64)
            total = kept
        tl.store(y + row, total.to(y.dtype.element_ty), mask=in_h)
        now = following
        row += H
    tl.store(at_re, re.to(tl.int64), mask=mask)
    tl.store(at_im, im.to(tl.int64), mask=mask)
    if CLIP_STATES:
        tl.atomic_add(state_count, tl.sum(tl.sum(clipped, axis=1), axis=0))
    if CLIP:
        tl.atomic_add(count, tl.sum(clipped_out, axis=0))
