"""The Gated Spiking Unit after its SSM, in one kernel, with a static threshold and a LayerNorm.

The products are worked out again for the gradient, not kept.
"""

# Triton's language is not Python's.
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

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


def gated_unit(
    y: Tensor, residual: Tensor, threshold: Tensor, weight: Tensor, ternary_weight: Tensor,
    bias: Tensor, norm: nn.LayerNorm, gelu: bool, dropout: float,
) -> Tensor:  # fmt: skip
    """Return ``residual + dropout(GELU(LayerNorm([T_d(y) W + b] * [y T(W)])))``.

    Parameters
    ----------
    y, residual
        (B, H, L), contiguous.
    threshold
        d, a scalar, into which no gradient flows.
    weight, ternary_weight, bias
        W and T(W) (H, H), b (H).
    norm
        Over the channels.
    gelu
        Whether there is a GELU.
    dropout
        Probability.
    """
    return _GatedUnit.apply(
        y, residual, weight, ternary_weight, bias, norm.weight, norm.bias,
        threshold.detach(), gelu, dropout, norm.eps,
    )  # fmt: skip


class _GatedUnit(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, y: Tensor, residual: Tensor, weight: Tensor, ternary_weight: Tensor,
        bias: Tensor, gamma: Tensor, beta: Tensor, threshold: Tensor,
        gelu: bool, dropout: float, eps: float,
    ) -> Tensor:  # fmt: skip
        batch, channels, length = y.shape
        seed = torch.randint(1 << 30, (1,), device=y.device, dtype=torch.int32)
        terms = split(weight.detach())
        ternary = ternary_weight.detach().to(terms.dtype)
        out = torch.empty_like(y)
        ctx.eps = eps
        ctx.constants = gelu, dropout, padded_channels(channels), STEPS
        parameters = threshold, terms, ternary, bias, gamma, beta, seed
        _forward[(triton.cdiv(length, STEPS), batch)](
            y, residual, *parameters, out, channels, length, eps, *ctx.constants,
            len(terms), num_warps=WARPS,
        )  # fmt: skip
        ctx.save_for_backward(y, *parameters)
        return out

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        y, *parameters = ctx.saved_tensors
        batch, channels, length = y.shape
        constants = *ctx.constants, gradient_term_count(y.dtype)
        d_out = d_out.contiguous()
        d_y, d_products = torch.empty_like(y), y.new_empty(batch, 2 * channels, length)
        tiles = triton.cdiv(length, STEPS)
        d_norm = y.new_empty(batch * tiles, 2, channels)
        _backward[(tiles, batch)](
            y, d_out, *parameters, d_y, d_products, d_norm,
            channels, length, ctx.eps, *constants, num_warps=WARPS,
        )  # fmt: skip
        parts = min(PARTS, batch * tiles)
        d_weights = y.new_empty(parts, 2, channels, channels)
        d_bias = y.new_empty(parts, channels)
        _weights[(2, parts)](
            y, d_products, parameters[0], d_weights, d_bias, batch, channels, length,
            *constants[2:], num_warps=WARPS,
        )  # fmt: skip
        d_weight, d_ternary = sum_parts(d_weights)
        d_gamma, d_beta = d_norm.sum(0)
        return (
            d_y, d_out, d_weight, d_ternary, sum_parts(d_bias), d_gamma, d_beta,
            None, None, None, None,
        )  # fmt: skip


@triton.jit
def _spikes(y, threshold):
    """Return the ternary spikes as numbers of the type of y."""
    return (y > threshold).to(y.dtype) - (y < -threshold).to(y.dtype)


