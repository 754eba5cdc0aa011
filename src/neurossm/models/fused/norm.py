"""BatchNorm in two halves: statistics of a batch, and the gradient of what was normalised.

The normalising itself happens where the values are read (`scan`), or else in `batch_norm`.
"""

# Triton's language is not Python's.
# mypy: ignore-errors

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

BLOCK = 1024
PARTS = 16
"""Parts of a batch whose sums are formed side by side."""


class Statistics(NamedTuple):
    """Of a batch's valid steps.

    Attributes
    ----------
    mean, inverse_deviation
        Mean and reciprocal standard deviation of each channel, (H).
    lengths, count
        Valid steps of each sequence (B), the first ones; and of all, float64.
    """

    mean: Tensor
    inverse_deviation: Tensor
    lengths: Tensor
    count: Tensor


def statistics(x: Tensor, norm: nn.BatchNorm1d, lengths: Tensor) -> Statistics:
    """Return the statistics of a batch (B, H, L) and let the norm's running ones follow.

    They count the first steps of each sequence, as many as `lengths` (B) says.
    Sums are formed in float64: no cancellation is felt where the mean is large.
    """
    batch, channels, length = x.shape
    parts = min(batch, PARTS)
    sums = x.new_empty(parts, 2, channels, dtype=torch.float64)
    count = lengths.sum().double()
    found = Statistics(x.new_empty(channels), x.new_empty(channels), lengths, count)
    _sums[(channels, parts)](x, lengths, sums, batch, channels, length, parts, BLOCK, num_warps=4)
    _conclude[(triton.cdiv(channels, 16),)](
        sums, *found[:2], norm.running_mean, norm.running_var, norm.num_batches_tracked, count,
        parts, channels, norm.eps, norm.momentum, 64, 16, num_warps=4,
    )  # fmt: skip
    return found


def batch_norm(x: Tensor, norm: nn.BatchNorm1d, lengths: Tensor) -> Tensor:
    """Return a norm's output for a batch (B, H, L), and let its running statistics follow.

    See `statistics`; x is contiguous.
    """
    found = statistics(x.detach(), norm, lengths)
    result: Tensor = _BatchNorm.apply(x, norm.weight, norm.bias, found)
    return result


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gamma: Tensor, beta: Tensor, found: Statistics) -> Tensor:
        batch, channels, length = x.shape
        out = torch.empty_like(x)
        _normalise[(batch * channels, triton.cdiv(length, BLOCK))](
            x, *found[:2], gamma, beta, out, channels, length, BLOCK, num_warps=4
        )
        ctx.save_for_backward(x, gamma)
        ctx.found = found
        return out

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        x, gamma = ctx.saved_tensors
        batch, channels, length = x.shape
        d_out = d_out.contiguous()
        parts = min(batch, PARTS)
        sums = x.new_empty(channels, parts, 2)
        _gradient_sums[(channels, parts)](
            x, d_out, *ctx.found[:2], sums, batch, channels, length, parts, BLOCK, num_warps=4
        )
        return *input_gradient(x, d_out, None, ctx.found, gamma, sums), None


