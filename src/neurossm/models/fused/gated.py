"""Binary S4D after its SSM, in one kernel: spikes, dense layer, gated linear unit, dropout, sum.

The values before the gated linear unit are worked out again for the gradient, not kept.
"""

# Triton's language is not Python's.
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from neurossm.models.fused.products import (
    add_dot,
    add_dots,
    gradient_term_count,
    kept,
    padded_channels,
    split,
    sum_parts,
    terms_of,
)
from neurossm.models.surrogate import SLOPE

SLOPE_CONSTANT = tl.constexpr(SLOPE)
STEPS = 64
"""Time steps of one tile."""
WARPS = 8
PARTS = 64
"""Parts of a batch whose weight gradients are formed side by side."""


def gated_spikes(
    y: Tensor, residual: Tensor, weight: Tensor, bias: Tensor, dropout: float
) -> Tensor:
    """Return ``residual + dropout(GLU(W H(y) + b))`` with the surrogate gradient of the spikes.

    Parameters
    ----------
    y, residual
        (B, H, L), contiguous.
    weight, bias
        (2H, H) and (2H).
    dropout
        Probability.
    """
    return _GatedSpikes.apply(y, residual, weight, bias, dropout)


class _GatedSpikes(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, y: Tensor, residual: Tensor, weight: Tensor, bias: Tensor, dropout: float
    ) -> Tensor:
        batch, channels, length = y.shape
        seed = torch.randint(1 << 30, (1,), device=y.device, dtype=torch.int32)
        terms = split(weight.detach())
        out = torch.empty_like(y)
        ctx.constants = dropout, padded_channels(channels), STEPS
        _forward[(triton.cdiv(length, STEPS), batch)](
            y, residual, terms, bias, seed, out, channels, length, *ctx.constants, len(terms),
            num_warps=WARPS,
        )  # fmt: skip
        ctx.save_for_backward(y, terms, bias, seed)
        return out

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        y, terms, bias, seed = ctx.saved_tensors
        batch, channels, length = y.shape
        constants = *ctx.constants, gradient_term_count(y.dtype)
        d_out = d_out.contiguous()
        d_y, d_mixed = torch.empty_like(y), y.new_empty(batch, 2 * channels, length)
        _backward[(triton.cdiv(length, STEPS), batch)](
            y, d_out, terms, bias, seed, d_y, d_mixed,
            channels, length, *constants, num_warps=WARPS,
        )  # fmt: skip
        parts = min(PARTS, batch * triton.cdiv(length, STEPS))
        d_weight = y.new_empty(parts, 2 * channels, channels)
        d_bias = y.new_empty(parts, 2 * channels)
        _weights[(2, parts)](
            y, d_mixed, d_weight, d_bias, batch, channels, length,
            *constants[1:], num_warps=WARPS,
        )  # fmt: skip
        return d_y, d_out, sum_parts(d_weight), sum_parts(d_bias), None


@triton.jit
def _values_and_gates(
    spikes, weights, bias, o, h, channels, WIDTH: tl.constexpr, STEPS: tl.constexpr,
    TERMS: tl.constexpr,
):  # fmt: skip
    """Return both halves of ``W spikes + b``, (H, STEPS)."""
    kind = bias.dtype.element_ty
    value, gate = tl.zeros((WIDTH, STEPS), kind), tl.zeros((WIDTH, STEPS), kind)
    place = weights + o[:, None] * channels + h[None, :]
    some = (o < channels)[:, None] & (h < channels)[None, :]
    half = channels * channels
    for term in tl.static_range(TERMS):
        upper = tl.load(place + term * 2 * half, mask=some, other=0.0)
        lower = tl.load(place + term * 2 * half + half, mask=some, other=0.0)
        value = add_dot(value, upper, spikes)
        gate = add_dot(gate, lower, spikes)
    value += tl.load(bias + o, mask=o < channels, other=0.0)[:, None]
    gate += tl.load(bias + channels + o, mask=o < channels, other=0.0)[:, None]
    return value, gate


@triton.jit
def _forward(
    y, residual, weights, bias, seed, out, channels, length,
    DROPOUT: tl.constexpr, WIDTH: tl.constexpr, STEPS: tl.constexpr, TERMS: tl.constexpr,
):  # fmt: skip
    h = tl.arange(0, WIDTH)
    t = tl.program_id(0) * STEPS + tl.arange(0, STEPS)[None, :]
    valid = (h[:, None] < channels) & (t < length)
    at = (tl.program_id(1).to(tl.int64) * channels + h[:, None]) * length + t
    spikes = (tl.load(y + at, mask=valid, other=0.0) > 0.0).to(weights.dtype.element_ty)
    value, gate = _values_and_gates(spikes, weights, bias, h, h, channels, WIDTH, STEPS, TERMS)
    result = value * tl.sigmoid(gate)
    if DROPOUT > 0.0:
        result *= kept(tl.load(seed), at, DROPOUT)
    result += tl.load(residual + at, mask=valid, other=0.0)
    tl.store(out + at, result, mask=valid)


