"""Norm and SSM in one kernel: a convolution in chunks, with the state carried between them.

A chunk of P inputs, as a row u, gives with the tables of `tables`::

    y = u T + Re(s outward)          T (P, P): T[j, i] = response[i - j], 0 above
    s = carry s + u inward           the state for the next chunk

which equals the convolution with the whole impulse response, at a cost that grows with L. For the
gradients the same runs backwards, on transposed tables; the gradients of the tables are sums over
all chunks, in any order. Products are those of `products`.
"""

# Triton's language is not Python's.
# mypy: ignore-errors

from __future__ import annotations

import itertools
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from neurossm.models.fused.norm import Statistics, input_gradient, statistics
from neurossm.models.fused.products import add_product, gradient_term_count, term_count, terms_of
from neurossm.models.fused.tables import Tables, gather, tabulate

CHUNK = 64
SCAN_ROWS, SCAN_OPTIONS = 64, {"num_warps": 4, "num_stages": 2}
GRADIENT_ROWS, GRADIENT_OPTIONS = 32, {"num_warps": 4, "num_stages": 3}
"""Rows of one program, and how Triton compiles it: the fastest of those tried on an H100."""
GRADIENT_PARTS = 2
"""Parts of a batch whose gradients of the tables are summed side by side."""
SEGMENT_ROWS, SEGMENT_CHUNKS = 128, 8
"""Up to how many rows sequences are split into, of at least so many chunks each."""


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
        tables = tabulate(a_bar, weight, direct, CHUNK, x)
        y = torch.empty_like(x)
        norm = (x, x, x, x) if found is None else (*found[:2], gamma, beta)  # unread without a norm
        states = _run_scan(x, a_bar, norm, tables, y, (x, x, x), found is not None, False)
        ctx.save_for_backward(x, a_bar, weight, states, *norm, *tables)
        ctx.found = found
        return y, x.view_as(x)

    @staticmethod
    def backward(ctx: Any, d_y: Tensor, d_residual: Tensor) -> tuple[Tensor | None, ...]:
        x, a_bar, weight, states, *rest = ctx.saved_tensors
        norm, tables = rest[:4], Tables(*rest[4:])
        batch, channels, length = x.shape
        d_y, d_residual = d_y.contiguous(), d_residual.contiguous()
        modes, normed = states.shape[-1] // 2, ctx.found is not None
        d_u = torch.empty_like(x)
        sums = x.new_empty(channels, _parts_of(batch, states.shape[2]), 2)
        transposed = Tables(tables.outward, tables.inward, tables.carry, tables.response)
        adjoints = _run_scan(d_y, a_bar, norm, transposed, d_u, (x, d_residual, sums), normed, True)
        rows = _rows(batch, GRADIENT_ROWS)
        tiles = triton.cdiv(batch, rows) * states.shape[2]
        parts = min(GRADIENT_PARTS, tiles)
        gradients = Tables(
            x.new_empty(channels, parts, CHUNK, 2 * modes),
            x.new_empty(channels, parts, CHUNK, 2 * modes),
            x.new_empty(channels, parts, 2 * modes),
            x.new_empty(channels, parts, CHUNK, CHUNK),
        )
        _table_gradients[(parts, channels)](
            d_y, x, *norm, states, adjoints, *gradients,
            batch, channels, length, normed, rows, CHUNK, modes, gradient_term_count(x.dtype),
            **GRADIENT_OPTIONS,
        )  # fmt: skip
        d_parameters = gather(a_bar, weight, gradients)
        if ctx.found is None:
            return d_u, *d_parameters, None, None, None
        d_x, d_gamma, d_beta = input_gradient(x, d_u, d_residual, ctx.found, norm[2], sums)
        return d_x, *d_parameters, d_gamma, d_beta, None


def _run_scan(
    u: Tensor, a_bar: Tensor, norm: tuple[Tensor, ...], tables: Tables, y: Tensor,
    others: tuple[Tensor, Tensor, Tensor], normed: bool, reverse: bool,
) -> Tensor:  # fmt: skip
    """Run `_scan` into y and return the states (B, H, chunks, 2 N') that it keeps.

    Where few sequences are long, segments of each are worked through side by side: first the state
    that each segment leaves, from which the states follow that they begin with.
    """
    batch, channels, length = u.shape
    chunks, width = triton.cdiv(length, CHUNK), tables.carry.shape[1]
    segments = _segments(batch, chunks)
    rows = _rows(batch * segments, SCAN_ROWS)
    states = u.new_empty(batch, channels, chunks, width)
    terms = gradient_term_count(u.dtype) if reverse else term_count(u.dtype)
    grid = _parts_of(batch, chunks), channels

    def run(starts: Tensor, only_ends: bool) -> None:
        _scan[grid](
            u, *norm, *tables, y, states, starts, *others, batch, channels, length, segments,
            normed, reverse, segments > 1, only_ends, rows, CHUNK, width // 2, terms,
            **SCAN_OPTIONS,
        )  # fmt: skip

    starts = u
    if segments > 1:
        ends = u.new_empty(batch, segments, channels, width)
        run(ends, True)
        starts = _starts(ends, a_bar, CHUNK * triton.cdiv(chunks, segments), reverse)
    run(starts, False)
    return states