def input_gradient(
    x: Tensor, d_normed: Tensor, d_residual: Tensor | None, found: Statistics, gamma: Tensor,
    sums: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the gradients of x, gamma and beta.

    Parameters
    ----------
    x, d_normed, d_residual
        What was normalised, the gradient of its normalised form, and one that is added to that of
        x, if there is one; each (B, H, L).
    found, gamma
        The statistics, and the scale (H).
    sums
        (H, parts, 2): sums of `d_normed`, and of its product with the normalised x before scale
        and shift.
    """
    batch, channels, length = x.shape
    d_x, d_gamma, d_beta = torch.empty_like(x), torch.empty_like(gamma), torch.empty_like(gamma)
    _input_gradient[(batch * channels, triton.cdiv(length, BLOCK))](
        x, d_normed, d_residual, *found, gamma, sums, d_x, d_gamma, d_beta,
        channels, length, sums.shape[1], d_residual is not None, BLOCK, num_warps=4,
    )  # fmt: skip
    return d_x, d_gamma, d_beta


@triton.jit
def _sums(x, lengths, sums, batch, channels, length, parts, BLOCK: tl.constexpr):
    channel, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    offsets = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float64)
    squares = tl.zeros((BLOCK,), tl.float64)
    for row in range(part, batch, parts):
        base = x + (row * channels + channel) * length
        steps = tl.load(lengths + row)
        for start in range(0, steps, BLOCK):
            t = start + offsets
            value = tl.load(base + t, mask=t < steps, other=0.0).to(tl.float64)
            total += value
            squares += value * value
    place = sums + part * 2 * channels + channel
    tl.store(place, tl.sum(total))
    tl.store(place + channels, tl.sum(squares))


@triton.jit
def _conclude(
    sums, mean, inverse_deviation, running_mean, running_var, tracked, steps,
    parts, channels, eps, momentum, PARTS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    channel = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    some = channel < channels
    total = tl.zeros((WIDTH,), tl.float64)
    squares = tl.zeros((WIDTH,), tl.float64)
    for start in range(0, parts, PARTS):
        part = start + tl.arange(0, PARTS)[:, None]
        place = sums + part * 2 * channels + channel[None, :]
        mask = (part < parts) & some[None, :]
        total += tl.sum(tl.load(place, mask=mask, other=0.0), axis=0)
        squares += tl.sum(tl.load(place + channels, mask=mask, other=0.0), axis=0)
    count = tl.load(steps)
    average = total / count
    variance = tl.maximum(squares / count - average * average, 0.0)
    tl.store(mean + channel, average.to(mean.dtype.element_ty), mask=some)
    inverse = 1.0 / tl.sqrt(variance + eps)
    tl.store(inverse_deviation + channel, inverse.to(mean.dtype.element_ty), mask=some)

    unbiased = variance * (count / tl.maximum(count - 1.0, 1.0))
    old = tl.load(running_mean + channel, mask=some, other=0.0).to(tl.float64)
    new = old + momentum * (average - old)
    tl.store(running_mean + channel, new.to(running_mean.dtype.element_ty), mask=some)
    old = tl.load(running_var + channel, mask=some, other=0.0).to(tl.float64)
    new = old + momentum * (unbiased - old)
    tl.store(running_var + channel, new.to(running_var.dtype.element_ty), mask=some)
    if tl.program_id(0) == 0:
        tl.store(tracked, tl.load(tracked) + 1)


@triton.jit
def _normalise(
    x, mean, inverse_deviation, gamma, beta, out, channels, length, BLOCK: tl.constexpr
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    channel = row % channels
    t = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    at, some = row * length + t, t < length
    value = tl.load(x + at, mask=some, other=0.0) - tl.load(mean + channel)
    value *= tl.load(inverse_deviation + channel)
    value = value * tl.load(gamma + channel) + tl.load(beta + channel)
    tl.store(out + at, value, mask=some)


@triton.jit
def _gradient_sums(
    x, d_out, mean, inverse_deviation, sums, batch, channels, length, parts, BLOCK: tl.constexpr
):  # fmt: skip
    channel, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    average, inverse = tl.load(mean + channel), tl.load(inverse_deviation + channel)
    shift = tl.zeros((BLOCK,), average.dtype)
    scale = tl.zeros((BLOCK,), average.dtype)
    for row in range(part, batch, parts):
        base = (row * channels + channel) * length
        for start in range(0, length, BLOCK):
            t = start + tl.arange(0, BLOCK)
            d = tl.load(d_out + base + t, mask=t < length, other=0.0)
            shift += d
            scale += d * (tl.load(x + base + t, mask=t < length, other=0.0) - average) * inverse
    place = sums + (channel * parts + part) * 2
    tl.store(place, tl.sum(shift))
    tl.store(place + 1, tl.sum(scale))


@triton.jit
def _input_gradient(
    x, d_normed, d_residual, mean, inverse_deviation, lengths, steps, gamma, sums,
    d_x, d_gamma, d_beta, channels, length, parts, RESIDUAL: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    channel = row % channels
    first = sums + channel * parts * 2
    d_shift, d_scale = tl.load(first), tl.load(first + 1)
    for part in range(1, parts):
        d_shift += tl.load(first + 2 * part)
        d_scale += tl.load(first + 2 * part + 1)
    if (row < channels) & (tl.program_id(1) == 0):
        tl.store(d_beta + channel, d_shift)
        tl.store(d_gamma + channel, d_scale)
    inverse = tl.load(inverse_deviation + channel)
    average = tl.load(mean + channel)
    t = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    at, some = row * length + t, t < length
    centred = (tl.load(x + at, mask=some, other=0.0) - average) * inverse
    slope = tl.load(d_normed + at, mask=some, other=0.0)
    count = tl.load(steps).to(inverse.dtype)
    through = d_shift / count + centred * (d_scale / count)  # mean and deviation
    counted = t < tl.load(lengths + row // channels)
    slope = (slope - tl.where(counted, through, 0.0)) * inverse
    slope = slope * tl.load(gamma + channel)
    if RESIDUAL:
        slope += tl.load(d_residual + at, mask=some, other=0.0)
    tl.store(d_x + at, slope, mask=some)
