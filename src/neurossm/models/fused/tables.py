"""Tables of the chunked convolution and their gradients, each made in one kernel, in float64.

A chunk has P steps. Each channel needs, for its modes n and the steps i, j of a chunk::

    inward    A_n^(P-1-j)                 what input j adds to the state after the chunk
    outward   2 w_n A_n^(i+1)             what the state before the chunk adds to output i
    response  2 Re sum_n w_n A_n^i        the impulse response, with D added at i = 0
    carry     A_n^P                       what is left of the state after a chunk

with ``A = A_bar`` and ``w = B_bar C``.
"""

# Triton's language is not Python's.
# mypy: ignore-errors

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

WARPS = 4


class Tables(NamedTuple):
    """Tables of one layer, or gradients of several parts of a batch.

    Real and imaginary parts take turns along the axis of the modes, which are padded to N'; the
    imaginary ones of ``outward``, of whose product with a state the real part counts, are negated.

    Attributes
    ----------
    inward, outward, carry
        (H, P, 2 N'), (H, 2 N', P) and (H, 2 N'). Gradients are (H, parts, ...), that of
        ``outward`` transposed: (H, parts, P, 2 N').
    response
        (H, 2 P): P zeros, then lags 0 to P - 1. Its gradient is that of the matrix which holds it
        along its diagonals, entry (j, i) at lag i - j: (H, parts, P, P).
    """

    inward: Tensor
    outward: Tensor
    carry: Tensor
    response: Tensor


def tabulate(a_bar: Tensor, weight: Tensor, direct: Tensor, chunk: int, like: Tensor) -> Tables:
    """Return the tables, in the type of `like`.

    Parameters
    ----------
    a_bar, weight
        Complex128 (H, N).
    direct
        D, (H).
    chunk
        P, a power of two.
    like
        A tensor of the type and on the device that the tables shall have.
    """
    channels, modes = a_bar.shape
    padded = padded_modes(modes)
    tables = Tables(
        like.new_empty(channels, chunk, 2 * padded),
        like.new_empty(channels, 2 * padded, chunk),
        like.new_empty(channels, 2 * padded),
        like.new_empty(channels, 2 * chunk),
    )
    poles, weights = torch.view_as_real(a_bar), torch.view_as_real(weight)
    bits = chunk.bit_length() - 1
    _tabulate[(channels,)](
        poles, weights, direct, *tables, modes, chunk, padded, bits, num_warps=WARPS
    )
    return tables


def gather(a_bar: Tensor, weight: Tensor, gradients: Tables) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of A_bar, w and D (float64), given those of the tables."""
    channels, modes = a_bar.shape
    parts, chunk, doubled = gradients.inward.shape[1:]
    padded = doubled // 2
    poles, weights = torch.view_as_real(a_bar), torch.view_as_real(weight)
    d_poles, d_weights = torch.empty_like(poles), torch.empty_like(weights)
    d_direct = poles.new_empty(channels)
    bits = chunk.bit_length() - 1
    _gather[(channels,)](
        poles, weights, *gradients, d_poles, d_weights, d_direct, modes, parts,
        chunk, padded, bits, num_warps=WARPS,
    )  # fmt: skip
    return torch.view_as_complex(d_poles), torch.view_as_complex(d_weights), d_direct


def padded_modes(modes: int) -> int:
    """Return N', the least power of two that holds the modes and suits a matrix product."""
    return max(8, 1 << (modes - 1).bit_length())


@triton.jit
def _times(a_re, a_im, b_re, b_im):
    return a_re * b_re - a_im * b_im, a_re * b_im + a_im * b_re


@triton.jit
def _times_conjugate(a_re, a_im, b_re, b_im):
    """Multiply a with the conjugate of b."""
    return a_re * b_re + a_im * b_im, a_im * b_re - a_re * b_im


@triton.jit
def _powers(re, im, exponents, BITS: tl.constexpr):
    """Raise to integer powers by squaring, which is right for a pole of 0, too."""
    out_re = tl.zeros(exponents.shape, tl.float64) + 1.0
    out_im = tl.zeros(exponents.shape, tl.float64)
    for bit in tl.static_range(BITS):
        next_re, next_im = _times(out_re, out_im, re, im)
        odd = ((exponents >> bit) & 1) == 1
        out_re, out_im = tl.where(odd, next_re, out_re), tl.where(odd, next_im, out_im)
        re, im = _times(re, im, re, im)
    return out_re, out_im


@triton.jit
def _load_pairs(pairs, channel, n, modes):
    """Load complex numbers of a channel, zero beyond its modes."""
    place = pairs + (channel * modes + n) * 2
    re = tl.load(place, mask=n < modes, other=0.0)
    return re, tl.load(place + 1, mask=n < modes, other=0.0)