def _segments(batch: int, chunks: int) -> int:
    """Return how many segments of each sequence are worked through side by side."""
    segments = 1
    while 2 * segments * batch <= SEGMENT_ROWS and 2 * segments * SEGMENT_CHUNKS <= chunks:
        segments *= 2
    return segments


def _parts_of(batch: int, chunks: int) -> int:
    rows = batch * _segments(batch, chunks)
    return triton.cdiv(rows, _rows(rows, SCAN_ROWS))


def _starts(ends: Tensor, a_bar: Tensor, steps: int, reverse: bool) -> Tensor:
    """Return the states that segments begin with, from those that each leaves (B, S, H, 2 N')."""
    left = torch.view_as_complex(ends.unflatten(-1, (-1, 2)))
    decay = torch.where(a_bar == 0, 0, torch.exp(steps * torch.log(a_bar)))  # A_bar^steps
    decay = nn.functional.pad(decay, (0, left.shape[-1] - decay.shape[-1])).to(left.dtype)
    starts = torch.zeros_like(left)
    order = range(left.shape[1])
    if reverse:
        decay, order = decay.conj(), order[::-1]
    for before, after in itertools.pairwise(order):
        starts[:, after] = decay * starts[:, before] + left[:, before]
    return torch.view_as_real(starts).flatten(-2)


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
    u, mean, inverse_deviation, gamma, beta, into, out_of, carry, response, y, states, starts,
    x, d_residual, sums, batch, channels, length, segments,
    NORM: tl.constexpr, REVERSE: tl.constexpr, SPLIT: tl.constexpr, ONLY_ENDS: tl.constexpr,
    ROWS: tl.constexpr, CHUNK: tl.constexpr, MODES: tl.constexpr, TERMS: tl.constexpr,
):  # fmt: skip
    """Convolve u to y, keeping the states; in reverse, turn the gradient of y into that of u.

    In reverse all tables are transposed, and x and its norm make the sums for the norm's gradient.
    A row is a segment of a sequence; if the sequence is split it begins with a state of `starts`,
    (B, segments, H, 2 N'), into which with ONLY_ENDS nothing goes but the states at the ends.
    """
    channel = tl.program_id(1).to(tl.int64)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    sample, segment = row // segments, row % segments
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
    i1, i2, i3 = terms_of(into_state, TERMS)
    o1, o2, o3 = terms_of(out_of_state, TERMS)
    m1, m2, m3 = terms_of(matrix, TERMS)

    s = tl.zeros((ROWS, WIDTH), u.dtype.element_ty)
    border = starts + (row.to(tl.int64) * channels + channel) * WIDTH + k[None, :]
    if SPLIT and not ONLY_ENDS:
        s = tl.load(border, mask=sample < batch, other=0.0)
    d_shift, d_scale = tl.zeros((ROWS,), s.dtype), tl.zeros((ROWS,), s.dtype)
    sequence = sample.to(tl.int64) * channels + channel
    chunks = tl.cdiv(length, CHUNK)
    count = tl.cdiv(chunks, segments)
    for step in range(count):
        chunk = segment * count + (count - 1 - step if REVERSE else step)
        t = chunk * CHUNK + i[None, :]
        valid = (sample < batch) & (t < length)
        at = sequence * length + t
        value = tl.load(u + at, mask=valid, other=0.0)
        if not REVERSE:
            _, value = _normed(value, mean, inverse_deviation, gamma, beta, channel, valid, NORM)
        v1, v2, v3 = terms_of(value, TERMS)
        if not ONLY_ENDS:
            kept = states + (sequence * chunks + chunk) * WIDTH + k[None, :]
            tl.store(kept, s, mask=(sample < batch) & (chunk < chunks))
            s1, s2, s3 = terms_of(s, TERMS)
            out = tl.zeros((ROWS, CHUNK), s.dtype)
            out = add_product(out, v1, v2, v3, m1, m2, m3, TERMS)
            out = add_product(out, s1, s2, s3, o1, o2, o3, TERMS)
            if REVERSE:
                if NORM:
                    old = tl.load(x + at, mask=valid, other=0.0)
                    old, _ = _normed(
                        old, mean, inverse_deviation, gamma, beta, channel, valid, NORM
                    )
                    masked = tl.where(valid, out, 0.0)
                    d_shift += tl.sum(masked, axis=1)
                    d_scale += tl.sum(masked * old, axis=1)
                else:
                    out += tl.load(d_residual + at, mask=valid, other=0.0)
            tl.store(y + at, out, mask=valid)
        s = _rotate(a_re, a_im, s, ROWS, MODES)
        s = add_product(s, v1, v2, v3, i1, i2, i3, TERMS)
    if ONLY_ENDS:
        tl.store(border, s, mask=sample < batch)
    if REVERSE and NORM and not ONLY_ENDS:
        part = channel * tl.num_programs(0) + tl.program_id(0)
        tl.store(sums + part * 2, tl.sum(d_shift))
        tl.store(sums + part * 2 + 1, tl.sum(d_scale))


