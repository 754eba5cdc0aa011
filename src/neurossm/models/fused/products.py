"""Matrix products as exact as float32's, of bfloat16 terms, which GPUs multiply fastest.

A float32 number is the sum of three bfloat16 numbers. A product with spikes or ternary weights,
which bfloat16 holds, takes three products of bfloat16; one of two float32 matrices six, whose sum
leaves out only what float32 would round away. Gradients take two terms, which keep 16 bits: two
products or three. Other types (float64) are one term, themselves.
"""

# Triton's language is not Python's.
# mypy: ignore-errors

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


def term_count(dtype: torch.dtype) -> int:
    """Return how many terms a number of this type is taken apart into."""
    return 3 if dtype == torch.float32 else 1


def gradient_term_count(dtype: torch.dtype) -> int:
    """Return how many terms a number of this type is taken apart into for gradients."""
    return 2 if dtype == torch.float32 else 1


def split(matrix: Tensor) -> Tensor:
    """Return the terms of a matrix along a new first axis."""
    if term_count(matrix.dtype) == 1:
        return matrix.unsqueeze(0)
    terms = matrix.new_empty(3, *matrix.shape, dtype=torch.bfloat16)
    grid = (triton.cdiv(matrix.numel(), 1024),)
    _split[grid](matrix, terms, matrix.numel(), 1024, num_warps=4)
    return terms


def sum_parts(parts: Tensor) -> Tensor:
    """Return the sum over the first axis."""
    total = parts.new_empty(parts.shape[1:])
    grid = (triton.cdiv(total.numel(), 64),)
    _sum_parts[grid](parts, total, len(parts), total.numel(), 64, 64, num_warps=4)
    return total


def padded_channels(channels: int) -> int:
    """Return the least power of two that holds the channels and suits a matrix product."""
    return max(16, 1 << (channels - 1).bit_length())


@triton.jit
def _split(matrix, terms, size, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    first, second, third = terms_of(tl.load(matrix + at, mask=at < size), 3)
    tl.store(terms + at, first, mask=at < size)
    tl.store(terms + size + at, second, mask=at < size)
    tl.store(terms + 2 * size + at, third, mask=at < size)


@triton.jit
def _sum_parts(parts, total, count, size, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.zeros((BLOCK,), total.dtype.element_ty)
    for start in range(0, count, ROWS):
        row = start + tl.arange(0, ROWS)[:, None]
        some = (row < count) & (at < size)[None, :]
        value += tl.sum(tl.load(parts + row * size + at[None, :], mask=some, other=0.0), axis=0)
    tl.store(total + at, value, mask=at < size)


@triton.jit
def terms_of(x, TERMS: tl.constexpr):
    """Return up to three terms, the last one repeated; one term is the number itself."""
    first, second, third = x, x, x
    if TERMS > 1:
        first = x.to(tl.bfloat16)
        rest = x - first.to(tl.float32)
        second = rest.to(tl.bfloat16)
        third = second
        if TERMS > 2:
            third = (rest - second.to(tl.float32)).to(tl.bfloat16)
    return first, second, third


@triton.jit
def add_dot(total, a, b):
    """Add the product of two matrices of terms."""
    return tl.dot(a, b, total, input_precision="ieee", out_dtype=total.dtype)


@triton.jit
def add_dots(total, a, first, second, third, COUNT: tl.constexpr):
    """Add the products of a matrix with the first few terms of another, the least first."""
    if COUNT > 2:
        total = add_dot(total, a, third)
    if COUNT > 1:
        total = add_dot(total, a, second)
    return add_dot(total, a, first)


@triton.jit
def add_product(total, a1, a2, a3, b1, b2, b3, TERMS: tl.constexpr):
    """Add the product of two matrices of numbers, each given by its terms, the least first."""
    if TERMS > 2:
        total = add_dot(total, a3, b1)
    if TERMS > 1:
        total = add_dots(total, a2, b1, b2, b2, TERMS - 1)
    return add_dots(total, a1, b1, b2, b3, TERMS)


@triton.jit
def kept(seed, at, PROBABILITY: tl.constexpr):
    """Return 0 where dropout drops, else the factor that makes up for it.

    Random bits by PCG's output function as a hash (Jarzynski & Olano 2020).
    """
    bits = _hash(at.to(tl.uint32) + _hash(seed.to(tl.uint32)))
    factor = 1.0 / (1.0 - PROBABILITY)
    return tl.where((bits >> 8).to(tl.float32) >= PROBABILITY * 16777216.0, factor, 0.0)


@triton.jit
def _hash(value):
    value = value * 747796405 + 2891336453
    value = ((value >> ((value >> 28) + 4)) ^ value) * 277803737
    return (value >> 22) ^ value