@triton.jit
def _backward(
    y, d_out, weights, bias, seed, d_y, d_mixed, channels, length,
    DROPOUT: tl.constexpr, WIDTH: tl.constexpr, STEPS: tl.constexpr, TERMS: tl.constexpr,
):  # fmt: skip
    h = tl.arange(0, WIDTH)
    t = tl.program_id(0) * STEPS + tl.arange(0, STEPS)[None, :]
    valid = (h[:, None] < channels) & (t < length)
    sample = tl.program_id(1).to(tl.int64)
    at = (sample * channels + h[:, None]) * length + t
    membrane = tl.load(y + at, mask=valid, other=0.0)
    spikes = (membrane > 0.0).to(weights.dtype.element_ty)
    value, gate = _values_and_gates(spikes, weights, bias, h, h, channels, WIDTH, STEPS, TERMS)
    d_value = tl.load(d_out + at, mask=valid, other=0.0)
    if DROPOUT > 0.0:
        d_value *= kept(tl.load(seed), at, DROPOUT)
    opening = tl.sigmoid(gate)
    d_gate = d_value * value * opening * (1.0 - opening)
    d_value = d_value * opening
    twice = (sample * 2 * channels + h[:, None]) * length + t
    tl.store(d_mixed + twice, d_value, mask=valid)
    tl.store(d_mixed + twice + channels * length, d_gate, mask=valid)

    v1, v2, v3 = terms_of(d_value, TERMS)
    g1, g2, g3 = terms_of(d_gate, TERMS)
    d_spikes = tl.zeros((WIDTH, STEPS), y.dtype.element_ty)
    place = weights + h[None, :] * channels + h[:, None]  # transposed
    some = (h < channels)[None, :] & (h < channels)[:, None]
    half = channels * channels
    for back in tl.static_range(TERMS):
        term = TERMS - 1 - back
        upper = tl.load(place + term * 2 * half, mask=some, other=0.0)
        lower = tl.load(place + term * 2 * half + half, mask=some, other=0.0)
        d_spikes = add_dots(d_spikes, upper, v1, v2, v3, back + 1)
        d_spikes = add_dots(d_spikes, lower, g1, g2, g3, back + 1)
    slope = SLOPE_CONSTANT * tl.abs(membrane) + 1.0
    tl.store(d_y + at, d_spikes / (slope * slope), mask=valid)


@triton.jit
def _weights(
    y, d_mixed, d_weight, d_bias, batch, channels, length,
    WIDTH: tl.constexpr, STEPS: tl.constexpr, TERMS: tl.constexpr,
):  # fmt: skip
    """Sum the gradient of one half of W and b over a part of the batch."""
    half, part = tl.program_id(0), tl.program_id(1)
    h = tl.arange(0, WIDTH)
    kind = y.dtype.element_ty
    total, shift = tl.zeros((WIDTH, WIDTH), kind), tl.zeros((WIDTH,), kind)
    tiles = tl.cdiv(length, STEPS)
    for tile in range(part, batch * tiles, tl.num_programs(1)):
        sample = (tile // tiles).to(tl.int64)
        t = (tile % tiles) * STEPS + tl.arange(0, STEPS)
        row = sample * channels + h
        valid = (h < channels)[:, None] & (t < length)[None, :]
        at = row[:, None] * length + t[None, :]
        membrane = tl.load(y + at, mask=valid, other=0.0)
        at += (sample + half) * channels * length
        d = tl.load(d_mixed + at, mask=valid, other=0.0)
        shift += tl.sum(d, axis=1)
        d1, d2, d3 = terms_of(d, TERMS)
        spikes = tl.trans((membrane > 0.0).to(d1.dtype))
        if TERMS > 2:
            total = add_dot(total, d3, spikes)
        if TERMS > 1:
            total = add_dot(total, d2, spikes)
        total = add_dot(total, d1, spikes)
    o = half * channels + h
    place = (part * 2 * channels + o[:, None]) * channels + h[None, :]
    some = (h < channels)[:, None] & (h < channels)[None, :]
    tl.store(d_weight + place, total, mask=some)
    tl.store(d_bias + part * 2 * channels + o, shift, mask=h < channels)
