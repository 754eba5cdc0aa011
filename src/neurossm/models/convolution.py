"""Causal convolution of long sequences by FFT."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def fft_length(length: int) -> int:
    """Return the smallest even n >= 2 * length - 1 whose prime factors are 2, 3, 5 and 7.

    Shorter transforms would wrap the end of the sequence into its beginning; other prime factors
    make the transform slow.
    """
    n = max(2, 2 * length - 1)
    while n % 2 or not _is_smooth(n):
        n += 1
    return n


def _is_smooth(n: int) -> bool:
    for prime in (2, 3, 5, 7):
        while n % prime == 0:
            n //= prime
    return n == 1


class _CausalConvolution(torch.autograd.Function):
    """Written out by hand: the derivative of rfft that torch derives runs a full complex FFT."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, kernel: Tensor) -> Tensor:
        length = u.shape[-1]
        n = fft_length(length)
        u_f = torch.fft.rfft(u, n=n)  # (B, H, n/2 + 1)
        k_f = torch.fft.rfft(kernel, n=n)  # (H, n/2 + 1)
        ctx.save_for_backward(u_f, k_f)
        ctx.n = n
        y: Tensor = torch.fft.irfft(u_f * k_f, n=n)[..., :length].contiguous()
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        u_f, k_f = ctx.saved_tensors
        length = grad.shape[-1]
        g_f = torch.fft.rfft(grad, n=ctx.n)  # (B, H, n/2 + 1)
        grad_u = grad_k = None
        if ctx.needs_input_grad[1]:
            grad_k = torch.fft.irfft((g_f * u_f.conj()).sum(0), n=ctx.n)[..., :length]
        if ctx.needs_input_grad[0]:
            grad_u = torch.fft.irfft(g_f.mul_(k_f.conj()), n=ctx.n)[..., :length].contiguous()
        return grad_u, grad_k


def causal_convolution(u: Tensor, kernel: Tensor) -> Tensor:
    """Return ``y_t = sum_{j <= t} kernel_j u_{t-j}`` per channel.

    Parameters
    ----------
    u
        Real input (B, H, L).
    kernel
        Impulse response (H, L), same type.

    Returns
    -------
    Tensor
        y (B, H, L).
    """
    result: Tensor = _CausalConvolution.apply(u, kernel)  # type: ignore[no-untyped-call]
    return result