@triton.jit
def _products(
    y, threshold, weights, ternary, bias, h, channels, WIDTH: tl.constexpr, STEPS: tl.constexpr,
    TERMS: tl.constexpr,
):  # fmt: skip
    """Return ``T_d(y) W + b`` and ``y T(W)``, (H, STEPS) for y (H, STEPS)."""
    place = h[None, :] * channels + h[:, None]  # transposed
    some = (h < channels)[None, :] & (h < channels)[:, None]
    spikes = _spikes(y, threshold).to(ternary.dtype.element_ty)
    first, second = tl.zeros((WIDTH, STEPS), y.dtype), tl.zeros((WIDTH, STEPS), y.dtype)
    for back in tl.static_range(TERMS):
        term = TERMS - 1 - back
        w = tl.load(weights + term * channels * channels + place, mask=some, other=0.0)
        first = add_dot(first, w, spikes)
    y1, y2, y3 = terms_of(y, TERMS)
    second = add_dots(second, tl.load(ternary + place, mask=some, other=0.0), y1, y2, y3, TERMS)
    first += tl.load(bias + h, mask=h < channels, other=0.0)[:, None]
    return first, second


@triton.jit
def _normalise(product, h, channels, eps):
    """Return the product normalised over the channels, and the reciprocal deviation."""
    centred = product - tl.sum(product, axis=0)[None, :] / channels
    centred = tl.where(h[:, None] < channels, centred, 0.0)
    inverse = 1.0 / tl.sqrt(tl.sum(centred * centred, axis=0) / channels + eps)
    return centred * inverse[None, :], inverse[None, :]


@triton.jit
def _forward(
    y, residual, threshold, weights, ternary, bias, gamma, beta, seed, out, channels, length, eps,
    GELU: tl.constexpr, DROPOUT: tl.constexpr, WIDTH: tl.constexpr, STEPS: tl.constexpr,
    TERMS: tl.constexpr,
):  # fmt: skip
    h = tl.arange(0, WIDTH)
    t = tl.program_id(0) * STEPS + tl.arange(0, STEPS)[None, :]
    valid = (h[:, None] < channels) & (t < length)
    at = (tl.program_id(1).to(tl.int64) * channels + h[:, None]) * length + t
    value = tl.load(y + at, mask=valid, other=0.0)
    first, second = _products(
        value, tl.load(threshold), weights, ternary, bias, h, channels, WIDTH, STEPS, TERMS
    )
    normed, _ = _normalise(first * second, h, channels, eps)
    result = normed * tl.load(gamma + h, mask=h < channels, other=0.0)[:, None]
    result += tl.load(beta + h, mask=h < channels, other=0.0)[:, None]
    if GELU:
        result = result * 0.5 * (1.0 + tl.erf(result * 0.7071067811865476))
    if DROPOUT > 0.0:
        result *= kept(tl.load(seed), at, DROPOUT)
    result += tl.load(residual + at, mask=valid, other=0.0)
    tl.store(out + at, result, mask=valid)