@triton.jit
def _tabulate(
    poles, weights, direct, inward, outward, carry, response,
    modes, CHUNK: tl.constexpr, MODES: tl.constexpr, BITS: tl.constexpr,
):  # fmt: skip
    channel = tl.program_id(0).to(tl.int64)
    n, i = tl.arange(0, MODES)[:, None], tl.arange(0, CHUNK)[None, :]
    TABLE: tl.constexpr = CHUNK * MODES
    kind = inward.dtype.element_ty
    a_re, a_im = _load_pairs(poles, channel, n, modes)  # (N', 1)
    w_re, w_im = _load_pairs(weights, channel, n, modes)
    steps = tl.broadcast_to(i, (MODES, CHUNK))
    power_re, power_im = _powers(a_re, a_im, steps, BITS)  # A^i
    place = inward + channel * 2 * TABLE + ((CHUNK - 1 - i) * MODES + n) * 2
    tl.store(place, power_re.to(kind))
    tl.store(place + 1, power_im.to(kind))

    re, im = _times(power_re, power_im, 2.0 * w_re, 2.0 * w_im)
    lag = tl.arange(0, CHUNK)
    impulse = tl.sum(re, axis=0)
    impulse += tl.where(lag == 0, tl.load(direct + channel).to(tl.float64), 0.0)
    place = response + channel * 2 * CHUNK + lag
    tl.store(place, tl.zeros((CHUNK,), kind))
    tl.store(place + CHUNK, impulse.to(kind))

    re, im = _times(re, im, a_re, a_im)
    place = outward + channel * 2 * TABLE + n * 2 * CHUNK + i
    tl.store(place, re.to(kind))
    tl.store(place + CHUNK, (-im).to(kind))

    re, im = _powers(a_re, a_im, tl.full((MODES, 1), CHUNK, tl.int32), BITS + 1)
    place = carry + (channel * MODES + n) * 2
    tl.store(place, re.to(kind))
    tl.store(place + 1, im.to(kind))


@triton.jit
def _gather(
    poles, weights, d_inward, d_outward, d_carry, d_response, d_poles, d_weights, d_direct,
    modes, parts, CHUNK: tl.constexpr, MODES: tl.constexpr, BITS: tl.constexpr,
):  # fmt: skip
    channel = tl.program_id(0).to(tl.int64)
    n, i = tl.arange(0, MODES)[:, None], tl.arange(0, CHUNK)[None, :]
    j = tl.arange(0, CHUNK)[:, None]
    TABLE: tl.constexpr = CHUNK * MODES
    in_re = tl.zeros((MODES, CHUNK), tl.float64)
    in_im, out_re, out_im = in_re, in_re, in_re
    carry_re = tl.zeros((MODES, 1), tl.float64)
    carry_im = carry_re
    lags = tl.zeros((CHUNK,), tl.float64)
    for part in range(parts):
        at = channel * parts + part
        table = d_inward + at * 2 * TABLE + ((CHUNK - 1 - i) * MODES + n) * 2
        in_re += tl.load(table).to(tl.float64)
        in_im += tl.load(table + 1).to(tl.float64)
        table = d_outward + at * 2 * TABLE + (i * MODES + n) * 2
        out_re += tl.load(table).to(tl.float64)
        out_im -= tl.load(table + 1).to(tl.float64)
        row = d_carry + (at * MODES + n) * 2
        carry_re += tl.load(row).to(tl.float64)
        carry_im += tl.load(row + 1).to(tl.float64)
        diagonal = d_response + at * CHUNK * CHUNK + j * CHUNK + j + i
        lags += tl.sum(tl.load(diagonal, mask=i + j < CHUNK, other=0.0).to(tl.float64), axis=0)
    first = tl.arange(0, CHUNK) == 0
    tl.store(d_direct + channel, tl.sum(tl.where(first, lags, 0.0)))

    # If z = f(A) has the gradient g, real part and imaginary part, that of A is g conj(f').
    a_re, a_im = _load_pairs(poles, channel, n, modes)  # (N', 1)
    w_re, w_im = _load_pairs(weights, channel, n, modes)
    w_re, w_im = 2.0 * w_re, 2.0 * w_im
    steps = tl.broadcast_to(i, (MODES, CHUNK))
    power_re, power_im = _powers(a_re, a_im, steps, BITS)  # A^i
    next_re, next_im = _times(power_re, power_im, a_re, a_im)  # A^(i+1)
    slope_re, slope_im = _powers(a_re, a_im, tl.maximum(steps - 1, 0), BITS)
    slope_re, slope_im = i * slope_re, i * slope_im  # i A^(i-1)
    lag = lags[None, :]

    re, im = _times_conjugate(out_re, out_im, next_re, next_im)
    place = d_weights + (channel * modes + n) * 2
    some = n < modes
    total_re = tl.sum(re + lag * power_re, axis=1)[:, None]
    total_im = tl.sum(im - lag * power_im, axis=1)[:, None]
    tl.store(place, 2.0 * total_re, mask=some)
    tl.store(place + 1, 2.0 * total_im, mask=some)

    # in + lag conj(w), whose product with A^i both are
    both_re, both_im = in_re + lag * w_re, in_im - lag * w_im
    re, im = _times_conjugate(both_re, both_im, slope_re, slope_im)
    out_re, out_im = _times_conjugate(out_re, out_im, w_re, w_im)
    more_re, more_im = _times_conjugate(out_re, out_im, (i + 1) * power_re, (i + 1) * power_im)
    total_re = tl.sum(re + more_re, axis=1)[:, None]
    total_im = tl.sum(im + more_im, axis=1)[:, None]
    whole = tl.full((MODES, 1), CHUNK - 1, tl.int32)
    last_re, last_im = _powers(a_re, a_im, whole, BITS)
    re, im = _times_conjugate(carry_re, carry_im, CHUNK * last_re, CHUNK * last_im)
    place = d_poles + (channel * modes + n) * 2
    tl.store(place, total_re + re, mask=some)
    tl.store(place + 1, total_im + im, mask=some)