@triton.jit
def _table_gradients(
    d_y, x, mean, inverse_deviation, gamma, beta, states, adjoints,
    d_inward, d_outward, d_carry, d_response, batch, channels, length,
    NORM: tl.constexpr, ROWS: tl.constexpr, CHUNK: tl.constexpr, MODES: tl.constexpr,
    TERMS: tl.constexpr,
):  # fmt: skip
    """Sum over some chunks of some sequences; g is the gradient of the state after a chunk."""
    channel, part = tl.program_id(1).to(tl.int64), tl.program_id(0)
    WIDTH: tl.constexpr = 2 * MODES
    i, n, k = tl.arange(0, CHUNK), tl.arange(0, MODES), tl.arange(0, WIDTH)
    kind = x.dtype.element_ty
    d_matrix = tl.zeros((CHUNK, CHUNK), kind)  # transposed
    d_into = tl.zeros((WIDTH, CHUNK), kind)  # transposed
    d_out_of = tl.zeros((CHUNK, WIDTH), kind)
    d_a_re, d_a_im = tl.zeros((MODES,), kind), tl.zeros((MODES,), kind)
    chunks = tl.cdiv(length, CHUNK)
    for tile in range(part, tl.cdiv(batch, ROWS) * chunks, tl.num_programs(0)):
        row = (tile // chunks) * ROWS + tl.arange(0, ROWS)[:, None]
        chunk = tile % chunks
        t = chunk * CHUNK + i[None, :]
        valid = (row < batch) & (t < length)
        sequence = row.to(tl.int64) * channels + channel
        state = (sequence * chunks + chunk) * WIDTH + k[None, :]
        d_out = tl.load(d_y + sequence * length + t, mask=valid, other=0.0)
        u = tl.load(x + sequence * length + t, mask=valid, other=0.0)
        s = tl.load(states + state, mask=row < batch, other=0.0)
        g = tl.load(adjoints + state, mask=row < batch, other=0.0)
        _, u = _normed(u, mean, inverse_deviation, gamma, beta, channel, valid, NORM)
        g_re, g_im = _parts(g, ROWS, MODES)
        s_re, s_im = _parts(s, ROWS, MODES)
        d_a_re += tl.sum(g_re * s_re + g_im * s_im, axis=0)
        d_a_im += tl.sum(g_im * s_re - g_re * s_im, axis=0)
        u1, u2, u3 = terms_of(u, TERMS)
        s1, s2, s3 = terms_of(s, TERMS)
        d1, d2, d3 = terms_of(tl.trans(d_out), TERMS)
        g1, g2, g3 = terms_of(tl.trans(g), TERMS)
        d_matrix = add_product(d_matrix, d1, d2, d3, u1, u2, u3, TERMS)
        d_out_of = add_product(d_out_of, d1, d2, d3, s1, s2, s3, TERMS)
        d_into = add_product(d_into, g1, g2, g3, u1, u2, u3, TERMS)

    at = channel * tl.num_programs(0) + part
    place = at * WIDTH * CHUNK + i[:, None] * WIDTH + k[None, :]
    tl.store(d_outward + place, d_out_of)
    tl.store(d_inward + at * WIDTH * CHUNK + k[:, None] + i[None, :] * WIDTH, d_into)
    tl.store(d_response + at * CHUNK * CHUNK + i[:, None] + i[None, :] * CHUNK, d_matrix)
    tl.store(d_carry + (at * MODES + n) * 2, d_a_re)
    tl.store(d_carry + (at * MODES + n) * 2 + 1, d_a_im)