@triton.jit
def _backward(
    y, d_out, threshold, weights, ternary, bias, gamma, beta, seed, d_y, d_products, d_norm,
    channels, length, eps, GELU: tl.constexpr, DROPOUT: tl.constexpr, WIDTH: tl.constexpr,
    STEPS: tl.constexpr, TERMS: tl.constexpr,
):  # fmt: skip
    h = tl.arange(0, WIDTH)
    t = tl.program_id(0) * STEPS + tl.arange(0, STEPS)[None, :]
    valid = (h[:, None] < channels) & (t < length)
    sample = tl.program_id(1).to(tl.int64)
    at = (sample * channels + h[:, None]) * length + t
    value, level = tl.load(y + at, mask=valid, other=0.0), tl.load(threshold)
    first, second = _products(
        value, level, weights, ternary, bias, h, channels, WIDTH, STEPS, TERMS
    )
    normed, inverse = _normalise(first * second, h, channels, eps)
    scale = tl.load(gamma + h, mask=h < channels, other=0.0)[:, None]
    d = tl.load(d_out + at, mask=valid, other=0.0)
    if DROPOUT > 0.0:
        d *= kept(tl.load(seed), at, DROPOUT)
    if GELU:
        z = normed * scale + tl.load(beta + h, mask=h < channels, other=0.0)[:, None]
        bell = tl.exp(-0.5 * z * z) * 0.3989422804014327
        d *= 0.5 * (1.0 + tl.erf(z * 0.7071067811865476)) + z * bell
    place = d_norm + (sample * tl.num_programs(0) + tl.program_id(0)) * 2 * channels + h
    tl.store(place, tl.sum(d * normed, axis=1), mask=h < channels)
    tl.store(place + channels, tl.sum(d, axis=1), mask=h < channels)
    d *= scale
    d -= (tl.sum(d, axis=0) / channels)[None, :] + normed * (tl.sum(d * normed, axis=0) / channels)[
        None, :
    ]
    d = tl.where(valid, d * inverse, 0.0)
    d_first, d_second = d * second, d * first
    twice = (sample * 2 * channels + h[:, None]) * length + t
    tl.store(d_products + twice, d_first, mask=valid)
    tl.store(d_products + twice + channels * length, d_second, mask=valid)

    place = h[:, None] * channels + h[None, :]
    some = (h < channels)[None, :] & (h < channels)[:, None]
    d1, d2, d3 = terms_of(d_first, TERMS)
    d_spikes = tl.zeros((WIDTH, STEPS), value.dtype)
    for back in tl.static_range(TERMS):
        term = TERMS - 1 - back
        w = tl.load(weights + term * channels * channels + place, mask=some, other=0.0)
        d_spikes = add_dots(d_spikes, w, d1, d2, d3, back + 1)
    above = SLOPE_CONSTANT * tl.abs(value - level) + 1.0
    below = SLOPE_CONSTANT * tl.abs(value + level) + 1.0
    d_value = d_spikes * (1.0 / (above * above) + 1.0 / (below * below))
    d1, d2, d3 = terms_of(d_second, TERMS)
    w = tl.load(ternary + place, mask=some, other=0.0)
    d_value = add_dots(d_value, w, d1, d2, d3, TERMS)
    tl.store(d_y + at, d_value, mask=valid)


@triton.jit
def _weights(
    y, d_products, threshold, d_weights, d_bias, batch, channels, length,
    WIDTH: tl.constexpr, STEPS: tl.constexpr, TERMS: tl.constexpr,
):  # fmt: skip
    """Sum the gradient of W and b, or that of T(W), over a part of the batch."""
    half, part = tl.program_id(0), tl.program_id(1)
    h = tl.arange(0, WIDTH)
    kind = y.dtype.element_ty
    total, shift = tl.zeros((WIDTH, WIDTH), kind), tl.zeros((WIDTH,), kind)
    level = tl.load(threshold)
    tiles = tl.cdiv(length, STEPS)
    for tile in range(part, batch * tiles, tl.num_programs(1)):
        sample = (tile // tiles).to(tl.int64)
        t = (tile % tiles) * STEPS + tl.arange(0, STEPS)
        row = sample * channels + h
        valid = (h < channels)[:, None] & (t < length)[None, :]
        at = row[:, None] * length + t[None, :]
        value = tl.load(y + at, mask=valid, other=0.0)
        at += (sample + half) * channels * length
        d = tl.load(d_products + at, mask=valid, other=0.0)
        shift += tl.sum(d, axis=1)
        if half == 0:  # spikes are one term, the other two zero
            value = _spikes(value, level)
        v1, v2, v3 = terms_of(value, TERMS)
        d1, d2, d3 = terms_of(tl.trans(d), TERMS)
        total = add_dots(total, v1, d1, d2, d3, TERMS)
        if half == 1:
            if TERMS > 1:
                total = add_dots(total, v2, d1, d2, d3, TERMS - 1)
            if TERMS > 2:
                total = add_dot(total, v3, d1)
    place = ((part * 2 + half) * channels + h[:, None]) * channels + h[None, :]
    some = (h < channels)[:, None] & (h < channels)[None, :]
    tl.store(d_weights + place, total, mask=some)
    if half == 0:
        tl.store(d_bias + part * channels + h, shift, mask=h < channels)
