"""Norm and SSM in one kernel: a convolution in chunks, with the state carried between them.

A chunk of P inputs, as a row u, gives with the tables of `tables`::

    y = u T + Re(s outward)          T (P, P): T[j, i] = response[i - j], 0 above
    s = carry s + u inward           the state for the next chunk

which equals the convolution with the whole impulse response, at a cost that grows with L. Products
of float32 matrices are made of three of TF32, whose error is that of float32.
"""

# Triton's language is not Python's.
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from neurossm.models.fused.norm import Statistics, input_gradient, statistics
from neurossm.models.fused.tables import Tables, gather, padded_modes, tabulate

CHUNK = 64
PRECISION = "tf32x3"
SCAN_ROWS, SCAN_OPTIONS = 128, {"num_warps": 8, "num_stages": 1}
GRADIENT_ROWS, GRADIENT_OPTIONS = 32, {"num_warps": 8, "num_stages": 1}
"""Sequences of one program, and how Triton compiles it."""


def normed_response(
    x: Tensor, norm: nn.BatchNorm1d | None, a_bar: Tensor, weight: Tensor, direct: Tensor,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return the SSM's output for a normalised batch, and the batch for the residual path.

    The second is x itself; that its gradient comes back here spares a pass over memory.

    Parameters
    ----------
    x
        (B, H, L), contiguous.
    norm
        Normalises x by the statistics of the batch; its running ones follow. None: no norm.
    a_bar, weight, direct
        A_bar and B_bar C, complex128 (H, N), and D (H).
    lengths
        Steps (B) of each sequence that the statistics are over; unread without a norm.
    """
    found, gamma, beta = None, None, None
    if norm is not None:
        found, gamma, beta = statistics(x.detach(), norm, lengths), norm.weight, norm.bias
    return _NormedResponse.apply(x, a_bar, weight, direct, gamma, beta, found)


class _NormedResponse(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, a_bar: Tensor, weight: Tensor, direct: Tensor,
        gamma: Tensor | None, beta: Tensor | None, found: Statistics | None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        batch, channels, length = x.shape
        rows, modes = _rows(batch, SCAN_ROWS), padded_modes(a_bar.shape[1])
        tables = tabulate(a_bar, weight, direct, CHUNK, x)
        y = torch.empty_like(x)
        states = x.new_empty(batch, channels, triton.cdiv(length, CHUNK), 2 * modes)
        norm = (x, x, x, x) if found is None else (*found[:2], gamma, beta)  # unread without a norm
        _scan[(triton.cdiv(batch, rows), channels)](
            x, *norm, *tables, y, states, x, x, x, batch, channels, length,
            found is not None, False, rows, CHUNK, modes, PRECISION, **SCAN_OPTIONS,
        )  # fmt: skip
        ctx.save_for_backward(x, a_bar, weight, states, *norm, *tables)
        ctx.found = found
        return y, x.view_as(x)

    @staticmethod
    def backward(ctx: Any, d_y: Tensor, d_residual: Tensor) -> tuple[Tensor | None, ...]:
        x, a_bar, weight, states, *rest = ctx.saved_tensors
        norm, tables = rest[:4], Tables(*rest[4:])
        batch, channels, length = x.shape
        d_y, d_residual = d_y.contiguous(), d_residual.contiguous()
        rows, modes = _rows(batch, SCAN_ROWS), states.shape[-1] // 2
        parts = triton.cdiv(batch, rows)
        d_u, sums = torch.empty_like(x), x.new_empty(channels, parts, 2)
        _scan[(parts, channels)](
            d_y, *norm, tables.outward, tables.inward, tables.carry, tables.response, d_u, states,
            x, d_residual, sums, batch, channels, length,
            ctx.found is not None, True, rows, CHUNK, modes, PRECISION, **SCAN_OPTIONS,
        )  # fmt: skip
        rows = _rows(batch, GRADIENT_ROWS)
        parts = triton.cdiv(batch, rows)
        gradients = Tables(
            x.new_empty(channels, parts, CHUNK, 2 * modes),
            x.new_empty(channels, parts, CHUNK, 2 * modes),
            x.new_empty(channels, parts, 2 * modes),
            x.new_empty(channels, parts, CHUNK, CHUNK),
        )
        _table_gradients[(parts, channels)](
            d_y, x, *norm, tables.outward, tables.carry, states, *gradients,
            batch, channels, length, ctx.found is not None, rows, CHUNK, modes, PRECISION,
            **GRADIENT_OPTIONS,
        )  # fmt: skip
        d_parameters = gather(a_bar, weight, gradients)
        if ctx.found is None:
            return d_u, *d_parameters, None, None, None
        d_x, d_gamma, d_beta = input_gradient(x, d_u, d_residual, ctx.found, norm[2], sums)
        return d_x, *d_parameters, d_gamma, d_beta, None


def _rows(batch: int, most: int) -> int:
    """Return how many sequences one program takes, a power of two."""
    return min(most, max(16, 1 << (batch - 1).bit_length()))


@triton.jit
def _parts(s, ROWS: tl.constexpr, MODES: tl.constexpr):
    """Return real and imaginary parts (ROWS, N') of states (ROWS, 2 N')."""
    return tl.split(tl.reshape(s, (ROWS, MODES, 2)))


@triton.jit
def _rotate(a_re, a_im, s, ROWS: tl.constexpr, MODES: tl.constexpr):
    """Multiply states with the carry."""
    re, im = _parts(s, ROWS, MODES)
    turned = tl.join(a_re * re - a_im * im, a_re * im + a_im * re)
    return tl.reshape(turned, (ROWS, 2 * MODES))


@triton.jit
def _dot(a, b, PRECISION: tl.constexpr):
    return tl.dot(a, b, input_precision=PRECISION, out_dtype=a.dtype)


@triton.jit
def _normed(x, mean, inverse_deviation, gamma, beta, channel, valid, NORM: tl.constexpr):
    """Return x before scale and shift, and after them; zero where there is no value."""
    centred = x
    if NORM:
        centred = (x - tl.load(mean + channel)) * tl.load(inverse_deviation + channel)
        x = centred * tl.load(gamma + channel) + tl.load(beta + channel)
        x = tl.where(valid, x, 0.0)
    return centred, x


@triton.jit
def _carry(carry, channel, n, MODES: tl.constexpr, REVERSE: tl.constexpr):
    """Load A_bar^P (1, N'), of which gradients are multiplied with the conjugate."""
    a_re = tl.load(carry + (channel * MODES + n) * 2)[None, :]
    a_im = tl.load(carry + (channel * MODES + n) * 2 + 1)[None, :]
    return a_re, -a_im if REVERSE else a_im


@triton.jit
def _scan(
    u, mean, inverse_deviation, gamma, beta, into, out_of, carry, response, y, states,
    x, d_residual, sums, batch, channels, length,
    NORM: tl.constexpr, REVERSE: tl.constexpr, ROWS: tl.constexpr, CHUNK: tl.constexpr,
    MODES: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Convolve u to y, keeping the states; in reverse, turn the gradient of y into that of u.

    In reverse all tables are transposed, and x and its norm make the sums for the norm's gradient.
    """
    channel = tl.program_id(1).to(tl.int64)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    WIDTH: tl.constexpr = 2 * MODES
    i, k = tl.arange(0, CHUNK), tl.arange(0, WIDTH)
    lag = i[None, :] - i[:, None]
    long_ways = i[:, None] * WIDTH + k[None, :]
    wide_ways = k[:, None] * CHUNK + i[None, :]
    if REVERSE:
        lag = -lag
        long_ways = i[:, None] + k[None, :] * CHUNK
        wide_ways = k[:, None] + i[None, :] * WIDTH
    into_state = tl.load(into + channel * WIDTH * CHUNK + long_ways)  # (P, 2N')
    out_of_state = tl.load(out_of + channel * WIDTH * CHUNK + wide_ways)  # (2N', P)
    matrix = tl.load(response + channel * 2 * CHUNK + CHUNK + lag)  # (P, P)
    a_re, a_im = _carry(carry, channel, tl.arange(0, MODES), MODES, REVERSE)

    s = tl.zeros((ROWS, WIDTH), u.dtype.element_ty)
    d_shift, d_scale = tl.zeros((ROWS,), s.dtype), tl.zeros((ROWS,), s.dtype)
    sequence = row.to(tl.int64) * channels + channel
    chunks = tl.cdiv(length, CHUNK)
    kept = states + sequence * chunks * WIDTH + k[None, :]
    for step in range(chunks):
        chunk = chunks - 1 - step if REVERSE else step
        t = chunk * CHUNK + i[None, :]
        valid = (row < batch) & (t < length)
        at = sequence * length + t
        value = tl.load(u + at, mask=valid, other=0.0)
        if not REVERSE:
            _, value = _normed(value, mean, inverse_deviation, gamma, beta, channel, valid, NORM)
            tl.store(kept + chunk * WIDTH, s, mask=row < batch)
        out = _dot(value, matrix, PRECISION) + _dot(s, out_of_state, PRECISION)
        if REVERSE:
            if NORM:
                old = tl.load(x + at, mask=valid, other=0.0)
                old, _ = _normed(old, mean, inverse_deviation, gamma, beta, channel, valid, NORM)
                masked = tl.where(valid, out, 0.0)
                d_shift += tl.sum(masked, axis=1)
                d_scale += tl.sum(masked * old, axis=1)
            else:
                out += tl.load(d_residual + at, mask=valid, other=0.0)
        tl.store(y + at, out, mask=valid)
        s = _rotate(a_re, a_im, s, ROWS, MODES) + _dot(value, into_state, PRECISION)
    if REVERSE and NORM:
        part = channel * tl.num_programs(0) + tl.program_id(0)
        tl.store(sums + part * 2, tl.sum(d_shift))
        tl.store(sums + part * 2 + 1, tl.sum(d_scale))


@triton.jit
def _table_gradients(
    d_y, x, mean, inverse_deviation, gamma, beta, outward, carry, states,
    d_inward, d_outward, d_carry, d_response, batch, channels, length,
    NORM: tl.constexpr, ROWS: tl.constexpr, CHUNK: tl.constexpr, MODES: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Sum over chunks and ROWS sequences; g is the gradient of the state after a chunk."""
    channel = tl.program_id(1).to(tl.int64)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    WIDTH: tl.constexpr = 2 * MODES
    i, n, k = tl.arange(0, CHUNK), tl.arange(0, MODES), tl.arange(0, WIDTH)
    out_of_state = tl.load(outward + channel * WIDTH * CHUNK + k[None, :] * CHUNK + i[:, None])
    a_re, a_im = _carry(carry, channel, n, MODES, True)

    kind = x.dtype.element_ty
    g = tl.zeros((ROWS, WIDTH), kind)
    d_matrix = tl.zeros((CHUNK, CHUNK), kind)  # transposed
    d_into = tl.zeros((WIDTH, CHUNK), kind)  # transposed
    d_out_of = tl.zeros((CHUNK, WIDTH), kind)
    d_a_re, d_a_im = tl.zeros((MODES,), kind), tl.zeros((MODES,), kind)
    sequence = row.to(tl.int64) * channels + channel
    chunks = tl.cdiv(length, CHUNK)
    kept = states + sequence * chunks * WIDTH + k[None, :]
    for step in range(chunks):
        chunk = chunks - 1 - step
        t = chunk * CHUNK + i[None, :]
        valid = (row < batch) & (t < length)
        d_out = tl.load(d_y + sequence * length + t, mask=valid, other=0.0)
        u = tl.load(x + sequence * length + t, mask=valid, other=0.0)
        _, u = _normed(u, mean, inverse_deviation, gamma, beta, channel, valid, NORM)
        s = tl.load(kept + chunk * WIDTH, mask=row < batch, other=0.0)
        g_re, g_im = _parts(g, ROWS, MODES)
        s_re, s_im = _parts(s, ROWS, MODES)
        d_a_re += tl.sum(g_re * s_re + g_im * s_im, axis=0)
        d_a_im += tl.sum(g_im * s_re - g_re * s_im, axis=0)
        d_out_t = tl.trans(d_out)
        d_matrix += _dot(d_out_t, u, PRECISION)
        d_out_of += _dot(d_out_t, s, PRECISION)
        d_into += _dot(tl.trans(g), u, PRECISION)
        g = _rotate(a_re, a_im, g, ROWS, MODES) + _dot(d_out, out_of_state, PRECISION)

    part = channel * tl.num_programs(0) + tl.program_id(0)
    place = part * WIDTH * CHUNK + i[:, None] * WIDTH + k[None, :]
    tl.store(d_outward + place, d_out_of)
    tl.store(d_inward + part * WIDTH * CHUNK + k[:, None] + i[None, :] * WIDTH, d_into)
    tl.store(d_response + part * CHUNK * CHUNK + i[:, None] + i[None, :] * CHUNK, d_matrix)
    tl.store(d_carry + (part * MODES + n) * 2, d_a_re)
    tl.store(d_carry + (part * MODES + n) * 2 + 1, d_a_im)
