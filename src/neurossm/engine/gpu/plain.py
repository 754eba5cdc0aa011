"""The operations in PyTorch alone: the equations as they are, on any device, not fused.

`fused.FusedKernels` has the same methods. Tensors are (B, T, C) of any type that holds their
integers; parameters are int64, (C) or scalars.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neurossm.engine.gpu.arithmetic import Clip, Shift, bit_length, finished
from neurossm.engine.gpu.parameters import ModeParameters, TableParameters
from neurossm.program.layernorm import DEVIATION_BITS, NEWTON_STEPS, NORMAL_EXPONENT, ROOT_BITS


@dataclass(frozen=True)
class PlainKernels:
    """One PyTorch call after the other, in 64-bit integers."""

    scratch_bytes: int = 48
    """Bytes per integer that an operation needs besides its inputs and its output."""
    fuses: bool = False
    """Whether there are kernels for chains of operations and for products of bytes."""

    def affine(
        self,
        x: Tensor,
        gain: Tensor,
        shift: Shift,
        offset: Tensor,
        clip: Clip | None,
        dtype: torch.dtype,
    ) -> Tensor:
        """Compute `sat(rshift(gain x, shift) + offset)`."""
        return finished(shift(x.long() * gain) + offset, clip, dtype)

    def threshold(
        self, x: Tensor, threshold: Tensor, *, ternary: bool, dtype: torch.dtype
    ) -> Tensor:
        """Compute 1 where x exceeds the threshold and, if ternary, -1 below its negative."""
        x = x.long()
        spikes = (x > threshold).to(dtype)
        return spikes - (x < -threshold).to(dtype) if ternary else spikes

    def table(
        self, x: Tensor, table: TableParameters, clip: Clip | None, dtype: torch.dtype
    ) -> Tensor:
        """Compute `sat(base[i] + rshift(slope[i] dx, q))`."""
        moved = x.long() - table.origin
        segment = (moved >> table.width).clamp(0, len(table.base) - 1)
        moved = moved - (segment << table.width)
        return finished(
            table.base[segment] + table.shift(table.slope[segment] * moved), clip, dtype
        )

    def product(
        self, x: Tensor, y: Tensor, shift: Shift, clip: Clip | None, dtype: torch.dtype
    ) -> Tensor:
        """Compute `sat(rshift(x y, shift))`."""
        return finished(shift(x.long() * y.long()), clip, dtype)

    def add(self, x: Tensor, y: Tensor, clip: Clip | None, dtype: torch.dtype) -> Tensor:
        """Compute `sat(x + y)`."""
        return finished(x.long() + y.long(), clip, dtype)

    def layernorm(
        self,
        x: Tensor,
        gain: Tensor,
        shift: Shift,
        offset: Tensor,
        eps: int,
        clip: Clip | None,
        dtype: torch.dtype,
    ) -> Tensor:
        """Normalise over the channels; see `neurossm.program.layernorm`."""
        return finished(shift(gain * _normal(x.long(), eps)) + offset, clip, dtype)

    def recur(
        self,
        u: Tensor,
        p: ModeParameters,
        states: Tensor,
        clips: tuple[Clip | None, Clip | None],
        dtype: torch.dtype,
        recorded: Tensor | None = None,
    ) -> Tensor:
        """Run an SSM over (B, T, H), step by step; `states` (2, B, H, N) int64 is replaced.

        `clips` are those of the states and of the output; `recorded` (2, B, T, H, N) is filled.
        """
        y = torch.empty(u.shape, dtype=dtype, device=u.device)
        re, im = states[0], states[1]
        for t in range(u.shape[1]):
            now = u[:, t].long()
            kick = now[:, :, None] << p.kick
            re, im = (
                p.pole(p.a_re * re - p.a_im * im + kick),
                p.pole(p.a_re * im + p.a_im * re),
            )
            if clips[0] is not None:
                re, im = clips[0](re), clips[0](im)
            total = p.readout(p.c_re * re - p.c_im * im).sum(dim=2) + p.direct(p.d * now)
            y[:, t] = finished(total, clips[1], dtype)
            if recorded is not None:
                recorded[0, :, t], recorded[1, :, t] = re, im
        states[0], states[1] = re, im
        return y


def _normal(x: Tensor, eps: int) -> Tensor:
    """Return the normalised deviations of x (..., H)."""
    deviation = x.shape[-1] * x - x.sum(dim=-1, keepdim=True)
    largest = deviation.abs().amax(dim=-1, keepdim=True)
    right = (bit_length(largest) - DEVIATION_BITS).clamp(min=0)
    deviation = _rshift(deviation, right)
    power = (deviation**2).sum(dim=-1, keepdim=True)
    power = power + (torch.full_like(right, eps) >> (2 * right).clamp(max=62))
    root, exponent = _inverse_root(power.clamp(min=1))
    normal = _rshift(deviation * root, exponent + 30 - NORMAL_EXPONENT)
    return torch.where(power > 0, normal, 0)


def _inverse_root(power: Tensor) -> tuple[Tensor, Tensor]:
    p = ((bit_length(power) + 1) >> 1) - ROOT_BITS // 2
    v = _rshift(power, 2 * p)
    root = 139592 - _right(79299 * v, ROOT_BITS)
    for _ in range(NEWTON_STEPS):
        error = _right(v * _right(root * root, 16), ROOT_BITS)
        root = _right(root * ((3 << 16) - error), 17)
    return root, p


def _right(p: Tensor, k: int) -> Tensor:
    return (p + (1 << (k - 1))) >> k


def _rshift(p: Tensor, k: Tensor) -> Tensor:
    right = k.clamp(min=0)
    half = torch.where(k > 0, torch.ones_like(k) << (right - 1).clamp(min=0), 0)
    return ((p + half) >> right) << (-k).clamp(min=0)
