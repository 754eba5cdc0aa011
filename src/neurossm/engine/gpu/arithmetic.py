"""Shift and saturation in 64-bit integers, as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurossm.arrays import IntArray
from neurossm.program import limits

_TYPES = (torch.int8, torch.int16, torch.int32, torch.int64)


def integers(values: Any, device: torch.device) -> Tensor:
    """Return 64-bit integers on a device."""
    return torch.tensor(np.asarray(values, np.int64), device=device)


def narrowest(low: int, high: int) -> torch.dtype:
    """Return the narrowest type of signed integers that holds [low, high]."""
    for dtype in _TYPES:
        if torch.iinfo(dtype).min <= low and high <= torch.iinfo(dtype).max:
            return dtype
    raise AssertionError((low, high))


def shift_parts(k: Any) -> tuple[IntArray, IntArray, IntArray]:
    """Return half, right and left with `rshift(p, k) = ((p + half) >> right) << left`."""
    k = np.asarray(k, np.int64)
    right = np.maximum(k, 0)
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    return half, right, np.maximum(-k, 0)


@dataclass(frozen=True, eq=False)
class Shift:
    """`rshift(p, k)` for given k, as three parts: `((p + half) >> right) << left`."""

    half: Tensor
    right: Tensor
    left: Tensor

    @staticmethod
    def by(k: Any, device: torch.device) -> Shift:
        """Prepare shifts by k."""
        return Shift(*(integers(part, device) for part in shift_parts(k)))

    def __call__(self, p: Tensor) -> Tensor:
        """Shift right to nearest, halves up; left for negative k."""
        shifted: Tensor = ((p + self.half) >> self.right) << self.left
        return shifted


@dataclass(frozen=True, eq=False)
class Clip:
    """Saturation to so many bits, counted in `count`, (1) int64."""

    bits: int
    count: Tensor

    def __call__(self, value: Tensor) -> Tensor:
        """Clip and count."""
        clipped = torch.clamp(value, *limits(self.bits))
        self.count.add_((clipped != value).sum())
        return clipped


def finished(value: Tensor, clip: Clip | None, dtype: torch.dtype) -> Tensor:
    """Saturate where that is asked for, and store narrowly."""
    return (value if clip is None else clip(value)).to(dtype)


def bit_length(value: Tensor) -> Tensor:
    """Return the number of bits of integers from 0 to 2^62; 0 for 0."""
    bits = torch.zeros_like(value)
    for step in (32, 16, 8, 4, 2, 1):
        wide = (value >> step) > 0
        bits = bits + torch.where(wide, step, 0)
        value = torch.where(wide, value >> step, value)
    return bits + (value > 0)
