"""The primitives of the operations' equations, and saturation, on tensors of 64-bit integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurossm.program.arithmetic import limits
from neurossm.program.evaluate import Arithmetic

_TYPES = (torch.int8, torch.int16, torch.int32, torch.int64)
_Number = Any
"""A tensor, or a number that all channels share."""


def integers(values: Any, device: torch.device) -> Tensor:
    """Return 64-bit integers on a device."""
    return torch.tensor(np.asarray(values, np.int64), device=device)


def narrowest(low: int, high: int) -> torch.dtype:
    """Return the narrowest type of signed integers that holds [low, high]."""
    for dtype in _TYPES:
        if torch.iinfo(dtype).min <= low and high <= torch.iinfo(dtype).max:
            return dtype
    raise AssertionError((low, high))


class TorchArithmetic(Arithmetic):
    """The primitives on tensors of a device; what channels share is a number of Python's."""

    def __init__(self, device: torch.device) -> None:
        """Compute on this device."""
        self._device = device

    def array(self, values: Any) -> _Number:
        """Return 64-bit integers; a single one needs no memory of the device."""
        return integers(values, self._device) if np.ndim(values) else int(values)

    def rshift(self, p: Tensor, k: Tensor) -> Tensor:
        """Shift by amounts that are computed."""
        right = k.clamp(min=0)
        half = (torch.ones_like(right) << right) >> 1
        shifted: Tensor = ((p + half) >> right) << (-k).clamp(min=0)
        return shifted

    def minimum(self, a: _Number, b: _Number) -> Tensor:
        """Return the lesser."""
        if isinstance(a, int):
            a, b = b, a
        return a.clamp(max=b) if isinstance(b, int) else torch.minimum(a, b)

    def maximum(self, a: _Number, b: _Number) -> Tensor:
        """Return the greater."""
        if isinstance(a, int):
            a, b = b, a
        return a.clamp(min=b) if isinstance(b, int) else torch.maximum(a, b)

    def greater(self, a: _Number, b: _Number) -> Tensor:
        """Return 1 where a > b."""
        more: Tensor = a > b
        return more.long()

    def select(self, condition: Tensor, a: _Number, b: _Number) -> Tensor:
        """Choose."""
        return torch.where(condition != 0, a, b).long()

    def bit_length(self, a: Tensor) -> Tensor:
        """Count the bits of integers from 0 to 2^62."""
        bits = torch.frexp(a.double())[1].long()
        # Beyond 2^53 the conversion may have rounded up to the next power of two.
        too_many = ((a >> (bits - 1).clamp(min=0)) == 0) & (bits > 0)
        return bits - too_many.long()

    def total(self, a: Tensor) -> Tensor:
        """Add up the channels, (..., C) to (..., 1)."""
        return a.sum(dim=-1, keepdim=True)

    def largest(self, a: Tensor) -> Tensor:
        """Return the greatest channel, (..., C) to (..., 1)."""
        return a.amax(dim=-1, keepdim=True)


def saturated(value: Tensor, bits: int, count: Tensor | None) -> Tensor:
    """Clamp to so many bits and count what that changes in (1) int64; None: proved to fit."""
    if count is None:
        return value
    clipped = value.clamp(*limits(bits))
    count.add_((clipped != value).sum())
    return clipped


@dataclass(frozen=True, eq=False)
class Stored:
    """How a result is stored: its width, where it is saturated to that, and as what type.

    `count` (1) int64 counts what is saturated; None where that is proved unnecessary.
    """

    bits: int
    count: Tensor | None
    dtype: torch.dtype

    def of(self, value: Tensor) -> Tensor:
        """Saturate and store."""
        return saturated(value, self.bits, self.count).to(self.dtype)
